//! ELF for the Arm 64-bit Architecture (AAELF64), section 5.7.

use super::{Place, fits, too_far, unknown};
use crate::boot::grub::elf::{Relocation, Relocations};
use diskwright_formats::fault::Refusal;
use std::collections::BTreeMap;

const ABS64: u32 = 257;
const PREL32: u32 = 261;
const ADR_PREL_PG_HI21: u32 = 275;
const ADD_ABS_LO12_NC: u32 = 277;
const JUMP26: u32 = 282;
const CALL26: u32 = 283;
const LDST64_ABS_LO12_NC: u32 = 286;
const ADR_GOT_PAGE: u32 = 311;
const LD64_GOT_LO12_NC: u32 = 312;

/// A slot for every way to an address through the table, as grub-mkimage counts them.
pub(super) fn slots(relocations: &[Relocations]) -> usize {
    let all = relocations.iter().flat_map(|table| &table.list);
    all.filter(|relocation| relocation.kind == ADR_GOT_PAGE).count()
}

pub(super) fn apply(place: &mut Place, start: u64, size: u64, list: &[Relocation]) -> Result<(), Refusal> {
    // The slot that was filled last for a symbol and addend: the load behind the page's address takes it.
    let mut filled: BTreeMap<(usize, u64), u64> = BTreeMap::new();
    for relocation in list {
        let len = if relocation.kind == ABS64 { 8 } else { 4 };
        let spot = place.spot(relocation, start, size, len)?;
        match relocation.kind {
            ABS64 => {
                place.add(spot.at, 8, spot.value);
                place.fixups.push(spot.address);
            }
            PREL32 => place.add(spot.at, 4, spot.distance()),
            JUMP26 | CALL26 => {
                if !fits(spot.distance(), 28) || !spot.distance().is_multiple_of(4) {
                    return Err(too_far(relocation));
                }
                place.bits(spot.at, 0x03FF_FFFF, (spot.distance() >> 2) as u32);
            }
            ADR_PREL_PG_HI21 => page(place, relocation, spot.at, spot.value, spot.address)?,
            ADD_ABS_LO12_NC => place.bits(spot.at, 0xFFF << 10, (spot.value as u32 & 0xFFF) << 10),
            LDST64_ABS_LO12_NC => low_of_8(place, spot.at, spot.value),
            ADR_GOT_PAGE => {
                let slot = place.table;
                place.table += 8;
                place.set(slot as usize, 8, spot.value);
                let address = slot + place.base;
                filled.insert((relocation.symbol, relocation.addend), address);
                page(place, relocation, spot.at, address, spot.address)?;
            }
            LD64_GOT_LO12_NC => {
                let slot = filled.get(&(relocation.symbol, relocation.addend));
                low_of_8(place, spot.at, *slot.ok_or_else(|| super::damaged(relocation))?);
            }
            kind => return Err(unknown("AArch64", kind)),
        }
    }
    Ok(())
}

/// The pages between a place and an address, into an ADRP.
fn page(
    place: &mut Place,
    relocation: &Relocation,
    at: usize,
    value: u64,
    address: u64,
) -> Result<(), Refusal> {
    let distance = (value & !0xFFF).wrapping_sub(address & !0xFFF);
    if !fits(distance, 33) {
        return Err(too_far(relocation));
    }
    let pages = (distance >> 12) as u32;
    place.bits(at, 3 << 29 | 0x7_FFFF << 5, (pages & 3) << 29 | (pages >> 2 & 0x7_FFFF) << 5);
    Ok(())
}

/// The place in its page of 8 bytes, in units of them, into a load or store.
fn low_of_8(place: &mut Place, at: usize, value: u64) {
    place.bits(at, 0x1FF << 10 | 0x7 << 19, (value as u32 & 0xFF8) << 7);
}
