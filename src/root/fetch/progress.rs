//! What is heard while files are fetched.

/// Hears of progress, and may end it. All calls come from the thread that called.
pub trait Progress {
    /// How far it is; at most some ten times a second.
    fn at(&self, state: &State<'_>) {
        let _ = state;
    }

    /// A thing to say in a line: a retry and its reason, the wait for another process.
    fn note(&self, text: &str) {
        let _ = text;
    }

    /// Whether to give up (Ctrl-C). Asked at least ten times a second, whatever a server does.
    fn cancelled(&self) -> bool {
        false
    }
}

/// How far it is. What was in the cache already counts nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<'a> {
    /// Bytes that are there.
    pub bytes: u64,
    /// Bytes in all; sizes that are not known yet are missing.
    pub total_bytes: u64,
    /// Files that are complete.
    pub files: usize,
    /// Files in all.
    pub total_files: usize,
    /// The name of a file that is being fetched: its last part.
    pub name: &'a str,
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
