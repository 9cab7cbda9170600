//! Files of FTP servers: the same cache, digests and limits as over HTTP, and every fault ends soon with a message.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use diskwright::root::fetch::{
    Credentials, FetchErrorKind, Fetcher, Options, Progress, Proxies, Silent, Timeouts, Wanted,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::fetching::{self, asked, bytes, fetcher, latest, one, wanted};
use support::ftp::{Fault, Manners, Server};
use support::noise;
use tempfile::TempDir;

/// Long enough for a busy machine, short enough for a test.
const SOON: Duration = Duration::from_secs(15);

fn quick() -> Options {
    fetching::quick(1)
}

/// How often a command was given.
fn count(server: &Server, command: &str) -> usize {
    server.seen().iter().filter(|line| line.starts_with(command)).count()
}

#[test]
fn files_come_in_parallel_over_few_connections_and_stay() {
    let bodies: Vec<Vec<u8>> = (0..30).map(|number| noise(number, 1000 + 9000 * number as usize)).collect();
    let (served, scratch) = (bodies.clone(), TempDir::new().unwrap());
    let server = Server::start(Manners::default(), move |path| {
        served.get(path.strip_prefix("/pool/a b/")?.parse::<usize>().ok()?).cloned()
    });
    let list: Vec<Wanted> = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| wanted(&server.url("", &format!("/pool/a%20b/{number}")), body))
        .collect();
    let fetcher = fetcher(&scratch, Options { threads: 4, ..quick() });
    let stored = fetcher.fetch(&list, &Silent).unwrap();
    for (stored, body) in stored.iter().zip(&bodies) {
        assert_eq!(bytes(&fetcher, stored), *body);
    }
    assert!(server.connections() <= 4, "{} connections", server.connections());
    assert_eq!((count(&server, "RETR"), count(&server, "PASS diskwright@")), (30, server.connections()));
    let offline = Fetcher::new(fetcher.cache().clone(), Options { offline: true, ..quick() });
    assert_eq!(offline.fetch(&list, &Silent).unwrap(), stored);
    let error = one(&offline, &wanted(&server.url("", "/other"), b"other")).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Offline);
    assert_eq!(count(&server, "RETR"), 30);
}

#[test]
fn what_is_asked_for_anew_is_what_is_there_now() {
    let (there, scratch) = (std::sync::Arc::new(Mutex::new(b"one".to_vec())), TempDir::new().unwrap());
    let served = there.clone();
    let server = Server::start(Manners { fault: Fault::Leave, ..Manners::default() }, move |_| {
        Some(served.lock().unwrap().clone())
    });
    let (fetcher, file) = (fetcher(&scratch, quick()), asked(&server.url("", "/InRelease")));
    for body in [&b"one"[..], b"two", b"two", &[7; 1 << 20]] {
        *there.lock().unwrap() = body.to_vec();
        assert_eq!(bytes(&fetcher, &latest(&fetcher, &file).unwrap()), body);
    }
    let offline = Fetcher::new(fetcher.cache().clone(), Options { offline: true, ..quick() });
    assert_eq!(latest(&offline, &file).unwrap().size, 1 << 20);
    there.lock().unwrap().push(7);
    assert_eq!(latest(&fetcher, &file).unwrap_err().kind, FetchErrorKind::TooLarge);
}

#[test]
fn old_servers_do_and_name_no_other_host() {
    let body = noise(1, 300_000);
    for unknown in [vec!["EPSV"], vec!["SIZE"], vec!["EPSV", "SIZE", "REST"]] {
        let (served, scratch) = (body.clone(), TempDir::new().unwrap());
        let manners = Manners { unknown: unknown.clone(), ..Manners::default() };
        let server = Server::start(manners, move |_| Some(served.clone()));
        let fetcher = fetcher(&scratch, quick());
        let stored = one(&fetcher, &wanted(&server.url("", "/x"), &body))
            .unwrap_or_else(|error| panic!("{unknown:?}: {error}"));
        assert_eq!(bytes(&fetcher, &stored), body);
        assert_eq!(count(&server, "PASV"), usize::from(unknown.contains(&"EPSV")), "{unknown:?}");
    }
}

#[test]
fn what_broke_off_goes_on_where_it_stopped() {
    let body = noise(2, 500_000);
    for (unknown, resumed) in [(vec![], true), (vec!["REST"], false)] {
        let (served, scratch) = (body.clone(), TempDir::new().unwrap());
        let manners = Manners { unknown, fault: Fault::Cut(200_000, 1), ..Manners::default() };
        let server = Server::start(manners, move |_| Some(served.clone()));
        let fetcher = fetcher(&scratch, quick());
        let stored = one(&fetcher, &wanted(&server.url("", "/x"), &body)).unwrap();
        assert_eq!(bytes(&fetcher, &stored), body);
        assert!(server.seen().contains(&"REST 200000".to_owned()), "{:?}", server.seen());
        assert_eq!(count(&server, "RETR"), 2);
        let last = server.seen().iter().rev().nth(1).cloned().unwrap_or_default();
        assert_eq!(last.starts_with("REST"), resumed, "{:?}", server.seen());
    }
    // Another process begins where one was ended.
    let (served, scratch) = (body.clone(), TempDir::new().unwrap());
    let server = Server::start(Manners { fault: Fault::Cut(200_000, 1), ..Manners::default() }, move |_| {
        Some(served.clone())
    });
    let file = wanted(&server.url("", "/x"), &body);
    let first = one(&fetcher(&scratch, Options { retries: 0, ..quick() }), &file).unwrap_err();
    assert_eq!(first.kind, FetchErrorKind::Connection, "{first}");
    let second = fetcher(&scratch, quick());
    assert_eq!(bytes(&second, &one(&second, &file).unwrap()), body);
    assert_eq!(count(&server, "REST 200000"), 1);
}

#[test]
fn who_needs_a_password_gets_it() {
    let (scratch, manners) =
        (TempDir::new().unwrap(), Manners { user: Some(("us er", "ge@heim")), ..Manners::default() });
    let server = Server::start(manners, |_| Some(b"x".to_vec()));
    let fetcher = fetcher(&scratch, quick());
    let right = asked(&server.url("us%20er:ge%40heim@", "/x"));
    assert_eq!(right.credentials, Some(Credentials::new("us er", "ge@heim")));
    latest(&fetcher, &right).unwrap();
    for (user, hint) in [("us%20er:geheim@", "are user and password right"), ("", "does the repository need")]
    {
        let error = latest(&fetcher, &asked(&server.url(user, "/x"))).unwrap_err();
        assert_eq!(error.kind, FetchErrorKind::Denied, "{error}");
        assert!(
            error.hint.as_ref().unwrap().contains(hint) && !format!("{error:?}").contains("heim"),
            "{error:?}"
        );
    }
}

#[test]
fn every_fault_ends_soon_and_is_named() {
    let body = noise(3, 300_000);
    let with = |fault| Manners { fault, ..Manners::default() };
    let rows = [
        (with(Fault::Hang(1000)), FetchErrorKind::Timeout, "no answer in time"),
        (with(Fault::Silence), FetchErrorKind::Timeout, "no answer in time"),
        (with(Fault::Drip(Duration::from_millis(300))), FetchErrorKind::Timeout, "no answer in time"),
        (with(Fault::Garbage), FetchErrorKind::Server, "an answer that is not FTP"),
        (with(Fault::Busy), FetchErrorKind::Server, "the server has a fault (FTP reply 421)"),
        (with(Fault::Cut(1000, 9)), FetchErrorKind::Connection, "after 1000 of 300000 bytes"),
        (with(Fault::None), FetchErrorKind::Mismatch, "wrong SHA-256"),
    ];
    for (manners, kind, said) in rows {
        let (shown, begun, scratch) = (format!("{manners:?}"), Instant::now(), TempDir::new().unwrap());
        let mut other = body.clone();
        other[0] ^= u8::from(kind == FetchErrorKind::Mismatch);
        let server = Server::start(manners, move |_| Some(other.clone()));
        let fetcher = fetcher(&scratch, Options { retries: 0, ..quick() });
        let error = one(&fetcher, &wanted(&server.url("", "/x"), &body)).unwrap_err();
        assert!(error.kind == kind && error.to_string().contains(said), "{shown}: {error:?}");
        assert!(begun.elapsed() < SOON, "{shown}: {:?}", begun.elapsed());
    }
    let scratch = TempDir::new().unwrap();
    let server = Server::start(Manners::default(), |path| (path == "/long").then(|| vec![0; 2 << 20]));
    let fetcher = fetcher(&scratch, quick());
    let error = |path: &str| latest(&fetcher, &asked(&server.url("", path))).unwrap_err();
    assert_eq!(
        (error("/none").kind, error("/long").kind),
        (FetchErrorKind::Missing, FetchErrorKind::TooLarge)
    );
    let address = server.address();
    drop(server);
    // The thread that listens is gone when it has heard of it.
    let until = Instant::now() + SOON;
    while std::net::TcpStream::connect(address).is_ok() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    let fetcher = self::fetcher(&scratch, Options { retries: 0, ..quick() });
    let error = latest(&fetcher, &asked(&format!("ftp://{address}/x"))).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Connection, "{error}");
}

/// Gives up when it was asked often enough.
struct Impatient(AtomicUsize);

impl Progress for Impatient {
    fn cancelled(&self) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst) > 5
    }
}

#[test]
fn cancelling_ends_it_at_once() {
    let (body, scratch) = (noise(4, 300_000), TempDir::new().unwrap());
    for fault in [Fault::Hang(1000), Fault::Silence] {
        let served = body.clone();
        let server = Server::start(Manners { fault, ..Manners::default() }, move |_| Some(served.clone()));
        let timeouts = Timeouts { read: Duration::from_secs(60), ..quick().timeouts };
        let fetcher = fetcher(&scratch, Options { timeouts, ..quick() });
        let (begun, file) = (Instant::now(), wanted(&server.url("", "/x"), &body));
        let error = fetcher.fetch(&[file], &Impatient(AtomicUsize::new(0))).unwrap_err();
        assert_eq!(error.kind, FetchErrorKind::Cancelled, "{error}");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_proxy_is_refused_by_name() {
    let server = Server::start(Manners::default(), |_| Some(b"x".to_vec()));
    let file = asked(&server.url("", "/x"));
    let with = |ftp: Option<&str>, all: Option<&str>, no: Option<&str>| {
        let proxies = Proxies::new(None, None, all, no).unwrap().with_ftp(ftp);
        let scratch = TempDir::new().unwrap();
        latest(&fetcher(&scratch, Options { proxies, ..quick() }), &file).map(drop)
    };
    for (ftp, all) in [(Some("http://proxy:3128"), None), (None, Some("socks5://proxy"))] {
        let error = with(ftp, all, None).unwrap_err();
        assert_eq!(error.kind, FetchErrorKind::Refused);
        assert!(
            error.to_string().contains("ftp_proxy") && error.hint.unwrap().contains("no_proxy=127.0.0.1")
        );
        with(ftp, all, Some("127.0.0.0/8")).unwrap();
    }
    with(Some(""), Some("http://proxy"), None).unwrap();
    with(None, None, None).unwrap();
}
