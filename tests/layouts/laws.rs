//! What holds for all disks: any list of partitions is refused, or lies on a disk that it fits on, and on no smaller one.

use crate::trees;
use diskwright::compose::{compose, unwritten};
use diskwright::model::{
    Arch, Bytes, Contents, Disk, DiskSize, Format, Image, KiwiSize, KiwiSizes, Loader, MIB, Mkfs, Naming,
    Partition, PartitionKind, Rule, SectorSize, Table, Target,
};
use diskwright::plan::{Fit, Slot, draft, plan};
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::Memory;
use diskwright_formats::table::gpt;
use diskwright_fstools::tree::Tree;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn mkfs(name: &str) -> Mkfs {
    Mkfs::new(name, Vec::new()).expect("it is written")
}

fn rules() -> impl Strategy<Value = Rule> {
    prop_oneof![
        4 => (0..40 * MIB).prop_map(|bytes| Rule::Exact(Bytes(bytes))),
        4 => (1_u64..60).prop_map(|mib| Rule::Exact(Bytes(mib * MIB))),
        1 => Just(Rule::Rest),
        1 => (100_u32..300).prop_map(Rule::Times),
        1 => (0..9 * MIB, 0_u32..50).prop_map(|(least, percent)| Rule::Free { least: Bytes(least), percent }),
    ]
}

fn kinds() -> impl Strategy<Value = PartitionKind> {
    use PartitionKind::{BiosBoot, Esp, Linux, Lvm, Prep, Raid, Swap};
    proptest::sample::select(vec![BiosBoot, Esp, Prep, Linux, Linux, Linux, Swap, Raid, Lvm])
}

/// A partition; `/` where it is the root, else a directory of its own.
fn partitions() -> impl Strategy<Value = Partition> {
    let contents = 0_u8..5;
    let clones = prop_oneof![4 => Just(0_u32), 2 => 1_u32..4, 1 => Just(12)];
    let number =
        proptest::option::weighted(0.15, prop_oneof![1_u32..20, Just(128), Just(129), Just(u32::MAX)]);
    (kinds(), rules(), clones, number, contents).prop_map(|(kind, size, clones, number, contents)| {
        Partition {
            role: String::new(),
            name: String::new(),
            kind,
            type_guid: None,
            number,
            clones,
            size,
            knob: "size=\"{}\"".to_owned(),
            layers: Vec::new(),
            contents: match contents {
                0 => Contents::Blank,
                1 => Contents::Empty(mkfs("swap")),
                2 => Contents::Empty(mkfs("ext4")),
                3 => Contents::Mounted {
                    format: mkfs("fat16"),
                    mountpoint: String::new(),
                    options: "defaults".to_owned(),
                },
                _ => Contents::Mounted {
                    format: mkfs("ext4"),
                    mountpoint: String::new(),
                    options: "defaults".to_owned(),
                },
            },
        }
    })
}

fn tables() -> impl Strategy<Value = Table> {
    let gpt = any::<bool>().prop_map(|hybrid| Table::Gpt { hybrid });
    let mbr = any::<bool>().prop_map(|extended| Table::Mbr { extended, converted: false });
    prop_oneof![
        4 => gpt,
        4 => mbr,
        1 => Just(Table::Mbr { extended: false, converted: true }),
        1 => Just(Table::Dasd)
    ]
}

fn kiwi_sizes() -> impl Strategy<Value = KiwiSizes> {
    let size = proptest::option::of((1_u64..900, any::<bool>()));
    (size, any::<bool>(), 0_u64..90, 0_u64..50, any::<bool>()).prop_map(
        |(size, resize, system, spare, last)| KiwiSizes {
            filesystem: "ext4".to_owned(),
            size: size.map(|(mebibytes, additive)| KiwiSize { mebibytes, additive }),
            resize,
            system,
            recovery: 0,
            spare,
            spare_last: last,
        },
    )
}

fn disks() -> impl Strategy<Value = Disk> {
    let size = prop_oneof![
        3 => Just(DiskSize::Computed { extra: Bytes(0) }),
        1 => (0..30 * MIB).prop_map(|extra| DiskSize::Computed { extra: Bytes(extra) }),
        2 => (1_u64..900).prop_map(|mib| DiskSize::Exact(Bytes(mib * MIB))),
        1 => (0..900 * MIB).prop_map(|bytes| DiskSize::Exact(Bytes(bytes))),
    ];
    let unpartitioned = prop_oneof![3 => Just(0), 1 => 0..20 * MIB];
    let kiwi = proptest::option::weighted(0.2, kiwi_sizes());
    let partitions = proptest::collection::vec(partitions(), 0..6);
    (tables(), any::<bool>(), 1_u64..9, size, unpartitioned, partitions, kiwi).prop_map(
        |(table, large, first, size, unpartitioned, mut partitions, kiwi_sizes)| {
            let last = partitions.len();
            for (at, one) in partitions.iter_mut().enumerate() {
                let (role, path) = if at + 1 == last {
                    ("root".to_owned(), "/".to_owned())
                } else {
                    (format!("n{at}"), format!("/n{at}"))
                };
                one.name = format!("p.lx{role}");
                one.role = role;
                if at + 1 == last && one.contents == Contents::Empty(mkfs("swap")) {
                    one.contents = Contents::Blank;
                }
                if let Contents::Mounted { mountpoint, .. } = &mut one.contents {
                    *mountpoint = path;
                }
            }
            Disk {
                table,
                sector_size: if large { SectorSize::B4096 } else { SectorSize::B512 },
                first: Bytes(first * MIB),
                size,
                unpartitioned: Bytes(unpartitioned),
                partitions,
                active: Some("root".to_owned()),
                volumes: None,
                loader: Loader::Custom,
                grub: None,
                naming: Naming::Uuid,
                readonly_root: false,
                command_line: String::new(),
                formats: vec![Format { name: "raw".to_owned(), options: Vec::new() }],
                kiwi_files: true,
                kiwi_sizes,
                growth: None,
            }
        },
    )
}

fn identity() -> Identity {
    Identity::new(b"law", 0)
}

fn fit_of(disk: &Disk, tree: &Tree) -> Result<Fit, Refusal> {
    let image = Image {
        name: "law".to_owned(),
        title: "law".to_owned(),
        version: None,
        arch: Arch::X86_64,
        excludes: Vec::new(),
        hooks: Vec::new(),
        target: Target::Disk(Box::new(disk.clone())),
        system: None,
    };
    draft(&plan(&image, &identity())?, tree.clone(), &Memory(Vec::new()))
}

/// The byte behind the last that a partition may use.
fn usable(disk: &Disk, len: u64) -> u64 {
    let sector = disk.sector_size.bytes();
    match disk.table {
        Table::Gpt { .. } | Table::Mbr { converted: true, .. } => {
            gpt::last_usable(len - disk.unpartitioned.0, sector)
        }
        Table::Mbr { .. } | Table::Dasd => len - disk.unpartitioned.0,
    }
}

/// Everything that is true of a disk, and the end of its last partition.
fn judge(disk: &Disk, fit: &Fit) -> Result<u64, TestCaseError> {
    let mut end = disk.first.0;
    let mut numbers = BTreeSet::new();
    for place in &fit.places {
        let entry = place.part.entry.as_ref().expect("it is in a table");
        let logical = matches!(entry.slot, Slot::Mbr { .. }) && entry.number > 4;
        // In front of a logical partition lies its record.
        prop_assert_eq!(place.start, end + if logical { MIB } else { 0 });
        prop_assert!(place.start % MIB == 0 && place.len % MIB == 0 && place.len > 0);
        prop_assert!(numbers.insert(entry.number) && entry.number > 0, "{} is taken", entry.number);
        if fit.obstacles.is_empty() {
            prop_assert!(place.least.is_none_or(|least| least <= place.len));
        }
        if let Some(origin) = &place.part.clone_of {
            let origin =
                fit.places.iter().find(|one| one.part.role == *origin).expect("a clone has an origin");
            prop_assert_eq!(origin.len, place.len);
            prop_assert!(origin.start > place.start);
        }
        end = place.start + place.len;
    }
    prop_assert!(end <= usable(disk, fit.len), "{end} of {}", fit.len);
    Ok(end)
}

/// The shortest disk for partitions that end at `end`.
fn shortest(disk: &Disk, end: u64) -> u64 {
    let sector = u64::from(disk.sector_size.bytes());
    let table = match disk.table {
        Table::Gpt { .. } | Table::Mbr { converted: true, .. } => sector + 128 * 128,
        Table::Mbr { .. } | Table::Dasd => 0,
    };
    (end + table + disk.unpartitioned.0).next_multiple_of(sector)
}

fn tree() -> Tree {
    trees::small()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_disk_is_right_or_refused(disk in disks()) {
        let tree = tree();
        match fit_of(&disk, &tree) {
            Err(refusal) => {
                let kinds = [RefusalKind::Invalid, RefusalKind::Limit];
                let needed = matches!(refusal.kind, RefusalKind::TooSmall { needed: Some(_) });
                prop_assert!(needed || kinds.contains(&refusal.kind), "{refusal:?}");
                prop_assert!(refusal.hint.is_some() || !needed, "{refusal:?}");
            }
            Ok(mut fit) => {
                let end = judge(&disk, &fit)?;
                // The clash of sizes that a description gives is what create refuses, and nothing else.
                prop_assert!(disk.kiwi_sizes.is_some() || fit.obstacles.is_empty(), "{:?}", fit.obstacles);
                if fit.obstacles.is_empty() && unwritten(&fit.plan).is_none() {
                    let composed = compose(&mut fit, &identity());
                    prop_assert!(composed.is_ok(), "{:?}", composed.err());
                }
                let computed = matches!(disk.size, DiskSize::Computed { extra: Bytes(0) });
                let rest = disk.partitions.iter().any(|one| one.size == Rule::Rest);
                if computed && !rest && disk.kiwi_sizes.is_none() {
                    let of = |len: u64| Disk { size: DiskSize::Exact(Bytes(len)), ..disk.clone() };
                    let least = shortest(&disk, end);
                    prop_assert_eq!(fit.len, least.next_multiple_of(MIB));
                    let tight = fit_of(&of(least), &tree);
                    prop_assert_eq!(tight.map(|fit| fit.len).map_err(|refusal| refusal.to_string()), Ok(least));
                    let sector = u64::from(disk.sector_size.bytes());
                    if let Some(less) = least.checked_sub(sector) {
                        let refusal = fit_of(&of(less), &tree).expect_err("one sector less is too small");
                        let needed = RefusalKind::TooSmall { needed: Some(fit.len) };
                        prop_assert_eq!(refusal.kind, needed);
                    }
                }
            }
        }
    }
}
