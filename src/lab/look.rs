//! What starts an image: as much of it as says that, and no more.

use crate::model::{ARCHES, Arch};
use diskwright_formats::layout::{OneFile, ReadAt, Reader, Window};
use diskwright_formats::registry::DISKS;
use diskwright_formats::table::{gpt, mbr};
use diskwright_fstools::registry::find;
use diskwright_fstools::tree::{NodeId, ROOT, Tree};
use std::ops::Range;

/// What an image says of the machine that it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The container in QEMU's words.
    pub format: &'static str,
    /// Bytes of a sector of the disk, as its GPT counts them: 512 or 4096.
    pub sector: u32,
    /// Whether a BIOS finds code in the first sector.
    pub boot_code: bool,
    /// Machines for whose UEFI there is a loader under the fallback name `EFI/BOOT/BOOT*.EFI`.
    pub loaders: Vec<Arch>,
    /// Whether we read the container, and so would know of code and loaders.
    pub known: bool,
}

/// Looks at an image.
pub fn look(image: &dyn ReadAt) -> Looked {
    let format = format(image);
    let nothing = Looked { format, sector: 512, boot_code: false, loaders: vec![], known: false };
    let Some(row) = DISKS.iter().find(|row| row.name == format) else { return nothing };
    let Ok(opened) = (row.open)(image) else { return nothing };
    let contents = OneFile(image);
    let disk = Reader::new(&opened.layout, &contents);
    let first = bytes(&disk, 0);
    let boot_code = first[510..] == [0x55, 0xaa] && first[0] != 0;
    let (sector, places) = places(&disk);
    let mut loaders: Vec<Arch> = places.into_iter().flat_map(|range| loaders(&disk, range)).collect();
    loaders.dedup();
    Looked { sector, boot_code, loaders, known: true, ..nothing }
}

/// 512 bytes at a position; what is behind the end is zero.
fn bytes(image: &dyn ReadAt, at: u64) -> [u8; 512] {
    let mut bytes = [0; 512];
    let there = usize::try_from(image.len().saturating_sub(at)).unwrap_or(512).min(512);
    match image.read_exact_at(at, &mut bytes[..there]) {
        Ok(()) => bytes,
        Err(_) => [0; 512],
    }
}

/// By the first bytes, or those at the end (a VHD of fixed size); the signatures are those that QEMU's `block/*.c` probe
/// for.
fn format(image: &dyn ReadAt) -> &'static str {
    let first = bytes(image, 0);
    let last = bytes(image, image.len().saturating_sub(512));
    let magic: &[(&[u8], &str)] = &[
        (b"QFI\xfb\0\0\0\x01", "qcow"),
        (b"QFI\xfb", "qcow2"),
        (b"KDMV", "vmdk"),
        (b"COWD", "vmdk"),
        (b"# Disk DescriptorFile", "vmdk"),
        (b"vhdxfile", "vhdx"),
        (b"conectix", "vpc"),
        (b"QED\0", "qed"),
        (b"WithoutFreeSpace", "parallels"),
        (b"WithouFreSpacExt", "parallels"),
    ];
    match magic.iter().find(|(magic, _)| first.starts_with(magic)) {
        Some((_, format)) => format,
        None if first[64..68] == [0x7f, 0x10, 0xda, 0xbe] => "vdi",
        None if last.starts_with(b"conectix") => "vpc",
        None => "raw",
    }
}

/// The size of a sector, and where a UEFI looks for a FAT: ESPs of a GPT, else the FAT partitions of an MBR, else all of it.
fn places(disk: &dyn ReadAt) -> (u32, Vec<Range<u64>>) {
    let range = |start: u64, len: u64| start..start.saturating_add(len);
    if let Some(table) = gpt::recognise(disk).then(|| gpt::open(disk).ok()).flatten() {
        let esps = table.partitions.iter().filter(|it| it.type_guid == gpt::types::ESP);
        return (table.sector_size, esps.map(|it| range(it.start, it.len)).collect());
    }
    if let Some(table) = mbr::recognise(disk).then(|| mbr::open(disk).ok()).flatten() {
        let fats = table.partitions.iter().filter(|it| FATS.contains(&it.kind));
        return (table.sector_size, fats.map(|it| range(it.start, it.len)).collect());
    }
    let whole = 0..disk.len();
    (512, vec![whole])
}

/// Types of MBR partitions with a FAT: 12 and 16 bits, by CHS and by LBA, and the ESP.
const FATS: [u8; 7] = [0x01, 0x04, 0x06, 0x0b, mbr::types::FAT32, mbr::types::FAT16, mbr::types::ESP];

/// Fallback loaders in the FAT there (UEFI specification 2.10, section 3.5.1.1).
fn loaders(disk: &dyn ReadAt, range: Range<u64>) -> Vec<Arch> {
    let row = find("vfat").expect("a row of the registry");
    let window = Window::new(disk, range).filter(|window| (row.recognise)(window));
    let Some(opened) = window.and_then(|window| (row.open)(&window).ok()) else { return vec![] };
    let tree = &opened.tree;
    let Some(boot) = child(tree, ROOT, "efi").and_then(|efi| child(tree, efi, "boot")) else { return vec![] };
    let there = |arch: &Arch| child(tree, boot, &format!("boot{}.efi", arch.efi_suffix())).is_some();
    ARCHES.into_iter().filter(there).collect()
}

/// FAT knows no case.
fn child(tree: &Tree, directory: NodeId, name: &str) -> Option<NodeId> {
    tree.children(directory).find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, id)| id)
}
