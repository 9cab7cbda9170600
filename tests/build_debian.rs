//! `diskwright prepare` and `build` with Debian's own packages, from end to end: what is in the tree, what is used again, and
//! how each fault ends. All tests share one repository, one cache and the one build that fills it.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

#[path = "build_debian/bare_host.rs"]
mod bare_host;
#[path = "build_debian/faults.rs"]
mod faults;
#[path = "build_debian/host.rs"]
mod host;
#[path = "build_debian/image.rs"]
mod image;
#[path = "build_debian/limits.rs"]
mod limits;
mod support;

use faults::{Row, try_all, who_is_interrupted_or_killed_in_a_bare_chroot};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use support::http::Server;
use support::repository::{Deb, Fault, Gnupg, can_make, stock, suite};
use support::*;

/// What all tests work with.
struct House {
    at: PathBuf,
    server: Server,
    /// Record of the tree that was made first, with nothing in the cache.
    record: String,
    gnupg: Gnupg,
    /// Its directory is removed when nobody holds the other end of its input.
    _broom: Child,
}

/// The house; `None`, and a line that says why, where there can be none.
fn house(test: &str) -> Option<&'static House> {
    static HOUSE: OnceLock<Option<House>> = OnceLock::new();
    if !can_make(test) || oracle(test, "newuidmap").is_none() {
        return None;
    }
    let packages = debian(test)?;
    HOUSE.get_or_init(|| Some(House::build(&packages))).as_ref()
}

/// Debian's packages that are essential, apt, and what they depend on, if they were fetched.
fn debian(test: &str) -> Option<PathBuf> {
    let mut fixture = Command::new(source("tests/fixtures/debian-packages"));
    let run = run(fixture.args(["--existing", "bookworm", "usr-is-merged"]));
    if run.code != Some(0) {
        skip(test, "no packages of Debian (tests/fixtures/debian-packages bookworm usr-is-merged)");
        return None;
    }
    Some(PathBuf::from(run.stdout.trim()))
}

/// Gives a program a file capability as setcap does (linux/capability.h: `VFS_CAP_REVISION_2`, effective, `CAP_NET_RAW`).
const SETCAP: &str = r#"perl -e 'my $cap = pack("V5", 0x02000001, 1 << 13, 0, 0, 0);
my ($path, $name) = ("/usr/bin/greet", "security.capability");
syscall(188, $path, $name, $cap, length($cap), 0) == 0 or die "setxattr: $!";'"#;

/// Little packages beside Debian's own.
fn own_packages() -> Vec<Deb> {
    let postinst = format!(
        "#!/bin/sh\nset -e\n{SETCAP}\nln -f /usr/share/greeting/version /usr/share/greeting/again\n\
         if /usr/sbin/policy-rc.d; then exit 9; fi\nmkdir -p /var/lib/greeting\nchown 33:42 /var/lib/greeting\n"
    );
    vec![
        Deb::new("greeting", "1.0", "")
            .file("usr/bin/greet", "not run\n")
            .file("usr/share/zoneinfo/Test/Zone", "TZif2\n")
            .script("postinst", &postinst),
        Deb::new("keys", "1.0", "")
            .script("postinst", "#!/bin/sh\nmkdir -p /etc/ssh\necho secret >/etc/ssh/ssh_host_rsa_key\n"),
        Deb::new("broken", "1.0", "").script("postinst", "#!/bin/sh\necho the last words\nexit 3\n"),
    ]
    .into_iter()
    .chain(application())
    .collect()
}

/// Packages that are unpacked by us and such that are dpkg's; each notes when it was configured.
fn application() -> Vec<Deb> {
    let noted = |deb: Deb, more: &str| {
        let name = deb.name.clone();
        let text =
            format!("#!/bin/sh\nset -e\n[ \"$1\" != configure ] || echo {name} >>/var/lib/order\n{more}");
        deb.script("postinst", &text)
    };
    let plain = |name: &str, control: &str| noted(Deb::new(name, "1.0", control), "");
    let heard = "if [ \"$1\" = triggered ]; then echo \"$2\" | tr ' ' '\\n' | sort >>/var/lib/heard; fi\n";
    let diverted = "#!/bin/sh\nset -e\ndpkg-divert --package diverter --rename --add --divert /usr/share/given.old \
                    /usr/share/given >/dev/null\n";
    vec![
        plain(
            "application",
            "Depends: late, taker, diverter, listener, one, two, three, four, five, configured",
        ),
        plain("late", "Pre-Depends: early, listener\nDepends: two"),
        plain("early", ""),
        plain("five", ""),
        plain("one", "Depends: three").file("usr/share/hooks/one", "1\n"),
        plain("two", "").file("usr/share/hooks/two", "2\n").file("usr/share/doc/two/copyright", "free\n"),
        plain("three", "Depends: four"),
        plain("four", "Depends: giver").file("usr/share/taken", "of four\n"),
        plain("giver", "").file("usr/share/given", "of giver\n"),
        plain("taker", "Replaces: four\nDepends: four").file("usr/share/taken", "of taker\n"),
        plain("diverter", "Depends: giver")
            .file("usr/share/given", "of diverter\n")
            .script("preinst", diverted),
        noted(Deb::new("listener", "1.0", ""), heard)
            .script("triggers", "interest-noawait /usr/share/hooks\n"),
        plain("configured", "")
            .file("etc/configured/main", "a = 1\n")
            .script("conffiles", "/etc/configured/main\n"),
    ]
}

impl House {
    fn build(packages: &Path) -> House {
        let at = tempfile::Builder::new().prefix("dwbuild").tempdir_in("/tmp").unwrap().keep();
        let mut broom = Command::new("sh");
        broom.args(["-c", "read _; rm -rf \"$0\""]).arg(&at).current_dir("/");
        let broom = broom.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        open_to_all(&at);
        program_at(&at.join("diskwright"));
        let gnupg = Gnupg::new();
        let repository = at.join("repository");
        stock(&repository, "main", packages);
        suite(&repository, "bookworm", "main", &own_packages(), &gnupg, Fault::None);
        write(at.join("key.asc"), gnupg.export_armored(&["Tester"]));
        let server = Server::directory(&repository);
        let house = House { at, server, record: String::new(), gnupg, _broom: broom };
        let case = house.case("first");
        case.describe(&Description::whole(&house));
        let prepared = case.prepare(&[]).ends(0);
        assert_eq!(reused(&prepared), Vec::<String>::new(), "nothing was there yet");
        let record = case.record();
        House { record, ..house }
    }

    fn case(&self, name: &str) -> Case<'_> {
        let at = self.at.join("cases").join(name);
        for directory in [&at, &at.join("home"), &at.join("out")] {
            open_to_all(directory);
        }
        Case {
            _out: Out(at.join("out")),
            house: self,
            name: name.to_owned(),
            at,
            cache: self.at.join("cache"),
        }
    }

    /// The element of the repository at this location, with the right key.
    fn repository(&self, location: &str) -> String {
        let key = self.at.join("key.asc");
        format!(
            "<repository type=\"apt-deb\" distribution=\"bookworm\" components=\"main\"><source path=\"{location}\">\
             <signing key=\"file://{}\"/></source></repository>",
            key.display()
        )
    }
}

/// A description.
#[derive(Clone)]
struct Description {
    repository: String,
    /// Elements of the image's packages.
    packages: String,
    bootstrap: String,
    /// Other elements.
    more: String,
    /// Beside it: name, bytes, mode.
    files: Vec<(String, Vec<u8>, u32)>,
}

impl Description {
    /// One with a package, from the server.
    fn plain(house: &House) -> Description {
        Description {
            repository: house.repository(&house.server.url("/")),
            packages: "<package name=\"greeting\"/>".to_owned(),
            bootstrap: String::new(),
            more: String::new(),
            files: Vec::new(),
        }
    }

    /// One with everything.
    fn whole(house: &House) -> Description {
        let members = [
            Member::directory("srv/data").owner(33, 33),
            Member::file("srv/data/archived", "from an archive\n").owner(33, 33).mode(0o640),
        ];
        let users = "<users><user name=\"root\" password=\"linux\" pwdformat=\"plain\" home=\"/root\"/>\
             <user name=\"alice\" id=\"1234\" groups=\"staff\" password=\"geheim\" pwdformat=\"plain\" home=\"/home/alice\" \
             shell=\"/bin/bash\"/></users>";
        let plain = Description::plain(house);
        Description {
            packages: format!("{}<archive name=\"data.tar\"/>", plain.packages),
            more: users.to_owned(),
            ..plain
        }
        .beside("data.tar", tar(&members), 0o644)
        .beside("root/etc/motd", "welcome\n", 0o664)
        .beside("root/usr/local/bin/hello", "#!/bin/sh\necho hello\n", 0o755)
        .beside("config.sh", CONFIG, 0o755)
        .beside("images.sh", "echo images > /etc/made-by-images\n", 0o755)
    }

    fn beside(mut self, name: &str, bytes: impl AsRef<[u8]>, mode: u32) -> Description {
        self.files.retain(|file| file.0 != name);
        self.files.push((name.to_owned(), bytes.as_ref().to_vec(), mode));
        self
    }

    fn config(self, script: &str) -> Description {
        self.beside("config.sh", format!("#!/bin/bash\n{script}\n"), 0o755)
    }
}

/// What sees no network says so; a bare chroot has no `/proc`, and the host's network.
const CONFIG: &str = "#!/bin/bash
set -e
[ \"$(id -u)\" = 0 ]
if [ -e /proc/net/route ]; then
    [ \"$(wc -l </proc/net/route)\" -le 1 ]
    ! grep -q eth /proc/net/dev
    # nobody waits for a disk: a device that cannot be synced is
    sync /dev/null
fi
echo \"made by config of $kiwi_iname, $(cat /etc/motd)\" >/etc/made-by-config
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
touch /tmp/left
mkdir -p /run/left /dev/left
echo nobody >/var/lib/greeting/state
chown nobody /var/lib/greeting/state
";

/// Where a case's trees are. They are large: they go with it, but for those of the first one, which are everybody's.
struct Out(PathBuf);

impl Drop for Out {
    fn drop(&mut self) {
        if !self.0.ends_with("first/out") {
            let mut remove = Command::new(source("tests/fixtures/as-user"));
            let _ = remove.args(["rm", "-rf"]).arg(&self.0).current_dir("/").output();
        }
    }
}

/// A directory of a test's own, in the house.
struct Case<'a> {
    _out: Out,
    house: &'a House,
    name: String,
    at: PathBuf,
    cache: PathBuf,
}

impl Case<'_> {
    fn describe(&self, description: &Description) {
        let Description { repository, packages, bootstrap, more, files } = description;
        let name = &self.name;
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<image schemaversion=\"8.0\" name=\"{name}\">\n\
             <description type=\"system\"><author>A</author><contact>a@example.com</contact>\
             <specification>A tree for tests</specification></description>\n\
             <preferences><version>1.0.0</version><packagemanager>apt</packagemanager><timezone>Test/Zone</timezone>\
             <type image=\"ext4\"/></preferences>\n{more}\n{repository}\n\
             <packages type=\"image\">{packages}</packages>\n<packages type=\"bootstrap\">{bootstrap}</packages>\n</image>\n"
        );
        let at = self.at.join("d");
        let _ = std::fs::remove_dir_all(&at);
        write(at.join("config.xml"), text);
        for (name, bytes, mode) in files {
            write(at.join(name), bytes);
            let mode = std::fs::Permissions::from_mode(*mode);
            std::fs::set_permissions(at.join(name), mode).unwrap();
        }
    }

    /// The program, by an ordinary user.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(source("tests/fixtures/as-user"));
        command.arg(self.house.at.join("diskwright")).args(words);
        self.settle(command)
    }

    fn settle(&self, mut command: Command) -> Command {
        let home = self.at.join("home");
        command.arg("--cache-dir").arg(&self.cache).current_dir(&self.at);
        command.env("HOME", &home).env("AS_USER_HOME", &home).env_remove("SOURCE_DATE_EPOCH");
        command
    }

    /// `prepare` to `out/tree`, with further words.
    fn prepare(&self, words: &[&str]) -> Run {
        self.prepare_to("tree", words)
    }

    fn prepare_to(&self, name: &str, words: &[&str]) -> Run {
        bounded(
            self.command(&[&["prepare", "d", "--json", "--root", &format!("out/{name}")], words].concat()),
        )
    }

    /// The record of `out/tree`.
    fn record(&self) -> String {
        std::fs::read_to_string(self.at.join("out/tree.tree")).unwrap()
    }

    /// Removes the tree.
    fn clear(&self) {
        for name in ["tree", "tree.tree"] {
            let _ = std::fs::remove_dir_all(self.at.join("out").join(name));
            let _ = std::fs::remove_file(self.at.join("out").join(name));
        }
    }

    /// A file of the tree as text.
    fn text(&self, path: &str) -> String {
        let path = self.at.join("out/tree").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Processes that are still there: those that know this case's home, or have a word of it on their command line.
    fn strays(&self, word: &str) -> Vec<String> {
        let home = self.at.join("home").display().to_string();
        let is_ours = |pid: &String| {
            let read = |name: &str| {
                let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let line = read("cmdline");
            let found = read("environ").contains(&home) || !word.is_empty() && line.contains(word);
            found.then_some(format!("{pid} {line}"))
        };
        let pids = || listing(Path::new("/proc")).into_iter().filter(|name| name.parse::<u32>().is_ok());
        let found = || pids().filter_map(|pid| is_ours(&pid)).collect::<Vec<_>>();
        // What was killed may take a moment to be gone.
        let until = Instant::now() + Duration::from_secs(5);
        while !found().is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        found()
    }

    /// The same, for a cache of the case's own, too; then all that it has made is taken away, which is a lot for some.
    fn clear_away(&self, word: &str) {
        self.assert_clean(word);
        std::fs::remove_dir_all(&self.at).unwrap();
    }

    /// What holds after every end: no process, and the user can delete what is left in the cache.
    fn assert_clean(&self, word: &str) {
        assert_eq!(self.strays(word), Vec::<String>::new(), "{}: processes are left", self.name);
        let work = self.cache.join("work").join(&self.name);
        let mut remove = Command::new(source("tests/fixtures/as-user"));
        run(remove.args(["rm", "-rf"]).arg(&work).current_dir("/")).ends(0);
        assert!(!work.exists());
    }
}

/// The phases that a build says it took from earlier ones.
fn reused(run: &Run) -> Vec<String> {
    let result: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let names = result["reused"].as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The line of a path in a record.
fn line<'a>(record: &'a str, path: &str) -> &'a str {
    let found = record.lines().find(|line| line.split(' ').next() == Some(path));
    found.unwrap_or_else(|| panic!("{path} is not in the tree"))
}

/// Kind, mode, owner and group of a path in a record.
fn owned(record: &str, path: &str) -> String {
    line(record, path).split(' ').skip(1).take(4).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_tree_is_what_packages_overlay_users_and_scripts_say() {
    let Some(house) = house("the tree of Debian's packages") else { return };
    let case = house.case("first");
    let record = &house.record;
    let rows = [
        ("/usr/bin/passwd", "file 4755 0 0"),
        ("/usr/bin/chage", "file 2755 0 42"),
        ("/etc/shadow", "file 0640 0 42"),
        ("/etc/passwd", "file 0644 0 0"),
        ("/tmp", "directory 1777 0 0"),
        ("/var/mail", "directory 2775 0 8"),
        ("/var/lib/greeting", "directory 0755 33 42"),
        ("/var/lib/greeting/state", "file 0644 65534 0"),
        ("/etc/motd", "file 0664 0 0"),
        ("/usr/local/bin/hello", "file 0755 0 0"),
        ("/srv/data", "directory 0755 33 33"),
        ("/srv/data/archived", "file 0640 33 33"),
        ("/home/alice", "directory 0755 1234 50"),
        ("/dev/null", "character 0666 0 0"),
        ("/dev/console", "character 0600 0 0"),
    ];
    let wrong = rows.iter().filter(|(path, said)| owned(record, path) != *said);
    let wrong: Vec<_> = wrong.map(|(path, said)| format!("{} and not {said}", line(record, path))).collect();
    assert_eq!(wrong, Vec::<String>::new());
    assert!(
        line(record, "/usr/bin/greet").contains("security.capability"),
        "{}",
        line(record, "/usr/bin/greet")
    );
    for (one, other) in
        [("usr/bin/perl", "usr/bin/perl5.36.0"), ("usr/share/greeting/version", "usr/share/greeting/again")]
    {
        use std::os::unix::fs::MetadataExt;
        let inode = |name: &str| std::fs::metadata(case.at.join("out/tree").join(name)).unwrap().ino();
        assert_eq!(inode(one), inode(other), "{one} and {other} are one file");
    }
    assert_eq!(case.text("etc/made-by-config"), "made by config of first, welcome\n");
    assert!(
        !case.at.join("out/tree/etc/made-by-images").exists(),
        "images.sh is of the image, not of the tree"
    );
    let (passwd, shadow) = (case.text("etc/passwd"), case.text("etc/shadow"));
    assert!(passwd.contains("\nalice:x:1234:50::/home/alice:/bin/bash\n"), "{passwd}");
    for name in ["root", "alice"] {
        let line = shadow.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        assert!(line.contains(":$6$") || line.contains(":$y$"), "{line}");
    }
    assert!(line(record, "/etc/localtime").ends_with("/usr/share/zoneinfo/Test/Zone"));
}

#[test]
fn nothing_of_the_build_is_left_in_the_tree() {
    let Some(house) = house("nothing of the build in the tree") else { return };
    let case = house.case("first");
    let gone = [
        "/usr/sbin/policy-rc.d",
        "/run/diskwright",
        "/run/left",
        "/tmp/left",
        "/dev/left",
        "/etc/apt/sources.list.d/d.sources",
        "/etc/hostname",
    ];
    let there = gone.iter().filter(|path| house.record.contains(&format!("\n{path} ")));
    assert_eq!(there.collect::<Vec<_>>(), Vec::<&&str>::new());
    let lists = house.record.lines().filter(|line| line.starts_with("/var/lib/apt/lists/"));
    let lists: Vec<&str> = lists.filter(|line| line.split(' ').nth(1) == Some("file")).collect();
    assert_eq!(lists, Vec::<&str>::new());
    assert_eq!(case.text("etc/machine-id"), "");
    // The name of the test's own directory, and the host's: in no name, in no file.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for word in [house.at.file_name().unwrap().to_str().unwrap(), host.trim(), "dwtest"] {
        assert!(!house.record.contains(word), "{word} in the record");
        if word.len() < 5 {
            continue; // it would be found in other words
        }
        let mut grep = Command::new("grep");
        let found = run(grep.args(["-rlF", word, "."]).current_dir(case.at.join("out/tree"))).stdout;
        // The description is kept where KIWI keeps it.
        let found: Vec<&str> = found.lines().filter(|path| *path != "./image/config.xml").collect();
        assert_eq!(found, Vec::<&str>::new(), "{word} in files of the tree");
    }
}

#[test]
fn the_plan_says_what_the_log_keeps() {
    let Some(house) = house("the plan and the log") else { return };
    let case = house.case("first");
    let made = case.prepare_to("planned", &[]).ends(0);
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let mut plan = case.command(&["plan", "d", "--json"]);
    let plan = run(plan.env("SOURCE_DATE_EPOCH", made["epoch"].to_string())).ends(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let stages = plan["tree"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bootstrap", "packages", "setup", "finish", "initrds", "end"]);
    let log = std::fs::read_to_string(made["log"].as_str().unwrap()).unwrap();
    let mut done = log.lines().filter_map(|line| line.strip_prefix("+ "));
    let mut other = Vec::new();
    // `prepare` ends in front of what is done for an image.
    for stage in stages.iter().filter(|stage| stage["name"] != "finish") {
        for operation in stage["operations"].as_array().unwrap() {
            let words = operation["command"].as_str().or(operation["operation"].as_str()).unwrap();
            let is_it = |line: &str| line.trim_end_matches(" (if the tree has it)").ends_with(words);
            match done.clone().any(is_it) {
                true => drop(done.find(|line| is_it(line))),
                false => other.push(words.to_owned()),
            }
        }
    }
    // What depends on repositories and on the tree is told in words.
    let words = [
        &format!("read {} dists/bookworm", house.server.url("")),
        "fetch the essential packages, apt, and what they depend on",
        "unpack the essential packages, apt, and what they depend on",
        "run the preinst scripts of what was unpacked",
        "configure the essential packages",
        "fetch what apt has chosen",
        "unpack what apt has chosen, where that needs no dpkg",
        "unpack the rest and configure all by dpkg, as apt wants it",
        "make an initrd for each kernel by the tree's update-initramfs or dracut, and look into it",
    ];
    assert_eq!(other, words, "{log}");
    let text = run(&mut case.command(&["plan", "d"])).ends(0).stdout;
    assert!(text.contains("\n  install packages\n      apt-get --quiet --quiet -o Dir::Bin::dpkg=/var/lib/dpkg/diskwright-calls install greeting\n"), "{text}");
    // A disk is planned, whatever there is to be said of the tree.
    let case = house.case("planned");
    let elsewhere = house.repository("obsrepositories:/");
    case.describe(&Description { repository: elsewhere, ..Description::plain(house) });
    let plan = run(&mut case.command(&["plan", "d"])).ends(0);
    assert!(plan.stdout.contains("output: planned.x86_64-1.0.0.ext4"), "{}", plan.stdout);
    let said = ["planned, and build will refuse it", "obsrepositories:", "--set-repo"];
    assert!(said.iter().all(|word| plan.stderr.contains(word)), "{}", plan.stderr);
}

/// What is unpacked by us and what by dpkg is what apt makes by itself, configured in the same order.
#[test]
fn packages_are_as_apt_installs_them() {
    let Some(house) = house("packages as apt installs them") else { return };
    let case = house.case("application");
    let plain = Description::plain(house).beside("root/usr/share/zoneinfo/Test/Zone", "TZif2\n", 0o644);
    let ours = Description { packages: "<package name=\"application\"/>".to_owned(), ..plain.clone() };
    case.describe(&ours.config("true"));
    case.prepare_to("ours", &[]).ends(0);
    // The same packages in the tree, for its own apt alone.
    let install = "cd /tmp/debs
printf 'deb [trusted=yes] file:/tmp/debs ./\n' >sources
options='-q -y -o Dir::Etc::SourceList=/tmp/debs/sources -o Dir::Etc::SourceParts=/dev/null -o APT::Sandbox::User=root'
export DEBIAN_FRONTEND=noninteractive
apt-get $options update
apt-get $options --no-install-recommends install application";
    let pool = house.at.join("repository/pool/main");
    let names: Vec<String> = application().into_iter().map(|deb| deb.name).collect();
    let is_ours = |file: &String| names.iter().any(|name| file.starts_with(&format!("{name}_")));
    let files: Vec<String> = listing(&pool).into_iter().filter(is_ours).collect();
    assert_eq!(files.len(), names.len(), "{files:?}");
    let debs = tempfile::tempdir().unwrap();
    for file in &files {
        std::fs::copy(pool.join(file), debs.path().join(file)).unwrap();
    }
    let index = run(Command::new("dpkg-scanpackages").current_dir(debs.path()).arg(".")).ends(0).stdout;
    let mut theirs = plain.config(install).beside("root/tmp/debs/Packages", index, 0o644);
    for file in &files {
        let bytes = std::fs::read(debs.path().join(file)).unwrap();
        theirs = theirs.beside(&format!("root/tmp/debs/{file}"), bytes, 0o644);
    }
    theirs.packages = String::new();
    case.describe(&theirs);
    case.prepare_to("theirs", &[]).ends(0);
    let [ours, theirs] = ["ours", "theirs"].map(|name| case.at.join("out").join(name));
    let read = |tree: &Path, path: &str| std::fs::read_to_string(tree.join(path)).unwrap();
    let order = read(&ours, "var/lib/order");
    assert_eq!(order.lines().count(), names.len(), "{order}");
    for (path, text) in [
        ("usr/share/given", "of diverter\n"),
        ("usr/share/given.old", "of giver\n"),
        ("usr/share/taken", "of taker\n"),
        ("etc/configured/main", "a = 1\n"),
        ("var/lib/heard", "/usr/share/hooks\n"),
    ] {
        assert_eq!(read(&ours, path), text, "{path}");
    }
    // The descriptions differ, and where apt found its lists.
    let differ = ["-r", "--no-dereference", "--exclude=image", "--exclude=_tmp_debs_._Packages"];
    let differ = run(Command::new("diff").args(differ).args([&ours, &theirs]));
    assert_eq!((differ.stdout.as_str(), differ.code), ("", Some(0)));
    let records = ["ours", "theirs"].map(|name| read(&case.at.join("out"), &format!("{name}.tree")));
    let known = ["/image/", "/var/lib/apt/lists/_", "end "];
    let missing = |one: &str, other: &str| -> Vec<String> {
        let there: BTreeSet<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !known.iter().any(|known| line.starts_with(known)));
        lines.filter(|line| !there.contains(line)).map(str::to_owned).collect()
    };
    assert_eq!(missing(&records[0], &records[1]), Vec::<String>::new());
    assert_eq!(missing(&records[1], &records[0]), Vec::<String>::new());
    let log = std::fs::read_dir(case.cache.join("trees")).unwrap().flatten();
    let logs: Vec<String> =
        log.filter_map(|entry| std::fs::read_to_string(entry.path().join("log")).ok()).collect();
    let calls = |word: &str| {
        let lines = logs.iter().flat_map(|log| log.lines()).filter(|line| line.contains(word));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let is_here = |line: &String| line.starts_with("+ unpack ") && line.contains("application_1.0_all.deb");
    let here: Vec<String> = calls(" unpack ").into_iter().filter(is_here).collect();
    assert_eq!(here.len(), 1, "{here:?}");
    assert!(!here[0].contains("early_1.0"), "it is in front of what depends on it: {here:?}");
    let dpkg: Vec<String> =
        calls(" dpkg ").into_iter().filter(|line| line.contains("diverter_1.0")).collect();
    assert!(dpkg.len() == 1 && !dpkg[0].contains("application_1.0"), "{dpkg:?}");
}

#[test]
fn what_did_not_change_is_not_made_again() {
    let Some(house) = house("what did not change") else { return };
    let case = house.case("first");
    let partial = case.at.join("out/partial");
    open_to_all(&partial);
    std::thread::scope(|scope| {
        for name in ["unchanged", "beside"] {
            let case = &case;
            scope.spawn(move || {
                let unchanged = case.prepare_to(name, &[]).ends(0);
                assert_eq!(reused(&unchanged), ["tree"]);
                let record = std::fs::read_to_string(case.at.join(format!("out/{name}.tree"))).unwrap();
                assert!(record == house.record, "the same record");
            });
        }
    });
    assert!(partial.is_dir(), "what somebody else has there stays");

    // Another name, another overlay, another script: the packages are the same.
    let case = house.case("changed");
    let changed = Description::whole(house).beside("root/etc/motd", "changed\n", 0o644);
    case.describe(&changed);
    let run = case.prepare(&[]).ends(0);
    assert_eq!(reused(&run), ["packages"]);
    assert_eq!(case.text("etc/made-by-config"), "made by config of changed, changed\n");
    case.clear();
    case.describe(&changed.config("echo another script >/etc/made-by-config"));
    let run = case.prepare(&[]).ends(0);
    assert_eq!(reused(&run), ["packages"]);
    assert_eq!(case.text("etc/made-by-config"), "another script\n");
    // Another description in the same directory.
    let other = std::fs::read_to_string(case.at.join("d/config.xml")).unwrap().replace("alice", "bob");
    write(case.at.join("d/other.xml"), other);
    for (file, user) in [("config.xml", "alice"), ("other.xml", "bob")] {
        case.clear();
        let run = case.prepare(&["--kiwi-file", file]).ends(0);
        assert_eq!(reused(&run), ["packages"], "{file}");
        assert!(case.text("etc/passwd").contains(&format!("\n{user}:x:1234:")), "{file}");
    }
    case.assert_clean("");
}

/// In KIWI's words, since its configuration is read by them alone.
#[test]
fn repositories_of_a_build_service_are_on_its_download_server() {
    let Some(house) = house("repositories of a build service") else { return };
    let case = house.case("service");
    let project = house.at.join("repository/Some:/Project");
    std::fs::create_dir_all(&project).unwrap();
    std::os::unix::fs::symlink(house.at.join("repository"), project.join("Debian_12")).unwrap();
    let repository = house.repository("obs://Some:Project/Debian_12");
    let kept = repository.replacen("<repository ", "<repository alias=\"obs\" imageinclude=\"true\" ", 1);
    case.describe(&Description { repository: kept, ..Description::plain(house) });
    let url = house.server.url("");
    write(case.at.join("c.yml"), format!("obs:\n  - download_url: {url}\n"));
    let words = ["--config", "c.yml", "system", "prepare", "--description", "d", "--root", "out/tree"];
    let run = bounded(case.command(&words)).ends(0);
    assert!(run.stderr.contains("obs.download_url: ") && run.stderr.contains("where obs:"), "{}", run.stderr);
    let list = case.text("etc/apt/sources.list.d/obs.sources");
    assert!(list.contains(&format!("URIs: {url}/Some:/Project/Debian_12\n")), "{list}");
    case.assert_clean("");
}

/// The script is named on the file that apt reads, and on that of the priority.
#[test]
fn what_a_script_makes_of_a_repositorys_file_is_in_the_image() {
    let Some(house) = house("scripts of repositories") else { return };
    let case = house.case("customize");
    let url = house.server.url("/");
    let used = house.repository(&url);
    let with = |attributes: &str| used.replacen("<repository ", &format!("<repository {attributes} "), 1);
    let later = "<repository type=\"apt-deb\" alias=\"later\" distribution=\"next\" imageonly=\"true\" customize=\"sub/move.sh\">\
        <source path=\"https://later.example.org/debian\"/></repository>";
    let plain = Description::plain(house);
    let script = "[ \"$kiwi_iname\" = customize ]\necho \"# $(id -u) $#\" >>\"$1\"\n";
    let moving = "sed -i s/later/moved/ \"$1\"\n";
    let kept = with("alias=\"kept\" imageinclude=\"true\" customize=\"edit.sh\" priority=\"700\"");
    let unkept = with("alias=\"unkept\" customize=\"edit.sh\"");
    let described = Description { repository: format!("{kept}{unkept}{later}"), ..plain.clone() }
        .beside("edit.sh", script, 0o644)
        .beside("sub/move.sh", moving, 0o644);
    case.describe(&described);
    case.prepare(&[]).ends(0);
    let sources = case.at.join("out/tree/etc/apt/sources.list.d");
    assert_eq!(listing(&sources), ["kept.sources", "later.sources"]);
    assert_eq!(
        case.text("etc/apt/sources.list.d/kept.sources"),
        format!(
            "Types: deb\nURIs: {}\nSuites: bookworm\nComponents: main\n\
             Signed-By: /usr/share/keyrings/kept-archive-keyring.gpg\n# 0 1\n",
            url.trim_end_matches('/')
        )
    );
    assert!(case.text("etc/apt/preferences.d/kept.pref").ends_with("Pin-Priority: 700\n# 0 1\n"));
    // The image believes it by the key that the build believed.
    assert_eq!(owned(&case.record(), "/usr/share/keyrings/kept-archive-keyring.gpg"), "file 0644 0 0");
    let ring = std::fs::read(case.at.join("out/tree/usr/share/keyrings/kept-archive-keyring.gpg")).unwrap();
    let release = std::fs::read(house.at.join("repository/dists/bookworm/InRelease")).unwrap();
    let said = house.gnupg.gpgv(&ring, &release, None);
    assert!(said.iter().any(|word| word == "GOODSIG"), "{said:?}");
    let text = case.text("etc/apt/sources.list.d/later.sources");
    assert!(text.contains("URIs: https://moved.example.org/debian\n"), "{text}");
    assert!(!case.at.join("out/tree/image/customize").exists());
    case.assert_clean("");
    let row = |name, script: &str, said| {
        let repository = with("customize=\"edit.sh\"");
        let described = Description { repository, ..plain.clone() };
        let description =
            if script.is_empty() { described } else { described.beside("edit.sh", script, 0o755) };
        Row { name, description, words: &[], code: 1, said }
    };
    let failing =
        Row { code: 4, ..row("customize-fails", "echo so >&2; exit 7\n", &["so", "exit status 7"]) };
    let rows = [
        row(
            "customize-moves",
            "sed -i s/bookworm/trixie/ $1\n",
            &["suites were bookworm, and are trixie", "distribution="],
        ),
        row("customize-lacks", "", &["config.xml:", "the script is missing", "edit.sh"]),
        failing,
    ];
    try_all(house, &rows);
}

/// A package with the tree that was made first, a device node in it.
fn prebuilt(house: &House, root: &Path) {
    let (case, at) = (house.case("first"), house.at.join("prebuilt"));
    open_to_all(&at);
    let tar = at.join("tree.tar");
    bounded(case.command(&["prepare", "d", "--tar", tar.to_str().unwrap()])).ends(0);
    let node = Member::new("dev/disk", What::Device(b'b', 8, 0));
    write(at.join("more.tar"), support::tar(&[Member::directory("dev"), node]));
    let deb = at.join("deb/var/lib/bootstrap/debroot.x86_64.tar.xz");
    std::fs::create_dir_all(deb.parent().unwrap()).unwrap();
    run(Command::new("tar").args(["-A", "-f"]).args([&tar, &at.join("more.tar")])).ends(0);
    run(Command::new("xz").args(["-0", "-T0"]).arg(&tar)).ends(0);
    std::fs::rename(at.join("tree.tar.xz"), deb).unwrap();
    let control = "Package: debroot\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.com>\nDescription: a tree\n";
    write(at.join("deb/DEBIAN/control"), control);
    let pool = root.join("pool/main");
    std::fs::create_dir_all(&pool).unwrap();
    let mut build = Command::new("dpkg-deb");
    build
        .args(["-Znone", "--root-owner-group", "--build"])
        .args([&at.join("deb"), &pool.join("debroot_1_all.deb")]);
    run(&mut build).ends(0);
}

#[test]
fn a_tree_begins_with_that_in_a_package() {
    let Some(house) = house("a tree to begin with") else { return };
    let root = house.at.join("with-a-tree");
    prebuilt(house, &root);
    let more = Deb::new("more", "2.0", "");
    suite(&root, "bookworm", "main", &[more, Deb::new("empty", "1.0", "")], &house.gnupg, Fault::None);
    let described = |package: &str| {
        let repository = house.repository(&root.display().to_string());
        // The helper knows the attributes of the image's packages alone.
        let named = format!("<packages type=\"bootstrap\" bootstrap_package=\"{package}\"/>");
        let plain = Description::plain(house);
        Description {
            repository,
            packages: String::new(),
            bootstrap: "<package name=\"more\"/>".to_owned(),
            more: named,
            ..plain
        }
    };
    let case = house.case("prebuilt");
    case.describe(&described("debroot"));
    let prepared = case.prepare(&[]).ends(0);
    assert_eq!(reused(&prepared), Vec::<String>::new());
    assert_eq!(case.text("usr/share/more/version"), "2.0\n");
    assert_eq!(case.text("usr/share/greeting/version"), "1.0\n", "of the tree that it began with");
    let status = case.text("var/lib/dpkg/status");
    assert!(status.contains("Package: more\nStatus: install ok installed\n"), "{status}");
    let record = case.record();
    for path in ["/usr/bin/passwd", "/var/lib/greeting"] {
        assert_eq!(owned(&record, path), owned(&house.record, path));
    }
    assert!(!record.contains("/dev/disk") && !record.contains("debroot"), "neither the node nor the package");
    case.clear();
    // What is kept of it is taken again, by content.
    case.describe(&described("debroot").config("true"));
    assert_eq!(reused(&case.prepare(&[]).ends(0)), ["packages"]);
    let row = |name, package, said| Row { name, description: described(package), words: &[], code: 1, said };
    let rows = [
        row("prebuilt-none", "nobody", &["no such package in the repositories", "nobody"]),
        row("prebuilt-empty", "empty", &["no tree to begin with", "/var/lib/bootstrap/empty.x86_64.tar.xz"]),
    ];
    try_all(house, &rows);
}

#[test]
fn a_tar_of_the_tree_is_the_tree() {
    let Some(house) = house("a tar of the tree") else { return };
    let case = house.case("first");
    let tar = |words: &[&str]| bounded(case.command(&[&["prepare", "d", "--tar"], words].concat()));
    let made: serde_json::Value =
        serde_json::from_str(&tar(&["out/first.tar", "--json"]).ends(0).stdout).unwrap();
    let read =
        run(&mut case.command(&["tree", "out/first.tar", "--epoch", &made["epoch"].to_string()])).ends(0);
    assert_eq!(differences(&read.stdout, &house.record), Vec::<String>::new());
    let again = tar(&["out/first.tar"]).ends(1);
    assert!(
        again.stderr.contains("is there already") && again.stderr.contains("--force"),
        "{}",
        again.stderr
    );
    let before = std::fs::read(case.at.join("out/first.tar")).unwrap();
    tar(&["out/first.tar", "--force"]).ends(0);
    assert!(std::fs::read(case.at.join("out/first.tar")).unwrap() == before, "not the same bytes");
    let compressed = tar(&["out/first.tar.gz"]).ends(2);
    assert!(compressed.stderr.contains("name it without .gz"), "{}", compressed.stderr);
    // What a machine makes of it, which knows nothing of us.
    let listed = run(Command::new("tar").args(["-tvf"]).arg(case.at.join("out/first.tar"))).ends(0);
    let line = listed.stdout.lines().find(|line| line.ends_with(" usr/bin/passwd")).unwrap();
    assert!(line.starts_with("-rwsr-xr-x 0/0 "), "{line}");
    std::fs::remove_file(case.at.join("out/first.tar")).unwrap();
}

/// What a tree is made of that does not lie beside its description, and where it is in the tree.
const ELSEWHERE: [(&str, &str); 4] = [
    ("overlay/etc/from-overlay", "etc/from-overlay"),
    ("a file", "etc/from-file"),
    ("archive.tar", "etc/from-archive"),
    ("config.sh", "etc/from-config"),
];

/// Writes one of them, so that the tree will have this text.
fn elsewhere(at: &Path, name: &str, text: &str) {
    let bytes = match name.rsplit_once('.') {
        Some((_, "tar")) => tar(&[Member::file("etc/from-archive", text)]),
        Some((script, "sh")) => {
            let script = if script == "config" { "config" } else { "bootstrap" };
            format!("#!/bin/sh\nprintf %s {text} >/etc/from-{script}\n").into_bytes()
        }
        _ => text.as_bytes().to_vec(),
    };
    write(at.join(name), bytes);
}

#[test]
fn whatever_a_tree_is_made_of_counts_wherever_it_lies() {
    let Some(house) = house("what lies elsewhere") else { return };
    let case = house.case("elsewhere");
    let at = case.at.join("shared");
    let plain = Description::plain(house);
    let packages = format!(
        "{}<archive name=\"{}\"/><file name=\"{}\" target=\"/etc/from-file\"/>",
        plain.packages,
        at.join("archive.tar").display(),
        at.join("a file").display()
    );
    case.describe(&Description { packages, ..plain });
    let link = |name: &str, to: &str| {
        std::os::unix::fs::symlink(at.join(to), case.at.join("d").join(name)).unwrap();
    };
    link("root", "overlay");
    link("config.sh", "config.sh");
    ELSEWHERE.iter().for_each(|(name, _)| elsewhere(&at, name, "old"));
    case.prepare(&[]).ends(0);
    case.clear();
    assert_eq!(reused(&case.prepare(&[]).ends(0)), ["tree"], "nothing has changed");
    let mut new = Vec::new();
    for (name, path) in ELSEWHERE {
        case.clear();
        elsewhere(&at, name, "new");
        assert_eq!(reused(&case.prepare(&[]).ends(0)), ["packages"], "{name}");
        new.push(path);
        for (_, path) in ELSEWHERE {
            let text = if new.contains(&path) { "new" } else { "old" };
            assert_eq!(case.text(path), text, "{path} after {name}");
        }
    }
    // What the command line changes, too.
    case.clear();
    let run = case.prepare(&["--set-type-attr", "kernelcmdline=quiet"]).ends(0);
    assert_eq!(reused(&run), ["packages"]);
    assert!(case.text(".profile").contains("kiwi_cmdline='quiet'"), "{}", case.text(".profile"));
    // What runs in front of the packages makes other packages.
    link("post_bootstrap.sh", "post_bootstrap.sh");
    for text in ["old", "new"] {
        elsewhere(&at, "post_bootstrap.sh", text);
        case.clear();
        assert_eq!(reused(&case.prepare(&[]).ends(0)), ["bootstrap"]);
        assert_eq!(case.text("etc/from-bootstrap"), text);
    }
    case.assert_clean("");
}

#[test]
fn keys_of_packages_go_and_those_of_the_overlay_stay() {
    let Some(house) = house("keys in a tree without systemd") else { return };
    let case = house.case("keys");
    let plain = Description::plain(house);
    let description =
        Description { packages: format!("{}<package name=\"keys\"/>", plain.packages), ..plain };
    let description = description.beside("root/etc/ssh/ssh_host_ed25519_key", "mine", 0o644);
    case.describe(&description.beside("root/var/log/mine.log", "mine", 0o644).beside(
        "root/tmp/left",
        "",
        0o644,
    ));
    let run = case.prepare(&[]).ends(0);
    let note = "without systemd nothing makes new ones: /etc/ssh/ssh_host_rsa_key; ssh-keygen -A";
    assert!(run.stderr.contains(note), "{}", run.stderr);
    for (path, there) in [
        ("etc/ssh/ssh_host_rsa_key", false),
        ("etc/ssh/ssh_host_ed25519_key", true),
        ("var/log/mine.log", true),
        ("tmp/left", false),
    ] {
        assert_eq!(case.at.join("out/tree").join(path).exists(), there, "{path}");
    }
    case.assert_clean("");
}

#[test]
fn the_cache_alone_is_enough_and_nothing_else_is_asked() {
    let Some(house) = house("--offline") else { return };
    // A server of its own, which counts.
    let server = Server::directory(house.at.join("repository"));
    let case = house.case("offline");
    let description =
        Description { repository: house.repository(&server.url("/")), ..Description::plain(house) };
    case.describe(&description);
    let empty = Case { cache: case.at.join("cache"), ..house.case("offline") };
    let refused = empty.prepare(&["--offline"]);
    assert!(
        refused.stderr.contains("InRelease: not in the cache") && refused.stderr.contains("--offline"),
        "{}",
        refused.stderr
    );
    assert_eq!((refused.code, listing(&case.at.join("out"))), (Some(3), vec![]), "{}", refused.stderr);
    assert_eq!(server.seen().len(), 0, "no connection");
    // What was fetched, from this very server, is enough.
    bounded(empty.command(&["fetch", "d"])).ends(0);
    assert_eq!(listing(&case.at.join("out")), Vec::<String>::new());
    let before = server.seen().len();
    let made = empty.prepare(&["--offline"]).ends(0);
    assert_eq!(reused(&made), ["bootstrap"]);
    assert_eq!(server.seen().len(), before, "no connection");
    empty.assert_clean("");
}

/// Root without the right to mount, as in a container, in a bare chroot: the same tree.
/// Every file in a directory: name and bytes.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let names = listing(directory).into_iter();
    names.map(|name| (name.clone(), std::fs::read(directory.join(name)).unwrap())).collect()
}

#[test]
fn a_prepared_tree_becomes_the_same_image_by_anybody_without_a_sandbox() {
    const TEST: &str = "an image of a prepared tree";
    let Some(house) = house(TEST) else { return };
    let case = house.case("anybody");
    let mut description = Description::whole(house);
    description.files.retain(|(name, ..)| name != "images.sh");
    case.describe(&description);
    case.prepare(&[]).ends(0);
    bounded(case.command(&["build", "d", "-o", "out/built"])).ends(0);
    // The record knows the modes; whoever may read the files can make the image.
    let mut open = Command::new(source("tests/fixtures/as-user"));
    run(open.args(["chmod", "-R", "a+rX", "out/tree"]).current_dir(&case.at)).ends(0);
    open_to_all(&case.at.join("others"));
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut create = Command::new(oracle(TEST, "setpriv").unwrap());
    create.args(if root() { &nobody[..] } else { &[] }).arg(house.at.join("diskwright"));
    create.args(["create", "d", "--root", "out/tree", "-o", "others/created"]).current_dir(&case.at);
    // No program of the host can be found.
    create.env_clear().env("PATH", case.at.join("nowhere"));
    let created = bounded(create).ends(0);
    assert!(!created.stderr.contains("warning"), "{}", created.stderr);
    let (built, created) = (files(&case.at.join("out/built")), files(&case.at.join("others/created")));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|file| file.0.clone()).collect::<Vec<_>>();
    let expected = ["ext4", "packages", "verified"].map(|ending| format!("anybody.x86_64-1.0.0.{ending}"));
    assert_eq!(names(&built), expected);
    assert_eq!(names(&created), expected);
    assert!(built == created, "the same bytes");
    let packages = String::from_utf8(built[1].1.clone()).unwrap();
    assert!(packages.contains("\ngreeting|None|1.0|None|all|None|None\n"), "{packages}");
    let Some(_) = oracle(TEST, "dpkg") else { return };
    let tree = case.at.join("out/tree");
    let mut dpkg = Command::new("dpkg");
    dpkg.arg("--root").arg(tree).args(["-V", "--verify-format", "rpm"]).env("LC_ALL", "C");
    let said = run(&mut dpkg).stdout;
    let mut said: Vec<&str> = said.lines().collect();
    let verified = String::from_utf8(built[2].1.clone()).unwrap();
    let mut verified: Vec<&str> = verified.lines().collect();
    said.sort_unstable();
    verified.sort_unstable();
    assert_eq!(verified, said);
}

#[test]
fn real_root_without_namespaces_makes_the_same_tree() {
    let test = "real_root_without_namespaces_makes_the_same_tree";
    if !root() {
        return inapplicable(test, "only root can be root");
    }
    let (Some(house), Some(setpriv)) = (house(test), oracle(test, "setpriv")) else { return };
    let first = house.case("first");
    let case = Case { cache: house.at.join("cache-of-root"), ..house.case("first") };
    let mut command = Command::new(setpriv);
    command.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]);
    command.arg(house.at.join("diskwright")).args(["prepare", "d", "--json", "--root", "out/chroot"]);
    command.args(["--sandbox", "chroot"]);
    let run = bounded(case.settle(command)).ends(0);
    assert_eq!(reused(&run), Vec::<String>::new(), "from a cold cache");
    let record = std::fs::read_to_string(first.at.join("out/chroot.tree")).unwrap();
    assert_eq!(differences(&house.record, &record), Vec::<String>::new());
    who_is_interrupted_or_killed_in_a_bare_chroot(house, &case.cache);
    limits::what_forks_in_a_bare_chroot_is_ended(house, &case.cache);
    host::programs_of_real_root_see_nothing_of_the_host(house, &case.cache);
}

/// Makes everything read-only but the directories that are named, up to `--`, and runs the rest.
const READ_ONLY: &str = r#"set -e
while [ "$1" != -- ]; do mount --bind "$1" "$1"; kept="$kept|$1"; shift; done
shift
awk '{print $5}' /proc/self/mountinfo | sort -u | while read -r mount; do
  case "$kept|/proc|/sys|/dev|" in *"|$mount|"*) continue ;; esac
  case $mount in /proc/* | /sys/* | /dev/*) continue ;; esac
  mount -o remount,bind,ro "$mount"
done
if touch /tmp/written 2>/dev/null; then exit 9; fi
exec "$@""#;

#[test]
fn nothing_is_written_beside_cache_and_output() {
    let test = "nothing_is_written_beside_cache_and_output";
    if !root() {
        return inapplicable(test, "only root can make everything read-only");
    }
    let (Some(house), Some(unshare)) = (house(test), oracle(test, "unshare")) else { return };
    let mount = |words: &[&str]| {
        let mut command = Command::new(&unshare);
        command.args(["--mount", "--propagation", "private", "sh", "-c", READ_ONLY, "sh"]).args(words);
        command
    };
    if run(&mut mount(&["--", "true"])).code != Some(0) {
        return inapplicable(test, "no mount namespaces here");
    }
    let case = house.case("beside");
    case.describe(&Description::whole(house).config("echo other >/etc/made-by-config"));
    let (out, cache) = (case.at.join("out"), case.cache.clone());
    let mut command = mount(&[out.to_str().unwrap(), cache.to_str().unwrap(), "--"]);
    command.arg(source("tests/fixtures/as-user")).arg(house.at.join("diskwright"));
    command.args(["build", "d", "-o", "out/image", "--json"]);
    bounded(case.settle(command)).ends(0);
    assert!(case.at.join("out/image/beside.x86_64-1.0.0.ext4").exists());
}

/// The lines that only one of two records has.
fn differences(one: &str, other: &str) -> Vec<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (one, other) = (lines(one), lines(other));
    one.symmetric_difference(&other).cloned().collect()
}

#[test]
fn bwrap_makes_the_same_tree() {
    let test = "bwrap_makes_the_same_tree";
    if !all() {
        return;
    }
    let (Some(house), Some(_)) = (house(test), oracle(test, "bwrap")) else { return };
    let case = house.case("first");
    let run = case.prepare_to("bwrap", &["--sandbox", "bwrap", "--fresh"]).ends(0);
    assert_eq!(reused(&run), Vec::<String>::new());
    let record = std::fs::read_to_string(case.at.join("out/bwrap.tree")).unwrap();
    assert_eq!(differences(&house.record, &record), Vec::<String>::new());
    host::programs_in_bwrap_see_nothing_of_the_host(house);
}

#[test]
fn four_builds_at_once_do_not_meet() {
    let Some(house) = house("four builds at once") else { return };
    let case = house.case("four");
    case.describe(&Description::whole(house));
    let build = |number: usize| {
        let out = format!("out/{number}");
        bounded(case.command(&["build", "d", "-o", &out])).ends(0);
        let names = listing(&case.at.join(&out));
        let read = |name: &String| std::fs::read(case.at.join(&out).join(name)).unwrap();
        let images: Vec<_> =
            names.iter().map(|name| (name.clone(), diskwright_digest(&read(name)))).collect();
        if number > 0 {
            std::fs::remove_dir_all(case.at.join(&out)).unwrap();
        }
        images
    };
    let images: Vec<_> = std::thread::scope(|scope| {
        let builds: Vec<_> = (0..4).map(|number| scope.spawn(move || build(number))).collect();
        builds.into_iter().map(|build| build.join().unwrap()).collect()
    });
    assert!(!images[0].is_empty());
    assert!(images.iter().all(|one| *one == images[0]), "{images:?}");
    // The image is the tree, and what images.sh made in it.
    let image = images[0].iter().find(|(name, _)| name.ends_with(".ext4")).expect("an ext4 image");
    let record =
        diskwright(["tree".as_ref(), case.at.join("out/0").join(&image.0).as_os_str()]).ends(0).stdout;
    assert_eq!(owned(&record, "/etc/made-by-images"), "file 0644 0 0");
    for path in ["/usr/bin/passwd", "/usr/bin/greet", "/srv/data/archived", "/var/lib/greeting", "/dev/null"]
    {
        assert_eq!(owned(&record, path), owned(&house.record, path), "{path}");
    }
    assert!(line(&record, "/usr/bin/greet").contains("security.capability"));
    case.assert_clean("");
}

fn diskwright_digest(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
