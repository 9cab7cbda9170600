//! The control files of a package (deb(5), deb-control(5)) and the fields in them.

use super::inflate::Stream;
use super::{DebError, malformed};
use crate::root::repository::compare_versions;
use crate::survey::tar::members::{MemberKind, Members, Source};
use std::cmp::Ordering;

/// Most bytes of all control files of a package together: lists of checksums are the largest.
const CONTROL_MAX: u64 = 64 << 20;
/// Most bytes of the name of a control file, as in dpkg.
const NAME_MAX: usize = 50;

/// Fields in their order. Names keep the case that they were written in, and compare without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanza {
    /// Name and value; lines of a value are separated by newlines and keep the blank in front.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Stanza {
    /// Reads one stanza.
    ///
    /// # Errors
    /// What is wrong with it, without its place.
    pub fn parse(text: &[u8]) -> Result<Stanza, String> {
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        for line in text.split(|&byte| byte == b'\n') {
            if line.trim_ascii().is_empty() {
                continue;
            }
            if let [b' ' | b'\t', ..] = line {
                let (_, value) = fields.last_mut().ok_or("a line that continues no field")?;
                value.push(b'\n');
                value.extend(line);
                continue;
            }
            let colon = line.iter().position(|&byte| byte == b':');
            let (name, value) = line.split_at(colon.ok_or("a line without a field")?);
            let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b':';
            let name = str::from_utf8(name).ok().filter(|name| !name.is_empty() && !name.starts_with('-'));
            let name =
                name.filter(|name| name.as_bytes().iter().all(plain)).ok_or("a field with a bad name")?;
            if fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Err(format!("a field twice: {name}"));
            }
            fields.push((name.to_owned(), value[1..].trim_ascii_start().to_vec()));
        }
        for (_, value) in &mut fields {
            value.truncate(value.trim_ascii_end().len());
        }
        Ok(Stanza { fields })
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        field.map(|(_, value)| &value[..]).filter(|value| !value.is_empty())
    }

    /// The value of a field that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| str::from_utf8(value).ok())
    }

    /// Puts a value in the place of another; a field that was not there comes last.
    pub(super) fn set(&mut self, name: &str, value: Vec<u8>) {
        match self.fields.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name.to_owned(), value)),
        }
    }

    pub(super) fn take(&mut self, name: &str) {
        self.fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// The packages that a field of relations names.
    ///
    /// # Errors
    /// A field that is malformed, without its place.
    pub fn relations(&self, name: &str) -> Result<Vec<Vec<Relation>>, String> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let bad = || format!("a bad {name}: {}", value.escape_ascii());
        let value = str::from_utf8(value).map_err(|_| bad())?;
        let group = |group: &str| group.split('|').map(|one| Relation::parse(one).ok_or_else(bad)).collect();
        value.split(',').map(group).collect()
    }
}

/// One of the packages that a field of relations names: deb-control(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The package.
    pub package: String,
    /// What stands behind a colon: an architecture, `any`, `native`.
    pub architecture: Option<String>,
    /// `=`, `<<`, `<=`, `>=` or `>>`, and a version.
    pub version: Option<(&'static str, String)>,
}

impl Relation {
    fn parse(text: &str) -> Option<Relation> {
        let (name, version) = match text.split_once('(') {
            Some((name, rest)) => (name, Some(bound(rest.trim_ascii().strip_suffix(')')?)?)),
            None => (text, None),
        };
        let (package, architecture) = match name.trim_ascii().split_once(':') {
            Some((package, architecture)) => (package, Some(architecture.to_owned())),
            None => (name.trim_ascii(), None),
        };
        let package = package.to_ascii_lowercase();
        let known = architecture.as_deref().is_none_or(is_architecture);
        (is_name(&package) && known).then_some(Relation { package, architecture, version })
    }

    /// Whether a version is one of those that are meant.
    pub fn admits(&self, version: &str) -> bool {
        let Some((bound, than)) = &self.version else { return true };
        let order = compare_versions(version, than);
        match *bound {
            "=" => order == Ordering::Equal,
            "<<" => order == Ordering::Less,
            "<=" => order != Ordering::Greater,
            ">=" => order != Ordering::Less,
            _ => order == Ordering::Greater,
        }
    }

    /// As dpkg writes it.
    pub(super) fn written(&self) -> String {
        let architecture = self.architecture.iter().flat_map(|name| [":", name]);
        let bound = self.version.iter().flat_map(|(bound, version)| [" (", bound, " ", version, ")"]);
        std::iter::once(&self.package[..]).chain(architecture).chain(bound).collect()
    }
}

/// `>= 1.0`; the old `<` and `>` mean `<=` and `>=`.
fn bound(text: &str) -> Option<(&'static str, String)> {
    let text = text.trim_ascii();
    let signs = ["<<", "<=", ">=", ">>", "=", "<", ">"];
    let (sign, rest) =
        signs.iter().find_map(|sign| Some((*sign, text.strip_prefix(sign)?))).unwrap_or(("=", text));
    let sign = match sign {
        "<" => "<=",
        ">" => ">=",
        sign => sign,
    };
    Some((sign, version_written(rest.trim_ascii())?))
}

/// A version as dpkg writes it: without an epoch of 0.
pub(super) fn version_written(version: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-:~_".contains(&byte);
    (!version.is_empty() && version.bytes().all(allowed)).then_some(())?;
    match version.split_once(':') {
        Some((epoch, rest)) => match epoch.parse::<u32>().ok()? {
            0 if !rest.contains(':') => Some(rest.to_owned()),
            epoch => Some(format!("{epoch}:{rest}")),
        },
        None => Some(version.to_owned()),
    }
}

/// dpkg's rule for names of packages.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte);
    name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && name.len() <= 200
        && name.bytes().all(allowed)
}

/// dpkg's rule for names of architectures.
pub(super) fn is_architecture(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && name.len() <= 100
        && name.bytes().all(allowed)
}

/// A control file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlFile {
    /// Its name: `postinst`.
    pub name: String,
    /// Permissions.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A file that belongs to the administrator once it is installed: deb-conffiles(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conffile {
    /// Absolute.
    pub path: Vec<u8>,
    /// The package no longer has it.
    pub remove_on_upgrade: bool,
}

/// A line of the file `triggers`: deb-triggers(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Whether the package wants to hear of it; else it sets it off.
    pub interest: bool,
    /// Whether who sets it off waits for those who hear of it.
    pub awaited: bool,
    /// A name, or an absolute path.
    pub name: String,
}

/// What a package says of itself.
#[derive(Clone, Debug)]
pub struct Control {
    /// The fields of the file `control`.
    pub stanza: Stanza,
    /// Its name.
    pub name: String,
    /// Its version, as dpkg writes it.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// Whether it is `Multi-Arch: same`: packages of several architectures share what is equal.
    pub is_same: bool,
    /// All files, sorted by name.
    pub files: Vec<ControlFile>,
    /// Its conffiles.
    pub conffiles: Vec<Conffile>,
    /// Its triggers.
    pub triggers: Vec<Trigger>,
}

impl Control {
    /// Reads the control files.
    pub(super) fn read(stream: &Stream, shown: &str) -> Result<Control, DebError> {
        let files = files(stream, shown)?;
        Control::of(files).map_err(|reason| malformed(shown, reason))
    }

    /// What control files say.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of(files: Vec<ControlFile>) -> Result<Control, String> {
        let bytes = |name: &str| files.iter().find(|file| file.name == name).map(|file| &file.bytes[..]);
        let stanza = bytes("control").ok_or("a package without the file control")?;
        let stanza = Stanza::parse(stanza).map_err(|reason| format!("control: {reason}"))?;
        let field = |name: &str| {
            let value = stanza.text(name).filter(|value| !value.contains('\n'));
            value.ok_or_else(|| format!("control: a package without a {name}"))
        };
        let bad = |name: &str, value: &str| format!("control: a bad {name}: {}", value.escape_debug());
        let name = field("Package")?.to_ascii_lowercase();
        let name = Some(name).filter(|name| is_name(name)).ok_or_else(|| bad("Package", "not a name"))?;
        let says = field("Version")?;
        let version = version_written(says).ok_or_else(|| bad("Version", says))?;
        let says = field("Architecture")?;
        let architecture =
            Some(says).filter(|says| is_architecture(says)).ok_or_else(|| bad("Architecture", says))?;
        let is_same = stanza.text("Multi-Arch") == Some("same");
        let conffiles = bytes("conffiles").map(conffiles).transpose()?.unwrap_or_default();
        let triggers = bytes("triggers").map(triggers).transpose()?.unwrap_or_default();
        let (architecture, version) = (architecture.to_owned(), version);
        Ok(Control { name, version, architecture, is_same, conffiles, triggers, stanza, files })
    }

    /// A control file.
    pub fn file(&self, name: &str) -> Option<&ControlFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// The name that its files in `/var/lib/dpkg/info` start with, and that triggers know it by.
    pub fn info_name(&self) -> String {
        match self.is_same {
            true => format!("{}:{}", self.name, self.architecture),
            false => self.name.clone(),
        }
    }
}

/// Reads the members of `control.tar`.
fn files(stream: &Stream, shown: &str) -> Result<Vec<ControlFile>, DebError> {
    let mut files: Vec<ControlFile> = Vec::new();
    let mut left = CONTROL_MAX;
    let mut members = Members::new(stream);
    while let Some(member) = members.next()? {
        let refused =
            |reason: &str| malformed(shown, format!("control.tar: {}: {reason}", member.path.escape_ascii()));
        let name = member.path.strip_prefix(b"./").unwrap_or(&member.path);
        let (at, size) = match member.kind {
            MemberKind::Directory if matches!(name, b"" | b".") => continue,
            MemberKind::File { at, stored, map: None } => (at, stored),
            _ => return Err(refused("neither a file nor the directory itself")),
        };
        let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'/';
        let name = str::from_utf8(name).ok().filter(|name| (1..=NAME_MAX).contains(&name.len()));
        let name = name.filter(|name| name.as_bytes().iter().all(plain) && !name.starts_with('.'));
        let name = name.ok_or_else(|| refused("a bad name"))?;
        if files.iter().any(|file| file.name == name) {
            return Err(refused("twice"));
        }
        left = left.checked_sub(size).ok_or_else(|| refused("more than 64 MiB of control files"))?;
        let mut bytes = vec![0; size as usize];
        stream.read(at, &mut bytes)?;
        let (mode, mtime) = (u32::from(member.mode & 0o777), member.mtime.sec);
        files.push(ControlFile { name: name.to_owned(), mode, mtime, bytes });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn conffiles(text: &[u8]) -> Result<Vec<Conffile>, String> {
    let mut conffiles = Vec::new();
    let bad = |line: &[u8]| format!("conffiles: a bad line: {}", line.escape_ascii());
    for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end) {
        let flag = b"remove-on-upgrade ";
        let (path, remove_on_upgrade) = match line.strip_prefix(flag) {
            Some(path) => (path, true),
            None => (line, false),
        };
        match path {
            [] if !remove_on_upgrade => {}
            [b'/', _, ..] => conffiles.push(Conffile { path: path.to_vec(), remove_on_upgrade }),
            _ => return Err(bad(line)),
        }
    }
    Ok(conffiles)
}

fn triggers(text: &[u8]) -> Result<Vec<Trigger>, String> {
    let text = str::from_utf8(text).map_err(|_| "triggers: not text")?;
    let mut triggers = Vec::new();
    for line in text.lines().map(str::trim_ascii).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let bad = || format!("triggers: a bad line: {}", line.escape_debug());
        let (directive, name) = line.split_once([' ', '\t']).ok_or_else(bad)?;
        let name = Some(name.trim_ascii()).filter(|name| is_trigger(name)).ok_or_else(bad)?;
        let (interest, awaited) = match directive {
            "interest" | "interest-await" => (true, true),
            "interest-noawait" => (true, false),
            "activate" | "activate-await" => (false, true),
            "activate-noawait" => (false, false),
            _ => return Err(bad()),
        };
        triggers.push(Trigger { interest, awaited, name: name.to_owned() });
    }
    Ok(triggers)
}

/// A name like that of a package, or an absolute path.
fn is_trigger(name: &str) -> bool {
    match name.strip_prefix('/') {
        Some(path) => {
            path.split('/').all(|part| !part.is_empty()) && path.bytes().all(|byte| byte.is_ascii_graphic())
        }
        None => is_name(name) && !name.contains('_'),
    }
}
