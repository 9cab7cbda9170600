//! A new UUID: sixteen bytes, and no checksum over them.

use super::disk::at;
use super::open::area;
use diskwright_formats::fault::ReidError;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Patch, ReadAt, What};

/// The patches that give the image the UUID of `identity`.
pub(super) fn reid(image: &dyn ReadAt, identity: &Identity) -> Result<Vec<Patch>, ReidError> {
    let area = area(image)?;
    if let Some(damage) = area.damage.into_iter().next() {
        return Err(damage.into());
    }
    let uuid = identity.uuid("uuid");
    Ok(Patch::between(at!(uuid), &area.header.uuid, uuid.as_bytes(), What::new(&"swap uuid")))
}
