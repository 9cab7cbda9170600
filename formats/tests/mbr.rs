//! MBR against sfdisk, fdisk, parted, another reader, planted faults and hostile bytes.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod oracle;

use diskwright_formats::fault::RefusalKind;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Extent, Layout, Memory, What};
use diskwright_formats::table::mbr::{self, Options, Partition, types};
use oracle::{run, tool, write_sparse};
use std::path::Path;

const MIB: u64 = 1 << 20;

fn identity() -> Identity {
    Identity::new(b"mbr tests", 0)
}

fn options(len: u64, sector_size: u32) -> Options {
    Options { len, sector_size, disk_id: Some(0x1122_3344) }
}

fn partition(number: u32, kind: u8, start: u64, len: u64) -> (Partition, Layout) {
    let extent = Extent::of_bytes(0, vec![number as u8; 512], What::new(&"content"));
    let partition = Partition { number, kind, active: false, start, len };
    (partition, Layout::new(len, vec![extent], vec![]).unwrap())
}

/// The same without a byte of content.
fn empty(parts: Vec<(Partition, Layout)>) -> Vec<(Partition, Layout)> {
    parts.into_iter().map(|(partition, layout)| (partition, Layout::empty(layout.len()))).collect()
}

/// Three primary partitions, the first active, and three logical ones to the end of the disk.
fn six(len: u64) -> Vec<(Partition, Layout)> {
    let mut parts = vec![
        partition(1, types::LINUX, MIB, 20 * MIB),
        partition(2, types::SWAP, 21 * MIB, 10 * MIB),
        partition(3, types::LVM, 31 * MIB, 5 * MIB),
        partition(5, types::LINUX, 37 * MIB, 10 * MIB),
        partition(6, types::LINUX, 48 * MIB, 7 * MIB),
        partition(7, types::RAID, 56 * MIB, len - 56 * MIB),
    ];
    parts[0].0.active = true;
    parts
}

/// Runs sfdisk with a script on a new file of `len` bytes.
fn sfdisk_writes(sfdisk: &Path, path: &Path, len: u64, script: &str) {
    std::fs::File::create(path).unwrap().set_len(len).unwrap();
    let shell = format!("printf '{script}' | {} --quiet {}", sfdisk.display(), path.display());
    run("sh".as_ref(), &["-c".as_ref(), shell.as_ref()]);
}

#[test]
fn sfdisk_writes_the_same_bytes() {
    let Some(sfdisk) = tool("sfdisk_writes_the_same_bytes", "sfdisk", "fdisk") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let len = 256 * MIB;
    write_sparse(
        &ours,
        &mbr::lay(&empty(six(len)), &options(len, 512), &identity()).unwrap(),
        &Memory::default(),
    );
    let script = "label: dos\\nlabel-id: 0x11223344\\nsize=20M, type=83, bootable\\nsize=10M, type=82\\n\
                  size=5M, type=8e\\ntype=5\\nsize=10M, type=83\\nsize=7M, type=83\\ntype=fd\\n";
    sfdisk_writes(&sfdisk, &theirs, len, script);
    assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap());
}

#[test]
fn what_the_table_cannot_hold_is_refused() {
    let len = 256 * MIB;
    let mut parts = six(len);
    parts[1].0.active = true;
    let refusal = mbr::lay(&parts, &options(len, 512), &identity()).unwrap_err();
    assert_eq!((refusal.kind, refusal.spot.object.as_str()), (RefusalKind::Invalid, "partition 2"));
    assert_eq!(refusal.reason, "active, as another partition is: 1");
}
