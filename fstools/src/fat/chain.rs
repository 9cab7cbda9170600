//! Reading the FAT: chains of clusters, and who holds which.
//!
//! The table is kept as runs of neighbours, so memory follows what the table holds and not what the boot sector claims.

use super::boot::{Boot, Findings, damage, read_exact};
use super::disk::FIRST_CLUSTER;
use super::geometry::{FatType, Shape};
use diskwright_formats::bytes::is_zero;
use diskwright_formats::fault::{Damage, DamageKind};
use diskwright_formats::layout::ReadAt;
use std::collections::BTreeMap;
use std::ops::Range;

/// Entries that are read at once: a whole number of bytes for every type.
const STEP: u32 = 32_768;

/// Clusters of which each points to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) clusters: Range<u32>,
    /// What the entry of the last one says.
    pub(super) last: u32,
}

/// The entries of a FAT that are not free.
pub(super) struct Table {
    pub(super) shape: Shape,
    /// Where it starts.
    start: u64,
    /// Entries 0 and 1: media byte and state.
    pub(super) head: [u32; 2],
    /// Sorted and disjoint.
    pub(super) runs: Vec<Run>,
}

impl Table {
    /// Reads the FAT that counts and compares the others. Fails when the image ends in it.
    pub(super) fn read(image: &dyn ReadAt, boot: &Boot, findings: &mut Findings) -> Result<Table, Damage> {
        let shape = boot.shape;
        let (active, mirrored) = boot.active_fat();
        let start = shape.fat_start(active);
        let mut table = Table { shape, start, head: [0; 2], runs: Vec::new() };
        let mut copies: Vec<u32> = (0..shape.fats).filter(|&copy| mirrored && copy != active).collect();
        for first in (0..shape.clusters_end()).step_by(STEP as usize) {
            let entries = STEP.min(shape.clusters_end() - first);
            let offset = u64::from(first) * u64::from(shape.fat.bits()) / 8;
            let mut bytes = vec![0; (entries * shape.fat.bits()).div_ceil(8) as usize];
            read_exact(image, "fat", start + offset, &mut bytes)?;
            copies.retain(|&copy| match compare(image, copy, shape.fat_start(copy) + offset, &bytes) {
                Ok(()) => true,
                Err(damage) => {
                    findings.add(damage);
                    false
                }
            });
            if !is_zero(&bytes) {
                (0..entries).for_each(|at| table.add(first + at, entry(shape.fat, &bytes, at)));
            }
        }
        table.check_head(boot.sector.media, findings);
        Ok(table)
    }

    fn add(&mut self, cluster: u32, value: u32) {
        if cluster < FIRST_CLUSTER {
            self.head[cluster as usize] = value;
            return;
        }
        match self.runs.last_mut() {
            _ if value == 0 => {}
            Some(run) if run.last == cluster && run.clusters.end == cluster => {
                run.clusters.end += 1;
                run.last = value;
            }
            _ => self.runs.push(Run { clusters: cluster..cluster + 1, last: value }),
        }
    }

    fn check_head(&self, media: u8, findings: &mut Findings) {
        let ones = self.shape.fat.end_of_chain();
        let expected = ones & !0xff | u32::from(media);
        findings.expect(self.head[0] == expected, || {
            let (expected, found) = (format!("{expected:#x}"), format!("{:#x}", self.head[0]));
            damage(DamageKind::Value, "fat entry 0", self.entry_start(0), expected, found)
        });
        let clean = match self.shape.fat {
            FatType::Fat12 => 0,
            FatType::Fat16 => 0xc000,
            FatType::Fat32 => 0x0c00_0000,
        };
        findings.expect(self.head[1] & clean == clean, || {
            let found = format!("{:#x}", self.head[1]);
            damage(
                DamageKind::Value,
                "fat entry 1",
                self.entry_start(1),
                "the bits for unmounted and no errors set",
                found,
            )
        });
    }

    /// Where the entry of a cluster starts.
    pub(super) fn entry_start(&self, cluster: u32) -> u64 {
        self.shape.entry_start(cluster) - self.shape.fat_start(0) + self.start
    }

    /// How many clusters are not free.
    pub(super) fn used(&self) -> u32 {
        self.runs.iter().map(|run| run.clusters.len() as u32).sum()
    }

    fn run_of(&self, cluster: u32) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.clusters.end <= cluster);
        self.runs.get(at).filter(|run| run.clusters.contains(&cluster))
    }

    /// Follows the chain that starts at `first`, a number that stands at byte `pointer`, and claims it for `owner`.
    /// Ends at the first fault: every step claims clusters that nobody held, so it ends.
    pub(super) fn follow(&self, first: u32, pointer: u64, owner: u32, claims: &mut Claims) -> Chain {
        let mut chain = Chain::default();
        let mut next = Some((first, pointer));
        while let Some((at, pointer)) = next {
            next = self.step(at, pointer, owner, claims, &mut chain).unwrap_or_else(|fault| {
                chain.fault = Some(fault);
                None
            });
        }
        chain
    }

    /// Adds the clusters from `at` to the end of its run; gives where the chain goes on, and where that number stands.
    fn step(
        &self,
        at: u32,
        pointer: u64,
        owner: u32,
        claims: &mut Claims,
        chain: &mut Chain,
    ) -> Result<Option<(u32, u64)>, (Fault, u64)> {
        if !(FIRST_CLUSTER..self.shape.clusters_end()).contains(&at) {
            return Err((Fault::Outside(at), pointer));
        }
        let run = self.run_of(at).ok_or((Fault::Free(at), pointer))?;
        let end = run.clusters.end;
        let taken = claims.claim(at..end, owner);
        chain.add(at..taken.map_or(end, |(cluster, _)| cluster));
        if let Some((cluster, holder)) = taken {
            let pointer = if cluster == at { pointer } else { self.entry_start(cluster - 1) };
            return Err((Fault::Taken(cluster, holder), pointer));
        }
        let (pointer, bad) = (self.entry_start(end - 1), self.shape.fat.bad());
        match run.last {
            last if last > bad => Ok(None),
            last if last == bad => Err((Fault::Bad(end - 1), pointer)),
            next => Ok(Some((next, pointer))),
        }
    }

    /// Clusters that are neither free nor bad and that nobody holds.
    pub(super) fn lost<'a>(&'a self, claims: &'a Claims) -> impl Iterator<Item = Range<u32>> + 'a {
        let bad = self.shape.fat.bad();
        self.runs.iter().flat_map(move |run| {
            let end = run.clusters.end - u32::from(run.last == bad);
            claims.unclaimed(run.clusters.start..end)
        })
    }
}

fn compare(image: &dyn ReadAt, copy: u32, offset: u64, expected: &[u8]) -> Result<(), Damage> {
    let object = format!("fat copy {copy}");
    let mut bytes = vec![0; expected.len()];
    read_exact(image, &object, offset, &mut bytes)?;
    match (0..bytes.len()).find(|&at| bytes[at] != expected[at]) {
        None => Ok(()),
        Some(at) => {
            let expected = format!("{:02x} as in the first", expected[at]);
            let found = format!("{:02x}", bytes[at]);
            Err(damage(DamageKind::Mismatch, object, offset + at as u64, expected, found))
        }
    }
}

/// Entry `at` of a piece of a FAT that starts at a whole byte. The upper 4 bits of FAT32 mean nothing.
fn entry(fat: FatType, bytes: &[u8], at: u32) -> u32 {
    let at = at as usize;
    match fat {
        FatType::Fat12 => {
            let start = at * 3 / 2;
            let pair = u32::from(bytes[start]) | u32::from(bytes[start + 1]) << 8;
            pair >> (at % 2 * 4) & 0xfff
        }
        FatType::Fat16 => u32::from(bytes[at * 2]) | u32::from(bytes[at * 2 + 1]) << 8,
        FatType::Fat32 => {
            let bytes = &bytes[at * 4..at * 4 + 4];
            bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)) & 0x0fff_ffff
        }
    }
}

/// The clusters of a file or directory in their order, neighbours joined.
#[derive(Default)]
pub(super) struct Chain {
    pub(super) runs: Vec<Range<u32>>,
    /// Why it breaks off, and where the number stands that is at fault.
    pub(super) fault: Option<(Fault, u64)>,
}

impl Chain {
    fn add(&mut self, clusters: Range<u32>) {
        match self.runs.last_mut() {
            _ if clusters.is_empty() => {}
            Some(last) if last.end == clusters.start => last.end = clusters.end,
            _ => self.runs.push(clusters),
        }
    }

    pub(super) fn clusters(&self) -> u64 {
        self.runs.iter().map(|run| run.len() as u64).sum()
    }

    /// The bytes of the clusters.
    pub(super) fn bytes(&self, shape: &Shape) -> Vec<Range<u64>> {
        self.runs.iter().map(|run| shape.cluster_start(run.start)..shape.cluster_start(run.end)).collect()
    }
}

/// Why a chain breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A number that is no cluster's.
    Outside(u32),
    /// A free cluster.
    Free(u32),
    /// A cluster that is marked as bad.
    Bad(u32),
    /// A cluster that an owner holds already: itself (a cycle) or another (a cross link).
    Taken(u32, u32),
}

/// Who holds which clusters.
#[derive(Default)]
pub(super) struct Claims(BTreeMap<u32, (u32, u32)>);

impl Claims {
    /// Claims the clusters up to the first that is held; returns that one and who holds it.
    fn claim(&mut self, clusters: Range<u32>, owner: u32) -> Option<(u32, u32)> {
        let before =
            self.0.range(..=clusters.start).next_back().filter(|(_, (end, _))| *end > clusters.start);
        if let Some((_, &(_, holder))) = before {
            return Some((clusters.start, holder));
        }
        let next = self.0.range(clusters.clone()).next().map(|(&start, &(_, holder))| (start, holder));
        let end = next.map_or(clusters.end, |(start, _)| start);
        self.0.insert(clusters.start, (end, owner));
        next
    }

    /// All claims: clusters and who holds them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Range<u32>, u32)> + '_ {
        self.0.iter().map(|(&start, &(end, owner))| (start..end, owner))
    }

    /// The parts of `clusters` that nobody holds. Claims never reach over the end of a run of the table.
    fn unclaimed(&self, clusters: Range<u32>) -> Vec<Range<u32>> {
        let before = self.0.range(..clusters.start).next_back().map_or(0, |(_, (end, _))| *end);
        let mut gaps = Vec::new();
        let mut at = clusters.start.max(before);
        for (&start, &(end, _)) in self.0.range(at.min(clusters.end)..clusters.end) {
            if start > at {
                gaps.push(at..start);
            }
            at = end;
        }
        if at < clusters.end {
            gaps.push(at..clusters.end);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_stop_at_what_is_held() {
        let mut claims = Claims::default();
        assert_eq!(claims.claim(10..20, 1), None);
        assert_eq!(claims.claim(5..15, 2), Some((10, 1)));
        assert_eq!(claims.claim(19..25, 3), Some((19, 1)));
        assert_eq!(claims.claim(20..25, 3), None);
        assert_eq!(claims.claim(7..8, 4), Some((7, 2)));
        assert_eq!(claims.iter().collect::<Vec<_>>(), [(5..10, 2), (10..20, 1), (20..25, 3)]);
        assert_eq!(claims.unclaimed(2..30), [2..5, 25..30]);
        assert_eq!(claims.unclaimed(12..18), []);
        assert_eq!(claims.unclaimed(22..27).first(), Some(&(25..27)));
    }

    #[test]
    fn entries_of_twelve_bits() {
        let bytes = [0xf8, 0xff, 0xff, 0x03, 0x40, 0x00, 0xff, 0x0f];
        let entries: Vec<u32> = (0..5).map(|at| entry(FatType::Fat12, &bytes, at)).collect();
        assert_eq!(entries, [0xff8, 0xfff, 0x003, 0x004, 0xfff]);
    }
}
