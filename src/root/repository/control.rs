//! Stanzas of control data (deb822(5), Debian Policy 5.1): `Name: value` lines, continued by lines that start with a blank,
//! with empty lines between the stanzas.
//!
//! Nothing is copied: a stanza is a slice of the text, its fields are found in one pass.

use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

/// Longest name of a field in bytes.
const LONGEST_NAME: usize = 128;
/// Most bytes of what a stranger wrote that are shown.
const LONGEST_SHOWN: usize = 120;

/// The stanzas of a text, in order.
#[derive(Clone, Debug)]
pub struct Stanzas<'a> {
    what: &'a str,
    text: &'a [u8],
    /// Where the next one may start.
    at: usize,
}

/// A stanza: at least one line, none of them empty.
#[derive(Clone, Copy, Debug)]
pub struct Stanza<'a> {
    what: &'a str,
    all: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Stanzas<'a> {
    /// Of a text; `what` names it in messages: `InRelease`, `main/binary-amd64/Packages`.
    pub fn new(what: &'a str, text: &'a [u8]) -> Stanzas<'a> {
        Stanzas { what, text, at: 0 }
    }
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Stanza<'a>;

    fn next(&mut self) -> Option<Stanza<'a>> {
        while self.at < self.text.len() {
            let end = line_end(self.text, self.at);
            if !self.text[self.at..end].trim_ascii().is_empty() {
                break;
            }
            self.at = end + 1;
        }
        let start = self.at;
        if start >= self.text.len() {
            return None;
        }
        let mut end = start;
        while end < self.text.len() {
            let line = line_end(self.text, end);
            if is_empty(&self.text[end..line]) {
                break;
            }
            end = line + 1;
        }
        self.at = end;
        Some(Stanza { what: self.what, all: self.text, start, end: end.min(self.text.len()) })
    }
}

impl<'a> Stanza<'a> {
    /// Its bytes, as they are.
    pub fn bytes(&self) -> &'a [u8] {
        &self.all[self.start..self.end]
    }

    /// Where it starts in the text.
    pub fn offset(&self) -> usize {
        self.start
    }

    /// Its fields, in order: name and value, without the blanks around it. Lines of a value that goes on are not joined.
    pub fn fields(&self) -> Fields<'a> {
        Fields { stanza: *self, at: self.start }
    }

    /// What is wrong with one of its values, which says where.
    pub fn wrong(&self, value: &[u8], expected: &str) -> Refusal {
        let at = value.as_ptr().addr().wrapping_sub(self.all.as_ptr().addr());
        wrong(self.what, self.all, at, expected, value)
    }

    /// What it lacks.
    pub fn lacks(&self, field: &str) -> Refusal {
        wrong(self.what, self.all, self.start, &format!("the field {field}"), b"none")
    }
}

/// What is wrong at a place in a text: the message has its line, counted from 1.
pub(super) fn wrong(what: &str, text: &[u8], at: usize, expected: &str, found: &[u8]) -> Refusal {
    let line = 1 + text[..at.min(text.len())].iter().filter(|&&byte| byte == b'\n').count();
    let spot = Spot::new("repository", format!("{what}: line {line}"));
    Refusal::new(RefusalKind::Invalid, spot, format!("expected {expected}, found {}", said(found)))
}

/// What a stranger wrote, for a message: cut, on one line.
pub(super) fn said(text: &[u8]) -> String {
    escaped(&text[..text.len().min(LONGEST_SHOWN)])
}

/// The fields of a stanza.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    stanza: Stanza<'a>,
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let Stanza { all, end, .. } = self.stanza;
        let start = self.at;
        if start >= end {
            return None;
        }
        let first = line_end(all, start);
        let line = &all[start..first];
        let Some(colon) = line.iter().position(|&byte| byte == b':').filter(|&colon| is_name(&line[..colon]))
        else {
            self.at = end;
            return Some(Err(wrong(self.stanza.what, all, start, "a field, NAME: VALUE", line)));
        };
        let mut stop = first;
        while stop + 1 < end && matches!(all[stop + 1], b' ' | b'\t') {
            stop = line_end(all, stop + 1);
        }
        self.at = stop + 1;
        let value = all[start + colon + 1..stop.min(end)].trim_ascii();
        Some(Ok((&line[..colon], value)))
    }
}

/// Printable ASCII without blanks; neither `-` nor `#` in front (Debian Policy 5.1).
fn is_name(name: &[u8]) -> bool {
    let first = name.first().is_some_and(|first| !b"-#".contains(first));
    first && name.len() <= LONGEST_NAME && name.iter().all(u8::is_ascii_graphic)
}

/// What ends a stanza. A line of blanks does not: apt takes it as part of the value above it.
fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"" | b"\r")
}

/// Where the line ends that `at` is in: its line feed, or the end of the text.
fn line_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |len| at + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Vec<(String, String)>> {
        let own = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = |stanza: Stanza<'_>| {
            stanza.fields().map(|field| field.map(|(name, value)| (own(name), own(value))).unwrap()).collect()
        };
        Stanzas::new("test", text.as_bytes()).map(fields).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn fields_and_stanzas() {
        let text = "\n\nA: 1\nB:  2 3\t\n more\n\tof it\nC:\n\n \t\nD: 4\n \n 5";
        let stanzas = read(text);
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0], [pair("A", "1"), pair("B", "2 3\t\n more\n\tof it"), pair("C", "")]);
        assert_eq!(stanzas[1], [pair("D", "4\n \n 5")]);
        assert_eq!(read(""), Vec::<Vec<(String, String)>>::new());
        assert_eq!(read("\r\nA: 1\r\n\r\nB: 2\r\n"), [vec![pair("A", "1")], vec![pair("B", "2")]]);
    }

    #[test]
    fn what_is_no_field_is_said_with_its_line() {
        for (text, line) in [
            ("A: 1\nnothing\n", 2),
            (" goes on\n", 1),
            ("A: 1\n\nB: 2\n: 3\n", 4),
            ("A: 1\n-B: 2\n", 2),
            ("A: 1\n#B: 2\n", 2),
            ("A B: 2\n", 1),
            ("A\u{e4}: 2\n", 1),
        ] {
            let found =
                Stanzas::new("f", text.as_bytes()).flat_map(|stanza| stanza.fields()).find_map(Result::err);
            let message = found.unwrap_or_else(|| panic!("{text:?}")).to_string();
            assert!(message.contains(&format!("f: line {line}: ")), "{text:?}: {message}");
        }
    }
}
