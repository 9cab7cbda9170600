//! Small disks with GRUB on them: made by others' tools, but for GRUB. `grub-bios-setup` finds nothing to change; they boot.

use super::support::*;
use super::tree::*;
use super::{config, signed, tree};
use diskwright::boot::find_kernels;
use diskwright::boot::grub::{
    Embedded, Find, Platform, Room, SECTOR, Settings, Start, Target, Unlock, boot_kernels, core_img,
    efi_image, grub_cfg, image_modules, place,
};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const UUID: &str = "6d2c5a1e-3f0b-4d8e-9a47-0c1b2d3e4f50";
const SECTORS: u64 = 64 << 11;
/// Signed images have no such module, and no need of it: firmware's console is the serial line already.
const SERIAL: &str = "if [ $grub_platform = pc ]; then\nserial --unit=0\nterminal_output serial\nfi\n";
const MARKER: &str = "DISKWRIGHT-GRUB-OK";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Mbr,
    Gpt,
}

/// Sectors of the file system with the configuration, and of the EFI system partition: KIWI's 20 MiB.
const ROOT: u64 = 81920;
const ESP: u64 = 20 << 11;

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
    if !root.join("boot/grub/grub.cfg").is_file() {
        write(root.join("boot/grub/grub.cfg"), format!("{SERIAL}echo {MARKER} $root $prefix\n"));
    }
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

/// A disk with an EFI system partition with these files, and the file system with the configuration.
fn efi_disk(at: &Path, files: &[(String, Vec<u8>)]) -> Option<PathBuf> {
    let (mkfs, mcopy) = (oracle("grub-disk", "mkfs.fat")?, oracle("grub-disk", "mcopy")?);
    let (esp, tree) = (at.join("esp"), at.join("esp-files"));
    files.iter().for_each(|(path, bytes)| write(tree.join(path), bytes));
    std::fs::File::create(&esp).unwrap().set_len(ESP * SECTOR as u64).unwrap();
    tool(mkfs, ["-F", "16", esp.to_str().unwrap()]);
    let (from, into) = (tree.join("EFI"), esp.to_str().unwrap());
    tool(mcopy, ["-s", "-i", into, from.to_str().unwrap(), "::"]);
    let (esp, root, start) = (std::fs::read(&esp).unwrap(), root_part(at)?, 2048 + ESP);
    let script =
        format!("label: gpt\nstart=2048, size={ESP}, type=uefi\nstart={start}, size={ROOT}, type=linux\n");
    disk(at, &script, &[(2048, &esp), (start, &root)])
}

fn put_at(image: &Path, at: u64, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(image).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

fn start() -> Start {
    let find = Find::Uuid(UUID.to_owned());
    Start { unlock: None, find, directory: "/boot/grub".to_owned(), btrfs_relative: false }
}

fn told() -> Embedded {
    Embedded { prefix: "/boot/grub".to_owned(), config: start().embedded().unwrap() }
}

/// Puts GRUB onto the disk; gives what would be the file core.img.
fn install(platform: &Platform, image: &Path, room: Room) -> Vec<u8> {
    let core = core_img(platform, &told()).unwrap();
    for piece in place(platform, &core, room, 512).unwrap() {
        put_at(image, piece.start, &piece.bytes);
    }
    core.bytes().to_vec()
}

/// A platform with the modules that every image gets.
fn whole(release: &Path, target: Target) -> Platform {
    platform(release, target, &image_modules(&tree::tree(release, target), target, &[]))
}

/// Whether there are QEMU and a firmware, as `doctor` says it.
fn has_firmware(test: &str, row: &str) -> bool {
    if oracle(test, "qemu-system-x86_64").is_none() {
        return false;
    }
    let report: serde_json::Value =
        serde_json::from_str(&diskwright(["doctor", "--json"]).ends(0).stdout).unwrap();
    let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == row);
    let is_there = found.unwrap_or_else(|| panic!("{row}: {report}"))["found"] != "no";
    if !is_there {
        skip(test, "OVMF missing (package ovmf)");
    }
    is_there
}

/// Starts a machine on a disk and waits for a text on its serial console. It has no display adapter.
fn booted(image: &Path, more: &[&str], text: &str) -> Run {
    let mut command = command(["boot", "--accel", "tcg", "--timeout", "150", "--expect", text]);
    run(command.args(more).arg(image))
}

#[test]
fn bios_boots_from_a_gap_and_from_a_partition() {
    if oracle("grub-boot-bios", "qemu-system-x86_64").is_none() {
        return;
    }
    for release in releases("grub-boot-bios") {
        let platform = whole(&release, Target::I386Pc);
        for table in [Table::Mbr, Table::Gpt] {
            let work = tempfile::tempdir_in("/var/tmp").unwrap();
            let Some((image, room)) = bare(work.path(), table) else { return };
            install(&platform, &image, room);
            booted(&image, &[], MARKER).ends(0);
        }
    }
}

#[test]
fn uefi_boots_the_image_made() {
    if !has_firmware("grub-boot-uefi", "UEFI firmware") {
        return;
    }
    for release in some_releases("grub-boot-uefi") {
        let work = tempfile::tempdir_in("/var/tmp").unwrap();
        let platform = whole(&release, Target::X86_64Efi);
        let image = efi_image(&platform, &told()).unwrap();
        let files = [("EFI/BOOT/BOOTX64.EFI".to_owned(), image)];
        let Some(image) = efi_disk(work.path(), &files) else { return };
        booted(&image, &[], MARKER).ends(0);
    }
}

#[test]
fn secure_boot_starts_the_signed_images_and_no_other() {
    if !has_firmware("grub-secure-boot", "UEFI with Secure Boot") {
        return;
    }
    for release in some_releases("grub-secure-boot") {
        let unsigned = efi_image(&whole(&release, Target::X86_64Efi), &told()).unwrap();
        for (files, starts) in [
            (signed::esp(&release, &start()), true),
            (vec![("EFI/BOOT/BOOTX64.EFI".to_owned(), unsigned)], false),
        ] {
            let work = tempfile::tempdir_in("/var/tmp").unwrap();
            let Some(image) = efi_disk(work.path(), &files) else { return };
            let said = booted(&image, &["--secure-boot"], MARKER);
            assert_eq!(said.code, Some(if starts { 0 } else { 1 }), "{said:?}");
            assert_eq!(said.stderr.contains("Secure Boot refused a program"), !starts, "{said:?}");
        }
    }
}

/// LUKS 1 by cryptsetup, filled by QEMU, opened with the passphrase that GRUB 2.12 takes from its configuration.
#[test]
fn a_luks_container_is_opened_before_anything_is_looked_for() {
    let found = ["qemu-system-x86_64", "qemu-img", "cryptsetup"].map(|name| oracle("grub-luks", name));
    let [Some(_), Some(qemu_img), Some(cryptsetup)] = found else { return };
    let knows = |release: &PathBuf| {
        run(Command::new(release.join("mkimage")).arg("--version"))
            .stdout
            .split("(GRUB) ")
            .nth(1)
            .is_some_and(|version| {
                diskwright::boot::compare_versions(version, "2.12") != std::cmp::Ordering::Less
            })
    };
    let Some(release) = releases("grub-luks").into_iter().find(knows) else {
        return inapplicable("grub-luks", "no release with GRUB 2.12");
    };
    let work = tempfile::tempdir_in("/var/tmp").unwrap();
    let Some(root) = root_part(work.path()) else { return };
    let (plain, luks) = (work.path().join("plain"), work.path().join("luks"));
    std::fs::write(&plain, &root).unwrap();
    // Its header takes 2 MiB.
    std::fs::File::create(&luks).unwrap().set_len(root.len() as u64 + (2 << 20)).unwrap();
    let (passphrase, uuid) = ("it's a $ecret", "11111111-2222-3333-4444-555555555555");
    let key = work.path().join("key");
    write(&key, passphrase);
    let (plain, luks, key) = (plain.to_str().unwrap(), luks.to_str().unwrap(), key.to_str().unwrap());
    let mut format = Command::new(cryptsetup);
    format.args(["luksFormat", "--batch-mode", "--type", "luks1", "--pbkdf-force-iterations", "1000"]);
    format.args(["--cipher", "aes-xts-plain64", "--hash", "sha256", "--uuid", uuid, luks, key]);
    run(&mut format).ends(0);
    let (secret, into) =
        (format!("secret,id=key,file={key}"), format!("driver=luks,key-secret=key,file.filename={luks}"));
    tool(qemu_img, ["convert", "--object", &secret, "-n", "-f", "raw", "--target-image-opts", plain, &into]);
    let container = std::fs::read(luks).unwrap();
    let sectors = container.len().div_ceil(SECTOR);
    let script = format!(
        "label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\n\
         start=4096, size={sectors}, type=linux\n"
    );
    let Some(image) = disk(work.path(), &script, &[(4096, &container)]) else { return };
    let unlock = Some(Unlock { uuid: uuid.to_owned(), passphrase: Some(passphrase.to_owned()) });
    let config = Start { unlock, ..start() }.embedded().unwrap();
    let platform = whole(&release, Target::I386Pc);
    let core = core_img(&platform, &Embedded { prefix: "/boot/grub".to_owned(), config }).unwrap();
    for piece in place(&platform, &core, Room::Partition { start: 2048, sectors: 2048 }, 512).unwrap() {
        put_at(&image, piece.start, &piece.bytes);
    }
    booted(&image, &[], MARKER).ends(0);
}

/// The kernel says which command line it was given: the one that was asked for, with GRUB's BOOT_IMAGE in front.
#[test]
fn a_kernel_is_started_with_the_command_line_asked_for() {
    let (Some(_), Some(debian)) = (oracle("grub-kernel", "qemu-system-x86_64"), debian_root("grub-kernel"))
    else {
        return;
    };
    let work = tempfile::tempdir_in("/var/tmp").unwrap();
    let boot = work.path().join("root/boot");
    std::fs::create_dir_all(&boot).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xf")
        .arg(debian)
        .arg("-C")
        .arg(work.path().join("root"))
        .args(["--wildcards", "./boot/vmlinuz-*"]);
    run(&mut tar).ends(0);
    let kernel = listing(&boot).into_iter().find(|name| name.starts_with("vmlinuz-")).unwrap();
    let mut tree = empty();
    put(&mut tree, &format!("boot/{kernel}"), "");
    let boot_fs = config::boot_fs();
    let kernels = boot_kernels(&find_kernels(&tree).unwrap(), &boot_fs).unwrap();
    let command_line = "console=ttyS0 no_timer_check root=UUID=x rw dyndbg=\"file a +p; b\" a=$b {c} d|e";
    let settings = Settings {
        timeout: 0,
        theme: None,
        serial_line: None,
        command_line: command_line.to_owned(),
        ..config::settings()
    };
    write(boot.join("grub/grub.cfg"), grub_cfg(&settings, &boot_fs, &kernels).unwrap());
    let given = format!(
        "Kernel command line: BOOT_IMAGE=/boot/{kernel} {}",
        command_line.replace("dyndbg=\"file", "\"dyndbg=file")
    );
    for release in some_releases("grub-kernel") {
        // Without a font, and with one: the terminal asked for is graphical, and there is nothing to draw on.
        for has_font in [false, true] {
            if has_font {
                std::fs::create_dir_all(boot.join("grub/fonts")).unwrap();
                let font = release.join("usr/share/grub/unicode.pf2");
                std::fs::copy(font, boot.join("grub/fonts/unicode.pf2")).unwrap();
            }
            let Some((image, room)) = bare(work.path(), Table::Gpt) else { return };
            install(&whole(&release, Target::I386Pc), &image, room);
            booted(&image, &[], &given).ends(0);
        }
        std::fs::remove_dir_all(boot.join("grub/fonts")).unwrap();
    }
}

#[test]
fn grub_bios_setup_changes_no_byte() {
    if !root() {
        return inapplicable("grub-bios-setup", "it opens devices: only root may");
    }
    for release in releases("grub-bios-setup") {
        let platform = whole(&release, Target::I386Pc);
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
