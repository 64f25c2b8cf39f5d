//! The pickle machine, protocols 0 to 5, as data: no class is looked up and no function called.
//!
//! Values live in one arena and refer to each other by number, so shared and circular ones cost
//! nothing. Each operation makes at most one value and takes at least one byte, which bounds the
//! arena by the stream's length; the stream's length is capped.

use super::values::{Id, Value, Values};
use crate::error::{Error, Result};

/// Longest stream that is read: a checkpoint of a thousand tensors has about 300 kB.
pub(super) const MAX_STREAM: usize = 16 << 20;

fn fail(offset: usize, reason: impl Into<String>) -> Error {
    Error::Checkpoint {
        place: format!("pickle, byte {offset}"),
        reason: reason.into(),
    }
}

struct Machine<'a> {
    data: &'a [u8],
    at: usize,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: std::collections::HashMap<u64, Id>,
    values: Values,
}

/// Reads one pickle and returns its values and the last one's number.
pub(super) fn read(data: &[u8]) -> Result<(Values, Id)> {
    if data.len() > MAX_STREAM {
        return Err(fail(
            0,
            format!(
                "{} bytes, more than the {MAX_STREAM} that are read",
                data.len()
            ),
        ));
    }
    let mut m = Machine {
        data,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Default::default(),
        values: Values::default(),
    };
    loop {
        if let Some(id) = m.step()? {
            return Ok((m.values, id));
        }
    }
}

impl Machine<'_> {
    fn bytes(&mut self, n: usize) -> Result<&[u8]> {
        let from = self.at;
        let part = from
            .checked_add(n)
            .and_then(|to| self.data.get(from..to))
            .ok_or_else(|| fail(from, format!("{n} bytes expected, the stream ends")))?;
        self.at = from + n;
        Ok(part)
    }

    fn number(&mut self, n: usize) -> Result<u64> {
        let part = self.bytes(n)?;
        Ok(part
            .iter()
            .rev()
            .fold(0, |v: u64, b| (v << 8) | u64::from(*b)))
    }

    fn length(&mut self, n: usize) -> Result<usize> {
        let at = self.at;
        usize::try_from(self.number(n)?).map_err(|_| fail(at, "a length beyond this machine"))
    }

    fn line(&mut self) -> Result<&[u8]> {
        let rest = self.data.get(self.at..).unwrap_or(&[]);
        let n = rest
            .iter()
            .position(|b| *b == b'\n')
            .ok_or_else(|| fail(self.at, "a line without end"))?;
        let line = self.bytes(n + 1)?;
        Ok(&line[..n])
    }

    fn push(&mut self, v: Value) {
        let id = self.values.add(v);
        self.stack.push(id);
    }

    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(fail(self.at, "a value expected, the stack is empty"));
        }
        self.stack
            .pop()
            .ok_or_else(|| fail(self.at, "a value expected, the stack is empty"))
    }

    fn top(&self) -> Result<Id> {
        self.stack
            .last()
            .copied()
            .ok_or_else(|| fail(self.at, "a value expected, the stack is empty"))
    }

    fn since_mark(&mut self) -> Result<Vec<Id>> {
        let from = self
            .marks
            .pop()
            .ok_or_else(|| fail(self.at, "a mark expected"))?;
        Ok(self.stack.split_off(from.min(self.stack.len())))
    }

    fn text(&mut self, n: usize) -> Result<()> {
        let s = String::from_utf8_lossy(self.bytes(n)?).into_owned();
        self.push(Value::Text(s));
        Ok(())
    }

    fn blob(&mut self, n: usize) -> Result<()> {
        // The bytes themselves are never needed.
        self.bytes(n)?;
        self.push(Value::Opaque);
        Ok(())
    }

    /// Little-endian two's complement of `n` bytes.
    fn long(&mut self, n: usize) -> Result<()> {
        let part = self.bytes(n)?;
        let v = match part.last() {
            None => Some(0),
            Some(top) if part.len() <= 8 => {
                let fill = if top & 0x80 != 0 { -1i64 } else { 0 };
                Some(
                    part.iter()
                        .rev()
                        .fold(fill, |v, b| (v << 8) | i64::from(*b)),
                )
            }
            Some(_) => None,
        };
        self.push(v.map_or(Value::Opaque, Value::Int));
        Ok(())
    }

    fn memo(&mut self, key: u64) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        let id = *self
            .memo
            .get(&key)
            .ok_or_else(|| fail(self.at, format!("nothing was remembered as {key}")))?;
        self.stack.push(id);
        Ok(())
    }

    fn decimal(&mut self) -> Result<u64> {
        let at = self.at;
        let line = self.line()?;
        std::str::from_utf8(line)
            .ok()
            .and_then(|s| s.trim().parse().ok())
            .ok_or_else(|| fail(at, "a number expected"))
    }

    fn call(&mut self, count: usize) -> Result<()> {
        // NEWOBJ_EX has keywords on top; they are no tensors.
        for _ in 2..count {
            self.pop()?;
        }
        let arguments = self.pop()?;
        let class = self.pop()?;
        self.push(Value::Call { class, arguments });
        Ok(())
    }

    fn tuple(&mut self, n: usize) -> Result<()> {
        let mut items = Vec::with_capacity(n);
        for _ in 0..n {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Items(items));
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Id>) -> Result<()> {
        let owner = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(fail(self.at, "a key without a value"));
        }
        self.values.set_items(owner, pairs);
        Ok(())
    }

    /// One operation; the result at the end of the stream.
    fn step(&mut self) -> Result<Option<Id>> {
        let at = self.at;
        let op = self.number(1)? as u8;
        match op {
            b'.' => return self.pop().map(Some),
            0x80 => {
                let version = self.number(1)?;
                if version > 5 {
                    return Err(fail(at, format!("protocol {version}, expected 5 or less")));
                }
            }
            0x95 => {
                self.number(8)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                // POP takes a mark where one lies on top.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => {
                self.since_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' | 0x88 | 0x89 => self.push(Value::Opaque),
            b'J' => {
                let v = self.number(4)? as u32 as i32;
                self.push(Value::Int(v.into()));
            }
            b'K' => {
                let v = self.number(1)? as i64;
                self.push(Value::Int(v));
            }
            b'M' => {
                let v = self.number(2)? as i64;
                self.push(Value::Int(v));
            }
            0x8a => {
                let n = self.length(1)?;
                self.long(n)?;
            }
            0x8b => {
                let n = self.length(4)?;
                self.long(n)?;
            }
            b'I' | b'L' => {
                let line = String::from_utf8_lossy(self.line()?).into_owned();
                let v = match line.as_str() {
                    // False and true of protocol 0.
                    "00" | "01" => Value::Opaque,
                    s => s
                        .trim_end_matches('L')
                        .parse()
                        .map_or(Value::Opaque, Value::Int),
                };
                self.push(v);
            }
            b'F' => {
                self.line()?;
                self.push(Value::Opaque);
            }
            b'G' => self.blob(8)?,
            b'X' | b'T' => {
                let n = self.length(4)?;
                self.text(n)?;
            }
            0x8c | b'U' => {
                let n = self.length(1)?;
                self.text(n)?;
            }
            0x8d => {
                let n = self.length(8)?;
                self.text(n)?;
            }
            b'V' | b'S' => {
                let s = String::from_utf8_lossy(self.line()?).into_owned();
                let quoted = |q: char| s.strip_prefix(q).and_then(|s| s.strip_suffix(q));
                let s = match op {
                    b'S' => quoted('\'').or(quoted('"')).unwrap_or(&s).to_string(),
                    _ => s,
                };
                self.push(Value::Text(s));
            }
            b'B' => {
                let n = self.length(4)?;
                self.blob(n)?;
            }
            b'C' => {
                let n = self.length(1)?;
                self.blob(n)?;
            }
            0x8e | 0x96 => {
                let n = self.length(8)?;
                self.blob(n)?;
            }
            b')' => self.push(Value::Items(Vec::new())),
            b']' | 0x8f => self.push(Value::Items(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' | b'l' | 0x91 => {
                let items = self.since_mark()?;
                self.push(Value::Items(items));
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push(Value::Dict(Vec::new()));
                self.set_items(items)?;
            }
            b'a' => {
                let item = self.pop()?;
                let owner = self.top()?;
                self.values.append(owner, &[item]);
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                let owner = self.top()?;
                self.values.append(owner, &items);
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set_items(items)?;
            }
            b'c' => {
                let module = String::from_utf8_lossy(self.line()?).into_owned();
                let name = String::from_utf8_lossy(self.line()?).into_owned();
                self.push(Value::Global(format!("{module}.{name}")));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let path = match (self.values.text(module), self.values.text(name)) {
                    (Some(m), Some(n)) => format!("{m}.{n}"),
                    _ => return Err(fail(at, "a class without a name")),
                };
                self.push(Value::Global(path));
            }
            b'R' | 0x81 => self.call(2)?,
            0x92 => self.call(3)?,
            b'o' => {
                let mut items = self.since_mark()?;
                if items.is_empty() {
                    return Err(fail(at, "an object without a class"));
                }
                let class = items.remove(0);
                let arguments = self.values.add(Value::Items(items));
                self.push(Value::Call { class, arguments });
            }
            b'i' => {
                let module = String::from_utf8_lossy(self.line()?).into_owned();
                let name = String::from_utf8_lossy(self.line()?).into_owned();
                let items = self.since_mark()?;
                let class = self.values.add(Value::Global(format!("{module}.{name}")));
                let arguments = self.values.add(Value::Items(items));
                self.push(Value::Call { class, arguments });
            }
            // The state of an object of whatever class: no tensor that is asked for lies in one.
            b'b' => {
                self.pop()?;
                self.top()?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            b'P' => {
                self.line()?;
                self.push(Value::Opaque);
            }
            b'q' => {
                let key = self.number(1)?;
                self.memo(key)?;
            }
            b'r' => {
                let key = self.number(4)?;
                self.memo(key)?;
            }
            b'p' => {
                let key = self.decimal()?;
                self.memo(key)?;
            }
            0x94 => {
                let key = self.memo.len() as u64;
                self.memo(key)?;
            }
            b'h' => {
                let key = self.number(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.number(4)?;
                self.recall(key)?;
            }
            b'g' => {
                let key = self.decimal()?;
                self.recall(key)?;
            }
            other => return Err(fail(at, format!("unknown operation {other:#04x}"))),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values() {
        // pickle.dumps({"a": (1, -2, 300, 1 << 40)}, 2) and protocol 4.
        let two = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01(K\x01J\xfe\xff\xff\xffM,\x01\x8a\x06\x00\x00\x00\x00\x00\x01tq\x02s.";
        let four = b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94(K\x01J\xfe\xff\xff\xffM,\x01\x8a\x06\x00\x00\x00\x00\x00\x01t\x94s.";
        for data in [two.as_slice(), four] {
            let (values, root) = read(data).unwrap();
            let id = values.entry(root, "a").unwrap();
            assert_eq!(values.integers(id).unwrap(), [1, -2, 300, 1 << 40]);
        }
    }

    #[test]
    fn every_truncation_and_every_byte_is_an_answer() {
        let data = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01(K\x01J\xfe\xff\xff\xffM,\x01\x8a\x06\x00\x00\x00\x00\x00\x01tq\x02s.";
        for n in 0..data.len() {
            assert!(read(&data[..n]).is_err(), "{n}");
        }
        for i in 0..data.len() {
            for b in 0..=255 {
                let mut d = data.to_vec();
                d[i] = b;
                let _ = read(&d);
            }
        }
        assert!(read(&vec![b'('; MAX_STREAM + 1]).is_err());
        // A list inside itself, and a mark that hides the stack.
        let (values, root) = read(b"]q\x00h\x00a.").unwrap();
        assert!(values.entry(root, "a").is_none());
        for bad in [b"K\x01(.".as_slice(), b"K\x01(0.", b"(K\x01)b."] {
            let _ = read(bad);
        }
        assert!(read(b"K\x01(R.").is_err());
    }
}
