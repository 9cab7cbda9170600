//! Image -> guest, with everything that contradicts the format.

use super::check::check_refcounts;
use super::disk::{BLOCK_OFFSET, COMPRESSED, COPIED, MAGIC, OFFSET, Snapshot, ZERO};
use super::head::{Head, damage, read, read_bytes};
use crate::bytes::align_up;
use crate::fault::{Damage, DamageKind};
use crate::layout::{ContentId, Extent, Layout, ReadAt, Source, What};
use crate::registry::{MOST_DAMAGE, OpenedDisk};
use std::collections::BTreeMap;
use std::ops::Range;

/// Whether the image begins as one.
pub(super) fn recognise(image: &dyn ReadAt) -> bool {
    read::<[u8; 4]>(image, 0, "header").is_ok_and(|magic| magic == MAGIC)
}

/// Reads and checks an image. Compressed clusters are reported as unsupported and read as zero; every other kind of
/// data that does not lie in the file as it is makes it fail.
pub(super) fn open(image: &dyn ReadAt) -> Result<OpenedDisk, Damage> {
    let mut walk = Walk::new(image)?;
    walk.all()?;
    let layout = walk.guest();
    check_refcounts(&mut walk)?;
    Ok(OpenedDisk { layout, damage: walk.damage })
}

/// What a cluster of the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Header,
    RefcountTable,
    RefcountBlock,
    Snapshots,
    L1,
    L2,
    Data,
    Compressed,
}

impl Owner {
    pub(super) fn name(self) -> &'static str {
        match self {
            Owner::Header => "header",
            Owner::RefcountTable => "refcount table",
            Owner::RefcountBlock => "refcount block",
            Owner::Snapshots => "snapshot table",
            Owner::L1 => "l1 table",
            Owner::L2 => "l2 table",
            Owner::Data => "data cluster",
            Owner::Compressed => "compressed data",
        }
    }
}

/// Clusters of the file that entries name: neighbours named by neighbouring entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// First cluster of the file.
    pub first: u64,
    pub count: u64,
    pub owner: Owner,
    /// Which of its kind the first one is: L1 index, guest cluster.
    pub number: u64,
    /// Byte position of the entry that names the first.
    pub entry: u64,
    /// How many ways lead to each: more than one below an L2 table that snapshots share.
    pub ways: u32,
    /// Whether the current disk uses it (and not snapshots alone).
    pub active: bool,
    /// The entries' bit 63, where it has a meaning.
    pub copied: Option<bool>,
}

impl Claim {
    pub(super) fn end(&self) -> u64 {
        self.first + self.count
    }

    /// Whether `next` goes on where this ends, in the file, in the table and in the guest.
    fn goes_on(&self, next: &Claim) -> bool {
        let Claim { owner, ways, active, copied, .. } = *self;
        (owner, ways, active, copied) == (next.owner, next.ways, next.active, next.copied)
            && [Owner::Data, Owner::L2, Owner::RefcountBlock].contains(&owner)
            && self.end() == next.first
            && self.number + self.count == next.number
            && self.entry + self.count * 8 == next.entry
    }
}

/// A walk through all tables, each read once.
pub(super) struct Walk<'a> {
    pub image: &'a dyn ReadAt,
    pub head: Head,
    pub damage: Vec<Damage>,
    pub claims: Vec<Claim>,
    /// Bytes of the refcount table, if it lies in the file.
    pub refcount_table: Option<Range<u64>>,
    /// Refcount blocks by number: byte positions.
    pub blocks: Vec<(u64, u64)>,
    /// Runs of guest clusters: the first one's number in the guest and in the file, how many.
    runs: Vec<(u64, u64, u64)>,
    /// Clusters that were read as tables, as start and end.
    tables: BTreeMap<u64, u64>,
    compressed: u64,
}

/// An L1 table: byte position and entries.
type L1 = (u64, u64);

impl<'a> Walk<'a> {
    pub(super) fn new(image: &'a dyn ReadAt) -> Result<Walk<'a>, Damage> {
        let mut damage = Vec::new();
        let head = Head::read(image, &mut damage)?;
        let (claims, blocks, runs, tables) = Default::default();
        Ok(Walk { image, head, damage, claims, refcount_table: None, blocks, runs, tables, compressed: 0 })
    }

    /// Follows everything that the header names.
    pub(super) fn all(&mut self) -> Result<(), Damage> {
        self.check_header();
        self.claim(Owner::Header, 0..self.cluster(), 0);
        self.tables.insert(0, 1);
        self.refcount_table()?;
        let snapshots = self.snapshots()?;
        let active = (self.head.header.l1_table_offset.get(), self.head.header.l1_size.get().into());
        self.l1_tables(active, &snapshots)
    }

    pub(super) fn cluster(&self) -> u64 {
        self.head.cluster()
    }

    /// Where the last cluster of the file ends; it may be cut.
    fn end(&self) -> u64 {
        align_up(self.image.len(), self.cluster()).unwrap_or(u64::MAX)
    }

    pub(super) fn note(&mut self, found: Damage) {
        if self.damage.len() < MOST_DAMAGE {
            self.damage.push(found);
        }
    }

    fn wrong(
        &mut self,
        object: impl Into<String>,
        at: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.note(damage(DamageKind::Value, object, at, expected, found));
    }

    /// All whole and cut clusters that touch these bytes hold `owner`.
    fn claim(&mut self, owner: Owner, bytes: Range<u64>, entry: u64) {
        let bits = self.head.cluster_bits();
        let (first, last) = (bytes.start >> bits, (bytes.end - 1) >> bits);
        self.claims.push(Claim {
            first,
            count: last + 1 - first,
            owner,
            number: 0,
            entry,
            ways: 1,
            active: true,
            copied: None,
        });
    }

    fn claim_one(&mut self, claim: Claim) {
        match self.claims.last_mut() {
            Some(last) if last.goes_on(&claim) => last.count += 1,
            _ => self.claims.push(claim),
        }
    }

    /// Whether bytes of a table named at `entry` begin a cluster, lie in the file and were not read as a table before.
    /// Reports what is wrong.
    fn is_new_table(&mut self, what: &str, bytes: &Range<u64>, entry: u64) -> bool {
        let (start, cluster) = (bytes.start, self.cluster());
        if !start.is_multiple_of(cluster) {
            self.wrong(what, entry, format!("a multiple of {cluster}"), format!("byte {start}"));
            return false;
        }
        if start == 0 || start >= self.image.len() || bytes.end > self.end() {
            let expected = format!("a place in the file's {} bytes", self.image.len());
            self.wrong(what, entry, expected, format!("bytes {start} to {}", bytes.end));
            return false;
        }
        if bytes.end > self.image.len() {
            let (len, found) = (bytes.end - start, format!("{}", self.image.len().saturating_sub(start)));
            let at = self.image.len();
            self.note(damage(DamageKind::Truncated, what, at, format!("{len} bytes"), found));
        }
        let (first, end) = (start / cluster, bytes.end.div_ceil(cluster));
        let before = self.tables.range(..end).next_back().filter(|&(_, &stop)| stop > first);
        if let Some((&other, _)) = before {
            let at = other.max(first) * cluster;
            let found = format!("cluster {}, which is one already", at / cluster);
            self.note(damage(DamageKind::Mismatch, what, entry, "a table of its own", found));
            return false;
        }
        // Neighbours are joined: usually all tables are one run.
        let start = match self.tables.range(..=first).next_back() {
            Some((&start, &stop)) if stop == first => start,
            _ => first,
        };
        self.tables.insert(start, end);
        true
    }

    fn check_header(&mut self) {
        let head = &self.head.header;
        let coverage = u128::from(self.cluster()) * u128::from(self.cluster() / 8);
        let needed = u128::from(head.size.get()).div_ceil(coverage);
        let entries = head.l1_size.get();
        if u128::from(entries) < needed {
            self.wrong("header", 36, format!("an l1 size of at least {needed}"), entries.to_string());
        }
        if self.head.has_bitmaps() {
            let (expected, found) = ("an image without bitmaps", "bitmaps: their clusters are not checked");
            let at = self.head.extensions.iter().find(|(_, kind, _)| *kind == super::disk::BITMAPS);
            let at = at.map_or(0, |(at, ..)| *at);
            self.note(damage(DamageKind::Unsupported, "header extension", at, expected, found));
        }
    }

    /// The part of a table that the file has; what it lacks reads as zero.
    fn table(&self, bytes: Range<u64>, object: &str) -> Result<Vec<u8>, Damage> {
        let mut table = vec![0; (bytes.end.min(self.image.len()) - bytes.start) as usize];
        read_bytes(self.image, bytes.start, &mut table, object)?;
        Ok(table)
    }

    fn refcount_table(&mut self) -> Result<(), Damage> {
        let header = &self.head.header;
        let start = header.refcount_table_offset.get();
        let len = u64::from(header.refcount_table_clusters.get()) << self.head.cluster_bits();
        let Some(end) = start.checked_add(len) else {
            self.wrong("header", 48, "a place in the file", format!("byte {start}"));
            return Ok(());
        };
        if len == 0 {
            self.wrong("header", 56, "a refcount table", "none");
            return Ok(());
        }
        if !self.is_new_table("refcount table", &(start..end), 48) {
            return Ok(());
        }
        self.claim(Owner::RefcountTable, start..end, 48);
        self.refcount_table = Some(start..end);
        let table = self.table(start..end, "refcount table")?;
        for (number, entry) in entries(&table) {
            self.refcount_block(number, start + number * 8, entry);
        }
        Ok(())
    }

    fn refcount_block(&mut self, number: u64, at: u64, entry: u64) {
        let what = format!("refcount block {number}");
        if entry & !BLOCK_OFFSET != 0 {
            self.wrong(&*what, at, "reserved bits 0 to 8 zero", format!("{entry:#x}"));
        }
        let start = entry & BLOCK_OFFSET;
        let Some(end) = start.checked_add(self.cluster()).filter(|_| start != 0) else { return };
        if self.is_new_table(&what, &(start..end), at) {
            self.blocks.push((number, start));
            let first = start >> self.head.cluster_bits();
            self.claim_one(Claim {
                first,
                count: 1,
                owner: Owner::RefcountBlock,
                number,
                entry: at,
                ways: 1,
                active: true,
                copied: None,
            });
        }
    }

    /// The L1 tables of all snapshots, each with the position of its field.
    fn snapshots(&mut self) -> Result<Vec<(L1, u64)>, Damage> {
        let count = self.head.header.nb_snapshots.get();
        let start = self.head.header.snapshots_offset.get();
        let mut tables = Vec::new();
        let (mut at, mut end) = (start, start);
        for number in 0..count {
            let object = format!("snapshot {number}");
            let snapshot: Snapshot = match read(self.image, at, &object) {
                Ok(snapshot) => snapshot,
                Err(found) => {
                    self.note(found);
                    break;
                }
            };
            tables.push(((snapshot.l1_table_offset.get(), snapshot.l1_size.get().into()), at));
            let texts = u64::from(snapshot.id_len.get()) + u64::from(snapshot.name_len.get());
            let len = size_of::<Snapshot>() as u64 + u64::from(snapshot.extra_len.get()) + texts;
            end = at.saturating_add(len); // the last one need not be padded
            at = align_up(end, 8).unwrap_or(u64::MAX);
        }
        if end > start && self.is_new_table("snapshot table", &(start..end), 64) {
            self.claim(Owner::Snapshots, start..end, 64);
        }
        Ok(tables)
    }

    /// All L1 tables, then each L2 table below them once.
    fn l1_tables(&mut self, active: L1, snapshots: &[(L1, u64)]) -> Result<(), Damage> {
        let mut ways: BTreeMap<u64, u32> = BTreeMap::new();
        let current = self.l1_table(active, 40, "l1 table", true, &mut ways)?;
        let mut others = Vec::new();
        for (number, &(l1, entry)) in snapshots.iter().enumerate() {
            let name = format!("snapshot {number}/l1 table");
            others.extend(self.l1_table(l1, entry, &name, false, &mut ways)?);
        }
        for (l2s, active) in [(current, true), (others, false)] {
            for (index, start, entry) in l2s {
                // Shared tables were counted; each is read when it is met first.
                if let Some(ways) = ways.remove(&start) {
                    self.l2_table(index, start, entry, ways, active)?;
                }
            }
        }
        Ok(())
    }

    /// The L2 tables that an L1 table names: index, byte position, position of the entry.
    fn l1_table(
        &mut self,
        (start, count): L1,
        field: u64,
        name: &str,
        active: bool,
        ways: &mut BTreeMap<u64, u32>,
    ) -> Result<Vec<(u64, u64, u64)>, Damage> {
        let mut l2s = Vec::new();
        if count == 0 {
            return Ok(l2s);
        }
        let Some(end) = start.checked_add(count * 8) else {
            self.wrong(name, field, "a place in the file", format!("byte {start}"));
            return Ok(l2s);
        };
        if !self.is_new_table(name, &(start..end), field) {
            return Ok(l2s);
        }
        self.claim(Owner::L1, start..end, field);
        let table = self.table(start..end, name)?;
        for (index, entry) in entries(&table) {
            let at = start + index * 8;
            let what = format!("l1 entry {index}");
            if entry & !(OFFSET | COPIED) != 0 {
                self.wrong(&*what, at, "reserved bits 0 to 8 and 56 to 62 zero", format!("{entry:#x}"));
            }
            let Some(first) = self.cluster_of(&what, at, entry) else { continue };
            l2s.push((index, entry & OFFSET, at));
            *ways.entry(entry & OFFSET).or_insert(0) += 1;
            let copied = Some(entry & COPIED != 0).filter(|_| active);
            self.claim_one(Claim {
                first,
                count: 1,
                owner: Owner::L2,
                number: index,
                entry: at,
                ways: 1,
                active,
                copied,
            });
        }
        Ok(l2s)
    }

    /// The cluster that an entry names, if it names one; reports those that are not in the file.
    fn cluster_of(&mut self, what: &str, at: u64, entry: u64) -> Option<u64> {
        let start = entry & OFFSET;
        if start == 0 {
            if entry & COPIED != 0 {
                self.wrong(what, at, "no copied bit without a cluster", format!("{entry:#x}"));
            }
            return None;
        }
        if !start.is_multiple_of(self.cluster()) {
            self.wrong(what, at, format!("a multiple of {}", self.cluster()), format!("byte {start}"));
            return None;
        }
        if start >= self.image.len() {
            let expected = format!("a place in the file's {} bytes", self.image.len());
            self.wrong(what, at, expected, format!("byte {start}"));
            return None;
        }
        Some(start >> self.head.cluster_bits())
    }

    fn l2_table(
        &mut self,
        index: u64,
        start: u64,
        entry: u64,
        ways: u32,
        active: bool,
    ) -> Result<(), Damage> {
        let name = format!("l2 table {index}");
        if !self.is_new_table(&name, &(start..start + self.cluster()), entry) {
            return Ok(());
        }
        let table = self.table(start..start + self.cluster(), &name)?;
        for (number, entry) in entries(&table) {
            let guest = index * (self.cluster() / 8) + number;
            let at = start + number * 8;
            match entry & COMPRESSED {
                0 => self.standard(guest, at, entry, ways, active),
                _ => self.compressed(guest, at, entry, ways, active),
            }
        }
        Ok(())
    }

    fn standard(&mut self, guest: u64, at: u64, entry: u64, ways: u32, active: bool) {
        let zero = if self.head.version() == 2 { 0 } else { ZERO };
        if entry & !(OFFSET | COPIED | zero) != 0 {
            let text = if zero == 0 { "reserved bits 0 to 8" } else { "reserved bits 1 to 8" };
            self.wrong(l2_entry(guest), at, format!("{text} and 56 to 61 zero"), format!("{entry:#x}"));
        }
        // Names are made for what is wrong alone: there are many entries.
        let start = entry & OFFSET;
        let sound = start != 0 && start.is_multiple_of(self.cluster()) && start < self.image.len();
        let first = match sound {
            true => Some(start >> self.head.cluster_bits()),
            false => self.cluster_of(&l2_entry(guest), at, entry),
        };
        let Some(first) = first else { return };
        let copied = Some(entry & COPIED != 0).filter(|_| active);
        self.claim_one(Claim {
            first,
            count: 1,
            owner: Owner::Data,
            number: guest,
            entry: at,
            ways,
            active,
            copied,
        });
        if active && entry & zero == 0 {
            match self.runs.last_mut() {
                Some((from, to, count)) if *from + *count == guest && *to + *count == first => *count += 1,
                _ => self.runs.push((guest, first, 1)),
            }
        }
    }

    /// "Compressed Clusters Descriptor": a byte position and a number of further sectors.
    fn compressed(&mut self, guest: u64, at: u64, entry: u64, ways: u32, active: bool) {
        if self.compressed == 0 {
            let expected = "clusters as they are";
            self.note(damage(DamageKind::Unsupported, l2_entry(guest), at, expected, "a compressed cluster"));
        }
        self.compressed += 1;
        if entry & COPIED != 0 {
            self.wrong(l2_entry(guest), at, "no copied bit on compressed data", format!("{entry:#x}"));
        }
        let split = 62 - (self.head.cluster_bits() - 8);
        let start = entry & ((1 << split) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> split;
        let end = (start / 512 + sectors + 1) * 512;
        if start >= self.image.len() || end > self.end() {
            let expected = format!("a place in the file's {} bytes", self.image.len());
            return self.wrong(l2_entry(guest), at, expected, format!("bytes {start} to {end}"));
        }
        let bits = self.head.cluster_bits();
        let (first, last) = (start >> bits, (end - 1) >> bits);
        let (count, owner) = (last + 1 - first, Owner::Compressed);
        self.claims.push(Claim { first, count, owner, number: guest, entry: at, ways, active, copied: None });
    }

    /// The current disk over the image as its content.
    fn guest(&self) -> Layout {
        let (cluster, size) = (self.cluster(), self.head.header.size.get());
        let what = What::new(&"qcow2 data");
        let extents = self.runs.iter().filter_map(|&(guest, first, count)| {
            // A cut last cluster of the file reads as zero behind its end.
            let start = guest.checked_mul(cluster).filter(|&start| start < size)?;
            let from = first * cluster;
            let len = (count * cluster).min(size - start).min(self.image.len() - from);
            Some(Extent { start, len, source: Source::Content(ContentId(0), from), what })
        });
        Layout::new(size, extents.collect(), vec![]).expect("each guest cluster has one entry")
    }
}

fn l2_entry(guest: u64) -> String {
    format!("l2 entry of guest cluster {guest}")
}

/// The entries of a table that are not zero, with their numbers.
fn entries(table: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let entries = table.chunks_exact(8).map(|bytes| u64::from_be_bytes(bytes.try_into().expect("8 bytes")));
    (0..).zip(entries).filter(|&(_, entry)| entry != 0)
}
