//! `diskwright explain`: what a code means.

use super::fail::{Code, Failure};
use super::say;
use crate::describe::{CODES, explain as meaning};

/// Prints what a code means; without one, all codes.
pub(super) fn explain(code: Option<&str>) -> Result<(), Failure> {
    let Some(code) = code else {
        let line = |(code, text): &(&str, &str)| {
            let first = text.split_inclusive(['.', ':']).next().unwrap_or(text);
            format!("{code:18} {}\n", first.trim_end_matches(['.', ':']))
        };
        return say::print(&CODES.iter().map(line).collect::<String>());
    };
    match meaning(code.trim_matches(['[', ']'])) {
        Some(text) => say::print(&format!("{text}\n")),
        None => {
            let known: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
            let hint = format!("codes: {}", known.join(", "));
            Err(Failure::new(Code::Usage, format!("no such code: {code}")).hint(hint))
        }
    }
}
