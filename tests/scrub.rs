//! Two trees of the same packages, made at different times, are the same once the state of the builds is taken away.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use diskwright::root::setup::scrub::Scrub;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use support::{all, inapplicable, oracle, tool};

const PACKAGES: &str = "systemd,systemd-sysv,dbus,linux-image-cloud-amd64,initramfs-tools,grub-pc,openssh-server,\
    python3-minimal,ca-certificates,man-db,locales,fontconfig,cloud-init,ssl-cert";

/// What other steps see to: the id of the machine, the initrd.
fn of_others(path: &str) -> bool {
    path == "etc/machine-id" || path.starts_with("boot/initrd.img")
}

fn everything(root: &Path) -> BTreeMap<String, (u32, u32, u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if metadata.is_file() {
                std::fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            if metadata.is_dir() {
                waiting.push(path.clone());
            }
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if !of_others(&name) {
                found.insert(name, (metadata.mode(), metadata.uid(), metadata.gid(), content));
            }
        }
    }
    found
}

fn different(one: &Path, other: &Path) -> Vec<String> {
    let (one, other) = (everything(one), everything(other));
    let paths: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    paths.into_iter().filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}

#[test]
fn two_builds_are_the_same() {
    let test = "two_builds_are_the_same";
    if !all() {
        return inapplicable(test, "slow (DISKWRIGHT_ALL=1)");
    }
    let Some(mmdebstrap) = oracle(test, "mmdebstrap") else { return };
    if !support::root() {
        return inapplicable(test, "owners are kept by root alone");
    }
    let work = tempfile::tempdir_in("/dev/shm").unwrap();
    let epoch = 1_700_000_000;
    let trees = ["one", "other"].map(|name| {
        let (tar, tree) = (work.path().join(format!("{name}.tar")), work.path().join(name));
        std::fs::create_dir(&tree).unwrap();
        let (tar, directory) = (tar.to_str().unwrap(), tree.to_str().unwrap());
        let include = format!("--include={PACKAGES}");
        let words = ["--mode=root", "--variant=important", "--skip=cleanup", &include, "bookworm", tar];
        tool(&mmdebstrap, words);
        tool("tar", ["--exclude=./dev/*", "-C", directory, "-xpf", tar]);
        std::fs::remove_file(tar).unwrap();
        tree
    });
    let before = different(&trees[0], &trees[1]);
    for tree in &trees {
        Scrub { epoch, ..Scrub::default() }.apply(tree).unwrap();
    }
    let left = different(&trees[0], &trees[1]);
    assert_eq!(left, Vec::<String>::new());
    assert!(before.iter().any(|path| path.starts_with("etc/ssh/ssh_host_")), "{before:?}");
    assert!(before.iter().any(|path| path.starts_with("var/log/")), "{before:?}");
    let shadow = std::fs::read_to_string(trees[0].join("etc/shadow")).unwrap();
    let days = shadow.lines().map(|line| line.split(':').nth(2).unwrap().parse::<i64>().unwrap());
    assert!(days.max().unwrap() <= epoch / 86400, "{shadow}");
    assert!(trees[0].join("etc/systemd/system/machine-keys.service").is_file());
}
