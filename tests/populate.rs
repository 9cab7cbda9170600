//! What `mke2fs -d` and `mkfs` make of one directory lists the same in debugfs, but for block counts and numbers of inodes.
//!
//! The inputs are what e2fsprogs tests itself with: files with holes, ACLs, attributes, hard links, special files, owners,
//! permissions, symlinks short and long, directories that need more than a block.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::*;

/// The directory. Needs root for devices, owners and attributes of other namespaces.
fn make(at: &Path) {
    write(at.join("file"), "this is a test\n");
    write(at.join("empty"), "");
    write(at.join("directory/file.txt"), noise(1, 100_000));
    for number in 0..300 {
        write(at.join(format!("directory/many/a file with a longer name {number:03}")), [number as u8; 9]);
    }
    symlink("/silly_bs_link", at.join("short link")).unwrap();
    symlink("x".repeat(59), at.join("link of 59")).unwrap();
    symlink("y".repeat(60), at.join("link of 60")).unwrap();
    symlink("z".repeat(900), at.join("link of 900")).unwrap();
    std::fs::hard_link(at.join("file"), at.join("directory/hard link")).unwrap();
    std::fs::hard_link(at.join("file"), at.join("another hard link")).unwrap();
    for (name, places) in
        [("both ends", &[0, 1 << 20][..]), ("front", &[0]), ("end", &[1 << 20]), ("hole", &[])]
    {
        let file = std::fs::File::create(at.join(name)).unwrap();
        file.set_len((1 << 20) + 5).unwrap();
        places.iter().for_each(|&place| file.write_all_at(b"data", place).unwrap());
    }
    let root = at.to_str().unwrap();
    let commands = format!(
        "cd {root} && mkfifo pipe && mknod null c 1 3 && mknod disk b 8 16 && mknod far c 300 70000 && \
         chown 1234:4321 file && chown -h 70000:80000 'short link' && chown 100000:4294967294 directory && \
         chmod 4755 file && chmod 2775 directory && chmod 1777 directory/many && chmod 0 empty && \
         setfattr -n user.small -v value file && setfattr -n user.long -v {} empty && setfattr -n user.root -v x . && \
         setfacl -m u:1000:r,u:70000:rwx,g:50:x,m:rx directory/file.txt && setfacl -d -m u:1000:rwx,o:- directory/many && \
         touch -h -d @1500000000 'short link' && touch -d @-5000 empty && touch -d @2000000000 pipe && touch -d @1234567890 .",
        "v".repeat(500)
    );
    run(Command::new("sh").arg("-c").arg(commands)).ends(0);
}

/// What debugfs says of every path: `stat` without what may differ, and the attributes.
fn listing_of(image: &Path, paths: &[PathBuf]) -> BTreeMap<PathBuf, Vec<String>> {
    let script = image.with_extension("requests");
    let requests: String =
        paths.iter().map(|path| format!("stat \"/{0}\"\nea_list \"/{0}\"\n", path.display())).collect();
    write(&script, requests);
    let said = run(Command::new("debugfs").arg("-f").arg(&script).arg(image)).ends(0);
    let mut all: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut answers = said.stdout.split("debugfs: ").skip(1);
    for path in paths {
        let (stat, attributes) = (answers.next().unwrap(), answers.next().unwrap());
        let found = all.entry(path.clone()).or_default();
        let word = |key: &str| {
            let at = stat.find(key).unwrap_or_else(|| panic!("no {key} in {stat}"));
            stat[at..]
                .split_whitespace()
                .take(key.split_whitespace().count() + 1)
                .collect::<Vec<_>>()
                .join(" ")
        };
        found.extend(["Type:", "Mode:", "User:", "Group:", "Links:"].map(word));
        // A directory is as large as its blocks.
        found.extend((!stat.contains("Type: directory")).then(|| word("Size:")));
        // Seconds, and the bits of the epoch; mke2fs 1.47 keeps neither nanoseconds nor times after 2038.
        let time = word("mtime:");
        let time = time.split_once("0x").unwrap().1;
        let (seconds, extra) = time.split_once(':').unwrap_or((time, "0"));
        // mke2fs gives the root directory the time of its own work.
        let root = path.as_os_str().is_empty();
        let seconds = if root { "any" } else { seconds };
        found.push(format!("mtime: {seconds}, epoch {}", u32::from_str_radix(extra, 16).unwrap() & 3));
        let more = ["Fast link dest:", "Device major/minor", "(New-style) Device"];
        found.extend(
            stat.lines().filter(|line| more.iter().any(|key| line.starts_with(key))).map(str::to_owned),
        );
        let mut attributes: Vec<String> = attributes.lines().skip(1).map(str::to_owned).collect();
        attributes.sort();
        found.extend(attributes);
    }
    all
}

/// Names of each directory, without inode numbers.
fn names_of(image: &Path, directory: &str) -> Vec<String> {
    let said = tool("debugfs", ["-R".as_ref(), format!("ls -p \"{directory}\"").as_ref(), image.as_os_str()]);
    let lines = said.lines().filter(|line| line.starts_with('/'));
    let mut names: Vec<String> =
        lines.map(|line| line.split('/').skip(2).take(4).collect::<Vec<_>>().join("/")).collect();
    names.sort();
    names
}

fn paths_of(directory: &Path, below: &Path, out: &mut Vec<PathBuf>) {
    out.push(below.to_owned());
    for name in listing(directory) {
        let path = directory.join(&name);
        match path.symlink_metadata().unwrap().is_dir() {
            true => paths_of(&path, &below.join(name), out),
            false => out.push(below.join(name)),
        }
    }
}

#[test]
fn mkfs_lists_as_mke2fs_does() {
    const TEST: &str = "mkfs_lists_as_mke2fs_does";
    if ["mke2fs", "debugfs", "setfattr", "setfacl"].iter().any(|program| oracle(TEST, program).is_none()) {
        return;
    }
    if !root() {
        return inapplicable(TEST, "devices and owners need root");
    }
    // Attributes of users need a file system that has them.
    let work = tempfile::tempdir_in("/var/tmp").unwrap();
    let tree = work.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::set_permissions(&tree, std::fs::Permissions::from_mode(0o755)).unwrap();
    make(&tree);
    assert_eq!(tree.metadata().unwrap().uid(), 0);
    let mut paths = Vec::new();
    paths_of(&tree, Path::new(""), &mut paths);
    let sets: &[&[&str]] = &[
        &["ext4"],
        &["ext4", "-b", "1024"],
        &["ext4", "-O", "metadata_csum_seed,orphan_file", "-b", "2048"],
        &["ext4", "-O", "^metadata_csum,uninit_bg", "-I", "128"],
        &["ext4", "-O", "^extent,^64bit", "-I", "512"],
        &["ext3", "-b", "1024"],
        &["ext2", "-I", "128", "-b", "4096"],
    ];
    for set in sets {
        let (theirs, ours) = (work.path().join("theirs"), work.path().join("ours"));
        let _ = std::fs::remove_file(&theirs);
        let mut mke2fs = Command::new("mke2fs");
        let block: &[&str] = if set.contains(&"-b") { &[] } else { &["-b", "4096"] };
        mke2fs
            .args(["-q", "-F", "-t", set[0]])
            .args(&set[1..])
            .args(block)
            .arg("-d")
            .arg(&tree)
            .arg(&theirs)
            .arg("64M");
        run(&mut mke2fs).ends(0);
        let arguments =
            ["mkfs", set[0], tree.to_str().unwrap(), ours.to_str().unwrap(), "--size", "64M", "--force"];
        // Times are not beyond the epoch of an image.
        run(command([&arguments[..], &set[1..], block].concat()).env("SOURCE_DATE_EPOCH", "3000000000"))
            .ends(0);
        let (expected, found) = (listing_of(&theirs, &paths), listing_of(&ours, &paths));
        assert_eq!(expected.len(), paths.len());
        for (path, expected) in &expected {
            assert_eq!(expected, &found[path], "{set:?}: /{}", path.display());
        }
        for directory in ["/", "/directory", "/directory/many"] {
            assert_eq!(names_of(&theirs, directory), names_of(&ours, directory), "{set:?}: {directory}");
        }
        for name in ["file", "both ends", "end", "hole", "directory/file.txt"] {
            let cat = |image: &Path| {
                Command::new("debugfs")
                    .arg("-R")
                    .arg(format!("cat \"/{name}\""))
                    .arg(image)
                    .output()
                    .unwrap()
                    .stdout
            };
            assert!(
                cat(&theirs) == cat(&ours) && cat(&ours) == std::fs::read(tree.join(name)).unwrap(),
                "{set:?}: {name}"
            );
        }
    }
}
