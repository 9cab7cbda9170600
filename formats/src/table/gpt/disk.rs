//! On-disk structures. UEFI 2.10, tables 5-3 (protective MBR), 5-5 (header), 5-6 (entry).

use crate::table::mbr::disk::Record;
use crate::table::mbr::types::GPT_PROTECTIVE;
use std::mem::{offset_of, size_of};
use uuid::Uuid;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `EFI PART`.
pub(super) const SIGNATURE: [u8; 8] = *b"EFI PART";
/// Version 1.0.
pub(super) const REVISION: u32 = 0x0001_0000;

/// A GUID as it lies on the disk: its first three fields are little endian.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub(super) struct Guid([u8; 16]);

impl From<Uuid> for Guid {
    fn from(uuid: Uuid) -> Guid {
        Guid(uuid.to_bytes_le())
    }
}

impl From<Guid> for Uuid {
    fn from(guid: Guid) -> Uuid {
        Uuid::from_bytes_le(guid.0)
    }
}

/// GPT header: the sector's rest is zero.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub signature: [u8; 8],
    pub revision: U32,
    pub header_size: U32,
    pub header_crc32: U32,
    pub reserved: U32,
    pub my_lba: U64,
    pub alternate_lba: U64,
    pub first_usable_lba: U64,
    pub last_usable_lba: U64,
    pub disk_guid: Guid,
    pub partition_entry_lba: U64,
    pub number_of_partition_entries: U32,
    pub size_of_partition_entry: U32,
    pub partition_entry_array_crc32: U32,
}

const _: () = assert!(size_of::<Header>() == 92);
const _: () = assert!(offset_of!(Header, my_lba) == 24);
const _: () = assert!(offset_of!(Header, disk_guid) == 56);
const _: () = assert!(offset_of!(Header, partition_entry_array_crc32) == 88);

impl Header {
    /// The header with its own checksum, which is taken with the field zero.
    pub(super) fn sealed(self) -> Header {
        let blank = Header { header_crc32: 0.into(), ..self };
        Header { header_crc32: crc32fast::hash(blank.as_bytes()).into(), ..self }
    }
}

/// GPT partition entry.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Entry {
    pub type_guid: Guid,
    pub unique_guid: Guid,
    pub starting_lba: U64,
    pub ending_lba: U64,
    pub attributes: U64,
    pub name: [U16; 36],
}

const _: () = assert!(size_of::<Entry>() == 128);
const _: () = assert!(offset_of!(Entry, starting_lba) == 32);
const _: () = assert!(offset_of!(Entry, name) == 56);

/// The record that covers all sectors but the first.
pub(super) fn protective(size: u32) -> Record {
    Record {
        status: 0,
        first_chs: [0x00, 0x02, 0x00],
        kind: GPT_PROTECTIVE,
        last_chs: [0xff; 3],
        start: 1.into(),
        count: size.into(),
    }
}

/// SizeInLBA of the protective record: the disk without its first sector, as far as 32 bits reach.
pub(super) fn protective_size(sectors: u64) -> u32 {
    u32::try_from(sectors - 1).unwrap_or(u32::MAX)
}
