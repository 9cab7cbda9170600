//! Sizes: one grammar everywhere.
//!
//! ```text
//! SIZE = N | "min" | "min+" N | "min*" P "%"          N = digits (B | K | M | G | T), binary units; KiB, MiB ... too
//! ```

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// 1 MiB in bytes.
pub const MIB: u64 = 1 << 20;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// `n` MiB.
pub const fn mib(n: u64) -> Bytes {
    Bytes(n * MIB)
}

/// The largest unit that divides it: `20 MiB`, `1 GiB`, `513 B`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shift, unit) = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
            .into_iter()
            .find(|(shift, _)| self.0 != 0 && self.0.is_multiple_of(1 << shift))
            .unwrap_or((0, "B"));
        write!(f, "{} {unit}", self.0 >> shift)
    }
}

/// A size as a user writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// `N`: so many bytes.
    Exact(Bytes),
    /// `min`: the smallest that holds the content.
    Min,
    /// `min+N`: the smallest that holds the content and leaves so many bytes free.
    MinPlus(Bytes),
    /// `min*P%`: so many percent of the smallest; at least 100.
    MinTimes(u32),
}

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeError(String);

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SizeError {}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Size, SizeError> {
        let text = text.trim();
        let wrong = |why: &str| SizeError(format!("not a size: {text}: {why}"));
        let Some(rest) = text.strip_prefix("min") else {
            return bytes(text).map(Size::Exact).map_err(|why| wrong(&why));
        };
        match (rest, rest.strip_prefix('+'), rest.strip_prefix('*')) {
            ("", ..) => Ok(Size::Min),
            (_, Some(number), _) => bytes(number).map(Size::MinPlus).map_err(|why| wrong(&why)),
            (_, _, Some(percent)) => {
                let percent = percent.strip_suffix('%').and_then(|digits| digits.parse().ok());
                let percent = percent.filter(|percent| (100..=100_000).contains(percent));
                percent.map(Size::MinTimes).ok_or_else(|| wrong("expected min*P% with P from 100 to 100000"))
            }
            _ => Err(wrong("expected min, min+N or min*P%")),
        }
    }
}

fn bytes(text: &str) -> Result<Bytes, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let shift = match unit {
        "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        "" if !digits.is_empty() => return Err(format!("a unit is missing: {digits}M, {digits}G")),
        _ => return Err("expected digits and one of B, K, M, G, T".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a number of at most 64 bits".to_owned())?;
    number.checked_mul(1 << shift).map(Bytes).ok_or_else(|| "more than 64 bits".to_owned())
}

/// How long a file system gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// So many bytes.
    Exact(Bytes),
    /// What the other partitions leave of a disk of given length.
    Rest,
    /// What the content needs, times so many percent.
    Times(u32),
    /// What the content needs and room to write: the larger of `least` and `percent` of the content.
    Free {
        /// Bytes.
        least: Bytes,
        /// Of the smallest file system that holds the content.
        percent: u32,
    },
}

impl Rule {
    /// The rule for a root file system without a size: room for 256 MiB or 20 % more.
    pub const ROOMY: Rule = Rule::Free { least: mib(256), percent: 20 };

    /// So many bytes, by the smallest length that holds the content and leaves a number of bytes free; `None` for
    /// [`Rule::Rest`].
    pub fn length<E>(self, mut measure: impl FnMut(u64) -> Result<u64, E>) -> Result<Option<u64>, E> {
        let share = |bytes: u64, percent: u32| {
            u64::try_from(u128::from(bytes) * u128::from(percent) / 100).unwrap_or(u64::MAX)
        };
        Ok(match self {
            Rule::Exact(bytes) => Some(bytes.0),
            Rule::Rest => None,
            Rule::Times(percent) => {
                let content = measure(0)?;
                Some(share(content, percent).max(content))
            }
            Rule::Free { least, percent } => {
                let content = if percent == 0 { 0 } else { measure(0)? };
                Some(measure(least.0.max(share(content, percent)))?)
            }
        })
    }
}

impl From<Size> for Rule {
    fn from(size: Size) -> Rule {
        match size {
            Size::Exact(bytes) => Rule::Exact(bytes),
            Size::Min => Rule::Times(100),
            Size::MinPlus(least) => Rule::Free { least, percent: 0 },
            Size::MinTimes(percent) => Rule::Times(percent),
        }
    }
}

/// In the grammar of sizes, and two words more: `rest`, `content + max(256 MiB, 20 %)`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Exact(bytes) => bytes.fmt(f),
            Rule::Rest => f.write_str("rest"),
            Rule::Times(100) => f.write_str("min"),
            Rule::Times(percent) => write!(f, "min*{percent}%"),
            Rule::Free { least, percent: 0 } => write!(f, "min+{least}"),
            Rule::Free { least, percent } => write!(f, "content + max({least}, {percent} %)"),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar() {
        let cases: &[(&str, Result<Size, &str>)] = &[
            ("512B", Ok(Size::Exact(Bytes(512)))),
            ("20M", Ok(Size::Exact(mib(20)))),
            ("20MiB", Ok(Size::Exact(mib(20)))),
            ("4G", Ok(Size::Exact(mib(4096)))),
            ("1T", Ok(Size::Exact(mib(1 << 20)))),
            ("min", Ok(Size::Min)),
            ("min+1G", Ok(Size::MinPlus(mib(1024)))),
            ("min*120%", Ok(Size::MinTimes(120))),
            ("4096", Err("not a size: 4096: a unit is missing: 4096M, 4096G")),
            ("", Err("not a size: : expected digits and one of B, K, M, G, T")),
            ("-1M", Err("not a size: -1M: expected digits and one of B, K, M, G, T")),
            (
                "99999999999999999999M",
                Err("not a size: 99999999999999999999M: expected a number of at most 64 bits"),
            ),
            ("99999999999T", Err("not a size: 99999999999T: more than 64 bits")),
            ("min*99%", Err("not a size: min*99%: expected min*P% with P from 100 to 100000")),
            ("min*2", Err("not a size: min*2: expected min*P% with P from 100 to 100000")),
            ("min-1M", Err("not a size: min-1M: expected min, min+N or min*P%")),
            ("min+", Err("not a size: min+: expected digits and one of B, K, M, G, T")),
            ("minä", Err("not a size: minä: expected min, min+N or min*P%")),
        ];
        for (text, expected) in cases {
            let found = text.parse::<Size>().map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn bytes_are_said_in_the_largest_unit_that_divides_them() {
        for (bytes, text) in
            [(0, "0 B"), (513, "513 B"), (20 << 20, "20 MiB"), (1 << 30, "1 GiB"), (3 << 9, "1536 B")]
        {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
