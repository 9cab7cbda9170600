//! A description before anything is chosen: every profile, every type, and where it is written.

use super::elements::{self, Entry, Said};
use super::lexical::{Machines, ProfileNames};
use super::words::{Firmware, ImageType, Machine, TimeoutStyle};
use super::{Bytes, Format, Layer, Naming, Partition, SectorSize};
use crate::describe::{Diagnostic, Span};

/// A description with everything in it. [`resolve`](crate::resolve::resolve) makes an [`Image`](super::Image) of it.
#[derive(Clone, Debug)]
pub struct Model {
    /// The root element's start tag.
    pub span: Span,
    /// `image@name`.
    pub name: String,
    /// `image@displayname`.
    pub displayname: Option<String>,
    /// All elements but `preferences`.
    pub said: elements::Image,
    /// `profiles/profile`.
    pub profiles: Vec<Profile>,
    /// `preferences`, in order.
    pub preferences: Vec<Preferences>,
    /// What the preparation of a tree would have to do.
    pub needs: Vec<Need>,
    /// What is wrong, whatever is selected; warnings too.
    pub problems: Vec<Diagnostic>,
}

impl Model {
    /// All that the description says, by paths from `image` on.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries = self.said.entries("image");
        for section in &self.preferences {
            entries.extend(section.said.entries("image/preferences"));
            entries.extend(section.types.iter().flat_map(|one| one.said.entries("image/preferences/type")));
        }
        entries
    }
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
    pub arch: Vec<Machine>,
    /// Profiles that it pulls in, each on these machines.
    pub requires: Vec<(String, Vec<Machine>)>,
}

/// When a section applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Profiles; empty: always.
    pub profiles: Vec<String>,
    /// Machines; empty: all.
    pub arch: Vec<Machine>,
}

impl Scope {
    /// What the attributes `profiles` and `arch` say.
    pub fn of(profiles: &Option<Said<ProfileNames>>, arch: &Option<Said<Machines>>) -> Scope {
        Scope {
            profiles: profiles.as_ref().map(|said| said.value.0.clone()).unwrap_or_default(),
            arch: arch.as_ref().map(|said| said.value.0.clone()).unwrap_or_default(),
        }
    }

    /// Whether it applies with these profiles on this machine (a name as `uname -m` gives it).
    pub fn applies(&self, profiles: &[String], machine: Machine) -> bool {
        let by_profile = self.profiles.is_empty() || self.profiles.iter().any(|name| profiles.contains(name));
        by_profile && (self.arch.is_empty() || self.arch.contains(&machine))
    }
}

/// `preferences`.
#[derive(Clone, Debug)]
pub struct Preferences {
    /// When it applies.
    pub scope: Scope,
    /// `version`.
    pub version: Option<String>,
    /// All elements but `type`.
    pub said: elements::Preferences,
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
    /// What is wrong in it; warnings too.
    pub problems: Vec<Diagnostic>,
    /// What it says; `None` when what is wrong leaves nothing to say.
    pub kind: Option<Kind>,
    /// All that it says.
    pub said: elements::Type,
    /// Where the size of each part is written, by its role in the plan; `boot` is the loader.
    pub spans: Vec<(String, Span)>,
}

impl Type {
    /// `image`; `None`: none that the schema knows.
    pub fn image(&self) -> Option<ImageType> {
        self.said.image.as_ref().map(|image| image.value)
    }

    /// `image` as it is written.
    pub fn image_name(&self) -> &str {
        let refused = self.said.refused.iter().find(|one| one.path == "@image");
        let known = self.image().map(ImageType::name);
        known.or(refused.map(|one| one.text.as_str())).unwrap_or_default()
    }
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
    /// Whether `oem-resize` is said to be true.
    pub resize_asked: bool,
    /// `oem-resize-once`
    pub resize_once: bool,
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
    /// `initrd_system` is not `none`.
    pub initrd: bool,
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
