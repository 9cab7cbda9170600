//! A guest that looks at disks: a distribution's kernel, in a machine of its own, says what it sees of them.
//!
//! Kernel, drivers and blkid are those of the Debian root; the rest of the initramfs is busybox and a script. Disks are
//! virtio drives on throw-away overlays: no image is written. The script prints one JSON object a disk on the serial
//! line; what is free text in it travels as base64.

use super::{debian_root, listing, oracle, run, write};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A disk to look at.
#[derive(Clone, Copy, Debug)]
pub struct Disk<'a> {
    /// The image: qcow2 by its first bytes, else raw.
    pub path: &'a Path,
    /// Bytes of a sector: 512 or 4096.
    pub sector: u32,
}

/// A disk as the kernel sees it. All positions and lengths are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenDisk {
    pub len: u64,
    /// Bytes of a sector.
    pub sector: u64,
    /// What blkid says of the whole disk, by its names for it: `PTTYPE`, `PTUUID`, or those of a bare file system.
    pub blkid: BTreeMap<String, String>,
    /// What is on the whole disk, where it has no partitions.
    pub content: SeenContent,
    /// In the order of their numbers.
    pub partitions: Vec<SeenPartition>,
}

/// A partition as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPartition {
    pub number: u32,
    pub start: u64,
    pub len: u64,
    /// What blkid says: `TYPE`, `UUID`, `LABEL`, `PART_ENTRY_UUID`, `PART_ENTRY_NAME`, `PART_ENTRY_TYPE`, ...
    pub blkid: BTreeMap<String, String>,
    pub content: SeenContent,
}

/// What the kernel made of the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenContent {
    /// blkid knows no type for it.
    Nothing,
    /// A file system that was mounted read-only, together with all others of all disks: `./path` and the SHA-256 of each
    /// regular file, and `./path` and where it leads of each symbolic link.
    Mounted { files: BTreeMap<String, String>, links: BTreeMap<String, String> },
    /// Swap that was switched on: the bytes that can be used.
    Swap { len: u64 },
    /// What the kernel or its tools said when they refused.
    Refused(String),
}

impl SeenDisk {
    /// The partition of this number.
    #[track_caller]
    pub fn partition(&self, number: u32) -> &SeenPartition {
        let found = self.partitions.iter().find(|it| it.number == number);
        found.unwrap_or_else(|| panic!("no partition {number} in {self:#?}"))
    }
}

impl SeenPartition {
    /// A value that blkid has for it; empty where it has none.
    pub fn says(&self, name: &str) -> &str {
        self.blkid.get(name).map_or("", String::as_str)
    }

    /// The SHA-256 of every regular file.
    #[track_caller]
    pub fn files(&self) -> &BTreeMap<String, String> {
        match &self.content {
            SeenContent::Mounted { files, .. } => files,
            other => panic!("partition {}: {other:?}", self.number),
        }
    }
}

/// Modules that are loaded, if the kernel has them as modules, with those that they need.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_utf8",
    "nls_iso8859-1",
    "isofs",
    "squashfs",
    "erofs",
    "xfs",
    "btrfs",
];

/// What is taken out of the Debian root.
const MEMBERS: &[&str] = &[
    "./boot/vmlinuz-*",
    "./usr/lib/modules/*/modules.dep",
    "./usr/lib/modules/*/kernel/*.ko",
    "./usr/sbin/blkid",
    "./usr/lib/*/libblkid.so.1*",
    "./usr/lib/*/libc.so.6",
    "./usr/lib/*/ld-linux-x86-64.so.2",
];

/// First mounts and swaps on everything, so that origin and clone are in use side by side, then tells.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
echo 1 >/proc/sys/kernel/printk
while read -r module; do insmod /modules/$module; done </modules/order

encoded() { base64 | tr -d '\n'; }

use() { # DEVICE: a file with what blkid says, and the verdict
  mkdir -p /run/$1 /mnt/$1
  /usr/sbin/blkid -p -o export /dev/$1 >/run/$1/blkid 2>/run/$1/error
  type=$(sed -n 's/^TYPE=//p' /run/$1/blkid)
  case $type in
    '') echo nothing ;;
    swap) swapon /dev/$1 2>/run/$1/error && echo swap || echo refused ;;
    vfat) mount -t vfat -o ro,utf8 /dev/$1 /mnt/$1 2>/run/$1/error && echo mounted || echo refused ;;
    *) mount -t $type -o ro /dev/$1 /mnt/$1 2>/run/$1/error && echo mounted || echo refused ;;
  esac >/run/$1/verdict
}

tell() { # DEVICE: members of its JSON object
  verdict=$(cat /run/$1/verdict)
  printf '"blkid":"%s","verdict":"%s","error":"%s"' "$(encoded </run/$1/blkid)" $verdict "$(encoded </run/$1/error)"
  case $verdict in
    mounted)
      cd /mnt/$1
      printf ',"files":"%s"' "$(find . -xdev -type f -print0 | xargs -0 -r sha256sum | encoded)"
      printf ',"links":"%s"' "$(find . -xdev -type l -print0 | xargs -0 -r -n1 sh -c 'printf "%s\t" "$0"; readlink "$0"' | encoded)"
      cd /
      ;;
    swap) printf ',"swap":%s' "$(sed -n "s|^/dev/$1 *[a-z]*[[:space:]]*\([0-9]*\).*|\1|p" /proc/swaps)" ;;
  esac
}

disks=$(ls -d /sys/block/vd* | sort | sed 's|.*/||')
for disk in $disks; do
  parts=$(ls -d /sys/block/$disk/$disk* 2>/dev/null | sed 's|.*/||')
  for device in $disk $parts; do use $device; done
done
for disk in $disks; do
  at=/sys/block/$disk
  printf 'DISKWRIGHT-DISK {"name":"%s","sectors":%s,"sector":%s,' $disk $(cat $at/size) $(cat $at/queue/logical_block_size)
  tell $disk
  printf ',"partitions":['
  comma=
  for part in $(ls -d $at/$disk* 2>/dev/null | sed 's|.*/||'); do
    printf '%s{"number":%s,"start":%s,"sectors":%s,' "$comma" $(cat $at/$part/partition) $(cat $at/$part/start) $(cat $at/$part/size)
    tell $part
    printf '}'
    comma=,
  done
  printf ']}\n'
done
echo DISKWRIGHT-DONE
poweroff -f
"#;

/// A kernel and an initramfs.
pub struct Guest {
    work: tempfile::TempDir,
    kernel: PathBuf,
    initramfs: PathBuf,
}

/// The guest that looks at disks, if everything that it is made of is here; what is missing is said.
pub fn prepare(test: &str) -> Option<Guest> {
    with_init(test, INIT)
}

/// A guest whose first process is this script, for busybox; `/modules/order` names the modules of `/modules` in the order
/// in which they are loaded. It says `DISKWRIGHT-DONE` at its end and powers off.
pub fn with_init(test: &str, init: &str) -> Option<Guest> {
    let (Some(_), Some(busybox), Some(_), Some(root)) = (
        oracle(test, "qemu-system-x86_64"),
        oracle(test, "busybox"),
        oracle(test, "cpio"),
        debian_root(test),
    ) else {
        return None;
    };
    let work = tempfile::tempdir().unwrap();
    let tree = work.path().join("root");
    std::fs::create_dir(&tree).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(root).arg("-C").arg(&tree).arg("--wildcards").args(MEMBERS);
    run(&mut tar).ends(0);
    let kernel = listing(&tree.join("boot")).into_iter().find(|name| name.starts_with("vmlinuz-")).unwrap();
    let kernel_to = work.path().join("kernel");
    std::fs::rename(tree.join("boot").join(kernel), &kernel_to).unwrap();
    let ram = work.path().join("ram");
    programs(&tree, &ram, &busybox);
    modules(&tree, &ram.join("modules"));
    write(ram.join("init"), init);
    run(Command::new("chmod").arg("755").arg(ram.join("init"))).ends(0);
    std::fs::remove_dir_all(&tree).unwrap();
    let pack = "find . | cpio -o -H newc --quiet > ../initramfs";
    run(Command::new("sh").args(["-c", pack]).current_dir(&ram)).ends(0);
    let initramfs = work.path().join("initramfs");
    Some(Guest { work, kernel: kernel_to, initramfs })
}

/// busybox, and blkid with its libraries where the loader looks for them.
fn programs(tree: &Path, ram: &Path, busybox: &Path) {
    for directory in ["bin", "proc", "sys", "dev", "mnt", "run", "lib64", "usr/lib", "usr/sbin"] {
        std::fs::create_dir_all(ram.join(directory)).unwrap();
    }
    std::fs::copy(busybox, ram.join("bin/busybox")).unwrap();
    std::fs::copy(tree.join("usr/sbin/blkid"), ram.join("usr/sbin/blkid")).unwrap();
    let libraries = tree.join("usr/lib/x86_64-linux-gnu");
    let to = ram.join("usr/lib/x86_64-linux-gnu");
    std::fs::create_dir(&to).unwrap();
    std::fs::copy(libraries.join("ld-linux-x86-64.so.2"), ram.join("lib64/ld-linux-x86-64.so.2")).unwrap();
    for library in ["libc.so.6", "libblkid.so.1"] {
        std::fs::copy(libraries.join(library), to.join(library)).unwrap();
    }
}

/// The modules and those that they need, and a file with the order in which they are loaded. A kernel has some inside.
fn modules(tree: &Path, to: &Path) {
    let from = tree.join("usr/lib/modules");
    let from = from.join(listing(&from).remove(0));
    let needs: BTreeMap<String, Vec<String>> = std::fs::read_to_string(from.join("modules.dep"))
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(module, needs)| (module.to_owned(), needs.split_whitespace().map(str::to_owned).collect()))
        .collect();
    std::fs::create_dir_all(to).unwrap();
    let (mut order, mut done) = (String::new(), BTreeSet::new());
    for name in MODULES {
        let file = format!("/{name}.ko");
        let Some((path, needs)) = needs.iter().find(|(path, _)| path.ends_with(&file)) else { continue };
        // depmod lists what is needed last first.
        for path in needs.iter().rev().chain([path]).filter(|path| done.insert((*path).clone())) {
            let name = path.rsplit('/').next().unwrap();
            std::fs::copy(from.join(path), to.join(name)).unwrap();
            order += &format!("{name}\n");
        }
    }
    write(to.join("order"), order);
}

impl Guest {
    /// What the kernel sees of these disks, in their order, as it came: positions and lengths in units of 512 bytes.
    #[track_caller]
    pub fn tells(&self, disks: &[Disk]) -> Vec<Value> {
        let said = self.boot(disks, false);
        let lines = said.lines().filter_map(|line| line.split_once("DISKWRIGHT-DISK "));
        let told: Vec<Value> = lines
            .map(|(_, json)| serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}")))
            .collect();
        assert_eq!(told.len(), disks.len(), "{said}");
        told
    }

    /// Looks at disks with sectors of 512 bytes.
    #[track_caller]
    pub fn look(&self, disks: &[&Path]) -> Vec<SeenDisk> {
        let disks: Vec<Disk> = disks.iter().map(|path| Disk { path, sector: 512 }).collect();
        self.look_at(&disks)
    }

    /// Looks at disks.
    #[track_caller]
    pub fn look_at(&self, disks: &[Disk]) -> Vec<SeenDisk> {
        self.tells(disks).iter().map(seen).collect()
    }

    /// Boots until the kernel powers off and gives what it said. With `write` what it writes is written to the images.
    #[track_caller]
    pub fn boot(&self, disks: &[Disk], write: bool) -> String {
        let serial = self.work.path().join("serial");
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "512"]);
        qemu.args(["-display", "none", "-vga", "none", "-monitor", "none", "-nic", "none", "-no-reboot"]);
        qemu.arg("-serial").arg(format!("file:{}", serial.display()));
        qemu.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initramfs);
        qemu.args(["-append", "console=ttyS0 no_timer_check panic=-1 quiet"]);
        for (at, disk) in disks.iter().enumerate() {
            let (format, path) = (format_of(disk.path), disk.path.display());
            let snapshot = if write { "off" } else { "on" };
            let drive = format!("if=none,id=disk{at},format={format},snapshot={snapshot},file={path}");
            let sector = disk.sector;
            let device = format!(
                "virtio-blk-pci,drive=disk{at},logical_block_size={sector},physical_block_size={sector}"
            );
            qemu.args(["-drive", &drive, "-device", &device]);
        }
        qemu.env("TMPDIR", self.work.path());
        let errors = std::fs::File::create(self.work.path().join("errors")).unwrap();
        let mut child = qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(300);
        while Instant::now() < end && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = child.kill();
        child.wait().unwrap();
        let said = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        let said = said(self.work.path().join("errors")) + &said(serial).replace('\r', "");
        assert!(said.contains("DISKWRIGHT-DONE"), "{said}");
        said
    }
}

fn format_of(path: &Path) -> &'static str {
    let mut magic = [0; 4];
    let read = std::fs::File::open(path)
        .and_then(|file| std::os::unix::fs::FileExt::read_exact_at(&file, &mut magic, 0));
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if magic == *b"QFI\xfb" { "qcow2" } else { "raw" }
}

/// The typed form of what a disk's line says.
fn seen(disk: &Value) -> SeenDisk {
    let partition = |it: &Value| SeenPartition {
        number: u32::try_from(number(it, "number")).unwrap(),
        start: number(it, "start") * 512,
        len: number(it, "sectors") * 512,
        blkid: pairs(&text(it, "blkid"), '='),
        content: content(it),
    };
    let mut partitions: Vec<_> = disk["partitions"].as_array().unwrap().iter().map(partition).collect();
    partitions.sort_by_key(|it| it.number);
    SeenDisk {
        len: number(disk, "sectors") * 512,
        sector: number(disk, "sector"),
        blkid: pairs(&text(disk, "blkid"), '='),
        content: content(disk),
        partitions,
    }
}

fn content(told: &Value) -> SeenContent {
    match told["verdict"].as_str().unwrap() {
        "nothing" => SeenContent::Nothing,
        "swap" => SeenContent::Swap { len: number(told, "swap") * 1024 },
        "mounted" => {
            let text_of_files = text(told, "files");
            let sums = text_of_files.lines().map(|line| line.split_once("  ").unwrap());
            let files = sums.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect();
            SeenContent::Mounted { files, links: pairs(&text(told, "links"), '\t') }
        }
        _ => SeenContent::Refused(text(told, "error").trim().to_owned()),
    }
}

fn number(told: &Value, name: &str) -> u64 {
    told[name].as_u64().unwrap_or_else(|| panic!("{name} in {told}"))
}

/// Lines of a name and a value; blkid puts a backslash before what a shell would take for more than text.
fn pairs(text: &str, between: char) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(between));
    let plain = |value: &str| if between == '=' { value.replace('\\', "") } else { value.to_owned() };
    pairs.map(|(name, value)| (name.to_owned(), plain(value))).collect()
}

/// Text that travels as base64 (RFC 4648, section 4).
fn text(told: &Value, name: &str) -> String {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no digit of base64"),
    };
    let digits: Vec<u8> = told[name].as_str().unwrap().bytes().filter(|it| *it != b'=').map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0u32, |bits, &six| bits << 6 | u32::from(six)) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}
