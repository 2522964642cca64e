//! The JSON schemas of router.yaml and of a table file, for editors.
//!
//! They are put together from what [`Written`] says of each type, so every key that the reader knows is in
//! them and no other. Draft 7, because the YAML language server knows it best.

use serde_json::{Map, Value, json};

use super::router::Router;
use super::table::Table;
use super::written::Written;

/// The schema of the main file.
pub fn router_schema() -> Value {
    whole::<Router>("router.yaml of soap-router", "router.schema.json")
}

/// The schema of a file in the filters folder.
pub fn table_schema() -> Value {
    whole::<Table>("A filter table of soap-router", "table.schema.json")
}

/// The definitions met so far, by type name.
#[derive(Default)]
pub(super) struct Book {
    definitions: Map<String, Value>,
}

/// One key of a struct.
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) doc: String,
    pub(super) schema: Value,
    /// `None` for a key that must be there.
    pub(super) default: Option<Value>,
}

impl Book {
    /// A reference to a definition, which is made on first use; a type may so hold itself.
    pub(super) fn define(
        &mut self,
        name: &'static str,
        make: impl FnOnce(&mut Self) -> Value,
    ) -> Value {
        if !self.definitions.contains_key(name) {
            self.definitions.insert(name.to_owned(), Value::Null);
            let made = make(self);
            self.definitions.insert(name.to_owned(), made);
        }
        json!({ "$ref": format!("#/definitions/{name}") })
    }

    /// The schema of a mapping with known keys.
    pub(super) fn object(doc: &str, properties: Vec<Property>) -> Value {
        let required: Vec<_> = properties
            .iter()
            .filter(|one| one.default.is_none())
            .map(|one| one.name)
            .collect();
        let properties: Map<_, _> = properties
            .into_iter()
            .map(|one| (one.name.to_owned(), described(one)))
            .collect();
        let mut object = json!({
            "type": "object", "description": doc.trim(), "additionalProperties": false, "properties": properties,
        });
        if !required.is_empty() {
            set(&mut object, "required", json!(required));
        }
        object
    }
}

/// Sets one key of a JSON object.
pub(super) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

/// Joins the lines of a doc comment.
pub(super) fn doc(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

fn described(property: Property) -> Value {
    // In draft 7 whatever stands beside a `$ref` is ignored.
    let mut schema = match property.schema {
        Value::Object(map) if map.contains_key("$ref") => json!({ "allOf": [map] }),
        schema => schema,
    };
    set(&mut schema, "description", json!(property.doc));
    if let Some(default) = property.default.filter(|default| !default.is_null()) {
        set(&mut schema, "default", default);
    }
    schema
}

fn whole<T: Written>(title: &str, id: &str) -> Value {
    let mut book = Book::default();
    let root = T::schema(&mut book);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": id,
        "title": title,
        "allOf": [root],
        "definitions": book.definitions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key that the schema knows is taken by the reader, for both come from one declaration; this holds
    /// it where a type says the two by itself.
    #[test]
    fn every_definition_is_closed_and_described() {
        for schema in [router_schema(), table_schema()] {
            let definitions = schema["definitions"].as_object().unwrap();
            assert!(definitions.len() > 5);
            for (name, definition) in definitions {
                assert_eq!(definition["additionalProperties"], false, "{name}");
                assert!(
                    definition["description"]
                        .as_str()
                        .is_some_and(|text| text.len() > 5),
                    "{name}"
                );
                for (key, property) in definition["properties"].as_object().unwrap() {
                    assert!(
                        property["description"]
                            .as_str()
                            .is_some_and(|text| text.len() > 3),
                        "{name}.{key}"
                    );
                }
            }
        }
    }
}
