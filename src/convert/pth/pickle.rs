//! A stack machine for the few instructions that state dictionaries are pickled with.
//!
//! A pickle is a program which may call anything by name. This machine knows the names in [`Global`], none of which
//! runs code, and refuses the rest. Whatever it makes lies in flat vectors and refers to other things by index: there is
//! no recursion to exhaust, a thing that contains itself is harmless, and memory grows by a constant per byte read.

use std::collections::HashMap;

use super::objects::{Global, Heap, Value};
use super::source::Fault;

/// Longest pickle that is read. The longest of an official network has 40 kB, and a byte costs up to 100 in memory.
pub const MAX_BYTES: u64 = 1 << 20;

/// The machine in the middle of a pickle.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    heap: Heap<'a>,
}

/// What a pickle describes.
pub struct Pickle<'a> {
    /// The outermost thing.
    pub root: Value,
    /// Everything.
    pub heap: Heap<'a>,
    /// Bytes read.
    pub len: usize,
}

/// Reads one pickle, which starts with the first byte; `base` is where that byte is in the file.
pub fn read(bytes: &[u8], base: u64) -> Result<Pickle<'_>, Fault> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        heap: Heap::new(bytes),
    };
    loop {
        let at = machine.at;
        machine.heap.at = base + at as u64;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => {
                return Ok(Pickle {
                    root,
                    heap: machine.heap,
                    len: machine.at,
                });
            }
            Err(why) => return Err(Fault::at(base + at as u64, why)),
        }
    }
}

impl<'a> Machine<'a> {
    /// Follows one instruction; the result if it was the last.
    fn step(&mut self) -> Result<Option<Value>, String> {
        let code = self.take(1)?[0];
        match code {
            0x80 => self.protocol()?,
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a => self.integer(code)?,
            b'X' | b'T' | b'U' => self.text(code)?,
            b')' | 0x85..=0x87 | b't' => self.tuple(code)?,
            b']' => self.fresh(Value::List),
            b'}' => self.fresh(Value::Dict),
            b'a' | b'e' | b's' | b'u' => self.add(code)?,
            b'q' | b'r' => {
                let slot = self.slot(code == b'r')?;
                self.memo.insert(slot, self.top()?);
            }
            b'h' | b'j' => {
                let slot = self.slot(code == b'j')?;
                let value = self.memo.get(&slot);
                let value = value.ok_or_else(|| format!("nothing was remembered as {slot}"))?;
                self.stack.push(*value);
            }
            b'c' => self.global()?,
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let made = self.heap.call(function, arguments)?;
                self.stack.push(made);
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                self.heap.build(object, state)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.heap.persistent(id)?;
                self.stack.push(storage);
            }
            code => {
                return Err(format!(
                    "instruction {code:#04x} has no place in a state dictionary: save the network's state_dict() alone"
                ));
            }
        }
        Ok(None)
    }

    fn protocol(&mut self) -> Result<(), String> {
        match self.take(1)?[0] {
            2 => Ok(()),
            version => Err(format!(
                "pickle protocol {version} is not read: save with torch.save's own, which is 2"
            )),
        }
    }

    fn integer(&mut self, code: u8) -> Result<(), String> {
        let count = match code {
            b'K' => 1,
            b'M' => 2,
            b'J' => 4,
            _ => usize::from(self.take(1)?[0]),
        };
        let bytes = self.take(count)?;
        if count > size_of::<i64>() {
            return Err(format!("an integer of {count} bytes"));
        }
        let signed = !matches!(code, b'K' | b'M');
        let negative = signed && bytes.last().is_some_and(|&b| b >= 0x80);
        let mut number = [if negative { 0xff } else { 0 }; 8];
        number[..count].copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(number)));
        Ok(())
    }

    fn text(&mut self, code: u8) -> Result<(), String> {
        let count = match code {
            b'U' => usize::from(self.take(1)?[0]),
            _ => self.word()? as usize,
        };
        if count > MAX_TEXT {
            return Err(format!("a text of {count} bytes, where names are shorter"));
        }
        let start = self.at;
        let text = self.take(count)?;
        std::str::from_utf8(text).map_err(|_| "a text that is not UTF-8")?;
        self.stack.push(Value::text(start, count));
        Ok(())
    }

    fn tuple(&mut self, code: u8) -> Result<(), String> {
        let from = match code {
            b')' => Some(self.stack.len()),
            b't' => Some(self.mark()?),
            _ => self.stack.len().checked_sub(usize::from(code - 0x84)),
        };
        let from = from.filter(|&from| from >= self.floor());
        let items = self.stack.drain(from.ok_or(EMPTY)?..);
        let tuple = self.heap.tuple(items);
        self.stack.push(tuple);
        Ok(())
    }

    fn fresh(&mut self, kind: fn(u32) -> Value) {
        let container = kind(self.heap.container());
        self.stack.push(container);
    }

    /// Adds one thing or all since the mark to a list, or pairs of them to a dictionary.
    fn add(&mut self, code: u8) -> Result<(), String> {
        let from = match code {
            b'a' => self.stack.len().checked_sub(1),
            b's' => self.stack.len().checked_sub(2),
            _ => Some(self.mark()?),
        };
        let below = from.and_then(|from| from.checked_sub(1));
        let below = below.filter(|&below| below >= self.floor()).ok_or(EMPTY)?;
        let items = match (code, self.stack[below]) {
            (b'a' | b'e', Value::List(id)) | (b's' | b'u', Value::Dict(id)) => id,
            (_, other) => return Err(format!("things added to {}", other.kind())),
        };
        let added = self.stack.drain(below + 1..);
        if matches!(code, b's' | b'u') && !added.len().is_multiple_of(2) {
            return Err("a key without a value".into());
        }
        self.heap.extend(items, added);
        Ok(())
    }

    fn global(&mut self) -> Result<(), String> {
        let (module, name) = (self.line()?, self.line()?);
        let global = Global::of(module, name).ok_or_else(|| {
            format!(
                "it refers to {module}.{name}, which is no part of a state dictionary and is not run: save the network's state_dict() alone"
            )
        })?;
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<Value, String> {
        match self.stack.len() > self.floor() {
            true => Ok(self.stack[self.stack.len() - 1]),
            false => Err(EMPTY.into()),
        }
    }

    /// Height of the stack at the last mark: nothing reaches below.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn mark(&mut self) -> Result<usize, String> {
        self.marks.pop().ok_or_else(|| "no mark was set".into())
    }

    fn slot(&mut self, long: bool) -> Result<u32, String> {
        match long {
            true => self.word(),
            false => Ok(self.take(1)?[0].into()),
        }
    }

    fn word(&mut self) -> Result<u32, String> {
        self.take(4).map(bytemuck::pod_read_unaligned)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let bytes = self.bytes[self.at..].get(..count).ok_or_else(|| {
            format!("the pickle ends too early, or is longer than {MAX_BYTES} bytes")
        })?;
        self.at += count;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(MAX_NAME).position(|&b| b == b'\n');
        let line = self.take(end.ok_or("a name without an end")? + 1)?;
        std::str::from_utf8(&line[..line.len() - 1]).map_err(|_| "a name that is not UTF-8".into())
    }
}

/// Longest text. A remembered one costs time, not space, each time it is used.
const MAX_TEXT: usize = 1024;

/// Longest name of a module or class that is looked for.
const MAX_NAME: usize = 256;

const EMPTY: &str = "the stack is empty";
