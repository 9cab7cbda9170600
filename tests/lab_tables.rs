//! A kernel looks at our partition tables: MBR with logical partitions, both sector sizes, hybrid MBR.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Layout, Memory, ReadAt, Reader};
use diskwright_formats::table::{gpt, mbr};
use diskwright_fstools::registry::{Geometry, find};
use diskwright_fstools::tree::{Kind, Meta, Node, ROOT, Time, Tree};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use support::guest::{Disk, SeenDisk, prepare};

const MIB: u64 = 1 << 20;
const ID: u32 = 0x0123_abcd;

fn identity() -> Identity {
    Identity::new(b"lab tables", 0)
}

/// A file system with an empty file whose name is its partition's number.
fn ext4(number: u32, start: u64, len: u64, sector_size: u32) -> Layout {
    let meta = Meta::of_root(0o755, Time::seconds(1_600_000_000));
    let mut tree = Tree::new(meta);
    tree.add(ROOT, number.to_string().as_bytes(), Node { meta, kind: Kind::file(vec![]) }).unwrap();
    let geometry = Geometry { len, sector_size, hidden_sectors: start / u64::from(sector_size) };
    let filesystem = (find("ext4").unwrap().configure)(&[]).unwrap();
    filesystem.lay(&tree, &geometry, &identity().role(&number.to_string())).unwrap().layout
}

/// Number, start and length of each partition; 2 before 1 on the disk.
const PLACES: [(u32, u64, u64); 5] = [
    (2, MIB, 9 * MIB),
    (1, 10 * MIB, 10 * MIB),
    (5, 21 * MIB, 11 * MIB),
    (6, 34 * MIB, 12 * MIB),
    (7, 47 * MIB, 17 * MIB),
];

fn mbr_disk(sector_size: u32) -> Layout {
    let parts = PLACES.map(|(number, start, len)| {
        let partition = mbr::Partition { number, kind: 0x83, active: number == 1, start, len };
        (partition, ext4(number, start, len, sector_size))
    });
    let options = mbr::Options { len: 64 * MIB, sector_size, disk_id: Some(ID) };
    mbr::lay(&parts, &options, &identity()).unwrap()
}

/// The first two, repeated in the MBR with another type.
fn hybrid_disk() -> Layout {
    let parts: Vec<_> = PLACES[..2]
        .iter()
        .map(|&(number, start, len)| {
            let partition = gpt::Partition {
                number,
                type_guid: gpt::types::LINUX,
                unique_guid: identity().uuid(&number.to_string()),
                name: format!("part {number}"),
                attributes: 0,
                start,
                len,
            };
            (partition, ext4(number, start, len, 512))
        })
        .collect();
    let entry = |number| gpt::HybridEntry { number, kind: 0xef, active: false };
    let hybrid = vec![entry(1), entry(2)];
    let options = gpt::Options { disk_signature: Some(ID), hybrid, ..gpt::Options::new(64 * MIB, 512) };
    gpt::lay(&parts, &options, &identity()).unwrap()
}

fn write_disk(path: &Path, disk: &Layout) {
    let file = File::create(path).unwrap();
    file.set_len(disk.len()).unwrap();
    let contents = Memory::default();
    let reader = Reader::new(disk, &contents);
    for extent in disk.extents() {
        let mut bytes = vec![0; extent.len as usize];
        reader.read_exact_at(extent.start, &mut bytes).unwrap();
        file.write_all_at(&bytes, extent.start).unwrap();
    }
}

/// Each file system is where its partition is, which has its number as the only name.
fn judge(seen: &SeenDisk, places: &[(u32, u64, u64)], id: impl Fn(u32) -> String) {
    for &(number, start, len) in places {
        let partition = seen.partition(number);
        assert_eq!((partition.start, partition.len), (start, len), "{partition:?}");
        assert_eq!(partition.says("PART_ENTRY_UUID"), id(number), "{partition:?}");
        let files: Vec<&String> = partition.files().keys().collect();
        assert_eq!(files, [&format!("./{number}")]);
    }
}

#[test]
fn a_kernel_sees_the_partitions_where_they_were_laid() {
    let Some(guest) = prepare("a_kernel_sees_the_partitions_where_they_were_laid") else { return };
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    write_disk(&path("small"), &mbr_disk(512));
    write_disk(&path("large"), &mbr_disk(4096));
    write_disk(&path("hybrid"), &hybrid_disk());
    let disks = [("small", 512), ("large", 4096), ("hybrid", 512)].map(|(name, sector)| (path(name), sector));
    let disks: Vec<Disk> = disks.iter().map(|(path, sector)| Disk { path, sector: *sector }).collect();
    let seen = guest.look_at(&disks);
    for disk in &seen[..2] {
        assert_eq!((disk.blkid["PTTYPE"].as_str(), disk.blkid["PTUUID"].as_str()), ("dos", "0123abcd"));
        // Linux shows the extended partition, too: a sector of it, or two.
        let numbers: Vec<u32> = disk.partitions.iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1, 2, 4, 5, 6, 7]);
        assert_eq!((disk.partition(4).start, disk.partition(4).len), (20 * MIB, disk.sector.max(1024)));
        judge(disk, &PLACES, |number| format!("0123abcd-{number:02x}"));
        assert_eq!(disk.partition(1).says("PART_ENTRY_FLAGS"), "0x80");
    }
    // A hybrid disk is a GPT disk to Linux.
    assert_eq!(seen[2].blkid["PTTYPE"], "gpt");
    assert_eq!(seen[2].partitions.len(), 2);
    judge(&seen[2], &PLACES[..2], |number| identity().uuid(&number.to_string()).to_string());
}
