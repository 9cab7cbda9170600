//! Counts a tree: inode numbers, links, and the blocks that it needs wherever they will lie.

use super::directory::{self, Form};
use super::fit::Demand;
use super::indirect;
use super::map::blocks_with_map;
use super::xattr::{self, Stored, Values};
use crate::ext::disk::{ino, mode};
use crate::ext::format::{Feature, Format};
use crate::ext::{LINK_MAX, LOST_AND_FOUND, LOST_AND_FOUND_LEN, refusal};
use crate::tree::{Data, Kind, NodeId, ROOT, Tree};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind};
use std::ops::Range;

/// Longest target of a symlink that is kept in the inode.
pub(super) const FAST_SYMLINK_MAX: usize = 59;
/// `i_blocks` counts 512 bytes in 32 bits without huge_file.
const MAX_SECTORS_WITHOUT_HUGE_FILE: u64 = u32::MAX as u64;
/// Longest file without large_file, in bytes.
const MAX_SIZE_WITHOUT_LARGE_FILE: u64 = i32::MAX as u64;
/// Most blocks of a file: logical block numbers have 32 bits, and the kernel keeps one for itself.
const MAX_FILE_BLOCKS: u64 = u32::MAX as u64;
/// Most bits of a major and of a minor number.
const DEVICE_BITS: (u32, u32) = (12, 20);

/// A directory as it will be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    /// `None`: `lost+found`, which the tree does not have.
    pub(super) node: Option<NodeId>,
    pub(super) ino: u32,
    pub(super) parent: u32,
    pub(super) form: Form,
}

/// A tree, counted.
pub(super) struct Census<'a> {
    pub(super) tree: &'a Tree,
    /// The nodes of inodes [`ino::FIRST`] and on; `None`: `lost+found`, which the tree does not have.
    pub(super) nodes: Vec<Option<NodeId>>,
    /// Inode numbers by node; 0 for nodes without a name.
    pub(super) numbers: Vec<u32>,
    /// Link counts by node, before any limit.
    pub(super) links: Vec<u32>,
    /// In the order of the walk, `lost+found` first of the root's children.
    pub(super) directories: Vec<Directory>,
    /// By [`XattrsId`](crate::tree::XattrsId).
    pub(super) xattrs: Vec<Stored<'a>>,
    /// How many inodes use each of them.
    pub(super) users: Vec<u32>,
    /// Values of attributes that get inodes of their own, behind those of the tree.
    pub(super) values: Values<'a>,
    format: Format,
    /// Blocks of the tree at most.
    blocks: u64,
}

impl<'a> Census<'a> {
    /// Counts `tree`. Refused: what ext4 cannot hold, with the name of the file.
    pub(super) fn of(tree: &'a Tree, format: &Format) -> Result<Census<'a>, Refusal> {
        let mut census = Census {
            tree,
            nodes: Vec::with_capacity(tree.nodes()),
            numbers: vec![0; tree.nodes()],
            links: vec![0; tree.nodes()],
            directories: Vec::new(),
            xattrs: Vec::new(),
            users: Vec::new(),
            values: Values::default(),
            format: *format,
            blocks: 0,
        };
        census.reserve_lost_and_found()?;
        census.number()?;
        census.count_directories()?;
        census.count_nodes()?;
        Ok(census)
    }

    /// What the file system needs for it.
    pub(super) fn demand(&self, free: u64) -> Demand {
        let orphan_file = u32::from(self.format.has(Feature::ORPHAN_FILE));
        Demand { inodes: self.last_inode() + orphan_file, blocks: self.blocks, free }
    }

    /// The inode of the first attribute's value.
    pub(super) fn first_value(&self) -> u32 {
        ino::FIRST + self.nodes.len() as u32
    }

    /// The highest inode number of the tree; all up to it are in use.
    pub(super) fn last_inode(&self) -> u32 {
        self.first_value() + self.values.list.len() as u32 - 1
    }

    /// The names of a directory.
    pub(super) fn entries(
        &self,
        directory: Option<NodeId>,
    ) -> impl Iterator<Item = (&'a [u8], Option<NodeId>)> {
        let (ours, children) = match directory {
            Some(ROOT) if self.nodes[0].is_none() => (Some((LOST_AND_FOUND, None)), Some(ROOT)),
            node => (None, node),
        };
        let children = children.into_iter().flat_map(|node| self.tree.children(node));
        ours.into_iter().chain(children.map(|(name, node)| (name, Some(node))))
    }

    /// The inode number of an entry.
    pub(super) fn number_of(&self, node: Option<NodeId>) -> u32 {
        node.map_or(ino::FIRST, |node| self.numbers[node.0 as usize])
    }

    /// Inode 11 is `lost+found`, the tree's or ours.
    fn reserve_lost_and_found(&mut self) -> Result<(), Refusal> {
        let node = self.tree.child(ROOT, LOST_AND_FOUND);
        match node.map(|node| &self.tree.node(node).kind) {
            None | Some(Kind::Directory(_)) => {}
            Some(kind) => {
                let reason =
                    format!("must be a directory, because e2fsck needs one there: it is a {}", kind.name());
                return Err(refusal(RefusalKind::Invalid, "/lost+found", reason));
            }
        }
        self.nodes.push(node);
        self.numbers[ROOT.0 as usize] = ino::ROOT;
        if let Some(node) = node {
            self.numbers[node.0 as usize] = ino::FIRST;
        }
        Ok(())
    }

    /// Numbers all nodes depth-first, children by name, so that neighbours in the tree are neighbours on the disk; counts
    /// links and collects directories on the way.
    fn number(&mut self) -> Result<(), Refusal> {
        let tree = self.tree;
        self.enter(Some(ROOT), ino::ROOT);
        if self.nodes[0].is_none() {
            self.enter(None, ino::ROOT);
            self.links[ROOT.0 as usize] += 1;
        }
        let mut open = vec![(ROOT, tree.children(ROOT))];
        while let Some((parent, children)) = open.last_mut() {
            let parent = *parent;
            let Some((_, node)) = children.next() else {
                open.pop();
                continue;
            };
            let at = node.0 as usize;
            if self.numbers[at] == 0 {
                // Nodes have 32-bit numbers; half of them leaves room for what comes behind.
                let next = u32::try_from(self.nodes.len()).ok().filter(|&len| len < u32::MAX / 2);
                self.numbers[at] = ino::FIRST
                    + next.ok_or_else(|| refusal(RefusalKind::Limit, "inodes", "more than 2^31 files"))?;
                self.nodes.push(Some(node));
            }
            if matches!(tree.node(node).kind, Kind::Directory(_)) {
                self.enter(Some(node), self.numbers[parent.0 as usize]);
                self.links[parent.0 as usize] += 1;
                open.push((node, tree.children(node)));
            } else {
                self.links[at] += 1;
            }
        }
        Ok(())
    }

    fn enter(&mut self, node: Option<NodeId>, parent: u32) {
        if let Some(node) = node {
            self.links[node.0 as usize] += 2;
        }
        let ino = self.number_of(node);
        self.directories.push(Directory { node, ino, parent, form: Form::Linear { blocks: 0 } });
    }

    fn count_directories(&mut self) -> Result<(), Refusal> {
        for at in 0..self.directories.len() {
            let Directory { node, ino, .. } = self.directories[at];
            let lens = self.entries(node).map(|(name, _)| directory::entry_len(name.len()));
            let least = match ino {
                // The inode lists them all in a block map, too.
                ino::FIRST => (LOST_AND_FOUND_LEN / self.format.block_size).min(indirect::DIRECT),
                _ => 1,
            };
            let form = Form::of(&self.format, lens, least);
            let form = form.map_err(|reason| self.refuse(node, RefusalKind::Limit, reason))?;
            self.directories[at].form = form;
            self.blocks += blocks_with_map(&self.format, std::iter::once(0..form.blocks()));
        }
        Ok(())
    }

    fn count_nodes(&mut self) -> Result<(), Refusal> {
        let tree = self.tree;
        for at in 0..=self.nodes.len() {
            let Some(node) = (if at == 0 { Some(ROOT) } else { self.nodes[at - 1] }) else { continue };
            let meta = &tree.node(node).meta;
            let set = meta.xattrs.0 as usize;
            while self.xattrs.len() <= set {
                // Sets come in the order of their ids; those before this one may belong to no file.
                self.xattrs.push(Stored::default());
                self.users.push(0);
            }
            if self.users[set] == 0 {
                let stored = xattr::store(&self.format, tree.xattrs(meta.xattrs), &mut self.values);
                self.xattrs[set] = stored.map_err(|(name, reason)| {
                    let reason = format!("attribute {}: {reason}", escaped(&name));
                    self.refuse(Some(node), RefusalKind::Limit, reason)
                })?;
            }
            self.users[set] += 1;
            self.blocks += self.blocks_of(node)?;
        }
        let shared = self.xattrs.iter().zip(&self.users).filter(|(set, _)| !set.block.is_empty());
        self.blocks += shared.map(|(_, users)| u64::from(users.div_ceil(xattr::SHARED))).sum::<u64>();
        let values = self.values.list.iter().map(|value| self.blocks_of_value(value.len()));
        self.blocks +=
            values.map(|blocks| blocks_with_map(&self.format, std::iter::once(0..blocks))).sum::<u64>();
        Ok(())
    }

    /// Blocks of a value with an inode of its own, without what maps them.
    pub(super) fn blocks_of_value(&self, len: usize) -> u32 {
        // No value is longer than 64 KiB.
        (len as u64).div_ceil(self.format.block()) as u32
    }

    /// Blocks of a file's data and of what maps them; refuses what the format cannot hold.
    fn blocks_of(&self, node: NodeId) -> Result<u64, Refusal> {
        let links = self.links[node.0 as usize];
        let refuse = |reason| Err(self.refuse(Some(node), RefusalKind::Limit, reason));
        match &self.tree.node(node).kind {
            Kind::Directory(_) if links > LINK_MAX && !self.format.has(Feature::DIR_NLINK) => {
                refuse(format!("{} subdirectories: at most {} without dir_nlink", links - 2, LINK_MAX - 2))
            }
            Kind::Directory(_) => Ok(0),
            _ if links > LINK_MAX => refuse(format!("{links} hard links: at most {LINK_MAX}")),
            Kind::File(data) => self.blocks_of_data(data).or_else(refuse),
            Kind::Symlink(target) if target.len() > FAST_SYMLINK_MAX => match target.len() {
                len if len as u64 >= self.format.block() => {
                    refuse(format!("a symlink of {len} bytes: less than a block of {}", self.format.block()))
                }
                _ => Ok(1),
            },
            &(Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor })
                if major >> DEVICE_BITS.0 != 0 || minor >> DEVICE_BITS.1 != 0 =>
            {
                refuse(format!("device {major}:{minor}: at most 4095:1048575"))
            }
            _ => Ok(0),
        }
    }

    fn blocks_of_data(&self, data: &Data) -> Result<u64, String> {
        let (format, size) = (&self.format, data.size());
        let most = most_blocks(format);
        if size > most * format.block() {
            let huge =
                if format.has(Feature::HUGE_FILE) { "" } else { "less than 2 TiB without huge_file, " };
            return Err(format!("a file of {size} bytes: {huge}at most {}", most * format.block()));
        }
        if size > MAX_SIZE_WITHOUT_LARGE_FILE && !format.has(Feature::LARGE_FILE) {
            return Err(format!("a file of {size} bytes: less than 2 GiB without large_file"));
        }
        let blocks = blocks_with_map(format, block_runs(format, data));
        // One block more is for attributes.
        let sectors = (blocks + 1) * (format.block() / 512);
        match sectors > MAX_SECTORS_WITHOUT_HUGE_FILE && !format.has(Feature::HUGE_FILE) {
            true => {
                Err(format!("{} bytes of data: less than 2 TiB without huge_file", blocks * format.block()))
            }
            false => Ok(blocks),
        }
    }

    /// A refusal with the first path of a node. Slow, and only made once.
    fn refuse(&self, node: Option<NodeId>, kind: RefusalKind, reason: String) -> Refusal {
        let path = node.and_then(|node| self.tree.walk().find(|step| step.node == node));
        refusal(kind, path.map_or_else(|| "/lost+found".to_owned(), |step| escaped(&step.path)), reason)
    }
}

/// The runs of a file's blocks: its data, and the first block of a file that needs one.
pub(super) fn block_runs<'a>(format: &Format, data: &'a Data) -> impl Iterator<Item = Range<u32>> + use<'a> {
    let block = format.block();
    let first = has_empty_block(format, data).then_some(0..1);
    let data = data.runs().map(move |run| (run.start / block) as u32..run.end.div_ceil(block) as u32);
    first.into_iter().chain(data)
}

/// Whether a file begins with a hole and has its first block all the same.
pub(super) fn has_empty_block(format: &Format, data: &Data) -> bool {
    format.first_blocks && data.size() > 0 && data.runs().next().is_none_or(|run| run.start > 0)
}

/// Most blocks of a file, holes counted: beyond, the kernel reads nothing (`ext4_max_size`, `ext4_max_bitmap_size`).
fn most_blocks(format: &Format) -> u64 {
    let counted = match format.has(Feature::HUGE_FILE) {
        true => MAX_FILE_BLOCKS,
        false => MAX_SECTORS_WITHOUT_HUGE_FILE / (format.block() / 512),
    };
    if format.has(Feature::EXTENTS) {
        return counted.min(MAX_FILE_BLOCKS);
    }
    let listed = u64::from(format.pointers_per_block());
    let all = indirect::most_blocks(format.pointers_per_block());
    let nodes = 3 + 2 * listed + listed * listed;
    if all + nodes <= counted || format.has(Feature::HUGE_FILE) {
        return all.min(MAX_FILE_BLOCKS);
    }
    // What maps the blocks counts, too.
    let triple = counted - 12 - listed - listed * listed;
    counted - (3 + listed + triple.div_ceil(listed) + triple.div_ceil(listed * listed))
}

/// The type bits of an entry.
pub(super) fn type_of(tree: &Tree, node: Option<NodeId>) -> u16 {
    node.map_or(mode::DIRECTORY, |node| super::inode::type_bits(&tree.node(node).kind))
}
