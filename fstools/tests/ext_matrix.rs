//! Feature sets × sizes of blocks × contents × sizes: e2fsck says nothing, our reader finds the tree, and what is promised
//! to be free is free. By default each format meets one of the contents, small and roomy; with `DISKWRIGHT_ALL=1` all.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_formats::fault::RefusalKind;
use diskwright_fstools::registry::Geometry;
use kit::contents::{Make, asked, contents};
use kit::formats::{Format, every};
use kit::same::same;
use kit::{Image, Sample, all, all_of, fsck, fsck_by, have, identity, skip};

const MIB: u64 = 1 << 20;

/// Lays a sample in a format at a size and lets everyone judge.
fn check(name: &str, format: &Format, sample: &Sample, len: u64) {
    let name = format!("{name}, {}, {len} bytes", format.line);
    let place = Geometry { len, sector_size: 512, hidden_sectors: 0 };
    let laid = format.filesystem().lay(&sample.tree, &place, &identity());
    let laid = laid.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    assert_eq!(laid.layout.len(), len, "{name}");
    let poisoned = laid.layout.poisoned(0xF5);
    let image = Image::write(&poisoned, &sample.contents);
    let counted = fsck(&image.path, &name);
    // 1.46 does not know the orphan file.
    if let Some(older) = older().filter(|_| !format.has("orphan_file")) {
        fsck_by(&older, &image.path, &format!("{name}, by {older}"));
    }
    same(&name, format, sample, &laid, &poisoned);
    let (used, free) = laid.usage.inodes.expect("ext has inodes");
    assert_eq!((counted.inodes_used, counted.inodes), (used, used + free), "{name}: inodes");
    assert_eq!(counted.blocks_used * format.block, laid.usage.used, "{name}: used");
    assert!(laid.usage.free <= (counted.blocks - counted.blocks_used) * format.block, "{name}: free");
    assert!(counted.blocks * format.block <= len, "{name}");
}

/// An e2fsck of an older release.
fn older() -> Option<String> {
    std::env::var("DISKWRIGHT_OLDER_E2FSCK").ok()
}

/// The smallest size, one block less, and one with room for growth.
fn check_sizes(name: &str, format: &Format, sample: &Sample) {
    let filesystem = format.filesystem();
    let measured = |free| {
        let len = filesystem.measure(&sample.tree, free, 512);
        len.unwrap_or_else(|refusal| panic!("{name}, {}: {refusal}", format.line))
    };
    let smallest = measured(0);
    check(name, format, sample, smallest);
    let place = Geometry { len: smallest - format.block, sector_size: 512, hidden_sectors: 0 };
    let refusal = filesystem.lay(&sample.tree, &place, &identity()).expect_err("one block less");
    assert_eq!(refusal.kind, RefusalKind::TooSmall { needed: Some(smallest) }, "{name}, {}", format.line);
    // Beyond several groups, whatever their size, and no whole number of blocks.
    let free = 40 * MIB + 1;
    let roomy = measured(free);
    let place = Geometry { len: roomy, sector_size: 512, hidden_sectors: 0 };
    let laid = filesystem.lay(&sample.tree, &place, &identity()).expect("measured");
    assert!(laid.usage.free >= free, "{name}, {}: {} free", format.line, laid.usage.free);
    check(name, format, sample, roomy + 512);
}

/// Part `part` of `parts` of the table, so that several run at once.
fn part(test: &str, part: usize, parts: usize) {
    if !have(test, "e2fsck") {
        return;
    }
    if older().is_none() {
        skip(test, "no older e2fsck beside the installed one (tests/fixtures/older-e2fsck gets it)");
    }
    let formats = every();
    let cells = formats.iter().enumerate().filter(|(at, _)| at % parts == part).flat_map(|(at, format)| {
        let contents = contents(format).filter(move |row| asked(at, row.0));
        contents.map(move |(_, name, make)| (name, format, make))
    });
    let called = |cell: &(&str, &Format, Make)| format!("{}, {}", cell.0, cell.1.line);
    all_of(cells, called, |(name, format, make)| check_sizes(name, format, &make(format)));
}

#[test]
fn every_format_with_every_content_is_clean_1() {
    part("every_format_with_every_content_is_clean_1", 0, 2);
}

#[test]
fn every_format_with_every_content_is_clean_2() {
    part("every_format_with_every_content_is_clean_2", 1, 2);
}

/// Sizes at which groups, their tables and the copies of the superblock begin and end.
#[test]
fn every_set_is_clean_at_the_borders_of_groups() {
    const TEST: &str = "every_set_is_clean_at_the_borders_of_groups";
    if !have(TEST, "e2fsck") {
        return;
    }
    let sample = Sample::default();
    let formats = every();
    let formats = formats.iter().enumerate().filter(|(at, _)| all() || at % 4 == 0);
    all_of(
        formats,
        |cell| cell.1.line.clone(),
        |(at, format)| {
            let group = 8 * format.block * format.block;
            let first = if format.block == 1024 { 1024 } else { 0 };
            let around = [1, 10, 100].map(|more| first + 2 * group + more * format.block);
            let borders = [first + 2 * group - format.block, first + 2 * group].into_iter().chain(around);
            let far = [9 * group + 600 * format.block, 300 << 20, 3 << 30];
            for len in borders.chain(if all() || at % 8 == 0 { far.to_vec() } else { vec![] }) {
                check("empty", format, &sample, len);
            }
        },
    );
}
