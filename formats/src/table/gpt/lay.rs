//! Partitions -> disk.

use super::disk::{Entry, Header, REVISION, SIGNATURE};
use super::{
    ENTRY, LONGEST_NAME, MOST_ENTRIES, Options, Partition, RESERVED_ATTRIBUTES, entries_for,
    first_usable_for, last_usable_for, protect, smallest_tail, title,
};
use crate::bytes::align_up;
use crate::fault::{Refusal, RefusalKind, Spot};
use crate::identity::Identity;
use crate::layout::{Bytes, Extent, Layout, What};
use std::collections::BTreeSet;
use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

/// A disk with this table and these partitions; each layout is at most as long as its partition.
///
/// Partitions may come in any order. Refused are overlaps, partitions outside the usable bytes or not on sector
/// boundaries, slots, GUIDs and names that the table cannot hold.
pub fn lay(parts: &[(Partition, Layout)], options: &Options, identity: &Identity) -> Result<Layout, Refusal> {
    let entries = entries_for(parts.iter().map(|(partition, _)| partition.number).max().unwrap_or(0));
    let guid = options.disk_guid.unwrap_or_else(|| identity.uuid("guid"));
    check_disk(options, entries)?;
    check_distinct(parts, guid)?;
    parts.iter().try_for_each(|(partition, layout)| check_partition(partition, layout, options, entries))?;
    check_apart(parts)?;
    protect::check(parts, options)?;
    let mut disk = table(parts, options, entries, guid);
    for (partition, layout) in parts {
        let scope = match partition.name.as_str() {
            "" => &title(partition.number, ""),
            name => name,
        };
        disk.splice(partition.start, layout, scope).expect("partitions lie apart and between the tables");
    }
    Ok(disk)
}

/// The disk with empty partitions.
fn table(parts: &[(Partition, Layout)], options: &Options, entries: u32, guid: Uuid) -> Layout {
    let &Options { len, sector_size, .. } = options;
    let sector = u64::from(sector_size);
    let last = len / sector - 1;
    let array = entry_array(parts, entries, sector);
    let array_sectors = array.len() as u64 / sector;
    let primary = Header {
        signature: SIGNATURE,
        revision: REVISION.into(),
        header_size: (size_of::<Header>() as u32).into(),
        header_crc32: 0.into(),
        reserved: 0.into(),
        my_lba: 1.into(),
        alternate_lba: last.into(),
        first_usable_lba: (first_usable_for(sector_size, entries) / sector).into(),
        last_usable_lba: (last_usable_for(len, sector_size, entries) / sector - 1).into(),
        disk_guid: guid.into(),
        partition_entry_lba: 2.into(),
        number_of_partition_entries: entries.into(),
        size_of_partition_entry: (ENTRY as u32).into(),
        partition_entry_array_crc32: crc32fast::hash(&array).into(),
    };
    let backup = Header {
        my_lba: last.into(),
        alternate_lba: 1.into(),
        partition_entry_lba: (last - array_sectors).into(),
        ..primary
    };
    let header = |start, header: Header, what| Extent::of_bytes(start, header.sealed().as_bytes(), what);
    let mut extents = protect::extents(parts, options);
    extents.extend([
        header(sector, primary, What::new(&"gpt header")),
        Extent::of_bytes(2 * sector, array.clone(), What::new(&"gpt entries")),
        Extent::of_bytes((last - array_sectors) * sector, array, What::new(&"gpt backup entries")),
        header(last * sector, backup, What::new(&"gpt backup header")),
    ]);
    Layout::new(len, extents, vec![]).expect("the disk is long enough for both copies")
}

fn entry_array(parts: &[(Partition, Layout)], entries: u32, sector: u64) -> Bytes {
    let mut array = vec![0; (u64::from(entries) * ENTRY) as usize];
    for (partition, _) in parts {
        let mut entry = Entry {
            type_guid: partition.type_guid.into(),
            unique_guid: partition.unique_guid.into(),
            starting_lba: (partition.start / sector).into(),
            ending_lba: ((partition.start + partition.len) / sector - 1).into(),
            attributes: partition.attributes.into(),
            name: FromZeros::new_zeroed(),
        };
        entry.name.iter_mut().zip(partition.name.encode_utf16()).for_each(|(unit, new)| *unit = new.into());
        let at = (u64::from(partition.number - 1) * ENTRY) as usize;
        array[at..at + ENTRY as usize].copy_from_slice(entry.as_bytes());
    }
    array.into()
}

pub(super) fn refuse(kind: RefusalKind, object: impl Into<String>, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new("gpt", object), reason)
}

pub(super) fn ensure(holds: bool, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal()) }
}

fn check_disk(options: &Options, entries: u32) -> Result<(), Refusal> {
    let &Options { len, sector_size, .. } = options;
    ensure([512, 4096].contains(&sector_size), || {
        refuse(RefusalKind::Invalid, "", format!("a sector size that disks do not have: {sector_size}"))
            .hint("512 or 4096")
    })?;
    ensure(entries <= MOST_ENTRIES, || {
        refuse(RefusalKind::Limit, "", format!("more slots than {MOST_ENTRIES}: {entries}"))
            .hint("lower partition numbers")
    })?;
    ensure(len.is_multiple_of(sector_size.into()), || {
        refuse(RefusalKind::Invalid, "", format!("a disk that does not end with a sector: {len} bytes"))
            .hint(format!("a multiple of {sector_size}"))
    })?;
    let needed = first_usable_for(sector_size, entries) + smallest_tail(sector_size, entries);
    // One sector more: a table without any usable sector has no valid range of them.
    let needed = needed + u64::from(sector_size);
    ensure(len >= needed, || {
        let reason = format!("the disk is too small for its tables: {len} of {needed} bytes");
        refuse(RefusalKind::TooSmall { needed: Some(needed) }, "", reason)
    })
}

/// Slots and GUIDs are there once.
fn check_distinct(parts: &[(Partition, Layout)], disk_guid: Uuid) -> Result<(), Refusal> {
    let mut slots = BTreeSet::new();
    let mut guids = BTreeSet::from([disk_guid]);
    parts.iter().try_for_each(|(Partition { number, unique_guid, name, .. }, _)| {
        let twice = |what: String| refuse(RefusalKind::Invalid, title(*number, name), what);
        ensure(*number > 0, || twice("slots count from 1".to_owned()))?;
        ensure(slots.insert(*number), || twice(format!("a slot that another partition has: {number}")))?;
        ensure(guids.insert(*unique_guid), || twice(format!("a guid that is there twice: {unique_guid}")))
    })
}

fn check_partition(
    partition: &Partition,
    layout: &Layout,
    options: &Options,
    entries: u32,
) -> Result<(), Refusal> {
    let refuse = |kind, reason: String| refuse(kind, title(partition.number, &partition.name), reason);
    let units = partition.name.encode_utf16().count();
    ensure(units <= LONGEST_NAME, || {
        refuse(RefusalKind::Limit, format!("a name longer than {LONGEST_NAME} utf-16 units: {units}"))
            .hint("a shorter partition name")
    })?;
    ensure(!partition.name.contains('\0'), || {
        refuse(RefusalKind::Invalid, "a name with a zero character".to_owned())
    })?;
    ensure(!partition.type_guid.is_nil() && !partition.unique_guid.is_nil(), || {
        refuse(RefusalKind::Invalid, "a guid of zeros, which marks an unused entry".to_owned())
    })?;
    ensure(partition.attributes & RESERVED_ATTRIBUTES == 0, || {
        refuse(RefusalKind::Invalid, format!("attributes with reserved bits: {:#x}", partition.attributes))
    })?;
    check_place(partition, options, entries)?;
    ensure(layout.len() <= partition.len, || {
        let needed = align_up(layout.len(), options.sector_size.into());
        let reason = format!("too small for its content: {} of {} bytes", partition.len, layout.len());
        refuse(RefusalKind::TooSmall { needed }, reason)
    })
}

/// The partition lies on sectors that the table leaves for partitions.
fn check_place(partition: &Partition, options: &Options, entries: u32) -> Result<(), Refusal> {
    let &Options { len: disk, sector_size, .. } = options;
    let &Partition { start, len, .. } = partition;
    let refuse = |kind, reason: String| refuse(kind, title(partition.number, &partition.name), reason);
    ensure(len > 0, || refuse(RefusalKind::Invalid, "a partition of no bytes".to_owned()))?;
    ensure(start.is_multiple_of(sector_size.into()) && len.is_multiple_of(sector_size.into()), || {
        let reason = format!("not on sector boundaries: {len} bytes at byte {start}");
        refuse(RefusalKind::Invalid, reason).hint(format!("multiples of {sector_size}"))
    })?;
    let first = first_usable_for(sector_size, entries);
    ensure(start >= first, || {
        refuse(RefusalKind::Invalid, format!("starts in the table, before byte {first}: {start}"))
            .hint(format!("start at {first} or behind"))
    })?;
    let last = last_usable_for(disk, sector_size, entries);
    ensure(start.checked_add(len).is_some_and(|end| end <= last), || {
        let end = start.checked_add(len);
        let needed = end.and_then(|end| end.checked_add(smallest_tail(sector_size, entries)));
        let reason = format!("{len} bytes at byte {start} end behind the last usable byte: {last}");
        refuse(RefusalKind::TooSmall { needed }, reason)
    })
}

fn check_apart(parts: &[(Partition, Layout)]) -> Result<(), Refusal> {
    let mut sorted: Vec<&Partition> = parts.iter().map(|(partition, _)| partition).collect();
    sorted.sort_by_key(|partition| partition.start);
    sorted.windows(2).try_for_each(|pair| {
        let (before, after) = (pair[0], pair[1]);
        let end = before.start + before.len;
        ensure(end <= after.start, || {
            let other = title(before.number, &before.name);
            let reason = format!("starts before {other} ends: {} of {end}", after.start);
            refuse(RefusalKind::Invalid, title(after.number, &after.name), reason)
                .hint(format!("start at {end} or behind"))
        })
    })
}
