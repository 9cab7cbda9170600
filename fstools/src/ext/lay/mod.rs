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
mod indirect;
mod inode;
mod map;
mod space;
mod superblock;
mod tables;
mod xattr;

use super::format::{Format, Generation};
use super::options::{Inodes, Options, Request, request};
use super::profile::Profile;
use super::refusal;
use crate::registry::{Aimed, Filesystem, Geometry, Laid, Target};
use crate::tree::Tree;
use census::Census;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::identity::Identity;
use files::Laying;
use fit::Fit;
use geometry::Places;
use space::Space;
use superblock::Ids;

/// ext2 from options in the spelling of mke2fs.
pub(super) fn ext2(arguments: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    configure(Generation::Ext2, arguments)
}

/// ext3 likewise.
pub(super) fn ext3(arguments: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    configure(Generation::Ext3, arguments)
}

/// ext4 likewise.
pub(super) fn ext4(arguments: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    configure(Generation::Ext4, arguments)
}

fn configure(generation: Generation, arguments: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    let made = request(generation, arguments).and_then(|request| {
        let options =
            request.options(&Profile::unknown("nothing is known of the system that will use it"))?;
        Ok(Ext { request, options })
    });
    match made {
        Ok(ext) => Ok(Box::new(ext)),
        Err(refusal) => Err(named(generation, refusal)),
    }
}

/// A refusal in the name of the file system that was asked for.
fn named(generation: Generation, refusal: Refusal) -> Refusal {
    Refusal { spot: Spot { format: generation.name(), ..refusal.spot }, ..refusal }
}

#[derive(Debug)]
struct Ext {
    request: Request,
    options: Options,
}

impl Filesystem for Ext {
    fn name(&self) -> &'static str {
        self.options.format.generation.name()
    }

    fn id(&self, identity: &Identity) -> String {
        self.options.uuid.unwrap_or_else(|| identity.uuid("uuid")).hyphenated().to_string()
    }

    fn label(&self) -> Option<&str> {
        Some(self.options.label.as_str()).filter(|label| !label.is_empty())
    }

    fn aimed(&self, target: &Target) -> Result<Option<Aimed>, Refusal> {
        let generation = self.options.format.generation;
        let profile = Profile::of(target).map_err(|refusal| named(generation, refusal))?;
        let options = self.request.options(&profile).map_err(|refusal| {
            let reason = format!("{} (with the defaults of {})", refusal.reason, profile.name);
            named(generation, Refusal { reason, ..refusal })
        })?;
        let profile = profile.report(options.format.features);
        Ok(Some(Aimed { filesystem: Box::new(Ext { request: self.request.clone(), options }), profile }))
    }

    fn measure(&self, tree: &Tree, free: u64, _: u32) -> Result<u64, Refusal> {
        self.smallest(tree, free).map_err(|refusal| named(self.options.format.generation, refusal))
    }

    fn lay(&self, tree: &Tree, place: &Geometry, identity: &Identity) -> Result<Laid, Refusal> {
        self.lay_into(tree, place.len, identity)
            .map_err(|refusal| named(self.options.format.generation, refusal))
    }
}

impl Ext {
    fn smallest(&self, tree: &Tree, free: u64) -> Result<u64, Refusal> {
        let (census, format) = (self.census(tree)?, &self.options.format);
        let fit = Fit::new(census.demand(free.div_ceil(format.block())), &self.options);
        let blocks = if free == 0 { fit.smallest() } else { fit.safe() };
        blocks.map(|blocks| u64::from(blocks) * format.block()).ok_or_else(|| too_large(format))
    }

    fn lay_into(&self, tree: &Tree, len: u64, identity: &Identity) -> Result<Laid, Refusal> {
        let format = &self.options.format;
        let available = u32::try_from(len / format.block()).ok();
        let available = available.filter(|&blocks| blocks <= format.most_blocks());
        let available = available.ok_or_else(|| too_large(format))?;
        let census = self.census(tree)?;
        let fit = Fit::new(census.demand(0), &self.options);
        let geometry = fit.choose(available).ok_or_else(|| match fit.smallest() {
            Some(blocks) => too_small(tree, len, u64::from(blocks) * format.block()),
            None => too_large(format),
        })?;
        if let Some(resize) = self.options.resize.filter(|&resize| resize <= u64::from(geometry.blocks)) {
            let reason =
                format!("-E resize={resize}: the file system has {} blocks already", geometry.blocks);
            return Err(refusal(RefusalKind::Invalid, "options", reason));
        }
        let ids = Ids::of(identity, &self.options);
        let needed = census.demand(0).blocks + geometry.movable();
        let places = Places::of(&geometry).ok_or_else(|| {
            refusal(RefusalKind::Unsupported, "groups", "groups too small for their metadata")
        })?;
        let laying = Laying::new(&census, &ids, geometry, Space::new(places.data.clone(), needed));
        Ok(laying.lay(places, &self.options, len))
    }

    fn census<'a>(&self, tree: &'a Tree) -> Result<Census<'a>, Refusal> {
        let census = Census::of(tree, &self.options.format)?;
        let needed = census.demand(0).inodes;
        match self.options.inodes {
            Inodes::Count(count) if count < needed => {
                let reason = format!("-N {count}: the tree needs {needed} inodes");
                Err(refusal(RefusalKind::Limit, "inodes", reason))
            }
            _ => Ok(census),
        }
    }
}

fn too_large(format: &Format) -> Refusal {
    let most = u64::from(format.most_blocks()) * format.block();
    let reason =
        format!("no size holds it: at most {most} bytes and 2^32 inodes with blocks of {}", format.block());
    let refusal = refusal(RefusalKind::Limit, "", reason);
    if format.block_size < 4096 { refusal.hint("take larger blocks: -b 4096") } else { refusal }
}

/// Says what would fit, and which directories are the largest.
fn too_small(tree: &Tree, len: u64, needed: u64) -> Refusal {
    let list = tree.largest(5).into_iter().map(|(path, bytes)| format!("{path} ({bytes} bytes)"));
    let list: Vec<String> = list.collect();
    let largest =
        if list.is_empty() { String::new() } else { format!("; largest directories: {}", list.join(", ")) };
    let reason = format!("the tree does not fit into {len} bytes: {needed} bytes are needed");
    refusal(RefusalKind::TooSmall { needed: Some(needed) }, "", reason)
        .hint(format!("a size of {needed} bytes would do: --size {needed}B{largest}"))
}
