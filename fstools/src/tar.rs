//! Tar archives of a tree: what root trees and containers are passed on as.
//!
//! Specification: POSIX.1-2024, `pax`, "pax Interchange Format" and "ustar Interchange Format"; extended attributes as star
//! and GNU tar keep them (`SCHILY.xattr.NAME`, the value as the system call gives it); sparse files in GNU tar's format 1.0
//! (GNU tar manual, appendix D.2).
//!
//! ```text
//! member = [extended header 'x': 512 bytes, records, zeros up to 512] header: 512 bytes, data, zeros up to 512
//! archive = members in the order of the tree's walk, 1024 zero bytes
//! ```
//!
//! - Names are relative (`usr/bin/env`, directories with a slash at their end); the root is `./`.
//! - An extended header says only what the header cannot: long or large values, names that are no UTF-8 (`hdrcharset`),
//!   fractions of a second, attributes.
//! - The first name of a file has its data, the others are hard links to it.
//! - A tar has no sockets; they are left out, and told.
//!
//! The crate `tar` streams through one buffer; here an archive is a layout like any other, so that it is written in parallel
//! and file data is cloned where the host can.

use crate::tree::{Data, Kind, Node, NodeId, Time, Tree};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::{Extent, Extents, Layout, Source, What};
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes of a header; data is padded to a multiple of it.
const BLOCK: u64 = 512;
/// Longest name in a header.
const NAME: usize = 100;
/// The largest number in seven octal digits.
const MOST_7: u64 = 0o777_7777;
/// The largest number in eleven octal digits.
const MOST_11: u64 = 0o777_7777_7777;

/// An archive.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Its bytes.
    pub layout: Layout,
    /// Sockets, which it cannot hold.
    pub left_out: Vec<String>,
}

/// Lays a tree as an archive.
///
/// # Errors
/// It would have more than 2^63 bytes.
pub fn lay(tree: &Tree) -> Result<Archive, Refusal> {
    let mut archive = Writer::default();
    let mut first: BTreeMap<NodeId, Vec<u8>> = BTreeMap::new();
    let links = tree.links();
    let mut left_out = Vec::new();
    for step in tree.walk() {
        let node = tree.node(step.node);
        let mut name = if step.path == b"/" { b".".to_vec() } else { step.path[1..].to_vec() };
        if matches!(node.kind, Kind::Socket) {
            left_out.push(escaped(&step.path));
            continue;
        }
        if let Some(target) = first.get(&step.node) {
            archive.member(
                &Member { link: target, typeflag: b'1', ..Member::of(&name, node) },
                tree,
                node,
            )?;
            continue;
        }
        if links[step.node.0 as usize] > 1 && !matches!(node.kind, Kind::Directory(_)) {
            first.insert(step.node, name.clone());
        }
        if matches!(node.kind, Kind::Directory(_)) {
            name.push(b'/');
        }
        archive.member(&Member::of(&name, node), tree, node)?;
    }
    Ok(Archive { layout: archive.finish()?, left_out })
}

/// A header.
struct Member<'a> {
    name: &'a [u8],
    link: &'a [u8],
    typeflag: u8,
    device: (u32, u32),
    data: Option<&'a Data>,
}

impl<'a> Member<'a> {
    fn of(name: &'a [u8], node: &'a Node) -> Member<'a> {
        let member = Member { name, link: b"", typeflag: b'0', device: (0, 0), data: None };
        match &node.kind {
            Kind::File(data) => Member { data: Some(data), ..member },
            Kind::Symlink(target) => Member { typeflag: b'2', link: target, ..member },
            Kind::CharDevice { major, minor } => {
                Member { typeflag: b'3', device: (*major, *minor), ..member }
            }
            Kind::BlockDevice { major, minor } => {
                Member { typeflag: b'4', device: (*major, *minor), ..member }
            }
            Kind::Directory(_) => Member { typeflag: b'5', ..member },
            Kind::Fifo => Member { typeflag: b'6', ..member },
            Kind::Socket => unreachable!("sockets are left out"),
        }
    }
}

#[derive(Default)]
struct Writer {
    at: u64,
    extents: Extents,
}

impl Writer {
    fn member(&mut self, member: &Member<'_>, tree: &Tree, node: &Node) -> Result<(), Refusal> {
        // A hard link has no data of its own.
        let data = member.data.filter(|_| member.typeflag == b'0');
        let map = data.and_then(sparse_map);
        let stored: u64 = match (&map, data) {
            (Some(map), Some(data)) => {
                map.len() as u64 + data.runs().map(|run| run.end - run.start).sum::<u64>()
            }
            (None, Some(data)) => data.size(),
            (_, None) => 0,
        };
        let mut records = Records::default();
        if let (Some(_), Some(data)) = (&map, data) {
            records.add("GNU.sparse.major", b"1");
            records.add("GNU.sparse.minor", b"0");
            records.add("GNU.sparse.name", member.name);
            records.add("GNU.sparse.realsize", data.size().to_string().as_bytes());
        }
        records.of(member, node, stored);
        if member.typeflag != b'1' {
            for (name, value) in tree.xattrs(node.meta.xattrs) {
                records.add_named([b"SCHILY.xattr.".as_slice(), name].concat(), value);
            }
        }
        if !records.0.is_empty() {
            let extended =
                Member { name: b"./PaxHeaders", link: b"", typeflag: b'x', device: (0, 0), data: None };
            let plain = Node { meta: crate::tree::Meta::of_root(0o644, Time::default()), kind: Kind::Fifo };
            let length = records.0.len() as u64;
            self.bytes(header(&extended, &plain, length).to_vec(), What::new(&"tar extended header"));
            self.bytes(std::mem::take(&mut records.0), What::new(&"tar records"));
            self.pad();
        }
        self.bytes(header(member, node, stored).to_vec(), What::new(&"tar header"));
        if let Some(map) = map {
            self.bytes(map, What::new(&"tar map of a sparse file"));
        }
        for run in data.into_iter().flat_map(Data::runs) {
            self.data(data.expect("runs are of data"), run);
        }
        self.pad();
        let limit = || {
            Refusal::new(RefusalKind::Limit, Spot::new("tar", escaped(member.name)), "more than 2^63 bytes")
        };
        i64::try_from(self.at).map(drop).map_err(|_| limit())
    }

    fn bytes(&mut self, bytes: Vec<u8>, what: What) {
        let extent = Extent::of_bytes(self.at, bytes, what);
        self.at = extent.end();
        self.extents.push(extent);
    }

    fn data(&mut self, data: &Data, run: Range<u64>) {
        let source = match data {
            Data::Content { id, .. } => Source::Content(*id, run.start),
            Data::Bytes(bytes) => Source::Bytes(bytes.clone(), run.start),
        };
        let len = run.end - run.start;
        self.extents.push(Extent { start: self.at, len, source, what: What::new(&"file data") });
        self.at += len;
    }

    /// What is left out is zero.
    fn pad(&mut self) {
        self.at = self.at.next_multiple_of(BLOCK);
    }

    fn finish(self) -> Result<Layout, Refusal> {
        let layout = Layout::of_extents(self.at + 2 * BLOCK, self.extents, Vec::new());
        Ok(layout.expect("members are behind each other"))
    }
}

/// The map in front of a sparse file's data: the number of its runs, then offset and length of each, a line each, padded; a
/// file that ends in a hole has an empty run at its end.
fn sparse_map(data: &Data) -> Option<Vec<u8>> {
    let Data::Content { size, runs: Some(_), .. } = data else { return None };
    let mut runs: Vec<Range<u64>> = data.runs().collect();
    if runs.last().is_none_or(|run| run.end < *size) {
        runs.push(*size..*size);
    }
    let lines = runs.iter().flat_map(|run| [run.start, run.end - run.start]);
    let numbers = std::iter::once(runs.len() as u64).chain(lines);
    let mut map = numbers.map(|number| format!("{number}\n")).collect::<String>().into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK as usize), 0);
    Some(map)
}

/// Records of an extended header.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.add_named(name.as_bytes().to_vec(), value);
    }

    /// `LENGTH NAME=VALUE\n`; the length counts itself.
    fn add_named(&mut self, name: Vec<u8>, value: &[u8]) {
        let rest = name.len() + value.len() + 3;
        let mut len = rest + 1;
        while rest + len.to_string().len() != len {
            len = rest + len.to_string().len();
        }
        self.0.extend_from_slice(len.to_string().as_bytes());
        for part in [b" ".as_slice(), &name, b"=", value, b"\n"] {
            self.0.extend_from_slice(part);
        }
    }

    /// What the header cannot say.
    fn of(&mut self, member: &Member<'_>, node: &Node, stored: u64) {
        let Time { sec, nsec } = node.meta.mtime;
        let long = |name: &[u8]| name.len() > NAME || !name.is_ascii();
        if [member.name, member.link].iter().any(|name| std::str::from_utf8(name).is_err()) {
            self.add("hdrcharset", b"BINARY");
        }
        if long(member.name) {
            self.add("path", member.name);
        }
        if long(member.link) {
            self.add("linkpath", member.link);
        }
        for (name, value, most) in [
            ("uid", u64::from(node.meta.uid), MOST_7),
            ("gid", u64::from(node.meta.gid), MOST_7),
            ("size", stored, MOST_11),
        ] {
            if value > most {
                self.add(name, value.to_string().as_bytes());
            }
        }
        if nsec != 0 || u64::try_from(sec).is_err() || sec as u64 > MOST_11 {
            self.add("mtime", decimal(sec, nsec).as_bytes());
        }
    }
}

/// Seconds with their fraction, which is negative with them: half a second before 1970 is -1 and 500,000,000.
fn decimal(sec: i64, nsec: u32) -> String {
    let (sign, whole, fraction) = match (sec < 0, nsec) {
        (false, _) => ("", sec.unsigned_abs(), nsec),
        (true, 0) => ("-", sec.unsigned_abs(), 0),
        (true, _) => ("-", sec.unsigned_abs() - 1, 1_000_000_000 - nsec),
    };
    match fraction {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{}", format!("{fraction:09}").trim_end_matches('0')),
    }
}

/// A header; values that are too large stand in the extended header, and here cut off.
fn header(member: &Member<'_>, node: &Node, stored: u64) -> [u8; BLOCK as usize] {
    let mut block = [0; BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    let cut = |name: &[u8]| name[..name.len().min(NAME)].to_vec();
    let octal = |value: u64, digits: usize| format!("{value:0digits$o}").into_bytes();
    let meta = &node.meta;
    put(0, &cut(member.name));
    put(100, &octal(u64::from(meta.mode), 7));
    put(108, &octal(u64::from(meta.uid).min(MOST_7), 7));
    put(116, &octal(u64::from(meta.gid).min(MOST_7), 7));
    put(124, &octal(stored.min(MOST_11), 11));
    put(136, &octal(u64::try_from(meta.mtime.sec).unwrap_or(0).min(MOST_11), 11));
    put(148, b"        ");
    put(156, &[member.typeflag]);
    put(157, &cut(member.link));
    put(257, b"ustar\x0000");
    put(329, &octal(u64::from(member.device.0).min(MOST_7), 7));
    put(337, &octal(u64::from(member.device.1).min(MOST_7), 7));
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}
