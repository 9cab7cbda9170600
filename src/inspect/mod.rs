//! Any image back to layouts and trees: container, partition table, file systems.
//!
//! An image is read from the outside in. Each layer reports its own [`Damage`] with positions in what *it* sees: a
//! container in the file, a table on the disk, a file system in its partition; [`Fault`] says which.

pub mod clones;
mod file;
mod reid;
mod table;

pub use file::ImageFile;
pub use reid::{Change, Changed, Mention, Unchangeable, ids, mentions, reid};
pub use table::{Kind, Partition, Table};

use diskwright_formats::fault::{Damage, DamageKind, Spot};
use diskwright_formats::layout::{Layout, OneFile, ReadAt, Reader, Window};
use diskwright_formats::registry::{DISKS, Disk};
use diskwright_fstools::registry::{Opened, ROWS, Row};

/// Damage and the layer that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the damage's offset counts in: `file`, `disk`, `partition 2 (root)`.
    pub within: String,
    /// The damage.
    pub damage: Damage,
}

/// A file system and where it was found.
pub struct Volume {
    /// `disk`, `partition 2 (root)`, or `partition 2` in a table without names.
    pub within: String,
    /// Its partition on the disk; `None` for a bare file system.
    pub partition: Option<Partition>,
    /// The file system, if it is one that has a row and could be read.
    pub found: Option<(&'static Row, Opened)>,
}

/// An image, read from the outside in.
pub struct Inspected {
    /// The container.
    pub container: &'static Disk,
    /// Length of the file in bytes.
    pub file_len: u64,
    /// The disk, over the file.
    pub disk: Layout,
    /// The partition table.
    pub table: Option<Table>,
    /// One volume a partition, or one for the whole disk.
    pub volumes: Vec<Volume>,
    /// All damage of all layers.
    pub faults: Vec<Fault>,
}

/// Reads an image. Fails only when its outermost layer cannot be read at all; everything else is a [`Fault`].
pub fn inspect(image: &dyn ReadAt) -> Result<Inspected, Damage> {
    let container =
        DISKS.iter().find(|row| (row.recognise)(image)).expect("raw, the last row, takes everything");
    let opened = (container.open)(image)?;
    let mut faults = faults("file", opened.damage);
    let contents = OneFile(image);
    let disk = Reader::new(&opened.layout, &contents);
    let table = match Table::open(&disk) {
        None => None,
        Some(Ok(mut table)) => {
            faults.extend(self::faults("disk", table.take_damage()));
            Some(table)
        }
        Some(Err(damage)) => {
            faults.push(Fault { within: "disk".to_owned(), damage });
            None
        }
    };
    let mut volumes = Vec::new();
    match &table {
        None => volumes.push(volume("disk".to_owned(), None, &disk, &mut faults)),
        Some(table) => {
            for partition in table.partitions() {
                let end = partition.start.saturating_add(partition.len);
                // A partition behind the end of the disk is damage that the table has reported.
                if let Some(window) = Window::new(&disk, partition.start..end) {
                    volumes.push(volume(partition.title(), Some(partition), &window, &mut faults));
                }
            }
        }
    }
    let disk = opened.layout.clone();
    if table.is_none() && volumes.iter().all(|volume| volume.found.is_none()) && faults.is_empty() {
        let spot = Spot::new(container.name, "");
        let expected = "a GPT, an MBR or one of the known file systems";
        let damage = Damage::new(DamageKind::Unsupported, spot, 0, expected, "none of them");
        faults.push(Fault { within: "disk".to_owned(), damage });
    }
    Ok(Inspected { container, file_len: image.len(), disk, table, volumes, faults })
}

fn faults(within: &str, damage: Vec<Damage>) -> Vec<Fault> {
    damage.into_iter().map(|damage| Fault { within: within.to_owned(), damage }).collect()
}

fn volume(
    within: String,
    partition: Option<Partition>,
    image: &dyn ReadAt,
    faults: &mut Vec<Fault>,
) -> Volume {
    let recognised = ROWS.iter().find(|row| (row.recognise)(image));
    let row = recognised.or_else(|| ROWS.iter().find(|row| (row.resembles)(image)));
    let found = row.and_then(|row| match (row.open)(image) {
        Ok(mut opened) => {
            faults.extend(self::faults(&within, std::mem::take(&mut opened.damage)));
            Some((row, opened))
        }
        Err(damage) => {
            faults.push(Fault { within: within.clone(), damage });
            None
        }
    });
    Volume { within, partition, found }
}
