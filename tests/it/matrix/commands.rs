//! Commands of Flight SQL that would change something or tell something, in two wrong roles and in the right one.

use std::path::Path;
use std::time::Duration;

use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, CommandStatementIngest, ProstMessageExt,
    TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use arrow_flight::{FlightDescriptor, Ticket};
use prost::Message;
use tonic::{Code, Status};

use super::caller::{Caller, prepared, prepared_update, query, row, update};
use super::{lake, steward};
use crate::kit::issuer::Issuer;
use crate::kit::sql::Rows;
use crate::kit::{Node, wait_for};
use crate::oidc::flight;

/// How long a grant may take to be known, on a machine that does other things.
const KNOWN_DEADLINE: Duration = Duration::from_secs(30);

/// In which way a statement comes.
#[derive(Debug, Clone, Copy)]
enum Sent {
    Update,
    Query,
    PreparedUpdate,
    PreparedQuery,
    Poll,
}

const WAYS: [Sent; 5] = [
    Sent::Update,
    Sent::Query,
    Sent::PreparedUpdate,
    Sent::PreparedQuery,
    Sent::Poll,
];

impl Caller {
    async fn send(&self, sent: Sent, sql: &str) -> Result<Rows, Status> {
        match sent {
            Sent::Update => self.put(update(sql), None).await.map(|_| Rows::new()),
            Sent::Query => self.fetched(self.info(query(sql)).await?).await,
            Sent::PreparedUpdate => {
                let handle = self.prepare(sql).await?;
                self.put(prepared_update(handle), None).await.map(|_| Rows::new())
            }
            Sent::PreparedQuery => {
                let handle = self.prepare(sql).await?;
                self.fetched(self.info(prepared(handle)).await?).await
            }
            Sent::Poll => self.fetched(self.polled(query(sql)).await?).await,
        }
    }

    /// How whoever may not know of `g.t` is refused, which has to be as if it were not there.
    async fn refused(&self, sent: Sent, sql: &str) -> Status {
        let there = self.send(sent, sql).await.expect_err(sql);
        let nowhere = self.send(sent, &sql.replace("g.t", "g.u")).await.expect_err(sql);
        let told = nowhere.message().replace("g.u", "g.t");
        let nowhere = (nowhere.code(), told.as_str());
        assert_eq!(
            (there.code(), there.message()),
            nowhere,
            "{sent:?} {sql} tells what is there"
        );
        there
    }
}

/// Statements that change something, in an order in which all of them can be carried out.
const CHANGES: [&str; 17] = [
    "INSERT INTO g.t VALUES (8)",
    "UPDATE g.t SET id = 9 WHERE id = 8",
    "MERGE INTO g.t AS a USING (SELECT 9 AS id) AS s ON a.id = s.id WHEN MATCHED THEN DELETE",
    "COMMENT ON TABLE g.t IS 'made'",
    "CALL system.rewrite_data_files(table => 'g.t')",
    "ALTER TABLE g.t ADD COLUMN more BIGINT",
    "CREATE TABLE g.made (id BIGINT)",
    "CREATE TABLE g.copied AS SELECT * FROM g.t",
    "CREATE VIEW g.seen AS SELECT id FROM g.t",
    "CREATE SCHEMA made",
    "DROP SCHEMA h",
    "CREATE ROLE made",
    "GRANT SELECT ON g.t TO ROLE analyst",
    "DELETE FROM g.t",
    "TRUNCATE TABLE g.t",
    "CREATE OR REPLACE TABLE g.t (id BIGINT, other BIGINT)",
    "DROP TABLE g.t",
];

/// All that the statements and loads here could change, as an administrator sees it.
pub(super) fn state(node: &Node, root: &str) -> Vec<String> {
    let looks = [
        "SELECT id FROM g.t ORDER BY id",
        "SELECT count(*) FROM g.\"t$snapshots\"",
        "SHOW CREATE TABLE g.t",
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('g', 'h', 'made') ORDER BY 1, 2",
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ('g', 'h', 'made') ORDER BY 1",
        "SHOW ROLES",
        "SHOW GRANTS",
    ];
    looks
        .map(|sql| flight(node, root, sql).unwrap_or_else(|error| panic!("{sql}: {error}")))
        .into()
}

/// The loads that there are: into which table, whether one is made, and what becomes of one that is there.
fn loads() -> Vec<(&'static str, Option<TableDefinitionOptions>)> {
    let options = |if_not_exist: TableNotExistOption, if_exists: TableExistsOption| TableDefinitionOptions {
        if_not_exist: if_not_exist.into(),
        if_exists: if_exists.into(),
    };
    let mut loads = vec![("t", None), ("loaded", None)];
    for if_not_exist in [TableNotExistOption::Fail, TableNotExistOption::Create] {
        for if_exists in [
            TableExistsOption::Fail,
            TableExistsOption::Append,
            TableExistsOption::Replace,
        ] {
            loads.extend(["t", "loaded"].map(|table| (table, Some(options(if_not_exist, if_exists)))));
        }
    }
    loads
}

fn ingest(table: &str, options: Option<TableDefinitionOptions>) -> Vec<u8> {
    let command = CommandStatementIngest {
        table_definition_options: options,
        table: table.into(),
        schema: Some("g".into()),
        ..CommandStatementIngest::default()
    };
    command.as_any().encode_to_vec()
}

/// The lake with a row in `g.t`, a schema without anything, somebody who may do nothing, somebody who may read `g.t`, and an administrator.
pub(super) fn start(dir: &Path) -> (Issuer, Node, [String; 3]) {
    let issuer = Issuer::start();
    let node = lake(dir, &issuer);
    let (root, bea) = (steward(&issuer), issuer.token("bea"));
    for sql in [
        "INSERT INTO g.t VALUES (7)",
        "CREATE SCHEMA h",
        "GRANT SELECT ON g.t TO USER \"corp/bea\"",
    ] {
        flight(&node, &root, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    wait_for("the grant is known", KNOWN_DEADLINE, || {
        flight(&node, &bea, "SELECT count(*) FROM g.t").ok()
    });
    let tokens = [issuer.token("ana"), bea, root];
    (issuer, node, tokens)
}

// Goal: whoever may do nothing reads and changes nothing by any command of Flight SQL and is not even told what there is, whoever may read is
// told that they may do no more, and the administrator's same commands are carried out. Method: queries, listings, statements that change
// something in each of the ways in which they come, and loads with each option, by a user without grants, about a table that is there and one
// that is not; by a user who may read the table; all that could have changed, before and after; then by the administrator.
#[tokio::test]
async fn commands_in_the_wrong_role() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let started = tokio::task::spawn_blocking(move || {
        let started = start(&path);
        let before = state(&started.1, &started.2[2]);
        (started, before)
    });
    let ((issuer, node, [ana, bea, root]), before) = started.await.unwrap();
    let [nobody, reader, owner] = [
        Caller::connect(&node, ana).await,
        Caller::connect(&node, bea).await,
        Caller::connect(&node, root.clone()).await,
    ];
    reads([&nobody, &reader, &owner]).await;
    for (sql, sent) in CHANGES.iter().flat_map(|sql| WAYS.map(|sent| (*sql, sent))) {
        let refused = nobody.refused(sent, sql).await;
        let hidden = matches!(refused.code(), Code::NotFound | Code::PermissionDenied);
        assert!(hidden, "{sent:?} {sql}: {refused}");
        let refused = reader.send(sent, sql).await.expect_err(sql);
        // What is not about the table that they read is not there for them.
        let told = match sql.contains("g.") {
            true => refused.code() == Code::PermissionDenied,
            false => matches!(refused.code(), Code::NotFound | Code::PermissionDenied),
        };
        assert!(told, "{sent:?} {sql}: {refused}");
    }
    for (table, options) in loads() {
        let refused = nobody
            .put(ingest(table, options), Some(row("id", 8)))
            .await
            .expect_err(table);
        let nowhere = nobody
            .put(ingest("u", options), Some(row("id", 8)))
            .await
            .expect_err(table);
        let told = nowhere.message().replace("g.u", &format!("g.{table}"));
        assert_eq!(refused.code(), Code::NotFound, "{table} {options:?}: {refused}");
        assert_eq!(refused.message(), told, "{table} {options:?} tells what is there");
        let refused = reader
            .put(ingest(table, options), Some(row("id", 8)))
            .await
            .expect_err(table);
        let told = match table {
            "t" => refused.code() == Code::PermissionDenied,
            _ => matches!(refused.code(), Code::NotFound | Code::PermissionDenied),
        };
        assert!(told, "{table} {options:?}: {refused}");
    }
    let after = tokio::task::spawn_blocking(move || {
        let after = state(&node, &root);
        (after, node, root)
    });
    let (after, node, root) = after.await.unwrap();
    assert_eq!(after, before);

    let append = TableDefinitionOptions {
        if_not_exist: TableNotExistOption::Create.into(),
        if_exists: TableExistsOption::Append.into(),
    };
    for table in ["t", "loaded"] {
        owner
            .put(ingest(table, Some(append)), Some(row("id", 8)))
            .await
            .unwrap();
    }
    let (last, rest) = CHANGES.split_last().unwrap();
    for sql in rest {
        let done = owner.send(Sent::Update, sql).await;
        assert!(done.is_ok(), "{sql}: {done:?}");
    }
    let changed = tokio::task::spawn_blocking(move || {
        let changed = state(&node, &root);
        (changed, node)
    });
    let (changed, node) = changed.await.unwrap();
    for (look, (before, after)) in before.iter().zip(&changed).enumerate() {
        assert_ne!(before, after, "look {look} sees nothing of what was done");
    }
    owner.send(Sent::Update, last).await.unwrap();
    tokio::task::spawn_blocking(move || drop((issuer, node))).await.unwrap();
}

/// A query in each way in which it comes, its schema, and the listings: of who may know of nothing, of who may read one table, and of who is
/// told of all.
async fn reads([nobody, reader, owner]: [&Caller; 3]) {
    for sql in ["SELECT id FROM g.t", "SELECT id FROM g.t WHERE id > 0"] {
        for sent in [Sent::Query, Sent::PreparedQuery, Sent::Poll] {
            let refused = nobody.refused(sent, sql).await;
            let hidden = matches!(
                refused.code(),
                Code::NotFound | Code::InvalidArgument | Code::PermissionDenied
            );
            assert!(hidden, "{sent:?} {sql}: {refused}");
            for may in [reader, owner] {
                let rows = may.send(sent, sql).await.unwrap();
                assert_eq!(rows, [[Some("7".to_owned())]], "{sent:?} {sql}");
            }
        }
        let schema = |caller: &Caller| {
            let request = caller.with(FlightDescriptor::new_cmd(query(sql)));
            let mut client = caller.client.clone();
            async move { client.get_schema(request).await }
        };
        assert!(schema(nobody).await.is_err(), "{sql}");
        assert!(schema(owner).await.is_ok(), "{sql}");
    }
    let schemas = CommandGetDbSchemas::default().as_any().encode_to_vec();
    let tables = CommandGetTables {
        include_schema: true,
        ..CommandGetTables::default()
    };
    let tables = tables.as_any().encode_to_vec();
    let keys = CommandGetPrimaryKeys {
        table: "t".into(),
        db_schema: Some("g".into()),
        ..CommandGetPrimaryKeys::default()
    };
    let keys = keys.as_any().encode_to_vec();
    for (caller, known) in [(nobody, vec![]), (reader, vec!["g"]), (owner, vec!["g", "h"])] {
        let told = |rows: &Rows, column: usize| -> Vec<String> {
            let cells = rows.iter().filter_map(|row| row[column].clone());
            cells.filter(|cell| ["g", "h"].contains(&cell.as_str())).collect()
        };
        let listed = caller.rows(Ticket::new(schemas.clone())).await.unwrap();
        assert_eq!(told(&listed, 1), known);
        let listed = caller.rows(Ticket::new(tables.clone())).await.unwrap();
        let of: Vec<&str> = known.iter().copied().filter(|schema| *schema == "g").collect();
        assert_eq!(told(&listed, 1), of, "{listed:?}");
        assert!(caller.rows(Ticket::new(keys.clone())).await.unwrap().is_empty());
    }
}
