//! Whole systems out of Debian's packages, each in one command by an ordinary user: what the image does when it starts.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::http::Server;
use support::repository::{Fault, Gnupg, can_make, stock, suite};
use support::*;

/// A directory for builds, which the ordinary user may write to.
struct Place(tempfile::TempDir);

impl Place {
    /// With a copy of a description.
    fn new(description: &Path) -> Place {
        let at = tempfile::Builder::new().prefix("dwwhole").tempdir_in("/var/tmp").unwrap();
        let place = Place(at);
        open_to_all(&place.at(""));
        open_to_all(&place.at("home"));
        program_at(&place.at("diskwright"));
        let copy = place.at("description");
        tool("cp", ["-r".as_ref(), description.as_os_str(), copy.as_os_str()]);
        tool("chmod", ["-R".as_ref(), "a+rX".as_ref(), copy.as_os_str()]);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Builds the description to the directory `out`, and gives the only image in it.
    fn build(&self, out: &str, words: &[&str]) -> PathBuf {
        let mut command = Command::new(source("tests/fixtures/as-user"));
        command.arg(self.at("diskwright")).args(["build", "description", "--cache-dir", "cache", "-o", out]);
        command.args(words).current_dir(self.at("")).env_remove("SOURCE_DATE_EPOCH");
        command.env("HOME", self.at("home")).env("AS_USER_HOME", self.at("home"));
        bounded(command).ends(0);
        let names: Vec<_> =
            listing(&self.at(out)).into_iter().filter(|name| name.ends_with(".qcow2")).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        self.at(out).join(&names[0])
    }
}

/// Starts the image, logs in as root, has the shell do `commands`, and gives what came on the serial line.
fn log_in(image: &Path, commands: &str) -> String {
    let log = image.with_extension("serial");
    let last = format!("# =echo; {commands}; echo the-end-$((40+2))");
    let mut boot =
        command(["boot", "--timeout", "280", "--send", "login:=root", "--send", "Password:=linux"]);
    boot.args(["--expect", "login:", "--expect", "the-end-42", "--send", &last, "--log"])
        .arg(&log)
        .arg(image);
    bounded(boot).ends(0);
    String::from_utf8_lossy(&std::fs::read(&log).unwrap()).replace('\r', "")
}

/// What debugfs says of a path in the file system of the last partition.
fn asked(image: &Path, requests: &[&str]) -> Vec<String> {
    let raw = image.with_extension("raw");
    tool("qemu-img", ["convert".as_ref(), "-O".as_ref(), "raw".as_ref(), image.as_os_str(), raw.as_os_str()]);
    let table = tool("sfdisk", ["-d".as_ref(), raw.as_os_str()]);
    let mut start = table
        .lines()
        .filter_map(|line| line.split_once("start=")?.1.split(',').next()?.trim().parse::<u64>().ok());
    let place = format!("{}?offset={}", raw.display(), start.next_back().unwrap() * 512);
    let said = requests.iter().map(|request| tool("debugfs", ["-R", request, &place])).collect();
    std::fs::remove_file(raw).unwrap();
    said
}

/// The packages that a description names.
fn packages(description: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(description.join("config.xml")).unwrap();
    let names = text.split("<package name=\"").skip(1).filter_map(|rest| rest.split('"').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_example_is_a_server_to_log_into_and_the_same_bytes_twice() {
    let test = "the_example_is_a_server_to_log_into_and_the_same_bytes_twice";
    let needed = ["newuidmap", "qemu-system-x86_64", "qemu-img", "sfdisk", "debugfs"];
    let needed = needed.map(|program| oracle(test, program).is_some());
    if !can_make(test) || needed.contains(&false) {
        return;
    }
    let example = source("examples/debian-server");
    let mut fixture = Command::new(source("tests/fixtures/debian-packages"));
    let found = run(fixture.args(["--existing", "bookworm", "usr-is-merged"]).args(packages(&example)));
    if found.code != Some(0) {
        return skip(test, "no packages of Debian (tests/run --install fetches them)");
    }
    let place = Place::new(&example);
    let (gnupg, repository) = (Gnupg::new(), place.at("repository"));
    stock(&repository, "main", Path::new(found.stdout.trim()));
    suite(&repository, "bookworm", "main", &[], &gnupg, Fault::None);
    write(place.at("key.asc"), gnupg.export_armored(&["Tester"]));
    let server = Server::directory(&repository);
    let key = place.at("key.asc");
    let from =
        format!("{},apt-deb,debian,,true,,{{file://{}}},main,bookworm,true", server.url("/"), key.display());
    let image = place.build("out", &["--set-repo", &from]);
    // The second one, while the first starts: from the same files, and no phase of the first.
    let said = std::thread::scope(|scope| {
        let again = scope.spawn(|| place.build("again", &["--set-repo", &from, "--fresh", "--offline"]));
        let commands = "systemctl is-system-running --wait; getcap /usr/bin/ping; ping -c1 127.0.0.1; \
             stat -c '%U:%G %a %n' /usr/bin/passwd /etc/ssh/ssh_host_ed25519_key; findmnt -no FSTYPE /; \
             systemctl is-active ssh systemd-networkd";
        let said = log_in(&image, commands);
        let again = again.join().unwrap();
        tool("cmp", [&image, &again]);
        said
    });
    let words = [
        "\nrunning\n",
        "/usr/bin/ping cap_net_raw=ep\n",
        " 0% packet loss",
        "root:root 4755 /usr/bin/passwd\n",
        "root:root 600 /etc/ssh/ssh_host_ed25519_key\n",
        "\next4\n",
        "active\nactive\n",
        "debian-server login:",
    ];
    let unsaid: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
    assert!(unsaid.is_empty(), "{unsaid:?} not in\n{said}");
    let said = asked(&image, &["ea_list /usr/bin/ping", "stat /usr/lib/dbus-1.0/dbus-daemon-launch-helper"]);
    let raw_network =
        "security.capability (20) = 01 00 00 02 00 20 00 00 00 00 00 00 00 00 00 00 00 00 00 00 \n";
    assert!(said[0].contains(raw_network), "{}", said[0]);
    // Its group was made by a package.
    assert!(said[1].contains("Mode:  04754") && !said[1].contains("Group:     0 "), "{}", said[1]);
}

/// KIWI's own build test, with all of its packages, from the release's archive in the place of the build service's.
#[test]
fn the_corpus_description_is_a_system_to_log_into() {
    let test = "the_corpus_description_is_a_system_to_log_into";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let needed =
        ["newuidmap", "qemu-system-x86_64", "apt-get"].map(|program| oracle(test, program).is_some());
    let Some(corpus) = corpus(test).filter(|_| !needed.contains(&false)) else { return };
    let mirror = run(Command::new(source("tests/fixtures/debian-packages")).arg("--mirror"));
    if mirror.code != Some(0) {
        return skip(test, "apt knows no mirror of Debian's");
    }
    let place = Place::new(&corpus.join("build-tests/x86/debian/test-image-live-disk"));
    let from = format!("{},apt-deb,debian,,,,,main contrib non-free,trixie,true", mirror.stdout.trim());
    // In the place of all five, and not of the first.
    let image = place.build("out", &["--profile", "Virtual", "--ignore-repos", "--add-repo", &from]);
    let commands = "findmnt -no FSTYPE /; systemctl is-active ssh; id someone; locale; readlink /etc/localtime; \
         echo failed=$(systemctl is-system-running --wait >/dev/null; systemctl --failed --no-legend); \
         echo other=$(dpkg-query -f '${db:Status-Abbrev}\\n' -W | grep -vc '^ii '); echo audit=$(dpkg --audit)";
    let said = log_in(&image, commands);
    let words = [
        "\next4\n",
        "\nactive\n",
        "(someone)",
        "LANG=en_US",
        "/Europe/Berlin\n",
        "\nfailed=\n",
        "\nother=0\n",
        "\naudit=\n",
    ];
    let unsaid: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
    assert!(unsaid.is_empty(), "{unsaid:?} not in\n{said}");
}
