//! ext4: the kernel's documentation, `Documentation/filesystems/ext4`, and e2fsprogs.

pub mod disk;
mod dump;
mod lay;
mod open;

use crate::registry::Row;

/// The row of the registry.
pub const EXT4: Row = Row {
    name: "ext4",
    aliases: &["ext"],
    about: "ext4",
    options: &[],
    limits: &[],
    configure: lay::configure,
    recognise: open::recognise,
    open: open::open,
    dump: dump::dump,
};
