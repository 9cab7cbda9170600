//! Order of versions (UAPI.10, Version Format Specification), the one by which systemd-boot sorts its menu.

use std::cmp::Ordering;

/// Which of two versions is newer.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        (a, b) = (valid(a), valid(b));
        match separator(&mut a, &mut b, b'~') {
            Some(Ordering::Equal) => continue,
            Some(order) => return order,
            None => {}
        }
        if a.is_empty() || b.is_empty() {
            return a.len().min(1).cmp(&b.len().min(1));
        }
        if let Some(order) = [b'-', b'^', b'.'].into_iter().find_map(|sign| separator(&mut a, &mut b, sign)) {
            match order {
                Ordering::Equal => continue,
                order => return order,
            }
        }
        match segment(&mut a, &mut b) {
            Ordering::Equal => {}
            order => return order,
        }
    }
}

/// Without what counts for nothing in front.
fn valid(text: &[u8]) -> &[u8] {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"~-^.".contains(byte);
    &text[text.iter().position(good).unwrap_or(text.len())..]
}

/// If one starts with `sign`: that one is older; if both do, both are moved behind it.
fn separator(a: &mut &[u8], b: &mut &[u8], sign: u8) -> Option<Ordering> {
    match (a.first() == Some(&sign), b.first() == Some(&sign)) {
        (false, false) => None,
        (true, true) => {
            (*a, *b) = (&a[1..], &b[1..]);
            Some(Ordering::Equal)
        }
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
    }
}

/// A run of digits, compared as a number, or one of letters.
fn segment(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    let digits = a[0].is_ascii_digit() || b[0].is_ascii_digit();
    let kind = |byte: &u8| if digits { byte.is_ascii_digit() } else { byte.is_ascii_alphabetic() };
    let (left, right) = (take(a, kind), take(b, kind));
    if !digits {
        return left.cmp(right);
    }
    let number = |run: &[u8]| run[run.iter().position(|&byte| byte != b'0').unwrap_or(run.len())..].to_vec();
    let (x, y) = (number(left), number(right));
    // No number at all is older than any number.
    left.is_empty().cmp(&right.is_empty()).reverse().then(x.len().cmp(&y.len())).then(x.cmp(&y))
}

fn take<'a>(text: &mut &'a [u8], kind: impl Fn(&u8) -> bool) -> &'a [u8] {
    let (run, rest) = text.split_at(text.iter().position(|byte| !kind(byte)).unwrap_or(text.len()));
    *text = rest;
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oldest first: the order that the specification gives, and kernels.
    #[test]
    fn versions_in_order() {
        let ordered: &[&[&str]] = &[
            &["~1", "", "0", "1"],
            &[
                "122.1",
                "123~rc1-1",
                "123",
                "123-a",
                "123-a.1",
                "123-1",
                "123-1.1",
                "123^post1",
                "123.a-1",
                "123.1-1",
                "123a-1",
                "124-1",
            ],
            &["5.10.0-9-amd64", "5.10.0-26-amd64", "6.1.0-9-amd64", "6.1.0-13-amd64", "6.10.0-1-amd64"],
            &["6.4.0-150600.23.7-default", "6.4.0-150600.23.10-default"],
        ];
        for versions in ordered {
            for (at, a) in versions.iter().enumerate() {
                for (other, b) in versions.iter().enumerate() {
                    assert_eq!(compare(a, b), at.cmp(&other), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn what_counts_for_nothing() {
        for (a, b) in [("1_2", "1+2"), ("001", "1"), ("1.", "1."), ("ü", "")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a:?} {b:?}");
        }
    }
}
