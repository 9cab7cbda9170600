//! The MBR and the EBRs behind it, read one after the other.

use super::disk::{ACTIVE, RECORDS_AT, Record, Records, SIGNATURE, SIGNATURE_AT};
use super::{MOST_READ, PRIMARIES, title, types};
use crate::bytes::is_zero;
use crate::fault::{Damage, DamageKind, Spot};
use crate::layout::ReadAt;
use std::collections::BTreeSet;
use std::mem::offset_of;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// One table.
pub(super) struct Table {
    /// `mbr`, or `ebr 5`, which is that of partition 5.
    pub name: String,
    /// Byte position of its sector.
    pub at: u64,
    pub records: Records,
}

/// A record in use.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub number: u32,
    /// Byte position of the record.
    pub at: u64,
    pub record: Record,
    /// First byte on the disk; like the length it may be anything.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Entry {
    pub(super) fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// All tables and what is in them.
pub(super) struct Chain {
    pub tables: Vec<Table>,
    /// By number; without the extended partition.
    pub entries: Vec<Entry>,
    pub extended: Option<Entry>,
    pub damage: Vec<Damage>,
}

pub(super) fn damage(
    kind: DamageKind,
    object: &str,
    at: u64,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Damage {
    Damage::new(kind, Spot::new("mbr", object), at, expected, found)
}

/// A structure at a byte position.
pub(super) fn read<T: FromBytes + FromZeros + IntoBytes>(
    image: &dyn ReadAt,
    at: u64,
    object: &str,
) -> Result<T, Damage> {
    let mut value = T::new_zeroed();
    image.read_exact_at(at, value.as_mut_bytes()).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => DamageKind::Truncated,
            _ => DamageKind::Io,
        };
        damage(kind, object, at, format!("{} bytes", size_of::<T>()), error.to_string())
    })?;
    Ok(value)
}

/// The table in the sector at byte `at`.
fn table(image: &dyn ReadAt, at: u64, name: String) -> Result<Table, Damage> {
    let records: Records = read(image, at + RECORDS_AT, &name)?;
    match records.signature {
        SIGNATURE => Ok(Table { name, at, records }),
        [a, b] => {
            let found = format!("{a:02x} {b:02x}");
            let at = at + SIGNATURE_AT;
            Err(damage(DamageKind::Value, &name, at, "the signature 55 aa", found))
        }
    }
}

impl Table {
    /// Records in use with their byte positions; notes those that are neither in use nor zeros, and wrong states.
    fn used(&self, notes: &mut Vec<Damage>) -> Vec<(u64, Record)> {
        let mut used = Vec::new();
        for (slot, record) in (0u64..).zip(&self.records.records) {
            let at = self.at + RECORDS_AT + slot * size_of::<Record>() as u64;
            let mut note = |at: u64, expected: &str, found: String| {
                notes.push(damage(DamageKind::Value, &self.name, at, expected, found));
            };
            if record.kind == 0 {
                if !is_zero(record.as_bytes()) {
                    note(at, "an unused record of zeros", "other bytes and type 00".to_owned());
                }
                continue;
            }
            if ![0, ACTIVE].contains(&record.status) {
                note(at, "status 00 or 80", format!("{:02x}", record.status));
            }
            if record.count.get() == 0 {
                let at = at + offset_of!(Record, count) as u64;
                note(at, "a count of sectors", "0".to_owned());
                continue;
            }
            used.push((at, *record));
        }
        used
    }
}

/// Reads the MBR and follows the EBRs: a circle, a link that leaves the extended partition and a number above
/// [`MOST_READ`] end the chain. Fails where there is no MBR.
pub(super) fn walk(image: &dyn ReadAt, sector_size: u32) -> Result<Chain, Damage> {
    let sector = u64::from(sector_size);
    let mbr = table(image, 0, "mbr".to_owned())?;
    let mut chain = Chain { tables: vec![], entries: vec![], extended: None, damage: vec![] };
    for (at, record) in mbr.used(&mut chain.damage) {
        let number = ((at - RECORDS_AT) / size_of::<Record>() as u64) as u32 + 1;
        let entry = entry(number, at, record, 0, sector);
        match types::is_extended(record.kind) {
            false => chain.entries.push(entry),
            true if chain.extended.is_none() => chain.extended = Some(entry),
            true => {
                let at = at + offset_of!(Record, kind) as u64;
                let found = format!("a second one, type {:02x}", record.kind);
                let expected = "one extended partition";
                chain.damage.push(damage(DamageKind::Value, &title(number), at, expected, found));
            }
        }
    }
    chain.tables.push(mbr);
    if let Some(extended) = chain.extended {
        chain.follow(image, extended, sector);
    }
    Ok(chain)
}

/// What a record says; `base` is the byte that its start counts from.
fn entry(number: u32, at: u64, record: Record, base: u64, sector: u64) -> Entry {
    let bytes = |count: u32| u64::from(count) * sector;
    Entry { number, at, record, start: base + bytes(record.start.get()), len: bytes(record.count.get()) }
}

impl Chain {
    /// Reads the EBRs of the extended partition.
    fn follow(&mut self, image: &dyn ReadAt, extended: Entry, sector: u64) {
        let mut seen = BTreeSet::from([extended.start]);
        let (mut at, mut number, mut link) = (extended.start, PRIMARIES + 1, None);
        loop {
            let ebr = match table(image, at, format!("ebr {number}")) {
                Ok(ebr) => ebr,
                Err(found) => return self.damage.push(found),
            };
            let (data, next) = self.of_ebr(&ebr, number, extended.start, sector);
            self.tables.push(ebr);
            if let Some(data) = data {
                self.check_link(link, data);
                self.entries.push(data);
                number += 1;
            }
            let Some(next) = next else { return };
            let object = format!("ebr {number}");
            let field = next.at + offset_of!(Record, start) as u64;
            let mut note = |expected: String, found: String| {
                self.damage.push(damage(DamageKind::Value, &object, field, expected, found));
            };
            let place = format!("lba {}", next.start / sector);
            if next.start + sector > extended.end().min(image.len()) {
                return note("a next ebr in the extended partition".to_owned(), place);
            }
            if !seen.insert(next.start) {
                return note("a next ebr that is not one of those before".to_owned(), place);
            }
            if number > MOST_READ || seen.len() > MOST_READ as usize {
                return note(format!("an end of the chain within {MOST_READ} partitions"), place);
            }
            (at, link) = (next.start, Some(next));
        }
    }

    /// The logical partition and the link in an EBR.
    fn of_ebr(
        &mut self,
        ebr: &Table,
        number: u32,
        extended: u64,
        sector: u64,
    ) -> (Option<Entry>, Option<Entry>) {
        let (mut data, mut next) = (None, None);
        for (at, record) in ebr.used(&mut self.damage) {
            let (place, base) = match types::is_extended(record.kind) {
                true => (&mut next, extended),
                false => (&mut data, ebr.at),
            };
            if place.is_some() {
                let found = format!("another of type {:02x}", record.kind);
                let expected = "one partition and one link";
                self.damage.push(damage(DamageKind::Value, &ebr.name, at, expected, found));
            } else {
                *place = Some(entry(number, at, record, base, sector));
            }
        }
        (data, next)
    }

    /// A link reaches over the partition that it leads to.
    fn check_link(&mut self, link: Option<Entry>, data: Entry) {
        let Some(link) = link.filter(|link| link.end() < data.end()) else { return };
        let at = link.at + offset_of!(Record, count) as u64;
        let expected = format!("a link that ends behind {}, at byte {}", title(data.number), data.end());
        let found = format!("byte {}", link.end());
        let object = format!("ebr {}", data.number);
        self.damage.push(damage(DamageKind::Mismatch, &object, at, expected, found));
    }
}
