//! What of descriptions would be refused today: each image that a description can give, what stands in its way, and over
//! many descriptions what blocks how many.
//!
//! A description can give an image for each profile (and for none) and each type that is then selected. What is said here is
//! what `plan` says: both ask [`resolve`].

use crate::build::identity;
use crate::describe::kiwi::{Description, LoadError};
use crate::describe::{Diagnostic, Diagnostics, Lack, Severity};
use crate::model::{Arch, Model};
use crate::plan::plan;
use crate::resolve::{Choice, ResolveError, resolve, select, unprepared_needs};
use crate::root::{Task, scripts};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The schema number of [`Support`].
const SCHEMA: u32 = 1;

/// Descriptions, and what blocks them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Support {
    /// Version of this form.
    pub schema: u32,
    /// The machine that images are for.
    pub arch: Arch,
    /// One each, as they were named.
    pub descriptions: Vec<DescriptionSupport>,
    /// All of them in numbers.
    pub totals: Totals,
}

/// A description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DescriptionSupport {
    /// As it was named.
    pub path: String,
    /// All of it in a word.
    pub verdict: Verdict,
    /// The images that it can give.
    pub images: Vec<ImageSupport>,
    /// What is not supported in any of them, each part once, with its first place.
    pub refused: Vec<Missing>,
    /// What only `build` lacks: `create` is given a tree that is ready.
    pub build: Vec<Missing>,
    /// What is wrong with it, whatever is supported; each problem once.
    pub problems: Vec<String>,
}

/// A description in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All its images can be made.
    Supported,
    /// Some can.
    Partly,
    /// None can, because of parts that are not supported yet.
    Refused,
    /// None can, and something is wrong with the description itself.
    Wrong,
    /// It could not be read.
    Unreadable,
}

/// An image that a description can give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSupport {
    /// The profiles that are named to get it; none: those that import themselves.
    pub profiles: Vec<String>,
    /// `type@image`; empty where there is no type.
    #[serde(rename = "type")]
    pub image_type: String,
    /// Parts that are not supported.
    pub refused: Vec<Missing>,
    /// What only `build` lacks.
    pub build: Vec<Missing>,
    /// What is wrong.
    pub problems: Vec<String>,
}

impl ImageSupport {
    /// Whether it can be made of a tree that is ready.
    pub fn supported(&self) -> bool {
        self.refused.is_empty() && self.problems.is_empty()
    }
}

/// A part that is not supported, and where it is first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The part and what it needs.
    #[serde(flatten)]
    pub lack: Lack,
    /// `FILE:LINE`; a file's path where the part is that file.
    pub at: String,
}

/// Descriptions in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All.
    pub descriptions: usize,
    /// How many have each verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Images.
    pub images: usize,
    /// Those that can be made.
    pub supported_images: usize,
    /// What is refused, what blocks most first.
    pub refused: Vec<Blocker>,
    /// What only `build` lacks, in the same order.
    pub build: Vec<Blocker>,
}

/// A part, and how many it blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// The part and what it needs.
    #[serde(flatten)]
    pub lack: Lack,
    /// Descriptions with an image that it blocks.
    pub descriptions: usize,
    /// Images that it blocks.
    pub images: usize,
    /// Images that nothing else blocks.
    pub alone: usize,
}

/// Descriptions as they were read, each with the name that it was asked for by.
pub fn support(read: &[(String, Result<Description, LoadError>)], arch: Arch) -> Support {
    let one = |(path, read): &(String, Result<Description, LoadError>)| match read {
        Ok(description) => description_support(path, description, arch),
        Err(error) => unread(path, error),
    };
    let descriptions: Vec<DescriptionSupport> = read.iter().map(one).collect();
    let totals = totals(&descriptions);
    Support { schema: SCHEMA, arch, descriptions, totals }
}

fn description_support(path: &str, description: &Description, arch: Arch) -> DescriptionSupport {
    let choices = choices(&description.model, arch);
    let images: Vec<ImageSupport> = choices.iter().map(|choice| image(description, choice)).collect();
    let supported = images.iter().filter(|image| image.supported()).count();
    let verdict = match supported {
        0 if images.iter().any(|image| image.problems.is_empty()) => Verdict::Refused,
        0 => Verdict::Wrong,
        some if some == images.len() => Verdict::Supported,
        _ => Verdict::Partly,
    };
    DescriptionSupport {
        path: path.to_owned(),
        verdict,
        refused: once(images.iter().flat_map(|image| &image.refused)),
        build: once(images.iter().flat_map(|image| &image.build)),
        problems: images.iter().flat_map(|image| &image.problems).fold(Vec::new(), |mut all, one| {
            if !all.contains(one) {
                all.push(one.clone());
            }
            all
        }),
        images,
    }
}

/// A description of which not even a part was read.
fn unread(path: &str, error: &LoadError) -> DescriptionSupport {
    let (verdict, refused, problems) = match error {
        LoadError::Refused(diagnostics) => {
            let (refused, problems) = sorted_out(diagnostics);
            let verdict = if problems.is_empty() { Verdict::Refused } else { Verdict::Wrong };
            (verdict, refused, problems)
        }
        other => (Verdict::Unreadable, Vec::new(), vec![other.to_string()]),
    };
    DescriptionSupport {
        path: path.to_owned(),
        verdict,
        images: Vec::new(),
        refused,
        build: Vec::new(),
        problems,
    }
}

/// The choices that give different images: no profile, and each one, with each type that is then there. Where there is no
/// type at all, the choice of nothing.
pub fn choices(model: &Model, arch: Arch) -> Vec<Choice> {
    let named = model.profiles.iter().map(|profile| vec![profile.name.clone()]);
    let mut seen: BTreeSet<(Vec<String>, String)> = BTreeSet::new();
    let mut choices = Vec::new();
    for profiles in std::iter::once(Vec::new()).chain(named) {
        let choice = Choice { profiles, ..Choice::new(arch) };
        // A profile that is not there on this machine gives nothing.
        let Ok(selection) = select(model, &choice) else { continue };
        let mut selected = selection.profiles.clone();
        selected.sort();
        for one in selection.preferences.iter().flat_map(|preferences| &preferences.types) {
            let image = one.image_name().to_owned();
            if seen.insert((selected.clone(), image.clone())) {
                choices.push(Choice { image_type: Some(image), ..choice.clone() });
            }
        }
    }
    if choices.is_empty() {
        choices.push(Choice::new(arch));
    }
    choices
}

fn image(description: &Description, choice: &Choice) -> ImageSupport {
    let bare = ImageSupport {
        profiles: choice.profiles.clone(),
        image_type: choice.image_type.clone().unwrap_or_default(),
        refused: Vec::new(),
        build: Vec::new(),
        problems: Vec::new(),
    };
    let refused = scripts_in(description, &bare, Task::Create);
    let bare = ImageSupport { build: for_build(description, choice, &bare), refused, ..bare };
    match resolve(&description.model, choice) {
        Ok(resolved) => {
            let planned = plan(&resolved.image, &identity(&resolved.image, None, 0));
            let problems = planned.err().map(|refusal| refusal.to_string()).into_iter().collect();
            let (mut refused, _) = sorted_out(&Diagnostics::new(resolved.lacks));
            refused.extend(bare.refused);
            ImageSupport { refused, problems, ..bare }
        }
        Err(ResolveError::Refused(diagnostics)) => {
            let (mut refused, problems) = sorted_out(&diagnostics);
            refused.extend(bare.refused);
            ImageSupport { refused, problems, ..bare }
        }
        Err(ResolveError::Choice(refusal)) => ImageSupport { problems: vec![refusal.to_string()], ..bare },
    }
}

/// What the preparation of the tree needs that `create` is spared.
fn for_build(description: &Description, choice: &Choice, image: &ImageSupport) -> Vec<Missing> {
    let Ok(selection) = select(&description.model, choice) else { return Vec::new() };
    let needs = unprepared_needs(&selection).iter().filter_map(missing).collect::<Vec<Missing>>();
    if selection.is_installed_by_apt() {
        return once(&needs);
    }
    let create = scripts_in(description, image, Task::Create);
    let scripts = scripts_in(description, image, Task::Build).into_iter().filter(|one| !create.contains(one));
    once(&needs.into_iter().chain(scripts).collect::<Vec<Missing>>())
}

fn scripts_in(description: &Description, image: &ImageSupport, task: Task) -> Vec<Missing> {
    let scripts = scripts(&description.directory, image.image_type == "oem", task).into_iter();
    let missing = |path: std::path::PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Missing { lack: Lack::new(name, "a hook script"), at: path.display().to_string() }
    };
    scripts.map(missing).collect()
}

fn missing(diagnostic: &Diagnostic) -> Option<Missing> {
    let at = format!("{}:{}", diagnostic.source.file, diagnostic.position().0);
    diagnostic.lack.as_deref().map(|lack| Missing { lack: lack.clone(), at })
}

/// Errors: what is not supported, and what is wrong.
fn sorted_out(diagnostics: &Diagnostics) -> (Vec<Missing>, Vec<String>) {
    let errors = || diagnostics.list.iter().filter(|one| one.severity == Severity::Error);
    let wrong = errors().filter(|one| one.lack.is_none()).map(ToString::to_string).collect();
    (once(&errors().filter_map(missing).collect::<Vec<Missing>>()), wrong)
}

/// Each part once, with its first place.
fn once<'a>(all: impl IntoIterator<Item = &'a Missing>) -> Vec<Missing> {
    let mut parts: Vec<Missing> = Vec::new();
    for one in all {
        if !parts.iter().any(|part| part.lack == one.lack) {
            parts.push(one.clone());
        }
    }
    parts
}

fn totals(descriptions: &[DescriptionSupport]) -> Totals {
    let mut verdicts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for one in descriptions {
        *verdicts.entry(one.verdict).or_default() += 1;
    }
    let images = || descriptions.iter().flat_map(|one| &one.images);
    Totals {
        descriptions: descriptions.len(),
        verdicts,
        images: images().count(),
        supported_images: images().filter(|image| image.supported()).count(),
        refused: blockers(descriptions, |one| &one.refused, |image| (&image.refused, image.problems.len())),
        build: blockers(descriptions, |one| &one.build, |image| (&image.build, image.problems.len())),
    }
}

/// `of_image` gives the parts that an image lacks and the number of what else is wrong with it.
fn blockers(
    descriptions: &[DescriptionSupport],
    of_description: impl Fn(&DescriptionSupport) -> &[Missing],
    of_image: impl Fn(&ImageSupport) -> (&[Missing], usize),
) -> Vec<Blocker> {
    let mut all: BTreeMap<Lack, Blocker> = BTreeMap::new();
    let fresh = |lack: &Lack| Blocker { lack: lack.clone(), descriptions: 0, images: 0, alone: 0 };
    for description in descriptions {
        for part in of_description(description) {
            all.entry(part.lack.clone()).or_insert_with(|| fresh(&part.lack)).descriptions += 1;
        }
        for (parts, wrong) in description.images.iter().map(&of_image) {
            for part in parts {
                let blocker = all.entry(part.lack.clone()).or_insert_with(|| fresh(&part.lack));
                blocker.images += 1;
                blocker.alone += usize::from(parts.len() == 1 && wrong == 0);
            }
        }
    }
    let mut all: Vec<Blocker> = all.into_values().collect();
    all.sort_by_key(|one| std::cmp::Reverse((one.descriptions, one.images)));
    all
}

impl Verdict {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Supported => "supported",
            Verdict::Partly => "partly",
            Verdict::Refused => "refused",
            Verdict::Wrong => "wrong",
            Verdict::Unreadable => "unreadable",
        }
    }
}
