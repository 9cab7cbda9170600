//! TOML as values.
//!
//! The crate `toml` is used: its parser keeps the position of every key and value and limits how deep they lie.

use super::data::{Data, Key, MOST_VALUES, Notes, Value, fraction};
use crate::describe::Diagnostic;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// The value of a text.
pub(super) fn read(notes: &mut Notes<'_>) -> Result<Arc<Data>, Diagnostic> {
    let source = notes.source.clone();
    if source.text.bytes().filter(|byte| b",=[{.".contains(byte)).count() > 2 * MOST_VALUES {
        return Err(notes.error("too-large", 0..0, format!("more than {MOST_VALUES} values")));
    }
    let table = DeTable::parse(&source.text).map_err(|error| {
        let message = error.message().lines().next().unwrap_or("").to_owned();
        notes.error("not-toml", error.span().unwrap_or(0..0), format!("no TOML: {message}"))
    })?;
    let value = map(table.get_ref(), notes);
    Ok(Arc::new(Data::new(table.span(), value)))
}

fn map(table: &DeTable<'_>, notes: &mut Notes<'_>) -> Value {
    let mut pairs: Vec<_> = table.iter().collect();
    // The parser sorts by name; what counts is the order of the file.
    pairs.sort_by_key(|(key, _)| key.span().start);
    let pairs = pairs.into_iter().map(|(key, value)| {
        let key = Key { name: key.get_ref().to_string(), range: key.span() };
        (key, Arc::new(Data::new(value.span(), convert(value.get_ref(), value.span(), notes))))
    });
    Value::Map(pairs.collect())
}

fn convert(value: &DeValue<'_>, range: std::ops::Range<usize>, notes: &mut Notes<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Scalar(text.to_string()),
        DeValue::Integer(number) => {
            let written = notes.source.text.get(range.clone()).unwrap_or("").to_owned();
            let read =
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string());
            notes.number(&written, range, read);
            Value::Scalar(written)
        }
        DeValue::Float(number) => {
            notes.number(number.as_str(), range, fraction(number.as_str()));
            Value::Scalar(number.as_str().to_owned())
        }
        DeValue::Boolean(truth) => Value::Scalar(truth.to_string()),
        DeValue::Datetime(time) => Value::Scalar(time.to_string()),
        DeValue::Array(array) => {
            let item = |one: &toml::Spanned<DeValue<'_>>| {
                let value = convert(one.get_ref(), one.span(), notes);
                Arc::new(Data::new(one.span(), value))
            };
            Value::List(array.iter().map(item).collect())
        }
        DeValue::Table(table) => map(table, notes),
    }
}
