//! `diskwright run` and `diskwright boot`: with a QEMU that is a script for every verdict, and with boot sectors that QEMU
//! runs.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::*;

const MIB: u64 = 1 << 20;

/// A boot sector: it says `login: `, echoes a line that is typed, says `welcome` and sleeps; or does what `last` says.
struct Sector {
    code: Vec<u8>,
    texts: Vec<(usize, &'static str)>,
}

impl Sector {
    fn new() -> Sector {
        // xor ax, ax; mov ds, ax; mov es, ax
        Sector { code: vec![0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0], texts: vec![] }
    }

    /// mov si, TEXT; more: lodsb; test al, al; jz end; mov dx, 0x3f8; out dx, al; jmp more
    fn say(mut self, text: &'static str) -> Sector {
        let at = 0x100 + self.texts.len() * 0x40;
        self.texts.push((at, text));
        let [low, high] = u16::try_from(0x7c00 + at).unwrap().to_le_bytes();
        self.code.extend([0xbe, low, high, 0xac, 0x84, 0xc0, 0x74, 0x06, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf5]);
        self
    }

    /// more: mov dx, 0x3fd; in al, dx; test al, 1; jz more; mov dx, 0x3f8; in al, dx; out dx, al; cmp al, 13; jne more
    fn echo_line(mut self) -> Sector {
        self.code.extend([0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf8]);
        self.code.extend([0xba, 0xf8, 0x03, 0xec, 0xee, 0x3c, 0x0d, 0x75, 0xef]);
        self
    }

    /// Itself to the second sector of the disk: mov ax, 0x301; mov bx, 0x7c00; mov cx, 2; mov dx, 0x80; int 0x13
    fn write(mut self) -> Sector {
        self.code
            .extend([0xb8, 0x01, 0x03, 0xbb, 0x00, 0x7c, 0xb9, 0x02, 0x00, 0xba, 0x80, 0x00, 0xcd, 0x13]);
        self
    }

    /// ACPI's S5 on q35: mov dx, 0x604; mov ax, 0x2000; out dx, ax
    fn power_off(mut self) -> Sector {
        self.code.extend([0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef]);
        self
    }

    /// The reset register of q35: mov dx, 0xcf9; mov al, 6; out dx, al
    fn restart(mut self) -> Sector {
        self.code.extend([0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee]);
        self
    }

    /// On a disk that SeaBIOS can read.
    fn disk(mut self, path: &Path) {
        self.code.extend([0xf4, 0xeb, 0xfd]); // hlt; jmp to it
        let mut disk = vec![0; MIB as usize];
        disk[..self.code.len()].copy_from_slice(&self.code);
        for (at, text) in self.texts {
            disk[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        write(path, disk);
    }
}

/// A directory with an image that has code in its first sector, and a QEMU that is a script.
struct Lab {
    work: tempfile::TempDir,
    image: PathBuf,
}

impl Lab {
    /// `script` is what QEMU does; it begins in the directory.
    fn new(script: &str) -> Lab {
        let work = tempfile::tempdir().unwrap();
        let image = work.path().join("disk.raw");
        Sector::new().disk(&image);
        let program = work.path().join("bin/qemu-system-x86_64");
        let text = work.path().join("script");
        write(&text, format!("#!/bin/sh\ncd '{}'\n{script}\n", work.path().display()));
        // Another process writes it: a child that another thread starts meanwhile would hold our descriptor open, and what is
        // open for writing cannot be executed.
        tool("install", ["-D".as_ref(), "-m755".as_ref(), text.as_os_str(), program.as_os_str()]);
        Lab { work, image }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// The program, which finds the script and no QEMU.
    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = command(verb.split(' '));
        command.arg(&self.image).args(["--accel", "tcg"]).args(arguments);
        command.env("PATH", format!("{}:/usr/bin:/bin", self.at("bin").display()));
        command.env("HOME", self.work.path()).env_remove("TMPDIR");
        command
    }

    fn boot(&self, arguments: &[&str]) -> Run {
        run(&mut self.command("boot", arguments))
    }

    fn report(&self, code: i32, arguments: &[&str]) -> Value {
        let run = run(&mut self.command("--json boot", arguments)).ends(code);
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// The process whose number the script has written.
    fn process(&self, name: &str) -> Pid {
        let text =
            waited_for(|| std::fs::read_to_string(self.at(name)).ok().filter(|text| text.ends_with('\n')));
        Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }
}

#[track_caller]
fn waited_for<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match what() {
            Some(found) => return found,
            None => assert!(Instant::now() < end, "it does not come"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether it runs: what nobody has waited for yet does not.
fn runs(process: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    test_kill_process(process).is_ok() && status.is_ok_and(|it| !it.contains(") Z "))
}

#[track_caller]
fn all_gone(processes: &[Pid]) {
    waited_for(|| processes.iter().all(|it| !runs(*it)).then_some(()));
}

/// Says a little, and stays with a child of its own.
const STAYS: &str =
    "echo $$ >leader\nsleep 1000 &\necho $! >child\nprintf 'hello\\r\\n'\nprintf \"$SAYS\"\nwait";

#[test]
fn texts_that_come_in_order_are_found() {
    let script = "printf '%s\\n' \"$@\" >arguments\necho \"$TMPDIR\" >tmpdir\nprintf 'one \\033[1mt'\nsleep 1\n\
                  printf 'wo\\033[0m\\r\\none\\r\\n'\nexec sleep 1000";
    let lab = Lab::new(script);
    let log = lab.at("log");
    let report = lab.report(
        0,
        &[
            "--expect",
            "one",
            "--expect",
            "two",
            "--expect",
            "one",
            "--log",
            log.to_str().unwrap(),
            "--",
            "-s",
        ],
    );
    assert_eq!(report["verdict"], "found");
    let times: Vec<f64> =
        report["expected"].as_array().unwrap().iter().map(|it| it["seconds"].as_f64().unwrap()).collect();
    assert!(
        times[0] + 0.3 < times[1] && times[1] <= times[2] && times[2] <= report["seconds"].as_f64().unwrap()
    );
    assert_eq!(report["serial"], "one two\none");
    assert_eq!((&report["firmware"], &report["accelerator"]), (&"bios".into(), &"tcg".into()));
    assert_eq!(std::fs::read(&log).unwrap(), b"one \x1b[1mtwo\x1b[0m\r\none\r\n", "all bytes, as they came");
    let arguments = std::fs::read_to_string(lab.at("arguments")).unwrap();
    let line: Vec<_> =
        report["command"].as_array().unwrap().iter().skip(1).map(|it| it.as_str().unwrap()).collect();
    let arguments_of = arguments.lines().collect::<Vec<_>>();
    // In front of them is the monitor, which nobody else can be told of.
    assert_eq!(arguments_of[4..], line);
    assert_eq!((arguments_of[0], arguments_of[2]), ("-chardev", "-mon"));
    assert!(arguments.contains("snapshot=on,file=") && arguments.ends_with("\n-s\n"), "{arguments}");
    assert!(!arguments.contains("net"), "no network unless asked for");
    let scratch = std::fs::read_to_string(lab.at("tmpdir")).unwrap();
    let scratch = scratch.strip_prefix("/var/tmp/").unwrap().trim();
    assert!(
        scratch.starts_with("diskwright-boot.") && !Path::new("/var/tmp").join(scratch).exists(),
        "{scratch}"
    );
}

#[test]
fn the_order_counts() {
    let lab = Lab::new("echo two; echo one; exit 0");
    let report = lab.report(1, &["--expect", "one", "--expect", "two"]);
    assert_eq!(report["verdict"], "guest-ended");
    assert!(report["expected"][0]["seconds"].is_f64() && report["expected"][1]["seconds"].is_null());
    let said = lab.boot(&["--expect", "one", "--expect", "two"]).ends(1);
    assert!(said.stderr.contains("two\none\n"), "what the guest said is shown: {}", said.stderr);
    assert!(said.stderr.contains("no \"two\": the guest powered off"), "{}", said.stderr);
    assert_eq!(said.stdout, "");
}

#[test]
fn time_is_limited_and_nothing_is_left_behind() {
    let lab = Lab::new(&format!("touch $TMPDIR/overlay\ntrap '' TERM\n{STAYS}\nwhile :; do sleep 1; done"));
    let scratch = lab.at("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let begin = Instant::now();
    let directory = scratch.to_str().unwrap();
    let said = lab.boot(&["--expect", "never", "--timeout", "1", "--work-dir", directory]).ends(1);
    assert!(listing(&scratch).is_empty());
    assert!(begin.elapsed() < Duration::from_secs(15));
    assert!(said.stderr.contains("no \"never\" within 1 s"), "{}", said.stderr);
    all_gone(&[lab.process("leader"), lab.process("child")]);
}

#[test]
fn what_must_not_come_ends_it_at_once() {
    let lab =
        Lab::new(&format!("SAYS='\\033[31m[    2.1] Kernel panic - not syncing: VFS\\033[0m\\n'\n{STAYS}"));
    let report = lab.report(1, &["--expect", "login:"]);
    assert_eq!(report["verdict"], "rejected");
    assert!(report["reason"].as_str().unwrap().starts_with("kernel panic: "), "{report}");
    all_gone(&[lab.process("leader"), lab.process("child")]);
    let report = lab.report(0, &["--expect", "VFS\n", "--no-signs"]);
    assert_eq!(report["verdict"], "found");
    let report = lab.report(1, &["--expect", "VFS\n", "--no-signs", "--reject", "syncing: VFS"]);
    assert!(report["reason"].as_str().unwrap().starts_with("\"syncing: VFS\""), "{report}");
    assert_eq!(
        lab.report(0, &["--expect", "Kernel panic - not syncing"])["verdict"],
        "found",
        "it is waited for"
    );
}

#[test]
fn a_qemu_that_fails_is_another_thing_than_a_guest_that_does() {
    for (script, words) in [
        ("echo 'qemu: no such device' >&2; exit 3", "QEMU failed (exit status: 3)"),
        ("echo 'qemu: no such device' >&2; kill -9 $$", "QEMU failed (signal: 9 (SIGKILL))"),
    ] {
        let lab = Lab::new(script);
        let said = lab.boot(&["--expect", "x"]).ends(4);
        assert!(
            said.stderr.contains("qemu: no such device\n") && said.stderr.contains(words),
            "{}",
            said.stderr
        );
        let report = lab.report(4, &["--expect", "x"]);
        assert_eq!(
            (&report["verdict"], &report["qemu"]),
            (&"failed".into(), &"qemu: no such device\n".into())
        );
    }
    let lab = Lab::new("echo found; exit 3");
    lab.boot(&["--expect", "found"]).ends(0);
}

fn spawned(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn number(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

#[test]
fn a_signal_ends_it_in_order() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let lab = Lab::new(STAYS);
        let mut child = spawned(lab.command("boot", &["--expect", "never"]));
        let processes = [lab.process("leader"), lab.process("child")];
        kill_process(number(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal:?}");
        all_gone(&processes);
    }
}

#[test]
fn even_when_it_is_killed_qemu_does_not_outlive_it() {
    let lab = Lab::new("echo $$ >leader\nexec sleep 1000");
    let mut child =
        spawned(lab.command("boot", &["--expect", "never", "--work-dir", lab.work.path().to_str().unwrap()]));
    let leader = lab.process("leader");
    assert!(runs(leader));
    child.kill().unwrap();
    child.wait().unwrap();
    all_gone(&[leader]);
}

#[test]
fn prompts_are_answered() {
    let script = r#"exec bash -c "printf 'login: '; IFS= read -r -d \$'\\r' name; printf 'password: '
        IFS= read -r -d \$'\\r' word; echo \"got \$name/\$word\"; exec sleep 1000""#;
    let lab = Lab::new(script);
    let report = lab.report(
        0,
        &[
            "--send",
            "login: =root",
            "--send",
            "password: =a=b c",
            "--expect",
            "got root/a=b c",
            "--timeout",
            "20",
        ],
    );
    assert_eq!(report["serial"], "login: password: got root/a=b c");
}

#[test]
fn a_guest_that_never_stops_talking_fills_no_memory() {
    let lab = Lab::new("echo $$ >leader\nyes 'the quick brown fox' | tee /dev/stderr");
    let mut command = lab.command("boot", &["--expect", "never", "--timeout", "4"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    lab.process("leader");
    std::thread::sleep(Duration::from_secs(2));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(peak < 64 << 10, "{peak} KiB");
    assert!(said.len() < 32 << 10 && said.contains("no \"never\" within 4 s"), "{} bytes", said.len());
}

#[test]
fn what_is_missing_is_named_with_its_packages() {
    let lab = Lab::new("");
    let without = |arguments: &[&str]| {
        let mut command = lab.command("boot", &["--expect", "x"]);
        run(command.args(arguments).env("PATH", lab.work.path()))
    };
    let said = without(&[]).ends(3).stderr;
    assert!(said.contains("qemu-system-x86_64 is not installed"), "{said}");
    assert!(
        said.contains(
            "install qemu-system-x86 (Debian, Ubuntu), qemu-system-x86-core (Fedora) or qemu-x86 (SUSE)"
        ),
        "{said}"
    );
    let said = without(&["--arch", "arm64"]).ends(3).stderr;
    assert!(said.contains("qemu-system-aarch64") && said.contains("qemu-system-arm (Debian"), "{said}");
}

#[test]
fn wrong_usage_and_images_that_nothing_starts() {
    let lab = Lab::new("exit 9");
    tool("cp", ["qemu-system-x86_64", "qemu-system-s390x"].map(|name| lab.at("bin").join(name)));
    for arguments in [
        &["--expect", ""][..],
        &["--expect", "\x1b"],
        &["--expect", "x", "--timeout", "0"],
        &["--expect", "x", "--send", "no equals sign"],
        &["--expect", "x", "--memory", "lots"],
        &["--expect", "x", "--memory", "1M"],
        &["--expect", "x", "--arch", "vax"],
        &["--expect", "x", "--arch", "s390x", "--firmware", "uefi"],
        &["--expect", "x", "--forward", "2222:22"],
        &["--expect", "x", "--forward", "2222"],
        &["--expect", "x", "--firmware", "bios", "--secure-boot"],
        &[],
    ] {
        lab.boot(arguments).ends(2);
    }
    write(&lab.image, vec![0; MIB as usize]);
    let said = lab.boot(&["--expect", "x"]).ends(1).stderr;
    assert!(said.contains("no firmware would start it") && said.contains("--firmware bios"), "{said}");
    lab.boot(&["--expect", "x", "--firmware", "bios"]).ends(4);
    lab.boot(&["--expect", "x", "--", "-kernel", "k"]).ends(4);
    let log = lab.image.to_str().unwrap();
    let said = lab.boot(&["--expect", "x", "--firmware", "bios", "--log", log]).ends(1).stderr;
    assert!(said.contains("is the image"), "{said}");
    assert_eq!(std::fs::metadata(&lab.image).unwrap().len(), MIB);
    lab.boot(&["--expect", "x", "--arch", "s390x"]).ends(4);
    std::fs::remove_file(&lab.image).unwrap();
    lab.boot(&["--expect", "x"]).ends(1);
}

#[test]
fn run_becomes_qemu() {
    let lab = Lab::new("printf '%s\\n' \"$@\" >arguments\necho \"$TMPDIR\" >tmpdir\nexit 7");
    let said = run(&mut lab.command("run", &["--memory", "512M", "--forward", "2222:22"])).ends(7);
    assert!(
        said.stderr.contains("raw, x86_64, BIOS, under emulation; what the guest writes is thrown away"),
        "{}",
        said.stderr
    );
    let arguments = std::fs::read_to_string(lab.at("arguments")).unwrap();
    for part in
        ["snapshot=on,file=", "\n512M\n", "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22\n", "\nmon:stdio\n"]
    {
        assert!(arguments.contains(part), "{part}: {arguments}");
    }
    let said = run(&mut lab.command("run", &["--write", "--net", "none", "-q"])).ends(7);
    assert_eq!(said.stderr, "");
    let arguments = std::fs::read_to_string(lab.at("arguments")).unwrap();
    assert!(arguments.contains("snapshot=off,file=") && !arguments.contains("net"), "{arguments}");
    let directory = lab.at("scratch");
    run(&mut lab.command("run", &["--work-dir", directory.to_str().unwrap()])).ends(7);
    assert_eq!(std::fs::read_to_string(lab.at("tmpdir")).unwrap(), format!("{}\n", directory.display()));

    let said = run(&mut lab.command("run", &["--dry-run", "--net", "none"])).ends(0).stdout;
    let expected = format!(
        "TMPDIR=/var/tmp {}/bin/qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1024M \
         -nodefaults -drive if=none,id=disk,format=raw,snapshot=on,file={} -device virtio-blk-pci,drive=disk,bootindex=0 \
         -serial mon:stdio -display none\n",
        lab.work.path().display(),
        lab.image.display()
    );
    assert_eq!(said, expected);
    if !root() {
        std::fs::set_permissions(&lab.image, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
        run(&mut lab.command("run", &["--write"])).ends(3);
    }
}

/// Firmware that descriptions in the user's own directory name: one for each machine and with Secure Boot.
fn firmware(lab: &Lab) {
    for (name, features, arch) in [
        ("00-secure", r#""secure-boot", "enrolled-keys", "requires-smm""#, "x86_64"),
        ("01-plain", "", "x86_64"),
        ("02-arm", "", "aarch64"),
    ] {
        let at = lab.at("firmware").join(name);
        for ending in ["code", "vars"] {
            write(at.with_extension(ending), "");
        }
        let description = format!(
            r#"{{"interface-types": ["uefi"], "features": [{features}], "tags": [],
                "targets": [{{"architecture": "{arch}", "machines": ["pc-q35-*", "virt-*"]}}],
                "mapping": {{"device": "flash",
                    "executable": {{"filename": "{0}.code", "format": "raw"}},
                    "nvram-template": {{"filename": "{0}.vars", "format": "raw"}}}}}}"#,
            at.display()
        );
        write(lab.at(".config/qemu/firmware").join(format!("{name}.json")), description);
    }
}

#[test]
fn the_machine_is_the_one_that_the_image_is_for() {
    const TEST: &str = "the_machine_is_the_one_that_the_image_is_for";
    let mut lab = Lab::new("exit 9");
    tool("cp", ["qemu-system-x86_64", "qemu-system-aarch64"].map(|name| lab.at("bin").join(name)));
    firmware(&lab);
    let tree = lab.at("tree");
    boot_files(&tree);
    let command_of =
        |lab: &Lab, arguments: &[&str]| run(lab.command("run", &["-n"]).args(arguments)).ends(0).stdout;
    for format in ["raw", "qcow2"] {
        lab.image = lab.at(&format!("uefi.{format}"));
        diskwright([
            "create".as_ref(),
            "--root".as_ref(),
            tree.as_os_str(),
            "-o".as_ref(),
            lab.image.as_os_str(),
        ])
        .ends(0);
        let said = command_of(&lab, &[]);
        assert!(said.contains(&format!("id=disk,format={format},")), "{said}");
        assert!(said.contains("firmware/01-plain.code") && said.contains("snapshot=on,file="), "{said}");
        assert!(!said.contains("smm=on") && !said.contains("block_size"), "{said}");
        let said = command_of(&lab, &["--secure-boot"]);
        assert!(said.contains("firmware/00-secure.vars") && said.contains("q35,smm=on"), "{said}");
        assert!(!command_of(&lab, &["--firmware", "bios"]).contains("pflash"));
        let said = run(&mut lab.command("run", &["-n", "--arch", "aarch64"])).ends(1).stderr;
        assert!(said.contains("its loaders are for other machines than aarch64"), "{said}");
    }
    // The same ESP in an MBR, and without any table.
    if let (Some(sfdisk), Some(mkfs_fat), Some(mmd), Some(mcopy)) =
        (oracle(TEST, "sfdisk"), oracle(TEST, "mkfs.fat"), oracle(TEST, "mmd"), oracle(TEST, "mcopy"))
    {
        lab.image = lab.at("fat");
        std::fs::File::create(&lab.image).unwrap().set_len(16 * MIB).unwrap();
        let image = lab.image.as_os_str();
        tool(mkfs_fat, [image]);
        tool(mmd, ["-i".as_ref(), image, "::efi".as_ref(), "::efi/Boot".as_ref()]);
        let loader = lab.at("bin/qemu-system-x86_64");
        tool(mcopy, ["-i".as_ref(), image, loader.as_os_str(), "::efi/Boot/bootx64.efi".as_ref()]);
        assert!(command_of(&lab, &[]).contains("firmware/01-plain.code"));
        let fat = std::fs::read(&lab.image).unwrap();
        lab.image = lab.at("mbr");
        std::fs::File::create(&lab.image).unwrap().set_len(40 * MIB).unwrap();
        let orders = lab.at("orders");
        write(&orders, "label: dos\nstart=2048,size=2048,type=83\nstart=6144,size=32768,type=ef\n");
        let mut command = Command::new(sfdisk);
        command.arg("-q").arg(&lab.image).stdin(std::fs::File::open(&orders).unwrap());
        run(&mut command).ends(0);
        let disk = std::fs::OpenOptions::new().write(true).open(&lab.image).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&disk, &fat, 3 * MIB).unwrap();
        assert!(command_of(&lab, &[]).contains("firmware/01-plain.code"));
    }
    // A loader for another machine, on sectors of 4096 bytes.
    let from = tree.join("usr/lib/systemd/boot/efi");
    std::fs::rename(from.join("systemd-bootx64.efi"), from.join("systemd-bootaa64.efi")).unwrap();
    let directory = lab.at("description");
    description(
        &directory,
        r#"image="oem" firmware="uefi" filesystem="ext4" target_blocksize="4096" efipartsize="300""#,
        r#"<bootloader name="systemd_boot" timeout="0"/>"#,
    );
    let out = lab.at("out");
    let paths = [directory.as_os_str(), "--root".as_ref(), tree.as_os_str(), "-o".as_ref(), out.as_os_str()];
    diskwright(["create", "--arch", "aarch64"].map(AsRef::as_ref).into_iter().chain(paths)).ends(0);
    lab.image = out.join(listing(&out).into_iter().find(|name| name.ends_with(".raw")).unwrap());
    let said = command_of(&lab, &[]);
    assert!(
        said.contains("/qemu-system-aarch64 -machine virt") && said.contains("firmware/02-arm.code"),
        "{said}"
    );
    assert!(said.contains("logical_block_size=4096,physical_block_size=4096"), "{said}");
}

/// The probe of KVM, where there is a device that can be opened: its small guest runs, under emulation that is called KVM.
#[test]
fn kvm_is_taken_when_a_small_guest_comes_up() {
    const TEST: &str = "kvm_is_taken_when_a_small_guest_comes_up";
    let Some(qemu) = oracle(TEST, "qemu-system-x86_64") else { return };
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
    if device.is_err() || std::env::consts::ARCH != "x86_64" {
        return inapplicable(TEST, "no /dev/kvm that can be opened");
    }
    let emulated = format!(
        "for word; do shift; case $word in kvm) word=tcg ;; host) word=max ;; esac; set -- \"$@\" \"$word\"; done\nexec {} \"$@\"",
        qemu.display()
    );
    for (script, found) in [(emulated.as_str(), "kvm"), ("exit 0", "tcg"), ("exec sleep 1000", "tcg")] {
        let lab = Lab::new(script);
        let mut command = lab.command("run", &["-n", "--json"]);
        let arguments: Vec<_> =
            command.get_args().filter(|it| *it != "--accel" && *it != "tcg").map(ToOwned::to_owned).collect();
        let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
        command = support::command(arguments);
        let said = run(command.env("PATH", path)).ends(0).stdout;
        let report: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(report["accelerator"], found, "{script}");
    }
}

#[test]
fn qemu_boots_a_sector_from_every_container() {
    const TEST: &str = "qemu_boots_a_sector_from_every_container";
    let (Some(_), Some(qemu_img)) = (oracle(TEST, "qemu-system-x86_64"), oracle(TEST, "qemu-img")) else {
        return;
    };
    let work = tempfile::tempdir().unwrap();
    let raw = work.path().join("a, b.raw");
    Sector::new().say("login: ").echo_line().say("welcome").disk(&raw);
    let boot = |image: &Path, arguments: &[&str]| {
        let mut command = command(["boot".as_ref(), image.as_os_str()]);
        command.args(["--accel", "tcg", "--timeout", "60", "--json"]).args(arguments);
        let run = run(&mut command);
        let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
        (run.code, report)
    };
    let (code, report) =
        boot(&raw, &["--send", "login: =somebody", "--expect", "somebody", "--expect", "welcome"]);
    assert_eq!((code, &report["serial"]), (Some(0), &"login: somebodywelcome".into()), "{report}");
    for format in ["qcow2", "vmdk", "vdi", "vhdx", "vpc", "qed", "parallels"] {
        let image = work.path().join("disk");
        tool(
            &qemu_img,
            ["convert".as_ref(), "-O".as_ref(), format.as_ref(), raw.as_os_str(), image.as_os_str()],
        );
        let before = std::fs::read(&image).unwrap();
        let (code, report) = boot(&image, &["--expect", "login: ", "--firmware", "bios"]);
        assert_eq!((code, &report["format"]), (Some(0), &format.into()), "{report}");
        assert!(before == std::fs::read(&image).unwrap(), "{format}: not written");
    }
}

#[test]
fn only_with_write_does_a_guest_write_to_the_image() {
    if oracle("only_with_write_does_a_guest_write_to_the_image", "qemu-system-x86_64").is_none() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("disk.raw");
    Sector::new().write().say("written").power_off().disk(&image);
    let before = std::fs::read(&image).unwrap();
    let qemu = |arguments: &[&str]| {
        let mut command = command(arguments.iter().map(AsRef::as_ref).chain([image.as_os_str()]));
        run(command.args(["--accel", "tcg"]).stdin(Stdio::null())).ends(0)
    };
    qemu(&["boot", "--expect", "written"]);
    assert!(qemu(&["run"]).stdout.contains("written"));
    assert!(std::fs::read(&image).unwrap() == before, "not written");
    assert!(qemu(&["run", "--write"]).stdout.contains("written"));
    let after = std::fs::read(&image).unwrap();
    assert_eq!(after[512..1024], before[..512], "the second sector is the first");
    assert!(after[..512] == before[..512] && after[1024..] == before[1024..]);
    let mut command = command(["boot".as_ref(), image.as_os_str()]);
    let said = run(command.args(["--accel", "tcg", "--expect", "more", "--timeout", "60"])).ends(1).stderr;
    assert!(said.contains("written\n") && said.contains("the guest powered off"), "{said}");
}

/// A guest that restarts for ever comes up as often as it may.
#[test]
fn restarts_are_counted() {
    if oracle("restarts_are_counted", "qemu-system-x86_64").is_none() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("disk.raw");
    Sector::new().say("up\r\n").restart().disk(&image);
    let boot = |code, arguments: &[&str]| -> Value {
        let mut command = command(["--json".as_ref(), "boot".as_ref(), image.as_os_str()]);
        command.args(["--accel", "tcg", "--timeout", "60"]).args(arguments);
        serde_json::from_str(&run(&mut command).ends(code).stdout).unwrap()
    };
    let thrice = ["--expect", "up", "--expect", "up", "--expect", "up"];
    let once = boot(0, &["--expect", "up"]);
    assert_eq!((&once["verdict"], &once["restarts"]), (&"found".into(), &0.into()));
    for (allowed, times) in [(&[][..], 1), (&["--restarts", "1"], 2)] {
        let report = boot(1, &[&thrice, allowed].concat());
        assert_eq!(
            (&report["verdict"], &report["restarts"]),
            (&"restarted".into(), &times.into()),
            "{report}"
        );
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("(--restarts {times} allows it)")), "{reason}");
    }
    let report = boot(0, &[&thrice[..], &["--restarts", "2"]].concat());
    assert_eq!((&report["verdict"], &report["restarts"]), (&"found".into(), &2.into()), "{report}");
    Sector::new().say("up\r\n").power_off().disk(&image);
    let report = boot(1, &[&thrice[..], &["--restarts", "2"]].concat());
    assert_eq!((&report["verdict"], &report["restarts"]), (&"guest-ended".into(), &0.into()), "{report}");
}

/// What `doctor` says of a row.
fn doctor(what: &str) -> String {
    let report: Value = serde_json::from_str(&diskwright(["doctor", "--json"]).ends(0).stdout).unwrap();
    let row = report["findings"].as_array().unwrap().iter().find(|row| row["what"] == what);
    row.unwrap_or_else(|| panic!("{what}: {report}"))["found"].as_str().unwrap().to_owned()
}

#[test]
fn a_uefi_starts_a_loader_and_with_secure_boot_refuses_one_that_is_not_signed() {
    const TEST: &str = "a_uefi_starts_a_loader_and_with_secure_boot_refuses_one_that_is_not_signed";
    let (Some(_), Some(root)) = (oracle(TEST, "qemu-system-x86_64"), debian_root(TEST)) else { return };
    if doctor("UEFI firmware") == "no" || doctor("UEFI with Secure Boot") == "no" {
        return skip(TEST, "OVMF missing (package ovmf)");
    }
    let work = tempfile::tempdir().unwrap();
    let [tree, image] = ["tree", "disk.qcow2"].map(|name| work.path().join(name));
    boot_files(&tree);
    let loader = "./usr/lib/systemd/boot/efi/systemd-bootx64.efi";
    tool("tar", ["-xf".as_ref(), root.as_os_str(), "-C".as_ref(), tree.as_os_str(), loader.as_ref()]);
    diskwright(["create".as_ref(), "--root".as_ref(), tree.as_os_str(), "-o".as_ref(), image.as_os_str()])
        .ends(0);
    let before = std::fs::read(&image).unwrap();
    let boot = |arguments: &[&str]| {
        let mut command = command(["boot".as_ref(), image.as_os_str()]);
        let run =
            run(command.args(["--accel", "tcg", "--timeout", "120", "--json", "--expect"]).args(arguments));
        let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
        (run.code, report)
    };
    let (code, report) = boot(&["Reboot Into Firmware Interface"]);
    assert_eq!((code, &report["firmware"]), (Some(0), &"uefi".into()), "{report}");
    let (code, report) = boot(&["Reboot Into Firmware Interface", "--secure-boot"]);
    assert_eq!((code, &report["secure_boot"]), (Some(1), &true.into()), "{report}");
    assert!(report["reason"].as_str().unwrap().starts_with("Secure Boot refused a program"), "{report}");
    assert!(before == std::fs::read(&image).unwrap(), "not written");
}
