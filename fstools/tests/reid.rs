//! New identities for FAT and swap: laying a clone is patching its origin, and images of other programs get the bytes that
//! `fatlabel -i` and `swaplabel -U` write.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod fat_support;

use diskwright_formats::fault::ReidError;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{ContentId, Layout, Memory, OneFile, Patch, ReadAt, Reader};
use diskwright_fstools::registry::{Geometry, ROWS, find};
use fat_support::{MIB, Sample, command, identity, image, mixed, run, tool};
use std::fs::File;
use std::path::Path;

fn clone() -> Identity {
    identity().clone_as("fs/clone")
}

fn reid(image: &dyn ReadAt, identity: &Identity) -> Result<Vec<Patch>, ReidError> {
    let row = ROWS.iter().find(|row| (row.recognise)(image)).unwrap();
    (row.reid)(image, identity)
}

#[test]
fn to_lay_a_clone_is_to_patch_its_origin() {
    let swaps = [("swap", "", 512, MIB), ("swap", "-L swap -p 65536", 4096, 3 * MIB)];
    let fats = [
        ("vfat", "-F 12", 512, 2 * MIB),
        ("vfat", "-F 12 -n TINY", 4096, 4 * MIB),
        ("vfat", "-F 16 -n ESP", 512, 20 * MIB),
        ("vfat", "-F 32", 512, 40 * MIB),
        ("vfat", "-F 32 -n ESP -R 40 -f 1", 512, 40 * MIB),
        ("vfat", "-F 32 -s 1", 4096, 300 * MIB),
    ];
    for (name, options, sector_size, len) in swaps.into_iter().chain(fats) {
        let sample = if name == "swap" { Sample::new() } else { mixed() };
        let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        let filesystem = (find(name).unwrap().configure)(&options).unwrap();
        let geometry = Geometry { len, sector_size, hidden_sectors: 2048 };
        let lay = |identity: &Identity| filesystem.lay(&sample.tree, &geometry, identity).unwrap().layout;
        let (origin, twin) = (lay(&identity()), lay(&clone()));
        let patches = reid(&Reader::new(&origin, &sample.contents), &clone()).unwrap();
        assert!(!patches.is_empty() && origin != twin, "{name} {options:?}");
        assert_eq!(origin.patched(&patches).unwrap(), twin, "{name} {options:?}");
        // All of it is computed bytes and contents: equal layouts are equal images.
        assert!(
            reid(&Reader::new(&twin, &sample.contents), &clone()).unwrap().is_empty(),
            "{name} {options:?}"
        );
    }
}

/// The image at `path` with another identity.
fn change(path: &Path) -> Vec<u8> {
    let before = std::fs::read(path).unwrap();
    let patches = reid(&before, &clone()).unwrap_or_else(|error| panic!("{error}"));
    let layout = Layout::of_content(ContentId(0), before.len() as u64).patched(&patches).unwrap();
    image(&layout, &OneFile(&before))
}

#[test]
fn images_of_mkfs_fat_get_what_fatlabel_writes() {
    let test = "images_of_mkfs_fat_get_what_fatlabel_writes";
    let found = ["mkfs.fat", "fsck.fat", "fatlabel"].map(|name| tool(test, name, "dosfstools"));
    let ([Some(mkfs), Some(fsck), Some(fatlabel)], Some(blkid)) = (found, tool(test, "blkid", "util-linux"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (bits, len) in [("12", 2 * MIB), ("16", 20 * MIB), ("32", 40 * MIB)] {
        let path = folder.path().join(bits);
        File::create(&path).unwrap().set_len(len).unwrap();
        let of = path.to_str().unwrap();
        run(&mkfs, &["-F", bits, "-n", "LABEL", "-i", "12345678", of]);
        let ours = change(&path);
        let id = clone().number("volume-id");
        run(&fatlabel, &["-i", of, &format!("{id:08x}")]);
        let theirs = std::fs::read(&path).unwrap();
        let strange = (0..ours.len()).find(|&at| ours[at] != theirs[at]);
        assert_eq!(strange, None, "FAT{bits}: another byte than fatlabel writes");
        std::fs::write(&path, &ours).unwrap();
        let said = run(&fsck, &["-n", of]);
        assert_eq!(said.lines().count(), 2, "{said}");
        let said = run(&blkid, &["-p", "-o", "export", of]);
        let expected = format!("UUID={:04X}-{:04X}", id >> 16, id & 0xffff);
        assert!(said.lines().any(|line| line == expected), "{said}");
    }
}

#[test]
fn images_of_mkswap_get_what_swaplabel_writes() {
    let test = "images_of_mkswap_get_what_swaplabel_writes";
    let found = ["mkswap", "swaplabel", "blkid"].map(|name| tool(test, name, "util-linux"));
    let [Some(mkswap), Some(swaplabel), Some(blkid)] = found else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swap");
    let of = path.to_str().unwrap();
    File::create(&path).unwrap().set_len(MIB).unwrap();
    assert!(command(&mkswap, &["-L", "label", of]).output().unwrap().status.success());
    let ours = change(&path);
    let id = clone().uuid("uuid").to_string();
    run(&swaplabel, &["-U", &id, of]);
    assert!(std::fs::read(&path).unwrap() == ours, "another byte than swaplabel writes");
    let said = run(&blkid, &["-p", "-o", "export", of]);
    assert!(said.contains(&format!("UUID={id}\n")) && said.contains("LABEL=label\n"), "{said}");
}

#[test]
fn a_boot_sector_without_an_id_is_refused_and_damage_is_told() {
    let sample = mixed();
    let lay = |options: &str| fat_support::lay(options, &sample.tree, 40 * MIB, 512).unwrap().layout;
    let mut old = image(&lay("-F 16"), &sample.contents);
    old[38] = 0;
    match reid(&old, &clone()) {
        Err(ReidError::Refusal(refusal)) => {
            assert_eq!(
                refusal.to_string(),
                "vfat: boot sector: no volume id: the boot sector lacks the signature 0x29"
            );
        }
        other => panic!("{other:?}"),
    }
    // A backup that says something else is not overwritten.
    let mut two = image(&lay("-F 32"), &sample.contents);
    two[6 * 512 + 71] ^= 1;
    let Err(ReidError::Damage(damage)) = reid(&two, &clone()) else { panic!("two boot sectors") };
    assert!(damage.to_string().starts_with("vfat: boot sector backup"), "{damage}");
    let swap = (find("swap").unwrap().configure)(&[]).unwrap();
    let geometry = Geometry { len: MIB, sector_size: 512, hidden_sectors: 0 };
    let laid = swap.lay(&Sample::new().tree, &geometry, &identity()).unwrap();
    let mut short = image(&laid.layout, &Memory::default());
    short.truncate(900_000);
    assert!(matches!(reid(&short, &clone()), Err(ReidError::Damage(_))));
}
