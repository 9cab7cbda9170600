//! `users` of a description become accounts of the tree, without useradd: its output depends on the clock.
//!
//! As KIWI does it (NG 11.1.6 `setup.py: setup_groups, setup_users`): first all groups that are missing, then the users,
//! new ones as by `useradd -m`, others as by `usermod`. Ids that are not given are the next ones that are free. The day on
//! which a password was set is that of the epoch.

mod database;
mod password;
mod settings;

use super::files::{Dress, Files, refused};
use super::merge::{Rules, lay};
use crate::describe::Diagnostic;
use crate::model::elements;
use crate::model::words::PwdFormat;
use crate::resolve::{Selection, User as Selected};
use crate::root::sandbox::OperationError;
use crate::survey::{self, Origin, survey};
use database::{Database, Table, User};
use diskwright_formats::identity::Identity;
use serde::{Deserialize, Serialize};
use settings::Settings;
use std::path::PathBuf;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// The hash of its password, in the form of crypt(5); `None`: nobody can log in with one.
    pub password: Option<String>,
    /// Its number; `None`: the next one.
    pub uid: Option<u32>,
    /// Its groups; the first one is that of its files.
    pub groups: Vec<Group>,
    /// Its home; `None`: as the tree has them.
    pub home: Option<String>,
    /// What people call it.
    pub real_name: Option<String>,
    /// Its shell; `None`: as the tree says.
    pub shell: Option<String>,
}

/// A group of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number, if it has to be made; `None`: the next one.
    pub gid: Option<u32>,
}

/// The accounts of a selection; plain passwords are hashed with salts of the identity.
///
/// # Errors
/// What cannot be written in `/etc/passwd`, at its place in the description.
pub fn accounts(selection: &Selection, identity: &Identity) -> Result<Vec<Account>, Vec<Diagnostic>> {
    let (mut accounts, mut problems) = (Vec::new(), Vec::new());
    for user in selection.users() {
        match account(&user, identity) {
            Ok(account) => accounts.push(account),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(accounts) } else { Err(problems) }
}

fn account(user: &Selected, identity: &Identity) -> Result<Account, Diagnostic> {
    let said = user.said;
    let name = user.name.value.clone();
    if !is_name(&name) {
        let message = format!("no name of a user: {name}");
        let hint = "at most 32 characters without blanks, `:`, `,` and `/`, the first one none of `-+~`";
        return Err(user.name.span.error("bad-value", message).hint(hint));
    }
    let field = |said: &Option<elements::Said<String>>| {
        let Some(said) = said.as_ref().filter(|said| !said.value.is_empty()) else { return Ok(None) };
        match said.value.contains(':') || said.value.contains(char::is_control) {
            true => {
                let message = "`:` and control characters cannot be written in /etc/passwd";
                Err(said.span.error("bad-value", message))
            }
            false => Ok(Some(said.value.clone())),
        }
    };
    let id = |text: &str| text.parse::<u32>().ok().filter(|id| *id < u32::MAX);
    let uid = said.id.as_ref().map(|said| {
        let wrong = || said.span.error("bad-value", format!("no id of a user: {}", said.text));
        id(&said.value.to_string()).ok_or_else(wrong)
    });
    let group = |text: &String| {
        let (name, gid) = text.split_once(':').map_or((text.as_str(), None), |(name, gid)| (name, Some(gid)));
        let gid = gid.filter(|gid| !gid.is_empty());
        let wrong = || {
            let hint = "groups=\"NAME,NAME:ID\"";
            said.span.error("bad-value", format!("no group: {text}")).hint(hint)
        };
        match (is_name(name), gid.map(id)) {
            (false, _) | (_, Some(None)) => Err(wrong()),
            (true, gid) => Ok(Group { name: name.to_owned(), gid: gid.flatten() }),
        }
    };
    // Of one name with several ids the last id counts.
    let mut groups: Vec<Group> = Vec::new();
    for one in user.groups.iter().map(group) {
        let one = one?;
        match groups.iter_mut().find(|other| other.name == one.name) {
            Some(other) => *other = one,
            None => groups.push(one),
        }
    }
    let is_plain = elements::value(&said.pwdformat) == Some(PwdFormat::Plain);
    let password = match said.password.as_ref().filter(|said| !said.value.is_empty()) {
        Some(plain) if is_plain => {
            let failed = || plain.span.error("bad-value", "a password that cannot be hashed");
            Some(password::hashed(&name, &plain.value, identity).ok_or_else(failed)?)
        }
        Some(_) => field(&said.password)?,
        None => None,
    };
    Ok(Account {
        name,
        password,
        uid: uid.transpose()?,
        groups,
        home: field(&said.home)?,
        real_name: field(&said.realname)?,
        shell: field(&said.shell)?,
    })
}

/// What Debian's useradd takes, and every other with `--badname`.
fn is_name(name: &str) -> bool {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | ',' | '/');
    !name.is_empty() && name.len() <= 32 && !name.starts_with(['-', '+', '~']) && !name.contains(wrong)
}

const TABLES: [&str; 6] =
    ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"];

/// Adds and changes accounts, and makes homes for new ones.
pub(super) fn set_up(files: &Files, accounts: &[Account], day: i64) -> Result<(), OperationError> {
    let text = |path: &str| Ok::<String, OperationError>(files.read(path)?.unwrap_or_default());
    let settings = Settings::parse(&text("/etc/login.defs")?, &text("/etc/default/useradd")?);
    let mut database = read(files)?;
    for group in accounts.iter().flat_map(|account| &account.groups) {
        database
            .add_group(&settings, &group.name, group.gid)
            .map_err(|reason| refused("users", &format!("group {}", group.name), reason))?;
    }
    let mut users = Vec::new();
    for account in accounts {
        let user = database.set_up(&settings, account, day);
        users.push(user.map_err(|reason| refused("users", &account.name, reason))?);
    }
    write(files, &database)?;
    accounts.iter().zip(&users).try_for_each(|(account, user)| home(files, &settings, account, user))
}

fn read(files: &Files) -> Result<Database, OperationError> {
    let table = |path: &str| Ok::<_, OperationError>(files.read(path)?.map(|text| Table::parse(&text)));
    let [passwd, group, shadow, gshadow, subuid, subgid] = TABLES;
    let passwd = table(passwd)?;
    // A tree without accounts gets its hashes where they belong.
    let shadow = table(shadow)?.or_else(|| passwd.is_none().then(Table::default));
    Ok(Database {
        passwd: passwd.unwrap_or_default(),
        group: table(group)?.unwrap_or_default(),
        shadow,
        gshadow: table(gshadow)?,
        subuid: table(subuid)?,
        subgid: table(subgid)?,
    })
}

fn write(files: &Files, database: &Database) -> Result<(), OperationError> {
    let Database { passwd, group, shadow, gshadow, subuid, subgid } = database;
    let tables = [
        (Some(passwd), 0o644),
        (Some(group), 0o644),
        (shadow.as_ref(), 0o600),
        (gshadow.as_ref(), 0o600),
        (subuid.as_ref(), 0o644),
        (subgid.as_ref(), 0o644),
    ];
    for (path, (table, mode)) in TABLES.into_iter().zip(tables) {
        if let Some(table) = table {
            let (old, text) = (files.read(path)?, table.text());
            if old.as_deref() != Some(&text) {
                files.rewrite(path, &text, Dress::of_root(mode))?;
            }
        }
    }
    Ok(())
}

/// A home for a new user, with what is in `/etc/skel`; a changed user keeps its files.
fn home(files: &Files, settings: &Settings, account: &Account, user: &User) -> Result<(), OperationError> {
    let owner = (user.uid, user.gid);
    let home = user.home.as_str();
    if !home.starts_with('/') {
        return Err(refused("users", &account.name, format!("its home is no absolute path: {home}")));
    }
    let home = home.trim_end_matches('/');
    if let Some(before) = user.before {
        let exists = before != owner && !home.is_empty() && files.is_directory(home)?;
        return match exists {
            true => files.chown_tree(home, &|uid, gid| {
                let other = |id: u32, from: u32, to: u32| if id == from { to } else { id };
                (other(uid, before.0, owner.0), other(gid, before.1, owner.1))
            }),
            false => Ok(()),
        };
    }
    if files.look(home)?.is_none() && !home.is_empty() {
        files.make_directory(home, Dress { mode: settings.home_mode, uid: owner.0, gid: owner.1 })?;
        if files.is_directory(&settings.skel)? {
            let origin = Origin::Directory { path: PathBuf::from(&settings.skel), record: None };
            let options =
                survey::Options { epoch: i64::MAX, owner: Some(owner), work_dir: "/".into(), threads: 1 };
            let rules = Rules { what: "skel", owners: true, top: false, through_links: false, devices: true };
            lay(files, &survey(&origin, &options)?, home, rules)?;
        }
    }
    if account.home.is_some() && files.is_directory(home)? {
        files.chown_tree(home, &|_, _| owner)?;
    }
    match &settings.mailboxes {
        Some(mailboxes) if files.is_directory(mailboxes)? => mailbox(files, mailboxes, account, user),
        _ => Ok(()),
    }
}

/// An empty mailbox, which the group `mail` may write.
fn mailbox(files: &Files, mailboxes: &str, account: &Account, user: &User) -> Result<(), OperationError> {
    let group = database_id(files, "/etc/group", "mail")?;
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    let path = format!("{mailboxes}/{}", account.name);
    match files.look(&path)? {
        Some(_) => Ok(()),
        None => files.write(&path, b"", Dress { mode, uid: user.uid, gid: group.unwrap_or(user.gid) }),
    }
}

fn database_id(files: &Files, table: &str, name: &str) -> Result<Option<u32>, OperationError> {
    Ok(Table::parse(&files.read(table)?.unwrap_or_default()).id(name))
}

/// Owner and group as chown(1) takes them: `user`, `user:`, `user:group`, `:group`; nothing is root.
pub(super) fn owner(files: &Files, text: &str) -> Result<(u32, u32), OperationError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let unknown = |what: &str, name: &str| refused("owner", text, format!("the tree has no {what} {name}"));
    let id = |table: &str, what: &str, name: &str| match name {
        "" => Ok(0),
        name => {
            let found = database_id(files, table, name)?.or_else(|| name.parse().ok());
            found.ok_or_else(|| unknown(what, name))
        }
    };
    let uid = id("/etc/passwd", "user", user)?;
    let gid = match group {
        // `user:` is the group that it logs in with.
        Some("") => {
            let passwd = Table::parse(&files.read("/etc/passwd")?.unwrap_or_default());
            let gid = passwd.find(user).and_then(|fields| fields.get(3)?.parse().ok());
            gid.ok_or_else(|| unknown("user", user))?
        }
        group => id("/etc/group", "group", group.unwrap_or_default())?,
    };
    Ok((uid, gid))
}
