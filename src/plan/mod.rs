//! Image to Plan; Plan and Tree to Fit. Pure, but that a loader's own files are read out of the tree.
//!
//! A plan is intentions: order, numbers, names, ids, the command line, generated files, rules for sizes. It needs no tree.
//! A fit is numbers: every start and length, and the trees that go into each file system. Only a fit can be laid.

mod clones;
mod entries;
mod exclude;
mod files;
mod fit;
mod kiwi;
mod patch;
mod split;
mod volumes;

pub use clones::{Ids, Pair, Run, Side};
pub(crate) use clones::{JOINED, text as clones_text, told};
pub(crate) use fit::within;
pub use fit::{Fit, Place, Usage, draft, fit};

use crate::model::{
    Arch, Bytes, Disk, DiskSize, Growth, Image, ImageSource, KiwiSizes, Layer, Loader, MIB, Mkfs, Naming,
    Room, Rule, SectorSize, Table, Target, Volume, VolumeManager, Volumes,
};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::registry::find_disk;
use diskwright_fstools::registry::{self, Filesystem, find};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// Number of the JSON form of plans and fits.
pub const SCHEMA: u32 = 2;

/// Role of the root file system, in a partition or bare.
pub const ROOT: &str = "root";
/// Role of the EFI system partition.
pub const ESP: &str = "efi";
/// Ending of the file that tells clones from their origins.
pub const CLONES: &str = "clones.json";
/// The packages in an image, in the place of a format.
pub const PACKAGES: &str = "packages";
/// What differs from what packages brought, in the place of a format.
pub const VERIFIED: &str = "verified";

/// Whether an output of this format is an image, and nothing about one.
pub fn is_image(format: Option<&str>) -> bool {
    !matches!(format, Some(CLONES | PACKAGES | VERIFIED))
}

/// File systems without an id of their own.
const NAMELESS: [&str; 1] = ["squashfs"];

/// What will be made, before there is a tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Base of the file names.
    pub name: String,
    /// Version in the file names.
    pub version: Option<String>,
    /// The machine.
    pub arch: Arch,
    /// Time of everything that has no time of its own, seconds since 1970.
    pub epoch: i64,
    /// Files that come out.
    pub outputs: Vec<OutputPlan>,
    /// The file that tells clones from their origins, where there are any.
    pub clones_file: Option<String>,
    /// Partition table and partitions; `None` for a bare file system.
    pub disk: Option<DiskPlan>,
    /// File systems (in partitions or bare) in the order of the disk.
    pub parts: Vec<Part>,
    /// Boot entries.
    pub boot: Option<BootPlan>,
    /// Kernel command line, where there is a disk.
    pub command_line: Option<String>,
    /// Generated files, laid over the tree.
    pub files: Vec<File>,
    /// What stays out of the tree.
    pub excludes: Vec<String>,
    /// Files of the tree that ask for steps that are not supported yet.
    pub hooks: Vec<String>,
}

impl DiskPlan {
    /// What decides its length.
    pub fn size_text(&self) -> String {
        match (self.size, &self.kiwi_sizes) {
            (_, Some(_)) => "what KIWI computes".to_owned(),
            (DiskSize::Exact(bytes), None) => bytes.to_string(),
            (DiskSize::Computed { extra }, None) if extra.0 == 0 => {
                format!("what its partitions need, more than {}", self.least)
            }
            (DiskSize::Computed { extra }, None) => {
                format!("what its partitions need and {extra}, more than {}", self.least)
            }
        }
    }
}

impl Plan {
    /// What the root is divided into, without sizes.
    pub fn volumes(&self, disk: &DiskPlan) -> Vec<VolumePlan> {
        disk.volumes.as_ref().map(|one| volumes::planned(one, self.root_label(), None)).unwrap_or_default()
    }

    /// Label of the root.
    fn root_label(&self) -> Option<&str> {
        let root = self.parts.iter().find(|part| part.role == ROOT)?;
        root.filesystem.as_ref()?.label.as_deref()
    }
}

/// A file that comes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutputPlan {
    /// Its name.
    pub file: String,
    /// Row of the disk registry; `None`: a bare file system.
    pub format: Option<String>,
    /// Options of the container.
    pub options: Vec<String>,
}

/// The disk around the partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskPlan {
    /// Its partition table.
    pub table: Table,
    /// Bytes in a sector.
    pub sector_size: SectorSize,
    /// DiskGUID.
    pub guid: Uuid,
    /// The number at byte 440, which is KIWI's MBR id.
    pub signature: u32,
    /// How long it is.
    pub size: DiskSize,
    /// The shortest that it can be, whatever the tree.
    pub least: Bytes,
    /// First byte of the first partition.
    pub first: Bytes,
    /// Bytes at the end that no partition uses.
    pub unpartitioned: Bytes,
    /// What the root is divided into.
    pub volumes: Option<Volumes>,
    /// KIWI's arithmetic in the place of ours.
    pub kiwi_sizes: Option<KiwiSizes>,
    /// Growth at the first boot.
    pub growth: Option<Growth>,
    /// KIWI's public names of partitions.
    pub partids: BTreeMap<String, String>,
    /// Lines of `/etc/fstab`.
    pub fstab: Vec<FstabEntry>,
}

/// A line of `/etc/fstab` (fstab(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FstabEntry {
    /// fs_spec
    pub spec: String,
    /// fs_file; `swap` for swap.
    pub mountpoint: String,
    /// fs_vfstype
    #[serde(rename = "type")]
    pub kind: String,
    /// fs_mntops
    pub options: String,
    /// fs_passno
    pub pass: u8,
}

/// A volume of the root, planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum VolumePlan {
    /// A logical volume of LVM.
    Lvm {
        /// Its name.
        name: String,
        /// In MiB; `None`: what is left, or there is no tree.
        size_mib: Option<u64>,
        /// `size:N` or `freespace:N`, in MiB.
        requested: Option<Room>,
        /// Its file system; `None`: it is left as it is.
        filesystem: Option<String>,
        /// Its label.
        label: Option<String>,
        /// Where it is mounted, `swap` for swap; `None`: another volume is mounted there.
        mountpoint: Option<String>,
        /// `quota=N`, `no-copy-on-write`, `enable-for-filesystem-check`.
        attributes: Vec<String>,
        /// Whether it is the root.
        root: bool,
    },
    /// A subvolume of btrfs.
    Btrfs {
        /// Its path.
        name: String,
        /// Its id.
        id: u64,
        /// Where fstab mounts it.
        mountpoint: Option<String>,
    },
}

/// A partition, or a bare file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// `root`, `efi`, `efi_csm`, `rootclone1`, or the name in the description. Identities hang on it.
    pub role: String,
    /// Its entry in the table; `None` for a bare file system.
    pub entry: Option<Entry>,
    /// The role of the partition that it is a clone of.
    pub clone_of: Option<String>,
    /// How many clones there are of it, or of its origin.
    pub clones: u32,
    /// How long it is.
    pub size: Rule,
    /// Why.
    pub why: String,
    /// What to write when it is too small; `{}` stands for a number of MiB.
    #[serde(skip)]
    pub knob: String,
    /// What lies between the partition and its contents, outermost first.
    pub layers: Vec<Layer>,
    /// Whether its files are packed, for an overlay.
    pub packed: bool,
    /// The image that it is made of.
    pub image: Option<ImageSource>,
    /// Options in fstab.
    pub mount_options: Option<String>,
    /// Its file system; `None`: zeros, or an image.
    pub filesystem: Option<FilesystemPlan>,
}

impl Part {
    /// Whether it is the root or a clone of it.
    pub fn is_root(&self) -> bool {
        self.clone_of.as_deref().unwrap_or(&self.role) == ROOT
    }

    /// Whether it is in a GPT.
    pub fn is_in_gpt(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| matches!(entry.slot, Slot::Gpt { .. }))
    }

    /// Its name in messages: that in the table, or its role.
    pub fn name(&self) -> &str {
        self.entry.as_ref().map_or(&self.role, |entry| &entry.name)
    }
}

/// An entry of a partition table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// From 1; of an MBR 1 to 4 are primary, from 5 on logical.
    pub number: u32,
    /// PartitionName; an MBR has none, and it is the name in messages.
    pub name: String,
    /// What the table says of it.
    #[serde(flatten)]
    pub slot: Slot,
}

impl Entry {
    /// PartitionTypeGUID and UniquePartitionGUID, in a GPT.
    pub fn guids(&self) -> Option<(Uuid, Uuid)> {
        match &self.slot {
            Slot::Gpt { type_guid, guid, .. } => Some((*type_guid, *guid)),
            Slot::Mbr { .. } | Slot::Dasd => None,
        }
    }
}

/// What a table says of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Slot {
    /// In a GPT.
    Gpt {
        /// PartitionTypeGUID.
        type_guid: Uuid,
        /// UniquePartitionGUID.
        guid: Uuid,
        /// Its type in a hybrid MBR, where it is in one.
        hybrid: Option<u8>,
    },
    /// In an MBR.
    Mbr {
        /// Its type.
        mbr_type: u8,
        /// Whether a BIOS starts from it.
        active: bool,
    },
    /// In the VTOC of a DASD.
    Dasd,
}

/// A file system that will be laid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilesystemPlan {
    /// Row of the registry and options.
    pub mkfs: Mkfs,
    /// The id that finds it, as in `UUID=`.
    pub id: String,
    /// Label.
    pub label: Option<String>,
    /// Where it is mounted: the files below this path go into it. `None`: it is empty.
    pub mountpoint: Option<String>,
    /// Which defaults it has; `None` before there is a tree, and where they are always the same.
    pub profile: Option<Profile>,
    /// The system that will use it.
    #[serde(skip)]
    pub target: Option<registry::Target>,
}

impl FilesystemPlan {
    /// The name that mount(8) knows it by.
    pub fn kind(&self) -> String {
        match self.mkfs.name.as_str() {
            "fat16" | "fat32" => "vfat".to_owned(),
            name => find(name).map_or(name, |row| row.name).to_owned(),
        }
    }

    /// Whether it can be written.
    pub fn is_written(&self) -> bool {
        find(&self.mkfs.name).is_some()
    }

    /// The writer.
    pub fn filesystem(&self) -> Result<Box<dyn Filesystem>, Refusal> {
        let filesystem = self.mkfs.filesystem()?;
        let aimed = self.target.as_ref().map(|target| filesystem.aimed(target)).transpose()?.flatten();
        Ok(aimed.map_or(filesystem, |aimed| aimed.filesystem))
    }
}

/// Which defaults a file system has, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Why this one.
    pub reason: String,
    /// What it rests on.
    pub evidence: String,
    /// What the system that will use the file system cannot do with it.
    pub warnings: Vec<String>,
    /// Those of them for which its boot loader does not read it.
    #[serde(skip)]
    pub unbootable: Vec<String>,
}

impl From<registry::Profile> for Profile {
    fn from(profile: registry::Profile) -> Profile {
        let registry::Profile { name, reason, evidence, warnings, unbootable } = profile;
        Profile { name, reason, evidence, warnings, unbootable }
    }
}

/// `debian-12 (os-release of the tree says ..., measured)`
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}; {})", self.name, self.reason, self.evidence)
    }
}

/// What boots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootPlan {
    /// What starts the kernel.
    pub loader: Loader,
    /// Title of the entries.
    pub title: String,
    /// First part of the entries' file names: the id of the tree's distribution, else the image's name.
    pub token: String,
    /// How GRUB starts the kernel, where it does.
    pub grub: Option<GrubPlan>,
}

/// How GRUB starts the kernel.
pub type GrubPlan = crate::model::Grub;

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Absolute path in the tree.
    pub path: String,
    /// Permission bits.
    #[serde(serialize_with = "octal")]
    pub mode: u16,
    /// Its text.
    pub text: String,
}

fn octal<S: Serializer>(mode: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

/// Type GUIDs of the Discoverable Partitions Specification that depend on no machine.
pub mod guids {
    use uuid::{Uuid, uuid};

    /// Extended boot loader partition.
    pub const XBOOTLDR: Uuid = uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172");

    /// Partitions that are found by their type alone, by the name that a table entry must have for it in KIWI.
    pub const BY_NAME: &[(&str, Uuid)] = &[
        ("home", uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915")),
        ("srv", uuid!("3b8f8425-20e0-4f3b-907f-1a25a76f98e8")),
        ("var", uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d")),
        ("tmp", uuid!("7ec6f557-3bc5-4aca-b293-16ef5df639d1")),
        ("user-home", uuid!("773f91ef-66d4-49b5-bd83-d683bf40ad16")),
    ];
}

/// What to write when a bare file system is too small.
const BARE_KNOB: &str = "<size unit=\"M\">{}</size> or --size {}M";

/// What an image will be. `identity` gives ids and the epoch. Refused: options that a file system does not take, two
/// partitions of one name.
pub fn plan(image: &Image, identity: &Identity) -> Result<Plan, Refusal> {
    let (excludes, hooks) = excludes(image)?;
    let bare = Plan {
        schema: SCHEMA,
        name: image.name.clone(),
        version: image.version.clone(),
        arch: image.arch,
        epoch: identity.epoch(),
        outputs: Vec::new(),
        clones_file: None,
        disk: None,
        parts: Vec::new(),
        boot: None,
        command_line: None,
        files: Vec::new(),
        excludes,
        hooks,
    };
    match &image.target {
        Target::Filesystem(volume) => filesystem(image, volume, bare, identity),
        Target::Disk(disk) => self::disk(image, disk, bare, identity),
    }
}

/// The paths that stay out, with those of KIWI's list in the tree; and the files of the tree that are still to be acted on.
fn excludes(image: &Image) -> Result<(Vec<String>, Vec<String>), Refusal> {
    const LIST: &str = "image/exclude_files.yaml";
    let listed = image.system.as_ref().and_then(|system| system.exclude_files.as_ref());
    let Some(listed) = listed.filter(|_| image.hooks.iter().any(|hook| hook == LIST)) else {
        return Ok((image.excludes.clone(), image.hooks.clone()));
    };
    let refused = |reason: &String| {
        let refusal = Refusal::new(RefusalKind::Invalid, Spot::new("tree", format!("/{LIST}")), reason);
        refusal.hint("a list of paths of the tree below the key `exclude`, or no such file")
    };
    let listed = listed.as_ref().map_err(refused)?;
    let hooks = image.hooks.iter().filter(|hook| *hook != LIST).cloned().collect();
    Ok((image.excludes.iter().chain(listed).cloned().collect(), hooks))
}

/// A text with a patch applied to it, as KIWI's `etc/fstab.patch` is.
///
/// # Errors
/// Why it does not apply, with its line.
pub fn patched(text: &str, patch: &str) -> Result<String, String> {
    patch::apply(text, patch)
        .map_err(|(line, reason)| format!("line {line}: the patch does not apply: {reason}"))
}

fn filesystem(image: &Image, volume: &Volume, plan: Plan, identity: &Identity) -> Result<Plan, Refusal> {
    let name = &volume.format.name;
    let root = Part {
        role: ROOT.to_owned(),
        entry: None,
        clone_of: None,
        clones: 0,
        size: volume.size,
        why: why(volume.size),
        knob: BARE_KNOB.to_owned(),
        layers: Vec::new(),
        packed: false,
        image: None,
        mount_options: None,
        filesystem: Some(filesystem_plan(image, &volume.format, (ROOT, None), Some("/"), identity)?),
    };
    let output = OutputPlan { file: file_name(image, name), format: None, options: Vec::new() };
    Ok(Plan { outputs: vec![output], parts: vec![root], ..plan })
}

/// `NAME.ARCH-VERSION.ENDING`, as KIWI names its results; without a version `NAME.ENDING`.
fn file_name(image: &Image, ending: &str) -> String {
    match &image.version {
        Some(version) => format!("{}.{}-{version}.{ending}", image.name, image.arch),
        None => format!("{}.{ending}", image.name),
    }
}

fn disk(image: &Image, disk: &Disk, plan: Plan, identity: &Identity) -> Result<Plan, Refusal> {
    let parts = entries::parts(image, disk, identity)?;
    let command_line = command_line(disk, &parts);
    let fstab = files::fstab(disk, &parts);
    let edited = files::edited(image, files::fstab_file(&fstab))?;
    let fstab = edited.entries.unwrap_or(fstab);
    let partids = files::partids(disk, &parts);
    let signature = files::signature(&identity.role("disk"));
    let mut files = vec![edited.file];
    if disk.kiwi_files {
        files.extend(files::kiwi_files(disk, &partids, &command_line, signature));
    }
    let outputs = disk.formats.iter().map(|format| OutputPlan {
        file: file_name(image, find_disk(&format.name).map_or(&format.name, |row| row.extension)),
        format: Some(format.name.clone()),
        options: format.options.clone(),
    });
    let release = image.system.as_ref().and_then(|system| system.target.release.as_ref());
    let boot = BootPlan {
        loader: disk.loader,
        title: image.title.clone(),
        token: token(release.map_or(&image.name, |release| &release.id)),
        grub: disk.grub.clone(),
    };
    Ok(Plan {
        outputs: outputs.collect(),
        clones_file: parts.iter().any(|part| part.clone_of.is_some()).then(|| file_name(image, CLONES)),
        disk: Some(DiskPlan {
            table: disk.table,
            sector_size: disk.sector_size,
            guid: identity.role("disk").uuid("guid"),
            signature,
            size: disk.size,
            least: least(disk, &parts),
            first: disk.first,
            unpartitioned: disk.unpartitioned,
            volumes: disk.volumes.clone(),
            kiwi_sizes: disk.kiwi_sizes.clone(),
            growth: disk.growth,
            partids,
            fstab,
        }),
        parts,
        boot: Some(boot),
        excludes: plan.excludes.iter().chain(&edited.used).cloned().collect(),
        hooks: plan.hooks.iter().filter(|hook| !edited.used.contains(hook)).cloned().collect(),
        command_line: Some(command_line),
        files,
        ..plan
    })
}

/// What partitions of known length, promised room and the table take; the tree comes on top.
fn least(disk: &Disk, parts: &[Part]) -> Bytes {
    // Partitions end on 1 MiB, and so does the disk behind the backup of the table.
    let lengths = parts.iter().map(entries::known).chain([disk.first.0, disk.unpartitioned.0, MIB]);
    let needed = Bytes(lengths.fold(0, u64::saturating_add));
    match disk.size {
        DiskSize::Exact(given) => given,
        DiskSize::Computed { extra } => Bytes(needed.0.saturating_add(extra.0)),
    }
}

/// A name that every file system takes.
fn token(name: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name.chars().map(|c| if good(c) { c } else { '_' }).collect()
}

fn why(size: Rule) -> String {
    match size {
        Rule::Exact(bytes) => format!("given: {bytes}"),
        Rule::Rest => "what the other partitions leave of the disk".to_owned(),
        rule => format!("from the tree: {rule}"),
    }
}

/// `role`: its own and that of its origin.
fn filesystem_plan(
    image: &Image,
    format: &Mkfs,
    role: (&str, Option<&str>),
    mountpoint: Option<&str>,
    identity: &Identity,
) -> Result<FilesystemPlan, Refusal> {
    let identity = fs_identity(identity, role.0, role.1);
    if find(&format.name).is_none() {
        return Ok(FilesystemPlan {
            id: identity.uuid("uuid").hyphenated().to_string(),
            label: label_of(&format.options),
            mkfs: format.clone(),
            mountpoint: mountpoint.map(str::to_owned),
            profile: None,
            target: None,
        });
    }
    let filesystem = format.filesystem()?;
    let holds_boot = mountpoint.is_some_and(|mountpoint| holds_boot(image, mountpoint));
    let target = image.system.as_ref().map(|system| system.target(holds_boot));
    let aimed = target.as_ref().map(|target| filesystem.aimed(target)).transpose()?.flatten();
    Ok(FilesystemPlan {
        id: filesystem.id(&identity),
        label: filesystem.label().map(str::to_owned),
        mkfs: format.clone(),
        mountpoint: mountpoint.map(str::to_owned),
        profile: aimed.map(|aimed| aimed.profile.into()),
        target,
    })
}

/// The label among options of a file system that is not written yet.
fn label_of(options: &[String]) -> Option<String> {
    options.windows(2).find(|pair| ["-L", "-n"].contains(&pair[0].as_str())).map(|pair| pair[1].clone())
}

/// Whether `/boot` lies on the file system of this mount point, and no loader of the image's own takes its kernels
/// from elsewhere.
fn holds_boot(image: &Image, mountpoint: &str) -> bool {
    let Target::Disk(disk) = &image.target else { return mountpoint == "/" };
    if matches!(disk.loader, Loader::SystemdBoot { .. }) {
        return false;
    }
    let separate = disk.partitions.iter().any(|one| one.contents.mountpoint() == Some("/boot"));
    mountpoint == if separate { "/boot" } else { "/" }
}

/// The identity of the file system of a part. A clone shares with its origin what does not tell them apart.
pub(crate) fn fs_identity(identity: &Identity, role: &str, origin: Option<&str>) -> Identity {
    let identity = identity.role("fs");
    match origin {
        None => identity.role(role),
        Some(origin) => identity.role(origin).clone_as(&format!("fs/{role}")),
    }
}

/// How fstab and the kernel find a part. A file system without a label is found by its id; a packed one has neither.
fn device(naming: Naming, part: &Part) -> Option<String> {
    let filesystem = part.filesystem.as_ref()?;
    let naming = if NAMELESS.contains(&filesystem.mkfs.name.as_str()) { Naming::PartUuid } else { naming };
    Some(match (naming, &filesystem.label, &part.entry) {
        (Naming::Label, Some(label), _) => format!("LABEL={label}"),
        (Naming::PartUuid, _, Some(Entry { slot: Slot::Gpt { guid, .. }, .. })) => format!("PARTUUID={guid}"),
        _ => format!("UUID={}", filesystem.id),
    })
}

/// KIWI's order: what the user wrote, then `root=`, unless the user wrote that.
fn command_line(disk: &Disk, parts: &[Part]) -> String {
    let given = disk.command_line.as_str();
    let has_root = given.split_whitespace().any(|word| word.starts_with("root="));
    let part = |role: &str| parts.iter().find(|part| part.role == role);
    let root = match (part("readonly"), part(ROOT), &disk.volumes) {
        (Some(readonly), _, _) => {
            device(Naming::PartUuid, readonly).map(|device| format!("overlay:{device}"))
        }
        (_, _, Some(Volumes { manager: VolumeManager::Lvm { group, .. }, volumes, .. })) => {
            let name = volumes.iter().find(|one| one.is_root_volume).map(|one| one.name.as_str());
            name.map(|name| format!("/dev/{group}/{name}"))
        }
        (_, root, _) => root.and_then(|root| device(disk.naming, root)),
    };
    let root = root.filter(|_| !has_root).map(|device| format!("root={device}"));
    let words = [Some(given).filter(|given| !given.is_empty()), root.as_deref()];
    words.into_iter().flatten().collect::<Vec<&str>>().join(" ")
}
