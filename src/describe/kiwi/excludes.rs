//! `image/exclude_files.yaml` of a tree: what stays out of its image (KIWI NG 11.1.6, `defaults.py: _parse_exclude_file`).
//!
//! ```text
//! exclude:
//!   - usr/share/doc
//!   - /var/cache/*
//! ```

use super::data::{Notes, Value};
use super::yaml;
use crate::describe::{Diagnostic, SourceText};
use std::ops::Range;
use std::sync::Arc;

/// The patterns of a file, without slashes in front. Other keys count for nothing, as in KIWI; a file without a list
/// `exclude`, which KIWI passes over with a warning, is an error.
///
/// # Errors
/// What is wrong, with its line.
pub fn exclude_files(text: &str) -> Result<Vec<String>, String> {
    let source = Arc::new(SourceText { file: String::new(), text: text.to_owned() });
    let mut notes = Notes { source: &source, problems: Vec::new() };
    let wrong = |range: &Range<usize>, message: &str| {
        let line = text.as_bytes()[..range.start].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line}: {message}")
    };
    let data = yaml::read(&mut notes).map_err(|Diagnostic { span, message, .. }| wrong(&span, &message))?;
    let top = match &data.value {
        Value::Map(keys) => keys.iter().find(|(key, _)| key.name == "exclude"),
        _ => None,
    };
    let Some((_, value)) = top else { return Err(wrong(&(0..0), "no list `exclude`")) };
    let items = match &value.value {
        Value::List(items) => items,
        Value::Null => return Ok(Vec::new()),
        _ => return Err(wrong(&value.range, "`exclude` is no list of paths")),
    };
    let pattern = |item: &Arc<super::data::Data>| match &item.value {
        Value::Scalar(text) if !text.trim_start_matches('/').is_empty() => {
            Ok(text.trim_start_matches('/').to_owned())
        }
        _ => Err(wrong(&item.range, "no path of the tree")),
    };
    items.iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::exclude_files;

    #[test]
    fn paths_are_read_and_everything_else_is_named() {
        let text = "other: 1\nexclude:\n  - usr/share/doc\n  - \"/var/cache/*\"\n  - 1\n";
        let expected = ["usr/share/doc", "var/cache/*", "1"].map(str::to_owned);
        assert_eq!(exclude_files(text), Ok(expected.to_vec()));
        assert_eq!(exclude_files("exclude:\n"), Ok(Vec::new()));
        for (text, reason) in [
            ("", "line 1: no list `exclude`"),
            ("- a\n", "line 1: no list `exclude`"),
            ("a: b\nexclude: usr\n", "line 2: `exclude` is no list of paths"),
            ("exclude:\n- a\n- [b]\n", "line 3: no path of the tree"),
            ("exclude:\n- /\n", "line 2: no path of the tree"),
        ] {
            assert_eq!(exclude_files(text), Err(reason.to_owned()), "{text}");
        }
        let bad = exclude_files("exclude: [\n").expect_err("no YAML");
        assert!(bad.starts_with("line ") && bad.contains("no YAML"), "{bad}");
    }
}
