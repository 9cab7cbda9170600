//! Group descriptors, and all copies of them and of the superblock.

use super::super::disk::{
    BG_BLOCK_UNINIT, BG_INODE_UNINIT, GroupDescriptor, Superblock, compat, descriptor_checksum, incompat,
    ro_compat, superblock_checksum,
};
use super::claims::Claims;
use super::report::{Object, Report};
use super::volume::Volume;
use diskwright_formats::fault::Damage;
use std::mem::offset_of;
use zerocopy::{FromBytes, IntoBytes};

/// A group as its descriptor says it is.
#[derive(Clone, Debug)]
pub(in crate::ext) struct Group {
    /// The descriptor that counts.
    pub(in crate::ext) descriptor: GroupDescriptor,
    /// Its byte position.
    pub(in crate::ext) at: u64,
    /// Block of the block bitmap, if it lies where one may lie and nothing else does.
    pub(super) block_bitmap: Option<u64>,
    /// Block of the inode bitmap, likewise.
    pub(super) inode_bitmap: Option<u64>,
    /// First block of the inode table, likewise.
    pub(super) inode_table: Option<u64>,
}

impl Group {
    /// Whether a flag is set, where flags count at all.
    pub(super) fn has(&self, flag: u16, volume: &Volume) -> bool {
        volume.has_descriptor_checksums() && self.descriptor.bg_flags.get() & flag != 0
    }

    /// How many inodes of the table may be in use: the rest was never used.
    pub(in crate::ext) fn inodes_to_read(&self, volume: &Volume) -> u32 {
        if !volume.has_descriptor_checksums() {
            return volume.inodes_per_group;
        }
        if self.has(BG_INODE_UNINIT, volume) {
            return 0;
        }
        volume.inodes_per_group.saturating_sub(self.descriptor.itable_unused())
    }
}

/// Reads the descriptors of all groups and claims what they and the copies of the superblock occupy. Groups whose
/// descriptors cannot be read are left out.
pub(super) fn read(volume: &Volume, claims: &mut Claims, report: &mut Report) -> Result<Vec<Group>, Damage> {
    let mut groups = Vec::new();
    let per_block = per_block(volume);
    for block in 0..table_blocks(volume) {
        let bytes = match volume.read_block(primary(volume, block), Object::Descriptors { copy: 0, block }) {
            Ok(bytes) => bytes,
            Err(damage) if groups.is_empty() => return Err(damage),
            Err(damage) => {
                report.add(damage);
                break;
            }
        };
        let first = block * per_block;
        let left = (volume.groups - first).min(per_block);
        for (group, bytes) in (first..first + left).zip(bytes.chunks_exact(volume.descriptor_size)) {
            let at = volume.offset(primary(volume, block)) + u64::from(group - first) * bytes.len() as u64;
            groups.push(check_descriptor(volume, group, bytes, at, claims, report));
        }
    }
    for group in 0..groups.len() as u32 {
        claim_copies(volume, group, claims);
    }
    drop_contested(&mut groups, claims);
    Ok(groups)
}

/// Compares all copies of superblock and descriptors with the ones that count.
pub(super) fn check_backups(volume: &Volume, groups: &[Group], report: &mut Report) {
    for group in 0..groups.len() as u32 {
        if report.is_full() {
            return;
        }
        if group > 0 && volume.has_super(group) {
            check_superblock_backup(volume, group, report);
        }
        for block in copies_in(volume, group) {
            check_descriptors_backup(volume, groups, group, block, report);
        }
    }
}

/// Descriptors in a block.
pub(in crate::ext) fn per_block(volume: &Volume) -> u32 {
    (volume.block_size / volume.descriptor_size) as u32
}

/// Blocks of the descriptor table.
fn table_blocks(volume: &Volume) -> u32 {
    volume.groups.div_ceil(per_block(volume))
}

/// Blocks of the table that follow each superblock; those behind them lie in their own groups (meta_bg).
fn together(volume: &Volume) -> u32 {
    match volume.incompat(incompat::META_BG) {
        true => volume.superblock.s_first_meta_bg.get().min(table_blocks(volume)),
        false => table_blocks(volume),
    }
}

/// Where the table's block that counts lies.
pub(in crate::ext) fn primary(volume: &Volume, block: u32) -> u64 {
    match block < together(volume) {
        true => volume.first_block + 1 + u64::from(block),
        false => in_group(volume, block * per_block(volume)),
    }
}

/// Where a group holds a descriptor block of its own (meta_bg): behind the superblock if it has one.
fn in_group(volume: &Volume, group: u32) -> u64 {
    volume.group_blocks(group).start + u64::from(volume.has_super(group))
}

/// The blocks of the table that a group holds: number in the table and place.
fn held(volume: &Volume, group: u32) -> Vec<(u32, u64)> {
    let per_block = per_block(volume);
    let (metagroup, place) = (group / per_block, group % per_block);
    if volume.incompat(incompat::META_BG) && metagroup >= volume.superblock.s_first_meta_bg.get() {
        let holds = place <= 1 || place == per_block - 1;
        return if holds { vec![(metagroup, in_group(volume, group))] } else { vec![] };
    }
    if !volume.has_super(group) {
        return vec![];
    }
    let range = volume.group_blocks(group);
    // What a group cannot hold, or a cut image does not have, is left out: the table may claim to be of any length.
    let room = range.end.min(volume.blocks_present()).saturating_sub(range.start + 1);
    let count = room.min(together(volume).into()) as u32;
    (0..count).map(|block| (block, range.start + 1 + u64::from(block))).collect()
}

/// The blocks of the table that a group holds as a copy.
fn copies_in(volume: &Volume, group: u32) -> Vec<(u32, u64)> {
    let counts = |&(block, place): &(u32, u64)| place != primary(volume, block);
    held(volume, group).into_iter().filter(counts).collect()
}

/// Blocks of a group that are taken by superblock, descriptors and reserved descriptors: always from its start.
pub(super) fn front_blocks(volume: &Volume, group: u32) -> u64 {
    let held = held(volume, group).len() as u64;
    u64::from(volume.has_super(group)) + held + reserved(volume, group)
}

/// Reserved descriptor blocks in a group.
fn reserved(volume: &Volume, group: u32) -> u64 {
    let reserved = volume.superblock.s_reserved_gdt_blocks.get();
    let kept = volume.has_super(group) && !volume.incompat(incompat::META_BG);
    if kept && volume.compat(compat::RESIZE_INODE) { reserved.into() } else { 0 }
}

fn claim_copies(volume: &Volume, group: u32, claims: &mut Claims) {
    let range = volume.group_blocks(group);
    let mut claim = |start: u64, len: u64, of: Object| {
        let len = len.min(range.end.saturating_sub(start));
        if len > 0 {
            claims.add(start, len, of);
        }
    };
    if volume.has_super(group) {
        let of = if group == 0 { Object::Superblock } else { Object::SuperblockBackup(group) };
        claim(range.start, 1, of);
    }
    let held = held(volume, group);
    for &(block, place) in &held {
        claim(place, 1, Object::Descriptors { copy: group, block });
    }
    if let Some(&(_, last)) = held.last() {
        claim(last + 1, reserved(volume, group), Object::ReservedDescriptors(group));
    }
}

macro_rules! field {
    ($at:expr, $field:ident) => {
        $at + offset_of!(GroupDescriptor, $field) as u64
    };
}

fn check_descriptor(
    volume: &Volume,
    group: u32,
    bytes: &[u8],
    at: u64,
    claims: &mut Claims,
    report: &mut Report,
) -> Group {
    let descriptor = GroupDescriptor::read(bytes);
    let of = Object::Descriptor(group);
    if volume.has_descriptor_checksums() {
        let stored = descriptor.bg_checksum.get().into();
        report.checksum(of, field!(at, bg_checksum), checksum(volume, group, bytes).into(), stored);
    } else if descriptor.bg_flags.get() & (BG_INODE_UNINIT | BG_BLOCK_UNINIT) != 0 {
        report.value(of, field!(at, bg_flags), "everything initialised without checksums", "UNINIT flags");
    } else if descriptor.itable_unused() != 0 {
        let (at, found) = (field!(at, bg_itable_unused_lo), descriptor.itable_unused());
        report.value(of, at, "no unused inodes without checksums", found);
    }
    let last = group + 1 == volume.groups && group > 0;
    if last && volume.has_descriptor_checksums() && descriptor.bg_flags.get() & BG_BLOCK_UNINIT != 0 {
        let found = "BLOCK_UNINIT";
        report.value(of, field!(at, bg_flags), "an initialised block bitmap in the last group", found);
    }
    if volume.has_descriptor_checksums() && descriptor.itable_unused() > volume.inodes_per_group {
        let expected = format!("at most {} inodes", volume.inodes_per_group);
        report.value(of, field!(at, bg_itable_unused_lo), expected, descriptor.itable_unused());
    }
    let home = match volume.incompat(incompat::FLEX_BG) {
        true => volume.first_block..volume.blocks,
        false => volume.group_blocks(group),
    };
    let mut place = |start: u64, len: u64, at: u64, structure: Object| {
        let end = start.checked_add(len).filter(|&end| start >= home.start && end <= home.end);
        if end.is_none() {
            let expected = format!("{len} blocks within blocks {} to {}", home.start, home.end - 1);
            report.value(of, at, expected, format_args!("block {start}"));
            return None;
        }
        claims.add(start, len, structure);
        Some(start)
    };
    let at_table = field!(at, bg_inode_table_lo);
    Group {
        block_bitmap: place(
            descriptor.block_bitmap(),
            1,
            field!(at, bg_block_bitmap_lo),
            Object::BlockBitmap(group),
        ),
        inode_bitmap: place(
            descriptor.inode_bitmap(),
            1,
            field!(at, bg_inode_bitmap_lo),
            Object::InodeBitmap(group),
        ),
        inode_table: place(
            descriptor.inode_table(),
            volume.table_blocks(),
            at_table,
            Object::InodeTable(group),
        ),
        descriptor,
        at,
    }
}

/// What overlaps something else is reported with all claims later, and not read.
fn drop_contested(groups: &mut [Group], claims: &mut Claims) {
    let contested = claims.contested(|_| true);
    if contested.is_empty() {
        return;
    }
    for (number, group) in (0..).zip(groups) {
        let keep = |of: Object| !contested.contains(&of);
        group.block_bitmap = group.block_bitmap.filter(|_| keep(Object::BlockBitmap(number)));
        group.inode_bitmap = group.inode_bitmap.filter(|_| keep(Object::InodeBitmap(number)));
        group.inode_table = group.inode_table.filter(|_| keep(Object::InodeTable(number)));
    }
}

fn checksum(volume: &Volume, group: u32, bytes: &[u8]) -> u16 {
    if volume.has_checksums() {
        return descriptor_checksum(volume.seed, group, bytes);
    }
    const AT: usize = offset_of!(GroupDescriptor, bg_checksum);
    let start = crc16(crc16(!0, &volume.superblock.s_uuid), &group.to_le_bytes());
    let start = crc16(start, &bytes[..AT]);
    crc16(start, &bytes[AT + 2..])
}

/// CRC-16 with the polynomial 0x8005, reflected, as `uninit_bg` uses it.
fn crc16(start: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(start, |sum, &byte| {
        (0..8).fold(sum ^ u16::from(byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xA001 } else { 0 })
    })
}

/// A field of the superblock that all copies share: name, offset, length, bits that may differ in the first word.
type Shared = (&'static str, usize, usize, u32);

macro_rules! shared {
    ($($field:ident: $len:literal $(except $mask:expr)?),* $(,)?) => {
        &[$((stringify!($field), offset_of!(Superblock, $field), $len, 0 $(| $mask)?)),*]
    };
}

/// Features that a running kernel sets in the primary superblock alone are excepted.
const SHARED: &[Shared] = shared![
    s_inodes_count: 4,
    s_blocks_count_lo: 4,
    s_first_data_block: 4,
    s_log_block_size: 4,
    s_log_cluster_size: 4,
    s_blocks_per_group: 4,
    s_clusters_per_group: 4,
    s_inodes_per_group: 4,
    s_magic: 2,
    s_rev_level: 4,
    s_first_ino: 4,
    s_inode_size: 2,
    s_feature_compat: 4,
    s_feature_incompat: 4 except incompat::RECOVER | incompat::EXTENTS,
    s_feature_ro_compat: 4 except ro_compat::LARGE_FILE | ro_compat::HUGE_FILE | ro_compat::DIR_NLINK
        | ro_compat::ORPHAN_PRESENT,
    s_uuid: 16,
    s_volume_name: 16,
    s_reserved_gdt_blocks: 2,
    s_journal_inum: 4,
    s_hash_seed: 16,
    s_desc_size: 2,
    s_first_meta_bg: 4,
    s_blocks_count_hi: 4,
    s_log_groups_per_flex: 1,
    s_backup_bgs: 8,
    s_checksum_seed: 4,
];

fn check_superblock_backup(volume: &Volume, group: u32, report: &mut Report) {
    let of = Object::SuperblockBackup(group);
    let at = volume.offset(volume.group_blocks(group).start);
    let bytes = match volume.read_at(at, size_of::<Superblock>(), of) {
        Ok(bytes) => bytes,
        Err(damage) => return report.add(damage),
    };
    let backup = Superblock::ref_from_bytes(&bytes).expect("1024 bytes were read");
    if volume.has_checksums() {
        let at = at + offset_of!(Superblock, s_checksum) as u64;
        report.checksum(of, at, superblock_checksum(backup), backup.s_checksum.get());
    }
    let primary = volume.superblock.as_bytes();
    for &(name, start, len, except) in SHARED {
        let except = except.to_le_bytes();
        let same = (0..len).find(|&i| {
            let free = if i < 4 { except[i] } else { 0 };
            (primary[start + i] ^ bytes[start + i]) & !free != 0
        });
        if let Some(i) = same {
            let text = |bytes: &[u8]| format!("{name} {:02x?}", &bytes[start..start + len]);
            report.mismatch(of, at + (start + i) as u64, text(primary), text(&bytes));
        }
    }
    // Revision 0 has no such field.
    let number = backup.s_block_group_nr.get();
    if volume.superblock.s_rev_level.get() > 0 && u32::from(number) != group & 0xFFFF {
        let at = at + offset_of!(Superblock, s_block_group_nr) as u64;
        report.value(of, at, format_args!("group {group}"), number);
    }
}

/// A running kernel (and debugfs, and e2fsck) changes counts and flags in the primary table alone: a copy must agree in
/// the places, and with its own checksum.
fn check_descriptors_backup(
    volume: &Volume,
    groups: &[Group],
    copy: u32,
    (block, place): (u32, u64),
    report: &mut Report,
) {
    let bytes = match volume.read_block(place, Object::Descriptors { copy, block }) {
        Ok(bytes) => bytes,
        Err(damage) => return report.add(damage),
    };
    let first = block * per_block(volume);
    let numbered = (first..).zip(groups.iter().skip(first as usize));
    for ((group, primary), bytes) in numbered.zip(bytes.chunks_exact(volume.descriptor_size)) {
        let of = Object::DescriptorBackup { group, copy };
        let at = volume.offset(place) + u64::from(group - first) * bytes.len() as u64;
        let backup = GroupDescriptor::read(bytes);
        let places = |of: &GroupDescriptor| (of.block_bitmap(), of.inode_bitmap(), of.inode_table());
        let (ours, theirs) = (places(&primary.descriptor), places(&backup));
        if ours != theirs {
            let text = |(blocks, inodes, table)| {
                format!("block bitmap {blocks}, inode bitmap {inodes}, inode table {table}")
            };
            report.mismatch(of, at, text(ours), text(theirs));
        } else if volume.has_descriptor_checksums() {
            let stored = backup.bg_checksum.get().into();
            report.checksum(of, field!(at, bg_checksum), checksum(volume, group, bytes).into(), stored);
        }
    }
}
