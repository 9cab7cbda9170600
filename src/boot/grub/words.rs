//! Words for GRUB's parser (GRUB manual, "Shell-like scripting"), and what it makes of a kernel command line.

use super::refused;
use diskwright_formats::fault::{Refusal, RefusalKind};

/// Longest command line that kernels of all our machines take, in bytes without the NUL.
const MOST_COMMAND_LINE: usize = 2047;

/// One word, whatever is in it. Refused: control characters.
pub(super) fn word(text: &str) -> Result<String, Refusal> {
    if text.contains(|sign: char| sign.is_control()) {
        let reason = format!("a text with a control character in it: {text:?}");
        return Err(refused(RefusalKind::Invalid, "grub.cfg", reason));
    }
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}

/// The same without quotes, where nothing in it means anything to the parser.
fn bare_word(text: &str) -> Result<String, Refusal> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._,:=/+@%^~-".contains(&byte);
    match !text.is_empty() && text.bytes().all(good) {
        true => Ok(text.to_owned()),
        false => word(text),
    }
}

/// A path for a command.
pub(super) fn path(text: &str) -> Result<String, Refusal> {
    bare_word(text)
}

/// A kernel command line as arguments of `linux`, of which GRUB makes the same command line again, with quotes around a
/// whole word for those around its value. `kernel` is the path that GRUB puts in front as `BOOT_IMAGE`.
///
/// Refused: what is too long, and what GRUB would change: quotes within a word, apostrophes and backslashes, before which
/// it puts a backslash (`grub-core/lib/cmdline.c`).
pub(super) fn arguments(command_line: &str, kernel: &str) -> Result<String, Refusal> {
    let len = "BOOT_IMAGE=".len() + kernel.len() + 1 + command_line.len();
    if len > MOST_COMMAND_LINE {
        let reason = format!(
            "a kernel command line of {len} bytes with BOOT_IMAGE, which GRUB adds: kernels take {MOST_COMMAND_LINE}"
        );
        return Err(refused(RefusalKind::Limit, "kernelcmdline", reason).hint("make kernelcmdline shorter"));
    }
    let words: Result<Vec<String>, Refusal> =
        split(command_line)?.iter().map(|text| bare_word(text)).collect();
    Ok(words?.join(" "))
}

/// The kernel's words: parted by blanks outside double quotes. Quotes around a word or a value are taken off.
fn split(command_line: &str) -> Result<Vec<String>, Refusal> {
    let changed = |what: &str| {
        let reason = format!("a kernel command line that GRUB would change: {what}: {command_line}");
        refused(RefusalKind::Invalid, "kernelcmdline", reason)
            .hint("leave apostrophes and backslashes out, and put double quotes around a whole value")
    };
    if command_line.contains(['\'', '\\']) {
        return Err(changed("an apostrophe or a backslash"));
    }
    let mut words: Vec<String> = Vec::new();
    let (mut inside, mut begun, mut closed) = (false, false, false);
    for sign in command_line.chars() {
        let at_start = !begun || words.last().is_some_and(|word| word.ends_with('='));
        match sign {
            '"' if inside => (inside, closed) = (false, true),
            '"' if at_start && !closed => {
                if !begun {
                    words.push(String::new());
                }
                (inside, begun) = (true, true);
            }
            '"' => return Err(changed("quotes within a word")),
            sign if sign.is_ascii_whitespace() && !inside => (begun, closed) = (false, false),
            _ if closed => return Err(changed("quotes within a word")),
            sign => {
                if !begun {
                    words.push(String::new());
                    begun = true;
                }
                if let Some(word) = words.last_mut() {
                    word.push(sign);
                }
            }
        }
    }
    match inside {
        true => Err(changed("quotes that are not closed")),
        false => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_command_line() {
        for (line, expected) in [
            ("root=UUID=a-b ro  quiet", "root=UUID=a-b ro quiet"),
            (r#"a="b c" d"#, "'a=b c' d"),
            (r#""a=b c" d"#, "'a=b c' d"),
            ("a=$b c;d {e}", "'a=$b' 'c;d' '{e}'"),
            (r#"a="" b"#, "a= b"),
            ("", ""),
        ] {
            assert_eq!(arguments(line, "/vmlinuz").as_deref(), Ok(expected), "{line}");
        }
        for line in [r#"a"b"c"#, r#"a="b"c"#, r#"a="b"#, r"a\x2d", "it's", r#"a="b"="c""#] {
            assert!(arguments(line, "/vmlinuz").is_err(), "{line}");
        }
    }

    #[test]
    fn a_command_line_that_is_too_long() {
        let kernel = "/vmlinuz";
        let most = MOST_COMMAND_LINE - "BOOT_IMAGE=/vmlinuz ".len();
        assert!(arguments(&"a".repeat(most), kernel).is_ok());
        let refusal = arguments(&"a".repeat(most + 1), kernel).unwrap_err();
        assert!(refusal.reason.contains("2048 bytes") && refusal.reason.contains("2047"), "{refusal}");
    }
}
