//! What KIWI's schema says with Schematron: rules between attributes and elements. They are KIWI's rules as they work, not
//! as they are worded: many test whether one text is part of another.

use crate::describe::kiwi::element::Element;
use crate::describe::kiwi::read::Reader;
use crate::describe::kiwi::schema::{TYPE, values};

/// KIWI refuses partition names that are part of this text.
pub(in super::super) const RESERVED_PARTITIONS: &str = "root readonly boot prep spare swap efi_csm efi";

/// Attributes that only btrfs has.
const BTRFS: [&str; 5] = [
    "btrfs_quota_groups",
    "btrfs_set_default_volume",
    "btrfs_root_is_subvolume",
    "btrfs_root_is_snapper_snapshot",
    "btrfs_root_is_readonly_snapshot",
];

/// Checks a whole description.
pub(in super::super) fn check(reader: &mut Reader, root: &Element) {
    let manager = |manager: &Element| manager.text == "apt";
    let apt = root.named("preferences").flat_map(|one| one.named("packagemanager")).any(manager);
    for packages in root.named("packages") {
        self::packages(reader, packages, apt);
    }
    for repository in root.named("repository") {
        self::repository(reader, repository);
    }
    for kind in root.named("preferences").flat_map(|one| one.named("type")) {
        self::kind(reader, kind);
    }
}

/// An attribute that is there where it may not be.
fn not_here(reader: &mut Reader, element: &Element, name: &str, why: &str, hint: &str) {
    let Some(attribute) = element.attribute_node(name) else { return };
    let message = format!("attribute {name} of {} {why}", element.tag());
    reader.error_with("not-here", attribute.name_span.clone(), message, hint);
}

fn packages(reader: &mut Reader, packages: &Element, apt: bool) {
    let kind = packages.attribute("type").unwrap_or("");
    for module in packages.named("collectionModule") {
        if kind != "bootstrap" {
            let message = "collectionModule is only for <packages type=\"bootstrap\">";
            reader.error("not-here", module.span.clone(), message);
        }
        if module.attribute("enable") != Some("true") {
            not_here(
                reader,
                module,
                "stream",
                "is only for enable=\"true\"",
                "a module is disabled with all its streams",
            );
        }
    }
    if !"bootstrap".contains(kind) {
        not_here(reader, packages, "bootstrap_package", "is only for type=\"bootstrap\"", "");
    }
    if !apt {
        not_here(
            reader,
            packages,
            "bootstrap_package",
            "is only for the package manager apt",
            "<packagemanager>apt</packagemanager>",
        );
    }
}

fn repository(reader: &mut Reader, repository: &Element) {
    if repository.attribute("type").is_some_and(|kind| !"apt-deb".contains(kind)) {
        not_here(reader, repository, "architectures", "is only for type=\"apt-deb\"", "");
    }
    if repository.attribute_node("imageinclude").is_some() {
        not_here(
            reader,
            repository,
            "imageonly",
            "and imageinclude exclude one another",
            "imageonly=\"true\" is enough",
        );
    }
}

fn kind(reader: &mut Reader, kind: &Element) {
    let image = kind.attribute("image").unwrap_or("");
    let filesystem = kind.attribute("filesystem");
    for attribute in &kind.attributes {
        let Some(row) = TYPE.attribute(&attribute.name) else { continue };
        // KIWI's rules for these two name an attribute that does not exist.
        let fires = !["luks_version", "luks_randomize"].contains(&row.name);
        if fires && !row.only.is_empty() && !row.only.contains(image) {
            let why = format!("is only for image=\"{}\"", row.only.replace(' ', "\", \""));
            not_here(reader, kind, row.name, &why, "");
        }
    }
    let required = [("filesystem", "oem"), ("metadata_path", "appx")];
    for (name, _) in required.iter().filter(|(_, types)| types.contains(image)) {
        reader.required(kind, name);
    }
    let format = kind.attribute("format").unwrap_or("");
    let container = format.starts_with("oci:") || format.starts_with("docker:");
    if format == "vagrant" && !kind.named("vagrantconfig").any(|one| one.attribute_node("provider").is_some())
    {
        reader.error(
            "missing-element",
            kind.span.clone(),
            "<type> lacks the element vagrantconfig, which format=\"vagrant\" needs",
        );
    }
    if image == "oem" && !container {
        not_here(
            reader,
            kind,
            "derived_from",
            "of image=\"oem\" is only for disks in containers",
            "format=\"oci:qcow2\"",
        );
    }
    let lvm = kind.named("systemdisk").any(|disk| disk.attribute("preferlvm") == Some("true"));
    for name in BTRFS {
        if lvm {
            not_here(reader, kind, name, "does not go together with preferlvm=\"true\"", "");
        } else if filesystem.is_some_and(|filesystem| filesystem != "btrfs") {
            not_here(reader, kind, name, "is only for filesystem=\"btrfs\"", "");
        }
    }
    for (name, needs) in
        [("embed_verity_metadata", "verity_blocks"), ("embed_integrity_metadata", "standalone_integrity")]
    {
        if kind.attribute_node(needs).is_none() {
            not_here(reader, kind, name, &format!("needs the attribute {needs}"), "");
        }
    }
    children(reader, kind, image, container);
}

fn children(reader: &mut Reader, kind: &Element, image: &str, container: bool) {
    if let Some(loader) = kind.child("bootloader") {
        bootloader(reader, loader, image);
    }
    if let Some(config) = kind.child("containerconfig") {
        containerconfig(reader, config, image);
        if kind.attribute_node("format").is_some() && !container {
            let message = "containerconfig of a disk is only for disks in containers";
            reader.error_with("not-here", config.span.clone(), message.to_owned(), "format=\"oci:qcow2\"");
        }
    }
    for partition in kind.named("partitions").flat_map(|one| one.named("partition")) {
        let Some(name) =
            partition.attribute_node("name").filter(|name| RESERVED_PARTITIONS.contains(&name.value))
        else {
            continue;
        };
        let message = format!("a partition name that KIWI keeps for itself: {}", name.value);
        let hint = format!("any name that is not part of this text: {RESERVED_PARTITIONS}");
        reader.error_with("bad-value", name.span.clone(), message, hint);
    }
    if kind.attribute("filesystem") != Some("btrfs") {
        for volume in kind.named("systemdisk").flat_map(|disk| disk.named("volume")) {
            not_here(reader, volume, "quota", "is only for filesystem=\"btrfs\"", "");
        }
    }
    if let Some(element) = kind.child("luksformat").filter(|_| kind.attribute_node("luks").is_none()) {
        reader.error("not-here", element.span.clone(), "luksformat needs the attribute luks of <type>");
    }
    let installs = ["installiso", "installpxe"].iter().any(|name| kind.attribute(name) == Some("true"));
    if let Some(media) = kind.child("installmedia").filter(|_| !installs) {
        let message = "installmedia is only for installiso=\"true\" or installpxe=\"true\"";
        reader.error("not-here", media.span.clone(), message);
    }
    for vagrant in kind.named("vagrantconfig") {
        if !"virtualbox".contains(vagrant.attribute("provider").unwrap_or("")) {
            not_here(
                reader,
                vagrant,
                "virtualbox_guest_additions_present",
                "is only for provider=\"virtualbox\"",
                "",
            );
        }
    }
    if let Some(size) = kind.child("size")
        && let Some(tail) = size.attribute("unpartitioned").and_then(values::number)
        && values::number(&size.text).is_some_and(|value| tail > value)
    {
        let message = "unpartitioned is larger than the size that it is part of";
        reader.error("bad-value", size.whole.clone(), message);
    }
}

fn bootloader(reader: &mut Reader, loader: &Element, image: &str) {
    if !"oem iso".contains(image) {
        let message = "bootloader is only for image=\"oem\", \"iso\"";
        reader.error("not-here", loader.span.clone(), message);
    }
    let name = loader.attribute("name").unwrap_or("");
    const GRUB: &str = "grub2 grub2_s390x_emu";
    let rules = [
        ("bls", "grub2"),
        ("output_console", GRUB),
        ("input_console", GRUB),
        ("serial_line", GRUB),
        ("video_mode", GRUB),
        ("timeout", "grub2 grub2_s390x_emu systemd_boot zipl"),
        ("timeout_style", GRUB),
        ("targettype", "grub2_s390x_emu zipl"),
    ];
    for (attribute, names) in rules.iter().filter(|(_, names)| !names.contains(name)) {
        let why = format!("is only for name=\"{}\"", names.replace(' ', "\", \""));
        not_here(reader, loader, attribute, &why, "");
    }
    for linux in loader.named("securelinux").filter(|_| !["zipl", "grub2-s390x-emu"].contains(&name)) {
        reader.error("not-here", linux.span.clone(), "securelinux is only for the loader zipl");
    }
}

fn containerconfig(reader: &mut Reader, config: &Element, image: &str) {
    if !"oem docker oci appx".contains(image) {
        let message = "containerconfig is only for image=\"oem\", \"docker\", \"oci\", \"appx\"";
        reader.error("not-here", config.span.clone(), message);
    }
    for name in ["tag", "additionalnames", "maintainer", "user", "workingdir"] {
        if !"oem docker oci".contains(image) {
            not_here(reader, config, name, "is only for image=\"oem\", \"docker\", \"oci\"", "");
        }
    }
    for command in config.named("entrypoint").chain(config.named("subcommand")) {
        match (command.attribute_node("execute"), command.attribute_node("clear")) {
            (None, None) => {
                let message = format!("{} lacks the attribute execute, or clear", command.tag());
                reader.error("missing-attribute", command.span.clone(), message);
            }
            (Some(_), Some(_)) => not_here(reader, command, "clear", "and execute exclude one another", ""),
            _ => {}
        }
    }
    for volume in config.named("volumes").flat_map(|volumes| volumes.named("volume")) {
        not_here(reader, volume, "quota", "is only for volumes of a disk", "");
    }
}
