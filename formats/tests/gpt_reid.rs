//! A new identity for a GPT disk is what laying it with these GUIDs writes; sgdisk and sfdisk agree.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod oracle;

use diskwright_formats::fault::{DamageKind, ReidError};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Extent, Layout, Memory, Reader, What};
use diskwright_formats::table::gpt::{self, HybridEntry, Options, Partition, types};
use oracle::{bytes, run, tool, write_sparse};
use uuid::Uuid;

const MIB: u64 = 1 << 20;

fn identity(seed: &str) -> Identity {
    Identity::new(seed.as_bytes(), 0)
}

/// GUIDs as `reid` gives them.
fn guid(identity: &Identity, number: u32) -> Uuid {
    identity.role("part").role(&number.to_string()).uuid("guid")
}

fn disk(identity: &Identity, numbers: &[u32], options: &Options) -> Layout {
    let part = |(at, &number): (u64, &u32)| {
        let extent = Extent::of_bytes(0, vec![number as u8; 512], What::new(&"content"));
        let partition = Partition {
            number,
            type_guid: types::LINUX,
            unique_guid: guid(identity, number),
            name: format!("part {number}"),
            attributes: gpt::REQUIRED,
            start: (1 + at) * MIB,
            len: MIB,
        };
        (partition, Layout::new(MIB, vec![extent], vec![]).unwrap())
    };
    let parts: Vec<_> = (0..).zip(numbers).map(part).collect();
    gpt::lay(&parts, options, identity).unwrap()
}

fn cases() -> Vec<(Vec<u32>, Options)> {
    let plain = |sector_size| Options::new(16 * MIB, sector_size);
    let hybrid = vec![HybridEntry { number: 2, kind: 0x83, active: true }];
    vec![
        (vec![], plain(512)),
        (vec![1, 2, 3], plain(512)),
        (vec![7, 2, 128], plain(4096)),
        (vec![200, 1], plain(512)),
        (vec![1, 2], Options { hybrid, disk_signature: Some(0xdead_beef), ..plain(512) }),
    ]
}

#[test]
fn to_lay_it_again_is_to_patch_it() {
    let (old, new) = (identity("old"), identity("new"));
    for (numbers, options) in cases() {
        let origin = disk(&old, &numbers, &options);
        let patches = gpt::reid(&Reader::new(&origin, &Memory::default()), &new).unwrap();
        let signature = options.disk_signature.map(|_| new.number("disk-id"));
        let again = disk(&new, &numbers, &Options { disk_signature: signature, ..options });
        assert_eq!(origin.patched(&patches).unwrap(), again, "{numbers:?}");
        // Nothing but ids and checksums: GUIDs, and 4 bytes elsewhere.
        assert!(patches.iter().all(|patch| patch.range().end - patch.start <= 16), "{patches:?}");
    }
}

#[test]
fn a_longer_disk_is_what_laying_it_longer_writes() {
    let identity = identity("old");
    for (numbers, options) in cases() {
        let disk = disk(&identity, &numbers, &options);
        for more in [0, u64::from(options.sector_size), 3 * MIB, 3 << 40] {
            let len = options.len + more;
            let grown = gpt::grown(&disk, &Memory::default(), len).unwrap();
            let longer = self::disk(&identity, &numbers, &Options { len, ..options.clone() });
            assert_eq!(grown, longer, "{numbers:?}, {more} more");
        }
        assert!(gpt::grown(&disk, &Memory::default(), options.len - MIB).is_err());
        assert!(gpt::grown(&disk, &Memory::default(), options.len + 100).is_err());
    }
}

/// As KIWI does it: `qemu-img resize`, then `sgdisk --resize-table`.
#[test]
fn a_longer_disk_is_what_sgdisk_makes_of_it() {
    let test = "a_longer_disk_is_what_sgdisk_makes_of_it";
    let Some(sgdisk) = tool(test, "sgdisk", "gdisk") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let disk = disk(&identity("old"), &[1, 2, 9], &Options::new(16 * MIB, 512));
    let len = 40 * MIB;
    write_sparse(&path, &disk, &Memory::default());
    std::fs::File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
    run(&sgdisk, &["--resize-table=128".as_ref(), path.as_ref()]);
    let theirs = std::fs::read(&path).unwrap();
    let ours = bytes(&gpt::grown(&disk, &Memory::default(), len).unwrap(), &Memory::default());
    // It leaves the old second copy where it was, and gives the protective record another end in cylinders.
    let old = (16 * MIB - 33 * 512) as usize..16 * MIB as usize;
    let other = |at: &usize| ours[*at] != theirs[*at] && !old.contains(at) && !(451..454).contains(at);
    assert_eq!((0..ours.len()).find(other), None, "another byte than sgdisk writes");
    assert!(ours[old].iter().all(|&byte| byte == 0));
}

#[test]
fn sgdisk_and_sfdisk_find_no_problems() {
    let test = "sgdisk_and_sfdisk_find_no_problems";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let (old, new) = (identity("old"), identity("new"));
    let origin = disk(&old, &[1, 2, 9], &Options::new(16 * MIB, 512));
    let patches = gpt::reid(&Reader::new(&origin, &Memory::default()), &new).unwrap();
    write_sparse(&path, &origin.patched(&patches).unwrap(), &Memory::default());
    if let Some(sgdisk) = tool(test, "sgdisk", "gdisk") {
        let text = run(&sgdisk, &["-v".as_ref(), path.as_ref()]);
        assert!(text.contains("No problems found") && !text.to_lowercase().contains("warning"), "{text}");
        let text = run(&sgdisk, &["-p".as_ref(), path.as_ref()]);
        assert!(text.contains(&new.uuid("guid").to_string().to_uppercase()), "{text}");
        let text = run(&sgdisk, &["-i".as_ref(), "9".as_ref(), path.as_ref()]);
        assert!(text.contains(&guid(&new, 9).to_string().to_uppercase()), "{text}");
    }
    if let Some(sfdisk) = tool(test, "sfdisk", "fdisk") {
        let text = run(&sfdisk, &["--verify".as_ref(), path.as_ref()]);
        assert!(text.contains("No errors detected"), "{text}");
    }
}

#[test]
fn a_damaged_copy_is_told_and_not_written_over() {
    let origin = disk(&identity("old"), &[1], &Options::new(16 * MIB, 512));
    let mut image = bytes(&origin, &Memory::default());
    let backup = image.len() - 512 + 60;
    image[backup] ^= 1;
    let Err(ReidError::Damage(damage)) = gpt::reid(&image, &identity("new")) else {
        panic!("a damaged copy")
    };
    assert_eq!((damage.kind, damage.spot.object.as_str()), (DamageKind::Checksum, "backup header"));
}
