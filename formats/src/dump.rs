//! The frame of an annotated dump: lines that together account for every byte of an image.

use crate::fault::{Damage, DamageKind, Spot};
use crate::layout::ReadAt;
use std::fmt;

/// Bytes that nothing claims are looked at in runs of up to this length; longer ones are only named.
const LONGEST_LOOK: u64 = 64 << 20;

/// What the bytes of an image are, collected in any order.
#[derive(Default)]
pub struct Tiles {
    tiles: Vec<Tile>,
    grounds: Vec<Tile>,
}

struct Tile {
    start: u64,
    len: u64,
    text: String,
}

impl Tiles {
    /// Bytes `start .. start + len` are `text`. In a sound image no two tiles meet. Runs of no bytes say nothing.
    pub fn add(&mut self, start: u64, len: u64, text: impl Into<String>) {
        if len > 0 {
            self.tiles.push(Tile { start, len, text: text.into() });
        }
    }

    /// Where no tile says more, bytes `start .. start + len` are `text`: the table around its entries.
    pub fn around(&mut self, start: u64, len: u64, text: impl Into<String>) {
        if len > 0 {
            self.grounds.push(Tile { start, len, text: text.into() });
        }
    }

    /// Writes a line a tile, in order, cut to the image: start, length, text. What no tile covers is `unused`, what
    /// two cover is marked.
    pub fn write(mut self, image: &dyn ReadAt, out: &mut dyn fmt::Write) -> Result<(), Damage> {
        self.tiles.sort_by_key(|tile| tile.start);
        self.grounds.sort_by_key(|tile| tile.start);
        let mut grounds = self.grounds.as_slice();
        let mut at = 0;
        for Tile { start, len, text } in self.tiles.iter().filter(|tile| tile.start < image.len()) {
            gap(image, &mut grounds, at, *start, out)?;
            let len = (*len).min(image.len() - start);
            let again = if *start < at { " (overlaps)" } else { "" };
            line(out, *start, len, format_args!("{text}{again}"))?;
            at = at.max(start + len);
        }
        gap(image, &mut grounds, at, image.len(), out)
    }
}

/// Bytes between two tiles: grounds, and what is left.
fn gap(
    image: &dyn ReadAt,
    grounds: &mut &[Tile],
    start: u64,
    end: u64,
    out: &mut dyn fmt::Write,
) -> Result<(), Damage> {
    let mut at = start;
    while let Some((ground, rest)) = grounds.split_first().filter(|(ground, _)| ground.start < end) {
        let ground_end = ground.start.saturating_add(ground.len);
        let (from, to) = (ground.start.max(at), ground_end.min(end));
        if from < to {
            unused(image, at, from, out)?;
            line(out, from, to - from, format_args!("{}", ground.text))?;
            at = to;
        }
        if ground_end > end {
            break; // the rest of it lies behind the next tile
        }
        *grounds = rest;
    }
    unused(image, at, end, out)
}

/// Bytes that nothing claims.
fn unused(image: &dyn ReadAt, start: u64, end: u64, out: &mut dyn fmt::Write) -> Result<(), Damage> {
    let len = match end.checked_sub(start) {
        None | Some(0) => return Ok(()),
        Some(len) => len,
    };
    let text = match len <= LONGEST_LOOK {
        false => "unused",
        true if zero(image, start, end)? => "unused, zero",
        true => "unused, not zero",
    };
    line(out, start, len, format_args!("{text}"))
}

fn zero(image: &dyn ReadAt, start: u64, end: u64) -> Result<bool, Damage> {
    const STEP: u64 = 64 << 10;
    let mut buffer = [0; STEP as usize];
    for at in (start..end).step_by(STEP as usize) {
        let part = &mut buffer[..STEP.min(end - at) as usize];
        let failed = |error: std::io::Error| {
            Damage::new(DamageKind::Io, Spot::new("dump", ""), at, "readable bytes", error.to_string())
        };
        image.read_exact_at(at, part).map_err(failed)?;
        if !crate::bytes::is_zero(part) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn line(out: &mut dyn fmt::Write, start: u64, len: u64, text: fmt::Arguments<'_>) -> Result<(), Damage> {
    let failed = |_| Damage::new(DamageKind::Io, Spot::new("dump", ""), start, "room for the dump", "none");
    writeln!(out, "{start:>16} {len:>14} {text}").map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_line() {
        let mut image = vec![0; 100];
        image[99] = 1;
        let mut tiles = Tiles::default();
        tiles.add(50, 10, "late");
        tiles.add(0, 8, "early");
        tiles.add(7, 2, "both");
        tiles.add(20, 0, "nothing");
        tiles.add(95, 10, "cut");
        tiles.around(48, 20, "table");
        tiles.around(90, 2, "small");
        let mut out = String::new();
        tiles.write(&image, &mut out).unwrap();
        let lines: Vec<&str> = out.lines().map(str::trim_start).collect();
        let expected = [
            "0              8 early",
            "7              2 both (overlaps)",
            "9             39 unused, zero",
            "48              2 table",
            "50             10 late",
            "60              8 table",
            "68             22 unused, zero",
            "90              2 small",
            "92              3 unused, zero",
            "95              5 cut",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn unused_bytes_that_are_not_zero_are_told() {
        let mut out = String::new();
        Tiles::default().write(&vec![7; 70_000], &mut out).unwrap();
        assert_eq!(out.trim_start(), "0          70000 unused, not zero\n");
    }
}
