//! The table of KIWI's schema keeps its word about what is not used: what it calls recorded changes no byte of an image,
//! and what it calls refused is refused by name, at its line, before any work. (That what it calls used is used,
//! `describe_schema.rs` shows.)
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use diskwright::build::identity;
use diskwright::describe::kiwi::{Row, State, parse, rows};
use diskwright::describe::{Diagnostic, Severity};
use diskwright::model::Arch;
use diskwright::plan::plan;
use diskwright::resolve::{Choice, ResolveError, Resolved, resolve};
use std::collections::BTreeSet;
use std::path::Path;

/// An element to write down.
#[derive(Clone, Debug, Default)]
struct Node {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Node>,
}

impl Node {
    fn new(name: &str, attributes: &[(&str, &str)], children: Vec<Node>) -> Node {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Node { name: name.to_owned(), attributes, text: String::new(), children }
    }

    fn text(name: &str, text: &str) -> Node {
        Node { text: text.to_owned(), ..Node::new(name, &[], Vec::new()) }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.attributes.retain(|(other, _)| other != name);
        self.attributes.push((name.to_owned(), value.to_owned()));
    }

    /// Each start tag on a line of its own.
    fn xml(&self) -> String {
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let attributes: String =
            self.attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", escaped(value))).collect();
        let children: String = self.children.iter().map(|child| format!("\n{}", child.xml())).collect();
        let Node { name, text, .. } = self;
        format!("<{name}{attributes}>{}{children}</{name}>", escaped(text))
    }
}

/// A small disk that can be made.
fn base() -> Node {
    let about = Node::new(
        "description",
        &[("type", "system")],
        vec![Node::text("author", "A"), Node::text("contact", "a@b"), Node::text("specification", "S")],
    );
    let partition = [("name", "data"), ("size", "8"), ("filesystem", "ext4"), ("mountpoint", "/srv")];
    let kind = Node::new(
        "type",
        &[("image", "oem"), ("filesystem", "ext4"), ("firmware", "uefi")],
        vec![
            Node::new("bootloader", &[("name", "custom")], Vec::new()),
            Node::new("oemconfig", &[], vec![Node::text("oem-resize", "false")]),
            Node::text("size", "64"),
            Node::new("partitions", &[], vec![Node::new("partition", &partition, Vec::new())]),
        ],
    );
    let preferences = Node::new(
        "preferences",
        &[],
        vec![Node::text("version", "1"), Node::text("packagemanager", "apt"), kind],
    );
    let profile =
        Node::new("profile", &[("name", "P"), ("description", "p"), ("import", "true")], Vec::new());
    let profiles = Node::new("profiles", &[], vec![profile]);
    let namespace = ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance");
    let image = [("schemaversion", "8.5"), ("name", "t"), namespace];
    Node::new("image", &image, vec![about, profiles, preferences])
}

/// The element of this path with all that it must have.
fn least(rows: &[Row], path: &str) -> Node {
    let row = rows.iter().find(|row| row.path == path).expect("a row");
    let mut node = Node::text(path.rsplit('/').next().unwrap_or(path), row.example.unwrap_or(""));
    for row in rows.iter().filter(|row| row.required && !row.path.contains('=')) {
        let Some(rest) = row.path.strip_prefix(path) else { continue };
        if let Some(name) = rest.strip_prefix('@') {
            node.set(name, row.example.unwrap_or(""));
        } else if rest.strip_prefix('/').is_some_and(|rest| !rest.contains(['/', '@'])) {
            node.children.push(least(rows, &row.path));
        }
    }
    match path {
        "image/extension" => {
            node.children.push(Node::new("my:data", &[("xmlns:my", "https://my.own")], vec![]))
        }
        // Empty ones need nothing.
        "image/packages" => node.children.push(least(rows, "image/packages/package")),
        "image/preferences/type/containerconfig/entrypoint"
        | "image/preferences/type/containerconfig/subcommand" => node.set("execute", "run"),
        _ => {}
    }
    node
}

/// Elements of a path, the attribute, and the value where the row is that of a value.
fn parts(path: &str) -> (&str, Option<&str>, Option<&str>) {
    let (path, value) = path.split_once('=').map_or((path, None), |(path, value)| (path, Some(value)));
    let (elements, attribute) = path.split_once('@').map_or((path, None), |(path, name)| (path, Some(name)));
    (elements, attribute, value)
}

/// The node at a path below `node`, which is that of `at`; made where it is not there.
fn reach<'a>(rows: &[Row], node: &'a mut Node, at: &str, path: &str) -> &'a mut Node {
    let Some(rest) = path.strip_prefix(at).and_then(|rest| rest.strip_prefix('/')) else { return node };
    let name = rest.split('/').next().unwrap_or(rest);
    let below = format!("{at}/{name}");
    let found = node.children.iter().position(|child| child.name == name);
    let index = found.unwrap_or_else(|| {
        node.children.push(least(rows, &below));
        node.children.len() - 1
    });
    reach(rows, &mut node.children[index], &below, path)
}

/// What KIWI's rules want beside a row: elements, an attribute of them, a value.
const BESIDE: &[(&str, &str, &str, &str)] = &[
    ("image/packages/collectionModule", "image/packages", "type", "bootstrap"),
    ("image/packages@bootstrap_package", "image/packages", "type", "bootstrap"),
    ("image/repository@architectures", "image/repository", "type", "apt-deb"),
    ("image/preferences/type@embed_verity_metadata", "image/preferences/type", "verity_blocks", "1"),
    (
        "image/preferences/type@embed_integrity_metadata",
        "image/preferences/type",
        "standalone_integrity",
        "true",
    ),
    ("image/preferences/type@boot", "image/preferences/type", "initrd_system", "kiwi"),
    ("image/preferences/type/luksformat", "image/preferences/type", "luks", "x"),
    ("image/preferences/type/bootloader/securelinux", "image/preferences/type/bootloader", "name", "zipl"),
    (
        "image/preferences/type/bootloader@targettype",
        "image/preferences/type/bootloader",
        "name",
        "grub2_s390x_emu",
    ),
    ("image/preferences/type/bootloader@timeout_style", "image/preferences/type/bootloader", "name", "grub2"),
    ("image/preferences/type@btrfs_", "image/preferences/type", "filesystem", "btrfs"),
    ("image/preferences/type@derived_from", "image/preferences/type", "format", "oci:qcow2"),
    ("image/preferences/type/containerconfig", "image/preferences/type", "format", "oci:qcow2"),
    ("image/preferences/type@format=vagrant", "image/preferences/type/vagrantconfig", "provider", "libvirt"),
    (
        "image/preferences/type/vagrantconfig@virtualbox_",
        "image/preferences/type/vagrantconfig",
        "provider",
        "virtualbox",
    ),
    ("image/preferences/type/systemdisk/volume@quota", "image/preferences/type", "filesystem", "btrfs"),
    ("image/preferences/type/systemdisk/volume@parent", "image/preferences/type", "filesystem", "btrfs"),
];

/// A description with a row in it, and the number of the line that it is in.
fn with(rows: &[Row], base: &Node, row: &Row, value: Option<&str>) -> (String, usize) {
    let mut root = base.clone();
    put(rows, &mut root, row, value);
    // The line is that of the last start tag on the way.
    let (elements, ..) = parts(&row.path);
    let mut marked = root.clone();
    reach(rows, &mut marked, "image", elements).set("here", "");
    let marked = marked.xml();
    let before = marked.find(" here=\"\"").expect("it is there");
    (root.xml(), marked[..before].matches('\n').count() + 1)
}

/// Whether a path is this one, or one in it; where this one ends with `_`, whether it starts like that.
fn under(path: &str, start: &str) -> bool {
    let within = |rest: &str| rest.is_empty() || rest.starts_with(['/', '@', '=']) || start.ends_with('_');
    path.strip_prefix(start).is_some_and(within)
}

fn put(rows: &[Row], root: &mut Node, row: &Row, value: Option<&str>) {
    for (start, elements, name, value) in BESIDE {
        if under(&row.path, start) {
            reach(rows, root, "image", elements).set(name, value);
        }
    }
    let (elements, attribute, own) = parts(&row.path);
    let node = reach(rows, root, "image", elements);
    if attribute == Some("clear") {
        node.attributes.retain(|(name, _)| name != "execute");
    }
    let value = own.or(value).or(row.example);
    match (attribute, value) {
        (Some(name), Some(value)) => node.set(name, value),
        (None, Some(value)) => node.text = value.to_owned(),
        _ => {}
    }
}

fn resolved(xml: &str) -> Result<Resolved, Vec<Diagnostic>> {
    let model = parse("d.xml", xml.as_bytes().to_vec()).map_err(|diagnostics| diagnostics.list)?;
    match resolve(&model, &Choice::new(Arch::X86_64)) {
        Ok(resolved) if resolved.lacks.is_empty() => Ok(resolved),
        Ok(resolved) => Err(resolved.told().list),
        Err(ResolveError::Refused(diagnostics)) => Err(diagnostics.list),
        Err(ResolveError::Choice(refusal)) => panic!("{refusal}\n{xml}"),
    }
}

fn errors(list: &[Diagnostic]) -> Vec<&Diagnostic> {
    list.iter().filter(|one| one.severity == Severity::Error).collect()
}

fn said(list: &[Diagnostic]) -> String {
    list.iter().map(|one| format!("{one}\n")).collect()
}

/// The plan and the default seed: with one tree they are the image, byte by byte.
fn planned(resolved: &Resolved) -> (String, Vec<u8>) {
    let image = &resolved.image;
    let plan = plan(image, &identity(image, None, 0)).expect("it can be planned");
    (serde_json::to_string(&plan).expect("JSON"), image.seed())
}

/// Refused rows that KIWI's rules allow nowhere, and why. They are refused by name all the same.
const NOWHERE: &[(&str, &str)] = &[(
    "image/preferences/type/containerconfig/volumes/volume@quota",
    "the schema shares the element with disks, and a rule says that only those have quotas",
)];

/// Recorded rows that KIWI's rules allow only beside something that is refused: where they start, the element, attribute and
/// value that they need. They add nothing to what is refused then.
const BESIDE_REFUSED: &[(&str, &str, &str, &str, &str)] = &[
    ("image/preferences/type/oemconfig/oem-swapname", VOLUMES, "preferlvm", "true", "only LVM has it"),
    ("image/preferences/type/installmedia", TYPE, "installiso", "true", "only install media have it"),
];
const TYPE: &str = "image/preferences/type";
const VOLUMES: &str = "image/preferences/type/systemdisk";

/// A second value where one says little.
fn values(row: &Row) -> Vec<Option<&str>> {
    let words = if row.path.contains('=') { Vec::new() } else { row.words.clone() };
    let mut values: Vec<Option<&str>> = words.into_iter().map(Some).collect();
    match row.example {
        _ if row.path.ends_with("@profiles") => values.push(Some("P")),
        _ if row.path == "image@schemaversion" => values.extend([Some("8.4"), Some("8.5")]),
        Some("true") => values.extend([Some("true"), Some("false")]),
        Some("1") => values.extend([Some("1"), Some("2")]),
        Some("text") => values.extend([Some("text"), Some("/other")]),
        _ => values.push(row.example),
    }
    values.sort_unstable();
    values.dedup();
    values
}

fn recorded(rows: &[Row]) -> Vec<&Row> {
    rows.iter().filter(|row| row.state.name() == "recorded").collect()
}

#[test]
fn what_is_recorded_changes_no_plan_and_is_said_where_that_is_worth_it() {
    let rows = rows();
    let base = base();
    let plain = planned(&resolved(&base.xml()).unwrap_or_else(|list| panic!("{}", said(&list))));
    let (mut wrong, mut compared, mut beside_refused) = (Vec::new(), 0, 0);
    for row in recorded(&rows) {
        for value in values(row) {
            // A word that is refused has a row of its own.
            let own = value.map(|value| format!("{}={value}", row.path));
            if rows.iter().any(|one| Some(&one.path) == own.as_ref() && one.state.name() == "refused") {
                continue;
            }
            let beside = BESIDE_REFUSED.iter().find(|(start, ..)| under(&row.path, start));
            if let Some((_, element, name, needed, _)) = beside {
                let mut refused = base.clone();
                reach(&rows, &mut refused, "image", element).set(name, needed);
                let before = lacks(&refused.xml());
                assert!(!before.is_empty(), "{} is supported: this row needs no exception", row.path);
                let after = lacks(&with(&rows, &refused, row, value).0);
                if before != after {
                    wrong.push(format!("{} = {value:?}: {after:?} instead of {before:?}", row.path));
                }
                beside_refused += 1;
                continue;
            }
            let (xml, line) = with(&rows, &base, row, value);
            match resolved(&xml) {
                Ok(resolved) => {
                    compared += 1;
                    if planned(&resolved) != plain {
                        wrong.push(format!("{} = {value:?} changes the plan", row.path));
                    }
                    wrong.extend(unsaid(row, &resolved, line));
                }
                Err(list) => wrong.push(format!("{} = {value:?}: {}", row.path, said(&list))),
            }
        }
    }
    println!(
        "{compared} descriptions with a recorded row, one plan; {beside_refused} beside what is refused"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 200);
}

/// All errors; panics where one is not about support.
fn lacks(xml: &str) -> Vec<String> {
    let list = resolved(xml).err().unwrap_or_default();
    let part = |one: &&Diagnostic| one.lack.as_ref().unwrap_or_else(|| panic!("{one}\n{xml}")).part.clone();
    errors(&list).iter().map(part).collect()
}

/// What is noted is a warning, and what shapes the tree an error of `build`: at its line, or that of what it is in.
fn unsaid(row: &Row, resolved: &Resolved, line: usize) -> Option<String> {
    let list = match row.state {
        State::Noted(_) => &resolved.warnings.list,
        // apt installs them.
        State::Shapes(_) if row.path.starts_with("image/packages") => return None,
        State::Shapes(_) => &resolved.needs,
        _ => return None,
    };
    let (elements, attribute, _) = parts(&row.path);
    let mut names = elements.split('/').skip(1).chain(attribute);
    let named = |one: &Diagnostic| one.position().0 <= line && names.any(|name| one.message.contains(name));
    let found = list.iter().any({
        let mut named = named;
        move |one| named(one)
    });
    (!found && row.path != "image@id").then(|| format!("{row} is not said:\n{}", said(list)))
}

/// The bytes of the image of a description with this tree.
fn image(xml: &str, tree: &Path, at: &Path) -> Vec<u8> {
    support::write(at.join("d/config.xml"), xml);
    let (description, out) = (at.join("d"), at.join("out"));
    let arguments = ["create".as_ref(), description.as_os_str(), "--root".as_ref(), tree.as_os_str()];
    support::diskwright(arguments.into_iter().chain(["-o".as_ref(), out.as_os_str()])).ends(0);
    std::fs::read(out.join(&support::listing(&out)[0])).unwrap()
}

#[test]
fn everything_that_is_recorded_together_changes_no_byte() {
    let rows = rows();
    let base = base();
    let (mut full, mut count) = (base.clone(), 0);
    for row in recorded(&rows) {
        let mut more = full.clone();
        put(&rows, &mut more, row, None);
        // Some exclude one another.
        if resolved(&more.xml()).is_ok() {
            full = more;
            count += 1;
        }
    }
    let at = tempfile::tempdir().unwrap();
    let tree = at.path().join("tree");
    support::write(tree.join("etc/hostname"), "small\n");
    support::write(tree.join("srv/data"), support::noise(1, 10_000));
    let images = [(&base, "base"), (&full, "full")]
        .map(|(node, name)| image(&node.xml(), &tree, &at.path().join(name)));
    println!("{count} recorded rows in one description");
    assert!(images[0] == images[1], "the image of a description with all that is recorded is another one");
    assert!(count > 150, "{count}");
}

#[test]
fn what_is_refused_is_refused_by_name_at_its_line() {
    let rows = rows();
    let base = base();
    let plain = planned(&resolved(&base.xml()).unwrap_or_else(|list| panic!("{}", said(&list))));
    let types: Vec<&str> = rows
        .iter()
        .find(|row| row.path == "image/preferences/type@image")
        .map(|row| row.words.clone())
        .unwrap_or_default();
    let mut wrong = Vec::new();
    let refused: Vec<&Row> = rows.iter().filter(|row| row.state.name() == "refused").collect();
    for row in &refused {
        // Attributes of a type are for some images: there it is either that is refused.
        let kind = |image: &str| {
            let mut base = base.clone();
            let kind = reach(&rows, &mut base, "image", "image/preferences/type");
            if image != "oem" {
                *kind = Node::new("type", &[("image", image)], Vec::new());
            }
            match image {
                "appx" => kind.set("metadata_path", "x"),
                "pxe" => kind.set("initrd_system", "dracut"),
                _ => {}
            }
            base
        };
        let found = std::iter::once("oem").chain(types.iter().copied()).find_map(|image| {
            let image = if row.path.starts_with("image/preferences/type@image=") {
                parts(&row.path).2?
            } else {
                image
            };
            let (xml, line) = with(&rows, &kind(image), row, None);
            let list = match resolved(&xml) {
                Ok(_) => return Some(Err(format!("{} is accepted:\n{xml}", row.path))),
                Err(list) => list,
            };
            let other = errors(&list).iter().any(|one| one.lack.is_none());
            (!other).then(|| judge(row, image, &list, line))
        });
        match found {
            None => {
                let (xml, line) = with(&rows, &base, row, None);
                let list = resolved(&xml).err().unwrap_or_default();
                match NOWHERE.iter().any(|(path, _)| *path == row.path) {
                    true => wrong.extend(judge(row, "oem", &list, line).err()),
                    false => wrong.push(format!("{}: no type has it: {}", row.path, said(&list))),
                }
            }
            Some(Err(why)) => wrong.push(why),
            Some(Ok(())) => {}
        }
        if matches!(row.state, State::Off(_)) {
            let off = if row.example == Some("true") { "false" } else { "0" };
            let (xml, _) = with(&rows, &base, row, Some(off));
            match resolved(&xml) {
                Ok(resolved) if planned(&resolved) != plain => {
                    wrong.push(format!("{} = {off} changes the plan", row.path))
                }
                // What its neighbours are refused for is not its own.
                Err(list) if errors(&list).iter().any(|one| one.message.contains(&name_of(row))) => {
                    wrong.push(format!("{} = {off}: {}", row.path, said(&list)));
                }
                _ => {}
            }
        }
    }
    println!("{} rows refused", refused.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused.len() > 100);
}

/// One row for each thing that is not supported: the program says so before it looks at the tree, which is not there.
#[test]
fn what_is_refused_is_refused_before_any_work() {
    let rows = rows();
    let base = base();
    let at = tempfile::tempdir().unwrap();
    let mut features = BTreeSet::new();
    for row in rows.iter().filter(|row| matches!(row.state, State::Refused(_) | State::Off(_))) {
        if !features.insert(row.state.why()) {
            continue;
        }
        let (xml, line) = with(&rows, &base, row, None);
        support::write(at.path().join("d/config.xml"), xml);
        let mut command = support::command(["create", "d", "--root", "tree", "-o", "out"]);
        let refused = support::run(command.current_dir(at.path())).ends(1);
        let place = format!("d/config.xml:{line}:");
        let named = refused.stderr.contains("not supported yet") && refused.stderr.contains(&place);
        // A row in an element that is refused is refused in the line of that element.
        let above = row.path.matches('/').count() > 2;
        assert!(named || above && refused.stderr.contains("not supported yet"), "{row}\n{}", refused.stderr);
        assert_eq!(support::listing(at.path()), ["d"], "{row}");
    }
    assert!(features.len() > 20, "{features:?}");
}

/// `type@luks`, `oem-swap`
fn name_of(row: &Row) -> String {
    let (elements, attribute, _) = parts(&row.path);
    let element = elements.rsplit('/').next().unwrap_or(elements);
    attribute.map_or(element.to_owned(), str::to_owned)
}

/// Whether one of the errors names the row, or what it is in, at its line or above.
fn judge(row: &Row, image: &str, list: &[Diagnostic], line: usize) -> Result<(), String> {
    let (elements, attribute, value) = parts(&row.path);
    let mut parts: BTreeSet<String> = BTreeSet::new();
    let names: Vec<&str> = elements.split('/').collect();
    let element = names.last().copied().unwrap_or("");
    match (attribute, value) {
        (Some(attribute), Some(value)) => parts.insert(format!("{element}@{attribute}={value}")),
        (Some(attribute), None) => parts.insert(format!("{element}@{attribute}")),
        (None, _) => parts.insert(element.to_owned()),
    };
    let here = |one: &&&Diagnostic| {
        one.position().0 == line && one.lack.as_ref().is_some_and(|lack| parts.contains(&lack.part))
    };
    // What is in something that is refused is refused with it.
    let above = |one: &&&Diagnostic| {
        let outer = names.iter().skip(1).take(names.len() - 2).map(|name| (*name).to_owned());
        let outer: Vec<String> = outer
            .chain(attribute.map(|_| element.to_owned()))
            .chain([format!("type@image={image}")])
            .collect();
        one.position().0 <= line && one.lack.as_ref().is_some_and(|lack| outer.contains(&lack.part))
    };
    let errors = errors(list);
    match errors.iter().find(here).or_else(|| errors.iter().find(above)) {
        Some(_) => Ok(()),
        None => Err(format!("{row} (line {line}, image {image}) is not named:\n{}", said(list))),
    }
}

/// Every word of a list of which all are used gives a plan of its own.
#[test]
fn every_word_that_is_used_gives_a_plan_of_its_own() {
    let rows = rows();
    let base = base();
    let mut lists = 0;
    for row in rows.iter().filter(|row| row.state.name() == "used" && !row.path.contains('=')) {
        let with_states = rows.iter().any(|one| one.path.starts_with(&format!("{}=", row.path)));
        // Firmware decides table and loader together: some have both in common.
        if row.words.is_empty() || with_states || row.path.ends_with("type@firmware") {
            continue;
        }
        let mut plans = BTreeSet::new();
        for word in &row.words {
            let (xml, _) = with(&rows, &base, row, Some(word));
            let resolved =
                resolved(&xml).unwrap_or_else(|list| panic!("{} {word}: {}", row.path, said(&list)));
            assert!(plans.insert(planned(&resolved)), "{} = {word} changes nothing", row.path);
        }
        lists += 1;
    }
    assert!(lists > 2, "{lists}");
}
