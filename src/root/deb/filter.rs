//! Paths that are left out: `--path-exclude` and `--path-include` of dpkg(1).

use crate::survey::tar::members::{Member, MemberKind};
use serde::{Deserialize, Serialize};

/// A rule; of those that match a path the last one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// A shell pattern for whole paths from the root on; `*` and `?` stand for slashes, too.
    pub pattern: String,
    /// Whether what it matches is unpacked after all.
    pub include: bool,
}

/// Whether a path is left out. A directory or a symlink stays where a rule that includes may need it.
pub fn is_excluded(filters: &[Filter], path: &[u8], may_hold_others: bool) -> bool {
    let matching = filters.iter().rev().find(|filter| matches(filter.pattern.as_bytes(), path));
    let excluded = matching.is_some_and(|filter| !filter.include);
    let needed = |filter: &Filter| {
        let pattern = filter.pattern.as_bytes();
        let end = pattern.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(pattern.len());
        let end = pattern[..end].iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        path.starts_with(&pattern[..end])
    };
    let kept = || may_hold_others && filters.iter().filter(|filter| filter.include).any(needed);
    excluded && !kept()
}

pub(super) fn may_hold_others(member: &Member) -> bool {
    matches!(member.kind, MemberKind::Directory | MemberKind::Symlink)
}

/// POSIX.1-2017, 2.13 "Pattern Matching Notation", without its rules for file names. Takes time in proportion to the
/// lengths of both.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    while here < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                again = Some((at, here));
                at += 1;
                continue;
            }
            Some(_) => {
                if let Some(len) = one(&pattern[at..], text[here]) {
                    (at, here) = (at + len, here + 1);
                    continue;
                }
            }
            None => {}
        }
        // The last star takes one byte more.
        let Some((star, from)) = again else { return false };
        again = Some((star, from + 1));
        (at, here) = (star + 1, from + 1);
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// How much of the pattern stands for this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [b'[', rest @ ..] => match bracket(rest, byte) {
            Some((len, held)) => held.then_some(len + 1),
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// The length of a bracket expression behind its `[`, and whether it holds the byte; `None` if it has no end.
fn bracket(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let start = at;
    let mut held = false;
    loop {
        let first = *pattern.get(at)?;
        if first == b']' && at > start {
            return Some((at + 1, held != negated));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(b'-'), Some(&last)) if last != b']' => {
                held |= (first..=last).contains(&byte);
                at += 3;
            }
            _ => {
                held |= first == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("/usr/share/doc/*", "/usr/share/doc/a/b", true),
            ("/usr/share/doc/*", "/usr/share/doc", false),
            ("*", "", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("/a/?", "/a//", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a", "aa", false),
            ("a**", "a", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_last_rule_counts_and_ways_to_what_is_included_stay() {
        let rule = |pattern: &str, include| Filter { pattern: pattern.to_owned(), include };
        let filters = [rule("/usr/share/doc/*", false), rule("/usr/share/doc/*/copyright", true)];
        let excluded = |path: &str, other| is_excluded(&filters, path.as_bytes(), other);
        assert!(excluded("/usr/share/doc/bash/README", false));
        assert!(!excluded("/usr/share/doc/bash/copyright", false));
        assert!(!excluded("/usr/share/doc/bash", true), "a directory for copyright");
        assert!(excluded("/usr/share/doc/bash", false));
        assert!(!excluded("/usr/bin/bash", false));
    }
}
