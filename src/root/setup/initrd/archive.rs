//! What is in a finished initrd: names and symlinks, no content.
//!
//! An initrd is a row of archives, each plain or compressed, zeros between them (Linux, "initramfs buffer format"): plain ones
//! with microcode and firmware first, a compressed one with the rest. Archives are `cpio -H newc`.

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use flate2::bufread::GzDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Most bytes of an archive when it is decompressed; more than firmware of all devices needs.
const MOST: u64 = 2 << 30;
/// Most memory of an xz or LZMA decoder, in KiB.
const XZ_MEMORY_MAX: u32 = 128 << 10;
/// Largest window of zstd: that of its highest level.
const ZSTD_WINDOW_MAX: u64 = 128 << 20;
/// Longest path in an archive, with its zero byte: that of Linux.
const NAME_MAX: usize = 4096;
const HEADER: usize = 110;

/// Paths without a slash before them; of symlinks, where they lead.
pub(super) type Contents = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Reads all of an initrd; `name` is for messages.
///
/// # Errors
/// Damage, or a compression that cannot be read here: bzip2, LZO, LZ4.
pub(super) fn read(bytes: &[u8], name: &str) -> Result<Contents, Refusal> {
    let mut contents = Contents::new();
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|&byte| byte != 0) {
        rest = &rest[start..];
        if is_cpio(rest) {
            rest = cpio(rest, &mut contents).map_err(|reason| damaged(name, &reason))?;
            continue;
        }
        let (plain, behind) = decompressed(rest, name)?;
        rest = behind;
        let mut plain = &plain[..];
        while let Some(start) = plain.iter().position(|&byte| byte != 0) {
            plain = cpio(&plain[start..], &mut contents).map_err(|reason| damaged(name, &reason))?;
        }
    }
    Ok(contents)
}

fn damaged(name: &str, reason: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, Spot::new("initrd", name), reason)
}

fn is_cpio(bytes: &[u8]) -> bool {
    bytes.starts_with(b"070701") || bytes.starts_with(b"070702")
}

/// One archive, up to its trailer; what is behind it.
fn cpio<'a>(bytes: &'a [u8], contents: &mut Contents) -> Result<&'a [u8], String> {
    let cut = || "an archive is cut short".to_owned();
    let mut at = 0;
    loop {
        let header = bytes.get(at..at + HEADER).ok_or_else(cut)?;
        if !is_cpio(header) {
            return Err(format!("no cpio header at byte {at} of an archive"));
        }
        let field = |index: usize| {
            let digits = std::str::from_utf8(&header[6 + 8 * index..14 + 8 * index]).ok();
            let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            number.ok_or_else(|| format!("no number in the cpio header at byte {at} of an archive"))
        };
        let (mode, size, name_size) = (field(1)?, field(6)? as usize, field(11)? as usize);
        if !(1..=NAME_MAX).contains(&name_size) {
            return Err(format!("a name of {name_size} bytes"));
        }
        let name = bytes.get(at + HEADER..at + HEADER + name_size - 1).ok_or_else(cut)?;
        let data = (at + HEADER + name_size).next_multiple_of(4);
        let content = bytes.get(data..data.saturating_add(size)).ok_or_else(cut)?;
        at = (data + size).next_multiple_of(4);
        if name == b"TRAILER!!!" {
            return Ok(bytes.get(at..).unwrap_or_default());
        }
        let target = (mode & 0o170_000 == 0o120_000).then(|| content.to_vec());
        let name = name.strip_prefix(b"./").or(name.strip_prefix(b"/")).unwrap_or(name);
        contents.insert(name.to_vec(), target);
    }
}

/// One compressed part, and what is behind it.
fn decompressed<'a>(bytes: &'a [u8], name: &str) -> Result<(Vec<u8>, &'a [u8]), Refusal> {
    let mut rest = bytes;
    let mut plain = Vec::new();
    let done = match bytes {
        [0x1f, 0x8b, ..] => {
            let mut done = Ok(());
            while done.is_ok() && rest.starts_with(&[0x1f, 0x8b]) {
                done = fill(&mut GzDecoder::new(&mut rest), &mut plain);
            }
            done
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => unzstd(&mut rest, &mut plain),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            fill(&mut XzReader::new_mem_limit(&mut rest, false, XZ_MEMORY_MAX), &mut plain)
        }
        [0x5d, 0, 0, ..] => LzmaReader::new_mem_limit(&mut rest, XZ_MEMORY_MAX, None)
            .and_then(|mut reader| fill(&mut reader, &mut plain)),
        other => return Err(unknown(other, name)),
    };
    done.map_err(|error| damaged(name, &format!("the compressed data is damaged: {error}")))?;
    Ok((plain, rest))
}

fn unknown(bytes: &[u8], name: &str) -> Refusal {
    let kind = match bytes {
        [0x02, 0x21, 0x4c, 0x18, ..] | [0x04, 0x22, 0x4d, 0x18, ..] => "lz4",
        [b'B', b'Z', b'h', ..] => "bzip2",
        [0x89, b'L', b'Z', b'O', ..] => "LZO",
        _ => return damaged(name, "neither a cpio archive nor compressed by anything known"),
    };
    let reason = format!("compressed with {kind}, which cannot be read here to check it");
    let hint = "COMPRESS=zstd in /etc/initramfs-tools/initramfs.conf, compress=\"zstd\" in /etc/dracut.conf.d; or gzip, xz";
    Refusal::new(RefusalKind::Unsupported, Spot::new("initrd", name), reason).hint(hint)
}

fn fill(reader: &mut dyn Read, plain: &mut Vec<u8>) -> io::Result<()> {
    let room = MOST.saturating_sub(plain.len() as u64) + 1;
    reader.take(room).read_to_end(plain)?;
    if plain.len() as u64 > MOST {
        return Err(io::Error::other(format!("more than {MOST} bytes when it is decompressed")));
    }
    Ok(())
}

/// Frames of zstd, one behind the other, some of them to be skipped.
fn unzstd(rest: &mut &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(ZSTD_WINDOW_MAX);
    while is_zstd(rest) {
        match StreamingDecoder::new_with_decoder(&mut *rest, &mut decoder) {
            Ok(mut frame) => {
                fill(&mut frame, plain)?;
                let says = frame.decoder.get_checksum_from_data();
                if says.is_some() && says != frame.decoder.get_calculated_checksum() {
                    return Err(io::Error::other("the checksum of a frame is wrong"));
                }
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => *rest = rest.get(length as usize..).ok_or(io::ErrorKind::UnexpectedEof)?,
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
    }
    Ok(())
}

/// Whether a frame begins here, or one that is to be skipped (RFC 8878, 3.1).
fn is_zstd(bytes: &[u8]) -> bool {
    matches!(bytes, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Whether a path leads to something in the archive; symlinks are followed within it.
pub(super) fn leads(contents: &Contents, path: &[u8]) -> bool {
    let mut waiting: Vec<Vec<u8>> = parts(path);
    let mut at: Vec<Vec<u8>> = Vec::new();
    // Linux gives up after as many.
    let mut links = 40;
    while let Some(part) = waiting.pop() {
        if part == b".." {
            at.pop();
            continue;
        }
        at.push(part);
        match contents.get(&at.join(&b'/')) {
            None => return false,
            Some(None) => {}
            Some(Some(target)) => {
                links -= 1;
                if links == 0 {
                    return false;
                }
                if target.starts_with(b"/") {
                    at.clear();
                } else {
                    at.pop();
                }
                waiting.extend(parts(target));
            }
        }
    }
    !at.is_empty()
}

/// The names of a path, the last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::io::Write;

    fn member(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = format!(
            "070701{:08X}{mode:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}",
            1,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0
        )
        .into_bytes();
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn archive(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            members.iter().flat_map(|(name, mode, content)| member(name, *mode, content)).collect();
        bytes.extend(member("TRAILER!!!", 0, b""));
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.set_check_sum_type(lzma_rust2::CheckType::Crc32);
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    const FILE: u32 = 0o100_644;
    const LINK: u32 = 0o120_777;

    #[test]
    fn plain_and_compressed_archives_stand_one_behind_the_other() {
        let early = archive(&[("kernel/x86/microcode/GenuineIntel.bin", FILE, b"odd")]);
        let main = archive(&[("./init", LINK, b"usr/lib/start"), ("usr/lib/start", FILE, b"12345")]);
        let late = archive(&[("/etc/late", FILE, b"")]);
        for packed in [gzip(&main), xz(&main), main.clone()] {
            let mut bytes = early.clone();
            bytes.resize(bytes.len().next_multiple_of(512), 0);
            bytes.extend(&packed);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(gzip(&late));
            bytes.extend([0; 100]);
            let contents = read(&bytes, "initrd").unwrap();
            let names: Vec<_> =
                contents.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            assert_eq!(names, ["etc/late", "init", "kernel/x86/microcode/GenuineIntel.bin", "usr/lib/start"]);
            assert_eq!(contents[&b"init"[..]], Some(b"usr/lib/start".to_vec()));
        }
    }

    #[test]
    fn links_are_followed_within_the_archive() {
        let bytes = archive(&[
            ("lib", LINK, b"usr/lib"),
            ("usr", 0o040_755, b""),
            ("usr/lib", 0o040_755, b""),
            ("usr/lib/start", FILE, b""),
            ("init", LINK, b"/lib/start"),
            ("bad", LINK, b"lib/none"),
            ("loop", LINK, b"loop"),
            ("up", LINK, b"usr/../lib/./start"),
        ]);
        let contents = read(&bytes, "initrd").unwrap();
        for (path, expected) in [
            ("init", true),
            ("lib/start", true),
            ("up", true),
            ("bad", false),
            ("loop", false),
            ("no", false),
        ] {
            assert_eq!(leads(&contents, path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let bytes = archive(&[("init", FILE, b"12345")]);
        let packed = gzip(&bytes);
        for len in 1..bytes.len() {
            assert!(read(&bytes[..len], "x").is_err() || len > bytes.len() - 4, "{len}");
        }
        assert!(read(&packed[..packed.len() - 9], "x").is_err());
        let refusal = read(&[2, 0x21, 0x4c, 0x18, 0], "/boot/initrd").unwrap_err();
        assert!(refusal.to_string().contains("lz4") && refusal.hint.is_some(), "{refusal}");
        assert_eq!(read(b"BZh9", "x").unwrap_err().kind, RefusalKind::Unsupported);
        assert_eq!(read(b"hello", "x").unwrap_err().kind, RefusalKind::Invalid);
        let mut odd = bytes.clone();
        odd[54] = b'x';
        assert!(read(&odd, "x").unwrap_err().to_string().contains("no number"));
        assert_eq!(read(&[], "x").unwrap().len(), 0);
    }
}
