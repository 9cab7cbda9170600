//! Where a file is: a URL (RFC 3986) without its credentials, or a path.

use super::digest::Digest;
use super::error::{FetchError, FetchErrorKind};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The longest URL in bytes.
const LEN_MAX: usize = 8 << 10;

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// On a server.
    Url(Url),
    /// On this host.
    File(PathBuf),
}

/// An `http`, `https` or `ftp` URL that names a file. It holds no credentials and no fragment. Its query may be a secret (a token):
/// it is not shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    scheme: Scheme,
    /// Lower case; brackets around an IPv6 address.
    host: String,
    port: Option<u16>,
    /// Path and query, which begin with `/`; printable ASCII.
    target: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scheme {
    Http,
    Https,
    Ftp,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Ftp => "ftp",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
            Scheme::Ftp => 21,
        }
    }
}

/// A name and a password. They are never printed: neither by `Debug` nor in an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// Who somebody is, and how it is proved.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials { user: user.into(), password: password.into() }
    }

    /// The value of an `Authorization` field, "Basic" scheme (RFC 7617).
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// As they stand in front of `@`, percent-encoded.
    fn parse(text: &str) -> Credentials {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let plain = |text| String::from_utf8_lossy(&decoded(text)).into_owned();
        Credentials::new(plain(user), plain(password))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Location {
    /// Reads a URL (`http`, `https`, `ftp`, `file`) or a path, which is relative to `base`. Credentials in a URL are taken out.
    ///
    /// # Errors
    /// Kind `Refused`: no such URL, or a scheme that is not fetched.
    pub fn parse(text: &str, base: &Path) -> Result<(Location, Option<Credentials>), FetchError> {
        let path = |path: &str| Ok((Location::File(base.join(path)), None));
        let Some((scheme, rest)) = text.split_once(':') else { return path(text) };
        match (scheme.to_ascii_lowercase().as_str(), rest.strip_prefix("//")) {
            ("http" | "https" | "ftp", Some(_)) => {
                Url::parse(text).map(|(url, credentials)| (Location::Url(url), credentials))
            }
            ("file", _) => file(rest).map(|path| (Location::File(path), None)),
            ("ftps", Some(_)) => Err(refused(&without_credentials(text), "FTP over TLS is not fetched")
                .hint("give the https location of the same files")),
            (_, Some(_)) => {
                let reason = "not a location that is fetched: http, https, ftp, file and paths are";
                Err(refused(&without_credentials(text), reason))
            }
            _ => path(text),
        }
    }

    /// The file at a relative path beneath this one, which is taken for a directory. The path is plain text, not encoded.
    ///
    /// # Errors
    /// Kind `Refused`: the path is absolute, empty, or leads out (`..`).
    pub fn join(&self, path: &str) -> Result<Location, FetchError> {
        let mut parts = Path::new(path).components();
        let inside = parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside || path.is_empty() || path.contains('\0') {
            return Err(refused(&self.to_string(), &format!("a path that does not lie beneath it: {path}")));
        }
        match self {
            Location::File(directory) => Ok(Location::File(directory.join(path))),
            Location::Url(url) => url.join(path).map(Location::Url),
        }
    }

    /// What tells it from others: the digest of the whole URL, query included, or of the path.
    pub(super) fn key(&self) -> Digest {
        match self {
            Location::Url(url) => Digest::of(url.request().as_bytes()),
            Location::File(path) => Digest::of(path.as_os_str().as_bytes()),
        }
    }

    /// Its last part, for people: `InRelease`, `linux-image-6.1.deb`.
    pub fn name(&self) -> String {
        match self {
            Location::File(path) => {
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Location::Url(url) => {
                let last = url.path().rsplit('/').find(|part| !part.is_empty()).unwrap_or(&url.host);
                String::from_utf8_lossy(&decoded(last)).into_owned()
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Url(url) => url.fmt(f),
            Location::File(path) => path.display().fmt(f),
        }
    }
}

impl Url {
    /// Reads an `http`, `https` or `ftp` URL, and the credentials in front of its host. A fragment is left out; bytes that no URL
    /// may have (spaces, what is not ASCII) are encoded.
    ///
    /// # Errors
    /// Kind `Refused`; the text never has the credentials.
    pub fn parse(text: &str) -> Result<(Url, Option<Credentials>), FetchError> {
        let shown = without_credentials(text);
        let wrong = |reason: &str| refused(&shown, reason);
        if text.len() > LEN_MAX {
            let reason = format!("a URL of {} bytes: {LEN_MAX} are the limit", text.len());
            return Err(refused(&shown.chars().take(80).collect::<String>(), &reason));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("no URL"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ftp" => Scheme::Ftp,
            _ => return Err(wrong("neither http nor https nor ftp")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place).ok_or_else(|| wrong("no valid host and port"))?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        let target = encoded(&format!("{slash}{target}"), |byte| {
            byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
        });
        Ok((Url { scheme, host, port, target }, user.map(Credentials::parse)))
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Whether it is `ftp`.
    pub fn is_ftp(&self) -> bool {
        self.scheme == Scheme::Ftp
    }

    /// Its path as FTP asks for it: absolute, not encoded.
    ///
    /// # Errors
    /// Kind `Refused`: a query, or what cannot stand in a command.
    pub(super) fn ftp_path(&self) -> Result<String, FetchError> {
        let path = String::from_utf8(decoded(self.path())).ok();
        let path = path.filter(|path| !path.contains(char::is_control) && !self.target.contains('?'));
        path.ok_or_else(|| refused(&self.to_string(), "a name that FTP cannot ask for"))
    }

    /// The host, in lower case; brackets around an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's if it names none.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.port())
    }

    /// The port that it names.
    pub(super) fn given_port(&self) -> Option<u16> {
        self.port
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> (bool, &str, u16) {
        (self.is_secure(), &self.host, self.port())
    }

    /// What a request is made with, query included.
    pub(super) fn request(&self) -> String {
        format!("{}{}", self.before_target(), self.target)
    }

    fn before_target(&self) -> String {
        let scheme = self.scheme.name();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{}{port}", self.host)
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn join(&self, path: &str) -> Result<Url, FetchError> {
        if self.target.contains('?') {
            return Err(refused(&self.to_string(), "a URL with a query has no files beneath it"));
        }
        // A plus is a space for some servers, so that APT encodes it, too.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@!$&'()*,;=".contains(&byte);
        let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
        let path = parts.map(|part| encoded(part, plain)).collect::<Vec<_>>().join("/");
        Ok(Url { target: format!("{}/{path}", self.target.trim_end_matches('/')), ..self.clone() })
    }

    /// Where a `Location` field of a response for this URL leads (RFC 9110, section 10.2.2; RFC 3986, section 5.2).
    ///
    /// # Errors
    /// Kind `Refused`: no `http` or `https` URL, or away from `https`.
    pub(super) fn redirected(&self, field: &str) -> Result<Url, FetchError> {
        let scheme = self.scheme.name();
        let text = match field {
            // A path may have colons behind its first slash.
            _ if field.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) => {
                field.to_owned()
            }
            _ if field.starts_with("//") => format!("{scheme}:{field}"),
            _ => {
                let query = field.find('?').unwrap_or(field.len());
                let (path, query) = field.split_at(query);
                let above = self.path().rsplit_once('/').map_or("", |(above, _)| above);
                let path = match path {
                    "" => self.path().to_owned(),
                    _ if path.starts_with('/') => without_dots(path),
                    _ => without_dots(&format!("{above}/{path}")),
                };
                format!("{}{path}{query}", self.before_target())
            }
        };
        // What the other side wrote is shown nowhere: it may hold tokens.
        let url = Url::parse(&text).ok().map(|(url, _)| url).filter(|url| !url.is_ftp());
        let url =
            url.ok_or_else(|| refused(&self.to_string(), "it redirects to what is no http or https URL"))?;
        match self.is_secure() && !url.is_secure() {
            true => {
                let reason = format!("it redirects from https to http, on host {}", url.host);
                Err(refused(&self.to_string(), &reason))
            }
            false => Ok(url),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = if self.target.contains('?') { "?***" } else { "" };
        write!(f, "{}{}{query}", self.before_target(), self.path())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn refused(what: &str, reason: &str) -> FetchError {
    FetchError::new(FetchErrorKind::Refused, what, reason)
}

/// The text of a URL that could not be read, without what may be credentials: all between `//` and the last `@`, and the
/// query.
fn without_credentials(text: &str) -> String {
    let text = text.split('?').next().unwrap_or_default();
    match (text.find("//"), text.rfind('@')) {
        (Some(slashes), Some(at)) if slashes + 2 <= at => {
            format!("{}{}", &text[..slashes + 2], &text[at + 1..])
        }
        _ => text.to_owned(),
    }
}

/// The path of `file:` (RFC 8089): `/path`, `///path`, `//localhost/path`.
fn file(rest: &str) -> Result<PathBuf, FetchError> {
    let path = match rest.strip_prefix("//") {
        Some(behind) => behind.strip_prefix("localhost").unwrap_or(behind),
        None => rest,
    };
    let bytes = decoded(path);
    match bytes.first() {
        Some(b'/') if !bytes.contains(&0) => Ok(PathBuf::from(OsString::from_vec(bytes))),
        _ => Err(refused(&format!("file:{rest}"), "a file: location needs an absolute path")
            .hint("file:///path/to/file")),
    }
}

/// Host in lower case and port.
fn host_and_port(place: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match place.rfind(':') {
        Some(colon) if !place[colon..].contains(']') => (&place[..colon], &place[colon + 1..]),
        _ => (place, ""),
    };
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    let valid = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    (valid && !host.is_empty() && port != Some(0)).then(|| (host.to_ascii_lowercase(), port))
}

/// Percent-encodes what is not `plain`.
fn encoded(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// Takes percent-encoding away, where it is valid.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = Path::new(text).as_os_str().as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let value = digits.filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match value.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| bytes[at] == b'%') {
            Some(value) => {
                plain.push(value);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    plain
}

/// RFC 3986, section 5.2.4, of an absolute path.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = path.split('/').skip(1).peekable();
    while let Some(part) = rest.next() {
        let last = rest.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    parts.pop();
                }
                if last {
                    parts.push("");
                }
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap().0
    }

    #[test]
    fn urls_are_read_and_written() {
        for (text, shown) in [
            ("http://Deb.Example.ORG/debian", "http://deb.example.org/debian"),
            ("https://h:8443", "https://h:8443/"),
            ("HTTP://[::1]:80/a b/\u{e4}?x=1#part", "http://[::1]:80/a%20b/%C3%A4?x=1"),
            ("http://h/%7euser/a+b", "http://h/%7euser/a+b"),
            ("http://h?q", "http://h/?q"),
        ] {
            assert_eq!(url(text).request(), shown);
            assert_eq!(url(shown), url(text), "read back");
        }
        let wrong = [
            "http://",
            "http:///x",
            "http://h:0/",
            "http://h:x/",
            "http://h:70000/",
            "http://a b/",
            "http://[::g]/",
            "http://\u{e4}/",
        ];
        for text in wrong {
            assert_eq!(Url::parse(text).unwrap_err().kind, FetchErrorKind::Refused, "{text}");
        }
        assert!(Url::parse(&format!("http://h/{}", "x".repeat(LEN_MAX))).is_err());
    }

    #[test]
    fn credentials_are_taken_out() {
        let (url, credentials) = Url::parse("https://us%40er:pa:s%2fs@h/x@y").unwrap();
        assert_eq!(url.to_string(), "https://h/x@y");
        let (asked, _) = Url::parse("https://h/x?token=secret").unwrap();
        assert_eq!(
            (asked.to_string().as_str(), asked.request().ends_with("secret")),
            ("https://h/x?***", true)
        );
        let [one, other] = ["a", "b"].map(|token| Location::Url(self::url(&format!("https://h/x?{token}"))));
        assert!(one.key() != other.key());
        assert_eq!(credentials, Some(Credentials::new("us@er", "pa:s/s")));
        // RFC 7617, section 2.
        assert_eq!(Credentials::new("Aladdin", "open sesame").basic(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let here = Path::new("/");
        let wrong = [
            "ftps://user:secret@h/x",
            "ftps://h/x?secret",
            "http://h:x/?secret",
            "gopher://user:secret@h/x",
            "http://user:secret@h:x/",
            "http://user:se/secret@h/",
            "http://user:secret@/",
        ];
        for text in wrong {
            let result = Location::parse(text, here);
            assert!(!format!("{result:?}").contains("secret"), "{result:?}");
        }
        assert!(!format!("{:?}", Url::parse("http://user:secret@h/")).contains("secret"));
    }

    #[test]
    fn paths_are_locations_too() {
        let at = |text: &str| Location::parse(text, Path::new("/base")).unwrap().0;
        let file = |path: &str| Location::File(PathBuf::from(path));
        assert_eq!(at("a/b"), file("/base/a/b"));
        assert_eq!(at("/a:b"), file("/a:b"));
        assert_eq!(at("a:b"), file("/base/a:b"));
        assert_eq!(at("file:///a%20b"), file("/a b"));
        assert_eq!(at("file:/a"), file("/a"));
        assert_eq!(at("file://localhost/a"), file("/a"));
        assert!(Location::parse("file://other/a", Path::new("/")).is_err());
        let error = Location::parse("ftps://h/x", Path::new("/")).unwrap_err();
        assert!(error.hint.unwrap().contains("https"));
        let path = |text: &str| url(text).ftp_path();
        assert_eq!(path("ftp://h/a%20b/%C3%A4.deb").unwrap(), "/a b/\u{e4}.deb");
        assert_eq!((url("FTP://h").port(), path("ftp://h:2121").unwrap().as_str()), (21, "/"));
        for text in ["ftp://h/a%0d%0aDELE%20b", "ftp://h/a?b", "ftp://h/%ff"] {
            assert_eq!(path(text).unwrap_err().kind, FetchErrorKind::Refused, "{text}");
        }
    }

    #[test]
    fn joins_stay_beneath() {
        let base = Location::Url(url("http://h/debian/"));
        let joined = base.join("pool/main/g/g++/g++_1%2_~x y.deb").unwrap();
        assert_eq!(joined.to_string(), "http://h/debian/pool/main/g/g%2B%2B/g%2B%2B_1%252_~x%20y.deb");
        assert_eq!(joined.name(), "g++_1%2_~x y.deb");
        assert_eq!(base.join("./a//b").unwrap().to_string(), "http://h/debian/a/b");
        for path in ["", "/etc/passwd", "../x", "a/../../x"] {
            assert!(base.join(path).is_err() && Location::File("/d".into()).join(path).is_err(), "{path}");
        }
        assert!(Location::Url(url("http://h/x?y")).join("a").is_err());
    }

    #[test]
    fn redirects_are_resolved() {
        let from = url("https://h:1/a/b/c?q");
        for (field, to) in [
            ("https://other/x?token=1", "https://other/x?token=1"),
            ("//other/x", "https://other/x"),
            ("/x:y", "https://h:1/x:y"),
            ("x", "https://h:1/a/b/x"),
            ("../x/./y?z=../", "https://h:1/a/x/y?z=../"),
            ("../../../..", "https://h:1/"),
            ("?z", "https://h:1/a/b/c?z"),
        ] {
            assert_eq!(from.redirected(field).unwrap().request(), to, "{field}");
        }
        for field in ["http://h/x", "file:///etc/passwd", "ftp://h/x", "mailto:x", "https://"] {
            let error = from.redirected(field).unwrap_err();
            assert_eq!(error.kind, FetchErrorKind::Refused, "{field}");
        }
    }

    proptest! {
        /// Whatever somebody writes: no panic; what is a URL is the same one when it is read back, and can be asked for.
        #[test]
        fn any_text_is_read_or_refused(text in "((https?|ftp)://)?[a-z0-9:@%.\\[\\]]{0,12}[/?#]?\\PC{0,20}", field in "\\PC{0,30}") {
            let _ = Location::parse(&text, Path::new("/"));
            if let Ok((url, _)) = Url::parse(&text) {
                let shown = url.request();
                prop_assert_eq!(&Url::parse(&shown).unwrap().0, &url);
                prop_assert!(ureq::http::Uri::try_from(&shown).is_ok(), "{}", shown);
                let _ = url.ftp_path();
                if let Ok(to) = url.redirected(&field) {
                    prop_assert!(to.is_secure() || !url.is_secure());
                    prop_assert!(ureq::http::Uri::try_from(to.request()).is_ok(), "{}", to);
                }
                if let Ok(beneath) = Location::Url(url).join(&field) {
                    prop_assert!(ureq::http::Uri::try_from(beneath.to_string()).is_ok(), "{}", beneath);
                }
            }
        }

        #[test]
        fn what_is_encoded_is_decoded(text in "\\PC{0,20}") {
            prop_assert_eq!(decoded(&encoded(&text, |_| false)), text.as_bytes());
        }
    }
}
