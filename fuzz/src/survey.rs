//! The survey on hostile archives.

use super::open::assert_recorded;
use arbitrary::{Result, Unstructured};
use diskwright::survey::{Options, Origin, Survey, survey, survey_stream};
use diskwright_formats::layout::Contents;
use diskwright_fstools::tree::{Data, Kind, NodeId};
use std::io::Write;

const EPOCH: i64 = 1_700_000_000;
/// Members may claim more; nobody reads it all.
const MOST_READ: u64 = 1 << 20;

/// `survey_tar`: see `fuzz_targets/survey_tar.rs`.
pub fn tar(data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else { return };
    let archive = match selector {
        0 => rest.to_vec(),
        _ => archive(&mut Unstructured::new(rest)).unwrap_or_default(),
    };
    #[allow(clippy::disallowed_methods)] // nothing here is part of an image
    let work_dir = std::env::temp_dir();
    let mut file = tempfile::NamedTempFile::new_in(&work_dir).expect("a temporary file");
    file.write_all(&archive).expect("room for a small file");
    let options = Options { epoch: EPOCH, owner: None, work_dir, threads: 1 };
    let surveyed = survey(&Origin::Tar(file.path().to_owned()), &options);
    let streamed = survey_stream(&mut &archive[..], "stream", &options);
    assert_eq!(surveyed.is_ok(), streamed.is_ok(), "as a file and as a stream");
    let [surveyed, streamed] = [surveyed, streamed].map(|survey| match survey {
        Ok(survey) => Some(assert_sound(&survey)),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    });
    assert!(surveyed == streamed, "the same tree as a file and as a stream");
}

/// Times are not after the epoch, and every file has the bytes that its size says. Returns the record.
fn assert_sound(survey: &Survey) -> Vec<u8> {
    let tree = &survey.tree;
    for node in (0..tree.nodes()).map(|id| tree.node(NodeId(id as u32))) {
        assert!(node.meta.mtime.sec <= EPOCH && node.meta.mode <= 0o7777, "{:?}", node.meta);
        let Kind::File(data @ Data::Content { id, size, .. }) = &node.kind else { continue };
        let mut end = 0;
        for run in data.runs() {
            assert!(end <= run.start && run.start < run.end && run.end <= *size, "{run:?} of {size}");
            end = run.end;
            let content = survey.contents.open(*id).expect("a surveyed file");
            let mut bytes = vec![0; (run.end - run.start).min(MOST_READ) as usize];
            content.read_exact_at(run.start, &mut bytes).expect("the bytes of a run");
            content.read_exact_at(run.end - 1, &mut bytes[..1]).expect("the last byte of a run");
            content.close().expect("an unchanged source");
        }
    }
    assert_recorded(tree)
}

/// An archive of headers with checksums that match, and anything else in them.
pub fn archive(u: &mut Unstructured) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    for _ in 0..u.int_in_range(0..=12)? {
        member(u, &mut archive)?;
    }
    if u.ratio(7, 8)? {
        archive.extend([0; 1024]);
    } else {
        archive.truncate(u.int_in_range(0..=archive.len())?);
    }
    Ok(archive)
}

/// pax(5), "ustar": one header block and its data.
fn member(u: &mut Unstructured, archive: &mut Vec<u8>) -> Result<()> {
    const NAMES: [&str; 12] =
        ["a", "a/b", "./c", "..", "../x", "/abs", "d/", "a/../b", "link", "link/x", "", "."];
    let mut header = [0; 512];
    let name = if u.ratio(3, 4)? { u.choose(&NAMES)?.as_bytes() } else { u.arbitrary::<&[u8]>()? };
    let target = if u.ratio(3, 4)? { u.choose(&NAMES)?.as_bytes() } else { u.arbitrary::<&[u8]>()? };
    let kind = *u.choose(b"00000011223456xgLKS7V")?;
    let data = match kind {
        b'x' | b'g' if u.ratio(3, 4)? => pax(u)?,
        _ => u.arbitrary::<&[u8]>()?.to_vec(),
    };
    let size = if u.ratio(7, 8)? { data.len() as u64 } else { u.arbitrary()? };
    let octal = |number: u64, width: usize| format!("{number:0width$o}").into_bytes();
    for (at, width, field) in [
        (0, 100, name.to_vec()),
        (100, 8, octal(u64::from(u.arbitrary::<u16>()?), 7)),
        (108, 8, octal(u64::from(u.arbitrary::<u16>()?), 7)),
        (116, 8, octal(u64::from(u.arbitrary::<u16>()?), 7)),
        (124, 12, octal(size, 11)),
        (136, 12, octal(u64::from(u.arbitrary::<u32>()?), 11)),
        (156, 1, vec![kind]),
        (157, 100, target.to_vec()),
        (257, 8, u.choose(&[b"ustar\x0000", b"ustar  \0", b"\0\0\0\0\0\0\0\0"])?.to_vec()),
        (329, 8, octal(u64::from(u.arbitrary::<u16>()?), 7)),
        (337, 8, octal(u64::from(u.arbitrary::<u16>()?), 7)),
    ] {
        let count = field.len().min(width);
        header[at..at + count].copy_from_slice(&field[..count]);
    }
    if u.ratio(1, 4)? {
        // The rest of the header: prefix, or GNU's sparse map.
        u.fill_buffer(&mut header[345..512])?;
    }
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend(header);
    archive.extend(&data);
    archive.resize(archive.len().next_multiple_of(512), 0);
    Ok(())
}

/// pax(5), "extended header": records with their length in front.
fn pax(u: &mut Unstructured) -> Result<Vec<u8>> {
    const KEYS: [&str; 16] = [
        "path",
        "linkpath",
        "size",
        "mtime",
        "uid",
        "gid",
        "SCHILY.xattr.user.a",
        "SCHILY.xattr.security.selinux",
        "SCHILY.acl.access",
        "LIBARCHIVE.xattr.user.b",
        "GNU.sparse.map",
        "GNU.sparse.major",
        "GNU.sparse.minor",
        "GNU.sparse.realsize",
        "GNU.sparse.size",
        "GNU.sparse.name",
    ];
    const VALUES: [&str; 10] =
        ["0", "1", "-1", "1.5", "a/b", "../x", "99999999999999999999", "0,1,2,3", "512", ""];
    let mut records = Vec::new();
    for _ in 0..u.int_in_range(0..=6)? {
        let key = *u.choose(&KEYS)?;
        let value = if u.ratio(3, 4)? { u.choose(&VALUES)?.as_bytes() } else { u.arbitrary::<&[u8]>()? };
        let rest = key.len() + value.len() + 3;
        let len = (1..6).map(|digits| rest + digits).find(|len| len.to_string().len() + rest == *len);
        records.extend(format!("{} {key}=", len.unwrap_or(0)).as_bytes());
        records.extend(value);
        records.push(b'\n');
    }
    Ok(records)
}
