//! Plan and tree to numbers.

use super::clones::{Pair, pairs};
use super::exclude::exclude;
use super::split::split;
use super::{DiskPlan, ESP, Entry, FilesystemPlan, Part, Plan, ROOT, Slot, VolumePlan, kiwi, volumes};
use crate::boot::{BiosCore, BootEntry, BootFiles, Growing, Grows, boot_files, growth, put_folded};
use crate::compose::unwritten;
use crate::model::{Bytes, DiskSize, MIB, Table, Volumes};
use diskwright_formats::bytes::{align_down, align_up};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::Contents;
use diskwright_formats::layout::Layout;
use diskwright_formats::table::gpt;
use diskwright_fstools::tree::{Kind, Meta, Node, Time, Tree};
use serde::Serialize;
use std::collections::BTreeMap;

/// Partitions start and end at multiples of this.
const ALIGN: u64 = MIB;
/// Sectors of a bare file system.
const BARE_SECTOR: u32 = 512;
/// What a layer between a partition and its contents takes: LUKS 2 has a header of 16 MiB.
const LAYER: u64 = 16 * MIB;
/// Primary partitions of an MBR.
const PRIMARY: u32 = 4;
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
    /// What the root is divided into.
    pub volumes: Vec<VolumePlan>,
    /// What tells clones from their origins.
    pub clones: Vec<Pair>,
    /// In KIWI's arithmetic: what the disk would have without `size`, in MiB.
    pub calculated_mib: Option<u64>,
    /// What a BIOS starts, in front of the partitions.
    #[serde(skip)]
    pub core: Option<BiosCore>,
    /// What grows at the first boot.
    pub grows: Option<Grows>,
    /// What was done another way than asked, for people.
    pub notes: Vec<String>,
    /// Of [`draft`]: what keeps it from being made.
    #[serde(skip)]
    pub obstacles: Vec<Refusal>,
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
    /// What goes into it; a clone has what its origin has.
    #[serde(skip)]
    pub tree: Option<Tree>,
    /// The bytes of the image that it is made of, a clone's with its own ids; known once images were read.
    #[serde(skip)]
    pub image: Option<Layout>,
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
/// in the tree that ask for work that cannot be done yet. Of `contents`, files of the loader alone are read.
pub fn fit(plan: &Plan, tree: Tree, contents: &dyn Contents) -> Result<Fit, Refusal> {
    let fit = draft(plan, tree, contents)?;
    match fit.obstacles.first() {
        None => Ok(fit),
        Some(refusal) => Err(refusal.clone()),
    }
}

/// The same for a look at the layout: what is in the way of files alone is an obstacle in the fit and no refusal. That is a
/// loader or a kernel that is missing, and by KIWI's arithmetic a partition that is too small for what goes into it.
pub fn draft(plan: &Plan, mut tree: Tree, contents: &dyn Contents) -> Result<Fit, Refusal> {
    refuse_hooks(plan, &tree)?;
    let divided = plan.disk.as_ref().and_then(|disk| disk.volumes.as_ref());
    // KIWI looks at the tree as it is given.
    let sized = plan.disk.as_ref().and_then(|disk| Some((disk, disk.kiwi_sizes.as_ref()?)));
    let kiwi = sized.map(|(disk, sizes)| kiwi::sizes(sizes, disk, &plan.parts, &tree)).transpose()?;
    let volumes =
        divided.map(|volumes| volumes::planned(volumes, plan.root_label(), Some(&tree))).unwrap_or_default();
    let mut left_out = exclude(&mut tree, &plan.excludes)?;
    let replaced = lay_over(plan, &mut tree)?;
    let (growing, no_growth) = match growth(plan, &tree, contents) {
        Ok(growing) => (growing, None),
        Err(refusal) if refusal.kind == RefusalKind::Missing => (Growing::default(), Some(refusal)),
        Err(refusal) => return Err(refusal),
    };
    let Growing { grows, files, notes: of_growth } = growing;
    let directory = Meta::of_root(0o755, Time::seconds(plan.epoch));
    // An initrd may be among them, which a loader copies.
    for (path, node) in files {
        tree.put(path.as_bytes(), node, directory)?;
    }
    let (boot, no_loader) = match boot_files(plan, &tree, contents) {
        Ok(files) => (files, None),
        // A layout that cannot be written can be looked at all the same.
        Err(refusal) if refusal.kind == RefusalKind::Missing || unwritten(plan).is_some() => {
            (BootFiles::default(), Some(refusal))
        }
        Err(refusal) => return Err(refusal),
    };
    let BootFiles { root, esp, entries, core, mut notes } = boot;
    notes.extend(of_growth);
    for (path, node) in root {
        tree.put(path.as_bytes(), node, directory)?;
    }
    let trees = trees(plan, tree, esp, &mut left_out)?;
    let needs = needs(plan, &trees)?;
    let placed = match &plan.disk {
        Some(disk) => Placing { plan, disk, trees: &trees, needs: &needs, kiwi: kiwi.as_ref() }.place(),
        None => bare(plan, &needs, &trees),
    };
    let Placed { spans, len, too_small } = placed?;
    let places =
        plan.parts.iter().zip(spans).zip(needs).zip(trees).map(|(((part, (start, len)), need), tree)| {
            Place { part: part.clone(), start, len, least: need.least, usage: None, tree, image: None }
        });
    let places: Vec<Place> = places.collect();
    let clones = plan.disk.as_ref().map(|disk| pairs(disk, &places)).unwrap_or_default();
    let calculated_mib = kiwi.map(|sizes| sizes.calculated);
    let limit = grows.as_ref().and_then(|grows| grows.most);
    if let Some((most, last)) = limit.zip(places.last()).filter(|(most, last)| *most <= last.len) {
        notes.push(format!(
            "{} has {} and does not grow: oem-systemsize is {}",
            last.part.name(),
            Bytes(last.len),
            Bytes(most)
        ));
    }
    Ok(Fit {
        plan: plan.clone(),
        len,
        places,
        clones,
        entries,
        left_out,
        replaced,
        volumes,
        calculated_mib,
        obstacles: no_loader.into_iter().chain(no_growth).chain(too_small).collect(),
        core,
        grows,
        notes,
    })
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

/// The tree of each part; the deepest mount points are cut out first. `hidden` gets what lies below an image.
fn trees(
    plan: &Plan,
    mut tree: Tree,
    boot: Vec<(String, Node)>,
    hidden: &mut Vec<String>,
) -> Result<Vec<Option<Tree>>, Refusal> {
    let directory = Meta::of_root(0o755, Time::seconds(plan.epoch));
    let empty = |part: &Part| {
        let laid = part.clone_of.is_none() && part.image.is_none();
        part.filesystem.as_ref().filter(|_| laid).map(|_| Tree::new(directory))
    };
    let mut trees: Vec<Option<Tree>> = plan.parts.iter().map(empty).collect();
    let mounted = |part: &Part| part.filesystem.as_ref().and_then(|one| one.mountpoint.clone());
    let points = plan.parts.iter().enumerate().filter_map(|(at, part)| Some((at, mounted(part)?)));
    let mut points: Vec<(usize, String)> = points.filter(|(_, path)| path != "/").collect();
    points.sort_by_key(|(_, path)| std::cmp::Reverse(path.matches('/').count()));
    for (at, path) in points {
        let below = split(&mut tree, &path, plan.epoch)?;
        // What an image hides stays out.
        match plan.parts[at].image {
            None => trees[at] = Some(below),
            Some(_) if below.nodes() > 1 => hidden.push(format!("{path}/*")),
            Some(_) => {}
        }
    }
    let slot = |role: &str| plan.parts.iter().position(|part| part.role == role);
    if let Some(esp) = slot(ESP).and_then(|at| trees[at].as_mut()) {
        boot.into_iter().try_for_each(|(path, node)| put_folded(esp, &path, node, directory))?;
    }
    // Below an overlay, the packed root has the files.
    if let Some(root) = slot("readonly").or_else(|| slot(ROOT)) {
        trees[root] = Some(tree);
    }
    // Files were added and taken away: writers see each tree as if it had been made at once.
    trees.iter_mut().flatten().for_each(Tree::renumber);
    Ok(trees)
}

/// What a part needs, in bytes.
#[derive(Clone, Copy)]
struct Need {
    /// The smallest length that holds its files; `None` without a file system.
    least: Option<u64>,
    /// Whether that is KIWI's guess.
    guess: bool,
    /// Its length, a multiple of [`ALIGN`]; `None`: the rest of the disk.
    len: Option<u64>,
}

/// What all parts need; clones what their origins do.
fn needs(plan: &Plan, trees: &[Option<Tree>]) -> Result<Vec<Need>, Refusal> {
    let sector = plan.disk.as_ref().map_or(BARE_SECTOR, |disk| disk.sector_size.bytes());
    let origins = plan.parts.iter().zip(trees).filter(|(part, _)| part.clone_of.is_none());
    let mut known = BTreeMap::new();
    for (part, tree) in origins {
        known.insert(part.role.as_str(), need(plan, part, tree.as_ref(), sector)?);
    }
    let base = |part: &Part| known[part.clone_of.as_deref().unwrap_or(&part.role)];
    Ok(plan.parts.iter().map(base).collect())
}

fn need(plan: &Plan, part: &Part, tree: Option<&Tree>, sector: u32) -> Result<Need, Refusal> {
    let divided = plan.disk.as_ref().and_then(|disk| disk.volumes.as_ref()).filter(|_| part.role == ROOT);
    let written =
        part.filesystem.as_ref().filter(|one| one.is_written() && divided.is_none() && !part.packed);
    let filesystem = written.map(FilesystemPlan::filesystem).transpose()?;
    let layers = part.layers.len() as u64 * LAYER;
    let measure = |free: u64| match (&filesystem, &part.filesystem, tree) {
        (Some(filesystem), _, Some(tree)) => {
            let least = filesystem.measure(tree, free, sector).map_err(|refusal| within(part, refusal))?;
            Ok(Some(least.saturating_add(layers)))
        }
        (None, Some(planned), Some(tree)) => {
            let least = guess(part, planned, divided, tree)?;
            Ok(Some(least.saturating_add(layers).saturating_add(free)))
        }
        _ => Ok(part.image.as_ref().map(|image| image.len)),
    };
    let least = measure(0)?;
    let len = part.size.length(|free| match free {
        0 => Ok(least.unwrap_or(0)),
        free => measure(free).map(|len| len.unwrap_or(0)),
    })?;
    let aligned = |len: u64| align_up(len, ALIGN).filter(|&len| len < LONGEST).ok_or_else(|| too_long(part));
    let guess = filesystem.is_none() && part.filesystem.is_some();
    Ok(Need { least, guess, len: len.map(aligned).transpose()? })
}

/// KIWI's guess at what cannot be laid yet, in bytes.
fn guess(
    part: &Part,
    planned: &FilesystemPlan,
    divided: Option<&Volumes>,
    tree: &Tree,
) -> Result<u64, Refusal> {
    let filesystem = planned.mkfs.name.as_str();
    if part.packed {
        return Ok(kiwi::packed(tree));
    }
    let data = kiwi::estimate(filesystem, tree);
    match divided.filter(|volumes| volumes.is_lvm()) {
        None => Ok(data),
        Some(volumes) => {
            Ok(data + (kiwi::LVM + kiwi::volumes_mib(filesystem, volumes, data / MIB, tree)?) * MIB)
        }
    }
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

/// Where all parts lie.
struct Placed {
    spans: Vec<Span>,
    len: u64,
    /// Parts that are too small, by KIWI's arithmetic.
    too_small: Vec<Refusal>,
}

/// Everything that decides where partitions lie.
struct Placing<'a> {
    plan: &'a Plan,
    disk: &'a DiskPlan,
    trees: &'a [Option<Tree>],
    needs: &'a [Need],
    kiwi: Option<&'a kiwi::Sizes>,
}

impl Placing<'_> {
    /// The partitions one behind the other, and the length of the disk.
    fn place(&self) -> Result<Placed, Refusal> {
        let sector = u64::from(self.disk.sector_size.bytes());
        if let Some(len) = self.given().filter(|len| !len.is_multiple_of(sector)) {
            let reason = format!("a disk of {len} bytes is no whole number of sectors of {sector} bytes");
            return Err(Refusal::new(RefusalKind::Invalid, Spot::new("disk", ""), reason));
        }
        let lens = self.lens()?;
        let too_small = self.too_small(&lens);
        if let Some(refusal) = too_small.first().filter(|_| self.kiwi.is_none() || lens.contains(&0)) {
            return Err(refusal.clone());
        }
        let mut at = self.disk.first.0;
        let mut spans = Vec::new();
        for (part, len) in self.plan.parts.iter().zip(lens) {
            if len == 0 {
                let reason = "a partition without length";
                return Err(
                    Refusal::new(RefusalKind::Invalid, spot(part), reason).hint(part.knob.replace("{}", "1"))
                );
            }
            at = end(at, before(part), part)?;
            spans.push((at, len));
            at = end(at, len, part)?;
            if matches!(self.disk.table, Table::Mbr { .. }) && at / sector > u64::from(u32::MAX) {
                let reason = format!("an MBR ends at {}", Bytes((u64::from(u32::MAX) + 1) * sector));
                return Err(Refusal::new(RefusalKind::Limit, spot(part), reason).hint("efiparttable=\"gpt\""));
            }
        }
        let needed = self.disk_of(at);
        match self.given() {
            None => Ok(Placed { spans, len: needed, too_small }),
            Some(len) if at <= usable(self.disk, len) => Ok(Placed { spans, len, too_small }),
            Some(len) => Err(self.disk_too_small(len, needed)),
        }
    }

    /// Each part that is too small for what goes into it; clones are as long as their origin.
    fn too_small(&self, lens: &[u64]) -> Vec<Refusal> {
        let parts = self.plan.parts.iter().zip(self.needs).zip(lens).enumerate();
        let origins = parts.filter(|(_, ((part, _), _))| part.clone_of.is_none());
        let refuse = |(at, ((part, need), &len)): (usize, ((&Part, &Need), &u64))| {
            let least = need.least.filter(|&least| least > len)?;
            let of_disk =
                |sizes: &&kiwi::Sizes| sizes.parts[at].is_none() || (sizes.root_of_disk && part.is_root());
            let Some(sizes) = self.kiwi.filter(of_disk) else {
                return Some(too_small(part, least, len, need.guess, self.tree_of(part)));
            };
            let rooms = u64::from(part.clones) + 1;
            let more = (align_up(least, ALIGN)? - len).saturating_mul(rooms);
            let disk = sizes.disk.saturating_add(more).saturating_add(self.disk.unpartitioned.0);
            Some(self.no_room(part, (least, len, rooms), self.given()?, disk))
        };
        origins.filter_map(refuse).collect()
    }

    /// The length of the disk where it does not follow from the partitions.
    fn given(&self) -> Option<u64> {
        match (self.kiwi, self.disk.size) {
            (Some(sizes), _) => Some(sizes.disk.saturating_add(self.disk.unpartitioned.0)),
            (None, DiskSize::Exact(Bytes(len))) => Some(len),
            (None, DiskSize::Computed { .. }) => None,
        }
    }

    /// What goes into a part or its origin.
    fn tree_of(&self, part: &Part) -> Option<&Tree> {
        let role = part.clone_of.as_deref().unwrap_or(&part.role);
        let at = self.plan.parts.iter().position(|one| one.role == role)?;
        self.trees.get(at)?.as_ref()
    }

    fn lens(&self) -> Result<Vec<u64>, Refusal> {
        let wanted: Vec<Option<u64>> = match self.kiwi {
            Some(sizes) => sizes.parts.clone(),
            None => self.needs.iter().map(|need| need.len).collect(),
        };
        let shares = wanted.iter().filter(|len| len.is_none()).count() as u64;
        let share = match (shares, self.given()) {
            (0, _) => 0,
            (_, Some(len)) => self.rest(&wanted, shares, len)?,
            (_, None) => 0,
        };
        let parts = self.plan.parts.iter().zip(self.needs).zip(wanted);
        let len = |((part, need), wanted): ((&Part, &Need), Option<u64>)| match (wanted, self.disk.size) {
            (Some(len), DiskSize::Computed { extra }) if self.kiwi.is_none() && part.is_root() => {
                let extra = extra.0 / (u64::from(part.clones) + 1);
                align_up(end(len, extra, part)?, ALIGN).ok_or_else(|| too_long(part))
            }
            (Some(len), _) => Ok(len),
            (None, _) if self.given().is_some() => Ok(share),
            (None, _) => Ok(need.least.unwrap_or(0).max(ALIGN).next_multiple_of(ALIGN)),
        };
        parts.map(len).collect()
    }

    /// What the others leave of a disk of given length, for each of those that share it.
    fn rest(&self, wanted: &[Option<u64>], shares: u64, len: u64) -> Result<u64, Refusal> {
        let known = wanted.iter().flatten().chain([&self.disk.first.0]);
        let gaps = self.plan.parts.iter().map(before).sum::<u64>();
        let used = known.fold(gaps, |sum, len| sum.saturating_add(*len));
        let rest = align_down(usable(self.disk, len).saturating_sub(used) / shares, ALIGN);
        let sharing = self.plan.parts.iter().zip(self.needs).zip(wanted).filter(|(_, len)| len.is_none());
        for ((part, need), _) in sharing {
            let least = need.least.unwrap_or(0).max(ALIGN);
            if rest < if self.kiwi.is_some() { ALIGN } else { least } {
                let needed =
                    self.disk_of(used.saturating_add(least.next_multiple_of(ALIGN).saturating_mul(shares)));
                return Err(self.no_room(part, (least, rest, shares), len, needed));
            }
        }
        Ok(rest)
    }

    fn no_room(&self, part: &Part, (least, rest, shares): (u64, u64, u64), len: u64, needed: u64) -> Refusal {
        let each = if shares > 1 { format!("{shares} times ") } else { String::new() };
        let reason = format!(
            "the tree does not fit: {} needs {}, and a disk of {} leaves {each}{}",
            part.name(),
            mib_up(least),
            Bytes(len),
            Bytes(rest)
        );
        let hint = format!("{}{}", self.disk_hint(needed), largest_in(self.tree_of(part)));
        Refusal::new(RefusalKind::TooSmall { needed: Some(needed) }, spot(part), reason).hint(hint)
    }

    /// The length of a disk whose last partition ends at `end`.
    fn disk_of(&self, end: u64) -> u64 {
        let sector = self.disk.sector_size.bytes();
        let table = if ends_as_gpt(self.disk.table) { ALIGN - gpt::last_usable(ALIGN, sector) } else { 0 };
        let unpartitioned = align_up(self.disk.unpartitioned.0, sector.into());
        let needed = end.saturating_add(table).saturating_add(unpartitioned.unwrap_or(LONGEST));
        align_up(needed, ALIGN).unwrap_or(u64::MAX)
    }

    fn disk_too_small(&self, len: u64, needed: u64) -> Refusal {
        let reason = format!("the partitions do not fit on a disk of {}", Bytes(len));
        let kind = RefusalKind::TooSmall { needed: Some(needed) };
        Refusal::new(kind, Spot::new("disk", ""), reason).hint(self.disk_hint(needed))
    }

    fn disk_hint(&self, needed: u64) -> String {
        let mib = needed.div_ceil(MIB);
        let kiwi = if self.kiwi.is_some() {
            "; or leave out --kiwi-sizes, which takes KIWI's arithmetic"
        } else {
            ""
        };
        format!("a disk of {mib} MiB would do: <size unit=\"M\">{mib}</size> or --size {mib}M{kiwi}")
    }
}

fn end(at: u64, len: u64, part: &Part) -> Result<u64, Refusal> {
    at.checked_add(len).filter(|&end| end < LONGEST).ok_or_else(|| too_long(part))
}

/// Whether the end of a disk is kept for the second copy of a GPT. KIWI converts a GPT, whose end it keeps.
fn ends_as_gpt(table: Table) -> bool {
    matches!(table, Table::Gpt { .. } | Table::Mbr { converted: true, .. })
}

/// The byte behind the last that a partition may use, if partitions end at multiples of [`ALIGN`].
pub(super) fn usable(disk: &DiskPlan, len: u64) -> u64 {
    let partitioned = len.saturating_sub(disk.unpartitioned.0);
    match ends_as_gpt(disk.table) {
        true => align_down(gpt::last_usable(partitioned, disk.sector_size.bytes()), ALIGN),
        false => align_down(partitioned, ALIGN),
    }
}

/// What lies in front of a logical partition: the record that describes it.
pub(super) fn before(part: &Part) -> u64 {
    let logical = |entry: &Entry| matches!(entry.slot, Slot::Mbr { .. }) && entry.number > PRIMARY;
    if part.entry.as_ref().is_some_and(logical) { ALIGN } else { 0 }
}

fn too_small(part: &Part, least: u64, len: u64, guess: bool, tree: Option<&Tree>) -> Refusal {
    let reason = format!(
        "what goes into {} does not fit: it has {}, and needs {}{}",
        part.name(),
        Bytes(len),
        mib_up(least),
        if guess { ", by KIWI's guess" } else { "" }
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
fn bare(plan: &Plan, needs: &[Need], trees: &[Option<Tree>]) -> Result<Placed, Refusal> {
    let mut spans = Vec::new();
    for ((part, need), tree) in plan.parts.iter().zip(needs).zip(trees) {
        let len = need.len.or(need.least).unwrap_or(0);
        if let Some(least) = need.least.filter(|&least| least > len) {
            return Err(too_small(part, least, len, need.guess, tree.as_ref()));
        }
        spans.push((0, len));
    }
    let len = spans.iter().map(|(_, len)| *len).max().unwrap_or(0);
    Ok(Placed { spans, len, too_small: Vec::new() })
}
