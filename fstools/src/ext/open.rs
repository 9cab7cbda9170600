//! Image to tree, and everything that contradicts the format.
//!
//! An independent reader: it shares the structures of `disk.rs` with the writer and nothing else. It stands on the
//! kernel's documentation (`Documentation/filesystems/ext4`) and on what mke2fs, e2fsck and the kernel write.
//!
//! In order: the superblock; descriptors and their copies; all inode tables, whose maps say which blocks are in use;
//! directories from the root on, which make the tree; then bitmaps and counts are rebuilt and compared. Every block of
//! metadata is followed once, so that time and memory are bounded by the bytes of the image.

mod bitmaps;
mod blocks;
mod claims;
mod directory;
mod features;
mod generation;
mod groups;
mod hash;
mod inodes;
mod internal;
mod reach;
mod recovery;
mod report;
mod resize;
mod values;
mod volume;
mod xattrs;

pub(in crate::ext) use claims::Claim;
pub(in crate::ext) use directory::{Entry, entry_at, has_tail, is_node};
pub(in crate::ext) use features::names as feature_names;
pub(in crate::ext) use generation::{generation, name_of, named, resembled};
pub(in crate::ext) use groups::{Group, per_block, primary};
pub(in crate::ext) use inodes::Inode;
pub(in crate::ext) use report::{Object, Report};
pub(in crate::ext) use volume::Volume;

use super::disk::incompat;
use crate::registry::{Opened, Usage};
use crate::tree::{Meta, NodeId, ROOT, Time, Tree};
use claims::Claims;
use diskwright_formats::fault::Damage;
use diskwright_formats::layout::ReadAt;
use inodes::Found;
use reach::Walk;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Reads and checks an image. Fails where there is no superblock to compute with, where it names a feature that this
/// reader does not know, or where no group descriptor can be read.
pub(super) fn open(image: &dyn ReadAt) -> Result<Opened, Damage> {
    let name = name_of(image);
    let mut opened = read(image).map_err(|damage| named(damage, name))?;
    opened.damage = opened.damage.into_iter().map(|damage| named(damage, name)).collect();
    Ok(opened)
}

fn read(image: &dyn ReadAt) -> Result<Opened, Damage> {
    let replayed = recovery::replay(image);
    let image = replayed.as_ref().map_or(image, |replayed| replayed);
    let Scan { volume, groups, mut claims, inodes, mut tree, mut report } = scan(image)?;
    groups::check_backups(&volume, &groups, &mut report);
    let mut walk = Walk {
        volume: &volume,
        inodes: &inodes,
        contested: claims.contested(|of| matches!(of, Object::Directory { .. })),
        claims: &mut claims,
        report: &mut report,
        tree: &mut tree,
        files: Vec::new(),
    };
    let nodes = walk.run();
    let files = walk.files;
    let claims = claims.sorted();
    match &replayed {
        Some(replayed) => {
            report.pending(replayed.describe());
            claims::check_moved(&claims, replayed.moved(), &volume, &mut report);
        }
        None if volume.incompat(incompat::RECOVER) => {
            let why = match volume.superblock.s_journal_inum.get() {
                0 => "is on another device",
                _ => "was not closed, and has nothing to put in place",
            };
            report.pending(format!("needs_recovery: the journal {why}"));
        }
        None => {}
    }
    claims::check(&claims, &volume, &mut report);
    let used = claims::used(&claims);
    bitmaps::check(&volume, &groups, &used, &inodes, &mut report);
    internal::check(&volume, &inodes, &mut report);
    let paths = paths(&tree, &nodes, &report.inodes());
    Ok(Opened {
        tree,
        files,
        len: volume.len(),
        id: uuid::Uuid::from_bytes(volume.superblock.s_uuid).to_string(),
        label: label(&volume),
        usage: usage(&volume),
        pending: report.take_pending(),
        damage: report.into_damage(&paths),
    })
}

/// All metadata but directories, read: what is where, and what every block is used for.
pub(in crate::ext) struct Scan<'a> {
    pub(in crate::ext) volume: Volume<'a>,
    pub(in crate::ext) groups: Vec<Group>,
    pub(in crate::ext) claims: Claims,
    /// Inodes in use, by number.
    pub(in crate::ext) inodes: Vec<Inode>,
    /// An empty tree that holds the attributes of all inodes.
    tree: Tree,
    report: Report,
}

impl Scan<'_> {
    /// The claims by block, none on another, if there is no damage; else the first.
    pub(in crate::ext) fn sound_claims(&mut self) -> Result<Vec<Claim>, Damage> {
        let claims = std::mem::take(&mut self.claims).sorted();
        claims::check(&claims, &self.volume, &mut self.report);
        self.report.first().map_or(Ok(claims), |damage| Err(damage.clone()))
    }
}

/// Reads superblock and descriptors, and no inode.
pub(in crate::ext) fn front(image: &dyn ReadAt) -> Result<Scan<'_>, Damage> {
    let mut report = Report::new(image.len());
    let volume = Volume::read(image, &mut report)?;
    let mut claims = Claims::default();
    let groups = groups::read(&volume, &mut claims, &mut report)?;
    let mmp = internal::mmp_block(&volume);
    if volume.incompat(incompat::MMP) && volume.holds(mmp, 1) {
        claims.add(mmp, 1, Object::Mmp);
    }
    let tree = Tree::new(Meta::of_root(0o755, Time::default()));
    Ok(Scan { volume, groups, claims, inodes: Vec::new(), tree, report })
}

/// Reads superblock, descriptors and inodes.
pub(in crate::ext) fn scan(image: &dyn ReadAt) -> Result<Scan<'_>, Damage> {
    let Scan { volume, groups, mut claims, mut tree, mut report, .. } = front(image)?;
    let orphans = recovery::orphans(&volume, &mut report);
    let mut found = Found {
        volume: &volume,
        claims: &mut claims,
        report: &mut report,
        tree: &mut tree,
        xattr_blocks: Default::default(),
        orphans,
        waiting: Vec::new(),
        inodes: Vec::new(),
    };
    found.read_tables(&groups);
    let inodes = found.inodes;
    Ok(Scan { volume, groups, claims, inodes, tree, report })
}

/// Longest path that a damage names: the kernel takes no longer one (`PATH_MAX`).
const PATH_MAX: usize = 4096;

/// The first path of each of `inodes`; of one that is too long its end, behind an ellipsis. `nodes`: the inode of each node of
/// the tree.
fn paths(tree: &Tree, nodes: &[u32], inodes: &BTreeSet<u32>) -> BTreeMap<u32, Vec<u8>> {
    let mut paths = BTreeMap::new();
    if inodes.is_empty() {
        return paths;
    }
    // The first name of each node and the directory that has it: a path for every node could be long beyond measure.
    let mut named: Vec<Option<(NodeId, &[u8])>> = vec![None; tree.nodes()];
    let mut queue = VecDeque::from([ROOT]);
    while let Some(parent) = queue.pop_front() {
        for (name, child) in tree.children(parent) {
            let slot = &mut named[child.0 as usize];
            if slot.is_none() {
                *slot = Some((parent, name));
                queue.push_back(child);
            }
        }
    }
    for (node, ino) in (0..).map(NodeId).zip(nodes).filter(|(_, ino)| inodes.contains(ino)) {
        let (mut parts, mut len, mut at) = (Vec::new(), 0, node);
        while let Some((parent, name)) = named[at.0 as usize].filter(|_| len <= PATH_MAX) {
            len += 1 + name.len();
            parts.extend([name, b"/"]);
            at = parent;
        }
        if len > PATH_MAX {
            parts.push("\u{2026}".as_bytes());
        }
        parts.reverse();
        let path = if node == ROOT { b"/".to_vec() } else { parts.concat() };
        paths.entry(*ino).or_insert(path);
    }
    paths
}

fn label(volume: &Volume) -> Vec<u8> {
    let name = &volume.superblock.s_volume_name;
    name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// As the superblock says it.
fn usage(volume: &Volume) -> Usage {
    let superblock = &volume.superblock;
    let free = superblock.free_blocks_count().min(volume.blocks);
    let kept = superblock.reserved_blocks_count();
    let free_inodes = superblock.s_free_inodes_count.get().min(volume.inodes());
    Usage {
        free: volume.offset(free.saturating_sub(kept)),
        used: volume.offset(volume.blocks - free),
        inodes: Some(((volume.inodes() - free_inodes).into(), free_inodes.into())),
    }
}
