//! A real Debian root tree, made into a disk by nobody, boots.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::*;

const TYPE: &str = r#"image="oem" firmware="uefi" filesystem="ext4" efipartsize="100" kernelcmdline="console=ttyS0 no_timer_check COMMAND""#;
const SYSTEMD_BOOT: &str = r#"<bootloader name="systemd_boot" timeout="0"/>"#;

/// The Debian root with the marker's init in it, and descriptions that start it or systemd.
fn prepared(test: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    oracle(test, "qemu-system-x86_64")?;
    let tar = debian_root(test)?;
    let at = tempfile::Builder::new().prefix("boot").tempdir_in("/var/tmp").unwrap();
    let root = at.path().join("root.tar");
    std::fs::copy(tar, &root).unwrap();
    write(
        at.path().join("usr/sbin/marker-init"),
        std::fs::read(source("tests/fixtures/marker-init")).unwrap(),
    );
    let add = ["--append", "--owner=0", "--group=0", "--mode=0755", "--mtime=@0", "-C"];
    let mut append = Command::new("tar");
    append.args(add).arg(at.path()).arg("-f").arg(&root).arg("usr/sbin/marker-init");
    run(&mut append).ends(0);
    let open: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(at.path(), open).unwrap();
    let path = at.path().to_owned();
    Some((at, path))
}

/// Makes raw and qcow2 as a user without any privilege.
fn create(at: &Path, command_line: &str) -> PathBuf {
    description(&at.join("d"), &TYPE.replace("COMMAND", command_line), SYSTEMD_BOOT);
    let copy = at.join("diskwright");
    program_at(&copy);
    let mut command = match root() {
        false => Command::new(&copy),
        true => {
            let mut command = Command::new("setpriv");
            let nobody =
                ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all"];
            command.args(nobody).arg(&copy);
            command
        }
    };
    command.args(["create", "d", "--root", "root.tar", "-o", "out", "--format", "raw", "--format", "qcow2"]);
    run(command.current_dir(at)).ends(0);
    at.join("out")
}

#[track_caller]
fn boot(image: &Path, seconds: &str, expect: &str) {
    let mut command = command(["boot".as_ref(), image.as_os_str()]);
    run(command.args(["--timeout", seconds, "--expect", expect])).ends(0);
}

fn image(out: &Path, ending: &str) -> PathBuf {
    out.join(listing(out).into_iter().find(|name| name.ends_with(ending)).expect("an image of this format"))
}

#[test]
fn a_debian_root_boots_read_write_and_its_file_system_is_clean() {
    let Some((_guard, at)) = prepared("boot") else { return };
    let out = create(&at, "init=/usr/sbin/marker-init");
    for ending in [".qcow2", ".raw"] {
        boot(&image(&out, ending), "120", "DISKWRIGHT-BOOT-OK rw=yes fsck=clean");
    }
    for ending in [".qcow2", ".raw"] {
        let checked = diskwright(["check".as_ref(), image(&out, ending).as_os_str()]).ends(0);
        assert!(checked.stdout.contains("clean"), "{}", checked.stdout);
    }
    judged(&image(&out, ".raw"), &image(&out, ".qcow2"));
}

#[test]
fn a_debian_root_boots_to_its_login() {
    if !all() {
        return inapplicable("login", "slow: runs with --all");
    }
    let Some((_guard, at)) = prepared("login") else { return };
    let out = create(&at, "");
    boot(&image(&out, ".qcow2"), "300", "login:");
}

/// The formats' own checkers on a real image.
fn judged(raw: &Path, qcow2: &Path) {
    let inspected = diskwright(["inspect".as_ref(), "--json".as_ref(), raw.as_os_str()]).ends(0);
    let json: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
    if let Some(sgdisk) = oracle("judged", "sgdisk") {
        let said = tool(sgdisk, ["-v".as_ref(), raw.as_os_str()]);
        assert!(said.contains("No problems found"), "{said}");
    }
    if let Some(sfdisk) = oracle("judged", "sfdisk") {
        let said = tool(sfdisk, ["--verify".as_ref(), raw.as_os_str()]);
        assert!(said.contains("No errors detected"), "{said}");
    }
    if let Some(qemu_img) = oracle("judged", "qemu-img") {
        tool(&qemu_img, ["check".as_ref(), "-f".as_ref(), "qcow2".as_ref(), qcow2.as_os_str()]);
        let compare = ["compare".as_ref(), "-f".as_ref(), "raw".as_ref(), "-F".as_ref(), "qcow2".as_ref()];
        tool(&qemu_img, compare.into_iter().chain([raw.as_os_str(), qcow2.as_os_str()]));
    }
    for volume in json["volumes"].as_array().unwrap() {
        // KIWI's empty BIOS boot partition has no checker.
        let Some(kind) = volume["filesystem"]["kind"].as_str() else { continue };
        let bytes = |name: &str| volume["partition"][name].as_u64().unwrap();
        let part = raw.with_extension("part");
        cut(raw, &part, bytes("start"), bytes("bytes"));
        let (checker, arguments) = match kind {
            "ext4" => ("e2fsck", "-fn"),
            _ => ("fsck.fat", "-n"),
        };
        if let Some(checker) = oracle("judged", checker) {
            tool(checker, [arguments.as_ref(), part.as_os_str()]);
        }
        std::fs::remove_file(&part).unwrap();
    }
}

fn cut(from: &Path, to: &Path, start: u64, len: u64) {
    let mut dd = Command::new("dd");
    let mib = 1 << 20;
    dd.arg(format!("if={}", from.display())).arg(format!("of={}", to.display()));
    dd.args(["bs=1M", "conv=sparse"])
        .arg(format!("skip={}", start / mib))
        .arg(format!("count={}", len.div_ceil(mib)));
    run(&mut dd).ends(0);
    std::fs::OpenOptions::new().write(true).open(to).unwrap().set_len(len).unwrap();
}
