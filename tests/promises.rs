//! The two promises: no privilege, the same bytes.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::*;

const DISK: &str = r#"image="oem" firmware="uefi" filesystem="ext4" format="qcow2" efipartsize="40""#;
const SYSTEMD_BOOT: &str = r#"<bootloader name="systemd_boot" timeout="3"/>"#;

/// Description, tree and an output directory that everybody may use.
fn prepared() -> (tempfile::TempDir, PathBuf) {
    let at = tempfile::tempdir().unwrap();
    small_tree(&at.path().join("tree"));
    boot_files(&at.path().join("tree"));
    description(&at.path().join("d"), DISK, SYSTEMD_BOOT);
    let open: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(at.path(), open).unwrap();
    let path = at.path().to_owned();
    (at, path)
}

fn create(at: &Path, tree: &str, out: &str) -> Command {
    let formats = ["--format", "raw", "--format", "qcow2"];
    let mut command = command(["create", "d", "--root", tree, "--owner", "0:0", "-o", out, "--quiet"]);
    command.args(formats).current_dir(at);
    command
}

/// Results by name.
fn images(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| (name.clone(), std::fs::read(directory.join(name)).unwrap());
    listing(directory).into_iter().map(read).collect()
}

#[test]
fn the_same_bytes_whatever_the_surroundings() {
    let (_guard, at) = prepared();
    run(&mut create(&at, "tree", "plain")).ends(0);
    let expected = images(&at.join("plain"));
    assert_eq!(expected.len(), 2, "raw and qcow2");

    let threads = |n: &str| {
        let mut command = create(&at, "tree", &format!("threads-{n}"));
        command.args(["--threads", n]);
        command
    };
    let mut environment = create(&at, "tree", "environment");
    environment
        .env("TZ", "Asia/Kathmandu")
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("TMPDIR", "/var/tmp");
    let mut umask = Command::new("sh");
    umask
        .args(["-c", "umask 077; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_diskwright"))
        .current_dir(&at);
    umask.args(create(&at, "tree", "umask").get_args());
    // A copy has other inode numbers, another order in its directories and other holes.
    tool(
        "cp",
        ["-a".as_ref(), "--sparse=never".as_ref(), at.join("tree").as_os_str(), at.join("copy").as_os_str()],
    );
    let copy = create(&at, "copy", "copied");
    tool(
        "tar",
        [
            "-C".as_ref(),
            at.join("tree").as_os_str(),
            "-cf".as_ref(),
            at.join("tree.tar").as_os_str(),
            ".".as_ref(),
        ],
    );
    let tar = create(&at, "tree.tar", "tarred");
    tool("gzip", ["-kn".as_ref(), at.join("tree.tar").as_os_str()]);
    let gz = create(&at, "tree.tar.gz", "gzipped");

    for mut command in [threads("1"), threads("8"), environment, umask, copy, tar, gz] {
        let out =
            command.get_args().skip_while(|it| *it != "-o").nth(1).unwrap().to_str().unwrap().to_owned();
        run(&mut command).ends(0);
        let found = images(&at.join(&out));
        for (name, bytes) in &expected {
            let same = found.get(name) == Some(bytes);
            assert!(same, "{out}/{name} differs, first at byte {:?}", first_difference(bytes, &found[name]));
        }
    }
}

fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    one.iter().zip(other).position(|(one, other)| one != other)
}

#[test]
fn the_seed_changes_the_ids_and_the_epoch_the_times() {
    let (_guard, at) = prepared();
    let variants: &[&[&str]] = &[&[], &["--seed", "other"], &["--epoch", "1700000000"]];
    let made: Vec<_> = variants
        .iter()
        .enumerate()
        .map(|(number, arguments)| {
            let out = format!("out-{number}");
            run(create(&at, "tree", &out).args(*arguments)).ends(0);
            images(&at.join(out)).into_values().collect::<Vec<_>>()
        })
        .collect();
    assert_ne!(made[0], made[1]);
    assert_ne!(made[0], made[2]);
}

/// System calls that would need, or give, a privilege.
const FORBIDDEN: &[&str] = &[
    "mount",
    "umount2",
    "unshare",
    "setns",
    "chroot",
    "pivot_root",
    "fsopen",
    "fsmount",
    "move_mount",
    "open_tree",
    "mknod",
    "mknodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "capset",
    "init_module",
    "finit_module",
    "ptrace",
];

#[test]
fn an_image_is_made_by_nobody_without_capabilities_and_without_a_forbidden_call() {
    let Some(strace) = oracle("privilege", "strace") else { return };
    let (_guard, at) = prepared();
    let trace = at.join("trace");
    let mut traced = Command::new(strace);
    let calls = format!("trace={},ioctl,clone,clone3,execve", FORBIDDEN.join(","));
    traced.args(["-f", "-o"]).arg(&trace).args(["-e", &calls]);
    let program = create(&at, "tree", "out");
    // As root, become nobody with nothing left; otherwise the caller is somebody ordinary already.
    if root() {
        let Some(setpriv) = oracle("privilege", "setpriv") else { return };
        let nobody = [
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--no-new-privs",
            "--inh-caps=-all",
            "--bounding-set=-all",
        ];
        let copy = at.join("diskwright");
        program_at(&copy);
        traced.arg(setpriv).args(nobody).arg(copy);
    } else {
        traced.arg(program.get_program());
    }
    traced.args(program.get_args()).current_dir(&at).env_remove("SOURCE_DATE_EPOCH");
    run(&mut traced).ends(0);
    let text = std::fs::read_to_string(&trace).unwrap();
    // What setpriv does before it starts the program does not count.
    let start = text
        .lines()
        .position(|line| line.contains("execve(") && line.contains("/diskwright\", ["))
        .expect("it was started");
    for line in text.lines().skip(start) {
        let call = line.split_once(' ').map_or(line, |(_, rest)| rest.trim_start());
        let name = call.split('(').next().unwrap_or("");
        assert!(!FORBIDDEN.contains(&name), "{line}");
        assert!(!call.contains("CLONE_NEW"), "{line}");
        assert!(!call.contains("LOOP_"), "{line}");
    }
    assert_eq!(listing(&at.join("out")).len(), 2);
}

#[test]
fn each_source_is_opened_once_for_all_formats() {
    let Some(strace) = oracle("opens", "strace") else { return };
    let (_guard, at) = prepared();
    let trace = at.join("trace");
    let mut traced = Command::new(strace);
    traced.args(["-f", "-y", "-o"]).arg(&trace).args(["-e", "trace=open,openat,openat2"]);
    let program = create(&at, "tree", "out");
    traced.arg(program.get_program()).args(program.get_args()).current_dir(&at);
    run(&mut traced).ends(0);
    let text = std::fs::read_to_string(&trace).unwrap();
    for number in 1..300 {
        let name = format!("file {number:03} ");
        let opens = text.lines().filter(|line| line.contains(&name) && !line.contains(" resumed>")).count();
        assert_eq!(opens, 1, "{name}");
    }
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let (_guard, at) = prepared();
    write(at.join("tree/usr/share/large"), noise(5, 200 << 20));
    let mut child = create(&at, "tree", "out").process_group(0).spawn().unwrap();
    let out = at.join("out");
    // As soon as there is something to leave behind.
    while listing(&out).is_empty() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let pid = rustix::process::Pid::from_child(&child);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
    let ended = child.wait().unwrap();
    if ended.code() == Some(0) {
        return inapplicable("signal", "the image was complete before the signal came");
    }
    assert_eq!(listing(&out), Vec::<String>::new(), "{ended:?}");
}
