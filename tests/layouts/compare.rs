//! A layout in KIWI's words against one of ours.

use diskwright::plan::Fit;
use diskwright::report::LayoutReport;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const DISK: [&str; 9] = [
    "table",
    "final_label",
    "disk_size_bytes",
    "unpartitioned_bytes",
    "final_size_bytes",
    "calculated_mib",
    "sector_size",
    "volume_manager",
    "volume_group",
];

const PARTITION: [&str; 13] = [
    "number",
    "name",
    "role",
    "start_sector",
    "size_sectors",
    "type_guid",
    "mbr_type",
    "active",
    "filesystem",
    "label",
    "mountpoint",
    "layers",
    "clone_of",
];

/// A fit as `plan --json` prints it.
pub(crate) fn report(fit: &Fit) -> Value {
    serde_json::to_value(LayoutReport::of_fit(fit)).expect("a layout is JSON")
}

/// `field: KIWI's and ours`, for each field that differs.
pub(crate) fn differences(kiwi: &Value, ours: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let mut field = |name: &str, kiwi: &Value, ours: &Value| {
        if kiwi != ours {
            all.push(format!("{name}: {kiwi} and {ours}"));
        }
    };
    for name in DISK {
        field(name, &kiwi[name], &ours[name]);
    }
    let parts = |layout: &Value| layout["partitions"].as_array().cloned().unwrap_or_default();
    let (theirs, mine) = (parts(kiwi), parts(ours));
    field("partitions", &json!(theirs.len()), &json!(mine.len()));
    for (theirs, mine) in theirs.iter().zip(&mine) {
        for name in PARTITION {
            field(&format!("{} {name}", theirs["name"]), &theirs[name], &mine[name]);
        }
    }
    field("mbr_entries", &kiwi["mbr_entries"], &ours["mbr_entries"]);
    field("partids", &texts(&kiwi["partids"]), &ours["partids"]);
    field("fstab", &json!(fstab(kiwi)), &json!(symbolic(ours)));
    field("volumes", &without_rest(&kiwi["volumes"]), &ours["volumes"]);
    all
}

/// Numbers as texts, as they stand in `config.partids`.
fn texts(ids: &Value) -> Value {
    let text = |(key, id): (&String, &Value)| {
        (key.clone(), json!(id.as_str().map_or_else(|| id.to_string(), str::to_owned)))
    };
    Value::Object(ids.as_object().into_iter().flatten().map(text).collect::<Map<String, Value>>())
}

fn line(entry: &Value, spec: &str, dump: &str) -> String {
    let text = |name: &str| match &entry[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!("{spec} {} {} {} {dump} {}", text("mountpoint"), text("type"), text("options"), text("pass"))
}

fn fstab(kiwi: &Value) -> Vec<String> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let entries = kiwi["fstab"].as_array().into_iter().flatten();
    entries.map(|entry| line(entry, &text(entry, "spec"), &text(entry, "dump"))).collect()
}

/// Our fstab with roles in the place of ids: `UUID={root}`.
fn symbolic(ours: &Value) -> Vec<String> {
    let mut roles = BTreeMap::new();
    for part in ours["partitions"].as_array().into_iter().flatten() {
        let role = part["role"].as_str().unwrap_or_default();
        for (key, id) in [("UUID", &part["uuid"]), ("PARTUUID", &part["partuuid"])] {
            if let Some(id) = id.as_str() {
                roles.insert(format!("{key}={id}"), format!("{key}={{{role}}}"));
            }
        }
    }
    let entries = ours["fstab"].as_array().into_iter().flatten();
    let spec = |entry: &Value| {
        let spec = entry["spec"].as_str().unwrap_or_default().to_owned();
        roles.get(&spec).cloned().unwrap_or(spec)
    };
    entries.map(|entry| line(entry, &spec(entry), "0")).collect()
}

/// What takes the rest has no size.
fn without_rest(volumes: &Value) -> Value {
    let mut volumes = volumes.clone();
    for volume in volumes.as_array_mut().into_iter().flatten() {
        if volume["size_mib"] == "rest" {
            volume["size_mib"] = Value::Null;
        }
    }
    volumes
}
