//! A live directory, level by level: directories are listed in parallel and sorted, then all their names are looked at in
//! parallel, then taken over in order. Neither threads nor the order of a listing reach the result.
//!
//! - Mount points are crossed: the tree is what is there.
//! - Sockets, fifos and device nodes are taken as such. Symlinks are never followed, except in the path of the top.
//! - Names that are not readable are all named in one error.

mod files;
mod look;
mod owners;
mod recorded;
mod xattrs;

use super::{Options, Survey, SurveyError, Surveyed, named};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::ContentId;
use diskwright_fstools::tree::{Data, Kind, Meta, Node, NodeId, ROOT, Step, Tree, Xattrs, record};
use files::DirectoryFiles;
use look::{Found, Host, What, look};
use owners::Owners;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir, fstat, openat};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Lists the names in an open directory, without `.` and `..`, in any order.
pub type List = dyn Fn(BorrowedFd<'_>) -> io::Result<Vec<Box<[u8]>>> + Sync;

/// Most directories that are open at a time while they are listed.
const BATCH: usize = 64;
/// Most names that are looked at before they are taken over: bounds the memory between the two.
const NAMES: usize = 8192;
/// Most problems that an error spells out.
pub(super) const MOST_NAMED: usize = 20;

/// The names in an open directory as the host lists them.
pub(super) fn names(directory: BorrowedFd) -> io::Result<Vec<Box<[u8]>>> {
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(&name[..], b"." | b"..") {
            names.push(name.into_boxed_slice());
        }
    }
    Ok(names)
}

pub(super) fn survey(
    top: &Path,
    record: Option<&Path>,
    options: &Options,
    list: &List,
) -> Result<Survey, SurveyError> {
    // Read first: what it refuses needs no scan.
    let record = record.map(read_record).transpose()?;
    let pool = ThreadPoolBuilder::new().num_threads(options.threads.max(1)).build();
    let mut scan = Scan::new(top, record.is_some(), options)?;
    scan.levels(&pool.map_err(io::Error::other)?, list)?;
    let (mut tree, files, mut notes) = scan.done()?;
    if let Some(record) = record {
        notes.extend(recorded::apply(&mut tree, &record, options)?);
    }
    tree.renumber();
    Ok(Survey { tree, contents: Surveyed::of(files), notes })
}

fn read_record(path: &Path) -> Result<Tree, SurveyError> {
    let text = fs_err::read(path)?;
    record::read(&text).map_err(|refusal| {
        let spot = Spot::new(refusal.spot.format, format!("{}, {}", path.display(), refusal.spot.object));
        SurveyError::Refused(Refusal { spot, ..refusal })
    })
}

/// The newest time in a record, in whole seconds since 1970.
pub fn newest(record: &Path) -> Result<i64, SurveyError> {
    let tree = read_record(record)?;
    let time = |step: Step| tree.node(step.node).meta.mtime;
    Ok(tree.walk().map(time).max().map_or(0, |time| time.sec + i64::from(time.nsec > 0)))
}

struct Scan<'a> {
    options: &'a Options,
    owners: Owners,
    host: Host,
    tree: Tree,
    files: DirectoryFiles,
    /// The node of each directory of `files`.
    nodes: Vec<NodeId>,
    /// Files with several names, by device and inode.
    links: BTreeMap<(u64, u64), NodeId>,
    /// How often each attribute was not taken.
    left_out: BTreeMap<Vec<u8>, u64>,
    /// What could not be read, in order.
    troubles: Vec<(String, io::Error)>,
    /// The first file whose owner cannot be mapped.
    stranger: Option<(String, u32)>,
}

/// A directory, listed.
struct Listed {
    directory: u32,
    open: OwnedFd,
    names: Vec<Box<[u8]>>,
}

impl<'a> Scan<'a> {
    fn new(top: &Path, has_record: bool, options: &'a Options) -> Result<Scan<'a>, SurveyError> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, top, flags, Mode::empty()).map_err(|error| named(top.display(), error))?;
        let stat = fstat(&root).map_err(io::Error::from)?;
        let owners = match (options.owner, stat.st_uid) {
            (Some((uid, gid)), _) => Owners::Given(uid, gid),
            (None, _) if has_record => Owners::Given(0, 0),
            (None, 0) => Owners::Host,
            (None, uid) => Owners::Ordinary(uid),
        };
        let xattrs = xattrs::read(&xattrs::Of::Open(root.as_fd()));
        let (xattrs, left_out) = xattrs.map_err(|error| named(top.display(), error))?;
        let mut scan = Scan {
            options,
            owners,
            host: Host::of(root.as_fd()),
            tree: Tree::new(Meta::of_root(0, Default::default())),
            files: DirectoryFiles::new(top.to_owned(), root),
            nodes: vec![ROOT],
            links: BTreeMap::new(),
            left_out: BTreeMap::new(),
            troubles: Vec::new(),
            stranger: None,
        };
        let mut found = Found { xattrs, left_out, ..Found::of(&stat, What::Directory) };
        *scan.tree.meta_mut(ROOT) = scan.meta(&mut found);
        Ok(scan)
    }

    fn levels(&mut self, pool: &ThreadPool, list: &List) -> Result<(), Refusal> {
        let mut level = vec![0];
        while !level.is_empty() {
            let mut next = Vec::new();
            for batch in level.chunks(BATCH) {
                self.batch(batch, &mut next, pool, list)?;
            }
            level = next;
        }
        Ok(())
    }

    /// Lists some directories and takes over what is in them; adds the directories among that to `next`.
    fn batch(
        &mut self,
        batch: &[u32],
        next: &mut Vec<u32>,
        pool: &ThreadPool,
        list: &List,
    ) -> Result<(), Refusal> {
        let files = &self.files;
        let listed: Vec<io::Result<Listed>> =
            pool.install(|| batch.par_iter().map(|&directory| listed(files, directory, list)).collect());
        let mut directories = Vec::new();
        for (listed, &directory) in listed.into_iter().zip(batch) {
            match listed {
                Ok(listed) => directories.push(listed),
                Err(error) => self.trouble(directory, b"", error),
            }
        }
        let all: Vec<(&Listed, &[u8])> = directories
            .iter()
            .flat_map(|listed| listed.names.iter().map(move |name| (listed, &name[..])))
            .collect();
        for some in all.chunks(NAMES) {
            let host = self.host;
            let look = |(listed, name): &(&Listed, &[u8])| look(listed.open.as_fd(), name, &host);
            let found: Vec<io::Result<Found>> = pool.install(|| some.par_iter().map(look).collect());
            for (&(listed, name), found) in some.iter().zip(found) {
                match found {
                    Ok(found) => next.extend(self.take(listed.directory, name, found)?),
                    Err(error) => self.trouble(listed.directory, name, error),
                }
            }
        }
        Ok(())
    }

    /// Takes over a file under its name. Returns the index of a directory.
    fn take(&mut self, directory: u32, name: &[u8], mut found: Found) -> Result<Option<u32>, Refusal> {
        let parent = self.nodes[directory as usize];
        if self.owners.refuses(found.uid) && self.stranger.is_none() {
            self.stranger = Some((self.files.shown(directory, name), found.uid));
        }
        if let Some(&node) = found.link.as_ref().and_then(|link| self.links.get(link)) {
            self.tree.link(parent, name, node)?;
            return Ok(None);
        }
        let meta = self.meta(&mut found);
        let mut index = None;
        let kind = match found.what {
            What::Directory => {
                index = Some(self.files.add_directory(directory, name).ok_or_else(|| too_many(name))?);
                Kind::directory()
            }
            What::File { stamp, runs } => {
                let at = self.tree.names().next().ok_or_else(|| too_many(name))?; // added below
                let id = self.files.add_file(directory, at, stamp).ok_or_else(|| too_many(name))?;
                Kind::File(Data::Content { id: ContentId(id), size: stamp.size, runs })
            }
            What::Symlink(target) => Kind::Symlink(target),
            What::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            What::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
            What::Fifo => Kind::Fifo,
            What::Socket => Kind::Socket,
        };
        let node = self.tree.add(parent, name, Node { meta, kind })?;
        if index.is_some() {
            self.nodes.push(node);
        }
        if let Some(link) = found.link {
            self.links.insert(link, node);
        }
        Ok(index)
    }

    fn meta(&mut self, found: &mut Found) -> Meta {
        for name in found.left_out.drain(..) {
            *self.left_out.entry(name).or_default() += 1;
        }
        let (uid, gid) = self.owners.map(found.uid, found.gid);
        let xattrs: Xattrs = std::mem::take(&mut found.xattrs);
        let mtime = self.options.clamped(found.mtime);
        Meta { mode: found.mode, uid, gid, mtime, xattrs: self.tree.intern(xattrs) }
    }

    fn trouble(&mut self, directory: u32, name: &[u8], error: io::Error) {
        self.troubles.push((self.files.shown(directory, name), error));
    }

    fn done(mut self) -> Result<(Tree, DirectoryFiles, Vec<String>), SurveyError> {
        if let Some((_, first)) = self.troubles.first() {
            let kind = first.kind();
            let named = self.troubles.iter().take(MOST_NAMED).map(|(path, error)| format!("{path}: {error}"));
            let named: Vec<String> = named.collect();
            let more = match self.troubles.len().checked_sub(MOST_NAMED) {
                Some(more @ 1..) => format!("; and {more} more"),
                _ => String::new(),
            };
            let text = match self.troubles.len() {
                1 => named.concat(),
                count => format!("{count} files cannot be read: {}{more}", named.join("; ")),
            };
            return Err(SurveyError::Io(io::Error::new(kind, text)));
        }
        if let Some((path, uid)) = self.stranger {
            return Err(SurveyError::Refused(self.owners.refusal(path, uid)));
        }
        let mut notes: Vec<String> = self.owners.note().into_iter().collect();
        if !self.host.magic {
            let note = "access control lists of device nodes, fifos and sockets are not known without /proc";
            notes.push(note.to_owned());
        }
        let left_out = self.left_out.iter();
        let left_out: Vec<String> =
            left_out.map(|(name, count)| format!("{} (of {count} files)", escaped(name))).collect();
        if !left_out.is_empty() {
            notes.push(format!("attributes that a live directory does not give: {}", left_out.join(", ")));
        }
        self.files.set_names(self.tree.share_names());
        Ok((self.tree, self.files, notes))
    }
}

fn listed(files: &DirectoryFiles, directory: u32, list: &List) -> io::Result<Listed> {
    let open = files.open_directory(directory)?;
    let mut names = list(open.as_fd())?;
    names.sort_unstable();
    Ok(Listed { directory, open, names })
}

fn too_many(name: &[u8]) -> Refusal {
    let reason = "a tree holds at most 2^32 files and 4 GiB of names";
    Refusal::new(RefusalKind::Limit, Spot::new("tree", escaped(name)), reason)
}
