//! What is done to a tree behind its packages, in a real sandbox: overlays, archives, files, accounts, places, scripts.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use diskwright::describe::kiwi::{Description, load};
use diskwright::model::Arch;
use diskwright::resolve::{Choice, Selection, select};
use diskwright::root::sandbox::{
    Host, Log, Mode, Operation, OperationError, Run, Sandbox, SandboxError, Session,
};
use diskwright::root::setup::{self, Account, CopiedFile, Group, Outside, Setup, Step};
use diskwright::root::tree::Place;
use diskwright_formats::identity::Identity;
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use support::{Member, What, tar, write};

const EPOCH: i64 = 1_700_000_000;

/// A tree, a description beside it, and a way to work on the tree.
struct Lab {
    directory: tempfile::TempDir,
    sandbox: Sandbox,
    log: Log,
}

/// A lab; `None` (said) where this host has no sandbox.
fn lab(test: &str) -> Option<Lab> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["tree", "d", "scratch"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    let host = Host {
        program: Path::new(env!("CARGO_BIN_EXE_diskwright")),
        path: &std::env::var_os("PATH").unwrap_or_default(),
        scratch: &directory.path().join("scratch"),
        asked: None,
        cancel: Arc::default(),
    };
    let found = Sandbox::find(&host).unwrap();
    let Some(sandbox) = found.sandbox else {
        let reasons: Vec<&str> = found.tried.iter().map(|one| one.reason.as_str()).collect();
        support::skip(test, &format!("no sandbox can be made here: {}", reasons.join("; ")));
        return None;
    };
    Some(Lab { directory, sandbox, log: Log::default() })
}

impl Lab {
    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn try_run(&self, operations: Vec<Operation>) -> Result<Vec<Vec<u8>>, SandboxError> {
        self.try_run_with(operations, vec![(setup::DESCRIPTION.to_owned(), self.at("d"))])
    }

    fn try_run_with(
        &self,
        operations: Vec<Operation>,
        inputs: Vec<(String, PathBuf)>,
    ) -> Result<Vec<Vec<u8>>, SandboxError> {
        let session = Session { tree: self.at("tree"), inputs, operations, ..Session::default() };
        self.sandbox.run(&session, &self.log, &mut |_| {})
    }

    #[track_caller]
    fn run(&self, steps: impl IntoIterator<Item = Step>) {
        self.try_run(steps.into_iter().map(Operation::Setup).collect()).unwrap();
    }

    /// What a step is refused with.
    #[track_caller]
    fn refused(&self, step: Step) -> String {
        match self.try_run(vec![Operation::Setup(step)]) {
            Err(SandboxError::Failed { error: OperationError::Refused { message, .. }, .. }) => message,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The tree as a record, by path: type, owner, mode and target, without sizes and times. The tree is the caller's then.
    fn give(&self) -> BTreeMap<String, String> {
        let place = Place::of(&self.at("tree")).unwrap();
        self.sandbox.run(&place.give(EPOCH), &self.log, &mut |_| {}).unwrap();
        let text = support::diskwright(["tree".into(), self.at("tree").into_os_string()]).ends(0).stdout;
        let tree = diskwright_fstools::tree::record::read(text.as_bytes()).unwrap();
        let mut lines = BTreeMap::new();
        let mut first = BTreeMap::new();
        for step in tree.walk() {
            let path = String::from_utf8(step.path).unwrap();
            let node = tree.node(step.node);
            let meta = node.meta;
            let mut line = format!("{} {}:{} {:o}", node.kind.name(), meta.uid, meta.gid, meta.mode);
            if let diskwright_fstools::tree::Kind::Symlink(target) = &node.kind {
                line = format!("-> {}", String::from_utf8_lossy(target));
            }
            for (name, value) in tree.xattrs(meta.xattrs) {
                line += &format!(" {}={}", name.escape_ascii(), value.escape_ascii());
            }
            if let Some(other) = first.get(&step.node) {
                line = format!("link to {other}");
            }
            first.entry(step.node).or_insert_with(|| path.clone());
            lines.insert(path, line);
        }
        lines
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at("tree").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// What was given to sub-ids belongs to nobody who could delete it.
impl Drop for Lab {
    fn drop(&mut self) {
        let place = Place::of(&self.at("tree")).unwrap();
        let _ = self.sandbox.run(&place.abandon(), &self.log, &mut |_| {});
    }
}

fn outside(path: &str) -> Outside {
    Outside { input: setup::DESCRIPTION.to_owned(), path: path.into() }
}

fn archive(name: &str) -> Step {
    Step::Archive { from: outside(name), target: "/".to_owned(), epoch: EPOCH }
}

fn overlay(name: &str, record: Option<&str>) -> Step {
    Step::Overlay { from: outside(name), record: record.map(PathBuf::from), epoch: EPOCH }
}

fn directory(path: &str, mode: u32, owner: (u32, u32)) -> Step {
    Step::Directory { path: path.to_owned(), mode, owner }
}

fn link(path: &str, target: &str) -> Step {
    Step::Symlink { path: path.to_owned(), target: target.to_owned() }
}

#[test]
fn steps_change_files() {
    let Some(lab) = lab("steps_change_files") else { return };
    write(lab.at("d/file"), "from outside\n");
    lab.run(
        [
            directory("/usr/lib", 0o755, (0, 0)),
            link("/lib", "usr/lib"),
            Step::Write { path: "/lib/a".into(), text: "a".into(), mode: 0o4755, owner: (7, 8) },
            Step::write("/lib/a/", "never").to_owned(),
        ]
        .into_iter()
        .take(3),
    );
    lab.run([
        Step::Append { path: "/usr/lib/a".into(), text: "b".into() },
        Step::Append { path: "/new/c".into(), text: "c".into() },
        Step::Copy { from: outside("file"), path: "/copy".into(), mode: 0o600 },
        Step::write("/gone/below/deep", "x"),
        Step::write("/gone/also", "x"),
        link("/gone/out", "/usr/lib"),
        Step::Remove { paths: vec!["/gone".into(), "/never/was".into(), "/lib/never".into()] },
        link("/usr/lib/a-link", "/etc/passwd"),
        directory("/srv", 0o2775, (1, 2)),
    ]);
    // What has the name is replaced, not written through.
    lab.run([Step::write("/usr/lib/a-link", "a file")]);
    let message = lab.refused(Step::write("/usr/lib", "x"));
    assert!(message.contains("a file would take the place of a directory"), "{message}");
    if matches!(lab.sandbox.mode, Mode::Namespaces | Mode::Root) {
        // Memory while a tree is made: seen by what runs in the same session, and gone behind it.
        let find = Operation::Setup(Step::Find { program: "/tmp/program".into() });
        let program =
            Step::Write { path: "/tmp/program".into(), text: "x".into(), mode: 0o755, owner: (0, 0) };
        let found = lab.try_run(vec![Operation::Setup(program), find]).unwrap();
        assert_eq!(found[1], b"/tmp/program");
        let message = lab.refused(Step::write("/proc/x", "x"));
        assert!(message.contains("while a tree is made"), "{message}");
    }
    let lines = lab.give();
    assert_eq!(lines["/usr/lib/a"], "file 7:8 4755");
    assert_eq!(lines["/new/c"], "file 0:0 644");
    assert_eq!(lines["/copy"], "file 0:0 600");
    assert_eq!(lines["/lib"], "-> usr/lib");
    assert_eq!(lines["/srv"], "directory 1:2 2775");
    assert_eq!(lines["/usr/lib/a-link"], "file 0:0 644");
    assert!(!lines.contains_key("/gone") && !lines.contains_key("/tmp/program"), "{lines:?}");
    assert_eq!(lab.text("usr/lib/a"), "ab");
    assert_eq!(lab.text("copy"), "from outside\n");
}

#[test]
fn an_overlay_merges_and_what_is_new_is_roots() {
    let Some(lab) = lab("an_overlay_merges_and_what_is_new_is_roots") else { return };
    lab.run([
        directory("/var/lib/them", 0o700, (33, 44)),
        Step::Write { path: "/etc/conf".into(), text: "old".into(), mode: 0o600, owner: (5, 5) },
        Step::write("/etc/kept", "kept"),
    ]);
    write(lab.at("d/root/etc/conf"), "new");
    write(lab.at("d/root/var/lib/them/file"), "file");
    std::fs::set_permissions(lab.at("d/root/var/lib/them"), std::fs::Permissions::from_mode(0o750)).unwrap();
    write(lab.at("d/root/usr/bin/tool"), "#!/bin/sh\n");
    std::fs::set_permissions(lab.at("d/root/usr/bin/tool"), std::fs::Permissions::from_mode(0o4711)).unwrap();
    std::fs::hard_link(lab.at("d/root/usr/bin/tool"), lab.at("d/root/usr/bin/again")).unwrap();
    symlink("/etc/conf", lab.at("d/root/usr/out")).unwrap();
    let sparse = std::fs::File::create(lab.at("d/root/sparse")).unwrap();
    sparse.set_len(4 << 20).unwrap();
    drop(sparse);
    lab.run([overlay("root", None)]);
    let lines = lab.give();
    assert_eq!(lines["/etc/conf"], "file 0:0 644");
    assert_eq!(lines["/var/lib/them"], "directory 33:44 750", "a directory keeps its owner");
    assert_eq!(lines["/var/lib/them/file"], "file 0:0 644");
    assert_eq!(lines["/usr/bin/again"], "file 0:0 4711");
    assert_eq!(lines["/usr/bin/tool"], "link to /usr/bin/again");
    assert_eq!(lines["/usr/out"], "-> /etc/conf");
    assert_eq!((lab.text("etc/conf"), lab.text("etc/kept")), ("new".to_owned(), "kept".to_owned()));
    assert_eq!(std::fs::metadata(lab.at("tree/sparse")).unwrap().len(), 4 << 20);
}

#[test]
fn a_record_says_who_owns_an_overlay() {
    let Some(lab) = lab("a_record_says_who_owns_an_overlay") else { return };
    lab.run([directory("/var/mail", 0o700, (1, 1))]);
    write(lab.at("d/root/var/mail/box"), "mail");
    let tree = support::diskwright([
        "tree".into(),
        lab.at("d/root").into_os_string(),
        "--owner".into(),
        "8:12".into(),
    ]);
    let record = tree.ends(0).stdout.replacen("/ directory 0755 8 12", "/ directory 0711 0 0", 1);
    write(lab.at("d/root.tree"), record);
    lab.run([overlay("root", Some("root.tree"))]);
    let lines = lab.give();
    assert_eq!(lines["/var/mail/box"], "file 8:12 644");
    assert!(lines["/var/mail"].starts_with("directory 8:12 "), "{}", lines["/var/mail"]);
    assert_eq!(lines["/"], "directory 0:0 711");
}

#[test]
fn an_overlay_does_not_go_through_links_of_the_tree() {
    let Some(lab) = lab("an_overlay_does_not_go_through_links_of_the_tree") else { return };
    lab.run([directory("/usr/lib", 0o755, (0, 0)), link("/lib", "usr/lib"), Step::write("/file", "x")]);
    write(lab.at("d/root/lib/file"), "x");
    let message = lab.refused(overlay("root", None));
    assert!(message.contains("/lib: a directory would take the place of a symlink"), "{message}");
    write(lab.at("d/second/file/below"), "x");
    let message = lab.refused(overlay("second", None));
    assert!(message.contains("/file: a directory would take the place of a file"), "{message}");
    write(lab.at("d/third/usr"), "x");
    let message = lab.refused(overlay("third", None));
    assert!(message.contains("a file would take the place of a directory"), "{message}");
}

#[test]
fn archives_keep_owners_and_follow_a_merged_usr() {
    let test = "archives_keep_owners_and_follow_a_merged_usr";
    let Some(lab) = lab(test) else { return };
    let members = [
        Member::directory("lib").mode(0o700),
        Member::directory("lib/modules").owner(3, 4).mode(0o750),
        Member::file("lib/modules/m.ko", "module").owner(1000, 1001).mode(0o2755),
        Member::new("lib/modules/hard", What::Hard(b"lib/modules/m.ko".to_vec())),
        Member::new("etc/way", What::Symlink(b"/lib/modules".to_vec())).owner(9, 9),
        Member::new("run-fifo", What::Fifo).owner(5, 6),
        Member::file("attributes", "x").xattr("user.note", "hello"),
    ];
    let bytes = tar(&members);
    write(lab.at("d/plain.tar"), &bytes);
    let mut archives = vec!["plain.tar".to_owned()];
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        if let Some(program) = support::oracle(test, program) {
            let name = format!("packed.tar.{ending}");
            let output = std::fs::File::create(lab.at("d").join(&name)).unwrap();
            let input = std::fs::File::open(lab.at("d/plain.tar")).unwrap();
            assert!(Command::new(program).arg("-c").stdin(input).stdout(output).status().unwrap().success());
            archives.push(name);
        }
    }
    lab.run([directory("/usr/lib", 0o755, (0, 0)), link("/lib", "usr/lib")]);
    lab.run(archives.iter().map(|name| archive(name)));
    lab.run([Step::Archive { from: outside("plain.tar"), target: "/opt/a/b".into(), epoch: EPOCH }]);
    let lines = lab.give();
    assert_eq!(lines["/usr/lib"], "directory 0:0 755", "a link's directory keeps what it has");
    assert_eq!(lines["/usr/lib/modules"], "directory 3:4 750");
    assert_eq!(lines["/usr/lib/modules/m.ko"], "link to /usr/lib/modules/hard");
    assert_eq!(lines["/usr/lib/modules/hard"], "file 1000:1001 2755");
    assert_eq!(lines["/etc/way"], "-> /lib/modules");
    assert_eq!(lines["/run-fifo"], "fifo 5:6 644");
    assert_eq!(lines["/attributes"], "file 0:0 644 user.note=hello");
    assert_eq!(lines["/opt/a/b/lib"], "directory 0:0 700");
    assert_eq!(lines["/opt/a/b/lib/modules/hard"], "file 1000:1001 2755");
}

/// Everything that an archive or overlay could try to write elsewhere. The host must not see any of it.
#[test]
fn nothing_leaves_the_tree() {
    let Some(lab) = lab("nothing_leaves_the_tree") else { return };
    let prize = lab.at("prize");
    std::fs::create_dir(&prize).unwrap();
    write(prize.join("there"), "untouched");
    let prize = prize.to_str().unwrap().to_owned();
    // Archives that are refused whole.
    let hostile: [(&str, Vec<Member>, &str); 5] = [
        ("absolute", vec![Member::file(format!("{prize}/a"), "x")], "an absolute name"),
        ("dots", vec![Member::file("usr/../../../prize/b", "x")], "`..` in it"),
        (
            "planted",
            vec![Member::new("way", What::Symlink(prize.clone().into())), Member::file("way/c", "x")],
            "leads through a symlink",
        ),
        ("hard", vec![Member::new("h", What::Hard(b"../../prize/there".to_vec()))], "`..` in it"),
        (
            "hard-2",
            vec![Member::new("h", What::Hard(b"etc/shadow".to_vec()))],
            "a hard link to what the archive does not have",
        ),
    ];
    for (name, members, expected) in hostile {
        write(lab.at(&format!("d/{name}.tar")), tar(&members));
        let message = lab.refused(archive(&format!("{name}.tar")));
        assert!(message.contains(expected), "{name}: {message}");
    }
    // Links that one archive plants and the next one goes through: they lead to places of the tree.
    let proc = [
        "/proc/self/root",
        "/proc/1/root",
        "/proc/self/cwd",
        "/proc/self/fd/3",
        "/proc/self/fd/4",
        "/proc/self/fd/5",
    ];
    let depth = "../".repeat(40);
    let targets: Vec<String> =
        [prize.clone(), format!("{depth}{prize}")].into_iter().chain(proc.map(str::to_owned)).collect();
    for (number, target) in targets.iter().enumerate() {
        let first = [Member::new("way", What::Symlink(target.clone().into()))];
        let second = [Member::directory("way"), Member::file(format!("way/evil-{number}"), "x")];
        write(lab.at("d/first.tar"), tar(&first));
        write(lab.at("d/second.tar"), tar(&second));
        lab.run([archive("first.tar")]);
        let done = lab.try_run(vec![Operation::Setup(archive("second.tar"))]);
        // Within the tree there is nothing at that place, or it is no place of the tree.
        assert!(done.is_err(), "{target}: {done:?}");
        for step in [
            Step::write(format!("/way/evil-write-{number}"), "x"),
            Step::Append { path: "/way/there".to_owned(), text: "x".to_owned() },
            Step::Remove { paths: vec!["/way/there".to_owned()] },
            directory("/way/evil", 0o755, (0, 0)),
            link("/way/evil-link", "x"),
        ] {
            let _ = lab.try_run(vec![Operation::Setup(step)]);
        }
        lab.run([Step::Remove { paths: vec!["/way".to_owned()] }]);
    }
    // A link that stands where a file comes is replaced.
    lab.run([link("/etc-file", &format!("{prize}/there"))]);
    write(lab.at("d/over/etc-file"), "mine");
    lab.run([overlay("over", None)]);
    assert_eq!(support::listing(Path::new(&prize)), ["there"]);
    assert_eq!(std::fs::read_to_string(format!("{prize}/there")).unwrap(), "untouched");
    let beside = support::listing(&lab.at("d"));
    assert!(!beside.iter().any(|name| name.contains("evil")), "{beside:?}");
    assert!(!support::listing(lab.directory.path()).iter().any(|name| name.contains("evil")));
    assert!(!support::listing(Path::new("/")).iter().any(|name| name.contains("evil")));
    assert!(lab.give()["/etc-file"].starts_with("file 0:0"));
}

#[test]
fn files_go_to_directories_or_become_files() {
    let Some(lab) = lab("files_go_to_directories_or_become_files") else { return };
    lab.run([
        Step::write("/etc/passwd", "root:x:0:0::/root:/bin/sh\ntux:x:1000:100::/home/tux:/bin/sh\n"),
        Step::write("/etc/group", "root:x:0:\nusers:x:100:\nadm:x:4:\n"),
        directory("/usr/bin", 0o755, (0, 0)),
    ]);
    write(lab.at("d/deep/tool"), "tool");
    std::fs::set_permissions(lab.at("d/deep/tool"), std::fs::Permissions::from_mode(0o775)).unwrap();
    let file = |target: &str, owner: &str, permissions: &str| CopiedFile {
        from: outside("deep/tool"),
        name: "tool".to_owned(),
        target: target.to_owned(),
        owner: owner.to_owned(),
        permissions: permissions.to_owned(),
    };
    lab.run([
        Step::File(file("", "", "")),
        Step::File(file("/usr/bin", "tux", "4750")),
        Step::File(file("usr/bin/", ":adm", "u=rw,go=")),
        Step::File(file("/new/place", "tux:", "")),
        Step::File(file("/new/other", "7:8", "a+r")),
    ]);
    for (file, expected) in [
        (file("", "nobody", ""), "the tree has no user nobody"),
        (file("", "tux:none", ""), "the tree has no group none"),
        (file("", "", "rwx"), "permissions that chmod does not know: rwx"),
    ] {
        let message = lab.refused(Step::File(file));
        assert!(message.contains(expected), "{message}");
    }
    let lines = lab.give();
    assert_eq!(lines["/tool"], "file 0:0 755");
    assert_eq!(lines["/usr/bin/tool"], "file 0:4 600");
    assert_eq!(lines["/new/place"], "file 1000:100 755");
    assert_eq!(lines["/new/other"], "file 7:8 755");
}

fn account(name: &str) -> Account {
    Account {
        name: name.to_owned(),
        password: Some(format!("$6$salt${name}")),
        uid: None,
        groups: Vec::new(),
        home: None,
        real_name: None,
        shell: None,
    }
}

fn groups(text: &str) -> Vec<Group> {
    let group = |text: &str| match text.split_once(':') {
        Some((name, gid)) => Group { name: name.to_owned(), gid: Some(gid.parse().unwrap()) },
        None => Group { name: text.to_owned(), gid: None },
    };
    text.split(',').map(group).collect()
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                      old:x:1002:1002:Old:/home/old:/bin/sh\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\naudio:x:29:daemon\nusers:x:100:\nold:x:1002:\nvideo:x:44:old\n";
const SHADOW: &str = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:::\n";
const GSHADOW: &str = "root:*::\ndaemon:*::\naudio:*::daemon\nusers:*::\nold:!::\nvideo:*::old\n";

/// The accounts of the comparison, and the commands of KIWI for them.
fn cases() -> Vec<(Account, Vec<String>)> {
    let command = |text: &str| text.split(' ').map(|word| word.replace('+', " ")).collect();
    let root = Account { groups: groups("root"), ..account("root") };
    let tux = Account {
        groups: groups("tux,extra:3000,audio"),
        shell: Some("/bin/sh".into()),
        real_name: Some("The Tux".into()),
        ..account("tux")
    };
    let ada = Account { home: Some("/srv/homes/ada".into()), uid: Some(1500), ..account("ada") };
    let bob = Account { password: None, groups: groups("users"), ..account("bob") };
    let old = Account { groups: groups("users,audio"), shell: Some("/bin/dash".into()), ..account("old") };
    vec![
        (root, command("usermod -p $6$salt$root -g root")),
        (tux, command("useradd -p $6$salt$tux -s /bin/sh -g tux -G extra,audio -c The+Tux -m")),
        (ada, command("useradd -p $6$salt$ada -u 1500 -m -d /srv/homes/ada")),
        (bob, command("useradd -g users -m")),
        (account("eve"), command("useradd -p $6$salt$eve -m")),
        (old, command("usermod -p $6$salt$old -s /bin/dash -g users -G audio")),
    ]
}

const TABLES: [&str; 6] =
    ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid"];

/// Tables without accounts of ours, settings and skeleton of this host.
fn account_tables(at: &Path) {
    for (name, text) in TABLES.iter().zip([PASSWD, GROUP, SHADOW, GSHADOW, "old:100000:65536\n", ""]) {
        write(at.join(name), text);
    }
    for name in ["etc/login.defs", "etc/default/useradd"] {
        write(at.join(name), std::fs::read(Path::new("/").join(name)).unwrap_or_default());
    }
    std::fs::create_dir_all(at.join("etc/skel")).unwrap();
    support::tool("cp", ["-a".into(), "/etc/skel/.".into(), at.join("etc/skel").into_os_string()]);
    for name in ["home/old", "root", "srv"] {
        std::fs::create_dir_all(at.join(name)).unwrap();
    }
}

#[test]
fn accounts_are_those_of_useradd() {
    let test = "accounts_are_those_of_useradd";
    let Some(lab) = lab(test) else { return };
    if !support::root() {
        return support::inapplicable(test, "useradd --prefix needs root");
    }
    let Some(_) = support::oracle(test, "useradd") else { return };
    let theirs = lab.at("theirs");
    account_tables(&theirs);
    account_tables(&lab.at("tree"));
    let prefix = theirs.to_str().unwrap().to_owned();
    let shadow = |program: &str, words: &[&str]| {
        support::tool(program, ["-P", &prefix].iter().chain(words).copied());
    };
    shadow("groupadd", &["tux"]);
    shadow("groupadd", &["-g", "3000", "extra"]);
    std::fs::create_dir_all(theirs.join("srv/homes")).unwrap(); // as KIWI makes it
    for (account, command) in cases() {
        let words: Vec<&str> =
            command[1..].iter().map(String::as_str).chain([account.name.as_str()]).collect();
        shadow(&command[0], &words);
    }
    let said = std::fs::read_to_string(theirs.join("etc/shadow")).unwrap();
    let day = said.lines().find(|line| line.starts_with("tux:")).unwrap().split(':').nth(2).unwrap();
    let accounts = cases().into_iter().map(|(account, _)| account).collect();
    lab.run([Step::Accounts { accounts, day: day.parse().unwrap() }]);
    for name in TABLES {
        let text = std::fs::read_to_string(theirs.join(name)).unwrap();
        assert_eq!(lab.text(name), text, "{name}");
    }
    let listed = |at: &Path| {
        let format = "%P %y %U:%G %m\n";
        let found = support::tool(
            "find",
            [&at.join("home"), &at.join("srv")]
                .map(|path| path.clone().into_os_string())
                .into_iter()
                .chain(["-printf".into(), format.into()]),
        );
        let mut lines: Vec<String> = found.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(listed(&lab.at("tree")), listed(&theirs));
}

#[test]
fn accounts_without_tables_and_refused_ones() {
    let Some(lab) = lab("accounts_without_tables_and_refused_ones") else { return };
    let set_up = |accounts: Vec<Account>| Step::Accounts { accounts, day: 19675 };
    lab.run([set_up(vec![
        Account {
            uid: Some(0),
            groups: groups("root:0"),
            home: Some("/root".into()),
            shell: Some("/bin/sh".into()),
            ..account("root")
        },
        Account { groups: groups("users:100"), ..account("tux") },
    ])]);
    for (account, expected) in [
        (
            Account { uid: Some(1000), groups: groups("users"), ..account("eve") },
            "the id 1000 is another user's",
        ),
        (Account { groups: groups("other:100"), ..account("eve") }, "the id 100 is another group's"),
        (Account { uid: Some(0), ..account("tux") }, "its id is another user's"),
        (
            Account { home: Some("home".into()), groups: groups("users"), ..account("eve") },
            "no absolute path: home",
        ),
    ] {
        let message = lab.refused(set_up(vec![account]));
        assert!(message.contains(expected), "{message}");
    }
    let lines = lab.give();
    assert_eq!(lines["/etc/shadow"], "file 0:0 600");
    assert_eq!(lines["/home/tux"], "directory 1000:100 755");
    assert!(
        lab.text("etc/shadow").starts_with("root:$6$salt$root:19675::::::\ntux:$6$salt$tux:19675::::::\n")
    );
    assert!(
        lab.text("etc/passwd")
            .starts_with("root:x:0:0::/root:/bin/sh\ntux:x:1000:100::/home/tux:/bin/bash\n")
    );
    assert!(lab.text("etc/group").starts_with("root:x:0:\nusers:x:100:\n"));
}

#[test]
fn a_changed_id_takes_the_home_with_it() {
    let Some(lab) = lab("a_changed_id_takes_the_home_with_it") else { return };
    lab.run([
        Step::write("/etc/passwd", "tux:x:500:500::/home/tux:/bin/sh\n"),
        Step::write("/etc/group", "tux:x:500:\nusers:x:100:\n"),
        directory("/home/tux", 0o700, (500, 500)),
        Step::Write { path: "/home/tux/mine".into(), text: String::new(), mode: 0o600, owner: (500, 500) },
        Step::Write { path: "/home/tux/others".into(), text: String::new(), mode: 0o600, owner: (7, 500) },
        link("/home/tux/out", "/etc/passwd"),
        Step::Accounts {
            accounts: vec![Account {
                uid: Some(600),
                groups: groups("users"),
                password: None,
                ..account("tux")
            }],
            day: 1,
        },
    ]);
    let lines = lab.give();
    assert_eq!(lines["/home/tux"], "directory 600:100 700");
    assert_eq!(lines["/home/tux/mine"], "file 600:100 600");
    assert_eq!(lines["/home/tux/others"], "file 7:100 600");
    assert_eq!(lines["/etc/passwd"], "file 0:0 644", "links are not followed");
    assert_eq!(lab.text("etc/passwd"), "tux:x:600:100::/home/tux:/bin/sh\n");
}

#[test]
fn places_of_debian_and_of_others() {
    let Some(lab) = lab("places_of_debian_and_of_others") else { return };
    let steps = || {
        [
            Step::Locale { locale: "de_DE.UTF-8".into() },
            Step::Keyboard(setup::Keyboard::of("de-latin1-nodeadkeys")),
            Step::Timezone { zone: "Europe/Berlin".into() },
            Step::MachineId,
        ]
    };
    let message = lab.refused(Step::Timezone { zone: "Europe/Berlin".into() });
    assert!(message.contains("the tree has no /usr/share/zoneinfo/Europe/Berlin"), "{message}");
    lab.run([Step::Timezone { zone: "UTC".into() }, Step::write("/usr/share/zoneinfo/Europe/Berlin", "")]);
    lab.run(steps());
    assert!(!lab.at("tree/etc/timezone").exists() && !lab.at("tree/etc/default").exists());
    assert!(!lab.at("tree/etc/machine-id").exists());
    lab.run([
        Step::write("/etc/debian_version", "12\n"),
        Step::write("/etc/locale.gen", "# de_DE.UTF-8 UTF-8\n"),
        Step::write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ]);
    lab.run(steps());
    let lines = lab.give();
    assert_eq!(lines["/etc/localtime"], "-> ../usr/share/zoneinfo/Europe/Berlin");
    for (path, text) in [
        ("etc/locale.conf", "LANG=de_DE.UTF-8\n"),
        ("etc/default/locale", "LANG=de_DE.UTF-8\n"),
        ("etc/locale.gen", "de_DE.UTF-8 UTF-8\n"),
        ("etc/vconsole.conf", "KEYMAP=de-latin1-nodeadkeys\n"),
        ("etc/timezone", "Europe/Berlin\n"),
        ("etc/machine-id", ""),
    ] {
        assert_eq!(lab.text(path), text, "{path}");
    }
    let keyboard = lab.text("etc/default/keyboard");
    assert!(keyboard.contains("XKBLAYOUT=\"de\"\nXKBVARIANT=\"nodeadkeys\"\n"), "{keyboard}");
}

/// A description with everything that this room does.
const DESCRIPTION: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<image schemaversion="8.5" name="test-image" id="4711" displayname="It's a $test">
  <certificates target_distribution="debian"><certificate name="ca.pem"/></certificates>
  <description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description>
  <profiles><profile name="P" description="p"/><profile name="Q" description="q"/></profiles>
  <preferences>
    <version>1.2.3</version><packagemanager>apt</packagemanager><locale>en_US</locale><keytable>us</keytable>
    <timezone>UTC</timezone><bootsplash-theme>spin</bootsplash-theme>
    <type image="oem" filesystem="ext4" firmware="uefi" kernelcmdline="a='b' &quot;c&quot; \d">
      <bootloader name="grub2" timeout="7"/>
      <oemconfig><oem-resize>false</oem-resize><oem-swap>true</oem-swap><oem-swapsize>77</oem-swapsize></oemconfig>
    </type>
  </preferences>
  <users>
    <user name="root" password="linux" pwdformat="plain" groups="root"/>
    <user name="tux" password="$6$x$y" groups="tux:2000,users"/>
  </users>
  <packages type="bootstrap"><package name="a"/><archive name="boot.tar"/></packages>
  <packages type="image"><archive name="b.tar" target_dir="/opt"/><file name="tool" target="/usr/bin" permissions="755"/></packages>
  <packages type="delete"><package name="z"/><package name="y"/></packages>
</image>
"#;

fn describe(lab: &Lab, text: &str) -> Description {
    write(lab.at("d/config.xml"), text);
    load(&lab.at("d"), None).unwrap()
}

fn choice(profiles: &[&str]) -> Choice {
    Choice { profiles: profiles.iter().map(|name| (*name).to_owned()).collect(), ..Choice::new(Arch::X86_64) }
}

/// What lies beside it.
fn everything_beside(lab: &Lab) {
    write(lab.at("d/ca.pem"), "certificate\n");
    write(lab.at("d/boot.tar"), tar(&[Member::file("from-bootstrap", "x")]));
    write(lab.at("d/b.tar"), tar(&[Member::file("from-archive", "x")]));
    write(lab.at("d/tool"), "tool\n");
    write(lab.at("d/root/etc/layer"), "root");
    write(lab.at("d/P/etc/layer"), "P");
    write(lab.at("d/Q/etc/layer"), "Q");
    for name in ["post_bootstrap.sh", "config.sh", "images.sh"] {
        let text = "#!/bin/sh -e\n\
                    echo \"$0 in $PWD: $kiwi_iname $kiwi_profiles $kiwi_cmdline $HOME\" >>/ran\n\
                    test ! -e /.profile || . /.profile\n\
                    echo \"$kiwi_displayname $kiwi_cmdline $kiwi_align.\" >>/ran\n\
                    . /.kconfig\n";
        write(lab.at("d").join(name), text);
    }
    std::fs::set_permissions(lab.at("d/config.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A tree with a shell that is also the program that updates certificates.
fn with_shell(test: &str, lab: &Lab) -> bool {
    let Some(busybox) = support::oracle(test, "busybox") else { return false };
    let bin = lab.at("tree/bin");
    std::fs::create_dir_all(&bin).unwrap();
    // By another process: one that a thread beside this one forks meanwhile would keep the file open for writing.
    support::tool("cp", [busybox.as_os_str(), bin.join("busybox").as_os_str()]);
    for name in ["sh", "bash", "cat", "env"] {
        symlink("busybox", bin.join(name)).unwrap();
    }
    write(
        bin.join("update-ca-certificates"),
        "#!/bin/sh\ncat /usr/local/share/ca-certificates/*.crt >/certificates\n",
    );
    write(bin.join("chkstat"), "#!/bin/sh\necho \"$@\" >/checked\n");
    for name in ["update-ca-certificates", "chkstat"] {
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    if bin.join("bash").exists()
        && support::run(Command::new(bin.join("bash")).args(["-c", ":"])).code != Some(0)
    {
        std::fs::remove_file(bin.join("bash")).unwrap();
        write(bin.join("bash"), "#!/bin/sh\nexec /bin/sh \"$@\"\n");
        std::fs::set_permissions(bin.join("bash"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    true
}

fn everything(setup: &Setup) -> Vec<Operation> {
    let source = "Types: deb\nURIs: http://example.com/\nSuites: ./\n";
    [
        setup.bootstrap("functions=are_here\n"),
        setup.configure(),
        vec![Operation::Setup(Step::write("/etc/apt/sources.list.d/main.sources", source))],
        setup.config(),
        setup.images(),
    ]
    .concat()
}

#[test]
fn everything_in_the_order_of_kiwi() {
    let test = "everything_in_the_order_of_kiwi";
    let Some(lab) = lab(test) else { return };
    everything_beside(&lab);
    if !with_shell(test, &lab) {
        return;
    }
    let description = describe(&lab, DESCRIPTION);
    let choice = choice(&["Q", "P"]);
    let selection = select(&description.model, &choice).unwrap();
    let setup = Setup::of(&description, &selection, &Identity::new(b"seed", EPOCH)).unwrap();
    let operations = everything(&setup);
    let list: Vec<String> = operations.iter().map(Operation::describe).collect();
    let list: Vec<String> = list
        .iter()
        .map(|line| line.rsplit_once("kiwi_xendomain").map_or(line.as_str(), |it| it.1).to_owned())
        .collect();
    let position = |text: &str| {
        list.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {list:#?}"))
    };
    let order = [
        "unpack boot.tar into /",
        "copy config.xml to /image/config.xml",
        "write /.kconfig",
        "bash /image/post_bootstrap.sh",
        "copy ca.pem to /usr/local/share/ca-certificates/ca.crt",
        "update-ca-certificates",
        "unpack b.tar into /opt",
        "write /.profile",
        "lay root over",
        "lay Q over",
        "lay P over",
        "write /etc/ImageID",
        "set up the users root tux",
        "set the keyboard us",
        "set the locale en_US.UTF-8",
        "locale-gen (if the tree has it)",
        "plymouth-set-default-theme spin (if the tree has it)",
        "set the time zone UTC",
        "chkstat --system --set (if the tree has it)",
        "copy tool to /usr/bin",
        "write /etc/apt/sources.list.d/main.sources",
        "images.sh",
    ];
    for pair in order[..order.len() - 1].windows(2) {
        assert!(position(pair[0]) < position(pair[1]), "{pair:?}: {list:#?}");
    }
    assert!(!list.iter().any(|line| line.contains("linux")), "no password is shown: {list:#?}");
    let done = lab.try_run_with(operations, setup.inputs());
    if let Err(error) = done {
        panic!("{error}\n{}", lab.log.tail());
    }
    let lines = lab.give();
    for path in ["/from-bootstrap", "/opt/from-archive", "/image/config.sh", "/.profile", "/.kconfig"] {
        assert!(lines.contains_key(path), "{path}: {lines:#?}");
    }
    assert_eq!(lines["/usr/bin"], "file 0:0 755", "where the directory is missing, the target is the file");
    assert_eq!(lines["/image/config.xml"], "file 0:0 600");
    assert_eq!(lab.text("etc/layer"), "P", "profiles in the order in which they are selected");
    assert_eq!(lab.text("etc/ImageID"), "4711\n");
    assert_eq!(lab.text("certificates"), "certificate\n");
    assert_eq!(lab.text("checked"), "--system --set\n");
    // The environment says it as it is; /.profile, as KIWI's sed quotes it, without quotes and backslashes.
    let cmdline = "a='b' \"c\" \\d";
    let expected: String = [
        format!("/image/post_bootstrap.sh in /: test-image Q,P {cmdline} /root\n"),
        format!("It's a $test {cmdline} .\n"),
        format!("/image/config.sh in /: test-image Q,P {cmdline} /root\n"),
        "It's a $test a='b' \"c\" d 1048576.\n".to_owned(),
        format!("/image/images.sh in /: test-image Q,P {cmdline} /root\n"),
        "It's a $test a='b' \"c\" d 1048576.\n".to_owned(),
    ]
    .concat();
    assert_eq!(lab.text("ran"), expected);
    let shadow = lab.text("etc/shadow");
    assert!(shadow.contains("root:$6$rounds=100000$") && shadow.contains(":19675:"), "{shadow}");
    assert!(lab.text("etc/group").contains("tux:x:2000:\n"));
    // The same again is the same, in another tree.
    let again = Setup::of(&description, &selection, &Identity::new(b"seed", EPOCH)).unwrap();
    assert_eq!(format!("{setup:?}"), format!("{again:?}"));
}

#[test]
fn what_is_missing_or_unsupported_is_said_at_its_line() {
    let Some(lab) = lab("what_is_missing_or_unsupported_is_said_at_its_line") else { return };
    let text = DESCRIPTION.replace(
        "<packages type=\"delete\">",
        "<containers source=\"r\" backend=\"podman\"><container name=\"c\"/></containers>\n\
         <packages type=\"image\"><namedCollection name=\"desk\"/><product name=\"pro\"/><ignore name=\"no\"/></packages>\n\
         <packages type=\"delete\">",
    );
    let text = text.replace("name=\"tux\"", "name=\"-tux\"").replace("<timezone>UTC", "<timezone>../UTC");
    let description = describe(&lab, &text);
    let choice = choice(&[]);
    let selection = select(&description.model, &choice).unwrap();
    let problems = Setup::of(&description, &selection, &Identity::new(b"seed", EPOCH)).unwrap_err();
    let said: Vec<String> = problems
        .iter()
        .map(|one| {
            format!("{}: {}", one.position().0, one.message.replace(lab.at("d").to_str().unwrap(), "D"))
        })
        .collect();
    let line = |part: &str| text[..text.find(part).unwrap()].lines().count();
    for (part, message) in [
        ("<containers", "containers in the tree are not supported yet"),
        ("<namedCollection", "collection desk: apt has no such thing"),
        ("<product", "product pro: apt has no such thing"),
        ("<ignore", "ignored no: apt has no such thing"),
        ("<timezone", "no time zone: ../UTC"),
        ("boot.tar", "the archive is missing: D/boot.tar"),
        ("b.tar\" t", "the archive is missing: D/b.tar"),
        ("\"tool\"", "the file is missing: D/tool"),
        ("ca.pem", "the certificate is missing: D/ca.pem"),
        ("\"-tux\"", "no name of a user: -tux"),
    ] {
        let expected = format!("{}: {message}", line(part));
        assert!(said.contains(&expected), "{expected}: {said:#?}");
    }
    assert_eq!(said.len(), 10, "{said:#?}");
}

/// KIWI's own `.profile` of the same description.
const KIWI_PROFILE: &str = r#"
import logging, sys
logging.getLogger("kiwi").disabled = True
from kiwi import defaults
defaults.PLATFORM_MACHINE = "x86_64"
from kiwi.defaults import Defaults
from kiwi.runtime_config import RuntimeConfig
from kiwi.system.profile import Profile
from kiwi.xml_description import XMLDescription
from kiwi.xml_state import XMLState
RuntimeConfig()
state = XMLState(XMLDescription(sys.argv[1]).load(), sys.argv[3:])
profile = Profile(state)
for key, value in profile.get_settings().items():
    print(f"{key}={value}")
print("--")
Defaults().to_profile(profile)
profile.create(sys.argv[2])
print(open(sys.argv[2]).read(), end="")
"#;

/// Both parts of what the program prints, without what is KIWI's alone.
fn ours(selection: &Selection) -> (Vec<String>, Vec<String>) {
    let variables = setup::variables(selection);
    let environment = variables.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let profile = setup::profile(&variables);
    (
        environment,
        profile.lines().filter(|line| !line.starts_with("kiwi_revision")).map(str::to_owned).collect(),
    )
}

fn kiwis(python: &Path, lab: &Lab, profiles: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut command = Command::new(python);
    command.args(["-c", KIWI_PROFILE]).arg(lab.at("d/config.xml")).arg(lab.at("profile")).args(profiles);
    let run = support::run(&mut command).ends(0);
    let (environment, profile) = run.stdout.split_once("--\n").unwrap();
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("kiwi_revision")).map(str::to_owned).collect()
    };
    (lines(environment), lines(profile))
}

#[test]
fn the_profile_is_kiwis() {
    let test = "the_profile_is_kiwis";
    let Some(lab) = lab(test) else { return };
    let Some(python) = support::kiwi(test) else { return };
    let (head, rest) = DESCRIPTION.split_once("<type image").unwrap();
    let bare = format!("{head}<type image=\"ext4\"/>{}", rest.split_once("</type>").unwrap().1);
    let volumes = r#"<systemdisk name="vg"><volume name="home" size="2G" mountpoint="/home"/><volume name="@root" freespace="50"/></systemdisk></type>"#;
    let drivers = "<drivers><file name=\"a\"/><file name=\"b\"/></drivers><strip type=\"tools\"><file name=\"t\"/><file name=\"u\"/></strip>\n  <packages type=\"delete\">";
    for (text, profiles) in [
        (DESCRIPTION.to_owned(), &["P"][..]),
        (DESCRIPTION.to_owned(), &[]),
        (DESCRIPTION.replace("</type>", volumes), &["Q", "P"]),
        (DESCRIPTION.replace("<packages type=\"delete\">", drivers), &[]),
        (
            DESCRIPTION.replace(
                "<oem-resize>false</oem-resize>",
                "<oem-boot-title>A title</oem-boot-title><oem-bootwait>true</oem-bootwait><oem-unattended-id>x,y</oem-unattended-id>\
                 <oem-systemsize>2048</oem-systemsize><oem-recovery-part-size>100</oem-recovery-part-size>\
                 <oem-recoveryID>83</oem-recoveryID><oem-multipath-scan>false</oem-multipath-scan>",
            ),
            &[],
        ),
        (
            DESCRIPTION.replace("firmware=\"uefi\"", "firmware=\"uefi\" volid=\"V\" luks=\"\" target_removable=\"true\" fsmountoptions=\"noatime\" target_blocksize=\"4096\" disk_start_sector=\"4096\" devicepersistency=\"by-label\" wwid_wait_timeout=\"9\" gpt_hybrid_mbr=\"true\""),
            &[],
        ),
        (
            DESCRIPTION.replace("timeout=\"7\"", "output_console=\"serial gfxterm\" input_console=\"none\" video_mode=\"800x600\""),
            &[],
        ),
        (
bare,
            &[],
        ),
    ] {
        let description = describe(&lab, &text);
        let choice = choice(profiles);
        let selection = select(&description.model, &choice).unwrap();
        let kiwis = kiwis(&python, &lab, profiles);
        let ours = ours(&selection);
        assert_eq!(ours.0, kiwis.0, "{text}");
        assert_eq!(ours.1, kiwis.1, "{text}");
    }
}

/// All profiles of a description alone and none of them, each with its type: KIWI's variables of all of them.
const KIWI_CORPUS: &str = r#"
import json, logging, os, sys
logging.getLogger("kiwi").disabled = True
from kiwi import defaults
defaults.PLATFORM_MACHINE = "x86_64"
from kiwi.runtime_config import RuntimeConfig
from kiwi.system.profile import Profile
from kiwi.xml_description import XMLDescription
from kiwi.xml_state import XMLState
RuntimeConfig()
for line in sys.stdin:
    case = json.loads(line)
    try:
        os.chdir(os.path.dirname(case["file"]))
        state = XMLState(XMLDescription(case["file"]).load(), case["profiles"])
        print(json.dumps(Profile(state).get_settings()))
    except Exception as issue:
        print(json.dumps({"error": str(type(issue))}))
"#;

fn descriptions(directory: &Path, found: &mut Vec<PathBuf>) {
    for name in support::listing(directory) {
        let path = directory.join(name);
        match path.extension().and_then(|ending| ending.to_str()) {
            _ if path.is_symlink() => {}
            _ if path.is_dir() => descriptions(&path, found),
            Some("kiwi") => found.push(path),
            Some("xml") if path.ends_with("config.xml") => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn the_variables_of_the_corpus_are_kiwis() {
    let test = "the_variables_of_the_corpus_are_kiwis";
    let Some(corpus) = support::corpus(test) else { return };
    let Some(python) = support::kiwi(test) else { return };
    let (mut files, mut cases, mut lines) = (Vec::new(), Vec::new(), String::new());
    descriptions(&corpus, &mut files);
    for file in files {
        let Ok(description) = load(&file, None) else { continue };
        let names = description.model.profiles.iter().map(|one| vec![one.name.clone()]);
        let mut all: Vec<Vec<String>> = std::iter::once(Vec::new()).chain(names).collect();
        all.truncate(if support::all() { usize::MAX } else { 2 });
        for profiles in all {
            let case = serde_json::json!({ "file": file, "profiles": profiles });
            lines += &format!("{case}\n");
            cases.push((file.clone(), profiles));
        }
    }
    let directory = tempfile::tempdir().unwrap();
    write(directory.path().join("cases"), lines);
    let input = std::fs::File::open(directory.path().join("cases")).unwrap();
    let run = support::run(Command::new(python).args(["-c", KIWI_CORPUS]).stdin(input)).ends(0);
    let mut compared = 0;
    for (line, (file, profiles)) in run.stdout.lines().zip(&cases) {
        let kiwis: BTreeMap<String, String> = serde_json::from_str(line).unwrap();
        let description = load(file, None).unwrap();
        let names: Vec<&str> = profiles.iter().map(String::as_str).collect();
        let choice = choice(&names);
        let Ok(selection) = select(&description.model, &choice) else { continue };
        if kiwis.contains_key("error") || selection.kind.is_none() {
            continue;
        }
        compared += 1;
        assert_eq!(setup::variables(&selection), kiwis, "{} {profiles:?}", file.display());
    }
    println!("{compared} of {} selections have KIWI's variables", cases.len());
    assert!(compared > 50, "{compared}");
}

#[test]
fn a_program_that_is_optional_is_passed_over() {
    let test = "a_program_that_is_optional_is_passed_over";
    let Some(lab) = lab(test) else { return };
    let run = |optional| Operation::Run(Run { optional, ..Run::new("nothing", ["never-installed"]) });
    assert_eq!(lab.try_run(vec![run(true)]).unwrap(), [Vec::<u8>::new()]);
    assert!(lab.try_run(vec![run(false)]).is_err());
    if with_shell(test, &lab) {
        let find = |program: &str| Operation::Setup(Step::Find { program: program.to_owned() });
        let found = lab.try_run(vec![find("chkstat"), find("none"), find("/bin/sh")]).unwrap();
        assert_eq!(found, [&b"/bin/chkstat"[..], b"", b"/bin/sh"]);
    }
}
