//! GUID partition table. UEFI Specification 2.10, chapter 5 "GUID Partition Table (GPT) Disk Layout".
//!
//! ```text
//! sector 0        bytes   0..440  boot code: stays a gap
//!                 bytes 440..444  disk signature, where one is asked for
//!                 bytes 446..512  protective MBR: one record over the whole disk
//! sector 1        primary header, 92 bytes
//! sector 2 ..     primary entry array: 128 entries of 128 bytes, more where slots ask for it
//! first usable    partitions, each under its name
//! last usable
//!  .. last - 1    backup entry array
//! last sector     backup header
//! ```
//!
//! A hybrid MBR is not of the specification: firmware and systems that know no GPT see up to three of its partitions. Its
//! record 1 protects sectors 1 to the first of these partitions, records 2 to 4 have them in the order asked for, as
//! `sgdisk --hybrid` writes it. KIWI's `gpt_hybrid_mbr` takes the first three in the order in which it made them, with the
//! first bytes of sgdisk's type codes: ef for the ESP and the BIOS boot partition, ea for an extended boot loader
//! partition, 83 for the rest.
//!
//! Positions and lengths in this interface are bytes; a disk is valid for one sector size alone. The table is ours:
//! the crates that read and write it want an open file and draw random GUIDs (they serve as oracles in the tests).

mod copy;
mod disk;
mod dump;
mod grow;
mod lay;
mod open;
mod protect;
mod reid;
pub mod types;

pub use dump::dump;
pub use grow::grown;
pub use lay::lay;
pub use open::{open, recognise};
pub use reid::reid;

use crate::bytes::align_down;
use crate::fault::Damage;
use uuid::Uuid;

/// Slots that every table has: section 5.3.1 reserves 16,384 bytes for them.
pub const ENTRIES: u32 = 128;
/// Slots that a table can have here. Linux refuses arrays of more than 4 MiB.
pub const MOST_ENTRIES: u32 = 32768;
/// Partitions that a hybrid MBR has room for.
pub const MOST_HYBRID: usize = 3;
/// Bytes in an entry.
const ENTRY: u64 = 128;
/// UTF-16 units in a name.
pub const LONGEST_NAME: usize = 36;

/// Attribute bit 0: the platform needs the partition.
pub const REQUIRED: u64 = 1 << 0;
/// Attribute bit 1: firmware shall not look for a file system in it.
pub const NO_BLOCK_IO: u64 = 1 << 1;
/// Attribute bit 2: a BIOS boot loader may boot it.
pub const LEGACY_BOOT: u64 = 1 << 2;
/// Bits 3 to 47 are reserved and zero; those above are the type's own.
const RESERVED_ATTRIBUTES: u64 = (1 << 48) - (1 << 3);
/// Discoverable Partitions Specification: grow the file system when it is mounted first.
pub const GROW_FILE_SYSTEM: u64 = 1 << 59;
/// Discoverable Partitions Specification: mount read-only.
pub const READ_ONLY: u64 = 1 << 60;
/// Discoverable Partitions Specification: do not mount of one's own accord.
pub const NO_AUTO: u64 = 1 << 63;

/// Where a table lies and what surrounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Length of the disk in bytes: a multiple of the sector size.
    pub len: u64,
    /// Bytes in a sector: 512 or 4096.
    pub sector_size: u32,
    /// Disk GUID; from the identity (name `guid`) when `None`.
    pub disk_guid: Option<Uuid>,
    /// NT disk signature at byte 440; that of a GPT has no use of its own, and the bytes stay a gap when `None`.
    pub disk_signature: Option<u32>,
    /// Partitions that are in the MBR, too, from its second record on: at most [`MOST_HYBRID`].
    pub hybrid: Vec<HybridEntry>,
}

impl Options {
    /// A disk whose GUID comes from the identity, with a protective MBR.
    pub fn new(len: u64, sector_size: u32) -> Options {
        Options { len, sector_size, disk_guid: None, disk_signature: None, hybrid: vec![] }
    }
}

/// A partition that the MBR repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HybridEntry {
    /// Slot of the partition in the GPT.
    pub number: u32,
    /// Type byte in the MBR: see [`mbr::types`](super::mbr::types).
    pub kind: u8,
    /// Whether the BIOS's boot code shall boot it.
    pub active: bool,
}

/// One partition and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Slot of the entry array, from 1.
    pub number: u32,
    /// PartitionTypeGUID.
    pub type_guid: Uuid,
    /// UniquePartitionGUID.
    pub unique_guid: Uuid,
    /// PartitionName: at most 36 UTF-16 units.
    pub name: String,
    /// Attributes.
    pub attributes: u64,
    /// First byte: a multiple of the sector size.
    pub start: u64,
    /// Length in bytes: a multiple of the sector size.
    pub len: u64,
}

/// A table, read back.
#[derive(Clone, Debug)]
pub struct Opened {
    /// DiskGUID.
    pub disk_guid: Uuid,
    /// Bytes in a sector.
    pub sector_size: u32,
    /// NT disk signature; mostly 0.
    pub disk_signature: u32,
    /// Partitions that the MBR repeats as they are, in its order.
    pub hybrid: Vec<HybridEntry>,
    /// Entries in use, by slot. Those that do not lie on the disk are left out (and in `damage`).
    pub partitions: Vec<Partition>,
    /// Everything that contradicts the format and could be read past.
    pub damage: Vec<Damage>,
}

/// How many entries a table has whose highest slot in use is `highest`: 128, or more by whole sectors of either size.
pub fn entries_for(highest: u32) -> u32 {
    highest.max(ENTRIES).saturating_add(31) / 32 * 32
}

/// First byte that a partition may use on a disk with sectors of `sector_size` bytes and 128 entries.
pub fn first_usable(sector_size: u32) -> u64 {
    first_usable_for(sector_size, ENTRIES)
}

/// [`first_usable`] with [`entries_for`] some other number of slots.
pub fn first_usable_for(sector_size: u32, entries: u32) -> u64 {
    u64::from(sector_size) * 2 + u64::from(entries) * ENTRY
}

/// The byte behind the last that a partition may use on a disk of `len` bytes with 128 entries.
pub fn last_usable(len: u64, sector_size: u32) -> u64 {
    last_usable_for(len, sector_size, ENTRIES)
}

/// [`last_usable`] with [`entries_for`] some other number of slots.
pub fn last_usable_for(len: u64, sector_size: u32, entries: u32) -> u64 {
    align_down(len, sector_size.into()).saturating_sub(smallest_tail(sector_size, entries))
}

/// Bytes behind the last usable one.
fn smallest_tail(sector_size: u32, entries: u32) -> u64 {
    u64::from(sector_size) + u64::from(entries) * ENTRY
}

/// `partition 3 (root)`.
fn title(number: u32, name: &str) -> String {
    match name {
        "" => format!("partition {number}"),
        name => format!("partition {number} ({})", name.escape_debug()),
    }
}
