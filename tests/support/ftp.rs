//! An FTP server on loopback: knows what is asked of it here, answers as it is told, with the faults that it is told.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // clippy takes this file for no test

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a server can do, and what goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Commands that it does not know: `EPSV`, `SIZE`, `REST`.
    pub unknown: Vec<&'static str>,
    /// Who may come, and what opens; nobody: everybody.
    pub user: Option<(&'static str, &'static str)>,
    pub fault: Fault,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Files end after so many bytes, without a word; so many times.
    Cut(usize, usize),
    /// Nothing more comes after so many bytes of a file.
    Hang(usize),
    /// Nothing comes at all, not even a greeting.
    Silence,
    /// The greeting is none.
    Garbage,
    /// The greeting comes a byte at a time, with a pause between them.
    Drip(Duration),
    /// It has too many guests.
    Busy,
    /// It closes its connection behind each file.
    Leave,
}

type Files = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

/// A running server; it ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Gives out what `files` has for a path.
    pub fn start(
        manners: Manners,
        files: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            stop: Arc::default(),
        };
        let (seen, connections, stop) =
            (server.seen.clone(), server.connections.clone(), server.stop.clone());
        let (files, cuts): (Arc<Files>, _) = (Arc::new(files), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                connections.fetch_add(1, Ordering::SeqCst);
                let guest = Guest {
                    manners: manners.clone(),
                    files: files.clone(),
                    seen: seen.clone(),
                    cuts: cuts.clone(),
                    stop: stop.clone(),
                };
                std::thread::spawn(move || stream.map(|stream| guest.serve(stream)));
            }
        });
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path that begins with `/`; `user` ends in `@`.
    pub fn url(&self, user: &str, path: &str) -> String {
        format!("ftp://{user}{}{path}", self.address)
    }

    /// All commands so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

struct Guest {
    manners: Manners,
    files: Arc<Files>,
    seen: Arc<Mutex<Vec<String>>>,
    cuts: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Guest {
    fn serve(&self, mut control: TcpStream) -> std::io::Result<()> {
        match self.manners.fault {
            Fault::Silence => return self.wait(),
            Fault::Garbage => return control.write_all(b"SSH-2.0-OpenSSH_9.2\r\n"),
            Fault::Busy => return control.write_all(b"421 too many\r\n"),
            Fault::Drip(pause) => {
                for byte in b"220-".iter().chain(b"so slow ".iter().cycle()) {
                    control.write_all(&[*byte])?;
                    std::thread::sleep(pause);
                }
            }
            _ => control.write_all(b"220-welcome\r\n220 tests\r\n")?,
        }
        let mut lines = BufReader::new(control.try_clone()?);
        let (mut user, mut inside, mut from, mut data) = (String::new(), false, 0, None);
        loop {
            let mut line = String::new();
            if (&mut lines).take(4096).read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
            self.seen.lock().unwrap().push(line.to_owned());
            if self.manners.unknown.contains(&command) {
                control.write_all(b"502 what?\r\n")?;
                continue;
            }
            let reply = match command {
                "USER" => {
                    user = argument.to_owned();
                    "331 and?".to_owned()
                }
                "PASS" => {
                    let right = self.manners.user.unwrap_or(("anonymous", argument));
                    inside = right == (user.as_str(), argument);
                    if inside { "230 in".to_owned() } else { "530 no".to_owned() }
                }
                _ if !inside => "530 who?".to_owned(),
                "TYPE" => "200 so be it".to_owned(),
                "SIZE" => match (self.files)(argument) {
                    Some(file) => format!("213 {}", file.len()),
                    None => "550 none".to_owned(),
                },
                "REST" => {
                    from = argument.parse().unwrap();
                    "350 from there".to_owned()
                }
                "EPSV" | "PASV" => {
                    let listener = TcpListener::bind("127.0.0.1:0")?;
                    let port = listener.local_addr()?.port();
                    data = Some(listener);
                    match command {
                        "EPSV" => format!("229 there (|||{port}|)"),
                        // Not our host: who believes it never gets anything.
                        _ => format!("227 there (192,0,2,1,{},{})", port / 256, port % 256),
                    }
                }
                "RETR" => {
                    let Some(file) = (self.files)(argument) else {
                        control.write_all(b"550 none\r\n")?;
                        continue;
                    };
                    let start = std::mem::take(&mut from).min(file.len());
                    control.write_all(b"150 here it comes\r\n")?;
                    let socket = data.take().unwrap().accept()?.0;
                    if !self.send(socket, &file[start..])? {
                        return control.shutdown(Shutdown::Both);
                    }
                    if self.manners.fault == Fault::Leave {
                        control.write_all(b"226 that was it\r\n")?;
                        return control.shutdown(Shutdown::Both);
                    }
                    "226 that was it".to_owned()
                }
                _ => "500 what?".to_owned(),
            };
            control.write_all(format!("{reply}\r\n").as_bytes())?;
        }
    }

    /// Whether all of it was sent.
    fn send(&self, mut socket: TcpStream, bytes: &[u8]) -> std::io::Result<bool> {
        match self.manners.fault {
            Fault::Cut(len, times) if self.cuts.fetch_add(1, Ordering::SeqCst) < times => {
                socket.write_all(&bytes[..len.min(bytes.len())])?;
                Ok(false)
            }
            Fault::Hang(len) => {
                socket.write_all(&bytes[..len.min(bytes.len())])?;
                self.wait()?;
                Ok(false)
            }
            _ => socket.write_all(bytes).map(|()| true),
        }
    }

    fn wait(&self) -> std::io::Result<()> {
        while !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
