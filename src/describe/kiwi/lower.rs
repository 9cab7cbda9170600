//! The document as a [`Model`].

use super::element::Element;
use super::read::{Reader, elements as children, list, short};
use super::schema::{IMAGE, State, rules};
use super::types;
use crate::describe::{Diagnostic, Lack};
use crate::model::elements::{self, Part, Said};
use crate::model::{Model, Need, Preferences, Profile, Scope};

pub(super) fn model(root: &Element, problems: Vec<Diagnostic>) -> Model {
    let mut reader = Reader { problems };
    reader.validate(root, &IMAGE);
    rules::check(&mut reader, root);
    reader.attribute_states(root, &IMAGE, State::Used);
    // What is in preferences counts where they are selected.
    for child in children(root).filter(|child| child.name != "preferences") {
        if let Some(row) = IMAGE.child(&child.name) {
            reader.child_state(child, row, State::Used);
        }
    }
    scopes(&mut reader, root);
    let name = name(&mut reader, root);
    let said: elements::Image = Part::read(root, 0).unwrap_or_default();
    let displayname = reader.line("displayname", &said.displayname).map(str::to_owned);
    let profiles = said.profiles.iter().flat_map(|one| &one.profile).map(profile).collect();
    let preferences: Vec<Preferences> = root.named("preferences").map(preferences).collect();
    let mut needs = Vec::new();
    needs_of(root, &mut needs);
    Model {
        span: root.span.clone(),
        name,
        displayname,
        said,
        profiles,
        preferences,
        needs,
        problems: reader.problems,
    }
}

/// `image@name`: KIWI's posix-name. It becomes a file name.
fn name(reader: &mut Reader, root: &Element) -> String {
    let Some(attribute) = root.attribute_node("name") else { return String::new() };
    let name = attribute.value.trim();
    if name.len() > 128 || name.starts_with('.') {
        let message = format!("name is no name of a file: {}", short(name));
        let hint = "at most 128 letters, digits, `_`, `-` or `.`, the first one no `.`";
        reader.error_with("bad-value", attribute.value_span.clone(), message, hint);
    }
    name.to_owned()
}

/// Machines and profiles that sections are for and never meet.
fn scopes(reader: &mut Reader, node: &Element) {
    // KIWI compares with what `uname -m` says.
    const NEVER: [(&str, &str); 3] = [("ix86", "i686"), ("amd64", "x86_64"), ("arm64", "aarch64")];
    // Of a virtual machine it is another thing.
    for arch in node.attribute_node("arch").into_iter().filter(|_| node.name != "machine") {
        for (name, machine) in
            NEVER.iter().filter(|(name, _)| list(Some(&arch.value)).iter().any(|one| one == name))
        {
            let message = format!("arch {name} has no effect: no machine calls itself so");
            reader.warning("no-effect", &arch.span, message, &format!("arch=\"{machine}\""));
        }
    }
    if let Some(profiles) =
        node.attribute_node("profiles").filter(|it| it.value.contains(char::is_whitespace))
    {
        let message =
            "blanks in a list of profiles: KIWI does not find what is behind them; here they do not count";
        reader.warning("differs", &profiles.span, message.to_owned(), "commas alone");
    }
    children(node).for_each(|child| scopes(reader, child));
}

fn profile(said: &elements::Profile) -> Profile {
    let text = |said: &Option<Said<String>>| said.as_ref().map(|said| said.value.clone()).unwrap_or_default();
    let required = |one: &elements::Requires| (text(&one.profile), Scope::of(&None, &one.arch).arch);
    Profile {
        name: text(&said.name),
        description: text(&said.description),
        span: said.span.clone(),
        import: said.import.as_ref().is_some_and(|import| import.value),
        arch: Scope::of(&None, &said.arch).arch,
        requires: said.requires.iter().map(required).collect(),
    }
}

pub(super) fn scope(node: &Element) -> Scope {
    let machines = list(node.attribute("arch"));
    Scope {
        profiles: list(node.attribute("profiles")),
        arch: machines.iter().filter_map(|name| name.parse().ok()).collect(),
    }
}

fn preferences(node: &Element) -> Preferences {
    let mut reader = Reader::default();
    let row = IMAGE.child("preferences");
    for child in children(node).filter(|child| child.name != "type") {
        if let Some(below) = row.and_then(|row| row.child(&child.name)) {
            reader.child_state(child, below, State::Used);
        }
    }
    let version = node.child("version").map(|node| {
        let version = node.trimmed().to_owned();
        let good = |c: char| c.is_ascii_alphanumeric() || "._-+~".contains(c);
        if version.is_empty() || version.len() > 128 || !version.chars().all(good) {
            let message = format!("version is no version: {}", short(&version));
            reader.error_with("bad-value", node.whole.clone(), message, "by convention MAJOR.MINOR.RELEASE");
        }
        version
    });
    let types = children(node).filter(|node| node.name == "type");
    let types = types.map(types::read).collect();
    let said: elements::Preferences = Part::read(node, 0).unwrap_or_default();
    Preferences { scope: scope(node), version, said, types, problems: reader.problems }
}

/// What the preparation of a tree has to do, element by element.
fn needs_of(root: &Element, needs: &mut Vec<Need>) {
    let mut need = |node: &Element, scope: Scope, why: &str| {
        let message = format!("element {} needs {why}, which build cannot do yet", node.name.as_str());
        let hint = "prepare the tree with another tool, then: diskwright create DESCRIPTION --root TREE";
        let problem =
            node.span.error("needs-preparation", message).hint(hint).lack(Lack::new(&node.name, why));
        needs.push(Need { scope, problem });
    };
    for node in children(root) {
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
            let row = IMAGE.child("preferences");
            let shapes = |name: &str| row.and_then(|row| row.child(name)).map(|row| row.state);
            let prepared =
                children(node).filter(|child| matches!(shapes(&child.name), Some(State::Shapes(_))));
            prepared.for_each(|child| need(child, scope(node), "a change of configuration in the tree"));
        }
    }
    if root.attribute_node("id").is_some() {
        need(root, Scope::default(), "/etc/ImageID in the tree");
    }
}

fn packages_need(node: &Element) -> Option<&'static str> {
    let mut names = children(node).map(|child| child.name.as_str().to_owned());
    match names.all(|name| name == "archive" || name == "file") {
        true => Some("archives and files unpacked into the tree"),
        false => Some("a package manager"),
    }
}
