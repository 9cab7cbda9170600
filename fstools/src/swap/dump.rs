//! An annotated dump: one line for every run of bytes: start, length, what it is.

use super::disk::{BAD_PAGES, HEADER, SIGNATURE, at, signature_at};
use super::open::{Area, area, damage};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Damage, DamageKind};
use diskwright_formats::layout::ReadAt;
use std::fmt::Write;
use uuid::Uuid;

/// Writes the dump of an image.
pub(super) fn dump(image: &dyn ReadAt, out: &mut dyn Write) -> Result<(), Damage> {
    let area = area(image)?;
    let failed = |error| damage(DamageKind::Io, "dump", 0, "a place for the text", error);
    tile(&notes(&area), image.len(), out).map_err(failed)
}

/// What starts where, in order; each run ends where the next starts.
fn notes(area: &Area) -> Vec<(u64, String)> {
    let Area { page_size, last_page, bad_pages, header, .. } = area;
    let mut notes = vec![
        (0, "boot area".to_owned()),
        (HEADER, "version 1".to_owned()),
        (at!(last_page), format!("last page {last_page}")),
        (at!(nr_badpages), format!("bad pages {}", bad_pages.len())),
        (at!(uuid), format!("uuid {}", Uuid::from_bytes(header.uuid))),
        (at!(volume_name), format!("label {}", escaped(&area.label()))),
        (at!(padding), "padding".to_owned()),
    ];
    let bad = (0..).zip(bad_pages);
    notes.extend(bad.map(|(place, page)| (BAD_PAGES + place * 4, format!("bad page {page}"))));
    notes.extend([
        (BAD_PAGES + bad_pages.len() as u64 * 4, "room for bad pages".to_owned()),
        (signature_at(*page_size), format!("{}, pages of {page_size} bytes", escaped(&SIGNATURE))),
        (*page_size, format!("pages 1 to {last_page}")),
        (area.len(), "behind the last page".to_owned()),
    ]);
    notes
}

fn tile(notes: &[(u64, String)], len: u64, out: &mut dyn Write) -> std::fmt::Result {
    let ends = notes.iter().skip(1).map(|(start, _)| *start).chain([u64::MAX]);
    for ((start, text), end) in notes.iter().zip(ends) {
        let end = end.min(len);
        if *start < end {
            writeln!(out, "{start:>16} {:>14} {text}", end - start)?;
        }
    }
    Ok(())
}
