//! Descriptions, good and bad: every problem with file, line and column, in words.
#![allow(clippy::disallowed_methods)]

use diskwright::describe::kiwi::{LARGEST, LoadError, load, parse};
use diskwright::model::{Arch, Model};
use diskwright::resolve::{Choice, ResolveError, resolve};
use proptest::prelude::*;

/// What every description must say.
const ABOUT: &str = "<description type=\"system\"><author>A</author><contact>a@b</contact><specification>S</specification></description>";

/// A description whose third line is its only type.
fn with_type(attributes: &str, children: &str) -> String {
    format!(
        "<image schemaversion=\"8.5\" name=\"t\">{ABOUT}\n<preferences><version>1.0</version>\n<type {attributes}>\n{children}\n\
         </type>\n</preferences>\n</image>\n"
    )
}

const GOOD: &str = r#"image="oem" firmware="uefi" filesystem="ext4""#;
const LOADER: &str = r#"<bootloader name="custom"/><oemconfig><oem-resize>false</oem-resize></oemconfig>"#;

/// Problems of an image of the description, each with its hint below it; empty if there are none.
fn problems(xml: &str, choice: &Choice) -> String {
    let model = match parse("d.xml", xml.as_bytes().to_vec()) {
        Ok(model) => model,
        Err(diagnostics) => return with_hints(&diagnostics.list),
    };
    problems_of(&model, choice)
}

fn problems_of(model: &Model, choice: &Choice) -> String {
    match resolve(model, choice) {
        Ok(resolved) => with_hints(&resolved.told().list),
        Err(ResolveError::Refused(diagnostics)) => with_hints(&diagnostics.list),
        Err(ResolveError::Choice(refusal)) => {
            format!("{refusal}\n  {}\n", refusal.hint.as_deref().unwrap_or(""))
        }
    }
}

fn with_hints(list: &[diskwright::describe::Diagnostic]) -> String {
    let line = |one: &diskwright::describe::Diagnostic| match &one.hint {
        Some(hint) => format!("{one}\n  {hint}\n"),
        None => format!("{one}\n"),
    };
    list.iter().map(line).collect()
}

fn check(xml: &str, expected: &str) {
    let found = problems(xml, &Choice::new(Arch::X86_64));
    let shown: String = xml.chars().take(2000).collect();
    assert_eq!(found.trim_end(), expected.trim_end(), "\n{shown}");
}

fn check_type(attributes: &str, children: &str, expected: &str) {
    check(&with_type(attributes, children), expected);
}

#[test]
fn a_good_description_has_no_problems() {
    check_type(GOOD, LOADER, "");
    check_type(
        &format!(
            "{GOOD} format=\"qcow2\" efipartsize=\"128\" rootfs_label=\"SYS\" eficsm=\"false\" primary=\"true\""
        ),
        r#"<bootloader name="systemd_boot" timeout="5"/><size unit="G" unpartitioned="1">8</size>
           <oemconfig><oem-resize>false</oem-resize><oem-swap>false</oem-swap></oemconfig>
           <partitions><partition name="var" size="1G" mountpoint="/var" filesystem="ext4"/>
           <partition name="raw" size="10"/></partitions>"#,
        "",
    );
    check_type(r#"image="ext4" fscreateoptions="-m 1""#, "<size>100</size>", "");
}

#[test]
fn what_is_not_supported_is_named() {
    let cases = [
        (
            r#"image="oem" filesystem="ext4" firmware="ofw""#,
            LOADER,
            "d.xml:3:37: error: firmware=\"ofw\", which x86_64 does not have\n  one of: efi, uefi, bios, ec2, custom",
        ),
        (
            r#"image="oem" filesystem="ext4" firmware="bios""#,
            r#"<bootloader name="systemd_boot"/><oemconfig><oem-resize>false</oem-resize></oemconfig>"#,
            "d.xml:3:1: error: systemd-boot starts from UEFI alone, and the firmware is bios\n  firmware=\"uefi\"",
        ),
        (
            r#"image="oem" firmware="efi" filesystem="btrfs""#,
            LOADER,
            "d.xml:3:34: error: filesystem=\"btrfs\" is not supported yet\n  supported: filesystem=\"ext2\", filesystem=\"ext3\", filesystem=\"ext4\"",
        ),
        (
            GOOD,
            r#"<bootloader name="zipl"/><oemconfig><oem-resize>false</oem-resize></oemconfig>"#,
            "d.xml:4:13: error: bootloader name=\"zipl\" is not supported yet: loaders for s390\n  supported: name=\"grub2\", \
             name=\"systemd_boot\", name=\"custom\"",
        ),
        (
            r#"image="oem" firmware="uefi" filesystem="ext4" luks="secret" overlayroot="true" mdraid="mirroring""#,
            LOADER,
            "d.xml:3:53: error: attribute luks of <type> is not supported yet: encryption\n\
             d.xml:3:67: error: attribute overlayroot of <type> is not supported yet, except false or 0: an overlay root\n\
             d.xml:3:86: error: attribute mdraid of <type> is not supported yet: RAID",
        ),
        (
            GOOD,
            "<bootloader name=\"custom\"/>\n<systemdisk><volume name=\"home\"/></systemdisk>\n<oemconfig><oem-swap>true</oem-swap>\
             <oem-resize>false</oem-resize></oemconfig>",
            "d.xml:5:1: error: element systemdisk is not supported yet: volumes (LVM, btrfs)",
        ),
        (
            r#"image="iso" firmware="efi""#,
            "",
            "d.xml:3:7: error: image=\"iso\" is not supported yet: live media\n  supported: image=\"ext2\", image=\"ext3\", image=\"ext4\", image=\"oem\"",
        ),
        (
            r#"image="oem" firmware="uefi" filesystem="ext4" format="vmdk""#,
            LOADER,
            "d.xml:3:53: error: format=\"vmdk\" is not supported yet\n  supported: format=\"raw\", format=\"qcow2\"",
        ),
        (
            r#"image="oem" firmware="uefi" filesystem="ext4" efiparttable="msdos" installiso="true""#,
            LOADER,
            "d.xml:3:74: error: attribute installiso of <type> is not supported yet, except false or 0: install media",
        ),
    ];
    for (attributes, children, expected) in cases {
        check_type(attributes, children, expected);
    }
}

#[test]
fn what_is_unknown_is_named_with_its_neighbour() {
    check_type(
        r#"image="oem" firmware="uefi" filesytem="ext4""#,
        LOADER,
        "d.xml:3:1: error: <type> lacks the attribute filesystem\n\
         d.xml:3:35: error: <type> has no attribute filesytem\n  did you mean filesystem?",
    );
    check_type(
        GOOD,
        "<bootloader name=\"custom\"/>\n<sise>5</sise><oemconfig><oem-resize>false</oem-resize></oemconfig>",
        "d.xml:5:1: error: <type> has no element sise\n  did you mean size?",
    );
    check_type(
        r#"image="oen""#,
        "",
        "d.xml:3:14: error: image has no value oen: it is one of btrfs, cpio, docker, ext2, ext3, ext4, iso, oem, pxe, \
         kis, squashfs, erofs, tbz, xfs, oci, appx, enclave, wsl\n  did you mean oem?",
    );
    check(
        "<image schemaversion=\"8.5\" name=\"t\">\n<repositry/>\nwords\n<preferences nix=\"1\"/>\n</image>",
        "d.xml:1:1: error: <image> lacks the element description\n\
         d.xml:1:1: error: no type in the preferences that are selected\n  types may hide behind profiles: --profile NAME\n\
         d.xml:1:1: error: no version in the preferences that are selected (check_image_version_provided)\n  <version>1.0.0</version>\n\
         d.xml:2:1: error: <image> has no element repositry\n  did you mean repository?\n\
         d.xml:2:13: error: text in <image>, which only holds elements\n\
         d.xml:4:14: error: <preferences> has no attribute nix",
    );
}

#[test]
fn wrong_values_are_named() {
    let cases = [
        ("eficsm=\"maybe\"", LOADER, "d.xml:3:61: error: eficsm is neither true nor false: maybe"),
        (
            "efipartsize=\"20M\"",
            LOADER,
            "d.xml:3:66: error: efipartsize is no number of at most 64 bits: 20M",
        ),
        ("efipartsize=\"0\"", LOADER, "d.xml:3:66: error: efipartsize is no usable number of MiB: 0"),
        (
            "target_blocksize=\"1024\"",
            LOADER,
            "d.xml:3:53: error: target_blocksize is neither 512 nor 4096: 1024",
        ),
        (
            "disk_start_sector=\"2049\"",
            LOADER,
            "d.xml:3:53: error: disk_start_sector is no multiple of 2048: 2049\n  partitions start at multiples of 2048 \
             sectors",
        ),
        (
            "kernelcmdline=\"a&#10;b\"",
            LOADER,
            "d.xml:3:68: error: kernelcmdline holds a control character: U+000A",
        ),
        ("fsmountoptions=\"a b\"", LOADER, "d.xml:3:69: error: fsmountoptions with blanks in it: a b"),
        (
            "format=\"raw\" formatoptions=\"cluster_size=4096\"",
            LOADER,
            "d.xml:3:66: error: an option that raw does not have: cluster_size=4096",
        ),
    ];
    for (attribute, children, expected) in cases {
        check_type(&format!("{GOOD} {attribute}"), children, expected);
    }
    let sizes = [
        ("<size>big</size>", "d.xml:5:1: error: size is no number of at most 64 bits: big"),
        (
            "<size unit=\"T\">1</size>",
            "d.xml:5:13: error: unit has no value T: it is one of M, G\n  did you mean G?",
        ),
        ("<size>99999999999999</size>", "d.xml:5:1: error: a size of more than 2^60 bytes"),
        (
            "<size unpartitioned=\"2\">1</size>",
            "d.xml:5:1: error: unpartitioned is larger than the size that it is part of",
        ),
        ("<size>1</size><size>2</size>", "d.xml:5:15: error: a second size in <type>"),
    ];
    for (size, expected) in sizes {
        check_type(GOOD, &format!("{LOADER}\n{size}"), expected);
    }
}

#[test]
fn partitions_are_checked() {
    let cases = [
        ("name=\"aa\"", "d.xml:5:13: error: <partition> lacks the attribute size"),
        (
            "name=\"oot\" size=\"5\"",
            "d.xml:5:24: error: a partition name that KIWI keeps for itself: oot\n  any name that is \
          not part of this text: root readonly boot prep spare swap efi_csm efi",
        ),
        (
            "name=\"aa\" size=\"5K\"",
            "d.xml:5:40: error: size is no size: 5K\n  a number of MiB, or one with M or G behind it",
        ),
        ("name=\"aa\" size=\"0\"", "d.xml:5:40: error: size is nothing, or more than 2^60 bytes: 0"),
        (
            "name=\"aa\" size=\"5\" mountpoint=\"/a\"",
            "d.xml:5:43: error: a mount point without a file system: /a\n  add \
          filesystem=\"ext4\"",
        ),
        (
            "name=\"aa\" size=\"5\" mountpoint=\"/a/../b\" filesystem=\"ext4\"",
            "d.xml:5:43: error: a mount point that cannot be: \
          /a/../b: `.` and `..` are not allowed",
        ),
        (
            "name=\"aa\" size=\"5\" mountpoint=\"/boot/efi/\" filesystem=\"ext4\"",
            "d.xml:5:43: error: a mount point that cannot \
          be: /boot/efi/: the EFI system partition is mounted there",
        ),
        (
            "name=\"aa\" size=\"5\" filesystem=\"xfs\" mountpoint=\"/a\"",
            "d.xml:5:43: error: partition filesystem=\"xfs\" is not supported yet\n  \
          supported: filesystem=\"ext2\", filesystem=\"ext3\", filesystem=\"ext4\", filesystem=\"fat32\", filesystem=\"fat16\"",
        ),
        (
            "name=\"aa\" size=\"5\" clone=\"200\" part_id=\"129\"",
            "d.xml:5:50: error: clone is more than the 128 entries of a table: 200\n\
             d.xml:5:64: error: part_id is more than the 128 entries of a table: 129",
        ),
        (
            "name=\"aa\" size=\"5\" partition_name=\"x y\"",
            "d.xml:5:59: error: partition_name is no name: x y\n  1 to 32 letters, \
          digits, `_`, `-` or `.`",
        ),
        (
            "name=\"aa\" size=\"5\"/><partition name=\"aa\" size=\"5\"",
            "d.xml:5:44: error: a second partition of this name: aa",
        ),
    ];
    for (partition, expected) in cases {
        check_type(GOOD, &format!("{LOADER}\n<partitions><partition {partition}/></partitions>"), expected);
    }
}

#[test]
fn the_top_of_a_description_is_checked() {
    let rest = "<preferences><version>1.0</version>\n<type image=\"ext4\"/></preferences></image>";
    let cases = [
        (
            &format!("<image schemaversion=\"8.5\">{ABOUT}"),
            "d.xml:1:1: error: <image> lacks the attribute name",
        ),
        (
            &format!("<image schemaversion=\"8.5\" name=\"../x\">{ABOUT}"),
            "d.xml:1:34: error: name is no name of a file: ../x\n  at most 128 letters, digits, `_`, `-` or `.`, the first one no \
          `.`\nd.xml:1:34: error: name is no name: ../x\n  letters, digits, `_`, `-` and `.`",
        ),
        (
            &format!("<image schemaversion=\"5.9\" name=\"t\">{ABOUT}"),
            "d.xml:1:23: error: schemaversion before 6.0 is not supported: 5.9\n  \
          upgrade the description with an older KIWI first",
        ),
        (
            &format!("<image schemaversion=\"7.7\" name=\"t\">{ABOUT}"),
            "d.xml:1:23: error: there was no such schemaversion: 7.7\n  6.0 to 6.9, 7.0 to 7.6, 8.0 to 8.5",
        ),
        (
            &format!("<image schemaversion=\"9.0\" name=\"t\">{ABOUT}"),
            "d.xml:1:23: error: schemaversion is newer than 8.5, the last that is known: 9.0\n  schemaversion=\"8.5\", if \
          nothing newer is used",
        ),
        (
            &format!("<image schemaversion=\"+8.5\" name=\"t\">{ABOUT}"),
            "d.xml:1:23: error: schemaversion is no version: +8.5",
        ),
        (
            &format!("<image schemaversion=\"8.5\" name=\"t\"><include from=\"x.xml\"/>{ABOUT}"),
            "d.xml:1:52: error: what is included cannot be read: there are no other files here\n  file:///PATH is \
          absolute; this://PATH and a path without / in front start at the description",
        ),
        (
            &format!("<image schemaversion=\"8.5\" name=\"t\"><include/>{ABOUT}"),
            "d.xml:1:37: error: <include> lacks the attribute from",
        ),
        (
            &format!("<image schemaversion=\"8.5\" name=\"t\">{}", ABOUT.replace("system", "boot")),
            "d.xml:1:50: error: description type=\"boot\" is not \
          supported yet: descriptions of custom initrds\n  supported: type=\"system\"",
        ),
    ];
    for (head, expected) in cases {
        check(&format!("{head}{rest}"), expected);
    }
    check("<package/>", "d.xml:1:1: error: no image description: the root element is package");
}

#[test]
fn hostile_xml_is_refused_quickly() {
    let bomb =
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]>\n<image>&b;</image>";
    check(bomb, "d.xml:1:1: error: XML with DTD detected");
    let deep = format!("<image schemaversion=\"8.5\" name=\"t\">{}", "<a>".repeat(1 << 20));
    assert!(problems(&deep, &Choice::new(Arch::X86_64)).contains("error"), "deep nesting");
    let closed = format!("{}{}{}", "<image>", "<a>".repeat(1 << 17), "</a>".repeat(1 << 17) + "</image>");
    assert!(
        problems(&closed, &Choice::new(Arch::X86_64)).contains("has no element a"),
        "deep nesting, well-formed"
    );
    let wide = (0..200_000).map(|at| format!(" a{at}=\"\"")).collect::<String>();
    check(&format!("<image{wide}/>"), "d.xml:1:2: error: a tag with more than 500 attributes");
    let names: String = (0..100_000).map(|at| format!("<a xmlns:n{at}=\"{at}\">")).collect();
    check(&names, "d.xml:1:3784: error: more than 200 namespaces");
    let found = parse("d.xml", b"<image>\xff</image>".to_vec()).expect_err("no UTF-8");
    assert_eq!(found.to_string(), "d.xml:1:8: error: the description is no UTF-8 here\n");
    check("<image", "d.xml:1:1: error: the document does not have a root node");
    check("", "d.xml:1:1: error: the document does not have a root node");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config.xml");
    std::fs::File::create(&file).and_then(|file| file.set_len(100 << 20)).expect("a sparse file");
    match load(directory.path(), None) {
        Err(LoadError::TooLarge { len, .. }) => assert_eq!(len, 100 << 20),
        other => panic!("{other:?}"),
    }
    let endless = load(std::path::Path::new("/dev/zero"), None);
    assert!(matches!(endless, Err(LoadError::TooLarge { len, .. }) if len == LARGEST + 1), "{endless:?}");
}

#[test]
fn the_file_is_chosen_as_kiwi_chooses_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let name_of = |kiwi_file: Option<&str>| match load(directory.path(), kiwi_file) {
        Ok(description) => description.model.name,
        Err(error) => error.to_string().replace(&directory.path().display().to_string(), "D"),
    };
    let write = |name: &str| {
        let image = name.replace(['/', '.'], "-");
        let xml = with_type(GOOD, LOADER).replace("name=\"t\"", &format!("name=\"{image}\""));
        std::fs::create_dir_all(directory.path().join("image")).expect("a directory");
        std::fs::write(directory.path().join(name), xml).expect("a file");
    };
    assert_eq!(name_of(None), "D: no description: neither config.xml nor a file that ends in .kiwi");
    write("b.kiwi");
    write("a.kiwi");
    assert_eq!(name_of(None), "a-kiwi");
    write("image/config.xml");
    assert_eq!(name_of(None), "image-config-xml");
    write("config.xml");
    assert_eq!(name_of(None), "config-xml");
    assert_eq!(name_of(Some("b.kiwi")), "b-kiwi");
    let file = load(&directory.path().join("b.kiwi"), None).expect("a file is a description");
    assert_eq!((file.model.name.as_str(), file.directory.as_path()), ("b-kiwi", directory.path()));
}

/// Codes are written in the sources as the first argument of these functions.
#[test]
fn every_code_is_explained() {
    fn sources(directory: &std::path::Path, found: &mut String) {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, found);
            } else if !path.ends_with("explain.rs") {
                found.push_str(&std::fs::read_to_string(&path).expect("a source"));
            }
        }
    }
    let mut text = String::new();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&source.join("describe"), &mut text);
    sources(&source.join("resolve"), &mut text);
    text += &std::fs::read_to_string(source.join("resolve.rs")).expect("a source");
    let mut used: Vec<String> = Vec::new();
    for call in ["error(", "error_with(", "warning(", "not_here(", "unknown("] {
        for rest in text.split(call).skip(1) {
            let Some(code) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            used.push(code.to_owned());
        }
    }
    used.sort();
    used.dedup();
    used.retain(|code| !code.is_empty());
    let known: Vec<&str> = diskwright::describe::CODES.iter().map(|(code, _)| *code).collect();
    assert!(known.is_sorted() && used.len() > 15, "{used:?}");
    for code in &used {
        assert!(known.contains(&code.as_str()), "{code} is not explained");
    }
    for code in known {
        assert!(used.iter().any(|one| one == code), "{code} is explained and never said");
    }
}

/// What nothing of a disk takes up, beside a disk that does.
#[test]
fn what_has_no_effect_on_a_disk_is_said() {
    const BIOS: &str = r#"image="oem" firmware="bios" filesystem="ext4""#;
    let boot = r#"bootpartition="true""#;
    let cases = [
        (GOOD, r#"bootpartsize="90""#, GOOD, boot),
        (GOOD, r#"bootfilesystem="ext3""#, GOOD, boot),
        (GOOD, r#"boot_clone="1""#, GOOD, boot),
        (GOOD, r#"bootpart_id="9""#, GOOD, boot),
        (BIOS, r#"efipartsize="90""#, GOOD, ""),
        (BIOS, r#"efimountoptions="ro""#, GOOD, ""),
        (BIOS, r#"efipart_id="3""#, GOOD, ""),
        (BIOS, r#"efiparttable="gpt""#, GOOD, ""),
        (BIOS, r#"eficsm="false""#, GOOD, ""),
        (BIOS, r#"eficsmpart_id="3""#, GOOD, ""),
        (BIOS, r#"gpt_hybrid_mbr="true""#, GOOD, ""),
        (BIOS, r#"force_mbr="true""#, GOOD, ""),
        (GOOD, r#"dosparttable_extended_layout="true""#, BIOS, ""),
        (BIOS, r#"apply_dps_codes="true""#, GOOD, ""),
        (GOOD, r#"spare_part_fs="ext4""#, GOOD, r#"spare_part="20""#),
        (GOOD, r#"spare_part_mountpoint="/a""#, GOOD, r#"spare_part="20" spare_part_fs="ext4""#),
    ];
    let choice = Choice::new(Arch::X86_64);
    for (kind, attribute, other, more) in cases {
        let name = attribute.split('=').next().unwrap_or("");
        let found = problems(&with_type(&format!("{kind} {attribute}"), LOADER), &choice);
        assert!(found.contains(&format!("warning: {name} has no effect: ")), "{attribute}: {found}");
        let fine = problems(&with_type(&format!("{other} {more} {attribute}"), LOADER), &choice);
        assert_eq!(fine, "", "{other} {more} {attribute}");
    }
    let off =
        problems(&with_type(&format!(r#"{BIOS} gpt_hybrid_mbr="false" boot_clone="0""#), LOADER), &choice);
    assert_eq!(off, "", "what is off is no wish");
    let unmounted = problems(
        &with_type(&format!(r#"{GOOD} spare_part="20" spare_part_mountpoint="/a""#), LOADER),
        &choice,
    );
    assert!(unmounted.contains("spare_part_fs names one"), "{unmounted}");
    let swap = |more: &str| {
        let oem = format!(
            "<oemconfig><oem-resize>false</oem-resize>{more}<oem-swapsize>9</oem-swapsize></oemconfig>"
        );
        problems(&with_type(GOOD, &format!("<bootloader name=\"custom\"/>{oem}")), &choice)
    };
    assert!(swap("").contains("oemconfig/oem-swapsize has no effect: there is no swap"), "{}", swap(""));
    assert_eq!(swap("<oem-swap>true</oem-swap>"), "");
    let theme = |loader: &str| {
        let xml = with_type(GOOD, &LOADER.replace("custom", loader));
        problems(&xml.replace("</version>", "</version><bootloader-theme>t</bootloader-theme>"), &choice)
    };
    assert!(theme("custom").contains("bootloader-theme has no effect"), "{}", theme("custom"));
    assert_eq!(theme("grub2"), "");
}

#[test]
fn carets_stand_below_the_attribute() {
    let xml = with_type(r#"image="oem" firmware="bios" luks="x" filesytem="ext4""#, LOADER);
    let model = parse("d.xml", xml.into_bytes()).expect("it is XML");
    let Err(ResolveError::Refused(diagnostics)) = resolve(&model, &Choice::new(Arch::X86_64)) else {
        panic!("it is refused")
    };
    let expected = r#"error[missing-attribute]: <type> lacks the attribute filesystem
 --> d.xml:3:1
  |
3 | <type image="oem" firmware="bios" luks="x" filesytem="ext4">
  | ^^^^^

error[unsupported]: attribute luks of <type> is not supported yet: encryption
 --> d.xml:3:35
  |
3 | <type image="oem" firmware="bios" luks="x" filesytem="ext4">
  |                                   ^^^^^^^^

error[unknown-attribute]: <type> has no attribute filesytem
 --> d.xml:3:44
  |
3 | <type image="oem" firmware="bios" luks="x" filesytem="ext4">
  |                                            ^^^^^^^^^
  |
  = help: did you mean filesystem?"#;
    let found = diagnostics.render(false);
    assert_eq!(found, expected, "\n{found}");
}

/// Two types, two profiles, two machines.
const CHOICES: &str = r#"<image schemaversion="8.5" name="t">
<description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description>
<profiles>
<profile name="Disk" description="d"><requires profile="Common"/></profile>
<profile name="Common" description="c"/>
<profile name="Bare" description="b" import="true"/>
<profile name="Arm" description="a" arch="aarch64"/>
</profiles>
<preferences><version>1.0</version></preferences>
<preferences profiles="Disk">
<type image="oem" firmware="uefi" filesystem="ext4"><bootloader name="custom"/></type>
<type image="docker"/>
</preferences>
<preferences profiles="Bare"><type image="ext4"/></preferences>
<preferences arch="aarch64"><type image="iso"/></preferences>
<packages type="image" profiles="Common"><package name="a"/></packages>
</image>"#;

#[test]
fn profiles_types_and_machines_choose() {
    let model = parse("d.xml", CHOICES.as_bytes().to_vec()).expect("it is XML");
    let chosen = |profiles: &[&str], kind: Option<&str>, arch: Arch| {
        let profiles = profiles.iter().map(|one| (*one).to_owned()).collect();
        let choice = Choice { profiles, image_type: kind.map(str::to_owned), ..Choice::new(arch) };
        match resolve(&model, &choice) {
            Ok(resolved) => {
                let target = match resolved.image.target {
                    diskwright::model::Target::Disk(_) => "disk",
                    diskwright::model::Target::Filesystem(_) => "bare",
                };
                format!("{target} {} {}", resolved.profiles.join("+"), resolved.needs.len())
            }
            Err(error) => error.to_string().lines().last().unwrap_or_default().to_owned(),
        }
    };
    let cases = [
        (&[][..], None, Arch::X86_64, "bare Bare 0"),
        (&["Disk"], None, Arch::X86_64, "disk Disk+Common 2"),
        (&["Disk"], Some("vmx"), Arch::X86_64, "disk Disk+Common 2"),
        (
            &["Disk"],
            Some("docker"),
            Arch::X86_64,
            "d.xml:12:7: error: image=\"docker\" is not supported yet: containers",
        ),
        (&["Disk"], Some("tbz"), Arch::X86_64, "image: --type: no such type: tbz"),
        (&["Nix"], None, Arch::X86_64, "image: --profile: no such profile on x86_64: Nix"),
        (&["Arm"], None, Arch::X86_64, "image: --profile: no such profile on x86_64: Arm"),
        (&["Arm"], None, Arch::Aarch64, "d.xml:15:35: error: image=\"iso\" is not supported yet: live media"),
        (&["Disk", "Bare"], None, Arch::X86_64, "disk Disk+Common+Bare 2"),
    ];
    for (profiles, kind, arch, expected) in cases {
        assert_eq!(chosen(profiles, kind, arch), expected, "{profiles:?} {kind:?} {arch}");
    }
}

#[test]
fn what_needs_a_package_manager_is_named_for_build() {
    let xml = with_type(GOOD, LOADER).replace(
        "</image>",
        "<users>\n<user name=\"root\" password=\"x\"/></users>\n<repository><source path=\"obs://x\"/></repository>\n\
         <packages type=\"image\"><package name=\"a\"/></packages>\n<packages type=\"delete\"/>\n\
         <packages type=\"bootstrap\"><archive name=\"a.tgz\"/></packages>\n</image>",
    );
    let model = parse("d.xml", xml.into_bytes()).expect("it is XML");
    let resolved = resolve(&model, &Choice::new(Arch::X86_64)).expect("create can use it");
    let needs: Vec<String> = resolved.needs.iter().map(ToString::to_string).collect();
    let expected = [
        "d.xml:7:1: error: element users needs accounts in the tree, which build cannot do yet",
        "d.xml:9:1: error: element repository needs a package manager, which build cannot do yet",
        "d.xml:10:1: error: element packages needs a package manager, which build cannot do yet",
        "d.xml:12:1: error: element packages needs archives and files unpacked into the tree, which build cannot do yet",
    ];
    assert_eq!(needs, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// A description with bytes changed, taken out and put in: refused or read, and every place is in the file.
    #[test]
    fn mutants_are_survived(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_usize..3), 1..6),
        choices in any::<bool>(),
    ) {
        let mut bytes = match choices {
            true => CHOICES.as_bytes().to_vec(),
            false => with_type(GOOD, LOADER).into_bytes(),
        };
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, b"<>\"'&=/ x\xc3"[usize::from(byte) % 10]),
            }
        }
        let diagnostics = match parse("d.xml", bytes) {
            Err(diagnostics) => diagnostics,
            Ok(model) => match resolve(&model, &Choice::new(Arch::X86_64)) {
                Ok(resolved) => resolved.warnings,
                Err(ResolveError::Refused(diagnostics)) => diagnostics,
                Err(ResolveError::Choice(_)) => return Ok(()),
            },
        };
        for one in &diagnostics.list {
            prop_assert!(one.span.start <= one.span.end && one.span.end <= one.source.text.len(), "{one}");
        }
        prop_assert!(diagnostics.list.is_empty() || !diagnostics.render(false).is_empty());
    }
}
