//! On-disk structures, shared by the MBR, the EBRs and GPT's protective MBR.

use std::mem::{offset_of, size_of};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// One record: a partition, or where the extended partition goes on.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(in crate::table) struct Record {
    /// 0x80 in the active partition, else 0.
    pub status: u8,
    pub first_chs: [u8; 3],
    pub kind: u8,
    pub last_chs: [u8; 3],
    /// In the MBR counted from the disk's first sector; in an EBR see the [module](super).
    pub start: U32,
    pub count: U32,
}

const _: () = assert!(size_of::<Record>() == 16);
const _: () = assert!(offset_of!(Record, kind) == 4);
const _: () = assert!(offset_of!(Record, start) == 8);
const _: () = assert!(offset_of!(Record, count) == 12);

/// Status of the active partition.
pub(in crate::table) const ACTIVE: u8 = 0x80;

impl Record {
    /// Sectors `start .. start + count`, with the position `at` that `start` counts from. `count` is not 0.
    pub(in crate::table) fn new(kind: u8, active: bool, at: u64, start: u32, count: u32) -> Record {
        let first = at + u64::from(start);
        Record {
            status: if active { ACTIVE } else { 0 },
            first_chs: chs(first),
            kind,
            last_chs: chs(first + u64::from(count) - 1),
            start: start.into(),
            count: count.into(),
        }
    }

    /// A record that is not in use.
    pub(in crate::table) fn unused() -> Record {
        Record::new_zeroed()
    }
}

/// Head, sector and cylinder as fdisk, sfdisk and sgdisk write them: 255 heads of 63 sectors, whatever a sector's size;
/// what lies behind cylinder 1023 is the last place that there is.
pub(in crate::table) fn chs(sector: u64) -> [u8; 3] {
    const HEADS: u64 = 255;
    const SECTORS: u64 = 63;
    let cylinder = sector / (HEADS * SECTORS);
    if cylinder > 1023 {
        return [0xfe, 0xff, 0xff];
    }
    let (head, sector) = (sector / SECTORS % HEADS, sector % SECTORS + 1);
    [head as u8, sector as u8 | (cylinder >> 2) as u8 & 0xc0, cylinder as u8]
}

/// The end of the MBR or of an EBR: all of it that is a table. The 446 bytes before are boot code and disk id.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(in crate::table) struct Records {
    pub records: [Record; 4],
    pub signature: [u8; 2],
}

/// Position of [`Records`] in its sector.
pub(in crate::table) const RECORDS_AT: u64 = 446;
/// The last two bytes of [`Records`], at byte 510 of sectors of any size.
pub(in crate::table) const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Position of the signature in its sector.
pub(in crate::table) const SIGNATURE_AT: u64 = 510;
/// Position of the disk id (NT disk signature), a little-endian number of 4 bytes.
pub(in crate::table) const DISK_ID_AT: u64 = 440;

const _: () = assert!(size_of::<Records>() as u64 + RECORDS_AT == 512);
const _: () = assert!(offset_of!(Records, signature) as u64 + RECORDS_AT == SIGNATURE_AT);

#[cfg(test)]
mod tests {
    use super::chs;

    #[test]
    fn places_on_255_heads_of_63_sectors() {
        assert_eq!(chs(0), [0, 1, 0]);
        assert_eq!(chs(1), [0, 2, 0]);
        assert_eq!(chs(2048), [32, 33, 0]);
        assert_eq!(chs(256 * 255 * 63), [0, 0x41, 0]);
        assert_eq!(chs(1024 * 255 * 63 - 1), [254, 0xff, 0xff]);
        assert_eq!(chs(1024 * 255 * 63), [254, 0xff, 0xff]);
        assert_eq!(chs(u64::MAX), [254, 0xff, 0xff]);
    }
}
