//! Which ways of making sandboxes a host has, found out by making one.

use super::session::{Log, SandboxError, Session};
use super::{Ids, Operation, OperationError, Sandbox};
use crate::lab::find_program;
use crate::root::tree;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A way to make sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A user namespace with a range of ids, and all other namespaces in it.
    Namespaces,
    /// The same, with bwrap for the programs.
    Bubblewrap,
    /// Real root, with namespaces.
    Root,
    /// Real root that may make no namespaces (in a container): a bare chroot.
    Chroot,
}

impl Mode {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Namespaces => "namespaces",
            Mode::Bubblewrap => "bwrap",
            Mode::Root => "root",
            Mode::Chroot => "chroot",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A mode that was tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Which.
    pub mode: Mode,
    /// Why it does not work.
    pub reason: String,
    /// What an administrator would change.
    pub mend: String,
}

/// What was found: the first that works, and why those before it do not.
#[derive(Clone, Debug)]
pub struct Found {
    /// The first that works.
    pub sandbox: Option<Sandbox>,
    /// Those that do not.
    pub tried: Vec<Tried>,
}

/// What is known of the host.
#[derive(Clone, Debug)]
pub struct Host<'a> {
    /// This program.
    pub program: &'a Path,
    /// The search path.
    pub path: &'a OsStr,
    /// A directory in which scratch directories may be made.
    pub scratch: &'a Path,
    /// The mode that was asked for.
    pub asked: Option<Mode>,
    /// Set by Ctrl-C.
    pub cancel: Arc<AtomicBool>,
}

impl Sandbox {
    /// Tries the modes that the caller's rights allow, in order of isolation: each makes a sandbox on an empty tree, in
    /// which files are given to other users and a program's root is entered.
    ///
    /// # Errors
    /// The scratch directory cannot be made.
    pub fn find(host: &Host<'_>) -> io::Result<Found> {
        let root = rustix::process::geteuid().is_root();
        let modes: &[Mode] = match (host.asked, root) {
            (Some(asked), _) => &[asked],
            (None, true) => &[Mode::Root, Mode::Namespaces, Mode::Chroot],
            (None, false) => &[Mode::Namespaces],
        };
        let mut tried = Vec::new();
        for &mode in modes {
            match host.try_mode(mode)? {
                Ok(sandbox) => return Ok(Found { sandbox: Some(sandbox), tried }),
                Err(reason) => {
                    let mend = mend(mode, &reason);
                    tried.push(Tried { mode, reason, mend });
                }
            }
        }
        Ok(Found { sandbox: None, tried })
    }
}

impl Host<'_> {
    /// The inner error is why it does not work.
    fn try_mode(&self, mode: Mode) -> io::Result<Result<Sandbox, String>> {
        let maps = matches!(mode, Mode::Namespaces | Mode::Bubblewrap);
        let ids = match maps.then(|| self.ids()).transpose() {
            Ok(ids) => ids,
            Err(reason) => return Ok(Err(reason)),
        };
        let bwrap = find_program("bwrap", self.path).filter(|_| mode == Mode::Bubblewrap);
        if mode == Mode::Bubblewrap && bwrap.is_none() {
            return Ok(Err("bwrap is not installed".to_owned()));
        }
        let program = self.program.to_owned();
        let sandbox = Sandbox { mode, program, ids, bwrap, proc: true, cancel: self.cancel.clone() };
        let with_proc = self.probe(&sandbox)?;
        if with_proc.is_ok() || mode != Mode::Root && mode != Mode::Namespaces {
            let proc = mode != Mode::Chroot;
            return Ok(with_proc.map(|()| Sandbox { proc, ..sandbox }));
        }
        let without = Sandbox { proc: false, ..sandbox };
        // The first reason is the better one: it is about more.
        Ok(match self.probe(&without)? {
            Ok(()) => Ok(without),
            Err(_) => with_proc.map(|()| without),
        })
    }

    /// Makes a sandbox on an empty tree and lets it do what trees need.
    fn probe(&self, sandbox: &Sandbox) -> io::Result<Result<(), String>> {
        let tree = self.scratch.join(format!("probe-{}", std::process::id()));
        fs_err::create_dir_all(&tree)?;
        let session = Session {
            tree: tree.clone(),
            operations: vec![Operation::Tree(tree::Step::Probe)],
            ..Session::default()
        };
        let done = sandbox.run(&session, &Log::default(), &mut |_| {});
        // Whatever the probe left is empty directories.
        let _ = fs_err::remove_dir_all(&tree);
        Ok(match done {
            Ok(_) => Ok(()),
            Err(SandboxError::Failed { error: OperationError::Host(message), .. }) => Err(message),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The ids that the caller may map; an error says what is missing.
    fn ids(&self) -> Result<Ids, String> {
        let find =
            |name: &str| find_program(name, self.path).ok_or_else(|| format!("{name} is not installed"));
        let (newuidmap, newgidmap) = (find("newuidmap")?, find("newgidmap")?);
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let name = user_name(uid);
        let range = |file: &str| {
            let text = fs_err::read_to_string(file).unwrap_or_default();
            subordinate(&text, name.as_deref(), uid).ok_or_else(|| {
                format!("{file} has no range of 65535 ids for {}", name.as_deref().unwrap_or("this user"))
            })
        };
        Ok(Ids {
            newuidmap,
            newgidmap,
            uid,
            gid,
            users: range("/etc/subuid")?,
            groups: range("/etc/subgid")?,
        })
    }
}

fn user_name(uid: u32) -> Option<String> {
    let users = fs_err::read_to_string("/etc/passwd").ok()?;
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let of_user = |fields: &Vec<&str>| fields.get(2).and_then(|id| id.parse().ok()) == Some(uid);
    lines.find(of_user).and_then(|fields| fields.first().map(|&name| name.to_owned()))
}

/// The first range of a user in `/etc/subuid` that is long enough (subuid(5)): ids 1 to 65535 are mapped.
fn subordinate(text: &str, name: Option<&str>, uid: u32) -> Option<(u32, u32)> {
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (who, start, count) = (fields.next()?, fields.next()?, fields.next()?);
        let of_user = Some(who) == name || who.parse() == Ok(uid);
        of_user.then_some((start.parse::<u32>().ok()?, count.parse::<u32>().ok()?))
    });
    ranges.into_iter().find(|&(_, count)| count >= 65535).map(|(start, count)| (start, count.min(65535)))
}

/// What an administrator would change; never done by us.
fn mend(mode: Mode, reason: &str) -> String {
    let restricted = fs_err::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
        .is_ok_and(|text| text.trim() == "1");
    let user = user_name(rustix::process::geteuid().as_raw()).unwrap_or_else(|| "USER".to_owned());
    match mode {
        Mode::Bubblewrap if reason.contains("not installed") => "install bubblewrap".to_owned(),
        _ if reason.contains("newuidmap is not") || reason.contains("newgidmap is not") => {
            "install uidmap (Debian, Ubuntu), shadow-utils (Fedora), shadow (SUSE, Arch)".to_owned()
        }
        _ if reason.contains("has no range") => {
            format!("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}")
        }
        Mode::Namespaces | Mode::Bubblewrap if restricted => {
            "Ubuntu's AppArmor forbids user namespaces to programs without a profile. As root: write a profile that says \
             `userns,` for this program, or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
                .to_owned()
        }
        Mode::Namespaces | Mode::Bubblewrap => {
            "user namespaces: sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone must not be 0; a \
             container needs a seccomp profile that allows unshare and mount"
                .to_owned()
        }
        Mode::Root => "a container needs CAP_SYS_ADMIN for it; diskwright does without".to_owned(),
        Mode::Chroot => "a container needs CAP_SYS_CHROOT, CAP_MKNOD, CAP_CHOWN (Docker's defaults have them)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::subordinate;

    #[test]
    fn the_first_range_that_is_long_enough() {
        let text = "alice:1000:100\nbob:100000:65536\nalice:200000:65535\n1001:300000:131072\n";
        assert_eq!(subordinate(text, Some("alice"), 1001), Some((200_000, 65535)));
        assert_eq!(subordinate(text, None, 1001), Some((300_000, 65535)));
        assert_eq!(subordinate(text, Some("carol"), 7), None);
        assert_eq!(subordinate("carol:x:y\n:::\ncarol", Some("carol"), 7), None);
    }
}
