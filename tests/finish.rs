//! What happens between a prepared tree and its image: what stays out of it, what is said, what is refused.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use support::*;

const LIST: &str = "image/exclude_files.yaml";

/// A tree with names that patterns may mean.
fn tree(at: &Path) {
    let files = [
        "usr/share/doc/a/copyright",
        "usr/share/doc/b/copyright",
        "usr/share/doc/b/deep/er/copyright",
        "usr/share/docs",
        "usr/share/.hidden/file",
        "usr/share/man/man1/a.1",
        "usr/share/man/man2/b.2",
        "usr/share/man/de/man1/a.1",
        "var/cache/x1",
        "var/cache/x2",
        "var/cache/xa/file",
        "var/cache/x*",
        "var/cache/a b",
        "var/cache/[x]",
        "opt/usr/share/doc/a",
        "copyright",
    ];
    files.iter().for_each(|path| write(at.join(path), "text"));
    std::os::unix::fs::symlink("share", at.join("usr/link")).unwrap();
}

/// The paths of an image of the tree without what the patterns say, and those that rsync would copy.
fn both(at: &Path, patterns: &[&str]) -> [BTreeSet<String>; 2] {
    let (description, tree) = (at.join("d"), at.join("tree"));
    let lines: String = patterns.iter().map(|pattern| format!("- '{pattern}'\n")).collect();
    write(tree.join(LIST), format!("exclude:\n{lines}"));
    let words = ["create".as_ref(), description.as_os_str(), "--root".as_ref(), tree.as_os_str()];
    let out = at.join("out");
    diskwright(words.into_iter().chain(["--force".as_ref(), "-o".as_ref(), out.as_os_str()])).ends(0);
    let record = diskwright(["tree".as_ref(), out.join("test-image.x86_64-1.2.3.ext4").as_os_str()]).ends(0);
    let paths = record.stdout.lines().filter_map(|line| line.split(' ').next()?.strip_prefix('/'));
    let ours = paths.filter(|path| !["", "lost+found"].contains(path)).map(|path| path.replace("\\x20", " "));
    let copy = at.join("copy");
    let _ = std::fs::remove_dir_all(&copy);
    // As KIWI calls it (`utils/sync.py`), with its own two of what is in the way here.
    let all = patterns.iter().map(|pattern| pattern.trim_start_matches('/')).chain(["image", ".kconfig"]);
    let options = all.flat_map(|pattern| ["--exclude".to_owned(), format!("/{pattern}")]);
    let mut rsync = Command::new("rsync");
    rsync.arg("-a").args(options).arg(tree.join("")).arg(copy.join(""));
    run(&mut rsync).ends(0);
    let theirs = tool(
        "find",
        [copy.as_os_str(), "-mindepth".as_ref(), "1".as_ref(), "-printf".as_ref(), "%P\n".as_ref()],
    );
    [ours.collect(), theirs.lines().map(str::to_owned).collect()]
}

#[test]
fn what_a_tree_lists_stays_out_of_its_image_as_in_kiwi() {
    const TEST: &str = "what_a_tree_lists_stays_out_of_its_image_as_in_kiwi";
    let Some(_) = oracle(TEST, "rsync") else { return };
    let at = tempfile::tempdir().unwrap();
    description(&at.path().join("d"), "image=\"ext4\"", "");
    tree(&at.path().join("tree"));
    let [all, theirs] = both(at.path(), &[]);
    assert_eq!(all, theirs);
    let mut seen = BTreeSet::new();
    for patterns in [
        &["usr/share/doc"][..],
        &["/usr/share/doc/*"],
        &["usr/share/*"],
        &["usr/share/doc*"],
        &["usr/share/doc/"],
        &["usr/share/docs/"],
        &["usr/share/doc/***"],
        &["usr/**/man1"],
        &["usr/**"],
        &["**/copyright"],
        &["**copyright"],
        &["usr/share/man/man?/*.1", "usr/share/man/de"],
        &["usr/link/doc"],
        &["var/cache/x[0-9]"],
        &["var/cache/x[!0-9]*"],
        &["var/cache/x[[:digit:]]"],
        &["var/cache/x\\*"],
        &["var/cache/a b"],
        &["var/cache/\\[x*"],
        &["var/cac?e/a?b"],
        &["*/cache"],
        &["nowhere/*", "copyright/below"],
        &["usr/share/doc/b", "usr/share/doc/b/deep", "copyright"],
    ] {
        let [ours, theirs] = both(at.path(), patterns);
        assert_eq!(ours, theirs, "{patterns:?}");
        seen.insert(ours);
    }
    assert!(seen.len() > 15, "patterns differ: {}", seen.len());
}

#[test]
fn a_list_that_says_nothing_is_refused_with_its_line() {
    let at = tempfile::tempdir().unwrap();
    let (d, root) = (at.path().join("d"), at.path().join("tree"));
    description(&d, "image=\"ext4\"", "");
    tree(&root);
    for (text, reason) in [
        ("excludes: []\n", "/image/exclude_files.yaml: line 1: no list `exclude`"),
        ("exclude:\n  - a\n  - b: c\n", "/image/exclude_files.yaml: line 3: no path of the tree"),
        ("exclude: ['a[']\n", "exclude a[: no pattern"),
    ] {
        write(root.join(LIST), text);
        let out = at.path().join("out");
        let words = ["create".as_ref(), d.as_os_str(), "--root".as_ref(), root.as_os_str(), "-o".as_ref()];
        let refused = diskwright(words.into_iter().chain([out.as_os_str()])).ends(1);
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
        assert!(!out.exists());
    }
}
