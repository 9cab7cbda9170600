//! Trees in memory, and on a disk for KIWI.

use diskwright::model::MIB;
use diskwright_formats::layout::ContentId;
use diskwright_fstools::tree::{Data, Kind, Meta, Node, NodeId, ROOT, Time, Tree};
use std::collections::BTreeMap;
use std::fs::{File, create_dir_all, hard_link};
use std::path::{Path, PathBuf};

pub(crate) fn meta(mode: u16) -> Meta {
    Meta::of_root(mode, Time::seconds(0))
}

/// Directories, each with so many files of so many KiB in all. The last file is as long as it must be.
fn tree(directories: &[(&str, u64, u64)]) -> Tree {
    let mut tree = Tree::new(meta(0o755));
    let mut content = 0;
    for (path, count, kib) in directories {
        let directory = Node { meta: meta(0o755), kind: Kind::directory() };
        tree.put(path.as_bytes(), directory, meta(0o755)).expect("a directory");
        let at = tree.lookup(path.as_bytes()).expect("it was made");
        let each = (kib << 10).checked_div(*count).unwrap_or(0);
        for index in 0..*count {
            let size = if index + 1 < *count { each } else { (kib << 10) - each * index };
            let data = Data::Content { id: ContentId(content), size, runs: None };
            content += 1;
            let file = Node { meta: meta(0o644), kind: Kind::File(data) };
            tree.add(at, format!("f{index:04}").as_bytes(), file).expect("a new name");
        }
    }
    tree
}

/// The tree of the layout oracle (`--make-root`): 1200 files of 420 MiB in all.
pub(crate) fn oracle() -> Tree {
    let mib = |(path, count, mib): (&'static str, u64, u64)| (path, count, mib << 10);
    let directories = [
        ("usr/bin", 200, 20),
        ("usr/lib", 400, 160),
        ("usr/share", 250, 120),
        ("usr/local", 35, 5),
        ("boot", 10, 60),
        ("etc", 120, 2),
        ("var/lib", 60, 20),
        ("var/log", 10, 1),
        ("var/cache", 10, 3),
        ("var/tmp", 5, 1),
        ("home", 40, 4),
        ("opt", 30, 18),
        ("srv", 20, 4),
        ("root", 5, 1),
        ("tmp", 5, 1),
    ];
    let empty = ["boot/efi", "dev", "mnt", "proc", "run", "sys"].map(|path| (path, 0, 0));
    tree(&directories.map(mib).into_iter().chain(empty).collect::<Vec<_>>())
}

/// 1000 MiB and 40000 names, by KIWI's count, of which 20 MiB in each of six directories.
pub(crate) fn large() -> Tree {
    let names: Vec<String> = (0..200).map(|at| format!("data/d{at:03}")).collect();
    let mut directories: Vec<(&str, u64, u64)> =
        ["var", "srv", "opt", "home", "usr", "spare"].map(|path| (path, 10, 20 << 10)).to_vec();
    // What directories themselves take is about 800 KiB on most file systems.
    let kib = ((1000 - 120) << 10) - 400;
    directories.extend(names.iter().map(|path| (path.as_str(), 199, kib / 200)));
    tree(&directories)
}

/// One file of 28 MiB that is in every directory: KIWI guesses 42 MiB for each of them and for all.
pub(crate) fn linked() -> Tree {
    let mut tree = tree(&[("usr/lib", 1, 28 << 10)]);
    let file = tree.lookup(b"usr/lib/f0000").expect("it was made");
    for path in ["usr/bin", "etc", "home", "var", "data", "swap"] {
        let directory = Node { meta: meta(0o755), kind: Kind::directory() };
        let at = tree.put(path.as_bytes(), directory, meta(0o755)).expect("a directory");
        tree.link(at, b"f0000", file).expect("a new name");
    }
    tree
}

/// The same on a disk: sparse files.
pub(crate) fn write(tree: &Tree, to: &Path) {
    let mut written: BTreeMap<NodeId, PathBuf> = BTreeMap::new();
    let mut open = vec![(ROOT, to.to_owned())];
    while let Some((at, path)) = open.pop() {
        match &tree.node(at).kind {
            Kind::Directory(_) => {
                create_dir_all(&path).unwrap();
                let below = tree
                    .children(at)
                    .map(|(name, child)| (child, path.join(String::from_utf8_lossy(name).as_ref())));
                open.extend(below);
            }
            Kind::File(data) => match written.get(&at) {
                Some(other) => hard_link(other, &path).unwrap(),
                None => {
                    File::create(&path).unwrap().set_len(data.size()).unwrap();
                    written.insert(at, path);
                }
            },
            other => panic!("{other:?} in a tree of files"),
        }
    }
}

/// MiB of a number of bytes that is a multiple.
pub(crate) fn mib(bytes: u64) -> u64 {
    assert_eq!(bytes % MIB, 0, "{bytes} is aligned");
    bytes / MIB
}

/// 6 MiB, some of them in the directories that partitions are mounted at.
pub(crate) fn small() -> Tree {
    tree(&[("n0", 3, 1 << 10), ("n1", 30, 100), ("n3", 1, 2 << 10), ("usr", 40, 3 << 10)])
}
