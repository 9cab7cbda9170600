//! A new UUID for an image, as patches: what `tune2fs -U` does, and what laying the clone would have written.
//!
//! The UUID stands in the superblock and its copies. With metadata_csum and without metadata_csum_seed every checksum of
//! metadata starts from it, with uninit_bg those of the group descriptors, with ea_inode the hashes of values in inodes:
//! all of them are written again. With metadata_csum_seed the stored seed stays, so nothing but superblocks changes.
//!
//! Hash seed, journal (whose own UUID is not that of the file system), times and counts stay. CRC is linear: two sums over
//! the same bytes that started from different values differ by what follows from these and the length alone
//! ([`Change::shift`]). So what was wrong is as wrong afterwards, and damage does not disappear.

use super::disk::{
    BG_BLOCK_UNINIT, BG_INODE_UNINIT, DX_NODE_ENTRIES, DX_ROOT_ENTRIES, GOOD_OLD_INODE_SIZE, GroupDescriptor,
    Inode as Stored, SUPERBLOCK_OFFSET, Superblock, XATTR_MAGIC, XattrEntry, XattrHeader, checksum_seed,
    compat, crc16, crc32c, descriptor_checksum, incompat, inode_checksum, inode_flags, inode_seed,
    superblock_checksum, xattr_block_checksum,
};
use super::open::{
    Claim, Inode, Object, Scan, Volume, front, has_tail, is_node, name_of, named, per_block, scan,
};
use diskwright_formats::bytes::is_zero;
use diskwright_formats::fault::{Damage, Refusal, RefusalKind, ReidError, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Patch, ReadAt, What};
use std::mem::offset_of;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

/// Longest value of an attribute (`EXT4_XATTR_SIZE_MAX`); longer ones are damage where anything refers to them.
const VALUE_MAX: u64 = 1 << 24;
/// Inode tables are read in parts of this many bytes (or an inode, if that is longer).
const PART: usize = 256 << 10;

/// The patches that give the image the UUID of `identity`. Refused: what was not unmounted, what has its journal on
/// another device, and where keys hang on the UUID (stable_inodes).
pub(super) fn reid(image: &dyn ReadAt, identity: &Identity) -> Result<Vec<Patch>, ReidError> {
    let name = name_of(image);
    patches(image, identity).map_err(|error| match error {
        ReidError::Damage(damage) => named(damage, name).into(),
        ReidError::Refusal(refusal) => {
            Refusal { spot: Spot { format: name, ..refusal.spot }, ..refusal }.into()
        }
    })
}

fn patches(image: &dyn ReadAt, identity: &Identity) -> Result<Vec<Patch>, ReidError> {
    let mut found = front(image)?;
    refuse(&found.volume)?;
    let uuid = identity.uuid("uuid").into_bytes();
    if Change::new(&found.volume, uuid).is_deep() {
        found = scan(image)?;
    }
    let claims = found.sound_claims()?;
    let Scan { volume, groups, inodes, .. } = found;
    let mut change = Change::new(&volume, uuid);
    for claim in claims {
        match claim.of {
            Object::InodeTable(group) if change.is_deep() => {
                let count = groups[group as usize].inodes_to_read(&volume);
                change.inode_table(group, &claim, count)?;
            }
            _ => change.claim(&claim, &inodes)?,
        }
    }
    change.patches.sort_by_key(|patch| patch.start);
    Ok(change.patches)
}

fn refuse(volume: &Volume) -> Result<(), Refusal> {
    let refusal = |kind, reason: &str, hint: &str| {
        Err(Refusal::new(kind, Spot::new(super::NAME, "superblock"), reason).hint(hint))
    };
    if !volume.is_clean() {
        let reason = "it was not unmounted, or has a journal to recover: its UUID is not changed";
        return refusal(RefusalKind::Invalid, reason, "e2fsck -f on the image first");
    }
    if volume.compat(compat::HAS_JOURNAL) && volume.superblock.s_journal_inum.get() == 0 {
        let reason = "its journal is on another device, which knows it by its UUID";
        return refusal(RefusalKind::Unsupported, reason, "tune2fs -U with both devices at hand");
    }
    if volume.compat(compat::STABLE_INODES) {
        let reason = "stable_inodes: keys of encrypted files hang on its UUID";
        return refusal(RefusalKind::Unsupported, reason, "make the file system without stable_inodes");
    }
    Ok(())
}

/// A change of the UUID, and what comes of it so far.
struct Change<'a> {
    volume: &'a Volume<'a>,
    uuid: [u8; 16],
    /// What metadata checksums start from afterwards; before: `volume.seed`.
    seed: u32,
    patches: Vec<Patch>,
}

impl<'a> Change<'a> {
    fn new(volume: &'a Volume<'a>, uuid: [u8; 16]) -> Change<'a> {
        let seed = checksum_seed(&Superblock { s_uuid: uuid, ..volume.superblock.clone() });
        Change { volume, uuid, seed, patches: Vec::new() }
    }

    /// Whether more than superblocks and descriptors hang on the UUID.
    fn is_deep(&self) -> bool {
        let hangs = self.volume.has_checksums() || self.volume.incompat(incompat::EA_INODE);
        hangs && self.seed != self.volume.seed
    }

    /// By what a sum over `len` bytes changes that started from the seed.
    fn shift(&self, len: usize) -> u32 {
        const ZEROS: [u8; 4096] = [0; 4096];
        let start = self.seed ^ self.volume.seed;
        let whole = (0..len / ZEROS.len()).fold(start, |sum, _| crc32c(sum, &ZEROS));
        crc32c(whole, &ZEROS[..len % ZEROS.len()])
    }

    /// By what a sum over `len` bytes of an inode's own changes: they come behind its number and generation.
    fn inode_shift(&self, len: usize) -> u32 {
        self.shift(8 + len)
    }

    /// Everything but inode tables.
    fn claim(&mut self, claim: &Claim, inodes: &[Inode]) -> Result<(), Damage> {
        let (is_deep, has_checksums) = (self.is_deep(), self.volume.has_checksums());
        let start = self.volume.offset(claim.start);
        match claim.of {
            Object::Superblock => self.superblock(SUPERBLOCK_OFFSET, 0),
            Object::SuperblockBackup(group) => self.superblock(start, group),
            Object::Descriptors { copy, block } if self.volume.has_descriptor_checksums() => {
                self.each_block(claim, What::numbered(&"group descriptors", copy), |change, _, bytes| {
                    change.descriptors(block, bytes);
                })
            }
            Object::XattrBlock(_) if is_deep => {
                self.each_block(claim, What::new(&"attributes"), |change, block, bytes| {
                    change.xattr_block(block, bytes);
                })
            }
            Object::ExtentNode(_) if is_deep && has_checksums => {
                self.each_block(claim, What::new(&"extent tree"), |change, _, bytes| {
                    change.extent_node(bytes)
                })
            }
            Object::Directory { ino, block } if is_deep && has_checksums => {
                let at = inodes.binary_search_by_key(&ino, |inode| inode.ino);
                let is_indexed = at.is_ok_and(|at| inodes[at].flags & inode_flags::INDEX != 0);
                self.each_block(claim, What::new(&"directory"), |change, at, bytes| {
                    let is_root = block == 0 && at == claim.start;
                    change.directory(is_indexed, is_root, bytes);
                })
            }
            Object::OrphanFile(_) if is_deep && has_checksums => {
                // The block's own number comes between the inode's and the bytes.
                self.each_block(claim, What::new(&"orphan file"), |change, _, bytes| {
                    let len = bytes.len();
                    change.mend(bytes, len - 4, change.inode_shift(8 + len - 8));
                })
            }
            Object::Mmp if is_deep && has_checksums => {
                const CHECKSUM: usize = 1020;
                self.each_block(claim, What::new(&"mmp"), |change, _, bytes| {
                    change.mend(bytes, CHECKSUM, change.shift(CHECKSUM));
                })
            }
            _ => Ok(()),
        }
    }

    /// Hands each block of a claim to `edit`, with its number, and keeps what is changed.
    fn each_block(
        &mut self,
        claim: &Claim,
        what: What,
        edit: impl Fn(&Self, u64, &mut [u8]),
    ) -> Result<(), Damage> {
        for block in claim.start..claim.end() {
            let old = self.volume.read_block(block, claim.of)?;
            let mut new = old.clone();
            edit(self, block, &mut new);
            self.keep(self.volume.offset(block), &old, &new, what);
        }
        Ok(())
    }

    fn keep(&mut self, at: u64, old: &[u8], new: &[u8], what: What) {
        self.patches.extend(Patch::between(at, old, new, what));
    }

    /// Changes the checksum at byte `at`, if it is there.
    fn mend(&self, bytes: &mut [u8], at: usize, shift: u32) {
        if let Some(sum) = bytes.get_mut(at..at + 4) {
            let new = word(sum) ^ shift;
            sum.copy_from_slice(&new.to_le_bytes());
        }
    }

    fn superblock(&mut self, at: u64, group: u32) -> Result<(), Damage> {
        let of = if group == 0 { Object::Superblock } else { Object::SuperblockBackup(group) };
        let old = self.volume.read_at(at, size_of::<Superblock>(), of)?;
        let mut new = Superblock::read_from_bytes(&old).expect("1024 bytes were read");
        let wrong = new.s_checksum.get() ^ superblock_checksum(&new);
        new.s_uuid = self.uuid;
        if self.volume.has_checksums() {
            new.s_checksum = (superblock_checksum(&new) ^ wrong).into();
        }
        self.keep(at, &old, new.as_bytes(), What::numbered(&"superblock", group));
        Ok(())
    }

    /// Block `block` of a copy of the table.
    fn descriptors(&self, block: u32, bytes: &mut [u8]) {
        let first = block * per_block(self.volume);
        for (group, bytes) in
            (first..self.volume.groups).zip(bytes.chunks_exact_mut(self.volume.descriptor_size))
        {
            let before = self.descriptor_sum(&self.volume.superblock.s_uuid, self.volume.seed, group, bytes);
            if self.volume.has_checksums() {
                self.bitmap_sums(bytes);
            }
            let after = self.descriptor_sum(&self.uuid, self.seed, group, bytes);
            let [low, high] = (before ^ after).to_le_bytes();
            let at = offset_of!(GroupDescriptor, bg_checksum);
            (bytes[at], bytes[at + 1]) = (bytes[at] ^ low, bytes[at + 1] ^ high);
        }
    }

    fn descriptor_sum(&self, uuid: &[u8], seed: u32, group: u32, bytes: &[u8]) -> u16 {
        const AT: usize = offset_of!(GroupDescriptor, bg_checksum);
        if self.volume.has_checksums() {
            return descriptor_checksum(seed, group, bytes);
        }
        let head = crc16(crc16(!0, uuid), &group.to_le_bytes());
        crc16(crc16(head, &bytes[..AT]), &bytes[AT + 2..])
    }

    /// Sums of the bitmaps that there are; the high halves only in long descriptors.
    fn bitmap_sums(&self, bytes: &mut [u8]) {
        let flags = GroupDescriptor::read(bytes).bg_flags.get();
        let (blocks, inodes) = (self.volume.blocks_per_group as usize, self.volume.inodes_per_group as usize);
        let low_block = offset_of!(GroupDescriptor, bg_block_bitmap_csum_lo);
        let high_block = offset_of!(GroupDescriptor, bg_block_bitmap_csum_hi);
        let low_inode = offset_of!(GroupDescriptor, bg_inode_bitmap_csum_lo);
        let high_inode = offset_of!(GroupDescriptor, bg_inode_bitmap_csum_hi);
        for (uninit, bits, low, high) in [
            (BG_BLOCK_UNINIT, blocks, low_block, high_block),
            (BG_INODE_UNINIT, inodes, low_inode, high_inode),
        ] {
            if flags & uninit != 0 {
                continue;
            }
            let shift = self.shift(bits / 8).to_le_bytes();
            for (at, by) in [low, low + 1, high, high + 1].into_iter().zip(shift) {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= by;
                }
            }
        }
    }

    fn extent_node(&self, bytes: &mut [u8]) {
        let max = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
        let tail = 12 * (1 + max);
        self.mend(bytes, tail, self.inode_shift(tail));
    }

    fn directory(&self, is_indexed: bool, is_root: bool, bytes: &mut [u8]) {
        let entries = match is_indexed {
            true if is_root => DX_ROOT_ENTRIES,
            true if is_node(bytes) => DX_NODE_ENTRIES,
            _ if has_tail(bytes) => {
                let end = bytes.len() - 4;
                return self.mend(bytes, end, self.inode_shift(bytes.len() - 12));
            }
            _ => return,
        };
        let number = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let (limit, count) = (number(entries), number(entries + 2));
        // Summed up: the used entries, and the tail with its sum taken as zero.
        let shift = self.inode_shift(entries + count.min(limit) * 8 + 8);
        self.mend(bytes, entries + limit * 8 + 4, shift);
    }

    fn xattr_block(&self, block: u64, bytes: &mut [u8]) {
        const CHECKSUM: usize = offset_of!(XattrHeader, h_checksum);
        const HASH: usize = offset_of!(XattrHeader, h_hash);
        let before = xattr_block_checksum(self.volume.seed, block, bytes);
        let hash = self.far_entries(bytes, size_of::<XattrHeader>());
        // libext2fs leaves it 0.
        if word(&bytes[HASH..]) != 0 {
            bytes[HASH..HASH + 4].copy_from_slice(&hash.to_le_bytes());
        }
        if self.volume.has_checksums() {
            let after = xattr_block_checksum(self.seed, block, bytes);
            self.mend(bytes, CHECKSUM, before ^ after);
        }
    }

    /// Changes the hashes of entries whose value lies in an inode. Returns the hash of all entries.
    fn far_entries(&self, bytes: &mut [u8], first: usize) -> u32 {
        let (mut at, mut hash, mut has_zero) = (first, 0u32, false);
        while let Some((entry, _)) = bytes.get(at..).and_then(|rest| XattrEntry::read_from_prefix(rest).ok())
        {
            if entry.e_name_len == 0 && entry.e_name_index == 0 && entry.e_value_offs.get() == 0 {
                break;
            }
            if entry.e_value_inum.get() != 0 {
                let shift = self.shift(entry.e_value_size.get() as usize);
                self.mend(bytes, at + offset_of!(XattrEntry, e_hash), shift);
            }
            let own = word(&bytes[at + offset_of!(XattrEntry, e_hash)..]);
            has_zero |= own == 0;
            hash = hash.rotate_left(16) ^ own;
            at += size_of::<XattrEntry>() + usize::from(entry.e_name_len).next_multiple_of(4);
        }
        if has_zero { 0 } else { hash }
    }

    /// The first `count` inodes of a group: the others were never used.
    fn inode_table(&mut self, group: u32, claim: &Claim, count: u32) -> Result<(), Damage> {
        let size = self.volume.inode_size;
        let per_part = (PART / size).max(1) as u32;
        let what = What::numbered(&"inode table", group);
        for first in (0..count).step_by(per_part as usize) {
            let at = self.volume.offset(claim.start) + u64::from(first) * size as u64;
            let len = (count - first).min(per_part) as usize * size;
            let old = self.volume.read_at(at, len, claim.of)?;
            if is_zero(&old) {
                continue;
            }
            let mut new = old.clone();
            let first = group * self.volume.inodes_per_group + first + 1;
            for (ino, bytes) in (first..).zip(new.chunks_exact_mut(size)).filter(|(_, bytes)| !is_zero(bytes))
            {
                self.inode(ino, bytes);
            }
            self.keep(at, &old, &new, what);
        }
        Ok(())
    }

    fn inode(&self, ino: u32, bytes: &mut [u8]) {
        let stored = Stored::read(bytes);
        let generation = stored.i_generation.get();
        let before = inode_checksum(inode_seed(self.volume.seed, ino, generation), bytes);
        if self.volume.incompat(incompat::EA_INODE) {
            self.values(&stored, bytes);
        }
        if !self.volume.has_checksums() {
            return;
        }
        let after = inode_checksum(inode_seed(self.seed, ino, generation), bytes);
        let shift = (before ^ after).to_le_bytes();
        let low = offset_of!(Stored, i_checksum_lo);
        let high = offset_of!(Stored, i_checksum_hi);
        let has_high = bytes.len() > GOOD_OLD_INODE_SIZE && stored.i_extra_isize.get() >= 4;
        let places = [low, low + 1, high, high + 1].into_iter().take(if has_high { 4 } else { 2 });
        places.zip(shift).for_each(|(at, by)| bytes[at] ^= by);
    }

    /// The hash of the value that an inode holds, where others have the time of access; and those of values that
    /// its attributes refer to.
    fn values(&self, stored: &Stored, bytes: &mut [u8]) {
        if stored.i_flags.get() & inode_flags::EA_INODE != 0 {
            let len = stored.size().min(VALUE_MAX);
            self.mend(bytes, offset_of!(Stored, i_atime), self.shift(len as usize));
        }
        let extra = usize::from(stored.i_extra_isize.get());
        let start = GOOD_OLD_INODE_SIZE + extra;
        if bytes.get(start..start + 4).is_some_and(|magic| word(magic) == XATTR_MAGIC) {
            self.far_entries(bytes, start + 4);
        }
    }
}

/// The first word; 0 where there are fewer bytes.
fn word(bytes: &[u8]) -> u32 {
    U32::read_from_prefix(bytes).map_or(0, |(word, _)| word.get())
}
