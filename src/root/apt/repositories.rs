//! What repositories offer: fetched, believed, read.

use crate::root::fetch::{self, Asked, FetchError, FetchErrorKind, Fetcher, Progress, Size, Stored, Wanted};
use crate::root::repository::{
    Catalogue, Chosen, DEFAULT_KEYRINGS, Digest, Index, Keyring, Location, Packages, Release, Source,
    Verified, verify_clear, verify_detached,
};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Most bytes of a Release file, of a signature, of a key.
const MOST_RELEASE: u64 = 64 << 20;

/// What there is to work with.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Fetches.
    pub fetcher: &'a Fetcher,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// The time, in seconds since 1970: signatures and Release files end to count.
    pub now: i64,
    /// Whether a Release file that has expired counts; that is said in a note.
    pub allow_expired: bool,
    /// The machine in Debian's word.
    pub architecture: &'a str,
}

/// A repository that was read.
#[derive(Debug)]
pub struct Repository {
    /// What the description says of it.
    pub source: Source,
    /// What it says of itself.
    pub release: Release,
    /// Its indexes: one a component and machine.
    pub packages: Vec<Packages>,
    /// Digests of its indexes: what it offers, for keys of caches.
    pub digests: Vec<String>,
}

/// Why there are no repositories to work with.
#[derive(Debug)]
pub enum AptError {
    /// What somebody must change.
    Refused(Box<Refusal>),
    /// A file could not be fetched.
    Fetch(Box<FetchError>),
    /// The host would not do it.
    Io(io::Error),
}

impl fmt::Display for AptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AptError::Refused(refusal) => refusal.fmt(f),
            AptError::Fetch(error) => error.fmt(f),
            AptError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AptError {}

impl From<Refusal> for AptError {
    fn from(refusal: Refusal) -> AptError {
        AptError::Refused(Box::new(refusal))
    }
}

impl From<FetchError> for AptError {
    fn from(error: FetchError) -> AptError {
        AptError::Fetch(Box::new(error))
    }
}

impl From<io::Error> for AptError {
    fn from(error: io::Error) -> AptError {
        AptError::Io(error)
    }
}

/// Reads all repositories that serve the machine: their Release files at once, then all indexes at once.
pub fn read(sources: &[Source], around: &Surroundings<'_>) -> Result<Vec<Repository>, AptError> {
    let serving: Vec<&Source> = sources.iter().filter(|source| source.serves(around.architecture)).collect();
    let releases = releases(&serving, around)?;
    let mut indexes = Vec::new();
    for (number, (source, release)) in serving.iter().zip(&releases).enumerate() {
        let of = release.indexes(source, around.architecture)?;
        indexes.extend(of.into_iter().map(|index| (number, index)));
    }
    let wanted = indexes.iter().map(|(number, index)| index_wanted(serving[*number], index));
    let stored = around.fetcher.fetch(&wanted.collect::<Result<Vec<Wanted>, _>>()?, around.progress)?;
    let packages = indexes.par_iter().zip(&stored).map(|((number, index), stored)| {
        let what = format!("{} of {}", index.path, releases[*number].what);
        let mut bytes = Vec::new();
        around.fetcher.cache().read(stored)?.take(index.size).read_to_end(&mut bytes)?;
        Ok(Packages::read(&what, index.unpack(bytes)?, around.architecture)?)
    });
    let packages = packages.collect::<Vec<Result<Packages, AptError>>>();
    let repository = |(source, release): (&Source, Release)| Repository {
        source: source.clone(),
        release,
        packages: Vec::new(),
        digests: Vec::new(),
    };
    let mut repositories: Vec<Repository> = serving.into_iter().zip(releases).map(repository).collect();
    for ((number, index), packages) in indexes.into_iter().zip(packages) {
        repositories[number].packages.push(packages?);
        repositories[number].digests.push(index.digest.to_string());
    }
    Ok(repositories)
}

/// What all of them offer.
pub fn catalogue(repositories: &[Repository]) -> Result<Catalogue<'_>, Refusal> {
    let files = repositories.iter().enumerate().flat_map(|(index, repository)| {
        let pin = pin(repository);
        repository.packages.iter().map(move |packages| (index, pin, packages))
    });
    Catalogue::new(&files.collect::<Vec<_>>())
}

/// Fetches packages that were chosen, in their order.
pub fn fetch_chosen(
    chosen: &[Chosen],
    repositories: &[Repository],
    around: &Surroundings<'_>,
) -> Result<Vec<Stored>, AptError> {
    let wanted = chosen.iter().map(|one| {
        let source = &repositories[one.source].source;
        wanted(source, &one.filename, one.size, &one.digest)
    });
    let wanted = wanted.collect::<Result<Vec<Wanted>, AptError>>()?;
    Ok(around.fetcher.fetch(&wanted, around.progress)?)
}

/// apt's priority of a source (apt_preferences(5)).
pub(super) fn pin(repository: &Repository) -> i64 {
    repository.source.priority.unwrap_or(repository.release.default_priority())
}

pub(super) fn wanted(source: &Source, name: &str, size: u64, digest: &Digest) -> Result<Wanted, AptError> {
    let digest = match digest {
        Digest::Sha256(bytes) => fetch::Digest(*bytes),
        Digest::Sha512(_) => {
            let reason = "the repository names its files by SHA-512 alone, and they are kept by SHA-256";
            return Err(Refusal::new(RefusalKind::Unsupported, Spot::new("repository", name), reason).into());
        }
    };
    let location = place(&source.location.join(name))?;
    let (elsewhere, credentials) = (Vec::new(), credentials(source));
    Ok(Wanted { location, elsewhere, credentials, size: Size::Exactly(size), digest })
}

fn bytes(fetcher: &Fetcher, stored: &Stored) -> Result<Vec<u8>, AptError> {
    let mut bytes = Vec::new();
    fetcher.cache().read(stored)?.take(MOST_RELEASE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn asked(source: &Source, name: &str) -> Result<Asked, AptError> {
    let location = place(&source.beside_release(name))?;
    Ok(Asked { location, credentials: credentials(source), limit: MOST_RELEASE })
}

/// A location as what fetches knows it.
fn place(location: &Location) -> Result<fetch::Location, FetchError> {
    match location {
        Location::Path(path) => Ok(fetch::Location::File(path.clone())),
        Location::Url(url) => {
            fetch::Location::parse(&url.request(), Path::new("/")).map(|(location, _)| location)
        }
    }
}

fn credentials(source: &Source) -> Option<fetch::Credentials> {
    source.credentials.as_ref().map(|one| fetch::Credentials::new(one.user(), one.password()))
}

/// The Release files of sources, believed. First all InRelease files and keys are asked for, then what stands in for those
/// that are missing.
fn releases(serving: &[&Source], around: &Surroundings<'_>) -> Result<Vec<Release>, AptError> {
    let latest = |asked: Vec<Asked>| around.fetcher.latest(&asked, around.progress).into_iter();
    let mut first = serving.iter().map(|source| asked(source, "InRelease")).collect::<Result<Vec<_>, _>>()?;
    for key in serving.iter().flat_map(|source| source.signing_keys()) {
        first.push(Asked { location: place(key)?, credentials: None, limit: MOST_RELEASE });
    }
    let mut found = latest(first);
    let clear: Vec<_> = found.by_ref().take(serving.len()).collect();
    let is_missing = |found: &Result<Stored, FetchError>| {
        found.as_ref().is_err_and(|error| error.kind == FetchErrorKind::Missing)
    };
    let mut second = Vec::new();
    for (source, _) in serving.iter().zip(&clear).filter(|(_, clear)| is_missing(clear)) {
        second.extend([asked(source, "Release")?, asked(source, "Release.gpg")?]);
    }
    let mut instead = latest(second);
    let mut releases = Vec::new();
    for (source, clear) in serving.iter().zip(clear) {
        let apart = is_missing(&clear).then(|| [(); 2].map(|()| instead.next().expect("it was asked for")));
        let of_it: Vec<_> = found.by_ref().take(source.signing_keys().len()).collect();
        releases.push(release(source, clear, apart, of_it, around)?);
    }
    Ok(releases)
}

/// The keys of the repositories that the image knows, by the repositories' names: their files in the cache.
///
/// # Errors
/// A file cannot be fetched, or holds no key that signs.
pub fn kept_keys(
    sources: &[Source],
    around: &Surroundings<'_>,
) -> Result<BTreeMap<String, Vec<PathBuf>>, AptError> {
    let kept = || sources.iter().filter(|source| source.is_kept());
    let asked = |key: &Location| -> Result<Asked, AptError> {
        Ok(Asked { location: place(key)?, credentials: None, limit: MOST_RELEASE })
    };
    let asked = kept().flat_map(Source::signing_keys).map(asked).collect::<Result<Vec<_>, _>>()?;
    let mut found = around.fetcher.latest(&asked, around.progress).into_iter();
    let mut keys = BTreeMap::new();
    for source in kept() {
        let mut files = Vec::new();
        for (key, stored) in source.signing_keys().iter().zip(found.by_ref()) {
            let stored = stored?;
            Keyring::default().add(&key.to_string(), &bytes(around.fetcher, &stored)?)?;
            files.push(stored.relative());
        }
        keys.insert(source.name.clone(), files);
    }
    Ok(keys)
}

/// `apart`: Release and Release.gpg, where `clear`, which is InRelease, is missing.
fn release(
    source: &Source,
    clear: Result<Stored, FetchError>,
    apart: Option<[Result<Stored, FetchError>; 2]>,
    keys: Vec<Result<Stored, FetchError>>,
    around: &Surroundings<'_>,
) -> Result<Release, AptError> {
    let what = source.beside_release("Release").to_string();
    let text = |stored: &Stored| bytes(around.fetcher, stored);
    let verified = match (clear, apart) {
        (Ok(clear), _) if source.check_signature => {
            verify_clear(&what, &text(&clear)?, &keyring(source, keys, around)?, around.now)?
        }
        (Ok(clear), _) => Verified::unchecked(&what, text(&clear)?)?,
        (Err(error), Some([release, signature])) => {
            // What is missing is told of the file that clients ask for first.
            let release = text(&release.map_err(|_| error)?)?;
            match source.check_signature {
                false => Verified::unchecked(&what, release)?,
                true => {
                    let signature = text(&signature.map_err(|_| unsigned(&what))?)?;
                    verify_detached(&what, release, &signature, &keyring(source, keys, around)?, around.now)?
                }
            }
        }
        (Err(error), None) => return Err(error.into()),
    };
    let release = Release::read(&what, &verified)?;
    if source.check_signature {
        release.check_date(around.now)?;
        match release.check_fresh(around.now) {
            Err(expired) if around.allow_expired => {
                around.progress.note(&format!("warning: {expired}"));
            }
            checked => checked?,
        }
    }
    Ok(release)
}

fn unsigned(what: &str) -> Refusal {
    let reason = "the repository is not signed: neither InRelease nor Release.gpg is there";
    let hint = "sign it, or say repository_gpgcheck=\"false\" if you trust the way to it";
    Refusal::new(RefusalKind::Missing, Spot::new("repository", what), reason).hint(hint)
}

/// The keys that the description names, else the distributions' that this host has.
fn keyring(
    source: &Source,
    keys: Vec<Result<Stored, FetchError>>,
    around: &Surroundings<'_>,
) -> Result<Keyring, AptError> {
    let mut keyring = Keyring::default();
    for (key, stored) in source.keys.iter().zip(keys) {
        keyring.add(&key.to_string(), &bytes(around.fetcher, &stored?)?)?;
    }
    if source.keys.is_empty() {
        for path in DEFAULT_KEYRINGS {
            if let Ok(file) = fs_err::read(path) {
                keyring.add(path, &file)?;
            }
        }
    }
    Ok(keyring)
}

/// An index, which may be in several places.
fn index_wanted(source: &Source, index: &Index) -> Result<Wanted, AptError> {
    let mut places = index.places.iter();
    let nowhere = || Refusal::new(RefusalKind::Missing, Spot::new("repository", &index.path), "has no place");
    let first = wanted(source, places.next().ok_or_else(nowhere)?, index.size, &index.digest)?;
    let elsewhere = places.map(|path| place(&source.location.join(path))).collect::<Result<_, _>>()?;
    Ok(Wanted { elsewhere, ..first })
}
