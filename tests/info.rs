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
<repository alias="more" password="geheim" username="u"><source path="obs://more"><signing key="file:///k"/></source></repository>
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

/// Names with where they came from: `NAME FROM`.
fn named(value: &Value) -> Vec<String> {
    let one = |one: &Value| format!("{} {}", one["name"].as_str().unwrap(), one["from"].as_str().unwrap());
    value.as_array().into_iter().flatten().map(one).collect()
}

#[test]
fn everything_that_is_selected_is_shown_with_its_place() {
    let directory = description();
    let run = diskwright(["info", directory.path().to_str().unwrap(), "--profile", "Big"]).ends(0);
    let expected = r#"value                                     from
name                       demo           config.xml:1
displayname                demo           default
version                    1.2            config.xml:4
packagemanager             dnf5           config.xml:4
type image                 oem            config.xml:5
type filesystem            ext4           config.xml:5
type firmware              uefi           config.xml:5
type bootloader@name       custom         config.xml:5
type oemconfig/oem-resize  false          config.xml:6
type initrd_system         dracut         default
type bootloader@timeout    10             default
type devicepersistency     by-uuid        default
type rootfs_label          ROOT           default
type eficsm                true           default
type efipartsize           20             default
type disk_start_sector     2048           default
type target_blocksize      512            default
type oemconfig/oem-swap    false          default

   profile             from
*  Big      a big one  config.xml:3

   type    from
*  oem     config.xml:5
   docker  config.xml:8

bootstrap packages  from
dnf5                default
filesystem          config.xml:13

image packages  from
a               config.xml:14
b               config.xml:14
kernel          config.xml:15 (profile Big)

repository                                                   from
obs://base  alias=base imageonly=true                        config.xml:11
obs://more  alias=more password=(a secret) username=u        config.xml:12

user  groups      from
root  root,wheel  config.xml:9

partition   MiB  file system  mounted at
data       1024  ext4         /srv

an image can be made of it
"#;
    let squeezed = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(squeezed(&run.stdout), squeezed(expected), "\n{}", run.stdout);
    assert!(!run.stdout.contains("geheim"), "secrets stay secret");
}

#[test]
fn kiwis_options_change_the_description() {
    let directory = description();
    let at = directory.path();
    let value = |arguments: &[&str], name: &str| -> String {
        let info = json(at, arguments);
        let values = info["values"].as_array().unwrap().clone();
        let found = values.into_iter().find(|one| one["name"] == name);
        found
            .map(|one| format!("{} {}", one["value"].as_str().unwrap(), one["from"].as_str().unwrap()))
            .unwrap_or_default()
    };
    assert_eq!(value(&["--set-type-attr", "rootfs_label=SYS"], "type rootfs_label"), "SYS --set-type-attr");
    assert_eq!(value(&["--set-type-attr", "filesystem=xfs"], "type filesystem"), "xfs --set-type-attr");
    assert_eq!(value(&["--set-release-version", "42"], "release-version"), "42 --set-release-version");
    assert_eq!(
        value(&["--type", "docker", "--set-container-tag", "new"], "type containerconfig@tag"),
        "new --set-container-tag"
    );
    assert_eq!(
        value(
            &["--type", "docker", "--add-container-label", "a=b"],
            "type containerconfig/labels/label@value"
        ),
        "b --add-container-label"
    );
    let packages = |arguments: &[&str], what: &str| named(&json(at, arguments)["packages"][what]);
    assert!(packages(&["--add-package", "x"], "image packages").contains(&"x --add-package".to_owned()));
    assert!(
        packages(&["--add-bootstrap-package", "x"], "bootstrap packages")
            .contains(&"x --add-bootstrap-package".to_owned())
    );
    assert_eq!(packages(&["--delete-package", "x"], "uninstall packages"), ["x --delete-package"]);
    let sources = |arguments: &[&str]| -> Vec<String> {
        let info = json(at, arguments);
        let all = info["repositories"].as_array().unwrap().clone();
        all.iter()
            .map(|one| {
                format!(
                    "{} {} {}",
                    one["source"].as_str().unwrap(),
                    one["attributes"]["alias"].as_str().unwrap_or("-"),
                    one["keys"].as_array().unwrap().len()
                )
            })
            .collect()
    };
    assert_eq!(sources(&[]), ["obs://base base 0", "obs://more more 1"]);
    assert_eq!(sources(&["--ignore-repos"]), Vec::<String>::new());
    assert_eq!(sources(&["--ignore-repos-used-for-build"]), ["obs://base base 0"]);
    assert_eq!(sources(&["--set-repo", "dir:///x,rpm-md,new"]), ["dir:///x new 0", "obs://more more 1"]);
    assert_eq!(
        sources(&[
            "--add-repo",
            "http://y,apt-deb,y,5,true,false,{file:///a;file:///b},main contrib,stable,true,baseurl"
        ]),
        ["obs://base base 0", "obs://more more 1", "http://y y 2"]
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
    assert_eq!(
        text,
        "A: 2 images, create 1, build 0: image=\"docker\"; element packages needs a package manager; element repository needs a \
         package manager; element users needs accounts in the tree\n\
         B: 1 images, create 1, build 1\n\
         C: 0 images, create 0, build 0: C/config.xml:1:1: error: the root node was opened but never closed\n\
         \n3 descriptions: all images of 1 could be created, of 1 built; what blocks how many:\n\n1  element packages needs a \
         package manager\n1  element repository needs a package manager\n1  element users needs accounts in the tree\n1  \
         image=\"docker\"\n"
    );
    let run = diskwright(["info", "--json", "--support", paths[0], paths[1]]).ends(0);
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["total"]["image=\"docker\""], 1);
    assert_eq!(json["descriptions"][1]["build"], 1);
}

#[test]
fn codes_are_explained() {
    let text = diskwright(["explain", "not-here"]).ends(0).stdout;
    assert!(text.contains("belongs to other image types"), "{text}");
    assert!(diskwright(["explain"]).ends(0).stdout.lines().count() > 20);
    assert!(diskwright(["explain", "nix"]).ends(2).stderr.contains("no such code: nix"));
}
