//! Files from elsewhere: fetched in parallel, kept by their digest.
//!
//! ```text
//! Wanted: location, size, SHA-256 -fetch->  Stored: files/sha256/ab/abcd...     once, whatever wants it
//! location alone                  -latest-> Stored, asked anew each time        If-None-Match, If-Modified-Since
//!
//! CACHE/files/sha256/ab/abcd...   whole files, named by what is in them; they appear complete and checked
//!       latest/ab/abcd...         what a location gave last: digest, size, ETag, Last-Modified (name: SHA-256 of it)
//!       partial/abcd...           what is being fetched; also the lock of the entry (flock), so none is left by who was killed
//! ```
//!
//! - Every directory and file of a cache may be deleted at any time (`rm -r`); who is using it then gets an error, or
//!   fetches again.
//! - Several processes that want the same file fetch it once: the others wait for the lock, within [`Timeouts::lock`].
//! - What a killed process left of a file is resumed (`Range`), and fetched from its start if the digest is then wrong.
//! - Nothing is forced to the disk. A file that a crash cut short has the wrong size, which is looked at on every use.
//! - HTTP/1.1 by `ureq`, TLS by `rustls`; redirects, retries, limits and credentials are ours: a redirect never leads from
//!   https to http, and takes credentials to no other host.
//! - FTP by `suppaftp`, without a proxy. What a location gave last is not asked for, but fetched anew.
//! - Environment variables are read in the CLI, which hands over their values ([`Proxies::new`], [`Trust`]).

mod cache;
mod client;
mod decompress;
mod digest;
mod download;
mod error;
mod forward;
mod ftp;
mod location;
mod names;
mod progress;
mod proxy;
mod trust;
mod work;

pub use cache::{Cache, Stored};
pub use decompress::{Coding, decompressed};
pub use digest::Digest;
pub use error::{FetchError, FetchErrorKind};
pub use location::{Credentials, Location, Url};
pub use progress::{Progress, Silent, State};
pub use proxy::Proxies;

use client::Client;
use download::{Source, offline};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A file whose contents are known by their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub location: Location,
    /// Where else it may be: each is tried if it is missing in those before it.
    pub elsewhere: Vec<Location>,
    /// Who we are there.
    pub credentials: Option<Credentials>,
    /// How long it is.
    pub size: Size,
    /// What it is.
    pub digest: Digest,
}

/// How long a file is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So long.
    Exactly(u64),
    /// Nobody knows; what is longer than this is refused.
    AtMost(u64),
}

impl Size {
    /// The most bytes that it may have.
    pub fn limit(self) -> u64 {
        match self {
            Size::Exactly(size) | Size::AtMost(size) => size,
        }
    }

    /// Whether a file of `len` bytes may be it.
    pub fn fits(self, len: u64) -> bool {
        match self {
            Size::Exactly(size) => len == size,
            Size::AtMost(size) => len <= size,
        }
    }
}

/// How files are fetched.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether no connection may be made: what is not in the cache (nor in a local file) is an error.
    pub offline: bool,
    /// The proxies of the host.
    pub proxies: Proxies,
    /// Whom to trust for https.
    pub trust: Trust,
    /// Connections at once; at least 1.
    pub threads: usize,
    /// What we call ourselves.
    pub user_agent: String,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often a file is tried again after a fault that may pass.
    pub retries: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            offline: false,
            proxies: Proxies::default(),
            trust: Trust::default(),
            threads: 6,
            user_agent: concat!("diskwright/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeouts: Timeouts::default(),
            retries: 3,
        }
    }
}

/// How long to wait before giving up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a name to be looked up, and again for a connection.
    pub connect: Duration,
    /// For the next byte; also for 64 KiB at a time, so that a trickle is no way to hang.
    pub read: Duration,
    /// For another process that is fetching the same file.
    pub lock: Duration,
    /// Before the first retry; doubled before each further one.
    pub retry: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(15),
            read: Duration::from_secs(30),
            lock: Duration::from_secs(1800),
            retry: Duration::from_millis(500),
        }
    }
}

/// Certificate authorities of https.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// A file of PEM certificates in place of the host's (`SSL_CERT_FILE`).
    pub instead: Option<PathBuf>,
    /// Files of PEM certificates that count, too.
    pub also: Vec<PathBuf>,
}

/// A file whose contents nobody knows before: asked for anew each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where it is.
    pub location: Location,
    /// Who we are there.
    pub credentials: Option<Credentials>,
    /// The most bytes that it may have.
    pub limit: u64,
}

/// Fetches files into a cache. Connections are kept for the next call.
#[derive(Debug)]
pub struct Fetcher {
    source: Arc<Source>,
}

impl Fetcher {
    /// A fetcher that has made no connection yet.
    pub fn new(cache: Cache, options: Options) -> Fetcher {
        Fetcher { source: Arc::new(Source { cache, client: Client::new(options) }) }
    }

    /// Where the files are kept.
    pub fn cache(&self) -> &Cache {
        &self.source.cache
    }

    /// How files are fetched.
    pub fn options(&self) -> &Options {
        self.source.client.options()
    }

    /// Fetches what the cache does not have, in parallel, and gives all files in the order of `wanted`. Each is checked
    /// (size, SHA-256) before it appears in the cache. Local files are copied into the cache, too.
    ///
    /// # Errors
    /// Offline, that of the first file in the list that is missing. Else of one that failed, which ends the others; what was
    /// complete by then is kept, and of what was not, as much as can be resumed.
    pub fn fetch(&self, wanted: &[Wanted], progress: &dyn Progress) -> Result<Vec<Stored>, FetchError> {
        let mut missing: BTreeMap<Digest, &Wanted> = BTreeMap::new();
        let mut list = Vec::new();
        for file in wanted {
            if self.cache().find(&file.digest, file.size)?.is_some() {
                continue;
            }
            if self.options().offline && matches!(file.location, Location::Url(_)) {
                return Err(offline(&file.location));
            }
            if missing.insert(file.digest, file).is_none() {
                list.push(file.clone());
            }
        }
        let sizes = list.iter().map(|file| match file.size {
            Size::Exactly(size) => size,
            Size::AtMost(_) => 0,
        });
        let bytes = sizes.fold(0, u64::saturating_add);
        self.cache().room_for(bytes)?;
        let jobs = self.jobs(list, |file| &file.location, bytes, true);
        let source = self.source.clone();
        let results = work::all(
            jobs,
            progress,
            move |file: &Wanted, line| source.wanted(file, line),
            || self.source.client.shut_down(),
        );
        let mut errors: Vec<FetchError> = results.into_iter().filter_map(Result::err).collect();
        // Those that ended the others count before those that were ended.
        errors.sort_by_key(|error| error.kind == FetchErrorKind::Cancelled);
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        let stored = |file: &Wanted| {
            let gone = || {
                let reason = "it was taken out of the cache at once";
                FetchError::new(FetchErrorKind::Disk, &file.location, reason)
            };
            self.cache().find(&file.digest, file.size)?.ok_or_else(gone)
        };
        wanted.iter().map(stored).collect()
    }

    /// Asks for the latest contents of files, in parallel: conditionally, where the cache has what a server gave last.
    /// Offline, what was given last is the answer. Each file has a result of its own, in the order of `asked`.
    pub fn latest(&self, asked: &[Asked], progress: &dyn Progress) -> Vec<Result<Stored, FetchError>> {
        let jobs = self.jobs(asked.to_vec(), |file| &file.location, 0, false);
        let source = self.source.clone();
        let one = move |file: &Asked, line: &work::Line<'_>| source.latest(file, line);
        work::all(jobs, progress, one, || self.source.client.shut_down())
    }

    fn jobs<J>(
        &self,
        list: Vec<J>,
        location: impl Fn(&J) -> &Location,
        bytes: u64,
        together: bool,
    ) -> work::Jobs<J> {
        let names = list.iter().map(|job| location(job).name()).collect();
        work::Jobs { list, names, bytes, threads: self.options().threads, together }
    }
}
