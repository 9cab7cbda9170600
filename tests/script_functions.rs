//! The functions that scripts of descriptions call: each in a small tree, in two shells, and next to KIWI's own.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{oracle, run, skip, tool, write};

const FUNCTIONS: &str = include_str!("../src/root/setup/functions/kconfig.sh");

/// Programs of the tree that functions call and that have their real effect.
const PROGRAMS: &str = "bash dash basename cat chmod chown cp cut date dirname find grep head ln ls mkdir mktemp mv readlink \
    rm sed sort tail tr uniq xargs";
/// Programs that only write down that they were called.
const STUBS: [&str; 9] =
    ["systemctl", "rpm", "depmod", "visudo", "ldconfig", "mountpoint", "mount", "umount", "unrelated"];

struct Small {
    directory: tempfile::TempDir,
}

impl Small {
    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn file(&self, path: &str, text: &str) {
        write(self.at(path), text);
    }

    fn program(&self, path: &str, text: &str) {
        self.file(path, text);
        std::fs::set_permissions(self.at(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// A tree that has shells, a few programs and their libraries, and something for each function to work on.
fn small() -> Small {
    let small = Small { directory: tempfile::tempdir().unwrap() };
    for directory in [
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "etc/systemd/system",
        "tmp",
        "var",
        "run",
        "boot",
        "dev",
    ] {
        std::fs::create_dir_all(small.at(directory)).unwrap();
    }
    small.file("dev/null", "");
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), small.at(name)).unwrap();
    }
    for program in PROGRAMS.split_whitespace() {
        let from =
            ["/usr/bin", "/bin"].map(|at| Path::new(at).join(program)).into_iter().find(|path| path.exists());
        let from = from.unwrap_or_else(|| panic!("{program} is in every system"));
        // By another process: a thread that forks meanwhile would keep the file open for writing.
        tool("cp", [from.clone(), small.at(&format!("usr/bin/{program}"))]);
        for library in libraries(&from) {
            let to = small.directory.path().join(library.strip_prefix("/").unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(&library, to).unwrap();
        }
    }
    for stub in STUBS {
        small.program(&format!("usr/sbin/{stub}"), &format!("#!/bin/bash\necho {stub} \"$@\" >>/called\n"));
    }
    fill(&small);
    small
}

fn libraries(program: &Path) -> Vec<PathBuf> {
    let said = run(Command::new("ldd").arg(program)).stdout;
    said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn fill(small: &Small) {
    small.file("usr/lib/systemd/system/chrony.service", "");
    small.file("usr/lib/systemd/system/data.mount", "");
    small.file("usr/lib/systemd/system/sshd.service", "");
    small.file("usr/lib/systemd/system/rescue.target", "");
    small.file("usr/lib/systemd/system/ssh.service", "");
    small.program("etc/init.d/old", "");
    small.file("etc/sysconfig/x", "# a comment\nA=1\nAB=\"2\"\nC.D='x'\nCxD=keep\nA_=3\n");
    small.file("etc/passwd", "root:x:0:0::/root:/bin/bash\nvagrant:x:0:0::/home/vagrant:/bin/bash\n");
    small.file("etc/group", "root:x:0:\nvagrant:x:0:\n");
    small.file("etc/ssh/sshd_config", "Port 22\n");
    small.file("etc/sudoers", "root ALL=(ALL) ALL\n");
    for locale in ["de_DE.utf8", "en_US.utf8", "fr_FR.utf8"] {
        small.file(&format!("usr/lib/locale/{locale}/LC_TIME"), locale);
    }
    small.file("usr/lib/locale/locale-archive", "");
    for file in ["de/LC_MESSAGES/a.mo", "en/LC_MESSAGES/a.mo", "de/LC_MESSAGES/b.mo", "de/LC_MESSAGES/b.txt"]
    {
        small.file(&format!("usr/share/locale/{file}"), "");
    }
    small.file("etc/products.d/SLES.prod", "");
    small.file("etc/products.d/Other.prod", "");
    small.file("etc/os-release", "NAME=\"SLES\"\nVERSION=\"15\"\n");
    small.file("usr/lib/rpm/gnupg/keys/gpg-pubkey-1-2.asc", "");
    fill_kernel(small);
}

/// A kernel with modules that depend on each other and want firmware.
fn fill_kernel(small: &Small) {
    for (module, firmware) in [
        ("kernel/fs/ext4.ko", ""),
        ("kernel/lib/crc.ko", ""),
        ("kernel/net/wifi.ko", "wifi.bin"),
        ("kernel/net/old.ko.xz", "sub/old.bin"),
        ("updates/net/old.ko.xz", "sub/old.bin"),
    ] {
        small.file(&format!("usr/lib/modules/6.1/{module}"), firmware);
    }
    small.file("boot/System.map-6.1", "");
    for file in
        ["wifi.bin", "sub/old.bin.xz", "vendor/wifi.bin", "unused.bin", "LICENSE.wifi", "unused/readme.txt"]
    {
        small.file(&format!("usr/lib/firmware/{file}"), file);
    }
    small.program(
        "usr/sbin/modinfo",
        "#!/bin/bash\nif [ -s \"$1\" ]; then echo \"firmware:       $(cat $1)\"; fi\necho name: x\n",
    );
    let depends = "#!/bin/bash\nwhile [ $# -gt 1 ]; do shift; done\n\
        case $1 in ext4) echo 'insmod /lib/modules/6.1/kernel/lib/crc.ko ' ;; esac\n\
        echo \"builtin $1\"\n";
    small.program("usr/sbin/modprobe", depends);
}

/// Runs a script in the tree as its root; the status and what it said.
fn script(small: &Small, shell: &str, text: &str) -> support::Run {
    let mut command = Command::new(if support::root() { "chroot" } else { "unshare" });
    if !support::root() {
        command.args(["--map-root-user", "chroot"]);
    }
    command.arg(small.directory.path()).arg(format!("/usr/bin/{shell}")).args(["-c", text]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("SOURCE_DATE_EPOCH", "1700000000");
    run(&mut command)
}

/// Whether a tree can be entered here.
fn possible(test: &str) -> bool {
    let possible =
        support::root() || run(Command::new("unshare").args(["--map-root-user", "true"])).code == Some(0);
    if !possible {
        support::inapplicable(test, "no user namespaces here");
    }
    possible && oracle(test, "dash").is_some() && oracle(test, "bash").is_some()
}

/// Everything in the tree: kind, permissions, content.
fn everything(small: &Small) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![small.directory.path().to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                std::fs::read_link(&path).unwrap().to_string_lossy().into_owned()
            } else if metadata.is_dir() {
                waiting.push(path.clone());
                String::new()
            } else {
                String::from_utf8_lossy(&std::fs::read(&path).unwrap()).chars().take(4000).collect()
            };
            let name = path.strip_prefix(small.directory.path()).unwrap().to_string_lossy().into_owned();
            found.insert(name, format!("{:o} {content}", metadata.mode()));
        }
    }
    found.remove(".kconfig");
    found.remove("dev/null");
    found
}

/// What a script with our functions does in a shell.
fn ours(shell: &str, text: &str) -> (Small, support::Run) {
    let small = small();
    small.file(".kconfig", FUNCTIONS);
    let done = script(&small, shell, &format!("set -eu\ntest -f /.kconfig && . /.kconfig\n{text}"));
    (small, done)
}

const SHELLS: [&str; 2] = ["bash", "dash"];

#[test]
fn services() {
    if !possible("services") {
        return;
    }
    for shell in SHELLS {
        let (small, done) = ours(
            shell,
            "baseInsertService chrony; baseRemoveService data; suseService old on; baseService chrony off\n\
             baseInsertService absent; ln -s /usr/lib/systemd/system/ssh.service /etc/systemd/system/alias.service\n\
             suseInsertService alias; baseService; baseService x\n\
             baseSystemdServiceInstalled data; baseSystemdServiceInstalled absent",
        );
        let done = done.ends(0);
        let calls = "systemctl enable chrony\nsystemctl disable data\nsystemctl enable old\nsystemctl disable chrony\n\
            systemctl enable ssh.service\n";
        assert_eq!(small.text("called"), calls, "{shell}");
        assert!(done.stderr.contains("no service absent"), "{}", done.stderr);
        assert!(done.stdout.ends_with("/usr/lib/systemd/system/data.mount\n"), "{}", done.stdout);
        assert!(done.stdout.contains("no target specified"), "{}", done.stdout);
    }
}

#[test]
fn sysconfig_values_mean_themselves() {
    if !possible("sysconfig_values_mean_themselves") {
        return;
    }
    for shell in SHELLS {
        let (small, done) = ours(
            shell,
            "baseUpdateSysConfig /etc/sysconfig/x A 'a b&c@d\\e $HOME'; baseUpdateSysConfig /etc/sysconfig/x C.D ''\n\
             baseUpdateSysConfig /etc/sysconfig/none A 1; baseUpdateSysConfig /etc/sysconfig/x NEW 1",
        );
        assert!(done.ends(0).stdout.contains("/etc/sysconfig/none not found"));
        let expected = "# a comment\nA=\"a b&c@d\\e $HOME\"\nAB=\"2\"\nC.D=\"\"\nCxD=keep\nA_=3\n";
        assert_eq!(small.text("etc/sysconfig/x"), expected, "{shell}");
    }
}

#[test]
fn messages() {
    if !possible("messages") {
        return;
    }
    for shell in SHELLS {
        let (_, done) = ours(shell, "Echo 'a\\tb'; Echo -b two; Echo -ne 'x\\ty'; DEBUG=1; Debug said");
        let said = done.ends(0).stdout;
        assert!(said.starts_with("-----> a\\tb\n       two\n-----> x\ty+++++> (caller:"), "{said:?}");
        assert!(said.ends_with(" )  said\n"), "{said:?}");
    }
}

#[test]
fn obsolete_names_warn_and_go_on() {
    if !possible("obsolete_names_warn_and_go_on") {
        return;
    }
    for shell in SHELLS {
        let names = "baseCleanMount baseMount suseActivateDefaultServices baseSetupUserPermissions suseConfig \
            baseGetPackagesForDeletion baseGetProfilesUsed baseStripMans baseStripDocs baseStripInfos Rpm rhelStripInitrd \
            debianStripInitrd rhelStripKernel debianStripKernel rhelSplashToGrub suseSetupProductInformation baseCleanup \
            suseCleanup suseRemoveYaST";
        let (_, done) = ours(shell, &format!("for name in {names}; do $name; done"));
        let said = done.ends(0).stderr;
        for name in names.split_whitespace() {
            assert!(said.contains(&format!("warning: {name} does nothing any more")), "{name}: {said}");
        }
    }
}

#[test]
fn modules_of_other_kernels_stay() {
    if !possible("modules_of_other_kernels_stay") {
        return;
    }
    for shell in SHELLS {
        let small = small();
        small.file(".kconfig", FUNCTIONS);
        small.file("usr/lib/modules/6.2/kernel/net/old.ko.xz", "");
        small.file("usr/lib/modules/6.2/kernel/fs/ext4.ko", "");
        small.file("usr/lib/modules/6.1/kernel/net/very-old.ko.xz", "");
        script(&small, shell, "set -eu; . /.kconfig; baseStripModules").ends(0);
        for kept in [
            "6.2/kernel/net/old.ko.xz",
            "6.2/kernel/fs/ext4.ko",
            "6.1/kernel/fs/ext4.ko",
            "6.1/kernel/net/very-old.ko.xz",
        ] {
            assert!(small.at("usr/lib/modules").join(kept).exists(), "{shell}: {kept}");
        }
        assert!(small.at("usr/lib/modules/6.1/updates/net/old.ko.xz").exists());
        assert!(!small.at("usr/lib/modules/6.1/kernel/net/old.ko.xz").exists());
    }
}

#[test]
fn several_translations_stay() {
    if !possible("several_translations_stay") {
        return;
    }
    for shell in SHELLS {
        let (small, done) = ours(shell, "baseStripTranslations en/ b.mo");
        done.ends(0);
        assert!(small.at("usr/share/locale/en/LC_MESSAGES/a.mo").exists());
        assert!(small.at("usr/share/locale/de/LC_MESSAGES/b.mo").exists());
        assert!(!small.at("usr/share/locale/de/LC_MESSAGES/a.mo").exists());
    }
}

#[test]
fn the_day_of_a_build_is_that_of_its_epoch() {
    if !possible("the_day_of_a_build_is_that_of_its_epoch") {
        return;
    }
    for shell in SHELLS {
        let (small, done) = ours(shell, "baseSetupBuildDay");
        done.ends(0);
        assert_eq!(small.text("build_day"), "build_day=20231114\n");
    }
}

/// Scripts after which our tree and KIWI's are the same.
const SAME: [(&str, &str); 22] = [
    (
        "services",
        "baseInsertService chrony; baseRemoveService data; baseService old on; suseService sshd off; suseRemoveService chrony",
    ),
    ("absent service", "baseInsertService absent"),
    (
        "sysconfig",
        "baseUpdateSysConfig /etc/sysconfig/x A 'a b'; baseUpdateSysConfig /etc/sysconfig/x AB 7; baseUpdateSysConfig /etc/sysconfig/no A 7",
    ),
    ("runlevel 3", "baseSetRunlevel 3"),
    ("runlevel 5", "baseSetRunlevel 5"),
    ("runlevel target", "baseSetRunlevel rescue.target; baseSetRunlevel absent.target"),
    ("locales", "baseStripLocales de_DE.utf8 en"),
    ("locales, one argument", "baseStripLocales 'de_DE.utf8 en'"),
    ("translations", "baseStripTranslations en/"),
    ("products", "suseSetupProduct"),
    ("products by brand", "echo Other >/etc/SuSE-brand; suseSetupProduct"),
    ("any product", "rm /etc/os-release; rm /etc/products.d/SLES.prod; suseSetupProduct"),
    ("vagrant, old sshd", "baseVagrantSetup"),
    ("vagrant", "mkdir -p /etc/ssh/sshd_config.d /etc/sudoers.d; baseVagrantSetup"),
    ("containers", "mkdir -p /etc/containers; setupContainerRuntime"),
    ("firmware", "baseStripFirmware"),
    ("modules", "baseStripModules"),
    (
        "kernel",
        "export kiwi_drivers=fs/ext4.ko,net/.*; export kiwi_strip_delete='/usr/share/locale /etc/sysconfig'; suseStripKernel",
    ),
    ("kernel for dracut", "export kiwi_initrd_system=dracut; baseStripKernel; baseStripInitrd"),
    ("tools", "baseStripTools /usr/sbin 'visudo systemctl'"),
    ("keep", "printf '%s\\n' /etc/sysconfig/x /etc/passwd /etc/group | baseStripAndKeep pass gro"),
    (
        "quoting",
        "printf '%s\\n' '# comment' '' '  # other' 'A=plain words' 'B=\"in \\$ quotes\"' \"C='single'\" \"D=it's\" 'E=' 'F=a=b' >/q; \
         baseQuoteFile /q; . /q; [ \"$A\" = 'plain words' ]; [ \"$D\" = \"it's\" ]",
    ),
];

#[test]
fn the_same_tree_as_kiwis_functions_leave() {
    let test = "the_same_tree_as_kiwis_functions_leave";
    let Some(kiwi) = support::kiwi(test).filter(|_| possible(test)) else { return };
    let file = tool(
        &kiwi,
        [
            "-c",
            "import kiwi, os; print(os.path.join(os.path.dirname(kiwi.__file__), 'config', 'functions.sh'))",
        ],
    );
    let Ok(theirs) = std::fs::read_to_string(file.trim()) else {
        return skip(test, "this KIWI brings no functions.sh");
    };
    for (name, text) in SAME {
        let expected = small();
        expected.file(".kconfig", &theirs);
        script(&expected, "bash", &format!(". /.kconfig\n{text}")).ends(0);
        let expected = everything(&expected);
        for shell in SHELLS {
            let (small, done) = ours(shell, text);
            done.ends(0);
            let found = everything(&small);
            let names = expected.keys().chain(found.keys());
            let different: Vec<_> = names.filter(|path| expected.get(*path) != found.get(*path)).collect();
            let told: Vec<_> =
                different.iter().map(|path| (path, expected.get(*path), found.get(*path))).collect();
            // mountProc of KIWI asks whether there is a /proc; in a sandbox there is.
            let told: Vec<_> = told
                .into_iter()
                .filter(|(path, ..)| **path != "called" || !calls_same(&expected, &found))
                .collect();
            assert!(told.is_empty(), "{name} in {shell}: {told:#?}");
        }
    }
}

fn calls_same(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> bool {
    let calls = |tree: &BTreeMap<String, String>| {
        let text = tree.get("called").map_or("", |text| text.split_once(' ').map_or("", |(_, text)| text));
        text.lines().filter(|line| !line.starts_with("mountpoint")).map(str::to_owned).collect::<Vec<_>>()
    };
    calls(expected) == calls(found)
}

#[test]
fn unused_libraries_as_kiwi_finds_them() {
    let test = "unused_libraries_as_kiwi_finds_them";
    if !possible(test) {
        return;
    }
    let prepared = || {
        let small = small();
        for directory in ["usr/lib", "usr/lib/x86_64-linux-gnu"] {
            for name in ["libneeded.so.1.2", "libunused.so.3", "libplugin.so.1"] {
                small.file(&format!("{directory}/{name}"), "");
            }
        }
        symlink("libneeded.so.1.2", small.at("usr/lib/libneeded.so.1")).unwrap();
        // An ldd that knows one program and the libraries of this tree's own ones.
        let ldd = "#!/bin/bash\ncase $1 in\n*/bash) echo '\tlibneeded.so.1 => /lib/libneeded.so.1 (0x1)'; echo '\tlinux-vdso.so.1 (0x2)' ;;\nesac\n\
            for library in /usr/lib*/libc.so* /usr/lib*/*/libc.so* /usr/lib*/*/libtinfo.so* /usr/lib*/*/libselinux* /usr/lib*/*/libpcre* /usr/lib*/*/libacl* /usr/lib*/*/libattr*; do\n\
            [ ! -e \"$library\" ] || echo \"\tx => $library (0x3)\"; done\n";
        small.program("usr/bin/ldd", ldd);
        small
    };
    let text = "baseStripUnusedLibs libplugin";
    let libraries = |small: &Small| {
        let names =
            everything(small).into_keys().filter(|name| name.contains("/lib") && name.contains(".so"));
        names.collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for shell in SHELLS {
        let small = prepared();
        small.file(".kconfig", FUNCTIONS);
        script(&small, shell, &format!("set -eu; . /.kconfig; {text}")).ends(0);
        let left = libraries(&small);
        assert!(left.iter().any(|name| name.ends_with("lib/libneeded.so.1.2")), "{left:?}");
        assert!(left.iter().any(|name| name.ends_with("lib/libplugin.so.1")), "{left:?}");
        assert!(!left.iter().any(|name| name.contains("libunused")), "{left:?}");
        all.push(left);
    }
    assert_eq!(all[0], all[1]);
    let Some(kiwi) = support::kiwi(test) else { return };
    let file = tool(
        &kiwi,
        [
            "-c",
            "import kiwi, os; print(os.path.join(os.path.dirname(kiwi.__file__), 'config', 'functions.sh'))",
        ],
    );
    let theirs = prepared();
    theirs.file(".kconfig", &std::fs::read_to_string(file.trim()).unwrap());
    script(&theirs, "bash", &format!(". /.kconfig; {text}"));
    assert_eq!(libraries(&theirs), all[0]);
}
