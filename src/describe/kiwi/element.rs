//! A description as elements with positions, whatever it is written in.
//!
//! XML, YAML, JSON and TOML all become this tree; nothing behind it knows the difference. In the last three an attribute is
//! a key with `@` in front of it, the text of an element is the key `#text`, and elements that repeat are a list.

use crate::describe::{Diagnostic, Span};
use crate::model::elements::Written;
use crate::model::lexical::Lexical;
use std::fmt;

/// How deep elements lie in one another at most. The schema needs eight levels.
pub(super) const DEEPEST: usize = 32;
/// Most elements and attributes of a description with all that it includes.
pub(super) const MOST_NODES: usize = 1 << 15;

/// Most bytes of text of a description with all that it includes.
const MOST_TEXT: usize = 16 << 20;

/// An element.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    /// Without a prefix.
    pub(super) name: String,
    /// Whether it is of a namespace of others. What is in it is not read.
    pub(super) foreign: bool,
    /// That namespace, or the prefix that stands for it.
    pub(super) namespace: String,
    /// Its name: `<type`, or the key.
    pub(super) span: Span,
    /// All of it.
    pub(super) whole: Span,
    /// Attributes of no namespace, in order.
    pub(super) attributes: Vec<Attribute>,
    /// Its own text, in one piece.
    pub(super) text: String,
    /// The first part of the text that is not blank.
    pub(super) text_span: Option<Span>,
    /// Elements in it, in order.
    pub(super) children: Vec<Element>,
}

/// An attribute.
#[derive(Clone, Debug, Default)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: String,
    /// Name and value.
    pub(super) span: Span,
    pub(super) name_span: Span,
    pub(super) value_span: Span,
}

impl Element {
    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attribute_node(name).map(|attribute| attribute.value.as_str())
    }

    /// An attribute.
    pub(super) fn attribute_node(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// Its children of this name.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name && !child.foreign)
    }

    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name && !child.foreign)
    }

    /// An attribute that is an XML Schema boolean; `None` also where it is none, which the schema has said.
    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.attribute(name).and_then(boolean)
    }

    /// Its text without the blanks around it.
    pub(super) fn trimmed(&self) -> &str {
        self.text.trim()
    }

    /// `<type>`
    pub(super) fn tag(&self) -> String {
        format!("<{}>", self.name)
    }
}

/// An XML Schema boolean.
pub(super) fn boolean(text: &str) -> Option<bool> {
    bool::of(text.trim())
}

impl Written for Element {
    fn name(&self) -> &str {
        &self.name
    }

    fn span(&self) -> &Span {
        &self.span
    }

    fn whole(&self) -> &Span {
        &self.whole
    }

    fn attributes(&self) -> impl Iterator<Item = (&str, &str, [&Span; 2])> {
        self.attributes
            .iter()
            .map(|one| (one.name.as_str(), one.value.as_str(), [&one.span, &one.value_span]))
    }

    fn text(&self) -> &str {
        self.trimmed()
    }

    fn children(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(|child| !child.foreign)
    }
}

/// `name="value"`
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=\"{}\"", self.name, self.value)
    }
}

/// Counts what a tree is made of, and says when it is too much.
#[derive(Debug, Default)]
pub(super) struct Budget {
    nodes: usize,
    text: usize,
    pub(super) problems: Vec<Diagnostic>,
    spent: bool,
}

impl Budget {
    /// Room for one more element or attribute; said once when there is none.
    pub(super) fn take(&mut self, span: &Span) -> bool {
        self.nodes += 1;
        if self.nodes <= MOST_NODES {
            return true;
        }
        if !std::mem::replace(&mut self.spent, true) {
            let message = format!("more than {MOST_NODES} elements and attributes");
            self.problems.push(span.error("too-large", message));
        }
        false
    }

    /// Room for so many bytes more of text, which aliases may repeat; said once when there is none.
    pub(super) fn text(&mut self, text: &str, span: &Span) -> String {
        self.text = self.text.saturating_add(text.len());
        if self.text <= MOST_TEXT {
            return text.to_owned();
        }
        if !std::mem::replace(&mut self.spent, true) {
            self.problems.push(span.error("too-large", format!("more than {MOST_TEXT} bytes of text")));
        }
        String::new()
    }

    /// Whether elements may lie so deep; said where they do not.
    pub(super) fn depth(&mut self, depth: usize, span: &Span) -> bool {
        if depth <= DEEPEST {
            return true;
        }
        if !std::mem::replace(&mut self.spent, true) {
            let message = format!("more than {DEEPEST} elements in one another");
            self.problems.push(span.error("too-large", message));
        }
        false
    }
}
