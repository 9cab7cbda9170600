//! Files in parallel: threads that take one after the other, and one that listens to them and to the user.

use super::download::now;
use super::error::{FetchError, FetchErrorKind};
use super::progress::{Progress, State};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the user is listened to and shown something.
const LOOK: Duration = Duration::from_millis(50);
/// How long threads are waited for when the work is given up. What keeps one of them longer (a name that is looked up, a
/// connection that is being made) ends by its own timeout, and does nothing then.
const GRACE: Duration = Duration::from_secs(2);

/// What a thread says.
enum Said<T> {
    Begun(usize),
    Bytes(u64),
    Back(u64),
    Note(String),
    Done(usize, Result<T, FetchError>),
}

/// A thread's line to who listens.
pub(super) struct Line<'a> {
    stop: &'a AtomicBool,
    say: &'a dyn Fn(Talk),
}

/// What is said of a file while it is fetched.
pub(super) enum Talk {
    Bytes(u64),
    Back(u64),
    Note(String),
}

impl Line<'_> {
    /// So many bytes more are there.
    pub(super) fn bytes(&self, len: u64) {
        (self.say)(Talk::Bytes(len));
    }

    /// So many bytes were for nothing.
    pub(super) fn back(&self, len: u64) {
        (self.say)(Talk::Back(len));
    }

    /// Something for the user.
    pub(super) fn note(&self, text: String) {
        (self.say)(Talk::Note(text));
    }

    /// An error when the work was given up.
    pub(super) fn unless_stopped(&self, what: impl fmt::Display) -> Result<(), FetchError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(FetchError::new(FetchErrorKind::Cancelled, what, "cancelled")),
            false => Ok(()),
        }
    }
}

/// What has to be done.
pub(super) struct Jobs<J> {
    /// Each is done by one thread.
    pub(super) list: Vec<J>,
    /// Their names, for people.
    pub(super) names: Vec<String>,
    /// Bytes in all that are known.
    pub(super) bytes: u64,
    /// Threads.
    pub(super) threads: usize,
    /// Whether the first failure ends the rest.
    pub(super) together: bool,
}

/// Does all jobs; gives their results in their order. `give_up` closes what threads wait for.
pub(super) fn all<J: Send + Sync + 'static, T: Send + 'static>(
    jobs: Jobs<J>,
    progress: &dyn Progress,
    one: impl Fn(&J, &Line<'_>) -> Result<T, FetchError> + Send + Sync + 'static,
    give_up: impl Fn(),
) -> Vec<Result<T, FetchError>> {
    let Jobs { list, names, bytes, threads, together } = jobs;
    if list.is_empty() {
        return Vec::new();
    }
    let (count, stop) = (list.len(), Arc::new(AtomicBool::new(false)));
    let (sender, receiver) = channel();
    let work = Arc::new(Work { list, one, next: AtomicUsize::new(0) });
    let start = |_| {
        let (work, stop, sender) = (work.clone(), stop.clone(), sender.clone());
        std::thread::spawn(move || work.run(&stop, &sender))
    };
    let threads: Vec<JoinHandle<()>> = (0..threads.clamp(1, count)).map(start).collect();
    drop(sender);
    let mut listener = Listener {
        results: (0..count).map(|_| None).collect(),
        names,
        active: Vec::new(),
        bytes: 0,
        total: bytes,
        together,
    };
    let ended = listener.listen(&receiver, progress, &stop, &give_up);
    // A thread that broke is a bug, which must not be lost.
    for thread in threads.into_iter().filter(|thread| ended || thread.is_finished()) {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
    let cancelled = || Err(FetchError::new(FetchErrorKind::Cancelled, "", "cancelled"));
    listener.results.into_iter().map(|result| result.unwrap_or_else(cancelled)).collect()
}

struct Work<J, F> {
    list: Vec<J>,
    one: F,
    next: AtomicUsize,
}

impl<J, F> Work<J, F> {
    fn run<T>(&self, stop: &AtomicBool, sender: &Sender<Said<T>>)
    where
        F: Fn(&J, &Line<'_>) -> Result<T, FetchError>,
    {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.list.get(index) else { return };
            if stop.load(Ordering::Relaxed) {
                return;
            }
            // Nobody listens any more once the work was given up.
            let _ = sender.send(Said::Begun(index));
            let say = |talk| {
                let _ = sender.send(match talk {
                    Talk::Bytes(len) => Said::Bytes(len),
                    Talk::Back(len) => Said::Back(len),
                    Talk::Note(text) => Said::Note(text),
                });
            };
            let result = (self.one)(job, &Line { stop, say: &say });
            let _ = sender.send(Said::Done(index, result));
        }
    }
}

struct Listener<T> {
    results: Vec<Option<Result<T, FetchError>>>,
    names: Vec<String>,
    active: Vec<usize>,
    bytes: u64,
    total: u64,
    together: bool,
}

impl<T> Listener<T> {
    /// Until all threads have ended; or, when the work was given up, not much longer: then it is false.
    fn listen(
        &mut self,
        receiver: &Receiver<Said<T>>,
        progress: &dyn Progress,
        stop: &AtomicBool,
        give_up: &dyn Fn(),
    ) -> bool {
        let (mut shown, mut given_up) = (now(), None);
        self.show(progress);
        let ended = loop {
            match receiver.recv_timeout(LOOK) {
                Ok(said) => self.hear(said, progress),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break true,
            }
            let failed = self.together && self.results.iter().flatten().any(Result::is_err);
            if given_up.is_none() && (failed || progress.cancelled()) {
                stop.store(true, Ordering::Relaxed);
                give_up();
                given_up = Some(now());
            }
            if given_up.is_some_and(|since| since.elapsed() > GRACE) {
                break false;
            }
            if shown.elapsed() >= 2 * LOOK {
                self.show(progress);
                shown = now();
            }
        };
        self.show(progress);
        ended
    }

    fn hear(&mut self, said: Said<T>, progress: &dyn Progress) {
        match said {
            Said::Begun(index) => self.active.push(index),
            Said::Bytes(len) => self.bytes += len,
            Said::Back(len) => self.bytes = self.bytes.saturating_sub(len),
            Said::Note(text) => progress.note(&text),
            Said::Done(index, result) => {
                self.active.retain(|active| *active != index);
                self.results[index] = Some(result);
            }
        }
    }

    fn show(&self, progress: &dyn Progress) {
        let oldest = self.active.first().map_or("", |index| self.names[*index].as_str());
        progress.at(&State {
            bytes: self.bytes,
            total_bytes: self.total.max(self.bytes),
            files: self.results.iter().flatten().filter(|result| result.is_ok()).count(),
            total_files: self.results.len(),
            name: oldest,
        });
    }
}
