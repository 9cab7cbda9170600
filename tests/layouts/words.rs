//! What a plan says of a layout: why a partition is as long as it is, and what create would refuse.

use crate::compare::report;
use crate::trees;
use diskwright::build::{identity, lay};
use diskwright::describe::kiwi::parse;
use diskwright::model::{Arch, Image};
use diskwright::plan::{draft, fit, plan};
use diskwright::resolve::{Choice, resolve};
use diskwright::survey::Images;
use diskwright_formats::fault::RefusalKind;
use diskwright_formats::layout::Memory;

fn image(attributes: &str, oem: &str, children: &str, kiwi_sizes: bool) -> Image {
    let xml = format!(
        "<image schemaversion=\"8.5\" name=\"words\"><description type=\"system\"><author>A</author><contact>a@b</contact>\
         <specification>S</specification></description><preferences><version>1.0.0</version>\
         <type image=\"oem\" firmware=\"uefi\" {attributes}><oemconfig><oem-resize>false</oem-resize>{oem}</oemconfig>{children}</type>\
         </preferences></image>"
    );
    let model = parse("words.xml", xml.into_bytes()).expect("it is accepted");
    resolve(&model, &Choice { kiwi_sizes, ..Choice::new(Arch::X86_64) }).expect("it is accepted").image
}

const CUSTOM: &str = "<bootloader name=\"custom\"/>";

#[test]
fn a_guess_is_called_one() {
    let roomy = "from the tree: content + max(256 MiB, 20 %)";
    let cases = [
        ("filesystem=\"ext4\"", "", roomy.to_owned()),
        ("filesystem=\"xfs\"", "", format!("{roomy}, by KIWI's guess: xfs cannot be measured yet")),
        (
            "filesystem=\"ext4\"",
            "<systemdisk/>",
            format!("{roomy}, by KIWI's guess: volumes of lvm cannot be measured yet"),
        ),
        (
            "filesystem=\"btrfs\"",
            "<systemdisk/>",
            format!("{roomy}, by KIWI's guess: volumes of btrfs cannot be measured yet"),
        ),
        ("filesystem=\"xfs\"", "<size>3000</size>", "what the other partitions leave of the disk".to_owned()),
    ];
    for (attributes, children, expected) in cases {
        let image = image(attributes, "", &format!("{CUSTOM}{children}"), false);
        let plan = plan(&image, &identity(&image, None, 0)).expect("it can be planned");
        assert_eq!(plan.parts.last().expect("a root").why, expected, "{attributes} {children}");
    }
    let packed = image("filesystem=\"ext4\" overlayroot=\"true\"", "", CUSTOM, false);
    let packed = plan(&packed, &identity(&packed, None, 0)).expect("it can be planned");
    let readonly = packed.parts.iter().find(|part| part.role == "readonly").expect("a packed root");
    assert_eq!(readonly.why, "from the tree: min, by KIWI's guess: a packed squashfs cannot be measured yet");
    let kiwis = image("filesystem=\"xfs\"", "", CUSTOM, true);
    let kiwis = plan(&kiwis, &identity(&kiwis, None, 0)).expect("it can be planned");
    assert_eq!(kiwis.parts.last().expect("a root").why, "what KIWI computes");
}

/// The layout is there, create refuses, and a disk of the size that it names is made.
#[test]
fn kiwis_sizes_that_are_too_small_are_shown_and_refused() {
    let cases = [
        ("", "", "<size>200</size>"),
        ("root_clone=\"1\"", "", "<size>600</size>"),
        ("root_clone=\"1\" spare_part=\"60M\" spare_part_is_last=\"true\"", "", "<size>600</size>"),
        ("", "<oem-systemsize>300</oem-systemsize>", "<size>900</size>"),
    ];
    for (attributes, oem, size) in cases {
        let attributes = format!("filesystem=\"ext4\" {attributes}");
        let small = image(&attributes, oem, &format!("{CUSTOM}{size}"), true);
        let ids = identity(&small, None, 0);
        let planned = plan(&small, &ids).expect("it can be planned");
        let drafted = draft(&planned, trees::oracle(), &Memory(Vec::new())).expect("it has a layout");
        let json = report(&drafted);
        assert_eq!(json["obstacles"].as_array().map(Vec::len), Some(1), "{json:#}");
        assert!(json["partitions"][2]["size_sectors"].as_u64() > Some(0));
        let refusal = fit(&planned, trees::oracle(), &Memory(Vec::new())).expect_err("it does not fit");
        let laid = lay(&small, &ids, trees::oracle(), &Memory(Vec::new()), &Images::default(), &mut |_| {})
            .map(|(fit, _)| fit.len);
        assert_eq!(laid, Err(refusal.clone()));
        let RefusalKind::TooSmall { needed: Some(needed) } = refusal.kind else { panic!("{refusal:?}") };
        let needed = needed.div_ceil(1 << 20);
        let hint = refusal.hint.expect("what would do");
        assert!(hint.contains(&needed.to_string()), "{hint}");
        let (oem, size) = match oem {
            "" => (String::new(), format!("<size>{needed}</size>")),
            _ => (format!("<oem-systemsize>{needed}</oem-systemsize>"), size.to_owned()),
        };
        let large = image(&attributes, &oem, &format!("{CUSTOM}{size}"), true);
        let done = lay(
            &large,
            &identity(&large, None, 0),
            trees::oracle(),
            &Memory(Vec::new()),
            &Images::default(),
            &mut |_| {},
        );
        assert!(done.is_ok(), "{attributes} {oem} {size}: {:?}", done.err());
    }
}

#[test]
fn a_loader_that_is_missing_does_not_hide_the_layout() {
    let image = image("filesystem=\"ext4\"", "", "<bootloader name=\"systemd_boot\"/>", true);
    let ids = identity(&image, None, 0);
    let planned = plan(&image, &ids).expect("it can be planned");
    let drafted = draft(&planned, trees::oracle(), &Memory(Vec::new())).expect("it has a layout");
    assert_eq!(drafted.places.len(), 3);
    let said: Vec<String> = drafted.obstacles.iter().map(ToString::to_string).collect();
    assert!(said[0].starts_with("boot: systemd-boot is asked for and not in the tree"), "{said:?}");
    let refused = lay(&image, &ids, trees::oracle(), &Memory(Vec::new()), &Images::default(), &mut |_| {})
        .map(|(fit, _)| fit.len);
    assert_eq!(refused.map_err(|refusal| refusal.to_string()), Err(said[0].clone()));
}
