//! From the root to every file: directories become the tree, links are counted.

use super::super::disk::{Inode as Stored, file_type_of, incompat, ino, ro_compat};
use super::blocks::Run;
use super::claims::Claims;
use super::directory::{Directory, Entry};
use super::inodes::{Inode, Shape};
use super::report::{Object, Report};
use super::volume::Volume;
use crate::tree::{Data, Kind, Node, NodeId, ROOT, Tree};
use diskwright_formats::bytes::escaped;
use diskwright_formats::layout::{ContentId, Extent, Layout, Source, What};
use std::collections::{BTreeSet, VecDeque};
use std::mem::offset_of;

/// So many inodes without a name are reported one by one.
const MOST_UNNAMED: usize = 20;

/// What walking needs and fills.
pub(super) struct Walk<'a> {
    pub(super) volume: &'a Volume<'a>,
    pub(super) inodes: &'a [Inode],
    pub(super) claims: &'a mut Claims,
    /// Runs of directories whose blocks another directory has, too.
    pub(super) contested: BTreeSet<Object>,
    pub(super) report: &'a mut Report,
    pub(super) tree: &'a mut Tree,
    pub(super) files: Vec<Layout>,
}

/// What is known of an inode by its names.
#[derive(Clone, Copy, Default)]
struct Reached {
    node: Option<NodeId>,
    /// Names, and for a directory its `.` and the `..` of its children.
    links: u32,
}

/// A name in a directory, kept until the whole directory is read.
struct Named {
    at: u64,
    start: u32,
    len: u8,
    ino: u32,
    file_type: u8,
    of: Object,
}

impl Walk<'_> {
    /// Builds the tree. Gives the inode of every node.
    pub(super) fn run(&mut self) -> Vec<u32> {
        let mut reached = vec![Reached::default(); self.inodes.len()];
        let root = self.find(ino::ROOT).filter(|&root| self.inodes[root].shape == Shape::Directory);
        let Some(root) = root else {
            self.report.value(Object::Inode(ino::ROOT), 0, "the root directory", "none");
            return vec![];
        };
        *self.tree.meta_mut(ROOT) = self.inodes[root].meta;
        reached[root] = Reached { node: Some(ROOT), links: 1 };
        let mut queue = VecDeque::from([(root, ino::ROOT)]);
        while let Some((directory, parent)) = queue.pop_front() {
            if self.report.is_full() {
                break;
            }
            self.directory(directory, parent, &mut reached, &mut queue);
        }
        self.check_links(&reached);
        let mut inodes = vec![0; self.tree.nodes()];
        for (inode, reached) in self.inodes.iter().zip(&reached) {
            reached.node.into_iter().for_each(|node| inodes[node.0 as usize] = inode.ino);
        }
        inodes
    }

    fn find(&self, ino: u32) -> Option<usize> {
        self.inodes.binary_search_by_key(&ino, |inode| inode.ino).ok()
    }

    fn directory(
        &mut self,
        at: usize,
        parent: u32,
        reached: &mut [Reached],
        queue: &mut VecDeque<(usize, u32)>,
    ) {
        let inode = &self.inodes[at];
        let (mut names, mut entries) = (Vec::new(), Vec::new());
        let file_type = if self.volume.incompat(incompat::FILETYPE) { 2 } else { 0 };
        let mut dots = Dots { ino: inode.ino, parent, file_type, seen: 0 };
        let directory = Directory { volume: self.volume, inode, contested: &self.contested };
        directory.read(self.claims, self.report, |at, entry, of, report| {
            if dots.take(at, &entry, of, report) {
                return;
            }
            let len = entry.name.len() as u8;
            let (ino, file_type) = (entry.ino, entry.file_type);
            entries.push(Named { at, start: names.len() as u32, len, ino, file_type, of });
            names.extend_from_slice(entry.name);
        });
        let is_cut = inode.runs.first().is_some_and(|run| run.start >= self.volume.blocks_present());
        if dots.seen < 2 && !is_cut {
            let block = Object::Directory { ino: inode.ino, block: 0 };
            let own = (Object::Inode(inode.ino), inode.at);
            let (of, first) = inode.runs.first().map_or(own, |run| (block, self.volume.offset(run.start)));
            self.report.value(of, first, "`.` and `..` first", format_args!("{} of them", dots.seen));
        }
        reached[at].links += 1;
        let name = |entry: &Named| &names[entry.start as usize..][..entry.len.into()];
        // The tree takes names cheapest in order.
        entries.sort_by(|one, other| name(one).cmp(name(other)));
        let node = reached[at].node.expect("the queue holds what was reached");
        for entry in &entries {
            if let Some(child) = self.entry(node, name(entry), entry, reached)
                && self.inodes[child].shape == Shape::Directory
            {
                reached[at].links += 1;
                queue.push_back((child, self.inodes[at].ino));
            }
        }
    }

    /// Adds a name to the tree. Returns the inode if it was met for the first time.
    fn entry(
        &mut self,
        parent: NodeId,
        name: &[u8],
        entry: &Named,
        reached: &mut [Reached],
    ) -> Option<usize> {
        let child = self.child(name, entry)?;
        let inode = &self.inodes[child];
        self.check_type(inode, name, entry);
        reached[child].links += 1;
        let refused = match reached[child].node {
            Some(_) if inode.shape == Shape::Directory => {
                let found = format!("a second name of directory {}: {}", inode.ino, escaped(name));
                self.report.mismatch(entry.of, entry.at, "one name of every directory", found);
                return None;
            }
            Some(node) => self.tree.link(parent, name, node).err(),
            None => {
                let node = Node { meta: inode.meta, kind: self.kind(child)? };
                match self.tree.add(parent, name, node) {
                    Ok(node) => {
                        reached[child].node = Some(node);
                        return Some(child);
                    }
                    Err(refusal) => Some(refusal),
                }
            }
        };
        if let Some(refusal) = refused {
            self.report.value(entry.of, entry.at, "a name for the tree", refusal);
        }
        None
    }

    fn child(&mut self, name: &[u8], entry: &Named) -> Option<usize> {
        let child = self.find(entry.ino).filter(|&child| {
            let inode = &self.inodes[child];
            entry.ino != ino::ROOT && !inode.is_nameless(self.volume)
        });
        if child.is_none() {
            let found = format!("inode {}: {}", entry.ino, escaped(name));
            self.report.mismatch(entry.of, entry.at, "a file's inode that is in use", found);
        }
        child
    }

    fn check_type(&mut self, inode: &Inode, name: &[u8], entry: &Named) {
        let has_types = self.volume.incompat(incompat::FILETYPE);
        let expected = if has_types { file_type_of(inode.mode) } else { 0 };
        if entry.file_type != expected {
            let found = format!("{}: {}", entry.file_type, escaped(name));
            self.report.mismatch(entry.of, entry.at + 7, format_args!("type {expected}"), found);
        }
    }

    fn kind(&mut self, at: usize) -> Option<Kind> {
        let inode = &self.inodes[at];
        Some(match &inode.shape {
            Shape::Directory => Kind::directory(),
            Shape::File => Kind::File(self.file(inode)?),
            Shape::Symlink(target) => Kind::Symlink(target.clone()),
            &Shape::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            &Shape::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
            Shape::Fifo => Kind::Fifo,
            Shape::Socket => Kind::Socket,
            Shape::Unknown => return None,
        })
    }

    fn file(&mut self, inode: &Inode) -> Option<Data> {
        let (size, block_size) = (inode.size, self.volume.block_size as u64);
        // What lies behind the end of a cut image was reported, and reads as a hole.
        let end = self.volume.image_len();
        let extent = |run: &Run| {
            let (start, from) = (u64::from(run.block) * block_size, self.volume.offset(run.start));
            let len = (u64::from(run.len) * block_size).min(size.saturating_sub(start));
            let len = len.min(end.saturating_sub(from));
            let source = Source::Content(ContentId(0), from);
            Extent { start, len, source, what: What::numbered(&"inode", inode.ino) }
        };
        let written = inode.runs.iter().filter(|run| run.written);
        let extents: Vec<Extent> = written.map(extent).filter(|extent| extent.len > 0).collect();
        let id = ContentId(u32::try_from(self.files.len()).ok()?);
        let runs: Vec<_> = joined(extents.iter().map(|extent| extent.start..extent.end()));
        let is_whole = size == 0 || runs.first() == Some(&(0..size));
        let layout = Layout::new(size, extents, vec![]).expect("a map's runs are in order and disjoint");
        self.files.push(layout);
        Some(Data::Content { id, size, runs: (!is_whole).then(|| runs.into()) })
    }

    fn check_links(&mut self, reached: &[Reached]) {
        let mut unnamed = 0;
        for (inode, reached) in self.inodes.iter().zip(reached) {
            if self.report.is_full() {
                return;
            }
            let at = inode.at + offset_of!(Stored, i_links_count) as u64;
            let of = Object::Inode(inode.ino);
            let links = reached.links;
            if inode.is_nameless(self.volume) || links > 0 && self.fits(inode, links) {
                continue;
            }
            if links > 0 {
                self.report.mismatch(of, at, format_args!("i_links_count {links}"), inode.links);
                continue;
            }
            unnamed += 1;
            // A directory that cannot be read takes the names of everything below it away.
            if unnamed <= MOST_UNNAMED {
                self.report.mismatch(of, at, "a name in a directory", "none");
            }
        }
        if unnamed > MOST_UNNAMED {
            let root = self.find(ino::ROOT).map_or(0, |root| self.inodes[root].at);
            let found = format!("{} more without", unnamed - MOST_UNNAMED);
            self.report.mismatch(Object::Inode(ino::ROOT), root, "a name for every inode", found);
        }
    }

    /// A directory with too many children has a count of 1, and keeps it when they go.
    fn fits(&self, inode: &Inode, links: u32) -> bool {
        let uncounted = inode.shape == Shape::Directory && self.volume.ro_compat(ro_compat::DIR_NLINK);
        u32::from(inode.links) == links || uncounted && inode.links == 1
    }
}

/// `.` and `..` of a directory.
struct Dots {
    ino: u32,
    parent: u32,
    /// Type of a directory where entries have types.
    file_type: u8,
    /// How many of the two were met.
    seen: u32,
}

impl Dots {
    /// Whether an entry is one of the two; they are the first.
    fn take(&mut self, at: u64, entry: &Entry, of: Object, report: &mut Report) -> bool {
        let (place, ino) = match entry.name {
            b"." => (0, self.ino),
            b".." => (1, self.parent),
            _ => return false,
        };
        if place != self.seen {
            report.value(of, at, "`.` and `..` first and once", escaped(entry.name));
            return true;
        }
        self.seen += 1;
        if entry.after != 0 {
            let at = at + 8 + entry.name.len() as u64;
            report.value(of, at, "0 behind `.` and `..`", format_args!("{:#x}", entry.after));
        }
        if entry.ino != ino {
            let found = format!("inode {}", entry.ino);
            report.mismatch(of, at, format_args!("inode {ino}: {}", escaped(entry.name)), found);
        }
        if entry.file_type != 0 && entry.file_type != self.file_type {
            report.value(of, at + 7, format_args!("type {} of a directory", self.file_type), entry.file_type);
        }
        true
    }
}

fn joined(runs: impl Iterator<Item = std::ops::Range<u64>>) -> Vec<std::ops::Range<u64>> {
    let mut all: Vec<std::ops::Range<u64>> = Vec::new();
    for run in runs {
        match all.last_mut() {
            Some(last) if last.end == run.start => last.end = run.end,
            _ => all.push(run),
        }
    }
    all
}
