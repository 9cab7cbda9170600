//! How long stages took, for `--timings`.

use super::args::Timings;
use super::say;
use crate::emit::Calls;
use serde::Serialize;
use std::time::Instant;

/// Stages and their times.
#[derive(Debug)]
pub(super) struct Clock {
    form: Option<Timings>,
    since: Instant,
    stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Serialize)]
struct Stage {
    stage: &'static str,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<serde_json::Value>,
}

impl Clock {
    /// Starts to measure.
    #[allow(clippy::disallowed_methods)] // the one clock, far from where images are laid out
    pub(super) fn start(form: Option<Timings>) -> Clock {
        Clock { form, since: Instant::now(), stages: Vec::new() }
    }

    /// Ends a stage; the next begins.
    pub(super) fn stage(&mut self, stage: &'static str) {
        self.push(stage, None, None);
    }

    /// Ends the stage that wrote `bytes` with these calls.
    pub(super) fn emitted(&mut self, bytes: u64, calls: &Calls) {
        let calls = serde_json::json!({
            "opens": calls.opens,
            "reads": calls.reads,
            "writes": calls.writes,
            "bytes_written": calls.bytes_written,
            "bytes_copied": calls.bytes_copied,
            "bytes_cloned": calls.bytes_cloned,
        });
        self.push("emit", Some(bytes), Some(calls));
    }

    #[allow(clippy::disallowed_methods)]
    fn push(&mut self, stage: &'static str, bytes: Option<u64>, calls: Option<serde_json::Value>) {
        let now = Instant::now();
        let seconds = now.duration_since(std::mem::replace(&mut self.since, now)).as_secs_f64();
        self.stages.push(Stage { stage, seconds, bytes, calls });
    }

    /// Prints what was asked for.
    pub(super) fn report(&self) {
        if self.form == Some(Timings::Json) {
            say::err_line(&serde_json::json!({ "schema": 1, "stages": self.stages }).to_string());
        }
    }
}
