//! GRUB's images out of hostile files.

use arbitrary::{Result, Unstructured};
use diskwright::boot::grub::{Embedded, Platform, Room, Target, core_img, efi_image, place};
use diskwright_formats::fault::Refusal;
use diskwright_fstools::tree::{Kind, Meta, Node, Time, Tree};

const TARGETS: [Target; 5] =
    [Target::I386Pc, Target::I386Efi, Target::X86_64Efi, Target::Arm64Efi, Target::Riscv64Efi];
/// A kernel of 16 MiB with its table of addresses, base relocations for a million of them, two small modules.
const MOST_IMAGE: usize = 48 << 20;

/// `grub_modules`: see `fuzz_targets/grub_modules.rs`.
pub fn modules(data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else { return };
    let target = TARGETS[usize::from(selector) % TARGETS.len()];
    let raw = selector >= 128;
    let files = match raw {
        true => Ok((rest.to_vec(), rest.to_vec(), rest.to_vec())),
        false => {
            let mut u = Unstructured::new(rest);
            elf(&mut u, target).and_then(|kernel| Ok((kernel, elf(&mut u, target)?, list(&mut u)?)))
        }
    };
    let Ok((kernel, module, list)) = files else { return };
    let tree = tree(target, &kernel, &module, &list);
    let unread = |_| -> std::result::Result<Vec<u8>, Refusal> { panic!("all is in memory") };
    let platform = Platform::load(&tree, target, &["a", "b"], unread);
    let Ok(platform) = platform.map_err(assert_said) else { return };
    let embedded = Embedded { prefix: "/boot/grub".to_owned(), config: "set a=b\n".to_owned() };
    if target != Target::I386Pc {
        assert!(core_img(&platform, &embedded).is_err());
        if let Ok(image) = efi_image(&platform, &embedded).map_err(assert_said) {
            assert!(image.starts_with(b"MZ") && image.len() % 4096 == 0 && image.len() <= MOST_IMAGE);
        }
        return;
    }
    assert!(efi_image(&platform, &embedded).is_err());
    let Ok(core) = core_img(&platform, &embedded).map_err(assert_said) else { return };
    let [boot, placed] = place(&platform, &core, Room::Gap { end: 2048 }, 512).expect("there is room");
    assert_eq!((boot.bytes.len(), placed.bytes.len() as u64), (440, core.sectors() * 512));
    assert!(core.sectors() <= 888);
    assert!(place(&platform, &core, Room::Gap { end: core.sectors() }, 512).is_err());
}

fn assert_said(refusal: Refusal) {
    assert!(!refusal.to_string().is_empty());
}

fn tree(target: Target, kernel: &[u8], module: &[u8], list: &[u8]) -> Tree {
    let meta = Meta::of_root(0o755, Time::seconds(0));
    let mut tree = Tree::new(meta);
    let mut boot = vec![0; 512];
    boot[0x5A..0x5C].copy_from_slice(&[0, 0x80]);
    boot[0x66] = 0xEB;
    boot[510..].copy_from_slice(&[0x55, 0xAA]);
    let mut diskboot = vec![0; 512];
    diskboot[510..].copy_from_slice(&[0x20, 0x08]);
    let files = [
        ("boot.img", &boot[..]),
        ("diskboot.img", &diskboot),
        ("lzma_decompress.img", &[0; 64]),
        ("kernel.img", kernel),
        ("moddep.lst", list),
        ("a.mod", module),
        ("b.mod", module),
    ];
    for (name, bytes) in files {
        let node = Node { meta, kind: Kind::file(bytes.to_vec()) };
        let path = format!("usr/lib/grub/{}/{name}", target.name());
        tree.put(path.as_bytes(), node, meta).expect("no file is in its way");
    }
    tree
}

/// Dependencies of modules, in circles, too.
fn list(u: &mut Unstructured) -> Result<Vec<u8>> {
    const LINES: [&str; 8] = ["a:\n", "b: a\n", "a: b\n", "c: c c\n", "b: c\n", "c:\n", "a b\n", "../x: y\n"];
    let mut list = Vec::new();
    for _ in 0..u.int_in_range(0..=4)? {
        list.extend(u.choose(&LINES)?.as_bytes());
    }
    Ok(list)
}

/// Headers that hold together, and anything else in them.
fn elf(u: &mut Unstructured, target: Target) -> Result<Vec<u8>> {
    let wide = !matches!(target, Target::I386Pc | Target::I386Efi);
    let machine: u16 = match target {
        Target::I386Pc | Target::I386Efi => 3,
        Target::X86_64Efi => 62,
        Target::Arm64Efi => 183,
        Target::Riscv64Efi => 243,
    };
    let (head, entry) = if wide { (64usize, 64usize) } else { (52, 40) };
    let mut bytes = vec![0; head];
    bytes[..7].copy_from_slice(&[0x7F, b'E', b'L', b'F', 1 + u8::from(wide), 1, 1]);
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    // Nothing, code, symbols, their names; then what comes.
    let count = u.int_in_range(4..=9)?;
    let mut table = Vec::new();
    for index in 0..count {
        let usual = u.ratio(7, 8)?;
        let kind: u32 = match index {
            0..4 if usual => [0, 1, 2, 3][index as usize],
            _ => *u.choose(&[1, 1, 2, 3, 4, 4, 8, 9])?,
        };
        let data = section(u, kind, wide, count)?;
        let address: u64 = if u.ratio(3, 4)? { 0x9000 } else { u.arbitrary()? };
        let len = if u.ratio(7, 8)? { data.len() as u64 } else { u64::from(u.arbitrary::<u32>()?) };
        let flags: u64 = if kind == 1 && index == 1 { 6 } else { *u.choose(&[6, 2, 3, 0])? };
        let link = if usual { 3 } else { u.int_in_range(0..=count)? };
        let info = if usual { 1 } else { u.int_in_range(0..=count)? };
        let align: u64 = *u.choose(&[0, 1, 8, 32, 4096, 3])?;
        let size: u64 = match kind {
            2 => 16 + 8 * u64::from(wide),
            4 => 12 << u32::from(wide),
            _ => 8 << u32::from(wide),
        };
        let fields = [address, bytes.len() as u64, len];
        header(&mut table, wide, kind, flags, fields, (link, info), align, size);
        bytes.extend(data);
    }
    let at = bytes.len() as u64;
    bytes.extend(table);
    let mut put = |at: usize, len: usize, value: u64| {
        bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    };
    match wide {
        true => put(40, 8, at),
        false => put(32, 4, at),
    }
    let fields = if wide { 58 } else { 46 };
    put(fields, 2, entry as u64);
    put(fields + 2, 2, u64::from(count));
    for _ in 0..u.int_in_range(0..=3)? {
        let at = u.choose_index(bytes.len())?;
        bytes[at] = u.arbitrary()?;
    }
    Ok(bytes)
}

#[allow(clippy::too_many_arguments)] // the fields of a section header
fn header(
    table: &mut Vec<u8>,
    wide: bool,
    kind: u32,
    flags: u64,
    place: [u64; 3],
    (link, info): (u32, u32),
    align: u64,
    entry: u64,
) {
    let long = if wide { 8 } else { 4 };
    let mut field = |value: u64, len: usize| table.extend(&value.to_le_bytes()[..len]);
    field(0, 4);
    field(u64::from(kind), 4);
    field(flags, long);
    place.into_iter().for_each(|value| field(value, long));
    field(u64::from(link), 4);
    field(u64::from(info), 4);
    field(align, long);
    field(entry, long);
}

/// What a section of this type may hold.
fn section(u: &mut Unstructured, kind: u32, wide: bool, count: u32) -> Result<Vec<u8>> {
    let long = if wide { 8 } else { 4 };
    let mut bytes = Vec::new();
    let mut field = |value: u64, len: usize| bytes.extend(&value.to_le_bytes()[..len]);
    match kind {
        2 => {
            for _ in 0..u.int_in_range(0..=4)? {
                let (name, value) = (*u.choose(&[0, 1, 8])?, u64::from(u.arbitrary::<u16>()?));
                let home = u64::from(u.int_in_range(0..=count)?);
                field(name, 4);
                match wide {
                    true => [(0, 2), (home, 2), (value, 8), (0, 8)].map(|(value, len)| field(value, len)),
                    false => [(value, 4), (0, 4), (0, 2), (home, 2)].map(|(value, len)| field(value, len)),
                };
            }
        }
        3 => bytes.extend(b"\0_start\0_end\0"),
        4 | 9 => {
            const KINDS: [u64; 24] = [
                0, 1, 2, 4, 10, 16, 17, 19, 23, 24, 25, 35, 39, 44, 45, 51, 257, 261, 275, 277, 283, 286,
                311, 312,
            ];
            for _ in 0..u.int_in_range(0..=12)? {
                let (symbol, kind) = (u64::from(u.int_in_range(0..=4u32)?), *u.choose(&KINDS)?);
                field(u64::from(u.arbitrary::<u8>()?), long);
                field(if wide { symbol << 32 | kind } else { symbol << 8 | kind & 0xFF }, long);
                if kind != 0 || u.arbitrary()? {
                    field(u64::from(u.arbitrary::<u16>()?), long);
                }
            }
        }
        _ => bytes.extend(u.arbitrary::<&[u8]>()?.iter().take(600)),
    }
    Ok(bytes)
}
