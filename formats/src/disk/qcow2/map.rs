//! The way from guest clusters to clusters of the file: L1 and L2 tables.

use super::claim::{Claim, Owner};
use super::disk::{COMPRESSED, COPIED, OFFSET, ZERO};
use super::head::damage;
use super::walk::{L1, Walk, entries};
use crate::fault::{Damage, DamageKind};
use std::collections::BTreeMap;

impl Walk<'_> {
    /// All L1 tables, then each L2 table below them once.
    pub(super) fn l1_tables(&mut self, active: L1, snapshots: &[(L1, u64)]) -> Result<(), Damage> {
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
    pub(super) fn cluster_of(&mut self, what: &str, at: u64, entry: u64) -> Option<u64> {
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
}

fn l2_entry(guest: u64) -> String {
    format!("l2 entry of guest cluster {guest}")
}
