//! KIWI's arithmetic of sizes (KIWI NG 11.1.6 `system/size.py`, `storage/setup.py`, `builder/disk.py`): all in MiB, rounded
//! down wherever KIWI rounds down. It also estimates what cannot be laid yet.

use super::fit::{before, usable};
use super::{DiskPlan, Part, ROOT};
use crate::model::lexical::Mebibytes;
use crate::model::{KiwiSizes, MIB, Room, Rule, SystemVolume, Volumes, mib};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::tree::{Kind, NodeId, Tree};
use std::collections::BTreeSet;

/// What KIWI adds for LVM.
pub(super) const LVM: u64 = 80;
/// What KIWI keeps free behind a root whose length it computes, and adds to a packed root.
const LEAST_PARTITION: u64 = 10;
/// What `du` counts for a directory: what ext4 says of most.
const DIRECTORY: u64 = 4096;
/// Bytes that KIWI counts for a file's inode, twice.
const INODE: u64 = 256;
/// Roles of what KIWI counts when it divides a disk.
const COUNTED: [&str; 7] = [ROOT, "readonly", "swap", "efi_csm", "boot", super::ESP, "prep"];
/// What is not counted: mount points of the kernel.
const DEVICES: [&str; 3] = ["proc", "sys", "dev"];

/// What KIWI says of a tree or a directory in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weight {
    /// Apparent sizes, in MiB.
    data: u64,
    /// Names, its own among them.
    files: u64,
}

/// A directory, without what lies at or below `exclude`.
fn weigh(tree: &Tree, path: &str, exclude: &[&str]) -> Option<Weight> {
    let top = tree.lookup(path.as_bytes())?;
    let inside = |name: &str| tree.lookup(format!("{path}/{name}").as_bytes());
    let mut left_out: BTreeSet<NodeId> = DEVICES.iter().filter_map(|name| inside(name)).collect();
    left_out.extend(exclude.iter().filter_map(|path| tree.lookup(path.as_bytes())));
    let mut counted: BTreeSet<NodeId> = BTreeSet::new();
    let (mut bytes, mut files) = (0u64, 0u64);
    let mut open = vec![(top, true)];
    while let Some((at, weighs)) = open.pop() {
        files += 1;
        let weighs = weighs && !left_out.contains(&at);
        let size = match &tree.node(at).kind {
            Kind::Directory(_) => {
                open.extend(tree.children(at).map(|(_, child)| (child, weighs)));
                DIRECTORY
            }
            Kind::File(data) => data.size(),
            Kind::Symlink(target) => target.len() as u64,
            _ => 0,
        };
        // A file of several names is counted once.
        if weighs && counted.insert(at) {
            bytes = bytes.saturating_add(size);
        }
    }
    Some(Weight { data: bytes / MIB, files })
}

/// KIWI's guess at what a file system needs for a weight.
fn guess(weight: Weight, filesystem: &str) -> u64 {
    let Weight { data, files } = weight;
    match filesystem {
        name if name.starts_with("ext") => (data * 3 * (MIB / 2) + 2 * files * INODE) / MIB,
        "btrfs" | "xfs" => data * 3 / 2,
        _ => data,
    }
}

/// KIWI's guess at what a file system needs for a tree, in bytes.
pub(super) fn estimate(filesystem: &str, tree: &Tree) -> u64 {
    let weight = weigh(tree, "", &[]).unwrap_or_default();
    guess(weight, filesystem).max(least_volume(filesystem)).saturating_mul(MIB)
}

/// What a packed root is guessed at, in bytes, until it can be packed: half of what it holds.
pub(super) fn packed(tree: &Tree) -> u64 {
    (weigh(tree, "", &[]).unwrap_or_default().data / 2 + LEAST_PARTITION) * MIB
}

/// The smallest volume of a file system.
fn least_volume(filesystem: &str) -> u64 {
    crate::model::least_volume(filesystem.parse().ok()).0
}

/// What KIWI makes of a tree: how long the disk is, and how long the partitions whose length it computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// In bytes, without what stays unpartitioned.
    pub(super) disk: u64,
    /// What it would be without `size`, in MiB.
    pub(super) calculated: u64,
    /// Whether the root is as long as the disk allows.
    pub(super) root_of_disk: bool,
    /// Of each part in bytes; `None`: the rest of the disk.
    pub(super) parts: Vec<Option<u64>>,
}

/// Refused: partitions and volumes that are too small for what they hold, by KIWI's own guess.
pub(super) fn sizes(
    sizes: &KiwiSizes,
    plan: &DiskPlan,
    parts: &[Part],
    tree: &Tree,
) -> Result<Sizes, Refusal> {
    let volumes = plan.volumes.as_ref();
    let is_lvm = volumes.is_some_and(Volumes::is_lvm);
    let whole = weigh(tree, "", &[]).unwrap_or_default();
    let readonly = parts.iter().find(|part| part.role == "readonly");
    let root_clones =
        readonly.or_else(|| parts.iter().find(|part| part.role == ROOT)).map_or(0, |part| part.clones);
    let root = guess(whole, &sizes.filesystem) * (u64::from(root_clones) + 1);
    let mut calculated = root + described(parts, tree)?;
    if let Some(volumes) = volumes.filter(|_| is_lvm) {
        calculated += LVM + volumes_mib(&sizes.filesystem, volumes, root, tree)?;
    }
    let fixed = |role: &str| -> u64 { parts.iter().filter(|part| base(part) == role).map(exact).sum() };
    calculated += ["swap", "efi_csm", "boot", super::ESP, "prep"].map(fixed).iter().sum::<u64>();
    calculated += sizes.spare + sizes.recovery * 17 / 10;
    let disk = match sizes.size {
        None => calculated,
        Some(size) if size.additive => calculated + size.mebibytes,
        Some(size) => size.mebibytes,
    };
    let packed = readonly.map(|part| match part.size {
        Rule::Exact(bytes) => bytes.0 / MIB,
        _ => whole.data / 2 + LEAST_PARTITION,
    });
    let readonly_clones = readonly.map_or(0, |part| u64::from(part.clones));
    // KIWI counts neither the partitions of the description nor a spare one here.
    let used = ["swap", "efi_csm", "boot", super::ESP, "prep"].map(fixed).iter().sum::<u64>()
        + packed.unwrap_or(0) * (readonly_clones + 1);
    let clones = if readonly.is_some() { 0 } else { u64::from(root_clones) };
    let rooms = clones + 1;
    let mut root = root_mib(sizes, disk, used, rooms);
    // KIWI does not see these when it divides a disk, and then fails at the table.
    let unseen = uncounted(sizes, parts);
    let others = mib(used + unseen + if sizes.spare_last { sizes.spare } else { 0 }).0;
    let taken = others + plan.first.0 + parts.iter().map(before).sum::<u64>();
    let all = mib(root.unwrap_or(0) * rooms).0;
    if root_of_disk(sizes, clones) && taken + all > usable(plan, mib(disk).0 + plan.unpartitioned.0) {
        root = root_mib(sizes, disk, used + unseen, rooms);
    }
    let length = |part: &Part| match base(part) {
        "readonly" => packed,
        ROOT => root,
        "spare" if sizes.spare_last => None,
        _ => Some(exact(part)),
    };
    let parts = parts.iter().map(|part| length(part).map(|size| size.saturating_mul(MIB))).collect();
    Ok(Sizes { disk: disk.saturating_mul(MIB), calculated, root_of_disk: root_of_disk(sizes, clones), parts })
}

/// The role of a part or of its origin.
fn base(part: &Part) -> &str {
    part.clone_of.as_deref().unwrap_or(&part.role)
}

fn exact(part: &Part) -> u64 {
    super::entries::known(part) / MIB
}

/// The root or each of its clones; `None`: what is left.
fn root_mib(sizes: &KiwiSizes, disk: u64, used: u64, rooms: u64) -> Option<u64> {
    let left = disk.saturating_sub(used).saturating_sub(LEAST_PARTITION);
    if sizes.spare > 0 && sizes.spare_last {
        return Some(left.saturating_sub(sizes.spare) / rooms);
    }
    if sizes.system > 0 && (!sizes.resize || sizes.spare_last) {
        return Some(sizes.system);
    }
    (rooms > 1).then(|| left / rooms)
}

/// Whether [`root_mib`] is a part of the disk.
fn root_of_disk(sizes: &KiwiSizes, clones: u64) -> bool {
    let spare = sizes.spare > 0 && sizes.spare_last;
    let system = sizes.system > 0 && (!sizes.resize || sizes.spare_last);
    spare || (clones > 0 && !system)
}

/// Partitions of the description with their clones, and a spare one that is not the last, in MiB.
fn uncounted(sizes: &KiwiSizes, parts: &[Part]) -> u64 {
    let spare = |part: &&Part| base(part) != "spare" || !sizes.spare_last;
    parts.iter().filter(|part| !COUNTED.contains(&base(part))).filter(spare).map(exact).sum()
}

/// Partitions of the description: what they have more than they hold.
fn described(parts: &[Part], tree: &Tree) -> Result<u64, Refusal> {
    let mut sum = 0;
    for part in parts.iter().filter(|part| {
        part.clone_of.is_none() && !COUNTED.contains(&part.role.as_str()) && part.role != "spare"
    }) {
        let Some(filesystem) = &part.filesystem else { continue };
        let Some(mountpoint) = &filesystem.mountpoint else { continue };
        let name = filesystem.mkfs.name.as_str();
        let held = weigh(tree, mountpoint, &[]).map_or(0, |weight| guess(weight, name));
        let held = if name == "squashfs" { 0 } else { held };
        let size = exact(part);
        let more = size.checked_sub(held).filter(|&more| more > 0);
        let more = more.ok_or_else(|| too_small(part.name(), size, held, mountpoint, &part.knob))?;
        sum += more * (u64::from(part.clones) + 1);
    }
    Ok(sum)
}

fn too_small(name: &str, size: u64, held: u64, path: &str, knob: &str) -> Refusal {
    let reason = format!("too small: {size} MiB, and KIWI guesses that {path} needs {held} MiB");
    let needed = Some(mib(held + 1).0);
    let hint = format!("{} MiB would do: {}", held + 1, knob.replace("{}", &(held + 1).to_string()));
    Refusal::new(RefusalKind::TooSmall { needed }, Spot::new("disk", name), reason).hint(hint)
}

/// What the volumes of LVM have more than they hold. Refused: a volume that is too small for what it holds.
pub(super) fn volumes_mib(
    filesystem: &str,
    Volumes { volumes, resize, .. }: &Volumes,
    root: u64,
    tree: &Tree,
) -> Result<u64, Refusal> {
    let least = least_volume(filesystem);
    if *resize {
        return Ok(least * volumes.len() as u64);
    }
    let held = |volume: &SystemVolume| {
        weigh(tree, &volume.realpath, &[]).map_or(0, |weight| guess(weight, filesystem))
    };
    let inner = || volumes.iter().filter(|one| one.realpath != "/" && !one.realpath.is_empty());
    let mut sum = 0;
    for volume in inner() {
        let Some(room) = volume.size else { continue };
        let held = held(volume);
        let (size, more) = match room {
            Room::Freespace(Mebibytes(more)) => (more, Some(more)),
            Room::Size(Mebibytes(size)) => (size, size.checked_sub(held)),
        };
        let knob = format!("size=\"{{}}M\" of volume {}", volume.name);
        let more = more.filter(|&more| more > 0);
        sum += more.ok_or_else(|| too_small(&volume.name, size, held, &volume.realpath, &knob))? + least;
    }
    if let Some(room) = volumes.iter().find(|one| one.is_root_volume).and_then(|one| one.size) {
        let inside: u64 = inner().map(held).sum();
        let more = match room {
            Room::Freespace(more) => more.0,
            Room::Size(size) => (size.0 + inside).saturating_sub(root),
        };
        sum += if more > 0 { more + least } else { 0 };
    }
    Ok(sum)
}

/// A volume that does not take the rest.
pub(super) fn volume_mib(
    volume: &SystemVolume,
    Volumes { volumes, resize, .. }: &Volumes,
    filesystem: &str,
    tree: &Tree,
) -> u64 {
    let least = least_volume(filesystem);
    let size = match volume.size {
        _ if *resize => least,
        Some(Room::Freespace(more)) => more.0,
        Some(Room::Size(size)) => return size.0,
        None => return 0,
    };
    let path = volume.realpath.as_str();
    let others = volumes.iter().map(|one| one.realpath.as_str()).filter(|&other| other != path);
    let nested: Vec<&str> = others.filter(|other| path == "/" || other.starts_with(path)).collect();
    match weigh(tree, path, &nested) {
        None => size,
        Some(weight) => size + if size == least { 0 } else { least } + guess(weight, filesystem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_round_down_once() {
        let weight = Weight { data: 1001, files: 40_001 };
        assert_eq!(guess(weight, "ext4"), 1521);
        assert_eq!(guess(weight, "xfs"), 1501);
        assert_eq!(guess(weight, "squashfs"), 1001);
    }
}
