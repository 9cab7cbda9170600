//! `diskwright reid` from outside: disks and bare file systems, raw and in a container.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use support::{Run, command, oracle, run, small_tree, tool, write};
use tempfile::TempDir;

struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder with a tree that has an fstab, and a disk of it in `format`.
    fn with_disk(format: &str) -> (Place, PathBuf) {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        small_tree(&place.path("tree"));
        support::boot_files(&place.path("tree"));
        let disk = place.path(&format!("disk.{format}"));
        place.run(&["create", "--root", "tree", "--owner", "0:0", "-o", disk.to_str().unwrap()]).ends(0);
        (place, disk)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        run(command(arguments).current_dir(self.folder.path()))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[&["--json"], arguments].concat()).ends(0);
        serde_json::from_str(&run.stdout).unwrap()
    }
}

fn changes(report: &Value) -> Vec<(String, String, String, String)> {
    let text = |change: &Value, field: &str| change[field].as_str().unwrap().to_owned();
    let changes = report["changes"].as_array().unwrap().iter();
    changes.map(|it| (text(it, "level"), text(it, "object"), text(it, "old"), text(it, "new"))).collect()
}

/// The byte ranges of all changes.
fn ranges(report: &Value) -> Vec<(usize, usize)> {
    let of = |range: &Value| {
        let number = |name: &str| range[name].as_u64().unwrap() as usize;
        (number("start"), number("len"))
    };
    let changes = report["changes"].as_array().unwrap().iter();
    changes.flat_map(|change| change["ranges"].as_array().unwrap().iter().map(of)).collect()
}

/// Every byte that differs lies in a range, and every range has one.
fn assert_ranges(before: &Path, after: &Path, report: &Value) {
    let (before, after) = (std::fs::read(before).unwrap(), std::fs::read(after).unwrap());
    assert_eq!(before.len(), after.len());
    let mut rest = before.clone();
    for (start, len) in ranges(report) {
        assert!(before[start..start + len] != after[start..start + len], "{start}+{len} has not changed");
        rest[start..start + len].copy_from_slice(&after[start..start + len]);
    }
    assert!(rest == after, "something has changed beyond the ranges");
}

#[test]
fn a_copied_disk_gets_guids_of_its_own() {
    let (place, disk) = Place::with_disk("raw");
    std::fs::set_permissions(&disk, PermissionsExt::from_mode(0o640)).unwrap();
    let copy = place.path("copy.raw");
    let before = place.path("before.raw");
    for path in [&copy, &before] {
        tool("cp", ["--sparse=always".as_ref(), disk.as_os_str(), path.as_os_str()]);
    }
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o640)).unwrap();
    let allocated = std::fs::metadata(&copy).unwrap().blocks();
    let report = place.json(&["reid", "copy.raw"]);
    assert_eq!(report["output"], "copy.raw");
    let found = changes(&report);
    let levels: Vec<&str> = found.iter().map(|change| change.0.as_str()).collect();
    assert_eq!(levels, ["disk", "partition", "partition"]);
    assert!(found.iter().all(|(_, _, old, new)| old != new), "{found:?}");
    assert_ranges(&before, &copy, &report);
    let now = std::fs::metadata(&copy).unwrap();
    assert_eq!(now.permissions().mode() & 0o7777, 0o640, "the mode stays");
    assert!(now.blocks() <= allocated + 16, "{} blocks of {allocated}: holes stay", now.blocks());
    place.run(&["check", "copy.raw"]).ends(0);
    if let Some(sgdisk) = oracle("a_copied_disk_gets_guids_of_its_own", "sgdisk") {
        let said = tool(&sgdisk, ["-v".as_ref(), copy.as_os_str()]);
        assert!(said.contains("No problems found"), "{said}");
        let said = tool(&sgdisk, ["-p".as_ref(), copy.as_os_str()]);
        assert!(said.contains(&found[0].3.to_uppercase()), "{said}");
    }
    // The same image gets the same ids, and done again, others.
    place.run(&["reid", "disk.raw", "-o", "other.raw"]).ends(0);
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(place.path("other.raw")).unwrap());
    assert!(std::fs::read(&disk).unwrap() == std::fs::read(&before).unwrap(), "-o leaves the image alone");
    let again = changes(&place.json(&["reid", "copy.raw"]));
    assert!(
        again
            .iter()
            .zip(&found)
            .all(|(again, first)| again.2 == first.3 && again.3 != first.3 && again.3 != first.2)
    );
    // A seed says which ids; with the same one nothing is left to change.
    let seeded = changes(&place.json(&["--seed", "a", "reid", "copy.raw"]));
    assert_ne!(seeded[0].3, changes(&place.json(&["--seed", "b", "reid", "-n", "copy.raw"]))[0].3);
    let same = place.json(&["--seed", "a", "reid", "copy.raw"]);
    assert!(same["output"].is_null() && ranges(&same).is_empty(), "{same}");
}

#[test]
fn file_systems_of_a_disk_change_where_that_is_asked_for() {
    let (place, disk) = Place::with_disk("raw");
    let report = place.json(&["reid", "disk.raw", "--filesystems", "-o", "copy.raw"]);
    assert_ranges(&disk, &place.path("copy.raw"), &report);
    let found = changes(&report);
    let filesystems: Vec<_> = found.iter().filter(|change| change.0 == "filesystem").collect();
    assert_eq!(filesystems.len(), 2, "{found:?}");
    place.run(&["check", "copy.raw"]).ends(0);
    // What it says is what is found there.
    let there = place.json(&["inspect", "copy.raw"]);
    let ids: Vec<&str> = there["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["filesystem"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, filesystems.iter().map(|change| change.3.as_str()).collect::<Vec<_>>());
    // The fstab in the image names the old ones: that is said, with its path.
    let mentions = report["mentions"].as_array().unwrap();
    let root = filesystems.iter().find(|change| change.1.contains("root")).unwrap();
    let named = |it: &&Value| {
        it["path"] == "/etc/fstab" && it["id"] == root.2.as_str() && it["within"] == root.1.as_str()
    };
    assert!(mentions.iter().any(|it| named(&it)), "{mentions:?}");
    let said = place.run(&["reid", "disk.raw", "--filesystems", "-n"]).ends(0).stderr;
    assert!(
        said.contains("/etc/fstab names") && said.contains("warning: what names file systems by UUID"),
        "{said}"
    );
    let said = place.run(&["reid", "disk.raw", "-n"]).ends(0).stderr;
    assert!(said.contains("file systems keep their ids") && !said.contains("fstab names"), "{said}");
}

#[test]
fn a_container_is_laid_again() {
    let test = "a_container_is_laid_again";
    let (place, disk) = Place::with_disk("qcow2");
    let report = place.json(&["reid", "disk.qcow2", "--filesystems", "-o", "copy.qcow2"]);
    place.run(&["check", "copy.qcow2"]).ends(0);
    let Some(qemu) = oracle(test, "qemu-img") else { return };
    tool(&qemu, ["check".as_ref(), place.path("copy.qcow2").as_os_str()]);
    // Ranges count on the disk, not in the file.
    for (from, to) in [(disk.as_path(), "a.raw"), (&place.path("copy.qcow2"), "b.raw")] {
        tool(
            &qemu,
            ["convert".as_ref(), "-O".as_ref(), "raw".as_ref(), from.as_os_str(), place.path(to).as_os_str()],
        );
    }
    assert_ranges(&place.path("a.raw"), &place.path("b.raw"), &report);
    // The disk in a container gets the ids that it gets without one.
    place.run(&["reid", "a.raw", "--filesystems", "-o", "c.raw"]).ends(0);
    assert!(std::fs::read(place.path("b.raw")).unwrap() == std::fs::read(place.path("c.raw")).unwrap());
    place.run(&["reid", "disk.qcow2"]).ends(0);
    place.run(&["check", "disk.qcow2"]).ends(0);
}

#[test]
fn an_mbr_gets_another_disk_id() {
    let place = Place { folder: tempfile::tempdir().unwrap() };
    let attributes = "image=\"oem\" filesystem=\"ext4\" firmware=\"bios\" efiparttable=\"msdos\"";
    let inner = "<bootloader name=\"custom\"/><oemconfig><oem-resize>false</oem-resize></oemconfig>";
    support::description(&place.path("d"), attributes, inner);
    write(place.path("d/root/etc/hostname"), "small\n");
    place.run(&["build", "d", "-o", "out"]).ends(0);
    let disk = place.path("out/test-image.x86_64-1.2.3.raw");
    let of = disk.to_str().unwrap();
    let report = place.json(&["reid", of, "-o", "copy.raw"]);
    assert_ranges(&disk, &place.path("copy.raw"), &report);
    let found = changes(&report);
    assert_eq!((found.len(), found[0].0.as_str(), found[0].1.as_str()), (2, "disk", "mbr"));
    // Linux names a partition of an MBR by the disk's id and its number.
    assert_eq!((found[1].0.as_str(), found[1].3.clone()), ("partition", format!("{}-01", found[0].3)));
    place.run(&["check", "copy.raw"]).ends(0);
    if let Some(sfdisk) = oracle("an_mbr_gets_another_disk_id", "sfdisk") {
        let said = tool(&sfdisk, ["--disk-id".as_ref(), place.path("copy.raw").as_os_str()]);
        assert_eq!(said.trim(), format!("0x{}", found[0].3));
    }
    let mut damaged = std::fs::read(&disk).unwrap();
    damaged[446 + 12..446 + 16].copy_from_slice(&[0xff; 4]);
    write(place.path("damaged.raw"), &damaged);
    let said = place.run(&["reid", "damaged.raw"]).ends(1).stderr;
    assert!(said.contains("mbr: ") && said.contains("hint: diskwright check"), "{said}");
    assert!(std::fs::read(place.path("damaged.raw")).unwrap() == damaged);
}

#[test]
fn bare_file_systems() {
    let place = Place { folder: tempfile::tempdir().unwrap() };
    small_tree(&place.path("tree"));
    std::fs::create_dir(place.path("none")).unwrap();
    std::fs::create_dir_all(place.path("plain/EFI")).unwrap();
    for (name, tree) in [
        ("ext4", "tree"),
        ("ext3", "tree"),
        ("ext2", "tree"),
        ("fat16", "plain"),
        ("fat32", "plain"),
        ("swap", "none"),
    ] {
        let (image, copy) = (format!("{name}.img"), format!("{name}.copy"));
        place.run(&["mkfs", "--owner", "0:0", "--size", "48M", name, tree, &image]).ends(0);
        let report = place.json(&["reid", &image, "-o", &copy]);
        assert_ranges(&place.path(&image), &place.path(&copy), &report);
        let found = changes(&report);
        assert_eq!((found.len(), found[0].0.as_str()), (1, "filesystem"), "{name}");
        let there = place.json(&["inspect", &copy]);
        assert_eq!(there["volumes"][0]["filesystem"]["id"], found[0].3.as_str(), "{name}");
        place.run(&["check", &copy]).ends(0);
    }
}

#[test]
fn what_has_no_ids_or_cannot_be_trusted_is_refused() {
    let (place, disk) = Place::with_disk("raw");
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        let run = place.run(&[&["reid"], arguments].concat()).ends(code);
        words.iter().for_each(|words| assert!(run.stderr.contains(words), "{words} in {}", run.stderr));
    };
    write(place.path("noise"), support::noise(1, 100_000));
    refused(
        &["noise"],
        1,
        &["neither a partition table nor a file system", "hint: ext2, ext3, ext4, FAT and swap"],
    );
    write(place.path("empty"), b"");
    refused(&["empty"], 1, &["neither a partition table"]);
    refused(&["nowhere"], 1, &["nowhere"]);
    refused(&["tree"], 1, &["is a directory"]);
    refused(&["disk.raw", "-o", "noise"], 1, &["this file exists"]);
    let image = std::fs::read(&disk).unwrap();
    let mut damaged = image.clone();
    damaged[1024 + 16] ^= 1;
    write(place.path("damaged.raw"), &damaged);
    refused(&["damaged.raw"], 1, &["gpt: primary entries", "hint: diskwright check"]);
    assert!(std::fs::read(place.path("damaged.raw")).unwrap() == damaged, "nothing was written");
    // A file system that was not unmounted.
    place.run(&["mkfs", "--owner", "0:0", "ext2", "tree", "fs.img"]).ends(0);
    let mut mounted = std::fs::read(place.path("fs.img")).unwrap();
    mounted[1024 + 0x3a] = 0;
    write(place.path("mounted.img"), &mounted);
    refused(&["mounted.img"], 1, &["ext2: superblock: it was not unmounted", "hint: e2fsck -f"]);
    // A dry run looks at everything, and writes nothing.
    let before = support::listing(place.folder.path());
    place.run(&["reid", "-n", "disk.raw"]).ends(0);
    place.run(&["reid", "-n", "disk.raw", "-o", "other.raw"]).ends(0);
    assert_eq!(support::listing(place.folder.path()), before);
    assert!(std::fs::read(&disk).unwrap() == image);
}
