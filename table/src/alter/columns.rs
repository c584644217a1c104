//! Columns at any depth: found by their path, changed, and everything around them built anew.

use std::sync::Arc;

use iceberg::spec::{FormatVersion, ListType, Literal, MapType, NestedField, PrimitiveType, StructType, Type};

use super::{ColumnPath, NewColumn, Position, no_column, refused};
use crate::error::{Result, TableError};
use crate::schema::{FreshIds, widened};

pub(super) type Fields = Vec<Arc<NestedField>>;

/// A list's element and a map's key and value are columns with names of their own.
const ELEMENT: &str = "element";
const KEY: &str = "key";
const VALUE: &str = "value";

pub(super) fn add(fields: &Fields, new: &NewColumn, ids: &mut FreshIds, version: FormatVersion) -> Result<Fields> {
    let what = || format!("adding column {}", new.path);
    let Some((name, parents)) = new.path.split().filter(|(name, _)| !name.is_empty()) else {
        return Err(refused("adding a column", "it has no name", "name it"));
    };
    if new.default.is_some() && version < FormatVersion::V3 {
        return Err(refused(
            what(),
            "columns have defaults from format version 3 on",
            "upgrade the table first: set format-version to 3",
        ));
    }
    check_default(&what(), &new.of, new.default.as_ref())?;
    if new.required && new.default.is_none() {
        return Err(refused(
            what(),
            "the rows that are there have no value, and it must not be null",
            "add it without NOT NULL, or with a default in a table of format version 3",
        ));
    }
    let id = ids.next();
    let field = NestedField {
        id,
        name: name.clone(),
        required: new.required,
        field_type: Box::new(ids.within(&new.of)),
        doc: new.doc.clone(),
        initial_default: new.default.clone(),
        write_default: new.default.clone(),
    };
    let insert = |siblings: &mut Fields| {
        if siblings.iter().any(|sibling| sibling.name == *name) {
            return Err(TableError::NameTaken {
                what: "column",
                name: new.path.to_string(),
            });
        }
        let at = match &new.position {
            Some(position) => place(siblings, position, &what())?,
            None => siblings.len(),
        };
        siblings.insert(at, Arc::new(field.clone()));
        Ok(())
    };
    if parents.is_empty() {
        let mut fields = fields.clone();
        insert(&mut fields)?;
        return Ok(fields);
    }
    let parent = ColumnPath(parents.to_vec());
    change(fields, &parent, &mut |field| {
        let Type::Struct(inner) = field.field_type.as_ref() else {
            return Err(refused(
                what(),
                format!("{parent} is no struct"),
                "write `element` after a list, `value` after a map",
            ));
        };
        let mut siblings = inner.fields().to_vec();
        insert(&mut siblings)?;
        *field.field_type = Type::Struct(StructType::new(siblings));
        Ok(())
    })
}

/// Without a column. What else rests on it, the caller looks at.
pub(super) fn drop(fields: &Fields, path: &ColumnPath) -> Result<Fields> {
    let what = format!("dropping column {path}");
    among(fields, path, &mut |siblings, at| {
        if siblings.len() == 1 {
            return Err(refused(
                &what,
                "nothing would be left of what it is in",
                "drop the struct, or the table",
            ));
        }
        siblings.remove(at);
        Ok(())
    })
}

pub(super) fn rename(fields: &Fields, path: &ColumnPath, to: &str) -> Result<Fields> {
    if to.is_empty() {
        return Err(refused(
            format!("renaming column {path}"),
            "the new name is empty",
            "name it",
        ));
    }
    among(fields, path, &mut |siblings, at| {
        let taken = siblings
            .iter()
            .enumerate()
            .any(|(other, field)| other != at && field.name == to);
        if taken {
            return Err(TableError::NameTaken {
                what: "column",
                name: to.into(),
            });
        }
        if let Some(field) = siblings.get_mut(at) {
            Arc::make_mut(field).name = to.into();
        }
        Ok(())
    })
}

pub(super) fn reorder(fields: &Fields, path: &ColumnPath, position: &Position) -> Result<Fields> {
    let what = format!("moving column {path}");
    among(fields, path, &mut |siblings, at| {
        let field = siblings.remove(at);
        let to = match position {
            Position::Before(name) | Position::After(name) if *name == field.name => {
                return Err(refused(&what, "it cannot stand beside itself", "name another column"));
            }
            position => place(siblings, position, &what)?,
        };
        siblings.insert(to, field);
        Ok(())
    })
}

pub(super) fn widen(fields: &Fields, path: &ColumnPath, to: &PrimitiveType) -> Result<Fields> {
    change(fields, path, &mut |field| {
        let wider = match field.field_type.as_ref() {
            Type::Primitive(from) => from == to || widens(from, to),
            _ => false,
        };
        if !wider {
            return Err(TableError::SchemaChange {
                changes: vec![format!("column {path} is {}, it cannot become {to}", field.field_type)],
            });
        }
        *field.field_type = Type::Primitive(to.clone());
        field.initial_default = widened(field.initial_default.as_ref(), &field.field_type);
        field.write_default = widened(field.write_default.as_ref(), &field.field_type);
        Ok(())
    })
}

fn widens(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    use PrimitiveType as P;
    match (from, to) {
        (P::Int, P::Long) | (P::Float, P::Double) => true,
        (
            P::Decimal { precision, scale },
            P::Decimal {
                precision: wider,
                scale: same,
            },
        ) => scale == same && precision < wider && *wider <= 38,
        _ => false,
    }
}

pub(super) fn set_default(
    fields: &Fields,
    path: &ColumnPath,
    default: Option<&Literal>,
    version: FormatVersion,
) -> Result<Fields> {
    let what = format!("setting the default of column {path}");
    if default.is_some() && version < FormatVersion::V3 {
        return Err(refused(
            what,
            "columns have defaults from format version 3 on",
            "upgrade the table first: set format-version to 3",
        ));
    }
    change(fields, path, &mut |field| {
        check_default(&what, &field.field_type, default)?;
        field.write_default = default.cloned();
        Ok(())
    })
}

/// Refuses a default that is none of its column's values, or that the format cannot tell (the format library panics when it writes the
/// former). `what` is what the statement does.
///
/// # Errors
/// [`TableError::Alteration`], with what may be a default.
pub fn check_default(what: &str, of: &Type, default: Option<&Literal>) -> Result<()> {
    let fits = match (of, default) {
        (_, None) => true,
        (Type::Primitive(kind), Some(Literal::Primitive(value))) => kind.compatible(value),
        _ => false,
    };
    // The format library forgets what it cannot read back (times in nanoseconds), and takes the column for one without.
    let writes = default.is_none_or(|default| {
        let json = default.clone().try_into_json(of).ok();
        json.and_then(|json| Literal::try_from_json(json, of).ok().flatten())
            .as_ref()
            == Some(default)
    });
    match fits && writes {
        true => Ok(()),
        false => Err(refused(
            what,
            format!("the default is no value of type {of}"),
            "columns that are neither structs, lists, maps nor times in nanoseconds have defaults; write it as the column's type",
        )),
    }
}

fn place(siblings: &Fields, position: &Position, what: &str) -> Result<usize> {
    let of = |name: &String| {
        let at = siblings.iter().position(|sibling| sibling.name == *name);
        at.ok_or_else(|| {
            refused(
                what,
                format!("there is no column {name} beside it"),
                "name one of the same struct",
            )
        })
    };
    Ok(match position {
        Position::First => 0,
        Position::Before(name) => of(name)?,
        Position::After(name) => of(name)? + 1,
    })
}

/// Changes one column in its place; neither its name nor its id.
pub(super) fn change(
    fields: &Fields,
    path: &ColumnPath,
    edit: &mut dyn FnMut(&mut NestedField) -> Result<()>,
) -> Result<Fields> {
    among(fields, path, &mut |siblings, at| match siblings.get_mut(at) {
        Some(field) => edit(Arc::make_mut(field)),
        None => Err(no_column(path)),
    })
}

/// Changes a column among its siblings. An element, a key or a value has none and keeps its name.
fn among(fields: &Fields, path: &ColumnPath, edit: &mut dyn FnMut(&mut Fields, usize) -> Result<()>) -> Result<Fields> {
    walk(fields, path, path.names(), edit)
}

fn walk(
    fields: &[Arc<NestedField>],
    path: &ColumnPath,
    left: &[String],
    edit: &mut dyn FnMut(&mut Fields, usize) -> Result<()>,
) -> Result<Fields> {
    let (name, rest) = left.split_first().ok_or_else(|| no_column(path))?;
    let at = fields.iter().position(|field| field.name == *name);
    let at = at.ok_or_else(|| no_column(path))?;
    let mut fields = fields.to_vec();
    if rest.is_empty() {
        edit(&mut fields, at)?;
    } else if let Some(field) = fields.get_mut(at) {
        let inner = within(&field.field_type, path, rest, edit)?;
        *Arc::make_mut(field).field_type = inner;
    }
    Ok(fields)
}

fn within(
    of: &Type,
    path: &ColumnPath,
    left: &[String],
    edit: &mut dyn FnMut(&mut Fields, usize) -> Result<()>,
) -> Result<Type> {
    let first = left.first().map(String::as_str);
    Ok(match of {
        Type::Struct(inner) => Type::Struct(StructType::new(walk(inner.fields(), path, left, edit)?)),
        Type::List(list) if first == Some(ELEMENT) => {
            Type::List(ListType::new(alone(&list.element_field, path, left, edit)?))
        }
        Type::Map(_) if first == Some(KEY) => {
            return Err(refused(
                format!("changing {path}"),
                "the keys of a map are what rows are looked up by",
                "make a new column",
            ));
        }
        Type::Map(map) if first == Some(VALUE) => {
            let value = alone(&map.value_field, path, left, edit)?;
            Type::Map(MapType::new(map.key_field.clone(), value))
        }
        _ => return Err(no_column(path)),
    })
}

fn alone(
    field: &Arc<NestedField>,
    path: &ColumnPath,
    left: &[String],
    edit: &mut dyn FnMut(&mut Fields, usize) -> Result<()>,
) -> Result<Arc<NestedField>> {
    let after = walk(std::slice::from_ref(field), path, left, edit)?;
    match after.as_slice() {
        [one] if one.name == field.name => Ok(one.clone()),
        _ => Err(refused(
            format!("changing {path}"),
            "elements and values of lists and maps are neither renamed nor dropped",
            "change the list or the map",
        )),
    }
}
