//! An HTTP server on loopback: answers as it is told, with the faults that it is told.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // clippy takes this file for no test

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The number of its connection, from 0.
    pub connection: usize,
    pub method: String,
    /// As the request line has it: a path, or a whole URL at a proxy.
    pub target: String,
    pub fields: Vec<(String, String)>,
}

impl Request {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(there, _)| there.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// What it gets.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub fault: Fault,
}

/// What goes wrong with a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// Nothing more comes after so many bytes of the body.
    Hang(usize),
    /// So many bytes at a time, with a pause between them.
    Drip(usize, Duration),
    /// Nothing comes at all, not even a head.
    Silence,
    /// These bytes come in place of an answer.
    Garbage(Vec<u8>),
    /// No length is told: the end of the connection is the end of the body.
    NoLength,
    /// In chunks of so many bytes; cut short in front of the last, empty one, or not.
    Chunks(usize, bool),
    /// A length that is not true.
    Length(u64),
    /// The connection leads to another server from here on (`CONNECT`).
    Tunnel(SocketAddr),
}

impl Reply {
    pub fn new(status: u16) -> Reply {
        Reply { status, fields: Vec::new(), body: Vec::new(), fault: Fault::None }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    pub fn but(self, fault: Fault) -> Reply {
        Reply { fault, ..self }
    }

    /// A file without ranges or conditions.
    pub fn plain(body: &[u8]) -> Reply {
        Reply { body: body.to_vec(), ..Reply::new(200) }
    }

    /// A file as good servers give it: ranges, an ETag, 304 for who has it.
    pub fn file(request: &Request, body: &[u8]) -> Reply {
        let etag = format!(
            "\"{:x}-{:x}\"",
            body.len(),
            body.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte))
        );
        if request.field("if-none-match") == Some(&etag) {
            return Reply::new(304).with("ETag", etag);
        }
        let from = request
            .field("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let reply = match from {
            None => Reply::plain(body),
            Some(from) if from < body.len() => {
                let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
                Reply { status: 206, ..Reply::plain(&body[from..]) }.with("Content-Range", range)
            }
            Some(_) => Reply::new(416).with("Content-Range", format!("bytes */{}", body.len())),
        };
        reply.with("ETag", etag).with("Accept-Ranges", "bytes")
    }
}

/// A running server; it ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    secure: bool,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

impl Server {
    /// Answers with what `handler` says.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::with(None, handler)
    }

    /// The same over TLS.
    pub fn secure(
        tls: rustls::ServerConfig,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        Server::with(Some(Arc::new(tls)), handler)
    }

    /// The files below a directory.
    pub fn directory(path: impl Into<PathBuf>) -> Server {
        let path = path.into();
        Server::start(move |request| {
            let relative = decoded(request.target.trim_start_matches('/'));
            match std::fs::read(path.join(relative)) {
                Ok(bytes) => Reply::file(request, &bytes),
                Err(_) => Reply::new(404),
            }
        })
    }

    fn with(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let server = Server { address, secure: tls.is_some(), seen: seen.clone(), stop: stop.clone() };
        let (handler, count): (Arc<Handler>, _) = (Arc::new(handler), AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let talk = Talk {
                    handler: handler.clone(),
                    seen: seen.clone(),
                    stop: stop.clone(),
                    connection: count.fetch_add(1, Ordering::SeqCst),
                };
                let tls = tls.clone();
                std::thread::spawn(move || {
                    let raw = stream.try_clone().unwrap();
                    let _ = match tls {
                        None => talk.serve(stream, &raw),
                        Some(tls) => {
                            let connection = rustls::ServerConnection::new(tls).unwrap();
                            talk.serve(rustls::StreamOwned::new(connection, stream), &raw)
                        }
                    };
                });
            }
        });
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path that begins with `/`; of host `localhost` over TLS.
    pub fn url(&self, path: &str) -> String {
        match self.secure {
            true => format!("https://localhost:{}{path}", self.address.port()),
            false => format!("http://{}{path}", self.address),
        }
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Connections that requests came over.
    pub fn connections(&self) -> usize {
        let mut numbers: Vec<usize> = self.seen().iter().map(|request| request.connection).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the listener
    }
}

struct Talk {
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    connection: usize,
}

impl Talk {
    fn serve(&self, stream: impl Read + Write, raw: &TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(request) = self.request(&mut stream)? {
            self.seen.lock().unwrap().push(request.clone());
            let reply = (self.handler)(&request);
            let head = head(&reply);
            let (body, out) = (reply.body.as_slice(), stream.get_mut());
            match reply.fault {
                Fault::Silence => return self.sleep(),
                Fault::Garbage(bytes) => return out.write_all(&bytes),
                _ => out.write_all(head.as_bytes())?,
            }
            match reply.fault {
                Fault::Cut(len) => {
                    out.write_all(&body[..len])?;
                    out.flush()?;
                    return raw.shutdown(Shutdown::Both);
                }
                Fault::Hang(len) => {
                    out.write_all(&body[..len])?;
                    out.flush()?;
                    return self.sleep();
                }
                Fault::Drip(len, pause) => {
                    for chunk in body.chunks(len) {
                        out.write_all(chunk)?;
                        out.flush()?;
                        std::thread::sleep(pause);
                    }
                }
                Fault::Chunks(len, cut) => {
                    for chunk in body.chunks(len) {
                        write!(out, "{:x}\r\n", chunk.len())?;
                        out.write_all(chunk)?;
                        write!(out, "\r\n")?;
                    }
                    if cut {
                        out.flush()?;
                        return raw.shutdown(Shutdown::Both);
                    }
                    write!(out, "0\r\n\r\n")?;
                    out.flush()?;
                }
                Fault::Tunnel(to) => return tunnel(raw, to),
                Fault::NoLength => return out.write_all(body).and_then(|()| out.flush()),
                _ => out.write_all(body).and_then(|()| out.flush())?,
            }
        }
        Ok(())
    }

    fn request(&self, stream: &mut impl BufRead) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => fields.push((name.to_owned(), value.trim().to_owned())),
                None => return Ok(Some(Request { connection: self.connection, method, target, fields })),
            }
        }
    }

    fn sleep(&self) -> io::Result<()> {
        while !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn head(reply: &Reply) -> String {
    let length = match reply.fault {
        Fault::NoLength | Fault::Tunnel(_) => String::new(),
        Fault::Chunks(..) => "Transfer-Encoding: chunked\r\n".to_owned(),
        Fault::Length(length) => format!("Content-Length: {length}\r\n"),
        _ if reply.status == 304 => String::new(),
        _ => format!("Content-Length: {}\r\n", reply.body.len()),
    };
    let fields: String = reply.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {} Said\r\n{length}{fields}\r\n", reply.status)
}

fn tunnel(client: &TcpStream, to: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    let (mut up, mut down) = ((client.try_clone()?, server.try_clone()?), (server, client.try_clone()?));
    let thread = std::thread::spawn(move || io::copy(&mut up.0, &mut up.1));
    let _ = io::copy(&mut down.0, &mut down.1);
    down.1.shutdown(Shutdown::Both)?;
    let _ = thread.join();
    Ok(())
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        plain.push_str(&part[2..]);
    }
    plain
}
