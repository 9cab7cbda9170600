//! What a new user does first, and what happens when it goes wrong.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use support::*;

const DISK: &str = r#"image="oem" firmware="uefi" filesystem="ext4" format="qcow2" efipartsize="40""#;
const SYSTEMD_BOOT: &str = r#"<bootloader name="systemd_boot" timeout="3"/>"#;

#[test]
fn the_example_of_the_readme_builds_and_every_checker_is_silent() {
    let out = tempfile::tempdir().unwrap();
    let made = out.path().join("out");
    let example = source("examples/first");
    diskwright(["build".as_ref(), example.as_os_str(), "-o".as_ref(), made.as_os_str()]).ends(0);
    let image =
        made.join(listing(&made).into_iter().find(|name| name.ends_with(".qcow2")).expect("a qcow2 image"));
    let checked = diskwright(["check".as_ref(), image.as_os_str()]).ends(0);
    assert!(checked.stdout.contains("clean"), "{}", checked.stdout);
    if let Some(qemu_img) = oracle("first", "qemu-img") {
        tool(qemu_img, ["check".as_ref(), image.as_os_str()]);
    }
}

#[test]
fn a_tree_alone_becomes_a_disk() {
    let at = tempfile::tempdir().unwrap();
    small_tree(&at.path().join("tree"));
    boot_files(&at.path().join("tree"));
    let (tree, image) = (at.path().join("tree"), at.path().join("disk.qcow2"));
    let arguments =
        ["create".as_ref(), "--root".as_ref(), tree.as_os_str(), "-o".as_ref(), image.as_os_str()];
    diskwright(arguments).ends(0);
    assert_eq!(listing(at.path()), ["disk.qcow2", "tree"]);
    let inspected = diskwright(["inspect".as_ref(), "--json".as_ref(), image.as_os_str()]).ends(0);
    let json: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(json["container"], "qcow2");
    assert_eq!(json["faults"], 0);
    assert_eq!(json["volumes"].as_array().unwrap().len(), 2, "{json:#}");
    assert_eq!(json["volumes"][1]["filesystem"]["kind"], "ext4");
    // What exists is not replaced unless that is said.
    let refused = diskwright(arguments).ends(1);
    assert!(refused.stderr.contains("disk.qcow2"), "{}", refused.stderr);
    diskwright(arguments.into_iter().chain(["--force".as_ref()])).ends(0);
}

#[test]
fn the_plan_has_rules_without_a_tree_and_numbers_with_one() {
    let at = tempfile::tempdir().unwrap();
    let here = description(at.path(), DISK, SYSTEMD_BOOT);
    small_tree(&at.path().join("tree"));
    boot_files(&at.path().join("tree"));
    let rules = diskwright(["plan".as_ref(), here.as_os_str()]).ends(0).stdout;
    for part in ["p.UEFI", "p.lxroot", "40 MiB", "content + max(256 MiB, 20 %)", "systemd"] {
        assert!(rules.contains(part), "{part} in\n{rules}");
    }
    let tree = at.path().join("tree");
    let numbers = diskwright([
        "plan".as_ref(),
        here.as_os_str(),
        "--root".as_ref(),
        tree.as_os_str(),
        "--json".as_ref(),
    ]);
    let json: serde_json::Value = serde_json::from_str(&numbers.ends(0).stdout).unwrap();
    let root = json["partitions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(root["start_sector"].as_u64().unwrap() % 2048, 0);
    assert!(root["usage"]["free"].as_u64().unwrap() >= 256 << 20, "{root:#}");
}

/// A case of bad input: a name, what makes it, the arguments, the exit code, what the message must say.
type Bad<'a> = (&'a str, &'a dyn Fn(&std::path::Path), &'a [&'a str], i32, &'a [&'a str]);

#[test]
fn bad_input_gets_a_clear_error_and_leaves_nothing_behind() {
    let with_boot: &dyn Fn(&std::path::Path) = &|at| {
        small_tree(&at.join("tree"));
        boot_files(&at.join("tree"));
        description(&at.join("d"), DISK, SYSTEMD_BOOT);
    };
    let create: &[&str] = &["create", "d", "--root", "tree", "-o", "out"];
    let cases: &[Bad<'_>] = &[
        (
            "no loader",
            &|at| {
                with_boot(at);
                std::fs::remove_file(at.join("tree/usr/lib/systemd/boot/efi/systemd-bootx64.efi")).unwrap();
            },
            create,
            1,
            &["systemd-bootx64.efi"],
        ),
        (
            "no kernel",
            &|at| {
                with_boot(at);
                std::fs::remove_file(at.join("tree/boot/vmlinuz-6.1.0-9-test")).unwrap();
            },
            create,
            1,
            &["vmlinuz"],
        ),
        (
            "an ESP that is too small",
            &|at| {
                with_boot(at);
                write(at.join("tree/boot/initrd.img-6.1.0-9-test"), noise(3, 60 << 20));
            },
            create,
            1,
            &["efipartsize"],
        ),
        (
            "a tree larger than the disk",
            &|at| {
                with_boot(at);
                let size = r#"<size unit="M">120</size>"#;
                description(&at.join("d"), DISK, &format!("{SYSTEMD_BOOT}{size}"));
                write(at.join("tree/usr/share/huge"), noise(3, 100 << 20));
            },
            create,
            1,
            &["usr/share"],
        ),
        (
            "GRUB",
            &|at| {
                with_boot(at);
                description(&at.join("d"), DISK, r#"<bootloader name="grub2"/>"#);
            },
            create,
            1,
            &["a signed GRUB is asked for and not in the tree", "grub-efi-amd64-signed", "firmware=\"efi\""],
        ),
        (
            "firmware bios",
            &|at| {
                with_boot(at);
                description(&at.join("d"), r#"image="oem" filesystem="ext4""#, SYSTEMD_BOOT);
            },
            create,
            1,
            &["firmware", "config.xml"],
        ),
        (
            "an attribute with a typing error",
            &|at| {
                with_boot(at);
                description(&at.join("d"), r#"image="oem" firmware="uefi" filesistem="ext4""#, SYSTEMD_BOOT);
            },
            create,
            1,
            &["filesistem", "filesystem"],
        ),
        ("no description", &|at| std::fs::create_dir(at.join("d")).unwrap(), create, 1, &["config.xml"]),
        (
            "broken XML",
            &|at| write(at.join("d/config.xml"), "<image>\n  <a></b>\n</image>"),
            create,
            1,
            &["config.xml", "2"],
        ),
        (
            "no tree",
            &|at| {
                description(&at.join("d"), DISK, SYSTEMD_BOOT);
            },
            create,
            1,
            &["tree"],
        ),
        (
            "a name that FAT has not",
            &|at| write(at.join("tree/a:b"), ""),
            &["mkfs", "vfat", "tree", "i"],
            1,
            &["a:b"],
        ),
        (
            "a symlink on FAT",
            &|at| {
                write(at.join("tree/x"), "");
                std::os::unix::fs::symlink("x", at.join("tree/link")).unwrap();
            },
            &["mkfs", "vfat", "tree", "i"],
            1,
            &["/link", "symlink"],
        ),
        (
            "4 GiB on FAT",
            &|at| {
                write(at.join("tree/x"), "");
                std::fs::File::create(at.join("tree/large")).unwrap().set_len(4 << 30).unwrap();
            },
            &["mkfs", "vfat", "tree", "i"],
            1,
            &["/large"],
        ),
        (
            "an unknown option",
            &|at| write(at.join("tree/x"), ""),
            &["mkfs", "ext4", "tree", "i", "--frobnicate"],
            1,
            &["frobnicate"],
        ),
        (
            "FAT32 on too few clusters",
            &|at| write(at.join("tree/x"), ""),
            &["mkfs", "fat32", "--size", "20M", "tree", "i"],
            1,
            &["vfat", "fat32"],
        ),
        (
            "no such file system",
            &|at| write(at.join("tree/x"), ""),
            &["mkfs", "zfs", "tree", "i"],
            2,
            &["zfs", "ext4"],
        ),
        (
            "no size",
            &|at| write(at.join("tree/x"), ""),
            &["mkfs", "ext4", "--size", "9Q", "tree", "i"],
            2,
            &["9Q"],
        ),
        (
            "too small",
            &|at| write(at.join("tree/x"), noise(1, 9 << 20)),
            &["mkfs", "ext4", "--size", "4M", "tree", "i"],
            1,
            &["tree"],
        ),
        (
            "a tar cut short",
            &|at| {
                let mut tar = vec![0u8; 512 * 3];
                tar[..4].copy_from_slice(b"file");
                tar[124..136].copy_from_slice(b"00000010000\0");
                write(at.join("cut.tar"), tar);
            },
            &["mkfs", "ext4", "cut.tar", "i"],
            1,
            &["cut.tar"],
        ),
        (
            "no such ending",
            &|at| write(at.join("tree/x"), ""),
            &["create", "--root", "tree", "-o", "disk.foo"],
            2,
            &["foo", "qcow2"],
        ),
    ];
    for (name, make, arguments, code, says) in cases {
        let at = tempfile::tempdir().unwrap();
        make(at.path());
        let before = listing(at.path());
        let ended = run(command(*arguments).current_dir(at.path()));
        assert_eq!(ended.code, Some(*code), "{name}:\n{}{}", ended.stdout, ended.stderr);
        for word in *says {
            assert!(ended.stderr.contains(word), "{name}: {word:?} is not in:\n{}", ended.stderr);
        }
        assert_eq!(listing(at.path()), before, "{name}: something was left behind");
    }
}

#[test]
fn an_unreadable_file_is_named() {
    if root() {
        return inapplicable("unreadable", "root reads everything; the run as an ordinary user covers it");
    }
    let at = tempfile::tempdir().unwrap();
    write(at.path().join("tree/secret"), "x");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(at.path().join("tree/secret"), closed).unwrap();
    let ended = run(command(["mkfs", "ext4", "tree", "i"]).current_dir(at.path()));
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("secret"), "{}", ended.stderr);
    assert_eq!(listing(at.path()), ["tree"]);
}

#[test]
fn help_completions_man_pages_and_doctor_are_there() {
    let at = tempfile::tempdir().unwrap();
    for command in ["create", "build", "plan", "mkfs", "tree", "inspect", "check", "doctor"] {
        let help = diskwright([command, "--help"]).ends(0).stdout;
        assert!(help.contains("--json") && help.contains("Usage"), "{command}: {help}");
    }
    assert!(diskwright(["completions", "bash"]).ends(0).stdout.contains("diskwright"));
    let man = at.path().join("man");
    diskwright(["man".as_ref(), man.as_os_str()]).ends(0);
    assert!(listing(&man).contains(&"diskwright-create.1".to_owned()));
    let doctor: serde_json::Value =
        serde_json::from_str(&diskwright(["doctor", "--json"]).ends(0).stdout).unwrap();
    assert!(doctor["findings"].as_array().is_some_and(|findings| findings.len() > 5));
}
