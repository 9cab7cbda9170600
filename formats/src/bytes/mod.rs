//! Arithmetic on byte positions.

/// `value` rounded up to a multiple of `unit`. `None` on overflow. `unit` must not be zero.
pub const fn align_up(value: u64, unit: u64) -> Option<u64> {
    match value % unit {
        0 => Some(value),
        rest => value.checked_add(unit - rest),
    }
}

/// `value` rounded down to a multiple of `unit`, which must not be zero.
pub const fn align_down(value: u64, unit: u64) -> u64 {
    value - value % unit
}

/// Whether every byte is zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    // Comparing with zeros is one memcmp a page, in unoptimised builds, too.
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

/// Bytes as text for messages: printable ASCII as it is, all else as `\xNN`.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding() {
        assert_eq!(align_up(0, 512), Some(0));
        assert_eq!(align_up(1, 512), Some(512));
        assert_eq!(align_up(u64::MAX, 512), None);
        assert_eq!(align_down(1023, 512), 512);
    }

    #[test]
    fn zero_is_seen_at_every_length() {
        for len in 0..70 {
            let mut bytes = vec![0; len];
            assert!(is_zero(&bytes));
            for at in 0..len {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{at} of {len}");
                bytes[at] = 0;
            }
        }
    }
}
