//! GRUB 2, out of a tree's own files: what lies on the disk in front of file systems, EFI images, configuration.
//!
//! Everything here is a pure function over values. What is not in the tree's own memory is read through one closure of
//! [`Platform::load`] and, for a signed image, by whoever asks [`vendor_of_image`]. Sizes are known before a byte is
//! written: a core image is a value ([`CoreImage::sectors`]) that [`place`] then puts somewhere, an EFI image is bytes.
//!
//! ```text
//!                       tree                                        plan: UUIDs, partitions, settings
//!            ┌───────────┴───────────┬──────────────────┐                       │
//!    image_modules             find_signed        boot_files             Start, chainload
//!            │                 find_unsigned      find_theme             default_grub, grub_cfg,
//!            ▼                       │                  │                bls_entries, grubenv
//!     Platform::load                 │                  │                       │
//!       ┌────┴────┐                  │                  │                       │
//!    core_img  efi_image             │                  │                       │
//!       │         └──────────┬───────┘                  │                       │
//!     place           files of the ESP          files below /boot/grub   texts of files
//!       │
//!    2 pieces: bytes 0..440 of the disk, and the BIOS boot partition or gap
//! ```
//!
//! For BIOS: [`image_modules`], [`Platform::load`] with [`Target::I386Pc`], [`core_img`] with [`Start::embedded`] as its
//! configuration, [`place`]. For `efi`: [`find_unsigned`], else [`efi_image`] the same way, as `EFI/BOOT/BOOTX64.EFI`; an image that
//! was found takes its configuration from [`Start::stub`] beside itself and in its vendor's directory. For `uefi`:
//! [`find_signed`], and the same stubs. Configurations name files as GRUB sees them: [`BootFs`] says how `/boot` is called
//! on its file system.
//!
//! `grub-mkimage`, `grub-bios-setup` and `grub-mkconfig` of GRUB 2.06 and 2.12 are what all of it is measured by; module
//! docs name the files of GRUB's sources that hold the rules.

mod core_img;
mod early;
mod efi;
mod elf;
mod environment;
mod files;
mod kernel;
mod menu;
mod place;
mod platform;
mod relocate;
mod section;
mod settings;
mod signed;
mod words;

pub use core_img::{CoreImage, SECTOR, core_img};
pub use early::{Find, Start, Unlock, chainload};
pub use efi::efi_image;
pub use environment::{grubenv, set as set_variables, variables};
pub use files::{BootFile, boot_directory, boot_files, find_theme, has_bls, image_modules, program_in};
pub use menu::{BootFs, BootKernel, bls_entries, boot_kernels, grub_cfg};
pub use place::{BOOT_CODE, Piece, Room, place};
pub use platform::{Platform, Target, platform_directory};
pub use section::Embedded;
pub use settings::{FAILSAFE, Settings, Theme, default_grub, sysconfig_bootloader};
pub use signed::{EspFile, Signed, find_signed, find_unsigned, vendor_of_image};

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

fn refused(kind: RefusalKind, object: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new("grub", object), reason)
}
