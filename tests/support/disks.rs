//! What the tests of written disks share: descriptions, partitions as files, the verdict on a clone.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use super::{command, run, write};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that are read at a time.
const PART: u64 = 1 << 20;

/// A tree with files in every directory that a partition of the tests is mounted at.
pub fn tree(at: &Path) -> PathBuf {
    super::small_tree(at);
    for (n, path) in
        ["boot/vmlinuz", "home/user/file", "srv/data", "var/log/syslog", "opt/tool"].iter().enumerate()
    {
        write(at.join(path), super::noise(50 + n as u64, 70_000));
    }
    at.to_owned()
}

/// Makes an image of a description without a loader, and gives what was said of it. `inner` comes behind the loader.
pub fn made(at: &Path, attributes: &str, inner: &str, options: &[&str]) -> Value {
    let description = super::description(&at.join("description"), attributes, inner);
    let [description, root, out] = [description, tree(&at.join("tree")), at.join("out")];
    let mut arguments = vec!["create", "--json", "--no-sync", "--seed", "tests", "--owner", "0:0"];
    let paths = [description.to_str(), root.to_str(), out.to_str()].map(Option::unwrap);
    arguments.extend([paths[0], "--root", paths[1], "-o", paths[2]]);
    arguments.extend(options);
    let run = run(&mut command(&arguments)).ends(0);
    serde_json::from_str(&run.stdout).unwrap()
}

/// The file of an output by its format.
pub fn output(made: &Value, format: &str) -> PathBuf {
    let outputs = made["outputs"].as_array().unwrap();
    let found = outputs.iter().find(|output| output["format"] == format);
    PathBuf::from(found.unwrap_or_else(|| panic!("no {format} in {outputs:?}"))["path"].as_str().unwrap())
}

/// A number of a JSON object.
#[track_caller]
pub fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// Bytes `start .. start + len` of an image as a file of their own, with holes.
pub fn cut(image: &Path, start: u64, len: u64, to: &Path) -> PathBuf {
    let (from, out) = (File::open(image).unwrap(), File::create(to).unwrap());
    out.set_len(len).unwrap();
    let zeros = vec![0; PART as usize];
    let mut buffer = zeros.clone();
    for at in (0..len).step_by(PART as usize) {
        let part = &mut buffer[..PART.min(len - at) as usize];
        from.read_exact_at(part, start + at).unwrap();
        if *part != zeros[..part.len()] {
            out.write_all_at(part, at).unwrap();
        }
    }
    to.to_owned()
}

/// The runs of bytes that differ, found by reading.
pub fn bytes_that_differ(image: &Path, (one, other): (u64, u64), len: u64) -> Vec<u64> {
    let file = File::open(image).unwrap();
    let [mut a, mut b] = [vec![0; PART as usize], vec![0; PART as usize]];
    let mut found = Vec::new();
    for at in (0..len).step_by(PART as usize) {
        let size = PART.min(len - at) as usize;
        file.read_exact_at(&mut a[..size], one + at).unwrap();
        file.read_exact_at(&mut b[..size], other + at).unwrap();
        if a[..size] != b[..size] {
            let apart = (at..).zip(a[..size].iter().zip(&b[..size])).filter(|(_, (a, b))| a != b);
            found.extend(apart.map(|(at, _)| at));
        }
    }
    found
}

/// Holds every pair of `clones.json` against the bytes of a raw image: they differ where it says, nowhere else, and in
/// every run that it tells.
#[track_caller]
pub fn check_differences(image: &Path, clones: &Value) {
    for pair in clones["clones"].as_array().unwrap() {
        let (origin, clone) = (&pair["origin"], &pair["clone"]);
        let len = number(origin, "len");
        assert_eq!(len, number(clone, "len"), "{pair}");
        let found = bytes_that_differ(image, (number(origin, "start"), number(clone, "start")), len);
        let runs = pair["differs"].as_array().unwrap();
        let runs: Vec<(u64, u64)> = runs
            .iter()
            .map(|run| (number(run, "start"), number(run, "start") + number(run, "len")))
            .collect();
        assert!(!runs.is_empty(), "{pair}");
        let told = |at: &&u64| runs.iter().any(|(start, end)| (start..end).contains(at));
        assert_eq!(found.iter().find(|at| !told(at)), None, "a byte that differs and is not told: {pair}");
        for (start, end) in &runs {
            assert!(found.contains(start) && found.contains(&(end - 1)), "{start}..{end} of {pair}");
        }
        for ids in pair["ids"].as_array().unwrap() {
            assert_ne!(ids["origin"], ids["clone"], "{pair}");
        }
    }
}

/// A layout: its name, what goes into the type element, and what goes between its tags.
pub type Layout = (&'static str, &'static str, &'static str);

const PARTS: &str = r#"<bootloader name="custom"/>
    <oemconfig><oem-resize>false</oem-resize><oem-swap>true</oem-swap><oem-swapsize>8</oem-swapsize>
        <oem-systemsize>60</oem-systemsize></oemconfig>
    <partitions>
        <partition name="log" size="16" mountpoint="/var/log" filesystem="ext3" clone="1"/>
        <partition name="opt" size="10" mountpoint="/opt" filesystem="ext2" clone="2"/>
    </partitions>"#;

const NUMBERED: &str = r#"<bootloader name="custom"/>
    <oemconfig><oem-resize>false</oem-resize><oem-systemsize>60</oem-systemsize></oemconfig>
    <partitions>
        <partition name="log" size="16" mountpoint="/var/log" filesystem="ext3" clone="1" part_id="20"/>
        <partition name="opt" size="10" mountpoint="/opt" filesystem="ext4"/>
    </partitions>"#;

const ROOT: &str = r#"<bootloader name="custom"/>
    <oemconfig><oem-resize>false</oem-resize><oem-systemsize>60</oem-systemsize></oemconfig>"#;

const ROOM: &str = r#"<bootloader name="custom"/>
    <oemconfig><oem-resize>false</oem-resize><oem-systemsize>60</oem-systemsize></oemconfig>
    <size unit="M" unpartitioned="5">400</size>"#;

/// One of every kind.
pub const LAYOUTS: &[Layout] = &[
    (
        "gpt",
        r#"image="oem" firmware="uefi" filesystem="ext4" root_clone="1" bootpartition="true" boot_clone="1""#,
        PARTS,
    ),
    (
        "hybrid",
        r#"image="oem" firmware="uefi" filesystem="ext4" gpt_hybrid_mbr="true" root_clone="1""#,
        PARTS,
    ),
    ("mbr", r#"image="oem" firmware="bios" filesystem="ext4" bootpartition="true" root_clone="1""#, ROOT),
    (
        "logical",
        r#"image="oem" firmware="bios" filesystem="ext4" dosparttable_extended_layout="true" root_clone="1""#,
        PARTS,
    ),
    ("forced", r#"image="oem" firmware="efi" filesystem="ext4" force_mbr="true" root_clone="1""#, ROOT),
    (
        "large",
        r#"image="oem" firmware="uefi" filesystem="ext4" target_blocksize="4096" root_clone="1""#,
        PARTS,
    ),
    (
        "numbered",
        r#"image="oem" firmware="uefi" filesystem="ext4" root_clone="1" rootpart_id="7" efipart_id="11""#,
        NUMBERED,
    ),
    (
        "spare",
        r#"image="oem" firmware="uefi" filesystem="ext4" spare_part="30" spare_part_fs="ext4" spare_part_mountpoint="/srv""#,
        ROOM,
    ),
    (
        "last",
        r#"image="oem" firmware="uefi" filesystem="ext4" spare_part="30" spare_part_fs="ext3" spare_part_is_last="true" disk_start_sector="4096""#,
        ROOM,
    ),
];
