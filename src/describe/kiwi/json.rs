//! JSON as values.
//!
//! jsonc-parser is used because it keeps the position of every key and value and limits how deep they lie; all that it
//! takes beyond JSON is switched off.

use super::data::{Data, Key, MOST_VALUES, Notes, Value, fraction};
use crate::describe::Diagnostic;
use jsonc_parser::ast::{self, ObjectPropName};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use std::sync::Arc;

/// The value of a text.
pub(super) fn read(notes: &mut Notes<'_>) -> Result<Arc<Data>, Diagnostic> {
    let source = notes.source.clone();
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    // A value takes at least two bytes with what parts it from the next.
    let signs = source.text.bytes().filter(|byte| b",:[{".contains(byte)).count();
    if signs > 2 * MOST_VALUES {
        return Err(notes.error("too-large", 0..0, format!("more than {MOST_VALUES} values")));
    }
    let parsed = parse_to_ast(&source.text, &CollectOptions::default(), &strict).map_err(|error| {
        let range = error.range();
        notes.error("not-json", range.start..range.end.max(range.start), format!("no JSON: {}", error.kind()))
    })?;
    Ok(match parsed.value {
        Some(value) => Arc::new(convert(value, notes)),
        None => Arc::new(Data::new(0..0, Value::Null)),
    })
}

/// The parser has limited how deep this goes.
fn convert(value: ast::Value<'_>, notes: &mut Notes<'_>) -> Data {
    let Range { start, end } = value.range();
    let value = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::StringLit(text) => Value::Scalar(text.value.into_owned()),
        ast::Value::BooleanLit(truth) => Value::Scalar(truth.value.to_string()),
        ast::Value::NumberLit(number) => {
            notes.number(number.value, start..end, fraction(number.value));
            Value::Scalar(number.value.to_owned())
        }
        ast::Value::Array(array) => {
            Value::List(array.elements.into_iter().map(|one| Arc::new(convert(one, notes))).collect())
        }
        ast::Value::Object(object) => {
            let mut map = Vec::new();
            for property in object.properties {
                let Range { start, end } = property.name.range();
                let name = match property.name {
                    ObjectPropName::String(text) => text.value.into_owned(),
                    ObjectPropName::Word(word) => word.value.to_owned(),
                };
                let value = Arc::new(convert(property.value, notes));
                notes.put(&mut map, Key { name, range: start..end }, value);
            }
            Value::Map(map)
        }
    };
    Data::new(start..end, value)
}
