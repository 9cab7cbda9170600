//! `inspect` and `check` of disks with an MBR, and with a GPT whose MBR is hybrid.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Layout, Memory, ReadAt, Reader};
use diskwright_formats::table::{gpt, mbr};
use diskwright_fstools::registry::{Geometry, find};
use diskwright_fstools::tree::{Kind, Meta, Node, ROOT, Time, Tree};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use support::*;

const MIB: u64 = 1 << 20;

fn identity() -> Identity {
    Identity::new(b"tables", 0)
}

/// A file system with one file in a partition.
fn filesystem(row: &str, number: u32, start: u64, len: u64, sector_size: u32) -> Layout {
    let meta = Meta::of_root(0o755, Time::seconds(1_600_000_000));
    let mut tree = Tree::new(meta);
    let name = format!("file of {number}");
    tree.add(ROOT, name.as_bytes(), Node { meta, kind: Kind::file(b"text\n".to_vec()) }).unwrap();
    let geometry = Geometry { len, sector_size, hidden_sectors: start / u64::from(sector_size) };
    let filesystem = (find(row).unwrap().configure)(&[]).unwrap();
    filesystem.lay(&tree, &geometry, &identity().role(&number.to_string())).unwrap().layout
}

/// Writes a layout as a file with holes.
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

/// ESP, an empty partition, and two logical ones.
fn mbr_disk(path: &Path, sector_size: u32) {
    let part = |number, kind, start: u64, len: u64, row: Option<&str>| {
        let layout = row.map_or(Layout::empty(len), |row| filesystem(row, number, start, len, sector_size));
        (mbr::Partition { number, kind, active: number == 1, start, len }, layout)
    };
    let parts = [
        part(1, mbr::types::ESP, MIB, 40 * MIB, Some("vfat")),
        part(2, mbr::types::SWAP, 41 * MIB, MIB, None),
        part(5, mbr::types::LINUX, 43 * MIB, 20 * MIB, Some("ext4")),
        part(6, mbr::types::LINUX, 64 * MIB, 20 * MIB, Some("ext2")),
    ];
    let options = mbr::Options { len: 90 * MIB, sector_size, disk_id: Some(0x0123_abcd) };
    write_disk(path, &mbr::lay(&parts, &options, &identity()).unwrap());
}

fn inspected(path: &Path) -> Value {
    let json = diskwright(["inspect".as_ref(), "--json".as_ref(), path.as_os_str()]).ends(0).stdout;
    serde_json::from_str(&json).unwrap()
}

#[test]
fn an_mbr_disk_is_inspected_with_its_volumes() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("disk.raw");
    for sector_size in [512, 4096] {
        mbr_disk(&path, sector_size);
        let json = inspected(&path);
        let table = json!({
            "kind": "mbr",
            "disk_id": "0x0123abcd",
            "sector_bytes": sector_size,
            "extended": { "number": 4, "type": "05", "start": 42 * MIB, "bytes": 48 * MIB },
        });
        assert_eq!((&json["table"], &json["faults"]), (&table, &json!(0)), "{json:#}");
        let partition = json!({
            "number": 5,
            "start": 43 * MIB,
            "bytes": 20 * MIB,
            "type": "83",
            "active": false,
            "partuuid": "0123abcd-05",
        });
        assert_eq!(json["volumes"][2]["partition"], partition);
        assert_eq!(json["volumes"][2]["within"], "partition 5");
        let kinds: Vec<&Value> =
            json["volumes"].as_array().unwrap().iter().map(|it| &it["filesystem"]["kind"]).collect();
        assert_eq!(kinds, [&json!("vfat"), &Value::Null, &json!("ext4"), &json!("ext2")]);
        let text = diskwright(["inspect".as_ref(), path.as_os_str()]).ends(0).stdout;
        let line = format!("table: mbr 0x0123abcd, sectors of {sector_size} bytes, extended partition 4");
        assert!(text.contains(&line) && text.contains("efi system (active)"), "{text}");
        let map = diskwright(["inspect".as_ref(), "--map".as_ref(), path.as_os_str()]).ends(0).stdout;
        assert!(
            map.contains("# mbr on the disk\n") && map.contains("ebr 6: record 1: type 83 linux"),
            "{map}"
        );
        assert!(map.contains("# ext2 in partition 6\n"), "{map}");
        let files = diskwright(["inspect".as_ref(), "--files".as_ref(), path.as_os_str()]).ends(0).stdout;
        assert!(files.contains("# partition 6\n") && files.contains("/file\\x20of\\x205"), "{files}");
    }
}

#[test]
fn an_mbr_disk_is_checked_layer_by_layer() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("disk.raw");
    mbr_disk(&path, 512);
    let checked = diskwright(["check".as_ref(), path.as_os_str()]).ends(0).stdout;
    let layers =
        "clean: raw, mbr (4 partitions), vfat in partition 1, ext4 in partition 5, ext2 in partition 6";
    assert!(checked.contains(layers), "{checked}");
    assert!(checked.contains("not checked, no known file system: partition 2"), "{checked}");
    // The link of the first EBR leads back to it.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 4], 42 * MIB + 470).unwrap();
    let checked = diskwright(["check".as_ref(), path.as_os_str()]).ends(1).stdout;
    let line = format!(
        "disk: mbr: ebr 6: at byte {}: expected a next ebr that is not one of those before, found lba 86016",
        42 * MIB + 470
    );
    assert!(checked.contains(&line), "{checked}");
    // A fault inside a volume is named with its partition.
    mbr_disk(&path, 512);
    file.write_all_at(&[0xff; 4], 43 * MIB + 1024 + 4).unwrap();
    let checked = diskwright(["check".as_ref(), path.as_os_str()]).ends(1).stdout;
    assert!(checked.contains("  partition 5: ext4: "), "{checked}");
}

/// With 4096-byte sectors the start of KIWI's first partition is at 8 MiB: as a table of 512-byte sectors that is as
/// good, and only what is in the partition tells them apart.
#[test]
fn what_is_in_a_partition_tells_the_sector_size() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("disk.raw");
    for sector_size in [512, 4096] {
        let (start, len) = (8 * MIB * u64::from(sector_size) / 4096, 4 * MIB);
        let partition = mbr::Partition { number: 1, kind: 0x83, active: false, start, len };
        let layout = filesystem("ext2", 1, start, len, sector_size);
        let options = mbr::Options { len: 200 * MIB, sector_size, disk_id: None };
        write_disk(&path, &mbr::lay(&[(partition, layout)], &options, &identity()).unwrap());
        let json = inspected(&path);
        assert_eq!(json["table"]["sector_bytes"], sector_size, "{json:#}");
        assert_eq!(json["volumes"][0]["filesystem"]["kind"], "ext2");
        assert_eq!(json["volumes"][0]["partition"]["start"], start);
    }
}

#[test]
fn a_gpt_with_a_hybrid_mbr_stays_a_gpt() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("disk.raw");
    let part = |number: u32, name: &str, start: u64| {
        let partition = gpt::Partition {
            number,
            type_guid: gpt::types::LINUX,
            unique_guid: identity().uuid(name),
            name: name.to_owned(),
            attributes: 0,
            start,
            len: 20 * MIB,
        };
        (partition, filesystem("ext4", number, start, 20 * MIB, 512))
    };
    let parts = [part(1, "boot", MIB), part(2, "root", 21 * MIB)];
    let plain = gpt::Options::new(64 * MIB, 512);
    write_disk(&path, &gpt::lay(&parts, &plain, &identity()).unwrap());
    let json = inspected(&path);
    let guid = identity().uuid("guid").to_string();
    assert_eq!(json["table"], json!({ "kind": "gpt", "guid": guid, "sector_bytes": 512 }));
    let partition = json!({
        "number": 2,
        "name": "root",
        "start": 21 * MIB,
        "bytes": 20 * MIB,
        "type_guid": gpt::types::LINUX.to_string(),
        "guid": identity().uuid("root").to_string(),
    });
    assert_eq!(json["volumes"][1]["partition"], partition);

    let entry = |number, kind| gpt::HybridEntry { number, kind, active: false };
    let hybrid = vec![entry(2, 0x83), entry(1, 0xea)];
    let options = gpt::Options { disk_signature: Some(0x5358_326c), hybrid, ..plain };
    write_disk(&path, &gpt::lay(&parts, &options, &identity()).unwrap());
    let json = inspected(&path);
    let repeated = json!([
        { "number": 2, "type": "83", "active": false },
        { "number": 1, "type": "ea", "active": false },
    ]);
    assert_eq!((&json["table"]["kind"], &json["table"]["hybrid"]), (&json!("gpt"), &repeated), "{json:#}");
    assert_eq!((&json["table"]["disk_id"], &json["faults"]), (&json!("0x5358326c"), &json!(0)));
    assert_eq!(json["volumes"].as_array().unwrap().len(), 2);
    let text = diskwright(["inspect".as_ref(), path.as_os_str()]).ends(0).stdout;
    assert!(text.contains(", hybrid mbr with 2, 1\n"), "{text}");
    // A record that disagrees.
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[9], 462 + 8).unwrap();
    let checked = diskwright(["check".as_ref(), path.as_os_str()]).ends(1).stdout;
    let line = "disk: gpt: protective mbr: at byte 462: expected an unused record, or a partition of the gpt, found type 83";
    assert!(checked.contains(line), "{checked}");
}

/// The disk id is the only id of an MBR: with it the PARTUUIDs change, and four bytes of the disk.
#[test]
fn an_mbr_disk_gets_a_new_disk_id() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("disk.raw");
    mbr_disk(&path, 4096);
    let before = std::fs::read(&path).unwrap();
    let json = diskwright(["reid".as_ref(), "--json".as_ref(), path.as_os_str()]).ends(0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let after = std::fs::read(&path).unwrap();
    let changed: Vec<usize> = (0..before.len()).filter(|&byte| before[byte] != after[byte]).collect();
    assert!(!changed.is_empty() && changed.iter().all(|byte| (440..444).contains(byte)), "{changed:?}");
    let id = format!("{:08x}", u32::from_le_bytes(after[440..444].try_into().unwrap()));
    let changes = json["changes"].as_array().unwrap();
    let told = |index: usize| [&changes[index]["object"], &changes[index]["old"], &changes[index]["new"]];
    assert_eq!(told(0), [&json!("mbr"), &json!("0123abcd"), &json!(id)]);
    assert_eq!(
        told(4),
        [&json!("partition 6"), &json!("0123abcd-06"), &json!(format!("{id}-06"))],
        "{json:#}"
    );
    let json = inspected(&path);
    assert_eq!((&json["table"]["disk_id"], &json["faults"]), (&json!(format!("0x{id}")), &json!(0)));
    if let Some(blkid) = oracle("an_mbr_disk_gets_a_new_disk_id", "blkid") {
        let said = tool(blkid, ["-p".as_ref(), "-o".as_ref(), "export".as_ref(), path.as_os_str()]);
        assert!(said.contains(&format!("PTUUID={id}")) && said.contains("PTTYPE=dos"), "{said}");
    }
    // Done again, there is another one.
    diskwright(["reid".as_ref(), path.as_os_str()]).ends(0);
    assert_ne!(std::fs::read(&path).unwrap()[440..444], after[440..444]);
    // A table that is damaged is left alone.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[1], 446).unwrap();
    let refused = diskwright(["reid".as_ref(), path.as_os_str()]).ends(1).stderr;
    assert!(refused.contains("mbr: mbr: at byte 446"), "{refused}");
}
