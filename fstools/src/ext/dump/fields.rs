//! The fields of each structure as text, with their names in the kernel's documentation.

use super::super::disk::{
    ExtentHeader, ExtentIndex, ExtentLeaf, GroupDescriptor, Inode, JournalSuperblock, Superblock,
    XATTR_MAGIC, XattrEntry, XattrHeader, decode_time, inode_flags, mode,
};
use super::super::open::{Entry, feature_names};
use diskwright_formats::bytes::escaped;
use zerocopy::FromBytes;

pub(super) use super::word_at as word;

/// `name=value` of fields that are numbers.
macro_rules! numbers {
    ($of:expr; $($field:ident),* $(,)?) => {
        [$(format!(concat!(stringify!($field), "={}"), $of.$field.get())),*].join(" ")
    };
}

pub(super) fn superblock(of: &Superblock) -> String {
    let uuid = uuid::Uuid::from_bytes(of.s_uuid);
    let label = escaped(of.s_volume_name.split(|&byte| byte == 0).next().unwrap_or_default());
    let counts = numbers!(of;
        s_inodes_count, s_free_inodes_count, s_first_data_block, s_log_block_size, s_blocks_per_group,
        s_inodes_per_group, s_mtime, s_wtime, s_mnt_count, s_state, s_rev_level, s_first_ino, s_inode_size,
        s_block_group_nr, s_reserved_gdt_blocks, s_journal_inum, s_last_orphan, s_desc_size, s_first_meta_bg,
        s_mkfs_time, s_flags, s_orphan_file_inum,
    );
    format!(
        "uuid={uuid} label={label} features={} blocks={} free_blocks={} reserved_blocks={} {counts} s_checksum={:#x}",
        feature_names(of),
        of.blocks_count(),
        of.free_blocks_count(),
        of.reserved_blocks_count(),
        of.s_checksum.get(),
    )
}

pub(super) fn descriptor(bytes: &[u8]) -> String {
    let of = GroupDescriptor::read(bytes);
    format!(
        "block_bitmap={} inode_bitmap={} inode_table={} free_blocks={} free_inodes={} used_dirs={} flags={:#x} \
         itable_unused={} block_bitmap_csum={:#x} inode_bitmap_csum={:#x} checksum={:#x}",
        of.block_bitmap(),
        of.inode_bitmap(),
        of.inode_table(),
        of.free_blocks_count(),
        of.free_inodes_count(),
        of.used_dirs_count(),
        of.bg_flags.get(),
        of.itable_unused(),
        of.block_bitmap_csum(),
        of.inode_bitmap_csum(),
        of.bg_checksum.get(),
    )
}

pub(super) fn inode(of: &Inode) -> String {
    let (sec, nsec) = decode_time(of.i_mtime, of.i_mtime_extra);
    let fields = format!(
        "mode={:#o} links={} uid={} gid={} size={} blocks={} flags={:#x} mtime={sec}.{nsec:09} file_acl={} \
         generation={} extra_isize={}",
        of.i_mode.get(),
        of.i_links_count.get(),
        of.uid(),
        of.gid(),
        of.size(),
        of.blocks(),
        of.i_flags.get(),
        of.file_acl(),
        of.i_generation.get(),
        of.i_extra_isize.get(),
    );
    format!("{fields}{}", i_block(of))
}

/// What the 60 bytes of `i_block` are: an extent tree, a target, a device, pointers.
fn i_block(of: &Inode) -> String {
    let bytes = &of.i_block;
    if of.i_flags.get() & inode_flags::EXTENTS != 0 {
        let (header, rest) = ExtentHeader::ref_from_prefix(bytes).expect("60 bytes");
        let entries = rest.chunks_exact(12).take(header.eh_entries.get().into());
        let entries: Vec<String> = entries.map(|entry| extent_entry(entry, header.eh_depth.get())).collect();
        return format!(" [{}] {}", extent_header(header), entries.join(", ")).trim_end().to_owned();
    }
    match of.i_mode.get() & mode::TYPE {
        mode::SYMLINK if of.size() < 60 => {
            format!(" target={}", escaped(bytes.split(|&byte| byte == 0).next().unwrap_or_default()))
        }
        mode::CHAR | mode::BLOCK => format!(" rdev={:#x},{:#x}", word(bytes, 0), word(bytes, 4)),
        _ => format!(" {}", pointers(bytes)),
    }
}

pub(super) fn extent_header(of: &ExtentHeader) -> String {
    numbers!(of; eh_entries, eh_max, eh_depth)
}

/// `file block+length@block` of an extent, `file block>node` of an index entry.
pub(super) fn extent_entry(bytes: &[u8], depth: u16) -> String {
    if depth > 0 {
        let entry = ExtentIndex::read_from_bytes(bytes).expect("12 bytes");
        return format!("{}>{}", entry.ei_block.get(), entry.leaf());
    }
    let entry = ExtentLeaf::read_from_bytes(bytes).expect("12 bytes");
    let (len, state) = match entry.ee_len.get() {
        len @ 0..=32768 => (len, ""),
        len => (len - 32768, " unwritten"),
    };
    format!("{}+{len}@{}{state}", entry.ee_block.get(), entry.start())
}

/// Block numbers that are not 0, runs of neighbours as `first-last`.
pub(super) fn pointers(bytes: &[u8]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for at in (0..bytes.len()).step_by(4) {
        match (word(bytes, at), runs.last_mut()) {
            (0, _) => {}
            (block, Some(last)) if last.1.checked_add(1) == Some(block) => last.1 = block,
            (block, _) => runs.push((block, block)),
        }
    }
    let text = |&(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    format!("pointers={}", runs.iter().map(text).collect::<Vec<_>>().join(","))
}

pub(super) fn entry(of: &Entry) -> String {
    let Entry { ino, file_type, name, .. } = of;
    match ino {
        0 => "unused entry".to_owned(),
        _ => format!("inode={ino} type={file_type} name={}", escaped(name)),
    }
}

pub(super) fn xattr_header(of: &XattrHeader) -> String {
    format!(
        "h_refcount={} h_blocks={} h_hash={:#x} h_checksum={:#x}",
        of.h_refcount.get(),
        of.h_blocks.get(),
        of.h_hash.get(),
        of.h_checksum.get()
    )
}

/// The name of the attribute at the start of `bytes`; `None` behind the last one.
pub(super) fn xattr_name(bytes: &[u8]) -> Option<&[u8]> {
    let (entry, rest) = XattrEntry::ref_from_prefix(bytes).ok()?;
    let is_last = word(bytes, 0) == 0 || word(bytes, 0) == XATTR_MAGIC;
    rest.get(..entry.e_name_len.into()).filter(|_| !is_last)
}

pub(super) fn xattr(bytes: &[u8], name: &[u8]) -> String {
    let (entry, _) = XattrEntry::ref_from_prefix(bytes).expect("a name was found behind it");
    let inum = match entry.e_value_inum.get() {
        0 => String::new(),
        inum => format!(" value_inum={inum}"),
    };
    format!(
        "index={} name={} value_offs={}{inum} value_size={} hash={:#x}",
        entry.e_name_index,
        escaped(name),
        entry.e_value_offs.get(),
        entry.e_value_size.get(),
        entry.e_hash.get(),
    )
}

pub(super) fn journal(of: &JournalSuperblock) -> String {
    let numbers = numbers!(of;
        h_blocktype, s_blocksize, s_maxlen, s_first, s_sequence, s_start, s_errno, s_feature_compat,
        s_feature_incompat, s_nr_users, s_num_fc_blks,
    );
    format!("uuid={} {numbers}", uuid::Uuid::from_bytes(of.s_uuid))
}

pub(super) fn mmp(bytes: &[u8]) -> String {
    format!(
        "mmp_magic={:#x} mmp_seq={:#x} mmp_checksum={:#x}",
        word(bytes, 0),
        word(bytes, 4),
        word(bytes, 1020)
    )
}
