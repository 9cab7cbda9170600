//! A description before anything is chosen: every profile, every type, and where it is written.

use super::{
    Bytes, DescribedPartition, Fact, Format, Layer, Naming, Packages, Partition, Repository, SectorSize,
    SystemVolume, TimeoutStyle, User,
};
use crate::describe::{Diagnostic, Span};
use serde::Serialize;

/// A description with everything in it. [`resolve`](crate::resolve::resolve) makes an [`Image`](super::Image) of it.
#[derive(Clone, Debug)]
pub struct Model {
    /// The root element's start tag.
    pub span: Span,
    /// `image@name`.
    pub name: String,
    /// `image@displayname`.
    pub displayname: Option<String>,
    /// `profiles/profile`.
    pub profiles: Vec<Profile>,
    /// `preferences`, in order.
    pub preferences: Vec<Preferences>,
    /// `packages`, in order.
    pub packages: Vec<Packages>,
    /// `repository`, in order.
    pub repositories: Vec<Repository>,
    /// `users/user`, in order.
    pub users: Vec<User>,
    /// What the preparation of a tree would have to do.
    pub needs: Vec<Need>,
    /// What is wrong, whatever is selected; warnings too.
    pub problems: Vec<Diagnostic>,
}

/// A selectable slice of a description.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What people are told about it.
    pub description: String,
    /// Where it is written.
    pub span: Span,
    /// Selected when no profile is named.
    pub import: bool,
    /// Machines on which it exists; empty: all.
    pub arch: Vec<String>,
    /// Profiles that it pulls in, each on these machines.
    pub requires: Vec<(String, Vec<String>)>,
}

/// When a section applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Profiles; empty: always.
    pub profiles: Vec<String>,
    /// Machines; empty: all.
    pub arch: Vec<String>,
}

impl Type {
    /// What it says at a path.
    pub fn fact(&self, path: &str) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.value.0 == path)
    }

    /// The text at a path.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.fact(path).map(|fact| fact.value.1.as_str())
    }

    /// Whether an XML Schema boolean at a path says yes.
    pub fn is_set(&self, path: &str) -> bool {
        matches!(self.text(path), Some("true" | "1"))
    }

    /// Where a path is written; else the type.
    pub fn span_of(&self, path: &str) -> &Span {
        self.fact(path).map_or(&self.span, |fact| &fact.span)
    }

    /// Whether it has an element of this name.
    pub fn has(&self, element: &str) -> bool {
        self.elements.iter().any(|one| one == element)
    }
}

impl Scope {
    /// Whether it applies with these profiles on this machine (a name as `uname -m` gives it).
    pub fn applies(&self, profiles: &[String], arch: &str) -> bool {
        let by_profile = self.profiles.is_empty() || self.profiles.iter().any(|name| profiles.contains(name));
        by_profile && (self.arch.is_empty() || self.arch.iter().any(|name| name == arch))
    }
}

/// `preferences`.
#[derive(Clone, Debug)]
pub struct Preferences {
    /// When it applies.
    pub scope: Scope,
    /// `version`.
    pub version: Option<String>,
    /// Its other elements: `packagemanager`, `locale`, in order.
    pub settings: Vec<Fact>,
    /// `type`, in order.
    pub types: Vec<Type>,
    /// What is wrong in it outside its types.
    pub problems: Vec<Diagnostic>,
}

/// `type`.
#[derive(Clone, Debug)]
pub struct Type {
    /// Its start tag.
    pub span: Span,
    /// `image`.
    pub image: String,
    /// `primary`.
    pub primary: bool,
    /// What is wrong in it; warnings too.
    pub problems: Vec<Diagnostic>,
    /// What it says; `None` when what is wrong leaves nothing to say.
    pub kind: Option<Kind>,
    /// All that it says, by path: `kernelcmdline`, `bootloader@name`, `oemconfig/oem-swap`.
    pub facts: Vec<Fact>,
    /// `partitions/partition` as they are written.
    pub partitions: Vec<DescribedPartition>,
    /// The names of the elements in it.
    pub elements: Vec<String>,
    /// `systemdisk/volume`, in order.
    pub volumes: Vec<DescribedVolume>,
    /// Where the size of each part is written, by its role in the plan; `boot` is the loader.
    pub spans: Vec<(String, Span)>,
}

/// What a `type` says.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `image="oem"`.
    Disk(Box<DiskType>),
    /// `image="ext4"`: a bare file system.
    Filesystem {
        /// Row of the registry.
        name: String,
        /// Options of its mkfs.
        options: Vec<String>,
        /// `size`.
        size: Option<SizeElement>,
    },
}

/// `image="oem"`, with what was left out still open.
#[derive(Clone, Debug)]
pub struct DiskType {
    /// `firmware`; `None`: the machine decides.
    pub firmware: Option<Firmware>,
    /// `efiparttable="msdos"`.
    pub efi_mbr: bool,
    /// `eficsm`.
    pub csm: bool,
    /// `gpt_hybrid_mbr`.
    pub hybrid: bool,
    /// `force_mbr`.
    pub force_mbr: bool,
    /// `dosparttable_extended_layout`.
    pub extended: bool,
    /// `bootloader@targettype`.
    pub target_type: Option<String>,
    /// `filesystem`; `None`: the schema has said what is wrong with it.
    pub filesystem: Option<String>,
    /// `fscreateoptions`.
    pub options: Vec<String>,
    /// `fsmountoptions`.
    pub mount_options: Option<String>,
    /// `rootfs_label`.
    pub label: Option<String>,
    /// `efipartsize`, MiB.
    pub esp_mib: Option<u64>,
    /// `efimountoptions`.
    pub esp_mount_options: Option<String>,
    /// `bootpartition`.
    pub boot: Option<bool>,
    /// `bootpartsize`, MiB.
    pub boot_mib: Option<u64>,
    /// `bootfilesystem`.
    pub boot_filesystem: Option<String>,
    /// `root_clone`.
    pub root_clones: u32,
    /// `boot_clone`.
    pub boot_clones: u32,
    /// `eficsmpart_id`.
    pub csm_number: Option<u32>,
    /// `efipart_id`.
    pub esp_number: Option<u32>,
    /// `bootpart_id`.
    pub boot_number: Option<u32>,
    /// `rootpart_id`.
    pub root_number: Option<u32>,
    /// `spare_part`, MiB; 0 and left out are the same.
    pub spare_mib: u64,
    /// `spare_part_fs`.
    pub spare_filesystem: Option<String>,
    /// `spare_part_mountpoint`.
    pub spare_mountpoint: Option<String>,
    /// `spare_part_is_last`.
    pub spare_last: bool,
    /// `oem-swap` with `oem-swapsize`, MiB.
    pub swap_mib: Option<u64>,
    /// `overlayroot`.
    pub overlay: Option<Overlay>,
    /// `mdraid`.
    pub raid: Option<Layer>,
    /// `standalone_integrity`.
    pub integrity: bool,
    /// `luks`.
    pub luks: bool,
    /// `verity_blocks`.
    pub verity: bool,
    /// `systemdisk@name`.
    pub group: Option<String>,
    /// `btrfs_root_is_subvolume`.
    pub btrfs_toplevel: bool,
    /// `btrfs_root_is_snapper_snapshot`.
    pub btrfs_snapper: bool,
    /// `btrfs_root_is_readonly_snapshot`.
    pub btrfs_readonly: bool,
    /// `btrfs_set_default_volume`.
    pub btrfs_default: bool,
    /// `target_blocksize`.
    pub sector_size: SectorSize,
    /// `disk_start_sector`.
    pub start_sector: u64,
    /// `devicepersistency`.
    pub naming: Naming,
    /// `kernelcmdline`.
    pub command_line: String,
    /// `apply_dps_codes`.
    pub discoverable: bool,
    /// `format` and `formatoptions`.
    pub format: Option<Format>,
    /// `bootloader`; `None`: left out.
    pub loader: Option<super::Loader>,
    /// What `bootloader` says besides.
    pub menu: Menu,
    /// `size`.
    pub size: Option<SizeElement>,
    /// `oem-resize`; KIWI's default is true.
    pub resize: bool,
    /// `oem-systemsize`, MiB.
    pub system_mib: Option<u64>,
    /// `oem-recovery-part-size` with `oem-inplace-recovery`, MiB.
    pub recovery_mib: u64,
    /// `partitions/partition`.
    pub partitions: Vec<Partition>,
}

impl DiskType {
    /// Whether `oem-systemsize` is the length of the root: KIWI looks at it where nothing grows behind the root.
    pub fn counts_system(&self) -> bool {
        self.system_mib.is_some() && (!self.resize || self.spare_last)
    }
}

/// Attributes of `bootloader` that are for GRUB's menu.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Menu {
    /// `timeout`, seconds.
    pub timeout: Option<u32>,
    /// `timeout_style`
    pub style: Option<TimeoutStyle>,
    /// `input_console`
    pub input: Option<String>,
    /// `output_console`
    pub output: Option<String>,
    /// `serial_line`
    pub serial_line: Option<String>,
    /// `video_mode`
    pub video_mode: Option<String>,
    /// `bls`
    pub bls: Option<bool>,
}

/// `firmware`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// PC BIOS.
    Bios,
    /// UEFI with the distribution's unsigned loader.
    Efi,
    /// UEFI with the distribution's signed loader.
    Uefi,
    /// Machines of EC2, which start like a BIOS.
    Ec2,
    /// The description's own.
    Custom,
    /// Open Firmware.
    Ofw,
    /// OPAL.
    Opal,
}

impl Firmware {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Firmware::Bios => "bios",
            Firmware::Efi => "efi",
            Firmware::Uefi => "uefi",
            Firmware::Ec2 => "ec2",
            Firmware::Custom => "custom",
            Firmware::Ofw => "ofw",
            Firmware::Opal => "opal",
        }
    }

    /// Whether it starts files of an EFI system partition.
    pub fn is_efi(self) -> bool {
        matches!(self, Firmware::Efi | Firmware::Uefi)
    }
}

/// `overlayroot` and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// `overlayroot_write_partition`.
    pub write: bool,
    /// `overlayroot_readonly_filesystem`.
    pub filesystem: String,
    /// `overlayroot_readonly_partsize`, MiB.
    pub mib: Option<u64>,
}

/// `size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeElement {
    /// The value, in bytes.
    pub value: Bytes,
    /// Whether it comes on top of what is computed.
    pub additive: bool,
    /// `unpartitioned`, in bytes.
    pub unpartitioned: Bytes,
}

/// Something that makes the tree: packages, users.
#[derive(Clone, Debug)]
pub struct Need {
    /// When it applies.
    pub scope: Scope,
    /// What would have to be done, as an error.
    pub problem: Diagnostic,
}

/// A volume and the machines that it is for.
#[derive(Clone, Debug)]
pub struct DescribedVolume {
    /// What it is.
    pub volume: SystemVolume,
    /// Machines; empty: all.
    pub arch: Vec<String>,
    /// Where it is written.
    pub span: Span,
}
