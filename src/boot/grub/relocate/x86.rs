//! Intel386 and AMD64 supplements of the System V ABI, chapters on relocation.

use super::{Place, damaged, unknown};
use crate::boot::grub::elf::Relocation;
use diskwright_formats::fault::Refusal;

/// What a type does: how many bytes it changes, and with what.
pub(super) enum Change {
    Nothing,
    /// `S + A`; firmware moves it.
    Address(u64),
    /// `S + A - P`.
    Distance(u64),
}

/// Types of 32-bit x86.
pub(super) fn narrow(kind: u32) -> Option<Change> {
    match kind {
        0 => Some(Change::Nothing),
        1 => Some(Change::Address(4)),
        2 | 4 => Some(Change::Distance(4)), // PC32, PLT32
        _ => None,
    }
}

/// Types of 64-bit x86. Addresses of 32 bits (types 10, 11) cannot be moved and are not known.
pub(super) fn wide(kind: u32) -> Option<Change> {
    match kind {
        0 => Some(Change::Nothing),
        1 => Some(Change::Address(8)),
        2 | 4 => Some(Change::Distance(4)), // PC32, PLT32
        24 => Some(Change::Distance(8)),
        _ => None,
    }
}

pub(super) fn apply(
    change: fn(u32) -> Option<Change>,
    place: &mut Place,
    start: u64,
    size: u64,
    list: &[Relocation],
) -> Result<(), Refusal> {
    for relocation in list {
        match change(relocation.kind).ok_or_else(|| unknown("x86", relocation.kind))? {
            Change::Nothing => {}
            Change::Address(len) => {
                let spot = place.spot(relocation, start, size, len)?;
                place.add(spot.at, len as usize, spot.value);
                if spot.address > u64::from(u32::MAX) {
                    return Err(damaged(relocation));
                }
                place.fixups.push(spot.address);
            }
            Change::Distance(len) => {
                let spot = place.spot(relocation, start, size, len)?;
                place.add(spot.at, len as usize, spot.distance());
            }
        }
    }
    Ok(())
}
