//! Packages become files in a tree: in parallel as far as they are written, one after the other as they are named.

use super::archive::Deb;
use super::database::{ADMIN, Database};
use super::filter::Filter;
use super::place::Placing;
use super::root::Root;
use super::stage::{Rules, Staged, Staging, stage};
use super::{DebError, malformed, named};
use rustix::fd::AsFd;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// How packages are unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The architectures of the tree, its own first.
    pub architectures: Vec<String>,
    /// What is left out: dpkg's `path-exclude` and `path-include`.
    pub filters: Vec<Filter>,
    /// Threads, at least one; the result does not depend on it.
    pub threads: usize,
}

/// A package that was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// Its paths, as in its list.
    pub files: Vec<Vec<u8>>,
}

/// Unpacks packages into a tree and writes them down in its dpkg database, as `dpkg --unpack` does with packages in
/// this order, but for their `preinst` scripts, which are not run ([`super::preinsts`]), and for relations between
/// packages, which are not looked at, except `Replaces`.
///
/// # Errors
/// A package that is malformed, is there already, or has a file that another one has and that it does not replace. The
/// tree is then half unpacked: to be thrown away.
pub fn unpack(root: &Root, packages: &[Deb], options: &Options) -> Result<Vec<Unpacked>, DebError> {
    for deb in packages {
        let (architecture, known) = (&deb.control.architecture, &options.architectures);
        if architecture != "all" && !known.contains(architecture) {
            let reason = format!("a package for {architecture} in a tree for {}", known.join(", "));
            return Err(malformed(&deb.shown, reason));
        }
    }
    for name in ["alternatives", "info", "triggers", "updates"] {
        root.make_directories(format!("{ADMIN}/{name}").as_bytes())?;
    }
    let mut database = Database::read(root)?;
    let mut placed = Vec::new();
    let staging = Staging::new(root)?;
    let overrides = database.overrides.clone();
    let rules = Rules { filters: &options.filters, overrides: &overrides };
    let make = |index| staged(&staging, &packages[index], index, &rules);
    in_order(packages, options.threads, make, |index, staged| {
        let directory = staging.open(index).map_err(|error| named(&packages[index].shown, error))?;
        let placing = Placing::new(root, &mut database, &packages[index], &directory)?;
        placed.push(placing.place(&staged)?);
        Ok(())
    })?;
    if let [_, _, ..] = &options.architectures[..] {
        let text: String = options.architectures.iter().map(|name| format!("{name}\n")).collect();
        root.write(format!("{ADMIN}/arch").as_bytes(), text.as_bytes(), 0o644)?;
    }
    database.write(root)?;
    drop(staging);
    let unpacked = |package: &super::database::Package| Unpacked {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        files: package.files.clone(),
    };
    Ok(placed.into_iter().map(|index| unpacked(database.package(index))).collect())
}

fn staged(staging: &Staging, deb: &Deb, index: usize, rules: &Rules) -> Result<Staged, DebError> {
    let directory = staging.make(index).map_err(|error| named(&deb.shown, error))?;
    stage(deb, directory.as_fd(), rules)
}

/// Makes something of each package in parallel, the largest first, and takes it in the order of the packages. The error
/// is that of the first package in this order that fails.
fn in_order<T: Send>(
    packages: &[Deb],
    threads: usize,
    make: impl Fn(usize) -> Result<T, DebError> + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), DebError>,
) -> Result<(), DebError> {
    let mut queue: Vec<usize> = (0..packages.len()).collect();
    queue.sort_by_key(|&index| (std::cmp::Reverse(packages[index].size), index));
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let (sender, receiver) = mpsc::channel();
    let worker = |sender: mpsc::Sender<(usize, Result<T, DebError>)>| {
        while let Some(&index) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            // What comes behind a package that failed is not wanted any more.
            if index > failed.load(Ordering::Relaxed) {
                continue;
            }
            let made = make(index);
            if made.is_err() {
                failed.fetch_min(index, Ordering::Relaxed);
            }
            if sender.send((index, made)).is_err() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, packages.len().max(1)) {
            let (sender, worker) = (sender.clone(), &worker);
            scope.spawn(move || worker(sender));
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut wanted = 0;
        for (index, made) in receiver {
            waiting.insert(index, made);
            while let Some(made) = waiting.remove(&wanted) {
                let taken = made.and_then(|made| take(wanted, made));
                if let Err(error) = taken {
                    failed.store(0, Ordering::Relaxed);
                    return Err(error);
                }
                wanted += 1;
            }
        }
        Ok(())
    })
}
