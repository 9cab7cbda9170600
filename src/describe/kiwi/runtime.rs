//! KIWI's runtime configuration (`runtime_config.py` of KIWI NG 10.3.9): YAML, sections at the top, each a list of maps.
//!
//! ```yaml
//! bundle:
//!   - compress: true
//! ```
//!
//! KIWI ignores what it does not know and finds wrong values when (and if) it comes to use them; here both are said with
//! file and line. A key counts with its first value in the section, a section with the last file that has it.

use super::data::{Data, Key as Word, Notes, Value as Yaml};
use super::read::short;
use super::{LARGEST, nearest, yaml};
use crate::describe::{Diagnostic, Diagnostics, SourceText, Span};
use std::sync::Arc;

/// A key that KIWI knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The section that it is in.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What follows from it here, or why nothing does.
    pub effect: Effect,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A truth value.
    Bool,
    /// 256 or 512.
    Digest,
    /// Bytes, or a number with `m` or `g` behind it.
    Size,
    /// Options of xz.
    Xz,
    /// An `http:`, `https:` or `ftp:` URL.
    Url,
    /// Anything: nothing here depends on it.
    Any,
}

/// What follows from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This.
    Used(&'static str),
    /// Nothing, since.
    Idle(&'static str),
}

const fn key(section: &'static str, name: &'static str, kind: Kind, effect: Effect) -> Key {
    Key { section, name, kind, effect }
}

const NO_SERVICE: Effect = Effect::Idle("no build service is asked, but for its packages");
const NO_CONTAINERS: Effect = Effect::Idle("container images are not made yet");
const NO_ISO: Effect = Effect::Idle("ISO images are not made yet");

/// All keys.
pub const KEYS: &[Key] = &[
    key(
        "credentials",
        "verification_metadata_signing_key_file",
        Kind::Any,
        Effect::Idle("verification metadata is not made yet"),
    ),
    key("obs", "download_url", Kind::Url, Effect::Used("where obs: repositories are")),
    key("obs", "api_url", Kind::Any, NO_SERVICE),
    key("obs", "user", Kind::Any, NO_SERVICE),
    key(
        "obs",
        "public",
        Kind::Bool,
        Effect::Idle("every obs: repository is taken for one that all can reach"),
    ),
    key(
        "bundle",
        "compress",
        Kind::Bool,
        Effect::Used("whether result bundle compresses images, whatever their format"),
    ),
    key("bundle", "has_package_changes", Kind::Bool, Effect::Idle("lists of changes are not made yet")),
    key("bundle", "shasum_size", Kind::Digest, Effect::Used("the digest of result bundle")),
    key("shasum", "size", Kind::Digest, Effect::Used("the digest of result bundle, where bundle has none")),
    key("xz", "options", Kind::Xz, Effect::Used("how much result bundle compresses")),
    key("container", "compress", Kind::Any, NO_CONTAINERS),
    key("iso", "tool_category", Kind::Any, NO_ISO),
    key("iso", "media_tag_tool", Kind::Any, NO_ISO),
    key("oci", "archive_tool", Kind::Any, NO_CONTAINERS),
    key(
        "build_constraints",
        "max_size",
        Kind::Size,
        Effect::Used("an image that is larger is refused before it is written"),
    ),
    key("mapper", "part_mapper", Kind::Any, Effect::Idle("partitions are written without being mapped")),
    key(
        "runtime_checks",
        "disable",
        Kind::Any,
        Effect::Idle("what cannot become a sound image is refused in any case"),
    ),
];

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Bits of [`Kind::Digest`], bytes of [`Kind::Size`], level (0 to 9) of [`Kind::Xz`].
    Number(u64),
    /// Of [`Kind::Url`].
    Text(String),
    /// Of [`Kind::Any`].
    Any,
}

/// A key with its value, and where they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: &'static Key,
    /// Its value.
    pub value: Value,
    /// Where the value is.
    pub span: Span,
}

/// A configuration: of one file, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    /// Sections by name, with the keys in them. An empty one hides what an earlier file says in it.
    sections: Vec<(String, Vec<Entry>)>,
}

impl Runtime {
    /// This configuration, and another over it: its sections replace those of the same name as a whole.
    pub fn under(mut self, over: Runtime) -> Runtime {
        self.sections.retain(|(name, _)| over.sections.iter().all(|(other, _)| other != name));
        self.sections.extend(over.sections);
        self
    }

    /// All keys that count.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sections.iter().flat_map(|(_, entries)| entries)
    }

    /// A key that counts.
    pub fn get(&self, section: &str, name: &str) -> Option<&Entry> {
        self.entries().find(|entry| entry.key.section == section && entry.key.name == name)
    }

    /// `bundle.compress`.
    pub fn compress(&self) -> Option<bool> {
        match self.get("bundle", "compress")?.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Bits of the digest of a bundle: 256 or 512.
    pub fn digest_bits(&self) -> u64 {
        self.number("bundle", "shasum_size").or(self.number("shasum", "size")).unwrap_or(256)
    }

    /// Level of xz, 0 to 9.
    pub fn xz_level(&self) -> Option<u32> {
        self.number("xz", "options").map(|level| level as u32)
    }

    /// The largest image in bytes.
    pub fn max_size(&self) -> Option<u64> {
        self.number("build_constraints", "max_size")
    }

    /// `obs.download_url`.
    pub fn obs_download_url(&self) -> Option<&str> {
        match &self.get("obs", "download_url")?.value {
            Value::Text(url) => Some(url),
            _ => None,
        }
    }

    fn number(&self, section: &str, name: &str) -> Option<u64> {
        match self.get(section, name)?.value {
            Value::Number(value) => Some(value),
            _ => None,
        }
    }
}

/// Reads a file's text; what it says that nobody knows comes as warnings.
///
/// # Errors
/// What is no YAML, of the wrong form, or a value that its key cannot have: all of it.
pub fn parse(file: &str, bytes: Vec<u8>) -> Result<(Runtime, Diagnostics), Diagnostics> {
    let file = file.to_owned();
    let (text, bad) = match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            (String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned(), Some(at))
        }
    };
    let source = Arc::new(SourceText { file, text });
    let mut notes = Notes { source: &source, problems: Vec::new() };
    if let Some(at) = bad {
        return Err(Diagnostics::new(vec![notes.error("not-utf8", at..at, "the file is no UTF-8 here")]));
    }
    if source.text.len() as u64 > LARGEST {
        let message = format!("more than {LARGEST} bytes");
        return Err(Diagnostics::new(vec![notes.error("too-large", 0..0, message)]));
    }
    let data = match yaml::read(&mut notes) {
        Ok(data) => data,
        Err(problem) => return Err(Diagnostics::new(vec![problem])),
    };
    let mut runtime = Runtime::default();
    match &data.value {
        Yaml::Null => {}
        Yaml::Map(sections) => {
            for (name, section) in sections {
                read_section(name, section, &mut runtime, &mut notes);
            }
        }
        _ => {
            let message = "expected sections at the top, like `bundle:`";
            notes.problems.push(notes.error("bad-value", data.range.start..data.range.start, message));
        }
    }
    // An unquoted number is what it says; only where KIWI takes it for something else it says so itself.
    let diagnostics = Diagnostics::new(std::mem::take(&mut notes.problems));
    if diagnostics.stop() { Err(diagnostics) } else { Ok((runtime, diagnostics)) }
}

fn read_section(name: &Word, data: &Data, runtime: &mut Runtime, notes: &mut Notes<'_>) {
    let known = KEYS.iter().filter(|key| key.section == name.name);
    let known: Vec<&'static Key> = known.collect();
    if known.is_empty() {
        let sections = KEYS.iter().map(|key| key.section);
        ignored("section", name, sections, notes);
        return;
    }
    let wrong = |notes: &Notes<'_>, range| {
        let message = format!("expected a list of keys in {}", name.name);
        let hint = format!("write a dash in front of each: `- {}: ...`", known[0].name);
        notes.error("bad-value", range, message).hint(hint)
    };
    let Yaml::List(maps) = &data.value else {
        let problem = wrong(notes, name.range.clone());
        notes.problems.push(problem);
        return;
    };
    let mut entries: Vec<Entry> = Vec::new();
    for map in maps {
        let Yaml::Map(pairs) = &map.value else {
            let problem = wrong(notes, map.range.clone());
            notes.problems.push(problem);
            continue;
        };
        for (word, value) in pairs {
            let Some(key) = known.iter().find(|key| key.name == word.name) else {
                ignored("key", word, known.iter().map(|key| key.name), notes);
                continue;
            };
            let span =
                notes.span(if value.range.is_empty() { word.range.clone() } else { value.range.clone() });
            if entries.iter().any(|entry| entry.key == *key) {
                let message = format!("{}.{} is there twice: the first counts", key.section, key.name);
                notes.problems.push(span.warning("duplicate-key", message));
                continue;
            }
            match read_value(key, &value.value, &span) {
                Ok(value) => {
                    notes.problems.extend(number_for_kiwi(key, &value, &span));
                    entries.push(Entry { key, value, span });
                }
                Err(problem) => notes.problems.push(problem),
            }
        }
    }
    runtime.sections.push((name.name.clone(), entries));
}

fn ignored<'n>(what: &str, word: &Word, known: impl Iterator<Item = &'n str>, notes: &mut Notes<'_>) {
    let message = format!("no {what} of KIWI's: {}: it is ignored", short(&word.name));
    let problem = notes.span(word.range.clone()).warning("unknown-key", message);
    notes.problems.push(match nearest(&word.name, known) {
        Some(near) => problem.hint(format!("did you mean {near}?")),
        None => problem,
    });
}

fn read_value(key: &Key, value: &Yaml, span: &Span) -> Result<Value, Diagnostic> {
    let wrong = |expected: &str| {
        let found = match value {
            Yaml::Scalar(text) => short(text),
            Yaml::Null => "nothing".to_owned(),
            Yaml::List(_) => "a list".to_owned(),
            Yaml::Map(_) => "a map".to_owned(),
        };
        span.error("bad-value", format!("{}.{}: expected {expected}, found {found}", key.section, key.name))
    };
    let text = match value {
        Yaml::Scalar(text) => Some(text.as_str()),
        _ => None,
    };
    match key.kind {
        Kind::Any => Ok(Value::Any),
        Kind::Bool => match text {
            Some("true") => Ok(Value::Bool(true)),
            Some("false") => Ok(Value::Bool(false)),
            _ => Err(wrong("true or false")),
        },
        Kind::Url => {
            let is_url = |url: &&str| {
                ["http", "https", "ftp"].iter().any(|scheme| {
                    let host = url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
                    host.is_some_and(|host| {
                        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '?')
                    })
                })
            };
            let url = text.filter(is_url).ok_or_else(|| wrong("an http:, https: or ftp: URL"))?;
            Ok(Value::Text(url.to_owned()))
        }
        Kind::Digest => match text {
            Some("256") => Ok(Value::Number(256)),
            Some("512") => Ok(Value::Number(512)),
            _ => Err(wrong("256 or 512")),
        },
        Kind::Size => text
            .and_then(size)
            .map(Value::Number)
            .ok_or_else(|| wrong("bytes, or a number with m or g, like 700m")),
        Kind::Xz => {
            let expected = "options of xz that are known here: -0 to -9, --best, --fast, --threads=N, -T N";
            text.and_then(level).map(Value::Number).ok_or_else(|| wrong(expected))
        }
    }
}

/// KIWI looks a digest up by its text, so that it finds none of a number and takes the default.
fn number_for_kiwi(key: &Key, value: &Value, span: &Span) -> Option<Diagnostic> {
    let bare = span.source.text.get(span.range.clone())?.starts_with(|first: char| first.is_ascii_digit());
    let differs = key.kind == Kind::Digest && *value != Value::Number(256) && bare;
    let message = "a number without quotes: KIWI takes 256 in its place; here it stays 512";
    differs.then(|| span.warning("unquoted-number", message).hint("write \"512\" with quotes"))
}

/// KIWI's `StringToSize`.
fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??;
    number.checked_mul(unit)
}

/// The level of xz's options. Threads do not matter to the bytes.
fn level(text: &str) -> Option<u64> {
    let mut level = 6;
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let number = |text: &str| text.parse::<u32>().ok();
        match word.as_bytes() {
            [b'-', digit @ b'0'..=b'9'] => level = u64::from(digit - b'0'),
            b"--best" => level = 9,
            b"--fast" => level = 0,
            b"-T" | b"--threads" => drop(words.next().and_then(number)?),
            _ => {
                let threads = word.strip_prefix("--threads=").or(word.strip_prefix("-T"))?;
                number(threads)?;
            }
        }
    }
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Runtime {
        parse("config.yml", text.as_bytes().to_vec()).unwrap_or_else(|problems| panic!("{problems}")).0
    }

    fn wrong(text: &str) -> String {
        parse("config.yml", text.as_bytes().to_vec()).expect_err("a wrong file").to_string()
    }

    #[test]
    fn a_section_of_a_later_file_replaces_the_earlier_one_as_a_whole() {
        let first = read("bundle:\n  - compress: true\n  - shasum_size: \"512\"\nxz:\n  - options: -9\n");
        assert_eq!((first.compress(), first.digest_bits(), first.xz_level()), (Some(true), 512, Some(9)));
        let both = first.under(read("bundle:\n  - compress: no\n"));
        assert_eq!((both.compress(), both.digest_bits(), both.xz_level()), (Some(false), 256, Some(9)));
    }

    #[test]
    fn values_and_their_limits() {
        for (text, bytes) in [("700m", 700 << 20), ("2G", 2 << 30), ("12", 12)] {
            let runtime = read(&format!("build_constraints:\n  - max_size: {text}\n"));
            assert_eq!(runtime.max_size(), Some(bytes), "{text}");
        }
        for text in ["12x", "m", "-1", "99999999999999999999", "99999999999999999g", "[1]"] {
            let message = wrong(&format!("build_constraints:\n  - max_size: {text}\n"));
            assert!(
                message.contains("config.yml:2:15: error: build_constraints.max_size"),
                "{text}: {message}"
            );
        }
        assert_eq!(read("xz:\n  - options: --threads=0 -3 -T 4 -T2\n").xz_level(), Some(3));
        for text in ["--extreme", "-T x", "-T", "-10", "--lzma2=dict=1GiB"] {
            assert!(wrong(&format!("xz:\n  - options: \"{text}\"\n")).contains("config.yml:2:"), "{text}");
        }
        assert_eq!(read("shasum:\n  - size: 512\n").digest_bits(), 512);
        assert_eq!(read("shasum:\n  - size: 512\nbundle:\n  - shasum_size: 256\n").digest_bits(), 256);
        assert_eq!(read(""), Runtime::default());
        assert_eq!(read("# nothing\n"), Runtime::default());
    }

    #[test]
    fn a_build_services_download_server_is_a_url() {
        let read = read("obs:\n  - download_url: https://build.example.org:81/repositories\n");
        assert_eq!(read.obs_download_url(), Some("https://build.example.org:81/repositories"));
        for text in
            ["build.example.org", "file:///srv", "http://", "\"http://a b\"", "https://a?b", "[]", "true"]
        {
            let message = wrong(&format!("obs:\n  - download_url: {text}\n"));
            assert!(message.contains("obs.download_url: expected an http:"), "{text}: {message}");
        }
    }

    #[test]
    fn what_has_the_wrong_form_is_refused_in_its_line() {
        for (text, place) in [
            ("bundle:\n  compress: true\n", "config.yml:1:1: error: expected a list"),
            ("xz:\n  - options: -9\nbundle:\n", "config.yml:3:1: error: expected a list"),
            ("- bundle\n", "config.yml:1:1: error: expected sections"),
            ("bundle:\n  - compress\n", "config.yml:2:5: error: expected a list"),
            ("bundle:\n  - compress: maybe\n", "config.yml:2:15: error: bundle.compress"),
            ("bundle: [\n", "error: no YAML"),
        ] {
            let message = wrong(text);
            assert!(message.contains(place), "{text}: {message}");
        }
        assert!(parse("f", vec![b'#', 0xff]).is_err());
    }

    #[test]
    fn what_nobody_knows_is_said() {
        let (_, warnings) =
            parse("c", b"bundel:\n  - a: 1\nbundle:\n  - compres: true\n".to_vec()).expect("read");
        let said: Vec<String> = warnings.list.iter().map(|one| format!("{one} {:?}", one.hint)).collect();
        assert!(said[0].contains("c:1:1: warning") && said[0].contains("did you mean bundle?"), "{said:?}");
        assert!(said[1].contains("c:4:5: warning") && said[1].contains("did you mean compress?"), "{said:?}");
    }
}
