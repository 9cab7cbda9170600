//! Options in mkfs.fat's spelling.

use super::geometry::{FatType, LARGEST_CLUSTER, LEAST_RESERVED_32, Wishes};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

/// What `--help` says of them.
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("-F 12|16|32", "the type; the length decides without it"),
    ("-n LABEL", "volume label, up to 11 characters; kept as it is written"),
    ("-i VOLID", "volume id, up to 8 hexadecimal digits; from the seed without it"),
    ("-s SECTORS", "sectors per cluster, a power of two; the length decides without it"),
    ("-R SECTORS", "reserved sectors; the data area is then not aligned"),
    ("-f NUMBER", "file allocation tables, 1 to 4: 2"),
    ("-h SECTORS", "hidden sectors; where the partition starts without it"),
    ("-S BYTES", "sector size; must be that of the disk"),
    ("-r ENTRIES", "entries of the root directory of FAT12 and FAT16: 512"),
    ("-a", "do not align the data area"),
    ("-I", "accepted, means nothing here"),
    ("-v", "accepted, means nothing here"),
    ("--invariant", "accepted: nothing depends on time or chance anyway"),
];

/// A volume label: printable ASCII in mkfs.fat's limits, padded with spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label(pub(super) String);

impl Label {
    pub(super) fn padded(&self) -> [u8; 11] {
        let mut bytes = [b' '; 11];
        bytes[..self.0.len()].copy_from_slice(self.0.as_bytes());
        bytes
    }
}

/// FAT with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fat {
    pub(super) wishes: Wishes,
    pub(super) label: Option<Label>,
    pub(super) volume_id: Option<u32>,
    pub(super) hidden: Option<u32>,
    pub(super) sector_size: Option<u32>,
}

impl Fat {
    /// Reads the options. Refused: what mkfs.fat or we do not know, values out of range, and what contradicts.
    pub(super) fn parse(options: &[String]) -> Result<Fat, Refusal> {
        let wishes = Wishes {
            fat: None,
            sectors_per_cluster: None,
            reserved: None,
            fats: 2,
            root_entries: None,
            align: true,
        };
        let mut fat = Fat { wishes, label: None, volume_id: None, hidden: None, sector_size: None };
        let mut words = options.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "-a" => fat.wishes.align = false,
                "-I" | "-v" | "--invariant" => {}
                _ => {
                    let (name, value) = option(word, &mut words)?;
                    fat.set(name, value)?;
                }
            }
        }
        fat.check()?;
        Ok(fat)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let number = |least: u32, most: u32| number(name, value, least, most).map(Some);
        match name {
            "-F" => {
                let fat = FatType::ALL.into_iter().find(|fat| fat.bits().to_string() == value);
                self.wishes.fat = Some(fat.ok_or_else(|| wrong(name, value, "12, 16 or 32"))?);
            }
            "-n" => self.label = label(value)?,
            "-i" => {
                self.volume_id =
                    Some(volume_id(value).ok_or_else(|| wrong(name, value, "up to 8 hexadecimal digits"))?)
            }
            "-s" => self.wishes.sectors_per_cluster = power_of_two(name, value, 1, 128)?,
            "-R" => self.wishes.reserved = number(1, 65_535)?,
            "-f" => self.wishes.fats = number(1, 4)?.unwrap_or(self.wishes.fats),
            "-h" => self.hidden = number(0, u32::MAX)?,
            "-S" => self.sector_size = power_of_two(name, value, 512, 4096)?,
            "-r" => self.wishes.root_entries = number(16, 32_767)?,
            _ => unreachable!("option() gives only these"),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Refusal> {
        let Wishes { fat, reserved, root_entries, .. } = self.wishes;
        let may_be_32 = fat.is_none_or(|fat| fat == FatType::Fat32);
        if may_be_32 && reserved.is_some_and(|reserved| reserved < LEAST_RESERVED_32) {
            let reason =
                format!("-R {}: fat32 needs at least {LEAST_RESERVED_32}", reserved.unwrap_or_default());
            return Err(invalid(reason).hint("add -F 16 or -F 12, or leave -R away"));
        }
        if fat == Some(FatType::Fat32) && root_entries.is_some() {
            return Err(invalid("-r: the root directory of fat32 has no fixed size").hint("leave -r away"));
        }
        Ok(())
    }

    /// Refuses a cluster size or a sector size that does not go with the sectors of the disk.
    pub(super) fn check_sector_size(&self, sector_size: u32) -> Result<(), Refusal> {
        if ![512, 4096].contains(&sector_size) {
            return Err(invalid(format!("sectors of {sector_size} bytes: 512 or 4096")));
        }
        if let Some(wish) = self.sector_size.filter(|&wish| wish != sector_size) {
            let reason = format!("-S {wish}: the disk has sectors of {sector_size} bytes");
            return Err(invalid(reason).hint(format!("leave it away, or -S {sector_size}")));
        }
        let cluster = self.wishes.sectors_per_cluster.unwrap_or(1) * sector_size;
        if cluster > LARGEST_CLUSTER {
            let reason = format!("clusters of {cluster} bytes: at most {LARGEST_CLUSTER}");
            return Err(invalid(reason).hint(format!("-s {}", LARGEST_CLUSTER / sector_size)));
        }
        Ok(())
    }
}

/// An option that takes a value: `-F 32`, `-F32`.
fn option<'a>(
    word: &'a str,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<(&'a str, &'a str), Refusal> {
    let name =
        word.get(..2).filter(|name| ["-F", "-n", "-i", "-s", "-R", "-f", "-h", "-S", "-r"].contains(name));
    let name =
        name.ok_or_else(|| invalid(format!("an option that this writer of FAT does not have: {word}")))?;
    match &word[2..] {
        "" => words
            .next()
            .map(|value| (name, value))
            .ok_or_else(|| invalid(format!("{name}: its value is missing"))),
        value => Ok((name, value)),
    }
}

fn number(name: &str, value: &str, least: u32, most: u32) -> Result<u32, Refusal> {
    let number = match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => value.parse(),
    };
    let number = number.ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| wrong(name, value, &format!("a number from {least} to {most}")))
}

fn power_of_two(name: &str, value: &str, least: u32, most: u32) -> Result<Option<u32>, Refusal> {
    let number = number(name, value, least, most)?;
    let power = number.is_power_of_two().then_some(number);
    power.ok_or_else(|| wrong(name, value, "a power of two")).map(Some)
}

/// `1234ABCD`, `0x1234abcd`, and `1234-ABCD` as `blkid` prints it.
fn volume_id(value: &str) -> Option<u32> {
    let digits = match value.split_once('-') {
        Some((high, low)) if high.len() == 4 && low.len() == 4 => format!("{high}{low}"),
        _ => value.trim_start_matches("0x").to_owned(),
    };
    let is_hex = (1..=8).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(&digits, 16).ok().filter(|_| is_hex)
}

/// `None` for no label. mkfs.fat's rules; ASCII only, because what other bytes mean depends on the code page.
fn label(value: &str) -> Result<Option<Label>, Refusal> {
    let text = value.trim_end_matches(' ');
    let allowed = |byte: u8| (b' '..0x7f).contains(&byte) && !b"*?.,;:/\\|+=<>[]\"".contains(&byte);
    match text {
        "" | "NO NAME" => Ok(None),
        _ if text.len() > 11 => Err(wrong("-n", value, "at most 11 characters")),
        _ if text.starts_with(' ') => Err(wrong("-n", value, "no space in front")),
        _ if !text.bytes().all(allowed) => {
            Err(wrong("-n", value, "printable ASCII without *?.,;:/\\|+=<>[]\""))
        }
        _ => Ok(Some(Label(text.to_owned()))),
    }
}

fn wrong(name: &str, value: &str, expected: &str) -> Refusal {
    invalid(format!("{name} {value}: expected {expected}"))
}

fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Invalid, Spot::new("vfat", ""), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &str) -> Result<Fat, String> {
        let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        Fat::parse(&options).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn mkfs_fats_own_spelling() {
        let fat =
            parse("-F 32 -n ESP -i 1234-abcd -s8 -R 32 -f1 -h 0x800 -S 512 -a -I -v --invariant").unwrap();
        let wishes = Wishes {
            fat: Some(FatType::Fat32),
            sectors_per_cluster: Some(8),
            reserved: Some(32),
            fats: 1,
            root_entries: None,
            align: false,
        };
        let label = Some(Label("ESP".to_owned()));
        let expected =
            Fat { wishes, label, volume_id: Some(0x1234abcd), hidden: Some(2048), sector_size: Some(512) };
        assert_eq!(fat, expected);
        assert_eq!(parse("-i 0xBEEF").unwrap().volume_id, Some(0xbeef));
        assert_eq!(parse("").unwrap().wishes.fats, 2);
    }

    #[test]
    fn labels() {
        assert_eq!(label("EFI SYS ").unwrap(), Some(Label("EFI SYS".to_owned())));
        assert_eq!(&label("esp").unwrap().unwrap().padded(), b"esp        ");
        assert_eq!(label("").unwrap(), None);
        for bad in ["123456789012", " x", "a.b", "Ä", "a\tb"] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_refused_is_named() {
        for (options, reason) in [
            ("-c", "-c"),
            ("--mbr=yes", "--mbr=yes"),
            ("file", "file"),
            ("-F", "-F: its value is missing"),
            ("-F 64", "12, 16 or 32"),
            ("-s 3", "power of two"),
            ("-s 256", "1 to 128"),
            ("-i 123456789", "8 hexadecimal"),
            ("-i 12-34", "8 hexadecimal"),
            ("-f 0", "1 to 4"),
            ("-R 4", "at least 8"),
            ("-F 32 -r 512", "no fixed size"),
        ] {
            let refusal = parse(options).unwrap_err();
            assert!(refusal.contains(reason), "{options}: {refusal}");
        }
        assert!(parse("-F 16 -R 1").is_ok());
    }

    #[test]
    fn sector_sizes() {
        assert!(parse("-S 512").unwrap().check_sector_size(4096).is_err());
        assert!(parse("-s 32").unwrap().check_sector_size(4096).is_err());
        assert!(parse("-s 128").unwrap().check_sector_size(512).is_ok());
        assert!(parse("").unwrap().check_sector_size(1024).is_err());
    }
}
