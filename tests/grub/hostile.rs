//! Files that are not GRUB's, or no longer.

use super::support::*;
use super::tree::*;
use super::{forged, tree};
use diskwright::boot::grub::{Platform, Target, core_img, efi_image};
use diskwright_formats::fault::Refusal;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The invariants of the fuzz target.
    #[test]
    fn forged_files_are_refused_or_made(data in prop::collection::vec(any::<u8>(), 1..2000)) {
        forged::modules(&data);
    }
}

#[test]
fn damaged_files_never_panic() {
    let unread = |_| -> Result<Vec<u8>, Refusal> { panic!("all is in memory") };
    for release in releases("damaged-grub") {
        for target in EFI.into_iter().chain([Target::I386Pc]).filter(|it| directory(&release, *it).is_some())
        {
            let whole = tree::tree(&release, target);
            let at = directory(&release, target).unwrap();
            let kernel = std::fs::read(at.join("kernel.img")).unwrap();
            let (mut made, mut refused) = (0, 0);
            for round in 0..60 {
                let mut bytes = kernel.clone();
                let hits = noise(round, 24);
                // In headers, tables of relocations and symbols, and anywhere; or an end too soon.
                for hit in hits.chunks(4) {
                    let near = if hit[0] % 2 == 0 { 64 } else { bytes.len() };
                    let place = (usize::from(hit[1]) << 8 | usize::from(hit[2])) * bytes.len() / 65536;
                    let place = if near == 64 { place % 64 } else { place };
                    bytes[place] ^= hit[3];
                }
                if round % 5 == 0 {
                    bytes.truncate(bytes.len() / 60 * round as usize);
                }
                let mut tree = whole.clone();
                put(&mut tree, &format!("usr/lib/grub/{}/kernel.img", target.name()), &bytes);
                let platform = Platform::load(&tree, target, &["normal"], unread).unwrap();
                let result = match target {
                    Target::I386Pc => core_img(&platform, &embedded()).map(|_| ()),
                    _ => efi_image(&platform, &embedded()).map(|_| ()),
                };
                match result {
                    Ok(()) => made += 1,
                    Err(refusal) => {
                        assert!(refusal.to_string().contains("kernel.img"), "{refusal}");
                        refused += 1;
                    }
                }
            }
            assert!(refused > 10, "{target:?}: {made} made, {refused} refused");
        }
    }
}
