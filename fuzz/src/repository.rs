//! Repositories of packages out of hostile mirrors.

use diskwright::root::repository::{
    Base, Catalogue, Compression, Digest, Index, Keyring, Kind, Location, Packages, Release, Source,
    Verified, Wanted, closure, compare_versions, is_version, verify_clear, verify_detached,
};
use diskwright_formats::fault::Refusal;
use std::cmp::Ordering;

const KEY: &[u8] = include_bytes!("../seeds/open_repository/key.gpg");
const IN_RELEASE: &[u8] = include_bytes!("../seeds/open_repository/InRelease");
const RELEASE: &[u8] = include_bytes!("../seeds/open_repository/Release");
const SIGNATURE: &[u8] = include_bytes!("../seeds/open_repository/Release.gpg");
/// 2026-01-02, when the signatures of the seeds count.
const NOW: i64 = 1_767_312_000;
/// Most bytes that are unpacked from what a fuzzer makes.
const UNPACKED: u64 = 1 << 20;

const PACKAGES: &[u8] = b"Package: apt\nVersion: 2.6.1\nArchitecture: amd64\nEssential: yes\nMulti-Arch: foreign\nPre-Depends: b (>= 1~) | c:any\n\
    Depends: d, v (= 1)\nPriority: required\nFilename: ./pool/a.deb\nSize: 5\nSHA256: \
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nDescription: a\n b\n .\n\nPackage: d\nVersion: 1:2-3\n\
    Architecture: all\nProvides: v (= 1), b (= 1), c:any\nFilename: d\nSize: 0\nSHA256: \
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";

/// First inputs of a corpus.
pub fn inputs() -> Vec<Vec<u8>> {
    let with = |number: u8, bytes: &[u8]| [&[number], bytes].concat();
    let xz: &[u8] = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F";
    vec![
        with(0, RELEASE),
        with(1, PACKAGES),
        with(2, KEY),
        with(3, IN_RELEASE),
        with(4, SIGNATURE),
        with(5, xz),
        with(6, b"\x1f\x8b\x08\0\0\0\0\0\0\x03KL\xe2\x02\0\x1b\x4d\xbe\xbb\x03\0\0\0"),
        with(7, b"1:1.0~rc1-1\n1.0+b1-2\n"),
    ]
}

/// `open_repository`: see `fuzz_targets/open_repository.rs`.
pub fn repository(data: &[u8]) {
    let Some((&selector, bytes)) = data.split_first() else { return };
    match selector % 8 {
        0 => release(bytes),
        1 => packages(bytes),
        2 => {
            told(Keyring::default().add("key", bytes));
        }
        3 => match verify_clear("InRelease", bytes, &keys(), NOW) {
            // Nobody but the seed's key can have signed it.
            Ok(verified) => assert_eq!(verified.text(), RELEASE),
            Err(refusal) => {
                assert_said(&refusal);
                told(Verified::unchecked("InRelease", bytes.to_vec()));
            }
        },
        4 => match verify_detached("Release", bytes.to_vec(), SIGNATURE, &keys(), NOW) {
            Ok(verified) => assert_eq!(verified.text(), RELEASE),
            Err(refusal) => {
                assert_said(&refusal);
                told(verify_detached("Release", RELEASE.to_vec(), bytes, &keys(), NOW));
            }
        },
        5 => unpack(bytes, Compression::Xz),
        6 => unpack(bytes, Compression::Gzip),
        _ => versions(bytes),
    }
}

/// Gives what was read; what is refused is said.
fn told<T>(read: Result<T, Refusal>) -> Option<T> {
    read.map_err(|refusal| assert_said(&refusal)).ok()
}

/// Messages are one line that no terminal obeys.
fn assert_said(refusal: &Refusal) {
    let said = refusal.to_string();
    assert!(!said.is_empty() && !said.contains(char::is_control), "{said:?}");
}

fn keys() -> Keyring {
    let mut keys = Keyring::default();
    keys.add("key", KEY).expect("the seed's key");
    keys
}

fn source(kind: Kind) -> Source {
    Source {
        name: "fuzz".to_owned(),
        location: Location::Path("/base".into()),
        kind,
        architectures: Vec::new(),
        priority: None,
        keys: Vec::new(),
        check_signature: true,
        credentials: None,
        imageinclude: false,
        imageonly: false,
        customize: None,
        place: String::new(),
    }
}

fn release(bytes: &[u8]) {
    let Some(text) = told(Verified::unchecked("Release", bytes.to_vec())) else { return };
    let Some(release) = told(Release::read("Release", &text)) else { return };
    told(release.check_date(NOW));
    told(release.check_fresh(NOW));
    let components = vec!["main".to_owned(), "contrib".to_owned()];
    let flat = Kind::Flat { directory: String::new() };
    for kind in [flat, Kind::Suite { suite: "stable".to_owned(), components }] {
        let source = source(kind);
        let Some(indexes) = told(release.indexes(&source, "amd64")) else { continue };
        for place in indexes.iter().flat_map(|index| &index.places) {
            let below = source.location.join(place).to_string();
            assert!(below.starts_with("/base/") && !below.split('/').any(|part| part == ".."), "{below}");
        }
    }
}

fn packages(bytes: &[u8]) {
    let Some(packages) = told(Packages::read("Packages", bytes.to_vec(), "amd64")) else { return };
    for package in packages.iter() {
        let below =
            source(Kind::Flat { directory: String::new() }).location.join(&package.filename()).to_string();
        assert!(below.starts_with("/base/") && !below.split('/').any(|part| part == ".."), "{below}");
        assert!(is_version(package.version()));
        for relations in [package.depends(), package.pre_depends(), package.provides()] {
            told(relations);
        }
    }
    let Some(catalogue) = told(Catalogue::new(&[(0, 500, &packages), (1, 100, &packages)])) else { return };
    for base in [Base::Nothing, Base::Essential, Base::Required] {
        let wanted = Wanted { base, names: &["d"], architecture: "amd64" };
        let Some(chosen) = told(closure(&catalogue, &wanted)) else { continue };
        assert!(
            chosen.windows(2).all(|pair| pair[0].name < pair[1].name)
                && chosen.iter().all(|one| one.source == 0)
        );
    }
}

fn unpack(bytes: &[u8], compression: Compression) {
    let digest = |bytes: &[u8]| {
        use sha2::Digest as _;
        Digest::Sha256(sha2::Sha256::digest(bytes).into())
    };
    let index = Index {
        path: "Packages".to_owned(),
        places: Vec::new(),
        compression,
        size: bytes.len() as u64,
        digest: digest(bytes),
        plain: Some((UNPACKED, digest(b""))),
    };
    // What is in it is never what was promised.
    let refusal = index.unpack(bytes.to_vec()).expect_err("another digest");
    assert_said(&refusal);
}

fn versions(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let all: Vec<&str> = text.split('\n').take(4).collect();
    for a in &all {
        is_version(a);
        for b in &all {
            let order = compare_versions(a, b);
            assert_eq!(order, compare_versions(b, a).reverse());
            for c in all
                .iter()
                .filter(|c| order != Ordering::Greater && compare_versions(b, c) != Ordering::Greater)
            {
                assert_ne!(compare_versions(a, c), Ordering::Greater, "{a} {b} {c}");
            }
        }
    }
}
