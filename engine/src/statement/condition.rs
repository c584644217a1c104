//! What a table's files can be asked about the rows that an `UPDATE` or `DELETE` is about, before one of them is read.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use tidewater_table::iceberg::spec::Schema;
use tidewater_table::{LoadedTable, Predicate};

use super::row_sql::TARGET;
use super::settled::settled;
use super::{ROWS_CATALOG, ROWS_SCHEMA, Workshop, give};
use crate::error::{EngineError, Result};
use crate::provider::{same_rows, some_rows};
use crate::session::strict::whole;

/// The rows a statement is about, as far as statistics of files can tell them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reach {
    /// Keeps those rows and perhaps others.
    pub(super) some: Predicate,
    /// Keeps those rows and no others; `None` if that cannot be said.
    pub(super) same: Option<Predicate>,
}

impl Reach {
    /// Of an optimised plan that reads the rows of one table under a condition; nothing is known of any other plan.
    pub(super) fn of(plan: &LogicalPlan, columns: &Schema) -> Result<Option<Self>> {
        let (mut filters, mut tables, mut plain) = (Vec::new(), 0, true);
        plan.apply_with_subqueries(|node| {
            match node {
                LogicalPlan::Filter(filter) => filters.push(filter.predicate.clone()),
                LogicalPlan::TableScan(scan) => {
                    tables += 1;
                    filters.extend(scan.filters.iter().cloned());
                }
                LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {}
                _ => plain = false,
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let filters: Vec<&Expr> = filters.iter().flat_map(split_conjunction).collect();
        Ok((plain && tables == 1).then(|| Self {
            some: some_rows(&filters, columns),
            same: same_rows(&filters, columns),
        }))
    }
}

impl Workshop<'_> {
    /// A condition on a table's own columns, as its files can be asked about it.
    ///
    /// # Errors
    /// [`EngineError::Statement`] where it asks for other rows as well.
    pub(super) async fn reached(&self, table: &LoadedTable, condition: &str) -> Result<Predicate> {
        let engine = self.engine;
        let session = self.session(self.options);
        give(&session, vec![(TARGET, engine.all_rows_provider(table, None)?)])?;
        let sql = format!("SELECT * FROM {ROWS_CATALOG}.{ROWS_SCHEMA}.{TARGET} WHERE {condition}");
        let plan = settled(engine.plan(&session, &sql).await?, engine.clock().now_ms())?;
        let plan = whole(session.state().optimize(&plan)?)?;
        match Reach::of(&plan, table.metadata.current_schema())? {
            Some(reach) => Ok(reach.some),
            None => Err(EngineError::statement(format!(
                "{condition:?} is no condition on columns of {}",
                table.name
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::{Coded, ErrorKind};

    use super::super::tests::{done, lake, rows};
    use super::Workshop;
    use crate::SessionOptions;
    use crate::sql::{Command, Sql, parse};
    use crate::testing::Lake;

    async fn files(lake: &Lake) -> Vec<String> {
        lake.lines("SELECT file_path FROM s.\"t$files\"").await
    }

    async fn table(mode: &str) -> Lake {
        let lake = lake().await;
        let create = format!(
            "CREATE TABLE s.t (id int, day date, x double) PARTITIONED BY (day) TBLPROPERTIES ('write.delete.mode' = '{mode}')"
        );
        done(&lake, &create).await;
        for day in 1..=3 {
            let values: Vec<String> = (0..4)
                .map(|id| format!("({}, DATE '2026-01-0{day}', {id})", 10 * day + id))
                .collect();
            rows(&lake, &format!("INSERT INTO s.t VALUES {}", values.join(", "))).await;
        }
        lake
    }

    // Goal: rows that fill whole files leave without a file being read or written, and no other row leaves. Method: the data files
    // are taken away before the statement, which can then only go by what manifests tell.
    #[tokio::test]
    async fn whole_files_leave_unread() {
        for mode in ["copy-on-write", "merge-on-read"] {
            for (condition, gone) in [
                ("day = DATE '2026-01-02'", 4),
                ("day > DATE '2026-01-01'", 8),
                ("id BETWEEN 10 AND 13 OR id >= 30", 8),
                ("id < 0", 0),
                ("day IS NULL", 0),
                ("day IN (DATE '2026-01-01', DATE '2026-01-03') AND id > 5", 8),
            ] {
                let lake = table(mode).await;
                let before = files(&lake).await;
                for path in &before {
                    lake.engine.store().delete(path).await.expect("a file");
                }
                let sql = format!("DELETE FROM s.t WHERE {condition}");
                assert_eq!(rows(&lake, &sql).await, gone, "{mode}: {condition}");
                let after = files(&lake).await;
                assert_eq!(after.len() as u64, (12 - gone) / 4, "{mode}: {condition}");
                assert!(after.iter().all(|path| before.contains(path)), "{mode}: {condition}");
            }
        }
    }

    // Goal: where statistics do not tell, rows are looked at. Method: conditions that hold for part of a file, or that files know
    // nothing of, each beside the rows that must stay.
    #[tokio::test]
    async fn other_rows_are_read() {
        for (condition, stay) in [
            ("id <> 11", vec!["11"]),
            ("id % 2 = 0", vec!["11", "13", "21", "23", "31", "33"]),
            (
                "NOT (x < 3)",
                vec!["10", "11", "12", "20", "21", "22", "30", "31", "32"],
            ),
            (
                "id IN (SELECT max(id) FROM s.t)",
                vec!["10", "11", "12", "13", "20", "21", "22", "23", "30", "31", "32"],
            ),
            (
                "day = DATE '2026-01-01' AND id % 10 < 9",
                vec!["20", "21", "22", "23", "30", "31", "32", "33"],
            ),
            ("day >= DATE '2026-01-02' OR id = 10", vec!["11", "12", "13"]),
        ] {
            let lake = table("copy-on-write").await;
            let sql = format!("DELETE FROM s.t WHERE {condition}");
            assert_eq!(rows(&lake, &sql).await as usize, 12 - stay.len(), "{condition}");
            assert_eq!(lake.lines("SELECT id FROM s.t").await, stay, "{condition}");
        }
    }

    // Goal: rows that others add meanwhile matter only if the statement could be about them, or asks for them. Method: rows of
    // either kind between a statement's look at the table and its commit.
    #[tokio::test]
    async fn others_rows_matter_where_they_are_reached() {
        let update = "UPDATE s.t SET x = 0 WHERE id = 11";
        let asking = "UPDATE s.t SET x = (SELECT max(x) FROM s.t) WHERE id = 11";
        for (sql, id, conflict) in [
            (update, 99, false),
            (update, 11, true),
            ("DELETE FROM s.t WHERE id BETWEEN 10 AND 13", 9, false),
            ("DELETE FROM s.t WHERE id BETWEEN 10 AND 13", 12, true),
            (asking, 99, true),
        ] {
            let lake = table("copy-on-write").await;
            let Ok(Sql::Command(command)) = parse(sql) else {
                panic!("{sql} is no command");
            };
            let Command::Merge(merge) = *command else {
                panic!("{sql} changes no rows");
            };
            let (runner, options) = (lake.engine.local_runner(), SessionOptions::default());
            let shop = Workshop {
                engine: &lake.engine,
                runner: &runner,
                options: &options,
                deadline: None,
            };
            let target = lake.engine.row_target(&options, &merge.table).await.expect("a name");
            let mut attempt = shop.attempt(&merge, &target).await.expect("a table");
            rows(&lake, &format!("INSERT INTO s.t VALUES ({id}, DATE '2026-01-01', 5)")).await;
            match attempt.carry_out().await {
                Ok(_) => assert!(!conflict, "{sql} went over row {id}"),
                Err(error) => assert!(
                    conflict && error.kind() == ErrorKind::Conflict,
                    "{sql}, {id}: {error:?}"
                ),
            }
        }
    }
}
