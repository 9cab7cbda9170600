//! GRUB 2, out of a tree's own files: what lies on the disk in front of file systems, EFI images, configuration.
//!
//! Everything here is a pure function over values. Files come in through one reader, for [`Platform::load`].

mod core_img;
mod early;
mod efi;
mod elf;
mod kernel;
mod place;
mod platform;
mod relocate;
mod section;

pub use core_img::{CoreImage, SECTOR, core_img};
pub use early::{Find, Stub, early_config};
pub use efi::efi_image;
pub use place::{BOOT_CODE, Piece, Room, place};
pub use platform::{Platform, Target, platform_directory};
pub use section::Embedded;

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

fn refused(kind: RefusalKind, object: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new("grub", object), reason)
}
