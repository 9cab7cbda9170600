//! What a description is written in changes nothing: XML, YAML, JSON and TOML, in one file or several, of any schema
//! version.
#![allow(clippy::disallowed_methods)]

use diskwright::describe::Diagnostic;
use diskwright::describe::kiwi::{LoadError, load, parse};
use diskwright::model::{Arch, Image};
use diskwright::resolve::{Choice, ResolveError, resolve};

const XML: &str = r#"<image schemaversion="8.5" name="t" displayname="A t">
<description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description>
<preferences>
<version>1.0</version>
<type image="oem" filesystem="ext4" firmware="uefi" eficsm="false">
<bootloader name="custom"/>
<size unit="G">4</size>
<oemconfig><oem-resize>false</oem-resize></oemconfig>
<partitions>
<partition name="data" size="100" filesystem="ext4" mountpoint="/srv"/>
<partition name="raw" size="10"/>
</partitions>
</type>
</preferences>
</image>
"#;

const YAML: &str = r##"image:
  "@schemaversion": "8.5"
  "@name": t
  "@displayname": A t
  description: {"@type": system, author: A, contact: a@b, specification: S}
  preferences:
    version: 1.0
    type:
      - "@image": oem
        "@filesystem": &fs ext4
        "@firmware": 'uefi'
        "@eficsm": no
        bootloader: {"@name": custom}
        size:
          "@unit": G
          "#text": 4
        oemconfig:
          oem-resize: false
        partitions:
          partition:
          - "@name": data
            "@size": 100
            "@filesystem": *fs
            "@mountpoint": /srv
          - {"@name": raw, "@size": 10}
"##;

const JSON: &str = r##"{"image": {"@schemaversion": "8.5", "@name": "t", "@displayname": "A t",
"description": {"@type": "system", "author": "A", "contact": "a@b", "specification": "S"},
"preferences": {
  "version": "1.0",
  "type": {"@image": "oem", "@filesystem": "ext4", "@firmware": "uefi", "@eficsm": false,
    "bootloader": {"@name": "custom"},
    "size": {"@unit": "G", "#text": 4},
    "oemconfig": {"oem-resize": false},
    "partitions": {"partition": [
      {"@name": "data", "@size": "100", "@filesystem": "ext4", "@mountpoint": "/srv"},
      {"@name": "raw", "@size": 10}]}}}}}
"##;

const TOML: &str = r##"[image]
"@schemaversion" = "8.5"
"@name" = "t"
"@displayname" = "A t"
[image.description]
"@type" = "system"
author = "A"
contact = "a@b"
specification = "S"
[image.preferences]
version = "1.0"
[[image.preferences.type]]
"@image" = "oem"
"@filesystem" = "ext4"
"@firmware" = "uefi"
"@eficsm" = false
bootloader = {"@name" = "custom"}
size = {"@unit" = "G", "#text" = 4}
oemconfig = {oem-resize = false}
[[image.preferences.type.partitions.partition]]
"@name" = "data"
"@size" = 100
"@filesystem" = "ext4"
"@mountpoint" = "/srv"
[[image.preferences.type.partitions.partition]]
"@name" = "raw"
"@size" = 10
"##;

/// The image, and what is said about it: each problem with its hint below it.
fn outcome(file: &str, text: &str) -> (Option<Image>, String) {
    let said = |list: &[Diagnostic]| -> String {
        list.iter()
            .map(|one| match &one.hint {
                Some(hint) => format!("{one}\n  {hint}\n"),
                None => format!("{one}\n"),
            })
            .collect()
    };
    let model = match parse(file, text.as_bytes().to_vec()) {
        Ok(model) => model,
        Err(diagnostics) => return (None, said(&diagnostics.list)),
    };
    match resolve(&model, &Choice::new(Arch::X86_64)) {
        Ok(resolved) => {
            let made = resolved.lacks.is_empty().then(|| resolved.image.clone());
            (made, said(&resolved.told().list))
        }
        Err(ResolveError::Refused(diagnostics)) => (None, said(&diagnostics.list)),
        Err(ResolveError::Choice(refusal)) => panic!("{refusal}"),
    }
}

fn check(file: &str, text: &str, expected: &str) {
    assert_eq!(outcome(file, text).1.trim_end(), expected.trim_end(), "\n{text}");
}

#[test]
fn four_languages_say_one_image() {
    let (image, said) = outcome("d.xml", XML);
    assert_eq!(said, "");
    assert!(image.is_some());
    for (file, text) in [
        ("d.yaml", YAML),
        ("d.yml", YAML),
        ("d.kiwi", YAML),
        ("d.json", JSON),
        ("d.kiwi", JSON),
        ("d.toml", TOML),
        ("d.kiwi", TOML),
        ("d.kiwi", XML),
    ] {
        assert_eq!(outcome(file, text), (image.clone(), String::new()), "{file}\n{text}");
    }
}

#[test]
fn mistakes_have_places_in_all_languages() {
    let wrong = |text: &str| {
        text.replace("ext4", "etx4")
            .replacen("4</size>", "big</size>", 1)
            .replace("\"#text\": 4", "\"#text\": \"big\"")
            .replace("\"#text\" = 4", "\"#text\" = \"big\"")
    };
    let lines = |file: &str, text: &str| -> Vec<String> {
        let text = wrong(text);
        outcome(file, &text).1.lines().filter(|line| line.contains(": error: ")).map(str::to_owned).collect()
    };
    let xml = lines("d.xml", XML);
    assert!(xml[0].starts_with("d.xml:5:31: error: filesystem has no value etx4"), "{xml:?}");
    let messages = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| line.split(": error: ").nth(1).unwrap_or("").to_owned()).collect()
    };
    for (file, text, places) in [
        ("d.yaml", YAML, ["10:24", "14:9", "23:28"]),
        ("d.json", JSON, ["5:44", "7:5", "10:56"]),
        ("d.toml", TOML, ["14:17", "18:1", "23:17"]),
    ] {
        let found = lines(file, text);
        assert_eq!(messages(&found).len(), messages(&xml).len(), "{found:#?}");
        for place in places {
            let at = format!("{file}:{place}: ");
            assert!(found.iter().any(|line| line.starts_with(&at)), "{at} in {found:#?}");
        }
    }
}

#[test]
fn what_is_no_yaml_json_or_toml_is_named() {
    let cases = [
        (
            "d.yaml",
            "image: [",
            "d.yaml:1:9: error: no YAML: while parsing a node, did not find expected node content",
        ),
        ("d.yaml", "image: {}\n---\nimage: {}\n", "d.yaml:2:1: error: a second document in one file"),
        ("d.yaml", "- a\n", "d.yaml:1:1: error: no image description: expected the key image"),
        ("d.yaml", "image: {}\nother: {}\n", "d.yaml:2:1: error: one key at the top and no other: other"),
        ("d.yaml", "imgae: {}\n", "d.yaml:1:1: error: no image description: the root element is imgae"),
        ("d.yaml", "image: [a]\n", "d.yaml:1:1: error: one image description, and no list of them"),
        ("d.yaml", "", "d.yaml:1:1: error: no image description: expected the key image"),
        ("d.yaml", "a: &a [*a]\n", "d.yaml:1:8: error: an alias of what is not complete"),
        ("d.yaml", "? [a]\n: b\n", "d.yaml:1:3: error: a key that is no text"),
        ("d.json", "{\"image\": {},}", "d.json:1:13: error: no JSON: Trailing commas are not allowed"),
        ("d.json", "", "d.json:1:1: error: no image description: expected the key image"),
        (
            "d.toml",
            "image = ",
            "d.toml:1:9: error: no TOML: string values must be quoted, expected literal string",
        ),
        ("d.ini", "[image]", "d.ini:1:1: error: INI is not supported: only XML, YAML, JSON and TOML"),
    ];
    for (file, text, expected) in cases {
        check(file, text, expected);
    }
}

#[test]
fn numbers_that_kiwi_would_write_another_way_stay_what_they_are() {
    let yaml = YAML.replace("version: 1.0", "version: 1.10").replace("\"@size\": 100", "\"@size\": 0100");
    let (image, said) = outcome("d.yaml", &yaml);
    assert_eq!(image.and_then(|image| image.version), Some("1.10".to_owned()));
    assert_eq!(
        said,
        "d.yaml:7:14: warning: a number without quotes: KIWI makes 1.1 of 1.10; here it stays 1.10\n  \
         write \"1.10\" with quotes, or 1.1\n\
         d.yaml:22:22: warning: a number without quotes: KIWI makes 64 of 0100; here it stays 0100\n  \
         write \"0100\" with quotes, or 64\n"
    );
    let twice = YAML.replace("version: 1.0", "version: 1.0\n    version: \"2.0\"");
    let (image, said) = outcome("d.yaml", &twice);
    assert_eq!(image.and_then(|image| image.version), Some("2.0".to_owned()));
    assert_eq!(
        said,
        "d.yaml:8:5: warning: a second key version in one place: KIWI takes this one\n  elements that repeat are a list \
         below one key\n"
    );
}

#[test]
fn hostile_yaml_json_and_toml_are_refused_quickly() {
    let laughs: String = (1..40)
        .map(|at| format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 10].join(", ")))
        .collect();
    let laughs = format!(
        "image:\n  extension: 1\n  x: &a0 {{y: z}}\n{}",
        laughs.lines().map(|line| format!("  {line}\n")).collect::<String>()
    );
    let (image, said) = outcome("d.yaml", &laughs);
    assert!(image.is_none() && said.contains("error"), "{said}");
    let flat = format!("image:\n  x: &a0 {{y: z}}\n  b:\n{}", "  - *a0\n".repeat(60_000));
    assert!(outcome("d.yaml", &flat).1.contains("more than 32768 elements and attributes"));
    let chain: String = (1..5_000).map(|at| format!("  - &a{at} {{x: *a{}}}\n", at - 1)).collect();
    let chain = format!("image:\n  x: &a0 {{y: z}}\n  b:\n{chain}");
    assert!(outcome("d.yaml", &chain).1.contains("values in one another"));
    let long = format!("image:\n  x: &a0 {}\n  b:\n{}", "z".repeat(1 << 20), "  - *a0\n".repeat(1_000));
    assert!(outcome("d.yaml", &long).1.contains("more than 16777216 bytes of text"));
    // Problems without number: the first are kept.
    let types = "<type image=\"x\"/>".repeat(10_000);
    let many =
        format!("<image schemaversion=\"8.5\" name=\"t\">\n<preferences>{types}</preferences></image>");
    let said = outcome("d.xml", &many).1;
    assert!((100..=400).contains(&said.lines().count()) && said.len() < 100_000, "{}", said.len());
    let deep = "[".repeat(100_000);
    for (file, text) in [
        ("d.yaml", deep.clone()),
        ("d.yaml", "{a: ".repeat(100_000)),
        ("d.yaml", "- ".repeat(100_000)),
        ("d.json", deep.clone()),
        ("d.json", "{\"a\":".repeat(100_000)),
        ("d.toml", format!("a = {deep}")),
        ("d.toml", format!("a = {}", "{a = ".repeat(100_000))),
        ("d.toml", format!("[{}a]", "a.".repeat(100_000))),
        ("d.json", format!("[{}1]", "1,".repeat(1 << 20))),
        ("d.yaml", "a\n".repeat(1 << 20)),
        ("d.yaml", (0..100_000).map(|at| format!("k{at}: v\n")).collect()),
    ] {
        let (image, said) = outcome(file, &text);
        assert!(image.is_none() && said.contains("error: "), "{file} {}: {said}", text.split_at(4).0);
    }
}

#[test]
fn included_files_are_read_where_they_stand() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let write = |name: &str, text: &str| {
        let path = at.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    let shown = || {
        let description = match load(at, None) {
            Ok(description) => description,
            Err(LoadError::Refused(diagnostics)) => return diagnostics.to_string(),
            Err(other) => panic!("{other}"),
        };
        let text = match resolve(&description.model, &Choice::new(Arch::X86_64)) {
            Ok(resolved) => {
                format!("{} {:?}\n{}", resolved.image.name, resolved.image.version, resolved.warnings)
            }
            Err(error) => error.to_string(),
        };
        text.replace(&at.display().to_string(), "D")
    };
    let body = |include: &str| {
        format!(
            "<image schemaversion=\"8.5\" name=\"t\">\n{include}<description type=\"system\"><author>A</author><contact>a</contact><specification>S</specification></description>\n</image>"
        )
    };
    let part = "<image schemaversion=\"7.5\" name=\"part\">\n<preferences><version>3</version>\n<type image=\"ext4\"/></preferences></image>";
    write("parts/part.xml", part);
    for from in ["parts/part.xml", "this://parts/part.xml", "file://parts/part.xml"] {
        write("config.xml", &body(&format!("<include from=\"{from}\"/>")));
        assert_eq!(shown(), "t Some(\"3\")\n", "{from}");
    }
    write("config.xml", &body(&format!("<include from=\"file://{}/parts/part.xml\"/>", at.display())));
    assert_eq!(shown(), "t Some(\"3\")\n");
    write("parts/part.xml", &part.replace("ext4", "etx4"));
    assert!(shown().starts_with("D/parts/part.xml:3:14: error: image has no value etx4"), "{}", shown());
    write("config.xml", &body("<include from=\"parts/none.xml\"/>"));
    assert!(shown().contains("D/config.xml:2:16: error: what is included cannot be read: "), "{}", shown());
    write("parts/part.xml", &part.replace("<preferences>", "<include from=\"x\"/><preferences>"));
    write("config.xml", &body("<include from=\"parts/part.xml\"/>"));
    assert!(shown().contains("D/parts/part.xml:2:1: error: an include in what is included"), "{}", shown());
    write("config.xml", &body("<include from=\"config.xml\"/>"));
    assert!(shown().contains("an include in what is included"), "{}", shown());
    write("parts/part.xml", "<repository/>");
    write("config.xml", &body("<include from=\"parts/part.xml\"/>"));
    assert!(shown().contains("part.xml:1:1: error: no image description"), "{}", shown());
    write("config.xml", &body("<include from=\"https://example.com/x.xml\"/>"));
    assert!(shown().contains("error: no file: https://example.com/x.xml"), "{}", shown());
    write("parts/part.yaml", "image:\n  preferences: {version: \"4\", type: {\"@image\": ext4}}\n");
    write("config.xml", &body("<include from=\"parts/part.yaml\"/>"));
    assert_eq!(shown(), "t Some(\"4\")\n", "an included file may be written in another language");
}

/// A description of schema 6.0 with everything that was renamed, moved or dropped since.
#[test]
fn old_schema_versions_are_upgraded_step_by_step() {
    let xml = r#"<image schemaversion="VERSION" name="t" kiwirevision="1"><description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description>
<preferences><version>1.0</version><hwclock>utc</hwclock>
<type image="vmx" filesystem="ext4" firmware="uefi" bootloader="custom" vga="0x314">
</type></preferences>
<repository type="yast2" status="r"><source path="obs://x"/></repository>
</image>"#;
    let said = |version: &str| outcome("d.xml", &xml.replace("VERSION", version)).1;
    assert_eq!(
        said("6.0"),
        "d.xml:1:37: warning: attribute kiwirevision of <image> has no effect: schema 6.7 dropped it\n\
         d.xml:2:36: warning: element hwclock has no effect: schema 6.8 dropped it\n\
         d.xml:3:73: warning: attribute vga of <type> has no effect: schema 8.5 dropped it\n\
         d.xml:5:13: warning: repository type yast2 has no effect: schema 7.1 dropped it\n\
         d.xml:5:26: warning: attribute status of <repository> has no effect: schema 6.7 dropped it\n"
    );
    let (image, _) = outcome("d.xml", &xml.replace("VERSION", "6.0"));
    let image = image.expect("it becomes a disk");
    assert!(
        matches!(&image.target, diskwright::model::Target::Disk(disk) if disk.partitions.iter().any(|one| one.role == "efi"))
    );
    let late = said("7.2");
    assert!(late.contains("<image> has no attribute kiwirevision"), "7.2 knew it no more: {late}");
    assert!(late.contains("<preferences> has no element hwclock"), "{late}");
    assert!(said("8.5").contains("image has no value vmx"), "{}", said("8.5"));
}

#[test]
fn upgrades_keep_what_was_meant() {
    let with = |version: &str, attributes: &str, children: &str| {
        let xml = format!(
            "<image schemaversion=\"{version}\" name=\"t\"><description type=\"system\"><author>A</author><contact>a@b</contact><specification>S</specification></description>\n<preferences><version>1.0</version>\n<type {attributes}>{children}</type></preferences></image>"
        );
        outcome("d.xml", &xml).1
    };
    let disk = "image=\"oem\" filesystem=\"ext4\" firmware=\"uefi\"";
    let quiet = "<oemconfig><oem-resize>false</oem-resize></oemconfig>";
    // 6.1 -> 6.2: without a loader it was GRUB.
    assert_eq!(with("6.1", disk, quiet), "");
    // 7.1 -> 7.2: attributes became an element, and problems are found at the attribute.
    let moved = with("7.1", &format!("{disk} bootloader=\"systemd_boot\" boottimeout=\"x\""), quiet);
    assert_eq!(moved, "d.xml:3:92: error: timeout is no number of at most 64 bits: x\n");
    // 8.2 -> 8.3
    let renamed = with(
        "8.2",
        &format!("{disk} btrfs_root_is_snapshot=\"true\""),
        &format!("<bootloader name=\"custom\"/>{quiet}"),
    );
    assert!(renamed.contains("d.xml:3:53: error: attribute btrfs_root_is_snapper_snapshot"), "{renamed}");
    // 8.3 -> 8.4
    let consoles =
        with("8.3", disk, &format!("<bootloader name=\"custom\" console=\"serial console\"/>{quiet}"));
    assert!(
        consoles.contains("attribute output_console") && consoles.contains("attribute input_console"),
        "{consoles}"
    );
    // 7.4 -> 7.5 and 6.4 -> 6.5: what was an attribute is an element.
    assert!(
        with("6.4", &format!("{disk} container=\"c\""), quiet)
            .contains("d.xml:3:53: error: element containerconfig")
    );
}

/// A container as a virtual machine, written for schema 6.8: upgraded, it wants nothing but what is not there yet.
#[test]
fn a_description_of_schema_6_8_is_understood() {
    let xml = r#"<image schemaversion="6.8" name="box">
<description type="system"><author>A</author><contact>a@b</contact><specification>A container as a machine</specification></description>
<preferences>
<version>1.0.0</version><packagemanager>zypper</packagemanager>
<type image="oem" filesystem="xfs" firmware="uefi">
<oemconfig><oem-resize>false</oem-resize></oemconfig></type>
</preferences>
<repository type="rpm-md" alias="base"><source path="obs://x:15.3/standard"/></repository>
<packages type="image"><package name="kernel"/><package name="loader" arch="x86_64"/></packages>
<packages type="bootstrap"><package name="filesystem"/></packages>
<users><user password="x" home="/root" name="root" groups="root"/></users>
</image>"#;
    check(
        "d.xml",
        xml,
        "d.xml:5:19: error: filesystem=\"xfs\" is not supported yet\n  supported: filesystem=\"ext2\", filesystem=\"ext3\", filesystem=\"ext4\"",
    );
    let model = parse("d.xml", xml.as_bytes().to_vec()).expect("it is XML");
    let said = &model.said;
    assert_eq!((said.packages.len(), said.repository.len(), said.users[0].user.len()), (2, 1, 1));
}
