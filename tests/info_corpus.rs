//! What `info` says of the descriptions of a corpus is what `plan` then does: a description that only needs what is
//! supported never fails, and one that needs more fails before any work, with the name of what it needs.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use diskwright::build::identity;
use diskwright::describe::Severity;
use diskwright::describe::kiwi::{Description, LoadError, load, parse};
use diskwright::model::{
    Arch, Contents, DiskSize, Loader, Model, Naming, PartitionKind, Rule, SectorSize, Table, Target,
};
use diskwright::plan::plan;
use diskwright::report::{ImageSupport, Info, Verdict, choices, info, support as support_of};
use diskwright::resolve::{Choice, ResolveError, resolve};
use std::path::{Path, PathBuf};

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let ending = path.extension().unwrap_or_default();
        if path.is_dir() {
            files(&path, found);
        } else if ending == "kiwi" || ending == "xml" {
            found.push(path);
        }
    }
    found.sort();
}

/// Whether what is said of an image is what resolving and planning it say; whether it can be made.
fn judge(file: &Path, model: &Model, image: &ImageSupport) -> bool {
    let image_type = Some(image.image_type.clone()).filter(|name| !name.is_empty());
    let choice = Choice { profiles: image.profiles.clone(), image_type, ..Choice::new(Arch::X86_64) };
    let errors = match resolve(model, &choice) {
        Ok(resolved) => {
            let planned = plan(&resolved.image, &identity(&resolved.image, None, 0));
            assert!(planned.is_ok() || !image.problems.is_empty(), "{}: {planned:?}", file.display());
            if planned.is_err() {
                return image.supported();
            }
            resolved.lacks
        }
        Err(ResolveError::Refused(diagnostics)) => diagnostics.list,
        Err(ResolveError::Choice(refusal)) => panic!("{}: {refusal}", file.display()),
    };
    let errors: Vec<_> = errors.iter().filter(|one| one.severity == Severity::Error).collect();
    assert_eq!(image.supported(), errors.is_empty(), "{}: {image:?}\n{errors:?}", file.display());
    for missing in &image.refused {
        // Scripts beside a description are none of its parts.
        let named = |one: &&&diskwright::describe::Diagnostic| {
            let at = format!("{}:{}", one.source.file, one.position().0);
            one.lack.as_deref() == Some(&missing.lack) && at == missing.at
        };
        assert!(
            missing.at.ends_with(".sh") || errors.iter().any(|one| named(&one)),
            "{missing:?}\n{errors:?}"
        );
    }
    assert_eq!(errors.iter().filter(|one| one.lack.is_none()).count(), image.problems.len());
    image.supported()
}

#[test]
fn support_says_what_plan_does() {
    let Some(corpus) = support::corpus("support_says_what_plan_does") else { return };
    let mut paths = Vec::new();
    files(&corpus, &mut paths);
    let (mut images, mut good, mut described) = (0, 0, 0);
    for file in &paths {
        let read = load(file, None);
        let text = std::fs::read_to_string(file).unwrap();
        for (name, read) in [("as it is", read), ("with what is supported", supported(file, &text))] {
            let Ok(description) = &read else { continue };
            let model = description.model.clone();
            let support = support_of(&[(name.to_owned(), read)], Arch::X86_64);
            let [one] = support.descriptions.as_slice() else { panic!("one description") };
            assert_eq!(one.images.len(), choices(&model, Arch::X86_64).len());
            let made = one.images.iter().filter(|image| judge(file, &model, image)).count();
            assert_eq!(one.verdict == Verdict::Supported, made == one.images.len(), "{}", file.display());
            images += one.images.len();
            good += made;
            described += 1;
        }
    }
    println!("{described} descriptions, {images} images, {good} of them can be made");
    assert!(good > 20 && images > 300, "{good} of {images}");
}

const WITH_THEM: [&str; 13] = [
    "output_console",
    "input_console",
    "serial_line",
    "timeout_style",
    "bls",
    "console",
    "video_mode",
    "formatoptions",
    "btrfs_root_is_snapshot",
    "btrfs_root_is_snapper_snapshot",
    "btrfs_root_is_readonly_snapshot",
    "btrfs_quota_groups",
    "btrfs_set_default_volume",
];

/// A description of the corpus without what support says is not supported: taken away, or replaced by what is.
fn supported(file: &Path, text: &str) -> Result<Description, LoadError> {
    let name = file.display().to_string();
    let directory = file.parent().unwrap().to_owned();
    // What only GRUB, btrfs and install media have may not stand beside what takes their place.
    let mut text = WITH_THEM.iter().fold(text.to_owned(), |text, name| without_attribute(&text, name));
    text = without_element(&text, "installmedia");
    for _ in 0..6 {
        let model = parse(&name, text.clone().into_bytes()).map_err(LoadError::Refused)?;
        let description = Description { model, directory: directory.clone() };
        let support = support_of(&[(name.clone(), Ok(description.clone()))], Arch::X86_64);
        let parts: Vec<&str> =
            support.descriptions[0].refused.iter().map(|one| one.lack.part.as_str()).collect();
        if parts.is_empty() {
            return Ok(description);
        }
        text = parts.iter().fold(text, |text, part| without(&text, part));
    }
    Ok(Description { model: parse(&name, text.into_bytes()).map_err(LoadError::Refused)?, directory })
}

fn without(text: &str, part: &str) -> String {
    let Some((_, attribute)) = part.split_once('@') else { return without_element(text, part) };
    match attribute.split_once('=') {
        None => without_attribute(text, attribute),
        Some(("format", _)) => without_attribute(text, "format"),
        Some(("firmware", _)) if !text.contains("firmware=") => {
            text.replace("image=\"oem\"", "image=\"oem\" firmware=\"efi\"")
        }
        Some((name, value)) => {
            let instead = match name {
                "filesystem" => "ext4",
                "firmware" => "efi",
                "name" => "systemd_boot",
                "initrd_system" => "dracut",
                "efiparttable" => "gpt",
                _ => value,
            };
            text.replace(&format!("{name}=\"{value}\""), &format!("{name}=\"{instead}\""))
        }
    }
}

fn without_attribute(text: &str, name: &str) -> String {
    let start = format!(" {name}=\"");
    let mut pieces = text.split(start.as_str());
    let mut kept = pieces.next().unwrap_or("").to_owned();
    pieces.for_each(|piece| kept += piece.split_once('"').map_or("", |(_, rest)| rest));
    kept
}

fn without_element(text: &str, name: &str) -> String {
    let start = format!("<{name}");
    let mut pieces = text.split(start.as_str());
    let mut kept = pieces.next().unwrap_or("").to_owned();
    for piece in pieces {
        let (tag, rest) = piece.split_once('>').unwrap_or((piece, ""));
        if !tag.is_empty() && !tag.starts_with([' ', '/', '\n']) {
            // Another element, whose name starts with this one.
            kept += &format!("<{name}{piece}");
        } else if tag.ends_with('/') {
            kept += rest;
        } else {
            kept += rest.split_once(&format!("</{name}>")).map_or("", |(_, rest)| rest);
        }
    }
    kept
}

/// The program says the same: all descriptions at once, and `plan` of each by itself.
#[test]
fn the_program_refuses_what_support_names() {
    let Some(corpus) = support::corpus("the_program_refuses_what_support_names") else { return };
    let run =
        support::diskwright(["info".as_ref(), "--support".as_ref(), "--json".as_ref(), corpus.as_os_str()]);
    let json: serde_json::Value = serde_json::from_str(&run.ends(0).stdout).unwrap();
    let mut planned = 0;
    for description in json["descriptions"].as_array().unwrap() {
        // One image of each: the last.
        let Some(image) = description["images"].as_array().unwrap().last() else { continue };
        let words = |value: &serde_json::Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let mut arguments =
            vec!["plan".to_owned(), "-q".to_owned(), description["path"].as_str().unwrap().to_owned()];
        for profile in words(&image["profiles"]) {
            arguments.extend(["--profile".to_owned(), profile]);
        }
        if let Some(kind) = image["type"].as_str().filter(|kind| !kind.is_empty()) {
            arguments.extend(["--type".to_owned(), kind.to_owned()]);
        }
        let refused = image["refused"].as_array().unwrap();
        let fine = refused.is_empty() && words(&image["problems"]).is_empty();
        if !fine {
            arguments[0] = "create".to_owned();
            arguments.extend(["--root", "no-tree", "-o", "no-output"].map(str::to_owned));
        }
        let run = support::diskwright(&arguments).ends(if fine { 0 } else { 1 });
        for part in refused {
            let part = part["part"].as_str().unwrap();
            let word = part.split(['@', '=']).next_back().unwrap();
            assert!(run.stderr.contains(word), "{arguments:?}: {part}\n{}", run.stderr);
        }
        planned += 1;
    }
    println!("{planned} planned");
    assert!(planned > 50, "{planned}");
}

/// Values are those that the image has that is made.
#[test]
fn values_are_those_of_the_image() {
    let Some(corpus) = support::corpus("values_are_those_of_the_image") else { return };
    let mut paths = Vec::new();
    files(&corpus, &mut paths);
    let mut compared = 0;
    for file in &paths {
        let text = std::fs::read_to_string(file).unwrap();
        let Ok(description) = supported(file, &text) else { continue };
        for plain in choices(&description.model, Arch::X86_64) {
            let other = Choice {
                filesystem: Some("ext4".to_owned()),
                label: Some("OTHER".to_owned()),
                command_line: Some("quiet".to_owned()),
                formats: vec!["qcow2".to_owned()],
                no_boot: true,
                size: Some("9G".parse().unwrap()),
                esp_size: Some("90M".parse().unwrap()),
                ..plain.clone()
            };
            for choice in [plain, other] {
                let Ok(resolved) = resolve(&description.model, &choice) else { continue };
                let info = info(&description.model, &choice).expect("a choice that was resolved");
                assert_eq!(info.refused.len(), resolved.lacks.len(), "{:?}", info.refused);
                compared += compare(&info, &resolved.image.target, resolved.image.version.as_deref());
            }
        }
    }
    println!("{compared} values compared");
    assert!(compared > 200, "{compared}");
}

fn compare(info: &Info, target: &Target, version: Option<&str>) -> usize {
    assert_eq!(info.version.as_deref(), version);
    let value = |name: &str| {
        let found = info.values.iter().find(|one| one.name == name);
        found.unwrap_or_else(|| panic!("{name} in {:#?}", info.values)).value.as_str()
    };
    let Target::Disk(disk) = target else { return 1 };
    let part = |role: &str| disk.partitions.iter().find(|part| part.role == role);
    if let Some(Contents::Mounted { format, options, .. }) = part("root").map(|root| &root.contents) {
        assert_eq!(value("type@filesystem"), format.name);
        assert!(format.options.ends_with(&["-L".to_owned(), value("type@rootfs_label").to_owned()]));
        assert_eq!(value("type@fsmountoptions"), options);
    }
    assert_eq!(value("type@kernelcmdline").trim(), disk.command_line);
    if matches!(disk.table, Table::Gpt { .. }) && part("efi").is_some() {
        assert_eq!(matches!(value("type@eficsm"), "true" | "1"), part("efi_csm").is_some());
    }
    let typed = part("root").is_some_and(|root| root.type_guid.is_some());
    let plain = part("root").is_some_and(|root| root.kind == PartitionKind::Linux);
    assert_eq!(matches!(value("type@apply_dps_codes"), "true" | "1") && plain, typed);
    let sector = if disk.sector_size == SectorSize::B4096 { "4096" } else { "512" };
    assert_eq!(value("type@target_blocksize"), sector);
    let start = disk.first.0 / u64::from(disk.sector_size.bytes());
    assert_eq!(value("type@disk_start_sector"), start.to_string());
    let naming = match disk.naming {
        Naming::Uuid => "by-uuid",
        Naming::Label => "by-label",
        Naming::PartUuid => "by-partuuid",
    };
    assert_eq!(value("type@devicepersistency"), naming);
    if let Some(esp) = part("efi") {
        let size = value("type@efipartsize");
        let size = if size.contains(' ') { size.to_owned() } else { format!("{size} MiB") };
        assert_eq!(size, esp.size.to_string());
    }
    let loader = match disk.loader {
        Loader::Custom => "custom",
        Loader::Grub if value("type/bootloader@name") == "grub2_s390x_emu" => "grub2_s390x_emu",
        Loader::Grub => "grub2",
        Loader::Zipl => "zipl",
        Loader::SystemdBoot { .. } => "systemd_boot",
    };
    assert_eq!(value("type/bootloader@name"), loader);
    let formats: Vec<&str> = disk.formats.iter().map(|format| format.name.as_str()).collect();
    assert_eq!(value("type@format"), formats.join(", "));
    if let DiskSize::Exact(bytes) = disk.size {
        let unit = info.values.iter().find(|one| one.name == "type/size@unit").map(|one| one.value.as_str());
        let size = value("type/size");
        let number = size.parse::<u64>().map(|number| number << if unit == Some("G") { 30 } else { 20 });
        assert!(number == Ok(bytes.0) || size == bytes.to_string(), "{size} {bytes}");
    }
    for shown in &info.partitions {
        let made = part(&shown.name).unwrap_or_else(|| panic!("{} in {:?}", shown.name, disk.partitions));
        assert_eq!(shown.mountpoint.as_deref(), made.contents.mountpoint());
        assert_eq!(Rule::Exact(shown.mbsize.0.bytes()), made.size);
    }
    14 + info.partitions.len()
}
