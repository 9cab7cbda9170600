//! `image resize`: the disk of a build becomes longer, in KIWI's words.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::path::PathBuf;
use support::{Run, command, description, oracle, run, tool, write};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

struct Build(TempDir);

impl Build {
    /// The results of a description with a type like this.
    fn of(attributes: &str) -> Build {
        let build = Build(tempfile::tempdir().unwrap());
        let inner = "<bootloader name=\"custom\"/><oemconfig><oem-resize>false</oem-resize></oemconfig>";
        description(&build.path("d"), &format!("image=\"oem\" filesystem=\"ext4\" {attributes}"), inner);
        write(build.path("d/root/etc/hostname"), "small\n");
        build.run("system build --description d --target-dir out").ends(0);
        build
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, line: &str) -> Run {
        run(command(line.split_whitespace()).current_dir(self.0.path()))
    }

    fn disk(&self, format: &str) -> PathBuf {
        self.path(&format!("out/test-image.x86_64-1.2.3.{format}"))
    }

    fn inspect(&self, format: &str) -> Value {
        let run = self.run(&format!("--json inspect {}", self.disk(format).display())).ends(0);
        serde_json::from_str(&run.stdout).unwrap()
    }

    fn resize(&self, size: &str) -> Value {
        let run = self.run(&format!("image resize --target-dir out --size {size} --json")).ends(0);
        serde_json::from_str(&run.stdout).unwrap()
    }
}

#[test]
fn a_gpt_ends_at_the_new_end_and_nothing_else_moves() {
    let test = "a_gpt_ends_at_the_new_end_and_nothing_else_moves";
    let build = Build::of("firmware=\"uefi\"");
    let disk = build.disk("raw");
    let (before, old) = (std::fs::read(&disk).unwrap(), build.inspect("raw"));
    let report = build.resize("700m");
    assert_eq!(
        (report["old"].as_u64(), report["new"].as_u64()),
        (Some(before.len() as u64), Some(700 * MIB))
    );
    let (after, new) = (std::fs::read(&disk).unwrap(), build.inspect("raw"));
    assert_eq!(after.len() as u64, 700 * MIB);
    assert_eq!((&old["volumes"], &old["table"]), (&new["volumes"], &new["table"]));
    build.run(&format!("check {}", disk.display())).ends(0);
    // But for the primary header and the size in the protective record, all is as it was up to the old second copy.
    let tail = before.len() - 33 * 512;
    let other = (0..tail)
        .find(|&at| before[at] != after[at] && !(512..604).contains(&at) && !(446..462).contains(&at));
    assert_eq!(other, None);
    assert!(after[tail..after.len() - 33 * 512].iter().all(|&byte| byte == 0), "what is new is empty");
    if let Some(sgdisk) = oracle(test, "sgdisk") {
        let said = tool(&sgdisk, ["-v".as_ref(), disk.as_os_str()]);
        assert!(said.contains("No problems found") && !said.to_lowercase().contains("warning"), "{said}");
        let said = tool(&sgdisk, ["-p".as_ref(), disk.as_os_str()]);
        assert!(said.contains("Partition table holds up to 128 entries"), "{said}");
        assert!(said.contains(&format!("last usable sector is {}", 700 * 2048 - 34)), "{said}");
    }
    // The same size again: nothing to do.
    let time = std::fs::metadata(&disk).unwrap().modified().unwrap();
    let report = build.resize(&(700 * MIB).to_string());
    assert_eq!(report["old"], report["new"]);
    assert_eq!(std::fs::metadata(&disk).unwrap().modified().unwrap(), time);
}

#[test]
fn every_format_gets_the_longer_disk() {
    let test = "every_format_gets_the_longer_disk";
    let build = Build::of("firmware=\"uefi\" format=\"qcow2\"");
    let formats: Vec<&str> =
        ["raw", "qcow2"].into_iter().filter(|format| build.disk(format).exists()).collect();
    assert!(formats.contains(&"qcow2"));
    let report = build.resize("2g");
    assert_eq!(report["files"].as_array().unwrap().len(), formats.len(), "{report}");
    for format in formats {
        assert_eq!(build.inspect(format)["disk_bytes"], 2048 * MIB, "{format}");
        build.run(&format!("check {}", build.disk(format).display())).ends(0);
    }
    let Some(qemu) = oracle(test, "qemu-img") else { return };
    let said = tool(&qemu, ["info".as_ref(), build.disk("qcow2").as_os_str()]);
    assert!(said.contains("virtual size: 2 GiB"), "{said}");
    tool(&qemu, ["check".as_ref(), build.disk("qcow2").as_os_str()]);
}

#[test]
fn of_an_mbr_only_the_length_changes() {
    let build = Build::of("firmware=\"bios\" efiparttable=\"msdos\"");
    let disk = build.disk("raw");
    let before = std::fs::read(&disk).unwrap();
    build.resize("900m");
    let after = std::fs::read(&disk).unwrap();
    assert_eq!(after.len() as u64, 900 * MIB);
    assert!(before == after[..before.len()] && after[before.len()..].iter().all(|&byte| byte == 0));
}

#[test]
fn what_cannot_be_is_refused() {
    let build = Build::of("firmware=\"uefi\"");
    let before = std::fs::read(build.disk("raw")).unwrap();
    let len = before.len();
    for (line, code, words) in [
        ("--size 1m", 1, format!("a disk of {len} bytes would lose its end: 1048576 bytes")),
        ("--size 20t", 2, "--size is no size of a disk: 20t".to_owned()),
        ("--size g", 2, "--size is no size of a disk: g".to_owned()),
        ("--size 99999999999g", 2, "--size is no size of a disk".to_owned()),
        ("--size 1000000001", 2, "no whole number of sectors".to_owned()),
    ] {
        let run = build.run(&format!("image resize --target-dir out {line}")).ends(code);
        assert!(run.stderr.contains(&words) && run.stderr.contains("hint: "), "{line}: {}", run.stderr);
    }
    build.run("image resize --target-dir nowhere --size 1g").ends(1);
    assert!(std::fs::read(build.disk("raw")).unwrap() == before, "nothing was written");
    // A table that is damaged is not carried on.
    let mut damaged = before.clone();
    damaged[512 + 60] ^= 1;
    write(build.disk("raw"), &damaged);
    let run = build.run("image resize --target-dir out --size 1g").ends(1);
    assert!(run.stderr.contains("gpt: primary header"), "{}", run.stderr);
    assert!(std::fs::read(build.disk("raw")).unwrap() == damaged);
}

#[test]
fn a_bare_file_system_is_no_disk() {
    let build = Build(tempfile::tempdir().unwrap());
    description(&build.path("d"), "image=\"ext4\"", "<size unit=\"M\">8</size>");
    write(build.path("d/root/etc/hostname"), "small\n");
    build.run("system build --description d --target-dir out").ends(0);
    let run = build.run("image resize --target-dir out --size 1g").ends(1);
    assert!(
        run.stderr.contains("no disk among the results") && run.stderr.contains("hint: "),
        "{}",
        run.stderr
    );
}
