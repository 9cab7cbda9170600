//! SELinux labels next to those that libselinux looks up.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use diskwright::root::setup::selinux::{Contexts, Policy};
use diskwright_fstools::tree::Kind;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{inapplicable, oracle, run, write};

/// Kinds as matchpathcon names them.
fn kinds() -> [(&'static str, Kind); 7] {
    [
        ("file", Kind::file(Vec::new())),
        ("dir", Kind::directory()),
        ("link", Kind::Symlink((*b"x").into())),
        ("chr", Kind::CharDevice { major: 1, minor: 1 }),
        ("blk", Kind::BlockDevice { major: 1, minor: 1 }),
        ("pipe", Kind::Fifo),
        ("sock", Kind::Socket),
    ]
}

fn policy(directory: &Path) -> Policy {
    let text = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    Policy {
        contexts: text("file_contexts"),
        homes: text("file_contexts.homedirs"),
        local: text("file_contexts.local"),
        distribution_aliases: text("file_contexts.subs_dist"),
        aliases: text("file_contexts.subs"),
    }
}

/// Each path as each kind: what we say and what libselinux says; how many have a label.
fn compare(matchpathcon: &Path, directory: &Path, paths: &[String]) -> usize {
    let contexts = Contexts::read(&policy(directory)).unwrap();
    let mut labelled = 0;
    for (name, kind) in kinds() {
        for paths in paths.chunks(2000) {
            let mut command = Command::new(matchpathcon);
            command.current_dir(directory).args(["-f", "./file_contexts", "-m", name]).args(paths);
            let said = run(&mut command).stdout;
            assert_eq!(said.lines().count(), paths.len(), "{said}");
            for (line, path) in said.lines().zip(paths) {
                let (_, label) = line.rsplit_once('\t').unwrap();
                let expected = Some(label).filter(|label| *label != "<<none>>");
                assert_eq!(contexts.label(path.as_bytes(), &kind), expected, "{path} as {name}");
                labelled += usize::from(expected.is_some());
            }
        }
    }
    labelled
}

const SMALL: &str = "\
/.*	system_u:object_r:default_t:s0
/usr(/.*)?	system_u:object_r:usr_t:s0
/usr/bin/su	--	system_u:object_r:su_t:s0
/usr/bin/.*	system_u:object_r:bin_t:s0
/usr/bin/.*	-l	system_u:object_r:link_t:s0
/lib(64)?/.+	system_u:object_r:lib_t:s0
/etc/\\.pwd\\.lock	--	system_u:object_r:lock_t:s0
/etc/.*lock	system_u:object_r:etc_t:s0
/tmp/.*	<<none>>
/(a|b)/x	system_u:object_r:branch_t:s0
/run/[^/]+	-s	system_u:object_r:socket_t:s0
/dev/[a-c][0-9]{2}	-b	system_u:object_r:disk_t:s0
/dev/tty?	-c	system_u:object_r:tty_t:s0
/var/x\\+y.*	-p	system_u:object_r:pipe_t:s0
/usr/bin/twice	system_u:object_r:one_t:s0
/opt/a{0,2}b	system_u:object_r:opt_t:s0
";

#[test]
fn rules_of_every_form() {
    let Some(matchpathcon) = oracle("rules_of_every_form", "matchpathcon") else { return };
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    write(at("file_contexts"), SMALL);
    write(
        at("file_contexts.homedirs"),
        "/home/[^/]+\t-d\tuser_u:object_r:home_t:s0\n/home/[^/]+/.+\tuser_u:object_r:file_t:s0\n",
    );
    write(
        at("file_contexts.local"),
        "/usr/bin/mine\tsystem_u:object_r:mine_t:s0\n/home/root/.+\tsystem_u:object_r:root_t:s0\n",
    );
    write(at("file_contexts.subs_dist"), "# comment\n/opt/usr /usr\n/alt /\n/lib64 /lib\n/lib64/x /usr\n");
    write(at("file_contexts.subs"), "/mine /opt/usr\n");
    let names = "/ /usr /usrx /usr/bin/su /usr/bin/ls /usr/bin/mine /usr/bin/twice /lib/x /lib64/x /lib64/x/y /lib64 /etc/.pwd.lock \
        /etc/xpwd.lock /etc/lock /tmp /tmp/a /a/x /b/x /c/x /run/a /run/a/b /dev/a12 /dev/d12 /dev/tty /dev/tt /dev/ttyS /var/x+y \
        /var/x+yz /var/xxy /opt/b /opt/aab /opt/aaab /home/a /home/a/b /home/root/b /opt/usr /opt/usr/bin/su /opt/usrx /mine \
        /mine/bin/su /alt /alt/usr /alt/usr/bin/ls";
    let paths: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
    assert!(compare(&matchpathcon, directory.path(), &paths) > 200);
}

/// Paths below a directory, and what the rules' own texts look like as paths.
fn paths(contexts: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for line in contexts.lines() {
        let expression = line.split_whitespace().next().unwrap_or_default();
        let plain: String = expression.chars().filter(|letter| !"\\()?[]^+*$".contains(*letter)).collect();
        let name = plain.replace('|', "/");
        found.extend([name.replace(".*", ""), name.replace('.', "x"), format!("{name}/deep"), name]);
    }
    let mut waiting: Vec<PathBuf> =
        ["/etc", "/usr/bin", "/usr/sbin", "/usr/lib", "/var/lib"].map(PathBuf::from).into();
    while let Some(directory) = waiting.pop().filter(|_| found.len() < 60_000) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
            found.extend(entry.path().to_str().map(str::to_owned));
        }
    }
    found.retain(|path| {
        path.starts_with('/') && !path.contains("//") && !path.ends_with('/') && !path.contains(['\t', '\n'])
    });
    found.into_iter().collect()
}

#[test]
fn a_whole_policy() {
    let test = "a_whole_policy";
    if !support::all() {
        return inapplicable(test, "slow (DISKWRIGHT_ALL=1)");
    }
    let Some(matchpathcon) = oracle(test, "matchpathcon") else { return };
    let asked = std::env::var_os("DISKWRIGHT_SELINUX").map(PathBuf::from);
    let mut here = ["default", "targeted"]
        .map(|name| Path::new("/etc/selinux").join(name).join("contexts/files"))
        .into_iter();
    let Some(from) = asked.or_else(|| here.find(|path| path.join("file_contexts").is_file())) else {
        return inapplicable(test, "no policy (DISKWRIGHT_SELINUX names the directory of a file_contexts)");
    };
    // Without the compiled forms, so that both read the same.
    let directory = tempfile::tempdir().unwrap();
    for name in ["", ".homedirs", ".local", ".subs", ".subs_dist"].map(|end| format!("file_contexts{end}")) {
        if let Ok(text) = std::fs::read(from.join(&name)) {
            write(directory.path().join(name), text);
        }
    }
    let paths = paths(&std::fs::read_to_string(from.join("file_contexts")).unwrap());
    assert!(compare(&matchpathcon, directory.path(), &paths) > paths.len());
}
