//! Files from elsewhere: what is fetched, what is kept, and that every fault ends soon with a message and leaves nothing.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use diskwright::root::fetch::{
    Cache, Coding, Credentials, Digest, FetchErrorKind, Fetcher, Options, Progress, Proxies, Silent, Size,
    State, Timeouts, Trust, Wanted, decompressed,
};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::fetching::{self, asked, bytes, fetcher, latest, one, wanted};
use support::http::{Fault, Reply, Server};
use support::{listing, noise, oracle, run, skip, tool, write};
use tempfile::TempDir;

/// Long enough for a busy machine, short enough for a test.
const SOON: Duration = Duration::from_secs(10);

fn quick() -> Options {
    fetching::quick(2)
}

/// All files below a directory, relative to it.
fn files(at: &Path) -> Vec<String> {
    let below = |name: String| match at.join(&name) {
        path if path.is_dir() => files(&path).into_iter().map(|file| format!("{name}/{file}")).collect(),
        _ => vec![name],
    };
    if at.is_dir() { listing(at).into_iter().flat_map(below).collect() } else { Vec::new() }
}

/// Nothing is in the cache, whole or half.
#[track_caller]
fn is_empty(fetcher: &Fetcher) {
    assert_eq!(files(fetcher.cache().directory()), Vec::<String>::new());
}

#[test]
fn files_come_in_parallel_over_few_connections_and_stay() {
    let bodies: Vec<Vec<u8>> = (0..40).map(|number| noise(number, 1000 + 9000 * number as usize)).collect();
    let (served, scratch) = (bodies.clone(), TempDir::new().unwrap());
    let busy = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let watched = busy.clone();
    let server = Server::start(move |request| {
        watched.1.fetch_max(watched.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        watched.0.fetch_sub(1, Ordering::SeqCst);
        let number: usize = request.target.rsplit('/').next().unwrap().parse().unwrap();
        Reply::file(request, &served[number])
    });
    let list: Vec<Wanted> = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| wanted(&server.url(&format!("/pool/{number}")), body))
        .collect();
    let fetcher = fetcher(&scratch, Options { threads: 4, ..quick() });
    let seen = Watch::default();
    // The same file twice is fetched once.
    let twice = [&list[..], &list[..1]].concat();
    let stored = fetcher.fetch(&twice, &seen).unwrap();
    assert_eq!(stored.len(), 41);
    for (stored, body) in stored.iter().zip(bodies.iter().chain(&bodies[..1])) {
        assert_eq!(bytes(&fetcher, stored), *body);
        let name = Digest::of(body).to_string();
        assert_eq!(stored.relative(), PathBuf::from(format!("files/sha256/{}/{name}", &name[..2])));
        assert_eq!(fetcher.cache().path(stored), fetcher.cache().directory().join(stored.relative()));
        fetcher.cache().verify(stored).unwrap();
    }
    assert_eq!(server.seen().len(), 40);
    assert!(server.connections() <= 4, "{} connections", server.connections());
    assert!((2..=4).contains(&busy.1.load(Ordering::SeqCst)), "{busy:?} at once");
    let total: u64 = bodies.iter().map(|body| body.len() as u64).sum();
    let last = seen.last();
    assert_eq!((last.bytes, last.total_bytes, last.files, last.total_files), (total, total, 40, 40));

    // All is there: no connection, the same answer, offline too; other processes' files are no matter.
    write(fetcher.cache().directory().join("files/sha256/zz/other"), "x");
    let offline = Fetcher::new(fetcher.cache().clone(), Options { offline: true, ..quick() });
    assert_eq!(offline.fetch(&twice, &Silent).unwrap(), stored);
    assert_eq!(server.seen().len(), 40);
}

/// Remembers what it hears.
#[derive(Default)]
struct Watch {
    states: Mutex<Vec<(u64, u64, usize, usize)>>,
    notes: Mutex<Vec<String>>,
    /// When to give up.
    until: Option<Instant>,
}

struct Last {
    bytes: u64,
    total_bytes: u64,
    files: usize,
    total_files: usize,
}

impl Watch {
    fn last(&self) -> Last {
        let (bytes, total_bytes, files, total_files) = *self.states.lock().unwrap().last().unwrap();
        Last { bytes, total_bytes, files, total_files }
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }
}

impl Progress for Watch {
    fn at(&self, state: &State<'_>) {
        self.states.lock().unwrap().push((state.bytes, state.total_bytes, state.files, state.total_files));
    }

    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }

    fn cancelled(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() > until)
    }
}

/// Every fault: the end comes soon, says what is wrong and where, and leaves no file.
#[test]
fn faults_end_soon_with_a_message_and_leave_nothing() {
    use FetchErrorKind::{Connection, Denied, Mismatch, Missing, Refused, Server as Fault500, Timeout};
    let body = noise(3, 300_000);
    let other = noise(4, 300_000);
    let slow = Duration::from_millis(50);
    // What the server does; the kind; what the message says; how many requests there are.
    type Row = (&'static str, Reply, FetchErrorKind, &'static str, usize);
    let rows: Vec<Row> = vec![
        ("missing", Reply::new(404), Missing, "not found (HTTP status 404)", 1),
        ("gone", Reply::new(410), Missing, "410", 1),
        ("unauthorised", Reply::new(401), Denied, "access denied (HTTP status 401)", 1),
        ("forbidden", Reply::new(403), Denied, "403", 1),
        ("teapot", Reply::new(418), Refused, "418", 1),
        ("fault", Reply::new(500), Fault500, "the server has a fault (HTTP status 500)", 4),
        ("busy", Reply::new(503), Fault500, "503", 4),
        ("many", Reply::new(429), Fault500, "429", 4),
        ("long", Reply::plain(&noise(3, 300_001)), Mismatch, "300000 bytes are wanted, it has 300001", 1),
        ("short", Reply::plain(&body[1..]), Mismatch, "300000 bytes are wanted, it has 299999", 1),
        ("longer than told", Reply::plain(&noise(3, 400_000)).but(Fault::NoLength), Mismatch, "more came", 1),
        (
            "shorter, no length",
            Reply::plain(&body[1..]).but(Fault::NoLength),
            Connection,
            "ended after 299999 of 300000",
            4,
        ),
        ("other", Reply::plain(&other), Mismatch, "wrong SHA-256", 1),
        ("cut", Reply::plain(&body).but(Fault::Cut(0)), Connection, "broke off", 4),
        ("hang", Reply::plain(&body).but(Fault::Hang(0)), Timeout, "no answer in time", 2),
        ("silence", Reply::plain(&body).but(Fault::Silence), Timeout, "no answer in time", 2),
        ("trickle", Reply::plain(&body).but(Fault::Drip(10, slow)), Timeout, "bytes came in 2 s", 2),
        (
            "garbage",
            Reply::plain(&body).but(Fault::Garbage(b"SSH-2.0-x\r\n".to_vec())),
            Fault500,
            "not HTTP",
            4,
        ),
        ("nothing", Reply::plain(&body).but(Fault::Garbage(Vec::new())), Connection, "broke off", 4),
        ("huge head", Reply::new(200).with("X", "x".repeat(200_000)), Fault500, "not HTTP", 4),
        ("loop", Reply::new(302).with("Location", "/x"), Refused, "more than 10 redirects", 11),
        ("nowhere", Reply::new(302), Fault500, "leads nowhere", 4),
        ("file", Reply::new(302).with("Location", "file:///etc/passwd"), Refused, "no http or https URL", 1),
        ("not modified", Reply::new(304), Refused, "304", 1),
        (
            "part",
            Reply::plain(&body[5..]).with("Content-Range", "bytes 5-299999/300000"),
            Mismatch,
            "299995",
            1,
        ),
    ];
    let threads = rows.into_iter().map(|(name, reply, kind, text, requests)| {
        let body = body.clone();
        std::thread::spawn(move || {
            let scratch = TempDir::new().unwrap();
            let server = Server::start(move |_| reply.clone());
            // Those that wait for a timeout need not do so four times.
            let retries = if kind == Timeout { 1 } else { 3 };
            let fetcher = fetcher(&scratch, Options { retries, ..quick() });
            let begun = Instant::now();
            let url = server.url("/dists/x");
            let error = one(&fetcher, &wanted(&url, &body)).unwrap_err();
            assert_eq!(error.kind, kind, "{name}: {error}");
            assert!(
                error.to_string().starts_with(&url) && error.to_string().contains(text),
                "{name}: {error}"
            );
            assert_eq!(server.seen().len(), requests, "{name}");
            assert!(begun.elapsed() < SOON, "{name}: {:?}", begun.elapsed());
            // What can be resumed may stay as a part, never as a file.
            let left = files(fetcher.cache().directory());
            let resumable = matches!(name, "trickle" | "shorter, no length");
            assert!(
                left.is_empty() || resumable && left.len() == 1 && left[0].starts_with("partial/"),
                "{name}: {left:?}"
            );
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn nobody_there() {
    let scratch = TempDir::new().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fetcher = fetcher(&scratch, quick());
    for (url, text) in [
        (format!("http://{closed}/x"), "connection refused"),
        ("http://name.invalid/x".to_owned(), "name.invalid"),
    ] {
        let begun = Instant::now();
        let error = one(&fetcher, &wanted(&url, b"x")).unwrap_err();
        assert_eq!(error.kind, FetchErrorKind::Connection, "{error}");
        assert!(error.kind.is_environment() && error.to_string().contains(text), "{error}");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
    // A server that takes no connection: its queue is full.
    let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = full.local_addr().unwrap();
    let queue: Vec<_> = (0..5000)
        .map_while(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok())
        .collect();
    let begun = Instant::now();
    let fetcher = Fetcher::new(fetcher.cache().clone(), Options { retries: 0, ..quick() });
    let error = one(&fetcher, &wanted(&format!("http://{address}/x"), b"x")).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Timeout, "{error} behind {}", queue.len());
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    is_empty(&fetcher);
}

#[test]
fn what_broke_off_is_resumed() {
    let (body, scratch) = (noise(5, 500_000), TempDir::new().unwrap());
    let served = body.clone();
    // Each answer breaks off after 200000 bytes.
    let server = Server::start(move |request| {
        let reply = Reply::file(request, &served);
        let fault = if reply.body.len() > 200_000 { Fault::Cut(200_000) } else { Fault::None };
        reply.but(fault)
    });
    let fetcher = fetcher(&scratch, quick());
    let seen = Watch::default();
    let stored = fetcher.fetch(&[wanted(&server.url("/x"), &body)], &seen).unwrap();
    assert_eq!(bytes(&fetcher, &stored[0]), body);
    let ranges: Vec<Option<String>> =
        server.seen().iter().map(|request| request.field("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=200000-".into()), Some("bytes=400000-".into())]);
    assert_eq!((seen.last().bytes, seen.last().total_bytes), (500_000, 500_000));
    assert!(
        seen.notes().iter().all(|note| note.ends_with("the connection broke off: trying again")),
        "{:?}",
        seen.notes()
    );

    // From the start, where the server has no ranges; and where it gives others than were asked for.
    for answer in [Reply::plain, |body: &[u8]| {
        Reply { status: 206, ..Reply::plain(body) }.with("Content-Range", "bytes 7-8/9")
    }] {
        let scratch = TempDir::new().unwrap();
        let (served, count) = (body.clone(), AtomicUsize::new(0));
        let server = Server::start(move |request| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::plain(&served).but(Fault::Cut(200_000)),
            _ if request.field("range").is_some() => answer(&served),
            _ => Reply::plain(&served),
        });
        let fetcher = self::fetcher(&scratch, quick());
        let stored = one(&fetcher, &wanted(&server.url("/x"), &body)).unwrap();
        assert_eq!(bytes(&fetcher, &stored), body);
        assert_eq!(files(&fetcher.cache().directory().join("partial")), Vec::<String>::new());
    }
}

/// What an earlier run left of a file is used if it is right, and does no harm if not.
#[test]
fn leftovers_are_resumed_or_replaced() {
    let body = noise(6, 100_000);
    let leftovers = [
        (body[..60_000].to_vec(), vec![Some("bytes=60000-")]),
        (body.clone(), vec![]),
        (vec![0; 60_000], vec![Some("bytes=60000-"), None]),
        (vec![0; 100_000], vec![None]),
        (noise(9, 100_001), vec![None]),
        (vec![], vec![None]),
    ];
    for (left, ranges) in leftovers {
        let (served, scratch) = (body.clone(), TempDir::new().unwrap());
        let server = Server::start(move |request| Reply::file(request, &served));
        let fetcher = fetcher(&scratch, quick());
        let partial = fetcher.cache().directory().join("partial").join(Digest::of(&body).to_string());
        write(&partial, &left);
        let stored = one(&fetcher, &wanted(&server.url("/x"), &body)).unwrap();
        assert_eq!(bytes(&fetcher, &stored), body);
        let seen = server.seen();
        let asked: Vec<Option<&str>> = seen.iter().map(|request| request.field("range")).collect();
        assert_eq!(asked, ranges, "{} bytes were left", left.len());
        assert!(!partial.exists());
    }
}

#[test]
fn damage_in_the_cache_is_found() {
    let (body, scratch) = (noise(7, 5000), TempDir::new().unwrap());
    let served = body.clone();
    let server = Server::start(move |request| Reply::file(request, &served));
    let (fetcher, file) = (fetcher(&scratch, quick()), wanted(&server.url("/x"), &body));
    let stored = one(&fetcher, &file).unwrap();
    let path = fetcher.cache().path(&stored);
    // A crash cut it short: fetched again.
    write(&path, &body[..100]);
    assert_eq!(fetcher.cache().read(&stored).unwrap_err().kind, FetchErrorKind::Disk);
    assert_eq!(one(&fetcher, &file).unwrap(), stored);
    assert_eq!(bytes(&fetcher, &stored), body);
    // A bit flipped: found when it is looked for, deleted, fetched again.
    let mut flipped = body.clone();
    flipped[4000] ^= 1;
    write(&path, &flipped);
    let error = fetcher.cache().verify(&stored).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Mismatch, "{error}");
    assert!(!path.exists() && error.to_string().contains("damaged"), "{error}");
    assert_eq!(one(&fetcher, &file).unwrap(), stored);
    // Everything is gone, the directory too.
    std::fs::remove_dir_all(fetcher.cache().directory()).unwrap();
    assert_eq!(one(&fetcher, &file).unwrap(), stored);
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn latest_asks_whether_something_changed() {
    let scratch = TempDir::new().unwrap();
    let body = Arc::new(Mutex::new(b"one".to_vec()));
    let served = body.clone();
    let server = Server::start(move |request| match request.target.as_str() {
        "/dated" if request.field("if-modified-since") == Some("Sat, 01 Aug 2026 00:00:00 GMT") => {
            Reply::new(304)
        }
        "/dated" => Reply::plain(b"dated").with("Last-Modified", "Sat, 01 Aug 2026 00:00:00 GMT"),
        "/bare" => Reply::plain(b"bare").but(Fault::NoLength),
        "/InRelease" => Reply::file(request, &served.lock().unwrap()),
        "/304" => Reply::new(304),
        "/chunks" => Reply::plain(&noise(1, 5000)).but(Fault::Chunks(999, false)),
        "/chunks-cut" => Reply::plain(&noise(1, 5000)).but(Fault::Chunks(999, true)),
        "/cut" => Reply::plain(&noise(1, 5000)).but(Fault::Cut(4999)),
        "/large" => Reply::plain(&noise(1, (1 << 20) + 1)),
        "/endless" => Reply::plain(&noise(1, (1 << 20) + 1)).but(Fault::NoLength),
        "/500" => Reply::new(500),
        _ => Reply::new(404),
    });
    let fetcher = fetcher(&scratch, quick());
    let offline = Fetcher::new(fetcher.cache().clone(), Options { offline: true, ..quick() });
    let release = asked(&server.url("/InRelease"));
    assert_eq!(latest(&offline, &release).unwrap_err().kind, FetchErrorKind::Offline);
    let get = |text: &str| {
        let stored = latest(&fetcher, &release).unwrap();
        assert_eq!(bytes(&fetcher, &stored), text.as_bytes());
        server.seen().last().unwrap().field("if-none-match").map(str::to_owned)
    };
    assert_eq!(get("one"), None);
    assert!(get("one").is_some());
    *body.lock().unwrap() = b"two".to_vec();
    let first = get("two");
    assert!(get("two") != first, "the new file's ETag");
    assert_eq!(bytes(&fetcher, &latest(&offline, &release).unwrap()), b"two");
    // The note is there, its file is not: asked as if for the first time.
    std::fs::remove_dir_all(fetcher.cache().directory().join("files")).unwrap();
    assert_eq!(latest(&offline, &release).unwrap_err().kind, FetchErrorKind::Offline);
    assert_eq!(get("two"), None);
    // So it is if the note is damaged.
    for note in files(&fetcher.cache().directory().join("latest")) {
        write(fetcher.cache().directory().join("latest").join(note), b"{\"schema\":1}");
    }
    assert_eq!(get("two"), None);

    for _ in 0..2 {
        assert_eq!(bytes(&fetcher, &latest(&fetcher, &asked(&server.url("/dated"))).unwrap()), b"dated");
        assert_eq!(bytes(&fetcher, &latest(&fetcher, &asked(&server.url("/bare"))).unwrap()), b"bare");
    }
    use FetchErrorKind::{Connection, Missing, Server as Fault500, TooLarge};
    let rows = [
        ("/InRelease", None),
        ("/chunks", None),
        ("/304", Some(Fault500)),
        ("/large", Some(TooLarge)),
        ("/endless", Some(TooLarge)),
        ("/chunks-cut", Some(Connection)),
        ("/cut", Some(Connection)),
        ("/500", Some(Fault500)),
        ("/none", Some(Missing)),
    ];
    let results = fetcher.latest(&rows.map(|(path, _)| asked(&server.url(path))), &Silent);
    for ((path, kind), result) in rows.into_iter().zip(results) {
        assert_eq!(result.as_ref().err().map(|error| error.kind), kind, "{path}: {result:?}");
    }
    assert!(server.seen().iter().all(|request| request.field("cache-control") == Some("max-age=0")));
    assert_eq!(files(&fetcher.cache().directory().join("partial")), Vec::<String>::new());
}

#[test]
fn offline_makes_no_connection_and_names_the_first_that_is_missing() {
    let scratch = TempDir::new().unwrap();
    let server = Server::start(|_| Reply::plain(b"here"));
    let here = wanted(&server.url("/here"), b"here");
    one(&fetcher(&scratch, quick()), &here).unwrap();
    let offline = fetcher(&scratch, Options { offline: true, ..quick() });
    let list = [here, wanted(&server.url("/second"), b"2"), wanted(&server.url("/third"), b"3")];
    let error = offline.fetch(&list, &Silent).unwrap_err();
    assert_eq!((error.kind, error.what.as_str()), (FetchErrorKind::Offline, server.url("/second").as_str()));
    assert!(error.kind.is_environment() && error.hint.unwrap().contains("--offline"));
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn what_is_missing_is_looked_for_elsewhere() {
    let scratch = TempDir::new().unwrap();
    let server = Server::start(|request| match &request.target[..] {
        "/there" => Reply::plain(b"body"),
        "/denied" => Reply::new(403),
        _ => Reply::new(404),
    });
    let places = |first: &str, others: &[&str]| {
        let elsewhere = others.iter().map(|path| wanted(&server.url(path), b"").location).collect();
        Wanted { elsewhere, ..wanted(&server.url(first), b"body") }
    };
    let fetcher = fetcher(&scratch, quick());
    let failed = |file: &Wanted| {
        let error = one(&fetcher, file).unwrap_err();
        (error.kind, error.what)
    };
    assert_eq!(failed(&places("/a", &["/b"])), (FetchErrorKind::Missing, server.url("/b")));
    // What is wrong otherwise is not passed over.
    assert_eq!(failed(&places("/denied", &["/there"])), (FetchErrorKind::Denied, server.url("/denied")));
    let stored = one(&fetcher, &places("/a", &["/there", "/denied"])).unwrap();
    assert_eq!(bytes(&fetcher, &stored), b"body");
    let asked: Vec<String> = server.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(asked, ["/a", "/b", "/denied", "/a", "/there"]);
}

#[test]
fn local_files_are_checked_as_others_are() {
    let scratch = TempDir::new().unwrap();
    let (body, path) = (noise(8, 300_000), scratch.path().join("a b.deb"));
    write(&path, &body);
    let fetcher = fetcher(&scratch, Options { offline: true, ..quick() });
    let url = format!("file://{}", path.display().to_string().replace(' ', "%20"));
    assert_eq!(bytes(&fetcher, &latest(&fetcher, &asked(&url)).unwrap()), body);
    std::fs::remove_dir_all(fetcher.cache().directory()).unwrap();
    let stored = one(&fetcher, &wanted(&url, &body)).unwrap();
    assert_eq!(bytes(&fetcher, &stored), body);
    // Now the cache has it.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(one(&fetcher, &wanted(&url, &body)).unwrap(), stored);
    std::fs::remove_dir_all(fetcher.cache().directory()).unwrap();

    let kind = |file: &Wanted| one(&fetcher, file).unwrap_err().kind;
    assert_eq!(kind(&wanted(&url, &body)), FetchErrorKind::Missing);
    assert_eq!(kind(&wanted(&scratch.path().display().to_string(), &body)), FetchErrorKind::Missing);
    write(&path, &body[1..]);
    assert_eq!(kind(&wanted(&url, &body)), FetchErrorKind::Mismatch);
    write(&path, noise(9, 300_000));
    assert_eq!(kind(&wanted(&url, &body)), FetchErrorKind::Mismatch);
    assert_eq!(kind(&Wanted { size: Size::AtMost(1000), ..wanted(&url, &body) }), FetchErrorKind::TooLarge);
    assert_eq!(kind(&wanted("/dev/zero", &body)), FetchErrorKind::Missing);
    is_empty(&fetcher);
}

/// Ctrl-C ends it at once, whatever the server does; what was complete is kept.
#[test]
fn cancelling_ends_it_at_once() {
    let body = noise(10, 400_000);
    for fault in
        [Fault::Silence, Fault::Hang(0), Fault::Hang(200_000), Fault::Drip(5000, Duration::from_millis(100))]
    {
        let (served, scratch, hung) = (body.clone(), TempDir::new().unwrap(), fault.clone());
        let server = Server::start(move |request| match request.target.as_str() {
            "/good" => Reply::plain(b"good"),
            _ => Reply::plain(&served).but(hung.clone()),
        });
        let long = Timeouts { read: Duration::from_secs(60), ..quick().timeouts };
        let fetcher = fetcher(&scratch, Options { timeouts: long, ..quick() });
        let list = [wanted(&server.url("/good"), b"good"), wanted(&server.url("/slow"), &body)];
        let begun = Instant::now();
        let seen = Watch { until: Some(begun + Duration::from_millis(400)), ..Watch::default() };
        let error = fetcher.fetch(&list, &seen).unwrap_err();
        assert_eq!(error.kind, FetchErrorKind::Cancelled, "{fault:?}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{fault:?}: {:?}", begun.elapsed());
        one(&fetcher, &list[0]).unwrap();
        assert_eq!(server.seen().len(), 2, "the good file was kept");
        // What came of the other may go on from there.
        let left = files(&fetcher.cache().directory().join("partial"));
        assert_eq!(
            left.len(),
            usize::from(matches!(fault, Fault::Hang(1..) | Fault::Drip(..))),
            "{fault:?}: {left:?}"
        );
    }
}

/// One file that fails ends the others.
#[test]
fn the_first_failure_ends_the_rest() {
    let scratch = TempDir::new().unwrap();
    let server = Server::start(|request| match request.target.as_str() {
        "/missing" => Reply::new(404),
        _ => Reply::plain(&[0; 1000]).but(Fault::Hang(10)),
    });
    let long = Timeouts { read: Duration::from_secs(60), ..quick().timeouts };
    let fetcher = fetcher(&scratch, Options { timeouts: long, ..quick() });
    let list = [wanted(&server.url("/hang"), &[0; 1000]), wanted(&server.url("/missing"), b"x")];
    let begun = Instant::now();
    let error = fetcher.fetch(&list, &Silent).unwrap_err();
    assert_eq!((error.kind, error.what), (FetchErrorKind::Missing, server.url("/missing")));
    assert!(begun.elapsed() < SOON);
}

const SECRET: [&str; 3] = ["hunter2", "aHVudGVy", "swordfish"];

/// Credentials go to their host alone, and nowhere else: no message, note, name or file has them.
#[test]
fn credentials_go_to_their_host_alone() {
    let scratch = TempDir::new().unwrap();
    let basic = "Basic bWU6aHVudGVyMg=="; // me:hunter2
    let other = Arc::new(Server::start(|request| match request.target.as_str() {
        "/got?token=swordfish" => Reply::plain(b"elsewhere"),
        _ => Reply::new(403),
    }));
    let to = other.clone();
    let server =
        Server::start(move |request| match (request.target.as_str(), request.field("authorization")) {
            (_, None) => Reply::new(401),
            (_, Some(said)) if said != basic => Reply::new(403),
            ("/here", _) => Reply::new(302).with("Location", "/there"),
            ("/here?token=swordfish" | "/there", _) => Reply::plain(b"there").with("ETag", "\"1\""),
            ("/away", _) => Reply::new(307).with("Location", to.url("/got?token=swordfish")),
            ("/denied", _) => Reply::new(307).with("Location", to.url("/no?token=swordfish")),
            ("/closed", _) => Reply::new(307).with("Location", "http://127.0.0.1:1/?token=swordfish"),
            ("/odd", _) => Reply::new(307).with("Location", "gopher://x/?token=swordfish"),
            ("/broken", _) => Reply::plain(b"xx").but(Fault::Garbage(b"HTTP swordfish\r\n\r\n".to_vec())),
            _ => Reply::new(404),
        });
    let at = |path: &str| server.url(path).replace("http://", "http://me:hunter2@");
    let fetcher = fetcher(&scratch, Options { retries: 1, ..quick() });
    let mut said = Vec::new();
    for (path, body) in [("/here", "there"), ("/away", "elsewhere")] {
        let file = wanted(&at(path), body.as_bytes());
        said.push(format!("{file:?} {:?}", one(&fetcher, &file).unwrap()));
        let file = asked(&at(path));
        said.push(format!("{file:?} {:?}", latest(&fetcher, &file).unwrap()));
    }
    let watch = Watch::default();
    for path in ["/denied", "/closed", "/odd", "/broken", "/none"] {
        let error = fetcher.fetch(&[wanted(&at(path), b"xx")], &watch).unwrap_err();
        said.push(format!("{error} {error:?}"));
    }
    let wrong = Wanted {
        credentials: Some(Credentials::new("me", "swordfish")),
        ..wanted(&server.url("/here"), b"x")
    };
    let error = one(&fetcher, &wrong).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Denied);
    said.push(format!("{error:?} {fetcher:?} {:?}", fetcher.options()));
    let error = one(&fetcher, &wanted(&server.url("/here"), b"x")).unwrap_err();
    assert!(error.hint.unwrap().contains("a user and a password"));
    said.extend(watch.notes());
    let file = asked(&server.url("/here?token=swordfish").replace("http://", "http://me:hunter2@"));
    said.push(format!("{file:?} {:?} {}", latest(&fetcher, &file), file.location));
    assert!(said.len() > 10);
    for name in files(scratch.path()) {
        said.push(String::from_utf8_lossy(&std::fs::read(scratch.path().join(&name)).unwrap()).into_owned());
        said.push(name);
    }
    assert!(said.iter().any(|text| text.contains("last_modified")), "the notes are among them");
    for text in &said {
        assert!(SECRET.iter().all(|secret| !text.contains(secret)), "{text}");
    }
    assert!(!other.seen().is_empty());
    assert!(other.seen().iter().all(|request| request.field("authorization").is_none()));
}

/// A proxy for plain HTTP: it gets whole URLs. `no_proxy` goes past it.
#[test]
fn plain_http_through_a_proxy() {
    let scratch = TempDir::new().unwrap();
    let proxy = Server::start(|request| match request.field("proxy-authorization") {
        Some("Basic bWU6aHVudGVyMg==") => match request.target.as_str() {
            "http://deb.example:8080/a%20b?c" => Reply::plain(b"through"),
            "http://deb.example:8080/moved" => Reply::new(301).with("Location", "/a%20b?c"),
            "http://deb.example:8080/part" if request.field("range").is_none() => {
                Reply::plain(b"partly").but(Fault::Cut(3))
            }
            "http://deb.example:8080/part" => Reply::file(request, b"partly"),
            _ => Reply::new(404),
        },
        _ => Reply::new(407),
    });
    let server = Server::start(|_| Reply::plain(b"direct"));
    let with = |value: &str, no: &str| {
        let proxies = Proxies::new(Some(value), None, None, Some(no)).unwrap();
        fetcher(&scratch, Options { proxies, ..quick() })
    };
    let value = format!("http://me:hunter2@{}", proxy.address());
    let fetcher = with(&value, "127.0.0.1");
    for (path, body) in [("/a b?c", "through"), ("/moved", "through"), ("/part", "partly")] {
        let file = Wanted {
            size: Size::AtMost(100),
            ..wanted(&format!("http://deb.example:8080{path}"), body.as_bytes())
        };
        assert_eq!(bytes(&fetcher, &one(&fetcher, &file).unwrap()), body.as_bytes());
        std::fs::remove_dir_all(fetcher.cache().directory()).unwrap();
    }
    let seen = proxy.seen();
    assert!(seen.iter().all(|request| request.field("host") == Some("deb.example:8080")), "{seen:?}");
    assert!(proxy.connections() <= 2, "connections to a proxy are kept, too: {seen:?}");
    one(&fetcher, &wanted(&server.url("/x"), b"direct")).unwrap();
    assert_eq!((server.seen().len(), proxy.seen().len()), (1, seen.len()));

    let errors = [
        (
            one(&with(&proxy.address().to_string(), ""), &wanted("http://deb.example/x", b"x")),
            "(HTTP status 407)",
        ),
        (
            one(&with("http://me:hunter2@127.0.0.1:1", ""), &wanted("http://deb.example/x", b"x")),
            "proxy 127.0.0.1:1: connection refused",
        ),
    ];
    for (result, text) in errors {
        let error = result.unwrap_err();
        assert!(
            error.to_string().contains(text) && !format!("{error:?} {fetcher:?}").contains("hunter2"),
            "{error}"
        );
    }
}

/// A CA and a server's certificate, made by openssl: file of the CA, configuration of the server.
fn authority(test: &str, at: &Path) -> Option<(PathBuf, rustls::ServerConfig)> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let openssl = oracle(test, "openssl")?;
    let file = |name: &str| at.join(name).display().to_string();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"];
    let (ca_file, ca_key, cert_file, cert_key) =
        (file("ca.pem"), file("ca.key"), file("cert.pem"), file("key.pem"));
    let ca = ["req", "-x509", "-subj", "/CN=test authority", "-keyout", &ca_key, "-out", &ca_file];
    tool(&openssl, [&ca[..], &key].concat());
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    let server = ["req", "-x509", "-subj", "/CN=localhost", "-keyout", &cert_key, "-out", &cert_file];
    let signed = [
        "-addext",
        names,
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        &ca_file,
        "-CAkey",
        &ca_key,
    ];
    tool(&openssl, [&server[..], &key, &signed].concat());
    let certificate = CertificateDer::from_pem_file(&cert_file).unwrap();
    let private = PrivateKeyDer::from_pem_file(&cert_key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Some((
        PathBuf::from(ca_file),
        builder.with_no_client_auth().with_single_cert(vec![certificate], private).unwrap(),
    ))
}

#[test]
fn https_trusts_whom_it_should() {
    let scratch = TempDir::new().unwrap();
    let Some((ca, config)) = authority("https", scratch.path()) else { return };
    let plain = Arc::new(Server::start(|_| Reply::plain(b"plain")));
    let (to, body) = (plain.clone(), noise(11, 700_000));
    let served = body.clone();
    let server = Arc::new(Server::secure(config, move |request| match request.target.as_str() {
        "/down" => Reply::new(302).with("Location", to.url("/x")),
        _ => Reply::file(request, &served),
    }));
    let to = server.clone();
    let upward = Server::start(move |_| Reply::new(302).with("Location", to.url("/x")));
    let with = |trust: Trust| fetcher(&scratch, Options { trust, ..quick() });
    let trusting = with(Trust { instead: Some(ca.clone()), also: Vec::new() });
    assert_eq!(bytes(&trusting, &one(&trusting, &wanted(&server.url("/x"), &body)).unwrap()), body);
    std::fs::remove_dir_all(trusting.cache().directory()).unwrap();
    // An address in place of a name; a redirect from http.
    let also = with(Trust { instead: None, also: vec![ca.clone()] });
    let address = server.url("/x").replace("localhost", "127.0.0.1");
    for url in [address, upward.url("/x")] {
        one(&also, &wanted(&url, &body)).unwrap();
        std::fs::remove_dir_all(also.cache().directory()).unwrap();
    }
    let error = one(&also, &wanted(&server.url("/down"), b"plain")).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("from https to http") && plain.seen().is_empty(), "{error}");

    // Through a tunnel, with a password.
    let through = server.address();
    let proxy = Server::start(move |request| match request.field("proxy-authorization") {
        Some("Basic bWU6aHVudGVyMg==") => Reply::new(200).but(Fault::Tunnel(through)),
        _ => Reply::new(407),
    });
    let tunnelled = |value: &str| {
        let proxies = Proxies::new(None, Some(value), None, None).unwrap();
        let trust = Trust { instead: Some(ca.clone()), also: Vec::new() };
        fetcher(&scratch, Options { proxies, trust, ..quick() })
    };
    let fetcher = tunnelled(&format!("http://me:hunter2@{}", proxy.address()));
    one(&fetcher, &wanted(&server.url("/x"), &body)).unwrap();
    std::fs::remove_dir_all(fetcher.cache().directory()).unwrap();
    let asked: Vec<String> =
        proxy.seen().iter().map(|request| format!("{} {}", request.method, request.target)).collect();
    assert_eq!(asked, [format!("CONNECT localhost:{}", server.address().port())]);
    let error = one(&tunnelled(&proxy.address().to_string()), &wanted(&server.url("/x"), &body)).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Denied, "{error}");

    // Another name, to which the tunnel leads, too.
    let error = one(&fetcher, &wanted("https://other.example/x", &body)).unwrap_err();
    assert!(error.kind == FetchErrorKind::Tls && error.to_string().contains("not valid for name"), "{error}");

    // Nobody whom we know; no TLS at all; no certificates.
    let trust = || Trust { instead: Some(ca.clone()), also: Vec::new() };
    write(scratch.path().join("empty.pem"), "");
    let unknown = Path::new("/etc/ssl/certs/ca-certificates.crt").is_file();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let no_tls = format!("https://{}/x", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut [0; 4096]).unwrap();
        client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        client.read_to_end(&mut Vec::new())
    });
    let rows = [
        (Trust::default(), server.url("/x"), if unknown { "UnknownIssuer" } else { "certificates" }),
        (trust(), no_tls, "TLS: "),
        (
            Trust { instead: Some(scratch.path().join("empty.pem")), also: vec![] },
            server.url("/x"),
            "no certificates",
        ),
    ];
    for (trust, url, text) in rows {
        let error = one(&with(trust), &wanted(&url, &body)).unwrap_err();
        assert_eq!(error.kind, FetchErrorKind::Tls, "{url}: {error}");
        assert!(error.to_string().contains(text) && error.hint.is_some(), "{error}");
    }
}

#[test]
fn socks_through_a_proxy() {
    let scratch = TempDir::new().unwrap();
    let server = Server::start(|_| Reply::plain(b"socks"));
    let (listener, to) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), server.address());
    let address = listener.local_addr().unwrap();
    // RFC 1928: no authentication, connect to a name.
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut greeting = [0; 3];
        client.read_exact(&mut greeting).unwrap();
        client.write_all(&[5, 0]).unwrap();
        let mut request = [0; 5 + 11 + 2];
        client.read_exact(&mut request).unwrap();
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).unwrap();
        let mut server = std::net::TcpStream::connect(to).unwrap();
        let (mut from, mut back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut back, &mut client));
        let _ = std::io::copy(&mut from, &mut server);
        request[5..16].to_vec()
    });
    let proxies = Proxies::new(None, None, Some(&format!("socks5h://{address}")), None).unwrap();
    let fetcher = fetcher(&scratch, Options { proxies, ..quick() });
    one(&fetcher, &wanted("http://deb.example/x", b"socks")).unwrap();
    drop(fetcher);
    assert_eq!(thread.join().unwrap(), b"deb.example");
}

/// What `child` fetches, from its environment: a cache, a URL, seed and length of its noise, whether the length is known.
const CHILD: &str = "DISKWRIGHT_TEST_FETCH";

/// No test of its own: another process that fetches.
#[test]
fn child() {
    let Some(job) = std::env::var_os(CHILD) else { return };
    let job = job.into_string().unwrap();
    let [cache, url, seed, len, known] = job.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let fetcher = Fetcher::new(Cache::open(Path::new(cache)).unwrap(), quick());
    let body = noise(seed.parse().unwrap(), len.parse().unwrap());
    let size = if known == "true" { Size::Exactly(body.len() as u64) } else { Size::AtMost(1 << 30) };
    match one(&fetcher, &Wanted { size, ..wanted(url, &body) }) {
        Ok(_) => println!("fetched"),
        Err(error) => println!("failed {:?} {error} {:?}", error.kind, error.hint),
    }
}

fn child_command(cache: &Path, url: &str, seed: u64, len: usize, known: bool) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture"]);
    command.env(CHILD, format!("{} {url} {seed} {len} {known}", cache.display()));
    command
}

#[test]
fn several_processes_fetch_a_file_once() {
    let scratch = TempDir::new().unwrap();
    let body = noise(20, 2_000_000);
    let server = Server::start(move |request| {
        std::thread::sleep(Duration::from_millis(500)); // all have begun by then
        Reply::file(request, &body).but(Fault::Drip(200_000, Duration::from_millis(50)))
    });
    let cache = scratch.path().join("cache");
    let start = |_| {
        child_command(&cache, &server.url("/x"), 20, 2_000_000, true).stdout(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..4).map(start).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("fetched"), "{text}");
    }
    assert_eq!(server.seen().len(), 1);
    assert_eq!(files(&cache).len(), 1, "{:?}", files(&cache));
}

/// Who is killed leaves a part, no lock and no file; the next goes on from there.
#[test]
fn killed_processes_leave_nothing_wrong() {
    let scratch = TempDir::new().unwrap();
    let body = noise(21, 1_000_000);
    let served = body.clone();
    let server = Server::start(move |request| {
        let reply = Reply::file(request, &served);
        if request.field("range").is_none() { reply.but(Fault::Hang(600_000)) } else { reply }
    });
    let fetcher = fetcher(&scratch, quick());
    let mut child = child_command(fetcher.cache().directory(), &server.url("/x"), 21, 1_000_000, true)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let partial = fetcher.cache().directory().join("partial").join(Digest::of(&body).to_string());
    let begun = Instant::now();
    while std::fs::metadata(&partial).map_or(0, |found| found.len()) < 600_000 {
        assert!(begun.elapsed() < SOON, "the child fetches");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(partial.exists() && !fetcher.cache().directory().join("files").exists());
    let stored = one(&fetcher, &wanted(&server.url("/x"), &body)).unwrap();
    assert_eq!(bytes(&fetcher, &stored), body);
    assert_eq!(server.seen().last().unwrap().field("range"), Some("bytes=600000-"));
    assert!(!partial.exists());
}

/// The wait for another process is spoken of and has an end.
#[test]
fn locks_are_waited_for_but_not_for_ever() {
    let (scratch, body) = (TempDir::new().unwrap(), noise(22, 1000));
    let timeouts = Timeouts { lock: Duration::from_millis(1500), ..quick().timeouts };
    let fetcher = fetcher(&scratch, Options { timeouts, ..quick() });
    let partial = fetcher.cache().directory().join("partial").join(Digest::of(&body).to_string());
    write(&partial, "");
    let held = std::fs::File::open(&partial).unwrap();
    held.lock().unwrap();
    let server = Server::start(|_| Reply::new(500));
    let (watch, begun) = (Watch::default(), Instant::now());
    let error = fetcher.fetch(&[wanted(&server.url("/x"), &body)], &watch).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Locked, "{error}");
    assert!(
        begun.elapsed() < SOON && watch.notes()[0].contains("another process is fetching it"),
        "{:?}",
        watch.notes()
    );
    assert_eq!(server.seen().len(), 0);
    // Ctrl-C while waiting.
    let watch = Watch { until: Some(Instant::now() + Duration::from_millis(100)), ..Watch::default() };
    let error = fetcher.fetch(&[wanted(&server.url("/x"), &body)], &watch).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Cancelled, "{error}");
}

/// A full disk: in a file system of its own, which a namespace gives to who has no rights.
#[test]
fn full_disks_are_the_hosts_fault_and_are_not_filled() {
    let scratch = TempDir::new().unwrap();
    let at = scratch.path().join("small");
    std::fs::create_dir(&at).unwrap();
    let Some(unshare) = oracle("full disk", "unshare") else { return };
    if !Command::new(&unshare).args(["-rm", "true"]).output().unwrap().status.success() {
        return skip("full disk", "no user namespace here");
    }
    let body = noise(23, 3_000_000);
    let server = Server::start(move |_| Reply::plain(&body));
    let script = r#"mount -t tmpfs -o size=1m none "$0" && "$@"; find "$0" -type f"#;
    // A length that is known is looked for before a request is made; else it is written until no more fits.
    for (known, text, requests) in [(true, "3000000 bytes are to be fetched", 0), (false, "o space left", 1)]
    {
        let child = child_command(&at.join("cache"), &server.url("/x"), 23, 3_000_000, known);
        let mut command = Command::new(&unshare);
        command.args(["-rm", "sh", "-c", script]).arg(&at).arg(child.get_program()).args(child.get_args());
        command.envs(child.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        let said = run(&mut command).ends(0).stdout;
        assert!(
            said.contains("failed Disk") && said.contains(text) && said.contains("free some space"),
            "{said}"
        );
        assert!(
            !said.lines().any(|line| line.starts_with(&at.display().to_string())),
            "files are left: {said}"
        );
        assert_eq!(server.seen().len(), requests);
    }
}

#[test]
fn indexes_are_decompressed_within_a_limit() {
    let text = noise(30, 300_000);
    let scratch = TempDir::new().unwrap();
    let plain = scratch.path().join("Packages");
    write(&plain, &text);
    assert_eq!(
        ["x.gz", "x.xz", "x.zst", "Packages"].map(Coding::of),
        [Coding::Gzip, Coding::Xz, Coding::Zstd, Coding::Plain]
    );
    for (program, ending) in [("cat", ""), ("gzip", ".gz"), ("xz", ".xz"), ("zstd", ".zst")] {
        let Some(program) = oracle("decompression", program) else { continue };
        let path = PathBuf::from(format!("{}{ending}", plain.display()));
        // Two streams, one behind the other.
        for _ in 0..2 {
            let arguments = if ending.is_empty() { vec![] } else { vec!["-c"] };
            let output = Command::new(&program).args(arguments).arg(&plain).output().unwrap();
            assert!(output.status.success());
            let before =
                if ending.is_empty() || !path.exists() { Vec::new() } else { std::fs::read(&path).unwrap() };
            write(&path, [before, output.stdout].concat());
        }
        let twice = if ending.is_empty() { text.clone() } else { [&text[..], &text].concat() };
        let read = |limit: u64, len: u64| {
            let file = std::fs::File::open(&path).unwrap();
            let mut found = Vec::new();
            let mut reader = decompressed(file.take(len), Coding::of(&path.display().to_string()), limit);
            reader.read_to_end(&mut found).map(|_| found)
        };
        let len = twice.len() as u64;
        assert!(read(len, u64::MAX).unwrap() == twice, "{ending}");
        for error in [read(len - 1, u64::MAX).unwrap_err(), read(0, u64::MAX).unwrap_err()] {
            assert!(
                error.kind() == std::io::ErrorKind::InvalidData && error.to_string().contains("more than"),
                "{error}"
            );
        }
        if !ending.is_empty() {
            let cut = std::fs::metadata(&path).unwrap().len() - 3;
            assert_eq!(read(len, cut).unwrap_err().kind(), std::io::ErrorKind::InvalidData, "{ending}");
            let garbled = decompressed(&b"this is no archive at all"[..], Coding::of(ending), 100)
                .read_to_end(&mut Vec::new());
            assert_eq!(garbled.unwrap_err().kind(), std::io::ErrorKind::InvalidData, "{ending}");
        }
    }
}
