//! Which blocks an inode has: extent trees, and the block maps of ext2 and ext3.

use super::super::disk::{
    EXTENT_MAGIC, EXTENT_MAX_DEPTH, EXTENT_MAX_LEN, ExtentHeader, ExtentIndex, ExtentLeaf, crc32c,
};
use super::claims::Claims;
use super::report::{Object, Report};
use super::volume::Volume;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

/// Blocks of a file that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ext) struct Run {
    /// First block in the file system.
    pub(in crate::ext) start: u64,
    /// First block in the file.
    pub(in crate::ext) block: u32,
    /// Blocks.
    pub(in crate::ext) len: u32,
    /// Whether the blocks hold data; else they read as zero.
    pub(in crate::ext) written: bool,
}

impl Run {
    /// The block of the file behind the last one.
    pub(in crate::ext) fn end(&self) -> u64 {
        u64::from(self.block) + u64::from(self.len)
    }
}

/// The blocks of an inode.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// In the order of the file, disjoint.
    pub(super) runs: Vec<Run>,
    /// Blocks of the map itself.
    pub(super) nodes: u64,
}

impl Map {
    /// The block of the file behind the last that was mapped.
    fn end(&self) -> u64 {
        self.runs.last().map_or(0, Run::end)
    }

    /// All blocks that count in `i_blocks`.
    pub(super) fn blocks(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.len)).sum::<u64>() + self.nodes
    }

    /// Adds a run behind all others, joined with the last where it continues it.
    fn push(&mut self, run: Run) {
        if let Some(last) = self.runs.last_mut() {
            let continues = last.end() == run.block.into() && last.start + u64::from(last.len) == run.start;
            let len = last.len.checked_add(run.len);
            if let Some(len) = len.filter(|_| continues && last.written == run.written) {
                last.len = len;
                return;
            }
        }
        self.runs.push(run);
    }
}

/// The inode whose map is read.
pub(super) struct Of<'a> {
    pub(super) volume: &'a Volume<'a>,
    pub(super) ino: u32,
    /// What checksums of its blocks start from.
    pub(super) seed: u32,
    /// Byte position of `i_block`.
    pub(super) at: u64,
}

/// A node of an extent tree on the way down.
struct Node {
    bytes: Vec<u8>,
    at: u64,
    of: Object,
    depth: u16,
    entries: usize,
    next: usize,
}

const ENTRY: usize = size_of::<ExtentLeaf>();

/// Reads an extent tree.
pub(super) fn extents(of: &Of, i_block: &[u8; 60], claims: &mut Claims, report: &mut Report) -> Map {
    let mut map = Map::default();
    let root = Node::new(i_block.to_vec(), of.at, Object::Inode(of.ino));
    let mut path: Vec<Node> = root.check(None, report).into_iter().collect();
    while let Some(node) = path.last_mut() {
        if node.next == node.entries || report.is_full() {
            path.pop();
            continue;
        }
        let at = ENTRY * (1 + node.next);
        let entry = &node.bytes[at..at + ENTRY];
        let at = node.at + at as u64;
        node.next += 1;
        if node.depth == 0 {
            let leaf = ExtentLeaf::read_from_bytes(entry).expect("12 bytes");
            add_extent(of, leaf, (node.of, at), &mut map, report);
        } else {
            let index = ExtentIndex::read_from_bytes(entry).expect("12 bytes");
            let (depth, parent) = (node.depth - 1, (node.of, at));
            path.extend(child(of, index, depth, parent, &mut map, claims, report));
        }
    }
    map
}

impl Node {
    fn new(bytes: Vec<u8>, at: u64, of: Object) -> Node {
        Node { bytes, at, of, depth: 0, entries: 0, next: 0 }
    }

    /// The node with its numbers, if they can be used. `depth` is what the parent asks for.
    fn check(mut self, depth: Option<u16>, report: &mut Report) -> Option<Node> {
        let header = ExtentHeader::read_from_prefix(&self.bytes).expect("at least 12 bytes").0;
        if header.eh_magic.get() != EXTENT_MAGIC {
            let found = format!("{:#06x}", header.eh_magic);
            report.value(self.of, self.at, format_args!("an extent header: {EXTENT_MAGIC:#06x}"), found);
            return None;
        }
        let room = (self.bytes.len() - ENTRY) / ENTRY;
        let max = usize::from(header.eh_max.get());
        // libext2fs grants two entries less than fit.
        if max > room || max + 2 < room {
            report.value(self.of, self.at + 4, format_args!("eh_max {room}"), max);
            return None;
        }
        let entries = usize::from(header.eh_entries.get());
        if entries > max {
            report.value(self.of, self.at + 2, format_args!("at most {max} entries"), entries);
            return None;
        }
        let found = header.eh_depth.get();
        if found > EXTENT_MAX_DEPTH || depth.is_some_and(|depth| depth != found) {
            let depth = depth.map_or(format!("up to {EXTENT_MAX_DEPTH}"), |depth| depth.to_string());
            report.value(self.of, self.at + 6, format_args!("depth {depth}"), found);
            return None;
        }
        if entries == 0 && (depth.is_some() || found > 0) {
            report.value(self.of, self.at + 2, "at least 1 entry", 0);
            return None;
        }
        (self.depth, self.entries) = (found, entries);
        Some(self)
    }

    /// Block of the file that the first entry starts with.
    fn first_block(&self) -> u32 {
        let block = U32::read_from_prefix(&self.bytes[ENTRY..]).expect("a node has room for an entry").0;
        block.get()
    }
}

fn add_extent(of: &Of, leaf: ExtentLeaf, (parent, at): (Object, u64), map: &mut Map, report: &mut Report) {
    let (block, len) = (leaf.ee_block.get(), leaf.ee_len.get());
    let written = len <= EXTENT_MAX_LEN;
    let len = u32::from(if written { len } else { len - EXTENT_MAX_LEN });
    if len == 0 || u64::from(block) + u64::from(len) > 1 << 32 {
        return report.value(
            parent,
            at + 4,
            "an extent within 2^32 blocks",
            format_args!("{len} blocks from {block}"),
        );
    }
    if u64::from(block) < map.end() {
        return report.value(parent, at, format_args!("block {} or later", map.end()), block);
    }
    if !of.volume.holds(leaf.start(), len.into()) {
        let found = format!("{len} blocks from {}", leaf.start());
        return report.value(parent, at + 6, format_args!("blocks below {}", of.volume.blocks), found);
    }
    map.push(Run { start: leaf.start(), block, len, written });
}

fn child(
    of: &Of,
    index: ExtentIndex,
    depth: u16,
    (parent, at): (Object, u64),
    map: &mut Map,
    claims: &mut Claims,
    report: &mut Report,
) -> Option<Node> {
    let object = Object::ExtentNode(of.ino);
    let bytes = follow(of, index.leaf(), object, (parent, at + 4), map, claims, report)?;
    let at = of.volume.offset(index.leaf());
    let node = Node::new(bytes, at, object);
    check_tail(of, &node, report);
    let node = node.check(Some(depth), report)?;
    if node.first_block() != index.ei_block.get() {
        let expected = format!("block {} first, as its parent says", index.ei_block);
        report.mismatch(object, at + ENTRY as u64, expected, node.first_block());
    }
    Some(node)
}

fn check_tail(of: &Of, node: &Node, report: &mut Report) {
    if !of.volume.has_checksums() {
        return;
    }
    let max = usize::from(u16::from_le_bytes([node.bytes[4], node.bytes[5]]));
    let tail = ENTRY * (1 + max);
    if let Some(stored) = node.bytes.get(tail..tail + 4) {
        let stored = U32::read_from_bytes(stored).expect("4 bytes").get();
        report.checksum(node.of, node.at + tail as u64, crc32c(of.seed, &node.bytes[..tail]), stored);
    }
}

/// Reads a block of the map, claims it and counts it.
fn follow(
    of: &Of,
    block: u64,
    object: Object,
    (parent, at): (Object, u64),
    map: &mut Map,
    claims: &mut Claims,
    report: &mut Report,
) -> Option<Vec<u8>> {
    if !of.volume.holds(block, 1) {
        report.value(parent, at, format_args!("a block below {}", of.volume.blocks), block);
        return None;
    }
    claims.add(block, 1, object);
    map.nodes += 1;
    if !claims.first_visit(block) {
        return None;
    }
    of.volume.read_block(block, object).map_err(|damage| report.add(damage)).ok()
}

/// A block of pointers on the way down.
struct Pointers {
    bytes: Vec<u8>,
    at: u64,
    of: Object,
    /// Levels of pointers below: 0 when the pointers are to data.
    level: u32,
    next: usize,
}

/// Reads a block map: 12 pointers to data, then one to a block of pointers, to a block of those, and once more.
pub(super) fn block_map(of: &Of, i_block: &[u8; 60], claims: &mut Claims, report: &mut Report) -> Map {
    let per_block = of.volume.block_size as u64 / 4;
    let mut map = Map::default();
    let mut block = 0u64;
    let direct = i_block[..48].to_vec();
    let mut path = vec![Pointers { bytes: direct, at: of.at, of: Object::Inode(of.ino), level: 0, next: 0 }];
    let mut roots = (1..=3u32).map(|level| {
        let at = 44 + 4 * level as usize;
        Pointers {
            bytes: i_block[at..at + 4].to_vec(),
            at: of.at + at as u64,
            of: Object::Inode(of.ino),
            level,
            next: 0,
        }
    });
    while !report.is_full() {
        let Some(pointers) = path.last_mut() else {
            match roots.next() {
                Some(root) => path.push(root),
                None => break,
            }
            continue;
        };
        let at = pointers.next * 4;
        let Some(pointer) = pointers.bytes.get(at..at + 4) else {
            path.pop();
            continue;
        };
        pointers.next += 1;
        let pointer = u64::from(U32::read_from_bytes(pointer).expect("4 bytes").get());
        let (level, parent) = (pointers.level, (pointers.of, pointers.at + at as u64));
        let spans = per_block.pow(level);
        match (pointer, level) {
            (0, _) => block += spans,
            (_, 0) => {
                add_block(of, pointer, block, parent, &mut map, report);
                block += 1;
            }
            _ => {
                let object = Object::IndirectBlock(of.ino);
                match follow(of, pointer, object, parent, &mut map, claims, report) {
                    Some(bytes) => path.push(Pointers {
                        bytes,
                        at: of.volume.offset(pointer),
                        of: object,
                        level: level - 1,
                        next: 0,
                    }),
                    None => block += spans,
                }
            }
        }
    }
    map
}

fn add_block(
    of: &Of,
    pointer: u64,
    block: u64,
    (parent, at): (Object, u64),
    map: &mut Map,
    report: &mut Report,
) {
    let Some(block) = u32::try_from(block).ok().filter(|&block| block < u32::MAX) else {
        return report.value(parent, at, "at most 2^32 blocks in a file", block);
    };
    if !of.volume.holds(pointer, 1) {
        return report.value(parent, at, format_args!("a block below {}", of.volume.blocks), pointer);
    }
    map.push(Run { start: pointer, block, len: 1, written: true });
}
