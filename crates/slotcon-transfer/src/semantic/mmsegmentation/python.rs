//! The values in a configuration of MMSegmentation: assignments of Python literals, read and never run.

use serde_json::{Map, Number, Value};

/// Lists in lists.
const MAX_DEPTH: usize = 32;
/// Longest text that is read; those of MMSegmentation have some 10 KB.
const MAX_TEXT: usize = 4 << 20;

/// Every `name = value` of `text` whose value is a literal: numbers, texts, lists, tuples (as lists), dictionaries, `dict(…)`
/// and names assigned before. The second part names the first statement that is none, which is left out.
pub(super) fn assignments(text: &str) -> (Map<String, Value>, Option<String>) {
    let mut found = Map::new();
    let mut left_out = None;
    if text.len() > MAX_TEXT {
        return (found, Some(format!("it has {} bytes", text.len())));
    }
    for statement in statements(text) {
        let mut parser = Parser {
            rest: statement,
            names: &found,
        };
        match parser.assignment() {
            Ok((name, value)) => drop(found.insert(name, value)),
            Err(reason) => {
                let first = statement.lines().next().unwrap_or_default();
                left_out.get_or_insert_with(|| format!("'{first}': {reason}"));
            }
        }
    }
    (found, left_out)
}

/// Parts that begin with a name at the start of a line.
fn statements(text: &str) -> Vec<&str> {
    let starts_one = |line: &str| {
        let name = line.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        name.len() < line.len() && name.trim_start().starts_with('=')
    };
    let (mut starts, mut at) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        if starts_one(line) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| &text[start..end])
        .collect()
}

struct Parser<'a> {
    rest: &'a str,
    names: &'a Map<String, Value>,
}

impl<'a> Parser<'a> {
    fn assignment(&mut self) -> Result<(String, Value), String> {
        let name = self.name().to_owned();
        self.expect('=')?;
        let value = self.value(0)?;
        self.space();
        match self.rest {
            "" => Ok((name, value)),
            _ => Err("it is more than a literal".into()),
        }
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.find('\n').map_or("", |end| &comment[end..]),
                None => return,
            }
        }
    }

    fn eat(&mut self, mark: char) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, mark: char) -> Result<(), String> {
        match self.eat(mark) {
            true => Ok(()),
            false => Err(format!("'{mark}' is missing")),
        }
    }

    fn name(&mut self) -> &'a str {
        self.space();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        name
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        self.space();
        match self.rest.chars().next() {
            Some('[') => Ok(Value::Array(self.list(']', depth)?.0)),
            Some('(') => {
                let (mut values, tuple) = self.list(')', depth)?;
                match values.pop() {
                    Some(only) if values.is_empty() && !tuple => Ok(only),
                    last => Ok(Value::Array(values.into_iter().chain(last).collect())),
                }
            }
            Some('{') => self.braces(depth),
            Some('\'' | '"') => {
                let mut text = String::new();
                // Neighbours are one text.
                while self.rest.starts_with(['\'', '"']) {
                    text += &self.text()?;
                    self.space();
                }
                Ok(Value::String(text))
            }
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            _ => match self.name() {
                "True" => Ok(Value::Bool(true)),
                "False" => Ok(Value::Bool(false)),
                "None" => Ok(Value::Null),
                "dict" => self.call(depth),
                name => {
                    let value = self.names.get(name).cloned();
                    value.ok_or_else(|| format!("'{name}' is no literal"))
                }
            },
        }
    }

    /// Values up to `end`, and whether a comma stands among or behind them.
    fn list(&mut self, end: char, depth: usize) -> Result<(Vec<Value>, bool), String> {
        self.rest = &self.rest[1..];
        let (mut values, mut comma) = (Vec::new(), false);
        while !self.eat(end) {
            if !values.is_empty() {
                self.expect(',')?;
                comma = true;
                if self.eat(end) {
                    break;
                }
            }
            values.push(self.value(depth + 1)?);
        }
        // () is a tuple, too.
        Ok((values, comma))
    }

    fn braces(&mut self, depth: usize) -> Result<Value, String> {
        self.rest = &self.rest[1..];
        let mut items = Map::new();
        while !self.eat('}') {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                key => key.to_string(),
            };
            self.expect(':')?;
            items.insert(key, self.value(depth + 1)?);
            if !self.eat(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok(Value::Object(items))
    }

    /// What follows `dict`: keywords, or one dictionary.
    fn call(&mut self, depth: usize) -> Result<Value, String> {
        self.expect('(')?;
        let mut items = Map::new();
        while !self.eat(')') {
            if self.rest.starts_with('{') {
                match self.braces(depth + 1)? {
                    Value::Object(inner) => items.extend(inner),
                    _ => return Err("dict is given no dictionary".into()),
                }
            } else {
                let key = self.name().to_owned();
                self.expect('=')?;
                items.insert(key, self.value(depth + 1)?);
            }
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(Value::Object(items))
    }

    fn text(&mut self) -> Result<String, String> {
        let long = ["'''", "\"\"\""]
            .into_iter()
            .find(|quote| self.rest.starts_with(quote));
        let quote = long.unwrap_or(&self.rest[..1]);
        let mut rest = self.rest[quote.len()..].chars();
        let mut text = String::new();
        loop {
            if let Some(behind) = rest.as_str().strip_prefix(quote) {
                self.rest = behind;
                return Ok(text);
            }
            match rest.next() {
                Some('\\') => match rest.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('\n') => {}
                    Some(c @ ('\\' | '\'' | '"')) => text.push(c),
                    // What a regular expression or a path may hold: as it stands.
                    Some(c) => text.extend(['\\', c]),
                    None => return Err("a text does not end".into()),
                },
                Some(c) => text.push(c),
                None => return Err("a text does not end".into()),
            }
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"+-._".contains(c));
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let plain = digits.replace('_', "");
        if let Ok(whole) = plain.parse::<i64>() {
            return Ok(Value::Number(whole.into()));
        }
        let number = plain.parse().ok().and_then(Number::from_f64);
        number
            .map(Value::Number)
            .ok_or_else(|| format!("'{digits}' is no number"))
    }
}

/// `value` as Python writes it.
pub(super) fn written(value: &Value) -> String {
    let list = |values: &[Value]| values.iter().map(written).collect::<Vec<_>>().join(", ");
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(values) => format!("[{}]", list(values)),
        Value::Object(items) => {
            let items = items
                .iter()
                .map(|(key, value)| format!("{key}={}", written(value)));
            format!("dict({})", items.collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('\'', "\\'")
        .replace('\n', "\\n");
    format!("'{escaped}'")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn literals_are_read_as_python_means_them() {
        let text = r#"# a comment
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(norm_cfg=norm_cfg, strides=(1, 2, 2, 1), one=(3, ), same=(3)),
    head=dict(type="FCN" 'Head', weight=-1.5e-3, none=None, at=dict({'a b': [1, ], 2: ()})),  # behind
)
"#;
        let (found, left_out) = assignments(text);
        assert_eq!(left_out, None);
        let expected = json!({
            "norm_cfg": {"type": "SyncBN", "requires_grad": true},
            "model": {
                "backbone": {"norm_cfg": {"type": "SyncBN", "requires_grad": true}, "strides": [1, 2, 2, 1], "one": [3], "same": 3},
                "head": {"type": "FCNHead", "weight": -0.0015, "none": null, "at": {"a b": [1], "2": []}},
            },
        });
        assert_eq!(Value::Object(found.clone()), expected);
        let again: String = found
            .iter()
            .map(|(name, value)| format!("{name} = {}\n", written(value)))
            .collect();
        let simple = "model = dict(a='it\\'s \\\\', b=[1, 2.5], c=None)\n";
        assert_eq!(
            written(&assignments(simple).0["model"]),
            "dict(a='it\\'s \\\\', b=[1, 2.5], c=None)"
        );
        assert!(again.contains("dict(type='SyncBN'") || again.contains("type='SyncBN'"));
    }

    #[test]
    fn what_is_no_literal_is_left_out_by_name_and_nothing_is_run() {
        let (found, left_out) =
            assignments("a = 1\nb = __import__('os').system('x')\nc = [2\nd = 'x\ne = 3\n");
        assert_eq!(Value::Object(found), json!({"a": 1, "e": 3}));
        assert!(left_out.unwrap().contains("b = __import__"));
        let deep = format!("a = {}", "[".repeat(100_000));
        assert!(assignments(&deep).1.unwrap().contains("nested"));
        for odd in [
            "=",
            "a =",
            "a = '",
            "a = \"\"\"",
            "a = dict(",
            "a = {1",
            "a = (,)",
            "a = é",
        ] {
            let _ = assignments(odd);
        }
    }
}
