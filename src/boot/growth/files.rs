//! What is laid over the tree so that a partition grows.
//!
//! ```text
//! /etc/repart.d/NN-NAME.conf                                      systemd-repart: one for each partition of the type
//! /etc/systemd/system/diskwright-grow.service                     the file system, and without systemd-repart the partition
//! /etc/systemd/system/sysinit.target.wants/diskwright-grow.service
//! /etc/systemd/system/sysinit.target.wants/systemd-repart.service where the distribution has not switched it on
//! /usr/lib/diskwright/grow                                        what the unit starts
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
    /// For systemd-repart (repart.d(5)), whose unit is switched on, and systemd-growfs behind it, where it is.
    pub(super) fn systemd(&self, repart: &str, growfs: &str) -> Files {
        let (mut files, own) = self.definitions();
        let definitions: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        // Without its definitions, systemd-repart does nothing at the next boot.
        let remove = self.is_once().then(|| format!("rm -f {}", definitions.join(" ")));
        files.push(self.wanted("systemd-repart.service", repart));
        let condition = remove.is_some().then_some(own.as_str());
        match (self.target.mountpoint, &remove) {
            (Some(mountpoint), _) => {
                let what = format!(
                    "Grows the file system at {mountpoint}, behind systemd-repart, which grows its partition."
                );
                files.push(self.script(
                    &what,
                    mountpoint,
                    "",
                    &format!("{growfs} \"$mount\""),
                    remove.as_deref(),
                ));
                files.extend(self.unit(SCRIPT, condition));
            }
            (None, Some(remove)) => files.extend(self.unit(&format!("/bin/{remove}"), condition)),
            (None, None) => {}
        }
        files
    }

    /// For a script that grows the partition with sfdisk, and its file system.
    pub(super) fn sfdisk(&self, mountpoint: &str, grower: &Grower) -> Files {
        let number = self.target.part.entry.as_ref().map_or(0, |entry| entry.number);
        let extended = if self.is_mbr() && number > PRIMARY { PRIMARY } else { 0 };
        let partition = include_str!("partition.sh")
            .replace("@MOST@", &self.growth.most.map_or(0, |most| most.0 / MIB).to_string())
            .replace("@ADDRESSED@", &self.addressed().to_string())
            .replace("@EXTENDED@", &extended.to_string());
        let step = match grower {
            Grower::Resize2fs => "resize2fs \"$device\"".to_owned(),
            Grower::Growfs(program) => format!("{program} \"$mount\""),
        };
        let what = format!(
            "Grows the partition that {mountpoint} is on, the last of its disk, and the file system in it."
        );
        let disable = self.growth.once.then(|| format!("rm -f {UNITS}/sysinit.target.wants/{UNIT}"));
        let mut files = vec![self.script(&what, mountpoint, partition.trim_end(), &step, disable.as_deref())];
        files.extend(self.unit(SCRIPT, None));
        files
    }

    /// `what` it does; how the partition grows, where it does that; how the file system does; what ends it for good.
    fn script(
        &self,
        what: &str,
        mountpoint: &str,
        partition: &str,
        filesystem: &str,
        once: Option<&str>,
    ) -> (String, Node) {
        let line = |text: &str| if text.is_empty() { String::new() } else { format!("{text}\n") };
        let text = include_str!("grow.sh")
            .replace("@WHAT@", &what.replace(['\n', '@'], "?"))
            .replace("@PARTITION@\n", &line(partition))
            .replace("@FILESYSTEM@", filesystem)
            .replace("@ONCE@\n", &line(once.unwrap_or("")))
            .replace("@MOUNT@", &quoted_for_shell(mountpoint));
        (SCRIPT.to_owned(), self.file(text, 0o755))
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
    fn unit(&self, command: &str, condition: Option<&str>) -> Files {
        let part = self.target.part.name();
        let mounted = self.target.mountpoint.filter(|path| *path != "/");
        let mounted = mounted.map(|path| format!("RequiresMountsFor={}\n", quoted_for_unit(path)));
        let condition = condition.map(|path| format!("ConditionPathExists={path}\n"));
        let text = format!(
            "# Laid into the image by diskwright (oem-resize).\n\
             [Unit]\nDescription=Grow {part} into the disk\nDefaultDependencies=no\n{}{}\
             After=systemd-repart.service systemd-remount-fs.service\n\
             Before=sysinit.target shutdown.target\nConflicts=shutdown.target\n\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={command}\n\
             StandardOutput=journal+console\nStandardError=journal\n\n\
             [Install]\nWantedBy=sysinit.target\n",
            mounted.unwrap_or_default(),
            condition.unwrap_or_default(),
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
