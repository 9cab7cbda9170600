//! The floor: every file of a tree is read and its bytes are written once, in order, into one file, by several threads; then
//! the data is forced to the disk. No writer of images that reads its sources can be much faster.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Bytes of one read and of one write; small files are gathered up to this.
const CHUNK: usize = 1 << 20;

/// A file of the tree, and where its bytes go.
struct Source {
    path: PathBuf,
    size: u64,
    at: u64,
}

/// Copies all data of a tree into one new file.
pub(crate) fn copy(tree: &Path, out: &Path, threads: usize) -> io::Result<()> {
    let sources = sources(tree)?;
    let out = File::create(out)?;
    out.set_len(sources.last().map_or(0, |last| last.at + last.size))?;
    let jobs = jobs(&sources);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; CHUNK];
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            copy_job(job, &out, &mut buffer)?;
        }
        Ok::<(), io::Error>(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    out.sync_data()
}

/// All regular files in order of their paths, each inode once.
fn sources(tree: &Path) -> io::Result<Vec<Source>> {
    let (mut sources, mut seen) = (Vec::new(), BTreeSet::new());
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries = fs::read_dir(&folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let metadata = entry.metadata()?;
                if metadata.nlink() == 1 || seen.insert(metadata.ino()) {
                    sources.push(Source { path: entry.path(), size: metadata.len(), at: 0 });
                }
            }
        }
    }
    sources.iter_mut().fold(0, |at, source| {
        source.at = at;
        at + source.size
    });
    Ok(sources)
}

/// Neighbours that fit into one buffer together; a larger file is a job alone.
fn jobs(sources: &[Source]) -> Vec<&[Source]> {
    let (mut jobs, mut from) = (Vec::new(), 0);
    for to in 1..=sources.len() {
        let full = |last: &Source| last.at + last.size - sources[from].at > CHUNK as u64;
        if to == sources.len() || full(&sources[to]) {
            jobs.push(&sources[from..to]);
            from = to;
        }
    }
    jobs
}

fn copy_job(job: &[Source], out: &File, buffer: &mut [u8]) -> io::Result<()> {
    let start = job[0].at;
    if let [Source { path, size, .. }] = job {
        let file = File::open(path)?;
        for from in (0..*size).step_by(CHUNK) {
            let part = &mut buffer[..(size - from).min(CHUNK as u64) as usize];
            file.read_exact_at(part, from)?;
            out.write_all_at(part, start + from)?;
        }
        return Ok(());
    }
    for Source { path, size, at } in job {
        let from = (at - start) as usize;
        File::open(path)?.read_exact_at(&mut buffer[from..from + *size as usize], 0)?;
    }
    let last = &job[job.len() - 1];
    out.write_all_at(&buffer[..(last.at + last.size - start) as usize], start)
}
