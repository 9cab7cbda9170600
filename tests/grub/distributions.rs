//! Trees as SUSE and Fedora lay theirs out, with Debian's files in the place of theirs: what is found, what is written
//! where, and machines that start from it.
//!
//! | | SUSE | Fedora |
//! |---|---|---|
//! | directory, tools | `/boot/grub2`, `/usr/sbin/grub2-install` | the same |
//! | modules | `/usr/share/grub2/TARGET` | `/usr/lib/grub/TARGET`; for UEFI often none |
//! | signed images | `/usr/share/efi/x86_64/{shim,grub,MokManager}.efi` | `/boot/efi/EFI/fedora/{shim,grub,mm}x64.efi` |
//! | kernels | `/usr/lib/modules/VERSION/vmlinuz`, a link from `/boot` | `/boot/vmlinuz-VERSION` |
//! | menu | `10_linux` with `linuxefi` | boot entries, by the kernel's package |
//! | settings | `/etc/default/grub`, `/etc/sysconfig/bootloader` | `/etc/default/grub` |

use super::support::*;
use super::tree::*;
use diskwright::boot::{BootFiles, boot_files};
use diskwright::build::identity;
use diskwright::describe::kiwi::parse;
use diskwright::model::Arch;
use diskwright::plan::plan;
use diskwright::resolve::{Choice, resolve};
use diskwright_formats::layout::Memory;
use diskwright_fstools::registry::{Release, Target as System};
use diskwright_fstools::tree::{Data, Kind, Meta, Node, Time, Tree};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "6.4.0-150600.21-default";

/// A description of a disk with GRUB.
fn xml(attributes: &str, loader: &str) -> String {
    format!(
        r#"<image schemaversion="8.5" name="t" displayname="The system"><description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description><preferences><version>1.0.0</version><packagemanager>zypper</packagemanager>
        <type image="oem" filesystem="ext4" {attributes}>{loader}<oemconfig><oem-resize>false</oem-resize></oemconfig></type></preferences></image>"#
    )
}

/// What the loader adds to a tree of the distribution with this id.
#[track_caller]
fn made(tree: &Tree, id: &str, attributes: &str) -> BootFiles {
    let loader = r#"<bootloader name="grub2" timeout="1"/>"#;
    let model = parse("d.xml", xml(attributes, loader).into_bytes()).unwrap_or_else(|list| panic!("{list}"));
    let mut image =
        resolve(&model, &Choice::new(Arch::X86_64)).unwrap_or_else(|error| panic!("{error}")).image;
    let release = Release { id: id.to_owned(), like: vec![], version: None, codenames: vec![], pretty: None };
    let target = System { named: None, release: Some(release), mke2fs_conf: None, boot: None };
    image.system = Some(diskwright::model::System { target, grub: true, ..Default::default() });
    let plan = plan(&image, &identity(&image, Some(b"seed"), 0)).unwrap();
    boot_files(&plan, tree, &Memory(Vec::new())).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// The text of a file.
#[track_caller]
fn text(files: &[(String, Node)], path: &str) -> String {
    let found = files.iter().find(|(at, _)| at == path).unwrap_or_else(|| panic!("no {path}"));
    match &found.1.kind {
        Kind::File(Data::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{path}: {other:?}"),
    }
}

fn paths(files: &[(String, Node)]) -> Vec<&str> {
    let mut paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    paths.sort_unstable();
    paths
}

fn link(tree: &mut Tree, path: &str, target: &str) {
    let meta = Meta::of_root(0o777, Time::seconds(0));
    let node = Node { meta, kind: Kind::Symlink(target.as_bytes().into()) };
    tree.put(path.as_bytes(), node, Meta::of_root(0o755, Time::seconds(0))).unwrap();
}

fn suse() -> Tree {
    let mut tree = empty();
    for (path, text) in [
        ("usr/sbin/grub2-install", ""),
        ("usr/sbin/grub2-mkconfig", "#!/bin/sh\n"),
        ("usr/sbin/update-bootloader", ""),
        ("usr/sbin/shim-install", ""),
        ("etc/grub.d/10_linux", "linuxefi=linuxefi\n"),
        ("etc/default/grub", "GRUB_DISTRIBUTOR=\n# kept\nGRUB_TIMEOUT=8\n"),
        ("etc/sysconfig/bootloader", "## Type: string\nLOADER_TYPE=\"\"\nSECURE_BOOT=\"\"\n"),
        ("usr/share/efi/x86_64/shim-opensuse.efi", "shim"),
        ("usr/share/efi/x86_64/grub.efi", "grub without a vendor"),
        ("usr/share/efi/x86_64/MokManager.efi", "mok"),
        ("usr/share/grub2/unicode.pf2", "font"),
        ("boot/initrd-6.4.0-150600.21-default", "initrd"),
        ("usr/lib/modules/6.4.0-150600.21-default/vmlinuz", "kernel"),
    ] {
        put(&mut tree, path, text);
    }
    link(&mut tree, "usr/share/efi/x86_64/shim.efi", "shim-opensuse.efi");
    let kernel = format!("boot/vmlinuz-{VERSION}");
    link(&mut tree, &kernel, &format!("../usr/lib/modules/{VERSION}/vmlinuz"));
    link(&mut tree, "boot/vmlinuz", &format!("vmlinuz-{VERSION}"));
    tree
}

#[test]
fn suse_has_its_own_places() {
    let files = made(&suse(), "opensuse-leap", r#"firmware="uefi" eficsm="false""#);
    // shim starts the grub.efi beside itself, which reads the grub.cfg beside itself: there is no vendor's directory.
    let expected =
        ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/MokManager.efi", "EFI/BOOT/grub.cfg", "EFI/BOOT/grub.efi"];
    assert_eq!(paths(&files.esp), expected);
    assert_eq!(text(&files.esp, "EFI/BOOT/BOOTX64.EFI"), "shim");
    assert!(text(&files.esp, "EFI/BOOT/grub.cfg").contains("set prefix=($root)/boot/grub2\n"));
    let expected = [
        "/boot/grub2/fonts/unicode.pf2",
        "/boot/grub2/grub.cfg",
        "/boot/grub2/grubenv",
        "/etc/default/grub",
        "/etc/sysconfig/bootloader",
    ];
    assert_eq!(paths(&files.root), expected);
    let menu = text(&files.root, "/boot/grub2/grub.cfg");
    assert!(menu.contains(&format!("  $linux /boot/vmlinuz-{VERSION} root=UUID=")), "{menu}");
    assert!(menu.contains(&format!("  $initrd /boot/initrd-{VERSION}\n")), "{menu}");
    let settings = text(&files.root, "/etc/default/grub");
    assert!(settings.starts_with("GRUB_DISTRIBUTOR=\"The system\"\n# kept\nGRUB_TIMEOUT=1\n"), "{settings}");
    let sysconfig = text(&files.root, "/etc/sysconfig/bootloader");
    for line in ["LOADER_TYPE=\"grub2-efi\"", "SECURE_BOOT=\"yes\"", "LOADER_LOCATION=\"none\""] {
        assert_eq!(sysconfig.lines().filter(|one| *one == line).count(), 1, "{sysconfig}");
    }
    assert!(sysconfig.starts_with("## Type: string\n"), "{sysconfig}");
}

/// GRUB cannot follow a link out of the file system that it reads.
#[test]
fn a_kernel_that_is_a_link_out_of_boot_is_copied_where_boot_is_alone() {
    let alone = made(&suse(), "opensuse-leap", r#"firmware="uefi" eficsm="false" bootpartition="true""#);
    let kernel = format!("/boot/vmlinuz-{VERSION}");
    assert_eq!(text(&alone.root, &kernel), "kernel");
    let menu = text(&alone.root, "/boot/grub2/grub.cfg");
    assert!(menu.contains(&format!("  $linux /vmlinuz-{VERSION} ")), "{menu}");
    let whole = made(&suse(), "opensuse-leap", r#"firmware="uefi" eficsm="false""#);
    assert!(!paths(&whole.root).contains(&kernel.as_str()));
}

fn fedora() -> Tree {
    let mut tree = empty();
    for (path, text) in [
        ("usr/bin/grub2-mkconfig", "GRUB_ENABLE_BLSCFG\n"),
        ("usr/bin/grub2-switch-to-blscfg", ""),
        ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"rhgb\"\nGRUB_ENABLE_BLSCFG=true\n"),
        ("etc/sysconfig/network", ""),
        ("boot/efi/EFI/BOOT/BOOTX64.EFI", "shim"),
        ("boot/efi/EFI/BOOT/fbx64.efi", "fallback"),
        ("boot/efi/EFI/fedora/shimx64.efi", "shim"),
        ("boot/efi/EFI/fedora/shim.efi", "shim"),
        ("boot/efi/EFI/fedora/grubx64.efi", "grub /EFI/fedora\0"),
        ("boot/efi/EFI/fedora/mmx64.efi", "mok"),
        ("boot/grub2/grubenv", "# GRUB Environment Block\nboot_success=0\n######"),
        ("boot/vmlinuz-6.11.4-301.fc41.x86_64", "kernel"),
        ("boot/initramfs-6.11.4-301.fc41.x86_64.img", "initrd"),
        ("boot/vmlinuz-6.11.3-300.fc41.x86_64", "kernel"),
        ("boot/loader/entries/0123abcd-6.11.4-301.fc41.x86_64.conf", "options root=of-the-host\n"),
    ] {
        put(&mut tree, path, text);
    }
    tree
}

#[test]
fn fedora_has_its_own_places() {
    let files = made(&fedora(), "fedora", r#"firmware="uefi" eficsm="false""#);
    let expected = [
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/BOOT/grub.cfg",
        "EFI/BOOT/grubx64.efi",
        "EFI/BOOT/mmx64.efi",
        "EFI/fedora/grub.cfg",
        "EFI/fedora/grubx64.efi",
        "EFI/fedora/mmx64.efi",
        "EFI/fedora/shimx64.efi",
    ];
    assert_eq!(paths(&files.esp), expected);
    // The entry that the kernel's package made, with the command line of the machine that it was installed on, is that of
    // this kernel, and no second one is made.
    let expected = [
        "/boot/grub2/grub.cfg",
        "/boot/grub2/grubenv",
        "/boot/loader/entries/0123abcd-6.11.4-301.fc41.x86_64.conf",
        "/boot/loader/entries/fedora-6.11.3-300.fc41.x86_64.conf",
        "/etc/default/grub",
    ];
    assert_eq!(paths(&files.root), expected);
    let entry = text(&files.root, expected[2]);
    for line in [
        "linux /boot/vmlinuz-6.11.4-301.fc41.x86_64\n",
        "initrd /boot/initramfs-6.11.4-301.fc41.x86_64.img\n",
        "grub_class fedora\n",
    ] {
        assert!(entry.contains(line), "{entry}");
    }
    assert!(!entry.contains("of-the-host") && entry.contains("\noptions root=UUID="), "{entry}");
    assert!(text(&files.root, expected[0]).contains("\nblscfg\n"));
    assert!(text(&files.root, expected[1]).starts_with("# GRUB Environment Block\nboot_success=0\n###"));
    assert!(
        text(&files.root, expected[4]).starts_with("GRUB_CMDLINE_LINUX=\"rhgb\"\nGRUB_ENABLE_BLSCFG=true\n")
    );
    // Where the distribution's own tool knows no entries, neither does the menu.
    let mut other = fedora();
    put(&mut other, "usr/bin/grub2-mkconfig", "#!/bin/sh\n");
    let files = made(&other, "fedora", r#"firmware="uefi" eficsm="false""#);
    assert!(
        text(&files.root, "/boot/grub2/grub.cfg").contains("  linux /boot/vmlinuz-6.11.4-301.fc41.x86_64 ")
    );
}

/// Copies a directory or file of a release into a tree.
fn copy(release: &Path, from: &str, tree: &Path, to: &str) {
    let (from, to) = (release.join("usr").join(from), tree.join(to));
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    tool("cp", ["-r".as_ref(), from.as_os_str(), to.as_os_str()]);
}

/// A tree with the kernel of the Debian root and GRUB's tools; the first release's files of GRUB.
fn with_kernel(test: &str, at: &Path) -> Option<(PathBuf, PathBuf)> {
    oracle(test, "qemu-system-x86_64")?;
    let (debian, release) = (debian_root(test)?, releases(test).into_iter().next()?);
    let tree = at.join("tree");
    std::fs::create_dir_all(tree.join("boot")).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-xf".as_ref(), debian.as_os_str(), "-C".as_ref(), tree.as_os_str()]);
    run(tar.args(["--wildcards", "./boot/vmlinuz-*"])).ends(0);
    write(tree.join("usr/sbin/grub2-install"), "");
    write(tree.join("etc/default/grub"), "");
    Some((tree, release))
}

/// Makes a disk, and starts it: GRUB hands the kernel its command line.
#[track_caller]
fn starts(at: &Path, attributes: &str, machine: &[&str], kernel: &str) {
    let loader = r#"<bootloader name="grub2" timeout="0" output_console="serial" input_console="serial" serial_line="serial --unit=0 --speed=115200"/>"#;
    let line = r#"kernelcmdline="console=ttyS0 no_timer_check made-by-the-test""#;
    write(at.join("d/config.xml"), xml(&format!("{line} {attributes}"), loader));
    let arguments = ["create", "d", "--root", "tree", "-o", "out", "--owner", "0:0", "--force", "--no-sync"];
    run(command(arguments).current_dir(at)).ends(0);
    let image = listing(&at.join("out")).into_iter().find(|name| name.ends_with(".raw")).unwrap();
    let expected = format!("BOOT_IMAGE={kernel} console=ttyS0 no_timer_check made-by-the-test root=UUID=");
    let mut boot = command(["boot", "--accel", "tcg", "--timeout", "200", "--expect", &expected]);
    run(boot.args(machine).arg(at.join("out").join(image))).ends(0);
}

#[test]
fn a_layout_of_suse_starts() {
    let work = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = work.path();
    let Some((tree, release)) = with_kernel("a_layout_of_suse_starts", at) else { return };
    write(tree.join("etc/os-release"), "ID=opensuse-leap\nVERSION_ID=15.6\n");
    write(tree.join("etc/grub.d/10_linux"), "linuxefi\n");
    for target in ["i386-pc", "x86_64-efi"] {
        copy(&release, &format!("lib/grub/{target}"), &tree, &format!("usr/share/grub2/{target}"));
    }
    // Kernels of SUSE's lie with their modules.
    let kernel = listing(&tree.join("boot")).into_iter().next().unwrap();
    let directory = format!("usr/lib/modules/{}", kernel.strip_prefix("vmlinuz-").unwrap());
    std::fs::create_dir_all(tree.join(&directory)).unwrap();
    std::fs::rename(tree.join("boot").join(&kernel), tree.join(&directory).join("vmlinuz")).unwrap();
    symlink(format!("../{directory}/vmlinuz"), tree.join("boot").join(&kernel)).unwrap();
    starts(at, r#"firmware="bios""#, &["--firmware", "bios"], &format!("/boot/{kernel}"));
    let apart = r#"firmware="efi" bootpartition="true""#;
    starts(at, apart, &["--firmware", "uefi"], &format!("/{kernel}"));
    starts(at, apart, &["--firmware", "bios"], &format!("/{kernel}"));
}

/// Debian's signed images lie where Fedora's do; they look for their configuration where Debian's do.
#[test]
fn a_layout_of_fedora_starts_with_secure_boot() {
    let work = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = work.path();
    let Some((tree, release)) = with_kernel("a_layout_of_fedora_starts_with_secure_boot", at) else { return };
    write(tree.join("etc/os-release"), "ID=fedora\nVERSION_ID=41\n");
    let vendor = "boot/efi/EFI/fedora";
    copy(&release, "lib/shim/shimx64.efi.signed", &tree, &format!("{vendor}/shimx64.efi"));
    copy(&release, "lib/shim/mmx64.efi.signed", &tree, &format!("{vendor}/mmx64.efi"));
    let signed = "lib/grub/x86_64-efi-signed/grubx64.efi.signed";
    copy(&release, signed, &tree, &format!("{vendor}/grubx64.efi"));
    let kernel = listing(&tree.join("boot")).into_iter().find(|name| name.starts_with("vmlinuz-")).unwrap();
    starts(at, r#"firmware="uefi""#, &["--secure-boot"], &format!("/boot/{kernel}"));
}
