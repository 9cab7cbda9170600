//! What a script of the description (`customize`) may change in a repository's file: everything but where packages of the
//! build come from, which was read before the file was there. KIWI runs the script first, on the host.

use super::control::Stanzas;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use std::collections::BTreeMap;

/// Fields that say where packages come from, in the deb822 form of sources.list(5), and what says it in a description.
const READ: [(&str, &str); 6] = [
    ("types", "<repository type=\"apt-deb\">"),
    ("uris", "<source path=\"...\"/>"),
    ("suites", "distribution=\"...\""),
    ("components", "components=\"...\""),
    ("architectures", "architectures=\"...\""),
    ("enabled", "no <repository> at all"),
];

/// Refused: a repository's file that says something else than `before` about where packages come from. `what` names it.
pub fn check_customized(what: &str, before: &str, after: &[u8]) -> Result<(), Refusal> {
    let spot = || Spot::new("repository", what);
    let (before, after) = (read(what, before.as_bytes())?, read(what, after)?);
    if before.len() != after.len() {
        let reason =
            format!("customize leaves {} repositories in a file that had {}", after.len(), before.len());
        let hint =
            "each is a <repository> of its own; one that only the image shall know has imageonly=\"true\"";
        return Err(Refusal::new(RefusalKind::Invalid, spot(), reason).hint(hint));
    }
    for (before, after) in before.iter().zip(&after) {
        for (field, instead) in READ {
            let (before, after) = (before.get(field), after.get(field));
            if before != after {
                let shown =
                    |words: Option<&Vec<String>>| words.map_or("nothing".to_owned(), |words| words.join(" "));
                let reason = format!(
                    "customize changes where packages come from, after they came from there: {field} were {}, and are {}",
                    shown(before),
                    shown(after)
                );
                let hint = format!(
                    "say it in the description: {instead}; one that only the image shall know has imageonly=\"true\""
                );
                return Err(Refusal::new(RefusalKind::Invalid, spot(), reason).hint(hint));
            }
        }
    }
    Ok(())
}

/// Of each stanza the words of the fields that count, by names in small letters; what is enabled does not say so.
fn read(what: &str, text: &[u8]) -> Result<Vec<BTreeMap<String, Vec<String>>>, Refusal> {
    // apt takes lines with a number sign in front for comments, wherever they are.
    let lines = text.split_inclusive(|&byte| byte == b'\n').filter(|line| !line.starts_with(b"#"));
    let text = lines.collect::<Vec<_>>().concat();
    let one = |stanza: super::Stanza<'_>| {
        let mut fields = BTreeMap::new();
        for field in stanza.fields() {
            let (name, value) = field?;
            let name = String::from_utf8_lossy(name).to_lowercase();
            let value = String::from_utf8_lossy(value);
            let words = value.split_whitespace().map(|word| word.trim_end_matches('/').to_owned());
            let words: Vec<String> = words.collect();
            let enabled = name == "enabled"
                && words.iter().any(|word| ["yes", "true", "1", "on"].contains(&word.as_str()));
            if !enabled && READ.iter().any(|(known, _)| *known == name) {
                fields.insert(name, words);
            }
        }
        Ok(fields)
    };
    Stanzas::new(what, &text).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "Types: deb\nURIs: http://a/debian\nSuites: bookworm\nComponents: main contrib\n";

    fn said(after: &str) -> Option<String> {
        let refused = check_customized("x", BEFORE, after.as_bytes()).err()?;
        Some(format!("{refused}; {}", refused.hint.as_deref().unwrap_or_default()))
    }

    #[test]
    fn what_does_not_move_a_repository_may_change() {
        for after in [
            BEFORE.to_owned(),
            format!("# a comment\n{BEFORE}Signed-By: /usr/share/keyrings/a.gpg\nEnabled: yes\n"),
            BEFORE.replace("URIs: http://a/debian", "uris:\n http://a/debian/\n#\nTrusted: yes"),
        ] {
            assert_eq!(said(&after), None, "{after}");
        }
    }

    #[test]
    fn what_moves_it_is_named_with_what_to_write_instead() {
        for (after, expected) in [
            (
                BEFORE.replace("//a/", "//b/"),
                "uris were http://a/debian, and are http://b/debian; say it in the description: <source path",
            ),
            (
                BEFORE.replace("bookworm", "trixie"),
                "suites were bookworm, and are trixie; say it in the description: distribution",
            ),
            (BEFORE.replace(" contrib", ""), "components were main contrib, and are main"),
            (format!("{BEFORE}Enabled: no\n"), "enabled were nothing, and are no"),
            (format!("{BEFORE}Architectures: arm64\n"), "architectures were nothing, and are arm64"),
            (format!("{BEFORE}\n{BEFORE}"), "leaves 2 repositories in a file that had 1"),
            (String::new(), "leaves 0 repositories in a file that had 1"),
            ("nonsense\n".to_owned(), "a field, NAME: VALUE"),
        ] {
            let said = said(&after).unwrap_or_default();
            assert!(said.contains(expected), "{after}\n{said}");
        }
    }
}
