//! Counts a tree: inode numbers, links, and the blocks that it needs wherever they will lie.

use super::directory::{self, Form};
use super::extents::blocks_with_tree;
use super::fit::Demand;
use super::xattr::{self, Stored};
use crate::ext::disk::ino;
use crate::ext::options::Options;
use crate::ext::{BLOCK, LINK_MAX, LOST_AND_FOUND, LOST_AND_FOUND_BLOCKS, MAX_FILE_BLOCKS, refusal};
use crate::tree::{Data, Kind, NodeId, ROOT, Tree};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind};
use std::ops::Range;

/// Longest target of a symlink that is kept in the inode.
pub(super) const FAST_SYMLINK_MAX: usize = 59;
/// `i_blocks` counts 512 bytes in 32 bits without huge_file; one block more is for attributes.
const MAX_BLOCKS_WITHOUT_HUGE_FILE: u64 = (u32::MAX as u64) / (BLOCK / 512) - 1;
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
    pub(super) xattrs: Vec<Stored>,
    /// How many inodes use each of them.
    pub(super) users: Vec<u32>,
    /// Blocks of the tree at most.
    blocks: u64,
}

impl<'a> Census<'a> {
    /// Counts `tree`. Refused: what ext4 cannot hold, with the name of the file.
    pub(super) fn of(tree: &'a Tree, options: &Options) -> Result<Census<'a>, Refusal> {
        let mut census = Census {
            tree,
            nodes: Vec::with_capacity(tree.nodes()),
            numbers: vec![0; tree.nodes()],
            links: vec![0; tree.nodes()],
            directories: Vec::new(),
            xattrs: Vec::new(),
            users: Vec::new(),
            blocks: 0,
        };
        census.reserve_lost_and_found()?;
        census.number()?;
        census.count_directories(options)?;
        census.count_nodes(options)?;
        Ok(census)
    }

    /// What the file system needs for it.
    pub(super) fn demand(&self, free: u64) -> Demand {
        Demand { inodes: self.last_inode(), blocks: self.blocks, free }
    }

    /// The highest inode number; all up to it are in use.
    pub(super) fn last_inode(&self) -> u32 {
        ino::FIRST + self.nodes.len() as u32 - 1
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
                let next = u32::try_from(self.nodes.len()).ok().and_then(|len| len.checked_add(ino::FIRST));
                self.numbers[at] = next.ok_or_else(|| {
                    refusal(RefusalKind::Limit, "inodes", "more files than ext4 has inode numbers: 2^32")
                })?;
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

    fn count_directories(&mut self, options: &Options) -> Result<(), Refusal> {
        for at in 0..self.directories.len() {
            let Directory { node, ino, .. } = self.directories[at];
            let lens = self.entries(node).map(|(name, _)| directory::entry_len(name.len()));
            let least = if ino == ino::FIRST { LOST_AND_FOUND_BLOCKS } else { 1 };
            let form = Form::of(lens, options.dir_index, least);
            let form = form.map_err(|reason| self.refuse(node, RefusalKind::Limit, reason))?;
            self.directories[at].form = form;
            self.blocks += blocks_with_tree(std::iter::once(form.blocks().into()));
        }
        Ok(())
    }

    fn count_nodes(&mut self, options: &Options) -> Result<(), Refusal> {
        for at in 0..=self.nodes.len() {
            let Some(node) = (if at == 0 { Some(ROOT) } else { self.nodes[at - 1] }) else { continue };
            let meta = &self.tree.node(node).meta;
            let set = meta.xattrs.0 as usize;
            while self.xattrs.len() <= set {
                // Sets come in the order of their ids; those before this one may belong to no file.
                self.xattrs.push(Stored::default());
                self.users.push(0);
            }
            if self.users[set] == 0 {
                self.xattrs[set] =
                    xattr::store(self.tree.xattrs(meta.xattrs)).map_err(|(name, reason)| {
                        self.refuse(
                            Some(node),
                            RefusalKind::Limit,
                            format!("attribute {}: {reason}", escaped(&name)),
                        )
                    })?;
            }
            self.users[set] += 1;
            self.blocks += self.blocks_of(node, options)?;
        }
        let shared = self.xattrs.iter().zip(&self.users).filter(|(set, _)| !set.block.is_empty());
        self.blocks += shared.map(|(_, users)| u64::from(users.div_ceil(xattr::SHARED))).sum::<u64>();
        Ok(())
    }

    /// Blocks of a file's data and its extent tree; refuses what ext4 cannot hold.
    fn blocks_of(&self, node: NodeId, options: &Options) -> Result<u64, Refusal> {
        let links = self.links[node.0 as usize];
        let refuse = |reason| Err(self.refuse(Some(node), RefusalKind::Limit, reason));
        match &self.tree.node(node).kind {
            Kind::Directory(_) if links > LINK_MAX && !options.dir_nlink => {
                refuse(format!("{} subdirectories: at most {} without dir_nlink", links - 2, LINK_MAX - 2))
            }
            Kind::Directory(_) => Ok(0),
            _ if links > LINK_MAX => refuse(format!("{links} hard links: at most {LINK_MAX}")),
            Kind::File(data) if data.size() > MAX_FILE_BLOCKS * BLOCK => {
                refuse(format!("a file of {} bytes: at most {}", data.size(), MAX_FILE_BLOCKS * BLOCK))
            }
            Kind::File(data) => {
                let blocks = blocks_with_tree(block_runs(data).map(|run| u64::from(run.end - run.start)));
                match blocks > MAX_BLOCKS_WITHOUT_HUGE_FILE && !options.huge_file {
                    true => {
                        refuse(format!("{} bytes of data: less than 2 TiB without huge_file", blocks * BLOCK))
                    }
                    false => Ok(blocks),
                }
            }
            Kind::Symlink(target) if target.len() > FAST_SYMLINK_MAX => Ok(1),
            &(Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor })
                if major >> DEVICE_BITS.0 != 0 || minor >> DEVICE_BITS.1 != 0 =>
            {
                refuse(format!("device {major}:{minor}: at most 4095:1048575"))
            }
            _ => Ok(0),
        }
    }

    /// A refusal with the first path of a node. Slow, and only made once.
    fn refuse(&self, node: Option<NodeId>, kind: RefusalKind, reason: String) -> Refusal {
        let path = node.and_then(|node| self.tree.walk().find(|step| step.node == node));
        refusal(kind, path.map_or_else(|| "/lost+found".to_owned(), |step| escaped(&step.path)), reason)
    }
}

/// The runs of a file's data in blocks.
pub(super) fn block_runs(data: &Data) -> impl Iterator<Item = Range<u32>> + '_ {
    data.runs().map(|run| (run.start / BLOCK) as u32..run.end.div_ceil(BLOCK) as u32)
}
