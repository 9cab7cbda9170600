//! Initrds of a tree's kernels, made by the tree's own initramfs-tools or dracut.
//!
//! Packages make none while they are installed ([`hold`]): each would make one, and before what it needs is there. At the end
//! [`Task::Find`] says which kernels there are, [`make`] has one made for each, and [`Task::Check`] looks into it. An initrd is
//! made for any machine, not for the one it is built on, and of the same tree it is the same bytes.

mod archive;

use crate::model::words::InitrdSystem;
use crate::model::{Scope, elements};
use crate::resolve::Selection;
use crate::root::sandbox::{Operation, OperationError, Run};
use crate::root::setup::Step;
use archive::{Contents, leads};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

/// Drivers of the disks that machines boot from; those that a kernel has as modules are in its initrd.
const DISKS: [&str; 20] = [
    "ahci",
    "ata_piix",
    "hv_storvsc",
    "megaraid_sas",
    "mmc_block",
    "mpt3sas",
    "mptspi",
    "nvme",
    "sd_mod",
    "sdhci_acpi",
    "sdhci_pci",
    "uas",
    "usb_storage",
    "virtio_blk",
    "virtio_mmio",
    "virtio_pci",
    "virtio_scsi",
    "vmw_pvscsi",
    "xen_blkfront",
    "xhci_pci",
];
/// Largest initrd that is checked, in bytes.
const MOST: u64 = 1 << 30;

/// What the initrds must be able to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The root's file system, as its module is called: `ext4`.
    pub filesystem: Option<String>,
    /// Modules that the disk's layout needs: `overlay`, `dm_mod`, `raid1`.
    pub modules: Vec<String>,
    /// `<drivers>`: names of modules, or paths below the kernel's directory with `*`: `drivers/net/*`.
    pub drivers: Vec<String>,
    /// Whether the disk is to grow at the first boot: then KIWI's dracut module for it is in them, where the tree has it.
    pub grows: bool,
    /// Times behind it are written as it, in seconds since 1970.
    pub epoch: i64,
}

impl Wanted {
    /// What a description's type says; `None`: no initrds.
    pub fn of(selection: &Selection<'_>, epoch: i64) -> Option<Wanted> {
        let said = selection.said();
        let system = said.and_then(|said| said.initrd_system.as_ref());
        if system.is_some_and(|said| said.value == InitrdSystem::None) {
            return None;
        }
        let applies = |scope: &elements::Drivers| {
            Scope::of(&scope.profiles, &None).applies(&selection.profiles, selection.machine)
        };
        let drivers = selection.model.said.drivers.iter().filter(|drivers| applies(drivers));
        let drivers = drivers.flat_map(|drivers| &drivers.file).filter_map(|file| file.name.as_ref());
        Some(Wanted {
            filesystem: said.and_then(|said| said.filesystem.as_ref()).map(|said| said.text.clone()),
            modules: Vec::new(),
            drivers: drivers.map(|name| name.text.clone()).collect(),
            grows: selection.resizes(),
            epoch,
        })
    }
}

/// What a tree makes initrds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// `update-initramfs`
    InitramfsTools,
    /// `dracut`
    Dracut,
}

/// A kernel, and its initrd that is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// What `uname -r` will say.
    pub version: String,
    /// The path of its initrd.
    pub initrd: String,
    /// Modules that must be in it, with what they depend on, sorted.
    pub modules: Vec<String>,
}

/// The kernels of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What makes initrds.
    pub generator: Option<Generator>,
    /// In the order of their versions' bytes.
    pub kernels: Vec<Kernel>,
    /// Drivers of the description that no kernel has.
    pub unknown: Vec<String>,
    /// Whether the tree has KIWI's dracut module `kiwi-repart`.
    pub repart: bool,
}

/// Our own work around the generators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Looks for kernels; the result is [`Found`] in JSON. A kernel without the file system is an error.
    Find(Wanted),
    /// Looks into a finished initrd: something that starts, and the modules.
    Check(Kernel),
}

/// The environment in which packages are configured: what hooks of kernel packages look at (Debian kernel handbook, 5.4;
/// initramfs-tools and dracut both) to make no initrd. Triggers only renew initrds that exist.
pub fn hold() -> BTreeMap<String, String> {
    BTreeMap::from([("INITRD".to_owned(), "No".to_owned())])
}

/// Makes and checks the initrd of each kernel.
///
/// # Errors
/// There are kernels, and nothing that makes initrds.
pub fn make(found: &Found, wanted: &Wanted) -> Result<Vec<Operation>, Refusal> {
    if found.kernels.is_empty() {
        return Ok(Vec::new());
    }
    let Some(generator) = found.generator else {
        let reason = "kernels, and neither update-initramfs nor dracut to make their initrds";
        let hint = "add the package initramfs-tools or dracut";
        return Err(Refusal::new(RefusalKind::Missing, Spot::new("tree", "/boot"), reason).hint(hint));
    };
    let one = |kernel: &Kernel| {
        let check = Operation::Setup(Step::Initrd(Task::Check(kernel.clone())));
        [Operation::Run(run(generator, kernel, found.repart, wanted)), check]
    };
    Ok(found.kernels.iter().flat_map(one).collect())
}

/// RESUME: else the build machine's swap gets into it. FSTYPE: there is no /etc/fstab yet that names what to check the root with.
const INITRAMFS_TOOLS: &str = r#"set -eu
version=$1 filesystem=$2; shift 2
settings=/etc/initramfs-tools/conf.d/zz-build hook=/etc/initramfs-tools/hooks/zz-build
trap 'rm -f "$settings" "$hook"' EXIT
printf '%s\n' MODULES=most RESUME=none ${filesystem:+"FSTYPE=$filesystem"} >"$settings"
printf '%s\n' '#!/bin/sh' '[ "${1-}" != prereqs ] || exit 0' \
  '. /usr/share/initramfs-tools/hook-functions' "manual_add_modules $*" >"$hook"
chmod 755 "$hook"
update-initramfs -c -k "$version"
"#;

const DRACUT: &str = r#"set -eu
version=$1 initrd=$2 add=$3 omit=$4; shift 4
exec dracut --force --no-hostonly --no-hostonly-cmdline --reproducible --kver "$version" --add "$add" --omit "$omit" \
  --add-drivers "$*" "$initrd"
"#;

/// Modules that dracut takes in and leaves out: KIWI's says that it is a script of any shell, and is one of bash.
const REPART: [&str; 2] = ["bash kiwi-repart", "dash"];

fn run(generator: Generator, kernel: &Kernel, repart: bool, wanted: &Wanted) -> Run {
    let [add, omit] = if repart && wanted.grows { REPART } else { [""; 2] };
    let words = match generator {
        Generator::InitramfsTools => {
            vec![INITRAMFS_TOOLS, "initrd", &kernel.version, wanted.filesystem.as_deref().unwrap_or("")]
        }
        Generator::Dracut => vec![DRACUT, "initrd", &kernel.version, &kernel.initrd, add, omit],
    };
    let words = ["/bin/sh", "-c"].into_iter().chain(words);
    let words = words.chain(kernel.modules.iter().map(String::as_str));
    let mut run = Run::new(&format!("make the initrd of {}", kernel.version), words);
    run.environment.insert("SOURCE_DATE_EPOCH".to_owned(), wanted.epoch.to_string());
    run.needs_proc = true;
    run
}

impl Task {
    /// One line for people.
    pub fn describe(&self) -> String {
        match self {
            Task::Find(_) => "look for kernels".to_owned(),
            Task::Check(kernel) => format!("check {}", kernel.initrd),
        }
    }

    /// Does it; `/` is the tree.
    pub(super) fn execute(&self) -> Result<Vec<u8>, OperationError> {
        match self {
            Task::Find(wanted) => {
                let found = find(Path::new("/"), wanted)?;
                Ok(serde_json::to_vec(&found).map_err(io::Error::from)?)
            }
            Task::Check(kernel) => {
                check(Path::new("/"), kernel)?;
                Ok(Vec::new())
            }
        }
    }
}

/// The kernels in the tree below a directory.
///
/// # Errors
/// A kernel lacks what is wanted, or its files cannot be read.
pub fn find(root: &Path, wanted: &Wanted) -> Result<Found, OperationError> {
    let there = |path: &str| root.join(path).exists();
    let any = |paths: &[&str]| paths.iter().any(|path| there(path));
    let generator = match () {
        () if any(&["usr/sbin/update-initramfs", "sbin/update-initramfs"]) => Some(Generator::InitramfsTools),
        () if any(&["usr/bin/dracut", "usr/sbin/dracut", "sbin/dracut"]) => Some(Generator::Dracut),
        () => None,
    };
    let style = Style::of(root);
    let mut kernels = Vec::new();
    let mut unknown: BTreeSet<String> = wanted.drivers.iter().cloned().collect();
    for version in versions(root)? {
        let modules = Modules::read(root, &version)?;
        unknown.retain(|driver| !modules.paths().any(|path| is_named(driver, path)));
        let initrd = style.initrd(&version);
        kernels.push(Kernel { modules: modules.chosen(&version, wanted)?, version, initrd });
    }
    Ok(Found { generator, kernels, unknown: unknown.into_iter().collect(), repart: has_repart(root)? })
}

/// Whether KIWI's dracut module that grows a disk is there, whatever number it has.
fn has_repart(root: &Path) -> io::Result<bool> {
    let directory = root.join("usr/lib/dracut/modules.d");
    if !directory.is_dir() {
        return Ok(false);
    }
    #[allow(clippy::disallowed_methods)] // one name is enough
    let mut entries = fs_err::read_dir(&directory)?;
    entries.try_fold(false, |found, entry| {
        Ok(found || entry?.file_name().as_encoded_bytes().ends_with(b"kiwi-repart"))
    })
}

/// Versions of kernels that have a directory of modules and an image.
fn versions(root: &Path) -> io::Result<Vec<String>> {
    let directory = root.join("lib/modules");
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    #[allow(clippy::disallowed_methods)] // sorted below
    let entries = fs_err::read_dir(&directory)?;
    let mut versions = BTreeSet::new();
    for entry in entries {
        let Ok(version) = entry?.file_name().into_string() else { continue };
        let images = [format!("boot/vmlinuz-{version}"), format!("boot/Image-{version}")];
        let beside = directory.join(&version).join("vmlinuz");
        // A name that begins with a dash would be an option of the generator.
        let is_image = images.iter().any(|image| root.join(image).exists()) || beside.exists();
        if is_image && !version.starts_with('-') {
            versions.insert(version);
        }
    }
    Ok(versions.into_iter().collect())
}

/// How a distribution names initrds.
#[derive(Clone, Copy)]
enum Style {
    Debian,
    Suse,
    Other,
}

impl Style {
    fn of(root: &Path) -> Style {
        let release = fs_err::read_to_string(root.join("etc/os-release")).unwrap_or_default();
        let ids =
            release.lines().filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")));
        let is = |word: &str| ids.clone().any(|line| line.contains(word));
        match () {
            () if is("debian") || root.join("etc/debian_version").exists() => Style::Debian,
            () if is("suse") => Style::Suse,
            () => Style::Other,
        }
    }

    fn initrd(self, version: &str) -> String {
        match self {
            Style::Debian => format!("/boot/initrd.img-{version}"),
            Style::Suse => format!("/boot/initrd-{version}"),
            Style::Other => format!("/boot/initramfs-{version}.img"),
        }
    }
}

/// A kernel's modules by name: path and what it depends on; and those that are built in.
#[derive(Debug, Default)]
struct Modules {
    loadable: BTreeMap<String, (String, Vec<String>)>,
    built_in: BTreeSet<String>,
}

impl Modules {
    /// `modules.dep` and `modules.builtin` (depmod(8), kbuild).
    fn read(root: &Path, version: &str) -> Result<Modules, OperationError> {
        let directory = root.join("lib/modules").join(version);
        let text = |name: &str| match fs_err::read_to_string(directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            text => text,
        };
        let mut modules = Modules::default();
        for line in text("modules.dep")?.lines() {
            let Some((path, needs)) = line.split_once(':') else { continue };
            let needs = needs.split_whitespace().map(module_name).collect();
            modules.loadable.insert(module_name(path), (path.to_owned(), needs));
        }
        modules.built_in = text("modules.builtin")?.lines().map(module_name).collect();
        Ok(modules)
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.loadable.values().map(|(path, _)| path.as_str())
    }

    /// The modules that the initrd must have.
    fn chosen(&self, version: &str, wanted: &Wanted) -> Result<Vec<String>, Refusal> {
        let needed = wanted.filesystem.iter().chain(&wanted.modules).map(|name| module_name(name));
        let needed: BTreeSet<String> = needed.collect();
        let has = |name: &&String| !self.loadable.contains_key(*name) && !self.built_in.contains(*name);
        // Of a kernel that says nothing nothing is known.
        let says = !self.loadable.is_empty() || !self.built_in.is_empty();
        let lacking: Vec<&str> = needed.iter().filter(has).map(String::as_str).collect();
        if says && !lacking.is_empty() {
            let reason = format!("the kernel has no {}, which the disk needs", lacking.join(", "));
            let hint = "install another kernel package, or one with more of its modules; or choose another file system";
            return Err(Refusal::new(RefusalKind::Missing, Spot::new("kernel", version), reason).hint(hint));
        }
        let disks = DISKS.iter().map(|name| (*name).to_owned());
        let named = |path: &&str| wanted.drivers.iter().any(|driver| is_named(driver, path));
        let drivers = self.paths().filter(named).map(module_name);
        let mut all: BTreeSet<String> = needed.into_iter().chain(disks).chain(drivers).collect();
        all.retain(|name| self.loadable.contains_key(name));
        Ok(all.into_iter().collect())
    }

    /// With what they depend on.
    fn closure(&self, names: &[String]) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut waiting: Vec<&String> = names.iter().collect();
        while let Some(name) = waiting.pop() {
            if all.insert(name.clone()) {
                waiting.extend(self.loadable.get(name).into_iter().flat_map(|(_, needs)| needs));
            }
        }
        all
    }
}

/// A module's name of its path: `kernel/drivers/block/virtio-blk.ko.xz` is `virtio_blk`.
fn module_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.split_once(".ko").map_or(name, |(name, _)| name);
    name.replace('-', "_")
}

/// Whether `<file name>` of `<drivers>` names the module with this path. KIWI takes it for a regular expression that is found
/// anywhere in the path; in descriptions it is a module's name or path, or a directory and `*`.
fn is_named(driver: &str, path: &str) -> bool {
    match driver.split_once('*') {
        Some((before, _)) => !before.is_empty() && path.contains(before),
        None if driver.contains('/') => {
            let plain = |path: &str| path.split_once(".ko").map_or(path, |(path, _)| path).to_owned();
            plain(path).ends_with(&format!("/{}", plain(driver.trim_start_matches('/'))))
        }
        None => module_name(driver) == module_name(path),
    }
}

/// Looks into an initrd.
///
/// # Errors
/// It is not there, cannot be read, starts nothing, or lacks modules.
pub fn check(root: &Path, kernel: &Kernel) -> Result<(), OperationError> {
    let spot = || Spot::new("initrd", kernel.initrd.as_str());
    let path = root.join(kernel.initrd.trim_start_matches('/'));
    let mut bytes = Vec::new();
    fs_err::File::open(&path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(Refusal::new(RefusalKind::Limit, spot(), format!("more than {MOST} bytes")).into());
    }
    let contents = archive::read(&bytes, &kernel.initrd)?;
    if !leads(&contents, b"init") {
        return Err(Refusal::new(RefusalKind::Missing, spot(), "nothing that starts: no /init in it").into());
    }
    let there = modules(&contents, &kernel.version);
    let needed = Modules::read(root, &kernel.version)?.closure(&kernel.modules);
    let missing: Vec<&str> = needed.difference(&there).map(String::as_str).collect();
    if !missing.is_empty() {
        let reason = format!("these modules are not in it: {}", missing.join(", "));
        let hint = "settings in /etc/initramfs-tools or /etc/dracut.conf.d may leave them out";
        return Err(Refusal::new(RefusalKind::Missing, spot(), reason).hint(hint).into());
    }
    Ok(())
}

/// Names of the modules of a version in an archive.
fn modules(contents: &Contents, version: &str) -> BTreeSet<String> {
    let directory = format!("lib/modules/{version}/");
    let paths = contents.keys().filter_map(|path| std::str::from_utf8(path).ok());
    let paths = paths.filter(|path| path.contains(&directory) && path.contains(".ko"));
    paths.map(module_name).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use super::*;

    fn write(root: &Path, path: &str, text: &[u8]) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path();
        write(root, "usr/sbin/update-initramfs", b"");
        write(root, "etc/debian_version", b"12.1\n");
        write(root, "boot/vmlinuz-6.1-a", b"");
        let dep = "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/mbcache.ko\nkernel/lib/crc16.ko:\n\
            kernel/fs/mbcache.ko:\nkernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio.ko.xz\n\
            kernel/drivers/virtio/virtio.ko.xz:\nkernel/drivers/net/e-1000.ko:\n";
        write(root, "lib/modules/6.1-a/modules.dep", dep.as_bytes());
        write(root, "lib/modules/6.1-a/modules.builtin", b"kernel/fs/vfat/vfat.ko\n");
        write(root, "lib/modules/left-over/modules.dep", b"");
        tree
    }

    fn wanted(filesystem: &str) -> Wanted {
        Wanted { filesystem: Some(filesystem.to_owned()), ..Wanted::default() }
    }

    #[test]
    fn kernels_and_what_they_need_are_found() {
        let tree = tree();
        let wanted =
            Wanted { drivers: vec!["drivers/net/*".to_owned(), "none".to_owned()], ..wanted("ext4") };
        let found = find(tree.path(), &wanted).unwrap();
        assert_eq!(found.generator, Some(Generator::InitramfsTools));
        assert_eq!(found.unknown, ["none"]);
        let kernel = &found.kernels[0];
        assert_eq!((found.kernels.len(), kernel.version.as_str()), (1, "6.1-a"));
        assert_eq!(kernel.initrd, "/boot/initrd.img-6.1-a");
        assert_eq!(kernel.modules, ["e_1000", "ext4", "virtio_blk"]);
        assert_eq!(
            find(tree.path(), &super::tests::wanted("vfat")).unwrap().kernels[0].modules,
            ["virtio_blk"]
        );
        let operations = make(&found, &wanted).unwrap();
        assert_eq!(operations.len(), 2);
        assert!(operations[0].describe().starts_with("SOURCE_DATE_EPOCH=0 /bin/sh -c "));
        assert_eq!(operations[1].describe(), "check /boot/initrd.img-6.1-a");
    }

    #[test]
    fn dracut_has_kiwis_module_where_the_disk_grows() {
        let tree = tree();
        std::fs::remove_file(tree.path().join("usr/sbin/update-initramfs")).unwrap();
        write(tree.path(), "usr/bin/dracut", b"");
        let arguments = |found: &Found, grows: bool| {
            let made = make(found, &Wanted { grows, ..wanted("ext4") }).unwrap();
            let Operation::Run(Run { command, .. }) = &made[0] else { panic!("a program") };
            command[4..].to_vec()
        };
        let found = find(tree.path(), &wanted("ext4")).unwrap();
        assert_eq!((found.generator, found.repart), (Some(Generator::Dracut), false));
        let plain = ["6.1-a", "/boot/initrd.img-6.1-a", "", "", "ext4", "virtio_blk"];
        assert_eq!(arguments(&found, true), plain);
        write(tree.path(), "usr/lib/dracut/modules.d/90kiwi-repart/module-setup.sh", b"");
        let found = find(tree.path(), &wanted("ext4")).unwrap();
        assert_eq!(arguments(&found, true)[2..], ["bash kiwi-repart", "dash", "ext4", "virtio_blk"]);
        assert_eq!(arguments(&found, false), plain);
    }

    #[test]
    fn a_kernel_without_the_file_system_is_refused() {
        let OperationError::Refused { message, hint } = find(tree().path(), &wanted("xfs")).unwrap_err()
        else {
            panic!("refused");
        };
        assert!(message.contains("6.1-a") && message.contains("no xfs") && hint.is_some(), "{message}");
        let found = Found { generator: None, ..find(tree().path(), &wanted("ext4")).unwrap() };
        assert!(make(&found, &wanted("ext4")).unwrap_err().to_string().contains("neither update-initramfs"));
        assert_eq!(make(&Found { kernels: Vec::new(), ..found }, &wanted("ext4")).unwrap().len(), 0);
    }

    #[test]
    fn drivers_are_names_paths_or_directories() {
        let path = "kernel/drivers/net/ethernet/e-1000.ko.xz";
        for driver in ["e1000", "net/e-1000.ko", "*", "drivers/ide/*"] {
            assert!(!is_named(driver, path), "{driver}");
        }
        for driver in
            ["e-1000", "e_1000.ko", "ethernet/e-1000.ko", "drivers/net/*", "drivers/net/ethernet/e-1000"]
        {
            assert!(is_named(driver, path), "{driver}");
        }
    }
}
