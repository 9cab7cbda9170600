//! Volumes and partitions with what KIWI takes where nothing is said (KIWI NG 10.3.9 `xml_state.py: get_volumes,
//! get_partitions`).

use crate::model::elements::{Partition, Partitions, Volume, is_set, text, value};
use crate::model::lexical::{Mebibytes, PartitionSize, VolumeSize};
use crate::model::words::{PartitionType, RootFilesystem};
use crate::model::{DescribedPartition, Room, SystemVolume, least_volume};

/// A volume as it is written; `None` without a name.
pub(super) fn volume(said: &Volume, filesystem: Option<RootFilesystem>) -> Option<SystemVolume> {
    let written = text(&said.name)?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let (name, mountpoint, realpath) = match (written.strip_prefix("@root"), text(&said.mountpoint)) {
        (Some(rest), _) => {
            (rest.strip_prefix('=').filter(|name| !name.is_empty()).unwrap_or("LVRoot").to_owned(), None, "/")
        }
        (None, Some(mountpoint)) => (written.to_owned(), Some(mountpoint), mountpoint),
        (None, None) => (written.trim_start_matches('/').replace('/', "_"), Some(written), written),
    };
    let size = match (value(&said.size), value(&said.freespace)) {
        (Some(VolumeSize::All), _) | (None, Some(VolumeSize::All)) => None,
        (Some(VolumeSize::Exact(size)), _) => Some(Room::Size(size)),
        (None, Some(VolumeSize::Exact(size))) => Some(Room::Freespace(size)),
        (None, None) => Some(Room::Freespace(least_volume(filesystem))),
    };
    let quota = said.quota.as_ref().map(|quota| format!("quota={}", quota.text));
    let no_cow = (value(&said.copy_on_write) == Some(false)).then(|| "no-copy-on-write".to_owned());
    let check = is_set(&said.filesystem_check).then(|| "enable-for-filesystem-check".to_owned());
    Some(SystemVolume {
        name,
        is_root_volume: realpath == "/" && mountpoint.is_none(),
        mountpoint: owned(mountpoint),
        realpath: realpath.to_owned(),
        fullsize: size.is_none(),
        size,
        parent: owned(text(&said.parent)).unwrap_or_default(),
        label: owned(text(&said.label)),
        attributes: [quota, no_cow, check].into_iter().flatten().collect(),
    })
}

/// Partitions, of which one of a name counts, in the place of the first: the last.
pub(super) fn described(said: &Partitions) -> Vec<DescribedPartition> {
    let mut partitions: Vec<DescribedPartition> = Vec::new();
    // No table holds more.
    for partition in said.partition.iter().take(128).filter_map(partition) {
        match partitions.iter_mut().find(|one| one.name == partition.name) {
            Some(there) => *there = partition,
            None => partitions.push(partition),
        }
    }
    partitions
}

fn partition(said: &Partition) -> Option<DescribedPartition> {
    let name = said.name.as_ref()?;
    let table_name = said.partition_name.as_ref().map(|said| said.value.as_str().to_owned());
    Some(DescribedPartition {
        mbsize: value(&said.size).unwrap_or(PartitionSize(Mebibytes(0))),
        partition_name: table_name.unwrap_or_else(|| format!("p.lx{}", name.value)),
        partition_type: value(&said.partition_type).unwrap_or(PartitionType::Linux),
        partition_id: value(&said.part_id),
        mountpoint: text(&said.mountpoint).map(str::to_owned),
        filesystem: value(&said.filesystem),
        label: text(&said.label).unwrap_or_default().to_owned(),
        clone: value(&said.clone).map_or(0, |clone| clone.0),
        name: name.value.clone(),
        span: name.span.clone(),
    })
}
