//! RISC-V ELF psABI, chapter on relocations; instructions after the unprivileged specification, chapters 2 and 27.

use super::{Place, Spot, damaged, fits, too_far, unknown};
use crate::boot::grub::elf::Relocation;
use diskwright_formats::fault::Refusal;
use std::collections::BTreeMap;

const WORD: u32 = 1;
const LONG: u32 = 2;
const BRANCH: u32 = 16;
const JAL: u32 = 17;
const CALL: u32 = 18;
const CALL_PLT: u32 = 19;
const PCREL_HI20: u32 = 23;
const PCREL_LO12_I: u32 = 24;
const PCREL_LO12_S: u32 = 25;
const ADD8: u32 = 33;
const ADD16: u32 = 34;
const ADD32: u32 = 35;
const ADD64: u32 = 36;
const SUB8: u32 = 37;
const SUB16: u32 = 38;
const SUB32: u32 = 39;
const SUB64: u32 = 40;
const RVC_BRANCH: u32 = 44;
const RVC_JUMP: u32 = 45;
const RELAX: u32 = 51;

/// Bytes that a type changes.
fn len(kind: u32) -> u64 {
    match kind {
        RELAX => 0,
        ADD8 | SUB8 => 1,
        ADD16 | SUB16 | RVC_BRANCH | RVC_JUMP => 2,
        LONG | ADD64 | SUB64 | CALL | CALL_PLT => 8,
        _ => 4,
    }
}

pub(super) fn apply(place: &mut Place, start: u64, size: u64, list: &[Relocation]) -> Result<(), Refusal> {
    // Distances of upper halves by the address of their instruction: lower halves name it.
    let mut upper: BTreeMap<u64, u64> = BTreeMap::new();
    for relocation in list {
        let bytes = len(relocation.kind);
        let spot = place.spot(relocation, start, size, bytes)?;
        let (at, bytes) = (spot.at, bytes as usize);
        match relocation.kind {
            RELAX => {}
            LONG => {
                place.add(at, 8, spot.value);
                place.fixups.push(spot.address);
            }
            // An address of 32 bits could not be moved.
            WORD => return Err(unknown("RISC-V", WORD)),
            ADD8 | ADD16 | ADD32 | ADD64 => place.add(at, bytes, spot.value),
            SUB8 | SUB16 | SUB32 | SUB64 => place.add(at, bytes, spot.value.wrapping_neg()),
            PCREL_HI20 => {
                upper.insert(spot.address, spot.distance());
                place.bits(at, !0xFFF, high(relocation, spot.distance())?);
            }
            PCREL_LO12_I | PCREL_LO12_S => {
                let distance = *upper.get(&spot.value).ok_or_else(|| damaged(relocation))?;
                low(place, at, distance, relocation.kind == PCREL_LO12_S);
            }
            CALL | CALL_PLT => {
                place.bits(at, !0xFFF, high(relocation, spot.distance())?);
                low(place, at + 4, spot.distance(), false);
            }
            BRANCH | JAL | RVC_BRANCH | RVC_JUMP => jump(place, relocation, spot)?,
            kind => return Err(unknown("RISC-V", kind)),
        }
    }
    Ok(())
}

/// The upper 20 bits of a distance, rounded so that the lower 12 are added with their sign.
fn high(relocation: &Relocation, distance: u64) -> Result<u32, Refusal> {
    match fits(distance, 32) {
        true => Ok((distance as u32).wrapping_add(0x800) & !0xFFF),
        false => Err(too_far(relocation)),
    }
}

/// The lower 12 bits, into an instruction that loads (I) or stores (S).
fn low(place: &mut Place, at: usize, distance: u64, store: bool) {
    let low = distance as u32 & 0xFFF;
    match store {
        false => place.bits(at, 0xFFF << 20, low << 20),
        true => place.bits(at, 0x7F << 25 | 0x1F << 7, (low >> 5) << 25 | (low & 0x1F) << 7),
    }
}

/// Where bits of a distance go in an instruction: first bit of the distance, how many, first bit of the instruction.
type Bits = &'static [(u32, u32, u32)];
const OF_BRANCH: Bits = &[(1, 4, 8), (5, 6, 25), (11, 1, 7), (12, 1, 31)];
const OF_JAL: Bits = &[(1, 10, 21), (11, 1, 20), (12, 8, 12), (20, 1, 31)];
const OF_RVC_BRANCH: Bits = &[(1, 2, 3), (3, 2, 10), (5, 1, 2), (6, 2, 5), (8, 1, 12)];
const OF_RVC_JUMP: Bits =
    &[(1, 3, 3), (4, 1, 11), (5, 1, 2), (6, 1, 7), (7, 1, 6), (8, 2, 9), (10, 1, 8), (11, 1, 12)];

fn jump(place: &mut Place, relocation: &Relocation, spot: Spot) -> Result<(), Refusal> {
    let (bits, reach) = match relocation.kind {
        BRANCH => (OF_BRANCH, 13),
        JAL => (OF_JAL, 21),
        RVC_BRANCH => (OF_RVC_BRANCH, 9),
        _ => (OF_RVC_JUMP, 12),
    };
    let distance = spot.distance();
    if !fits(distance, reach) || !distance.is_multiple_of(2) {
        return Err(too_far(relocation));
    }
    let (mut mask, mut value) = (0u64, 0u64);
    for &(from, count, to) in bits {
        let ones = (1 << count) - 1;
        mask |= ones << to;
        value |= (distance >> from & ones) << to;
    }
    let len = len(relocation.kind) as usize;
    place.set(spot.at, len, place.get(spot.at, len) & !mask | value);
    Ok(())
}
