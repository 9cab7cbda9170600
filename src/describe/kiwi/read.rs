//! Elements with positions: typed access that collects what is wrong.

use super::MOST_PROBLEMS;
use super::element::{Attribute, Element};
use super::schema::{self, Content, Occurs, State, Value, Wrong};

use crate::describe::{Diagnostic, Lack, Span};
use crate::model::elements::Said;
use std::collections::BTreeSet;

/// Reads elements and collects what is wrong with them.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Diagnostic>,
}

impl Reader {
    pub(super) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.push(|| span.error(code, message));
    }

    pub(super) fn error_with(
        &mut self,
        code: &'static str,
        span: Span,
        message: String,
        hint: impl Into<String>,
    ) {
        self.push(|| span.error(code, message).hint(hint));
    }

    /// An error because something is not supported yet.
    pub(super) fn lack(&mut self, span: &Span, message: String, lack: Lack) {
        self.push(|| span.error("unsupported", message).lack(lack));
    }

    pub(super) fn warning(&mut self, code: &'static str, span: &Span, message: String, hint: &str) {
        let hint = Some(hint).filter(|hint| !hint.is_empty());
        self.push(|| {
            let warning = span.warning(code, message);
            Diagnostic { hint: hint.map(str::to_owned), ..warning }
        });
    }

    /// Where problems are without number, the first of them are enough.
    fn push(&mut self, problem: impl FnOnce() -> Diagnostic) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem());
        }
    }

    /// Everything that the schema says about an element and all below it.
    pub(super) fn validate(&mut self, node: &Element, row: &'static schema::Element) {
        self.attributes(node, row);
        match row.content {
            Content::Holds(value) => self.value(&node.name, &node.text, &node.whole, value),
            Content::Empty | Content::Elements | Content::Foreign => {
                if let Some(span) = node.text_span.clone() {
                    let what = if matches!(row.content, Content::Empty) {
                        "is empty"
                    } else {
                        "only holds elements"
                    };
                    self.error("unexpected-text", span, format!("text in {}, which {what}", node.tag()));
                }
            }
        }
        if matches!(row.content, Content::Foreign) {
            return self.foreign(node);
        }
        for child in &node.children {
            match row.child(&child.name).filter(|_| !child.foreign) {
                Some(below) => self.validate(child, below),
                None => {
                    let names = row.children.iter().map(|(_, child)| child.name);
                    let message = format!("{} has no element {}", node.tag(), short(&child.name));
                    self.unknown("unknown-element", child.span.clone(), message, &child.name, names);
                }
            }
        }
        self.counts(node, row);
    }

    /// Data of others: each in a namespace of its own, and one element of each.
    fn foreign(&mut self, node: &Element) {
        if node.children.is_empty() {
            let message = format!("{} lacks an element of a namespace of its own", node.tag());
            self.error("missing-element", node.span.clone(), message);
        }
        let mut namespaces = BTreeSet::new();
        for child in &node.children {
            if !child.foreign {
                let message = format!("{} has no element {}", node.tag(), short(&child.name));
                let hint = "data of others has a namespace: <my:name xmlns:my=\"...\">";
                self.error_with("unknown-element", child.span.clone(), message, hint);
            } else if !namespaces.insert(child.namespace.as_str()) {
                let message = format!("a second element of one namespace in {}", node.tag());
                self.error("duplicate", child.span.clone(), message);
            }
        }
    }

    fn attributes(&mut self, node: &Element, row: &'static schema::Element) {
        for attribute in &node.attributes {
            let Some(known) = row.attribute(&attribute.name) else {
                let names = row.attributes.iter().map(|known| known.name);
                let message = format!("{} has no attribute {}", node.tag(), short(&attribute.name));
                let span = attribute.name_span.clone();
                self.unknown("unknown-attribute", span, message, &attribute.name, names);
                continue;
            };
            self.value(&attribute.name, &attribute.value, &attribute.value_span, known.value);
        }
        let required = row.attributes.iter().filter(|known| known.required);
        required.for_each(|known| {
            self.required(node, known.name);
        });
    }

    fn value(&mut self, name: &str, text: &str, span: &Span, value: Value) {
        match value.check(name, text) {
            Ok(()) => {}
            Err(Wrong { message, hint: Some(hint) }) => {
                self.error_with("bad-value", span.clone(), message, hint)
            }
            Err(Wrong { message, hint: None }) => self.error("bad-value", span.clone(), message),
        }
    }

    /// How often each child is there.
    fn counts(&mut self, node: &Element, row: &'static schema::Element) {
        for (occurs, below) in row.children {
            let mut children = node.named(below.name);
            let (first, second) = (children.next(), children.next());
            if first.is_none() && matches!(occurs, Occurs::One | Occurs::Several) {
                let message = format!("{} lacks the element {}", node.tag(), below.name);
                self.error("missing-element", node.span.clone(), message);
            }
            if let Some(second) = second.filter(|_| matches!(occurs, Occurs::One | Occurs::Optional)) {
                let message = format!("a second {} in {}", below.name, node.tag());
                self.error("duplicate", second.span.clone(), message);
            }
        }
    }

    /// Says what becomes of an element's attributes and children, as deep as they are used. `outer` is the state of what it
    /// is in.
    pub(super) fn states(&mut self, node: &Element, row: &'static schema::Element, outer: State) {
        let outer = row.state.or(outer);
        self.attribute_states(node, row, outer);
        for child in node.children.iter().filter(|child| !child.foreign) {
            let Some(below) = row.child(&child.name) else { continue };
            self.child_state(child, below, outer);
        }
    }

    /// The same about an element and what is in it.
    pub(super) fn child_state(&mut self, child: &Element, row: &'static schema::Element, outer: State) {
        let what = format!("element {}", child.name);
        if self.state(row.state.or(outer), &what, &child.name, &child.span, child.trimmed()) {
            self.states(child, row, outer);
        }
    }

    pub(super) fn attribute_states(&mut self, node: &Element, row: &'static schema::Element, outer: State) {
        for attribute in &node.attributes {
            let Some(known) = row.attribute(&attribute.name) else { continue };
            let state = known.state.or(outer);
            let value = attribute.value.trim();
            let what = format!("attribute {} of {}", attribute.name, node.tag());
            let part = format!("{}@{}", node.name, attribute.name);
            if self.state(state, &what, &part, &attribute.span, value) {
                self.value_state(node, attribute, known, state);
            }
        }
    }

    /// Where some values are supported and others are not.
    fn value_state(
        &mut self,
        node: &Element,
        attribute: &Attribute,
        known: &'static schema::Attribute,
        outer: State,
    ) {
        let Attribute { name, value, span, .. } = attribute;
        let State::Refused(feature) = known.value.state(value.trim(), outer) else { return };
        let why = if feature.is_empty() { String::new() } else { format!(": {feature}") };
        let of = if node.name == "type" { String::new() } else { format!("{} ", node.name) };
        let message = format!("{of}{name}=\"{}\" is not supported yet{why}", short(value.trim()));
        let words = known.value.words(outer).into_iter();
        let used = words.filter(|(word, _)| known.value.state(word, outer).name() != "refused");
        let used: Vec<String> = used.map(|(word, _)| format!("{name}=\"{word}\"")).collect();
        let hint = format!("supported: {}", used.join(", "));
        let lack = Lack::new(format!("{}@{name}={}", node.name, short(value.trim())), feature);
        self.push(|| span.error("unsupported", message).hint(hint).lack(lack));
    }

    /// Says what becomes of it; whether it is worth looking into.
    fn state(&mut self, state: State, what: &str, part: &str, span: &Span, value: &str) -> bool {
        match state {
            State::Used | State::Written | State::Same | State::Recorded(_) | State::Shapes(_) => true,
            State::Noted(why) => {
                self.warning("no-effect", span, format!("{what} has no effect: {why}"), "");
                false
            }
            State::Off(_) if State::is_off(value) => true,
            State::Off(feature) => {
                let message = format!("{what} is not supported yet, except false or 0: {feature}");
                self.lack(span, message, Lack::new(part, feature));
                false
            }
            State::Refused(feature) => {
                let message = format!("{what} is not supported yet: {feature}");
                self.lack(span, message, Lack::new(part, feature));
                false
            }
        }
    }

    /// An error about a name that is not known, with the nearest that is.
    pub(super) fn unknown<'n>(
        &mut self,
        code: &'static str,
        span: Span,
        message: String,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) {
        match nearest(name, known) {
            Some(near) => self.error_with(code, span, message, format!("did you mean {near}?")),
            None => self.error(code, span, message),
        }
    }

    /// An attribute that must be there.
    pub(super) fn required<'n>(&mut self, node: &'n Element, name: &str) -> Option<&'n str> {
        let value = node.attribute(name);
        if value.is_none() {
            self.error(
                "missing-attribute",
                node.span.clone(),
                format!("{} lacks the attribute {name}", node.tag()),
            );
        }
        value
    }

    /// A text that may go into one line of a file: no control characters.
    pub(super) fn line<'n>(&mut self, name: &str, said: &'n Option<Said<String>>) -> Option<&'n str> {
        let Said { value, whole, .. } = said.as_ref()?;
        if let Some(control) = value.chars().find(|c| c.is_control()) {
            let message = format!("{name} holds a control character: U+{:04X}", u32::from(control));
            self.error("bad-value", whole.clone(), message);
            return None;
        }
        Some(value)
    }
}

/// Children that are elements of no namespace of others.
pub(super) fn elements(node: &Element) -> impl Iterator<Item = &Element> {
    node.children.iter().filter(|child| !child.foreign)
}

/// The words of a comma list.
pub(super) fn list(value: Option<&str>) -> Vec<String> {
    let words = value.unwrap_or("").split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// A value of a stranger in a message.
pub(super) fn short(value: &str) -> String {
    let cut: String = value.chars().take(60).collect();
    if cut.len() < value.len() { format!("{cut}...") } else { cut }
}

/// The nearest known name, if it is near enough to be meant.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > 64 {
        return None;
    }
    let near = known.map(|known| (distance(name, known), known)).min()?;
    (near.0 <= 1 + name.chars().count() / 4).then_some(near.1)
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["filesystem", "firmware", "format"];
        let cases =
            [("filesytem", Some("filesystem")), ("Firmware", Some("firmware")), ("luks", None), ("", None)];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        }
    }

    #[test]
    fn edit_distances() {
        for (a, b, expected) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("ä", "a", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
