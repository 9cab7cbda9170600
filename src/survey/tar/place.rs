//! Members become a tree.

use super::files::{Archive, OpenMember, Stored, TarFiles};
use super::members::{Member, MemberKind};
use super::sparse::Map;
use super::{FILES_MAX, HELD_MAX, Options, PATH_MAX, SurveyError, read_error, refusal};
use crate::survey::holes;
use diskwright_formats::bytes::escaped;
use diskwright_formats::layout::ContentId;
use diskwright_fstools::tree::{Data, Kind, Meta, NAME_MAX, Node, NodeId, ROOT, Time, Tree, components};
use std::collections::BTreeMap;
use std::io;

pub(super) struct Placing<'a> {
    options: &'a Options,
    tree: Tree,
    files: Vec<Stored>,
    sparse: BTreeMap<u32, Box<[super::sparse::Segment]>>,
    text_acls: u64,
    /// Bytes of names and the like.
    held: u64,
    most_files: usize,
    most_held: u64,
}

impl<'a> Placing<'a> {
    pub(super) fn new(options: &'a Options) -> Placing<'a> {
        let tree = Tree::new(absent(options));
        Placing {
            options,
            tree,
            files: Vec::new(),
            sparse: BTreeMap::new(),
            text_acls: 0,
            held: 0,
            most_files: FILES_MAX,
            most_held: HELD_MAX,
        }
    }

    /// Puts a member in its place.
    pub(super) fn place(&mut self, member: Member, archive: &Archive) -> Result<(), SurveyError> {
        let refuse = |reason: String| refusal(&archive.shown, &member.path, member.offset, reason);
        check_path(&member.path, "name").map_err(refuse)?;
        self.hold(&member).map_err(refuse)?;
        self.text_acls += u64::from(member.has_text_acl);
        let names: Vec<&[u8]> = components(&member.path).collect();
        let Some((last, parents)) = names.split_last() else {
            let MemberKind::Directory = member.kind else {
                return Err(refuse("the root of the archive is not a directory".to_owned()));
            };
            let meta = self.meta(&member);
            *self.tree.meta_mut(ROOT) = meta;
            return Ok(());
        };
        let parent = self.parent(parents).map_err(refuse)?;
        let old = self.tree.child(parent, last);
        if let MemberKind::HardLink = member.kind {
            let target = self.target(&member.link).map_err(refuse)?;
            if old == Some(target) {
                return Ok(());
            }
            self.make_room(parent, last, old).map_err(refuse)?;
            return self.tree.link(parent, last, target).map_err(|error| refuse(error.reason));
        }
        let meta = self.meta(&member);
        let is_directory = |node| matches!(self.tree.node(node).kind, Kind::Directory(_));
        if let (Some(old), MemberKind::Directory) = (old.filter(|&old| is_directory(old)), &member.kind) {
            *self.tree.meta_mut(old) = meta;
            return Ok(());
        }
        let kind = self.kind(&member, archive)?;
        self.make_room(parent, last, old).map_err(refuse)?;
        self.tree.add(parent, last, Node { meta, kind }).map_err(|error| refuse(error.reason))?;
        Ok(())
    }

    /// Counts what a member makes us hold.
    fn hold(&mut self, member: &Member) -> Result<(), String> {
        let xattrs = member.xattrs.iter().map(|(name, value)| name.len() + value.len());
        let map = match &member.kind {
            MemberKind::File { map: Some(map), .. } => size_of_val(&*map.segments),
            _ => 0,
        };
        let held = member.path.len() + member.link.len() + xattrs.sum::<usize>() + map;
        self.held = self.held.saturating_add(held as u64);
        match (self.tree.nodes() > self.most_files, self.held > self.most_held) {
            (true, _) => Err(format!("an archive of more than {} files", self.most_files)),
            (_, true) => {
                Err(format!("an archive with more than {} bytes of names and attributes", self.most_held))
            }
            _ => Ok(()),
        }
    }

    /// The directory at a path; it and those above are made where they are missing.
    fn parent(&mut self, names: &[&[u8]]) -> Result<NodeId, String> {
        let mut parent = ROOT;
        for (depth, name) in names.iter().enumerate() {
            let path = || escaped(&names[..=depth].join(&b'/'));
            parent = match self.tree.child(parent, name) {
                None => {
                    let node = Node { meta: absent(self.options), kind: Kind::directory() };
                    self.tree.add(parent, name, node).map_err(|error| error.reason)?
                }
                Some(next) => match &self.tree.node(next).kind {
                    Kind::Directory(_) => next,
                    Kind::Symlink(target) => {
                        return Err(format!(
                            "its path leads through a symlink: {} -> {}",
                            path(),
                            escaped(target)
                        ));
                    }
                    other => return Err(format!("its path leads through a {}: {}", other.name(), path())),
                },
            };
        }
        Ok(parent)
    }

    /// The file that a hard link names.
    fn target(&self, link: &[u8]) -> Result<NodeId, String> {
        check_path(link, "target")?;
        let target = self.tree.lookup(link);
        let target = target.ok_or_else(|| {
            format!("a hard link to what the archive does not have before it: {}", escaped(link))
        })?;
        match &self.tree.node(target).kind {
            Kind::Directory(_) => Err(format!("a hard link to a directory: {}", escaped(link))),
            _ => Ok(target),
        }
    }

    /// Takes away what has the name: the last member wins.
    fn make_room(&mut self, parent: NodeId, name: &[u8], old: Option<NodeId>) -> Result<(), String> {
        let Some(old) = old else { return Ok(()) };
        if self.tree.children(old).len() > 0 {
            return Err("it would take the place of a directory that has files".to_owned());
        }
        self.tree.remove(parent, name);
        Ok(())
    }

    fn kind(&mut self, member: &Member, archive: &Archive) -> Result<Kind, SurveyError> {
        Ok(match &member.kind {
            MemberKind::Directory => Kind::directory(),
            MemberKind::File { at, stored, map } => self.file(archive, *at, *stored, map.as_ref())?,
            MemberKind::Symlink => Kind::Symlink(member.link.clone().into()),
            MemberKind::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
            MemberKind::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
            MemberKind::Fifo => Kind::Fifo,
            MemberKind::HardLink => {
                let reason = "a hard link where a file is made";
                return Err(refusal(&archive.shown, &member.path, member.offset, reason));
            }
        })
    }

    fn file(
        &mut self,
        archive: &Archive,
        at: u64,
        stored: u64,
        map: Option<&Map>,
    ) -> Result<Kind, SurveyError> {
        let size = map.map_or(stored, |map| map.size);
        let file = Stored { at, size };
        let runs = {
            let segments = map.map(|map| &map.segments[..]);
            let member = OpenMember { archive, stored: &file, segments };
            let read = |offset: u64, buffer: &mut [u8]| member.read(offset, buffer);
            match map {
                None => holes::runs(size, [Ok(0..size)], read),
                Some(map) => holes::runs(size, map.ranges().map(io::Result::Ok), read),
            }
        };
        let runs = runs.map_err(|error| read_error(archive, error))?;
        let index = self.files.len() as u32;
        self.files.push(file);
        if let Some(map) = map {
            self.sparse.insert(index, map.segments.clone());
        }
        Ok(Kind::File(Data::Content { id: ContentId(index), size, runs }))
    }

    fn meta(&mut self, member: &Member) -> Meta {
        let (uid, gid) = self.options.owner.unwrap_or((member.uid, member.gid));
        let xattrs = self.tree.intern(member.xattrs.clone());
        Meta { mode: member.mode, uid, gid, mtime: self.options.clamped(member.mtime), xattrs }
    }

    pub(super) fn done(self, archive: Archive) -> (Tree, TarFiles, Vec<String>) {
        let Placing { mut tree, files, sparse, text_acls, .. } = self;
        tree.renumber();
        let note = (text_acls > 0).then(|| {
            format!("access control lists that the archive has only as text (tar --acls) are left out: {text_acls} files")
        });
        (tree, TarFiles { archive, files, sparse }, note.into_iter().collect())
    }
}

/// A directory that the archive leaves out.
fn absent(options: &Options) -> Meta {
    let (uid, gid) = options.owner.unwrap_or((0, 0));
    Meta { uid, gid, ..Meta::of_root(0o755, Time::seconds(options.epoch)) }
}

/// Refuses paths that are not ways down from the root of the archive.
fn check_path(path: &[u8], what: &str) -> Result<(), String> {
    let long = || path.split(|&byte| byte == b'/').find(|name| name.len() > NAME_MAX);
    let problem = match path {
        [] => format!("a {what} of no bytes"),
        [b'/', ..] => format!("an absolute {what}: {}", escaped(path)),
        _ if path.len() > PATH_MAX => format!("a {what} of {} bytes: at most {PATH_MAX}", path.len()),
        _ if path.contains(&0) => format!("a {what} with NUL in it: {}", escaped(path)),
        _ if path.split(|&byte| byte == b'/').any(|name| name == b"..") => {
            format!("a {what} with `..` in it: {}", escaped(path))
        }
        _ => match long() {
            Some(name) => format!("a component of its {what} has {} bytes: at most {NAME_MAX}", name.len()),
            None => return Ok(()),
        },
    };
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::tar::files::Archive;
    use diskwright_fstools::tree::Xattrs;
    use std::fs::File;

    fn member(number: usize) -> Member {
        Member {
            offset: 512 * number as u64,
            path: format!("directory-{number}/fifo").into_bytes(),
            link: Vec::new(),
            kind: MemberKind::Fifo,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Time::default(),
            xattrs: Xattrs::from([(b"user.a".to_vec(), vec![number as u8; 1000])]),
            has_text_acl: false,
        }
    }

    #[test]
    fn what_an_archive_makes_us_hold_is_bounded() {
        let options = Options { epoch: 0, owner: None, work_dir: "/".into(), threads: 1 };
        let file = File::from(
            rustix::fs::openat(
                rustix::fs::CWD,
                "/dev/null",
                rustix::fs::OFlags::RDONLY,
                rustix::fs::Mode::empty(),
            )
            .unwrap(),
        );
        let archive = Archive { file, shown: "a.tar".to_owned(), stamp: None, len: 0 };
        for (most_files, most_held, expected) in [
            (20, u64::MAX, "tar: a.tar: directory-10/fifo, at byte 5120: an archive of more than 20 files"),
            (
                usize::MAX,
                5000,
                "tar: a.tar: directory-4/fifo, at byte 2048: an archive with more than 5000 bytes of names",
            ),
        ] {
            let mut placing = Placing { most_files, most_held, ..Placing::new(&options) };
            let refused = (0..100).find_map(|number| placing.place(member(number), &archive).err()).unwrap();
            assert!(refused.to_string().starts_with(expected), "{refused}");
        }
    }
}
