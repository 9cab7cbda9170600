//! The text of `/etc/passwd`, `group`, `shadow`, `gshadow`, `subuid` and `subgid`, changed as shadow's useradd, usermod and
//! groupadd change it (shadow 4.13; passwd(5), group(5), shadow(5), gshadow(5), subuid(5)).

use super::Account;
use super::settings::Settings;
use std::collections::BTreeSet;

/// Lines of fields with colons between. What nobody changes stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    pub(super) fn parse(text: &str) -> Table {
        Table(text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect())
    }

    pub(super) fn text(&self) -> String {
        self.0.iter().map(|fields| fields.join(":") + "\n").collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Vec<String>> {
        self.0.iter().find(|fields| fields[0] == name)
    }

    fn find_mut(&mut self, name: &str) -> Option<&mut Vec<String>> {
        self.0.iter_mut().find(|fields| fields[0] == name)
    }

    fn add<T: ToString>(&mut self, fields: impl IntoIterator<Item = T>) {
        self.0.push(fields.into_iter().map(|field| field.to_string()).collect());
    }

    /// The numbers in a field.
    fn ids(&self, field: usize) -> BTreeSet<u32> {
        self.0.iter().filter_map(|fields| fields.get(field)?.parse().ok()).collect()
    }

    /// The number of a name: the third field.
    pub(super) fn id(&self, name: &str) -> Option<u32> {
        self.find(name)?.get(2)?.parse().ok()
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) passwd: Table,
    pub(super) group: Table,
    /// `None`: hashes are in `passwd`.
    pub(super) shadow: Option<Table>,
    pub(super) gshadow: Option<Table>,
    /// `None`: nobody gets subordinate ids.
    pub(super) subuid: Option<Table>,
    pub(super) subgid: Option<Table>,
}

/// What a user is afterwards, and was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
    /// Owner and group of the account that was changed; `None`: it is new.
    pub(super) before: Option<(u32, u32)>,
}

impl Database {
    /// `groupadd [-g GID] NAME`, if there is no such group.
    pub(super) fn add_group(
        &mut self,
        settings: &Settings,
        name: &str,
        gid: Option<u32>,
    ) -> Result<(), String> {
        if self.group.find(name).is_some() {
            return Ok(());
        }
        let taken = self.group.ids(2);
        let gid = match gid {
            Some(gid) if taken.contains(&gid) => return Err(format!("the id {gid} is another group's")),
            Some(gid) => gid,
            None => free(&taken, settings.gids).ok_or("no group id is free")?,
        };
        self.new_group(name, gid);
        Ok(())
    }

    fn new_group(&mut self, name: &str, gid: u32) {
        self.group.add([name, "x", &gid.to_string(), ""]);
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.add([name, "!", "", ""]);
        }
    }

    /// `useradd`, or `usermod` if the account is there. `day` is the day of a change of password.
    pub(super) fn set_up(
        &mut self,
        settings: &Settings,
        account: &Account,
        day: i64,
    ) -> Result<User, String> {
        let user = match self.passwd.find(&account.name).is_some() {
            true => self.modify(account, day)?,
            false => self.add(settings, account, day)?,
        };
        if account.groups.len() > 1 {
            let others: Vec<&str> = account.groups[1..].iter().map(|group| group.name.as_str()).collect();
            if let Some(missing) = others.iter().find(|name| self.group.find(name).is_none()) {
                return Err(format!("there is no group {missing}"));
            }
            for table in [Some(&mut self.group), self.gshadow.as_mut()].into_iter().flatten() {
                join(table, &account.name, &others);
            }
        }
        Ok(user)
    }

    fn first_group(&self, account: &Account) -> Result<Option<u32>, String> {
        let Some(group) = account.groups.first() else { return Ok(None) };
        self.group.id(&group.name).map(Some).ok_or_else(|| format!("there is no group {}", group.name))
    }

    fn add(&mut self, settings: &Settings, account: &Account, day: i64) -> Result<User, String> {
        let name = &account.name;
        let taken = self.passwd.ids(2);
        let uid = match account.uid {
            Some(uid) if taken.contains(&uid) => return Err(format!("the id {uid} is another user's")),
            Some(uid) => uid,
            None => free(&taken, settings.uids).ok_or("no user id is free")?,
        };
        let gid = match self.first_group(account)? {
            Some(gid) => gid,
            None if settings.own_groups && self.group.find(name).is_some() => {
                return Err(format!("there is a group {name} already: groups=\"{name}\" takes it"));
            }
            None if settings.own_groups => {
                let taken = self.group.ids(2);
                let wished = Some(uid).filter(|id| !taken.contains(id) && settings.gids.contains(id));
                let gid = wished.or_else(|| free(&taken, settings.gids)).ok_or("no group id is free")?;
                self.new_group(name, gid);
                gid
            }
            None => self.group.id(&settings.group).or(settings.group.parse().ok()).unwrap_or(100),
        };
        let home = account.home.clone().unwrap_or_else(|| format!("{}/{name}", settings.homes));
        let hash = account.password.as_deref().unwrap_or("!");
        let shell = account.shell.as_deref().unwrap_or(&settings.shell);
        let real_name = account.real_name.as_deref().unwrap_or_default();
        let in_passwd = if self.shadow.is_some() { "x" } else { hash };
        let (uid_text, gid_text) = (uid.to_string(), gid.to_string());
        self.passwd.add([name, in_passwd, &uid_text, &gid_text, real_name, &home, shell]);
        if let Some(shadow) = &mut self.shadow {
            shadow.add(settings.shadow_line(name, hash, day));
        }
        if settings.uids.contains(&uid) {
            for (table, range) in [(&mut self.subuid, settings.subuids), (&mut self.subgid, settings.subgids)]
            {
                let start = range.first_free(table.as_ref());
                if let (Some(table), Some(start)) = (table.as_mut(), start) {
                    table.add([name, &start.to_string(), &range.count.to_string()]);
                }
            }
        }
        Ok(User { uid, gid, home, before: None })
    }

    fn modify(&mut self, account: &Account, day: i64) -> Result<User, String> {
        let gid = self.first_group(account)?;
        let uid_is_free = account.uid.is_none_or(|uid| {
            let mut others = self.passwd.0.iter().filter(|fields| fields[0] != account.name);
            !others.any(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(uid))
        });
        if !uid_is_free {
            return Err("its id is another user's".to_owned());
        }
        let malformed = || "its line in /etc/passwd has not seven fields".to_owned();
        let fields = self.passwd.find_mut(&account.name).ok_or_else(malformed)?;
        let [_, password, uid, group, real_name, home, shell] = &mut fields[..] else {
            return Err(malformed());
        };
        let number = |text: &str| text.parse::<u32>().map_err(|_| malformed());
        let before = (number(uid)?, number(group)?);
        let after = (account.uid.unwrap_or(before.0), gid.unwrap_or(before.1));
        (*uid, *group) = (after.0.to_string(), after.1.to_string());
        real_name.clone_from(account.real_name.as_ref().unwrap_or(&real_name.clone()));
        shell.clone_from(account.shell.as_ref().unwrap_or(&shell.clone()));
        if let Some(hash) = &account.password {
            let entry = self.shadow.as_mut().map(|shadow| shadow.find_mut(&account.name));
            match entry {
                None => password.clone_from(hash),
                Some(Some(entry)) => {
                    entry.resize(9, String::new());
                    entry[1].clone_from(hash);
                    entry[2] = lastchange(day);
                }
                Some(None) => {
                    "x".clone_into(password);
                    if let Some(shadow) = &mut self.shadow {
                        shadow.add([&account.name, hash, &lastchange(day), "", "", "", "", "", ""]);
                    }
                }
            }
        }
        Ok(User { uid: after.0, gid: after.1, home: home.clone(), before: Some(before) })
    }
}

/// The day of the last change; 0 would ask for a new password at once.
pub(super) fn lastchange(day: i64) -> String {
    if day > 0 { day.to_string() } else { String::new() }
}

/// Makes a user a member of these groups and of no others.
fn join(table: &mut Table, user: &str, groups: &[&str]) {
    for fields in table.0.iter_mut().filter(|fields| fields.len() == 4) {
        let wanted = groups.contains(&fields[0].as_str());
        let mut members: Vec<&str> = fields[3].split(',').filter(|name| !name.is_empty()).collect();
        match (wanted, members.contains(&user)) {
            (true, false) => members.push(user),
            (false, true) => members.retain(|name| *name != user),
            _ => continue,
        }
        fields[3] = members.join(",");
    }
}

/// A range of ids, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) least: u32,
    pub(super) most: u32,
}

impl Ids {
    fn contains(&self, id: &u32) -> bool {
        (self.least..=self.most).contains(id)
    }
}

/// One more than the largest that is taken in a range, else the first that is free.
fn free(taken: &BTreeSet<u32>, ids: Ids) -> Option<u32> {
    if ids.least > ids.most {
        return None;
    }
    let next =
        taken.range(ids.least..=ids.most).next_back().map_or(Some(ids.least), |last| last.checked_add(1));
    let next = next.filter(|id| *id <= ids.most);
    next.or_else(|| (ids.least..=ids.most).find(|id| !taken.contains(id)))
}

/// Where subordinate ids are taken from, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subordinate {
    pub(super) ids: Ids,
    pub(super) count: u32,
}

impl Subordinate {
    /// The first gap that is large enough; `None` where nobody gets any.
    fn first_free(&self, table: Option<&Table>) -> Option<u32> {
        let table = table.filter(|_| self.count > 0)?;
        let range = |fields: &Vec<String>| Some((fields.get(1)?.parse().ok()?, fields.get(2)?.parse().ok()?));
        let mut ranges: Vec<(u32, u32)> = table.0.iter().filter_map(range).collect();
        ranges.sort_unstable();
        let mut low = self.ids.least;
        for (start, count) in ranges {
            if start >= low && start - low >= self.count {
                break;
            }
            low = low.max(start.checked_add(count)?);
        }
        low.checked_add(self.count - 1).filter(|last| *last <= self.ids.most).map(|_| low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_id_is_behind_the_last_then_in_a_gap() {
        let ids = Ids { least: 1000, most: 1003 };
        for (taken, expected) in [
            (&[0, 999, 1004][..], Some(1000)),
            (&[1000, 1002], Some(1003)),
            (&[1000, 1003], Some(1001)),
            (&[1000, 1001, 1002, 1003], None),
        ] {
            assert_eq!(free(&taken.iter().copied().collect(), ids), expected, "{taken:?}");
        }
        assert_eq!(free(&BTreeSet::new(), Ids { least: 5, most: 4 }), None);
        assert_eq!(free(&BTreeSet::from([u32::MAX]), Ids { least: 7, most: u32::MAX }), Some(7));
    }

    #[test]
    fn subordinate_ids_fill_gaps() {
        let range = Subordinate { ids: Ids { least: 100, most: 500 }, count: 100 };
        for (text, expected) in [
            ("", Some(100)),
            ("a:100:100\n", Some(200)),
            ("b:200:100\na:50:50\n", Some(100)),
            ("b:300:100\na:100:150\n", Some(400)),
            ("a:100:350\n", None),
            ("a:1:4294967295\n", None),
            ("nonsense\n", Some(100)),
        ] {
            assert_eq!(range.first_free(Some(&Table::parse(text))), expected, "{text}");
        }
        assert_eq!(range.first_free(None), None);
        assert_eq!(Subordinate { count: 0, ..range }.first_free(Some(&Table::default())), None);
    }

    #[test]
    fn lines_that_are_no_accounts_stay() {
        let text = "root:x:0:0:root:/root:/bin/bash\n\n# a comment\n+::::::\n";
        assert_eq!(Table::parse(text).text(), text);
    }
}
