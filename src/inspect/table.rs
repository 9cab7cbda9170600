//! The partition table of a disk, whichever it is, and its partitions in one view.

use diskwright_formats::fault::Damage;
use diskwright_formats::layout::{ReadAt, Window};
use diskwright_formats::table::{gpt, mbr};
use diskwright_fstools::registry::ROWS;
use std::fmt;
use uuid::Uuid;

/// A partition table, read back.
pub enum Table {
    /// GPT, with a protective or a hybrid MBR.
    Gpt(gpt::Opened),
    /// MBR.
    Mbr(mbr::Opened),
}

/// A partition of either table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number in the table.
    pub number: u32,
    /// Its name in a GPT; an MBR has none.
    pub name: Option<String>,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// What the table says it is for.
    pub kind: Kind,
}

/// What the table says of a partition beyond its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In a GPT.
    Gpt {
        /// PartitionTypeGUID.
        type_guid: Uuid,
        /// UniquePartitionGUID.
        guid: Uuid,
    },
    /// In an MBR.
    Mbr {
        /// Type byte.
        kind: u8,
        /// Whether the BIOS's boot code shall boot it.
        active: bool,
        /// NT disk signature: with the number, the `PARTUUID` of Linux.
        disk_id: u32,
    },
}

impl Kind {
    /// The type as the table has it: a GUID, or two hexadecimal digits.
    pub fn code(&self) -> String {
        match self {
            Kind::Gpt { type_guid, .. } => type_guid.to_string(),
            Kind::Mbr { kind, .. } => format!("{kind:02x}"),
        }
    }

    /// The type in words, where it is known.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Kind::Gpt { type_guid, .. } => gpt::types::name(type_guid),
            Kind::Mbr { kind, .. } => mbr::types::name(*kind),
        }
    }
}

impl Partition {
    /// What tells it apart, as `PARTUUID` has it.
    pub fn id(&self) -> String {
        match self.kind {
            Kind::Gpt { guid, .. } => guid.to_string(),
            Kind::Mbr { disk_id, .. } => format!("{disk_id:08x}-{:02x}", self.number),
        }
    }

    /// `partition 2 (root)`, or `partition 2` in a table without names.
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("partition {} ({name})", self.number),
            None => format!("partition {}", self.number),
        }
    }
}

impl Table {
    /// Reads the table of a disk; `None` when there is none. A disk with a GPT is a GPT disk, whatever its MBR repeats.
    pub(super) fn open(disk: &dyn ReadAt) -> Option<Result<Table, Damage>> {
        if gpt::recognise(disk) {
            Some(gpt::open(disk).map(Table::Gpt))
        } else if mbr::recognise(disk) {
            Some(open_mbr(disk).map(Table::Mbr))
        } else {
            None
        }
    }

    /// `gpt` or `mbr`.
    pub fn name(&self) -> &'static str {
        match self {
            Table::Gpt(_) => "gpt",
            Table::Mbr(_) => "mbr",
        }
    }

    /// What tells the disk apart, as `PTUUID` of blkid has it.
    pub fn id(&self) -> String {
        match self {
            Table::Gpt(table) => table.disk_guid.to_string(),
            Table::Mbr(table) => format!("{:08x}", table.disk_id),
        }
    }

    /// Bytes in a sector.
    pub fn sector_size(&self) -> u32 {
        match self {
            Table::Gpt(table) => table.sector_size,
            Table::Mbr(table) => table.sector_size,
        }
    }

    /// Partitions that lie on the disk, by number; an extended partition is none of them.
    pub fn partitions(&self) -> Vec<Partition> {
        match self {
            Table::Gpt(table) => table.partitions.iter().map(of_gpt).collect(),
            Table::Mbr(table) => table.partitions.iter().map(|it| of_mbr(it, table.disk_id)).collect(),
        }
    }

    /// Takes what is wrong with it.
    pub(super) fn take_damage(&mut self) -> Vec<Damage> {
        match self {
            Table::Gpt(table) => std::mem::take(&mut table.damage),
            Table::Mbr(table) => std::mem::take(&mut table.damage),
        }
    }

    /// What every byte of the disk is to this table.
    pub fn dump(&self, disk: &dyn ReadAt, out: &mut dyn fmt::Write) -> Result<(), Damage> {
        match self {
            Table::Gpt(_) => gpt::dump(disk, out),
            Table::Mbr(table) => mbr::dump_as(disk, table.sector_size, out),
        }
    }
}

fn of_gpt(partition: &gpt::Partition) -> Partition {
    Partition {
        number: partition.number,
        name: Some(partition.name.clone()),
        start: partition.start,
        len: partition.len,
        kind: Kind::Gpt { type_guid: partition.type_guid, guid: partition.unique_guid },
    }
}

fn of_mbr(partition: &mbr::Partition, disk_id: u32) -> Partition {
    Partition {
        number: partition.number,
        name: None,
        start: partition.start,
        len: partition.len,
        kind: Kind::Mbr { kind: partition.kind, active: partition.active, disk_id },
    }
}

/// Reads an MBR with the first of the sector sizes it may have for which a file system starts where a partition does.
fn open_mbr(disk: &dyn ReadAt) -> Result<mbr::Opened, Damage> {
    let sizes = mbr::sector_sizes(disk);
    let filled = |size: &&u32| {
        mbr::open_as(disk, **size).is_ok_and(|table| {
            let windows =
                table.partitions.iter().filter_map(|it| Window::new(disk, it.start..it.start + it.len));
            windows.into_iter().any(|window| ROWS.iter().any(|row| (row.recognise)(&window)))
        })
    };
    match sizes.iter().find(filled) {
        Some(size) if sizes.len() > 1 => mbr::open_as(disk, *size),
        _ => mbr::open(disk),
    }
}
