//! A tree to an ext4 image by the crate `fstool`, forced to the disk: `compare-fstool TREE IMAGE BYTES INODES`.

use fstool::block::FileBackend;
use fstool::fs::ext::build_plan::BuildPlan;
use fstool::fs::ext::{Ext, FsKind};
use std::error::Error;
use std::fs::File;
use std::path::Path;

const BLOCK: u32 = 4096;
/// Inode of the root directory.
const ROOT: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tree, image, bytes, inodes] = &arguments[..] else {
        return Err("usage: compare-fstool TREE IMAGE BYTES INODES".into());
    };
    let bytes: u64 = bytes.parse()?;
    let mut options = BuildPlan::new(BLOCK, FsKind::Ext4).to_format_opts();
    options.blocks_count = u32::try_from(bytes / u64::from(BLOCK))?;
    options.inodes_count = inodes.parse()?;
    let mut file = FileBackend::create(image, bytes)?;
    let mut ext = Ext::format_with(&mut file, &options)?;
    ext.populate_from_host_dir(&mut file, ROOT, Path::new(tree))?;
    ext.flush(&mut file)?;
    drop(file);
    Ok(File::open(image)?.sync_data()?)
}
