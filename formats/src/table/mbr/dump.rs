//! What every byte of a partitioned disk is.

use super::chain::{Table, read, walk};
use super::disk::{DISK_ID_AT, RECORDS_AT, Record, SIGNATURE_AT};
use super::{open, title, types};
use crate::dump::Tiles;
use crate::fault::Damage;
use crate::layout::ReadAt;
use std::fmt;
use zerocopy::little_endian::U32;

/// A line for every run of bytes: fields of the MBR and of the EBRs, partitions, and what is left, for a disk with the
/// likeliest of its [`sector_sizes`](super::sector_sizes).
pub fn dump(image: &dyn ReadAt, out: &mut dyn fmt::Write) -> Result<(), Damage> {
    dump_as(image, *open::sector_sizes(image).first().expect("one at least"), out)
}

/// The same for a disk with sectors of `sector_size` bytes.
pub fn dump_as(image: &dyn ReadAt, sector_size: u32, out: &mut dyn fmt::Write) -> Result<(), Damage> {
    let chain = walk(image, sector_size)?;
    let id: U32 = read(image, DISK_ID_AT, "mbr")?;
    let mut tiles = Tiles::default();
    tiles.add(0, DISK_ID_AT, "mbr: boot code");
    tiles.add(DISK_ID_AT, 4, format!("mbr: disk id {id:#010x}"));
    tiles.add(DISK_ID_AT + 4, 2, "mbr: reserved");
    chain.tables.iter().for_each(|table| records(table, &mut tiles));
    tiles.around(0, sector_size.into(), "mbr: rest of the sector");
    for ebr in chain.tables.iter().skip(1) {
        tiles.add(ebr.at, RECORDS_AT, format!("{}: before the records", ebr.name));
    }
    if let Some(extended) = &chain.extended {
        let text = format!("extended {}: between partitions", title(extended.number));
        tiles.around(extended.start, extended.len, text);
    }
    for entry in &chain.entries {
        tiles.add(entry.start, entry.len, format!("content of {}", title(entry.number)));
    }
    tiles.write(image, out)
}

fn records(table: &Table, tiles: &mut Tiles) {
    let name = &table.name;
    for (slot, record) in (0u64..).zip(&table.records.records) {
        let text = format!(
            "{name}: record {}: type {:02x} {}, status {:02x}, {} sectors at lba {}",
            slot + 1,
            record.kind,
            match record.kind {
                0 => "unused",
                kind => types::name(kind).unwrap_or("unknown"),
            },
            record.status,
            record.count,
            record.start
        );
        let len = size_of::<Record>() as u64;
        tiles.add(table.at + RECORDS_AT + slot * len, len, text);
    }
    let [a, b] = table.records.signature;
    tiles.add(table.at + SIGNATURE_AT, 2, format!("{name}: signature {a:02x} {b:02x}"));
}
