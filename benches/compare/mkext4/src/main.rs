//! A tree to an ext4 image by the crate `mkext4`, forced to the disk: `compare-mkext4 TREE IMAGE BYTES INODES`.

use mkext4::sink::FileSink;
use mkext4::{FsBuilder, InodeCount, InodeHandle, Meta, Options, ROOT};
use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tree, image, bytes, inodes] = &arguments[..] else {
        return Err("usage: compare-mkext4 TREE IMAGE BYTES INODES".into());
    };
    let mut options = Options::new(bytes.parse()?, *b"compare-0123456x", 1_700_000_000);
    options.inodes = InodeCount::Exact(inodes.parse()?);
    let mut files = Files { builder: FsBuilder::new(options)?, linked: HashMap::new(), data: Vec::new() };
    files.add_all(ROOT, Path::new(tree))?;
    let layout = files.builder.seal()?;
    let mut sink = FileSink::create(Path::new(image), layout.image_len())?;
    let mut writer = layout.writer(&mut sink)?;
    for (file, path) in &files.data {
        writer.fill(*file, &mut File::open(path)?)?;
    }
    writer.finish()?;
    Ok(sink.into_file().sync_data()?)
}

struct Files {
    builder: FsBuilder,
    linked: HashMap<(u64, u64), InodeHandle>,
    data: Vec<(InodeHandle, PathBuf)>,
}

impl Files {
    fn add_all(&mut self, parent: InodeHandle, folder: &Path) -> Outcome<()> {
        let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| "a name that is not UTF-8")?;
            self.add(parent, &name, path, &entry.metadata()?)?;
        }
        Ok(())
    }

    fn add(&mut self, parent: InodeHandle, name: &str, path: PathBuf, found: &Metadata) -> Outcome<()> {
        let time = (found.mtime(), found.mtime_nsec() as u32);
        let meta = Meta::new((found.mode() & 0o7777) as u16, found.uid(), found.gid(), time);
        if found.is_dir() {
            let folder = self.builder.mkdir(parent, name, meta)?;
            return self.add_all(folder, &path);
        }
        if found.is_symlink() {
            let target = fs::read_link(&path)?;
            self.builder.symlink(parent, name, target.to_str().ok_or("a target that is not UTF-8")?, meta)?;
            return Ok(());
        }
        let id = (found.dev(), found.ino());
        if let Some(&file) = self.linked.get(&id) {
            return Ok(self.builder.hardlink(parent, name, file)?);
        }
        let file = self.builder.file(parent, name, meta, found.len())?;
        if found.nlink() > 1 {
            self.linked.insert(id, file);
        }
        if found.len() > 0 {
            self.data.push((file, path));
        }
        Ok(())
    }
}
