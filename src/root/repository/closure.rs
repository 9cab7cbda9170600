//! Which packages a first tree is made of: what debootstrap does, and no more.
//!
//! From the packages that no system may be without, `apt`, and those that are asked for, along `Pre-Depends` and `Depends`.
//! Of alternatives the first that is taken already, else the first that there is: a package of that name, else one that
//! provides it, packages of the highest `Priority` and then the first in the alphabet in front. Conflicts are not looked at,
//! recommendations not followed: the tree's own apt solves what comes behind. What is missing is an error, which debootstrap
//! passes over.
//!
//! One choice is debootstrap's own: of `usrmerge | usr-is-merged` it takes the latter, since `/usr` of a new tree is merged.
//!
//! debootstrap starts with `Priority: required` and, but for `--variant=minbase`, `important`; KIWI (10.x) and mmdebstrap's
//! `--variant=apt` with `Essential: yes` and `apt`, which is [`Base::Essential`] here. The keyring of a distribution comes
//! because its `apt` depends on it.
//!
//! Of several versions of a package one counts, as for apt (apt_preferences(5)): that of the source with the highest pin,
//! then the newest one, then that of the source in front. A pin below 0 forbids.

use super::digest::Digest;
use super::packages::{MultiArch, Package, Packages, Relation, Relations};
use super::version::compare_versions;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

/// A package that is taken only where nothing else will do; debootstrap takes `usr-is-merged` in its place, too.
const USRMERGE: &str = "usrmerge";

/// What a closure starts with, beside the names that are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Nothing,
    /// `Essential: yes`, and `apt`.
    Essential,
    /// The same, and `Priority: required`: debootstrap's and mmdebstrap's `minbase`.
    Required,
}

/// What a tree is to have.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What it starts with.
    pub base: Base,
    /// Names of packages, or of what packages provide.
    pub names: &'a [&'a str],
    /// The machine in Debian's word.
    pub architecture: &'a str,
}

/// A package that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its machine in Debian's word, or `all`.
    pub architecture: String,
    /// The number of the source that has it, as the catalogue was told.
    pub source: usize,
    /// The .deb below that source's location.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// Of the .deb.
    pub digest: Digest,
    /// `Essential: yes`
    pub essential: bool,
}

/// The packages of several sources, one of each name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue<'a> {
    candidates: BTreeMap<&'a str, Candidate<'a>>,
    /// Who provides a name, the best first.
    providers: BTreeMap<&'a str, Vec<(Relation<'a>, Package<'a>)>>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    package: Package<'a>,
    source: usize,
    pin: i64,
}

impl<'a> Catalogue<'a> {
    /// Of these files, each with the number of its source and its pin: a source may have several.
    pub fn new(files: &[(usize, i64, &'a Packages)]) -> Result<Catalogue<'a>, Refusal> {
        let mut candidates: BTreeMap<&str, Candidate<'_>> = BTreeMap::new();
        for &(source, pin, packages) in files.iter().filter(|(_, pin, _)| *pin >= 0) {
            for package in packages.iter() {
                let new = Candidate { package, source, pin };
                let old = candidates.entry(package.name()).or_insert(new);
                if new.order(old) == Ordering::Greater {
                    *old = new;
                }
            }
        }
        let mut providers: BTreeMap<&str, Vec<(Relation<'_>, Package<'_>)>> = BTreeMap::new();
        for candidate in candidates.values() {
            for relation in candidate.package.provides()?.0.into_iter().flatten() {
                providers.entry(relation.name).or_default().push((relation, candidate.package));
            }
        }
        for list in providers.values_mut() {
            list.sort_by_key(|(_, package)| (rank(package.priority()), package.name()));
        }
        Ok(Catalogue { candidates, providers })
    }

    /// Whether there is a package of this name, or one that provides it.
    pub fn offers(&self, name: &str) -> bool {
        self.package(name).is_some() || self.providers.contains_key(name)
    }

    /// How many names it has.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The package of a name.
    pub fn package(&self, name: &str) -> Option<Package<'a>> {
        self.candidates.get(name).map(|candidate| candidate.package)
    }

    /// Those that meet a relation, the best first.
    fn meeting(&self, relation: Relation<'a>, architecture: &str) -> impl Iterator<Item = Package<'a>> {
        let real = self.package(relation.name).filter(|package| {
            let good = |(constraint, version): (super::Constraint, &str)| {
                constraint.holds(package.version(), version)
            };
            relation.constraint.is_none_or(good) && fits(relation, *package, architecture)
        });
        let provides = move |(provided, package): &(Relation<'a>, Package<'a>)| {
            // A relation with a version is met by what is provided with one (Debian Policy 7.5).
            let good = relation.constraint.is_none_or(|(constraint, version)| {
                provided.constraint.is_some_and(|(_, provided)| constraint.holds(provided, version))
            });
            let exact = provided.architecture.is_some() && provided.architecture == relation.architecture;
            (good && (exact || fits(relation, *package, architecture))).then_some(*package)
        };
        let virtuals =
            self.providers.get(relation.name).into_iter().flatten().filter_map(provides).collect::<Vec<_>>();
        real.into_iter().chain(virtuals)
    }
}

impl Candidate<'_> {
    fn order(&self, other: &Candidate<'_>) -> Ordering {
        let version = || compare_versions(self.package.version(), other.package.version());
        self.pin.cmp(&other.pin).then_with(version).then_with(|| other.source.cmp(&self.source))
    }
}

/// Whether a package is for the machine that a relation asks for.
fn fits(relation: Relation<'_>, package: Package<'_>, architecture: &str) -> bool {
    match relation.architecture {
        None => true,
        Some("any") => package.multi_arch() == MultiArch::Allowed,
        Some(machine) => machine == architecture,
    }
}

/// What comes first: Debian Policy 2.5.
fn rank(priority: &str) -> usize {
    let all = ["required", "important", "standard", "optional", "extra"];
    all.iter().position(|one| *one == priority).unwrap_or(all.len())
}

/// The packages that are wanted and all that they need, by name. Refused: one that is missing, with who needs it.
pub fn closure(catalogue: &Catalogue<'_>, wanted: &Wanted<'_>) -> Result<Vec<Chosen>, Refusal> {
    let mut work = Work { catalogue, wanted, chosen: BTreeMap::new(), queue: VecDeque::new() };
    for candidate in catalogue.candidates.values() {
        let package = candidate.package;
        let is_base = match wanted.base {
            Base::Nothing => false,
            Base::Essential => package.essential(),
            Base::Required => package.essential() || package.priority() == "required",
        };
        if is_base {
            work.choose(package, None);
        }
    }
    let apt = Some("apt").filter(|_| wanted.base != Base::Nothing);
    for name in apt.into_iter().chain(wanted.names.iter().copied()) {
        work.want(name)?;
    }
    while let Some(package) = work.queue.pop_front() {
        for relations in [package.pre_depends()?, package.depends()?] {
            work.follow(package, relations)?;
        }
    }
    let chosen = work.chosen.keys().filter_map(|name| catalogue.candidates.get(name));
    Ok(chosen.map(chosen_of).collect())
}

fn chosen_of(candidate: &Candidate<'_>) -> Chosen {
    let Candidate { package, source, .. } = *candidate;
    Chosen {
        name: package.name().to_owned(),
        version: package.version().to_owned(),
        architecture: package.architecture().to_owned(),
        source,
        filename: package.filename(),
        size: package.size(),
        digest: package.digest(),
        essential: package.essential(),
    }
}

struct Work<'a, 'w> {
    catalogue: &'w Catalogue<'a>,
    wanted: &'w Wanted<'w>,
    /// Names, each with who needs it; `None`: it was wanted.
    chosen: BTreeMap<&'a str, Option<&'a str>>,
    queue: VecDeque<Package<'a>>,
}

impl<'a> Work<'a, '_> {
    fn choose(&mut self, package: Package<'a>, by: Option<&'a str>) {
        if !self.chosen.contains_key(package.name()) {
            self.chosen.insert(package.name(), by);
            self.queue.push_back(package);
        }
    }

    fn want(&mut self, name: &str) -> Result<(), Refusal> {
        let real = self.catalogue.package(name);
        let provided =
            || self.catalogue.providers.get(name).and_then(|list| list.first()).map(|(_, package)| *package);
        let Some(package) = real.or_else(provided) else {
            let reason = "no such package in the repositories";
            let refusal = Refusal::new(RefusalKind::Missing, Spot::new("package", name), reason);
            return Err(
                refusal.hint("check its name, the components of the repositories, and their architectures")
            );
        };
        self.choose(package, None);
        Ok(())
    }

    fn follow(&mut self, package: Package<'a>, relations: Relations<'a>) -> Result<(), Refusal> {
        for group in relations.0 {
            let meeting =
                |relation: &Relation<'a>| self.catalogue.meeting(*relation, self.wanted.architecture);
            let all: Vec<Package<'a>> = group.iter().flat_map(meeting).collect();
            if all.iter().any(|one| self.chosen.contains_key(one.name())) {
                continue;
            }
            // What merges /usr of an old system has nothing to do in a new one.
            let first = all.iter().find(|one| one.name() != USRMERGE).or(all.first());
            let Some(first) = first else { return Err(self.missing(package, &group)) };
            self.choose(*first, Some(package.name()));
        }
        Ok(())
    }

    fn missing(&self, package: Package<'a>, group: &[Relation<'a>]) -> Refusal {
        let wanted = group.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | ");
        let mut chain = vec![package.name()];
        while let Some(Some(by)) = chain.last().and_then(|last| self.chosen.get(last)) {
            chain.push(by);
        }
        let there = group.iter().filter_map(|relation| self.catalogue.package(relation.name));
        let there: Vec<String> =
            there.map(|package| format!("{} {}", package.name(), package.version())).collect();
        let there =
            if there.is_empty() { String::new() } else { format!(" (there is {})", there.join(", ")) };
        let needs = format!("needed by {} {}", package.name(), package.version());
        let because = match &chain[1..] {
            [] => String::new(),
            chain => format!(", which is needed by {}", chain.join(", by ")),
        };
        let reason = format!("not in the repositories{there}: {needs}{because}");
        Refusal::new(RefusalKind::Missing, Spot::new("package", wanted), reason)
    }
}
