//! `information_schema` as PostgreSQL has it, with the types that it calls `udt`.

use tidewater_security::Privilege;

use super::INFORMATION;
use super::build::{Cell, Table};
use super::objects::key_name;
use crate::pg_catalog::types;
use crate::pg_catalog::{Postgres, Relation, Relations};

/// The tables of this part, behind [`INFORMATION`].
pub(super) const NAMES: &[&str] = &[
    "information_schema_schemata",
    "information_schema_tables",
    "information_schema_columns",
    "information_schema_views",
    "information_schema_table_constraints",
    "information_schema_key_column_usage",
    "information_schema_constraint_column_usage",
    "information_schema_table_privileges",
    "information_schema_column_privileges",
    "information_schema_character_sets",
    "information_schema_information_schema_catalog_name",
];

pub(super) fn table(name: &str, relations: &Relations, postgres: &Postgres) -> Option<Table> {
    let database = postgres.database.as_str();
    Some(match name.strip_prefix(INFORMATION)? {
        "schemata" => schemata(relations, postgres),
        "tables" => all_tables(relations, database),
        "columns" => columns(relations, database),
        "views" => views(relations, database),
        "table_privileges" => privileges(relations, postgres),
        "column_privileges" => column_privileges(relations, postgres),
        "character_sets" => {
            let mut sets = begun(
                "character_sets",
                "character_set_catalog:t character_set_schema:t character_set_name:t character_repertoire:t \
                 form_of_use:t default_collate_catalog:t default_collate_schema:t default_collate_name:t",
            );
            sets.row(&[
                ("character_set_name", "UTF8".into()),
                ("character_repertoire", "UCS".into()),
                ("form_of_use", "UTF8".into()),
                ("default_collate_catalog", database.into()),
                ("default_collate_schema", "pg_catalog".into()),
                ("default_collate_name", "C".into()),
            ]);
            sets
        }
        "information_schema_catalog_name" => {
            let mut table = begun("information_schema_catalog_name", "catalog_name:t");
            table.row(&[("catalog_name", database.into())]);
            table
        }
        _ => keys(relations, database)
            .into_iter()
            .find(|table| table.name() == name)?,
    })
}

fn begun(name: &str, columns: &'static str) -> Table {
    Table::new(format!("{INFORMATION}{name}"), columns)
}

fn schemata(relations: &Relations, postgres: &Postgres) -> Table {
    let mut table = begun(
        "schemata",
        "catalog_name:t schema_name:t schema_owner:t default_character_set_catalog:t default_character_set_schema:t \
         default_character_set_name:t sql_path:t",
    );
    let names = relations.schemas.keys().map(String::as_str);
    for name in names.chain(["pg_catalog", "information_schema"]) {
        table.row(&[
            ("catalog_name", postgres.database.as_str().into()),
            ("schema_name", name.into()),
            ("schema_owner", postgres.user.as_str().into()),
        ]);
    }
    table
}

fn named(relation: &Relation, database: &str) -> [(&'static str, Cell); 3] {
    [
        ("table_catalog", database.into()),
        ("table_schema", relation.schema.as_str().into()),
        ("table_name", relation.name.as_str().into()),
    ]
}

fn all_tables(relations: &Relations, database: &str) -> Table {
    let mut table = begun(
        "tables",
        "table_catalog:t table_schema:t table_name:t table_type:t self_referencing_column_name:t reference_generation:t \
         user_defined_type_catalog:t user_defined_type_schema:t user_defined_type_name:t is_insertable_into:t is_typed:t \
         commit_action:t",
    );
    for relation in &relations.relations {
        let mut row = named(relation, database).to_vec();
        row.extend([
            ("table_type", if relation.view { "VIEW" } else { "BASE TABLE" }.into()),
            ("is_insertable_into", if relation.view { "NO" } else { "YES" }.into()),
            ("is_typed", "NO".into()),
        ]);
        table.row(&row);
    }
    table
}

fn columns(relations: &Relations, database: &str) -> Table {
    let mut table = begun(
        "columns",
        "table_catalog:t table_schema:t table_name:t column_name:t ordinal_position:i column_default:t is_nullable:t \
         data_type:t character_maximum_length:i character_octet_length:i numeric_precision:i numeric_precision_radix:i \
         numeric_scale:i datetime_precision:i interval_type:t interval_precision:i character_set_catalog:t \
         character_set_schema:t character_set_name:t collation_catalog:t collation_schema:t collation_name:t \
         domain_catalog:t domain_schema:t domain_name:t udt_catalog:t udt_schema:t udt_name:t scope_catalog:t scope_schema:t \
         scope_name:t maximum_cardinality:i dtd_identifier:t is_self_referencing:t is_identity:t identity_generation:t \
         identity_start:t identity_increment:t identity_maximum:t identity_minimum:t identity_cycle:t is_generated:t \
         generation_expression:t is_updatable:t",
    );
    for relation in &relations.relations {
        for (at, column) in relation.columns.iter().enumerate() {
            let oid = types::oid(&column.of);
            let element = types::element(oid);
            let data_type = match element {
                Some(_) => "ARRAY".to_owned(),
                None => types::formatted(oid, -1).unwrap_or_default(),
            };
            let udt = match element.and_then(types::built_in) {
                Some(element) => format!("_{}", element.name),
                None => types::built_in(oid).map_or("text", |of| of.name).to_owned(),
            };
            let number: Option<(i64, i64, Option<i64>)> = match oid {
                types::INT2 => Some((16, 2, Some(0))),
                types::INT4 => Some((32, 2, Some(0))),
                types::INT8 => Some((64, 2, Some(0))),
                types::FLOAT4 => Some((24, 2, None)),
                types::FLOAT8 => Some((53, 2, None)),
                types::NUMERIC => {
                    let packed = i64::from(types::modifier(&column.of)) - 4;
                    Some((packed >> 16, 10, Some(packed & 0xffff))).filter(|_| packed >= 0)
                }
                _ => None,
            };
            let precision: Option<i64> = match oid {
                types::DATE => Some(0),
                types::TIME | types::TIMESTAMP | types::TIMESTAMPTZ | types::INTERVAL => Some(6),
                _ => None,
            };
            let mut row = named(relation, database).to_vec();
            row.extend([
                ("column_name", column.name.as_str().into()),
                ("ordinal_position", i64::try_from(at + 1).unwrap_or_default().into()),
                ("is_nullable", if column.nullable { "YES" } else { "NO" }.into()),
                ("data_type", data_type.into()),
                ("numeric_precision", number.map(|(precision, ..)| precision).into()),
                ("numeric_precision_radix", number.map(|(_, radix, _)| radix).into()),
                ("numeric_scale", number.and_then(|(.., scale)| scale).into()),
                ("datetime_precision", precision.into()),
                ("udt_catalog", database.into()),
                ("udt_schema", "pg_catalog".into()),
                ("udt_name", udt.into()),
                ("dtd_identifier", (at + 1).to_string().into()),
                ("is_self_referencing", "NO".into()),
                ("is_identity", "NO".into()),
                ("is_generated", "NEVER".into()),
                ("is_updatable", if relation.view { "NO" } else { "YES" }.into()),
            ]);
            table.row(&row);
        }
    }
    table
}

fn views(relations: &Relations, database: &str) -> Table {
    let mut table = begun(
        "views",
        "table_catalog:t table_schema:t table_name:t view_definition:t check_option:t is_updatable:t is_insertable_into:t \
         is_trigger_updatable:t is_trigger_deletable:t is_trigger_insertable_into:t",
    );
    for relation in relations.relations.iter().filter(|relation| relation.view) {
        let mut row = named(relation, database).to_vec();
        row.extend([
            ("view_definition", relation.definition.clone().into()),
            ("check_option", "NONE".into()),
            ("is_updatable", "NO".into()),
            ("is_insertable_into", "NO".into()),
        ]);
        table.row(&row);
    }
    table
}

/// Keys: the constraints, their columns, and the columns that they are about.
fn keys(relations: &Relations, database: &str) -> [Table; 3] {
    let mut constraints = begun(
        "table_constraints",
        "constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t table_schema:t table_name:t \
         constraint_type:t is_deferrable:t initially_deferred:t enforced:t nulls_distinct:t",
    );
    let mut usage = begun(
        "key_column_usage",
        "constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t table_schema:t table_name:t column_name:t \
         ordinal_position:i position_in_unique_constraint:i",
    );
    let mut about = begun(
        "constraint_column_usage",
        "table_catalog:t table_schema:t table_name:t column_name:t constraint_catalog:t constraint_schema:t constraint_name:t",
    );
    for relation in relations.relations.iter().filter(|relation| !relation.key.is_empty()) {
        let mut constraint = named(relation, database).to_vec();
        constraint.extend([
            ("constraint_catalog", database.into()),
            ("constraint_schema", relation.schema.as_str().into()),
            ("constraint_name", key_name(relation).into()),
        ]);
        let mut row = constraint.clone();
        row.extend([
            ("constraint_type", "PRIMARY KEY".into()),
            ("is_deferrable", "NO".into()),
            ("initially_deferred", "NO".into()),
            // Nobody checks that keys are unique.
            ("enforced", "NO".into()),
        ]);
        constraints.row(&row);
        for (at, key) in relation.key.iter().enumerate() {
            let column = usize::try_from(*key - 1).ok().and_then(|at| relation.columns.get(at));
            let Some(column) = column else {
                continue;
            };
            let mut row = constraint.clone();
            row.push(("column_name", column.name.as_str().into()));
            about.row(&row);
            row.push(("ordinal_position", i64::try_from(at + 1).unwrap_or_default().into()));
            usage.row(&row);
        }
    }
    [constraints, usage, about]
}

/// What the user may do with tables.
fn rights(postgres: &Postgres, relation: &Relation) -> Vec<&'static str> {
    const CHANGES: [(&str, Privilege); 4] = [
        ("INSERT", Privilege::Insert),
        ("UPDATE", Privilege::Update),
        ("DELETE", Privilege::Delete),
        ("TRUNCATE", Privilege::Delete),
    ];
    let granted = postgres.access.as_ref().map(|access| {
        let levels: Vec<String> = relation.schema.split('.').map(str::to_owned).collect();
        access.on_object(&levels, &relation.name, None)
    });
    let reads = granted.is_none_or(|granted| granted.has(Privilege::Select));
    let changes = CHANGES.into_iter().filter(|(_, privilege)| match granted {
        Some(granted) => !relation.view && granted.has(*privilege),
        None => !relation.view && postgres.writes,
    });
    let reads = reads.then_some("SELECT").into_iter();
    reads.chain(changes.map(|(name, _)| name)).collect()
}

fn privileges(relations: &Relations, postgres: &Postgres) -> Table {
    let mut table = begun(
        "table_privileges",
        "grantor:t grantee:t table_catalog:t table_schema:t table_name:t privilege_type:t is_grantable:t with_hierarchy:t",
    );
    for relation in &relations.relations {
        for right in rights(postgres, relation) {
            let mut row = named(relation, &postgres.database).to_vec();
            row.extend([
                ("grantor", postgres.user.as_str().into()),
                ("grantee", postgres.user.as_str().into()),
                ("privilege_type", right.into()),
                ("is_grantable", "NO".into()),
                ("with_hierarchy", "NO".into()),
            ]);
            table.row(&row);
        }
    }
    table
}

fn column_privileges(relations: &Relations, postgres: &Postgres) -> Table {
    let mut table = begun(
        "column_privileges",
        "grantor:t grantee:t table_catalog:t table_schema:t table_name:t column_name:t privilege_type:t is_grantable:t",
    );
    for relation in &relations.relations {
        for column in relation.columns.iter() {
            let mut row = named(relation, &postgres.database).to_vec();
            row.extend([
                ("grantor", postgres.user.as_str().into()),
                ("grantee", postgres.user.as_str().into()),
                ("column_name", column.name.as_str().into()),
                ("privilege_type", "SELECT".into()),
                ("is_grantable", "NO".into()),
            ]);
            table.row(&row);
        }
    }
    table
}
