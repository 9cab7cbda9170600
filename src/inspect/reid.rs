//! New ids for an image: the table's, the file systems', or both.

use super::{Fault, Inspected, Table, Volume};
use crate::plan::Run;
use diskwright_formats::fault::{DamageKind, Refusal, RefusalKind, ReidError, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{ContentId, Layout, OneFile, Patch, ReadAt, Reader, Window};
use diskwright_formats::table::{gpt, mbr};
use diskwright_fstools::registry::Opened;
use diskwright_fstools::tree::{Data, Kind, NodeId};
use serde::Serialize;
use std::fmt;
use std::ops::Range;

/// An id that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `disk`, `partition` or `filesystem`.
    pub level: &'static str,
    /// `gpt`, `mbr`, `partition 2 (root)`, or the name of a bare file system.
    pub object: String,
    /// The id that it has.
    pub old: String,
    /// The id that it gets.
    pub new: String,
    /// Bytes of the disk (not of its container) that change with it.
    pub ranges: Vec<Run>,
}

/// What new ids change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// By position, for the disk in the image.
    pub patches: Vec<Patch>,
    /// The same told by level.
    pub changes: Vec<Change>,
    /// Partitions whose file system is not known here and keeps its ids.
    pub unknown: Vec<String>,
}

/// Why there are no new ids, and in which part of the image.
#[derive(Clone, Debug)]
pub struct Unchangeable {
    /// `disk`, or `partition 2 (root)`.
    pub within: String,
    /// Why.
    pub error: Box<ReidError>,
}

impl fmt::Display for Unchangeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.within, self.error)
    }
}

impl std::error::Error for Unchangeable {}

/// All ids that tell copies of an image apart, as they are.
pub fn ids(inspected: &Inspected) -> Vec<String> {
    let table = inspected.table.iter().flat_map(|table| {
        let disk = match table {
            Table::Gpt(gpt) => vec![gpt.disk_guid.to_string(), format!("{:08x}", gpt.disk_signature)],
            Table::Mbr(mbr) => vec![format!("{:08x}", mbr.disk_id)],
        };
        disk.into_iter().chain(table.partitions().into_iter().map(|partition| partition.id()))
    });
    let volumes = inspected.volumes.iter().filter_map(|volume| volume.found.as_ref());
    table.chain(volumes.map(|(_, opened)| opened.id.clone())).collect()
}

/// New ids for a bare file system, or for the table of a disk, and with `filesystems` for all file systems in it that are
/// known here. Roles: `disk`, `fs/NUMBER`, `fs`.
pub fn reid(
    image: &dyn ReadAt,
    inspected: &Inspected,
    identity: &Identity,
    filesystems: bool,
) -> Result<Changed, Unchangeable> {
    let contents = OneFile(image);
    let disk = Reader::new(&inspected.disk, &contents);
    let mut changed = Changed { patches: Vec::new(), changes: Vec::new(), unknown: Vec::new() };
    let has_table = inspected.table.is_some();
    match has_table {
        true => refuse_damaged_table(inspected)?,
        false => refuse_unreadable(inspected)?,
    }
    if let Some(table) = &inspected.table {
        table_ids(&disk, table, &identity.role("disk"), &mut changed)?;
    }
    for volume in inspected.volumes.iter().filter(|_| filesystems || !has_table) {
        volume_ids(&disk, volume, &identity.role("fs"), &mut changed)?;
    }
    changed.patches.sort_by_key(|patch| patch.start);
    Ok(changed)
}

/// What says where the partitions are must not contradict itself.
fn refuse_damaged_table(inspected: &Inspected) -> Result<(), Unchangeable> {
    match inspected.faults.iter().find(|fault| fault.within == "disk") {
        None => Ok(()),
        Some(fault) => {
            let error = Box::new(fault.damage.clone().into());
            Err(Unchangeable { within: fault.within.clone(), error })
        }
    }
}

/// An image without a table that can be read must have a file system that can.
fn refuse_unreadable(inspected: &Inspected) -> Result<(), Unchangeable> {
    let is_known = inspected.volumes.iter().any(|volume| volume.found.is_some());
    let said = |fault: &&Fault| ["gpt", "mbr"].contains(&fault.damage.spot.format) || !is_known;
    let fault = inspected.faults.iter().find(said).map(|fault| &fault.damage);
    let error = match fault.filter(|damage| damage.kind != DamageKind::Unsupported) {
        Some(damage) => damage.clone().into(),
        None if is_known => return Ok(()),
        None => {
            let reason = "neither a partition table nor a file system that is known here";
            let refusal = Refusal::new(RefusalKind::Unsupported, Spot::new("image", ""), reason);
            refusal
                .hint("ext2, ext3, ext4, FAT and swap have ids that can be changed, and disks with a GPT or an MBR")
                .into()
        }
    };
    Err(Unchangeable { within: "disk".to_owned(), error: Box::new(error) })
}

fn table_ids(
    disk: &dyn ReadAt,
    table: &Table,
    identity: &Identity,
    changed: &mut Changed,
) -> Result<(), Unchangeable> {
    let failed = |error: ReidError| Unchangeable { within: "disk".to_owned(), error: Box::new(error) };
    let patches = match table {
        Table::Gpt(_) => gpt::reid(disk, identity),
        Table::Mbr(mbr) => mbr::reid(disk, mbr.sector_size, identity),
    };
    let patches = patches.map_err(failed)?;
    // What the table says afterwards is read from it.
    let layout = Layout::of_content(ContentId(0), disk.len());
    let layout = layout.patched(&patches).expect("patches of one table lie apart");
    let contents = OneFile(disk);
    let disk = Reader::new(&layout, &contents);
    let after = match table {
        Table::Gpt(_) => gpt::open(&disk).map(Table::Gpt),
        Table::Mbr(mbr) => mbr::open_as(&disk, mbr.sector_size).map(Table::Mbr),
    };
    let after = after.map_err(|damage| failed(damage.into()))?;
    let of = |number: Option<u32>| {
        let patches = patches.iter().filter(move |patch| patch.what.number() == number);
        patches.map(range).collect()
    };
    changed.changes.push(Change {
        level: "disk",
        object: table.name().to_owned(),
        old: table.id(),
        new: after.id(),
        ranges: of(None),
    });
    for (old, new) in table.partitions().iter().zip(&after.partitions()) {
        // The id of a partition in an MBR is that of the disk, with its number.
        let number = matches!(table, Table::Gpt(_)).then_some(old.number);
        changed.changes.push(Change {
            level: "partition",
            object: old.title(),
            old: old.id(),
            new: new.id(),
            ranges: of(number),
        });
    }
    changed.patches.extend(patches);
    Ok(())
}

fn volume_ids(
    disk: &dyn ReadAt,
    volume: &Volume,
    identity: &Identity,
    changed: &mut Changed,
) -> Result<(), Unchangeable> {
    let Some((row, opened)) = &volume.found else {
        changed.unknown.push(volume.within.clone());
        return Ok(());
    };
    let range = place(disk, volume);
    let identity = match &volume.partition {
        Some(partition) => identity.role(&partition.number.to_string()),
        None => identity.clone(),
    };
    let Some(window) = Window::new(disk, range.clone()) else { return Ok(()) };
    let failed = |error| Unchangeable { within: volume.within.clone(), error: Box::new(error) };
    let patches = (row.reid)(&window, &identity).map_err(failed)?;
    let new = (row.configure)(&[]).map_err(|refusal| failed(refusal.into()))?.id(&identity);
    let patches: Vec<Patch> = patches.into_iter().map(|patch| patch.shifted(range.start)).collect();
    changed.changes.push(Change {
        level: "filesystem",
        object: volume.partition.as_ref().map_or_else(|| row.name.to_owned(), |_| volume.within.clone()),
        old: opened.id.clone(),
        new,
        ranges: patches.iter().map(self::range).collect(),
    });
    changed.patches.extend(patches);
    Ok(())
}

fn range(patch: &Patch) -> Run {
    let Range { start, end } = patch.range();
    Run { start, len: end - start }
}

/// Where a volume lies on its disk.
fn place(disk: &dyn ReadAt, volume: &Volume) -> Range<u64> {
    volume.partition.as_ref().map_or(0..disk.len(), |it| it.start..it.start.saturating_add(it.len))
}

/// A file of the image that names an id: where it is, its path, the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mention {
    /// `disk`, or `partition 2 (root)`.
    pub within: String,
    /// Its path there.
    pub path: String,
    /// The id.
    pub id: String,
}

/// Where configuration names devices: a directory, and the names in it; empty: all.
const NAMERS: &[(&str, &[&str])] = &[
    ("etc", &["fstab", "crypttab"]),
    ("etc/kernel", &["cmdline"]),
    ("etc/default", &["grub"]),
    ("boot/grub", &["grub.cfg", "device.map"]),
    ("boot/grub2", &["grub.cfg", "device.map"]),
    ("grub", &["grub.cfg"]),
    ("grub2", &["grub.cfg"]),
    ("boot/loader/entries", &[]),
    ("loader/entries", &[]),
    ("boot/efi/loader/entries", &[]),
    ("EFI/BOOT", &["grub.cfg"]),
    ("EFI/debian", &["grub.cfg"]),
    ("EFI/fedora", &["grub.cfg"]),
    ("EFI/opensuse", &["grub.cfg"]),
    ("EFI/ubuntu", &["grub.cfg"]),
    ("boot/extlinux", &["extlinux.conf"]),
];
/// Longer files are no such configuration.
const LONGEST: u64 = 1 << 20;

/// Which configuration files in the image name one of these ids, in capitals or not: they are not changed.
pub fn mentions(image: &dyn ReadAt, inspected: &Inspected, ids: &[String]) -> Vec<Mention> {
    let contents = OneFile(image);
    let disk = Reader::new(&inspected.disk, &contents);
    let ids: Vec<String> = ids.iter().map(|id| id.to_lowercase()).collect();
    let mut found = Vec::new();
    for volume in &inspected.volumes {
        let (Some((_, opened)), Some(window)) = (&volume.found, Window::new(&disk, place(&disk, volume)))
        else {
            continue;
        };
        for (path, node) in namers(opened) {
            let Some(text) = text(&window, opened, node).map(|text| text.to_lowercase()) else { continue };
            let named = ids.iter().filter(|id| text.contains(id.as_str()));
            found.extend(named.map(|id| Mention {
                within: volume.within.clone(),
                path: path.clone(),
                id: id.clone(),
            }));
        }
    }
    found
}

fn namers(opened: &Opened) -> Vec<(String, NodeId)> {
    let tree = &opened.tree;
    let directories =
        NAMERS.iter().filter_map(|(path, names)| Some((path, names, tree.lookup(path.as_bytes())?)));
    let files = directories.flat_map(|(path, names, directory)| {
        let is_directory = matches!(tree.node(directory).kind, Kind::Directory(_));
        let children = is_directory.then(|| tree.children(directory)).into_iter().flatten();
        children.filter_map(move |(name, node)| {
            let name = String::from_utf8(name.to_vec()).ok()?;
            let wanted = names.is_empty() || names.contains(&name.as_str());
            wanted.then(|| (format!("/{path}/{name}"), node))
        })
    });
    files.collect()
}

fn text(window: &dyn ReadAt, opened: &Opened, node: NodeId) -> Option<String> {
    let bytes = match &opened.tree.node(node).kind {
        Kind::File(Data::Bytes(bytes)) => bytes.to_vec(),
        Kind::File(Data::Content { id, size, .. }) if *size <= LONGEST => {
            let mut bytes = vec![0; *size as usize];
            let contents = OneFile(window);
            let file = opened.files.get(id.0 as usize)?;
            Reader::new(file, &contents).read_exact_at(0, &mut bytes).ok()?;
            bytes
        }
        _ => return None,
    };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
