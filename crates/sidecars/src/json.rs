//! JSON as rows or as leaves.

use serde_json::Value;

use crate::error::{At, Bad};
use crate::format::Format;
use crate::table::{Builder, Table};

fn value(text: &str) -> Result<Value, Bad> {
    serde_json::from_str(text).map_err(|e| Bad::line(e.line() as u64, "json", e.to_string()))
}

/// An array of objects: one row an object, a column a key in the order in which they are met.
pub(crate) fn rows(text: &str) -> Result<Table, Bad> {
    let bad = |message: String| Bad::new(At::File, "json-rows", message);
    let Value::Array(items) = value(text)? else {
        return Err(bad("expected a JSON array of objects".into()));
    };
    let mut out = Builder::new(Vec::new(), text.len());
    let mut index = std::collections::HashMap::new();
    for (i, item) in items.iter().enumerate() {
        let Value::Object(object) = item else {
            return Err(bad(format!("item {i}: expected an object")));
        };
        for key in object.keys() {
            if !index.contains_key(key) {
                index.insert(key.clone(), out.add_column(key.clone()));
            }
        }
        let mut row = vec![None; out.columns().len()];
        for (key, value) in object {
            if let Some(cell) = index.get(key).and_then(|&i| row.get_mut(i)) {
                *cell = scalar(value);
            }
        }
        out.row(row)?;
    }
    out.finish()
}

/// The leaves of any JSON.
pub(crate) fn tree(text: &str) -> Result<Table, Bad> {
    let mut out = Builder::of(Format::JsonTree, text.len());
    visit("", &value(text)?, &mut |key, value| {
        out.row(vec![Some(key), value])
    })?;
    out.finish()
}

/// The leaves of a JSON value with dotted keys below `key`; lists are numbered from 0, and
/// an empty list or object has none.
pub fn flatten(key: &str, value: &Value, out: &mut Vec<(String, Option<String>)>) {
    let all: Result<(), std::convert::Infallible> = visit(key, value, &mut |key, value| {
        out.push((key, value));
        Ok(())
    });
    match all {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

/// Calls `leaf` on every leaf. The parser bounds the depth at 128.
fn visit<E>(
    key: &str,
    value: &Value,
    leaf: &mut impl FnMut(String, Option<String>) -> Result<(), E>,
) -> Result<(), E> {
    let join = |part: &str| match key {
        "" => part.to_owned(),
        key => format!("{key}.{part}"),
    };
    match value {
        Value::Object(object) => {
            for (k, v) in object {
                visit(&join(k), v, leaf)?;
            }
        }
        Value::Array(items) => {
            for (i, v) in items.iter().enumerate() {
                visit(&join(&i.to_string()), v, leaf)?;
            }
        }
        end => leaf(key.to_owned(), scalar(end))?,
    }
    Ok(())
}

/// A JSON leaf as text; deeper values as JSON.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_rows_or_leaves() {
        let leaves = tree(r#"{"a": {"b": [1, "x"]}, "c": null, "d": []}"#).unwrap();
        let keys: Vec<_> = leaves.column("key").unwrap().flatten().collect();
        assert_eq!(keys, ["a.b.0", "a.b.1", "c"]);
        let values: Vec<_> = leaves.column("value").unwrap().collect();
        assert_eq!(values, [Some("1"), Some("x"), None]);
    }

    #[test]
    fn objects_may_have_different_keys() {
        let table = rows(r#"[{"a": 1}, {"b": [2], "a": null}]"#).unwrap();
        assert_eq!(table.columns, ["a", "b"]);
        assert_eq!(
            table.rows,
            [
                vec![Some("1".to_owned()), None],
                vec![None, Some("[2]".to_owned())]
            ]
        );
    }

    #[test]
    fn flatten_starts_below_a_key() {
        let mut out = Vec::new();
        flatten("x", &serde_json::json!({"a": [true]}), &mut out);
        assert_eq!(out, [("x.a.0".to_owned(), Some("true".to_owned()))]);
    }
}
