//! FAT: not built yet.

use crate::registry::{Filesystem, Opened, Row};
use diskwright_formats::fault::{Damage, DamageKind, Refusal, RefusalKind, Spot};
use diskwright_formats::layout::ReadAt;
use std::fmt;

/// The row of the registry.
pub const FAT: Row = Row {
    name: "vfat",
    aliases: &["fat", "fat12", "fat16", "fat32"],
    about: "FAT",
    options: &[],
    limits: &[],
    configure,
    recognise: |_| false,
    open,
    dump,
};

fn configure(_: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    Err(Refusal::new(RefusalKind::Unsupported, Spot::new("vfat", ""), "not built yet"))
}

fn open(_: &dyn ReadAt) -> Result<Opened, Damage> {
    Err(Damage::new(DamageKind::Unsupported, Spot::new("vfat", ""), 0, "", ""))
}

fn dump(_: &dyn ReadAt, _: &mut dyn fmt::Write) -> Result<(), Damage> {
    Err(Damage::new(DamageKind::Unsupported, Spot::new("vfat", ""), 0, "", ""))
}
