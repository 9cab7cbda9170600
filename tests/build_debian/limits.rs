//! Builds that the host has no room for: no processes left, no space left.

use super::*;

/// Most processes of the user while a test's script makes them without end.
const PROCESSES: &str = "--nproc=400:400";

#[test]
fn who_forks_forever_is_bounded_and_ended() {
    let test = "who_forks_forever_is_bounded_and_ended";
    let (Some(house), Some(prlimit)) = (house(test), oracle(test, "prlimit")) else { return };
    let forever =
        "perl -e '$0 = \"31000004\"; while (1) { defined fork or select undef, undef, undef, 0.01 }'";
    let rows = [
        (
            "forks-forever",
            format!("exec {forever}"),
            4,
            &["config.sh: not done after 5 seconds, and killed"][..],
        ),
        ("forks-and-ends", format!("{forever} &\nread -t 1 <>/dev/zero; echo ended"), 0, &[]),
        (
            "forks-and-fails",
            "exec dash -c 'while :; do sleep 31000004 & done'".to_owned(),
            4,
            &["config.sh: exit status 2", "Cannot fork", "diskwright enter"],
        ),
    ];
    for (name, script, code, said) in rows {
        let case = house.case(name);
        case.describe(&Description::plain(house).config(&script));
        let mut command = Command::new(source("tests/fixtures/as-user"));
        command.arg(&prlimit).arg(PROCESSES).arg(house.at.join("diskwright"));
        command.args(["prepare", "d", "--root", "out/tree", "--step-limit", "5"]);
        let begun = Instant::now();
        let run = bounded(case.settle(command));
        let unsaid: Vec<_> = said.iter().filter(|word| !run.stderr.contains(**word)).collect();
        assert!(
            run.code == Some(code) && unsaid.is_empty(),
            "{name}: {:?}, not said: {unsaid:?}\n{}",
            run.code,
            run.stderr
        );
        assert!(begun.elapsed() < Duration::from_secs(120), "{name}: {:?}", begun.elapsed());
        if code == 0 {
            case.clear();
        }
        assert_eq!(listing(&case.at.join("out")), Vec::<String>::new(), "{name}");
        case.assert_clean("31000004");
    }
}

/// The same without a process namespace, where no limit holds for root: each process of a long chain waits for its child.
pub(super) fn what_forks_in_a_bare_chroot_is_ended(house: &House, cache: &Path) {
    let case = Case { cache: cache.to_owned(), ..house.case("chroot-forks") };
    let chain = "perl -e '$0 = \"31000006\"; for (1 .. 600) { my $child = fork; if ($child) { wait; exit } } sleep 1000'";
    case.describe(
        &Description::plain(house).config(&format!("{chain} &\nread -t 1 <>/dev/zero; echo ended")),
    );
    let mut command = case.settle(Command::new(house.at.join("diskwright")));
    command.args(["prepare", "d", "--root", "out/tree", "--sandbox", "chroot"]);
    let begun = Instant::now();
    bounded(command).ends(0);
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
    assert_eq!(case.strays("31000006"), Vec::<String>::new());
}

/// A little file system in memory.
struct Disk(PathBuf);

impl Disk {
    /// `None` where none can be mounted.
    fn new(at: PathBuf, size: &str) -> Option<Disk> {
        open_to_all(&at);
        let done = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("mode=777,size={size}"), "none"])
            .arg(&at));
        (done.code == Some(0)).then_some(Disk(at))
    }

    fn grow(&self, size: &str) {
        let size = format!("remount,size={size}");
        tool("mount", ["-o".as_ref(), size.as_ref(), self.0.as_os_str()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_half_written() {
    let test = "a_full_disk_is_said_and_leaves_nothing_half_written";
    if !root() {
        return inapplicable(test, "only root can mount a little disk");
    }
    let Some(house) = house(test) else { return };
    let case = house.case("full");
    let full = Case { cache: case.at.join("cache"), ..house.case("full") };
    let Some(disk) = Disk::new(full.cache.clone(), "8m") else {
        return inapplicable(test, "nothing can be mounted here");
    };
    full.describe(&Description::plain(house));
    let full_of = |name: &str, run: Run, code: i32, said: &[&str]| {
        let unsaid: Vec<_> = said.iter().filter(|word| !run.stderr.contains(**word)).collect();
        let shown: String = run.stderr.chars().take(3000).collect();
        assert!(
            run.code == Some(code) && unsaid.is_empty(),
            "{name}: {:?}, not said: {unsaid:?}\n{shown}",
            run.code
        );
        assert_eq!(listing(&full.at.join("out")), Vec::<String>::new(), "{name}");
        full.assert_clean("");
    };
    full_of("fetch", full.prepare(&[]), 3, &["are to be fetched, ", "free some space"]);
    disk.grow("80m");
    let said = ["unpack ", " packages: ", "No space left on device", "free some space"];
    full_of("unpack", full.prepare(&[]), 3, &said);
    disk.grow("240m");
    full_of("keep", full.prepare(&[]), 3, &["failed to copy", "No space left on device", "free some space"]);
    disk.grow("460m");
    let plain = Description::plain(house);
    full.describe(&plain.clone().config("cat /dev/zero >/var/big"));
    full_of(
        "script",
        full.prepare(&[]),
        4,
        &["config.sh: exit status 1", "write error: No space left on device"],
    );
    // With room all that was kept is whole: it becomes the tree that others become.
    full.describe(&plain);
    full.prepare(&[]).ends(0);
    let record = full.record();
    full.clear();
    case.prepare(&[]).ends(0);
    assert_eq!(differences(&case.record(), &record), Vec::<String>::new());
    case.clear();
    // No room for what is made, but for where it is made.
    let Some(disk) = Disk::new(case.at.join("out"), "40m") else { return };
    full_of(
        "output",
        case.prepare(&[]),
        3,
        &["failed to copy", "No space left on device", "free some space"],
    );
    let build = bounded(case.command(&["build", "d", "-o", "out", "--quiet"]));
    full_of("image", build, 3, &["out", " bytes are needed, ", " are free", "free some space"]);
    drop(disk);
}

#[test]
fn the_command_that_a_failure_names_enters_the_tree() {
    let Some(house) = house("enter after a failure") else { return };
    let case = house.case("enter");
    let script = "echo half >/etc/half; chown 7:8 /etc/half; chmod 4751 /etc/half; exit 9";
    case.describe(&Description::plain(house).config(script));
    let failed = bounded(case.command(&["prepare", "d", "--root", "out/tree"])).ends(4);
    let hint = failed
        .stderr
        .rsplit_once("diskwright enter ")
        .map(|(_, rest)| rest.lines().next().unwrap_or_default());
    let tree = hint.unwrap_or_else(|| panic!("{}", failed.stderr)).trim().to_owned();
    let log = failed
        .stderr
        .split_once("the whole log: ")
        .map(|(_, rest)| rest.split(';').next().unwrap_or_default());
    let log = std::fs::read_to_string(log.unwrap().trim()).unwrap();
    assert!(log.contains("/image/config.sh"), "{log}");
    // What a person would type; in the same sandbox, with the owners that the script left.
    let typed = "stat -c 'seen: %u:%g %a %n' /etc/half /var/lib/greeting; echo routes: $(wc -l </proc/net/route)\n\
         echo more >>/etc/half; chown 9 /etc/half; exit 0\n";
    let mut entered = case.command(&["enter", &tree]);
    let mut child =
        entered.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}\n{complained}");
    for line in ["routes: 1\n", "seen: 7:8 4751 /etc/half\n", "seen: 33:42 755 /var/lib/greeting\n"] {
        assert!(said.contains(line), "{line} not in {said}\n{complained}");
    }
    // What was changed there stays, owners included; a command's own end is told.
    let enter = |words: &[&str]| {
        let mut command = case.command(&["enter", &tree]);
        command.arg("--").args(words);
        bounded(command)
    };
    assert_eq!(enter(&["stat", "-c", "%u %s", "/etc/half"]).ends(0).stdout, "9 10\n");
    let failed = enter(&["sh", "-c", "exit 3"]).ends(4);
    assert!(failed.stderr.contains("exit status 3"), "{}", failed.stderr);
    assert_eq!(listing(&case.at.join("out")), Vec::<String>::new());
    case.clear_away("");
}
