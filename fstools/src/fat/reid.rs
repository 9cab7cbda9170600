//! A new volume id: in the boot sector, and in the backup that FAT32 has of it.

use super::boot::{Findings, boot};
use super::disk::{EXTENDED_SIGNATURE, Extended, Fat32};
use diskwright_formats::fault::{Refusal, RefusalKind, ReidError, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Patch, ReadAt, What};
use std::mem::{offset_of, size_of};

/// Length of what comes before [`Fat32`] or [`Extended`] in a boot sector.
const HEAD: u64 = 36;

/// The patches that give the image the volume id of `identity`. Refused: a boot sector without one.
pub(super) fn reid(image: &dyn ReadAt, identity: &Identity) -> Result<Vec<Patch>, ReidError> {
    let mut findings = Findings::default();
    let boot = boot(image, &mut findings)?;
    if let Some(damage) = findings.0.into_iter().next() {
        return Err(damage.into());
    }
    let Some(extended) = &boot.extended else {
        let reason = format!("no volume id: the boot sector lacks the signature {EXTENDED_SIGNATURE:#x}");
        let refusal = Refusal::new(RefusalKind::Missing, Spot::new("vfat", "boot sector"), reason);
        return Err(refusal.hint("mkfs.fat of today writes one: make the file system again").into());
    };
    let within = HEAD + if boot.fat_32.is_some() { size_of::<Fat32>() as u64 } else { 0 };
    let at = within + offset_of!(Extended, volume_id) as u64;
    let (old, new) = (extended.volume_id.get(), identity.number("volume-id"));
    let change = |sector: u64, what| {
        Patch::between(sector + at, &old.to_le_bytes(), &new.to_le_bytes(), What::new(what))
    };
    let mut patches = change(0, &"boot sector");
    if let Some(backup) = boot.backup_start() {
        // It agrees with the boot sector, or that would have been found.
        patches.extend(change(backup, &"boot sector backup"));
    }
    Ok(patches)
}
