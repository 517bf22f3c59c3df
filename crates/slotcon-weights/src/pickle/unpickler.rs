//! The unpickler: a stack, a memo and the opcodes of protocols 0 to 5 that data is made of.

use std::collections::HashMap;

use super::globals::{self, Global};
use super::op;
use super::{Data, Id, MAX_NODES, MAX_STRING, Node, Pickle, Problem, broken};

/// Reads pickles from a buffer, one after the other.
#[derive(Debug)]
pub(crate) struct Unpickler<'a> {
    buffer: &'a [u8],
    position: usize,
    pickle: Pickle,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Unpickler<'a> {
    /// At the start of `buffer`.
    pub fn new(buffer: &'a [u8]) -> Self {
        Self {
            buffer,
            position: 0,
            pickle: Pickle::new(buffer.len()),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Bytes used so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The values made so far.
    pub fn pickle(&self) -> &Pickle {
        &self.pickle
    }

    /// All values.
    pub fn into_pickle(self) -> Pickle {
        self.pickle
    }

    /// Reads one pickle up to its end mark.
    pub fn load(&mut self) -> Result<Id, Problem> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        loop {
            let opcode = self.byte()?;
            if opcode == op::STOP {
                return self.pop();
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), Problem> {
        match opcode {
            // Protocol and frame: how it was written does not matter.
            op::PROTO => drop(self.byte()?),
            op::FRAME => drop(self.take(8)?),

            op::MARK => {
                self.room(self.marks.len())?;
                self.marks.push(self.stack.len());
            }
            op::POP => drop(self.pop()?),
            op::POP_MARK => drop(self.since_mark()?),
            op::DUP => {
                let top = self.top()?;
                self.put(top)?;
            }

            op::NONE => self.push(Node::None)?,
            op::NEWTRUE => self.push(Node::Bool(true))?,
            op::NEWFALSE => self.push(Node::Bool(false))?,
            op::BININT1 => {
                let n = self.byte()?;
                self.push(Node::Int(i64::from(n)))?;
            }
            op::BININT2 => {
                let n = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(i64::from(n)))?;
            }
            op::BININT => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(i64::from(n)))?;
            }
            op::LONG1 => {
                let length = usize::from(self.byte()?);
                self.long(length)?;
            }
            op::LONG4 => {
                let length = self.length4()?;
                self.long(length)?;
            }
            op::INT | op::LONG => {
                let line = self.line()?;
                let node = match line {
                    "00" if opcode == op::INT => Node::Bool(false),
                    "01" if opcode == op::INT => Node::Bool(true),
                    _ => match line.trim_end_matches('L').parse() {
                        Ok(n) => Node::Int(n),
                        Err(_) => return broken(format!("'{}' is no integer", short(line))),
                    },
                };
                self.push(node)?;
            }
            op::FLOAT => {
                let line = self.line()?;
                let Ok(x) = line.parse() else {
                    return broken(format!("'{}' is no number", short(line)));
                };
                self.push(Node::Float(x))?;
            }
            op::BINFLOAT => {
                let x = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(x))?;
            }

            op::BINUNICODE => {
                let length = self.length4()?;
                self.text(length)?;
            }
            op::SHORT_BINUNICODE => {
                let length = usize::from(self.byte()?);
                self.text(length)?;
            }
            op::BINUNICODE8 => {
                let length = self.length8()?;
                self.text(length)?;
            }
            op::BINBYTES => {
                let length = self.length4()?;
                self.bytes(length)?;
            }
            op::SHORT_BINBYTES => {
                let length = usize::from(self.byte()?);
                self.bytes(length)?;
            }
            op::BINBYTES8 | op::BYTEARRAY8 => {
                let length = self.length8()?;
                self.bytes(length)?;
            }
            // Strings of Python 2: names are text, the contents of arrays are bytes.
            op::BINSTRING | op::SHORT_BINSTRING => {
                let length = if opcode == op::BINSTRING {
                    self.length4()?
                } else {
                    usize::from(self.byte()?)
                };
                let start = self.position;
                let slice = self.take(length)?;
                let node = match std::str::from_utf8(slice) {
                    Ok(text) if text.len() <= MAX_STRING => Node::Str(text.into()),
                    _ => Node::Bytes(Data::Slice(start..start + length)),
                };
                self.push(node)?;
            }

            op::EMPTY_TUPLE => self.push(Node::Tuple(Vec::new()))?,
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => {
                let count = usize::from(opcode - (op::TUPLE1 - 1));
                let start = self
                    .stack
                    .len()
                    .checked_sub(count)
                    .filter(|&start| start >= self.floor());
                let Some(start) = start else {
                    return broken("its stack is empty");
                };
                let items = self.stack.split_off(start);
                self.push(Node::Tuple(items))?;
            }
            op::TUPLE => {
                let items = self.since_mark()?;
                self.push(Node::Tuple(items))?;
            }
            op::EMPTY_LIST => self.push(Node::List(Vec::new()))?,
            op::LIST => {
                let items = self.since_mark()?;
                self.push(Node::List(items))?;
            }
            op::APPEND => {
                let item = self.pop()?;
                self.extend_list(&[item])?;
            }
            op::APPENDS => {
                let items = self.since_mark()?;
                self.extend_list(&items)?;
            }
            op::EMPTY_DICT => self.push(Node::Dict(Vec::new()))?,
            op::DICT => {
                let items = self.since_mark()?;
                self.push(Node::Dict(Vec::new()))?;
                self.extend_dict(&items)?;
            }
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])?;
            }
            op::SETITEMS => {
                let items = self.since_mark()?;
                self.extend_dict(&items)?;
            }

            op::GLOBAL => {
                let module = self.line()?;
                let name = self.line()?;
                self.push(Node::Global(Global::find(module, name)?))?;
            }
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (self.pickle.text(module), self.pickle.text(name)) else {
                    return broken("the name of a global is no text");
                };
                let global = Global::find(module, name)?;
                self.push(Node::Global(global))?;
            }
            // NEWOBJ makes what calling makes: there is no class here whose two ways differ.
            op::REDUCE | op::NEWOBJ => {
                let arguments = self.pop()?;
                let callable = self.pop()?;
                let global = match *self.pickle.get(callable) {
                    Node::Global(global) => global,
                    Node::Passive => Global::Passive,
                    _ => return broken("it calls something that is no function"),
                };
                let Node::Tuple(arguments) = self.pickle.get(arguments) else {
                    return broken("the arguments of a call are no tuple");
                };
                let node = globals::call(&self.pickle, self.buffer, global, arguments)?;
                self.push(node)?;
            }
            // A call with keywords, which only objects have that are passed over.
            op::NEWOBJ_EX => {
                let (_keywords, _arguments) = (self.pop()?, self.pop()?);
                let callable = self.pop()?;
                if *self.pickle.get(callable) != Node::Global(Global::Passive) {
                    return broken("it makes an object with keywords");
                }
                self.push(Node::Passive)?;
            }
            op::EMPTY_SET => self.push(Node::List(Vec::new()))?,
            op::ADDITEMS => {
                let items = self.since_mark()?;
                self.extend_list(&items)?;
            }
            op::FROZENSET => {
                let items = self.since_mark()?;
                self.push(Node::List(items))?;
            }
            op::BUILD => {
                let state = self.pop()?;
                let target = self.top()?;
                globals::build(&mut self.pickle, self.buffer, target, state)?;
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = globals::storage(&self.pickle, id)?;
                self.push(storage)?;
            }

            op::BINPUT => {
                let slot = u64::from(self.byte()?);
                self.remember(slot)?;
            }
            op::LONG_BINPUT => {
                let slot = u64::from(u32::from_le_bytes(self.array()?));
                self.remember(slot)?;
            }
            op::MEMOIZE => self.remember(self.memo.len() as u64)?,
            op::PUT => {
                let slot = self.slot()?;
                self.remember(slot)?;
            }
            op::BINGET => {
                let slot = u64::from(self.byte()?);
                self.recall(slot)?;
            }
            op::LONG_BINGET => {
                let slot = u64::from(u32::from_le_bytes(self.array()?));
                self.recall(slot)?;
            }
            op::GET => {
                let slot = self.slot()?;
                self.recall(slot)?;
            }
            other => {
                return broken(format!(
                    "opcode 0x{other:02x} at byte {} is none that data needs",
                    self.position - 1
                ));
            }
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<(), Problem> {
        let id = self.pickle.add(node)?;
        self.put(id)
    }

    fn put(&mut self, id: Id) -> Result<(), Problem> {
        self.room(self.stack.len())?;
        self.stack.push(id);
        Ok(())
    }

    fn room(&self, used: usize) -> Result<(), Problem> {
        if used >= MAX_NODES {
            return broken(format!("its stack is deeper than {MAX_NODES}"));
        }
        Ok(())
    }

    /// Where the values since the last mark begin; nothing below is touched by other opcodes.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, Problem> {
        if self.stack.len() <= self.floor() {
            return broken("its stack is empty");
        }
        self.stack
            .pop()
            .ok_or_else(|| Problem::Broken("its stack is empty".into()))
    }

    fn top(&self) -> Result<Id, Problem> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => broken("its stack is empty"),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, Problem> {
        match self.marks.pop() {
            Some(start) => Ok(self.stack.split_off(start)),
            None => broken("a mark is missing"),
        }
    }

    fn extend_list(&mut self, items: &[Id]) -> Result<(), Problem> {
        let target = self.top()?;
        match self.pickle.get_mut(target) {
            Node::List(list) => {
                list.extend_from_slice(items);
                Ok(())
            }
            Node::Passive => Ok(()),
            _ => broken("it appends to something that is no list"),
        }
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<(), Problem> {
        if !items.len().is_multiple_of(2) {
            return broken("a key has no value");
        }
        let target = self.top()?;
        match self.pickle.get_mut(target) {
            Node::Dict(dict) => {
                dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                Ok(())
            }
            Node::Passive => Ok(()),
            _ => broken("it puts an item into something that is no dictionary"),
        }
    }

    fn remember(&mut self, slot: u64) -> Result<(), Problem> {
        self.room(self.memo.len())?;
        let top = self.top()?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u64) -> Result<(), Problem> {
        match self.memo.get(&slot) {
            Some(&id) => self.put(id),
            None => broken(format!("it recalls value {slot}, which it never stored")),
        }
    }

    fn slot(&mut self) -> Result<u64, Problem> {
        let line = self.line()?;
        line.parse()
            .map_err(|_| Problem::Broken(format!("'{}' is no number of a stored value", short(line))))
    }

    fn long(&mut self, length: usize) -> Result<(), Problem> {
        if length > MAX_STRING {
            return broken(format!("an integer claims {length} bytes"));
        }
        let bytes = self.take(length)?;
        let node = if length <= 8 {
            let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) {
                0xff
            } else {
                0
            };
            let mut wide = [sign; 8];
            wide[..length].copy_from_slice(bytes);
            Node::Int(i64::from_le_bytes(wide))
        } else {
            Node::Long(bytes.to_vec())
        };
        self.push(node)
    }

    fn text(&mut self, length: usize) -> Result<(), Problem> {
        // Only the contents of arrays are longer; protocol 2 writes them as text, too.
        let bytes = self.take(length)?;
        let Ok(text) = std::str::from_utf8(bytes) else {
            return broken("a text is not UTF-8");
        };
        self.push(Node::Str(text.into()))
    }

    fn bytes(&mut self, length: usize) -> Result<(), Problem> {
        let start = self.position;
        self.take(length)?;
        self.push(Node::Bytes(Data::Slice(start..start + length)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let rest = &self.buffer[self.position..];
        if length > rest.len() {
            return broken(format!(
                "at byte {} it claims {length} more bytes, {} are left",
                self.position,
                rest.len()
            ));
        }
        self.position += length;
        Ok(&rest[..length])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        Ok(self.take(1)?[0])
    }

    fn length4(&mut self) -> Result<usize, Problem> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn length8(&mut self) -> Result<usize, Problem> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).or_else(|_| broken(format!("it claims {length} bytes")))
    }

    /// Up to the next line feed, without it.
    fn line(&mut self) -> Result<&'a str, Problem> {
        let rest = &self.buffer[self.position..];
        let end = rest.iter().take(MAX_STRING).position(|&b| b == b'\n');
        let Some(end) = end else {
            return broken("a line does not end");
        };
        self.position += end + 1;
        std::str::from_utf8(&rest[..end]).or_else(|_| broken("a line is not UTF-8"))
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
