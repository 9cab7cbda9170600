//! What tests of fetching share.

use diskwright::root::fetch::{
    Asked, Cache, Digest, FetchError, Fetcher, Location, Options, Silent, Size, Stored, Timeouts, Wanted,
};
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Options that wait `seconds` for a server, not longer.
pub fn quick(seconds: u64) -> Options {
    let timeouts = Timeouts {
        connect: Duration::from_secs(seconds),
        read: Duration::from_secs(seconds),
        lock: Duration::from_secs(20),
        retry: Duration::from_millis(10),
    };
    Options { timeouts, ..Options::default() }
}

pub fn fetcher(scratch: &TempDir, options: Options) -> Fetcher {
    Fetcher::new(Cache::open(&scratch.path().join("cache")).unwrap(), options)
}

pub fn wanted(url: &str, bytes: &[u8]) -> Wanted {
    let (location, credentials) = Location::parse(url, Path::new("/")).unwrap();
    Wanted {
        location,
        elsewhere: Vec::new(),
        credentials,
        size: Size::Exactly(bytes.len() as u64),
        digest: Digest::of(bytes),
    }
}

pub fn asked(url: &str) -> Asked {
    let (location, credentials) = Location::parse(url, Path::new("/")).unwrap();
    Asked { location, credentials, limit: 1 << 20 }
}

pub fn one(fetcher: &Fetcher, file: &Wanted) -> Result<Stored, FetchError> {
    fetcher.fetch(std::slice::from_ref(file), &Silent).map(|stored| stored[0])
}

pub fn latest(fetcher: &Fetcher, file: &Asked) -> Result<Stored, FetchError> {
    fetcher.latest(std::slice::from_ref(file), &Silent).remove(0)
}

pub fn bytes(fetcher: &Fetcher, stored: &Stored) -> Vec<u8> {
    let mut bytes = Vec::new();
    fetcher.cache().read(stored).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}
