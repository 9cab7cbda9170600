//! Trees in memory.

use diskwright::model::MIB;
use diskwright_formats::layout::ContentId;
use diskwright_fstools::tree::{Data, Kind, Meta, Node, Time, Tree};

pub(crate) fn meta(mode: u16) -> Meta {
    Meta::of_root(mode, Time::seconds(0))
}

/// A tree of directories, each with so many files of so many MiB in all. The last file is as long as it must be.
pub(crate) fn tree(directories: &[(&str, u64, u64)]) -> Tree {
    let mut tree = Tree::new(meta(0o755));
    let mut content = 0;
    for (path, count, mib) in directories {
        let directory = Node { meta: meta(0o755), kind: Kind::directory() };
        tree.put(path.as_bytes(), directory, meta(0o755)).expect("a directory");
        let at = tree.lookup(path.as_bytes()).expect("it was made");
        let each = (mib * MIB).checked_div(*count).unwrap_or(0);
        for index in 0..*count {
            let size = if index + 1 < *count { each } else { mib * MIB - each * index };
            let data = Data::Content { id: ContentId(content), size, runs: None };
            content += 1;
            let file = Node { meta: meta(0o644), kind: Kind::File(data) };
            tree.add(at, format!("f{index:05}").as_bytes(), file).expect("a new name");
        }
    }
    tree
}

/// The tree of the layout oracle (`--make-root`): 1200 files of 420 MiB in all.
pub(crate) fn oracle() -> Tree {
    tree(&[
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
        ("boot/efi", 0, 0),
        ("dev", 0, 0),
        ("mnt", 0, 0),
        ("proc", 0, 0),
        ("run", 0, 0),
        ("sys", 0, 0),
    ])
}
