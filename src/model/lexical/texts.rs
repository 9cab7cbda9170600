//! Names, addresses, and lists of words.

use super::{Lexical, digits, is_digits};
use crate::model::words::{ContainerType, DiskFormat, FsAttribute, GrubInput, GrubOutput, Machine, Protocol};
use std::str::FromStr;

/// A port that a container listens at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number; KIWI's schema has no upper limit.
    pub number: u64,
    /// `udp` or `tcp`; `None`: left to the engine.
    pub protocol: Option<Protocol>,
}

impl Lexical for Port {
    fn of(text: &str) -> Option<Port> {
        let (number, protocol) = match text.split_once('/') {
            Some((number, protocol)) => (number, Some(protocol.parse().ok()?)),
            None => (text, None),
        };
        Some(Port { number: digits(number)?, protocol })
    }

    fn canonical(&self) -> String {
        match self.protocol {
            Some(protocol) => format!("{}/{protocol}", self.number),
            None => self.number.to_string(),
        }
    }
}

/// Four numbers with dots between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageVersion(pub [u16; 4]);

impl Lexical for PackageVersion {
    fn of(text: &str) -> Option<PackageVersion> {
        let part = |part: &str| {
            part.parse().ok().filter(|_| is_digits(part) && (part == "0" || !part.starts_with('0')))
        };
        let parts: Vec<u16> = text.split('.').map(part).collect::<Option<_>>()?;
        parts.try_into().ok().map(PackageVersion)
    }

    fn canonical(&self) -> String {
        joined(self.0.iter().map(u16::to_string), ".")
    }
}

/// The address of a network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Lexical for Mac {
    fn of(text: &str) -> Option<Mac> {
        let pair = |part: &str| {
            let hex = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            u8::from_str_radix(part, 16).ok().filter(|_| hex)
        };
        let pairs: Vec<u8> = text.split(':').map(pair).collect::<Option<_>>()?;
        pairs.try_into().ok().map(Mac)
    }

    fn canonical(&self) -> String {
        joined(self.0.iter().map(|byte| format!("{byte:02x}")), ":")
    }
}

/// Texts with a grammar that stay texts.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident($good:expr);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Lexical for $name {
            fn of(text: &str) -> Option<$name> {
                let good: fn(&str) -> bool = $good;
                let text = collapsed(text);
                good(&text).then_some($name(text))
            }

            fn canonical(&self) -> String {
                self.0.clone()
            }
        }
    )*};
}

texts! {
    /// Letters, digits, `_`, `-` and `.`.
    PosixName(posix);
    /// The same, at most 32.
    ShortName(|text| posix(text) && text.len() <= 32);
    /// ECMA-119 a-characters and lower case letters, at most 128.
    IsoText(|text| (1..=128).contains(&text.len()) && text.chars().all(iso));
    /// `file:`, `this:`, `http:`, `https:` or `ftp:` and what follows.
    Location(|text| ["file:", "this:", "https:", "http:", "ftp:"].iter().any(|scheme| text.starts_with(scheme)));
    /// `C`, `POSIX` or `en_US`.
    Locale(|text| ["C", "POSIX"].contains(&text) || region(text));
}

/// Each run of blanks as one (XML Schema `collapse`).
fn collapsed(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<&str>>().join(" ")
}

fn posix(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

fn iso(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ' ' || c == '_' || ('!'..='/').contains(&c) || (':'..='?').contains(&c)
}

fn region(text: &str) -> bool {
    let Some((language, country)) = text.split_once('_') else { return false };
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Several with commas; `C` and `POSIX` only come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locales(pub Vec<Locale>);

impl Lexical for Locales {
    fn of(text: &str) -> Option<Locales> {
        let all: Vec<Locale> = text.split(',').map(Locale::of).collect::<Option<_>>()?;
        all.iter().skip(1).all(|one| region(one.as_str())).then_some(Locales(all))
    }

    fn canonical(&self) -> String {
        joined(self.0.iter().map(Locale::canonical), ",")
    }
}

/// A group of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// As it is written: its name, with `:ID` behind it if wanted.
    pub name: String,
}

/// Several with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(pub Vec<Group>);

impl Lexical for Groups {
    fn of(text: &str) -> Option<Groups> {
        let one = |name: &str| posix(&name.replace(':', "")).then(|| Group { name: name.to_owned() });
        text.split(',').map(one).collect::<Option<_>>().map(Groups)
    }

    fn canonical(&self) -> String {
        joined(self.0.iter().map(|one| one.name.clone()), ",")
    }
}

/// Names of profiles with commas between; blanks around them do not count. Empty: always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileNames(pub Vec<String>);

impl Lexical for ProfileNames {
    fn of(text: &str) -> Option<ProfileNames> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Some(ProfileNames(names.map(str::to_owned).collect()))
    }

    fn canonical(&self) -> String {
        self.0.join(",")
    }
}

/// Lists of words.
macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident($word:ident, $of:ident, $sign:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub Vec<$word>);

        impl Lexical for $name {
            fn of(text: &str) -> Option<$name> {
                $of(text).map($name)
            }

            fn canonical(&self) -> String {
                joined(self.0.iter().map(|one| one.name().to_owned()), $sign)
            }
        }
    )*};
}

lists! {
    /// Machines with commas between; empty: all.
    Machines(Machine, by_commas, ",");
    /// `spare_part_fs_attributes`, with commas between.
    FsAttributes(FsAttribute, by_commas, ",");
    /// Where GRUB writes to, with blanks between; `none` only comes first.
    GrubOutputs(GrubOutput, by_blanks, " ");
    /// Where GRUB reads from, with blanks between; `none` only comes first.
    GrubInputs(GrubInput, by_blanks, " ");
}

fn by_commas<T: FromStr>(text: &str) -> Option<Vec<T>> {
    text.split(',').map(|word| word.parse().ok()).collect()
}

fn by_blanks<T: FromStr>(text: &str) -> Option<Vec<T>> {
    let words = text.split_ascii_whitespace();
    let first_alone = words.clone().skip(1).all(|word| word != "none");
    let all: Option<Vec<T>> = words.map(|word| word.parse().ok()).collect();
    all.filter(|all| first_alone && !all.is_empty())
}

/// `format`: a disk in a container of its own, or that in a container image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// A file.
    Disk(DiskFormat),
    /// `oci:qcow2`: a disk in a container image; no vagrant box.
    InContainer(ContainerType, DiskFormat),
}

impl Lexical for ImageFormat {
    fn of(text: &str) -> Option<ImageFormat> {
        match text.split_once(':') {
            None => text.parse().ok().map(ImageFormat::Disk),
            Some((container, disk)) => {
                let disk = disk.parse().ok().filter(|&disk| disk != DiskFormat::Vagrant)?;
                Some(ImageFormat::InContainer(container.parse().ok()?, disk))
            }
        }
    }

    fn canonical(&self) -> String {
        match self {
            ImageFormat::Disk(disk) => disk.name().to_owned(),
            ImageFormat::InContainer(container, disk) => format!("{container}:{disk}"),
        }
    }

    fn words(&self) -> &'static [&'static str] {
        DiskFormat::WORDS
    }
}

fn joined(parts: impl Iterator<Item = String>, sign: &str) -> String {
    parts.collect::<Vec<String>>().join(sign)
}
