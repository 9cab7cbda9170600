//! Values of options: numbers as strtoul(3) reads them, sizes with units, percentages, UUIDs, texts.

use super::invalid;
use diskwright_formats::fault::Refusal;
use uuid::Uuid;

/// A number of blocks, or of bytes where it has a unit (`parse_num_blocks2` of e2fsprogs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// Without a unit.
    Blocks(u64),
    /// With one.
    Bytes(u64),
}

impl Amount {
    /// In whole blocks.
    pub(super) fn blocks(self, block_size: u32) -> u64 {
        match self {
            Amount::Blocks(blocks) => blocks,
            Amount::Bytes(bytes) => bytes / u64::from(block_size),
        }
    }
}

/// Decimal, `0x` and hexadecimal, or `0` and octal digits.
pub(in crate::ext) fn unsigned(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    Some(digits)
        .filter(|digits| !digits.starts_with('+'))
        .and_then(|text| u64::from_str_radix(text, radix).ok())
}

/// A number from `least` to `most`.
pub(super) fn number(option: &str, value: &str, least: u64, most: u64) -> Result<u64, Refusal> {
    let number = unsigned(value).filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| invalid(format!("{option}: not a number from {least} to {most}: {value}")))
}

/// A number with or without one of the units s, K, M, G, T.
fn with_unit(text: &str) -> Option<(u64, Option<u64>)> {
    let unit = text.chars().last()?.to_ascii_lowercase();
    let factor = match unit {
        's' => 512,
        'k' => 1 << 10,
        'm' => 1 << 20,
        'g' => 1 << 30,
        't' => 1 << 40,
        _ => return Some((unsigned(text)?, None)),
    };
    Some((unsigned(&text[..text.len() - 1])?, Some(factor)))
}

/// A number of bytes, with or without a unit.
pub(super) fn bytes(option: &str, value: &str, least: u64, most: u64) -> Result<u64, Refusal> {
    let bytes = with_unit(value).and_then(|(number, factor)| number.checked_mul(factor.unwrap_or(1)));
    let bytes = bytes.filter(|bytes| (least..=most).contains(bytes));
    bytes.ok_or_else(|| invalid(format!("{option}: not a number of bytes from {least} to {most}: {value}")))
}

/// A number of blocks, or of bytes with a unit; not 0.
pub(super) fn amount(option: &str, value: &str) -> Result<Amount, Refusal> {
    let amount =
        with_unit(value).filter(|(number, _)| *number > 0).and_then(|(number, factor)| match factor {
            None => Some(Amount::Blocks(number)),
            Some(factor) => number.checked_mul(factor).map(Amount::Bytes),
        });
    let wrong =
        || invalid(format!("{option}: not a number of blocks, or of bytes with K, M, G or T: {value}"));
    amount.ok_or_else(wrong)
}

/// A power of two from `least` to `most`.
pub(super) fn power_of_two(option: &str, value: &str, least: u64, most: u64) -> Result<u64, Refusal> {
    match number(option, value, least, most)? {
        number if number.is_power_of_two() => Ok(number),
        _ => Err(invalid(format!("{option}: not a power of two: {value}"))),
    }
}

/// Text of at most `most` bytes.
pub(super) fn text(option: &str, value: &str, most: usize) -> Result<String, Refusal> {
    match value.len() {
        len if len > most => Err(invalid(format!("{option} of {len} bytes: at most {most}"))),
        _ if value.contains('\0') => Err(invalid(format!("{option}: a NUL byte in it"))),
        _ => Ok(value.to_owned()),
    }
}

/// A UUID that is the same every time.
pub(super) fn uuid(option: &str, value: &str) -> Result<Uuid, Refusal> {
    match value {
        "random" | "time" => Err(invalid(format!("{option} {value}: an image is the same every time"))
            .hint("leave it out: ids are derived from the seed")),
        "clear" | "null" => Ok(Uuid::nil()),
        _ => Uuid::try_parse(value).map_err(|_| invalid(format!("{option}: no UUID: {value}"))),
    }
}

/// Hundredths of a percent, from 0 to 50 %.
pub(in crate::ext) fn percent(option: &str, value: &str) -> Result<u32, Refusal> {
    let wrong = || invalid(format!("{option}: not a percentage from 0 to 50: {value}"));
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !part.bytes().all(|byte| byte.is_ascii_digit()) || whole.len() + part.len() == 0 {
        return Err(wrong());
    }
    let part = part.trim_end_matches('0');
    if part.len() > 2 {
        return Err(wrong().hint("at most two digits behind the point"));
    }
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let hundredths: u32 = format!("{part:0<2}").parse().expect("two digits");
    let hundredths = whole.saturating_mul(100).saturating_add(hundredths);
    Some(hundredths).filter(|&hundredths| hundredths <= 5000).ok_or_else(wrong)
}

/// `s_errors`.
pub(in crate::ext) fn errors(option: &str, value: &str) -> Result<u16, Refusal> {
    match value {
        "continue" => Ok(1),
        "remount-ro" => Ok(2),
        "panic" => Ok(3),
        _ => Err(invalid(format!("{option}: not continue, remount-ro or panic: {value}"))),
    }
}

/// `UID:GID`
pub(super) fn owner(option: &str, value: Option<&str>) -> Result<(u32, u32), Refusal> {
    let Some(value) = value else {
        let refusal = invalid(format!("{option}: whose it is must be said: nothing comes from the host"));
        return Err(refusal.hint(format!("{option}=0:0")));
    };
    let id = |text: &str| unsigned(text).and_then(|id| u32::try_from(id).ok());
    let ids = value.split_once(':').and_then(|(uid, gid)| id(uid).zip(id(gid)));
    ids.ok_or_else(|| invalid(format!("{option}: not UID:GID: {value}")))
}

/// Permission bits in octal.
pub(super) fn mode(option: &str, value: &str) -> Result<u16, Refusal> {
    let mode = u16::from_str_radix(value, 8).ok().filter(|&mode| mode <= 0o7777 && !value.starts_with('+'));
    mode.ok_or_else(|| invalid(format!("{option}: not octal permissions from 0 to 7777: {value}")))
}
