//! Between a build and its host: nobody is root there, and programs of the tree see nothing of it.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

/// A process as the host sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    name: String,
    /// Real, effective, saved and file system's user.
    users: Vec<u32>,
}

/// All processes: parent, and what is seen of them.
fn processes() -> BTreeMap<u32, (u32, Seen)> {
    let pids = listing(Path::new("/proc")).into_iter().filter_map(|name| name.parse::<u32>().ok());
    let of = |pid: u32| {
        let text = std::fs::read(format!("/proc/{pid}/status")).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let users = field("Uid:")?.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        let seen = Seen { name: field("Name:")?.to_owned(), users };
        Some((pid, (field("PPid:")?.parse().ok()?, seen)))
    };
    pids.filter_map(of).collect()
}

/// The processes that descend from `first` (and itself), once it is no longer root: what starts it may be.
fn watch(first: u32, ended: &AtomicBool) -> BTreeSet<Seen> {
    let mut all = BTreeSet::new();
    while !ended.load(Ordering::Relaxed) {
        let now = processes();
        let of_us = |mut pid: u32| {
            while pid != first {
                match now.get(&pid) {
                    Some((parent, _)) if *parent > 1 => pid = *parent,
                    _ => return false,
                }
            }
            true
        };
        if now.get(&first).is_some_and(|(_, seen)| !seen.users.contains(&0)) {
            all.extend(now.iter().filter(|(pid, _)| of_us(**pid)).map(|(_, (_, seen))| seen.clone()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    all
}

#[test]
fn no_process_of_a_build_is_root_on_the_host() {
    let Some(house) = house("no root on the host") else { return };
    let case = house.case("no-root");
    let case = Case { cache: case.at.join("cache"), ..case };
    let bootstrap = "<package name=\"greeting\"/>".to_owned();
    let description = Description { bootstrap, packages: String::new(), ..Description::whole(house) };
    // Long enough to be seen, whatever else the machine does.
    case.describe(&description.beside("config.sh", format!("{CONFIG}sleep 3\n"), 0o755));
    let mut command = case.command(&["build", "d", "--quiet", "-o", "out"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let ended = AtomicBool::new(false);
    let (first, ended) = (child.id(), &ended);
    let (status, seen) = std::thread::scope(|scope| {
        let seen = scope.spawn(move || watch(first, ended));
        let status = child.wait().unwrap();
        ended.store(true, Ordering::Relaxed);
        (status, seen.join().unwrap())
    });
    assert_eq!(status.code(), Some(0));
    let names: BTreeSet<&str> = seen.iter().map(|one| one.name.as_str()).collect();
    for name in ["diskwright", "dpkg", "config.sh"] {
        assert!(names.contains(name), "{name} was not seen: {names:?}");
    }
    // Programs that map ids are root's: setuid, each for a moment, by what an administrator installed.
    let maps = |one: &&Seen| one.name == "newuidmap" || one.name == "newgidmap";
    let roots: Vec<_> = seen.iter().filter(|one| !maps(one) && one.users.contains(&0)).collect();
    assert_eq!(roots, Vec::<&Seen>::new());
    case.clear_away("");
}

/// Every program that a build starts on the host's side, as the kernel was asked for it.
#[test]
fn on_the_host_a_build_runs_itself_and_what_maps_ids() {
    let test = "on_the_host_a_build_runs_itself_and_what_maps_ids";
    if !root() {
        return inapplicable(test, "only root can trace what is setuid");
    }
    let (Some(house), Some(strace)) = (house(test), oracle(test, "strace")) else { return };
    let case = house.case("traced");
    case.describe(&Description::whole(house));
    let trace = case.at.join("trace");
    let mut command = Command::new(strace);
    command.args([
        "-f",
        "--pidns-translation",
        "-u",
        "dwtest",
        "-e",
        "trace=execve,execveat,pivot_root,clone,clone3,fork,vfork",
    ]);
    command.arg("-o").arg(&trace).arg(house.at.join("diskwright")).args(["build", "d", "-o", "out"]);
    bounded(case.settle(command)).ends(0);
    let text: &'static str = std::fs::read_to_string(&trace).unwrap().leak();
    let lines = || text.lines().filter_map(|line| line.split_once(' ')).map(|(pid, call)| (pid, call.trim()));
    // In a namespace of processes numbers are others; strace adds its own: `5 /* 5123 in strace's PID NS */`.
    let result = |call: &'static str| -> Option<&'static str> {
        let number = call.rsplit_once(" = ")?.1;
        Some(number.split_once("/* ").map_or(number, |(_, own)| own.split(' ').next().unwrap_or_default()))
    };
    let starts = |call: &str| ["clone", "fork", "vfork"].iter().any(|name| call.contains(name));
    let parents: BTreeMap<&str, &str> = lines()
        .filter(|(_, call)| starts(call))
        .filter_map(|(pid, call)| Some((result(call)?, pid)))
        .collect();
    let left: BTreeSet<&str> =
        lines().filter(|(_, call)| call.starts_with("pivot_root(")).map(|(pid, _)| pid).collect();
    assert!(left.len() > 3, "sandboxes were seen");
    let inside = |mut pid: &str| loop {
        match parents.get(pid) {
            _ if left.contains(pid) => return true,
            Some(parent) => pid = parent,
            None => return false,
        }
    };
    let executed = lines().filter(|(_, call)| call.starts_with("execve"));
    let (tree, host): (Vec<_>, Vec<_>) = executed.partition(|(pid, _)| inside(pid));
    assert!(tree.iter().any(|(_, call)| call.contains("config.sh")), "programs of the tree were seen");
    let names: BTreeSet<&str> = host.iter().filter_map(|(_, call)| call.split('"').nth(1)).collect();
    let name = |path: &&&str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = names.iter().map(|path| name(&path)).collect();
    assert_eq!(names, ["diskwright", "newgidmap", "newuidmap"].map(str::to_owned).into());
    case.clear_away("");
}

/// What a script sees, a file each in `/seen`.
const LOOK: &str = r#"
mkdir /seen
look() { name=$1; shift; "$@" >"/seen/$name" 2>&1 || echo "($?)" >>"/seen/$name"; }
look environment sh -c "tr '\\0' '\\n' </proc/$$/environ | cut -d= -f1 | sort"
look kinds awk '{ sub(/.* - /, "", $0); print $1 }' /proc/self/mountinfo
look places sh -c "cut -d' ' -f5 /proc/self/mountinfo | sort"
look processes sh -c 'for one in /proc/[0-9]*; do cat $one/cmdline 2>/dev/null | tr "\\0" " "; echo; done'
look files sh -c "for one in /proc/$$/fd/*; do echo \"\${one##*/} \$(readlink \$one)\"; done"
look keys perl -e 'my ($type, $name) = ("user", "diskwright-test"); exit(syscall(250, 10, -3, $type, $name, 0) > 0 ? 7 : 0)'
look syncs perl -e 'exit(syscall(74, 9999) == 0 ? 0 : 9)'
look interfaces sh -c "sed -n 's/ *\\([^:]*\\):.*/\\1/p' /proc/net/dev"
look devices sh -c 'find /dev -mindepth 1 | sort'
look home sh -c 'ls -A /home /root; pwd; umask'
look ids id
look name cat /proc/sys/kernel/hostname
look groups cat /proc/self/cgroup
look spaces sh -c 'for one in user mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$one; done'
look shared sh -c 'tail -n +2 /proc/sysvipc/shm'
"#;

#[test]
fn programs_of_the_tree_see_nothing_of_the_host() {
    let test = "programs_of_the_tree_see_nothing_of_the_host";
    let (Some(house), Some(_)) = (house(test), oracle(test, "perl")) else { return };
    let case = house.case("look");
    let command = Command::new(source("tests/fixtures/as-user"));
    look_around(house, &case, command, &[]);
    assert_nothing_seen(&case, PLACES, SPACES);
    case.clear_away("");
}

/// As real root, who has no user namespace of its own, and whom more of `/proc` is covered from.
pub(super) fn programs_of_real_root_see_nothing_of_the_host(house: &House, cache: &Path) {
    if run(Command::new("unshare").args(["--mount", "true"])).code != Some(0) {
        return inapplicable(
            "programs_of_real_root_see_nothing_of_the_host",
            "no mounts of its own are allowed here",
        );
    }
    let case = Case { cache: cache.to_owned(), ..house.case("look-as-root") };
    // With groups that mean something on the host alone.
    let mut command = Command::new("setpriv");
    command.args(["--groups", "12345,12346"]);
    look_around(house, &case, command, &["--sandbox", "root"]);
    let places = [PLACES, &["/proc/bus", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]].concat();
    assert_nothing_seen(&case, &places, &SPACES[1..]);
}

/// bwrap shows the same, and its own command line.
pub(super) fn programs_in_bwrap_see_nothing_of_the_host(house: &House) {
    let case = house.case("look-in-bwrap");
    look_around(house, &case, Command::new(source("tests/fixtures/as-user")), &["--sandbox", "bwrap"]);
    assert_nothing_seen(&case, PLACES, SPACES);
    case.clear_away("");
}

/// A script looks around, started by someone with a key in its session, open files, variables and an umask of its own.
fn look_around(house: &House, case: &Case<'_>, mut command: Command, words: &[&str]) {
    case.describe(&Description::plain(house).config(LOOK));
    write(case.at.join("secret"), "of the host\n");
    let keep = "my ($type, $name, $value) = ('user', 'diskwright-test', 'a secret'); syscall(250, 1, 0); \
         syscall(248, $type, $name, $value, length $value, -3) > 0 or die \"no key: $!\"; exec @ARGV";
    let open = "exec 7<secret 8</ 9<.; umask 077; exec \"$@\"";
    command.args(["perl", "-e", keep, "sh", "-c", open, "sh"]).arg(house.at.join("diskwright"));
    command.args(["prepare", "d", "--root", "out/tree"]).args(words);
    command.env("DISKWRIGHT_SECRET", "hidden").env("LD_LIBRARY_PATH", "/hidden");
    bounded(case.settle(command)).ends(0);
}

fn assert_nothing_seen(case: &Case<'_>, places: &[&str], own_spaces: &[&str]) {
    let seen = |name: &str| case.text(&format!("seen/{name}"));
    let lines = |name: &str| seen(name).lines().map(str::to_owned).collect::<BTreeSet<String>>();
    let others = |name: &str, known: &[&str]| -> Vec<String> {
        lines(name).into_iter().filter(|line| !known.contains(&line.as_str())).collect()
    };
    let none = Vec::<String>::new();
    let mut variables = others("environment", &["HOME", "LANG", "LC_ALL", "PATH", "PWD", "TERM", "TZ"]);
    variables.retain(|name| !name.starts_with("kiwi_"));
    assert_eq!(variables, none);
    assert_eq!(others("places", places), none);
    assert_eq!(
        others("kinds", &["ext4", "xfs", "btrfs", "overlay", "tmpfs", "devtmpfs", "proc", "sysfs", "devpts"]),
        none
    );
    assert_eq!(others("devices", DEVICES), none);
    for (name, text) in [
        ("keys", ""),
        // fsync of what is not open: it is not even asked for.
        ("syncs", ""),
        ("interfaces", "lo\n"),
        ("home", "/home:\n\n/root:\n.bashrc\n.profile\n/\n0022\n"),
        ("ids", "uid=0(root) gid=0(root) groups=0(root)\n"),
        ("name", "localhost\n"),
        ("shared", ""),
    ] {
        assert_eq!(seen(name), text, "{name}");
    }
    for line in lines("processes").iter().filter(|line| !line.is_empty()) {
        let ours = [
            "diskwright sandbox-entrance ",
            "/bin/bash /image/config.sh ",
            "sh -c for one in",
            "/usr/bin/bwrap --die",
        ];
        assert!(ours.iter().any(|one| line.starts_with(one)), "{line}");
    }
    let files = seen("files");
    let files: Vec<(&str, &str)> = files.lines().filter_map(|line| line.split_once(' ')).collect();
    let numbers: Vec<&str> = files.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, ["0", "1", "2", "255"], "{files:?}");
    assert!(files[0].1.starts_with("/memfd:input"), "{files:?}");
    assert!(files[1].1.starts_with("pipe:") && files[2].1 == files[1].1, "{files:?}");
    assert_eq!(files[3].1, "/image/config.sh");
    // Hierarchies of control groups, from the top of what it may see.
    assert!(lines("groups").iter().all(|line| line.ends_with(":/")), "{}", seen("groups"));
    let host =
        |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
    let spaces = lines("spaces");
    assert_eq!(spaces.len(), SPACES.len(), "{spaces:?}");
    let shared: Vec<_> =
        own_spaces.iter().map(|name| host(name)).filter(|own| spaces.contains(own)).collect();
    assert_eq!(shared, none);
    case.clear();
}

/// Where something is mounted in a sandbox, at most.
const PLACES: &[&str] = &[
    "/",
    "/dev",
    "/dev/full",
    "/dev/null",
    "/dev/pts",
    "/dev/random",
    "/dev/shm",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
];
const DEVICES: &[&str] = &[
    "/dev/core", // a link of bwrap's
    "/dev/fd",
    "/dev/full",
    "/dev/null",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/pts/ptmx",
    "/dev/random",
    "/dev/shm",
    "/dev/stderr",
    "/dev/stdin",
    "/dev/stdout",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];
const SPACES: &[&str] = &["user", "mnt", "pid", "uts", "ipc", "net", "cgroup"];
