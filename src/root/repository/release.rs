//! Release files (Debian Repository Format, "Release" files): what a repository is, until when its word counts, and the
//! digests of its indexes.

use super::control::{Stanza, Stanzas, said, wrong};
use super::digest::Digest;
use super::location::relative;
use super::source::{Kind, Source};
use super::time::{date, shown};
use super::verify::Verified;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use std::collections::BTreeMap;
use std::io::Read;

/// Longest Release file that is believed: Debian's have about 300 kB.
const LONGEST: usize = 64 << 20;
/// Longest index, unpacked: Debian's main has 50 MB.
const LONGEST_INDEX: u64 = 1 << 30;
/// Most memory of an xz decoder in KiB: twice what `xz -9` needs.
const XZ_MEMORY_MAX: u32 = 130 << 10;
/// How far a date may lie ahead, in seconds (apt's `Acquire::Max-FutureTime`).
const MAX_FUTURE: i64 = 10;

/// What a repository says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Names it in messages, as it was read.
    pub what: String,
    /// Who makes it.
    pub origin: Option<String>,
    /// What is in it.
    pub label: Option<String>,
    /// `stable`
    pub suite: Option<String>,
    /// `bookworm`
    pub codename: Option<String>,
    /// When it was made, in seconds since 1970.
    pub date: Option<i64>,
    /// When it ends to count, in seconds since 1970.
    pub valid_until: Option<i64>,
    /// Its components; none are named in flat repositories.
    pub components: Vec<String>,
    /// Its machines, in Debian's words, and perhaps `all`.
    pub architectures: Vec<String>,
    /// Whether indexes can be fetched by their digests.
    pub by_hash: bool,
    /// Whether its packages are only taken where they are asked for: `NotAutomatic`, and `ButAutomaticUpgrades`.
    pub not_automatic: (bool, bool),
    /// Whether the indexes of a machine have the packages for all of them, too.
    pub all_is_in_each: bool,
    /// Its files: path relative to the Release file, size in bytes, digest.
    pub files: BTreeMap<String, (u64, Digest)>,
}

/// How an index is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `.xz`
    Xz,
    /// `.gz`
    Gzip,
    /// Not at all.
    None,
}

/// An index of packages that is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// As the Release file names it.
    pub path: String,
    /// Where it is below the source's location; the first that is there is as good as the others.
    pub places: Vec<String>,
    /// How it is compressed.
    pub compression: Compression,
    /// Bytes, as it is fetched.
    pub size: u64,
    /// Of these bytes.
    pub digest: Digest,
    /// Size in bytes and digest of what is in it, where the Release file has them.
    pub plain: Option<(u64, Digest)>,
}

impl Release {
    /// Reads a Release file; `what` names it in messages.
    pub fn read(what: &str, text: &Verified) -> Result<Release, Refusal> {
        let text = text.text();
        if text.len() > LONGEST {
            let spot = Spot::new("repository", what);
            return Err(Refusal::new(RefusalKind::Limit, spot, format!("too long: {} bytes", text.len())));
        }
        let mut stanzas = Stanzas::new(what, text);
        let Some(stanza) = stanzas.next() else {
            return Err(wrong(what, text, 0, "a Release file", b"nothing"));
        };
        if let Some(second) = stanzas.next() {
            return Err(wrong(what, text, second.offset(), "one paragraph", b"another one"));
        }
        let mut fields = BTreeMap::new();
        for field in stanza.fields() {
            let (name, value) = field?;
            if fields.insert(name.to_ascii_lowercase(), value).is_some() {
                return Err(stanza.wrong(value, "each field once"));
            }
        }
        let field = |name: &str| fields.get(name.to_ascii_lowercase().as_bytes()).copied();
        let one = |name: &str| field(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let is = |name: &str| field(name).is_some_and(|value| value.eq_ignore_ascii_case(b"yes"));
        let words = |name: &str| {
            one(name).iter().flat_map(|value| value.split_whitespace()).map(str::to_owned).collect()
        };
        let when = |name: &str| match field(name) {
            None => Ok(None),
            Some(value) => date(value)
                .map(Some)
                .ok_or_else(|| stanza.wrong(value, "a date like Sat, 11 Jul 2026 10:16:37 UTC")),
        };
        let files = match (field("SHA256"), field("SHA512")) {
            (Some(list), _) | (None, Some(list)) => files(&stanza, list)?,
            (None, None) => return Err(weak(what, field("MD5Sum").is_some() || field("SHA1").is_some())),
        };
        Ok(Release {
            what: what.to_owned(),
            origin: one("Origin"),
            label: one("Label"),
            suite: one("Suite"),
            codename: one("Codename"),
            date: when("Date")?,
            valid_until: when("Valid-Until")?,
            components: words("Components"),
            architectures: words("Architectures"),
            by_hash: is("Acquire-By-Hash"),
            not_automatic: (is("NotAutomatic"), is("ButAutomaticUpgrades")),
            all_is_in_each: one("No-Support-for-Architecture-all").is_some_and(|value| value == "Packages"),
            files,
        })
    }

    /// Refused: what is of the future, at a time in seconds since 1970.
    pub fn check_date(&self, now: i64) -> Result<(), Refusal> {
        match self.date.filter(|date| *date > now.saturating_add(MAX_FUTURE)) {
            Some(date) => {
                let reason = format!("made in the future: {}, and it is {}", shown(date), shown(now));
                Err(self.refused(reason, "set the clock of this host"))
            }
            None => Ok(()),
        }
    }

    /// Refused: what no longer counts, at a time in seconds since 1970.
    pub fn check_fresh(&self, now: i64) -> Result<(), Refusal> {
        match self.valid_until.filter(|until| *until < now) {
            Some(until) => {
                let reason =
                    format!("expired: it was valid until {}, and it is {}", shown(until), shown(now));
                Err(self.refused(
                    reason,
                    "use a mirror that is up to date; --allow-expired takes a snapshot of the past",
                ))
            }
            None => Ok(()),
        }
    }

    fn refused(&self, reason: String, hint: &str) -> Refusal {
        Refusal::new(RefusalKind::Invalid, Spot::new("repository", &self.what), reason).hint(hint)
    }

    /// Whether it is that of the suite that a source names. It need not be: apt only warns, too.
    pub fn is_of(&self, source: &Source) -> bool {
        let names = [&self.suite, &self.codename];
        match &source.kind {
            Kind::Flat { .. } => true,
            Kind::Suite { suite, .. } => {
                names.iter().all(|name| name.is_none())
                    || names.iter().any(|name| name.as_ref() == Some(suite))
            }
        }
    }

    /// apt's pin for its packages where the description has none (apt_preferences(5)).
    pub fn default_priority(&self) -> i64 {
        match self.not_automatic {
            (false, _) => 500,
            (true, true) => 100,
            (true, false) => 1,
        }
    }

    /// The indexes of packages for a machine, in Debian's word, that a source means: of each the best compression.
    pub fn indexes(&self, source: &Source, architecture: &str) -> Result<Vec<Index>, Refusal> {
        let directory = source.directory();
        let below =
            |path: &str| if directory.is_empty() { path.to_owned() } else { format!("{directory}/{path}") };
        let Kind::Suite { components, .. } = &source.kind else {
            let found = self.index("Packages", &below);
            return found.map(|index| vec![index]).ok_or_else(|| self.lacks("Packages", source));
        };
        let mut indexes = Vec::new();
        for component in components {
            let found = indexes.len();
            // An index of what is for all machines is enough only where there are no others.
            let machines = self.architectures.iter().filter(|one| *one != "all");
            let is_known =
                machines.clone().next().is_none() || machines.clone().any(|one| one == architecture);
            let all = Some("all").filter(|_| !self.all_is_in_each);
            for machine in [architecture].into_iter().chain(all) {
                indexes.extend(self.index(&format!("{component}/binary-{machine}/Packages"), &below));
            }
            if indexes.len() == found || !is_known {
                return Err(self.lacks_component(component, architecture, source));
            }
        }
        Ok(indexes)
    }

    /// The best of the files with this name.
    fn index(&self, path: &str, below: &impl Fn(&str) -> String) -> Option<Index> {
        let kinds = [(Compression::Xz, ".xz"), (Compression::Gzip, ".gz"), (Compression::None, "")];
        let (compression, path_found, (size, digest)) =
            kinds.into_iter().find_map(|(compression, ending)| {
                let path = format!("{path}{ending}");
                let file = *self.files.get(&path)?;
                Some((compression, path, file))
            })?;
        let parent = path_found.rsplit_once('/').map_or("", |(parent, _)| parent);
        let slash = if parent.is_empty() { "" } else { "/" };
        let by_hash = format!("{parent}{slash}by-hash/{}/{digest}", digest.algorithm());
        let places = [Some(by_hash).filter(|_| self.by_hash), Some(path_found.clone())];
        Some(Index {
            places: places.into_iter().flatten().map(|place| below(&place)).collect(),
            compression,
            size,
            digest,
            plain: self.files.get(path).copied().filter(|_| compression != Compression::None),
            path: path_found,
        })
    }

    fn lacks_component(&self, component: &str, architecture: &str, source: &Source) -> Refusal {
        let is_there = |list: &[String], word: &str| list.iter().any(|one| one == word);
        let (what, there) = match () {
            () if !is_there(&self.components, component) => {
                (format!("no component {component}"), &self.components)
            }
            () if !is_there(&self.architectures, architecture) => {
                (format!("no packages for {architecture}"), &self.architectures)
            }
            () => return self.lacks(&format!("{component}/binary-{architecture}/Packages"), source),
        };
        let reason = format!("{what}; there are: {}", said(there.join(" ").as_bytes()));
        let hint = format!("change the repository at {}", source.place);
        Refusal::new(RefusalKind::Missing, Spot::new("repository", &self.what), reason).hint(hint)
    }

    fn lacks(&self, path: &str, source: &Source) -> Refusal {
        let reason = format!("no {path} in it, neither plain nor as .xz or .gz");
        let hint = match source.kind {
            Kind::Flat { .. } => "a repository with dists/ in it needs the attribute distribution",
            Kind::Suite { .. } => "a repository without dists/ in it has no attribute distribution",
        };
        Refusal::new(RefusalKind::Missing, Spot::new("repository", &self.what), reason)
            .hint(format!("{hint}: {}", source.place))
    }
}

impl Index {
    /// What is in it, out of the bytes that were fetched; refused where these, or what is in them, are not what the Release
    /// file says.
    pub fn unpack(&self, bytes: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        check(&self.path, &bytes, self.size, &self.digest)?;
        let limit = self.plain.map_or(LONGEST_INDEX, |(size, _)| size.min(LONGEST_INDEX));
        let plain = match self.compression {
            Compression::None => return Ok(bytes),
            Compression::Xz => {
                inflated(&self.path, XzReader::new_mem_limit(&bytes[..], true, XZ_MEMORY_MAX), limit)
            }
            Compression::Gzip => inflated(&self.path, MultiGzDecoder::new(&bytes[..]), limit),
        }?;
        if let Some((size, digest)) = &self.plain {
            check(&self.path, &plain, *size, digest)?;
        }
        Ok(plain)
    }
}

/// All that a decoder gives, if it is no more than `limit` bytes.
fn inflated(what: &str, decoder: impl Read, limit: u64) -> Result<Vec<u8>, Refusal> {
    let mut plain = Vec::new();
    let read = decoder.take(limit + 1).read_to_end(&mut plain);
    let refused = |kind, reason: String| Err(Refusal::new(kind, Spot::new("repository", what), reason));
    match read {
        Err(error) => refused(
            RefusalKind::Invalid,
            format!("cannot be unpacked: {}", said(error.to_string().as_bytes())),
        ),
        Ok(read) if read as u64 > limit => {
            refused(RefusalKind::Limit, format!("unpacks to more than {limit} bytes"))
        }
        Ok(_) => Ok(plain),
    }
}

fn check(what: &str, bytes: &[u8], size: u64, digest: &Digest) -> Result<(), Refusal> {
    let refused = |reason: String| {
        let refusal = Refusal::new(RefusalKind::Invalid, Spot::new("repository", what), reason);
        Err(refusal.hint("the mirror is being updated, or what it says was changed on the way: try again"))
    };
    match bytes.len() as u64 {
        len if len != size => refused(format!("expected {size} bytes, found {len}")),
        _ if !digest.matches(bytes) => {
            refused(format!("expected the {} {digest}, found another", digest.algorithm()))
        }
        _ => Ok(()),
    }
}

/// Lines of digest, size and path. Paths that lead out of the repository are no files of it.
fn files(stanza: &Stanza<'_>, list: &[u8]) -> Result<BTreeMap<String, (u64, Digest)>, Refusal> {
    let mut files = BTreeMap::new();
    for line in list.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let file = std::str::from_utf8(line).ok().and_then(|line| {
            let mut words = line.split_ascii_whitespace();
            let digest = Digest::of_hex(words.next()?.as_bytes())?;
            let size = words.next()?.parse::<u64>().ok()?;
            Some((relative(words.next()?), size, digest, words.next().is_none()))
        });
        let Some((path, size, digest, true)) = file else {
            return Err(stanza.wrong(line, "a digest, a size and a path"));
        };
        let path = path.ok_or_else(|| stanza.wrong(line, "a path in the repository"))?;
        if files.insert(path, (size, digest)).is_some_and(|other| other != (size, digest)) {
            return Err(stanza.wrong(line, "each file once"));
        }
    }
    Ok(files)
}

fn weak(what: &str, has_weak: bool) -> Refusal {
    let reason = match has_weak {
        true => "only MD5 or SHA-1 digests, which prove nothing",
        false => "no digests of its files",
    };
    let refusal = Refusal::new(RefusalKind::Unsupported, Spot::new("repository", what), reason);
    refusal.hint("make it anew with SHA256: apt-ftparchive release, or reprepro")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::repository::Location;

    const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(text: &str) -> Result<Release, Refusal> {
        Release::read("Release", &Verified::unchecked("Release", text.as_bytes().to_vec()).expect("a text"))
    }

    fn source(kind: Kind) -> Source {
        Source {
            name: "s".to_owned(),
            location: Location::Path("/s".into()),
            kind,
            architectures: vec![],
            priority: None,
            keys: vec![],
            check_signature: true,
            credentials: None,
            imageinclude: false,
            imageonly: false,
            customize: None,
            place: "config.xml:7".to_owned(),
        }
    }

    fn suite(components: &[&str]) -> Source {
        let components = components.iter().map(|&one| one.to_owned()).collect();
        source(Kind::Suite { suite: "stable".to_owned(), components })
    }

    #[test]
    fn the_best_index_of_each_component_is_asked_for_by_its_digest() {
        let text = format!(
            "Suite: stable\nCodename: bookworm\nAcquire-By-Hash: yes\nComponents: main contrib\nArchitectures: all amd64 arm64\n\
             MD5Sum:\n 00 1 other\nSHA256:\n {A} 10 main/binary-amd64/Packages\n {A} 5 main/binary-amd64/Packages.gz\n \
             {A} 4 main/binary-amd64/Packages.xz\n {A} 0 main/binary-all/Packages\n {A} 7 contrib/binary-amd64/Packages.gz\n"
        );
        let release = read(&text).expect("a Release file");
        let indexes = release.indexes(&suite(&["main", "contrib"]), "amd64").expect("indexes");
        let told: Vec<String> =
            indexes.iter().map(|one| format!("{} {} {:?}", one.path, one.size, one.compression)).collect();
        let expected = [
            "main/binary-amd64/Packages.xz 4 Xz",
            "main/binary-all/Packages 0 None",
            "contrib/binary-amd64/Packages.gz 7 Gzip",
        ];
        assert_eq!(told, expected);
        let by_hash = format!("dists/stable/main/binary-amd64/by-hash/SHA256/{A}");
        assert_eq!(indexes[0].places, [by_hash, "dists/stable/main/binary-amd64/Packages.xz".to_owned()]);
        assert_eq!(indexes[0].plain.map(|(size, _)| size), Some(10));
        assert_eq!((indexes[1].plain, indexes[2].plain), (None, None));
        assert!(release.is_of(&suite(&["main"])));
        // Debian's security archive names its components otherwise than their directories.
        let security = read(&text.replace("Components: main contrib", "Components: updates/main"))
            .expect("a Release file");
        assert_eq!(security.indexes(&suite(&["main"]), "amd64").expect("indexes").len(), 2);
        // Where each machine's index has the packages for all.
        let alone =
            read(&format!("No-Support-for-Architecture-all: Packages\n{text}")).expect("a Release file");
        assert_eq!(alone.indexes(&suite(&["main"]), "amd64").expect("indexes").len(), 1);
        for (component, machine, reason) in [
            ("universe", "amd64", "no component universe; there are: main contrib"),
            ("main", "riscv64", "no packages for riscv64; there are: all amd64 arm64"),
            ("contrib", "arm64", "no contrib/binary-arm64/Packages in it"),
        ] {
            let refused = release.indexes(&suite(&[component]), machine).expect_err(reason);
            assert!(refused.to_string().contains(reason), "{refused}");
            assert!(refused.hint.expect("a hint").contains("config.xml:7"));
        }
    }

    #[test]
    fn a_flat_repository_has_its_index_beside() {
        let sha512 = format!("{A}{A}");
        let text = format!("SHA512:\n {sha512} 4 ./Packages.gz\n {sha512} 4 sub/Packages\n");
        let release = read(&text).expect("a Release file");
        let indexes = |directory: &str| {
            release.indexes(&source(Kind::Flat { directory: directory.to_owned() }), "amd64")
        };
        assert_eq!(indexes("").expect("an index")[0].places, ["Packages.gz"]);
        assert_eq!(indexes("a/b").expect("an index")[0].places, ["a/b/Packages.gz"]);
        let none = read(&format!("SHA256:\n {A} 4 x\n")).expect("a Release file");
        let refused =
            none.indexes(&source(Kind::Flat { directory: String::new() }), "amd64").expect_err("none");
        assert!(refused.hint.expect("a hint").contains("distribution"));
    }

    #[test]
    fn what_is_not_what_was_promised_is_refused() {
        let plain = b"Package: a\n".repeat(1000);
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, bytes).expect("memory");
            encoder.finish().expect("memory")
        };
        let digest = |bytes: &[u8]| {
            use sha2::Digest as _;
            Digest::Sha256(sha2::Sha256::digest(bytes).into())
        };
        let packed = gzip(&plain);
        let index = Index {
            path: "Packages.gz".to_owned(),
            places: vec![],
            compression: Compression::Gzip,
            size: packed.len() as u64,
            digest: digest(&packed),
            plain: Some((plain.len() as u64, digest(&plain))),
        };
        assert_eq!(index.unpack(packed.clone()).expect("it is good"), plain);
        let refused =
            |index: Index, bytes: &[u8]| index.unpack(bytes.to_vec()).expect_err("it is bad").to_string();
        let cut = &packed[..packed.len() - 4];
        assert!(refused(index.clone(), cut).contains("bytes, found"));
        let cut_index = Index { size: cut.len() as u64, digest: digest(cut), ..index.clone() };
        assert!(refused(cut_index, cut).contains("cannot be unpacked"));
        let bomb = Index { plain: Some((100, digest(&plain))), ..index.clone() };
        assert!(refused(bomb, &packed).contains("unpacks to more than 100 bytes"));
        let other = Index { plain: Some((plain.len() as u64, digest(b""))), ..index.clone() };
        assert!(refused(other, &packed).contains("found another"));
        let mut changed = packed.clone();
        changed[20] ^= 1;
        assert!(refused(index, &changed).contains("found another"));
    }

    #[test]
    fn dates_decide() {
        let files = format!("SHA256:\n {A} 1 a\n");
        let release = read(&format!(
            "Date: Sat, 11 Jul 2026 10:00:00 UTC\nValid-Until: Sat, 18 Jul 2026 10:00:00 UTC\n{files}"
        ));
        let release = release.expect("a Release file");
        let date = release.date.expect("a date");
        assert!(release.check_fresh(date).is_ok() && release.check_fresh(date + 7 * 86400).is_ok());
        let late = release.check_fresh(date + 7 * 86400 + 1).expect_err("late");
        assert_eq!(
            late.reason,
            "expired: it was valid until 2026-07-18 10:00:00 UTC, and it is 2026-07-18 10:00:01 UTC"
        );
        assert!(late.hint.expect("a hint").contains("--allow-expired"));
        let early = release.check_date(date - 3600).expect_err("early");
        assert!(early.reason.contains("made in the future: 2026-07-11 10:00:00 UTC"), "{early}");
        assert!(
            read(&files).expect("a Release file").check_fresh(0).is_ok(),
            "without dates it is always fresh"
        );
    }

    #[test]
    fn what_is_no_release_file_is_said_with_its_line() {
        for (text, reason) in [
            (String::new(), "Release: line 1: expected a Release file"),
            ("Suite: a\nSuite: b\n".to_owned(), "line 2: expected each field once, found b"),
            (format!("SHA256:\n {A} 1 a\n\nSuite: b\n"), "line 4: expected one paragraph"),
            ("Suite: a\n".to_owned(), "no digests of its files"),
            (format!("MD5Sum:\n {} 1 a\nSHA1:\n {} 1 a\n", &A[..32], &A[..40]), "only MD5 or SHA-1 digests"),
            (
                format!("SHA256:\n {A} 1 a\n {} 1 b\n", &A[1..]),
                "line 3: expected a digest, a size and a path",
            ),
            (format!("SHA256:\n {A} -1 a\n"), "line 2: expected a digest"),
            (format!("SHA256:\n {A} 1\n"), "line 2: expected a digest"),
            (format!("SHA256:\n {A} 1 ../a\n"), "line 2: expected a path in the repository"),
            (format!("SHA256:\n {A} 1 /a\n"), "line 2: expected a path in the repository"),
            (format!("SHA256:\n {A} 1 a\n {A} 2 a\n"), "line 3: expected each file once"),
            (format!("Date: now\nSHA256:\n {A} 1 a\n"), "line 1: expected a date"),
        ] {
            let refused = read(&text).expect_err(reason);
            assert!(refused.to_string().contains(reason), "{text}: {refused}");
        }
    }

    #[test]
    fn pins_of_repositories_that_are_not_automatic() {
        let files = format!("SHA256:\n {A} 1 a\n");
        for (text, pin) in
            [("", 500), ("NotAutomatic: yes\n", 1), ("NotAutomatic: yes\nButAutomaticUpgrades: yes\n", 100)]
        {
            assert_eq!(read(&format!("{text}{files}")).expect("a Release file").default_priority(), pin);
        }
    }
}
