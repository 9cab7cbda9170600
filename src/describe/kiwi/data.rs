//! Values of YAML, JSON and TOML, and how they become elements (the rules of anymarkup and xmltodict, which KIWI reads
//! them with).

use super::element::{Attribute, Budget, Element};
use crate::describe::{Diagnostic, SourceText, Span};
use std::ops::Range;
use std::sync::Arc;

/// Most values of a file.
pub(super) const MOST_VALUES: usize = 1 << 17;
/// Most keys in one place: what repeats is a list.
pub(super) const MOST_KEYS: usize = 500;
/// How deep values lie in one another at most.
pub(super) const DEEPEST_VALUE: usize = 96;

/// A value and where it is written.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) range: Range<usize>,
    pub(super) value: Value,
    /// How many values lie in one another here at most, this one too.
    pub(super) depth: usize,
}

impl Data {
    pub(super) fn new(range: Range<usize>, value: Value) -> Data {
        let below = match &value {
            Value::Null | Value::Scalar(_) => None,
            Value::List(list) => list.iter().map(|one| one.depth).max(),
            Value::Map(map) => map.iter().map(|(_, one)| one.depth).max(),
        };
        Data { range, value, depth: below.unwrap_or(0) + 1 }
    }
}

/// Shared, so that an alias of YAML costs nothing before it becomes elements, which are counted.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    /// As it is written, without quotes; truth values are `true` and `false`.
    Scalar(String),
    List(Vec<Arc<Data>>),
    /// In the order of the file. What is there twice counts with its last value.
    Map(Vec<(Key, Arc<Data>)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) range: Range<usize>,
}

/// What is said while a file is read.
pub(super) struct Notes<'a> {
    pub(super) source: &'a Arc<SourceText>,
    pub(super) problems: Vec<Diagnostic>,
}

impl Notes<'_> {
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        Span { source: self.source.clone(), range }
    }

    pub(super) fn error(
        &self,
        code: &'static str,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        self.span(range).error(code, message)
    }

    /// A number that KIWI's reader writes another way. As it is written is what was meant.
    pub(super) fn number(&mut self, text: &str, range: Range<usize>, read: Option<String>) {
        let Some(read) = read.filter(|read| read != text) else { return };
        let message = format!("a number without quotes: KIWI makes {read} of {text}; here it stays {text}");
        let hint = format!("write \"{text}\" with quotes, or {read}");
        self.problems.push(self.span(range).warning("unquoted-number", message).hint(hint));
    }

    /// Adds a pair; says so where the key was there.
    pub(super) fn put(&mut self, map: &mut Vec<(Key, Arc<Data>)>, key: Key, value: Arc<Data>) {
        let len = map.len();
        match map.iter_mut().find(|(other, _)| other.name == key.name) {
            None if len == MOST_KEYS => {
                let message = format!("more than {MOST_KEYS} keys in one place");
                self.problems.push(self.span(key.range).error("too-large", message));
                map.push((Key { name: "#comment".to_owned(), range: 0..0 }, value));
            }
            None if len > MOST_KEYS => {}
            None => map.push((key, value)),
            Some(there) => {
                let message = format!("a second key {} in one place: KIWI takes this one", key.name);
                let hint = "elements that repeat are a list below one key";
                self.problems.push(self.span(key.range.clone()).warning("duplicate-key", message).hint(hint));
                *there = (key, value);
            }
        }
    }
}

/// How Python writes a decimal fraction: the shortest that is the same number.
pub(super) fn fraction(text: &str) -> Option<String> {
    let plain = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, rest) = plain.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !(rest.is_empty() || digits(rest)) || text.len() > 18 {
        return None;
    }
    text.parse::<f64>().ok().map(|number| format!("{number:?}"))
}

/// The root element of a value.
pub(super) fn root(data: &Data, notes: &Notes<'_>, budget: &mut Budget) -> Result<Element, Diagnostic> {
    let Value::Map(map) = &data.value else {
        let start = data.range.start;
        return Err(notes.error(
            "not-an-image",
            start..start,
            "no image description: expected the key image",
        ));
    };
    match map.as_slice() {
        [(key, value)] if !key.name.starts_with(['@', '#']) => match &value.value {
            Value::List(_) => Err(notes.error(
                "not-an-image",
                key.range.clone(),
                "one image description, and no list of them",
            )),
            _ => Ok(element(key, value, notes, budget, 1)),
        },
        [] => Err(notes.error(
            "not-an-image",
            data.range.clone(),
            "no image description: there is nothing in it",
        )),
        several => {
            let other = several.iter().find(|(key, _)| key.name != "image").unwrap_or(&several[0]);
            let message = format!("one key at the top and no other: {}", other.0.name);
            Err(notes.error("not-an-image", other.0.range.clone(), message))
        }
    }
}

fn element(key: &Key, data: &Data, notes: &Notes<'_>, budget: &mut Budget, depth: usize) -> Element {
    let (prefix, name) = key.name.split_once(':').map_or((None, key.name.as_str()), |(a, b)| (Some(a), b));
    let declares = |map: &[(Key, Arc<Data>)]| map.iter().any(|(key, _)| key.name == "@xmlns");
    let end = data.range.end.max(key.range.end);
    let mut element = Element {
        name: name.to_owned(),
        foreign: prefix.is_some() || matches!(&data.value, Value::Map(map) if declares(map)),
        namespace: prefix.unwrap_or("").to_owned(),
        span: notes.span(key.range.clone()),
        whole: notes.span(key.range.start.min(end)..end),
        ..Element::default()
    };
    match &data.value {
        Value::Null | Value::List(_) => {}
        Value::Scalar(text) => {
            element.text = budget.text(text, &element.span);
            element.text_span = Some(notes.span(data.range.clone())).filter(|_| !text.trim().is_empty());
        }
        Value::Map(_) if element.foreign => {}
        Value::Map(map) => pairs(&mut element, map, notes, budget, depth),
    }
    element
}

fn pairs(
    element: &mut Element,
    map: &[(Key, Arc<Data>)],
    notes: &Notes<'_>,
    budget: &mut Budget,
    depth: usize,
) {
    for (key, value) in map {
        let at = notes.span(key.range.clone());
        if !budget.take(&at) {
            return;
        }
        if let Some(name) = key.name.strip_prefix('@') {
            if name != "xmlns" && !name.contains(':') {
                attribute(element, name, key, value, notes, budget);
            }
            continue;
        }
        match (key.name.as_str(), &value.value) {
            ("#text", Value::Scalar(text)) => {
                element.text = budget.text(text, &at);
                element.text_span = Some(notes.span(value.range.clone())).filter(|_| !text.trim().is_empty());
            }
            ("#text", Value::Null) | ("#comment", _) => {}
            ("#text", _) => budget.problems.push(at.error("bad-value", "#text is no text")),
            (_, Value::List(items)) => {
                for item in items {
                    if matches!(item.value, Value::List(_)) {
                        let span = notes.span(item.range.clone());
                        let message = format!("a list in the list of {}", key.name);
                        budget.problems.push(span.error("bad-value", message));
                    } else if !child(element, key, item, notes, budget, depth) {
                        return;
                    }
                }
            }
            _ => {
                if !child(element, key, value, notes, budget, depth) {
                    return;
                }
            }
        }
    }
}

fn child(
    element: &mut Element,
    key: &Key,
    data: &Data,
    notes: &Notes<'_>,
    budget: &mut Budget,
    depth: usize,
) -> bool {
    let at = notes.span(key.range.clone());
    let room = budget.take(&at) && budget.depth(depth + 1, &at);
    if room {
        element.children.push(self::element(key, data, notes, budget, depth + 1));
    }
    room
}

fn attribute(
    element: &mut Element,
    name: &str,
    key: &Key,
    data: &Data,
    notes: &Notes<'_>,
    budget: &mut Budget,
) {
    let value = match &data.value {
        Value::Scalar(text) => budget.text(text, &element.span),
        Value::Null => String::new(),
        Value::List(_) | Value::Map(_) => {
            let span = notes.span(key.range.clone());
            budget
                .problems
                .push(span.error("bad-value", format!("attribute {name} has no text as its value")));
            return;
        }
    };
    let end = data.range.end.max(key.range.end);
    element.attributes.push(Attribute {
        name: name.to_owned(),
        value,
        span: notes.span(key.range.start.min(end)..end),
        name_span: notes.span(key.range.clone()),
        value_span: notes.span(data.range.clone()),
    });
}
