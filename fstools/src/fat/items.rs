//! A tree as FAT sees it: names that fit, lengths, and how much room all of it takes.

use super::FILE_MAX;
use super::disk::ENTRY_LEN;
use super::geometry::{FatType, Shape};
use super::names::{self, Name};
use crate::tree::{Kind, Node, ROOT, Tree};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

/// A file or directory under one of its names.
pub(super) struct Item<'t> {
    pub(super) node: &'t Node,
    /// Index of the directory that holds it; the root holds itself.
    pub(super) parent: usize,
    /// The name as the tree spells it.
    pub(super) spelling: &'t [u8],
    pub(super) name: Name,
    /// Length in bytes: of a directory, what its entries take.
    pub(super) len: u64,
}

impl Item<'_> {
    pub(super) fn is_directory(&self) -> bool {
        matches!(self.node.kind, Kind::Directory(_))
    }
}

/// Every name of the tree in depth-first order, the root first. A file with several names is there several times: FAT
/// has no hard links, each becomes a copy.
pub(super) fn items(tree: &Tree, has_label: bool) -> Result<Vec<Item<'_>>, Refusal> {
    let root: (&[u8], Name) = (b"", Name { short: [b' '; 11], long: Vec::new() });
    let mut items: Vec<Item> = Vec::new();
    let mut waiting = vec![(0, root, ROOT)];
    while let Some((parent, (spelling, name), id)) = waiting.pop() {
        let (index, node) = (items.len(), tree.node(id));
        items.push(Item { node, parent, spelling, name, len: 0 });
        items[index].len = match &node.kind {
            Kind::File(data) if data.size() > FILE_MAX => {
                let reason = format!("a file of {} bytes: at most {FILE_MAX}", data.size());
                return Err(refusal(RefusalKind::Limit, &path_of(&items, index, None), reason));
            }
            Kind::File(data) => data.size(),
            Kind::Directory(_) => {
                let children = tree.children(id);
                let names = names::directory(children.clone().map(|(name, _)| name)).map_err(|unfit| {
                    let child = unfit.at.and_then(|at| children.clone().nth(at)).map(|(name, _)| name);
                    refusal(unfit.kind, &path_of(&items, index, child), unfit.reason)
                })?;
                // A label in the root; `.` and `..` elsewhere.
                let fixed = if index == 0 { usize::from(has_label) } else { 2 };
                let slots = fixed + names.iter().map(Name::slots).sum::<usize>();
                let first = waiting.len();
                waiting
                    .extend(children.zip(names).map(|((spelling, id), name)| (index, (spelling, name), id)));
                waiting[first..].reverse();
                slots as u64 * ENTRY_LEN
            }
            other => {
                let reason = format!("FAT cannot hold a {}", other.name());
                let refusal = refusal(RefusalKind::Kind, &path_of(&items, index, None), reason);
                return Err(refusal.hint("leave it out of this file system"));
            }
        };
    }
    Ok(items)
}

/// The path of an item, or of a child of it.
fn path_of(items: &[Item], index: usize, child: Option<&[u8]>) -> String {
    let ancestors = std::iter::successors(Some(index), |&index| Some(items[index].parent));
    let names = ancestors.take_while(|&index| index != 0).map(|index| items[index].spelling);
    let mut names: Vec<&[u8]> = child.into_iter().chain(names).collect();
    names.reverse();
    format!("/{}", escaped(&names.join(&b'/')))
}

pub(super) fn refusal(kind: RefusalKind, object: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new("vfat", object), reason)
}

/// How much room a tree takes, for every cluster size.
pub(super) struct Demand {
    /// Clusters of 512 bytes, 1 KiB and so on, without the root directory.
    pub(super) clusters: [u64; 8],
    pub(super) root_slots: u64,
    /// Bytes that must stay free.
    pub(super) free: u64,
}

impl Demand {
    pub(super) fn new(items: &[Item], free: u64) -> Demand {
        let root_slots = items[0].len / ENTRY_LEN;
        let clusters =
            std::array::from_fn(|log| items[1..].iter().map(|item| item.len.div_ceil(512 << log)).sum());
        Demand { clusters, root_slots, free }
    }

    /// Clusters of the tree.
    pub(super) fn clusters(&self, shape: &Shape) -> u64 {
        let log = (shape.cluster_len() / 512).ilog2() as usize;
        let root = match shape.fat {
            FatType::Fat32 => shape.clusters_for(self.root_slots * ENTRY_LEN).max(1),
            _ => 0,
        };
        self.clusters[log] + root
    }

    pub(super) fn root_fits(&self, shape: &Shape) -> bool {
        shape.fat == FatType::Fat32 || self.root_slots <= u64::from(shape.root_entries)
    }

    /// Whether there is room for the tree.
    pub(super) fn holds(&self, shape: &Shape) -> bool {
        self.root_fits(shape) && self.clusters(shape) <= u64::from(shape.clusters)
    }

    /// Whether enough is free beside it.
    pub(super) fn fits(&self, shape: &Shape) -> bool {
        let free = shape.clusters_for(self.free);
        self.holds(shape) && self.clusters(shape).saturating_add(free) <= u64::from(shape.clusters)
    }
}
