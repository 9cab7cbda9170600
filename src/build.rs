//! The whole way from an image and a tree to files.

mod raw_first;

pub use raw_first::{RawFirst, finish_raw, write_raw};

use crate::compose::{Composed, compose, unwritten};
use crate::emit::{self, Calls, EmitError, Progress, Written};
use crate::model::Image;
use crate::plan::{Fit, draft, fit, fs_identity, is_image, plan, within};
use crate::report::LayoutReport;
use crate::survey::{Images, Survey, SurveyError, images};
use diskwright_formats::fault::{Refusal, RefusalKind, ReidError, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Contents, Extent, Layout, Reader, What};
use diskwright_fstools::registry::find;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// What is asked for.
pub struct Request<'a> {
    /// What is made.
    pub image: &'a Image,
    /// Ids and times; [`identity`] makes the default one.
    pub identity: &'a Identity,
    /// Where files appear.
    pub directory: PathBuf,
    /// Name of the only output, in the place of the planned name.
    pub file: Option<String>,
    /// Length in bytes of the largest image that is wanted.
    pub largest: Option<u64>,
    /// What is written beside the images.
    pub lists: Vec<List>,
    /// How they are written.
    pub emit: emit::Options,
}

/// A text about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// What it is: [`PACKAGES`](crate::plan::PACKAGES) or [`VERIFIED`](crate::plan::VERIFIED).
    pub kind: &'static str,
    /// Its name.
    pub file: String,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// A stage of the way, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Sizes are computed.
    Fit,
    /// File systems, table and containers are laid.
    Compose,
    /// Files are written.
    Emit,
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// All numbers, as [`LayoutReport`] has them.
    #[serde(rename = "layout", serialize_with = "layout")]
    pub fit: Fit,
    /// The files.
    pub outputs: Vec<OutputReport>,
    /// What it took.
    #[serde(skip)]
    pub calls: Calls,
}

fn layout<S: Serializer>(fit: &Fit, serializer: S) -> Result<S::Ok, S::Error> {
    LayoutReport::of_fit(fit).serialize(serializer)
}

/// A file that was written.
#[derive(Clone, Debug, Serialize)]
pub struct OutputReport {
    /// Its path.
    pub path: PathBuf,
    /// Row of the disk registry; `clones.json`, `packages`, `verified`; `None`: a bare file system.
    pub format: Option<String>,
    /// Length in bytes.
    pub len: u64,
    /// Bytes that the host allocated for it.
    pub allocated: u64,
}

/// Why nothing was made.
#[derive(Debug)]
pub enum BuildError {
    /// Image or tree are refused.
    Refused(Refusal),
    /// Files could not be written, or sources not be read.
    Emit(EmitError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Refused(refusal) => refusal.fmt(f),
            BuildError::Emit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<SurveyError> for BuildError {
    fn from(error: SurveyError) -> BuildError {
        match error {
            SurveyError::Refused(refusal) => BuildError::Refused(refusal),
            SurveyError::Io(error) => BuildError::Emit(EmitError::Io(error)),
        }
    }
}

impl From<Refusal> for BuildError {
    fn from(refusal: Refusal) -> BuildError {
        BuildError::Refused(refusal)
    }
}

/// The identity of an image: from `seed`, else from the image itself.
pub fn identity(image: &Image, seed: Option<&[u8]>, epoch: i64) -> Identity {
    match seed {
        Some(seed) => Identity::new(seed, epoch),
        None => Identity::new(&image.seed(), epoch),
    }
}

/// Numbers; where all of it can be made, those of what was laid, too.
pub fn numbers(
    image: &Image,
    identity: &Identity,
    tree: diskwright_fstools::tree::Tree,
    contents: &dyn Contents,
    images: &Images,
) -> Result<Fit, Refusal> {
    let plan = plan(image, identity)?;
    let mut fit = draft(&plan, tree, contents)?;
    if unwritten(&plan).is_none() && fit.obstacles.is_empty() {
        place_images(&mut fit, identity, contents, images)?;
        compose(&mut fit, identity)?;
    }
    Ok(fit)
}

/// Everything but the writing: what [`run`] writes.
pub fn lay(
    image: &Image,
    identity: &Identity,
    tree: diskwright_fstools::tree::Tree,
    contents: &dyn Contents,
    images: &Images,
    stage: &mut dyn FnMut(Stage),
) -> Result<(Fit, Vec<Composed>), Refusal> {
    let plan = plan(image, identity)?;
    stage(Stage::Fit);
    let mut fit = fit(&plan, tree, contents)?;
    stage(Stage::Compose);
    place_images(&mut fit, identity, contents, images)?;
    let composed = compose(&mut fit, identity)?;
    Ok((fit, composed))
}

/// Puts the images into their places, clones with ids of their own. What changes with an id is read here; all other bytes
/// are read when they are written.
fn place_images(
    fit: &mut Fit,
    identity: &Identity,
    contents: &dyn Contents,
    images: &Images,
) -> Result<(), Refusal> {
    for place in &mut fit.places {
        let part = &place.part;
        let Some(layout) = part.image.as_ref().and_then(|source| images.get(&source.path)) else { continue };
        let row = part.filesystem.as_ref().and_then(|one| find(&one.mkfs.name));
        let layout = match (&part.clone_of, row) {
            (Some(origin), Some(row)) => {
                let identity = fs_identity(identity, &part.role, Some(origin));
                let patches = (row.reid)(&Reader::new(layout, contents), &identity);
                let patches = patches.map_err(|error| within(part, unchangeable(error)))?;
                layout.patched(&patches).expect("patches lie in what they were made for")
            }
            _ => layout.clone(),
        };
        place.image = Some(layout);
    }
    Ok(())
}

fn unchangeable(error: ReidError) -> Refusal {
    match error {
        ReidError::Refusal(refusal) => refusal,
        ReidError::Damage(damage) => {
            Refusal::new(RefusalKind::Invalid, Spot::new("image", ""), damage.to_string())
        }
    }
}

/// Makes the files. `stage` hears of each stage when it begins.
pub fn run(
    request: &Request<'_>,
    survey: Survey,
    progress: &dyn Progress,
    stage: &mut dyn FnMut(Stage),
) -> Result<Report, BuildError> {
    let Survey { tree, mut contents, .. } = survey;
    let images = images(request.image, &mut contents)?;
    let (fit, composed) = lay(request.image, request.identity, tree, &contents, &images, stage)?;
    too_large(request, &fit)?;
    stage(Stage::Emit);
    let (outputs, calls) = written(request, composed, &contents, progress)?;
    Ok(Report { fit, outputs, calls })
}

/// Writes what was composed, and the lists beside it.
fn written(
    request: &Request<'_>,
    composed: Vec<Composed>,
    contents: &dyn Contents,
    progress: &dyn Progress,
) -> Result<(Vec<OutputReport>, Calls), BuildError> {
    let mut composed = composed;
    composed.extend(request.lists.iter().map(|list| {
        let layout = text_layout(&list.text);
        Composed { file: list.file.clone(), format: Some(list.kind.to_owned()), layout }
    }));
    let formats: Vec<Option<String>> = composed.iter().map(|one| one.format.clone()).collect();
    let outputs = outputs(request, composed);
    let (written, calls) =
        emit::emit(&outputs, contents, &request.emit, progress).map_err(BuildError::Emit)?;
    let outputs = written.into_iter().zip(formats).map(|(written, format)| {
        let Written { path, len, allocated } = written;
        OutputReport { path, format, len, allocated }
    });
    Ok((outputs.collect(), calls))
}

/// A file of bytes.
fn text_layout(text: &[u8]) -> Layout {
    let extent = Extent::of_bytes(0, text.to_vec(), What::new(&"list"));
    let extents = if text.is_empty() { vec![] } else { vec![extent] };
    Layout::new(text.len() as u64, extents, vec![]).expect("at most one extent, from end to end")
}

fn too_large(request: &Request<'_>, fit: &Fit) -> Result<(), Refusal> {
    let Some(largest) = request.largest.filter(|&largest| fit.len > largest) else { return Ok(()) };
    let reason = format!("{} bytes, and no image may be larger than {largest}", fit.len);
    Err(Refusal::new(RefusalKind::Limit, Spot::new("image", fit.plan.name.clone()), reason))
}

fn outputs(request: &Request<'_>, composed: Vec<Composed>) -> Vec<emit::Output> {
    let is_image = |one: &Composed| is_image(one.format.as_deref());
    let single = composed.iter().filter(|one| is_image(one)).count() == 1;
    let given = request.file.as_ref().filter(|_| single);
    let output = |one: Composed| {
        let name = given.filter(|_| is_image(&one)).unwrap_or(&one.file);
        let path = request.directory.join(name);
        emit::Output { layout: one.layout, path }
    };
    composed.into_iter().map(output).collect()
}
