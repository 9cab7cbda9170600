//! The table of KIWI's schema: it has every element and attribute, takes and refuses what KIWI takes and refuses, and what
//! it calls used is.
#![allow(clippy::disallowed_methods)]

mod support;

use diskwright::build::identity;
use diskwright::describe::Severity;
use diskwright::describe::kiwi::{NEWER, Row, State, parse, parse_with, rows};
use diskwright::model::Arch;
use diskwright::plan::plan;
use diskwright::resolve::{Choice, resolve};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// KIWI's schema as the oracle reads it: what it prints for `command`, given `input`.
fn oracle(test: &str, command: &str, input: &str) -> Option<Vec<Value>> {
    let python = support::kiwi(test)?;
    let script = support::source("tests/fixtures/kiwi-schema.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    let mut stdin = child.stdin.take().expect("it reads");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads everything");
    assert!(output.status.success(), "the oracle says what is wrong above");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Some(text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

/// Rows without those of single values.
fn whole_rows() -> Vec<Row> {
    rows().into_iter().filter(|row| !row.path.contains('=')).collect()
}

#[test]
fn every_element_and_attribute_of_the_schema_has_a_row() {
    let Some(theirs) = oracle("every_element_and_attribute_of_the_schema_has_a_row", "rows", "") else {
        return;
    };
    let mut ours: BTreeMap<String, Row> =
        whole_rows().into_iter().map(|row| (row.path.clone(), row)).collect();
    for path in NEWER {
        assert!(ours.remove(*path).is_some(), "{path} is a row");
    }
    let mut compared = 0;
    for row in theirs {
        let path = row["path"].as_str().expect("a path");
        let Some(mine) = ours.remove(path) else { panic!("no row for {path}") };
        if let Some(required) = row["required"].as_bool() {
            assert_eq!(mine.required, required, "{path} is required");
        }
        if let Some(repeats) = row["repeats"].as_bool() {
            assert_eq!(mine.repeats, repeats, "{path} repeats");
        }
        let mut theirs: Vec<&str> =
            row["words"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        // The schema's version is checked where descriptions are upgraded.
        theirs.retain(|word| *word != "8.5");
        // Without a format a disk is raw; here that may be said.
        let mut words: Vec<&str> = mine.words.iter().copied().filter(|word| *word != "raw").collect();
        theirs.sort_unstable();
        words.sort_unstable();
        assert_eq!(words, theirs, "{path}");
        compared += 1;
    }
    assert_eq!(
        ours.into_keys().collect::<Vec<String>>(),
        Vec::<String>::new(),
        "rows that KIWI does not have"
    );
    println!("{compared} rows compared");
    assert!(compared > 400);
}

/// An element to write down.
#[derive(Clone, Debug, Default)]
struct Node {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Node>,
}

impl Node {
    fn xml(&self) -> String {
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let attributes: String =
            self.attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", escaped(value))).collect();
        let children: String = self.children.iter().map(Node::xml).collect();
        let Node { name, text, .. } = self;
        format!("<{name}{attributes}>{}{children}</{name}>", escaped(text))
    }

    fn set(&mut self, name: &str, value: &str) {
        self.attributes.retain(|(other, _)| other != name);
        self.attributes.push((name.to_owned(), value.to_owned()));
    }
}

/// The element of this path with all that it must have.
fn least(rows: &[Row], path: &str) -> Node {
    let row = rows.iter().find(|row| row.path == path).expect("a row");
    let mut node = Node {
        name: path.rsplit('/').next().unwrap_or(path).to_owned(),
        text: row.example.unwrap_or("").to_owned(),
        ..Node::default()
    };
    for row in rows.iter().filter(|row| row.required) {
        let Some(rest) = row.path.strip_prefix(path) else { continue };
        if let Some(name) = rest.strip_prefix('@') {
            node.set(name, row.example.unwrap_or(""));
        } else if rest.strip_prefix('/').is_some_and(|rest| !rest.contains(['/', '@'])) {
            node.children.push(least(rows, &row.path));
        }
    }
    match path {
        "image" => node.set("schemaversion", "8.5"),
        "image/preferences/type" => {
            node.set("image", "oem");
            node.set("filesystem", "ext4");
        }
        "image/preferences/type/containerconfig/entrypoint"
        | "image/preferences/type/containerconfig/subcommand" => {
            node.set("execute", "run");
        }
        _ => {}
    }
    node
}

/// A whole description around an element.
fn around(rows: &[Row], path: &str, node: Node) -> Node {
    let Some((above, _)) = path.rsplit_once('/') else { return node };
    let mut parent = least(rows, above);
    let required = rows.iter().any(|row| row.path == path && row.required);
    if required {
        parent.children.retain(|child| child.name != node.name);
    }
    if !node.name.is_empty() {
        parent.children.push(node);
    }
    around(rows, above, parent)
}

/// Texts that are a value of some kind, or nearly.
const POOL: &[&str] = &[
    "",
    "text",
    "true",
    "TRUE",
    "0",
    " 1 ",
    "+7",
    "-3",
    "2047",
    "2048",
    "100M",
    "100G",
    "100T",
    "all",
    "a b",
    "a,b",
    "a:1,b",
    "C",
    "C,de_DE",
    "deu_DE",
    "de_de",
    "x86_64,aarch64",
    "x86_64, aarch64",
    "80",
    "80/sctp",
    "none",
    "none serial",
    "serial none",
    "console console",
    "no-copy-on-write,synchronous-updates",
    "1.2.3.65535",
    "1.2.3.65536",
    "1.02.3.4",
    "00:0c:6e:aa:57:2f",
    "00:0c:6e:aa:57",
    "http://x",
    "xhttp://x",
    "0123abcd-0123-0123-0123-0123456789ab",
    "0123ABCD-0123-0123-0123-0123456789ab",
    "oci:raw",
    "oci:zip",
    "docker:qcow2",
    "a/b",
    "\u{e4}",
    "oot",
    "A (B) c.",
    "a@b",
    "ext4",
    "oem",
    "grub2",
    "bootstrap",
    "1.5",
];

/// Descriptions, each with a word on what is special about it.
fn cases() -> Vec<(String, String)> {
    let rows = whole_rows();
    let mut cases: Vec<(String, Node)> = Vec::new();
    let elements: Vec<&Row> = rows.iter().filter(|row| !row.path.contains('@')).collect();
    for row in &elements {
        let path = row.path.as_str();
        let node = least(&rows, path);
        let mut add =
            |what: &str, node: Node| cases.push((format!("{path} {what}"), around(&rows, path, node)));
        add("as it is", node.clone());
        add("with an unknown attribute", {
            let mut node = node.clone();
            node.set("nix", "1");
            node
        });
        add("with an unknown element", {
            let mut node = node.clone();
            node.children.push(Node { name: "nix".to_owned(), ..Node::default() });
            node
        });
        add("with text", Node { text: "words".to_owned(), ..node.clone() });
        if path != "image" {
            add("left out", Node::default());
        }
        for at in 0..node.attributes.len() {
            let mut less = node.clone();
            let (name, _) = less.attributes.remove(at);
            add(&format!("without {name}"), less);
        }
        for at in 0..node.children.len() {
            let mut twice = node.clone();
            twice.children.insert(at, node.children[at].clone());
            add(&format!("with a second {}", node.children[at].name), twice);
        }
        if row.example.is_some() {
            POOL.iter().for_each(|text| {
                add(&format!("= {text:?}"), Node { text: (*text).to_owned(), ..node.clone() })
            });
        }
        for attribute in
            rows.iter().filter(|one| one.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('@')))
        {
            let name = attribute.path.rsplit('@').next().expect("a name");
            if NEWER.contains(&attribute.path.as_str()) || name.contains(':') || name == "schemaversion" {
                continue;
            }
            for value in POOL.iter().copied().chain(attribute.words.iter().copied()).chain(attribute.example)
            {
                let mut node = node.clone();
                node.set(name, value);
                add(&format!("@{name}={value:?}"), node);
            }
        }
    }
    // Attributes of a type are for some images.
    let images: Vec<&str> = rows
        .iter()
        .find(|row| row.path == "image/preferences/type@image")
        .map(|row| row.words.clone())
        .unwrap_or_default();
    let path = "image/preferences/type";
    for row in rows.iter().filter(|row| row.path.starts_with("image/preferences/type@")) {
        let name = row.path.rsplit('@').next().expect("a name");
        for image in images.iter().filter(|_| !NEWER.contains(&row.path.as_str()) && name != "image") {
            let mut node = least(&rows, path);
            node.set(name, row.example.unwrap_or(""));
            node.set("image", image);
            cases.push((format!("{path} {image} @{name}"), around(&rows, path, node)));
        }
    }
    cases.extend(pairs(&rows));
    cases.into_iter().map(|(what, node)| (what, node.xml())).collect()
}

/// Rules between attributes and elements.
fn pairs(rows: &[Row]) -> Vec<(String, Node)> {
    let kind = "image/preferences/type";
    let mut cases = Vec::new();
    let mut of_type = |attributes: &[(&str, &str)], children: &[Node]| {
        let mut node = least(rows, kind);
        attributes.iter().for_each(|(name, value)| node.set(name, value));
        node.attributes.retain(|(_, value)| value != "-");
        node.children.extend_from_slice(children);
        cases.push((format!("{attributes:?} {children:?}"), around(rows, kind, node)));
    };
    let child = |name: &str, attributes: &[(&str, &str)]| {
        let mut node = least(rows, &format!("{kind}/{name}"));
        attributes.iter().for_each(|(name, value)| node.set(name, value));
        node.name = name.rsplit('/').next().unwrap_or(name).to_owned();
        node
    };
    for filesystem in ["btrfs", "ext4", "-"] {
        for image in ["oem", "iso"] {
            let btrfs = ("btrfs_set_default_volume", "true");
            of_type(&[("image", image), ("filesystem", filesystem), btrfs], &[]);
            of_type(
                &[("image", image), ("filesystem", filesystem), btrfs],
                &[child("systemdisk", &[("preferlvm", "true")])],
            );
            of_type(
                &[("image", image), ("filesystem", filesystem), btrfs],
                &[child("systemdisk", &[("preferlvm", "1")])],
            );
        }
        let mut disk = child("systemdisk", &[]);
        disk.children.push(child("systemdisk/volume", &[("quota", "5M")]));
        of_type(&[("filesystem", filesystem)], &[disk]);
    }
    for format in ["-", "vagrant", "qcow2", "oci:raw", "docker:qcow2"] {
        of_type(&[("format", format)], &[]);
        of_type(&[("format", format)], &[child("vagrantconfig", &[])]);
        of_type(&[("format", format)], &[child("containerconfig", &[])]);
        of_type(&[("format", format), ("derived_from", "x")], &[]);
    }
    for loader in ["grub2", "grub2_s390x_emu", "systemd_boot", "custom", "zipl"] {
        for attribute in [
            "bls=true",
            "output_console=serial",
            "timeout=5",
            "timeout_style=menu",
            "targettype=CDL",
            "video_mode=auto",
            "serial_line=x",
            "input_console=serial",
        ] {
            let (name, value) = attribute.split_once('=').expect("two");
            of_type(&[], &[child("bootloader", &[("name", loader), (name, value)])]);
        }
        let mut secure = child("bootloader", &[("name", loader)]);
        secure.children.push(child("bootloader/securelinux", &[]));
        of_type(&[], &[secure]);
    }
    for image in ["oem", "iso", "docker", "oci", "appx", "kis", "tbz"] {
        for name in ["bootloader", "containerconfig", "oemconfig", "size", "machine"] {
            of_type(&[("image", image)], &[child(name, &[])]);
        }
        of_type(&[("image", image)], &[child("containerconfig", &[("tag", "x")])]);
        of_type(&[("image", image), ("metadata_path", "x")], &[]);
        of_type(&[("image", image), ("filesystem", "-")], &[]);
    }
    for (name, needs) in
        [("embed_verity_metadata", "verity_blocks"), ("embed_integrity_metadata", "standalone_integrity")]
    {
        of_type(&[(name, "true")], &[]);
        of_type(&[(name, "true"), (needs, "1")], &[]);
    }
    for install in ["installiso", "installpxe", "installstick"] {
        for truth in ["true", "1", "false"] {
            of_type(&[(install, truth)], &[child("installmedia", &[])]);
        }
    }
    of_type(&[("luks", "x")], &[child("luksformat", &[])]);
    of_type(&[], &[child("luksformat", &[])]);
    for provider in ["libvirt", "virtualbox"] {
        of_type(
            &[("format", "vagrant")],
            &[child(
                "vagrantconfig",
                &[("provider", provider), ("virtualbox_guest_additions_present", "true")],
            )],
        );
    }
    for (size, tail) in [("5", "5"), ("5", "6"), ("50", "6")] {
        of_type(&[], &[Node { text: size.to_owned(), ..child("size", &[("unpartitioned", tail)]) }]);
    }
    for name in ["aa", "root", "spar", "efi_", "read", "boot prep"] {
        let partitions = Node {
            children: vec![child("partitions/partition", &[("name", name)])],
            ..child("partitions", &[])
        };
        of_type(&[], &[partitions]);
    }
    cases
}

/// Whether the schema takes a description: what is only not supported here does not count.
fn taken(xml: &str) -> Result<(), String> {
    let model = parse("d.xml", xml.as_bytes().to_vec()).map_err(|diagnostics| diagnostics.to_string())?;
    let errors =
        model.problems.iter().filter(|one| one.severity == Severity::Error && one.code != "unsupported");
    match errors.map(ToString::to_string).collect::<Vec<String>>() {
        errors if errors.is_empty() => Ok(()),
        errors => Err(errors.join("\n")),
    }
}

/// What is refused here and taken by KIWI, or the other way around, and why that is meant.
const DIFFERENT: &[(&str, &str)] = &[
    ("image/include ", "the oracle judges a schema, and here what is included is read"),
    ("image/preferences/type @format=\"raw\"", "raw is what no format means, and here it may be said"),
];

#[test]
fn kiwi_and_we_refuse_the_same_descriptions() {
    let cases = cases();
    let input: String =
        cases.iter().map(|(_, xml)| serde_json::to_string(xml).expect("JSON") + "\n").collect();
    let Some(verdicts) = oracle("kiwi_and_we_refuse_the_same_descriptions", "judge", &input) else { return };
    assert_eq!(verdicts.len(), cases.len());
    let mut different = Vec::new();
    for ((what, xml), verdict) in cases.iter().zip(&verdicts) {
        let ours = taken(xml);
        if verdict.as_bool() != Some(ours.is_ok())
            && !DIFFERENT.iter().any(|(start, _)| what.starts_with(start))
        {
            different.push(format!("{what}: KIWI {verdict}, we {ours:?}"));
        }
    }
    let good = verdicts.iter().filter(|verdict| verdict.as_bool() == Some(true)).count();
    println!("{} descriptions, {good} of them good", cases.len());
    assert!(good > 1000 && cases.len() > 10_000);
    let shown = different.iter().take(40).cloned().collect::<Vec<String>>().join("\n");
    assert!(different.is_empty(), "{} differ:\n{shown}", different.len());
}

/// Two profiles, an included file, a disk with everything that is used.
const EVERYTHING: &str = r#"<image schemaversion="8.5" name="t" displayname="T">
<description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description>
<profiles><profile name="A" description="a" import="true"><requires profile="B"/></profile>
<profile name="B" description="b" import="true"/></profiles>
<preferences profiles="B" arch="x86_64"><version>9</version></preferences>
<include from="one"/>
<preferences><version>1.0</version>
<type image="oem" filesystem="ext4" firmware="uefi" format="qcow2" formatoptions="cluster_size=64k" kernelcmdline="rw">
<bootloader name="systemd_boot" timeout="3"/>
<oemconfig><oem-resize>false</oem-resize><oem-systemsize>900</oem-systemsize></oemconfig>
<size unit="M" unpartitioned="5">3000</size>
<partitions>
<partition name="data" size="20" partition_name="mine" mountpoint="/srv" filesystem="ext4" label="D"/>
<partition name="raw" size="10"/>
</partitions>
</type>
<type image="ext4"/>
</preferences>
</image>"#;

/// The plan of a description with these changes; ids come from a fixed seed, so that only what is planned counts.
fn planned(path: &str, changes: &[(&str, &str)]) -> Result<String, String> {
    let xml = changes.iter().fold(EVERYTHING.to_owned(), |xml, (from, to)| {
        assert!(xml.contains(from), "{from} in\n{xml}");
        xml.replacen(from, to, 1)
    });
    let include = |path: &std::path::Path| {
        let version = if path.ends_with("one") { "1" } else { "2" };
        let part = format!("<preferences><version>{version}</version></preferences>");
        let text = format!("<image schemaversion=\"8.5\" name=\"i\">{part}</image>");
        Ok::<Vec<u8>, std::io::Error>(text.into_bytes())
    };
    let model =
        parse_with("d.xml", xml.into_bytes(), &include).map_err(|diagnostics| diagnostics.to_string())?;
    // What is required counts for those that are named, and not for those that import themselves.
    let named = if path.contains("requires") { vec!["A".to_owned()] } else { Vec::new() };
    let choice = Choice { profiles: named, ..Choice::new(Arch::X86_64) };
    let resolved = resolve(&model, &choice).map_err(|error| error.to_string())?;
    let plan = plan(&resolved.image, &identity(&resolved.image, Some(b"seed"), 0))
        .map_err(|refusal| refusal.to_string())?;
    Ok(serde_json::to_string(&plan).expect("JSON"))
}

type Changes = &'static [(&'static str, &'static str)];

/// The loader in [`EVERYTHING`].
const BOOTLOADER: &str = "<bootloader name=\"systemd_boot\" timeout=\"3\"/>";

/// Rows without which there is no plan at all, and why no other value shows that they are used.
const NO_PLAN: &[(&str, &str)] = &[("image", "nothing else is a description")];

/// Rows that name scripts: what these do is no plan's, and shown elsewhere (tests/edit_boot.rs).
const SCRIPTS: &[&str] = &["image/preferences/type@editbootconfig", "image/preferences/type@editbootinstall"];

/// For each used row two descriptions that differ in it alone, and give two plans; or one, if the row is in [`NO_PLAN`].
const PROBES: &[(&str, Changes, Changes)] = &[
    ("image", &[], &[("image ", "imag "), ("</image>", "</imag>")]),
    ("image@name", &[], &[("name=\"t\"", "name=\"u\"")]),
    ("image@displayname", &[], &[("\"T\"", "\"U\"")]),
    (
        "image/include",
        &[("profiles=\"B\"", "profiles=\"C\"")],
        &[("profiles=\"B\"", "profiles=\"C\""), ("<include from=\"one\"/>", "")],
    ),
    (
        "image/include@from",
        &[("profiles=\"B\"", "profiles=\"C\"")],
        &[("profiles=\"B\"", "profiles=\"C\""), ("\"one\"", "\"two\"")],
    ),
    (
        "image/preferences",
        &[],
        &[("<preferences profiles=\"B\" arch=\"x86_64\"><version>9</version></preferences>", "")],
    ),
    ("image/preferences@profiles", &[], &[("profiles=\"B\"", "profiles=\"C\"")]),
    ("image/preferences@arch", &[], &[("arch=\"x86_64\"", "arch=\"s390\"")]),
    ("image/preferences/type", &[], &[("<type image=\"oem\"", "<type image=\"ext3\"/><type image=\"oem\"")]),
    (
        "image/preferences/type@image",
        &[],
        &[
            ("image=\"oem\" filesystem=\"ext4\"", "image=\"oem\" filesystem=\"ext4\""),
            ("<type image=\"ext4\"/>", "<type image=\"ext4\" primary=\"true\"/>"),
        ],
    ),
    (
        "image/preferences/type@image=oem",
        &[],
        &[("<type image=\"ext4\"/>", "<type image=\"ext4\" primary=\"true\"/>")],
    ),
    (
        "image/preferences/type@image=ext4",
        &[("<type image=\"ext4\"/>", "<type image=\"ext4\" primary=\"true\"/>")],
        &[],
    ),
    (
        "image/preferences/type@image=ext2",
        &[("<type image=\"ext4\"/>", "<type image=\"ext2\" primary=\"true\"/>")],
        &[("<type image=\"ext4\"/>", "<type image=\"ext4\" primary=\"true\"/>")],
    ),
    (
        "image/preferences/type@image=ext3",
        &[("<type image=\"ext4\"/>", "<type image=\"ext3\" primary=\"true\"/>")],
        &[("<type image=\"ext4\"/>", "<type image=\"ext4\" primary=\"true\"/>")],
    ),
    (
        "image/preferences/type@primary",
        &[],
        &[("<type image=\"ext4\"/>", "<type image=\"ext4\" primary=\"true\"/>")],
    ),
    (
        "image/preferences/type@firmware",
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"custom\"")],
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"custom\""), ("uefi", "bios")],
    ),
    ("image/preferences/type@efipartsize", &[], &[("rw\"", "rw\" efipartsize=\"90\"")]),
    ("image/preferences/type@eficsm", &[], &[("rw\"", "rw\" eficsm=\"false\"")]),
    ("image/preferences/type@devicepersistency", &[], &[("rw\"", "rw\" devicepersistency=\"by-label\"")]),
    ("image/preferences/type@filesystem", &[], &[("filesystem=\"ext4\" firm", "filesystem=\"ext3\" firm")]),
    (
        "image/preferences/type@filesystem=ext4",
        &[],
        &[("filesystem=\"ext4\" firm", "filesystem=\"ext3\" firm")],
    ),
    (
        "image/preferences/type@filesystem=ext3",
        &[],
        &[("filesystem=\"ext4\" firm", "filesystem=\"ext3\" firm")],
    ),
    (
        "image/preferences/type@filesystem=ext2",
        &[],
        &[("filesystem=\"ext4\" firm", "filesystem=\"ext2\" firm")],
    ),
    ("image/preferences/type@format", &[], &[("format=\"qcow2\" formatoptions=\"cluster_size=64k\"", "")]),
    (
        "image/preferences/type@format=raw",
        &[("format=\"qcow2\" formatoptions=\"cluster_size=64k\"", "format=\"raw\"")],
        &[],
    ),
    (
        "image/preferences/type@format=qcow2",
        &[],
        &[("format=\"qcow2\" formatoptions=\"cluster_size=64k\"", "")],
    ),
    ("image/preferences/type@formatoptions", &[], &[("64k", "32k")]),
    ("image/preferences/type@fsmountoptions", &[], &[("rw\"", "rw\" fsmountoptions=\"noatime\"")]),
    ("image/preferences/type@fscreateoptions", &[], &[("rw\"", "rw\" fscreateoptions=\"-m 1\"")]),
    ("image/preferences/type@apply_dps_codes", &[], &[("rw\"", "rw\" apply_dps_codes=\"true\"")]),
    ("image/preferences/type@initrd_system", &[], &[("rw\"", "rw\" initrd_system=\"none\"")]),
    (
        "image/preferences/type@initrd_system=dracut",
        &[("rw\"", "rw\" initrd_system=\"dracut\"")],
        &[("rw\"", "rw\" initrd_system=\"none\"")],
    ),
    ("image/preferences/type@initrd_system=none", &[("rw\"", "rw\" initrd_system=\"none\"")], &[]),
    ("image/preferences/type@kernelcmdline", &[], &[("\"rw\"", "\"ro\"")]),
    ("image/preferences/type@rootfs_label", &[], &[("rw\"", "rw\" rootfs_label=\"SYS\"")]),
    ("image/preferences/type@target_blocksize", &[], &[("rw\"", "rw\" target_blocksize=\"4096\"")]),
    ("image/preferences/type@disk_start_sector", &[], &[("rw\"", "rw\" disk_start_sector=\"4096\"")]),
    ("image/preferences/type/bootloader", &[], &[("<bootloader name=\"systemd_boot\" timeout=\"3\"/>", "")]),
    (
        "image/preferences/type/bootloader@name",
        &[("timeout=\"3\"", "")],
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"custom\"")],
    ),
    (
        "image/preferences/type/bootloader@name=systemd_boot",
        &[("timeout=\"3\"", "")],
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"custom\"")],
    ),
    (
        "image/preferences/type/bootloader@name=custom",
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"custom\"")],
        &[("timeout=\"3\"", "")],
    ),
    ("image/preferences/type/bootloader@timeout", &[], &[("timeout=\"3\"", "timeout=\"4\"")]),
    (
        "image/preferences/type/oemconfig",
        &[],
        &[("<oemconfig><oem-resize>false</oem-resize><oem-systemsize>900</oem-systemsize></oemconfig>", "")],
    ),
    ("image/preferences/type/oemconfig/oem-resize", &[], &[("<oem-resize>false", "<oem-resize>true")]),
    (
        "image/preferences/type/oemconfig/oem-resize-once",
        &[("<oem-resize>false", "<oem-resize>true")],
        &[("</oem-resize>", "</oem-resize><oem-resize-once>true</oem-resize-once>")],
    ),
    ("image/preferences/type/oemconfig/oem-systemsize", &[], &[("900<", "901<")]),
    ("image/preferences/type/size", &[], &[("<size unit=\"M\" unpartitioned=\"5\">3000</size>", "")]),
    ("image/preferences/type/size@unit", &[], &[("unit=\"M\"", "unit=\"G\"")]),
    ("image/preferences/type/size@unpartitioned", &[], &[("unpartitioned=\"5\"", "unpartitioned=\"6\"")]),
    ("image/preferences/type/size@additive", &[], &[("unit=\"M\"", "unit=\"M\" additive=\"true\"")]),
    (
        "image/preferences/type/partitions",
        &[],
        &[("<partitions>", "<partitions><partition name=\"new\" size=\"10\"/>")],
    ),
    ("image/preferences/type/partitions/partition", &[], &[("<partition name=\"raw\" size=\"10\"/>", "")]),
    ("image/preferences/type/partitions/partition@name", &[], &[("name=\"raw\"", "name=\"war\"")]),
    ("image/preferences/type/partitions/partition@size", &[], &[("size=\"10\"", "size=\"11\"")]),
    ("image/preferences/type/partitions/partition@partition_name", &[], &[("\"mine\"", "\"yours\"")]),
    (
        "image/preferences/type/partitions/partition@partition_type",
        &[],
        &[("size=\"10\"", "size=\"10\" partition_type=\"t.raid\"")],
    ),
    ("image/preferences/type/partitions/partition@mountpoint", &[], &[("\"/srv\"", "\"/opt\"")]),
    (
        "image/preferences/type/partitions/partition@filesystem",
        &[],
        &[("filesystem=\"ext4\" label", "filesystem=\"fat16\" label")],
    ),
    (
        "image/preferences/type/partitions/partition@filesystem=ext4",
        &[],
        &[("filesystem=\"ext4\" label", "filesystem=\"fat16\" label")],
    ),
    (
        "image/preferences/type/partitions/partition@filesystem=ext3",
        &[],
        &[("filesystem=\"ext4\" label", "filesystem=\"ext3\" label")],
    ),
    (
        "image/preferences/type/partitions/partition@filesystem=ext2",
        &[],
        &[("filesystem=\"ext4\" label", "filesystem=\"ext2\" label")],
    ),
    (
        "image/preferences/type/partitions/partition@filesystem=fat16",
        &[("filesystem=\"ext4\" label", "filesystem=\"fat16\" label")],
        &[],
    ),
    (
        "image/preferences/type/partitions/partition@filesystem=fat32",
        &[("filesystem=\"ext4\" label", "filesystem=\"fat32\" label")],
        &[("filesystem=\"ext4\" label", "filesystem=\"fat16\" label")],
    ),
    ("image/preferences/type/partitions/partition@label", &[], &[("\"D\"", "\"E\"")]),
    ("image/preferences/type@eficsmpart_id", &[], &[("rw\"", "rw\" eficsmpart_id=\"40\"")]),
    ("image/preferences/type@efipart_id", &[], &[("rw\"", "rw\" efipart_id=\"40\"")]),
    ("image/preferences/type@rootpart_id", &[], &[("rw\"", "rw\" rootpart_id=\"40\"")]),
    (
        "image/preferences/type@bootpart_id",
        &[("rw\"", "rw\" bootpartition=\"true\"")],
        &[("rw\"", "rw\" bootpartition=\"true\" bootpart_id=\"40\"")],
    ),
    ("image/preferences/type@bootpartition", &[], &[("rw\"", "rw\" bootpartition=\"true\"")]),
    (
        "image/preferences/type@bootpartsize",
        &[("rw\"", "rw\" bootpartition=\"true\"")],
        &[("rw\"", "rw\" bootpartition=\"true\" bootpartsize=\"90\"")],
    ),
    (
        "image/preferences/type@bootfilesystem",
        &[("rw\"", "rw\" bootpartition=\"true\"")],
        &[("rw\"", "rw\" bootpartition=\"true\" bootfilesystem=\"ext3\"")],
    ),
    (
        "image/preferences/type@bootfilesystem=ext2",
        &[("rw\"", "rw\" bootpartition=\"true\"")],
        &[("rw\"", "rw\" bootpartition=\"true\" bootfilesystem=\"ext2\"")],
    ),
    (
        "image/preferences/type@bootfilesystem=ext3",
        &[("rw\"", "rw\" bootpartition=\"true\"")],
        &[("rw\"", "rw\" bootpartition=\"true\" bootfilesystem=\"ext3\"")],
    ),
    (
        "image/preferences/type@bootfilesystem=fat16",
        &[("rw\"", "rw\" bootpartition=\"true\"")],
        &[("rw\"", "rw\" bootpartition=\"true\" bootfilesystem=\"fat16\"")],
    ),
    (
        "image/preferences/type@bootfilesystem=fat32",
        &[("rw\"", "rw\" bootpartition=\"true\"")],
        &[("rw\"", "rw\" bootpartition=\"true\" bootfilesystem=\"fat32\"")],
    ),
    (
        "image/preferences/type@bootfilesystem=ext4",
        &[("rw\"", "rw\" bootpartition=\"true\" bootfilesystem=\"ext2\"")],
        &[("rw\"", "rw\" bootpartition=\"true\" bootfilesystem=\"ext4\"")],
    ),
    (
        "image/preferences/type@boot_clone",
        &[("rw\"", "rw\" bootpartition=\"true\"")],
        &[("rw\"", "rw\" bootpartition=\"true\" boot_clone=\"1\"")],
    ),
    ("image/preferences/type@root_clone", &[], &[("rw\"", "rw\" root_clone=\"1\"")]),
    ("image/preferences/type@efimountoptions", &[], &[("rw\"", "rw\" efimountoptions=\"ro\"")]),
    (
        "image/preferences/type@efiparttable",
        &[],
        &[("rw\"", "rw\" efiparttable=\"msdos\" dosparttable_extended_layout=\"true\"")],
    ),
    (
        "image/preferences/type@dosparttable_extended_layout",
        &[("<partition name=\"raw\" size=\"10\"/>", ""), ("rw\"", "rw\" efiparttable=\"msdos\"")],
        &[
            ("<partition name=\"raw\" size=\"10\"/>", ""),
            ("rw\"", "rw\" efiparttable=\"msdos\" dosparttable_extended_layout=\"true\""),
        ],
    ),
    ("image/preferences/type@gpt_hybrid_mbr", &[], &[("rw\"", "rw\" gpt_hybrid_mbr=\"true\"")]),
    (
        "image/preferences/type@force_mbr",
        &[("<partition name=\"raw\" size=\"10\"/>", "")],
        &[("<partition name=\"raw\" size=\"10\"/>", ""), ("rw\"", "rw\" force_mbr=\"true\"")],
    ),
    ("image/preferences/type@spare_part", &[], &[("rw\"", "rw\" spare_part=\"30\"")]),
    (
        "image/preferences/type@spare_part_is_last",
        &[("rw\"", "rw\" spare_part=\"30\"")],
        &[("rw\"", "rw\" spare_part=\"30\" spare_part_is_last=\"true\"")],
    ),
    (
        "image/preferences/type@spare_part_fs",
        &[("rw\"", "rw\" spare_part=\"30\"")],
        &[("rw\"", "rw\" spare_part=\"30\" spare_part_fs=\"ext4\"")],
    ),
    (
        "image/preferences/type@spare_part_fs=ext2",
        &[("rw\"", "rw\" spare_part=\"30\"")],
        &[("rw\"", "rw\" spare_part=\"30\" spare_part_fs=\"ext2\"")],
    ),
    (
        "image/preferences/type@spare_part_fs=ext3",
        &[("rw\"", "rw\" spare_part=\"30\"")],
        &[("rw\"", "rw\" spare_part=\"30\" spare_part_fs=\"ext3\"")],
    ),
    (
        "image/preferences/type@spare_part_fs=ext4",
        &[("rw\"", "rw\" spare_part=\"30\"")],
        &[("rw\"", "rw\" spare_part=\"30\" spare_part_fs=\"ext4\"")],
    ),
    (
        "image/preferences/type@spare_part_mountpoint",
        &[("rw\"", "rw\" spare_part=\"30\" spare_part_fs=\"ext4\"")],
        &[("rw\"", "rw\" spare_part=\"30\" spare_part_fs=\"ext4\" spare_part_mountpoint=\"/opt\"")],
    ),
    (
        "image/preferences/type/partitions/partition@part_id",
        &[],
        &[("size=\"10\"", "size=\"10\" part_id=\"40\"")],
    ),
    ("image/preferences/type/partitions/partition@clone", &[], &[("size=\"10\"", "size=\"10\" clone=\"2\"")]),
    (
        "image/preferences/type/oemconfig/oem-swap",
        &[],
        &[("<oemconfig>", "<oemconfig><oem-swap>true</oem-swap>")],
    ),
    (
        "image/preferences/type/oemconfig/oem-swapsize",
        &[("<oemconfig>", "<oemconfig><oem-swap>true</oem-swap>")],
        &[("<oemconfig>", "<oemconfig><oem-swap>true</oem-swap><oem-swapsize>200</oem-swapsize>")],
    ),
    (
        "image/preferences/type/bootloader@bls",
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\"")],
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\" bls=\"false\"")],
    ),
    (
        "image/preferences/type/bootloader@output_console",
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\"")],
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\" output_console=\"serial\"")],
    ),
    (
        "image/preferences/type/bootloader@input_console",
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\"")],
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\" input_console=\"serial\"")],
    ),
    (
        "image/preferences/type/bootloader@serial_line",
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\"")],
        &[(
            "name=\"systemd_boot\" timeout=\"3\"",
            "name=\"grub2\" timeout=\"3\" serial_line=\"serial --unit=1\"",
        )],
    ),
    (
        "image/preferences/type/bootloader@video_mode",
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\"")],
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\" video_mode=\"800x600\"")],
    ),
    (
        "image/preferences/type/bootloader@timeout_style",
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\"")],
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\" timeout_style=\"hidden\"")],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><environment><env name="a" value="b"/></environment></bootloadersettings></bootloader>"#,
        )],
        &[(BOOTLOADER, r#"<bootloader name="grub2"/>"#)],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings/installoption",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><installoption name="--modules" value="luks2"/></bootloadersettings></bootloader>"#,
        )],
        &[(BOOTLOADER, r#"<bootloader name="grub2"/>"#)],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings/installoption@name",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><installoption name="--modules" value="luks2"/></bootloadersettings></bootloader>"#,
        )],
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><installoption name="--no-bootsector" value="luks2"/></bootloadersettings></bootloader>"#,
        )],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings/installoption@value",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><installoption name="--modules" value="luks2"/></bootloadersettings></bootloader>"#,
        )],
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><installoption name="--modules" value="zfs"/></bootloadersettings></bootloader>"#,
        )],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings/environment",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><environment><env name="a" value="b"/></environment></bootloadersettings></bootloader>"#,
        )],
        &[(BOOTLOADER, r#"<bootloader name="grub2"/>"#)],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings/environment/env",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><environment><env name="a" value="b"/></environment></bootloadersettings></bootloader>"#,
        )],
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><environment><env name="a" value="b"/><env name="c" value="d"/></environment></bootloadersettings></bootloader>"#,
        )],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings/environment/env@name",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><environment><env name="a" value="b"/></environment></bootloadersettings></bootloader>"#,
        )],
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><environment><env name="c" value="b"/></environment></bootloadersettings></bootloader>"#,
        )],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings/environment/env@value",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><environment><env name="a" value="b"/></environment></bootloadersettings></bootloader>"#,
        )],
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><environment><env name="a" value="c"/></environment></bootloadersettings></bootloader>"#,
        )],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings/configoption",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><configoption name="--set-trusted-boot"/></bootloadersettings></bootloader>"#,
        )],
        &[(BOOTLOADER, r#"<bootloader name="grub2"/>"#)],
    ),
    (
        "image/preferences/type/bootloader/bootloadersettings/configoption@name",
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><configoption name="--set-trusted-boot"/></bootloadersettings></bootloader>"#,
        )],
        &[(
            BOOTLOADER,
            r#"<bootloader name="grub2"><bootloadersettings><configoption name="-x"/></bootloadersettings></bootloader>"#,
        )],
    ),
    (
        "image/preferences/type/bootloader@name=grub2",
        &[],
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\"")],
    ),
    (
        "image/preferences/bootloader-theme",
        &[("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\"")],
        &[
            ("name=\"systemd_boot\" timeout=\"3\"", "name=\"grub2\" timeout=\"3\""),
            ("<version>1.0</version>", "<version>1.0</version><bootloader-theme>t</bootloader-theme>"),
        ],
    ),
    ("image/preferences/version", &[], &[("<version>9<", "<version>8<")]),
    ("image/profiles", &[], &[("<profiles>", "<!--"), ("</profiles>", "-->")]),
    (
        "image/profiles/profile",
        &[],
        &[("<profile name=\"B\" description=\"b\" import=\"true\"/>", ""), ("<requires profile=\"B\"/>", "")],
    ),
    ("image/profiles/profile@name", &[], &[("name=\"B\"", "name=\"D\"")]),
    ("image/profiles/profile@import", &[], &[("\"b\" import=\"true\"", "\"b\" import=\"false\"")]),
    ("image/profiles/profile@arch", &[], &[("\"b\" import=\"true\"", "\"b\" import=\"true\" arch=\"s390\"")]),
    ("image/profiles/profile/requires", &[], &[("<requires profile=\"B\"/>", "")]),
    (
        "image/profiles/profile/requires@profile",
        &[],
        &[("<requires profile=\"B\"/>", "<requires profile=\"A\"/>")],
    ),
    (
        "image/profiles/profile/requires@arch",
        &[],
        &[("<requires profile=\"B\"/>", "<requires profile=\"B\" arch=\"s390\"/>")],
    ),
];

#[test]
fn what_is_called_used_changes_the_plan() {
    let used: Vec<String> =
        rows().into_iter().filter(|row| row.state.name() == "used").map(|row| row.path).collect();
    for path in used.iter().filter(|path| !SCRIPTS.contains(&path.as_str())) {
        let probe = PROBES.iter().find(|(probed, ..)| probed == path);
        let Some((_, with, without)) = probe else {
            panic!("{path} is called used, and nothing shows that it is")
        };
        let first = planned(path, with).unwrap_or_else(|error| panic!("{path}: {error}"));
        match (planned(path, without), NO_PLAN.iter().find(|(none, _)| none == path)) {
            (Ok(second), None) => assert_ne!(first, second, "{path} changes nothing"),
            (Err(_), Some(_)) => {}
            (Ok(_), Some((_, why))) => panic!("{path}: there is another plan, against: {why}"),
            (Err(error), None) => panic!("{path}: no plan without it: {error}"),
        }
    }
    let stale: Vec<&&str> =
        PROBES.iter().map(|(path, ..)| path).filter(|path| !used.iter().any(|one| one == **path)).collect();
    assert_eq!(stale, Vec::<&&str>::new(), "rows that are not called used");
}

/// What is not used says why. (Whether it is what it says, `describe_states.rs` shows.)
#[test]
fn every_state_has_a_reason() {
    for row in rows() {
        let why = row.state.why();
        assert_eq!(row.state.name() == "used", why.is_empty() && row.state != State::Refused(""), "{row}");
        assert!(
            !why.ends_with('.') && !why.starts_with(char::is_uppercase)
                || why.starts_with(['S', 'R', 'G', 'M', 'X']),
            "{row}"
        );
    }
    let counts = |name: &str| rows().iter().filter(|row| row.state.name() == name).count();
    println!(
        "{} rows: {} used, {} recorded, {} refused",
        rows().len(),
        counts("used"),
        counts("recorded"),
        counts("refused")
    );
}
