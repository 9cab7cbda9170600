//! `systemdisk` as volumes (KIWI NG 10.3.9 `xml_state.py: get_volumes`).

use super::element::Element;
use super::read::list;
use crate::model::{DescribedPartition, DescribedVolume, SystemVolume};

/// The volumes that are written down, each with the machines that it is for.
pub(super) fn volumes(kind: &Element) -> Vec<DescribedVolume> {
    let filesystem = kind.attribute("filesystem").unwrap_or("").trim();
    let volumes = kind.named("systemdisk").flat_map(|disk| disk.named("volume"));
    let volume = |node: &Element| {
        Some(DescribedVolume {
            volume: volume(node, filesystem)?,
            arch: list(node.attribute("arch")),
            span: node.span.clone(),
        })
    };
    volumes.filter_map(volume).collect()
}

fn volume(node: &Element, filesystem: &str) -> Option<SystemVolume> {
    let written = node.attribute("name")?.trim();
    let text = |name: &str| node.attribute(name).map(|value| value.trim().to_owned());
    let (name, mountpoint, realpath) = match written.strip_prefix("@root") {
        Some(rest) => (
            rest.strip_prefix('=').filter(|name| !name.is_empty()).unwrap_or("LVRoot").to_owned(),
            None,
            "/".to_owned(),
        ),
        None => match text("mountpoint") {
            Some(mountpoint) => (written.to_owned(), Some(mountpoint.clone()), mountpoint),
            None => (
                written.trim_start_matches('/').replace('/', "_"),
                Some(written.to_owned()),
                written.to_owned(),
            ),
        },
    };
    let size = match (text("size"), text("freespace")) {
        (Some(size), _) => format!("size:{}", mebibytes(&size)),
        (None, Some(size)) => format!("freespace:{}", mebibytes(&size)),
        (None, None) => format!("freespace:{}", least(filesystem)),
    };
    let fullsize = size.ends_with(":all");
    let quota = text("quota").map(|quota| format!("quota={quota}"));
    let no_cow = (node.boolean("copy_on_write") == Some(false)).then(|| "no-copy-on-write".to_owned());
    let check =
        (node.boolean("filesystem_check") == Some(true)).then(|| "enable-for-filesystem-check".to_owned());
    Some(SystemVolume {
        name,
        is_root_volume: realpath == "/" && mountpoint.is_none(),
        mountpoint,
        realpath,
        size: Some(size).filter(|_| !fullsize),
        fullsize,
        parent: text("parent").unwrap_or_default(),
        label: text("label"),
        attributes: [quota, no_cow, check].into_iter().flatten().collect(),
    })
}

/// `5G` is 5120, `all` is `all`.
pub(super) fn mebibytes(size: &str) -> String {
    match size.strip_suffix('G').map(str::parse::<u64>) {
        Some(Ok(number)) => number.saturating_mul(1024).to_string(),
        _ => size.strip_suffix('M').unwrap_or(size).to_owned(),
    }
}

/// The smallest volume of a file system in MiB.
pub(crate) fn least(filesystem: &str) -> u64 {
    match filesystem {
        "btrfs" => 120,
        "xfs" => 300,
        _ => 30,
    }
}

/// `partitions/partition` as they are written, of which one of a name counts, in the place of the first: the last.
pub(super) fn described_partitions(kind: &Element) -> Vec<DescribedPartition> {
    let mut partitions: Vec<DescribedPartition> = Vec::new();
    // No table holds more.
    for node in kind.named("partitions").flat_map(|one| one.named("partition")).take(128) {
        let text = |name: &str| node.attribute(name).map(|value| value.trim().to_owned());
        let Some(name) = text("name") else { continue };
        let partition = DescribedPartition {
            mbsize: mebibytes(&text("size").unwrap_or_default()),
            partition_name: text("partition_name").unwrap_or_else(|| format!("p.lx{name}")),
            partition_type: text("partition_type").unwrap_or_else(|| "t.linux".to_owned()),
            partition_id: text("part_id"),
            mountpoint: text("mountpoint"),
            filesystem: text("filesystem"),
            label: text("label").unwrap_or_default(),
            clone: node.number("clone").unwrap_or(0),
            name,
        };
        match partitions.iter_mut().find(|one| one.name == partition.name) {
            Some(there) => *there = partition,
            None => partitions.push(partition),
        }
    }
    partitions
}
