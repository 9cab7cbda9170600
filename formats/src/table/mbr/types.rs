//! Type bytes of partitions: those that `sfdisk --label dos --list-types` knows and that systems make today.

/// Extended partition, addressed by CHS: what fdisk and sfdisk make.
pub const EXTENDED: u8 = 0x05;
/// Extended partition, addressed by LBA.
pub const EXTENDED_LBA: u8 = 0x0f;
/// Extended partition that only Linux sees.
pub const EXTENDED_LINUX: u8 = 0x85;
/// NTFS or exFAT.
pub const NTFS: u8 = 0x07;
/// FAT32, addressed by LBA.
pub const FAT32: u8 = 0x0c;
/// FAT16, addressed by LBA.
pub const FAT16: u8 = 0x0e;
/// PowerPC reference platform boot.
pub const PREP: u8 = 0x41;
/// Linux swap.
pub const SWAP: u8 = 0x82;
/// Linux file system of no particular purpose.
pub const LINUX: u8 = 0x83;
/// LVM physical volume.
pub const LVM: u8 = 0x8e;
/// Extended boot loader partition.
pub const XBOOTLDR: u8 = 0xea;
/// The record that protects a GPT: a disk that has one is not an MBR disk.
pub const GPT_PROTECTIVE: u8 = 0xee;
/// EFI system partition.
pub const ESP: u8 = 0xef;
/// MD RAID member.
pub const RAID: u8 = 0xfd;

/// All of them, and others that images are found with, with their names, for plans and dumps.
pub const ALL: &[(u8, &str)] = &[
    (0x01, "fat12"),
    (0x04, "fat16 small"),
    (EXTENDED, "extended"),
    (0x06, "fat16"),
    (NTFS, "ntfs or exfat"),
    (0x0b, "fat32"),
    (FAT32, "fat32 lba"),
    (FAT16, "fat16 lba"),
    (EXTENDED_LBA, "extended lba"),
    (PREP, "prep boot"),
    (SWAP, "swap"),
    (LINUX, "linux"),
    (EXTENDED_LINUX, "linux extended"),
    (LVM, "lvm"),
    (0xa5, "freebsd"),
    (0xda, "data"),
    (XBOOTLDR, "extended boot loader"),
    (GPT_PROTECTIVE, "gpt"),
    (ESP, "efi system"),
    (RAID, "md raid"),
];

/// The name of a type, where it is known.
pub fn name(kind: u8) -> Option<&'static str> {
    ALL.iter().find(|(byte, _)| *byte == kind).map(|(_, name)| *name)
}

/// Whether partitions of this type hold logical partitions.
pub fn is_extended(kind: u8) -> bool {
    [EXTENDED, EXTENDED_LBA, EXTENDED_LINUX].contains(&kind)
}
