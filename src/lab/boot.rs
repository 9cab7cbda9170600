//! Boots a machine and watches what it says.

use super::bound;
use super::monitor::{Monitor, Stop};
use super::serial::{Event, Watch, Watcher};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All expected texts came.
    Found,
    /// A text came that must not; its place in [`Watch::reject`].
    Rejected(usize),
    /// The time is over.
    TimedOut,
    /// The guest powered off, or restarted without saying so.
    GuestEnded,
    /// The guest restarted once more than it may.
    Restarted,
    /// QEMU could not run the machine.
    Failed {
        /// How it ended.
        status: String,
    },
    /// The user ended it.
    Cancelled,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// Seconds from the start until then.
    pub seconds: f64,
    /// Seconds until each of the expected texts that came.
    pub seen: Vec<f64>,
    /// How often the guest restarted.
    pub restarts: u32,
    /// The end of what the guest said, without control sequences.
    pub text: String,
    /// The end of what QEMU said.
    pub errors: String,
}

/// Bytes of QEMU's own words that are kept.
const ERRORS: usize = 16 << 10;

/// How long a wait lasts before time and cancellation are looked at again.
const TICK: Duration = Duration::from_millis(50);

/// What a process is given to end by itself when asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How long it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The time.
    pub time: Duration,
    /// How often the guest may restart.
    pub restarts: u32,
}

/// Boots a machine whose serial line is standard input and output of `program`. Everything that comes is written to `log`.
/// Whatever happens, no process is left, and nothing below `scratch`, where QEMU's overlays are.
///
/// # Errors
/// The program cannot be started, the log cannot be written.
#[allow(clippy::disallowed_methods)] // a limit of time, and how long the guest took
pub fn boot(
    (program, arguments): (&Path, &[OsString]),
    watch: Watch,
    limits: Limits,
    scratch: &Path,
    log: &mut dyn Write,
    cancelled: &AtomicBool,
) -> io::Result<Outcome> {
    let begin = Instant::now();
    let scratch = Scratch::new(scratch)?;
    let mut command = bound(program);
    let monitor = Monitor::new()?;
    command.args(monitor.arguments()).args(arguments).env("TMPDIR", &scratch.0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group { leader: command.spawn()?, over: false };
    let mut guest = monitor.guest()?;
    let serial = read_from(group.leader.stdout.take());
    let errors = last_words(group.leader.stderr.take());
    let answers = write_to(group.leader.stdin.take());
    let mut watcher = Watcher::new(watch);
    let mut seen = Vec::new();
    let mut ended: Option<ExitStatus> = None;
    let mut stopped: Option<Stop> = None;
    let mut restarts = Restarts::default();
    let verdict = 'watched: loop {
        if cancelled.load(Ordering::Relaxed) {
            break Verdict::Cancelled;
        }
        if begin.elapsed() >= limits.time {
            break Verdict::TimedOut;
        }
        stopped = stopped.or_else(|| guest.stops.try_recv().ok());
        match serial.recv_timeout(TICK) {
            Ok(bytes) => {
                restarts.said = true;
                log.write_all(&bytes)?;
                for event in bytes.into_iter().flat_map(|byte| watcher.take(byte)) {
                    match event {
                        Event::Prompt(answer) => drop(answers.send(answer)),
                        Event::Rejected(at) => break 'watched Verdict::Rejected(at),
                        Event::Seen(last) => {
                            seen.push(begin.elapsed().as_secs_f64());
                            if last {
                                break 'watched Verdict::Found;
                            }
                        }
                    }
                }
            }
            // All that was said has been read when nothing came for a moment after the end.
            Err(_) if ended.is_some() || stopped.is_some() => {
                let stop = stopped.take().or_else(|| guest.stops.recv_timeout(GRACE).ok());
                // Who stopped has stopped once, however often QEMU says so.
                guest.stops.try_iter().for_each(drop);
                if stop == Some(Stop::Restart) {
                    restarts.count();
                }
                match over(ended, stop) {
                    Verdict::Restarted if restarts.counted <= limits.restarts => guest.restart(),
                    verdict => break verdict,
                }
            }
            Err(RecvTimeoutError::Timeout) => ended = group.leader.try_wait()?,
            Err(RecvTimeoutError::Disconnected) => {
                ended = group.leader.try_wait()?;
                std::thread::sleep(TICK / 10);
            }
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    group.end()?;
    log.flush()?;
    // Who left the group may hold the pipe open for ever.
    let errors = errors.recv_timeout(GRACE).unwrap_or_default();
    Ok(Outcome { verdict, seconds, seen, restarts: restarts.counted, text: watcher.text(), errors })
}

fn over(status: Option<ExitStatus>, stop: Option<Stop>) -> Verdict {
    match (status, stop) {
        (Some(status), _) if !status.success() => Verdict::Failed { status: status.to_string() },
        (_, Some(Stop::Restart)) => Verdict::Restarted,
        _ => Verdict::GuestEnded,
    }
}

/// How often a guest restarted.
#[derive(Debug, Default)]
struct Restarts {
    counted: u32,
    /// Whether it said something since the last time.
    said: bool,
    /// Whether the last one was not counted.
    passed_over: bool,
}

impl Restarts {
    /// SeaBIOS, started anew, puts its image back into memory and restarts once more (`src/fw/shadow.c`, `qemu_reboot`): a
    /// restart behind which another one comes with nothing said in between is one with it.
    fn count(&mut self) {
        self.passed_over = self.counted > 0 && !self.said && !self.passed_over;
        self.counted += u32::from(!self.passed_over);
        self.said = false;
    }
}

/// A directory of our own: QEMU takes an overlay's name away only when it has opened it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(below: &Path) -> io::Result<Scratch> {
        let names = (0..1000).map(|at| below.join(format!("diskwright-boot.{}.{at}", std::process::id())));
        let mut made = names.map(|path| {
            let result = rustix::fs::mkdir(&path, rustix::fs::Mode::RWXU);
            (path, result)
        });
        match made.find(|(_, result)| *result != Err(rustix::io::Errno::EXIST)) {
            Some((path, Ok(()))) => Ok(Scratch(path)),
            Some((path, Err(error))) => {
                let error = io::Error::from(error);
                Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
            }
            None => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed harms nobody.
        let _ = fs_err::remove_dir_all(&self.0);
    }
}

/// A process and its group.
struct Group {
    leader: Child,
    /// Whether all of it has ended: another may have its number.
    over: bool,
}

impl Group {
    /// Asks the process to end, and ends the whole group.
    #[allow(clippy::disallowed_methods)] // a limit of time
    fn end(&mut self) -> io::Result<()> {
        let end = Instant::now() + GRACE;
        self.signal(rustix::process::Signal::TERM);
        while self.leader.try_wait()?.is_none() && Instant::now() < end {
            std::thread::sleep(TICK / 10);
        }
        self.signal(rustix::process::Signal::KILL);
        self.over = true;
        self.leader.wait().map(drop)
    }

    /// A group that is gone needs no signal.
    fn signal(&self, signal: rustix::process::Signal) {
        let leader = i32::try_from(self.leader.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(leader) = leader.filter(|_| !self.over) {
            let _ = rustix::process::kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        // What cannot be waited for has been waited for.
        let _ = self.leader.wait();
    }
}

/// What comes out of a pipe; the sender waits while nobody takes it, and goes when the pipe or the receiver is closed.
fn read_from(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver): (SyncSender<Vec<u8>>, _) = sync_channel(16);
    if let Some(mut pipe) = pipe {
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = pipe.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// What goes into a pipe, without a wait for a reader that is not in a hurry. The pipe is open as long as the sender is.
fn write_to(pipe: Option<impl Write + Send + 'static>) -> Sender<Vec<u8>> {
    let (sender, receiver) = channel::<Vec<u8>>();
    if let Some(mut pipe) = pipe {
        std::thread::spawn(move || {
            for bytes in receiver {
                if pipe.write_all(&bytes).and_then(|()| pipe.flush()).is_err() {
                    break;
                }
            }
        });
    }
    sender
}

/// The end of what comes out of a pipe, when it is closed.
fn last_words(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    let said = read_from(pipe);
    std::thread::spawn(move || {
        let mut text = Vec::new();
        for bytes in said {
            text.extend_from_slice(&bytes);
            text.drain(..text.len().saturating_sub(ERRORS));
        }
        let text = String::from_utf8_lossy(&text);
        // That we ended it is no news.
        let news = |line: &&str| !line.contains("terminating on signal");
        let text: String = text.lines().filter(news).flat_map(|line| [line, "\n"]).collect();
        // Nobody listens when the boot could not be watched to its end.
        let _ = sender.send(text.chars().filter(|it| !it.is_control() || *it == '\n').collect());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::Restarts;

    #[test]
    fn a_restart_of_seabios_is_none_of_the_guests() {
        let mut restarts = Restarts::default();
        let mut counted = |said: bool| {
            restarts.said |= said;
            restarts.count();
            restarts.counted
        };
        assert_eq!([true, false, true, false, true].map(&mut counted), [1, 1, 2, 2, 3]);
        assert_eq!([true, true].map(&mut counted), [4, 5], "with other firmware each is one");
        assert_eq!([false; 5].map(&mut counted), [5, 6, 6, 7, 7], "who never says anything comes to an end");
    }
}
