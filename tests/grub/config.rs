//! Configuration: GRUB's own parser takes it, GRUB reads it in a machine, the shell reads what is for the shell.

use super::support::*;
use super::tree::*;
use diskwright::boot::grub::*;
use diskwright::boot::{Kernel, find_kernels};
use diskwright::model::{Naming, TimeoutStyle};
use diskwright_formats::fault::RefusalKind;
use proptest::prelude::*;
use std::path::Path;
use std::process::Command;

const UUID: &str = "6d2c5a1e-3f0b-4d8e-9a47-0c1b2d3e4f50";

pub fn settings() -> Settings {
    Settings {
        title: "A \"system\" of O'Neill's; $HOME `x` {1} \\ #".to_owned(),
        display_name: Some("Say \"$hi\" `now` \\".to_owned()),
        timeout: 3,
        timeout_style: Some(TimeoutStyle::Countdown),
        input: "serial console".to_owned(),
        output: "serial gfxterm".to_owned(),
        serial_line: Some("serial --unit=0 --speed=115200; echo no".to_owned()),
        video_mode: "1024x768,auto".to_owned(),
        theme: Some(Theme {
            name: "star field".to_owned(),
            background: true,
            fonts: vec!["a b.pf2".to_owned()],
        }),
        bls: false,
        linux_efi: false,
        command_line: format!("root=UUID={UUID} rw console=ttyS0 dyndbg=\"file a +p; b\" a=$b"),
        root: Naming::Uuid,
        crypto_disk: true,
        snapper: true,
    }
}

pub fn boot_fs() -> BootFs {
    BootFs {
        find: Find::Uuid(UUID.to_owned()),
        boot: "/boot".to_owned(),
        root: Some(String::new()),
        directory: "/boot/grub".to_owned(),
        modules: vec!["part_gpt".to_owned(), "ext2".to_owned()],
    }
}

fn kernels() -> Vec<Kernel> {
    let mut tree = empty();
    for version in ["6.1.0-9-amd64", "6.1.0-13-amd64"] {
        put(&mut tree, &format!("boot/vmlinuz-{version}"), "kernel");
        put(&mut tree, &format!("boot/initrd.img-{version}"), "initrd");
    }
    find_kernels(&tree).unwrap()
}

/// GRUB's parser takes a text.
#[track_caller]
fn checked(test: &str, text: &str) {
    let Some(check) = oracle(test, "grub-script-check") else { return };
    let work = tempfile::tempdir().unwrap();
    write(work.path().join("grub.cfg"), text);
    let said = run(Command::new(check).arg(work.path().join("grub.cfg")));
    assert!(said.code == Some(0) && said.stderr.is_empty(), "{}\n{text}", said.stderr);
}

#[test]
fn a_menu_has_every_kernel_the_newest_first() {
    let boot = boot_fs();
    let text = grub_cfg(&settings(), &boot, &boot_kernels(&kernels(), &boot).unwrap()).unwrap();
    checked("grub-cfg", &text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| line.starts_with("linux ")).collect();
    let versions = ["13", "13", "13", "9", "9"];
    assert_eq!(lines.len(), versions.len(), "{text}");
    for ((line, version), recovery) in lines.iter().zip(versions).zip([false, false, true, false, true]) {
        let start = format!("linux /boot/vmlinuz-6.1.0-{version}-amd64 root=UUID={UUID} rw console=ttyS0 ");
        assert!(line.starts_with(&start), "{line}");
        assert!(line.contains("'dyndbg=file a +p; b' 'a=$b'"), "{line}");
        assert_eq!(line.ends_with(FAILSAFE), recovery, "{line}");
    }
    assert!(text.contains("initrd /boot/initrd.img-6.1.0-13-amd64\n"));
    assert!(text.contains("set timeout_style=countdown\nset timeout=3\n"));
    assert!(text.contains("set gfxmode=1024x768,auto\n"));
    assert!(text.contains("serial --unit=0 '--speed=115200;' echo no\n"), "{text}");
    assert!(text.contains("\nterminal_input serial console\n"), "{text}");
    assert!(
        text.contains("  terminal_output serial gfxterm\nelse\n  terminal_output serial console\nfi\n"),
        "{text}"
    );
    assert!(text.contains(&format!("$menuentry_id_option 'gnulinux-simple-{UUID}'")), "{text}");
}

#[test]
fn kernels_that_have_commands_of_their_own_with_uefi() {
    let boot = boot_fs();
    let settings = Settings { linux_efi: true, ..settings() };
    let text = grub_cfg(&settings, &boot, &boot_kernels(&kernels(), &boot).unwrap()).unwrap();
    checked("grub-cfg-linuxefi", &text);
    let of_kernels: Vec<&str> =
        text.lines().map(str::trim).filter(|line| line.contains("/boot/vmlinuz-")).collect();
    assert!(
        of_kernels.len() == 5 && of_kernels.iter().all(|line| line.starts_with("$linux /boot/")),
        "{text}"
    );
    assert_eq!(text.matches("  $initrd /boot/initrd.img-").count(), 5, "{text}");
    assert!(text.contains("  set linux=linuxefi\n  set initrd=initrdefi\n"), "{text}");
    assert!(text.contains("\nexport linux initrd\n"), "submenus see only what is exported: {text}");
}

#[test]
fn a_boot_with_a_file_system_of_its_own() {
    let boot = BootFs { boot: String::new(), root: None, directory: "/grub".to_owned(), ..boot_fs() };
    let found = boot_kernels(&kernels(), &boot).unwrap();
    assert_eq!(found[0].linux, "/vmlinuz-6.1.0-13-amd64");
    checked("grub-cfg-boot", &grub_cfg(&settings(), &boot, &found).unwrap());
    let mut tree = empty();
    put(&mut tree, "usr/lib/modules/6.4.0-1-default/vmlinuz", "kernel");
    let refusal = boot_kernels(&find_kernels(&tree).unwrap(), &boot).unwrap_err();
    assert!(refusal.reason.contains("/usr/lib/modules/6.4.0-1-default/vmlinuz"), "{refusal}");
    let whole = BootFs { boot: "/@/boot".to_owned(), root: Some("/@".to_owned()), ..boot_fs() };
    let found = boot_kernels(&find_kernels(&tree).unwrap(), &whole).unwrap();
    assert_eq!(found[0].linux, "/@/usr/lib/modules/6.4.0-1-default/vmlinuz");
    assert_eq!(boot_kernels(&[], &whole).unwrap_err().kind, RefusalKind::Missing);
}

#[test]
fn entries_of_the_boot_loader_specification() {
    let command_line = format!("root=UUID={UUID} rw dyndbg=\"file a +p\"");
    let settings = Settings { bls: true, title: "Fedora Linux".to_owned(), command_line, ..settings() };
    let boot = boot_fs();
    let found = boot_kernels(&kernels(), &boot).unwrap();
    let text = grub_cfg(&settings, &boot, &found).unwrap();
    checked("grub-cfg-bls", &text);
    assert!(text.contains("\nblscfg\n") && !text.contains("menuentry '"), "{text}");
    let entries = bls_entries(&settings, &found, "fedora", "fedora").unwrap();
    assert_eq!(entries[0].0, "fedora-6.1.0-13-amd64.conf");
    let expected = format!(
        "title Fedora Linux (6.1.0-13-amd64)\nversion 6.1.0-13-amd64\nlinux /boot/vmlinuz-6.1.0-13-amd64\n\
         initrd /boot/initrd.img-6.1.0-13-amd64\noptions root=UUID={UUID} rw dyndbg=\"file a +p\"\n\
         grub_users $grub_users\ngrub_arg --unrestricted\ngrub_class fedora\n"
    );
    assert_eq!(entries[0].1, expected);
}

#[test]
fn stubs_and_early_configuration() {
    let start =
        |find, unlock| Start { unlock, find, directory: "/boot/grub2".to_owned(), btrfs_relative: false };
    let uuid = || Find::Uuid(UUID.to_owned());
    let luks = |passphrase: Option<&str>| {
        let passphrase = passphrase.map(str::to_owned);
        Some(Unlock { uuid: "11111111-2222-3333-4444-555555555555".to_owned(), passphrase })
    };
    let plain = start(uuid(), None);
    let search = format!("search --no-floppy --fs-uuid --set=root {UUID}\n");
    let end = "set prefix=($root)/boot/grub2\n";
    assert_eq!(plain.stub().unwrap(), format!("{search}{end}configfile $prefix/grub.cfg\n"));
    assert_eq!(plain.embedded().unwrap(), format!("search.fs_uuid {UUID} root\n{end}"));
    let relative = Start { btrfs_relative: true, ..plain };
    assert!(relative.stub().unwrap().starts_with("set btrfs_relative_path=\"yes\"\n"));
    for (passphrase, command) in [
        (None, "cryptomount -u 11111111222233334444555555555555\n"),
        (Some("it's $x"), "cryptomount -p 'it'\\''s $x' -u 11111111222233334444555555555555\n"),
    ] {
        let locked = start(uuid(), luks(passphrase));
        for text in [locked.stub().unwrap(), locked.embedded().unwrap()] {
            assert!(text.contains(command), "{text}");
            checked("grub-stub", &text);
        }
        assert!(!format!("{locked:?}").contains("it's"), "a passphrase is never printed");
    }
    let refusal = start(uuid(), luks(Some("secret\n"))).stub().unwrap_err();
    assert!(!refusal.to_string().contains("secret"), "{refusal}");
    for find in ["a b", "", "$x", "1;2"].map(|text| Find::Uuid(text.to_owned())) {
        assert_eq!(start(find, None).embedded().unwrap_err().kind, RefusalKind::Invalid);
    }
    let file = start(Find::File("/boot/0x1234abcd".to_owned()), None);
    checked("grub-early", &file.embedded().unwrap());
    assert!(Start { directory: "/boot/$x".to_owned(), ..file }.stub().is_err());
    let text = chainload(&Find::Uuid("0E4F-1A2B".to_owned()), "/EFI/Linux/kiwi.efi").unwrap();
    assert!(text.ends_with("--set=root 0E4F-1A2B\nchainloader ($root)/EFI/Linux/kiwi.efi\nboot\n"), "{text}");
    checked("grub-chainload", &text);
}

/// What a shell that reads a file then has in these variables.
fn shell(text: &str, names: &[&str]) -> Vec<String> {
    let work = tempfile::tempdir().unwrap();
    write(work.path().join("file"), text);
    let print: String = names.iter().map(|name| format!("printf '%s\\n' \"${name}\";")).collect();
    let mut command = Command::new("sh");
    command.args(["-euc", &format!(". ./file; {print}")]).current_dir(work.path());
    run(&mut command).ends(0).stdout.lines().map(str::to_owned).collect()
}

#[test]
fn default_grub_keeps_what_is_there() {
    let existing =
        "# A comment\nGRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR=`lsb_release -i -s`\n\nGRUB_X=1\nGRUB_TIMEOUT=7\n";
    let text = default_grub(existing, &settings(), "/boot/grub").unwrap();
    let names = [
        "GRUB_TIMEOUT",
        "GRUB_DISTRIBUTOR",
        "GRUB_X",
        "GRUB_CMDLINE_LINUX_DEFAULT",
        "GRUB_DEFAULT",
        "GRUB_TERMINAL_OUTPUT",
        "GRUB_THEME",
        "GRUB_ENABLE_CRYPTODISK",
        "GRUB_SERIAL_COMMAND",
    ];
    let expected = [
        "3",
        "Say \"$hi\" `now` \\",
        "1",
        "rw console=ttyS0 dyndbg=\"file a +p; b\" a=$b",
        "saved",
        "serial gfxterm",
        "/boot/grub/themes/star field/theme.txt",
        "y",
        "serial --unit=0 --speed=115200; echo no",
    ];
    assert_eq!(shell(&text, &names), expected);
    assert!(text.starts_with("# A comment\nGRUB_TIMEOUT=3\nGRUB_DISTRIBUTOR=\"Say "), "{text}");
    assert_eq!(text.matches("GRUB_TIMEOUT=").count(), 1);
    let again = default_grub(&text, &settings(), "/boot/grub").unwrap();
    assert_eq!(again, text, "nothing is left to change");
    let kept = default_grub("GRUB_DEFAULT=0\n", &settings(), "/boot/grub").unwrap();
    assert!(kept.starts_with("GRUB_DEFAULT=0\n") && !kept.contains("saved"), "{kept}");
    let bad = Settings { display_name: Some("a\nb".to_owned()), ..settings() };
    assert!(default_grub("", &bad, "/boot/grub").is_err());
}

#[test]
fn roots_by_label_and_by_partition() {
    let by =
        |root, command_line: &str| Settings { root, command_line: command_line.to_owned(), ..settings() };
    let label = default_grub("", &by(Naming::Label, "root=LABEL=ROOT quiet"), "/boot/grub").unwrap();
    for line in [
        "GRUB_CMDLINE_LINUX=\"root=LABEL=ROOT\"\n",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n",
        "SUSE_REMOVE_LINUX_ROOT_PARAM=true\n",
        "GRUB_ENABLE_LINUX_LABEL=true\n",
        "GRUB_DISABLE_LINUX_UUID=true\n",
    ] {
        assert!(label.contains(line), "{label}");
    }
    let part = default_grub("", &by(Naming::PartUuid, "root=PARTUUID=1-2"), "/boot/grub").unwrap();
    assert!(part.contains("GRUB_DISABLE_LINUX_PARTUUID=false\nGRUB_DISABLE_LINUX_UUID=true\n"), "{part}");
    assert!(!part.contains("GRUB_CMDLINE"), "{part}");
}

#[test]
fn an_environment_block_that_grub_editenv_reads() {
    let variables = [("saved_entry", "a b"), ("x", "1\\2")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let block = grubenv(&variables).unwrap();
    assert_eq!(block.len(), 1024);
    assert!(grubenv(&[("x".to_owned(), "y".repeat(1024))]).is_err());
    assert!(grubenv(&[("x=".to_owned(), String::new())]).is_err());
    let Some(editenv) = oracle("grubenv", "grub-editenv") else { return };
    let work = tempfile::tempdir().unwrap();
    write(work.path().join("grubenv"), block);
    let at = work.path().join("grubenv");
    assert_eq!(tool(&editenv, [at.to_str().unwrap(), "list"]), "saved_entry=a b\nx=1\\2\n");
    tool(&editenv, [at.to_str().unwrap(), "set", "saved_entry=c"]);
    assert_eq!(tool(&editenv, [at.to_str().unwrap(), "list"]), "saved_entry=c\nx=1\\2\n");
}

#[test]
fn no_command_line_is_more_than_words_to_the_parser() {
    let Some(check) = oracle("grub-words", "grub-script-check") else { return };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(40));
    let word = prop::sample::select(vec![
        "quiet",
        "a=b",
        "a=\"b c\"",
        "$x",
        "{",
        "}",
        ";",
        "&&",
        "|",
        "#no",
        "a=${b}",
        "(hd0)",
        "\"x y\"",
        "*",
        "[1]",
        "\u{e4}",
    ]);
    let line = prop::collection::vec(word, 0..8);
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("grub.cfg");
    runner
        .run(&line, |words| {
            let settings = Settings { command_line: words.join(" "), ..settings() };
            let boot = boot_fs();
            let text = grub_cfg(&settings, &boot, &boot_kernels(&kernels(), &boot).unwrap()).unwrap();
            write(&path, &text);
            prop_assert_eq!(script(&check, &path), Some(0), "{}", text);
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_title_is_a_text_to_the_shell_and_to_grub() {
    let Some(check) = oracle("grub-titles", "grub-script-check") else { return };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(60));
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("grub.cfg");
    let title = r#"[ -~\u{e4}"'`$\\{};#]{1,12}"#;
    runner
        .run(&title, |title| {
            let name = Some(title.clone());
            let settings = Settings { title: title.clone(), display_name: name, ..settings() };
            let text = default_grub("", &settings, "/boot/grub").unwrap();
            prop_assert_eq!(shell(&text, &["GRUB_DISTRIBUTOR"]), vec![title.clone()]);
            let boot = boot_fs();
            let text = grub_cfg(&settings, &boot, &boot_kernels(&kernels(), &boot).unwrap()).unwrap();
            write(&path, &text);
            prop_assert_eq!(script(&check, &path), Some(0), "{}", text);
            Ok(())
        })
        .unwrap();
}

fn script(check: &Path, path: &Path) -> Option<i32> {
    run(Command::new(check).arg(path)).code
}
