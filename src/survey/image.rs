//! Images that partitions are made of: a file with the contents of a partition, raw or in a container.

use super::contents::{Part, Surveyed};
use super::holes::data;
use super::stamp::Stamp;
use super::{SurveyError, named};
use crate::inspect::ImageFile;
use crate::model::{Contents as Inside, Image, ImageFormat, ImageSource, Target};
use diskwright_formats::fault::{Damage, Refusal, RefusalKind, Spot};
use diskwright_formats::layout::{
    Content, ContentError, ContentId, Extent, Layout, OneFile, ReadAt, Reader, Source, What,
};
use diskwright_formats::registry::DISKS;
use diskwright_fstools::registry::ROWS;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::fstat;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The images of a disk's partitions, over the contents that they were added to.
#[derive(Default)]
pub struct Images(BTreeMap<PathBuf, Layout>);

impl Images {
    /// The bytes of one.
    pub fn get(&self, path: &Path) -> Option<&Layout> {
        self.0.get(path)
    }
}

/// What is in an image: its length, and the file system, if it is a known one.
pub fn image_source(path: &Path) -> Result<ImageSource, SurveyError> {
    let file = ImageFile::open(path)?;
    let layout = disk(path, &file)?;
    let contents = OneFile(&file);
    let inside = Reader::new(&layout, &contents);
    let row = ROWS.iter().find(|row| (row.recognise)(&inside));
    let opened = row.map(|row| Ok((row, (row.open)(&inside)?))).transpose();
    let opened = opened.map_err(|damage| damaged(path, &damage))?;
    let format = opened.map(|(row, opened)| {
        let label = Some(opened.label).filter(|label| !label.is_empty());
        let label = label.map(|label| String::from_utf8_lossy(&label).into_owned());
        ImageFormat { name: row.name.to_owned(), id: opened.id, label }
    });
    Ok(ImageSource { path: path.to_owned(), len: layout.len(), format })
}

/// Adds the images of an image's partitions to the contents of its tree.
pub fn images(image: &Image, contents: &mut Surveyed) -> Result<Images, SurveyError> {
    let mut images = Images::default();
    let Target::Disk(disk) = &image.target else { return Ok(images) };
    for partition in &disk.partitions {
        let Inside::Image { source, .. } = &partition.contents else { continue };
        if images.get(&source.path).is_none() {
            let layout = add(source, contents)?;
            images.0.insert(source.path.clone(), layout);
        }
    }
    Ok(images)
}

/// The bytes of a raw disk, whatever they begin with, and what they are read from.
pub fn raw_disk(path: &Path) -> Result<(Layout, Surveyed), SurveyError> {
    // Who made the file must not lead us elsewhere.
    let metadata = fs_err::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(refusal(path, "it is no file any more".to_owned()).into());
    }
    let file = fs_err::File::open(path)?;
    let stamp = Stamp::of(&fstat(file.file()).map_err(|error| named(path.display(), error))?);
    let layout =
        of_data(file.file(), stamp.size, ContentId(0)).map_err(|error| named(path.display(), error))?;
    Ok((layout, Surveyed::of(ImagePart { path: path.to_owned(), stamp })))
}

/// A whole file without its holes.
fn of_data(file: &File, len: u64, id: ContentId) -> io::Result<Layout> {
    let found = data(file, len)?;
    let extent = |run: std::ops::Range<u64>| Extent {
        start: run.start,
        len: run.end - run.start,
        source: Source::Content(id, run.start),
        what: What::new(&"image"),
    };
    let extents = found.into_iter().filter(|run| !run.is_empty()).map(extent).collect();
    Ok(Layout::new(len, extents, vec![]).expect("runs of one file"))
}

fn add(source: &ImageSource, contents: &mut Surveyed) -> Result<Layout, SurveyError> {
    let file = fs_err::File::open(&source.path)?;
    let stamp = Stamp::of(&fstat(file.file()).map_err(|error| named(source.path.display(), error))?);
    let id = ContentId(contents.append(Surveyed::of(ImagePart { path: source.path.clone(), stamp }))?);
    let image = ImageFile::open(&source.path)?;
    let layout = disk(&source.path, &image)?;
    if layout.len() != source.len {
        let reason = format!("it changed: it had {} bytes and has {}", source.len, layout.len());
        return Err(refusal(&source.path, reason).into());
    }
    let raw = layout.extents().count() == 1 && layout == Layout::of_content(ContentId(0), stamp.size);
    if raw {
        let layout = of_data(file.file(), stamp.size, id);
        return layout.map_err(|error| named(source.path.display(), error).into());
    }
    let extent = |one: diskwright_formats::layout::Placed<'_>| Extent {
        start: one.start,
        len: one.len,
        source: match one.source {
            Source::Content(_, at) => Source::Content(id, at),
            other => other,
        },
        what: What::new(&"image"),
    };
    let extents = layout.extents().map(extent).collect();
    Ok(Layout::new(layout.len(), extents, vec![]).expect("extents of a layout"))
}

/// What its container holds.
fn disk(path: &Path, file: &dyn ReadAt) -> Result<Layout, SurveyError> {
    let row = DISKS.iter().find(|row| (row.recognise)(file)).expect("raw, the last row, takes everything");
    let opened = (row.open)(file).map_err(|damage| damaged(path, &damage))?;
    match opened.damage.first() {
        Some(damage) => Err(damaged(path, damage)),
        None => Ok(opened.layout),
    }
}

fn damaged(path: &Path, damage: &Damage) -> SurveyError {
    refusal(path, damage.to_string()).into()
}

fn refusal(path: &Path, reason: String) -> Refusal {
    Refusal::new(RefusalKind::Invalid, Spot::new("image", path.display().to_string()), reason)
}

/// One file, opened again when its bytes are needed.
struct ImagePart {
    path: PathBuf,
    stamp: Stamp,
}

impl ImagePart {
    fn error(&self, error: io::Error) -> ContentError {
        ContentError { path: self.path.display().to_string(), error }
    }

    fn check(&self, file: &File) -> io::Result<()> {
        self.stamp.still(Stamp::of(&fstat(file)?))
    }
}

impl Part for ImagePart {
    fn len(&self) -> u32 {
        1
    }

    fn open(&self, _: u32) -> Result<Box<dyn Content + '_>, ContentError> {
        #[allow(clippy::disallowed_methods)] // the error gets its path here
        let file = File::open(&self.path).map_err(|error| self.error(error))?;
        self.check(&file).map_err(|error| self.error(error))?;
        Ok(Box::new(OpenImage { part: self, file }))
    }
}

struct OpenImage<'a> {
    part: &'a ImagePart,
    file: File,
}

impl Content for OpenImage<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| self.part.error(self.part.check(&self.file).err().unwrap_or(error)))
    }

    fn file_range(&self, offset: u64, len: u64) -> Option<(BorrowedFd<'_>, u64)> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.part.stamp.size);
        inside.then(|| (self.file.as_fd(), offset))
    }

    fn close(self: Box<Self>) -> Result<(), ContentError> {
        self.part.check(&self.file).map_err(|error| self.part.error(error))
    }
}
