//! Directories: linear blocks and hashed indexes (`Documentation/filesystems/ext4/directory.rst`).
//!
//! The number of blocks depends on the lengths of the names alone, never on their hashes, so that the size of a file
//! system is known before its hash seed is.

use super::blocks::{digest_of, fill_blocks};
use super::census::{Census, type_of};
use crate::ext::disk::{
    DIR_TAIL_FILE_TYPE, DX_NODE_ENTRIES, DX_ROOT_ENTRIES, DX_ROOT_INFO, DirEntry, DirEntryTail, DxCountLimit,
    DxEntry, DxRootInfo, DxTail, HASH_HALF_MD4, crc32c, dx_checksum, file_type_of, inode_seed, mode,
};
use crate::ext::format::{Feature, Format};
use crate::ext::hash::half_md4;
use crate::tree::NodeId;
use diskwright_formats::layout::{Fill, Key};
use std::mem::size_of;
use std::sync::OnceLock;
use zerocopy::IntoBytes;

/// Bytes of `.` and `..` in the first block.
const DOTS: u64 = 24;
/// Longest directory without large_dir, in bytes.
const LONGEST: u64 = u32::MAX as u64;

/// Bytes of a leaf for entries: all but the tail with the checksum.
fn capacity(format: &Format) -> u64 {
    format.block() - if format.checksums() { size_of::<DirEntryTail>() as u64 } else { 0 }
}

/// Bytes of names that a leaf of an index gets: 85%, so that the first file that is added splits nothing, and one name
/// more has room.
fn leaf_fill(format: &Format) -> u64 {
    (capacity(format) * 85 / 100).min(capacity(format) - entry_len(255))
}

/// Entries of a node of an index whose entries start at byte `at`.
fn limit(format: &Format, at: usize) -> u32 {
    let tail = if format.checksums() { size_of::<DxTail>() } else { 0 };
    ((format.block_size as usize - at - tail) / size_of::<DxEntry>()) as u32
}

/// Bytes of an entry with a name of `len` bytes.
pub(super) fn entry_len(len: usize) -> u64 {
    (8 + len as u64).next_multiple_of(4)
}

/// How a directory is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Entries one after the other.
    Linear {
        /// How many blocks.
        blocks: u32,
    },
    /// A root block, nodes below it (if one level is not enough), leaves.
    Indexed {
        /// Inner nodes.
        nodes: u32,
        /// Leaves.
        leaves: u32,
    },
}

impl Form {
    /// The form of a directory with entries of these lengths, of at least `least` blocks. One that is too large for an
    /// index has none.
    pub(super) fn of(format: &Format, lens: impl Iterator<Item = u64>, least: u32) -> Result<Form, String> {
        let (mut blocks, mut used, mut total) = (1u64, DOTS, 0);
        for len in lens {
            total += len;
            used += len;
            if used > capacity(format) {
                (blocks, used) = (blocks + 1, len);
            }
        }
        let leaves = total.div_ceil(leaf_fill(format));
        let root_limit = u64::from(limit(format, DX_ROOT_ENTRIES));
        let nodes = match leaves <= root_limit {
            true => 0,
            false => leaves.div_ceil(limit(format, DX_NODE_ENTRIES).into()).max(2),
        };
        let indexed = format.has(Feature::DIR_INDEX) && blocks > u64::from(least) && nodes <= root_limit;
        let all = if indexed { 1 + nodes + leaves } else { blocks };
        if all * format.block() > LONGEST {
            return Err(format!("a directory of {} bytes: less than 4 GiB", all * format.block()));
        }
        Ok(match indexed {
            true => Form::Indexed { nodes: nodes as u32, leaves: leaves as u32 },
            false => Form::Linear { blocks: (blocks as u32).max(least) },
        })
    }

    /// All blocks.
    pub(super) fn blocks(self) -> u32 {
        match self {
            Form::Linear { blocks } => blocks,
            Form::Indexed { nodes, leaves } => 1 + nodes + leaves,
        }
    }
}

/// The blocks of all directories, one after the other, in a form that costs little more than the names.
pub(super) struct Directories {
    format: Format,
    seed: u32,
    list: Vec<Stored>,
    /// Entries in the order of the blocks: inode number, length, type, name.
    entries: Vec<u8>,
    /// Where the entries of each block start, and their end.
    starts: Vec<usize>,
    /// The index entry of each block that is a leaf of an index: its lowest hash.
    hashes: Vec<u32>,
    key: OnceLock<[u8; 32]>,
}

struct Stored {
    first: u32,
    ino: u32,
    parent: u32,
    form: Form,
}

/// A name on its way into a leaf.
struct Hashed<'a> {
    hash: (u32, u32),
    name: &'a [u8],
    node: Option<NodeId>,
}

impl Directories {
    /// Lays the directories of a tree. `seed`: of checksums; `hash_seed`: of names.
    pub(super) fn of(format: &Format, census: &Census, seed: u32, hash_seed: [u32; 4]) -> Directories {
        let mut directories = Directories {
            format: *format,
            seed,
            list: Vec::with_capacity(census.directories.len()),
            entries: Vec::new(),
            starts: vec![0],
            hashes: Vec::new(),
            key: OnceLock::new(),
        };
        for directory in &census.directories {
            let (ino, parent, form) = (directory.ino, directory.parent, directory.form);
            let first = directories.hashes.len() as u32;
            directories.list.push(Stored { first, ino, parent, form });
            match form {
                Form::Linear { blocks } => directories.add_linear(census, directory.node, blocks),
                Form::Indexed { nodes, leaves } => {
                    (0..1 + nodes).for_each(|_| directories.end_block(0));
                    directories.add_leaves(census, directory.node, leaves, hash_seed);
                }
            }
            debug_assert_eq!(directories.hashes.len() as u32, first + form.blocks());
        }
        directories
    }

    /// Blocks of all directories.
    pub(super) fn blocks(&self) -> u32 {
        self.hashes.len() as u32
    }

    fn add_linear(&mut self, census: &Census, node: Option<NodeId>, blocks: u32) {
        let end = self.hashes.len() + blocks as usize;
        let mut used = DOTS;
        for (name, child) in census.entries(node) {
            let len = entry_len(name.len());
            used += len;
            if used > capacity(&self.format) {
                self.end_block(0);
                used = len;
            }
            self.add_entry(census, name, child);
        }
        while self.hashes.len() < end {
            self.end_block(0);
        }
    }

    /// Sorts the names by hash and shares them out evenly: each leaf gets those that start in its part of all bytes, so
    /// its load is at most [`leaf_fill`] and one name.
    fn add_leaves(&mut self, census: &Census, node: Option<NodeId>, leaves: u32, hash_seed: [u32; 4]) {
        let mut names: Vec<Hashed> = census
            .entries(node)
            .map(|(name, node)| Hashed { hash: half_md4(name, hash_seed), name, node })
            .collect();
        names.sort_unstable_by(|a, b| (a.hash, a.name).cmp(&(b.hash, b.name)));
        let total: u64 = names.iter().map(|hashed| entry_len(hashed.name.len())).sum();
        let (mut position, mut leaf, mut lowest, mut last) = (0, 0, 0, None);
        for Hashed { hash: (hash, _), name, node } in names {
            // At most 2^32 names of 264 bytes, at most 2^18 leaves.
            let here = (u128::from(position) * u128::from(leaves) / u128::from(total)) as u64;
            if here > leaf {
                self.end_block(lowest);
                leaf = here;
                // A hash that began in the leaf before: the lowest bit says so.
                lowest = hash | u32::from(last == Some(hash));
            }
            self.add_entry(census, name, node);
            position += entry_len(name.len());
            last = Some(hash);
        }
        self.end_block(lowest);
    }

    fn add_entry(&mut self, census: &Census, name: &[u8], node: Option<NodeId>) {
        let file_type = match self.format.has(Feature::FILETYPE) {
            true => file_type_of(type_of(census.tree, node)),
            false => 0,
        };
        self.entries.extend_from_slice(&census.number_of(node).to_le_bytes());
        self.entries.extend_from_slice(&[name.len() as u8, file_type]);
        self.entries.extend_from_slice(name);
    }

    fn end_block(&mut self, hash: u32) {
        self.starts.push(self.entries.len());
        self.hashes.push(hash);
    }

    fn block(&self, at: u32, block: &mut [u8]) {
        let directory = &self.list[self.list.partition_point(|directory| directory.first <= at) - 1];
        let local = at - directory.first;
        let seed = inode_seed(self.seed, directory.ino, 0);
        match directory.form {
            Form::Indexed { nodes, leaves } if local == 0 => self.root(directory, nodes, leaves, seed, block),
            Form::Indexed { nodes, leaves } if local <= nodes => {
                let part = |node: u32| (u64::from(node) * u64::from(leaves) / u64::from(nodes)) as u32;
                let first = 1 + nodes;
                let below =
                    (first + part(local - 1)..first + part(local)).map(|leaf| self.index(directory, leaf));
                put(block, 0, 0, self.format.block_size as u16, 0, b"");
                self.render_index(block, DX_NODE_ENTRIES, below, seed);
            }
            _ => {
                let dots = (local == 0).then_some((directory.ino, directory.parent));
                let range = self.starts[at as usize]..self.starts[at as usize + 1];
                self.render_leaf(&self.entries[range], dots, seed, block);
            }
        }
    }

    fn root(&self, directory: &Stored, nodes: u32, leaves: u32, seed: u32, block: &mut [u8]) {
        let file_type = self.type_of_directories();
        put(block, 0, directory.ino, 12, file_type, b".");
        put(block, 12, directory.parent, self.format.block_size as u16 - 12, file_type, b"..");
        let info = DxRootInfo {
            reserved_zero: 0.into(),
            hash_version: HASH_HALF_MD4,
            info_length: 8,
            indirect_levels: u8::from(nodes > 0),
            unused_flags: 0,
        };
        block[DX_ROOT_INFO..][..8].copy_from_slice(info.as_bytes());
        if nodes == 0 {
            let below = (0..leaves).map(|leaf| self.index(directory, 1 + leaf));
            return self.render_index(block, DX_ROOT_ENTRIES, below, seed);
        }
        let below = (0..nodes).map(|node| {
            let first = (u64::from(node) * u64::from(leaves) / u64::from(nodes)) as u32;
            DxEntry { block: (1 + node).into(), ..self.index(directory, 1 + nodes + first) }
        });
        self.render_index(block, DX_ROOT_ENTRIES, below, seed);
    }

    /// `file_type` of `.` and `..`.
    fn type_of_directories(&self) -> u8 {
        if self.format.has(Feature::FILETYPE) { file_type_of(mode::DIRECTORY) } else { 0 }
    }

    /// Entries, the last one stretched to the tail.
    fn render_leaf(&self, entries: &[u8], dots: Option<(u32, u32)>, seed: u32, block: &mut [u8]) {
        let end = capacity(&self.format) as usize;
        let (mut at, mut last) = (0, 0);
        let mut add = |ino, file_type, name: &[u8]| {
            let len = entry_len(name.len()) as usize;
            put(block, at, ino, len as u16, file_type, name);
            (last, at) = (at, at + len);
        };
        if let Some((ino, parent)) = dots {
            add(ino, self.type_of_directories(), b".");
            add(parent, self.type_of_directories(), b"..");
        }
        let mut rest = entries;
        while let Some((&[a, b, c, d, len, file_type], tail)) = rest.split_first_chunk() {
            let (name, next) = tail.split_at(usize::from(len));
            add(u32::from_le_bytes([a, b, c, d]), file_type, name);
            rest = next;
        }
        block[last + 4..last + 6].copy_from_slice(&((end - last) as u16).to_le_bytes());
        if self.format.checksums() {
            let tail = DirEntryTail {
                det_reserved_zero1: 0.into(),
                det_rec_len: 12.into(),
                det_reserved_zero2: 0,
                det_reserved_ft: DIR_TAIL_FILE_TYPE,
                det_checksum: crc32c(seed, &block[..end]).into(),
            };
            block[end..].copy_from_slice(tail.as_bytes());
        }
    }

    /// Index entries from `at` on (the first one's hash gives way to limit and count), and the tail behind the last
    /// possible.
    fn render_index(
        &self,
        block: &mut [u8],
        at: usize,
        entries: impl ExactSizeIterator<Item = DxEntry>,
        seed: u32,
    ) {
        let (count, limit) = (entries.len(), limit(&self.format, at));
        for (slot, entry) in block[at..].chunks_exact_mut(8).zip(entries) {
            slot.copy_from_slice(entry.as_bytes());
        }
        let head = DxCountLimit { limit: (limit as u16).into(), count: (count as u16).into() };
        block[at..at + 4].copy_from_slice(head.as_bytes());
        if self.format.checksums() {
            let mut tail = DxTail { dt_reserved: 0.into(), dt_checksum: 0.into() };
            tail.dt_checksum = dx_checksum(seed, block, at, count, &tail).into();
            block[at + 8 * limit as usize..][..8].copy_from_slice(tail.as_bytes());
        }
    }

    /// The index entry of a leaf, by its place in the directory.
    fn index(&self, directory: &Stored, leaf: u32) -> DxEntry {
        DxEntry { hash: self.hashes[(directory.first + leaf) as usize].into(), block: leaf.into() }
    }
}

impl Fill for Directories {
    fn key(&self) -> Key {
        let len = u64::from(self.blocks()) * self.format.block();
        let digest = || digest_of(len, |at, buffer| self.fill(at, buffer));
        Key { format: "ext4 directories", digest: *self.key.get_or_init(digest) }
    }

    fn fill(&self, argument: u64, buffer: &mut [u8]) {
        fill_blocks(self.format.block_size, argument, buffer, |at, block| self.block(at as u32, block));
    }
}

/// Writes one entry; the block is zero before.
fn put(block: &mut [u8], at: usize, ino: u32, rec_len: u16, file_type: u8, name: &[u8]) {
    let entry =
        DirEntry { inode: ino.into(), rec_len: rec_len.into(), name_len: name.len() as u8, file_type };
    block[at..at + 8].copy_from_slice(entry.as_bytes());
    block[at + 8..at + 8 + name.len()].copy_from_slice(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::format::Generation;
    use crate::ext::options::Options;

    #[test]
    fn forms_on_both_sides_of_each_limit() {
        let format = Options::of(Generation::Ext4).format;
        let unindexed = Format { features: format.features.with(Feature::DIR_INDEX, false), ..format };
        let names = |count: u64, len| std::iter::repeat_n(entry_len(len), count as usize);
        let form = |count, len| Form::of(&format, names(count, len), 1).expect("small");
        // 16-byte entries: 253 of them beside the dots.
        assert_eq!(form(253, 8), Form::Linear { blocks: 1 });
        assert_eq!(form(254, 8), Form::Indexed { nodes: 0, leaves: 2 });
        let full = leaf_fill(&format) / 16 * 507;
        assert!(matches!(form(full, 8), Form::Indexed { nodes: 0, .. }));
        assert!(matches!(form(full + 1000, 8), Form::Indexed { nodes: 2, .. }));
        assert_eq!(Form::of(&unindexed, names(254, 8), 1), Ok(Form::Linear { blocks: 2 }));
        assert_eq!(Form::of(&format, names(3, 8), 4), Ok(Form::Linear { blocks: 4 }));
        // At most 123 nodes of 126 leaves with blocks of 1 KiB.
        let small = Format { block_size: 1024, ..format };
        let most = leaf_fill(&small) * 123 * 126 / 264;
        let form = |count| Form::of(&small, names(count, 255), 1).expect("small");
        assert!(matches!(form(most), Form::Indexed { nodes: 123, .. }));
        assert!(matches!(form(most + 4), Form::Linear { .. }));
    }
}
