//! Lines that tile the image, whatever is asked of them.

use std::fmt::{self, Display};

/// A dump on its way: every byte before [`Lines::at`] is explained.
pub(super) struct Lines<'a> {
    out: &'a mut dyn fmt::Write,
    at: u64,
    len: u64,
    until: u64,
}

impl<'a> Lines<'a> {
    /// For an image of `len` bytes.
    pub(super) fn new(out: &'a mut dyn fmt::Write, len: u64) -> Lines<'a> {
        Lines { out, at: 0, len, until: len }
    }

    /// The first byte that has no line yet.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Lines end at this byte at the latest, until another end is set.
    pub(super) fn until(&mut self, end: u64) {
        self.until = end.min(self.len);
    }

    /// A line for the next `len` bytes, cut at the end that was set; none for no bytes.
    pub(super) fn put(&mut self, len: u64, of: impl Display, fields: impl Display) -> fmt::Result {
        let len = len.min(self.until.saturating_sub(self.at));
        if len == 0 {
            return Ok(());
        }
        let at = self.at;
        self.at += len;
        write!(self.out, "{at} {len} {of}")?;
        match fields.to_string().as_str() {
            "" => self.out.write_char('\n'),
            fields => writeln!(self.out, ": {fields}"),
        }
    }
}
