//! Names of hosts are looked up once for many requests.
//!
//! `ureq` looks the name up for each request, also when a connection is open already; with hundreds of small files a slow
//! name server would decide how long they take.

use super::download::now;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(60);

/// The system's resolver, and what it said.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: Arc<Mutex<Known>>,
}

/// Locked for each name alone.
type Known = BTreeMap<String, Arc<Mutex<Option<Answer>>>>;

/// What was said, and when.
#[derive(Debug)]
enum Answer {
    Addresses(Instant, Vec<SocketAddr>),
    Failure(Instant, String),
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let key = format!("{:?} {:?} {:?}", uri.scheme_str(), uri.host(), uri.port_u16());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let asked = now();
        // Whoever else wants the same name waits for the same answer, also if there is none.
        let mut answer = known.lock().unwrap_or_else(PoisonError::into_inner);
        match answer.as_ref() {
            Some(Answer::Failure(when, why)) if *when > asked => {
                return Err(Error::Io(io::Error::other(why.clone())));
            }
            Some(Answer::Addresses(when, found)) if when.elapsed() < FRESH => {
                let mut addresses = self.empty();
                found.iter().for_each(|address| addresses.push(*address));
                return Ok(addresses);
            }
            _ => {}
        }
        let found = DefaultResolver::default().resolve(uri, config, timeout);
        *answer = Some(match &found {
            Ok(addresses) => Answer::Addresses(now(), addresses.iter().copied().collect()),
            Err(Error::Io(error)) => Answer::Failure(now(), error.to_string()),
            Err(error) => Answer::Failure(now(), error.to_string()),
        });
        found
    }
}
