//! The lists of what is in an image that KIWI leaves beside it: `NAME.packages` and `NAME.verified` (NG 11.1.6 `setup.py:
//! export_package_list, export_package_verification`).
//!
//! ```text
//! .packages   NAME|None|VERSION|None|ARCHITECTURE|None|None      dpkg-query -W, sorted; the fields are those of rpm
//! .verified   ??5?????? c /etc/motd                              dpkg -V --verify-format rpm
//! ```
//!
//! Both are read out of the tree as it goes into the image, by what dpkg's database in it says; no program runs. What dpkg
//! 1.21 says of a file (`main/verify.c`): `missing`; `M`: no regular file, though its digest is known; `5`: another
//! digest; `c`: a conffile. dpkg goes by the places of names in its memory, this list by the names of the packages.

use super::deb::database::{Diversion, Package, diversions, packages};
use crate::boot::follow;
use diskwright_formats::layout::{ContentError, Contents};
use diskwright_fstools::tree::{Data, Kind, NodeId, Tree};
use md5::{Digest, Md5};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// dpkg's database.
const ADMIN: &str = "/var/lib/dpkg";
/// Most bytes of one of its files.
const FILE_MAX: u64 = 1 << 28;
/// Bytes that are read at once.
const WINDOW: u64 = 1 << 17;

/// What is known of the packages in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    /// The text of `NAME.packages`.
    pub packages: String,
    /// The text of `NAME.verified`.
    pub verified: Vec<u8>,
}

/// Why there are no lists.
#[derive(Debug)]
pub enum ListsError {
    /// dpkg's database is not what dpkg writes.
    Database(String),
    /// A file could not be read.
    Content(ContentError),
}

impl fmt::Display for ListsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListsError::Database(reason) => reason.fmt(f),
            ListsError::Content(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ListsError {}

impl From<ContentError> for ListsError {
    fn from(error: ContentError) -> ListsError {
        ListsError::Content(error)
    }
}

/// The lists of a tree; `None` where it has no packages of dpkg.
///
/// # Errors
/// A database that dpkg could not read either, or is about to change; files that cannot be read.
pub fn lists(tree: &Tree, contents: &dyn Contents) -> Result<Option<Lists>, ListsError> {
    let bad = |name: &str, reason: String| ListsError::Database(format!("{ADMIN}/{name}: {reason}"));
    let read = |name: &str| file(tree, contents, &format!("{ADMIN}/{name}"));
    let status = read("status")?.unwrap_or_default();
    let mut packages = packages(&status).map_err(|reason| bad("status", reason))?;
    if packages.is_empty() {
        return Ok(None);
    }
    let updates = follow(tree, format!("{ADMIN}/updates").as_bytes());
    if updates.is_some_and(|updates| tree.children(updates).len() > 0) {
        return Err(bad("updates", "dpkg was interrupted here".to_owned()));
    }
    packages.retain(Package::is_there);
    packages.sort_by(|one, other| (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture)));
    let diversions = read("diversions")?.unwrap_or_default();
    let diversions = self::diversions(&diversions).map_err(|reason| bad("diversions", reason))?;
    let verify = Verify { tree, contents, diversions };
    let verified: Vec<Vec<u8>> =
        packages.par_iter().map(|package| verify.package(package)).collect::<Result<_, _>>()?;
    Ok(Some(Lists { packages: listed(&packages), verified: verified.concat() }))
}

fn listed(packages: &[Package]) -> String {
    let line =
        |one: &Package| format!("{}|None|{}|None|{}|None|None\n", one.name, one.version, one.architecture);
    // As Python sorts them: not by the names.
    packages.iter().map(line).collect::<BTreeSet<String>>().into_iter().collect()
}

/// The name of a list: `NAME.ARCH-VERSION.packages`.
pub fn file_name(name: &str, machine: &str, version: Option<&str>, ending: &str) -> String {
    let version = version.filter(|version| !version.is_empty()).unwrap_or("unspecified");
    format!("{name}.{machine}-{version}.{ending}")
}

struct Verify<'a> {
    tree: &'a Tree,
    contents: &'a dyn Contents,
    diversions: Vec<Diversion>,
}

/// What `lstat` would find.
enum Looked {
    Node(NodeId),
    /// Why there is nothing, as the C library says it; empty: there just is nothing.
    Missing(&'static str),
}

impl Verify<'_> {
    /// A line for each file that is not as the package brought it.
    fn package(&self, package: &Package) -> Result<Vec<u8>, ContentError> {
        let info = |ending: &str| {
            let path = format!("{ADMIN}/info/{}.{ending}", package.info_name());
            Ok::<_, ContentError>(file(self.tree, self.contents, &path)?.unwrap_or_default())
        };
        let (list, sums) = (info("list")?, info("md5sums")?);
        let sums: BTreeMap<&[u8], &[u8]> = lines(&sums).filter_map(sum).collect();
        let conffiles = package.conffiles();
        let mut text = Vec::new();
        for path in lines(&list).map(|path| path.strip_suffix(b"/").unwrap_or(path)) {
            let path = self.diverted(package, path);
            let known = sums.get(path.strip_prefix(b"/").unwrap_or(path)).or_else(|| conffiles.get(path));
            let Some(result) = self.file(path, known.copied())? else { continue };
            let (flags, reason) = result;
            let kind = if conffiles.contains_key(path) { b'c' } else { b' ' };
            text.extend([flags.as_bytes(), &[b' ', kind, b' '], path, reason.as_bytes(), b"\n"].concat());
        }
        Ok(text)
    }

    /// The name under which a package's file is in the tree.
    fn diverted<'a>(&'a self, package: &Package, path: &'a [u8]) -> &'a [u8] {
        let mut own = self.diversions.iter().filter(|one| one.from == path);
        let other = own.find(|one| one.package.as_deref() != Some(&package.name));
        other.map_or(path, |one| &one.to)
    }

    /// What is to be said of a file: flags, and what follows its name.
    fn file(
        &self,
        path: &[u8],
        known: Option<&[u8]>,
    ) -> Result<Option<(&'static str, &'static str)>, ContentError> {
        let node = match self.look(path) {
            Looked::Node(node) => node,
            Looked::Missing(reason) => return Ok(Some(("missing  ", reason))),
        };
        let Some(known) = known else { return Ok(None) };
        let is_regular = matches!(self.tree.node(node).kind, Kind::File(_));
        let same = self.digest(path)?.map(|digest| digest.as_bytes() == known);
        Ok(match (is_regular, same) {
            (true, Some(true)) => None,
            (true, Some(false)) => Some(("??5??????", "")),
            (true, None) => Some(("?????????", "")),
            (false, Some(true)) => Some(("?M.??????", "")),
            (false, Some(false)) => Some(("?M5??????", "")),
            (false, None) => Some(("?M???????", "")),
        })
    }

    /// What has a path; the last name is not followed.
    fn look(&self, path: &[u8]) -> Looked {
        let mut at = None;
        for end in (0..path.len()).filter(|&end| path[end] == b'/') {
            let Some(node) = follow(self.tree, &path[..end]) else { return Looked::Missing("") };
            if !matches!(self.tree.node(node).kind, Kind::Directory(_)) {
                return Looked::Missing(" (Not a directory)");
            }
            at = Some((node, &path[end + 1..]));
        }
        match at {
            // The root stands in the lists as `/.`.
            Some((node, b"" | b".")) => Looked::Node(node),
            Some((parent, name)) => self.tree.child(parent, name).map_or(Looked::Missing(""), Looked::Node),
            None => Looked::Missing(""),
        }
    }

    /// The MD5 sum of the file that a path leads to, in hexadecimal digits.
    fn digest(&self, path: &[u8]) -> Result<Option<String>, ContentError> {
        let node = follow(self.tree, path).map(|node| &self.tree.node(node).kind);
        let Some(Kind::File(data)) = node else { return Ok(None) };
        let mut hash = Md5::new();
        pieces(data, self.contents, &mut |bytes| hash.update(bytes))?;
        Ok(Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// The path, from the root on without a slash in front, and the digest of a line of `md5sums`.
fn sum(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (digest, path) = line.split_at_checked(32)?;
    let mut path = path.strip_prefix(b"  ")?;
    while let Some(rest) = path.strip_prefix(b"/").or_else(|| path.strip_prefix(b"./")) {
        path = rest;
    }
    Some((path, digest))
}

/// The bytes of a file, through links; `None` where there is none.
fn file(tree: &Tree, contents: &dyn Contents, path: &str) -> Result<Option<Vec<u8>>, ContentError> {
    let node = follow(tree, path.as_bytes()).map(|node| &tree.node(node).kind);
    let Some(Kind::File(data)) = node else { return Ok(None) };
    if data.size() > FILE_MAX {
        let error = std::io::Error::other(format!("more than {FILE_MAX} bytes"));
        return Err(ContentError { path: path.to_owned(), error });
    }
    let mut bytes = Vec::with_capacity(data.size() as usize);
    pieces(data, contents, &mut |piece| bytes.extend_from_slice(piece))?;
    Ok(Some(bytes))
}

/// The bytes of a file in order, piece by piece; holes read as zeros.
fn pieces(data: &Data, contents: &dyn Contents, each: &mut dyn FnMut(&[u8])) -> Result<(), ContentError> {
    let (id, size) = match data {
        Data::Bytes(bytes) => {
            each(bytes);
            return Ok(());
        }
        Data::Content { id, size, .. } => (*id, *size),
    };
    let content = contents.open(id)?;
    let mut buffer = vec![0; size.min(WINDOW) as usize];
    let mut at = 0;
    for run in data.runs().chain(std::iter::once(size..size)) {
        while at < run.end {
            let hole = at < run.start;
            let end = if hole { run.start } else { run.end };
            let piece = &mut buffer[..(end - at).min(WINDOW) as usize];
            match hole {
                true => piece.fill(0),
                false => content.read_exact_at(at, piece)?,
            }
            each(piece);
            at += piece.len() as u64;
        }
    }
    content.close()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use diskwright_formats::layout::{Bytes, ContentId, Memory};
    use diskwright_fstools::tree::{Meta, Node, Time};

    const STATUS: &str = "Package: b\nStatus: install ok installed\nArchitecture: all\nVersion: 2\nConffiles:\n \
         /etc/b 0cc175b9c0f1b6a831c399e269772661\n /etc/gone 0cc175b9c0f1b6a831c399e269772661 obsolete\n\n\
         Package: b-1\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
         Package: a\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1:2-3\n\n\
         Package: none\nStatus: unknown ok not-installed\nArchitecture: all\n";

    fn tree() -> Tree {
        let meta = Meta::of_root(0o755, Time::default());
        let mut tree = Tree::new(meta);
        let mut put = |path: &str, kind| {
            tree.put(path.as_bytes(), Node { meta, kind }, meta).unwrap();
        };
        let mut file = |path: &str, text: &str| put(path, Kind::file(text.as_bytes().to_vec()));
        file("/var/lib/dpkg/status", STATUS);
        file("/var/lib/dpkg/diversions", "/usr/d\n/usr/d.real\nother\n");
        file(
            "/var/lib/dpkg/info/b.list",
            "/.\n/etc\n/etc/b\n/etc/gone\n/usr/d\n/usr/file/below\n/usr/link\n",
        );
        file("/var/lib/dpkg/info/b.md5sums", "0cc175b9c0f1b6a831c399e269772661  usr/link\n");
        file("/var/lib/dpkg/info/a:amd64.list", "/.\n/lib/same\n/lib/other/\n/usr/hole\n");
        let sums = "0cc175b9c0f1b6a831c399e269772661  lib/same\n0cc175b9c0f1b6a831c399e269772661  ./lib/other\n\
                    0b76eb861bbfc3afd2905c01d37b320c  usr/hole\n";
        file("/var/lib/dpkg/info/a:amd64.md5sums", sums);
        file("/usr/lib/same", "a");
        file("/usr/lib/other", "b");
        file("/usr/d.real", "");
        file("/usr/file", "a");
        file("/etc/b", "b");
        put("/lib", Kind::Symlink(b"usr/lib"[..].into()));
        put("/usr/link", Kind::Symlink(b"file"[..].into()));
        let runs = Some(std::iter::once(65536..65537).collect());
        put("/usr/hole", Kind::File(Data::Content { id: ContentId(0), size: 65537, runs }));
        tree
    }

    #[test]
    fn a_tree_is_compared_with_its_packages() {
        let mut hole = vec![b'!'; 65537];
        hole[65536] = 0;
        let contents = Memory(vec![Bytes::from(hole)]);
        let lists = lists(&tree(), &contents).unwrap().unwrap();
        // Python sorts lines, not names: - stands before |.
        let expected =
            "a|None|1:2-3|None|amd64|None|None\nb-1|None|1|None|all|None|None\nb|None|2|None|all|None|None\n";
        assert_eq!(lists.packages, expected);
        let expected = "??5??????   /lib/other\n??5?????? c /etc/b\nmissing   c /etc/gone\n\
                        missing     /usr/file/below (Not a directory)\n?M.??????   /usr/link\n";
        assert_eq!(String::from_utf8(lists.verified).unwrap(), expected);
    }

    #[test]
    fn other_trees_have_no_lists() {
        let meta = Meta::of_root(0o755, Time::default());
        assert_eq!(lists(&Tree::new(meta), &Memory::default()).unwrap(), None);
        let mut tree = tree();
        let file = |text: &str| Node { meta, kind: Kind::file(text.as_bytes().to_vec()) };
        tree.put(b"/var/lib/dpkg/updates/0001", file(""), meta).unwrap();
        assert!(matches!(lists(&tree, &Memory::default()), Err(ListsError::Database(_))));
        tree.put(b"/var/lib/dpkg/status", file("no stanza"), meta).unwrap();
        assert!(matches!(lists(&tree, &Memory::default()), Err(ListsError::Database(_))));
    }

    #[test]
    fn names_are_kiwis() {
        assert_eq!(file_name("i", "x86_64", Some("1.0.0"), "packages"), "i.x86_64-1.0.0.packages");
        assert_eq!(file_name("i", "aarch64", None, "verified"), "i.aarch64-unspecified.verified");
    }
}
