//! Which packages can be unpacked here once the tree has a working dpkg, and which are left to `dpkg --unpack`.

use super::archive::Deb;
use super::control::{Relation, Stanza};
use super::database::{Database, State};

/// Why a package has to be unpacked by the tree's dpkg; `None`: [`super::unpack`] does the same. To be left to dpkg are
/// packages that are there in another version, that have a `preinst` which does anything at a first installation, and
/// that conflict with, break, or are in conflict with what is there: dpkg removes or deconfigures that.
pub fn needs_dpkg(deb: &Deb, database: &Database) -> Option<String> {
    let control = &deb.control;
    let known = database.packages().iter().filter(|package| package.state != State::NotInstalled);
    if let Some(old) = known.clone().find(|old| old.name == control.name) {
        return Some(format!("it is there already: version {}, {}", old.version, old.state.name()));
    }
    if control.file("preinst").is_some_and(|script| !does_nothing_at_first(&script.bytes)) {
        return Some("its preinst has work to do before its files are there".to_owned());
    }
    let ours = Provider { name: &control.name, version: &control.version, stanza: &control.stanza };
    for package in known.filter(|package| package.state > State::ConfigFiles) {
        let theirs = Provider { name: &package.name, version: &package.version, stanza: &package.stanza };
        let pairs =
            [(&ours, "Conflicts", &theirs), (&ours, "Breaks", &theirs), (&theirs, "Conflicts", &ours)];
        for (one, field, other) in pairs {
            match excludes(one, field, other) {
                Ok(false) => {}
                Ok(true) => return Some(format!("{field} of {}: {}", one.name, other.name)),
                Err(reason) => return Some(reason),
            }
        }
    }
    None
}

/// A package with what it provides.
struct Provider<'a> {
    name: &'a str,
    version: &'a str,
    stanza: &'a Stanza,
}

/// Whether a field of one package excludes another.
fn excludes(one: &Provider, field: &str, other: &Provider) -> Result<bool, String> {
    let relations = one.stanza.relations(field)?;
    if relations.is_empty() {
        return Ok(false);
    }
    let provides = other.stanza.relations("Provides")?;
    let meant = |relation: &Relation| {
        let itself = relation.package == other.name && relation.admits(other.version);
        // What is provided without a version is meant only where no version is asked for.
        let provided = provides.iter().flatten().any(|provided| {
            let version = provided.version.as_ref().map(|(_, version)| version);
            provided.package == relation.package
                && version.map_or(relation.version.is_none(), |version| relation.admits(version))
        });
        itself || provided
    };
    Ok(relations.iter().flatten().any(meant))
}

/// Whether a `preinst` called as `preinst install` does nothing. Only what packages are built with is known: calls of
/// dpkg-maintscript-helper, which act on upgrades alone (dpkg-maintscript-helper(1)), and parts for upgrades or for a
/// package that was there before.
fn does_nothing_at_first(script: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(script) else { return false };
    let Some(("#!/bin/sh" | "#! /bin/sh" | "#!/bin/sh -e", text)) = text.split_once('\n') else {
        return false;
    };
    let text = text.replace("\\\n", " ");
    let mut lines =
        text.lines().map(str::trim_ascii).filter(|line| !line.is_empty() && !line.starts_with('#'));
    while let Some(line) = lines.next() {
        match line {
            "set -e" | "set -u" | "set -eu" | ":" => {}
            "exit 0" => return true,
            _ if is_helper(line) => {}
            _ if never_at_first(line) && passes_over(&mut lines) => {}
            _ => return false,
        }
    }
    true
}

fn is_helper(line: &str) -> bool {
    let words =
        line.strip_prefix("dpkg-maintscript-helper ").and_then(|rest| rest.strip_suffix(" -- \"$@\""));
    let Some(words) = words else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" /_.+~:\\'\"@-".contains(&byte);
    let known = ["rm_conffile", "mv_conffile", "symlink_to_dir", "dir_to_symlink"];
    words.bytes().all(plain) && words.split(' ').next().is_some_and(|word| known.contains(&word))
}

/// `if TEST && TEST; then` with a test that fails when a package comes for the first time.
fn never_at_first(line: &str) -> bool {
    let tests = line.strip_prefix("if ").and_then(|rest| rest.strip_suffix("then"));
    let tests = tests.and_then(|rest| rest.trim_ascii_end().strip_suffix(';'));
    let Some(tests) = tests else { return false };
    let fails = |test: &str| {
        matches!(test.trim_ascii(), "[ -n \"$2\" ]" | "[ \"$1\" = \"upgrade\" ]" | "[ \"$1\" = upgrade ]")
    };
    !tests.contains("||")
        && !tests.contains(['`', ';', '>'])
        && !tests.contains("$(")
        && tests.split("&&").any(fails)
}

/// Passes over a part up to its `fi`; not one with another branch.
fn passes_over<'a>(lines: &mut impl Iterator<Item = &'a str>) -> bool {
    let mut depth = 1;
    for line in lines {
        match line {
            "fi" => depth -= 1,
            _ if line.starts_with("if ") => depth += 1,
            _ if line.starts_with("else") || line.starts_with("elif ") || line.contains("<<") => {
                return false;
            }
            _ => {}
        }
        if depth == 0 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preinsts_that_do_nothing() {
        let helper = "dpkg-maintscript-helper rm_conffile /etc/a 1.2\\~ a -- \"$@\"";
        let later =
            "if [ \"$1\" = \"install\" ] && [ -n \"$2\" ] && [ -e /etc/init.d/a ] ; then\n\tchmod +x /a\nfi";
        let table = [
            ("".to_owned(), true),
            ("set -e\n# comment\nexit 0\nrm -rf /".to_owned(), true),
            (format!("set -e\n{helper}\n{later}\n{helper}"), true),
            (format!("{helper} && rm /etc/b"), false),
            (format!("{helper} $(rm /etc/b)"), false),
            ("dpkg-maintscript-helper rm_conffile $(rm /a) -- \"$@\"".to_owned(), false),
            ("dpkg-maintscript-helper rm_conffile /a \\\n  1 a -- \"$@\"".to_owned(), true),
            ("dpkg-maintscript-helper supports a -- \"$@\"".to_owned(), false),
            ("rm -f /etc/a".to_owned(), false),
            ("if [ \"$1\" = upgrade ] || true; then\nrm /a\nfi".to_owned(), false),
            ("if [ \"$1\" = upgrade ]; then\nrm /a\nelse\nrm /b\nfi".to_owned(), false),
            ("if [ \"$1\" = upgrade ]; then\nif true; then\nrm /a\nfi\nfi\nrm /b".to_owned(), false),
            ("if [ \"$1\" = upgrade ]; then\nif true; then\nrm /a\nfi\nfi".to_owned(), true),
            ("if [ \"$1\" = upgrade ]; then\nrm /a".to_owned(), false),
            ("if [ \"$(rm /a)\" ] && [ -n \"$2\" ]; then\nrm /a\nfi".to_owned(), false),
        ];
        for (script, expected) in table {
            let script = format!("#!/bin/sh\n{script}\n");
            assert_eq!(does_nothing_at_first(script.as_bytes()), expected, "{script}");
        }
        assert!(!does_nothing_at_first(b"#!/usr/bin/perl\n"));
        assert!(!does_nothing_at_first(b""));
    }
}
