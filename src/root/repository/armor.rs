//! Texts that OpenPGP is wrapped into: ASCII armor (RFC 9580, 6.2) and the cleartext signature framework (RFC 9580, 7).

use super::control::said;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use pgp::armor::{Dearmor, DearmorOptions};
use std::io::Read;

/// First line of a text that is signed in place.
const SIGNED: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN: &[u8] = b"-----BEGIN PGP ";
const END: &[u8] = b"-----END PGP ";
/// Most blocks in a file.
const MOST_BLOCKS: usize = 1000;
/// Longest file that is believed, in bytes.
const LONGEST: usize = 64 << 20;

/// A text that is signed in place, and the signatures behind it. Nothing in front of it, and nothing behind it but blank lines.
pub(super) struct Clear {
    /// Without the escapes, without blanks at the ends of lines, with a line feed behind each line.
    pub(super) text: Vec<u8>,
    /// Armored.
    pub(super) signatures: Vec<u8>,
}

/// Whether it is a text that is signed in place.
pub(super) fn is_clear(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNED)
}

/// Takes such a text apart.
pub(super) fn clear(what: &str, bytes: &[u8]) -> Result<Clear, Refusal> {
    limit(what, bytes)?;
    let wrong = |at: usize, reason: &str| refused(what, format!("line {}: {reason}", at + 1));
    // What normalisation would take for an end of a line must be one for everybody who reads on.
    if bytes.iter().zip(bytes.iter().skip(1).chain([&0])).any(|(&byte, &next)| byte == b'\r' && next != b'\n')
    {
        return Err(refused(what, "a carriage return within a line".to_owned()));
    }
    let mut lines = bytes.split(|&byte| byte == b'\n').map(trimmed).enumerate();
    if lines.next().is_none_or(|(_, line)| line != SIGNED) {
        return Err(wrong(0, "expected a signed text"));
    }
    for (at, line) in lines.by_ref() {
        match line {
            b"" => break,
            line if line.starts_with(b"Hash: ") => {}
            _ => return Err(wrong(at, "expected Hash: and then an empty line")),
        }
    }
    let mut text = Vec::with_capacity(bytes.len());
    let mut begin = None;
    for (at, line) in lines.by_ref() {
        match line {
            b"-----BEGIN PGP SIGNATURE-----" => {
                begin = Some(line);
                break;
            }
            line if line.starts_with(b"- ") => text.extend_from_slice(&line[2..]),
            line if line.starts_with(b"-") => return Err(wrong(at, "a dash without its escape")),
            line => text.extend_from_slice(line),
        }
        text.push(b'\n');
    }
    let Some(begin) = begin else {
        return Err(refused(what, "it ends before its signature".to_owned()));
    };
    let mut signatures = begin.to_vec();
    let mut is_open = true;
    for (at, line) in lines {
        match line {
            b"" if !is_open => continue,
            _ if !is_open => return Err(wrong(at, "a text behind the signature, which it does not cover")),
            line => is_open = !line.starts_with(END),
        }
        signatures.push(b'\n');
        signatures.extend_from_slice(line);
    }
    match is_open {
        true => Err(refused(what, "it ends within its signature".to_owned())),
        false => Ok(Clear { text, signatures }),
    }
}

/// Without blanks at its end: what is signed has none (RFC 9580, 7.2).
fn trimmed(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !b" \t\r".contains(byte)).map_or(0, |at| at + 1);
    &line[..end]
}

/// Packets out of a file: one or several blocks of armor of this kind with any text between, or the packets themselves.
pub(super) fn packets(what: &str, bytes: &[u8], kind: &str) -> Result<Vec<u8>, Refusal> {
    limit(what, bytes)?;
    // The first bit of a packet is set.
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return Ok(bytes.to_vec());
    }
    let mut packets = Vec::new();
    let mut blocks = 0;
    let mut rest = bytes;
    while let Some(start) = find_line(rest, BEGIN) {
        rest = &rest[start..];
        let name = rest[BEGIN.len()..].split(|&byte| byte == b'\n').next().unwrap_or_default();
        if trimmed(name).strip_suffix(b"-----") != Some(kind.as_bytes()) {
            let found = said(trimmed(name)).replace('-', "").to_lowercase();
            return Err(refused(what, format!("expected a {}, found a {}", kind.to_lowercase(), found)));
        }
        let end = find_line(rest, END).ok_or_else(|| refused(what, "it ends within its armor".to_owned()))?;
        let len = rest[end..].iter().position(|&byte| byte == b'\n').map_or(rest.len(), |len| end + len + 1);
        let options = DearmorOptions::new().set_limit(LONGEST);
        let mut dearmor = Dearmor::with_options(&rest[..len], options);
        dearmor.read_to_end(&mut packets).map_err(|error| {
            refused(what, format!("broken armor: {}", said(error.to_string().as_bytes())))
        })?;
        rest = &rest[len..];
        blocks += 1;
        if blocks > MOST_BLOCKS {
            return Err(refused(what, format!("more than {MOST_BLOCKS} blocks of armor")));
        }
    }
    match blocks {
        0 => Err(refused(what, format!("neither armored nor binary: no {}", kind.to_lowercase()))),
        _ => Ok(packets),
    }
}

/// Where a line starts that starts with this.
fn find_line(bytes: &[u8], start: &[u8]) -> Option<usize> {
    let mut at = 0;
    while !bytes[at..].starts_with(start) {
        at += bytes[at..].iter().position(|&byte| byte == b'\n')? + 1;
    }
    Some(at)
}

fn limit(what: &str, bytes: &[u8]) -> Result<(), Refusal> {
    match bytes.len() {
        ..=LONGEST => Ok(()),
        len => {
            let reason = format!("too long: {len} bytes");
            Err(Refusal::new(RefusalKind::Limit, Spot::new("repository", what), reason))
        }
    }
}

fn refused(what: &str, reason: String) -> Refusal {
    Refusal::new(RefusalKind::Invalid, Spot::new("repository", what), reason)
}
