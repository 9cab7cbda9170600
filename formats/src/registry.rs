//! One row per disk container and per partition table. Tests, fuzz targets, help and benches iterate over the rows.

use crate::fault::{Damage, Refusal, RefusalKind, Spot};
use crate::identity::Identity;
use crate::layout::{Layout, ReadAt};
use std::fmt;

/// A reader stops to collect damage here.
pub const MOST_DAMAGE: usize = 1000;

/// A disk container: raw, qcow2.
pub struct Disk {
    /// As in `format="..."` and `--format`.
    pub name: &'static str,
    /// Ending of file names, without the dot.
    pub extension: &'static str,
    /// One line.
    pub about: &'static str,
    /// Options that `lay` takes (`cluster_size=65536`, what it does), as in KIWI's `formatoptions`.
    pub options: &'static [(&'static str, &'static str)],
    /// The guest disk in its container. Unknown options are refused by name.
    pub lay: fn(&Layout, &Identity, &[String]) -> Result<Layout, Refusal>,
    /// Whether the image says that it is one of these; rows are asked in order, raw (which takes all) last.
    pub recognise: fn(&dyn ReadAt) -> bool,
    /// Reads and checks an image. Fails where nothing can be read past.
    pub open: fn(&dyn ReadAt) -> Result<OpenedDisk, Damage>,
    /// Says what every byte of the image is, a line a structure.
    pub dump: fn(&dyn ReadAt, &mut dyn fmt::Write) -> Result<(), Damage>,
}

/// A disk container, read back.
#[derive(Clone, Debug)]
pub struct OpenedDisk {
    /// The guest disk, over the image as its only content (every id in it is the image).
    pub layout: Layout,
    /// Everything that contradicts the format and could be read past. At most [`MOST_DAMAGE`].
    pub damage: Vec<Damage>,
}

/// All disk containers; raw, which recognises everything, last.
pub const DISKS: &[Disk] = &[crate::disk::qcow2::QCOW2, crate::disk::raw::RAW];

/// The container of this name.
pub fn find_disk(name: &str) -> Option<&'static Disk> {
    DISKS.iter().find(|row| row.name == name)
}

/// Refuses all options, for formats that have none.
pub fn no_options(format: &'static str, options: &[String]) -> Result<(), Refusal> {
    match options.first() {
        None => Ok(()),
        Some(option) => {
            let reason = format!("an option that {format} does not have: {option}");
            Err(Refusal::new(RefusalKind::Invalid, Spot::new(format, ""), reason))
        }
    }
}
