//! Locale, keyboard and time zone.
//!
//! KIWI leaves them to the tree's systemd-firstboot (NG 11.1.6 `setup.py`), which writes the same files. Debian reads others,
//! too: `/etc/default/locale`, `/etc/default/keyboard`, `/etc/timezone` (locale(7), keyboard(5)).

use super::files::{Dress, Files, refused};
use crate::root::sandbox::OperationError;
use serde::{Deserialize, Serialize};

/// A keyboard of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyboard {
    /// Its keymap, as kbd names it.
    pub keymap: String,
    /// Layout and variant, as X names them; `None`: there is none that is known to be the same.
    pub layout: Option<(String, String)>,
}

/// Keymaps of kbd that are named unlike their X layouts.
const LAYOUTS: [(&str, &str, &str); 42] = [
    ("be-latin1", "be", ""),
    ("br-abnt2", "br", ""),
    ("cf", "ca", ""),
    ("croat", "hr", ""),
    ("cz-lat2", "cz", "qwerty"),
    ("cz-us-qwertz", "cz", ""),
    ("de-latin1", "de", ""),
    ("de-latin1-nodeadkeys", "de", "nodeadkeys"),
    ("de-nodeadkeys", "de", "nodeadkeys"),
    ("de_CH-latin1", "ch", ""),
    ("dk-latin1", "dk", ""),
    ("dvorak", "us", "dvorak"),
    ("es-cp850", "es", ""),
    ("et", "ee", ""),
    ("et-nodeadkeys", "ee", "nodeadkeys"),
    ("fi-latin1", "fi", ""),
    ("fr-latin1", "fr", ""),
    ("fr-latin9", "fr", "latin9"),
    ("fr_CH", "ch", "fr"),
    ("fr_CH-latin1", "ch", "fr"),
    ("hu101", "hu", "qwerty"),
    ("is-latin1", "is", ""),
    ("it2", "it", ""),
    ("jp106", "jp", ""),
    ("la-latin1", "latam", ""),
    ("mk-utf", "mk", ""),
    ("no-latin1", "no", ""),
    ("pl2", "pl", ""),
    ("pt-latin1", "pt", ""),
    ("ro_win", "ro", ""),
    ("ru_win", "ru", ""),
    ("sg", "ch", "de_nodeadkeys"),
    ("sg-latin1", "ch", "de_nodeadkeys"),
    ("sk-qwerty", "sk", "qwerty"),
    ("sk-qwertz", "sk", ""),
    ("slovene", "si", ""),
    ("sr-latin", "rs", "latin"),
    ("sv-latin1", "se", ""),
    ("trf", "tr", "f"),
    ("trq", "tr", ""),
    ("uk", "gb", ""),
    ("us-acentos", "us", "intl"),
];

impl Keyboard {
    /// Of `keytable`: a keymap, with or without the ending of its file.
    pub fn of(keytable: &str) -> Keyboard {
        let keymap = [".map.gz", ".map"].iter().find_map(|ending| keytable.strip_suffix(ending));
        let keymap = keymap.unwrap_or(keytable);
        let known = LAYOUTS.iter().find(|(name, ..)| *name == keymap);
        let same = keymap.len() == 2 && keymap.bytes().all(|byte| byte.is_ascii_lowercase());
        let layout = match known {
            Some((_, layout, variant)) => Some(((*layout).to_owned(), (*variant).to_owned())),
            None => same.then(|| (keymap.to_owned(), String::new())),
        };
        Keyboard { keymap: keymap.to_owned(), layout }
    }
}

/// The name of a locale of `locale`: the first one, in UTF-8.
pub(super) fn locale_name(said: &str) -> String {
    match said.split(',').any(|name| name == "POSIX") {
        true => "POSIX".to_owned(),
        false => format!("{}.UTF-8", said.split(',').next().unwrap_or_default()),
    }
}

fn is_debian(files: &Files) -> Result<bool, OperationError> {
    Ok(files.stat("/etc/debian_version")?.is_some())
}

fn put(files: &Files, path: &str, text: &str) -> Result<(), OperationError> {
    files.write(path, text.as_bytes(), Dress::of_root(0o644))
}

/// `/etc/locale.conf`; of Debian `/etc/default/locale` and the line in the list of what locale-gen makes, too.
pub(super) fn set_locale(files: &Files, locale: &str) -> Result<(), OperationError> {
    let text = format!("LANG={locale}\n");
    put(files, "/etc/locale.conf", &text)?;
    // In newer releases it leads to the first one.
    if is_debian(files)? && !files.is_symlink("/etc/default/locale")? {
        put(files, "/etc/default/locale", &text)?;
    }
    match files.read("/etc/locale.gen")? {
        Some(list) if locale != "POSIX" && !locale.starts_with("C.") => {
            files.rewrite("/etc/locale.gen", &generated(&list, locale), Dress::of_root(0o644))
        }
        _ => Ok(()),
    }
}

/// The list with the line of a locale in it.
fn generated(list: &str, locale: &str) -> String {
    let wanted = format!("{locale} UTF-8");
    let is_it = |line: &str| line.trim_start_matches(['#', ' ']).trim_end() == wanted;
    let found = list.lines().any(is_it);
    let line = |line: &str| if is_it(line) { format!("{wanted}\n") } else { format!("{line}\n") };
    let lines: String = list.lines().map(line).collect();
    if found { lines } else { format!("{lines}{wanted}\n") }
}

/// `/etc/vconsole.conf`; of Debian `/etc/default/keyboard`, too.
pub(super) fn set_keyboard(files: &Files, keyboard: &Keyboard) -> Result<(), OperationError> {
    put(files, "/etc/vconsole.conf", &format!("KEYMAP={}\n", keyboard.keymap))?;
    let Some((layout, variant)) = &keyboard.layout else { return Ok(()) };
    if !is_debian(files)? {
        return Ok(());
    }
    let text = format!(
        "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"{layout}\"\nXKBVARIANT=\"{variant}\"\nXKBOPTIONS=\"\"\n\nBACKSPACE=\"guess\"\n"
    );
    put(files, "/etc/default/keyboard", &text)
}

/// `/etc/localtime` leads to the zone; of Debian `/etc/timezone` has its name.
pub(super) fn set_timezone(files: &Files, zone: &str) -> Result<(), OperationError> {
    let path = format!("/usr/share/zoneinfo/{zone}");
    // Where there is no zone, there is UTC.
    if zone != "UTC" && files.stat(&path)?.is_none() {
        let refusal = refused("timezone", zone, format!("the tree has no {path}"));
        return Err(with_hint(
            refusal,
            "the names are those of `timedatectl list-timezones`; the package is tzdata",
        ));
    }
    files.symlink("/etc/localtime", &format!("..{path}"))?;
    if is_debian(files)? || files.stat("/etc/timezone")?.is_some() {
        put(files, "/etc/timezone", &format!("{zone}\n"))?;
    }
    Ok(())
}

fn with_hint(error: OperationError, text: &str) -> OperationError {
    match error {
        OperationError::Refused { message, .. } => {
            OperationError::Refused { message, hint: Some(text.to_owned()) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keymaps_and_layouts() {
        for (keytable, keymap, layout) in [
            ("us", "us", Some(("us", ""))),
            ("us.map.gz", "us", Some(("us", ""))),
            ("de-latin1-nodeadkeys.map.gz", "de-latin1-nodeadkeys", Some(("de", "nodeadkeys"))),
            ("uk", "uk", Some(("gb", ""))),
            ("mac-euro", "mac-euro", None),
        ] {
            let layout = layout.map(|(layout, variant)| (layout.to_owned(), variant.to_owned()));
            assert_eq!(Keyboard::of(keytable), Keyboard { keymap: keymap.to_owned(), layout });
        }
        assert!(LAYOUTS.is_sorted());
    }

    #[test]
    fn the_first_locale_counts_and_posix_most_of_all() {
        for (said, name) in [
            ("en_US", "en_US.UTF-8"),
            ("de_DE,en_US", "de_DE.UTF-8"),
            ("en_US,POSIX", "POSIX"),
            ("C", "C.UTF-8"),
        ] {
            assert_eq!(locale_name(said), name);
        }
    }

    #[test]
    fn a_locale_is_generated_once() {
        let list = "# text\n\n# de_DE ISO-8859-1\n# de_DE.UTF-8 UTF-8\n";
        let with = "# text\n\n# de_DE ISO-8859-1\nde_DE.UTF-8 UTF-8\n";
        assert_eq!(generated(list, "de_DE.UTF-8"), with);
        assert_eq!(generated(with, "de_DE.UTF-8"), with);
        assert_eq!(generated(list, "fr_FR.UTF-8"), format!("{list}fr_FR.UTF-8 UTF-8\n"));
    }
}
