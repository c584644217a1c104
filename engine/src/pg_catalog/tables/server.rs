//! Tables about the server: databases, users, settings and connections.

use super::build::{Cell, Table};
use super::{DATABASE_OID, OWNER_OID};
use crate::pg_catalog::{Postgres, keywords};

/// The tables of this part.
pub(super) const NAMES: &[&str] = &[
    "pg_database",
    "pg_roles",
    "pg_user",
    "pg_settings",
    "pg_stat_activity",
    "pg_am",
    "pg_language",
    "pg_tablespace",
    "pg_timezone_names",
    "pg_get_keywords",
];

pub(super) fn table(name: &str, postgres: &Postgres) -> Option<Table> {
    Some(match name {
        "pg_database" => databases(postgres),
        "pg_roles" => roles(postgres),
        "pg_user" => users(postgres),
        "pg_settings" => settings(postgres),
        "pg_stat_activity" => activity(postgres),
        "pg_am" => methods(),
        "pg_language" => languages(),
        "pg_tablespace" => tablespaces(),
        "pg_timezone_names" => zones(),
        "pg_get_keywords" => words(),
        _ => return None,
    })
}

fn databases(postgres: &Postgres) -> Table {
    let mut table = Table::new(
        "pg_database",
        "oid:l datname:t datdba:l encoding:i datlocprovider:t datistemplate:b! datallowconn:b datconnlimit:i datfrozenxid:l! \
         datminmxid:l! dattablespace:l datcollate:t datctype:t daticulocale:t datcollversion:t datacl:T",
    );
    table.row(&[
        ("oid", DATABASE_OID.into()),
        ("datname", postgres.database.as_str().into()),
        ("datdba", OWNER_OID.into()),
        ("encoding", 6_i64.into()),
        ("datlocprovider", "c".into()),
        ("datallowconn", true.into()),
        ("datconnlimit", (-1_i64).into()),
        ("dattablespace", 1663_i64.into()),
        ("datcollate", "C".into()),
        ("datctype", "C.UTF-8".into()),
    ]);
    table
}

fn words() -> Table {
    let mut table = Table::new("pg_get_keywords", "word:t catcode:c barelabel:b catdesc:t baredesc:t");
    for keyword in keywords::all() {
        let bare = if keyword.bare {
            "can be bare label"
        } else {
            "requires AS"
        };
        table.row(&[
            ("word", keyword.word.into()),
            ("catcode", keyword.kind.into()),
            ("barelabel", keyword.bare.into()),
            ("catdesc", keyword.meaning.into()),
            ("baredesc", bare.into()),
        ]);
    }
    table
}

fn roles(postgres: &Postgres) -> Table {
    let mut table = Table::new(
        "pg_roles",
        "oid:l rolname:t rolsuper:b! rolinherit:b rolcreaterole:b! rolcreatedb:b! rolcanlogin:b rolreplication:b! \
         rolconnlimit:i rolpassword:t rolvaliduntil:d rolbypassrls:b! rolconfig:T",
    );
    table.row(&[
        ("oid", OWNER_OID.into()),
        ("rolname", postgres.user.as_str().into()),
        ("rolinherit", true.into()),
        ("rolcanlogin", true.into()),
        ("rolconnlimit", (-1_i64).into()),
        ("rolpassword", "********".into()),
    ]);
    table
}

fn users(postgres: &Postgres) -> Table {
    let mut table = Table::new(
        "pg_user",
        "usename:t usesysid:l usecreatedb:b! usesuper:b! userepl:b! usebypassrls:b! passwd:t valuntil:d useconfig:T",
    );
    table.row(&[
        ("usename", postgres.user.as_str().into()),
        ("usesysid", OWNER_OID.into()),
        ("passwd", "********".into()),
    ]);
    table
}

fn settings(postgres: &Postgres) -> Table {
    let mut table = Table::new(
        "pg_settings",
        "name:t setting:t unit:t category:t short_desc:t! extra_desc:t context:t vartype:t source:t min_val:t max_val:t \
         enumvals:T boot_val:t reset_val:t sourcefile:t sourceline:i pending_restart:b!",
    );
    for (name, value) in &postgres.settings {
        table.row(&[
            ("name", name.as_str().into()),
            ("setting", value.as_str().into()),
            ("category", "Session".into()),
            ("context", "user".into()),
            ("vartype", "string".into()),
            ("source", "session".into()),
            ("reset_val", value.as_str().into()),
        ]);
    }
    table
}

/// The user's own connections.
fn activity(postgres: &Postgres) -> Table {
    let mut table = Table::new(
        "pg_stat_activity",
        "datid:l datname:t pid:i leader_pid:i usesysid:l usename:t application_name:t client_addr:t client_hostname:t \
         client_port:i backend_start:d xact_start:d query_start:d state_change:d wait_event_type:t wait_event:t state:t \
         backend_xid:l backend_xmin:l query_id:l query:t! backend_type:t",
    );
    let own = postgres
        .backends
        .as_ref()
        .map(|backends| backends.pids())
        .unwrap_or_default();
    for (pid, state) in own {
        let name = postgres
            .settings
            .get("application_name")
            .filter(|_| pid == postgres.pid);
        table.row(&[
            ("datid", DATABASE_OID.into()),
            ("datname", postgres.database.as_str().into()),
            ("pid", i64::from(pid).into()),
            ("usesysid", OWNER_OID.into()),
            ("usename", postgres.user.as_str().into()),
            ("application_name", Cell::Text(name.cloned().unwrap_or_default())),
            ("state", state.into()),
            ("backend_type", "client backend".into()),
        ]);
    }
    table
}

fn methods() -> Table {
    let mut table = Table::new("pg_am", "oid:l amname:t amhandler:t amtype:t");
    for (oid, name, kind) in [(2_i64, "iceberg", "t"), (403, "btree", "i")] {
        table.row(&[("oid", oid.into()), ("amname", name.into()), ("amtype", kind.into())]);
    }
    table
}

fn languages() -> Table {
    let mut table = Table::new("pg_language", "oid:l lanname:t lanowner:l! lanispl:b! lanpltrusted:b!");
    table.row(&[
        ("oid", 12_i64.into()),
        ("lanname", "internal".into()),
        ("lanowner", OWNER_OID.into()),
    ]);
    table
}

fn tablespaces() -> Table {
    let mut table = Table::new("pg_tablespace", "oid:l spcname:t spcowner:l! spcacl:T spcoptions:T");
    table.row(&[
        ("oid", 1663_i64.into()),
        ("spcname", "pg_default".into()),
        ("spcowner", OWNER_OID.into()),
    ]);
    table
}

/// A few of the names; every name of the time zone database is taken.
fn zones() -> Table {
    let mut table = Table::new("pg_timezone_names", "name:t abbrev:t utc_offset:t is_dst:b!");
    table.row(&[
        ("name", "UTC".into()),
        ("abbrev", "UTC".into()),
        ("utc_offset", "00:00:00".into()),
    ]);
    table
}
