//! The document as a [`Model`].

use super::read::{Reader, elements, list, open_span, short, text};
use super::schema::{IMAGE, PREFERENCES, PREPARED};
use super::types;
use crate::describe::{Diagnostics, SourceText};
use crate::model::{Model, Need, Preferences, Profile, Scope};
use roxmltree::{Document, Node};
use std::sync::Arc;

/// Schema versions before this one were written for releases of KIWI that upgraded them step by step.
const OLDEST: (u64, u64) = (7, 4);

pub(super) fn model(document: &Document<'_>, source: &SourceText) -> Result<Model, Diagnostics> {
    let root = document.root_element();
    if root.tag_name().name() != "image" || root.tag_name().namespace().is_some() {
        let message = format!("no image description: the root element is {}", short(root.tag_name().name()));
        let problem = source.error("not-an-image", open_span(root), message);
        return Err(Diagnostics::new(Arc::new(source.clone()), vec![problem]));
    }
    let mut reader = Reader::new(source);
    reader.validate(root, IMAGE);
    let name = name(&mut reader, root);
    version(&mut reader, root);
    let displayname = reader.line(root, "displayname").map(str::to_owned);
    let children = |name: &'static str| elements(root).filter(move |node| node.tag_name().name() == name);
    let profiles = children("profiles").flat_map(elements).map(|node| profile(&mut reader, node)).collect();
    let preferences: Vec<Preferences> =
        children("preferences").map(|node| preferences(source, node)).collect();
    if preferences.is_empty() {
        reader.error("missing-element", open_span(root), "<image> lacks the element preferences");
    }
    boot_description(&mut reader, root);
    let mut needs = Vec::new();
    needs_of(source, root, &mut needs);
    Ok(Model {
        span: open_span(root),
        name,
        displayname,
        profiles,
        preferences,
        needs,
        problems: reader.problems,
        source: Arc::new(source.clone()),
    })
}

/// `image@name`: KIWI's posix-name. It becomes a file name.
fn name(reader: &mut Reader<'_>, root: Node<'_, '_>) -> String {
    let Some(name) = reader.required(root, "name") else { return String::new() };
    check_file_name(reader, root, "name", name)
}

pub(super) fn check_file_name(reader: &mut Reader<'_>, node: Node<'_, '_>, what: &str, name: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(good) || name.starts_with('.') {
        let span =
            node.attribute_node(what).map_or_else(|| open_span(node), |attribute| attribute.range_value());
        let message = format!("{what} is no name: {}", short(name));
        let hint = "1 to 128 letters, digits, `_`, `-` or `.`, the first one no `.`";
        reader.error_with("bad-value", span, message, hint);
    }
    name.to_owned()
}

fn version(reader: &mut Reader<'_>, root: Node<'_, '_>) {
    let Some(version) = reader.required(root, "schemaversion") else { return };
    let numbers = version.trim().split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let span =
        root.attribute_node("schemaversion").map_or(open_span(root), |attribute| attribute.range_value());
    match numbers {
        None => reader.error("bad-value", span, format!("schemaversion is no version: {}", short(version))),
        Some(numbers) if numbers < OLDEST => {
            let message = format!("schemaversion before 7.4 is not supported: {}", short(version));
            reader.error_with(
                "unsupported",
                span,
                message,
                "upgrade the description with an older KIWI first",
            );
        }
        Some(_) => {}
    }
}

/// `description type="boot"` describes the initrd of an image and no image.
fn boot_description(reader: &mut Reader<'_>, root: Node<'_, '_>) {
    let Some(node) = reader.single(root, "description") else { return };
    if let Some(kind) = node.attribute_node("type").filter(|kind| kind.value().trim() == "boot") {
        let message = "type=\"boot\" is not supported yet: descriptions of custom initrds";
        reader.error("unsupported", kind.range(), message);
    }
}

fn profile(reader: &mut Reader<'_>, node: Node<'_, '_>) -> Profile {
    let required = |node: Node<'_, '_>| {
        (node.attribute("profile").unwrap_or("").trim().to_owned(), list(node.attribute("arch")))
    };
    Profile {
        name: reader.required(node, "name").unwrap_or("").trim().to_owned(),
        import: reader.boolean(node, "import", false),
        arch: list(node.attribute("arch")),
        requires: elements(node).map(required).collect(),
    }
}

fn scope(node: Node<'_, '_>) -> Scope {
    Scope { profiles: list(node.attribute("profiles")), arch: list(node.attribute("arch")) }
}

fn preferences(source: &SourceText, node: Node<'_, '_>) -> Preferences {
    let mut reader = Reader::new(source);
    reader.validate(node, PREFERENCES);
    let version = reader.single(node, "version").map(|node| {
        let version = text(node);
        let good = |c: char| c.is_ascii_alphanumeric() || "._-+~".contains(c);
        if version.is_empty() || version.len() > 128 || !version.chars().all(good) {
            let message = format!("version is no version: {}", short(&version));
            reader.error_with("bad-value", node.range(), message, "by convention MAJOR.MINOR.RELEASE");
        }
        version
    });
    let types = elements(node).filter(|node| node.tag_name().name() == "type");
    let types = types.map(|node| types::read(source, node)).collect();
    Preferences { scope: scope(node), version, types, problems: reader.problems }
}

/// What the preparation of a tree has to do, element by element.
fn needs_of(source: &SourceText, root: Node<'_, '_>, needs: &mut Vec<Need>) {
    let mut need = |node: Node<'_, '_>, scope: Scope, why: &str| {
        let message = format!("element {} needs {why}, which build cannot do yet", node.tag_name().name());
        let hint = "prepare the tree with another tool, then: diskwright create DESCRIPTION --root TREE";
        let problem = source.error("needs-preparation", open_span(node), message).hint(hint);
        needs.push(Need { scope, problem });
    };
    for node in elements(root) {
        let why = match node.tag_name().name() {
            "packages" => packages_need(node),
            "repository" => Some("a package manager"),
            "users" => Some("accounts in the tree"),
            "containers" => Some("containers in the tree"),
            "certificates" => Some("certificates in the tree"),
            _ => None,
        };
        if let Some(why) = why.filter(|_| node.children().any(|child| child.is_element())) {
            need(node, scope(node), why);
        }
        if node.tag_name().name() == "preferences" {
            let prepared = elements(node).filter(|child| PREPARED.contains(&child.tag_name().name()));
            prepared.for_each(|child| need(child, scope(node), "a change of configuration in the tree"));
        }
    }
    if root.has_attribute("id") {
        need(root, Scope::default(), "/etc/ImageID in the tree");
    }
}

fn packages_need(node: Node<'_, '_>) -> Option<&'static str> {
    let mut names = elements(node).map(|child| child.tag_name().name().to_owned());
    match names.all(|name| name == "archive" || name == "file") {
        true => Some("archives and files unpacked into the tree"),
        false => Some("a package manager"),
    }
}
