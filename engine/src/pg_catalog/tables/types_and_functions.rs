//! `pg_type` and `pg_proc`.

use super::build::{Cell, Table};
use super::{CATALOG_OID, OWNER_OID};
use crate::pg_catalog::procedures::{self, ARRAY_ANALYZE, ARRAY_SUBSCRIPT, RAW_ARRAY_SUBSCRIPT};
use crate::pg_catalog::types::{self, BUILT_IN, INTERNAL};

/// The tables of this part.
pub(super) const NAMES: &[&str] = &["pg_type", "pg_proc"];

pub(super) fn table(name: &str) -> Option<Table> {
    Some(match name {
        "pg_type" => all_types(),
        "pg_proc" => functions(),
        _ => return None,
    })
}

/// A row of `pg_type`.
struct Type {
    oid: u32,
    name: String,
    length: i16,
    kind: char,
    category: char,
    element: u32,
    array: u32,
}

fn all_types() -> Table {
    let mut table = Table::new(
        "pg_type",
        "oid:l typname:t typnamespace:l typowner:l! typlen:s typbyval:b typtype:c typcategory:c typispreferred:b \
         typisdefined:b typdelim:c typrelid:l! typsubscript:p! typelem:l! typarray:l! typinput:p! typoutput:p! typreceive:p! \
         typsend:p! typmodin:p! typmodout:p! typanalyze:p! typalign:c typstorage:c typnotnull:b! typbasetype:l! typtypmod:i \
         typndims:i! typcollation:l! typdefaultbin:t typdefault:t typacl:T",
    );
    let array_of = |element: u32, oid: u32, name: &str, kind: char| Type {
        oid,
        name: format!("_{name}"),
        length: -1,
        kind,
        category: if kind == 'p' { 'P' } else { 'A' },
        element,
        array: 0,
    };
    for of in BUILT_IN {
        row(
            &mut table,
            &Type {
                oid: of.oid,
                name: of.name.to_owned(),
                length: of.length,
                kind: 'b',
                category: of.category,
                element: 0,
                array: of.array,
            },
        );
        row(&mut table, &array_of(of.oid, of.array, of.name, 'b'));
    }
    for of in INTERNAL {
        row(
            &mut table,
            &Type {
                oid: of.oid,
                name: of.name.to_owned(),
                length: of.length,
                kind: of.kind,
                category: of.category,
                element: of.element,
                array: of.array,
            },
        );
        if of.array != 0 {
            row(&mut table, &array_of(of.oid, of.array, of.name, of.kind));
        }
    }
    table
}

fn row(table: &mut Table, of: &Type) {
    let is_array =
        of.element != 0 && types::built_in(of.oid).is_none() && !INTERNAL.iter().any(|own| own.oid == of.oid);
    let preferred = matches!(
        of.oid,
        types::TEXT | types::FLOAT8 | types::BOOL | types::TIMESTAMPTZ | types::INTERVAL | types::OID
    );
    let [input, output, receive, send] = procedures::of_type(of.oid);
    let subscript = match of.oid {
        types::NAME => RAW_ARRAY_SUBSCRIPT,
        _ if of.element != 0 => ARRAY_SUBSCRIPT,
        _ => 0,
    };
    let storage = if of.length == -1 && of.kind == 'b' { "x" } else { "p" };
    table.row(&[
        ("oid", of.oid.into()),
        ("typname", of.name.as_str().into()),
        ("typnamespace", CATALOG_OID.into()),
        ("typowner", OWNER_OID.into()),
        ("typlen", i64::from(of.length).into()),
        ("typbyval", (of.length > 0 && of.length <= 8).into()),
        ("typtype", of.kind.to_string().into()),
        ("typcategory", of.category.to_string().into()),
        ("typispreferred", preferred.into()),
        ("typisdefined", true.into()),
        ("typdelim", ",".into()),
        // Letters of a name are told by their places too.
        (
            "typelem",
            if of.oid == types::NAME { types::CHAR } else { of.element }.into(),
        ),
        ("typarray", of.array.into()),
        ("typinput", input.into()),
        ("typoutput", output.into()),
        ("typreceive", receive.into()),
        ("typsend", send.into()),
        ("typanalyze", if is_array { ARRAY_ANALYZE } else { 0 }.into()),
        ("typsubscript", subscript.into()),
        ("typalign", "i".into()),
        ("typstorage", storage.into()),
        ("typtypmod", (-1_i64).into()),
    ]);
}

/// The functions by name. Their arguments are not told: one function takes many types.
fn functions() -> Table {
    let mut table = Table::new(
        "pg_proc",
        "oid:l proname:t pronamespace:l proowner:l! prolang:l procost:f! prorows:f! provariadic:l! prosupport:t prokind:c \
         prosecdef:b! proleakproof:b! proisstrict:b! proretset:b! provolatile:c proparallel:c pronargs:s! \
         pronargdefaults:s! prorettype:l proargtypes:O! proallargtypes:L proargmodes:T proargnames:T proargdefaults:t \
         protrftypes:L prosrc:t probin:t prosqlbody:t proconfig:T proacl:T",
    );
    for of in procedures::all() {
        table.row(&[
            ("oid", of.oid.into()),
            ("proname", of.name.as_str().into()),
            ("pronamespace", CATALOG_OID.into()),
            ("proowner", OWNER_OID.into()),
            ("prolang", 12_i64.into()),
            ("prokind", of.kind.into()),
            ("provolatile", "i".into()),
            ("proparallel", "s".into()),
            ("prorettype", Cell::from(types::TEXT)),
            ("prosrc", of.name.as_str().into()),
        ]);
    }
    table
}
