//! `diskwright info`: what a description says and selects, where each value came from, what could not be made today; and
//! KIWI's options that change a description.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::path::Path;
use support::{diskwright, write};

const DESCRIPTION: &str = r#"<image schemaversion="8.5" name="demo">
<description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description>
<profiles><profile name="Big" description="a big one"/></profiles>
<preferences><version>1.2</version><packagemanager>dnf5</packagemanager>
<type image="oem" filesystem="ext4" firmware="uefi"><bootloader name="custom"/>
<oemconfig><oem-resize>false</oem-resize></oemconfig>
<partitions><partition name="data" size="1G" mountpoint="/srv" filesystem="ext4"/></partitions></type>
<type image="docker"><containerconfig name="c" tag="old"/></type></preferences>
<users><user name="root" password="geheim" groups="root"/></users>
<users profiles="Big"><user name="root" password="x" groups="wheel,root"/></users>
<repository alias="base" imageonly="true"><source path="obs://base"/></repository>
<repository alias="more" password="geheim" username="u"><source path="obs://u:geheim@more/a?geheim"><signing key="file:///k"/></source></repository>
<packages type="bootstrap"><package name="filesystem"/></packages>
<packages type="image"><package name="b"/><package name="a"/><package name="s" arch="s390x"/></packages>
<packages type="oem" profiles="Big"><package name="kernel"/></packages>
</image>
"#;

fn description() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path().join("config.xml"), DESCRIPTION);
    directory
}

fn json(at: &Path, arguments: &[&str]) -> Value {
    let all = [&["info", at.to_str().unwrap(), "--json"], arguments].concat();
    serde_json::from_str(&diskwright(all).ends(0).stdout).unwrap()
}

/// Where something is from: an option, or `default`, or the line with the profiles.
fn from(one: &Value) -> String {
    let from = &one["from"];
    let profiles = from["profiles"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let line = from["line"].to_string();
    match from["kind"].as_str().unwrap() {
        "command-line" => from["option"].as_str().unwrap().to_owned(),
        "description" => [line.as_str()].into_iter().chain(profiles).collect::<Vec<_>>().join(" "),
        other => other.to_owned(),
    }
}

/// Names with where they came from: `NAME FROM`.
fn named(value: &Value) -> Vec<String> {
    let one = |one: &Value| format!("{} {}", one["name"].as_str().unwrap(), from(one));
    value.as_array().into_iter().flatten().map(one).collect()
}

#[test]
fn everything_that_is_selected_is_shown_with_its_place() {
    let directory = description();
    let run = diskwright(["info", directory.path().to_str().unwrap(), "--profile", "Big"]).ends(0);
    let expected = r#"demo 1.2 for x86_64, type oem, profiles Big
file: DIR/config.xml

profile  selected  imported  requires  machines  description  from
Big      yes       -         -         -         a big one    config.xml:3

type    selected  default  machines  from
oem     yes       yes      -         config.xml:5
docker  -         -        -         config.xml:8

name                       value                         from
image@name                 demo                          config.xml:1
image@displayname          demo                          default
packagemanager             dnf5                          config.xml:4  recorded
version                    1.2                           config.xml:4
type@image                 oem                           config.xml:5
type@filesystem            ext4                          config.xml:5
type@firmware              uefi                          config.xml:5
type/bootloader@name       custom                        config.xml:5
type/oemconfig/oem-resize  false                         config.xml:6
type@initrd_system         dracut                        default
type/bootloader@timeout    10                            default
type@devicepersistency     by-uuid                       default
type@rootfs_label          ROOT                          default
type@eficsm                true                          default
type@efipartsize           20                            default
type@disk_start_sector     2048                          default
type@target_blocksize      512                           default
type/oemconfig/oem-swap    false                         default
type@fsmountoptions        defaults                      default
type@efiparttable          gpt                           default
type@apply_dps_codes       false                         default
type@kernelcmdline                                       default
type@format                raw                           default
type/size                  content + max(256 MiB, 20 %)  default

partition   MiB  file system  mounted at  clones
data       1024  ext4         /srv        -

packages: bootstrap  from
dnf5                 default
filesystem           config.xml:13

packages: image      from
a                    config.xml:14
b                    config.xml:14

packages: oem        from
kernel               config.xml:15 (profile Big)

repository                                      keys       credentials  from
obs://base           alias=base, imageonly=true -          -            config.xml:11
obs://***@more/a?*** alias=more                 file:///k  yes          config.xml:12

user  groups               from
root  root, wheel  -       config.xml:9

An image can be made of it.
"#;
    let squeezed = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let found = run.stdout.replace(directory.path().to_str().unwrap(), "DIR");
    assert_eq!(squeezed(&found), squeezed(expected), "\n{found}");
}

/// No password, and nothing that stands for one, in any form of any output.
#[test]
fn secrets_are_not_shown() {
    let directory = description();
    let at = directory.path();
    let xml = DESCRIPTION.replace("firmware=\"uefi\"", "firmware=\"uefi\" luks=\"geheim\"");
    write(at.join("config.xml"), xml);
    let at = at.to_str().unwrap();
    for arguments in [
        &["info", at][..],
        &["info", at, "--json"],
        &["info", at, "--add-repo", "http://u:geheim@y", "--add-repo-credentials", "u:geheim"],
        &["info", at, "--json", "--add-repo", "http://y?geheim", "--add-repo-credentials", "u:geheim"],
        &["info", at, "--support"],
        &["info", at, "--support", "--json"],
    ] {
        let run = diskwright(arguments).ends(0);
        assert!(
            !run.stdout.contains("geheim") && !run.stderr.contains("geheim"),
            "{arguments:?}\n{}",
            run.stdout
        );
    }
}

#[test]
fn what_the_command_line_says_is_from_there() {
    let directory = description();
    let options =
        "--fs ext3 --label SYS --esp-size 40M --cmdline ro --format qcow2 --format raw --no-boot --size 4G";
    let info = json(directory.path(), &options.split(' ').collect::<Vec<_>>());
    let value = |name: &str| {
        let found = info["values"].as_array().unwrap().iter().find(|one| one["name"] == name);
        found.map(|one| format!("{} {}", one["value"].as_str().unwrap(), from(one))).unwrap_or_default()
    };
    for (name, expected) in [
        ("type@filesystem", "ext3 --fs"),
        ("type@rootfs_label", "SYS --label"),
        ("type@efipartsize", "40 MiB --esp-size"),
        ("type@kernelcmdline", "ro --cmdline"),
        ("type@format", "qcow2, raw --format"),
        ("type/bootloader@name", "custom --no-boot"),
        ("type/size", "4 GiB --size"),
        ("version", "1.2 4"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let refused = diskwright(["info", directory.path().to_str().unwrap(), "--resolve-package-list"]).ends(1);
    assert!(refused.stderr.contains("--resolve-package-list needs a solver"), "{}", refused.stderr);
}

#[test]
fn types_behind_profiles_are_shown_and_the_default_is_marked() {
    let directory = tempfile::tempdir().unwrap();
    let xml = DESCRIPTION
        .replace("<type image=\"docker\">", "<type image=\"docker\" primary=\"true\">")
        .replace("</profiles>", "<profile name=\"Old\" description=\"o\" import=\"true\"><requires profile=\"Big\" arch=\"s390x\"/></profile></profiles>")
        .replace("<users>", "<preferences profiles=\"Old\" arch=\"aarch64\"><type image=\"tbz\"/></preferences><users>");
    write(directory.path().join("config.xml"), xml);
    let info = json(directory.path(), &["--type", "oem"]);
    let types: Vec<String> = info["types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{} {} {} {} {}",
                one["image"],
                one["available"],
                one["default"],
                one["selected"],
                from(one)
            )
        })
        .collect();
    assert_eq!(
        types,
        ["\"oem\" true false true 5", "\"docker\" true true false 8", "\"tbz\" false false false 9 Old"]
    );
    let old = &info["profiles"][1];
    assert_eq!((old["import"].as_bool(), old["selected"].as_bool()), (Some(true), Some(true)));
    assert_eq!(old["requires"][0]["profile"], "Big");
    assert_eq!(old["requires"][0]["arch"][0], "s390x");
    assert_eq!(json(directory.path(), &[])["type"], "docker");
    assert!(!json(directory.path(), &[])["refused"].as_array().unwrap().is_empty());
}

#[test]
fn kiwis_options_change_the_description() {
    let directory = description();
    let at = directory.path();
    let value = |arguments: &[&str], name: &str| -> String {
        let info = json(at, arguments);
        let found = info["values"].as_array().unwrap().iter().find(|one| one["name"] == name);
        found.map(|one| format!("{} {}", one["value"].as_str().unwrap(), from(one))).unwrap_or_default()
    };
    assert_eq!(value(&["--set-type-attr", "rootfs_label=SYS"], "type@rootfs_label"), "SYS --set-type-attr");
    assert_eq!(value(&["--set-type-attr", "filesystem=xfs"], "type@filesystem"), "xfs --set-type-attr");
    assert_eq!(value(&["--set-release-version", "42"], "release-version"), "42 --set-release-version");
    assert_eq!(
        value(&["--type", "docker", "--set-container-tag", "new"], "type/containerconfig@tag"),
        "new --set-container-tag"
    );
    assert_eq!(
        value(
            &["--type", "docker", "--add-container-label", "a=b"],
            "type/containerconfig/labels/label@value"
        ),
        "b --add-container-label"
    );
    let packages = |arguments: &[&str], what: &str| {
        let info = json(at, arguments);
        let section = info["packages"].as_array().unwrap().iter().find(|one| one["type"] == what);
        section.map(|one| named(&one["items"])).unwrap_or_default()
    };
    assert!(packages(&["--add-package", "x"], "image").contains(&"x --add-package".to_owned()));
    assert!(
        packages(&["--add-bootstrap-package", "x"], "bootstrap")
            .contains(&"x --add-bootstrap-package".to_owned())
    );
    assert_eq!(packages(&["--delete-package", "x"], "uninstall"), ["x --delete-package"]);
    let sources = |arguments: &[&str]| -> Vec<String> {
        let info = json(at, arguments);
        let all = info["repositories"].as_array().unwrap().clone();
        all.iter()
            .map(|one| {
                format!(
                    "{} {} {}",
                    one["path"].as_str().unwrap(),
                    one["attributes"]["alias"].as_str().unwrap_or("-"),
                    one["keys"].as_array().unwrap().len()
                )
            })
            .collect()
    };
    assert_eq!(sources(&[]), ["obs://base base 0", "obs://***@more/a?*** more 1"]);
    assert_eq!(sources(&["--ignore-repos"]), Vec::<String>::new());
    assert_eq!(sources(&["--ignore-repos-used-for-build"]), ["obs://base base 0"]);
    assert_eq!(
        sources(&["--set-repo", "dir:///x,rpm-md,new"]),
        ["dir:///x new 0", "obs://***@more/a?*** more 1"]
    );
    assert_eq!(
        sources(&[
            "--add-repo",
            "http://y,apt-deb,y,5,true,false,{file:///a;file:///b},main contrib,stable,true,baseurl"
        ]),
        ["obs://base base 0", "obs://***@more/a?*** more 1", "http://y y 2"]
    );
    assert_eq!(
        sources(&["--ignore-repos", "--add-repo", "http://y", "--add-repo-credentials", "u:p"]),
        ["http://y - 0"]
    );
}

#[test]
fn what_is_wrong_with_an_option_is_shown_in_it() {
    let directory = description();
    let at = directory.path().to_str().unwrap();
    let said = |arguments: &[&str], code: i32| {
        let tree = directory.path().join("tree");
        let all =
            [&["create", at, "--root", tree.to_str().unwrap(), "-o", "/nowhere", "-q"], arguments].concat();
        diskwright(all).ends(code).stderr
    };
    let stderr = said(&["--set-type-attr", "filesytem=ext4"], 1);
    assert!(
        stderr.contains("error[unknown-attribute]: <type> has no attribute filesytem")
            && stderr.contains(" --> --set-type-attr:1:1")
            && stderr.contains("did you mean filesystem?"),
        "{stderr}"
    );
    assert!(said(&["--set-type-attr", "eficsm=nein"], 1).contains("eficsm is neither true nor false: nein"));
    assert!(said(&["--set-type-attr", "eficsm"], 1).contains("no attribute and value: eficsm"));
    assert!(said(&["--add-repo", "a,rpm"], 1).contains("type has no value rpm"));
    assert!(said(&["--add-repo", "a,,,,,,,,,,,"], 1).contains("more than 11 fields"));
    // What would have no effect is no mistake to pass over.
    let secret = said(&["--add-repo", "http://y", "--add-repo-credentials", "geheim"], 1);
    assert!(secret.contains("without a colon") && !secret.contains("geheim"), "{secret}");
    assert!(said(&["--add-repo-credentials", "u:p"], 1).contains("more of them than --add-repo"));
    assert!(said(&["--set-repo-credentials", "u:p"], 1).contains("no --set-repo"));
    assert!(said(&["--ca-target-distribution", "suse"], 1).contains("no certificates"));
    assert!(
        said(&["--ignore-repos", "--set-repo", "x"], 1).contains("no repository whose place it could take")
    );
    assert!(said(&["--profile", "Nix", "--add-package", "x"], 1).contains("no such profile"));
}

#[test]
fn support_says_what_blocks_how_many() {
    let directory = description();
    let other = tempfile::tempdir().unwrap();
    let good = DESCRIPTION
        .split("<users>")
        .next()
        .unwrap()
        .replace("<type image=\"docker\"><containerconfig name=\"c\" tag=\"old\"/></type>", "")
        + "</image>";
    write(other.path().join("config.xml"), good);
    let broken = tempfile::tempdir().unwrap();
    write(broken.path().join("config.xml"), "<image>");
    let paths = [&directory, &other, &broken].map(|one| one.path().to_str().unwrap());
    let run = diskwright(["info", "--support", paths[0], paths[1], paths[2]]).ends(0);
    let text =
        paths.iter().zip(["A", "B", "C"]).fold(run.stdout, |text, (path, name)| text.replace(path, name));
    let expected = r#"A: 2 of 4 images; refused: type@image=docker (containers)
B: supported, 2 images
C: wrong: C/config.xml:1:1: error: the root node was opened but never closed

3 descriptions: 1 supported, 1 partly, 1 wrong; 4 of 6 images can be made
"#;
    assert!(text.starts_with(expected), "{text}");
    let rows: Vec<String> =
        text.lines().skip(5).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = r#"
descriptions images alone what blocks them
1 2 2 type@image=docker containers

descriptions images alone what only build lacks
1 4 0 packages a package manager
1 4 0 repository a package manager
1 4 0 users accounts in the tree"#;
    assert_eq!(rows, expected.lines().collect::<Vec<_>>(), "{text}");
    let run = diskwright(["info", "--json", "--support", paths[0], paths[1], "/nowhere"]).ends(0);
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["totals"]["refused"][0]["part"], "type@image=docker");
    assert_eq!(json["totals"]["verdicts"]["unreadable"], 1);
    assert_eq!(json["descriptions"][0]["images"].as_array().unwrap().len(), 4);
    assert_eq!(json["descriptions"][0]["refused"][0]["at"], format!("{}/config.xml:8", paths[0]));
    assert_eq!(json["descriptions"][1]["verdict"], "supported");
}

#[test]
fn descriptions_are_found_below_a_directory() {
    let at = tempfile::tempdir().unwrap();
    for name in ["b/config.xml", "a/deep/image/config.xml", "c/my.kiwi", "c/below/config.xml"] {
        write(at.path().join(name), DESCRIPTION);
    }
    write(at.path().join("d/notes.txt"), "no description");
    let run = diskwright(["info", "--support", "--json", at.path().to_str().unwrap()]).ends(0);
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    let paths = json["descriptions"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap());
    let found: Vec<String> =
        paths.map(|path| Path::new(path).strip_prefix(at.path()).unwrap().display().to_string()).collect();
    // What holds a description is one, whatever lies below it.
    assert_eq!(found, ["a/deep", "b", "c"]);
    // A script beside a description runs in its tree.
    write(at.path().join("b/disk.sh"), "");
    let run = diskwright(["info", "--support", at.path().join("b").to_str().unwrap()]).ends(0);
    assert!(!run.stdout.contains("disk.sh"), "{}", run.stdout);
}

#[test]
fn codes_are_explained() {
    let text = diskwright(["explain", "not-here"]).ends(0).stdout;
    assert!(text.contains("belongs to other image types"), "{text}");
    assert!(diskwright(["explain"]).ends(0).stdout.lines().count() > 20);
    assert!(diskwright(["explain", "nix"]).ends(2).stderr.contains("no such code: nix"));
}
