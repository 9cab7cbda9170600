//! A walk through an image: everything that names a cluster, each table read once.

use super::claim::{Claim, Owner};
use super::disk::{BLOCK_OFFSET, Snapshot};
use super::head::{Head, damage, read, read_bytes};
use crate::bytes::align_up;
use crate::fault::{Damage, DamageKind};
use crate::layout::ReadAt;
use crate::registry::MOST_DAMAGE;
use std::collections::BTreeMap;
use std::ops::Range;

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
    pub runs: Vec<(u64, u64, u64)>,
    /// Clusters that were read as tables, as start and end.
    tables: BTreeMap<u64, u64>,
    pub compressed: u64,
}

/// An L1 table: byte position and entries.
pub(super) type L1 = (u64, u64);

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
        let snapshots = self.snapshots();
        self.bitmaps()?;
        let active = (self.head.header.l1_table_offset.get(), self.head.header.l1_size.get().into());
        self.l1_tables(active, &snapshots)
    }

    pub(super) fn cluster(&self) -> u64 {
        self.head.cluster()
    }

    /// Where the last cluster of the file ends; it may be cut.
    pub(super) fn end(&self) -> u64 {
        align_up(self.image.len(), self.cluster()).unwrap_or(u64::MAX)
    }

    pub(super) fn note(&mut self, found: Damage) {
        if self.damage.len() < MOST_DAMAGE {
            self.damage.push(found);
        }
    }

    pub(super) fn wrong(
        &mut self,
        object: impl Into<String>,
        at: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.note(damage(DamageKind::Value, object, at, expected, found));
    }

    /// All whole and cut clusters that touch these bytes hold `owner`.
    pub(super) fn claim(&mut self, owner: Owner, bytes: Range<u64>, entry: u64) {
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

    pub(super) fn claim_one(&mut self, claim: Claim) {
        match self.claims.last_mut() {
            Some(last) if last.goes_on(&claim) => last.count += 1,
            _ => self.claims.push(claim),
        }
    }

    /// Whether bytes of a table named at `entry` begin a cluster, lie in the file and were not read as a table before.
    /// Reports what is wrong.
    pub(super) fn is_new_table(&mut self, what: &str, bytes: &Range<u64>, entry: u64) -> bool {
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

    pub(super) fn check_header(&mut self) {
        let head = &self.head.header;
        let coverage = u128::from(self.cluster()) * u128::from(self.cluster() / 8);
        let needed = u128::from(head.size.get()).div_ceil(coverage);
        let entries = head.l1_size.get();
        if u128::from(entries) < needed {
            self.wrong("header", 36, format!("an l1 size of at least {needed}"), entries.to_string());
        }
    }

    /// The part of a table that the file has; what it lacks reads as zero.
    pub(super) fn table(&self, bytes: Range<u64>, object: &str) -> Result<Vec<u8>, Damage> {
        let mut table = vec![0; (bytes.end.min(self.image.len()) - bytes.start) as usize];
        read_bytes(self.image, bytes.start, &mut table, object)?;
        Ok(table)
    }

    pub(super) fn refcount_table(&mut self) -> Result<(), Damage> {
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

    pub(super) fn refcount_block(&mut self, number: u64, at: u64, entry: u64) {
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
    pub(super) fn snapshots(&mut self) -> Vec<(L1, u64)> {
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
        tables
    }
}

/// The entries of a table that are not zero, with their numbers.
pub(super) fn entries(table: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let entries = table.chunks_exact(8).map(|bytes| u64::from_be_bytes(bytes.try_into().expect("8 bytes")));
    (0..).zip(entries).filter(|&(_, entry)| entry != 0)
}
