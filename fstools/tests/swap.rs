//! Swap: what is laid is what mkswap writes, blkid and swaplabel read it, and planted faults are found.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod fat_support;

use diskwright_formats::fault::{Damage, DamageKind, Refusal, RefusalKind};
use diskwright_formats::layout::{Memory, ReadAt};
use diskwright_fstools::registry::{Filesystem, Geometry, Laid, Opened, ROWS, Row, find};
use diskwright_fstools::tree::Tree;
use fat_support::{MIB, Sample, command, identity, image, run, tool, write_image};

const UUID: &str = "01234567-89ab-4def-8123-456789abcdef";

fn row() -> &'static Row {
    find("swap").unwrap()
}

fn swap(options: &str) -> Box<dyn Filesystem> {
    let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
    (row().configure)(&options).unwrap()
}

fn empty() -> Tree {
    Sample::new().tree
}

fn lay(options: &str, len: u64) -> Result<Laid, Refusal> {
    let geometry = Geometry { len, sector_size: 512, hidden_sectors: 0 };
    swap(options).lay(&empty(), &geometry, &identity())
}

fn bytes(options: &str, len: u64) -> Vec<u8> {
    image(&lay(options, len).unwrap().layout, &Memory::default())
}

fn open(image: &dyn ReadAt) -> Result<Opened, Damage> {
    assert!((row().recognise)(image) || (row().resembles)(image));
    (row().open)(image)
}

const CASES: [(&str, u64); 7] = [
    ("", 40_960),
    ("-L swap", MIB),
    ("-L fifteen--bytes", MIB + 1000),
    ("-U clear -L x", 3 * MIB),
    ("-p 8192", 10 * 8192),
    ("-p 16384 -L large", 5 * MIB),
    ("-p 65536", 40 * 65_536 + 4096),
];

#[test]
fn it_is_what_mkswap_writes() {
    let name = "it_is_what_mkswap_writes";
    let Some(mkswap) = tool(name, "mkswap", "util-linux") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swap");
    for (options, len) in CASES {
        let uuid = if options.contains("-U") { String::new() } else { format!("-U {UUID}") };
        let options = format!("{options} {uuid}");
        std::fs::write(&path, []).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
        let mut words: Vec<&str> = options.split_whitespace().collect();
        words.push(path.to_str().unwrap());
        let made = command(&mkswap, &words).output().unwrap();
        assert!(made.status.success(), "{options}: {}", String::from_utf8_lossy(&made.stderr));
        let theirs = std::fs::read(&path).unwrap();
        assert!(theirs == bytes(&options, len), "`{options}`, {len} bytes: another image than mkswap's");
        let opened = open(&theirs).unwrap();
        assert!(opened.damage.is_empty(), "{options}: {:?}", opened.damage);
    }
}

#[test]
fn blkid_swaplabel_and_file_read_it() {
    let name = "blkid_swaplabel_and_file_read_it";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swap");
    let of = path.to_str().unwrap();
    let programs = ["blkid", "swaplabel", "file"]
        .map(|program| tool(name, program, if program == "file" { "file" } else { "util-linux" }));
    let [Some(blkid), Some(swaplabel), Some(file)] = programs else { return };
    for (options, len) in CASES {
        let laid = lay(options, len).unwrap();
        // What the pages hold does not matter.
        write_image(&path, &laid.layout.poisoned(0xa5), &Memory::default());
        let id = swap(options).id(&identity());
        let label = swap(options).label().map(str::to_owned);
        let found = run(&blkid, &["-p", "-o", "export", of]);
        let has = |line: &str| found.lines().any(|found| found == line);
        assert!(has("TYPE=swap") && has("VERSION=1") && has("USAGE=other"), "{options}: {found}");
        let clear = options.contains("clear");
        assert!(clear || has(&format!("UUID={id}")), "{options}: {found}");
        assert!(label.as_ref().is_none_or(|label| has(&format!("LABEL={label}"))), "{options}: {found}");
        let found = run(&swaplabel, &[of]);
        let expected = [
            label.as_ref().map(|label| format!("LABEL: {label}\n")),
            (!clear).then(|| format!("UUID:  {id}\n")),
        ];
        assert_eq!(found, expected.into_iter().flatten().collect::<String>(), "{options}");
        if !options.contains("-p") {
            let pages = laid.usage.free / 4096;
            let found = run(&file, &["-b", of]);
            let expected = format!("size {pages} pages, 0 bad pages");
            assert!(found.starts_with("Linux swap file, 4k page size, little endian, version 1"), "{found}");
            assert!(found.contains(&expected), "{options}: {found}");
        }
    }
}

#[test]
fn sizes_are_exact() {
    for (options, page) in [("", 4096), ("-p 65536", 65_536)] {
        for free in [0, 1, 9 * page, 9 * page + 1, 100 * MIB] {
            let len = swap(options).measure(&empty(), free, 512).unwrap();
            let laid = lay(options, len).unwrap();
            assert!(laid.usage.free >= free, "{options} {free}: {:?}", laid.usage);
            assert_eq!(laid.usage.free + laid.usage.used, len);
            let less = lay(options, len - 1);
            assert!(less.is_err() || less.unwrap().usage.free < free, "{options} {free}");
        }
        let least = swap(options).measure(&empty(), 0, 512).unwrap();
        assert_eq!(least, 10 * page);
        let refusal = lay(options, least - 1).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::TooSmall { needed: Some(least) });
        let most = page << 32;
        assert_eq!(lay(options, most).unwrap().usage.free, most - page);
        assert_eq!(lay(options, most + page).unwrap_err().kind, RefusalKind::Limit);
        assert!(swap(options).measure(&empty(), u64::MAX, 512).is_err());
    }
}

#[test]
fn files_are_refused_by_name() {
    let tree = Sample::new().bytes("etc/fstab", b"text").tree;
    let refusal = swap("").measure(&tree, 0, 512).unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.to_string().as_str()),
        (RefusalKind::Kind, "swap: /etc: swap holds no files")
    );
    let geometry = Geometry { len: MIB, sector_size: 512, hidden_sectors: 0 };
    assert_eq!(swap("").lay(&tree, &geometry, &identity()).unwrap_err(), refusal);
}

#[test]
fn a_clone_differs_in_its_uuid_alone() {
    let geometry = Geometry { len: MIB, sector_size: 512, hidden_sectors: 0 };
    let of = |identity| {
        image(&swap("-L swap").lay(&empty(), &geometry, &identity).unwrap().layout, &Memory::default())
    };
    let (origin, clone) = (of(identity()), of(identity().clone_as("fs/clone")));
    let differs: Vec<usize> = (0..origin.len()).filter(|&at| origin[at] != clone[at]).collect();
    assert!(!differs.is_empty() && differs.iter().all(|at| (1036..1052).contains(at)), "{differs:?}");
}

/// What is changed, where, and what is said of it.
type Plant = (&'static str, u64, &'static [u8], &'static str);

#[test]
fn planted_faults_are_found() {
    let plants: [Plant; 9] = [
        ("signature", 4086, b"SWAPSPACE3", "swap: signature: at byte 4086: expected SWAPSPACE2"),
        ("version", 1024, &[2, 0, 0, 0], "swap: version: at byte 1024: expected 1, found 2"),
        ("last page", 1028, &[8, 0, 0, 0], "swap: last page: at byte 1028: expected at least 9, found 8"),
        (
            "too long",
            1028,
            &[0, 1, 0, 0],
            "swap: last page: at byte 1028: expected an image of 1052672 bytes, found 1048576 bytes",
        ),
        (
            "bad page",
            1032,
            &[1, 0, 0, 0],
            "swap: bad pages: at byte 1536: expected a page from 1 to 255, found 0",
        ),
        (
            "bad pages",
            1032,
            &[0xff; 4],
            "swap: bad pages: at byte 1032: expected at most 637, found 4294967295",
        ),
        ("label", 1052, &[b'x'; 16], "swap: label: at byte 1052: expected a name that ends in a NUL"),
        (
            "asleep",
            4086,
            b"S1SUSPEND\0",
            "swap: signature: at byte 4086: expected a swap area in use by nobody",
        ),
        ("header", 1024, &[0; 512], "swap: version: at byte 1024: expected 1, found 0"),
    ];
    let sound = bytes("", MIB);
    assert!(open(&sound).unwrap().damage.is_empty());
    for (name, at, plant, expected) in plants {
        let mut image = sound.clone();
        image[at as usize..][..plant.len()].copy_from_slice(plant);
        let found = open(&image).map_or_else(|damage| vec![damage], |opened| opened.damage);
        let first = found.first().unwrap_or_else(|| panic!("{name}: nothing found")).to_string();
        assert!(first.starts_with(expected), "{name}: {first}");
    }
    // However many there are, a thousand are told.
    let mut worst = bytes("-p 65536", MIB);
    worst[1032..1036].fill(0xff);
    worst[1052..1068].fill(b'x');
    assert_eq!(open(&worst).unwrap().damage.len(), 1000);
    let short: Vec<u8> = sound[..MIB as usize - 1].to_vec();
    assert_eq!(open(&short).unwrap().damage[0].kind, DamageKind::Truncated);
}

#[test]
fn other_byte_order_and_bad_pages() {
    let mut image = bytes("-L turned -U 01234567-89ab-4def-8123-456789abcdef", MIB);
    image[1032] = 2;
    image[1536..1544].copy_from_slice(&[7, 0, 0, 0, 255, 0, 0, 0]);
    for number in [1024, 1028, 1032, 1536, 1540] {
        image[number..number + 4].reverse();
    }
    let opened = open(&image).unwrap();
    assert_eq!((opened.id.as_str(), opened.label.as_slice()), (UUID, &b"turned"[..]));
    assert!(opened.damage.is_empty(), "{:?}", opened.damage);
    assert_eq!(opened.usage.free, 253 * 4096);
    assert!(dumped(&image).contains("bad page 255"));
}

/// A signature that outlived its swap is not taken for it.
#[test]
fn a_file_system_over_it_is_recognised() {
    let swap = bytes("", MIB);
    for name in ["ext2", "vfat"] {
        let filesystem = (find(name).unwrap().configure)(&[]).unwrap();
        let geometry = Geometry { len: MIB, sector_size: 512, hidden_sectors: 0 };
        let laid = filesystem.lay(&empty(), &geometry, &identity()).unwrap();
        let mut over = swap.clone();
        let image = image(&laid.layout, &Memory::default());
        over[..2048].copy_from_slice(&image[..2048]);
        over[1024..1028].copy_from_slice(if name == "vfat" { &[1, 0, 0, 0] } else { &image[1024..1028] });
        let takers: Vec<&str> =
            ROWS.iter().filter(|row| (row.recognise)(&over)).map(|row| row.name).collect();
        assert_eq!(takers, [name]);
    }
    let takers = ROWS.iter().filter(|row| (row.recognise)(&swap)).map(|row| row.name);
    assert_eq!(takers.collect::<Vec<_>>(), ["swap"]);
}

fn dumped(image: &dyn ReadAt) -> String {
    let mut text = String::new();
    (row().dump)(image, &mut text).unwrap();
    text
}

#[test]
fn the_dump_accounts_for_every_byte() {
    for (options, len) in CASES {
        let text = dumped(&bytes(options, len));
        let mut end = 0;
        for line in text.lines() {
            let mut words = line.split_whitespace().map(|word| word.parse::<u64>());
            let (start, size) = (words.next().unwrap().unwrap(), words.next().unwrap().unwrap());
            assert_eq!(start, end, "{options}: {line}");
            end += size;
        }
        assert_eq!(end, len, "{options}");
        assert!(text.contains(&format!("uuid {}", swap(options).id(&identity()))), "{text}");
    }
}
