//! Trees that fill what a format has.

use super::formats::Format;
use super::{Sample, acl, all, deep, kinds_with_links, meta, noise, subdirectories, wide};
use diskwright_fstools::tree::{HOLE_WINDOW, Kind, Node, ROOT, Xattrs};

/// A tree for a format.
pub type Make = fn(&Format) -> Sample;

/// Those that a format can hold.
pub fn contents(format: &Format) -> impl Iterator<Item = (usize, &'static str, Make)> {
    let fits = format.has("ext_attr");
    let rows = CONTENTS.iter().enumerate().filter(move |(_, row)| fits || row.0 != "attributes");
    rows.map(|(number, (name, make))| (number, *name, *make))
}

/// All of them.
const CONTENTS: &[(&str, Make)] = &[
    ("empty", |_| Sample::default()),
    ("kinds", |format| kinds_with_links(format.block as usize - 1)),
    ("wide", |_| wide(3000)),
    ("long names", long_names),
    ("deep", |_| deep(300)),
    ("attributes", attributes),
    ("holes", holes),
    ("maps", maps),
    ("hard links", |_| hard_links()),
    ("subdirectories", |_| subdirectories(1200)),
    ("a lost+found", |_| lost_and_found()),
];

fn set(pairs: &[(&str, Vec<u8>)]) -> Xattrs {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone())).collect()
}

/// The bytes of the values that a block holds in attributes with one-letter names.
pub fn block_room(format: &Format) -> usize {
    format.block as usize - 32 - 4 - 16 - 4
}

/// Attributes in inodes, in blocks that are shared or full, in inodes of their own, and ACLs.
pub fn attributes(format: &Format) -> Sample {
    const NONE: u32 = u32::MAX;
    let mut sample = Sample::default();
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
    // As many as fit, each with a value of its number.
    let several = format.block / 1024 * 13 + 7;
    let mut sets = vec![
        set(&[("user.empty", vec![])]),
        set(&[("user.small", b"value".to_vec())]),
        set(&[("security.selinux", label.clone())]),
        set(&[("security.selinux", label.clone()), ("security.capability", capability)]),
        set(&[("user.large", noise(1, format.block as usize / 2)), ("security.selinux", label)]),
        set(&[("user.full", noise(2, block_room(format)))]),
        set(&[("trusted.overlay.opaque", b"y".to_vec()), ("user.\u{e4}", b"\xff\0\x01".to_vec())]),
        set(&[("user.\u{e4}", noise(8, 300)), ("user.\u{f6}\u{fc}", noise(9, 200))]),
        (0..several).map(|at| (format!("user.{at:02}").into_bytes(), noise(at, at as usize))).collect(),
    ];
    if format.has("ea_inode") {
        let large = |seed, len| noise(seed, len);
        sets.extend([
            set(&[("user.over", large(3, format.block as usize))]),
            set(&[("user.over", large(4, 65_536)), ("user.small", vec![1])]),
            set(&[
                ("user.a", large(3, format.block as usize)),
                ("user.b", large(5, 9000)),
                ("user.c", large(6, 9000)),
            ]),
        ]);
    }
    for (at, set) in sets.into_iter().enumerate() {
        let id = sample.tree.intern(set);
        for copy in 0..3 {
            let node = sample.add(ROOT, format!("set-{at}-{copy}"), Kind::file(vec![b'x'; 100]));
            sample.tree.meta_mut(node).xattrs = id;
        }
    }
    let shared = sample.tree.intern(set(&[("user.shared", noise(99, 500))]));
    let many = sample.directory(ROOT, "many");
    for at in 0..1100 {
        let node = sample.add(many, format!("{at:04}"), Kind::file(vec![]));
        sample.tree.meta_mut(node).xattrs = shared;
    }
    let labelled = sample.tree.intern(set(&[("security.selinux", noise(98, 300))]));
    let others = [
        Kind::Symlink((*b"target").into()),
        Kind::Symlink(vec![b't'; 200].into()),
        Kind::Fifo,
        Kind::Socket,
        Kind::CharDevice { major: 1, minor: 3 },
        Kind::BlockDevice { major: 300, minor: 3 },
        Kind::directory(),
    ];
    for (at, kind) in others.into_iter().enumerate() {
        let node = sample.add(ROOT, format!("labelled {at}"), kind);
        sample.tree.meta_mut(node).xattrs = labelled;
    }
    let (dir_set, file_set) = (
        set(&[("system.posix_acl_access", access.clone()), ("system.posix_acl_default", default)]),
        set(&[("system.posix_acl_access", access)]),
    );
    let dir = sample.directory(ROOT, "acl");
    let file = sample.add(dir, "file", Kind::file(vec![]));
    sample.tree.meta_mut(dir).xattrs = sample.tree.intern(dir_set);
    sample.tree.meta_mut(file).xattrs = sample.tree.intern(file_set);
    sample.tree.meta_mut(ROOT).xattrs = shared;
    sample
}

/// A directory whose names are so long that its index has two levels where blocks are small.
fn long_names(format: &Format) -> Sample {
    let mut sample = Sample::default();
    let dir = sample.directory(ROOT, "long");
    let count = if format.block == 1024 { 1000 } else { 600 };
    (0..count).for_each(|at| {
        sample.add(dir, format!("{at:0250}"), Kind::Fifo);
    });
    sample
}

/// Files with holes at all ends, and as long as the format allows.
fn holes(format: &Format) -> Sample {
    let mut sample = Sample::default();
    let longest = format.longest();
    for (name, size) in [("2 GiB", 1 << 31), ("5 GiB", 5 << 30), ("10 GiB", 10 << 30)] {
        if size <= longest {
            sample.sparse(ROOT, name, size, &[]);
            sample.sparse(ROOT, format!("{name}, data at the front"), size - 1, &[0]);
        }
    }
    sample.sparse(ROOT, "the longest", longest, &[0]);
    sample.sparse(ROOT, "hole at the front", 300_001, &[4]);
    sample.sparse(ROOT, "one byte behind a hole", HOLE_WINDOW + 1, &[1]);
    sample.sparse(ROOT, "holes between", 50 * HOLE_WINDOW - 70_000, &[3, 4, 10, 47]);
    sample
}

/// Both sides of each depth of extent trees and of block maps that small images reach.
fn maps(format: &Format) -> Sample {
    let mut sample = Sample::default();
    if format.has("extent") {
        // A node of a tree holds 84 where blocks are small; the root holds four.
        let most = if format.block == 1024 { 4 * 84 + 1 } else { 12 };
        for count in [4, 5, most] {
            let windows: Vec<u64> = (0..count).map(|at| 2 * at).collect();
            sample.sparse(ROOT, format!("{count} extents"), 2 * count * HOLE_WINDOW, &windows);
        }
        return sample;
    }
    let pointers = format.block / 4;
    for blocks in [11, 12, 13, 12 + pointers, 13 + pointers] {
        sample.content(ROOT, format!("{blocks} blocks"), noise(blocks, (blocks * format.block) as usize));
    }
    // One window on each side of the border between double and triple indirect blocks, and at each border's end.
    let border = (12 + pointers + pointers * pointers) * format.block / HOLE_WINDOW;
    if border < 1 << 13 {
        let size = (border + 3) * HOLE_WINDOW - 5;
        sample.sparse(ROOT, "triple", size, &[0, border - 1, border, border + 2]);
    }
    sample
}

fn hard_links() -> Sample {
    let mut sample = Sample::default();
    let kinds = [Kind::file(vec![5; 5000]), Kind::Fifo, Kind::Symlink(vec![b'l'; 90].into())];
    for (at, kind) in kinds.into_iter().enumerate() {
        let node = sample.add(ROOT, format!("node {at}"), kind);
        for directory in 0..3 {
            let dir = sample.directory(ROOT, format!("directory {at} {directory}"));
            for name in 0..400 {
                sample.tree.link(dir, format!("{name:03}").as_bytes(), node).expect("a good name");
            }
        }
    }
    sample
}

fn lost_and_found() -> Sample {
    let mut sample = Sample::default();
    let node = Node { meta: meta(0o750), kind: Kind::directory() };
    let dir = sample.tree.add(ROOT, b"lost+found", node).expect("a good name");
    for at in 0..200 {
        sample.add(dir, format!("#{at}"), Kind::file(vec![7; at]));
    }
    sample
}

/// The tree of this name.
pub fn make(name: &str) -> Make {
    CONTENTS.iter().find(|row| row.0 == name).expect("a row").1
}

/// Whether a table by default has the content `number` in the format at `at`: neighbours in the list of formats are the
/// same line with other blocks, so that each line meets three contents. With `DISKWRIGHT_ALL=1` it has all.
pub fn asked(at: usize, number: usize) -> bool {
    all() || number == (at + at / 3) % CONTENTS.len()
}
