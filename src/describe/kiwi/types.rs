//! `type` elements.

use super::element::Element;
use super::partitions::{mount_point, partition_size, partitions};
use super::read::{Reader, elements as children, short};
use super::schema::{State, TYPE};
use crate::describe::{Lack, Span};
use crate::model::elements::{self, Part, Said, is_set, text, value};
use crate::model::lexical::{Digits, ImageFormat, Lexical, Mebibytes, StartSector};
use crate::model::words::{
    BootloaderName, DevicePersistency, EfiPartTable, InitrdSystem, MdRaid, OverlayFilesystem, SizeUnit,
};
use crate::model::{
    Bytes, DiskType, Format, Kind, Layer, Loader, MIB, Menu, Mkfs, Naming, Overlay, SectorSize, SizeElement,
    Type,
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
/// Most MiB that are taken for a length.
const MOST_MIB: u64 = u64::MAX / MIB / 4;
/// What a bare file system has of a `type`.
const BARE: [&str; 5] = ["image", "primary", "fscreateoptions", "bundle_format", "size"];

pub(super) fn read(node: &Element) -> Type {
    let mut reader = Reader::default();
    let said: elements::Type = Part::read(node, 0).unwrap_or_default();
    let image = node.attribute("image").map(str::trim).unwrap_or_default();
    let known = node.attribute_node("image").and_then(|_| TYPE.attribute("image"));
    let state = known.map(|row| row.value.state(image, State::Used));
    let kind = match (image, state) {
        ("oem", _) => {
            reader.states(node, &TYPE, State::Used);
            Some(disk(&mut reader, &said))
        }
        (name, Some(State::Used)) if find(name).is_some() => Some(bare(&mut reader, node, &said, name)),
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
    Type { span: node.span.clone(), problems: reader.problems, kind, spans: spans(&said), said }
}

/// Where the size of each part and the number of its clones is written; the `type` itself where it is not.
fn spans(said: &elements::Type) -> Vec<(String, Span)> {
    fn of<T>(said: &elements::Type, field: &Option<Said<T>>) -> Span {
        field.as_ref().map_or(&said.span, |field| &field.span).clone()
    }
    let loader = said.bootloader.as_ref().map_or(&said.span, |loader| &loader.span);
    let size = said.size.as_ref().map_or(&said.span, |size| &size.span);
    let fixed = [
        (ESP, of(said, &said.efipartsize)),
        ("boot", of(said, &said.bootpartsize)),
        ("spare", of(said, &said.spare_part)),
        ("readonly", of(said, &said.overlayroot_readonly_partsize)),
        ("clones of root", of(said, &said.root_clone)),
        ("clones of boot", of(said, &said.boot_clone)),
        ("loader", loader.clone()),
        (ROOT, size.clone()),
    ];
    let partitions = said.partitions.iter().flat_map(|all| &all.partition).filter_map(|one| {
        let name = one.name.as_ref()?.value.clone();
        Some((name, one.size.as_ref().map_or(&one.span, |size| &size.span).clone()))
    });
    fixed.map(|(role, span)| (role.to_owned(), span)).into_iter().chain(partitions).collect()
}

/// A bare file system.
fn bare(reader: &mut Reader, node: &Element, said: &elements::Type, image: &str) -> Kind {
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
    for child in children(node).filter(|child| !is_here(&child.name) && TYPE.child(&child.name).is_some()) {
        reader.warning("no-effect", &child.span, format!("element {} has no effect: {why}", child.name), "");
    }
    let options = words(&said.fscreateoptions);
    check_filesystem(reader, span_of(said, &said.fscreateoptions), image, options.clone());
    Kind::Filesystem { name: image.to_owned(), options, size: size(reader, said) }
}

fn words(said: &Option<Said<String>>) -> Vec<String> {
    text(said).unwrap_or("").split_whitespace().map(str::to_owned).collect()
}

/// Where a field is written; else the type.
fn span_of<'a, T>(said: &'a elements::Type, field: &'a Option<Said<T>>) -> &'a Span {
    field.as_ref().map_or(&said.span, |field| &field.span)
}

/// The word of a field.
fn word<T: Lexical>(field: &Option<Said<T>>) -> Option<String> {
    field.as_ref().map(|field| field.value.canonical())
}

fn disk(reader: &mut Reader, said: &elements::Type) -> Kind {
    let disk = DiskType {
        firmware: value(&said.firmware),
        efi_mbr: value(&said.efiparttable) == Some(EfiPartTable::Msdos),
        csm: value(&said.eficsm).unwrap_or(true),
        hybrid: is_set(&said.gpt_hybrid_mbr),
        force_mbr: is_set(&said.force_mbr),
        extended: is_set(&said.dosparttable_extended_layout),
        target_type: said.bootloader.as_ref().and_then(|one| word(&one.targettype)),
        filesystem: word(&said.filesystem),
        options: words(&said.fscreateoptions),
        mount_options: mount_options(reader, "fsmountoptions", &said.fsmountoptions),
        label: reader.line("rootfs_label", &said.rootfs_label).map(str::to_owned),
        esp_mib: positive(reader, "efipartsize", &said.efipartsize),
        esp_mount_options: mount_options(reader, "efimountoptions", &said.efimountoptions),
        boot: value(&said.bootpartition),
        boot_mib: positive(reader, "bootpartsize", &said.bootpartsize),
        boot_filesystem: word(&said.bootfilesystem),
        root_clones: table_number(reader, "root_clone", &said.root_clone).unwrap_or(0),
        boot_clones: table_number(reader, "boot_clone", &said.boot_clone).unwrap_or(0),
        csm_number: chosen_number(reader, "eficsmpart_id", &said.eficsmpart_id),
        esp_number: chosen_number(reader, "efipart_id", &said.efipart_id),
        boot_number: chosen_number(reader, "bootpart_id", &said.bootpart_id),
        root_number: chosen_number(reader, "rootpart_id", &said.rootpart_id),
        spare_mib: partition_size(reader, "spare_part", &said.spare_part).unwrap_or(Bytes(0)).0 / MIB,
        spare_filesystem: word(&said.spare_part_fs),
        spare_mountpoint: mount_point(reader, &said.spare_part_mountpoint),
        spare_last: is_set(&said.spare_part_is_last),
        swap_mib: swap_mib(reader, said),
        overlay: is_set(&said.overlayroot).then(|| overlay(reader, said)),
        raid: value(&said.mdraid).map(|how| match how {
            MdRaid::Striping => Layer::Raid0,
            MdRaid::Mirroring => Layer::Raid1,
        }),
        integrity: is_set(&said.standalone_integrity),
        luks: said.luks.is_some(),
        verity: said.verity_blocks.is_some(),
        group: said.systemdisk.as_ref().and_then(|one| word(&one.name)),
        btrfs_toplevel: value(&said.btrfs_root_is_subvolume).unwrap_or(true),
        btrfs_snapper: is_set(&said.btrfs_root_is_snapper_snapshot),
        btrfs_readonly: is_set(&said.btrfs_root_is_readonly_snapshot),
        btrfs_default: value(&said.btrfs_set_default_volume).unwrap_or(true),
        sector_size: sector_size(reader, said),
        start_sector: start_sector(reader, said),
        naming: naming(said),
        command_line: reader.line("kernelcmdline", &said.kernelcmdline).unwrap_or("").to_owned(),
        discoverable: is_set(&said.apply_dps_codes),
        format: format(reader, said),
        loader: loader(said),
        menu: menu(reader, said),
        size: size(reader, said),
        resize: oem_resize(said).unwrap_or(true),
        resize_asked: oem_resize(said) == Some(true),
        resize_once: said.oemconfig.as_ref().is_some_and(|oem| is_set(&oem.resize_once)),
        system_mib: said
            .oemconfig
            .as_ref()
            .and_then(|oem| oem_mib(reader, "oem-systemsize", &oem.systemsize)),
        recovery_mib: recovery_mib(reader, said),
        partitions: said.partitions.as_ref().map(|all| partitions(reader, all)).unwrap_or_default(),
    };
    if let Some(filesystem) = disk.filesystem.as_deref().filter(|name| find(name).is_some()) {
        let mut options = disk.options.clone();
        options.extend(label_options(filesystem, disk.label.as_deref().unwrap_or("ROOT")));
        check_filesystem(reader, span_of(said, &said.fscreateoptions), filesystem, options);
    }
    Kind::Disk(Box::new(disk))
}

fn overlay(reader: &mut Reader, said: &elements::Type) -> Overlay {
    let size = &said.overlayroot_readonly_partsize;
    let filesystem = value(&said.overlayroot_readonly_filesystem).unwrap_or(OverlayFilesystem::Squashfs);
    Overlay {
        write: value(&said.overlayroot_write_partition).unwrap_or(true),
        filesystem: filesystem.name().to_owned(),
        mib: positive(reader, "overlayroot_readonly_partsize", size),
    }
}

/// A partition number that was chosen; 0 is as good as none in KIWI.
pub(super) fn chosen_number(reader: &mut Reader, name: &str, said: &Option<Said<Digits>>) -> Option<u32> {
    table_number(reader, name, said).filter(|&number| number > 0)
}

/// A number of clones or of a partition: what a table has no room for is refused.
pub(super) fn table_number(reader: &mut Reader, name: &str, said: &Option<Said<Digits>>) -> Option<u32> {
    let Said { value: Digits(number), whole, .. } = said.as_ref()?;
    let fits = u32::try_from(*number).ok().filter(|&number| number <= gpt::ENTRIES);
    if fits.is_none() {
        let message = format!("{name} is more than the {} entries of a table: {number}", gpt::ENTRIES);
        reader.error("too-large", whole.clone(), message);
    }
    fits
}

fn swap_mib(reader: &mut Reader, said: &elements::Type) -> Option<u64> {
    let oem = said.oemconfig.as_ref().filter(|oem| is_set(&oem.swap))?;
    Some(oem_mib(reader, "oem-swapsize", &oem.swapsize).unwrap_or(SWAP_MIB))
}

fn recovery_mib(reader: &mut Reader, said: &elements::Type) -> u64 {
    let oem = said.oemconfig.as_ref().filter(|oem| is_set(&oem.inplace_recovery));
    oem.and_then(|oem| oem_mib(reader, "oem-recovery-part-size", &oem.recovery_part_size)).unwrap_or(0)
}

/// The label as an option of the file system's mkfs.
pub(crate) fn label_options(filesystem: &str, label: &str) -> [String; 2] {
    let is_fat = find(filesystem).is_some_and(|row| row.name == "vfat");
    [if is_fat { "-n" } else { "-L" }.to_owned(), label.to_owned()]
}

/// Asks the writer whether it takes these options; what it refuses is an error at this place.
pub(super) fn check_filesystem(reader: &mut Reader, span: &Span, filesystem: &str, options: Vec<String>) {
    let Err(Refusal { reason, hint, .. }) = Mkfs::new(filesystem, options) else { return };
    let message = format!("{filesystem}: {reason}");
    match hint {
        Some(hint) => reader.error_with("bad-value", span.clone(), message, hint),
        None => reader.error("bad-value", span.clone(), message),
    }
}

/// A number of MiB that is not 0 and no nonsense.
fn positive(reader: &mut Reader, name: &str, said: &Option<Said<Mebibytes>>) -> Option<u64> {
    let Said { value: Mebibytes(number), whole, .. } = said.as_ref()?;
    if *number == 0 || *number > MOST_MIB {
        let message = format!("{name} is no usable number of MiB: {number}");
        reader.error("bad-value", whole.clone(), message);
        return None;
    }
    Some(*number)
}

fn sector_size(reader: &mut Reader, said: &elements::Type) -> SectorSize {
    match &said.target_blocksize {
        None => SectorSize::B512,
        Some(Said { value: Bytes(512), .. }) => SectorSize::B512,
        Some(Said { value: Bytes(4096), .. }) => SectorSize::B4096,
        Some(Said { value: Bytes(other), span, .. }) => {
            let message = format!("target_blocksize is neither 512 nor 4096: {other}");
            reader.error("bad-value", span.clone(), message);
            SectorSize::B512
        }
    }
}

fn start_sector(reader: &mut Reader, said: &elements::Type) -> u64 {
    let Some(Said { value: StartSector(number), span, .. }) = &said.disk_start_sector else { return 2048 };
    if !number.is_multiple_of(2048) || *number >= 1 << 40 {
        let message = format!("disk_start_sector is no multiple of 2048: {number}");
        let hint = "partitions start at multiples of 2048 sectors";
        reader.error_with("bad-value", span.clone(), message, hint);
        return 2048;
    }
    *number
}

fn naming(said: &elements::Type) -> Naming {
    match value(&said.devicepersistency) {
        Some(DevicePersistency::ByLabel) => Naming::Label,
        Some(DevicePersistency::ByPartuuid) => Naming::PartUuid,
        Some(DevicePersistency::ByUuid) | None => Naming::Uuid,
    }
}

/// One word of fstab.
fn mount_options(reader: &mut Reader, name: &str, said: &Option<Said<String>>) -> Option<String> {
    let options = reader.line(name, said)?;
    if let Some(Said { whole, .. }) = said.as_ref().filter(|_| options.contains(char::is_whitespace)) {
        reader.error("bad-value", whole.clone(), format!("{name} with blanks in it: {}", short(options)));
        return None;
    }
    Some(options.to_owned()).filter(|options| !options.is_empty())
}

fn format(reader: &mut Reader, said: &elements::Type) -> Option<Format> {
    let options = text(&said.formatoptions).unwrap_or("").split(',').map(str::trim);
    let options: Vec<String> = options.filter(|option| !option.is_empty()).map(str::to_owned).collect();
    let Some(format) = &said.format else {
        // A format that the schema refuses was said.
        let named = said.refused.iter().any(|one| one.path == "@format");
        if let Some(unused) = said.formatoptions.as_ref().filter(|_| !named) {
            reader.warning("no-effect", &unused.span, "formatoptions without a format".to_owned(), "");
        }
        return None;
    };
    let ImageFormat::Disk(disk) = format.value else { return None };
    let row = find_disk(disk.name())?;
    // What the container says to a small disk it says to all: its options are judged before there is a plan.
    let trial = (row.lay)(&Layout::empty(MIB), &Identity::new(b"", 0), &options);
    if let (Err(refusal), Some(said)) = (trial, &said.formatoptions) {
        reader.lack(&said.span, refusal.reason.clone(), Lack::new("type@formatoptions", refusal.reason));
        return None;
    }
    Some(Format { name: disk.name().to_owned(), options })
}

/// Whether there is to be an initrd. KIWI would make it with dracut; here the tree brings it.
fn has_initrd(said: &elements::Type) -> bool {
    value(&said.initrd_system) != Some(InitrdSystem::None)
}

fn loader(said: &elements::Type) -> Option<Loader> {
    let initrd = has_initrd(said);
    let loader = said.bootloader.as_ref()?;
    Some(match value(&loader.name) {
        Some(BootloaderName::SystemdBoot) => {
            let timeout = value(&loader.timeout).map_or(TIMEOUT, |timeout| timeout.0);
            Loader::SystemdBoot { timeout: u32::try_from(timeout).unwrap_or(u32::MAX), initrd }
        }
        Some(BootloaderName::Grub2 | BootloaderName::Grub2S390xEmu) => Loader::Grub,
        Some(BootloaderName::Zipl) => Loader::Zipl,
        // A loader that is named and refused: that none is named must not be said on top.
        Some(BootloaderName::Custom) | None => Loader::Custom,
    })
}

/// The passphrase of LUKS in GRUB's configuration: KIWI looks at it where the root is in LUKS.
fn disk_password(reader: &mut Reader, said: &elements::Type) {
    let asked = said.bootloader.as_ref().and_then(|one| one.use_disk_password.as_ref());
    let Some(asked) = asked.filter(|asked| asked.value) else { return };
    if said.luks.is_some() {
        let message = "attribute use_disk_password of <bootloader> is not supported yet: encryption";
        let lack = Lack::new("bootloader@use_disk_password", "encryption");
        reader.lack(&asked.span, message.to_owned(), lack);
    } else {
        let message = "use_disk_password has no effect: the root is not in LUKS and has no passphrase";
        reader.warning("no-effect", &asked.span, message.to_owned(), "");
    }
}

/// What only GRUB has; with another loader it has no effect, which is worth a warning.
fn menu(reader: &mut Reader, said: &elements::Type) -> Menu {
    let initrd = has_initrd(said);
    disk_password(reader, said);
    let Some(loader) = &said.bootloader else { return Menu { initrd, ..Menu::default() } };
    let is_grub = matches!(value(&loader.name), Some(BootloaderName::Grub2 | BootloaderName::Grub2S390xEmu));
    for entry in loader.entries("").iter().filter(|_| !is_grub) {
        if let Some(name) = entry.path.strip_prefix('@').filter(|name| GRUB_ONLY.contains(name)) {
            let message = format!("attribute {name} of <bootloader> has no effect: only GRUB has it");
            reader.warning("no-effect", entry.span, message, "");
        }
    }
    Menu {
        timeout: value(&loader.timeout).map(|timeout| u32::try_from(timeout.0).unwrap_or(u32::MAX)),
        style: value(&loader.timeout_style),
        input: word(&loader.input_console),
        output: word(&loader.output_console),
        serial_line: reader.line("serial_line", &loader.serial_line).map(str::to_owned),
        video_mode: reader.line("video_mode", &loader.video_mode).map(str::to_owned),
        bls: value(&loader.bls),
        initrd,
    }
}

fn size(reader: &mut Reader, said: &elements::Type) -> Option<SizeElement> {
    let element = said.size.as_ref()?;
    let unit = if value(&element.unit) == Some(SizeUnit::Gibibytes) { MIB << 10 } else { MIB };
    let Said { value: size, whole, .. } = element.text.as_ref()?;
    let tail = value(&element.unpartitioned).unwrap_or(0);
    let additive = is_set(&element.additive);
    let bytes = |number: u64| number.checked_mul(unit).filter(|&bytes| bytes < 1 << 60).map(Bytes);
    let (Some(value), Some(unpartitioned)) = (bytes(*size), bytes(tail)) else {
        reader.error("bad-value", whole.clone(), "a size of more than 2^60 bytes");
        return None;
    };
    (unpartitioned <= value).then_some(SizeElement { value, additive, unpartitioned })
}

/// `oem-resize`, where it is said.
fn oem_resize(said: &elements::Type) -> Option<bool> {
    Some(said.oemconfig.as_ref()?.resize.as_ref()?.value)
}

fn oem_mib(reader: &mut Reader, name: &str, said: &Option<Said<Mebibytes>>) -> Option<u64> {
    let Said { value: Mebibytes(number), whole, .. } = said.as_ref()?;
    if *number > MOST_MIB {
        let message = format!("{name} is no usable number of MiB: {number}");
        reader.error("bad-value", whole.clone(), message);
        return None;
    }
    Some(*number).filter(|&number| number > 0)
}
