//! Plan and tree to numbers.

use super::split::{exclude, split};
use super::{DiskPlan, ESP, Part, Plan, ROOT};
use crate::boot::{BootEntry, EspFiles, esp_files, put_folded};
use crate::model::{Bytes, DiskSize, MIB};
use diskwright_formats::bytes::{align_down, align_up};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::table::gpt;
use diskwright_fstools::tree::{Kind, Meta, Node, Time, Tree};
use serde::Serialize;

/// Partitions start and end at multiples of this.
const ALIGN: u64 = MIB;
/// Sectors of a bare file system.
const BARE_SECTOR: u32 = 512;
/// How many directories are named when a tree is too large.
const NAMED: usize = 5;
/// No disk is longer, in bytes: 64 EiB less than what 64 bits count.
const LONGEST: u64 = 1 << 62;

/// Numbers: every start and length of a plan with a tree, and the trees that go into each file system.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// What was planned.
    pub plan: Plan,
    /// Length of the disk or of the bare file system in bytes.
    pub len: u64,
    /// Where each of `plan.parts` lies, in the same order.
    pub places: Vec<Place>,
    /// Boot entries, the default first.
    pub entries: Vec<BootEntry>,
    /// Paths of the tree that were left out.
    pub left_out: Vec<String>,
    /// Paths of the tree in whose place a generated file was put.
    pub replaced: Vec<String>,
}

/// Where a partition lies.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// What it is.
    #[serde(flatten)]
    pub part: Part,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// The smallest length that holds its files, in bytes.
    pub least: Option<u64>,
    /// How full it is; known once it was laid ([`compose`](crate::compose::compose)).
    pub usage: Option<Usage>,
    /// What goes into it.
    #[serde(skip)]
    pub tree: Option<Tree>,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Bytes that can still be written.
    pub free: u64,
    /// Bytes taken by files, directories and the file system itself.
    pub used: u64,
    /// Inodes in use.
    pub inodes_used: Option<u64>,
    /// Free inodes.
    pub inodes_free: Option<u64>,
}

/// Makes numbers of a plan. Refused: what does not fit, with the size that would; a loader or kernel that is missing; files
/// in the tree that ask for work that cannot be done yet.
pub fn fit(plan: &Plan, mut tree: Tree) -> Result<Fit, Refusal> {
    refuse_hooks(plan, &tree)?;
    let left_out = exclude(&mut tree, &plan.excludes);
    let replaced = lay_over(plan, &mut tree)?;
    let boot = match &plan.boot {
        Some(boot) => {
            let command_line = plan.command_line.as_deref().unwrap_or("");
            esp_files(boot, plan.arch, command_line, &tree, plan.epoch)?
        }
        None => EspFiles::default(),
    };
    let entries = boot.entries.clone();
    let trees = trees(plan, tree, boot)?;
    let sector = plan.disk.as_ref().map_or(BARE_SECTOR, |disk| disk.sector_size.bytes());
    let needs = plan.parts.iter().zip(&trees).map(|(part, tree)| need(part, tree.as_ref(), sector));
    let needs = needs.collect::<Result<Vec<Need>, Refusal>>()?;
    let (places, len) = match &plan.disk {
        Some(disk) => place(plan, disk, &needs, &trees)?,
        None => bare(plan, &needs, &trees)?,
    };
    let places =
        plan.parts.iter().zip(places).zip(needs).zip(trees).map(|(((part, (start, len)), need), tree)| {
            Place { part: part.clone(), start, len, least: need.least, usage: None, tree }
        });
    Ok(Fit { plan: plan.clone(), len, places: places.collect(), entries, left_out, replaced })
}

fn refuse_hooks(plan: &Plan, tree: &Tree) -> Result<(), Refusal> {
    match plan.hooks.iter().find(|path| tree.lookup(path.as_bytes()).is_some()) {
        None => Ok(()),
        Some(path) => {
            let reason = "the tree asks for a step that is not supported yet";
            let hint = "do what it says, remove it from the tree, and run again";
            Err(Refusal::new(RefusalKind::Unsupported, Spot::new("tree", format!("/{path}")), reason)
                .hint(hint))
        }
    }
}

/// Puts the generated files into the tree. Says which were there.
fn lay_over(plan: &Plan, tree: &mut Tree) -> Result<Vec<String>, Refusal> {
    let epoch = Time::seconds(plan.epoch);
    let there = plan.files.iter().filter(|file| tree.lookup(file.path.as_bytes()).is_some());
    let replaced = there.map(|file| file.path.clone()).collect();
    for file in &plan.files {
        let node = Node { meta: Meta::of_root(file.mode, epoch), kind: Kind::file(file.text.as_bytes()) };
        tree.put(file.path.as_bytes(), node, Meta::of_root(0o755, epoch))?;
    }
    Ok(replaced)
}

/// The tree of each part; the deepest mount points are cut out first.
fn trees(plan: &Plan, mut tree: Tree, boot: EspFiles) -> Result<Vec<Option<Tree>>, Refusal> {
    let directory = Meta::of_root(0o755, Time::seconds(plan.epoch));
    let empty = |part: &Part| part.filesystem.as_ref().map(|_| Tree::new(directory));
    let mut trees: Vec<Option<Tree>> = plan.parts.iter().map(empty).collect();
    let mounted = |part: &Part| part.filesystem.as_ref().and_then(|one| one.mountpoint.clone());
    let points = plan.parts.iter().enumerate().filter_map(|(at, part)| Some((at, mounted(part)?)));
    let mut points: Vec<(usize, String)> = points.filter(|(_, path)| path != "/").collect();
    points.sort_by_key(|(_, path)| std::cmp::Reverse(path.matches('/').count()));
    for (at, path) in points {
        trees[at] = Some(split(&mut tree, &path, plan.epoch)?);
    }
    let slot = |role: &str| plan.parts.iter().position(|part| part.role == role);
    if let Some(esp) = slot(ESP).and_then(|at| trees[at].as_mut()) {
        boot.files.into_iter().try_for_each(|(path, node)| put_folded(esp, &path, node, directory))?;
    }
    if let Some(root) = slot(ROOT) {
        trees[root] = Some(tree);
    }
    // Files were added and taken away: writers see each tree as if it had been made at once.
    trees.iter_mut().flatten().for_each(Tree::renumber);
    Ok(trees)
}

/// What a part needs, in bytes.
struct Need {
    /// The smallest length that holds its files; `None` without a file system.
    least: Option<u64>,
    /// Its length, a multiple of [`ALIGN`]; `None`: the rest of the disk.
    len: Option<u64>,
}

fn need(part: &Part, tree: Option<&Tree>, sector: u32) -> Result<Need, Refusal> {
    let filesystem = match &part.filesystem {
        Some(plan) => Some(plan.filesystem()?),
        None => None,
    };
    let measure = |free: u64| match (&filesystem, tree) {
        (Some(filesystem), Some(tree)) => {
            filesystem.measure(tree, free, sector).map(Some).map_err(|refusal| within(part, refusal))
        }
        _ => Ok(None),
    };
    let least = measure(0)?;
    let len = part.size.length(|free| match free {
        0 => Ok(least.unwrap_or(0)),
        free => measure(free).map(|len| len.unwrap_or(0)),
    })?;
    let aligned = |len: u64| align_up(len, ALIGN).filter(|&len| len < LONGEST).ok_or_else(|| too_long(part));
    Ok(Need { least, len: len.map(aligned).transpose()? })
}

fn too_long(part: &Part) -> Refusal {
    Refusal::new(RefusalKind::Limit, spot(part), "no disk is as long as this partition wants to be")
}

/// The same refusal, about this part.
pub(crate) fn within(part: &Part, refusal: Refusal) -> Refusal {
    let object = match refusal.spot.object.as_str() {
        "" => part.name().to_owned(),
        object => format!("{}: {object}", part.name()),
    };
    Refusal { spot: Spot { object, ..refusal.spot }, ..refusal }
}

fn spot(part: &Part) -> Spot {
    Spot::new("disk", part.name())
}

type Span = (u64, u64);

/// Starts and lengths of the partitions one behind the other, and the length of the disk.
fn place(
    plan: &Plan,
    disk: &DiskPlan,
    needs: &[Need],
    trees: &[Option<Tree>],
) -> Result<(Vec<Span>, u64), Refusal> {
    let mut at = disk.first.0;
    let mut spans = Vec::new();
    let end = |at: u64, len: u64, part: &Part| {
        at.checked_add(len).filter(|&end| end < LONGEST).ok_or_else(|| too_long(part))
    };
    for ((part, need), tree) in plan.parts.iter().zip(needs).zip(trees) {
        let len = match (need.len, disk.size) {
            (Some(len), DiskSize::Computed { extra }) if part.role == ROOT => {
                align_up(end(len, extra.0, part)?, ALIGN).ok_or_else(|| too_long(part))?
            }
            (Some(len), _) => len,
            (None, DiskSize::Exact(Bytes(len))) => rest(part, need, tree.as_ref(), disk, at, len)?,
            (None, DiskSize::Computed { .. }) => need.least.unwrap_or(0).next_multiple_of(ALIGN),
        };
        if let Some(least) = need.least.filter(|&least| least > len) {
            return Err(too_small(part, least, len, tree.as_ref()));
        }
        spans.push((at, len));
        at = end(at, len, part)?;
    }
    let needed = disk_of(disk, at);
    match disk.size {
        DiskSize::Computed { .. } => Ok((spans, needed)),
        DiskSize::Exact(Bytes(len)) if at <= usable(disk, len) => Ok((spans, len)),
        DiskSize::Exact(Bytes(len)) => Err(disk_too_small(len, needed)),
    }
}

/// The byte behind the last that a partition may use, if partitions end at multiples of [`ALIGN`].
fn usable(disk: &DiskPlan, len: u64) -> u64 {
    let partitioned = len.saturating_sub(disk.unpartitioned.0);
    align_down(gpt::last_usable(partitioned, disk.sector_size.bytes()), ALIGN)
}

/// The length of a disk whose last partition ends at `end`.
fn disk_of(disk: &DiskPlan, end: u64) -> u64 {
    // The table's second copy takes less than one unit.
    end.saturating_add(ALIGN).saturating_add(disk.unpartitioned.0.next_multiple_of(ALIGN))
}

/// What is left of a disk of given length for the last partition.
fn rest(
    part: &Part,
    need: &Need,
    tree: Option<&Tree>,
    disk: &DiskPlan,
    at: u64,
    len: u64,
) -> Result<u64, Refusal> {
    let sector = u64::from(disk.sector_size.bytes());
    if !len.is_multiple_of(sector) {
        let reason = format!("a disk of {len} bytes is no whole number of sectors of {sector} bytes");
        return Err(Refusal::new(RefusalKind::Invalid, Spot::new("disk", ""), reason));
    }
    let rest = usable(disk, len).saturating_sub(at);
    let least = need.least.unwrap_or(0).max(ALIGN);
    if rest >= least {
        return Ok(rest);
    }
    let needed = disk_of(disk, at.saturating_add(least.next_multiple_of(ALIGN)));
    let reason = format!(
        "the tree does not fit: {} needs {}, and a disk of {} leaves {}",
        part.name(),
        mib_up(least),
        Bytes(len),
        Bytes(rest)
    );
    let hint = format!("{}{}", disk_hint(needed), largest_in(tree));
    Err(Refusal::new(RefusalKind::TooSmall { needed: Some(needed) }, spot(part), reason).hint(hint))
}

fn disk_too_small(len: u64, needed: u64) -> Refusal {
    let reason = format!("the partitions do not fit on a disk of {}", Bytes(len));
    let kind = RefusalKind::TooSmall { needed: Some(needed) };
    Refusal::new(kind, Spot::new("disk", ""), reason).hint(disk_hint(needed))
}

fn disk_hint(needed: u64) -> String {
    let mib = needed.div_ceil(MIB);
    format!("a disk of {mib} MiB would do: <size unit=\"M\">{mib}</size> or --size {mib}M")
}

fn too_small(part: &Part, least: u64, len: u64, tree: Option<&Tree>) -> Refusal {
    let reason = format!(
        "what goes into {} does not fit: it has {}, and needs {}",
        part.name(),
        Bytes(len),
        mib_up(least)
    );
    let mib = least.div_ceil(MIB);
    let knob = part.knob.replace("{}", &mib.to_string());
    let hint = format!("{mib} MiB would do: {knob}{}", largest_in(tree));
    Refusal::new(RefusalKind::TooSmall { needed: Some(least) }, spot(part), reason).hint(hint)
}

/// A length in whole MiB, rounded up.
fn mib_up(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(MIB))
}

/// The directories that are worth looking at, as the end of a hint; nothing if none holds a MiB.
fn largest_in(tree: Option<&Tree>) -> String {
    let directories = tree.map(|tree| tree.largest(NAMED)).unwrap_or_default();
    let named = directories.into_iter().filter(|(_, bytes)| *bytes >= MIB);
    let named: Vec<String> = named.map(|(path, bytes)| format!("{path} {}", mib_up(bytes))).collect();
    if named.is_empty() { String::new() } else { format!("; largest directories: {}", named.join(", ")) }
}

/// A bare file system is all there is.
fn bare(plan: &Plan, needs: &[Need], trees: &[Option<Tree>]) -> Result<(Vec<Span>, u64), Refusal> {
    let mut spans = Vec::new();
    for ((part, need), tree) in plan.parts.iter().zip(needs).zip(trees) {
        let len = need.len.or(need.least).unwrap_or(0);
        if let Some(least) = need.least.filter(|&least| least > len) {
            return Err(too_small(part, least, len, tree.as_ref()));
        }
        spans.push((0, len));
    }
    let len = spans.iter().map(|(_, len)| *len).max().unwrap_or(0);
    Ok((spans, len))
}
