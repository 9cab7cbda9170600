//! XML as elements.
//!
//! roxmltree (XML 1.0 without DTDs, no recursion on depth) is used because it keeps the position of every attribute.
//! Its checks for duplicates are quadratic in the attributes of a tag and in namespaces, so both are limited first.

use super::element::{Attribute, Budget, Element};
use super::{MOST_ATTRIBUTES, MOST_NAMESPACES};
use crate::describe::{Diagnostic, SourceText, Span};
use roxmltree::{Document, Node};
use std::ops::Range;
use std::sync::Arc;

/// The root element of a text.
pub(super) fn read(source: &Arc<SourceText>, budget: &mut Budget) -> Result<Element, Diagnostic> {
    let span = |range: Range<usize>| Span { source: source.clone(), range };
    if let Some((at, why)) = hostile(&source.text) {
        return Err(span(at..at).error("too-large", why));
    }
    let limits = roxmltree::ParsingOptions { nodes_limit: 1 << 20, ..Default::default() };
    let document = Document::parse_with_options(&source.text, limits).map_err(|error| {
        let at = offset(&source.text, error.pos());
        let message = error.to_string();
        let message = message.split(" at ").next().unwrap_or(&message).to_owned();
        span(at..at).error("not-xml", message)
    })?;
    Ok(element(document.root_element(), &span, budget, 1))
}

/// What is too deep or too much stays out; the budget has said so.
fn element(
    node: Node<'_, '_>,
    span: &dyn Fn(Range<usize>) -> Span,
    budget: &mut Budget,
    depth: usize,
) -> Element {
    let start = node.range().start;
    let name = node.tag_name().name();
    let foreign = node.tag_name().namespace().is_some();
    let open = start..(start + 1 + name.len()).min(node.range().end);
    let mut element = Element {
        name: name.to_owned(),
        foreign,
        namespace: node.tag_name().namespace().unwrap_or("").to_owned(),
        span: span(open),
        whole: span(node.range()),
        ..Element::default()
    };
    if foreign {
        return element;
    }
    for attribute in node.attributes().filter(|attribute| attribute.namespace().is_none()) {
        if !budget.take(&element.span) {
            return element;
        }
        element.attributes.push(Attribute {
            name: attribute.name().to_owned(),
            value: attribute.value().to_owned(),
            span: span(attribute.range()),
            name_span: span(attribute.range_qname()),
            value_span: span(attribute.range_value()),
        });
    }
    for child in node.children() {
        if child.is_text() {
            let text = child.text().unwrap_or("");
            if element.text_span.is_none() && !text.trim().is_empty() {
                element.text_span = Some(span(child.range()));
            }
            element.text += text;
        } else if child.is_element() {
            let at = span(child.range().start..child.range().start + 1);
            if !budget.take(&at) || !budget.depth(depth + 1, &at) {
                return element;
            }
            element.children.push(self::element(child, span, budget, depth + 1));
        }
    }
    element
}

/// Where the parser's quadratic checks would be abused, and how.
fn hostile(text: &str) -> Option<(usize, String)> {
    let declared = text.match_indices("xmlns").nth(MOST_NAMESPACES);
    if let Some((at, _)) = declared {
        return Some((at, format!("more than {MOST_NAMESPACES} namespaces")));
    }
    let mut start = 0;
    // A `<` cannot stand in an attribute, so a tag ends before the next one.
    for tag in text.split('<') {
        let count = |sign: &[u8]| tag.bytes().filter(|byte| sign.contains(byte)).count();
        if count(b"=") > MOST_ATTRIBUTES && count(b"\"'") > 2 * MOST_ATTRIBUTES {
            return Some((start, format!("a tag with more than {MOST_ATTRIBUTES} attributes")));
        }
        start += tag.len() + 1;
    }
    None
}

/// Bytes in front of a row and column of the parser (both from 1, columns in characters).
fn offset(text: &str, position: roxmltree::TextPos) -> usize {
    let row = position.row.saturating_sub(1) as usize;
    let line = text.split_inclusive('\n').take(row).map(str::len).sum::<usize>();
    let rest = text.get(line..).unwrap_or("");
    let column = position.col.saturating_sub(1) as usize;
    line + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}
