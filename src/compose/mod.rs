//! Fit and Tree to Layouts. Pure.
//!
//! ```text
//! tree -> file system -\
//! tree -> file system --> table -> disk -> container, for each output
//! ```

use crate::boot::grub::Piece;
use crate::boot::placed;
use crate::model::{Loader, Table};
use crate::plan::{
    CLONES, DiskPlan, Entry, Fit, Place, Plan, Run, Slot, Usage, clones_text, fs_identity, told, within,
};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Extent, Layout, LayoutError, What, differences};
use diskwright_formats::registry::find_disk;
use diskwright_formats::table::{gpt, mbr};
use diskwright_fstools::registry::{Geometry, Laid};

/// Sectors of a bare file system.
const BARE_SECTOR: u32 = 512;

/// A file that can be written.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Its name.
    pub file: String,
    /// Row of the disk registry, or [`CLONES`]; `None`: a bare file system.
    pub format: Option<String>,
    /// Its bytes.
    pub layout: Layout,
}

/// Lays everything: file systems, table, containers, and beside them what tells clones from their origins. All outputs
/// share one disk. Fills in how full each file system is, and where clones differ.
/// `identity` is the one that the plan was made with.
pub fn compose(fit: &mut Fit, identity: &Identity) -> Result<Vec<Composed>, Refusal> {
    let disk = compose_disk(fit, identity)?;
    contain(fit, &disk, identity)
}

/// The disk, or the bare file system, without containers. Fills in what [`compose`] does.
pub fn compose_disk(fit: &mut Fit, identity: &Identity) -> Result<Layout, Refusal> {
    if let Some(refusal) = unwritten(&fit.plan).or_else(|| fit.obstacles.first().cloned()) {
        return Err(refusal);
    }
    let disk = fit.plan.disk.clone();
    let sector = disk.as_ref().map_or(BARE_SECTOR, |disk| disk.sector_size.bytes());
    let mut layouts = Vec::new();
    for at in 0..fit.places.len() {
        let (layout, usage) = lay_place(fit, at, sector, identity)?;
        fit.places[at].usage = usage;
        layouts.push(layout);
    }
    for at in 0..fit.clones.len() {
        fit.clones[at].differs = Some(differs(fit, at, &layouts));
    }
    match &disk {
        Some(disk) => boot_code(fit, sector, lay_disk(fit, disk, layouts, identity)?),
        None => Ok(layouts.pop().unwrap_or_default()),
    }
}

/// What [`compose_disk`] made in all containers that are asked for, and what lies beside them.
pub fn contain(fit: &Fit, layout: &Layout, identity: &Identity) -> Result<Vec<Composed>, Refusal> {
    let beside = clones_file(fit);
    let outputs = fit.plan.outputs.iter().map(|output| {
        let layout = match &output.format {
            None => layout.clone(),
            Some(name) => {
                let missing = || {
                    let reason = format!("no such format: {name}");
                    Refusal::new(RefusalKind::Unsupported, Spot::new("disk", ""), reason)
                };
                let row = find_disk(name).ok_or_else(missing)?;
                (row.lay)(layout, &identity.role("container").role(name), &output.options)?
            }
        };
        Ok(Composed { file: output.file.clone(), format: output.format.clone(), layout })
    });
    outputs.chain(beside.map(Ok)).collect()
}

/// The disk with what a BIOS starts.
fn boot_code(fit: &Fit, sector: u32, mut disk: Layout) -> Result<Layout, Refusal> {
    let Some(core) = &fit.core else { return Ok(disk) };
    for Piece { start, bytes, what } in placed(core, &fit.places, sector)? {
        let len = bytes.len() as u64;
        let label = if start == 0 { What::new(&"grub boot.img") } else { What::new(&"grub core.img") };
        let layout = Layout::new(len, vec![Extent::of_bytes(0, bytes, label)], Vec::new());
        let layout = layout.expect("one extent as long as the layout");
        let taken = |error: LayoutError| {
            let reason = format!("no room for the boot loader: {error}");
            Refusal::new(RefusalKind::Invalid, Spot::new("boot", what), reason)
        };
        disk.splice(start, &layout, "grub").map_err(taken)?;
    }
    Ok(disk)
}

/// Where a clone and its origin hold other bytes.
fn differs(fit: &Fit, at: usize, layouts: &[Layout]) -> Vec<Run> {
    let pair = &fit.clones[at];
    let layout = |role: &str| {
        let at = fit.places.iter().position(|place| place.part.role == role);
        at.and_then(|at| layouts.get(at)).cloned().unwrap_or_default()
    };
    told(&differences(&layout(&pair.origin.role), &layout(&pair.clone.role)))
}

fn clones_file(fit: &Fit) -> Option<Composed> {
    let (file, disk) = fit.plan.clones_file.clone().zip(fit.plan.disk.as_ref())?;
    let text = clones_text(disk, &fit.clones).into_bytes();
    let (len, what) = (text.len() as u64, What::new(&"clones"));
    let layout = Layout::new(len, vec![Extent::of_bytes(0, text, what)], vec![]);
    let layout = layout.expect("one extent from end to end");
    Some(Composed { file, format: Some(CLONES.to_owned()), layout })
}

/// What of a plan cannot be written yet.
pub fn unwritten(plan: &Plan) -> Option<Refusal> {
    let refuse = |object: &str, what: String| {
        let reason = format!("{what}, which is planned and cannot be written yet");
        Some(Refusal::new(RefusalKind::Unsupported, Spot::new("disk", object), reason))
    };
    for part in &plan.parts {
        let unwritten = part.filesystem.as_ref().filter(|filesystem| !filesystem.is_written());
        if let Some(layer) = part.layers.first() {
            return refuse(part.name(), format!("a layer of {}", layer.name()));
        }
        if let Some(filesystem) = unwritten {
            return refuse(part.name(), format!("a file system of type {}", filesystem.mkfs.name));
        }
        if part.packed {
            return refuse(part.name(), "a packed root".to_owned());
        }
    }
    let disk = plan.disk.as_ref()?;
    let boot = plan.boot.as_ref().map(|boot| (boot.loader, &boot.grub));
    match (&disk.volumes, disk.table, boot) {
        (Some(volumes), _, _) => refuse("", format!("volumes of {}", volumes.manager.name())),
        (_, Table::Dasd, _) => refuse("", "the table of a DASD".to_owned()),
        (_, _, Some((Loader::Grub, None))) => refuse("", "GRUB for this machine".to_owned()),
        (_, _, Some((Loader::Zipl, _))) => refuse("", "a loader for s390".to_owned()),
        _ => None,
    }
}

/// A part. A clone is what its origin holds, laid again under ids of its own; a FAT keeps the place of its origin, as it
/// would if it were copied.
fn lay_place(
    fit: &Fit,
    at: usize,
    sector: u32,
    identity: &Identity,
) -> Result<(Layout, Option<Usage>), Refusal> {
    let Place { part, len, image, .. } = &fit.places[at];
    if part.image.is_some() {
        let missing = || {
            let reason = "the image that it is made of was not read";
            Refusal::new(RefusalKind::Missing, Spot::new("disk", part.name()), reason)
        };
        return Ok((image.as_ref().ok_or_else(missing)?.resized(*len), None));
    }
    let origin = part.clone_of.as_deref();
    let source = origin.and_then(|role| fit.places.iter().find(|one| one.part.role == role));
    let Place { tree, start, .. } = source.unwrap_or(&fit.places[at]);
    let (Some(filesystem), Some(tree)) = (&part.filesystem, tree) else {
        return Ok((Layout::empty(*len), None));
    };
    let geometry = Geometry { len: *len, sector_size: sector, hidden_sectors: start / u64::from(sector) };
    let identity = fs_identity(identity, &part.role, origin);
    let laid = filesystem.filesystem()?.lay(tree, &geometry, &identity);
    let Laid { layout, usage } = laid.map_err(|refusal| within(part, refusal))?;
    let usage = Usage {
        free: usage.free,
        used: usage.used,
        inodes_used: usage.inodes.map(|(used, _)| used),
        inodes_free: usage.inodes.map(|(_, free)| free),
    };
    Ok((layout, Some(usage)))
}

fn lay_disk(
    fit: &Fit,
    disk: &DiskPlan,
    layouts: Vec<Layout>,
    identity: &Identity,
) -> Result<Layout, Refusal> {
    let identity = identity.role("disk");
    let places = fit.places.iter().zip(layouts);
    let (len, sector_size) = (fit.len, disk.sector_size.bytes());
    if let Table::Mbr { .. } = disk.table {
        let options = mbr::Options { len, sector_size, disk_id: Some(disk.signature) };
        let parts = places.filter_map(|(place, layout)| Some((record(place)?, layout)));
        return mbr::lay(&parts.collect::<Vec<_>>(), &options, &identity);
    }
    let hybrid = fit.places.iter().filter_map(hybrid).collect();
    let parts = places.filter_map(|(place, layout)| Some((entry(place)?, layout)));
    let options = gpt::Options {
        disk_guid: Some(disk.guid),
        disk_signature: Some(disk.signature),
        hybrid,
        ..gpt::Options::new(len, sector_size)
    };
    gpt::lay(&parts.collect::<Vec<_>>(), &options, &identity)
}

fn entry(place: &Place) -> Option<gpt::Partition> {
    let Entry { number, name, slot: Slot::Gpt { type_guid, guid, .. } } = place.part.entry.as_ref()? else {
        return None;
    };
    Some(gpt::Partition {
        number: *number,
        type_guid: *type_guid,
        unique_guid: *guid,
        name: name.clone(),
        attributes: 0,
        start: place.start,
        len: place.len,
    })
}

fn hybrid(place: &Place) -> Option<gpt::HybridEntry> {
    let Entry { number, slot: Slot::Gpt { hybrid, .. }, .. } = place.part.entry.as_ref()? else {
        return None;
    };
    Some(gpt::HybridEntry { number: *number, kind: (*hybrid)?, active: false })
}

fn record(place: &Place) -> Option<mbr::Partition> {
    let Entry { number, slot: Slot::Mbr { mbr_type, active }, .. } = place.part.entry.as_ref()? else {
        return None;
    };
    Some(mbr::Partition {
        number: *number,
        kind: *mbr_type,
        active: *active,
        start: place.start,
        len: place.len,
    })
}
