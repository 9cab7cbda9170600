//! The MBR before a GPT: protective or hybrid, written and read.

use super::copy::{Sectors, read, spot};
use super::disk::{protective, protective_size};
use super::lay::{ensure, refuse};
use super::{HybridEntry, MOST_HYBRID, Options, Partition, title};
use crate::bytes::is_zero;
use crate::dump::Tiles;
use crate::fault::{Damage, DamageKind, Refusal, RefusalKind};
use crate::layout::{Extent, Layout, ReadAt, What};
use crate::table::mbr::disk::{ACTIVE, DISK_ID_AT, RECORDS_AT, Record, Records, SIGNATURE, SIGNATURE_AT};
use crate::table::mbr::types;
use std::collections::BTreeSet;
use std::mem::offset_of;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// The MBR's bytes behind the boot code.
pub(super) fn extents(parts: &[(Partition, Layout)], options: &Options) -> Vec<Extent> {
    let id = |id: u32| Extent::of_bytes(DISK_ID_AT, id.to_le_bytes().to_vec(), What::new(&"disk id"));
    let what = match options.hybrid.is_empty() {
        true => What::new(&"protective mbr"),
        false => What::new(&"hybrid mbr"),
    };
    let records = Records { records: records(parts, options), signature: SIGNATURE };
    let records = Extent::of_bytes(RECORDS_AT, records.as_bytes(), what);
    options.disk_signature.map(id).into_iter().chain([records]).collect()
}

fn records(parts: &[(Partition, Layout)], options: &Options) -> [Record; 4] {
    let sector = u64::from(options.sector_size);
    let mut records = [Record::unused(); 4];
    records[0] = protective(protective_size(options.len / sector));
    let mut first = u32::MAX;
    for (record, entry) in records[1..].iter_mut().zip(&options.hybrid) {
        let (partition, _) = find(parts, entry.number).expect("hybrid entries have been checked");
        let count = |bytes: u64| u32::try_from(bytes / sector).expect("hybrid entries have been checked");
        *record = Record::new(entry.kind, entry.active, 0, count(partition.start), count(partition.len));
        first = first.min(record.start.get());
    }
    if !options.hybrid.is_empty() {
        records[0] = Record::new(types::GPT_PROTECTIVE, false, 0, 1, first - 1);
    }
    records
}

fn find(parts: &[(Partition, Layout)], number: u32) -> Option<&(Partition, Layout)> {
    parts.iter().find(|(partition, _)| partition.number == number)
}

/// The hybrid MBR can be written.
pub(super) fn check(parts: &[(Partition, Layout)], options: &Options) -> Result<(), Refusal> {
    let entries = &options.hybrid;
    ensure(entries.len() <= MOST_HYBRID, || {
        let reason = format!("a hybrid mbr of more than {MOST_HYBRID} partitions: {}", entries.len());
        refuse(RefusalKind::Limit, "", reason)
    })?;
    let active: Vec<_> = entries.iter().filter(|entry| entry.active).map(|entry| entry.number).collect();
    ensure(active.len() <= 1, || {
        refuse(
            RefusalKind::Invalid,
            "",
            format!("more than one active partition in a hybrid mbr: {active:?}"),
        )
    })?;
    let mut numbers = BTreeSet::new();
    entries.iter().try_for_each(|entry| {
        let &HybridEntry { number, kind, .. } = entry;
        let Some((partition, _)) = find(parts, number) else {
            let reason = format!("a hybrid mbr with a partition that the gpt does not have: {number}");
            return Err(refuse(RefusalKind::Missing, "", reason));
        };
        let refuse = |kind, reason: String| refuse(kind, title(number, &partition.name), reason);
        ensure(numbers.insert(number), || {
            refuse(RefusalKind::Invalid, "twice in the hybrid mbr".to_owned())
        })?;
        ensure(kind != 0 && kind != types::GPT_PROTECTIVE && !types::is_extended(kind), || {
            let reason = format!("a type that a partition in a hybrid mbr cannot have: {kind:02x}");
            refuse(RefusalKind::Invalid, reason)
        })?;
        let end = (partition.start + partition.len) / u64::from(options.sector_size);
        ensure(end <= 1 << 32, || {
            let reason = format!("in the hybrid mbr, and ends behind its 2^32 sectors: {end}");
            refuse(RefusalKind::Limit, reason)
        })
    })
}

/// The record that protects the table, and its slot.
fn protecting(mbr: &Records) -> Option<(usize, &Record)> {
    let mut records = mbr.records.iter().enumerate();
    records.find(|(_, record)| record.kind == types::GPT_PROTECTIVE).filter(|_| mbr.signature == SIGNATURE)
}

/// Whether the image has a record that protects a table.
pub(super) fn protects(image: &dyn ReadAt) -> bool {
    read::<Records>(image, RECORDS_AT, "").is_ok_and(|mbr| protecting(&mbr).is_some())
}

/// The first byte of a record's field.
fn field(slot: usize, offset: usize) -> u64 {
    RECORDS_AT + (slot * size_of::<Record>() + offset) as u64
}

/// Section 5.2.3, and records of a hybrid MBR: disk signature and what the MBR repeats. The boot indicator is the BIOS's
/// business, and the CHS fields are nobody's. `tables` is the first sector behind the primary copy.
pub(super) fn open(
    sectors: Sectors<'_>,
    partitions: &[Partition],
    tables: u64,
    damage: &mut Vec<Damage>,
) -> (u32, Vec<HybridEntry>) {
    let object = "protective mbr";
    let id = read::<U32>(sectors.image, DISK_ID_AT, object).map_or(0, U32::get);
    let mbr: Records = match read(sectors.image, RECORDS_AT, object) {
        Ok(mbr) => mbr,
        Err(found) => {
            damage.push(found);
            return (id, vec![]);
        }
    };
    let mut note = |at: u64, expected: String, found: String| {
        damage.push(Damage::new(DamageKind::Value, spot(object), at, expected, found));
    };
    if mbr.signature != SIGNATURE {
        let found = format!("{:02x} {:02x}", mbr.signature[0], mbr.signature[1]);
        note(SIGNATURE_AT, "the signature 55 aa".to_owned(), found);
        return (id, vec![]);
    }
    let Some((slot, record)) = protecting(&mbr) else {
        note(RECORDS_AT, "a record of type ee".to_owned(), "none".to_owned());
        return (id, vec![]);
    };
    let start = record.start.get();
    if start != 1 {
        note(field(slot, offset_of!(Record, start)), "starting lba 1".to_owned(), start.to_string());
    }
    let others = || mbr.records.iter().enumerate().filter(|&(other, _)| other != slot);
    let hybrid: Vec<(usize, HybridEntry)> =
        others().filter_map(|(slot, record)| Some((slot, repeated(sectors, record, partitions)?))).collect();
    for (slot, record) in others().filter(|(_, record)| !is_zero(record.as_bytes())) {
        if hybrid.iter().all(|(other, _)| *other != slot) {
            let (kind, start, count) = (record.kind, record.start, record.count);
            let found = format!("type {kind:02x}, {count} sectors at lba {start}");
            note(field(slot, 0), "an unused record, or a partition of the gpt".to_owned(), found);
        }
    }
    check_reach(sectors, &mbr, slot, &hybrid, tables, &mut note);
    (id, hybrid.into_iter().map(|(_, entry)| entry).collect())
}

/// The partition that a record repeats.
fn repeated(sectors: Sectors<'_>, record: &Record, partitions: &[Partition]) -> Option<HybridEntry> {
    let bytes = |count: u32| u64::from(count) * u64::from(sectors.size);
    let place = (bytes(record.start.get()), bytes(record.count.get()));
    let partition = partitions.iter().find(|partition| (partition.start, partition.len) == place)?;
    let ordinary = ![0, types::GPT_PROTECTIVE].contains(&record.kind);
    let active = record.status == ACTIVE;
    ordinary.then_some(HybridEntry { number: partition.number, kind: record.kind, active })
}

/// The protective record reaches to the disk's end; in a hybrid MBR over the table at least, and up to the first
/// partition at most.
fn check_reach(
    sectors: Sectors<'_>,
    mbr: &Records,
    slot: usize,
    hybrid: &[(usize, HybridEntry)],
    tables: u64,
    note: &mut dyn FnMut(u64, String, String),
) {
    let size = mbr.records[slot].count.get();
    let first = hybrid.iter().map(|(slot, _)| u64::from(mbr.records[*slot].start.get())).min();
    let holds = match first {
        None => [protective_size(sectors.count()), u32::MAX].contains(&size),
        Some(first) => (tables..=first).contains(&(u64::from(size) + 1)),
    };
    if !holds {
        let expected = match first {
            None => format!("{} sectors", protective_size(sectors.count())),
            Some(first) => format!("{} to {} sectors", tables.saturating_sub(1), first.saturating_sub(1)),
        };
        note(field(slot, offset_of!(Record, count)), expected, size.to_string());
    }
}

/// Lines of the dump: boot code, signature and records.
pub(super) fn dump(image: &dyn ReadAt, tiles: &mut Tiles) -> Result<(), Damage> {
    let mbr: Records = read(image, RECORDS_AT, "protective mbr")?;
    let id: U32 = read(image, DISK_ID_AT, "protective mbr")?;
    tiles.add(0, DISK_ID_AT, "mbr: boot code");
    tiles.add(DISK_ID_AT, 4, format!("mbr: disk signature {id:#010x}"));
    tiles.add(DISK_ID_AT + 4, 2, "mbr: reserved");
    for (slot, record) in mbr.records.iter().enumerate() {
        let text = format!(
            "mbr: record {}: type {:02x}, status {:02x}, {} sectors at lba {}",
            slot + 1,
            record.kind,
            record.status,
            record.count,
            record.start
        );
        tiles.add(field(slot, 0), size_of::<Record>() as u64, text);
    }
    let [a, b] = mbr.signature;
    tiles.add(SIGNATURE_AT, 2, format!("mbr: signature {a:02x} {b:02x}"));
    Ok(())
}
