//! SHA-256.

use super::error::{FetchError, FetchErrorKind};
use std::fmt;
use std::str::FromStr;

/// A SHA-256 digest. Its text form is 64 lower-case hexadecimal digits; upper-case ones are read, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }
}

impl FromStr for Digest {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Digest, FetchError> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect();
        let bytes: Option<Vec<u8>> =
            digits.map(|digits| digits.chunks(2).map(|pair| pair[0] << 4 | pair[pair.len() - 1]).collect());
        let digest = bytes.filter(|_| text.len() == 64).and_then(|bytes| bytes.try_into().ok());
        digest.map(Digest).ok_or_else(|| {
            FetchError::new(FetchErrorKind::Refused, text, "no SHA-256: 64 hexadecimal digits are expected")
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_64_hexadecimal_digits() {
        // FIPS 180-4's example "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(abc.parse::<Digest>().unwrap(), Digest::of(b"abc"));
        assert_eq!(abc.to_uppercase().parse::<Digest>().unwrap(), Digest::of(b"abc"));
        for text in
            ["", "ab", &abc[1..], &format!("{abc}0"), &abc.replace('b', "g"), &abc.replace('b', "\u{e4}")]
        {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
