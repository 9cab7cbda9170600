//! Which texts are values, in words.

use super::Value;
use crate::describe::kiwi::read::{nearest, short};

/// Machines that sections are for.
const MACHINES: &[&str] = &[
    "x86_64", "i586", "i686", "ix86", "aarch64", "arm64", "amd64", "armv5el", "armv5tel", "armv6hl",
    "armv6l", "armv7hl", "armv7l", "ppc", "ppc64", "ppc64le", "s390", "s390x", "riscv64",
];
const OUTPUTS: &[&str] = &["console", "gfxterm", "serial", "vga_text", "mda_text", "morse", "spkmodem"];
const INPUTS: &[&str] = &["console", "serial", "at_keyboard", "usb_keyboard"];
const FLAGS: &[&str] = &["no-copy-on-write", "synchronous-updates"];

/// Why a text is no value: what is wrong, and what would be right.
pub(in super::super) struct Wrong {
    pub(in super::super) message: String,
    pub(in super::super) hint: Option<String>,
}

impl Value {
    /// Whether a text is a value of `name`. Blanks around it do not count (XML Schema `collapse`), but in free text.
    pub(in super::super) fn check(&self, name: &str, text: &str) -> Result<(), Wrong> {
        let value = text.split_ascii_whitespace().collect::<Vec<&str>>().join(" ");
        let shown = short(&value);
        let wrong = |what: &str, hint: &str| {
            let hint = Some(hint).filter(|hint| !hint.is_empty()).map(str::to_owned);
            Err(Wrong { message: format!("{name} {what}: {shown}"), hint })
        };
        let ok = |good: bool, what: &str, hint: &str| if good { Ok(()) } else { wrong(what, hint) };
        match self {
            Value::Text => Ok(()),
            Value::Boolean => {
                ok(["true", "false", "1", "0"].contains(&value.as_str()), "is neither true nor false", "")
            }
            Value::Number => ok(number(&value).is_some(), "is no number of at most 64 bits", ""),
            Value::Integer => ok(integer(&value).is_some(), "is no number of at most 63 bits", ""),
            Value::StartSector => {
                let good = integer(&value).is_some_and(|number| number >= 2048);
                ok(good, "is no number from 2048", "partitions start at sector 2048 or later")
            }
            Value::Digits => ok(digits(&value), "is no number", ""),
            Value::PosixName => ok(posix(&value), "is no name", "letters, digits, `_`, `-` and `.`"),
            Value::ShortName => ok(
                posix(&value) && value.len() <= 32,
                "is no name",
                "1 to 32 letters, digits, `_`, `-` or `.`",
            ),
            Value::IsoText => {
                let good = |c: char| {
                    c.is_ascii_alphanumeric()
                        || c == ' '
                        || c == '_'
                        || ('!'..='/').contains(&c)
                        || (':'..='?').contains(&c)
                };
                let fits = (1..=128).contains(&value.len()) && value.chars().all(good);
                ok(
                    fits,
                    "is no text for the head of an ISO",
                    "1 to 128 letters, digits, blanks and some signs of ECMA-119",
                )
            }
            Value::Locale => ok(locales(&value), "is no locale", "C, POSIX, or en_US; several with commas"),
            Value::PartitionSize => {
                ok(size(&value), "is no size", "a number of MiB, or one with M or G behind it")
            }
            Value::VolumeSize => ok(
                size(&value) || value == "all",
                "is no size",
                "a number of MiB, one with M or G behind it, or all",
            ),
            Value::Blocks => ok(
                value.is_empty() || digits(&value) || value == "all",
                "is no number of blocks",
                "a number, or all",
            ),
            Value::Arches => list(name, &value, MACHINES),
            Value::Guid => {
                ok(guid(&value), "is no GUID", "lower-case digits like 01234567-89ab-cdef-0123-456789abcdef")
            }
            Value::Groups => {
                let good = |group: &str| posix(&group.replace(':', ""));
                ok(
                    value.split(',').all(good),
                    "is no list of groups",
                    "names with commas between, each with `:ID` if wanted",
                )
            }
            Value::Port => {
                let number = value.strip_suffix("/udp").or(value.strip_suffix("/tcp")).unwrap_or(&value);
                ok(digits(number), "is no port", "80, 80/tcp or 53/udp")
            }
            Value::GrubOutput => terminals(name, &value, OUTPUTS),
            Value::GrubInput => terminals(name, &value, INPUTS),
            Value::FsAttributes => list(name, &value, FLAGS),
            Value::PackageVersion => {
                let part = |part: &str| {
                    digits(part) && part.parse::<u16>().is_ok() && (part == "0" || !part.starts_with('0'))
                };
                let good = value.split('.').count() == 4 && value.split('.').all(part);
                ok(good, "is no version of a package", "four numbers of at most 65535 with dots between")
            }
            Value::Mac => {
                ok(mac(&value), "is no MAC address", "six pairs of hexadecimal digits with colons between")
            }
            Value::Uri => {
                let good = ["file:", "this:", "https:", "http:", "ftp:"]
                    .iter()
                    .any(|scheme| value.starts_with(scheme));
                ok(good, "is no location", "file:, this:, https:, http: or ftp: in front")
            }
            Value::OneOf(words) => word(name, &value, words),
            Value::DiskFormat(_) if container(&value) => Ok(()),
            Value::Each(words) | Value::DiskFormat(words) => {
                word(name, &value, &words.iter().map(|(word, _)| *word).collect::<Vec<&str>>())
            }
        }
    }
}

/// `xs:nonNegativeInteger` of 64 bits.
pub(in super::super) fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let plain = text.strip_prefix('+').unwrap_or(text);
    let plain = plain.strip_prefix('-').filter(|rest| rest.bytes().all(|byte| byte == b'0')).unwrap_or(plain);
    plain.parse().ok().filter(|_| digits(plain))
}

fn integer(text: &str) -> Option<i64> {
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
    text.parse().ok().filter(|_| digits(plain))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn posix(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

fn size(text: &str) -> bool {
    digits(text.strip_suffix(['M', 'G']).unwrap_or(text))
}

fn locales(text: &str) -> bool {
    let good = |text: &str| {
        let Some((language, country)) = text.split_once('_') else { return false };
        (2..=3).contains(&language.len())
            && language.bytes().all(|byte| byte.is_ascii_lowercase())
            && country.len() == 2
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
    };
    let mut all = text.split(',');
    all.next().is_some_and(|first| ["C", "POSIX"].contains(&first) || good(first)) && all.all(good)
}

fn guid(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.split('-').all(hex)
}

fn mac(text: &str) -> bool {
    let pair = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(pair)
}

fn container(text: &str) -> bool {
    let inner = text.strip_prefix("oci:").or(text.strip_prefix("docker:"));
    let known = ["gce", "ova", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "vhd-fixed", "raw"];
    inner.is_some_and(|inner| known.contains(&inner))
}

fn word(name: &str, value: &str, words: &[&str]) -> Result<(), Wrong> {
    if words.contains(&value) {
        return Ok(());
    }
    let shown = short(value);
    let message = match words {
        [one] => format!("{name} has no value {shown}: it is {one}"),
        _ => format!("{name} has no value {shown}: it is one of {}", words.join(", ")),
    };
    let hint = nearest(value, words.iter().copied()).map(|near| format!("did you mean {near}?"));
    Err(Wrong { message, hint })
}

fn list(name: &str, value: &str, words: &[&str]) -> Result<(), Wrong> {
    value.split(',').try_for_each(|one| word(name, one, words))
}

/// `none` may only come first.
fn terminals(name: &str, value: &str, words: &[&str]) -> Result<(), Wrong> {
    let mut all = value.split(' ');
    let first = all.next().unwrap_or("");
    if first != "none" {
        word(name, first, words)?;
    }
    all.try_for_each(|one| word(name, one, words))
}
