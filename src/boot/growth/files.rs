//! What is laid over the tree so that a partition grows.
//!
//! ```text
//! /etc/repart.d/NN-NAME.conf                                      systemd-repart: one for each partition of the type
//! /etc/systemd/system/diskwright-grow.service                     the file system, and with the script the partition
//! /etc/systemd/system/sysinit.target.wants/diskwright-grow.service
//! /etc/systemd/system/sysinit.target.wants/systemd-repart.service where the distribution has not switched it on
//! /usr/lib/diskwright/grow                                        the script, where there is no systemd-repart
//! ```

use super::{Grower, Target};
use crate::model::{Growth, MIB, Table};
use crate::plan::{DiskPlan, Part, Plan};
use diskwright_fstools::tree::{Kind, Meta, Node, Time};

/// Our unit.
const UNIT: &str = "diskwright-grow.service";
const UNITS: &str = "/etc/systemd/system";
const SCRIPT: &str = "/usr/lib/diskwright/grow";
const DEFINITIONS: &str = "/etc/repart.d";
/// Primary partitions of an MBR; the last of them is the extended one, where there are logical ones.
const PRIMARY: u32 = 4;
/// Sectors that an MBR counts.
const MBR_SECTORS: u64 = u32::MAX as u64;

type Files = Vec<(String, Node)>;

/// Who lays files, and for what.
pub(super) struct Laid<'a> {
    pub(super) plan: &'a Plan,
    pub(super) disk: &'a DiskPlan,
    pub(super) growth: Growth,
    pub(super) target: &'a Target<'a>,
}

impl Laid<'_> {
    /// For systemd-repart (repart.d(5)) and systemd-growfs. `repart`: its unit, which is switched on; `growfs`: the program.
    pub(super) fn systemd(&self, repart: &str, growfs: &str) -> Files {
        let (mut files, own) = self.definitions();
        files.push(self.wanted("systemd-repart.service", repart));
        let mut steps = Vec::new();
        if let Some(mountpoint) = self.target.mountpoint {
            steps.push(format!("{growfs} {}", quoted_for_unit(mountpoint)));
        }
        // Without its definitions, systemd-repart does nothing at the next boot.
        let once = self.is_once();
        if once {
            let all: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
            let definitions = all.into_iter().filter(|path| path.starts_with(DEFINITIONS));
            steps.push(format!("/bin/rm -f {}", definitions.collect::<Vec<_>>().join(" ")));
        }
        if !steps.is_empty() {
            files.extend(self.unit(&steps, once.then_some(own.as_str())));
        }
        files
    }

    /// For a script that does it with sfdisk, and with a step of the file system's.
    pub(super) fn script(&self, grower: &Grower) -> Files {
        let Target { part, mountpoint, .. } = self.target;
        let number = part.entry.as_ref().map_or(0, |entry| entry.number);
        let extended = if self.is_mbr() && number > PRIMARY { PRIMARY } else { 0 };
        let mountpoint = mountpoint.unwrap_or("/");
        let step = match grower {
            Grower::Resize2fs => "resize2fs \"$device\"".to_owned(),
            Grower::Growfs(program) => format!("{program} \"$mount\""),
        };
        let once = if self.growth.once {
            format!("rm -f {UNITS}/sysinit.target.wants/{UNIT}")
        } else {
            String::new()
        };
        let most = self.growth.most.map_or(0, |most| most.0 / MIB);
        let text = include_str!("grow.sh")
            .replace("@MOUNT@", &quoted_for_shell(mountpoint))
            .replace("@MOST@", &most.to_string())
            .replace("@ADDRESSED@", &self.addressed().to_string())
            .replace("@EXTENDED@", &extended.to_string())
            .replace("@FILESYSTEM@", &step)
            .replace("@ONCE@\n", &(once + "\n"));
        let mut files = vec![(SCRIPT.to_owned(), self.file(text.trim_end().to_owned() + "\n", 0o755))];
        files.extend(self.unit(&[SCRIPT.to_owned()], None));
        files
    }

    /// Whether it grows at the first boot alone. By type, systemd-repart tells apart only partitions that are all there:
    /// of a type that several have, it would make those anew that somebody removes later.
    pub(super) fn is_once(&self) -> bool {
        self.growth.once || self.in_front().next().is_some()
    }

    /// Partitions of the same type with a lower number.
    fn in_front(&self) -> impl Iterator<Item = &Part> {
        let of = |part: &Part| Some((part.entry.as_ref()?.guids()?.0, part.entry.as_ref()?.number));
        let own = of(self.target.part);
        let mut parts: Vec<&Part> = self
            .plan
            .parts
            .iter()
            .filter(|part| of(part).zip(own).is_some_and(|(one, own)| one.0 == own.0 && one.1 < own.1))
            .collect();
        parts.sort_by_key(|part| part.entry.as_ref().map(|entry| entry.number));
        parts.into_iter()
    }

    /// A definition for each partition of the type, in the order of their numbers, in which systemd-repart finds them; and
    /// the path of that which grows.
    fn definitions(&self) -> (Files, String) {
        let mut files = Files::new();
        let mut own = String::new();
        for (at, part) in self.in_front().chain([self.target.part]).enumerate() {
            let Some((type_guid, _)) = part.entry.as_ref().and_then(|entry| entry.guids()) else { continue };
            let grows = part.role == self.target.part.role;
            let limit = match (grows, self.growth.most) {
                (false, _) => "Weight=0\n".to_owned(),
                (true, Some(most)) => format!("SizeMaxBytes={}\n", most.0),
                (true, None) => String::new(),
            };
            let what = if grows { "grows into the disk" } else { "stays as it is" };
            let text =
                format!("# {} {what} (oem-resize).\n[Partition]\nType={type_guid}\n{limit}", part.name());
            let name: String =
                part.role.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            own = format!("{DEFINITIONS}/{:02}-{name}.conf", 50 + at.min(40));
            files.push((own.clone(), self.file(text, 0o644)));
        }
        (files, own)
    }

    /// Our unit, switched on. `condition`: a path without which there is nothing to do.
    fn unit(&self, steps: &[String], condition: Option<&str>) -> Files {
        let part = self.target.part.name();
        let mounted = self.target.mountpoint.filter(|path| *path != "/");
        let mounted = mounted.map(|path| format!("RequiresMountsFor={}\n", quoted_for_unit(path)));
        let condition = condition.map(|path| format!("ConditionPathExists={path}\n"));
        let commands: String = steps.iter().map(|step| format!("ExecStart={step}\n")).collect();
        let text = format!(
            "# Laid into the image by diskwright (oem-resize).\n\
             [Unit]\nDescription=Grow {part} into the disk\nDefaultDependencies=no\n{}{}\
             After=systemd-repart.service systemd-remount-fs.service\n\
             Before=sysinit.target shutdown.target\nConflicts=shutdown.target\n\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\n{commands}StandardOutput=journal+console\n\
             StandardError={}\n\n\
             [Install]\nWantedBy=sysinit.target\n",
            mounted.unwrap_or_default(),
            condition.unwrap_or_default(),
            // systemd-growfs says there what it did, other programs much more.
            if steps.iter().any(|step| step == SCRIPT) { "journal" } else { "journal+console" },
        );
        let path = format!("{UNITS}/{UNIT}");
        vec![(path.clone(), self.file(text, 0o644)), self.wanted(UNIT, &path)]
    }

    /// The link that switches a unit on.
    fn wanted(&self, name: &str, unit: &str) -> (String, Node) {
        let meta = Meta::of_root(0o777, Time::seconds(self.plan.epoch));
        let link = Node { meta, kind: Kind::Symlink(unit.as_bytes().into()) };
        (format!("{UNITS}/sysinit.target.wants/{name}"), link)
    }

    fn file(&self, text: String, mode: u16) -> Node {
        Node {
            meta: Meta::of_root(mode, Time::seconds(self.plan.epoch)),
            kind: Kind::file(text.into_bytes()),
        }
    }

    fn is_mbr(&self) -> bool {
        matches!(self.disk.table, Table::Mbr { .. })
    }

    /// MiB of a disk that its table reaches.
    fn addressed(&self) -> u64 {
        match self.is_mbr() {
            true => MBR_SECTORS * u64::from(self.disk.sector_size.bytes()) / MIB,
            // What a shell still counts in sectors of 512 bytes.
            false => (1 << 62) / MIB,
        }
    }
}

/// A path as one word of a shell.
fn quoted_for_shell(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// A path as one word of a unit file (systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers").
fn quoted_for_unit(path: &str) -> String {
    let path = path.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if path.contains(char::is_whitespace) || path.contains('"') { format!("\"{path}\"") } else { path }
}
