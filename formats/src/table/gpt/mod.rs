//! GUID partition table: not built yet.

use crate::fault::{Damage, DamageKind, Refusal, RefusalKind, Spot};
use crate::identity::Identity;
use crate::layout::{Layout, ReadAt};
use uuid::Uuid;

/// Where a table lies and what surrounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Length of the disk in bytes: a multiple of the sector size.
    pub len: u64,
    /// Bytes in a sector: 512 or 4096.
    pub sector_size: u32,
    /// Disk GUID; from the identity (name `guid`) when `None`.
    pub disk_guid: Option<Uuid>,
}

/// One partition and what is in it.
#[derive(Clone, Debug)]
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
    /// Entries in use, by slot.
    pub partitions: Vec<Partition>,
    /// Everything that contradicts the format and could be read past.
    pub damage: Vec<Damage>,
}

/// First byte that a partition may use on a disk with sectors of `sector_size` bytes.
pub fn first_usable(sector_size: u32) -> u64 {
    u64::from(sector_size) * 2 + 16384
}

/// The byte behind the last that a partition may use on a disk of `len` bytes.
pub fn last_usable(len: u64, sector_size: u32) -> u64 {
    len.saturating_sub(u64::from(sector_size) + 16384)
}

/// A disk with this table and these partitions; each layout is at most as long as its partition.
pub fn lay(_: &[(Partition, Layout)], _: &Options, _: &Identity) -> Result<Layout, Refusal> {
    Err(Refusal::new(RefusalKind::Unsupported, Spot::new("gpt", ""), "not built yet"))
}

/// Whether the image says that it has this table.
pub fn recognise(_: &dyn ReadAt) -> bool {
    false
}

/// Reads and checks both copies of the table.
pub fn open(_: &dyn ReadAt) -> Result<Opened, Damage> {
    Err(Damage::new(DamageKind::Unsupported, Spot::new("gpt", ""), 0, "", ""))
}
