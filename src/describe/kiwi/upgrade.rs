//! Descriptions of older schema versions, upgraded step by step to 8.5.
//!
//! What a version dropped is dropped, with a warning; what it renamed keeps its place, so that everything said about it
//! later points at what the user wrote. Rules: KIWI NG 10.3.9 `xsl/`, and of KIWI NG 9 those before 7.4.

use super::element::{Attribute, Element};
use crate::describe::{Diagnostic, Lack};

/// From a version to the next.
struct Step {
    to: (u32, u32),
    change: fn(&mut Element, &mut Vec<Diagnostic>),
}

/// The first version that is understood.
const FIRST: (u32, u32) = (6, 0);
/// The version that is left.
pub(super) const LAST: (u32, u32) = (8, 5);

const STEPS: &[Step] = &[
    Step { to: (6, 1), change: |root, _| each(root, &mut |it| rename(it, "opensuseProduct", "product")) },
    Step { to: (6, 2), change: |root, _| each(root, &mut grub_is_the_loader) },
    Step {
        to: (6, 3),
        change: |root, said| {
            drop_attributes(root, "type", &["fsreadonly", "fsreadwrite", "zfsoptions"], (6, 3), said);
            drop_types(root, "split", (6, 3), said);
        },
    },
    Step { to: (6, 4), change: |root, _| each(root, &mut groups_of_users) },
    Step { to: (6, 5), change: |root, _| each(root, &mut container_name) },
    Step { to: (6, 6), change: |root, _| each(root, &mut xen_server) },
    Step { to: (6, 7), change: dropped_in_6_7 },
    Step { to: (6, 8), change: |root, said| drop_elements(root, "hwclock", (6, 8), said) },
    Step {
        to: (6, 9),
        change: |root, said| {
            drop_attributes(root, "type", &["hybrid"], (6, 9), said);
            drop_elements(root, "oem-ataraid-scan", (6, 9), said);
        },
    },
    Step { to: (7, 0), change: |root, said| drop_elements(root, "pxedeploy", (7, 0), said) },
    Step { to: (7, 1), change: |root, said| old_repository_types(root, OLD_REPOSITORIES, (7, 1), said) },
    Step { to: (7, 2), change: |root, _| each(root, &mut loader_of_attributes) },
    Step { to: (7, 3), change: |root, _| each(root, &mut vmx_is_oem) },
    Step {
        to: (7, 4),
        change: |root, _| each(root, &mut |it| package_manager(it, &[("apt-get", "apt"), ("yum", "dnf")])),
    },
    Step { to: (7, 5), change: |root, _| each(root, &mut additional_names) },
    Step { to: (7, 6), change: |root, _| each(root, &mut |it| package_manager(it, &[("dnf", "dnf4")])) },
    Step { to: (8, 0), change: |_, _| {} },
    Step { to: (8, 1), change: |root, said| old_repository_types(root, &["rpm-dir"], (8, 1), said) },
    Step {
        to: (8, 2),
        change: |root, said| drop_attributes(root, "repository", &["use_for_bootstrap"], (8, 2), said),
    },
    Step {
        to: (8, 3),
        change: |root, _| {
            each(root, &mut |it| {
                rename_attribute(it, "type", "btrfs_root_is_snapshot", "btrfs_root_is_snapper_snapshot")
            })
        },
    },
    Step { to: (8, 4), change: |root, _| each(root, &mut consoles) },
    Step { to: (8, 5), change: |root, said| drop_attributes(root, "type", &["vga"], (8, 5), said) },
];

const OLD_REPOSITORIES: &[&str] = &["red-carpet", "slack-site", "up2date-mirrors", "urpmi", "yast2"];

/// Upgrades a description; says so where its version is none, too old or too new.
pub(super) fn upgrade(root: &mut Element, problems: &mut Vec<Diagnostic>) {
    let Some(attribute) = root.attribute_node("schemaversion") else { return };
    let number =
        |part: &str| part.parse::<u32>().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
    let version = attribute.value.trim().split_once('.').and_then(|(a, b)| Some((number(a)?, number(b)?)));
    let span = attribute.value_span.clone();
    let text = super::read::short(&attribute.value);
    let known = |version: (u32, u32)| version == FIRST || STEPS.iter().any(|step| step.to == version);
    match version {
        None => problems.push(span.error("bad-value", format!("schemaversion is no version: {text}"))),
        Some(version) if version < FIRST => {
            let message = format!("schemaversion before 6.0 is not supported: {text}");
            let hint = "upgrade the description with an older KIWI first";
            let lack = Lack::new("image@schemaversion", "versions before 6.0");
            problems.push(span.error("unsupported", message).hint(hint).lack(lack));
        }
        Some(version) if version > LAST => {
            let message = format!("schemaversion is newer than 8.5, the last that is known: {text}");
            let hint = "schemaversion=\"8.5\", if nothing newer is used";
            let lack = Lack::new("image@schemaversion", "versions after 8.5");
            problems.push(span.error("unsupported", message).hint(hint).lack(lack));
        }
        Some(version) if !known(version) => {
            let hint = "6.0 to 6.9, 7.0 to 7.6, 8.0 to 8.5";
            problems
                .push(span.error("bad-value", format!("there was no such schemaversion: {text}")).hint(hint));
        }
        Some(version) => {
            for step in STEPS.iter().filter(|step| step.to > version) {
                (step.change)(root, problems);
            }
        }
    }
}

/// Calls `change` for an element and all below it.
fn each(element: &mut Element, change: &mut dyn FnMut(&mut Element)) {
    change(element);
    element.children.iter_mut().for_each(|child| each(child, change));
}

fn dropped(what: &str, version: (u32, u32)) -> String {
    format!("{what} has no effect: schema {}.{} dropped it", version.0, version.1)
}

fn drop_attributes(
    root: &mut Element,
    element: &str,
    names: &[&str],
    version: (u32, u32),
    said: &mut Vec<Diagnostic>,
) {
    each(root, &mut |it| {
        if it.name != element {
            return;
        }
        let gone = it.attributes.iter().filter(|attribute| names.contains(&attribute.name.as_str()));
        said.extend(gone.map(|attribute| {
            let what = format!("attribute {} of {}", attribute.name, it.tag());
            attribute.span.warning("dropped", dropped(&what, version))
        }));
        it.attributes.retain(|attribute| !names.contains(&attribute.name.as_str()));
    });
}

fn drop_elements(root: &mut Element, name: &str, version: (u32, u32), said: &mut Vec<Diagnostic>) {
    drop_children(root, &|child| child.name == name, version, said);
}

fn drop_types(root: &mut Element, image: &str, version: (u32, u32), said: &mut Vec<Diagnostic>) {
    let is_it = |child: &Element| child.name == "type" && child.attribute("image") == Some(image);
    drop_children(root, &is_it, version, said);
}

fn drop_children(
    root: &mut Element,
    is_it: &dyn Fn(&Element) -> bool,
    version: (u32, u32),
    said: &mut Vec<Diagnostic>,
) {
    each(root, &mut |it| {
        let gone = it.children.iter().filter(|child| is_it(child));
        said.extend(gone.map(|child| {
            child.span.warning("dropped", dropped(&format!("element {}", child.name), version))
        }));
        it.children.retain(|child| !is_it(child));
    });
}

fn dropped_in_6_7(root: &mut Element, said: &mut Vec<Diagnostic>) {
    const VERSION: (u32, u32) = (6, 7);
    drop_attributes(root, "image", &["kiwirevision"], VERSION, said);
    drop_attributes(root, "type", &["checkprebuilt", "fsnocheck"], VERSION, said);
    drop_attributes(root, "repository", &["status", "prefer-license"], VERSION, said);
    drop_attributes(root, "package", &["replaces"], VERSION, said);
    for name in ["defaultprebuilt", "defaultdestination", "defaultroot", "partitioner", "rpm-force"] {
        drop_elements(root, name, VERSION, said);
    }
}

fn old_repository_types(root: &mut Element, types: &[&str], version: (u32, u32), said: &mut Vec<Diagnostic>) {
    each(root, &mut |it| {
        let old = it.attribute_node("type").filter(|kind| types.contains(&kind.value.as_str()));
        if let Some(kind) = old.filter(|_| it.name == "repository") {
            let what = format!("repository type {}", kind.value);
            said.push(kind.span.warning("dropped", dropped(&what, version)));
            it.attributes.retain(|attribute| attribute.name != "type");
        }
    });
}

fn rename(element: &mut Element, from: &str, to: &str) {
    if element.name == from {
        element.name = to.to_owned();
    }
}

fn rename_attribute(element: &mut Element, of: &str, from: &str, to: &str) {
    if element.name == of && element.attribute_node(to).is_none() {
        element.attributes.iter_mut().filter(|it| it.name == from).for_each(|it| it.name = to.to_owned());
    }
}

fn take_attribute(element: &mut Element, name: &str) -> Option<Attribute> {
    let at = element.attributes.iter().position(|attribute| attribute.name == name)?;
    Some(element.attributes.remove(at))
}

/// An element that stands for what was written elsewhere.
fn made(name: &str, place: &crate::describe::Span) -> Element {
    Element { name: name.to_owned(), span: place.clone(), whole: place.clone(), ..Element::default() }
}

fn attribute_of(place: &crate::describe::Span, name: &str, value: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        value: value.to_owned(),
        span: place.clone(),
        name_span: place.clone(),
        value_span: place.clone(),
    }
}

fn is_type(element: &Element, images: &[&str]) -> bool {
    element.name == "type" && element.attribute("image").is_some_and(|image| images.contains(&image))
}

fn grub_is_the_loader(element: &mut Element) {
    if is_type(element, &["oem", "vmx"]) && element.attribute_node("bootloader").is_none() {
        let loader = attribute_of(&element.span, "bootloader", "grub2");
        element.attributes.push(loader);
    }
}

/// `users group="g" id="1"` was the group of all users in it.
fn groups_of_users(element: &mut Element) {
    if element.name != "users" {
        return;
    }
    let (group, _) = (take_attribute(element, "group"), take_attribute(element, "id"));
    let Some(group) = group else { return };
    for user in element.children.iter_mut().filter(|child| child.name == "user") {
        match user.attributes.iter_mut().find(|it| it.name == "groups") {
            Some(groups) => groups.value = format!("{},{}", group.value, groups.value),
            None => user.attributes.push(attribute_of(&group.span, "groups", &group.value)),
        }
    }
}

fn container_name(element: &mut Element) {
    if element.name != "type" {
        return;
    }
    let Some(container) = take_attribute(element, "container") else { return };
    let mut config = made("containerconfig", &container.span);
    config.attributes.push(attribute_of(&container.span, "name", &container.value));
    element.children.push(config);
}

fn xen_server(element: &mut Element) {
    if element.name != "type" {
        return;
    }
    let domain = element.children.iter_mut().filter(|it| it.name == "machine");
    let domain = domain.filter_map(|machine| take_attribute(machine, "domain")).last();
    if let Some(domain) = domain.filter(|domain| domain.value == "dom0") {
        element.attributes.push(attribute_of(&domain.span, "xen_server", "true"));
    }
}

/// `bootloader="grub2" boottimeout="1"` became an element.
fn loader_of_attributes(element: &mut Element) {
    if element.name != "type" {
        return;
    }
    const NAMES: [(&str, &str); 4] = [
        ("bootloader", "name"),
        ("bootloader_console", "console"),
        ("boottimeout", "timeout"),
        ("zipl_targettype", "targettype"),
    ];
    let moved = NAMES
        .map(|(from, to)| take_attribute(element, from).map(|it| Attribute { name: to.to_owned(), ..it }));
    let Some(first) = moved.iter().flatten().next() else { return };
    let mut loader = made("bootloader", &first.span);
    loader.attributes = moved.into_iter().flatten().collect();
    if loader.attribute("name").is_none() {
        let span = loader.span.clone();
        loader.attributes.insert(0, attribute_of(&span, "name", "grub2"));
    }
    element.children.push(loader);
}

/// A virtual disk is a disk that does not grow at its first boot.
fn vmx_is_oem(element: &mut Element) {
    if !is_type(element, &["vmx"]) {
        return;
    }
    let span = element.span.clone();
    element.attributes.iter_mut().filter(|it| it.name == "image").for_each(|it| it.value = "oem".to_owned());
    if element.child("oemconfig").is_none() {
        element.children.push(made("oemconfig", &span));
    }
    for config in element.children.iter_mut().filter(|child| child.name == "oemconfig") {
        config.children.retain(|child| child.name != "oem-resize");
        config.children.push(Element { text: "false".to_owned(), ..made("oem-resize", &span) });
    }
}

fn package_manager(element: &mut Element, renamed: &[(&str, &str)]) {
    let old = element.text.trim().to_owned();
    if let Some((_, new)) = renamed.iter().find(|(from, _)| element.name == "packagemanager" && *from == old)
    {
        element.text = (*new).to_owned();
    }
}

/// `additionaltags="a,b"` became `additionalnames=":a,:b"`.
fn additional_names(element: &mut Element) {
    if element.name != "containerconfig" {
        return;
    }
    let Some(tags) = take_attribute(element, "additionaltags") else { return };
    let names = format!(":{}", tags.value.replace(',', ",:"));
    element.attributes.push(Attribute { name: "additionalnames".to_owned(), value: names, ..tags });
}

/// `console="out in"` became two attributes.
fn consoles(element: &mut Element) {
    if element.name != "bootloader" {
        return;
    }
    let Some(console) = take_attribute(element, "console") else { return };
    let (output, input) = match console.value.split_once(' ') {
        Some((output, input)) => (output, Some(input)),
        None => (console.value.as_str(), None),
    };
    element.attributes.push(attribute_of(&console.span, "output_console", output));
    element.attributes.extend(input.map(|input| attribute_of(&console.span, "input_console", input)));
}
