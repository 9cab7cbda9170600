//! A new disk GUID and new GUIDs for all partitions, in both copies.

use super::copy::{Copy, Sectors, read_bytes};
use super::disk::{Entry, Guid};
use super::grow::changed;
use super::open::open;
use crate::fault::{Damage, ReidError};
use crate::identity::Identity;
use crate::layout::{Patch, ReadAt, What};
use crate::table::mbr::disk::DISK_ID_AT;
use std::mem::{offset_of, size_of};
use zerocopy::IntoBytes;

/// The patches that give a disk new GUIDs: `guid` of the identity to the disk, `guid` of its role `part/NUMBER` to each
/// partition, and, where there is a disk signature, `disk-id`. Types, names, attributes and places stay. Patches of entries
/// have the slot as their number. Fails where anything is wrong with either copy.
pub fn reid(image: &dyn ReadAt, identity: &Identity) -> Result<Vec<Patch>, ReidError> {
    let opened = open(image)?;
    if let Some(damage) = opened.damage.into_iter().next() {
        return Err(damage.into());
    }
    let sectors = Sectors::of(image)?;
    let (primary, backup) = sectors.copies();
    let mut patches = signature(opened.disk_signature, identity);
    patches.extend(renamed(sectors, &primary?, identity)?);
    patches.extend(renamed(sectors, &backup?, identity)?);
    patches.sort_by_key(|patch| patch.start);
    Ok(patches)
}

fn signature(old: u32, identity: &Identity) -> Vec<Patch> {
    let new = if old == 0 { 0 } else { identity.number("disk-id") };
    Patch::between(DISK_ID_AT, &old.to_le_bytes(), &new.to_le_bytes(), What::new(&"disk id"))
}

/// The patches of one copy.
fn renamed(sectors: Sectors<'_>, copy: &Copy, identity: &Identity) -> Result<Vec<Patch>, Damage> {
    let is_primary = copy.name == "primary";
    let (mut array, mut patches) = (copy.array.clone(), Vec::new());
    for (slot, at, entry) in copy.entries() {
        let what = match is_primary {
            true => What::numbered(&"gpt entry", slot),
            false => What::numbered(&"gpt backup entry", slot),
        };
        let guid = Guid::from(identity.role("part").role(&slot.to_string()).uuid("guid"));
        let at = at + offset_of!(Entry, unique_guid) as u64;
        patches.extend(Patch::between(at, entry.unique_guid.as_bytes(), guid.as_bytes(), what));
        array[(at - copy.array_at) as usize..][..size_of::<Guid>()].copy_from_slice(guid.as_bytes());
    }
    let header = changed(sectors, copy, |header| {
        header.disk_guid = Guid::from(identity.uuid("guid"));
        header.partition_entry_array_crc32 = crc32fast::hash(&array).into();
    })?;
    let mut before = vec![0; header.len()];
    read_bytes(sectors.image, copy.at, &mut before, copy.name)?;
    let what = if is_primary { What::new(&"gpt header") } else { What::new(&"gpt backup header") };
    patches.extend(Patch::between(copy.at, &before, &header, what));
    Ok(patches)
}
