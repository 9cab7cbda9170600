//! MBR against sfdisk, fdisk, parted, partx, sgdisk, another reader, planted faults and hostile bytes.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod oracle;

use diskwright_formats::bytes::align_up;
use diskwright_formats::fault::{Damage, DamageKind, RefusalKind};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Extent, Layout, Memory, ReadAt, What};
use diskwright_formats::table::gpt;
use diskwright_formats::table::mbr::{self, Extended, Options, Partition, types};
use oracle::{Image, Numbers, bytes, check_dump, run, tool, try_run, write_sparse};
use proptest::prelude::*;
use std::ffi::OsStr;
use std::path::Path;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn identity() -> Identity {
    Identity::new(b"mbr tests", 0)
}

fn options(len: u64, sector_size: u32) -> Options {
    Options { len, sector_size, disk_id: Some(0x1122_3344) }
}

fn partition(number: u32, kind: u8, start: u64, len: u64) -> (Partition, Layout) {
    let extent = Extent::of_bytes(0, vec![number as u8; 512], What::new(&"content"));
    let partition = Partition { number, kind, active: false, start, len };
    (partition, Layout::new(len.max(512), vec![extent], vec![]).unwrap())
}

/// The same without a byte of content.
fn empty(parts: Vec<(Partition, Layout)>) -> Vec<(Partition, Layout)> {
    parts.into_iter().map(|(partition, layout)| (partition, Layout::empty(layout.len()))).collect()
}

fn only(parts: &[(Partition, Layout)]) -> Vec<Partition> {
    parts.iter().map(|(partition, _)| partition.clone()).collect()
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

fn write(path: &Path, parts: &[(Partition, Layout)], options: &Options) {
    write_sparse(path, &mbr::lay(parts, options, &identity()).unwrap(), &Memory::default());
}

fn sparse(path: &Path, len: u64) {
    std::fs::File::create(path).unwrap().set_len(len).unwrap();
}

/// Runs a partitioner with what it reads from its standard input.
fn feed(program: &Path, arguments: &str, path: &Path, input: &str) -> String {
    let script = path.with_extension("script");
    std::fs::write(&script, input).unwrap();
    let text = format!("{} {arguments} {} < {}", program.display(), path.display(), script.display());
    try_run("sh".as_ref(), &["-c".as_ref(), text.as_ref()]).1
}

/// The first sector, and that of every EBR as our reader finds them: all that a partitioner writes.
fn tables(path: &Path, sector_size: u32) -> Vec<(u64, Vec<u8>)> {
    let image = Image::open(path);
    let opened = mbr::open_as(&image, sector_size).unwrap();
    assert_eq!(opened.damage, [], "{}", path.display());
    let logical = opened.partitions.iter().filter(|partition| partition.number > 4);
    let first = opened.extended.map(|extended| extended.start);
    let ebrs = logical.map(|partition| partition.start - MIB).skip(usize::from(first.is_some()));
    let sector = |at: u64| {
        let mut bytes = vec![0; 512];
        image.read_exact_at(at, &mut bytes).unwrap();
        assert_eq!(bytes[510..], [0x55, 0xaa], "a table at {at}");
        (at, bytes)
    };
    [0].into_iter().chain(first).chain(ebrs).map(sector).collect()
}

#[test]
fn sfdisk_writes_the_same_bytes() {
    let Some(sfdisk) = tool("sfdisk_writes_the_same_bytes", "sfdisk", "fdisk") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let compare = |parts: Vec<(Partition, Layout)>, len: u64, script: &str| {
        write(&ours, &empty(parts), &options(len, 512));
        sparse(&theirs, len);
        let script = format!("label: dos\nlabel-id: 0x11223344\n{script}\n");
        let text = feed(&sfdisk, "--quiet", &theirs, &script);
        // It warns of a disk of 2^32 sectors, and writes it.
        assert!(text.is_empty() || len == 2 << 40 && text.contains("2199023255040 bytes"), "{text}");
        if len < GIB {
            assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap(), "{script}");
        }
        assert_eq!(tables(&ours, 512), tables(&theirs, 512), "{script}");
    };
    compare(
        six(256 * MIB),
        256 * MIB,
        "size=20M, type=83, bootable\nsize=10M, type=82\nsize=5M, type=8e\ntype=5\nsize=10M, type=83\n\
         size=7M, type=83\ntype=fd",
    );
    // One partition; four; a hole in the numbers; numbers in another order than on the disk.
    compare(vec![partition(1, types::LINUX, MIB, 63 * MIB)], 64 * MIB, "type=83");
    let four = |numbers: [u32; 4]| {
        (0..).zip(numbers).map(|(n, number)| partition(number, 0x83, (1 + n) * MIB, MIB)).collect::<Vec<_>>()
    };
    compare(four([1, 2, 3, 4]), 64 * MIB, "size=1M\nsize=1M\nsize=1M\nsize=1M");
    compare(four([1, 2, 3, 4])[..3].to_vec(), 64 * MIB, "size=1M\nsize=1M\nsize=1M");
    compare(
        four([4, 2, 1, 3]),
        64 * MIB,
        "1: start=6144, size=1M\n2: start=4096, size=1M\n3: start=8192, size=1M\n4: start=2048, size=1M",
    );
    // Space between logical partitions, and a primary one behind the extended.
    compare(
        vec![
            partition(1, types::LINUX, MIB, MIB),
            partition(2, types::ESP, 50 * MIB, 14 * MIB),
            partition(5, types::LINUX, 6 * MIB, MIB),
            partition(6, types::LINUX, 20 * MIB, 2 * MIB),
        ],
        64 * MIB,
        "1: start=2048, size=2048, type=83\n2: start=102400, type=ef\n4: start=10240, size=92160, type=5\n\
         5: start=12288, size=2048, type=83\n6: start=40960, size=4096, type=83",
    );
    // Behind the last cylinder that the fields of old have room for, and up to the last sector of all.
    compare(
        vec![
            partition(1, types::LINUX, MIB, 8 * GIB),
            partition(2, types::LINUX, MIB + 8 * GIB, 20 * GIB),
            partition(5, types::LINUX, 2 * MIB + 28 * GIB, GIB),
            partition(6, types::LINUX, 3 * MIB + 29 * GIB, 71 * GIB - 3 * MIB),
        ],
        100 * GIB,
        "size=8G\nsize=20G\n4: type=5\n5: size=1G\n6: type=83",
    );
    for len in [2 << 40, (2 << 40) - 512] {
        compare(vec![partition(1, types::LINUX, MIB, len - MIB)], len, "type=83");
    }
}

#[test]
fn fdisk_writes_the_same_bytes_with_both_sector_sizes() {
    let test = "fdisk_writes_the_same_bytes_with_both_sector_sizes";
    let Some(fdisk) = tool(test, "fdisk", "fdisk") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    for sector_size in [512, 4096] {
        // As KIWI runs it for dosparttable_extended_layout: one partition after the other where fdisk wants it.
        let new = ["n\np\n1\n\n+20M", "n\np\n2\n\n+10M", "n\np\n3\n\n+5M", "n\ne\n\n", "n\n\n+10M"];
        let more =
            ["n\n\n+7M", "n\n\n", "x\ni\n0x11223344\nr", "t\n2\n82", "t\n3\n8e", "t\n7\nfd", "a\n1\nw"];
        let script = ["o"].iter().chain(&new).chain(&more).fold(String::new(), |all, one| all + one + "\n");
        sparse(&theirs, 256 * MIB);
        let text = feed(&fdisk, &format!("--sector-size {sector_size}"), &theirs, &script);
        write(&ours, &empty(six(256 * MIB)), &options(256 * MIB, sector_size));
        assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap(), "{sector_size}: {text}");
    }
}

/// The lines of `sfdisk --dump` for these partitions.
fn dumped(text: &str) -> Vec<(u32, u64, u64, u8, bool)> {
    let line = |line: &str| {
        let (name, fields) = line.split_once(" : ")?;
        let number = name.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        let field = |key: &str| {
            let (_, rest) = fields.split_once(key)?;
            Some(rest.split(',').next()?.trim().to_owned())
        };
        let number_of = |key| field(key)?.parse::<u64>().ok();
        let kind = u8::from_str_radix(&field("type=")?, 16).ok()?;
        Some((number, number_of("start=")?, number_of("size=")?, kind, fields.contains("bootable")))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn sfdisk_fdisk_and_parted_read_what_was_laid() {
    let test = "sfdisk_fdisk_and_parted_read_what_was_laid";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk-");
    let parts = six(256 * MIB);
    write(&path, &parts, &options(256 * MIB, 512));
    let mut expected: Vec<_> = only(&parts)
        .iter()
        .map(|part| (part.number, part.start / 512, part.len / 512, part.kind, part.active))
        .collect();
    expected.insert(3, (4, 73728, 450_560, 5, false));
    if let Some(sfdisk) = tool(test, "sfdisk", "fdisk") {
        let text = run(&sfdisk, &["--verify".as_ref(), path.as_ref()]);
        assert!(text.contains("No errors detected"), "{text}");
        assert!(!text.to_lowercase().contains("warning"), "{text}");
        let text = run(&sfdisk, &["--dump".as_ref(), path.as_ref()]);
        assert!(text.contains("label: dos\nlabel-id: 0x11223344\n"), "{text}");
        assert_eq!(dumped(&text), expected, "{text}");
    }
    if let Some(fdisk) = tool(test, "fdisk", "fdisk") {
        let text = run(&fdisk, &["-l".as_ref(), path.as_ref()]);
        assert!(text.contains("Disk identifier: 0x11223344"), "{text}");
        let words = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>();
        let row = |number: u32| {
            let name = format!("{}{number} ", path.display());
            words(text.lines().find(|line| line.starts_with(&name)).unwrap())
        };
        assert_eq!(row(1)[..6], ["*", "2048", "43007", "40960", "20M", "83"], "{text}");
        assert_eq!(row(7)[..6], ["114688", "524287", "409600", "200M", "fd", "Linux"], "{text}");
    }
    if let Some(parted) = tool(test, "parted", "parted") {
        let arguments = ["-sm".as_ref(), path.as_os_str(), "unit".as_ref(), "s".as_ref(), "print".as_ref()];
        let text = run(&parted, &arguments);
        assert!(text.contains(":524288s:file:512:512:msdos::;"), "{text}");
        let found: Vec<&str> = text.lines().skip(2).collect();
        let expected = [
            "1:2048s:43007s:40960s:::boot;",
            "2:43008s:63487s:20480s:::swap;",
            "3:63488s:73727s:10240s:::lvm;",
            "4:73728s:524287s:450560s:::;",
            "5:75776s:96255s:20480s:::;",
            "6:98304s:112639s:14336s:::;",
            "7:114688s:524287s:409600s:::raid;",
        ];
        assert_eq!(found, expected, "{text}");
    }
}

/// sfdisk and parted cannot be told the sector size of a file; partx (libblkid's reader) and fdisk can.
#[test]
fn partx_fdisk_and_mbrman_read_both_sector_sizes() {
    let test = "partx_fdisk_and_mbrman_read_both_sector_sizes";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk-");
    for sector_size in [512, 4096] {
        let parts = six(256 * MIB);
        write(&path, &parts, &options(256 * MIB, sector_size));
        let size = sector_size.to_string();
        if let Some(partx) = tool(test, "partx", "util-linux") {
            let columns = "--output=NR,START,SECTORS,TYPE,FLAGS";
            let arguments: [&OsStr; 6] =
                ["-S".as_ref(), size.as_ref(), "-g".as_ref(), columns.as_ref(), "-s".as_ref(), path.as_ref()];
            let text = run(&partx, &arguments);
            // Units of 512 bytes, whatever the sectors.
            let row = |part: &Partition| {
                let (start, len) = (part.start / 512, part.len / 512);
                let flags = if part.active { "0x80" } else { "0x0" };
                format!("{} {start} {len} {:#x} {flags}", part.number, part.kind)
            };
            let mut expected: Vec<String> = only(&parts).iter().map(row).collect();
            expected.insert(3, "4 73728 450560 0x5 0x0".to_owned());
            let found: Vec<String> =
                text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            assert_eq!(found, expected);
        }
        if let Some(fdisk) = tool(test, "fdisk", "fdisk") {
            let text = run(&fdisk, &["--sector-size".as_ref(), size.as_ref(), "-l".as_ref(), path.as_ref()]);
            let unit = 256 * MIB / u64::from(sector_size);
            assert!(text.contains(&format!("268435456 bytes, {unit} sectors")), "{text}");
            let last = text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>();
            assert_eq!(last[2], (unit - 1).to_string(), "{text}");
        }
        let mut file = std::fs::File::open(&path).unwrap();
        let theirs = mbrman::MBR::read_from(&mut file, sector_size).unwrap();
        assert_eq!(theirs.header.disk_signature, 0x1122_3344u32.to_le_bytes());
        assert_eq!(theirs.logical_partitions.len(), 3);
        for (ours, _) in &parts {
            let entry = theirs.get(ours.number as usize).unwrap();
            assert_eq!((entry.sys, entry.is_active()), (ours.kind, ours.active));
            assert_eq!(u64::from(entry.starting_lba) * u64::from(sector_size), ours.start);
            assert_eq!(u64::from(entry.sectors) * u64::from(sector_size), ours.len);
        }
    }
}

#[test]
fn what_is_laid_opens_and_dumps() {
    for sector_size in [512, 4096] {
        let parts = six(256 * MIB);
        let options = Options { disk_id: None, ..options(256 * MIB, sector_size) };
        let disk = mbr::lay(&parts, &options, &identity()).unwrap();
        assert!(disk.extents_in(0..440).next().is_none(), "boot code is a gap");
        assert!(disk.extents_in(512..MIB).next().is_none(), "sectors for boot loaders are a gap");
        let mut shuffled = parts.clone();
        shuffled.reverse();
        assert_eq!(mbr::lay(&shuffled, &options, &identity()).unwrap(), disk);
        let image = bytes(&disk, &Memory::default());
        assert!(mbr::recognise(&image) && !gpt::recognise(&image));
        // The last partition ends with the disk, so the sector size is found.
        let opened = mbr::open(&image).unwrap();
        assert_eq!(opened.damage, []);
        assert_eq!((opened.sector_size, opened.disk_id), (sector_size, identity().number("disk-id")));
        assert_eq!(opened.partitions, only(&parts));
        let extended = Extended { number: 4, kind: 5, start: 36 * MIB, len: 220 * MIB };
        assert_eq!(opened.extended, Some(extended));
        assert_eq!(image[MIB as usize..][..512], [1; 512]);
        assert_eq!(disk.extents_in(MIB..MIB + 1).next().unwrap().label(), "partition 1/content");
        let mut text = String::new();
        mbr::dump(&image, &mut text).unwrap();
        check_dump(&text, options.len);
        assert!(text.contains("ebr 6: record 2: type 05 extended, status 00, "), "{text}");
        assert!(text.contains("content of partition 7"), "{text}");
    }
}

#[test]
fn type_bytes_are_those_that_sfdisk_knows() {
    let Some(sfdisk) = tool("type_bytes_are_those_that_sfdisk_knows", "sfdisk", "fdisk") else { return };
    let list = run(&sfdisk, &["--label".as_ref(), "dos".as_ref(), "--list-types".as_ref()]).to_lowercase();
    for (kind, name) in types::ALL {
        let line = list.lines().find(|line| line.trim_start().starts_with(&format!("{kind:x} ")));
        let line = line.unwrap_or_else(|| panic!("{name}: {kind:02x}"));
        let word = match *name {
            "md raid" => "raid",
            "fat12" | "fat16 small" | "fat16" | "fat16 lba" => "fat",
            "fat32" | "fat32 lba" => "fat32",
            "extended boot loader" => "linux extended boot",
            "extended" | "extended lba" => "ext",
            "data" => "non-fs data",
            name => name.split(' ').next().unwrap(),
        };
        assert!(line.contains(word), "{name}: {line}");
        assert_eq!(types::name(*kind), Some(*name));
    }
}

/// What `force_mbr` ends with: see the module's documentation.
#[test]
fn sgdisk_makes_the_same_records_of_a_gpt() {
    let Some(sgdisk) = tool("sgdisk_makes_the_same_records_of_a_gpt", "sgdisk", "gdisk") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let guids = [gpt::types::BIOS_BOOT, gpt::types::ESP, gpt::types::ROOT_X86_64, gpt::types::XBOOTLDR];
    let kinds = [types::ESP, types::ESP, types::LINUX, types::XBOOTLDR];
    let places = [(MIB, 2 * MIB), (3 * MIB, 20 * MIB), (23 * MIB, 30 * MIB), (53 * MIB, 10 * MIB)];
    let part = |slot: usize| gpt::Partition {
        number: 10 * (slot as u32 + 1),
        type_guid: guids[slot],
        unique_guid: identity().uuid(&slot.to_string()),
        name: String::new(),
        attributes: 0,
        start: places[slot].0,
        len: places[slot].1,
    };
    let of_gpt: Vec<_> = (0..4).map(|slot| (part(slot), Layout::empty(MIB))).collect();
    let gpt = gpt::lay(&of_gpt, &gpt::Options::new(64 * MIB, 512), &identity()).unwrap();
    for (list, slots) in [("10:20:30:40", vec![0, 1, 2, 3]), ("30:10:20", vec![2, 0, 1])] {
        write_sparse(&theirs, &gpt, &Memory::default());
        run(&sgdisk, &["--gpttombr".as_ref(), list.as_ref(), theirs.as_ref()]);
        let parts: Vec<_> = (1..)
            .zip(slots)
            .map(|(number, slot)| partition(number, kinds[slot], places[slot].0, places[slot].1))
            .collect();
        write(&ours, &empty(parts), &Options { disk_id: Some(0), ..options(64 * MIB, 512) });
        assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap(), "{list}");
    }
    write_sparse(&theirs, &gpt, &Memory::default());
    let (code, text) = try_run(&sgdisk, &["--gpttombr".as_ref(), "10:20:30:40:50".as_ref(), theirs.as_ref()]);
    assert_eq!(code, Some(0));
    assert!(text.contains("Problem creating MBR!"), "{text}");
    assert!(gpt::open(&Image::open(&theirs)).unwrap().damage.is_empty(), "the gpt is left");
}

/// One list of partitions, and what the refusal says.
type Refused = (&'static str, RefusalKind, Box<dyn Fn(&mut Vec<(Partition, Layout)>, &mut Options)>);

fn refused() -> Vec<Refused> {
    use RefusalKind::{Invalid, Limit, TooSmall};
    let longest = 2u64 << 40;
    vec![
        (
            "starts before partition 1 ends: 21495808 of 22020096",
            Invalid,
            Box::new(|p, _| p[1].0.start -= MIB / 2),
        ),
        ("starts in the table, before byte 512: 0", Invalid, Box::new(|p, _| p[0].0.start = 0)),
        (
            "end behind the disk: 268435456",
            TooSmall { needed: Some(256 * MIB + 512) },
            Box::new(|p, _| p[5].0.len += 512),
        ),
        ("end behind the disk", TooSmall { needed: None }, Box::new(|p, _| p[5].0.len = u64::MAX - 511)),
        ("not on sector boundaries", Invalid, Box::new(|p, _| p[1].0.start += 1)),
        ("not on sector boundaries", Invalid, Box::new(|p, _| p[1].0.len -= 1)),
        ("a partition of no bytes", Invalid, Box::new(|p, _| p[1].0.len = 0)),
        ("a number that another partition has: 1", Invalid, Box::new(|p, _| p[1].0.number = 1)),
        ("numbers count from 1", Invalid, Box::new(|p, _| p[1].0.number = 0)),
        ("a number above 60: 61", Limit, Box::new(|p, _| p[5].0.number = 61)),
        ("whose place is not that of its number", Invalid, Box::new(|p, _| p[5].0.number = 8)),
        (
            "whose place is not that of its number",
            Invalid,
            Box::new(|p, _| {
                (p[4].0.number, p[5].0.number) = (7, 6);
            }),
        ),
        (
            "no number from 1 to 4 is left for the extended partition",
            Limit,
            Box::new(|p, _| {
                p.insert(0, partition(4, 0x83, 512, 512));
            }),
        ),
        (
            "lies between logical partitions 5 and 7",
            Invalid,
            Box::new(|p, _| {
                p[2].0.start = 47 * MIB + 512;
                p[2].0.len = MIB;
                p[2].1 = Layout::empty(MIB);
                p[4].0.start += 8 * MIB;
                p[5].0.start += 8 * MIB;
                p[5].0.len -= 8 * MIB;
                p[5].1 = Layout::empty(MIB);
            }),
        ),
        (
            "has no room for its ebr behind partition 3, before byte 38797312: 38796800",
            Invalid,
            Box::new(|p, _| p[3].0.start -= 512),
        ),
        (
            "has no room for its ebr behind partition 5, before byte 50331648: 50331136",
            Invalid,
            Box::new(|p, _| p[4].0.start -= 512),
        ),
        (
            "has no room for its ebr, before byte 1049088: 1048576",
            Invalid,
            Box::new(|p, _| {
                p.drain(..3);
                p[0].0.start = MIB;
            }),
        ),
        ("active, as another partition is: 1", Invalid, Box::new(|p, _| p[4].0.active = true)),
        ("type 00", Invalid, Box::new(|p, _| p[1].0.kind = 0)),
        ("a type of extended partitions: 05", Invalid, Box::new(|p, _| p[1].0.kind = 5)),
        ("a type of extended partitions: 0f", Invalid, Box::new(|p, _| p[4].0.kind = 0xf)),
        ("type ee", Invalid, Box::new(|p, _| p[1].0.kind = 0xee)),
        (
            "too small for its content: 20971520 of 20971521 bytes",
            TooSmall { needed: Some(20 * MIB + 512) },
            Box::new(|p, _| p[0].1 = p[0].1.resized(20 * MIB + 1)),
        ),
        ("a sector size that disks do not have: 1024", Invalid, Box::new(|_, o| o.sector_size = 1024)),
        ("does not end with a sector", Invalid, Box::new(|_, o| o.len += 1)),
        (
            "a disk longer than 2^32 sectors, 2199023255552 bytes: 2199023256064",
            Limit,
            Box::new(move |_, o| o.len = longest + 512),
        ),
        (
            "a disk longer than 2^32 sectors, 17592186044416 bytes: 17592186048512",
            Limit,
            Box::new(move |_, o| (o.len, o.sector_size) = (8 * longest + 4096, 4096)),
        ),
        (
            "the disk is too small for its table: 0 of 512 bytes",
            TooSmall { needed: Some(512) },
            Box::new(|p, o| {
                p.clear();
                o.len = 0;
            }),
        ),
    ]
}

#[test]
fn what_the_table_cannot_hold_is_refused() {
    for (reason, kind, spoil) in refused() {
        let (mut parts, mut options) = (six(256 * MIB), options(256 * MIB, 512));
        spoil(&mut parts, &mut options);
        let refusal = mbr::lay(&parts, &options, &identity()).expect_err(reason);
        assert!(refusal.reason.contains(reason), "{refusal} is not about: {reason}");
        assert_eq!(refusal.kind, kind, "{refusal}");
    }
    // What is one sector less is accepted.
    for sector_size in [512u32, 4096] {
        let most = u64::from(sector_size) << 32;
        let parts = [partition(1, 0x83, u64::from(sector_size), most - u64::from(sector_size))];
        assert!(mbr::lay(&parts, &options(most, sector_size), &identity()).is_ok());
        let logical = [partition(5, 0x83, MIB + u64::from(sector_size), most - 2 * MIB)];
        let logical =
            [(Partition { len: most - logical[0].0.start, ..logical[0].0.clone() }, logical[0].1.clone())];
        assert!(mbr::lay(&logical, &options(most, sector_size), &identity()).is_ok());
    }
    let smallest = mbr::lay(&[], &options(512, 512), &identity()).unwrap();
    assert_eq!(mbr::open(&bytes(&smallest, &Memory::default())).unwrap().damage, []);
}

#[test]
fn sixty_partitions_are_the_most() {
    let test = "sixty_partitions_are_the_most";
    let parts: Vec<_> = (5..=60)
        .map(|number| partition(number, 0x83, (u64::from(number) * 2 - 6) * MIB, MIB))
        .chain([partition(1, 0x83, MIB, MIB)])
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk-");
    write(&path, &parts, &options(128 * MIB, 512));
    let opened = mbr::open_as(&Image::open(&path), 512).unwrap();
    assert_eq!((opened.damage, opened.partitions.len()), (vec![], 57));
    if let Some(sfdisk) = tool(test, "sfdisk", "fdisk") {
        let text = run(&sfdisk, &["--dump".as_ref(), path.as_ref()]);
        assert_eq!(dumped(&text).last(), Some(&(60, 114 * 2048, 2048, 0x83, false)), "{text}");
    }
}

/// A disk of 512-byte sectors to spoil: primary partitions at sectors 8, 16; extended at 100, logical ones at 2148 and
/// 4204, EBRs at 100 and 2156.
fn sound() -> Vec<u8> {
    let parts = vec![
        partition(1, 0x83, 8 * 512, 8 * 512),
        partition(2, 0x82, 16 * 512, 8 * 512),
        partition(5, 0x83, 2148 * 512, 8 * 512),
        partition(6, 0x83, 4204 * 512, 8 * 512),
    ];
    let disk = mbr::lay(&parts, &options(4212 * 512, 512), &identity()).unwrap();
    bytes(&disk, &Memory::default())
}

const EBR5: usize = 100 * 512;
const EBR6: usize = 2156 * 512;

fn put(image: &mut [u8], at: usize, value: u32) {
    image[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

type Fault = (&'static str, DamageKind, &'static str, usize, usize, Box<dyn Fn(&mut Vec<u8>)>);

/// What, kind, structure, offset, partitions that are left, what spoils it.
fn faults() -> Vec<Fault> {
    use DamageKind::{Mismatch, Truncated, Value};
    vec![
        ("status", Value, "mbr", 446, 4, Box::new(|i| i[446] = 1)),
        ("unused, not zero", Value, "mbr", 478, 4, Box::new(|i| i[490] = 1)),
        ("type zero", Value, "mbr", 462, 3, Box::new(|i| i[466] = 0)),
        ("no sectors", Value, "mbr", 458, 3, Box::new(|i| put(i, 458, 0))),
        ("type ee", Value, "partition 1", 450, 4, Box::new(|i| i[450] = 0xee)),
        ("two active", Value, "partition 2", 462, 4, Box::new(|i| (i[446], i[462]) = (0x80, 0x80))),
        (
            "a logical one, too",
            Value,
            "partition 6",
            EBR6 + 446,
            4,
            Box::new(|i| (i[446], i[EBR6 + 446]) = (0x80, 0x80)),
        ),
        ("behind the disk", Value, "partition 2", 470, 3, Box::new(|i| put(i, 470, 4210))),
        ("far behind", Value, "partition 2", 470, 3, Box::new(|i| put(i, 470, u32::MAX))),
        ("too long", Value, "partition 2", 470, 3, Box::new(|i| put(i, 474, u32::MAX))),
        ("over the mbr", Mismatch, "partition 1", 454, 4, Box::new(|i| put(i, 454, 0))),
        ("overlap", Mismatch, "partition 2", 470, 4, Box::new(|i| put(i, 470, 15))),
        ("over the extended", Mismatch, "partition 4", 502, 4, Box::new(|i| put(i, 474, 85))),
        ("two extended", Value, "partition 4", 498, 1, Box::new(|i| i[466] = 0x0f)),
        ("extended behind the disk", Value, "partition 4", 502, 4, Box::new(|i| put(i, 506, 4113))),
        ("extended far away", Truncated, "ebr 5", 4212 * 512 + 446, 2, Box::new(|i| put(i, 502, 4212))),
        ("ebr signature", Value, "ebr 5", EBR5 + 510, 2, Box::new(|i| i[EBR5 + 511] = 0)),
        ("second ebr signature", Value, "ebr 6", EBR6 + 510, 3, Box::new(|i| i[EBR6 + 511] = 0)),
        ("ebr status", Value, "ebr 5", EBR5 + 446, 4, Box::new(|i| i[EBR5 + 446] = 2)),
        ("link status", Value, "ebr 5", EBR5 + 462, 4, Box::new(|i| i[EBR5 + 462] = 2)),
        ("third record", Value, "ebr 5", EBR5 + 478, 4, Box::new(|i| i[EBR5 + 490] = 1)),
        (
            "two partitions",
            Value,
            "ebr 6",
            EBR6 + 462,
            4,
            Box::new(|i| i.copy_within(EBR6 + 446..EBR6 + 462, EBR6 + 462)),
        ),
        (
            "two links",
            Value,
            "ebr 5",
            EBR5 + 478,
            4,
            Box::new(|i| i.copy_within(EBR5 + 462..EBR5 + 478, EBR5 + 478)),
        ),
        ("over its ebr", Mismatch, "partition 5", EBR5 + 454, 4, Box::new(|i| put(i, EBR5 + 454, 0))),
        ("over the next ebr", Mismatch, "ebr 6", EBR6, 4, Box::new(|i| put(i, EBR5 + 458, 9))),
        ("outside the extended", Value, "partition 6", EBR6 + 454, 4, Box::new(|i| put(i, 506, 4111))),
        ("logical behind the disk", Value, "partition 6", EBR6 + 454, 3, Box::new(|i| put(i, EBR6 + 458, 9))),
        ("a circle of one", Value, "ebr 6", EBR5 + 470, 3, Box::new(|i| put(i, EBR5 + 470, 0))),
        (
            "a circle of two",
            Value,
            "ebr 7",
            EBR6 + 470,
            4,
            Box::new(|i| {
                i.copy_within(EBR5 + 462..EBR5 + 478, EBR6 + 462);
                put(i, EBR6 + 470, 2056);
            }),
        ),
        ("a link away", Value, "ebr 6", EBR5 + 470, 3, Box::new(|i| put(i, EBR5 + 470, 4112))),
        ("a link far away", Value, "ebr 6", EBR5 + 470, 3, Box::new(|i| put(i, EBR5 + 470, u32::MAX))),
        ("a link too short", Mismatch, "ebr 6", EBR5 + 474, 4, Box::new(|i| put(i, EBR5 + 474, 2055))),
        ("an empty link", Value, "ebr 5", EBR5 + 474, 3, Box::new(|i| put(i, EBR5 + 474, 0))),
        ("cut", Value, "partition 6", EBR6 + 454, 3, Box::new(|i| i.truncate(4211 * 512))),
        ("cut in a sector", Truncated, "disk", 4211 * 512 + 9, 3, Box::new(|i| i.truncate(4211 * 512 + 9))),
    ]
}

#[test]
fn each_planted_fault_is_named_with_its_place() {
    let image = sound();
    assert_eq!(mbr::open(&image).unwrap().damage, []);
    for (what, kind, object, offset, left, spoil) in faults() {
        let mut image = image.clone();
        spoil(&mut image);
        let opened = mbr::open(&image).unwrap();
        let named = |damage: &&Damage| damage.spot.object == object && damage.offset == offset as u64;
        let found = opened.damage.iter().find(named);
        let found = found.unwrap_or_else(|| panic!("{what}: {:#?}", opened.damage));
        assert_eq!(found.kind, kind, "{what}: {found}");
        assert_eq!(opened.partitions.len(), left, "{what}: {:#?}", opened);
        // With an ee it would be a GPT disk without a GPT.
        assert_eq!(mbr::recognise(&image), what != "type ee", "{what}");
        mbr::dump(&image, &mut String::new()).unwrap();
    }
    for (at, kind) in [(510, DamageKind::Value), (511, DamageKind::Value)] {
        let mut image = image.clone();
        image[at] = 0;
        let damage = mbr::open(&image).unwrap_err();
        assert_eq!((damage.kind, damage.offset), (kind, 510));
        assert!(!mbr::recognise(&image) && mbr::dump(&image, &mut String::new()).is_err());
    }
    let damage = mbr::open(&image[..511].to_vec()).unwrap_err();
    assert_eq!((damage.kind, damage.offset), (DamageKind::Truncated, 446));
    assert!(!mbr::recognise(&Vec::new()) && !mbr::recognise(&vec![0; 4096]));
}

/// A chain as long as the disk is not followed to its end.
#[test]
fn a_long_chain_ends() {
    let mut image = vec![0; 2000 * 512];
    let table = |image: &mut Vec<u8>, at: usize, records: &[(u8, u32, u32)]| {
        for (slot, (kind, start, count)) in records.iter().enumerate() {
            let record = at * 512 + 446 + slot * 16;
            image[record + 4] = *kind;
            put(image, record + 8, *start);
            put(image, record + 12, *count);
        }
        image[at * 512 + 510..][..2].copy_from_slice(&[0x55, 0xaa]);
    };
    table(&mut image, 0, &[(5, 1, 1999)]);
    for at in 1..999 {
        table(&mut image, 2 * at - 1, &[(0x83, 1, 1), (5, 2 * at as u32, 2)]);
    }
    let opened = mbr::open_as(&image, 512).unwrap();
    assert_eq!(opened.partitions.len(), 251);
    assert_eq!(opened.partitions.last().unwrap().number, 255);
    let found = opened.damage.iter().map(|damage| damage.to_string()).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("an end of the chain within 255 partitions"), "{found:?}");
}

#[test]
fn a_boot_sector_is_no_table() {
    let test = "a_boot_sector_is_no_table";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk-");
    if let Some(mkfs) = tool(test, "mkfs.fat", "dosfstools") {
        // With a partition over all of itself, too.
        for (bits, arguments) in [("12", "--mbr=n"), ("16", "--mbr=y"), ("32", "--mbr=y")] {
            sparse(&path, 64 * MIB);
            run(&mkfs, &["-F".as_ref(), bits.as_ref(), arguments.as_ref(), path.as_ref()]);
            let mut sector = vec![0; 512];
            Image::open(&path).read_exact_at(0, &mut sector).unwrap();
            assert_eq!(sector[510..], [0x55, 0xaa]);
            assert_eq!(sector[450] != 0, arguments == "--mbr=y");
            assert!(!mbr::recognise(&Image::open(&path)), "fat{bits} {arguments}");
        }
        // A partitioner that was run over a file system leaves the start of its boot sector.
        if let Some(sfdisk) = tool(test, "sfdisk", "fdisk") {
            feed(&sfdisk, "--quiet --wipe never", &path, "label: dos\nsize=20M\ntype=c\n");
            let mut sector = vec![0; 512];
            Image::open(&path).read_exact_at(0, &mut sector).unwrap();
            assert_eq!(sector[3..11], *b"mkfs.fat");
            assert!(mbr::recognise(&Image::open(&path)));
        }
    }
    let sector = |name: &[u8], text: &[u8]| {
        let mut sector = vec![0; 4096];
        sector[..3].copy_from_slice(&[0xeb, 0x52, 0x90]);
        sector[3..3 + name.len()].copy_from_slice(name);
        sector[446..446 + text.len()].copy_from_slice(text);
        sector[510..512].copy_from_slice(&[0x55, 0xaa]);
        sector
    };
    let text = b"\0ress Ctrl+Alt+Del to restart";
    for name in [&b"NTFS    "[..], b"EXFAT   "] {
        assert!(!mbr::recognise(&sector(name, text)));
        assert!(!mbr::recognise(&sector(name, b"")));
    }
    // A boot loader in the first sector of some other file system: text, or nothing, where records would be.
    assert!(!mbr::recognise(&sector(b"", b"\x01text")) && !mbr::recognise(&sector(b"", b"")));
    let gpt = gpt::lay(&[], &gpt::Options::new(MIB, 512), &identity()).unwrap();
    assert!(!mbr::recognise(&bytes(&gpt, &Memory::default())));
}

#[test]
fn the_sector_size_is_found_where_something_says_it() {
    let sizes = |parts: &[(Partition, Layout)], len: u64, sector_size: u32| {
        let disk = mbr::lay(parts, &options(len, sector_size), &identity()).unwrap();
        mbr::sector_sizes(&bytes(&disk, &Memory::default()))
    };
    let one = |start: u64, len: u64| [partition(1, 0x83, start, len)];
    let logical = [partition(5, 0x83, 2 * MIB, MIB)];
    // EBRs are where they should be with one size alone.
    assert_eq!(sizes(&logical, 64 * MIB, 512), [512]);
    assert_eq!(sizes(&logical, 64 * MIB, 4096), [4096]);
    // More than an eighth of the disk does not fit with larger sectors.
    assert_eq!(sizes(&one(MIB, 16 * MIB), 64 * MIB, 512), [512]);
    // The end of the disk, or starts on MiB.
    assert_eq!(sizes(&one(8 * MIB, 56 * MIB), 64 * MIB, 4096), [4096, 512]);
    assert_eq!(sizes(&one(MIB, 2 * MIB), 64 * MIB, 4096), [4096, 512]);
    assert_eq!(sizes(&one(MIB, MIB), 64 * MIB, 512), [512, 4096]);
    // Nothing says it.
    assert_eq!(sizes(&one(8 * MIB, 8 * MIB), 64 * MIB, 4096), [512, 4096]);
    assert_eq!(sizes(&[], 64 * MIB, 4096), [512, 4096]);
}

#[test]
fn hostile_bytes_neither_panic_nor_take_memory() {
    let image = sound();
    let mut numbers = Numbers(1);
    let places = [440u64, EBR5 as u64 + 440, EBR6 as u64 + 440];
    for round in 0..1500 {
        let mut image = image.clone();
        for _ in 0..1 + numbers.below(4) {
            let at = (places[numbers.below(3) as usize] + numbers.below(72)) as usize;
            image[at] = [0, 1, 255, 128, numbers.below(256) as u8][numbers.below(5) as usize];
        }
        if round % 5 == 0 {
            image.truncate(numbers.below(image.len() as u64) as usize);
        }
        mbr::recognise(&image);
        for sector_size in mbr::sector_sizes(&image) {
            if let Ok(opened) = mbr::open_as(&image, sector_size) {
                assert!(opened.partitions.iter().all(|p| p.start + p.len <= image.len() as u64));
                mbr::dump_as(&image, sector_size, &mut String::new()).unwrap();
            }
        }
    }
}

#[test]
fn silent_on_tables_of_other_writers() {
    let test = "silent_on_tables_of_other_writers";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk-");
    let check = |expected: &[(u32, u64)]| {
        let image = Image::open(&path);
        assert!(mbr::recognise(&image) && !gpt::recognise(&image));
        let opened = mbr::open(&image).unwrap();
        assert_eq!(opened.damage, []);
        let found: Vec<_> = opened.partitions.iter().map(|part| (part.number, part.start / 512)).collect();
        assert_eq!((found.as_slice(), opened.sector_size), (expected, 512));
        let mut text = String::new();
        mbr::dump(&image, &mut text).unwrap();
        check_dump(&text, image.len());
    };
    if let Some(sfdisk) = tool(test, "sfdisk", "fdisk") {
        let write = |script: &str| {
            sparse(&path, 64 * MIB);
            feed(&sfdisk, "--quiet", &path, &format!("label: dos\n{script}\n"));
        };
        write("start=63, size=1000\ntype=f\nstart=20000, size=3000\nstart=40000, size=3000");
        check(&[(1, 63), (5, 20000), (6, 40000)]);
        write("size=20M, type=ef");
        check(&[(1, 2048)]);
        // A logical partition that is gone leaves an EBR without one.
        write("type=5\nsize=5M\nsize=5M\nsize=5M");
        run(&sfdisk, &["--delete".as_ref(), path.as_ref(), "5".as_ref()]);
        check(&[(5, 16384), (6, 28672)]);
    }
    if let Some(parted) = tool(test, "parted", "parted") {
        sparse(&path, 64 * MIB);
        let script = "mklabel msdos mkpart primary ext4 1MiB 8MiB mkpart extended 8MiB 100% \
                      mkpart logical 9MiB 20MiB mkpart logical 21MiB 40MiB set 1 boot on";
        let arguments: Vec<&OsStr> = ["-s".as_ref(), path.as_os_str()]
            .into_iter()
            .chain(script.split_whitespace().map(OsStr::new))
            .collect();
        run(&parted, &arguments);
        check(&[(1, 2048), (5, 18432), (6, 43008)]);
    }
}

/// Whether these partitions may stand on a disk together: written apart from the code that lays them.
fn sensible(parts: &[(Partition, Layout)], len: u64) -> bool {
    let mut sorted = only(parts);
    sorted.sort_by_key(|part| part.start);
    let logical: Vec<u32> = sorted.iter().map(|part| part.number).filter(|&number| number > 4).collect();
    let mut claims: Vec<(u64, u64)> = vec![(0, 512)];
    for part in &sorted {
        let room = if part.number > 4 { MIB } else { 0 };
        let Some(start) = part.start.checked_sub(room) else { return false };
        claims.push((start, part.start + part.len));
    }
    claims.sort_unstable();
    let spans = sorted.iter().map(|part| part.number > 4).collect::<Vec<_>>();
    let (first, last) = (spans.iter().position(|&it| it), spans.iter().rposition(|&it| it));
    let together = first.is_none_or(|first| spans[first..=last.unwrap()].iter().all(|&it| it));
    let mut numbers: Vec<u32> = sorted.iter().map(|part| part.number).collect();
    numbers.sort_unstable();
    let primaries = numbers.iter().filter(|&&number| number <= 4).count();
    claims.windows(2).all(|pair| pair[0].1 <= pair[1].0)
        && claims.last().unwrap().1 <= len
        && logical.iter().copied().eq(5..5 + logical.len() as u32)
        && together
        && (logical.is_empty() || primaries < 4)
        && numbers.windows(2).all(|pair| pair[0] < pair[1])
        && sorted.iter().filter(|part| part.active).count() <= 1
}

/// Distance and length in halves of a MiB, type, active.
type Wanted = (u64, u64, u8, bool);

/// Partitions with their distance from the end of the one before, in units of half a MiB: mostly sound.
fn some_partitions() -> impl Strategy<Value = (u32, Vec<Wanted>, Vec<u32>)> {
    let kind = prop_oneof![4 => Just(0x83u8), 1 => Just(0xef), 1 => 6u8..=14];
    let one = (0u64..4, 1u64..6, kind, prop::bool::weighted(0.1));
    let orders = vec![
        vec![1, 2, 3, 5, 6, 7],
        vec![5, 6, 7, 1, 2, 3],
        vec![2, 5, 6, 7, 4, 1],
        vec![4, 3, 2, 1],
        vec![1, 2, 3, 4, 5],
        vec![1, 5, 2, 6],
        vec![1, 5, 7],
        vec![1, 1],
        vec![3, 5, 6, 7, 8, 9, 10, 11],
    ];
    let size = prop_oneof![Just(512u32), Just(4096)];
    (size, proptest::collection::vec(one, 0..9), proptest::sample::select(orders))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_is_laid_opens_as_it_was_and_the_rest_is_refused(
        (sector_size, wanted, numbers) in some_partitions(),
        tail in 0u64..3,
        shift in 0u64..3,
    ) {
        let mut at = MIB;
        let parts: Vec<_> = wanted.into_iter().zip(numbers).map(|((gap, len, kind, active), number)| {
            let start = at + gap * MIB / 2;
            at = start + len * MIB / 2;
            let (partition, layout) = partition(number, kind, start, len * MIB / 2);
            (Partition { active, ..partition }, layout)
        }).collect();
        // Now and then the disk ends early.
        let len = align_up(at + tail * MIB / 2, 4096).unwrap() - shift / 2 * 4096;
        match mbr::lay(&parts, &options(len, sector_size), &identity()) {
            Err(refusal) => prop_assert!(!sensible(&parts, len), "{}", refusal),
            Ok(disk) => {
                prop_assert!(sensible(&parts, len));
                let image = bytes(&disk, &Memory::default());
                prop_assert!(mbr::recognise(&image));
                let opened = mbr::open_as(&image, sector_size).unwrap();
                prop_assert_eq!(opened.damage, vec![]);
                prop_assert_eq!(opened.disk_id, 0x1122_3344);
                let mut expected = only(&parts);
                expected.sort_by_key(|part| part.number);
                prop_assert_eq!(opened.partitions, expected);
                prop_assert!(mbr::sector_sizes(&image).contains(&sector_size));
                for (part, layout) in &parts {
                    let range = part.start as usize..(part.start + part.len) as usize;
                    prop_assert!(image[range] == bytes(layout, &Memory::default()));
                }
            }
        }
    }
}
