//! Copies of results under new names: compressed, with checksums. All appear when complete, or none does.
//!
//! Finished files are copied here, no image is laid: each is read once, for its copy and its checksum alike. The bytes do
//! not depend on the number of threads: xz blocks have a fixed length.

use super::super::fail::{Code, Failure};
use super::super::say::Bar;
use crate::emit::Progress;
use lzma_rust2::{XzOptions, XzWriterMt};
use serde::Serialize;
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt::Write as _;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

/// A result on its way into a bundle.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it is.
    pub(super) source: PathBuf,
    /// Its name in the bundle, before it is compressed.
    pub(super) name: String,
    /// Whether it is compressed.
    pub(super) compress: bool,
    /// Whether it has a checksum.
    pub(super) shasum: bool,
}

/// How bundles are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) digest: Digest,
    /// Of xz, 0 to 9.
    pub(super) level: u32,
    pub(super) threads: usize,
}

/// The checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256,
    Sha512,
}

/// A file of a bundle.
#[derive(Debug, Serialize)]
pub(super) struct Made {
    /// Its name.
    pub(super) file: String,
    /// Its length.
    pub(super) bytes: u64,
    /// Its checksum, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shasum: Option<String>,
}

/// What is read at once.
const CHUNK: usize = 1 << 20;
/// A run of zeros of this length becomes a hole.
const HOLE: usize = 1 << 16;
/// What xz compresses on its own, in bytes; a multiple of every level's useful history up to the sixth, as xz itself has it.
const BLOCK: u64 = 24 << 20;
/// The longest text in which names are changed, in bytes.
const LONGEST_TEXT: u64 = 16 << 20;

/// Makes a bundle; files of the same names are replaced.
pub(super) fn write(
    directory: &Path,
    items: &[Item],
    settings: &Settings,
    bar: &Bar,
) -> Result<Vec<Made>, Failure> {
    let mut whole = 0;
    for item in items {
        let about = fs_err::metadata(&item.source)?;
        if !about.is_file() {
            return Err(Failure::new(Code::Refused, format!("{}: not a file", item.source.display())));
        }
        whole += about.len();
    }
    bar.begin(whole);
    let mut draft = Draft::new(directory)?;
    let mut made = Vec::new();
    for item in items {
        let name = item.name.clone() + if item.compress { ".xz" } else { "" };
        let file = draft.file(&name)?;
        let shasum = match changed_text(item, items)? {
            Some(text) => copy(&text[..], file, item.compress, settings, bar)?,
            None => copy(fs_err::File::open(&item.source)?, file, item.compress, settings, bar)?,
        };
        let bytes = draft.len(&name)?;
        let line = format!("{shasum}  {name}\n");
        made.push(Made { file: name.clone(), bytes, shasum: item.shasum.then_some(shasum) });
        if item.shasum {
            let name = name + if settings.digest == Digest::Sha256 { ".sha256" } else { ".sha512" };
            draft.file(&name)?.write_all(line.as_bytes())?;
            made.push(Made { file: name, bytes: line.len() as u64, shasum: None });
        }
    }
    draft.show()?;
    Ok(made)
}

/// A text that names a result, with its new name; `None` for everything else.
fn changed_text(item: &Item, items: &[Item]) -> Result<Option<Vec<u8>>, Failure> {
    if fs_err::metadata(&item.source)?.len() > LONGEST_TEXT {
        return Ok(None);
    }
    let bytes = fs_err::read(&item.source)?;
    let Ok(mut text) = String::from_utf8(bytes) else { return Ok(None) };
    if text.contains('\0') {
        return Ok(None);
    }
    for other in items {
        let old = other.source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !old.is_empty() && old != other.name {
            text = text.replace(old, &other.name);
        }
    }
    Ok(Some(text.into_bytes()))
}

/// Copies to the end; gives the checksum of what was written.
fn copy(
    mut from: impl Read,
    to: fs_err::File,
    compress: bool,
    settings: &Settings,
    bar: &Bar,
) -> Result<String, Failure> {
    let hashed = Hashed { to, digest: Sum::new(settings.digest), end: 0 };
    let mut sink = match compress {
        false => Sink::Plain(Box::new(hashed)),
        true => {
            let mut options = XzOptions::with_preset(settings.level);
            options.set_block_size(NonZeroU64::new(BLOCK));
            let workers = settings.threads.clamp(1, 256) as u32;
            Sink::Xz(Box::new(XzWriterMt::new(hashed, options, workers)?))
        }
    };
    let mut buffer = vec![0; CHUNK];
    loop {
        if bar.cancelled() {
            return Err(Failure::new(Code::Cancelled, "cancelled: nothing was written"));
        }
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        match &mut sink {
            Sink::Plain(hashed) => hashed.sparse(&buffer[..read])?,
            Sink::Xz(xz) => xz.write_all(&buffer[..read])?,
        }
        bar.advance(read as u64);
    }
    let hashed = match sink {
        Sink::Plain(hashed) => *hashed,
        Sink::Xz(xz) => xz.finish()?,
    };
    let Hashed { to, digest, end } = hashed;
    to.set_len(end)?;
    to.sync_data()?;
    Ok(digest.text())
}

enum Sink {
    Plain(Box<Hashed>),
    Xz(Box<XzWriterMt<Hashed>>),
}

/// A file and the checksum of what goes into it.
struct Hashed {
    to: fs_err::File,
    digest: Sum,
    end: u64,
}

impl Hashed {
    /// Writes all but runs of zeros.
    fn sparse(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        for piece in bytes.chunks(HOLE) {
            if piece.iter().any(|&byte| byte != 0) {
                self.to.seek(SeekFrom::Start(self.end))?;
                self.to.write_all(piece)?;
            }
            self.end += piece.len() as u64;
        }
        Ok(())
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.end += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

enum Sum {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Sum {
    fn new(digest: Digest) -> Sum {
        match digest {
            Digest::Sha256 => Sum::Sha256(Sha256::new()),
            Digest::Sha512 => Sum::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Sum::Sha256(sum) => sum.update(bytes),
            Sum::Sha512(sum) => sum.update(bytes),
        }
    }

    fn text(self) -> String {
        let bytes = match self {
            Sum::Sha256(sum) => sum.finalize().to_vec(),
            Sum::Sha512(sum) => sum.finalize().to_vec(),
        };
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// Files under hidden names; dropping it removes them, and the directory if it was made for them.
struct Draft {
    directory: PathBuf,
    new: bool,
    /// Final names; the hidden ones are numbers.
    names: Vec<String>,
}

impl Draft {
    fn new(directory: &Path) -> Result<Draft, Failure> {
        let new = !directory.exists();
        fs_err::create_dir_all(directory)?;
        Ok(Draft { directory: directory.to_owned(), new, names: Vec::new() })
    }

    fn hidden(&self, index: usize) -> PathBuf {
        self.directory.join(format!(".diskwright-bundle-{}-{index}", std::process::id()))
    }

    fn file(&mut self, name: &str) -> io::Result<fs_err::File> {
        let path = self.hidden(self.names.len());
        let file = fs_err::OpenOptions::new().write(true).create_new(true).open(path)?;
        self.names.push(name.to_owned());
        Ok(file)
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        let index = self.names.iter().position(|one| one == name).unwrap_or(0);
        Ok(fs_err::metadata(self.hidden(index))?.len())
    }

    fn show(mut self) -> io::Result<()> {
        for (index, name) in self.names.iter().enumerate() {
            fs_err::rename(self.hidden(index), self.directory.join(name))?;
        }
        self.names.clear();
        self.new = false;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for index in 0..self.names.len() {
            // Best effort: there is nobody left to tell.
            let _ = fs_err::remove_file(self.hidden(index));
        }
        if self.new {
            // Only an empty directory goes.
            let _ = fs_err::remove_dir(&self.directory);
        }
    }
}
