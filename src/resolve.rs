//! Profiles, defaults, architecture, command line: Model to one closed Image.

pub mod checks;
mod defaults;
mod disk;
mod idle;
mod installer;
mod select;
mod volumes;

pub use defaults::{Defaults, DiskDefaults};
pub use disk::{ESP_MIB, ESP_MOUNT};
pub use select::{Selection, User, select};

use crate::boot;
use crate::describe::kiwi::{label_options, mkfs_options};
use crate::describe::{Diagnostic, Diagnostics, Span};
use crate::model::{
    Arch, Bytes, Contents, Disk, DiskSize, Format, Image, ImageSource, Kind, Loader, MIB, Mkfs, Model,
    Naming, Need, Partition, PartitionKind, Rule, SectorSize, Size, SizeElement, Table, Target, Type, Volume,
    mib,
};
use crate::plan::{ESP, Part, Plan, ROOT};
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
    /// `--kiwi-sizes`: KIWI's arithmetic in the place of ours.
    pub kiwi_sizes: bool,
    /// `--partition NAME=FILE`: images that partitions are made of.
    pub partitions: Vec<(String, ImageSource)>,
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
            kiwi_sizes: false,
            partitions: Vec::new(),
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
    /// Where the size of each part is written, by its role in the plan; `loader` is the loader.
    pub spans: Vec<(String, Span)>,
    /// What the preparation of its tree would have to do, as errors: `create` has the tree already, `build` stops here.
    pub needs: Vec<Diagnostic>,
    /// What cannot be written yet, as errors: it can be planned, and not made.
    pub lacks: Vec<Diagnostic>,
}

impl Resolved {
    /// Warnings, and what cannot be written yet, in the order of the description.
    pub fn told(&self) -> Diagnostics {
        Diagnostics::new(self.warnings.list.iter().chain(&self.lacks).cloned().collect())
    }

    /// A refusal of a plan's part as an error at the place in the description where its size is written, or its loader
    /// named; `None` for what is about nothing that the description says.
    pub fn locate(&self, plan: &Plan, refusal: &Refusal) -> Option<Diagnostics> {
        let of_part = |part: &&Part| {
            let rest = refusal.spot.object.strip_prefix(part.name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let role = match (refusal.spot.format, refusal.spot.object.as_str()) {
            ("boot", _) => "loader",
            ("disk", "") | ("oem-resize", _) => ROOT,
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

/// What KIWI leaves out of an image: its own traces in a prepared tree, and what is in directories that are mounted over.
const KIWI_EXCLUDES: [&str; 6] = ["image", ".kconfig", "run/*", "tmp/*", ".buildenv", "var/cache/kiwi"];

/// Files of a tree that KIWI acts on when it makes an image.
const KIWI_HOOKS: [&str; 4] =
    ["image/exclude_files.yaml", "etc/fstab.append", "etc/fstab.patch", "etc/fstab.script"];

/// What the preparation of a tree has to do and cannot do yet. By apt it does all but fetch containers; a tree without
/// packages is its overlay alone.
pub fn unprepared_needs(selection: &Selection<'_>) -> Vec<Diagnostic> {
    let model = selection.model;
    let done = |need: &Need| {
        let containers = need.problem.lack.as_ref().is_some_and(|lack| lack.part == "containers");
        selection.is_installed_by_apt() && !containers
    };
    let applying =
        model.needs.iter().filter(|need| need.scope.applies(&selection.profiles, selection.machine));
    applying.filter(|need| !done(need)).map(|need| need.problem.clone()).collect()
}

/// One image of a description.
pub fn resolve(model: &Model, choice: &Choice) -> Result<Resolved, ResolveError> {
    let selection = select(model, choice)?;
    let (checked, unprepared) = checks::run(&selection, &choice.disabled_checks);
    let chosen = selection.kind;
    // What the type lacks can be planned all the same; what else is not supported cannot be understood.
    let mut lacks: Vec<Diagnostic> = Vec::new();
    let mut problems = model.problems.clone();
    problems.extend(selection.preferences.iter().flat_map(|one| one.problems.iter().cloned()));
    problems.extend(selection.problems.iter().cloned());
    problems.extend(checked);
    let version = selection.preferences.iter().find_map(|one| one.version.clone());
    if let Some(chosen) = chosen {
        let (lacking, wrong) =
            chosen.problems.iter().cloned().partition::<Vec<_>, _>(|one| one.lack.is_some());
        lacks.extend(lacking);
        problems.extend(wrong);
    }
    let target = match chosen {
        Some(kind @ Type { kind: Some(Kind::Disk(disk)), .. }) => {
            disk::disk_target(&selection, kind, disk, choice, &mut problems, &mut lacks)?
        }
        Some(Type { kind: Some(Kind::Filesystem { name, options, size }), .. }) => {
            Some(bare_target(name, options, *size, choice)?)
        }
        _ => None,
    };
    let diagnostics = Diagnostics::new(problems);
    if choice.no_boot {
        lacks.retain(|one| !one.lack.as_ref().is_some_and(|lack| lack.part.starts_with("bootloader@name")));
    }
    let Some(target) = target.filter(|_| !diagnostics.stop()) else {
        let all = diagnostics.list.into_iter().chain(lacks).collect();
        return Err(ResolveError::Refused(Diagnostics::new(all)));
    };
    let needs = unprepared_needs(&selection);
    let Selection { profiles, .. } = selection;
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
    let needs = needs.into_iter().chain(unprepared).collect();
    let spans = chosen.map(|chosen| chosen.spans.clone()).unwrap_or_default();
    Ok(Resolved { image, profiles, warnings: diagnostics, spans, needs, lacks })
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
    let filesystem = choice.filesystem.as_deref().unwrap_or("ext4");
    let label = choice.label.as_deref().unwrap_or("ROOT");
    let options = label_options(filesystem, label).to_vec();
    let (size, root) = match choice.size {
        Some(Size::Exact(bytes)) => (DiskSize::Exact(bytes), Rule::Rest),
        other => (DiskSize::Computed { extra: Bytes(0) }, other.map_or(Rule::ROOMY, Rule::from)),
    };
    let arch = loader.map_or(choice.arch, |(arch, _)| arch);
    let part =
        |role: &str, name: &str, kind, size, knob: &str, (format, mountpoint): (Mkfs, &str)| Partition {
            role: role.to_owned(),
            name: name.to_owned(),
            kind,
            type_guid: (role == ROOT).then(|| arch.root_guid()),
            number: None,
            clones: 0,
            size,
            knob: knob.to_owned(),
            layers: Vec::new(),
            contents: Contents::Mounted {
                format,
                mountpoint: mountpoint.to_owned(),
                options: "defaults".to_owned(),
            },
        };
    let mut partitions = Vec::new();
    if loader.is_some() {
        let size = choice.esp_size.map_or(Rule::Free { least: mib(32), percent: 100 }, Rule::from);
        let format = mkfs("--esp-size", "vfat", mkfs_options("vfat", "EFI"))?;
        partitions.push(part(ESP, "p.UEFI", PartitionKind::Esp, size, disk::ESP_KNOB, (format, ESP_MOUNT)));
    }
    let format = mkfs("--fs", filesystem, options)?;
    partitions.push(part(ROOT, "p.lxroot", PartitionKind::Linux, root, disk::DISK_KNOB, (format, "/")));
    let installed = loader.map_or(Loader::Custom, |_| Loader::SystemdBoot { timeout: 3, initrd: true });
    disk::images(&mut partitions, choice, installed)?;
    let command_line = choice.command_line.clone().unwrap_or_else(|| "rw".to_owned());
    let disk = Disk {
        table: Table::Gpt { hybrid: false },
        sector_size: SectorSize::B512,
        first: Bytes(MIB),
        size,
        unpartitioned: Bytes(0),
        partitions,
        active: None,
        volumes: None,
        grub: None,
        loader: installed,
        naming: Naming::Uuid,
        readonly_root: false,
        command_line: one_line("--cmdline", command_line)?,
        formats: formats(choice, None)?,
        kiwi_files: false,
        kiwi_sizes: None,
        growth: None,
    };
    Ok(Image {
        name: name.to_owned(),
        title: escaped(name.as_bytes()),
        version: None,
        arch,
        excludes: Vec::new(),
        hooks: Vec::new(),
        target: Target::Disk(Box::new(disk)),
        system: None,
    })
}
