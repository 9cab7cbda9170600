//! A whole disk from a tree: GPT, EFI system partition, ext4 root, qcow2; by diskwright and by the shell's tools, the data on
//! the disk at the end of each. Interleaved, median of the rounds.
use super::runs::{Run, interleaved, run, size, table};
use super::trees;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ESP_MIB: u64 = 128;

/// Makes the tree (kind `system`) where there is none, and lets them compete in `work`.
pub(crate) fn main(tree: &Path, work: &Path, rounds: usize) -> io::Result<()> {
    fs::create_dir_all(work)?;
    if !tree.exists() {
        let kind = trees::KINDS.iter().find(|kind| kind.name == "system").expect("a kind");
        trees::make(kind, tree, kind.usual)?;
    }
    compete(tree, work, rounds)
}

fn compete(tree: &Path, work: &Path, rounds: usize) -> io::Result<()> {
    let (entries, mib) = measure_tree(tree)?;
    // Room for both at the same size: the root as large as its content and a third.
    let root_mib = mib + mib / 3 + 64;
    let esp = work.join("esp");
    make_esp(tree, &esp)?;
    let [ours, theirs, floor] = ["ours.qcow2", "theirs.qcow2", "floor"].map(|name| work.join(name));
    let remove = |path: &Path| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let mut shell = || -> io::Result<Run> {
        remove(&theirs)?;
        remove(&work.join("shell/disk.raw"))?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/shell-disk.sh");
        let mut command = Command::new("bash");
        command.arg(script).args([tree, &theirs, &work.join("shell")]).env("ESPDIR", &esp);
        run(command.env("ROOT_MIB", root_mib.to_string()).env("ESP_MIB", ESP_MIB.to_string()))
    };
    let mut diskwright = || -> io::Result<Run> {
        remove(&ours)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
        command.arg("create").arg("--root").arg(tree).arg("--output").arg(&ours).arg("--quiet");
        command.args([
            "--esp-size",
            &format!("{ESP_MIB}M"),
            "--size",
            &format!("{}M", root_mib + ESP_MIB + 2),
        ]);
        run(command.stdout(Stdio::null()))
    };
    let mut copy = || -> io::Result<Run> {
        remove(&floor)?;
        run(Command::new(std::env::current_exe()?).arg("floor").args([tree, &floor]))
    };
    let results = interleaved(
        rounds,
        &mut [
            ("diskwright", &mut diskwright),
            ("mke2fs -d, mkfs.vfat, mcopy, sgdisk, dd, qemu-img", &mut shell),
            ("floor: every byte read and written once", &mut copy),
        ],
    )?;
    println!(
        "{} entries, {mib} MiB; root of {root_mib} MiB, ESP of {ESP_MIB} MiB; median of {rounds}\n",
        entries
    );
    println!("{}", table(&results));
    for path in [&ours, &theirs] {
        let (len, allocated) = size(path)?;
        println!("{}: {len} MiB, {allocated} MiB allocated", path.display());
    }
    println!("diskwright is {:.2} times as fast", results[1].median() / results[0].median());
    [&ours, &theirs, &floor].into_iter().try_for_each(|path| remove(path))?;
    remove(&work.join("shell/disk.raw"))
}

/// Entries, and MiB of data in blocks of 4 KiB, each inode once.
fn measure_tree(tree: &Path) -> io::Result<(u64, u64)> {
    let (mut folders, mut entries, mut blocks) = (vec![tree.to_owned()], 0, 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            entries += 1;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            blocks += metadata.len().div_ceil(4096)
                / metadata.nlink().clamp(1, if metadata.is_dir() { 1 } else { 9 });
        }
    }
    Ok((entries, blocks >> 8))
}

/// What diskwright puts on the ESP by itself, for the tools that must be told: both loaders, kernel, initrd.
fn make_esp(tree: &Path, esp: &Path) -> io::Result<()> {
    let found = |folder: &str, start: &str| -> io::Result<PathBuf> {
        let mut names = fs::read_dir(tree.join(folder))?.collect::<io::Result<Vec<_>>>()?;
        names.sort_by_key(fs::DirEntry::file_name);
        let file = names.iter().find(|entry| entry.file_name().to_string_lossy().starts_with(start));
        Ok(file
            .ok_or_else(|| io::Error::other(format!("{start}* is missing in {folder} of the tree")))?
            .path())
    };
    let loader = found("usr/lib/systemd/boot/efi", "systemd-boot")?;
    for (folder, from, name) in [
        ("EFI/BOOT", &loader, "BOOTX64.EFI"),
        ("EFI/systemd", &loader, "systemd-bootx64.efi"),
        ("os", &found("boot", "vmlinuz-")?, "vmlinuz"),
        ("os", &found("boot", "initrd")?, "initrd.img"),
    ] {
        fs::create_dir_all(esp.join(folder))?;
        fs::copy(from, esp.join(folder).join(name))?;
    }
    Ok(())
}
