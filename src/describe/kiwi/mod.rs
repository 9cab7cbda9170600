//! KIWI descriptions (KIWI NG 10.3.9, `schema/kiwi.rnc`, schema version 8.5).
//!
//! Read as far as images are made here; everything else is refused by name, with file and line. What the schema knows and
//! what becomes of it is in the tables of `schema.rs`.
//!
//! ```text
//! XML, YAML, JSON, TOML -> elements with positions -> included files -> schema 8.5 -> validated against the tables -> Model
//! ```

mod data;
mod document;
mod element;
mod excludes;
mod find;
mod json;
mod lower;
mod overrides;
mod partitions;
mod read;
pub mod runtime;
mod schema;
mod toml;
mod types;
mod upgrade;
mod xml;
mod yaml;

pub use document::Include;
pub use excludes::exclude_files;
pub use find::find;
pub use overrides::Overrides;
pub use schema::{NEWER, Row, State, rows};

pub(crate) use partitions::mkfs_options;
pub(crate) use types::label_options;

use super::Diagnostics;
use crate::model::{Arch, Model};
use crate::resolve::{Choice, ResolveError, select};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest description that is read, in bytes.
pub const LARGEST: u64 = 4 << 20;
/// Most attributes that a tag may have.
pub const MOST_ATTRIBUTES: usize = 500;
/// Most namespaces that a description may declare.
pub const MOST_NAMESPACES: usize = 200;
/// Most problems that are reported.
pub const MOST_PROBLEMS: usize = 100;

/// Why a description was not read.
#[derive(Debug)]
pub enum LoadError {
    /// It could not be read.
    Io(std::io::Error),
    /// There is none in this directory.
    Missing {
        /// The directory.
        directory: PathBuf,
    },
    /// It is larger than [`LARGEST`].
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// It is no description.
    Refused(Diagnostics),
    /// What is to be changed in it is not there, or no change.
    Choice(ResolveError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io(error) => error.fmt(f),
            LoadError::Missing { directory } => {
                let directory = directory.display();
                write!(f, "{directory}: no description: neither config.xml nor a file that ends in .kiwi")
            }
            LoadError::TooLarge { file, len } => {
                write!(f, "{}: {len} bytes: a description has at most {LARGEST}", file.display())
            }
            LoadError::Refused(diagnostics) => diagnostics.fmt(f),
            LoadError::Choice(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// A description and where it is.
#[derive(Clone, Debug)]
pub struct Description {
    /// What it says.
    pub model: Model,
    /// The directory that holds its overlay and scripts.
    pub directory: PathBuf,
}

/// Reads the description in a directory (or a file, which then is the description): `kiwi_file` if named, else
/// `config.xml`, else `image/config.xml`, else the first `*.kiwi` in sorted order (KIWI's `load_xml_description`).
pub fn load(path: &Path, kiwi_file: Option<&str>) -> Result<Description, LoadError> {
    load_with(path, kiwi_file, &Choice::new(Arch::X86_64), &Overrides::default())
}

/// The same with changes to what `choice` selects.
pub fn load_with(
    path: &Path,
    kiwi_file: Option<&str>,
    choice: &Choice,
    overrides: &Overrides,
) -> Result<Description, LoadError> {
    let file = choose(path, kiwi_file)?;
    let directory = match (file == path, path.parent()) {
        (true, Some(parent)) if parent.as_os_str().is_empty() => PathBuf::from("."),
        (true, Some(parent)) => parent.to_owned(),
        _ => path.to_owned(),
    };
    let bytes = bytes_of(&file)?;
    let include = |path: &Path| bytes_of(path).map_err(std::io::Error::other);
    let name = file.display().to_string();
    let mut document =
        document::read(&name, bytes, &include).map_err(|list| LoadError::Refused(Diagnostics::new(list)))?;
    let mut model = lower::model(&document.root, document.problems.clone());
    if !overrides.is_empty() {
        let selection = select(&model, choice).map_err(LoadError::Choice)?;
        let target = overrides::Target {
            profiles: &selection.profiles,
            machine: selection.machine,
            kind: selection.kind,
        };
        overrides
            .apply(&mut document.root, &model, &target)
            .map_err(|refusal| LoadError::Choice(ResolveError::Choice(refusal)))?;
        model = lower::model(&document.root, document.problems);
    }
    Ok(Description { model, directory })
}

fn choose(path: &Path, kiwi_file: Option<&str>) -> Result<PathBuf, LoadError> {
    if let Some(name) = kiwi_file {
        return Ok(path.join(name));
    }
    if matches!(path.try_exists(), Ok(false)) {
        let message = format!("no description, and nothing else, at {}", path.display());
        return Err(LoadError::Io(std::io::Error::new(std::io::ErrorKind::NotFound, message)));
    }
    if !fs_err::metadata(path).map_err(LoadError::Io)?.is_dir() {
        return Ok(path.to_owned());
    }
    let fixed = ["config.xml", "image/config.xml"].map(|name| path.join(name));
    if let Some(file) = fixed.into_iter().find(|file| file.exists()) {
        return Ok(file);
    }
    let missing = || LoadError::Missing { directory: path.to_owned() };
    kiwi_files(path).map_err(LoadError::Io)?.into_iter().next().ok_or_else(missing)
}

#[expect(clippy::disallowed_methods, reason = "sorted before anyone sees the order")]
fn kiwi_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = fs_err::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<std::io::Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "kiwi"));
    files.sort();
    Ok(files)
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, LoadError> {
    let too_large = |len| LoadError::TooLarge { file: file.to_owned(), len };
    let open = fs_err::File::open(file).map_err(LoadError::Io)?;
    let len = open.metadata().map_err(LoadError::Io)?.len();
    if len > LARGEST {
        return Err(too_large(len));
    }
    let mut bytes = Vec::new();
    let read = open.take(LARGEST + 1).read_to_end(&mut bytes).map_err(LoadError::Io)?;
    // A pipe or a device has no length before it is read.
    if read as u64 > LARGEST { Err(too_large(read as u64)) } else { Ok(bytes) }
}

/// Reads a description out of memory that includes nothing; `file` is its name in messages, and its ending says what it is
/// written in. Only what is no description at all is an error here: all other problems are in the model, since they may lie
/// in what nobody selects.
pub fn parse(file: &str, bytes: Vec<u8>) -> Result<Model, Diagnostics> {
    parse_with(file, bytes, &|_| Err(std::io::Error::other("there are no other files here")))
}

/// The same with a way to read what it includes.
pub fn parse_with(file: &str, bytes: Vec<u8>, include: &Include<'_>) -> Result<Model, Diagnostics> {
    let document = document::read(file, bytes, include).map_err(Diagnostics::new)?;
    Ok(lower::model(&document.root, document.problems))
}

/// The nearest of the known names, if it is near enough to be meant.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    read::nearest(name, known)
}
