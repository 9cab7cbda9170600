//! The document as a [`Model`].

use super::element::Element;
use super::read::{Reader, elements, list, short};
use super::schema::{IMAGE, PREFERENCES, PREPARED};
use super::types;
use crate::describe::Diagnostic;
use crate::model::{Model, Need, Preferences, Profile, Scope};

pub(super) fn model(root: &Element, problems: Vec<Diagnostic>) -> Model {
    let mut reader = Reader { problems };
    reader.validate(root, IMAGE);
    let name = name(&mut reader, root);
    reader.required(root, "schemaversion");
    let displayname = reader.line(root, "displayname").map(str::to_owned);
    let profiles = root.named("profiles").flat_map(elements).map(|node| profile(&mut reader, node)).collect();
    let preferences: Vec<Preferences> = root.named("preferences").map(preferences).collect();
    if preferences.is_empty() {
        reader.error("missing-element", root.span.clone(), "<image> lacks the element preferences");
    }
    boot_description(&mut reader, root);
    let mut needs = Vec::new();
    needs_of(root, &mut needs);
    Model {
        span: root.span.clone(),
        name,
        displayname,
        profiles,
        preferences,
        needs,
        problems: reader.problems,
    }
}

/// `image@name`: KIWI's posix-name. It becomes a file name.
fn name(reader: &mut Reader, root: &Element) -> String {
    let Some(name) = reader.required(root, "name") else { return String::new() };
    check_file_name(reader, root, "name", name)
}

pub(super) fn check_file_name(reader: &mut Reader, node: &Element, what: &str, name: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(good) || name.starts_with('.') {
        let span = node
            .attribute_node(what)
            .map_or_else(|| node.span.clone(), |attribute| attribute.value_span.clone());
        let message = format!("{what} is no name: {}", short(name));
        let hint = "1 to 128 letters, digits, `_`, `-` or `.`, the first one no `.`";
        reader.error_with("bad-value", span, message, hint);
    }
    name.to_owned()
}

/// `description type="boot"` describes the initrd of an image and no image.
fn boot_description(reader: &mut Reader, root: &Element) {
    let Some(node) = reader.single(root, "description") else { return };
    if let Some(kind) = node.attribute_node("type").filter(|kind| kind.value.trim() == "boot") {
        let message = "type=\"boot\" is not supported yet: descriptions of custom initrds";
        reader.error("unsupported", kind.span.clone(), message);
    }
}

fn profile(reader: &mut Reader, node: &Element) -> Profile {
    let required = |node: &Element| {
        (node.attribute("profile").unwrap_or("").trim().to_owned(), list(node.attribute("arch")))
    };
    Profile {
        name: reader.required(node, "name").unwrap_or("").trim().to_owned(),
        import: reader.boolean(node, "import", false),
        arch: list(node.attribute("arch")),
        requires: elements(node).map(required).collect(),
    }
}

fn scope(node: &Element) -> Scope {
    Scope { profiles: list(node.attribute("profiles")), arch: list(node.attribute("arch")) }
}

fn preferences(node: &Element) -> Preferences {
    let mut reader = Reader::default();
    reader.validate(node, PREFERENCES);
    let version = reader.single(node, "version").map(|node| {
        let version = node.trimmed().to_owned();
        let good = |c: char| c.is_ascii_alphanumeric() || "._-+~".contains(c);
        if version.is_empty() || version.len() > 128 || !version.chars().all(good) {
            let message = format!("version is no version: {}", short(&version));
            reader.error_with("bad-value", node.whole.clone(), message, "by convention MAJOR.MINOR.RELEASE");
        }
        version
    });
    let types = elements(node).filter(|node| node.name == "type");
    let types = types.map(types::read).collect();
    Preferences { scope: scope(node), version, types, problems: reader.problems }
}

/// What the preparation of a tree has to do, element by element.
fn needs_of(root: &Element, needs: &mut Vec<Need>) {
    let mut need = |node: &Element, scope: Scope, why: &str| {
        let message = format!("element {} needs {why}, which build cannot do yet", node.name.as_str());
        let hint = "prepare the tree with another tool, then: diskwright create DESCRIPTION --root TREE";
        let problem = node.span.error("needs-preparation", message).hint(hint);
        needs.push(Need { scope, problem });
    };
    for node in elements(root) {
        let why = match node.name.as_str() {
            "packages" => packages_need(node),
            "repository" => Some("a package manager"),
            "users" => Some("accounts in the tree"),
            "containers" => Some("containers in the tree"),
            "certificates" => Some("certificates in the tree"),
            _ => None,
        };
        if let Some(why) = why.filter(|_| !node.children.is_empty()) {
            need(node, scope(node), why);
        }
        if node.name.as_str() == "preferences" {
            let prepared = elements(node).filter(|child| PREPARED.contains(&child.name.as_str()));
            prepared.for_each(|child| need(child, scope(node), "a change of configuration in the tree"));
        }
    }
    if root.attribute_node("id").is_some() {
        need(root, Scope::default(), "/etc/ImageID in the tree");
    }
}

fn packages_need(node: &Element) -> Option<&'static str> {
    let mut names = elements(node).map(|child| child.name.as_str().to_owned());
    match names.all(|name| name == "archive" || name == "file") {
        true => Some("archives and files unpacked into the tree"),
        false => Some("a package manager"),
    }
}
