//! Faults: each ends with a message, soon, and with nothing left behind; nothing gets out of the tree.

use super::*;

/// What is wrong, and how it ends.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) description: Description,
    pub(super) words: &'static [&'static str],
    pub(super) code: i32,
    /// In the message.
    pub(super) said: &'static [&'static str],
}

#[test]
fn each_fault_of_a_repository_is_named() {
    let Some(house) = house("faults of repositories") else { return };
    let plain = Description::plain(house);
    let at = house.at.join("faulty");
    let faulty = |name: &str, fault: Fault| {
        let root = at.join(name);
        let essential = [
            Deb::new("apt", "1.0", "Essential: yes").architecture("amd64"),
            Deb::new("dpkg", "1.0", "Essential: yes").architecture("amd64"),
            Deb::new("greeting", "1.0", ""),
        ];
        suite(&root, "bookworm", "main", &essential, &house.gnupg, fault);
        Description { repository: house.repository(&root.display().to_string()), ..plain.clone() }
    };
    // A port that nobody listens at.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = Description { repository: house.repository(&format!("http://{closed}/")), ..plain.clone() };
    let bootstrap = "<package name=\"no-such-package\"/>".to_owned();
    let row = |name, description, code, said| Row { name, description, words: &[], code, said };
    let rows = [
        row("down", down, 3, &["InRelease", "refused"][..]),
        row(
            "signature",
            faulty("signature", Fault::Signature),
            1,
            &["Release: a wrong signature", "the text was changed"],
        ),
        row("unsigned", faulty("unsigned", Fault::Unsigned), 1, &["Release", "sign"]),
        row("index", faulty("index", Fault::Index), 1, &["Packages", "SHA-256"]),
        row("package", faulty("package", Fault::Package), 1, &["apt_1.0_amd64.deb", "SHA-256"]),
        row(
            "expired",
            faulty("expired", Fault::Expired),
            1,
            &["Release: expired", "it was valid until", "--allow-expired takes"],
        ),
        // These packages are no system: it ends where they are configured.
        Row {
            words: &["--allow-expired"],
            ..row(
                "expired-taken",
                faulty("expired-taken", Fault::Expired),
                4,
                &["warning: ", "Release: expired: it was valid until", "configure packages"],
            )
        },
        Row {
            words: &["--allow-expired"],
            ..row(
                "expired-never",
                faulty("expired-never", Fault::Signature),
                1,
                &["Release: a wrong signature"],
            )
        },
        row("unknown-early", Description { bootstrap, ..plain.clone() }, 1, &["no-such-package"]),
    ];
    try_all(house, &rows);
}

#[test]
fn each_fault_of_a_package_or_script_is_told_with_its_last_words() {
    let Some(house) = house("faults of packages and scripts") else { return };
    let plain = Description::plain(house);
    let of = |packages: &str| Description { packages: packages.to_owned(), ..plain.clone() };
    let row = |name, description, code, said| Row { name, description, words: &[], code, said };
    let rows = [
        row(
            "unknown",
            of("<package name=\"no-such-package\"/>"),
            1,
            &["no such package in the repositories: no-such-package", "config.xml:"][..],
        ),
        // apt may take it for an expression.
        row(
            "unknown-to-apt",
            of("<package name=\"no.such.package\"/>"),
            4,
            &["Unable to locate package no.such.package", "diskwright enter"],
        ),
        row("broken", of("<package name=\"broken\"/>"), 4, &["the last words", "diskwright enter", "log"]),
        row(
            "script",
            plain.clone().config("echo one; echo two >&2; exit 7"),
            4,
            &["config.sh: exit status 7", "one\\ntwo", "diskwright enter", "the whole log"],
        ),
        row("killed", plain.clone().config("kill -9 $$"), 4, &["config.sh: killed by signal 9"]),
        row(
            "daemons",
            plain
                .clone()
                .config("(sleep 31000001 & setsid sleep 31000001 & nohup sleep 31000001 &) >/dev/null 2>&1"),
            0,
            &[],
        ),
        row(
            "flood",
            plain.clone().config("head -c 300000000 /dev/zero | tr '\\0' x; echo; exit 5"),
            4,
            &["exit status 5"],
        ),
    ];
    try_all(house, &rows);
}

/// Each row ends as it says, leaves no output, no process, and nothing that its user cannot delete.
pub(super) fn try_all(house: &House, rows: &[Row]) {
    let mut wrong = Vec::new();
    for row in rows {
        let case = house.case(row.name);
        case.describe(&row.description);
        let run = case.prepare(row.words);
        let unsaid: Vec<_> = row.said.iter().filter(|word| !run.stderr.contains(**word)).collect();
        if run.code != Some(row.code) || !unsaid.is_empty() {
            let shown: String = run.stderr.chars().take(3000).collect();
            wrong.push(format!("{}: {:?}, not said: {unsaid:?}\n{shown}", row.name, run.code));
        }
        if row.code == 0 {
            case.clear();
        }
        assert_eq!(listing(&case.at.join("out")), Vec::<String>::new(), "{}", row.name);
        case.assert_clean("31000001");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A build whose `config.sh` runs forever and ignores signals, when it has come so far.
pub(super) fn running(case: &Case<'_>, mut command: Command, words: &[&str], seconds: &str) -> Child {
    let script = format!("trap '' INT TERM HUP\nsetsid sleep {seconds} &\nwhile :; do sleep {seconds}; done");
    case.describe(&Description::plain(case.house).config(&script));
    command.args(["prepare", "d", "--quiet", "--root", "out/tree"]).args(words);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = || {
        let pids = listing(Path::new("/proc")).into_iter();
        let lines = pids.filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok());
        lines.filter(|line| line.contains(seconds)).count() > 1
    };
    let until = Instant::now() + LONGEST;
    while !started() {
        assert!(child.try_wait().unwrap().is_none(), "{}: ended before the script ran", case.name);
        assert!(Instant::now() < until, "{}: the script does not run", case.name);
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

#[test]
fn who_is_interrupted_or_killed_leaves_nothing_running() {
    use rustix::process::{Pid, Signal, kill_process};
    let Some(house) = house("Ctrl-C") else { return };
    let case = house.case("interrupted");
    let signals = [(Signal::INT, Some(130)), (Signal::TERM, Some(130)), (Signal::KILL, None)];
    for (signal, code) in signals {
        let mut child = running(&case, case.command(&[]), &[], "31000002");
        let asked = Instant::now();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), code, "{signal:?}");
        assert!(asked.elapsed() < Duration::from_secs(60), "{signal:?}: {:?}", asked.elapsed());
        assert_eq!(case.strays("31000002"), Vec::<String>::new(), "{signal:?}: processes are left");
        assert_eq!(listing(&case.at.join("out")), Vec::<String>::new(), "{signal:?}");
        if code.is_some() {
            case.assert_clean("31000002");
        }
    }
    // What was killed left files of other owners: the next build takes them away.
    case.describe(&Description::plain(house));
    case.prepare(&[]).ends(0);
    case.clear();
    case.assert_clean("31000002");
}

/// Without a process namespace nothing dies by itself.
pub(super) fn who_is_interrupted_or_killed_in_a_bare_chroot(house: &House, cache: &Path) {
    use rustix::process::{Pid, Signal, kill_process};
    for (name, signal, code) in
        [("chroot-interrupted", Signal::INT, Some(130)), ("chroot-killed", Signal::KILL, None)]
    {
        let case = Case { cache: cache.to_owned(), ..house.case(name) };
        let command = case.settle(Command::new(house.at.join("diskwright")));
        let mut child = running(&case, command, &["--sandbox", "chroot"], "31000003");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let asked = Instant::now();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), code, "{signal:?}");
        assert!(asked.elapsed() < Duration::from_secs(60), "{signal:?}: {:?}", asked.elapsed());
        assert_eq!(case.strays("31000003"), Vec::<String>::new(), "{signal:?}: processes are left");
        assert_eq!(listing(&case.at.join("out")), Vec::<String>::new(), "{signal:?}");
        let left = cache.join("work").join(name).join("root/run/diskwright");
        assert!(!left.exists(), "{signal:?}: links to the cache are left");
    }
}

#[test]
fn scripts_do_not_get_out_of_the_tree() {
    let Some(house) = house("scripts stay in the tree") else { return };
    let case = house.case("escape");
    let host = case.at.join("host");
    open_to_all(&host);
    write(host.join("victim"), "untouched\n");
    std::fs::set_permissions(host.join("victim"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = ESCAPES
        .replace("@HOST@", host.to_str().unwrap())
        .replace("@PORT@", &listener.local_addr().unwrap().port().to_string());
    case.describe(&Description::plain(house).config(&script));
    let before = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    case.prepare(&[]).ends(0);
    assert_eq!(case.text("etc/tried"), "all\n", "the script came to its end");
    assert_eq!(listing(&host), ["victim"]);
    assert_eq!(std::fs::read_to_string(host.join("victim")).unwrap(), "untouched\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
    case.clear();
    case.assert_clean("");
}

/// Everything that would be out of the tree; what succeeds makes the script fail.
const ESCAPES: &str = r#"
out=
host=@HOST@
no() { what=$1; shift; if "$@" >/dev/null 2>&1; then out="$out $what"; fi; }
write() { echo out >"$1"; }
no "see the host's directory" ls "$host"
no "write to the host" write "$host/escaped"
no "write through /proc/1/root" write "/proc/1/root$host/escaped"
no "write through /proc/1/cwd" write "/proc/1/cwd$host/escaped"
for fd in /proc/[0-9]*/fd/*; do
    no "write through $fd" write "$fd$host/escaped"
    no "write through $fd/.." write "$fd/../../../../../../../..$host/escaped"
done
no "make a disk" mknod /tmp/disk b 8 0
no "make a memory" mknod /tmp/memory c 1 1
no "read the host's environment" grep -q . /proc/1/environ
no "mount" mount -t tmpfs none /mnt
no "mount again" mount -o remount,bind,rw /sys
no "name the host" write /proc/sys/kernel/hostname
no "press keys" write /proc/sysrq-trigger
no "use the network" bash -c 'exec 3<>/dev/tcp/127.0.0.1/@PORT@'
no "leave by chroot" perl -e '
    mkdir "/tmp/jail"; opendir my $top, "/"; chroot "/tmp/jail"; chdir $top; chdir ".." for 1 .. 64; chroot ".";
    open my $file, ">>", "@HOST@/victim" or exit 1; print $file "out" or exit 1;'
[ -z "$out" ] || { echo "these went out:$out"; exit 6; }
echo all >/etc/tried
"#;

#[test]
fn overlays_and_archives_do_not_lead_out_of_the_tree() {
    let Some(house) = house("links that lead out") else { return };
    let case = house.case("links");
    let host = case.at.join("host");
    open_to_all(&host);
    let out = host.to_str().unwrap().to_owned();
    let link = |name: &str| Member::new(name, What::Symlink(out.clone().into_bytes()));
    let archives = |list: &[(&str, Vec<Member>)]| {
        let elements: String = list.iter().map(|(name, _)| format!("<archive name=\"{name}\"/>")).collect();
        let plain = Description::plain(house);
        let description = Description { packages: format!("{}{elements}", plain.packages), ..plain };
        let add =
            |all: Description, (name, members): &(&str, Vec<Member>)| all.beside(name, tar(members), 0o644);
        list.iter().fold(description, add)
    };
    let through = archives(&[
        ("one.tar", vec![link("srv/out")]),
        ("two.tar", vec![Member::file("srv/out/planted", "x")]),
    ]);
    let up = archives(&[("up.tar", vec![Member::file(format!("../../../../../..{out}/planted"), "x")])]);
    let absolute = archives(&[("absolute.tar", vec![Member::file(format!("{out}/planted"), "x")])]);
    let overlay = archives(&[("one.tar", vec![link("srv/out")])]).beside("root/srv/out/planted", "x", 0o644);
    let rows = [
        ("through", through, "a symlink that leads to no directory"),
        ("up", up, "a name with `..` in it"),
        ("absolute", absolute, "an absolute name"),
        ("overlay", overlay, "would take the place of a symlink"),
    ];
    for (name, description, said) in rows {
        case.describe(&description);
        let run = case.prepare(&[]);
        assert!(run.code == Some(1) && run.stderr.contains(said), "{name}: {:?} {}", run.code, run.stderr);
        assert_eq!(listing(&host), Vec::<String>::new(), "{name}: {}", run.stderr);
        case.clear();
        case.assert_clean("");
    }
}
