//! A host that has nothing: a shell, this program, another distribution's os-release. Neither apt, dpkg, gpg nor tar.

use super::*;

/// Another root of the file system, with mounts and processes that nobody else sees.
struct Bare {
    at: PathBuf,
}

impl Bare {
    /// With the repository, its key and the description of the first tree, and the programs of these paths with what they
    /// are linked to.
    fn new(house: &House, case: &Case<'_>, programs: &[(PathBuf, &str)]) -> Bare {
        let at = case.at.join("host");
        for name in ["bin", "dev", "etc", "lib64", "old", "proc", "home/builder"] {
            std::fs::create_dir_all(at.join(name)).unwrap();
        }
        open_to_all(&at.join("tmp"));
        open_to_all(&at.join("work"));
        for (name, text) in [
            ("etc/os-release", "ID=void\nNAME=\"Void\"\nPRETTY_NAME=\"Void Linux\"\n"),
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\nbuilder:x:4321:4321::/home/builder:/bin/sh\n"),
            ("etc/group", "root:x:0:\nbuilder:x:4321:\n"),
            ("etc/subuid", "builder:500000:65536\n"),
            ("etc/subgid", "builder:600000:65536\n"),
        ] {
            write(at.join(name), text);
        }
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
            tool("cp", ["-a".as_ref(), Path::new("/dev").join(name).as_os_str(), at.join("dev").as_os_str()]);
        }
        for (from, name) in programs {
            // Modes, too: what maps ids is setuid.
            tool("cp", ["-p".as_ref(), from.as_os_str(), at.join("bin").join(name).as_os_str()]);
            for library in libraries(from) {
                let to = at.join(library.strip_prefix("/").unwrap());
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                tool("cp", ["-L".as_ref(), library.as_os_str(), to.as_os_str()]);
            }
        }
        tool("cp", ["-r".as_ref(), house.at.join("repository").as_os_str(), at.as_os_str()]);
        tool("cp", ["-a".as_ref(), case.at.join("d").as_os_str(), at.join("work").as_os_str()]);
        std::fs::copy(house.at.join("key.asc"), at.join("key.asc")).unwrap();
        tool("chown", ["-R".as_ref(), "4321:4321".as_ref(), at.join("home/builder").as_os_str()]);
        Bare { at }
    }

    /// Runs a line of its shell there.
    fn run(&self, line: &str) -> Run {
        let enter = "mount --bind \"$0\" \"$0\" && mount --rbind /proc \"$0/proc\" && cd \"$0\" && pivot_root . old && \
             exec /bin/busybox sh -c 'umount -l /old && cd /work && unset HOME && exec /bin/busybox sh -c \"$0\"' \"$1\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", enter]).arg(&self.at).arg(line);
        bounded(command)
    }
}

/// What a program is linked to, the loader too.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let said = run(Command::new("ldd").arg(program)).stdout;
    let paths = said.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(|path| PathBuf::from(path.trim_end_matches(':'))).collect()
}

/// The program to try: a static one, if there is one.
fn program(house: &House) -> PathBuf {
    std::env::var_os("DISKWRIGHT_STATIC").map_or_else(|| house.at.join("diskwright"), PathBuf::from)
}

#[test]
fn a_host_without_any_package_tool_makes_the_same_tree() {
    let test = "a_host_without_any_package_tool_makes_the_same_tree";
    if !root() {
        return inapplicable(test, "only root can make another host");
    }
    let tools = ["unshare", "setpriv", "busybox", "ldd"].map(|program| oracle(test, program));
    let (Some(house), [Some(_), Some(setpriv), Some(busybox), Some(_)]) = (house(test), tools) else {
        return;
    };
    if run(Command::new("unshare").args(["--mount", "true"])).code != Some(0) {
        return inapplicable(test, "no mounts of its own are allowed here");
    }
    let maps = ["newuidmap", "newgidmap"].map(|name| oracle(test, name).expect("the house has it"));
    // Under the same name the description is the same.
    let case = Case { name: "first".to_owned(), ..house.case("bare") };
    let description = Description {
        repository: house
            .repository("/repository")
            .replace(&*house.at.join("key.asc").to_string_lossy(), "/key.asc"),
        ..Description::whole(house)
    };
    case.describe(&description);
    let programs = [
        (program(house), "diskwright"),
        (busybox, "busybox"),
        (setpriv, "setpriv"),
        (maps[0].clone(), "newuidmap"),
        (maps[1].clone(), "newgidmap"),
    ];
    let bare = Bare::new(house, &case, &programs);
    let build = "diskwright prepare d --cache-dir cache --root";
    // As root, but in a container's way, and as a user with a range of ids.
    let lines = [
        (
            "root",
            format!(
                "/bin/setpriv --bounding-set -sys_admin --inh-caps -sys_admin {build} root --sandbox chroot"
            ),
        ),
        (
            "builder",
            format!(
                "rm -rf cache; /bin/setpriv --reuid 4321 --regid 4321 --clear-groups {build} builder --sandbox namespaces"
            ),
        ),
    ];
    let mut records = Vec::new();
    for (name, line) in lines {
        let run = bare.run(&format!("export PATH=/bin; {line}"));
        assert_eq!(run.code, Some(0), "{name}: {}", run.stderr);
        records.push(std::fs::read_to_string(bare.at.join("work").join(format!("{name}.tree"))).unwrap());
    }
    assert_eq!(differences(&records[0], &records[1]), Vec::<String>::new());
    // Places of the repository are in the description, which is in the tree.
    let others = differences(&house.record, &records[0])
        .into_iter()
        .filter(|line| !line.starts_with("/image/config.xml "));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new());
    std::fs::remove_dir_all(&case.at).unwrap();
}
