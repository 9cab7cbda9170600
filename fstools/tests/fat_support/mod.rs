//! What the tests of FAT share: trees, images, tools.
#![allow(dead_code)] // each test file uses a part of it
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::Refusal;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Bytes, ContentId, Contents, Layout, Memory, OneFile, ReadAt, Reader};
use diskwright_fstools::registry::{Filesystem, Geometry, Laid, Opened, Row, find};
use diskwright_fstools::tree::{Data, HOLE_WINDOW, Kind, Meta, Node, NodeId, ROOT, Time, Tree};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
/// 2024-05-06 07:08:10 UTC.
pub(crate) const EPOCH: i64 = 1_714_979_290;

pub(crate) fn row() -> &'static Row {
    find("vfat").unwrap()
}

pub(crate) fn identity() -> Identity {
    Identity::new(b"fat tests", EPOCH).role("fs/test")
}

/// A file system with options separated by spaces.
pub(crate) fn fat(options: &str) -> Box<dyn Filesystem> {
    configure(options).unwrap()
}

pub(crate) fn configure(options: &str) -> Result<Box<dyn Filesystem>, Refusal> {
    let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
    (row().configure)(&options)
}

pub(crate) fn geometry(len: u64, sector_size: u32) -> Geometry {
    Geometry { len, sector_size, hidden_sectors: 2048 }
}

pub(crate) fn lay(options: &str, tree: &Tree, len: u64, sector_size: u32) -> Result<Laid, Refusal> {
    fat(options).lay(tree, &geometry(len, sector_size), &identity())
}

/// A tree under construction, and what its content ids stand for.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) tree: Tree,
    pub(crate) contents: Memory,
}

impl Sample {
    pub(crate) fn new() -> Sample {
        let tree = Tree::new(Meta::of_root(0o755, Time::seconds(EPOCH)));
        Sample { tree, contents: Memory::default() }
    }

    pub(crate) fn directory(mut self, path: &str) -> Sample {
        self.put(path, Kind::directory());
        self
    }

    /// A file whose bytes are in the tree.
    pub(crate) fn bytes(mut self, path: &str, bytes: &[u8]) -> Sample {
        self.put(path, Kind::file(bytes));
        self
    }

    /// A file of `size` bytes of a content that follows from the path.
    pub(crate) fn content(mut self, path: &str, size: usize) -> Sample {
        let bytes = noise(path, size);
        let data = self.add_content(bytes, None);
        self.put(path, Kind::File(data));
        self
    }

    /// A file with a hole of one window, then some data.
    pub(crate) fn sparse(mut self, path: &str) -> Sample {
        let mut bytes = vec![0; HOLE_WINDOW as usize];
        bytes.extend(noise(path, 1000));
        let end = bytes.len() as u64;
        let data = self.add_content(bytes, Some(std::iter::once(HOLE_WINDOW..end).collect()));
        self.put(path, Kind::File(data));
        self
    }

    pub(crate) fn add_content(&mut self, bytes: Vec<u8>, runs: Option<Box<[std::ops::Range<u64>]>>) -> Data {
        let id = ContentId(self.contents.0.len() as u32);
        let size = bytes.len() as u64;
        self.contents.0.push(Bytes::from(bytes));
        Data::Content { id, size, runs }
    }

    pub(crate) fn put(&mut self, path: &str, kind: Kind) -> NodeId {
        let time = Time { sec: EPOCH + path.len() as i64, nsec: 123_456_789 };
        let node = Node { meta: Meta::of_root(0o644, time), kind };
        self.tree.put(path.as_bytes(), node, Meta::of_root(0o755, time)).unwrap()
    }
}

/// Bytes that look random and follow from a name.
pub(crate) fn noise(name: &str, size: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (0..size).map(|_| random(&mut state) as u8).collect()
}

/// xorshift64*: the same numbers everywhere.
pub(crate) fn random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
}

pub(crate) fn empty() -> Sample {
    Sample::new()
}

/// Files of all sizes around a cluster, holes, hard links, names of all kinds, deep directories.
pub(crate) fn mixed() -> Sample {
    let mut sample = Sample::new()
        .bytes("EFI/BOOT/BOOTX64.EFI", &noise("loader", 70_000))
        .bytes("loader/loader.conf", b"timeout 3\n")
        .bytes("loader/entries/debian-6.1.0-amd64.conf", b"title Debian\n")
        .content("debian/vmlinuz-6.1.0-18-amd64", 123_457)
        .directory("empty")
        .bytes("no bytes", b"")
        .sparse("sparse.img")
        .bytes("Grüße aus Köln.txt", b"umlauts")
        .bytes("日本語のファイル名.txt", b"kanji")
        .bytes(".hidden", b"dot")
        .bytes("a+b=c;d,[e]", b"what short names cannot hold")
        .bytes("UPPER.TXT", b"exact")
        .bytes("lower.txt", b"case")
        .bytes("Mixed.Txt", b"case");
    for size in [1, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537] {
        sample = sample.content(&format!("sizes/{size}"), size);
    }
    let long = "n".repeat(251);
    sample =
        sample.bytes(&format!("long/{long}.txt"), b"255").bytes(&format!("long/{long}.dat"), b"255 again");
    let deep: String = (0..30).map(|depth| format!("directory number {depth}/")).collect();
    sample = sample.bytes(&format!("{deep}leaf"), b"deep");
    let file = sample.tree.lookup(b"debian/vmlinuz-6.1.0-18-amd64").unwrap();
    sample.tree.link(ROOT, b"vmlinuz", file).unwrap();
    sample
}

/// Names of two UTF-16 units a character.
pub(crate) fn pairs() -> Sample {
    Sample::new().bytes("😀 smile 🎉.txt", b"1").bytes("𝕏", b"2").bytes("plain", b"3")
}

/// Four thousand files in one directory.
pub(crate) fn crowded() -> Sample {
    (0..4000).fold(Sample::new(), |sample, number| {
        sample.bytes(&format!("many/file with a long name {number:04}.txt"), format!("{number}").as_bytes())
    })
}

/// The image in memory.
pub(crate) fn image(layout: &Layout, contents: &dyn Contents) -> Vec<u8> {
    let mut bytes = vec![0; layout.len() as usize];
    Reader::new(layout, contents).read_exact_at(0, &mut bytes).unwrap();
    bytes
}

/// The image as a file, with holes where the layout has gaps.
pub(crate) fn write_image(path: &Path, layout: &Layout, contents: &dyn Contents) {
    let mut file = File::create(path).unwrap();
    file.set_len(layout.len()).unwrap();
    let reader = Reader::new(layout, contents);
    for run in layout.covered() {
        for start in run.clone().step_by(MIB as usize) {
            let mut bytes = vec![0; MIB.min(run.end - start) as usize];
            reader.read_exact_at(start, &mut bytes).unwrap();
            file.write_all_at(&bytes, start).unwrap();
        }
    }
    file.flush().unwrap();
}

/// An image file to read.
pub(crate) struct ImageFile(pub(crate) File);

impl ReadAt for ImageFile {
    fn len(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

pub(crate) fn open(image: &dyn ReadAt) -> Opened {
    (row().open)(image).unwrap_or_else(|damage| panic!("{damage}"))
}

/// One line of a tree: path, and for files the bytes.
pub(crate) type Line = (String, Option<Vec<u8>>);

pub(crate) fn bytes_of(data: &Data, contents: &dyn Contents) -> Vec<u8> {
    match data {
        Data::Bytes(bytes) => bytes.to_vec(),
        Data::Content { id, size, .. } => {
            let mut bytes = vec![0; *size as usize];
            contents.open(*id).unwrap().read_exact_at(0, &mut bytes).unwrap();
            bytes
        }
    }
}

/// All paths (directories end in `/`) and bytes, in order; the root is left out.
pub(crate) fn listed(tree: &Tree, bytes_of: impl Fn(&Data) -> Vec<u8>) -> Vec<Line> {
    let steps = tree.walk().skip(1).map(|step| {
        let path = String::from_utf8(step.path).unwrap();
        match &tree.node(step.node).kind {
            Kind::Directory(_) => (path + "/", None),
            Kind::File(data) => (path, Some(bytes_of(data))),
            other => panic!("a {} in a FAT", other.name()),
        }
    });
    let mut lines: Vec<Line> = steps.collect();
    lines.sort();
    lines
}

pub(crate) fn expected(sample: &Sample) -> Vec<Line> {
    listed(&sample.tree, |data| bytes_of(data, &sample.contents))
}

pub(crate) fn read_back(opened: &Opened, image: &dyn ReadAt) -> Vec<Line> {
    listed(&opened.tree, |data| match data {
        Data::Content { id, size, .. } => {
            let layout = &opened.files[id.0 as usize];
            assert_eq!(layout.len(), *size);
            let mut bytes = vec![0; *size as usize];
            Reader::new(layout, &OneFile(image)).read_exact_at(0, &mut bytes).unwrap();
            bytes
        }
        Data::Bytes(_) => panic!("a reader refers to the image"),
    })
}

/// Lists that are equal, or the first line that is not.
pub(crate) fn same_lines(case: &str, found: &[Line], expected: &[Line]) {
    let text = |line: Option<&Line>| match line {
        None => "nothing".to_owned(),
        Some((path, bytes)) => {
            let bytes = bytes.as_deref().map(|bytes| escaped(&bytes[..bytes.len().min(32)]));
            format!("{path} {bytes:?}")
        }
    };
    let at = (0..found.len().max(expected.len())).find(|&at| found.get(at) != expected.get(at));
    if let Some(at) = at {
        panic!("{case}: found {}, expected {}", text(found.get(at)), text(expected.get(at)));
    }
}

/// The path of a program that a test needs; without it the test says that it is skipped.
pub(crate) fn tool(test: &str, name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]).filter(|folder| !folder.is_empty());
    let found = folders.map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    if found.is_none() {
        let line = format!("SKIP {test}: {name} missing (package {package})");
        assert!(std::env::var("DISKWRIGHT_STRICT").as_deref() != Ok("1"), "{line}");
        println!("{line}");
        if let Ok(list) = std::env::var("DISKWRIGHT_SKIPS") {
            let mut file = File::options().append(true).create(true).open(list).unwrap();
            writeln!(file, "{line}").unwrap();
        }
    }
    found
}

/// Runs a program that must succeed without a word on its error output.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = command(program, arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && stderr.is_empty(), "{program:?} {arguments:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

pub(crate) fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env_remove("MTOOLSRC");
    command
}
