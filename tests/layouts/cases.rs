//! Small descriptions with the layout that they have, which KIWI confirms where it is there.

use crate::trees::mib;
use crate::{compare, oracle};
use diskwright::build::identity;
use diskwright::describe::kiwi::parse;
use diskwright::model::Arch;
use diskwright::plan::{Fit, draft, plan};
use diskwright::resolve::{Choice, resolve};
use diskwright_formats::layout::Memory;
use diskwright_fstools::tree::Tree;
use serde_json::Value;
use std::collections::BTreeMap;

/// What KIWI makes of a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kiwi {
    /// The same layout, field for field.
    Same,
    /// Nothing: why it fails.
    Fails(&'static str),
    /// Not asked: why.
    Unasked(&'static str),
    /// Another layout: why.
    Differs(&'static str),
}

/// A description with its layout.
pub(crate) struct Case {
    /// What it is about; a machine other than x86_64 is the first word.
    pub(crate) name: &'static str,
    /// Of the type element. Without a file system it is ext4.
    pub(crate) attributes: &'static str,
    /// In `oemconfig`; without `oem-resize` that is false.
    pub(crate) oem: &'static str,
    /// In the type element.
    pub(crate) children: &'static str,
    pub(crate) kiwi: Kiwi,
    /// `TABLE MIB | NUMBER NAME START+LENGTH | ...` in MiB, or `! ` and what a refusal says.
    pub(crate) layout: &'static str,
}

impl Case {
    pub(crate) fn arch(&self) -> Arch {
        self.name.split(' ').next().and_then(Arch::from_name).unwrap_or(Arch::X86_64)
    }

    pub(crate) fn xml(&self) -> String {
        let Case { attributes, oem, children, .. } = self;
        let filesystem = if attributes.contains(" filesystem=") || attributes.starts_with("filesystem=") {
            ""
        } else {
            "filesystem=\"ext4\" "
        };
        let resize = if oem.contains("oem-resize") { "" } else { "<oem-resize>false</oem-resize>" };
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<image schemaversion=\"8.5\" name=\"case\">\n\
             <description type=\"system\"><author>A</author><contact>a@b</contact><specification>S</specification></description>\n\
             <preferences><version>1.0.0</version><packagemanager>apt</packagemanager>\n\
             <type image=\"oem\" {filesystem}{attributes}>\n<oemconfig>{resize}{oem}</oemconfig>\n{children}\n</type>\n</preferences>\n</image>\n"
        )
    }

    /// By KIWI's arithmetic.
    pub(crate) fn fit(&self, tree: &Tree) -> Result<Fit, String> {
        let model = parse("case.xml", self.xml().into_bytes()).map_err(|error| error.to_string())?;
        let choice = Choice { kiwi_sizes: true, ..Choice::new(self.arch()) };
        let image = resolve(&model, &choice).map_err(|error| error.to_string())?.image;
        let plan = plan(&image, &identity(&image, None, 0)).map_err(|error| error.to_string())?;
        draft(&plan, tree.clone(), &Memory(Vec::new())).map_err(|error| error.to_string())
    }
}

/// `TABLE MIB | NUMBER NAME START+LENGTH | ...`, in MiB.
pub(crate) fn short(layout: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let sector = number(&layout["sector_size"]);
    let part = |part: &Value| {
        let [start, len] = ["start_sector", "size_sectors"].map(|name| mib(number(&part[name]) * sector));
        format!(" | {} {} {start}+{len}", part["number"], part["name"].as_str().unwrap_or_default())
    };
    let parts: String = layout["partitions"].as_array().into_iter().flatten().map(part).collect();
    let table = layout["table"].as_str().unwrap_or_default();
    format!("{table} {}{parts}", mib(number(&layout["final_size_bytes"])))
}

/// Each layout is as it is written; where KIWI is there, it says so, too.
pub(crate) fn check(test: &str, cases: &[Case], tree: &Tree) {
    let kiwis = oracle::layouts(test, cases, tree);
    let mut wrong: BTreeMap<&str, String> = BTreeMap::new();
    let mut compared = 0;
    for case in cases {
        let ours = case.fit(tree).map(|fit| compare::report(&fit));
        let found = match &ours {
            Ok(ours) => short(ours),
            Err(said) => format!("! {said}"),
        };
        let right = match case.layout.strip_prefix("! ") {
            Some(reason) => found.starts_with("! ") && found.contains(reason),
            None => found == case.layout,
        };
        if !right {
            wrong.insert(case.name, format!("\n  found {found}\n  asked {}", case.layout));
        }
        if let Some(kiwi) = kiwis.as_ref().and_then(|kiwis| kiwis.get(case.name)) {
            compared += 1;
            let said = confirmed(case, kiwi, ours.as_ref().ok());
            if let Err(said) = said {
                *wrong.entry(case.name).or_default() += &format!("\n  KIWI {said}");
            }
        }
    }
    println!("{test}: {} layouts, {compared} of them compared with KIWI", cases.len());
    let text: String = wrong.iter().map(|(name, said)| format!("{name}:{said}\n")).collect();
    assert!(wrong.is_empty(), "{text}");
}

fn confirmed(case: &Case, kiwi: &Value, ours: Option<&Value>) -> Result<(), String> {
    let failed = !kiwi["kiwi_error"].is_null();
    // Descriptions without packages fail checks that say nothing of the disk.
    let complaints = kiwi["errors"].as_array().into_iter().flatten().filter(|error| error["check"].is_null());
    let complaints: Vec<&Value> = complaints.collect();
    let differences = ours.map(|ours| compare::differences(kiwi, ours));
    match case.kiwi {
        Kiwi::Unasked(_) => Ok(()),
        Kiwi::Fails(_) if failed => Ok(()),
        Kiwi::Fails(_) => Err(format!("does not fail: {}", short(kiwi))),
        _ if failed => Err(format!("fails: {}", kiwi["kiwi_error"]["message"])),
        Kiwi::Same if !complaints.is_empty() => Err(format!("complains: {complaints:?}")),
        Kiwi::Same => match differences.as_deref() {
            Some([]) => Ok(()),
            other => Err(format!("{}; {}", short(kiwi), other.unwrap_or_default().join("; "))),
        },
        Kiwi::Differs(_) if differences.is_none_or(|list| !list.is_empty()) => Ok(()),
        Kiwi::Differs(_) => Err("does not differ".to_owned()),
    }
}

/// All of a table have a reason where KIWI does something else, and a name of their own.
pub(crate) fn names(cases: &[Case]) {
    let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len());
    for case in cases {
        if let Kiwi::Fails(why) | Kiwi::Differs(why) | Kiwi::Unasked(why) = case.kiwi {
            assert!(!why.is_empty(), "{}", case.name);
        }
    }
}
