//! Versions and how they compare: deb-version(7).

use std::cmp::Ordering;

/// Compares two versions, `[EPOCH:]UPSTREAM[-REVISION]`. Any text has its place; what is no version at all compares by
/// the same rules.
pub fn compare(one: &str, other: &str) -> Ordering {
    let ((epoch, upstream, revision), (epoch2, upstream2, revision2)) = (parts(one), parts(other));
    part(epoch, epoch2).then_with(|| part(upstream, upstream2)).then_with(|| part(revision, revision2))
}

fn parts(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// `~` before the end, the end before letters, letters before all others.
fn weight(byte: Option<u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None | Some(b'0'..=b'9') => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    }
}

/// Turn by turn what is no digit, and a number.
fn part(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while !one.is_empty() || !other.is_empty() {
        let text = |rest: &[u8]| rest.first().is_some_and(|byte| !byte.is_ascii_digit());
        while text(one) || text(other) {
            let order = weight(one.first().copied()).cmp(&weight(other.first().copied()));
            if order.is_ne() {
                return order;
            }
            (one, other) = (one.get(1..).unwrap_or_default(), other.get(1..).unwrap_or_default());
        }
        let ((number, rest), (number2, rest2)) = (number(one), number(other));
        let order = number.len().cmp(&number2.len()).then_with(|| number.cmp(number2));
        if order.is_ne() {
            return order;
        }
        (one, other) = (rest, rest2);
    }
    Ordering::Equal
}

/// The digits in front, without leading zeros, and the rest.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let start = text[..end].iter().position(|&byte| byte != b'0').unwrap_or(end);
    (&text[start..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_deb_version_7() {
        let table =
            ["1~~", "1~~a", "1~", "1", "1-1", "1-1.1", "1a", "1+b1", "1.2", "1.10", "2.0", "0a:1", "1:0"];
        for (at, one) in table.iter().enumerate() {
            for (at2, other) in table.iter().enumerate() {
                if one.contains("a:") || other.contains("a:") {
                    continue; // no version: compares, nothing more
                }
                assert_eq!(compare(one, other), at.cmp(&at2), "{one} {other}");
            }
        }
        for (one, other) in [("0:1", "1"), ("1.0", "1.00"), ("1-0", "1"), ("1.0-0", "1.0"), ("a0", "a")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
    }
}
