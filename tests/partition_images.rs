//! Partitions that are made of images that other programs wrote, and their clones.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::disks::{check_differences, cut, made, number, output};
use support::{command, listing, oracle, run, tool};

const ATTRIBUTES: &str = r#"image="oem" firmware="uefi" filesystem="ext4" root_clone="1""#;
const INNER: &str = r#"<bootloader name="custom"/>
    <oemconfig><oem-resize>false</oem-resize><oem-systemsize>60</oem-systemsize></oemconfig>
    <partitions>
        <partition name="home" size="16" mountpoint="/home" filesystem="ext3" clone="2"/>
        <partition name="space" size="9" clone="1"/>
        <partition name="data" size="40" mountpoint="/srv" filesystem="fat32" clone="1"/>
    </partitions>"#;

/// An ext4 with files, swap, and a FAT.
fn images(test: &str, at: &Path) -> Option<[PathBuf; 3]> {
    let found = ["mke2fs", "mkswap", "mkfs.fat", "qemu-img"].map(|program| oracle(test, program));
    let [Some(mke2fs), Some(mkswap), Some(fat), Some(_)] = found else { return None };
    let paths = ["home", "space", "data"].map(|name| at.join(name));
    for (path, mib) in paths.iter().zip([12, 9, 20]) {
        std::fs::File::create(path).unwrap().set_len(mib << 20).unwrap();
    }
    let tree = at.join("files");
    support::write(tree.join("user/file"), support::noise(3, 500_000));
    tool(
        mke2fs,
        ["-q", "-t", "ext4", "-L", "MINE", "-d", tree.to_str().unwrap(), paths[0].to_str().unwrap()],
    );
    tool(mkswap, ["-L", "space", paths[1].to_str().unwrap()]);
    tool(fat, ["-F", "16", "-n", "DATA", paths[2].to_str().unwrap()]);
    Some(paths)
}

fn options(given: &[String]) -> Vec<&str> {
    let partitions = given.iter().flat_map(|one| ["--partition", one]);
    ["--format", "raw"].into_iter().chain(partitions).collect()
}

#[test]
fn images_and_their_clones() {
    let test = "images_and_their_clones";
    let folder = tempfile::tempdir().unwrap();
    let Some(paths) = images(test, folder.path()) else { return };
    let given: Vec<String> = ["home", "space", "data"]
        .iter()
        .zip(&paths)
        .map(|(name, path)| format!("{name}={}", path.display()))
        .collect();
    let made_of =
        |name: &str, given: &[String]| made(&folder.path().join(name), ATTRIBUTES, INNER, &options(given));
    let first = made_of("first", &given);
    let [raw, clones] = ["raw", "clones.json"].map(|format| output(&first, format));
    let clones: Value = serde_json::from_slice(&std::fs::read(clones).unwrap()).unwrap();
    assert_eq!(clones["clones"].as_array().unwrap().len(), 5);
    check_differences(&raw, &clones);
    let said = run(&mut command(["check", raw.to_str().unwrap()])).ends(0);
    assert_eq!(said.stdout.matches(" with ids of its own\n").count(), 5, "{}", said.stdout);
    let partitions = first["layout"]["partitions"].as_array().unwrap();
    let e2fsck = oracle(test, "e2fsck");
    let blkid = oracle(test, "blkid");
    for part in partitions {
        let role = part["role"].as_str().unwrap();
        let base = role.split("clone").next().unwrap();
        let Some(at) = ["home", "space", "data"].iter().position(|name| *name == base) else { continue };
        let (start, len) = (number(part, "start_sector") * 512, number(part, "size_sectors") * 512);
        let bytes = cut(&raw, start, len, &folder.path().join("part"));
        let of = bytes.to_str().unwrap();
        if role == base {
            // The origin is the image, and zeros behind it.
            let mut expected = std::fs::read(&paths[at]).unwrap();
            expected.resize(len as usize, 0);
            assert!(std::fs::read(&bytes).unwrap() == expected, "{role}");
        }
        if let Some(e2fsck) = e2fsck.as_ref().filter(|_| base == "home") {
            let said = tool(e2fsck, ["-fn", of]);
            assert_eq!(said.lines().filter(|line| !line.starts_with("e2fsck ")).count(), 6, "{said}");
        }
        if let Some(blkid) = &blkid {
            let said = tool(blkid, ["-p", "-o", "export", of]);
            for (key, value) in
                [("UUID", &part["uuid"]), ("LABEL", &part["label"]), ("TYPE", &part["filesystem"])]
            {
                let line = format!("{key}={}", value.as_str().unwrap());
                assert!(said.lines().any(|one| one == line), "{line} in {said}");
            }
        }
    }
    // The system mounts the origins by their own ids, and sees nothing of what the tree had there.
    let of =
        |role: &str| partitions.iter().find(|one| one["role"] == role).unwrap()["uuid"].as_str().unwrap();
    let fstab = first["layout"]["fstab"].as_array().unwrap();
    for (role, path) in [("home", "/home"), ("data", "/srv"), ("space", "swap")] {
        let entry = fstab.iter().find(|entry| entry["mountpoint"] == path);
        assert_eq!(entry.unwrap()["spec"], format!("UUID={}", of(role)), "{fstab:?}");
    }
    assert_eq!(first["layout"]["left_out"], serde_json::json!(["/home/*", "/srv/*"]));
    // A container around the image changes nothing.
    let qcow2 = folder.path().join("home.qcow2");
    let [from, to] = [&paths[0], &qcow2].map(|path| path.to_str().unwrap());
    tool("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", from, to]);
    let mut contained = given.clone();
    contained[0] = format!("home={to}");
    let second = made_of("second", &contained);
    assert!(std::fs::read(&raw).unwrap() == std::fs::read(output(&second, "raw")).unwrap());
}

#[test]
fn what_cannot_be_made_of_an_image_is_refused() {
    let test = "what_cannot_be_made_of_an_image_is_refused";
    let folder = tempfile::tempdir().unwrap();
    let Some([home, _, data]) = images(test, folder.path()) else { return };
    let unknown = folder.path().join("unknown");
    std::fs::write(&unknown, support::noise(5, 300_000)).unwrap();
    let description = support::description(&folder.path().join("description"), ATTRIBUTES, INNER);
    let tree = support::disks::tree(&folder.path().join("tree"));
    let out = folder.path().join("out");
    let refused = |given: &str, code: i32, words: &str| {
        let mut command = command(["create"]);
        command.arg(&description).arg("--root").arg(&tree).arg("-o").arg(&out).args(["--partition", given]);
        let said = run(&mut command).ends(code);
        assert!(said.stderr.contains(words), "{given}: {}", said.stderr);
        assert!(listing(&out).is_empty());
    };
    let of = |name: &str, path: &Path| format!("{name}={}", path.display());
    refused(&of("home", &data), 1, "it has 16 MiB, and needs 20 MiB");
    refused(&of("root", &home), 1, "the root is made of the tree");
    refused(&of("space", &unknown), 1, "no known file system would have the same ids");
    refused(&of("attic", &home), 1, "no such partition: attic");
    refused(&of("home", &folder.path().join("missing")), 1, "No such file");
    refused("home", 2, "not NAME=FILE");
    // Not unmounted: its journal knows more than its blocks.
    let state = std::fs::read(&home).unwrap();
    let mut dirty = state.clone();
    dirty[1024 + 58] &= !1;
    std::fs::write(&home, dirty).unwrap();
    refused(&of("home", &home), 1, "p.lxhomeclone1");
}

#[test]
fn a_partition_without_a_size_is_as_long_as_its_image() {
    let test = "a_partition_without_a_size_is_as_long_as_its_image";
    let folder = tempfile::tempdir().unwrap();
    let Some(mke2fs) = oracle(test, "mke2fs") else { return };
    let path = folder.path().join("efi");
    std::fs::File::create(&path).unwrap().set_len((3 << 20) + 4096).unwrap();
    run(Command::new(mke2fs).args(["-q", "-t", "ext2"]).arg(&path)).ends(0);
    let tree = folder.path().join("tree");
    support::small_tree(&tree);
    support::boot_files(&tree);
    let (out, option) = (folder.path().join("disk.raw"), format!("efi={}", path.display()));
    let mut arguments = command(["create", "--json", "--owner", "0:0", "--no-boot", "--esp-size", "min"]);
    arguments.arg("--root").arg(&tree).arg("-o").arg(&out).args(["--partition", &option]);
    // Without a loader there is no EFI system partition that it could be.
    let said = run(&mut arguments).ends(1);
    assert!(said.stderr.contains("no such partition: efi"), "{}", said.stderr);
    let description = support::description(
        &folder.path().join("description"),
        ATTRIBUTES,
        r#"<bootloader name="custom"/><oemconfig><oem-resize>false</oem-resize><oem-systemsize>60</oem-systemsize></oemconfig>"#,
    );
    let mut arguments = command(["plan", "--json", "--owner", "0:0", "--esp-size", "min"]);
    arguments.arg(description).arg("--root").arg(&tree).args(["--partition", &option]);
    let said = run(&mut arguments).ends(0);
    let plan: Value = serde_json::from_str(&said.stdout).unwrap();
    let esp = plan["partitions"].as_array().unwrap().iter().find(|one| one["role"] == "efi").unwrap();
    assert_eq!(number(esp, "size_sectors") * 512, 4 << 20, "{esp}");
}
