//! Relocations of GRUB's kernels, applied. One file for each family of machines, after its ELF supplement.

mod arm64;
mod riscv;
mod x86;

use super::elf::{Relocation, Relocations, number};
use super::{Target, refused};
use diskwright_formats::fault::{Refusal, RefusalKind};

/// An image in which relocations are applied.
pub(super) struct Place<'a> {
    pub(super) image: &'a mut [u8],
    /// Addresses of symbols in memory.
    pub(super) symbols: &'a [u64],
    /// Address of the image in memory.
    pub(super) base: u64,
    /// Where the table of addresses lies in the image (ARM).
    pub(super) table: u64,
    /// Addresses in memory that hold addresses: firmware moves them with the image.
    pub(super) fixups: Vec<u64>,
}

/// One relocation: `S + A`, `P`, and where its bytes are.
#[derive(Clone, Copy)]
struct Spot {
    /// Symbol plus addend.
    value: u64,
    /// Address in memory that is changed.
    address: u64,
    /// The same in the image.
    at: usize,
}

impl Spot {
    /// How far the value is from the place.
    fn distance(&self) -> u64 {
        self.value.wrapping_sub(self.address)
    }
}

/// How many slots a table of addresses needs.
pub(super) fn slots(target: Target, relocations: &[Relocations]) -> usize {
    match target {
        Target::Arm64Efi => arm64::slots(relocations),
        _ => 0,
    }
}

/// Applies the relocations of a section, which lies in the image at `start` and has `size` bytes.
pub(super) fn apply(
    target: Target,
    place: &mut Place,
    start: u64,
    size: u64,
    list: &[Relocation],
) -> Result<(), Refusal> {
    match target {
        Target::I386Pc | Target::I386Efi => x86::apply(x86::narrow, place, start, size, list),
        Target::X86_64Efi => x86::apply(x86::wide, place, start, size, list),
        Target::Arm64Efi => arm64::apply(place, start, size, list),
        Target::Riscv64Efi => riscv::apply(place, start, size, list),
    }
}

impl Place<'_> {
    /// The bytes that a relocation changes, `len` of them, within its section.
    fn spot(&self, relocation: &Relocation, start: u64, size: u64, len: u64) -> Result<Spot, Refusal> {
        let inside = relocation.offset.checked_add(len).is_some_and(|end| end <= size);
        let at = start.checked_add(relocation.offset).filter(|_| inside);
        let symbol = self.symbols.get(relocation.symbol);
        let (Some(at), Some(symbol)) = (at, symbol) else { return Err(damaged(relocation)) };
        if at.checked_add(len).is_none_or(|end| end > self.image.len() as u64) {
            return Err(damaged(relocation));
        }
        let value = symbol.wrapping_add(relocation.addend);
        Ok(Spot { value, address: at.wrapping_add(self.base), at: at as usize })
    }

    /// The little-endian number of `len` bytes at a place that was tested.
    fn get(&self, at: usize, len: usize) -> u64 {
        number(self.image, at, len).unwrap_or(0)
    }

    fn set(&mut self, at: usize, len: usize, value: u64) {
        if let Some(field) = self.image.get_mut(at..at + len) {
            field.copy_from_slice(&value.to_le_bytes()[..len]);
        }
    }

    /// Adds to the number that is there.
    fn add(&mut self, at: usize, len: usize, value: u64) {
        self.set(at, len, self.get(at, len).wrapping_add(value));
    }

    /// Puts bits of an instruction of 32 bits where `mask` has ones.
    fn bits(&mut self, at: usize, mask: u32, bits: u32) {
        let old = self.get(at, 4) as u32;
        self.set(at, 4, u64::from(old & !mask | bits & mask));
    }
}

fn damaged(relocation: &Relocation) -> Refusal {
    let reason = format!("a relocation that points nowhere, of type {}", relocation.kind);
    refused(RefusalKind::Invalid, "kernel.img", reason)
}

fn unknown(machine: &str, kind: u32) -> Refusal {
    let reason = format!("a relocation that is not known: {machine} type {kind}");
    refused(RefusalKind::Unsupported, "kernel.img", reason)
        .hint("put an EFI image of GRUB's that is made already into the tree")
}

fn too_far(relocation: &Relocation) -> Refusal {
    let reason = format!("a relocation out of reach, of type {}", relocation.kind);
    refused(RefusalKind::Invalid, "kernel.img", reason)
}

/// Whether a distance fits into a signed number of so many bits.
fn fits(distance: u64, bits: u32) -> bool {
    let distance = distance as i64;
    distance >> (bits - 1) == 0 || distance >> (bits - 1) == -1
}
