//! Plain HTTP through a proxy: the request line has the whole URL (RFC 9112, section 3.2.2).
//!
//! `ureq` asks every proxy for a tunnel (`CONNECT`), which caches of packages and most others only grant to port 443. So
//! the connection leads to the proxy here, and what is sent is changed on its way.

use super::location::Credentials;
use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Connects to the proxy in place of the server, where both the URL and the proxy are of HTTP.
#[derive(Debug)]
pub(super) struct Forward {
    /// The configuration without the proxy.
    pub(super) direct: Config,
    /// Who we are at the proxy.
    pub(super) credentials: Option<Credentials>,
}

impl Connector for Forward {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Box<dyn Transport>>, Error> {
        let _ = chained;
        let Some(proxy) = details.config.proxy().filter(|proxy| {
            use ureq::ProxyProtocol::{Http, Https};
            !details.needs_tls() && matches!(proxy.protocol(), Http | Https)
        }) else {
            return Ok(None);
        };
        let Some(authority) = details.uri.authority() else { return Err(Error::ConnectionFailed) };
        let inner = (details.run_connector)(&ConnectionDetails {
            uri: proxy.uri(),
            addrs: details.resolver.resolve(proxy.uri(), &self.direct, details.timeout)?,
            config: &self.direct,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        })?;
        let origin = format!("http://{authority}");
        let field = self.credentials.as_ref();
        let field = field.map(|who| format!("Proxy-Authorization: {}\r\n", who.basic())).unwrap_or_default();
        Ok(Some(Box::new(Forwarded { inner, origin, field })))
    }
}

struct Forwarded {
    inner: Box<dyn Transport>,
    origin: String,
    field: String,
}

impl std::fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Forwarded({})", self.origin)
    }
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    /// The head of a request is written at once, being shorter than the buffer, and has no body.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let head = self.inner.buffers().output().get(..amount).unwrap_or_default();
        let changed = forwarded(head, &self.origin, &self.field);
        let changed = changed.ok_or_else(|| Error::Other("no whole GET request".into()))?;
        let mut rest = changed.as_slice();
        while !rest.is_empty() {
            let output = self.inner.buffers().output();
            let len = rest.len().min(output.len());
            output[..len].copy_from_slice(&rest[..len]);
            self.inner.transmit_output(len, timeout)?;
            rest = &rest[len..];
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

/// The head of a request to a server as a proxy wants it.
fn forwarded(head: &[u8], origin: &str, field: &str) -> Option<Vec<u8>> {
    let path =
        head.strip_prefix(b"GET ").filter(|rest| rest.starts_with(b"/") && rest.ends_with(b"\r\n\r\n"))?;
    let line = path.windows(2).position(|pair| pair == b"\r\n")? + 2;
    Some([b"GET ", origin.as_bytes(), &path[..line], field.as_bytes(), &path[line..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_line_has_the_whole_url() {
        let head = b"GET /a?b HTTP/1.1\r\nhost: h:8\r\naccept: */*\r\n\r\n";
        let changed = forwarded(head, "http://h:8", "Proxy-Authorization: Basic eDp5\r\n").unwrap();
        let expected = "GET http://h:8/a?b HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\nhost: h:8\r\naccept: */*\r\n\r\n";
        assert_eq!(String::from_utf8(changed).unwrap(), expected);
        for wrong in
            ["", "GET / HTTP/1.1\r\nhost: h\r\n", "POST / HTTP/1.1\r\n\r\n", "GET http://h/ HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(forwarded(wrong.as_bytes(), "http://h", ""), None, "{wrong}");
        }
    }
}
