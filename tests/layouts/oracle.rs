//! KIWI NG 11.1.6 itself, asked what it would make: its own classes, run by the script that `DISKWRIGHT_LAYOUT_ORACLE` names
//! (`--all DIRECTORY --root TREE --output FILE`) in the Python that `tests/fixtures/kiwi-oracle 11.1.6` makes.

use crate::cases::{Case, Kiwi};
use crate::{support, trees};
use diskwright_fstools::tree::Tree;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

fn python() -> Option<PathBuf> {
    let fixture = support::source("tests/fixtures/kiwi-oracle");
    let found = support::run(Command::new(fixture).args(["--existing", "11.1.6"]));
    (found.code == Some(0)).then(|| PathBuf::from(found.stdout.trim()))
}

/// What KIWI makes of each case, by its name.
pub(crate) fn layouts(test: &str, cases: &[Case], tree: &Tree) -> Option<BTreeMap<String, Value>> {
    let script =
        std::env::var_os("DISKWRIGHT_LAYOUT_ORACLE").map(PathBuf::from).filter(|path| path.is_file());
    let Some(script) = script else {
        support::inapplicable(
            test,
            "no layout oracle (DISKWRIGHT_LAYOUT_ORACLE names no script): stored layouts only",
        );
        return None;
    };
    let Some(python) = python() else {
        support::skip(test, "no KIWI 11.1.6 (tests/fixtures/kiwi-oracle 11.1.6): stored layouts only");
        return None;
    };
    let work = tempfile::tempdir().unwrap();
    let (root, all, output) =
        (work.path().join("root"), work.path().join("all"), work.path().join("out.json"));
    trees::write(tree, &root);
    let asked: Vec<&Case> = cases.iter().filter(|case| !matches!(case.kiwi, Kiwi::Unasked(_))).collect();
    for (at, case) in asked.iter().enumerate() {
        // The script takes the machine from the path.
        let arch = match case.arch().name() {
            "aarch64" => "arm",
            "ppc64le" => "ppc",
            "s390x" => "s390",
            _ => "x86",
        };
        support::write(all.join(format!("{at:03}-{arch}/config.xml")), case.xml());
    }
    let mut command = Command::new(python);
    command.arg(script).arg("--all").arg(&all).arg("--root").arg(&root).arg("--output").arg(&output);
    support::run(command.args(["--jobs", "12"])).ends(0);
    let json: Value = serde_json::from_slice(&std::fs::read(output).unwrap()).unwrap();
    let found = json["cases"].as_array().expect("a list");
    assert_eq!(found.len(), asked.len(), "one layout for each");
    let named = |case: &Value| {
        let number = case["description"].as_str().and_then(|name| name.split('-').next());
        let at: usize = number.and_then(|at| at.parse().ok()).expect("a number");
        (asked[at].name.to_owned(), case.clone())
    };
    Some(found.iter().map(named).collect())
}
