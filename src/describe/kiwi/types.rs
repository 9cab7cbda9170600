//! `type` elements.

use super::element::{Element, boolean};
use super::partitions::{mount_point, partitions, size_attribute};
use super::read::{Reader, elements, short};
use super::schema::{State, TYPE, number};
use super::sections::facts;
use super::volumes::{described_partitions, volumes};
use crate::describe::{Lack, Span};
use crate::model::{
    Bytes, DiskType, Firmware, Format, Kind, Layer, Loader, MIB, Menu, Mkfs, Naming, Overlay, SectorSize,
    SizeElement, TimeoutStyle, Type,
};
use crate::plan::{ESP, ROOT};
use diskwright_formats::fault::Refusal;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::Layout;
use diskwright_formats::registry::find_disk;
use diskwright_formats::table::gpt;
use diskwright_fstools::registry::find;

/// Seconds until the default entry starts, where none are given.
const TIMEOUT: u64 = 10;
/// Attributes of `bootloader` that only GRUB has.
const GRUB_ONLY: [&str; 6] =
    ["bls", "output_console", "input_console", "serial_line", "video_mode", "timeout_style"];
/// Length of swap in MiB where none is given.
const SWAP_MIB: u64 = 128;
/// What a bare file system has of a `type`.
const BARE: [&str; 5] = ["image", "primary", "fscreateoptions", "bundle_format", "size"];

pub(super) fn read(node: &Element) -> Type {
    let mut reader = Reader::default();
    let image = node.attribute("image").map(str::trim).unwrap_or_default();
    let known = node.attribute_node("image").and_then(|_| TYPE.attribute("image"));
    let state = known.map(|row| row.value.state(image, State::Used));
    let kind = match (image, state) {
        ("oem", _) => {
            reader.states(node, &TYPE, State::Used);
            Some(disk(&mut reader, node))
        }
        (name, Some(State::Used)) if find(name).is_some() => Some(bare(&mut reader, node, name)),
        _ => {
            // What an image that is not made here would need besides says nothing to anybody.
            let only = Element {
                attributes: node.attribute_node("image").into_iter().cloned().collect(),
                ..Element { name: node.name.clone(), span: node.span.clone(), ..Element::default() }
            };
            reader.attribute_states(&only, &TYPE, State::Used);
            None
        }
    };
    Type {
        span: node.span.clone(),
        image: image.to_owned(),
        primary: node.boolean("primary").unwrap_or(false),
        problems: reader.problems,
        kind,
        facts: facts(node),
        elements: elements(node).map(|child| child.name.clone()).collect(),
        volumes: volumes(node),
        partitions: described_partitions(node),
        spans: spans(node),
    }
}

/// Where the size of each part and the number of its clones is written; the `type` itself where it is not.
fn spans(node: &Element) -> Vec<(String, Span)> {
    let or_type = |span: Option<&Span>| span.unwrap_or(&node.span).clone();
    let attribute = |name: &str| or_type(node.attribute_node(name).map(|attribute| &attribute.span));
    let fixed = [
        (ESP.to_owned(), attribute("efipartsize")),
        ("boot".to_owned(), attribute("bootpartsize")),
        ("spare".to_owned(), attribute("spare_part")),
        ("readonly".to_owned(), attribute("overlayroot_readonly_partsize")),
        ("clones of root".to_owned(), attribute("root_clone")),
        ("clones of boot".to_owned(), attribute("boot_clone")),
        ("loader".to_owned(), or_type(node.child("bootloader").map(|loader| &loader.span))),
        (ROOT.to_owned(), or_type(node.child("size").map(|size| &size.span))),
    ];
    let partitions = node.child("partitions").into_iter().flat_map(elements).filter_map(|partition| {
        let name = partition.attribute("name")?.trim().to_owned();
        let size = partition.attribute_node("size").map(|attribute| attribute.span.clone());
        Some((name, size.unwrap_or_else(|| partition.span.clone())))
    });
    fixed.into_iter().chain(partitions).collect()
}

/// A bare file system.
fn bare(reader: &mut Reader, node: &Element, image: &str) -> Kind {
    let is_here = |name: &str| BARE.contains(&name);
    let why = "a bare file system has none";
    for attribute in node.attributes.iter().filter(|attribute| !is_here(&attribute.name)) {
        // Attributes of this very file system, which are there because it is what it is.
        let own = TYPE.attribute(&attribute.name).filter(|row| row.only.contains(image));
        if let Some(State::Refused(feature)) = own.map(|row| row.state) {
            let message = format!("attribute {} of <type> is not supported yet: {feature}", attribute.name);
            let lack = Lack::new(format!("type@{}", attribute.name), feature);
            reader.lack(&attribute.span, message, lack);
        } else if TYPE.attribute(&attribute.name).is_some() {
            let message = format!("attribute {} of <type> has no effect: {why}", attribute.name);
            reader.warning("no-effect", &attribute.span, message, "");
        }
    }
    for child in elements(node).filter(|child| !is_here(&child.name) && TYPE.child(&child.name).is_some()) {
        reader.warning("no-effect", &child.span, format!("element {} has no effect: {why}", child.name), "");
    }
    let options = words(node.attribute("fscreateoptions"));
    check_filesystem(reader, node, "fscreateoptions", image, options.clone());
    Kind::Filesystem { name: image.to_owned(), options, size: size(reader, node) }
}

fn words(value: Option<&str>) -> Vec<String> {
    value.unwrap_or("").split_whitespace().map(str::to_owned).collect()
}

fn disk(reader: &mut Reader, node: &Element) -> Kind {
    let oem = node.child("oemconfig");
    let is_on = |name: &str| node.boolean(name).unwrap_or(false);
    let text = |name: &str| node.attribute(name).map(|value| value.trim().to_owned());
    let systemdisk = node.child("systemdisk");
    let disk = DiskType {
        firmware: text("firmware").and_then(|name| firmware(&name)),
        efi_mbr: text("efiparttable").as_deref() == Some("msdos"),
        csm: node.boolean("eficsm").unwrap_or(true),
        hybrid: is_on("gpt_hybrid_mbr"),
        force_mbr: is_on("force_mbr"),
        extended: is_on("dosparttable_extended_layout"),
        target_type: node.child("bootloader").and_then(|one| one.attribute("targettype")).map(str::to_owned),
        filesystem: text("filesystem"),
        options: words(node.attribute("fscreateoptions")),
        mount_options: mount_options(reader, node, "fsmountoptions"),
        label: reader.line(node, "rootfs_label").map(str::to_owned),
        esp_mib: positive(reader, node, "efipartsize"),
        esp_mount_options: mount_options(reader, node, "efimountoptions"),
        boot: node.boolean("bootpartition"),
        boot_mib: positive(reader, node, "bootpartsize"),
        boot_filesystem: text("bootfilesystem"),
        root_clones: count(reader, node, "root_clone"),
        boot_clones: count(reader, node, "boot_clone"),
        csm_number: chosen_number(reader, node, "eficsmpart_id"),
        esp_number: chosen_number(reader, node, "efipart_id"),
        boot_number: chosen_number(reader, node, "bootpart_id"),
        root_number: chosen_number(reader, node, "rootpart_id"),
        spare_mib: size_attribute(reader, node, "spare_part").unwrap_or(Bytes(0)).0 / MIB,
        spare_filesystem: text("spare_part_fs"),
        spare_mountpoint: mount_point(reader, node, "spare_part_mountpoint"),
        spare_last: is_on("spare_part_is_last"),
        swap_mib: swap_mib(reader, oem),
        overlay: is_on("overlayroot").then(|| Overlay {
            write: node.boolean("overlayroot_write_partition").unwrap_or(true),
            filesystem: text("overlayroot_readonly_filesystem").unwrap_or_else(|| "squashfs".to_owned()),
            mib: positive(reader, node, "overlayroot_readonly_partsize"),
        }),
        raid: text("mdraid").map(|how| if how == "striping" { Layer::Raid0 } else { Layer::Raid1 }),
        integrity: is_on("standalone_integrity"),
        luks: node.attribute_node("luks").is_some(),
        verity: node.attribute_node("verity_blocks").is_some(),
        group: systemdisk.and_then(|one| one.attribute("name")).map(|name| name.trim().to_owned()),
        btrfs_toplevel: node.boolean("btrfs_root_is_subvolume").unwrap_or(true),
        btrfs_snapper: is_on("btrfs_root_is_snapper_snapshot"),
        btrfs_readonly: is_on("btrfs_root_is_readonly_snapshot"),
        btrfs_default: node.boolean("btrfs_set_default_volume").unwrap_or(true),
        sector_size: sector_size(reader, node),
        start_sector: start_sector(reader, node),
        naming: naming(node),
        command_line: reader.line(node, "kernelcmdline").unwrap_or("").trim().to_owned(),
        discoverable: is_on("apply_dps_codes"),
        format: format(reader, node),
        loader: loader(node),
        menu: menu(reader, node),
        size: size(reader, node),
        resize: resize(reader, node, oem),
        system_mib: oem_mib(reader, oem, "oem-systemsize"),
        recovery_mib: recovery_mib(reader, oem),
        partitions: partitions(reader, node),
    };
    if let Some(filesystem) = disk.filesystem.as_deref().filter(|name| find(name).is_some()) {
        let mut options = disk.options.clone();
        options.extend(label_options(filesystem, disk.label.as_deref().unwrap_or("ROOT")));
        check_filesystem(reader, node, "fscreateoptions", filesystem, options);
    }
    Kind::Disk(Box::new(disk))
}

fn firmware(name: &str) -> Option<Firmware> {
    use Firmware::{Bios, Custom, Ec2, Efi, Ofw, Opal, Uefi};
    [Bios, Efi, Uefi, Ec2, Custom, Ofw, Opal].into_iter().find(|one| one.name() == name)
}

/// A number of clones; more than a table can hold are refused.
fn count(reader: &mut Reader, node: &Element, name: &str) -> u32 {
    table_number(reader, node, name).unwrap_or(0)
}

/// A partition number that was chosen; 0 is as good as none in KIWI.
pub(super) fn chosen_number(reader: &mut Reader, node: &Element, name: &str) -> Option<u32> {
    table_number(reader, node, name).filter(|&number| number > 0)
}

pub(super) fn table_number(reader: &mut Reader, node: &Element, name: &str) -> Option<u32> {
    let number = node.number(name)?;
    match u32::try_from(number).ok().filter(|&number| number <= gpt::ENTRIES) {
        Some(number) => Some(number),
        None => {
            let span =
                node.attribute_node(name).map_or(&node.span, |attribute| &attribute.value_span).clone();
            let message = format!("{name} is more than the {} entries of a table: {number}", gpt::ENTRIES);
            reader.error("too-large", span, message);
            None
        }
    }
}

fn swap_mib(reader: &mut Reader, oem: Option<&Element>) -> Option<u64> {
    let wanted = oem.and_then(|oem| oem.child("oem-swap")).and_then(|one| boolean(&one.text));
    wanted.filter(|&wanted| wanted).map(|_| oem_mib(reader, oem, "oem-swapsize").unwrap_or(SWAP_MIB))
}

fn recovery_mib(reader: &mut Reader, oem: Option<&Element>) -> u64 {
    let wanted = oem.and_then(|oem| oem.child("oem-inplace-recovery")).and_then(|one| boolean(&one.text));
    wanted.filter(|&wanted| wanted).and_then(|_| oem_mib(reader, oem, "oem-recovery-part-size")).unwrap_or(0)
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
    let span = node.attribute_node(attribute).map_or(&node.span, |attribute| &attribute.span).clone();
    let message = format!("{filesystem}: {reason}");
    match hint {
        Some(hint) => reader.error_with("bad-value", span, message, hint),
        None => reader.error("bad-value", span, message),
    }
}

/// A number of MiB that is not 0 and no nonsense.
fn positive(reader: &mut Reader, node: &Element, name: &str) -> Option<u64> {
    let number = node.number(name)?;
    if number == 0 || number > u64::MAX / MIB / 4 {
        let span = node.attribute_node(name).map_or(&node.span, |attribute| &attribute.value_span).clone();
        reader.error("bad-value", span, format!("{name} is no usable number of MiB: {number}"));
        return None;
    }
    Some(number)
}

fn sector_size(reader: &mut Reader, node: &Element) -> SectorSize {
    match (node.number("target_blocksize"), node.attribute_node("target_blocksize")) {
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
    let Some(number) = node.number("disk_start_sector") else { return 2048 };
    if !number.is_multiple_of(2048) || !(2048..1 << 40).contains(&number) {
        let span = node.attribute_node("disk_start_sector").map_or(&node.span, |one| &one.span).clone();
        let message = format!("disk_start_sector is no multiple of 2048: {number}");
        reader.error_with("bad-value", span, message, "partitions start at multiples of 2048 sectors");
        return 2048;
    }
    number
}

fn naming(node: &Element) -> Naming {
    match node.attribute("devicepersistency").map(str::trim) {
        Some("by-label") => Naming::Label,
        Some("by-partuuid") => Naming::PartUuid,
        _ => Naming::Uuid,
    }
}

/// One word of fstab.
fn mount_options(reader: &mut Reader, node: &Element, name: &str) -> Option<String> {
    let options = reader.line(node, name)?.trim();
    if options.contains(char::is_whitespace) {
        let span = node.attribute_node(name).map_or(&node.span, |one| &one.value_span).clone();
        reader.error("bad-value", span, format!("{name} with blanks in it: {}", short(options)));
        return None;
    }
    Some(options.to_owned()).filter(|options| !options.is_empty())
}

fn format(reader: &mut Reader, node: &Element) -> Option<Format> {
    let options = node.attribute("formatoptions").unwrap_or("").split(',').map(str::trim);
    let options: Vec<String> = options.filter(|option| !option.is_empty()).map(str::to_owned).collect();
    let Some(attribute) = node.attribute_node("format") else {
        if let Some(unused) = node.attribute_node("formatoptions") {
            reader.warning("no-effect", &unused.span, "formatoptions without a format".to_owned(), "");
        }
        return None;
    };
    let name = attribute.value.trim();
    let row = find_disk(name)?;
    // What the container says to a small disk it says to all: its options are judged before there is a plan.
    let trial = (row.lay)(&Layout::empty(MIB), &Identity::new(b"", 0), &options);
    if let (Err(refusal), Some(attribute)) = (trial, node.attribute_node("formatoptions")) {
        reader.lack(&attribute.span, refusal.reason.clone(), Lack::new("type@formatoptions", refusal.reason));
        return None;
    }
    Some(Format { name: name.to_owned(), options })
}

fn loader(node: &Element) -> Option<Loader> {
    // KIWI would make the initrd with dracut; here the tree brings it.
    let initrd = node.attribute("initrd_system").map(str::trim) != Some("none");
    let element = node.child("bootloader")?;
    match element.attribute("name").map(str::trim) {
        Some("systemd_boot") => {
            let timeout = element.number("timeout").unwrap_or(TIMEOUT);
            Some(Loader::SystemdBoot { timeout: u32::try_from(timeout).unwrap_or(u32::MAX), initrd })
        }
        Some("grub2" | "grub2_s390x_emu") => Some(Loader::Grub),
        Some("zipl") => Some(Loader::Zipl),
        // A loader that is named and refused: that none is named must not be said on top.
        _ => Some(Loader::Custom),
    }
}

/// What only GRUB has; with another loader it has no effect, which is worth a warning.
fn menu(reader: &mut Reader, node: &Element) -> Menu {
    let Some(element) = node.child("bootloader") else { return Menu::default() };
    let name = element.attribute("name").map_or("", str::trim);
    if !name.starts_with("grub2") {
        for attribute in element.attributes.iter().filter(|one| GRUB_ONLY.contains(&one.name.as_str())) {
            let message =
                format!("attribute {} of <bootloader> has no effect: only GRUB has it", attribute.name);
            reader.warning("no-effect", &attribute.span, message, "");
        }
    }
    let text = |name: &str| element.attribute(name).map(|value| value.trim().to_owned());
    let style = text("timeout_style");
    let styles = [
        ("countdown", TimeoutStyle::Countdown),
        ("hidden", TimeoutStyle::Hidden),
        ("menu", TimeoutStyle::Menu),
    ];
    Menu {
        timeout: element.number("timeout").map(|number| u32::try_from(number).unwrap_or(u32::MAX)),
        style: styles.into_iter().find(|(word, _)| style.as_deref() == Some(word)).map(|(_, style)| style),
        input: text("input_console"),
        output: text("output_console"),
        serial_line: reader.line(element, "serial_line").map(str::to_owned),
        video_mode: reader.line(element, "video_mode").map(str::to_owned),
        bls: element.boolean("bls"),
    }
}

fn size(reader: &mut Reader, node: &Element) -> Option<SizeElement> {
    let element = node.child("size")?;
    let unit = if element.attribute("unit").map(str::trim) == Some("G") { MIB << 10 } else { MIB };
    let value = number(&element.text)?;
    let tail = element.number("unpartitioned").unwrap_or(0);
    let additive = element.boolean("additive").unwrap_or(false);
    let bytes = |number: u64| number.checked_mul(unit).filter(|&bytes| bytes < 1 << 60).map(Bytes);
    let (Some(value), Some(unpartitioned)) = (bytes(value), bytes(tail)) else {
        reader.error("bad-value", element.whole.clone(), "a size of more than 2^60 bytes");
        return None;
    };
    (unpartitioned <= value).then_some(SizeElement { value, additive, unpartitioned })
}

/// Whether the root is to grow at the first boot, which is KIWI's default and the work of the initrd.
fn resize(reader: &mut Reader, node: &Element, oem: Option<&Element>) -> bool {
    let element = oem.and_then(|oem| oem.child("oem-resize"));
    let said = element.and_then(|one| boolean(&one.text));
    if said == Some(false) {
        return false;
    }
    let message = "oem-resize (KIWI's default is true): the root only grows at the first boot if the tree's initrd does it";
    let hint = "say <oem-resize>false</oem-resize> in oemconfig where it need not grow";
    let span = element.unwrap_or(node).span.clone();
    reader.warning("no-effect", &span, message.to_owned(), hint);
    true
}

fn oem_mib(reader: &mut Reader, oem: Option<&Element>, name: &str) -> Option<u64> {
    let node = oem.and_then(|oem| oem.child(name))?;
    let number = number(&node.text)?;
    if number > u64::MAX / MIB / 4 {
        let message = format!("{name} is no usable number of MiB: {number}");
        reader.error("bad-value", node.whole.clone(), message);
        return None;
    }
    Some(number).filter(|&number| number > 0)
}
