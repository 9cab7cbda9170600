//! What waits for the next mount: a journal to replay, inodes to delete or to cut. A file system that was not unmounted is
//! not damaged by that. It is read as it will be when the journal (JBD2; kernel documentation, "Journal (jbd2)", and
//! `fs/jbd2/recovery.c`) is in place.

use super::super::disk::{
    GroupDescriptor, Inode as Stored, JOURNAL_MAGIC, JOURNAL_SUPERBLOCK_V2, JournalSuperblock, compat,
    crc32c, incompat, inode_flags, inode_seed, ro_compat,
};
use super::blocks::{Of, Run, block_map, extents};
use super::claims::Claims;
use super::groups::{per_block, primary};
use super::report::{Object, Report};
use super::volume::Volume;
use diskwright_formats::layout::ReadAt;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use zerocopy::FromBytes;
use zerocopy::big_endian::{U16, U32, U64};

/// Features of the journal (`s_feature_incompat`).
mod features {
    pub(super) const BIT64: u32 = 0x2;
    pub(super) const CSUM_V2: u32 = 0x8;
    pub(super) const CSUM_V3: u32 = 0x10;
    pub(super) const FAST_COMMIT: u32 = 0x20;
    /// And revoke, async_commit.
    pub(super) const KNOWN: u32 = 0x3F;
}

/// `h_blocktype`.
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const SUPERBLOCK_V1: u32 = 3;
const REVOKE: u32 = 5;
/// Head of every block of the journal: magic, type, sequence.
const HEAD: usize = 12;
/// Flags of a tag.
const ESCAPED: u32 = 1;
const SAME_UUID: u32 = 2;
const LAST: u32 = 8;
/// Most inodes that are named.
const MOST_NAMED: usize = 10;

/// An image as it is when its journal was replayed.
pub(in crate::ext) struct Replayed<'a> {
    image: &'a dyn ReadAt,
    block_size: u64,
    /// Block of the file system to the block of the journal that replaces it, and whether its first word is the magic number
    /// of the journal, which the journal does not keep.
    moved: BTreeMap<u64, (u64, bool)>,
    has_fast_commits: bool,
}

impl Replayed<'_> {
    /// The blocks that have other contents than in the image.
    pub(super) fn moved(&self) -> impl Iterator<Item = u64> {
        self.moved.keys().copied()
    }

    /// What it is, in words.
    pub(super) fn describe(&self) -> String {
        let fast = if self.has_fast_commits { "; fast commits are not" } else { "" };
        let count = self.moved.len();
        format!(
            "needs_recovery: {count} blocks are read from the journal, where they wait to be put in place{fast}"
        )
    }
}

impl ReadAt for Replayed<'_> {
    fn len(&self) -> u64 {
        self.image.len()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.image.read_exact_at(offset, buffer)?;
        let end = offset + buffer.len() as u64;
        let size = self.block_size;
        for (&block, &(from, is_escaped)) in self.moved.range(offset / size..end.div_ceil(size)) {
            let mut bytes = vec![0; size as usize];
            self.image.read_exact_at(from * size, &mut bytes)?;
            if is_escaped {
                bytes[..4].copy_from_slice(&JOURNAL_MAGIC.to_be_bytes());
            }
            let start = block * size;
            let (first, last) = (start.max(offset), (start + size).min(end));
            buffer[(first - offset) as usize..(last - offset) as usize]
                .copy_from_slice(&bytes[(first - start) as usize..(last - start) as usize]);
        }
        Ok(())
    }
}

/// The image with its journal in place; `None` where there is nothing to replay, or no way to.
pub(in crate::ext) fn replay(image: &dyn ReadAt) -> Option<Replayed<'_>> {
    let volume = Volume::read(image, &mut Report::new(image.len())).ok()?;
    let needs = volume.compat(compat::HAS_JOURNAL) && volume.incompat(incompat::RECOVER);
    if !needs || volume.superblock.s_journal_dev.get() != 0 {
        return None;
    }
    let runs = runs_of(&volume, volume.superblock.s_journal_inum.get())?.1;
    Log::open(&volume, runs)?.replay(image)
}

/// The inodes that wait to be deleted or cut: in a list that the superblock starts, or in the orphan file.
pub(super) fn orphans(volume: &Volume, report: &mut Report) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    let mut next = volume.superblock.s_last_orphan.get();
    // Each names the next where others have the time of their deletion.
    while (volume.first_ino..=volume.inodes()).contains(&next) && all.insert(next) {
        next = stored(volume, next).map_or(0, |(stored, _)| stored.i_dtime.get());
    }
    if volume.compat(compat::ORPHAN_FILE) && volume.ro_compat(ro_compat::ORPHAN_PRESENT) {
        let runs = runs_of(volume, volume.superblock.s_orphan_file_inum.get());
        for run in runs.map(|(_, runs)| runs).unwrap_or_default() {
            for block in run.start..run.start + u64::from(run.len) {
                let Ok(bytes) = volume.read_block(block, Object::OrphanFile(0)) else { break };
                let numbers = bytes[..bytes.len() - 8].chunks_exact(4);
                let numbers = numbers.map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes")));
                all.extend(numbers.filter(|ino| (volume.first_ino..=volume.inodes()).contains(ino)));
            }
        }
    }
    if !all.is_empty() {
        let named: Vec<String> = all.iter().take(MOST_NAMED).map(u32::to_string).collect();
        let more = if all.len() > MOST_NAMED { " and others" } else { "" };
        report.pending(format!("orphans: inodes {}{more} wait to be deleted or cut", named.join(", ")));
    }
    all
}

/// An inode, before all are read.
fn stored(volume: &Volume, ino: u32) -> Option<(Stored, u64)> {
    let group = ino.checked_sub(1)? / volume.inodes_per_group;
    if group >= volume.groups {
        return None;
    }
    let size = volume.descriptor_size as u64;
    let block = primary(volume, group / per_block(volume));
    let at = volume.offset(block) + u64::from(group % per_block(volume)) * size;
    let bytes = volume.read_at(at, volume.descriptor_size, Object::Descriptor(group)).ok()?;
    let table = GroupDescriptor::read(&bytes).inode_table();
    if !volume.holds(table, volume.table_blocks()) {
        return None;
    }
    let index = u64::from((ino - 1) % volume.inodes_per_group);
    let at = volume.offset(table) + index * volume.inode_size as u64;
    let bytes = volume.read_at(at, volume.inode_size, Object::Inode(ino)).ok()?;
    Some((Stored::read(&bytes), at))
}

/// An inode and its blocks, before all are read; what is wrong with them is said then. No more blocks than the image has.
fn runs_of(volume: &Volume, ino: u32) -> Option<(Stored, Vec<Run>)> {
    let (stored, at) = stored(volume, ino)?;
    let seed = inode_seed(volume.seed, ino, stored.i_generation.get());
    let of = Of { volume, ino, seed, at };
    let (mut claims, mut report) = (Claims::default(), Report::new(volume.image_len()));
    let map = match stored.i_flags.get() & inode_flags::EXTENTS {
        0 => block_map(&of, &stored.i_block, &mut claims, &mut report),
        _ => extents(&of, &stored.i_block, &mut claims, &mut report),
    };
    let mut left = volume.blocks_present();
    let mut runs = Vec::new();
    for mut run in map.runs.into_iter().filter(|run| run.written) {
        run.len = u64::from(run.len).min(left) as u32;
        left -= u64::from(run.len);
        if run.len > 0 {
            runs.push(run);
        }
    }
    Some((stored, runs))
}

/// A journal that is read from `start` on, around its end.
struct Log<'a> {
    volume: &'a Volume<'a>,
    runs: Vec<Run>,
    features: u32,
    seed: u32,
    first: u32,
    end: u32,
    start: u32,
    sequence: u32,
}

/// A block of a transaction.
enum Part {
    /// Blocks that follow, each for this block of the file system; whether it is escaped.
    Data(Vec<(u64, bool)>),
    Revoked(Vec<u64>),
    Commit,
}

impl<'a> Log<'a> {
    fn open(volume: &'a Volume<'a>, runs: Vec<Run>) -> Option<Log<'a>> {
        let at = volume.offset(runs.first().filter(|run| run.block == 0)?.start);
        let bytes = volume.read_at(at, size_of::<JournalSuperblock>(), Object::Journal(0)).ok()?;
        let it = JournalSuperblock::read_from_bytes(&bytes).ok()?;
        let kind = it.h_blocktype.get();
        let features = if kind == JOURNAL_SUPERBLOCK_V2 { it.s_feature_incompat.get() } else { 0 };
        let have: u64 = runs.iter().map(|run| u64::from(run.len)).sum();
        let fast = if features & features::FAST_COMMIT != 0 { it.s_num_fc_blks.get() } else { 0 };
        let end = it.s_maxlen.get().checked_sub(fast)?;
        let (first, start) = (it.s_first.get(), it.s_start.get());
        let fits = it.h_magic.get() == JOURNAL_MAGIC
            && (SUPERBLOCK_V1..=JOURNAL_SUPERBLOCK_V2).contains(&kind)
            && it.s_blocksize.get() as usize == volume.block_size
            && features & !features::KNOWN == 0
            && u64::from(it.s_maxlen.get()) <= have
            && 0 < first
            && (first..end).contains(&start);
        let (seed, sequence) = (crc32c(!0, &it.s_uuid), it.s_sequence.get());
        fits.then_some(Log { volume, runs, features, seed, first, end, start, sequence })
    }

    /// What committed transactions leave.
    fn replay<'b>(self, image: &'b dyn ReadAt) -> Option<Replayed<'b>> {
        let mut moved = BTreeMap::new();
        let (mut sequence, mut at) = (self.sequence, self.start);
        // Each block is looked at once.
        let mut left = self.end - self.first;
        let (mut written, mut revoked) = (Vec::new(), BTreeSet::new());
        'log: while let Some(part) = self.part(at, sequence).filter(|_| left > 0) {
            (at, left) = (self.next(at), left - 1);
            match part {
                Part::Data(blocks) => {
                    for (block, is_escaped) in blocks {
                        let Some(from) = self.place(at).filter(|_| left > 0) else { break 'log };
                        (at, left) = (self.next(at), left - 1);
                        written.push((block, (from, is_escaped)));
                    }
                }
                Part::Revoked(blocks) => revoked.extend(blocks),
                // What a transaction revokes is not replayed from it or an earlier one: it would undo what was written since.
                Part::Commit => {
                    moved.extend(written.drain(..));
                    moved.retain(|block, _| !revoked.contains(block));
                    revoked.clear();
                    sequence = sequence.wrapping_add(1);
                }
            }
        }
        moved.retain(|&block, _| block < self.volume.blocks);
        let has_fast_commits = self.features & features::FAST_COMMIT != 0;
        Some(Replayed { image, block_size: self.volume.block_size as u64, moved, has_fast_commits })
    }

    fn next(&self, at: u32) -> u32 {
        if at + 1 == self.end { self.first } else { at + 1 }
    }

    /// Where a block of the journal lies.
    fn place(&self, block: u32) -> Option<u64> {
        let after = self.runs.partition_point(|run| run.block <= block);
        let run = self.runs[..after].last().filter(|run| run.end() > block.into())?;
        Some(run.start + u64::from(block - run.block))
    }

    /// The block at `at`, if it belongs to the transaction `sequence`.
    fn part(&self, at: u32, sequence: u32) -> Option<Part> {
        let bytes = self.volume.read_block(self.place(at)?, Object::Journal(at)).ok()?;
        let [magic, kind, number] = [0, 4, 8].map(|at| word(&bytes, at));
        if magic != JOURNAL_MAGIC || number != sequence || !self.is_sound(&bytes, kind) {
            return None;
        }
        match kind {
            DESCRIPTOR => Some(Part::Data(self.tags(&bytes))),
            REVOKE => Some(Part::Revoked(self.revoked(&bytes))),
            COMMIT => Some(Part::Commit),
            _ => None,
        }
    }

    /// Whether the checksum of a block matches; in a commit it stands behind four bytes, in others at the end.
    fn is_sound(&self, bytes: &[u8], kind: u32) -> bool {
        if self.features & (features::CSUM_V2 | features::CSUM_V3) == 0 {
            return true;
        }
        let at = if kind == COMMIT { HEAD + 4 } else { bytes.len() - 4 };
        let start = crc32c(crc32c(self.seed, &bytes[..at]), &[0; 4]);
        crc32c(start, &bytes[at + 4..]) == word(bytes, at)
    }

    /// The blocks whose contents follow a descriptor.
    fn tags(&self, bytes: &[u8]) -> Vec<(u64, bool)> {
        let has = |feature: u32| self.features & feature != 0;
        let tail = if has(features::CSUM_V2 | features::CSUM_V3) { 4 } else { 0 };
        let is_wide = has(features::BIT64);
        let len = match has(features::CSUM_V3) {
            true => 16,
            false => 8 + if is_wide { 4 } else { 0 } + if has(features::CSUM_V2) { 2 } else { 0 },
        };
        let mut blocks = Vec::new();
        let mut at = HEAD;
        while at + len + tail <= bytes.len() {
            let (flags, high) = match has(features::CSUM_V3) {
                true => (word(bytes, at + 4), word(bytes, at + 8)),
                false => (half(bytes, at + 6), if is_wide { word(bytes, at + 8) } else { 0 }),
            };
            let high = if is_wide { high } else { 0 };
            blocks.push((u64::from(high) << 32 | u64::from(word(bytes, at)), flags & ESCAPED != 0));
            at += len + if flags & SAME_UUID == 0 { 16 } else { 0 };
            if flags & LAST != 0 {
                break;
            }
        }
        blocks
    }

    fn revoked(&self, bytes: &[u8]) -> Vec<u64> {
        let end = (word(bytes, HEAD) as usize).min(bytes.len());
        let numbers = bytes.get(HEAD + 4..end).unwrap_or_default();
        match self.features & features::BIT64 {
            0 => numbers.chunks_exact(4).map(|number| word(number, 0).into()).collect(),
            _ => {
                numbers.chunks_exact(8).filter_map(|it| Some(U64::read_from_bytes(it).ok()?.get())).collect()
            }
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| U32::read_from_prefix(bytes).ok()).map_or(0, |(word, _)| word.get())
}

fn half(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(|bytes| U16::read_from_prefix(bytes).ok())
        .map_or(0, |(half, _)| half.get().into())
}
