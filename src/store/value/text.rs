//! Reads JSON text as `JSON.parse` does, with the place of every fault and what came before it: total on any bytes (J13).
//!
//! What no JSON value of a store can hold is replaced and told: halves of surrogate pairs and bytes that are no text by
//! U+FFFD, numbers beyond 64 bits by the nearest float.

use std::borrow::Cow;

use serde_json::Number;

use crate::store::value::{Array, DEPTH_MAX, Object, Value};

/// How deep a text may be nested in which each member is a document.
const DOCUMENTS_DEPTH_MAX: usize = DEPTH_MAX + 1;
/// How many things of one sort are told one by one; the rest is only counted.
pub(crate) const TOLD_MAX: usize = 1000;

/// Something worth telling that is not in the way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noted {
    pub(crate) line: u64,
    pub(crate) what: String,
}

/// What was replaced on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Notes {
    /// Escaped halves of surrogate pairs without their other half.
    pub(crate) surrogates: u64,
    /// Sequences of bytes that are no UTF-8.
    pub(crate) bytes: u64,
    /// Keys that came twice in one object, inside documents.
    pub(crate) twice: Vec<Noted>,
    pub(crate) twice_count: u64,
    /// Numbers that became a float that is not quite them.
    pub(crate) inexact: Vec<Noted>,
    pub(crate) inexact_count: u64,
    /// Those of them that are beyond all floats.
    pub(crate) overflows: u64,
}

/// Why reading stopped, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) offset: usize,
    pub(crate) line: u64,
    /// In characters, from 1.
    pub(crate) column: u64,
    pub(crate) what: String,
    /// Whether the text merely ended too early.
    pub(crate) is_cut: bool,
}

/// What the text is, on the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    Object,
    Array,
    Other,
}

/// A member of the outermost object, an element of the outermost array (whose key is empty), or the whole value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) line: u64,
}

/// A text, read as far as it goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) outside: Outside,
    /// In the order of the text, each whole.
    pub(crate) parts: Vec<Part>,
    pub(crate) notes: Notes,
    /// Why it ended before its end.
    pub(crate) fault: Option<Fault>,
    /// Of the member in which the fault is: its key and, if it is an array, the elements before the fault.
    pub(crate) broken: Option<(String, Array)>,
    /// The value is whole, and the fault is that another follows.
    pub(crate) is_followed: bool,
    /// Where the last whole part ends.
    pub(crate) whole_end: usize,
    /// How far it was understood; behind a whole value only spaces may follow.
    pub(crate) end: usize,
}

/// Reads a text that is one value, nested at most so deep.
pub(crate) fn parse_value(bytes: &[u8], depth_max: usize) -> Result<(Value, Notes), Fault> {
    parse_all(bytes, depth_max, |reader| reader.value(0))
}

/// An array that begins with two texts, and the values behind them.
pub(crate) struct Entry<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) path: Cow<'a, str>,
    pub(crate) rest: Vec<Value>,
}

/// Reads a text that is such an array, nested at most so deep. Nothing is made of the array itself.
pub(crate) fn parse_entry(bytes: &[u8], depth_max: usize) -> Result<(Entry<'_>, Notes), Fault> {
    parse_all(bytes, depth_max, |reader| {
        let (mut texts, mut rest) = ([Cow::Borrowed(""), Cow::Borrowed("")], Vec::new());
        let mut count = 0;
        if !reader.take(b'[') {
            return Err(reader.fault("an array was expected"));
        }
        reader.elements(|reader| {
            match texts.get_mut(count) {
                Some(text) if reader.peek() == Some(b'"') => *text = reader.string()?,
                Some(_) => return Err(reader.fault("a text was expected")),
                None => rest.push(reader.value(1)?),
            }
            count += 1;
            Ok(())
        })?;
        let [name, path] = texts;
        match count {
            0 | 1 => Err(reader.fault("two texts were expected")),
            _ => Ok(Entry { name, path, rest }),
        }
    })
}

fn parse_all<'a, T>(
    bytes: &'a [u8],
    depth_max: usize,
    read: impl FnOnce(&mut Reader<'a>) -> Read<T>,
) -> Result<(T, Notes), Fault> {
    let mut reader = Reader::new(bytes, depth_max);
    reader.spaces();
    let found = read(&mut reader)?;
    reader.spaces();
    match reader.at == bytes.len() {
        true => Ok((found, reader.notes)),
        false => Err(reader.fault("something follows the end of the value")),
    }
}

/// Reads a whole file whose members are documents. A fault does not take away what came before it.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let mut parsed = parse_first(bytes);
    if parsed.fault.is_none() && parsed.end < bytes.len() {
        parsed.is_followed = true;
        let mut reader = Reader::new(bytes, DOCUMENTS_DEPTH_MAX);
        reader.at = parsed.end;
        parsed.fault = Some(reader.fault("something follows the end of the value"));
    }
    parsed
}

/// Reads the first value of a text, and the spaces behind it.
fn parse_first(bytes: &[u8]) -> Parsed {
    let mut reader = Reader::new(bytes, DOCUMENTS_DEPTH_MAX);
    reader.start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    reader.at = reader.start;
    reader.spaces();
    reader.start = reader.at;
    let (mut parts, mut whole_end) = (Vec::new(), 0);
    let read = reader.outermost(&mut |reader, part| {
        whole_end = reader.at;
        parts.push(part);
    });
    let outside = match bytes.get(reader.start) {
        Some(b'{') => Outside::Object,
        Some(b'[') => Outside::Array,
        _ => Outside::Other,
    };
    reader.spaces();
    let (fault, end) = (read.err(), reader.at);
    let broken = reader.key.zip(reader.broken.or(Some(Array::new()))).filter(|_| fault.is_some());
    Parsed { outside, parts, notes: reader.notes, fault, broken, is_followed: false, whole_end, end }
}

struct Reader<'a> {
    bytes: &'a [u8],
    depth_max: usize,
    at: usize,
    /// Where the value begins.
    start: usize,
    /// Up to where lines were counted, and how many there were.
    counted: (usize, u64),
    notes: Notes,
    /// The key of the member under way on the outside.
    key: Option<String>,
    /// The elements of an array of the outside before a fault in it.
    broken: Option<Array>,
}

type Read<T> = Result<T, Fault>;

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], depth_max: usize) -> Reader<'a> {
        let notes = Notes::default();
        Reader { bytes, depth_max, at: 0, start: 0, counted: (0, 1), notes, key: None, broken: None }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn fault(&self, what: &str) -> Fault {
        let before = &self.bytes[..self.at.min(self.bytes.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        let column = 1 + before[line_start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64;
        let is_cut = self.at >= self.bytes.len();
        let what = if is_cut { "the text ends in the middle".to_owned() } else { what.to_owned() };
        Fault { offset: self.at, line, column, what, is_cut }
    }

    /// The line of the place where the reader is. O(text) for all calls together.
    fn line(&mut self) -> u64 {
        let (from, line) = self.counted;
        let newlines = self.bytes[from..self.at].iter().filter(|byte| **byte == b'\n').count();
        self.counted = (self.at, line + newlines as u64);
        self.counted.1
    }

    fn outermost(&mut self, give: &mut dyn FnMut(&Reader<'a>, Part)) -> Read<()> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.members(|reader, key| {
                    reader.key = Some(key.clone().into_owned());
                    let line = reader.line();
                    let value = reader.value(1)?;
                    give(reader, Part { key: key.into_owned(), value, line });
                    reader.key = None;
                    Ok(())
                })
            }
            Some(b'[') => {
                self.at += 1;
                self.elements(|reader| {
                    let line = reader.line();
                    let value = reader.value(1)?;
                    give(reader, Part { key: String::new(), value, line });
                    Ok(())
                })
            }
            _ => {
                let line = self.line();
                let value = self.value(0)?;
                give(self, Part { key: String::new(), value, line });
                Ok(())
            }
        }
    }

    /// Everything behind an opening brace, up to and with the closing one.
    fn members(&mut self, mut take: impl FnMut(&mut Reader<'a>, Cow<'a, str>) -> Read<()>) -> Read<()> {
        self.spaces();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.spaces();
            if self.peek() != Some(b'"') {
                return Err(self.fault("a key between quotation marks was expected"));
            }
            let key = self.string()?;
            self.spaces();
            if !self.take(b':') {
                return Err(self.fault("a colon was expected"));
            }
            self.spaces();
            take(self, key)?;
            self.spaces();
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.fault("a comma or a closing brace was expected"));
            }
        }
    }

    /// Everything behind an opening bracket, up to and with the closing one.
    fn elements(&mut self, mut take: impl FnMut(&mut Reader<'a>) -> Read<()>) -> Read<()> {
        self.spaces();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.spaces();
            take(self)?;
            self.spaces();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.fault("a comma or a closing bracket was expected"));
            }
        }
    }

    /// A value inside `depth` arrays and objects.
    fn value(&mut self, depth: usize) -> Read<Value> {
        match self.peek() {
            Some(b'{') => self.object(depth + 1).map(Value::Object),
            Some(b'[') => self.array(depth + 1).map(Value::Array),
            Some(b'"') => Ok(Value::from(&*self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.fault("a value was expected")),
        }
    }

    fn check_depth(&self, depth: usize) -> Read<()> {
        if depth > self.depth_max {
            return Err(self.fault(&format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Read<Object> {
        self.check_depth(depth)?;
        self.at += 1;
        let mut object = Object::new();
        self.members(|reader, key| {
            let value = reader.value(depth)?;
            if object.get(&key).is_some() {
                reader.note_twice(&key);
            }
            object.insert(&key, value);
            Ok(())
        })?;
        Ok(object)
    }

    fn array(&mut self, depth: usize) -> Read<Array> {
        self.check_depth(depth)?;
        self.at += 1;
        let mut array = Array::new();
        let read = self.elements(|reader| {
            array.push(reader.value(depth)?);
            Ok(())
        });
        if read.is_err() && depth == 2 {
            self.broken = Some(array.clone());
        }
        read.map(|()| array)
    }

    fn note_twice(&mut self, key: &str) {
        self.notes.twice_count += 1;
        if self.notes.twice.len() < TOLD_MAX {
            let (line, what) =
                (self.line(), format!("key {} came twice in one object; the last counts", short(key)));
            self.notes.twice.push(Noted { line, what });
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Read<Value> {
        for byte in word.bytes() {
            if !self.take(byte) {
                return Err(self.fault("a value was expected"));
            }
        }
        Ok(value)
    }

    fn digits(&mut self) -> Read<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.fault("a digit was expected"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Read<Value> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let integer = self.at;
        if self.take(b'.') {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.take(b'-') {
                self.take(b'+');
            }
            self.digits()?;
        }
        // OK because only ASCII was taken.
        let text = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        if self.at == integer && text != "-0" {
            if let Ok(number) = text.parse::<i64>() {
                return Ok(Value::from(number));
            }
            if let Ok(number) = text.parse::<u64>() {
                return Ok(Value::from(number));
            }
        }
        Ok(self.float(text, self.at == integer))
    }

    fn float(&mut self, text: &str, is_integer: bool) -> Value {
        let float: f64 = text.parse().unwrap_or(f64::INFINITY);
        let Some(number) = Number::from_f64(float) else {
            self.notes.overflows += 1;
            self.note_inexact(text, "null, as it is beyond all floats");
            return Value::Null;
        };
        if is_integer && text != "-0" && format!("{float:.0}") != text {
            self.note_inexact(text, &number.to_string());
        }
        Value::Number(number)
    }

    fn note_inexact(&mut self, text: &str, became: &str) {
        self.notes.inexact_count += 1;
        if self.notes.inexact.len() < TOLD_MAX {
            let (line, what) = (self.line(), format!("number {} became {became}", short(text)));
            self.notes.inexact.push(Noted { line, what });
        }
    }

    fn string(&mut self) -> Read<Cow<'a, str>> {
        self.at += 1;
        let mut text: Option<String> = None;
        loop {
            let rest = &self.bytes[self.at..];
            let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1F);
            let length = rest.iter().position(special).unwrap_or(rest.len());
            let piece = self.piece(&rest[..length]);
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match text {
                        None => piece,
                        Some(text) => Cow::Owned(text + &piece),
                    });
                }
                Some(b'\\') => {
                    let text = text.get_or_insert_default();
                    text.push_str(&piece);
                    let letter = self.escape()?;
                    text.push(letter);
                }
                _ => return Err(self.fault("a control character stands in a text; it must be escaped")),
            }
        }
    }

    /// Bytes as text, with U+FFFD for what is none.
    fn piece(&mut self, bytes: &'a [u8]) -> Cow<'a, str> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                let broken = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty());
                self.notes.bytes += broken.count() as u64;
                String::from_utf8_lossy(bytes)
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        self.at += 1;
        let letter = match self.peek() {
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.fault("a backslash stands before something that it cannot escape")),
        };
        self.at += 1;
        Ok(letter)
    }

    /// What follows `\u`: one unit, or both halves of a pair.
    fn unicode(&mut self) -> Read<char> {
        let first = self.four_digits()?;
        if let 0xD800..=0xDBFF = first
            && self.bytes[self.at..].starts_with(br"\u")
        {
            let back = self.at;
            self.at += 2;
            let second = self.four_digits()?;
            if let 0xDC00..=0xDFFF = second {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            // No other half: what follows stands for itself.
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or_else(|| {
            self.notes.surrogates += 1;
            char::REPLACEMENT_CHARACTER
        }))
    }

    fn four_digits(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.fault("four hexadecimal digits were expected")) };
            code = code << 4 | digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// A text for messages, not longer than a line.
pub(crate) fn short(text: &str) -> String {
    const LETTERS_MAX: usize = 40;
    if text.chars().nth(LETTERS_MAX).is_none() {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LETTERS_MAX).collect();
    format!("{start:?}…")
}

#[cfg(test)]
mod tests;
