//! Elements with positions: typed access that collects what is wrong.

use super::MOST_PROBLEMS;
use super::element::{Attribute, Element};
use super::schema::{Schema, Stance};
use crate::describe::{Diagnostic, Span};

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

    /// Every attribute, child and text of `node` against the schema, and of its children as deep as the schema goes.
    pub(super) fn validate(&mut self, node: &Element, schema: &'static Schema) {
        self.attributes(node, schema);
        let has_text = !schema.children.is_empty();
        if let Some(span) = node.text_span.clone().filter(|_| has_text) {
            let message = format!("text in {}, which only holds elements", node.tag());
            self.error("unexpected-text", span, message);
        }
        for child in elements(node) {
            self.child(node, child, schema);
        }
    }

    fn attributes(&mut self, node: &Element, schema: &'static Schema) {
        for attribute in &node.attributes {
            let known = schema.attributes.iter().find(|(name, _)| *name == attribute.name.as_str());
            let Some((name, stance)) = known else {
                let names = schema.attributes.iter().map(|(name, _)| *name);
                let message = format!("{} has no attribute {}", node.tag(), attribute.name.as_str());
                self.unknown(
                    "unknown-attribute",
                    attribute.name_span.clone(),
                    message,
                    attribute.name.as_str(),
                    names,
                );
                continue;
            };
            let what = format!("attribute {name} of {}", node.tag());
            self.stance(*stance, &what, attribute.span.clone(), attribute.value.as_str());
        }
    }

    fn child(&mut self, node: &Element, child: &Element, schema: &'static Schema) {
        let name = child.name.as_str();
        let known = schema.children.iter().find(|(known, ..)| *known == name);
        let Some((_, stance, below)) = known.filter(|_| !child.foreign) else {
            let names = schema.children.iter().map(|(name, ..)| *name);
            let message = format!("{} has no element {name}", node.tag());
            return self.unknown("unknown-element", child.span.clone(), message, name, names);
        };
        let what = format!("element {name}");
        let go_on = self.stance(*stance, &what, child.span.clone(), child.trimmed());
        if let (Some(below), true) = (below, go_on) {
            self.validate(child, below);
        }
    }

    /// Says what becomes of it; whether it is worth looking into.
    fn stance(&mut self, stance: Stance, what: &str, span: Span, value: &str) -> bool {
        match stance {
            Stance::Read => true,
            Stance::Idle(why) => {
                self.warning("no-effect", &span, format!("{what} has no effect: {why}"), "");
                false
            }
            Stance::Off if matches!(value.trim(), "false" | "0" | "0M" | "0G") => true,
            Stance::Off => {
                let message = format!("{what} is not supported yet, except false or 0");
                self.error("unsupported", span, message);
                false
            }
            Stance::Missing(feature) => {
                self.error("unsupported", span, format!("{what} is not supported yet: {feature}"));
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

    /// An XML Schema boolean.
    pub(super) fn boolean(&mut self, node: &Element, name: &str, default: bool) -> bool {
        let Some(attribute) = node.attribute_node(name) else { return default };
        self.boolean_value(attribute.value.as_str(), attribute.value_span.clone(), name).unwrap_or(default)
    }

    /// An XML Schema boolean.
    pub(super) fn boolean_value(&mut self, value: &str, span: Span, name: &str) -> Option<bool> {
        match value.trim() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            other => {
                self.error("bad-value", span, format!("{name} is neither true nor false: {}", short(other)));
                None
            }
        }
    }

    /// Decimal digits.
    pub(super) fn number(&mut self, node: &Element, name: &str) -> Option<u64> {
        let attribute = node.attribute_node(name)?;
        self.number_value(attribute.value.as_str(), attribute.value_span.clone(), name)
    }

    /// Decimal digits.
    pub(super) fn number_value(&mut self, value: &str, span: Span, name: &str) -> Option<u64> {
        let number = value.trim().parse().ok().filter(|_| !value.trim().starts_with('+'));
        if number.is_none() {
            let message = format!("{name} is no number of at most 64 bits: {}", short(value));
            self.error("bad-value", span, message);
        }
        number
    }

    /// A text that may go into one line of a file: no control characters.
    pub(super) fn line<'n>(&mut self, node: &'n Element, name: &str) -> Option<&'n str> {
        let attribute = node.attribute_node(name)?;
        let control = attribute.value.as_str().chars().find(|c| c.is_control());
        if let Some(control) = control {
            let message = format!("{name} holds a control character: U+{:04X}", u32::from(control));
            self.error("bad-value", attribute.value_span.clone(), message);
            return None;
        }
        node.attribute(name)
    }

    /// A value out of a list; `None` and an error if it is none of it.
    pub(super) fn one_of<'n>(
        &mut self,
        attribute: &'n Attribute,
        name: &str,
        known: &'static [&'static str],
    ) -> Option<&'n str> {
        let value = attribute.value.as_str().trim();
        if known.contains(&value) {
            return Some(value);
        }
        let message = format!("{name} has no value {}: it is one of {}", short(value), known.join(", "));
        self.unknown("bad-value", attribute.value_span.clone(), message, value, known.iter().copied());
        None
    }

    /// The only child of this name; more than one is an error.
    pub(super) fn single<'n>(&mut self, node: &'n Element, name: &'n str) -> Option<&'n Element> {
        let mut children = node.named(name);
        let first = children.next();
        if let Some(second) = children.next() {
            self.error("duplicate", second.span.clone(), format!("a second {name} in {}", node.tag()));
        }
        first
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
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
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
