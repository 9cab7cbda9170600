//! The proxies of the host, as the variables `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` give them.

use super::error::{FetchError, FetchErrorKind};
use super::location::{Credentials, Url};
use std::fmt;
use std::net::IpAddr;

/// Which proxy serves which host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Whether there is one for FTP.
    ftp: bool,
    except: Vec<Exception>,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) protocol: Protocol,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) credentials: Option<Credentials>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Https,
    /// Names are looked up here.
    Socks5,
    /// Names are looked up there.
    Socks5h,
}

/// What goes to its host itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    All,
    /// A domain and all beneath it, on one port or on all.
    Domain(String, Option<u16>),
    Network(IpAddr, u8),
}

impl Proxies {
    /// Reads the values of the variables; an empty one counts as none. `all` is for schemes that have no value of their
    /// own. A proxy without scheme is `http`. `no` is a list of domains, addresses and networks, between commas or spaces;
    /// `*` is everything.
    ///
    /// # Errors
    /// Kind `Refused`: a value that is no proxy. The text has no credentials.
    pub fn new(
        http: Option<&str>,
        https: Option<&str>,
        all: Option<&str>,
        no: Option<&str>,
    ) -> Result<Proxies, FetchError> {
        let proxy = |value: Option<&str>, name: &str| {
            let value = value.or(all).map(str::trim).filter(|value| !value.is_empty());
            value.map(|value| Proxy::parse(value, name)).transpose()
        };
        let list = no.unwrap_or_default().split([',', ' ', '\t']).map(str::trim);
        let except = list.filter(|item| !item.is_empty()).map(Exception::parse).collect();
        let ftp = all.is_some_and(|all| !all.trim().is_empty());
        Ok(Proxies { http: proxy(http, "http_proxy")?, https: proxy(https, "https_proxy")?, ftp, except })
    }

    /// The same with the value of `ftp_proxy`, where it is set: what is fetched through it is refused.
    pub fn with_ftp(self, value: Option<&str>) -> Proxies {
        Proxies { ftp: value.map_or(self.ftp, |value| !value.trim().is_empty()), ..self }
    }

    /// Whether FTP would have to go through a proxy.
    pub(super) fn holds_ftp(&self, url: &Url) -> bool {
        self.ftp && !self.except.iter().any(|exception| exception.covers(url))
    }

    /// The proxy that serves a URL.
    pub(super) fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.is_secure() { &self.https } else { &self.http };
        let excepted = self.except.iter().any(|exception| exception.covers(url));
        proxy.as_ref().filter(|_| !excepted)
    }
}

impl Proxy {
    fn parse(value: &str, name: &str) -> Result<Proxy, FetchError> {
        let wrong = |reason: &str| {
            FetchError::new(FetchErrorKind::Refused, name, reason)
                .hint("a proxy is http://[user:password@]host:port")
        };
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let protocol = match scheme.to_ascii_lowercase().as_str() {
            "http" => Protocol::Http,
            "https" => Protocol::Https,
            "socks" | "socks5" => Protocol::Socks5,
            "socks5h" => Protocol::Socks5h,
            _ => {
                return Err(wrong("a proxy of a kind that is not used: http, https, socks5 and socks5h are"));
            }
        };
        let (url, credentials) =
            Url::parse(&format!("http://{rest}")).map_err(|_| wrong("not a valid proxy"))?;
        let default = match protocol {
            Protocol::Http => 80,
            Protocol::Https => 443,
            Protocol::Socks5 | Protocol::Socks5h => 1080,
        };
        let port = url.given_port().unwrap_or(default);
        Ok(Proxy { protocol, host: url.host().to_owned(), port, credentials })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.protocol)
    }
}

impl Exception {
    fn parse(item: &str) -> Exception {
        if item == "*" {
            return Exception::All;
        }
        let bare = item.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Exception::Network(address, u8::MAX);
        }
        let network = item
            .split_once('/')
            .and_then(|(address, bits)| Some((address.parse().ok()?, bits.parse().ok()?)));
        if let Some((address, bits)) = network {
            return Exception::Network(address, bits);
        }
        let (domain, port) = match item.rsplit_once(':') {
            Some((domain, port)) if port.parse::<u16>().is_ok() => (domain, port.parse().ok()),
            _ => (item, None),
        };
        let domain = domain.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        Exception::Domain(domain.to_ascii_lowercase(), port)
    }

    fn covers(&self, url: &Url) -> bool {
        let host = url.host().trim_end_matches('.');
        match self {
            Exception::All => true,
            Exception::Domain(domain, port) => {
                let beneath = host
                    .strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                beneath && port.is_none_or(|port| port == url.port())
            }
            Exception::Network(network, bits) => {
                let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
                address.is_ok_and(|address| same_network(*network, address, *bits))
            }
        }
    }
}

/// Whether the first `bits` bits are the same; all, where there are not so many.
fn same_network(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let differ = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros().min(32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        _ => return false,
    };
    let len = if one.is_ipv4() { 32 } else { 128 };
    differ >= u32::from(bits).min(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(proxies: &'a Proxies, url: &str) -> Option<&'a Proxy> {
        proxies.of(&Url::parse(url).unwrap().0)
    }

    #[test]
    fn values_are_read_as_other_programs_read_them() {
        let proxies =
            Proxies::new(Some("http://us:pa%20ss@proxy:3128/"), None, Some("socks5h://[::1]"), None).unwrap();
        let http = of(&proxies, "http://h/").unwrap();
        assert_eq!((http.protocol, http.host.as_str(), http.port), (Protocol::Http, "proxy", 3128));
        assert_eq!(http.credentials, Some(Credentials::new("us", "pa ss")));
        let https = of(&proxies, "https://h/").unwrap();
        assert_eq!((https.protocol, https.host.as_str(), https.port), (Protocol::Socks5h, "[::1]", 1080));
        assert!(!format!("{proxies:?}").contains("pa"));
        // An empty value is a proxy that is not there, even beside `all_proxy`.
        let proxies = Proxies::new(Some(""), Some("proxy"), Some("other"), Some("")).unwrap();
        assert_eq!(of(&proxies, "http://h/"), None);
        assert_eq!(of(&proxies, "https://h/").map(|proxy| proxy.port), Some(80));
        for wrong in ["quic://x", "http://user:secret@", "http://user:secret@h:port"] {
            let error = Proxies::new(Some(wrong), None, None, None).unwrap_err();
            assert!(
                error.to_string().starts_with("http_proxy: ") && !error.to_string().contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn exceptions_go_direct() {
        let no = "localhost, .inside.example,*.star.example host.example:8080 192.168.0.0/16,fe80::/10,[::1],10.1.2.3";
        let proxies = Proxies::new(Some("proxy"), Some("proxy"), None, Some(no)).unwrap();
        let direct = [
            "http://localhost/",
            "https://a.inside.example/",
            "http://inside.example/",
            "http://star.example/",
            "http://a.star.example/",
            "http://host.example:8080/",
            "http://192.168.7.1/",
            "http://[fe80::1]/",
            "http://[::1]:99/",
            "http://10.1.2.3/",
        ];
        for url in direct {
            assert_eq!(of(&proxies, url), None, "{url}");
        }
        let through = [
            "http://notlocalhost/",
            "http://host.example/",
            "http://192.169.0.1/",
            "http://[::2]/",
            "http://10.1.2.4/",
            "http://inside.example.org/",
        ];
        for url in through {
            assert!(of(&proxies, url).is_some(), "{url}");
        }
        let none = Proxies::new(Some("proxy"), None, None, Some("*")).unwrap();
        assert_eq!(of(&none, "http://h/"), None);
    }
}
