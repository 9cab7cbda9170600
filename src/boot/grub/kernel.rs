//! The kernel of GRUB for UEFI, laid out at addresses from 4096 on: sections, relocations applied, and those that
//! firmware must apply again wherever it loads the image.
//!
//! The places are those of `grub-mkimage` (`util/grub-mkimagexx.c`), so that images compare byte for byte: code, then
//! data, then what is zero at the start, each at the next multiple of a page.

use super::elf::{self, Elf, Home, Section, Symbol};
use super::relocate::{self, Place};
use super::{Target, refused};
use diskwright_formats::fault::{Refusal, RefusalKind};

/// Bytes of a page: alignment of sections in the file and in memory, and size of the headers in front.
pub(super) const PAGE: u64 = 4096;
/// Largest kernel that is laid out; GRUB's have 200 KiB.
const MOST_KERNEL: u64 = 16 << 20;
/// Most entries that one block of base relocations may have, as grub-mkimage counts them.
const MOST_ENTRIES: usize = 4096;

/// A kernel without its ELF headers.
pub(super) struct Kernel {
    /// Begins at address 4096; a multiple of a page.
    pub(super) bytes: Vec<u8>,
    /// How much of it is code; a multiple of a page.
    pub(super) code: u64,
    /// Address at which it starts.
    pub(super) entry: u64,
    /// The section `.reloc` (PE format, section 5.6), padded to a page.
    pub(super) fixups: Vec<u8>,
}

/// Lays out `kernel.img` of a platform with UEFI.
pub(super) fn load(target: Target, bytes: &[u8]) -> Result<Kernel, Refusal> {
    let elf = Elf::parse("kernel.img", bytes, target.machine())?;
    let mut layout = layout(&elf)?;
    let relocations = elf.relocations(|section| section.is_data() || section.is_code())?;
    let slots = relocate::slots(target, &relocations);
    if target == Target::Arm64Efi {
        layout.len = layout.len.next_multiple_of(16);
    }
    let table = layout.len;
    layout.len = (layout.len + 8 * (slots as u64).next_multiple_of(2)).next_multiple_of(PAGE);
    let mut image = vec![0; layout.len as usize];
    for (section, address) in elf.sections.iter().zip(&layout.addresses) {
        if let Some(address) = *address {
            let data = elf.data(section)?;
            image[address as usize..address as usize + data.len()].copy_from_slice(data);
        }
    }
    let symbols = addresses(&elf, &elf.symbols()?, &layout)?;
    let mut place = Place { image: &mut image, symbols: &symbols.all, base: PAGE, table, fixups: Vec::new() };
    for relocations in &relocations {
        let section = &elf.sections[relocations.target];
        let address = layout.addresses[relocations.target].ok_or_else(|| elf.damaged("a relocation"))?;
        relocate::apply(target, &mut place, address, section.size, &relocations.list)?;
    }
    let mut fixups = std::mem::take(&mut place.fixups);
    fixups.extend((0..slots as u64).map(|slot| PAGE + table + 8 * slot));
    let kind = if target.word() == 8 { DIR64 } else { HIGHLOW };
    Ok(Kernel { fixups: fixup_blocks(&fixups, kind)?, bytes: image, code: layout.code, entry: symbols.start })
}

struct Layout {
    /// Of each section that is loaded, from the start of the image; vacant where it is not.
    addresses: Vec<Option<u64>>,
    code: u64,
    zeros: u64,
    end: u64,
    len: u64,
}

fn layout(elf: &Elf) -> Result<Layout, Refusal> {
    let mut addresses = vec![None; elf.sections.len()];
    let mut place = |at: &mut u64, which: fn(&Section) -> bool| {
        for (section, address) in
            elf.sections.iter().zip(&mut addresses).filter(|(section, _)| which(section))
        {
            // The image begins at a page: alignment in the image is alignment in memory.
            let start = at.next_multiple_of(section.align);
            *address = Some(start);
            *at = start.saturating_add(section.size);
            if *at > MOST_KERNEL {
                let reason = format!("a kernel of more than {MOST_KERNEL} bytes");
                return Err(refused(RefusalKind::Limit, "kernel.img", reason));
            }
        }
        Ok(())
    };
    let mut at = 0;
    place(&mut at, Section::is_code)?;
    at = at.next_multiple_of(PAGE);
    let code = at;
    place(&mut at, |section| section.is_data() && section.kind != elf::NOBITS)?;
    let zeros = at;
    place(&mut at, |section| section.is_data() && section.kind == elf::NOBITS)?;
    let end = at.next_multiple_of(PAGE);
    Ok(Layout { addresses, code, zeros, end, len: end })
}

struct Addresses {
    all: Vec<u64>,
    start: u64,
}

/// Where symbols are in memory. Those at the end of the kernel, which no section holds, are told by their name.
fn addresses(elf: &Elf, symbols: &[Symbol], layout: &Layout) -> Result<Addresses, Refusal> {
    let mut start = None;
    let mut all = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        let address = match (symbol.home, symbol.name) {
            (Home::Absolute, _) | (Home::Undefined, b"") => symbol.value,
            (Home::Undefined, b"__bss_start") => layout.zeros,
            (Home::Undefined, b"_end") => layout.end,
            (Home::Undefined, _) => return Err(elf.damaged("a symbol: it is not defined")),
            (Home::Section(index), name) => {
                let address = layout.addresses[index].unwrap_or(0);
                let address = symbol.value.wrapping_add(address).wrapping_add(PAGE);
                if matches!(name, b"_start" | b"start") && start.is_none() {
                    start = Some(address);
                }
                address
            }
        };
        all.push(address);
    }
    let start = start.ok_or_else(|| elf.damaged("its symbols: none says where it starts"))?;
    Ok(Addresses { all, start })
}

/// Kinds of base relocations.
const HIGHLOW: u16 = 3;
const DIR64: u16 = 10;

/// Blocks of base relocations, one for each run of addresses in the same page, in the order of the relocations.
fn fixup_blocks(addresses: &[u64], kind: u16) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut blocks = addresses.chunk_by(|a, b| a / PAGE == b / PAGE).peekable();
    while let Some(block) = blocks.next() {
        if block.len() > MOST_ENTRIES {
            let reason = "more relocations in a page than a block holds";
            return Err(refused(RefusalKind::Limit, "kernel.img", reason));
        }
        let mut len = 8 + 2 * block.len();
        len = match blocks.peek() {
            Some(_) => len.next_multiple_of(8),
            // The last one fills the section.
            None => (bytes.len() + len).next_multiple_of(PAGE as usize) - bytes.len(),
        };
        let start = bytes.len();
        bytes.extend_from_slice(&((block[0] / PAGE * PAGE) as u32).to_le_bytes());
        bytes.extend_from_slice(&(len as u32).to_le_bytes());
        for address in block {
            bytes.extend_from_slice(&(kind << 12 | (address % PAGE) as u16).to_le_bytes());
        }
        bytes.resize(start + len, 0);
    }
    Ok(bytes)
}
