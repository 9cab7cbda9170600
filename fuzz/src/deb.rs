//! Hostile packages.

use super::survey::archive;
use arbitrary::{Result, Unstructured};
use diskwright::root::deb::Deb;
use diskwright::root::repository::compare_versions;
use std::io::Write;

/// `open_deb`: see `fuzz_targets/open_deb.rs`.
pub fn open(data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else { return };
    let bytes = match selector {
        0 => rest.to_vec(),
        _ => package(&mut Unstructured::new(rest)).unwrap_or_default(),
    };
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&bytes).expect("room for a small file");
    let deb = match Deb::open(file, "a.deb") {
        Ok(deb) => deb,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let control = &deb.control;
    for name in [&control.name, &control.architecture] {
        assert!(!name.is_empty() && !name.contains(['/', '\n', '\0']) && !name.starts_with('.'), "{name}");
    }
    for file in &control.files {
        assert!(
            !file.name.contains('/') && !file.name.starts_with('.') && file.mode <= 0o777,
            "{}",
            file.name
        );
    }
    for field in ["Depends", "Pre-Depends", "Replaces", "Conflicts", "Provides"] {
        for relation in control.stanza.relations(field).unwrap_or_default().iter().flatten() {
            relation.admits(&control.version);
        }
    }
    assert!(compare_versions(&control.version, &control.version).is_eq());
    match deb.paths() {
        Ok(paths) => {
            for path in paths {
                let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').skip(1).collect();
                let plain = |part: &&[u8]| !part.is_empty() && !matches!(*part, b".." | b".");
                assert!(path == b"/." || path[0] == b'/' && parts.iter().all(plain), "{path:?}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// An ar archive whose members are mostly what they should be.
fn package(u: &mut Unstructured) -> Result<Vec<u8>> {
    const ENDINGS: [&str; 4] = ["", ".gz", ".xz", ".zst"];
    let mut package = b"!<arch>\n".to_vec();
    member(u, &mut package, "debian-binary", b"2.0\n")?;
    let control = match u.ratio(3, 4)? {
        true => control(u)?,
        false => archive(u)?,
    };
    let ending = if u.ratio(1, 8)? { *u.choose(&ENDINGS)? } else { "" };
    member(u, &mut package, &format!("control.tar{ending}"), &control)?;
    let data = archive(u)?;
    let ending = if u.ratio(1, 8)? { *u.choose(&ENDINGS)? } else { "" };
    member(u, &mut package, &format!("data.tar{ending}"), &data)?;
    if u.ratio(1, 8)? {
        package.truncate(u.int_in_range(0..=package.len())?);
    }
    Ok(package)
}

/// ar(5).
fn member(u: &mut Unstructured, package: &mut Vec<u8>, name: &str, bytes: &[u8]) -> Result<()> {
    let name = if u.ratio(1, 16)? { *u.choose(&["_extra", "debian-binary", "", "data.tar/"])? } else { name };
    let size = if u.ratio(1, 16)? { u.arbitrary::<u32>()? as usize } else { bytes.len() };
    package.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "100644").bytes());
    package.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        package.push(b'\n');
    }
    Ok(())
}

/// Control files of a tar, the fields mostly those that are needed.
fn control(u: &mut Unstructured) -> Result<Vec<u8>> {
    const VALUES: [&str; 12] = [
        "a",
        "1.0-1",
        "amd64",
        "../a",
        "0:1~",
        "",
        "same",
        "b (>= 1), c | d:any",
        "b (<< ",
        "no",
        "\n /etc/a x",
        "a b",
    ];
    let mut text = Vec::new();
    for (name, usual) in
        [("Package", "a"), ("Version", "1:1-1"), ("Architecture", "amd64"), ("Depends", "b (= 1)")]
    {
        let value = if u.ratio(1, 4)? { *u.choose(&VALUES)? } else { usual };
        text.extend(format!("{name}: {value}\n").bytes());
    }
    for _ in 0..u.int_in_range(0..=3)? {
        let name = *u.choose(&["Multi-Arch", "Replaces", "Provides", "Conflicts", "X"])?;
        text.extend(format!("{name}: {}\n", u.choose(&VALUES)?).bytes());
    }
    text.extend(u.arbitrary::<&[u8]>()?.iter().take(16));
    let mut tar = Vec::new();
    file(&mut tar, "./control", &text);
    for name in ["conffiles", "triggers", "md5sums"] {
        if u.ratio(1, 2)? {
            let lines = [
                "/etc/a\n",
                "remove-on-upgrade /b\n",
                "interest /a\n",
                "activate b\n",
                "# c\n",
                "x\n",
                "/\n",
            ];
            let text: String =
                (0..u.int_in_range(0..=3)?).map(|_| u.choose(&lines).copied()).collect::<Result<_>>()?;
            file(&mut tar, name, text.as_bytes());
        }
    }
    tar.resize(tar.len() + 1024, 0);
    Ok(tar)
}

fn file(tar: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..148].copy_from_slice(
        format!("0000644\x000000000\x000000000\0{:011o}\000000000000\0", bytes.len()).as_bytes(),
    );
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(header);
    tar.extend(bytes);
    tar.resize(tar.len().next_multiple_of(512), 0);
}
