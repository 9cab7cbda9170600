//! Tree to layout.
//!
//! 1. [`census`] numbers the inodes and counts blocks: what the tree needs, wherever it will lie.
//! 2. [`fit`] finds the number of blocks, [`geometry`] places the metadata of the groups.
//! 3. [`files`] takes the rest from the front ([`space`]): directories, attributes and symlinks, journal, then file data in the
//!    order of the tree, so that all that is free lies at the end.
//! 4. Inode tables, directories and bitmaps are made on demand from compact records.

mod blocks;
mod census;
mod directory;
mod extents;
mod files;
mod fit;
mod geometry;
mod group;
mod inode;
mod space;
mod superblock;
mod tables;
mod xattr;

use super::options::{Inodes, Options, parse};
use super::{BLOCK, MAX_BLOCKS, NAME, refusal};
use crate::registry::{Filesystem, Geometry, Laid};
use crate::tree::{Kind, ROOT, Tree};
use census::Census;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_formats::identity::Identity;
use files::Laying;
use fit::Fit;
use geometry::Places;
use space::Space;
use std::collections::BTreeMap;
use superblock::Ids;

/// A file system from options in the spelling of mke2fs.
pub(super) fn configure(arguments: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    Ok(Box::new(Ext4 { options: parse(arguments)? }))
}

#[derive(Debug)]
struct Ext4 {
    options: Options,
}

impl Filesystem for Ext4 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn id(&self, identity: &Identity) -> String {
        self.options.uuid.unwrap_or_else(|| identity.uuid("uuid")).hyphenated().to_string()
    }

    fn label(&self) -> Option<&str> {
        Some(self.options.label.as_str()).filter(|label| !label.is_empty())
    }

    fn measure(&self, tree: &Tree, free: u64, _: u32) -> Result<u64, Refusal> {
        let census = self.census(tree)?;
        let fit = Fit::new(census.demand(free.div_ceil(BLOCK)), &self.options);
        let blocks = if free == 0 { fit.smallest() } else { fit.safe() };
        blocks.map(|blocks| u64::from(blocks) * BLOCK).ok_or_else(too_large)
    }

    fn lay(&self, tree: &Tree, place: &Geometry, identity: &Identity) -> Result<Laid, Refusal> {
        let available = u32::try_from(place.len / BLOCK).ok().filter(|&blocks| blocks <= MAX_BLOCKS);
        let available = available.ok_or_else(too_large)?;
        let census = self.census(tree)?;
        let fit = Fit::new(census.demand(0), &self.options);
        let geometry = fit.choose(available).ok_or_else(|| match fit.smallest() {
            Some(blocks) => too_small(tree, place.len, u64::from(blocks) * BLOCK),
            None => too_large(),
        })?;
        let ids = Ids::of(identity, &self.options);
        let needed = census.demand(0).blocks + geometry.movable();
        let places = Places::of(&geometry).expect("a geometry was chosen that has room");
        let laying = Laying::new(&census, &ids, geometry, Space::new(places.data.clone(), needed));
        Ok(laying.lay(places, &self.options, place.len))
    }
}

impl Ext4 {
    fn census<'a>(&self, tree: &'a Tree) -> Result<Census<'a>, Refusal> {
        let census = Census::of(tree, &self.options)?;
        match self.options.inodes {
            Inodes::Count(count) if count < census.last_inode() => {
                let reason = format!("-N {count}: the tree needs {} inodes", census.last_inode());
                Err(refusal(RefusalKind::Limit, "inodes", reason))
            }
            _ => Ok(census),
        }
    }
}

fn too_large() -> Refusal {
    let most = u64::from(MAX_BLOCKS) * BLOCK;
    refusal(RefusalKind::Limit, "", format!("a file system of more than {most} bytes"))
}

/// Says what would fit, and which directories are the largest.
fn too_small(tree: &Tree, len: u64, needed: u64) -> Refusal {
    let mut sizes: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for step in tree.walk() {
        let end = step.path[1..].iter().position(|&byte| byte == b'/').map(|at| at + 1);
        let top = &step.path[..end.unwrap_or(if step.parent == ROOT { 1 } else { step.path.len() })];
        let bytes = match &tree.node(step.node).kind {
            Kind::File(data) => data.runs().map(|run| run.end - run.start).sum(),
            _ => 0,
        };
        *sizes.entry(top.to_vec()).or_default() += bytes;
    }
    let mut largest: Vec<(u64, Vec<u8>)> = sizes.into_iter().map(|(path, bytes)| (bytes, path)).collect();
    largest.sort_by(|a, b| b.cmp(a));
    let list: Vec<String> =
        largest.iter().take(3).map(|(bytes, path)| format!("{} ({bytes} bytes)", escaped(path))).collect();
    let reason = format!("the tree does not fit into {len} bytes: {needed} bytes are needed");
    refusal(RefusalKind::TooSmall { needed: Some(needed) }, "", reason)
        .hint(format!("a size of {needed} bytes would do; the largest directories are: {}", list.join(", ")))
}
