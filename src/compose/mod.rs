//! Fit and Tree to Layouts. Pure.
//!
//! ```text
//! tree -> file system -\
//! tree -> file system --> table -> disk -> container, for each output
//! ```

use crate::plan::{DiskPlan, Fit, Place, Usage, fs_identity, within};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::Layout;
use diskwright_formats::registry::find_disk;
use diskwright_formats::table::gpt;
use diskwright_fstools::registry::{Geometry, Laid};

/// Sectors of a bare file system.
const BARE_SECTOR: u32 = 512;

/// A file that can be written.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Its name.
    pub file: String,
    /// Row of the disk registry; `None`: a bare file system.
    pub format: Option<String>,
    /// Its bytes.
    pub layout: Layout,
}

/// Lays everything: file systems, table, containers. All outputs share one disk. Fills in how full each file system is.
/// `identity` is the one that the plan was made with.
pub fn compose(fit: &mut Fit, identity: &Identity) -> Result<Vec<Composed>, Refusal> {
    let disk = fit.plan.disk.clone();
    let sector = disk.as_ref().map_or(BARE_SECTOR, |disk| disk.sector_size.bytes());
    let mut layouts = Vec::new();
    for place in &mut fit.places {
        layouts.push(lay_place(place, sector, identity)?);
    }
    let layout = match &disk {
        Some(disk) => lay_disk(fit, disk, layouts, identity)?,
        None => layouts.pop().unwrap_or_default(),
    };
    let outputs = fit.plan.outputs.iter().map(|output| {
        let layout = match &output.format {
            None => layout.clone(),
            Some(name) => {
                let missing = || {
                    let reason = format!("no such format: {name}");
                    Refusal::new(RefusalKind::Unsupported, Spot::new("disk", ""), reason)
                };
                let row = find_disk(name).ok_or_else(missing)?;
                (row.lay)(&layout, &identity.role("container").role(name), &output.options)?
            }
        };
        Ok(Composed { file: output.file.clone(), format: output.format.clone(), layout })
    });
    outputs.collect()
}

fn lay_place(place: &mut Place, sector: u32, identity: &Identity) -> Result<Layout, Refusal> {
    let (Some(filesystem), Some(tree)) = (&place.part.filesystem, &place.tree) else {
        return Ok(Layout::empty(place.len));
    };
    let hidden_sectors = place.start / u64::from(sector);
    let geometry = Geometry { len: place.len, sector_size: sector, hidden_sectors };
    let identity = fs_identity(identity, &place.part.role);
    let laid = filesystem.filesystem()?.lay(tree, &geometry, &identity);
    let Laid { layout, usage } = laid.map_err(|refusal| within(&place.part, refusal))?;
    place.usage = Some(Usage {
        free: usage.free,
        used: usage.used,
        inodes_used: usage.inodes.map(|(used, _)| used),
        inodes_free: usage.inodes.map(|(_, free)| free),
    });
    Ok(layout)
}

fn lay_disk(
    fit: &Fit,
    disk: &DiskPlan,
    layouts: Vec<Layout>,
    identity: &Identity,
) -> Result<Layout, Refusal> {
    let partition = |place: &Place| {
        let entry = place.part.entry.as_ref()?;
        Some(gpt::Partition {
            number: entry.number,
            type_guid: entry.type_guid,
            unique_guid: entry.guid,
            name: entry.name.clone(),
            attributes: 0,
            start: place.start,
            len: place.len,
        })
    };
    let partitions = fit.places.iter().zip(layouts);
    let partitions: Vec<(gpt::Partition, Layout)> =
        partitions.filter_map(|(place, layout)| Some((partition(place)?, layout))).collect();
    let options =
        gpt::Options { disk_guid: Some(disk.guid), ..gpt::Options::new(fit.len, disk.sector_size.bytes()) };
    gpt::lay(&partitions, &options, &identity.role("disk"))
}
