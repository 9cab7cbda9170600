//! Makes trees to measure with: the same names, bytes, modes and times on every machine and run.
//!
//! | kind | what |
//! | --- | --- |
//! | `system` | 22,003 files in the sizes of an installed Debian, with a loader and a kernel, 2,762 symlinks, 3,410 directories |
//! | `many` | 300,000 files of 0 to 8 KiB in 5,000 directories |
//! | `big` | 8 files of 512 MiB |
//! | `sparse` | 8 files of 512 MiB with 4 KiB in every 64 MiB and holes between |
//! | `crowd` | 40,000 files of 0 to 2 KiB in one directory |
//! | `esp` | what an EFI system partition holds: a loader, kernels and 500 small files; about 98 MiB |

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

/// A kind of tree: how many entries or MiB are usual, and how to make it.
pub(crate) struct Kind {
    /// As on the command line.
    pub(crate) name: &'static str,
    /// Files, or MiB of each file for `big` and `sparse`.
    pub(crate) usual: u64,
    make: fn(&Maker, u64) -> io::Result<()>,
}

/// All kinds.
pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "system", usual: 22_000, make: system },
    Kind { name: "many", usual: 300_000, make: many },
    Kind { name: "big", usual: 512, make: big },
    Kind { name: "sparse", usual: 512, make: sparse },
    Kind { name: "crowd", usual: 40_000, make: crowd },
    Kind { name: "esp", usual: 500, make: esp },
];

/// Makes a tree in a new directory, whatever the umask; `amount` in the place of [`Kind::usual`].
pub(crate) fn make(kind: &Kind, root: &Path, amount: u64) -> io::Result<()> {
    fs::create_dir_all(root)?;
    let maker = Maker { root: root.to_owned() };
    (kind.make)(&maker, amount)?;
    maker.settle()
}

/// The seconds since 1970 that the oldest file has.
const OLDEST: i64 = 1_600_000_000;

/// Sizes of the files of an installed Debian with compilers, Python and a kernel, by share of the files.
const SIZES: &[(f64, f64)] = &[
    (0.0, 0.0),
    (0.02, 97.0),
    (0.05, 207.0),
    (0.10, 443.0),
    (0.20, 778.0),
    (0.30, 1101.0),
    (0.40, 1479.0),
    (0.50, 2098.0),
    (0.60, 3165.0),
    (0.70, 5220.0),
    (0.80, 10_628.0),
    (0.90, 25_972.0),
    (0.95, 57_716.0),
    (0.98, 148_353.0),
    (0.99, 330_869.0),
    (0.995, 944_408.0),
    (0.998, 2_900_000.0),
    (0.999, 5_200_000.0),
    (0.9995, 10_000_000.0),
    (1.0, 34_000_000.0),
];

/// The size at a share of the files, between two known ones in proportion.
fn size_at(share: f64) -> u64 {
    let above = SIZES.iter().position(|&(at, _)| at >= share).unwrap_or(SIZES.len() - 1).max(1);
    let ((low, from), (high, to)) = (SIZES[above - 1], SIZES[above]);
    (from + (to - from) * (share - low) / (high - low)) as u64
}

/// The kernel of a `system`, in its name.
const KERNEL: &str = "6.1.0-1-amd64";

fn system(maker: &Maker, files: u64) -> io::Result<()> {
    maker.file("usr/lib/systemd/boot/efi/systemd-bootx64.efi", 1, 120 << 10, 0o644)?;
    maker.file(&format!("boot/vmlinuz-{KERNEL}"), 3, 8 << 20, 0o644)?;
    maker.file(&format!("boot/initrd.img-{KERNEL}"), 5, 30 << 20, 0o644)?;
    let per_directory = 10;
    let directory = |number: u64| {
        let top = [
            "usr/bin",
            "usr/lib/x86_64-linux-gnu",
            "usr/share",
            "usr/share/doc",
            "usr/include",
            "etc",
            "var/lib",
        ];
        let top = top[(mix(number) % 7) as usize];
        match number % 5 {
            0 => format!("{top}/package-{number}"),
            depth => format!("{top}/package-{}/part-{}", number / 5 * 5, depth),
        }
    };
    for number in 0..files {
        let folder = directory(number / per_directory);
        // Every size once, in an order that looks like none.
        let rank = (number as f64 * 0.618_033_988_749_894_9).fract();
        let name =
            format!("{folder}/file-{number:05}{}", [".so", ".py", ".h", "", ".txt"][(number % 5) as usize]);
        let mode = if number % 9 == 0 { 0o755 } else { 0o644 };
        maker.file(&name, number, size_at(rank), mode)?;
        if number % 17 == 0 {
            maker.link(&format!("{folder}/link-{number:05}"), &format!("../file-{number:05}"))?;
        }
        if number % 15 == 0 {
            maker.link(&format!("{folder}/lib-{number:05}.so.1"), &format!("lib-{number:05}.so.1.2.3"))?;
        }
        if number % 400 == 7 {
            fs::hard_link(maker.path(&name), maker.path(&format!("{folder}/twin-{number:05}")))?;
        }
    }
    Ok(())
}

fn many(maker: &Maker, files: u64) -> io::Result<()> {
    for number in 0..files {
        let directory = number / 60;
        let folder = format!("t{:03}/d{directory:05}", directory % 70);
        let name = format!("{folder}/f{number:06}{}", [".txt", ".bin"][(number & 1) as usize]);
        maker.file(&name, number, mix(number) % 8193, if number % 50 == 0 { 0o755 } else { 0o644 })?;
        if number % 100 == 99 {
            maker.link(&format!("{folder}/l{number:06}"), &format!("f{number:06}"))?;
        }
        if number % 500 == 499 {
            fs::hard_link(maker.path(&name), maker.path(&format!("{folder}/h{number:06}")))?;
        }
    }
    Ok(())
}

fn big(maker: &Maker, mib: u64) -> io::Result<()> {
    (0..8)
        .try_for_each(|number| maker.file(&format!("data{number:02}.bin"), 2 * number + 1, mib << 20, 0o644))
}

fn sparse(maker: &Maker, mib: u64) -> io::Result<()> {
    for number in 0..8 {
        let file = maker.create(&format!("sparse{number:02}.bin"), 0o644)?;
        file.set_len(mib << 20)?;
        for part in (0..mib).step_by(64) {
            file.write_all_at(&bytes(number << 32 | part, 4096), part << 20)?;
        }
    }
    Ok(())
}

fn crowd(maker: &Maker, files: u64) -> io::Result<()> {
    (0..files).try_for_each(|number| {
        maker.file(&format!("crowd/a file among many others {number:06}"), number, mix(number) % 2049, 0o644)
    })
}

fn esp(maker: &Maker, files: u64) -> io::Result<()> {
    maker.file("EFI/BOOT/BOOTX64.EFI", 1, 1 << 20, 0o644)?;
    for number in 0..4 {
        let name = format!("EFI/Linux/debian-6.1.0-{number}-amd64 with a long name.efi");
        maker.file(&name, 2 * number + 101, 23 << 20, 0o644)?;
    }
    (0..files).try_for_each(|number| {
        maker.file(&format!("EFI/fonts/mod_{number:03}_module.mod"), number, 1000 + 37 * number, 0o644)
    })?;
    maker.file("loader/loader.conf", 0, 64, 0o644)
}

struct Maker {
    root: PathBuf,
}

impl Maker {
    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// An empty file with its directories.
    fn create(&self, name: &str, mode: u32) -> io::Result<File> {
        let path = self.path(name);
        let file = match File::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().expect("below the root"))?;
                File::create(&path)?
            }
            file => file?,
        };
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(file)
    }

    /// A file of text (even seed) or of bytes that do not compress (odd seed).
    fn file(&self, name: &str, seed: u64, size: u64, mode: u32) -> io::Result<()> {
        const PART: u64 = 1 << 20;
        let mut file = self.create(name, mode)?;
        for start in (0..size).step_by(PART as usize) {
            let len = PART.min(size - start) as usize;
            let part = mix(seed) ^ (start / PART);
            file.write_all(&if seed.is_multiple_of(2) { text(part, len) } else { bytes(part, len) })?;
        }
        set_time(&self.path(name), seed)
    }

    fn link(&self, name: &str, target: &str) -> io::Result<()> {
        symlink(target, self.path(name))
    }

    /// Modes of directories, times of directories and symlinks: last, since each new entry changes them.
    fn settle(&self) -> io::Result<()> {
        let mut folders = vec![self.root.clone()];
        let mut next = 0;
        while next < folders.len() {
            for entry in fs::read_dir(&folders[next])? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_symlink() {
                    set_time(&entry.path(), 0)?;
                }
            }
            next += 1;
        }
        folders.iter().rev().try_for_each(|folder| {
            rustix::fs::chmod(folder, Mode::from_raw_mode(0o755))?;
            set_time(folder, 0)
        })
    }
}

fn set_time(path: &Path, seed: u64) -> io::Result<()> {
    let time = Timespec { tv_sec: OLDEST + (mix(seed) % 100_000_000) as i64, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators": the finalizer of splitmix64.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u64).map(|word| mix(seed.wrapping_mul(0x1_0001).wrapping_add(word)));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}

fn text(seed: u64, len: usize) -> Vec<u8> {
    const WORDS: &str = "the of and to in is you that it he was for on are as with his they at be this have from or one \
                         had by word but not what all were we when your can said there use an each which she do how";
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = Vec::with_capacity(len + 8);
    for number in 0.. {
        if text.len() >= len {
            break;
        }
        text.extend(words[(mix(seed ^ (number << 20)) % words.len() as u64) as usize].as_bytes());
        text.push(if number % 12 == 11 { b'\n' } else { b' ' });
    }
    text.truncate(len);
    text
}
