//! Partitions -> disk.

use super::disk::{DISK_ID_AT, RECORDS_AT, Record, Records, SIGNATURE};
use super::{
    EBR_ROOM, Extended, MOST_NUMBER, MOST_SECTORS, Options, PRIMARIES, Partition, first_usable, last_usable,
    title, types,
};
use crate::bytes::align_up;
use crate::fault::{Refusal, RefusalKind, Spot};
use crate::identity::Identity;
use crate::layout::{Extent, Layout, What};
use std::collections::BTreeSet;
use zerocopy::IntoBytes;

/// A disk with this table and these partitions; each layout is at most as long as its partition.
///
/// Partitions may come in any order. Numbers from 5 on make an extended partition around theirs (see the
/// [module](super)). Refused are overlaps, partitions outside the disk, not on sector boundaries or without room for
/// their EBR, numbers and types that the table cannot hold, a second active partition.
pub fn lay(parts: &[(Partition, Layout)], options: &Options, identity: &Identity) -> Result<Layout, Refusal> {
    check_disk(options)?;
    check_numbers(parts)?;
    parts.iter().try_for_each(|(partition, layout)| check_partition(partition, layout, options))?;
    let mut sorted: Vec<&Partition> = parts.iter().map(|(partition, _)| partition).collect();
    sorted.sort_by_key(|partition| partition.start);
    check_apart(&sorted)?;
    let extended = extended(&sorted, options)?;
    let mut disk = table(&sorted, extended, options, identity);
    for (partition, layout) in parts {
        let placed = disk.splice(partition.start, layout, &title(partition.number));
        placed.expect("partitions lie apart and behind their tables");
    }
    Ok(disk)
}

/// The disk with empty partitions.
fn table(
    sorted: &[&Partition],
    extended: Option<Extended>,
    options: &Options,
    identity: &Identity,
) -> Layout {
    let sector = u64::from(options.sector_size);
    let disk_id = options.disk_id.unwrap_or_else(|| identity.number("disk-id"));
    let mut records = [Record::unused(); 4];
    let slot = |number: u32| (number - 1) as usize;
    for partition in sorted.iter().filter(|partition| partition.number <= PRIMARIES) {
        records[slot(partition.number)] = record(partition, 0, sector);
    }
    if let Some(extended) = &extended {
        records[slot(extended.number)] =
            numbers(extended.kind, false, 0, extended.start, extended.len, sector);
    }
    let table = |records| Records { records, signature: SIGNATURE };
    let mut extents = vec![
        Extent::of_bytes(DISK_ID_AT, disk_id.to_le_bytes().to_vec(), What::new(&"disk id")),
        Extent::of_bytes(RECORDS_AT, table(records).as_bytes(), What::new(&"mbr")),
    ];
    let logical = logical(sorted);
    for (index, partition) in logical.iter().enumerate() {
        let ebr = partition.start - EBR_ROOM;
        let mut records = [Record::unused(); 4];
        records[0] = record(partition, ebr, sector);
        if let (Some(next), Some(extended)) = (logical.get(index + 1), &extended) {
            let start = next.start - EBR_ROOM;
            let len = EBR_ROOM + next.len;
            records[1] = numbers(types::EXTENDED, false, extended.start, start, len, sector);
        }
        extents.push(Extent::of_bytes(ebr + RECORDS_AT, table(records).as_bytes(), What::new(&"ebr")));
    }
    Layout::new(options.len, extents, vec![]).expect("tables lie apart and on the disk")
}

fn logical<'a>(sorted: &[&'a Partition]) -> Vec<&'a Partition> {
    sorted.iter().copied().filter(|partition| partition.number > PRIMARIES).collect()
}

/// The record of a partition in a table at byte `base`.
fn record(partition: &Partition, base: u64, sector: u64) -> Record {
    let Partition { kind, active, start, len, .. } = *partition;
    numbers(kind, active, base, start, len, sector)
}

/// The record of `len` bytes at byte `start`, which counts from byte `base`.
fn numbers(kind: u8, active: bool, base: u64, start: u64, len: u64, sector: u64) -> Record {
    let count = |bytes: u64| u32::try_from(bytes / sector).expect("the disk has at most 2^32 sectors");
    Record::new(kind, active, base / sector, count(start - base), count(len))
}

fn refuse(kind: RefusalKind, object: impl Into<String>, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new("mbr", object), reason)
}

fn ensure(holds: bool, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal()) }
}

fn check_disk(options: &Options) -> Result<(), Refusal> {
    let &Options { len, sector_size, .. } = options;
    ensure([512, 4096].contains(&sector_size), || {
        refuse(RefusalKind::Invalid, "", format!("a sector size that disks do not have: {sector_size}"))
            .hint("512 or 4096")
    })?;
    ensure(len.is_multiple_of(sector_size.into()), || {
        refuse(RefusalKind::Invalid, "", format!("a disk that does not end with a sector: {len} bytes"))
            .hint(format!("a multiple of {sector_size}"))
    })?;
    let most = MOST_SECTORS * u64::from(sector_size);
    ensure(len <= most, || {
        let reason = format!("a disk longer than 2^32 sectors, {most} bytes: {len}");
        refuse(RefusalKind::Limit, "", reason).hint("a gpt, or a shorter disk")
    })?;
    let needed = first_usable(sector_size);
    ensure(len >= needed, || {
        let reason = format!("the disk is too small for its table: {len} of {needed} bytes");
        refuse(RefusalKind::TooSmall { needed: Some(needed) }, "", reason)
    })
}

/// Numbers are there once and in range, and at most one partition is active.
fn check_numbers(parts: &[(Partition, Layout)]) -> Result<(), Refusal> {
    let mut numbers = BTreeSet::new();
    let mut active = None;
    parts.iter().try_for_each(|(partition, _)| {
        let number = partition.number;
        let refuse = |kind, reason: String| refuse(kind, title(number), reason);
        ensure(number > 0, || refuse(RefusalKind::Invalid, "numbers count from 1".to_owned()))?;
        ensure(number <= MOST_NUMBER, || {
            refuse(RefusalKind::Limit, format!("a number above {MOST_NUMBER}: {number}")).hint("a gpt")
        })?;
        ensure(numbers.insert(number), || {
            refuse(RefusalKind::Invalid, format!("a number that another partition has: {number}"))
        })?;
        let other = active.filter(|_| partition.active);
        active = active.or(partition.active.then_some(number));
        ensure(other.is_none(), || {
            let reason = format!("active, as another partition is: {}", other.unwrap_or_default());
            refuse(RefusalKind::Invalid, reason).hint("one active partition at most")
        })
    })
}

fn check_partition(partition: &Partition, layout: &Layout, options: &Options) -> Result<(), Refusal> {
    let refuse = |kind, reason: String| refuse(kind, title(partition.number), reason);
    let kind = partition.kind;
    ensure(kind != 0, || refuse(RefusalKind::Invalid, "type 00, which marks an unused record".to_owned()))?;
    ensure(!types::is_extended(kind), || {
        refuse(RefusalKind::Invalid, format!("a type of extended partitions: {kind:02x}"))
            .hint("partitions from number 5 on make one")
    })?;
    ensure(kind != types::GPT_PROTECTIVE, || {
        refuse(RefusalKind::Invalid, "type ee, which says that the disk has a gpt".to_owned())
    })?;
    check_place(partition, options)?;
    ensure(layout.len() <= partition.len, || {
        let needed = align_up(layout.len(), options.sector_size.into());
        let reason = format!("too small for its content: {} of {} bytes", partition.len, layout.len());
        refuse(RefusalKind::TooSmall { needed }, reason)
    })
}

/// The partition lies on sectors of the disk, the first one excepted.
fn check_place(partition: &Partition, options: &Options) -> Result<(), Refusal> {
    let &Options { len: disk, sector_size, .. } = options;
    let &Partition { number, start, len, .. } = partition;
    let refuse = |kind, reason: String| refuse(kind, title(number), reason);
    ensure(len > 0, || refuse(RefusalKind::Invalid, "a partition of no bytes".to_owned()))?;
    ensure(start.is_multiple_of(sector_size.into()) && len.is_multiple_of(sector_size.into()), || {
        let reason = format!("not on sector boundaries: {len} bytes at byte {start}");
        refuse(RefusalKind::Invalid, reason).hint(format!("multiples of {sector_size}"))
    })?;
    let table = first_usable(sector_size);
    let (first, whose) = match number > PRIMARIES {
        true => (table + EBR_ROOM, "has no room for its ebr"),
        false => (table, "starts in the table"),
    };
    ensure(start >= first, || {
        refuse(RefusalKind::Invalid, format!("{whose}, before byte {first}: {start}"))
            .hint(format!("start at {first} or behind"))
    })?;
    let last = last_usable(disk, sector_size);
    ensure(start.checked_add(len).is_some_and(|end| end <= last), || {
        let reason = format!("{len} bytes at byte {start} end behind the disk: {last}");
        refuse(RefusalKind::TooSmall { needed: start.checked_add(len) }, reason)
    })
}

/// Partitions do not meet, and logical ones have a free MiB before them. `sorted` by start.
fn check_apart(sorted: &[&Partition]) -> Result<(), Refusal> {
    sorted.windows(2).try_for_each(|pair| {
        let (before, after) = (pair[0], pair[1]);
        let end = before.start + before.len;
        let other = title(before.number);
        let refuse = |reason, first: u64| {
            refuse(RefusalKind::Invalid, title(after.number), reason)
                .hint(format!("start at {first} or behind"))
        };
        ensure(end <= after.start, || {
            refuse(format!("starts before {other} ends: {} of {end}", after.start), end)
        })?;
        let first = end + EBR_ROOM;
        ensure(after.number <= PRIMARIES || first <= after.start, || {
            refuse(
                format!("has no room for its ebr behind {other}, before byte {first}: {}", after.start),
                first,
            )
        })
    })
}

/// The partition around the logical ones. `sorted` by start.
fn extended(sorted: &[&Partition], options: &Options) -> Result<Option<Extended>, Refusal> {
    let logical = logical(sorted);
    for (partition, expected) in logical.iter().zip(PRIMARIES + 1..) {
        ensure(partition.number == expected, || {
            let reason = "a logical partition whose place is not that of its number";
            refuse(RefusalKind::Invalid, title(partition.number), reason)
                .hint(format!("number {expected}: logical ones count from 5 in the order on the disk"))
        })?;
    }
    let (Some(first), Some(last)) = (logical.first(), logical.last()) else { return Ok(None) };
    let primary = |number: u32| sorted.iter().any(|partition| partition.number == number);
    let Some(number) = (1..=PRIMARIES).rev().find(|&number| !primary(number)) else {
        let reason = "no number from 1 to 4 is left for the extended partition";
        return Err(refuse(RefusalKind::Limit, title(first.number), reason).hint("three primary partitions"));
    };
    let behind = sorted.iter().find(|other| other.number <= PRIMARIES && other.start > first.start);
    let end = behind.map_or(last_usable(options.len, options.sector_size), |other| other.start);
    ensure(last.start < end, || {
        let other = behind.map_or(0, |other| other.number);
        let reason = format!("lies between logical partitions {} and {}", first.number, last.number);
        refuse(RefusalKind::Invalid, title(other), reason).hint("primary partitions before or behind them")
    })?;
    let start = first.start - EBR_ROOM;
    Ok(Some(Extended { number, kind: types::EXTENDED, start, len: end - start }))
}
