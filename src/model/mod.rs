//! What an image is; illegal combinations cannot be written down.
//!
//! An [`Image`] is closed: profiles, defaults, architecture and command line are already in it
//! ([`resolve`](crate::resolve)), and it holds no path of the host, so that its hash can be the default seed.

mod arch;
mod description;
pub mod elements;
pub mod lexical;
mod sections;
mod size;
pub mod words;

pub use arch::{ARCHES, Arch};
pub use description::{
    DiskType, Kind, Menu, Model, Need, Overlay, Preferences, Profile, Scope, SizeElement, Type,
};
pub use elements::{Entry, Said};
pub use sections::{DescribedPartition, Item, PackageItem, Phase, Room, SystemVolume, least_volume};
pub use size::{Bytes, MIB, Rule, Size, SizeError, mib};
pub use words::{Firmware, TimeoutStyle};

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::registry::{self, BootReader, Filesystem, find};
use serde::Serialize;
use std::path::PathBuf;
use uuid::{Uuid, uuid};

/// One output of `diskwright`: what it is made of, without the files in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Base of every output's file name.
    pub name: String,
    /// The name in boot menus.
    pub title: String,
    /// Part of every output's file name, where there is one.
    pub version: Option<String>,
    /// The machine that it runs on.
    pub arch: Arch,
    /// Paths of the tree that stay out (`tmp/*`: what is in the directory, not the directory itself).
    pub excludes: Vec<String>,
    /// Files of the tree that ask for steps that are not supported yet: an image is refused where there is one.
    #[serde(skip)]
    pub hooks: Vec<String>,
    /// What comes out.
    pub target: Target,
    /// What the tree says of the system in it ([`survey::system`](crate::survey::system)), from which its file systems have
    /// their defaults. No part of the seed.
    #[serde(skip)]
    pub system: Option<System>,
}

/// What a tree says of the system in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// Its release, or the profile that was named in its place.
    pub target: registry::Target,
    /// Whether GRUB is in the tree.
    pub grub: bool,
    /// `/etc/fstab.append`: lines behind the generated fstab.
    pub fstab_append: Option<String>,
    /// `/etc/fstab.patch`: a unified diff of the two.
    pub fstab_patch: Option<String>,
    /// `/etc/fstab`, where the tree's own script has made it of the generated one.
    pub fstab: Option<String>,
    /// `/image/exclude_files.yaml`: paths and patterns that stay out of the image, or what is wrong with it.
    pub exclude_files: Option<Result<Vec<String>, String>>,
}

impl System {
    /// The same as a file system's target: GRUB counts where it reads this one.
    pub fn target(&self, holds_boot: bool) -> registry::Target {
        let boot = Some(BootReader::Grub).filter(|_| self.grub && holds_boot);
        registry::Target { boot, ..self.target.clone() }
    }
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A disk with a partition table, in one container or several.
    Disk(Box<Disk>),
    /// A bare file system.
    Filesystem(Volume),
}

/// A disk with a partition table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Its partition table.
    pub table: Table,
    /// Bytes in a sector.
    pub sector_size: SectorSize,
    /// First byte of the first partition: a multiple of 1 MiB.
    pub first: Bytes,
    /// How long the disk is.
    pub size: DiskSize,
    /// Bytes at the end of the disk that no partition uses.
    pub unpartitioned: Bytes,
    /// In the order of the disk. Clones of a partition lie in front of it.
    pub partitions: Vec<Partition>,
    /// Which partition a BIOS starts from, by its role.
    pub active: Option<String>,
    /// What the root partition is divided into.
    pub volumes: Option<Volumes>,
    /// What starts the kernel.
    pub loader: Loader,
    /// How GRUB starts it, where it does.
    pub grub: Option<Grub>,
    /// How fstab and the kernel command line name devices.
    pub naming: Naming,
    /// Whether the root is mounted read-only and never checked: it is a snapshot.
    pub readonly_root: bool,
    /// Kernel command line without what `root=` adds.
    pub command_line: String,
    /// Containers, each an output.
    pub formats: Vec<Format>,
    /// KIWI's files of ids in the tree: `/config.partids`, `/config.bootoptions`, `/boot/mbrid`.
    pub kiwi_files: bool,
    /// KIWI's arithmetic of sizes in the place of ours.
    pub kiwi_sizes: Option<KiwiSizes>,
    /// Growth at the first boot (`oem-resize`).
    pub growth: Option<Growth>,
}

/// How the last partition of a disk grows once the disk is longer than the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// At the first boot alone (`oem-resize-once`), not whenever the disk is longer than before.
    pub once: bool,
    /// It becomes no longer than this (`oem-systemsize`).
    pub most: Option<Bytes>,
    /// Whether the description says so itself; KIWI does where nothing is said. No part of the seed.
    #[serde(skip)]
    pub asked: bool,
}

/// A partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// A GPT; with `hybrid`, its first three partitions are in the MBR, too.
    Gpt {
        /// KIWI's `gpt_hybrid_mbr`.
        hybrid: bool,
    },
    /// An MBR.
    Mbr {
        /// Whether from the fourth on partitions are logical (KIWI's `dosparttable_extended_layout`).
        extended: bool,
        /// Whether KIWI makes it of a GPT (`force_mbr`), which tells in the types.
        converted: bool,
    },
    /// The VTOC of a DASD, which is planned and not written.
    Dasd,
}

impl Table {
    /// The word in plans: `gpt`, `msdos`, `dasd`.
    pub fn name(self) -> &'static str {
        match self {
            Table::Gpt { .. } => "gpt",
            Table::Mbr { .. } => "msdos",
            Table::Dasd => "dasd",
        }
    }
}

/// Bytes in a sector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum SectorSize {
    /// 512 bytes.
    #[default]
    #[serde(rename = "512")]
    B512,
    /// 4096 bytes.
    #[serde(rename = "4096")]
    B4096,
}

impl SectorSize {
    /// In bytes.
    pub fn bytes(self) -> u32 {
        match self {
            SectorSize::B512 => 512,
            SectorSize::B4096 => 4096,
        }
    }
}

/// How long a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskSize {
    /// This long, unpartitioned bytes included; a root without a size of its own gets the rest.
    Exact(Bytes),
    /// As long as its partitions need, and this much more, which goes to the root.
    Computed {
        /// Bytes.
        extra: Bytes,
    },
}

/// What starts the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// systemd-boot out of the tree.
    SystemdBoot {
        /// Seconds until the default entry starts.
        timeout: u32,
        /// Whether entries name the initrd that lies beside the kernel.
        initrd: bool,
    },
    /// GRUB 2.
    Grub,
    /// A loader for s390, which is planned and not installed.
    Zipl,
    /// Nothing is installed: the tree brings what it needs.
    Custom,
}

/// How GRUB starts the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grub {
    /// What starts GRUB.
    pub firmware: Firmware,
    /// Seconds until the default entry starts.
    pub timeout: u32,
    /// What is seen until then.
    pub timeout_style: Option<TimeoutStyle>,
    /// `input_console`: GRUB's names of terminals, parted by blanks.
    pub input: String,
    /// `output_console`: the same.
    pub output: String,
    /// `serial_line`: a command of GRUB's.
    pub serial_line: Option<String>,
    /// `video_mode`
    pub video_mode: String,
    /// `bootloader-theme`
    pub theme: Option<String>,
    /// `bls`: entries of the Boot Loader Specification, where the tree's own GRUB makes such.
    pub bls: bool,
    /// Whether entries name the initrd that lies beside the kernel.
    pub initrd: bool,
    /// `displayname` of the image.
    pub display_name: Option<String>,
    /// How the kernel finds its root.
    pub naming: Naming,
    /// `bootloadersettings`
    #[serde(skip_serializing_if = "GrubOptions::are_none")]
    pub options: GrubOptions,
}

/// What `bootloadersettings` says to GRUB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GrubOptions {
    /// `environment`: variables that GRUB keeps, names and values.
    pub environment: Vec<(String, String)>,
    /// `installoption` `--modules`: modules of the image for BIOS beside the usual.
    pub modules: Vec<String>,
    /// `installoption` `--no-bootsector`: nothing is put in front of the partitions.
    pub no_bootsector: bool,
    /// `configoption` `--set-trusted-boot`: for SUSE's own tools.
    pub trusted_boot: bool,
}

impl GrubOptions {
    /// Whether nothing is said.
    pub fn are_none(&self) -> bool {
        *self == GrubOptions::default()
    }
}

/// A file system and how much room it gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Its type and options.
    pub format: Mkfs,
    /// How long it is.
    pub size: Rule,
}

/// A file system with its options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mkfs {
    /// Name or alias of a row of the file system registry.
    pub name: String,
    /// Options in the spelling of the format's own mkfs, the label among them.
    pub options: Vec<String>,
}

impl Mkfs {
    /// A file system; refused if the registry has no such row or the row does not take these options.
    pub fn new(name: &str, options: Vec<String>) -> Result<Mkfs, Refusal> {
        let mkfs = Mkfs { name: name.to_owned(), options };
        mkfs.filesystem().map(|_| mkfs)
    }

    /// The writer.
    pub fn filesystem(&self) -> Result<Box<dyn Filesystem>, Refusal> {
        let row = find(&self.name).ok_or_else(|| {
            let spot = Spot::new("disk", self.name.clone());
            Refusal::new(RefusalKind::Unsupported, spot, "a file system that is not supported yet")
        })?;
        (row.configure)(&self.options)
    }
}

/// A partition and its clones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// KIWI's name for what it is, unique: `efi_csm`, `efi`, `prep`, `boot`, `swap`, `spare`, `readonly`, `root`, or the name
    /// in the description. Identities hang on it.
    pub role: String,
    /// Its name in the table.
    pub name: String,
    /// What the table says it is for.
    pub kind: PartitionKind,
    /// A type GUID in the place of that of its kind (Discoverable Partitions Specification).
    pub type_guid: Option<Uuid>,
    /// Its number in the table, where it was chosen.
    pub number: Option<u32>,
    /// How many clones lie in front of it.
    pub clones: u32,
    /// How long it is.
    pub size: Rule,
    /// What to write when it is too small; `{}` stands for a number of MiB.
    #[serde(skip)]
    pub knob: String,
    /// What lies between the partition and its contents, outermost first.
    pub layers: Vec<Layer>,
    /// What is in it.
    pub contents: Contents,
}

/// What a table says that a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionKind {
    /// Room for GRUB's core on a GPT.
    BiosBoot,
    /// EFI system partition.
    Esp,
    /// PowerPC reference platform boot.
    Prep,
    /// Linux data.
    Linux,
    /// Linux swap.
    Swap,
    /// A member of a RAID.
    Raid,
    /// A physical volume of LVM.
    Lvm,
}

impl PartitionKind {
    /// PartitionTypeGUID (UEFI specification 2.10, table 5.7; Discoverable Partitions Specification).
    pub fn type_guid(self) -> Uuid {
        match self {
            PartitionKind::BiosBoot => uuid!("21686148-6449-6e6f-744e-656564454649"),
            PartitionKind::Esp => uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
            PartitionKind::Prep => uuid!("9e1a2d38-c612-4316-aa26-8b49521e5a8b"),
            PartitionKind::Linux => uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"),
            PartitionKind::Swap => uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"),
            PartitionKind::Raid => uuid!("a19d880f-05fc-4d3b-a006-743f0f84911e"),
            PartitionKind::Lvm => uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928"),
        }
    }

    /// Type in an MBR.
    pub fn mbr_type(self) -> u8 {
        match self {
            PartitionKind::Esp => 0xef,
            PartitionKind::Prep => 0x41,
            PartitionKind::Swap => 0x82,
            PartitionKind::Raid => 0xfd,
            PartitionKind::Lvm => 0x8e,
            PartitionKind::Linux | PartitionKind::BiosBoot => 0x83,
        }
    }
}

/// What lies between a partition and its contents. All of it is planned and not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// A RAID that mirrors.
    Raid1,
    /// A RAID that stripes.
    Raid0,
    /// dm-integrity.
    Integrity,
    /// LUKS.
    Luks,
    /// dm-verity.
    Verity,
}

impl Layer {
    /// The word in messages.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Raid1 => "raid1",
            Layer::Raid0 => "raid0",
            Layer::Integrity => "dm-integrity",
            Layer::Luks => "luks",
            Layer::Verity => "dm-verity",
        }
    }

    /// Whether it is a RAID.
    pub fn is_raid(self) -> bool {
        matches!(self, Layer::Raid0 | Layer::Raid1)
    }
}

/// What is in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contents {
    /// Zeros.
    Blank,
    /// An empty file system, or swap.
    Empty(Mkfs),
    /// The files below a directory of the tree.
    Mounted {
        /// Its file system.
        format: Mkfs,
        /// Absolute path of the directory.
        mountpoint: String,
        /// Options in fstab.
        options: String,
    },
    /// The files of the root below an overlay, packed; mounted by the initrd.
    Packed(Mkfs),
    /// A file with an image, whose clones have fresh ids.
    Image {
        /// The file.
        source: ImageSource,
        /// Absolute path of the directory that it is mounted at, and options in fstab.
        mount: Option<(String, String)>,
    },
}

impl Contents {
    /// Its file system.
    pub fn format(&self) -> Option<&Mkfs> {
        match self {
            Contents::Blank | Contents::Image { .. } => None,
            Contents::Empty(format) | Contents::Mounted { format, .. } | Contents::Packed(format) => {
                Some(format)
            }
        }
    }

    /// Where it is mounted.
    pub fn mountpoint(&self) -> Option<&str> {
        match self {
            Contents::Mounted { mountpoint, .. } | Contents::Image { mount: Some((mountpoint, _)), .. } => {
                Some(mountpoint)
            }
            _ => None,
        }
    }
}

/// An image that a partition is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSource {
    /// Where it is. No part of the seed.
    #[serde(skip)]
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// What is in it; `None` where that is not known here.
    pub format: Option<ImageFormat>,
}

/// What an image is of. That and the length are part of the seed, the other bytes are not: they are read once, when they
/// are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageFormat {
    /// Row of the file system registry.
    pub name: String,
    /// Its own id.
    pub id: String,
    /// Its own label.
    pub label: Option<String>,
}

/// What the root partition is divided into. All of it is planned and not written yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volumes {
    /// Who divides it.
    pub manager: VolumeManager,
    /// As the description has them, with a root and, on LVM, swap.
    pub volumes: Vec<SystemVolume>,
    /// Whether they grow at the first boot (`oem-resize`), and have only what they hold until then.
    pub resize: bool,
}

impl VolumeManager {
    /// The word in plans.
    pub fn name(&self) -> &'static str {
        match self {
            VolumeManager::Lvm { .. } => "lvm",
            VolumeManager::Btrfs { .. } => "btrfs",
        }
    }
}

impl Volumes {
    /// Whether LVM divides it.
    pub fn is_lvm(&self) -> bool {
        matches!(self.manager, VolumeManager::Lvm { .. })
    }
}

/// Who divides a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeManager {
    /// LVM.
    Lvm {
        /// The volume group.
        group: String,
        /// The file system of each volume.
        format: Mkfs,
        /// fstab options of each volume.
        options: String,
    },
    /// Subvolumes of btrfs.
    Btrfs {
        /// The subvolume that all others are in, where there is one.
        toplevel: Option<String>,
        /// Whether the root is the first snapshot of snapper.
        snapper: bool,
        /// Whether the root is found by the default subvolume.
        default: bool,
        /// fstab options of each subvolume.
        options: String,
    },
}

/// What KIWI's arithmetic of sizes needs besides the partitions (kiwi.md: `DiskSetup`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KiwiSizes {
    /// File system of the root.
    pub filesystem: String,
    /// `size` in MiB, without what stays unpartitioned.
    pub size: Option<KiwiSize>,
    /// `oem-resize`.
    pub resize: bool,
    /// `oem-systemsize` in MiB; 0 where it is not given.
    pub system: u64,
    /// `oem-recovery-part-size` in MiB with `oem-inplace-recovery`; 0 without.
    pub recovery: u64,
    /// `spare_part` in MiB; 0 where it is not given.
    pub spare: u64,
    /// Whether the spare partition is the last one.
    pub spare_last: bool,
}

/// `size` in KIWI's arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KiwiSize {
    /// MiB.
    pub mebibytes: u64,
    /// On top of what is computed.
    pub additive: bool,
}

/// How fstab and the kernel command line name devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// `UUID=`
    #[default]
    Uuid,
    /// `LABEL=`
    Label,
    /// `PARTUUID=`
    PartUuid,
}

/// A container with its options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Format {
    /// Name of a row of the disk registry.
    pub name: String,
    /// Its options.
    pub options: Vec<String>,
}

impl Image {
    /// The bytes whose hash is the default seed: everything that shapes the disk. Containers take no part, so that a disk
    /// is the same in each of them.
    pub fn seed(&self) -> Vec<u8> {
        let mut image = self.clone();
        if let Target::Disk(disk) = &mut image.target {
            disk.formats.clear();
        }
        serde_json::to_vec(&image).expect("an image has only strings as keys")
    }
}
