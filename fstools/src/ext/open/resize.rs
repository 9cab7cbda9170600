//! Inode 7: it lists every block that is reserved for descriptors, in the group that counts and in all copies.

use super::super::disk::incompat;
use super::blocks::{Map, Of};
use super::claims::Claims;
use super::groups::per_block;
use super::report::{Object, Report};
use super::volume::Volume;
use diskwright_formats::bytes::is_zero;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

/// Place of the pointer to a block of pointers to blocks of pointers in `i_block`.
const DOUBLE: usize = 13 * 4;

/// Reads and checks the map of the resize inode. Its runs are left out: groups claim the reserved blocks.
pub(super) fn read(of: &Of, i_block: &[u8; 60], claims: &mut Claims, report: &mut Report) -> Map {
    let volume = of.volume;
    let mut map = Map::default();
    if let Some(byte) = (0..i_block.len()).find(|at| !(DOUBLE..DOUBLE + 4).contains(at) && i_block[*at] != 0)
    {
        report.value(
            Object::Inode(of.ino),
            of.at + byte as u64,
            "a double indirect block alone",
            i_block[byte],
        );
    }
    let block = u64::from(word(i_block, 13));
    if block == 0 && volume.superblock.s_reserved_gdt_blocks.get() == 0 {
        return map;
    }
    if !volume.holds(block, 1) {
        let expected = format!("a block below {}", volume.blocks);
        report.value(Object::Inode(of.ino), of.at + DOUBLE as u64, expected, block);
        return map;
    }
    let node = Object::IndirectBlock(of.ino);
    claims.add(block, 1, node);
    map.nodes = 1;
    if !claims.first_visit(block) {
        return map;
    }
    match volume.read_block(block, node) {
        Ok(bytes) => check_lists(of, &bytes, volume.offset(block), &mut map, report),
        Err(damage) => report.add(damage),
    }
    map
}

/// Each reserved block of group 0 stands in its slot, and lists the same block of all groups with copies.
fn check_lists(of: &Of, slots: &[u8], at: u64, map: &mut Map, report: &mut Report) {
    let volume = of.volume;
    let backups: Vec<u32> = backups(volume);
    let per_list = slots.len() / 4;
    let table = volume.groups.div_ceil(per_block(volume)) as usize;
    let mut expected = vec![0u32; per_list];
    for reserved in 0..usize::from(volume.superblock.s_reserved_gdt_blocks.get()) {
        let number = table + reserved;
        // Block numbers here have 32 bits: the descriptors of more blocks are not kept by this inode.
        let Ok(block) = u32::try_from(volume.first_block + 1 + number as u64) else { return };
        expected[number % per_list] = block;
        map.nodes += 1 + backups.len() as u64;
    }
    let node = Object::IndirectBlock(of.ino);
    for (slot, &block) in expected.iter().enumerate() {
        let found = word(slots, slot);
        if found != block {
            report.mismatch(node, at + slot as u64 * 4, format_args!("reserved block {block}"), found);
        } else if block != 0 && volume.holds(block.into(), 1) {
            check_list(volume, block, &backups, report);
        }
    }
}

fn check_list(volume: &Volume, block: u32, backups: &[u32], report: &mut Report) {
    let of = Object::ReservedDescriptors(0);
    let bytes = match volume.read_block(block.into(), of) {
        Ok(bytes) => bytes,
        Err(damage) => return report.add(damage),
    };
    let at = volume.offset(block.into());
    for (slot, &group) in backups.iter().enumerate().take(bytes.len() / 4) {
        let expected = u64::from(block) + u64::from(group) * volume.blocks_per_group;
        let found = u64::from(word(&bytes, slot));
        if found != expected {
            return report.mismatch(of, at + slot as u64 * 4, format_args!("block {expected}"), found);
        }
    }
    let rest = bytes.get(backups.len() * 4..).unwrap_or_default();
    if !is_zero(rest) {
        let byte = rest.iter().position(|&byte| byte != 0).unwrap_or(0);
        let at = at + (backups.len() * 4 + byte) as u64;
        report.value(of, at, "zeros behind the last group", rest[byte]);
    }
}

/// Groups with copies. A list has room for as many as there are pointers in a block.
fn backups(volume: &Volume) -> Vec<u32> {
    let most = volume.block_size / 4;
    match volume.incompat(incompat::META_BG) {
        true => vec![],
        false => (1..volume.groups).filter(|&group| volume.has_super(group)).take(most).collect(),
    }
}

fn word(bytes: &[u8], index: usize) -> u32 {
    U32::read_from_prefix(&bytes[index * 4..]).map_or(0, |(word, _)| word.get())
}
