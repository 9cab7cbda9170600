//! What the tree says about new accounts: login.defs(5), `/etc/default/useradd` (useradd(8)).

use super::database::{Ids, Subordinate, lastchange};
use std::collections::BTreeMap;

/// It, with shadow's own values where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) uids: Ids,
    pub(super) gids: Ids,
    pub(super) subuids: Subordinate,
    pub(super) subgids: Subordinate,
    /// `PASS_MIN_DAYS`, `PASS_MAX_DAYS`, `PASS_WARN_AGE`
    ages: [Option<i64>; 3],
    /// `USERGROUPS_ENAB`
    pub(super) own_groups: bool,
    /// `GROUP`: the group of users that have no other.
    pub(super) group: String,
    /// `HOME`
    pub(super) homes: String,
    /// Of a home directory.
    pub(super) home_mode: u32,
    pub(super) shell: String,
    pub(super) skel: String,
    /// The directory of mailboxes, if new users get one.
    pub(super) mailboxes: Option<String>,
}

impl Settings {
    pub(super) fn parse(login_defs: &str, useradd: &str) -> Settings {
        let definitions = words(login_defs, char::is_whitespace);
        let defaults = words(useradd, |c| c == '=');
        let number = |name: &str, default: u32| {
            definitions.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        let octal = |name: &str| definitions.get(name).and_then(|text| u32::from_str_radix(text, 8).ok());
        let default = |name: &str, default: &str| match defaults.get(name) {
            Some(text) if !text.is_empty() => (*text).to_owned(),
            _ => default.to_owned(),
        };
        let subordinate = |what: &str| Subordinate {
            ids: Ids {
                least: number(&format!("SUB_{what}_MIN"), 100_000),
                most: number(&format!("SUB_{what}_MAX"), 600_100_000),
            },
            count: number(&format!("SUB_{what}_COUNT"), 65536),
        };
        let age = |name: &str| {
            definitions.get(name).and_then(|text| text.parse().ok()).filter(|age: &i64| *age >= 0)
        };
        let mail = definitions.get("MAIL_DIR").copied().unwrap_or("/var/mail");
        Settings {
            uids: Ids { least: number("UID_MIN", 1000), most: number("UID_MAX", 60000) },
            gids: Ids { least: number("GID_MIN", 1000), most: number("GID_MAX", 60000) },
            subuids: subordinate("UID"),
            subgids: subordinate("GID"),
            ages: ["PASS_MIN_DAYS", "PASS_MAX_DAYS", "PASS_WARN_AGE"].map(age),
            own_groups: definitions.get("USERGROUPS_ENAB").is_some_and(|it| it.eq_ignore_ascii_case("yes")),
            group: default("GROUP", "100"),
            homes: default("HOME", "/home"),
            home_mode: octal("HOME_MODE").unwrap_or(0o777 & !octal("UMASK").unwrap_or(0o022)) & 0o7777,
            shell: default("SHELL", "/bin/bash"),
            skel: default("SKEL", "/etc/skel"),
            mailboxes: (default("CREATE_MAIL_SPOOL", "no") == "yes").then(|| mail.to_owned()),
        }
    }

    /// The line of a new account.
    pub(super) fn shadow_line(&self, name: &str, hash: &str, day: i64) -> [String; 9] {
        let age = |age: Option<i64>| age.map(|age| age.to_string()).unwrap_or_default();
        let [least, most, warn] = self.ages.map(age);
        let none = String::new;
        [name.to_owned(), hash.to_owned(), lastchange(day), least, most, warn, none(), none(), none()]
    }
}

/// Names and values; comments left out. The last of a name counts.
fn words(text: &str, between: impl Fn(char) -> bool) -> BTreeMap<&str, &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(&between));
    pairs.map(|(name, value)| (name, value.trim().trim_matches('"'))).collect()
}
