//! Independent readers and changers of ext4: ext4-view, debugfs, resize2fs, tune2fs.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_formats::fault::RefusalKind;
use diskwright_formats::layout::ContentId;
use diskwright_fstools::registry::{Geometry, Laid};
use diskwright_fstools::tree::{Data, Kind, Meta, Node, ROOT, Time, Xattrs};
use kit::{Image, Sample, filesystem, fsck, have, identity, lay, lay_with, run};

const MIB: u64 = 1 << 20;

#[test]
fn ext4_view_reads_every_file() {
    for (name, sample, len) in [
        ("kinds", kit::kinds(), 24 * MIB),
        ("wide", kit::wide(2000), 32 * MIB),
        ("deep", kit::deep(30), 32 * MIB),
        ("attributes", kit::attributes(), 32 * MIB),
        ("subdirectories", kit::subdirectories(1000), 64 * MIB),
    ] {
        kit::view(name, sample, len);
    }
}

fn debugfs(image: &Image, request: &str) -> String {
    let (code, text) = run("debugfs", &["-R", request, image.path.to_str().expect("a plain path")]);
    assert_eq!(code, 0, "{text}");
    text
}

#[test]
fn debugfs_agrees() {
    if !have("debugfs_agrees", "debugfs") {
        return;
    }
    let sample = kit::kinds();
    let image = Image::write(&lay(&sample, 24 * MIB).expect("it fits").layout, &sample.contents);
    for (request, lines) in [
        ("stat /special/time-1", &["Mode:  0644", "mtime: 0xffffffff:00000004", "Links: 1"][..]),
        ("stat /special/char-255-255", &["Device major/minor number: 255:255 (hex ff:ff)"]),
        ("stat /special/block-4095-1048575", &["Device major/minor number: 4095:1048575 (hex fff:fffff)"]),
        ("stat /special/owner-3", &["User: 65536", "Group:     1"]),
        ("stat /dir/link-0059", &["Fast link dest: \"xxxx", "Blockcount: 0"]),
        ("stat /dir/link-0060", &["Blockcount: 8", "Size: 60"]),
        ("stat /dir/linked", &["Links: 21", "Blockcount: 16"]),
        ("stat /", &["User:     5", "Group: 70000", "Mode:  01777"]),
        ("stat /lost+found", &["Inode: 11", "Mode:  0700", "Size: 16384"]),
        (
            "stats",
            &[
                "Default directory hash:   half_md4",
                "signed_directory_hash",
                "Last mounted on:          <not available>",
            ],
        ),
    ] {
        let text = debugfs(&image, request);
        for line in lines {
            assert!(text.contains(line), "{request}: no `{line}` in:\n{text}");
        }
    }
    let sample = kit::wide(40_000);
    let image = Image::write(&lay(&sample, 200 * MIB).expect("it fits").layout, &sample.contents);
    let text = debugfs(&image, "htree_dump /wide");
    for line in [
        "Hash Version: 1",
        "Indirect levels: 0",
        "Number of entries (count): ",
        "Number of entries (limit): 507",
    ] {
        assert!(text.contains(line), "no `{line}` in:\n{}", &text[..1000]);
    }
    let names = text.matches("a file with the number").count();
    assert_eq!(names, 40_000);
    let sample = kit::holes();
    let image = Image::write(&lay(&sample, 64 * MIB).expect("it fits").layout, &sample.contents);
    let text = debugfs(&image, "ex /341");
    assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("1/ 1")).count(), 341, "{text}");
    let sample = kit::attributes();
    let image = Image::write(&lay(&sample, 32 * MIB).expect("it fits").layout, &sample.contents);
    let text = debugfs(&image, "ea_list /acl");
    for line in ["system.posix_acl_access (", "system.posix_acl_default ("] {
        assert!(text.contains(line), "no `{line}` in:\n{text}");
    }
    assert!(debugfs(&image, "ea_get /set-1-0 user.small").contains("value"));
}

#[test]
fn resize2fs_grows_and_tune2fs_renames() {
    if !have("resize2fs_grows_and_tune2fs_renames", "resize2fs") {
        return;
    }
    for (name, sample, len, larger) in [
        ("kinds", kit::kinds(), 24 * MIB, "300M"),
        ("empty", Sample::default(), 4 * MIB, "64M"),
        ("wide", kit::wide(5000), 100 * MIB, "9G"),
        ("large", kit::attributes(), 3 << 30, "20G"),
    ] {
        let image =
            Image::write(&lay(&sample, len).expect("it fits").layout.poisoned(0xF5), &sample.contents);
        let copy = image.copy();
        let path = copy.path.to_str().expect("a plain path");
        let (code, text) = run("resize2fs", &[path, larger]);
        assert_eq!(code, 0, "{name}: {text}");
        fsck(&copy.path, &format!("{name}, grown"));
        let copy = image.copy();
        let path = copy.path.to_str().expect("a plain path");
        let (code, text) = run("resize2fs", &["-M", path]);
        assert_eq!(code, 0, "{name}: {text}");
        fsck(&copy.path, &format!("{name}, shrunk"));
        let copy = image.copy();
        let path = copy.path.to_str().expect("a plain path");
        let (code, text) = run("tune2fs", &["-U", "01234567-89ab-cdef-0123-456789abcdef", path]);
        assert_eq!(code, 0, "{name}: {text}");
        fsck(&copy.path, &format!("{name}, with another UUID"));
        let copy = image.copy();
        let (code, text) = run("e2fsck", &["-fyD", copy.path.to_str().expect("a plain path")]);
        assert!(code <= 1 && text.contains("Pass 3A: Optimizing directories"), "{name}: {text}");
        assert!(!text.contains("Fix") && !text.contains("FIXED"), "{name}: {text}");
        fsck(&copy.path, &format!("{name}, its directories optimised"));
    }
}

fn place(len: u64) -> Geometry {
    Geometry { len, sector_size: 512, hidden_sectors: 0 }
}

#[test]
fn measure_is_exact() {
    let fsck_too = have("measure_is_exact", "e2fsck");
    let mut large = Sample::default();
    let dir = large.directory(ROOT, "large");
    // Ten pieces of 40 MB cross several groups; the holes make more than four extents.
    for at in 0..10 {
        large.content(dir, format!("{at}"), kit::noise(at, 40_000_000));
    }
    for (name, sample, options) in [
        ("empty", Sample::default(), ""),
        ("kinds", kit::kinds(), ""),
        ("kinds, no journal", kit::kinds(), "-O ^has_journal"),
        ("kinds, reserved", kit::kinds(), "-m 5"),
        ("wide", kit::wide(40_000), ""),
        ("attributes", kit::attributes(), ""),
        ("holes", kit::holes(), ""),
        ("large", large, ""),
        ("kinds, journal", kit::kinds(), "-J size=16"),
    ] {
        let fs = filesystem(options);
        let lay = |len| fs.lay(&sample.tree, &place(len), &identity());
        let smallest = fs.measure(&sample.tree, 0, 512).expect("measured");
        let Laid { layout, .. } =
            lay(smallest).unwrap_or_else(|refusal| panic!("{name} at {smallest}: {refusal}"));
        if fsck_too {
            fsck(&Image::write(&layout, &sample.contents).path, &format!("{name}, smallest: {smallest}"));
        }
        let refusal = lay(smallest - 4096).expect_err(name);
        assert_eq!(refusal.kind, RefusalKind::TooSmall { needed: Some(smallest) }, "{name}");
        for more in [1, 4095, 4096, MIB, 100 * MIB, 1 << 30] {
            lay(smallest + more).unwrap_or_else(|refusal| panic!("{name} at {smallest} + {more}: {refusal}"));
        }
        for free in [1, 4096, 10 * MIB + 1, 300 * MIB, 5 << 30] {
            let len = fs.measure(&sample.tree, free, 512).expect("measured");
            for more in [0, 4096, MIB, 3 * MIB, 128 * MIB] {
                let usage = lay(len + more).expect("it fits").usage;
                assert!(usage.free >= free, "{name}: {} of {free} free at {len} + {more}", usage.free);
            }
        }
    }
}

#[test]
fn free_and_used_are_what_e2fsck_counts() {
    if !have("free_and_used_are_what_e2fsck_counts", "dumpe2fs") {
        return;
    }
    let sample = kit::kinds();
    let laid = lay_with(&sample, 300 * MIB, "-m 5").expect("it fits");
    let image = Image::write(&laid.layout, &sample.contents);
    let (_, text) = run("dumpe2fs", &["-h", image.path.to_str().expect("a plain path")]);
    let value = |key: &str| -> u64 {
        let line =
            text.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("no {key} in {text}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    };
    let (free, reserved) = (value("Free blocks:"), value("Reserved block count:"));
    assert_eq!(laid.usage.free, (free - reserved) * 4096);
    assert_eq!(laid.usage.used, (value("Block count:") - free) * 4096);
    let free_inodes = value("Free inodes:");
    assert_eq!(laid.usage.inodes, Some((value("Inode count:") - free_inodes, free_inodes)));
    assert_eq!(reserved, value("Block count:") / 20);
}

#[test]
fn what_ext4_cannot_hold_is_refused_by_name() {
    let file = || Node { meta: Meta::of_root(0o644, Time::default()), kind: Kind::file(vec![]) };
    let mut links = Sample::default();
    let node = links.add(ROOT, "linked", Kind::file(vec![]));
    for at in 1..65_000 {
        links.tree.link(ROOT, format!("{at:05}").as_bytes(), node).expect("a good name");
    }
    lay(&links, 64 * MIB).expect("65000 names are allowed");
    links.tree.link(ROOT, b"one more", node).expect("a good name");
    let with = |name: &str, value: Vec<u8>| {
        let mut sample = Sample::default();
        let set = sample.tree.intern(Xattrs::from([(name.as_bytes().to_vec(), value)]));
        let node = sample.tree.add(ROOT, b"file", file()).expect("a good name");
        sample.tree.meta_mut(node).xattrs = set;
        sample
    };
    let kind = |name: &str, kind: Kind| {
        let mut sample = Sample::default();
        sample.add(ROOT, name, kind);
        sample
    };
    let huge = Kind::File(Data::Content { id: ContentId(0), size: 1 << 44, runs: Some(Box::default()) });
    let mut large = Sample::default();
    large.external(ROOT, "large", 2 << 40);
    for (sample, options, object, reason) in [
        (large, "-O ^huge_file", "/large", "less than 2 TiB without huge_file"),
        (links, "", "/00001", "65001 hard links"),
        (with("user.large", vec![1; 4096]), "", "/file", "user.large"),
        (with("other.name", vec![]), "", "/file", "other.name"),
        (with("user.", vec![]), "", "/file", "user."),
        (with("system.posix_acl_access", vec![1, 2, 3]), "", "/file", "system.posix_acl_access"),
        (kind("lost+found", Kind::Fifo), "", "/lost+found", "fifo"),
        (kind("huge", huge), "", "/huge", "17592186044416 bytes"),
        (kind("device", Kind::CharDevice { major: 4096, minor: 0 }), "", "/device", "4096:0"),
        (kit::subdirectories(64_999), "-O ^dir_nlink", "/dir", "64999 subdirectories"),
        (kit::wide(100), "-N 50", "inodes", "112"),
    ] {
        let refusal = lay_with(&sample, 1 << 30, options).expect_err(object);
        assert_eq!((refusal.spot.format, refusal.spot.object.as_str()), ("ext4", object), "{refusal}");
        assert!(refusal.reason.contains(reason), "{refusal}");
    }
    let mut sample = Sample::default();
    for (name, len) in [("small", 1000), ("large", 3_000_000), ("larger", 4_000_000)] {
        let dir = sample.directory(ROOT, name);
        sample.content(dir, "file", kit::noise(1, len));
    }
    let refusal = lay(&sample, MIB).expect_err("it does not fit");
    let hint = refusal.hint.expect("the largest directories");
    assert!(hint.contains("/larger (4000000 bytes), /large (3000000 bytes), /small"), "{hint}");
}

#[test]
fn a_lost_and_found_of_the_tree_is_kept() {
    if !have("a_lost_and_found_of_the_tree_is_kept", "e2fsck") {
        return;
    }
    for count in [0, 3, 200, 3000] {
        let mut sample = Sample::default();
        let dir = sample.directory(ROOT, "lost+found");
        (0..count).for_each(|at| {
            sample.add(dir, format!("file number {at}"), Kind::file(vec![1]));
        });
        let image = Image::write(&lay(&sample, 64 * MIB).expect("it fits").layout, &sample.contents);
        fsck(&image.path, &format!("lost+found with {count} files"));
        assert!(debugfs(&image, "stat /lost+found").contains("User:  1000"));
    }
}
