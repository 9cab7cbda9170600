//! Plans and fits as JSON, in sectors and under the names that people who compare partition tables use.

use crate::boot::{BootEntry, Grows};
use crate::compose::unwritten;
use crate::model::{Arch, Layer, MIB, Table, VolumeManager};
use crate::plan::{
    BootPlan, DiskPlan, Entry, File, Fit, FstabEntry, OutputPlan, Pair, Part, Place, Plan, Profile, Slot,
    Usage, VolumePlan,
};
use diskwright_formats::fault::Refusal;
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Sectors of a bare file system.
const BARE_SECTOR: u32 = 512;

/// A plan, with numbers where there was a tree.
#[derive(Clone, Debug, Serialize)]
pub struct LayoutReport<'a> {
    /// [`plan::SCHEMA`](crate::plan::SCHEMA).
    pub schema: u32,
    /// Base of the file names.
    pub name: &'a str,
    /// Version in the file names.
    pub version: Option<&'a str>,
    /// The machine.
    pub arch: Arch,
    /// Time of everything that has no time of its own, seconds since 1970.
    pub epoch: i64,
    /// Files that come out.
    pub outputs: &'a [OutputPlan],
    /// The file that tells clones from their origins.
    pub clones_file: Option<&'a str>,
    /// `gpt`, `msdos`, `dasd`; none for a bare file system. What KIWI asks for: with `force_mbr`, `gpt`.
    pub table: Option<&'static str>,
    /// What is on the disk: `gpt`, `dos`.
    pub final_label: Option<&'static str>,
    /// DiskGUID.
    pub disk_guid: Option<Uuid>,
    /// The number at byte 440, as `/boot/mbrid` has it.
    pub disk_signature: Option<String>,
    /// Bytes in a sector.
    pub sector_size: u32,
    /// What decides the length of the disk.
    pub disk_size: Option<String>,
    /// Bytes of the disk without what stays unpartitioned; of a bare file system all of it. None without a tree.
    pub disk_size_bytes: Option<u64>,
    /// Bytes at the end that no partition uses.
    pub unpartitioned_bytes: u64,
    /// Bytes of the disk.
    pub final_size_bytes: Option<u64>,
    /// In KIWI's arithmetic: what the disk would have without `size`, in MiB.
    pub calculated_mib: Option<u64>,
    /// In the order of the disk; a bare file system is one without a number.
    pub partitions: Vec<PartitionReport<'a>>,
    /// What tells clones from their origins; none without a tree.
    pub clones: &'a [Pair],
    /// The records of sector 0.
    pub mbr_entries: Vec<MbrReport>,
    /// KIWI's public names of partitions.
    pub partids: BTreeMap<&'a str, &'a str>,
    /// Lines of `/etc/fstab`.
    pub fstab: &'a [FstabEntry],
    /// `lvm`, `btrfs`.
    pub volume_manager: Option<&'static str>,
    /// Of LVM.
    pub volume_group: Option<&'a str>,
    /// What the root is divided into; without a tree, volumes of LVM have no size.
    pub volumes: Vec<VolumePlan>,
    /// What boots.
    pub boot: Option<&'a BootPlan>,
    /// Boot entries, the default first.
    pub boot_entries: &'a [BootEntry],
    /// Kernel command line.
    pub command_line: Option<&'a str>,
    /// What grows at the first boot; none without a tree.
    pub growth: Option<&'a Grows>,
    /// Generated files.
    pub files: &'a [File],
    /// What stays out of the tree.
    pub excludes: &'a [String],
    /// Paths of the tree that were left out.
    pub left_out: &'a [String],
    /// Paths of the tree in whose place a generated file was put.
    pub replaced: &'a [String],
    /// What keeps it from being made.
    pub obstacles: Vec<Obstacle>,
}

/// What keeps a plan from being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// Which object, and why.
    pub reason: String,
    /// What would help.
    pub hint: Option<String>,
}

impl From<&Refusal> for Obstacle {
    fn from(refusal: &Refusal) -> Obstacle {
        Obstacle { reason: refusal.to_string(), hint: refusal.hint.clone() }
    }
}

/// A partition.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionReport<'a> {
    /// Its number in the table.
    pub number: Option<u32>,
    /// Its name in the table.
    pub name: &'a str,
    /// KIWI's name for what it is.
    pub role: &'a str,
    /// What decides its length.
    pub size: String,
    /// Why.
    pub why: &'a str,
    /// First sector.
    pub start_sector: Option<u64>,
    /// Sectors.
    pub size_sectors: Option<u64>,
    /// The smallest length that holds its files, in bytes.
    pub least_bytes: Option<u64>,
    /// PartitionTypeGUID.
    pub type_guid: Option<Uuid>,
    /// UniquePartitionGUID.
    pub partuuid: Option<Uuid>,
    /// Its type in an MBR, in hexadecimal digits.
    pub mbr_type: Option<String>,
    /// Whether a BIOS starts from it.
    pub active: bool,
    /// As blkid(8) names it.
    pub filesystem: Option<String>,
    /// Its label.
    pub label: Option<&'a str>,
    /// The id that finds it, as in `UUID=`.
    pub uuid: Option<&'a str>,
    /// Where it is mounted; `swap` for swap.
    pub mountpoint: Option<&'a str>,
    /// What lies between the partition and its file system, outermost first.
    pub layers: Vec<&'static str>,
    /// The role of the partition that it is a clone of.
    pub clone_of: Option<&'a str>,
    /// The image that it is made of.
    pub image: Option<String>,
    /// Which defaults its file system has.
    pub profile: Option<&'a Profile>,
    /// How full it is.
    pub usage: Option<Usage>,
}

/// A record of an MBR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MbrReport {
    /// 1 to 4.
    pub slot: u32,
    /// Whether a BIOS starts from it.
    pub active: bool,
    /// Its type, in two hexadecimal digits.
    #[serde(rename = "type")]
    pub kind: String,
    /// First sector.
    pub start_sector: u64,
    /// Sectors.
    pub size_sectors: u64,
}

impl<'a> LayoutReport<'a> {
    /// A plan without a tree.
    pub fn of_plan(plan: &'a Plan) -> LayoutReport<'a> {
        let partitions = plan.parts.iter().map(|part| partition(plan, part, None)).collect();
        let volumes = plan.disk.iter().flat_map(|disk| plan.volumes(disk)).collect();
        LayoutReport { partitions, volumes, ..report(plan) }
    }

    /// A plan with the numbers of a tree.
    pub fn of_fit(fit: &'a Fit) -> LayoutReport<'a> {
        let plan = &fit.plan;
        let partitions = fit.places.iter().map(|place| partition(plan, &place.part, Some(place))).collect();
        let tail = plan.disk.as_ref().map_or(0, |disk| disk.unpartitioned.0);
        LayoutReport {
            partitions,
            clones: &fit.clones,
            disk_size_bytes: Some(fit.len - tail),
            final_size_bytes: Some(fit.len),
            calculated_mib: fit.calculated_mib,
            mbr_entries: plan.disk.as_ref().map(|disk| mbr_entries(fit, disk)).unwrap_or_default(),
            volumes: fit.volumes.clone(),
            boot_entries: &fit.entries,
            growth: fit.grows.as_ref(),
            left_out: &fit.left_out,
            replaced: &fit.replaced,
            obstacles: unwritten(plan).iter().chain(&fit.obstacles).map(Obstacle::from).collect(),
            ..report(plan)
        }
    }
}

fn report(plan: &Plan) -> LayoutReport<'_> {
    let disk = plan.disk.as_ref();
    let (table, final_label) = match disk.map(|disk| disk.table) {
        None => (None, None),
        Some(Table::Gpt { .. }) => (Some("gpt"), Some("gpt")),
        Some(Table::Mbr { converted: true, .. }) => (Some("gpt"), Some("dos")),
        Some(Table::Mbr { .. }) => (Some("msdos"), Some("dos")),
        Some(Table::Dasd) => (Some("dasd"), None),
    };
    let manager = disk.and_then(|disk| disk.volumes.as_ref()).map(|volumes| &volumes.manager);
    LayoutReport {
        schema: plan.schema,
        name: &plan.name,
        version: plan.version.as_deref(),
        arch: plan.arch,
        epoch: plan.epoch,
        outputs: &plan.outputs,
        clones_file: plan.clones_file.as_deref(),
        table,
        final_label,
        disk_guid: disk.filter(|_| final_label == Some("gpt")).map(|disk| disk.guid),
        disk_signature: disk.map(|disk| format!("{:#010x}", disk.signature)),
        sector_size: disk.map_or(BARE_SECTOR, |disk| disk.sector_size.bytes()),
        disk_size: disk.map(DiskPlan::size_text),
        disk_size_bytes: None,
        unpartitioned_bytes: disk.map_or(0, |disk| disk.unpartitioned.0),
        final_size_bytes: None,
        calculated_mib: None,
        partitions: Vec::new(),
        clones: &[],
        mbr_entries: Vec::new(),
        partids: disk
            .iter()
            .flat_map(|disk| &disk.partids)
            .map(|(key, id)| (key.as_str(), id.as_str()))
            .collect(),
        fstab: disk.map_or(&[], |disk| &disk.fstab),
        volume_manager: manager.map(VolumeManager::name),
        volume_group: match manager {
            Some(VolumeManager::Lvm { group, .. }) => Some(group),
            _ => None,
        },
        volumes: Vec::new(),
        boot: plan.boot.as_ref(),
        boot_entries: &[],
        command_line: plan.command_line.as_deref(),
        growth: None,
        files: &plan.files,
        excludes: &plan.excludes,
        left_out: &[],
        replaced: &[],
        obstacles: unwritten(plan).iter().map(Obstacle::from).collect(),
    }
}

fn partition<'a>(plan: &'a Plan, part: &'a Part, place: Option<&Place>) -> PartitionReport<'a> {
    let disk = plan.disk.as_ref();
    let sector = u64::from(disk.map_or(BARE_SECTOR, |disk| disk.sector_size.bytes()));
    let volumes = disk.and_then(|disk| disk.volumes.as_ref());
    let is_lvm = volumes.is_some_and(|volumes| volumes.is_lvm()) && part.is_root();
    let filesystem = part.filesystem.as_ref().filter(|_| !is_lvm);
    // A hash tree lies behind the file system that it is of, and nothing between the two.
    let layers = part.layers.iter().filter(|layer| **layer != Layer::Verity).copied().map(Layer::name);
    let slot = part.entry.as_ref().map(|entry| &entry.slot);
    let (type_guid, partuuid, mbr_type, active) = match slot {
        Some(Slot::Gpt { type_guid, guid, .. }) => (Some(*type_guid), Some(*guid), None, false),
        Some(Slot::Mbr { mbr_type, active }) => (None, None, Some(*mbr_type), *active),
        Some(Slot::Dasd) | None => (None, None, None, false),
    };
    // fdasd decides where partitions lie.
    let place = place.filter(|_| slot != Some(&Slot::Dasd));
    let is_swap = filesystem.is_some_and(|one| one.mkfs.name == "swap");
    let mountpoint = filesystem.and_then(|one| one.mountpoint.as_deref());
    PartitionReport {
        number: part.entry.as_ref().map(|entry| entry.number),
        name: part.name(),
        role: &part.role,
        size: part.size.to_string(),
        why: &part.why,
        start_sector: place.map(|place| place.start / sector),
        size_sectors: place.map(|place| place.len / sector),
        least_bytes: place.and_then(|place| place.least),
        type_guid,
        partuuid,
        mbr_type: mbr_type.map(|kind| format!("{kind:x}")),
        active,
        filesystem: if is_lvm { Some("LVM2_member".to_owned()) } else { filesystem.map(|one| one.kind()) },
        label: filesystem.and_then(|one| one.label.as_deref()),
        uuid: filesystem.map(|one| one.id.as_str()),
        mountpoint: if is_swap { Some("swap") } else { mountpoint },
        layers: layers.chain(is_lvm.then_some("lvm")).collect(),
        clone_of: part.clone_of.as_deref(),
        image: part.image.as_ref().map(|image| image.path.display().to_string()),
        profile: filesystem.and_then(|one| one.profile.as_ref()),
        usage: place.and_then(|place| place.usage),
    }
}

/// The records of sector 0: real ones, those of a hybrid, or the one that protects a GPT.
fn mbr_entries(fit: &Fit, disk: &DiskPlan) -> Vec<MbrReport> {
    let sector = u64::from(disk.sector_size.bytes());
    let record = |slot, kind: u8, active, start: u64, len: u64| MbrReport {
        slot,
        active,
        kind: format!("{kind:02x}"),
        start_sector: start / sector,
        size_sectors: (len / sector).min(u32::MAX.into()),
    };
    let slots = || {
        fit.places.iter().filter_map(|place| {
            place.part.entry.as_ref().map(|Entry { number, slot, .. }| (place, *number, slot))
        })
    };
    let mut entries: Vec<MbrReport> = match disk.table {
        Table::Dasd => Vec::new(),
        Table::Gpt { .. } => {
            let hybrid = slots().filter_map(|(place, _, slot)| match slot {
                Slot::Gpt { hybrid: Some(kind), .. } => Some((place, *kind)),
                _ => None,
            });
            let mirrored: Vec<MbrReport> = (2..)
                .zip(hybrid)
                .map(|(slot, (place, kind))| record(slot, kind, false, place.start, place.len))
                .collect();
            let end = if mirrored.is_empty() { fit.len - disk.unpartitioned.0 } else { disk.first.0 };
            let guard = record(1, 0xee, false, sector, end - sector);
            std::iter::once(guard).chain(mirrored).collect()
        }
        Table::Mbr { .. } => {
            let primary = slots().filter_map(|(place, number, slot)| match slot {
                Slot::Mbr { mbr_type, active } if number <= 4 => {
                    Some(record(number, *mbr_type, *active, place.start, place.len))
                }
                _ => None,
            });
            let logical = slots().find(|(_, number, _)| *number > 4);
            let end = fit.len - disk.unpartitioned.0;
            let extended = logical.map(|(place, _, _)| (place.start - MIB, end));
            let extended = extended.map(|(start, end)| record(4, 0x05, false, start, end - start));
            primary.chain(extended).collect()
        }
    };
    entries.sort_by_key(|entry| entry.slot);
    entries
}
