//! What e2fsprogs and the kernel say of the ext4 images that we lay.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_formats::layout::Contents;
use kit::{Image, Pattern, Sample, all, fsck, have, lay_with};

const MIB: u64 = 1 << 20;

/// Lays a tree with options at a size, clean or poisoned, and lets e2fsck judge.
fn check(name: &str, sample: &Sample, len: u64, options: &str) {
    check_over(name, sample, &sample.contents, len, options);
}

fn check_over(name: &str, sample: &Sample, contents: &dyn Contents, len: u64, options: &str) {
    let laid = lay_with(sample, len, options)
        .unwrap_or_else(|refusal| panic!("{name}: {refusal} {:?}", refusal.hint));
    assert_eq!(laid.layout.len(), len, "{name}");
    let again = lay_with(sample, len, options).expect("it was laid before");
    assert!(laid.layout == again.layout, "{name}: two layouts differ");
    // Even the edges of all free ranges are too many in thousands of groups.
    let poisoned = (len < 1 << 40).then(|| ("poisoned", laid.layout.poisoned(0xF5)));
    for (kind, layout) in [("clean", laid.layout.clone())].into_iter().chain(poisoned) {
        let image = Image::write(&layout, contents);
        fsck(&image.path, &format!("{name} ({kind}, {len} bytes)"));
    }
}

#[test]
fn e2fsck_finds_nothing() {
    if !have("e2fsck_finds_nothing", "e2fsck") {
        return;
    }
    for (len, options) in [
        (2 * MIB, ""),
        (8 * MIB, ""),
        (64 * MIB, ""),
        (64 * MIB + 12_288, "-O ^has_journal,^resize_inode -N 64"),
        (300 * MIB, "-m 5 -O metadata_csum_seed -L label"),
        (1 << 30, "-J size=64"),
        (20 << 30, ""),
        (20 << 30, "-E resize=1000000000"),
    ] {
        check(&format!("empty {options}"), &Sample::default(), len, options);
    }
    for (name, sample, len) in [
        ("all kinds", kit::kinds(), 16 * MIB),
        ("all kinds", kit::kinds(), 9 << 30),
        ("40000 entries", kit::wide(40_000), 200 * MIB),
        ("deep", kit::deep(400), 16 * MIB),
        ("attributes", kit::attributes(), 32 * MIB),
        ("holes", kit::holes(), 64 * MIB),
        ("1000 subdirectories", kit::subdirectories(1000), 64 * MIB),
        ("65000 subdirectories", kit::subdirectories(65_000), 512 * MIB),
    ] {
        check(name, &sample, len, "");
    }
    check("40000 entries, linear", &kit::wide(40_000), 200 * MIB, "-O ^dir_index");
    check("two levels of index", &kit::long_names(8000), 64 * MIB, "");
}

#[test]
fn extent_trees_on_both_sides_of_each_depth() {
    if !have("extent_trees_on_both_sides_of_each_depth", "e2fsck") {
        return;
    }
    for count in [1360, 1361] {
        check_over(&format!("{count} extents"), &kit::many_extents(count), &Pattern, 128 * MIB, "");
    }
    // 600 MB in one piece, over four copies of the superblock.
    let mut sample = Sample::default();
    sample.external(diskwright_fstools::tree::ROOT, "large", 600 * MIB + 5);
    check_over("a large file", &sample, &Pattern, 1 << 30, "");
}

/// Minutes of work, with `DISKWRIGHT_ALL=1`.
#[test]
fn very_large_ones() {
    if !all() || !have("very_large_ones", "e2fsck") {
        return;
    }
    check("a million entries", &kit::wide(1_000_000), 5 << 30, "");
    check("two levels of index, full", &kit::long_names(600_000), 4 << 30, "");
    check("15 TiB", &kit::kinds(), 15 << 40, "");
    check("16 TiB, less a group", &Sample::default(), (1 << 44) - (1 << 27), "-i 65536");
    let mut sample = Sample::default();
    sample.external(diskwright_fstools::tree::ROOT, "large", 5 << 30);
    check_over("5 GiB", &sample, &Pattern, 6 << 30, "");
}
