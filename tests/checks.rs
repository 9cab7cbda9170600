//! KIWI's runtime checks, and what KIWI gets wrong without a word: each seen to fail and to pass, with its place.
#![allow(clippy::disallowed_methods)]

use diskwright::describe::kiwi::parse;
use diskwright::model::Arch;
use diskwright::resolve::checks::{CHECKS, failing};
use diskwright::resolve::{Choice, ResolveError, resolve, select};

fn description(kind: &str, children: &str, rest: &str) -> String {
    let version = if rest == NO_VERSION { "" } else { "<version>1.0</version>" };
    format!(
        "<image schemaversion=\"8.5\" name=\"t\"><description type=\"system\"><author>A</author><contact>a@b</contact>\
         <specification>S</specification></description>\n<preferences>{version}\n<type {kind}>\n{children}</type>\
         </preferences>\n{rest}</image>"
    )
}

const NO_VERSION: &str = "<!-- no version -->";
const DISK: &str = "image=\"oem\" filesystem=\"ext4\" firmware=\"uefi\"";
const FIXED: &str = "<oemconfig><oem-resize>false</oem-resize></oemconfig>";
const PACKAGES: &str = "<repository><source path=\"obs://x\"/></repository><packages type=\"image\"><package name=\"a\"/></packages>";

/// A check, what fails it, and what passes it: attributes of the type, children, the rest.
type Case = (&'static str, [&'static str; 3], [&'static str; 3]);

const CASES: &[Case] = &[
    (
        "check_appx_naming_conventions_valid",
        [
            "image=\"appx\" metadata_path=\"x\"",
            "<containerconfig name=\"c\"><history launcher=\"a\\b.exe\">h</history></containerconfig>",
            "",
        ],
        [
            "image=\"appx\" metadata_path=\"x\"",
            "<containerconfig name=\"c\"><history launcher=\"b.EXE\" application_id=\"a1\">h</history></containerconfig>",
            "",
        ],
    ),
    (
        "check_boot_description_exists",
        ["image=\"oem\" filesystem=\"ext4\" initrd_system=\"kiwi\"", FIXED, ""],
        ["image=\"oem\" filesystem=\"ext4\" initrd_system=\"kiwi\" boot=\"oemboot/x\"", FIXED, ""],
    ),
    (
        "check_bootloader_env_compatible_with_loader",
        [
            DISK,
            "<bootloader name=\"systemd_boot\"><bootloadersettings><environment><env name=\"a\" value=\"b\"/></environment></bootloadersettings></bootloader>",
            "",
        ],
        [
            DISK,
            "<bootloader name=\"grub2\"><bootloadersettings><environment><env name=\"a\" value=\"b\"/></environment></bootloadersettings></bootloader>",
            "",
        ],
    ),
    (
        "check_dracut_module_for_disk_oem_in_package_list",
        [DISK, "", PACKAGES],
        [DISK, "", "<packages type=\"image\"><package name=\"kiwi-dracut-oem-repart\"/></packages>"],
    ),
    (
        "check_dracut_module_for_disk_overlay_in_package_list",
        ["image=\"oem\" filesystem=\"ext4\" overlayroot=\"true\"", FIXED, PACKAGES],
        ["image=\"oem\" filesystem=\"ext4\" overlayroot=\"false\"", FIXED, PACKAGES],
    ),
    (
        "check_dracut_module_for_live_iso_in_package_list",
        ["image=\"iso\"", "", PACKAGES],
        ["image=\"iso\" flags=\"dmsquash\"", "", PACKAGES],
    ),
    (
        "check_dracut_module_for_oem_install_in_package_list",
        ["image=\"oem\" filesystem=\"ext4\" installpxe=\"true\"", FIXED, PACKAGES],
        [
            "image=\"oem\" filesystem=\"ext4\" installpxe=\"true\"",
            FIXED,
            "<packages type=\"bootstrap\"><package name=\"dracut-kiwi-oem-dump\"/></packages>",
        ],
    ),
    (
        "check_efi_fat_image_has_correct_size",
        ["image=\"iso\" efifatimagesize=\"32\"", "", ""],
        ["image=\"iso\" efifatimagesize=\"31\"", "", ""],
    ),
    (
        "check_image_include_repos_publicly_resolvable",
        [DISK, FIXED, "<repository imageinclude=\"true\"><source path=\"dir:///x\"/></repository>"],
        [DISK, FIXED, "<repository imageinclude=\"true\"><source path=\"https://x\"/></repository>"],
    ),
    (
        "check_image_type_unique",
        [DISK, "</type><type image=\"oem\" filesystem=\"xfs\">", ""],
        [DISK, "</type><type image=\"iso\">", ""],
    ),
    ("check_image_version_provided", [DISK, FIXED, NO_VERSION], [DISK, FIXED, ""]),
    (
        "check_initrd_selection_required",
        ["image=\"oem\" filesystem=\"ext4\" boot=\"x\"", FIXED, ""],
        ["image=\"oem\" filesystem=\"ext4\" boot=\"x\" initrd_system=\"kiwi\"", FIXED, ""],
    ),
    (
        "check_partuuid_persistency_type_used_with_mbr",
        ["image=\"oem\" filesystem=\"ext4\" firmware=\"bios\" devicepersistency=\"by-partuuid\"", FIXED, ""],
        ["image=\"oem\" filesystem=\"ext4\" firmware=\"efi\" devicepersistency=\"by-partuuid\"", FIXED, ""],
    ),
    (
        "check_repositories_configured",
        [DISK, FIXED, "<packages type=\"image\"><package name=\"a\"/></packages>"],
        [DISK, FIXED, PACKAGES],
    ),
    (
        "check_swap_name_used_with_lvm",
        [DISK, "<oemconfig><oem-swapname>s</oem-swapname></oemconfig>", ""],
        [DISK, "<oemconfig><oem-swapname>s</oem-swapname></oemconfig><systemdisk/>", ""],
    ),
    (
        "check_volume_label_used_with_lvm",
        [
            "image=\"oem\" filesystem=\"btrfs\"",
            "<systemdisk><volume name=\"home\" label=\"H\"/></systemdisk>",
            "",
        ],
        [
            "image=\"oem\" filesystem=\"btrfs\"",
            "<systemdisk preferlvm=\"true\"><volume name=\"home\" label=\"H\"/></systemdisk>",
            "",
        ],
    ),
    (
        "check_volume_setup_defines_multiple_fullsize_volumes",
        [
            DISK,
            "<systemdisk><volume name=\"a\" size=\"all\"/><volume name=\"b\" freespace=\"all\"/></systemdisk>",
            "",
        ],
        [
            DISK,
            "<systemdisk><volume name=\"a\" size=\"all\"/><volume name=\"b\" freespace=\"5\"/></systemdisk>",
            "",
        ],
    ),
    (
        "check_volume_setup_defines_reserved_labels",
        [DISK, "<systemdisk><volume name=\"a\" label=\"SPARE\"/></systemdisk>", ""],
        [DISK, "<systemdisk><volume name=\"a\" label=\"SPAR\"/></systemdisk>", ""],
    ),
    (
        "check_volume_setup_has_no_root_definition",
        [DISK, "<systemdisk><volume name=\"a\" mountpoint=\"/\"/></systemdisk>", ""],
        [DISK, "<systemdisk><volume name=\"@root\"/></systemdisk>", ""],
    ),
    (
        "check_xen_uniquely_setup_as_server_or_guest",
        ["image=\"oem\" filesystem=\"ext4\" xen_server=\"true\"", "<machine xen_loader=\"pygrub\"/>", ""],
        ["image=\"oem\" filesystem=\"ext4\" xen_server=\"false\"", "<machine xen_loader=\"pygrub\"/>", ""],
    ),
];

#[test]
fn every_check_fails_and_passes() {
    for check in CHECKS {
        let (_, bad, good) =
            CASES.iter().find(|(name, ..)| *name == check.name).expect("a case for each check");
        for ([kind, children, rest], fails) in [(bad, true), (good, false)] {
            let xml = description(kind, children, rest);
            let model = parse("d.xml", xml.clone().into_bytes()).expect("it is XML");
            let wrong: Vec<String> = model
                .problems
                .iter()
                .filter(|one| one.code != "unsupported")
                .map(ToString::to_string)
                .collect();
            assert_eq!(wrong, Vec::<String>::new(), "the schema takes it\n{xml}");
            let selection = select(&model, &Choice::new(Arch::X86_64)).expect("a selection");
            assert_eq!(failing(&selection).contains(&check.name), fails, "{}\n{xml}", check.name);
        }
    }
}

/// Errors and warnings of a description, and what keeps its tree from being prepared.
fn said(xml: &str, disabled: &[&str]) -> Vec<String> {
    let model = parse("d.xml", xml.as_bytes().to_vec()).expect("it is XML");
    let disabled_checks = disabled.iter().map(|name| (*name).to_owned()).collect();
    let all = match resolve(&model, &Choice { disabled_checks, ..Choice::new(Arch::X86_64) }) {
        Ok(resolved) => [resolved.warnings.list, resolved.needs].concat(),
        Err(ResolveError::Refused(diagnostics)) => diagnostics.list,
        Err(ResolveError::Choice(refusal)) => panic!("{refusal}"),
    };
    all.iter().filter(|one| ["check", "differs"].contains(&one.code)).map(ToString::to_string).collect()
}

#[test]
fn checks_have_places_and_can_be_switched_off() {
    let loader = "<bootloader name=\"custom\"/>";
    let xml = description(&format!("{DISK} efifatimagesize=\"99\""), &format!("{loader}{FIXED}"), "");
    let name = "check_efi_fat_image_has_correct_size";
    assert_eq!(
        said(&xml, &[]),
        [format!("d.xml:3:53: error: the FAT image of an ISO has at most 31 MiB: 99 ({name})")]
    );
    assert_eq!(said(&xml, &[name]), Vec::<String>::new());
    // What only KIWI's own initrd needs is a warning, and what only a package manager needs keeps no image from a tree.
    let xml = description(DISK, loader, "<packages type=\"image\"><package name=\"a\"/></packages>");
    let all = said(&xml, &[]);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].starts_with(
        "d.xml:3:1: warning: KIWI has the initrd grow the root at the first boot, and the initrd lacks what does it"
    ));
    assert!(
        all[1].starts_with(
            "d.xml:5:33: error: there are packages, and no repository that they could come from"
        )
    );
}

#[test]
fn what_kiwi_passes_over_in_silence_is_said() {
    let rest = "<packages type=\"image\" profiles=\"A, B\"><package name=\"x\" arch=\"amd64,x86_64\"/></packages>\
                <repository><source path=\"obs://x\"/></repository><preferences><version>2</version></preferences>";
    let xml = description(DISK, &format!("<bootloader name=\"custom\"/>{FIXED}"), rest);
    let model = parse("d.xml", xml.into_bytes()).expect("it is XML");
    let resolved = resolve(&model, &Choice::new(Arch::X86_64)).expect("it can be made");
    let said: Vec<String> = resolved.warnings.list.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "d.xml:5:24: warning: blanks in a list of profiles: KIWI does not find what is behind them; here they do not count",
            "d.xml:5:58: warning: arch amd64 has no effect: no machine calls itself so",
            "d.xml:5:152: warning: a second version in what is selected has no effect: KIWI takes the first",
        ]
    );
    assert_eq!(resolved.image.version.as_deref(), Some("1.0"));
}

#[test]
fn what_kiwi_gets_wrong_is_said() {
    let disk = format!("{DISK} format=\"qcow2\" formatoptions=\"cluster_size=4096\"");
    let partitions = "<partitions>\n<partition name=\"data\" size=\"10\" filesystem=\"ext4\"/></partitions>";
    let xml = description(&disk, &format!("<bootloader name=\"custom\"/>{FIXED}{partitions}"), "");
    assert_eq!(
        said(&xml, &[]),
        [
            "d.xml:3:68: warning: KIWI loses formatoptions with qcow2; here they count",
            "d.xml:5:12: warning: KIWI fails at a file system that is mounted nowhere; here it is made, and is empty",
        ]
    );
}
