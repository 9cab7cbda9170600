//! Initrds that a Debian tree's own tools make in the sandbox: the same bytes each time, with what was asked for.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use diskwright::root::sandbox::{Bind, Found, Host, Log, Operation, Sandbox, SandboxError, Session};
use diskwright::root::setup::Step;
use diskwright::root::setup::initrd::{self, Generator, Task, Wanted};
use diskwright::root::tree::Place;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{all, debian_root, inapplicable, oracle, run, skip, source, tool};

struct Tree {
    work: tempfile::TempDir,
    sandbox: Sandbox,
}

impl Tree {
    /// The Debian root, its files of their real owners.
    fn new(test: &str) -> Option<Tree> {
        let tar = debian_root(test)?;
        let work = tempfile::tempdir().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_diskwright"));
        let scratch = work.path().join("scratch");
        std::fs::create_dir(&scratch).unwrap();
        let cancel = std::sync::Arc::default();
        let host = Host { program: &program, path: &path, scratch: &scratch, asked: None, cancel };
        let Found { sandbox, tried } = Sandbox::find(&host).unwrap();
        let Some(sandbox) = sandbox else {
            inapplicable(test, &format!("no sandbox here: {tried:?}"));
            return None;
        };
        let tree = Tree { work, sandbox };
        std::fs::create_dir(tree.root()).unwrap();
        // Device nodes cannot be made by everybody, and need not be there.
        run(Command::new("tar").arg("-C").arg(tree.root()).arg("-xpf").arg(&tar));
        let record = support::diskwright([Path::new("tree"), &tar]).ends(0).stdout;
        std::fs::write(tree.work.path().join("root.tree"), record).unwrap();
        let place = Place::of(&tree.root()).unwrap();
        tree.sandbox.run(&place.take(), &Log::default(), &mut |_| {}).unwrap();
        Some(tree)
    }

    fn root(&self) -> PathBuf {
        self.work.path().join("root")
    }

    fn run(&self, operations: Vec<Operation>) -> Result<Vec<Vec<u8>>, String> {
        self.run_with(operations, Vec::new())
    }

    fn run_with(&self, operations: Vec<Operation>, binds: Vec<Bind>) -> Result<Vec<Vec<u8>>, String> {
        let session = Session { tree: self.root(), operations, binds, ..Session::default() };
        let log = Log::default();
        self.sandbox
            .run(&session, &log, &mut |_| {})
            .map_err(|error: SandboxError| format!("{error}\n{}", log.tail()))
    }

    fn find(&self, wanted: &Wanted) -> Result<initrd::Found, String> {
        let results = self.run(vec![Operation::Setup(Step::Initrd(Task::Find(wanted.clone())))])?;
        Ok(serde_json::from_slice(&results[0]).unwrap())
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.root().join(path.trim_start_matches('/'))).unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let place = Place::of(&self.root()).unwrap();
        let _ = self.sandbox.run(&place.abandon(), &Log::default(), &mut |_| {});
    }
}

fn wanted() -> Wanted {
    let [modules, drivers] = [["overlay", "dm_mod"], ["drivers/net/dummy.ko", "drivers/md/raid1*"]];
    Wanted {
        filesystem: Some("ext4".to_owned()),
        modules: modules.map(str::to_owned).into(),
        drivers: drivers.map(str::to_owned).into(),
        grows: false,
        epoch: 1_700_000_000,
    }
}

#[test]
fn a_tree_makes_the_same_initrd_each_time() {
    let test = "a_tree_makes_the_same_initrd_each_time";
    let Some(tree) = Tree::new(test) else { return };
    let found = tree.find(&wanted()).unwrap();
    assert_eq!(found.generator, Some(Generator::InitramfsTools));
    let kernel = found.kernels.first().expect("the Debian root has a kernel").clone();
    let hook = tree.root().join("etc/initramfs-tools/hooks/zz-build");
    let mut made = Vec::new();
    for _ in 0..2 {
        tree.run(initrd::make(&found, &wanted()).unwrap()).unwrap();
        assert!(!hook.exists());
        made.push(tree.bytes(&kernel.initrd));
    }
    assert!(made[0] == made[1], "two runs give other bytes");
    judge(test, &tree, &kernel);
    let said = tree.find(&Wanted { filesystem: Some("nofs".to_owned()), ..wanted() }).unwrap_err();
    assert!(said.contains("the kernel has no nofs"), "{said}");
    without_a_module(&tree, &kernel, &made[0]);
}

/// cpio and the tree's own unmkinitramfs see what we say is there.
fn judge(test: &str, tree: &Tree, kernel: &initrd::Kernel) {
    let list = initrd::hold();
    assert_eq!(list.get("INITRD").map(String::as_str), Some("No"));
    let mut list = diskwright::root::sandbox::Run::new("list", ["lsinitramfs", &kernel.initrd]);
    list.capture = true;
    let listed = String::from_utf8(tree.run(vec![Operation::Run(list)]).unwrap().remove(0)).unwrap();
    for module in ["ext4", "overlay", "dm-mod", "raid1", "dummy", "virtio_blk", "nvme"] {
        let there = kernel.modules.iter().any(|name| *name == module.replace('-', "_"));
        let is_there = listed.lines().any(|line| line.ends_with(&format!("/{module}.ko")));
        assert_eq!(there, is_there, "{module}: {:?}", kernel.modules);
    }
    assert!(listed.lines().any(|line| line == "init"), "{listed}");
    assert!(listed.lines().any(|line| line.ends_with("sbin/fsck.ext4")), "{test}: {listed}");
}

/// An archive that lacks something is an error that names it.
fn without_a_module(tree: &Tree, kernel: &initrd::Kernel, bytes: &[u8]) {
    let check = || tree.run(vec![Operation::Setup(Step::Initrd(Task::Check(kernel.clone())))]);
    let path = tree.root().join(kernel.initrd.trim_start_matches('/'));
    let replace = |bytes: &[u8]| std::fs::write(&path, bytes).unwrap();
    replace(&bytes[..bytes.len() / 2]);
    assert!(check().unwrap_err().contains("damaged") || check().unwrap_err().contains("cut short"));
    let mut other = kernel.clone();
    other.modules.push("not_there".to_owned());
    replace(bytes);
    let said = tree.run(vec![Operation::Setup(Step::Initrd(Task::Check(other)))]).unwrap_err();
    assert!(said.contains("not in it: not_there"), "{said}");
    check().unwrap();
}

/// Takes the place of initramfs-tools, with all packages that it needs; not configured.
const UNPACK: &str = r#"cd /run/diskwright/packages
for file in *.deb; do
    dpkg-query -W "${file%%_*}" >/dev/null 2>&1 || set -- "$@" "$file"
done
dpkg --unpack --no-triggers --force-depends,conflicts "$@"
rm /usr/sbin/update-initramfs
"#;

#[test]
fn dracut_makes_the_same_initrd_each_time() {
    let test = "dracut_makes_the_same_initrd_each_time";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let mut fixture = Command::new(source("tests/fixtures/debian-packages"));
    let packages = run(fixture.args(["--existing", "bookworm", "kiwi-dracut-oem-repart"]));
    if packages.code != Some(0) {
        return skip(
            test,
            "no packages of Debian (tests/fixtures/debian-packages bookworm kiwi-dracut-oem-repart)",
        );
    }
    let Some(tree) = Tree::new(test) else { return };
    let unpack = diskwright::root::sandbox::Run::new("unpack", ["/bin/sh", "-c", UNPACK]);
    let from = PathBuf::from(packages.stdout.trim());
    let bind = Bind { from, name: "packages".to_owned(), writable: false };
    tree.run_with(vec![Operation::Run(unpack)], vec![bind]).unwrap();
    let grows = Wanted { grows: true, ..wanted() };
    let found = tree.find(&grows).unwrap();
    assert_eq!((found.generator, found.repart), (Some(Generator::Dracut), true));
    let kernel = found.kernels.first().expect("the Debian root has a kernel").clone();
    let mut made = Vec::new();
    for _ in 0..2 {
        tree.run(initrd::make(&found, &grows).unwrap()).unwrap();
        made.push(tree.bytes(&kernel.initrd));
    }
    assert!(made[0] == made[1], "two runs give other bytes");
    judge(test, &tree, &kernel);
    let says = |initrd: &str| {
        let words = ["/bin/sh", "-c", "lsinitrd \"$0\"", initrd];
        let list = diskwright::root::sandbox::Run {
            capture: true,
            ..diskwright::root::sandbox::Run::new("list", words)
        };
        String::from_utf8(tree.run(vec![Operation::Run(list)]).unwrap().remove(0)).unwrap()
    };
    let listed = says(&kernel.initrd);
    let has = |listed: &str, end: &str| listed.lines().any(|line| line.ends_with(end));
    assert!(has(&listed, "kiwi-repart-disk.sh") && has(&listed, "bin/sh -> bash"), "{listed}");
    // Of this machine nothing is in it.
    assert!(
        !has(&listed, "etc/fstab") && !has(&listed, "etc/crypttab") && !listed.contains("hostonly_cmdline")
    );
    tree.run(initrd::make(&found, &wanted()).unwrap()).unwrap();
    assert!(!has(&says(&kernel.initrd), "kiwi-repart-disk.sh"));
}

#[test]
fn archives_of_each_compression_are_read() {
    let test = "archives_of_each_compression_are_read";
    let Some(cpio) = oracle(test, "cpio") else { return };
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    for path in ["usr/lib/modules/1.0/kernel/ext4.ko.xz", "usr/lib/start"] {
        support::write(at("in").join(path), "");
    }
    std::os::unix::fs::symlink("usr/lib/start", at("in/init")).unwrap();
    support::write(at("lib/modules/1.0/modules.dep"), "kernel/ext4.ko.xz: kernel/crc.ko\n");
    let kernel = initrd::Kernel {
        version: "1.0".to_owned(),
        initrd: "/initrd".to_owned(),
        modules: vec!["ext4".to_owned()],
    };
    let pack = |with: &str| {
        let script = format!(
            "cd {}/in && find . | sort | {} -o -H newc --quiet | {with} >../initrd",
            root.path().display(),
            cpio.display()
        );
        tool("sh", ["-c", &script]);
        initrd::check(root.path(), &kernel)
    };
    let ways = [
        "cat",
        "gzip -9",
        "xz --check=crc32",
        "xz --format=lzma",
        "zstd -q -19",
        "zstd -q --ultra -22 --long=27",
    ];
    for way in ways {
        let program = way.split(' ').next().unwrap();
        if oracle(test, program).is_none() {
            continue;
        }
        let said = format!("{:?}", pack(way).unwrap_err());
        assert!(said.contains("not in it: crc\""), "{way}: {said}");
    }
    support::write(at("in/usr/lib/modules/1.0/kernel/crc.ko"), "");
    for way in ways.iter().filter(|way| oracle(test, way.split(' ').next().unwrap()).is_some()) {
        pack(way).unwrap_or_else(|error| panic!("{way}: {error:?}"));
    }
    std::fs::remove_file(at("in/usr/lib/start")).unwrap();
    assert!(format!("{:?}", pack("cat").unwrap_err()).contains("no /init"));
}
