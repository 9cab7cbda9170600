//! The options of `qemu-img create -o` that mean something here.

use super::CLUSTER_BITS;
use crate::fault::{Refusal, RefusalKind, Spot};

/// With their defaults.
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("cluster_size=65536", "bytes in a cluster: a power of two from 512 to 2M"),
    ("compat=1.1", "the version: 1.1 or v3"),
    ("lazy_refcounts=off", "off: refcounts are always right"),
    ("preallocation=off", "off: clusters without data are not allocated"),
];

/// The default of `cluster_size`.
const DEFAULT_CLUSTER_BITS: u32 = 16;

/// Reads options, each `name=value` and there once; gives the cluster size as a power of two.
pub(super) fn parse(options: &[String]) -> Result<u32, Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    let mut cluster_bits = DEFAULT_CLUSTER_BITS;
    for option in options {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if seen.contains(&name) {
            return Err(refuse(RefusalKind::Invalid, format!("an option that is there twice: {name}")));
        }
        seen.push(name);
        match (name, value) {
            ("cluster_size", value) => cluster_bits = parse_cluster_size(value)?,
            ("compat", "1.1" | "v3") | ("lazy_refcounts" | "preallocation", "off") => {}
            ("compat" | "lazy_refcounts" | "preallocation", _) => {
                let reason = format!("a value that is not supported: {option}");
                let default = OPTIONS.iter().find(|(known, _)| known.starts_with(name));
                let hint = default.map_or("", |(option, _)| option);
                return Err(refuse(RefusalKind::Unsupported, reason).hint(hint));
            }
            _ => {
                let known: Vec<&str> = OPTIONS.iter().filter_map(|(o, _)| o.split('=').next()).collect();
                let reason = format!("an option that qcow2 does not have: {name}");
                return Err(refuse(RefusalKind::Invalid, reason).hint(format!("one of {}", known.join(", "))));
            }
        }
    }
    Ok(cluster_bits)
}

/// `65536`, `64k`, `64K`, `2M`.
fn parse_cluster_size(value: &str) -> Result<u32, Refusal> {
    let (digits, unit) = match value.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => value.strip_suffix('M').map_or((value, 1), |digits| (digits, 1 << 20)),
    };
    let number =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    number
        .and_then(|number| number.checked_mul(unit))
        .filter(|size| size.is_power_of_two() && CLUSTER_BITS.contains(&size.trailing_zeros()))
        .map(u64::trailing_zeros)
        .ok_or_else(|| {
            refuse(RefusalKind::Invalid, format!("a cluster size that qcow2 does not have: {value}"))
                .hint("a power of two from 512 to 2M")
        })
}

fn refuse(kind: RefusalKind, reason: String) -> Refusal {
    Refusal::new(kind, Spot::new("qcow2", ""), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(options: &str) -> Result<u32, String> {
        let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        parse(&options).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn options_are_read_or_refused_by_name() {
        for (options, bits) in [
            ("", 16),
            ("cluster_size=512", 9),
            ("cluster_size=64k preallocation=off", 16),
            ("cluster_size=4K compat=v3", 12),
            ("cluster_size=2M lazy_refcounts=off compat=1.1", 21),
        ] {
            assert_eq!(parsed(options), Ok(bits), "{options}");
        }
        let size = "a cluster size that qcow2 does not have";
        for (options, reason) in [
            ("cluster_size=4M", size),
            ("cluster_size=256", size),
            ("cluster_size=1000", size),
            ("cluster_size=", size),
            ("cluster_size=0", size),
            ("cluster_size=+512", size),
            ("cluster_size=99999999999999999999", size),
            ("cluster_size=18446744073709551615M", size),
            ("cluster_size=512 cluster_size=512", "an option that is there twice: cluster_size"),
            ("compat=0.10", "a value that is not supported: compat=0.10"),
            ("preallocation=metadata", "a value that is not supported: preallocation=metadata"),
            ("lazy_refcounts", "a value that is not supported: lazy_refcounts"),
            ("backing_file=x", "an option that qcow2 does not have: backing_file"),
        ] {
            let refusal = parsed(options).expect_err(options);
            assert!(refusal.starts_with(reason), "{options}: {refusal}");
        }
        for (default, _) in OPTIONS {
            assert_eq!(parsed(default), Ok(DEFAULT_CLUSTER_BITS), "{default}");
        }
    }
}
