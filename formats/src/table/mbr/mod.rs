//! MBR partition table. There is no standard: "PC/MS-DOS partition table" as util-linux's fdisk and sfdisk write it and
//! Linux (`block/partitions/msdos.c`) reads it; UEFI Specification 2.10, section 5.2.1 "Legacy Master Boot Record" has the
//! record.
//!
//! ```text
//! sector 0         bytes   0..440  boot code: stays a gap
//!                  bytes 440..444  disk id (NT disk signature), little endian; 444..446 zero
//!                  bytes 446..510  four records of 16 bytes: partitions 1 to 4
//!                  bytes 510..512  55 aa
//! sectors 1 ..     for boot loaders, as far as partitions start later (GRUB's core image)
//! partition 1 to 3
//! extended         one of partitions 1 to 4, of type 05: to the end of the disk, or to the primary partition behind it
//!   EBR 5            first sector: a table like sector 0's, records 1 and 2 in use
//!   logical 5        1 MiB behind its EBR
//!   EBR 6            1 MiB before logical 6
//!   logical 6        ...
//! ```
//!
//! Record 1 of an EBR is the logical partition, its start counted from that EBR. Record 2 is the next link (type 05): its
//! start is the next EBR, counted from the first sector of the *extended partition*; its count reaches to the end of the
//! next logical partition. CHS fields count from the disk's first sector in both.
//!
//! Positions and lengths in this interface are bytes; a disk is valid for one sector size alone, and nothing in the table
//! says which. Numbers of sectors have 32 bits: longer disks want a GPT.
//!
//! Where an EBR lies is fdisk's rule: a free MiB before each logical partition, the EBR in its first sector. The extended
//! partition takes the highest free number, so 4 behind three primary ones, and starts with the EBR of logical 5.
//!
//! The result of KIWI's `force_mbr` is a table as laid here. KIWI runs `sgdisk -m` over a finished GPT with all partitions
//! in the order in which it made them: these become 1, 2, ... in that order, whatever their GPT numbers were; starts and
//! lengths stay; none is active; the disk id is 0 until KIWI writes its own; both copies of the GPT are wiped. A type is
//! the first byte of sgdisk's code: 83 for Linux and every discoverable root (8300, 8304), 82, 8e, fd, 41, ea for an
//! extended boot loader partition, and ef for the ESP *and* for the BIOS boot partition (ef00, ef02). More than four
//! partitions make sgdisk say "Problem creating MBR!" and leave the GPT, with exit code 0.
//!
//! The table is ours: the crate that reads and writes it wraps EBR positions at 4 GiB.

mod chain;
pub(super) mod disk;
mod dump;
mod lay;
mod open;
mod reid;
pub mod types;

pub use dump::{dump, dump_as};
pub use lay::lay;
pub use open::{open, open_as, recognise, sector_sizes};
pub use reid::reid;

use crate::bytes::align_down;
use crate::fault::Damage;

/// Records in the MBR: numbers 1 to 4.
pub const PRIMARIES: u32 = 4;
/// Highest number of a partition that is laid: libfdisk has room for 60.
pub const MOST_NUMBER: u32 = 60;
/// Highest number of a partition that is read, and most links of a chain: Linux has room for 255.
const MOST_READ: u32 = 255;
/// Sectors of the longest disk.
pub const MOST_SECTORS: u64 = 1 << 32;
/// Bytes before a logical partition that are kept for its EBR.
pub const EBR_ROOM: u64 = 1 << 20;

/// Where a table lies and what surrounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Length of the disk in bytes: a multiple of the sector size, at most 2^32 sectors.
    pub len: u64,
    /// Bytes in a sector: 512 or 4096.
    pub sector_size: u32,
    /// NT disk signature; from the identity (name `disk-id`) when `None`.
    pub disk_id: Option<u32>,
}

/// One partition that holds data, primary or logical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// 1 to 4: the record in the MBR. From 5: logical, in the order on the disk.
    pub number: u32,
    /// Type byte: see [`types`].
    pub kind: u8,
    /// Whether the BIOS's boot code shall boot it.
    pub active: bool,
    /// First byte: a multiple of the sector size.
    pub start: u64,
    /// Length in bytes: a multiple of the sector size.
    pub len: u64,
}

/// The partition that logical ones lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    /// 1 to 4.
    pub number: u32,
    /// Type byte.
    pub kind: u8,
    /// First byte: that of the first EBR.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// A table, read back.
#[derive(Clone, Debug)]
pub struct Opened {
    /// NT disk signature.
    pub disk_id: u32,
    /// Bytes in a sector.
    pub sector_size: u32,
    /// Partitions that hold data, by number. Those that do not lie on the disk are left out (and in `damage`).
    pub partitions: Vec<Partition>,
    /// The partition around the logical ones, if it lies on the disk.
    pub extended: Option<Extended>,
    /// Everything that contradicts the format and could be read past.
    pub damage: Vec<Damage>,
}

/// First byte that a partition may use on a disk with sectors of `sector_size` bytes.
pub fn first_usable(sector_size: u32) -> u64 {
    sector_size.into()
}

/// The byte behind the last that a partition may use on a disk of `len` bytes.
pub fn last_usable(len: u64, sector_size: u32) -> u64 {
    align_down(len, sector_size.into()).min(MOST_SECTORS * u64::from(sector_size))
}

/// `partition 3`.
fn title(number: u32) -> String {
    format!("partition {number}")
}
