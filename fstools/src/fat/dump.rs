//! An annotated dump: one line for every run of bytes, from the first to the last.
//!
//! A line is the start of the run, its length (both in bytes) and what it is. Lines tile the image.

use super::boot::Boot;
use super::chain::Table;
use super::directory::Slot;
use super::disk::*;
use super::geometry::FatType;
use super::names::short_text;
use super::open::{Scan, scan};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Damage, DamageKind, Spot};
use diskwright_formats::layout::ReadAt;
use std::fmt::Write;
use std::ops::Range;
use zerocopy::IntoBytes;

/// Bytes and what they are.
struct Note(Range<u64>, String);

/// Writes the dump of an image, then what contradicts the format.
pub(super) fn dump(image: &dyn ReadAt, out: &mut dyn Write) -> Result<(), Damage> {
    let scan = scan(image)?;
    let mut notes = boot_notes(&scan.boot);
    notes.extend(fat_notes(&scan.table, &scan.boot));
    notes.extend(cluster_notes(&scan));
    notes.extend(directory_notes(&scan));
    let shape = scan.boot.shape;
    let places = [
        (shape.fat_start(0), "reserved"),
        (shape.root_start(), "fat, behind the last entry"),
        (shape.data_start(), "root directory, unused"),
        (shape.cluster_start(shape.clusters_end()), "cluster"),
        (shape.len(), "behind the last cluster"),
        (u64::MAX, "behind the file system"),
    ];
    tile(notes, image.len(), &places, out)
        .and_then(|()| scan.findings.0.iter().try_for_each(|damage| writeln!(out, "damage: {damage}")))
        .map_err(|error| {
            Damage::new(
                DamageKind::Io,
                Spot::new("vfat", "dump"),
                0,
                "a place for the text",
                error.to_string(),
            )
        })
}

/// Writes the notes in order, and between them what `places` (ends and names) say. Where notes overlap, the first wins.
fn tile(mut notes: Vec<Note>, len: u64, places: &[(u64, &str)], out: &mut dyn Write) -> std::fmt::Result {
    notes.sort_by_key(|Note(range, _)| (range.start, range.end));
    notes.push(Note(len..len, String::new()));
    let mut at = 0;
    for Note(range, text) in notes {
        for (end, name) in places {
            let end = (*end).min(range.start).min(len);
            if end > at {
                writeln!(out, "{at:>12} {:>12}  {name}", end - at)?;
                at = end;
            }
        }
        let end = range.end.min(len);
        if end > at {
            writeln!(out, "{at:>12} {:>12}  {text}", end - at)?;
            at = end;
        }
    }
    Ok(())
}

/// The fields of the boot sector one by one, its backup, FSInfo.
fn boot_notes(boot: &Boot) -> Vec<Note> {
    let sector = &boot.sector;
    let mut fields: Vec<(u64, String)> = vec![
        (3, format!("jump {:02x?}", sector.jump)),
        (8, format!("oem name {}", sector.oem.escape_ascii())),
        (2, format!("bytes per sector {}", sector.bytes_per_sector)),
        (1, format!("sectors per cluster {}", sector.sectors_per_cluster)),
        (2, format!("reserved sectors {}", sector.reserved)),
        (1, format!("fats {}", sector.fats)),
        (2, format!("root entries {}", sector.root_entries)),
        (2, format!("sectors, 16 bits {}", sector.sectors_16)),
        (1, format!("media {:#04x}", sector.media)),
        (2, format!("sectors per fat, 16 bits {}", sector.fat_sectors_16)),
        (2, format!("sectors per track {}", sector.sectors_per_track)),
        (2, format!("heads {}", sector.heads)),
        (4, format!("hidden sectors {}", sector.hidden)),
        (4, format!("sectors, 32 bits {}", sector.sectors_32)),
    ];
    if let Some(fat_32) = &boot.fat_32 {
        fields.extend([
            (4, format!("sectors per fat, 32 bits {}", fat_32.fat_sectors)),
            (2, format!("flags {:#06x}", fat_32.flags.get())),
            (2, format!("version {}", fat_32.version)),
            (4, format!("root directory in cluster {}", fat_32.root_cluster)),
            (2, format!("fsinfo in sector {}", fat_32.info_sector)),
            (2, format!("backup in sector {}", fat_32.backup_sector)),
            (12, "reserved".to_owned()),
        ]);
    }
    if let Some(extended) = &boot.extended {
        fields.extend([
            (1, format!("drive {:#04x}", extended.drive)),
            (1, format!("state {:#04x}", extended.state)),
            (1, format!("extended signature {:#04x}", extended.signature)),
            (4, format!("volume id {:08X}", extended.volume_id.get())),
            (11, format!("label {}", extended.label.escape_ascii())),
            (8, format!("type {}", extended.kind.escape_ascii())),
        ]);
    }
    let mut notes = Vec::new();
    let mut at = 0;
    for (len, text) in fields {
        notes.push(Note(at..at + len, format!("boot sector: {text}")));
        at += len;
    }
    notes.push(Note(at..BOOT_LEN - 2, "boot sector: code".to_owned()));
    notes.push(Note(BOOT_LEN - 2..BOOT_LEN, "boot sector: signature".to_owned()));
    notes.extend(reserved_notes(boot));
    notes
}

/// FSInfo and the backups of FAT32.
fn reserved_notes(boot: &Boot) -> Vec<Note> {
    let size = u64::from(boot.shape.sector_size);
    let whole = |start: u64, text: &str| Note(start..start + BOOT_LEN, text.to_owned());
    let info = boot.info_start().map(|start| whole(start, "fsinfo"));
    let backups = boot
        .backup_start()
        .into_iter()
        .flat_map(|start| [whole(start, "boot sector backup"), whole(start + size, "fsinfo backup")]);
    info.into_iter().chain(backups).filter(|Note(range, _)| range.end <= boot.shape.fat_start(0)).collect()
}

/// The entries of the FAT that counts run by run, the others as a whole.
fn fat_notes(table: &Table, boot: &Boot) -> Vec<Note> {
    let shape = &table.shape;
    let (active, _) = boot.active_fat();
    let span = |clusters: Range<u32>| table.entry_start(clusters.start)..table.entry_start(clusters.end);
    let bad = shape.fat.bad();
    let mut notes = vec![
        Note(span(0..1), format!("fat {active}: entry 0, media {:#x}", table.head[0])),
        Note(span(1..2), format!("fat {active}: entry 1, state {:#x}", table.head[1])),
    ];
    let mut at = FIRST_CLUSTER;
    let free = |clusters: Range<u32>| {
        let text = format!("fat {active}: entries {} to {}, free", clusters.start, clusters.end - 1);
        Note(span(clusters), text)
    };
    for run in &table.runs {
        let Range { start, end } = run.clusters.clone();
        let last = match run.last {
            last if last > bad => "the end of a chain".to_owned(),
            last if last == bad => "bad".to_owned(),
            last => format!("to cluster {last}"),
        };
        if start > at {
            notes.push(free(at..start));
        }
        let text = format!("fat {active}: entries {start} to {}, a chain, then {last}", end - 1);
        notes.push(Note(span(start..end), text));
        at = end;
    }
    if at < shape.clusters_end() {
        notes.push(free(at..shape.clusters_end()));
    }
    let copies = (0..shape.fats).filter(|&copy| copy != active);
    notes.extend(copies.map(|copy| {
        let start = shape.fat_start(copy);
        Note(start..start + shape.fat_len(), format!("fat {copy}"))
    }));
    notes
}

/// Clusters of files, free, bad and lost ones. Those of directories are told entry by entry elsewhere.
fn cluster_notes(scan: &Scan) -> Vec<Note> {
    let shape = &scan.boot.shape;
    let place =
        |clusters: &Range<u32>| shape.cluster_start(clusters.start)..shape.cluster_start(clusters.end);
    let text = |clusters: &Range<u32>| match clusters.len() {
        1 => format!("cluster {}", clusters.start),
        _ => format!("clusters {} to {}", clusters.start, clusters.end - 1),
    };
    let note =
        |clusters: &Range<u32>, what: &str| Note(place(clusters), format!("{}: {what}", text(clusters)));
    let directories: std::collections::BTreeSet<u32> =
        scan.directories.iter().map(|(owner, ..)| *owner).collect();
    let mut notes: Vec<Note> = Vec::new();
    for (clusters, owner) in scan.claims.iter().filter(|(_, owner)| !directories.contains(owner)) {
        notes.push(note(&clusters, &scan.owners.path(owner)));
    }
    notes.extend(scan.table.lost(&scan.claims).map(|clusters| note(&clusters, "lost")));
    let bad = shape.fat.bad();
    let is_bad = |run: &&super::chain::Run| run.last == bad;
    notes.extend(
        scan.table
            .runs
            .iter()
            .filter(is_bad)
            .map(|run| note(&(run.clusters.end - 1..run.clusters.end), "bad")),
    );
    let mut at = FIRST_CLUSTER;
    let end = shape.clusters_end();
    let runs = scan.table.runs.iter().map(|run| run.clusters.clone());
    for run in runs.chain(std::iter::once(end..end)) {
        if run.start > at {
            notes.push(note(&(at..run.start), "free"));
        }
        at = run.end;
    }
    notes
}

/// Every slot of every directory, and the rest behind the end mark.
fn directory_notes(scan: &Scan) -> Vec<Note> {
    let mut notes = Vec::new();
    for (owner, places, slots) in &scan.directories {
        let path = scan.owners.path(*owner);
        notes.extend(slots.iter().map(|slot| {
            Note(
                slot.at..slot.at + ENTRY_LEN,
                format!("directory {path}: {}", slot_text(slot, scan.boot.shape.fat)),
            )
        }));
        let mut used = slots.len() as u64 * ENTRY_LEN;
        for place in places {
            let len = (place.end - place.start).min(used);
            used -= len;
            if place.start + len < place.end {
                notes.push(Note(place.start + len..place.end, format!("directory {path}: unused")));
            }
        }
    }
    notes
}

fn slot_text(slot: &Slot, fat: FatType) -> String {
    if slot.is_deleted() {
        return "deleted".to_owned();
    }
    if slot.is_long() {
        let long = slot.long();
        let units: Vec<u16> = long.units().take_while(|&unit| unit != 0).collect();
        let text = String::from_utf16_lossy(&units);
        let order = long.order & !LongEntry::LAST;
        return format!(
            "part {order} of a long name, checksum {:#04x}: {}",
            long.checksum,
            escaped(text.as_bytes())
        );
    }
    let entry = slot.entry();
    if entry.attributes & Entry::VOLUME_ID != 0 {
        return format!("label {}", entry.name.escape_ascii());
    }
    let cluster = if fat == FatType::Fat32 { entry.cluster() } else { entry.cluster() & 0xffff };
    let kind = if entry.attributes & Entry::DIRECTORY != 0 { "directory" } else { "file" };
    let name = escaped(short_text(&entry).as_bytes());
    let attributes = entry.attributes.as_bytes()[0];
    format!("{kind} {name}, {} bytes, cluster {cluster}, attributes {attributes:#04x}", entry.size)
}
