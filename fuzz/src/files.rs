//! Arbitrary trees, and whether an image holds one.

use arbitrary::{Result, Unstructured};
use diskwright_formats::layout::{
    Content, ContentError, ContentId, Contents, OneFile, ReadAt, Reader, Window,
};
use diskwright_fstools::registry::Opened;
use diskwright_fstools::tree::{Data, HOLE_WINDOW, Kind, Meta, Node, NodeId, ROOT, Time, Tree, Xattrs};
use std::collections::BTreeMap;
use std::ops::Range;

/// What a file system can hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Everything.
    All,
    /// Directories, files, their names and data.
    NamesAndData,
    /// No files at all.
    Nothing,
}

/// What the file system of this row holds.
pub fn holds(row: &str) -> Holds {
    match row {
        "vfat" => Holds::NamesAndData,
        "swap" => Holds::Nothing,
        _ => Holds::All,
    }
}

/// Contents without end, whose bytes follow from id and position and are never zero.
pub struct Endless;

impl Contents for Endless {
    fn open(&self, id: ContentId) -> std::result::Result<Box<dyn Content + '_>, ContentError> {
        Ok(Box::new(EndlessContent(id)))
    }
}

struct EndlessContent(ContentId);

impl Content for EndlessContent {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::result::Result<(), ContentError> {
        for (at, byte) in (offset..).zip(buffer) {
            *byte = (at ^ (at >> 9) ^ (at >> 17) ^ (u64::from(self.0.0) * 7)) as u8 | 1;
        }
        Ok(())
    }
}

/// Most nodes of an arbitrary tree.
const MOST: u64 = 900;

/// A tree whose contents are [`Endless`]. Every tree that the input describes is valid; names that are taken are left out.
pub fn tree(u: &mut Unstructured, holds: Holds) -> Result<Tree> {
    let mut tree = Tree::new(Meta::of_root(0o755, Time::seconds(1_700_000_000)));
    let mut directories = vec![ROOT];
    let mut others: Vec<NodeId> = Vec::new();
    let mut contents = 0..;
    // One in two hundred trees for what holds none: they are refused.
    let mut left = if holds == Holds::Nothing && !u.ratio(1, 200)? { 0 } else { MOST };
    while !u.is_empty() && left > 0 {
        left -= 1;
        let parent = *u.choose(&directories)?;
        let what = u.int_in_range(0..=if holds == Holds::All { 10 } else { 4 })?;
        if what == 3 && u.ratio(1, 3)? {
            left -= crowd(u, &mut tree, parent, left)?;
            continue;
        }
        let name = name(u)?;
        if what == 10 {
            if let Some(&node) = others.get(usize::from(u.arbitrary::<u8>()?)) {
                let _ = tree.link(parent, &name, node);
            }
            continue;
        }
        let kind = match what {
            0 | 1 => Kind::directory(),
            5 => Kind::Symlink(long_bytes(u, b't', 1..=4095)?.into()),
            6 => Kind::CharDevice { major: u.arbitrary()?, minor: u.arbitrary()? },
            7 => Kind::BlockDevice { major: u.arbitrary()?, minor: u.arbitrary()? },
            8 => Kind::Fifo,
            9 => Kind::Socket,
            _ => Kind::File(data(u, ContentId(contents.next().unwrap_or(0)))?),
        };
        let is_directory = matches!(kind, Kind::Directory(_));
        let meta = meta(u, &mut tree, holds)?;
        match tree.add(parent, &name, Node { meta, kind }) {
            Ok(node) if is_directory => directories.push(node),
            Ok(node) => others.push(node),
            Err(_) => {}
        }
    }
    Ok(tree)
}

/// Many small files in one directory.
fn crowd(u: &mut Unstructured, tree: &mut Tree, parent: NodeId, left: u64) -> Result<u64> {
    let count = u.int_in_range(0..=left.min(700))?;
    let width = u.int_in_range(1..=200usize)?;
    for number in 0..count {
        let name = format!("{number:0>width$}");
        let node = Node { meta: Meta::of_root(0o644, Time::default()), kind: Kind::file(vec![]) };
        let _ = tree.add(parent, name.as_bytes(), node);
    }
    Ok(count)
}

fn name(u: &mut Unstructured) -> Result<Vec<u8>> {
    Ok(match u.int_in_range(0..=5)? {
        0 => long_bytes(u, b'n', 1..=255)?,
        1 => u.arbitrary::<[u8; 4]>()?.to_vec(),
        2 => u.arbitrary::<String>()?.into_bytes(),
        3 => format!("Long Name {}.txt", u.arbitrary::<u16>()?).into_bytes(),
        _ => format!("{:x}", u.arbitrary::<u8>()?).into_bytes(),
    })
}

fn long_bytes(u: &mut Unstructured, byte: u8, len: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>> {
    let len = u.int_in_range(len)?;
    let mut bytes = vec![byte; len];
    let own = len.min(3);
    u.fill_buffer(&mut bytes[..own])?;
    for byte in &mut bytes[..own] {
        // Not NUL, and not a slash.
        *byte = byte.wrapping_mul(2) | 1;
        *byte = if *byte == b'/' { b'n' } else { *byte };
    }
    Ok(bytes)
}

fn data(u: &mut Unstructured, id: ContentId) -> Result<Data> {
    Ok(match u.int_in_range(0..=5)? {
        0 => Data::Bytes(u.arbitrary::<&[u8]>()?.into()),
        1 => Data::Content { id, size: u64::from(u.arbitrary::<u16>()?), runs: None },
        2 => Data::Content { id, size: u64::from(u.arbitrary::<u32>()? >> 10), runs: None },
        3 => Data::Bytes(vec![u.arbitrary()?; usize::from(u.arbitrary::<u16>()?)].into()),
        // Sparse, and up to far behind every limit.
        large => {
            let size = if large == 4 { u.int_in_range(0..=1 << 26)? } else { u.int_in_range(0..=1 << 50)? };
            let mut runs: Vec<Range<u64>> = Vec::new();
            for _ in 0..u.int_in_range(0..=40)? {
                let gap = u64::from(u.arbitrary::<u16>()?) + 1;
                let start = runs.last().map_or(gap - 1, |run| run.end / HOLE_WINDOW + gap) * HOLE_WINDOW;
                let end = (start + HOLE_WINDOW * u.int_in_range(1..=9)?).min(size);
                if start < end {
                    runs.push(start..end);
                }
            }
            Data::Content { id, size, runs: Some(runs.into()) }
        }
    })
}

fn meta(u: &mut Unstructured, tree: &mut Tree, holds: Holds) -> Result<Meta> {
    let mut meta = Meta::of_root(0o644, Time::seconds(1_600_000_000));
    if holds != Holds::All || u.ratio(1, 2)? {
        return Ok(meta);
    }
    meta.mode = u.int_in_range(0..=0o7777)?;
    (meta.uid, meta.gid) = (u.arbitrary()?, u.arbitrary()?);
    let sec = if u.ratio(1, 8)? { u.arbitrary()? } else { i64::from(u.arbitrary::<i32>()?) * 2 };
    meta.mtime = Time { sec, nsec: u.int_in_range(0..=999_999_999)? };
    let mut xattrs = Xattrs::new();
    for _ in 0..u.int_in_range(0..=4)? {
        const PREFIXES: [&[u8]; 5] = [b"user.", b"security.", b"trusted.", b"security.selinux", b"other."];
        let mut name = u.choose(&PREFIXES)?.to_vec();
        name.extend(long_bytes(u, b'x', 0..=250)?);
        xattrs.insert(name, long_bytes(u, b'v', 0..=5000)?);
    }
    meta.xattrs = tree.intern(xattrs);
    Ok(meta)
}

/// Panics unless `image`, opened, holds `tree` over [`Endless`].
pub fn assert_holds(image: &dyn ReadAt, opened: &Opened, tree: &Tree, holds: Holds) {
    let added = tree.lookup(b"lost+found").is_none();
    // `s_inode_size` of the ext family: inodes of 128 bytes have no room for nanoseconds.
    let mut size = [0; 2];
    let small_inodes = image.read_exact_at(1024 + 88, &mut size).is_ok() && size == [128, 0];
    let mut found = opened.tree.walk().filter(|step| !(added && step.path == b"/lost+found"));
    let mut nodes: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let mut seen: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    for step in tree.walk() {
        let path = step.path.escape_ascii().to_string();
        let other = found.next().unwrap_or_else(|| panic!("missing: {path}"));
        assert_eq!(path, other.path.escape_ascii().to_string(), "the same path");
        // Names of one node are names of one node, in both directions.
        let linked = nodes.insert(step.node, other.node);
        assert!(linked.is_none_or(|node| node == other.node), "hard links: {path}");
        let linked = seen.insert(other.node, step.node);
        assert!(linked.is_none_or(|node| node == step.node), "hard links: {path}");
        let (expected, got) = (tree.node(step.node), opened.tree.node(other.node));
        if holds == Holds::All {
            let (a, b) = (expected.meta, got.meta);
            let fields = |meta: Meta| (meta.mode, meta.uid, meta.gid);
            assert_eq!(fields(a), fields(b), "owner and mode: {path}");
            assert_time(&path, small_inodes, a.mtime, b.mtime);
            assert_eq!(tree.xattrs(a.xattrs), opened.tree.xattrs(b.xattrs), "attributes: {path}");
        }
        match (&expected.kind, &got.kind) {
            (Kind::Directory(_), Kind::Directory(_)) => {}
            (Kind::File(data), Kind::File(read)) => assert_data(&path, image, opened, data, read),
            (a, b) => assert_eq!(a, b, "the same kind: {path}"),
        }
    }
    let more = found.next().map(|step| step.path.escape_ascii().to_string());
    assert_eq!(more, None, "nothing but the tree");
}

/// Every file system keeps what fits into 32 bits; further away, the nearest that it can say will do.
fn assert_time(path: &str, small_inodes: bool, expected: Time, found: Time) {
    let expected = if small_inodes { Time::seconds(expected.sec) } else { expected };
    let nearest = |far: i64, near: i64| (far < near && near < 0) || (0 < near && near < far);
    let kept = i32::try_from(expected.sec).is_ok();
    let clamped = !kept && nearest(expected.sec, found.sec);
    assert!(expected == found || clamped, "the time {expected:?}, found {found:?}: {path}");
}

/// Reads the ends of every run and hole, and small ones whole.
fn assert_data(path: &str, image: &dyn ReadAt, opened: &Opened, data: &Data, read: &Data) {
    assert_eq!(data.size(), read.size(), "the same length: {path}");
    let mut at = 0;
    for run in data.runs().chain(std::iter::once(data.size()..data.size())) {
        for part in ends(at..run.start) {
            assert!(
                bytes_of(image, opened, read, &part).iter().all(|&byte| byte == 0),
                "a hole: {path} {part:?}"
            );
        }
        for part in ends(run.clone()) {
            let mut expected = vec![0; (part.end - part.start) as usize];
            match data {
                Data::Bytes(bytes) => {
                    expected.copy_from_slice(&bytes[part.start as usize..part.end as usize])
                }
                Data::Content { id, .. } => {
                    EndlessContent(*id).read_exact_at(part.start, &mut expected).expect("endless");
                }
            }
            assert!(bytes_of(image, opened, read, &part) == expected, "the same data: {path} {part:?}");
        }
        at = run.end;
    }
}

fn ends(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    const PART: u64 = 20 << 10;
    let middle = (range.start + PART).min(range.end);
    let last = range.end.saturating_sub(PART).max(middle);
    [range.start..middle, last..range.end].into_iter().filter(|part| part.start < part.end)
}

fn bytes_of(image: &dyn ReadAt, opened: &Opened, data: &Data, part: &Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; (part.end - part.start) as usize];
    match data {
        Data::Bytes(all) => bytes.copy_from_slice(&all[part.start as usize..part.end as usize]),
        Data::Content { id, .. } => {
            let (file, contents) = (&opened.files[id.0 as usize], OneFile(image));
            let reader = Reader::new(file, &contents);
            let window = Window::new(&reader, part.clone()).expect("within the file");
            window.read_exact_at(0, &mut bytes).expect("the bytes of a file");
        }
    }
    bytes
}
