//! Raw: the disk as it is. The one container that is the identity.

use crate::dump::Tiles;
use crate::fault::{Damage, Refusal};
use crate::identity::Identity;
use crate::layout::{ContentId, Layout, ReadAt};
use crate::registry::{Disk, OpenedDisk};
use std::fmt;

/// The row of the registry.
pub const RAW: Disk = Disk {
    name: "raw",
    extension: "raw",
    about: "the disk as it is, sparse where it is zero",
    options: &[],
    lay,
    recognise: |_| true,
    open,
    dump,
};

fn lay(guest: &Layout, _: &Identity, options: &[String]) -> Result<Layout, Refusal> {
    crate::registry::no_options("raw", options)?;
    Ok(guest.clone())
}

fn open(image: &dyn ReadAt) -> Result<OpenedDisk, Damage> {
    Ok(OpenedDisk { layout: Layout::of_content(ContentId(0), image.len()), damage: Vec::new() })
}

fn dump(image: &dyn ReadAt, out: &mut dyn fmt::Write) -> Result<(), Damage> {
    let mut tiles = Tiles::default();
    tiles.add(0, image.len(), "raw disk");
    tiles.write(image, out)
}
