//! The types of an Avro schema, as far as their values have to be passed over.

use serde_json::Value;

use super::avro::{block_length, number, string, take};

/// A type without its names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Array(Box<Kind>),
    Map(Box<Kind>),
    /// Its fields with their names.
    Record(Vec<(String, Kind)>),
    Union(Vec<Kind>),
}

impl Kind {
    /// `None` for types that refer to others by name, for lists of things that take no bytes, and for what is none.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        match schema {
            Value::String(name) => Self::named(name),
            Value::Array(branches) => Some(Self::Union(branches.iter().map(Self::of).collect::<Option<_>>()?)),
            Value::Object(schema) => {
                let items = |key: &str| Self::of(schema.get(key)?).map(Box::new);
                match schema.get("type")? {
                    Value::String(name) => match name.as_str() {
                        "record" => {
                            let fields = schema.get("fields")?.as_array()?.iter();
                            let named = fields.map(|field| {
                                let name = field.get("name")?.as_str()?.to_owned();
                                Some((name, Self::of(field.get("type")?)?))
                            });
                            Some(Self::Record(named.collect::<Option<_>>()?))
                        }
                        "array" => {
                            let items = items("items")?;
                            // There could be any number of them.
                            items.takes_bytes().then_some(Self::Array(items))
                        }
                        "map" => Some(Self::Map(items("values")?)),
                        "fixed" => {
                            let size = schema.get("size")?.as_u64()?;
                            Some(Self::Fixed(usize::try_from(size).ok()?))
                        }
                        name => Self::named(name),
                    },
                    inner => Self::of(inner),
                }
            }
            _ => None,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::Text,
            _ => return None,
        })
    }

    /// Whether no value of this type takes no bytes at all.
    fn takes_bytes(&self) -> bool {
        match self {
            Self::Null | Self::Fixed(0) => false,
            Self::Record(fields) => fields.iter().any(|(_, field)| field.takes_bytes()),
            _ => true,
        }
    }

    /// Passes over a value of this type.
    pub(super) fn skip(&self, rest: &mut &[u8]) -> Option<()> {
        match self {
            Self::Null => {}
            Self::Boolean => {
                take(rest, 1)?;
            }
            Self::Int | Self::Long => {
                number(rest)?;
            }
            Self::Float => {
                take(rest, 4)?;
            }
            Self::Double => {
                take(rest, 8)?;
            }
            Self::Bytes | Self::Text => {
                string(rest)?;
            }
            Self::Fixed(size) => {
                take(rest, *size)?;
            }
            Self::Array(items) => skip_blocks(rest, |rest| items.skip(rest))?,
            Self::Map(values) => skip_blocks(rest, |rest| {
                string(rest)?;
                values.skip(rest)
            })?,
            Self::Record(fields) => {
                for (_, field) in fields {
                    field.skip(rest)?;
                }
            }
            Self::Union(branches) => {
                let branch = usize::try_from(number(rest)?).ok()?;
                branches.get(branch)?.skip(rest)?;
            }
        }
        Some(())
    }
}

fn skip_blocks(rest: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Option<()>) -> Option<()> {
    loop {
        let count = block_length(rest)?;
        if count == 0 {
            return Some(());
        }
        // Each takes a byte at least.
        if count > rest.len() as u64 {
            return None;
        }
        for _ in 0..count {
            item(rest)?;
        }
    }
}
