//! The results of a build in KIWI's form (`system/result.py` and `tasks/result_bundle.py` of KIWI NG 10.3.9).
//!
//! KIWI keeps them twice in the target directory: as `kiwi.result`, a Python pickle of its own classes, which nothing else
//! can read or make, and as `kiwi.result.json`, which is for everybody:
//!
//! ```text
//! { "disk_format_image": { "compress": false, "filename": "/out/name.x86_64-1.0.0.qcow2",
//!                          "shasum": true, "use_for_bundle": true },
//!   "bundle_format":     { "pattern": "%N-%v", "tags": { "N": "name", "P": "", ... } } }        if the type has one
//! ```
//!
//! What a bundle needs and only the pickle has (name, version, profiles, type) lies beside it in [`FACTS_FILE`].

use crate::plan::{CLONES, PACKAGES, VERIFIED, is_image};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The results in KIWI's form.
pub const RESULT_FILE: &str = "kiwi.result.json";
/// KIWI's own, which cannot be read here.
pub const PICKLE_FILE: &str = "kiwi.result";
/// What is known of the image beyond its files.
pub const FACTS_FILE: &str = "diskwright.result.json";
/// The key that is no file.
const BUNDLE_FORMAT: &str = "bundle_format";

/// A result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultFile {
    /// Whether a bundle compresses it.
    pub compress: bool,
    /// Its path.
    pub filename: String,
    /// Whether a bundle has a checksum of it.
    pub shasum: bool,
    /// Whether it is part of a bundle.
    pub use_for_bundle: bool,
}

/// The results of a build, by KIWI's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// The files.
    pub files: BTreeMap<String, ResultFile>,
    /// `bundle_format` of the type, with what it is filled in with.
    pub pattern: Option<(String, Facts)>,
}

/// What names of bundled files are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `image@name`.
    pub name: String,
    /// `version`.
    pub version: String,
    /// The machine, as `uname -m` says it.
    pub arch: String,
    /// The selected profiles.
    pub profiles: Vec<String>,
    /// `type@image`.
    #[serde(rename = "type")]
    pub image_type: String,
}

#[derive(Serialize, Deserialize)]
struct Format {
    pattern: String,
    tags: Tags,
}

#[allow(non_snake_case)] // the names of the format
#[derive(Serialize, Deserialize)]
struct Tags {
    A: String,
    I: String,
    M: String,
    N: String,
    P: String,
    T: String,
    m: String,
    p: String,
    v: String,
}

/// What becomes of a disk or file system image in a bundle.
///
/// `format` is a row of the disk registry, [`CLONES`] or a list, `None` for a bare file system; `formats` are all that were
/// made. A raw disk is bundled only where it is the only one; what is compressed by default is KIWI's choice of each format.
pub fn image_key(format: Option<&str>, formats: &[&str]) -> (String, bool, bool) {
    match format {
        None => ("filesystem_image".to_owned(), true, true),
        Some(CLONES) => ("image_clones".to_owned(), true, false),
        Some(list @ (PACKAGES | VERIFIED)) => (format!("image_{list}"), true, false),
        Some("raw") => {
            let alone = formats.iter().all(|format| *format == "raw" || !is_image(Some(format)));
            ("disk_image".to_owned(), alone, true)
        }
        Some(format) => {
            let compress = matches!(format, "vhd" | "vhdx" | "vdi" | "vhd-fixed");
            let others = formats.iter().filter(|other| **other != "raw").position(|other| *other == format);
            let key = match others {
                // KIWI makes one format a build.
                Some(1..) => format!("disk_format_image_{format}"),
                _ => "disk_format_image".to_owned(),
            };
            (key, true, compress)
        }
    }
}

impl Results {
    /// As KIWI writes it: keys sorted, four blanks a level.
    pub fn to_json(&self) -> String {
        let mut all = serde_json::Map::new();
        for (key, file) in &self.files {
            all.insert(key.clone(), serde_json::json!(file));
        }
        if let Some((pattern, facts)) = &self.pattern {
            all.insert(
                BUNDLE_FORMAT.to_owned(),
                serde_json::json!(Format { pattern: pattern.clone(), tags: facts.into() }),
            );
        }
        let mut text = Vec::new();
        let pretty = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut writer = serde_json::Serializer::with_formatter(&mut text, pretty);
        all.serialize(&mut writer).expect("memory takes every byte, and keys are text");
        text.push(b'\n');
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    /// Reads a `kiwi.result.json`, of KIWI or ours; `file` is its name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Results, Refusal> {
        let refuse = |reason: String| {
            let hint = "make the results again, with system build or system create";
            Refusal::new(RefusalKind::Unsupported, Spot::new("result", file), reason).hint(hint)
        };
        let all: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|error| refuse(format!("no list of results: {error}")))?;
        let mut results = Results::default();
        for (key, value) in all {
            let wrong = |error: serde_json::Error| refuse(format!("{}: {error}", key.escape_debug()));
            if key == BUNDLE_FORMAT {
                let format: Format = serde_json::from_value(value).map_err(wrong)?;
                results.pattern = Some((format.pattern, format.tags.into()));
            } else {
                let file = serde_json::from_value(value).map_err(wrong)?;
                results.files.insert(key, file);
            }
        }
        Ok(results)
    }

    /// What the names of the files say where nothing else does: name, machine and version out of
    /// `NAME.ARCH-VERSION.EXTENSION`.
    pub fn guess(&self) -> Option<Facts> {
        self.files.values().find_map(|file| guess(base(&file.filename)))
    }
}

impl From<&Facts> for Tags {
    fn from(facts: &Facts) -> Tags {
        let [major, minor, patch] = facts.parts();
        Tags {
            A: facts.arch.clone(),
            I: String::new(),
            M: major.to_owned(),
            N: facts.name.clone(),
            P: facts.profiles.join("_"),
            T: facts.image_type.clone(),
            m: minor.to_owned(),
            p: patch.to_owned(),
            v: facts.version.clone(),
        }
    }
}

impl From<Tags> for Facts {
    fn from(tags: Tags) -> Facts {
        let profiles = Some(tags.P).filter(|profiles| !profiles.is_empty());
        Facts {
            name: tags.N,
            version: tags.v,
            arch: tags.A,
            profiles: profiles.into_iter().collect(),
            image_type: tags.T,
        }
    }
}

impl Facts {
    /// Major, minor, patch; what is missing is empty.
    fn parts(&self) -> [&str; 3] {
        let mut parts = self.version.splitn(3, '.');
        [(); 3].map(|()| parts.next().unwrap_or_default())
    }
}

/// The name of a file in a bundle: `pattern` filled in and the file's extension; without one the file's own name with the
/// id behind each version that follows the image's name.
pub fn bundle_name(filename: &str, facts: &Facts, id: &str, pattern: Option<&str>) -> String {
    let name = base(filename);
    match pattern.filter(|pattern| !pattern.is_empty()) {
        Some(pattern) => format!("{}.{}", filled(pattern, facts, id), extension(name)),
        None => {
            let Some(at) = name.find(&facts.name).map(|at| at + facts.name.len()) else {
                return name.to_owned();
            };
            match facts.version.as_str() {
                "" => name.to_owned(),
                version => name[..at].to_owned() + &name[at..].replace(version, &format!("{version}-{id}")),
            }
        }
    }
}

fn filled(pattern: &str, facts: &Facts, id: &str) -> String {
    let [major, minor, patch] = facts.parts();
    let mut text = String::new();
    let mut rest = pattern.chars();
    while let Some(one) = rest.next() {
        let tag = if one == '%' { rest.clone().next() } else { None };
        match tag {
            Some('N') => text.push_str(&facts.name),
            Some('P') => text.push_str(&facts.profiles.join("_")),
            Some('A') => text.push_str(&facts.arch),
            Some('T') => text.push_str(&facts.image_type),
            Some('M') => text.push_str(major),
            Some('m') => text.push_str(minor),
            Some('p') => text.push_str(patch),
            Some('v') => text.push_str(&facts.version),
            Some('I') => text.push_str(id),
            _ => {
                text.push(one);
                continue;
            }
        }
        rest.next();
    }
    text
}

/// What stays of a name under a pattern: the last part; of some names the last two or three.
fn extension(name: &str) -> String {
    let last = |parts: usize| {
        let all: Vec<&str> = name.split('.').collect();
        all[all.len().saturating_sub(parts)..].join(".")
    };
    let within = |part: &str| name.contains(part);
    if within(".oci.tar.") || within(".docker.tar.") || within(".vagrant.") {
        last(3)
    } else if within(".clones.json") || within(".oci.tar") || within(".docker.tar") || within(".tar.") {
        last(2)
    } else {
        last(1)
    }
}

/// The last part of a path.
pub fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Machines in file names.
const ARCHES: [&str; 14] = [
    "x86_64",
    "ix86",
    "aarch64",
    "arm64",
    "armv5tel",
    "armv6l",
    "armv6hl",
    "armv7l",
    "armv7hl",
    "ppc64le",
    "ppc64",
    "riscv64",
    "s390x",
    "loongarch64",
];

/// Endings of KIWI's results, those that end like another one first.
const ENDINGS: [&str; 34] = [
    ".clones.json",
    ".packages",
    ".changes",
    ".verified",
    ".install.iso",
    ".install.tar",
    ".vagrant.libvirt.box",
    ".vagrant.virtualbox.box",
    ".oci.tar.xz",
    ".docker.tar.xz",
    ".oci.tar",
    ".docker.tar",
    ".tar.xz",
    ".tar.gz",
    ".raw",
    ".qcow2",
    ".vmdk",
    ".vmx",
    ".vhd",
    ".vhdx",
    ".vhdfixed",
    ".vdi",
    ".ova",
    ".iso",
    ".ext2",
    ".ext3",
    ".ext4",
    ".btrfs",
    ".xfs",
    ".squashfs",
    ".erofs",
    ".cpio",
    ".appx",
    ".wsl",
];

fn guess(name: &str) -> Option<Facts> {
    let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))?;
    let found = ARCHES.iter().filter_map(|arch| {
        let mark = format!(".{arch}-");
        let at = stem.rfind(&mark)?;
        Some((at, *arch, at + mark.len()))
    });
    let (at, arch, behind) = found.max()?;
    let whole = at > 0 && behind < stem.len();
    let machine = if arch == "ix86" { "i686" } else { arch };
    whole.then(|| Facts {
        name: stem[..at].to_owned(),
        version: stem[behind..].to_owned(),
        arch: machine.to_owned(),
        ..Facts::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            name: "box.2".to_owned(),
            version: "1.10.2".to_owned(),
            arch: "x86_64".to_owned(),
            profiles: vec!["a".to_owned(), "b".to_owned()],
            image_type: "oem".to_owned(),
        }
    }

    #[test]
    fn names_in_a_bundle() {
        let name = |file: &str, pattern| bundle_name(file, &facts(), "B1", pattern);
        assert_eq!(name("/t.d/box.2.x86_64-1.10.2.qcow2", None), "box.2.x86_64-1.10.2-B1.qcow2");
        assert_eq!(name("other-1.10.2.raw", None), "other-1.10.2.raw");
        assert_eq!(
            name("box.2.x86_64-1.10.2.oci.tar.xz", Some("%N-%P-%A-%I")),
            "box.2-a_b-x86_64-B1.oci.tar.xz"
        );
        assert_eq!(name("x.docker.tar", Some("%T_%M.%m.%p_%v")), "oem_1.10.2_1.10.2.docker.tar");
        assert_eq!(name("x.tar.gz", Some("%%N%x%")), "%box.2%x%.tar.gz");
        assert_eq!(name("box.2.x86_64-1.10.2.clones.json", Some("%N-%I")), "box.2-B1.clones.json");
        assert_eq!(name("box.2.x86_64-1.10.2.raw", Some("")), "box.2.x86_64-1.10.2-B1.raw");
    }

    #[test]
    fn facts_out_of_names() {
        let guessed = guess("box.2.x86_64-1.10.2.vagrant.libvirt.box").expect("a name of KIWI's");
        assert_eq!((guessed.name.as_str(), guessed.version.as_str()), ("box.2", "1.10.2"));
        assert_eq!(
            guess("a.b.aarch64-2.x86_64-1.raw").map(|it| (it.name, it.version)),
            Some(("a.b.aarch64-2".into(), "1".into()))
        );
        for name in ["disk.qcow2", ".x86_64-1.raw", "a.x86_64-.raw", "a.x86_64-1.unknown", ""] {
            assert_eq!(guess(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let (key, use_for_bundle, compress) = image_key(Some("qcow2"), &["qcow2"]);
        let file = ResultFile { compress, filename: "/o/\u{e4}\"".to_owned(), shasum: true, use_for_bundle };
        let results = Results { files: [(key, file)].into(), pattern: None };
        assert_eq!(Results::parse("f", &results.to_json()), Ok(results.clone()));
        let patterned = Results {
            pattern: Some(("%N".to_owned(), Facts { profiles: vec!["a".into()], ..facts() })),
            ..results
        };
        assert_eq!(Results::parse("f", &patterned.to_json()), Ok(patterned));
        for text in ["", "[]", "{\"a\": 1}", "{\"a\": {\"filename\": \"x\"}}", "{\"bundle_format\": {}}"] {
            assert!(Results::parse("f", text).is_err(), "{text}");
        }
        assert_eq!(image_key(Some("raw"), &["raw", "qcow2"]), ("disk_image".to_owned(), false, true));
        assert_eq!(image_key(Some("vdi"), &["raw", "qcow2", "vdi"]).0, "disk_format_image_vdi");
        assert!(image_key(Some("raw"), &["raw", CLONES]).1, "a disk alone");
        assert_eq!(image_key(Some(CLONES), &["raw", CLONES]), ("image_clones".to_owned(), true, false));
    }
}
