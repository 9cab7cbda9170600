//! KIWI's runtime checks, as far as they are about a description (KIWI NG 10.3.9 `runtime_checker.py`), and what KIWI gets
//! wrong without a word.
//!
//! | KIWI's check | here |
//! |---|---|
//! | check_include_references_unresolvable | said when the description is read |
//! | check_consistent_kernel_in_boot_and_system_image | custom initrds are not made |
//! | check_container_tool_chain_installed, check_mediacheck_installed, check_checkmedia_used_with_msdos_table, check_luksformat_options_valid, check_dracut_module_versions_compatible_to_kiwi | about programs of the host, which are not used |
//! | check_target_directory_not_in_shared_cache, check_target_dir_on_unsupported_filesystem | about mounts in the target directory, which there are none of |
//! | all others | [`CHECKS`] |

use super::Selection;
use crate::describe::{Diagnostic, Span};
use crate::model::elements::{self, Said, is_set, text, value};
use crate::model::lexical::{ImageFormat, VolumeSize};
use crate::model::words::{
    BootloaderName, DevicePersistency, DiskFormat, EfiPartTable, Firmware, ImageType, InitrdSystem,
    LiveFlags, Machine,
};
use crate::model::{DescribedPartition, Item, Phase, Type};
use std::collections::BTreeSet;

/// When a check counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// No image can be made.
    Error,
    /// KIWI refuses, since it makes the initrd; the initrd of the tree may have what is asked for all the same.
    Warning,
    /// No tree can be prepared.
    Preparation,
}

/// A check.
pub struct Check {
    /// KIWI's name, to switch it off.
    pub name: &'static str,
    /// When it counts.
    pub weight: Weight,
    find: fn(&Selection<'_>) -> Option<Found>,
}

struct Found {
    span: Span,
    message: String,
    hint: String,
}

fn found(span: &Span, message: impl Into<String>, hint: impl Into<String>) -> Option<Found> {
    Some(Found { span: span.clone(), message: message.into(), hint: hint.into() })
}

const fn check(name: &'static str, weight: Weight, find: fn(&Selection<'_>) -> Option<Found>) -> Check {
    Check { name, weight, find }
}

/// All checks, in the order of their names.
pub const CHECKS: &[Check] = &[
    check("check_appx_naming_conventions_valid", Weight::Error, appx_names),
    check("check_boot_description_exists", Weight::Error, boot_description),
    check("check_bootloader_env_compatible_with_loader", Weight::Error, loader_environment),
    check("check_dracut_module_for_disk_oem_in_package_list", Weight::Warning, |it| {
        let wanted = is_dracut_disk(it) && it.resizes();
        dracut_module(it, wanted, "oem-repart", "KIWI has the initrd grow the root at the first boot")
    }),
    check("check_dracut_module_for_disk_overlay_in_package_list", Weight::Warning, |it| {
        let wanted = is_dracut(it) && it.said().is_some_and(|said| is_set(&said.overlayroot));
        dracut_module(it, wanted, "overlay", "the root is an overlay")
    }),
    check("check_dracut_module_for_live_iso_in_package_list", Weight::Warning, |it| {
        let squash = |said: &elements::Type| value(&said.flags) == Some(LiveFlags::Dmsquash);
        let live = it.image() == Some(ImageType::Iso) && !it.said().is_some_and(squash);
        dracut_module(it, live, "live", "the medium is live")
    }),
    check("check_dracut_module_for_oem_install_in_package_list", Weight::Warning, |it| {
        let media = |said: &elements::Type| {
            [&said.installiso, &said.installstick, &said.installpxe].into_iter().any(is_set)
        };
        let installs = it.said().is_some_and(media);
        dracut_module(it, is_dracut_disk(it) && installs, "oem-dump", "there are install media")
    }),
    check("check_efi_fat_image_has_correct_size", Weight::Error, fat_image),
    check("check_image_include_repos_publicly_resolvable", Weight::Preparation, public_repositories),
    check("check_image_type_unique", Weight::Error, unique_types),
    check("check_image_version_provided", Weight::Error, version),
    check("check_initrd_selection_required", Weight::Error, initrd_selection),
    check("check_partuuid_persistency_type_used_with_mbr", Weight::Error, partuuid),
    check("check_repositories_configured", Weight::Preparation, repositories),
    check("check_swap_name_used_with_lvm", Weight::Error, swap_name),
    check("check_volume_label_used_with_lvm", Weight::Error, volume_label),
    check("check_volume_setup_defines_multiple_fullsize_volumes", Weight::Error, full_volumes),
    check("check_volume_setup_defines_reserved_labels", Weight::Error, reserved_labels),
    check("check_volume_setup_has_no_root_definition", Weight::Error, root_volume),
    check("check_xen_uniquely_setup_as_server_or_guest", Weight::Error, xen),
];

/// Runs the checks that are not switched off: problems of the description, and what keeps a tree from being prepared.
pub(super) fn run(selection: &Selection<'_>, disabled: &[String]) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let (mut problems, mut needs) = (Vec::new(), Vec::new());
    for Check { name, weight, find } in
        CHECKS.iter().filter(|one| !disabled.iter().any(|name| name == one.name))
    {
        let Some(Found { span, message, hint }) = find(selection) else { continue };
        let message = format!("{message} ({name})");
        let problem = match weight {
            Weight::Warning => span.warning("check", message),
            Weight::Error | Weight::Preparation => span.error("check", message),
        };
        let list = if *weight == Weight::Preparation { &mut needs } else { &mut problems };
        list.push(problem.hint(hint));
    }
    problems.extend(differences(selection));
    (problems, needs)
}

/// The names of the checks that fail.
pub fn failing(selection: &Selection<'_>) -> Vec<&'static str> {
    CHECKS.iter().filter(|check| (check.find)(selection).is_some()).map(|check| check.name).collect()
}

fn is_dracut(selection: &Selection<'_>) -> bool {
    selection.initrd_system() == Some(InitrdSystem::Dracut)
}

fn is_dracut_disk(selection: &Selection<'_>) -> bool {
    is_dracut(selection) && selection.image() == Some(ImageType::Oem)
}

/// KIWI's dracut modules are packages of one of two names. Without packages the tree is what it is.
fn dracut_module(selection: &Selection<'_>, wanted: bool, module: &str, why: &str) -> Option<Found> {
    let kind = selection.kind.filter(|_| wanted)?;
    let names = [format!("dracut-kiwi-{module}"), format!("kiwi-dracut-{module}")];
    let image = selection.names(Phase::Image, Item::Package);
    let bootstrap = selection.names(Phase::Bootstrap, Item::Package);
    let there = names.iter().any(|name| image.contains_key(name) || bootstrap.contains_key(name));
    if there || (image.is_empty() && bootstrap.is_empty()) {
        return None;
    }
    let message = format!("{why}, and the initrd lacks what does it: no package {}", names.join(" or "));
    found(&kind.span, message, format!("<package name=\"{}\"/>", names[0]))
}

fn appx_names(selection: &Selection<'_>) -> Option<Found> {
    let said = selection.said().filter(|_| selection.image() == Some(ImageType::Appx))?;
    let history = said.containerconfig.as_ref()?.history.as_ref()?;
    if let Some(Said { value: name, span, .. }) = &history.launcher
        && (!name.to_ascii_lowercase().ends_with(".exe") || name.contains('\\') || name.len() < 5)
    {
        let message = format!("a launcher ends in .exe and has no backslash: {name}");
        return found(span, message, "launcher=\"name.exe\"");
    }
    let Said { value: id, span, .. } = history.application_id.as_ref()?;
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    found(span, format!("an application id has only letters and digits: {id}"), "")
}

/// Of two types with one name KIWI takes the first.
fn unique_types(selection: &Selection<'_>) -> Option<Found> {
    let mut images = BTreeSet::new();
    let mut types = selection.preferences.iter().flat_map(|one| &one.types);
    let second = types.find(|one| !images.insert(one.image_name()))?;
    let message = format!("a second type with image=\"{}\" in what is selected", second.image_name());
    found(&second.span, message, "select one of them with profiles")
}

fn version(selection: &Selection<'_>) -> Option<Found> {
    if selection.preferences.iter().any(|one| one.version.is_some()) {
        return None;
    }
    let message = "no version in the preferences that are selected";
    found(&selection.model.span, message, "<version>1.0.0</version>")
}

fn initrd_selection(selection: &Selection<'_>) -> Option<Found> {
    let custom = selection.initrd_system() == Some(InitrdSystem::Kiwi);
    let boot = selection.said()?.boot.as_ref().filter(|_| !custom)?;
    found(&boot.span, "boot names a custom initrd, and initrd_system is not kiwi", "initrd_system=\"kiwi\"")
}

fn boot_description(selection: &Selection<'_>) -> Option<Found> {
    let has_initrd = |kind: &&Type| matches!(kind.image(), Some(ImageType::Oem | ImageType::Pxe));
    let kind = selection.kind.filter(has_initrd)?;
    if selection.initrd_system() != Some(InitrdSystem::Kiwi) || kind.said.boot.is_some() {
        return None;
    }
    found(
        &kind.span,
        "a custom initrd (initrd_system=\"kiwi\") needs a description: the attribute boot",
        "boot=\"PATH\"",
    )
}

fn loader_environment(selection: &Selection<'_>) -> Option<Found> {
    let settings = selection.said()?.bootloader.as_ref()?.bootloadersettings.as_ref()?;
    let variable = settings.environment.as_ref()?.env.iter().find_map(|env| env.name.as_ref())?;
    let loader = selection.bootloader().unwrap_or(BootloaderName::Grub2);
    if matches!(loader, BootloaderName::Grub2 | BootloaderName::Grub2S390xEmu | BootloaderName::Custom) {
        return None;
    }
    found(&variable.span, format!("only GRUB has an environment, and the loader is {loader}"), "")
}

fn fat_image(selection: &Selection<'_>) -> Option<Found> {
    let size = selection.said()?.efifatimagesize.as_ref().filter(|size| size.value.0 > 31)?;
    found(
        &size.span,
        format!("the FAT image of an ISO has at most 31 MiB: {}", size.text),
        "efifatimagesize=\"31\"",
    )
}

fn partuuid(selection: &Selection<'_>) -> Option<Found> {
    let said = selection.said()?;
    let naming = said.devicepersistency.as_ref().filter(|it| it.value == DevicePersistency::ByPartuuid)?;
    let bios = selection.machine == Machine::X86_64;
    let firmware = selection.firmware().unwrap_or(if bios { Firmware::Bios } else { Firmware::Efi });
    let efi = matches!(firmware, Firmware::Efi | Firmware::Uefi);
    if efi && value(&said.efiparttable) != Some(EfiPartTable::Msdos) {
        return None;
    }
    found(
        &naming.span,
        "devicepersistency=\"by-partuuid\" needs a GPT",
        "firmware=\"uefi\" with efiparttable=\"gpt\"",
    )
}

fn repositories(selection: &Selection<'_>) -> Option<Found> {
    let packages = [Phase::Bootstrap, Phase::Image].map(|phase| selection.items(phase, Item::Package));
    let first = packages.into_iter().flatten().next()?;
    if !selection.repositories().is_empty() {
        return None;
    }
    found(
        first.span,
        "there are packages, and no repository that they could come from",
        "--add-repo adds one",
    )
}

fn public_repositories(selection: &Selection<'_>) -> Option<Found> {
    const REMOTE: [&str; 5] = ["http:", "https:", "ftp:", "obs:", "obsrepositories:"];
    let local = |source: &str| !REMOTE.iter().any(|scheme| source.starts_with(scheme));
    let included = selection.repositories().into_iter().filter(|one| is_set(&one.imageinclude));
    let source = included.filter_map(elements::Repository::location).find(|one| local(&one.value))?;
    let message =
        format!("a repository that is to be in the image, and that only this host has: {}", source.value);
    found(&source.span, message, "imageinclude=\"false\"")
}

fn swap_name(selection: &Selection<'_>) -> Option<Found> {
    let oem = selection.said()?.oemconfig.as_ref().filter(|_| selection.volume_manager() != Some("lvm"))?;
    let name = oem.swapname.as_ref().filter(|name| !name.value.is_empty())?;
    found(
        &name.span,
        "oem-swapname is the name of an LVM volume, and there is no LVM",
        "<systemdisk preferlvm=\"true\"/>",
    )
}

/// Volumes that are written down, with a name.
fn volumes<'a>(selection: &Selection<'a>) -> impl Iterator<Item = &'a elements::Volume> {
    let disk = selection.said().and_then(|said| said.systemdisk.as_ref());
    disk.into_iter().flat_map(|disk| &disk.volume).filter(|one| one.name.is_some())
}

fn volume_label(selection: &Selection<'_>) -> Option<Found> {
    let labelled =
        |one: &&elements::Volume| text(&one.label).is_some_and(|label| !label.is_empty() && label != "SWAP");
    let volume = volumes(selection).filter(|_| selection.volume_manager() != Some("lvm")).find(labelled)?;
    found(&volume.span, "only volumes of LVM have a label", "<systemdisk preferlvm=\"true\"/>")
}

fn full_volumes(selection: &Selection<'_>) -> Option<Found> {
    let full = |one: &&elements::Volume| value(&one.size).or(value(&one.freespace)) == Some(VolumeSize::All);
    let second = volumes(selection).filter(full).nth(1)?;
    found(
        &second.span,
        "two volumes that take all that is left",
        "only one may have size=\"all\" or freespace=\"all\"",
    )
}

fn reserved_labels(selection: &Selection<'_>) -> Option<Found> {
    let said = selection.said().filter(|_| selection.volume_manager() == Some("lvm"))?;
    let reserved = [text(&said.rootfs_label).unwrap_or("ROOT"), "SWAP", "SPARE"];
    let taken = |one: &&elements::Volume| text(&one.label).is_some_and(|label| reserved.contains(&label));
    let volume = volumes(selection).find(taken)?;
    found(&volume.span, format!("a label that something else has: {}", reserved.join(", ")), "")
}

fn root_volume(selection: &Selection<'_>) -> Option<Found> {
    // A volume without a mount point is mounted at its name.
    let root = |one: &&elements::Volume| {
        let name = text(&one.name).unwrap_or_default();
        !name.starts_with("@root") && text(&one.mountpoint).unwrap_or(name) == "/"
    };
    let volume = volumes(selection).find(root)?;
    found(&volume.span, "a volume at /: the root has a name of its own", "name=\"@root\"")
}

fn xen(selection: &Selection<'_>) -> Option<Found> {
    let said = selection.said()?;
    let server = said.xen_server.as_ref().filter(|server| server.value)?;
    if value(&said.firmware) == Some(Firmware::Ec2) {
        return found(&server.span, "machines of EC2 are guests of Xen, and no servers", "");
    }
    said.machine.as_ref()?.xen_loader.as_ref()?;
    found(&server.span, "a server of Xen (xen_server) that is a guest of Xen (xen_loader)", "")
}

/// What KIWI does wrong without a word, and what is done here.
fn differences(selection: &Selection<'_>) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    for (name, places) in first_counts(selection) {
        for later in places.into_iter().skip(1) {
            let message = format!("a second {name} in what is selected has no effect: KIWI takes the first");
            all.push(later.warning("no-effect", message));
        }
    }
    let Some(said) = selection.said() else { return all };
    let qcow2 = value(&said.format) == Some(ImageFormat::Disk(DiskFormat::Qcow2));
    if let Some(options) = said.formatoptions.as_ref().filter(|_| qcow2) {
        let message = "KIWI loses formatoptions with qcow2; here they count";
        all.push(options.span.warning("differs", message));
    }
    let nowhere = |one: &DescribedPartition| one.filesystem.is_some() && one.mountpoint.is_none();
    for partition in selection.partitions().into_iter().filter(nowhere) {
        let message = "KIWI fails at a file system that is mounted nowhere; here it is made, and is empty";
        all.push(partition.span.warning("differs", message));
    }
    all
}

/// Settings of which the first one counts, each with all its places.
fn first_counts<'a>(selection: &Selection<'a>) -> [(&'static str, Vec<&'a Span>); 6] {
    fn places<'a, T: 'a>(
        selection: &Selection<'a>,
        of: fn(&'a elements::Preferences) -> &'a Option<Said<T>>,
    ) -> Vec<&'a Span> {
        let all = selection.preferences.iter().filter_map(|one| of(&one.said).as_ref());
        all.map(|said| &said.span).collect()
    }
    [
        ("version", places(selection, |it| &it.version)),
        ("packagemanager", places(selection, |it| &it.packagemanager)),
        ("release-version", places(selection, |it| &it.release_version)),
        ("rpm-locale-filtering", places(selection, |it| &it.rpm_locale_filtering)),
        ("rpm-check-signatures", places(selection, |it| &it.rpm_check_signatures)),
        ("rpm-excludedocs", places(selection, |it| &it.rpm_excludedocs)),
    ]
}
