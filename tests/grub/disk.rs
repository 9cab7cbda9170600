//! Small disks with GRUB on them: made by others' tools, but for GRUB. `grub-bios-setup` finds nothing to change; they boot.

use super::support::*;
use super::tree::*;
use diskwright::boot::grub::{Embedded, Platform, Room, Target, core_img, early_config, efi_image, place};
use diskwright::boot::grub::{Find, SECTOR};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const UUID: &str = "6d2c5a1e-3f0b-4d8e-9a47-0c1b2d3e4f50";
const SECTORS: u64 = 48 << 11;
const MARKER: &str = "DISKWRIGHT-GRUB-OK";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Mbr,
    Gpt,
}

/// Sectors of the file system with the configuration.
const ROOT: u64 = 81920;

/// A script of sfdisk's; sector of the file system; the room for the core image.
fn table(table: Table) -> (String, u64, Room) {
    match table {
        Table::Mbr => (
            format!("label: dos\nlabel-id: 0x12345678\nstart=2048, size={ROOT}, type=83, bootable\n"),
            2048,
            Room::Gap { end: 2048 },
        ),
        Table::Gpt => (
            format!(
                "label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\n\
                 start=4096, size={ROOT}, type=linux\n"
            ),
            4096,
            Room::Partition { start: 2048, sectors: 2048 },
        ),
    }
}

/// An ext4 file system on which GRUB's configuration prints the marker.
fn root_part(at: &Path) -> Option<Vec<u8>> {
    let mke2fs = oracle("grub-disk", "mke2fs")?;
    let (root, part) = (at.join("root"), at.join("part"));
    write(
        root.join("boot/grub/grub.cfg"),
        format!("serial --unit=0\nterminal_output serial\necho {MARKER} $root $prefix\n"),
    );
    let (root, part, size) = (root.to_str().unwrap(), part.to_str().unwrap(), format!("{}k", ROOT / 2));
    tool(mke2fs, ["-q", "-t", "ext4", "-U", UUID, "-d", root, part, &size]);
    Some(std::fs::read(part).unwrap())
}

/// A disk with this table, and bytes at these sectors.
fn disk(at: &Path, script: &str, parts: &[(u64, &[u8])]) -> Option<PathBuf> {
    let sfdisk = oracle("grub-disk", "sfdisk")?;
    let image = at.join("disk.raw");
    std::fs::File::create(&image).unwrap().set_len(SECTORS * SECTOR as u64).unwrap();
    let mut command = Command::new(sfdisk).arg("-q").arg(&image).stdin(Stdio::piped()).spawn().unwrap();
    command.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(command.wait().unwrap().success());
    for (start, bytes) in parts {
        put_at(&image, start * SECTOR as u64, bytes);
    }
    Some(image)
}

/// A disk that has everything but GRUB before its file system.
fn bare(at: &Path, of: Table) -> Option<(PathBuf, Room)> {
    let (script, start, room) = table(of);
    Some((disk(at, &script, &[(start, &root_part(at)?)])?, room))
}

fn put_at(image: &Path, at: u64, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(image).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

fn told() -> Embedded {
    let config = early_config(&Find::Uuid(UUID.to_owned()), "/boot/grub").unwrap();
    Embedded { prefix: "/boot/grub".to_owned(), config }
}

/// Puts GRUB onto the disk; gives what would be the file core.img.
fn install(platform: &Platform, image: &Path, room: Room) -> Vec<u8> {
    let core = core_img(platform, &told()).unwrap();
    for piece in place(platform, &core, room, 512).unwrap() {
        put_at(image, piece.start, &piece.bytes);
    }
    core.bytes().to_vec()
}

fn bios(release: &Path) -> Platform {
    platform(release, Target::I386Pc, &[&MODULES[..], &["biosdisk"]].concat())
}

/// Waits for the marker on the serial console of a machine with BIOS.
#[track_caller]
fn boots(image: &Path) {
    let log = image.with_extension("log");
    let drive = format!("if=virtio,format=raw,file={}", image.display());
    let serial = format!("file:{}", log.display());
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-M", "pc", "-accel", "tcg", "-m", "256", "-display", "none", "-monitor", "none"]);
    command.args(["-nic", "none", "-no-reboot", "-snapshot", "-drive", &drive, "-serial", &serial]);
    let mut machine = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(90);
    let mut said = Vec::new();
    while Instant::now() < end && !contains(&said, MARKER) {
        std::thread::sleep(Duration::from_millis(100));
        said = std::fs::read(&log).unwrap_or_default();
    }
    machine.kill().unwrap();
    machine.wait().unwrap();
    let text = String::from_utf8_lossy(&said);
    assert!(contains(&said, MARKER), "{}", text.trim());
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn bios_boots_from_a_gap_and_from_a_partition() {
    if oracle("grub-boot-bios", "qemu-system-x86_64").is_none() {
        return;
    }
    for release in releases("grub-boot-bios") {
        let platform = bios(&release);
        for table in [Table::Mbr, Table::Gpt] {
            let work = tempfile::tempdir_in("/var/tmp").unwrap();
            let Some((image, room)) = bare(work.path(), table) else { return };
            install(&platform, &image, room);
            boots(&image);
        }
    }
}

#[test]
fn uefi_boots_the_image_made() {
    let (Some(_), Some(mkfs), Some(mcopy)) = (
        oracle("grub-boot-uefi", "qemu-system-x86_64"),
        oracle("grub-boot-uefi", "mkfs.fat"),
        oracle("grub-boot-uefi", "mcopy"),
    ) else {
        return;
    };
    for release in releases("grub-boot-uefi") {
        let work = tempfile::tempdir_in("/var/tmp").unwrap();
        let platform = platform(&release, Target::X86_64Efi, &MODULES);
        write(work.path().join("EFI/BOOT/BOOTX64.EFI"), efi_image(&platform, &told()).unwrap());
        let esp = work.path().join("esp");
        std::fs::File::create(&esp).unwrap().set_len(4 << 20).unwrap();
        tool(&mkfs, ["-F", "12", esp.to_str().unwrap()]);
        let efi = work.path().join("EFI");
        tool(&mcopy, ["-s", "-i", esp.to_str().unwrap(), efi.to_str().unwrap(), "::"]);
        let esp = std::fs::read(&esp).unwrap();
        let script =
            format!("label: gpt\nstart=2048, size=8192, type=uefi\nstart=10240, size={ROOT}, type=linux\n");
        let Some(root) = root_part(work.path()) else { return };
        let Some(image) = disk(work.path(), &script, &[(2048, &esp), (10240, &root)]) else { return };
        let mut command = Command::new(source("tests/fixtures/boot-uefi"));
        run(command.arg(&image).args(["raw", "90", MARKER])).ends(0);
    }
}

#[test]
fn grub_bios_setup_changes_no_byte() {
    if !root() {
        return inapplicable("grub-bios-setup", "it opens devices: only root may");
    }
    for release in releases("grub-bios-setup") {
        let platform = bios(&release);
        for table in [Table::Mbr, Table::Gpt] {
            let work = tempfile::tempdir_in("/var/tmp").unwrap();
            let Some((image, room)) = bare(work.path(), table) else { return };
            let core = install(&platform, &image, room);
            let before = std::fs::read(&image).unwrap();
            if !setup(&release, work.path(), &image, &core) {
                return;
            }
            let after = std::fs::read(&image).unwrap();
            let differs = before.iter().zip(&after).position(|(a, b)| a != b);
            assert_eq!(differs, None, "{} {table:?}", release.display());
            // It does write: without the core image's first sector it puts it there.
            let (at, len) = (after.windows(16).position(|window| window == &core[..16]).unwrap(), 512);
            put_at(&image, at as u64, &vec![0; len]);
            setup(&release, work.path(), &image, &core);
            assert!(std::fs::read(&image).unwrap() == before, "{} {table:?}", release.display());
        }
    }
}

/// A file system of the kernel's, mounted as long as this lives.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        run(Command::new("umount").arg(&self.0));
    }
}

/// Runs the release's own grub-bios-setup on an image. It wants its files on a device that it can open.
fn setup(release: &Path, work: &Path, image: &Path, core: &[u8]) -> bool {
    let files = work.join("files");
    write(files.join("core.img"), core);
    let boot = directory(release, Target::I386Pc).unwrap().join("boot.img");
    write(files.join("boot.img"), std::fs::read(boot).unwrap());
    let (device, point) = (work.join("device"), work.join("mounted"));
    let of = |path: &Path| path.to_str().unwrap().to_owned();
    tool("mke2fs", ["-q", "-F", "-t", "ext4", "-d", &of(&files), &of(&device), "4096k"]);
    std::fs::create_dir_all(&point).unwrap();
    if run(Command::new("mount").args(["-o", "loop,ro", &of(&device), &of(&point)])).code != Some(0) {
        inapplicable("grub-bios-setup", "no loop mounts here");
        return false;
    }
    let point = Mounted(point);
    write(work.join("map"), format!("(hd0) {}\n", image.display()));
    let mut command = Command::new(release.join("bios-setup"));
    command.args(["--no-rs-codes", "--skip-fs-probe", "-d", &of(&point.0), "-m", &of(&work.join("map"))]);
    let said = run(command.arg("(hd0)")).ends(0);
    assert!(!said.stderr.contains("warning") && !said.stderr.contains("error"), "{}", said.stderr);
    true
}
