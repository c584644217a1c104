//! Tables about what there is: schemas, tables, columns, keys and comments.

use super::build::{Cell, Table};
use super::{CATALOG_OID, INFORMATION_OID, OWNER_OID, SYSTEM};
use crate::pg_catalog::functions::index_definition;
use crate::pg_catalog::{Postgres, Relation, Relations, types};

/// The tables of this part.
pub(super) const NAMES: &[&str] = &[
    "pg_namespace",
    "pg_class",
    "pg_attribute",
    "pg_index",
    "pg_constraint",
    "pg_description",
    "pg_tables",
    "pg_views",
    "pg_indexes",
    "pg_stat_user_tables",
    "pg_stat_all_tables",
    "pg_statio_user_tables",
];

pub(super) fn table(name: &str, relations: &Relations, postgres: &Postgres) -> Option<Table> {
    Some(match name {
        "pg_namespace" => namespaces(relations),
        "pg_class" => classes(relations),
        "pg_attribute" => attributes(relations),
        "pg_index" => indexes(relations),
        "pg_constraint" => constraints(relations),
        "pg_description" => descriptions(relations),
        "pg_tables" => tables_by_name(relations, postgres),
        "pg_views" => views_by_name(relations, postgres),
        "pg_indexes" => indexes_by_name(relations),
        "pg_stat_user_tables" | "pg_stat_all_tables" => statistics(name, relations),
        "pg_statio_user_tables" => blocks(relations),
        _ => return None,
    })
}

fn blocks(relations: &Relations) -> Table {
    let mut blocks = Table::new(
        "pg_statio_user_tables",
        "relid:l schemaname:t relname:t heap_blks_read:l! heap_blks_hit:l!",
    );
    for relation in relations.relations.iter().filter(|relation| !relation.view) {
        blocks.row(&[
            ("relid", relation.oid.into()),
            ("schemaname", relation.schema.as_str().into()),
            ("relname", relation.name.as_str().into()),
        ]);
    }
    blocks
}

fn schema_oid(relations: &Relations, relation: &Relation) -> i64 {
    relations
        .schemas
        .get(&relation.schema)
        .copied()
        .unwrap_or_default()
        .into()
}

fn namespaces(relations: &Relations) -> Table {
    let mut table = Table::new("pg_namespace", "oid:l nspname:t nspowner:l! nspacl:T");
    let system = [("pg_catalog", CATALOG_OID), ("information_schema", INFORMATION_OID)];
    let own = relations
        .schemas
        .iter()
        .map(|(name, oid)| (name.as_str(), i64::from(*oid)));
    for (name, oid) in system.into_iter().chain(own) {
        table.row(&[
            ("oid", oid.into()),
            ("nspname", name.into()),
            ("nspowner", OWNER_OID.into()),
        ]);
    }
    table
}

fn classes(relations: &Relations) -> Table {
    let mut table = Table::new(
        "pg_class",
        "oid:l relname:t relnamespace:l reltype:l! reloftype:l! relowner:l! relam:l! relfilenode:l! reltablespace:l! \
         relpages:i! reltuples:f! relallvisible:i! reltoastrelid:l! relhasindex:b! relisshared:b! relpersistence:c relkind:c \
         relnatts:s! relchecks:s! relhasrules:b! relhastriggers:b! relhassubclass:b! relrowsecurity:b! \
         relforcerowsecurity:b! relispopulated:b relreplident:c relispartition:b! relrewrite:l! relfrozenxid:l! \
         relminmxid:l! relacl:T reloptions:T relpartbound:t",
    );
    for relation in &relations.relations {
        let schema = schema_oid(relations, relation);
        // Exact up to 2^24 and near enough beyond: it is an estimate in PostgreSQL too.
        let rows = relation.rows.to_string().parse().unwrap_or_default();
        table.row(&[
            ("oid", relation.oid.into()),
            ("relname", relation.name.as_str().into()),
            ("relnamespace", schema.into()),
            ("relowner", OWNER_OID.into()),
            ("relpages", (relation.bytes / 8192).min(i64::from(i32::MAX)).into()),
            ("reltuples", Cell::Float(rows)),
            ("relhasindex", (!relation.key.is_empty()).into()),
            ("relpersistence", "p".into()),
            ("relkind", if relation.view { "v" } else { "r" }.into()),
            (
                "relnatts",
                i64::try_from(relation.columns.len()).unwrap_or_default().into(),
            ),
            ("relispopulated", true.into()),
            ("relreplident", "d".into()),
            ("relam", if relation.view { 0_i64 } else { 2 }.into()),
        ]);
        if !relation.key.is_empty() {
            table.row(&[
                ("oid", relation.key_oid().into()),
                ("relname", key_name(relation).into()),
                ("relnamespace", schema.into()),
                ("relowner", OWNER_OID.into()),
                ("relpersistence", "p".into()),
                ("relkind", "i".into()),
                ("relnatts", i64::try_from(relation.key.len()).unwrap_or_default().into()),
                ("relispopulated", true.into()),
                ("relreplident", "n".into()),
                ("relam", 403_i64.into()),
            ]);
        }
    }
    table
}

/// What PostgreSQL would call the key.
pub(super) fn key_name(relation: &Relation) -> String {
    format!("{}_pkey", relation.name)
}

fn key_numbers(relation: &Relation) -> Cell {
    Cell::Numbers(relation.key.iter().map(|at| i64::from(*at)).collect())
}

fn attributes(relations: &Relations) -> Table {
    let mut table = Table::new(
        "pg_attribute",
        "attrelid:l attname:t atttypid:l attstattarget:i attlen:s attnum:s attndims:i! attcacheoff:i atttypmod:i attbyval:b \
         attalign:t attstorage:t attcompression:t! attnotnull:b atthasdef:b! atthasmissing:b! attidentity:c! attgenerated:c! \
         attisdropped:b! attislocal:b attinhcount:i! attcollation:l! attacl:T attoptions:T attfdwoptions:T attmissingval:t",
    );
    for relation in &relations.relations {
        for (at, column) in relation.columns.iter().enumerate() {
            let oid = types::oid(&column.of);
            let array = types::element(oid).is_some();
            table.row(&[
                ("attrelid", relation.oid.into()),
                ("attname", column.name.as_str().into()),
                ("atttypid", oid.into()),
                ("attstattarget", (-1_i64).into()),
                ("attlen", i64::from(types::length(oid)).into()),
                ("attnum", i64::try_from(at + 1).unwrap_or_default().into()),
                ("attndims", i64::from(array).into()),
                ("attcacheoff", (-1_i64).into()),
                ("atttypmod", i64::from(types::modifier(&column.of)).into()),
                ("attbyval", (types::length(oid) > 0 && types::length(oid) <= 8).into()),
                ("attalign", "i".into()),
                ("attstorage", if types::length(oid) > 0 { "p" } else { "x" }.into()),
                ("attnotnull", (!column.nullable).into()),
                ("attislocal", true.into()),
            ]);
        }
        for (at, key) in relation.key.iter().enumerate() {
            let column = usize::try_from(*key - 1).ok().and_then(|at| relation.columns.get(at));
            let Some(column) = column else {
                continue;
            };
            table.row(&[
                ("attrelid", relation.key_oid().into()),
                ("attname", column.name.as_str().into()),
                ("atttypid", types::oid(&column.of).into()),
                ("attlen", i64::from(types::length(types::oid(&column.of))).into()),
                ("attnum", i64::try_from(at + 1).unwrap_or_default().into()),
                ("atttypmod", i64::from(types::modifier(&column.of)).into()),
                ("attnotnull", false.into()),
                ("attislocal", true.into()),
            ]);
        }
    }
    table
}

fn indexes(relations: &Relations) -> Table {
    let mut table = Table::new(
        "pg_index",
        "indexrelid:l indrelid:l indnatts:s indnkeyatts:s indisunique:b indnullsnotdistinct:b! indisprimary:b \
         indisexclusion:b! indimmediate:b indisclustered:b! indisvalid:b indcheckxmin:b! indisready:b indislive:b \
         indisreplident:b! indkey:V indcollation:O! indclass:O! indoption:V! indexprs:t indpred:t",
    );
    for relation in relations.relations.iter().filter(|relation| !relation.key.is_empty()) {
        let count = i64::try_from(relation.key.len()).unwrap_or_default();
        table.row(&[
            ("indexrelid", relation.key_oid().into()),
            ("indrelid", relation.oid.into()),
            ("indnatts", count.into()),
            ("indnkeyatts", count.into()),
            ("indisunique", true.into()),
            ("indisprimary", true.into()),
            ("indimmediate", true.into()),
            ("indisvalid", true.into()),
            ("indisready", true.into()),
            ("indislive", true.into()),
            ("indkey", key_numbers(relation)),
            ("indoption", Cell::Numbers(vec![0; relation.key.len()])),
            ("indclass", Cell::Numbers(vec![0; relation.key.len()])),
            ("indcollation", Cell::Numbers(vec![0; relation.key.len()])),
        ]);
    }
    table
}

fn constraints(relations: &Relations) -> Table {
    let mut table = Table::new(
        "pg_constraint",
        "oid:l conname:t connamespace:l contype:c condeferrable:b! condeferred:b! convalidated:b conrelid:l contypid:l! \
         conindid:l! conparentid:l! confrelid:l! confupdtype:c confdeltype:c confmatchtype:c conislocal:b coninhcount:i! \
         connoinherit:b! conkey:S confkey:S conpfeqop:L conppeqop:L conffeqop:L confdelsetcols:S conexclop:L conbin:t",
    );
    for relation in relations.relations.iter().filter(|relation| !relation.key.is_empty()) {
        table.row(&[
            ("oid", relation.key_oid().into()),
            ("conname", key_name(relation).into()),
            ("connamespace", schema_oid(relations, relation).into()),
            ("contype", "p".into()),
            ("convalidated", true.into()),
            ("conrelid", relation.oid.into()),
            ("conindid", relation.key_oid().into()),
            ("confupdtype", " ".into()),
            ("confdeltype", " ".into()),
            ("confmatchtype", " ".into()),
            ("conislocal", true.into()),
            ("conkey", key_numbers(relation)),
        ]);
    }
    table
}

fn descriptions(relations: &Relations) -> Table {
    let mut table = Table::new("pg_description", "objoid:l classoid:l objsubid:i description:t");
    let class = SYSTEM.iter().find(|(name, _)| *name == "pg_class").map(|(_, oid)| *oid);
    for relation in &relations.relations {
        let own = relation.comment.iter().map(|comment| (0, comment));
        let columns = relation.columns.iter().enumerate();
        let columns = columns.filter_map(|(at, column)| Some((i64::try_from(at + 1).ok()?, column.comment.as_ref()?)));
        for (at, comment) in own.chain(columns) {
            table.row(&[
                ("objoid", relation.oid.into()),
                ("classoid", class.into()),
                ("objsubid", at.into()),
                ("description", comment.as_str().into()),
            ]);
        }
    }
    table
}

fn tables_by_name(relations: &Relations, postgres: &Postgres) -> Table {
    let mut tables = Table::new(
        "pg_tables",
        "schemaname:t tablename:t tableowner:t tablespace:t hasindexes:b! hasrules:b! hastriggers:b! rowsecurity:b!",
    );
    for relation in relations.relations.iter().filter(|relation| !relation.view) {
        tables.row(&[
            ("schemaname", relation.schema.as_str().into()),
            ("tablename", relation.name.as_str().into()),
            ("tableowner", postgres.user.as_str().into()),
            ("hasindexes", (!relation.key.is_empty()).into()),
        ]);
    }
    tables
}

fn views_by_name(relations: &Relations, postgres: &Postgres) -> Table {
    let mut views = Table::new("pg_views", "schemaname:t viewname:t viewowner:t definition:t");
    for relation in relations.relations.iter().filter(|relation| relation.view) {
        views.row(&[
            ("schemaname", relation.schema.as_str().into()),
            ("viewname", relation.name.as_str().into()),
            ("viewowner", postgres.user.as_str().into()),
            ("definition", relation.definition.clone().into()),
        ]);
    }
    views
}

fn indexes_by_name(relations: &Relations) -> Table {
    let mut indexes = Table::new(
        "pg_indexes",
        "schemaname:t tablename:t indexname:t tablespace:t indexdef:t",
    );
    for relation in relations.relations.iter().filter(|relation| !relation.key.is_empty()) {
        indexes.row(&[
            ("schemaname", relation.schema.as_str().into()),
            ("tablename", relation.name.as_str().into()),
            ("indexname", key_name(relation).into()),
            ("indexdef", index_definition(relation).into()),
        ]);
    }
    indexes
}

fn statistics(name: &str, relations: &Relations) -> Table {
    let mut table = Table::new(
        name,
        "relid:l schemaname:t relname:t seq_scan:l! seq_tup_read:l! idx_scan:l idx_tup_fetch:l n_tup_ins:l! n_tup_upd:l! \
         n_tup_del:l! n_tup_hot_upd:l! n_live_tup:l n_dead_tup:l! n_mod_since_analyze:l! n_ins_since_vacuum:l! \
         last_vacuum:d last_autovacuum:d last_analyze:d last_autoanalyze:d vacuum_count:l! autovacuum_count:l! \
         analyze_count:l! autoanalyze_count:l!",
    );
    for relation in relations.relations.iter().filter(|relation| !relation.view) {
        table.row(&[
            ("relid", relation.oid.into()),
            ("schemaname", relation.schema.as_str().into()),
            ("relname", relation.name.as_str().into()),
            ("n_live_tup", relation.rows.into()),
        ]);
    }
    table
}
