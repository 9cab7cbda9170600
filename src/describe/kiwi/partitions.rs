//! `partitions` elements.

use super::read::{Reader, short};
use super::types::{check_filesystem, chosen_number, label_options, table_number};
use crate::model::elements::{self, Said, value};
use crate::model::lexical::PartitionSize;
use crate::model::words::PartitionType;
use crate::model::{Bytes, Contents, MIB, Mkfs, Partition, PartitionKind, Rule};
use diskwright_fstools::registry::find;

/// Entries of a partition table.
const MOST_PARTITIONS: usize = 128;

pub(super) fn partitions(reader: &mut Reader, all: &elements::Partitions) -> Vec<Partition> {
    let mut partitions: Vec<Partition> = Vec::new();
    for (at, said) in all.partition.iter().enumerate() {
        if at == MOST_PARTITIONS {
            let message = format!("more than {MOST_PARTITIONS} partitions, which no table holds");
            reader.error("too-large", said.span.clone(), message);
            break;
        }
        let Some(partition) = partition(reader, said) else { continue };
        let name = &partition.role;
        let mountpoint = partition.contents.mountpoint();
        if partitions.iter().any(|other| other.role == *name) {
            reader.error("duplicate", said.span.clone(), format!("a second partition of this name: {name}"));
        } else if let Some(path) =
            mountpoint.filter(|path| partitions.iter().any(|one| one.contents.mountpoint() == Some(path)))
        {
            reader.error(
                "duplicate",
                said.span.clone(),
                format!("a second partition at this mount point: {path}"),
            );
        }
        partitions.push(partition);
    }
    partitions
}

fn partition(reader: &mut Reader, said: &elements::Partition) -> Option<Partition> {
    let name = partition_name(reader, said);
    let table_name = said.partition_name.as_ref().map(|name| name.value.as_str().to_owned());
    let clones = table_number(reader, "clone", &said.clone).unwrap_or(0);
    let number = chosen_number(reader, "part_id", &said.part_id);
    let kind = match value(&said.partition_type) {
        Some(PartitionType::Raid) => PartitionKind::Raid,
        Some(PartitionType::Linux) | None => PartitionKind::Linux,
    };
    let size = partition_size(reader, "size", &said.size);
    let contents = contents(reader, said, name.as_deref().unwrap_or(""));
    let role = name?;
    Some(Partition {
        name: table_name.unwrap_or_else(|| format!("p.lx{role}")),
        kind,
        type_guid: None,
        number,
        clones,
        size: Rule::Exact(size.filter(|size| size.0 > 0)?),
        knob: format!("size=\"{{}}\" of partition {role}"),
        layers: Vec::new(),
        contents: contents?,
        role,
    })
}

fn partition_name(reader: &mut Reader, said: &elements::Partition) -> Option<String> {
    let Said { value: name, span, .. } = said.name.as_ref()?;
    let good = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    // `p.lx` and the name must fit into the 36 characters of a table entry.
    if !name.chars().all(good) || name.len() > 32 {
        let message = format!("no partition name: {}", short(name));
        let hint = "1 to 32 letters, digits, `_`, `-`, `.` or `/`";
        reader.error_with("bad-value", span.clone(), message, hint);
        return None;
    }
    Some(name.clone())
}

/// In bytes; what is no size was said by the schema.
pub(super) fn partition_size(
    reader: &mut Reader,
    name: &str,
    said: &Option<Said<PartitionSize>>,
) -> Option<Bytes> {
    let Said { value: PartitionSize(size), text, whole, .. } = said.as_ref()?;
    let size = size.0.checked_mul(MIB).filter(|&size| size < 1 << 60);
    // A spare partition of no bytes is none.
    if size.is_none() || (size == Some(0) && name == "size") {
        let message = format!("{name} is nothing, or more than 2^60 bytes: {}", short(text));
        reader.error("bad-value", whole.clone(), message);
    }
    size.map(Bytes)
}

fn contents(reader: &mut Reader, said: &elements::Partition, name: &str) -> Option<Contents> {
    let mountpoint = match &said.mountpoint {
        None => None,
        some => Some(mount_point(reader, some)?),
    };
    let Some(filesystem) = &said.filesystem else {
        if said.refused.iter().any(|one| one.path == "@filesystem") {
            return None;
        }
        if let (Some(path), Some(Said { span, .. })) = (&mountpoint, &said.mountpoint) {
            let message = format!("a mount point without a file system: {path}");
            reader.error_with("missing-attribute", span.clone(), message, "add filesystem=\"ext4\"");
            return None;
        }
        return Some(Contents::Blank);
    };
    let label = reader.line("label", &said.label).map_or_else(|| name.to_uppercase(), str::to_owned);
    let kind = filesystem.value.name();
    let format = Mkfs { options: mkfs_options(kind, &label), name: kind.to_owned() };
    if find(kind).is_some() {
        let span = said.label.as_ref().map_or(&filesystem.span, |label| &label.span);
        check_filesystem(reader, span, kind, format.options.clone());
    }
    Some(match mountpoint {
        None => Contents::Empty(format),
        Some(mountpoint) => Contents::Mounted { format, mountpoint, options: "defaults".to_owned() },
    })
}

/// `fat16` and `fat32` say how many bits an entry of the table has.
pub(crate) fn mkfs_options(filesystem: &str, label: &str) -> Vec<String> {
    let bits = filesystem.strip_prefix("fat").map(|bits| ["-F".to_owned(), bits.to_owned()]);
    bits.into_iter().flatten().chain(label_options(filesystem, label)).collect()
}

/// An absolute path that is not the root, without `.`, `..`, empty parts and a slash at its end.
pub(super) fn mount_point(reader: &mut Reader, said: &Option<Said<String>>) -> Option<String> {
    let Said { value, span, .. } = said.as_ref()?;
    let parts: Vec<&str> = value.split('/').filter(|part| !part.is_empty()).collect();
    let path = format!("/{}", parts.join("/"));
    let wrong = match path.as_str() {
        _ if !value.starts_with('/') => Some("it does not start with /"),
        "/" => Some("the root is the last partition"),
        "/boot/efi" => Some("the EFI system partition is mounted there"),
        _ if parts.iter().any(|part| [".", ".."].contains(part)) => Some("`.` and `..` are not allowed"),
        _ if value.chars().any(char::is_control) => Some("control characters are not allowed"),
        _ => None,
    };
    if let Some(why) = wrong {
        let span = span.clone();
        reader.error("bad-value", span, format!("a mount point that cannot be: {}: {why}", short(value)));
        return None;
    }
    Some(path)
}
