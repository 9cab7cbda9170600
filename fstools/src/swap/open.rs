//! Reads and checks a header, as `read_swap_header` of Linux does.

use super::disk::{
    BAD_PAGES, HEADER, Header, PAGE_SIZES, SIGNATURE, VERSION, at, bad_pages_max, signature_at,
};
use super::{NAME, PAGES_MIN};
use crate::registry::{MOST_DAMAGE, Opened, Usage};
use crate::tree::{Meta, Time, Tree};
use diskwright_formats::bytes::{escaped, is_zero};
use diskwright_formats::fault::{Damage, DamageKind, Spot};
use diskwright_formats::layout::ReadAt;
use std::fmt::Display;
use uuid::Uuid;
use zerocopy::FromBytes;

/// Of systems that sleep, signatures in the place of swap's own (`kernel/power/swap.c`, uswsusp, TuxOnIce).
const ASLEEP: [&[u8]; 4] = [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001"];

/// A page with the signature at its end and a version that there is. What else has a boot sector of FAT or a superblock of
/// ext is theirs: a signature may survive what is written over it.
pub(super) fn recognise(image: &dyn ReadAt) -> bool {
    let others = [crate::fat::FAT, crate::ext::EXT4, crate::ext::EXT3, crate::ext::EXT2];
    let version = || header(image).is_ok_and(|header| turned(&header) || header.version.get() == VERSION);
    page_size(image).is_some() && version() && !others.iter().any(|row| (row.recognise)(image))
}

/// A signature without its header, that of a system that sleeps, or a header whose pages fill the image.
pub(super) fn resembles(image: &dyn ReadAt) -> bool {
    page_size(image).is_some() || asleep(image).is_some() || guessed(image).is_some()
}

/// The page size that the place of the signature says.
fn page_size(image: &dyn ReadAt) -> Option<u64> {
    PAGE_SIZES.into_iter().find(|&size| has(image, size, &SIGNATURE))
}

/// The signature of a system that sleeps.
fn asleep(image: &dyn ReadAt) -> Option<(u64, &'static [u8])> {
    let all = PAGE_SIZES.into_iter().flat_map(|size| ASLEEP.map(|signature| (size, signature)));
    all.into_iter().find(|&(size, signature)| has(image, size, signature))
}

fn has(image: &dyn ReadAt, page_size: u64, signature: &[u8]) -> bool {
    let mut found = [0; SIGNATURE.len()];
    image.read_exact_at(signature_at(page_size), &mut found).is_ok() && found.starts_with(signature)
}

/// The page size with which a header without its signature makes sense.
fn guessed(image: &dyn ReadAt) -> Option<u64> {
    let header =
        header(image).ok().filter(|header| header.version.get() == VERSION && is_zero(&header.padding))?;
    PAGE_SIZES.into_iter().find(|&size| image.len() / size == u64::from(header.last_page.get()) + 1)
}

/// Whether a machine of the other byte order wrote it.
fn turned(header: &Header) -> bool {
    header.version.get().swap_bytes() == VERSION
}

fn header(image: &dyn ReadAt) -> Result<Header, Damage> {
    let mut bytes = [0; size_of::<Header>()];
    let failed = |error: std::io::Error| damage(DamageKind::Truncated, "header", HEADER, "a header", error);
    image.read_exact_at(HEADER, &mut bytes).map_err(failed)?;
    Ok(Header::read_from_bytes(&bytes).expect("as many bytes as it has"))
}

/// A header that can be read.
pub(super) struct Area {
    pub(super) page_size: u64,
    pub(super) last_page: u32,
    pub(super) bad_pages: Vec<u32>,
    pub(super) header: Header,
    pub(super) damage: Vec<Damage>,
}

impl Area {
    /// Bytes from the header's page to the last.
    pub(super) fn len(&self) -> u64 {
        (u64::from(self.last_page) + 1) * self.page_size
    }

    pub(super) fn label(&self) -> Vec<u8> {
        self.header.volume_name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
    }
}

/// Reads and checks an image. Fails where there is no signature, or a version that is not known.
pub(super) fn area(image: &dyn ReadAt) -> Result<Area, Damage> {
    if let Some((size, signature)) = asleep(image) {
        let expected = "a swap area in use by nobody";
        let found = format!("{}: a system that sleeps in it", escaped(signature));
        return Err(damage(DamageKind::Unsupported, "signature", signature_at(size), expected, found));
    }
    let Some(page_size) = page_size(image) else {
        let at = signature_at(guessed(image).unwrap_or(PAGE_SIZES[0]));
        return Err(damage(DamageKind::Value, "signature", at, escaped(&SIGNATURE), "something else"));
    };
    let header = header(image)?;
    let native = |number: u32| if turned(&header) { number.swap_bytes() } else { number };
    let version = native(header.version.get());
    if version != VERSION {
        return Err(damage(DamageKind::Unsupported, "version", at!(version), VERSION, version));
    }
    let last_page = native(header.last_page.get());
    let mut area = Area { page_size, last_page, bad_pages: Vec::new(), header, damage: Vec::new() };
    area.check_pages(image);
    area.check_bad_pages(image, native(header.nr_badpages.get()), native);
    area.check_label();
    Ok(area)
}

impl Area {
    fn found(&mut self, damage: Damage) {
        if self.damage.len() < MOST_DAMAGE {
            self.damage.push(damage);
        }
    }

    fn check_pages(&mut self, image: &dyn ReadAt) {
        let have = image.len() / self.page_size;
        let pages = u64::from(self.last_page) + 1;
        if pages < PAGES_MIN {
            let expected = format!("at least {}", PAGES_MIN - 1);
            self.found(damage(DamageKind::Value, "last page", at!(last_page), expected, self.last_page));
        }
        if pages > have {
            let expected = format!("an image of {} bytes", self.len());
            let found = format!("{} bytes", image.len());
            self.found(damage(DamageKind::Truncated, "last page", at!(last_page), expected, found));
        }
    }

    fn check_bad_pages(&mut self, image: &dyn ReadAt, count: u32, native: impl Fn(u32) -> u32) {
        let most = bad_pages_max(self.page_size);
        if u64::from(count) > most {
            let expected = format!("at most {most}");
            self.found(damage(DamageKind::Value, "bad pages", at!(nr_badpages), expected, count));
        }
        let mut bytes = vec![0; u64::from(count).min(most) as usize * 4];
        if let Err(error) = image.read_exact_at(BAD_PAGES, &mut bytes) {
            return self.found(damage(DamageKind::Io, "bad pages", BAD_PAGES, "their numbers", error));
        }
        let (numbers, _) = bytes.as_chunks();
        self.bad_pages = numbers.iter().map(|&number| native(u32::from_le_bytes(number))).collect();
        for (place, page) in (0..).zip(self.bad_pages.clone()) {
            if !(1..=self.last_page).contains(&page) {
                let expected = format!("a page from 1 to {}", self.last_page);
                self.found(damage(DamageKind::Value, "bad pages", BAD_PAGES + place * 4, expected, page));
            }
        }
    }

    /// `swaplabel` and blkid read to the NUL.
    fn check_label(&mut self) {
        if self.header.volume_name.iter().all(|&byte| byte != 0) {
            let found = escaped(&self.header.volume_name);
            let expected = "a name that ends in a NUL";
            self.found(damage(DamageKind::Value, "label", at!(volume_name), expected, found));
        }
    }
}

/// Reads and checks an image; its tree is empty.
pub(super) fn open(image: &dyn ReadAt) -> Result<Opened, Damage> {
    let area = area(image)?;
    let bad = (area.bad_pages.len() as u64).min(area.last_page.into()) * area.page_size;
    let free = u64::from(area.last_page) * area.page_size - bad;
    Ok(Opened {
        tree: Tree::new(Meta::of_root(0o755, Time::default())),
        files: vec![],
        len: area.len(),
        id: Uuid::from_bytes(area.header.uuid).hyphenated().to_string(),
        label: area.label(),
        usage: Usage { free, used: area.len() - free, inodes: None },
        pending: vec![],
        damage: area.damage,
    })
}

/// A damage report of the header.
pub(super) fn damage(
    kind: DamageKind,
    object: &str,
    at: u64,
    expected: impl Display,
    found: impl Display,
) -> Damage {
    Damage::new(kind, Spot::new(NAME, object), at, expected.to_string(), found.to_string())
}
