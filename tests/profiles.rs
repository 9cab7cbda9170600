//! The system in the tree decides what nobody else does: which profile, why, and what comes out of it.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use serde_json::Value;
use std::path::Path;
use support::{description, diskwright, listing, oracle, run, tool, write};

const TRIXIE: &str =
    "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n";
const JAMMY: &str =
    "PRETTY_NAME=\"Ubuntu 22.04\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"22.04\"\nVERSION_CODENAME=jammy\n";

/// A tree of a release; with GRUB or without.
fn tree(at: &Path, release: Option<&str>, grub: bool) {
    write(at.join("etc/hostname"), "box\n");
    write(at.join("usr/bin/true"), "#!/bin/sh\n");
    if let Some(release) = release {
        write(at.join("usr/lib/os-release"), release);
        std::os::unix::fs::symlink("../usr/lib/os-release", at.join("etc/os-release")).unwrap();
    }
    if grub {
        write(at.join("boot/grub/grub.cfg"), "");
    }
}

fn mkfs(row: &str, tree: &Path, image: &Path, more: &[&str]) -> support::Run {
    let [tree, image] = [tree, image].map(|path| path.to_str().unwrap());
    diskwright([&["mkfs", row, "--json", "--force", tree, image], more].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The features that dumpe2fs sees; nothing where there is no dumpe2fs.
fn features(test: &str, image: &Path) -> Option<String> {
    let program = oracle(test, "dumpe2fs")?;
    let text = tool(program, [Path::new("-h"), image]);
    text.lines().find_map(|line| line.strip_prefix("Filesystem features:")).map(str::to_owned)
}

#[test]
fn the_release_in_the_tree_gives_the_defaults() {
    let work = tempfile::tempdir().unwrap();
    let (at, image) = (work.path().join("tree"), work.path().join("image"));
    tree(&at, Some(TRIXIE), false);
    let made = json(&mkfs("ext4", &at, &image, &["--size", "min+8M"]).ends(0).stdout);
    assert_eq!(made["profile"]["name"], "debian-13");
    assert_eq!(made["profile"]["reason"], "os-release of the tree says Debian GNU/Linux 13 (trixie)");
    assert_eq!(made["profile"]["evidence"], "measured");
    if let Some(features) = features("the_release_in_the_tree_gives_the_defaults", &image) {
        assert!(features.contains("metadata_csum_seed") && features.contains("orphan_file"), "{features}");
    }
    // Another system in its place, and the bytes that its own tree would give.
    let text = diskwright([
        Path::new("mkfs"),
        Path::new("ext4"),
        Path::new("--target"),
        Path::new("sles-12"),
        Path::new("--force"),
        &at,
        &image,
    ]);
    let text = text.ends(0).stdout;
    assert!(
        text.contains("profile: sles-12 (--target sles-12; documented: mke2fs.conf of e2fsprogs 1.42.13)"),
        "{text}"
    );
    if let Some(features) = features("the_release_in_the_tree_gives_the_defaults", &image) {
        assert!(features.contains("uninit_bg") && !features.contains("metadata_csum"), "{features}");
    }
    let unknown = mkfs("ext4", &at, &image, &["--target", "sles-11"]).ends(1);
    assert!(unknown.stderr.contains("sles-11") && unknown.stderr.contains("sles-12"), "{}", unknown.stderr);
    // FAT is the same for all.
    let plain = work.path().join("plain");
    write(plain.join("etc/os-release"), TRIXIE);
    let fat =
        json(&mkfs("vfat", &plain, &image, &["--owner", "0:0", "--target", "debian-12"]).ends(0).stdout);
    assert_eq!(fat.get("profile"), None);
}

#[test]
fn an_option_stays_and_is_warned_of() {
    let work = tempfile::tempdir().unwrap();
    let (at, image) = (work.path().join("tree"), work.path().join("image"));
    tree(&at, Some(JAMMY), true);
    let made = mkfs("ext4", &at, &image, &["-O", "metadata_csum_seed,orphan_file"]).ends(0);
    let warnings =
        ["e2fsck 1.46.5 does not know orphan_file", "its GRUB 2.06 does not know metadata_csum_seed"];
    assert_eq!(json(&made.stdout)["profile"]["warnings"], serde_json::json!(warnings));
    assert!(warnings.iter().all(|line| made.stderr.contains(&format!("warning: {line}"))), "{}", made.stderr);
    if let Some(features) = features("an_option_stays_and_is_warned_of", &image) {
        assert!(features.contains("metadata_csum_seed") && features.contains("orphan_file"), "{features}");
    }
    let refused = mkfs("ext4", &at, &image, &["--target", "sles-12", "-O", "metadata_csum_seed"]).ends(1);
    assert!(
        refused.stderr.contains("metadata_csum_seed needs metadata_csum (with the defaults of sles-12)"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_tree_without_a_release_has_its_configuration_or_the_default() {
    let work = tempfile::tempdir().unwrap();
    let (at, image) = (work.path().join("tree"), work.path().join("image"));
    tree(&at, None, false);
    let made = json(&mkfs("ext4", &at, &image, &[]).ends(0).stdout);
    assert_eq!(made["profile"]["name"], "default");
    write(
        at.join("etc/mke2fs.conf"),
        "[defaults]\n\tinode_size = 512\n[fs_types]\n\text4 = {\n\t\tfeatures = extent,filetype\n\t}\n",
    );
    let made = json(&mkfs("ext4", &at, &image, &[]).ends(0).stdout);
    assert_eq!(made["profile"]["name"], "mke2fs.conf");
    if let Some(features) = features("a_tree_without_a_release_has_its_configuration_or_the_default", &image)
    {
        assert_eq!(features.split_whitespace().collect::<Vec<_>>(), ["filetype", "extent"]);
    }
}

/// The same from a directory and from its tar, whatever the host is.
#[test]
fn the_source_makes_no_difference() {
    let work = tempfile::tempdir().unwrap();
    let (at, archive) = (work.path().join("tree"), work.path().join("tree.tar"));
    tree(&at, Some(TRIXIE), true);
    tool(
        "tar",
        [
            "--sort=name",
            "--owner=0",
            "--group=0",
            "-cf",
            archive.to_str().unwrap(),
            "-C",
            at.to_str().unwrap(),
            ".",
        ],
    );
    let made = ["a", "b"].map(|name| work.path().join(name));
    for (source, image) in [&at, &archive].into_iter().zip(&made) {
        let run = mkfs("ext4", source, image, &["--owner", "0:0", "--seed", "x", "--epoch", "1000"]).ends(0);
        assert_eq!(json(&run.stdout)["profile"]["name"], "debian-13");
    }
    let [a, b] = made.map(|image| std::fs::read(image).unwrap());
    assert!(a == b);
}

#[test]
fn a_plan_says_which_profile_and_why() {
    let work = tempfile::tempdir().unwrap();
    let at = work.path().join("tree");
    tree(&at, Some(JAMMY), true);
    let attributes = r#"image="oem" firmware="uefi" filesystem="ext3" fscreateoptions="-O metadata_csum_seed,metadata_csum""#;
    let description =
        description(&work.path().join("description"), attributes, r#"<bootloader name="custom"/>"#);
    let description = description.to_str().unwrap();
    let plan = diskwright(["plan", description]).ends(0).stdout;
    assert!(plan.contains("profile of p.lxroot: that of the release in the tree"), "{plan}");
    let plan = diskwright(["plan", description, "--target", "debian-12"]).ends(0).stdout;
    assert!(plan.contains("profile of p.lxroot: debian-12 (--target debian-12; measured)"), "{plan}");
    let plan = diskwright(["plan", description, "--root", at.to_str().unwrap()]).ends(0);
    assert!(
        plan.stdout.contains(
            "profile of p.lxroot: ubuntu-22.04 (os-release of the tree says Ubuntu 22.04; measured)"
        ),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stderr.contains("warning: p.lxroot: its GRUB 2.06 does not know metadata_csum_seed"),
        "{}",
        plan.stderr
    );
    let out = work.path().join("out");
    diskwright(["create", description, "--root", at.to_str().unwrap(), "-o", out.to_str().unwrap()]).ends(0);
    let disk = listing(&out).into_iter().find(|name| name.ends_with(".raw")).unwrap();
    let disk = out.join(disk);
    diskwright([Path::new("check"), &disk]).ends(0);
}

/// A description's bare file systems, of every generation.
#[test]
fn a_description_may_ask_for_each_generation() {
    let work = tempfile::tempdir().unwrap();
    let at = work.path().join("tree");
    tree(&at, Some(TRIXIE), false);
    for row in ["ext2", "ext3", "ext4"] {
        let attributes = format!("image=\"{row}\" fscreateoptions=\"-b 1024 -L data\"");
        let description = description(&work.path().join(row), &attributes, "<size>40</size>");
        let out = work.path().join(format!("out-{row}"));
        let [description, tree, out] = [&description, &at, &out].map(|path| path.to_str().unwrap());
        diskwright(["create", description, "--root", tree, "-o", out]).ends(0);
        let name = listing(Path::new(out)).into_iter().find(|name| name.ends_with(row)).unwrap();
        let image = Path::new(out).join(name);
        let found = diskwright([Path::new("inspect"), &image]).ends(0).stdout;
        assert!(found.contains(row) && found.contains("data"), "{found}");
        diskwright([Path::new("check"), &image]).ends(0);
    }
}

/// `--size` in every form, and what it says when that is too little is what it takes.
#[test]
fn a_size_that_is_refused_names_one_that_is_taken() {
    let work = tempfile::tempdir().unwrap();
    let (at, image) = (work.path().join("tree"), work.path().join("image"));
    tree(&at, None, false);
    write(at.join("usr/lib/firmware/large"), support::noise(1, 3 << 20));
    write(at.join("usr/share/doc/less"), support::noise(2, 1 << 20));
    for row in ["ext2", "ext3", "ext4"] {
        let refused = mkfs(row, &at, &image, &["--size", "2M"]).ends(1);
        let error = json(refused.stderr.lines().last().unwrap());
        let hint = error["hint"].as_str().unwrap().to_owned();
        let size = hint.split("--size ").nth(1).unwrap().split(';').next().unwrap().to_owned();
        assert!(hint.contains("/usr") && hint.contains("/usr/lib/firmware (3145728 bytes)"), "{hint}");
        let bytes: u64 = size.strip_suffix('B').unwrap().parse().unwrap();
        let made = json(&mkfs(row, &at, &image, &["--size", &size]).ends(0).stdout);
        assert_eq!(made["bytes"], bytes);
        let smallest = json(&mkfs(row, &at, &image, &["--size", "min"]).ends(0).stdout);
        assert_eq!(smallest["bytes"], bytes, "{row}: min is the size that would do");
        mkfs(row, &at, &image, &["--size", &format!("{}B", bytes - 4096)]).ends(1);
        let roomy = json(&mkfs(row, &at, &image, &["--size", "min+9M", "-m", "3"]).ends(0).stdout);
        assert!(roomy["free"].as_u64().unwrap() >= 9 << 20, "{roomy}");
        let times = json(&mkfs(row, &at, &image, &["--size", "min*150%"]).ends(0).stdout);
        assert_eq!(times["bytes"], bytes * 150 / 100);
        if let Some(program) = oracle("a_size_that_is_refused_names_one_that_is_taken", "e2fsck") {
            run(std::process::Command::new(program).arg("-fn").arg(&image)).ends(0);
        }
    }
}

/// GRUB reads every file of a `/boot` that its profile was made for, in every shape of file system.
#[test]
fn grub_reads_what_its_profile_makes() {
    let Some(grub) = oracle("grub_reads_what_its_profile_makes", "grub-fstest") else { return };
    let work = tempfile::tempdir().unwrap();
    let (at, image) = (work.path().join("tree"), work.path().join("image"));
    tree(&at, None, true);
    for (nr, len) in [0, 1, 1023, 4096, 50_000, 300_000, 5 << 20].into_iter().enumerate() {
        write(at.join(format!("boot/file-{nr}")), support::noise(nr as u64, len));
    }
    let long = "x".repeat(255);
    (0..400).for_each(|nr| write(at.join(format!("boot/grub/{nr:03}{}", &long[3..])), [nr as u8; 3]));
    let shapes: &[(&str, &[&str])] = &[
        ("ext4", &["--target", "debian-11"]),
        ("ext4", &["--target", "debian-12"]),
        ("ext4", &["--target", "debian-13"]),
        ("ext4", &["--target", "sles-12"]),
        ("ext4", &["--target", "fedora-39", "-b", "1024"]),
        ("ext4", &["-b", "2048", "-I", "512", "-O", "^extent,^64bit"]),
        ("ext3", &["-I", "128"]),
        ("ext2", &["-b", "1024"]),
        ("ext2", &["-O", "none"]),
    ];
    for (row, more) in shapes {
        mkfs(row, &at, &image, more).ends(0);
        let listed = tool(&grub, [image.as_os_str(), "ls".as_ref(), "/boot/grub/".as_ref()]);
        assert_eq!(listed.split_whitespace().filter(|name| name.len() == 255).count(), 400, "{row} {more:?}");
        for name in listing(&at.join("boot")).into_iter().filter(|name| name.starts_with("file-")) {
            let (inside, outside) = (format!("/boot/{name}"), at.join("boot").join(&name));
            let compared = [image.as_os_str(), "cmp".as_ref(), inside.as_ref(), outside.as_os_str()];
            let said = run(std::process::Command::new(&grub).args(compared)).ends(0);
            assert_eq!(said.stdout.trim().to_owned() + said.stderr.trim(), "", "{row} {more:?}: {name}");
        }
    }
}
