//! Descriptions that others wrote, and what KIWI's own classes make of them (`expected-layouts-11.1.6.json` in the corpus that
//! `DISKWRIGHT_CORPUS` names).

use crate::{compare, support, trees};
use diskwright::build::identity;
use diskwright::describe::kiwi::load;
use diskwright::model::{Arch, Target};
use diskwright::plan::{Fit, draft, plan};
use diskwright::resolve::{Choice, Resolved, checks, resolve, select};
use diskwright_formats::layout::Memory;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Layouts that differ: description, profile, what we say, why.
const DIFFERENT: &[(&str, &str, &str, &str)] = &[(
    "build-tests/x86/leap/test-image-embedded",
    "SystemOverlayRoot",
    "the tree does not fit: p.lxroot needs 1 MiB, and a disk of 200 MiB leaves 0 B",
    "the read-only root alone has 220 MiB; KIWI fails at sfdisk, which says that there is no partition table",
)];

/// A check that fails in KIWI and passes here, and its cases.
const HOST: (&str, &[&str]) = (
    // KIWI looks for the description of the custom initrd on the host. Here the tree brings its initrd.
    "check_boot_description_exists",
    &[
        "build-tests/x86/tumbleweed/test-image-disk-legacy",
        "unit-data/example_disk_config.xml",
        "unit-data/example_runtime_checker_boot_desc_not_found.xml",
    ],
);

struct Case<'a> {
    json: &'a Value,
    description: &'a str,
    profiles: Vec<String>,
    image_type: Option<String>,
    arch: Arch,
}

impl<'a> Case<'a> {
    fn of(json: &'a Value) -> Case<'a> {
        let profiles = json["profiles"].as_array().into_iter().flatten();
        Case {
            json,
            description: json["description"].as_str().expect("a name"),
            profiles: profiles.filter_map(Value::as_str).map(str::to_owned).collect(),
            image_type: json["type"].as_str().map(str::to_owned),
            arch: Arch::from_name(json["arch"].as_str().expect("a machine")).expect("a machine we know"),
        }
    }

    fn name(&self) -> String {
        format!("{} {:?} {}", self.description, self.profiles, self.arch)
    }

    fn choice(&self, disabled: &[String]) -> Choice {
        Choice {
            profiles: self.profiles.clone(),
            image_type: self.image_type.clone(),
            kiwi_sizes: true,
            disabled_checks: disabled.to_vec(),
            ..Choice::new(self.arch)
        }
    }

    /// Names of the checks that fail in KIWI.
    fn checks(&self) -> Vec<String> {
        let errors = self.json["errors"].as_array().into_iter().flatten();
        errors.filter_map(|error| error["check"].as_str()).map(str::to_owned).collect()
    }
}

fn resolved(corpus: &Path, case: &Case<'_>, disabled: &[String]) -> Result<Resolved, String> {
    let model = load(&corpus.join(case.description), None).map_err(|error| error.to_string())?.model;
    resolve(&model, &case.choice(disabled)).map_err(|error| error.to_string())
}

fn drafted(resolved: &Resolved) -> Result<Fit, String> {
    let plan =
        plan(&resolved.image, &identity(&resolved.image, None, 0)).map_err(|error| error.to_string())?;
    draft(&plan, trees::oracle(), &Memory(Vec::new())).map_err(|error| error.to_string())
}

fn cases(corpus: &Path) -> Value {
    let text =
        std::fs::read_to_string(corpus.join("expected-layouts-11.1.6.json")).expect("the corpus has layouts");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn layouts_are_kiwis() {
    let Some(corpus) = support::corpus("layouts_are_kiwis") else { return };
    let all = cases(&corpus);
    let (mut compared, mut different, mut checked, mut refused, mut skipped) = (0, 0, 0, 0, 0);
    let mut wrong = Vec::new();
    for case in all["cases"].as_array().expect("a list").iter().map(Case::of) {
        let result = if !case.json["skipped"].is_null() {
            skipped += 1;
            has_no_disk(&corpus, &case)
        } else if case.json["partitions"].is_null() {
            refused += 1;
            is_refused(&corpus, &case)
        } else if let Some((.., ours, _)) = DIFFERENT.iter().find(|row| is(row, &case)) {
            different += 1;
            differs(&corpus, &case, ours)
        } else {
            compared += 1;
            checked += usize::from(!case.checks().is_empty());
            agrees(&corpus, &case)
        };
        wrong.extend(result.err().map(|why| format!("{}: {why}", case.name())));
    }
    println!(
        "layouts: {compared} compared, {checked} of them with checks that fail; {refused} and {different} refused, \
         {skipped} without a disk"
    );
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!((compared + different, refused, skipped), (111, 8, 25), "nothing is left out");
    assert_eq!(different, DIFFERENT.len(), "each row is of a case");
}

fn is(row: &(&str, &str, &str, &str), case: &Case<'_>) -> bool {
    row.0 == case.description && case.profiles == [row.1]
}

/// The same checks fail, we refuse where they keep an image from being made, and the layout is the same without them.
fn agrees(corpus: &Path, case: &Case<'_>) -> Result<(), String> {
    let wanted = case.checks();
    if !wanted.is_empty() {
        fails(corpus, case, &wanted)?;
    }
    let fit = drafted(&resolved(corpus, case, &wanted)?)?;
    match compare::differences(case.json, &compare::report(&fit)).as_slice() {
        [] => Ok(()),
        differences => Err(differences.join("\n    ")),
    }
}

fn fails(corpus: &Path, case: &Case<'_>, wanted: &[String]) -> Result<(), String> {
    let model = load(&corpus.join(case.description), None).map_err(|error| error.to_string())?.model;
    let selection = select(&model, &case.choice(&[])).map_err(|error| error.to_string())?;
    let found = checks::failing(&selection);
    let of_host = |name: &String| name == HOST.0 && HOST.1.contains(&case.description);
    let wanted: Vec<&String> = wanted.iter().filter(|name| !of_host(name)).collect();
    if found != wanted {
        return Err(format!("checks: {wanted:?} and {found:?}"));
    }
    let weight = |name: &str| checks::CHECKS.iter().find(|one| one.name == name).map(|one| one.weight);
    let hard: Vec<&str> =
        found.into_iter().filter(|name| weight(name) == Some(checks::Weight::Error)).collect();
    match (resolved(corpus, case, &[]), hard.as_slice()) {
        (Ok(_), []) => Ok(()),
        (Ok(_), hard) => Err(format!("accepted in spite of {hard:?}")),
        (Err(said), hard) => match hard.iter().find(|name| !said.contains(&format!("({name})"))) {
            None if !hard.is_empty() => Ok(()),
            _ => Err(format!("refused, and {hard:?} are not all named: {said}")),
        },
    }
}

fn differs(corpus: &Path, case: &Case<'_>, ours: &str) -> Result<(), String> {
    if case.json["kiwi_error"].is_null() {
        return Err("a difference is allowed only where KIWI fails".to_owned());
    }
    match drafted(&resolved(corpus, case, &case.checks())?) {
        Err(said) if said.contains(ours) => Ok(()),
        Err(said) => Err(said),
        Ok(_) => Err("is planned".to_owned()),
    }
}

fn is_refused(corpus: &Path, case: &Case<'_>) -> Result<(), String> {
    let said = resolved(corpus, case, &case.checks()).and_then(|resolved| drafted(&resolved));
    match said {
        Ok(_) => Err(format!("planned; KIWI: {}", case.json["kiwi_error"]["message"])),
        Err(_) => Ok(()),
    }
}

/// No profile selects the type of a disk.
fn has_no_disk(corpus: &Path, case: &Case<'_>) -> Result<(), String> {
    let Ok(description) = load(&corpus.join(case.description), None) else { return Ok(()) };
    let names = description.model.profiles.iter().map(|profile| vec![profile.name.clone()]);
    for profiles in names.chain([Vec::new()]) {
        let choice = Choice { profiles, image_type: Some("oem".to_owned()), ..Choice::new(case.arch) };
        if let Ok(selection) = select(&description.model, &choice) {
            return Err(format!("{:?} has a disk", selection.profiles));
        }
    }
    Ok(())
}

/// What planning may take without a tree, in an optimized build.
const QUICK: Duration = Duration::from_millis(20);

#[test]
fn plans_are_quick() {
    let Some(corpus) = support::corpus("plans_are_quick") else { return };
    let all = cases(&corpus);
    let mut slowest = (Duration::ZERO, String::new());
    let mut planned = 0;
    for case in all["cases"].as_array().expect("a list").iter().map(Case::of) {
        let once = || {
            let start = Instant::now();
            let resolved = resolved(&corpus, &case, &case.checks()).ok()?;
            let Target::Disk(_) = &resolved.image.target else { return None };
            plan(&resolved.image, &identity(&resolved.image, None, 0)).ok()?;
            Some(start.elapsed())
        };
        // Others use the machine, too: the quickest of three.
        let Some(time) = (0..3).filter_map(|_| once()).min() else { continue };
        planned += 1;
        slowest = slowest.max((time, case.name()));
    }
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!(
        "{planned} plans from the description on; the slowest ({build}): {:?}, {}",
        slowest.0, slowest.1
    );
    assert!(planned >= 100, "{planned} plans");
    let limit = if cfg!(debug_assertions) { QUICK * 10 } else { QUICK };
    assert!(slowest.0 < limit, "{slowest:?}");
}
