//! The machine: a stack, a memo and the opcodes of protocols 0 to 5 that data is made of.

use std::collections::HashMap;

use super::globals::{self, Global};
use super::{Data, Id, MAX_NODES, MAX_STRING, Node, Pickle, Problem, broken};

/// Reads pickles from a buffer, one after the other.
#[derive(Debug)]
pub(in crate::weights) struct Machine<'a> {
    buffer: &'a [u8],
    position: usize,
    pickle: Pickle,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
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
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), Problem> {
        match opcode {
            // Protocol and frame: how it was written does not matter.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),

            b'(' => {
                self.room(self.marks.len())?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = self.top()?;
                self.put(top)?;
            }

            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'K' => {
                let n = self.byte()?;
                self.push(Node::Int(i64::from(n)))?;
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(i64::from(n)))?;
            }
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(i64::from(n)))?;
            }
            0x8a => {
                let length = usize::from(self.byte()?);
                self.long(length)?;
            }
            0x8b => {
                let length = self.length4()?;
                self.long(length)?;
            }
            b'I' | b'L' => {
                let line = self.line()?;
                let node = match line {
                    "00" if opcode == b'I' => Node::Bool(false),
                    "01" if opcode == b'I' => Node::Bool(true),
                    _ => match line.trim_end_matches('L').parse() {
                        Ok(n) => Node::Int(n),
                        Err(_) => return broken(format!("'{}' is no integer", short(line))),
                    },
                };
                self.push(node)?;
            }
            b'F' => {
                let line = self.line()?;
                let Ok(x) = line.parse() else {
                    return broken(format!("'{}' is no number", short(line)));
                };
                self.push(Node::Float(x))?;
            }
            b'G' => {
                let x = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(x))?;
            }

            b'X' => {
                let length = self.length4()?;
                self.text(length)?;
            }
            0x8c => {
                let length = usize::from(self.byte()?);
                self.text(length)?;
            }
            0x8d => {
                let length = self.length8()?;
                self.text(length)?;
            }
            b'B' => {
                let length = self.length4()?;
                self.bytes(length)?;
            }
            b'C' => {
                let length = usize::from(self.byte()?);
                self.bytes(length)?;
            }
            0x8e | 0x96 => {
                let length = self.length8()?;
                self.bytes(length)?;
            }
            // Strings of Python 2: names are text, the contents of arrays are bytes.
            b'T' | b'U' => {
                let length = if opcode == b'T' {
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

            b')' => self.push(Node::Tuple(Vec::new()))?,
            b'\x85' | b'\x86' | b'\x87' => {
                let count = usize::from(opcode - 0x84);
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
            b't' => {
                let items = self.since_mark()?;
                self.push(Node::Tuple(items))?;
            }
            b']' => self.push(Node::List(Vec::new()))?,
            b'l' => {
                let items = self.since_mark()?;
                self.push(Node::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(&[item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend_list(&items)?;
            }
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'd' => {
                let items = self.since_mark()?;
                self.push(Node::Dict(Vec::new()))?;
                self.extend_dict(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.extend_dict(&items)?;
            }

            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push(Node::Global(Global::find(module, name)?))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (self.pickle.text(module), self.pickle.text(name)) else {
                    return broken("the name of a global is no text");
                };
                let global = Global::find(module, name)?;
                self.push(Node::Global(global))?;
            }
            // NEWOBJ makes what calling makes: there is no class here whose two ways differ.
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let callable = self.pop()?;
                let Node::Global(global) = *self.pickle.get(callable) else {
                    return broken("it calls something that is no function");
                };
                let Node::Tuple(arguments) = self.pickle.get(arguments) else {
                    return broken("the arguments of a call are no tuple");
                };
                let node = globals::call(&self.pickle, self.buffer, global, arguments)?;
                self.push(node)?;
            }
            b'b' => {
                let state = self.pop()?;
                let target = self.top()?;
                globals::build(&mut self.pickle, self.buffer, target, state)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = globals::storage(&self.pickle, id)?;
                self.push(storage)?;
            }

            b'q' => {
                let slot = u64::from(self.byte()?);
                self.remember(slot)?;
            }
            b'r' => {
                let slot = u64::from(u32::from_le_bytes(self.array()?));
                self.remember(slot)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'p' => {
                let slot = self.slot()?;
                self.remember(slot)?;
            }
            b'h' => {
                let slot = u64::from(self.byte()?);
                self.recall(slot)?;
            }
            b'j' => {
                let slot = u64::from(u32::from_le_bytes(self.array()?));
                self.recall(slot)?;
            }
            b'g' => {
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
