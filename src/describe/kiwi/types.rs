//! `type` elements.

use super::element::Element;
use super::partitions::partitions;
use super::read::{Reader, elements, short};
use super::schema::{self, BARE, OEM};
use crate::describe::Span;
use crate::model::{Bytes, DiskType, Format, Kind, Loader, MIB, Mkfs, Naming, SectorSize, SizeElement, Type};
use crate::plan::{ESP, ROOT};
use diskwright_formats::fault::Refusal;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::Layout;
use diskwright_formats::registry::find_disk;
use diskwright_fstools::registry::find;

/// Seconds until the default entry starts, where none are given.
const TIMEOUT: u64 = 10;

pub(super) fn read(node: &Element) -> Type {
    let mut reader = Reader::default();
    let image = reader.required(node, "image").map(str::trim);
    let primary = reader.boolean(node, "primary", false);
    let kind = match image {
        None => None,
        Some("oem") => {
            reader.validate(node, OEM);
            Some(disk(&mut reader, node))
        }
        Some(other) => bare(&mut reader, node, other),
    };
    let image = image.unwrap_or_default().to_owned();
    Type { span: node.span.clone(), image, primary, problems: reader.problems, kind, spans: spans(node) }
}

/// Where the size of each part is written; the `type` itself where it is not.
fn spans(node: &Element) -> Vec<(String, Span)> {
    let child = |name: &str| elements(node).find(|child| child.name.as_str() == name);
    let or_type = |span: Option<Span>| span.unwrap_or_else(|| node.span.clone());
    let esp = node.attribute_node("efipartsize").map(|attribute| attribute.span.clone());
    let fixed = [
        (ESP.to_owned(), or_type(esp)),
        (ROOT.to_owned(), or_type(child("size").map(|it| it.span.clone()))),
        ("boot".to_owned(), or_type(child("bootloader").map(|it| it.span.clone()))),
    ];
    let partitions = child("partitions").into_iter().flat_map(elements).filter_map(|partition| {
        let name = partition.attribute("name")?.trim().to_owned();
        let size = partition.attribute_node("size").map(|attribute| attribute.span.clone());
        Some((name, size.unwrap_or_else(|| partition.span.clone())))
    });
    fixed.into_iter().chain(partitions).collect()
}

fn image_span(node: &Element) -> Span {
    node.attribute_node("image").map_or(node.span.clone(), |attribute| attribute.span.clone())
}

/// A bare file system; or a kind of image that is not made here.
fn bare(reader: &mut Reader, node: &Element, image: &str) -> Option<Kind> {
    if !schema::IMAGE_TYPES.contains(&image) {
        let attribute = node.attribute_node("image")?;
        reader.one_of(attribute, "image", schema::IMAGE_TYPES);
        return None;
    }
    if !schema::BARE_TYPES.contains(&image) || find(image).is_none() {
        let message = format!("image=\"{image}\" is not supported yet");
        reader.error_with(
            "unsupported",
            image_span(node),
            message,
            "supported: image=\"oem\", image=\"ext4\"",
        );
        return None;
    }
    reader.validate(node, BARE);
    let options = words(node.attribute("fscreateoptions"));
    check_filesystem(reader, node, "fscreateoptions", image, options.clone());
    let size = size(reader, node);
    Some(Kind::Filesystem { name: image.to_owned(), options, size })
}

fn words(value: Option<&str>) -> Vec<String> {
    value.unwrap_or("").split_whitespace().map(str::to_owned).collect()
}

fn disk(reader: &mut Reader, node: &Element) -> Kind {
    let filesystem = filesystem(reader, node);
    let oem = reader.single(node, "oemconfig");
    let csm = reader.boolean(node, "eficsm", true);
    table(reader, node);
    let disk = DiskType {
        uefi: firmware(reader, node),
        options: words(node.attribute("fscreateoptions")),
        mount_options: mount_options(reader, node),
        label: reader.line(node, "rootfs_label").map(str::to_owned),
        esp_mib: positive(reader, node, "efipartsize"),
        csm,
        sector_size: sector_size(reader, node),
        start_sector: start_sector(reader, node),
        naming: naming(reader, node),
        command_line: reader.line(node, "kernelcmdline").unwrap_or("").trim().to_owned(),
        discoverable: reader.boolean(node, "apply_dps_codes", true),
        format: format(reader, node),
        loader: loader(reader, node),
        size: size(reader, node),
        resize: resize(reader, node, oem),
        system_mib: oem_number(reader, oem, "oem-systemsize"),
        partitions: partitions(reader, node),
        filesystem,
    };
    if let Some(filesystem) = &disk.filesystem {
        let mut options = disk.options.clone();
        options.extend(label_options(filesystem, disk.label.as_deref().unwrap_or("ROOT")));
        check_filesystem(reader, node, "fscreateoptions", filesystem, options);
    }
    Kind::Disk(Box::new(disk))
}

/// The label as an option of the file system's mkfs.
pub(crate) fn label_options(filesystem: &str, label: &str) -> [String; 2] {
    let is_fat = find(filesystem).is_some_and(|row| row.name == "vfat");
    [if is_fat { "-n" } else { "-L" }.to_owned(), label.to_owned()]
}

/// Asks the writer whether it takes these options; what it refuses is an error at the attribute.
pub(super) fn check_filesystem(
    reader: &mut Reader,
    node: &Element,
    attribute: &str,
    filesystem: &str,
    options: Vec<String>,
) {
    let Err(Refusal { reason, hint, .. }) = Mkfs::new(filesystem, options) else { return };
    let span = node.attribute_node(attribute).map_or(node.span.clone(), |attribute| attribute.span.clone());
    let message = format!("{filesystem}: {reason}");
    match hint {
        Some(hint) => reader.error_with("bad-value", span, message, hint),
        None => reader.error("bad-value", span, message),
    }
}

fn filesystem(reader: &mut Reader, node: &Element) -> Option<String> {
    reader.required(node, "filesystem")?;
    supported_filesystem(reader, node, schema::ROOT_FILESYSTEMS)
}

/// The attribute `filesystem`, if it names one that can be written.
pub(super) fn supported_filesystem(
    reader: &mut Reader,
    node: &Element,
    known: &'static [&'static str],
) -> Option<String> {
    let attribute = node.attribute_node("filesystem")?;
    let name = reader.one_of(attribute, "filesystem", known)?;
    if find(name).is_none() {
        let message = format!("filesystem=\"{name}\" is not supported yet");
        reader.error_with("unsupported", attribute.span.clone(), message, "filesystem=\"ext4\" is supported");
        return None;
    }
    Some(name.to_owned())
}

/// Whether firmware is said to be UEFI. Left out is for the machine to decide.
fn firmware(reader: &mut Reader, node: &Element) -> bool {
    let Some(attribute) = node.attribute_node("firmware") else { return false };
    match reader.one_of(attribute, "firmware", schema::FIRMWARES) {
        Some("efi" | "uefi") => {}
        Some(other) => {
            let message = format!("firmware=\"{other}\" is not supported yet");
            reader.error_with(
                "unsupported",
                attribute.span.clone(),
                message,
                "firmware=\"uefi\" is supported",
            );
        }
        None => {}
    }
    true
}

fn table(reader: &mut Reader, node: &Element) {
    let Some(attribute) = node.attribute_node("efiparttable") else { return };
    if reader.one_of(attribute, "efiparttable", &["gpt", "msdos"]) == Some("msdos") {
        let message = "efiparttable=\"msdos\" is not supported yet".to_owned();
        reader.error_with(
            "unsupported",
            attribute.span.clone(),
            message,
            "efiparttable=\"gpt\" is supported",
        );
    }
}

/// A number of MiB that is not 0 and no nonsense.
fn positive(reader: &mut Reader, node: &Element, name: &str) -> Option<u64> {
    let number = reader.number(node, name)?;
    if number == 0 || number > u64::MAX / MIB / 4 {
        let span = node.attribute_node(name).map_or_else(|| node.span.clone(), |it| it.value_span.clone());
        reader.error("bad-value", span, format!("{name} is no usable number of MiB: {number}"));
        return None;
    }
    Some(number)
}

fn sector_size(reader: &mut Reader, node: &Element) -> SectorSize {
    match (reader.number(node, "target_blocksize"), node.attribute_node("target_blocksize")) {
        (Some(4096), _) => SectorSize::B4096,
        (Some(512), _) | (_, None) | (None, _) => SectorSize::B512,
        (Some(other), Some(attribute)) => {
            let message = format!("target_blocksize is neither 512 nor 4096: {other}");
            reader.error("bad-value", attribute.span.clone(), message);
            SectorSize::B512
        }
    }
}

fn start_sector(reader: &mut Reader, node: &Element) -> u64 {
    let Some(number) = reader.number(node, "disk_start_sector") else { return 2048 };
    if !number.is_multiple_of(2048) || !(2048..1 << 40).contains(&number) {
        let span = node.attribute_node("disk_start_sector").map_or(node.span.clone(), |one| one.span.clone());
        let message = format!("disk_start_sector is no multiple of 2048: {number}");
        reader.error_with("bad-value", span, message, "partitions start at multiples of 2048 sectors");
        return 2048;
    }
    number
}

fn naming(reader: &mut Reader, node: &Element) -> Naming {
    let Some(attribute) = node.attribute_node("devicepersistency") else { return Naming::Uuid };
    match reader.one_of(attribute, "devicepersistency", &["by-uuid", "by-label", "by-partuuid"]) {
        Some("by-label") => Naming::Label,
        Some("by-partuuid") => Naming::PartUuid,
        _ => Naming::Uuid,
    }
}

/// One word of fstab.
fn mount_options(reader: &mut Reader, node: &Element) -> Option<String> {
    let options = reader.line(node, "fsmountoptions")?.trim();
    if options.contains(char::is_whitespace) {
        let span =
            node.attribute_node("fsmountoptions").map_or(node.span.clone(), |one| one.value_span.clone());
        reader.error("bad-value", span, format!("fsmountoptions with blanks in it: {}", short(options)));
        return None;
    }
    Some(options.to_owned()).filter(|options| !options.is_empty())
}

/// Whether the tree's initrd is used. KIWI would make one with dracut; here the tree brings it.
fn initrd(reader: &mut Reader, node: &Element) -> bool {
    let Some(attribute) = node.attribute_node("initrd_system") else { return true };
    match reader.one_of(attribute, "initrd_system", &["dracut", "none", "kiwi"]) {
        Some("none") => false,
        Some("kiwi") => {
            let message = "initrd_system=\"kiwi\" is not supported yet: custom initrds";
            reader.error("unsupported", attribute.span.clone(), message);
            true
        }
        _ => true,
    }
}

fn format(reader: &mut Reader, node: &Element) -> Option<Format> {
    let options = node.attribute("formatoptions").unwrap_or("").split(',').map(str::trim);
    let options: Vec<String> = options.filter(|option| !option.is_empty()).map(str::to_owned).collect();
    let Some(attribute) = node.attribute_node("format") else {
        if let Some(unused) = node.attribute_node("formatoptions") {
            reader.error("bad-value", unused.span.clone(), "formatoptions without a format");
        }
        return None;
    };
    let container = attribute.value.as_str().trim();
    if container.starts_with("oci:") || container.starts_with("docker:") {
        let message = format!("format=\"{}\" is not supported yet: disks in containers", short(container));
        reader.error("unsupported", attribute.span.clone(), message);
        return None;
    }
    let name = reader.one_of(attribute, "format", schema::FORMATS)?;
    let Some(row) = find_disk(name) else {
        let message = format!("format=\"{name}\" is not supported yet");
        let hint = "supported: format=\"qcow2\", and no format, which is raw";
        reader.error_with("unsupported", attribute.span.clone(), message, hint);
        return None;
    };
    // What the container says to a small disk it says to all: its options are judged before there is a plan.
    let trial = (row.lay)(&Layout::empty(MIB), &Identity::new(b"", 0), &options);
    if let (Err(refusal), Some(attribute)) = (trial, node.attribute_node("formatoptions")) {
        reader.error("unsupported", attribute.span.clone(), refusal.reason);
        return None;
    }
    Some(Format { name: name.to_owned(), options })
}

fn loader(reader: &mut Reader, node: &Element) -> Option<Loader> {
    let initrd = initrd(reader, node);
    let element = reader.single(node, "bootloader")?;
    reader.required(element, "name");
    let timeout = reader.number(element, "timeout").unwrap_or(TIMEOUT);
    let attribute = element.attribute_node("name")?;
    match reader.one_of(attribute, "name", schema::LOADERS)? {
        "systemd_boot" => {
            let timeout = u32::try_from(timeout).unwrap_or(u32::MAX);
            Some(Loader::SystemdBoot { timeout, initrd })
        }
        "custom" => Some(Loader::Custom),
        other => {
            let message = format!("bootloader name=\"{other}\" is not supported yet");
            let hint = "supported: name=\"systemd_boot\", and name=\"custom\", which installs nothing";
            reader.error_with("unsupported", attribute.span.clone(), message, hint);
            // It is named, and wrong: that no loader is named must not be said on top.
            Some(Loader::Custom)
        }
    }
}

fn size(reader: &mut Reader, node: &Element) -> Option<SizeElement> {
    let element = reader.single(node, "size")?;
    let unit = match element.attribute_node("unit") {
        None => MIB,
        Some(attribute) => match reader.one_of(attribute, "unit", &["M", "G"])? {
            "G" => MIB << 10,
            _ => MIB,
        },
    };
    let content = element.trimmed();
    let value = reader.number_value(content, element.whole.clone(), "size")?;
    let tail = reader.number(element, "unpartitioned").unwrap_or(0);
    let additive = reader.boolean(element, "additive", false);
    let bytes = |number: u64| number.checked_mul(unit).filter(|&bytes| bytes < 1 << 60).map(Bytes);
    let (Some(value), Some(unpartitioned)) = (bytes(value), bytes(tail)) else {
        reader.error("bad-value", element.whole.clone(), "a size of more than 2^60 bytes");
        return None;
    };
    if unpartitioned > value {
        reader.error(
            "bad-value",
            element.whole.clone(),
            "unpartitioned is larger than the size that it is part of",
        );
        return None;
    }
    Some(SizeElement { value, additive, unpartitioned })
}

/// Whether the root is to grow at the first boot, which is KIWI's default and the work of the initrd.
fn resize(reader: &mut Reader, node: &Element, oem: Option<&Element>) -> bool {
    let element = oem.and_then(|oem| reader.single(oem, "oem-resize"));
    let said = element.and_then(|one| reader.boolean_value(one.trimmed(), one.span.clone(), "oem-resize"));
    if said == Some(false) {
        return false;
    }
    let message = "oem-resize (KIWI's default is true): the root only grows at the first boot if the tree's initrd does it";
    let hint = "say <oem-resize>false</oem-resize> in oemconfig where it need not grow";
    let span = element.unwrap_or(node).span.clone();
    reader.warning("no-effect", &span, message.to_owned(), hint);
    true
}

fn oem_number(reader: &mut Reader, oem: Option<&Element>, name: &str) -> Option<u64> {
    let node = oem.and_then(|oem| reader.single(oem, name))?;
    let number = reader.number_value(node.trimmed(), node.whole.clone(), name)?;
    if number > u64::MAX / MIB / 4 {
        reader.error("bad-value", node.whole.clone(), format!("{name} is no usable number of MiB: {number}"));
        return None;
    }
    Some(number).filter(|&number| number > 0)
}
