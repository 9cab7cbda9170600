//! One file into the cache: over the network or from this host, tried again, resumed, limited, checked.

use super::cache::{Cache, Fields, Note, Partial, Stored, copy};
use super::client::{Client, said_of_body};
use super::error::{FetchError, FetchErrorKind};
use super::ftp::Transfer;
use super::location::{Location, Url};
use super::work::Line;
use super::{Asked, Digest, Size, Wanted};
use fs_err::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};
use ureq::Body;
use ureq::http::Response;
use ureq::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, RANGE,
};

/// Bytes that are read at a time.
const CHUNK: usize = 128 << 10;
/// Bytes that must come within the time for reading: less is a trickle.
const TRICKLE: u64 = 64 << 10;
/// How often it is looked whether another process is done.
const LOOK: Duration = Duration::from_millis(50);
/// After this the wait for another process is spoken of.
const PATIENCE: Duration = Duration::from_secs(1);

/// What files are fetched with.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) cache: Cache,
    pub(super) client: Client,
}

impl Source {
    /// The file as the cache has it, after it was fetched if it had to be, from the first place that has it.
    pub(super) fn wanted(&self, file: &Wanted, line: &Line) -> Result<Stored, FetchError> {
        let mut found = self.wanted_there(file, line);
        for location in &file.elsewhere {
            if !found.as_ref().is_err_and(|error| error.kind == FetchErrorKind::Missing) {
                break;
            }
            found = self.wanted_there(&Wanted { location: location.clone(), ..file.clone() }, line);
        }
        found
    }

    fn wanted_there(&self, file: &Wanted, line: &Line) -> Result<Stored, FetchError> {
        let found = || self.cache.find(&file.digest, file.size);
        if let Some(stored) = found()? {
            return Ok(stored);
        }
        let partial = self.hold(&file.digest.to_string(), &file.location, line)?;
        // Another process may have been faster.
        if let Some(stored) = found()? {
            return Ok(stored);
        }
        match &file.location {
            Location::File(path) => self.copied(file, path, partial, line),
            Location::Url(url) => self.downloaded(file, url, partial, line),
        }
    }

    fn hold(&self, name: &str, location: &Location, line: &Line) -> Result<Partial, FetchError> {
        let (begun, mut said) = (now(), false);
        self.cache.hold(name, || {
            line.unless_stopped(location)?;
            let waited = begun.elapsed();
            if waited > self.client.options().timeouts.lock {
                let reason = format!("another process has been fetching it for {} s", waited.as_secs());
                return Err(FetchError::new(FetchErrorKind::Locked, location, reason)
                    .hint("end that process, or choose another cache directory"));
            }
            if waited > PATIENCE && !said {
                line.note(format!("{location}: another process is fetching it: waiting"));
                said = true;
            }
            std::thread::sleep(LOOK);
            Ok(())
        })
    }

    fn copied(
        &self,
        file: &Wanted,
        path: &Path,
        mut partial: Partial,
        line: &Line,
    ) -> Result<Stored, FetchError> {
        partial.clear()?;
        copy_file(path, &file.location, file.size, &mut partial, line)?;
        match partial.digest() {
            digest if digest == file.digest => self.cache.store(partial),
            digest => Err(wrong_digest(file, &digest)),
        }
    }

    fn downloaded(
        &self,
        file: &Wanted,
        url: &Url,
        mut partial: Partial,
        line: &Line,
    ) -> Result<Stored, FetchError> {
        let mut resumed = partial.len() > 0;
        match partial.len() > file.size.limit() {
            true => partial.clear()?,
            false => partial.resume()?,
        }
        line.bytes(partial.len());
        let mut tries = 0;
        loop {
            let complete = file.size == Size::Exactly(partial.len());
            match if complete { Ok(()) } else { self.try_once(file, url, &mut partial, line) } {
                Ok(()) if partial.digest() == file.digest => return self.cache.store(partial),
                // What was there before may have been damaged.
                Ok(()) if resumed => {
                    resumed = false;
                    line.back(partial.len());
                    partial.clear()?;
                }
                Ok(()) => return Err(wrong_digest(file, &partial.digest())),
                Err(error) if error.kind.may_pass() && tries < self.client.options().retries => {
                    self.wait(tries, &error, line)?;
                    resumed = partial.len() > 0;
                    tries += 1;
                }
                Err(error) => {
                    if error.kind.may_pass() || error.kind == FetchErrorKind::Cancelled {
                        partial.leave();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Appends what is missing, if the server can do that; else all.
    fn try_once(
        &self,
        file: &Wanted,
        url: &Url,
        partial: &mut Partial,
        line: &Line,
    ) -> Result<(), FetchError> {
        line.unless_stopped(&file.location)?;
        let from = partial.len();
        if url.is_ftp() {
            return self.try_ftp(file, url, partial, line);
        }
        let range = [(RANGE, format!("bytes={from}-"))];
        let fields = if from > 0 { &range[..] } else { &[] };
        let response = self.client.get(url, file.credentials.as_ref(), fields)?;
        let (status, start) = (response.status().as_u16(), range_start(&response));
        match (status, start) {
            (206, Some(start)) if start == from => {}
            (200, _) | (206 | 416, _) if from > 0 => {
                line.back(from);
                partial.clear()?;
                if status != 200 {
                    let reason = "it cannot be resumed there";
                    return Err(FetchError::new(FetchErrorKind::Server, url, reason));
                }
            }
            (200, _) => {}
            _ => return Err(refused(status, url, file.credentials.is_some())),
        }
        self.receive(response, url, file.size, partial, line)
    }

    /// The same over FTP.
    fn try_ftp(
        &self,
        file: &Wanted,
        url: &Url,
        partial: &mut Partial,
        line: &Line,
    ) -> Result<(), FetchError> {
        let from = partial.len();
        let transfer = match self.client.get_ftp(url, file.credentials.as_ref(), from) {
            Err(error) if error.kind == FetchErrorKind::Refused && from > 0 => {
                line.back(from);
                partial.clear()?;
                return Err(FetchError { kind: FetchErrorKind::Server, ..error });
            }
            transfer => transfer?,
        };
        self.receive_ftp(transfer, url, file.size, partial, line)
    }

    fn receive_ftp(
        &self,
        mut transfer: Transfer<'_>,
        url: &Url,
        size: Size,
        partial: &mut Partial,
        line: &Line,
    ) -> Result<(), FetchError> {
        if let Some(rest) = transfer.rest {
            check_size(url, size, partial.len().saturating_add(rest))?;
        }
        self.fill(&mut transfer, url, size, partial, line)?;
        transfer.finish()
    }

    /// Reads a body to its end.
    fn receive(
        &self,
        response: Response<Body>,
        url: &Url,
        size: Size,
        partial: &mut Partial,
        line: &Line,
    ) -> Result<(), FetchError> {
        if let Some(rest) = field(&response, CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok()) {
            check_size(url, size, partial.len().saturating_add(rest))?;
        }
        self.fill(&mut response.into_body().into_reader(), url, size, partial, line)
    }

    fn fill(
        &self,
        body: &mut dyn Read,
        url: &Url,
        size: Size,
        partial: &mut Partial,
        line: &Line,
    ) -> Result<(), FetchError> {
        let mut buffer = vec![0; CHUNK];
        let patience = self.client.options().timeouts.read;
        let (mut since, mut came) = (now(), 0);
        loop {
            line.unless_stopped(url)?;
            let len = match body.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Whoever ends the work closes the connections.
                Err(error) => return line.unless_stopped(url).and(Err(said_of_body(&error, url))),
                Ok(0) => break,
                Ok(len) => len as u64,
            };
            if partial.len() + len > size.limit() {
                return Err(too_long(url, size));
            }
            partial.write(&buffer[..len as usize])?;
            line.bytes(len);
            came += len;
            if since.elapsed() > patience {
                if came < TRICKLE {
                    let reason = format!("only {came} bytes came in {} s", since.elapsed().as_secs());
                    return Err(FetchError::new(FetchErrorKind::Timeout, url, reason));
                }
                (since, came) = (now(), 0);
            }
        }
        line.unless_stopped(url)?;
        match size {
            Size::Exactly(size) if partial.len() < size => {
                let reason = format!("the connection ended after {} of {size} bytes", partial.len());
                Err(FetchError::new(FetchErrorKind::Connection, url, reason))
            }
            _ => Ok(()),
        }
    }

    /// The latest contents of a file.
    pub(super) fn latest(&self, file: &Asked, line: &Line) -> Result<Stored, FetchError> {
        let last = self.cache.last(&file.location)?.filter(|(_, stored)| stored.size <= file.limit);
        let name = format!("latest-{}", file.location.key());
        match &file.location {
            Location::Url(_) if self.client.options().offline => {
                last.map(|(_, stored)| stored).ok_or_else(|| offline(&file.location))
            }
            Location::Url(url) => {
                let mut partial = self.hold(&name, &file.location, line)?;
                let mut tries = 0;
                loop {
                    match self.ask(file, url, last.as_ref(), &mut partial, line) {
                        Ok(Some(fields)) => {
                            let stored = self.cache.store(partial)?;
                            let note = Note::new(&file.location, &stored, fields);
                            return self.cache.remember(&file.location, &note).map(|()| stored);
                        }
                        Ok(None) => {
                            let nothing = "it says that nothing changed, without having been asked";
                            let stored = last.as_ref().map(|(_, stored)| *stored);
                            return stored
                                .ok_or_else(|| FetchError::new(FetchErrorKind::Server, url, nothing));
                        }
                        Err(error) if error.kind.may_pass() && tries < self.client.options().retries => {
                            self.wait(tries, &error, line)?;
                            tries += 1;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Location::File(path) => {
                let mut partial = self.hold(&name, &file.location, line)?;
                partial.clear()?;
                copy_file(path, &file.location, Size::AtMost(file.limit), &mut partial, line)?;
                self.cache.store(partial)
            }
        }
    }

    /// Asks for a file unless it is what was given last; gives the fields for the next time, or nothing if it still is.
    fn ask(
        &self,
        file: &Asked,
        url: &Url,
        last: Option<&(Note, Stored)>,
        partial: &mut Partial,
        line: &Line,
    ) -> Result<Option<Fields>, FetchError> {
        line.unless_stopped(&file.location)?;
        line.back(partial.len());
        partial.clear()?;
        if url.is_ftp() {
            let transfer = self.client.get_ftp(url, file.credentials.as_ref(), 0)?;
            self.receive_ftp(transfer, url, Size::AtMost(file.limit), partial, line)?;
            return Ok(Some(Fields::default()));
        }
        let had = last.map(|(note, _)| note.fields.clone()).unwrap_or_default();
        let etag = had.etag.map(|etag| (IF_NONE_MATCH, etag));
        let modified = had.last_modified.map(|time| (IF_MODIFIED_SINCE, time));
        // Proxies may not answer for the server: an old InRelease does not go with new indexes.
        let fresh = (CACHE_CONTROL, "max-age=0".to_owned());
        let fields: Vec<_> = [fresh].into_iter().chain(etag).chain(modified).collect();
        let response = self.client.get(url, file.credentials.as_ref(), &fields)?;
        match response.status().as_u16() {
            200 => {}
            304 => return Ok(None),
            status => return Err(refused(status, url, file.credentials.is_some())),
        }
        let next = Fields { etag: field(&response, ETAG), last_modified: field(&response, LAST_MODIFIED) };
        self.receive(response, url, Size::AtMost(file.limit), partial, line)?;
        Ok(Some(next))
    }

    /// Before the next try.
    fn wait(&self, tries: u32, error: &FetchError, line: &Line) -> Result<(), FetchError> {
        line.note(format!("{error}: trying again"));
        let (begun, wait) = (now(), self.client.options().timeouts.retry.saturating_mul(1 << tries.min(6)));
        while begun.elapsed() < wait {
            line.unless_stopped(&error.what)?;
            std::thread::sleep(LOOK.min(wait));
        }
        Ok(())
    }
}

#[allow(clippy::disallowed_methods)] // how long something takes; no image hears of it
pub(super) fn now() -> Instant {
    Instant::now()
}

/// A file that is not in the cache, where no connection may be made.
pub(super) fn offline(location: &Location) -> FetchError {
    FetchError::new(FetchErrorKind::Offline, location, "not in the cache, and no connection may be made")
        .hint("fetch once without --offline")
}

fn copy_file(
    path: &Path,
    location: &Location,
    size: Size,
    partial: &mut Partial,
    line: &Line,
) -> Result<(), FetchError> {
    let failed = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => FetchError::new(FetchErrorKind::Missing, location, "no such file"),
        _ => FetchError::disk("", error),
    };
    let mut file = File::open(path).map_err(|error| failed(&error))?;
    let found = file.metadata().map_err(|error| failed(&error))?;
    if !found.is_file() {
        return Err(FetchError::new(FetchErrorKind::Missing, location, "not a regular file"));
    }
    check_size(location, size, found.len())?;
    // The cache's errors must not be taken for the file's.
    let mut written = Ok(());
    let read = copy(&mut file, size.limit().saturating_add(1), |bytes| {
        written = line.unless_stopped(location).and_then(|()| partial.write(bytes));
        line.bytes(bytes.len() as u64);
        if written.is_ok() { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
    });
    written?;
    read.map_err(|error| failed(&error))?;
    check_size(location, size, partial.len())
}

fn check_size(what: impl std::fmt::Display, size: Size, found: u64) -> Result<(), FetchError> {
    match size {
        Size::Exactly(wanted) if found != wanted => {
            let reason = format!("wrong size: {wanted} bytes are wanted, it has {found}");
            Err(FetchError::new(FetchErrorKind::Mismatch, what, reason).hint(STALE))
        }
        Size::AtMost(limit) if found > limit => {
            let reason = format!("{found} bytes: {limit} are the limit");
            Err(FetchError::new(FetchErrorKind::TooLarge, what, reason))
        }
        _ => Ok(()),
    }
}

const STALE: &str = "is the mirror being updated, or does a proxy keep old files? try again later";

fn too_long(url: &Url, size: Size) -> FetchError {
    match size {
        Size::Exactly(wanted) => {
            let reason = format!("wrong size: {wanted} bytes are wanted, more came");
            FetchError::new(FetchErrorKind::Mismatch, url, reason).hint(STALE)
        }
        Size::AtMost(limit) => {
            FetchError::new(FetchErrorKind::TooLarge, url, format!("more than {limit} bytes, the limit"))
        }
    }
}

fn wrong_digest(file: &Wanted, found: &Digest) -> FetchError {
    let reason = format!("wrong SHA-256: {} is wanted, it has {found}", file.digest);
    FetchError::new(FetchErrorKind::Mismatch, &file.location, reason).hint(STALE)
}

/// An answer that brings no file.
fn refused(status: u16, url: &Url, with_credentials: bool) -> FetchError {
    use FetchErrorKind::{Denied, Missing, Server};
    let found = |kind, reason: &str| FetchError::new(kind, url, format!("{reason} (HTTP status {status})"));
    match status {
        404 | 410 => found(Missing, "not found"),
        401 | 403 if with_credentials => found(Denied, "access denied").hint("are user and password right?"),
        401 | 403 => found(Denied, "access denied").hint("does the repository need a user and a password?"),
        407 => found(Denied, "the proxy denies access")
            .hint("give credentials in the proxy's URL: http://user:password@host:port"),
        408 | 429 | 500.. => found(Server, "the server has a fault"),
        _ => found(FetchErrorKind::Refused, "the server answers with no file"),
    }
}

fn field(response: &Response<Body>, name: HeaderName) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Where a partial answer begins: `bytes 100-199/200`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = field(response, CONTENT_RANGE)?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
