//! A header block of 512 bytes.

use super::sparse::Piece;
use std::ops::Range;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
/// In the headers of Jörg Schilling's star times follow a shorter prefix.
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_MAGIC: Range<usize> = 508..512;
/// GNU: four pieces, whether more follow, the whole size.
const SPARSE: Range<usize> = 386..482;
const SPARSE_MORE: usize = 482;
const SPARSE_SIZE: Range<usize> = 483..495;

/// A header.
pub(super) struct Header(pub(super) [u8; BLOCK as usize]);

impl Header {
    pub(super) fn is_zero(&self) -> bool {
        self.0 == [0; BLOCK as usize]
    }

    /// Whether the sum of all bytes is what it says, with its own field counted as spaces. Some old writers took bytes
    /// for signed.
    pub(super) fn checksum_holds(&self) -> bool {
        let outside =
            || self.0.iter().enumerate().filter(|(at, _)| !CHECKSUM.contains(at)).map(|(_, &byte)| byte);
        let spaces = CHECKSUM.len() as i64 * i64::from(b' ');
        let unsigned: i64 = spaces + outside().map(i64::from).sum::<i64>();
        let signed: i64 = spaces + outside().map(|byte| i64::from(byte as i8)).sum::<i64>();
        let says = octal(&self.0[CHECKSUM]);
        says == Some(unsigned) || says == Some(signed)
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[TYPE]
    }

    fn is_posix(&self) -> bool {
        self.0[MAGIC.start..MAGIC.start + 6] == *b"ustar\0"
    }

    fn is_gnu(&self) -> bool {
        self.0[MAGIC] == *b"ustar  \0"
    }

    /// The name, with its prefix where the format has one.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[NAME]);
        let prefix = match self.0[STAR_MAGIC] == *b"tar\0" {
            true => STAR_PREFIX,
            false => PREFIX,
        };
        match text(&self.0[prefix]) {
            prefix if self.is_posix() && !prefix.is_empty() => [prefix, b"/", name].concat(),
            _ => name.to_vec(),
        }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[LINK]).to_vec()
    }

    pub(super) fn mode(&self) -> Option<i64> {
        number(&self.0[MODE])
    }

    pub(super) fn uid(&self) -> Option<i64> {
        number(&self.0[UID])
    }

    pub(super) fn gid(&self) -> Option<i64> {
        number(&self.0[GID])
    }

    pub(super) fn size(&self) -> Option<i64> {
        number(&self.0[SIZE])
    }

    pub(super) fn mtime(&self) -> Option<i64> {
        number(&self.0[MTIME])
    }

    /// Major and minor number of a device; v7 has no such fields.
    pub(super) fn device(&self) -> Option<(i64, i64)> {
        let known = self.is_posix() || self.is_gnu();
        known.then_some(())?;
        Some((number(&self.0[MAJOR])?, number(&self.0[MINOR])?))
    }

    /// The pieces of a GNU sparse file in this block, whether more blocks of them follow, and the whole size.
    pub(super) fn sparse(&self) -> Option<(Vec<Piece>, bool, u64)> {
        let size = u64::try_from(number(&self.0[SPARSE_SIZE])?).ok()?;
        Some((pieces(&self.0[SPARSE])?, self.0[SPARSE_MORE] != 0, size))
    }
}

/// A block of further pieces of a GNU sparse file, and whether one more follows.
pub(super) fn more_sparse(block: &[u8; BLOCK as usize]) -> Option<(Vec<Piece>, bool)> {
    Some((pieces(&block[..504])?, block[504] != 0))
}

/// Positions and lengths, up to the first empty field.
fn pieces(fields: &[u8]) -> Option<Vec<Piece>> {
    let positive = |field: &[u8]| u64::try_from(number(field)?).ok();
    fields
        .chunks_exact(24)
        .take_while(|piece| piece[12] != 0)
        .map(|piece| Some((positive(&piece[..12])?, positive(&piece[12..])?)))
        .collect()
}

/// Bytes up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number: octal digits, or in GNU and star two's complement with the highest bit of the first byte set.
fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    let seed = match first {
        0x80 => 0,
        0xff => -1,
        0x81..=0xfe => return None, // beyond 64 bits in every field
        _ => return octal(field),
    };
    // All but the last eight bytes only repeat the sign.
    let (sign, value) = rest.split_at(rest.len().saturating_sub(8));
    let value = value.iter().fold(seed, |value: i64, &byte| (value << 8) | i64::from(byte));
    let fits = sign.iter().all(|&byte| byte == seed as u8) && (rest.len() < 8 || (value < 0) == (seed < 0));
    fits.then_some(value)
}

/// Octal digits with spaces or a NUL around them; blank is 0.
fn octal(field: &[u8]) -> Option<i64> {
    let start = field.iter().position(|&byte| byte != b' ').unwrap_or(field.len());
    let field = text(&field[start..]).trim_ascii_end();
    let digits = str::from_utf8(field).ok()?;
    match digits {
        "" => Some(0),
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => i64::from_str_radix(digits, 8).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let table: &[(&[u8], Option<i64>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644 \0\0\0\0", Some(0o644)),
            (b"77777777777\0", Some(0o77777777777)),
            (b"777777777777", Some(0o777777777777)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"+000644\0", None),
            (b"64 4\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\0\x05", Some(5)),
            (b"\x80\0\0\x01\0\0\0\0", Some(1 << 32)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN)),
            (b"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xa0\0\0\0\0\0\0\x05", None),
        ];
        for (field, expected) in table {
            assert_eq!(number(field), *expected, "{}", field.escape_ascii());
        }
    }
}
