//! What the command line changes in a description before it is read: KIWI's options.
//!
//! Each change is made in the elements, with the option as its place, so that what is wrong with it is said like
//! anything else that is wrong, and is checked against the schema. (KIWI writes strings into its model, where `false` may
//! count as set.)

use super::element::{Attribute, Element};
use super::lower::scope;
use crate::describe::{SourceText, Span};
use crate::model::words::Machine;
use crate::model::{Model, Type};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use std::sync::Arc;

/// Changes, in the words of KIWI's options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--set-type-attr ATTRIBUTE=VALUE`
    pub set_type_attr: Vec<String>,
    /// `--set-release-version`
    pub set_release_version: Option<String>,
    /// `--ignore-repos`: none of the description's.
    pub ignore_repos: bool,
    /// `--ignore-repos-used-for-build`: of the description's only those for the image alone.
    pub ignore_repos_used_for_build: bool,
    /// `--set-repo`: in the place of the first that applies.
    pub set_repo: Option<String>,
    /// `--set-repo-credentials USER:PASSWORD`
    pub set_repo_credentials: Option<String>,
    /// `--add-repo`
    pub add_repo: Vec<String>,
    /// `--add-repo-credentials`, in the order of the repositories.
    pub add_repo_credentials: Vec<String>,
    /// `--add-package`
    pub add_package: Vec<String>,
    /// `--add-bootstrap-package`
    pub add_bootstrap_package: Vec<String>,
    /// `--delete-package`
    pub delete_package: Vec<String>,
    /// `--ca-cert`
    pub ca_cert: Vec<String>,
    /// `--ca-target-distribution`
    pub ca_target_distribution: Option<String>,
    /// `--set-container-derived-from`
    pub set_container_derived_from: Option<String>,
    /// `--set-container-tag`
    pub set_container_tag: Option<String>,
    /// `--add-container-label NAME=VALUE`
    pub add_container_label: Vec<String>,
}

/// What is selected of a description: where changes are made.
pub(super) struct Target<'a> {
    pub(super) profiles: &'a [String],
    pub(super) machine: Machine,
    pub(super) kind: Option<&'a Type>,
}

/// A text of the command line as a place.
fn place(option: &str, text: &str) -> Span {
    let source = SourceText { file: option.to_owned(), text: text.to_owned() };
    Span { range: 0..text.len(), source: Arc::new(source) }
}

fn wrong(option: &str, reason: impl Into<String>, hint: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, Spot::new("image", option), reason).hint(hint)
}

fn made(name: &str, span: &Span) -> Element {
    Element { name: name.to_owned(), span: span.clone(), whole: span.clone(), ..Element::default() }
}

impl Element {
    fn set(&mut self, name: &str, value: &str, span: &Span) {
        let new = Attribute {
            name: name.to_owned(),
            value: value.to_owned(),
            span: span.clone(),
            name_span: span.clone(),
            value_span: span.clone(),
        };
        match self.attributes.iter_mut().find(|one| one.name == name) {
            Some(there) => *there = new,
            None => self.attributes.push(new),
        }
    }
}

impl Overrides {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Overrides::default()
    }

    /// Changes the elements of a description. `model` is what they say before.
    pub(super) fn apply(
        &self,
        root: &mut Element,
        model: &Model,
        target: &Target<'_>,
    ) -> Result<(), Refusal> {
        self.of_type(root, model, target)?;
        self.release_version(root, target);
        self.repositories(root, target)?;
        for (names, option, kind) in [
            (&self.add_package, "--add-package", "image"),
            (&self.add_bootstrap_package, "--add-bootstrap-package", "bootstrap"),
            (&self.delete_package, "--delete-package", "uninstall"),
        ] {
            for name in names {
                let span = place(option, name);
                let mut packages = made("packages", &span);
                packages.set("type", kind, &span);
                let mut package = made("package", &span);
                package.set("name", name, &span);
                packages.children.push(package);
                root.children.push(packages);
            }
        }
        self.certificates(root)?;
        Ok(())
    }

    fn of_type(&self, root: &mut Element, model: &Model, target: &Target<'_>) -> Result<(), Refusal> {
        let wanted =
            [&self.set_container_derived_from, &self.set_container_tag].iter().any(|one| one.is_some());
        if self.set_type_attr.is_empty() && self.add_container_label.is_empty() && !wanted {
            return Ok(());
        }
        let Some(kind) = target.kind else { return Ok(()) };
        // Types are in one order in the elements and in the model.
        let types = model.preferences.iter().flat_map(|one| &one.types);
        let Some(at) = types.clone().position(|one| one.span == kind.span) else { return Ok(()) };
        let sections = root.children.iter_mut().filter(|child| child.name == "preferences" && !child.foreign);
        let mut elements = sections
            .flat_map(|one| one.children.iter_mut())
            .filter(|child| child.name == "type" && !child.foreign);
        let Some(element) = elements.nth(at) else { return Ok(()) };
        for text in &self.set_type_attr {
            let option = "--set-type-attr";
            let Some((name, value)) = text.split_once('=') else {
                return Err(wrong(option, format!("no attribute and value: {text}"), "ATTRIBUTE=VALUE"));
            };
            element.set(name.trim(), value, &place(option, text));
        }
        if let Some(uri) = self
            .set_container_derived_from
            .as_ref()
            .filter(|_| element.attribute_node("derived_from").is_some())
        {
            element.set("derived_from", uri, &place("--set-container-derived-from", uri));
        }
        let config = element.children.iter_mut().find(|child| child.name == "containerconfig");
        let Some(config) = config else { return Ok(()) };
        if let Some(tag) = self.set_container_tag.as_ref().filter(|_| config.attribute_node("tag").is_some())
        {
            config.set("tag", tag, &place("--set-container-tag", tag));
        }
        for text in &self.add_container_label {
            let option = "--add-container-label";
            let Some((name, value)) = text.split_once('=') else {
                return Err(wrong(option, format!("no name and value: {text}"), "NAME=VALUE"));
            };
            let span = place(option, text);
            let mut label = made("label", &span);
            label.set("name", name, &span);
            label.set("value", value, &span);
            if config.child("labels").is_none() {
                config.children.push(made("labels", &span));
            }
            for labels in config.children.iter_mut().filter(|child| child.name == "labels") {
                labels.children.retain(|one| one.attribute("name") != Some(name));
                labels.children.push(label.clone());
            }
        }
        Ok(())
    }

    fn release_version(&self, root: &mut Element, target: &Target<'_>) {
        let Some(version) = &self.set_release_version else { return };
        let span = place("--set-release-version", version);
        let new = Element { text: version.clone(), ..made("release-version", &span) };
        let applies = |one: &&mut Element| {
            one.name == "preferences" && scope(one).applies(target.profiles, target.machine)
        };
        let mut sections: Vec<&mut Element> = root.children.iter_mut().filter(applies).collect();
        let at = sections.iter().position(|one| one.child("release-version").is_some()).unwrap_or(0);
        if let Some(section) = sections.get_mut(at) {
            section.children.retain(|child| child.name != "release-version");
            section.children.push(new);
        }
    }

    fn repositories(&self, root: &mut Element, target: &Target<'_>) -> Result<(), Refusal> {
        if self.ignore_repos {
            root.children.retain(|child| child.name != "repository");
        } else if self.ignore_repos_used_for_build {
            root.children
                .retain(|child| child.name != "repository" || child.boolean("imageonly") == Some(true));
        }
        if self.set_repo.is_none() && self.set_repo_credentials.is_some() {
            let reason = "there is no --set-repo that they could be for";
            return Err(wrong("--set-repo-credentials", reason, "leave them out, or name the repository"));
        }
        if let Some(text) = &self.set_repo {
            let option = "--set-repo";
            let new = repository(option, text, self.set_repo_credentials.as_deref())?;
            let applies = |one: &&mut Element| {
                one.name == "repository" && scope(one).applies(target.profiles, target.machine)
            };
            let Some(first) = root.children.iter_mut().find(applies) else {
                let hint = "--add-repo adds one";
                return Err(wrong(option, "there is no repository whose place it could take", hint));
            };
            for attribute in &new.attributes {
                first.set(&attribute.name, &attribute.value, &attribute.span);
            }
            let source = new.children.into_iter().next().unwrap_or_default();
            match first.children.iter_mut().find(|child| child.name == "source") {
                // Without keys of its own it has those that are there.
                Some(there) if source.children.is_empty() => {
                    let path = source.attribute("path").unwrap_or("").to_owned();
                    there.set("path", &path, &source.span);
                }
                Some(there) => *there = source,
                None => first.children.push(source),
            }
        }
        if self.add_repo_credentials.len() > self.add_repo.len() {
            let hint = "the first credentials are for the first repository that is added, and so on";
            return Err(wrong("--add-repo-credentials", "there are more of them than --add-repo", hint));
        }
        for (at, text) in self.add_repo.iter().enumerate() {
            let credentials = self.add_repo_credentials.get(at).map(String::as_str);
            root.children.push(repository("--add-repo", text, credentials)?);
        }
        Ok(())
    }

    fn certificates(&self, root: &mut Element) -> Result<(), Refusal> {
        if root.child("certificates").is_none() {
            match (self.ca_cert.first(), &self.ca_target_distribution) {
                (Some(first), _) => root.children.push(made("certificates", &place("--ca-cert", first))),
                (None, Some(_)) => {
                    let reason = "there are no certificates that it could be for";
                    return Err(wrong("--ca-target-distribution", reason, "--ca-cert adds one"));
                }
                (None, None) => {}
            }
        }
        for certificates in root.children.iter_mut().filter(|child| child.name == "certificates") {
            for name in &self.ca_cert {
                let span = place("--ca-cert", name);
                let mut certificate = made("certificate", &span);
                certificate.set("name", name, &span);
                certificates.children.push(certificate);
            }
            if let Some(distribution) = &self.ca_target_distribution {
                certificates.set(
                    "target_distribution",
                    distribution,
                    &place("--ca-target-distribution", distribution),
                );
            }
        }
        Ok(())
    }
}

/// `SOURCE,TYPE,ALIAS,PRIORITY,IMAGEINCLUDE,PACKAGE_GPGCHECK,{KEY;KEY},COMPONENTS,DISTRIBUTION,REPO_GPGCHECK,SOURCETYPE`; what
/// is left out at the end, or empty, is not said.
fn repository(option: &str, text: &str, credentials: Option<&str>) -> Result<Element, Refusal> {
    const FIELDS: [&str; 11] = [
        "path",
        "type",
        "alias",
        "priority",
        "imageinclude",
        "package_gpgcheck",
        "keys",
        "components",
        "distribution",
        "repository_gpgcheck",
        "sourcetype",
    ];
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    if fields.len() > FIELDS.len() {
        let hint = "SOURCE,TYPE,ALIAS,PRIORITY,IMAGEINCLUDE,PACKAGE_GPGCHECK,{KEY;KEY},COMPONENTS,DISTRIBUTION,REPO_GPGCHECK,SOURCETYPE";
        return Err(wrong(option, format!("more than 11 fields: {text}"), hint));
    }
    let span = place(option, text);
    let mut repository = made("repository", &span);
    let mut source = made("source", &span);
    for (name, value) in FIELDS.iter().zip(fields).filter(|(_, value)| !value.is_empty()) {
        match *name {
            "path" => source.set("path", value, &span),
            "keys" => {
                let keys = value
                    .trim_start_matches('{')
                    .trim_end_matches('}')
                    .split(';')
                    .filter(|key| !key.is_empty());
                for key in keys {
                    let mut signing = made("signing", &span);
                    signing.set("key", key, &span);
                    source.children.push(signing);
                }
            }
            name => repository.set(name, value, &span),
        }
    }
    if let Some(credentials) = credentials {
        // What they are may be a secret: it is not repeated.
        let Some((user, password)) = credentials.split_once(':') else {
            let option = format!("{option}-credentials");
            return Err(wrong(&option, "credentials without a colon", "USER:PASSWORD"));
        };
        repository.set("username", user, &span);
        repository.set("password", password, &place(option, "(a secret)"));
    }
    repository.children.push(source);
    Ok(repository)
}
