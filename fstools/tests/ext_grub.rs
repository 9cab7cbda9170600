//! GRUB's own driver reads every file of what a boot loader may have to read, in every format that it knows.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_fstools::registry::{BootReader, Geometry, Target};
use diskwright_fstools::tree::{Kind, ROOT};
use kit::formats::{Format, every};
use kit::{Image, Sample, all, all_of, fsck, have, identity, noise, run};

/// A `/boot` with all that makes reading hard: many extents, holes, blocks of pointers, an index, long symlinks.
fn boot(format: &Format) -> Sample {
    let mut sample = Sample::default();
    let boot = sample.directory(ROOT, "boot");
    for (at, len) in [0, 1, 1023, 4096, 50_000, 300_000, 3 << 20].into_iter().enumerate() {
        sample.content(boot, format!("file-{at}"), noise(at as u64, len));
    }
    sample.sparse(boot, "sparse", 40 * 65_536 + 9, &[0, 3, 4, 17, 19, 21, 23, 25, 40]);
    // With extents, its driver of 2.06 fails on a block before the first extent: "something wrong with extent". So the
    // writer gives it one.
    sample.sparse(boot, "hole", 300_000, &[]);
    sample.sparse(boot, "hole at the front", 300_000, &[4]);
    sample.add(boot, "short link", Kind::Symlink(b"file-3".to_vec().into()));
    let long = [vec![b'/'; 200], b"boot/file-4".to_vec()].concat();
    sample.add(boot, "long link", Kind::Symlink(long.into()));
    let many = sample.directory(boot, "many");
    for at in 0..(if format.block == 1024 { 600 } else { 300 }) {
        sample.add(many, format!("{at:0200}"), Kind::file(format!("file {at}").into_bytes()));
    }
    sample
}

/// Whether the driver of GRUB 2.06, as distributions patched it, opens the format: by its list of incompat features.
fn known(format: &Format) -> bool {
    !format.has("ea_inode")
}

#[test]
fn grub_reads_what_it_knows_and_refuses_the_rest() {
    const TEST: &str = "grub_reads_what_it_knows_and_refuses_the_rest";
    if !have(TEST, "grub-fstest") {
        return;
    }
    let formats = every();
    let cells = formats.iter().enumerate().filter(|(at, _)| all() || at % 3 == at / 3 % 3);
    let called = |cell: &(usize, &Format)| cell.1.line.clone();
    let (mut read, mut refused) = (0, 0);
    all_of(cells, called, |(_, format)| {
        let sample = boot(format);
        // Options that were given stay; that GRUB reads it is what it has to know.
        let target = Target { boot: Some(BootReader::Grub), ..Target::default() };
        let aimed = format.filesystem().aimed(&target).expect("a profile").expect("a profile");
        let filesystem = aimed.filesystem;
        let len = filesystem.measure(&sample.tree, 0, 512).expect("measured");
        let place = Geometry { len, sector_size: 512, hidden_sectors: 0 };
        let laid = filesystem.lay(&sample.tree, &place, &identity()).expect("measured");
        let image = Image::write(&laid.layout.poisoned(0xF5), &sample.contents);
        fsck(&image.path, &format.line);
        let path = image.path.to_str().expect("a plain path");
        let (code, text) = run("grub-fstest", &[path, "ls", "/boot/"]);
        if !known(format) {
            assert!(!text.contains("file-"), "{text}");
            let (code, text) = run("grub-fstest", &[path, "crc", "/boot/file-3"]);
            assert!(code != 0, "{text}");
            refused += 1;
            return;
        }
        assert_eq!(
            (code, text.split_whitespace().filter(|name| name.starts_with("file-")).count()),
            (0, 7),
            "{text}"
        );
        let (_, text) = run("grub-fstest", &[path, "ls", "/boot/many/"]);
        let many = sample.tree.lookup(b"boot/many").expect("a directory");
        assert_eq!(text.split_whitespace().count(), sample.tree.children(many).len(), "{text:.300}");
        compare(&sample, &image);
        read += 1;
    });
    assert!(read > 30 && refused > 3, "{read} read, {refused} refused");
}

/// Files byte by byte, and what symlinks lead to.
fn compare(sample: &Sample, image: &Image) {
    let path = image.path.to_str().expect("a plain path");
    let expected = image.path.with_file_name("expected");
    let expected = expected.to_str().expect("a plain path");
    let mut compared = 0;
    for step in sample.tree.walk() {
        let name = String::from_utf8(step.path.clone()).expect("text");
        let node = match &sample.tree.node(step.node).kind {
            Kind::Symlink(_) if name.ends_with("short link") => {
                sample.tree.lookup(b"boot/file-3").expect("a file")
            }
            Kind::Symlink(_) => sample.tree.lookup(b"boot/file-4").expect("a file"),
            _ => step.node,
        };
        // Of those in the index, some.
        let Kind::File(data) = &sample.tree.node(node).kind else { continue };
        if name.starts_with("/boot/many/") && !name.ends_with("77") {
            continue;
        }
        std::fs::write(expected, sample.data(data)).expect("room for a file");
        let (code, text) = run("grub-fstest", &[path, "cmp", &name, expected]);
        assert_eq!((code, text.trim()), (0, ""), "{name}");
        compared += 1;
    }
    assert!(compared > 12, "files to compare");
}
