//! `/.profile`: what a description says, as variables of the shell (KIWI NG 11.1.6 `profile.py`, `shell.py`).
//!
//! Scripts have the same variables in their environment.

use crate::model::elements::{OemConfig, Said, is_set, text, value};
use crate::model::lexical::Lexical;
use crate::model::words::{BootloaderName, ImageType, InitrdSystem, StripType};
use crate::model::{Item, Phase, Preferences, Scope};
use crate::resolve::Selection;
use std::collections::BTreeMap;

/// Variables, by name.
pub type Variables = BTreeMap<String, String>;

/// Keys that `/.profile` has and the environment of scripts has not.
const CONSTANTS: [(&str, &str); 3] =
    [("kiwi_align", "1048576"), ("kiwi_sectorsize", "512"), ("kiwi_revision", "diskwright")];

/// What the selection says; KIWI's own values where it says nothing.
pub fn variables(selection: &Selection) -> Variables {
    let mut all = Variables::new();
    let mut set = |key: &str, value: String| {
        all.insert(format!("kiwi_{key}"), value);
    };
    let model = selection.model;
    set("iname", model.name.clone());
    let title = model.displayname.as_deref().filter(|title| !title.is_empty());
    set("displayname", title.unwrap_or(&model.name).to_owned());
    set("profiles", selection.profiles.join(","));
    let deleted: Vec<String> = selection.names(Phase::Delete, Item::Package).into_keys().collect();
    set("delete", deleted.join(" "));
    set("drivers", drivers(selection).join(","));
    for (key, kind) in [
        ("strip_delete", StripType::Delete),
        ("strip_tools", StripType::Tools),
        ("strip_libs", StripType::Libs),
    ] {
        set(key, stripped(selection, kind).join(" "));
    }
    set("rootpartuuid", String::new());
    set("shasum_suffix", ".sha256".to_owned());
    of_preferences(selection, &mut set);
    of_type(selection, &mut set);
    if let Some(oem) = selection.said().and_then(|said| said.oemconfig.as_ref()) {
        of_oem(oem, &mut set);
    }
    of_volumes(selection, &mut set);
    all
}

/// The text of `/.profile`.
pub fn profile(variables: &Variables) -> String {
    let constants = CONSTANTS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let all: Variables = constants.chain(variables.clone()).collect();
    // Lines of values with line breaks are lines of their own; KIWI's sed sees nothing else.
    let text: String = all.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    let blank = |line: &&str| !line.is_empty() && !line.trim_start_matches([' ', '\t']).starts_with('#');
    text.lines().filter(blank).map(|line| quoted(line) + "\n").collect()
}

/// A line as `baseQuoteFile` quotes it: quotes around the value go away, and so do backslashes; what is left is put in
/// single quotes, each run of single quotes in it being one.
fn quoted(line: &str) -> String {
    let split = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        is_name.then(|| (name.to_owned(), value.to_owned()))
    };
    let mut line = line.to_owned();
    if let Some((name, value)) = split(&line)
        && let Some(open) = value.strip_prefix(['"', '\''])
        && let Some(close) = open.rfind(['"', '\''])
    {
        line = format!("{name}={}{}", &open[..close], &open[close + 1..]);
    }
    let mut unescaped = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        unescaped.push(if c == '\\' { rest.next().unwrap_or(c) } else { c });
    }
    let mut marked = String::with_capacity(unescaped.len());
    let mut before = ' ';
    for c in unescaped.chars() {
        match (c, before) {
            ('\'', '\'') => {}
            ('\'', _) => marked.push_str("'\\''"),
            _ => marked.push(c),
        }
        before = c;
    }
    match split(&marked) {
        Some((name, value)) => format!("{name}='{value}'"),
        None => marked,
    }
}

fn said<T: Lexical>(said: &Option<Said<T>>) -> String {
    said.as_ref().map(|said| said.value.canonical()).unwrap_or_default()
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}

fn drivers<'a>(selection: &Selection<'a>) -> Vec<&'a str> {
    let applies = |profiles| Scope::of(profiles, &None).applies(&selection.profiles, selection.machine);
    let sections = selection.model.said.drivers.iter().filter(|one| applies(&one.profiles));
    sections.flat_map(|one| &one.file).filter_map(|file| text(&file.name)).collect()
}

fn stripped<'a>(selection: &Selection<'a>, kind: StripType) -> Vec<&'a str> {
    let applies = |profiles| Scope::of(profiles, &None).applies(&selection.profiles, selection.machine);
    let sections = selection.model.said.strip.iter();
    let sections = sections.filter(|one| value(&one.kind) == Some(kind) && applies(&one.profiles));
    sections.flat_map(|one| &one.file).filter_map(|file| text(&file.name)).collect()
}

/// The last `preferences` count.
fn of_preferences(selection: &Selection, set: &mut impl FnMut(&str, String)) {
    let last = |get: &dyn Fn(&Preferences) -> String| {
        selection
            .preferences
            .iter()
            .rev()
            .map(|one| get(one))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    set("iversion", last(&|one| one.version.clone().unwrap_or_default()));
    let license = selection.preferences.last().and_then(|one| one.said.showlicense.first());
    set("showlicense", license.map(|said| said.value.clone()).unwrap_or_default());
    for (key, get) in [
        ("keytable", &(|one: &Preferences| said(&one.said.keytable)) as &dyn Fn(&Preferences) -> String),
        ("timezone", &|one| said(&one.said.timezone)),
        ("language", &|one| said(&one.said.locale)),
        ("splash_theme", &|one| said(&one.said.bootsplash_theme)),
        ("loader_theme", &|one| said(&one.said.bootloader_theme)),
    ] {
        let text = last(get);
        // What nobody says has no variable.
        if !text.is_empty() {
            set(key, text);
        }
    }
}

fn of_type(selection: &Selection, set: &mut impl FnMut(&str, String)) {
    let Some(kind) = selection.said() else { return };
    let image = selection.image();
    let loader = kind.bootloader.as_ref();
    set("type", said(&kind.image));
    set("compressed", said(&kind.compressed));
    set("boot_timeout", loader.map(|loader| said(&loader.timeout)).unwrap_or_default());
    set("wwid_wait_timeout", said(&kind.wwid_wait_timeout));
    set("hybridpersistent", said(&kind.hybridpersistent));
    set("hybridpersistent_filesystem", said(&kind.hybridpersistent_filesystem));
    set("initrd_system", initrd_system(image, value(&kind.initrd_system)).to_owned());
    set("ramonly", said(&kind.ramonly));
    let block = kind.target_blocksize.as_ref().map(|said| said.value.0).filter(|size| *size > 0);
    set("target_blocksize", block.unwrap_or(512).to_string());
    set("target_removable", said(&kind.target_removable));
    set("cmdline", said(&kind.kernelcmdline));
    set("firmware", said(&kind.firmware));
    let name = loader.map_or(Some(BootloaderName::Grub2), |loader| value(&loader.name));
    set("bootloader", name.map(|name| name.name().to_owned()).unwrap_or_default());
    set("bootloader_console", consoles(kind.bootloader.as_ref()));
    let snapper = said(&kind.btrfs_root_is_snapper_snapshot);
    set("btrfs_root_is_snapshot", snapper.clone());
    set("btrfs_root_is_snapper_snapshot", snapper);
    set("gpt_hybrid_mbr", said(&kind.gpt_hybrid_mbr));
    set("devicepersistency", said(&kind.devicepersistency));
    set("installboot", said(&kind.installboot));
    set("bootkernel", said(&kind.bootkernel));
    set("fsmountoptions", said(&kind.fsmountoptions));
    set("bootprofile", said(&kind.bootprofile));
    set("vga", or(loader.map(|loader| said(&loader.video_mode)).unwrap_or_default(), "auto"));
    set("startsector", or(said(&kind.disk_start_sector), "2048"));
    set("luks_empty_passphrase", (text(&kind.luks) == Some("")).to_string());
    if is_set(&kind.xen_server) {
        set("xendomain", "dom0".to_owned());
    }
    match image {
        Some(ImageType::Oem) => set("install_volid", or(said(&kind.volid), "INSTALL")),
        Some(ImageType::Iso) => set("live_volid", or(said(&kind.volid), "CDROM")),
        Some(ImageType::Cpio) => set("cpio_name", selection.model.name.clone()),
        _ => {}
    }
}

/// Output and input; what is not said, or `none`, is `default`.
fn consoles(loader: Option<&crate::model::elements::Bootloader>) -> String {
    let output = loader.map(|loader| said(&loader.output_console)).unwrap_or_default();
    let input = or(loader.map(|loader| said(&loader.input_console)).unwrap_or_default(), &output);
    let one = |text: String| if text.is_empty() || text == "none" { "default".to_owned() } else { text };
    format!("{}:{}", one(output), one(input))
}

fn initrd_system(image: Option<ImageType>, asked: Option<InitrdSystem>) -> &'static str {
    let default = match image {
        Some(ImageType::Oem | ImageType::Iso | ImageType::Kis) => "dracut",
        Some(ImageType::Pxe) => "kiwi",
        _ => "none",
    };
    match asked {
        Some(system) if image != Some(ImageType::Iso) => system.name(),
        _ => default,
    }
}

fn of_oem(oem: &OemConfig, set: &mut impl FnMut(&str, String)) {
    set("oemvmcp_parmfile", said(&oem.vmcp_parmfile));
    set("oemmultipath_scan", said(&oem.multipath_scan));
    set("oemswapMB", said(&oem.swapsize));
    set("oemrootMB", said(&oem.systemsize));
    set("oemresizeonce", said(&oem.resize_once));
    set("oempartition_install", said(&oem.partition_install));
    set("oemramdisksize", said(&oem.ramdisk_size));
    set("oemdevicefilter", said(&oem.device_filter));
    set("oemtitle", said(&oem.boot_title));
    set("oemkboot", said(&oem.kiwi_initrd));
    set("oemnicfilter", said(&oem.nic_filter));
    set("oemreboot", said(&oem.reboot));
    set("oemrebootinteractive", said(&oem.reboot_interactive));
    set("oemshutdown", said(&oem.shutdown));
    set("oemshutdowninteractive", said(&oem.shutdown_interactive));
    set("oemsilentboot", said(&oem.silent_boot));
    set("oemsilentinstall", said(&oem.silent_install));
    set("oemsilentverify", said(&oem.silent_verify));
    set("oemskipverify", said(&oem.skip_verify));
    set("oembootwait", said(&oem.bootwait));
    set("oemunattended", said(&oem.unattended));
    set("oemunattended_id", said(&oem.unattended_id));
    set("oemrecovery", said(&oem.recovery));
    set("oemrecoveryID", said(&oem.recovery_id));
    set("oemrecoveryPartSize", said(&oem.recovery_part_size));
    set("oemrecoveryInPlace", said(&oem.inplace_recovery));
}

fn of_volumes(selection: &Selection, set: &mut impl FnMut(&str, String)) {
    let Some(disk) = selection.said().and_then(|said| said.systemdisk.as_ref()) else { return };
    if selection.volume_manager() == Some("lvm") {
        set("lvm", "true".to_owned());
        set("lvmgroup", or(said(&disk.name), "systemVG"));
    }
    let mut count = 0;
    for volume in selection.volumes() {
        let key = match volume.is_root_volume {
            true => "Volume_Root".to_owned(),
            false => {
                count += 1;
                format!("Volume_{count}")
            }
        };
        let size = match (volume.fullsize, volume.size) {
            (true, _) => "size:all".to_owned(),
            (false, size) => size.map(|size| size.to_string()).unwrap_or_default(),
        };
        set(&key, format!("{}|{size}|{}", volume.name, volume.mountpoint.unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn lines_are_quoted_as_by_sed() {
        for (line, expected) in [
            ("a=b c", "a='b c'"),
            ("a=", "a=''"),
            ("a=\"b\"", "a='b'"),
            ("a='b' c", "a='b c'"),
            ("a='b", "a=''\\''b'"),
            ("a=it's", "a='it'\\''s'"),
            ("a=x'''y", "a='x'\\''y'"),
            ("a=b\\$c\\\\d", "a='b$c\\d'"),
            ("a=b=c", "a='b=c'"),
            ("no name", "no name"),
        ] {
            assert_eq!(quoted(line), expected, "{line}");
        }
    }
}
