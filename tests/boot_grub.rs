//! Disks with GRUB, made by nobody from a real Debian root, boot: BIOS, UEFI, Secure Boot, from a clone.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::*;

/// GRUB on the serial line.
const LOADER: &str = r#"<bootloader name="grub2" timeout="1" output_console="serial" serial_line="serial --unit=0 --speed=115200"/>"#;
const FIXED: &str = "<oemconfig><oem-resize>false</oem-resize></oemconfig>";
const CONSOLE: &str = "console=ttyS0 rw no_timer_check";
const MARKER: &str = "init=/usr/sbin/marker-init";
const CAME_UP: &str = "DISKWRIGHT-BOOT-OK rw=yes fsck=clean";

const BIOS: &[&str] = &["--firmware", "bios"];
const UEFI: &[&str] = &["--firmware", "uefi"];
const SECURE: &[&str] = &["--secure-boot"];

/// Says which file system is mounted at `/`, then does what `marker-init` does.
const ROOT_INIT: &str = r#"#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
echo 1 >/proc/sys/kernel/printk
uuid=$(blkid -p -s UUID -o value "$(findmnt -n -o SOURCE /)")
echo "DISKWRIGHT-ROOT $uuid" >/dev/ttyS0
exec /usr/sbin/marker-init
"#;

/// Installs a newer kernel, a copy, and has the package of the old one configured again, which makes its initrd and, by the
/// distribution's own `update-grub`, the menu; at the next start, says what GRUB has loaded.
const UPDATE_INIT: &str = r#"#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
echo 1 >/proc/sys/kernel/printk
if [ -e /updated ]; then
  echo "DISKWRIGHT-LOADED $(tr ' ' '\n' </proc/cmdline | grep ^BOOT_IMAGE=)" >/dev/ttyS0
  exec /usr/sbin/marker-init
fi
exec </dev/null >/dev/ttyS0 2>&1
mount -o remount,rw /
kernel=$(uname -r)
cp /boot/vmlinuz-$kernel /boot/vmlinuz-$kernel.1
cp /boot/initrd.img-$kernel /boot/initrd.img-$kernel.1
DEBIAN_FRONTEND=noninteractive dpkg-reconfigure linux-image-$kernel && grep -q 'BEGIN /etc/grub.d/10_linux' /boot/grub/grub.cfg && touch /updated
sync
# What dpkg started may still hold a file open, and the last line needs its time on the wire.
mount -o remount,ro / || { sleep 2; mount -o remount,ro /; }
if [ -e /updated ]; then echo "DISKWRIGHT-UPDATED $kernel"; fi
sleep 1
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
"#;

/// Adds a newer kernel, a copy, with the distribution's own kernel-install, and takes the old one away; at the next start,
/// says what systemd-boot has loaded.
const INSTALL_INIT: &str = r#"#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
echo 1 >/proc/sys/kernel/printk
if [ -e /updated ]; then
  echo "DISKWRIGHT-LOADED $(tr ' ' '\n' </proc/cmdline | grep ^initrd= | tr '\134' /)" >/dev/ttyS0
  exec /usr/sbin/marker-init
fi
exec </dev/null >/dev/ttyS0 2>&1
mount -o remount,rw /
mount /boot/efi
kernel=$(uname -r)
kernel-install add "$kernel.1" "/boot/vmlinuz-$kernel" "/boot/initrd.img-$kernel" && kernel-install remove "$kernel" && touch /updated
find /boot/efi -type f | sed 's/^/DISKWRIGHT-ESP /'
umount /boot/efi
sync
mount -o remount,ro / || { sleep 2; mount -o remount,ro /; }
if [ -e /updated ]; then echo "DISKWRIGHT-UPDATED $kernel"; fi
sleep 1
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
"#;

/// Says which units failed once everything was started, a while after the login.
const VERDICT_UNIT: &str = r#"[Unit]
Description=Verdict on the start

[Service]
ExecStart=/bin/sh -c 'systemctl is-system-running --wait >/dev/null; sleep 15; echo "DISKWRIGHT-UNITS $(systemctl is-system-running) failed=[$(systemctl --failed --plain --no-legend)] root=$(findmnt -n -o OPTIONS / | cut -d, -f1)" >/dev/ttyS0'

[Install]
WantedBy=multi-user.target
"#;

/// A Debian root with the programs that a test starts in it.
struct Root {
    at: tempfile::TempDir,
}

/// How a disk is made.
#[derive(Clone, Copy, Debug)]
struct Make<'a> {
    /// Attributes of the type element beside the command line.
    attributes: &'a str,
    /// What is between its tags.
    inner: &'a str,
    /// The kernel's command line behind the console.
    command_line: &'a str,
    formats: &'a [&'a str],
}

fn prepared(test: &str) -> Option<Root> {
    oracle(test, "qemu-system-x86_64")?;
    let tar = debian_root(test)?;
    let listed = tool("tar", ["-tf".as_ref(), tar.as_os_str()]);
    if !listed.lines().any(|path| path == "./usr/lib/grub/i386-pc/boot.img") {
        skip(test, "no GRUB in the Debian root (tests/run --install makes one that has it)");
        return None;
    }
    let at = tempfile::Builder::new().prefix("boot-grub").tempdir_in("/var/tmp").unwrap();
    let root = at.path().join("root.tar");
    std::fs::copy(tar, &root).unwrap();
    let more = at.path().join("more");
    write(more.join("usr/sbin/marker-init"), std::fs::read(source("tests/fixtures/marker-init")).unwrap());
    write(more.join("usr/sbin/root-init"), ROOT_INIT);
    write(more.join("usr/sbin/update-init"), UPDATE_INIT);
    write(more.join("usr/sbin/install-init"), INSTALL_INIT);
    let units = "etc/systemd/system";
    write(more.join(units).join("verdict.service"), VERDICT_UNIT);
    std::fs::create_dir_all(more.join(units).join("multi-user.target.wants")).unwrap();
    let wanted = format!("{units}/multi-user.target.wants/verdict.service");
    std::os::unix::fs::symlink("../verdict.service", more.join(&wanted)).unwrap();
    let mut append = Command::new("tar");
    append.args(["--append", "--owner=0", "--group=0", "--mode=0755", "--mtime=@0", "-C"]).arg(&more);
    let programs = ["marker-init", "root-init", "update-init", "install-init"];
    append.arg("-f").arg(&root).args(programs.map(|name| format!("usr/sbin/{name}")));
    run(append.arg(format!("{units}/verdict.service")).arg(&wanted)).ends(0);
    std::fs::set_permissions(at.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    program_at(&at.path().join("diskwright"));
    Some(Root { at })
}

impl Root {
    /// Makes disks as a user without any privilege; gives the directory that they are in.
    #[track_caller]
    fn create(&self, name: &str, make: Make) -> PathBuf {
        let Make { attributes, inner, command_line, formats } = make;
        let at = self.at.path();
        let line =
            format!(r#"image="oem" filesystem="ext4" kernelcmdline="{CONSOLE} {command_line}" {attributes}"#);
        description(&at.join(format!("{name}.description")), &line, inner);
        let program = at.join("diskwright");
        let mut command = match root() {
            false => Command::new(&program),
            true => {
                let mut command = Command::new("setpriv");
                let nobody = [
                    "--reuid=65534",
                    "--regid=65534",
                    "--clear-groups",
                    "--no-new-privs",
                    "--bounding-set=-all",
                ];
                command.args(nobody).arg(&program);
                command
            }
        };
        command.args(["create", &format!("{name}.description"), "--root", "root.tar", "-o", name]);
        command.args(["--seed", "tests", "--no-sync"]);
        formats.iter().for_each(|format| _ = command.args(["--format", format]));
        run(command.env_remove("SOURCE_DATE_EPOCH").current_dir(at)).ends(0);
        at.join(name)
    }
}

/// The file of a format among results.
#[track_caller]
fn of(out: &Path, format: &str) -> PathBuf {
    let found = listing(out).into_iter().find(|name| name.ends_with(&format!(".{format}")));
    out.join(found.unwrap_or_else(|| panic!("no {format} in {out:?}")))
}

/// It boots, and all these texts come in their order.
#[track_caller]
fn boots(image: &Path, options: &[&str], seconds: &str, expected: &[&str]) {
    let mut command = command(["boot".as_ref(), image.as_os_str()]);
    command.args(options).args(["--timeout", seconds]);
    expected.iter().for_each(|text| _ = command.args(["--expect", text]));
    run(&mut command).ends(0);
}

/// A disk of GRUB's with the marker's init.
fn grub<'a>(attributes: &'a str, inner: &'a str, formats: &'a [&'a str]) -> Make<'a> {
    Make { attributes, inner, command_line: MARKER, formats }
}

fn loader() -> String {
    format!("{LOADER}{FIXED}")
}

#[test]
fn bios_with_an_mbr() {
    let Some(root) = prepared("bios_with_an_mbr") else { return };
    let formats: &[&str] = if all() { &["qcow2", "raw"] } else { &["qcow2"] };
    let out = root.create("bios", grub(r#"firmware="bios""#, &loader(), formats));
    formats.iter().for_each(|format| boots(&of(&out, format), BIOS, "200", &["GRUB", CAME_UP]));
}

/// One disk, started by each firmware: the distribution's shim and GRUB where Secure Boot is enforced, and the core image
/// in the BIOS boot partition.
#[test]
fn a_gpt_with_secure_boot_and_with_bios() {
    let Some(root) = prepared("a_gpt_with_secure_boot_and_with_bios") else { return };
    let out = root.create("uefi", grub(r#"firmware="uefi""#, &loader(), &["raw", "qcow2"]));
    boots(&of(&out, "raw"), SECURE, "300", &[CAME_UP]);
    boots(&of(&out, "qcow2"), BIOS, "200", &["GRUB", CAME_UP]);
    if all() {
        boots(&of(&out, "qcow2"), SECURE, "300", &[CAME_UP]);
        boots(&of(&out, "raw"), BIOS, "200", &[CAME_UP]);
    }
}

#[test]
fn an_own_efi_image_and_a_boot_partition() {
    if !all() {
        return inapplicable("an_own_efi_image_and_a_boot_partition", "slow: runs with --all");
    }
    let Some(root) = prepared("an_own_efi_image_and_a_boot_partition") else { return };
    let formats = &["raw", "qcow2"];
    for (name, attributes) in
        [("one", r#"firmware="efi""#), ("parted", r#"firmware="efi" eficsm="false" bootpartition="true""#)]
    {
        let out = root.create(name, grub(attributes, &loader(), formats));
        formats.iter().for_each(|format| boots(&of(&out, format), UEFI, "300", &[CAME_UP]));
        std::fs::remove_dir_all(out).unwrap();
    }
    // /boot on a partition of its own, for BIOS.
    let out = root.create("legacy", grub(r#"firmware="bios" bootpartition="true""#, &loader(), formats));
    formats.iter().for_each(|format| boots(&of(&out, format), BIOS, "200", &[CAME_UP]));
}

#[test]
fn systemd_comes_up_to_the_login_and_no_unit_fails() {
    let test = "systemd_comes_up_to_the_login_and_no_unit_fails";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let Some(root) = prepared(test) else { return };
    let inner = loader();
    let make =
        Make { attributes: r#"firmware="uefi""#, inner: &inner, command_line: "", formats: &["qcow2"] };
    let out = root.create("systemd", make);
    boots(&of(&out, "qcow2"), UEFI, "600", &["login:", "DISKWRIGHT-UNITS running failed=[] root=rw"]);
}

#[test]
fn a_new_kernel_and_the_distributions_own_menu_boot() {
    let test = "a_new_kernel_and_the_distributions_own_menu_boot";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let Some(root) = prepared(test) else { return };
    let inner = loader();
    let command_line = "init=/usr/sbin/update-init";
    let make = Make { attributes: r#"firmware="bios""#, inner: &inner, command_line, formats: &["qcow2"] };
    let image = of(&root.create("updated", make), "qcow2");
    let mut update = Command::new("timeout");
    update.args(["600", env!("CARGO_BIN_EXE_diskwright"), "run", "--write", "--net", "none"]).args(BIOS);
    let said = run(update.arg(&image).stdin(std::process::Stdio::null())).ends(0).stdout;
    let kernel = said.split_once("DISKWRIGHT-UPDATED ").unwrap_or_else(|| panic!("{said}")).1;
    let kernel = kernel.split_whitespace().next().unwrap();
    let loaded = format!("/vmlinuz-{kernel}.1");
    boots(&image, BIOS, "300", &["DISKWRIGHT-LOADED BOOT_IMAGE=", &loaded, CAME_UP]);
}

/// kernel-install adds a kernel that systemd-boot then starts, and takes away the one that came with the image.
#[test]
fn a_new_kernel_by_kernel_install_boots() {
    let test = "a_new_kernel_by_kernel_install_boots";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let Some(root) = prepared(test) else { return };
    let inner = format!(r#"<bootloader name="systemd_boot" timeout="1"/>{FIXED}"#);
    let attributes = r#"firmware="uefi" efipartsize="300""#;
    let command_line = "init=/usr/sbin/install-init";
    let image = of(
        &root.create("installed", Make { attributes, inner: &inner, command_line, formats: &["qcow2"] }),
        "qcow2",
    );
    let mut update = Command::new("timeout");
    update.args(["600", env!("CARGO_BIN_EXE_diskwright"), "run", "--write", "--net", "none"]).args(UEFI);
    let said = run(update.arg(&image).stdin(std::process::Stdio::null())).ends(0).stdout;
    let kernel = said.split_once("DISKWRIGHT-UPDATED ").unwrap_or_else(|| panic!("{said}")).1;
    let kernel = kernel.split_whitespace().next().unwrap();
    let files: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split_once("DISKWRIGHT-ESP /boot/efi/"))
        .map(|(_, path)| path.trim())
        .collect();
    let of_kernels: Vec<&str> = files.into_iter().filter(|path| path.contains(kernel)).collect();
    let expected = [
        format!("debian/{kernel}.1/initrd.img-{kernel}"),
        format!("debian/{kernel}.1/linux"),
        format!("loader/entries/debian-{kernel}.1.conf"),
    ];
    let mut sorted = of_kernels.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "{said}");
    let loaded = format!("DISKWRIGHT-LOADED initrd=/debian/{kernel}.1/initrd.img-{kernel}");
    boots(&image, UEFI, "300", &[&loaded, CAME_UP]);
}

/// Its UUID on the command line starts the root from the clone; without that, it is the origin.
#[test]
fn a_clone_of_the_root_boots() {
    let Some(root) = prepared("a_clone_of_the_root_boots") else { return };
    let inner = format!(
        "{LOADER}<oemconfig><oem-resize>false</oem-resize><oem-systemsize>1000</oem-systemsize></oemconfig>"
    );
    let attributes = r#"firmware="bios" root_clone="1""#;
    let make = |command_line| Make { attributes, inner: &inner, command_line, formats: &["qcow2"] };
    let init = "init=/usr/sbin/root-init";
    let out = root.create("origin", make(init));
    let ids = |out: &Path| -> (String, String) {
        let told: serde_json::Value =
            serde_json::from_slice(&std::fs::read(of(out, "clones.json")).unwrap()).unwrap();
        let pair = &told["clones"][0];
        assert_eq!((&pair["origin"]["role"], &pair["clone"]["role"]), (&"root".into(), &"rootclone1".into()));
        let levels = pair["ids"].as_array().unwrap();
        let uuid = levels.iter().find(|level| level["level"] == "ext4").unwrap();
        (uuid["origin"].as_str().unwrap().to_owned(), uuid["clone"].as_str().unwrap().to_owned())
    };
    let (origin, clone) = ids(&out);
    assert_ne!(origin, clone);
    boots(&of(&out, "qcow2"), BIOS, "200", &[&format!("DISKWRIGHT-ROOT {origin}"), CAME_UP]);
    let out = root.create("clone", make(&format!("{init} root=UUID={clone}")));
    assert_eq!(ids(&out), (origin, clone.clone()));
    boots(&of(&out, "qcow2"), BIOS, "200", &[&format!("DISKWRIGHT-ROOT {clone}"), CAME_UP]);
}

/// A tree with the loader's files of a release, and a kernel that no loader would start.
fn loaders(test: &str, at: &Path) -> Option<PathBuf> {
    let list = std::env::var_os("DISKWRIGHT_GRUB").unwrap_or_default();
    let Some(release) = std::env::split_paths(&list).find(|path| path.is_dir()) else {
        skip(
            test,
            "no files of GRUB (tests/run --install gets them; DISKWRIGHT_GRUB names their directories)",
        );
        return None;
    };
    let tree = at.join("tree");
    write(tree.join("etc/os-release"), "ID=debian\nVERSION_ID=12\n");
    write(tree.join("etc/default/motd"), "");
    write(tree.join("boot/vmlinuz-6.1.0-9-test"), noise(8, 900_000));
    write(tree.join("boot/initrd.img-6.1.0-9-test"), noise(9, 700_000));
    std::fs::create_dir_all(tree.join("usr/lib/grub")).unwrap();
    for directory in ["grub/i386-pc", "grub/x86_64-efi", "grub/x86_64-efi-signed", "shim"] {
        let [from, to] = [&release, &tree].map(|root| root.join("usr/lib").join(directory));
        tool("cp", ["-r".as_ref(), from.as_os_str(), to.as_os_str()]);
    }
    Some(release)
}

#[test]
fn what_cannot_start_is_refused_before_anything_is_written() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let Some(_) = loaders("what_cannot_start_is_refused_before_anything_is_written", at) else { return };
    let long = format!(r#"firmware="bios" kernelcmdline="{}""#, "x".repeat(2000));
    let apart = r#"firmware="efi" bootpartition="true""#;
    let packages = "Debian: grub-pc-bin; Fedora: grub2-pc-modules; SUSE: grub2-i386-pc";
    // What is taken out of the tree, attributes, what is said.
    let cases: [(&str, &str, &[&str]); 9] = [
        ("boot/vmlinuz-6.1.0-9-test", r#"firmware="bios""#, &["/boot/vmlinuz-VERSION", "linux-image-amd64"]),
        ("boot/vmlinuz-6.1.0-9-test", r#"firmware="uefi""#, &["/boot/vmlinuz-VERSION", "linux-image-amd64"]),
        ("usr/lib/grub/i386-pc", r#"firmware="bios""#, &["looked for", "/usr/lib/grub/i386-pc", packages]),
        (
            "usr/lib/grub/i386-pc/kernel.img",
            r#"firmware="bios""#,
            &["/usr/lib/grub/i386-pc/kernel.img", "grub-pc-bin"],
        ),
        ("usr/lib/grub/x86_64-efi", apart, &["/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin"]),
        (
            "usr/lib/grub/x86_64-efi-signed",
            r#"firmware="uefi""#,
            &["a signed GRUB", "Debian: grub-efi-amd64-signed, shim-signed;", r#"firmware="efi""#],
        ),
        ("", r#"firmware="uefi" efipartsize="5""#, &["p.UEFI", "it has 5 MiB", r#"efipartsize=""#]),
        (
            "",
            r#"firmware="bios" target_blocksize="4096""#,
            &["4096", r#"target_blocksize="512""#, r#"firmware="efi""#],
        ),
        ("", &long, &["kernelcmdline", "2047"]),
    ];
    for (without, attributes, words) in cases {
        description(&at.join("d"), &format!(r#"image="oem" filesystem="ext4" {attributes}"#), &loader());
        let [there, away] = [at.join("tree").join(without), at.join("away")];
        if !without.is_empty() {
            std::fs::rename(&there, &away).unwrap();
        }
        let arguments = ["create", "d", "--root", "tree", "-o", "out", "--owner", "0:0"];
        let said = run(command(arguments).current_dir(at)).ends(1);
        for word in words {
            assert!(said.stderr.contains(word), "{without} {attributes}: no {word:?} in\n{}", said.stderr);
        }
        assert_eq!(listing(&at.join("out")), [""; 0], "{without} {attributes}");
        if !without.is_empty() {
            std::fs::rename(&away, &there).unwrap();
        }
    }
    // With everything there, the same is made.
    description(&at.join("d"), r#"image="oem" filesystem="ext4" firmware="uefi""#, &loader());
    run(command(["create", "d", "--root", "tree", "-o", "out", "--owner", "0:0"]).current_dir(at)).ends(0);
}

/// Of a file system that GRUB cannot read nothing is started, whatever else can read it.
#[test]
fn a_boot_that_its_grub_cannot_read_is_refused() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let Some(_) = loaders("a_boot_that_its_grub_cannot_read_is_refused", at) else { return };
    write(at.join("tree/etc/os-release"), "ID=ubuntu\nVERSION_ID=\"22.04\"\nVERSION_CODENAME=jammy\n");
    let create = |more: &str, loader: &str| {
        let attributes = format!(r#"image="oem" filesystem="ext4" firmware="bios" {more}"#);
        description(&at.join("d"), &attributes, &format!("<bootloader name=\"{loader}\"/>{FIXED}"));
        let arguments = ["create", "d", "--root", "tree", "-o", "out", "--owner", "0:0", "--force"];
        run(command(arguments).current_dir(at))
    };
    let seed = r#"fscreateoptions="-O metadata_csum,metadata_csum_seed""#;
    let refused = create(seed, "grub2").ends(1).stderr;
    for words in [
        "GRUB cannot read the file system that it is on: its GRUB 2.06 does not know metadata_csum_seed",
        "leave the feature out of fscreateoptions, or give /boot a file system of its own",
    ] {
        assert!(refused.contains(words), "no {words:?} in\n{refused}");
    }
    assert_eq!(listing(&at.join("out")), [""; 0]);
    create(&format!(r#"{seed} bootpartition="true""#), "grub2").ends(0);
    // What others start is theirs to know.
    let other = create(seed, "custom").ends(0).stderr;
    assert!(other.contains("warning: p.lxroot: its GRUB 2.06 does not know metadata_csum_seed"), "{other}");
}

/// The image for BIOS has its limit, which is named; the gap in front of partitions is never smaller than it.
#[test]
fn too_many_modules_are_refused() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let Some(_) = loaders("too_many_modules_are_refused", at) else { return };
    let modules: Vec<String> = listing(&at.join("tree/usr/lib/grub/i386-pc"))
        .iter()
        .filter_map(|name| name.strip_suffix(".mod").map(str::to_owned))
        .collect();
    let option = format!(r#"<installoption name="--modules" value="{}"/>"#, modules.join(" "));
    let loader =
        format!("<bootloader name=\"grub2\"><bootloadersettings>{option}</bootloadersettings></bootloader>");
    description(
        &at.join("d"),
        r#"image="oem" filesystem="ext4" firmware="bios""#,
        &format!("{loader}{FIXED}"),
    );
    let arguments = ["create", "d", "--root", "tree", "-o", "out", "--owner", "0:0"];
    let refused = run(command(arguments).current_dir(at)).ends(1).stderr;
    assert!(
        refused.contains("core.img") && refused.contains(" bytes") && refused.contains("of at most"),
        "{refused}"
    );
    assert_eq!(listing(&at.join("out")), [""; 0]);
}

/// `bootloadersettings`: each option is done, or named with the reason why not.
#[test]
fn options_of_the_installer_are_done_or_named() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let Some(_) = loaders("options_of_the_installer_are_done_or_named", at) else { return };
    write(at.join("tree/boot/grub/grubenv"), {
        let mut block = b"# GRUB Environment Block\nkept=a\nset=b\n".to_vec();
        block.resize(1024, b'#');
        block
    });
    let create = |firmware: &str, inner: &str| {
        let inner = format!("<bootloader name=\"grub2\">{inner}</bootloader>{FIXED}");
        description(
            &at.join("d"),
            &format!(r#"image="oem" filesystem="ext4" firmware="{firmware}""#),
            &inner,
        );
        let arguments = ["create", "d", "--root", "tree", "-o", "out", "--owner", "0:0", "--force"];
        run(command(arguments).current_dir(at))
    };
    let settings = |inner: &str| format!("<bootloadersettings>{inner}</bootloadersettings>");
    let disk = |firmware: &str, inner: &str| {
        create(firmware, inner).ends(0);
        std::fs::read(of(&at.join("out"), "raw")).unwrap()
    };
    let has = |disk: &[u8], text: &str| disk.windows(text.len()).any(|window| window == text.as_bytes());
    let plain = disk("bios", "");
    assert!(has(&plain, "# GRUB Environment Block\nkept=a\nset=b\n#"));

    let more = settings(r#"<installoption name="--modules" value="luks2 zfs"/>"#);
    assert!(core_on(&disk("bios", &more)).len() > core_on(&plain).len());
    let variables =
        r#"<environment><env name="set" value="1 2"/><env name="menu_auto_hide" value="1"/></environment>"#;
    let made = disk("bios", &settings(variables));
    assert!(has(&made, "# GRUB Environment Block\nkept=a\nset=1 2\nmenu_auto_hide=1\n#"));
    let without = settings(r#"<installoption name="--no-bootsector"/>"#);
    assert!(disk("bios", &without)[..440].iter().all(|byte| *byte == 0));
    assert!(create("bios", &without).ends(0).stderr.contains("note: --no-bootsector: "));

    // Firmware, element, name and value, whether it is made, and what is said.
    let cases = [
        (
            "bios",
            "installoption",
            "--removable",
            "",
            true,
            "--removable has no effect: the loader lies where",
        ),
        ("bios", "installoption", "--themes", "a", true, "--themes has no effect: bootloader-theme says"),
        ("bios", "installoption", "--suse-force-signed", "", true, "for BIOS alone"),
        (
            "bios",
            "installoption",
            "--target=arm-efi",
            "",
            false,
            "--target is not supported yet: GRUB for another",
        ),
        ("bios", "installoption", "--with-menu", "", false, "grub-install has no such option"),
        ("bios", "installoption", "--modules", "", false, "--modules without a value"),
        ("bios", "installoption", "--modules", "a/b", false, "no name of a module of GRUB's: a/b"),
        ("bios", "installoption", "--modules", "nosuch", false, "/usr/lib/grub/i386-pc/nosuch.mod"),
        ("bios", "shimoption", "--no-nvram", "", true, "only firmware=\"uefi\" has a shim"),
        ("uefi", "shimoption", "--no-nvram", "", true, "--no-nvram has no effect: the loader lies where"),
        ("uefi", "shimoption", "--suse-enable-tpm", "", false, "not supported yet: a GRUB that measures"),
        ("uefi", "shimoption", "--foo", "bar", false, "shim-install has no such option"),
        ("bios", "configoption", "--joe", "", true, "configoption --joe has no effect: "),
    ];
    for (firmware, element, name, value, is_made, words) in cases {
        let value = if value.is_empty() { String::new() } else { format!(" value=\"{value}\"") };
        let said = create(firmware, &settings(&format!("<{element} name=\"{name}\"{value}/>")));
        assert_eq!(said.code, Some(i32::from(!is_made)), "{element} {name}: {}", said.stderr);
        assert!(said.stderr.contains(words), "{element} {name}: no {words:?} in\n{}", said.stderr);
    }
    let long = format!(r#"<environment><env name="x" value="{}"/></environment>"#, "y".repeat(1024));
    assert!(create("bios", &settings(&long)).ends(1).stderr.contains("environment: "));
    // A passphrase where nothing is locked has no effect, and LUKS itself cannot be written.
    let password = |more: &str| {
        let inner = format!("<bootloader name=\"grub2\" use_disk_password=\"true\"/>{FIXED}");
        let attributes = format!(r#"image="oem" filesystem="ext4" firmware="bios" {more}"#);
        description(&at.join("d"), &attributes, &inner);
        let arguments = ["create", "d", "--root", "tree", "-o", "out", "--owner", "0:0", "--force"];
        run(command(arguments).current_dir(at))
    };
    assert!(password("").ends(0).stderr.contains("use_disk_password has no effect: the root is not in LUKS"));
    let locked = password(r#"luks="secret""#).ends(1).stderr;
    assert!(locked.contains("attribute use_disk_password of <bootloader> is not supported yet"), "{locked}");
}

/// Every `firmware` of KIWI's, with GRUB and with no loader at all: it is made, or refused by name.
#[test]
fn every_firmware_works_or_is_refused_by_name() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let Some(_) = loaders("every_firmware_works_or_is_refused_by_name", at) else { return };
    let say = |verb: &[&str], firmware: &str, loader: &str, arch: &str| {
        let inner = format!("<bootloader name=\"{loader}\"/>{FIXED}");
        description(
            &at.join("d"),
            &format!(r#"image="oem" filesystem="ext4" firmware="{firmware}""#),
            &inner,
        );
        let mut command = command(verb.iter().chain(&["d", "--arch", arch]));
        run(command.current_dir(at))
    };
    let create = ["create", "--root", "tree", "-o", "out", "--owner", "0:0", "--force"];
    for (arch, firmware, made) in [
        ("x86_64", "bios", Ok(true)),
        ("x86_64", "ec2", Ok(true)),
        ("x86_64", "custom", Ok(true)),
        // With a partition for BIOS.
        ("x86_64", "efi", Ok(true)),
        ("x86_64", "uefi", Ok(true)),
        ("x86_64", "ofw", Err("firmware=\"ofw\", which x86_64 does not have")),
        ("x86_64", "opal", Err("firmware=\"opal\", which x86_64 does not have")),
        ("ppc64le", "ofw", Err("GRUB for ppc64le with firmware ofw is not supported yet")),
        ("ppc64le", "opal", Err("GRUB for ppc64le with firmware opal is not supported yet")),
        ("ppc64le", "custom", Err("GRUB for ppc64le with firmware custom is not supported yet")),
        ("ppc64le", "uefi", Err("firmware=\"uefi\", which ppc64le does not have")),
        ("aarch64", "custom", Err("GRUB for aarch64 with firmware custom is not supported yet")),
    ] {
        let said = say(&create, firmware, "grub2", arch);
        let code = |disk: &Path| std::fs::read(disk).unwrap()[..440].iter().any(|byte| *byte != 0);
        match made {
            Ok(has_code) => {
                said.ends(0);
                assert_eq!(code(&of(&at.join("out"), "raw")), has_code, "{arch} {firmware}");
            }
            Err(words) => {
                let said = said.ends(1).stderr;
                assert!(said.contains(words), "{arch} {firmware}: no {words:?} in\n{said}");
            }
        }
        // What is not there on a machine is nothing that a loader could start.
        if made.is_err_and(|words| words.contains("does not have")) {
            continue;
        }
        let said = say(&create, firmware, "custom", arch).ends(0).stderr;
        assert!(
            said.contains("no loader is installed: what starts the disk has to be in the tree"),
            "{said}"
        );
        assert!(!code(&of(&at.join("out"), "raw")), "{arch} {firmware}: no loader, and boot code");
    }
    let planned = say(&["plan"], "ofw", "grub2", "ppc64le").stdout;
    assert!(planned.contains("p.prep"), "{planned}");
}

/// What is not in the tree and can be done without is said.
#[test]
fn what_a_disk_starts_without_is_said() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let Some(_) = loaders("what_a_disk_starts_without_is_said", at) else { return };
    let cases = [
        ("usr/lib/shim", r#"firmware="uefi""#, "note: no shim in the tree (Debian: shim-signed;"),
        (
            "usr/lib/grub/i386-pc",
            r#"firmware="efi""#,
            "note: no files of GRUB for BIOS in the tree (i386-pc): ",
        ),
        (
            "",
            r#"firmware="efi" target_blocksize="4096""#,
            "note: GRUB for BIOS reads disks with sectors of 512 ",
        ),
    ];
    for (without, attributes, note) in cases {
        description(&at.join("d"), &format!(r#"image="oem" filesystem="ext4" {attributes}"#), &loader());
        let [there, away] = [at.join("tree").join(without), at.join("away")];
        if !without.is_empty() {
            std::fs::rename(&there, &away).unwrap();
        }
        let arguments = ["create", "d", "--root", "tree", "-o", "out", "--owner", "0:0", "--force"];
        let said = run(command(arguments).current_dir(at)).ends(0);
        assert!(said.stderr.contains(note), "{note:?} is not in\n{}", said.stderr);
        if !without.is_empty() {
            std::fs::rename(&away, &there).unwrap();
            let said = run(command(arguments).current_dir(at)).ends(0);
            assert!(!said.stderr.contains(note), "{}", said.stderr);
        }
    }
}

/// A disk for UEFI needs no GRUB for BIOS, which reads sectors of 512 bytes alone.
#[test]
fn a_disk_for_uefi_has_boot_code_only_where_it_works() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let Some(_) = loaders("a_disk_for_uefi_has_boot_code_only_where_it_works", at) else { return };
    for (name, attributes, code) in [("512", "", true), ("4096", r#"target_blocksize="4096""#, false)] {
        let attributes = format!(r#"image="oem" filesystem="ext4" firmware="efi" {attributes}"#);
        description(&at.join("d"), &attributes, &loader());
        run(command(["create", "d", "--root", "tree", "-o", name, "--owner", "0:0"]).current_dir(at)).ends(0);
        let mut start = [0; 440];
        let disk = std::fs::File::open(of(&at.join(name), "raw")).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&disk, &mut start, 0).unwrap();
        assert_eq!(start.iter().any(|byte| *byte != 0), code, "{name}");
    }
}

#[test]
fn nothing_but_the_input_decides_the_bytes() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let Some(_) = loaders("nothing_but_the_input_decides_the_bytes", at) else { return };
    let program = env!("CARGO_BIN_EXE_diskwright");
    for (name, attributes) in [
        ("bios", r#"firmware="bios""#),
        ("uefi", r#"firmware="uefi""#),
        ("efi", r#"firmware="efi" bootpartition="true""#),
    ] {
        description(&at.join("d"), &format!(r#"image="oem" filesystem="ext4" {attributes}"#), &loader());
        let made = [("1", "022", "UTC", "C"), ("7", "077", "Asia/Kathmandu", "tr_TR.UTF-8")].map(
            |(threads, umask, zone, language)| {
                let out = at.join(format!("{name}-{threads}"));
                let script = format!(
                    r#"umask {umask}; exec "$0" create d --root tree -o "$1" --owner 0:0 --threads {threads} --format raw --format qcow2"#
                );
                let mut shell = Command::new("sh");
                shell.args(["-c", &script, program]).arg(&out).current_dir(at);
                shell.env("TZ", zone).env("LC_ALL", language).env_remove("SOURCE_DATE_EPOCH");
                run(&mut shell).ends(0);
                ["raw", "qcow2"].map(|format| std::fs::read(of(&out, format)).unwrap())
            },
        );
        assert!(made[0] == made[1], "{name}");
    }
}

/// A file system of the kernel's, mounted as long as this lives.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        run(Command::new("umount").arg(&self.0));
    }
}

/// Mounts a file system with GRUB's images: `grub-bios-setup` wants them on a device that it can open.
fn mounted(at: &Path, core: &[u8], boot: &Path) -> Option<Mounted> {
    let [files, device, point] = ["files", "device", "mounted"].map(|name| at.join(name));
    write(files.join("core.img"), core);
    write(files.join("boot.img"), std::fs::read(boot).unwrap());
    std::fs::create_dir_all(&point).unwrap();
    let of = |path: &Path| path.to_str().unwrap().to_owned();
    tool("mke2fs", ["-q", "-F", "-t", "ext4", "-d", &of(&files), &of(&device), "4096k"]);
    let mount = run(Command::new("mount").args(["-o", "loop,ro", &of(&device), &of(&point)]));
    if mount.code != Some(0) {
        inapplicable("grub_bios_setup_finds_nothing_to_do", "no loop mounts here");
    }
    (mount.code == Some(0)).then_some(Mounted(point))
}

/// GRUB's core image as it lies on a disk: boot.img says where, and its first sector how long it is.
fn core_on(disk: &[u8]) -> std::ops::Range<usize> {
    let start = u64::from_le_bytes(disk[0x5C..0x64].try_into().unwrap()) as usize * 512;
    let rest = u16::from_le_bytes(disk[start + 0x1FC..start + 0x1FE].try_into().unwrap());
    start..start + (1 + usize::from(rest)) * 512
}

#[test]
fn grub_bios_setup_finds_nothing_to_do() {
    let test = "grub_bios_setup_finds_nothing_to_do";
    if !root() {
        return inapplicable(test, "it opens devices: only root may");
    }
    let Some(_) = oracle(test, "mke2fs") else { return };
    for attributes in [r#"firmware="bios""#, r#"firmware="uefi""#] {
        let at = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = at.path();
        let Some(release) = loaders(test, at) else { return };
        description(&at.join("d"), &format!(r#"image="oem" filesystem="ext4" {attributes}"#), &loader());
        run(command(["create", "d", "--root", "tree", "-o", "out", "--owner", "0:0"]).current_dir(at))
            .ends(0);
        let image = of(&at.join("out"), "raw");
        let made = std::fs::read(&image).unwrap();
        let core = core_on(&made);
        let boot = release.join("usr/lib/grub/i386-pc/boot.img");
        let Some(point) = mounted(at, &made[core.clone()], &boot) else { return };
        write(at.join("map"), format!("(hd0) {}\n", image.display()));
        let setup = || {
            let mut command = Command::new(release.join("bios-setup"));
            command
                .args(["--no-rs-codes", "--skip-fs-probe", "-d"])
                .arg(&point.0)
                .arg("-m")
                .arg(at.join("map"));
            let said = run(command.arg("(hd0)")).ends(0);
            assert!(!said.stderr.contains("warning") && !said.stderr.contains("error"), "{}", said.stderr);
        };
        setup();
        assert!(std::fs::read(&image).unwrap() == made, "{attributes}");
        // It does write: what was taken away is put back.
        let file = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
        for (start, len) in [(0, 440), (core.start as u64, 1024)] {
            std::os::unix::fs::FileExt::write_all_at(&file, &vec![0; len], start).unwrap();
        }
        setup();
        assert!(std::fs::read(&image).unwrap() == made, "{attributes}: put back");
    }
}

/// The profile `Virtual` of KIWI's test description of Debian, its type element as it is, on this root.
#[test]
fn kiwis_description_of_debian_boots() {
    let test = "kiwis_description_of_debian_boots";
    let Some(corpus) = corpus(test) else { return };
    let from = corpus.join("build-tests/x86/debian/test-image-live-disk");
    let text = std::fs::read_to_string(from.join("appliance.kiwi")).unwrap();
    assert!(text.contains(
        r#"<type image="oem" filesystem="ext4" kernelcmdline="console=ttyS0" firmware="uefi" format="qcow2">"#
    ));
    let Some(root) = prepared(test) else { return };
    let at = root.at.path();
    write(at.join("d/appliance.kiwi"), text);
    let arguments = ["create", "d", "--profile", "Virtual", "--root", "root.tar", "-o", "out", "--no-sync"];
    run(command(arguments).current_dir(at)).ends(0);
    let image = of(&at.join("out"), "qcow2");
    boots(&image, SECURE, "600", &["login:"]);
    if all() {
        boots(&image, BIOS, "600", &["login:"]);
    }
}
