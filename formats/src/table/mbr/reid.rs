//! A new disk id.

use super::disk::DISK_ID_AT;
use super::open::open_as;
use crate::fault::ReidError;
use crate::identity::Identity;
use crate::layout::{Patch, ReadAt, What};

/// The patches that give a disk with sectors of `sector_size` bytes the `disk-id` of the identity, another than it has: the
/// only id of a table, which those of its partitions (`PARTUUID`) are made of. A disk without one gets one. Fails where
/// anything is wrong with the table.
pub fn reid(image: &dyn ReadAt, sector_size: u32, identity: &Identity) -> Result<Vec<Patch>, ReidError> {
    let opened = open_as(image, sector_size)?;
    if let Some(damage) = opened.damage.into_iter().next() {
        return Err(damage.into());
    }
    let new = identity.distinct_number("disk-id", &[opened.disk_id].into());
    let (old, new) = (opened.disk_id.to_le_bytes(), new.to_le_bytes());
    Ok(Patch::between(DISK_ID_AT, &old, &new, What::new(&"disk id")))
}
