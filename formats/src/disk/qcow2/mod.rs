//! qcow2: not built yet.

use crate::fault::{Damage, DamageKind, Refusal, RefusalKind, Spot};
use crate::registry::Disk;

/// The row of the registry.
pub const QCOW2: Disk = Disk {
    name: "qcow2",
    extension: "qcow2",
    about: "QEMU copy-on-write, version 3",
    options: &[],
    lay: |_, _, _| Err(Refusal::new(RefusalKind::Unsupported, Spot::new("qcow2", ""), "not built yet")),
    recognise: |_| false,
    open: |_| Err(Damage::new(DamageKind::Unsupported, Spot::new("qcow2", ""), 0, "", "")),
    dump: |_, _| Err(Damage::new(DamageKind::Unsupported, Spot::new("qcow2", ""), 0, "", "")),
};
