//! What goes onto the EFI system partition, on small trees.

use diskwright::boot::{BootFiles, esp_files, find_kernels, find_loader};
use diskwright::model::{Arch, Loader, MIB};
use diskwright::plan::{BootPlan, fit, plan};
use diskwright::resolve::{Choice, from_tree};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::ContentId;
use diskwright_formats::layout::Memory;
use diskwright_fstools::tree::{Data, Kind, Meta, Node, Time, Tree};

const LOADER: &str = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";

fn meta(mode: u16) -> Meta {
    Meta { uid: 5, ..Meta::of_root(mode, Time::seconds(7)) }
}

/// A tree: `PATH` is a file whose content id is its place in the list, `PATH -> TARGET` a symlink.
fn tree_of(paths: &[&str]) -> Tree {
    let mut tree = Tree::new(meta(0o755));
    for (at, path) in paths.iter().enumerate() {
        let (path, kind) = match path.split_once(" -> ") {
            Some((path, target)) => (path, Kind::Symlink(target.as_bytes().into())),
            None => (*path, Kind::File(Data::Content { id: ContentId(at as u32), size: MIB, runs: None })),
        };
        tree.put(path.as_bytes(), Node { meta: meta(0o640), kind }, meta(0o755)).expect("a file");
    }
    tree
}

fn boot(initrd: bool) -> BootPlan {
    let loader = Loader::SystemdBoot { timeout: 4, initrd };
    BootPlan { loader, title: "The title".to_owned(), token: "demo".to_owned(), grub: None }
}

fn files_of(tree: &Tree) -> BootFiles {
    esp_files(&boot(true), Arch::X86_64, "quiet root=UUID=1", tree, 9).expect("it boots")
}

/// A line for each file: its path, and its text or the id of its content.
fn list(files: &BootFiles) -> String {
    let line = |(path, node): &(String, Node)| {
        assert_eq!(node.meta.uid, 0);
        match &node.kind {
            Kind::File(Data::Content { id, .. }) => format!("{path} #{}\n", id.0),
            Kind::File(Data::Bytes(bytes)) => format!("{path} {:?}\n", String::from_utf8_lossy(bytes)),
            other => panic!("{path}: {other:?}"),
        }
    };
    files.esp.iter().map(line).collect()
}

#[test]
fn loader_entries_and_kernels() {
    let tree = tree_of(&[
        LOADER,
        "/boot/vmlinuz-6.1.0-9-amd64",
        "/boot/initrd.img-6.1.0-9-amd64",
        "/boot/vmlinuz-6.1.0-13-amd64",
        "/boot/initrd.img-6.1.0-13-amd64",
        "/boot/vmlinuz-6.1.0-13-amd64.old",
        "/boot/config-6.1.0-13-amd64",
    ]);
    let files = files_of(&tree);
    let expected = "\
EFI/BOOT/BOOTX64.EFI #0
EFI/systemd/systemd-bootx64.efi #0
loader/loader.conf \"console-mode max\\neditor no\\ntimeout 4\\n\"
loader/entries.srel \"type1\\n\"
loader/entries/demo-6.1.0-13-amd64.conf \"title The title\\nversion 6.1.0-13-amd64\\nsort-key demo\\n\
options quiet root=UUID=1\\nlinux /demo/6.1.0-13-amd64/linux\\ninitrd /demo/6.1.0-13-amd64/initrd.img-6.1.0-13-amd64\\n\"
demo/6.1.0-13-amd64/linux #3
demo/6.1.0-13-amd64/initrd.img-6.1.0-13-amd64 #4
loader/entries/demo-6.1.0-9-amd64.conf \"title The title\\nversion 6.1.0-9-amd64\\nsort-key demo\\n\
options quiet root=UUID=1\\nlinux /demo/6.1.0-9-amd64/linux\\ninitrd /demo/6.1.0-9-amd64/initrd.img-6.1.0-9-amd64\\n\"
demo/6.1.0-9-amd64/linux #1
demo/6.1.0-9-amd64/initrd.img-6.1.0-9-amd64 #2
";
    assert_eq!(list(&files), expected);
    let of_the_tools: Vec<(&str, &[u8])> = files
        .root
        .iter()
        .map(|(path, node)| match &node.kind {
            Kind::File(Data::Bytes(bytes)) => (path.as_str(), &bytes[..]),
            other => panic!("{path}: {other:?}"),
        })
        .collect();
    let expected: [(&str, &[u8]); 2] =
        [("/etc/kernel/entry-token", b"demo\n"), ("/etc/kernel/cmdline", b"quiet root=UUID=1\n")];
    assert_eq!(of_the_tools, expected, "what kernel-install goes by");
    let versions: Vec<&str> = files.entries.iter().map(|entry| entry.version.as_str()).collect();
    assert_eq!(versions, ["6.1.0-13-amd64", "6.1.0-9-amd64"], "the newest first");
}

/// Version, kernel and initrd of a kernel.
type Row = (&'static str, &'static str, Option<&'static str>);

/// Version, kernel and initrd of each kernel.
fn kernels(paths: &[&str]) -> Vec<(String, String, Option<String>)> {
    let kernels = find_kernels(&tree_of(paths)).expect("good versions");
    let row = |kernel: diskwright::boot::Kernel| {
        (kernel.version, kernel.path, kernel.initrd.map(|(path, ..)| path))
    };
    kernels.into_iter().map(row).collect()
}

#[test]
fn kernels_under_the_names_of_distributions() {
    let cases: &[(&[&str], &[Row])] = &[
        (&["/boot/vmlinuz-6", "/boot/initrd-6"], &[("6", "/boot/vmlinuz-6", Some("/boot/initrd-6"))]),
        (
            &["/boot/vmlinuz-6", "/boot/initramfs-6.img"],
            &[("6", "/boot/vmlinuz-6", Some("/boot/initramfs-6.img"))],
        ),
        (&["/boot/Image-6"], &[("6", "/boot/Image-6", None)]),
        (
            &["/boot/vmlinuz-linux", "/boot/initramfs-linux.img"],
            &[("linux", "/boot/vmlinuz-linux", Some("/boot/initramfs-linux.img"))],
        ),
        (
            &[
                "/usr/lib/modules/6.4-default/vmlinuz",
                "/boot/vmlinuz-6.4-default -> ../usr/lib/modules/6.4-default/vmlinuz",
                "/boot/initrd-6.4-default",
            ],
            &[("6.4-default", "/boot/vmlinuz-6.4-default", Some("/boot/initrd-6.4-default"))],
        ),
        (
            &["/usr/lib/modules/6/vmlinuz", "/usr/lib/modules/6/initrd", "/lib -> usr/lib"],
            &[("6", "/usr/lib/modules/6/vmlinuz", Some("/usr/lib/modules/6/initrd"))],
        ),
        (
            &["/lib/modules/6/vmlinuz", "/boot/initrd.img-6"],
            &[("6", "/lib/modules/6/vmlinuz", Some("/boot/initrd.img-6"))],
        ),
        // Neither dangling links, loops, ways out of the tree, directories, nor names without a version.
        (
            &[
                "/boot/vmlinuz-1 -> /nowhere",
                "/boot/vmlinuz-2 -> vmlinuz-2",
                "/boot/vmlinuz-3/x",
                "/boot/vmlinuz",
            ],
            &[],
        ),
        (&["/boot/vmlinuz-4 -> ../../../../k", "/k"], &[("4", "/boot/vmlinuz-4", None)]),
        (&["/boot -> /b", "/b/vmlinuz-5"], &[("5", "/boot/vmlinuz-5", None)]),
    ];
    for (paths, expected) in cases {
        let owned = |(version, path, initrd): &Row| {
            ((*version).to_owned(), (*path).to_owned(), initrd.map(str::to_owned))
        };
        assert_eq!(kernels(paths), expected.iter().map(owned).collect::<Vec<_>>(), "{paths:?}");
    }
}

#[test]
fn a_signed_loader_comes_first_and_names_its_machine() {
    let signed = format!("{LOADER}.signed");
    let files = files_of(&tree_of(&[LOADER, &signed, "/boot/vmlinuz-6"]));
    assert!(list(&files).starts_with("EFI/BOOT/BOOTX64.EFI #1\nEFI/systemd/systemd-bootx64.efi #1\n"));
    for (arch, name) in
        [(Arch::Aarch64, "aa64"), (Arch::Riscv64, "riscv64"), (Arch::Ix86, "ia32"), (Arch::X86_64, "x64")]
    {
        let tree = tree_of(&[&format!("/usr/lib/systemd/boot/efi/systemd-boot{name}.efi")]);
        assert_eq!(find_loader(&tree).map(|(arch, _)| arch), Some(arch));
    }
    assert_eq!(find_loader(&tree_of(&["/boot/vmlinuz-6"])), None);
}

#[test]
fn what_is_missing_is_named_with_where_it_was_looked_for() {
    let refused = |boot: &BootPlan, paths: &[&str]| {
        let refusal = esp_files(boot, Arch::X86_64, "", &tree_of(paths), 0).expect_err("it cannot boot");
        (refusal.to_string(), refusal.hint.unwrap_or_default())
    };
    let (reason, hint) = refused(&boot(true), &["/boot/vmlinuz-6"]);
    assert_eq!(
        reason,
        "boot: systemd-boot is asked for and not in the tree; looked for: \
         /usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed, /usr/lib/systemd/boot/efi/systemd-bootx64.efi"
    );
    assert!(hint.contains("--no-boot") && hint.contains("systemd-boot-efi"), "{hint}");
    let (reason, hint) = refused(&boot(true), &[LOADER]);
    assert_eq!(
        reason,
        "boot: a kernel is asked for and not in the tree; looked for: /boot/vmlinuz-VERSION, /boot/Image-VERSION, \
         /usr/lib/modules/VERSION/vmlinuz"
    );
    assert!(hint.contains("--no-boot"), "{hint}");
    let (reason, _) = refused(&boot(true), &[LOADER, "/boot/vmlinuz-6:1"]);
    assert!(reason.starts_with("boot: /boot/vmlinuz-6:1: a kernel whose version is no name"), "{reason}");
    let custom = BootPlan { loader: Loader::Custom, ..boot(true) };
    let nothing = esp_files(&custom, Arch::X86_64, "", &tree_of(&[]), 0).expect("nothing is asked for");
    assert!(nothing.esp.is_empty() && nothing.entries.is_empty());
}

#[test]
fn without_an_initrd_system_entries_name_none() {
    let tree = tree_of(&[LOADER, "/boot/vmlinuz-6", "/boot/initrd.img-6"]);
    let files = esp_files(&boot(false), Arch::X86_64, "", &tree, 0).expect("it boots");
    assert!(!list(&files).contains("initrd"), "{}", list(&files));
}

/// The ESP of a tree without a description, and the whole refusal if there is one.
fn esp_of(paths: &[&str], esp_size: Option<&str>) -> Result<(Vec<String>, u64), String> {
    let tree = tree_of(paths);
    let esp_size = esp_size.map(|size| size.parse().expect("a size"));
    let choice = Choice { esp_size, ..Choice::new(Arch::X86_64) };
    let image = from_tree(&tree, "demo", &choice).expect("a tree is enough");
    let plan = plan(&image, &Identity::new(b"seed", 9)).expect("it can be planned");
    let fit = fit(&plan, tree, &Memory(Vec::new()))
        .map_err(|refusal| format!("{refusal}\n{}", refusal.hint.as_deref().unwrap_or("")))?;
    let esp = fit.places.into_iter().next().expect("the first is the ESP");
    let walk = esp
        .tree
        .as_ref()
        .expect("a tree")
        .walk()
        .map(|step| String::from_utf8_lossy(&step.path).into_owned());
    Ok((walk.collect(), esp.len))
}

#[test]
fn the_esp_has_what_the_tree_has_there_too() {
    let paths = [LOADER, "/boot/vmlinuz-6", "/boot/efi/efi/boot/bootx64.efi", "/boot/efi/EXTRA"];
    let (found, len) = esp_of(&paths, None).expect("it fits");
    let expected = [
        "/",
        "/EXTRA",
        "/demo",
        "/demo/6",
        "/demo/6/linux",
        "/efi",
        "/efi/boot",
        "/efi/boot/bootx64.efi",
        "/efi/systemd",
        "/efi/systemd/systemd-bootx64.efi",
        "/loader",
        "/loader/entries",
        "/loader/entries/demo-6.conf",
        "/loader/entries.srel",
        "/loader/loader.conf",
    ];
    assert_eq!(found, expected, "names differ in case from none that were there");
    assert!(len >= 32 * MIB && len.is_multiple_of(MIB));
}

#[test]
fn an_esp_that_is_too_small_says_what_would_do() {
    let paths = [LOADER, "/boot/vmlinuz-6", "/boot/initrd.img-6", "/boot/efi/x", "/boot/efi/y"];
    let refusal = esp_of(&paths, Some("5M")).expect_err("six MiB do not fit");
    let needed = refusal.split("would do").next().and_then(|text| text.rsplit('\n').next()).expect("a hint");
    let mib: u64 = needed.trim().trim_end_matches(" MiB").parse().expect("a number");
    let expected = format!(
        "disk: p.UEFI: what goes into p.UEFI does not fit: it has 5 MiB, and needs {mib} MiB\n{mib} MiB would do: \
         efipartsize=\"{mib}\" or --esp-size {mib}M; largest directories: / 2 MiB, /EFI 2 MiB, /demo/6 2 MiB, /EFI/BOOT 1 MiB, \
         /EFI/systemd 1 MiB"
    );
    assert_eq!(refusal, expected);
    esp_of(&paths, Some(&format!("{mib}M"))).expect("what was named does");
    esp_of(&paths, Some(&format!("{}M", mib - 1))).expect_err("one MiB less does not");
}
