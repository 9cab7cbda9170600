//! On-disk structures, all big endian. QEMU's docs/interop/qcow2: "Header", "Cluster mapping", "Host cluster
//! management", "Snapshots".

use std::mem::{offset_of, size_of};
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `QFI\xfb`.
pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";

/// What versions 2 and 3 have in common.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub magic: [u8; 4],
    pub version: U32,
    pub backing_file_offset: U64,
    pub backing_file_size: U32,
    pub cluster_bits: U32,
    pub size: U64,
    pub crypt_method: U32,
    pub l1_size: U32,
    pub l1_table_offset: U64,
    pub refcount_table_offset: U64,
    pub refcount_table_clusters: U32,
    pub nb_snapshots: U32,
    pub snapshots_offset: U64,
}

/// What version 3 adds behind [`Header`].
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Features {
    pub incompatible: U64,
    pub compatible: U64,
    pub autoclear: U64,
    pub refcount_order: U32,
    pub header_length: U32,
}

const _: () = assert!(size_of::<Header>() == 72);
const _: () = assert!(offset_of!(Header, size) == 24);
const _: () = assert!(offset_of!(Header, l1_table_offset) == 40);
const _: () = assert!(offset_of!(Header, snapshots_offset) == 64);
const _: () = assert!(size_of::<Features>() == 32);
const _: () = assert!(offset_of!(Features, header_length) == 28);

/// Position of [`Features`].
pub(super) const FEATURES_AT: u64 = size_of::<Header>() as u64;
/// Length of a version 3 header without a compression type.
pub(super) const HEADER_LENGTH: u64 = FEATURES_AT + size_of::<Features>() as u64;

/// Incompatible feature: refcounts may be wrong.
pub(super) const DIRTY: u64 = 1 << 0;
/// Incompatible feature: a writer found damage.
pub(super) const CORRUPT: u64 = 1 << 1;
/// Incompatible feature: data lies in another file.
pub(super) const EXTERNAL_DATA: u64 = 1 << 2;
/// Incompatible feature: the header names a compression.
pub(super) const COMPRESSION_TYPE: u64 = 1 << 3;
/// Incompatible feature: 128-bit entries with subclusters.
pub(super) const EXTENDED_L2: u64 = 1 << 4;

/// Type and length of a header extension; its data follows, padded to 8 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Extension {
    pub kind: U32,
    pub len: U32,
}

/// Header extension: persistent bitmaps.
pub(super) const BITMAPS: u32 = 0x2385_2875;
/// Header extensions by name, for dumps.
pub(super) const EXTENSIONS: &[(u32, &str)] = &[
    (0, "end of extensions"),
    (0xe279_2aca, "backing file format"),
    (0x6803_f857, "feature names"),
    (BITMAPS, "bitmaps"),
    (0x0537_be77, "encryption header"),
    (0x4441_5441, "external data file"),
];

/// A snapshot without the texts that follow it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Snapshot {
    pub l1_table_offset: U64,
    pub l1_size: U32,
    pub id_len: U16,
    pub name_len: U16,
    pub seconds: U32,
    pub nanoseconds: U32,
    pub vm_clock: U64,
    pub vm_state_size: U32,
    pub extra_len: U32,
}

const _: () = assert!(size_of::<Snapshot>() == 40);
const _: () = assert!(offset_of!(Snapshot, extra_len) == 36);

/// Data of the bitmaps extension.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Bitmaps {
    pub count: U32,
    pub reserved: U32,
    pub directory_size: U64,
    pub directory_offset: U64,
}

/// Autoclear feature: the bitmaps extension is up to date.
pub(super) const BITMAPS_VALID: u64 = 1 << 0;

/// Entry of the bitmap directory without the extra data and the name that follow it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Bitmap {
    pub table_offset: U64,
    pub table_size: U32,
    pub flags: U32,
    pub kind: u8,
    pub granularity_bits: u8,
    pub name_size: U16,
    pub extra_size: U32,
}

const _: () = assert!(size_of::<Bitmaps>() == 24);
const _: () = assert!(size_of::<Bitmap>() == 24);
const _: () = assert!(offset_of!(Bitmap, extra_size) == 20);

/// Bits 9 to 55 of an L1 or L2 entry: a byte position in the file.
pub(super) const OFFSET: u64 = (1 << 56) - (1 << 9);
/// Bit 63 of an L1 or L2 entry: the refcount of what it names is exactly 1.
pub(super) const COPIED: u64 = 1 << 63;
/// Bit 62 of an L2 entry.
pub(super) const COMPRESSED: u64 = 1 << 62;
/// Bit 0 of an L2 entry, version 3: reads as zero whatever else it says.
pub(super) const ZERO: u64 = 1;
/// Bits 9 to 63 of an entry of the refcount table.
pub(super) const BLOCK_OFFSET: u64 = !0x1ff;

/// Number `index` of a refcount block whose counts have `1 << order` bits; 0 behind its end.
pub(super) fn refcount(block: &[u8], index: u64, order: u32) -> u64 {
    let bits = 1u64 << order;
    let at = index * bits / 8;
    let byte = |offset: u64| u64::from(block.get((at + offset) as usize).copied().unwrap_or(0));
    match bits {
        8.. => (0..bits / 8).fold(0, |count, offset| count << 8 | byte(offset)),
        // Small counts fill a byte from its lowest bit on.
        _ => byte(0) >> (index * bits % 8) & ((1 << bits) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refcounts_of_every_width() {
        let block = [0b1011_0001, 0x02, 0x03, 0x04, 5, 6, 7, 8];
        let first = |order| (0..8).map(|index| refcount(&block, index, order)).collect::<Vec<_>>();
        assert_eq!(first(0), [1, 0, 0, 0, 1, 1, 0, 1]);
        assert_eq!(first(1), [1, 0, 3, 2, 2, 0, 0, 0]);
        assert_eq!(first(2)[..3], [1, 11, 2]);
        assert_eq!(first(3), [0xb1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(first(4), [0xb102, 0x0304, 0x0506, 0x0708, 0, 0, 0, 0]);
        assert_eq!(refcount(&block, 0, 5), 0xb102_0304);
        assert_eq!(refcount(&block, 0, 6), 0xb102_0304_0506_0708);
    }
}
