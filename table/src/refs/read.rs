//! A table's branches and tags. The format library tells them in its JSON only: this writes that JSON, but nothing else of it.

use std::collections::BTreeMap;
use std::fmt;

use iceberg::spec::{SnapshotReference, TableMetadata};
use serde::ser::{Error as _, Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};
use serde_json::Value;

use crate::error::{Result, TableError};

const REFS: &str = "refs";

/// The branches and tags of a table by name, main among them if it has a snapshot.
pub fn refs_of(table: &TableMetadata) -> Result<BTreeMap<String, SnapshotReference>> {
    const WHAT: &str = "read the branches of a table";
    match table.serialize(OneMember).map_err(TableError::encode(WHAT))? {
        Some(refs) => serde_json::from_value(refs).map_err(TableError::encode(WHAT)),
        None => Ok(BTreeMap::new()),
    }
}

/// Takes a struct or a map apart and keeps the one member; all others are not even looked at.
struct OneMember;

/// What a document without members ends with.
#[derive(Debug)]
struct NotWritten(String);

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotWritten {}

impl serde::ser::Error for NotWritten {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

fn no_document<T>() -> Result<T, NotWritten> {
    Err(NotWritten("table metadata is no document".into()))
}

#[derive(Default)]
struct Members {
    refs: Option<Value>,
    is_next: bool,
}

impl Members {
    fn keep<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotWritten> {
        self.refs = Some(serde_json::to_value(value).map_err(NotWritten::custom)?);
        Ok(())
    }
}

impl SerializeStruct for Members {
    type Ok = Option<Value>;
    type Error = NotWritten;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), NotWritten> {
        if key == REFS { self.keep(value) } else { Ok(()) }
    }

    fn end(self) -> Result<Option<Value>, NotWritten> {
        Ok(self.refs)
    }
}

impl SerializeMap for Members {
    type Ok = Option<Value>;
    type Error = NotWritten;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NotWritten> {
        self.is_next = serde_json::to_value(key).map_err(NotWritten::custom)? == REFS;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotWritten> {
        if self.is_next { self.keep(value) } else { Ok(()) }
    }

    fn end(self) -> Result<Option<Value>, NotWritten> {
        Ok(self.refs)
    }
}

/// Methods of kinds of values that table metadata is not.
macro_rules! no_document {
    ($($method:ident: $of:ty),* $(,)?) => {
        $(fn $method(self, _: $of) -> Result<Self::Ok, NotWritten> {
            no_document()
        })*
    };
}

impl Serializer for OneMember {
    type Ok = Option<Value>;
    type Error = NotWritten;
    type SerializeSeq = Impossible<Option<Value>, NotWritten>;
    type SerializeTuple = Impossible<Option<Value>, NotWritten>;
    type SerializeTupleStruct = Impossible<Option<Value>, NotWritten>;
    type SerializeTupleVariant = Impossible<Option<Value>, NotWritten>;
    type SerializeMap = Members;
    type SerializeStruct = Members;
    type SerializeStructVariant = Impossible<Option<Value>, NotWritten>;

    no_document! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_f32: f32,
        serialize_f64: f64, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    fn serialize_none(self) -> Result<Self::Ok, NotWritten> {
        no_document()
    }

    fn serialize_unit(self) -> Result<Self::Ok, NotWritten> {
        no_document()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, NotWritten> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<Self::Ok, NotWritten> {
        no_document()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Self::Ok, NotWritten> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<Self::Ok, NotWritten> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, NotWritten> {
        no_document()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, NotWritten> {
        no_document()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, NotWritten> {
        no_document()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NotWritten> {
        no_document()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members, NotWritten> {
        Ok(Members::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members, NotWritten> {
        Ok(Members::default())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NotWritten> {
        no_document()
    }
}
