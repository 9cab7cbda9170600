//! Image to tree: not built yet.

use crate::registry::Opened;
use diskwright_formats::fault::{Damage, DamageKind, Spot};
use diskwright_formats::layout::ReadAt;

/// Whether the image says that it is one of ours.
pub(super) fn recognise(_: &dyn ReadAt) -> bool {
    false
}

/// Reads and checks an image.
pub(super) fn open(_: &dyn ReadAt) -> Result<Opened, Damage> {
    Err(Damage::new(DamageKind::Unsupported, Spot::new("ext4", ""), 0, "", ""))
}
