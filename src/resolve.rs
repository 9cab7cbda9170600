//! Profiles, defaults, architecture, command line: Model to one closed Image.

pub mod checks;
mod defaults;
mod select;

pub use select::{Selection, select};

use crate::boot;
use crate::describe::kiwi::{label_options, mkfs_options};
use crate::describe::{Diagnostic, Diagnostics, Lack, Span};
use crate::model::{
    Arch, Bytes, Disk, DiskSize, DiskType, Esp, Format, Image, Kind, Loader, MIB, Mkfs, Model, Naming, Rule,
    SectorSize, Size, SizeElement, Target, Type, Volume, mib,
};
use crate::plan::{Part, Plan, ROOT};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::registry::{DISKS, find_disk};
use diskwright_fstools::tree::Tree;
use std::fmt;

/// What the command line chooses and overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// `--profile`, in the place of those that import themselves.
    pub profiles: Vec<String>,
    /// `--type`: the `image` of the type.
    pub image_type: Option<String>,
    /// The machine.
    pub arch: Arch,
    /// `--size`: with a number the size of the disk, else the size of the root.
    pub size: Option<Size>,
    /// `--esp-size`.
    pub esp_size: Option<Size>,
    /// `--fs` of the root.
    pub filesystem: Option<String>,
    /// `--format`, each an output.
    pub formats: Vec<String>,
    /// `--label` of the root.
    pub label: Option<String>,
    /// `--cmdline`, in the place of the description's.
    pub command_line: Option<String>,
    /// `--no-boot`: no loader is installed.
    pub no_boot: bool,
    /// KIWI's names of runtime checks that are switched off.
    pub disabled_checks: Vec<String>,
}

impl Choice {
    /// Nothing chosen.
    pub fn new(arch: Arch) -> Choice {
        Choice {
            profiles: Vec::new(),
            image_type: None,
            arch,
            size: None,
            esp_size: None,
            filesystem: None,
            formats: Vec::new(),
            label: None,
            command_line: None,
            no_boot: false,
            disabled_checks: Vec::new(),
        }
    }
}

/// A closed image and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The image.
    pub image: Image,
    /// The profiles that are selected, with those that they require.
    pub profiles: Vec<String>,
    /// Warnings of the description.
    pub warnings: Diagnostics,
    /// Where the size of each part is written, by its role in the plan; `boot` is the loader.
    pub spans: Vec<(String, Span)>,
    /// What the preparation of its tree would have to do, as errors: `create` has the tree already, `build` stops here.
    pub needs: Vec<Diagnostic>,
}

impl Resolved {
    /// A refusal of a plan's part as an error at the place in the description where its size is written, or its loader
    /// named; `None` for what is about nothing that the description says.
    pub fn locate(&self, plan: &Plan, refusal: &Refusal) -> Option<Diagnostics> {
        let of_part = |part: &&Part| {
            let rest = refusal.spot.object.strip_prefix(part.name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let role = match (refusal.spot.format, refusal.spot.object.as_str()) {
            ("boot", _) => "boot",
            ("disk", "") => ROOT,
            _ => plan.parts.iter().find(of_part)?.role.as_str(),
        };
        let (_, span) = self.spans.iter().find(|(name, _)| name == role)?;
        let problem = span.error("refused", refusal.to_string());
        let problem = Diagnostic { hint: refusal.hint.clone(), ..problem };
        Some(Diagnostics::new(vec![problem]))
    }
}

/// Why a description gives no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// The description is refused; warnings are in the list too.
    Refused(Diagnostics),
    /// What the command line asks for is wrong or not in the description.
    Choice(Refusal),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::Refused(diagnostics) => diagnostics.fmt(f),
            ResolveError::Choice(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for ResolveError {}

/// Size of the EFI system partition of a description that gives none, in MiB (KIWI's default).
pub const ESP_MIB: u64 = 20;

/// Where the EFI system partition is mounted.
pub const ESP_MOUNT: &str = "/boot/efi";

/// What KIWI leaves out of an image: its own traces in a prepared tree, and what is in directories that are mounted over.
const KIWI_EXCLUDES: [&str; 6] = ["image", ".kconfig", "run/*", "tmp/*", ".buildenv", "var/cache/kiwi"];

/// Files of a tree that KIWI acts on when it makes an image.
const KIWI_HOOKS: [&str; 4] =
    ["image/exclude_files.yaml", "etc/fstab.append", "etc/fstab.patch", "etc/fstab.script"];

/// One image of a description.
pub fn resolve(model: &Model, choice: &Choice) -> Result<Resolved, ResolveError> {
    let selection = select(model, choice)?;
    let (checked, unprepared) = checks::run(&selection, &choice.disabled_checks);
    let Selection { profiles, preferences, kind: chosen, problems: selecting, .. } = selection;
    let arch = choice.arch.machine();
    let mut problems = model.problems.clone();
    problems.extend(preferences.iter().flat_map(|one| one.problems.iter().cloned()));
    problems.extend(selecting);
    problems.extend(checked);
    let version = preferences.iter().find_map(|one| one.version.clone());
    if version.is_none() {
        let message = "no version in the preferences that are selected";
        problems.push(model.span.error("missing-element", message));
    }
    if let Some(chosen) = chosen {
        problems.extend(chosen.problems.iter().cloned());
    }
    let target = match chosen {
        Some(Type { kind: Some(Kind::Disk(disk)), span, .. }) => {
            disk_target(disk, span, choice, &mut problems)?
        }
        Some(Type { kind: Some(Kind::Filesystem { name, options, size }), .. }) => {
            Some(bare_target(name, options, *size, choice)?)
        }
        _ => None,
    };
    let diagnostics = Diagnostics::new(problems);
    let Some(target) = target.filter(|_| !diagnostics.stop()) else {
        return Err(ResolveError::Refused(diagnostics));
    };
    let image = Image {
        name: model.name.clone(),
        title: model.displayname.clone().unwrap_or_else(|| model.name.clone()),
        version,
        arch: choice.arch,
        excludes: KIWI_EXCLUDES.map(str::to_owned).to_vec(),
        hooks: KIWI_HOOKS.map(str::to_owned).to_vec(),
        target,
        system: None,
    };
    let needs = model.needs.iter().filter(|need| need.scope.applies(&profiles, arch));
    let needs = needs.map(|need| need.problem.clone()).chain(unprepared).collect();
    let spans = chosen.map(|chosen| chosen.spans.clone()).unwrap_or_default();
    Ok(Resolved { image, profiles, warnings: diagnostics, spans, needs })
}

fn wrong_choice(option: &str, reason: String, hint: impl Into<String>) -> ResolveError {
    let reason = reason.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'");
    ResolveError::Choice(Refusal::new(RefusalKind::Invalid, Spot::new("image", option), reason).hint(hint))
}

fn bare_target(
    name: &str,
    options: &[String],
    size: Option<SizeElement>,
    choice: &Choice,
) -> Result<Target, ResolveError> {
    let name = choice.filesystem.as_deref().unwrap_or(name);
    let mut options = options.to_vec();
    if let Some(label) = &choice.label {
        options.extend(label_options(name, label));
    }
    if !choice.formats.is_empty() {
        let hint = "a bare file system is a file of its own, without a container";
        return Err(wrong_choice("--format", "the type has no format".to_owned(), hint));
    }
    let size = match (choice.size, size) {
        (Some(size), _) => size.into(),
        (None, Some(SizeElement { value, additive: false, .. })) => Rule::Exact(value),
        (None, Some(SizeElement { value, .. })) => Rule::Free { least: value, percent: 0 },
        (None, None) => Rule::ROOMY,
    };
    let format = mkfs("--fs", name, options)?;
    Ok(Target::Filesystem(Volume { format, size }))
}

fn mkfs(option: &str, name: &str, options: Vec<String>) -> Result<Mkfs, ResolveError> {
    Mkfs::new(name, options).map_err(|refusal| {
        let spot = Spot::new("image", format!("{option}: {}", refusal.spot));
        ResolveError::Choice(Refusal { spot, ..refusal })
    })
}

/// A disk; `None` where a problem was added.
fn disk_target(
    disk: &DiskType,
    span: &Span,
    choice: &Choice,
    problems: &mut Vec<Diagnostic>,
) -> Result<Option<Target>, ResolveError> {
    let Some(loader) = open_questions(disk, span, choice, problems) else { return Ok(None) };
    let Some(filesystem) = choice.filesystem.clone().or(disk.filesystem.clone()) else { return Ok(None) };
    let label = choice.label.as_deref().or(disk.label.as_deref()).unwrap_or("ROOT");
    let options = disk.options.iter().cloned().chain(label_options(&filesystem, label)).collect();
    let (size, root) = sizes(disk, choice);
    let esp_size = choice.esp_size.map_or(Rule::Exact(mib(disk.esp_mib.unwrap_or(ESP_MIB))), Rule::from);
    let esp = Volume { format: mkfs("efipartsize", "vfat", mkfs_options("fat16", "EFI"))?, size: esp_size };
    let loader = if choice.no_boot { Loader::Custom } else { loader };
    let command_line = choice.command_line.clone().unwrap_or_else(|| disk.command_line.clone());
    Ok(Some(Target::Disk(Box::new(Disk {
        sector_size: disk.sector_size,
        first: Bytes(disk.start_sector.saturating_mul(disk.sector_size.bytes().into())),
        size,
        unpartitioned: disk.size.map_or(Bytes(0), |size| size.unpartitioned),
        bios_boot: disk.csm && matches!(choice.arch, Arch::X86_64 | Arch::Ix86),
        esp: Some(Esp { volume: esp, mountpoint: ESP_MOUNT.to_owned(), loader }),
        partitions: disk.partitions.clone(),
        root: Volume { format: mkfs("--fs", &filesystem, options)?, size: root },
        root_options: disk.mount_options.clone().unwrap_or_else(|| "defaults".to_owned()),
        naming: disk.naming,
        discoverable: disk.discoverable,
        command_line: one_line("--cmdline", command_line)?,
        formats: formats(choice, disk.format.clone())?,
    }))))
}

/// What the description left open and the machine or KIWI's defaults decide against us.
fn open_questions(
    disk: &DiskType,
    span: &Span,
    choice: &Choice,
    problems: &mut Vec<Diagnostic>,
) -> Option<Loader> {
    let before = problems.len();
    if !disk.uefi && matches!(choice.arch, Arch::X86_64 | Arch::Ix86) {
        let message = format!(
            "type without the attribute firmware: on {} KIWI then takes \"bios\", which is not supported yet",
            choice.arch
        );
        let lack = Lack::new("type@firmware=bios", "boot of BIOS machines");
        let problem = span.error("unsupported", message).hint("add firmware=\"uefi\"").lack(lack);
        problems.push(problem);
    }
    if disk.loader.is_none() {
        let message =
            "type without the element bootloader: KIWI then takes \"grub2\", which is not supported yet";
        let hint = "add <bootloader name=\"systemd_boot\"/>, or name=\"custom\", which installs nothing";
        let lack = Lack::new("bootloader@name=grub2", "GRUB");
        problems.push(span.error("unsupported", message).hint(hint).lack(lack));
    }
    disk.loader.filter(|_| problems.len() == before)
}

/// The size of the disk and of its root: `--size`, else the description's.
fn sizes(disk: &DiskType, choice: &Choice) -> (DiskSize, Rule) {
    let system = disk.system_mib.filter(|_| !disk.resize).map(|size| Rule::Exact(mib(size)));
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

fn one_line(option: &str, text: String) -> Result<String, ResolveError> {
    match text.chars().any(char::is_control) {
        false => Ok(text.trim().to_owned()),
        true => Err(wrong_choice(option, "a control character in it".to_owned(), "one line of text")),
    }
}

/// `--format`, else what the description says, else raw.
fn formats(choice: &Choice, described: Option<Format>) -> Result<Vec<Format>, ResolveError> {
    let mut formats: Vec<Format> = Vec::new();
    for name in &choice.formats {
        if find_disk(name).is_none() {
            let names: Vec<&str> = DISKS.iter().map(|row| row.name).collect();
            let hint = format!("formats: {}", names.join(", "));
            return Err(wrong_choice("--format", format!("no such format: {name}"), hint));
        }
        // Options of the description are for its own format.
        let options = described.as_ref().filter(|one| one.name == *name).map(|one| one.options.clone());
        let format = Format { name: name.clone(), options: options.unwrap_or_default() };
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    if formats.is_empty() {
        formats.push(described.unwrap_or(Format { name: "raw".to_owned(), options: Vec::new() }));
    }
    Ok(formats)
}

/// The image of a tree without a description: a GPT disk with an EFI system partition if the tree has systemd-boot, and
/// one root file system:
///
/// | what | default | option |
/// |---|---|---|
/// | machine | that of the loader in the tree, else `choice.arch` | |
/// | EFI system partition | room for what goes into it twice, and at least 32 MiB more | `--esp-size` |
/// | loader | systemd-boot, 3 seconds, an entry for each kernel | `--no-boot` |
/// | root | ext4, label `ROOT` | `--fs`, `--label` |
/// | size | content and max(256 MiB, 20 %) | `--size` |
/// | kernel command line | `rw` | `--cmdline` |
/// | container | raw | `--format` |
///
/// `name` is the output's name without its ending. It takes the place of a description's name, in the boot menu and in the
/// default seed: disks of different names have different ids. Nothing of the tree is left out.
pub fn from_tree(tree: &Tree, name: &str, choice: &Choice) -> Result<Image, Refusal> {
    describe_tree(tree, name, choice).map_err(|error| match error {
        ResolveError::Choice(refusal) => refusal,
        ResolveError::Refused(diagnostics) => {
            Refusal::new(RefusalKind::Invalid, Spot::new("image", ""), diagnostics.to_string())
        }
    })
}

fn describe_tree(tree: &Tree, name: &str, choice: &Choice) -> Result<Image, ResolveError> {
    let loader = boot::find_loader(tree).filter(|_| !choice.no_boot);
    let esp = match loader {
        None => None,
        Some(_) => {
            let size = choice.esp_size.map_or(Rule::Free { least: mib(32), percent: 100 }, Rule::from);
            let format = mkfs("--esp-size", "vfat", mkfs_options("vfat", "EFI"))?;
            let loader = Loader::SystemdBoot { timeout: 3, initrd: true };
            Some(Esp { volume: Volume { format, size }, mountpoint: ESP_MOUNT.to_owned(), loader })
        }
    };
    let filesystem = choice.filesystem.as_deref().unwrap_or("ext4");
    let label = choice.label.as_deref().unwrap_or("ROOT");
    let options = label_options(filesystem, label).to_vec();
    let (size, root) = match choice.size {
        Some(Size::Exact(bytes)) => (DiskSize::Exact(bytes), Rule::Rest),
        other => (DiskSize::Computed { extra: Bytes(0) }, other.map_or(Rule::ROOMY, Rule::from)),
    };
    let command_line = choice.command_line.clone().unwrap_or_else(|| "rw".to_owned());
    let disk = Disk {
        sector_size: SectorSize::B512,
        first: Bytes(MIB),
        size,
        unpartitioned: Bytes(0),
        bios_boot: false,
        esp,
        partitions: Vec::new(),
        root: Volume { format: mkfs("--fs", filesystem, options)?, size: root },
        root_options: "defaults".to_owned(),
        naming: Naming::Uuid,
        discoverable: true,
        command_line: one_line("--cmdline", command_line)?,
        formats: formats(choice, None)?,
    };
    Ok(Image {
        name: name.to_owned(),
        title: escaped(name.as_bytes()),
        version: None,
        arch: loader.map_or(choice.arch, |(arch, _)| arch),
        excludes: Vec::new(),
        hooks: Vec::new(),
        target: Target::Disk(Box::new(disk)),
        system: None,
    })
}
