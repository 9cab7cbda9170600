//! What an image is; illegal combinations cannot be written down.
//!
//! An [`Image`] is closed: profiles, defaults, architecture and command line are already in it
//! ([`resolve`](crate::resolve)), and it holds no path of the host, so that its hash can be the default seed.

mod arch;
mod description;
mod sections;
mod size;

pub use arch::{ARCHES, Arch};
pub use description::{
    DescribedVolume, DiskType, Kind, Model, Need, Preferences, Profile, Scope, SizeElement, Type,
};
pub use sections::{
    DescribedPartition, Fact, Item, PackageItem, Packages, Phase, Repository, Said, SystemVolume, TypeName,
    User,
};
pub use size::{Bytes, MIB, Rule, Size, SizeError, mib};

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::registry::{self, BootReader, Filesystem, find};
use serde::Serialize;

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

/// A GPT disk for UEFI machines, or for none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Bytes in a sector.
    pub sector_size: SectorSize,
    /// First byte of the first partition: a multiple of 1 MiB.
    pub first: Bytes,
    /// How long the disk is.
    pub size: DiskSize,
    /// Bytes at the end of the disk that no partition uses.
    pub unpartitioned: Bytes,
    /// Whether an empty BIOS boot partition of 2 MiB comes first (KIWI's `eficsm`).
    pub bios_boot: bool,
    /// The EFI system partition and the loader in it.
    pub esp: Option<Esp>,
    /// Partitions between it and the root, in this order.
    pub partitions: Vec<Partition>,
    /// The last partition.
    pub root: Volume,
    /// Mount options of the root in fstab.
    pub root_options: String,
    /// How fstab and the kernel command line name devices.
    pub naming: Naming,
    /// Whether partitions carry the type GUIDs of the Discoverable Partitions Specification.
    pub discoverable: bool,
    /// Kernel command line without what `root=` adds.
    pub command_line: String,
    /// Containers, each an output.
    pub formats: Vec<Format>,
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

/// The EFI system partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Esp {
    /// Its file system: FAT.
    pub volume: Volume,
    /// Where it is mounted; files that the tree has there go into it.
    pub mountpoint: String,
    /// What starts the kernel.
    pub loader: Loader,
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
    /// Nothing is installed: the tree brings what it needs.
    Custom,
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

/// A partition of the description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Its name in the description, unique.
    pub name: String,
    /// Its name in the table; `None`: `p.lx` and the name.
    pub table_name: Option<String>,
    /// What the table says it is for.
    pub kind: PartitionKind,
    /// Length in bytes.
    pub size: Bytes,
    /// What is in it.
    pub contents: Contents,
}

/// What a table says that a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionKind {
    /// Linux data.
    Linux,
    /// A member of a RAID.
    Raid,
}

/// What is in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contents {
    /// Zeros.
    Blank,
    /// An empty file system.
    Empty(Mkfs),
    /// The files below a directory of the tree.
    Mounted {
        /// Its file system.
        format: Mkfs,
        /// Absolute path of the directory.
        mountpoint: String,
    },
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
