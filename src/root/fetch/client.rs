//! One request: over which proxy, with whose certificates, through which redirects, and what went wrong.

use super::error::{FetchError, FetchErrorKind};
use super::forward::Forward;
use super::ftp::{Ftp, Transfer};
use super::location::{Credentials, Url};
use super::names::Names;
use super::proxy::{Protocol, Proxy};
use super::{Options, trust};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use ureq::config::{Config, ConfigBuilder};
use ureq::http::header::{AUTHORIZATION, HeaderName, HeaderValue, LOCATION};
use ureq::http::{Request, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::Resolver;
use ureq::unversioned::transport::{
    ConnectProxyConnector, Connector, NextTimeout, RustlsConnector, SocksConnector, TcpConnector,
};
use ureq::{Agent, Body, Error, ProxyProtocol};

/// The most redirects that are followed.
const REDIRECTS_MAX: usize = 10;
/// The most connections that are kept open.
const IDLE_MAX: usize = 64;

/// Makes requests, and keeps connections open.
#[derive(Debug)]
pub(super) struct Client {
    options: Options,
    agents: Mutex<Vec<(Route, Agent)>>,
    names: Names,
    ftp: Ftp,
}

/// What tells connections apart that may not be mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    /// Whether certificates are needed.
    tls: bool,
    proxy: Option<Proxy>,
}

impl Client {
    pub(super) fn new(options: Options) -> Client {
        Client { options, agents: Mutex::new(Vec::new()), names: Names::default(), ftp: Ftp::default() }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Closes all connections, also those that are in use: whoever reads from them gets an error at once.
    pub(super) fn shut_down(&self) {
        let agents = std::mem::take(&mut *self.agents.lock().unwrap_or_else(PoisonError::into_inner));
        agents.into_iter().for_each(|(_, agent)| agent.shutdown());
        self.ftp.shut_down();
    }

    /// Asks an FTP server for a file from a byte on.
    pub(super) fn get_ftp<'a>(
        &'a self,
        url: &'a Url,
        credentials: Option<&Credentials>,
        from: u64,
    ) -> Result<Transfer<'a>, FetchError> {
        if self.options.proxies.holds_ftp(url) {
            let reason =
                "FTP is fetched without a proxy, and the environment names one (ftp_proxy, all_proxy)";
            let hint = format!("no_proxy={} goes there itself; or name an http location", url.host());
            return Err(FetchError::new(FetchErrorKind::Refused, url, reason).hint(hint));
        }
        let timeouts = self.options.timeouts;
        let look_up = || {
            let failed = |error: Error| said(&error, url, url, None);
            let (after, reason) = (timeouts.connect.into(), ureq::Timeout::Resolve);
            let timeout = NextTimeout { after, reason, per_read: None, per_write: None };
            // The resolver knows the schemes of HTTP alone.
            let server = format!("http://{}:{}/", url.host(), url.port());
            let server = Uri::try_from(server).map_err(|error| failed(Error::Http(error.into())))?;
            let found = self.names.resolve(&server, &self.config().build(), timeout).map_err(failed)?;
            Ok(found.iter().copied().collect())
        };
        self.ftp.get(url, credentials, from, timeouts, look_up)
    }

    /// Asks for a file; the response is no redirect. Credentials go to the URL's own host alone.
    pub(super) fn get(
        &self,
        url: &Url,
        credentials: Option<&Credentials>,
        fields: &[(HeaderName, String)],
    ) -> Result<Response<Body>, FetchError> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let credentials = credentials.filter(|_| at.origin() == url.origin());
            let proxy = self.options.proxies.of(&at);
            let failed = |error: Error| said(&error, url, &at, proxy);
            let request = request(&at, credentials, fields).map_err(|error| failed(error.into()))?;
            let response = self.agent(&at, proxy)?.run(request).map_err(failed)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let field = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let nowhere = || FetchError::new(FetchErrorKind::Server, url, "a redirect that leads nowhere");
            at = at
                .redirected(field.ok_or_else(nowhere)?)
                .map_err(|error| FetchError { what: url.to_string(), ..error })?;
        }
        Err(FetchError::new(FetchErrorKind::Refused, url, format!("more than {REDIRECTS_MAX} redirects")))
    }

    fn agent(&self, url: &Url, proxy: Option<&Proxy>) -> Result<Agent, FetchError> {
        let tls = url.is_secure() || proxy.is_some_and(|proxy| proxy.protocol == Protocol::Https);
        let route = Route { tls, proxy: proxy.cloned() };
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, agent)) = agents.iter().find(|(there, _)| *there == route) {
            return Ok(agent.clone());
        }
        let agent = self.new_agent(&route)?;
        agents.push((route, agent.clone()));
        Ok(agent)
    }

    fn new_agent(&self, route: &Route) -> Result<Agent, FetchError> {
        let certificates = if route.tls { trust::certificates(&self.options.trust)? } else { Vec::new() };
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(certificates)))
            .build();
        let direct = self.config().tls_config(tls).build();
        let config = match &route.proxy {
            None => direct.clone(),
            Some(proxy) => {
                let proxy = for_ureq(proxy).map_err(|_| {
                    FetchError::new(FetchErrorKind::Refused, proxy, "not a proxy that can be used")
                })?;
                let tls = direct.tls_config().clone();
                self.config().tls_config(tls).proxy(Some(proxy)).build()
            }
        };
        let credentials = route.proxy.as_ref().and_then(|proxy| proxy.credentials.clone());
        let chain = Forward { direct, credentials }
            .chain(SocksConnector::default())
            .chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(RustlsConnector::default());
        Ok(Agent::with_parts(config, chain, self.names.clone()))
    }

    fn config(&self) -> ConfigBuilder<AgentScope> {
        let Options { timeouts, user_agent, .. } = &self.options;
        Config::builder()
            .proxy(None) // by itself it would read the environment
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(user_agent)
            .accept_encoding("identity")
            .max_idle_connections(IDLE_MAX)
            .max_idle_connections_per_host(self.options.threads.max(1))
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_send_request(Some(timeouts.read))
            .timeout_recv_response(Some(timeouts.read))
            .timeout_per_read(Some(timeouts.read))
            .timeout_per_write(Some(timeouts.read))
    }
}

fn request(
    url: &Url,
    credentials: Option<&Credentials>,
    fields: &[(HeaderName, String)],
) -> Result<Request<()>, ureq::http::Error> {
    let mut request = Request::get(url.request());
    for (name, value) in fields {
        request = request.header(name, value);
    }
    if let Some(credentials) = credentials {
        let mut value = HeaderValue::try_from(credentials.basic())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request.body(())
}

fn for_ureq(proxy: &Proxy) -> Result<ureq::Proxy, Error> {
    let (protocol, here) = match proxy.protocol {
        Protocol::Http => (ProxyProtocol::Http, false),
        Protocol::Https => (ProxyProtocol::Https, false),
        Protocol::Socks5 => (ProxyProtocol::Socks5, true),
        Protocol::Socks5h => (ProxyProtocol::Socks5h, false),
    };
    let builder = ureq::Proxy::builder(protocol).host(&proxy.host).port(proxy.port).resolve_target(here);
    match &proxy.credentials {
        Some(who) => builder.username(who.user()).password(who.password()),
        None => builder,
    }
    .build()
}

/// What went wrong, for `asked`, when `at` was asked.
fn said(error: &Error, asked: &Url, at: &Url, proxy: Option<&Proxy>) -> FetchError {
    use FetchErrorKind::{Connection, Denied, Server, Timeout};
    // Whom it is about, where that is not the host of the URL.
    let whom = match proxy {
        Some(proxy) => format!("proxy {proxy}: "),
        None if at.host() != asked.host() => format!("redirected to {}: ", at.host()),
        None => String::new(),
    };
    let found = |kind, reason: &str| FetchError::new(kind, asked, format!("{whom}{reason}"));
    match error {
        Error::Io(error) => said_io(error, &found),
        Error::Timeout(during) => found(Timeout, &format!("no answer in time ({during})")),
        Error::HostNotFound => found(Connection, "the host is unknown"),
        Error::Rustls(error) => said_tls(error, &found),
        Error::Tls(_) | Error::Pem(_) | Error::TlsRequired => found(FetchErrorKind::Tls, &error.to_string()),
        Error::ConnectProxyFailed(reason) if reason.contains("407") => {
            found(Denied, "it asks for credentials")
                .hint("give them in the proxy's URL: http://user:password@host:port")
        }
        Error::ConnectProxyFailed(reason) => found(Connection, reason),
        Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) | Error::BodyStalled => {
            found(Server, &format!("an answer that is not HTTP: {error}"))
        }
        Error::BadUri(_) => found(FetchErrorKind::Refused, "not a URL that can be asked for"),
        _ => found(Connection, &error.to_string()),
    }
}

pub(super) fn said_io(error: &io::Error, found: &impl Fn(FetchErrorKind, &str) -> FetchError) -> FetchError {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof,
        WouldBlock,
    };
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return said_tls(error, found);
    }
    let connection = |reason: &str| found(FetchErrorKind::Connection, reason);
    match error.kind() {
        ConnectionRefused => connection("connection refused"),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => {
            connection("the connection broke off")
        }
        // The latter is what a socket with a timeout says.
        TimedOut | WouldBlock => found(FetchErrorKind::Timeout, "no answer in time"),
        _ => connection(&error.to_string()),
    }
}

fn said_tls(error: &rustls::Error, found: &impl Fn(FetchErrorKind, &str) -> FetchError) -> FetchError {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer};
    let hint = match error {
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            "is the authority's certificate among the host's (ca-certificates, SSL_CERT_FILE)?"
        }
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => "is the clock of this host right?",
        _ => "look at the certificate of the server: openssl s_client -connect HOST:443",
    };
    found(FetchErrorKind::Tls, &format!("TLS: {error}")).hint(hint)
}

/// What went wrong while a body was read.
pub(super) fn said_of_body(error: &io::Error, asked: &Url) -> FetchError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => said(error, asked, asked, None),
        None => said_io(error, &|kind, reason| FetchError::new(kind, asked, reason)),
    }
}
