//! Plans as tables, and what becomes of them with a tree.
#![allow(clippy::disallowed_methods)]

use diskwright::build::identity;
use diskwright::describe::kiwi::parse;
use diskwright::model::{Arch, Image, MIB, Size};
use diskwright::plan::{Fit, Part, Plan, fit, plan};
use diskwright::report::LayoutReport;
use diskwright::resolve::{Choice, from_tree, resolve};
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_formats::layout::ContentId;
use diskwright_formats::layout::Memory;
use diskwright_formats::table::gpt::{first_usable, last_usable};
use diskwright_fstools::tree::{Data, Kind, Meta, Node, Time, Tree};
use proptest::prelude::*;

const EPOCH: i64 = 1_700_000_000;

fn describe(attributes: &str, children: &str) -> String {
    format!(
        r#"<image schemaversion="8.5" name="demo" displayname="Demo"><description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description><preferences><version>1.2.3</version>
        <type image="oem" filesystem="ext4" firmware="uefi" {attributes}>
        <oemconfig><oem-resize>false</oem-resize></oemconfig>{children}</type></preferences></image>"#
    )
}

fn image_of(xml: &str, choice: &Choice) -> Image {
    let model = parse("d.xml", xml.as_bytes().to_vec()).expect("it is XML");
    resolve(&model, choice).expect("it is accepted").image
}

fn x86() -> Choice {
    Choice::new(Arch::X86_64)
}

fn plan_of(image: &Image) -> Plan {
    plan(image, &identity(image, Some(b"seed"), EPOCH)).expect("it can be planned")
}

/// A line for each part: number, name, kind of type GUID, size, file system, label, mount point.
fn table(plan: &Plan) -> String {
    plan.parts.iter().map(|part| format!("{}\n", row(part))).collect()
}

fn row(part: &Part) -> String {
    let entry = part.entry.as_ref().map(|entry| {
        let guid = entry.guids().expect("a GPT").0.to_string();
        format!("{} {} {}", entry.number, entry.name, &guid[..8])
    });
    let filesystem = part.filesystem.as_ref().map(|one| {
        let options = one.mkfs.options.join(" ");
        format!("{} [{options}] {}", one.mkfs.name, one.mountpoint.as_deref().unwrap_or("-"))
    });
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    format!("{} | {} | {}", or_dash(entry), part.size, or_dash(filesystem))
}

#[track_caller]
fn check_table(attributes: &str, children: &str, choice: &Choice, expected: &str) {
    let found = table(&plan_of(&image_of(&describe(attributes, children), choice)));
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<String>>();
    assert_eq!(lines(found.trim()), lines(expected.trim()), "{attributes} {children}");
}

const CUSTOM: &str = r#"<bootloader name="custom"/>"#;

#[test]
fn partitions_have_kiwis_order_and_names() {
    check_table(
        "",
        CUSTOM,
        &x86(),
        "1 p.legacy 21686148 | 2 MiB | -
         2 p.UEFI c12a7328 | 20 MiB | vfat [-F 16 -n EFI] /boot/efi
         3 p.lxroot 0fc63daf | content + max(256 MiB, 20 %) | ext4 [-L ROOT] /",
    );
    check_table(
        r#"apply_dps_codes="true" eficsm="false" efipartsize="512" rootfs_label="SYS" fscreateoptions="-m 1""#,
        &format!(r#"{CUSTOM}<size unit="G">4</size>"#),
        &x86(),
        "1 p.UEFI c12a7328 | 512 MiB | vfat [-F 16 -n EFI] /boot/efi
         2 p.lxroot 4f68bce3 | rest | ext4 [-m 1 -L SYS] /",
    );
    check_table(
        r#"eficsm="false""#,
        &format!(
            r#"{CUSTOM}<partitions>
            <partition name="zeta" size="100" mountpoint="/zeta/" filesystem="ext4"/>
            <partition name="alpha" size="1G" partition_name="var" mountpoint="/var" filesystem="ext4" label="V"/>
            <partition name="raw" size="50"/>
            <partition name="md" size="50M" partition_type="t.raid"/>
            <partition name="exchange" size="40" filesystem="fat16"/></partitions>"#
        ),
        &x86(),
        "1 p.UEFI c12a7328 | 20 MiB | vfat [-F 16 -n EFI] /boot/efi
         2 p.lxzeta 0fc63daf | 100 MiB | ext4 [-L ZETA] /zeta
         3 var 0fc63daf | 1 GiB | ext4 [-L V] /var
         4 p.lxraw 0fc63daf | 50 MiB | -
         5 p.lxmd a19d880f | 50 MiB | -
         6 p.lxexchange 0fc63daf | 40 MiB | fat16 [-F 16 -n EXCHANGE] -
         7 p.lxroot 0fc63daf | content + max(256 MiB, 20 %) | ext4 [-L ROOT] /",
    );
}

#[test]
fn what_kiwi_means_and_does_not_do_is_said() {
    let why = |attributes: &str, children: &str, role: &str| {
        let xml = describe("", &format!("{CUSTOM}{children}"));
        let plan = plan_of(&image_of(&xml.replace(r#"firmware="uefi""#, attributes), &x86()));
        plan.parts.into_iter().find(|part| part.role == role).expect("there").why
    };
    let esp = "given: 20 MiB; KIWI gives it the type 83, which firmware may pass over";
    assert_eq!(why(r#"firmware="uefi" efiparttable="msdos""#, "", "efi"), esp);
    assert_eq!(why(r#"firmware="uefi""#, "", "efi"), "given: 20 MiB");
    assert!(why(r#"firmware="bios""#, "", "root").ends_with("; KIWI's tools lose its active flag"));
    assert!(!why(r#"firmware="bios" bootpartition="true""#, "", "root").contains("KIWI"));
    let var = r#"<partitions><partition name="vv" size="50" partition_name="var"/></partitions>"#;
    let typed = why(r#"firmware="uefi" apply_dps_codes="true""#, var, "vv");
    assert_eq!(typed, "given: 50 MiB; KIWI sets its discoverable type and takes it back");
}

#[test]
fn grub_names_no_initrd_where_there_is_to_be_none() {
    let initrd = |attributes: &str, children: &str| {
        let plan = plan_of(&image_of(&describe(attributes, children), &x86()));
        plan.boot.and_then(|boot| boot.grub).expect("GRUB").initrd
    };
    for children in ["", r#"<bootloader name="grub2"/>"#] {
        assert!(initrd("", children) && initrd(r#"initrd_system="dracut""#, children), "{children}");
        assert!(!initrd(r#"initrd_system="none""#, children), "{children}");
    }
}

#[test]
fn types_are_discoverable_by_the_partitions_name() {
    let partitions = r#"<partitions>
        <partition name="v" size="50" partition_name="var"/><partition name="u" size="50" partition_name="usr"/>
        <partition name="home" size="50"/><partition name="hh" size="50" partition_name="home"/></partitions>"#;
    let partitions = partitions.replace("\"v\"", "\"vv\"").replace("\"u\"", "\"uu\"");
    check_table(
        r#"apply_dps_codes="true""#,
        &format!("{CUSTOM}{partitions}"),
        &Choice::new(Arch::Aarch64),
        "1 p.UEFI c12a7328 | 20 MiB | vfat [-F 16 -n EFI] /boot/efi
         2 var 4d21b016 | 50 MiB | -
         3 usr b0e01050 | 50 MiB | -
         4 p.lxhome 0fc63daf | 50 MiB | -
         5 home 933ac7e1 | 50 MiB | -
         6 p.lxroot b921b045 | content + max(256 MiB, 20 %) | ext4 [-L ROOT] /",
    );
}

#[test]
fn the_command_line_overrides() {
    let choice = Choice {
        size: Some(Size::MinTimes(150)),
        esp_size: Some(Size::MinPlus(diskwright::model::mib(8))),
        label: Some("other".to_owned()),
        formats: vec!["raw".to_owned(), "qcow2".to_owned(), "raw".to_owned()],
        command_line: Some("quiet".to_owned()),
        no_boot: true,
        ..x86()
    };
    let xml = describe(
        r#"eficsm="false" format="qcow2" kernelcmdline="x""#,
        r#"<bootloader name="systemd_boot"/>"#,
    );
    let plan = plan_of(&image_of(&xml, &choice));
    let files: Vec<&str> = plan.outputs.iter().map(|output| output.file.as_str()).collect();
    assert_eq!(files, ["demo.x86_64-1.2.3.raw", "demo.x86_64-1.2.3.qcow2"]);
    let expected = "1 p.UEFI c12a7328 | min+8 MiB | vfat [-F 16 -n EFI] /boot/efi\n\
                    2 p.lxroot 0fc63daf | min*150% | ext4 [-L other] /\n";
    assert_eq!(table(&plan), expected);
    assert!(plan.command_line.is_some_and(|line| line.starts_with("quiet root=UUID=")));
    assert_eq!(plan.boot.map(|boot| boot.loader), Some(diskwright::model::Loader::Custom));
}

/// `fstab` and command line with the ids of each part replaced by its role.
fn texts(plan: &Plan) -> (String, String) {
    let fstab = plan.files.iter().find(|file| file.path == "/etc/fstab");
    let mut text = fstab.expect("a generated file").text.clone();
    let mut line = plan.command_line.clone().unwrap_or_default();
    for part in &plan.parts {
        let ids = [
            part.filesystem.as_ref().map(|one| one.id.clone()),
            part.entry.as_ref().and_then(|one| one.guids()).map(|(_, guid)| guid.to_string()),
        ];
        for id in ids.into_iter().flatten() {
            text = text.replace(&id, &format!("<{}>", part.role));
            line = line.replace(&id, &format!("<{}>", part.role));
        }
    }
    (text, line)
}

#[test]
fn fstab_and_command_line_name_devices() {
    let partitions = r#"<bootloader name="custom"/><partitions>
        <partition name="log" size="50" mountpoint="/var/log" filesystem="ext4"/>
        <partition name="var" size="50" mountpoint="/var" filesystem="ext4"/>
        <partition name="mine" size="50" mountpoint="/my files" filesystem="ext4"/></partitions>"#;
    let cases = [
        (
            r#"kernelcmdline="console=ttyS0""#,
            "UUID=<root> / ext4 defaults 0 1\nUUID=<mine> /my\\040files ext4 defaults 0 0\nUUID=<var> /var ext4 defaults 0 0\n\
             UUID=<efi> /boot/efi vfat defaults 0 0\nUUID=<log> /var/log ext4 defaults 0 0\n",
            "console=ttyS0 root=UUID=<root>",
        ),
        (
            r#"devicepersistency="by-label" fsmountoptions="noatime,errors=panic""#,
            "LABEL=ROOT / ext4 noatime,errors=panic 0 1\nLABEL=MINE /my\\040files ext4 defaults 0 0\n\
             LABEL=VAR /var ext4 defaults 0 0\nLABEL=EFI /boot/efi vfat defaults 0 0\nLABEL=LOG /var/log ext4 defaults 0 0\n",
            "root=LABEL=ROOT",
        ),
        (
            r#"devicepersistency="by-partuuid" kernelcmdline="quiet root=/dev/vda3""#,
            "PARTUUID=<root> / ext4 defaults 0 1\nPARTUUID=<mine> /my\\040files ext4 defaults 0 0\n\
             PARTUUID=<var> /var ext4 defaults 0 0\nPARTUUID=<efi> /boot/efi vfat defaults 0 0\n\
             PARTUUID=<log> /var/log ext4 defaults 0 0\n",
            "quiet root=/dev/vda3",
        ),
    ];
    for (attributes, fstab, line) in cases {
        let plan = plan_of(&image_of(&describe(attributes, partitions), &x86()));
        assert_eq!(texts(&plan), (fstab.to_owned(), line.to_owned()), "{attributes}");
        let files: Vec<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(files, ["/etc/fstab", "/config.partids", "/boot/mbrid"]);
    }
}

#[test]
fn ids_hang_on_roles_and_seed_alone() {
    let ids = |plan: &Plan| -> Vec<(String, String, Option<String>)> {
        let id = |part: &Part| {
            let guid = part
                .entry
                .as_ref()
                .and_then(|entry| entry.guids())
                .map(|(_, guid)| guid.to_string())
                .unwrap_or_default();
            (part.role.clone(), guid, part.filesystem.as_ref().map(|one| one.id.clone()))
        };
        plan.parts.iter().map(id).collect()
    };
    let few = plan_of(&image_of(&describe("", CUSTOM), &x86()));
    let partition = r#"<bootloader name="custom"/><partitions><partition name="var" size="9"/></partitions>"#;
    let more = plan_of(&image_of(&describe(r#"eficsm="false""#, partition), &x86()));
    for one in ids(&more).iter().filter(|(role, ..)| role != "var") {
        assert!(ids(&few).contains(one), "{one:?}");
    }
    let all: std::collections::BTreeSet<String> = ids(&more).into_iter().map(|(_, guid, _)| guid).collect();
    assert_eq!(all.len(), 3, "no two partitions share an id");
    let root = few
        .parts
        .last()
        .and_then(|part| part.entry.as_ref())
        .and_then(|entry| entry.guids())
        .map(|(_, guid)| guid);
    assert_eq!(
        root,
        Some(diskwright_formats::identity::Identity::new(b"seed", 0).role("part/root").uuid("guid"))
    );
}

#[test]
fn the_default_seed_is_what_shapes_the_disk() {
    let seed = |attributes: &str, choice: &Choice| image_of(&describe(attributes, CUSTOM), choice).seed();
    let same = seed("", &x86());
    let formats = Choice { formats: vec!["qcow2".to_owned(), "raw".to_owned()], ..x86() };
    assert_eq!(seed("", &formats), same, "containers take no part");
    assert_eq!(seed(r#"format="qcow2""#, &x86()), same);
    assert_ne!(seed(r#"kernelcmdline="x""#, &x86()), same);
    assert_ne!(seed("", &Choice { label: Some("x".to_owned()), ..x86() }), same);
    let image = image_of(&describe("", CUSTOM), &x86());
    assert_eq!(identity(&image, None, 5), identity(&image, Some(&same), 5));
}

#[test]
fn a_plan_is_json_with_a_schema_number() {
    let plan = plan_of(&image_of(&describe("", CUSTOM), &x86()));
    let json = serde_json::to_value(LayoutReport::of_plan(&plan)).expect("a plan is JSON");
    assert_eq!(json["schema"], 2);
    assert_eq!(json["partitions"][1]["name"], "p.UEFI");
    assert_eq!(json["partitions"][2]["size"], "content + max(256 MiB, 20 %)");
    assert_eq!(json["sector_size"], 512);
}

// With a tree.

fn meta(mode: u16) -> Meta {
    Meta::of_root(mode, Time::seconds(EPOCH))
}

/// A tree of files with these sizes in MiB.
fn tree_of(files: &[(&str, u64)]) -> Tree {
    let mut tree = Tree::new(meta(0o755));
    for (at, (path, mib)) in files.iter().enumerate() {
        let data = Data::Content { id: ContentId(at as u32), size: mib * MIB, runs: None };
        tree.put(path.as_bytes(), Node { meta: meta(0o644), kind: Kind::File(data) }, meta(0o755))
            .expect("a file");
    }
    tree
}

fn fit_of(image: &Image, tree: Tree) -> Result<Fit, Refusal> {
    fit(&plan_of(image), tree, &Memory(Vec::new()))
}

/// Name, start and length in MiB of each part.
fn numbers(fit: &Fit) -> Vec<(String, u64, u64)> {
    let number = |bytes: u64| {
        assert_eq!(bytes % MIB, 0, "all is aligned");
        bytes / MIB
    };
    let name = |part: &Part| part.entry.as_ref().map_or(part.role.clone(), |entry| entry.name.clone());
    fit.places.iter().map(|place| (name(&place.part), number(place.start), number(place.len))).collect()
}

/// Name, start and length in MiB.
type Numbers = (&'static str, u64, u64);

fn named(expected: &[Numbers]) -> Vec<(String, u64, u64)> {
    expected.iter().map(|&(name, start, len)| (name.to_owned(), start, len)).collect()
}

#[test]
fn a_disk_of_given_size_gives_the_root_the_rest() {
    let tree = || tree_of(&[("/a", 3)]);
    let cases: &[(&str, &str, u64, &[Numbers])] = &[
        ("", "<size>500</size>", 500, &[("p.legacy", 1, 2), ("p.UEFI", 3, 20), ("p.lxroot", 23, 476)]),
        (
            r#"eficsm="false""#,
            r#"<size unit="G">1</size>"#,
            1024,
            &[("p.UEFI", 1, 20), ("p.lxroot", 21, 1002)],
        ),
        (
            r#"eficsm="false""#,
            r#"<size unit="G" unpartitioned="1">3</size>"#,
            3072,
            &[("p.UEFI", 1, 20), ("p.lxroot", 21, 2026)],
        ),
        (
            r#"eficsm="false" target_blocksize="4096" efipartsize="40""#,
            "<size>500</size>",
            500,
            &[("p.UEFI", 8, 40), ("p.lxroot", 48, 451)],
        ),
        (
            r#"eficsm="false" disk_start_sector="4096""#,
            r#"<size>500</size><partitions><partition name="raw" size="7"/></partitions>"#,
            500,
            &[("p.UEFI", 2, 20), ("p.lxraw", 22, 7), ("p.lxroot", 29, 470)],
        ),
    ];
    for (attributes, children, len, expected) in cases {
        let image = image_of(&describe(attributes, &format!("{CUSTOM}{children}")), &x86());
        let fit = fit_of(&image, tree()).expect("it fits");
        assert_eq!((numbers(&fit), fit.len), (named(expected), len * MIB), "{attributes} {children}");
    }
}

#[test]
fn oem_systemsize_counts_where_the_root_does_not_grow() {
    let xml = describe("", &format!("{CUSTOM}<size>3000</size>"));
    let xml = xml.replace("</oem-resize>", "</oem-resize><oem-systemsize>1700</oem-systemsize>");
    let fit = fit_of(&image_of(&xml, &x86()), tree_of(&[])).expect("it fits");
    let expected = [("p.legacy", 1, 2), ("p.UEFI", 3, 20), ("p.lxroot", 23, 1700)];
    assert_eq!((numbers(&fit), fit.len), (named(&expected), 3000 * MIB));
    let resize = xml.replace("<oem-resize>false</oem-resize>", "");
    let fit = fit_of(&image_of(&resize, &x86()), tree_of(&[])).expect("it fits");
    assert_eq!(numbers(&fit)[2].2, 2976);
}

#[test]
fn without_a_size_the_root_has_room() {
    let image = image_of(&describe(r#"eficsm="false""#, CUSTOM), &x86());
    for mib in [1, 2000] {
        let tree = tree_of(&[("/a", mib)]);
        let fit = fit_of(&image, tree).expect("it fits");
        let place = fit.places.last().expect("there is a root");
        let filesystem =
            place.part.filesystem.as_ref().expect("with a file system").mkfs.filesystem().expect("ext4");
        let tree = place.tree.as_ref().expect("and a tree");
        let least = filesystem.measure(tree, 0, 512).expect("it can be measured");
        let room = filesystem.measure(tree, (256 * MIB).max(least / 5), 512).expect("it can be measured");
        assert_eq!(place.least, Some(least));
        assert_eq!(place.len, room.next_multiple_of(MIB), "{mib}");
        assert!(place.len >= (mib + 256) * MIB);
        assert_eq!(fit.len, place.start + place.len + MIB, "one unit for the table's copy");
    }
    let more = image_of(
        &describe(
            r#"eficsm="false""#,
            &format!("{CUSTOM}<size additive=\"true\" unpartitioned=\"10\">100</size>"),
        ),
        &x86(),
    );
    let (base, more) = (
        fit_of(&image, tree_of(&[("/a", 1)])).expect("fits"),
        fit_of(&more, tree_of(&[("/a", 1)])).expect("fits"),
    );
    assert_eq!(numbers(&more)[1].2, numbers(&base)[1].2 + 90);
    assert_eq!(more.len, base.len + 100 * MIB);
}

#[test]
fn sizes_of_the_command_line_rule() {
    let xml = describe(r#"eficsm="false""#, &format!("{CUSTOM}<size>9000</size>"));
    let root = |size: &str| {
        let size = Some(size.parse().expect("a size"));
        let fit =
            fit_of(&image_of(&xml, &Choice { size, ..x86() }), tree_of(&[("/a", 100)])).expect("it fits");
        let place = fit.places.into_iter().last().expect("a root");
        (place.len, place.least.expect("measured"), fit.len)
    };
    let (len, least, disk) = root("min");
    assert_eq!((len, disk), (least.next_multiple_of(MIB), 21 * MIB + len + MIB));
    assert_eq!(root("min*250%").0, (least * 5 / 2).next_multiple_of(MIB));
    assert!(root("min+64M").0 >= len + 64 * MIB);
    assert_eq!((root("512M").2, root("512M").0), (512 * MIB, 490 * MIB));
}

#[test]
fn a_mount_point_takes_its_files_out_of_the_root() {
    let partitions = r#"<bootloader name="custom"/><partitions>
        <partition name="var" size="100" mountpoint="/var" filesystem="ext4"/>
        <partition name="log" size="50" mountpoint="/var/log" filesystem="ext4"/>
        <partition name="new" size="50" mountpoint="/srv/new" filesystem="ext4"/></partitions>"#;
    let mut tree = tree_of(&[
        ("/etc/x", 1),
        ("/var/a", 1),
        ("/var/log/b", 1),
        ("/boot/efi/c", 1),
        ("/run/d", 1),
        ("/tmp/e", 1),
    ]);
    *tree.meta_mut(tree.lookup(b"/var").expect("there")) = Meta { mode: 0o1777, uid: 7, ..meta(0o755) };
    let linked = tree.lookup(b"/var/a").expect("there");
    let etc = tree.lookup(b"/etc").expect("there");
    tree.link(etc, b"hard", linked).expect("a link");
    let attributes = tree.intern([(b"user.k".to_vec(), b"v".to_vec())].into());
    tree.meta_mut(linked).xattrs = attributes;
    let fit = fit_of(&image_of(&describe(r#"eficsm="false""#, partitions), &x86()), tree).expect("it fits");
    let paths = |role: &str| -> Vec<String> {
        let place = fit.places.iter().find(|place| place.part.role == role).expect("there");
        let tree = place.tree.as_ref().expect("a tree");
        tree.walk().map(|step| String::from_utf8(step.path).expect("ASCII")).collect()
    };
    assert_eq!(
        paths("root"),
        [
            "/",
            "/boot",
            "/boot/efi",
            "/boot/mbrid",
            "/config.partids",
            "/etc",
            "/etc/fstab",
            "/etc/hard",
            "/etc/x",
            "/run",
            "/srv",
            "/srv/new",
            "/tmp",
            "/var"
        ]
    );
    assert_eq!(paths("var"), ["/", "/a", "/log"]);
    assert_eq!(paths("log"), ["/", "/b"]);
    assert_eq!(paths("new"), ["/"]);
    assert_eq!(paths("efi"), ["/", "/c"]);
    assert_eq!(fit.left_out, ["/run/d", "/tmp/e"]);
    let var = fit.places[1].tree.as_ref().expect("a tree");
    assert_eq!(
        (
            var.node(diskwright_fstools::tree::ROOT).meta.mode,
            var.node(diskwright_fstools::tree::ROOT).meta.uid
        ),
        (0o1777, 7)
    );
    let file = var.lookup(b"/a").expect("there");
    assert_eq!(var.xattrs(var.node(file).meta.xattrs).len(), 1, "attributes come along");
}

#[track_caller]
fn check_refusal(image: &Image, tree: Tree, expected: &str) -> RefusalKind {
    let refusal = fit_of(image, tree).expect_err("it is refused");
    assert_eq!(format!("{refusal}\n{}", refusal.hint.as_deref().unwrap_or("")), expected);
    refusal.kind
}

#[test]
fn what_does_not_fit_says_what_would() {
    let tree = || {
        tree_of(&[
            ("/usr/lib/big/a", 90),
            ("/usr/lib/big/b", 90),
            ("/usr/bin/c", 40),
            ("/opt/app/d", 60),
            ("/var/e", 20),
            ("/etc/f", 1),
            ("/boot/efi/kernel", 30),
        ])
    };
    let image = |attributes: &str, children: &str| {
        image_of(&describe(attributes, &format!("{CUSTOM}{children}")), &x86())
    };
    let big = r#"eficsm="false" efipartsize="64""#;
    let refusal = fit_of(&image(big, "<size>200</size>"), tree()).expect_err("it does not fit");
    let RefusalKind::TooSmall { needed: Some(needed) } = refusal.kind else { panic!("{refusal:?}") };
    let mib = needed / MIB;
    // The ESP of 64 MiB and one MiB on either end of the disk are not the root's.
    let root = mib - 66;
    let expected = format!(
        "disk: p.lxroot: the tree does not fit: p.lxroot needs {root} MiB, and a disk of 200 MiB leaves 134 MiB"
    );
    assert_eq!(refusal.to_string(), expected);
    let expected = format!(
        "a disk of {mib} MiB would do: <size unit=\"M\">{mib}</size> or --size {mib}M; largest directories: /usr 220 MiB, \
         /usr/lib/big 180 MiB, /opt/app 60 MiB, /usr/bin 40 MiB, /var 20 MiB"
    );
    assert_eq!(refusal.hint, Some(expected));
    let size = format!("<size>{}</size>", needed / MIB);
    let fit = fit_of(&image(big, &size), tree()).expect("the size that was named does");
    assert_eq!(fit.len, needed);
    let less = format!("<size>{}</size>", needed / MIB - 1);
    fit_of(&image(big, &less), tree()).expect_err("one MiB less does not");
}

#[test]
fn other_refusals() {
    let image =
        |children: &str| image_of(&describe(r#"eficsm="false""#, &format!("{CUSTOM}{children}")), &x86());
    check_refusal(
        &image("<size>20</size>"),
        tree_of(&[]),
        "disk: p.lxroot: the tree does not fit: p.lxroot needs 1 MiB, and a disk of 20 MiB leaves 0 B\na disk of 23 MiB would \
         do: <size unit=\"M\">23</size> or --size 23M",
    );
    let fixed = "<size>30</size><partitions><partition name=\"data\" size=\"20\"/></partitions>";
    check_refusal(
        &image(fixed),
        tree_of(&[]),
        "disk: p.lxroot: the tree does not fit: p.lxroot needs 1 MiB, and a disk of 30 MiB leaves 0 B\na disk of 43 MiB would \
         do: <size unit=\"M\">43</size> or --size 43M",
    );
    let system = describe("", &format!("{CUSTOM}<size>100</size>"));
    let system = system.replace("</oem-resize>", "</oem-resize><oem-systemsize>90</oem-systemsize>");
    check_refusal(
        &image_of(&system, &x86()),
        tree_of(&[]),
        "disk: the partitions do not fit on a disk of 100 MiB\na disk of 114 MiB would do: <size unit=\"M\">114</size> or --size \
         114M",
    );
    let var = r#"<partitions><partition name="var" size="10" mountpoint="/var/lib" filesystem="ext4"/></partitions>"#;
    let mut tree = tree_of(&[]);
    let link = Node { meta: meta(0o777), kind: Kind::Symlink(b"usr".as_slice().into()) };
    tree.put(b"/var", link, meta(0o755)).expect("a link");
    check_refusal(
        &image(var),
        tree,
        "tree: /var: the mount point /var/lib lies behind a symlink: /var\nmount it at the directory itself",
    );
    check_refusal(
        &image(""),
        tree_of(&[("/etc/fstab.append", 0)]),
        "tree: /etc/fstab.append: the tree asks for a step that is not supported yet\ndo what it says, remove it from the \
         tree, and run again",
    );
    let odd = Choice { size: Some("100000001B".parse().expect("a size")), ..x86() };
    check_refusal(
        &image_of(&describe("", CUSTOM), &odd),
        tree_of(&[]),
        "disk: a disk of 100000001 bytes is no whole number of sectors of 512 bytes\n",
    );
}

#[test]
fn a_tree_without_a_description_makes_a_disk() {
    let choice = Choice { formats: vec!["qcow2".to_owned()], ..x86() };
    let image = from_tree(&tree_of(&[("/a", 1)]), "my disk", &choice).expect("a tree is enough");
    let plan = plan_of(&image);
    assert_eq!(table(&plan), "1 p.lxroot 4f68bce3 | content + max(256 MiB, 20 %) | ext4 [-L ROOT] /\n");
    assert_eq!(plan.outputs[0].file, "my disk.qcow2");
    assert_eq!(
        texts(&plan),
        ("UUID=<root> / ext4 defaults 0 1\n".to_owned(), "rw root=UUID=<root>".to_owned())
    );
    let loader = tree_of(&[
        ("/usr/lib/systemd/boot/efi/systemd-bootaa64.efi", 1),
        ("/boot/vmlinuz-6.1", 9),
        ("/tmp/x", 1),
    ]);
    let image = from_tree(&loader, "my disk", &x86()).expect("a tree is enough");
    let plan = plan_of(&image);
    assert_eq!(
        table(&plan),
        "1 p.UEFI c12a7328 | content + max(32 MiB, 100 %) | vfat [-n EFI] /boot/efi\n\
         2 p.lxroot b921b045 | content + max(256 MiB, 20 %) | ext4 [-L ROOT] /\n"
    );
    let fit = fit(&plan, loader, &Memory(Vec::new())).expect("it fits");
    let root = fit.places[1].tree.as_ref().expect("a tree");
    assert!(root.lookup(b"/tmp/x").is_some(), "nothing is left out");
    assert_eq!(fit.entries[0].file, "loader/entries/my_disk-6.1.conf");
    let without = Choice { no_boot: true, ..x86() };
    let image = from_tree(&tree_of(&[("/usr/lib/systemd/boot/efi/systemd-bootx64.efi", 1)]), "d", &without);
    assert_eq!(plan_of(&image.expect("a tree is enough")).parts.len(), 1);
}

#[test]
fn a_bare_file_system_has_neither_table_nor_fstab() {
    let xml = r#"<image schemaversion="8.5" name="demo"><description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description><preferences><version>1.2.3</version>
        <type image="ext4" fscreateoptions="-m 1"><size>300</size></type></preferences></image>"#;
    let plan = plan_of(&image_of(xml, &x86()));
    assert_eq!(table(&plan), "- | 300 MiB | ext4 [-m 1] /\n");
    assert_eq!((plan.outputs[0].file.as_str(), plan.files.len()), ("demo.x86_64-1.2.3.ext4", 0));
    let fit = fit(&plan, tree_of(&[("/a", 5)]), &Memory(Vec::new())).expect("it fits");
    assert_eq!((numbers(&fit), fit.len), (named(&[("root", 0, 300)]), 300 * MIB));
    let small = image_of(&xml.replace("300", "9"), &x86());
    let refusal = fit_of(&small, tree_of(&[("/opt/a", 50)])).expect_err("it does not fit");
    assert!(
        matches!(refusal.kind, RefusalKind::TooSmall { needed: Some(needed) } if needed > 50 * MIB),
        "{refusal:?}"
    );
}

#[test]
fn a_refusal_is_shown_where_the_description_says_the_size() {
    let xml = "<image schemaversion=\"8.5\" name=\"demo\"><description type=\"system\"><author>A</author><contact>a@b</contact><specification>S</specification></description>\n<preferences><version>1</version>\n<type image=\"oem\" filesystem=\"ext4\" \
               firmware=\"uefi\" efipartsize=\"20\">\n<oemconfig><oem-resize>false</oem-resize></oemconfig>\n\
               <bootloader name=\"systemd_boot\"/>\n<size>400</size>\n<partitions>\n<partition name=\"data\" size=\"20\" \
               mountpoint=\"/srv\" filesystem=\"ext4\"/>\n</partitions></type></preferences></image>";
    let model = parse("d.xml", xml.as_bytes().to_vec()).expect("it is XML");
    let resolved = resolve(&model, &x86()).expect("it is accepted");
    let plan = plan_of(&resolved.image);
    let loader = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
    let cases: &[(&[(&str, u64)], &str)] = &[
        (&[(loader, 1)], "d.xml:5:1: error: boot: a kernel is asked for"),
        (
            &[(loader, 1), ("/boot/vmlinuz-6", 30)],
            "d.xml:3:53: error: disk: p.UEFI: what goes into p.UEFI does not fit",
        ),
        (
            &[(loader, 1), ("/boot/vmlinuz-6", 1), ("/srv/a", 30)],
            "d.xml:8:24: error: disk: p.lxdata: what goes into",
        ),
        (
            &[(loader, 1), ("/boot/vmlinuz-6", 1), ("/a", 500)],
            "d.xml:6:1: error: disk: p.lxroot: the tree does not fit",
        ),
    ];
    for (files, expected) in cases {
        let refusal = fit(&plan, tree_of(files), &Memory(Vec::new())).expect_err("it is refused");
        let diagnostics = resolved.locate(&plan, &refusal).expect("it has a place");
        assert!(diagnostics.to_string().starts_with(expected), "{diagnostics}");
        assert!(diagnostics.stop() && diagnostics.list[0].hint.is_some());
    }
    let elsewhere =
        fit(&plan, tree_of(&[("/etc/fstab.script", 0)]), &Memory(Vec::new())).expect_err("it is refused");
    assert_eq!(resolved.locate(&plan, &elsewhere), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked for: either numbers that are right, or a size that would do.
    #[test]
    fn every_fit_is_a_disk(
        esp in 1_u64..40,
        partitions in proptest::collection::vec(1_u64..40, 0..4),
        disk in proptest::option::of(1_u64..400),
        large in any::<bool>(),
        unpartitioned in 0_u64..20,
        files in 0_u64..60,
    ) {
        let custom: String = partitions
            .iter()
            .enumerate()
            .map(|(at, size)| format!(r#"<partition name="n{at}" size="{size}" mountpoint="/n{at}" filesystem="ext4"/>"#))
            .collect();
        let disk = disk.map(|size| size.max(unpartitioned));
        let size = disk.map(|size| format!("<size unpartitioned=\"{unpartitioned}\">{size}</size>"));
        let sector = if large { 4096 } else { 512 };
        let attributes = format!("efipartsize=\"{esp}\" target_blocksize=\"{sector}\"");
        let custom = if custom.is_empty() { custom } else { format!("<partitions>{custom}</partitions>") };
        let children = format!("{CUSTOM}{custom}{}", size.unwrap_or_default());
        let image = image_of(&describe(&attributes, &children), &x86());
        match fit_of(&image, tree_of(&[("/n0/a", files / 2), ("/b", files)])) {
            Err(refusal) => {
                let named = matches!(refusal.kind, RefusalKind::TooSmall { needed: Some(_) });
                prop_assert!(named && refusal.hint.is_some(), "{refusal:?}");
            }
            Ok(fit) => {
                let mut end = first_usable(sector);
                for place in &fit.places {
                    prop_assert!(place.start >= end && place.start % MIB == 0 && place.len % MIB == 0 && place.len > 0);
                    prop_assert!(place.least.is_none_or(|least| least <= place.len));
                    end = place.start + place.len;
                }
                let tail = if disk.is_some() { unpartitioned * MIB } else { 0 };
                prop_assert!(end <= last_usable(fit.len - tail, sector));
                prop_assert!(disk.is_none_or(|disk| fit.len == disk * MIB));
            }
        }
    }
}
