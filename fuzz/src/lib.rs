//! What the fuzz targets do, as plain functions of bytes, so that an ordinary test can replay what they found.
//!
//! Each target has one function here; its invariant is stated above its `fuzz_target!`. A broken invariant panics.

pub mod deb;
pub mod describe;
pub mod files;
pub mod forms;
pub mod grub;
pub mod image;
pub mod lay;
pub mod open;
pub mod repository;
pub mod seed;
pub mod survey;

/// A target: its name and what it does with the fuzzer's bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets. `fuzz_targets/NAME.rs` runs one.
pub const TARGETS: &[Target] = &[
    ("open_gpt", open::gpt),
    ("open_mbr", open::mbr),
    ("open_qcow2", |data| open::disk("qcow2", data)),
    ("open_ext", |data| open::filesystem("ext4", data)),
    ("open_fat", |data| open::filesystem("vfat", data)),
    ("open_swap", |data| open::filesystem("swap", data)),
    ("open_record", open::record),
    ("open_repository", repository::repository),
    ("survey_tar", survey::tar),
    ("open_deb", deb::open),
    ("lay_gpt", lay::gpt),
    ("lay_mbr", lay::mbr),
    ("lay_qcow2", |data| lay::disk("qcow2", data)),
    ("lay_ext", |data| lay::filesystem("ext4", data)),
    ("lay_fat", |data| lay::filesystem("vfat", data)),
    ("lay_swap", |data| lay::filesystem("swap", data)),
    ("pipeline", lay::pipeline),
    ("describe", describe::kiwi),
    ("grub_modules", grub::modules),
];

/// What a target does before it runs: with `FUZZ_SEEDS=FOLDER` it writes the first inputs of its corpus there, and that
/// is all.
#[allow(clippy::disallowed_methods)] // nothing here is part of an image
pub fn start(target: &str) {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS") else { return };
    for (number, input) in seed::inputs(target).into_iter().enumerate() {
        let path = std::path::Path::new(&folder).join(format!("seed-{number:02}"));
        std::fs::write(path, &input).expect("a small file");
    }
    std::process::exit(0);
}

/// Runs a target once.
pub fn run(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, run) = found.unwrap_or_else(|| panic!("no such target: {target}"));
    run(data);
}
