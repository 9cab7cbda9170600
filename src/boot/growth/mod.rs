//! Growth at the first boot (`oem-resize`): the last partition of the disk, which is the root or a spare partition behind
//! it, and the file system in it. Which of these ways is taken, the tree decides:
//!
//! | way | it is in the tree | who acts |
//! |---|---|---|
//! | KIWI's | the dracut module `kiwi-repart`, in its directory and in the initrd that starts | the initrd |
//! | systemd's | systemd-repart and systemd-growfs; the disk has a GPT | the system, early |
//! | a script | systemd, sfdisk, partx; resize2fs or systemd-growfs | the system, early |
//!
//! What none of them can do is said, and refused where the description asks for it in so many words. As in KIWI, it grows
//! whenever the disk is longer than before, unless `oem-resize-once` is set; `oem-systemsize` is its limit.
//!
//! growpart is not used, since it needs sfdisk itself; nor parted, which asks back before it touches what is mounted.

mod files;
mod initrd;
mod kiwi;

use super::file_at;
use crate::compose::unwritten;
use crate::model::{Growth, Table};
use crate::plan::{DiskPlan, Part, Plan, ROOT};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::Contents;
use diskwright_fstools::tree::{Node, Tree};
use files::Laid;
use kiwi::{Kiwi, kiwi};
use serde::Serialize;
use std::fmt;

/// Directories that have programs.
const PROGRAMS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Directories of systemd, of its units and of dracut's modules.
const LIBRARIES: [&str; 2] = ["/usr/lib", "/lib"];
/// File systems that grow while they are mounted.
const GROWING: [&str; 3] = ["ext2", "ext3", "ext4"];
/// What would help where nothing in the tree makes a partition grow.
const NO_GPT: &str = "install fdisk (Debian and Ubuntu; elsewhere util-linux) for sfdisk";
const GPT: &str = "install systemd-repart (Debian 13 and later; Fedora: systemd-udev; SUSE: systemd-experimental) or fdisk \
                   (Debian and Ubuntu; elsewhere util-linux) for sfdisk";
const OFF: &str = "or say <oem-resize>false</oem-resize> in oemconfig";

/// Who makes a partition grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// KIWI's module in the initrd.
    Kiwi,
    /// systemd-repart, and systemd-growfs behind it.
    Systemd,
    /// A unit and a script, which were laid into the tree, and sfdisk.
    Unit,
}

/// That a partition grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grows {
    /// Its name.
    pub partition: String,
    /// Who makes it grow.
    pub way: Way,
    /// Whether at the first boot alone.
    pub once: bool,
    /// The longest that it becomes, in bytes.
    pub most: Option<u64>,
}

/// `p.lxroot grows at the first boot: systemd-repart and systemd-growfs of the tree`
impl fmt::Display for Grows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.way {
            Way::Kiwi => "kiwi-repart in the initrd",
            Way::Systemd => "systemd-repart and systemd-growfs of the tree",
            Way::Unit => "a unit of ours, with sfdisk of the tree",
        };
        let when = if self.once { "at the first boot alone" } else { "at the first boot" };
        write!(f, "{} grows {when}: {who}", self.partition)?;
        self.most.map_or(Ok(()), |most| write!(f, ", to {} at most", crate::model::Bytes(most)))
    }
}

/// What growth adds.
#[derive(Clone, Debug, Default)]
pub struct Growing {
    /// What grows; `None`: nothing.
    pub grows: Option<Grows>,
    /// Absolute path in the tree, and what lies there.
    pub files: Vec<(String, Node)>,
    /// What to know of it, for people.
    pub notes: Vec<String>,
}

/// The last partition, and where its file system is mounted, if it has one that is.
struct Target<'a> {
    part: &'a Part,
    mountpoint: Option<&'a str>,
}

/// Who makes a mounted file system grow.
enum Grower {
    Resize2fs,
    /// systemd-growfs, and where it is.
    Growfs(String),
}

/// How the disk of a plan grows. Of `contents`, the initrd alone is read, and only where the tree has KIWI's module. Refused:
/// what the description asks for itself and nothing in the tree does.
pub fn growth(plan: &Plan, tree: &Tree, contents: &dyn Contents) -> Result<Growing, Refusal> {
    let (Some(disk), Some(part)) = (&plan.disk, plan.parts.last()) else { return Ok(Growing::default()) };
    // What cannot be written yet grows nowhere.
    if unwritten(plan).is_some() || part.entry.is_none() {
        return Ok(Growing::default());
    }
    let Some(growth) = disk.growth else {
        // Where KIWI's module is in the initrd all the same, it gets to know that.
        let Kiwi { files, notes, .. } = kiwi(plan, disk, None, tree, contents);
        return Ok(Growing { grows: None, files, notes });
    };
    let asking = Asking { plan, disk, growth, tree, contents };
    let mut growing = asking.growing(part).or_else(|cannot| match growth.asked {
        false => {
            let Refusal { reason, hint, .. } = cannot;
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            Ok(Growing { notes: vec![format!("{reason}{hint}")], ..Growing::default() })
        }
        true => Err(cannot),
    })?;
    if growing.grows.is_some() && part.role != ROOT {
        growing
            .notes
            .push(format!("the disk ends with {}: that grows, as in KIWI, and not the root", part.name()));
    }
    if growing.grows.is_some() && disk.unpartitioned.0 > 0 {
        let room = disk.unpartitioned;
        growing.notes.push(format!(
            "{} grows into the {room} that are to stay unpartitioned, as in KIWI",
            part.name()
        ));
    }
    Ok(growing)
}

struct Asking<'a> {
    plan: &'a Plan,
    disk: &'a DiskPlan,
    growth: Growth,
    tree: &'a Tree,
    contents: &'a dyn Contents,
}

impl Asking<'_> {
    /// Refused: what cannot grow.
    fn growing(&self, part: &Part) -> Result<Growing, Refusal> {
        let Kiwi { acts, mut files, notes } = self.kiwi(Some(self.growth));
        if acts {
            return Ok(self.by_kiwi(part, files, notes));
        }
        let target = self.target(part)?;
        if !self.has_systemd() {
            return Err(cannot(part, "no systemd in the tree starts what would do it, or no shell", ""));
        }
        let laid = Laid { plan: self.plan, disk: self.disk, growth: self.growth, target: &target };
        let growfs = self.in_library("systemd/systemd-growfs");
        let (way, once) = match (self.repart(), &growfs, target.mountpoint) {
            (Some(repart), Some(growfs), _) => {
                files.extend(laid.systemd(&repart, growfs));
                (Way::Systemd, laid.is_once())
            }
            (Some(repart), None, None) => {
                files.extend(laid.systemd(&repart, ""));
                (Way::Systemd, laid.is_once())
            }
            (_, _, Some(mountpoint)) => {
                files.extend(laid.sfdisk(mountpoint, &self.grower(part, growfs)?));
                (Way::Unit, self.growth.once)
            }
            (None, _, None) => {
                return Err(cannot(
                    part,
                    "it is mounted nowhere, and only systemd-repart would do it then",
                    "",
                ));
            }
        };
        Ok(Growing { grows: Some(self.grows(part, way, once)), files, notes })
    }

    /// The unit of systemd-repart, where that does it: it knows GPTs alone.
    fn repart(&self) -> Option<String> {
        let does = matches!(self.disk.table, Table::Gpt { .. }) && self.program("systemd-repart");
        self.in_library("systemd/system/systemd-repart.service").filter(|_| does)
    }

    fn kiwi(&self, growth: Option<Growth>) -> Kiwi {
        kiwi(self.plan, self.disk, growth, self.tree, self.contents)
    }

    fn by_kiwi(&self, part: &Part, files: Vec<(String, Node)>, mut notes: Vec<String>) -> Growing {
        let is_gpt = matches!(self.disk.table, Table::Gpt { .. });
        let line = self.plan.command_line.as_deref().unwrap_or("");
        if is_gpt && line.split_whitespace().any(|word| word.starts_with("root=PARTUUID=")) {
            notes.push(format!(
                "kiwi-repart gives {} another PARTUUID, by which the second boot will not find its root (devicepersistency)",
                part.name()
            ));
        }
        // In an MBR, what it recognises a new partition by stays the same.
        let once = self.growth.once && is_gpt;
        Growing { grows: Some(self.grows(part, Way::Kiwi, once)), files, notes }
    }

    fn grows(&self, part: &Part, way: Way, once: bool) -> Grows {
        let most = self.growth.most.map(|most| most.0);
        Grows { partition: part.name().to_owned(), way, once, most }
    }

    /// What is in the last partition. Refused: what does not grow.
    fn target<'a>(&self, part: &'a Part) -> Result<Target<'a>, Refusal> {
        let Some(filesystem) = &part.filesystem else { return Ok(Target { part, mountpoint: None }) };
        let kind = filesystem.kind();
        if !GROWING.contains(&kind.as_str()) {
            return Err(cannot(part, &format!("a file system of type {kind} does not grow"), ""));
        }
        let mountpoint = filesystem.mountpoint.as_deref();
        let line = self.disk.fstab.iter().find(|line| Some(line.mountpoint.as_str()) == mountpoint);
        if line.is_some_and(|line| line.options.split(',').any(|option| option == "ro")) {
            return Err(cannot(part, "it is mounted read-only", ""));
        }
        Ok(Target { part, mountpoint })
    }

    /// Who makes the file system grow when the script has made the partition do so. Refused: what the script lacks.
    fn grower(&self, part: &Part, growfs: Option<String>) -> Result<Grower, Refusal> {
        if !self.program("sfdisk") || !self.program("partx") {
            let gpt = matches!(self.disk.table, Table::Gpt { .. });
            let lacking = if gpt { "systemd-repart nor sfdisk" } else { "kiwi-repart nor sfdisk" };
            let hint = if gpt { GPT } else { NO_GPT };
            return Err(cannot(part, &format!("the tree has neither {lacking}"), hint));
        }
        match (self.program("resize2fs"), growfs) {
            (true, _) => Ok(Grower::Resize2fs),
            (false, Some(program)) => Ok(Grower::Growfs(program)),
            (false, None) => {
                Err(cannot(part, "the tree has neither resize2fs nor systemd-growfs", "install e2fsprogs"))
            }
        }
    }

    fn has_systemd(&self) -> bool {
        self.in_library("systemd/systemd").is_some() && self.program("sh")
    }

    fn program(&self, name: &str) -> bool {
        PROGRAMS
            .iter()
            .any(|directory| file_at(self.tree, format!("{directory}/{name}").as_bytes()).is_some())
    }

    /// The path of a file below a directory of libraries.
    fn in_library(&self, path: &str) -> Option<String> {
        let paths = LIBRARIES.iter().map(|directory| format!("{directory}/{path}"));
        paths.into_iter().find(|path| file_at(self.tree, path.as_bytes()).is_some())
    }
}

fn cannot(part: &Part, why: &str, hint: &str) -> Refusal {
    let reason = format!("{} does not grow at the first boot: {why}", part.name());
    let hint = if hint.is_empty() { OFF[3..].to_owned() } else { format!("{hint}, {OFF}") };
    Refusal::new(RefusalKind::Missing, Spot::new("oem-resize", ""), reason).hint(hint)
}
