//! Extended headers: records of `LENGTH KEYWORD=VALUE\n`.

use super::EXTENDED_MAX;
use super::sparse::Piece;
use diskwright_fstools::tree::{Time, Xattrs};
use std::collections::BTreeMap;

const SCHILY: &[u8] = b"SCHILY.xattr.";
const LIBARCHIVE: &[u8] = b"LIBARCHIVE.xattr.";
/// GNU tar's keyword for the label of SELinux, without the NUL that the kernel keeps at its end.
const SELINUX: &[u8] = b"RHT.security.selinux";
const KNOWN: &[&[u8]] = &[b"path", b"linkpath", b"uid", b"gid", b"size", b"mtime", SELINUX];
const KNOWN_STARTS: &[&[u8]] = &[SCHILY, LIBARCHIVE, b"GNU.sparse.", b"SCHILY.acl."];

/// The records that mean something to us.
#[derive(Clone, Default)]
pub(super) struct Records {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Pieces of a sparse file in format 0.0, whose keywords repeat.
    pub(super) pieces: Vec<Piece>,
    half_piece: Option<u64>,
}

impl Records {
    /// Adds the records of one header; later ones win.
    pub(super) fn parse(&mut self, mut rest: &[u8]) -> Result<(), String> {
        while !rest.is_empty() {
            let space = rest.iter().take(20).position(|&byte| byte == b' ');
            let len = space.and_then(|space| decimal(&rest[..space]).map(|len| (space, len)));
            let (space, len) = len.ok_or("a pax record without its length")?;
            let record = usize::try_from(len).ok().and_then(|len| rest.get(space + 1..len));
            let record = record.and_then(|record| record.strip_suffix(b"\n"));
            let record =
                record.ok_or_else(|| format!("a pax record that is not as long as it says: {len}"))?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or("a pax record without =")?;
            self.take(&record[..equals], &record[equals + 1..])?;
            rest = &rest[len as usize..];
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let number = || decimal(value).ok_or_else(|| bad(key, value));
        match key {
            b"GNU.sparse.offset" => self.half_piece = Some(number()?),
            b"GNU.sparse.numbytes" => {
                let offset = self.half_piece.take().ok_or_else(|| bad(key, value))?;
                self.pieces.push((offset, number()?));
            }
            _ if KNOWN.contains(&key) || KNOWN_STARTS.iter().any(|start| key.starts_with(start)) => {
                self.values.insert(key.to_vec(), value.to_vec());
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the records of all global headers have become too many.
    pub(super) fn is_too_large(&self) -> bool {
        let len = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.len() + value.len()) as u64;
        self.values.iter().map(len).sum::<u64>() > EXTENDED_MAX
    }
}

/// The records of a member over the global ones. An empty value takes a global one away.
pub(super) struct Extended<'a> {
    pub(super) local: &'a Records,
    pub(super) global: &'a Records,
}

impl<'a> Extended<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a [u8]> {
        let value = |records: &'a Records| records.values.get(key.as_bytes());
        value(self.local)
            .or_else(|| value(self.global))
            .map(|value| &value[..])
            .filter(|value| !value.is_empty())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        decimal(value).map(Some).ok_or_else(|| bad(key.as_bytes(), value))
    }

    pub(super) fn mtime(&self) -> Result<Option<Time>, String> {
        let Some(value) = self.get("mtime") else { return Ok(None) };
        time(value).map(Some).ok_or_else(|| bad(b"mtime", value))
    }

    /// Whether it has ACLs as text.
    pub(super) fn has_text_acl(&self) -> bool {
        self.get("SCHILY.acl.access").or(self.get("SCHILY.acl.default")).is_some()
    }

    pub(super) fn xattrs(&self) -> Result<Xattrs, String> {
        let mut xattrs = Xattrs::new();
        let records = || self.global.values.iter().chain(&self.local.values);
        for (key, value) in records() {
            if let Some(name) = key.strip_prefix(LIBARCHIVE) {
                let bytes = base64(value).ok_or_else(|| bad(key, value))?;
                xattrs.insert(percent_decoded(name, |_| true), bytes);
            }
        }
        for (key, value) in records() {
            if key == SELINUX && !value.is_empty() {
                let nul: &[u8] = if value.ends_with(b"\0") { b"" } else { b"\0" };
                xattrs.insert(b"security.selinux".to_vec(), [value, nul].concat());
            }
        }
        for (key, value) in records() {
            if let Some(name) = key.strip_prefix(SCHILY) {
                // GNU tar writes these two in this way, and others not at all.
                xattrs.insert(percent_decoded(name, |byte| matches!(byte, b'=' | b'%')), value.clone());
            }
        }
        match xattrs.keys().find(|name| name.is_empty() || name.len() > 255 || name.contains(&0)) {
            Some(name) => Err(format!("an attribute name that is none: {}", name.escape_ascii())),
            None => Ok(xattrs),
        }
    }
}

fn bad(key: &[u8], value: &[u8]) -> String {
    let shown = &value[..value.len().min(80)];
    format!("a bad value of {}: {}", key.escape_ascii(), shown.escape_ascii())
}

/// Decimal digits and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Seconds with a fraction; what is finer than nanoseconds is cut off, towards the past.
fn time(text: &[u8]) -> Option<Time> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    fraction.iter().all(u8::is_ascii_digit).then_some(())?;
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u32::from(digit - b'0'));
    let nanoseconds = (0..9).fold(0, |value, at| value * 10 + digit(at));
    let finer = fraction.iter().skip(9).any(|&digit| digit != b'0');
    if !negative {
        return Some(Time { sec: seconds, nsec: nanoseconds });
    }
    Some(match nanoseconds + u32::from(finer) {
        0 => Time { sec: -seconds, nsec: 0 },
        back => Time { sec: -seconds - 1, nsec: 1_000_000_000 - back },
    })
}

/// `%XX` replaced where `wanted` says so.
fn percent_decoded(text: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
        let value = digit(0).zip(digit(1)).map(|(high, low)| (high * 16 + low) as u8);
        match value.filter(|&value| first == b'%' && wanted(value)) {
            Some(value) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

/// RFC 4648 section 4; padding may be missing, as libarchive leaves it out.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        (group.len() > 1).then_some(())?;
        let bits = group.iter().try_fold(0_u32, |bits, &digit| {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            Some(bits << 6 | u32::from(value))
        })?;
        let three = (bits << (6 * (4 - group.len()))).to_be_bytes();
        bytes.extend_from_slice(&three[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let time = |sec, nsec| Some(Time { sec, nsec });
        let table: &[(&str, Option<Time>)] = &[
            ("0", time(0, 0)),
            ("1700000000.5", time(1_700_000_000, 500_000_000)),
            ("1.0000000019", time(1, 1)),
            ("1.", time(1, 0)),
            ("-1", time(-1, 0)),
            ("-1.5", time(-2, 500_000_000)),
            ("-0.000000001", time(-1, 999_999_999)),
            ("-0.0000000001", time(-1, 999_999_999)),
            ("-0.9999999999", time(-1, 0)),
            ("9223372036854775807", time(i64::MAX, 0)),
            ("9223372036854775808", None),
            ("", None),
            (".5", None),
            ("1.x", None),
            ("1e3", None),
            ("+1", None),
            ("--1", None),
        ];
        for (text, expected) in table {
            assert_eq!(super::time(text.as_bytes()), *expected, "{text}");
        }
    }

    #[test]
    fn base64_of_rfc_4648() {
        let table = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg", "foob"),
            ("Zm9vYmFy", "foobar"),
        ];
        for (text, expected) in table {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(expected.as_bytes()), "{text}");
        }
        for text in ["Z", "Zm9vY", "Zm 9", "Z===", "Zm9-"] {
            assert_eq!(base64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn records_that_lie() {
        let parse = |text: &[u8]| Records::default().parse(text);
        assert_eq!(parse(b"11 path=ab\n13 mtime=1.5\n"), Ok(()));
        let lies: &[&[u8]] = &[
            b"x",
            b"11path=ab\n",
            b" path=ab\n",
            b"12 path=ab\n",
            b"10 path=ab\n",
            b"0 \n",
            b"2 \n",
            b"3 \n",
            b"5 ab\n",
            b"99999999999999999999 path=ab\n",
            b"18446744073709551615 path=ab\n",
            b"-1 path=ab\n",
            b"24 GNU.sparse.offset=x\n\n",
            b"25 GNU.sparse.numbytes=1\n",
            b"11 path=ab\n\0",
        ];
        for lie in lies {
            assert!(parse(lie).is_err(), "{}", lie.escape_ascii());
        }
    }
}
