//! The record: a tree as text, without its data.
//!
//! Version 1. The first line is `diskwright tree 1`, the last is `end N` with the number of paths. Between them stands
//! one line for each path, in walk order (the root first, children by the bytes of their names), made of fields with one
//! space between them, in the manner of composefs-dump:
//!
//! ```text
//! PATH TYPE MODE UID GID MTIME SIZE DEVICE TARGET [XATTR=VALUE]...
//!
//! / directory 0755 0 0 1700000000.000000000 - - -
//! /bin symlink 0777 0 0 1700000000.000000000 - - usr/bin
//! /dev directory 0755 0 0 1700000000.000000000 - - -
//! /dev/null character 0666 0 0 1700000000.000000000 - 1:3 -
//! /ping file 0755 0 0 1700000000.000000000 64328 - - security.capability=\x01\x00\x00\x02
//! /ping6 hardlink - - - - - - /ping
//! end 6
//! ```
//!
//! - TYPE is `directory`, `file`, `symlink`, `character`, `block`, `fifo`, `socket`, or `hardlink` for each further name of
//!   a file; its TARGET is the first name in walk order, its other fields are `-`.
//! - MODE has four octal digits; UID, GID, SIZE (of files, in bytes) and DEVICE (`MAJOR:MINOR`) are decimal; MTIME is
//!   seconds since 1970, a point and nine digits of nanoseconds that count forward, also before 1970.
//! - PATH, TARGET, XATTR and VALUE are bytes: `\\`, `\n`, `\r`, `\t` and `\xNN` stand for a backslash, for control
//!   characters, spaces and whatever is not ASCII; `=` in an XATTR is `\x3d`, a TARGET that is a single `-` is `\x2d`.
//! - What does not apply is `-`. Attributes are sorted by name.
//!
//! Each tree has one text and each text one tree: the reader accepts only what the writer writes. Holes are not part of
//! it, they follow from the data.

use super::{Data, Kind, Meta, Node, NodeId, ROOT, Time, Tree, Xattrs, components};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::ContentId;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::str::FromStr;

/// The first line.
pub const HEADER: &str = "diskwright tree 1";

/// Writes the record of a tree.
pub fn write(tree: &Tree, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{HEADER}")?;
    let links = tree.links();
    let mut first: BTreeMap<NodeId, Vec<u8>> = BTreeMap::new();
    let mut paths = 0_u64;
    for step in tree.walk() {
        paths += 1;
        let path = escape(&step.path, Escape::Field);
        if let Some(first) = first.get(&step.node) {
            writeln!(out, "{path} hardlink - - - - - - {}", escape(first, Escape::Field))?;
            continue;
        }
        write_node(tree, &path, tree.node(step.node), out)?;
        if links[step.node.0 as usize] > 1 {
            first.insert(step.node, step.path);
        }
    }
    writeln!(out, "end {paths}")
}

fn write_node(tree: &Tree, path: &str, node: &Node, out: &mut dyn Write) -> io::Result<()> {
    let Meta { mode, uid, gid, mtime: Time { sec, nsec }, xattrs } = node.meta;
    let none = || "-".to_owned();
    let (word, size, device, target) = match &node.kind {
        Kind::Directory(_) => ("directory", none(), none(), none()),
        Kind::File(data) => ("file", data.size().to_string(), none(), none()),
        Kind::Symlink(target) => ("symlink", none(), none(), escape(target, Escape::Field)),
        Kind::CharDevice { major, minor } => ("character", none(), format!("{major}:{minor}"), none()),
        Kind::BlockDevice { major, minor } => ("block", none(), format!("{major}:{minor}"), none()),
        Kind::Fifo => ("fifo", none(), none(), none()),
        Kind::Socket => ("socket", none(), none(), none()),
    };
    write!(out, "{path} {word} {mode:04o} {uid} {gid} {sec}.{nsec:09} {size} {device} {target}")?;
    for (name, value) in tree.xattrs(xattrs) {
        write!(out, " {}={}", escape(name, Escape::Key), escape(value, Escape::Value))?;
    }
    writeln!(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// A field of its own, in which `-` means nothing.
    Field,
    /// The part in front of `=`.
    Key,
    /// The part behind it.
    Value,
}

fn escape(bytes: &[u8], part: Escape) -> String {
    if part == Escape::Field && bytes == b"-" {
        return "\\x2d".to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'=' if part == Escape::Key => text.push_str("\\x3d"),
            0x21..=0x7e => text.push(byte as char),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// Reads a record. The content ids of the tree number its files in walk order and stand for no data yet.
///
/// Refused with line and column (in bytes, from 1): whatever [`write()`] would have written in another way.
pub fn read(text: &[u8]) -> Result<Tree, Refusal> {
    let mut reader = Reader { tree: None, files: 0, paths: 0, last: Vec::new(), hard_links: BTreeSet::new() };
    let mut lines = text.split_inclusive(|&byte| byte == b'\n').zip(1..).map(|(text, number)| Line {
        number,
        text: text.strip_suffix(b"\n").unwrap_or(text),
        ended: text.ends_with(b"\n"),
    });
    let header = lines.next().unwrap_or(Line { number: 1, text: b"", ended: false });
    if header.text != HEADER.as_bytes() {
        return Err(header.refusal(0, format!("a record starts with the line: {HEADER}")));
    }
    let mut last = header;
    for line in lines.by_ref() {
        last = line;
        if !line.text.starts_with(b"end ") {
            reader.read_line(line)?;
            continue;
        }
        let count = line.text.get(4..).unwrap_or_default();
        let column = 4;
        if number::<u64>(count) != Some(reader.paths) {
            return Err(
                line.refusal(column, format!("the record has another number of paths: {}", reader.paths))
            );
        }
        let tree = reader.tree.take().ok_or_else(|| line.refusal(0, "the record has no root".to_owned()))?;
        return match lines.next() {
            None if line.ended => Ok(tree),
            None => Err(line.refusal(line.text.len(), "the line has no end".to_owned())),
            Some(next) => Err(next.refusal(0, "text behind the end of the record".to_owned())),
        };
    }
    Err(last
        .refusal(last.text.len(), "the record is cut short: its last line is `end` and a number".to_owned()))
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: u64,
    text: &'a [u8],
    ended: bool,
}

impl Line<'_> {
    /// `at` counts from 0.
    fn refusal(&self, at: usize, reason: String) -> Refusal {
        let spot = Spot::new("record", format!("line {}, column {}", self.number, at + 1));
        Refusal::new(RefusalKind::Invalid, spot, reason)
    }
}

/// A field and where it starts.
#[derive(Clone, Copy)]
struct Field<'a> {
    line: Line<'a>,
    text: &'a [u8],
    at: usize,
}

impl Field<'_> {
    fn refusal(&self, reason: impl Into<String>) -> Refusal {
        self.line.refusal(self.at, reason.into())
    }

    fn unescape(&self, part: Escape) -> Result<Vec<u8>, Refusal> {
        let bytes = unescape(self.text).ok_or_else(|| self.refusal("an escape that is none"))?;
        match escape(&bytes, part).as_bytes() == self.text {
            true => Ok(bytes),
            false => Err(self.refusal(format!("not the usual spelling: {}", escape(&bytes, part)))),
        }
    }

    fn number<T: FromStr + ToString>(&self, what: &str) -> Result<T, Refusal> {
        number(self.text)
            .ok_or_else(|| self.refusal(format!("{what} is no number in its range: {}", self.shown())))
    }

    fn nothing(&self, what: &str) -> Result<(), Refusal> {
        match self.text {
            b"-" => Ok(()),
            _ => Err(self.refusal(format!("{what} does not apply and must be -: {}", self.shown()))),
        }
    }

    fn shown(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.text)
    }
}

/// A number that is spelt as we would.
fn number<T: FromStr + ToString>(text: &[u8]) -> Option<T> {
    let text = str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'\\' => b'\\',
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            _ => return None,
        });
    }
    Some(bytes)
}

struct Reader {
    tree: Option<Tree>,
    files: u32,
    paths: u64,
    /// The path in front.
    last: Vec<u8>,
    /// All paths that are further names of a file.
    hard_links: BTreeSet<Vec<u8>>,
}

impl Reader {
    fn read_line(&mut self, line: Line) -> Result<(), Refusal> {
        let mut at = 0;
        let mut fields = line.text.split(|&byte| byte == b' ').map(|text| {
            let field = Field { line, text, at };
            at += text.len() + 1;
            field
        });
        let mut column = |what: &str| {
            fields
                .next()
                .ok_or_else(|| line.refusal(line.text.len(), format!("the line ends before: {what}")))
        };
        let path = column("path")?;
        let word = column("type")?;
        let columns = [
            column("mode")?,
            column("uid")?,
            column("gid")?,
            column("mtime")?,
            column("size")?,
            column("device")?,
            column("target")?,
        ];
        let name = path.unescape(Escape::Field)?;
        self.check_path(path, &name)?;
        match word.text {
            b"hardlink" => {
                let extra = fields.next();
                extra
                    .map_or(Ok(()), |field| Err(field.refusal("a hard link has no attributes of its own")))?;
                self.hard_link(path, &name, columns)?;
            }
            _ => {
                let kind = self.kind(word, &columns)?;
                let meta = meta(&columns)?;
                let xattrs = xattrs(fields)?;
                self.node(path, &name, Node { meta, kind }, xattrs)?;
            }
        }
        self.paths += 1;
        self.last = name;
        Ok(())
    }

    fn check_path(&self, field: Field, path: &[u8]) -> Result<(), Refusal> {
        if self.paths == 0 {
            return (path == b"/")
                .then_some(())
                .ok_or_else(|| field.refusal("the first path is the root: /"));
        }
        if !is_clean(path) {
            return Err(field.refusal("a path starts with / and has no empty names"));
        }
        match components(&self.last).cmp(components(path)).is_lt() {
            true => Ok(()),
            false => {
                Err(field.refusal(format!("not in order, behind: {}", escape(&self.last, Escape::Field))))
            }
        }
    }

    fn kind(&mut self, word: Field, columns: &[Field; 7]) -> Result<Kind, Refusal> {
        let [.., size, device, target] = columns;
        if word.text != b"file" {
            size.nothing("size")?;
        }
        if !matches!(word.text, b"character" | b"block") {
            device.nothing("device")?;
        }
        if word.text != b"symlink" {
            target.nothing("target")?;
        }
        Ok(match word.text {
            b"directory" => Kind::directory(),
            b"file" => {
                let id = ContentId(self.files);
                self.files = self.files.checked_add(1).ok_or_else(|| word.refusal("more than 2^32 files"))?;
                Kind::File(Data::Content { id, size: size.number("size")?, runs: None })
            }
            b"symlink" if target.text == b"-" => return Err(target.refusal("a symlink has a target")),
            b"symlink" => Kind::Symlink(target.unescape(Escape::Field)?.into()),
            b"character" | b"block" => {
                let numbers = device.text.iter().position(|&byte| byte == b':');
                let numbers = numbers
                    .and_then(|at| Some((number(&device.text[..at])?, number(&device.text[at + 1..])?)));
                let (major, minor) =
                    numbers.ok_or_else(|| device.refusal(format!("no MAJOR:MINOR: {}", device.shown())))?;
                match word.text {
                    b"block" => Kind::BlockDevice { major, minor },
                    _ => Kind::CharDevice { major, minor },
                }
            }
            b"fifo" => Kind::Fifo,
            b"socket" => Kind::Socket,
            _ => return Err(word.refusal(format!("an unknown type: {}", word.shown()))),
        })
    }

    fn node(&mut self, field: Field, path: &[u8], mut node: Node, xattrs: Xattrs) -> Result<(), Refusal> {
        let Some(tree) = &mut self.tree else {
            if !matches!(node.kind, Kind::Directory(_)) {
                return Err(field.refusal("the root is a directory"));
            }
            let tree = self.tree.insert(Tree::new(node.meta));
            let xattrs = tree.intern(xattrs);
            tree.meta_mut(ROOT).xattrs = xattrs;
            return Ok(());
        };
        node.meta.xattrs = tree.intern(xattrs);
        let (parent, name) = placed(tree, path, field)?;
        tree.add(parent, name, node).map_err(|refusal| field.refusal(refusal.reason))?;
        Ok(())
    }

    fn hard_link(&mut self, field: Field, path: &[u8], columns: [Field; 7]) -> Result<(), Refusal> {
        let [rest @ .., target] = columns;
        rest.iter().try_for_each(|column| column.nothing("what a hard link has"))?;
        let first = target.unescape(Escape::Field)?;
        let Some(tree) = &mut self.tree else { return Err(field.refusal("the root is a directory")) };
        let known = is_clean(&first) && !self.hard_links.contains(&first);
        let node = tree.lookup(&first).filter(|_| known);
        let node = node.ok_or_else(|| {
            target.refusal(format!("not the first name of a file above: {}", target.shown()))
        })?;
        let (parent, name) = placed(tree, path, field)?;
        tree.link(parent, name, node).map_err(|refusal| field.refusal(refusal.reason))?;
        self.hard_links.insert(path.to_vec());
        Ok(())
    }
}

/// Whether a path starts with `/` and has no empty names and no `.`: the one spelling that it has in a record.
fn is_clean(path: &[u8]) -> bool {
    path.strip_prefix(b"/")
        .is_some_and(|names| names.split(|&byte| byte == b'/').all(|name| !matches!(name, [] | [b'.'])))
}

/// The directory that holds a path, and the name in it.
fn placed<'a>(tree: &Tree, path: &'a [u8], field: Field) -> Result<(NodeId, &'a [u8]), Refusal> {
    let slash = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    let parent = tree.lookup(&path[..slash]);
    let parent = parent.ok_or_else(|| field.refusal("its directory is not in the record"))?;
    Ok((parent, &path[slash + 1..]))
}

fn meta(columns: &[Field; 7]) -> Result<Meta, Refusal> {
    let [mode, uid, gid, mtime, ..] = columns;
    let octal = |text: &[u8]| u16::from_str_radix(str::from_utf8(text).ok()?, 8).ok();
    let bits =
        octal(mode.text).filter(|&bits| bits <= 0o7777 && format!("{bits:04o}").as_bytes() == mode.text);
    let bits =
        bits.ok_or_else(|| mode.refusal(format!("the mode is not four octal digits: {}", mode.shown())))?;
    let time = time(mtime.text).ok_or_else(|| {
        mtime.refusal(format!("the time is not seconds, a point and nine digits: {}", mtime.shown()))
    })?;
    let (uid, gid) = (uid.number("uid")?, gid.number("gid")?);
    Ok(Meta { uid, gid, ..Meta::of_root(bits, time) })
}

fn time(text: &[u8]) -> Option<Time> {
    let (sec, nsec) = str::from_utf8(text).ok()?.split_once('.')?;
    let digits = nsec.len() == 9 && nsec.bytes().all(|byte| byte.is_ascii_digit());
    Some(Time { sec: number(sec.as_bytes())?, nsec: nsec.parse().ok().filter(|_| digits)? })
}

fn xattrs<'a>(fields: impl Iterator<Item = Field<'a>>) -> Result<Xattrs, Refusal> {
    let mut xattrs = Xattrs::new();
    for field in fields {
        let equals = field.text.iter().position(|&byte| byte == b'=');
        let equals = equals.ok_or_else(|| field.refusal("an attribute without ="))?;
        let name = Field { text: &field.text[..equals], ..field }.unescape(Escape::Key)?;
        let value = Field { text: &field.text[equals + 1..], at: field.at + equals + 1, ..field };
        let value = value.unescape(Escape::Value)?;
        if xattrs.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(field.refusal("attributes are sorted by name"));
        }
        xattrs.insert(name, value);
    }
    Ok(xattrs)
}
