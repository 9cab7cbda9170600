//! Everything that is printed: results on standard output, talk on standard error.

#![allow(clippy::print_stdout, clippy::print_stderr)] // the one place

use super::args::Common;
use super::create::refusals;
use super::fail::{Code, Failure};
use crate::describe::Diagnostics;
use crate::describe::kiwi::LoadError;
use crate::emit::Progress;
use crate::resolve::ResolveError;
use crate::root::Unprepared;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to talk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    json: bool,
    quiet: bool,
    terminal: bool,
    colour: bool,
    /// Whether talk goes to standard output.
    aloud: bool,
    /// A file that everything is also written to; it is open until the program ends.
    log: Option<&'static fs_err::File>,
}

impl Voice {
    /// As the user asked.
    pub(super) fn new(common: &Common) -> Voice {
        let terminal = io::stderr().is_terminal();
        let Common { json, quiet, .. } = *common;
        Voice { json, quiet, terminal, colour: terminal, aloud: false, log: None }
    }

    /// The same in colour, wherever standard error leads.
    pub(super) fn coloured(self) -> Voice {
        Voice { colour: true, ..self }
    }

    /// The same with all talk on standard output.
    pub(super) fn aloud(self) -> Voice {
        Voice { aloud: true, ..self }
    }

    /// The same with everything added to a file, too.
    pub(super) fn logged(self, path: &Path) -> Result<Voice, Failure> {
        let file = fs_err::OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Voice { log: Some(Box::leak(Box::new(file))), ..self })
    }

    /// Talk, whatever was asked for.
    fn talk(&self, text: &str) {
        self.log(text);
        match self.aloud {
            true => println!("{text}"),
            false => eprintln!("{text}"),
        }
    }

    fn log(&self, text: &str) {
        if let Some(mut log) = self.log {
            // The work is worth more than its log.
            let _ = writeln!(log, "{text}");
        }
    }

    /// The last words of a command that failed.
    pub(super) fn failure(&self, failure: &Failure) {
        self.talk(&last_words(failure, self.json));
    }

    /// A result: `value` as JSON where that was asked for, else `text`.
    pub(super) fn result(&self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
        let text = match self.json {
            true => {
                let json = serde_json::to_string_pretty(value);
                json.map_err(io::Error::other)? + "\n"
            }
            false => text.to_owned(),
        };
        self.log(text.trim_end());
        print(&text)
    }

    /// One line of talk.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            self.talk(text);
        }
    }

    /// A progress display: a bar on a terminal, a plain line otherwise. It learns the total when work begins. From now on
    /// Ctrl-C and SIGTERM end the work in order, instead of at once.
    pub(super) fn bar(&self, stage: &'static str) -> Result<Bar, Failure> {
        let cancelled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, cancelled.clone())?;
        }
        let shown = !self.quiet && self.terminal;
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = "{msg:>8} {bar:32} {bytes:>10} of {total_bytes}  {bytes_per_sec}";
        bar.set_style(ProgressStyle::with_template(template).expect("a constant template"));
        bar.set_message(stage);
        Ok(Bar { bar, stage, plain: !self.quiet && !self.terminal, cancelled })
    }

    /// Warnings of a description, with the lines that they are about.
    pub(super) fn warnings(&self, warnings: &Diagnostics) {
        if !warnings.list.is_empty() {
            self.note(&warnings.render(self.colour));
        }
    }

    /// Why a description was not read.
    pub(super) fn load_error(&self, error: LoadError) -> Failure {
        match error {
            LoadError::Io(error) => error.into(),
            LoadError::Refused(diagnostics) => self.refused(&diagnostics),
            LoadError::Choice(error) => self.resolve_error(error),
            other => Failure::new(Code::Refused, other.to_string()),
        }
    }

    /// Why a description gives no image.
    pub(super) fn resolve_error(&self, error: ResolveError) -> Failure {
        match error {
            ResolveError::Refused(diagnostics) => self.refused(&diagnostics),
            ResolveError::Choice(refusal) => refusal.into(),
        }
    }

    /// Why a description's tree cannot be made.
    pub(super) fn unprepared(&self, error: Unprepared) -> Failure {
        let directory = refusals(error.directory);
        if error.description.list.is_empty() {
            return directory;
        }
        let description = self.refused(&error.description);
        let message = [description.message, directory.message].join("\nerror: ");
        Failure { message: message.trim_end_matches("\nerror: ").to_owned(), ..directory }
    }

    /// Problems of a description, each with its place.
    pub(super) fn refused(&self, diagnostics: &Diagnostics) -> Failure {
        let text = if self.json { diagnostics.to_string() } else { diagnostics.render(self.colour) };
        Failure::new(Code::Refused, text)
    }
}

/// Text on standard output. A reader that went away (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Bytes on standard output.
pub(super) fn bytes(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// The last words of a command that failed.
pub(super) fn failure(failure: &Failure, json: bool) {
    eprintln!("{}", last_words(failure, json));
}

fn last_words(failure: &Failure, json: bool) -> String {
    let Failure { message, hint, code } = failure;
    if json {
        return serde_json::json!({ "schema": 1, "error": message, "hint": hint, "exit": *code as u8 })
            .to_string();
    }
    // Problems of a description come with their own pictures.
    let rendered = message.starts_with("error") || message.starts_with("warning");
    let error = format!("{}{}", if rendered { "" } else { "error: " }, message.trim_end());
    match hint {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error,
    }
}

/// A line that is printed whatever was asked for: `--timings`.
pub(super) fn err_line(text: &str) {
    eprintln!("{text}");
}

/// See [`Voice::bar`].
pub(super) struct Bar {
    bar: ProgressBar,
    stage: &'static str,
    plain: bool,
    cancelled: Arc<AtomicBool>,
}

impl Progress for Bar {
    fn begin(&self, total: u64) {
        self.bar.set_length(total);
        if self.plain {
            eprintln!("{}: {}", self.stage, size(total));
        }
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Progress of the making of a tree: what is done, and how far it is fetched. Lines where there is no terminal.
pub(super) struct FetchBar {
    bar: ProgressBar,
    voice: Voice,
    /// Set by Ctrl-C and SIGTERM, which end the work in order.
    pub(super) cancelled: Arc<AtomicBool>,
}

impl FetchBar {
    /// From now on signals end the work in order.
    pub(super) fn new(voice: Voice) -> Result<FetchBar, Failure> {
        let cancelled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, cancelled.clone())?;
        }
        let shown = !voice.quiet && voice.terminal;
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(
            ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}").expect("a constant template"),
        );
        if shown {
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
        }
        Ok(FetchBar { bar, voice, cancelled })
    }

    /// Something begins.
    pub(super) fn begin(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        if !self.voice.terminal {
            self.voice.note(what);
        }
    }
}

impl crate::root::fetch::Progress for FetchBar {
    fn at(&self, state: &crate::root::fetch::State<'_>) {
        let crate::root::fetch::State { bytes, total_bytes, files, total_files, name } = *state;
        let (bytes, total) = (size(bytes), size(total_bytes));
        self.bar.set_message(format!("fetching {files} of {total_files}, {bytes} of {total}: {name}"));
    }

    fn note(&self, text: &str) {
        self.bar.suspend(|| self.voice.note(text));
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Drop for FetchBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes in the largest unit that keeps three digits: `1.50 GiB`.
pub(super) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    match (unit, value) {
        ("B", value) => format!("{value} B"),
        (unit, value) if value < 10.0 => format!("{value:.2} {unit}"),
        (unit, value) if value < 100.0 => format!("{value:.1} {unit}"),
        (unit, value) => format!("{value:.0} {unit}"),
    }
}

/// Rows in columns; numbers (columns marked `true`) to the right.
pub(super) fn table(head: &[(&str, bool)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].0.len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).zip(head).map(|((cell, &width), &(_, right))| match right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let header = line(head.iter().map(|(title, _)| *title).collect());
    header + &rows.iter().map(|row| line(row.iter().map(String::as_str).collect())).collect::<String>()
}
