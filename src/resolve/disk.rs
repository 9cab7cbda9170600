//! KIWI's disk: which partitions, in which order, how long (KIWI NG 11.1.6 `builder/disk.py`, `storage/setup.py`,
//! `storage/disk.py`, `firmware.py`).
//!
//! ```text
//! p.legacy  p.UEFI  p.prep  p.lxboot  p.swap  those of the description  p.spare  p.lxreadonly  p.lxroot  p.spare (last)
//! ```
//!
//! Clones lie in front of their origin. What cannot be written yet is planned all the same.

use super::idle::idle_parts;
use super::installer;
use super::{Choice, ResolveError, Selection, formats, one_line, wrong_choice};
use crate::describe::kiwi::{label_options, mkfs_options};
use crate::describe::{Diagnostic, Lack, Span};
use crate::model::{
    Arch, Bytes, Contents, Disk, DiskSize, DiskType, Firmware, Growth, Grub, GrubOptions, ImageSource,
    KiwiSize, KiwiSizes, Layer, Loader, MIB, Mkfs, Naming, Partition, PartitionKind, Preferences, Rule, Said,
    Size, SizeElement, SystemVolume, Table, Target, Type, VolumeManager, Volumes, mib,
};
use crate::plan::{ESP, ROOT, guids};
use diskwright_fstools::registry::find;

/// Size of the EFI system partition of a description that gives none, in MiB (KIWI's default).
pub const ESP_MIB: u64 = 20;
/// KIWI's defaults of GRUB's menu.
const GRUB_TIMEOUT: u32 = 10;
const GRUB_INPUT: &str = "console";
const GRUB_OUTPUT: &str = "gfxterm";
const GRUB_VIDEO: &str = "auto";
/// Length of the BIOS boot partition in MiB (KIWI's).
const CSM_MIB: u64 = 2;
/// Length of the PReP partition in MiB (KIWI's).
const PREP_MIB: u64 = 8;
/// Length of `/boot` in MiB where none is given (KIWI's).
const BOOT_MIB: u64 = 300;
/// Where the EFI system partition is mounted.
pub const ESP_MOUNT: &str = "/boot/efi";
/// What to write when the root or the whole disk is too small.
pub(super) const DISK_KNOB: &str = "<size unit=\"M\">{}</size> or --size {}M";
/// What to write when a root of its own size is too small.
const SYSTEM_KNOB: &str = "<oem-systemsize>{}</oem-systemsize>";
/// What to write when the EFI system partition is too small.
pub(super) const ESP_KNOB: &str = "efipartsize=\"{}\" or --esp-size {}M";

/// What the machine, its firmware and the volumes decide.
struct Setting<'a> {
    disk: &'a DiskType,
    choice: &'a Choice,
    firmware: Option<Firmware>,
    table: Table,
    filesystem: &'a str,
    volumes: Option<Volumes>,
}

/// A disk; `None` where a problem was added.
pub(super) fn disk_target(
    selection: &Selection<'_>,
    kind: &Type,
    disk: &DiskType,
    choice: &Choice,
    problems: &mut Vec<Diagnostic>,
    lacks: &mut Vec<Diagnostic>,
) -> Result<Option<Target>, ResolveError> {
    let Some(filesystem) = choice.filesystem.as_deref().or(disk.filesystem.as_deref()) else {
        return Ok(None);
    };
    let firmware = disk.firmware.or_else(|| default_firmware(choice.arch));
    let before = problems.len();
    refuse_firmware(kind, disk, choice.arch, problems);
    refuse_clones(kind, disk, problems);
    if problems.len() != before {
        return Ok(None);
    }
    let loader = if choice.no_boot { Loader::Custom } else { loader(kind, disk, firmware, problems) };
    let grub = (loader == Loader::Grub).then(|| grub(selection, disk, firmware, choice.arch)).flatten();
    let bios = is_x86(choice.arch) && (!firmware.is_some_and(Firmware::is_efi) || disk.csm || disk.efi_mbr);
    let options = installer::options(kind, &installer::Setting { loader, firmware, bios }, problems, lacks);
    let grub = grub.map(|grub| Grub { options, ..grub });
    if loader == Loader::Grub && grub.is_none() {
        let name = firmware.map_or("none", Firmware::name);
        let message = format!("GRUB for {} with firmware {name} is not supported yet", choice.arch);
        let lack = Lack::new(format!("type@firmware={name}"), "GRUB for this machine");
        let hint = "bootloader name=\"custom\" or --no-boot makes the disk without one";
        lacks.push(loader_span(kind).error("unsupported", message).lack(lack).hint(hint));
    }
    let volumes = volumes(selection, disk, filesystem);
    let setting =
        Setting { disk, choice, firmware, table: table(disk, firmware, choice.arch), filesystem, volumes };
    let (size, root) = sizes(disk, choice);
    let mut partitions = setting.partitions(root)?;
    images(&mut partitions, choice, loader)?;
    let command_line = choice.command_line.clone().unwrap_or_else(|| disk.command_line.clone());
    let sizes = choice.kiwi_sizes.then(|| kiwi_sizes(disk, filesystem));
    let made = Disk {
        table: setting.table,
        sector_size: disk.sector_size,
        first: Bytes(disk.start_sector.saturating_mul(disk.sector_size.bytes().into())),
        size,
        unpartitioned: disk.size.map_or(Bytes(0), |size| size.unpartitioned),
        active: setting.active(&partitions),
        partitions,
        volumes: setting.volumes,
        loader,
        grub,
        naming: disk.naming,
        readonly_root: disk.btrfs_snapper && disk.btrfs_readonly,
        command_line: one_line("--cmdline", command_line)?,
        formats: formats(choice, disk.format.clone())?,
        kiwi_files: true,
        kiwi_sizes: sizes,
        growth: disk.resize.then(|| growth(disk)),
    };
    problems.extend(idle_parts(kind, &made));
    if let Some(theme) = themes(selection).next_back().filter(|_| made.grub.is_none()) {
        problems
            .push(theme.span.warning("no-effect", "bootloader-theme has no effect: only GRUB has themes"));
    }
    Ok(Some(Target::Disk(Box::new(made))))
}

fn is_x86(arch: Arch) -> bool {
    matches!(arch, Arch::X86_64 | Arch::Ix86)
}

fn default_firmware(arch: Arch) -> Option<Firmware> {
    match arch {
        Arch::X86_64 | Arch::Ix86 => Some(Firmware::Bios),
        Arch::Aarch64 | Arch::Riscv64 => Some(Firmware::Efi),
        Arch::Ppc64le => Some(Firmware::Ofw),
        Arch::S390x => None,
    }
}

/// Firmware that a machine can have; `custom` is always one of them.
fn firmwares(arch: Arch) -> &'static [Firmware] {
    match arch {
        Arch::X86_64 => &[Firmware::Efi, Firmware::Uefi, Firmware::Bios, Firmware::Ec2],
        Arch::Ix86 => &[Firmware::Bios],
        Arch::Aarch64 | Arch::Riscv64 => &[Firmware::Efi, Firmware::Uefi],
        Arch::Ppc64le => &[Firmware::Ofw, Firmware::Opal],
        Arch::S390x => &[],
    }
}

fn refuse_firmware(kind: &Type, disk: &DiskType, arch: Arch, problems: &mut Vec<Diagnostic>) {
    let Some(firmware) = disk.firmware else { return };
    if firmware == Firmware::Custom || firmwares(arch).contains(&firmware) {
        return;
    }
    let names: Vec<&str> = firmwares(arch).iter().map(|one| one.name()).chain(["custom"]).collect();
    let message = format!("firmware=\"{}\", which {arch} does not have", firmware.name());
    let span = kind.said.firmware.as_ref().map_or(&kind.span, |said| &said.span);
    problems.push(span.error("bad-value", message).hint(format!("one of: {}", names.join(", "))));
}

/// What makes clones into something else than clones.
fn refuse_clones(kind: &Type, disk: &DiskType, problems: &mut Vec<Diagnostic>) {
    let cloned = disk.partitions.iter().find(|one| one.clones > 0).map(|one| one.role.clone());
    let attribute = [(disk.root_clones, "clones of root"), (disk.boot_clones, "clones of boot")];
    let mut places = attribute.into_iter().filter(|(count, _)| *count > 0).map(|(_, name)| name.to_owned());
    let Some(place) = places.next().or(cloned) else { return };
    let span = kind.spans.iter().find(|(name, _)| *name == place).map_or(&kind.span, |(_, span)| span);
    if disk.naming == Naming::Label {
        let message = "clones together with devicepersistency=\"by-label\": a clone has the label of its origin, and the \
                       system might take the clone for it";
        problems.push(span.error("clone", message).hint("devicepersistency=\"by-uuid\" or \"by-partuuid\""));
    }
    if disk.root_clones > 0 && disk.resize && disk.overlay.is_none() {
        let message = "clones of the root together with oem-resize (KIWI's default is true): the root would grow at the first \
                       boot and no longer be what its clones are";
        problems.push(span.error("clone", message).hint("<oem-resize>false</oem-resize> in oemconfig"));
    }
}

/// KIWI NG 11.1.6 `firmware.py: get_partition_table_type`.
fn table(disk: &DiskType, firmware: Option<Firmware>, arch: Arch) -> Table {
    let mbr = Table::Mbr { extended: disk.extended, converted: false };
    let target = disk.target_type.as_deref().unwrap_or("");
    let is_efi = firmware.is_some_and(Firmware::is_efi);
    match arch {
        Arch::S390x if target.contains("CDL") => Table::Dasd,
        Arch::S390x if target.contains("GPT") => Table::Gpt { hybrid: false },
        Arch::S390x => mbr,
        Arch::Ppc64le => Table::Gpt { hybrid: false },
        _ if is_efi && !disk.efi_mbr && disk.force_mbr => Table::Mbr { extended: false, converted: true },
        _ if is_efi && !disk.efi_mbr => Table::Gpt { hybrid: disk.hybrid },
        _ => mbr,
    }
}

/// What starts the kernel. KIWI takes GRUB where nothing is said.
fn loader(
    kind: &Type,
    disk: &DiskType,
    firmware: Option<Firmware>,
    problems: &mut Vec<Diagnostic>,
) -> Loader {
    let loader = disk.loader.unwrap_or(Loader::Grub);
    if matches!(loader, Loader::SystemdBoot { .. }) && !firmware.is_some_and(Firmware::is_efi) {
        let name = firmware.map_or("none", Firmware::name);
        let message = format!("systemd-boot starts from UEFI alone, and the firmware is {name}");
        problems.push(kind.span.error("bad-value", message).hint("firmware=\"uefi\""));
    }
    loader
}

/// How GRUB starts the kernel; `None`: not on this machine yet.
fn grub(selection: &Selection<'_>, disk: &DiskType, firmware: Option<Firmware>, arch: Arch) -> Option<Grub> {
    let firmware = firmware.filter(|one| !matches!(one, Firmware::Ofw | Firmware::Opal))?;
    let here = is_x86(arch) || (firmware.is_efi() && matches!(arch, Arch::Aarch64 | Arch::Riscv64));
    let menu = &disk.menu;
    let output = menu.output.clone().unwrap_or_else(|| GRUB_OUTPUT.to_owned());
    here.then(|| Grub {
        firmware,
        timeout: menu.timeout.unwrap_or(GRUB_TIMEOUT),
        timeout_style: menu.style,
        // Where only the output is said, the input is the same.
        input: menu.input.clone().or_else(|| menu.output.clone()).unwrap_or_else(|| GRUB_INPUT.to_owned()),
        output,
        serial_line: menu.serial_line.clone(),
        video_mode: menu.video_mode.clone().unwrap_or_else(|| GRUB_VIDEO.to_owned()),
        theme: themes(selection).next_back().map(|theme| theme.value.clone()),
        bls: menu.bls.unwrap_or(true),
        initrd: menu.initrd,
        display_name: selection.model.displayname.clone(),
        naming: disk.naming,
        options: GrubOptions::default(),
    })
}

/// Themes, of which the last one counts.
fn themes<'a>(selection: &Selection<'a>) -> impl DoubleEndedIterator<Item = &'a Said<String>> {
    let preferences: Vec<&'a Preferences> = selection.preferences.clone();
    preferences.into_iter().filter_map(|one| one.said.bootloader_theme.as_ref())
}

/// Where the loader is named; else the type.
fn loader_span(kind: &Type) -> &Span {
    let name = kind.said.bootloader.as_ref().and_then(|loader| loader.name.as_ref());
    name.map_or(&kind.span, |name| &name.span)
}

/// A file system; one that is not written yet keeps what it would be told.
fn mkfs(option: &str, name: &str, options: Vec<String>) -> Result<Mkfs, ResolveError> {
    match find(name) {
        Some(_) => super::mkfs(option, name, options),
        None => Ok(Mkfs { name: name.to_owned(), options }),
    }
}

/// Bits of a FAT and a label.
fn labelled(filesystem: &str, label: &str) -> Vec<String> {
    mkfs_options(filesystem, label)
}

impl Setting<'_> {
    fn is_efi(&self) -> bool {
        self.firmware.is_some_and(Firmware::is_efi)
    }

    fn is_lvm(&self) -> bool {
        self.volumes.as_ref().is_some_and(Volumes::is_lvm)
    }

    /// KIWI's `need_boot_partition`.
    fn has_boot(&self) -> bool {
        let by_volumes = self.volumes.as_ref().map(|_| self.is_lvm());
        let needed = || self.disk.raid.is_some() || by_volumes.unwrap_or(self.disk.overlay.is_some());
        self.disk.boot.unwrap_or_else(needed)
    }

    /// All partitions in their order.
    fn partitions(&self, root: Rule) -> Result<Vec<Partition>, ResolveError> {
        let spare = self.spare(root)?;
        let (spare, last) = if self.disk.spare_last { (None, spare) } else { (spare, None) };
        let described = self.disk.partitions.iter().map(|one| Ok(Some(self.described(one.clone()))));
        let parts = [self.csm(), self.esp(), self.prep(), self.boot(), self.swap()];
        let behind = [Ok(spare), self.readonly(), self.root(root), Ok(last)];
        let all = parts.into_iter().chain(described).chain(behind);
        all.filter_map(Result::transpose).collect()
    }

    fn fixed(role: &str, name: &str, kind: PartitionKind, megabytes: u64, knob: &str) -> Partition {
        Partition {
            role: role.to_owned(),
            name: name.to_owned(),
            kind,
            type_guid: None,
            number: None,
            clones: 0,
            size: Rule::Exact(mib(megabytes)),
            knob: knob.to_owned(),
            layers: Vec::new(),
            contents: Contents::Blank,
        }
    }

    /// GRUB's partition on a GPT; KIWI makes it on an MBR for UEFI, too.
    fn csm(&self) -> Result<Option<Partition>, ResolveError> {
        let mbr = matches!(self.table, Table::Mbr { converted: false, .. });
        if !(self.is_efi() && is_x86(self.choice.arch) && (mbr || self.disk.csm)) {
            return Ok(None);
        }
        let part = Self::fixed("efi_csm", "p.legacy", PartitionKind::BiosBoot, CSM_MIB, "eficsm=\"false\"");
        Ok(Some(Partition { number: self.disk.csm_number, ..part }))
    }

    fn esp(&self) -> Result<Option<Partition>, ResolveError> {
        if !self.is_efi() {
            return Ok(None);
        }
        let described = Rule::Exact(mib(self.disk.esp_mib.unwrap_or(ESP_MIB)));
        let part = Self::fixed(ESP, "p.UEFI", PartitionKind::Esp, 0, ESP_KNOB);
        Ok(Some(Partition {
            number: self.disk.esp_number,
            size: self.choice.esp_size.map_or(described, Rule::from),
            contents: Contents::Mounted {
                format: mkfs("efipartsize", "vfat", labelled("fat16", "EFI"))?,
                mountpoint: ESP_MOUNT.to_owned(),
                options: options(self.disk.esp_mount_options.as_deref()),
            },
            ..part
        }))
    }

    fn prep(&self) -> Result<Option<Partition>, ResolveError> {
        let wanted = self.firmware == Some(Firmware::Ofw);
        Ok(wanted.then(|| Self::fixed("prep", "p.prep", PartitionKind::Prep, PREP_MIB, "firmware")))
    }

    fn boot(&self) -> Result<Option<Partition>, ResolveError> {
        if !self.has_boot() {
            return Ok(None);
        }
        let filesystem = self.disk.boot_filesystem.as_deref().unwrap_or(self.filesystem);
        let on_s390 =
            self.choice.arch == Arch::S390x && self.disk.loader.is_none_or(|one| one == Loader::Grub);
        let size = self.disk.boot_mib.unwrap_or(BOOT_MIB);
        let part = Self::fixed("boot", "p.lxboot", PartitionKind::Linux, size, "bootpartsize=\"{}\"");
        Ok(Some(Partition {
            number: self.disk.boot_number,
            clones: self.disk.boot_clones,
            type_guid: self.disk.discoverable.then_some(guids::XBOOTLDR),
            contents: Contents::Mounted {
                format: mkfs("bootfilesystem", filesystem, labelled(filesystem, "BOOT"))?,
                mountpoint: if on_s390 { "/boot/zipl" } else { "/boot" }.to_owned(),
                options: options(None),
            },
            ..part
        }))
    }

    /// On LVM it is a volume.
    fn swap(&self) -> Result<Option<Partition>, ResolveError> {
        let Some(size) = self.disk.swap_mib.filter(|_| !self.is_lvm()) else { return Ok(None) };
        let knob = "<oem-swapsize>{}</oem-swapsize>";
        let part = Self::fixed("swap", "p.swap", PartitionKind::Swap, size, knob);
        let contents = Contents::Empty(mkfs("oem-swap", "swap", label_options("swap", "SWAP").to_vec())?);
        Ok(Some(Partition { contents, ..part }))
    }

    fn described(&self, partition: Partition) -> Partition {
        let by_name = guids::BY_NAME.iter().find(|(name, _)| *name == partition.name).map(|(_, guid)| *guid);
        let usr = (partition.name == "usr").then(|| self.choice.arch.usr_guid());
        let type_guid = by_name.or(usr).filter(|_| self.disk.discoverable);
        Partition { type_guid, ..partition }
    }

    fn spare(&self, root: Rule) -> Result<Option<Partition>, ResolveError> {
        let disk = self.disk;
        if disk.spare_mib == 0 && !disk.spare_last {
            return Ok(None);
        }
        // The last one takes what is left, unless the root does.
        let given = matches!(disk.size, Some(SizeElement { additive: false, .. }))
            || matches!(self.choice.size, Some(Size::Exact(_)));
        let rest = disk.spare_last && root != Rule::Rest && (given || disk.spare_mib == 0);
        let size = if rest { Rule::Rest } else { Rule::Exact(mib(disk.spare_mib)) };
        let format = |name: &str| mkfs("spare_part_fs", name, labelled(name, "SPARE"));
        let format = disk.spare_filesystem.as_deref().map(format).transpose()?;
        let contents = match (format, &disk.spare_mountpoint) {
            (None, _) => Contents::Blank,
            (Some(format), None) => Contents::Empty(format),
            (Some(format), Some(mountpoint)) => {
                Contents::Mounted { format, mountpoint: mountpoint.clone(), options: options(None) }
            }
        };
        let part = Self::fixed("spare", "p.spare", PartitionKind::Linux, 0, "spare_part=\"{}M\"");
        Ok(Some(Partition { size, contents, ..part }))
    }

    fn readonly(&self) -> Result<Option<Partition>, ResolveError> {
        let Some(overlay) = &self.disk.overlay else { return Ok(None) };
        let part = Self::fixed(
            "readonly",
            "p.lxreadonly",
            PartitionKind::Linux,
            0,
            "overlayroot_readonly_partsize=\"{}\"",
        );
        let (layers, on_root) = self.layers();
        // What is writable cannot be verified.
        let verity = [Layer::Verity].into_iter().filter(|_| self.disk.verity).collect();
        Ok(Some(Partition {
            clones: self.disk.root_clones,
            type_guid: self.disk.discoverable.then(|| self.choice.arch.root_guid()),
            size: overlay.mib.map_or(Rule::Times(100), |size| Rule::Exact(mib(size))),
            layers: if on_root { verity } else { layers },
            contents: Contents::Packed(mkfs(
                "overlayroot_readonly_filesystem",
                &overlay.filesystem,
                Vec::new(),
            )?),
            ..part
        }))
    }

    /// What lies between the root's partition and its file system, and whether the root is where it lies.
    fn layers(&self) -> (Vec<Layer>, bool) {
        let DiskType { raid, integrity, luks, verity, .. } = self.disk;
        let on_root = self.disk.overlay.as_ref().is_none_or(|overlay| overlay.write);
        let layer = |wanted: bool, layer: Layer| wanted.then_some(layer);
        let layers = [
            *raid,
            layer(*integrity, Layer::Integrity),
            layer(*luks, Layer::Luks),
            layer(*verity && (self.disk.overlay.is_none() || !on_root), Layer::Verity),
        ];
        (layers.into_iter().flatten().collect(), on_root)
    }

    fn root(&self, size: Rule) -> Result<Option<Partition>, ResolveError> {
        let (layers, on_root) = self.layers();
        if !on_root {
            return Ok(None);
        }
        let disk = self.disk;
        let label = self.choice.label.as_deref().or(disk.label.as_deref()).unwrap_or("ROOT");
        let made = disk.options.iter().cloned().chain(label_options(self.filesystem, label)).collect();
        let (name, kind) = match disk.raid {
            _ if self.is_lvm() => ("p.lxlvm", PartitionKind::Lvm),
            Some(_) => ("p.lxraid", PartitionKind::Raid),
            None => ("p.lxroot", PartitionKind::Linux),
        };
        let plain = kind == PartitionKind::Linux && disk.discoverable;
        Ok(Some(Partition {
            role: ROOT.to_owned(),
            name: name.to_owned(),
            kind,
            type_guid: plain.then(|| self.choice.arch.root_guid()),
            number: disk.root_number,
            clones: if disk.overlay.is_some() { 0 } else { disk.root_clones },
            size,
            knob: if disk.counts_system() { SYSTEM_KNOB } else { DISK_KNOB }.to_owned(),
            layers,
            contents: Contents::Mounted {
                format: mkfs("--fs", self.filesystem, made)?,
                mountpoint: "/".to_owned(),
                options: options(disk.mount_options.as_deref()),
            },
        }))
    }

    /// What KIWI sets the active flag on.
    fn active(&self, partitions: &[Partition]) -> Option<String> {
        let wanted = matches!(self.firmware, Some(Firmware::Bios | Firmware::Ofw));
        let there = |role: &&str| partitions.iter().any(|one| one.role == *role);
        ["prep", "boot", ROOT].into_iter().find(there).filter(|_| wanted).map(str::to_owned)
    }
}

fn options(given: Option<&str>) -> String {
    given.unwrap_or("defaults").to_owned()
}

/// What the root is divided into.
fn volumes(selection: &Selection<'_>, disk: &DiskType, filesystem: &str) -> Option<Volumes> {
    let volumes: Vec<SystemVolume> = selection.volumes();
    let given = disk.mount_options.clone();
    let manager = match selection.volume_manager()? {
        "lvm" => VolumeManager::Lvm {
            group: disk.group.clone().unwrap_or_else(|| "systemVG".to_owned()),
            format: Mkfs { name: filesystem.to_owned(), options: disk.options.clone() },
            options: options(given.as_deref()),
        },
        _ => {
            let named = volumes.iter().find(|one| one.is_root_volume).map(|one| one.name.clone());
            let named = named.filter(|name| !name.is_empty()).unwrap_or_else(|| "@".to_owned());
            VolumeManager::Btrfs {
                toplevel: disk.btrfs_toplevel.then_some(named),
                snapper: disk.btrfs_toplevel && disk.btrfs_snapper,
                default: disk.btrfs_default,
                options: options(given.as_deref()),
            }
        }
    };
    Some(Volumes { manager, volumes, resize: disk.resize })
}

/// The size of the disk and of its root: `--size`, else the description's.
fn sizes(disk: &DiskType, choice: &Choice) -> (DiskSize, Rule) {
    let system = disk.system_mib.filter(|_| disk.counts_system()).map(|size| Rule::Exact(mib(size)));
    match (choice.size, disk.size) {
        (Some(Size::Exact(bytes)), _) => (DiskSize::Exact(bytes), system.unwrap_or(Rule::Rest)),
        (Some(size), _) => (DiskSize::Computed { extra: Bytes(0) }, size.into()),
        (None, Some(SizeElement { value, additive: false, .. })) => {
            (DiskSize::Exact(value), system.unwrap_or(Rule::Rest))
        }
        // What is unpartitioned is part of the value and goes to no partition.
        (None, Some(SizeElement { value, unpartitioned, .. })) => {
            let extra = Bytes(value.0 - unpartitioned.0);
            (DiskSize::Computed { extra }, system.unwrap_or(Rule::ROOMY))
        }
        (None, None) => (DiskSize::Computed { extra: Bytes(0) }, system.unwrap_or(Rule::ROOMY)),
    }
}

/// With a spare partition behind the root, that one grows, and `oem-systemsize` is the root's.
fn growth(disk: &DiskType) -> Growth {
    let most = disk.system_mib.filter(|_| !disk.spare_last).map(mib);
    Growth { once: disk.resize_once, most, asked: disk.resize_asked }
}

fn kiwi_sizes(disk: &DiskType, filesystem: &str) -> KiwiSizes {
    KiwiSizes {
        filesystem: filesystem.to_owned(),
        size: disk.size.map(|size| KiwiSize {
            mebibytes: (size.value.0 - size.unpartitioned.0) / MIB,
            additive: size.additive,
        }),
        resize: disk.resize,
        system: disk.system_mib.unwrap_or(0),
        recovery: disk.recovery_mib,
        spare: disk.spare_mib,
        spare_last: disk.spare_last,
    }
}

/// `--partition NAME=FILE`: files with images in the place of what would be laid.
pub(super) fn images(
    partitions: &mut [Partition],
    choice: &Choice,
    loader: Loader,
) -> Result<(), ResolveError> {
    for (name, source) in &choice.partitions {
        let names: Vec<String> = partitions.iter().map(|one| one.role.clone()).collect();
        let Some(partition) = partitions.iter_mut().find(|one| one.role == *name || one.name == *name) else {
            let hint = format!("partitions: {}", names.join(", "));
            return Err(wrong_choice("--partition", format!("no such partition: {name}"), hint));
        };
        refuse_image(partition, source, loader)?;
        let ImageSource { len, .. } = *source;
        let mount = match &partition.contents {
            Contents::Mounted { mountpoint, options, .. } => Some((mountpoint.clone(), options.clone())),
            _ => None,
        };
        partition.contents = Contents::Image { source: source.clone(), mount };
        if !matches!(partition.size, Rule::Exact(_) | Rule::Rest) {
            partition.size = Rule::Exact(Bytes(len.next_multiple_of(MIB)));
        }
    }
    Ok(())
}

/// Partitions that a loader writes into.
const OF_THE_LOADER: [&str; 4] = [ESP, "efi_csm", "prep", "boot"];

/// What cannot be made of an image, and which image cannot be used.
fn refuse_image(partition: &Partition, source: &ImageSource, loader: Loader) -> Result<(), ResolveError> {
    let refuse = |reason: &str, hint: &str| {
        Err(wrong_choice("--partition", format!("{}: {reason}", partition.role), hint))
    };
    let known = "ext2, ext3, ext4, vfat and swap are known";
    match &source.format {
        _ if [ROOT, "readonly"].contains(&partition.role.as_str()) => {
            refuse("the root is made of the tree", "partitions beside the root can be images")
        }
        _ if loader != Loader::Custom && OF_THE_LOADER.contains(&partition.role.as_str()) => {
            refuse("the loader's files go into it", "--no-boot, and an image that has what it needs")
        }
        None if partition.clones > 0 => {
            refuse("clones of an image that holds no known file system would have the same ids", known)
        }
        None if partition.contents.mountpoint().is_some() => {
            refuse("an image that holds no known file system has no id for fstab", known)
        }
        _ if source.len == 0 => refuse("an empty file", "the contents of a partition"),
        _ => Ok(()),
    }
}
