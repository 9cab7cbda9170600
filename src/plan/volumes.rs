//! Volumes of LVM and subvolumes of btrfs, as KIWI NG 11.1.6 makes them (`volume_manager/lvm.py`, `btrfs.py`): planned, and
//! not written yet.

use super::{FstabEntry, Part, ROOT, VolumePlan, device, kiwi};
use crate::model::{Disk, Naming, SystemVolume, VolumeManager, Volumes};
use diskwright_fstools::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

/// Id of the first subvolume (btrfs: `BTRFS_FIRST_FREE_OBJECTID`).
const FIRST_SUBVOLUME: u64 = 256;

/// Volumes in the order in which they are made: by depth of their paths, then by name; what takes the rest last.
pub(super) fn ordered(volumes: &[SystemVolume]) -> Vec<&SystemVolume> {
    // Of two at one path the last counts.
    let paths = volumes.iter().filter(|one| !one.fullsize).map(|one| (one.realpath.as_str(), one));
    let mut all: Vec<&SystemVolume> = paths.collect::<BTreeMap<_, _>>().into_values().collect();
    all.sort_by_key(|one| one.realpath.matches('/').count());
    all.extend(volumes.iter().rfind(|one| one.fullsize));
    all
}

/// Entries of all volumes. The root of btrfs is an entry of its partition.
pub(super) fn fstab(disk: &Disk, volumes: &Volumes, parts: &[Part]) -> Vec<FstabEntry> {
    match &volumes.manager {
        VolumeManager::Lvm { group, format, options } => {
            let entry = |volume: &SystemVolume| {
                let is_swap = is_swap(volume);
                let mountpoint = match is_swap {
                    true => "swap".to_owned(),
                    false => absolute(&volume.realpath),
                };
                let checked = volume.attributes.iter().any(|one| one == "enable-for-filesystem-check");
                FstabEntry {
                    spec: format!("/dev/{group}/{}", volume.name),
                    kind: if is_swap { "swap".to_owned() } else { format.name.clone() },
                    options: if is_swap { "defaults".to_owned() } else { options.clone() },
                    pass: if volume.is_root_volume { 1 } else { 2 * u8::from(checked && !is_swap) },
                    mountpoint,
                }
            };
            let mounted = |volume: &&SystemVolume| !is_blank(volume);
            ordered(&volumes.volumes).into_iter().filter(mounted).map(entry).collect()
        }
        VolumeManager::Btrfs { options, .. } => {
            let Some(root) = parts.iter().find(|part| part.role == ROOT) else { return Vec::new() };
            // KIWI names subvolumes by UUID where it is asked for PARTUUID.
            let naming = if disk.naming == Naming::Label { Naming::Label } else { Naming::Uuid };
            let Some(spec) = device(naming, root) else { return Vec::new() };
            let entry = |(subvolume, mountpoint): (String, String)| FstabEntry {
                spec: spec.clone(),
                mountpoint,
                kind: "btrfs".to_owned(),
                options: format!("{options},subvol={subvolume}"),
                pass: 0,
            };
            mounted_subvolumes(volumes).into_iter().map(entry).collect()
        }
    }
}

/// The label that KIWI knows swap by.
const SWAP_LABEL: &str = "SWAP";

/// Swap of `oem-swap`.
fn is_swap(volume: &SystemVolume) -> bool {
    volume.label.as_deref() == Some(SWAP_LABEL) && volume.realpath == "swap"
}

/// KIWI makes no file system in a volume that it takes for swap.
fn is_blank(volume: &SystemVolume) -> bool {
    volume.label.as_deref() == Some(SWAP_LABEL) && !is_swap(volume)
}

fn absolute(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

/// Subvolumes that fstab mounts, each with its mount point.
fn mounted_subvolumes(volumes: &Volumes) -> Vec<(String, String)> {
    let VolumeManager::Btrfs { toplevel, snapper, .. } = &volumes.manager else { return Vec::new() };
    let snapshots = toplevel.as_ref().filter(|_| *snapper).map(|name| format!("{name}/.snapshots"));
    let snapshots = snapshots.map(|path| (path, "/.snapshots".to_owned()));
    let others = ordered(&volumes.volumes).into_iter().filter(|one| !one.is_root_volume).map(|volume| {
        let parent =
            if volume.parent.is_empty() { toplevel.as_deref().unwrap_or("") } else { &volume.parent };
        let path = normal(&format!("{parent}/{}", volume.realpath));
        let below = toplevel.as_deref().and_then(|name| path.strip_prefix(name)).unwrap_or(&path).to_owned();
        (path, absolute(&below))
    });
    snapshots.into_iter().chain(others).collect()
}

/// Without empty parts and slashes at the ends.
fn normal(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty()).collect::<Vec<&str>>().join("/")
}

/// All volumes in the order in which they are made. On LVM with sizes where there is a tree.
pub(super) fn planned(volumes: &Volumes, root_label: Option<&str>, tree: Option<&Tree>) -> Vec<VolumePlan> {
    match &volumes.manager {
        VolumeManager::Lvm { format, .. } => {
            let mut taken = BTreeSet::new();
            let plan = |volume: &SystemVolume| {
                let is_swap = is_swap(volume);
                let size = tree
                    .filter(|_| !volume.fullsize)
                    .map(|tree| kiwi::volume_mib(volume, volumes, &format.name, tree));
                let mountpoint = if is_swap { "swap".to_owned() } else { absolute(&volume.realpath) };
                VolumePlan::Lvm {
                    name: volume.name.clone(),
                    size_mib: size,
                    requested: volume.size,
                    filesystem: match is_blank(volume) {
                        true => None,
                        false if is_swap => Some("swap".to_owned()),
                        false => Some(format.name.clone()),
                    },
                    label: match &volume.label {
                        _ if is_blank(volume) => None,
                        None if volume.is_root_volume => root_label.map(str::to_owned),
                        label => label.clone(),
                    },
                    mountpoint: Some(mountpoint)
                        .filter(|path| !is_blank(volume) && taken.insert(path.clone())),
                    attributes: volume.attributes.clone(),
                    root: volume.is_root_volume,
                }
            };
            ordered(&volumes.volumes).into_iter().map(plan).collect()
        }
        VolumeManager::Btrfs { toplevel, snapper, default, .. } => {
            // What is found by the default subvolume is mounted by nobody.
            let top = toplevel.iter().map(|name| (name.clone(), (!default).then(|| "/".to_owned())));
            let mut all: Vec<(String, Option<String>)> = top.collect();
            for (path, mountpoint) in mounted_subvolumes(volumes) {
                let is_snapshots = *snapper && mountpoint == "/.snapshots";
                all.push((path.clone(), Some(mountpoint)));
                if is_snapshots {
                    all.push((format!("{path}/1/snapshot"), None));
                }
            }
            let numbered = (FIRST_SUBVOLUME..).zip(all);
            numbered.map(|(id, (name, mountpoint))| VolumePlan::Btrfs { name, id, mountpoint }).collect()
        }
    }
}
