//! `partitions` elements.

use super::element::{Attribute, Element};
use super::read::{Reader, elements, short};
use super::types::{check_filesystem, chosen_number, label_options, table_number};
use crate::model::{Bytes, Contents, MIB, Mkfs, Partition, PartitionKind, Rule};
use diskwright_fstools::registry::find;

/// Entries of a partition table.
const MOST_PARTITIONS: usize = 128;

pub(super) fn partitions(reader: &mut Reader, node: &Element) -> Vec<Partition> {
    let Some(element) = node.child("partitions") else { return Vec::new() };
    let mut partitions: Vec<Partition> = Vec::new();
    for (at, node) in elements(element).enumerate() {
        if at == MOST_PARTITIONS {
            let message = format!("more than {MOST_PARTITIONS} partitions, which no table holds");
            reader.error("too-large", node.span.clone(), message);
            break;
        }
        let Some(partition) = partition(reader, node) else { continue };
        let name = &partition.role;
        let mountpoint = partition.contents.mountpoint();
        if partitions.iter().any(|other| other.role == *name) {
            reader.error("duplicate", node.span.clone(), format!("a second partition of this name: {name}"));
        } else if let Some(path) =
            mountpoint.filter(|path| partitions.iter().any(|one| one.contents.mountpoint() == Some(path)))
        {
            reader.error(
                "duplicate",
                node.span.clone(),
                format!("a second partition at this mount point: {path}"),
            );
        }
        partitions.push(partition);
    }
    partitions
}

fn partition(reader: &mut Reader, node: &Element) -> Option<Partition> {
    let name = partition_name(reader, node);
    let table_name = node.attribute("partition_name").map(|name| name.trim().to_owned());
    let clones = table_number(reader, node, "clone").unwrap_or(0);
    let number = chosen_number(reader, node, "part_id");
    let kind = match node.attribute("partition_type").map(str::trim) {
        Some("t.raid") => PartitionKind::Raid,
        _ => PartitionKind::Linux,
    };
    let size = size_attribute(reader, node, "size");
    let contents = contents(reader, node, name.as_deref().unwrap_or(""));
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

fn partition_name(reader: &mut Reader, node: &Element) -> Option<String> {
    let attribute = node.attribute_node("name")?;
    let name = attribute.value.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    // `p.lx` and the name must fit into the 36 characters of a table entry.
    if !name.chars().all(good) || name.len() > 32 {
        let message = format!("no partition name: {}", short(name));
        let hint = "1 to 32 letters, digits, `_`, `-`, `.` or `/`";
        reader.error_with("bad-value", attribute.span.clone(), message, hint);
        return None;
    }
    Some(name.to_owned())
}

/// In bytes; what is no size was said by the schema.
pub(super) fn size_attribute(reader: &mut Reader, node: &Element, name: &str) -> Option<Bytes> {
    let attribute = node.attribute_node(name)?;
    let value = attribute.value.trim();
    let (digits, unit) = match value.strip_suffix(['M', 'G']) {
        Some(digits) if value.ends_with('G') => (digits, MIB << 10),
        Some(digits) => (digits, MIB),
        None => (value, MIB),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: Option<u64> = digits.parse().ok();
    let size = number.and_then(|number| number.checked_mul(unit)).filter(|&size| size < 1 << 60);
    // A spare partition of no bytes is none.
    if size.is_none() || (size == Some(0) && name == "size") {
        let message = format!("{name} is nothing, or more than 2^60 bytes: {}", short(value));
        reader.error("bad-value", attribute.value_span.clone(), message);
    }
    size.map(Bytes)
}

fn contents(reader: &mut Reader, node: &Element, name: &str) -> Option<Contents> {
    let mountpoint = match node.attribute_node("mountpoint") {
        None => None,
        Some(_) => Some(mount_point(reader, node, "mountpoint")?),
    };
    if node.attribute_node("filesystem").is_none() {
        if let (Some(path), Some(attribute)) = (&mountpoint, node.attribute_node("mountpoint")) {
            let message = format!("a mount point without a file system: {path}");
            reader.error_with(
                "missing-attribute",
                attribute.span.clone(),
                message,
                "add filesystem=\"ext4\"",
            );
            return None;
        }
        return Some(Contents::Blank);
    }
    let filesystem = node.attribute("filesystem")?.trim().to_owned();
    let label = reader.line(node, "label").map_or_else(|| name.to_uppercase(), str::to_owned);
    let format = Mkfs { options: mkfs_options(&filesystem, &label), name: filesystem };
    let at = if node.attribute_node("label").is_some() { "label" } else { "filesystem" };
    if find(&format.name).is_some() {
        check_filesystem(reader, node, at, &format.name, format.options.clone());
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
pub(super) fn mount_point(reader: &mut Reader, node: &Element, name: &str) -> Option<String> {
    let Attribute { value, span, .. } = node.attribute_node(name)?;
    let parts: Vec<&str> = value.trim().split('/').filter(|part| !part.is_empty()).collect();
    let path = format!("/{}", parts.join("/"));
    let wrong = match path.as_str() {
        _ if !value.trim().starts_with('/') => Some("it does not start with /"),
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
