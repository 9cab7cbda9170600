//! FAT12, FAT16 and FAT32 with long names: the file system of EFI system partitions.
//!
//! Specification: Microsoft, "FAT: General Overview of On-Disk Format" 1.03 (fatgen103), sections 3 (boot sector and
//! type), 4 (FAT), 5 (FSInfo), 6 (directories), 7 (long names); UEFI 2.10, section 13.3.
//!
//! ```text
//!  FAT12, FAT16                                        FAT32
//!  ┌──────────────────────────────────────────┐        ┌──────────────────────────────────────────┐
//!  │ boot sector                      sector 0│        │ boot sector                      sector 0│
//!  │ reserved, up to the alignment            │        │ FSInfo 1, backups of both 6 and 7        │
//!  ├──────────────────────────────────────────┤        │ reserved, 32 sectors and the alignment   │
//!  │ FAT, and its copies                      │        ├──────────────────────────────────────────┤
//!  ├──────────────────────────────────────────┤        │ FAT, and its copies                      │
//!  │ root directory, 512 entries              │        ├──────────────────────────────────────────┤
//!  ├──────────────────────────────────────────┤        │ clusters from number 2 on:               │
//!  │ clusters from number 2 on: files and     │        │ root directory, then files and           │
//!  │ directories in the order of the tree,    │        │ directories in the order of the tree,    │
//!  │ each contiguous; then free clusters      │        │ each contiguous; then free clusters      │
//!  └──────────────────────────────────────────┘        └──────────────────────────────────────────┘
//! ```
//!
//! Everything is known before a byte is written, so chains are contiguous and FATs are arithmetic. The data area starts
//! at a multiple of the cluster size: where clusters have 4 KiB or more, file data can be cloned into place.
//!
//! What FAT cannot hold: owner, group, permissions and extended attributes are left out without a word (that is the
//! caller's decision); the read-only attribute is not set, because loaders rename and rewrite their files. Symbolic
//! links, devices, fifos and sockets are refused. Each name of a file with several becomes a copy. Times are UTC.
//!
//! The reader goes by what Linux and EDK2 do: `BPB_FATSz16 == 0` makes FAT32, else the number of clusters decides. It
//! accepts FAT32 with fewer clusters than the specification wants (`mkfs.fat -F 32` makes such images).
//!
//! Ours and not a crate: `fatfs` and `hadris-fat` drive a mounted image cluster by cluster, so positions depend on the
//! order of calls and a directory of thousands of files takes minutes. `fatfs` is an oracle in the tests.

mod boot;
mod chain;
mod directory;
mod disk;
mod dump;
mod geometry;
mod items;
mod lay;
mod names;
mod open;
mod options;
mod reid;
mod time;

use crate::registry::{Filesystem, Row};
use diskwright_formats::fault::Refusal;

/// Largest file in bytes: a 32-bit field.
pub const FILE_MAX: u64 = u32::MAX as u64;
/// Most entries of a directory, those of long names counted: 2 MiB less one entry, so that one ends it.
pub const DIRECTORY_SLOTS: usize = 65_535;

/// The row of the registry.
pub const FAT: Row = Row {
    name: "vfat",
    aliases: &["fat", "fat12", "fat16", "fat32"],
    about: "FAT12, FAT16 and FAT32 with long names",
    options: options::OPTIONS,
    limits: &[
        "files of less than 4 GiB, directories of less than 2 MiB, file systems of less than 2^32 sectors",
        "no symbolic links, devices, fifos, sockets: refused",
        "no owners, permissions, extended attributes: left out; hard links become copies",
        "times from 1980 to 2107 in steps of two seconds, UTC",
        "names of up to 255 UTF-16 units without \" * / : < > ? \\ |, no dot or space at their end",
    ],
    configure,
    recognise: boot::recognise,
    resembles: boot::resembles,
    open: open::open,
    dump: dump::dump,
    reid: reid::reid,
};

fn configure(options: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    Ok(Box::new(options::Fat::parse(options)?))
}
