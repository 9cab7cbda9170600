//! Values that a description says in one text: what XML Schema calls a lexical value. The schema's table judges texts by
//! the same rules, so that what passes there is a value here.

mod texts;

pub use texts::{
    FsAttributes, Group, Groups, GrubInputs, GrubOutputs, ImageFormat, IsoText, Locale, Locales, Location,
    Mac, Machines, PackageVersion, Port, PosixName, ProfileNames, ShortName,
};

use super::{Bytes, MIB};
use serde::{Serialize, Serializer};
use std::fmt;
use uuid::Uuid;

/// A value with its texts.
pub trait Lexical: fmt::Debug {
    /// The value of a text without blanks around it; `None`: the schema refuses it.
    fn of(text: &str) -> Option<Self>
    where
        Self: Sized;

    /// The one text that stands for all that mean the same: `true` for `1`, `2048` for `2G`.
    fn canonical(&self) -> String;

    /// All words that there are, where they are a closed list.
    fn words(&self) -> &'static [&'static str] {
        &[]
    }
}

impl Lexical for String {
    fn of(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn canonical(&self) -> String {
        self.clone()
    }
}

/// `xs:boolean`
impl Lexical for bool {
    fn of(text: &str) -> Option<bool> {
        match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    fn canonical(&self) -> String {
        self.to_string()
    }
}

/// `xs:nonNegativeInteger` of 64 bits.
impl Lexical for u64 {
    fn of(text: &str) -> Option<u64> {
        let plain = text.strip_prefix('+').unwrap_or(text);
        let zeros = |rest: &&str| rest.bytes().all(|byte| byte == b'0');
        digits(plain.strip_prefix('-').filter(zeros).unwrap_or(plain))
    }

    fn canonical(&self) -> String {
        self.to_string()
    }
}

/// `xs:integer` of 64 bits.
impl Lexical for i64 {
    fn of(text: &str) -> Option<i64> {
        let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
        text.parse().ok().filter(|_| is_digits(plain))
    }

    fn canonical(&self) -> String {
        self.to_string()
    }
}

/// A GUID in lower case with hyphens.
impl Lexical for Uuid {
    fn of(text: &str) -> Option<Uuid> {
        Uuid::try_parse(text).ok().filter(|guid| guid.to_string() == text)
    }

    fn canonical(&self) -> String {
        self.to_string()
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn digits(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| is_digits(text))
}

/// Numbers with a unit, said as `xs:nonNegativeInteger`.
macro_rules! quantities {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl Lexical for $name {
            fn of(text: &str) -> Option<$name> {
                u64::of(text).map($name)
            }

            fn canonical(&self) -> String {
                self.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

quantities! {
    /// So many MiB (2^20 bytes).
    Mebibytes;
    /// So many GB, of which the maker of a vagrant box knows what they are.
    Gigabytes;
    /// So many seconds.
    Seconds;
}

impl Mebibytes {
    /// In bytes; as many as 64 bits hold where there are more.
    pub fn bytes(self) -> Bytes {
        Bytes(self.0.saturating_mul(MIB))
    }
}

impl Lexical for Bytes {
    fn of(text: &str) -> Option<Bytes> {
        u64::of(text).map(Bytes)
    }

    fn canonical(&self) -> String {
        self.0.to_string()
    }
}

/// Digits and nothing else: the number of a partition, a number of copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits(pub u64);

impl Lexical for Digits {
    fn of(text: &str) -> Option<Digits> {
        digits(text).map(Digits)
    }

    fn canonical(&self) -> String {
        self.0.to_string()
    }
}

/// A number of sectors, at least 2048.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartSector(pub u64);

impl Lexical for StartSector {
    fn of(text: &str) -> Option<StartSector> {
        i64::of(text).and_then(|number| u64::try_from(number).ok()).filter(|&it| it >= 2048).map(StartSector)
    }

    fn canonical(&self) -> String {
        self.0.to_string()
    }
}

/// `N`, `NM` or `NG`, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionSize(pub Mebibytes);

impl Lexical for PartitionSize {
    fn of(text: &str) -> Option<PartitionSize> {
        let mebibytes = match text.strip_suffix('G') {
            Some(gibibytes) => digits(gibibytes)?.saturating_mul(1024),
            None => digits(text.strip_suffix('M').unwrap_or(text))?,
        };
        Some(PartitionSize(Mebibytes(mebibytes)))
    }

    fn canonical(&self) -> String {
        self.0.canonical()
    }
}

/// How long a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeSize {
    /// So long.
    Exact(Mebibytes),
    /// All that is left.
    All,
}

impl Lexical for VolumeSize {
    fn of(text: &str) -> Option<VolumeSize> {
        match text {
            "all" => Some(VolumeSize::All),
            other => PartitionSize::of(other).map(|size| VolumeSize::Exact(size.0)),
        }
    }

    fn canonical(&self) -> String {
        match self {
            VolumeSize::Exact(size) => size.canonical(),
            VolumeSize::All => "all".to_owned(),
        }
    }
}

/// How much of a file system dm-verity covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerityBlocks {
    /// Nothing is said: an empty text.
    Unsaid,
    /// So many blocks.
    Count(u64),
    /// All of it.
    All,
}

impl Lexical for VerityBlocks {
    fn of(text: &str) -> Option<VerityBlocks> {
        match text {
            "" => Some(VerityBlocks::Unsaid),
            "all" => Some(VerityBlocks::All),
            other => digits(other).map(VerityBlocks::Count),
        }
    }

    fn canonical(&self) -> String {
        match self {
            VerityBlocks::Unsaid => String::new(),
            VerityBlocks::Count(count) => count.to_string(),
            VerityBlocks::All => "all".to_owned(),
        }
    }
}

/// As text, which is what a number in a description is.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.canonical())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.canonical())
            }
        }
    )*};
}

as_text!(Digits, PartitionSize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::words::{FsAttribute, GrubInput, GrubOutput, Machine};

    fn of<T: Lexical>(text: &str) -> Option<String> {
        T::of(text).map(|value| value.canonical())
    }

    /// Texts of a type, each with the one that means the same; `-`: it is no value.
    fn holds<T: Lexical>(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let expected = Some((*expected).to_owned()).filter(|expected| expected != "-");
            assert_eq!(of::<T>(text), expected, "{text:?} as {}", std::any::type_name::<T>());
        }
    }

    #[test]
    fn texts_are_values() {
        holds::<bool>(&[("1", "true"), ("0", "false"), ("true", "true"), ("yes", "-"), ("", "-")]);
        holds::<u64>(&[
            ("+07", "7"),
            ("-0", "0"),
            ("-1", "-"),
            ("", "-"),
            ("+", "-"),
            ("18446744073709551616", "-"),
        ]);
        holds::<i64>(&[("-7", "-7"), ("+7", "7"), ("7.0", "-"), ("--7", "-")]);
        holds::<StartSector>(&[("2048", "2048"), ("2047", "-"), ("-2048", "-")]);
        holds::<PartitionSize>(&[
            ("8", "8"),
            ("8M", "8"),
            ("2G", "2048"),
            ("G", "-"),
            ("8 M", "-"),
            ("all", "-"),
        ]);
        holds::<VolumeSize>(&[("all", "all"), ("2G", "2048"), ("none", "-")]);
        holds::<VerityBlocks>(&[("", ""), ("all", "all"), ("12", "12"), ("-1", "-")]);
        holds::<Port>(&[("80", "80"), ("53/udp", "53/udp"), ("53/sctp", "-"), ("/tcp", "-")]);
        holds::<PackageVersion>(&[
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3", "-"),
            ("01.2.3.4", "-"),
            ("1.2.3.65536", "-"),
        ]);
        holds::<Mac>(&[
            ("00:0C:6e:aa:57:2f", "00:0c:6e:aa:57:2f"),
            ("00:0c:6e:aa:57", "-"),
            ("+0:0c:6e:aa:57:2f", "-"),
        ]);
        holds::<Locales>(&[("C,en_US", "C,en_US"), ("en_US,C", "-"), ("en", "-"), ("", "-")]);
        holds::<Groups>(&[("a,b:7", "a,b:7"), ("a,", "-"), ("a b", "-")]);
        holds::<Machines>(&[("x86_64,aarch64", "x86_64,aarch64"), ("x86_64, aarch64", "-"), ("pdp11", "-")]);
        holds::<GrubOutputs>(&[
            ("none serial", "none serial"),
            ("serial  none", "-"),
            ("serial  console", "serial console"),
        ]);
        holds::<ImageFormat>(&[
            ("oci:qcow2", "oci:qcow2"),
            ("oci:vagrant", "-"),
            ("vagrant", "vagrant"),
            ("oci", "-"),
        ]);
        holds::<ShortName>(&[("a.b-C_1", "a.b-C_1"), ("a/b", "-"), ("", "-")]);
        holds::<IsoText>(&[("A  b?", "A b?"), ("\u{e4}", "-"), ("", "-")]);
        holds::<Uuid>(&[
            ("01234567-89ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdef"),
            ("01234567-89AB-cdef-0123-456789abcdef", "-"),
            ("0123456789abcdef0123456789abcdef", "-"),
        ]);
    }

    #[test]
    fn every_word_of_a_list_is_read() {
        fn all<T: Lexical>(words: &[&str]) {
            holds::<T>(&words.iter().map(|word| (*word, *word)).collect::<Vec<_>>());
        }
        all::<Machines>(Machine::WORDS);
        all::<FsAttributes>(FsAttribute::WORDS);
        all::<GrubOutputs>(GrubOutput::WORDS);
        all::<GrubInputs>(GrubInput::WORDS);
    }
}
