//! A disk as a picture for a terminal: a bar to scale, and a line for each part of it. Pure: the same numbers give the same
//! text.
//!
//! ```text
//! ┌─┬──────┬───────────────────────────────┬╌╌╌╌╌╌╌┐
//! │1│2 boot│3 p.lxroot                     │       │      gaps have broken borders
//! └─┴──────┴───────────────────────────────┴╌╌╌╌╌╌╌┘
//! 1  p.legacy  2.00 MiB   0.1 %  BIOS boot
//! ```

use std::fmt::Write;

/// A part of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What stands for it in the bar: its number, mostly.
    pub key: String,
    /// Its name, in the bar where there is room.
    pub name: String,
    /// Its first byte.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
    /// More about it, in its line.
    pub note: String,
}

/// Characters that a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Box drawings (Unicode block 2500).
    Lines,
    /// ASCII.
    Ascii,
}

/// A piece of the bar: a stretch, or a gap.
struct Cell<'a> {
    stretch: Option<&'a Stretch>,
    len: u64,
}

impl Cell<'_> {
    /// Columns that it needs.
    fn least(&self) -> usize {
        self.stretch.map_or(1, |it| it.key.chars().count().max(1))
    }
}

/// Draws a disk of `disk` bytes in `width` columns. Stretches may come in any order, and are taken to be disjoint; each is
/// at least as wide as its key. Gaps that are narrower than a column are only in the sum below. Where there are too many
/// stretches for the width there is no bar. `size` says a number of bytes.
pub fn picture(disk: u64, stretches: &[Stretch], width: usize, ink: Ink, size: fn(u64) -> String) -> String {
    let mut sorted: Vec<&Stretch> = stretches.iter().collect();
    sorted.sort_by_key(|it| (it.start, it.len));
    let cells = cells(disk, &sorted, width);
    let mut text = match columns(&cells, width) {
        Some(columns) => bar(&cells, &columns, ink),
        None => String::new(),
    };
    text += &legend(disk, &sorted, size);
    text
}

/// Stretches in their order, with the gaps between them that are a column wide at least.
fn cells<'a>(disk: u64, sorted: &[&'a Stretch], width: usize) -> Vec<Cell<'a>> {
    let mut cells = Vec::new();
    let gap = |cells: &mut Vec<Cell<'a>>, len: u64| {
        if len > 0 && u128::from(len) * width as u128 >= u128::from(disk) {
            cells.push(Cell { stretch: None, len });
        }
    };
    let mut at = 0;
    for stretch in sorted {
        gap(&mut cells, stretch.start.saturating_sub(at));
        cells.push(Cell { stretch: Some(stretch), len: stretch.len });
        at = at.max(stretch.start.saturating_add(stretch.len));
    }
    gap(&mut cells, disk.saturating_sub(at));
    cells
}

/// The inner width of each cell: in proportion to its length, but as many columns as it needs. Columns that are left over
/// go to the largest remainders, the first of equal ones. `None` where the width is too small for all.
fn columns(cells: &[Cell<'_>], width: usize) -> Option<Vec<usize>> {
    let room = width.checked_sub(cells.len() + 1)?;
    if cells.is_empty() || cells.iter().map(Cell::least).sum::<usize>() > room {
        return None;
    }
    // Cells that would be too narrow get what they need; what is left is shared again among the others.
    let mut narrow = vec![false; cells.len()];
    loop {
        let wide = || cells.iter().zip(&narrow).filter(|(_, narrow)| !**narrow);
        let taken: usize =
            cells.iter().zip(&narrow).filter(|(_, narrow)| **narrow).map(|(it, _)| it.least()).sum();
        let total: u128 = wide().map(|(it, _)| u128::from(it.len)).sum::<u128>().max(1);
        let left = (room - taken) as u128;
        let share = |cell: &Cell<'_>| u128::from(cell.len) * left;
        let found = cells
            .iter()
            .zip(&narrow)
            .position(|(cell, narrow)| !narrow && share(cell) < cell.least() as u128 * total);
        if let Some(at) = found {
            narrow[at] = true;
            continue;
        }
        let columns = cells.iter().zip(&narrow).map(|(cell, narrow)| match narrow {
            true => (cell.least(), 0),
            false => (usize::try_from(share(cell) / total).unwrap_or(width), share(cell) % total),
        });
        return Some(spread(columns.collect(), room));
    }
}

/// Adds the columns that are left over.
fn spread(columns: Vec<(usize, u128)>, room: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(columns[at].1));
    let mut widths: Vec<usize> = columns.iter().map(|(columns, _)| *columns).collect();
    let left = room.saturating_sub(widths.iter().sum());
    for at in order.into_iter().cycle().take(left) {
        widths[at] += 1;
    }
    widths
}

/// Corners, tees and lines: those above, those beside the text, those below.
fn bar(cells: &[Cell<'_>], columns: &[usize], ink: Ink) -> String {
    let ([above, below], solid, broken, side, more) = match ink {
        Ink::Lines => ([['┌', '┬', '┐'], ['└', '┴', '┘']], '─', '╌', '│', '…'),
        Ink::Ascii => ([['+'; 3]; 2], '-', '.', '|', '~'),
    };
    let edge = |[first, between, last]: [char; 3]| {
        let lines = cells.iter().zip(columns).map(|(cell, &width)| {
            let line = if cell.stretch.is_some() { solid } else { broken };
            String::from_iter(std::iter::repeat_n(line, width))
        });
        let lines: Vec<String> = lines.collect();
        format!("{first}{}{last}\n", lines.join(between.to_string().as_str()))
    };
    let middle = cells.iter().zip(columns).map(|(cell, &width)| {
        let text = cell.stretch.map_or_else(String::new, |it| inside(it, width, more));
        format!("{text:width$}{side}")
    });
    let middle: String = middle.collect();
    format!("{}{side}{middle}\n{}", edge(above), edge(below))
}

/// Key and name, as far as there is room: one or two letters of a name say nothing.
fn inside(stretch: &Stretch, width: usize, more: char) -> String {
    let Stretch { key, name, .. } = stretch;
    let room = width.saturating_sub(key.chars().count() + 1);
    let len = name.chars().count();
    if len <= room && len > 0 {
        format!("{key} {}", plain(name))
    } else if room >= 4 {
        let begin: String = name.chars().take(room - 1).collect();
        format!("{key} {}{more}", plain(&begin))
    } else {
        key.clone()
    }
}

/// What would move the cursor is not drawn.
fn plain(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '?' } else { it }).collect()
}

/// A line for each stretch, and one for all gaps.
fn legend(disk: u64, sorted: &[&Stretch], size: fn(u64) -> String) -> String {
    let used: u64 = sorted.iter().fold(0, |sum, it| sum.saturating_add(it.len));
    let row = |key: &str, name: &str, len: u64, note: &str| {
        [key.to_owned(), plain(name), size(len), share(len, disk), plain(note)]
    };
    let mut rows: Vec<[String; 5]> =
        sorted.iter().map(|it| row(&it.key, &it.name, it.len, &it.note)).collect();
    let free = disk.saturating_sub(used);
    if free > 0 {
        rows.push(row("", "unpartitioned", free, ""));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [key, name, len, share] = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for row in &rows {
        let line =
            format!("{:>key$}  {:name$}  {:>len$}  {:>share$}  {}", row[0], row[1], row[2], row[3], row[4]);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Part of the whole in percent, with one decimal.
fn share(len: u64, of: u64) -> String {
    let tenths = (u128::from(len) * 1000 + u128::from(of) / 2) / u128::from(of.max(1));
    match (len, tenths) {
        (1.., 0) => "<0.1 %".to_owned(),
        (_, tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bytes, MIB};

    fn size(bytes: u64) -> String {
        Bytes(bytes).to_string()
    }

    /// `(number, name, start, length)` in MiB.
    fn of(parts: &[(u32, &str, u64, u64)]) -> Vec<Stretch> {
        let stretch = |&(number, name, start, len): &(u32, &str, u64, u64)| Stretch {
            key: number.to_string(),
            name: name.to_owned(),
            start: start * MIB,
            len: len * MIB,
            note: format!("note {number}"),
        };
        parts.iter().map(stretch).collect()
    }

    fn drawn(disk: u64, parts: &[(u32, &str, u64, u64)], width: usize, ink: Ink) -> String {
        picture(disk * MIB, &of(parts), width, ink, size)
    }

    const PARTS: &[(u32, &str, u64, u64)] =
        &[(3, "p.lxroot", 300, 600), (1, "p.legacy", 1, 2), (2, "p.lxboot", 3, 297)];

    #[test]
    fn a_disk() {
        assert_eq!(
            drawn(1200, PARTS, 60, Ink::Lines),
            "\
┌─┬─────────────┬───────────────────────────┬╌╌╌╌╌╌╌╌╌╌╌╌╌╌┐
│1│2 p.lxboot   │3 p.lxroot                 │              │
└─┴─────────────┴───────────────────────────┴╌╌╌╌╌╌╌╌╌╌╌╌╌╌┘
1  p.legacy         2 MiB   0.2 %  note 1
2  p.lxboot       297 MiB  24.8 %  note 2
3  p.lxroot       600 MiB  50.0 %  note 3
   unpartitioned  301 MiB  25.1 %
"
        );
        assert_eq!(
            drawn(901, PARTS, 24, Ink::Ascii),
            "\
+-+------+-------------+
|1|2 p.l~|3 p.lxroot   |
+-+------+-------------+
1  p.legacy         2 MiB   0.2 %  note 1
2  p.lxboot       297 MiB  33.0 %  note 2
3  p.lxroot       600 MiB  66.6 %  note 3
   unpartitioned    2 MiB   0.2 %
"
        );
    }

    #[test]
    fn nothing_is_too_small_to_be_seen_and_what_is_too_much_is_not_drawn() {
        let many: Vec<_> = (1..=20).map(|at| (at, "clone", u64::from(at), 1)).collect();
        let with_root: Vec<_> = many.iter().copied().chain([(21, "root", 21, 1_000_000)]).collect();
        let text = drawn(1_000_021, &with_root, 80, Ink::Ascii);
        let bar: Vec<&str> = text.lines().take(3).collect();
        assert_eq!(
            bar[1],
            "|1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21 root                    |"
        );
        assert!(bar.iter().all(|line| line.chars().count() == 80));
        assert!(text.contains("1  clone                1 MiB   <0.1 %  note 1\n"), "{text}");
        let text = drawn(1_000_021, &with_root, 40, Ink::Ascii);
        assert!(text.starts_with(" 1  clone"), "{text}");
        assert_eq!(drawn(0, &[], 80, Ink::Ascii), "");
        assert_eq!(
            drawn(1, &[], 80, Ink::Ascii).lines().next(),
            Some(format!("+{}+", ".".repeat(78)).as_str())
        );
    }

    #[test]
    fn every_bar_has_its_width_and_every_stretch_its_key() {
        for width in 0..100 {
            for disk in [1, 7, 1000, 1 << 40] {
                for lens in [&[1, 1, 1][..], &[1, 100, 1], &[500, 1, 400, 3], &[u32::MAX, 1], &[0, 0]] {
                    let mut at = 0;
                    let mut stretches = vec![];
                    for (number, &len) in (1..).zip(lens) {
                        let (start, len) = (at, u64::from(len));
                        at += len;
                        let (key, name) = (number.to_string(), "a name".to_owned());
                        stretches.push(Stretch { key, name, start, len, note: String::new() });
                    }
                    let text = picture(disk, &stretches, width, Ink::Lines, size);
                    let Some(first) = text.lines().next().filter(|line| line.starts_with('┌')) else {
                        assert!(width < 2 * lens.len() + 5, "{width} columns are enough for {lens:?}");
                        continue;
                    };
                    assert_eq!(first.chars().count(), width, "{text}");
                    let middle = text.lines().nth(1).expect("a bar has three lines");
                    assert_eq!(middle.chars().count(), width, "{text}");
                    for key in &stretches {
                        assert!(middle.contains(&format!("│{}", key.key)), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        let text = drawn(10, &[(1, "a\x1b[2Jb\n", 0, 10)], 40, Ink::Ascii);
        assert!(!text.contains('\x1b') && text.lines().count() == 4, "{text:?}");
    }
}
