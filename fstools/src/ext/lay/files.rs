//! Gives every inode its blocks, and the layout its extents.

use super::census::{Census, FAST_SYMLINK_MAX, block_runs, has_empty_block};
use super::directory::{Directories, Form};
use super::extents::{Run, cut, plant};
use super::geometry::{Geometry, Places};
use super::group::Groups;
use super::indirect::{self, DIRECT, Maps};
use super::inode::{Body, Inodes, Record, latest_time, type_bits};
use super::space::Space;
use super::superblock::{self, Ids, Own};
use super::tables;
use super::xattr::{self, Elsewhere};
use crate::ext::disk::{ino, inode_seed, mode};
use crate::ext::format::{Feature, Format};
use crate::ext::options::Options;
use crate::registry::Laid;
use crate::tree::{Data, Kind, Node, NodeId, ROOT};
use diskwright_formats::layout::{Bytes, Extent, Extents, Layout, Made, Source, What};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use zerocopy::IntoBytes;

/// A tree on its way into a layout.
pub(super) struct Laying<'a> {
    census: &'a Census<'a>,
    ids: &'a Ids,
    format: Format,
    /// Time of inodes of our own.
    epoch: i64,
    geometry: Geometry,
    space: Space,
    inodes: Inodes,
    maps: Maps,
    extents: Extents,
    /// Scratch.
    pieces: Vec<Range<u32>>,
    runs: Vec<Run>,
}

impl<'a> Laying<'a> {
    pub(super) fn new(census: &'a Census, ids: &'a Ids, geometry: Geometry, space: Space) -> Laying<'a> {
        let format = geometry.format;
        let elsewhere =
            Elsewhere { values: &census.values, first_inode: census.first_value(), seed: ids.seed };
        let epoch = ids.epoch.min(latest_time(&format));
        let in_inode = |set: &xattr::Stored| xattr::in_inode(&format, &set.inode, elsewhere);
        let inodes = Inodes {
            format,
            seed: ids.seed,
            records: records(census, &format, epoch),
            runs: Vec::new(),
            maps: Vec::new(),
            texts: Vec::new(),
            xattrs: census.xattrs.iter().map(in_inode).collect(),
            values: (census.first_value(), Vec::new()),
            key: OnceLock::new(),
        };
        Laying {
            census,
            ids,
            format,
            epoch,
            geometry,
            space,
            inodes,
            maps: Maps::new(format.block_size),
            extents: Extents::with_capacity(census.nodes.len()),
            pieces: Vec::new(),
            runs: Vec::new(),
        }
    }

    pub(super) fn lay(mut self, places: Places, options: &Options, len: u64) -> Laid {
        self.own_root(options);
        self.directories();
        self.attributes();
        self.values();
        self.symlinks_and_devices();
        let own = Own { journal: self.journal(), orphan_file: self.orphan_file() };
        self.resize_inode();
        self.files();
        self.indirect_blocks();
        let Laying { census, ids, geometry, space, inodes, mut extents, .. } = self;
        let groups = Groups {
            seed: ids.seed,
            uuid: ids.uuid,
            geometry,
            places,
            free: space.into_free(),
            last_inode: inodes.records.len() as u32,
            directories: directories_by_group(census, geometry.inodes_per_group()),
        };
        let superblock = superblock::superblock(ids, options, &groups, own);
        let groups = Arc::new(groups);
        tables::copies(&superblock, &groups, &mut extents);
        let free = tables::bitmaps(&groups, &mut extents);
        tables::inodes(&groups, inodes, &mut extents);
        let layout = Layout::of_extents(len, extents, free).expect("every block was handed out once");
        Laid { layout, usage: tables::usage(&groups, options) }
    }

    /// Owner and mode of the root that the options ask for.
    fn own_root(&mut self, options: &Options) {
        let root = self.record(ino::ROOT);
        (root.uid, root.gid) = options.root_owner.unwrap_or((root.uid, root.gid));
        root.mode = mode::DIRECTORY | options.root_mode.unwrap_or(root.mode & !mode::TYPE);
    }

    fn offset(&self, block: u32) -> u64 {
        u64::from(block) * self.format.block()
    }

    fn record(&mut self, number: u32) -> &mut Record {
        &mut self.inodes.records[number as usize - 1]
    }

    /// Places the blocks of an inode: its runs (blocks of the file, sorted), and what maps them. `indexed`: of a directory
    /// with an index. `put` makes extents of the first block of the file and of the places from it on.
    fn place(
        &mut self,
        number: u32,
        indexed: bool,
        runs: impl Iterator<Item = Range<u32>>,
        put: impl FnMut(&mut Extents, u32, &[Range<u32>]),
    ) {
        let (blocks, body) = match self.format.has(Feature::EXTENTS) {
            true => self.place_extents(number, indexed, runs, put),
            false => self.place_map(indexed, runs, put),
        };
        let record = self.record(number);
        record.blocks += blocks;
        record.body = body;
    }

    fn place_extents(
        &mut self,
        number: u32,
        indexed: bool,
        runs: impl Iterator<Item = Range<u32>>,
        mut put: impl FnMut(&mut Extents, u32, &[Range<u32>]),
    ) -> (u32, Body) {
        self.runs.clear();
        for run in runs {
            self.pieces.clear();
            self.space.take(run.end - run.start, &mut self.pieces);
            cut(run.start, &self.pieces, &mut self.runs);
            put(&mut self.extents, run.start, &self.pieces);
        }
        let data: u32 = self.runs.iter().map(|run| run.len).sum();
        let seed = inode_seed(self.ids.seed, number, 0);
        let (depth, nodes) = plant(&self.format, &mut self.runs, seed, &mut self.space, &mut self.extents);
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
        (data + nodes, body)
    }

    /// Each indirect block lies directly in front of what it lists.
    fn place_map(
        &mut self,
        indexed: bool,
        runs: impl Iterator<Item = Range<u32>>,
        mut put: impl FnMut(&mut Extents, u32, &[Range<u32>]),
    ) -> (u32, Body) {
        let listed = self.format.pointers_per_block();
        let (first_run, first_node) = (self.maps.runs.len(), self.maps.nodes.len());
        let (mut blocks, mut last) = (0, None);
        for run in runs {
            let mut start = run.start;
            while start < run.end {
                let leaf = start.checked_sub(DIRECT).map(|behind| behind / listed);
                let end =
                    leaf.map_or(DIRECT, |leaf| DIRECT.saturating_add((leaf + 1).saturating_mul(listed)));
                let end = end.min(run.end);
                if let Some(leaf) = leaf {
                    for level in indirect::entered(listed, last, leaf) {
                        let at = self.space.take_one();
                        self.maps.nodes.push(indirect::Node::over(listed, leaf, level, at));
                    }
                    last = Some(leaf);
                }
                self.pieces.clear();
                self.space.take(end - start, &mut self.pieces);
                cut(start, &self.pieces, &mut self.maps.runs);
                put(&mut self.extents, start, &self.pieces);
                blocks += end - start;
                start = end;
            }
        }
        let nodes = (self.maps.nodes.len() - first_node) as u32;
        let body = match self.maps.runs[first_run..] {
            [] => Body::Nothing,
            [Run { logical: 0, start, len }] if nodes == 0 => {
                self.maps.runs.truncate(first_run);
                Body::Direct { start, len: len as u16, indexed }
            }
            _ => {
                self.inodes.maps.push(self.maps.finish(first_run, first_node));
                Body::Map { at: self.inodes.maps.len() as u32 - 1, indexed }
            }
        };
        if nodes == 0 {
            // The inode lists all of it.
            self.maps.runs.truncate(first_run);
        }
        (blocks + nodes, body)
    }

    fn directories(&mut self) {
        let census = self.census;
        let made = Directories::of(&self.format, census, self.ids.seed, self.ids.hash_words());
        let made = Made::new(made);
        let (mut argument, block) = (0, self.format.block());
        for directory in &census.directories {
            let blocks = directory.form.blocks();
            let indexed = matches!(directory.form, Form::Indexed { .. });
            self.place(directory.ino, indexed, std::iter::once(0..blocks), |extents, _, pieces| {
                for piece in pieces {
                    let len = u64::from(piece.end - piece.start) * block;
                    let start = u64::from(piece.start) * block;
                    match extents.last() {
                        // Neighbours are merged at once: most directories are one block.
                        Some(last) if last.end() == start && last.what.name() == DIRECTORIES => {
                            extents.grow_last(len);
                        }
                        _ => {
                            let source = Source::Made(made.clone(), argument);
                            extents.push(Extent { start, len, source, what: What::new(&DIRECTORIES) });
                        }
                    }
                    argument += len;
                }
            });
            self.record(directory.ino).size = u64::from(blocks) * block;
        }
    }

    /// Attribute blocks, each shared by as many inodes as may.
    fn attributes(&mut self) {
        let census = self.census;
        let elsewhere =
            Elsewhere { values: &census.values, first_inode: census.first_value(), seed: self.ids.seed };
        let mut blocks: Vec<(u32, u32)> = vec![(0, 0); census.xattrs.len()];
        let mut left = census.users.clone();
        for number in std::iter::once(ino::ROOT).chain(ino::FIRST..census.first_value()) {
            let set = self.record(number).xattrs as usize;
            let Some(stored) = census.xattrs.get(set).filter(|stored| !stored.block.is_empty()) else {
                continue;
            };
            if blocks[set].1 == 0 {
                let at = self.space.take_one();
                let references = left[set].min(xattr::SHARED);
                left[set] -= references;
                blocks[set] = (at, references);
                let bytes = xattr::in_block(&self.format, &stored.block, elsewhere, at, references);
                self.extents.push(Extent::of_bytes(self.offset(at), bytes, What::new(&"attributes")));
            }
            blocks[set].1 -= 1;
            let record = self.record(number);
            record.acl = blocks[set].0;
            record.blocks += 1;
        }
    }

    /// Inodes of attributes' values. Entries in an inode refer to them for each inode, those in a block once; their blocks
    /// count for every inode that has the attribute.
    fn values(&mut self) {
        let census = self.census;
        if census.values.list.is_empty() {
            return;
        }
        for number in std::iter::once(ino::ROOT).chain(ino::FIRST..census.first_value()) {
            let record = self.record(number);
            let Some(set) = census.xattrs.get(record.xattrs as usize) else { continue };
            let values = set.inode.iter().chain(&set.block).filter_map(xattr::Attribute::in_values);
            record.blocks += values
                .map(|value| census.blocks_of_value(census.values.list[value as usize].len()))
                .sum::<u32>();
        }
        let mut references = vec![0; census.values.list.len()];
        for (set, &users) in census.xattrs.iter().zip(&census.users) {
            let in_block = (&set.block, users.div_ceil(xattr::SHARED));
            for (attributes, times) in [(&set.inode, users), in_block] {
                for value in attributes.iter().filter_map(xattr::Attribute::in_values) {
                    references[value as usize] += times;
                }
            }
        }
        let first = census.first_value();
        for (number, (value, references)) in (first..).zip(census.values.list.iter().zip(references)) {
            let hash = census.values.hash(number - first, self.ids.seed);
            self.inodes.values.1.push((hash, references));
            self.inodes.records.push(Record::ours(mode::REGULAR | 0o600, 1, self.epoch));
            let blocks = census.blocks_of_value(value.len());
            self.place_bytes(number, blocks, Bytes::from(value.to_vec()), &"attribute");
        }
    }

    /// Places the bytes of an inode of `blocks` blocks.
    fn place_bytes(&mut self, number: u32, blocks: u32, bytes: Bytes, what: &'static &'static str) {
        let len = bytes.len() as u64;
        let block = self.format.block();
        self.place(number, false, std::iter::once(0..blocks), |extents, logical, pieces| {
            let mut offset = u64::from(logical) * block;
            for piece in pieces {
                let here = (u64::from(piece.end - piece.start) * block).min(len.saturating_sub(offset));
                if here > 0 {
                    let source = Source::Bytes(bytes.clone(), offset);
                    let start = u64::from(piece.start) * block;
                    extents.push(Extent { start, len: here, source, what: What::new(what) });
                }
                offset += here;
            }
        });
        self.record(number).size = len;
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
                    self.place_bytes(number, 1, Bytes::from(target.to_vec()), &"symlink");
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
        *self.record(ino::JOURNAL) = Record::ours(mode::REGULAR | 0o600, 1, self.epoch);
        let bytes = superblock::journal(self.ids, &self.format, blocks);
        self.place_bytes(ino::JOURNAL, blocks, Bytes::from(bytes), &"journal");
        let size = u64::from(blocks) * self.format.block();
        self.record(ino::JOURNAL).size = size;
        let mut backup = [0; 17];
        for (word, bytes) in backup.iter_mut().zip(self.inodes.block_of(ino::JOURNAL).chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        }
        (backup[15], backup[16]) = ((size >> 32) as u32, size as u32);
        Some(backup)
    }

    /// The orphan file, behind all other inodes, because only the superblock names it.
    fn orphan_file(&mut self) -> Option<u32> {
        let blocks = Some(self.geometry.orphan_file).filter(|&blocks| blocks > 0)?;
        self.inodes.records.push(Record::ours(mode::REGULAR | 0o600, 1, self.epoch));
        let number = self.inodes.records.len() as u32;
        let (ids, format) = (self.ids, self.format);
        self.place(number, false, std::iter::once(0..blocks), |extents, _, pieces| {
            for at in pieces.iter().cloned().flatten() {
                let tail = superblock::orphan_tail(ids, &format, number, at);
                let end = u64::from(at + 1) * format.block();
                let what = What::new(&"orphan file");
                extents.push(Extent::of_bytes(end - tail.as_bytes().len() as u64, tail.as_bytes(), what));
            }
        });
        self.record(number).size = u64::from(blocks) * format.block();
        Some(number)
    }

    fn resize_inode(&mut self) {
        if !self.format.has(Feature::RESIZE_INODE) {
            return;
        }
        let at = self.space.take_one();
        superblock::resize_lists(&self.geometry, at, &mut self.extents);
        *self.record(ino::RESIZE) = Record {
            size: superblock::resize_inode_size(&self.format),
            blocks: superblock::resize_blocks(&self.geometry),
            body: Body::Indirect(at),
            ..Record::ours(mode::REGULAR | 0o600, 1, self.epoch)
        };
    }

    fn files(&mut self) {
        let format = self.format;
        for (number, kind) in kinds(self.census) {
            let Kind::File(data) = kind else { continue };
            let empty = has_empty_block(&format, data);
            self.place(number, false, block_runs(&format, data), |extents, logical, pieces| {
                if !(empty && logical == 0) {
                    put_data(&format, data, logical, pieces, extents);
                }
            });
            self.record(number).size = data.size();
        }
    }

    /// The indirect blocks of all files.
    fn indirect_blocks(&mut self) {
        let maps = std::mem::take(&mut self.maps);
        let places: Vec<u32> = maps.nodes.iter().map(|node| node.at).collect();
        let (made, len) = (Made::new(maps), self.format.block());
        for (at, argument) in places.into_iter().zip((0..).step_by(len as usize)) {
            let source = Source::Made(made.clone(), argument);
            let start = self.offset(at);
            self.extents.push(Extent { start, len, source, what: What::new(&"indirect blocks") });
        }
    }
}

/// The extents of the layout for `pieces`, which hold `data` from block `logical` on. The last block's rest is a gap.
fn put_data(format: &Format, data: &Data, logical: u32, pieces: &[Range<u32>], extents: &mut Extents) {
    let mut offset = u64::from(logical) * format.block();
    for piece in pieces {
        let len = (u64::from(piece.end - piece.start) * format.block()).min(data.size() - offset);
        let source = match data {
            Data::Content { id, .. } => Source::Content(*id, offset),
            Data::Bytes(bytes) => Source::Bytes(bytes.clone(), offset),
        };
        let start = u64::from(piece.start) * format.block();
        extents.push(Extent { start, len, source, what: What::new(&"file") });
        offset += len;
    }
}

static DIRECTORIES: &str = "directories";

/// The files of a tree with their inode numbers, in order.
fn kinds<'a>(census: &'a Census<'a>) -> impl Iterator<Item = (u32, &'a Kind)> {
    let nodes = (ino::FIRST..).zip(&census.nodes);
    nodes.filter_map(|(number, node)| node.map(|node| (number, &census.tree.node(node).kind)))
}

/// Records of all inodes of the tree, without their bodies.
fn records(census: &Census, format: &Format, epoch: i64) -> Vec<Record> {
    let mut records = Vec::with_capacity(census.last_inode() as usize);
    records.resize(ino::FIRST as usize - 1, Record::unused());
    let latest = latest_time(format);
    records[ino::ROOT as usize - 1] = record(census, ROOT, latest);
    let lost_and_found = Record::ours(mode::DIRECTORY | 0o700, 2, epoch);
    records.extend(
        census
            .nodes
            .iter()
            .map(|node| node.map_or_else(|| lost_and_found.clone(), |node| record(census, node, latest))),
    );
    records
}

fn record(census: &Census, node: NodeId, latest: i64) -> Record {
    let Node { meta, kind } = census.tree.node(node);
    Record::of(meta, type_bits(kind), census.links[node.0 as usize], latest)
}

fn directories_by_group(census: &Census, inodes_per_group: u32) -> Vec<u32> {
    let mut counts = vec![0; (census.last_inode() as usize).div_ceil(inodes_per_group as usize)];
    for directory in &census.directories {
        counts[((directory.ino - 1) / inodes_per_group) as usize] += 1;
    }
    counts
}
