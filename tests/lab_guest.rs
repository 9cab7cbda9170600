//! The guest that looks at disks, looked at: disks whose tables and file systems other programs made.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::guest::{Disk, SeenContent, SeenPartition, prepare};
use support::*;

const MIB: u64 = 1 << 20;
const UUID: &str = "11111111-2222-4333-8444-555555555555";

/// Puts a file's bytes into the disk.
fn put(disk: &Path, at: u64, part: &Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(disk).unwrap();
    file.write_all_at(&std::fs::read(part).unwrap(), at).unwrap();
}

fn sized(path: &Path, len: u64) {
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap()
        .set_len(len)
        .unwrap();
}

/// ext4, FAT and swap of 16 MiB each, with files and names that are known.
fn contents(work: &Path) -> Option<[PathBuf; 3]> {
    const TEST: &str = "the_guest_sees_what_other_programs_made";
    let (mke2fs, mkfs_fat) = (oracle(TEST, "mke2fs")?, oracle(TEST, "mkfs.fat")?);
    let (mkswap, mcopy) = (oracle(TEST, "mkswap")?, oracle(TEST, "mcopy")?);
    let tree = work.join("tree");
    write(tree.join("a directory/a file"), "abc");
    write(tree.join("empty"), "");
    std::os::unix::fs::symlink("a directory/a file", tree.join("link")).unwrap();
    let [ext, fat, swap] = ["ext", "fat", "swap"].map(|name| work.join(name));
    for path in [&ext, &fat, &swap] {
        sized(path, 16 * MIB);
    }
    let options = ["-q", "-t", "ext4", "-L", "a root", "-U", UUID, "-d"];
    run(Command::new(mke2fs).args(options).arg(&tree).arg(&ext)).ends(0);
    run(Command::new(mkfs_fat).args(["-n", "EFI", "-i", "12345678"]).arg(&fat)).ends(0);
    run(Command::new(mcopy).args(["-s", "-i"]).arg(&fat).arg(tree.join("a directory")).arg("::")).ends(0);
    run(Command::new(mkswap).args(["-L", "swap", "-U", UUID]).arg(&swap)).ends(0);
    Some([ext, fat, swap])
}

/// A program that reads its orders.
fn ordered(command: &mut Command, orders: &str) {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(orders.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{command:?}");
}

fn places(partitions: &[SeenPartition]) -> Vec<(u32, u64, u64)> {
    partitions.iter().map(|it| (it.number, it.start / MIB, it.len / MIB)).collect()
}

/// SHA-256 of `abc` (FIPS 180-2, appendix B.1) and of nothing.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn judged_ext(partition: &SeenPartition) {
    assert_eq!((partition.says("TYPE"), partition.says("LABEL")), ("ext4", "a root"));
    assert_eq!(partition.says("UUID"), UUID);
    let SeenContent::Mounted { files, links } = &partition.content else { panic!("{partition:?}") };
    let files: Vec<_> = files.iter().map(|(name, sum)| (name.as_str(), sum.as_str())).collect();
    assert_eq!(files, [("./a directory/a file", ABC), ("./empty", NOTHING)]);
    assert_eq!(links["./link"], "a directory/a file");
}

fn judged_fat(partition: &SeenPartition) {
    assert_eq!((partition.says("TYPE"), partition.says("LABEL")), ("vfat", "EFI"));
    assert_eq!(partition.says("UUID"), "1234-5678");
    assert_eq!(partition.files()["./a directory/a file"], ABC);
}

fn judged_swap(partition: &SeenPartition) {
    assert_eq!((partition.says("TYPE"), partition.says("UUID")), ("swap", UUID));
    assert_eq!(partition.content, SeenContent::Swap { len: 16 * MIB - 4096 });
}

#[test]
fn the_guest_sees_what_other_programs_made() {
    const TEST: &str = "the_guest_sees_what_other_programs_made";
    let (Some(sfdisk), Some(sgdisk), Some(guest)) =
        (oracle(TEST, "sfdisk"), oracle(TEST, "sgdisk"), prepare(TEST))
    else {
        return;
    };
    let work = tempfile::tempdir().unwrap();
    let Some([ext, fat, swap]) = contents(work.path()) else { return };
    let [mbr, gpt, large] = ["mbr", "gpt", "large"].map(|name| work.path().join(name));

    // Partitions 5 to 7 are logical.
    sized(&mbr, 96 * MIB);
    let orders = "label: dos\nlabel-id: 0xdeadbeef\nstart=2048,size=32768,type=c\nstart=34816,type=5\n\
                  start=36864,size=32768,type=83\nstart=71680,size=32768,type=82\nstart=106496,size=32768,type=83\n";
    ordered(Command::new(sfdisk).arg("--quiet").arg(&mbr), orders);
    for (at, part) in [(1, &fat), (18, &ext), (35, &swap), (52, &ext)] {
        put(&mbr, at * MIB, part);
    }

    // Explicit numbers, not in the order of their places; partition 9 has nothing in it.
    sized(&gpt, 80 * MIB);
    let mut command = Command::new(&sgdisk);
    command.args([
        "-n",
        "3:2048:+16M",
        "-t",
        "3:ef00",
        "-c",
        "3:p.UEFI",
        "-n",
        "2:0:+16M",
        "-c",
        "2:p.lxroot",
    ]);
    command.args(["-n", "7:0:+16M", "-t", "7:8200", "-u", &format!("7:{UUID}"), "-n", "9:0:+1M"]);
    run(command.arg(&gpt)).ends(0);
    for (at, part) in [(1, &fat), (17, &ext), (33, &swap)] {
        put(&gpt, at * MIB, part);
    }

    // A bare file system, in a container of its own.
    sized(&large, 16 * MIB);
    put(&large, 0, &ext);
    let before = [&mbr, &gpt, &large].map(|path| std::fs::read(path).unwrap());

    let disk = |path, sector| Disk { path, sector };
    let seen = guest.look_at(&[disk(&mbr, 512), disk(&gpt, 512), disk(&large, 4096)]);

    let after = [&mbr, &gpt, &large].map(|path| std::fs::read(path).unwrap());
    assert!(before == after, "images are not written");
    assert_eq!(seen[0].blkid["PTTYPE"], "dos");
    assert_eq!(seen[0].blkid["PTUUID"], "deadbeef");
    let (extended, rest): (Vec<_>, Vec<_>) = seen[0].partitions.iter().partition(|it| it.number == 2);
    assert_eq!(extended[0].start, 17 * MIB);
    let rest: Vec<_> = rest.into_iter().cloned().collect();
    assert_eq!(places(&rest), [(1, 1, 16), (5, 18, 16), (6, 35, 16), (7, 52, 16)]);
    judged_fat(seen[0].partition(1));
    judged_ext(seen[0].partition(5));
    judged_swap(seen[0].partition(6));
    judged_ext(seen[0].partition(7));
    assert_eq!(seen[0].partition(6).says("PART_ENTRY_TYPE"), "0x82");

    assert_eq!((seen[1].len, seen[1].sector), (80 * MIB, 512));
    assert_eq!(seen[1].blkid["PTTYPE"], "gpt");
    assert_eq!(places(&seen[1].partitions), [(2, 17, 16), (3, 1, 16), (7, 33, 16), (9, 49, 1)]);
    judged_ext(seen[1].partition(2));
    judged_fat(seen[1].partition(3));
    judged_swap(seen[1].partition(7));
    assert_eq!(seen[1].partition(9).content, SeenContent::Nothing);
    assert_eq!(seen[1].partition(2).says("PART_ENTRY_NAME"), "p.lxroot");
    assert_eq!(seen[1].partition(7).says("PART_ENTRY_UUID"), UUID);
    assert_eq!(seen[1].partition(3).says("PART_ENTRY_TYPE"), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");

    assert_eq!((seen[2].len, seen[2].sector), (16 * MIB, 4096));
    assert!(seen[2].partitions.is_empty());
    assert_eq!(seen[2].blkid["UUID"], UUID);
    // Blocks of 1 KiB are smaller than the sectors of this disk: the kernel says so by refusing.
    assert!(matches!(&seen[2].content, SeenContent::Refused(_)), "{:?}", seen[2].content);
}
