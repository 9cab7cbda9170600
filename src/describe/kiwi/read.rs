//! XML with positions: typed access that collects what is wrong.

use super::schema::{Schema, Stance};
use crate::describe::{Diagnostic, SourceText, Span};
use roxmltree::{Attribute, Node};

/// Reads elements of one file and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) source: &'a SourceText,
    pub(super) problems: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a SourceText) -> Reader<'a> {
        Reader { source, problems: Vec::new() }
    }

    pub(super) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.problems.push(self.source.error(code, span, message));
    }

    pub(super) fn error_with(
        &mut self,
        code: &'static str,
        span: Span,
        message: String,
        hint: impl Into<String>,
    ) {
        self.problems.push(self.source.error(code, span, message).hint(hint));
    }

    fn warning(&mut self, span: Span, message: String) {
        self.problems.push(self.source.warning("no-effect", span, message));
    }

    /// Every attribute, child and text of `node` against the schema, and of its children as deep as the schema goes.
    pub(super) fn validate(&mut self, node: Node<'_, '_>, schema: &'static Schema) {
        self.attributes(node, schema);
        let has_text = !schema.children.is_empty();
        for child in node.children() {
            if child.is_text() && has_text && !child.text().unwrap_or("").trim().is_empty() {
                let message = format!("text in {}, which only holds elements", tag(node));
                self.error("unexpected-text", child.range(), message);
            }
        }
        for child in elements(node) {
            self.child(node, child, schema);
        }
    }

    fn attributes(&mut self, node: Node<'_, '_>, schema: &'static Schema) {
        for attribute in node.attributes().filter(|attribute| attribute.namespace().is_none()) {
            let known = schema.attributes.iter().find(|(name, _)| *name == attribute.name());
            let Some((name, stance)) = known else {
                let names = schema.attributes.iter().map(|(name, _)| *name);
                let message = format!("{} has no attribute {}", tag(node), attribute.name());
                self.unknown("unknown-attribute", attribute.range_qname(), message, attribute.name(), names);
                continue;
            };
            let what = format!("attribute {name} of {}", tag(node));
            self.stance(*stance, &what, attribute.range(), attribute.value());
        }
    }

    fn child(&mut self, node: Node<'_, '_>, child: Node<'_, '_>, schema: &'static Schema) {
        let name = child.tag_name().name();
        let known = schema.children.iter().find(|(known, ..)| *known == name);
        let Some((_, stance, below)) = known.filter(|_| child.tag_name().namespace().is_none()) else {
            let names = schema.children.iter().map(|(name, ..)| *name);
            let message = format!("{} has no element {name}", tag(node));
            return self.unknown("unknown-element", open_span(child), message, name, names);
        };
        let what = format!("element {name}");
        let go_on = self.stance(*stance, &what, open_span(child), &text(child));
        if let (Some(below), true) = (below, go_on) {
            self.validate(child, below);
        }
    }

    /// Says what becomes of it; whether it is worth looking into.
    fn stance(&mut self, stance: Stance, what: &str, span: Span, value: &str) -> bool {
        match stance {
            Stance::Read => true,
            Stance::Idle(why) => {
                self.warning(span, format!("{what} has no effect: {why}"));
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
    pub(super) fn required<'n>(&mut self, node: Node<'n, '_>, name: &str) -> Option<&'n str> {
        let value = node.attribute(name);
        if value.is_none() {
            self.error(
                "missing-attribute",
                open_span(node),
                format!("{} lacks the attribute {name}", tag(node)),
            );
        }
        value
    }

    /// An XML Schema boolean.
    pub(super) fn boolean(&mut self, node: Node<'_, '_>, name: &str, default: bool) -> bool {
        let Some(attribute) = node.attribute_node(name) else { return default };
        self.boolean_value(attribute.value(), attribute.range_value(), name).unwrap_or(default)
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
    pub(super) fn number(&mut self, node: Node<'_, '_>, name: &str) -> Option<u64> {
        let attribute = node.attribute_node(name)?;
        self.number_value(attribute.value(), attribute.range_value(), name)
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
    pub(super) fn line<'n>(&mut self, node: Node<'n, '_>, name: &str) -> Option<&'n str> {
        let attribute = node.attribute_node(name)?;
        let control = attribute.value().chars().find(|c| c.is_control());
        if let Some(control) = control {
            let message = format!("{name} holds a control character: U+{:04X}", u32::from(control));
            self.error("bad-value", attribute.range_value(), message);
            return None;
        }
        node.attribute(name)
    }

    /// A value out of a list; `None` and an error if it is none of it.
    pub(super) fn one_of<'n>(
        &mut self,
        attribute: Attribute<'n, '_>,
        name: &str,
        known: &'static [&'static str],
    ) -> Option<&'n str> {
        let value = attribute.value().trim();
        if known.contains(&value) {
            return Some(value);
        }
        let message = format!("{name} has no value {}: it is one of {}", short(value), known.join(", "));
        self.unknown("bad-value", attribute.range_value(), message, value, known.iter().copied());
        None
    }

    /// The only child of this name; more than one is an error.
    pub(super) fn single<'n, 'i>(&mut self, node: Node<'n, 'i>, name: &str) -> Option<Node<'n, 'i>> {
        let mut children = elements(node).filter(|child| child.tag_name().name() == name);
        let first = children.next();
        if let Some(second) = children.next() {
            self.error("duplicate", open_span(second), format!("a second {name} in {}", tag(node)));
        }
        first
    }
}

/// Children that are elements of no namespace of others.
pub(super) fn elements<'n, 'i>(node: Node<'n, 'i>) -> impl Iterator<Item = Node<'n, 'i>> {
    node.children().filter(Node::is_element)
}

/// The text of an element without the blanks around it; comments may cut it.
pub(super) fn text(node: Node<'_, '_>) -> String {
    let parts: String = node.children().filter(Node::is_text).filter_map(|part| part.text()).collect();
    parts.trim().to_owned()
}

/// The words of a comma list.
pub(super) fn list(value: Option<&str>) -> Vec<String> {
    let words = value.unwrap_or("").split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// The start of an element's tag: `<type`.
pub(super) fn open_span(node: Node<'_, '_>) -> Span {
    let start = node.range().start;
    start..(start + 1 + node.tag_name().name().len()).min(node.range().end)
}

fn tag(node: Node<'_, '_>) -> String {
    format!("<{}>", node.tag_name().name())
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
