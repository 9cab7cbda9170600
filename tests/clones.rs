//! Clones on written disks: the table, the ids, the bytes that differ, and what checkers say of origin and clone.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::path::Path;
use support::disks::{self, LAYOUTS, check_differences, cut, made, number, output};
use support::guest::{Disk, SeenContent, prepare};
use support::{command, listing, oracle, run, tool};

/// KIWI's documentation, "Partition Clones", with an ext4 root and no loader.
const EXAMPLE: &str = r#"image="oem" root_clone="1" boot_clone="1" firmware="uefi" filesystem="ext4" bootpartition="true" bootfilesystem="ext4""#;
const EXAMPLE_INNER: &str = r#"<bootloader name="custom"/>
            <oemconfig><oem-resize>false</oem-resize><oem-systemsize>2048</oem-systemsize></oemconfig>
            <partitions><partition name="home" size="10" mountpoint="/home" filesystem="ext3" clone="2"/></partitions>
            <size unit="G">100</size>"#;

/// First and last sector and name of its partitions, as sgdisk makes them of the sizes that KIWI asks for.
const EXAMPLE_TABLE: [(u64, u64, &str); 9] = [
    (2048, 6143, "p.legacy"),
    (6144, 47103, "p.UEFI"),
    (47104, 661503, "p.lxbootclone1"),
    (661504, 1275903, "p.lxboot"),
    (1275904, 1296383, "p.lxhomeclone1"),
    (1296384, 1316863, "p.lxhomeclone2"),
    (1316864, 1337343, "p.lxhome"),
    (1337344, 5531647, "p.lxrootclone1"),
    (5531648, 9725951, "p.lxroot"),
];

/// What its `/config.partids` has.
const EXAMPLE_PARTIDS: &str = "\
kiwi_BiosGrub=\"1\"
kiwi_BootPart=\"4\"
kiwi_EfiPart=\"2\"
kiwi_HomePart=\"7\"
kiwi_RootPart=\"9\"
kiwi_bootPartClone1=\"3\"
kiwi_homePartClone1=\"5\"
kiwi_homePartClone2=\"6\"
kiwi_rootPartClone1=\"8\"
";

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_example_of_kiwis_documentation() {
    let test = "the_example_of_kiwis_documentation";
    let folder = tempfile::tempdir().unwrap();
    let made = made(folder.path(), EXAMPLE, EXAMPLE_INNER, &["--format", "qcow2", "--format", "raw"]);
    let [qcow2, raw, clones] = ["qcow2", "raw", "clones.json"].map(|format| output(&made, format));
    assert_eq!(std::fs::metadata(&raw).unwrap().len(), 100 << 30);
    assert_eq!(
        listing(&folder.path().join("out")),
        ["clones.json", "qcow2", "raw"].map(|ending| format!("test-image.x86_64-1.2.3.{ending}"))
    );
    // What is reported is what is written.
    let told = json(&clones);
    assert_eq!(
        (&told["schema"], &told["table"], &told["sector_size"]),
        (&1.into(), &"gpt".into(), &512.into())
    );
    assert_eq!(told["clones"], made["layout"]["clones"]);
    let pairs: Vec<[&str; 2]> = told["clones"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| [&pair["origin"]["role"], &pair["clone"]["role"]].map(|role| role.as_str().unwrap()))
        .collect();
    assert_eq!(
        pairs,
        [["boot", "bootclone1"], ["home", "homeclone1"], ["home", "homeclone2"], ["root", "rootclone1"]]
    );
    check_differences(&raw, &told);
    for image in [&qcow2, &raw] {
        let said = run(&mut command(["check", image.to_str().unwrap()])).ends(0);
        assert!(said.stdout.contains(": clean: "), "{}", said.stdout);
    }
    if let Some(qemu) = oracle(test, "qemu-img") {
        let said = tool(&qemu, ["check", qcow2.to_str().unwrap()]);
        assert!(said.starts_with("No errors were found on the image.\n"), "{said}");
        let said = tool(&qemu, ["compare", qcow2.to_str().unwrap(), raw.to_str().unwrap()]);
        assert_eq!(said, "Images are identical.\n");
    }
    if let Some(sgdisk) = oracle(test, "sgdisk") {
        let said = tool(sgdisk, ["-p", raw.to_str().unwrap()]);
        let rows = said.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let first = words.first()?.parse::<u64>().ok()?;
            Some((first, words[1].parse().unwrap(), words[2].parse().unwrap(), words.last()?.to_string()))
        });
        let expected =
            (1..).zip(EXAMPLE_TABLE).map(|(n, (start, end, name))| (n, start, end, name.to_owned()));
        assert_eq!(rows.collect::<Vec<_>>(), expected.collect::<Vec<(u64, u64, u64, String)>>(), "{said}");
    }
    if let Some(debugfs) = oracle(test, "debugfs") {
        let root = cut(&raw, 5531648 * 512, 2 << 30, &folder.path().join("root"));
        let said = run(std::process::Command::new(debugfs).args(["-R", "cat /config.partids"]).arg(&root));
        assert_eq!(said.ends(0).stdout, EXAMPLE_PARTIDS);
    }
    check_file_systems(test, &raw, &made, folder.path());
}

/// Origin and clone of every pair pass their checker, and blkid finds the ids that `clones.json` has.
fn check_file_systems(test: &str, raw: &Path, made: &Value, folder: &Path) {
    for partition in made["layout"]["partitions"].as_array().unwrap() {
        let Some(kind) = partition["filesystem"].as_str() else { continue };
        let (start, len) = (number(partition, "start_sector") * 512, number(partition, "size_sectors") * 512);
        let part = cut(raw, start, len, &folder.join("part"));
        let of = part.to_str().unwrap();
        let (program, arguments): (&str, &[&str]) = match kind {
            "vfat" => ("fsck.fat", &["-n"]),
            "swap" => ("swaplabel", &[]),
            _ => ("e2fsck", &["-fn"]),
        };
        if let Some(program) = oracle(test, program) {
            let said = tool(program, arguments.iter().copied().chain([of]));
            match kind {
                "vfat" => assert_eq!(said.lines().count(), 2, "{said}"),
                "swap" => assert!(said.contains(partition["uuid"].as_str().unwrap()), "{said}"),
                // The version, five passes, the summary: no complaint between them.
                _ => {
                    assert_eq!(said.lines().filter(|line| !line.starts_with("e2fsck ")).count(), 6, "{said}")
                }
            }
        }
        if let Some(blkid) = oracle(test, "blkid") {
            let said = tool(blkid, ["-p", "-o", "export", of]);
            let has = |key: &str, value: &Value| {
                let line = format!("{key}={}", value.as_str().unwrap());
                assert!(said.lines().any(|one| one == line), "{line} in {said}");
            };
            has("TYPE", &partition["filesystem"]);
            has("UUID", &partition["uuid"]);
            if !partition["label"].is_null() {
                has("LABEL", &partition["label"]);
            }
        }
        std::fs::remove_file(part).unwrap();
    }
}

#[test]
fn clones_of_every_file_system() {
    let test = "clones_of_every_file_system";
    let folder = tempfile::tempdir().unwrap();
    let inner = r#"<bootloader name="custom"/>
        <oemconfig><oem-resize>false</oem-resize><oem-swap>true</oem-swap><oem-swapsize>8</oem-swapsize>
            <oem-systemsize>80</oem-systemsize></oemconfig>
        <partitions>
            <partition name="srv" size="12" mountpoint="/srv" filesystem="ext2" clone="1"/>
            <partition name="log" size="16" mountpoint="/var/log" filesystem="ext3" clone="1"/>
            <partition name="opt" size="10" mountpoint="/opt" filesystem="ext4" clone="3"/>
            <partition name="small" size="9" filesystem="fat16" clone="1"/>
            <partition name="large" size="40" filesystem="fat32" clone="1"/>
        </partitions>"#;
    let attributes = r#"image="oem" firmware="uefi" filesystem="ext4" root_clone="2""#;
    let made = made(folder.path(), attributes, inner, &["--format", "raw"]);
    let [raw, clones] = ["raw", "clones.json"].map(|format| output(&made, format));
    let clones = json(&clones);
    assert_eq!(clones["clones"].as_array().unwrap().len(), 9);
    check_differences(&raw, &clones);
    check_file_systems(test, &raw, &made, folder.path());
    // Every id of every partition is its own.
    let partitions = made["layout"]["partitions"].as_array().unwrap();
    for key in ["partuuid", "uuid"] {
        let mut ids: Vec<&str> = partitions.iter().filter_map(|one| one[key].as_str()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{key}");
    }
    // Labels stay: the origin is the one that is mounted.
    for pair in clones["clones"].as_array().unwrap() {
        let of = |role: &Value| partitions.iter().find(|one| one["role"] == *role).unwrap();
        let (origin, clone) = (of(&pair["origin"]["role"]), of(&pair["clone"]["role"]));
        assert_eq!(origin["label"], clone["label"], "{pair}");
        assert_eq!(clone["mountpoint"], Value::Null, "{pair}");
        let levels = pair["ids"].as_array().unwrap();
        assert_eq!(levels[0]["origin"], origin["partuuid"]);
        assert_eq!(levels[0]["clone"], clone["partuuid"]);
        assert_eq!(levels[1]["level"], origin["filesystem"]);
        assert_eq!(levels[1]["clone"], clone["uuid"]);
    }
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let one =
        made(&folder.path().join("1"), EXAMPLE, EXAMPLE_INNER, &["--format", "qcow2", "--threads", "1"]);
    let many =
        made(&folder.path().join("7"), EXAMPLE, EXAMPLE_INNER, &["--format", "qcow2", "--threads", "7"]);
    for format in ["qcow2", "clones.json"] {
        let [one, many] = [&one, &many].map(|made| std::fs::read(output(made, format)).unwrap());
        assert!(one == many, "{format}");
    }
}

#[test]
fn a_plan_tells_what_create_writes() {
    let folder = tempfile::tempdir().unwrap();
    let made = made(folder.path(), EXAMPLE, EXAMPLE_INNER, &["--format", "qcow2"]);
    let paths = ["description", "tree"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let common = ["--seed", "tests", "--json"];
    let arguments = ["plan", &paths[0], "--root", &paths[1], "--owner", "0:0", "--format", "qcow2"];
    let said = run(&mut command(arguments.iter().chain(&common))).ends(0);
    let plan: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(plan["clones"], made["layout"]["clones"]);
    assert_eq!(plan["clones_file"], "test-image.x86_64-1.2.3.clones.json");
    // Without a tree there are ids, and no bytes.
    let said = run(&mut command(["plan", &paths[0]].iter().chain(&common))).ends(0);
    let plan: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&plan["clones"], &plan["clones_file"]),
        (&serde_json::json!([]), &"test-image.x86_64-1.2.3.clones.json".into())
    );
}

#[test]
fn nothing_appears_where_the_file_of_clones_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let made = made(folder.path(), EXAMPLE, EXAMPLE_INNER, &["--format", "qcow2"]);
    let clones = output(&made, "clones.json");
    std::fs::remove_file(output(&made, "qcow2")).unwrap();
    let paths =
        ["description", "tree", "out"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let said = run(&mut command(["create", &paths[0], "--root", &paths[1], "-o", &paths[2]])).ends(1);
    assert!(said.stderr.contains("clones.json: this file exists"), "{}", said.stderr);
    assert_eq!(listing(&folder.path().join("out")), [clones.file_name().unwrap().to_str().unwrap()]);
}

#[test]
fn an_image_without_clones_has_no_file_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let attributes = r#"image="oem" firmware="uefi" filesystem="ext4""#;
    let made = made(folder.path(), attributes, r#"<bootloader name="custom"/>"#, &["--format", "raw"]);
    assert_eq!(listing(&folder.path().join("out")), ["test-image.x86_64-1.2.3.raw"]);
    assert_eq!(made["layout"]["clones"], serde_json::json!([]));
    assert_eq!(made["layout"]["clones_file"], Value::Null);
}

#[test]
fn results_in_kiwis_form_have_the_file_of_clones() {
    let folder = tempfile::tempdir().unwrap();
    let root = disks::tree(&folder.path().join("root"));
    let attributes = r#"image="oem" root_clone="1" firmware="uefi" filesystem="ext4""#;
    let inner = r#"<bootloader name="custom"/>
        <oemconfig><oem-resize>false</oem-resize><oem-systemsize>40</oem-systemsize></oemconfig>"#;
    support::description(&root.join("image"), attributes, inner);
    let [out, bundle] = ["out", "bundle"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let root = root.to_str().unwrap();
    run(&mut command(["system", "create", "--root", root, "--target-dir", &out])).ends(0);
    let results = json(&Path::new(&out).join("kiwi.result.json"));
    let clones = &results["image_clones"];
    assert!(
        clones["filename"].as_str().unwrap().ends_with("/out/test-image.x86_64-1.2.3.clones.json"),
        "{clones}"
    );
    assert_eq!(
        (&clones["compress"], &clones["shasum"], &clones["use_for_bundle"]),
        (&false.into(), &false.into(), &true.into())
    );
    // It does not keep the raw disk out of the bundle, nor make another one of it.
    assert_eq!(results["disk_image"]["use_for_bundle"], true, "{results}");
    let said = run(&mut command(["result", "list", "--target-dir", &out])).ends(0);
    assert!(said.stdout.contains("--> image_clones: "), "{}", said.stdout);
    let arguments =
        ["result", "bundle", "--target-dir", &out, "--bundle-dir", &bundle, "--id", "7", "--no-compress"];
    run(&mut command(arguments)).ends(0);
    assert!(listing(Path::new(&bundle)).contains(&"test-image.x86_64-1.2.3-7.clones.json".to_owned()));
}

#[test]
fn check_tells_clones_from_what_is_none() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let (_, attributes, inner) = LAYOUTS[0];
    let made = made(folder.path(), attributes, inner, &["--format", "raw"]);
    let [raw, told] = ["raw", "clones.json"].map(|format| output(&made, format));
    let of = raw.to_str().unwrap();
    let check = |code| {
        let said = run(&mut command(["check", "--json", of])).ends(code);
        serde_json::from_str::<Value>(&said.stdout).unwrap()["images"][0].clone()
    };
    let clones = check(0)["clones"].clone();
    assert_eq!(clones.as_array().unwrap().len(), 5);
    assert!(clones.as_array().unwrap().iter().all(|one| one["same"] == true), "{clones}");
    // One bit of a file of the last clone, where no id reaches.
    let pair = json(&told)["clones"][4].clone();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&raw).unwrap();
    let start = number(&pair["clone"], "start");
    let (mut at, mut byte) = (number(&pair["clone"], "len"), [0]);
    while byte[0] == 0 {
        at -= 1;
        file.read_exact_at(&mut byte, start + at).unwrap();
    }
    file.write_all_at(&[byte[0] ^ 1], start + at).unwrap();
    let verdict = check(1);
    let damage = verdict["damage"].as_array().unwrap();
    let found =
        damage.iter().find(|one| one["structure"].as_str().unwrap().starts_with("clone: of ")).unwrap();
    assert_eq!(found["offset"], at, "{found}");
    assert_eq!(found["found"], format!("{:#04x}", byte[0] ^ 1));
    assert_eq!(verdict["clones"][4]["same"], false, "{verdict}");
    file.write_all_at(&byte, start + at).unwrap();
    // Copied without new ids.
    let [origin, len] = [number(&pair["origin"], "start"), number(&pair["origin"], "len")];
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, origin).unwrap();
    file.write_all_at(&bytes, start).unwrap();
    let verdict = check(1);
    let expected = verdict["damage"][0]["expected"].as_str().unwrap();
    assert!(expected.starts_with("another id than "), "{verdict}");
    // What is no known file system may have ids that nobody here knows.
    for (at, byte) in [(start, 1), (origin, 2)] {
        file.write_all_at(&vec![byte; len as usize], at).unwrap();
    }
    let clones = check(0)["clones"].clone();
    assert_eq!(clones[4]["same"], Value::Null, "{clones}");
    assert_eq!(clones[4]["why"], "no known file system, and other bytes from byte 0 on");
}

/// What a system has written into a file system that it mounted is no fault of a clone.
#[test]
fn an_origin_that_was_used_is_no_fault() {
    let test = "an_origin_that_was_used_is_no_fault";
    let Some(debugfs) = oracle(test, "debugfs") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_, attributes, inner) = LAYOUTS[0];
    let made = made(folder.path(), attributes, inner, &["--format", "raw"]);
    let [raw, told] = ["raw", "clones.json"].map(|format| output(&made, format));
    let clones = json(&told)["clones"].as_array().unwrap().clone();
    let pair = clones.iter().position(|pair| pair["origin"]["role"] == "root").unwrap();
    let at = format!("{}?offset={}", raw.display(), number(&clones[pair]["origin"], "start"));
    let change = |request: &str| {
        run(std::process::Command::new(&debugfs).args(["-w", "-R", request, &at])).ends(0);
    };
    let check = |code| {
        let plain = run(&mut command(["check", raw.to_str().unwrap()])).ends(code).stdout;
        let said = run(&mut command(["check", "--json", raw.to_str().unwrap()])).ends(code).stdout;
        (plain, serde_json::from_str::<Value>(&said).unwrap()["images"][0].clone())
    };
    support::write(folder.path().join("new"), "what a system wrote");
    change(&format!("write {} new", folder.path().join("new").display()));
    let (_, fault) = check(1);
    assert!(fault["clones"][pair]["same"] == false && fault["clones"][pair]["why"].is_null(), "{fault}");
    change("ssv mnt_count 1");
    let (plain, note) = check(0);
    assert_eq!(note["clones"][pair]["same"], false, "{note}");
    let why = note["clones"][pair]["why"].as_str().unwrap();
    assert!(why.ends_with("(p.lxroot) was mounted since it was made"), "{why}");
    assert!(plain.contains(&format!(": {why}\n")), "{plain}");
}

#[test]
fn check_knows_clones_of_an_mbr_from_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let (name, attributes, inner) = LAYOUTS[3];
    assert_eq!(name, "logical");
    let made = made(folder.path(), attributes, inner, &["--format", "raw"]);
    let [raw, told] = ["raw", "clones.json"].map(|format| output(&made, format));
    let check = |options: &[&str]| {
        let arguments = ["check", "--json"].iter().chain(options).copied().chain([raw.to_str().unwrap()]);
        let said = run(&mut command(arguments)).ends(0);
        serde_json::from_str::<Value>(&said.stdout).unwrap()["images"][0]["clones"].clone()
    };
    assert_eq!(check(&[]), serde_json::json!([]));
    let clones = check(&["--clones", told.to_str().unwrap()]);
    assert_eq!(clones.as_array().unwrap().len(), 4);
    assert!(clones.as_array().unwrap().iter().all(|one| one["same"] == true), "{clones}");
    check_differences(&raw, &json(&told));
    assert_eq!(json(&told)["clones"][0]["ids"][0]["kind"], "partuuid");
    let wrong =
        run(&mut command(["check", "--clones", raw.to_str().unwrap(), raw.to_str().unwrap()])).ends(2);
    assert!(wrong.stderr.contains("clones.json"), "{}", wrong.stderr);
}

#[test]
fn a_kernel_has_origin_and_clone_side_by_side() {
    let Some(guest) = prepare("a_kernel_has_origin_and_clone_side_by_side") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut all =
        vec![(made(&folder.path().join("example"), EXAMPLE, EXAMPLE_INNER, &["--format", "qcow2"]), "qcow2")];
    for name in ["gpt", "hybrid", "logical", "large", "numbered"] {
        let (name, attributes, inner) = LAYOUTS.iter().find(|layout| layout.0 == name).unwrap();
        all.push((made(&folder.path().join(name), attributes, inner, &["--format", "raw"]), "raw"));
    }
    let paths: Vec<_> = all.iter().map(|(made, format)| output(made, format)).collect();
    let disks: Vec<Disk> = all
        .iter()
        .zip(&paths)
        .map(|((made, _), path)| Disk { path, sector: number(&made["layout"], "sector_size") as u32 })
        .collect();
    for (seen, (made, _)) in guest.look_at(&disks).iter().zip(&all) {
        let sector = number(&made["layout"], "sector_size");
        for part in made["layout"]["partitions"].as_array().unwrap() {
            let found = seen.partition(number(part, "number") as u32);
            assert_eq!(
                (found.start, found.len),
                (number(part, "start_sector") * sector, number(part, "size_sectors") * sector)
            );
            let Some(kind) = part["filesystem"].as_str() else { continue };
            assert_eq!(found.says("TYPE"), kind, "{part}");
            assert_eq!(found.says("UUID"), part["uuid"].as_str().unwrap(), "{part}");
            match &found.content {
                SeenContent::Swap { len } => assert!(kind == "swap" && *len > 0, "{part}"),
                SeenContent::Mounted { .. } => {}
                other => panic!("{part}: {other:?}"),
            }
        }
        let told = made["layout"]["clones"].as_array().unwrap();
        assert!(!told.is_empty());
        for pair in told {
            let [origin, clone] =
                ["origin", "clone"].map(|side| seen.partition(number(&pair[side], "number") as u32));
            assert!(!origin.files().is_empty(), "{pair}");
            assert_eq!(origin.files(), clone.files(), "{pair}");
            assert_eq!(origin.says("LABEL"), clone.says("LABEL"), "{pair}");
            assert_eq!(clone.says("PART_ENTRY_UUID"), pair["ids"][0]["clone"].as_str().unwrap(), "{pair}");
            assert_eq!(clone.says("UUID"), pair["ids"][1]["clone"].as_str().unwrap(), "{pair}");
        }
    }
}

#[test]
fn the_example_beside_the_sources() {
    let folder = tempfile::tempdir().unwrap();
    let paths =
        ["home.img", "out", "out-of-image"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let [image, out, other] = &paths;
    let example = support::source("examples/clones");
    let [example, home] =
        [example.clone(), example.join("root/home")].map(|path| path.to_str().unwrap().to_owned());
    let given = format!("home={image}");
    run(&mut command(["build", &example, "-o", out])).ends(0);
    run(&mut command(["mkfs", "ext4", "--size", "8M", &home, image, "-L", "HOME"])).ends(0);
    run(&mut command(["build", &example, "-o", other, "--partition", &given])).ends(0);
    for directory in [out, other] {
        let disk = format!("{directory}/clones-example.x86_64-1.0.0.qcow2");
        let said = run(&mut command(["check", &disk])).ends(0);
        assert_eq!(said.stdout.matches(" with ids of its own\n").count(), 4, "{}", said.stdout);
    }
}
