//! Staged files get their names, one package after the other, by dpkg's rules (dpkg's `tarobject`).

use super::archive::Deb;
use super::database::{ADMIN, Database};
use super::root::{Root, look, remove, split};
use super::stage::{Staged, StagedKind, StagedMember, discard, owner, times};
use super::{DebError, malformed};
use diskwright_formats::bytes::escaped;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::fs::{chmodat, chownat, mkdirat, readlinkat, renameat, utimensat};
use rustix::io::Errno;
use std::io::Read;

/// Behind the name of a conffile that was unpacked and not configured.
const NEW: &[u8] = b".dpkg-new";
/// Most symlinks from a conffile to the file that it is, as in dpkg.
const LINKS_MAX: usize = 25;

pub(super) struct Placing<'a> {
    root: &'a Root,
    database: &'a mut Database,
    deb: &'a Deb,
    /// The directory of its staged files.
    staging: &'a OwnedFd,
    /// The package in the database.
    index: usize,
    /// The directory of the last path, and its path.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Conffiles that another package keeps.
    obsolete: Vec<Vec<u8>>,
}

/// What a conflict ends in.
enum Claim {
    /// The path is the package's.
    Ours,
    /// It stays another package's.
    Theirs,
    /// It is there already, from a package of the same name for another architecture.
    Shared,
}

impl<'a> Placing<'a> {
    pub(super) fn new(
        root: &'a Root,
        database: &'a mut Database,
        deb: &'a Deb,
        staging: &'a OwnedFd,
    ) -> Result<Placing<'a>, DebError> {
        let index = database.add(&deb.control).map_err(|reason| malformed(&deb.shown, reason))?;
        Ok(Placing { root, database, deb, staging, index, parent: None, obsolete: Vec::new() })
    }

    /// Places all members; gives the number of the package in the database.
    pub(super) fn place(mut self, staged: &Staged) -> Result<usize, DebError> {
        for trigger in self.deb.control.triggers.iter().filter(|trigger| !trigger.interest) {
            // dpkg forgets who waits as long as the package is not there; it asks again when it configures it.
            self.activate(trigger.name.as_bytes(), false, true);
        }
        for member in &staged.members {
            self.member(member)?;
        }
        let info = format!("{ADMIN}/info");
        let directory = self.root.directory(info.as_bytes());
        let directory = directory.map_err(|error| self.root.failed(info.as_bytes(), error))?;
        for (name, number) in &staged.control {
            let moved = renameat(self.staging, number.to_string(), &directory, &name[..]);
            moved.map_err(|error| self.root.failed(format!("{info}/{name}").as_bytes(), error))?;
        }
        self.database.set_conffiles(self.index, &self.deb.control, &self.obsolete);
        self.database.triggers.register(&self.deb.control);
        self.database.write_list(self.root, self.index)?;
        Ok(self.index)
    }

    fn refused(&self, path: &[u8], reason: impl std::fmt::Display) -> DebError {
        malformed(&self.deb.shown, format!("{}: {reason}", escaped(path)))
    }

    /// Sets off triggers; of a path those of the directories above it, too, if `above`.
    fn activate(&mut self, trigger: &[u8], awaited: bool, above: bool) {
        self.database.activate(self.index, trigger, awaited);
        let slashes =
            (1..trigger.len()).rev().filter(|&at| trigger[0] == b'/' && trigger[at] == b'/' && above);
        for at in slashes {
            self.database.activate(self.index, &trigger[..at], awaited);
        }
    }

    fn member(&mut self, member: &StagedMember) -> Result<(), DebError> {
        let is_conffile = self.is_conffile(member)?;
        let used = self.used_name(&member.path)?;
        if self.database.triggers.has_files() {
            self.activate(&used, true, false);
        }
        let used = match is_conffile {
            true => self.dereferenced(used)?,
            false => used,
        };
        if self.is_there(member, &used)? {
            return self.listed(member);
        }
        let (parent, name) = split(&used);
        let here = match self.enter(parent) {
            Ok(()) => self.look(name, &used)?,
            // What a filter left out may lie below what it left out.
            Err(Errno::NOENT | Errno::NOTDIR) if member.excluded => None,
            Err(error) => return Err(self.root.failed(parent, error)),
        };
        match self.claim(member, here.as_ref())? {
            Claim::Theirs => {
                if is_conffile {
                    self.obsolete.push(member.path.clone());
                }
                discard(self.staging.as_fd(), member.number).map_err(|error| self.root.failed(&used, error))
            }
            _ if member.excluded => self.listed(member),
            Claim::Shared => {
                self.check_shared(member, name, &used)?;
                self.listed(member)
            }
            Claim::Ours => {
                self.put(member, name, here, is_conffile).map_err(|error| match error {
                    Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => {
                        self.refused(&used, "the tree has a directory where the package has none")
                    }
                    error => self.root.failed(&used, error),
                })?;
                self.take_over(&member.path);
                self.database.own(self.index, member.path.clone());
                Ok(())
            }
        }
    }

    /// Nothing is placed; the path is the package's all the same.
    fn listed(&mut self, member: &StagedMember) -> Result<(), DebError> {
        self.database.own(self.index, member.path.clone());
        discard(self.staging.as_fd(), member.number).map_err(|error| self.root.failed(&member.path, error))
    }

    fn is_conffile(&self, member: &StagedMember) -> Result<bool, DebError> {
        let conffile = self.deb.control.conffiles.iter().find(|conffile| conffile.path == member.path);
        match conffile {
            Some(conffile) if conffile.remove_on_upgrade => {
                Err(self.refused(&member.path, "a conffile that is to be removed is in the package"))
            }
            conffile => Ok(conffile.is_some() && member.kind != StagedKind::Directory),
        }
    }

    /// The name that diversions give a path.
    fn used_name(&self, path: &[u8]) -> Result<Vec<u8>, DebError> {
        let diversions = &self.database.diversions;
        if let Some(diversion) = diversions.iter().find(|diversion| diversion.to == path) {
            let reason = format!("it is the diverted version of {}", escaped(&diversion.from));
            return Err(self.refused(path, reason));
        }
        let name = &self.deb.control.name;
        let diversion = diversions.iter().find(|it| it.from == path && it.package.as_ref() != Some(name));
        Ok(diversion.map_or(path, |diversion| &diversion.to).to_vec())
    }

    /// The file that a conffile is, through symlinks at its place.
    fn dereferenced(&self, mut path: Vec<u8>) -> Result<Vec<u8>, DebError> {
        for _ in 0..LINKS_MAX {
            let (parent, name) = split(&path);
            let target = self.root.directory(parent).and_then(|parent| readlinkat(&parent, name, Vec::new()));
            path = match target {
                Ok(target) if target.as_bytes().starts_with(b"/") => target.into_bytes(),
                Ok(target) => [parent, b"/", target.as_bytes()].concat(),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::INVAL) => return Ok(path),
                Err(error) => return Err(self.root.failed(&path, error)),
            };
        }
        Err(self.refused(&path, "too many symlinks"))
    }

    /// Whether nothing is to be done: a directory, or a symlink to a directory, is there.
    fn is_there(&self, member: &StagedMember, used: &[u8]) -> Result<bool, DebError> {
        let failed = |error: Errno| self.root.failed(used, error);
        match &member.kind {
            StagedKind::Directory => self.root.is_directory(used).map_err(failed),
            StagedKind::Symlink(target) => {
                let (parent, name) = split(used);
                let parent = match self.root.directory(parent) {
                    Ok(parent) => parent,
                    Err(Errno::NOENT | Errno::NOTDIR) => return Ok(false),
                    Err(error) => return Err(failed(error)),
                };
                let Some(here) = look(parent.as_fd(), name).map_err(failed)? else { return Ok(false) };
                match FileType::from_raw_mode(here.st_mode) {
                    FileType::Directory => Ok(true),
                    FileType::Symlink => Ok(self.leads_to_the_same(used, target)),
                    _ => Ok(false),
                }
            }
            _ => Ok(false),
        }
    }

    /// Whether a symlink that is there and one that is to come lead to one directory.
    fn leads_to_the_same(&self, used: &[u8], target: &[u8]) -> bool {
        let target = match target {
            [b'/', ..] => target.to_vec(),
            _ => [split(used).0, b"/", target].concat(),
        };
        let directory = |path: &[u8]| {
            let stat = self.root.stat(path).ok()?;
            FileType::from_raw_mode(stat.st_mode).is_dir().then_some((stat.st_dev, stat.st_ino))
        };
        directory(used).is_some_and(|old| directory(&target) == Some(old))
    }

    /// Opens the directory of the next path, unless it is open.
    fn enter(&mut self, parent: &[u8]) -> Result<(), Errno> {
        if self.parent.as_ref().is_none_or(|(path, _)| path != parent) {
            self.parent = Some((parent.to_vec(), self.root.directory(parent)?));
        }
        Ok(())
    }

    fn look(&self, name: &[u8], used: &[u8]) -> Result<Option<Stat>, DebError> {
        let Some((_, parent)) = &self.parent else { return Ok(None) };
        look(parent.as_fd(), name).map_err(|error| self.root.failed(used, error))
    }

    /// Whose the path is, if others have it.
    fn claim(&self, member: &StagedMember, here: Option<&Stat>) -> Result<Claim, DebError> {
        let mut claim = Claim::Ours;
        let ours = self.database.package(self.index);
        let diversion = self.database.diversions.iter().find(|diversion| diversion.from == member.path);
        let diverting = diversion.and_then(|diversion| diversion.package.as_ref());
        for &index in self.database.owners(&member.path) {
            let other = self.database.package(index);
            if other.name == ours.name && other.is_same && ours.is_same {
                if here.is_some() && other.version == ours.version {
                    claim = Claim::Shared;
                }
                continue;
            }
            let diverted = diverting.is_some_and(|name| *name == other.name || *name == ours.name);
            if diverted || here.is_none() && member.kind == StagedKind::Directory {
                continue;
            }
            if other.state == super::database::State::ConfigFiles || ours.replaces(other) {
                continue;
            }
            if other.replaces(ours) {
                return Ok(Claim::Theirs);
            }
            let reason = format!("it is also in the package {} {}", other.name, other.version);
            return Err(self.refused(&member.path, reason));
        }
        Ok(claim)
    }

    /// A file of several architectures must be the same in all of them.
    fn check_shared(&self, member: &StagedMember, name: &[u8], used: &[u8]) -> Result<(), DebError> {
        let Some((_, parent)) = &self.parent else { return Ok(()) };
        let is_conffile = self.deb.control.conffiles.iter().any(|conffile| conffile.path == member.path);
        let candidates = [[name, NEW].concat(), name.to_vec()];
        let name = candidates
            .iter()
            .skip(usize::from(!is_conffile))
            .find(|name| matches!(look(parent.as_fd(), name), Ok(Some(_))));
        let Some(name) = name else { return Ok(()) };
        let same = match &member.kind {
            StagedKind::File => same_bytes(parent, name, self.staging, member.number.to_string().as_bytes()),
            StagedKind::Symlink(target) => readlinkat(parent, &name[..], Vec::new())
                .map(|old| old.as_bytes() == target)
                .map_err(Into::into),
            _ => Ok(true),
        };
        match same.map_err(|error| self.root.failed(used, error))? {
            true => Ok(()),
            false => Err(self.refused(used, "it differs from that of the package for another architecture")),
        }
    }

    /// Puts a staged file in its place.
    fn put(
        &mut self,
        member: &StagedMember,
        name: &[u8],
        here: Option<Stat>,
        is_conffile: bool,
    ) -> Result<(), Errno> {
        let Some((_, parent)) = &self.parent else { return Err(Errno::NOENT) };
        if is_conffile {
            return renameat(self.staging, member.number.to_string(), parent, [name, NEW].concat());
        }
        if member.kind != StagedKind::Directory {
            renameat(self.staging, member.number.to_string(), parent, name)?;
            if let StagedKind::Symlink(_) = member.kind {
                self.parent = None; // what was opened may be reached in another way now
            }
            return Ok(());
        }
        if here.is_some() {
            remove(parent.as_fd(), name)?;
        }
        let (uid, gid) = owner(member.meta);
        mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
        chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        chmodat(parent, name, Mode::from_raw_mode(u32::from(member.meta.mode)), AtFlags::empty())?;
        utimensat(parent, name, &times(member.mtime), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The path is no longer in the lists of other packages.
    fn take_over(&mut self, path: &[u8]) {
        let ours = self.database.package(self.index);
        let diversion = self.database.diversions.iter().find(|diversion| diversion.from == path);
        let diverting = diversion.and_then(|diversion| diversion.package.clone());
        if diverting.as_ref() == Some(&ours.name) {
            return;
        }
        let others = self.database.owners(path).iter().copied().filter(|&index| {
            let name = &self.database.package(index).name;
            *name != ours.name && diverting.as_ref() != Some(name)
        });
        for index in others.collect::<Vec<_>>() {
            self.database.disown(index, path);
        }
    }
}

fn same_bytes(parent: &OwnedFd, name: &[u8], staging: &OwnedFd, staged: &[u8]) -> std::io::Result<bool> {
    let open = |directory: &OwnedFd, name: &[u8]| {
        let flags = rustix::fs::OFlags::RDONLY
            | rustix::fs::OFlags::NOFOLLOW
            | rustix::fs::OFlags::NONBLOCK
            | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::openat(directory, name, flags, Mode::empty()).map(std::fs::File::from)
    };
    let (one, other) = (open(parent, name)?, open(staging, staged)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (std::io::BufReader::new(one).bytes(), std::io::BufReader::new(other).bytes());
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(true),
            (a, b) if a != b => return Ok(false),
            _ => {}
        }
    }
}
