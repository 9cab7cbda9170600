//! A file, and what it includes, as one element; whatever schema version it is of, it leaves here as 8.5.

use super::element::{Budget, Element};
use super::{LARGEST, data, json, toml, upgrade, xml, yaml};
use crate::describe::{Diagnostic, Lack, SourceText, Span};
use std::path::Path;
use std::sync::Arc;

/// Most files that a description includes.
pub(super) const MOST_INCLUDES: usize = 64;

/// Reads a file that a description includes.
pub type Include<'a> = dyn Fn(&Path) -> std::io::Result<Vec<u8>> + 'a;

/// A description in one piece.
pub(super) struct Document {
    pub(super) root: Element,
    pub(super) problems: Vec<Diagnostic>,
}

/// Reads a description; an error where there is none at all.
pub(super) fn read(file: &str, bytes: Vec<u8>, include: &Include<'_>) -> Result<Document, Vec<Diagnostic>> {
    let mut budget = Budget::default();
    let mut problems = Vec::new();
    let source = text(file, bytes).map_err(|problem| vec![problem])?;
    let mut root = parse(&source, &mut budget, &mut problems).map_err(|problem| {
        let mut all = std::mem::take(&mut problems);
        all.push(problem);
        all
    })?;
    if root.name != "image" || root.foreign {
        let message = format!("no image description: the root element is {}", super::read::short(&root.name));
        problems.push(root.span.error("not-an-image", message));
        return Err(problems);
    }
    includes(&mut root, &source, include, &mut budget, &mut problems);
    upgrade::upgrade(&mut root, &mut problems);
    problems.append(&mut budget.problems);
    Ok(Document { root, problems })
}

fn text(file: &str, bytes: Vec<u8>) -> Result<Arc<SourceText>, Diagnostic> {
    let file = file.to_owned();
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(SourceText { file, text })),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
            let source = Arc::new(SourceText { file, text });
            Err(Span { source, range: at..at }.error("not-utf8", "the description is no UTF-8 here"))
        }
    }
}

fn parse(
    source: &Arc<SourceText>,
    budget: &mut Budget,
    problems: &mut Vec<Diagnostic>,
) -> Result<Element, Diagnostic> {
    let mut notes = data::Notes { source, problems: Vec::new() };
    let data = match syntax(source) {
        Syntax::Xml => return xml::read(source, budget),
        Syntax::Yaml => yaml::read(&mut notes),
        Syntax::Json => json::read(&mut notes),
        Syntax::Toml => toml::read(&mut notes),
        Syntax::Other(what) => {
            let message = format!("{what} is not supported: only XML, YAML, JSON and TOML");
            return Err(notes.error("unsupported", 0..0, message).lack(Lack::new(what, "")));
        }
    };
    let element = data.and_then(|data| data::root(&data, &notes, budget));
    problems.append(&mut notes.problems);
    element
}

enum Syntax {
    Xml,
    Yaml,
    Json,
    Toml,
    Other(&'static str),
}

/// By the file's ending, else by what is in it (anymarkup's rule, and TOML by its first header).
fn syntax(source: &SourceText) -> Syntax {
    let ending = Path::new(&source.file).extension().and_then(|ending| ending.to_str());
    match ending {
        Some("xml") => return Syntax::Xml,
        Some("yaml" | "yml") => return Syntax::Yaml,
        Some("json") => return Syntax::Json,
        Some("toml") => return Syntax::Toml,
        Some("json5") => return Syntax::Other("JSON5"),
        Some("ini") => return Syntax::Other("INI"),
        _ => {}
    }
    let content = source.text.trim_start_matches('\u{feff}').trim_start();
    let first = content.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    match first {
        None => Syntax::Xml,
        Some(_) if content.starts_with('<') => Syntax::Xml,
        Some(line) if line.starts_with("[image") || line.starts_with("[[image") => Syntax::Toml,
        Some(_) => Syntax::Yaml,
    }
}

/// Puts the children of included descriptions in the place of `include` elements below `image`.
fn includes(
    root: &mut Element,
    source: &SourceText,
    include: &Include<'_>,
    budget: &mut Budget,
    problems: &mut Vec<Diagnostic>,
) {
    let directory = Path::new(&source.file).parent().unwrap_or(Path::new(""));
    let mut count = 0;
    for child in std::mem::take(&mut root.children) {
        if child.name != "include" || child.foreign {
            root.children.push(child);
            continue;
        }
        count += 1;
        if count > MOST_INCLUDES {
            problems.push(child.span.error("too-large", format!("more than {MOST_INCLUDES} includes")));
            return;
        }
        match included(&child, directory, include, budget, problems) {
            Ok(mut children) => root.children.append(&mut children),
            Err(problem) => problems.push(problem),
        }
    }
}

fn included(
    element: &Element,
    directory: &Path,
    include: &Include<'_>,
    budget: &mut Budget,
    problems: &mut Vec<Diagnostic>,
) -> Result<Vec<Element>, Diagnostic> {
    let Some(from) = element.attribute_node("from") else {
        return Err(element.span.error("missing-attribute", "<include> lacks the attribute from"));
    };
    let path = place(&from.value, directory).ok_or_else(|| {
        from.value_span.error("bad-value", format!("no file: {}", super::read::short(&from.value)))
    })?;
    let bytes = include(&path).map_err(|error| {
        let message = format!("what is included cannot be read: {error}");
        let hint =
            "file:///PATH is absolute; this://PATH and a path without / in front start at the description";
        from.value_span.error("include", message).hint(hint)
    })?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("what is included is larger than {LARGEST} bytes");
        return Err(from.value_span.error("too-large", message));
    }
    let source = text(&path.display().to_string(), bytes)?;
    let root = parse(&source, budget, problems)?;
    if root.name != "image" || root.foreign {
        let message = format!("no image description: the root element is {}", super::read::short(&root.name));
        return Err(root.span.error("not-an-image", message));
    }
    if let Some(nested) = root.child("include") {
        let message = "an include in what is included: KIWI goes one level deep";
        return Err(nested
            .span
            .error("nested-include", message)
            .hint("include that file from the description itself"));
    }
    Ok(root.children)
}

/// `file://` and `this://` stand for nothing; what is not absolute starts at the description.
fn place(from: &str, directory: &Path) -> Option<std::path::PathBuf> {
    let from = from.trim();
    let path = from.strip_prefix("this://").or(from.strip_prefix("file://")).or(from.strip_prefix("dir://"));
    let path = path.unwrap_or(from);
    let good = !path.is_empty() && !path.contains("://") && !path.contains('\0');
    good.then(|| directory.join(path))
}
