//! Which texts are values, in words.

use super::Value;
use crate::describe::kiwi::read::{nearest, short};
use crate::model::lexical::{
    Digits, Groups, ImageFormat, IsoText, Lexical, Locales, Location, Mac, PackageVersion, PartitionSize,
    Port, PosixName, ShortName, StartSector, VerityBlocks, VolumeSize,
};
use crate::model::words::{FsAttribute, GrubInput, GrubOutput, Machine};
use uuid::Uuid;

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
            Value::Boolean => ok(is::<bool>(&value), "is neither true nor false", ""),
            Value::Number => ok(is::<u64>(&value), "is no number of at most 64 bits", ""),
            Value::Integer => ok(is::<i64>(&value), "is no number of at most 63 bits", ""),
            Value::StartSector => ok(
                is::<StartSector>(&value),
                "is no number from 2048",
                "partitions start at sector 2048 or later",
            ),
            Value::Digits => ok(is::<Digits>(&value), "is no number", ""),
            Value::PosixName => {
                ok(is::<PosixName>(&value), "is no name", "letters, digits, `_`, `-` and `.`")
            }
            Value::ShortName => {
                ok(is::<ShortName>(&value), "is no name", "1 to 32 letters, digits, `_`, `-` or `.`")
            }
            Value::IsoText => ok(
                is::<IsoText>(&value),
                "is no text for the head of an ISO",
                "1 to 128 letters, digits, blanks and some signs of ECMA-119",
            ),
            Value::Locale => {
                ok(is::<Locales>(&value), "is no locale", "C, POSIX, or en_US; several with commas")
            }
            Value::PartitionSize => {
                ok(is::<PartitionSize>(&value), "is no size", "a number of MiB, or one with M or G behind it")
            }
            Value::VolumeSize => ok(
                is::<VolumeSize>(&value),
                "is no size",
                "a number of MiB, one with M or G behind it, or all",
            ),
            Value::Blocks => ok(is::<VerityBlocks>(&value), "is no number of blocks", "a number, or all"),
            Value::Arches => list(name, &value, Machine::WORDS),
            Value::Guid => ok(
                is::<Uuid>(&value),
                "is no GUID",
                "lower-case digits like 01234567-89ab-cdef-0123-456789abcdef",
            ),
            Value::Groups => ok(
                is::<Groups>(&value),
                "is no list of groups",
                "names with commas between, each with `:ID` if wanted",
            ),
            Value::Port => ok(is::<Port>(&value), "is no port", "80, 80/tcp or 53/udp"),
            Value::GrubOutput => terminals(name, &value, GrubOutput::WORDS),
            Value::GrubInput => terminals(name, &value, GrubInput::WORDS),
            Value::FsAttributes => list(name, &value, FsAttribute::WORDS),
            Value::PackageVersion => ok(
                is::<PackageVersion>(&value),
                "is no version of a package",
                "four numbers of at most 65535 with dots between",
            ),
            Value::Mac => ok(
                is::<Mac>(&value),
                "is no MAC address",
                "six pairs of hexadecimal digits with colons between",
            ),
            Value::Uri => {
                ok(is::<Location>(&value), "is no location", "file:, this:, https:, http: or ftp: in front")
            }
            Value::OneOf(words) => word(name, &value, words),
            Value::DiskFormat(_) if is::<ImageFormat>(&value) => Ok(()),
            Value::Each(words) | Value::DiskFormat(words) => {
                word(name, &value, &words.iter().map(|(word, _)| *word).collect::<Vec<&str>>())
            }
        }
    }
}

fn is<T: Lexical>(text: &str) -> bool {
    T::of(text).is_some()
}

/// `xs:nonNegativeInteger` of 64 bits.
pub(in super::super) fn number(text: &str) -> Option<u64> {
    u64::of(text.trim())
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

/// `none`, the first of the words, may only come first.
fn terminals(name: &str, value: &str, words: &[&str]) -> Result<(), Wrong> {
    let mut all = value.split(' ');
    let first = all.next().unwrap_or("");
    let (none, others) = words.split_at(words.len().min(1));
    if !none.contains(&first) {
        word(name, first, others)?;
    }
    all.try_for_each(|one| word(name, one, others))
}
