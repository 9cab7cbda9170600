//! Raw: the disk as it is. The one container that is the identity.

use crate::fault::{Damage, Refusal};
use crate::identity::Identity;
use crate::layout::{ContentId, Layout, ReadAt};
use crate::registry::{Disk, OpenedDisk};

/// The row of the registry.
pub const RAW: Disk = Disk {
    name: "raw",
    extension: "raw",
    about: "the disk as it is, sparse where it is zero",
    options: &[],
    lay,
    recognise: |_| true,
    open,
};

fn lay(guest: &Layout, _: &Identity, options: &[String]) -> Result<Layout, Refusal> {
    crate::registry::no_options("raw", options)?;
    Ok(guest.clone())
}

fn open(image: &dyn ReadAt) -> Result<OpenedDisk, Damage> {
    Ok(OpenedDisk { layout: Layout::of_content(ContentId(0), image.len()), damage: Vec::new() })
}
