//! Descriptions, hostile and plausible, on the whole way to a disk.

use super::files::Endless;
use super::seed;
use arbitrary::{Result, Unstructured};
use diskwright::compose::{compose, unwritten};
use diskwright::describe::Diagnostics;
use diskwright::describe::kiwi::parse_with;
use diskwright::inspect::inspect;
use diskwright::model::{Arch, Model};
use diskwright::plan::{fit, is_image, plan};
use diskwright::resolve::{Choice, ResolveError, resolve};
use diskwright_formats::fault::RefusalKind;
use diskwright_formats::layout::Memory;
use diskwright_formats::layout::Reader;
use diskwright_fstools::tree::{Kind, Meta, Node, Time, Tree};

/// Longest disk that is laid and read back here.
const LONGEST: u64 = 1 << 36;

/// `describe`: see `fuzz_targets/describe.rs`.
pub fn kiwi(data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else { return };
    let (file, text) = match selector {
        0 => ("config.xml", rest.to_vec()),
        2 => ("config.yaml", rest.to_vec()),
        3 => ("config.json", rest.to_vec()),
        4 => ("config.toml", rest.to_vec()),
        5 => {
            // Out of values, there is nothing to compare.
            let _ = super::forms::agree(&mut Unstructured::new(rest));
            return;
        }
        _ => ("config.xml", description(&mut Unstructured::new(rest)).unwrap_or_default().into_bytes()),
    };
    // Whatever is included is this very file.
    match parse_with(file, text.clone(), &|_| Ok(text.clone())) {
        Ok(model) => [Arch::X86_64, Arch::Aarch64].into_iter().for_each(|arch| assert_model(&model, arch)),
        Err(diagnostics) => assert_said(&diagnostics),
    }
}

fn assert_said(diagnostics: &Diagnostics) {
    assert!(!diagnostics.render(false).is_empty() && !diagnostics.render(true).is_empty());
    assert!(!diagnostics.render(false).contains('\x1b'), "readable without colour");
}

/// What resolves is planned or refused; what fits is laid, and the disk is sound.
fn assert_model(model: &Model, arch: Arch) {
    let resolved = match resolve(model, &Choice::new(arch)) {
        Ok(resolved) => resolved,
        Err(ResolveError::Refused(diagnostics)) => return assert_said(&diagnostics),
        Err(ResolveError::Choice(refusal)) => return assert!(!refusal.to_string().is_empty()),
    };
    let Ok(planned) = plan(&resolved.image, &seed::identity()) else { return };
    let mut fitted = match fit(&planned, root(), &Memory(Vec::new())) {
        Ok(fitted) => fitted,
        Err(refusal) => {
            if let Some(diagnostics) = resolved.locate(&planned, &refusal) {
                assert_said(&diagnostics);
            }
            return;
        }
    };
    // What is planned and cannot be written yet is refused, by name.
    if let Some(refusal) = unwritten(&fitted.plan) {
        return assert_eq!(refusal.kind, RefusalKind::Unsupported);
    }
    if fitted.len > LONGEST {
        return;
    }
    let composed = match compose(&mut fitted, &seed::identity()) {
        Ok(composed) => composed,
        // A partition may be larger than its file system can be.
        Err(refusal) => return assert_eq!(refusal.kind, RefusalKind::Limit, "what fits is laid: {refusal}"),
    };
    for output in composed.into_iter().filter(|output| is_image(output.format.as_deref())) {
        let inspected =
            inspect(&Reader::new(&output.layout, &Endless)).unwrap_or_else(|damage| panic!("{damage}"));
        let first = inspected.faults.first().map(|fault| format!("{}: {}", fault.within, fault.damage));
        assert_eq!(first, None, "{} is sound", output.file);
    }
}

/// A root tree with what a boot loader looks for.
fn root() -> Tree {
    let meta = Meta::of_root(0o755, Time::seconds(1_600_000_000));
    let mut tree = Tree::new(meta);
    for path in [
        "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
        "boot/vmlinuz-6.1.0-1-amd64",
        "boot/initrd.img-6.1.0-1-amd64",
        "etc/os-release",
        "srv/data",
    ] {
        tree.put(path.as_bytes(), Node { meta, kind: Kind::file(vec![7; 5000]) }, meta).expect("a new name");
    }
    tree
}

/// A description in KIWI's schema, with values that are often right.
pub fn description(u: &mut Unstructured) -> Result<String> {
    let mut text = String::from(
        "<image schemaversion=\"8.0\" name=\"first\"><description type=\"system\"><author>A</author><contact>a@b</contact><specification>S</specification></description><preferences>",
    );
    text += "<version>1.0.0</version><type image=\"";
    text += u.choose(&["oem", "oem", "oem", "oem", "ext4", "vfat", "iso", ""])?;
    text += "\" filesystem=\"ext4\"";
    const ATTRIBUTES: &[&str] = &[
        "firmware=\"uefi\"",
        "firmware=\"efi\"",
        "firmware=\"bios\"",
        "format=\"raw\"",
        "format=\"qcow2\"",
        "eficsm=\"false\"",
        "kernelcmdline=\"quiet\"",
        "rootfs_label=\"R\"",
        "efifatimagesize=\"20\"",
        "fscreateoptions=\"-O ^has_journal\"",
        "fscreateoptions=\"-b 1024 -L x\"",
        "target_blocksize=\"4096\"",
        "disk_start_sector=\"2048\"",
        "bundle_format=\"%N\"",
        "formatoptions=\"cluster_size=4096\"",
        "efiparttable=\"gpt\"",
        "bootpartition=\"true\"",
        "btrfs_root_is_snapshot=\"false\"",
    ];
    for attribute in chosen(u, ATTRIBUTES, 6)? {
        text += &format!(" {attribute}");
    }
    if u.ratio(3, 4)? {
        text += &format!(" efipartsize=\"{}\"", size(u)?);
    }
    text += "><bootloader name=\"";
    text += u.choose(&["custom", "systemd_boot", "grub2", ""])?;
    text += "\"/>";
    if u.ratio(1, 2)? {
        let unit = u.choose(&[
            "",
            " unit=\"M\"",
            " unit=\"G\"",
            " unit=\"X\"",
            " additive=\"true\"",
            " unpartitioned=\"9\"",
        ])?;
        text += &format!("<size{unit}>{}</size>", size(u)?);
    }
    text += "<partitions>";
    for _ in 0..u.int_in_range(0..=5)? {
        let name = *u.choose(&["data", "swap", "var", "data", "a b", ""])?;
        text += &format!("<partition name=\"{name}\" size=\"{}\"", size(u)?);
        const ATTRIBUTES: &[&str] = &[
            "filesystem=\"ext4\"",
            "filesystem=\"vfat\"",
            "filesystem=\"xfs\"",
            "mountpoint=\"/srv\"",
            "mountpoint=\"/var\"",
            "mountpoint=\"/\"",
            "mountpoint=\"relative\"",
            "partition_name=\"p.x\"",
            "partition_type=\"t.linux\"",
            "partition_type=\"t.efi\"",
            "label=\"L\"",
            "clone=\"1\"",
        ];
        for attribute in chosen(u, ATTRIBUTES, 4)? {
            text += &format!(" {attribute}");
        }
        text += "/>";
    }
    text += "</partitions></type></preferences></image>";
    Ok(text)
}

/// Some of them, each once.
fn chosen(u: &mut Unstructured, of: &[&'static str], most: usize) -> Result<Vec<&'static str>> {
    let mut all: Vec<&str> = Vec::new();
    for _ in 0..u.int_in_range(0..=most)? {
        let one = *u.choose(of)?;
        let key = one.split('=').next();
        if all.iter().all(|other| other.split('=').next() != key) {
            all.push(one);
        }
    }
    Ok(all)
}

fn size(u: &mut Unstructured) -> Result<String> {
    Ok(match u.int_in_range(0..=7)? {
        0 => u.choose(&["all", "-1", "0", "1e9", "18446744073709551615", "99999999999M", ""])?.to_string(),
        1 => u.arbitrary::<u64>()?.to_string(),
        2 => format!("{}{}", u.int_in_range(1..=40)?, u.choose(&["M", "G", "T", "K"])?),
        _ => u.int_in_range(1..=3000)?.to_string(),
    })
}
