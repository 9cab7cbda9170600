//! GPT against sgdisk, sfdisk, two other readers, planted faults and hostile bytes.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod oracle;

use diskwright_formats::fault::{Damage, DamageKind, RefusalKind};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Extent, Layout, Memory, What};
use diskwright_formats::table::gpt::{self, Options, Partition, types};
use oracle::{Image, Numbers, bytes, check_dump, run, tool, write_sparse};
use proptest::prelude::*;
use uuid::Uuid;

const MIB: u64 = 1 << 20;

fn identity() -> Identity {
    Identity::new(b"gpt tests", 0)
}

fn options(len: u64, sector_size: u32) -> Options {
    Options::new(len, sector_size)
}

fn partition(number: u32, name: &str, start: u64, len: u64) -> (Partition, Layout) {
    let extent = Extent::of_bytes(0, vec![number as u8; 512], What::new(&"content"));
    let partition = Partition {
        number,
        type_guid: types::LINUX,
        unique_guid: identity().uuid(&format!("{number}/guid")),
        name: name.to_owned(),
        attributes: 0,
        start,
        len,
    };
    (partition, Layout::new(len, vec![extent], vec![]).unwrap())
}

/// ESP, root with an attribute, and a name of 36 units that needs surrogates.
fn three(sector_size: u32) -> (Vec<(Partition, Layout)>, Options) {
    let options = options(64 * MIB, sector_size);
    let last = gpt::last_usable(options.len, sector_size);
    let mut parts = vec![
        partition(1, "esp", MIB, 8 * MIB),
        partition(3, "root", 9 * MIB, last - 9 * MIB),
        partition(128, &"🖴".repeat(18), gpt::first_usable(sector_size), 16 * u64::from(sector_size)),
    ];
    parts[0].0.type_guid = types::ESP;
    parts[1].0.type_guid = types::ROOT_X86_64;
    parts[1].0.attributes = gpt::REQUIRED | gpt::LEGACY_BOOT | gpt::GROW_FILE_SYSTEM;
    (parts, options)
}

fn only(parts: &[(Partition, Layout)]) -> Vec<Partition> {
    parts.iter().map(|(partition, _)| partition.clone()).collect()
}

#[test]
fn sgdisk_and_sfdisk_find_no_problems() {
    let test = "sgdisk_and_sfdisk_find_no_problems";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.raw");
    let (parts, options) = three(512);
    let disk = gpt::lay(&parts, &options, &identity()).unwrap();
    write_sparse(&path, &disk, &Memory::default());
    if let Some(sgdisk) = tool(test, "sgdisk", "gdisk") {
        let text = run(&sgdisk, &["-v".as_ref(), path.as_ref()]);
        assert!(text.contains("No problems found"), "{text}");
        assert!(!text.to_lowercase().contains("warning"), "{text}");
        let text = run(&sgdisk, &["-i".as_ref(), "3".as_ref(), path.as_ref()]);
        let expected = [
            "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
            &parts[1].0.unique_guid.to_string().to_uppercase(),
            "First sector: 18432",
            "Last sector: 131038",
            "Attribute flags: 0800000000000005",
            "Partition name: 'root'",
        ];
        expected.iter().for_each(|expected| assert!(text.contains(expected), "{expected} in {text}"));
    }
    if let Some(sfdisk) = tool(test, "sfdisk", "fdisk") {
        let text = run(&sfdisk, &["--verify".as_ref(), path.as_ref()]);
        assert!(text.contains("No errors detected"), "{text}");
        let text = run(&sfdisk, &["--dump".as_ref(), path.as_ref()]);
        let escaped = r"\xf0\x9f\x96\xb4".repeat(18);
        assert!([&parts[2].0.name, &escaped].iter().any(|name| text.contains(*name)), "{text}");
        assert!(text.contains("first-lba: 34") && text.contains("last-lba: 131038"), "{text}");
    }
}

#[test]
fn type_guids_are_those_that_sfdisk_knows() {
    let Some(sfdisk) = tool("type_guids_are_those_that_sfdisk_knows", "sfdisk", "fdisk") else { return };
    let list = run(&sfdisk, &["--label".as_ref(), "gpt".as_ref(), "--list-types".as_ref()]).to_lowercase();
    for (guid, name) in types::ALL.iter().filter(|(guid, _)| *guid != types::LUKS) {
        let line = list.lines().find(|line| line.contains(&guid.to_string()));
        let line = line.unwrap_or_else(|| panic!("{name}: {guid}"));
        let word = match *name {
            "prep boot" => "prep",
            "extended boot loader" => "extended boot",
            "linux data" => "linux filesystem",
            "md raid" => "raid",
            "basic data" => "microsoft basic",
            "root x86" => "root (x86)",
            "srv" => "server data",
            "var" => "variable data",
            "tmp" => "temporary data",
            name => name.split(' ').next().unwrap(),
        };
        assert!(line.contains(word), "{name}: {line}");
    }
}

#[test]
fn other_readers_read_it_with_both_sector_sizes() {
    for sector_size in [512, 4096] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.raw");
        let (parts, options) = three(sector_size);
        let disk = gpt::lay(&parts, &options, &identity()).unwrap();
        write_sparse(&path, &disk, &Memory::default());

        let mut file = std::fs::File::open(&path).unwrap();
        let theirs = gptman::GPT::find_from(&mut file).unwrap();
        assert_eq!(theirs.sector_size, u64::from(sector_size));
        assert_eq!(Uuid::from_bytes_le(theirs.header.disk_guid), identity().uuid("guid"));
        assert_eq!(theirs.header.first_usable_lba * theirs.sector_size, gpt::first_usable(sector_size));
        let last = (theirs.header.last_usable_lba + 1) * theirs.sector_size;
        assert_eq!(last, gpt::last_usable(options.len, sector_size));
        for (ours, _) in &parts {
            let entry = &theirs[ours.number];
            assert_eq!(Uuid::from_bytes_le(entry.partition_type_guid), ours.type_guid);
            assert_eq!(Uuid::from_bytes_le(entry.unique_partition_guid), ours.unique_guid);
            assert_eq!(entry.starting_lba * theirs.sector_size, ours.start);
            assert_eq!(entry.size().unwrap() * theirs.sector_size, ours.len);
            assert_eq!(entry.attribute_bits, ours.attributes);
            assert_eq!(entry.partition_name.as_str(), ours.name);
        }

        let size = if sector_size == 512 {
            ::gpt::disk::LogicalBlockSize::Lb512
        } else {
            ::gpt::disk::LogicalBlockSize::Lb4096
        };
        let theirs = ::gpt::GptConfig::new().logical_block_size(size).open(&path).unwrap();
        assert!(theirs.primary_header().is_ok() && theirs.backup_header().is_ok());
        assert_eq!(theirs.partitions().len(), 3);
        let root = &theirs.partitions()[&3];
        assert_eq!(root.part_guid, parts[1].0.unique_guid);
        assert_eq!(root.bytes_start(size).unwrap(), parts[1].0.start);
    }
}

#[test]
fn what_is_laid_opens_and_dumps() {
    for sector_size in [512, 4096] {
        let (parts, options) = three(sector_size);
        let disk = gpt::lay(&parts, &options, &identity()).unwrap();
        let mut shuffled = parts.clone();
        shuffled.reverse();
        assert_eq!(gpt::lay(&shuffled, &options, &identity()).unwrap(), disk);
        let image = bytes(&disk, &Memory::default());
        assert!(gpt::recognise(&image));
        let opened = gpt::open(&image).unwrap();
        assert_eq!(opened.damage, []);
        assert_eq!((opened.sector_size, opened.disk_guid), (sector_size, identity().uuid("guid")));
        assert_eq!(opened.partitions, only(&parts));
        assert_eq!(image[MIB as usize..][..512], [1; 512]);
        assert_eq!(disk.extents_in(MIB..MIB + 1).next().unwrap().label(), "esp/content");
        let mut text = String::new();
        gpt::dump(&image, &mut text).unwrap();
        check_dump(&text, options.len);
        assert!(text.contains("partition 3 (root): type root x86-64"), "{text}");
    }
}

#[test]
fn more_slots_move_the_first_usable_byte() {
    for (highest, entries) in [(1, 128), (128, 128), (129, 160), (1000, 1024)] {
        assert_eq!(gpt::entries_for(highest), entries);
        for sector_size in [512, 4096] {
            let len = 8 * MIB;
            let first = gpt::first_usable_for(sector_size, entries);
            let last = gpt::last_usable_for(len, sector_size, entries);
            let part = partition(highest, "all", first, last - first);
            let disk = gpt::lay(&[part], &options(len, sector_size), &identity()).unwrap();
            let image = bytes(&disk, &Memory::default());
            let opened = gpt::open(&image).unwrap();
            assert_eq!(opened.damage, []);
            assert_eq!(opened.partitions[0].start, first);
            let theirs = gptman::GPT::find_from(&mut std::io::Cursor::new(&image)).unwrap();
            assert_eq!(theirs.header.number_of_partition_entries, entries);
            assert_eq!(theirs[highest].partition_name.as_str(), "all");
            let part = partition(highest, "all", first - u64::from(sector_size), MIB);
            assert!(gpt::lay(&[part], &options(len, sector_size), &identity()).is_err());
        }
    }
}

/// One list of partitions, and what the refusal says.
type Refused = (&'static str, RefusalKind, Box<dyn Fn(&mut Vec<(Partition, Layout)>, &mut Options)>);

#[test]
fn what_the_table_cannot_hold_is_refused() {
    let cases: Vec<Refused> = vec![
        ("starts before partition 1 (esp) ends", RefusalKind::Invalid, Box::new(|p, _| p[1].0.start -= 512)),
        ("starts in the table", RefusalKind::Invalid, Box::new(|p, _| p[2].0.start -= 512)),
        (
            "end behind the last usable byte",
            RefusalKind::TooSmall { needed: Some(64 * MIB + 512) },
            Box::new(|p, _| p[1].0.len += 512),
        ),
        (
            "end behind the last usable byte",
            RefusalKind::TooSmall { needed: None },
            Box::new(|p, _| p[1].0.len = u64::MAX - 511),
        ),
        ("not on sector boundaries", RefusalKind::Invalid, Box::new(|p, _| p[1].0.start += 1)),
        ("not on sector boundaries", RefusalKind::Invalid, Box::new(|p, _| p[1].0.len -= 1)),
        ("a partition of no bytes", RefusalKind::Invalid, Box::new(|p, _| p[1].0.len = 0)),
        ("a slot that another partition has: 1", RefusalKind::Invalid, Box::new(|p, _| p[1].0.number = 1)),
        ("slots count from 1", RefusalKind::Invalid, Box::new(|p, _| p[1].0.number = 0)),
        ("more slots than 32768", RefusalKind::Limit, Box::new(|p, _| p[1].0.number = 32769)),
        ("more slots than 32768", RefusalKind::Limit, Box::new(|p, _| p[1].0.number = u32::MAX)),
        ("a name longer than 36", RefusalKind::Limit, Box::new(|p, _| p[1].0.name = "🖴".repeat(18) + "x")),
        ("a name with a zero character", RefusalKind::Invalid, Box::new(|p, _| p[1].0.name = "a\0".into())),
        (
            "a guid that is there twice",
            RefusalKind::Invalid,
            Box::new(|p, _| {
                p[1].0.unique_guid = p[0].0.unique_guid;
            }),
        ),
        (
            "a guid that is there twice",
            RefusalKind::Invalid,
            Box::new(|p, o| o.disk_guid = Some(p[1].0.unique_guid)),
        ),
        ("a guid of zeros", RefusalKind::Invalid, Box::new(|p, _| p[1].0.type_guid = Uuid::nil())),
        ("reserved bits: 0x8", RefusalKind::Invalid, Box::new(|p, _| p[1].0.attributes = 8)),
        (
            "too small for its content: 8388608 of 8388609 bytes",
            RefusalKind::TooSmall { needed: Some(8 * MIB + 512) },
            Box::new(|p, _| p[0].1 = p[0].1.resized(8 * MIB + 1)),
        ),
        ("a sector size", RefusalKind::Invalid, Box::new(|_, o| o.sector_size = 1024)),
        ("does not end with a sector", RefusalKind::Invalid, Box::new(|_, o| o.len += 1)),
        (
            "too small for its tables: 34304 of 34816 bytes",
            RefusalKind::TooSmall { needed: Some(34816) },
            Box::new(|p, o| {
                p.clear();
                o.len = 34304;
            }),
        ),
    ];
    for (reason, kind, spoil) in cases {
        let (mut parts, mut options) = three(512);
        spoil(&mut parts, &mut options);
        let refusal = gpt::lay(&parts, &options, &identity()).expect_err(reason);
        assert!(refusal.reason.contains(reason), "{refusal} is not about: {reason}");
        assert_eq!(refusal.kind, kind, "{refusal}");
    }
    let smallest = gpt::lay(&[], &options(34816, 512), &identity()).unwrap();
    assert_eq!(gpt::open(&bytes(&smallest, &Memory::default())).unwrap().damage, []);
}

/// A disk of 512-byte sectors to spoil.
fn sound() -> Vec<u8> {
    let mut parts = vec![partition(1, "esp", 64 << 10, 64 << 10), partition(2, "root", 128 << 10, 64 << 10)];
    parts[0].0.type_guid = types::ESP;
    bytes(&gpt::lay(&parts, &options(256 << 10, 512), &identity()).unwrap(), &Memory::default())
}

const LAST: usize = (256 << 10) - 512;
const BACKUP_ARRAY: usize = LAST - 16384;

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Corrects both checksums of the copy whose header is at `at`.
fn seal(image: &mut [u8], at: usize) {
    let array = if at == LAST { BACKUP_ARRAY } else { 1024 };
    let crc = crc32fast::hash(&image[array..array + 16384]);
    put(image, at + 88, &crc.to_le_bytes());
    put(image, at + 16, &[0; 4]);
    let crc = crc32fast::hash(&image[at..at + 92]);
    put(image, at + 16, &crc.to_le_bytes());
}

/// Writes to both arrays and seals both copies.
fn entries(image: &mut [u8], at: usize, bytes: &[u8]) {
    put(image, 1024 + at, bytes);
    put(image, BACKUP_ARRAY + at, bytes);
    seal(image, 512);
    seal(image, LAST);
}

type Fault = (&'static str, DamageKind, &'static str, usize, Box<dyn Fn(&mut Vec<u8>)>);

/// A header field with a valid checksum around it.
fn field(what: &'static str, kind: DamageKind, at: usize, value: Vec<u8>) -> Fault {
    let header = if at >= LAST { LAST } else { 512 };
    let object = if at >= LAST { "backup header" } else { "primary header" };
    let spoil = move |image: &mut Vec<u8>| {
        put(image, at, &value);
        seal(image, header);
    };
    (what, kind, object, at, Box::new(spoil))
}

/// A byte that a checksum protects.
fn flip(object: &'static str, reported: usize, at: usize) -> Fault {
    ("a flipped bit", DamageKind::Checksum, object, reported, Box::new(move |image| image[at] ^= 4))
}

fn faults() -> Vec<Fault> {
    use DamageKind::{Mismatch, Truncated, Value};
    vec![
        ("mbr signature", Value, "protective mbr", 510, Box::new(|i| i[511] = 0)),
        ("mbr without ee", Value, "protective mbr", 446, Box::new(|i| i[450] = 0x83)),
        ("mbr start", Value, "protective mbr", 454, Box::new(|i| i[454] = 2)),
        ("mbr size", Value, "protective mbr", 458, Box::new(|i| i[458] ^= 1)),
        ("mbr second record", Value, "protective mbr", 462, Box::new(|i| i[466] = 0x83)),
        ("primary signature", Value, "primary header", 512, Box::new(|i| i[512] = b'e')),
        ("primary wiped", Value, "primary header", 512, Box::new(|i| i[512..17408].fill(0))),
        ("primary header size", Value, "primary header", 524, Box::new(|i| put(i, 524, &[91, 0, 0, 0]))),
        ("primary header size", Value, "primary header", 524, Box::new(|i| put(i, 524, &[255; 4]))),
        flip("primary header", 528, 560),
        flip("primary header", 528, 529),
        flip("primary entries", 1024, 1024 + 130),
        flip("primary entries", 1024, 1024 + 16383),
        field("primary my lba", Value, 536, vec![2]),
        field("primary alternate lba", Mismatch, 544, vec![9]),
        field("primary alternate lba", Mismatch, 544, vec![255; 8]),
        field("primary first usable", Value, 552, vec![33]),
        field("primary last usable", Value, 560, vec![255; 8]),
        field("primary entries far away", Value, 584, vec![255; 8]),
        field("primary entries behind the end", Value, 584, vec![0, 2]),
        field("primary entry count", Value, 592, vec![255; 4]),
        field("primary entry size", Value, 596, vec![129]),
        field("primary entry size", Value, 596, vec![64]),
        field("primary entry size", Value, 592, vec![128, 0, 0, 0, 0, 0, 0, 128]),
        field("primary revision", Value, 520, vec![0, 0, 2, 0]),
        field("primary reserved", Value, 532, vec![1]),
        ("behind the primary header", Value, "primary header", 700, Box::new(|i| i[700] = 1)),
        ("backup signature", Value, "backup header", LAST, Box::new(|i| i[LAST] = 0)),
        flip("backup header", LAST + 16, LAST + 60),
        flip("backup entries", BACKUP_ARRAY, BACKUP_ARRAY + 5),
        field("backup my lba", Value, LAST + 24, vec![1]),
        field("backup alternate lba", Mismatch, LAST + 32, vec![2]),
        field("backup disk guid", Mismatch, LAST + 56, vec![9]),
        field("backup first usable", Mismatch, LAST + 40, vec![40]),
        field("backup last usable", Mismatch, LAST + 48, vec![200]),
        field("backup reserved", Value, LAST + 20, vec![1]),
        (
            "backup entries differ",
            Mismatch,
            "backup entries",
            BACKUP_ARRAY + 56,
            Box::new(|i| {
                i[BACKUP_ARRAY + 56] = b'x';
                seal(i, LAST);
            }),
        ),
        ("cut by a sector", Mismatch, "primary header", 544, Box::new(|i| i.truncate(LAST))),
        ("cut in a sector", Truncated, "disk", LAST + 500, Box::new(|i| i.truncate(LAST + 500))),
        ("overlap", Mismatch, "partition 2 (root)", 1152 + 32, Box::new(|i| entries(i, 160, &[255, 0]))),
        ("before the usable", Value, "partition 1 (esp)", 1024 + 32, Box::new(|i| entries(i, 32, &[33]))),
        (
            "behind the usable",
            Value,
            "partition 2 (root)",
            1152 + 32,
            Box::new(|i| entries(i, 168, &[255; 8])),
        ),
        (
            "ends before it starts",
            Value,
            "partition 2 (root)",
            1152 + 40,
            Box::new(|i| entries(i, 168, &[1, 0])),
        ),
        (
            "guid twice",
            Value,
            "partition 2 (root)",
            1152 + 16,
            Box::new(|i| {
                let guid = i[1040..1056].to_vec();
                entries(i, 144, &guid);
            }),
        ),
        ("no guid", Value, "partition 2 (root)", 1152 + 16, Box::new(|i| entries(i, 144, &[0; 16]))),
        ("attributes", Value, "partition 1 (esp)", 1024 + 48, Box::new(|i| entries(i, 48, &[8]))),
    ]
}

#[test]
fn each_planted_fault_is_named_with_its_place() {
    let image = sound();
    assert_eq!(gpt::open(&image).unwrap().damage, []);
    let partitions = gpt::open(&image).unwrap().partitions;
    for (what, kind, object, offset, spoil) in faults() {
        let mut image = image.clone();
        spoil(&mut image);
        let opened = gpt::open(&image).unwrap();
        let named = |damage: &&Damage| damage.spot.object == object && damage.offset == offset as u64;
        let found = opened.damage.iter().find(named);
        let found = found.unwrap_or_else(|| panic!("{what}: {:#?}", opened.damage));
        assert_eq!(found.kind, kind, "{what}: {found}");
        let in_table = ["primary", "backup", "protective"].iter().any(|part| object.starts_with(part));
        assert!(!in_table || opened.partitions == partitions, "{what}: the other copy is used");
        let mut text = String::new();
        gpt::dump(&image, &mut text).unwrap();
    }
}

#[test]
fn two_damaged_copies_are_an_error() {
    let mut image = sound();
    image[600] ^= 1;
    image[LAST + 60] ^= 1;
    let damage = gpt::open(&image).unwrap_err();
    assert_eq!((damage.spot.object.as_str(), damage.offset), ("primary header", 528));
    let none = gpt::open(&vec![0; 1 << 16]).unwrap_err();
    assert_eq!((none.kind, none.offset), (DamageKind::Value, 512));
    assert!(!gpt::recognise(&vec![0; 1 << 16]));
    assert_eq!(gpt::open(&vec![0; 100]).unwrap_err().kind, DamageKind::Truncated);
    assert!(!gpt::recognise(&vec![0; 100]) && !gpt::recognise(&Vec::new()));
}

#[test]
fn hostile_bytes_neither_panic_nor_take_memory() {
    let image = sound();
    let mut numbers = Numbers(1);
    let places: [(u64, u64); 4] = [(440, 72), (512, 92), (1024, 300), (LAST as u64, 92)];
    for round in 0..1500 {
        let mut image = image.clone();
        for _ in 0..1 + numbers.below(4) {
            let (start, len) = places[numbers.below(4) as usize];
            let at = (start + numbers.below(len)) as usize;
            image[at] = [0, 1, 255, 128, numbers.below(256) as u8][numbers.below(5) as usize];
        }
        if round % 2 == 0 {
            seal(&mut image, 512);
            seal(&mut image, LAST);
        }
        if round % 5 == 0 {
            image.truncate(numbers.below(image.len() as u64) as usize);
        }
        gpt::recognise(&image);
        if let Ok(opened) = gpt::open(&image) {
            assert!(opened.partitions.iter().all(|p| p.start + p.len <= image.len() as u64));
            gpt::dump(&image, &mut String::new()).unwrap();
        }
    }
}

#[test]
fn silent_on_tables_of_other_writers() {
    let test = "silent_on_tables_of_other_writers";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.raw");
    let fresh = || std::fs::File::create(&path).unwrap().set_len(64 * MIB).unwrap();
    let check = |partitions: usize, sector_size: u32| {
        let image = Image::open(&path);
        assert!(gpt::recognise(&image));
        let opened = gpt::open(&image).unwrap();
        assert_eq!(opened.damage, []);
        assert_eq!((opened.partitions.len(), opened.sector_size), (partitions, sector_size));
        let mut text = String::new();
        gpt::dump(&image, &mut text).unwrap();
        check_dump(&text, 64 * MIB);
    };
    if let Some(sgdisk) = tool(test, "sgdisk", "gdisk") {
        fresh();
        let arguments =
            "-n1:2048:+8M -t1:ef00 -c1:esp -n2:0:+1M -t2:ef02 -n3:0:0 -t3:8304 -A3:set:2 -A3:set:63";
        let arguments: Vec<&str> = arguments.split(' ').chain([path.to_str().unwrap()]).collect();
        run(&sgdisk, &arguments.iter().map(|a| a.as_ref()).collect::<Vec<_>>());
        check(3, 512);
        fresh();
        run(&sgdisk, &["-S".as_ref(), "256".as_ref(), path.as_ref()]);
        check(0, 512);
    }
    fresh();
    let mut file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let mut table = gptman::GPT::new_from(&mut file, 4096, [7; 16]).unwrap();
    table[1] = gptman::GPTPartitionEntry {
        partition_type_guid: [1; 16],
        unique_partition_guid: [2; 16],
        starting_lba: 256,
        ending_lba: 511,
        attribute_bits: 0,
        partition_name: "x".into(),
    };
    gptman::GPT::write_protective_mbr_into(&mut file, 4096).unwrap();
    table.write_into(&mut file).unwrap();
    check(1, 4096);
    if let Some(sfdisk) = tool(test, "sfdisk", "fdisk") {
        fresh();
        let script = dir.path().join("script");
        std::fs::write(&script, "label: gpt\nsize=8M, type=U, name=\"esp\"\nsize=+, type=L\n").unwrap();
        let (shell, text) =
            ("sh".as_ref(), format!("{} {} < {}", sfdisk.display(), path.display(), script.display()));
        run(shell, &["-c".as_ref(), text.as_ref()]);
        check(2, 512);
    }
}

/// Slots with lengths and the gaps before them, in sectors.
fn some_partitions() -> impl Strategy<Value = (u32, Vec<(u32, u64, u64, String)>)> {
    let name = proptest::collection::vec(any::<char>().prop_filter("no zero", |&c| c != '\0'), 0..18);
    let one = (1u32..300, 0u64..40, 1u64..60, name.prop_map(|chars| chars.into_iter().collect()));
    (prop_oneof![Just(512u32), Just(4096)], proptest::collection::vec(one, 0..12))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn lay_then_open_gives_the_same((sector_size, wanted) in some_partitions(), tail in 0u64..9) {
        let sector = u64::from(sector_size);
        let mut wanted = wanted;
        wanted.sort();
        wanted.dedup_by_key(|(slot, ..)| *slot);
        let entries = gpt::entries_for(wanted.last().map_or(0, |(slot, ..)| *slot));
        let mut at = gpt::first_usable_for(sector_size, entries);
        let parts: Vec<_> = wanted.iter().map(|(slot, gap, len, name)| {
            let start = at + gap * sector;
            at = start + len * sector;
            partition(*slot, name, start, len * sector)
        }).collect();
        let len = at + (tail + 2) * sector + u64::from(entries) * 128;
        let disk = gpt::lay(&parts, &options(len, sector_size), &identity()).unwrap();
        let image = bytes(&disk, &Memory::default());
        let opened = gpt::open(&image).unwrap();
        prop_assert_eq!(opened.damage, vec![]);
        prop_assert_eq!(opened.partitions, only(&parts));
        for (part, layout) in &parts {
            let range = part.start as usize..(part.start + part.len) as usize;
            prop_assert_eq!(&image[range], &bytes(layout, &Memory::default()));
        }
    }
}
