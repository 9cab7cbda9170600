//! What repositories offer: fetched, believed, read.

use crate::root::fetch::{self, Asked, FetchError, FetchErrorKind, Fetcher, Progress, Size, Stored, Wanted};
use crate::root::repository::{
    Catalogue, Chosen, DEFAULT_KEYRINGS, Digest, Index, Keyring, Location, Packages, Release, Source,
    Verified, verify_clear, verify_detached,
};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

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

/// Reads all repositories that serve the machine.
pub fn read(sources: &[Source], around: &Surroundings<'_>) -> Result<Vec<Repository>, AptError> {
    let serving: Vec<&Source> = sources.iter().filter(|source| source.serves(around.architecture)).collect();
    let asked = serving.iter().map(|source| asked(source, "InRelease")).collect::<Result<Vec<Asked>, _>>()?;
    let found = around.fetcher.latest(&asked, around.progress);
    let mut repositories = Vec::new();
    for (source, found) in serving.into_iter().zip(found) {
        let release = release(source, found, around)?;
        repositories.push(repository(source, release, around)?);
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
    Ok(Wanted { location, credentials: credentials(source), size: Size::Exactly(size), digest })
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

fn release(
    source: &Source,
    found: Result<Stored, FetchError>,
    around: &Surroundings<'_>,
) -> Result<Release, AptError> {
    let what = source.beside_release("Release").to_string();
    let one = |name: &str| -> Result<Vec<u8>, AptError> {
        let found = around.fetcher.latest(&[asked(source, name)?], around.progress);
        bytes(around.fetcher, &found.into_iter().next().expect("one was asked for")?)
    };
    let verified = match (found, source.check_signature) {
        (Ok(clear), true) => {
            verify_clear(&what, &bytes(around.fetcher, &clear)?, &keyring(source, around)?, around.now)?
        }
        (Ok(clear), false) => Verified::unchecked(&what, bytes(around.fetcher, &clear)?)?,
        (Err(error), checked) if error.kind == FetchErrorKind::Missing => {
            // What is missing is told of the file that clients ask for first.
            let text = one("Release").map_err(|_| AptError::from(error))?;
            match checked {
                false => Verified::unchecked(&what, text)?,
                true => {
                    let signature = one("Release.gpg").map_err(|_| unsigned(&what))?;
                    verify_detached(&what, text, &signature, &keyring(source, around)?, around.now)?
                }
            }
        }
        (Err(error), _) => return Err(error.into()),
    };
    let release = Release::read(&what, &verified)?;
    if source.check_signature {
        release.check_fresh(around.now)?;
    }
    Ok(release)
}

fn unsigned(what: &str) -> Refusal {
    let reason = "the repository is not signed: neither InRelease nor Release.gpg is there";
    let hint = "sign it, or say repository_gpgcheck=\"false\" if you trust the way to it";
    Refusal::new(RefusalKind::Missing, Spot::new("repository", what), reason).hint(hint)
}

/// The keys that the description names, else the distributions' that this host has.
fn keyring(source: &Source, around: &Surroundings<'_>) -> Result<Keyring, AptError> {
    let mut keyring = Keyring::default();
    for key in &source.keys {
        let asked = Asked { location: place(key)?, credentials: None, limit: MOST_RELEASE };
        for stored in around.fetcher.latest(&[asked], around.progress) {
            keyring.add(&key.to_string(), &bytes(around.fetcher, &stored?)?)?;
        }
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

fn repository(source: &Source, release: Release, around: &Surroundings<'_>) -> Result<Repository, AptError> {
    let mut packages = Vec::new();
    let mut digests = Vec::new();
    for index in release.indexes(source, around.architecture)? {
        let text = index_text(source, &index, around)?;
        let what = format!("{} of {}", index.path, release.what);
        packages.push(Packages::read(&what, text, around.architecture)?);
        digests.push(index.digest.to_string());
    }
    Ok(Repository { source: source.clone(), release, packages, digests })
}

/// An index from the first of its places that has it.
fn index_text(source: &Source, index: &Index, around: &Surroundings<'_>) -> Result<Vec<u8>, AptError> {
    let mut missing = None;
    for path in &index.places {
        let wanted = wanted(source, path, index.size, &index.digest)?;
        match around.fetcher.fetch(&[wanted], around.progress) {
            Err(error) if error.kind == FetchErrorKind::Missing => missing = Some(error),
            Err(error) => return Err(error.into()),
            Ok(stored) => {
                let stored = stored.first().expect("one was wanted");
                let mut bytes = Vec::new();
                around.fetcher.cache().read(stored)?.take(index.size).read_to_end(&mut bytes)?;
                return Ok(index.unpack(bytes)?);
            }
        }
    }
    let nowhere = || Refusal::new(RefusalKind::Missing, Spot::new("repository", &index.path), "has no place");
    Err(missing.map_or_else(|| nowhere().into(), AptError::from))
}
