//! Schemas that are not everybody's to make, and the tables in them that no grant on a schema covers.
//!
//! What a process knows of itself is shown in `ops`, whoever's statements they are, and grants on the schema decide who reads it; nodes keep
//! tables of their own there. Whoever could make that schema would have all of it.

/// Where processes show what they know of themselves, and nodes keep tables of their own.
pub const OPS: &str = "ops";

/// How tables of deleted keys in [`OPS`] begin: `tombstones__<schema>__<model>`.
const DELETED_KEYS: &str = "tombstones__";

/// [`OPS`], and the schemas of PostgreSQL's and the standard's lists.
const RESERVED: [&str; 3] = [OPS, "pg_catalog", "information_schema"];

/// Whether a schema is such a one or lies in one, however its name is written.
pub fn is_reserved(levels: &[String]) -> bool {
    let outermost = levels.first();
    outermost.is_some_and(|level| RESERVED.iter().any(|name| level.eq_ignore_ascii_case(name)))
}

/// Whether a table holds keys of rows that are no more, by which nodes know what must not come back.
pub fn holds_deleted_keys(levels: &[String], table: &str) -> bool {
    matches!(levels, [only] if only == OPS) && table.starts_with(DELETED_KEYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(name: &str) -> Vec<String> {
        name.split('.').map(str::to_owned).collect()
    }

    // Goal: reserved schemas are known in every case and by what lies in them, and others are not. Method: names of each kind, and names that
    // begin or end alike.
    #[test]
    fn schemas_are_reserved() {
        for name in [
            "ops",
            "OPS",
            "Ops",
            "ops.mine",
            "OPS.a.b",
            "pg_catalog",
            "Information_Schema",
        ] {
            assert!(is_reserved(&levels(name)), "{name}");
        }
        for name in ["opsy", "my_ops", "gold.ops", "pg_temp", "gold"] {
            assert!(!is_reserved(&levels(name)), "{name}");
        }
        assert!(!is_reserved(&[]));
    }

    // Goal: tables of deleted keys are told from what else bears such a name. Method: one, and tables that differ from it in one part.
    #[test]
    fn deleted_keys_are_known() {
        assert!(holds_deleted_keys(&levels("ops"), "tombstones__silver__patients"));
        for (schema, table) in [
            ("ops", "tombstones"),
            ("ops", "queries"),
            ("ops.a", "tombstones__silver__patients"),
            ("gold", "tombstones__silver__patients"),
        ] {
            assert!(!holds_deleted_keys(&levels(schema), table), "{schema}.{table}");
        }
    }
}
