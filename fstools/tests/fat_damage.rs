//! Faults that are planted are named with structure and place; whatever the bytes, reading ends.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod fat_support;

use diskwright_formats::fault::{Damage, DamageKind};
use diskwright_formats::layout::{OneFile, ReadAt, Reader};
use diskwright_fstools::tree::{Data, Kind};
use fat_support::*;

/// An image with what a test must know to find its way about in it, read from the boot sector by hand.
#[derive(Clone)]
struct Image(Vec<u8>);

impl Image {
    fn new(options: &str, len: u64) -> Image {
        let sample = Sample::new()
            .bytes("SHORT.TXT", &noise("short", 100))
            .bytes("a file with a long name.txt", &noise("long", 6000))
            .bytes("DIR/INNER/LEAF", &noise("leaf", 3000))
            .bytes("TWO", &noise("two", 5000));
        let laid = lay(options, &sample.tree, len, 512).unwrap();
        Image(image(&laid.layout, &sample.contents))
    }

    fn u16(&self, at: usize) -> usize {
        usize::from(u16::from_le_bytes(self.0[at..at + 2].try_into().unwrap()))
    }

    fn u32(&self, at: usize) -> usize {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap()) as usize
    }

    fn is_32(&self) -> bool {
        self.u16(22) == 0
    }

    fn fat(&self, copy: usize) -> usize {
        let sectors = if self.is_32() { self.u32(36) } else { self.u16(22) };
        (self.u16(14) + copy * sectors) * 512
    }

    /// Where the FAT entry of a cluster is.
    fn entry(&self, cluster: usize) -> usize {
        self.fat(0) + cluster * if self.is_32() { 4 } else { 2 }
    }

    fn next(&self, cluster: usize) -> usize {
        if self.is_32() { self.u32(self.entry(cluster)) } else { self.u16(self.entry(cluster)) }
    }

    /// Sets a FAT entry in both copies; gives its place in the first.
    fn link(&mut self, cluster: usize, value: usize) -> usize {
        let (at, copy) = (self.entry(cluster), self.fat(1) - self.fat(0));
        let len = if self.is_32() { 4 } else { 2 };
        for at in [at, at + copy] {
            self.0[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        }
        at
    }

    /// Where the only entry of a short name is, `number` counted from the first.
    fn find(&self, name: &[u8; 11]) -> usize {
        let root = self.fat(2);
        (root..self.0.len()).step_by(32).find(|&at| self.0[at..].starts_with(name)).unwrap()
    }

    fn first(&self, name: &[u8; 11]) -> usize {
        let at = self.find(name);
        self.u16(at + 26) | self.u16(at + 20) << 16
    }

    /// The clusters of a chain.
    fn chain(&self, name: &[u8; 11]) -> Vec<usize> {
        let inside = |&cluster: &usize| cluster < 0xfff0;
        std::iter::successors(Some(self.first(name)), |&cluster| Some(self.next(cluster)).filter(inside))
            .collect()
    }

    fn set(&mut self, at: usize, bytes: &[u8]) -> usize {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        at
    }

    fn xor(&mut self, at: usize, bits: u8) -> usize {
        self.0[at] ^= bits;
        at
    }
}

const SHORT: &[u8; 11] = b"SHORT   TXT";
const LONG: &[u8; 11] = b"AFILEW~1TXT";
const DIR: &[u8; 11] = b"DIR        ";
const INNER: &[u8; 11] = b"INNER      ";
const TWO: &[u8; 11] = b"TWO        ";

/// What is done to the image, giving the byte that the report must name; part of the structure's name; the kind.
type Plant = (&'static str, fn(&mut Image) -> usize, &'static str, DamageKind);

/// Faults that any type can have.
const PLANTS: &[Plant] = &[
    ("signature", |i| i.xor(511, 1) - 1, "boot sector/signature", DamageKind::Value),
    ("sector size", |i| i.set(11, &[0, 3]), "boot sector/bytes per sector", DamageKind::Value),
    ("cluster size", |i| i.set(13, &[3]), "boot sector/sectors per cluster", DamageKind::Value),
    ("no reserved sector", |i| i.set(14, &[0, 0]), "boot sector/reserved sectors", DamageKind::Value),
    ("no fat", |i| i.set(16, &[0]), "boot sector/fats", DamageKind::Value),
    ("jump", |i| i.set(0, &[0x90]), "boot sector/jump", DamageKind::Value),
    ("media", |i| i.set(21, &[0x11]), "boot sector/media", DamageKind::Value),
    ("fat copy", |i| i.xor(i.fat(1) + 17, 0x40), "fat copy 1", DamageKind::Mismatch),
    (
        "media in the fat",
        |i| {
            i.link(0, 0xffff_fff0);
            i.fat(0)
        },
        "fat entry 0",
        DamageKind::Value,
    ),
    (
        "cycle",
        |i| {
            let chain = i.chain(TWO);
            i.link(*chain.last().unwrap(), chain[0])
        },
        "/TWO: chain",
        DamageKind::Mismatch,
    ),
    (
        "cross link",
        // The second of the two to come along runs into the first.
        |i| {
            let to = i.chain(LONG)[1];
            i.link(i.chain(TWO)[0], to);
            i.entry(i.chain(LONG)[0])
        },
        "long name.txt: chain",
        DamageKind::Mismatch,
    ),
    (
        "lost chain",
        |i| {
            let free = i.chain(LONG).last().unwrap() + 5;
            i.link(free, 0x0fff_ffff)
        },
        "fat",
        DamageKind::Mismatch,
    ),
    (
        "link outside",
        |i| {
            let at = i.chain(TWO)[1];
            i.link(at, 0x0fff_fff0)
        },
        "/TWO: chain",
        DamageKind::Value,
    ),
    (
        "link to entry 1",
        |i| {
            let at = i.chain(TWO)[1];
            i.link(at, 1)
        },
        "/TWO: chain",
        DamageKind::Value,
    ),
    (
        "link to a free cluster",
        |i| {
            let free = i.chain(LONG).last().unwrap() + 9;
            i.link(i.chain(TWO)[1], free)
        },
        "/TWO: chain",
        DamageKind::Mismatch,
    ),
    (
        "bad cluster",
        |i| {
            let at = i.chain(TWO)[2];
            i.link(at, 0x0fff_fff7)
        },
        "/TWO: chain",
        DamageKind::Value,
    ),
    (
        "chain too short",
        |i| {
            let at = i.chain(TWO)[0];
            i.link(at, 0x0fff_ffff);
            i.find(TWO) + 28
        },
        "/TWO",
        DamageKind::Mismatch,
    ),
    (
        "chain cut off",
        |i| {
            let at = i.chain(TWO)[0];
            i.link(at, 0x0fff_ffff) + i.entry(1) - i.entry(0)
        },
        "fat",
        DamageKind::Mismatch,
    ),
    ("file too large", |i| i.set(i.find(SHORT) + 28, &[0, 0, 9]), "/SHORT.TXT", DamageKind::Mismatch),
    (
        "file too small",
        |i| i.set(i.find(LONG) + 28, &[0, 0]),
        "/a file with a long name.txt",
        DamageKind::Mismatch,
    ),
    (
        "file without clusters",
        |i| {
            i.set(i.find(SHORT) + 26, &[0, 0]);
            i.find(SHORT) + 28
        },
        "/SHORT.TXT",
        DamageKind::Mismatch,
    ),
    ("file starts outside", |i| i.set(i.find(SHORT) + 26, &[1, 0]), "/SHORT.TXT: chain", DamageKind::Value),
    (
        "long name checksum",
        |i| {
            let at = i.find(LONG);
            i.xor(at - 32 + 13, 1);
            i.xor(at - 64 + 13, 1);
            i.xor(at - 96 + 13, 1)
        },
        "long name",
        DamageKind::Checksum,
    ),
    (
        "long name checksum of one part",
        |i| {
            let at = i.find(LONG);
            i.xor(at - 64 + 13, 1) - 13
        },
        "long name",
        DamageKind::Mismatch,
    ),
    (
        "long name order",
        |i| {
            let at = i.find(LONG);
            i.set(at - 64, &[7])
        },
        "long name",
        DamageKind::Mismatch,
    ),
    (
        "long name start",
        |i| {
            let at = i.find(LONG);
            i.set(at - 96, &[3])
        },
        "long name",
        DamageKind::Mismatch,
    ),
    (
        "long name too long",
        |i| {
            let at = i.find(LONG);
            i.set(at - 96, &[0x40 | 33])
        },
        "long name",
        DamageKind::Value,
    ),
    (
        "long name without end",
        |i| {
            let at = i.find(LONG);
            i.set(at, &[0xe5]) - 96
        },
        "long name",
        DamageKind::Mismatch,
    ),
    (
        "long name type",
        |i| {
            let at = i.find(LONG);
            i.set(at - 32 + 12, &[1])
        },
        "long name",
        DamageKind::Value,
    ),
    (
        "long name padding",
        |i| {
            let at = i.find(LONG);
            i.set(at - 96 + 30, &[0, 0]);
            at - 96
        },
        "long name",
        DamageKind::Value,
    ),
    (
        "half a surrogate pair",
        |i| {
            let at = i.find(LONG);
            i.set(at - 32 + 1, &[0, 0xd8]);
            at - 96
        },
        "long name",
        DamageKind::Value,
    ),
    (
        "illegal long name",
        |i| {
            let at = i.find(LONG);
            i.set(at - 32 + 1, b":");
            at - 96
        },
        "long name",
        DamageKind::Value,
    ),
    ("illegal short name", |i| i.set(i.find(SHORT), b"s"), "short name", DamageKind::Value),
    ("name twice", |i| i.set(i.find(TWO), SHORT), "/: name", DamageKind::Mismatch),
    (
        "time that is none",
        |i| {
            let at = i.find(SHORT);
            i.set(at + 22, &[0xff, 0xff])
        },
        "/SHORT.TXT",
        DamageKind::Value,
    ),
    ("reserved attributes", |i| i.xor(i.find(SHORT) + 11, 0x80), "SHORT.TXT", DamageKind::Value),
    ("directory and label", |i| i.xor(i.find(DIR) + 11, 0x08), "label", DamageKind::Value),
    ("directory of a size", |i| i.set(i.find(DIR) + 28, &[1]), "/DIR", DamageKind::Value),
    ("directory without clusters", |i| i.set(i.find(DIR) + 26, &[0, 0]), "/DIR: chain", DamageKind::Value),
    ("dot", |i| i.set(i.find(INNER) - 64 + 26, &[9]), "/DIR: .", DamageKind::Mismatch),
    ("dot dot", |i| i.set(i.find(INNER) - 32 + 26, &[9]), "/DIR: ..", DamageKind::Mismatch),
    ("no dot", |i| i.set(i.find(INNER) - 64, b"X"), "/DIR: .", DamageKind::Value),
    ("dot in the root", |i| i.set(i.find(SHORT), b".          "), "/", DamageKind::Value),
    ("dot that is a file", |i| i.set(i.find(INNER) - 64 + 11, &[0x20]), "/DIR: .", DamageKind::Value),
    ("label twice", |i| i.set(i.find(SHORT) + 11, &[8]) - 11, "/: label", DamageKind::Value),
    ("label in a directory", |i| i.set(i.find(INNER) + 11, &[8]) - 11, "/DIR: label", DamageKind::Value),
];

const PLANTS_16: &[Plant] = &[
    (
        "dirty",
        |i| {
            i.link(1, 0x7fff);
            i.entry(1)
        },
        "fat entry 1",
        DamageKind::Value,
    ),
    (
        "errors seen",
        |i| {
            i.link(1, 0xbfff);
            i.entry(1)
        },
        "fat entry 1",
        DamageKind::Value,
    ),
    ("state", |i| i.set(37, &[1]), "boot sector/state", DamageKind::Value),
    ("no root entries", |i| i.set(17, &[0, 0]), "boot sector/root entries", DamageKind::Value),
    ("label", |i| i.set(43, b"OTHER"), "boot sector/label", DamageKind::Mismatch),
    (
        "label gone",
        |i| {
            let at = i.find(b"ESP        ");
            i.set(at, &[0xe5]);
            43
        },
        "boot sector/label",
        DamageKind::Mismatch,
    ),
    ("fat too small", |i| i.set(22, &[1]), "boot sector/sectors per fat", DamageKind::Mismatch),
    (
        "sectors",
        |i| {
            i.set(19, &[0xff, 0xff]);
            i.0.len()
        },
        "boot sector/sectors",
        DamageKind::Truncated,
    ),
    (
        "no sectors",
        |i| {
            i.set(19, &[0, 0]);
            i.set(32, &[0, 0, 0, 0])
        },
        "boot sector/sectors",
        DamageKind::Value,
    ),
    (
        "no clusters",
        |i| {
            i.set(19, &[33, 0]);
            32
        },
        "boot sector/sectors",
        DamageKind::Value,
    ),
];

const PLANTS_32: &[Plant] = &[
    ("backup", |i| i.xor(6 * 512 + 68, 1), "boot sector backup", DamageKind::Mismatch),
    (
        "backup elsewhere",
        |i| {
            i.set(6 * 512 + 50, &[0xf0]);
            i.set(50, &[0xf0])
        },
        "boot sector/backup",
        DamageKind::Value,
    ),
    ("fsinfo lead", |i| i.xor(512, 1), "fsinfo/signature", DamageKind::Value),
    ("fsinfo signature", |i| i.xor(512 + 484, 1), "fsinfo/signature", DamageKind::Value),
    ("fsinfo trail", |i| i.xor(512 + 511, 1) - 3, "fsinfo/signature", DamageKind::Value),
    ("fsinfo free", |i| i.xor(512 + 488, 1), "fsinfo/free clusters", DamageKind::Mismatch),
    ("fsinfo next", |i| i.set(512 + 492, &[0, 0, 0, 1]), "fsinfo/next free cluster", DamageKind::Value),
    (
        "dirty",
        |i| {
            i.link(1, 0x07ff_ffff);
            i.entry(1)
        },
        "fat entry 1",
        DamageKind::Value,
    ),
    ("state", |i| i.set(65, &[2]), "boot sector/state", DamageKind::Value),
    ("root entries", |i| i.set(17, &[16, 0]), "boot sector/root entries", DamageKind::Value),
    ("version", |i| i.set(42, &[1]), "boot sector/version", DamageKind::Unsupported),
    ("root cluster", |i| i.set(44, &[0xff, 0xff, 0xff, 0]), "/: chain", DamageKind::Value),
    ("fat too small", |i| i.set(36, &[1, 1]), "boot sector/sectors per fat", DamageKind::Mismatch),
    ("label", |i| i.set(71, b"OTHER"), "boot sector/label", DamageKind::Mismatch),
];

/// Everything that is found, whether it can be read past or not.
fn found(image: &dyn ReadAt) -> Vec<Damage> {
    match (row().open)(image) {
        Ok(opened) => opened.damage,
        Err(damage) => vec![damage],
    }
}

fn each_fault_is_named(image: &Image, plants: &[Plant]) {
    assert_eq!(found(&image.0), vec![]);
    let mut missed = Vec::new();
    for (name, plant, object, kind) in plants {
        let mut faulty = image.clone();
        let at = plant(&mut faulty) as u64;
        let damages = found(&faulty.0);
        let names = |damage: &&Damage| {
            damage.offset == at && damage.spot.object.contains(object) && damage.kind == *kind
        };
        if damages.iter().filter(names).count() != 1 {
            let texts = damages.iter().map(|damage| format!("\n    {:?}: {damage}", damage.kind));
            missed.push(format!("{name}, {kind:?} of {object} at byte {at}:{}", texts.collect::<String>()));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn faults_of_fat16_are_named() {
    let image = Image::new("-F 16 -n ESP", 5 * MIB);
    each_fault_is_named(&image, PLANTS);
    each_fault_is_named(&image, PLANTS_16);
}

#[test]
fn faults_of_fat32_are_named() {
    let image = Image::new("-F 32 -n ESP", 34 * MIB);
    each_fault_is_named(&image, PLANTS);
    each_fault_is_named(&image, PLANTS_32);
}

#[test]
fn what_can_be_read_past_is_read() {
    let mut image = Image::new("", 5 * MIB);
    let chain = image.chain(TWO);
    image.link(chain[1], 0x0fff_fff7);
    let opened = open(&image.0);
    let lines = read_back(&opened, &image.0);
    let (_, bytes) = lines.iter().find(|(path, _)| path == "/TWO").unwrap();
    let bytes = bytes.as_ref().unwrap();
    let cluster = image.u16(11) * usize::from(image.0[13]);
    // The chain ends with the bad cluster; what is behind it reads as zero.
    assert_eq!(bytes.len(), 5000);
    assert_eq!(bytes[..2 * cluster], noise("two", 5000)[..2 * cluster]);
    assert!(bytes[2 * cluster..].iter().all(|&byte| byte == 0));
    assert!(lines.iter().any(|(path, _)| path == "/DIR/INNER/LEAF"));
}

/// Reads all that can be read; any result will do, as long as there is one.
fn read_all(image: &dyn ReadAt) -> usize {
    let _ = (row().recognise)(image);
    let mut text = String::new();
    let dumped = (row().dump)(image, &mut text);
    let Ok(opened) = (row().open)(image) else {
        assert!(dumped.is_err());
        return 1;
    };
    assert!(dumped.is_ok());
    for step in opened.tree.walk() {
        if let Kind::File(Data::Content { id, size, .. }) = &opened.tree.node(step.node).kind {
            let mut bytes = vec![0; (*size).min(100_000) as usize];
            let layout = &opened.files[id.0 as usize];
            assert_eq!(layout.len(), *size);
            // May fail where the image ends early, and says so.
            let read = Reader::new(layout, &OneFile(image)).read_exact_at(0, &mut bytes);
            assert!(read.is_ok() || !opened.damage.is_empty());
        }
    }
    opened.damage.len()
}

/// Small images of each type. We make no FAT32 this small, so most of its clusters and of its FAT is cut out.
fn small_images() -> Vec<Vec<u8>> {
    const FAT_SECTORS: usize = 4;
    const CLUSTERS: usize = 100;
    let fat_12 = Image::new("-n ESP", 128 * KIB).0;
    let fat_16 = Image::new("-F 16 -s 1", 2200 * KIB).0;
    let large = Image::new("-F 32 -n ESP -f 1", 34 * MIB);
    let (fat, data) = (large.fat(0), large.fat(1));
    let used = (2..CLUSTERS + 2).filter(|&cluster| large.next(cluster) != 0).count();
    let kept = [&large.0[..fat + FAT_SECTORS * 512], &large.0[data..data + CLUSTERS * 512]];
    let mut fat_32 = kept.concat();
    let sectors = fat_32.len() / 512;
    let mut set = |at: usize, value: usize| fat_32[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    for sector in [0, 6] {
        set(sector * 512 + 32, sectors);
        set(sector * 512 + 36, FAT_SECTORS);
        set((sector + 1) * 512 + 488, CLUSTERS - used);
    }
    vec![fat_12, fat_16, fat_32]
}

#[test]
fn mutations_never_panic_or_hang() {
    let rounds = if std::env::var("DISKWRIGHT_ALL").as_deref() == Ok("1") { 20_000 } else { 400 };
    for (number, image) in small_images().into_iter().enumerate() {
        assert_eq!(found(&image), vec![], "image {number}");
        // What a reader looks at: everything up to the last byte that is not zero, most of it FATs and directories.
        let end = image.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        let interesting: Vec<usize> = (0..end).filter(|&at| image[at] != 0 || at < 512).collect();
        let mut state = 0x1234_5678_9abc_def0 + number as u64;
        let mut damaged = 0;
        for _ in 0..rounds {
            let mut mutant = image.clone();
            for _ in 0..1 + random(&mut state) % 8 {
                let at = match random(&mut state) % 4 {
                    0 => random(&mut state) as usize % end,
                    1 => random(&mut state) as usize % 96,
                    _ => interesting[random(&mut state) as usize % interesting.len()],
                };
                mutant[at] = match random(&mut state) % 4 {
                    0 => 0,
                    1 => 0xff,
                    2 => mutant[at] ^ 1 << (random(&mut state) % 8),
                    _ => random(&mut state) as u8,
                };
            }
            damaged += usize::from(read_all(&mutant) > 0);
        }
        assert!(
            damaged > rounds / 4,
            "image {number}: only {damaged} of {rounds} mutants were found damaged"
        );
    }
}

#[test]
fn truncations_never_panic_and_never_pass() {
    for image in small_images() {
        for len in (0..image.len()).step_by(if image.len() > 300_000 { 32_768 - 1 } else { 509 }) {
            let cut = image[..len].to_vec();
            assert!(read_all(&cut) > 0, "cut to {len} of {}", image.len());
        }
    }
}

/// A boot sector that claims 2^32 sectors costs what the image has, not what it claims.
#[test]
fn claims_cost_nothing() {
    let mut image = small_images().pop().unwrap();
    image[32..36].fill(0xff);
    image[36..40].copy_from_slice(&0x00ff_ffff_u32.to_le_bytes());
    assert_eq!(found(&image).last().unwrap().kind, DamageKind::Truncated);
    let noise = noise("noise", 65_536);
    assert!(!(row().recognise)(&noise));
    let boot = image[..90].to_vec();
    let mut state = 7;
    for _ in 0..100 {
        let mut random: Vec<u8> = (0..65_536).map(|_| fat_support::random(&mut state) as u8).collect();
        random[..90].copy_from_slice(&boot);
        random[32..40].copy_from_slice(&[128, 0, 0, 0, 4, 0, 0, 0]);
        random[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert!(read_all(&random) > 0);
    }
}

#[test]
fn only_fat_is_recognised() {
    for image in small_images() {
        assert!((row().recognise)(&image));
    }
    let mut disk = vec![0; 1024];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    for image in [vec![], vec![0; 100], vec![0; 4096], disk] {
        assert!(!(row().recognise)(&image));
        assert!((row().open)(&image).is_err());
    }
}
