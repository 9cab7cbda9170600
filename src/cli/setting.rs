//! What the environment and the common options say, read once.

use super::args::{Common, Timings};
use super::fail::{Code, Failure};
use crate::report::Ink;
use crate::root::fetch::{FetchError, Proxies, Trust};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The time of an image that has no other: 2020-01-01.
pub(super) const DEFAULT_EPOCH: i64 = 1_577_836_800;

/// The surroundings of a command.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// `--seed`
    pub(super) seed: Option<String>,
    /// `--epoch`, else `SOURCE_DATE_EPOCH`.
    pub(super) epoch: Option<i64>,
    /// Threads to use.
    pub(super) threads: usize,
    /// `--work-dir`, if given.
    work_dir: Option<PathBuf>,
    /// Where things that can be made again are kept.
    pub(super) cache_dir: PathBuf,
    /// `--timings`
    pub(super) timings: Option<Timings>,
    /// Where programs are looked for.
    pub(super) path: OsString,
    /// The user's own directory.
    pub(super) home: Option<PathBuf>,
    /// Which characters the user's terminal has, by the locale.
    pub(super) ink: Ink,
    /// The proxies that the environment names, or what is wrong with them.
    pub(super) proxies: Result<Proxies, FetchError>,
    /// The certificate authorities that it names.
    pub(super) trust: Trust,
    /// The download server of `obs:` repositories, where a runtime configuration names one.
    pub(super) obs: Option<String>,
    /// Seconds since 1970: against which signatures are checked; no image knows it.
    pub(super) now: i64,
    temporary: PathBuf,
}

impl Setting {
    /// Reads options and environment.
    #[allow(clippy::disallowed_methods)] // the one place that reads the environment
    pub(super) fn new(common: &Common) -> Result<Setting, Failure> {
        let epoch = match (common.epoch, env::var("SOURCE_DATE_EPOCH")) {
            (Some(epoch), _) => Some(epoch),
            (None, Err(env::VarError::NotPresent)) => None,
            (None, Ok(text)) if text.is_empty() => None,
            (None, text) => Some(text.ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
                let message = "SOURCE_DATE_EPOCH in the environment is not a number of seconds";
                Failure::new(Code::Usage, message).hint("unset it, or give --epoch SECONDS")
            })?),
        };
        let threads = match common.threads {
            Some(threads) => usize::from(threads),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let home = env::var_os("HOME").map(PathBuf::from);
        let cache = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or(home.as_ref().map(|home| home.join(".cache")));
        let temporary = env::temp_dir();
        // locale(7): the first that is set counts.
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env::var_os).find(|one| !one.is_empty());
        let locale = locale.map(|one| one.to_string_lossy().to_lowercase()).unwrap_or_default();
        let ink = if locale.contains("utf-8") || locale.contains("utf8") { Ink::Lines } else { Ink::Ascii };
        let cache_dir = match &common.cache_dir {
            Some(directory) => directory.clone(),
            None => cache.unwrap_or_else(|| temporary.clone()).join("diskwright"),
        };
        Ok(Setting {
            seed: common.seed.clone(),
            epoch,
            threads,
            work_dir: common.work_dir.clone(),
            cache_dir,
            timings: common.timings,
            path: env::var_os("PATH").unwrap_or_default(),
            home: home.filter(|home| !home.as_os_str().is_empty()),
            ink,
            proxies: proxies(),
            trust: Trust { instead: env::var_os("SSL_CERT_FILE").map(PathBuf::from), also: Vec::new() },
            obs: None,
            now: now(),
            temporary,
        })
    }

    /// The same with an epoch, where none was given.
    pub(super) fn of_epoch(&self, epoch: Option<i64>) -> Setting {
        Setting { epoch: self.epoch.or(epoch), ..self.clone() }
    }

    /// Where spools go: beside the output, whose file system must have the room anyway.
    pub(super) fn work_dir(&self, output: Option<&Path>) -> PathBuf {
        match (&self.work_dir, output) {
            (Some(directory), _) => directory.clone(),
            (None, Some(output)) => output.to_owned(),
            (None, None) => self.temporary.clone(),
        }
    }

    /// Where a guest's writes go until it ends: on a disk rather than in memory, where `/tmp` often is.
    pub(super) fn overlay_dir(&self) -> PathBuf {
        match (&self.work_dir, self.temporary == Path::new("/tmp")) {
            (None, true) => PathBuf::from("/var/tmp"),
            _ => self.work_dir(None),
        }
    }

    /// The epoch where nothing but the command line and the environment can say it.
    pub(super) fn epoch_or_default(&self) -> i64 {
        self.epoch.unwrap_or(DEFAULT_EPOCH)
    }
}

/// The variables that curl, wget and apt know; small letters count before capital ones.
#[allow(clippy::disallowed_methods)] // the one place that reads the environment
fn proxies() -> Result<Proxies, FetchError> {
    // A web server hands a client's header to its programs as HTTP_PROXY: only the small one counts.
    let one = |names: &[&str]| names.iter().find_map(|name| env::var(name).ok());
    let http = one(&["http_proxy"]);
    let https = one(&["https_proxy", "HTTPS_PROXY"]);
    let all = one(&["all_proxy", "ALL_PROXY"]);
    let no = one(&["no_proxy", "NO_PROXY"]);
    let ftp = one(&["ftp_proxy", "FTP_PROXY"]);
    let proxies = Proxies::new(http.as_deref(), https.as_deref(), all.as_deref(), no.as_deref());
    Ok(proxies?.with_ftp(ftp.as_deref()))
}

#[allow(clippy::disallowed_methods)] // what signatures and Release files are checked against
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|now| i64::try_from(now.as_secs()).ok()).unwrap_or_default()
}
