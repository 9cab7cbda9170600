//! Partitions of an image to entries of its table: clones in front of their origin, numbers, names, types.

use super::{ESP, Entry, FilesystemPlan, Part, ROOT, Slot, filesystem_plan, fs_identity, guids};
use crate::model::{
    Contents, Disk, Image, ImageFormat, ImageSource, Mkfs, Partition, PartitionKind, Rule, Table,
};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::table::gpt;
use diskwright_fstools::registry::find;
use std::collections::BTreeSet;

/// Primary partitions of an MBR.
const PRIMARY: u32 = 4;
/// Number of the first logical partition.
const FIRST_LOGICAL: u32 = 5;
/// Partitions of a GPT that a hybrid MBR has, too.
const HYBRID: usize = 3;
/// Primary partitions in front of an extended one (KIWI's).
const IN_FRONT: usize = 3;
/// Type in an MBR of what KIWI knows no other for.
const MBR_LINUX: u8 = 0x83;
/// Type in an MBR of an EFI system partition.
const MBR_ESP: u8 = 0xef;

/// Refused: numbers that are taken or not there, more partitions than the table holds.
pub(super) fn parts(image: &Image, disk: &Disk, identity: &Identity) -> Result<Vec<Part>, Refusal> {
    let numbers = numbers(disk)?;
    let mut parts = Vec::new();
    for (partition, numbers) in disk.partitions.iter().zip(numbers) {
        let Numbers { clones, origin } = numbers;
        let kind = partition.kind;
        for (at, number) in clones.iter().enumerate() {
            // A clone of a chosen number is named by its own.
            let index = if partition.number.is_some() { *number } else { at as u32 + 1 };
            let origin = clone_base(partition);
            let name = format!("p.lx{origin}clone{index}");
            let role = format!("{origin}clone{index}");
            // KIWI gives a type of the Discoverable Partitions Specification to the origin alone: clones are never mounted.
            let part = part(image, disk, partition, &role, Some(&partition.role), identity)?;
            parts.push(entered(part, disk, kind, None, *number, name, identity));
        }
        let part = part(image, disk, partition, &partition.role, None, identity)?;
        let name = partition.name.clone();
        parts.push(entered(part, disk, kind, partition.type_guid, origin, name, identity));
    }
    // An MBR has room for three beside the one that says that there is a GPT.
    for part in parts.iter_mut().skip(HYBRID) {
        if let Some(Entry { slot: Slot::Gpt { hybrid, .. }, .. }) = &mut part.entry {
            *hybrid = None;
        }
    }
    if matches!(disk.table, Table::Mbr { .. }) && disk.kiwi_sizes.is_some() {
        kiwi_mbr(disk, &mut parts);
    }
    Ok(parts)
}

/// The name that clones have from their origin. KIWI calls those of the read-only root after the root.
fn clone_base(partition: &Partition) -> &str {
    if partition.role == "readonly" { ROOT } else { &partition.role }
}

/// Numbers of a partition and its clones.
struct Numbers {
    clones: Vec<u32>,
    origin: u32,
}

fn numbers(disk: &Disk) -> Result<Vec<Numbers>, Refusal> {
    let refuse = |object: &str, reason: String, hint: &str| {
        Refusal::new(RefusalKind::Invalid, Spot::new("disk", object), reason).hint(hint)
    };
    let count: u64 = disk.partitions.iter().map(|one| u64::from(one.clones) + 1).sum();
    let most = match disk.table {
        Table::Mbr { extended: false, .. } => u64::from(PRIMARY),
        Table::Mbr { .. } | Table::Gpt { .. } => u64::from(gpt::ENTRIES),
        Table::Dasd => 3,
    };
    if count > most {
        let name = match disk.table {
            Table::Gpt { .. } => "a GPT",
            Table::Mbr { .. } => "an MBR",
            Table::Dasd => "a DASD",
        };
        let hint = match disk.table {
            Table::Mbr { extended: false, converted: false } => {
                "dosparttable_extended_layout=\"true\", or a GPT"
            }
            _ => "fewer partitions or clones",
        };
        return Err(refuse(
            "",
            format!("{count} partitions with their clones, and {name} holds {most}"),
            hint,
        ));
    }
    let extended = matches!(disk.table, Table::Mbr { extended: true, .. });
    let mut taken: BTreeSet<u32> = BTreeSet::new();
    // What was chosen is taken from the start, so that no automatic number gets in its way.
    for partition in &disk.partitions {
        let Some(number) = partition.number else { continue };
        if extended {
            let reason =
                "a chosen number together with logical partitions, which are numbered in their order";
            return Err(refuse(&partition.name, reason.to_owned(), "leave it out"));
        }
        let highest = u64::from(number) + u64::from(partition.clones);
        if number == 0 || highest > most {
            let wrong = if number == 0 { 0 } else { highest };
            let reason = format!("a partition number that the table does not have: {wrong}");
            return Err(refuse(&partition.name, reason, &format!("1 to {most}")));
        }
        for number in number..=number + partition.clones {
            if !taken.insert(number) {
                let reason = format!("a partition number that is taken: {number}");
                return Err(refuse(
                    &partition.name,
                    reason,
                    "clones take the numbers behind that of their origin",
                ));
            }
        }
    }
    let mut last = 0;
    let mut before = 0;
    let mut all = Vec::new();
    for partition in &disk.partitions {
        let mut next = || {
            last = match before {
                _ if !extended => (last + 1..).find(|number| !taken.contains(number)).unwrap_or(u32::MAX),
                at if at < IN_FRONT => last + 1,
                at => FIRST_LOGICAL + (at - IN_FRONT) as u32,
            };
            before += 1;
            taken.insert(last);
            last
        };
        let numbers = match partition.number {
            Some(number) => {
                last = number;
                let clones = (number + 1..=number + partition.clones).collect();
                Numbers { clones, origin: number }
            }
            None => {
                let clones: Vec<u32> = (0..partition.clones).map(|_| next()).collect();
                Numbers { clones, origin: next() }
            }
        };
        let highest = numbers.clones.iter().copied().max().unwrap_or(0).max(numbers.origin);
        let limit = if extended { u32::MAX } else { most as u32 };
        if highest > limit {
            let reason = format!("a partition number that the table does not have: {highest}");
            return Err(refuse(&partition.name, reason, &format!("1 to {limit}")));
        }
        all.push(numbers);
    }
    Ok(all)
}

fn part(
    image: &Image,
    disk: &Disk,
    partition: &Partition,
    role: &str,
    origin: Option<&str>,
    identity: &Identity,
) -> Result<Part, Refusal> {
    let mountpoint = partition.contents.mountpoint().filter(|_| origin.is_none());
    let plan = |format| filesystem_plan(image, format, (role, origin), mountpoint, identity);
    Ok(Part {
        role: role.to_owned(),
        entry: None,
        clone_of: origin.map(str::to_owned),
        clones: partition.clones,
        size: partition.size,
        why: why(disk, partition, origin),
        knob: partition.knob.clone(),
        layers: partition.layers.clone(),
        packed: matches!(partition.contents, Contents::Packed(_)),
        image: match &partition.contents {
            Contents::Image { source, .. } => Some(source.clone()),
            _ => None,
        },
        mount_options: match &partition.contents {
            Contents::Mounted { options, .. } | Contents::Image { mount: Some((_, options)), .. } => {
                Some(options.clone()).filter(|_| origin.is_none())
            }
            _ => None,
        },
        filesystem: match &partition.contents {
            Contents::Image { source, .. } => image_plan(source, (role, origin), mountpoint, identity)?,
            contents => contents.format().map(plan).transpose()?,
        },
    })
}

/// The file system in an image; a clone has an id of its own.
fn image_plan(
    source: &ImageSource,
    (role, origin): (&str, Option<&str>),
    mountpoint: Option<&str>,
    identity: &Identity,
) -> Result<Option<FilesystemPlan>, Refusal> {
    let Some(ImageFormat { name, id, label }) = source.format.clone() else { return Ok(None) };
    let mkfs = Mkfs::new(&name, Vec::new())?;
    let id = match origin {
        None => id,
        Some(_) => mkfs.filesystem()?.id(&fs_identity(identity, role, origin)),
    };
    let mountpoint = mountpoint.map(str::to_owned);
    Ok(Some(FilesystemPlan { mkfs, id, label, mountpoint, profile: None, target: None }))
}

fn why(disk: &Disk, partition: &Partition, origin: Option<&str>) -> String {
    let special = match (partition.role.as_str(), disk.table) {
        ("efi_csm", Table::Gpt { .. }) => {
            Some("KIWI puts an empty BIOS boot partition on disks for UEFI, unless eficsm=\"false\"")
        }
        ("efi_csm", _) => Some("KIWI puts an empty partition in front of an EFI system partition on an MBR"),
        _ => None,
    };
    match (origin, special) {
        (Some(origin), _) => format!("as long as its origin, {origin}"),
        (None, Some(why)) => why.to_owned(),
        (None, None) => format!("{}{}", why_long(disk, partition), differs(disk, partition)),
    }
}

/// What KIWI means and does not do.
fn differs(disk: &Disk, partition: &Partition) -> &'static str {
    let plain_mbr = matches!(disk.table, Table::Mbr { converted: false, .. }) && disk.kiwi_sizes.is_none();
    let first = disk.partitions.first().is_some_and(|one| one.role == partition.role && one.clones == 0);
    let fixed = [ROOT, "boot", "readonly"].contains(&partition.role.as_str());
    if plain_mbr && partition.kind == PartitionKind::Esp {
        "; KIWI gives it the type 83, which firmware may pass over"
    } else if plain_mbr && first && disk.active.as_ref() == Some(&partition.role) {
        "; KIWI's tools lose its active flag"
    } else if partition.type_guid.is_some() && !fixed && matches!(disk.table, Table::Gpt { .. }) {
        "; KIWI sets its discoverable type and takes it back"
    } else {
        ""
    }
}

/// Why an origin is as long as it is; where that is KIWI's guess, why it is.
fn why_long(disk: &Disk, partition: &Partition) -> String {
    if !matches!(partition.size, Rule::Times(_) | Rule::Free { .. }) {
        return super::why(partition.size);
    }
    if disk.kiwi_sizes.is_some() && [ROOT, "readonly"].contains(&partition.role.as_str()) {
        return "what KIWI computes".to_owned();
    }
    let format = partition.contents.format().map(|format| format.name.as_str());
    let guessed = match (&partition.contents, &disk.volumes) {
        (Contents::Packed(format), _) => Some(format!("a packed {}", format.name)),
        (_, Some(volumes)) if partition.role == ROOT => {
            Some(format!("volumes of {}", volumes.manager.name()))
        }
        _ => format.filter(|name| find(name).is_none()).map(str::to_owned),
    };
    let why = super::why(partition.size);
    guessed.map_or(why.clone(), |what| format!("{why}, by KIWI's guess: {what} cannot be measured yet"))
}

fn entered(
    part: Part,
    disk: &Disk,
    kind: PartitionKind,
    type_guid: Option<uuid::Uuid>,
    number: u32,
    name: String,
    identity: &Identity,
) -> Part {
    let slot = match disk.table {
        Table::Gpt { hybrid } => Slot::Gpt {
            type_guid: type_guid.unwrap_or(kind.type_guid()),
            guid: identity.role("part").role(&part.role).uuid("guid"),
            hybrid: hybrid.then(|| hybrid_type(kind, type_guid)),
        },
        Table::Mbr { converted, .. } => Slot::Mbr {
            mbr_type: if converted { converted_type(kind) } else { kind.mbr_type() },
            active: disk.active.as_ref() == Some(&part.role),
        },
        Table::Dasd => Slot::Dasd,
    };
    Part { entry: Some(Entry { number, name, slot }), ..part }
}

/// As sgdisk maps type GUIDs to types of an MBR.
fn hybrid_type(kind: PartitionKind, type_guid: Option<uuid::Uuid>) -> u8 {
    match kind {
        PartitionKind::BiosBoot | PartitionKind::Esp => MBR_ESP,
        _ if type_guid == Some(guids::XBOOTLDR) => 0xea,
        kind => kind.mbr_type(),
    }
}

/// As sgdisk converts a GPT, which is how KIWI makes an MBR with `force_mbr`.
fn converted_type(kind: PartitionKind) -> u8 {
    hybrid_type(kind, None)
}

/// What KIWI's tools leave of an MBR: partition 1 is made anew at the end, and it knows no types for UEFI.
fn kiwi_mbr(disk: &Disk, parts: &mut [Part]) {
    let converted = matches!(disk.table, Table::Mbr { converted: true, .. });
    for part in parts {
        let is_efi = [ESP, "efi_csm"].contains(&part.role.as_str());
        let Some(Entry { number, slot: Slot::Mbr { mbr_type: kind, active }, .. }) = &mut part.entry else {
            continue;
        };
        let first = *number == 1 && !converted;
        if first || (is_efi && !converted) {
            *kind = MBR_LINUX;
        }
        *active &= !first;
    }
}

/// What the size of a partition comes to where its rule depends on nothing else.
pub(super) fn known(part: &Part) -> u64 {
    match part.size {
        Rule::Exact(bytes) | Rule::Free { least: bytes, .. } => bytes.0,
        Rule::Rest | Rule::Times(_) => 0,
    }
}
