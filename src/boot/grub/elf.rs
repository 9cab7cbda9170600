//! Reads what GRUB needs of an ELF file (System V ABI, chapters 4 and 5): sections, symbols, relocations.
//!
//! Little-endian files of 32 and 64 bits, out of a tree that nobody has checked: every offset is tested, and everything
//! that is kept is no larger than the file.

use super::refused;
use diskwright_formats::fault::{Refusal, RefusalKind};

/// The machines (System V ABI supplements): `e_machine`.
pub(super) mod machine {
    pub(in super::super) const I386: u16 = 3;
    pub(in super::super) const X86_64: u16 = 62;
    pub(in super::super) const AARCH64: u16 = 183;
    pub(in super::super) const RISCV: u16 = 243;
}

/// Types of sections: `sh_type`.
pub(super) const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const RELA: u32 = 4;
pub(super) const NOBITS: u32 = 8;
const REL: u32 = 9;
/// Flags of sections: it has an address when loaded, it holds instructions.
const ALLOC: u64 = 2;
const EXECINSTR: u64 = 4;
/// Special section numbers of symbols.
const UNDEFINED: u16 = 0;
const ABSOLUTE: u16 = 0xFFF1;
/// Largest alignment that a section may ask for: a page.
const MOST_ALIGN: u64 = 4096;
/// Sections and symbols that a file may have: GRUB's kernels have 20 and 1000.
const MOST_SECTIONS: u16 = 1024;
const MOST_SYMBOLS: usize = 1 << 16;
/// Relocations of all sections together: GRUB's kernels have at most 10,000.
const MOST_RELOCATIONS: usize = 1 << 20;
/// Longest name of a symbol that is told from others.
const MOST_NAME: usize = 256;

/// A section header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) kind: u32,
    flags: u64,
    pub(super) address: u64,
    offset: u64,
    pub(super) size: u64,
    link: u32,
    info: u32,
    pub(super) align: u64,
    entry: u64,
}

impl Section {
    pub(super) fn is_code(&self) -> bool {
        self.flags & (ALLOC | EXECINSTR) == ALLOC | EXECINSTR
    }

    /// Loaded, and no code: initialised or not.
    pub(super) fn is_data(&self) -> bool {
        self.flags & (ALLOC | EXECINSTR) == ALLOC
    }
}

/// What a symbol is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// To be found elsewhere, by its name.
    Undefined,
    /// Nothing: the value is the address.
    Absolute,
    /// The section of this index, which exists.
    Section(usize),
}

/// A symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: u64,
    pub(super) home: Home,
}

/// A relocation: what to change in a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relocation {
    /// Byte in the section.
    pub(super) offset: u64,
    pub(super) kind: u32,
    /// Index of the symbol.
    pub(super) symbol: usize,
    /// Zero where it lies in the section itself.
    pub(super) addend: u64,
}

/// The relocations of a section.
pub(super) struct Relocations {
    /// Index of the section that they change.
    pub(super) target: usize,
    pub(super) list: Vec<Relocation>,
}

/// An ELF file whose headers lie within it.
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    /// 64 bits, else 32.
    wide: bool,
    name: &'a str,
    pub(super) sections: Vec<Section>,
}

/// Whether the bytes begin like an ELF file of this machine.
pub(super) fn is_for(bytes: &[u8], machine: u16) -> bool {
    let wide = machine != machine::I386;
    bytes.starts_with(&[0x7F, b'E', b'L', b'F', 1 + u8::from(wide), 1, 1])
        && number(bytes, 18, 2) == Some(u64::from(machine))
}

impl<'a> Elf<'a> {
    /// The headers of a file; `name` is for messages.
    pub(super) fn parse(name: &'a str, bytes: &'a [u8], machine: u16) -> Result<Elf<'a>, Refusal> {
        if !is_for(bytes, machine) {
            return Err(refused(RefusalKind::Invalid, name, "no ELF file of the platform's machine"));
        }
        let wide = machine != machine::I386;
        let mut elf = Elf { bytes, wide, name, sections: Vec::new() };
        let (table, entry, count) = if wide { (40, 58, 60) } else { (32, 46, 48) };
        let table = elf.number(table, if wide { 8 } else { 4 })?;
        let (entry, count) = (elf.number(entry, 2)?, elf.number(count, 2)? as u16);
        if count > MOST_SECTIONS || entry < if wide { 64 } else { 40 } {
            return Err(elf.damaged("its table of sections"));
        }
        for index in 0..u64::from(count) {
            let at = table.checked_add(index * entry).ok_or_else(|| elf.damaged("its table of sections"))?;
            let section = elf.section(at)?;
            elf.sections.push(section);
        }
        Ok(elf)
    }

    fn section(&self, at: u64) -> Result<Section, Refusal> {
        let at = usize::try_from(at).map_err(|_| self.damaged("its table of sections"))?;
        let word = |nth: usize| self.number(at.saturating_add(4 * nth), 4);
        // Fields of the size of an address: where they are, in units of four bytes, in narrow and in wide files.
        let long = |narrow: usize, wide: usize| match self.wide {
            false => word(narrow),
            true => self.number(at.saturating_add(4 * wide), 8),
        };
        let same = |narrow: usize, wide: usize| word(if self.wide { wide } else { narrow });
        let section = Section {
            kind: word(1)? as u32,
            flags: long(2, 2)?,
            address: long(3, 4)?,
            offset: long(4, 6)?,
            size: long(5, 8)?,
            link: same(6, 10)? as u32,
            info: same(7, 11)? as u32,
            align: long(8, 12)?.max(1),
            entry: long(9, 14)?,
        };
        match section.align.is_power_of_two() && section.align <= MOST_ALIGN {
            true => Ok(section),
            false => Err(self.damaged("the alignment of a section")),
        }
    }

    /// The bytes of a section, none where the file holds none.
    pub(super) fn data(&self, section: &Section) -> Result<&'a [u8], Refusal> {
        if section.kind == NOBITS {
            return Ok(&[]);
        }
        let range = usize::try_from(section.offset).ok().zip(usize::try_from(section.size).ok());
        let end = range.and_then(|(start, len)| Some(start..start.checked_add(len)?));
        end.and_then(|range| self.bytes.get(range)).ok_or_else(|| self.damaged("the place of a section"))
    }

    /// The first table of symbols.
    pub(super) fn symbols(&self) -> Result<Vec<Symbol<'a>>, Refusal> {
        let table = self.sections.iter().find(|section| section.kind == SYMTAB);
        let table = table.ok_or_else(|| self.damaged("its symbols: there are none"))?;
        let names = self.sections.get(table.link as usize).ok_or_else(|| self.damaged("names of symbols"))?;
        let names = self.data(names)?;
        let size = if self.wide { 24 } else { 16 };
        let entries = self.entries(table, size)?;
        if entries.len() > MOST_SYMBOLS {
            return Err(self.damaged("its symbols: there are too many"));
        }
        let symbol = |entry: &'a [u8]| {
            let (value, index) = match self.wide {
                false => (number(entry, 4, 4)?, number(entry, 14, 2)?),
                true => (number(entry, 8, 8)?, number(entry, 6, 2)?),
            };
            let name = names.get(number(entry, 0, 4)? as usize..)?;
            let name = name[..name.len().min(MOST_NAME)].split(|&byte| byte == 0).next()?;
            let home = match index as u16 {
                UNDEFINED => Home::Undefined,
                ABSOLUTE => Home::Absolute,
                index => Home::Section(usize::from(index)),
            };
            let exists = !matches!(home, Home::Section(index) if index >= self.sections.len());
            exists.then_some(Symbol { name, value, home })
        };
        let symbols: Option<Vec<Symbol>> = entries.into_iter().map(symbol).collect();
        symbols.ok_or_else(|| self.damaged("a symbol"))
    }

    /// All relocations in the order of the file, those of sections that `kept` leaves out passed over.
    pub(super) fn relocations(&self, kept: impl Fn(&Section) -> bool) -> Result<Vec<Relocations>, Refusal> {
        let (mut all, mut count) = (Vec::new(), 0);
        for table in self.sections.iter().filter(|section| matches!(section.kind, REL | RELA)) {
            let target = table.info as usize;
            let section = self.sections.get(target).ok_or_else(|| self.damaged("a table of relocations"))?;
            if !kept(section) {
                continue;
            }
            let word = if self.wide { 8 } else { 4 };
            let has_addend = table.kind == RELA;
            let entries = self.entries(table, if has_addend { 3 * word } else { 2 * word })?;
            count += entries.len();
            if count > MOST_RELOCATIONS {
                return Err(self.damaged("its relocations: there are too many"));
            }
            let relocation = |entry: &[u8]| {
                let info = number(entry, word, word)?;
                let (symbol, kind) = match self.wide {
                    false => (info >> 8, info & 0xFF),
                    true => (info >> 32, info & 0xFFFF_FFFF),
                };
                let addend = if has_addend { number(entry, 2 * word, word)? } else { 0 };
                Some(Relocation {
                    offset: number(entry, 0, word)?,
                    kind: kind as u32,
                    symbol: symbol as usize,
                    addend,
                })
            };
            let list: Option<Vec<Relocation>> = entries.into_iter().map(relocation).collect();
            all.push(Relocations { target, list: list.ok_or_else(|| self.damaged("a relocation"))? });
        }
        Ok(all)
    }

    /// The entries of a table: each at least `least` bytes, as the header says how many.
    fn entries(&self, table: &Section, least: usize) -> Result<Vec<&'a [u8]>, Refusal> {
        let size = usize::try_from(table.entry).ok().filter(|&size| size >= least && size <= 64);
        let size = size.ok_or_else(|| self.damaged("the size of an entry of a table"))?;
        Ok(self.data(table)?.chunks_exact(size).collect())
    }

    fn number(&self, at: usize, len: usize) -> Result<u64, Refusal> {
        number(self.bytes, at, len).ok_or_else(|| self.damaged("its headers: the file is too short"))
    }

    pub(super) fn damaged(&self, what: &str) -> Refusal {
        refused(RefusalKind::Invalid, self.name, format!("an ELF file that is damaged in {what}"))
    }
}

/// A little-endian number of `len` bytes, at most 8.
pub(super) fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    Some(field.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}
