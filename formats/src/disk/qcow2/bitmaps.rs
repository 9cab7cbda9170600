//! Persistent bitmaps. Their content is not read; their clusters are counted. QEMU's docs/interop/qcow2: "Bitmaps
//! extension", "Bitmap directory", "Bitmap table".

use super::claim::{Claim, Owner};
use super::disk::{Bitmap, Bitmaps, OFFSET};
use super::head::{damage, read, read_bytes};
use super::walk::{Walk, entries};
use crate::bytes::align_up;
use crate::fault::{Damage, DamageKind};
use std::ops::Range;

/// Bytes of a table that are read at once: tables may be long.
const STEP: u64 = 1 << 20;

impl Walk<'_> {
    /// Follows the bitmap directory.
    pub(super) fn bitmaps(&mut self) -> Result<(), Damage> {
        let Some(at) = self.head.bitmaps() else { return Ok(()) };
        let bitmaps: Bitmaps = read(self.image, at, "header extension")?;
        let (start, size) = (bitmaps.directory_offset.get(), bitmaps.directory_size.get());
        let Some(end) = start.checked_add(size).filter(|_| size > 0) else {
            let (expected, found) = ("a bitmap directory", format!("{size} bytes at byte {start}"));
            self.note(damage(DamageKind::Value, "header extension", at + 8, expected, found));
            return Ok(());
        };
        if !self.is_new_table("bitmap directory", &(start..end), at + 16) {
            return Ok(());
        }
        self.claim(Owner::Bitmaps, start..end, at + 16);
        let mut entry = start;
        for number in 0..bitmaps.count.get() {
            let what = format!("bitmap {number}");
            if entry.checked_add(size_of::<Bitmap>() as u64).is_none_or(|entry_end| entry_end > end) {
                let (expected, found) = (format!("{} bitmaps", bitmaps.count), "the end of the directory");
                self.note(damage(DamageKind::Value, what, entry.min(end), expected, found));
                break;
            }
            let bitmap: Bitmap = match read(self.image, entry, &what) {
                Ok(bitmap) => bitmap,
                Err(found) => {
                    self.note(found);
                    break;
                }
            };
            let start = bitmap.table_offset.get();
            match start.checked_add(u64::from(bitmap.table_size.get()) * 8).filter(|&end| end > start) {
                Some(end) => self.bitmap_table(start..end, entry, &what)?,
                None => {
                    let found = format!("{} entries at byte {start}", bitmap.table_size);
                    self.note(damage(DamageKind::Value, what, entry, "a bitmap table", found));
                }
            }
            let more = u64::from(bitmap.extra_size.get()) + u64::from(bitmap.name_size.get());
            entry = align_up(entry.saturating_add(size_of::<Bitmap>() as u64 + more), 8).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    fn bitmap_table(&mut self, bytes: Range<u64>, entry: u64, what: &str) -> Result<(), Damage> {
        if !self.is_new_table(what, &bytes, entry) {
            return Ok(());
        }
        self.claim(Owner::Bitmaps, bytes.clone(), entry);
        let end = bytes.end.min(self.image.len());
        for start in (bytes.start..end).step_by(STEP as usize) {
            let mut part = vec![0; STEP.min(end - start) as usize];
            read_bytes(self.image, start, &mut part, what)?;
            for (index, value) in entries(&part) {
                let at = start + index * 8;
                let number = (at - bytes.start) / 8;
                // Bit 0 alone: all ones without a cluster.
                let Some(first) = self.cluster_of(what, at, value & OFFSET) else { continue };
                let (owner, ways, active, copied) = (Owner::Bitmap, 1, true, None);
                self.claim_one(Claim { first, count: 1, owner, number, entry: at, ways, active, copied });
            }
        }
        Ok(())
    }
}
