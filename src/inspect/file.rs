//! An image file, read at positions.

use diskwright_formats::layout::ReadAt;
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

/// An open image file or block device.
pub struct ImageFile {
    file: fs_err::File,
    len: u64,
}

impl ImageFile {
    /// Opens a file for reading. Errors name the path.
    pub fn open(path: &Path) -> io::Result<ImageFile> {
        let mut file = fs_err::File::open(path)?;
        let kind = file.metadata()?;
        let len = match kind.file_type() {
            kind if kind.is_dir() => {
                let text = format!("{}: is a directory, not an image", path.display());
                return Err(io::Error::new(io::ErrorKind::IsADirectory, text));
            }
            // A block device has no size in its metadata.
            kind if kind.is_block_device() => io::Seek::seek(&mut file, io::SeekFrom::End(0))?,
            _ => kind.len(),
        };
        Ok(ImageFile { file, len })
    }
}

impl ReadAt for ImageFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.file().read_exact_at(buffer, offset)
    }
}
