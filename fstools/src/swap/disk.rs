//! The header on the disk (`union swap_header`).

use std::mem::{offset_of, size_of};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, little_endian::U32};

/// Where the header starts: what is in front of it belongs to boot loaders and disk labels.
pub(super) const HEADER: u64 = 1024;
/// Where the numbers of the bad pages start.
pub(super) const BAD_PAGES: u64 = 1536;
/// The end of the first page, and what follows from it.
pub(super) const SIGNATURE: [u8; 10] = *b"SWAPSPACE2";
/// The only version.
pub(super) const VERSION: u32 = 1;
/// Sizes of a page that some Linux has.
pub(super) const PAGE_SIZES: [u64; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// Everything between boot area and bad pages.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) version: U32,
    pub(super) last_page: U32,
    pub(super) nr_badpages: U32,
    pub(super) uuid: [u8; 16],
    pub(super) volume_name: [u8; 16],
    pub(super) padding: [u8; 468],
}

const _: () = {
    assert!(HEADER as usize + size_of::<Header>() == BAD_PAGES as usize);
    assert!(HEADER as usize + offset_of!(Header, uuid) == 1036);
    assert!(HEADER as usize + offset_of!(Header, volume_name) == 1052);
};

/// Byte position of a field.
macro_rules! at {
    ($field:ident) => {
        $crate::swap::disk::HEADER + std::mem::offset_of!($crate::swap::disk::Header, $field) as u64
    };
}
pub(super) use at;

/// Where the signature lies.
pub(super) fn signature_at(page_size: u64) -> u64 {
    page_size - SIGNATURE.len() as u64
}

/// Most bad pages that the header has room for.
pub(super) fn bad_pages_max(page_size: u64) -> u64 {
    (signature_at(page_size) - BAD_PAGES) / 4
}
