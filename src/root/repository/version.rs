//! Debian's versions and their order (Debian Policy 5.6.12, deb-version(7)): `[EPOCH:]UPSTREAM[-REVISION]`.

use std::cmp::Ordering;

/// Longest version that is believed, in bytes.
const LONGEST: usize = 1024;

/// Whether a text is a version as dpkg takes it.
pub fn is_version(text: &str) -> bool {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".+~".contains(&byte);
    text.len() <= LONGEST
        && epoch.bytes().all(|byte| byte.is_ascii_digit())
        && epoch.parse::<i32>().is_ok()
        && upstream.starts_with(|first: char| first.is_ascii_digit())
        && upstream.bytes().all(|byte| good(byte) || b"-:".contains(&byte))
        && !revision.is_empty()
        && revision.bytes().all(good)
}

/// Which of two versions is newer. A text that is [no version](is_version) has its place, too: the order is total.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let ([epoch_a, upstream_a, revision_a], [epoch_b, upstream_b, revision_b]) = (parts(a), parts(b));
    number(epoch_a, epoch_b)
        .then_with(|| part(upstream_a, upstream_b))
        .then_with(|| part(revision_a, revision_b))
}

/// Epoch, upstream version and revision.
fn parts(version: &str) -> [&[u8]; 3] {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    [epoch, upstream, revision].map(str::as_bytes)
}

/// What is no digit and what is one by turns, from the left.
fn part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (letters_a, letters_b) =
            (take(&mut a, |byte| !byte.is_ascii_digit()), take(&mut b, |byte| !byte.is_ascii_digit()));
        let (digits_a, digits_b) =
            (take(&mut a, |byte| byte.is_ascii_digit()), take(&mut b, |byte| byte.is_ascii_digit()));
        let order = letters(letters_a, letters_b).then_with(|| number(digits_a, digits_b));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn take<'a>(text: &mut &'a [u8], wanted: impl Fn(&u8) -> bool) -> &'a [u8] {
    let (head, rest) = text.split_at(text.iter().position(|byte| !wanted(byte)).unwrap_or(text.len()));
    *text = rest;
    head
}

/// `~` comes before the end, the end before letters, letters before all else.
fn letters(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let longest = a.len().max(b.len());
    let weights = |text: &[u8]| (0..longest).map(|at| weight(text.get(at))).collect::<Vec<i32>>();
    weights(a).cmp(&weights(b))
}

/// Digits as a number of any length; none are 0.
fn number(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (significant(a), significant(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn significant(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().position(|&byte| byte != b'0').unwrap_or(digits.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_policy() {
        let rising = [
            "~~",
            "~~a",
            "~",
            "0",
            "0a",
            "1.0~beta1~svc1",
            "1.0~beta1",
            "1.0",
            "1.0-1~bpo1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0a",
            "1.0+b",
            "1.1",
            "1.2",
            "1.10",
            "1:0.1",
            "1:0.1-0.1",
            "2:0",
        ];
        for (at, a) in rising.iter().enumerate() {
            for (other, b) in rising.iter().enumerate() {
                assert_eq!(compare_versions(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        for (a, b) in
            [("1.0", "1.0-0"), ("0:1", "1"), ("1.0-", "1.0"), ("01.002", "1.2"), ("1.0-00", "1.0-0")]
        {
            assert_eq!(compare_versions(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn what_is_a_version() {
        for good in ["1", "1.0-1", "1:1.0-1", "1.0-a-1", "0:0", "1:2:3-4", "1.0+~-1"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "a", "1 0", ":1", "x:1", "99999999999:1", "1.0-", "1-1_1", "-1", "1.0\u{e4}", "1:"] {
            assert!(!is_version(bad), "{bad}");
        }
        assert!(!is_version(&"1".repeat(LONGEST + 1)));
    }
}
