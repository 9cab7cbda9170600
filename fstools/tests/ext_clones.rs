//! Clones: what tells copies apart lies in known bytes, and to lay a clone is to patch its origin.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_formats::layout::{Layout, Reader, Source};
use diskwright_fstools::ext::disk::{Superblock, has_backup, superblock_checksum};
use diskwright_fstools::registry::{Geometry, ROWS};
use kit::contents::{contents, make};
use kit::formats::{Format, every};
use kit::{Sample, all, all_of, bytes_of, fsck, have, identity};
use std::collections::BTreeSet;
use std::mem::offset_of;
use std::ops::Range;
use zerocopy::{FromBytes, IntoBytes};

const LEN: u64 = 40 << 20;

/// Origin and clone of a tree.
fn laid(format: &Format, sample: &Sample) -> (Layout, Layout) {
    let place = Geometry { len: LEN, sector_size: 512, hidden_sectors: 0 };
    let lay = |identity: &_| format.filesystem().lay(&sample.tree, &place, identity).expect("it fits").layout;
    (lay(&identity()), lay(&identity().clone_as("fs/rootclone1")))
}

/// Where the primary superblock and its copies lie, as the image itself says.
fn superblocks(format: &Format, image: &[u8]) -> Vec<usize> {
    let primary = superblock(image, 1024);
    let (blocks, per_group) = (primary.blocks_count(), u64::from(primary.s_blocks_per_group.get()));
    let first = u64::from(primary.s_first_data_block.get());
    let groups = (blocks - first).div_ceil(per_group);
    let copies = (1..groups).filter(|&group| match () {
        () if format.has("sparse_super2") => primary.s_backup_bgs.map(u64::from).contains(&group),
        () => !format.has("sparse_super") || has_backup(group as u32),
    });
    let at = |group: u64| ((first + group * per_group) * format.block) as usize;
    std::iter::once(1024).chain(copies.map(at)).collect()
}

fn superblock(image: &[u8], at: usize) -> Superblock {
    Superblock::read_from_bytes(&image[at..at + 1024]).expect("1024 bytes")
}

/// Writes another UUID into every superblock and mends their checksums: all that a clone needs where nothing else hangs
/// on the UUID.
fn patch(format: &Format, image: &mut [u8], uuid: [u8; 16]) {
    for at in superblocks(format, image) {
        let mut one = superblock(image, at);
        one.s_uuid = uuid;
        if format.has("metadata_csum") {
            one.s_checksum = superblock_checksum(&one).into();
        }
        image[at..at + 1024].copy_from_slice(one.as_bytes());
    }
}

/// The bytes in which two images differ, as ranges.
fn differences(a: &[u8], b: &[u8]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let blocks = a.chunks(1024).zip(b.chunks(1024)).enumerate().filter(|(_, (a, b))| a != b);
    for at in blocks.flat_map(|(block, _)| block * 1024..(block + 1) * 1024).filter(|&at| a[at] != b[at]) {
        match ranges.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}

/// The uses of a layout's content.
fn content(layout: &Layout) -> Vec<(u64, u64, u32, u64)> {
    let placed = layout.extents().filter_map(|extent| match extent.source {
        Source::Content(id, from) => Some((extent.start, extent.len, id.0, from)),
        _ => None,
    });
    placed.collect()
}

/// Whether checksums start from the UUID.
fn depends(format: &Format) -> bool {
    format.has("metadata_csum") && !format.has("metadata_csum_seed") || format.has("uninit_bg")
}

/// The origin, patched to the clone's identity, is the clone, whatever the free bytes of the origin hold.
fn assert_patched(sample: &Sample, origin: &Layout, clone: &Layout) {
    let reid = |image: &Layout| {
        let reader = Reader::new(image, &sample.contents);
        let row = ROWS.iter().find(|row| (row.recognise)(&reader)).expect("ext");
        (row.reid)(&reader, &identity().clone_as("fs/rootclone1")).unwrap_or_else(|error| panic!("{error}"))
    };
    let patches = reid(origin);
    assert!(patches.is_sorted_by_key(|patch| patch.start));
    assert!(patches == reid(&origin.poisoned(0xF5)), "what is free takes no part");
    let patched = origin.patched(&patches).expect("patches apart from each other");
    assert!(patched.free().eq(clone.free()), "the same is free");
    let (patched, clone) = (bytes_of(&patched, &sample.contents), bytes_of(clone, &sample.contents));
    assert!(patched == clone, "patched: {:x?}", differences(&patched, &clone));
}

#[test]
fn to_lay_a_clone_is_to_patch_its_origin() {
    let formats = every();
    let called = |cell: &(usize, &Format)| cell.1.line.clone();
    all_of(
        formats.iter().enumerate().filter(|(at, _)| all() || at % 3 == (at / 3 + 1) % 3),
        called,
        |(at, format)| {
            let all_of_them =
                contents(format).enumerate().filter(|(number, _)| all() || *number == (at + at / 8) % 8);
            for (_, (_, _, make)) in all_of_them {
                let sample = make(format);
                let (origin, clone) = laid(format, &sample);
                assert_patched(&sample, &origin, &clone);
            }
        },
    );
}

#[test]
fn a_clone_is_its_origin_but_for_the_ids() {
    let formats = every();
    let called = |cell: &(usize, &Format)| cell.1.line.clone();
    all_of(formats.iter().enumerate().filter(|(at, _)| at % 3 == at / 3 % 3), called, |(at, format)| {
        let (_, _, make) = contents(format).nth(at % 8).expect("a content");
        let sample = make(format);
        let (origin, clone) = laid(format, &sample);
        assert_patched(&sample, &origin, &clone);
        assert_eq!(content(&origin), content(&clone), "the same content in the same places");
        assert!(origin.free().eq(clone.free()), "the same is free");
        if depends(format) {
            return;
        }
        let (mut origin, clone) = (bytes_of(&origin, &sample.contents), bytes_of(&clone, &sample.contents));
        let places = superblocks(format, &origin);
        // The UUID and the checksum of each superblock, and the UUID in the journal's own superblock.
        let uuid = offset_of!(Superblock, s_uuid);
        let checksum = offset_of!(Superblock, s_checksum);
        let mut allowed: BTreeSet<usize> = BTreeSet::new();
        for at in &places {
            allowed.extend(at + uuid..at + uuid + 16);
            if format.has("metadata_csum") {
                allowed.extend(at + checksum..at + checksum + 4);
            }
        }
        let different = differences(&origin, &clone);
        let strange: Vec<_> =
            different.iter().filter(|range| (*range).clone().any(|at| !allowed.contains(&at))).collect();
        assert!(strange.is_empty(), "beyond superblocks: {strange:x?}");
        for at in places {
            assert_ne!(superblock(&origin, at).s_uuid, superblock(&clone, at).s_uuid, "its own id at {at}");
        }
        patch(format, &mut origin, superblock(&clone, 1024).s_uuid);
        assert!(origin == clone, "patched: {:x?}", differences(&origin, &clone));
    });
}

/// Where checksums hang on the UUID, metadata differs, and the clone is as clean as its origin.
#[test]
fn a_clone_whose_checksums_hang_on_the_id_is_clean() {
    const TEST: &str = "a_clone_whose_checksums_hang_on_the_id_is_clean";
    if !have(TEST, "e2fsck") {
        return;
    }
    for line in ["-t ext4", "-t ext4 -O orphan_file,ea_inode -b 1024", "-t ext4 -O ^metadata_csum,uninit_bg"]
    {
        let format = Format::of(line);
        assert!(depends(&format));
        let sample = make("attributes")(&format);
        let (origin, clone) = laid(&format, &sample);
        assert_patched(&sample, &origin, &clone);
        fsck(&kit::Image::write(&clone.poisoned(0xF5), &sample.contents).path, line);
        let (a, b) = (bytes_of(&origin, &sample.contents), bytes_of(&clone, &sample.contents));
        let different = differences(&a, &b);
        assert!(different.len() > superblocks(&format, &a).len(), "{line}: descriptors at least");
        // Nothing but a checksum and the id: never more bytes in one place than an id has.
        assert!(different.iter().all(|range| range.len() <= 16), "{line}");
    }
}
