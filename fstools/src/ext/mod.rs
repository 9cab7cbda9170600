//! ext4: not built yet.

use crate::registry::{Filesystem, Opened, Row};
use diskwright_formats::fault::{Damage, DamageKind, Refusal, RefusalKind, Spot};
use diskwright_formats::layout::ReadAt;
use std::fmt;

/// The row of the registry.
pub const EXT4: Row = Row {
    name: "ext4",
    aliases: &["ext"],
    about: "ext4",
    options: &[],
    limits: &[],
    configure,
    recognise: |_| false,
    open,
    dump,
};

fn configure(_: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    Err(Refusal::new(RefusalKind::Unsupported, Spot::new("ext4", ""), "not built yet"))
}

fn open(_: &dyn ReadAt) -> Result<Opened, Damage> {
    Err(Damage::new(DamageKind::Unsupported, Spot::new("ext4", ""), 0, "", ""))
}

fn dump(_: &dyn ReadAt, _: &mut dyn fmt::Write) -> Result<(), Damage> {
    Err(Damage::new(DamageKind::Unsupported, Spot::new("ext4", ""), 0, "", ""))
}
