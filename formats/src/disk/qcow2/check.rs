//! Refcounts: counted anew from everything that names a cluster, and compared with those that are stored.

use super::claim::{Claim, Owner};
use super::disk::{Header, refcount};
use super::head::{damage, read_bytes};
use super::walk::Walk;
use crate::bytes::is_zero;
use crate::fault::{Damage, DamageKind};
use crate::registry::MOST_DAMAGE;
use std::mem::offset_of;
use std::ops::Range;

/// Compares all refcounts and copied bits, and reports clusters that two structures share. Costs memory for runs of
/// claims, time for refcount blocks and claims.
pub(super) fn check_refcounts(walk: &mut Walk<'_>) -> Result<(), Damage> {
    let mut claims = walk.claims.clone();
    claims.sort_by_key(|claim| claim.first);
    let mut stored = Stored::default();
    let mut rest = claims.as_slice();
    let mut here: Vec<Claim> = Vec::new();
    let mut at = 0;
    // Clusters from `at` to `end` have the same claims, `here`.
    loop {
        let starting = rest.iter().take_while(|claim| claim.first == at).count();
        here.extend(&rest[..starting]);
        rest = &rest[starting..];
        let next = rest.first().map(|claim| claim.first);
        let Some(end) = here.iter().map(Claim::end).chain(next).min() else { break };
        if walk.damage.len() >= MOST_DAMAGE {
            return Ok(());
        }
        check_overlap(walk, &here, at);
        check_copied(walk, &here, at..end);
        stored.compare(walk, &here, at..end)?;
        here.retain(|claim| claim.end() > end);
        at = end;
    }
    stored.compare(walk, &[], at..u64::MAX)
}

/// Snapshots share data clusters, and compressed data shares a cluster with its like; all else has its cluster alone.
fn check_overlap(walk: &mut Walk<'_>, here: &[Claim], at: u64) {
    let [first, second, ..] = here else { return };
    let all = |owner: Owner| here.iter().all(|claim| claim.owner == owner);
    let active = here.iter().filter(|claim| claim.active).count();
    let shared = (all(Owner::Data) || all(Owner::L2)) && active <= 1 || all(Owner::Compressed);
    let begins = here.iter().any(|claim| claim.first == at);
    if !shared && begins {
        let (one, other) = if second.first == at { (first, second) } else { (second, first) };
        let found =
            format!("cluster {at}, which is {} {} too", one.owner.name(), one.number + (at - one.first));
        let what = format!("{} {}", other.owner.name(), other.number);
        let entry = other.entry + 8 * (at - other.first);
        walk.note(damage(DamageKind::Mismatch, what, entry, "a cluster of its own", found));
    }
}

/// Bit 63 of an entry says whether the refcount is exactly 1.
fn check_copied(walk: &mut Walk<'_>, here: &[Claim], clusters: Range<u64>) {
    let expected = ways(here) == 1;
    for claim in here.iter().filter(|claim| claim.copied.is_some_and(|copied| copied != expected)) {
        let by = clusters.start - claim.first;
        let what = format!("entry of {} {}", claim.owner.name(), claim.number + by);
        let text = |copied: bool| if copied { "the copied bit" } else { "no copied bit" };
        let found = match clusters.end - clusters.start {
            1 => text(!expected).to_owned(),
            count => format!("{} in {count} entries", text(!expected)),
        };
        walk.note(damage(DamageKind::Mismatch, what, claim.entry + 8 * by, text(expected), found));
    }
}

fn ways(here: &[Claim]) -> u64 {
    here.iter().map(|claim| u64::from(claim.ways)).sum()
}

/// The stored refcounts, a block at a time.
#[derive(Default)]
struct Stored {
    /// Byte position of the block in `bytes`; 0 for none.
    at: u64,
    bytes: Vec<u8>,
}

impl Stored {
    /// Compares the refcounts of `clusters`, all of which have the claims `here`.
    fn compare(&mut self, walk: &mut Walk<'_>, here: &[Claim], clusters: Range<u64>) -> Result<(), Damage> {
        let per_block = per_block(walk);
        let mut at = clusters.start;
        while at < clusters.end {
            let number = at / per_block;
            let next = walk.blocks.partition_point(|&(block, _)| block < number);
            let end = match walk.blocks.get(next).copied() {
                Some((block, start)) if block == number => {
                    let end = (number + 1).saturating_mul(per_block).min(clusters.end);
                    self.load(walk, start)?;
                    self.compare_block(walk, here, at..end);
                    end
                }
                later => {
                    let end = later.map_or(clusters.end, |(block, _)| block.saturating_mul(per_block));
                    let end = end.min(clusters.end);
                    report(walk, here, at..end, 0, None);
                    end
                }
            };
            at = end;
        }
        Ok(())
    }

    fn load(&mut self, walk: &Walk<'_>, start: u64) -> Result<(), Damage> {
        if self.at != start {
            self.bytes = vec![0; walk.cluster().min(walk.image.len() - start) as usize];
            read_bytes(walk.image, start, &mut self.bytes, "refcount block")?;
            self.at = start;
        }
        Ok(())
    }

    /// Reports runs of clusters with one wrong count; all of `clusters` are counted in this block.
    fn compare_block(&self, walk: &mut Walk<'_>, here: &[Claim], clusters: Range<u64>) {
        let order = walk.head.features.refcount_order.get();
        let first = clusters.start - clusters.start % per_block(walk);
        let bytes = ((clusters.start - first) << order) / 8..((clusters.end - first) << order).div_ceil(8);
        let bytes = self.bytes.get(bytes.start as usize..bytes.end as usize);
        if here.is_empty() && bytes.is_some_and(is_zero) {
            return; // most blocks end like this
        }
        let count = |cluster: u64| refcount(&self.bytes, cluster - first, order);
        let mut at = clusters.start;
        while at < clusters.end && walk.damage.len() < MOST_DAMAGE {
            let stored = count(at);
            let next = (at + 1..clusters.end).find(|&cluster| count(cluster) != stored);
            let end = next.unwrap_or(clusters.end);
            report(walk, here, at..end, stored, Some(self.at));
            at = end;
        }
    }
}

/// Counts in a refcount block.
fn per_block(walk: &Walk<'_>) -> u64 {
    (walk.cluster() * 8) >> walk.head.features.refcount_order.get()
}

/// Byte position of the entry that should name a block, else of the header's field that makes the table end before.
fn missing_block(walk: &Walk<'_>, number: u64) -> u64 {
    match &walk.refcount_table {
        None => offset_of!(Header, refcount_table_offset) as u64,
        Some(table) => {
            let entry = number.checked_mul(8).and_then(|at| at.checked_add(table.start));
            let entry = entry.filter(|&at| at < table.end.min(walk.image.len()));
            entry.unwrap_or(offset_of!(Header, refcount_table_clusters) as u64)
        }
    }
}

/// Reports clusters whose refcount, stored in the block at byte `block` or in none, is not the number of their claims.
fn report(walk: &mut Walk<'_>, here: &[Claim], clusters: Range<u64>, stored: u64, block: Option<u64>) {
    let expected = ways(here);
    if stored == expected || clusters.is_empty() {
        return;
    }
    let (number, index) = (clusters.start / per_block(walk), clusters.start % per_block(walk));
    let (object, at) = match block {
        Some(block) => {
            let order = walk.head.features.refcount_order.get();
            let at = (block + (index << order) / 8).min(walk.image.len());
            (format!("refcount block {number}"), at)
        }
        None => ("refcount table".to_owned(), missing_block(walk, number)),
    };
    let range = match clusters.end - clusters.start {
        1 => format!("cluster {}", clusters.start),
        _ => format!("clusters {} to {}", clusters.start, clusters.end - 1),
    };
    let owner = here.first().map_or("unused".to_owned(), |claim| {
        format!("{} {}", claim.owner.name(), claim.number + (clusters.start - claim.first))
    });
    let found = format!("{stored}{}", if stored > expected { ": leaked" } else { "" });
    let expected = format!("refcount {expected} of {range} ({owner})");
    walk.note(damage(DamageKind::Mismatch, object, at, expected, found));
}
