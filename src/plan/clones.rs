//! What tells a clone from its origin.

use super::{DiskPlan, Entry, FilesystemPlan, NAMELESS, Part, Place, Slot};
use serde::Serialize;
use std::ops::Range;

/// Number of the form of `clones.json`.
const SCHEMA: u32 = 1;
/// Ranges with fewer equal bytes than this between them are told as one: a sector.
pub(crate) const JOINED: u64 = 512;

/// A clone and its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// What was copied.
    pub origin: Side,
    /// The copy.
    pub clone: Side,
    /// The ids that tell them apart, from the outside in.
    pub ids: Vec<Ids>,
    /// Where their bytes differ, counted from the start of each partition; runs that are less than a sector apart are one.
    /// None before they were laid ([`compose`](crate::compose::compose)).
    pub differs: Option<Vec<Run>>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Its role in the plan.
    pub role: String,
    /// Its name in the table, or in messages where the table has none.
    pub name: String,
    /// Its number in the table.
    pub number: Option<u32>,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// An id of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ids {
    /// `partition`, or the type of the file system.
    pub level: String,
    /// `guid`, `partuuid` (signature of the disk and number, on an MBR), `uuid`, `serial`.
    pub kind: &'static str,
    /// The origin's.
    pub origin: String,
    /// The clone's.
    pub clone: String,
}

/// A run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The first.
    pub start: u64,
    /// How many.
    pub len: u64,
}

/// `clones.json`.
#[derive(Serialize)]
struct File<'a> {
    schema: u32,
    table: &'static str,
    sector_size: u32,
    clones: &'a [Pair],
}

/// The text of `clones.json`.
pub(crate) fn text(disk: &DiskPlan, clones: &[Pair]) -> String {
    let DiskPlan { table, sector_size, .. } = disk;
    let file = File { schema: SCHEMA, table: table.name(), sector_size: sector_size.bytes(), clones };
    serde_json::to_string_pretty(&file).expect("its keys are text") + "\n"
}

/// Sorted ranges as they are told.
pub(crate) fn told(ranges: &[Range<u64>]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for range in ranges {
        match runs.last_mut() {
            Some(last) if range.start - (last.start + last.len) < JOINED => last.len = range.end - last.start,
            _ => runs.push(Run { start: range.start, len: range.end - range.start }),
        }
    }
    runs
}

/// All clones with their origins, in the order of the disk.
pub(super) fn pairs(disk: &DiskPlan, places: &[Place]) -> Vec<Pair> {
    let pair = |clone: &Place| {
        let origin = clone.part.clone_of.as_deref()?;
        let origin = places.iter().find(|place| place.part.role == origin)?;
        let ids = ids(disk, &origin.part, &clone.part);
        Some(Pair { origin: side(origin), clone: side(clone), ids, differs: None })
    };
    places.iter().filter_map(pair).collect()
}

fn side(place: &Place) -> Side {
    let Place { part, start, len, .. } = place;
    Side {
        role: part.role.clone(),
        name: part.name().to_owned(),
        number: part.entry.as_ref().map(|entry| entry.number),
        start: *start,
        len: *len,
    }
}

fn ids(disk: &DiskPlan, origin: &Part, clone: &Part) -> Vec<Ids> {
    let entry = |part: &Part| part.entry.as_ref().and_then(|entry| entry_id(disk, entry));
    let both = |level: &str, kind, ids: (Option<String>, Option<String>)| {
        Some(Ids { level: level.to_owned(), kind, origin: ids.0?, clone: ids.1? })
    };
    let kind =
        if matches!(origin.entry, Some(Entry { slot: Slot::Gpt { .. }, .. })) { "guid" } else { "partuuid" };
    let outer = both("partition", kind, (entry(origin), entry(clone)));
    let inner = origin.filesystem.as_ref().zip(clone.filesystem.as_ref()).filter(|(one, _)| has_id(one));
    let inner = inner.and_then(|(one, other)| {
        let name = one.kind();
        let kind = if name == "vfat" { "serial" } else { "uuid" };
        both(&name, kind, (Some(one.id.clone()), Some(other.id.clone())))
    });
    outer.into_iter().chain(inner).collect()
}

fn has_id(filesystem: &FilesystemPlan) -> bool {
    !NAMELESS.contains(&filesystem.mkfs.name.as_str())
}

/// As `PARTUUID=` has it.
fn entry_id(disk: &DiskPlan, entry: &Entry) -> Option<String> {
    match entry.slot {
        Slot::Gpt { guid, .. } => Some(guid.to_string()),
        Slot::Mbr { .. } => Some(format!("{:08x}-{:02x}", disk.signature, entry.number)),
        Slot::Dasd => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_within_a_sector_are_one() {
        let runs = told(&[0..4, 4 + JOINED - 1..600, 600 + JOINED..1200]);
        assert_eq!(runs, [Run { start: 0, len: 600 }, Run { start: 600 + JOINED, len: 88 }]);
        assert_eq!(told(&[]), []);
    }
}
