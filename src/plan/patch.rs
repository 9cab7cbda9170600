//! A unified diff (POSIX.1-2024 `diff`, "Diff -u Output Format") applied to a text, as patch(1) does with a fuzz factor of 0: a
//! hunk whose lines have moved is found where they are nearest.

/// Why a patch does not apply: the line of the patch, from 1, and the reason.
pub(super) type Reject = (usize, &'static str);

struct Hunk<'a> {
    /// Line of the patch that it starts at.
    line: usize,
    /// First line that it is about, from 0.
    at: usize,
    old: Vec<&'a str>,
    new: Vec<&'a str>,
}

/// The text with all hunks applied.
pub(super) fn apply(text: &str, patch: &str) -> Result<String, Reject> {
    let hunks = hunks(patch)?;
    if hunks.is_empty() && !patch.trim().is_empty() {
        return Err((1, "no unified diff"));
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut patched = String::new();
    let (mut done, mut moved) = (0, 0_isize);
    for Hunk { line, at, old, new } in hunks {
        let wanted = at.saturating_add_signed(moved);
        let found = place(&lines, &old, done, wanted).ok_or((line, "its lines are not in the file"))?;
        moved = found as isize - at as isize;
        patched.extend(lines[done..found].iter().copied().chain(new));
        done = found + old.len();
    }
    patched.extend(lines[done..].iter().copied());
    Ok(patched)
}

/// Where lines are, at or behind `from` and nearest to `wanted`.
fn place(lines: &[&str], old: &[&str], from: usize, wanted: usize) -> Option<usize> {
    let last = lines.len().checked_sub(old.len())?;
    let fits = |at: &usize| lines[*at..*at + old.len()] == *old;
    (from..=last).filter(fits).min_by_key(|at| at.abs_diff(wanted))
}

fn hunks(patch: &str) -> Result<Vec<Hunk<'_>>, Reject> {
    let mut all: Vec<Hunk<'_>> = Vec::new();
    let mut lines = (1..).zip(patch.split_inclusive('\n')).peekable();
    while let Some((line, head)) = lines.next() {
        let Some((old, new)) = head.strip_prefix("@@ -").and_then(ranges) else { continue };
        let ((start, mut removed), (_, mut added)) = (old, new);
        // Of no lines the number is that of the line in front of them.
        let at = if removed == 0 { start } else { start.saturating_sub(1) };
        let mut hunk = Hunk { line, at, old: Vec::new(), new: Vec::new() };
        while removed > 0 || added > 0 {
            let (number, text) = lines.next().ok_or((line, "it ends before its hunk does"))?;
            let rest = text.get(1..).unwrap_or("");
            let bad = (number, "no line of a hunk");
            let (is_old, is_new, rest) = match text.as_bytes().first() {
                Some(b' ') => (true, true, rest),
                Some(b'\n') => (true, true, text),
                Some(b'-') => (true, false, rest),
                Some(b'+') => (false, true, rest),
                _ => return Err(bad),
            };
            let ends = lines.next_if(|(_, next)| next.starts_with('\\')).is_some();
            let rest = if ends { rest.strip_suffix('\n').unwrap_or(rest) } else { rest };
            if is_old {
                removed = removed.checked_sub(1).ok_or(bad)?;
                hunk.old.push(rest);
            }
            if is_new {
                added = added.checked_sub(1).ok_or(bad)?;
                hunk.new.push(rest);
            }
        }
        all.push(hunk);
    }
    Ok(all)
}

/// `5,7 +5,8 @@`: first line and number of lines, of both.
fn ranges(head: &str) -> Option<((usize, usize), (usize, usize))> {
    let (ranges, _) = head.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    Some((range(old)?, range(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a\nb\nc\nd\ne\n";

    #[test]
    fn hunks_apply_where_their_lines_are() {
        let cases = [
            ("", TEXT),
            ("--- x\n+++ y\n@@ -2 +2 @@\n-b\n+B\n", "a\nB\nc\nd\ne\n"),
            ("@@ -1,2 +1,3 @@\n+0\n a\n b\n@@ -4,2 +5 @@\n-d\n e\n", "0\na\nb\nc\ne\n"),
            ("@@ -0,0 +1 @@\n+0\n", "0\na\nb\nc\nd\ne\n"),
            ("@@ -5,0 +6 @@\n+f\n\\ No newline at end of file\n", "a\nb\nc\nd\ne\nf"),
            ("@@ -1,2 +1,2 @@ moved\n d\n-e\n+E\n", "a\nb\nc\nd\nE\n"),
        ];
        for (patch, expected) in cases {
            assert_eq!(apply(TEXT, patch).as_deref(), Ok(expected), "{patch}");
        }
    }

    #[test]
    fn what_does_not_apply_is_said_with_its_line() {
        let cases = [
            ("words\n", (1, "no unified diff")),
            ("\n@@ -1 +1 @@\n-x\n+y\n", (2, "its lines are not in the file")),
            ("@@ -2 +2 @@\n-b\n+B\n@@ -1 +1 @@\n-a\n+A\n", (4, "its lines are not in the file")),
            ("@@ -1,2 +1,2 @@\n a\n", (1, "it ends before its hunk does")),
            ("@@ -1 +1 @@\n*a\n", (2, "no line of a hunk")),
            ("@@ -1,9 +1,9 @@\n-a\n-b\n-c\n-d\n-e\n-f\n-g\n-h\n-i\n-j\n", (11, "no line of a hunk")),
            ("@@ -1 +1 @@\n-a", (1, "it ends before its hunk does")),
            ("@@ -99999999999999999999 +1 @@\n-a\n+b\n", (1, "no unified diff")),
            ("@@ -18446744073709551615 +1 @@\n-z\n+b\n", (1, "its lines are not in the file")),
        ];
        for (patch, expected) in cases {
            assert_eq!(apply(TEXT, patch), Err(expected), "{patch}");
        }
    }
}
