//! Options in mkswap's spelling, and the header.

use super::disk::{HEADER, Header, PAGE_SIZES, SIGNATURE, VERSION, signature_at};
use super::{LABEL_MAX, NAME, PAGES_MAX, PAGES_MIN, refusal};
use crate::registry::{Filesystem, Geometry, Laid, Usage};
use crate::tree::Tree;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Extent, Layout, What};
use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

/// What `--help` says of them.
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("-L LABEL", "label, up to 15 bytes"),
    ("-U UUID", "UUID, or clear for none; from the seed without it"),
    ("-p BYTES", "size of a page of the machine that will swap: 4096"),
    ("-f", "accepted, means nothing here"),
    ("-q", "accepted, means nothing here"),
];

/// Swap with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Swap {
    label: Option<String>,
    uuid: Option<Uuid>,
    page_size: u64,
}

/// Reads the options. Refused: what mkswap or we do not know, and values out of range.
pub(super) fn configure(options: &[String]) -> Result<Box<dyn Filesystem>, Refusal> {
    parse(options).map(|swap| Box::new(swap) as Box<dyn Filesystem>)
}

fn parse(options: &[String]) -> Result<Swap, Refusal> {
    let mut swap = Swap { label: None, uuid: None, page_size: 4096 };
    let mut words = options.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if ["-f", "--force", "-q", "--quiet"].contains(&word) {
            continue;
        }
        let (name, value) = option(word)?;
        let value =
            value.or_else(|| words.next()).ok_or_else(|| invalid(format!("{name}: its value is missing")))?;
        match name {
            "-L" => swap.label = label(value)?,
            "-U" => swap.uuid = Some(uuid(value)?),
            _ => swap.page_size = page_size(value)?,
        }
    }
    Ok(swap)
}

/// The short name of an option and the value that is glued to it: `-Lroot`, `--label=root`.
fn option(word: &str) -> Result<(&'static str, Option<&str>), Refusal> {
    let long = [("--label", "-L"), ("--uuid", "-U"), ("--pagesize", "-p")];
    for (long, short) in long {
        if word == long {
            return Ok((short, None));
        }
        if let Some(value) = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('=')) {
            return Ok((short, Some(value)));
        }
        if let Some(value) = word.strip_prefix(short) {
            return Ok((short, Some(value).filter(|value| !value.is_empty())));
        }
    }
    Err(invalid(format!("an option that this writer of swap does not have: {word}")))
}

/// `None` for no label.
fn label(value: &str) -> Result<Option<String>, Refusal> {
    match value {
        "" => Ok(None),
        _ if value.len() > LABEL_MAX || value.contains('\0') => {
            Err(invalid(format!("-L {value}: expected at most {LABEL_MAX} bytes")))
        }
        _ => Ok(Some(value.to_owned())),
    }
}

fn uuid(value: &str) -> Result<Uuid, Refusal> {
    match value {
        "clear" => Ok(Uuid::nil()),
        "random" | "time" => {
            let refusal = invalid(format!("-U {value}: ids are derived from the seed"));
            Err(refusal.hint("leave -U out, and give another --seed for other ids"))
        }
        _ => value.parse().map_err(|_| invalid(format!("-U {value}: expected a UUID, or clear"))),
    }
}

fn page_size(value: &str) -> Result<u64, Refusal> {
    let size = value.parse().ok().filter(|size| PAGE_SIZES.contains(size));
    size.ok_or_else(|| {
        let sizes = PAGE_SIZES.map(|size| size.to_string()).join(", ");
        invalid(format!("-p {value}: expected one of {sizes}"))
    })
}

fn invalid(reason: String) -> Refusal {
    refusal(RefusalKind::Invalid, "options", reason)
}

impl Filesystem for Swap {
    fn name(&self) -> &'static str {
        NAME
    }

    fn id(&self, identity: &Identity) -> String {
        self.uuid_of(identity).hyphenated().to_string()
    }

    fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    fn measure(&self, tree: &Tree, free: u64, _: u32) -> Result<u64, Refusal> {
        refuse_files(tree)?;
        let pages = free.div_ceil(self.page_size).saturating_add(1).max(PAGES_MIN);
        if pages > PAGES_MAX {
            return Err(self.too_large(free));
        }
        Ok(pages * self.page_size)
    }

    fn lay(&self, tree: &Tree, geometry: &Geometry, identity: &Identity) -> Result<Laid, Refusal> {
        refuse_files(tree)?;
        let pages = geometry.len / self.page_size;
        if pages < PAGES_MIN {
            let needed = PAGES_MIN * self.page_size;
            let kind = RefusalKind::TooSmall { needed: Some(needed) };
            let reason = format!(
                "{} bytes make {pages} pages of {}: at least {PAGES_MIN}",
                geometry.len, self.page_size
            );
            return Err(refusal(kind, "", reason).hint(format!("at least {needed} bytes would do")));
        }
        if pages > PAGES_MAX {
            return Err(self.too_large(geometry.len));
        }
        let header = self.header((pages - 1) as u32, identity);
        let signature = signature_at(self.page_size);
        let extents = vec![
            Extent::of_bytes(HEADER, header.as_bytes(), What::new(&"swap header")),
            Extent::of_bytes(signature, &SIGNATURE[..], What::new(&"swap signature")),
        ];
        let free = self.page_size..pages * self.page_size;
        let usage = Usage { free: free.end - free.start, used: self.page_size, inodes: None };
        let layout = Layout::new(geometry.len, extents, vec![free]);
        Ok(Laid { layout: layout.expect("header, signature and pages in order"), usage })
    }
}

impl Swap {
    fn uuid_of(&self, identity: &Identity) -> Uuid {
        self.uuid.unwrap_or_else(|| identity.uuid("uuid"))
    }

    fn header(&self, last_page: u32, identity: &Identity) -> Header {
        let mut header = Header::new_zeroed();
        header.version = VERSION.into();
        header.last_page = last_page.into();
        header.uuid = self.uuid_of(identity).into_bytes();
        let label = self.label.as_deref().unwrap_or("").as_bytes();
        header.volume_name[..label.len()].copy_from_slice(label);
        header
    }

    fn too_large(&self, len: u64) -> Refusal {
        let reason = format!("{len} bytes are more than 2^32 pages of {}", self.page_size);
        refusal(RefusalKind::Limit, "", reason).hint(format!("at most {} bytes", PAGES_MAX * self.page_size))
    }
}

fn refuse_files(tree: &Tree) -> Result<(), Refusal> {
    match tree.walk().nth(1) {
        None => Ok(()),
        Some(step) => Err(refusal(RefusalKind::Kind, escaped(&step.path), "swap holds no files")
            .hint("an empty directory as its tree")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(options: &str) -> Result<Swap, String> {
        let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        parse(&options).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn mkswaps_own_spelling() {
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        let expected = Swap {
            label: Some("swap".to_owned()),
            uuid: Some(uuid.parse().expect("a UUID")),
            page_size: 65_536,
        };
        for options in [
            format!("-L swap -U {uuid} -p 65536"),
            format!("-f -Lswap -U{uuid} -p65536 -q"),
            format!("--label=swap --uuid={uuid} --pagesize=65536 --force"),
            format!("--label swap --uuid {uuid} --pagesize 65536 --quiet"),
        ] {
            assert_eq!(words(&options), Ok(expected.clone()), "{options}");
        }
        assert_eq!(words("-U clear").map(|swap| swap.uuid), Ok(Some(Uuid::nil())));
        assert_eq!(words(""), Ok(Swap { label: None, uuid: None, page_size: 4096 }));
    }

    #[test]
    fn what_is_refused_is_named() {
        for (options, reason) in [
            ("-c", "-c"),
            ("--check", "--check"),
            ("file", "file"),
            ("-v1", "-v1"),
            ("-L", "-L: its value is missing"),
            ("-L sixteen-bytes--x", "at most 15 bytes"),
            ("-U random", "derived from the seed"),
            ("-U x", "expected a UUID"),
            ("-p 4095", "one of 4096, 8192"),
            ("-p 2048", "one of 4096, 8192"),
        ] {
            let refusal = words(options).expect_err(options);
            assert!(refusal.contains(reason), "{options}: {refusal}");
        }
    }
}
