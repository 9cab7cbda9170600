//! `diskwright doctor`: what this host offers, found out by trying.

use super::fail::Failure;
use super::run::{firmware_directories, install};
use super::sandbox::Sandboxed;
use super::say::{Voice, size, table};
use super::setting::Setting;
use crate::lab;
use crate::model::Arch;
use crate::sys;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::Serialize;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

#[derive(Serialize)]
struct Findings {
    schema: u32,
    findings: Vec<Finding>,
}

/// One thing that was tried.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    /// `yes`, `no`, or a value.
    found: String,
    /// What it is good for.
    used_for: &'static str,
    /// What mends its absence; empty where nothing is missing.
    mend: String,
}

/// Programs that check or run images. None is needed to make one.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("qemu-system-x86_64", "booting images", "qemu-system-x86"),
    ("qemu-img", "checking qcow2", "qemu-utils"),
    ("e2fsck", "checking ext4", "e2fsprogs"),
    ("fsck.fat", "checking FAT", "dosfstools"),
    ("sgdisk", "checking GPT", "gdisk"),
];

/// Tries everything and prints what it found.
pub(super) fn doctor(setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let work_dir = setting.work_dir(None);
    let mut findings = vec![
        finding(
            "making disk images",
            "yes".to_owned(),
            "create, build, mkfs: need no privilege and no tool",
            "",
        ),
        finding("threads", setting.threads.to_string(), "reading and writing", ""),
        finding("cache directory", setting.cache_dir.display().to_string(), "packages, prepared trees", ""),
        space(&work_dir),
        reflinks(&work_dir),
        paths(),
    ];
    findings.extend(sandbox(setting));
    findings.extend(PROGRAMS.iter().map(|&(program, purpose, package)| {
        match lab::find_program(program, &setting.path) {
            Some(path) => finding(program, path.display().to_string(), purpose, ""),
            None => finding(program, "no".to_owned(), purpose, &format!("install {package}; optional")),
        }
    }));
    findings.extend([
        kvm(setting),
        firmware("UEFI firmware", "booting images by UEFI", false, setting),
        firmware("UEFI with Secure Boot", "booting signed images", true, setting),
    ]);
    let head = [("what", false), ("found", false), ("used for", false), ("what mends it", false)];
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|it| vec![it.what.to_owned(), it.found.clone(), it.used_for.to_owned(), it.mend.clone()])
        .collect();
    voice.result(&Findings { schema: 1, findings }, &table(&head, &rows))
}

fn finding(what: &'static str, found: String, used_for: &'static str, mend: &str) -> Finding {
    Finding { what, found, used_for, mend: mend.to_owned() }
}

fn yes(found: bool) -> String {
    if found { "yes" } else { "no" }.to_owned()
}

fn space(directory: &Path) -> Finding {
    let free = rustix::fs::statvfs(directory).map(|it| it.f_bavail.saturating_mul(it.f_frsize));
    match free {
        Ok(free) => finding("room in the work directory", size(free), "spools of compressed archives", ""),
        Err(error) => {
            let text = format!("{}: {error}", directory.display());
            finding(
                "room in the work directory",
                text,
                "spools of compressed archives",
                "give --work-dir DIR",
            )
        }
    }
}

fn reflinks(directory: &Path) -> Finding {
    let found = can_clone(directory).unwrap_or(false);
    let mend = if found { "" } else { "outputs and tree on one btrfs or XFS; bytes are copied otherwise" };
    finding("reflinks in the work directory", yes(found), "sharing file data instead of copying it", mend)
}

/// Shares a block between two files that vanish with their descriptors.
fn can_clone(directory: &Path) -> std::io::Result<bool> {
    let file = || {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR)
    };
    let (from, to) = (file()?, file()?);
    rustix::io::write(&from, &[1; 65536])?;
    Ok(sys::clone_range(from.as_fd(), 0, 65536, to.as_fd(), 0).is_ok())
}

fn paths() -> Finding {
    let (flags, resolve) = (OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::BENEATH);
    let found = rustix::fs::openat2(rustix::fs::CWD, ".", flags, Mode::empty(), resolve).is_ok();
    let mend = if found {
        ""
    } else {
        "a kernel from 5.6 on whose sandbox allows it; each directory is opened otherwise"
    };
    finding("openat2", yes(found), "reading a tree without leaving it", mend)
}

fn kvm(setting: &Setting) -> Finding {
    let program = lab::find_program(lab::system_program(Arch::X86_64), &setting.path);
    let found = match program {
        Some(program) => lab::kvm(&program, Arch::X86_64),
        None => Err("QEMU is not installed".to_owned()),
    };
    match found {
        Ok(()) => finding("KVM", "yes".to_owned(), "booting images fast", ""),
        Err(why) => {
            finding("KVM", format!("no: {why}"), "booting images fast", "they are emulated, which is slower")
        }
    }
}

fn firmware(what: &'static str, used_for: &'static str, secure: bool, setting: &Setting) -> Finding {
    match lab::find_uefi(Arch::X86_64, secure, &firmware_directories(setting)) {
        Some(uefi) => finding(what, uefi.code.0.display().to_string(), used_for, ""),
        None => {
            let mend = lab::firmware_package(Arch::X86_64).map(install).unwrap_or_default();
            finding(what, "no".to_owned(), used_for, &(mend + "; optional"))
        }
    }
}

fn sandbox(setting: &Setting) -> Vec<Finding> {
    let what = "sandbox";
    let used_for = "installing packages and running scripts: prepare, build, enter";
    let found = match super::sandbox::tried(&Sandboxed::default(), setting, Arc::default()) {
        Ok(found) => found,
        Err(error) => return vec![finding(what, format!("no: {}", error.message), used_for, "")],
    };
    let tried = found
        .tried
        .iter()
        .map(|one| finding("sandbox, tried", format!("{}: {}", one.mode, one.reason), used_for, &one.mend));
    let works = match &found.sandbox {
        None => finding(what, "no".to_owned(), used_for, "see above; disk images are made without"),
        Some(sandbox) if sandbox.proc => finding(what, sandbox.mode.name().to_owned(), used_for, ""),
        Some(sandbox) => {
            let mend = "initrds cannot be made without /proc: run as an ordinary user, or let the container mount it";
            finding(what, format!("{}, without /proc", sandbox.mode), used_for, mend)
        }
    };
    tried.chain([works]).collect()
}
