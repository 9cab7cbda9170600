//! The MBR before a GPT, hybrid ones above all: against sgdisk, sfdisk, parted, planted faults.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod oracle;

use diskwright_formats::fault::{DamageKind, RefusalKind};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Layout, Memory};
use diskwright_formats::table::gpt::{self, HybridEntry, Options, Partition, types};
use oracle::{Image, bytes, check_dump, run, tool, write_sparse};
use proptest::prelude::*;
use std::ffi::OsStr;
use std::path::Path;

const MIB: u64 = 1 << 20;
const LEN: u64 = 64 * MIB;

fn identity() -> Identity {
    Identity::new(b"hybrid tests", 0)
}

fn partition(number: u32, name: &str, start: u64, len: u64) -> (Partition, Layout) {
    let partition = Partition {
        number,
        type_guid: types::LINUX,
        unique_guid: identity().uuid(&format!("{number}/guid")),
        name: name.to_owned(),
        attributes: 0,
        start,
        len,
    };
    (partition, Layout::empty(len))
}

fn entry(number: u32, kind: u8) -> HybridEntry {
    HybridEntry { number, kind, active: false }
}

/// BIOS boot partition, ESP and root, as KIWI makes them, and one more.
fn four(sector_size: u32) -> (Vec<(Partition, Layout)>, Options) {
    let mut parts = vec![
        partition(1, "p.legacy", MIB, 2 * MIB),
        partition(2, "p.UEFI", 3 * MIB, 20 * MIB),
        partition(3, "p.lxroot", 23 * MIB, 30 * MIB),
        partition(4, "p.spare", 53 * MIB, 10 * MIB),
    ];
    parts[0].0.type_guid = types::BIOS_BOOT;
    parts[1].0.type_guid = types::ESP;
    let hybrid = vec![entry(1, 0xef), entry(2, 0xef), entry(3, 0x83)];
    (parts, Options { disk_signature: Some(0x5358_326c), hybrid, ..Options::new(LEN, sector_size) })
}

fn write(path: &Path, parts: &[(Partition, Layout)], options: &Options) {
    write_sparse(path, &gpt::lay(parts, options, &identity()).unwrap(), &Memory::default());
}

/// Bytes 440 to 512: disk signature, records, 55 aa.
fn mbr(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()[440..512].to_vec()
}

#[test]
fn sgdisk_writes_the_same_records() {
    let Some(sgdisk) = tool("sgdisk_writes_the_same_records", "sgdisk", "gdisk") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let (parts, options) = four(512);
    for (list, numbers) in [("1:2:3", &[1, 2, 3][..]), ("3", &[3]), ("2:1", &[2, 1]), ("4:2", &[4, 2])] {
        // Types are the first bytes of sgdisk's codes: EF02, EF00, 8300, 8300.
        let hybrid = numbers.iter().map(|&n| entry(n, [0xef, 0xef, 0x83, 0x83][n as usize - 1])).collect();
        write(&ours, &parts, &Options { hybrid, disk_signature: None, ..options.clone() });
        write(&theirs, &parts, &Options::new(LEN, 512));
        let arguments: [&OsStr; 3] = ["--hybrid".as_ref(), list.as_ref(), theirs.as_ref()];
        run(&sgdisk, &arguments);
        assert_eq!(mbr(&ours), mbr(&theirs), "{list}");
        let opened = gpt::open(&Image::open(&theirs)).unwrap();
        assert_eq!(opened.damage, []);
        assert_eq!(opened.hybrid.iter().map(|entry| entry.number).collect::<Vec<_>>(), numbers);
    }
}

#[test]
fn sgdisk_sfdisk_and_parted_find_no_problems() {
    let test = "sgdisk_sfdisk_and_parted_find_no_problems";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.raw");
    let (parts, options) = four(512);
    write(&path, &parts, &options);
    assert_eq!(mbr(&path)[..4], [0x6c, 0x32, 0x58, 0x53]);
    if let Some(sgdisk) = tool(test, "sgdisk", "gdisk") {
        let text = run(&sgdisk, &["-v".as_ref(), path.as_ref()]);
        assert!(text.contains("No problems found"), "{text}");
        assert!(!text.to_lowercase().contains("warning"), "{text}");
        let text = run(&sgdisk, &["-p".as_ref(), path.as_ref()]);
        assert!(text.contains("p.lxroot") && text.contains("p.spare"), "{text}");
    }
    if let Some(sfdisk) = tool(test, "sfdisk", "fdisk") {
        let text = run(&sfdisk, &["--verify".as_ref(), path.as_ref()]);
        assert!(text.contains("No errors detected"), "{text}");
        // The MBR is looked at on demand.
        let nested: [&OsStr; 4] =
            ["--label-nested".as_ref(), "dos".as_ref(), "--dump".as_ref(), path.as_ref()];
        let text = run(&sfdisk, &nested);
        for line in [
            "label-id: 0x5358326c",
            "start=           1, size=        2047, type=ee",
            "start=        2048, size=        4096, type=ef",
            "start=        6144, size=       40960, type=ef",
            "start=       47104, size=       61440, type=83",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
    if let Some(parted) = tool(test, "parted", "parted") {
        let arguments = [path.as_ref(), "unit".as_ref(), "s".as_ref(), "print".as_ref()];
        let text = run(&parted, &[&["-sm".as_ref()], &arguments[..]].concat::<&OsStr>());
        assert!(text.contains(":131072s:file:512:512:gpt:"), "{text}");
        assert!(text.contains("\n3:47104s:108543s:61440s::p.lxroot:;"), "{text}");
    }
}

#[test]
fn what_is_laid_opens_and_dumps() {
    for sector_size in [512, 4096] {
        let (parts, mut options) = four(sector_size);
        options.hybrid[2].active = true;
        let disk = gpt::lay(&parts, &options, &identity()).unwrap();
        assert!(disk.extents_in(0..440).next().is_none(), "boot code is a gap");
        let image = bytes(&disk, &Memory::default());
        let opened = gpt::open(&image).unwrap();
        assert_eq!(opened.damage, []);
        assert_eq!((opened.disk_signature, opened.hybrid), (0x5358_326c, options.hybrid.clone()));
        let mut text = String::new();
        gpt::dump(&image, &mut text).unwrap();
        check_dump(&text, LEN);
        assert!(text.contains("disk signature 0x5358326c"), "{text}");
        options.hybrid.clear();
        options.disk_signature = None;
        let plain = gpt::lay(&parts, &options, &identity()).unwrap();
        assert!(plain.extents_in(0..446).next().is_none(), "no signature was asked for");
        let opened = gpt::open(&bytes(&plain, &Memory::default())).unwrap();
        assert_eq!((opened.disk_signature, opened.hybrid), (0, vec![]));
    }
}

#[test]
fn what_the_mbr_cannot_hold_is_refused() {
    type Refused = (&'static str, RefusalKind, Vec<HybridEntry>);
    let cases: Vec<Refused> = vec![
        (
            "of more than 3 partitions: 4",
            RefusalKind::Limit,
            (1..5).map(|number| entry(number, 0x83)).collect(),
        ),
        ("the gpt does not have: 9", RefusalKind::Missing, vec![entry(9, 0x83)]),
        ("twice in the hybrid mbr", RefusalKind::Invalid, vec![entry(2, 0x83), entry(2, 0xef)]),
        ("cannot have: ee", RefusalKind::Invalid, vec![entry(2, 0xee)]),
        ("cannot have: 00", RefusalKind::Invalid, vec![entry(2, 0)]),
        ("cannot have: 05", RefusalKind::Invalid, vec![entry(2, 5)]),
        (
            "more than one active partition in a hybrid mbr: [1, 3]",
            RefusalKind::Invalid,
            [1, 3].map(|number| HybridEntry { active: true, ..entry(number, 0x83) }).into(),
        ),
    ];
    for (reason, kind, hybrid) in cases {
        let (parts, options) = four(512);
        let refusal = gpt::lay(&parts, &Options { hybrid, ..options }, &identity()).expect_err(reason);
        assert!(refusal.reason.contains(reason), "{refusal} is not about: {reason}");
        assert_eq!(refusal.kind, kind, "{refusal}");
    }
    // 2^32 sectors are the end of what 32 bits reach, and one more is too many.
    let most = 512u64 << 32;
    for (len, fits) in [(most - MIB, true), (most - MIB + 512, false)] {
        let parts = [partition(1, "large", MIB, len)];
        let options = Options { hybrid: vec![entry(1, 0x83)], ..Options::new(most + 2 * MIB, 512) };
        let laid = gpt::lay(&parts, &options, &identity());
        assert_eq!(laid.is_ok(), fits);
        if let Err(refusal) = laid {
            assert_eq!(refusal.kind, RefusalKind::Limit);
            assert_eq!(refusal.reason, "in the hybrid mbr, and ends behind its 2^32 sectors: 4294967297");
        }
    }
}

#[test]
fn a_record_that_disagrees_with_the_gpt_is_named_with_its_place() {
    let (parts, options) = four(512);
    let disk = gpt::lay(&parts, &options, &identity()).unwrap();
    let image = bytes(&disk, &Memory::default())[..].to_vec();
    // What is changed, its place, the record's place, partitions that are left in the MBR.
    let cases: [(&str, usize, u8, u64, usize); 8] = [
        ("start", 446 + 16 + 8, 1, 462, 2),
        ("count", 446 + 32 + 12, 1, 478, 2),
        ("a type of zero", 446 + 48 + 4, 0, 494, 2),
        ("a second ee", 446 + 16 + 4, 0xee, 462, 2),
        ("ee starts late", 446 + 8, 2, 454, 3),
        ("ee ends in the tables", 446 + 13, 0, 458, 3),
        ("ee reaches into a partition", 446 + 13, 8, 458, 3),
        ("signature", 511, 0, 510, 0),
    ];
    for (what, at, value, offset, left) in cases {
        let mut image = image.clone();
        image[at] = value;
        if what == "ee ends in the tables" {
            image[446 + 12] = 32;
        }
        let opened = gpt::open(&image).unwrap();
        let found: Vec<_> = opened.damage.iter().map(|damage| (damage.kind, damage.offset)).collect();
        assert_eq!(found, [(DamageKind::Value, offset)], "{what}: {:?}", opened.damage);
        assert_eq!(opened.damage[0].spot.object, "protective mbr");
        assert_eq!((opened.hybrid.len(), opened.partitions.len()), (left, 4), "{what}");
        gpt::dump(&image, &mut String::new()).unwrap();
    }
}

#[test]
fn sgdisk_reads_tables_of_more_than_128_entries() {
    let test = "sgdisk_reads_tables_of_more_than_128_entries";
    let Some(sgdisk) = tool(test, "sgdisk", "gdisk") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.raw");
    let parts: Vec<_> = (1..=160)
        .map(|number| partition(number, &format!("p{number}"), u64::from(number) * MIB, MIB))
        .collect();
    write(&path, &parts, &Options::new(162 * MIB, 512));
    let text = run(&sgdisk, &["-v".as_ref(), path.as_ref()]);
    assert!(text.contains("No problems found"), "{text}");
    let text = run(&sgdisk, &["-p".as_ref(), path.as_ref()]);
    assert!(text.contains("Partition table holds up to 160 entries"), "{text}");
    let last = text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!((last[0], last[1], last[2], *last.last().unwrap()), ("160", "327680", "329727", "p160"));
    // Its end: 160 entries are 40 sectors, and the header is in the last one.
    assert!(text.contains("Main partition table begins at sector 2 and ends at sector 41"), "{text}");
    let image = std::fs::read(&path).unwrap();
    let header = &image[image.len() - 512..];
    assert_eq!(&header[..8], b"EFI PART");
    assert_eq!(header[72..80], (162 * 2048u64 - 41).to_le_bytes(), "entries before the header");
    assert_eq!(image[image.len() - 41 * 512..][..160 * 128], image[1024..][..160 * 128]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn hybrids_open_as_they_were_laid(
        numbers in Just([1u32, 2, 3, 4]).prop_shuffle(),
        kinds in proptest::collection::vec(prop_oneof![Just(0x83u8), Just(0xef), 1u8..=255], 0..4),
        active in proptest::option::of(0usize..3),
        signature in any::<Option<u32>>(),
        large in any::<bool>(),
    ) {
        let (parts, options) = four(if large { 4096 } else { 512 });
        let entries = numbers.into_iter().zip(kinds).enumerate();
        let hybrid: Vec<_> = entries
            .map(|(index, (number, kind))| HybridEntry { number, kind, active: active == Some(index) })
            .collect();
        let options = Options { hybrid, disk_signature: signature, ..options };
        let unfit = options.hybrid.iter().any(|entry| [5, 0xf, 0x85, 0xee].contains(&entry.kind));
        match gpt::lay(&parts, &options, &identity()) {
            Ok(disk) => {
                prop_assert!(!unfit);
                let opened = gpt::open(&bytes(&disk, &Memory::default())).unwrap();
                prop_assert_eq!(opened.damage, []);
                prop_assert_eq!(opened.hybrid, options.hybrid);
                prop_assert_eq!(opened.disk_signature, signature.unwrap_or(0));
                prop_assert_eq!(opened.partitions.len(), 4);
            }
            Err(refusal) => prop_assert!(unfit, "{}", refusal),
        }
    }
}
