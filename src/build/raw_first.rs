//! A disk that is changed after it is finished: its raw file is written first, into a directory of its own beside the
//! outputs; all formats are made of what it holds then.
//!
//! ```text
//! lay --> raw file --(a script changes it)--> its bytes --> containers --> outputs
//! ```

use super::{BuildError, Report, Request, Stage, place_images, too_large, written};
use crate::compose::{compose_disk, contain};
use crate::emit::{self, Calls, Progress};
use crate::plan::{Fit, JOINED, Pair, Run, fit, plan, told};
use crate::survey::{Survey, images, raw_disk};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::{Layout, ReadAt, Reader};
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A raw disk that nobody has got yet. Its file goes when this is dropped.
#[derive(Debug)]
pub struct RawFirst {
    fit: Fit,
    directory: PathBuf,
    /// Name of the file.
    file: String,
    calls: Calls,
}

impl RawFirst {
    /// The directory, which holds the disk and nothing else.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The disk's name in it: that of KIWI's raw file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The disk.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.file)
    }
}

impl Drop for RawFirst {
    fn drop(&mut self) {
        // What cannot be taken away does no harm.
        let _ = fs_err::remove_dir_all(&self.directory);
    }
}

/// Writes the raw disk of an image. `stage` hears of each stage when it begins.
pub fn write_raw(
    request: &Request<'_>,
    survey: Survey,
    progress: &dyn Progress,
    stage: &mut dyn FnMut(Stage),
) -> Result<RawFirst, BuildError> {
    let Survey { tree, mut contents, .. } = survey;
    let images = images(request.image, &mut contents)?;
    let plan = plan(request.image, request.identity)?;
    stage(Stage::Fit);
    let mut fit = fit(&plan, tree, &contents)?;
    stage(Stage::Compose);
    place_images(&mut fit, request.identity, &contents, &images)?;
    let layout = compose_disk(&mut fit, request.identity)?;
    too_large(request, &fit)?;
    let (directory, file) = scratch(request, &fit).map_err(emit::EmitError::Io).map_err(BuildError::Emit)?;
    let mut raw = RawFirst { fit, directory, file, calls: Calls::default() };
    stage(Stage::Emit);
    let output = emit::Output { layout, path: raw.path() };
    // Nobody keeps it.
    let options = emit::Options { sync: false, ..request.emit.clone() };
    let (_, calls) = emit::emit(&[output], &contents, &options, progress).map_err(BuildError::Emit)?;
    raw.calls = calls;
    Ok(raw)
}

/// Makes the outputs of what the raw disk holds by now.
///
/// # Errors
/// It is no file any more, or has another length: a table's backup and the last partition lie by it.
pub fn finish_raw(
    request: &Request<'_>,
    raw: &RawFirst,
    progress: &dyn Progress,
    stage: &mut dyn FnMut(Stage),
) -> Result<Report, BuildError> {
    let (layout, contents) = raw_disk(&raw.path())?;
    if layout.len() != raw.fit.len {
        let reason = format!("a script changed its length from {} to {} bytes", raw.fit.len, layout.len());
        let refusal = Refusal::new(RefusalKind::Invalid, Spot::new("disk", raw.file.clone()), reason);
        return Err(refusal.hint("what writes into a disk must not cut it: dd conv=notrunc").into());
    }
    stage(Stage::Compose);
    let mut fit = raw.fit.clone();
    let reader = Reader::new(&layout, &contents);
    for pair in &mut fit.clones {
        pair.differs =
            Some(differs(&layout, &reader, pair).map_err(emit::EmitError::Io).map_err(BuildError::Emit)?);
    }
    let composed = contain(&fit, &layout, request.identity)?;
    stage(Stage::Emit);
    let (outputs, calls) = written(request, composed, &contents, progress)?;
    Ok(Report { fit, outputs, calls: raw.calls + calls })
}

/// Where a clone and its origin differ on the disk as it is now.
fn differs(layout: &Layout, disk: &dyn ReadAt, pair: &Pair) -> io::Result<Vec<Run>> {
    const WINDOW: u64 = 1 << 20;
    let [one, other] = [&pair.origin, &pair.clone];
    let len = one.len.min(other.len);
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut buffers = [(); 2].map(|()| vec![0; WINDOW as usize]);
    for at in (0..len).step_by(WINDOW as usize) {
        let size = WINDOW.min(len - at);
        let [one, other] = [one.start + at, other.start + at];
        if [one, other].iter().all(|&start| layout.extents_in(start..start + size).next().is_none()) {
            continue;
        }
        let [ones, others] = &mut buffers;
        let (ones, others) = (&mut ones[..size as usize], &mut others[..size as usize]);
        disk.read_exact_at(one, ones)?;
        disk.read_exact_at(other, others)?;
        for (position, _) in
            (at..).zip(ones.iter().zip(others.iter())).filter(|(_, (one, other))| one != other)
        {
            match found.last_mut() {
                Some(last) if position - last.end < JOINED => last.end = position + 1,
                _ => found.push(position..position + 1),
            }
        }
    }
    found.extend(Some(len..one.len.max(other.len)).filter(|rest| !rest.is_empty()));
    Ok(told(&found))
}

/// A directory of its own beside the outputs, where there is room for them; and the name of the disk.
fn scratch(request: &Request<'_>, fit: &Fit) -> io::Result<(PathBuf, String)> {
    let named = fit.plan.outputs.first().map_or(fit.plan.name.as_str(), |output| output.file.as_str());
    let stem = named.rsplit_once('.').map_or(named, |(stem, _)| stem);
    let file = format!("{stem}.raw");
    for number in 0..1000 {
        let directory = request.directory.join(format!(".{file}.first-{number}"));
        #[allow(clippy::disallowed_methods)] // the error gets its path below
        match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok((directory, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", directory.display())));
            }
        }
    }
    let message = format!("{}: too many builds at once", request.directory.display());
    Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
}
