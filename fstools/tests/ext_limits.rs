//! Both sides of each limit: what is just possible is clean and read back, what is just not is refused by name.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_formats::fault::Refusal;
use diskwright_formats::layout::Contents;
use diskwright_fstools::registry::{Geometry, Laid};
use diskwright_fstools::tree::{Data, Kind, NodeId, ROOT, Time, Xattrs};
use kit::formats::{Format, every};
use kit::same::same;
use kit::{Image, Pattern, Sample, all, all_of, fsck, have, identity, noise};

fn lay(format: &Format, sample: &Sample) -> Result<Laid, Refusal> {
    let filesystem = format.filesystem();
    let len = filesystem.measure(&sample.tree, 0, 512)?;
    filesystem.lay(&sample.tree, &Geometry { len, sector_size: 512, hidden_sectors: 0 }, &identity())
}

/// It is laid, e2fsck is silent, and our reader finds the tree.
fn possible(format: &Format, name: &str, sample: &Sample) -> Laid {
    let name = format!("{name}, {}", format.line);
    let laid = lay(format, sample).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    if have("possible", "e2fsck") {
        fsck(&Image::write(&laid.layout, &sample.contents).path, &name);
    }
    same(&name, format, sample, &laid, &laid.layout);
    laid
}

/// As [`possible`], with contents that are too large to keep.
fn possible_over(format: &Format, name: &str, sample: &Sample, contents: &dyn Contents) {
    let name = format!("{name}, {}", format.line);
    let laid = lay(format, sample).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    if have("possible_over", "e2fsck") {
        fsck(&Image::write(&laid.layout, contents).path, &name);
    }
}

fn impossible(format: &Format, name: &str, sample: &Sample, object: &str, reason: &str) {
    let name = format!("{name}, {}", format.line);
    let Err(refusal) = lay(format, sample) else { panic!("{name}: it was laid") };
    assert_eq!(refusal.spot.object, object, "{name}: {refusal}");
    assert!(refusal.reason.contains(reason), "{name}: {refusal}");
}

fn one(kind: Kind) -> Sample {
    let mut sample = Sample::default();
    sample.add(ROOT, "it", kind);
    sample
}

fn each(lines: &[&str], check: impl Fn(&Format)) {
    let formats: Vec<Format> = lines.iter().map(|line| Format::of(line)).collect();
    all_of(formats, |format| format.line.clone(), |format| check(&format));
}

/// The line at each size of blocks.
fn each_block(line: &str, check: impl Fn(&Format)) {
    let lines = ["1024", "2048", "4096"].map(|block| format!("{line} -b {block}"));
    each(&lines.each_ref().map(String::as_str), check);
}

#[test]
fn symlinks_are_shorter_than_a_block() {
    each_block("-t ext4", |format| {
        let link = |len: u64| one(Kind::Symlink(vec![b'x'; len as usize].into()));
        let blocks = |len: u64| possible(format, &format!("a symlink of {len}"), &link(len)).usage.used;
        assert_eq!(blocks(59) + format.block, blocks(60), "from 60 bytes on it has a block");
        blocks(format.block - 1);
        if format.block < 4096 {
            impossible(format, "a symlink", &link(format.block), "/it", &format!("{} bytes", format.block));
        }
    });
    each(&["-t ext2 -I 128", "-t ext3 -b 1024"], |format| {
        for len in [1, 58, 59, 60, 61] {
            possible(format, "a symlink", &one(Kind::Symlink(vec![b'x'; len].into())));
        }
    });
}

#[test]
fn files_are_as_long_as_their_map_and_their_count_of_blocks_allow() {
    let hole = |size| {
        one(Kind::File(Data::Content {
            id: diskwright_formats::layout::ContentId(0),
            size,
            runs: Some(Box::default()),
        }))
    };
    let formats = every();
    all_of(
        &formats,
        |format| format.line.clone(),
        |format| {
            let longest = format.longest();
            lay(format, &hole(longest)).unwrap_or_else(|refusal| panic!("{longest}: {refusal}"));
            impossible(format, "a file", &hole(longest + 1), "/it", &(longest + 1).to_string());
        },
    );
    // Blocks that are there, counted in sectors of 512 bytes in 32 bits, or in 48 and in blocks with huge_file.
    each(&["-t ext4 -O ^huge_file", "-t ext4 -O ^huge_file -b 2048", "-t ext3"], |format| {
        let full = |size| {
            one(Kind::File(Data::Content { id: diskwright_formats::layout::ContentId(0), size, runs: None }))
        };
        impossible(format, "a file", &full(2 << 40), "/it", "2 TiB");
        assert!(lay(format, &full((2 << 40) - (1 << 32))).is_ok());
    });
    // The first size that does not fit into i_size_lo, and the one that large_file is for.
    each(&["-t ext4", "-t ext2 -b 1024", "-t ext3 -I 128"], |format| {
        for size in [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 1] {
            let mut sample = Sample::default();
            sample.sparse(ROOT, "it", size, &[0]);
            possible(format, &format!("a file of {size}"), &sample);
        }
    });
}

#[test]
fn extent_trees_and_block_maps_on_both_sides_of_each_depth() {
    // A node holds (block - header - checksum) / 12 extents, the inode four.
    each_block("-t ext4", |format| {
        let leaf = (format.block - 12) / 12;
        let deeper = if all() { vec![4 * leaf, 4 * leaf + 1, 5 * leaf] } else { vec![] };
        let counts = [4, 5, leaf - 1, leaf, leaf + 1, 2 * leaf, 2 * leaf + 1].into_iter().chain(deeper);
        for count in counts.filter(|&count| all() || count < 200) {
            possible_over(format, &format!("{count} extents"), &kit::many_extents(count), &Pattern);
        }
    });
    each(&["-t ext4 -b 1024 -O ^metadata_csum"], |format| {
        for count in [84, 85, 336, 337] {
            possible_over(format, &format!("{count} extents"), &kit::many_extents(count), &Pattern);
        }
    });
    each_block("-t ext2 -N 64 -O ^resize_inode", |format| {
        let pointers = format.block / 4;
        let double = 12 + pointers + pointers * pointers;
        let more = if format.block == 1024 || all() { vec![double, double + 1] } else { vec![] };
        let used = [11, 12, 13, 12 + pointers, 13 + pointers].into_iter().chain(more).map(|blocks| {
            let mut sample = Sample::default();
            let size = blocks * format.block - if blocks % 2 == 0 { 0 } else { 7 };
            sample.external(ROOT, "it", size);
            possible_over(format, &format!("{blocks} blocks"), &sample, &Pattern);
            lay(format, &sample).expect("just laid").usage.used / format.block - blocks
        });
        // Blocks of the map: none, one, two levels, three.
        let used: Vec<u64> = used.collect();
        assert_eq!((used[1] + 1, used[2]), (used[2], used[3]), "{used:?}");
        assert_eq!(used[3] + 2, used[4], "{used:?}");
        if used.len() > 5 {
            assert_eq!(used[6], used[5] + 3, "{used:?}");
        }
    });
}

#[test]
fn names_of_one_inode_and_subdirectories_are_counted() {
    let links = |count: u32| {
        let mut sample = Sample::default();
        let node = sample.add(ROOT, "00000", Kind::file(vec![]));
        for at in 1..count {
            sample.tree.link(ROOT, format!("{at:05}").as_bytes(), node).expect("a good name");
        }
        sample
    };
    each(&["-t ext4 -b 1024", "-t ext2 -b 2048"], |format| {
        possible(format, "65000 names", &links(65_000));
        impossible(format, "65001 names", &links(65_001), "/00000", "65001");
    });
    let most = kit::subdirectories(64_998);
    let more = kit::subdirectories(64_999);
    each(&["-t ext4 -b 1024 -O ^dir_nlink", "-t ext3 -b 1024"], |format| {
        impossible(format, "64999 subdirectories", &more, "/dir", "64999");
        if all() {
            possible(format, "64998 subdirectories", &most);
        }
    });
    each(&["-t ext4 -b 1024"], |format| {
        possible(format, "64998 subdirectories", &most);
        possible(format, "64999 subdirectories", &more);
    });
}

/// A set of one attribute with a value of so many bytes on a file.
fn attribute(len: usize) -> Sample {
    let mut sample = Sample::default();
    let node = sample.add(ROOT, "it", Kind::file(vec![]));
    let set = sample.tree.intern(Xattrs::from([(b"user.x".to_vec(), noise(len as u64, len))]));
    sample.tree.meta_mut(node).xattrs = set;
    sample
}

#[test]
fn attributes_fill_the_inode_then_a_block_then_an_inode_of_their_own() {
    each_block("-t ext4", |format| each_inode(format, false));
    each_block("-t ext2", |format| each_inode(format, false));
    each_block("-t ext4 -O ea_inode", |format| each_inode(format, true));
}

fn each_inode(format: &Format, ea_inode: bool) {
    for inode in [128, 256, 512] {
        let format = Format::of(&format!("{} -I {inode}", format.line));
        let used = |len: usize| {
            let usage = possible(&format, &format!("{len} bytes"), &attribute(len)).usage;
            (usage.used / format.block, usage.inodes.expect("inodes").0)
        };
        let plain = used(0);
        // Magic number, entry with a name of one letter, four zeros.
        let inside = (inode as usize).saturating_sub(128 + 32 + 4 + 20 + 4);
        if inode > 128 {
            assert_eq!(used(inside), plain, "inside");
            assert_eq!(used(inside + 1), (plain.0 + 1, plain.1), "in a block");
        }
        let block = format.block as usize - 32 - 20 - 4;
        let in_block = used(block);
        assert_eq!(in_block.1, plain.1, "in a block");
        if !ea_inode {
            impossible(&format, "a value", &attribute(block + 1), "/it", "user.x");
            continue;
        }
        // The value is on its own; its entry has the inode's room again.
        let own = used(block + 1);
        assert_eq!(own.1, plain.1 + 1, "in an inode of its own");
        assert_eq!(used(65_536).1, plain.1 + 1, "the longest that the system calls take");
        impossible(&format, "a value", &attribute(65_537), "/it", "user.x");
    }
}

#[test]
fn indexes_on_both_sides_of_each_depth() {
    // Names of 250 bytes: three in a block of 1 KiB, seven in one of 2, fifteen in one of 4.
    let some = |from: u32, to: u32, step: usize| (from..to).step_by(step);
    each(&["-t ext4 -b 1024", "-t ext4 -b 1024 -O ^metadata_csum"], |format| {
        for count in [1, 2, 3, 4, 5].into_iter().chain(some(360, 380, 3)).chain([1000]) {
            possible(format, &format!("{count} long names"), &kit::long_names(count));
        }
    });
    each(&["-t ext3 -b 2048", "-t ext4 -b 2048"], |format| {
        for count in [6, 7, 8].into_iter().chain(some(1750, 1790, 13)) {
            possible(format, &format!("{count} long names"), &kit::long_names(count));
        }
    });
    // As many blocks as two levels list, 123 times 126 of three names each; beyond, a directory is linear.
    each(&["-t ext4 -b 1024"], |format| {
        for count in [3 * 123 * 126, 3 * 123 * 126 + 1] {
            possible(format, &format!("{count} long names"), &kit::long_names(count));
        }
    });
    each(&["-t ext4 -b 1024 -O ^dir_index"], |format| {
        let sample = kit::long_names(if all() { 3 * 123 * 126 + 1 } else { 9000 });
        possible(format, "many names, linear", &sample);
    });
}

/// Times on both sides of what 32 bits and the two bits of the epoch say.
#[test]
fn times_at_the_borders_are_kept_or_the_nearest() {
    let times = [
        i64::from(i32::MIN) - 1, // 1901
        i64::from(i32::MIN),
        -1,
        0,
        1,
        i64::from(i32::MAX), // 2038
        i64::from(i32::MAX) + 1,
        i64::from(u32::MAX), // 2106
        i64::from(u32::MAX) + 1,
        10_737_418_239, // 2310
        10_737_418_240,
        15_032_385_535, // 2446
        15_032_385_536,
    ];
    each(
        &["-t ext4", "-t ext4 -I 128", "-t ext3", "-t ext2 -I 128 -b 1024", "-t ext4 -O ^extra_isize"],
        |format| {
            let mut sample = Sample::default();
            for (at, sec) in times.into_iter().enumerate() {
                let node: NodeId = sample.add(ROOT, format!("{at:02}"), Kind::file(vec![]));
                sample.tree.meta_mut(node).mtime = Time { sec, nsec: 999_999_999 };
            }
            possible(format, "times", &sample);
        },
    );
}
