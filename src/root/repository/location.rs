//! Where repositories, keys and what is in them are: URLs without what opens them, and paths.

use super::source::Runtime;
use crate::describe::{Diagnostic, Lack, Span};
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Longest location and longest path below one that are believed, in bytes.
const LONGEST: usize = 4096;

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// Elsewhere.
    Url(Url),
    /// On this host: absolute, or relative to where the description is.
    Path(PathBuf),
}

/// An `http:`, `https:` or `ftp:` URL without user and password. What follows a question mark may be a secret: it is not
/// shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    /// Without a slash at its end.
    text: String,
    /// With its question mark.
    query: String,
}

/// User and password of a repository. Neither is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Location {
    /// What `path` is below it: a path as [`relative`] gives it. Bytes that an URL cannot have are written as apt does
    /// (`%`, `+` and `~` among them).
    pub fn join(&self, path: &str) -> Location {
        match self {
            Location::Path(base) => Location::Path(base.join(path)),
            Location::Url(Url { text, query }) if path.is_empty() => {
                Location::Url(Url { text: text.clone(), query: query.clone() })
            }
            Location::Url(Url { text, .. }) => {
                Location::Url(Url { text: format!("{text}/{}", quoted(path)), query: String::new() })
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Url(url) => url.fmt(f),
            Location::Path(path) => path.display().fmt(f),
        }
    }
}

impl Url {
    /// What a request is made with, its query included.
    pub fn request(&self) -> String {
        format!("{}{}", self.text, self.query)
    }

    /// Whether a query is part of it.
    pub fn has_query(&self) -> bool {
        !self.query.is_empty()
    }

    /// Host and port: what apt's pins call the origin.
    pub fn authority(&self) -> &str {
        let rest = self.text.split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(authority, _)| authority)
    }

    /// `http`, `https` or `ftp`.
    pub fn scheme(&self) -> &str {
        self.text.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

/// Without the query.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.has_query() { "?***" } else { "" })
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl Credentials {
    /// Of these two.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials { user: user.into(), password: password.into() }
    }

    /// Who asks.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The secret.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// A path in a repository as one that leads nowhere else: without `.` and empty parts. `None`: `..`, an absolute path,
/// control characters, or no path at all.
pub(super) fn relative(text: &str) -> Option<String> {
    let good = !text.starts_with('/') && text.len() <= LONGEST && !text.contains(char::is_control);
    let parts: Vec<&str> = text.split('/').filter(|part| !["", "."].contains(part)).collect();
    (good && !parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

/// What apt quotes in the URLs that it makes (`Acquire::URIEncode`).
fn quoted(path: &str) -> String {
    let one = |byte: u8| match byte {
        b'%' | b'+' | b'~' | b'?' | b'#' | ..=b' ' | 0x7f.. => format!("%{byte:02x}"),
        byte => char::from(byte).to_string(),
    };
    path.bytes().map(one).collect()
}

type Found = Result<(Location, Option<Credentials>), Box<Diagnostic>>;

/// Where a description says that something is. The message of an error never repeats what may be a secret.
pub(super) fn location(text: &str, span: &Span, runtime: &Runtime<'_>) -> Found {
    let wrong = |message: String, hint: &str| Err(Box::new(span.error("bad-location", message).hint(hint)));
    let text = text.replace("%arch", runtime.arch.machine().name());
    if text.len() > LONGEST || text.contains(|c: char| c.is_control()) {
        return wrong("a location that is too long, or has control characters".to_owned(), "");
    }
    if text.starts_with('/') {
        return Ok((Location::Path(clean(Path::new(&text))), None));
    }
    let scheme: String = text.chars().take_while(|c| *c != ':').collect();
    let Some(rest) = text.strip_prefix(&scheme).and_then(|rest| rest.strip_prefix(':')) else {
        let hint = "a location starts with http:, https:, ftp:, file:, dir:, this:, obs: or a slash";
        return wrong(format!("a location without a scheme: {}", shown(&text)), hint);
    };
    match scheme.to_ascii_lowercase().as_str() {
        scheme @ ("http" | "https" | "ftp") => url(scheme, rest).or_else(|message| {
            wrong(message, "SCHEME://HOST/PATH; user and password are attributes of the repository")
        }),
        "file" | "dir" => match local(rest) {
            Some(path) => Ok((Location::Path(clean(Path::new(path))), None)),
            None => wrong(
                format!("no absolute path: {}", shown(&text)),
                "dir:///PATH; what lies beside the description is this://PATH",
            ),
        },
        "this" => match rest.strip_prefix("//").unwrap_or(rest) {
            path if path.starts_with('/') => wrong(
                format!("no relative path: {}", shown(&text)),
                "this://PATH is relative to the description, dir:///PATH is not",
            ),
            path => Ok((Location::Path(clean(&runtime.directory.join(path))), None)),
        },
        "obs" => obs(rest, span, runtime),
        "obsrepositories" => {
            let message = "obsrepositories: stands for what a build service sets, which is not here";
            let hint = "name one in its place: --set-repo LOCATION,apt-deb,...";
            let lack = Lack::new("source@path=obsrepositories:", "");
            Err(Box::new(span.error("unsupported", message).hint(hint).lack(lack)))
        }
        "iso" => {
            let message = "a repository in an ISO image is not supported";
            let hint = "extract the image into a directory, and name that: dir:///PATH";
            let lack = Lack::new("source@path=iso:", "");
            Err(Box::new(span.error("unsupported", message).hint(hint).lack(lack)))
        }
        other => wrong(
            format!("no scheme that is known: {}", shown(other)),
            "known are http:, https:, ftp:, file:, dir:, this: and obs:",
        ),
    }
}

/// A project's repository on a build service's download server (`Uri._obs_project_download_link`): `A:B/C` is `A:/B/C`.
pub(super) fn obs_url(server: &str, project: &str, repository: &str) -> String {
    format!("{}/{}/{repository}", server.trim_end_matches('/'), project.replace(':', ":/"))
}

fn obs(rest: &str, span: &Span, runtime: &Runtime<'_>) -> Found {
    let name = rest.trim_start_matches('/').trim_end_matches('/').replace(":/", ":");
    let Some((project, repository)) = relative(&name)
        .as_deref()
        .and_then(|name| name.rsplit_once('/'))
        .map(|(project, repository)| (project.to_owned(), repository.to_owned()))
    else {
        let message = "obs: needs a project and a repository of it";
        return Err(Box::new(span.error("bad-location", message).hint("obs://PROJECT/REPOSITORY")));
    };
    let text = obs_url(runtime.obs, &project, &repository);
    let found = text.split_once(':').map(|(scheme, rest)| match scheme {
        "http" | "https" | "ftp" => url(scheme, rest),
        _ => Err("obs.download_url: neither http: nor https:".to_owned()),
    });
    let found = found.unwrap_or_else(|| Err("obs.download_url: no URL".to_owned()));
    found.map_err(|message| {
        Box::new(
            span.error("bad-location", message).hint("set obs.download_url in the runtime configuration"),
        )
    })
}

/// The path of `file:` and `dir:`; a host is none of ours.
fn local(rest: &str) -> Option<&str> {
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest),
        None => rest,
    };
    path.starts_with('/').then_some(path)
}

/// An URL out of what follows its scheme.
fn url(scheme: &str, rest: &str) -> Result<(Location, Option<Credentials>), String> {
    let rest = rest.strip_prefix("//").ok_or("an URL without a host")?;
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (place, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let strange = |c: char| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(c);
    if host.is_empty()
        || host.starts_with(':')
        || [host, path, query].iter().any(|part| part.contains(strange))
    {
        return Err("an URL without a host, or with characters that have to be quoted".to_owned());
    }
    if query.starts_with("?credentials=") {
        // A file of libzypp, which apt knows nothing of.
        return Err("a file with credentials is not read for repositories of this kind".to_owned());
    }
    let credentials = user.map(|user| {
        let (user, password) = user.split_once(':').ok_or("a user without a password in the location")?;
        Ok::<Credentials, String>(Credentials { user: unquoted(user)?, password: unquoted(password)? })
    });
    let text = format!("{scheme}://{host}{}", path.trim_end_matches('/'));
    let url = Url { text, query: query.to_owned() };
    Ok((Location::Url(url), credentials.transpose()?))
}

/// Percent-quoted text (RFC 3986, 2.1).
fn unquoted(text: &str) -> Result<String, String> {
    let wrong = || "a user or password that is not percent-quoted as it should be".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(first);
        if first == b'%' {
            let (pair, behind) = rest.split_at_checked(2).ok_or_else(wrong)?;
            let pair =
                std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|one| one.is_ascii_hexdigit()));
            let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
            (rest, *bytes.last_mut().ok_or_else(wrong)?) = (behind, byte);
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    if text.contains(char::is_control) { Err(wrong()) } else { Ok(text) }
}

/// Without `.`; `..` is left to the file system, which knows about links.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// A location for messages, cut, without what stands in front of an `@` or behind a question mark.
fn shown(text: &str) -> String {
    let text = text.split_once('?').map_or(text, |(place, _)| place);
    let text = text.rsplit_once('@').map_or(text, |(_, place)| place);
    text.chars().take(60).collect()
}
