//! The structures on the disk (fatgen103, sections 3, 5 and 6), all little endian.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Length of the structures in the boot sector, in FSInfo and of their backups, whatever the sector size.
pub(super) const BOOT_LEN: u64 = 512;
/// Length of a directory entry, short or long.
pub(super) const ENTRY_LEN: u64 = 32;
/// The first number of a data cluster: FAT entries 0 and 1 hold media byte and state.
pub(super) const FIRST_CLUSTER: u32 = 2;
/// A fixed disk.
pub(super) const MEDIA_FIXED: u8 = 0xf8;
/// BIOS number of the first fixed disk.
pub(super) const DRIVE_FIXED: u8 = 0x80;
/// The last two bytes of a boot sector, at byte 510 whatever the sector size.
pub(super) const BOOT_SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Says that volume id, label and type string are there.
pub(super) const EXTENDED_SIGNATURE: u8 = 0x29;
/// What the boot sector says when there is no label.
pub(super) const NO_LABEL: [u8; 11] = *b"NO NAME    ";

/// First half of a boot sector, the same in all three types.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BootSector {
    pub(super) jump: [u8; 3],
    pub(super) oem: [u8; 8],
    pub(super) bytes_per_sector: U16,
    pub(super) sectors_per_cluster: u8,
    pub(super) reserved: U16,
    pub(super) fats: u8,
    pub(super) root_entries: U16,
    pub(super) sectors_16: U16,
    pub(super) media: u8,
    pub(super) fat_sectors_16: U16,
    pub(super) sectors_per_track: U16,
    pub(super) heads: U16,
    pub(super) hidden: U32,
    pub(super) sectors_32: U32,
    /// FAT12 and FAT16: [`Extended`], boot code. FAT32: [`Fat32`], [`Extended`], boot code.
    pub(super) rest: [u8; 474],
    pub(super) signature: [u8; 2],
}

/// What FAT32 has in front of [`Extended`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Fat32 {
    pub(super) fat_sectors: U32,
    /// Bit 7: only the FAT of bits 0 to 3 is kept; else all are equal.
    pub(super) flags: U16,
    pub(super) version: U16,
    pub(super) root_cluster: U32,
    pub(super) info_sector: U16,
    pub(super) backup_sector: U16,
    pub(super) reserved: [u8; 12],
}

/// Drive, volume id, label.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Extended {
    pub(super) drive: u8,
    /// Bit 0: not unmounted. Bit 1: errors seen.
    pub(super) state: u8,
    pub(super) signature: u8,
    pub(super) volume_id: U32,
    pub(super) label: [u8; 11],
    /// `FAT12   `, `FAT16   `, `FAT32   `: for people only, the type follows from the number of clusters.
    pub(super) kind: [u8; 8],
}

/// FSInfo of FAT32: hints that spare a count at mount time.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct FsInfo {
    pub(super) lead: [u8; 4],
    pub(super) reserved: [u8; 480],
    pub(super) signature: [u8; 4],
    /// Free clusters; all ones: not known.
    pub(super) free: U32,
    /// Where to look for a free cluster; all ones: not known.
    pub(super) next: U32,
    pub(super) reserved_2: [u8; 12],
    pub(super) trail: [u8; 4],
}

impl FsInfo {
    pub(super) const LEAD: [u8; 4] = *b"RRaA";
    pub(super) const SIGNATURE: [u8; 4] = *b"rrAa";
    pub(super) const TRAIL: [u8; 4] = [0, 0, 0x55, 0xaa];
}

/// A directory entry with its short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Entry {
    pub(super) name: [u8; 11],
    pub(super) attributes: u8,
    /// Bits 3 and 4 of Windows NT: base and extension are lower case.
    pub(super) case: u8,
    /// Tenths of a hundredth of two seconds: steps of 10 ms, 0 to 199.
    pub(super) created_10ms: u8,
    pub(super) created_time: U16,
    pub(super) created_date: U16,
    pub(super) accessed_date: U16,
    pub(super) cluster_high: U16,
    pub(super) written_time: U16,
    pub(super) written_date: U16,
    pub(super) cluster_low: U16,
    pub(super) size: U32,
}

impl Entry {
    pub(super) const READ_ONLY: u8 = 0x01;
    pub(super) const VOLUME_ID: u8 = 0x08;
    pub(super) const DIRECTORY: u8 = 0x10;
    pub(super) const ARCHIVE: u8 = 0x20;
    /// Reserved attributes.
    pub(super) const RESERVED: u8 = 0xc0;
    /// Read only, hidden, system and volume id together mark a [`LongEntry`].
    pub(super) const LONG: u8 = 0x0f;
    pub(super) const LONG_MASK: u8 = 0x3f;
    pub(super) const CASE_BASE: u8 = 0x08;
    pub(super) const CASE_EXTENSION: u8 = 0x10;
    /// First byte of a name: a deleted entry.
    pub(super) const DELETED: u8 = 0xe5;
    /// First byte of a name: stands for a name that starts with 0xE5.
    pub(super) const ESCAPED_E5: u8 = 0x05;

    /// The number of the first cluster; the upper half means nothing outside FAT32.
    pub(super) fn cluster(&self) -> u32 {
        u32::from(self.cluster_high.get()) << 16 | u32::from(self.cluster_low.get())
    }

    pub(super) fn with_cluster(self, cluster: u32) -> Entry {
        Entry {
            cluster_high: U16::new((cluster >> 16) as u16),
            cluster_low: U16::new(cluster as u16),
            ..self
        }
    }
}

/// A part of a long name: 13 UTF-16 units. They stand in front of the short entry, the last part first.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct LongEntry {
    /// Number of the part, from 1; with [`LongEntry::LAST`].
    pub(super) order: u8,
    pub(super) units_1: [U16; 5],
    pub(super) attributes: u8,
    pub(super) kind: u8,
    pub(super) checksum: u8,
    pub(super) units_2: [U16; 6],
    pub(super) cluster: U16,
    pub(super) units_3: [U16; 2],
}

impl LongEntry {
    pub(super) const LAST: u8 = 0x40;
    /// UTF-16 units in an entry.
    pub(super) const UNITS: usize = 13;

    /// Part `order` (from 1) of a name; `units` are at most 13, NUL follows the name where it ends early, then ones.
    pub(super) fn new(order: u8, checksum: u8, units: &[u16]) -> LongEntry {
        let unit = |at: usize| match at.cmp(&units.len()) {
            std::cmp::Ordering::Less => U16::new(units[at]),
            std::cmp::Ordering::Equal => U16::ZERO,
            std::cmp::Ordering::Greater => U16::MAX_VALUE,
        };
        LongEntry {
            order,
            units_1: std::array::from_fn(unit),
            attributes: Entry::LONG,
            units_2: std::array::from_fn(|at| unit(at + 5)),
            units_3: std::array::from_fn(|at| unit(at + 11)),
            checksum,
            ..LongEntry::new_zeroed()
        }
    }

    pub(super) fn units(&self) -> impl Iterator<Item = u16> + '_ {
        self.units_1.iter().chain(&self.units_2).chain(&self.units_3).map(|unit| unit.get())
    }
}

/// Ties long entries to their short name (fatgen103, section 7, `ChkSum`).
pub(super) fn checksum(name: &[u8; 11]) -> u8 {
    name.iter().fold(0u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte))
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<BootSector>() as u64 == BOOT_LEN);
    assert!(offset_of!(BootSector, bytes_per_sector) == 11);
    assert!(offset_of!(BootSector, fat_sectors_16) == 22);
    assert!(offset_of!(BootSector, sectors_32) == 32);
    assert!(offset_of!(BootSector, rest) == 36);
    assert!(offset_of!(BootSector, signature) == 510);
    assert!(size_of::<Fat32>() == 28);
    assert!(offset_of!(Fat32, root_cluster) == 8);
    assert!(offset_of!(Fat32, backup_sector) == 14);
    assert!(size_of::<Extended>() == 26);
    assert!(offset_of!(Extended, volume_id) == 3);
    assert!(offset_of!(Extended, kind) == 18);
    assert!(size_of::<FsInfo>() as u64 == BOOT_LEN);
    assert!(offset_of!(FsInfo, signature) == 484);
    assert!(offset_of!(FsInfo, free) == 488);
    assert!(offset_of!(FsInfo, trail) == 508);
    assert!(size_of::<Entry>() as u64 == ENTRY_LEN);
    assert!(offset_of!(Entry, created_10ms) == 13);
    assert!(offset_of!(Entry, cluster_high) == 20);
    assert!(offset_of!(Entry, cluster_low) == 26);
    assert!(offset_of!(Entry, size) == 28);
    assert!(size_of::<LongEntry>() as u64 == ENTRY_LEN);
    assert!(offset_of!(LongEntry, checksum) == 13);
    assert!(offset_of!(LongEntry, units_3) == 28);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_entry_gives_its_units_back() {
        let units: Vec<u16> = "twelve units".encode_utf16().collect();
        let entry = LongEntry::new(1 | LongEntry::LAST, 0x5a, &units);
        let padded: Vec<u16> = units.iter().copied().chain([0]).collect();
        assert_eq!(entry.units().collect::<Vec<_>>(), padded);
        assert_eq!(LongEntry::new(1, 0, &[0x41]).units().collect::<Vec<_>>()[1..4], [0, 0xffff, 0xffff]);
    }

    #[test]
    fn the_checksum_of_a_known_name() {
        // Computed by hand: each step rotates right by one bit, then adds.
        assert_eq!(checksum(b"           "), 0xf7);
        assert_eq!(checksum(b"README  TXT"), {
            b"README  TXT"
                .iter()
                .fold(0u32, |sum, &byte| ((sum & 1) * 0x80 + (sum >> 1) + u32::from(byte)) & 0xff)
                as u8
        });
    }
}
