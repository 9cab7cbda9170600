//! What the administrator of a tree said: diversions (dpkg-divert(1)) and stat overrides (dpkg-statoverride(1)).

use super::super::DebError;
use super::super::root::Root;
use super::FILE_MAX;
use std::collections::BTreeMap;

/// A file that packages install under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// The path in the packages.
    pub from: Vec<u8>,
    /// Where it is put.
    pub to: Vec<u8>,
    /// The package that has the file under its own name; none: a local diversion.
    pub package: Option<String>,
}

/// Owner and permissions of a path, whatever its package says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permissions.
    pub mode: u16,
}

/// Reads a file `diversions`: three lines for each, from, to, package or `:`.
///
/// # Errors
/// What is no diversion.
pub fn diversions(text: &[u8]) -> Result<Vec<Diversion>, String> {
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let lines = lines.strip_suffix(&[&b""[..]]).unwrap_or(&lines);
    let (groups, rest) = lines.as_chunks::<3>();
    if !rest.is_empty() {
        return Err("a diversion without its three lines".to_owned());
    }
    let diversion = |&[from, to, package]: &[&[u8]; 3]| {
        let package = str::from_utf8(package).ok()?;
        let is_path = |path: &[u8]| {
            path.starts_with(b"/") && path.split(|&byte| byte == b'/').all(|part| part != b"..")
        };
        let package = Some(package).filter(|package| *package != ":").map(str::to_owned);
        (is_path(from) && is_path(to)).then(|| Diversion { from: from.to_vec(), to: to.to_vec(), package })
    };
    groups.iter().map(|group| diversion(group).ok_or_else(|| "a bad diversion".to_owned())).collect()
}

/// Lines of `OWNER GROUP MODE PATH`; owners are names, or numbers behind `#`.
pub(super) fn overrides(text: &[u8], accounts: &Accounts) -> Result<BTreeMap<Vec<u8>, Override>, String> {
    let mut overrides = BTreeMap::new();
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let bad = || format!("a bad line: {}", line.escape_ascii());
        let mut parts = line.splitn(4, |&byte| byte == b' ');
        let mut part = || parts.next().and_then(|part| str::from_utf8(part).ok()).ok_or_else(bad);
        let (user, group, mode) = (part()?, part()?, part()?);
        let path = part()?.as_bytes().to_vec();
        let number = |name: &str, known: &BTreeMap<String, u32>| match name.strip_prefix('#') {
            Some(number) => number.parse().ok(),
            None => known.get(name).copied(),
        };
        let uid = number(user, &accounts.users).ok_or_else(bad)?;
        let gid = number(group, &accounts.groups).ok_or_else(bad)?;
        let mode = u16::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(bad)?;
        overrides.insert(path, Override { uid, gid, mode });
    }
    Ok(overrides)
}

/// The names that a tree knows.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

impl Accounts {
    pub(super) fn read(root: &Root) -> Result<Accounts, DebError> {
        let names = |path: &[u8]| {
            let text = root.read(path, FILE_MAX)?.unwrap_or_default();
            let lines = text.split(|&byte| byte == b'\n').filter_map(|line| str::from_utf8(line).ok());
            let number = |line: &str| {
                let mut parts = line.split(':');
                Some((parts.next()?.to_owned(), parts.nth(1)?.parse().ok()?))
            };
            Ok::<BTreeMap<String, u32>, DebError>(lines.filter_map(number).collect())
        };
        Ok(Accounts { users: names(b"/etc/passwd")?, groups: names(b"/etc/group")? })
    }
}
