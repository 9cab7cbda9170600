//! An EFI image of GRUB: kernel and modules in one program.
//!
//! ```text
//! 0      MS-DOS stub, "PE", COFF header, optional header, sections    one page (PE format, sections 2 to 4)
//! 4096   .text     code of the kernel
//!        .data     its data, and zeros for what it wants to be zero
//!        mods      the module section
//!        .reloc    which addresses firmware moves
//! ```
//!
//! As `grub-mkimage -O ...-efi` makes it (`util/mkimage.c`, `include/grub/efi/pe32.h`): file and memory alike, pages of
//! 4096 bytes, the same bytes. Nothing is signed and nothing says SBAT: Secure Boot takes the distribution's own images,
//! which are copied as they are.

use super::kernel::{self, Kernel, PAGE};
use super::section::{Embedded, module_section};
use super::{Platform, Target, refused};
use diskwright_formats::fault::{Refusal, RefusalKind};

/// A program that says that it is none for DOS: 64 bytes of header, a print and an exit of real mode.
const STUB_CODE: &[u8; 14] = b"\x0E\x1F\xBA\x0E\x00\xB4\x09\xCD\x21\xB8\x01\x4C\xCD\x21";
const STUB_TEXT: &[u8] = b"This program cannot be run in DOS mode.\r\r\n$";
const STUB_LEN: usize = 128;
/// 2015-01-01: the time that grub-mkimage says, whenever it runs.
const TIME: u32 = 1_420_070_400;
const DIRECTORIES: usize = 16;
const RELOCATIONS: usize = 5;
const EFI_APPLICATION: u16 = 10;
/// Executable; no line numbers, local symbols, debugging information; 32-bit machine.
const CHARACTERISTICS: u16 = 0x0002 | 0x0004 | 0x0008 | 0x0200;
const MACHINE_32BIT: u16 = 0x0100;
/// Sections: code, executed and read; data, read and written; data, read and discarded.
const CODE: u32 = 0x6000_0020;
const DATA: u32 = 0xC000_0040;
const DISCARDED: u32 = 0x4200_0040;

/// Makes the image. Refused: `i386-pc`, files of another GRUB, relocations that are not known.
pub fn efi_image(platform: &Platform, embedded: &Embedded) -> Result<Vec<u8>, Refusal> {
    let target = platform.target();
    if target == Target::I386Pc {
        return Err(refused(RefusalKind::Invalid, target.name(), "an EFI image is not for i386-pc"));
    }
    let kernel = kernel::load(target, platform.image("kernel.img"))?;
    let modules = module_section(platform, embedded)?;
    let sizes = Sizes {
        code: kernel.code,
        data: kernel.bytes.len() as u64 - kernel.code,
        modules: (modules.len() as u64).next_multiple_of(PAGE),
        fixups: kernel.fixups.len() as u64,
    };
    let mut image = headers(target, &kernel, &sizes);
    image.resize(PAGE as usize, 0);
    image.extend_from_slice(&kernel.bytes);
    image.extend_from_slice(&modules);
    image.resize((PAGE + sizes.code + sizes.data + sizes.modules) as usize, 0);
    image.extend_from_slice(&kernel.fixups);
    Ok(image)
}

/// Of the sections in bytes, multiples of a page.
struct Sizes {
    code: u64,
    data: u64,
    modules: u64,
    fixups: u64,
}

fn headers(target: Target, kernel: &Kernel, sizes: &Sizes) -> Vec<u8> {
    let Sizes { code, data, modules, fixups } = *sizes;
    let wide = target.word() == 8;
    let mut out = Fields(stub());
    out.bytes(b"PE\0\0");
    out.u16(pe_machine(target)).u16(4).u32(TIME).zeros(8);
    out.u16(if wide { 240 } else { 224 });
    out.u16(CHARACTERISTICS | if wide { 0 } else { MACHINE_32BIT });
    // Optional header: sizes and starts.
    out.u16(if wide { 0x20B } else { 0x10B }).zeros(2);
    out.u32(code as u32).u32((data + modules) as u32).zeros(4);
    out.u32(kernel.entry as u32).u32(PAGE as u32);
    match wide {
        true => out.zeros(8),
        false => out.u32((PAGE + code) as u32).zeros(4),
    };
    out.u32(PAGE as u32).u32(PAGE as u32).zeros(16);
    out.u32((PAGE + code + data + modules + fixups) as u32).u32(PAGE as u32).zeros(4);
    out.u16(EFI_APPLICATION).zeros(2);
    for _ in 0..4 {
        // Stack and heap, reserved and committed.
        out.u32(0x10000).zeros(target.word() - 4);
    }
    out.zeros(4).u32(DIRECTORIES as u32);
    out.zeros(8 * RELOCATIONS).u32((PAGE + code + data + modules) as u32).u32(fixups as u32);
    out.zeros(8 * (DIRECTORIES - RELOCATIONS - 1));
    let mut start = PAGE;
    for (name, len, flags) in
        [(".text", code, CODE), (".data", data, DATA), ("mods", modules, DATA), (".reloc", fixups, DISCARDED)]
    {
        out.bytes(name.as_bytes()).zeros(8 - name.len());
        out.u32(len as u32).u32(start as u32).u32(len as u32).u32(start as u32).zeros(12).u32(flags);
        start += len;
    }
    out.0
}

fn stub() -> Vec<u8> {
    let mut stub = Fields(b"MZ".to_vec());
    for field in [0x90, 3, 0, 4, 0, 0xFFFF, 0, 0xB8, 0, 0, 0, 0x40, 0] {
        stub.u16(field);
    }
    stub.zeros(0x3C - 28).u32(STUB_LEN as u32).bytes(STUB_CODE).bytes(STUB_TEXT);
    stub.0.resize(STUB_LEN, 0);
    stub.0
}

fn pe_machine(target: Target) -> u16 {
    match target {
        Target::I386Pc | Target::I386Efi => 0x014C,
        Target::X86_64Efi => 0x8664,
        Target::Arm64Efi => 0xAA64,
        Target::Riscv64Efi => 0x5064,
    }
}

/// Little-endian fields, one behind the other.
struct Fields(Vec<u8>);

impl Fields {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Fields {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Fields {
        self.bytes(&value.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Fields {
        self.bytes(&value.to_le_bytes())
    }

    fn zeros(&mut self, count: usize) -> &mut Fields {
        self.0.resize(self.0.len() + count, 0);
        self
    }
}
