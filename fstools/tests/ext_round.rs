//! What the ext writer lays, the ext reader finds clean and reads back.
#![allow(clippy::disallowed_methods)]

mod ext_support;

use ext_support::formats::Format;
use ext_support::same::same;
use ext_support::{Sample, attributes, deep, holes, kinds, lay_with, subdirectories, wide};

#[test]
fn what_is_laid_is_read_back() {
    let cases: [(&str, Sample, u64, &str); 9] = [
        ("kinds", kinds(), 64 << 20, ""),
        ("kinds, no journal", kinds(), 64 << 20, "-O ^has_journal,^resize_inode"),
        ("kinds, seed and label", kinds(), 3 << 30, "-O metadata_csum_seed -L label -m 3"),
        ("wide", wide(9000), 256 << 20, ""),
        ("deep", deep(400), 64 << 20, ""),
        ("subdirectories", subdirectories(3000), 256 << 20, ""),
        ("attributes", attributes(), 64 << 20, ""),
        ("holes", holes(), 64 << 20, ""),
        ("holes, many groups", holes(), 20 << 30, "-N 20000"),
    ];
    for (name, sample, len, options) in cases {
        let laid = lay_with(&sample, len, options).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        same(name, &Format::of(options), &sample, &laid, &laid.layout);
    }
}
