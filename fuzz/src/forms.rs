//! One description in XML, YAML, JSON and TOML: whatever it says, it says the same in each of them.

use arbitrary::{Result, Unstructured};
use diskwright::describe::kiwi::parse;
use diskwright::model::Arch;
use diskwright::resolve::{Choice, resolve};
use std::fmt::Write;

/// An element.
struct Node {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    /// Elements of one name are neighbours, as they must be where a name is a key.
    children: Vec<Vec<Node>>,
    text: Option<String>,
}

const NAMES: &[&str] = &[
    "preferences",
    "type",
    "partitions",
    "partition",
    "size",
    "bootloader",
    "oemconfig",
    "oem-resize",
    "packages",
    "package",
    "repository",
    "source",
    "users",
    "user",
    "profiles",
    "profile",
    "version",
    "include",
    "strange",
];
const ATTRIBUTES: &[&str] = &[
    "image",
    "name",
    "filesystem",
    "firmware",
    "size",
    "unit",
    "profiles",
    "arch",
    "type",
    "password",
    "import",
    "schemaversion",
    "bootloader",
    "format",
    "path",
    "primary",
    "strange",
];
const VALUES: &[&str] = &[
    "oem",
    "ext4",
    "uefi",
    "custom",
    "true",
    "false",
    "1",
    "100",
    "1.0",
    "image",
    "a b",
    "",
    "x<&>\"'",
    "8.5",
    "6.0",
    "\u{e4}\u{1f600}",
    "a,b",
    "vmx",
    "yes",
];

/// Reads a description in all forms and compares what becomes of it.
pub fn agree(u: &mut Unstructured) -> Result<()> {
    let mut root = node(u, "image", 0)?;
    root.attributes.retain(|(name, _)| !["schemaversion", "name"].contains(name));
    root.attributes.push(("schemaversion", u.choose(&["8.5", "8.2", "7.1", "6.0"])?.to_string()));
    root.attributes.push(("name", "t".to_owned()));
    let mut xml = String::new();
    write_xml(&root, &mut xml);
    let mut json = String::new();
    write_json(&root, &mut json);
    let json = format!("{{\"image\": {json}}}");
    let mut toml = String::new();
    write_toml(&root, &mut toml);
    let toml = format!("image = {toml}\n");
    let expected = outcome("d.xml", &xml);
    for (file, text) in [("d.json", &json), ("d.yaml", &json), ("d.toml", &toml)] {
        assert_eq!(outcome(file, text), expected, "{file}:\n{text}\n{xml}");
    }
    Ok(())
}

/// What is said, without places; and the image. Sorted: places are elsewhere in each form.
fn outcome(file: &str, text: &str) -> Vec<String> {
    let words = |list: &[diskwright::describe::Diagnostic]| {
        let mut words: Vec<String> =
            list.iter().map(|one| format!("{:?} {}", one.severity, one.message)).collect();
        words.sort();
        words.dedup();
        words
    };
    match parse(file, text.as_bytes().to_vec()) {
        Err(diagnostics) => words(&diagnostics.list),
        Ok(model) => match resolve(&model, &Choice::new(Arch::X86_64)) {
            Ok(resolved) => [words(&resolved.warnings.list), vec![format!("{:?}", resolved.image)]].concat(),
            Err(diskwright::resolve::ResolveError::Refused(diagnostics)) => words(&diagnostics.list),
            Err(other) => vec![other.to_string()],
        },
    }
}

fn node(u: &mut Unstructured, name: &'static str, depth: usize) -> Result<Node> {
    let mut node = Node { name, attributes: vec![], children: vec![], text: None };
    for _ in 0..u.int_in_range(0..=4)? {
        let name = *u.choose(ATTRIBUTES)?;
        if node.attributes.iter().all(|(other, _)| *other != name) {
            node.attributes.push((name, u.choose(VALUES)?.to_string()));
        }
    }
    if depth < 6 && u.ratio(2, 3)? {
        for _ in 0..u.int_in_range(0..=4)? {
            let name = *u.choose(NAMES)?;
            if node.children.iter().all(|group| group[0].name != name) {
                let count = u.int_in_range(1..=2)?;
                let group =
                    (0..count).map(|_| self::node(u, name, depth + 1)).collect::<Result<Vec<Node>>>()?;
                node.children.push(group);
            }
        }
    } else if u.ratio(1, 2)? {
        node.text = Some(u.choose(VALUES)?.to_string());
    }
    Ok(node)
}

fn write_xml(node: &Node, out: &mut String) {
    let escaped = |text: &str| {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&apos;")
    };
    let _ = write!(out, "<{}", node.name);
    for (name, value) in &node.attributes {
        let _ = write!(out, " {name}=\"{}\"", escaped(value));
    }
    *out += ">";
    *out += &escaped(node.text.as_deref().unwrap_or(""));
    node.children.iter().flatten().for_each(|child| write_xml(child, out));
    let _ = write!(out, "</{}>", node.name);
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Keys and values of a node, a list where there are several.
fn write_pairs(node: &Node, between: &str, write: &dyn Fn(&Node, &mut String), out: &mut String) {
    let mut first = true;
    let mut part = |out: &mut String| *out += if std::mem::replace(&mut first, false) { "" } else { ", " };
    *out += "{";
    for (name, value) in &node.attributes {
        part(out);
        let _ = write!(out, "\"@{name}\"{between}{}", quoted(value));
    }
    if let Some(text) = &node.text {
        part(out);
        let _ = write!(out, "\"#text\"{between}{}", quoted(text));
    }
    for group in &node.children {
        part(out);
        let _ = write!(out, "\"{}\"{between}", group[0].name);
        match group.as_slice() {
            [one] => write(one, out),
            several => {
                *out += "[";
                for (at, one) in several.iter().enumerate() {
                    *out += if at == 0 { "" } else { ", " };
                    write(one, out);
                }
                *out += "]";
            }
        }
    }
    *out += "}";
}

fn write_json(node: &Node, out: &mut String) {
    write_pairs(node, ": ", &write_json, out);
}

fn write_toml(node: &Node, out: &mut String) {
    write_pairs(node, " = ", &write_toml, out);
}
