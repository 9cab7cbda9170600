//! Guest -> image.

use super::disk::{COPIED, Features, HEADER_LENGTH, Header, MAGIC, OFFSET};
use super::{CLUSTER_BITS, LONGEST_L1, LONGEST_REFCOUNT_TABLE, options};
use crate::fault::{Refusal, RefusalKind, Spot};
use crate::identity::Identity;
use crate::layout::{Extent, Fill, Key, Layout, Made, Source, What};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// The guest disk as an image. Costs memory for runs of clusters and tables, not for extents: O(pieces + runs).
pub(super) fn lay(guest: &Layout, _: &Identity, options: &[String]) -> Result<Layout, Refusal> {
    let cluster_bits = options::parse(options)?;
    if !guest.len().is_multiple_of(512) {
        let reason = format!("a disk that does not end with a sector: {} bytes", guest.len());
        return Err(refuse(RefusalKind::Invalid, reason).hint("a multiple of 512"));
    }
    let runs = runs(guest, cluster_bits);
    let plan = Plan::new(guest.len(), cluster_bits, &runs)?;
    let mut image = plan.tables(guest.len(), &runs).resized(plan.total * plan.cluster());
    let mut named = Layout::empty(guest.len());
    named.splice(0, guest, "guest").expect("nothing is there yet");
    for run in runs.iter() {
        let end = (run.guest + run.count) * plan.cluster();
        let window = named.window(run.guest * plan.cluster()..end.min(guest.len()));
        let at = (plan.data + run.data) * plan.cluster();
        image.splice(at, &window, "").expect("data clusters follow each other behind the tables");
    }
    Ok(image)
}

fn refuse(kind: RefusalKind, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new("qcow2", ""), reason)
}

/// Neighbouring guest clusters with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// The first one's number in the guest.
    guest: u64,
    /// How many.
    count: u64,
    /// The first one's number among all data clusters.
    data: u64,
}

/// The clusters that extents touch.
fn runs(guest: &Layout, cluster_bits: u32) -> Arc<[Run]> {
    let mut runs: Vec<Run> = Vec::new();
    for range in guest.covered() {
        let (first, last) = (range.start >> cluster_bits, (range.end - 1) >> cluster_bits);
        let (next, data) = runs.last().map_or((0, 0), |run| (run.guest + run.count, run.data + run.count));
        match runs.last_mut().filter(|_| first <= next) {
            Some(run) => run.count = (last + 1).max(next) - run.guest,
            None => runs.push(Run { guest: first, count: last + 1 - first, data }),
        }
    }
    runs.into()
}

/// Where everything lies, in clusters of the file.
struct Plan {
    cluster_bits: u32,
    /// L1 entries whose L2 table exists, sorted.
    used: Arc<[u64]>,
    l1_entries: u64,
    refcount_table_clusters: u64,
    refcount_blocks: u64,
    l1: u64,
    l2: u64,
    data: u64,
    total: u64,
}

impl Plan {
    fn new(len: u64, cluster_bits: u32, runs: &[Run]) -> Result<Plan, Refusal> {
        let cluster = 1u64 << cluster_bits;
        // QEMU has at least one entry for a disk of any size.
        let l1_entries = len.div_ceil(cluster * (cluster / 8)).max(1);
        if l1_entries * 8 > LONGEST_L1 {
            return Err(too_long(len, cluster_bits));
        }
        let used = used_tables(cluster / 8, runs);
        let data_clusters = runs.last().map_or(0, |run| run.data + run.count);
        let l1_clusters = (l1_entries * 8).div_ceil(cluster);
        let fixed = 1 + l1_clusters + used.len() as u64 + data_clusters;
        let (refcount_table_clusters, refcount_blocks) = refcounts(cluster, fixed);
        if refcount_table_clusters * cluster > LONGEST_REFCOUNT_TABLE {
            return Err(too_long(len, cluster_bits));
        }
        let l1 = 1 + refcount_table_clusters + refcount_blocks;
        let l2 = l1 + l1_clusters;
        let data = l2 + used.len() as u64;
        let total = data + data_clusters;
        if total * cluster > OFFSET {
            return Err(too_long(len, cluster_bits));
        }
        Ok(Plan {
            cluster_bits,
            used,
            l1_entries,
            refcount_table_clusters,
            refcount_blocks,
            l1,
            l2,
            data,
            total,
        })
    }

    fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Everything in front of the data.
    fn tables(&self, len: u64, runs: &Arc<[Run]>) -> Layout {
        let cluster = self.cluster();
        let blocks = (0..self.refcount_blocks).map(|n| (1 + self.refcount_table_clusters + n) * cluster);
        let refcounts = Refcounts { clusters: self.total };
        let bytes = |at: u64, bytes: Vec<u8>, what| Extent::of_bytes(at * cluster, bytes, what);
        let made = |at: u64, len: u64, made, what| Extent {
            start: at * cluster,
            len,
            source: Source::Made(made, 0),
            what,
        };
        let mut extents = vec![
            bytes(0, self.header(len), What::new(&"qcow2 header")),
            bytes(1, blocks.flat_map(u64::to_be_bytes).collect(), What::new(&"qcow2 refcount table")),
            made(
                1 + self.refcount_table_clusters,
                self.total * 2,
                Made::new(refcounts),
                What::new(&"qcow2 refcounts"),
            ),
            bytes(self.l1, self.l1_table(), What::new(&"qcow2 l1 table")),
        ];
        if !self.used.is_empty() {
            let tables = Made::new(L2Tables::new(self, runs.clone()));
            let len = self.used.len() as u64 * cluster;
            extents.push(made(self.l2, len, tables, What::new(&"qcow2 l2 tables")));
        }
        Layout::new(self.data * cluster, extents, vec![]).expect("tables follow each other")
    }

    fn header(&self, len: u64) -> Vec<u8> {
        let cluster = self.cluster();
        let header = Header {
            magic: MAGIC,
            version: 3.into(),
            backing_file_offset: 0.into(),
            backing_file_size: 0.into(),
            cluster_bits: self.cluster_bits.into(),
            size: len.into(),
            crypt_method: 0.into(),
            l1_size: (self.l1_entries as u32).into(),
            l1_table_offset: (self.l1 * cluster).into(),
            refcount_table_offset: cluster.into(),
            refcount_table_clusters: (self.refcount_table_clusters as u32).into(),
            nb_snapshots: 0.into(),
            snapshots_offset: 0.into(),
        };
        let features = Features {
            incompatible: 0.into(),
            compatible: 0.into(),
            autoclear: 0.into(),
            refcount_order: 4.into(),
            header_length: (HEADER_LENGTH as u32).into(),
        };
        [header.as_bytes(), features.as_bytes()].concat()
    }

    fn l1_table(&self) -> Vec<u8> {
        let mut table = vec![0; (self.l1_entries * 8) as usize];
        for (&index, cluster) in self.used.iter().zip(self.l2..) {
            let at = index as usize * 8;
            table[at..at + 8].copy_from_slice(&((cluster * self.cluster()) | COPIED).to_be_bytes());
        }
        table
    }
}

fn too_long(len: u64, cluster_bits: u32) -> Refusal {
    let reason = format!("a disk too long for clusters of {} bytes: {len} bytes", 1u64 << cluster_bits);
    let refusal = refuse(RefusalKind::Limit, reason);
    match cluster_bits < *CLUSTER_BITS.end() {
        true => refusal.hint("a larger cluster_size"),
        false => refusal,
    }
}

/// The L2 tables, of `entries` entries each, that hold a cluster with data.
fn used_tables(entries: u64, runs: &[Run]) -> Arc<[u64]> {
    let mut used: Vec<u64> = Vec::new();
    for run in runs {
        let (first, last) = (run.guest / entries, (run.guest + run.count - 1) / entries);
        let next = used.last().map_or(0, |last| last + 1);
        used.extend(first.max(next)..=last);
    }
    used.into()
}

/// Clusters of the refcount table and refcount blocks for a file of these and `fixed` other clusters: both only grow
/// from round to round, and slower than what they count, so the first pair that suffices is the smallest.
fn refcounts(cluster: u64, fixed: u64) -> (u64, u64) {
    let (mut table, mut blocks) = (1, 1);
    loop {
        let needed = (fixed + table + blocks).div_ceil(cluster / 2);
        let needed_table = (needed * 8).div_ceil(cluster);
        if (needed_table, needed) == (table, blocks) {
            return (table, blocks);
        }
        (table, blocks) = (needed_table, needed);
    }
}

/// All refcount blocks: 1 for each cluster of the file.
struct Refcounts {
    clusters: u64,
}

impl Fill for Refcounts {
    fn key(&self) -> Key {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&self.clusters.to_le_bytes());
        Key { format: "qcow2 refcounts", digest }
    }

    fn fill(&self, argument: u64, buffer: &mut [u8]) {
        for (byte, at) in buffer.iter_mut().zip(argument..) {
            *byte = u8::from(at % 2 == 1 && at / 2 < self.clusters);
        }
    }
}

/// All L2 tables that exist, one after the other.
struct L2Tables {
    cluster_bits: u32,
    used: Arc<[u64]>,
    runs: Arc<[Run]>,
    /// The first data cluster.
    data: u64,
    digest: [u8; 32],
}

impl L2Tables {
    fn new(plan: &Plan, runs: Arc<[Run]>) -> L2Tables {
        let mut hash = Sha256::new();
        hash.update(plan.cluster_bits.to_le_bytes());
        hash.update(plan.data.to_le_bytes());
        for run in runs.iter() {
            hash.update(run.guest.to_le_bytes());
            hash.update(run.count.to_le_bytes());
        }
        let digest = hash.finalize().into();
        L2Tables { cluster_bits: plan.cluster_bits, used: plan.used.clone(), runs, data: plan.data, digest }
    }

    /// Writes the entries of table `number` that lie in `buffer`, whose first byte is byte `from` of that table.
    fn fill_table(&self, number: u64, from: u64, buffer: &mut [u8]) {
        let entries = 1 << (self.cluster_bits - 3);
        let first = self.used[number as usize] * entries;
        let wanted = first + from / 8..first + (from + buffer.len() as u64).div_ceil(8);
        let skip = self.runs.partition_point(|run| run.guest + run.count <= wanted.start);
        for run in self.runs[skip..].iter().take_while(|run| run.guest < wanted.end) {
            for guest in run.guest.max(wanted.start)..(run.guest + run.count).min(wanted.end) {
                let entry = (self.data + run.data + (guest - run.guest)) << self.cluster_bits | COPIED;
                put(buffer, from, (guest - first) * 8, &entry.to_be_bytes());
            }
        }
    }
}

/// Copies what of `bytes`, at `at`, lies in `buffer`, which starts at `from`.
fn put(buffer: &mut [u8], from: u64, at: u64, bytes: &[u8; 8]) {
    let end = from + buffer.len() as u64;
    let (first, last) = (at.max(from), (at + 8).min(end));
    buffer[(first - from) as usize..(last - from) as usize]
        .copy_from_slice(&bytes[(first - at) as usize..(last - at) as usize]);
}

impl Fill for L2Tables {
    fn key(&self) -> Key {
        Key { format: "qcow2 l2 tables", digest: self.digest }
    }

    fn fill(&self, argument: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let cluster = 1u64 << self.cluster_bits;
        let (mut at, mut rest) = (argument, buffer);
        while !rest.is_empty() {
            let len = (cluster - at % cluster).min(rest.len() as u64);
            let (part, behind) = rest.split_at_mut(len as usize);
            self.fill_table(at / cluster, at % cluster, part);
            (at, rest) = (at + len, behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refcounts_count_themselves() {
        for cluster in [512, 65536, 2 << 20] {
            for fixed in (3..2000).chain([65_000, 32_766, 131_071, 1 << 22, 1 << 30]) {
                let (table, blocks) = refcounts(cluster, fixed);
                assert!((fixed + table + blocks) * 2 <= blocks * cluster, "{cluster} {fixed}");
                assert!(blocks * 8 <= table * cluster, "{cluster} {fixed}");
                assert!(
                    (fixed + table + blocks) * 2 > (blocks - 1) * cluster,
                    "{cluster} {fixed}: one is idle"
                );
            }
        }
    }

    #[test]
    fn tables_read_the_same_in_any_parts() {
        let runs = [Run { guest: 3, count: 70, data: 0 }, Run { guest: 200, count: 2, data: 70 }];
        let plan = Plan::new(1 << 20, 9, &runs).unwrap();
        assert_eq!(*plan.used, [0, 1, 3]);
        let tables = L2Tables::new(&plan, runs.into());
        let mut whole = vec![0; 3 * 512];
        tables.fill(0, &mut whole);
        assert_eq!(whole[24..32], ((plan.data << 9) | COPIED).to_be_bytes());
        assert_eq!(whole[1024 + 64..][..8], (((plan.data + 70) << 9) | COPIED).to_be_bytes());
        for (from, to) in [(0, 1), (27, 29), (500, 530), (511, 1536), (1087, 1089), (25, 31)] {
            let mut part = vec![0xaa; to - from];
            tables.fill(from as u64, &mut part);
            assert_eq!(part, whole[from..to], "{from}..{to}");
        }
    }
}
