//! Archives that we write: read back by our reader and by GNU tar, which know nothing of the writer.

use crate::support::*;
use diskwright::survey::{Options, Survey, survey_stream};
use diskwright_formats::layout::{Content, ContentError, ContentId, Contents, Layout, ReadAt, Reader};
use diskwright_fstools::tar;
use diskwright_fstools::tree::{Data, HOLE_WINDOW, Kind, Meta, Node, ROOT, Time, Tree};
use std::fs;
use std::process::Command;

fn written(layout: &Layout, contents: &dyn Contents) -> Vec<u8> {
    let mut bytes = vec![0; layout.len() as usize];
    Reader::new(layout, contents).read_exact_at(0, &mut bytes).unwrap();
    bytes
}

fn archived(survey: &Survey) -> Vec<u8> {
    let archive = tar::lay(&survey.tree).unwrap();
    assert_eq!(archive.left_out, [""; 0]);
    written(&archive.layout, &survey.contents)
}

#[test]
fn our_reader_finds_the_tree_again() {
    let scratch = scratch();
    let top = scratch.path().join("rich");
    rich_sample(&top);
    let origin = surveyed(&top);
    let again = streamed(&archived(&origin)).unwrap();
    assert_eq!(whole(&again), whole(&origin));
    assert_eq!(again.notes, [""; 0]);
}

#[test]
fn gnu_tar_makes_the_same_directory_of_it() {
    let Some(gnu) = tool("tar_written::gnu_tar", "tar", "tar") else { return };
    let scratch = scratch();
    let top = scratch.path().join("rich");
    rich_sample(&top);
    let origin = surveyed(&top);
    fs::write(scratch.path().join("a.tar"), archived(&origin)).unwrap();
    let out = scratch.path().join("out");
    fs::create_dir(&out).unwrap();
    let mut command = Command::new(gnu);
    command.args([
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "--delay-directory-restore",
        "-xpf",
        "../a.tar",
    ]);
    let told = run(command.current_dir(&out).env("LC_ALL", "C"));
    // It knows no hdrcharset, takes every name as bytes, and wonders about times before 1970.
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    let known = ["keyword 'hdrcharset'", "old: implausibly old time stamp"];
    let other = told.lines().filter(|line| !known.iter().any(|known| line.contains(known)));
    assert_eq!(other.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(whole(&surveyed(&out)), whole(&origin));
}

/// Contents of any length.
struct Sevens;

impl Contents for Sevens {
    fn open(&self, _: ContentId) -> Result<Box<dyn Content + '_>, ContentError> {
        Ok(Box::new(Sevens))
    }
}

impl Content for Sevens {
    fn read_exact_at(&self, _: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        buffer.fill(7);
        Ok(())
    }
}

/// What no directory here can have.
#[test]
fn extremes_are_kept() {
    let meta =
        |uid, sec, nsec| Meta { uid, mtime: Time { sec, nsec }, ..Meta::of_root(0o7777, Time::default()) };
    let mut tree = Tree::new(meta(0, -1, 1));
    let size = 9 << 30;
    let runs = vec![HOLE_WINDOW..2 * HOLE_WINDOW, (8 << 30)..(8 << 30) + HOLE_WINDOW];
    let huge = Data::Content { id: ContentId(0), size, runs: Some(runs.into()) };
    let hole = Data::Content { id: ContentId(1), size: 3 * HOLE_WINDOW, runs: Some([].into()) };
    let nodes = [
        ("huge", meta(u32::MAX - 1, 1 << 34, 999_999_999), Kind::File(huge)),
        ("hole", meta(0o777_7777, 0o777_7777_7777, 0), Kind::File(hole)),
        ("empty", meta(0o1000_0000, -(1 << 33), 0), Kind::file(b"".as_slice())),
        ("last", meta(1, 0, 100), Kind::CharDevice { major: 4095, minor: (1 << 20) - 1 }),
    ];
    for (name, meta, kind) in nodes {
        tree.add(ROOT, name.as_bytes(), Node { meta, kind }).unwrap();
    }
    let link = tree.lookup(b"/last").unwrap();
    tree.link(ROOT, "z".repeat(255).as_bytes(), link).unwrap();
    let socket = Node { meta: meta(0, 0, 0), kind: Kind::Socket };
    tree.add(ROOT, b"socket", socket).unwrap();
    let archive = tar::lay(&tree).unwrap();
    assert_eq!(archive.left_out, ["/socket"]);
    assert!(archive.layout.len() < 3 * HOLE_WINDOW, "holes take no room: {}", archive.layout.len());
    tree.remove(ROOT, b"socket");
    let bytes = written(&archive.layout, &Sevens);
    let again = survey_stream(&mut &bytes[..], "a.tar", &Options { epoch: 1 << 40, ..options() }).unwrap();
    let text_of = |tree: &Tree| {
        let mut text = Vec::new();
        diskwright_fstools::tree::record::write(tree, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    let runs = |tree: &Tree, path: &[u8]| match &tree.node(tree.lookup(path).unwrap()).kind {
        Kind::File(data) => data.runs().collect::<Vec<_>>(),
        _ => panic!("no file"),
    };
    assert_eq!(text_of(&again.tree), text_of(&tree));
    for path in [b"/huge", b"/hole"] {
        assert_eq!(runs(&again.tree, path), runs(&tree, path));
    }
}
