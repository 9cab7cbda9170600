//! A distribution's kernel mounts what `mkfs` makes of each set of features, reads all of it, and writes: all in one boot.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::guest::{self, Disk};
use support::*;

/// Row and options: what distributions make or made, and what lies between.
const SETS: &[(&str, &[&str])] = &[
    ("ext4", &["--target", "debian-10"]),
    ("ext4", &["--target", "debian-12"]),
    ("ext4", &["--target", "debian-13"]),
    ("ext4", &["-O", "^metadata_csum,uninit_bg"]),
    ("ext4", &["-O", "^metadata_csum,uninit_bg,^64bit", "-b", "1024"]),
    ("ext4", &["-O", "metadata_csum_seed,orphan_file,ea_inode", "-I", "512"]),
    ("ext4", &["-O", "metadata_csum_seed,orphan_file,ea_inode", "-b", "2048"]),
    ("ext4", &["-O", "sparse_super2,^resize_inode", "-b", "1024"]),
    ("ext4", &["-O", "^metadata_csum,^flex_bg,^64bit,^has_journal,^resize_inode"]),
    ("ext4", &["-O", "^extent,^64bit", "-b", "2048"]),
    ("ext3", &[]),
    ("ext3", &["-I", "128", "-b", "1024"]),
    ("ext2", &[]),
    ("ext2", &["-b", "2048", "-I", "128", "-O", "none"]),
];

/// For each disk: mounts it, compares all files with their sums, changes it, says so.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
echo 1 >/proc/sys/kernel/printk
while read -r module; do insmod /modules/$module; done </modules/order
for device in /dev/vd?; do
  result=failed
  if mount -t ext4 $device /mnt || mount -t ext3 $device /mnt || mount -t ext2 $device /mnt; then
    if (cd /mnt && md5sum -c -s sums && mkdir new && cp usr/share/big new/copy && cmp usr/share/big new/copy &&
        rm usr/share/big && mv usr/share/many new/ && touch new/many/another && rm -r new/many/file* && ln -s x new/link); then
      result=ok
    fi
    umount /mnt || result=failed
  fi
  echo "RESULT $device $result"
done
echo DISKWRIGHT-DONE
poweroff -f
"#;

/// A tree with the sums of its files in it, and an image of it for each set.
fn images(work: &Path) -> Vec<PathBuf> {
    let tree = work.join("tree");
    small_tree(&tree);
    let sums = "find . -type f -print0 | sort -z | xargs -0 md5sum > ../sums && mv ../sums .";
    run(Command::new("sh").arg("-c").arg(sums).current_dir(&tree)).ends(0);
    let one = |(at, (row, options)): (usize, &(&str, &[&str]))| {
        let image = work.join(format!("image-{at}"));
        let paths = [tree.to_str().unwrap(), image.to_str().unwrap()];
        diskwright([&["mkfs", row], &paths[..], &["--size", "min+24M"], options].concat()).ends(0);
        image
    };
    SETS.iter().enumerate().map(one).collect()
}

#[test]
fn a_distributions_kernel_mounts_every_set_and_writes() {
    const TEST: &str = "a_distributions_kernel_mounts_every_set_and_writes";
    let Some(guest) = guest::with_init(TEST, INIT) else { return };
    let work = tempfile::tempdir().unwrap();
    let images = images(work.path());
    let disks: Vec<Disk> = images.iter().map(|path| Disk { path, sector: 512 }).collect();
    let said = guest.boot(&disks, true);
    let failed: Vec<_> = SETS
        .iter()
        .zip('a'..)
        .filter(|(_, letter)| !said.contains(&format!("RESULT /dev/vd{letter} ok")))
        .map(|(set, _)| set)
        .collect();
    assert!(failed.is_empty(), "{failed:?}:\n{said}");
    let Some(e2fsck) = oracle(TEST, "e2fsck") else { return };
    for ((row, options), disk) in SETS.iter().zip(&images) {
        let checked = run(Command::new(&e2fsck).arg("-fn").arg(disk));
        let words = checked.stdout.lines().filter(|line| !line.is_empty()).count();
        assert!(checked.code == Some(0) && words == 6, "{row} {options:?}: {}", checked.stdout);
    }
}
