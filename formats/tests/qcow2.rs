//! qcow2 against qemu-img, another reader, planted faults and hostile bytes.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod oracle;

use diskwright_formats::fault::{Damage, DamageKind, RefusalKind};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{
    Bytes, ContentId, Extent, Layout, Memory, OneFile, ReadAt, Reader, Source, What,
};
use diskwright_formats::registry::{DISKS, Disk, find_disk};
use oracle::{Image, Numbers, bytes, check_dump, run, tool, try_run, write_sparse};
use proptest::prelude::*;
use std::path::Path;

fn row() -> &'static Disk {
    find_disk("qcow2").unwrap()
}

fn identity() -> Identity {
    Identity::new(b"qcow2 tests", 0)
}

fn laid(guest: &Layout, options: &str) -> Layout {
    let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
    (row().lay)(guest, &identity(), &options).unwrap()
}

const CLUSTER_SIZES: [u64; 5] = [512, 4096, 64 << 10, 256 << 10, 2 << 20];

/// Contents that every guest here may use.
fn contents() -> Memory {
    static CONTENTS: std::sync::LazyLock<Memory> = std::sync::LazyLock::new(some_contents);
    CONTENTS.clone()
}

fn some_contents() -> Memory {
    let content = |seed: u64| {
        let mut numbers = Numbers(seed);
        Bytes::from((0..1 << 20).map(|_| numbers.below(255) as u8 + 1).collect::<Vec<u8>>())
    };
    Memory(vec![content(1), content(2)])
}

fn content(start: u64, len: u64, from: u64) -> Extent {
    Extent { start, len, source: Source::Content(ContentId(0), from), what: What::new(&"file") }
}

/// A guest whose data begins and ends in the middle of clusters, at its front, its end and far between.
fn guest() -> Layout {
    let len = (40 << 20) + 1536;
    let extents = vec![
        Extent::of_bytes(0, vec![1; 700], What::new(&"front")),
        content(70_000, 10, 5),
        content(1 << 20, 900_000, 77),
        content((1 << 20) + 900_001, 5000, 0),
        content(33 << 20, 1 << 20, 0),
        Extent::of_bytes(len - 512, vec![9; 512], What::new(&"end")),
    ];
    let free = std::iter::once((2 << 20)..(3 << 20));
    Layout::new(len, extents, free.collect()).unwrap()
}

fn opened(image: &dyn ReadAt) -> Layout {
    let opened = (row().open)(image).unwrap();
    assert_eq!(opened.damage, []);
    opened.layout
}

fn dumped(image: &dyn ReadAt) -> String {
    let mut text = String::new();
    (row().dump)(image, &mut text).unwrap();
    text
}

#[test]
fn qemu_finds_no_errors_and_reads_the_same() {
    let Some(qemu) = tool("qemu_finds_no_errors_and_reads_the_same", "qemu-img", "qemu-utils") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("guest.raw");
    write_sparse(&raw, &guest(), &contents());
    for cluster in CLUSTER_SIZES {
        let path = dir.path().join(format!("{cluster}.qcow2"));
        let image = laid(&guest(), &format!("cluster_size={cluster}"));
        write_sparse(&path, &image, &contents());
        let text = run(&qemu, &["check".as_ref(), path.as_ref()]);
        assert!(text.contains("No errors were found"), "{text}");
        assert!(text.contains(&format!("Image end offset: {}", image.len())), "{text}");
        let compare: [&std::ffi::OsStr; 7] = [
            "compare".as_ref(),
            "-f".as_ref(),
            "raw".as_ref(),
            "-F".as_ref(),
            "qcow2".as_ref(),
            raw.as_ref(),
            path.as_ref(),
        ];
        run(&qemu, &compare);
        check_map(&qemu, &path, cluster);
        assert_eq!(
            bytes(&opened(&Image::open(&path)), &OneFile(&Image::open(&path))),
            bytes(&guest(), &contents())
        );
    }
}

/// What QEMU calls data are the clusters that the guest's extents touch, and no others.
fn check_map(qemu: &Path, path: &Path, cluster: u64) {
    let text = run(qemu, &["map".as_ref(), "--output=json".as_ref(), path.as_ref()]);
    let value = |line: &str, key: &str| {
        let rest = line.split(&format!("\"{key}\": ")).nth(1)?;
        Some(rest.split([',', '}']).next().unwrap().to_owned())
    };
    let mut clusters = std::collections::BTreeSet::new();
    for line in text.lines().filter(|line| value(line, "present").as_deref() == Some("true")) {
        let number = |key: &str| value(line, key).unwrap().parse::<u64>().unwrap();
        let (start, end) = (number("start"), number("start") + number("length"));
        clusters.extend(start / cluster..end.div_ceil(cluster));
    }
    let touched: std::collections::BTreeSet<u64> =
        guest().covered().flat_map(|range| range.start / cluster..range.end.div_ceil(cluster)).collect();
    assert_eq!(clusters, touched, "{text}");
}

#[test]
fn another_reader_reads_the_same() {
    use imago::{FormatAccess, FormatDriverBuilder, PermissiveImplicitOpenGate, file::File, qcow2::Qcow2};
    let dir = tempfile::tempdir().unwrap();
    for cluster in [512, 64 << 10, 2 << 20] {
        let path = dir.path().join(format!("{cluster}.qcow2"));
        write_sparse(&path, &laid(&guest(), &format!("cluster_size={cluster}")), &contents());
        let image = Qcow2::<File>::builder_path(&path).open(PermissiveImplicitOpenGate::default()).unwrap();
        let image = FormatAccess::new(image);
        assert_eq!(image.size(), guest().len());
        let mut read = vec![0; guest().len() as usize];
        image.read(&mut read[..], 0).unwrap();
        assert!(read == bytes(&guest(), &contents()), "cluster size {cluster}");
    }
}

#[test]
fn what_is_laid_opens_dumps_and_is_the_same_again() {
    for cluster in CLUSTER_SIZES {
        let image = laid(&guest(), &format!("cluster_size={cluster}"));
        assert_eq!(image, laid(&guest(), &format!("cluster_size={cluster}")));
        assert!(image.len().is_multiple_of(cluster));
        let image = bytes(&image, &contents());
        assert!((row().recognise)(&image));
        let layout = opened(&image);
        assert!(bytes(&layout, &OneFile(&image)) == bytes(&guest(), &contents()));
        let text = dumped(&image);
        check_dump(&text, image.len() as u64);
        assert!(text.contains("header: cluster bits") && text.contains("data: guest bytes 0 to"), "{text}");
    }
    let image = laid(&guest(), "");
    let label = image.extents().last().unwrap().label();
    assert_eq!(label, "guest/end");
    assert_eq!(image.free().count(), 0, "no cluster is allocated for free bytes alone");
}

#[test]
fn empty_and_odd_guests() {
    let dir = tempfile::tempdir().unwrap();
    let qemu = tool("empty_and_odd_guests", "qemu-img", "qemu-utils");
    for (n, len) in [0, 512, 1024, 65536, 512 << 20, 1 << 40].into_iter().enumerate() {
        let guest = Layout::empty(len);
        let image = laid(&guest, "");
        assert_eq!(opened(&bytes(&image, &contents())), guest);
        let path = dir.path().join(format!("{n}.qcow2"));
        write_sparse(&path, &image, &contents());
        if let Some(qemu) = &qemu {
            let text = run(qemu, &["check".as_ref(), path.as_ref()]);
            assert!(text.contains("No errors were found"), "{len}: {text}");
            let text = run(qemu, &["info".as_ref(), path.as_ref()]);
            assert!(text.contains(&format!("({len} bytes)")), "{text}");
        }
    }
}

#[test]
fn what_qcow2_cannot_hold_is_refused() {
    let refused = |len: u64, options: &[&str]| {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        (row().lay)(&Layout::empty(len), &identity(), &options).unwrap_err()
    };
    let refusal = refused(1000, &[]);
    assert_eq!(refusal.kind, RefusalKind::Invalid, "{refusal}");
    assert_eq!(refusal.hint.unwrap(), "a multiple of 512");
    // 32 MiB of L1 entries, each for 64 clusters of 512 bytes.
    assert!((row().lay)(&Layout::empty(128 << 30), &identity(), &["cluster_size=512".to_owned()]).is_ok());
    let refusal = refused((128 << 30) + 512, &["cluster_size=512"]);
    assert_eq!(refusal.kind, RefusalKind::Limit, "{refusal}");
    assert_eq!(refusal.hint.unwrap(), "a larger cluster_size");
    assert_eq!(refused(1 << 62, &["cluster_size=2M"]).kind, RefusalKind::Limit);
    assert_eq!(refused(512, &["preallocation=full"]).kind, RefusalKind::Unsupported);
    assert_eq!(refused(512, &["subformat=x"]).kind, RefusalKind::Invalid);
    // More data than refcounts and positions can name.
    let full = Layout::of_content(ContentId(0), 1 << 60);
    let refusal = (row().lay)(&full, &identity(), &["cluster_size=2M".to_owned()]).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Limit, "{refusal}");
}

#[test]
fn a_terabyte_of_data_takes_little_memory() {
    let full = Layout::of_content(ContentId(0), 1 << 40);
    let image = laid(&full, "");
    assert!(image.pieces() <= 8, "{} pieces", image.pieces());
    let computed: u64 =
        image.extents().filter(|e| matches!(e.source, Source::Bytes(..))).map(|e| e.len).sum();
    assert!(computed < 64 << 10, "{computed} bytes stand in memory");
    let data: u64 = image.extents().filter(|e| matches!(e.source, Source::Content(..))).map(|e| e.len).sum();
    assert_eq!(data, 1 << 40);
    // The first entry of the last L2 table names the cluster that begins 512 MiB before the end.
    let at = image.extents().find(|e| matches!(e.source, Source::Content(..))).unwrap().start - 65536;
    let mut entry = [0; 8];
    Reader::new(&image, &contents()).read_exact_at(at, &mut entry).unwrap();
    assert_eq!(u64::from_be_bytes(entry), (image.len() - (512 << 20)) | 1 << 63);
}

/// An image to spoil: clusters of 512 bytes, guest of 256 KiB with data in 140 clusters.
fn sound() -> Vec<u8> {
    let extents = vec![content(0, 40 * 512, 0), content(40 * 512 * 3, 100 * 512, 0)];
    let guest = Layout::new(256 << 10, extents, vec![]).unwrap();
    bytes(&laid(&guest, "cluster_size=512"), &contents())
}

fn get64(image: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(image[at..at + 8].try_into().unwrap())
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

fn change64(image: &mut [u8], at: usize, change: impl Fn(u64) -> u64) {
    let value = change(get64(image, at));
    put(image, at, &value.to_be_bytes());
}

/// Positions in the image of [`sound`]: refcount table, first refcount block, L1 table, first L2 table.
const TABLE: usize = 512;
const BLOCK: usize = 1024;
const L1: usize = 1024 + 512;
const L2: usize = L1 + 512;

const COPIED: u64 = 1 << 63;

type Fault = (&'static str, DamageKind, &'static str, usize, fn(&mut Vec<u8>));

fn faults() -> Vec<Fault> {
    use DamageKind::{Mismatch, Value};
    vec![
        ("dirty", Value, "header", 72, |i| i[79] |= 1),
        ("corrupt", Value, "header", 72, |i| i[79] |= 2),
        ("header length", Value, "header", 100, |i| i[103] = 7),
        ("header length", Value, "header", 100, |i| put(i, 100, &[255; 4])),
        ("extension too long", Value, "header extension", 108, |i| {
            put(i, 104, &[1, 2, 3, 4, 255, 255, 255, 255])
        }),
        ("l1 too small", Value, "header", 36, |i| i[39] -= 1),
        ("l1 unaligned", Value, "l1 table", 40, |i| i[47] = 8),
        ("l1 far away", Value, "l1 table", 40, |i| i[40] = 255),
        ("l1 behind the end", Value, "l1 table", 40, |i| i[44] = 1),
        ("l1 in the header", Value, "l1 table", 40, |i| put(i, 40, &[0; 8])),
        ("l1 on the refcount table", Mismatch, "l1 table", 40, |i| put(i, 40, &512u64.to_be_bytes())),
        ("no refcount table", Value, "header", 56, |i| put(i, 56, &[0; 4])),
        ("refcount table unaligned", Value, "refcount table", 48, |i| i[55] = 1),
        ("refcount table far away", Value, "header", 48, |i| put(i, 48, &[255; 8])),
        ("refcount table behind the end", Value, "refcount table", 48, |i| i[52] = 1),
        ("refcount block missing", Mismatch, "refcount table", TABLE, |i| put(i, TABLE, &[0; 8])),
        ("refcount block unaligned", Value, "refcount block 0", TABLE, |i| i[TABLE + 7] = 1),
        ("refcount block behind the end", Value, "refcount block 0", TABLE, |i| i[TABLE + 3] = 1),
        ("refcount block twice", Mismatch, "refcount block 1", TABLE + 8, |i| {
            change64(i, TABLE + 8, |_| 1024)
        }),
        ("refcount block on the l1 table", Mismatch, "l1 table", 40, |i| {
            change64(i, TABLE + 16, |_| L1 as u64)
        }),
        ("refcount block on data", Mismatch, "refcount block 2", TABLE + 16, |i| {
            let data = get64(i, L2 + 24) & !COPIED;
            change64(i, TABLE + 16, |_| data);
        }),
        ("refcount 0 of the header", Mismatch, "refcount block 0", BLOCK, |i| i[BLOCK + 1] = 0),
        ("refcount 2 of l1", Mismatch, "refcount block 0", BLOCK + 6, |i| i[BLOCK + 7] = 2),
        ("refcount 0 of data", Mismatch, "refcount block 0", BLOCK + 60, |i| i[BLOCK + 61] = 0),
        ("leak behind the end", Mismatch, "refcount block 0", BLOCK + 510, |i| i[BLOCK + 511] = 1),
        ("cut refcount block", DamageKind::Truncated, "refcount block 0", BLOCK + 3, |i| {
            i.truncate(BLOCK + 3)
        }),
        ("cut l2 table", DamageKind::Truncated, "l2 table 0", L2 + 20, |i| i.truncate(L2 + 20)),
        ("cut before data", Value, "l2 entry of guest cluster 3", L2 + 24, |i| {
            i.truncate((get64(i, L2 + 24) & !COPIED) as usize);
        }),
        ("l1 reserved", Value, "l1 entry 0", L1, |i| i[L1 + 7] |= 2),
        ("l1 reserved", Value, "l1 entry 0", L1, |i| i[L1] |= 64),
        ("l1 entry behind the end", Value, "l1 entry 0", L1, |i| i[L1 + 3] = 9),
        ("l2 twice", Mismatch, "l2 table 1", L1 + 8, |i| change64(i, L1 + 8, |_| L2 as u64 | COPIED)),
        ("l2 copied bit", Mismatch, "entry of l2 table 0", L1, |i| change64(i, L1, |e| e & !COPIED)),
        ("l2 lost, its data leaks", Mismatch, "refcount block 0", BLOCK + L2 / 256, |i| put(i, L1, &[0; 8])),
        ("l2 on a refcount block", Mismatch, "l2 table 0", L1, |i| {
            change64(i, L1, |_| BLOCK as u64 | COPIED)
        }),
        ("data reserved", Value, "l2 entry of guest cluster 3", L2 + 24, |i| i[L2 + 31] |= 4),
        ("data reserved", Value, "l2 entry of guest cluster 3", L2 + 24, |i| i[L2 + 24] |= 1),
        ("data behind the end", Value, "l2 entry of guest cluster 3", L2 + 24, |i| i[L2 + 28] = 1),
        ("data copied bit", Mismatch, "entry of data cluster 3", L2 + 24, |i| {
            change64(i, L2 + 24, |e| e & !COPIED)
        }),
        ("data twice", Mismatch, "data cluster 4", L2 + 32, |i| {
            let entry = get64(i, L2 + 24);
            change64(i, L2 + 32, |_| entry);
        }),
        ("data on the l2 table", Mismatch, "data cluster 4", L2 + 32, |i| {
            change64(i, L2 + 32, |_| L2 as u64 | COPIED)
        }),
        ("data in the header", Value, "l2 entry of guest cluster 4", L2 + 32, |i| {
            change64(i, L2 + 32, |_| COPIED)
        }),
        ("copied bit without data", Value, "l2 entry of guest cluster 50", L2 + 400, |i| i[L2 + 400] = 128),
        ("compressed", DamageKind::Unsupported, "l2 entry of guest cluster 4", L2 + 32, |i| {
            change64(i, L2 + 32, |e| (e & !COPIED) | 1 << 62);
        }),
        ("compressed copied", Value, "l2 entry of guest cluster 4", L2 + 32, |i| {
            change64(i, L2 + 32, |e| e | 1 << 62)
        }),
    ]
}

#[test]
fn each_planted_fault_is_named_with_its_place() {
    let image = sound();
    opened(&image);
    assert_eq!((get64(&image, TABLE), get64(&image, L1)), (BLOCK as u64, L2 as u64 | COPIED));
    for (what, kind, object, offset, spoil) in faults() {
        let mut image = image.clone();
        spoil(&mut image);
        let damage = (row().open)(&image).unwrap().damage;
        let place = |damage: &Damage| (damage.kind, damage.spot.object.clone(), damage.offset);
        let named = damage.iter().any(|damage| place(damage) == (kind, object.to_owned(), offset as u64));
        assert!(named, "{what}: {damage:#?}");
        dumped(&image);
    }
}

#[test]
fn what_cannot_be_read_past_is_an_error() {
    type Case = (&'static str, DamageKind, u64, fn(&mut Vec<u8>));
    let cases: Vec<Case> = vec![
        ("magic", DamageKind::Value, 0, |i| i[0] = 0),
        ("version", DamageKind::Unsupported, 4, |i| i[7] = 4),
        ("version", DamageKind::Unsupported, 4, |i| i[7] = 1),
        ("cluster bits", DamageKind::Value, 20, |i| i[23] = 8),
        ("cluster bits", DamageKind::Value, 20, |i| i[23] = 22),
        ("cluster bits", DamageKind::Value, 20, |i| i[20] = 255),
        ("backing file etc", DamageKind::Unsupported, 8, |i| {
            put(i, 120, b"etc/passwd");
            put(i, 8, &120u64.to_be_bytes());
            put(i, 16, &10u32.to_be_bytes());
        }),
        ("backing file of unreadable name", DamageKind::Unsupported, 8, |i| put(i, 8, &[255; 12])),
        ("encryption: luks", DamageKind::Unsupported, 32, |i| i[35] = 2),
        ("external data file", DamageKind::Unsupported, 72, |i| i[79] = 4),
        ("extended l2", DamageKind::Unsupported, 72, |i| i[79] = 16),
        ("unknown incompatible features: 0x40", DamageKind::Unsupported, 72, |i| i[79] = 64),
        ("refcount order", DamageKind::Value, 96, |i| i[99] = 7),
        ("l1 size", DamageKind::Value, 36, |i| put(i, 36, &[255; 4])),
        ("refcount table", DamageKind::Value, 56, |i| put(i, 56, &[255; 4])),
        ("snapshots", DamageKind::Value, 60, |i| put(i, 60, &[255; 4])),
        ("cut", DamageKind::Truncated, 0, |i| i.truncate(71)),
        ("cut", DamageKind::Truncated, 72, |i| i.truncate(103)),
        ("empty", DamageKind::Truncated, 0, Vec::clear),
    ];
    for (what, kind, offset, spoil) in cases {
        let mut image = sound();
        spoil(&mut image);
        let found = (row().open)(&image).unwrap_err();
        assert_eq!((found.kind, found.offset), (kind, offset), "{what}: {found}");
        let named = found.expected.contains(what) || found.found.contains(what);
        assert!(named || kind != DamageKind::Unsupported || what == "version", "{what}: {found}");
    }
}

#[test]
fn hostile_bytes_neither_panic_nor_take_memory() {
    let image = sound();
    let mut numbers = Numbers(7);
    for round in 0..3000 {
        let mut image = image.clone();
        for _ in 0..1 + numbers.below(4) {
            let (start, len) = [(0, 112), (TABLE as u64, 16), (BLOCK as u64, 512), (L1 as u64, 1600)]
                [numbers.below(4) as usize];
            let at = (start + numbers.below(len)) as usize;
            image[at] = [0, 1, 255, 128, numbers.below(256) as u8][numbers.below(5) as usize];
        }
        if round % 5 == 0 {
            image.truncate(numbers.below(image.len() as u64) as usize);
        }
        if let Ok(opened) = (row().open)(&image) {
            assert!(opened.damage.len() <= 1000);
            let mut end = [0; 16];
            let from = opened.layout.len().saturating_sub(16);
            let len = opened.layout.len().min(16) as usize;
            Reader::new(&opened.layout, &OneFile(&image)).read_exact_at(from, &mut end[..len]).unwrap();
            for extent in opened.layout.extents() {
                let Source::Content(_, from) = extent.source else { panic!("the image's own bytes") };
                assert!(from + extent.len <= image.len() as u64);
            }
            dumped(&image);
        }
    }
}

/// A file of holes with a few bytes in it.
struct Sparse {
    len: u64,
    parts: Vec<(u64, Vec<u8>)>,
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.len
    }
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|&end| end <= self.len);
        end.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.fill(0);
        for (start, bytes) in &self.parts {
            for (at, byte) in (*start..).zip(bytes) {
                if let Some(at) = at.checked_sub(offset).filter(|&at| at < buffer.len() as u64) {
                    buffer[at as usize] = *byte;
                }
            }
        }
        Ok(())
    }
}

#[test]
fn a_file_of_exabytes_of_holes_is_opened_at_once() {
    let mut header = bytes(&laid(&Layout::empty(1 << 40), "cluster_size=2M"), &contents())[..112].to_vec();
    put(&mut header, 24, &(1u64 << 61).to_be_bytes());
    put(&mut header, 36, &(1u32 << 22).to_be_bytes());
    let image = Sparse { len: 1 << 62, parts: vec![(0, header)] };
    let opened = (row().open)(&image).unwrap();
    assert_eq!(opened.layout.len(), 1 << 61);
    assert!(opened.damage.iter().any(|damage| damage.spot.object == "refcount table"), "{:?}", opened.damage);
}

#[test]
fn silent_on_images_of_qemu() {
    let Some(qemu) = tool("silent_on_images_of_qemu", "qemu-img", "qemu-utils") else { return };
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("guest.raw");
    write_sparse(&raw, &guest(), &contents());
    let expected = bytes(&guest(), &contents());
    for (n, options) in [
        "compat=1.1",
        "compat=0.10",
        "cluster_size=512",
        "cluster_size=2M",
        "cluster_size=4k,refcount_bits=1",
        "cluster_size=512,refcount_bits=64",
        "refcount_bits=8",
        "lazy_refcounts=on",
        "preallocation=metadata",
        "preallocation=falloc,cluster_size=4k",
        "preallocation=metadata,compat=0.10,cluster_size=16k",
        "compression_type=zstd",
    ]
    .into_iter()
    .enumerate()
    {
        let path = dir.path().join(format!("{n}.qcow2"));
        let convert: Vec<&std::ffi::OsStr> = ["convert", "-f", "raw", "-O", "qcow2", "-o", options]
            .map(std::ffi::OsStr::new)
            .into_iter()
            .chain([raw.as_ref(), path.as_ref()])
            .collect();
        run(&qemu, &convert);
        let image = Image::open(&path);
        let layout = opened(&image);
        assert!(bytes(&layout, &OneFile(&image)) == expected, "{options}");
        check_dump(&dumped(&image), image.len());
        let create: Vec<&std::ffi::OsStr> = ["create", "-f", "qcow2", "-o", options]
            .map(std::ffi::OsStr::new)
            .into_iter()
            .chain([path.as_ref(), "77M".as_ref()])
            .collect();
        run(&qemu, &create);
        let image = Image::open(&path);
        assert_eq!(opened(&image).len(), 77 << 20, "{options}");
        check_dump(&dumped(&image), image.len());
    }
}

#[test]
fn snapshots_and_compression_of_qemu() {
    let test = "snapshots_and_compression_of_qemu";
    let Some(qemu) = tool(test, "qemu-img", "qemu-utils") else { return };
    let Some(io) = tool(test, "qemu-io", "qemu-utils") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.qcow2");
    write_sparse(&path, &laid(&guest(), "cluster_size=4k"), &contents());
    let write = |command: &str| {
        run(&io, &["-c".as_ref(), command.as_ref(), path.as_ref()]);
    };
    run(&qemu, &["snapshot".as_ref(), "-c".as_ref(), "one".as_ref(), path.as_ref()]);
    opened(&Image::open(&path));
    write("write -P 3 1M 64k");
    run(&qemu, &["snapshot".as_ref(), "-c".as_ref(), "two".as_ref(), path.as_ref()]);
    write("write -z 0 4k");
    write("discard 33M 16k");
    write("write -P 5 20M 9k");
    let image = Image::open(&path);
    let layout = opened(&image);
    let raw = dir.path().join("guest.raw");
    let convert = ["convert", "-f", "qcow2", "-O", "raw"].map(std::ffi::OsStr::new);
    run(&qemu, &convert.into_iter().chain([path.as_ref(), raw.as_ref()]).collect::<Vec<_>>());
    assert!(bytes(&layout, &OneFile(&image)) == std::fs::read(&raw).unwrap());
    check_dump(&dumped(&image), image.len());

    let packed = dir.path().join("packed.qcow2");
    let convert = ["convert", "-c", "-f", "raw", "-O", "qcow2"].map(std::ffi::OsStr::new);
    run(&qemu, &convert.into_iter().chain([raw.as_ref(), packed.as_ref()]).collect::<Vec<_>>());
    let found = (row().open)(&Image::open(&packed)).unwrap().damage;
    assert!(found.iter().any(|damage| damage.kind == DamageKind::Unsupported), "{found:?}");
    assert!(found.iter().all(|damage| damage.kind == DamageKind::Unsupported), "{found:?}");
    check_dump(&dumped(&Image::open(&packed)), Image::open(&packed).len());
}

#[test]
fn bitmaps_of_qemu_are_counted() {
    let test = "bitmaps_of_qemu_are_counted";
    let Some(qemu) = tool(test, "qemu-img", "qemu-utils") else { return };
    let Some(io) = tool(test, "qemu-io", "qemu-utils") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.qcow2");
    write_sparse(&path, &laid(&guest(), "cluster_size=4k"), &contents());
    for name in ["one", "two"] {
        let add = ["bitmap", "--add", "-g", "4k"].map(std::ffi::OsStr::new);
        run(&qemu, &add.into_iter().chain([path.as_ref(), name.as_ref()]).collect::<Vec<_>>());
    }
    run(&io, &["-c".as_ref(), "write 5M 64k".as_ref(), path.as_ref()]);
    let image = std::fs::read(&path).unwrap();
    opened(&image);
    let text = dumped(&image);
    assert!(text.contains("bitmap data"), "{text}");
    check_dump(&text, image.len() as u64);
    // Without the bit that vouches for them, their clusters are leaked, as in QEMU.
    let mut image = image;
    image[95] = 0;
    let damage = (row().open)(&image).unwrap().damage;
    assert!(!damage.is_empty() && damage.iter().all(|found| found.found.ends_with("leaked")), "{damage:?}");
}

#[test]
fn qemu_agrees_about_planted_refcount_faults() {
    let Some(qemu) = tool("qemu_agrees_about_planted_refcount_faults", "qemu-img", "qemu-utils") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.qcow2");
    for (what, _, _, _, spoil) in
        faults().into_iter().filter(|(what, ..)| what.contains("refcount ") || what.contains("leak"))
    {
        let mut image = sound();
        spoil(&mut image);
        std::fs::write(&path, &image).unwrap();
        let (code, text) = try_run(&qemu, &["check".as_ref(), path.as_ref()]);
        // QEMU does not look at counts of clusters behind the end of the file.
        assert!(code != Some(0) || what == "leak behind the end", "{what}: {text}");
    }
}

#[test]
fn every_row_lays_opens_and_dumps() {
    for row in DISKS {
        let image = (row.lay)(&guest(), &identity(), &[]).unwrap();
        let image = bytes(&image, &contents());
        assert!((row.recognise)(&image), "{}", row.name);
        let first = DISKS.iter().find(|other| (other.recognise)(&image)).unwrap();
        assert_eq!(first.name, row.name);
        let opened = (row.open)(&image).unwrap();
        assert_eq!(opened.damage, []);
        assert!(bytes(&opened.layout, &OneFile(&image)) == bytes(&guest(), &contents()), "{}", row.name);
        let mut text = String::new();
        (row.dump)(&image, &mut text).unwrap();
        check_dump(&text, image.len() as u64);
        let refusal = (row.lay)(&guest(), &identity(), &["nothing=of this".to_owned()]).unwrap_err();
        assert!(refusal.reason.contains("nothing"), "{refusal}");
    }
}

/// Extents of a guest in bytes: gap, length.
fn some_guest() -> impl Strategy<Value = (u32, Layout)> {
    let runs = proptest::collection::vec((0u64..200_000, 1u64..50_000, 0u64..500_000), 0..10);
    (9u32..=21, runs, 0u64..100).prop_map(|(bits, runs, tail)| {
        let mut at = 0;
        let extents: Vec<Extent> = runs
            .into_iter()
            .map(|(gap, len, from)| {
                let start = at + gap;
                at = start + len;
                content(start, len, from)
            })
            .collect();
        (bits, Layout::new((at.div_ceil(512) + tail) * 512, extents, vec![]).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn lay_then_open_gives_the_same((bits, guest) in some_guest()) {
        let cluster = 1u64 << bits;
        let image = laid(&guest, &format!("cluster_size={cluster}"));
        let image = bytes(&image, &contents());
        let layout = opened(&image);
        prop_assert_eq!(layout.len(), guest.len());
        prop_assert!(bytes(&layout, &OneFile(&image)) == bytes(&guest, &contents()));
        // No cluster is claimed that no extent touches.
        let clusters = |layout: &Layout| -> Vec<u64> {
            let mut all: Vec<u64> = layout.covered()
                .flat_map(|range| range.start / cluster..range.end.div_ceil(cluster)).collect();
            all.dedup();
            all
        };
        prop_assert_eq!(clusters(&layout), clusters(&guest));
        let text = dumped(&image);
        check_dump(&text, image.len() as u64);
    }
}
