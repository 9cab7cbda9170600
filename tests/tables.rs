//! Every partition table that is written, judged by the programs that others read tables with.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::disks::{LAYOUTS, made, number, output};
use support::{inapplicable, oracle, root, run, tool};

/// Words that a program has for a table that it does not like.
const COMPLAINTS: [&str; 10] = [
    "warning",
    "error:",
    "corrupt",
    "mismatch",
    "invalid",
    "overlap",
    "problem:",
    "caution",
    "not in disk order",
    "does not start",
];

/// Nothing in what a program said is a complaint.
#[track_caller]
fn quiet(said: &str, name: &str) {
    let lower = said.to_lowercase();
    let complaint = COMPLAINTS.iter().find(|word| lower.contains(*word));
    assert_eq!(complaint, None, "{name}: {said}");
}

/// A disk with sectors of 4096 bytes: a file has no sector size, a loop device has one.
struct Device(PathBuf);

impl Device {
    fn new(test: &str, image: &Path) -> Option<Device> {
        let losetup = oracle(test, "losetup")?;
        if !root() {
            inapplicable(
                test,
                "sectors of 4096 bytes: sfdisk and parted see them on a device, which takes root",
            );
            return None;
        }
        let run = run(Command::new(losetup)
            .args(["--find", "--show", "--read-only", "--sector-size", "4096"])
            .arg(image));
        if run.code != Some(0) {
            inapplicable(test, &format!("no loop device: {}", run.stderr.trim()));
            return None;
        }
        Some(Device(PathBuf::from(run.stdout.trim())))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).output();
    }
}

/// The judges of one disk; `sector` is what a sector has.
fn judge(test: &str, name: &str, disk: &Path, layout: &Value, sector: u64) {
    let of = disk.to_str().unwrap();
    let gpt = layout["final_label"] == "gpt";
    if let Some(sgdisk) = oracle(test, "sgdisk").filter(|_| gpt) {
        let said = tool(sgdisk, ["-v", of]);
        assert!(said.contains("No problems found."), "{name}: {said}");
        quiet(&said.replace("No problems found.", ""), name);
    }
    if let Some(sfdisk) = oracle(test, "sfdisk") {
        let said = tool(&sfdisk, ["--verify", of]);
        assert!(said.contains("No errors detected."), "{name}: {said}");
        let said = run(Command::new(&sfdisk).args(["--json", of])).ends(0);
        let seen: Value = serde_json::from_str(&said.stdout).unwrap();
        compare(name, disk, &seen["partitiontable"], layout, sector);
    }
    if let Some(parted) = oracle(test, "parted") {
        let said = tool(&parted, ["-s", of, "unit", "s", "print"]);
        quiet(&said, name);
        let table = if gpt { "gpt" } else { "msdos" };
        assert!(said.contains(&format!("\nPartition Table: {table}\n")), "{name}: {said}");
        assert!(said.contains(&format!("(logical/physical): {sector}B/")), "{name}: {said}");
        let rows = said
            .lines()
            .filter(|line| line.starts_with(' ') || line.chars().next().is_some_and(|c| c.is_ascii_digit()));
        let numbers = rows.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let extended = u64::from(extended(layout));
        assert_eq!(numbers.count() as u64, partitions(layout).len() as u64 + extended, "{name}: {said}");
    }
    if let Some(fdisk) = oracle(test, "fdisk") {
        let said = tool(&fdisk, ["-l", of]);
        // It reminds of what it does not edit itself.
        let said = said.replace("A hybrid GPT was detected.", "");
        // Numbers that were chosen are not those of the order.
        let unordered = "Partition table entries are not in disk order.";
        assert_eq!(said.contains(unordered), name == "numbered", "{name}: {said}");
        quiet(&said.replace(unordered, ""), name);
        let kind = if gpt { "gpt" } else { "dos" };
        assert!(said.contains(&format!("Disklabel type: {kind}\n")), "{name}: {said}");
        let id = if gpt {
            layout["disk_guid"].as_str().unwrap().to_uppercase()
        } else {
            layout["disk_signature"].as_str().unwrap().to_owned()
        };
        assert!(said.contains(&format!("Disk identifier: {id}\n")), "{name}: {said}");
    }
}

fn partitions(layout: &Value) -> &Vec<Value> {
    layout["partitions"].as_array().unwrap()
}

/// Whether there is a partition around logical ones.
fn extended(layout: &Value) -> bool {
    layout["final_label"] == "dos" && partitions(layout).iter().any(|one| number(one, "number") > 4)
}

/// sfdisk sees the partitions of the plan and no others.
fn compare(name: &str, disk: &Path, seen: &Value, layout: &Value, sector: u64) {
    assert_eq!(number(seen, "sectorsize"), sector, "{name}");
    let gpt = layout["final_label"] == "gpt";
    let rows = seen["partitions"].as_array().unwrap();
    let planned = partitions(layout);
    assert_eq!(rows.len(), planned.len() + usize::from(extended(layout)), "{name}: {seen}");
    let device = disk.to_str().unwrap();
    let number_of = |row: &Value| {
        let node = row["node"].as_str().unwrap().strip_prefix(device).unwrap();
        node.trim_start_matches('p').parse::<u64>().unwrap()
    };
    for part in planned {
        let row = rows.iter().find(|row| number_of(row) == number(part, "number"));
        let row = row.unwrap_or_else(|| panic!("{name}: {part} is not in {seen}"));
        assert_eq!(row["start"], part["start_sector"], "{name}: {part}");
        assert_eq!(row["size"], part["size_sectors"], "{name}: {part}");
        let upper = |key: &str| part[key].as_str().map(str::to_uppercase);
        if gpt {
            assert_eq!(row["type"].as_str().map(str::to_owned), upper("type_guid"), "{name}: {part}");
            assert_eq!(row["uuid"].as_str().map(str::to_owned), upper("partuuid"), "{name}: {part}");
            assert_eq!(row["name"], part["name"], "{name}: {part}");
        } else {
            assert_eq!(row["type"], part["mbr_type"], "{name}: {part}");
            assert_eq!(row["bootable"].as_bool().unwrap_or(false), part["active"], "{name}: {part}");
        }
    }
    if extended(layout) {
        let row = rows.iter().find(|row| number_of(row) == 4).unwrap();
        assert_eq!(row["type"], "5", "{name}: {seen}");
    }
}

#[test]
fn every_table_that_is_written() {
    let test = "every_table_that_is_written";
    for (name, attributes, inner) in LAYOUTS {
        let folder = tempfile::tempdir().unwrap();
        let made = made(folder.path(), attributes, inner, &["--format", "raw"]);
        let layout = &made["layout"];
        let raw = output(&made, "raw");
        assert_eq!(std::fs::metadata(&raw).unwrap().len(), number(layout, "final_size_bytes"), "{name}");
        let said = run(&mut support::command(["check", raw.to_str().unwrap()])).ends(0);
        assert!(said.stdout.contains(": clean: "), "{name}: {}", said.stdout);
        match number(layout, "sector_size") {
            512 => judge(test, name, &raw, layout, 512),
            large => {
                let Some(device) = Device::new(test, &raw) else { continue };
                judge(test, name, &device.0, layout, large);
            }
        }
    }
}
