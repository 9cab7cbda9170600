//! Disk -> partitions, with everything that contradicts the format.

use super::chain::{Chain, Entry, Table, damage, read, walk};
use super::disk::{ACTIVE, DISK_ID_AT, RECORDS_AT, Record, Records, SIGNATURE};
use super::{Extended, Opened, PRIMARIES, Partition, title, types};
use crate::bytes::{align_down, is_zero};
use crate::fault::{Damage, DamageKind};
use crate::layout::ReadAt;
use crate::registry::MOST_DAMAGE;
use std::mem::offset_of;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// Whether the image says that it has this table and no GPT.
///
/// The signature alone says little: boot sectors of FAT, exFAT and NTFS have it, too, and so has a file system's first
/// sector with a boot loader in it. A table has something in it: a partition or a disk id. Where another state than 00 and
/// 80 or the start of a file system speak against it, all partitions must lie on the disk, behind the first sector; where
/// both do, it is none.
pub fn recognise(image: &dyn ReadAt) -> bool {
    let Ok(mbr) = read::<Records>(image, RECORDS_AT, "") else { return false };
    let id = read::<U32>(image, DISK_ID_AT, "").map_or(0, U32::get);
    let states = mbr.records.iter().all(|record| [0, ACTIVE].contains(&record.status));
    let protective = mbr.records.iter().any(|record| record.kind == types::GPT_PROTECTIVE);
    let used = mbr.records.iter().any(|record| record.kind != 0);
    let plausible = || used && mbr.records.iter().all(|record| lies_behind_the_table(record, image.len()));
    let table = mbr.signature == SIGNATURE && !protective && (used || id != 0);
    table
        && match (states, is_boot_sector(image)) {
            (true, false) => true,
            (false, true) => false,
            _ => plausible(),
        }
}

/// A partition behind the first sector and on a disk of `len` bytes, or an unused record.
fn lies_behind_the_table(record: &Record, len: u64) -> bool {
    let (start, count) = (u64::from(record.start.get()), u64::from(record.count.get()));
    let lies = start > 0 && count > 0 && (start + count) * 512 <= len;
    if record.kind == 0 { is_zero(record.as_bytes()) } else { lies }
}

/// Whether the first sector is that of a FAT, exFAT or NTFS.
fn is_boot_sector(image: &dyn ReadAt) -> bool {
    let Ok(start) = read::<[u8; 64]>(image, 0, "") else { return false };
    let named = [&b"NTFS    "[..], b"EXFAT   ", b"-FVE-FS-"].contains(&&start[3..11]);
    let number = |at: usize| u16::from_le_bytes([start[at], start[at + 1]]);
    let jump = matches!(start[..3], [0xeb, _, 0x90] | [0xe9, _, _]);
    let sectors = [512, 1024, 2048, 4096].contains(&number(11)) && start[13].is_power_of_two();
    let tables = number(14) > 0 && [1, 2].contains(&start[16]);
    let media = start[21] == 0xf0 || start[21] >= 0xf8;
    named || jump && sectors && tables && media
}

/// The sector sizes with which the table makes sense, the likeliest first: at least one.
///
/// Nothing in the table says it. Partitions and EBRs that are where they should be with one size alone decide; else 4096
/// is the likelier if with it partitions start on MiB and with 512 they do not, or the last one ends with the disk.
/// What is in the partitions can decide between two.
pub fn sector_sizes(image: &dyn ReadAt) -> Vec<u32> {
    let read = |size| walk(image, size).map(|chain| (check(image, &chain, size).len(), chain));
    let (Ok((small_faults, small)), Ok((large_faults, large))) = (read(512), read(4096)) else {
        return vec![512];
    };
    match small_faults.cmp(&large_faults) {
        std::cmp::Ordering::Less => vec![512],
        std::cmp::Ordering::Greater => vec![4096],
        std::cmp::Ordering::Equal if looks_large(image, &small, &large) => vec![4096, 512],
        std::cmp::Ordering::Equal => vec![512, 4096],
    }
}

fn looks_large(image: &dyn ReadAt, small: &Chain, large: &Chain) -> bool {
    const MIB: u64 = 1 << 20;
    let aligned = |chain: &Chain| {
        let mut starts = chain.entries.iter().chain(&chain.extended).map(|entry| entry.start);
        starts.all(|start| start.is_multiple_of(MIB))
    };
    let end = large.entries.iter().map(Entry::end).max().unwrap_or(0);
    let fills = [MIB, 4096].map(|unit| align_down(image.len(), unit)).contains(&end);
    fills && end > 0 || aligned(large) && !aligned(small)
}

/// Reads and checks the table with the likeliest of its [`sector_sizes`].
pub fn open(image: &dyn ReadAt) -> Result<Opened, Damage> {
    let sizes = sector_sizes(image);
    open_as(image, *sizes.first().expect("one at least"))
}

/// Reads and checks the table of a disk with sectors of `sector_size` bytes. Fails when the first sector is none.
pub fn open_as(image: &dyn ReadAt, sector_size: u32) -> Result<Opened, Damage> {
    let chain = walk(image, sector_size)?;
    let mut damage = check(image, &chain, sector_size);
    damage.truncate(MOST_DAMAGE);
    let lying = |entry: &&Entry| entry.end() <= image.len();
    let partition = |entry: &Entry| Partition {
        number: entry.number,
        kind: entry.record.kind,
        active: entry.record.status == ACTIVE,
        start: entry.start,
        len: entry.len,
    };
    let extended = chain.extended.as_ref().filter(lying).map(|entry| Extended {
        number: entry.number,
        kind: entry.record.kind,
        start: entry.start,
        len: entry.len,
    });
    Ok(Opened {
        disk_id: read::<U32>(image, DISK_ID_AT, "mbr")?.get(),
        sector_size,
        partitions: chain.entries.iter().filter(lying).map(partition).collect(),
        extended,
        damage,
    })
}

/// Everything that is wrong with the tables and the places in them.
fn check(image: &dyn ReadAt, chain: &Chain, sector_size: u32) -> Vec<Damage> {
    let mut notes = chain.damage.clone();
    let size = u64::from(sector_size);
    if !image.len().is_multiple_of(size) {
        let (expected, found) = (format!("a multiple of {size} bytes"), format!("{} bytes", image.len()));
        notes.push(damage(DamageKind::Truncated, "disk", image.len(), expected, found));
    }
    check_places(image, chain, &mut notes);
    check_active(chain, &mut notes);
    check_apart(chain, size, &mut notes);
    notes
}

/// Partitions lie on the disk, logical ones in the extended one; none is of type ee.
fn check_places(image: &dyn ReadAt, chain: &Chain, notes: &mut Vec<Damage>) {
    for entry in chain.entries.iter().chain(&chain.extended) {
        let mut note = |offset: usize, expected: String, found: String| {
            let at = entry.at + offset as u64;
            notes.push(damage(DamageKind::Value, &title(entry.number), at, expected, found));
        };
        let within = match &chain.extended {
            Some(extended) if entry.number > PRIMARIES => extended.start..extended.end().min(image.len()),
            _ => 0..image.len(),
        };
        if entry.start < within.start || entry.end() > within.end {
            let expected = format!("bytes in {} to {}", within.start, within.end);
            let found = format!("{} to {}", entry.start, entry.end());
            note(offset_of!(Record, start), expected, found);
        }
        if entry.record.kind == types::GPT_PROTECTIVE {
            let expected = "a type of partitions".to_owned();
            note(offset_of!(Record, kind), expected, "ee, which says that the disk has a gpt".to_owned());
        }
    }
}

fn check_active(chain: &Chain, notes: &mut Vec<Damage>) {
    let mut active = chain.entries.iter().chain(&chain.extended).filter(|it| it.record.status == ACTIVE);
    let Some(first) = active.next() else { return };
    for entry in active {
        let expected = format!("one active partition, as {} is", title(first.number));
        notes.push(damage(DamageKind::Value, &title(entry.number), entry.at, expected, "status 80"));
    }
}

/// Bytes that one partition or table claims.
struct Claim {
    start: u64,
    end: u64,
    who: String,
    /// Position of what says so.
    at: u64,
}

/// Partitions and tables do not meet.
fn check_apart(chain: &Chain, sector: u64, notes: &mut Vec<Damage>) {
    let claim = |entry: &Entry| Claim {
        start: entry.start,
        end: entry.end(),
        who: title(entry.number),
        at: entry.at + offset_of!(Record, start) as u64,
    };
    let table = |table: &Table| Claim {
        start: table.at,
        end: table.at + sector,
        who: table.name.clone(),
        at: table.at,
    };
    // Logical partitions lie in the extended one, with the EBRs.
    let (mbr, ebrs) = chain.tables.split_at(1);
    let (primary, logical): (Vec<&Entry>, _) =
        chain.entries.iter().chain(&chain.extended).partition(|entry| entry.number <= PRIMARIES);
    for (tables, entries) in [(mbr, primary), (ebrs, logical)] {
        note_overlaps(tables.iter().map(table).chain(entries.into_iter().map(claim)).collect(), notes);
    }
}

fn note_overlaps(mut claims: Vec<Claim>, notes: &mut Vec<Damage>) {
    claims.sort_by_key(|claim| claim.start);
    let mut before: Option<Claim> = None;
    for claim in claims {
        if let Some(other) = before.as_ref().filter(|other| other.end > claim.start) {
            let expected = format!("a start behind {}, at byte {}", other.who, other.end);
            let found = format!("byte {}", claim.start);
            notes.push(damage(DamageKind::Mismatch, &claim.who, claim.at, expected, found));
        }
        before = Some(match before {
            Some(other) if other.end >= claim.end => other,
            _ => claim,
        });
    }
}
