//! Repositories of the apt family: made by Debian's own tools, signed by GnuPG, read here; what apt, dpkg, gpgv and
//! debootstrap say to the same is said here, too.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

mod support;

use diskwright::model::Arch;
use diskwright::resolve::{Choice, select};
use diskwright::root::repository::{
    Base, Catalogue, Chosen, Keyring, Kind, Location, OBS_DOWNLOADS, Packages, Release, Runtime, Source,
    Verified, Wanted, closure, compare_versions, is_version, local_list, local_preferences, local_release,
    sources, verify_clear, verify_detached,
};
use diskwright_formats::fault::{Refusal, RefusalKind};
use std::cmp::Ordering;

use std::path::Path;
use std::process::Command;
use support::repository::{Deb, Fault, Gnupg, can_make, flat, now, suite};
use support::{oracle, run, write};

/// The repositories of a description with these elements.
fn described(elements: &str, obs: &str) -> Result<Vec<Source>, String> {
    let text = format!(
        "<image schemaversion=\"8.0\" name=\"test\">\n<description type=\"system\"><author>A</author><contact>C</contact>\
         <specification>S</specification></description>\n<preferences><version>1.0.0</version>\
         <packagemanager>apt</packagemanager><type image=\"ext4\"/></preferences>\n{elements}\n</image>\n"
    );
    let model = diskwright::describe::kiwi::parse("config.xml", text.into_bytes()).expect("a description");
    let selection = select(&model, &Choice::new(Arch::X86_64)).expect("a type");
    let runtime = Runtime { directory: Path::new("/home/description"), arch: Arch::X86_64, obs };
    sources(&selection.repositories(), &runtime).map_err(|problems| problems.render(false))
}

/// One repository: its attributes, its location, the keys in it.
fn one(attributes: &str, path: &str, keys: &[&str]) -> Result<Source, String> {
    let keys: String = keys.iter().map(|key| format!("<signing key=\"{key}\"/>")).collect();
    let element = format!("<repository {attributes}><source path=\"{path}\">{keys}</source></repository>");
    described(&element, "https://download.example.org/repositories/").map(|mut all| all.remove(0))
}

fn source(root: &Path, distribution: Option<&str>) -> Source {
    let distribution = distribution.map(|name| format!("distribution=\"{name}\"")).unwrap_or_default();
    one(&format!("type=\"apt-deb\" {distribution}"), root.to_str().unwrap(), &[]).expect("a source")
}

fn file(location: &Location) -> Vec<u8> {
    let Location::Path(path) = location else { panic!("{location}") };
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn keyring(bytes: &[u8]) -> Keyring {
    let mut keyring = Keyring::default();
    keyring.add("test.gpg", bytes).expect("keys");
    keyring
}

/// All that is done to get the packages of a source.
/// A keyring with a packet of trust behind each of its packets (RFC 4880, 4.2.1 and 5.10).
fn with_trust(ring: &[u8]) -> Vec<u8> {
    let (mut rest, mut more) = (ring, Vec::new());
    while let [tag, length @ ..] = rest {
        assert_eq!(tag & 0xc0, 0x80, "GnuPG exports packets of the old form");
        let bytes = [1, 2, 4][usize::from(tag & 3)];
        let len = length[..bytes].iter().fold(0, |len, &byte| len << 8 | usize::from(byte));
        let (packet, behind) = rest.split_at(1 + bytes + len);
        more.extend_from_slice(packet);
        more.extend_from_slice(&[0xb0, 2, 6, 3]);
        rest = behind;
    }
    more
}

fn packages(source: &Source, keys: &Keyring, now: i64) -> Result<(Release, Vec<Packages>), Refusal> {
    let text = match source.check_signature {
        true => verify_clear("InRelease", &file(&source.beside_release("InRelease")), keys, now)?,
        false => Verified::unchecked("Release", file(&source.beside_release("Release")))?,
    };
    let release = Release::read("InRelease", &text)?;
    if source.check_signature {
        release.check_date(now)?;
        release.check_fresh(now)?;
    }
    assert!(release.is_of(source));
    let mut all = Vec::new();
    for index in release.indexes(source, "amd64")? {
        let fetched = file(&source.location.join(index.places.last().unwrap()));
        all.push(Packages::read(&index.path, index.unpack(fetched)?, "amd64")?);
    }
    Ok((release, all))
}

fn catalogue<'a>(all: &'a [(Release, Vec<Packages>)]) -> Catalogue<'a> {
    let files = all.iter().enumerate().flat_map(|(at, (release, files))| {
        files.iter().map(move |packages| (at, release.default_priority(), packages))
    });
    Catalogue::new(&files.collect::<Vec<_>>()).expect("a catalogue")
}

fn names(chosen: &[Chosen]) -> Vec<String> {
    chosen.iter().map(|one| format!("{} {}", one.name, one.version)).collect()
}

/// A distribution in small.
fn distribution() -> Vec<Deb> {
    vec![
        Deb::new(
            "base-files",
            "12",
            "Essential: yes\nPriority: required\nPre-Depends: awk\nDepends: usrmerge | usr-is-merged",
        ),
        Deb::new("mawk", "1.3.4-1", "Priority: required\nProvides: awk").architecture("amd64"),
        Deb::new("gawk", "5.2-1", "Priority: optional\nProvides: awk").architecture("amd64"),
        Deb::new("libc6", "2.36-9+deb12u10", "Priority: optional\nMulti-Arch: same\nDepends: libgcc-s1")
            .architecture("amd64"),
        Deb::new("libgcc-s1", "12.2.0-14", "Depends: libc6 (>= 2.30)").architecture("amd64"),
        Deb::new("dash", "0.5.12-2", "Essential: yes\nPriority: required\nPre-Depends: libc6 (>= 2.34)")
            .architecture("amd64"),
        Deb::new(
            "apt",
            "2.6.1",
            "Priority: required\nDepends: libc6, small-archive-keyring, gpgv | gpgv2 | gpgv1",
        )
        .architecture("amd64"),
        Deb::new("gpgv", "2.2.40-1.1", "Depends: libc6, libz1 (= 1:1.2)").architecture("amd64"),
        Deb::new("zlib1", "1:1.3", "Provides: libz1 (= 1:1.2)").architecture("amd64"),
        Deb::new("usrmerge", "37", "Depends: gawk"),
        Deb::new("usr-is-merged", "37", ""),
        Deb::new("small-archive-keyring", "2023.1", ""),
        Deb::new("python3", "3.11.2", "Multi-Arch: allowed\nDepends: libc6").architecture("amd64"),
        Deb::new("tool", "1.0-1", "Depends: python3:any (>= 3.2~), not-there | mawk | gawk"),
        Deb::new("broken", "1", "Depends: tool, gone (>= 2)"),
        Deb::new("tzdata", "2024a", "Priority: required"),
    ]
}

#[test]
fn a_suite_is_read_and_its_closure_is_that_of_apt_and_debootstrap() {
    let test = "a_suite_is_read_and_its_closure_is_that_of_apt_and_debootstrap";
    if !can_make(test) {
        return;
    }
    let (root, gnupg) = (tempfile::tempdir().unwrap(), Gnupg::new());
    suite(root.path(), "small", "main", &distribution(), &gnupg, Fault::None);
    let source = source(root.path(), Some("small"));
    let keys = keyring(&gnupg.export(&[]));
    let all = [packages(&source, &keys, now()).unwrap_or_else(|refusal| panic!("{refusal}"))];
    let catalogue = catalogue(&all);
    let chosen = |base, names: &[&str]| closure(&catalogue, &Wanted { base, names, architecture: "amd64" });

    let essential = chosen(Base::Essential, &[]).expect("a closure");
    assert_eq!(
        names(&essential),
        [
            "apt 2.6.1",
            "base-files 12",
            "dash 0.5.12-2",
            "gpgv 2.2.40-1.1",
            "libc6 2.36-9+deb12u10",
            "libgcc-s1 12.2.0-14",
            "mawk 1.3.4-1",
            "small-archive-keyring 2023.1",
            "usr-is-merged 37",
            "zlib1 1:1.3"
        ]
    );
    for package in &essential {
        let deb = file(&source.location.join(&package.filename));
        assert!(deb.len() as u64 == package.size && package.digest.matches(&deb), "{package:?}");
    }
    let tool = chosen(Base::Nothing, &["tool"]).expect("a closure");
    assert_eq!(
        names(&tool),
        ["libc6 2.36-9+deb12u10", "libgcc-s1 12.2.0-14", "mawk 1.3.4-1", "python3 3.11.2", "tool 1.0-1"]
    );
    let refusal = chosen(Base::Essential, &["broken"]).expect_err("a package is missing");
    assert_eq!(refusal.kind, RefusalKind::Missing);
    assert_eq!(refusal.to_string(), "package: gone (>= 2): not in the repositories: needed by broken 1");
    let refusal = chosen(Base::Essential, &["nothing"]).expect_err("a package is missing");
    assert!(refusal.to_string().starts_with("package: nothing: no such package"), "{refusal}");

    let with_tool = chosen(Base::Essential, &["tool"]).expect("a closure");
    if oracle(test, "apt-get").is_some() {
        assert_eq!(
            apt(root.path(), &gnupg, &["?essential", "apt", "tool", "usr-is-merged"]),
            names(&with_tool)
        );
    }
    let minbase = chosen(Base::Required, &["tool"]).expect("a closure");
    if oracle(test, "debootstrap").is_some() {
        // It passes over what is only provided, and says nothing; what it does about /usr hangs on the suite's name.
        let left_out = ["zlib1", "usr-is-merged"];
        let names = minbase.iter().map(|one| one.name.as_str()).filter(|name| !left_out.contains(name));
        assert_eq!(debootstrap(root.path(), &gnupg, "tool"), names.collect::<Vec<_>>());
    }
}

/// What apt would install out of the suite `small`, by its own solver, in an empty system.
fn apt(root: &Path, gnupg: &Gnupg, names: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.gpg");
    write(&key, gnupg.export(&[]));
    let list = format!(
        "Types: deb\nURIs: file:{}\nSuites: small\nComponents: main\nSigned-By: {}\n",
        root.display(),
        key.display()
    );
    write(dir.path().join("etc/apt/sources.list.d/small.sources"), list);
    simulated(dir.path(), names)
}

/// An apt whose whole configuration and state lie below `dir`, in an empty system.
fn apt_get(dir: &Path) -> Command {
    let directories = [
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "etc/apt/trusted.gpg.d",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/lib/dpkg",
    ];
    directories.iter().for_each(|path| std::fs::create_dir_all(dir.join(path)).unwrap());
    write(dir.join("var/lib/dpkg/status"), "");
    // The host's configuration would be read before an option of the command line.
    let config = [
        &format!("Dir \"{}\";", dir.display()),
        "Dir::State::status \"var/lib/dpkg/status\";",
        "APT { Architecture \"amd64\"; Architectures { \"amd64\"; }; Sandbox::User \"root\"; Install-Recommends \"0\"; };",
        "Debug::NoLocking \"1\";\n",
    ];
    write(dir.join("apt.conf"), config.join("\n"));
    let mut command = Command::new("apt-get");
    command.env("APT_CONFIG", dir.join("apt.conf")).env("LC_ALL", "C").arg("-q");
    command
}

/// What `apt-get install` would do in an empty system whose configuration lies below `dir`: names and versions, sorted.
fn simulated(dir: &Path, names: &[&str]) -> Vec<String> {
    let update = run(apt_get(dir).arg("update")).ends(0);
    assert!(!update.stderr.contains("W:") && !update.stderr.contains("E:"), "{}", update.stderr);
    let said = run(apt_get(dir).args(["-s", "install"]).args(names)).ends(0).stdout;
    // Inst NAME (VERSION ORIGIN [ARCHITECTURE])
    let lines = said.lines().filter_map(|line| line.strip_prefix("Inst "));
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let mut all: Vec<String> =
        words.map(|words| format!("{} {}", words[0], words[1].trim_start_matches('('))).collect();
    all.sort();
    all
}

/// What debootstrap would unpack with `--variant=minbase`, sorted.
fn debootstrap(root: &Path, gnupg: &Gnupg, include: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.gpg");
    write(&key, gnupg.export(&[]));
    let mut command = Command::new("debootstrap");
    command.args(["--print-debs", "--variant=minbase", "--arch=amd64"]).arg(format!("--include={include}"));
    command.arg(format!("--keyring={}", key.display())).arg("small").arg(dir.path().join("root"));
    command.arg(format!("file://{}", root.display())).arg("/usr/share/debootstrap/scripts/sid");
    let run = run(&mut command).ends(0);
    let mut all: Vec<String> = run.stdout.split_whitespace().map(str::to_owned).collect();
    all.sort();
    all
}

#[test]
fn of_several_sources_the_pin_counts_then_the_version() {
    let test = "of_several_sources_the_pin_counts_then_the_version";
    if !can_make(test) {
        return;
    }
    let gnupg = Gnupg::new();
    let dirs: Vec<tempfile::TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let make = |at: usize, version: &str| {
        let debs =
            [Deb::new("a", version, "Depends: b"), Deb::new("a", "0.9", ""), Deb::new("b", "1:1~rc1", "")];
        flat(dirs[at].path(), &debs[..], &gnupg, Fault::None);
    };
    make(0, "1.0");
    make(1, "1.10");
    make(2, "1.9");
    let keys = keyring(&gnupg.export_armored(&[]));
    let read: Vec<_> =
        dirs.iter().map(|dir| packages(&source(dir.path(), None), &keys, now()).expect("packages")).collect();
    let with = |pins: [i64; 3]| {
        let files: Vec<_> =
            read.iter().enumerate().map(|(at, (_, files))| (at, pins[at], &files[0])).collect();
        let catalogue = Catalogue::new(&files).expect("a catalogue");
        let wanted = Wanted { base: Base::Nothing, names: &["a"], architecture: "amd64" };
        closure(&catalogue, &wanted).map(|all| {
            all.iter().map(|one| format!("{} {} {}", one.source, one.name, one.version)).collect::<Vec<_>>()
        })
    };
    assert_eq!(with([500, 500, 500]).unwrap(), ["1 a 1.10", "0 b 1:1~rc1"]);
    assert_eq!(with([500, 100, 500]).unwrap(), ["2 a 1.9", "0 b 1:1~rc1"]);
    assert_eq!(with([990, 500, 500]).unwrap(), ["0 a 1.0", "0 b 1:1~rc1"]);
    assert_eq!(with([-1, -1, 1]).unwrap(), ["2 a 1.9", "2 b 1:1~rc1"]);
    assert_eq!(with([-1, -1, -1]).unwrap_err().kind, RefusalKind::Missing);
    // apt, shown what was read in directories of our own, counts the same.
    if oracle(test, "apt-get").is_none() {
        return;
    }
    for (pins, version) in
        [([500, 500, 500], "1.10"), ([500, 100, 500], "1.9"), ([990, 500, 500], "1.0"), ([-1, -1, 1], "1.9")]
    {
        let dir = tempfile::tempdir().unwrap();
        let mut named = Vec::new();
        for (at, (_, files)) in read.iter().enumerate() {
            let (name, directory) = (format!("source-{at}"), dir.path().join(format!("lists of {at}")));
            let text: Vec<u8> =
                files[0].iter().flat_map(|package| [package.stanza(), b"\n"].concat()).collect();
            write(directory.join("Release"), local_release(&name, &text));
            write(directory.join("Packages"), text);
            write(
                dir.path().join(format!("etc/apt/sources.list.d/{name}.sources")),
                local_list(directory.to_str().unwrap()),
            );
            named.push((name, pins[at]));
        }
        let pins: Vec<(&str, i64)> = named.iter().map(|(name, pin)| (name.as_str(), *pin)).collect();
        write(dir.path().join("etc/apt/preferences.d/pins.pref"), local_preferences(&pins));
        assert_eq!(
            simulated(dir.path(), &["a"]),
            [format!("a {version}"), "b 1:1~rc1".to_owned()],
            "{pins:?}"
        );
    }
}

#[test]
fn a_repository_that_is_wrong_is_refused_and_says_why() {
    let test = "a_repository_that_is_wrong_is_refused_and_says_why";
    if !can_make(test) {
        return;
    }
    let (gnupg, stranger) = (Gnupg::new(), Gnupg::new());
    let keys = keyring(&gnupg.export(&[]));
    let debs = [Deb::new("a", "1", "")];
    let cases = [
        (Fault::None, ""),
        (Fault::Signature, "a wrong signature by the key"),
        (Fault::Expired, "expired: it was valid until "),
        (Fault::Index, "expected the SHA256 "),
    ];
    for (fault, message) in cases {
        let root = tempfile::tempdir().unwrap();
        for is_flat in [false, true] {
            match is_flat {
                true => flat(root.path(), &debs, &gnupg, fault),
                false => suite(root.path(), "small", "main", &debs, &gnupg, fault),
            };
            let source = source(root.path(), Some("small").filter(|_| !is_flat));
            let read = packages(&source, &keys, now());
            match read {
                Ok(_) => assert_eq!(message, "", "{fault:?}"),
                Err(refusal) => {
                    assert!(
                        !message.is_empty() && refusal.to_string().contains(message),
                        "{fault:?}: {refusal}"
                    )
                }
            }
            let beside = verify_detached(
                "Release",
                file(&source.beside_release("Release")),
                &file(&source.beside_release("Release.gpg")),
                &keys,
                now(),
            );
            assert_eq!(beside.is_err(), fault == Fault::Signature, "{fault:?}");
            // Who says that no signature counts is given the text as it is.
            let unchecked =
                packages(&Source { check_signature: false, ..source }, &Keyring::default(), now());
            assert_eq!(unchecked.is_err(), fault == Fault::Index, "{fault:?}");
        }
        if fault == Fault::None {
            let source = source(root.path(), None);
            let in_release = file(&source.beside_release("InRelease"));
            let id = &gnupg.fingerprints("Tester")[0];
            let refusal = verify_clear("InRelease", &in_release, &Keyring::default(), now()).unwrap_err();
            assert_eq!(
                refusal.to_string(),
                format!("repository: InRelease: signed by {id}, and no key is known")
            );
            assert!(refusal.hint.unwrap().contains("<signing key="));
            let others = keyring(&stranger.export(&[]));
            let refusal = verify_clear("InRelease", &in_release, &others, now()).unwrap_err();
            assert_eq!(
                refusal.to_string(),
                format!("repository: InRelease: signed by {id}, and none of these keys is known")
            );
            let early = verify_clear("InRelease", &in_release, &keys, 1_000_000_000).unwrap_err();
            assert!(early.to_string().contains("signed in the future"), "{early}");
        }
    }
    // A package that is not the one of the index is found when it is fetched: by size and digest.
    let root = tempfile::tempdir().unwrap();
    flat(root.path(), &debs, &gnupg, Fault::Package);
    let source = source(root.path(), None);
    let (_, files) = packages(&source, &keys, now()).expect("its index is good");
    let package = files[0].iter().next().unwrap();
    assert!(!package.digest().matches(&file(&source.location.join(&package.filename()))));
}

#[test]
fn a_signature_counts_where_it_counts_for_gpgv() {
    let test = "a_signature_counts_where_it_counts_for_gpgv";
    if ["gpg", "gpgv"].iter().any(|program| oracle(test, program).is_none()) {
        return;
    }
    let gnupg = Gnupg::empty();
    gnupg.generate("first", "ed25519", "never", &[]);
    gnupg.generate("second", "rsa2048", "never", &[]);
    gnupg.generate("expired", "ed25519", "1d", &["--faked-system-time", "20240101T000000"]);
    gnupg.generate("revoked", "ed25519", "never", &[]);
    // A primary key that only certifies, and a subkey that signs.
    gnupg.gpg(["--quick-gen-key", "parent", "ed25519", "cert", "never"]);
    let parent = gnupg.fingerprints("parent")[0].clone();
    gnupg.gpg(["--quick-add-key", &parent, "nistp256/ecdsa", "sign", "never"]);
    gnupg.gpg(["--quick-add-key", &parent, "cv25519", "encr", "never"]);
    let text: &[u8] = b"Origin: Tests\n- a line with a dash\n-----BEGIN PGP SIGNATURE-----\n  blanks \t \n\n\nFrom \xe4 here\nend";
    let armored_text: &[u8] = b"Origin: Tests\r\nSuite: dos\r\n";
    let ring = |names: &[&str]| gnupg.export(names);
    let clear = |text: &[u8], names: &[&str], more: &[&str]| {
        let users = names.iter().flat_map(|name| ["--local-user", name]);
        gnupg.clear(text, &users.chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let revoked_signature = clear(text, &["revoked"], &[]);
    let unrevoked = ring(&["revoked"]);
    let certificate = gnupg.home_file(&format!("openpgp-revocs.d/{}.rev", gnupg.fingerprints("revoked")[0]));
    let certificate = String::from_utf8(certificate).unwrap().replacen(":-----BEGIN", "-----BEGIN", 1);
    gnupg.import(certificate.as_bytes());

    let good = clear(text, &["first"], &[]);
    let change = |from: &str, to: &str| {
        let text = good.clone();
        let at = text.windows(from.len()).position(|part| part == from.as_bytes()).expect(from);
        [&text[..at], to.as_bytes(), &text[at + from.len()..]].concat()
    };
    // Name, ring, signed text, whether it counts, a word of gpgv, a word of ours.
    type Case<'a> = (&'a str, Vec<u8>, Vec<u8>, bool, &'a str, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("ed25519", ring(&["first"]), good.clone(), true, "GOODSIG", ""),
        (
            "packets of trust, as in Ubuntu's",
            with_trust(&ring(&["first"])),
            good.clone(),
            true,
            "GOODSIG",
            "",
        ),
        (
            "rsa",
            ring(&["second"]),
            clear(text, &["second"], &["--digest-algo", "SHA512"]),
            true,
            "GOODSIG",
            "",
        ),
        ("a ring of several", ring(&[]), good.clone(), true, "GOODSIG", ""),
        ("lines of DOS", ring(&["first"]), clear(armored_text, &["first"], &[]), true, "GOODSIG", ""),
        ("a subkey", ring(&["parent"]), clear(text, &["parent"], &[]), true, "GOODSIG", ""),
        (
            "two keys, both known",
            ring(&["first", "second"]),
            clear(text, &["first", "second"], &[]),
            true,
            "GOODSIG",
            "",
        ),
        (
            "two keys, one known",
            ring(&["second"]),
            clear(text, &["first", "second"], &[]),
            true,
            "GOODSIG",
            "",
        ),
        ("not known", ring(&["second"]), good.clone(), false, "NO_PUBKEY", "none of these keys is known"),
        (
            "changed",
            ring(&["first"]),
            change("Origin: Tests", "Origin: Fests"),
            false,
            "BADSIG",
            "a wrong signature",
        ),
        (
            "a line more",
            ring(&["first"]),
            change("Origin", "Evil: 1\nOrigin"),
            false,
            "BADSIG",
            "a wrong signature",
        ),
        (
            "blanks at an end",
            ring(&["first"]),
            change("Origin: Tests", "Origin: Tests \t"),
            true,
            "GOODSIG",
            "",
        ),
        (
            "its key expired",
            ring(&["expired"]),
            clear(text, &["expired"], &["--faked-system-time", "20240101T010000"]),
            false,
            "EXPKEYSIG",
            "the key expired on 2024-01-02",
        ),
        (
            "its key is revoked",
            ring(&["revoked"]),
            revoked_signature.clone(),
            false,
            "REVKEYSIG",
            "the key is revoked",
        ),
        ("it is not yet", unrevoked, revoked_signature, true, "GOODSIG", ""),
        (
            "it expired",
            ring(&["first"]),
            clear(text, &["first"], &["--faked-system-time", "20990101T000000", "--ask-cert-level"]),
            false,
            "",
            "signed in the future",
        ),
    ];
    for (name, ring, signed, counts, word, ours) in &cases {
        let read = verify_clear("InRelease", signed, &keyring(ring), now());
        let said = gnupg.gpgv(ring, signed, None);
        assert_eq!(read.is_ok(), *counts, "{name}: {read:?}");
        assert!(word.is_empty() || said.iter().any(|one| one == word), "{name}: {said:?}");
        match read {
            Ok(verified) => {
                let lines = |text: &[u8]| {
                    let lines = text.split(|&byte| byte == b'\n');
                    let trimmed = lines.map(|line| line.trim_ascii_end().to_vec());
                    trimmed.collect::<Vec<_>>().join(&b'\n').trim_ascii_end().to_vec()
                };
                let expected = if *name == "lines of DOS" { armored_text } else { text };
                assert_eq!(lines(verified.text()), lines(expected), "{name}");
                assert!(!verified.signers().is_empty());
            }
            Err(refusal) => {
                assert!(refusal.to_string().contains(ours) && !ours.is_empty(), "{name}: {refusal}")
            }
        }
    }
    // What GnuPG and apt let through with a warning, or not at all.
    let weak = clear(text, &["second"], &["--digest-algo", "SHA1", "--allow-weak-digest-algos"]);
    let refusal = verify_clear("InRelease", &weak, &keyring(&ring(&["second"])), now()).unwrap_err();
    assert!(refusal.to_string().contains("SHA-1"), "{refusal}");
    let late = verify_clear(
        "InRelease",
        &clear(text, &["first"], &["--default-sig-expire", "1d"]),
        &keyring(&ring(&["first"])),
        now() + 90_000,
    );
    assert!(late.unwrap_err().to_string().contains("the signature expired on"));
    // Beside the text: binary, armored, and several in one file.
    let [binary, armored] = [&[][..], &["--armor"]]
        .map(|more| gnupg.detached(text, &[&["--local-user", "first"], more].concat()));
    let two = [gnupg.detached(text, &["--armor", "--local-user", "second"]), armored.clone()].concat();
    for signature in [&binary, &armored, &two] {
        let verified =
            verify_detached("Release", text.to_vec(), signature, &keyring(&ring(&["first"])), now());
        assert_eq!(verified.expect("it counts").text(), text);
        let changed = [text, b"\n"].concat();
        let refusal =
            verify_detached("Release", changed, signature, &keyring(&ring(&["first"])), now()).unwrap_err();
        assert!(refusal.to_string().contains("a wrong signature"), "{refusal}");
    }
    // A signature for one use is none for another.
    let refusal = verify_detached(
        "Release",
        text.to_vec(),
        &gnupg.detached(text, &["--textmode", "--local-user", "first"]),
        &keyring(&ring(&["first"])),
        now(),
    );
    assert!(refusal.unwrap_err().to_string().contains("for something else"));
    // Forms of the file that would let something in that is not signed, or that are cut.
    let lines = String::from_utf8_lossy(&good).into_owned();
    let bad = [
        ("text behind", format!("{lines}Origin: Evil\n"), "behind the signature"),
        ("text in front", format!("Origin: Evil\n{lines}"), "expected a signed text"),
        ("a second text", format!("{lines}{lines}"), "behind the signature"),
        ("another header", lines.replacen("Hash: ", "Comment: ", 1), "expected Hash:"),
        ("no escape", lines.replacen("- - a line", "-a line", 1), "without its escape"),
        ("a lone carriage return", lines.replacen("Tests\n", "Tests\r", 1), "a carriage return"),
        (
            "no signature",
            lines.rsplit_once("-----BEGIN PGP SIGNATURE").unwrap().0.to_owned(),
            "ends before its signature",
        ),
        ("half a signature", lines[..lines.len() - 60].to_owned(), "ends within its signature"),
        ("nothing", String::new(), "expected a signed text"),
    ];
    for (name, text, word) in bad {
        let refusal =
            verify_clear("InRelease", text.as_bytes(), &keyring(&ring(&[])), now()).expect_err(name);
        assert!(refusal.to_string().contains(word), "{name}: {refusal}");
    }
}

#[test]
fn keyrings_of_every_form() {
    let test = "keyrings_of_every_form";
    if oracle(test, "gpg").is_none() {
        return;
    }
    let gnupg = Gnupg::empty();
    gnupg.generate("first", "ed25519", "never", &[]);
    gnupg.generate("second", "ed25519", "never", &[]);
    let signed = gnupg.clear(b"text\n", &["--local-user", "second"]);
    let [one, two] = ["first", "second"].map(|name| gnupg.export_armored(&[name]));
    let forms = [
        gnupg.export(&[]),
        gnupg.export_armored(&[]),
        [&one[..], &two].concat(),
        [b"# keys\n", &one[..], b"\nand another\n", &two].concat(),
        String::from_utf8(gnupg.export_armored(&[])).unwrap().replace('\n', "\r\n").into_bytes(),
    ];
    for (at, form) in forms.iter().enumerate() {
        let keys = keyring(form);
        assert_eq!(keys.len(), 2, "{at}");
        verify_clear("InRelease", &signed, &keys, now()).unwrap_or_else(|refusal| panic!("{at}: {refusal}"));
    }
    let cut = &one[..one.len() - 40];
    let secret = gnupg.gpg(["--armor", "--export-secret-keys", "first"]);
    let mut keybox = vec![0, 0, 0, 32, 1, 1, 0, 2];
    keybox.extend(b"KBXf....");
    for (bytes, word) in [
        (cut, "ends within its armor"),
        (&secret, "private key"),
        (&keybox, "a keybox"),
        (b"", "neither armored"),
        (b"\x99\x01", "no key in it"),
        (b"text", "neither armored nor binary"),
    ] {
        let refusal = Keyring::default().add("test.gpg", bytes).expect_err(word);
        assert!(refusal.to_string().contains(word), "{word}: {refusal}");
    }
}

#[test]
fn versions_have_the_order_of_dpkg() {
    let test = "versions_have_the_order_of_dpkg";
    if oracle(test, "dpkg").is_none() {
        return;
    }
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    let mut version = |alphabet: &[u8]| {
        let len = random(5);
        let start = ["", "0", "1", "1:1", "1.0"][random(5)].to_owned();
        (0..len)
            .map(|_| char::from(alphabet[random(alphabet.len())]))
            .fold(start, |text, c| format!("{text}{c}"))
    };
    let mut seen = [0; 4];
    for round in 0..600 {
        // Few characters, so that many versions are nearly the same.
        let alphabet: &[u8] = [&b"01~a-"[..], b"019.+~-:", b"1a.Z~", b"0_:x-"][round % 4];
        let (a, b) = (version(alphabet), version(alphabet));
        let said =
            |sign: &str| run(Command::new("dpkg").args(["--compare-versions", &a, sign, &b])).code == Some(0);
        let order = [(Ordering::Less, "lt-nl"), (Ordering::Greater, "gt-nl"), (Ordering::Equal, "eq")];
        let valid = |version: &str| {
            let said = run(Command::new("dpkg").args(["--validate-version", version])).code;
            assert_eq!(is_version(version), said == Some(0), "{version}");
            said == Some(0)
        };
        if !(valid(&a) & valid(&b)) {
            seen[3] += 1;
            continue;
        }
        let expected = order.iter().find(|(_, sign)| said(sign)).expect("one of them");
        assert_eq!(compare_versions(&a, &b), expected.0, "{a} {b}");
        assert_eq!(compare_versions(&b, &a), expected.0.reverse(), "{b} {a}");
        seen[(expected.0 as i8 + 1) as usize] += 1;
    }
    assert!(seen.iter().all(|count| *count > 2), "{seen:?}");
}

#[test]
fn where_repositories_are() {
    let cases = [
        ("", "http://deb.example.org/debian/", "http://deb.example.org/debian/a"),
        ("", "https://me@example.org:8443", "a user without a password"),
        ("", "https://me:s%65cret%20@example.org:8443/x/y//", "https://example.org:8443/x/y/a"),
        ("username=\"you\" password=\"secret2\"", "https://me:secret@example.org/", "https://example.org/a"),
        ("username=\"you\"", "https://example.org/", "username and password are needed together"),
        ("", "ftp://example.org/%arch/deb", "ftp://example.org/x86_64/deb/a"),
        ("", "dir:///srv/debs/./x", "/srv/debs/x/a"),
        ("", "file:/srv/debs", "/srv/debs/a"),
        ("", "file://localhost/srv/debs", "/srv/debs/a"),
        ("", "/srv/debs/", "/srv/debs/a"),
        ("", "this://debs/%arch", "/home/description/debs/x86_64/a"),
        ("", "this:debs", "/home/description/debs/a"),
        ("", "this:///debs", "no relative path"),
        ("", "dir://debs/x", "no absolute path"),
        ("", "debs", "a location without a scheme"),
        ("", "obs://A:B:C/Debian_12", "https://download.example.org/repositories/A:/B:/C/Debian_12/a"),
        ("", "obs://A:/B:/C/Debian_12", "https://download.example.org/repositories/A:/B:/C/Debian_12/a"),
        ("", "obs://A:B", "obs: needs a project and a repository"),
        ("", "obsrepositories:/", "name one in its place: --set-repo"),
        ("", "iso:///a.iso", "a repository in an ISO image is not supported"),
        ("", "gopher://example.org", "no scheme that is known"),
        ("", "https://", "an URL without a host"),
        ("", "https://example.org/a b", "an URL without a host, or with characters"),
        ("", "https://example.org/?credentials=secret", "a file with credentials"),
        ("", "https://example.org/?token=secret", "a location with a query"),
        ("type=\"rpm-md\"", "https://example.org", "apt cannot use a repository of this type: rpm-md"),
        ("type=\"deb-dir\"", "https://example.org", "https://example.org/a"),
        (
            "sourcetype=\"metalink\"",
            "https://example.org",
            "apt has no repositories of this sourcetype: metalink",
        ),
        (
            "sourcetype=\"mirrorlist\"",
            "https://example.org",
            "apt has no repositories of this sourcetype: mirrorlist",
        ),
        ("distribution=\"../x\"", "https://example.org", "no suite in a repository"),
        (
            "distribution=\"x\" components=\"main ../../y\"",
            "https://example.org",
            "no component in a repository",
        ),
    ];
    for (attributes, path, expected) in cases {
        let shown = match one(attributes, path, &[]) {
            Ok(source) => {
                assert!(!format!("{source:?}").contains("secret"), "{source:?}");
                source.location.join("a").to_string()
            }
            Err(problems) => problems,
        };
        assert!(shown.contains(expected), "{path}:\n{shown}");
        assert!(!shown.contains("secret"), "{path}:\n{shown}");
    }
    let opened =
        |source: Source| source.credentials.map(|open| (open.user().to_owned(), open.password().to_owned()));
    let inside = one("", "https://me:s%65cret%20@example.org", &[]).map(opened).unwrap();
    assert_eq!(inside, Some(("me".to_owned(), "secret ".to_owned())));
    let said = one("username=\"you\" password=\"secret2\"", "https://me:secret@example.org", &[])
        .map(opened)
        .unwrap();
    assert_eq!(said, Some(("you".to_owned(), "secret2".to_owned())));
    for (server, expected) in [("gopher://a", "neither http: nor https:"), ("a", "obs.download_url: no URL")]
    {
        let element = "<repository><source path=\"obs://A/B\"/></repository>";
        let Err(refused) = described(element, server) else { panic!() };
        assert!(refused.contains(expected) && refused.contains("runtime configuration"), "{refused}");
    }
    // What a mirror has to be asked for: names of files with signs that mean something in an URL.
    let Ok(source) = one("", "https://example.org/d", &[]) else { panic!() };
    assert_eq!(
        source.location.join("pool/g++_1%3a2~3_all.deb").to_string(),
        "https://example.org/d/pool/g%2b%2b_1%253a2%7e3_all.deb"
    );
}

#[test]
fn what_attributes_of_a_repository_say() {
    let source = one(
        "type=\"apt-deb\" alias=\"mine\" distribution=\"trixie\" components=\"main  contrib\" architectures=\"x86_64,arm64\" \
         priority=\"-5\" imageinclude=\"true\" repository_gpgcheck=\"false\" customize=\"hook.sh\"",
        "https://example.org/debian",
        &["file:///a.gpg", "this://keys/b.asc", "https://example.org/c?d=e"],
    );
    let source = source.unwrap();
    assert_eq!(source.name, "mine");
    let components = vec!["main".to_owned(), "contrib".to_owned()];
    assert_eq!(source.kind, Kind::Suite { suite: "trixie".to_owned(), components });
    assert_eq!(source.architectures, ["amd64", "arm64"]);
    assert_eq!(
        (source.priority, source.imageinclude, source.imageonly, source.check_signature),
        (Some(-5), true, false, false)
    );
    assert_eq!(source.customize.as_deref(), Some("hook.sh"));
    let keys: Vec<String> = source.keys.iter().map(Location::to_string).collect();
    assert_eq!(keys, ["/a.gpg", "/home/description/keys/b.asc", "https://example.org/c?***"]);
    let Location::Url(key) = &source.keys[2] else { panic!() };
    assert_eq!(key.request(), "https://example.org/c?d=e");
    assert!(source.serves("amd64") && source.serves("arm64") && !source.serves("riscv64"));
    assert!(source.place.starts_with("config.xml:"));
    assert_eq!(
        source.list(),
        "Types: deb\nURIs: https://example.org/debian\nArchitectures: amd64 arm64\nSuites: trixie\nComponents: main contrib\n\
         Trusted: yes\nCheck-Valid-Until: no\n"
    );
    assert_eq!(source.preferences().unwrap(), "Package: *\nPin: origin \"example.org\"\nPin-Priority: -5\n");

    let flat = one("imageonly=\"true\"", "/srv/my debs", &[]).unwrap();
    assert_eq!(flat.kind, Kind::Flat { directory: String::new() });
    assert!(flat.check_signature && flat.imageonly && !flat.serves("amd64") && flat.preferences().is_none());
    assert_eq!(flat.list(), "Types: deb\nURIs: file:/srv/my%20debs\nSuites: ./\n");
    assert_eq!(flat.beside_release("InRelease").to_string(), "/srv/my debs/InRelease");
    let signed =
        one("alias=\"two\" imageinclude=\"true\"", "/srv", &["file:///a.gpg", "file:///b.asc"]).unwrap();
    let keyrings = "Signed-By: /usr/share/keyrings/two-archive-keyring.gpg /usr/share/keyrings/two-archive-keyring-1.gpg\n";
    assert_eq!(signed.list(), format!("Types: deb\nURIs: file:/srv\nSuites: ./\n{keyrings}"));
    let below = one("distribution=\"./sub/dir/\"", "/srv", &[]).unwrap();
    assert_eq!(below.kind, Kind::Flat { directory: "sub/dir".to_owned() });
    assert_eq!(below.beside_release("InRelease").to_string(), "/srv/sub/dir/InRelease");
    let suite = one("distribution=\"stable\"", "/srv", &[]).unwrap();
    assert_eq!(suite.kind, Kind::Suite { suite: "stable".to_owned(), components: vec!["main".to_owned()] });
    assert_eq!(suite.beside_release("InRelease").to_string(), "/srv/dists/stable/InRelease");
}

#[test]
fn names_differ_and_passwords_are_not_in_pictures_of_errors() {
    let repository = |attributes: &str, path: &str| {
        format!("<repository {attributes}><source path=\"{path}\"/></repository>")
    };
    let [plain, suite] = [("", "https://example.org/a/b"), ("distribution=\"s\"", "https://example.org/a/b")];
    let all: String =
        [plain, suite, plain, plain].map(|(attributes, path)| repository(attributes, path)).concat();
    let all = described(&all, OBS_DOWNLOADS).unwrap();
    let names: Vec<&str> = all.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["example.org-a-b", "example.org-a-b-s", "example.org-a-b-2", "example.org-a-b-3"]);
    let twice = [plain, plain].map(|(_, path)| repository("alias=\"x\"", path)).concat();
    assert!(described(&twice, OBS_DOWNLOADS).unwrap_err().contains("two repositories with this name: x"));
    // All in one line, of which a picture is drawn.
    let line = [
        repository("username=\"u\" password=\"secret-1\"", "iso:///x"),
        repository("password = 'secret-2' username=\"v\"", "https://w:secret-3@example.org/"),
        repository("", "https://example.org/?secret-4"),
    ];
    let shown = described(&line.concat(), OBS_DOWNLOADS).unwrap_err();
    assert!(
        shown.contains("ISO image") && shown.contains("<source path=") && shown.contains("****"),
        "{shown}"
    );
    assert!(!shown.contains("secret") && !shown.contains("w:"), "{shown}");
}

#[test]
fn apt_reads_the_lists_that_the_image_gets() {
    let test = "apt_reads_the_lists_that_the_image_gets";
    if oracle(test, "apt-get").is_none() {
        return;
    }
    let cases = [
        (
            "distribution=\"trixie\" components=\"main contrib\" architectures=\"amd64\"",
            "https://example.org/debian",
            "https://example.org/debian/dists/trixie/",
            &["InRelease", "main/binary-amd64/Packages.xz", "contrib/binary-amd64/Packages.xz"][..],
        ),
        (
            "distribution=\"sub/dir/\" repository_gpgcheck=\"false\"",
            "dir:///srv/my debs",
            "file:/srv/my%20debs/sub/dir/",
            &["InRelease", "Packages.xz"],
        ),
        ("", "http://example.org:2121/x~y/", "http://example.org:2121/x~y/./", &["InRelease", "Packages.xz"]),
    ];
    for (attributes, path, base, files) in cases {
        let dir = tempfile::tempdir().unwrap();
        let list = one(attributes, path, &[]).unwrap().list();
        write(dir.path().join("etc/apt/sources.list.d/a.sources"), &list);
        let run = run(apt_get(dir.path()).args(["update", "--print-uris"])).ends(0);
        assert_eq!(run.stderr, "", "{list}");
        // 'URL' FILE SIZE
        let urls = run.stdout.lines().filter_map(|line| line.strip_prefix('\'')?.split('\'').next());
        let urls: Vec<&str> =
            urls.filter(|url| !url.ends_with("en.xz") && !url.contains("binary-all")).collect();
        let expected: Vec<String> = files.iter().map(|file| format!("{base}{file}")).collect();
        assert_eq!(urls, expected, "{list}");
    }
}
