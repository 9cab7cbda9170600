//! Names: what FAT can store of them, and the short name that every entry has (fatgen103, sections 6 and 7).
//!
//! A name that is an exact upper-case 8.3 name is stored as that alone; every other one as UTF-16 beside a short name.
//! The short name of a name that differs from an 8.3 name in case only is that one; of any other it is `BASE~N`, the
//! smallest free `N` in the order of the names. So short names depend on the set of names in a directory alone.

use super::DIRECTORY_SLOTS;
use super::disk::{Entry, LongEntry};
use diskwright_formats::fault::RefusalKind;
use std::collections::{BTreeMap, BTreeSet};

/// Most entries for names; the others are for `.` and `..` or a label.
const MOST_SLOTS: usize = DIRECTORY_SLOTS - 2;
/// Longest name in UTF-16 units.
pub(super) const NAME_UNITS: usize = 255;
/// Characters that no name may hold; with them all below the space.
const ILLEGAL: &str = "\"*/:<>?\\|";
/// Characters that a short name may hold beside letters and digits.
const SHORT: &[u8] = b"!#$%&'()-@^_`{}~";

/// A name as its directory stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Base and extension, padded with spaces.
    pub(super) short: [u8; 11],
    /// The name in UTF-16; empty when the short name says it all.
    pub(super) long: Vec<u16>,
}

impl Name {
    /// Directory entries that it takes.
    pub(super) fn slots(&self) -> usize {
        1 + self.long.len().div_ceil(LongEntry::UNITS)
    }
}

/// Why a directory cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// Index of the name that is at fault; `None`: all together.
    pub(super) at: Option<usize>,
    pub(super) kind: RefusalKind,
    pub(super) reason: String,
}

/// The names of one directory, in order.
pub(super) fn directory<'a>(
    names: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) -> Result<Vec<Name>, Unfit> {
    let crowded = |slots: usize| {
        let reason = format!(
            "a directory of {slots} entries, counting those of long names: at most {MOST_SLOTS} in a directory of FAT"
        );
        Unfit { at: None, kind: RefusalKind::Limit, reason }
    };
    if names.len() > MOST_SLOTS {
        return Err(crowded(names.len()));
    }
    let mut texts = Vec::new();
    let mut seen = BTreeMap::new();
    for (at, name) in names.enumerate() {
        let unfit = |(kind, reason)| Unfit { at: Some(at), kind, reason };
        let text = legal(name).map_err(unfit)?;
        if let Some(other) = seen.insert(folded(text), text) {
            let reason = format!("differs from another name in upper and lower case only: {other}");
            return Err(unfit((RefusalKind::Invalid, reason)));
        }
        texts.push(text);
    }
    let mut taken: BTreeSet<[u8; 11]> = texts.iter().filter_map(|text| eight_three(text)).collect();
    let mut numbers = BTreeMap::new();
    let names: Vec<Name> = texts.into_iter().map(|text| name(text, &mut taken, &mut numbers)).collect();
    match names.iter().map(Name::slots).sum() {
        0..=MOST_SLOTS => Ok(names),
        slots => Err(crowded(slots)),
    }
}

fn name(text: &str, taken: &mut BTreeSet<[u8; 11]>, numbers: &mut BTreeMap<Numbered, u32>) -> Name {
    match eight_three(text) {
        Some(short) if !text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            Name { short, long: Vec::new() }
        }
        Some(short) => Name { short, long: text.encode_utf16().collect() },
        None => Name { short: numbered(text, taken, numbers), long: text.encode_utf16().collect() },
    }
}

/// The name as text, if FAT can store it.
pub(super) fn legal(name: &[u8]) -> Result<&str, (RefusalKind, String)> {
    let invalid = |reason: String| Err((RefusalKind::Invalid, reason));
    let Ok(text) = std::str::from_utf8(name) else {
        return invalid("the name is not valid UTF-8, FAT stores UTF-16".to_owned());
    };
    if let Some(illegal) = text.chars().find(|&c| c < ' ' || ILLEGAL.contains(c)) {
        return invalid(format!("the name holds a character that FAT cannot: {illegal:?}"));
    }
    if text.ends_with(['.', ' ']) {
        return invalid("the name ends in a dot or a space, which FAT drops".to_owned());
    }
    match text.encode_utf16().count() {
        0..=NAME_UNITS => Ok(text),
        units => {
            Err((RefusalKind::Limit, format!("the name is {units} UTF-16 units long: at most {NAME_UNITS}")))
        }
    }
}

/// Equal for names that FAT takes for the same: upper case where that is a single character.
pub(super) fn folded(text: &str) -> String {
    let upper = |c: char| {
        let mut upper = c.to_uppercase();
        if upper.len() == 1 { upper.next().unwrap_or(c) } else { c }
    };
    text.chars().map(upper).collect()
}

/// The upper-case 8.3 name that differs from `text` in case only, if there is one.
fn eight_three(text: &str) -> Option<[u8; 11]> {
    let (base, extension) = text.split_once('.').unwrap_or((text, ""));
    let has_extension = text.len() == base.len() || !extension.is_empty();
    let fits = (1..=8).contains(&base.len()) && extension.len() <= 3 && has_extension;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || SHORT.contains(&byte);
    (fits && base.bytes().chain(extension.bytes()).all(valid)).then(|| padded(base, extension))
}

fn padded(base: &str, extension: &str) -> [u8; 11] {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base.as_bytes());
    short[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    short.make_ascii_uppercase();
    short
}

/// The start of a base, its extension, and how many digits follow the tilde.
type Numbered = (String, String, usize);

/// `BASE~N`: the next number that is free for the longest start of the base that leaves room for it.
fn numbered(text: &str, taken: &mut BTreeSet<[u8; 11]>, numbers: &mut BTreeMap<Numbered, u32>) -> [u8; 11] {
    let (base, extension) = squeezed(text);
    for digits in 1..=6 {
        let base = &base[..base.len().min(7 - digits)];
        let end = 10u32.pow(digits as u32);
        let next = numbers.entry((base.to_owned(), extension.clone(), digits)).or_insert(end / 10);
        while *next < end {
            let short = padded(&format!("{base}~{next}"), &extension);
            *next += 1;
            if taken.insert(short) {
                return short;
            }
        }
    }
    unreachable!("a directory has fewer entries than there are numbers of six digits")
}

/// Base and extension in the characters of short names: spaces and dots left out, others replaced.
fn squeezed(text: &str) -> (String, String) {
    let text: String = text.trim_start_matches(['.', ' ']).chars().filter(|&c| c != ' ').collect();
    let (base, extension) = text.rsplit_once('.').unwrap_or((&text, ""));
    let squeeze = |part: &str, most: usize| -> String {
        let valid = |c: char| c.is_ascii_alphanumeric() || c.is_ascii() && SHORT.contains(&(c as u8));
        let short = part.chars().filter(|&c| c != '.').map(|c| if valid(c) { c } else { '_' });
        short.take(most).collect::<String>().to_ascii_uppercase()
    };
    (squeeze(base, 6), squeeze(extension, 3))
}

/// The upper half of code page 850, in which mkfs.fat, mtools and fsck.fat read short names.
const CODE_PAGE: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
    └┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

/// The short name as text, in lower case where the case bits say so.
pub(super) fn short_text(entry: &Entry) -> String {
    let lower = |bit: u8| entry.case & bit != 0;
    let base = decoded(&entry.name[..8], lower(Entry::CASE_BASE));
    let extension = decoded(&entry.name[8..], lower(Entry::CASE_EXTENSION));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

fn decoded(bytes: &[u8], lower: bool) -> String {
    let len = bytes.iter().rposition(|&byte| byte != b' ').map_or(0, |at| at + 1);
    let text = bytes[..len].iter().enumerate().map(|(at, &byte)| match byte {
        Entry::ESCAPED_E5 if at == 0 => oem(Entry::DELETED),
        byte => oem(byte),
    });
    if lower { text.flat_map(char::to_lowercase).collect() } else { text.collect() }
}

fn oem(byte: u8) -> char {
    match byte {
        0..0x80 => char::from(byte),
        _ => CODE_PAGE.chars().nth(usize::from(byte - 0x80)).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// Whether the bytes may stand in an entry: no lower case, no illegal character, no space in front.
pub(super) fn is_short_name(name: &[u8; 11]) -> bool {
    let valid = |&byte: &u8| {
        byte.is_ascii_uppercase()
            || byte.is_ascii_digit()
            || SHORT.contains(&byte)
            || byte >= 0x80
            || byte == b' '
    };
    let first = name[0] == Entry::ESCAPED_E5 || name[0] != b' ' && valid(&name[0]);
    first && name[1..].iter().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short_names(names: &[&str]) -> Vec<String> {
        let names = directory(names.iter().map(|name| name.as_bytes())).unwrap();
        names.iter().map(|name| String::from_utf8(name.short.to_vec()).unwrap()).collect()
    }

    #[test]
    fn short_names_follow_from_the_names() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["README.TXT"], &["README  TXT"]),
            (&["readme.txt"], &["README  TXT"]),
            (&["A", "b.C"], &["A          ", "B       C  "]),
            (&["archive.tar.gz"], &["ARCHIV~1GZ "]),
            (&["a b.txt"], &["AB~1    TXT"]),
            (&[".bashrc"], &["BASHRC~1   "]),
            (&["..x"], &["X~1        "]),
            (&["a+b=c;d,[e].t"], &["A_B_C_~1T  "]),
            (&["Grüße"], &["GR__E~1    "]),
            (&["😀.txt", "日本語.txt"], &["_~1     TXT", "___~1   TXT"]),
            (&["12345678"], &["12345678   "]),
            (&["123456789", "1234567890"], &["123456~1   ", "123456~2   "]),
            // A name that is there keeps its short name, wherever it sorts.
            (&["LONGNA~1", "longname-1", "longname-2"], &["LONGNA~1   ", "LONGNA~2   ", "LONGNA~3   "]),
            (&["a.longext", "a.lon"], &["A~1     LON", "A       LON"]),
        ];
        for (names, short) in cases {
            assert_eq!(short_names(names), *short, "{names:?}");
        }
    }

    #[test]
    fn numbers_grow_and_never_repeat() {
        let names: Vec<String> = (0..15_000).map(|n| format!("some file number {n:05}.data")).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let short = short_names(&names);
        assert_eq!(short.iter().collect::<BTreeSet<_>>().len(), short.len());
        assert_eq!((&*short[8], &*short[9], &*short[99]), ("SOMEFI~9DAT", "SOMEF~10DAT", "SOME~100DAT"));
        assert_eq!(&*short[14_999], "SO~15000DAT");
    }

    #[test]
    fn only_an_exact_short_name_stands_alone() {
        for (name, slots) in
            [("README.TXT", 1), ("Readme.txt", 2), ("1234567890123", 2), ("12345678901234", 3), ("A.B.C", 2)]
        {
            assert_eq!(directory([name.as_bytes()].into_iter()).unwrap()[0].slots(), slots, "{name}");
        }
    }

    #[test]
    fn names_that_fat_cannot_store() {
        let long = "x".repeat(256);
        let cases: &[(&[&[u8]], usize, RefusalKind, &str)] = &[
            (&[b"a", b"\xff"], 1, RefusalKind::Invalid, "UTF-8"),
            (&[b"a:b"], 0, RefusalKind::Invalid, "':'"),
            (&[b"a\nb"], 0, RefusalKind::Invalid, "'\\n'"),
            (&[b"a."], 0, RefusalKind::Invalid, "dot"),
            (&[b"a "], 0, RefusalKind::Invalid, "space"),
            (&[long.as_bytes()], 0, RefusalKind::Limit, "256"),
            (&[b"Name", b"other", b"nAME"], 2, RefusalKind::Invalid, "only: Name"),
            (&["Ärger".as_bytes(), "ärger".as_bytes()], 1, RefusalKind::Invalid, "only: Ärger"),
        ];
        for (names, at, kind, reason) in cases {
            let unfit = directory(names.iter().copied()).unwrap_err();
            assert_eq!((unfit.at, unfit.kind), (Some(*at), *kind), "{}", unfit.reason);
            assert!(unfit.reason.contains(reason), "{}", unfit.reason);
        }
    }

    #[test]
    fn a_directory_has_an_end() {
        // A short entry and five for 64 units each: 10,922 names take 65,532 entries.
        let names: Vec<String> = (0..10_923).map(|n| format!("{n:064}")).collect();
        let bytes = |most: usize| names[..most].iter().map(|name| name.as_bytes());
        assert!(directory(bytes(10_922)).is_ok());
        let unfit = directory(bytes(10_923)).unwrap_err();
        assert_eq!((unfit.at, unfit.kind), (None, RefusalKind::Limit));
        assert!(unfit.reason.contains("65538 entries"), "{}", unfit.reason);
    }

    #[test]
    fn short_names_as_text() {
        use zerocopy::FromZeros;
        let text = |name: &[u8; 11], case| short_text(&Entry { name: *name, case, ..Entry::new_zeroed() });
        assert_eq!(text(b"README  TXT", 0), "README.TXT");
        assert_eq!(text(b"README  TXT", Entry::CASE_BASE), "readme.TXT");
        assert_eq!(text(b"README  TXT", Entry::CASE_EXTENSION), "README.txt");
        assert_eq!(text(b"A          ", 0), "A");
        assert_eq!(text(b"\x05\x9a\xff\x80    Z  ", 0), "ÕÜ\u{a0}Ç.Z");
        assert_eq!(CODE_PAGE.chars().count(), 128);
    }
}
