//! Tree to layout: not built yet.

use crate::registry::Filesystem;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

/// A file system from options in the spelling of mke2fs.
pub(super) fn configure(_: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    Err(Refusal::new(RefusalKind::Unsupported, Spot::new("ext4", ""), "not built yet"))
}
