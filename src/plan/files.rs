//! Files that are generated: fstab, and KIWI's ids of partitions.

use super::{File, FstabEntry, Part, ROOT, device, patch, volumes};
use crate::model::{Disk, Image, Loader, System, Table, VolumeManager, Volumes};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::identity::Identity;
use std::collections::BTreeMap;

/// `/etc/fstab` (fstab(5)) in KIWI's order: what is mounted first stands first. Of two mounts at one path the first counts, in
/// the order root, boot, EFI, volumes, spare, swap, those of the description by name.
pub(super) fn fstab(disk: &Disk, parts: &[Part]) -> Vec<FstabEntry> {
    let lvm = disk.volumes.as_ref().is_some_and(Volumes::is_lvm);
    let find = |role: &str| parts.iter().find(|part| part.role == role);
    let fixed = [ROOT, "boot", super::ESP].into_iter().filter_map(find);
    let first = fixed.filter(|part| !(lvm && part.role == ROOT)).filter_map(|part| entry(disk, part));
    let divided = disk.volumes.iter().flat_map(|volumes| volumes::fstab(disk, volumes, parts));
    let last = ["spare", "swap"].into_iter().filter_map(find).filter_map(|part| entry(disk, part));
    let known = [ROOT, "boot", super::ESP, "spare", "swap"];
    let mut described: Vec<&Part> =
        parts.iter().filter(|part| !known.contains(&part.role.as_str())).collect();
    described.sort_by(|one, other| one.role.cmp(&other.role));
    let described = described.into_iter().filter_map(|part| entry(disk, part));
    let mut entries: Vec<FstabEntry> = Vec::new();
    for entry in first.chain(divided).chain(last).chain(described) {
        if entries.iter().all(|one| one.mountpoint != entry.mountpoint) {
            entries.push(entry);
        }
    }
    entries.sort_by_key(|entry| (entry.mountpoint.matches('/').count(), entry.mountpoint.clone()));
    entries
}

fn entry(disk: &Disk, part: &Part) -> Option<FstabEntry> {
    let filesystem = part.filesystem.as_ref().filter(|_| part.clone_of.is_none() && !part.packed)?;
    let is_swap = filesystem.mkfs.name == "swap";
    let mountpoint = match &filesystem.mountpoint {
        Some(path) => path.clone(),
        None if is_swap => "swap".to_owned(),
        None => return None,
    };
    let mut options = part.mount_options.clone().unwrap_or_else(|| "defaults".to_owned());
    let mut pass = u8::from(mountpoint == "/");
    if mountpoint == "/" {
        let given = Some(options.clone()).filter(|options| options != "defaults");
        let readonly = disk.readonly_root.then(|| "ro".to_owned());
        let words: Vec<String> =
            [given, readonly, named_subvolume(disk.volumes.as_ref())].into_iter().flatten().collect();
        if !words.is_empty() {
            options = words.join(",");
        }
        pass = u8::from(!disk.readonly_root);
    }
    Some(FstabEntry { spec: device(disk.naming, part)?, mountpoint, kind: filesystem.kind(), options, pass })
}

/// Options for a root of btrfs that is not found by the default subvolume.
fn named_subvolume(volumes: Option<&Volumes>) -> Option<String> {
    match &volumes?.manager {
        VolumeManager::Btrfs { toplevel: Some(name), default: false, .. } => {
            Some(format!("defaults,subvol={name}"))
        }
        _ => None,
    }
}

/// The text of fstab.
pub(super) fn fstab_file(entries: &[FstabEntry]) -> File {
    let line = |entry: &FstabEntry| {
        let FstabEntry { spec, mountpoint, kind, options, pass } = entry;
        format!("{} {} {kind} {options} 0 {pass}\n", escaped_field(spec), escaped_field(mountpoint))
    };
    File { path: "/etc/fstab".to_owned(), mode: 0o644, text: entries.iter().map(line).collect() }
}

/// `/etc/fstab` as the tree wants it.
pub(super) struct Edited {
    pub(super) file: File,
    /// Its lines, where they are others than before.
    pub(super) entries: Option<Vec<FstabEntry>>,
    /// Files of the tree that were used for it, which it loses.
    pub(super) used: Vec<String>,
}

/// KIWI's `etc/fstab.append` and `etc/fstab.patch`, in this order, where the image has them done; where `etc/fstab.script` has
/// run, what it left. Refused: a patch that does
/// not apply.
pub(super) fn edited(image: &Image, mut file: File) -> Result<Edited, Refusal> {
    let system = image.system.as_ref();
    if let Some(text) = system.and_then(|system| system.fstab.as_ref())
        && image.hooks.iter().any(|hook| hook == "etc/fstab.script")
    {
        file.text.clone_from(text);
        let entries = file.text.lines().filter_map(parsed).collect();
        return Ok(Edited { file, entries: Some(entries), used: Vec::new() });
    }
    let edit = |path: &str, text: fn(&System) -> Option<&String>| {
        let hook = image.hooks.iter().find(|hook| *hook == path)?;
        Some((hook.clone(), system.and_then(text)?))
    };
    let append = edit("etc/fstab.append", |system| system.fstab_append.as_ref());
    let patch = edit("etc/fstab.patch", |system| system.fstab_patch.as_ref());
    if let Some((_, text)) = &append {
        file.text.push_str(text);
    }
    if let Some((path, text)) = &patch {
        file.text = patch::apply(&file.text, text).map_err(|(line, reason)| {
            let reason = format!("line {line}: the patch of fstab does not apply: {reason}");
            Refusal::new(RefusalKind::Invalid, Spot::new("tree", format!("/{path}")), reason).hint(
                "plan --json shows the generated fstab among its files; the context of a hunk counts, too",
            )
        })?;
    }
    let used: Vec<String> = append.into_iter().chain(patch).map(|(path, _)| path).collect();
    let entries = (!used.is_empty()).then(|| file.text.lines().filter_map(parsed).collect());
    Ok(Edited { file, entries, used })
}

/// A line with all six fields.
fn parsed(line: &str) -> Option<FstabEntry> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [spec, mountpoint, kind, options, _, pass, ..] = fields[..] else { return None };
    if spec.starts_with('#') {
        return None;
    }
    let [spec, mountpoint, kind, options] = [spec, mountpoint, kind, options].map(str::to_owned);
    Some(FstabEntry { spec, mountpoint, kind, options, pass: pass.parse().unwrap_or(0) })
}

/// Blanks and backslashes as fstab(5) wants them.
fn escaped_field(text: &str) -> String {
    text.replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
        .replace('\n', "\\012")
        .replace('#', "\\043")
}

/// KIWI's public names of partitions with their numbers, as `config.partids` has them.
pub(super) fn partids(disk: &Disk, parts: &[Part]) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    let mut add = |key: &str, number: u32| ids.insert(key.to_owned(), number.to_string());
    for part in parts {
        let Some(entry) = &part.entry else { continue };
        let number = entry.number;
        if part.clone_of.is_some() {
            if let Some((base, index)) = part.role.rsplit_once("clone") {
                add(&format!("kiwi_{base}PartClone{index}"), number);
            }
            continue;
        }
        match part.role.as_str() {
            "efi_csm" => add("kiwi_BiosGrub", number),
            super::ESP => add("kiwi_EfiPart", number),
            "prep" => add("kiwi_PrepPart", number),
            "boot" => add("kiwi_BootPart", number),
            "swap" => add("kiwi_SwapPart", number),
            "spare" => add("kiwi_SparePart", number),
            "readonly" => add("kiwi_ROPart", number),
            ROOT => add("kiwi_RootPart", number),
            name => add(&format!("kiwi_{}Part", title_case(name)), number),
        };
    }
    root_ids(disk, parts, &mut ids);
    ids
}

/// What the kind of root adds.
fn root_ids(disk: &Disk, parts: &[Part], ids: &mut BTreeMap<String, String>) {
    let root = ids.get("kiwi_RootPart").cloned();
    let readonly = ids.get("kiwi_ROPart").cloned();
    match (root, readonly) {
        (Some(root), readonly) => {
            let name = parts.iter().find(|part| part.role == ROOT).map_or("", Part::name);
            if name == "p.lxroot" {
                ids.entry("kiwi_BootPart".to_owned()).or_insert_with(|| root.clone());
                if readonly.is_some() {
                    ids.insert("kiwi_RWPart".to_owned(), root.clone());
                }
            }
            let raid = disk
                .partitions
                .iter()
                .any(|one| one.role == ROOT && one.layers.iter().any(|layer| layer.is_raid()));
            if raid {
                ids.insert("kiwi_RaidPart".to_owned(), root);
                ids.insert("kiwi_RaidDev".to_owned(), "/dev/md0".to_owned());
            }
        }
        (None, Some(readonly)) => {
            ids.insert("kiwi_RootPart".to_owned(), readonly);
        }
        (None, None) => {}
    }
}

/// Python's `str.title`, which KIWI makes names with: a letter behind anything that is none is upper case, any other lower.
fn title_case(name: &str) -> String {
    let mut inside = false;
    let letter = |c: char| {
        let cased = if inside { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
        inside = c.is_ascii_alphabetic();
        cased
    };
    name.chars().map(letter).collect()
}

/// KIWI's files of ids.
pub(super) fn kiwi_files(
    disk: &Disk,
    partids: &BTreeMap<String, String>,
    command_line: &str,
    signature: u32,
) -> Vec<File> {
    let file = |path: &str, text: String| File { path: path.to_owned(), mode: 0o644, text };
    let ids = partids.iter().map(|(key, number)| format!("{key}=\"{number}\"\n")).collect();
    let mut files = vec![file("/config.partids", ids)];
    if disk.loader != Loader::Custom {
        files.push(file("/config.bootoptions", format!("{command_line}\n")));
    }
    if !matches!(disk.table, Table::Dasd) {
        files.push(file("/boot/mbrid", format!("{signature:#010x}\n")));
    }
    files
}

/// KIWI's MBR id: four bytes of which none is 0 or above 0xfd.
pub(super) fn signature(identity: &Identity) -> u32 {
    let bytes = identity.number("signature").to_le_bytes();
    u32::from_le_bytes(bytes.map(|byte| byte % 0xfd + 1))
}

#[cfg(test)]
mod tests {
    use super::title_case;

    #[test]
    fn names_are_cased_as_python_does() {
        for (name, title) in
            [("home", "Home"), ("my_data", "My_Data"), ("var/tmp", "Var/Tmp"), ("a1b", "A1B"), ("LOG", "Log")]
        {
            assert_eq!(title_case(name), title);
        }
    }
}
