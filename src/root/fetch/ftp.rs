//! Files of FTP servers (RFC 959; RFC 2428: `EPSV`; RFC 3659: `SIZE`, `REST`), by `suppaftp`: passive, binary, from where a
//! killed process stopped; paths start at the server's root, as for apt. A server names ports, never hosts: data comes from
//! whom was asked. `suppaftp` limits replies, its sockets are ours: that all of it ends in time is decided here.

use super::Timeouts;
use super::client::said_io;
use super::error::{FetchError, FetchErrorKind};
use super::location::{Credentials, Url};
use std::fmt;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use suppaftp::types::{FileType, Response};
use suppaftp::{FtpError, FtpResult, FtpStream, Mode, TlsStream, TransferStream};

/// Who asks where nobody is named (RFC 1635).
const ANONYMOUS: (&str, &str) = ("anonymous", "diskwright@");
/// Replies to `EPSV` of servers that know `PASV` alone.
const NO_EPSV: [u32; 5] = [500, 501, 502, 504, 522];

/// Connections that are open: that of commands, then that of data.
type Sockets = Mutex<Vec<TcpStream>>;

/// Connections to FTP servers.
#[derive(Debug, Default)]
pub(super) struct Ftp {
    /// Those that wait for the next file.
    idle: Mutex<Vec<Connection>>,
    all: Mutex<Vec<Weak<Sockets>>>,
}

/// A connection that somebody has logged in over.
struct Connection {
    who: Who,
    stream: FtpStream,
    sockets: Arc<Sockets>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Who {
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}:{})", self.who.host, self.who.port)
    }
}

/// The data of a file, over whatever it comes: `suppaftp` does not name its plain connection.
trait Data: Read {
    fn finish(self: Box<Self>) -> FtpResult<()>;
}

impl<T: TlsStream> Data for TransferStream<T> {
    fn finish(self: Box<Self>) -> FtpResult<()> {
        TransferStream::finish(*self)
    }
}

/// A file that comes. When all of it was read, [`Transfer::finish`] says whether that was all.
pub(super) struct Transfer<'a> {
    /// How much is still to come, if the server says it.
    pub(super) rest: Option<u64>,
    ftp: &'a Ftp,
    url: &'a Url,
    timeouts: Timeouts,
    connection: Option<Connection>,
    data: Option<Box<dyn Data>>,
}

impl Ftp {
    /// Closes all connections, also those that are in use.
    pub(super) fn shut_down(&self) {
        locked(&self.idle).clear();
        for sockets in locked(&self.all).drain(..).filter_map(|one| one.upgrade()) {
            close(&sockets);
        }
    }

    /// Asks for a file from a byte on. `look_up` gives the server's addresses.
    pub(super) fn get<'a>(
        &'a self,
        url: &'a Url,
        credentials: Option<&Credentials>,
        from: u64,
        timeouts: Timeouts,
        look_up: impl FnOnce() -> Result<Vec<SocketAddr>, FetchError>,
    ) -> Result<Transfer<'a>, FetchError> {
        let path = url.ftp_path()?;
        let who = Who { host: url.host().to_owned(), port: url.port(), credentials: credentials.cloned() };
        let kept = {
            let mut idle = locked(&self.idle);
            let at = idle.iter().position(|one| one.who == who);
            at.map(|at| idle.swap_remove(at))
        };
        if let Some(connection) = kept {
            match self.begin(connection, url, &path, from, timeouts) {
                // It may have been closed meanwhile.
                Err(error) if error.kind == FetchErrorKind::Connection => {}
                begun => return begun,
            }
        }
        let connection = self.connect(who, url, timeouts, look_up()?)?;
        self.begin(connection, url, &path, from, timeouts)
    }

    fn connect(
        &self,
        who: Who,
        url: &Url,
        timeouts: Timeouts,
        addresses: Vec<SocketAddr>,
    ) -> Result<Connection, FetchError> {
        let mut socket = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        for address in addresses {
            socket = connected(address, timeouts);
            if socket.is_ok() {
                break;
            }
        }
        let failed = |error: FtpError| said(&error, url, who.credentials.is_some());
        let io = |error: io::Error| failed(FtpError::ConnectionError(error));
        let socket = socket.map_err(io)?;
        let sockets = Arc::new(Mutex::new(vec![socket.try_clone().map_err(io)?]));
        let mut all = locked(&self.all);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&sockets));
        drop(all);
        let for_data = sockets.clone();
        let stream = within(timeouts, url, &sockets, &failed, || {
            let stream = FtpStream::connect_with_stream(socket)?;
            let mut stream = stream.passive_stream_builder(move |address| {
                let socket = connected(address, timeouts).map_err(FtpError::ConnectionError)?;
                let mut all = locked(&for_data);
                all.truncate(1);
                all.push(socket.try_clone().map_err(FtpError::ConnectionError)?);
                Ok(socket)
            });
            let (user, password) =
                who.credentials.as_ref().map_or(ANONYMOUS, |one| (one.user(), one.password()));
            stream.login(user, password)?;
            stream.transfer_type(FileType::Binary)?;
            stream.set_passive_nat_workaround(true);
            stream.set_mode(Mode::ExtendedPassive);
            Ok(stream)
        })?;
        Ok(Connection { who, stream, sockets })
    }

    fn begin<'a>(
        &'a self,
        mut connection: Connection,
        url: &'a Url,
        path: &str,
        from: u64,
        timeouts: Timeouts,
    ) -> Result<Transfer<'a>, FetchError> {
        let failed = |error: FtpError| said(&error, url, connection.who.credentials.is_some());
        let stream = &mut connection.stream;
        let (size, data) = within(timeouts, url, &connection.sockets, &failed, || {
            let size = match stream.size(path) {
                Ok(size) => Some(size as u64),
                // Not every server knows the command.
                Err(FtpError::UnexpectedResponse(reply)) if (500..=504).contains(&code(&reply)) => None,
                Err(error) => return Err(error),
            };
            Ok((size, retrieve(stream, path, from)?))
        })?;
        let rest = size.map(|size| size.saturating_sub(from));
        Ok(Transfer { rest, ftp: self, url, timeouts, connection: Some(connection), data: Some(data) })
    }
}

/// `EPSV`, else `PASV`; `REST`, `RETR`.
fn retrieve(stream: &mut FtpStream, path: &str, from: u64) -> FtpResult<Box<dyn Data>> {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    stream.resume_transfer(from)?;
    match stream.retr_as_stream(path) {
        Err(FtpError::UnexpectedResponse(reply)) if NO_EPSV.contains(&code(&reply)) => {
            stream.set_mode(Mode::Passive);
            stream.resume_transfer(from)?;
            Ok(Box::new(stream.retr_as_stream(path)?))
        }
        begun => Ok(Box::new(begun?)),
    }
}

impl Transfer<'_> {
    /// After the last byte: whether the server calls it complete. The connection is kept for the next file.
    pub(super) fn finish(mut self) -> Result<(), FetchError> {
        let (Some(connection), Some(data)) = (self.connection.take(), self.data.take()) else {
            return Ok(());
        };
        let failed = |error: FtpError| said(&error, self.url, connection.who.credentials.is_some());
        within(self.timeouts, self.url, &connection.sockets, &failed, || data.finish())?;
        locked(&connection.sockets).truncate(1);
        locked(&self.ftp.idle).push(connection);
        Ok(())
    }
}

impl Read for Transfer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.data.as_mut().map_or(Ok(0), |data| data.read(buffer))
    }
}

/// What is not read to its end: nobody waits for what the server has to say.
impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            close(&connection.sockets);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn close(sockets: &Sockets) {
    for socket in locked(sockets).drain(..) {
        let _ = socket.shutdown(Shutdown::Both); // it may be closed already
    }
}

fn connected(address: SocketAddr, timeouts: Timeouts) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, timeouts.connect)?;
    socket.set_read_timeout(Some(timeouts.read))?;
    socket.set_write_timeout(Some(timeouts.read))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Does what takes several replies. Each may be as slow as a byte in a while: connections are closed beneath it when it takes
/// too long altogether.
fn within<T>(
    timeouts: Timeouts,
    url: &Url,
    sockets: &Arc<Sockets>,
    failed: &dyn Fn(FtpError) -> FetchError,
    work: impl FnOnce() -> FtpResult<T>,
) -> Result<T, FetchError> {
    let limit: Duration = timeouts.connect + 2 * timeouts.read;
    let (done, wait) = channel::<()>();
    let watched = sockets.clone();
    let watch = std::thread::spawn(move || {
        let is_late = wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if is_late {
            close(&watched);
        }
        is_late
    });
    let result = work();
    drop(done);
    match watch.join() {
        Ok(true) => Err(FetchError::new(FetchErrorKind::Timeout, url, "no answer in time")),
        _ => result.map_err(failed),
    }
}

/// A reply's code (RFC 959, section 4.2).
fn code(reply: &Response) -> u32 {
    let digits = reply.body.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

fn said(error: &FtpError, url: &Url, with_credentials: bool) -> FetchError {
    use FetchErrorKind::{Connection, Denied, Missing, Refused, Server};
    let reply = match error {
        FtpError::ConnectionError(error) => {
            return match error.kind() {
                io::ErrorKind::InvalidInput => {
                    FetchError::new(Refused, url, "a name that FTP cannot ask for")
                }
                _ => said_io(error, &|kind, reason| FetchError::new(kind, url, reason)),
            };
        }
        FtpError::UnexpectedResponse(reply) => code(reply),
        FtpError::DataConnectionAlreadyOpen => {
            return FetchError::new(Connection, url, "the connection is in use");
        }
        _ => return FetchError::new(Server, url, "an answer that is not FTP"),
    };
    // What the server writes beside it is shown nowhere.
    let found = |kind, reason: &str| FetchError::new(kind, url, format!("{reason} (FTP reply {reply})"));
    match reply {
        550 => found(Missing, "not found"),
        331 | 332 | 530 | 532 if with_credentials => {
            found(Denied, "access denied").hint("are user and password right?")
        }
        331 | 332 | 530 | 532 => {
            found(Denied, "access denied").hint("does the repository need a user and a password?")
        }
        400..=499 => found(Server, "the server has a fault"),
        _ => found(Refused, "the server answers with no file"),
    }
}
