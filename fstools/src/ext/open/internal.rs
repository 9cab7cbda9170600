//! Files of the file system itself: the journal, the orphan file; and the block of multiple mount protection.

use super::super::disk::{
    Inode as Stored, JOURNAL_MAGIC, JOURNAL_SUPERBLOCK_V2, JournalSuperblock, Superblock, compat, crc32c,
    incompat, ro_compat,
};
use super::inodes::{Inode, Shape};
use super::report::{Object, Report};
use super::volume::Volume;
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
    let (device, uuid) = (superblock.s_journal_dev.get(), superblock.s_journal_uuid);
    let is_elsewhere = has_journal && superblock.s_journal_inum.get() == 0;
    if !is_elsewhere && (device != 0 || uuid != [0; 16]) {
        let at = at!(1024, Superblock, s_journal_uuid);
        report.value(Object::Superblock, at, "no journal on another device", "one");
    }
    let number = superblock.s_journal_inum.get();
    if !has_journal && number != 0 {
        let at = at!(1024, Superblock, s_journal_inum);
        report.value(
            Object::Superblock,
            at,
            "no journal without has_journal",
            format_args!("inode {number}"),
        );
    }
    match find(number) {
        // A journal on another device cannot be seen from here.
        _ if !has_journal || is_elsewhere && (device != 0 || uuid != [0; 16]) => {}
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
    /// Revoke, 64bit, async_commit, csum_v2, csum_v3, fast_commit.
    const KNOWN: u32 = 0x3F;
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
    // With needs_recovery they were read as if they were in place.
    if journal.s_start.get() != 0 && !volume.incompat(incompat::RECOVER) {
        let found = format!("changes from block {} on that are not in place", journal.s_start);
        report.value(of, at!(at, JournalSuperblock, s_start), "an empty journal", found);
    }
    let strange = journal.s_feature_incompat.get() & !KNOWN;
    if kind == JOURNAL_SUPERBLOCK_V2 && strange != 0 {
        let at = at!(at, JournalSuperblock, s_feature_incompat);
        report.unsupported(of, at, format_args!("journal features {strange:#x}"));
    }
    check_hint(volume, inode, report);
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

/// The superblock keeps the journal's map, for when its inode is lost.
fn check_hint(volume: &Volume, inode: &Inode, report: &mut Report) {
    let superblock = &volume.superblock;
    if superblock.s_jnl_backup_type != 1 {
        return;
    }
    let stored = match volume.read_at(inode.at, volume.inode_size, Object::Inode(inode.ino)) {
        Ok(bytes) => Stored::read(&bytes),
        Err(damage) => return report.add(damage),
    };
    let hint = superblock.s_jnl_blocks.as_bytes();
    let journal = [&stored.i_block[..], stored.i_size_high.as_bytes(), stored.i_size_lo.as_bytes()].concat();
    if let Some(byte) = (0..journal.len()).find(|&byte| journal[byte] != hint[byte]) {
        let at = at!(1024, Superblock, s_jnl_blocks) + byte as u64;
        let expected = format!("the map of the journal's inode: {:#x}", journal[byte]);
        report.mismatch(Object::Superblock, at, expected, format_args!("{:#x}", hint[byte]));
    }
}

/// Each block: numbers of inodes that wait to be deleted or cut, then a magic number and a checksum.
fn check_orphans(volume: &Volume, inode: &Inode, report: &mut Report) {
    /// The kernel reads no more.
    const MOST: u64 = 512;
    let have: u64 = inode.runs.iter().filter(|run| run.written).map(|run| u64::from(run.len)).sum();
    let is_whole = have > 0 && have <= MOST && inode.size == have * volume.block_size as u64;
    if inode.shape != Shape::File || !is_whole {
        let found = format!("{:#o}, {} bytes in {have} blocks", inode.mode, inode.size);
        let expected = format!("a file of 1 to {MOST} blocks without holes");
        report.value(Object::Inode(inode.ino), inode.at, expected, found);
    }
    // A file that claims the same blocks over and over is read no longer than the image is.
    let mut left = volume.blocks_present();
    for run in inode.runs.iter().filter(|run| run.written) {
        for index in 0..run.len {
            if report.is_full() || left == 0 {
                return;
            }
            left -= 1;
            check_orphan_block(volume, inode, run.start + u64::from(index), run.block + index, report);
        }
    }
}

fn check_orphan_block(volume: &Volume, inode: &Inode, block: u64, index: u32, report: &mut Report) {
    const MAGIC: u32 = 0x0B10_CA04;
    let of = Object::OrphanFile(index);
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
    let words = numbers.chunks_exact(4).map(|word| U32::read_from_bytes(word).expect("4 bytes").get());
    for (at, ino) in (at..).step_by(4).zip(words).filter(|(_, ino)| *ino != 0) {
        if !(volume.first_ino..=volume.inodes()).contains(&ino) {
            report.value(of, at, "the number of an inode that is not reserved", ino);
        } else if !volume.ro_compat(ro_compat::ORPHAN_PRESENT) {
            let found = format!("inode {ino}");
            report.mismatch(of, at, "no orphaned inode without orphan_present", found);
        }
    }
    if volume.has_checksums() {
        let computed = crc32c(crc32c(inode.seed, block.as_bytes()), numbers);
        report.checksum(of, tail_at + 4, computed, sum);
    } else if sum != 0 {
        report.value(of, tail_at + 4, "no checksum without metadata_csum", format_args!("{sum:#x}"));
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
    if word(0) != MAGIC {
        report.value(of, at, format_args!("{MAGIC:#x}"), format_args!("{:#x}", word(0)));
    } else if word(4) != CLEAN {
        report.pending(format!(
            "mmp: sequence {:#x}: the file system is in use, or was not unmounted",
            word(4)
        ));
    }
    if volume.has_checksums() {
        let computed = crc32c(volume.seed, &bytes[..CHECKSUM]);
        report.checksum(of, at + CHECKSUM as u64, computed, word(CHECKSUM));
    }
}
