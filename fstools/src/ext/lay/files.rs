//! Gives every inode its blocks, and the layout its extents.

use super::census::{Census, FAST_SYMLINK_MAX, block_runs};
use super::directory::{Directories, Form};
use super::extents::{Run, cut, plant};
use super::geometry::{Geometry, Places};
use super::group::Groups;
use super::inode::{Body, Inodes, Record, type_bits};
use super::space::Space;
use super::superblock::{self, Ids};
use super::{tables, xattr};
use crate::ext::BLOCK;
use crate::ext::disk::{ino, inode_seed, mode};
use crate::ext::options::Options;
use crate::registry::Laid;
use crate::tree::{Data, Kind, Node, NodeId, ROOT};
use diskwright_formats::layout::{Extent, Layout, Made, Source, What};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A tree on its way into a layout.
pub(super) struct Laying<'a> {
    census: &'a Census<'a>,
    ids: &'a Ids,
    geometry: Geometry,
    space: Space,
    inodes: Inodes,
    extents: Vec<Extent>,
    /// Scratch.
    pieces: Vec<Range<u32>>,
    runs: Vec<Run>,
}

impl<'a> Laying<'a> {
    pub(super) fn new(census: &'a Census, ids: &'a Ids, geometry: Geometry, space: Space) -> Laying<'a> {
        let inodes = Inodes {
            seed: ids.seed,
            records: records(census, ids.epoch),
            runs: Vec::new(),
            texts: Vec::new(),
            xattrs: census.xattrs.iter().map(|stored| stored.inode.clone()).collect(),
            key: OnceLock::new(),
        };
        let extents = Vec::with_capacity(census.nodes.len());
        Laying { census, ids, geometry, space, inodes, extents, pieces: Vec::new(), runs: Vec::new() }
    }

    pub(super) fn lay(mut self, places: Places, options: &Options, len: u64) -> Laid {
        self.directories();
        self.attributes();
        self.symlinks_and_devices();
        let journal = self.journal();
        self.resize_inode();
        self.files();
        let Laying { census, ids, geometry, space, inodes, mut extents, .. } = self;
        let groups = Groups {
            seed: ids.seed,
            geometry,
            places,
            free: space.into_free(),
            last_inode: census.last_inode(),
            directories: directories_by_group(census, geometry.inodes_per_group()),
        };
        let superblock = superblock::superblock(ids, options, &groups, journal);
        let groups = Arc::new(groups);
        tables::copies(&superblock, &groups, &mut extents);
        let free = tables::bitmaps(&groups, &mut extents);
        tables::inodes(&groups, inodes, &mut extents);
        let layout = Layout::new(len, extents, free).expect("every block was handed out once");
        Laid { layout, usage: tables::usage(&groups, options) }
    }

    fn record(&mut self, number: u32) -> &mut Record {
        &mut self.inodes.records[number as usize - 1]
    }

    /// Places `blocks` blocks of an inode from block `logical` of the file on; their extents go to `self.runs`, their
    /// places to `self.pieces`.
    fn place(&mut self, logical: u32, blocks: u32) {
        self.pieces.clear();
        self.space.take(blocks, &mut self.pieces);
        cut(logical, &self.pieces, &mut self.runs);
    }

    /// Makes `self.runs` the data of an inode. `indexed`: of a directory with an index.
    fn finish_inode(&mut self, number: u32, indexed: bool) {
        let seed = inode_seed(self.ids.seed, number, 0);
        let data: u32 = self.runs.iter().map(|run| run.len).sum();
        let (depth, nodes) = plant(&mut self.runs, seed, &mut self.space, &mut self.extents);
        let body = match self.runs[..] {
            [Run { logical: 0, start, len }] if depth == 0 => {
                Body::Extent { start, len: len as u16, indexed }
            }
            ref root => {
                let (first, count) = (self.inodes.runs.len() as u32, root.len() as u8);
                self.inodes.runs.extend_from_slice(root);
                Body::Tree { first, count, depth, indexed }
            }
        };
        self.runs.clear();
        let record = self.record(number);
        record.blocks += data + nodes;
        record.body = body;
    }

    fn directories(&mut self) {
        let directories = Directories::of(self.census, self.ids.seed, self.ids.hash_words());
        let made = Made::new(directories);
        let mut argument = 0;
        for directory in &self.census.directories {
            let blocks = directory.form.blocks();
            self.place(0, blocks);
            for piece in &self.pieces {
                let len = u64::from(piece.end - piece.start) * BLOCK;
                let source = Source::Made(made.clone(), argument);
                let start = u64::from(piece.start) * BLOCK;
                match self.extents.last_mut() {
                    // Neighbours are merged at once: most directories are one block.
                    Some(last) if last.end() == start && last.what.name() == DIRECTORIES => last.len += len,
                    _ => self.extents.push(Extent { start, len, source, what: What::new(&DIRECTORIES) }),
                }
                argument += len;
            }
            self.finish_inode(directory.ino, matches!(directory.form, Form::Indexed { .. }));
            self.record(directory.ino).size = u64::from(blocks) * BLOCK;
        }
    }

    /// Attribute blocks, each shared by as many inodes as may.
    fn attributes(&mut self) {
        let census = self.census;
        let mut blocks: Vec<(u32, u32)> = vec![(0, 0); census.xattrs.len()];
        let mut left = census.users.clone();
        for number in std::iter::once(ino::ROOT).chain(ino::FIRST..=census.last_inode()) {
            let set = self.record(number).xattrs as usize;
            let Some(stored) = census.xattrs.get(set).filter(|stored| !stored.block.is_empty()) else {
                continue;
            };
            if blocks[set].1 == 0 {
                let at = self.space.take_one();
                let references = left[set].min(xattr::SHARED);
                left[set] -= references;
                blocks[set] = (at, references);
                let bytes = xattr::block(stored, at, references, self.ids.seed);
                self.extents.push(Extent::of_bytes(u64::from(at) * BLOCK, bytes, What::new(&"attributes")));
            }
            blocks[set].1 -= 1;
            let record = self.record(number);
            record.acl = blocks[set].0;
            record.blocks += 1;
        }
    }

    fn symlinks_and_devices(&mut self) {
        for (number, kind) in kinds(self.census) {
            match kind {
                Kind::Symlink(target) if target.len() <= FAST_SYMLINK_MAX => {
                    let body = Body::Text { first: self.inodes.texts.len() as u32, len: target.len() as u8 };
                    self.inodes.texts.extend_from_slice(target);
                    let record = self.record(number);
                    (record.size, record.body) = (target.len() as u64, body);
                }
                Kind::Symlink(target) => {
                    self.place(0, 1);
                    let start = u64::from(self.pieces[0].start) * BLOCK;
                    self.extents.push(Extent::of_bytes(start, &target[..], What::new(&"symlink")));
                    self.finish_inode(number, false);
                    self.record(number).size = target.len() as u64;
                }
                &(Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor }) => {
                    // Both were checked when they were counted.
                    self.record(number).body = Body::Device { major: major as u16, minor };
                }
                _ => {}
            }
        }
    }

    /// The journal, clean. Its body stays zero and is not free: a later recovery reads on until the sequence of blocks
    /// breaks, and what an older file system left on a device could continue it.
    fn journal(&mut self) -> Option<[u32; 17]> {
        let blocks = Some(self.geometry.journal).filter(|&blocks| blocks > 0)?;
        self.place(0, blocks);
        let start = u64::from(self.pieces[0].start) * BLOCK;
        let bytes = superblock::journal(self.ids, blocks);
        self.extents.push(Extent::of_bytes(start, bytes, What::new(&"journal")));
        *self.record(ino::JOURNAL) = Record::ours(mode::REGULAR | 0o600, 1, self.ids.epoch);
        self.finish_inode(ino::JOURNAL, false);
        let size = u64::from(blocks) * BLOCK;
        self.record(ino::JOURNAL).size = size;
        let mut backup = [0; 17];
        for (word, bytes) in backup.iter_mut().zip(self.inodes.block_of(ino::JOURNAL).chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        }
        (backup[15], backup[16]) = ((size >> 32) as u32, size as u32);
        Some(backup)
    }

    fn resize_inode(&mut self) {
        if !self.geometry.resize_inode {
            return;
        }
        let at = self.space.take_one();
        superblock::resize_lists(&self.geometry, at, &mut self.extents);
        *self.record(ino::RESIZE) = Record {
            size: superblock::RESIZE_INODE_SIZE,
            blocks: superblock::resize_blocks(&self.geometry),
            body: Body::Indirect(at),
            ..Record::ours(mode::REGULAR | 0o600, 1, self.ids.epoch)
        };
    }

    fn files(&mut self) {
        for (number, kind) in kinds(self.census) {
            let Kind::File(data) = kind else { continue };
            for run in block_runs(data) {
                self.place(run.start, run.end - run.start);
                self.data(data, run.start);
            }
            self.finish_inode(number, false);
            self.record(number).size = data.size();
        }
    }

    /// The extents of the layout for `self.pieces`, which hold `data` from block `logical` on. The last block's rest is a
    /// gap.
    fn data(&mut self, data: &Data, logical: u32) {
        let mut offset = u64::from(logical) * BLOCK;
        for piece in &self.pieces {
            let len = (u64::from(piece.end - piece.start) * BLOCK).min(data.size() - offset);
            let source = match data {
                Data::Content { id, .. } => Source::Content(*id, offset),
                Data::Bytes(bytes) => Source::Bytes(bytes.clone(), offset),
            };
            self.extents.push(Extent {
                start: u64::from(piece.start) * BLOCK,
                len,
                source,
                what: What::new(&"file"),
            });
            offset += len;
        }
    }
}

static DIRECTORIES: &str = "directories";

/// The files of a tree with their inode numbers, in order.
fn kinds<'a>(census: &'a Census<'a>) -> impl Iterator<Item = (u32, &'a Kind)> {
    let nodes = (ino::FIRST..).zip(&census.nodes);
    nodes.filter_map(|(number, node)| node.map(|node| (number, &census.tree.node(node).kind)))
}

/// Records of all inodes, without their bodies.
fn records(census: &Census, epoch: i64) -> Vec<Record> {
    let mut records = Vec::with_capacity(census.last_inode() as usize);
    records.resize(ino::FIRST as usize - 1, Record::unused());
    records[ino::ROOT as usize - 1] = record(census, ROOT);
    let lost_and_found = Record::ours(mode::DIRECTORY | 0o700, 2, epoch);
    records.extend(
        census
            .nodes
            .iter()
            .map(|node| node.map_or_else(|| lost_and_found.clone(), |node| record(census, node))),
    );
    records
}

fn record(census: &Census, node: NodeId) -> Record {
    let Node { meta, kind } = census.tree.node(node);
    Record::of(meta, type_bits(kind), census.links[node.0 as usize])
}

fn directories_by_group(census: &Census, inodes_per_group: u32) -> Vec<u32> {
    let mut counts = vec![0; (census.last_inode() as usize).div_ceil(inodes_per_group as usize)];
    for directory in &census.directories {
        counts[((directory.ino - 1) / inodes_per_group) as usize] += 1;
    }
    counts
}
