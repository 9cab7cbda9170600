//! YAML as values.
//!
//! saphyr-parser (YAML 1.2, events with positions, no recursion) is used because what is built of the events is then ours
//! to limit: aliases are shared, and counted where they become elements. Plain words mean what PyYAML, which KIWI reads
//! them with, takes them for (YAML 1.1): `yes` and `on` are true.

use super::data::{DEEPEST_VALUE, Data, Key, MOST_KEYS, MOST_VALUES, Notes, Value, fraction};
use crate::describe::Diagnostic;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A list or a map that is not at its end.
struct Open {
    start: usize,
    anchor: usize,
    list: Vec<Arc<Data>>,
    map: Option<Vec<(Key, Arc<Data>)>>,
    key: Option<Key>,
}

/// The value of a text: one document.
pub(super) fn read(notes: &mut Notes<'_>) -> Result<Arc<Data>, Diagnostic> {
    let source = notes.source.clone();
    let index = Index::new(&source.text);
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: BTreeMap<usize, Arc<Data>> = BTreeMap::new();
    let mut top: Option<Arc<Data>> = None;
    let mut values = 0;
    for event in Parser::new_from_str(&source.text) {
        let (event, span) = event.map_err(|error| {
            let at = index.byte(error.marker());
            notes.error("not-yaml", at..at, format!("no YAML: {}", error.info()))
        })?;
        let range = index.byte(&span.start)..index.byte(&span.end).max(index.byte(&span.start));
        values += 1;
        if values > MOST_VALUES {
            return Err(notes.error("too-large", range, format!("more than {MOST_VALUES} values")));
        }
        let (data, anchor) = match event {
            Event::DocumentStart(_) if top.is_some() => {
                return Err(notes.error("not-yaml", range, "a second document in one file"));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == DEEPEST_VALUE => {
                return Err(too_deep(notes, range));
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open { start: range.start, anchor, list: Vec::new(), map: None, key: None });
                continue;
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open {
                    start: range.start,
                    anchor,
                    list: Vec::new(),
                    map: Some(Vec::new()),
                    key: None,
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { start, anchor, list, map, .. }) = open.pop() else { continue };
                let value = map.map_or_else(|| Value::List(list), Value::Map);
                (Arc::new(Data::new(start..end(&value, start), value)), anchor)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                let value =
                    if quoted { Value::Scalar(text.into_owned()) } else { plain(&text, &range, notes) };
                (Arc::new(Data::new(range, value)), anchor)
            }
            Event::Alias(anchor) => {
                let Some(data) = anchors.get(&anchor) else {
                    return Err(notes.error("not-yaml", range, "an alias of what is not complete"));
                };
                // A word is said to be where its alias stands; what is long is not copied.
                let data = match &data.value {
                    Value::Scalar(text) if text.len() < 64 => {
                        Arc::new(Data::new(range, Value::Scalar(text.clone())))
                    }
                    _ => data.clone(),
                };
                (data, 0)
            }
            _ => continue,
        };
        // Aliases make it deeper than lists and maps are open.
        if data.depth > DEEPEST_VALUE {
            return Err(too_deep(notes, data.range.clone()));
        }
        if anchor != 0 {
            anchors.insert(anchor, data.clone());
        }
        place(&mut open, &mut top, data, notes)?;
    }
    Ok(top.unwrap_or_else(|| Arc::new(Data::new(0..0, Value::Null))))
}

fn too_deep(notes: &Notes<'_>, range: Range<usize>) -> Diagnostic {
    notes.error("too-large", range, format!("more than {DEEPEST_VALUE} values in one another"))
}

/// Puts a value where it belongs: a list, a key, behind a key, or the top.
fn place(
    open: &mut [Open],
    top: &mut Option<Arc<Data>>,
    data: Arc<Data>,
    notes: &mut Notes<'_>,
) -> Result<(), Diagnostic> {
    let Some(Open { list, map, key, .. }) = open.last_mut() else {
        *top = Some(data);
        return Ok(());
    };
    let Some(map) = map else {
        list.push(data);
        return Ok(());
    };
    match (key.take(), &data.value) {
        (None, Value::Scalar(name)) => *key = Some(Key { name: name.clone(), range: data.range.clone() }),
        (None, _) => return Err(notes.error("not-yaml", data.range.clone(), "a key that is no text")),
        (Some(merge), _) if merge.name == "<<" => merged(map, &data),
        (Some(key), _) => notes.put(map, key, data),
    }
    Ok(())
}

/// `<<`: the pairs of another map (or of several), where they are not there.
fn merged(map: &mut Vec<(Key, Arc<Data>)>, data: &Data) {
    match &data.value {
        Value::Map(other) => {
            let new: Vec<_> = other
                .iter()
                .filter(|(key, _)| map.iter().all(|(one, _)| one.name != key.name))
                .cloned()
                .collect();
            map.extend(new.into_iter().take(MOST_KEYS.saturating_sub(map.len())));
        }
        Value::List(all) => {
            all.iter().filter(|one| !matches!(one.value, Value::List(_))).for_each(|one| merged(map, one))
        }
        Value::Null | Value::Scalar(_) => {}
    }
}

fn end(value: &Value, start: usize) -> usize {
    match value {
        Value::List(list) => list.last().map_or(start, |last| last.range.end),
        Value::Map(map) => map.last().map_or(start, |(key, last)| last.range.end.max(key.range.end)),
        Value::Null | Value::Scalar(_) => start,
    }
    .max(start)
}

fn plain(text: &str, range: &Range<usize>, notes: &mut Notes<'_>) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Scalar("true".to_owned())
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Scalar("false".to_owned())
        }
        _ => {
            notes.number(text, range.clone(), integer(text).or_else(|| fraction(text)));
            Value::Scalar(text.to_owned())
        }
    }
}

/// How Python writes an integer of YAML 1.1: `0644` is octal, `1:30` counts sixties.
fn integer(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let bare = digits.replace('_', "");
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let number = if let Some(hex) = bare.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).ok()
    } else if let Some(binary) = bare.strip_prefix("0b") {
        u64::from_str_radix(binary, 2).ok()
    } else if bare.len() > 1 && bare.starts_with('0') {
        u64::from_str_radix(&bare, 8).ok()
    } else if bare.contains(':') {
        let rest_is_short =
            bare.split(':').skip(1).all(|part| part.len() <= 2 && part.parse().is_ok_and(|n: u64| n < 60));
        let mut parts =
            bare.split(':').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<u64>>>()?.into_iter();
        parts.try_fold(0_u64, |sum, part| sum.checked_mul(60)?.checked_add(part)).filter(|_| rest_is_short)
    } else {
        bare.parse().ok()
    };
    number.map(|number| format!("{sign}{number}"))
}

/// From the parser's positions in characters to bytes.
struct Index {
    ascii: bool,
    /// Byte of every [`STEP`]th character.
    steps: Vec<usize>,
    text: String,
}

const STEP: usize = 64;

impl Index {
    fn new(text: &str) -> Index {
        let ascii = text.is_ascii();
        let steps = match ascii {
            true => Vec::new(),
            false => text.char_indices().step_by(STEP).map(|(at, _)| at).collect(),
        };
        Index { ascii, steps, text: text.to_owned() }
    }

    fn byte(&self, marker: &Marker) -> usize {
        let (index, len) = (marker.index(), self.text.len());
        if self.ascii {
            return index.min(len);
        }
        let Some(&start) = self.steps.get(index / STEP) else { return len };
        self.text[start..].char_indices().nth(index % STEP).map_or(len, |(at, _)| start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_python_reads_them() {
        let cases = [
            ("10", Some("10")),
            ("0644", Some("420")),
            ("089", None),
            ("+5", Some("5")),
            ("1_000", Some("1000")),
            ("0x1f", Some("31")),
            ("1:30", Some("90")),
            ("1:99", None),
            ("-7", Some("-7")),
            ("12M", None),
            ("", None),
            ("99999999999999999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(integer(text).as_deref(), expected, "{text}");
        }
        for (text, expected) in
            [("1.10", Some("1.1")), ("8.0", Some("8.0")), ("1.2.3", None), ("1.", Some("1.0"))]
        {
            assert_eq!(fraction(text).as_deref(), expected, "{text}");
        }
    }
}
