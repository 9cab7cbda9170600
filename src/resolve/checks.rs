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
use crate::model::{Item, Phase};
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
        let wanted = is_dracut_disk(it) && it.value("oemconfig/oem-resize").is_some_and(is_true);
        dracut_module(it, wanted, "oem-repart", "the root grows at the first boot")
    }),
    check("check_dracut_module_for_disk_overlay_in_package_list", Weight::Warning, |it| {
        let wanted = is_dracut(it) && it.kind.is_some_and(|kind| kind.is_set("overlayroot"));
        dracut_module(it, wanted, "overlay", "the root is an overlay")
    }),
    check("check_dracut_module_for_live_iso_in_package_list", Weight::Warning, |it| {
        let live = |kind: &crate::model::Type| kind.image == "iso" && kind.text("flags") != Some("dmsquash");
        dracut_module(it, it.kind.is_some_and(live), "live", "the medium is live")
    }),
    check("check_dracut_module_for_oem_install_in_package_list", Weight::Warning, |it| {
        let media = ["installiso", "installstick", "installpxe"];
        let installs = it.kind.is_some_and(|kind| media.iter().any(|name| kind.is_set(name)));
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

fn is_true(text: &str) -> bool {
    matches!(text, "true" | "1")
}

fn is_dracut(selection: &Selection<'_>) -> bool {
    selection.value("initrd_system") == Some("dracut")
}

fn is_dracut_disk(selection: &Selection<'_>) -> bool {
    is_dracut(selection) && selection.kind.is_some_and(|kind| kind.image == "oem")
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
    let kind = selection.kind.filter(|kind| kind.image == "appx")?;
    if let Some(launcher) = kind.fact("containerconfig/history@launcher") {
        let name = &launcher.value.1;
        if !name.to_ascii_lowercase().ends_with(".exe") || name.contains('\\') || name.len() < 5 {
            return found(
                &launcher.span,
                format!("a launcher ends in .exe and has no backslash: {name}"),
                "launcher=\"name.exe\"",
            );
        }
    }
    let id = kind.fact("containerconfig/history@application_id")?;
    let good = !id.value.1.is_empty() && id.value.1.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if good {
        None
    } else {
        found(&id.span, format!("an application id has only letters and digits: {}", id.value.1), "")
    }
}

/// Of two types with one name KIWI takes the first.
fn unique_types(selection: &Selection<'_>) -> Option<Found> {
    let mut images = BTreeSet::new();
    let mut types = selection.preferences.iter().flat_map(|one| &one.types);
    let second = types.find(|one| !images.insert(one.image.as_str()))?;
    let message = format!("a second type with image=\"{}\" in what is selected", second.image);
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
    let boot = selection.kind?.fact("boot").filter(|_| selection.value("initrd_system") != Some("kiwi"))?;
    found(&boot.span, "boot names a custom initrd, and initrd_system is not kiwi", "initrd_system=\"kiwi\"")
}

fn boot_description(selection: &Selection<'_>) -> Option<Found> {
    let kind = selection.kind.filter(|kind| ["oem", "pxe"].contains(&kind.image.as_str()))?;
    if selection.value("initrd_system") != Some("kiwi") || kind.fact("boot").is_some() {
        return None;
    }
    found(
        &kind.span,
        "a custom initrd (initrd_system=\"kiwi\") needs a description: the attribute boot",
        "boot=\"PATH\"",
    )
}

fn loader_environment(selection: &Selection<'_>) -> Option<Found> {
    let variable = selection.kind?.fact("bootloader/bootloadersettings/environment/env@name")?;
    let loader = selection.value("bootloader@name").unwrap_or("grub2");
    if ["grub2", "grub2_s390x_emu", "custom"].contains(&loader) {
        return None;
    }
    found(&variable.span, format!("only GRUB has an environment, and the loader is {loader}"), "")
}

fn fat_image(selection: &Selection<'_>) -> Option<Found> {
    let size = selection.kind?.fact("efifatimagesize")?;
    let large = size.value.1.parse::<u64>().is_ok_and(|size| size > 31);
    if !large {
        return None;
    }
    found(
        &size.span,
        format!("the FAT image of an ISO has at most 31 MiB: {}", size.value.1),
        "efifatimagesize=\"31\"",
    )
}

fn partuuid(selection: &Selection<'_>) -> Option<Found> {
    let naming = selection.kind?.fact("devicepersistency").filter(|fact| fact.value.1 == "by-partuuid")?;
    let firmware =
        selection.value("firmware").unwrap_or(if selection.machine == "x86_64" { "bios" } else { "efi" });
    let gpt = ["efi", "uefi"].contains(&firmware) && selection.value("efiparttable") != Some("msdos");
    if gpt {
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
        &first.name.span,
        "there are packages, and no repository that they could come from",
        "--add-repo adds one",
    )
}

fn public_repositories(selection: &Selection<'_>) -> Option<Found> {
    const REMOTE: [&str; 5] = ["http:", "https:", "ftp:", "obs:", "obsrepositories:"];
    let all = selection.repositories();
    let local = |source: &str| !REMOTE.iter().any(|scheme| source.starts_with(scheme));
    let one = all.into_iter().find(|one| one.imageinclude && local(&one.source.value))?;
    let message =
        format!("a repository that is to be in the image, and that only this host has: {}", one.source.value);
    found(&one.source.span, message, "imageinclude=\"false\"")
}

fn swap_name(selection: &Selection<'_>) -> Option<Found> {
    let name = selection
        .kind?
        .fact("oemconfig/oem-swapname")
        .filter(|_| selection.volume_manager() != Some("lvm"))?;
    found(
        &name.span,
        "oem-swapname is the name of an LVM volume, and there is no LVM",
        "<systemdisk preferlvm=\"true\"/>",
    )
}

fn volume_label(selection: &Selection<'_>) -> Option<Found> {
    let labelled = |one: &&crate::model::DescribedVolume| {
        one.volume.label.as_deref().is_some_and(|label| !label.is_empty() && label != "SWAP")
    };
    let kind = selection.kind.filter(|_| selection.volume_manager() != Some("lvm"))?;
    let volume = kind.volumes.iter().find(labelled)?;
    found(&volume.span, "only volumes of LVM have a label", "<systemdisk preferlvm=\"true\"/>")
}

fn full_volumes(selection: &Selection<'_>) -> Option<Found> {
    let second = selection.kind?.volumes.iter().filter(|one| one.volume.fullsize).nth(1)?;
    found(
        &second.span,
        "two volumes that take all that is left",
        "only one may have size=\"all\" or freespace=\"all\"",
    )
}

fn reserved_labels(selection: &Selection<'_>) -> Option<Found> {
    let kind = selection.kind.filter(|_| selection.volume_manager() == Some("lvm"))?;
    let root = kind.text("rootfs_label").unwrap_or("ROOT");
    let reserved = [root, "SWAP", "SPARE"];
    let taken = |one: &&crate::model::DescribedVolume| {
        one.volume.label.as_deref().is_some_and(|label| reserved.contains(&label))
    };
    let volume = kind.volumes.iter().find(taken)?;
    found(&volume.span, format!("a label that something else has: {}", reserved.join(", ")), "")
}

fn root_volume(selection: &Selection<'_>) -> Option<Found> {
    let root = |one: &&crate::model::DescribedVolume| one.volume.mountpoint.as_deref() == Some("/");
    let volume = selection.kind.filter(|kind| kind.has("systemdisk"))?.volumes.iter().find(root)?;
    found(&volume.span, "a volume at /: the root has a name of its own", "name=\"@root\"")
}

fn xen(selection: &Selection<'_>) -> Option<Found> {
    let kind = selection.kind?;
    let server = kind.fact("xen_server").filter(|fact| is_true(&fact.value.1))?;
    if kind.text("firmware") == Some("ec2") {
        return found(&server.span, "machines of EC2 are guests of Xen, and no servers", "");
    }
    kind.fact("machine@xen_loader")?;
    found(&server.span, "a server of Xen (xen_server) that is a guest of Xen (xen_loader)", "")
}

/// What KIWI does wrong without a word, and what is done here.
fn differences(selection: &Selection<'_>) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    const FIRST: [&str; 6] = [
        "version",
        "packagemanager",
        "release-version",
        "rpm-locale-filtering",
        "rpm-check-signatures",
        "rpm-excludedocs",
    ];
    for name in FIRST {
        for later in selection.settings(name).into_iter().skip(1) {
            let message = format!("a second {name} in what is selected has no effect: KIWI takes the first");
            all.push(later.span.warning("no-effect", message));
        }
    }
    let Some(kind) = selection.kind else { return all };
    if let Some(options) = kind.fact("formatoptions").filter(|_| kind.text("format") == Some("qcow2")) {
        let message = "KIWI loses formatoptions with qcow2; here they count";
        all.push(options.span.warning("differs", message));
    }
    for partition in kind.partitions.iter().filter(|one| one.filesystem.is_some() && one.mountpoint.is_none())
    {
        let at = kind
            .facts
            .iter()
            .find(|fact| fact.value.0 == "partitions/partition@name" && fact.value.1 == partition.name);
        if let Some(at) = at {
            let message =
                "KIWI fails at a file system that is mounted nowhere; here it is made, and is empty";
            all.push(at.span.warning("differs", message));
        }
    }
    all
}
