//! A longer disk: the table's second copy at the new end, and what says where it is.

use super::copy::{Copy, Sectors, read, read_bytes, spot};
use super::disk::{Header, protective_size};
use super::open::open;
use crate::fault::{Damage, DamageKind};
use crate::layout::{Contents, Layout, Patch, Reader, What};
use crate::table::mbr::disk::{RECORDS_AT, Records};
use crate::table::mbr::types::GPT_PROTECTIVE;
use std::mem::offset_of;
use zerocopy::{FromBytes, IntoBytes};

/// The disk with `len` bytes: what is new is unused, partitions stay as they are, and the bytes of the old second copy
/// become a gap. `len` is a multiple of the sector size and no less than the disk has. Fails where anything is wrong with
/// either copy.
pub fn grown(disk: &Layout, contents: &dyn Contents, len: u64) -> Result<Layout, Damage> {
    let image = Reader::new(disk, contents);
    if let Some(damage) = open(&image)?.damage.into_iter().next() {
        return Err(damage);
    }
    let sectors = Sectors::of(&image)?;
    let (primary, backup) = sectors.copies();
    let (primary, backup) = (primary?, backup?);
    let size = u64::from(sectors.size);
    let array_sectors = (backup.array.len() as u64).div_ceil(size);
    if len < disk.len() || !len.is_multiple_of(size) {
        let expected = format!("a multiple of {size} of at least {} bytes", disk.len());
        return Err(Damage::new(DamageKind::Value, spot("disk"), 0, expected, len.to_string()));
    }
    let last = len / size - 1;
    let array_at = last - array_sectors;
    let first_header = changed(sectors, &primary, |header| {
        header.alternate_lba = last.into();
        header.last_usable_lba = (array_at - 1).into();
    })?;
    let second_header = changed(sectors, &backup, |header| {
        header.my_lba = last.into();
        header.last_usable_lba = (array_at - 1).into();
        header.partition_entry_lba = array_at.into();
    })?;
    let mut grown = Layout::empty(len);
    let kept = disk.window(0..backup.array_at.min(backup.at));
    grown.splice(0, &kept, "").expect("no longer than before");
    let patch = |start, bytes: Vec<u8>, what| Patch { start, bytes: bytes.into(), what };
    let mut patches = vec![
        patch(primary.at, first_header, What::new(&"gpt header")),
        patch(array_at * size, backup.array.clone(), What::new(&"gpt backup entries")),
        patch(last * size, second_header, What::new(&"gpt backup header")),
    ];
    patches.extend(protection(sectors, last + 1)?);
    // A table may have no entries at all.
    patches.retain(|patch| !patch.bytes.is_empty());
    Ok(grown.patched(&patches).expect("both ends of a disk lie apart"))
}

/// A header with other fields and its new checksum, all of the bytes that it says it has.
pub(super) fn changed(
    sectors: Sectors<'_>,
    copy: &Copy,
    edit: impl FnOnce(&mut Header),
) -> Result<Vec<u8>, Damage> {
    // Later versions may have longer headers: their checksum is over all of it.
    let mut bytes = vec![0; copy.header.header_size.get() as usize];
    read_bytes(sectors.image, copy.at, &mut bytes, copy.name)?;
    let (header, _) = Header::mut_from_prefix(&mut bytes).expect("a header is no shorter");
    edit(header);
    header.header_crc32 = 0.into();
    let crc = crc32fast::hash(&bytes).to_le_bytes();
    bytes[offset_of!(Header, header_crc32)..][..crc.len()].copy_from_slice(&crc);
    Ok(bytes)
}

/// The protective record covers the whole disk; that of a hybrid MBR does not, and stays.
fn protection(sectors: Sectors<'_>, count: u64) -> Result<Vec<Patch>, Damage> {
    let before: Records = read(sectors.image, RECORDS_AT, "protective mbr")?;
    let mut after = before;
    let covers = protective_size(sectors.count());
    let whole = after
        .records
        .iter_mut()
        .filter(|record| record.kind == GPT_PROTECTIVE && record.count.get() == covers);
    whole.for_each(|record| record.count = protective_size(count).into());
    Ok(Patch::between(RECORDS_AT, before.as_bytes(), after.as_bytes(), What::new(&"protective mbr")))
}
