//! Image to tree, checking everything on the way.

use super::boot::{self, Boot, Findings, damage};
use super::chain::{Chain, Claims, Fault, Table};
use super::directory::{self, Child, Slot};
use super::disk::Entry;
use super::geometry::{FatType, Shape};
use super::names::{folded, short_text};
use super::time;
use crate::registry::{Opened, Usage};
use crate::tree::{Data, Kind, Meta, NAME_MAX, Node, NodeId, ROOT, Time, Tree};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Damage, DamageKind};
use diskwright_formats::layout::{ContentId, Extent, Layout, ReadAt, Source, What};
use std::collections::BTreeMap;
use std::ops::Range;

/// What has no time of its own.
const NO_TIME: Time = Time { sec: 315_532_800, nsec: 0 };
/// The root directory among the owners.
const ROOT_OWNER: u32 = 0;

/// Reads and checks an image. Fails where the boot sector makes no sense or the image ends before the FAT does.
pub(super) fn open(image: &dyn ReadAt) -> Result<Opened, Damage> {
    let Scan { boot, table, tree, files, label, findings, .. } = scan(image)?;
    let shape = boot.shape;
    let free = u64::from(shape.clusters - table.used()) * shape.cluster_len();
    let id = boot.extended.map_or(0, |extended| extended.volume_id.get());
    Ok(Opened {
        tree,
        files,
        len: shape.len(),
        id: format!("{:04X}-{:04X}", id >> 16, id & 0xffff),
        label,
        usage: Usage { free, used: shape.len() - free, inodes: None },
        pending: vec![],
        damage: findings.0,
    })
}

/// Everything that is known of an image.
pub(super) struct Scan {
    pub(super) boot: Boot,
    pub(super) table: Table,
    pub(super) claims: Claims,
    pub(super) owners: Owners,
    /// Each directory: its owner, its places in order, its slots up to the end mark.
    pub(super) directories: Vec<(u32, Vec<Range<u64>>, Vec<Slot>)>,
    pub(super) findings: Findings,
    tree: Tree,
    files: Vec<Layout>,
    label: Vec<u8>,
}

/// Reads boot sector, FAT and all directories.
pub(super) fn scan(image: &dyn ReadAt) -> Result<Scan, Damage> {
    let mut findings = Findings::default();
    let boot = boot::boot(image, &mut findings)?;
    let table = Table::read(image, &boot, &mut findings)?;
    boot.check_info(image, boot.shape.clusters - table.used(), &mut findings);
    let mut scan = Scan {
        boot,
        table,
        claims: Claims::default(),
        owners: Owners::default(),
        directories: Vec::new(),
        findings,
        tree: Tree::new(Meta::of_root(0o755, NO_TIME)),
        files: Vec::new(),
        label: Vec::new(),
    };
    scan.read_directories(image);
    scan.check_lost();
    Ok(scan)
}

/// A directory that waits to be read.
struct Waiting {
    node: NodeId,
    owner: u32,
    places: Vec<Range<u64>>,
    /// Its first cluster and that of its parent, as `.` and `..` must say; `None` for the root.
    dots: Option<(u32, u32)>,
}

impl Scan {
    fn shape(&self) -> Shape {
        self.boot.shape
    }

    fn read_directories(&mut self, image: &dyn ReadAt) {
        let root = Waiting { node: ROOT, owner: ROOT_OWNER, places: self.root(), dots: None };
        let mut waiting = vec![root];
        while let Some(directory) = waiting.pop() {
            let path = self.owners.path(directory.owner);
            let slots = directory::slots(image, &path, &directory.places, &mut self.findings);
            let listing = directory::list(&slots, &path, &mut self.findings);
            self.check_dots(&directory, &listing.dots, &path);
            self.check_labels(&listing.labels, &directory, &path);
            let cluster = directory.dots.map_or(0, |(cluster, _)| cluster);
            for child in self.distinct(listing.children, &path) {
                let owner = self.owners.add(directory.owner, &child.name);
                if child.entry.attributes & Entry::DIRECTORY != 0 {
                    waiting.extend(self.add_directory(&child, directory.node, owner, cluster));
                } else {
                    self.add_file(&child, directory.node, owner);
                }
            }
            self.directories.push((directory.owner, directory.places, slots));
        }
    }

    fn root(&mut self) -> Vec<Range<u64>> {
        match self.boot.fat_32 {
            None => vec![directory::root_place(&self.shape())],
            Some(fat_32) => {
                let chain = self.follow(fat_32.root_cluster.get(), 44, ROOT_OWNER);
                chain.bytes(&self.shape())
            }
        }
    }

    /// Children by name. Of names that FAT takes for the same each is reported and kept, if a tree can hold it.
    fn distinct(&mut self, mut children: Vec<Child>, path: &str) -> Vec<Child> {
        let mut long = BTreeMap::new();
        let mut short = BTreeMap::new();
        for child in &mut children {
            if child.name.len() > NAME_MAX {
                let expected = format!("at most {NAME_MAX} bytes in UTF-8: the short name stands for it");
                let found = format!("{} bytes", child.name.len());
                self.findings.add(damage(
                    DamageKind::Unsupported,
                    format!("{path}: name"),
                    child.at,
                    expected,
                    found,
                ));
                child.name = short_text(&child.entry).into_bytes();
            }
            let name = folded(&String::from_utf8_lossy(&child.name));
            let twice = long.insert(name, child.at).or(short.insert(child.entry.name, child.at));
            if let Some(first) = twice {
                let found = format!("{} again, first at byte {first}", escaped(&child.name));
                self.findings.add(damage(
                    DamageKind::Mismatch,
                    format!("{path}: name"),
                    child.at,
                    "each name once",
                    found,
                ));
            }
        }
        children.sort_by(|a, b| a.name.cmp(&b.name).then(a.at.cmp(&b.at)));
        children
    }

    fn meta(&mut self, child: &Child, mode: u16, owner: u32) -> Meta {
        let (date, time) = (child.entry.written_date.get(), child.entry.written_time.get());
        let moment = time::moment(date, time);
        if moment.is_none() && date != 0 {
            let object = self.owners.path(owner);
            let found = format!("date {date:#06x}, time {time:#06x}");
            self.findings.add(damage(
                DamageKind::Value,
                object,
                child.at + 22,
                "a day and a time that exist",
                found,
            ));
        }
        Meta::of_root(mode, moment.unwrap_or(NO_TIME))
    }

    fn add_node(
        &mut self,
        child: &Child,
        parent: NodeId,
        kind: Kind,
        mode: u16,
        owner: u32,
    ) -> Option<NodeId> {
        let node = Node { meta: self.meta(child, mode, owner), kind };
        let added = self.tree.add(parent, &child.name, node);
        added
            .map_err(|refusal| {
                let object = self.owners.path(owner);
                self.findings.add(damage(
                    DamageKind::Value,
                    object,
                    child.at,
                    "a name of its own",
                    refusal.reason,
                ));
            })
            .ok()
    }

    fn add_directory(
        &mut self,
        child: &Child,
        parent: NodeId,
        owner: u32,
        parent_cluster: u32,
    ) -> Option<Waiting> {
        let first = self.first_cluster(&child.entry);
        let chain = self.follow(first, child.at + 26, owner);
        if child.entry.size.get() != 0 {
            let object = self.owners.path(owner);
            self.findings.add(damage(
                DamageKind::Value,
                object,
                child.at + 28,
                "size 0 of a directory",
                child.entry.size,
            ));
        }
        let node = self.add_node(child, parent, Kind::directory(), 0o755, owner)?;
        let places = chain.bytes(&self.shape());
        (!places.is_empty()).then_some(Waiting { node, owner, places, dots: Some((first, parent_cluster)) })
    }

    fn add_file(&mut self, child: &Child, parent: NodeId, owner: u32) {
        let size = u64::from(child.entry.size.get());
        let first = self.first_cluster(&child.entry);
        let chain = match first {
            0 => Chain::default(),
            _ => self.follow(first, child.at + 26, owner),
        };
        let (needed, held) = (self.shape().clusters_for(size), chain.clusters());
        if needed != held && chain.fault.is_none() {
            let object = self.owners.path(owner);
            let (expected, found) =
                (format!("{needed} clusters for {size} bytes"), format!("a chain of {held}"));
            self.findings.add(damage(DamageKind::Mismatch, object, child.at + 28, expected, found));
        }
        let id = ContentId(self.files.len() as u32);
        let mode = if child.entry.attributes & Entry::READ_ONLY != 0 { 0o444 } else { 0o644 };
        let data = Data::Content { id, size, runs: None };
        if self.add_node(child, parent, Kind::File(data), mode, owner).is_some() {
            self.files.push(file(size, &chain.bytes(&self.shape())));
        }
    }

    /// Outside FAT32 the upper half means something else.
    fn first_cluster(&self, entry: &Entry) -> u32 {
        match self.shape().fat {
            FatType::Fat32 => entry.cluster(),
            _ => entry.cluster() & 0xffff,
        }
    }

    /// A chain; what is wrong with it is reported.
    fn follow(&mut self, first: u32, pointer: u64, owner: u32) -> Chain {
        let chain = self.table.follow(first, pointer, owner, &mut self.claims);
        if let Some((fault, at)) = chain.fault {
            let end = self.shape().clusters_end() - 1;
            let object = self.owners.path(owner);
            let (kind, expected, found) = match fault {
                Fault::Outside(cluster) => {
                    (DamageKind::Value, format!("a cluster from 2 to {end}"), format!("{cluster:#x}"))
                }
                Fault::Free(cluster) => (
                    DamageKind::Mismatch,
                    "a cluster that is not free".to_owned(),
                    format!("free cluster {cluster}"),
                ),
                Fault::Bad(cluster) => (
                    DamageKind::Value,
                    "a good cluster".to_owned(),
                    format!("cluster {cluster}, marked as bad"),
                ),
                Fault::Taken(cluster, holder) if holder == owner => (
                    DamageKind::Mismatch,
                    "a chain that ends".to_owned(),
                    format!("cluster {cluster} of the same chain: a cycle"),
                ),
                Fault::Taken(cluster, holder) => (
                    DamageKind::Mismatch,
                    "clusters of its own".to_owned(),
                    format!("cluster {cluster} of {}: a cross link", self.owners.path(holder)),
                ),
            };
            self.findings.add(damage(kind, format!("{object}: chain"), at, expected, found));
        }
        chain
    }

    /// `.` and `..` come first in every directory but the root and say where it and its parent start.
    fn check_dots(&mut self, directory: &Waiting, dots: &[(usize, Child)], path: &str) {
        let wanted = match directory.dots {
            None => vec![],
            Some((own, parent)) => vec![(*b".          ", own), (*b"..         ", parent)],
        };
        for (number, (name, cluster)) in wanted.iter().enumerate() {
            let object = format!("{path}: {}", name.escape_ascii().to_string().trim_end());
            let found = dots.iter().find(|(at, child)| *at == number && child.entry.name == *name);
            let Some((_, child)) = found else {
                let at = directory.places[0].start + number as u64 * super::disk::ENTRY_LEN;
                self.findings.add(damage(DamageKind::Value, object, at, "this entry", "another or none"));
                continue;
            };
            let first = self.first_cluster(&child.entry);
            self.findings.expect(first == *cluster, || {
                damage(
                    DamageKind::Mismatch,
                    object.clone(),
                    child.at + 26,
                    format!("cluster {cluster}"),
                    first,
                )
            });
            self.findings.expect(child.entry.attributes & Entry::DIRECTORY != 0, || {
                damage(
                    DamageKind::Value,
                    object.clone(),
                    child.at + 11,
                    "the attribute of a directory",
                    "none",
                )
            });
        }
        for (_, child) in dots.iter().filter(|(at, _)| *at >= wanted.len()) {
            let found = child.entry.name.escape_ascii();
            self.findings.add(damage(DamageKind::Value, path, child.at, "no dot entry here", found));
        }
    }

    /// The root has at most one label, and it is that of the boot sector, if that has one.
    fn check_labels(&mut self, labels: &[([u8; 11], u64)], directory: &Waiting, path: &str) {
        let is_root = directory.owner == ROOT_OWNER;
        for (name, at) in labels.iter().skip(usize::from(is_root)) {
            let expected = if is_root { "one label" } else { "labels in the root directory only" };
            self.findings.add(damage(
                DamageKind::Value,
                format!("{path}: label"),
                *at,
                expected,
                name.escape_ascii(),
            ));
        }
        if !is_root {
            return;
        }
        let (root, boot) = (labels.first().map(|(name, _)| *name), self.boot.label());
        if let Some(boot) = boot.filter(|&boot| root != Some(boot)) {
            let expected = match root {
                Some(root) => format!("{} as in the root directory", root.escape_ascii()),
                None => "no label, as in the root directory".to_owned(),
            };
            let at = self.boot.label_start();
            self.findings.add(damage(
                DamageKind::Mismatch,
                "boot sector/label",
                at,
                expected,
                boot.escape_ascii(),
            ));
        }
        let label = root.or(boot).unwrap_or_default();
        let len = label.iter().rposition(|&byte| ![b' ', 0].contains(&byte)).map_or(0, |last| last + 1);
        self.label = label[..len].to_vec();
    }

    fn check_lost(&mut self) {
        for clusters in self.table.lost(&self.claims) {
            let at = self.table.entry_start(clusters.start);
            let found = format!("clusters {} to {}, lost", clusters.start, clusters.end - 1);
            self.findings.add(damage(DamageKind::Mismatch, "fat", at, "clusters of a file", found));
        }
    }
}

/// The bytes of a file over the image; what its chain does not reach is zero.
fn file(size: u64, places: &[Range<u64>]) -> Layout {
    let mut start = 0;
    let mut extents = Vec::new();
    for place in places {
        let len = (place.end - place.start).min(size - start);
        if len == 0 {
            break;
        }
        let source = Source::Content(ContentId(0), place.start);
        extents.push(Extent { start, len, source, what: What::new(&"file") });
        start += len;
    }
    Layout::new(size, extents, vec![]).expect("extents one behind the other")
}

/// The names of those who hold clusters, as a tree, because paths of deep trees are long.
pub(super) struct Owners(Vec<(u32, Box<[u8]>)>);

impl Default for Owners {
    fn default() -> Owners {
        Owners(vec![(ROOT_OWNER, Box::default())])
    }
}

impl Owners {
    fn add(&mut self, parent: u32, name: &[u8]) -> u32 {
        self.0.push((parent, name.into()));
        self.0.len() as u32 - 1
    }

    /// The path for messages; the start of a very long one is left out.
    pub(super) fn path(&self, owner: u32) -> String {
        const MOST: usize = 32;
        let step = |&owner: &u32| Some(self.0[owner as usize].0);
        let ancestors = std::iter::successors(Some(owner), step).take_while(|&owner| owner != ROOT_OWNER);
        let mut names: Vec<String> =
            ancestors.take(MOST).map(|owner| escaped(&self.0[owner as usize].1)).collect();
        names.reverse();
        let start = if names.len() == MOST { "..." } else { "" };
        format!("{start}/{}", names.join("/"))
    }
}
