//! `diskwright boot`: does this image come up?

use super::fail::{Code, Failure};
use super::run::{Chosen, Described, Hardware, NetKind};
use super::say::{Voice, err_line};
use super::setting::Setting;
use crate::lab::{Console, LONGEST, Limits, Outcome, Reject, SIGNS, Verdict, Watch, boot as watched};
use clap::Args;
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// `diskwright boot`
#[derive(Args, Debug)]
#[command(after_help = "\
The image is never written. It ends with 0 when all texts came; with 1 when they did not: the time was over, the guest \
powered off or restarted, or said that it will not come up (kernel panic, emergency mode, a firmware or loader that found \
nothing); with 4 when QEMU itself failed. Texts are compared without colours and other control sequences.

Example: diskwright boot disk.qcow2 --expect 'login:' --send 'login:=root' --expect '# '")]
pub(super) struct Boot {
    /// The image: raw, qcow2, or another container that QEMU reads
    image: PathBuf,
    /// A text that must come on the serial line; may be repeated: all must come, in this order
    #[arg(long, value_name = "TEXT", required = true, value_parser = text, allow_hyphen_values = true)]
    expect: Vec<String>,
    /// Seconds until it must have come
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    timeout: u64,
    /// How often the guest may restart: growth or labels at the first boot may ask for it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    restarts: u32,
    /// A text that must not come; may be repeated
    #[arg(long, value_name = "TEXT", value_parser = text, allow_hyphen_values = true)]
    reject: Vec<String>,
    /// Go on after signs of failure (kernel panic, emergency mode, ...)
    #[arg(long)]
    no_signs: bool,
    /// When WHEN comes, type TEXT and Enter; may be repeated: prompts are answered in this order, each once
    #[arg(long, value_name = "WHEN=TEXT", value_parser = answer, allow_hyphen_values = true)]
    send: Vec<(String, String)>,
    /// Keep all that came on the serial line, byte for byte
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The network: `user` leads outwards through the host, `none` nowhere
    #[arg(long, value_name = "KIND", value_enum, default_value_t = NetKind::None)]
    net: NetKind,
    /// The machine.
    #[command(flatten)]
    hardware: Hardware,
}

fn text(text: &str) -> Result<String, String> {
    match text.len() {
        1..=LONGEST if !text.contains(|it: char| it.is_control() && !matches!(it, '\n' | '\t')) => {
            Ok(text.to_owned())
        }
        _ => Err(format!("a text of 1 to {LONGEST} bytes without control characters")),
    }
}

fn answer(pair: &str) -> Result<(String, String), String> {
    let (when, answer) = pair.split_once('=').ok_or("a text to wait for, an equals sign, and the answer")?;
    Ok((text(when)?, answer.to_owned()))
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    /// `found`, `rejected`, `timed-out`, `guest-ended`, `restarted`, `failed`, `cancelled`.
    verdict: &'static str,
    /// In a sentence.
    reason: String,
    seconds: f64,
    /// How often the guest restarted.
    restarts: u32,
    expected: Vec<Expected>,
    #[serde(flatten)]
    machine: Described,
    /// The end of what came on the serial line, without control sequences.
    serial: String,
    /// The end of what QEMU said.
    qemu: String,
}

#[derive(Serialize)]
struct Expected {
    text: String,
    /// When it came.
    seconds: Option<f64>,
}

/// Lines of the guest that are shown when it did not come up.
const SHOWN: usize = 40;

/// Boots and says what came of it.
pub(super) fn boot(args: Boot, json: bool, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let Boot { image, expect, timeout, restarts, reject, no_signs, send, log, net, hardware } = args;
    let cancelled = Arc::new(AtomicBool::new(false));
    let chosen = hardware.choose(&image, false, net, Console::Watched { restarts: restarts > 0 }, setting)?;
    let mut log: Box<dyn Write> = match log {
        Some(path) => Box::new(log_file(&path, &image)?),
        None => Box::new(std::io::sink()),
    };
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, cancelled.clone())?;
    }
    voice.note(&chosen.about);
    let signs = SIGNS.iter().filter(|_| !no_signs);
    let signs = signs.map(|&(text, means)| Reject { text: text.to_owned(), means: means.to_owned() });
    let reject: Vec<Reject> =
        reject.into_iter().map(|text| Reject { means: String::new(), text }).chain(signs).collect();
    let watch = Watch { expect, reject, send };
    let outcome = watched(
        (&chosen.program, &chosen.arguments),
        watch.clone(),
        Limits { time: Duration::from_secs(timeout), restarts },
        &setting.overlay_dir(),
        &mut log,
        &cancelled,
    )?;
    let (verdict, code) = name(&outcome.verdict);
    let reason = reason(&watch, &outcome, timeout);
    if let Some(code) = code {
        // What the guest said is talk, and a report only as JSON.
        if json {
            voice.result(&report(&watch, &outcome, chosen, verdict, &reason), "")?;
            return Err(Failure::new(code, ""));
        }
        for line in shown(&outcome).lines() {
            err_line(line);
        }
        return Err(Failure::new(code, format!("{}: {reason}", image.display())));
    }
    let text = format!("{}: {reason}\n", image.display());
    voice.result(&report(&watch, &outcome, chosen, verdict, &reason), &text)
}

/// A log that would replace the image is a slip.
fn log_file(path: &Path, image: &Path) -> Result<fs_err::File, Failure> {
    let same = |one: &std::fs::Metadata, other: &std::fs::Metadata| {
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    };
    match (fs_err::metadata(path), fs_err::metadata(image)) {
        (Ok(log), Ok(image)) if same(&log, &image) => {
            Err(Failure::new(Code::Refused, format!("--log {}: is the image", path.display())))
        }
        _ => Ok(fs_err::File::create(path)?),
    }
}

fn name(verdict: &Verdict) -> (&'static str, Option<Code>) {
    match verdict {
        Verdict::Found => ("found", None),
        Verdict::Rejected(_) => ("rejected", Some(Code::Refused)),
        Verdict::TimedOut => ("timed-out", Some(Code::Refused)),
        Verdict::GuestEnded => ("guest-ended", Some(Code::Refused)),
        Verdict::Restarted => ("restarted", Some(Code::Refused)),
        Verdict::Failed { .. } => ("failed", Some(Code::Program)),
        Verdict::Cancelled => ("cancelled", Some(Code::Cancelled)),
    }
}

fn reason(watch: &Watch, outcome: &Outcome, timeout: u64) -> String {
    let seconds = outcome.seconds;
    let missing = watch.expect.get(outcome.seen.len()).map(String::as_str).unwrap_or_default();
    match &outcome.verdict {
        Verdict::Found => {
            let last = watch.expect.last().map(String::as_str).unwrap_or_default();
            format!("{last:?} after {seconds:.1} s")
        }
        Verdict::Rejected(at) => {
            let Reject { text, means } = &watch.reject[*at];
            let means = if means.is_empty() { String::new() } else { format!("{means}: ") };
            format!("{means}{text:?} after {seconds:.1} s")
        }
        Verdict::TimedOut => format!("no {missing:?} within {timeout} s"),
        Verdict::GuestEnded => {
            format!("no {missing:?}: the guest powered off after {seconds:.1} s")
        }
        Verdict::Restarted => {
            let times = if outcome.restarts == 1 { "" } else { " again" };
            let hint = format!("--restarts {} allows it", outcome.restarts);
            format!("no {missing:?}: the guest restarted{times} after {seconds:.1} s ({hint})")
        }
        Verdict::Failed { status } => format!("QEMU failed ({status})"),
        Verdict::Cancelled => "cancelled".to_owned(),
    }
}

fn report(watch: &Watch, outcome: &Outcome, chosen: Chosen, verdict: &'static str, reason: &str) -> Report {
    let times = outcome.seen.iter().copied().map(Some).chain(std::iter::repeat(None));
    let expected =
        watch.expect.iter().zip(times).map(|(text, seconds)| Expected { text: text.clone(), seconds });
    Report {
        schema: 1,
        verdict,
        reason: reason.to_owned(),
        seconds: outcome.seconds,
        restarts: outcome.restarts,
        expected: expected.collect(),
        machine: chosen.described,
        serial: outcome.text.clone(),
        qemu: outcome.errors.clone(),
    }
}

/// The last lines of the guest and of QEMU.
fn shown(outcome: &Outcome) -> String {
    let lines: Vec<&str> = outcome.text.lines().collect();
    let mut text = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
    let said = outcome.errors.trim_end();
    if !said.is_empty() {
        let _ = write!(text, "\n{said}");
    }
    text.trim_matches('\n').to_owned()
}
