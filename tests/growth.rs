//! The last partition grows into the disk: who does it in which tree, and that it happens, once, and not where it is off.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use diskwright::boot::{Growing, Way, growth};
use diskwright::build::identity;
use diskwright::describe::kiwi::parse;
use diskwright::model::Arch;
use diskwright::plan::{Plan, plan};
use diskwright::resolve::{Choice, resolve};
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_formats::layout::Memory;
use diskwright_fstools::tree::{Data, Kind, Meta, Node, Time, Tree};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::*;

const GIB: u64 = 1 << 30;
const LOADER: &str = r#"<bootloader name="grub2" timeout="0" output_console="serial" serial_line="serial --unit=0 --speed=115200"/>"#;
const CONSOLE: &str = "console=ttyS0 rw no_timer_check quiet systemd.show_status=0";
/// Up to what is done before services start, and no further.
const EARLY: &str = "systemd.unit=verdict.target";
/// All that the system starts.
const LATE: &str = "systemd.wants=verdict.service";

const VERDICT_TARGET: &str = "[Unit]
Description=Verdict on growth
Requires=sysinit.target
After=sysinit.target
Wants=verdict.service
AllowIsolate=yes
";

const VERDICT_UNIT: &str = "[Unit]
Description=Verdict on growth
DefaultDependencies=no
After=sysinit.target multi-user.target

[Service]
Type=oneshot
ExecStart=/usr/sbin/verdict
";

/// Says how long everything is, what the log tells of growth, and which units failed; then it ends.
const VERDICT: &str = r#"#!/bin/sh
mib() { echo $(($(stat -f -c '%b * %S' "$1") / 1048576)); }
spare=-
if mountpoint -q /spare; then spare=$(mib /spare); fi
device=$(findmnt -n -o SOURCE /)
failed=$(systemctl --failed --plain --no-legend | tr '\n' ' ')
did=$(journalctl -b -q -o cat -u diskwright-grow.service -u systemd-repart.service | grep -c -e grew -e 'Growing existing partition')
echo 1 >/proc/sys/kernel/printk
echo "DISKWRIGHT-GROWTH root=$(mib /) partition=$(($(blockdev --getsize64 "$device") / 1048576)) spare=$spare did=$did failed=[$failed]" >/dev/ttyS0
sync
echo u >/proc/sysrq-trigger
sleep 1
echo o >/proc/sysrq-trigger
sleep 100
"#;

/// What our script says on the console.
const TOLD: &str = "diskwright: ";

/// What a guest said of itself.
#[derive(Debug)]
struct Said {
    /// MiB that the file system of the root has for files.
    root: u64,
    /// MiB of its partition.
    partition: u64,
    /// MiB of the file system at `/spare`.
    spare: Option<u64>,
    /// Lines of the log that tell of growth.
    did: u64,
    /// Lines of the console that do.
    told: Vec<String>,
    failed: String,
}

/// A Debian root and what is laid over it.
struct Root {
    at: tempfile::TempDir,
}

fn prepared(test: &str, more: impl FnOnce(&Path)) -> Option<Root> {
    oracle(test, "qemu-system-x86_64")?;
    let tar = debian_root(test)?;
    let listed = tool("tar", ["-tf".as_ref(), tar.as_os_str()]);
    let needed =
        ["./usr/lib/grub/i386-pc/boot.img", "./usr/bin/systemd-repart", "./usr/lib/systemd/systemd-growfs"];
    if let Some(path) = needed.iter().find(|path| !listed.lines().any(|line| line == **path)) {
        skip(test, &format!("no {path} in the Debian root (tests/run --install makes one that has it)"));
        return None;
    }
    let at = tempfile::Builder::new().prefix("growth").tempdir_in("/var/tmp").unwrap();
    let root = at.path().join("root.tar");
    std::fs::copy(tar, &root).unwrap();
    let over = at.path().join("over");
    write(over.join("etc/systemd/system/verdict.target"), VERDICT_TARGET);
    write(over.join("etc/systemd/system/verdict.service"), VERDICT_UNIT);
    program(over.join("usr/sbin/verdict"), VERDICT);
    more(&over);
    let mut append = Command::new("tar");
    append.args(["--append", "--owner=0", "--group=0", "--mtime=@0", "-C"]).arg(&over).arg("-f").arg(&root);
    let files = run(Command::new("find").args([".", "-type", "f"]).current_dir(&over)).ends(0).stdout;
    run(append.args(files.lines())).ends(0);
    Some(Root { at })
}

fn program(at: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    write(&at, bytes);
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// sfdisk of this host with all that it links, which Debian's smallest root lacks.
fn with_sfdisk(test: &str) -> Option<impl FnOnce(&Path)> {
    let sfdisk = oracle(test, "sfdisk")?;
    let linked = tool("ldd", [sfdisk.as_os_str()]);
    let paths = linked.split_whitespace().filter(|word| word.starts_with('/'));
    let paths: Vec<PathBuf> = paths.map(PathBuf::from).chain([sfdisk]).collect();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let loader = paths.iter().map(|path| name(path)).find(|name| name.starts_with("ld-")).unwrap();
    Some(move |over: &Path| {
        let directory = "/opt/sfdisk";
        for path in &paths {
            program(over.join(&directory[1..]).join(name(path)), std::fs::read(path).unwrap());
        }
        let text = format!(
            "#!/bin/sh\nexec {directory}/{loader} --library-path {directory} {directory}/sfdisk \"$@\"\n"
        );
        program(over.join("usr/sbin/sfdisk"), text);
    })
}

impl Root {
    /// Makes a raw image of 2 GiB that starts with this on its command line; what was said to it.
    #[track_caller]
    fn create(&self, name: &str, until: &str, attributes: &str, inner: &str) -> (PathBuf, Run) {
        let at = self.at.path();
        let line = format!(r#"image="oem" filesystem="ext4" kernelcmdline="{CONSOLE} {until}" {attributes}"#);
        let inner = format!("{LOADER}{inner}<size unit=\"G\">2</size>");
        description(&at.join(format!("{name}.description")), &line, &inner);
        let mut create =
            command(["create", &format!("{name}.description"), "--root", "root.tar", "-o", name]);
        create.args(["--seed", "tests", "--no-sync", "--format", "raw"]).current_dir(at);
        let said = run(&mut create).ends(0);
        let out = at.join(name);
        let image = listing(&out).into_iter().find(|name| name.ends_with(".raw")).unwrap();
        (out.join(image), said)
    }
}

/// The image on a disk of this length.
fn on_disk(image: &Path, len: u64) {
    std::fs::File::options().write(true).open(image).unwrap().set_len(len).unwrap();
}

/// Starts it and waits for its end; what it writes stays.
#[track_caller]
fn start(image: &Path, firmware: &str) -> Said {
    let mut guest = Command::new("timeout");
    guest.args(["500", env!("CARGO_BIN_EXE_diskwright"), "run", "--write", "--net", "none"]);
    guest.args(["--firmware", firmware]).arg(image);
    let all = run(guest.stdin(Stdio::null())).ends(0).stdout;
    let line = all.lines().find_map(|line| line.split_once("DISKWRIGHT-GROWTH "));
    let line = line.unwrap_or_else(|| panic!("{all}")).1;
    let (numbers, failed) = line.split_once(" failed=[").unwrap();
    let number = |name: &str| {
        let value = numbers.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("{line}")).parse().ok()
    };
    let tells = |line: &&str| line.contains(TOLD);
    Said {
        root: number("root").unwrap(),
        partition: number("partition").unwrap(),
        spare: number("spare"),
        did: number("did").unwrap(),
        told: all.lines().filter(tells).map(str::to_owned).collect(),
        failed: failed.trim_end().trim_end_matches(']').trim().to_owned(),
    }
}

/// Both copies of the table are well, and so is the file system in the last partition.
#[track_caller]
fn is_well(test: &str, image: &Path) {
    if oracle(test, "sgdisk").is_some() && read_at(image, 512, 8) == b"EFI PART" {
        let said = tool("sgdisk", ["-v".as_ref(), image.as_os_str()]);
        assert!(said.contains("No problems found"), "{said}");
    }
    if oracle(test, "e2fsck").is_none() || oracle(test, "sfdisk").is_none() {
        return;
    }
    // Of what sfdisk takes for sectors: a file has those of 512 bytes.
    if read_at(image, 512, 8) != b"EFI PART" && read_at(image, 4096, 8) == b"EFI PART" {
        return;
    }
    let table = run(Command::new("sfdisk").arg("--json").arg(image)).ends(0).stdout;
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let parts = table["partitiontable"]["partitions"].as_array().unwrap();
    let last = parts.iter().filter_map(|part| part["start"].as_u64()).max().unwrap();
    let said = tool("e2fsck", ["-fn", &format!("{}?offset={}", image.display(), last * 512)]);
    assert!(said.contains("Pass 5") && !said.to_lowercase().contains("error"), "{said}");
}

fn read_at(image: &Path, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    std::os::unix::fs::FileExt::read_exact_at(&std::fs::File::open(image).unwrap(), &mut bytes, at).unwrap();
    bytes
}

/// As many MiB, less a few percent that a file system has for itself.
#[track_caller]
fn assert_about(mib: u64, expected: u64, said: &Said) {
    assert!((expected * 95 / 100..=expected).contains(&mib), "{expected}: {said:?}");
}

/// The first start makes root and partition this long; the second, which is one of the slow tests, does nothing.
#[track_caller]
fn grows_once(test: &str, image: &Path, firmware: &str, mib: u64) {
    let first = start(image, firmware);
    assert_about(first.partition, mib, &first);
    assert_about(first.root, mib, &first);
    assert!(first.did > 0 && !first.told.is_empty() && first.failed.is_empty(), "{first:?}");
    is_well(test, image);
    if !all() {
        return;
    }
    let second = start(image, firmware);
    assert_eq!((second.root, second.partition, second.did), (first.root, first.partition, 0), "{second:?}");
    assert!(second.told.is_empty() && second.failed.is_empty(), "{second:?}");
}

#[track_caller]
fn stays(image: &Path, firmware: &str, mib: u64) {
    let said = start(image, firmware);
    assert_about(said.partition, mib, &said);
    assert_about(said.root, mib, &said);
    assert_eq!((said.did, said.told.len(), said.failed.as_str()), (0, 0, ""), "{said:?}");
}

#[test]
fn two_gib_on_a_disk_of_eight() {
    let test = "two_gib_on_a_disk_of_eight";
    let Some(root) = prepared(test, |_| {}) else { return };
    let (image, said) = root.create("gpt", EARLY, r#"firmware="uefi""#, "");
    assert!(
        said.stdout.contains("growth: p.lxroot grows at the first boot: systemd-repart"),
        "{}",
        said.stdout
    );
    on_disk(&image, 8 * GIB);
    grows_once(test, &image, "bios", 8 * 1024);
}

#[test]
fn an_mbr_grows_by_our_unit() {
    let test = "an_mbr_grows_by_our_unit";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let Some(sfdisk) = with_sfdisk(test) else { return };
    let Some(root) = prepared(test, sfdisk) else { return };
    let (image, said) = root.create("mbr", EARLY, r#"firmware="bios""#, "");
    assert!(
        said.stdout.contains("growth: p.lxroot grows at the first boot: a unit of ours"),
        "{}",
        said.stdout
    );
    on_disk(&image, 8 * GIB);
    grows_once(test, &image, "bios", 8 * 1024);
    // Not at the first boot alone: the disk is longer than before.
    on_disk(&image, 9 * GIB);
    grows_once(test, &image, "bios", 9 * 1024);
    // Once, whatever it may become.
    let oem =
        "<oemconfig><oem-resize-once>true</oem-resize-once><oem-systemsize>4000</oem-systemsize></oemconfig>";
    let (image, _) = root.create("once", EARLY, r#"firmware="bios""#, oem);
    on_disk(&image, 3 * GIB);
    grows_once(test, &image, "bios", 3 * 1024);
    on_disk(&image, 8 * GIB);
    stays(&image, "bios", 3 * 1024);
}

/// The extended partition around it grows before it; and it grows no further than it may.
#[test]
fn a_logical_partition_grows() {
    let test = "a_logical_partition_grows";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let Some(sfdisk) = with_sfdisk(test) else { return };
    let Some(root) = prepared(test, sfdisk) else { return };
    let attributes =
        r#"firmware="bios" dosparttable_extended_layout="true" spare_part="20" spare_part_fs="ext4""#;
    let inner = r#"<oemconfig><oem-swap>true</oem-swap><oem-swapsize>16</oem-swapsize><oem-systemsize>4000</oem-systemsize></oemconfig>
        <partitions><partition name="data1" size="8"/><partition name="data2" size="8"/></partitions>"#;
    let (image, _) = root.create("logical", EARLY, attributes, inner);
    on_disk(&image, 8 * GIB);
    grows_once(test, &image, "bios", 4000);
}

#[test]
fn off_stays_off() {
    let test = "off_stays_off";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let Some(root) = prepared(test, |_| {}) else { return };
    let off = "<oemconfig><oem-resize>false</oem-resize></oemconfig>";
    let (image, said) = root.create("off", EARLY, r#"firmware="uefi""#, off);
    assert!(!said.stdout.contains("growth"), "{}", said.stdout);
    on_disk(&image, 8 * GIB);
    stays(&image, "bios", 2 * 1024);
}

/// Partitions of one type, of which the last one grows, at the first boot alone, to what it may; and a root of its own
/// length with a spare partition behind it that grows.
#[test]
fn a_gpt_with_more_than_a_root() {
    let test = "a_gpt_with_more_than_a_root";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let Some(root) = prepared(test, |_| {}) else { return };
    let oem = "<oemconfig><oem-systemsize>5000</oem-systemsize></oemconfig>";
    let (image, said) = root.create("parted", EARLY, r#"firmware="uefi" bootpartition="true""#, oem);
    assert!(
        said.stdout.contains("p.lxroot grows at the first boot alone: systemd-repart"),
        "{}",
        said.stdout
    );
    on_disk(&image, 4 * GIB);
    let entry_of_boot = || read_at(&image, 1024 + 2 * 128, 128);
    let before = entry_of_boot();
    grows_once(test, &image, "bios", 4 * 1024 - 323);
    assert_eq!(entry_of_boot(), before);
    on_disk(&image, 8 * GIB);
    stays(&image, "bios", 4 * 1024 - 323);
    let (image, _) = root.create("limit", EARLY, r#"firmware="uefi""#, oem);
    on_disk(&image, 8 * GIB);
    grows_once(test, &image, "bios", 5000);

    let attributes = r#"firmware="uefi" spare_part="64" spare_part_is_last="true" spare_part_fs="ext4" spare_part_mountpoint="/spare""#;
    let oem = "<oemconfig><oem-systemsize>1500</oem-systemsize></oemconfig>";
    let (image, said) = root.create("spare", EARLY, attributes, oem);
    assert!(said.stderr.contains("ends with p.spare: that grows"), "{}", said.stderr);
    on_disk(&image, 8 * GIB);
    let said = start(&image, "bios");
    assert_about(said.root, 1500, &said);
    assert_about(said.spare.unwrap(), 8 * 1024 - 1523, &said);
    assert_eq!(said.failed, "", "{said:?}");
    is_well(test, &image);
}

#[test]
fn sectors_of_4096_bytes_and_all_of_systemd() {
    let test = "sectors_of_4096_bytes_and_all_of_systemd";
    if !all() {
        return inapplicable(test, "slow: runs with --all");
    }
    let Some(root) = prepared(test, |_| {}) else { return };
    let attributes = r#"firmware="efi" eficsm="false" efipartsize="40" target_blocksize="4096""#;
    let (image, _) = root.create("4096", LATE, attributes, "");
    on_disk(&image, 8 * GIB);
    grows_once(test, &image, "uefi", 8 * 1024);
}

fn plan_of(attributes: &str, oem: &str) -> Plan {
    let text = format!(
        r#"<image schemaversion="8.5" name="t"><description type="system"><author>A</author><contact>a@b</contact>
        <specification>S</specification></description><preferences><version>1.0.0</version>
        <type image="oem" filesystem="ext4" {attributes}><bootloader name="custom"/><oemconfig>{oem}</oemconfig>
        <size unit="G">2</size></type></preferences></image>"#
    );
    let model = parse("d.xml", text.into_bytes()).unwrap();
    let image = resolve(&model, &Choice::new(Arch::X86_64)).unwrap().image;
    plan(&image, &identity(&image, Some(b"seed"), 1_700_000_000)).unwrap()
}

fn tree_of<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Tree {
    let meta = Meta::of_root(0o755, Time::seconds(0));
    let mut tree = Tree::new(meta);
    for (path, bytes) in files {
        tree.put(path.as_bytes(), Node { meta, kind: Kind::file(bytes) }, meta).unwrap();
    }
    tree
}

fn grown(plan: &Plan, paths: &[&str]) -> Result<Growing, Refusal> {
    growth(plan, &tree_of(paths.iter().map(|path| (*path, Vec::new()))), &Memory::default())
}

/// The text of a file that is laid, or where it leads.
#[track_caller]
fn text<'a>(growing: &'a Growing, path: &str) -> &'a str {
    let found = growing.files.iter().find(|(at, _)| at == path);
    match &found.unwrap_or_else(|| panic!("{path}: {:?}", paths(growing))).1.kind {
        Kind::File(Data::Bytes(bytes)) => std::str::from_utf8(bytes).unwrap(),
        Kind::Symlink(target) => std::str::from_utf8(target).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn paths(growing: &Growing) -> Vec<&str> {
    growing.files.iter().map(|(path, _)| path.as_str()).collect()
}

const SYSTEMD: &str = "usr/lib/systemd/systemd";
const GROWFS: &str = "usr/lib/systemd/systemd-growfs";
const REPART: &str = "usr/bin/systemd-repart";
const REPART_UNIT: &str = "usr/lib/systemd/system/systemd-repart.service";
const SFDISK: &str = "usr/sbin/sfdisk";
const PARTX: &str = "usr/bin/partx";
const RESIZE2FS: &str = "usr/sbin/resize2fs";
const SHELL: &str = "usr/bin/sh";
const ALL: [&str; 8] = [SHELL, SYSTEMD, GROWFS, REPART, REPART_UNIT, SFDISK, PARTX, RESIZE2FS];
const WANTS: &str = "/etc/systemd/system/sysinit.target.wants";
const SCRIPT: &str = "/usr/lib/diskwright/grow";
const UNIT: &str = "/etc/systemd/system/diskwright-grow.service";
const GPT: &str = r#"firmware="uefi""#;
const MBR: &str = r#"firmware="bios""#;

#[test]
fn the_tree_decides_who_does_it() {
    let forced = r#"firmware="uefi" force_mbr="true""#;
    // The table, what the tree lacks of all that there is, and who does it, or why nobody does.
    let cases: &[(&str, &[&str], Result<Way, &str>)] = &[
        (GPT, &[], Ok(Way::Systemd)),
        (GPT, &[SFDISK, PARTX, RESIZE2FS], Ok(Way::Systemd)),
        (GPT, &[REPART], Ok(Way::Unit)),
        (GPT, &[REPART_UNIT], Ok(Way::Unit)),
        (GPT, &[GROWFS], Ok(Way::Unit)),
        (GPT, &[GROWFS, RESIZE2FS], Err("neither resize2fs nor systemd-growfs")),
        (GPT, &[REPART, SFDISK], Err("neither systemd-repart nor sfdisk")),
        (GPT, &[SYSTEMD], Err("no systemd in the tree")),
        (GPT, &[SHELL], Err("no systemd in the tree starts what would do it, or no shell")),
        (MBR, &[], Ok(Way::Unit)),
        (MBR, &[RESIZE2FS], Ok(Way::Unit)),
        (forced, &[], Ok(Way::Unit)),
        (MBR, &[SFDISK], Err("neither kiwi-repart nor sfdisk")),
        (MBR, &[PARTX], Err("neither kiwi-repart nor sfdisk")),
        (MBR, &[GROWFS, RESIZE2FS], Err("neither resize2fs nor systemd-growfs")),
    ];
    for (attributes, lacking, expected) in cases {
        let tree: Vec<&str> = ALL.into_iter().filter(|path| !lacking.contains(path)).collect();
        let asked = grown(&plan_of(attributes, "<oem-resize>true</oem-resize>"), &tree);
        let silent = grown(&plan_of(attributes, ""), &tree).unwrap();
        match expected {
            Ok(way) => {
                let asked = asked.unwrap();
                assert_eq!(asked.grows.as_ref().map(|it| it.way), Some(*way), "{attributes} {lacking:?}");
                assert_eq!((&asked.grows, asked.notes.len()), (&silent.grows, 0));
            }
            // Who asks for it in so many words is refused, who does not is told.
            Err(why) => {
                let refusal = asked.unwrap_err();
                assert_eq!(refusal.kind, RefusalKind::Missing);
                assert!(refusal.reason.contains(why), "{attributes} {lacking:?}: {refusal}");
                assert!(refusal.hint.unwrap().contains("<oem-resize>false</oem-resize>"));
                assert!(silent.grows.is_none() && silent.files.is_empty());
                assert!(silent.notes[0].contains(why), "{:?}", silent.notes);
            }
        }
        let off = grown(&plan_of(attributes, "<oem-resize>false</oem-resize>"), &tree).unwrap();
        assert!(off.grows.is_none() && off.files.is_empty() && off.notes.is_empty(), "{off:?}");
    }
    // In the directories of older systems.
    let old = ALL.map(|path| path.replacen("usr/", "", 1));
    let old = grown(&plan_of(GPT, ""), &old.each_ref().map(String::as_str)).unwrap();
    assert!(text(&old, SCRIPT).contains("\n/lib/systemd/systemd-growfs "));
}

#[test]
fn a_plan_says_who_does_it() {
    let at = tempfile::tempdir().unwrap();
    let oem = "<oemconfig><oem-systemsize>3000</oem-systemsize></oemconfig>";
    let inner = format!(r#"<bootloader name="custom"/>{oem}"#);
    description(&at.path().join("d"), &format!(r#"image="oem" filesystem="ext4" {GPT}"#), &inner);
    ALL.iter().for_each(|path| write(at.path().join("root").join(path), "x"));
    let said = |arguments: &[&str]| run(command(arguments).current_dir(at.path())).ends(0);
    let text = said(&["plan", "d"]).stdout;
    let expected =
        "growth: p.lxroot grows at the first boot, by what the tree has for it, to 3000 MiB at most\n";
    assert!(text.contains(expected), "{text}");
    let told = said(&["plan", "d", "--root", "root", "--json"]).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let expected = r#"{"partition":"p.lxroot","way":"systemd","once":false,"most":3145728000}"#;
    assert_eq!(told["growth"], serde_json::from_str::<serde_json::Value>(expected).unwrap());
    // Who asks is refused by create, and told so by plan; the place is where it is said.
    std::fs::remove_file(at.path().join("root").join(SYSTEMD)).unwrap();
    let note = said(&["plan", "d", "--root", "root"]).stderr;
    assert!(note.contains("note: p.lxroot does not grow at the first boot: no systemd"), "{note}");
    let inner = inner.replace("<oemconfig>", "<oemconfig><oem-resize>true</oem-resize>");
    description(&at.path().join("d"), &format!(r#"image="oem" filesystem="ext4" {GPT}"#), &inner);
    let note = said(&["plan", "d", "--root", "root"]).stderr;
    assert!(
        note.contains("planned, and create will refuse it: oem-resize: p.lxroot does not grow"),
        "{note}"
    );
    let refused = run(command(["create", "d", "--root", "root", "-o", "out"]).current_dir(at.path())).ends(1);
    let all = refused.stderr;
    assert!(all.contains("say <oem-resize>false</oem-resize>") && all.contains("d/config.xml:"), "{all}");
    assert!(!at.path().join("out").exists());
}

#[test]
fn what_does_not_grow_is_said() {
    let last = r#"spare_part="20" spare_part_is_last="true""#;
    let cases = [
        (format!(r#"{GPT} fsmountoptions="noatime,ro""#), "mounted read-only"),
        (format!("{MBR} {last}"), "it is mounted nowhere"),
    ];
    for (attributes, why) in cases {
        let said = grown(&plan_of(&attributes, ""), &ALL).unwrap();
        assert!(said.grows.is_none() && said.files.is_empty(), "{attributes}: {said:?}");
        assert!(said.notes[0].contains(why), "{attributes}: {:?}", said.notes);
    }
    let spare = grown(&plan_of(&format!("{GPT} {last}"), ""), &ALL).unwrap();
    assert_eq!(spare.grows.as_ref().map(|grows| grows.partition.as_str()), Some("p.spare"));
    assert!(spare.notes[0].contains("and not the root"), "{:?}", spare.notes);
    let mut fat = plan_of(GPT, "");
    fat.parts.last_mut().unwrap().filesystem.as_mut().unwrap().mkfs.name = "fat32".to_owned();
    let fat = grown(&fat, &ALL).unwrap();
    assert!(fat.notes[0].contains("of type vfat does not grow"), "{:?}", fat.notes);
    let mut kept = plan_of(GPT, "");
    kept.disk.as_mut().unwrap().unpartitioned = diskwright::model::mib(100);
    let kept = grown(&kept, &ALL).unwrap();
    assert!(kept.notes[0].contains("p.lxroot grows into the 100 MiB"), "{:?}", kept.notes);
}

#[test]
fn files_for_systemd() {
    let generic = "0fc63daf-8483-4772-8e79-3d69d8477de4";
    let plain = grown(&plan_of(GPT, ""), &ALL).unwrap();
    let wants = [format!("{WANTS}/systemd-repart.service"), format!("{WANTS}/diskwright-grow.service")];
    assert_eq!(paths(&plain), ["/etc/repart.d/50-root.conf", &wants[0], SCRIPT, UNIT, &wants[1]]);
    let definition = text(&plain, "/etc/repart.d/50-root.conf");
    assert!(definition.ends_with(&format!("[Partition]\nType={generic}\n")), "{definition}");
    assert_eq!((text(&plain, &wants[0]), text(&plain, &wants[1])), (&*format!("/{REPART_UNIT}"), UNIT));
    let script = text(&plain, SCRIPT);
    assert!(script.contains("\n/usr/lib/systemd/systemd-growfs \"$mount\" >&2 ||"), "{script}");
    assert!(!script.contains("sfdisk") && !script.contains("/repart.d"), "{script}");
    let unit = text(&plain, UNIT);
    assert!(unit.contains("After=systemd-repart.service systemd-remount-fs.service\n"), "{unit}");
    assert!(!unit.contains("ConditionPath"), "{unit}");
    // A type of its own needs no other definition; a limit, and an end.
    let oem = "<oem-systemsize>3000</oem-systemsize><oem-resize-once>true</oem-resize-once>";
    let apart = r#"firmware="uefi" bootpartition="true""#;
    let typed = grown(&plan_of(&format!(r#"{apart} apply_dps_codes="true""#), oem), &ALL).unwrap();
    assert_eq!(paths(&typed)[..2], ["/etc/repart.d/50-root.conf", &wants[0]]);
    let definition = text(&typed, "/etc/repart.d/50-root.conf");
    let expected = "Type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709\nSizeMaxBytes=3145728000\n";
    assert!(definition.ends_with(expected), "{definition}");
    let unit = text(&typed, UNIT);
    assert!(unit.contains("ConditionPathExists=/etc/repart.d/50-root.conf\n"), "{unit}");
    assert!(text(&typed, SCRIPT).ends_with("fi\nrm -f /etc/repart.d/50-root.conf\n"));
    let grows = typed.grows.unwrap();
    assert_eq!((grows.once, grows.most), (true, Some(3000 << 20)));
    // Of one type: in the order of their numbers, each by its own definition; then it is done.
    let shared = grown(&plan_of(apart, ""), &ALL).unwrap();
    assert_eq!(paths(&shared)[..2], ["/etc/repart.d/50-boot.conf", "/etc/repart.d/51-root.conf"]);
    let definition = text(&shared, "/etc/repart.d/50-boot.conf");
    assert!(definition.ends_with(&format!("Type={generic}\nWeight=0\n")), "{definition}");
    assert!(
        text(&shared, SCRIPT).ends_with("\nrm -f /etc/repart.d/50-boot.conf /etc/repart.d/51-root.conf\n")
    );
    assert!(shared.grows.unwrap().once);
    // Here /boot has a higher number than the root, and systemd-repart comes to the root first.
    let behind = grown(&plan_of(&format!(r#"{apart} bootpart_id="7" rootpart_id="5""#), ""), &ALL).unwrap();
    assert_eq!(paths(&behind)[..2], ["/etc/repart.d/50-root.conf", &wants[0]]);
}

#[test]
fn the_script_is_one_for_a_shell() {
    let tree = [SHELL, SYSTEMD, SFDISK, PARTX, RESIZE2FS];
    let extended =
        r#"firmware="bios" dosparttable_extended_layout="true" bootpartition="true" spare_part="20""#;
    let oem = "<oem-swap>true</oem-swap><oem-systemsize>3000</oem-systemsize><oem-resize-once>true</oem-resize-once>";
    let quoted = r#"firmware="bios" spare_part="9" spare_part_is_last="true" spare_part_fs="ext4" spare_part_mountpoint="/it's""#;
    let cases = [
        (MBR, "", ["mount='/'\n", "most=0 ", "extended=0 ", "addressed=2097151 "]),
        (GPT, "", ["mount='/'\n", "most=0 ", "extended=0 ", "addressed=4398046511104 "]),
        (extended, oem, ["mount='/'\n", "most=3000 ", "extended=4 ", "addressed=2097151 "]),
        (quoted, "", [r"mount='/it'\''s'", "most=0 ", "extended=0 ", "addressed=2097151 "]),
    ];
    for (attributes, oem, lines) in cases {
        let growing = grown(&plan_of(attributes, oem), &tree).unwrap();
        let script = text(&growing, SCRIPT);
        assert!(lines.iter().all(|line| script.contains(line)), "{attributes}: {script}");
        assert!(!script.contains('@') && script.ends_with('\n') && !script.ends_with("\n\n"), "{script}");
        assert_eq!(script.contains("rm -f /etc/systemd"), oem.contains("once"));
        let unit = text(&growing, UNIT);
        assert_eq!(unit.contains("RequiresMountsFor"), attributes.contains("mountpoint"), "{unit}");
        assert!(unit.contains("ExecStart=/usr/lib/diskwright/grow\n"), "{unit}");
        piped("sh", &["-n"], script.as_bytes());
    }
}

/// An initrd of these paths, each with a text or, with an arrow in front, a link.
fn initrd(at: &Path, files: &[(&str, &str)]) -> Vec<u8> {
    let at = tempfile::tempdir_in(at).unwrap();
    for (path, text) in files {
        match text.strip_prefix("->") {
            None => write(at.path().join(path), text),
            Some(target) => {
                std::fs::create_dir_all(at.path().join(path).parent().unwrap()).unwrap();
                std::os::unix::fs::symlink(target, at.path().join(path)).unwrap();
            }
        }
    }
    let archive = "find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc --quiet";
    Command::new("sh").args(["-c", archive]).current_dir(at.path()).output().unwrap().stdout
}

/// What a program makes of its input.
#[track_caller]
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || _ = stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program}: {}", output.status);
    output.stdout
}

/// The text of a file in the archive that was put behind an initrd.
#[track_caller]
fn added(growing: &Growing, initrd: &[u8], path: &str) -> String {
    assert_eq!(paths(growing), ["/boot/initrd.img-6.1.0"]);
    let Kind::File(Data::Bytes(whole)) = &growing.files[0].1.kind else { panic!("no bytes") };
    assert_eq!(whole[..initrd.len()], *initrd);
    let archive = &whole[initrd.len().next_multiple_of(4)..];
    String::from_utf8(piped("cpio", &["-i", "--quiet", "--to-stdout", path], archive)).unwrap()
}

#[test]
fn kiwis_module_in_the_initrd_comes_first() {
    let test = "kiwis_module_in_the_initrd_comes_first";
    if ["cpio", "gzip", "xz", "zstd"].iter().any(|program| oracle(test, program).is_none()) {
        return;
    }
    let at = tempfile::tempdir().unwrap();
    let hook = ("usr/lib/dracut/hooks/pre-mount/20-kiwi-repart-disk.sh", "x");
    let early = initrd(at.path(), &[("kernel/x86/microcode/GenuineIntel.bin", &"m".repeat(5000))]);
    let bash = initrd(at.path(), &[("usr/bin/sh", "->bash"), hook]);
    let dash = initrd(at.path(), &[("bin/sh", "->/usr/bin/dash"), hook]);
    let without = initrd(at.path(), &[("usr/bin/sh", "->bash"), ("etc/passwd", "root")]);
    let compressed = |program, bytes: &[u8]| [early.clone(), piped(program, &["-c"], bytes)].concat();
    let module = "usr/lib/dracut/modules.d/90kiwi-repart/module-setup.sh";
    let tree = [SHELL, SYSTEMD, SFDISK, PARTX, RESIZE2FS, module].map(|path| (path, Vec::new()));
    let of = |attributes: &str, oem: &str, bytes: &[u8]| {
        let boot = [("boot/vmlinuz-6.1.0", b"kernel".to_vec()), ("boot/initrd.img-6.1.0", bytes.to_vec())];
        let tree = tree_of(tree.clone().into_iter().chain(boot));
        growth(&plan_of(attributes, oem), &tree, &Memory::default()).unwrap()
    };
    let way = |growing: &Growing| growing.grows.as_ref().map(|grows| grows.way);
    let forms = ["gzip", "xz", "zstd"].map(|program| compressed(program, &bash));
    // A header on the border of what is read at once.
    let far = initrd(at.path(), &[("firmware", &"f".repeat((128 << 10) - 2000))]);
    let apart =
        [&far[..far.len().next_multiple_of(4)], &vec![0; (128 << 10) - 2 - far.len()], &bash].concat();
    for bytes in forms.into_iter().chain([bash.clone(), [&early[..], &bash].concat(), apart]) {
        let growing = of(MBR, "<oem-systemsize>3000</oem-systemsize>", &bytes);
        assert_eq!(way(&growing), Some(Way::Kiwi), "{:?}", growing.notes);
        let profile = added(&growing, &bytes, ".profile");
        assert!(profile.contains("kiwi_oemrootMB='3000'\n"), "{profile}");
        assert!(profile.contains("kiwi_oemresizeonce='false'\n"), "{profile}");
        let ids = added(&growing, &bytes, "config.partids");
        assert_eq!(ids, "kiwi_BootPart=\"1\"\nkiwi_RootPart=\"1\"\n");
    }
    // Off: the module, which is there all the same, learns that it has nothing to do.
    let off = of(GPT, "<oem-resize>false</oem-resize>", &bash);
    assert_eq!((way(&off), off.notes.len()), (None, 0));
    let profile = added(&off, &bash, ".profile");
    assert!(profile.contains("kiwi_oemresizeonce='true'\n"), "{profile}");
    assert!(profile.contains("kiwi_rootpartuuid='none'\n"), "{profile}");
    // What does not act leaves it to the next.
    let lz4 = [0x02, 0x21, 0x4c, 0x18, 0, 0, 0, 0];
    let cut = &compressed("zstd", &bash)[..early.len() + 20];
    for (bytes, why) in [
        (&dash[..], "the shell of the initrd is dash"),
        (&compressed("gzip", &without), "the initrd lacks it"),
        (&lz4, "cannot be read"),
        (cut, "cannot be read"),
        (&early[..early.len() - 600], "cannot be read"),
    ] {
        let growing = of(MBR, "", bytes);
        assert_eq!(way(&growing), Some(Way::Unit), "{why}");
        assert!(growing.notes[0].contains(why), "{why}: {:?}", growing.notes);
    }
    let named = of(r#"firmware="uefi" devicepersistency="by-partuuid""#, "", &bash);
    assert!(named.notes[0].contains("another PARTUUID"), "{:?}", named.notes);
}
