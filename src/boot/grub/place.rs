//! Where GRUB lies on a disk that BIOS starts: its first sector, and the core image in a partition or gap.
//!
//! What `grub-bios-setup --no-rs-codes` does to a disk, as bytes (`util/setup.c`, `include/grub/i386/pc/boot.h`):
//!
//! ```text
//! boot.img  0x03..0x5A   left zero: a BIOS parameter block would lie here
//!           0x5C  u64    first sector of core.img
//!           0x64  u8     0xFF: the drive that BIOS says
//!           0x66  2      two NOPs over a jump: for a BIOS that says the wrong drive
//!           0x1B8..      the partition table's: not ours
//! core.img  0x1F4 u64    its second sector
//!           0x1FC u16    sectors from there on
//! ```

use super::core_img::{FIRST_BLOCK, SECTOR};
use super::{CoreImage, Platform, elf, refused};
use diskwright_formats::fault::{Refusal, RefusalKind};

/// Bytes of the first sector that are the boot loader's; the disk signature and the table of partitions follow.
pub const BOOT_CODE: usize = 0x1B8;
const PARAMETER_BLOCK: std::ops::Range<usize> = 0x03..0x5A;
const KERNEL_ADDRESS: usize = 0x5A;
const KERNEL_SECTOR: usize = 0x5C;
const BOOT_DRIVE: usize = 0x64;
const DRIVE_CHECK: usize = 0x66;
/// Most sectors that `grub-bios-setup` embeds.
const MOST_SECTORS: u64 = (0x78000 - 0x9000) / SECTOR as u64;

/// Where there is room for the core image, in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// A BIOS boot partition of a GPT (type 21686148-6449-6E6F-744E-656564454649).
    Partition {
        /// Its first sector.
        start: u64,
        /// How many it has.
        sectors: u64,
    },
    /// The gap between the MBR and the first partition.
    Gap {
        /// First sector of the first partition.
        end: u64,
    },
}

impl Room {
    /// First sector, and how many there are.
    fn sectors(self) -> (u64, u64) {
        match self {
            Room::Partition { start, sectors } => (start, sectors),
            Room::Gap { end } => (1, end.saturating_sub(1)),
        }
    }
}

/// Bytes for a place on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Byte on the disk.
    pub start: u64,
    /// What lies there.
    pub bytes: Vec<u8>,
    /// `grub/boot.img`, `grub/core.img`: a label for the layout.
    pub what: &'static str,
}

/// The pieces of a disk: the first [`BOOT_CODE`] bytes, and the core image, padded to whole sectors. Refused: a room that
/// is too small, in terms of both sizes; sectors that are not of 512 bytes; a boot.img of another GRUB.
pub fn place(
    platform: &Platform,
    core: &CoreImage,
    room: Room,
    sector_size: u32,
) -> Result<[Piece; 2], Refusal> {
    if sector_size as usize != SECTOR {
        let reason = format!("sectors of {sector_size} bytes: GRUB for BIOS reads disks of 512 alone");
        return Err(
            refused(RefusalKind::Unsupported, "core.img", reason).hint("use UEFI, or sectors of 512 bytes")
        );
    }
    let (start, sectors) = room.sectors();
    let needed = core.sectors();
    if needed > sectors.min(MOST_SECTORS) || start == 0 || start.checked_add(needed).is_none() {
        return Err(does_not_fit(room, needed, sectors));
    }
    let boot = boot_img(platform.image("boot.img"), start)?;
    let mut bytes = core.bytes().to_vec();
    bytes.resize(needed as usize * SECTOR, 0);
    let rest = ((needed - 1) as u16).to_le_bytes();
    bytes[FIRST_BLOCK..FIRST_BLOCK + 8].copy_from_slice(&(start + 1).to_le_bytes());
    bytes[FIRST_BLOCK + 8..FIRST_BLOCK + 10].copy_from_slice(&rest);
    Ok([
        Piece { start: 0, bytes: boot, what: "grub/boot.img" },
        Piece { start: start.saturating_mul(SECTOR as u64), bytes, what: "grub/core.img" },
    ])
}

fn boot_img(image: &[u8], core: u64) -> Result<Vec<u8>, Refusal> {
    let field = |at, len| elf::number(image, at, len);
    let is_jump = matches!(field(DRIVE_CHECK, 1), Some(0xEB | 0x90));
    let signed = field(0x1FE, 2) == Some(0xAA55);
    if image.len() != SECTOR || !signed || !is_jump || field(KERNEL_ADDRESS, 2) != Some(0x8000) {
        let reason = "not of a GRUB that is known: expected a boot sector that loads to 0x8000";
        return Err(refused(RefusalKind::Invalid, "boot.img", reason));
    }
    let mut bytes = image[..BOOT_CODE].to_vec();
    bytes[PARAMETER_BLOCK].fill(0);
    bytes[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&core.to_le_bytes());
    bytes[BOOT_DRIVE] = 0xFF;
    bytes[DRIVE_CHECK..DRIVE_CHECK + 2].fill(0x90);
    Ok(bytes)
}

fn does_not_fit(room: Room, needed: u64, there: u64) -> Refusal {
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR as u64);
    let kind = RefusalKind::TooSmall { needed: Some(bytes(needed)) };
    let (needed, there) = (format!("{} bytes", bytes(needed)), format!("{} bytes", bytes(there)));
    match room {
        Room::Partition { .. } => {
            let reason = format!("GRUB's core image has {needed}, the BIOS boot partition {there}");
            refused(kind, "core.img", reason)
                .hint("make the BIOS boot partition larger, or embed fewer modules")
        }
        Room::Gap { .. } => {
            let reason =
                format!("GRUB's core image has {needed}, the gap before the first partition {there}");
            refused(kind, "core.img", reason).hint(
                "let the first partition start later: at 1 MiB (disk_start_sector=\"2048\") there is room",
            )
        }
    }
}
