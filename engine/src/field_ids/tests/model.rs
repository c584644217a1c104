//! Columns as a list of ids, names and kinds, and the changes that Iceberg allows.

use std::sync::Arc;

use proptest::prelude::*;
use tidewater_table::iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Type,
};

/// Few names, so that dropped ones are used again.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Long,
    Float,
    Double,
    Decimal,
    WideDecimal,
    Text,
    Bytes,
    Date,
    Moment,
    Struct,
    List,
    StructList,
    Map,
}

const KINDS: [Kind; 12] = [
    Kind::Int,
    Kind::Long,
    Kind::Float,
    Kind::Decimal,
    Kind::Text,
    Kind::Bytes,
    Kind::Date,
    Kind::Moment,
    Kind::Struct,
    Kind::List,
    Kind::StructList,
    Kind::Map,
];

#[derive(Debug, Clone)]
pub(super) enum Step {
    Write(u8),
    Add { inside: bool, kind: Kind, at: u8 },
    Drop { inside: bool, which: u8 },
    Rename { inside: bool, which: u8, to: u8 },
    Swap { inside: bool, which: u8 },
    Move { inside: bool, which: u8, to: u8 },
    Widen { inside: bool, which: u8 },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let inside = any::<bool>;
    let which = || 0_u8..8;
    prop_oneof![
        3 => (0_u8..6).prop_map(Step::Write),
        3 => (inside(), prop::sample::select(&KINDS[..]), which()).prop_map(|(inside, kind, at)| Step::Add { inside, kind, at }),
        2 => (inside(), which()).prop_map(|(inside, which)| Step::Drop { inside, which }),
        2 => (inside(), which(), which()).prop_map(|(inside, which, to)| Step::Rename { inside, which, to }),
        1 => (inside(), which()).prop_map(|(inside, which)| Step::Swap { inside, which }),
        1 => (inside(), which(), which()).prop_map(|(inside, which, to)| Step::Move { inside, which, to }),
        2 => (inside(), which()).prop_map(|(inside, which)| Step::Widen { inside, which }),
    ]
}

#[derive(Debug, Clone)]
struct Column {
    id: i32,
    name: String,
    kind: Kind,
    /// Of structs, and of structs in lists.
    children: Vec<Column>,
    /// Ids of what lists and maps hold.
    inner: [i32; 2],
}

/// The first column is a row number that never changes; `k` is its name.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    columns: Vec<Column>,
    last_id: i32,
}

impl Columns {
    pub(super) fn new() -> Self {
        let mut columns = Self {
            columns: Vec::new(),
            last_id: 0,
        };
        let key = columns.column("k", Kind::Long);
        columns.columns.push(key);
        columns
    }

    /// Nested columns to begin with.
    pub(super) fn nest(&mut self) {
        for (name, kind) in [("s", Kind::Struct), ("l", Kind::StructList)] {
            let column = self.column(name, kind);
            self.columns.push(column);
        }
    }

    pub(super) fn schema(&self) -> Schema {
        let fields: Vec<NestedFieldRef> = self.columns.iter().map(field).collect();
        Schema::builder().with_fields(fields).build().expect("a schema")
    }

    /// Whether anything changed.
    pub(super) fn apply(&mut self, step: &Step) -> bool {
        match step {
            Step::Write(_) => false,
            Step::Add { inside, kind, at } => self.add(*inside, *kind, usize::from(*at)),
            Step::Drop { inside, which } => self.change(*inside, *which, |columns, index| {
                // A struct keeps one field.
                let kept = columns.len() > 1;
                if kept {
                    columns.remove(index);
                }
                kept
            }),
            Step::Rename { inside, which, to } => self.change(*inside, *which, |columns, index| {
                let name = NAMES[usize::from(*to) % NAMES.len()];
                let free = columns.iter().all(|column| column.name != name);
                if free {
                    columns[index].name = name.into();
                }
                free
            }),
            Step::Swap { inside, which } => self.change(*inside, *which, |columns, index| {
                let other = (index + 1) % columns.len();
                if other == index {
                    return false;
                }
                let name = columns[index].name.clone();
                columns[index].name = std::mem::replace(&mut columns[other].name, name);
                true
            }),
            Step::Move { inside, which, to } => self.change(*inside, *which, |columns, index| {
                let column = columns.remove(index);
                let to = usize::from(*to) % (columns.len() + 1);
                columns.insert(to, column);
                true
            }),
            Step::Widen { inside, which } => self.change(*inside, *which, |columns, index| {
                let wider = match columns[index].kind {
                    Kind::Int => Kind::Long,
                    Kind::Float => Kind::Double,
                    Kind::Decimal => Kind::WideDecimal,
                    _ => return false,
                };
                columns[index].kind = wider;
                true
            }),
        }
    }

    fn add(&mut self, inside: bool, kind: Kind, at: usize) -> bool {
        let Some(places) = self.places(inside, at) else {
            return false;
        };
        let free = |name: &&&str| places.iter().all(|column| column.name != **name);
        let Some(name) = NAMES.iter().find(free) else {
            return false;
        };
        let column = self.column(name, kind);
        // The row number stays where it is.
        let first = usize::from(!inside);
        let Some(places) = self.places(inside, at) else {
            return false;
        };
        places.insert(first + at % (places.len() + 1 - first), column);
        true
    }

    fn change(&mut self, inside: bool, which: u8, change: impl FnOnce(&mut Vec<Column>, usize) -> bool) -> bool {
        let which = usize::from(which);
        if inside {
            return match self.places(true, which) {
                Some(places) => change(places, which % places.len()),
                None => false,
            };
        }
        let mut rest = self.columns.split_off(1);
        let changed = !rest.is_empty() && {
            let index = which % rest.len();
            change(&mut rest, index)
        };
        self.columns.append(&mut rest);
        changed
    }

    /// The top level, or the fields of some struct if there is one.
    fn places(&mut self, inside: bool, which: usize) -> Option<&mut Vec<Column>> {
        if !inside {
            return Some(&mut self.columns);
        }
        let nested: Vec<usize> = (0..self.columns.len())
            .filter(|index| !self.columns[*index].children.is_empty())
            .collect();
        let index = *nested.get(which.checked_rem(nested.len())?)?;
        Some(&mut self.columns[index].children)
    }

    fn column(&mut self, name: &str, kind: Kind) -> Column {
        let mut next = || {
            self.last_id += 1;
            self.last_id
        };
        let (id, inner) = (next(), [next(), next()]);
        let children = match kind {
            Kind::Struct | Kind::StructList => {
                vec![self.column("a", Kind::Int), self.column("b", Kind::Text)]
            }
            _ => Vec::new(),
        };
        Column {
            id,
            name: name.into(),
            kind,
            children,
            inner,
        }
    }
}

fn field(column: &Column) -> NestedFieldRef {
    let required = column.id == 1;
    Arc::new(NestedField::new(column.id, &column.name, kind_type(column), required))
}

fn kind_type(column: &Column) -> Type {
    let fields = || StructType::new(column.children.iter().map(field).collect());
    let list = |element: Type| {
        Type::List(ListType::new(Arc::new(NestedField::list_element(
            column.inner[0],
            element,
            false,
        ))))
    };
    let primitive = match column.kind {
        Kind::Int => PrimitiveType::Int,
        Kind::Long => PrimitiveType::Long,
        Kind::Float => PrimitiveType::Float,
        Kind::Double => PrimitiveType::Double,
        Kind::Decimal => PrimitiveType::Decimal { precision: 9, scale: 2 },
        Kind::WideDecimal => PrimitiveType::Decimal {
            precision: 20,
            scale: 2,
        },
        Kind::Text => PrimitiveType::String,
        Kind::Bytes => PrimitiveType::Binary,
        Kind::Date => PrimitiveType::Date,
        Kind::Moment => PrimitiveType::Timestamptz,
        Kind::Struct => return Type::Struct(fields()),
        Kind::List => return list(Type::Primitive(PrimitiveType::Int)),
        Kind::StructList => return list(Type::Struct(fields())),
        Kind::Map => {
            let key = NestedField::map_key_element(column.inner[0], Type::Primitive(PrimitiveType::String));
            let value = NestedField::map_value_element(column.inner[1], Type::Primitive(PrimitiveType::Int), false);
            return Type::Map(MapType::new(Arc::new(key), Arc::new(value)));
        }
    };
    Type::Primitive(primitive)
}
