//! qcow2, versions 2 and 3. QEMU's docs/interop/qcow2 ("The qcow2 disk image format").
//!
//! What is laid is version 3 without compression, in clusters of `cluster_size` bytes:
//!
//! ```text
//! header            1 cluster, 104 bytes in use
//! refcount table    position of each refcount block
//! refcount blocks   16 bits for each cluster of the file, all 1
//! L1 table          position of each L2 table, 0 where the guest has no data
//! L2 tables         position of each guest cluster; only those needed
//! data              the guest clusters that an extent touches, in guest order
//! ```
//!
//! Every position is known before a byte moves, so the image is emitted from front to end in one pass. The data is the
//! guest's own layout seen through windows: no extent is copied.
//!
//! What is opened is any image of versions 2 and 3 whose data lies in itself. Everything is ours: the crates that read
//! qcow2 want a file of their own and check no refcounts (one serves as an oracle in the tests).

mod bitmaps;
mod check;
mod claim;
mod disk;
mod dump;
mod head;
mod lay;
mod map;
mod open;
mod options;
mod walk;

use crate::registry::Disk;

/// The row of the registry.
pub const QCOW2: Disk = Disk {
    name: "qcow2",
    extension: "qcow2",
    about: "QEMU copy-on-write, version 3",
    options: options::OPTIONS,
    lay: lay::lay,
    recognise: open::recognise,
    open: open::open,
    dump: dump::dump,
};

/// Cluster sizes as powers of two: 512 bytes to 2 MiB, as QEMU has them.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// QEMU opens no longer L1 table, in bytes.
const LONGEST_L1: u64 = 32 << 20;
/// QEMU opens no longer refcount table, in bytes.
const LONGEST_REFCOUNT_TABLE: u64 = 8 << 20;
/// QEMU opens no more snapshots.
const MOST_SNAPSHOTS: u32 = 65536;
