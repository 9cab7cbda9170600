//! What stays out of an image: paths of the tree, with the wildcards that KIWI's rsync knows (rsync(1), "PATTERN MATCHING
//! RULES"; the whole path counts, from the tree's root on).
//!
//! | in a pattern | stands for |
//! |---|---|
//! | `?` | one character, no slash |
//! | `*` | any characters but slashes, none too; also those of hidden names |
//! | `**` | any characters, slashes too |
//! | `[a-z]`, `[!a]`, `[^a]`, `[[:digit:]]` | one character, no slash |
//! | `\*` | the character itself, in a pattern with wildcards |
//! | `/` at the end | directories only |
//! | `/***` at the end | the directory and what is in it |

use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::tree::{Kind, NodeId, ROOT, Tree, components};
use regex::bytes::{Regex, RegexBuilder};

/// Bytes that a compiled pattern may have.
const SIZE_MAX: usize = 1 << 20;

/// Takes what matches out of a tree; what is in a directory that goes is not looked at. Says what was there.
pub(super) fn exclude(tree: &mut Tree, patterns: &[String]) -> Result<Vec<String>, Refusal> {
    let mut left_out = Vec::new();
    for pattern in patterns {
        for (parent, name, path) in Pattern::of(pattern)?.matches(tree) {
            tree.remove(parent, &name);
            left_out.push(format!("/{}", escaped(&path)));
        }
    }
    Ok(left_out)
}

struct Pattern {
    /// Names in front of the first wildcard, which are taken as they are.
    plain: Vec<Vec<u8>>,
    /// For the whole path; `None`: there is no wildcard.
    whole: Option<Regex>,
    directories: bool,
    /// How deep what matches lies at most.
    depth: usize,
}

impl Pattern {
    fn of(text: &str) -> Result<Pattern, Refusal> {
        let (text, below) = match text.strip_suffix("/***") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let directories = below || text.ends_with('/');
        let names: Vec<&[u8]> = components(text.as_bytes()).collect();
        let is_wild = |name: &[u8]| name.iter().any(|byte| b"*?[".contains(byte));
        // Where there is no wildcard at all, a backslash is one.
        let any = names.iter().any(|name| is_wild(name));
        let is_plain = |name: &&&[u8]| !(is_wild(name) || any && name.contains(&b'\\'));
        let plain = names.iter().take_while(is_plain).map(|name| name.to_vec()).collect::<Vec<_>>();
        let depth = if text.contains("**") { usize::MAX } else { names.len() };
        if plain.len() == names.len() {
            return Ok(Pattern { plain, whole: None, directories, depth });
        }
        let bad = |reason: String| {
            let spot = Spot::new("tree", format!("exclude {text}"));
            Refusal::new(RefusalKind::Invalid, spot, reason).hint("patterns are rsync's: * ? [a-z] **")
        };
        let expression = expression(&names.join(&b'/')).ok_or_else(|| bad("no pattern".to_owned()))?;
        let whole = RegexBuilder::new(&expression).unicode(false).size_limit(SIZE_MAX).build();
        Ok(Pattern { plain, whole: Some(whole.map_err(|error| bad(error.to_string()))?), directories, depth })
    }

    /// The directory, the name in it and the path of what matches, in walk order.
    fn matches(&self, tree: &Tree) -> Vec<(NodeId, Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        let last = self.plain.len().saturating_sub(usize::from(self.whole.is_none()));
        let (way, rest) = self.plain.split_at(last);
        let top = way.iter().try_fold(ROOT, |at, name| tree.child(at, name));
        let path = way.join(&b'/');
        let mut open: Vec<(NodeId, Vec<u8>, usize)> =
            top.map(|top| (top, path, way.len() + 1)).into_iter().collect();
        while let Some((parent, above, depth)) = open.pop() {
            let at = open.len();
            for (name, node) in tree.children(parent) {
                let path = if above.is_empty() { name.to_vec() } else { [&above[..], name].join(&b'/') };
                let is_directory = matches!(tree.node(node).kind, Kind::Directory(_));
                let named = match &self.whole {
                    Some(whole) => whole.is_match(&path),
                    None => rest.first().is_some_and(|last| last == name),
                };
                if named && (is_directory || !self.directories) {
                    found.push((parent, name.to_vec(), path));
                } else if is_directory && self.whole.is_some() && depth < self.depth {
                    open.push((node, path, depth + 1));
                }
            }
            open[at..].reverse();
        }
        found
    }
}

/// The regular expression of a pattern for bytes; `None`: a class without its end.
fn expression(pattern: &[u8]) -> Option<String> {
    let mut text = String::from("(?s)\\A");
    let mut rest = pattern;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'*' => {
                let stars = rest.iter().take_while(|&&byte| byte == b'*').count();
                rest = &rest[stars..];
                text += if stars == 0 { "[^/]*" } else { ".*" };
            }
            b'?' => text += "[^/]",
            b'[' => {
                let (class, behind) = class(rest)?;
                text += &class;
                rest = behind;
            }
            b'\\' if !rest.is_empty() => {
                text += &literal(rest[0]);
                rest = &rest[1..];
            }
            byte => text += &literal(byte),
        }
    }
    Some(text + "\\z")
}

fn literal(byte: u8) -> String {
    format!("\\x{byte:02x}")
}

/// A class behind its `[`, and what follows it.
fn class(text: &[u8]) -> Option<(String, &[u8])> {
    let (not, mut rest) = match text {
        [b'!' | b'^', rest @ ..] => ("^", rest),
        rest => ("", rest),
    };
    let mut class = String::new();
    let mut first = true;
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b']' if !first => break,
            b'[' if rest.first() == Some(&b':') => {
                let end = rest.windows(2).position(|two| two == b":]")?;
                let name = std::str::from_utf8(&rest[1..end]).ok()?;
                class += &format!("[:{name}:]");
                rest = &rest[end + 2..];
            }
            b'-' if !first && rest.first().is_some_and(|&byte| byte != b']') => class.push('-'),
            b'\\' => {
                class += &literal(*rest.first()?);
                rest = &rest[1..];
            }
            byte => class += &literal(byte),
        }
        first = false;
    }
    // A slash is never meant.
    Some((format!("[[{not}{class}]&&[^/]]"), rest))
}
