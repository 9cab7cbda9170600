//! Image -> guest, with everything that contradicts the format.

use super::check::check_refcounts;
use super::disk::MAGIC;
use super::head::read;
use super::walk::Walk;
use crate::fault::Damage;
use crate::layout::{ContentId, Extent, Layout, ReadAt, Source, What};
use crate::registry::OpenedDisk;

/// Whether the image begins as one.
pub(super) fn recognise(image: &dyn ReadAt) -> bool {
    read::<[u8; 4]>(image, 0, "header").is_ok_and(|magic| magic == MAGIC)
}

/// Reads and checks an image. Compressed clusters are reported as unsupported and read as zero; every other kind of
/// data that does not lie in the file as it is makes it fail.
pub(super) fn open(image: &dyn ReadAt) -> Result<OpenedDisk, Damage> {
    let mut walk = Walk::new(image)?;
    walk.all()?;
    let layout = guest(&walk);
    check_refcounts(&mut walk)?;
    Ok(OpenedDisk { layout, damage: walk.damage })
}

/// The current disk over the image as its content.
fn guest(walk: &Walk<'_>) -> Layout {
    let (cluster, size) = (walk.cluster(), walk.head.header.size.get());
    let what = What::new(&"qcow2 data");
    let extents = walk.runs.iter().filter_map(|&(guest, first, count)| {
        // A cut last cluster of the file reads as zero behind its end.
        let start = guest.checked_mul(cluster).filter(|&start| start < size)?;
        let from = first * cluster;
        let len = (count * cluster).min(size - start).min(walk.image.len() - from);
        Some(Extent { start, len, source: Source::Content(ContentId(0), from), what })
    });
    Layout::new(size, extents.collect(), vec![]).expect("each guest cluster has one entry")
}
