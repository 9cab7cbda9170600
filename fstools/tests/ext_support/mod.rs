//! Trees to lay, a sparse writer of images, and the tools that judge them.
#![allow(dead_code, unreachable_pub, clippy::print_stdout, clippy::disallowed_methods)]

pub mod contents;
pub mod formats;
pub mod same;

use diskwright_formats::fault::Refusal;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{
    Bytes, Content, ContentError, ContentId, Contents, Layout, Memory, ReadAt, Reader, Source,
};
use diskwright_fstools::registry::{Filesystem, Geometry, Laid, find};
use diskwright_fstools::tree::{Data, HOLE_WINDOW, Kind, Meta, Node, NodeId, ROOT, Time, Tree, Xattrs};
use ext4_view::{Ext4, Ext4Read};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tree and what its content ids stand for.
pub struct Sample {
    pub tree: Tree,
    pub contents: Memory,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample { tree: Tree::new(meta(0o755)), contents: Memory::default() }
    }
}

pub fn meta(mode: u16) -> Meta {
    Meta { uid: 1000, gid: 100, ..Meta::of_root(mode, Time { sec: 1_700_000_000, nsec: 123_456_789 }) }
}

impl Sample {
    pub fn add(&mut self, parent: NodeId, name: impl AsRef<[u8]>, kind: Kind) -> NodeId {
        self.tree.add(parent, name.as_ref(), Node { meta: meta(0o644), kind }).expect("a good name")
    }

    pub fn directory(&mut self, parent: NodeId, name: impl AsRef<[u8]>) -> NodeId {
        self.tree
            .add(parent, name.as_ref(), Node { meta: meta(0o755), kind: Kind::directory() })
            .expect("a good name")
    }

    /// A file of a content of its own.
    pub fn content(&mut self, parent: NodeId, name: impl AsRef<[u8]>, bytes: Vec<u8>) -> NodeId {
        let (id, size) = (ContentId(self.contents.0.len() as u32), bytes.len() as u64);
        self.contents.0.push(Bytes::from(bytes));
        self.add(parent, name, Kind::File(Data::Content { id, size, runs: None }))
    }

    /// The bytes of a file, holes as zeros.
    pub fn data(&self, data: &Data) -> Vec<u8> {
        let mut bytes = match data {
            Data::Bytes(bytes) => bytes.to_vec(),
            Data::Content { id, .. } => self.contents.0[id.0 as usize].to_vec(),
        };
        bytes.resize(data.size() as usize, 0);
        bytes
    }

    /// A file of content 0, to be read from [`Pattern`].
    pub fn external(&mut self, parent: NodeId, name: &str, size: u64) -> NodeId {
        self.add(parent, name, Kind::File(Data::Content { id: ContentId(0), size, runs: None }))
    }

    /// A file of `size` bytes that are all holes but for `data` windows, each with its own bytes. The content is only
    /// as long as its data, so the layout may not read beyond.
    pub fn sparse(&mut self, parent: NodeId, name: impl AsRef<[u8]>, size: u64, windows: &[u64]) -> NodeId {
        let id = ContentId(self.contents.0.len() as u32);
        let runs: Vec<_> =
            windows.iter().map(|at| at * HOLE_WINDOW..((at + 1) * HOLE_WINDOW).min(size)).collect();
        let end = runs.last().map_or(0, |run| run.end) as usize;
        let mut bytes = vec![0; end];
        for run in &runs {
            bytes[run.start as usize..run.end as usize].fill(1 + (run.start / HOLE_WINDOW % 255) as u8);
        }
        self.contents.0.push(Bytes::from(bytes));
        self.add(parent, name, Kind::File(Data::Content { id, size, runs: Some(runs.into()) }))
    }
}

/// Contents of any length, without memory: each block is full of its number.
pub struct Pattern;

impl Contents for Pattern {
    fn open(&self, _: ContentId) -> Result<Box<dyn Content + '_>, ContentError> {
        Ok(Box::new(Pattern))
    }
}

impl Content for Pattern {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        // Layouts ask for whole blocks, but for the last one of a file.
        buffer.chunks_mut(4096).zip(offset / 4096..).for_each(|(block, at)| block.fill((at % 251) as u8 + 1));
        Ok(())
    }
}

/// A file of so many extents, to be read from [`Pattern`].
pub fn many_extents(count: u64) -> Sample {
    let mut sample = Sample::default();
    let runs: Vec<_> = (0..count).map(|at| 2 * at * HOLE_WINDOW..(2 * at + 1) * HOLE_WINDOW).collect();
    let size = 2 * count * HOLE_WINDOW;
    sample.add(ROOT, "many", Kind::File(Data::Content { id: ContentId(0), size, runs: Some(runs.into()) }));
    sample
}

/// One directory of so many names of 250 bytes: thirteen fill a block of it.
pub fn long_names(count: u32) -> Sample {
    let mut sample = Sample::default();
    let dir = sample.directory(ROOT, "long");
    (0..count).for_each(|at| {
        sample.add(dir, format!("{at:0250}"), Kind::Fifo);
    });
    sample
}

/// Whether the tests that take minutes are asked for.
pub fn all() -> bool {
    std::env::var_os("DISKWRIGHT_ALL").is_some_and(|value| value == "1")
}

/// Bytes that are never the same for two seeds.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Every kind of node, every length of symlink and name that matters.
pub fn kinds() -> Sample {
    kinds_with_links(4095)
}

/// As [`kinds`], with symlinks of at most so many bytes.
pub fn kinds_with_links(longest: usize) -> Sample {
    let mut sample = Sample::default();
    let dir = sample.directory(ROOT, "dir");
    for len in [0, 1, 4095, 4096, 4097, 65_536, 100_000, 1_000_001] {
        sample.content(dir, format!("file-{len:07}"), noise(len as u64, len));
        sample.add(dir, format!("made-{len:07}"), Kind::file(noise(len as u64 + 1, len)));
    }
    let name = |len: usize| vec![b'n'; len];
    sample.content(ROOT, name(255), noise(7, 10));
    let odd: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
    sample.content(ROOT, &odd[..254], noise(8, 10));
    sample.content(ROOT, b"\xff\xfe not utf-8 \x80", noise(9, 10));
    for len in [1, 58, 59, 60, 61, longest - 1, longest] {
        let target: Vec<u8> = (0..len).map(|at| if at % 100 == 99 { b'/' } else { b'x' }).collect();
        sample.add(dir, format!("link-{len:04}"), Kind::Symlink(target.into()));
    }
    let special = sample.directory(ROOT, "special");
    sample.add(special, "fifo", Kind::Fifo);
    sample.add(special, "socket", Kind::Socket);
    for (major, minor) in [(0, 0), (1, 3), (255, 255), (256, 0), (8, 256), (4095, 1_048_575)] {
        sample.add(special, format!("char-{major}-{minor}"), Kind::CharDevice { major, minor });
        sample.add(special, format!("block-{major}-{minor}"), Kind::BlockDevice { major, minor });
    }
    let linked = sample.content(dir, "linked", noise(3, 5000));
    for at in 0..20 {
        sample.tree.link(special, format!("hard-{at:02}").as_bytes(), linked).expect("a good name");
    }
    let fifo = sample.tree.child(special, b"fifo").expect("just made");
    sample.tree.link(dir, b"fifo too", fifo).expect("a good name");
    for (at, (sec, nsec)) in [
        (0, 0),
        (-1, 1),
        (i64::from(i32::MIN), 0),
        (1 << 31, 999_999_999),
        (1 << 32, 5),
        (i64::MAX, 3),
        (i64::MIN, 3),
    ]
    .into_iter()
    .enumerate()
    {
        let node = sample.add(special, format!("time-{at}"), Kind::file(vec![1]));
        sample.tree.meta_mut(node).mtime = Time { sec, nsec };
    }
    for (at, id) in [0, 1, 65_535, 65_536, 1 << 31, u32::MAX - 1].into_iter().enumerate() {
        let node = sample.add(special, format!("owner-{at}"), Kind::file(vec![1]));
        let meta = sample.tree.meta_mut(node);
        (meta.uid, meta.gid, meta.mode) = (id, id ^ 0x10001, 0o7777 >> at);
    }
    *sample.tree.meta_mut(ROOT) = Meta { uid: 5, gid: 70_000, ..meta(0o1777) };
    sample
}

/// One directory of so many files.
pub fn wide(count: u32) -> Sample {
    let mut sample = Sample::default();
    let dir = sample.directory(ROOT, "wide");
    for at in 0..count {
        sample.add(dir, format!("a file with the number {at:07}"), Kind::file(vec![]));
    }
    sample
}

/// A directory in a directory in a directory.
pub fn deep(levels: u32) -> Sample {
    let mut sample = Sample::default();
    (0..levels).fold(ROOT, |parent, level| {
        sample.add(parent, "file", Kind::file(format!("level {level}").into_bytes()));
        sample.directory(parent, "deeper")
    });
    sample
}

pub fn subdirectories(count: u32) -> Sample {
    let mut sample = Sample::default();
    let dir = sample.directory(ROOT, "dir");
    (0..count).for_each(|at| {
        sample.directory(dir, format!("{at:05}"));
    });
    sample
}

/// An ACL in the form of the system call.
pub fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(perm.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Attributes in inodes, in shared and full blocks, ACLs.
pub fn attributes() -> Sample {
    const NONE: u32 = u32::MAX;
    let mut sample = Sample::default();
    let set = |pairs: &[(&str, Vec<u8>)]| -> Xattrs {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone())).collect()
    };
    let access = acl(&[
        (1, 7, NONE),
        (2, 5, 1000),
        (2, 4, 70_000),
        (4, 5, NONE),
        (8, 1, 50),
        (0x10, 7, NONE),
        (0x20, 4, NONE),
    ]);
    let default = acl(&[(1, 7, NONE), (4, 5, NONE), (0x20, 0, NONE)]);
    let label = b"system_u:object_r:unlabeled_t:s0\0".to_vec();
    let capability = vec![1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let sets = [
        set(&[("user.empty", vec![])]),
        set(&[("user.small", b"value".to_vec())]),
        set(&[("security.selinux", label.clone())]),
        set(&[("security.selinux", label.clone()), ("security.capability", capability)]),
        set(&[("user.large", noise(1, 3000)), ("security.selinux", label)]),
        set(&[("user.full", noise(2, 4096 - 32 - 4 - 16 - 4))]),
        set(&[("trusted.overlay.opaque", b"y".to_vec()), ("user.\u{e4}", b"\xff\0\x01".to_vec())]),
        (0..60).map(|at| (format!("user.{at:02}").into_bytes(), noise(at, at as usize))).collect(),
    ];
    for (at, set) in sets.into_iter().enumerate() {
        let id = sample.tree.intern(set);
        for copy in 0..3 {
            let node = sample.add(ROOT, format!("set-{at}-{copy}"), Kind::file(vec![b'x'; 100]));
            sample.tree.meta_mut(node).xattrs = id;
        }
    }
    let shared = sample.tree.intern(set(&[("user.shared", noise(99, 500))]));
    let many = sample.directory(ROOT, "many");
    for at in 0..2500 {
        let kind = if at % 100 == 0 { Kind::Symlink((*b"target").into()) } else { Kind::file(vec![]) };
        let node = sample.add(many, format!("{at:04}"), kind);
        sample.tree.meta_mut(node).xattrs = shared;
    }
    let dir = sample.directory(ROOT, "acl");
    let file = sample.add(dir, "file", Kind::file(vec![]));
    let (dir_set, file_set) = (
        set(&[("system.posix_acl_access", access.clone()), ("system.posix_acl_default", default)]),
        set(&[("system.posix_acl_access", access)]),
    );
    sample.tree.meta_mut(dir).xattrs = sample.tree.intern(dir_set);
    sample.tree.meta_mut(file).xattrs = sample.tree.intern(file_set);
    sample.tree.meta_mut(ROOT).xattrs = shared;
    sample
}

/// Files with holes, of many extents, and beyond 4 GiB.
pub fn holes() -> Sample {
    let mut sample = Sample::default();
    sample.sparse(ROOT, "all hole", 10 << 30, &[]);
    sample.sparse(ROOT, "the largest", ((1 << 32) - 1) << 12, &[0]);
    sample.sparse(ROOT, "hole at the end", 5 << 30, &[0]);
    sample.sparse(ROOT, "hole at the front", 300_001, &[4]);
    for (name, count) in [("four", 4), ("five", 5), ("340", 340), ("341", 341)] {
        let windows: Vec<u64> = (0..count).map(|at| 2 * at).collect();
        sample.sparse(ROOT, name, (2 * count) * HOLE_WINDOW - 70_000, &windows);
    }
    sample
}

pub fn lay(sample: &Sample, len: u64) -> Result<Laid, Refusal> {
    lay_with(sample, len, "")
}

/// A file system by a line in the spelling of mke2fs: `-t` comes first, and is ext4 where it does not.
pub fn filesystem(options: &str) -> Box<dyn Filesystem> {
    configure(options).unwrap_or_else(|refusal| panic!("{options}: {refusal}"))
}

pub fn configure(options: &str) -> Result<Box<dyn Filesystem>, Refusal> {
    let (row, options) = match options.strip_prefix("-t ") {
        Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
        None => ("ext4", options),
    };
    let row = find(row).unwrap_or_else(|| panic!("a row named {row}"));
    let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
    (row.configure)(&options)
}

pub fn identity() -> Identity {
    Identity::new(b"test", 1_700_000_001).role("fs/root")
}

pub fn lay_with(sample: &Sample, len: u64, options: &str) -> Result<Laid, Refusal> {
    let place = Geometry { len, sector_size: 512, hidden_sectors: 0 };
    filesystem(options).lay(&sample.tree, &place, &identity())
}

/// An image in a file that disappears.
pub struct Image {
    pub path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Image {
    /// Writes what extents cover; the rest of the file is a hole.
    pub fn write(layout: &Layout, contents: &dyn Contents) -> Image {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("image");
        let file = File::create(&path).expect("a new file");
        file.set_len(layout.len()).expect("a sparse file");
        let mut buffer = vec![0; 1 << 20];
        for extent in layout.extents() {
            // Of gigabytes of poison, the edges will do.
            let skip = extent.what.name() == "poison" && extent.len > 4 << 20;
            let mut at = 0;
            while at < extent.len {
                let len = (extent.len - at).min(buffer.len() as u64) as usize;
                read(&extent.source.skip(at), contents, &mut buffer[..len]);
                file.write_all_at(&buffer[..len], extent.start + at).expect("room on the disk");
                at += len as u64;
                if skip && at == 1 << 20 {
                    at = extent.len - (1 << 20);
                }
            }
        }
        Image { path, _directory: directory }
    }

    pub fn copy(&self) -> Image {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("image");
        let copied =
            Command::new("cp").arg("--sparse=always").args([&self.path, &path]).status().expect("cp");
        assert!(copied.success());
        Image { path, _directory: directory }
    }
}

/// An image in a file, to be read.
pub struct Disk(File, u64);

impl Disk {
    pub fn open(path: &Path) -> Disk {
        let file = File::open(path).expect("an image");
        let len = file.metadata().expect("an image").len();
        Disk(file, len)
    }
}

impl ReadAt for Disk {
    fn len(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

fn read(source: &Source, contents: &dyn Contents, buffer: &mut [u8]) {
    match source {
        Source::Bytes(bytes, from) => buffer.copy_from_slice(&bytes[*from as usize..][..buffer.len()]),
        Source::Made(made, argument) => made.fill(*argument, buffer),
        Source::Content(id, from) => {
            contents.open(*id).and_then(|content| content.read_exact_at(*from, buffer)).expect("in memory")
        }
    }
}

/// Whether a program is there; says so visibly when not, and fails where the tests are strict.
pub fn have(test: &str, program: &str) -> bool {
    let found = tool(program).is_some();
    if !found {
        let package = match program {
            "grub-fstest" => "grub-common",
            _ if program.contains("fs") => "e2fsprogs",
            _ => "mount",
        };
        let line = skip(test, &format!("{program} missing (package {package})"));
        assert!(std::env::var_os("DISKWRIGHT_STRICT").is_none_or(|value| value != "1"), "{line}");
    }
    found
}

/// Says visibly that a test did not run.
pub fn skip(test: &str, why: &str) -> String {
    let line = format!("SKIP {test}: {why}");
    println!("{line}");
    if let Some(path) = std::env::var_os("DISKWRIGHT_SKIPS") {
        let mut file = File::options().append(true).create(true).open(path).expect("the list of skips");
        writeln!(file, "{line}").expect("the list of skips");
    }
    line
}

pub fn tool(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(program)).find(|path| path.is_file())
}

pub fn run(program: &str, arguments: &[&str]) -> (i32, String) {
    let path = match program.contains('/') {
        true => PathBuf::from(program),
        false => tool(program).unwrap_or_else(|| panic!("{program} was looked up")),
    };
    let output = Command::new(path).args(arguments).env("LC_ALL", "C").output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// What e2fsck counts.
#[derive(Debug, PartialEq, Eq)]
pub struct Counted {
    pub inodes_used: u64,
    pub inodes: u64,
    pub blocks_used: u64,
    pub blocks: u64,
}

/// e2fsck must end well and print its five passes, one line of counts and nothing else.
pub fn fsck(image: &Path, name: &str) -> Counted {
    fsck_by("e2fsck", image, name)
}

/// As [`fsck`], by another program than the installed one.
pub fn fsck_by(program: &str, image: &Path, name: &str) -> Counted {
    let (code, text) = run(program, &["-fn", image.to_str().expect("a plain path")]);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("e2fsck 1.")).collect();
    let passes = [
        "Pass 1: Checking inodes, blocks, and sizes",
        "Pass 2: Checking directory structure",
        "Pass 3: Checking directory connectivity",
        "Pass 4: Checking reference counts",
        "Pass 5: Checking group summary information",
    ];
    let clean = code == 0
        && lines.len() == 6
        && lines[..5] == passes
        && lines[5].contains(" files (")
        && lines[5].ends_with(" blocks");
    assert!(
        clean,
        "{name}: e2fsck ends with {code}:\n{}",
        text.lines().take(40).collect::<Vec<_>>().join("\n")
    );
    // PATH or LABEL: 11/64 files (0.0% non-contiguous), 20/1024 blocks
    let counts = lines[5].rsplit(": ").next().expect("one part at least");
    let words: Vec<&str> = counts.split(' ').collect();
    let pair = |word: &str| -> (u64, u64) {
        let (used, all) = word.split_once('/').expect("used/all");
        (used.parse().expect("a number"), all.parse().expect("a number"))
    };
    let ((inodes_used, inodes), (blocks_used, blocks)) = (pair(words[0]), pair(words[4]));
    Counted { inodes_used, inodes, blocks_used, blocks }
}

/// All bytes of a small layout.
pub fn bytes_of(layout: &Layout, contents: &dyn Contents) -> Vec<u8> {
    let mut bytes = vec![0; layout.len() as usize];
    Reader::new(layout, contents).read_exact_at(0, &mut bytes).expect("in memory");
    bytes
}

/// A layout as ext4-view reads it.
struct View(Layout, Memory);

impl Ext4Read for View {
    fn read(
        &mut self,
        start: u64,
        to: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        Ok(Reader::new(&self.0, &self.1).read_exact_at(start, to)?)
    }
}

/// ext4-view, which checks every checksum, must find what is in the tree.
pub fn view(name: &str, mut sample: Sample, len: u64) {
    // This reader refuses every time whose low word looks negative: before 1970, and 2038 to 2106.
    for node in (0..sample.tree.nodes() as u32).map(NodeId) {
        let mtime = &mut sample.tree.meta_mut(node).mtime;
        mtime.sec = mtime.sec.rem_euclid(1 << 31);
    }
    let laid = lay(&sample, len).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    let view = Ext4::load(Box::new(View(laid.layout.poisoned(0xF5), sample.contents.clone()))).expect(name);
    assert_eq!(view.uuid().to_string(), filesystem("").id(&identity()));
    for step in sample.tree.walk() {
        let path = ext4_view::Path::try_from(&step.path[..]).expect("a path");
        let node = sample.tree.node(step.node);
        let found = view.symlink_metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let meta = &node.meta;
        assert_eq!((found.uid(), found.gid(), found.mode()), (meta.uid, meta.gid, meta.mode), "{path:?}");
        assert_eq!(
            (found.modified().seconds(), found.modified().nanoseconds()),
            (meta.mtime.sec, meta.mtime.nsec)
        );
        match &node.kind {
            Kind::File(data) => {
                let bytes = sample.data(data);
                assert!(view.read(path).expect("a file") == bytes, "{path:?}");
            }
            Kind::Symlink(target) => {
                assert_eq!(view.read_link(path).expect("a symlink").as_ref(), &target[..]);
            }
            Kind::Directory(_) => {
                let entries = view.read_dir(path).expect("a directory").count();
                let ours = usize::from(step.node == ROOT && sample.tree.lookup(b"lost+found").is_none());
                assert_eq!(entries, sample.tree.children(step.node).len() + 2 + ours, "{path:?}");
            }
            _ => {}
        }
    }
}

/// All of these, one after the other; fails at the end, with everything that was said of whom.
pub fn all_of<T>(cells: impl IntoIterator<Item = T>, name: impl Fn(&T) -> String, mut check: impl FnMut(T)) {
    let mut failures = Vec::new();
    for cell in cells {
        let name = name(&cell);
        let check = std::panic::AssertUnwindSafe(|| check(cell));
        if let Err(panic) = std::panic::catch_unwind(check) {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            failures.push(format!("[{name}] {}", text.chars().take(1500).collect::<String>()));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n\n"));
}
