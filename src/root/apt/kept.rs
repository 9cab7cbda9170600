//! What the finished image knows of a repository.

use crate::root::repository::{Kind, Location, Source};
use std::fmt::Write;

/// A deb822 file (sources.list(5)). Keys and credentials never come into an image.
pub fn sources_file(source: &Source) -> String {
    let mut text = "Types: deb\n".to_owned();
    let uri = match &source.location {
        Location::Url(url) => url.to_string(),
        Location::Path(path) => format!("file:{}", path.display()),
    };
    let _ = writeln!(text, "URIs: {uri}");
    match &source.kind {
        Kind::Suite { suite, components } => {
            let _ = writeln!(text, "Suites: {suite}\nComponents: {}", components.join(" "));
        }
        Kind::Flat { directory } => {
            let _ = writeln!(text, "Suites: ./{directory}");
        }
    }
    if !source.architectures.is_empty() {
        let _ = writeln!(text, "Architectures: {}", source.architectures.join(" "));
    }
    if !source.check_signature {
        text.push_str("Trusted: yes\nCheck-Valid-Until: no\n");
    }
    text
}
