//! KIWI's command line: every option of KIWI has a row, and every row is what it says.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use diskwright::cli::compat::table::{GLOBAL, Row, State, VERBS, Verb};
use sha2::Digest;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::*;

/// A place with a description of a bare file system (and, by type, a disk), whose tree is its overlay.
struct Here(tempfile::TempDir);

const DESCRIPTION: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<image schemaversion="8.0" name="box">
    <description type="system">
        <author>Tester</author>
        <contact>tester@example.com</contact>
        <specification>A file system for tests</specification>
    </description>
    <profiles>
        <profile name="extra" description="one file more"/>
    </profiles>
    <preferences>
        <version>1.2.3</version>
        <packagemanager>apt</packagemanager>
        <type image="ext4" primary="true"><size unit="M">8</size></type>
        <type image="oem" firmware="uefi" filesystem="ext4" format="qcow2" efipartsize="40">
            <bootloader name="custom"/>
        </type>
    </preferences>
</image>
"#;

impl Here {
    fn new() -> Here {
        let here = Here(tempfile::tempdir().unwrap());
        write(here.path("d/config.xml"), DESCRIPTION);
        write(here.path("d/other.xml"), DESCRIPTION.replace("box", "other"));
        write(here.path("d/root/etc/hostname"), "box\n");
        write(here.path("d/extra/etc/extra"), "more\n");
        write(here.path("tree/etc/hostname"), "box\n");
        write(here.path("tree/image/config.xml"), DESCRIPTION);
        let repository = "<repository><source path=\"obs://a\"/></repository></image>";
        write(here.path("repository/config.xml"), DESCRIPTION.replace("</image>", repository));
        write(here.path("repository/root/etc/hostname"), "box\n");
        write(here.path("compress.yml"), "bundle:\n  - compress: false\n");
        write(here.path("small.yml"), "build_constraints:\n  - max_size: 1m\n");
        here
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = command(line.split_whitespace());
        command.current_dir(self.0.path()).env("HOME", self.0.path());
        command
    }

    /// The program with these words, split at blanks.
    fn run(&self, line: &str) -> Run {
        run(&mut self.command(line))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn remove(&self, name: &str) {
        let _ = std::fs::remove_dir_all(self.path(name));
    }
}

fn title(verb: &Verb, row: &Row) -> String {
    format!("{} {} --{}", verb.service, verb.name, row.long)
}

/// A row as it stands on a command line.
fn given(row: &Row) -> String {
    row.value.map_or(format!("--{}", row.long), |_| format!("--{}=1", row.long))
}

/// A command line of a command that would do something (nothing is written), and the same with an option.
fn lines(verb: &Verb, option: &str) -> String {
    match verb.name {
        "build" => format!("system build --description d --target-dir out -n {option}"),
        "create" => format!("system create --root tree --target-dir out -n {option}"),
        "info" => format!("image info --description d {option}"),
        "list" => format!("result list --target-dir out {option}"),
        "resize" => format!("image resize --target-dir out --size 20g {option}"),
        "boxbuild" if option.starts_with("--box=") => lines(verb, "").replace("--box b", option),
        "boxbuild" => format!("system boxbuild --box b {option} -- --description d --target-dir out -n"),
        "bundle" => format!("result bundle --target-dir out --id 1 --bundle-dir b {option}"),
        name => {
            let needs = verb.needs.iter().filter(|long| !option.starts_with(&format!("--{long}=")));
            let needs: Vec<String> = needs.map(|long| format!("--{long}=x")).collect();
            format!("{} {name} {} {option}", verb.service, needs.join(" "))
        }
    }
}

#[test]
fn every_row_without_effect_is_noted_by_name_and_every_missing_one_refused_by_name() {
    let here = Here::new();
    let (mut noted, mut refused) = (0, 0);
    for verb in VERBS {
        let global = GLOBAL.iter().filter(|(_, services)| services.contains(&verb.service));
        for row in verb.options.iter().chain(global.map(|(row, _)| row)) {
            let title = title(verb, row);
            let line = lines(verb, &given(row));
            match (verb.absent, row.state) {
                (Some(_), _) if verb.alone.contains(&row.long) => {
                    let run = here.run(&format!("{} {} --{}", verb.service, verb.name, row.long)).ends(2);
                    assert!(
                        run.stderr.contains("is not there yet") && run.stderr.contains("hint: "),
                        "{title}"
                    );
                    refused += 1;
                }
                (Some(_), State::Noted(_) | State::Used(_))
                    if GLOBAL.iter().any(|(one, _)| one.long == row.long) => {}
                (Some((why, instead)), _) => {
                    let run = here.run(&line).ends(2);
                    let said = format!(
                        "error: {} {} is not there yet: {why}\nhint: {instead}\n",
                        verb.service, verb.name
                    );
                    assert_eq!(run.stderr, said, "{title}");
                    refused += 1;
                }
                (None, State::Noted(why)) => {
                    let run = here.run(&line);
                    // The results that would be bundled, listed or resized are not there.
                    // The description that would be prepared is not there either.
                    let of_results =
                        verb.service == "result" || verb.name == "resize" || verb.name == "prepare";
                    let run = run.ends(i32::from(of_results));
                    assert!(run.stderr.contains(&format!("--{}", row.long)), "{title}: {}", run.stderr);
                    assert!(
                        run.stderr.contains(&format!("without effect: {why}")),
                        "{title}: {}",
                        run.stderr
                    );
                    noted += 1;
                }
                (None, State::Absent { why, instead }) => {
                    let run = here.run(&line).ends(2);
                    let said = format!("error: --{} is not there yet: {why}\nhint: {instead}\n", row.long);
                    assert_eq!(run.stderr, said, "{title}");
                    assert!(run.stdout.is_empty() && !here.path("out").exists(), "{title}");
                    refused += 1;
                }
                (None, State::Used(_)) => {}
                (None, State::Command(_)) => panic!("{title}: its command is there"),
            }
        }
    }
    assert!(noted > 30 && refused > 20, "{noted} noted, {refused} refused");
}

/// What there is to see of a command: how it ended, what it said, what it wrote.
type Seen = (Option<i32>, String, String, Vec<(String, [u8; 32])>);

fn seen(here: &Here, line: &str, results: &[&str]) -> Seen {
    results.iter().for_each(|name| here.remove(name));
    if results.contains(&"b") {
        here.run("system build --description d --target-dir out").ends(0);
    }
    let run = here.run(line);
    let mut files = Vec::new();
    for directory in results.iter().chain(&["log"]) {
        for name in listing(&here.path(directory)) {
            let bytes = std::fs::read(here.path(directory).join(&name)).unwrap_or_default();
            files.push((name, sha2::Sha256::digest(bytes).into()));
        }
    }
    (run.code, run.stdout, run.stderr, files)
}

#[test]
fn every_row_that_is_used_changes_what_happens() {
    let here = Here::new();
    let mut bad = DESCRIPTION.replace("ext4\" primary", "zfs\" primary");
    bad.push('\n');
    write(here.path("bad/config.xml"), bad);
    write(here.path("packed/config.xml"), DESCRIPTION);
    tool(
        "tar",
        [
            "-czf",
            &here.path("packed/root.tar.gz").to_string_lossy(),
            "-C",
            &here.path("tree").to_string_lossy(),
            "etc",
        ],
    );
    std::fs::create_dir_all(here.path("log")).unwrap();
    let build = "system build --description d --target-dir out";
    let bundle = "result bundle --target-dir out --id 1 --bundle-dir b";
    let mut proved = 0;
    for verb in VERBS.iter().filter(|verb| verb.absent.is_none()) {
        let used = |row: &&Row| matches!(row.state, State::Used(_));
        for row in verb.options.iter().filter(used) {
            let title = title(verb, row);
            let line = lines(verb, "").replace(" -n", "");
            let (without, with): (String, String) = match (verb.name, row.long) {
                // The options of `build`, read by the same functions; only the root is its own.
                ("prepare", _) => continue,
                (_, long) if verb.needs.contains(&long) => {
                    let value = verb.options.iter().find(|row| row.long == long).unwrap().value;
                    let run = here.run(&format!("{} {}", verb.service, verb.name)).ends(2);
                    let lacks = format!("--{long} {}", value.unwrap().to_uppercase());
                    assert!(run.stderr.contains(&lacks), "{title}: {}", run.stderr);
                    (line.clone(), line.replacen(&format!("--{long} "), &format!("--{long} other/"), 1))
                }
                ("build", "allow-existing-root") => {
                    here.remove("out");
                    here.run(build).ends(0);
                    let run = here.run(build).ends(1);
                    assert!(run.stderr.contains("say --allow-existing-root"), "{}", run.stderr);
                    here.run(&format!("{build} --allow-existing-root")).ends(0);
                    proved += 1;
                    continue;
                }
                ("build", "ignore-repos" | "ignore-repos-used-for-build") => {
                    let line = line.replace("n d ", "n repository ");
                    (line.clone(), format!("{line} --{}", row.long))
                }
                ("build", "set-repo") => {
                    let line = line.replace("n d ", "n repository ");
                    (format!("{line} --set-repo obs://b"), format!("{line} --set-repo obs://b,nonsense"))
                }
                ("build" | "info", "set-repo-credentials" | "add-repo-credentials") => {
                    let repository = row.long.replace("-credentials", "=obs://a");
                    let line =
                        format!("{} --{repository} --{}", line.replace("n d ", "n repository "), row.long);
                    write(here.path("secret"), "user:password\nmore\n");
                    write(here.path("no-secret"), "user\n");
                    here.run(&format!("{line} no-secret")).ends(2);
                    (format!("{line} no-secret"), format!("{line} secret"))
                }
                ("build" | "info", "add-repo") => (line.clone(), format!("{line} --add-repo obs://c")),
                ("info", "ignore-repos") => {
                    let line = line.replace("n d ", "n repository ");
                    (line.clone(), format!("{line} --ignore-repos"))
                }
                ("build", "add-package" | "add-bootstrap-package") => {
                    let line = format!("{line} --{} x", row.long);
                    let run = here.run(&line).ends(1);
                    assert!(
                        run.stderr.contains("no repository to install packages from"),
                        "{title}: {}",
                        run.stderr
                    );
                    (lines(verb, "").replace(" -n", ""), line)
                }
                ("build", "delete-package" | "ca-cert") => {
                    let run = here.run(&format!("{line} --{} x", row.long)).ends(1);
                    assert!(
                        run.stderr.contains(&format!("--> --{}:1:1", row.long)),
                        "{title}: {}",
                        run.stderr
                    );
                    (line.clone(), format!("{line} --{} x", row.long))
                }
                ("build", "ca-target-distribution") => {
                    let line = format!("{line} --ca-cert x");
                    (line.clone(), format!("{line} --ca-target-distribution debian"))
                }
                ("build", "set-type-attr") => {
                    (line.clone(), format!("{line} --set-type-attr fscreateoptions=-O^metadata_csum"))
                }
                ("boxbuild", "list-boxes") => {
                    let run = here.run("system boxbuild --list-boxes").ends(0);
                    assert!(run.stderr.contains("no boxes"), "{}", run.stderr);
                    here.run("system boxbuild --list-boxes --box x").ends(2);
                    proved += 1;
                    continue;
                }
                ("boxbuild", "x86_64") => {
                    let line = format!("--target-arch riscv64 {line}");
                    (line.clone(), line.replace("--box b", "--box b --x86_64"))
                }
                ("boxbuild", long) => (line.clone(), line.replace("--box b", &format!("--box b --{long}"))),
                ("bundle", "bundle-format") => (bundle.to_owned(), format!("{bundle} --bundle-format %N")),
                ("bundle", long) => (bundle.to_owned(), format!("{bundle} --{long}")),
                _ => panic!("{title}: nothing here shows that it is used"),
            };
            let results: &[&str] = if verb.service == "result" { &["out", "b"] } else { &["out"] };
            assert_ne!(seen(&here, &without, results), seen(&here, &with, results), "{title}");
            proved += 1;
        }
    }
    for (row, services) in GLOBAL.iter().filter(|(row, _)| matches!(row.state, State::Used(_))) {
        let (without, with) = match row.long {
            "profile" => (build.to_owned(), format!("--profile extra {build}")),
            "setenv" => (build.to_owned(), format!("--setenv SOURCE_DATE_EPOCH=1000000000 {build}")),
            "temp-dir" => {
                let build = build.replace("n d ", "n packed ");
                (build.clone(), format!("--temp-dir nowhere {build}"))
            }
            "target-arch" => (build.to_owned(), format!("--target-arch aarch64 {build}")),
            "type" => (build.to_owned(), format!("--type oem {build}")),
            "logfile" => (build.to_owned(), format!("--logfile log/kiwi.log {build}")),
            "loglevel" => (build.to_owned(), format!("--loglevel 40 {build}")),
            "color-output" => {
                let build = build.replace("n d ", "n bad ");
                (build.clone(), format!("--color-output {build}"))
            }
            "config" => (build.to_owned(), format!("--config compress.yml {build}")),
            "kiwi-file" => (build.to_owned(), format!("--kiwi-file other.xml {build}")),
            long => panic!("--{long}: nothing here shows that it is used"),
        };
        let (before, after) = (seen(&here, &without, &["out"]), seen(&here, &with, &["out"]));
        assert_ne!(before, after, "--{}", row.long);
        // In front of the service or behind the command, it is the same option.
        let (front, rest) = with.split_at(with.find("system").unwrap());
        let behind = seen(&here, &format!("{rest} {front}"), &["out"]);
        if row.long == "logfile" {
            assert_eq!(after.3.iter().filter(|(name, _)| name == "kiwi.log").count(), 1);
        } else {
            assert_eq!(after, behind, "--{}", row.long);
        }
        if !services.contains(&"result") {
            let run = here.run(&format!("{front} result list --target-dir out")).ends(2);
            assert!(
                run.stderr.contains(&format!("--{}: result commands do not have it", row.long)),
                "{}",
                run.stderr
            );
        }
        proved += 1;
    }
    assert!(proved > 20, "{proved}");
}

#[test]
fn the_help_of_a_command_has_all_its_options_and_says_what_becomes_of_them() {
    let here = Here::new();
    for verb in VERBS {
        let help = here.run(&format!("{} {} --help", verb.service, verb.name)).ends(0).stdout;
        let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let global = GLOBAL.iter().filter(|(_, services)| services.contains(&verb.service));
        for row in verb.options.iter().chain(global.map(|(row, _)| row)) {
            let state = match row.state {
                State::Used(text) | State::Command(text) => text.to_owned(),
                State::Noted(why) => format!("Without effect: {why}"),
                State::Absent { why, .. } => format!("Refused: {why}"),
            };
            let title = title(verb, row);
            assert!(flat.contains(&format!("--{} ", row.long)), "{title}:\n{help}");
            assert!(flat.contains(&state), "{title}: {state}:\n{help}");
        }
        for other in
            [format!("{} {} help", verb.service, verb.name), format!("help {} {}", verb.service, verb.name)]
        {
            let other = here.run(&other).ends(0).stdout;
            assert!(other.contains(verb.options[0].long), "{other}");
        }
    }
    let completions = here.run("completions bash").ends(0).stdout;
    assert!(completions.contains("--set-container-derived-from"));
}

#[test]
fn the_rules_of_docopt() {
    let here = Here::new();
    let cases: &[(&str, i32, &str)] = &[
        ("system build --description=d --target-dir=out -n", 0, ""),
        ("system build --desc d --targ out -n", 0, ""),
        ("system build --desc d --targ out --clear -n", 0, "--clear-cache without effect"),
        ("--prof extra --prof=extra system build --desc d --targ out -n", 0, ""),
        (
            "system build --desc d --targ out --add x",
            2,
            "--add can be more than one: --add-repo, --add-repo-credentials",
        ),
        ("system build --desc d --desc d --targ out", 2, "--description is there twice"),
        ("--type oem --type oem system build --desc d --targ out", 2, "--type is there twice"),
        ("system build --description", 2, "--description lacks its value: DIRECTORY"),
        ("system build --description --target-dir out", 2, "write --description=--target-dir"),
        ("system build --clear-cache=yes --desc d --targ out", 2, "--clear-cache has no value"),
        ("system build --desc d --targ out more", 2, "what is this: more"),
        ("system build", 2, "lacks --description DIRECTORY, --target-dir DIRECTORY"),
        ("system build --desc d --targ out --descriptoin d", 2, "did you mean --description?"),
        ("system build --desc d --targ out -- x", 2, "has nothing behind --"),
        ("system build --desc d --targ out -x", 2, "no such option: -x"),
        ("system build --desc d --targ out --root x", 2, "system prepare has it"),
        ("--description d system build --targ out", 2, "it stands behind the command"),
        ("system boxbuild --box b --description d", 2, "options of system build stand behind `--`"),
        ("system boxbuild --box b", 2, "lacks `--` and the options of system build"),
        ("system boxbuild --box b -- --target-dir out", 2, "lacks --description"),
        (
            "system boxbuild --box b -- --description d --target-dir out --set-container-tag x",
            2,
            "--set-container-tag is not there yet",
        ),
        ("system boxbuild --box b --9p-sharing --sshfs-sharing -- --desc d --targ out", 2, "not both"),
        (
            "system boxbuild --box b --aarch64 -- --desc d --targ out --target-arch x86_64",
            2,
            "the machine is said twice",
        ),
        (
            "--type oem system boxbuild --box b -- --desc d --targ out --type oem",
            2,
            "in front of -- and behind it",
        ),
        ("image info --description d --print-xml --print-yaml", 2, "one of --print-xml and --print-yaml"),
        ("system biuld", 2, "did you mean system build?"),
        ("result info", 2, "did you mean image info?"),
        ("system", 2, "one of build, prepare, create"),
        ("--setenv X system build --desc d --targ out", 2, "there is no = in it"),
        ("--setenv SOURCE_DATE_EPOCH=x system build --desc d --targ out", 2, "not a number of seconds"),
        ("--setenv A=1 --setenv B=2 system build --desc d --targ out -n", 0, "--setenv A, B without effect"),
        ("--loglevel high system build --desc d --targ out", 2, "--loglevel is no number: high"),
        ("--target-arch vax system build --desc d --targ out", 2, "not a machine: vax"),
        ("--type vmx system build --desc d --targ out -n", 0, "--type vmx is oem"),
        ("--config none.yml system build --desc d --targ out", 2, "--config none.yml: no such file"),
        ("system create --root d --target-dir out --kiwi-file none.xml", 1, "no such description"),
        ("system create --root d/root --target-dir out", 1, "no image/config.xml"),
        ("system create --root d/config.xml --target-dir out", 2, "not a directory"),
        ("system create --root none --target-dir out", 1, "none"),
        ("system build --desc none --targ out", 1, "none"),
        ("result list --target-dir none", 1, "none"),
        ("result list --target-dir d", 1, "it is written by system build and system create"),
    ];
    for (line, code, said) in cases {
        let run = here.run(line).ends(*code);
        assert!(run.stderr.contains(said), "{line}: {said} in\n{}", run.stderr);
        assert!(
            *code == 0 || run.stderr.contains("hint: ") || *code == 1 || line.ends_with("--description"),
            "{line}: {}",
            run.stderr
        );
        assert!(!here.path("out").exists(), "{line}");
        let json = here.run(&format!("{line} --json"));
        // With --json, what stops the work is one line of JSON.
        if *code != 0 && !line.ends_with("--description") {
            let last = json.stderr.lines().last().unwrap_or_default();
            let value: serde_json::Value =
                serde_json::from_str(last).unwrap_or_else(|error| panic!("{line}: {error}: {last}"));
            assert_eq!(value["exit"], *code, "{line}");
        }
    }
}

#[test]
fn started_as_kiwi_it_speaks_nothing_else() {
    let here = Here::new();
    for name in ["kiwi-ng", "kiwi"] {
        let program = here.path(name);
        symlink(env!("CARGO_BIN_EXE_diskwright"), &program).unwrap();
        let kiwi = |line: &str| {
            run(Command::new(&program)
                .args(line.split_whitespace())
                .current_dir(here.0.path())
                .env("HOME", here.0.path()))
        };
        for line in ["--help", "-h", "help", ""] {
            let help = kiwi(line).ends(0).stdout;
            assert!(help.contains("--debug-run-scripts-in-screen") && !help.contains("mkfs"), "{help}");
        }
        for line in ["-v", "--version", "-v system build"] {
            assert!(kiwi(line).ends(0).stdout.contains("KIWI (next generation) 10.3.9"), "{line}");
        }
        let run = kiwi("create d --root tree -o out").ends(2);
        assert!(run.stderr.contains("in KIWI's words it is: system create"), "{}", run.stderr);
        let out = format!("out-{name}");
        kiwi(&format!("--type ext4 system build --description d --target-dir {out}")).ends(0);
        assert_eq!(
            listing(&here.path(&out)),
            ["box.x86_64-1.2.3.ext4", "diskwright.result.json", "kiwi.result.json"]
        );
    }
}

#[test]
fn the_images_are_those_of_diskwrights_own_commands() {
    let here = Here::new();
    here.run("build d -o own").ends(0);
    here.run("system build --description d --target-dir built").ends(0);
    here.run("system boxbuild --box b -- --description d --target-dir boxed").ends(0);
    let image = "box.x86_64-1.2.3.ext4";
    let own = std::fs::read(here.path("own").join(image)).unwrap();
    for directory in ["built", "boxed"] {
        assert!(own == std::fs::read(here.path(directory).join(image)).unwrap(), "{directory}");
    }
    assert_eq!(listing(&here.path("own")), [image], "diskwright's own commands leave no files of KIWI's");
    here.run("create tree/image --root tree --owner 0:0 -o own2").ends(0);
    here.run("system create --root tree --owner 0:0 --target-dir created").ends(0);
    let created = std::fs::read(here.path("created").join(image)).unwrap();
    assert!(created == std::fs::read(here.path("own2").join(image)).unwrap());
    // As in KIWI, a second create replaces the first.
    here.run("system create --root tree --owner 0:0 --target-dir created").ends(0);
    // The description in a tree can have another name.
    write(here.path("tree/image/my.xml"), DESCRIPTION.replace("box", "my"));
    here.run("--kiwi-file my.xml system create --root tree --owner 0:0 --target-dir created").ends(0);
    assert!(here.path("created/my.x86_64-1.2.3.ext4").exists());
    // Two descriptions of the same standing are no choice.
    write(here.path("tree/config.xml"), DESCRIPTION);
    let run = here.run("system create --root tree --target-dir created").ends(2);
    assert!(run.stderr.contains("two descriptions"), "{}", run.stderr);
    here.run("--kiwi-file image/config.xml system create --root tree --owner 0:0 --target-dir created")
        .ends(0);
}

#[test]
fn image_info_is_diskwrights_own_info() {
    let here = Here::new();
    let own = here.run("info d --profile extra --type oem").ends(0).stdout;
    let kiwi = here.run("--profile extra --type oem image info --description d --list-profiles").ends(0);
    assert_eq!(kiwi.stdout, own);
    assert!(
        own.contains("extra") && kiwi.stderr.contains("--list-profiles without effect"),
        "{}",
        kiwi.stderr
    );
    let value: serde_json::Value = serde_json::from_str(
        &here.run("--target-arch aarch64 image info --description d --json").ends(0).stdout,
    )
    .unwrap();
    assert_eq!(value["types"].as_array().map(Vec::len), Some(2), "{value:#}");
}

#[test]
fn a_script_in_a_prepared_tree_is_not_left_out_in_silence() {
    let here = Here::new();
    write(here.path("tree/image/images.sh"), "true\n");
    let run = here.run("system create --root tree --target-dir out").ends(1);
    assert!(run.stderr.contains("scripts that run in the tree"), "{}", run.stderr);
    assert!(!here.path("out").exists());
}

#[test]
fn lists_of_packages_are_results_and_part_of_bundles() {
    let here = Here::new();
    let status = "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 2-1\n";
    write(here.path("tree/var/lib/dpkg/status"), status);
    write(here.path("tree/var/lib/dpkg/info/a.list"), "/.\n/gone\n");
    here.run("create d --root tree --owner 0:0 --type oem -o own").ends(0);
    write(here.path("tree/image/config.xml"), DESCRIPTION);
    here.run("--type oem system create --root tree --owner 0:0 --target-dir out").ends(0);
    for out in ["own", "out"] {
        let text = |ending: &str| here.read(&format!("{out}/box.x86_64-1.2.3.{ending}"));
        assert_eq!(text("packages"), "a|None|2-1|None|all|None|None\n");
        assert_eq!(text("verified"), "missing     /gone\n");
    }
    let list = here.run("result list --target-dir out").ends(0).stdout;
    for key in ["image_packages", "image_verified"] {
        assert!(list.contains(&format!("--> {key}: ")), "{list}");
    }
    here.run("result bundle --target-dir out --bundle-dir bundle --id 7").ends(0);
    let names = listing(&here.path("bundle"));
    let lists: Vec<&String> = names.iter().filter(|name| !name.contains("qcow2")).collect();
    assert_eq!(lists, ["box.x86_64-1.2.3-7.packages", "box.x86_64-1.2.3-7.verified"]);
}

#[test]
fn scripts_find_the_results_where_kiwi_puts_them() {
    let here = Here::new();
    here.run("--type oem system build --description d --target-dir out").ends(0);
    let json: serde_json::Value = serde_json::from_str(&here.read("out/kiwi.result.json")).unwrap();
    let image = here.path("out/box.x86_64-1.2.3.qcow2").canonicalize().unwrap();
    let expected = serde_json::json!({ "disk_format_image": {
        "filename": image, "use_for_bundle": true, "compress": false, "shasum": true } });
    assert_eq!(json, expected);
    let list = here.run("result list --target-dir out").ends(0);
    assert_eq!(list.stdout, format!("Result files:\n--> disk_format_image: {}\n", image.display()));
    let list = here.run("result list --target-dir out --json").ends(0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&list.stdout).unwrap(), expected);
    // The names of a bundle can be the description's.
    write(
        here.path("named/config.xml"),
        DESCRIPTION.replace("ext4\" primary", "ext4\" bundle_format=\"%N-%T-%I\" primary"),
    );
    write(here.path("named/root/etc/hostname"), "box\n");
    here.run("system build --description named --target-dir n").ends(0);
    here.run("result bundle --target-dir n --bundle-dir nb --id 7 --no-compress").ends(0);
    assert_eq!(listing(&here.path("nb")), ["box-ext4-7.ext4", "box-ext4-7.ext4.sha256"]);
    // Two formats: the raw disk is made for the other's sake.
    here.run("--type oem system build --description d --target-dir two --format raw --format qcow2").ends(0);
    let json: serde_json::Value = serde_json::from_str(&here.read("two/kiwi.result.json")).unwrap();
    assert_eq!(
        (&json["disk_image"]["use_for_bundle"], &json["disk_image"]["compress"]),
        (&false.into(), &true.into())
    );
    assert_eq!(json["disk_format_image"]["use_for_bundle"], true);
    // What is there is read whoever wrote it; what is no list of results is refused.
    write(
        here.path("strange/kiwi.result.json"),
        here.read("out/kiwi.result.json").replace("box.x86", "\\u001b[2Jbox"),
    );
    let run = here.run("result list --target-dir strange").ends(0);
    assert!(run.stdout.contains("\\u{1b}[2Jbox") && !(run.stdout + &run.stderr).contains('\u{1b}'));
    for (text, said) in [("{", "no list of results"), ("{\"a\": 3}", "a: invalid type"), ("[]", "no list")] {
        write(here.path("bad/kiwi.result.json"), text);
        let run = here.run("result list --target-dir bad").ends(1);
        assert!(run.stderr.contains(said) && run.stderr.contains("bad/kiwi.result.json"), "{}", run.stderr);
    }
    write(here.path("pickled/kiwi.result"), "x");
    let run = here.run("result list --target-dir pickled").ends(1);
    assert!(run.stderr.contains("for KIWI's own"), "{}", run.stderr);
}

#[test]
fn a_bundle_is_compressed_and_has_checksums_that_the_shells_tools_confirm() {
    let here = Here::new();
    here.run("system build --description d --target-dir out").ends(0);
    let image = std::fs::read(here.path("out/box.x86_64-1.2.3.ext4")).unwrap();
    here.run("result bundle --target-dir out --id B7 --bundle-dir b").ends(0);
    assert_eq!(
        listing(&here.path("b")),
        ["box.x86_64-1.2.3-B7.ext4.xz", "box.x86_64-1.2.3-B7.ext4.xz.sha256"]
    );
    let check = |directory: &str, tool: &str, sums: &str| {
        let mut command = Command::new(tool);
        let run = run(command.args(["-c", sums]).current_dir(here.path(directory))).ends(0);
        assert!(run.stdout.ends_with(": OK\n"), "{}", run.stdout);
    };
    check("b", "sha256sum", "box.x86_64-1.2.3-B7.ext4.xz.sha256");
    if let Some(xz) = oracle("bundle", "xz") {
        let packed = here.path("b/box.x86_64-1.2.3-B7.ext4.xz");
        let unpacked = Command::new(xz).args(["-dc".as_ref(), packed.as_os_str()]).output().unwrap();
        assert!(unpacked.status.success() && unpacked.stdout == image);
    }
    // The same bytes with any number of threads, and again.
    let bundle = |threads: &str| {
        here.run(&format!(
            "result bundle --target-dir out --id B7 --bundle-dir t{threads} --threads {threads}"
        ))
        .ends(0);
        std::fs::read(here.path(&format!("t{threads}/box.x86_64-1.2.3-B7.ext4.xz"))).unwrap()
    };
    assert!(bundle("1") == bundle("5"));
    // Other digests and levels, as the runtime configuration says; without compression, holes stay holes.
    write(
        here.path("c.yml"),
        "bundle:\n  - compress: true\n  - shasum_size: \"512\"\nxz:\n  - options: -1 --threads=0\n",
    );
    here.run("--config c.yml result bundle --target-dir out --id B7 --bundle-dir c").ends(0);
    check("c", "sha512sum", "box.x86_64-1.2.3-B7.ext4.xz.sha512");
    let len = |name: &str| std::fs::metadata(here.path(name)).unwrap().len();
    assert_ne!(len("c/box.x86_64-1.2.3-B7.ext4.xz"), len("b/box.x86_64-1.2.3-B7.ext4.xz"));
    here.run("result bundle --target-dir out --id B7 --bundle-dir n --no-compress").ends(0);
    let plain = here.path("n/box.x86_64-1.2.3-B7.ext4");
    assert!(std::fs::read(&plain).unwrap() == image);
    let allocated = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&plain).unwrap()) * 512;
    assert!(allocated < image.len() as u64 / 4, "{allocated} of {}", image.len());
    // A directory that was moved is found again.
    std::fs::rename(here.path("out"), here.path("moved")).unwrap();
    let run = here.run("result bundle --target-dir moved --id B7 --bundle-dir m --no-compress").ends(0);
    assert!(run.stderr.contains("is now moved/box"), "{}", run.stderr);
    for (line, code, said) in [
        ("--target-dir moved --id B7 --bundle-dir moved", 2, "a directory of its own"),
        ("--target-dir moved --id a/b --bundle-dir x", 2, "--id a/b: not a part of a file name"),
        ("--target-dir moved --id= --bundle-dir x", 2, "it cannot be empty"),
        ("--target-dir moved --id 1 --bundle-dir x --bundle-format a/%N", 2, "not a part of a file name"),
        ("--target-dir moved --id 1 --bundle-dir m/box.x86_64-1.2.3-B7.ext4", 1, "box.x86_64-1.2.3-B7.ext4"),
    ] {
        let run = here.run(&format!("result bundle {line}")).ends(code);
        assert!(run.stderr.contains(said), "{line}: {}", run.stderr);
        assert!(!here.path("x").exists(), "{line}");
    }
    std::fs::remove_file(here.path("moved/box.x86_64-1.2.3.ext4")).unwrap();
    let run = here.run("result bundle --target-dir moved --id B7 --bundle-dir x").ends(1);
    assert!(
        run.stderr.contains("this result is no longer there") && !here.path("x").exists(),
        "{}",
        run.stderr
    );
}

#[test]
fn a_runtime_configuration_is_used_where_it_matters_and_named_where_it_does_not() {
    let here = Here::new();
    let build = "system build --description d --target-dir out -n";
    let config = ".config/kiwi/config.yml";
    write(
        here.path(config),
        "bundle:\n  - compress: no\n  - has_package_changes: false\niso:\n  - media_tag_tool: checkmedia\n",
    );
    let run = here.run(build).ends(0);
    for said in [
        "config.yml:2: bundle.compress: no: whether result bundle compresses",
        "config.yml:3: bundle.has_package_changes without effect: lists of changes",
        "config.yml:5: iso.media_tag_tool without effect: ISO",
    ] {
        assert!(run.stderr.contains(said), "{said} in\n{}", run.stderr);
    }
    // --config comes last and replaces a section as a whole.
    write(here.path("over.yml"), "bundle:\n  - shasum_size: 512\nbundel: []\n");
    let run = here.run(&format!("--config over.yml {build}")).ends(0);
    for said in [
        "over.yml:2: bundle.shasum_size",
        "KIWI takes 256 in its place",
        "did you mean bundle?",
        "iso.media_tag_tool",
    ] {
        assert!(run.stderr.contains(said), "{said} in\n{}", run.stderr);
    }
    assert!(!run.stderr.contains("bundle.compress"), "{}", run.stderr);
    // No configuration changes the bytes of an image; one can refuse it before anything is written.
    let image = |arguments: &str| {
        here.remove("out");
        here.run(&format!("{arguments} system build --description d --target-dir out")).ends(0);
        std::fs::read(here.path("out/box.x86_64-1.2.3.ext4")).unwrap()
    };
    assert!(image("") == image("--config over.yml"));
    here.remove("out");
    let run = here.run("--config small.yml system build --description d --target-dir out").ends(1);
    assert!(
        run.stderr.contains("no image may be larger than 1048576") && !here.path("out").exists(),
        "{}",
        run.stderr
    );
    // Wrong files are refused with file and line, whoever asks.
    write(here.path(config), "bundle:\n  compress: true\n");
    for line in [build, "result list --target-dir out"] {
        let run = here.run(line).ends(1);
        assert!(
            run.stderr.contains("config.yml:1:1") && run.stderr.contains("- compress: ..."),
            "{}",
            run.stderr
        );
    }
    // diskwright's own commands do not depend on it.
    here.run("build d -o own").ends(0);
}

#[test]
fn an_ordinary_user_builds_bundles_and_is_told_what_may_not_be_read_or_written() {
    let here = Here::new();
    std::fs::set_permissions(here.0.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let program = here.path("diskwright");
    program_at(&program);
    let user = |line: &str| {
        let mut command = Command::new(source("tests/fixtures/as-user"));
        command.arg(&program).args(line.split_whitespace()).env_remove("SOURCE_DATE_EPOCH");
        run(command.current_dir(here.0.path()).env("AS_USER_HOME", here.0.path()).env("HOME", here.0.path()))
    };
    user("system build --description d --target-dir out").ends(0);
    user("system create --root tree --owner 0:0 --target-dir created").ends(0);
    user("result bundle --target-dir out --id 1 --bundle-dir b").ends(0);
    assert_eq!(listing(&here.path("b")).len(), 2);
    let closed = |name: &str, mode: u32| {
        std::fs::set_permissions(here.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write(here.path("closed/file"), "");
    if root() {
        closed("closed", 0o755);
    } else {
        closed("closed", 0o555);
    }
    for (line, said) in [
        ("system build --description d --target-dir closed/out", "closed/out"),
        ("system build --description d --target-dir closed", "closed"),
        ("result bundle --target-dir out --id 1 --bundle-dir closed", "closed"),
        ("--logfile closed/log system build --description d --target-dir o2", "closed/log"),
    ] {
        let run = user(line).ends(3);
        assert!(run.stderr.contains(said), "{line}: {}", run.stderr);
        assert_eq!(listing(&here.path("closed")), ["file"], "{line}");
        assert!(!here.path("o2").exists(), "{line}");
    }
    write(here.path("secret.yml"), "");
    closed("secret.yml", 0);
    let run = user("--config secret.yml result list --target-dir out").ends(3);
    assert!(run.stderr.contains("secret.yml"), "{}", run.stderr);
    closed("closed", 0o755);
}

fn python(python: &Path, script: &str, arguments: &[&str]) -> Run {
    run(Command::new(python).args(["-c", script]).args(arguments))
}

/// Every option of every command class: name, whether it has a value, whether it repeats.
const OPTIONS: &str = r#"
import importlib, json, re, sys
import docopt
def options(doc):
    sections = docopt.parse_docstring_sections(doc)
    known = docopt.parse_options(doc)
    pattern = docopt.parse_pattern(docopt.formal_usage(sections.usage_body), known).fix()
    found = {}
    for one in pattern.flat(docopt.Option):
        if one.longer and one.longer != '--help':
            repeats = isinstance(one.value, list) or found.get(one.longer, [0, False])[1]
            found[one.longer] = [bool(one.argcount), repeats]
    return found
def services(doc):
    usage = doc[doc.index('usage:'):doc.index('global options:')]
    calls = re.findall(r'kiwi-ng (\[--.*?)(image|result|system) <command>', usage, re.S)
    return {service: re.findall(r'--([a-z-]+)', text) for text, service in calls}
tasks = ['kiwi.tasks.image_info', 'kiwi.tasks.image_resize', 'kiwi.tasks.result_list', 'kiwi.tasks.result_bundle',
    'kiwi.tasks.system_build', 'kiwi.tasks.system_prepare', 'kiwi.tasks.system_create', 'kiwi.tasks.system_update',
    'kiwi_boxed_plugin.tasks.system_boxbuild', 'kiwi_stackbuild_plugin.tasks.system_stash',
    'kiwi_stackbuild_plugin.tasks.system_stackbuild']
result = {}
for task in tasks:
    name = task.split('.')[-1]
    try:
        result[name] = options(importlib.import_module(task).__doc__)
    except ModuleNotFoundError as error:
        result[name] = str(error)
cli = importlib.import_module('kiwi.cli').__doc__
result['global'] = options(cli)
result['services'] = services(cli)
from kiwi.version import __version__
result['version'] = __version__
print(json.dumps(result))
"#;

#[test]
fn the_table_has_every_option_of_the_installed_kiwi_and_no_other() {
    let Some(kiwi) = kiwi("options") else { return };
    let run = python(&kiwi, OPTIONS, &[]).ends(0);
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(found["version"], "10.3.9", "the version that the table is of");
    let row = |row: &Row| (format!("--{}", row.long), (row.value.is_some(), row.repeats));
    let theirs = |value: &serde_json::Value| -> std::collections::BTreeMap<String, (bool, bool)> {
        let pair = |value: &serde_json::Value| (value[0].as_bool().unwrap(), value[1].as_bool().unwrap());
        value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), pair(value))).collect()
    };
    let mut compared = 0;
    for verb in VERBS {
        let name = format!("{}_{}", verb.service, verb.name);
        if let Some(why) = found[&name].as_str() {
            skip("options", &format!("{name}: {why} (tests/fixtures/kiwi-oracle installs it)"));
            continue;
        }
        let ours: std::collections::BTreeMap<_, _> = verb.options.iter().map(row).collect();
        assert_eq!(ours, theirs(&found[&name]), "{name}");
        assert_eq!(ours.len(), verb.options.len(), "{name}: a row each");
        compared += ours.len();
    }
    let mut global = theirs(&found["global"]);
    global.remove("--version");
    assert_eq!(GLOBAL.iter().map(|(one, _)| row(one)).collect::<std::collections::BTreeMap<_, _>>(), global);
    for service in ["image", "result", "system"] {
        let mut theirs: Vec<&str> = found["services"][service]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let ours = GLOBAL.iter().filter(|(_, services)| services.contains(&service)).map(|(row, _)| row.long);
        let mut ours: Vec<&str> = ours.collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, theirs, "{service}");
    }
    println!("{compared} options of commands, {} global ones", GLOBAL.len());
}

/// The keys that KIWI's own reader asks for.
const KEYS: &str = r#"
import inspect, json, re
from kiwi.runtime_config import RuntimeConfig
calls = re.findall(r"_get_attribute\(\s*element='(\w+)',\s*attribute='(\w+)'", inspect.getsource(RuntimeConfig))
print(json.dumps(sorted(set('.'.join(call) for call in calls))))
"#;

#[test]
fn every_key_of_the_runtime_configuration_that_kiwi_reads_is_known() {
    let Some(kiwi) = kiwi("keys") else { return };
    let found: Vec<String> = serde_json::from_str(&python(&kiwi, KEYS, &[]).ends(0).stdout).unwrap();
    let ours = diskwright::describe::kiwi::runtime::KEYS.iter();
    let mut ours: Vec<String> = ours.map(|key| format!("{}.{}", key.section, key.name)).collect();
    ours.sort();
    assert_eq!(ours, found);
}

/// Results of a build as KIWI leaves them: a pickle and JSON.
const RESULTS: &str = r#"
import sys
from kiwi.xml_description import XMLDescription
from kiwi.xml_state import XMLState
from kiwi.system.result import Result
description, target, pattern = sys.argv[1:4]
result = Result(XMLState(XMLDescription(description).load(), ['extra'], 'oem'))
for entry in sys.argv[4:]:
    key, name, bundle, compress, shasum = entry.split(':')
    result.add(key, target + '/' + name, bundle == '1', compress == '1', shasum == '1')
if pattern:
    result.add_bundle_format(pattern)
result.dump(target + '/kiwi.result')
"#;

const KIWI_MAIN: &str = "import sys; from kiwi.kiwi import main; sys.argv[0] = 'kiwi-ng'; main()";

#[test]
fn a_bundle_of_kiwis_results_is_the_one_that_kiwi_makes() {
    let Some(kiwi) = kiwi("bundle") else { return };
    let (Some(xz), Some(_)) = (oracle("bundle", "xz"), oracle("bundle", "file")) else { return };
    let here = Here::new();
    let at = |name: &str| here.path(name).to_string_lossy().into_owned();
    let files = [
        ("disk_image", "box.x86_64-1.2.3.raw", "0:1:1"),
        ("disk_format_image", "box.x86_64-1.2.3.vmdk", "1:0:1"),
        ("disk_format_machine_settings", "box.x86_64-1.2.3.vmx", "1:0:0"),
        ("installation_image", "box.x86_64-1.2.3.install.iso", "1:1:1"),
        ("container", "box.x86_64-1.2.3.oci.tar.xz", "1:0:1"),
        ("vagrant", "box.x86_64-1.2.3.vagrant.libvirt.box", "1:0:1"),
        ("image_packages", "box.x86_64-1.2.3.packages", "1:0:0"),
        ("image_changes", "box.x86_64-1.2.3.changes", "1:1:0"),
    ];
    for (_, name, _) in files {
        write(here.path("t").join(name), noise(name.len() as u64, 70_000));
    }
    write(here.path("t/box.x86_64-1.2.3.vmx"), "scsi0:0.fileName = \"box.x86_64-1.2.3.vmdk\"\n");
    write(here.path("t/box.x86_64-1.2.3.packages"), "bash|None|5|None|amd64|None|None\n");
    let entries = files.map(|(key, name, flags)| format!("{key}:{name}:{flags}"));
    let mut compared = 0;
    for (stored, arguments) in [
        ("", "--id 1"),
        ("", "--id 7.8 --no-compress"),
        ("", "--id 1.2.3"),
        ("%N-%v_%I", "--id 1"),
        ("%N-%P-%A-%T-%M.%m.%p-%v", "--id 1"),
        ("%N", "--id b --bundle-format %A-%N-%I"),
        ("", "--id b --bundle-format %I-%N-%v"),
    ] {
        let (description, target) = (at("d/config.xml"), at("t"));
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        python(&kiwi, RESULTS, &[&[description.as_str(), &target, stored], &entries[..]].concat()).ends(0);
        here.remove("theirs");
        here.remove("ours");
        let line = |bundle: &str| {
            format!("result bundle --target-dir {target} --bundle-dir {} {arguments}", at(bundle))
        };
        let words = line("theirs");
        python(&kiwi, KIWI_MAIN, &words.split_whitespace().collect::<Vec<_>>()).ends(0);
        here.run(&line("ours")).ends(0);
        let names = listing(&here.path("theirs"));
        assert_eq!(listing(&here.path("ours")), names, "{stored} {arguments}");
        for name in names {
            let [ours, theirs] = ["ours", "theirs"].map(|directory| here.path(directory).join(&name));
            if name.ends_with(".sha256") {
                // Compressed bytes differ, and so do their sums: each is judged by what it is of.
                for sums in [&ours, &theirs] {
                    run(Command::new("sha256sum").arg("-c").arg(sums).current_dir(sums.parent().unwrap()))
                        .ends(0);
                }
                let of = |sums: &Path| std::fs::read_to_string(sums).unwrap().split_off(64);
                assert_eq!(of(&ours), of(&theirs), "{name}");
            } else if name.ends_with(".xz") && !name.contains(".oci.tar") {
                let content = |path: &Path| Command::new(&xz).arg("-dc").arg(path).output().unwrap().stdout;
                assert!(content(&ours) == content(&theirs), "{name}");
            } else {
                assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap(), "{name}");
            }
            compared += 1;
        }
        // The JSON beside KIWI's pickle is read as KIWI prints it.
        let list = here.run(&format!("result list --target-dir {target}")).ends(0).stdout;
        let words = format!("result list --target-dir {target}");
        let theirs = python(&kiwi, KIWI_MAIN, &words.split_whitespace().collect::<Vec<_>>()).ends(0);
        let theirs = theirs.stdout + &theirs.stderr;
        let arrows = |text: &str| -> Vec<String> {
            let lines =
                text.lines().filter_map(|line| line.split_once("--> ")).map(|(_, rest)| rest.to_owned());
            let mut lines: Vec<String> = lines.collect();
            lines.sort();
            lines
        };
        assert_eq!(arrows(&list), arrows(&theirs));
    }
    println!("{compared} files of bundles are the same");
}

/// What KIWI itself writes for the same results.
#[test]
fn the_list_of_results_is_byte_for_byte_kiwis() {
    let Some(kiwi) = kiwi("result file") else { return };
    let here = Here::new();
    for pattern in ["", "%N-%v_%P%A"] {
        let attribute = format!("format=\"qcow2\" bundle_format=\"{pattern}\"");
        let text = if pattern.is_empty() {
            DESCRIPTION.to_owned()
        } else {
            DESCRIPTION.replace("format=\"qcow2\"", &attribute)
        };
        write(here.path("d/config.xml"), text);
        here.remove("out");
        here.run("--profile extra --type oem system build --description d --target-dir out").ends(0);
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let (description, target) =
            (text(here.path("d/config.xml")), text(here.path("out").canonicalize().unwrap()));
        let ours = here.read("out/kiwi.result.json");
        let entry = "disk_format_image:box.x86_64-1.2.3.qcow2:1:0:1";
        python(&kiwi, RESULTS, &[description.as_str(), &target, pattern, entry]).ends(0);
        assert_eq!(ours, here.read("out/kiwi.result.json"));
    }
}
