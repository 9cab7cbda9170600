//! What every byte of a partitioned disk is.

use super::copy::{Copy, Sectors, name_of, partition};
use super::disk::Header;
use super::{protect, title, types};
use crate::dump::Tiles;
use crate::fault::Damage;
use crate::layout::ReadAt;
use std::fmt;
use std::mem::offset_of;
use uuid::Uuid;

/// A line for every run of bytes: fields of the MBR and of both headers, entries, partitions, and what is left.
pub fn dump(image: &dyn ReadAt, out: &mut dyn fmt::Write) -> Result<(), Damage> {
    let sectors = Sectors::of(image)?;
    let mut tiles = Tiles::default();
    protect::dump(image, &mut tiles)?;
    let (primary, backup) = sectors.copies();
    let copies = [(&primary, 1), (&backup, sectors.last())];
    for (copy, lba) in copies {
        match copy {
            Ok(copy) => table(sectors, copy, &mut tiles),
            Err(damage) => {
                let at = lba * u64::from(sectors.size);
                tiles.add(at, sectors.size.into(), format!("damaged: {damage}"));
            }
        }
    }
    for copy in primary.iter().chain(&backup).take(1) {
        for (slot, _, entry) in copy.entries() {
            if let Some(partition) = partition(sectors, slot, &entry) {
                let text = format!("content of {}", title(slot, &partition.name));
                tiles.add(partition.start, partition.len, text);
            }
        }
    }
    tiles.write(image, out)
}

fn table(sectors: Sectors<'_>, copy: &Copy, tiles: &mut Tiles) {
    let Copy { name, at, header, array_at, .. } = copy;
    let mut field = |offset: usize, len: u64, text: String| {
        tiles.add(at + offset as u64, len, format!("{name} header: {text}"));
    };
    field(offset_of!(Header, signature), 8, "signature EFI PART".to_owned());
    field(offset_of!(Header, revision), 4, format!("revision {:#010x}", header.revision));
    field(offset_of!(Header, header_size), 4, format!("header size {}", header.header_size));
    field(offset_of!(Header, header_crc32), 4, format!("header crc32 {:08x}", header.header_crc32));
    field(offset_of!(Header, reserved), 4, format!("reserved {}", header.reserved));
    field(offset_of!(Header, my_lba), 8, format!("my lba {}", header.my_lba));
    field(offset_of!(Header, alternate_lba), 8, format!("alternate lba {}", header.alternate_lba));
    field(offset_of!(Header, first_usable_lba), 8, format!("first usable lba {}", header.first_usable_lba));
    field(offset_of!(Header, last_usable_lba), 8, format!("last usable lba {}", header.last_usable_lba));
    field(offset_of!(Header, disk_guid), 16, format!("disk guid {}", Uuid::from(header.disk_guid)));
    field(
        offset_of!(Header, partition_entry_lba),
        8,
        format!("entries at lba {}", header.partition_entry_lba),
    );
    let (count, size) = (header.number_of_partition_entries, header.size_of_partition_entry);
    field(offset_of!(Header, number_of_partition_entries), 4, format!("entry count {count}"));
    field(offset_of!(Header, size_of_partition_entry), 4, format!("entry size {size}"));
    let crc = header.partition_entry_array_crc32;
    field(offset_of!(Header, partition_entry_array_crc32), 4, format!("entries crc32 {crc:08x}"));
    tiles.around(*at, sectors.size.into(), format!("{name} header: rest of the sector"));
    for (slot, at, entry) in copy.entries() {
        let type_guid = Uuid::from(entry.type_guid);
        let text = format!(
            "{name} entries: {}: type {} {type_guid}, guid {}, lba {} to {}, attributes {:#x}",
            title(slot, &name_of(&entry)),
            types::name(&type_guid).unwrap_or("unknown"),
            Uuid::from(entry.unique_guid),
            entry.starting_lba,
            entry.ending_lba,
            entry.attributes
        );
        tiles.add(at, size.get().into(), text);
    }
    tiles.around(*array_at, copy.array.len() as u64, format!("{name} entries: not in use"));
}
