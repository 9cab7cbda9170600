//! `core.img` for BIOS: what boot.img loads.
//!
//! ```text
//! 0      diskboot.img          512 bytes; loads the rest: a list of blocks that grows downwards from byte 0x1F4
//! 512    lzma_decompress.img   at byte 8 the size of what follows, at 12 the size that it unpacks to,
//!                              at 16 the bytes of Reed-Solomon redundancy (0: none)
//! then   LZMA, raw             kernel.img without its ELF headers, and the module section
//! ```
//!
//! As `grub-mkimage -O i386-pc` makes it (`util/mkimage.c`, `include/grub/offsets.h`). The LZMA stream has neither header
//! nor end marker; the decompressor is built for lc=3, lp=0, pb=2 and unpacks into memory, whatever the dictionary.

use super::elf::{self, Elf};
use super::section::{Embedded, module_section};
use super::{Platform, Target, refused};
use diskwright_formats::fault::{Refusal, RefusalKind};
use lzma_rust2::{LzmaOptions, LzmaWriter};
use std::io::Write;

/// Bytes in a sector of a disk that BIOS starts from.
pub const SECTOR: usize = 512;
/// Where the kernel is linked to, and core.img's part behind its first sector is loaded to at first.
const LINK: u64 = 0x9000;
/// Ends of the memory for the compressed image, and for the kernel.
const COMPRESSED_END: u64 = 0x78000;
const KERNEL_END: u64 = 0x68000;
/// Where diskboot.img loads the decompressor.
const DECOMPRESSOR: u64 = 0x8200;
/// Most of an unpacked image, in bytes: it lies in memory between 1 and 16 MiB.
const MOST_UNPACKED: usize = 15 << 20;
/// The dictionary that grub-mkimage takes.
const DICTIONARY: u32 = 1 << 16;

/// The last entry of diskboot.img's list: u64 first sector, u16 sectors, u16 segment.
pub(super) const FIRST_BLOCK: usize = 0x1F4;
const SEGMENT: u64 = 0x820;
/// Fields of the decompressor.
const PACKED_SIZE: usize = 8;
const UNPACKED_SIZE: usize = 12;
const REDUNDANCY: usize = 16;
const NO_REDUNDANCY_FOR: usize = 20;

/// A core image, and where it lies is not decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreImage {
    bytes: Vec<u8>,
}

impl CoreImage {
    /// The file `core.img` as `grub-mkimage` writes it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sectors of 512 bytes that it fills.
    pub fn sectors(&self) -> u64 {
        self.bytes.len().div_ceil(SECTOR) as u64
    }
}

/// Makes `core.img`. Refused: a platform that is not `i386-pc`, files of another GRUB, what does not fit into memory.
pub fn core_img(platform: &Platform, embedded: &Embedded) -> Result<CoreImage, Refusal> {
    if platform.target() != Target::I386Pc {
        return Err(refused(RefusalKind::Invalid, platform.target().name(), "core.img is for i386-pc"));
    }
    let mut diskboot = platform.image("diskboot.img").to_vec();
    check_diskboot(&diskboot)?;
    let mut decompressor = platform.image("lzma_decompress.img").to_vec();
    check_decompressor(&decompressor)?;
    let mut unpacked = load(platform.image("kernel.img"))?;
    unpacked.extend(module_section(platform, embedded)?);
    if unpacked.len() > MOST_UNPACKED {
        let reason = format!("{} bytes unpacked, of at most {MOST_UNPACKED}", unpacked.len());
        return Err(too_large(reason));
    }
    let packed = compress(&unpacked)?;
    let rest = decompressor.len() + packed.len();
    if LINK + rest as u64 > COMPRESSED_END {
        return Err(too_large(format!("{rest} bytes, of at most {}", COMPRESSED_END - LINK)));
    }
    for (field, value) in [(PACKED_SIZE, packed.len()), (UNPACKED_SIZE, unpacked.len()), (REDUNDANCY, 0)] {
        decompressor[field..field + 4].copy_from_slice(&(value as u32).to_le_bytes());
    }
    let sectors = rest.div_ceil(SECTOR) as u16;
    diskboot[FIRST_BLOCK + 8..FIRST_BLOCK + 10].copy_from_slice(&sectors.to_le_bytes());
    Ok(CoreImage { bytes: [diskboot, decompressor, packed].concat() })
}

fn check_diskboot(bytes: &[u8]) -> Result<(), Refusal> {
    let field = |at, len| elf::number(bytes, at, len);
    let terminator = field(FIRST_BLOCK - 12, 8) == Some(0) && field(FIRST_BLOCK - 4, 4) == Some(0);
    match bytes.len() == SECTOR && field(FIRST_BLOCK + 10, 2) == Some(SEGMENT) && terminator {
        true => Ok(()),
        false => Err(other_grub("diskboot.img", "512 bytes that load to segment 0x820")),
    }
}

fn check_decompressor(bytes: &[u8]) -> Result<(), Refusal> {
    let known = elf::number(bytes, NO_REDUNDANCY_FOR, 2).is_some_and(|len| len != 0xFFFF);
    match known && bytes.len() as u64 <= LINK - DECOMPRESSOR {
        true => Ok(()),
        false => Err(other_grub("lzma_decompress.img", "at most 3584 bytes with fields at 8 to 24")),
    }
}

/// The kernel as it lies in memory from its link address on: the sections that are in the file.
fn load(kernel: &[u8]) -> Result<Vec<u8>, Refusal> {
    let elf = Elf::parse("kernel.img", kernel, elf::machine::I386)?;
    let is_kept = |section: &&elf::Section| {
        section.kind == elf::PROGBITS && (section.is_code() || section.is_data()) && section.size > 0
    };
    let mut image = Vec::new();
    for section in elf.sections.iter().filter(is_kept) {
        let start = section.address.checked_sub(LINK);
        let end = section.address.saturating_add(section.size);
        if section.is_code() && section.address != LINK {
            return Err(other_grub("kernel.img", "code at 0x9000"));
        }
        let start = start.filter(|_| end <= KERNEL_END).ok_or_else(|| elf.damaged("where a section lies"))?;
        let (start, end) = (start as usize, (end - LINK) as usize);
        image.resize(image.len().max(end), 0);
        image[start..end].copy_from_slice(elf.data(section)?);
    }
    let zeroed = elf.sections.iter().filter(|section| section.kind == elf::NOBITS);
    let end = zeroed.map(|section| section.address.saturating_add(section.size)).max().unwrap_or(0);
    match end <= KERNEL_END && !image.is_empty() {
        true => Ok(image),
        false => Err(too_large(format!("a kernel that ends at {end:#x}, and may at {KERNEL_END:#x}"))),
    }
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let failed = |error| refused(RefusalKind::Invalid, "core.img", format!("cannot be compressed: {error}"));
    let options = LzmaOptions { dict_size: DICTIONARY, lc: 3, lp: 0, pb: 2, ..LzmaOptions::with_preset(9) };
    let mut writer = LzmaWriter::new_no_header(Vec::new(), &options, false).map_err(failed)?;
    writer.write_all(bytes).map_err(failed)?;
    writer.finish().map_err(failed)
}

fn too_large(reason: String) -> Refusal {
    refused(RefusalKind::Limit, "core.img", reason)
        .hint("embed fewer modules: others are loaded from the prefix")
}

fn other_grub(name: &str, expected: &str) -> Refusal {
    refused(RefusalKind::Invalid, name, format!("not of a GRUB that is known: expected {expected}"))
}
