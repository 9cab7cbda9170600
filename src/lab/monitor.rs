//! What QEMU says about its guest on its monitor, and what it is told there (QMP, QEMU's `docs/interop/qmp-spec.rst` and
//! `qapi/run-state.json`): whether a guest that stopped restarts or is off. The monitor is a pair of sockets: it has no name
//! that a path could be too long for.
//!
//! A machine that may restart is stopped each time (`-no-reboot -no-shutdown`), so that all that its guest has said until
//! then is read before it says more.

use serde::Deserialize;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};

/// The longest line that is read at once.
const LONGEST: u64 = 64 << 10;

/// Both ends of a monitor that nobody listens to yet.
pub(super) struct Monitor {
    ours: UnixStream,
    theirs: UnixStream,
}

/// Why a guest stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It restarts.
    Restart,
    /// It powered off.
    Off,
}

/// A monitor that QEMU has.
pub(super) struct Guest {
    /// Comes each time that the guest stops; closed when QEMU ends.
    pub(super) stops: Receiver<Stop>,
    commands: UnixStream,
}

/// An event; what else it says is passed over.
#[derive(Deserialize)]
struct Event {
    event: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    reason: String,
}

/// What an event means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Stopped(Stop),
    /// It was reset, as it was told to be, and waits.
    Reset,
}

impl Monitor {
    /// One that a process started from now on inherits.
    pub(super) fn new() -> io::Result<Monitor> {
        let (ours, theirs) = UnixStream::pair()?;
        rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty())?;
        Ok(Monitor { ours, theirs })
    }

    /// QEMU's arguments for it.
    pub(super) fn arguments(&self) -> [OsString; 4] {
        let socket = format!("socket,id=monitor,fd={}", self.theirs.as_raw_fd());
        ["-chardev", &socket, "-mon", "chardev=monitor,mode=control"].map(OsString::from)
    }

    /// Once QEMU has its end.
    pub(super) fn guest(self) -> io::Result<Guest> {
        let Monitor { mut ours, theirs } = self;
        drop(theirs);
        let commands = ours.try_clone()?;
        let (sender, stops) = channel();
        std::thread::spawn(move || {
            tell(&mut ours, "qmp_capabilities", "{}");
            let Ok(mut answers) = ours.try_clone() else { return };
            let mut lines = BufReader::new(ours);
            let mut line = Vec::new();
            while let Ok(1..) = lines.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
                match meaning(&line) {
                    Some(Meaning::Stopped(stop)) if sender.send(stop).is_err() => break,
                    Some(Meaning::Reset) => {
                        tell(&mut answers, "set-action", r#"{"reboot":"shutdown"}"#);
                        tell(&mut answers, "cont", "{}");
                    }
                    _ => {}
                }
                line.clear();
            }
        });
        Ok(Guest { stops, commands })
    }
}

impl Guest {
    /// Has a guest that stopped start again.
    pub(super) fn restart(&mut self) {
        tell(&mut self.commands, "set-action", r#"{"reboot":"reset"}"#);
        tell(&mut self.commands, "system_reset", "{}");
    }
}

/// A QEMU that is gone cannot be told anything; that it is gone is seen elsewhere.
fn tell(socket: &mut UnixStream, command: &str, arguments: &str) {
    let line = format!("{{\"execute\":\"{command}\",\"arguments\":{arguments}}}\n");
    let _ = socket.write_all(line.as_bytes());
}

fn meaning(line: &[u8]) -> Option<Meaning> {
    let Event { event, data } = serde_json::from_slice(line).ok()?;
    match (event.as_str(), data.reason.as_str()) {
        ("SHUTDOWN", "guest-reset") => Some(Meaning::Stopped(Stop::Restart)),
        ("SHUTDOWN", "guest-shutdown") => Some(Meaning::Stopped(Stop::Off)),
        ("RESET", "host-qmp-system-reset") => Some(Meaning::Reset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_what_they_mean() {
        for (line, expected) in [
            (
                r#"{"timestamp":{},"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-reset"}}"#,
                Some(Meaning::Stopped(Stop::Restart)),
            ),
            (
                r#"{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-shutdown"}}"#,
                Some(Meaning::Stopped(Stop::Off)),
            ),
            (
                r#"{"event":"RESET","data":{"guest":false,"reason":"host-qmp-system-reset"}}"#,
                Some(Meaning::Reset),
            ),
            (r#"{"event":"RTC_CHANGE","data":{"offset":1}}"#, None),
            (r#"{"return":{}}"#, None),
            ("", None),
        ] {
            assert_eq!(meaning(line.as_bytes()), expected, "{line}");
        }
    }
}
