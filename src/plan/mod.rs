//! Image to Plan; Plan and Tree to Fit. Pure.
//!
//! A plan is intentions: order, numbers, names, ids, the command line, generated files, rules for sizes. It needs no tree.
//! A fit is numbers: every start and length, and the trees that go into each file system. Only a fit can be laid.

mod fit;
mod split;

pub(crate) use fit::within;
pub use fit::{Fit, Place, Usage, fit};

use crate::model::{
    Arch, Bytes, Contents, Disk, DiskSize, Image, Loader, MIB, Mkfs, Naming, Partition, PartitionKind, Rule,
    SectorSize, Target, Volume, mib,
};
use diskwright_formats::fault::Refusal;
use diskwright_formats::identity::Identity;
use diskwright_formats::registry::find_disk;
use diskwright_fstools::registry::{self, Filesystem, find};
use serde::{Serialize, Serializer};
use std::fmt;
use uuid::Uuid;

/// Number of the JSON form of plans and fits.
pub const SCHEMA: u32 = 1;

/// Role of the root file system, in a partition or bare.
pub const ROOT: &str = "root";
/// Role of the EFI system partition.
pub const ESP: &str = "efi";

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
    /// Bytes in a sector.
    pub sector_size: SectorSize,
    /// DiskGUID.
    pub guid: Uuid,
    /// How long it is.
    pub size: DiskSize,
    /// The shortest that it can be, whatever the tree.
    pub least: Bytes,
    /// First byte of the first partition.
    pub first: Bytes,
    /// Bytes at the end that no partition uses.
    pub unpartitioned: Bytes,
}

/// A partition, or a bare file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// `root`, `efi`, `efi_csm`, or the name in the description. Identities hang on it.
    pub role: String,
    /// Its entry in the table; `None` for a bare file system.
    pub entry: Option<Entry>,
    /// How long it is.
    pub size: Rule,
    /// Why.
    pub why: String,
    /// What to write when it is too small; `{}` stands for a number of MiB.
    #[serde(skip)]
    pub knob: String,
    /// Its file system; `None`: zeros.
    pub filesystem: Option<FilesystemPlan>,
}

impl Part {
    /// Its name in messages: that in the table, or its role.
    pub fn name(&self) -> &str {
        self.entry.as_ref().map_or(&self.role, |entry| &entry.name)
    }
}

/// An entry of a GPT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Slot, from 1.
    pub number: u32,
    /// PartitionName.
    pub name: String,
    /// PartitionTypeGUID.
    pub type_guid: Uuid,
    /// UniquePartitionGUID.
    pub guid: Uuid,
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
}

impl From<registry::Profile> for Profile {
    fn from(profile: registry::Profile) -> Profile {
        let registry::Profile { name, reason, evidence, warnings } = profile;
        Profile { name, reason, evidence, warnings }
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
    /// First part of the entries' file names.
    pub token: String,
}

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

/// Type GUIDs of partitions (UEFI specification 2.10, table 5.7; Discoverable Partitions Specification).
pub mod guids {
    use uuid::{Uuid, uuid};

    /// EFI system partition.
    pub const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    /// BIOS boot partition of GRUB.
    pub const BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
    /// Linux data.
    pub const LINUX: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
    /// Linux RAID.
    pub const RAID: Uuid = uuid!("a19d880f-05fc-4d3b-a006-743f0f84911e");

    /// Partitions that are found by their type alone, by the name that a table entry must have for it in KIWI.
    pub(super) const BY_NAME: &[(&str, Uuid)] = &[
        ("home", uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915")),
        ("srv", uuid!("3b8f8425-20e0-4f3b-907f-1a25a76f98e8")),
        ("var", uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d")),
        ("tmp", uuid!("7ec6f557-3bc5-4aca-b293-16ef5df639d1")),
        ("user-home", uuid!("773f91ef-66d4-49b5-bd83-d683bf40ad16")),
    ];
}

const DISK_KNOB: &str = "<size unit=\"M\">{}</size> or --size {}M";
const ESP_KNOB: &str = "efipartsize=\"{}\" or --esp-size {}M";

/// Length of the BIOS boot partition (KIWI's).
const BIOS_BOOT: Bytes = mib(2);

/// What an image will be. `identity` gives ids and the epoch. Refused: options that a file system does not take, two
/// partitions of one name.
pub fn plan(image: &Image, identity: &Identity) -> Result<Plan, Refusal> {
    let bare = Plan {
        schema: SCHEMA,
        name: image.name.clone(),
        version: image.version.clone(),
        arch: image.arch,
        epoch: identity.epoch(),
        outputs: Vec::new(),
        disk: None,
        parts: Vec::new(),
        boot: None,
        command_line: None,
        files: Vec::new(),
        excludes: image.excludes.clone(),
        hooks: image.hooks.clone(),
    };
    match &image.target {
        Target::Filesystem(volume) => filesystem(image, volume, bare, identity),
        Target::Disk(disk) => self::disk(image, disk, bare, identity),
    }
}

fn filesystem(image: &Image, volume: &Volume, plan: Plan, identity: &Identity) -> Result<Plan, Refusal> {
    let name = &volume.format.name;
    let root = Part {
        role: ROOT.to_owned(),
        entry: None,
        size: volume.size,
        why: why(volume.size),
        knob: DISK_KNOB.to_owned(),
        filesystem: Some(filesystem_plan(image, &volume.format, ROOT, Some("/"), identity)?),
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
    let parts = parts(image, disk, identity)?;
    let command_line = command_line(disk, &parts);
    let files = vec![fstab(disk, &parts)];
    let outputs = disk.formats.iter().map(|format| OutputPlan {
        file: file_name(image, find_disk(&format.name).map_or(&format.name, |row| row.extension)),
        format: Some(format.name.clone()),
        options: format.options.clone(),
    });
    let boot = disk.esp.as_ref().map(|esp| BootPlan {
        loader: esp.loader,
        title: image.title.clone(),
        token: token(&image.name),
    });
    Ok(Plan {
        outputs: outputs.collect(),
        disk: Some(DiskPlan {
            sector_size: disk.sector_size,
            guid: identity.role("disk").uuid("guid"),
            size: disk.size,
            least: least(disk, &parts),
            first: disk.first,
            unpartitioned: disk.unpartitioned,
        }),
        parts,
        boot,
        command_line: Some(command_line),
        files,
        ..plan
    })
}

/// What partitions of known length, promised room and the table take; the tree comes on top.
fn least(disk: &Disk, parts: &[Part]) -> Bytes {
    let known = |part: &Part| match part.size {
        Rule::Exact(bytes) | Rule::Free { least: bytes, .. } => bytes.0,
        Rule::Rest | Rule::Times(_) => 0,
    };
    // Partitions end on 1 MiB, and so does the disk behind the backup of the table.
    let lengths = parts.iter().map(known).chain([disk.first.0, disk.unpartitioned.0, MIB]);
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

/// All partitions in KIWI's order (`DiskBuilder._build_and_map_custom_partitions` and its neighbours): BIOS boot, EFI,
/// those of the description, root.
fn parts(image: &Image, disk: &Disk, identity: &Identity) -> Result<Vec<Part>, Refusal> {
    let mut parts: Vec<Part> = Vec::new();
    let mut add = |name: String, type_guid: Uuid, part: Part| {
        let number = parts.len() as u32 + 1;
        let guid = identity.role("part").role(&part.role).uuid("guid");
        parts.push(Part { entry: Some(Entry { number, name, type_guid, guid }), ..part });
    };
    if disk.bios_boot {
        add("p.legacy".to_owned(), guids::BIOS_BOOT, bios_boot());
    }
    if let Some(esp) = &disk.esp {
        let part = part(
            "efi",
            esp.volume.size,
            ESP_KNOB,
            Some(&esp.volume.format),
            Some(&esp.mountpoint),
            (image, identity),
        )?;
        add("p.UEFI".to_owned(), guids::ESP, part);
    }
    for partition in &disk.partitions {
        let (format, mountpoint) = match &partition.contents {
            Contents::Blank => (None, None),
            Contents::Empty(format) => (Some(format), None),
            Contents::Mounted { format, mountpoint } => (Some(format), Some(mountpoint.as_str())),
        };
        let knob = format!("size=\"{{}}\" of partition {}", partition.name);
        let part =
            part(&partition.name, Rule::Exact(partition.size), &knob, format, mountpoint, (image, identity))?;
        add(table_name(partition), type_guid(image, disk, partition), part);
    }
    let root = part(ROOT, disk.root.size, DISK_KNOB, Some(&disk.root.format), Some("/"), (image, identity))?;
    let type_guid = if disk.discoverable { image.arch.root_guid() } else { guids::LINUX };
    add("p.lxroot".to_owned(), type_guid, root);
    Ok(parts)
}

fn bios_boot() -> Part {
    Part {
        role: "efi_csm".to_owned(),
        entry: None,
        size: Rule::Exact(BIOS_BOOT),
        why: "KIWI puts an empty BIOS boot partition on disks for UEFI, unless eficsm=\"false\"".to_owned(),
        knob: "eficsm=\"false\"".to_owned(),
        filesystem: None,
    }
}

fn part(
    role: &str,
    size: Rule,
    knob: &str,
    format: Option<&Mkfs>,
    mountpoint: Option<&str>,
    (image, identity): (&Image, &Identity),
) -> Result<Part, Refusal> {
    let plan = |format| filesystem_plan(image, format, role, mountpoint, identity);
    let filesystem = format.map(plan).transpose()?;
    Ok(Part { role: role.to_owned(), entry: None, size, why: why(size), knob: knob.to_owned(), filesystem })
}

fn why(size: Rule) -> String {
    match size {
        Rule::Exact(bytes) => format!("given: {bytes}"),
        Rule::Rest => "what the other partitions leave of the disk".to_owned(),
        rule => format!("from the tree: {rule}"),
    }
}

fn filesystem_plan(
    image: &Image,
    format: &Mkfs,
    role: &str,
    mountpoint: Option<&str>,
    identity: &Identity,
) -> Result<FilesystemPlan, Refusal> {
    let filesystem = format.filesystem()?;
    let holds_boot = mountpoint.is_some_and(|mountpoint| holds_boot(image, mountpoint));
    let target = image.system.as_ref().map(|system| system.target(holds_boot));
    let aimed = target.as_ref().map(|target| filesystem.aimed(target)).transpose()?.flatten();
    Ok(FilesystemPlan {
        id: filesystem.id(&fs_identity(identity, role)),
        label: filesystem.label().map(str::to_owned),
        mkfs: format.clone(),
        mountpoint: mountpoint.map(str::to_owned),
        profile: aimed.map(|aimed| aimed.profile.into()),
        target,
    })
}

/// Whether `/boot` lies on the file system of this mount point, and no loader of the image's own takes its kernels
/// from elsewhere.
fn holds_boot(image: &Image, mountpoint: &str) -> bool {
    let Target::Disk(disk) = &image.target else { return mountpoint == "/" };
    let esp = disk.esp.as_ref();
    if esp.is_some_and(|esp| matches!(esp.loader, Loader::SystemdBoot { .. })) {
        return false;
    }
    let mounted = disk.partitions.iter().filter_map(|partition| match &partition.contents {
        Contents::Mounted { mountpoint, .. } => Some(mountpoint.as_str()),
        _ => None,
    });
    let separate = mounted.chain(esp.map(|esp| esp.mountpoint.as_str())).any(|path| path == "/boot");
    mountpoint == if separate { "/boot" } else { "/" }
}

/// The identity of the file system of a part.
pub(crate) fn fs_identity(identity: &Identity, role: &str) -> Identity {
    identity.role("fs").role(role)
}

fn table_name(partition: &Partition) -> String {
    partition.table_name.clone().unwrap_or_else(|| format!("p.lx{}", partition.name))
}

fn type_guid(image: &Image, disk: &Disk, partition: &Partition) -> Uuid {
    let name = partition.table_name.as_deref().filter(|_| disk.discoverable);
    let by_name = guids::BY_NAME.iter().find(|(known, _)| Some(*known) == name).map(|(_, guid)| *guid);
    let usr = name.filter(|name| *name == "usr").map(|_| image.arch.usr_guid());
    by_name.or(usr).unwrap_or(match partition.kind {
        PartitionKind::Linux => guids::LINUX,
        PartitionKind::Raid => guids::RAID,
    })
}

/// How fstab and the kernel find a part. A file system without a label is found by its id.
fn device(naming: Naming, part: &Part) -> Option<String> {
    let filesystem = part.filesystem.as_ref()?;
    let by_id = format!("UUID={}", filesystem.id);
    Some(match (naming, &filesystem.label, &part.entry) {
        (Naming::Label, Some(label), _) => format!("LABEL={label}"),
        (Naming::PartUuid, _, Some(entry)) => format!("PARTUUID={}", entry.guid),
        _ => by_id,
    })
}

/// KIWI's order: what the user wrote, then `root=`, unless the user wrote that.
fn command_line(disk: &Disk, parts: &[Part]) -> String {
    let given = disk.command_line.as_str();
    let has_root = given.split_whitespace().any(|word| word.starts_with("root="));
    let root = parts.last().and_then(|root| device(disk.naming, root)).filter(|_| !has_root);
    let root = root.map(|device| format!("root={device}"));
    let words = [Some(given).filter(|given| !given.is_empty()), root.as_deref()];
    words.into_iter().flatten().collect::<Vec<&str>>().join(" ")
}

/// `/etc/fstab` (fstab(5)), sorted by depth of the mount point and then by name, as KIWI sorts it.
fn fstab(disk: &Disk, parts: &[Part]) -> File {
    let mut lines: Vec<((usize, String), String)> = Vec::new();
    for part in parts {
        let Some(FilesystemPlan { mkfs, mountpoint: Some(path), .. }) = &part.filesystem else { continue };
        let Some(device) = device(disk.naming, part) else { continue };
        let kind = find(&mkfs.name).map_or(mkfs.name.as_str(), |row| row.name);
        let (options, pass) = if path == "/" { (disk.root_options.as_str(), 1) } else { ("defaults", 0) };
        let depth = if path == "/" { 0 } else { path.matches('/').count() };
        let line = format!("{} {} {kind} {options} 0 {pass}\n", escaped_field(&device), escaped_field(path));
        lines.push(((depth, path.clone()), line));
    }
    lines.sort();
    let text = lines.into_iter().map(|(_, line)| line).collect();
    File { path: "/etc/fstab".to_owned(), mode: 0o644, text }
}

/// Blanks and backslashes as fstab(5) wants them.
fn escaped_field(text: &str) -> String {
    text.replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
        .replace('\n', "\\012")
        .replace('#', "\\043")
}
