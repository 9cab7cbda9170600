//! Packages files (Debian Repository Format, "Packages" indices; Debian Policy 5.3 and 7): what each package is, and needs.
//!
//! The text is kept as it is, and of each package the places of the fields that count: Debian's main, 63 000 packages in
//! 50 MB, takes some 10 MB beside its text. Relations are parsed where they are asked for.

use super::control::{Stanza, Stanzas, said};
use super::digest::Digest;
use super::location::relative;
use super::version::{compare_versions, is_version};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use std::cmp::Ordering;
use std::fmt;

/// Longest text that is believed: places in it have 32 bits, and nothing known has more than 100 MB.
const LONGEST: usize = 1 << 30;
/// Longest name of a package in bytes; dpkg has no limit, file names have.
const LONGEST_NAME: usize = 200;
/// Largest package that is believed, in bytes.
const LARGEST: u64 = 64 << 30;

/// A Packages file.
#[derive(Clone)]
pub struct Packages {
    what: String,
    text: Vec<u8>,
    entries: Vec<Entry>,
}

/// A range of the text.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    start: u32,
    len: u32,
}

/// Where a package's fields are.
#[derive(Clone, Copy, Debug)]
struct Entry {
    stanza: Place,
    fields: [Place; FIELDS.len()],
    size: u64,
    digest: Digest,
    essential: bool,
}

/// The fields that are kept as they are written.
const FIELDS: [&str; 9] = [
    "Package",
    "Version",
    "Architecture",
    "Filename",
    "Pre-Depends",
    "Depends",
    "Provides",
    "Priority",
    "Multi-Arch",
];
const NAME: usize = 0;
const VERSION: usize = 1;
const ARCHITECTURE: usize = 2;
const FILENAME: usize = 3;
const PRE_DEPENDS: usize = 4;
const DEPENDS: usize = 5;
const PROVIDES: usize = 6;
const PRIORITY: usize = 7;
const MULTI_ARCH: usize = 8;

/// A package that can be installed.
#[derive(Clone, Copy)]
pub struct Package<'a> {
    packages: &'a Packages,
    entry: &'a Entry,
}

/// How packages of several architectures stand beside each other (deb-control(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiArch {
    /// Nothing is said.
    No,
    /// `same`
    Same,
    /// `foreign`
    Foreign,
    /// `allowed`
    Allowed,
}

impl Packages {
    /// Reads a file, of which packages for `architecture` (in Debian's word) and for all of them count; `what` names it in
    /// messages.
    pub fn read(what: &str, text: Vec<u8>, architecture: &str) -> Result<Packages, Refusal> {
        if text.len() > LONGEST {
            let spot = Spot::new("repository", what);
            return Err(Refusal::new(RefusalKind::Limit, spot, format!("too long: {} bytes", text.len())));
        }
        let mut entries = Vec::new();
        for stanza in Stanzas::new(what, &text) {
            entries.extend(entry(&stanza, &text, architecture)?);
        }
        Ok(Packages { what: what.to_owned(), text, entries })
    }

    /// How messages name it.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// How many packages are in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of them, in its order; of a name there may be several versions.
    pub fn iter(&self) -> impl Iterator<Item = Package<'_>> {
        self.entries.iter().map(|entry| Package { packages: self, entry })
    }
}

impl fmt::Debug for Packages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packages({}: {})", self.what, self.entries.len())
    }
}

/// What a stanza says; `None`: it is for another machine.
fn entry(stanza: &Stanza<'_>, text: &[u8], architecture: &str) -> Result<Option<Entry>, Refusal> {
    let mut values: [Option<&[u8]>; FIELDS.len()] = [None; FIELDS.len()];
    let [mut size, mut sha256, mut sha512, mut essential] = [None; 4];
    for field in stanza.fields() {
        let (name, value) = field?;
        let found = FIELDS.iter().position(|field| field.as_bytes().eq_ignore_ascii_case(name));
        let slot = match found {
            Some(at) => &mut values[at],
            None if name.eq_ignore_ascii_case(b"Size") => &mut size,
            None if name.eq_ignore_ascii_case(b"SHA256") => &mut sha256,
            None if name.eq_ignore_ascii_case(b"SHA512") => &mut sha512,
            None if name.eq_ignore_ascii_case(b"Essential") => &mut essential,
            None => continue,
        };
        if slot.replace(value).is_some() {
            return Err(stanza.wrong(value, "each field once"));
        }
    }
    let value = |at: usize| values[at].ok_or_else(|| stanza.lacks(FIELDS[at]));
    let machine = value(ARCHITECTURE)?;
    if machine != architecture.as_bytes() && machine != b"all" {
        return Ok(None);
    }
    check(stanza, value(NAME)?, "the name of a package", is_name)?;
    check(stanza, value(VERSION)?, "a version", is_version)?;
    check(stanza, value(FILENAME)?, "a path in the repository", |path| relative(path).is_some())?;
    for relation in [PRE_DEPENDS, DEPENDS, PROVIDES, PRIORITY].into_iter().filter_map(|at| values[at]) {
        check(stanza, relation, "printable characters", |text| {
            text.bytes().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
        })?;
    }
    let size = size.ok_or_else(|| stanza.lacks("Size"))?;
    let bytes =
        std::str::from_utf8(size).ok().and_then(|size| size.parse().ok()).filter(|bytes| *bytes <= LARGEST);
    let digest = sha256.or(sha512).ok_or_else(|| stanza.lacks("SHA256"))?;
    let place = |value: &[u8]| Place {
        start: value.as_ptr().addr().wrapping_sub(text.as_ptr().addr()) as u32,
        len: value.len() as u32,
    };
    Ok(Some(Entry {
        stanza: place(stanza.bytes()),
        fields: values.map(|value| value.map(place).unwrap_or_default()),
        size: bytes.ok_or_else(|| stanza.wrong(size, "a size in bytes"))?,
        digest: Digest::of_hex(digest).ok_or_else(|| stanza.wrong(digest, "a digest"))?,
        essential: essential.is_some_and(|value| value.eq_ignore_ascii_case(b"yes")),
    }))
}

fn check(
    stanza: &Stanza<'_>,
    value: &[u8],
    expected: &str,
    good: impl Fn(&str) -> bool,
) -> Result<(), Refusal> {
    match std::str::from_utf8(value) {
        Ok(text) if good(text) => Ok(()),
        _ => Err(stanza.wrong(value, expected)),
    }
}

/// Letters, digits, `+`, `-` and `.`; a letter or digit in front (Debian Policy 5.6.1; dpkg takes capitals, too).
fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= LONGEST_NAME
        && name.bytes().all(good)
}

impl<'a> Package<'a> {
    fn field(&self, at: usize) -> &'a str {
        let Place { start, len } = self.entry.fields[at];
        let bytes = &self.packages.text[start as usize..start as usize + len as usize];
        // It was looked at when the file was read.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.field(NAME)
    }

    /// Its version.
    pub fn version(&self) -> &'a str {
        self.field(VERSION)
    }

    /// The machine that it is for, in Debian's word, or `all`.
    pub fn architecture(&self) -> &'a str {
        self.field(ARCHITECTURE)
    }

    /// The .deb below the source's location.
    pub fn filename(&self) -> String {
        relative(self.field(FILENAME)).unwrap_or_default()
    }

    /// Bytes of the .deb.
    pub fn size(&self) -> u64 {
        self.entry.size
    }

    /// Digest of the .deb.
    pub fn digest(&self) -> Digest {
        self.entry.digest
    }

    /// Whether no system may be without it: `Essential: yes`.
    pub fn essential(&self) -> bool {
        self.entry.essential
    }

    /// `required`, `important`, `standard`, `optional`, `extra`; may be empty.
    pub fn priority(&self) -> &'a str {
        self.field(PRIORITY)
    }

    /// How it stands beside itself for another machine.
    pub fn multi_arch(&self) -> MultiArch {
        match self.field(MULTI_ARCH) {
            "same" => MultiArch::Same,
            "foreign" => MultiArch::Foreign,
            "allowed" => MultiArch::Allowed,
            _ => MultiArch::No,
        }
    }

    /// What has to be configured before it is unpacked.
    pub fn pre_depends(&self) -> Result<Relations<'a>, Refusal> {
        self.relations(PRE_DEPENDS)
    }

    /// What has to be installed with it.
    pub fn depends(&self) -> Result<Relations<'a>, Refusal> {
        self.relations(DEPENDS)
    }

    /// What it stands for beside its own name: a relation each, alone, with `=` where it has a version.
    pub fn provides(&self) -> Result<Relations<'a>, Refusal> {
        self.relations(PROVIDES)
    }

    /// Its stanza, as it is in the file.
    pub fn stanza(&self) -> &'a [u8] {
        let Place { start, len } = self.entry.stanza;
        &self.packages.text[start as usize..start as usize + len as usize]
    }

    fn relations(&self, at: usize) -> Result<Relations<'a>, Refusal> {
        Relations::parse(self.field(at)).map_err(|part| {
            let spot = Spot::new(
                "repository",
                format!("{}: {} {}", self.packages.what, self.name(), self.version()),
            );
            let part = said(part.as_bytes());
            Refusal::new(
                RefusalKind::Invalid,
                spot,
                format!("{}: expected NAME (>= VERSION), found {part}", FIELDS[at]),
            )
        })
    }
}

impl fmt::Debug for Package<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.name(), self.version(), self.architecture())
    }
}

/// `a, b (>= 1) | c`: all of the outer list, any of each inner one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relations<'a>(pub Vec<Vec<Relation<'a>>>);

/// `NAME[:ARCHITECTURE] [(OPERATOR VERSION)]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// Of a package, or of what packages provide.
    pub name: &'a str,
    /// `any`, or a machine in Debian's word.
    pub architecture: Option<&'a str>,
    /// Which versions will do; `None`: all.
    pub constraint: Option<(Constraint, &'a str)>,
}

/// How versions are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// `<<`
    Earlier,
    /// `<=`, and `<`, which is obsolete
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`, and `>`, which is obsolete
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Constraint {
    /// Whether a version meets it.
    pub fn holds(self, version: &str, other: &str) -> bool {
        let order = compare_versions(version, other);
        match self {
            Constraint::Earlier => order == Ordering::Less,
            Constraint::EarlierOrEqual => order != Ordering::Greater,
            Constraint::Equal => order == Ordering::Equal,
            Constraint::LaterOrEqual => order != Ordering::Less,
            Constraint::Later => order == Ordering::Greater,
        }
    }
}

impl<'a> Relations<'a> {
    /// Parses the value of a field; the error is the part that is none.
    pub fn parse(text: &'a str) -> Result<Relations<'a>, &'a str> {
        // A comma may be at the end.
        let groups = text.split(',').map(str::trim).filter(|group| !group.is_empty());
        let group = |group: &'a str| group.split('|').map(|one| relation(one.trim()).ok_or(group)).collect();
        groups.map(group).collect::<Result<_, _>>().map(Relations)
    }
}

fn relation(text: &str) -> Option<Relation<'_>> {
    let (name, constraint) = match text.split_once('(') {
        Some((name, rest)) => (name.trim_end(), Some(constraint(rest.strip_suffix(')')?.trim())?)),
        None => (text, None),
    };
    let (name, architecture) = match name.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture)),
        None => (name, None),
    };
    let good = is_name(name) && architecture.is_none_or(is_name);
    good.then_some(Relation { name, architecture, constraint })
}

fn constraint(text: &str) -> Option<(Constraint, &str)> {
    let (sign, version) = text.split_at(text.find(|c: char| !"<>=".contains(c))?);
    let constraint = match sign {
        "<<" => Constraint::Earlier,
        "<=" | "<" => Constraint::EarlierOrEqual,
        "=" => Constraint::Equal,
        ">=" | ">" => Constraint::LaterOrEqual,
        ">>" => Constraint::Later,
        _ => return None,
    };
    Some((constraint, version.trim_start())).filter(|(_, version)| is_version(version))
}

/// As it is written.
impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(architecture) = self.architecture {
            write!(f, ":{architecture}")?;
        }
        let Some((constraint, version)) = self.constraint else { return Ok(()) };
        let sign = match constraint {
            Constraint::Earlier => "<<",
            Constraint::EarlierOrEqual => "<=",
            Constraint::Equal => "=",
            Constraint::LaterOrEqual => ">=",
            Constraint::Later => ">>",
        };
        write!(f, " ({sign} {version})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn stanza(fields: &str) -> String {
        format!(
            "Package: a\nVersion: 1\nArchitecture: all\nFilename: ./a.deb\nSize: 5\nSHA256: {DIGEST}\n{fields}\n"
        )
    }

    fn read(text: &str) -> Result<Packages, Refusal> {
        Packages::read("Packages", text.as_bytes().to_vec(), "amd64")
    }

    #[test]
    fn what_packages_are() {
        let other = stanza("").replace(": all", ": arm64");
        let text = format!(
            "{}{other}{}",
            stanza(
                "Essential: yes\nPriority: required\nMulti-Arch: foreign\nPre-Depends: b (>= 1:2~), c:any | d (<< 3)\nDescription: \u{e4}\n .\n"
            ),
            stanza("provides: x (= 2), y,\n z\n").replace(": all", ": amd64"),
        );
        let packages = read(&text).expect("packages");
        assert_eq!(packages.len(), 2);
        let all: Vec<Package<'_>> = packages.iter().collect();
        let first = all[0];
        assert_eq!((first.name(), first.version(), first.architecture()), ("a", "1", "all"));
        assert_eq!(
            (first.filename().as_str(), first.size(), first.digest().to_string().as_str()),
            ("a.deb", 5, DIGEST)
        );
        assert_eq!(
            (first.essential(), first.priority(), first.multi_arch()),
            (true, "required", MultiArch::Foreign)
        );
        let shown = |relations: Relations<'_>| {
            let group = |group: &Vec<Relation<'_>>| {
                group.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | ")
            };
            relations.0.iter().map(group).collect::<Vec<String>>()
        };
        assert_eq!(shown(first.pre_depends().expect("relations")), ["b (>= 1:2~)", "c:any | d (<< 3)"]);
        assert_eq!(shown(first.depends().expect("none")), Vec::<String>::new());
        assert_eq!(shown(all[1].provides().expect("relations")), ["x (= 2)", "y", "z"]);
        assert!(!all[1].essential() && all[1].multi_arch() == MultiArch::No);
        assert!(first.stanza().starts_with(b"Package: a\n") && first.stanza().ends_with(b" .\n"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let without = |field: &str| {
            let lines = stanza("");
            lines
                .lines()
                .filter(|line| !line.starts_with(field))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        for (text, reason) in [
            (without("Package"), "line 1: expected the field Package, found none"),
            (without("Version"), "the field Version"),
            (without("Architecture"), "the field Architecture"),
            (without("Filename"), "the field Filename"),
            (without("Size"), "the field Size"),
            (without("SHA256"), "the field SHA256"),
            (stanza("").replace(DIGEST, &DIGEST[1..]), "line 6: expected a digest"),
            (stanza("Version: 2\n"), "line 7: expected each field once, found 2"),
            (stanza("").replace("Size: 5", "Size: five"), "line 5: expected a size in bytes, found five"),
            (stanza("").replace("Size: 5", "Size: 99999999999999"), "line 5: expected a size"),
            (stanza("").replace("./a.deb", "../a.deb"), "line 4: expected a path in the repository"),
            (stanza("").replace("./a.deb", "/a.deb"), "line 4: expected a path in the repository"),
            (stanza("").replace("Package: a", "Package: -a"), "line 1: expected the name of a package"),
            (stanza("").replace("Package: a", "Package: a/b"), "line 1: expected the name of a package"),
            (stanza("").replace("Version: 1", "Version: x"), "line 2: expected a version, found x"),
            (stanza("Depends: \u{1b}[2J\n"), "line 7: expected printable characters"),
            (format!("{}nothing\n", stanza("")), "line 8: expected a field"),
        ] {
            let refused = read(&text).expect_err(reason);
            assert!(refused.to_string().contains(reason), "{refused}");
        }
        for relation in [
            "a b",
            "a (1)",
            "a (>= )",
            "a (>= 1",
            "a (=> 1)",
            "a |",
            "(>= 1)",
            "a [amd64]",
            "a <!nocheck>",
            "${misc:Depends}",
        ] {
            let packages = read(&stanza(&format!("Depends: b, {relation}\n"))).expect("packages");
            let refused = packages.iter().next().expect("one").depends().expect_err(relation);
            assert!(
                refused.to_string().contains("Packages: a 1: Depends: expected NAME (>= VERSION)"),
                "{refused}"
            );
        }
    }

    #[test]
    fn constraints() {
        for (constraint, holds) in [
            ("<<", "yes no no"),
            ("<=", "yes yes no"),
            ("=", "no yes no"),
            (">=", "no yes yes"),
            (">>", "no no yes"),
            ("<", "yes yes no"),
            (">", "no yes yes"),
        ] {
            let text = format!("a ({constraint} 1.2)");
            let relations = Relations::parse(&text).expect("a relation");
            let (constraint, version) = relations.0[0][0].constraint.expect("a constraint");
            let said =
                ["1.2~", "1.2", "1.10"].map(|one| if constraint.holds(one, version) { "yes" } else { "no" });
            assert_eq!(said.join(" "), holds, "{text}");
        }
    }
}
