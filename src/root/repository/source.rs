//! `<repository>`: where packages come from (KIWI NG `system/uri.py: Uri.translate`, `repository/apt.py`).
//!
//! | Written | Here |
//! |---|---|
//! | `http:`, `https:`, `ftp:` | [`Location::Url`]; user and password are taken out of it |
//! | `file:`, `dir:`, an absolute path | [`Location::Path`] |
//! | `this:` | the same, relative to the description |
//! | `obs:PROJECT/REPOSITORY` | a URL on the download server of the runtime configuration, else on [`OBS_DOWNLOADS`] |
//! | `obsrepositories:`, `iso:`, `?credentials=` | refused by name |
//! | `%arch` | the machine as `uname -m` names it |
//! | `type` | `apt-deb`, `deb-dir` or none, between which KIWI makes no difference; others are refused |
//! | `sourcetype` | `baseurl`; the others are refused: apt has no such thing |
//! | `distribution` | [`Kind::Suite`]; without it, or with one that ends in `/`, [`Kind::Flat`] |
//! | `repository_gpgcheck` | `false` alone turns the check of signatures off; KIWI does so, too, where `rpm-check-signatures` is not true: here it is on by default |
//! | `package_gpgcheck` | nothing: packages of the apt family are checked by the digests that the signed Release stands for |
//! | `customize` | a script that is run in the tree with the file that apt's form of the repository is in, and with that of its priority. Here packages were read by then: a script that would have them come from elsewhere is [refused](super::check_customized) |
//! | `use_for_bootstrap` | gone from the schema since 8.2: all repositories are used |

use super::location::{Credentials, Location, location, relative};
use crate::describe::{Diagnostic, Diagnostics, Lack, SourceText, Span};
use crate::model::Arch;
use crate::model::elements::{self, is_set, text, value};
use crate::model::words::{Machine, RepositoryType, SourceType};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A repository of the apt family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `alias`, or a name made of the location: letters, digits, `-`, `_`, `.`; no other repository has it.
    pub name: String,
    /// The directory that `dists/`, or a flat repository's directory, is in.
    pub location: Location,
    /// How it is laid out.
    pub kind: Kind,
    /// Debian's names of the machines that it is for (`architectures`); empty: every one.
    pub architectures: Vec<String>,
    /// `priority`: its pin, as apt counts (apt_preferences(5)): below 0 is never. `None`: apt's default.
    pub priority: Option<i64>,
    /// Files with keys that sign it.
    pub keys: Vec<Location>,
    /// Whether its signature counts: `repository_gpgcheck` is not false.
    pub check_signature: bool,
    /// What opens it.
    pub credentials: Option<Credentials>,
    /// Whether the image shall know it, too.
    pub imageinclude: bool,
    /// Whether the image alone shall know it: packages of the build do not come from it.
    pub imageonly: bool,
    /// A script to be run with the file that the image gets, as written: relative to the description.
    pub customize: Option<String>,
    /// `FILE:LINE` in the description, for messages.
    pub place: String,
}

/// How a repository is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `dists/SUITE/COMPONENT/binary-ARCHITECTURE/Packages`
    Suite {
        /// `distribution`; may have slashes.
        suite: String,
        /// `components`, at least one.
        components: Vec<String>,
    },
    /// `DIRECTORY/Packages`
    Flat {
        /// Below the location; empty: the location itself.
        directory: String,
    },
}

/// What locations depend on beside the description.
#[derive(Clone, Copy, Debug)]
pub struct Runtime<'a> {
    /// The description's.
    pub directory: &'a Path,
    /// The image's machine.
    pub arch: Arch,
    /// `obs.download_url` of the runtime configuration, else [`OBS_DOWNLOADS`]: what `obs:` is below.
    pub obs: &'a str,
}

/// Where openSUSE's build service offers what it has built (KIWI NG `defaults.py: get_obs_download_server_url`).
pub const OBS_DOWNLOADS: &str = "http://download.opensuse.org/repositories";

impl Source {
    /// Where its Release file is, below the location, and what the file's paths are relative to: `dists/SUITE`, or a
    /// directory that may be empty.
    pub fn directory(&self) -> String {
        match &self.kind {
            Kind::Suite { suite, .. } => format!("dists/{suite}"),
            Kind::Flat { directory } => directory.clone(),
        }
    }

    /// A file beside its Release file: `InRelease`, `Release`, `Release.gpg`.
    pub fn beside_release(&self, name: &str) -> Location {
        match self.directory().as_str() {
            "" => self.location.join(name),
            directory => self.location.join(&format!("{directory}/{name}")),
        }
    }

    /// Whether the finished image knows it.
    pub fn is_kept(&self) -> bool {
        self.imageinclude || self.imageonly
    }

    /// Files with keys that sign it, which count.
    pub fn signing_keys(&self) -> &[Location] {
        if self.check_signature { &self.keys } else { &[] }
    }

    /// Whether packages for a machine, in Debian's word, may come from it while an image is built.
    pub fn serves(&self, architecture: &str) -> bool {
        let named = self.architectures.iter().any(|one| one == architecture);
        !self.imageonly && (named || self.architectures.is_empty())
    }
}

/// The repositories of a description that apply, in its order (`Selection::repositories`). Errors have their place in the
/// description; where its lines have passwords, stars stand in their place.
pub fn sources(
    repositories: &[&elements::Repository],
    runtime: &Runtime<'_>,
) -> Result<Vec<Source>, Diagnostics> {
    let mut sources: Vec<Source> = Vec::new();
    let mut problems = Vec::new();
    for repository in repositories {
        let source = match source(repository, runtime) {
            Ok(source) => source,
            Err(found) => {
                problems.extend(found);
                continue;
            }
        };
        let taken = |name: &str| sources.iter().any(|other| other.name == name);
        match &repository.alias {
            Some(alias) if taken(&source.name) => {
                let message = format!("two repositories with this name: {}", source.name);
                problems.push(alias.span.error("duplicate-name", message));
            }
            None if taken(&source.name) => {
                let mut names = (2..).map(|number| format!("{}-{number}", source.name));
                let name = names.find(|name| !taken(name)).unwrap_or_default();
                sources.push(Source { name, ..source });
            }
            _ => sources.push(source),
        }
    }
    match problems.is_empty() {
        true => Ok(sources),
        false => Err(Diagnostics::new(masked(problems, repositories))),
    }
}

/// The name that Debian has for a machine (dpkg's `cputable`).
pub fn debian_architecture(arch: Arch) -> &'static str {
    of_machine(arch.machine())
}

fn of_machine(machine: Machine) -> &'static str {
    match machine {
        Machine::X86_64 | Machine::Amd64 => "amd64",
        Machine::I586 | Machine::I686 | Machine::Ix86 => "i386",
        Machine::Aarch64 | Machine::Arm64 => "arm64",
        Machine::Armv5el | Machine::Armv5tel | Machine::Armv6l => "armel",
        Machine::Armv6hl | Machine::Armv7hl | Machine::Armv7l => "armhf",
        Machine::Ppc => "powerpc",
        Machine::Ppc64 => "ppc64",
        Machine::Ppc64le => "ppc64el",
        Machine::S390 => "s390",
        Machine::S390x => "s390x",
        Machine::Riscv64 => "riscv64",
    }
}

fn source(repository: &elements::Repository, runtime: &Runtime<'_>) -> Result<Source, Vec<Diagnostic>> {
    let mut problems = unsupported(repository);
    let mut keep = |problem: Box<Diagnostic>| problems.push(*problem);
    let place = place(repository, runtime).map_err(&mut keep).ok();
    let keys = keys(repository, runtime).map_err(&mut keep).ok();
    let kind = kind(repository).map_err(&mut keep).ok();
    let written = credentials(repository).map_err(&mut keep).ok();
    let (Some((location, inside)), Some(keys), Some(kind), Some(written), true) =
        (place, keys, kind, written, problems.is_empty())
    else {
        return Err(problems);
    };
    let architectures = repository.architectures.iter().flat_map(|all| &all.value.0);
    Ok(Source {
        name: repository.alias.as_ref().map_or_else(|| name(&location, &kind), |alias| alias.text.clone()),
        location,
        kind,
        architectures: architectures.map(|one| of_machine(*one).to_owned()).collect(),
        priority: value(&repository.priority),
        keys,
        check_signature: value(&repository.repository_gpgcheck) != Some(false),
        credentials: written.or(inside),
        imageinclude: is_set(&repository.imageinclude),
        imageonly: is_set(&repository.imageonly),
        customize: text(&repository.customize).map(str::to_owned),
        place: repository.span.to_string(),
    })
}

fn unsupported(repository: &elements::Repository) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if let Some(said) = &repository.kind
        && !matches!(said.value, RepositoryType::AptDeb | RepositoryType::DebDir)
    {
        let message = format!("apt cannot use a repository of this type: {}", said.text);
        let lack = Lack::new(format!("repository@type={}", said.text), "another package manager");
        problems.push(said.span.error("unsupported", message).hint("type=\"apt-deb\"").lack(lack));
    }
    if let Some(said) = &repository.sourcetype
        && said.value != SourceType::Baseurl
    {
        let message = format!("apt has no repositories of this sourcetype: {}", said.text);
        problems
            .push(said.span.error("unsupported", message).hint("name one mirror: sourcetype=\"baseurl\""));
    }
    problems
}

fn place(
    repository: &elements::Repository,
    runtime: &Runtime<'_>,
) -> Result<(Location, Option<Credentials>), Box<Diagnostic>> {
    let Some(path) = repository.location() else {
        return Err(Box::new(repository.span.error("missing", "a repository without a location")));
    };
    let (location, credentials) = location(&path.value, &path.span, runtime)?;
    if matches!(&location, Location::Url(url) if url.has_query()) {
        let message = "a location with a query: names of files cannot follow it";
        let hint = "leave it out; user and password are attributes of the repository";
        return Err(Box::new(path.span.error("bad-location", message).hint(hint)));
    }
    Ok((location, credentials))
}

fn keys(repository: &elements::Repository, runtime: &Runtime<'_>) -> Result<Vec<Location>, Box<Diagnostic>> {
    let signing = repository.source.iter().flat_map(|source| &source.signing);
    let key = |key: &elements::Said<_>| match location(&key.text, &key.span, runtime)? {
        (location, None) => Ok(location),
        (_, Some(_)) => {
            let message = "a key that user and password would open is not fetched";
            Err(Box::new(key.span.error("unsupported", message).hint("fetch it, and name the file")))
        }
    };
    signing.filter_map(|signing| signing.key.as_ref()).map(key).collect()
}

fn credentials(repository: &elements::Repository) -> Result<Option<Credentials>, Box<Diagnostic>> {
    match (&repository.username, &repository.password) {
        (Some(user), Some(password)) => Ok(Some(Credentials::new(&user.value, &password.value))),
        (None, None) => Ok(None),
        (Some(said), None) | (None, Some(said)) => {
            let message = "username and password are needed together";
            Err(Box::new(said.span.error("missing", message)))
        }
    }
}

fn kind(repository: &elements::Repository) -> Result<Kind, Box<Diagnostic>> {
    let Some(said) = repository.distribution.as_ref().filter(|said| !said.value.trim().is_empty()) else {
        return Ok(Kind::Flat { directory: String::new() });
    };
    let suite = said.value.trim();
    let is_flat = suite.ends_with('/');
    let wrong = |said: &elements::Said<String>, what: &str| {
        Box::new(said.span.error("bad-value", format!("no {what} in a repository: {}", said.value)))
    };
    let blank = |text: &str| text.contains(char::is_whitespace);
    let directory = match suite.trim_start_matches("./") {
        "" | "/" if is_flat => String::new(),
        path => relative(path).filter(|path| !blank(path)).ok_or_else(|| wrong(said, "suite"))?,
    };
    if is_flat {
        return Ok(Kind::Flat { directory });
    }
    let words = repository
        .components
        .iter()
        .flat_map(|said| said.value.split_whitespace().map(move |word| (said, word)));
    let component = |(said, word): (_, &str)| relative(word).ok_or_else(|| wrong(said, "component"));
    let components = words.map(component).collect::<Result<Vec<String>, _>>()?;
    let components = if components.is_empty() { vec!["main".to_owned()] } else { components };
    Ok(Kind::Suite { suite: directory, components })
}

/// A name made of what the location shows: host, path and suite.
fn name(location: &Location, kind: &Kind) -> String {
    let place = match location {
        Location::Url(url) => {
            url.to_string().split_once("://").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
        }
        Location::Path(path) => path.display().to_string(),
    };
    let suite = match kind {
        Kind::Suite { suite, .. } => suite,
        Kind::Flat { directory } => directory,
    };
    let text = format!("{place}/{suite}");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c)));
    let words: Vec<&str> = words.filter(|word| !word.trim_matches('.').is_empty()).collect();
    let name: String = words.join("-").chars().take(120).collect();
    if name.is_empty() { "repository".to_owned() } else { name }
}

/// The same problems with stars where the text of the description has passwords, or locations that may have some.
fn masked(problems: Vec<Diagnostic>, repositories: &[&elements::Repository]) -> Vec<Diagnostic> {
    let secrets = |one: &&elements::Repository| {
        let path = one.location().filter(|path| path.value.contains(['@', '?']));
        let keys =
            one.source.iter().flat_map(|source| &source.signing).filter_map(|signing| signing.key.as_ref());
        let keys = keys.filter(|key| key.text.contains(['@', '?'])).map(|key| key.span.clone());
        let texts =
            [&one.username, &one.password].into_iter().flatten().chain(path).map(|said| said.span.clone());
        texts.chain(keys).collect::<Vec<Span>>()
    };
    let secrets: Vec<Span> = repositories.iter().flat_map(secrets).collect();
    let mask = |problem: Diagnostic| {
        let here = secrets.iter().filter(|span| span.source.file == problem.source.file);
        let text = here.fold(problem.source.text.clone(), |text, span| starred(&text, &span.range));
        let source = Arc::new(SourceText { file: problem.source.file.clone(), text });
        Diagnostic { source, ..problem }
    };
    problems.into_iter().map(mask).collect()
}

/// Stars for what stands behind the equals sign, or colon, of an attribute; as many bytes.
fn starred(text: &str, range: &Range<usize>) -> String {
    let Some(attribute) = text.get(range.clone()) else { return text.to_owned() };
    let value = attribute.find(['=', ':']).map_or(0, |at| at + 1);
    let keep = |c: char| {
        if c.is_whitespace() || "\"'".contains(c) { c.to_string() } else { "*".repeat(c.len_utf8()) }
    };
    let stars: String = attribute[value..].chars().map(keep).collect();
    format!("{}{}{stars}{}", &text[..range.start], &attribute[..value], &text[range.end..])
}
