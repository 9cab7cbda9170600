//! `editbootconfig` and `editbootinstall`: scripts that change the tree before a disk is made of it, and the finished disk.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use support::*;

const ATTRIBUTES: &str = r#"image="oem" firmware="bios" filesystem="ext4" editbootconfig="config hook.sh" editbootinstall="boot/install.sh""#;
const CUSTOM: &str = r#"<bootloader name="custom"/>"#;
/// What the tree has of the host's, for scripts to run.
const PROGRAMS: [&str; 6] = ["bash", "cat", "dd", "env", "ln", "mkfifo"];

/// Says so, and that it ran in this way.
const CONFIG: &str = "set -e
printf '%s\\n' \"$PWD $* $kiwi_iname\" > etc/config-hook
";

/// A loader of its own, below the partition table: xor ax, ax; mov ds, ax; cld; mov dx, 0x3f8; mov si, 0x7c20; more:
/// lodsb; test al, al; jz end; out dx, al; jmp more; end: cli; halt: hlt; jmp halt
const CODE: [u8; 23] = [
    0x31, 0xc0, 0x8e, 0xd8, 0xfc, 0xba, 0xf8, 0x03, 0xbe, 0x20, 0x7c, 0xac, 0x84, 0xc0, 0x74, 0x03, 0xee,
    0xeb, 0xf8, 0xfa, 0xf4, 0xeb, 0xfd,
];
const TEXT: &str = "hello from a loader of its own";

/// Writes it through both names of the disk.
fn install() -> String {
    let code: String = CODE.iter().map(|byte| format!("\\{byte:03o}")).collect();
    format!(
        "set -e
printf '%s\\n' \"$PWD $* $kiwi_iname\"
test -f etc/config-hook
printf '{code}' | dd of=\"$1\" conv=notrunc status=none
device=/dev/$(basename=${{2##*/}}; echo ${{basename%p*}})
printf '{TEXT}\\r\\n\\0' | dd of=$device conv=notrunc bs=1 seek=32 status=none
echo too late > etc/too-late
"
    )
}

/// A prepared tree with a shell, and a description with both scripts.
struct Lab {
    work: tempfile::TempDir,
}

impl Lab {
    /// `None`: said why.
    fn new(test: &str, install: &str) -> Option<Lab> {
        let work = tempfile::tempdir().unwrap();
        let lab = Lab { work };
        for name in PROGRAMS {
            let program = oracle(test, name)?;
            copy(&program, &lab.at("tree/usr/bin").join(name));
            for library in libraries(&program) {
                copy(&library, &lab.at("tree").join(library.strip_prefix("/").unwrap()));
            }
        }
        std::os::unix::fs::symlink("usr/bin", lab.at("tree/bin")).unwrap();
        write(lab.at("tree/etc/os-release"), "ID=test\n");
        lab.record();
        description(&lab.at("d"), ATTRIBUTES, CUSTOM);
        write(lab.at("d/config hook.sh"), CONFIG);
        write(lab.at("d/boot/install.sh"), install);
        // A file of KIWI's name that no attribute names counts for nothing.
        write(lab.at("d/edit_boot_install.sh"), "exit 7\n");
        let probe = lab.run(["doctor"]);
        if probe.stdout.contains("no sandbox") {
            skip(test, "no sandbox can be made here");
            return None;
        }
        Some(lab)
    }

    fn record(&self) {
        let _ = std::fs::remove_file(self.at("tree.tree"));
        let tree =
            diskwright(["tree".as_ref(), self.at("tree").as_os_str(), "--owner".as_ref(), "0:0".as_ref()]);
        write(self.at("tree.tree"), tree.ends(0).stdout);
    }

    fn at(&self, path: &str) -> PathBuf {
        self.work.path().join(path)
    }

    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Run {
        let arguments = arguments.into_iter().chain(["--cache-dir", "cache"]);
        run(command(arguments).current_dir(self.work.path()))
    }

    fn create(&self, out: &str, more: &[&str]) -> Run {
        let arguments = ["create", "d", "--root", "tree", "-o", out, "--format", "raw", "--format", "qcow2"];
        self.run(arguments.into_iter().chain(more.iter().copied()))
    }

    fn image(&self, out: &str, ending: &str) -> PathBuf {
        let names = listing(&self.at(out));
        let name = names.iter().find(|name| name.ends_with(ending)).unwrap_or_else(|| panic!("{names:?}"));
        self.at(out).join(name)
    }
}

fn copy(from: &Path, to: &Path) {
    write(to, std::fs::read(from).unwrap());
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
}

/// What a program is linked with, the loader too.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let said = tool("ldd", [program]);
    said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[test]
fn a_loader_that_a_script_writes_starts_from_every_format() {
    const TEST: &str = "a_loader_that_a_script_writes_starts_from_every_format";
    let Some(lab) = Lab::new(TEST, &install()) else { return };
    let made = lab.create("out", &[]).ends(0);
    assert!(made.stderr.contains("the raw disk is written first"), "{}", made.stderr);
    assert_eq!(listing(&lab.at("out")), ["test-image.x86_64-1.2.3.qcow2", "test-image.x86_64-1.2.3.raw"]);
    assert!(listing(&lab.at("cache/work")).iter().all(|name| name.ends_with(".lock")), "no copy of the tree");
    let raw = lab.image("out", ".raw");
    let disk = std::fs::File::open(&raw).unwrap();
    let mut sector = [0; 512];
    disk.read_exact_at(&mut sector, 0).unwrap();
    assert_eq!(sector[..CODE.len()], CODE);
    assert_eq!(&sector[32..32 + TEXT.len()], TEXT.as_bytes());
    assert_eq!(sector[510..], [0x55, 0xaa]);
    if let Some(qemu_img) = oracle(TEST, "qemu-img") {
        let said =
            tool(qemu_img, ["compare".as_ref(), raw.as_os_str(), lab.image("out", ".qcow2").as_os_str()]);
        assert!(said.contains("Images are identical"), "{said}");
    }
    lab.create("again", &["--threads", "1"]).ends(0);
    for ending in [".raw", ".qcow2"] {
        let [one, other] = ["out", "again"].map(|out| std::fs::read(lab.image(out, ending)).unwrap());
        assert!(one == other, "{ending}: the same bytes again");
    }
    if oracle(TEST, "qemu-system-x86_64").is_some() {
        for ending in [".raw", ".qcow2"] {
            let image = lab.image("out", ending);
            lab.run(["boot", image.to_str().unwrap(), "--expect", TEXT, "--timeout", "120"]).ends(0);
        }
    }
}

#[test]
fn the_tree_is_changed_before_the_disk_and_not_after_it() {
    const TEST: &str = "the_tree_is_changed_before_the_disk_and_not_after_it";
    let Some(lab) = Lab::new(TEST, &install()) else { return };
    let Some(debugfs) = oracle(TEST, "debugfs") else { return };
    lab.create("out", &[]).ends(0);
    let raw = lab.image("out", ".raw");
    let told = lab.run(["inspect", raw.to_str().unwrap(), "--json"]).ends(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let volumes = told["volumes"].as_array().unwrap();
    let root = volumes.iter().find(|one| one["filesystem"]["kind"] == "ext4").expect("a root");
    let start = disks::number(&root["partition"], "start");
    let at = format!("{}?offset={start}", raw.display());
    let file = |path: &str| tool(&debugfs, ["-R", &format!("cat {path}"), &at]);
    let said = file("/etc/config-hook");
    assert!(
        said.contains("/ ext4 1 test-image\n"),
        "its root, KIWI's arguments, .profile's variables: {said}"
    );
    assert!(file("/etc/too-late").contains("File not found"));
    assert!(file("/image").contains("File not found"));
    assert!(!lab.at("tree/etc/config-hook").exists(), "the prepared tree is as it was");
}

#[test]
fn the_plan_says_what_runs_when() {
    let at = tempfile::tempdir().unwrap();
    description(at.path(), ATTRIBUTES, CUSTOM);
    let said = diskwright(["plan".as_ref(), at.path().as_os_str()]).ends(0).stderr;
    let config = "edit_boot_config.sh ext4 1: runs in a copy of the tree before its image is laid";
    let install = "edit_boot_install.sh DISK /dev/mapper/loop0p1: runs in the copy of the tree on the finished raw disk";
    let (config, install) = (said.find(config), said.find(install));
    assert!(config.is_some() && config < install, "{said}");
}

#[test]
fn clones_are_told_as_the_script_left_them() {
    const TEST: &str = "clones_are_told_as_the_script_left_them";
    // The last bytes of the clone: free in its file system.
    let script = "dd of=$1 bs=1 seek=$(cat /etc/where) conv=notrunc status=none <<<changed\n";
    let Some(lab) = Lab::new(TEST, script) else { return };
    let clones = format!("{ATTRIBUTES} root_clone=\"1\"");
    let fixed = format!("{CUSTOM}<oemconfig><oem-resize>false</oem-resize></oemconfig>");
    description(&lab.at("d"), &clones, &fixed);
    let told = lab.run(["plan", "d", "--root", "tree", "--json"]).ends(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let clone =
        told["partitions"].as_array().unwrap().iter().find(|one| one["role"] == "rootclone1").unwrap();
    let (start, len) =
        (512 * disks::number(clone, "start_sector"), 512 * disks::number(clone, "size_sectors"));
    let at = len - 4096;
    write(lab.at("tree/etc/where"), (start + at).to_string());
    lab.record();
    lab.create("out", &[]).ends(0);
    let text = std::fs::read_to_string(lab.image("out", "clones.json")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    let runs = told["clones"][0]["differs"].as_array().unwrap();
    let run = |run: &serde_json::Value| (disks::number(run, "start"), disks::number(run, "len"));
    let runs: Vec<(u64, u64)> = runs.iter().map(run).collect();
    assert!(runs.len() > 1 && runs.last() == Some(&(at, 8)), "{runs:?}");
    let checked = lab.run(["check", lab.image("out", ".raw").to_str().unwrap()]);
    assert!(checked.code == Some(0), "{checked:?}");
}

#[test]
fn an_output_that_is_there_is_refused_before_scripts_run() {
    const TEST: &str = "an_output_that_is_there_is_refused_before_scripts_run";
    let Some(lab) = Lab::new(TEST, "echo it runs >&2; exit 9") else { return };
    write(lab.at("out/test-image.x86_64-1.2.3.qcow2"), "mine");
    let refused = lab.create("out", &[]).ends(1);
    assert!(refused.stderr.contains("this file exists"), "{}", refused.stderr);
    assert!(
        !refused.stderr.contains("edit_boot") && !lab.at("cache/work/test-image").exists(),
        "{}",
        refused.stderr
    );
    assert_eq!(listing(&lab.at("out")), ["test-image.x86_64-1.2.3.qcow2"]);
    let run = lab.create("out", &["--force"]).ends(4);
    assert!(run.stderr.contains("it runs"), "{}", run.stderr);
    assert_eq!(std::fs::read(lab.at("out/test-image.x86_64-1.2.3.qcow2")).unwrap(), b"mine");
}

#[test]
fn a_tree_without_mount_points_becomes_the_same_image_in_every_sandbox() {
    const TEST: &str = "a_tree_without_mount_points_becomes_the_same_image_in_every_sandbox";
    let Some(lab) = Lab::new(TEST, "") else { return };
    description(&lab.at("d"), r#"image="oem" firmware="bios" filesystem="ext4""#, CUSTOM);
    for place in ["d", "tree/image"] {
        write(lab.at(place).join("images.sh"), "echo made >/etc/made\n");
    }
    lab.record();
    let (mut made, mut names) = (Vec::new(), Vec::new());
    for mode in ["namespaces", "bwrap", "root", "chroot"] {
        let run = lab.create(mode, &["--sandbox", mode]);
        match run.code {
            Some(3) => inapplicable(TEST, &format!("no sandbox by {mode} here")),
            _ => {
                run.ends(0);
                made.push(std::fs::read(lab.image(mode, ".raw")).unwrap());
                names.push(mode);
            }
        }
    }
    assert!(made.iter().all(|image| *image == made[0]), "{names:?}");
    if names.len() < 2 {
        return inapplicable(TEST, "only one sandbox can be made here");
    }
    let Some(debugfs) = oracle(TEST, "debugfs") else { return };
    let at = format!("{}?offset=1048576", lab.image(names[0], ".raw").display());
    let root = tool(&debugfs, ["-R", "ls -p /", &at]);
    for line in ["/040755/0/0/dev/", "/040755/0/0/proc/", "/040755/0/0/sys/", "/041777/0/0/tmp/"] {
        assert!(root.contains(line), "{line} in {root}");
    }
}

/// What a script does, the exit code, what the message says.
const FAULTS: [(&str, i32, &str); 6] = [
    ("echo so it is >&2; exit 3", 4, "\nso it is\n"),
    ("dd if=/dev/zero of=$1 bs=512 count=1 status=none", 1, "a script changed its length from"),
    ("ln -sf /etc/passwd $1", 1, "it is no file any more"),
    ("ln -sf /run/diskwright /x; dd of=$1 if=$1 count=0 status=none", 1, "a script changed its length from"),
    ("dd if=/dev/zero of=$2 count=1 status=none", 4, "No such file or directory"),
    ("mkfifo /tmp/fifo; ln -sfn /tmp/fifo $1", 1, "it is no file any more"),
];

#[test]
fn a_script_that_fails_leaves_no_output() {
    for (at, (script, code, message)) in FAULTS.iter().enumerate() {
        let Some(lab) = Lab::new("a_script_that_fails_leaves_no_output", script) else { return };
        let said = lab.create("out", &[]);
        assert!(said.stderr.contains(message), "{at}: {}", said.stderr);
        said.ends(*code);
        assert!(!lab.at("out").exists(), "{at}: {:?}", listing(&lab.at("out")));
    }
}

#[test]
fn without_a_sandbox_that_shows_the_disk_it_is_refused() {
    const TEST: &str = "without_a_sandbox_that_shows_the_disk_it_is_refused";
    if !root() {
        return inapplicable(TEST, "a bare chroot is root's");
    }
    let Some(lab) = Lab::new(TEST, &install()) else { return };
    let said = lab.create("out", &["--sandbox", "chroot"]).ends(3).stderr;
    assert!(said.contains("which a bare chroot cannot show it"), "{said}");
    assert!(!lab.at("out").exists());
}

#[test]
fn a_tree_without_programs_is_refused_and_a_script_that_is_missing() {
    const TEST: &str = "a_tree_without_programs_is_refused_and_a_script_that_is_missing";
    let Some(lab) = Lab::new(TEST, &install()) else { return };
    write(lab.at("d/root/etc/hostname"), "x\n");
    let said = lab.run(["build", "d", "-o", "out"]).ends(1).stderr;
    assert!(said.contains("edit_boot_config.sh: runs in the tree"), "{said}");
    std::fs::remove_file(lab.at("d/boot/install.sh")).unwrap();
    let said = lab.create("out", &[]).ends(1).stderr;
    assert!(said.contains("the script is missing") && said.contains("config.xml"), "{said}");
}

/// `/etc/fstab` in the image, and the exit of `create`.
fn fstab_of(lab: &Lab, out: &str) -> String {
    let debugfs = oracle("fstab.script", "debugfs").expect("asked for before");
    let raw = lab.image(out, ".raw");
    let told = lab.run(["inspect", raw.to_str().unwrap(), "--json"]).ends(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let volumes = told["volumes"].as_array().unwrap();
    let root = volumes.iter().find(|one| one["filesystem"]["kind"] == "ext4").expect("a root");
    let start = disks::number(&root["partition"], "start");
    let at = format!("{}?offset={start}", raw.display());
    tool(&debugfs, ["-R", "ls -p /etc", &at]) + &tool(&debugfs, ["-R", "cat /etc/fstab", &at])
}

#[test]
fn the_trees_own_script_has_the_last_word_on_fstab() {
    const TEST: &str = "the_trees_own_script_has_the_last_word_on_fstab";
    let Some(lab) = Lab::new(TEST, "") else { return };
    let Some(_) = oracle(TEST, "debugfs") else { return };
    description(&lab.at("d"), r#"image="oem" firmware="bios" filesystem="ext4""#, CUSTOM);
    let create = |out: &str| {
        lab.record();
        lab.run(["create", "d", "--root", "tree", "-o", out])
    };
    create("plain").ends(0);
    let plain = fstab_of(&lab, "plain");
    let generated = plain.lines().find(|line| line.contains(" / ")).unwrap();
    // Executable: by itself. It sees what was appended, and the variables of the profile; what it makes counts.
    write(lab.at("tree/etc/fstab.append"), "tmpfs /appended tmpfs defaults 0 0\n");
    let script = "#!/usr/bin/bash\nset -e\nread -r first </etc/fstab\ntext=$(cat /etc/fstab)\n\
                  printf '%s\\n# by %s: %s\\n' \"$text\" \"$kiwi_iname\" \"${first#* / }\" >/etc/fstab\n";
    write(lab.at("tree/etc/fstab.script"), script);
    std::fs::set_permissions(
        lab.at("tree/etc/fstab.script"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    // Behind it others see what it left.
    for place in ["d", "tree/image"] {
        write(lab.at(place).join("pre_disk_sync.sh"), "cat /etc/fstab >/etc/seen\n");
    }
    let planned = lab.run(["plan", "d", "--root", "tree"]).ends(0);
    assert!(planned.stderr.contains("etc/fstab.script: runs in a copy of the tree"), "{}", planned.stderr);
    create("scripted").ends(0);
    let scripted = fstab_of(&lab, "scripted");
    let tail =
        format!("{generated}\ntmpfs /appended tmpfs defaults 0 0\n# by test-image: ext4 defaults 0 1\n");
    assert!(scripted.contains(&tail), "{scripted}\nand not\n{tail}");
    assert!(!scripted.contains("/fstab.") && scripted.contains("/seen/"), "{scripted}");
    assert!(lab.at("tree/etc/fstab.script").exists(), "the prepared tree is as it was");
    // Not executable: by bash; one that fails stops the work.
    write(lab.at("tree/etc/fstab.script"), "echo the last words; [[ a == b ]]");
    std::fs::set_permissions(
        lab.at("tree/etc/fstab.script"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let failed = create("failed").ends(4);
    assert!(failed.stderr.contains("error: etc/fstab.script: exit status 1"), "{}", failed.stderr);
    assert!(failed.stderr.contains("the last words"), "{}", failed.stderr);
    assert!(!lab.at("failed").exists());
}
