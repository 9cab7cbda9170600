//! Packages, repositories, accounts, settings and volumes as values.

use super::element::{Attribute, Element};
use super::read::{elements, list};
use crate::describe::Span;
use crate::model::{Fact, Item, PackageItem, Packages, Phase, Repository, Said, Scope, TypeName, User};

/// Image types that may have packages of their own.
const TYPES: [&str; 6] = ["docker", "iso", "oem", "pxe", "kis", "oci"];

pub(super) fn scope(node: &Element) -> Scope {
    Scope { profiles: list(node.attribute("profiles")), arch: list(node.attribute("arch")) }
}

fn said(attribute: &Attribute) -> Said<String> {
    Said { value: attribute.value.trim().to_owned(), span: attribute.span.clone() }
}

pub(super) fn packages(root: &Element) -> Vec<Packages> {
    let section = |node: &Element| Packages {
        // KIWI's schema has no machines here.
        scope: Scope { arch: Vec::new(), ..scope(node) },
        span: node.span.clone(),
        phase: node.attribute("type").and_then(phase),
        pattern: node.attribute_node("patternType").map(said),
        items: elements(node).filter_map(item).collect(),
    };
    root.named("packages").map(section).collect()
}

fn phase(name: &str) -> Option<Phase> {
    Some(match name.trim() {
        "bootstrap" => Phase::Bootstrap,
        "image" => Phase::Image,
        "uninstall" => Phase::Uninstall,
        "delete" => Phase::Delete,
        "systemfiles" => Phase::Systemfiles,
        other => Phase::Type(TypeName(TYPES.iter().find(|name| **name == other)?)),
    })
}

fn item(node: &Element) -> Option<PackageItem> {
    let item = match node.name.as_str() {
        "package" => Item::Package,
        "namedCollection" => Item::Collection,
        "collectionModule" if node.boolean("enable") == Some(false) => Item::NoModule,
        "collectionModule" => Item::Module,
        "product" => Item::Product,
        "ignore" => Item::Ignore,
        "archive" => Item::Archive,
        "file" => Item::File,
        _ => return None,
    };
    let mut name = said(node.attribute_node("name")?);
    if let Some(stream) = node.attribute("stream").filter(|_| item == Item::Module) {
        name.value = format!("{}:{}", name.value, stream.trim());
    }
    let text = |name: &str| node.attribute(name).map(|value| value.trim().to_owned());
    Some(PackageItem {
        item,
        name,
        arch: list(node.attribute("arch")),
        target: text("target").or(text("target_dir")),
        owner: text("owner"),
        permissions: text("permissions"),
    })
}

fn attributes_but(node: &Element, names: &[&str]) -> Vec<(String, String)> {
    let others = node.attributes.iter().filter(|attribute| !names.contains(&attribute.name.as_str()));
    others.map(|attribute| (attribute.name.clone(), attribute.value.trim().to_owned())).collect()
}

pub(super) fn repositories(root: &Element) -> Vec<Repository> {
    let repository = |node: &Element| {
        let source = node.child("source")?;
        let keys = source.named("signing").filter_map(|signing| signing.attribute("key"));
        Some(Repository {
            scope: scope(node),
            span: node.span.clone(),
            source: said(source.attribute_node("path")?),
            keys: keys.map(|key| key.trim().to_owned()).collect(),
            attributes: attributes_but(node, &["profiles", "arch"]),
            imageinclude: node.boolean("imageinclude").unwrap_or(false),
            imageonly: node.boolean("imageonly").unwrap_or(false),
        })
    };
    root.named("repository").filter_map(repository).collect()
}

pub(super) fn users(root: &Element) -> Vec<User> {
    let user = |section: &Element, node: &Element| {
        let name = node.attribute_node("name")?;
        Some(User {
            scope: scope(section),
            name: said(name),
            groups: list(node.attribute("groups")),
            attributes: attributes_but(node, &["name", "password", "groups"]),
        })
    };
    let of = |section| {
        elements(section).filter(|child| child.name == "user").filter_map(move |it| user(section, it))
    };
    root.named("users").flat_map(of).collect()
}

/// All that an element and those in it say in words: `kernelcmdline`, `bootloader@name`, `oemconfig/oem-swap`.
pub(super) fn facts(node: &Element) -> Vec<Fact> {
    let mut facts = Vec::new();
    collect(node, "", &mut facts);
    facts
}

fn collect(node: &Element, above: &str, facts: &mut Vec<Fact>) {
    let fact = |path: String, value: &str, span: &Span| Said {
        value: (path, value.trim().to_owned()),
        span: span.clone(),
    };
    let sign = if above.is_empty() { "" } else { "@" };
    for attribute in &node.attributes {
        facts.push(fact(format!("{above}{sign}{}", attribute.name), &attribute.value, &attribute.span));
    }
    if !node.trimmed().is_empty() && !above.is_empty() {
        facts.push(fact(above.to_owned(), &node.text, &node.span));
    }
    for child in elements(node) {
        let slash = if above.is_empty() { "" } else { "/" };
        collect(child, &format!("{above}{slash}{}", child.name), facts);
    }
}

/// `preferences` but its types: `packagemanager`, `locale`.
pub(super) fn settings(node: &Element) -> Vec<Fact> {
    let setting = |child: &Element| Said {
        value: (child.name.clone(), child.trimmed().to_owned()),
        span: child.span.clone(),
    };
    elements(node).filter(|child| child.name != "type").map(setting).collect()
}
