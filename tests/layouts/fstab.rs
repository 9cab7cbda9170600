//! What a tree wants of the generated fstab: `etc/fstab.append` and `etc/fstab.patch`.

use crate::support::{self, diskwright};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A tree and a description whose fstab has a root and an EFI system partition, by label.
fn setting(at: &Path) {
    support::small_tree(&at.join("root"));
    let attributes = "image=\"oem\" filesystem=\"ext4\" firmware=\"uefi\" devicepersistency=\"by-label\"";
    support::description(&at.join("description"), attributes, "<bootloader name=\"custom\"/>");
}

fn plan(at: &Path) -> support::Run {
    let [description, root] = ["description", "root"].map(|name| at.join(name).display().to_string());
    diskwright(["plan", &description, "--root", &root, "--json", "--owner", "0:0"])
}

/// The text of fstab, the mount points in it, and what was left out.
fn fstab(at: &Path) -> (String, Vec<String>, Vec<String>) {
    let json: Value = serde_json::from_str(&plan(at).ends(0).stdout).expect("JSON");
    let files = json["files"].as_array().expect("a list");
    let file = files.iter().find(|file| file["path"] == "/etc/fstab").expect("it is generated");
    let texts = |list: &Value, key: Option<&str>| {
        let text = |one: &Value| key.map_or(one, |key| &one[key]).as_str().expect("a text").to_owned();
        list.as_array().expect("a list").iter().map(text).collect::<Vec<String>>()
    };
    (
        file["text"].as_str().expect("a text").to_owned(),
        texts(&json["fstab"], Some("mountpoint")),
        texts(&json["left_out"], None),
    )
}

const PLAIN: &str = "LABEL=ROOT / ext4 defaults 0 1\nLABEL=EFI /boot/efi vfat defaults 0 0\n";

#[test]
fn lines_are_appended_and_patched() {
    let work = tempfile::tempdir().unwrap();
    setting(work.path());
    assert_eq!(fstab(work.path()).0, PLAIN);
    let etc = work.path().join("root/etc");
    support::write(etc.join("fstab.append"), "tmpfs /tmp tmpfs size=1G 0 0\n");
    let (text, mounted, left_out) = fstab(work.path());
    assert_eq!(text, format!("{PLAIN}tmpfs /tmp tmpfs size=1G 0 0\n"));
    assert_eq!(mounted, ["/", "/boot/efi", "/tmp"]);
    assert!(left_out.contains(&"/etc/fstab.append".to_owned()), "{left_out:?}");
    let patch = "--- etc/fstab\n+++ etc/fstab\n@@ -1,3 +1,2 @@\n-LABEL=ROOT / ext4 defaults 0 1\n+LABEL=ROOT / ext4 noatime 0 1\n \
                 LABEL=EFI /boot/efi vfat defaults 0 0\n-tmpfs /tmp tmpfs size=1G 0 0\n";
    support::write(etc.join("fstab.patch"), patch);
    let (text, mounted, left_out) = fstab(work.path());
    assert_eq!(text, PLAIN.replacen("defaults", "noatime", 1));
    assert_eq!(mounted, ["/", "/boot/efi"]);
    assert!(left_out.contains(&"/etc/fstab.patch".to_owned()), "{left_out:?}");
}

#[test]
fn patches_of_diff_apply_as_patch_does_it() {
    let test = "patches_of_diff_apply_as_patch_does_it";
    let (Some(diff), Some(patch)) = (support::oracle(test, "diff"), support::oracle(test, "patch")) else {
        return;
    };
    let work = tempfile::tempdir().unwrap();
    setting(work.path());
    let append: String = (0..30).map(|at| format!("tmpfs /t{at} tmpfs defaults 0 0\n")).collect();
    let base = format!("{PLAIN}{append}");
    support::write(work.path().join("root/etc/fstab.append"), &append);
    let wanted = [
        base.replace("/t3 ", "/three "),
        base.replace("tmpfs /t0 tmpfs defaults 0 0\n", "").replace("/t29", "/last"),
        format!("# first\n{base}"),
        base.trim_end().to_owned(),
        base.lines().rev().map(|line| format!("{line}\n")).collect(),
        "none\n".to_owned(),
    ];
    for wanted in wanted {
        let [old, new] = ["old", "new"].map(|name| work.path().join(name));
        support::write(&old, &base);
        support::write(&new, &wanted);
        let made = support::run(Command::new(&diff).arg("-u").args([&old, &new])).ends(1).stdout;
        support::write(work.path().join("root/etc/fstab.patch"), &made);
        assert_eq!(fstab(work.path()).0, wanted);
        support::tool(&patch, [&old, &work.path().join("root/etc/fstab.patch")]);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), wanted);
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let work = tempfile::tempdir().unwrap();
    setting(work.path());
    let cases: [(&str, &[u8], &str); 4] = [
        (
            "fstab.patch",
            b"\n@@ -1 +1 @@\n-UUID=x / ext4\n+y\n",
            "line 2: the patch of fstab does not apply: its lines are not in the file",
        ),
        ("fstab.patch", b"s/a/b/\n", "line 1: the patch of fstab does not apply: no unified diff"),
        ("fstab.append", b"\xff\n", "the tree asks for a step that is not supported yet"),
        ("fstab.script", b"#!/bin/sh\n", "the tree asks for a step that is not supported yet"),
    ];
    for (name, bytes, said) in cases {
        let path = work.path().join("root/etc").join(name);
        support::write(&path, bytes);
        let run = plan(work.path());
        assert!(run.code != Some(0) && run.stderr.contains(said) && run.stderr.contains(name), "{run:?}");
        std::fs::remove_file(path).unwrap();
    }
}
