//! A distribution's kernel mounts what `mkfs` makes of each set of features, reads all of it, and writes: all in one boot.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
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

/// Modules between the kernel and a virtio disk, in the order in which they are loaded.
const MODULES: &[&str] =
    &["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"];

/// For each disk: mounts it, compares all files with their sums, changes it, says so. A kernel may have some modules inside.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
echo 1 >/proc/sys/kernel/printk
for module in MODULES; do [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko; done
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

/// Kernel and initramfs out of the Debian root.
fn guest(work: &Path, root: &Path, busybox: &Path) -> (PathBuf, PathBuf) {
    let out = work.join("root");
    std::fs::create_dir(&out).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(root).arg("-C").arg(&out).arg("--wildcards");
    tar.args(["./boot/vmlinuz-*", "./usr/lib/modules/*/kernel/drivers/virtio/*.ko", "*/virtio_blk.ko"]);
    run(&mut tar).ends(0);
    let boot = out.join("boot");
    let kernel = boot.join(listing(&boot).into_iter().find(|name| name.starts_with("vmlinuz-")).unwrap());
    let version = listing(&out.join("usr/lib/modules")).remove(0);
    let drivers = out.join("usr/lib/modules").join(version).join("kernel/drivers");
    let ram = work.join("ram");
    for directory in ["bin", "proc", "dev", "mnt", "modules"] {
        std::fs::create_dir_all(ram.join(directory)).unwrap();
    }
    std::fs::copy(busybox, ram.join("bin/busybox")).unwrap();
    for module in MODULES {
        let name = format!("{module}.ko");
        let from = ["virtio", "block"].map(|room| drivers.join(room).join(&name));
        if let Some(from) = from.iter().find(|path| path.is_file()) {
            std::fs::copy(from, ram.join("modules").join(name)).unwrap();
        }
    }
    write(ram.join("init"), INIT.replace("MODULES", &MODULES.join(" ")));
    run(Command::new("chmod").arg("755").arg(ram.join("init"))).ends(0);
    let pack = format!("cd {} && find . | cpio -o -H newc --quiet > ../initramfs", ram.display());
    run(Command::new("sh").arg("-c").arg(pack)).ends(0);
    (kernel, work.join("initramfs"))
}

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

/// Boots until the kernel powers off and gives what it said.
fn boot(work: &Path, kernel: &Path, initramfs: &Path, disks: &[PathBuf]) -> String {
    let serial = work.join("serial");
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "512"]);
    qemu.args(["-display", "none", "-vga", "none", "-monitor", "none", "-nic", "none", "-no-reboot"]);
    qemu.arg("-serial").arg(format!("file:{}", serial.display()));
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
    qemu.args(["-append", "console=ttyS0 no_timer_check panic=-1 quiet"]);
    for disk in disks {
        qemu.arg("-drive").arg(format!("if=virtio,format=raw,file={}", disk.display()));
    }
    let mut child = qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(300);
    while Instant::now() < end && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(200));
    }
    let _ = child.kill();
    child.wait().unwrap();
    String::from_utf8_lossy(&std::fs::read(serial).unwrap()).into_owned()
}

#[test]
fn a_distributions_kernel_mounts_every_set_and_writes() {
    const TEST: &str = "a_distributions_kernel_mounts_every_set_and_writes";
    let (Some(_), Some(busybox), Some(_), Some(root)) = (
        oracle(TEST, "qemu-system-x86_64"),
        oracle(TEST, "busybox"),
        oracle(TEST, "cpio"),
        debian_root(TEST),
    ) else {
        return;
    };
    let work = tempfile::tempdir().unwrap();
    let (kernel, initramfs) = guest(work.path(), &root, &busybox);
    let disks = images(work.path());
    let said = boot(work.path(), &kernel, &initramfs, &disks);
    assert!(said.contains("DISKWRIGHT-DONE"), "{said}");
    let failed: Vec<_> = SETS
        .iter()
        .zip('a'..)
        .filter(|(_, letter)| !said.contains(&format!("RESULT /dev/vd{letter} ok")))
        .map(|(set, _)| set)
        .collect();
    assert!(failed.is_empty(), "{failed:?}:\n{said}");
    let Some(e2fsck) = oracle(TEST, "e2fsck") else { return };
    for ((row, options), disk) in SETS.iter().zip(&disks) {
        let checked = run(Command::new(&e2fsck).arg("-fn").arg(disk));
        let words = checked.stdout.lines().filter(|line| !line.is_empty()).count();
        assert!(checked.code == Some(0) && words == 6, "{row} {options:?}: {}", checked.stdout);
    }
}
