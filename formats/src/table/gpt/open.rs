//! Disk -> partitions, with everything that contradicts the specification.

use super::copy::{Copy, Sectors, name_of, partition, read, read_bytes, spot};
use super::disk::{Entry, Header, REVISION, SIGNATURE};
use super::{Opened, Partition, RESERVED_ATTRIBUTES, protect, title};
use crate::fault::{Damage, DamageKind};
use crate::layout::ReadAt;
use crate::registry::MOST_DAMAGE;
use std::collections::BTreeMap;
use std::mem::offset_of;
use uuid::Uuid;

/// Whether the image says that it has this table: a header behind the first sector, or a protective MBR and a header
/// in the last sector.
pub fn recognise(image: &dyn ReadAt) -> bool {
    let signed = |at: Option<u64>| at.is_some_and(|at| read::<[u8; 8]>(image, at, "") == Ok(SIGNATURE));
    let backup = |size: u64| signed(image.len().checked_sub(size));
    signed(Some(512)) || signed(Some(4096)) || (backup(512) || backup(4096)) && protect::protects(image)
}

/// Reads and checks both copies of the table. A damaged primary copy is reported and the backup used in its place; it
/// fails when both are damaged.
pub fn open(image: &dyn ReadAt) -> Result<Opened, Damage> {
    let sectors = Sectors::of(image)?;
    let mut damage = Vec::new();
    check_length(sectors, &mut damage);
    let table = match sectors.copies() {
        (Ok(primary), backup) => {
            check_alternate(sectors, &primary, &mut damage);
            check_header(sectors, &primary, &mut damage);
            match backup {
                Ok(backup) => {
                    check_backup(&primary, &backup, &mut damage);
                    check_header(sectors, &backup, &mut damage);
                }
                Err(found) => damage.push(found),
            }
            primary
        }
        (Err(found), Ok(backup)) => {
            damage.push(found);
            check_header(sectors, &backup, &mut damage);
            backup
        }
        (Err(found), Err(_)) => return Err(found),
    };
    let partitions = partitions(sectors, &table, &mut damage);
    let tables = table.header.first_usable_lba.get();
    let (disk_signature, hybrid) = protect::open(sectors, &partitions, tables, &mut damage);
    damage.truncate(MOST_DAMAGE);
    Ok(Opened {
        disk_guid: table.header.disk_guid.into(),
        sector_size: sectors.size,
        disk_signature,
        hybrid,
        partitions,
        damage,
    })
}

fn check_length(sectors: Sectors<'_>, damage: &mut Vec<Damage>) {
    let (len, size) = (sectors.image.len(), u64::from(sectors.size));
    if !len.is_multiple_of(size) {
        let (expected, found) = (format!("a multiple of {size} bytes"), format!("{len} bytes"));
        damage.push(Damage::new(DamageKind::Truncated, spot("disk"), len, expected, found));
    }
}

fn check_alternate(sectors: Sectors<'_>, primary: &Copy, damage: &mut Vec<Damage>) {
    let (found, last) = (primary.header.alternate_lba.get(), sectors.last());
    if found != last {
        let at = primary.at + offset_of!(Header, alternate_lba) as u64;
        let expected = format!("the backup in the last sector, lba {last}");
        let found = format!("lba {found}");
        damage.push(Damage::new(DamageKind::Mismatch, spot("primary header"), at, expected, found));
    }
}

/// The backup says what the primary says.
fn check_backup(primary: &Copy, backup: &Copy, damage: &mut Vec<Damage>) {
    let (a, b) = (&primary.header, &backup.header);
    let guid = |header: &Header| Uuid::from(header.disk_guid).to_string();
    let fields = [
        (
            "alternate lba",
            offset_of!(Header, alternate_lba),
            a.my_lba.to_string(),
            b.alternate_lba.to_string(),
        ),
        (
            "first usable lba",
            offset_of!(Header, first_usable_lba),
            a.first_usable_lba.to_string(),
            b.first_usable_lba.to_string(),
        ),
        (
            "last usable lba",
            offset_of!(Header, last_usable_lba),
            a.last_usable_lba.to_string(),
            b.last_usable_lba.to_string(),
        ),
        ("disk guid", offset_of!(Header, disk_guid), guid(a), guid(b)),
        (
            "entry count",
            offset_of!(Header, number_of_partition_entries),
            a.number_of_partition_entries.to_string(),
            b.number_of_partition_entries.to_string(),
        ),
        (
            "entry size",
            offset_of!(Header, size_of_partition_entry),
            a.size_of_partition_entry.to_string(),
            b.size_of_partition_entry.to_string(),
        ),
    ];
    for (name, offset, expected, found) in fields.into_iter().filter(|(_, _, a, b)| a != b) {
        let at = backup.at + offset as u64;
        let expected = format!("{name} {expected}");
        damage.push(Damage::new(DamageKind::Mismatch, spot("backup header"), at, expected, found));
    }
    let differs = primary.array.iter().zip(&backup.array).position(|(a, b)| a != b);
    if let Some(at) = differs {
        let slot = at as u64 / u64::from(a.size_of_partition_entry.get()) + 1;
        let (expected, found) = (format!("entry {slot} as in the primary copy"), "other bytes");
        let at = backup.array_at + at as u64;
        damage.push(Damage::new(DamageKind::Mismatch, spot("backup entries"), at, expected, found));
    }
}

/// What the specification asks of a header beyond validity.
fn check_header(sectors: Sectors<'_>, table: &Copy, damage: &mut Vec<Damage>) {
    let header = &table.header;
    let object = format!("{} header", table.name);
    let mut note = |offset: usize, expected: String, found: String| {
        let at = table.at + offset as u64;
        damage.push(Damage::new(DamageKind::Value, spot(object.clone()), at, expected, found));
    };
    let revision = header.revision.get();
    if revision != REVISION {
        note(offset_of!(Header, revision), format!("revision {REVISION:#010x}"), format!("{revision:#010x}"));
    }
    let reserved = header.reserved.get();
    if reserved != 0 {
        note(offset_of!(Header, reserved), "reserved zeros".to_owned(), format!("{reserved:#x}"));
    }
    let size = u64::from(sectors.size);
    let mut rest = vec![0; sectors.size as usize - size_of::<Header>()];
    let rest_at = table.at + size_of::<Header>() as u64;
    if header.header_size.get() as usize == size_of::<Header>()
        && read_bytes(sectors.image, rest_at, &mut rest, &object).is_ok()
        && let Some(at) = rest.iter().position(|&byte| byte != 0)
    {
        let found = format!("{:02x}", rest[at]);
        note(size_of::<Header>() + at, "zeros behind the header".to_owned(), found);
    }
    let (first, last) = (header.first_usable_lba.get(), header.last_usable_lba.get());
    let array = header.partition_entry_lba.get();
    let array_end = array + (table.array.len() as u64).div_ceil(size);
    // The primary array lies before the usable sectors, the backup array behind them.
    let (lowest, highest) = match table.name {
        "primary" => (array_end, sectors.last().saturating_sub(1)),
        _ => (2, array.saturating_sub(1)),
    };
    if first < lowest {
        note(
            offset_of!(Header, first_usable_lba),
            format!("first usable lba of at least {lowest}"),
            first.to_string(),
        );
    }
    if last > highest || last < first {
        let expected = format!("last usable lba of {first} to {highest}");
        note(offset_of!(Header, last_usable_lba), expected, last.to_string());
    }
}

/// The entries in use that lie on the disk, with what is wrong about them.
fn partitions(sectors: Sectors<'_>, table: &Copy, damage: &mut Vec<Damage>) -> Vec<Partition> {
    let mut found: Vec<(u64, Partition)> = Vec::new();
    for (slot, at, entry) in table.entries() {
        check_entry(sectors, table, slot, at, &entry, damage);
        found.extend(partition(sectors, slot, &entry).map(|partition| (at, partition)));
    }
    check_guids(&found, damage);
    check_apart(&found, damage);
    found.into_iter().map(|(_, partition)| partition).collect()
}

fn check_entry(
    sectors: Sectors<'_>,
    table: &Copy,
    slot: u32,
    at: u64,
    entry: &Entry,
    damage: &mut Vec<Damage>,
) {
    let mut note = |offset: usize, expected: String, found: String| {
        let spot = spot(title(slot, &name_of(entry)));
        damage.push(Damage::new(DamageKind::Value, spot, at + offset as u64, expected, found));
    };
    let (first, last) = (entry.starting_lba.get(), entry.ending_lba.get());
    let usable = table.header.first_usable_lba.get()..=table.header.last_usable_lba.get();
    if first > last {
        let expected = format!("an ending lba of at least {first}");
        note(offset_of!(Entry, ending_lba), expected, last.to_string());
    } else if !usable.contains(&first) || !usable.contains(&last) || last >= sectors.count() {
        let expected = format!("sectors in {} to {}", usable.start(), usable.end());
        note(offset_of!(Entry, starting_lba), expected, format!("{first} to {last}"));
    }
    let reserved = entry.attributes.get() & RESERVED_ATTRIBUTES;
    if reserved != 0 {
        let found = format!("{reserved:#x}");
        note(offset_of!(Entry, attributes), "attributes whose bits 3 to 47 are zero".to_owned(), found);
    }
    if Uuid::from(entry.unique_guid).is_nil() {
        note(offset_of!(Entry, unique_guid), "a guid".to_owned(), "zeros".to_owned());
    }
}

fn check_guids(found: &[(u64, Partition)], damage: &mut Vec<Damage>) {
    let mut seen: BTreeMap<Uuid, u32> = BTreeMap::new();
    for (at, Partition { number, name, unique_guid, .. }) in found {
        if let Some(other) = seen.insert(*unique_guid, *number).filter(|_| !unique_guid.is_nil()) {
            let at = at + offset_of!(Entry, unique_guid) as u64;
            let found = format!("that of partition {other}: {unique_guid}");
            let spot = spot(title(*number, name));
            damage.push(Damage::new(DamageKind::Value, spot, at, "a guid of its own", found));
        }
    }
}

fn check_apart(found: &[(u64, Partition)], damage: &mut Vec<Damage>) {
    let mut sorted: Vec<&(u64, Partition)> = found.iter().collect();
    sorted.sort_by_key(|(_, partition)| partition.start);
    let mut before: Option<&Partition> = None;
    for (at, partition) in sorted {
        let end = |partition: &Partition| partition.start + partition.len;
        if let Some(other) = before.filter(|other| end(other) > partition.start) {
            let expected =
                format!("a start behind {}, at byte {}", title(other.number, &other.name), end(other));
            let at = at + offset_of!(Entry, starting_lba) as u64;
            let spot = spot(title(partition.number, &partition.name));
            let found = format!("byte {}", partition.start);
            damage.push(Damage::new(DamageKind::Mismatch, spot, at, expected, found));
        }
        before = Some(before.filter(|other| end(other) >= end(partition)).unwrap_or(partition));
    }
}
