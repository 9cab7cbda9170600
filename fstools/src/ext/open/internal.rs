//! Files of the file system itself: the journal, the orphan file; and the block of multiple mount protection.

use super::super::disk::{
    JOURNAL_MAGIC, JOURNAL_SUPERBLOCK_V2, JournalSuperblock, Superblock, compat, crc32c, incompat,
};
use super::inodes::Inode;
use super::report::{Object, Report};
use super::volume::Volume;
use diskwright_formats::bytes::is_zero;
use std::mem::offset_of;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

macro_rules! at {
    ($base:expr, $of:ty, $field:ident) => {
        $base + offset_of!($of, $field) as u64
    };
}

/// Checks all of them.
pub(super) fn check(volume: &Volume, inodes: &[Inode], report: &mut Report) {
    let find = |ino: u32| inodes.iter().find(|inode| inode.ino == ino);
    let superblock = &volume.superblock;
    let has_journal = volume.compat(compat::HAS_JOURNAL);
    let number = superblock.s_journal_inum.get();
    match find(number) {
        // A journal on another device cannot be seen from here.
        _ if !has_journal || superblock.s_journal_dev.get() != 0 => {}
        Some(inode) => check_journal(volume, inode, report),
        None => {
            let at = at!(1024, Superblock, s_journal_inum);
            report.mismatch(Object::Superblock, at, "the inode of the journal", number);
        }
    }
    let number = superblock.s_orphan_file_inum.get();
    match find(number) {
        _ if !volume.compat(compat::ORPHAN_FILE) => {}
        Some(inode) => check_orphans(volume, inode, report),
        None => {
            let at = at!(1024, Superblock, s_orphan_file_inum);
            report.mismatch(Object::Superblock, at, "the inode of the orphan file", number);
        }
    }
    if volume.incompat(incompat::MMP) {
        check_mmp(volume, report);
    }
}

/// The block of multiple mount protection.
pub(super) fn mmp_block(volume: &Volume) -> u64 {
    let [low, high] = volume.superblock.s_mmp_block.map(|word| u64::from(word.get()));
    low | high << 32
}

fn check_journal(volume: &Volume, inode: &Inode, report: &mut Report) {
    const V1: u32 = 3;
    const CHECKSUMMED: u32 = 0x8 | 0x10;
    let Some(run) = inode.runs.first().filter(|run| run.block == 0) else {
        return report.value(Object::Inode(inode.ino), inode.at, "a journal with blocks", "none");
    };
    let (of, at) = (Object::Journal(0), volume.offset(run.start));
    let bytes = match volume.read_at(at, size_of::<JournalSuperblock>(), of) {
        Ok(bytes) => bytes,
        Err(damage) => return report.add(damage),
    };
    let journal = JournalSuperblock::ref_from_bytes(&bytes).expect("1024 bytes were read");
    let (magic, kind) = (journal.h_magic.get(), journal.h_blocktype.get());
    if magic != JOURNAL_MAGIC || !(V1..=JOURNAL_SUPERBLOCK_V2).contains(&kind) {
        let expected = format!("a journal superblock: {JOURNAL_MAGIC:#x}, type 4");
        return report.value(of, at, expected, format_args!("{magic:#x}, type {kind}"));
    }
    let size = journal.s_blocksize.get();
    if size as usize != volume.block_size {
        report.mismatch(of, at!(at, JournalSuperblock, s_blocksize), volume.block_size, size);
    }
    let have = inode.runs.iter().map(|run| u64::from(run.len)).sum::<u64>();
    let len = journal.s_maxlen.get();
    if u64::from(len) != have || inode.size != have * volume.block_size as u64 {
        let expected = format!("the blocks of the journal: {have}");
        report.mismatch(of, at!(at, JournalSuperblock, s_maxlen), expected, len);
    }
    let first = journal.s_first.get();
    if first == 0 || first >= len {
        report.value(of, at!(at, JournalSuperblock, s_first), "a block within the journal", first);
    }
    if journal.s_start.get() != 0 {
        let found = format!("changes from block {} on that are not in place", journal.s_start);
        report.value(of, at!(at, JournalSuperblock, s_start), "an empty journal", found);
    }
    if journal.s_errno.get() != 0 {
        report.value(of, at!(at, JournalSuperblock, s_errno), "no error", journal.s_errno);
    }
    if kind == JOURNAL_SUPERBLOCK_V2 && journal.s_feature_incompat.get() & CHECKSUMMED != 0 {
        const FIELD: usize = offset_of!(JournalSuperblock, s_checksum);
        let start = crc32c(crc32c(!0, &bytes[..FIELD]), &[0; 4]);
        let computed = crc32c(start, &bytes[FIELD + 4..]);
        report.checksum(of, at + FIELD as u64, computed, journal.s_checksum.get());
    }
}

/// Each block: inode numbers, then a magic number and a checksum.
fn check_orphans(volume: &Volume, inode: &Inode, report: &mut Report) {
    const MAGIC: u32 = 0x0B10_CA04;
    // A file that claims the same blocks over and over is read no longer than the image is.
    let mut left = volume.blocks_present();
    for run in inode.runs.iter().filter(|run| run.written) {
        for index in 0..run.len {
            if report.is_full() || left == 0 {
                return;
            }
            left -= 1;
            let (block, of) = (run.start + u64::from(index), Object::OrphanFile(run.block + index));
            let bytes = match volume.read_block(block, of) {
                Ok(bytes) => bytes,
                Err(damage) => return report.add(damage),
            };
            let at = volume.offset(block);
            let (numbers, tail) = bytes.split_at(bytes.len() - 8);
            let tail_at = at + numbers.len() as u64;
            let [magic, sum] = <[U32; 2]>::read_from_bytes(tail).expect("8 bytes").map(|word| word.get());
            if magic != MAGIC {
                report.value(of, tail_at, format_args!("{MAGIC:#x}"), format_args!("{magic:#x}"));
            }
            if !is_zero(numbers) {
                report.value(of, at, "no orphaned inodes", "some");
            }
            if volume.has_checksums() {
                let computed = crc32c(crc32c(inode.seed, block.as_bytes()), numbers);
                report.checksum(of, tail_at + 4, computed, sum);
            }
        }
    }
}

fn check_mmp(volume: &Volume, report: &mut Report) {
    const MAGIC: u32 = 0x004D_4D50;
    const CLEAN: u32 = 0xFF4D_4D50;
    const CHECKSUM: usize = 1020;
    let block = mmp_block(volume);
    if !volume.holds(block, 1) {
        let at = at!(1024, Superblock, s_mmp_block);
        return report.value(Object::Superblock, at, format_args!("a block below {}", volume.blocks), block);
    }
    let (of, at) = (Object::Mmp, volume.offset(block));
    let bytes = match volume.read_at(at, 1024, of) {
        Ok(bytes) => bytes,
        Err(damage) => return report.add(damage),
    };
    let word = |at: usize| U32::read_from_prefix(&bytes[at..]).map_or(0, |(word, _)| word.get());
    if word(0) != MAGIC || word(4) != CLEAN {
        let expected = format!("{MAGIC:#x} and a clean sequence {CLEAN:#x}");
        report.value(of, at, expected, format_args!("{:#x}, {:#x}", word(0), word(4)));
    }
    if volume.has_checksums() {
        let computed = crc32c(volume.seed, &bytes[..CHECKSUM]);
        report.checksum(of, at + CHECKSUM as u64, computed, word(CHECKSUM));
    }
}
