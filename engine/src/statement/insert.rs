//! `INSERT`: rows are added, after others have gone perhaps.

use std::collections::HashSet;

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr as SqlExpr, Ident};
use tidewater_core::{TableName, fail_point};
use tidewater_table::iceberg::spec::Struct;
use tidewater_table::{Added, Change, CommitOptions, LoadedTable, Scan, TableError, commit_change, partition_key};

use super::partition_values::PartitionValue;
use super::target::Head;
use super::{ATTEMPTS_MAX, Done, Workshop, given_rows, lost};
use crate::error::{EngineError, Result};
use crate::session::{SessionOptions, read_texts};
use crate::sql::{Action, Clause, Insert, Merge, OnConflict, Overwrite, RowTarget, Source, When, quoted};
use crate::write::{Distribution, Order, WriteRequest, drop_files};

/// What `ON CONFLICT` calls the row that was to be added, as PostgreSQL does.
pub(super) const EXCLUDED: &str = "excluded";

/// An `INSERT` with the values of its partition.
struct Given<'a> {
    insert: &'a Insert,
    fixed: Vec<PartitionValue>,
}

impl Workshop<'_> {
    /// Carries an `INSERT` out.
    pub(super) async fn insert(&self, insert: &Insert) -> Result<Done> {
        let target = self.target(&insert.table, insert.target.as_ref()).await?;
        if let Some(on_conflict) = &insert.on_conflict {
            let merge = self.upsert(&target, insert, on_conflict).await?;
            return self.merge(&merge).await;
        }
        let mut attempt = 1;
        loop {
            match self.insert_once(&target, insert).await {
                Err(error) if lost(&error) && attempt < ATTEMPTS_MAX => {
                    tracing::info!(table = %target.table, attempt, %error, "rows were changed by others meanwhile");
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn insert_once(&self, target: &RowTarget, insert: &Insert) -> Result<Done> {
        let query = insert.query.to_string();
        let (table, options) = self.at_one_moment(&target.table, &[&query]).await?;
        let head = target.head(&table)?;
        let session = self.session(&options);
        let schema = tidewater_table::schema::to_arrow(table.metadata.current_schema())?;
        let query = given_rows::query(insert, &schema)?;
        let input = self.engine.plan(&session, &query).await?;
        let fixed = Box::pin(self.partition_values(&session, &insert.overwrite, &table)).await?;
        let mut input = named_columns(input, insert, &fixed, &table)?;
        if self.options.postgres.is_some() {
            let of = |name: &str| schema.field_with_name(name).ok().map(|field| field.data_type().clone());
            input = read_texts::columns(input, of)?;
        }
        let request = WriteRequest {
            job: self.job(),
            input,
            target: table.clone(),
            distribution: Distribution::ByPartition,
            order: Order::OfTable,
            target_file_size_bytes: None,
            deadline: self.deadline,
        };
        let job = request.job;
        let added = self.engine.write_with(self.runner, &session, request).await?;
        fail_point::pass("statements.files_written");
        let rows = added.iter().map(|added| added.file.record_count()).sum();
        let given = Given { insert, fixed };
        let change = match self
            .replacing(&table, target, &head, &options, &given, added.clone())
            .await
        {
            Ok(Some(change)) => head
                .takes(change)
                .of_table(table.metadata.uuid())
                .of_schema(table.metadata.current_schema())
                .of_job(job),
            Ok(None) => return Ok(Done::rows(rows, head.snapshot_id)),
            Err(error) => {
                drop_files(self.engine.store(), &added).await;
                return Err(error);
            }
        };
        let written = change.added.clone();
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        match commit_change(catalog, store, &target.table, &change, &CommitOptions::default()).await {
            Ok(committed) => {
                fail_point::pass("statements.commit_answered");
                Ok(Done::rows(rows, Some(committed.snapshot_id)))
            }
            // It may be in the table: the files stay.
            Err(error @ TableError::UnknownOutcome { .. }) => Err(error.into()),
            Err(error) => {
                drop_files(store, &written).await;
                Err(error.into())
            }
        }
    }

    /// The change that brings these files; `None` if nothing changes.
    async fn replacing(
        &self,
        table: &LoadedTable,
        target: &RowTarget,
        head: &Head,
        options: &SessionOptions,
        given: &Given<'_>,
        added: Vec<Added>,
    ) -> Result<Option<Change>> {
        let Given { insert, fixed } = given;
        let read_at = head.snapshot_id;
        match &insert.overwrite {
            Overwrite::Nothing if added.is_empty() => Ok(None),
            Overwrite::Nothing => Ok(Some(Change::append(added))),
            Overwrite::Touched => {
                let removed = self.touched(table, read_at, &added).await?;
                if removed.is_empty() && added.is_empty() {
                    return Ok(None);
                }
                Ok(Some(
                    Change::overwrite(removed, added).read_at(read_at).forbid_new_rows(),
                ))
            }
            Overwrite::Partition(_) => {
                let merge = without(insert, fixed)?;
                let query = insert.query.to_string();
                let asked = Box::pin(self.engine.pinned(self.options, &[&query], None)).await?;
                let asks_itself = asked.moment.contains_key(&target.table);
                let mut attempt = match asks_itself {
                    true => self.attempt(&merge, target).await?,
                    false => {
                        let (table, head, options) = (table.clone(), head.clone(), options.clone());
                        Box::pin(self.attempt_at(&merge, table, head, options)).await?
                    }
                };
                // What others changed since the query read the table is in none of its rows.
                if asks_itself && !attempt.looks_at(table, head) {
                    return Err(EngineError::Table(TableError::Conflict {
                        table: table.name.clone(),
                        reason: "it was changed while the query ran".into(),
                    }));
                }
                // Of a table that the query does not read only the rows that go matter: none may have come among them.
                let reach = match asks_itself {
                    true => None,
                    false => Box::pin(attempt.reach()).await?,
                };
                let matched = attempt.look().await?;
                let mut change = attempt.write_anew(&matched).await?;
                change.added.extend(added);
                let change = Change::overwrite(change.removed, change.added).read_at(attempt.read_at());
                let change = match reach {
                    Some(reach) => change.forbid_new_rows_of(reach.some),
                    None => change.forbid_new_rows(),
                };
                Ok(Some(match attempt.rows_get_ids() {
                    true => change.exact_head(),
                    false => change,
                }))
            }
        }
    }

    /// The files of every partition that gets one of `added`; all files of a table without partitions.
    async fn touched(&self, table: &LoadedTable, snapshot: Option<i64>, added: &[Added]) -> Result<Vec<String>> {
        let files = Scan::new(self.engine.store(), &table.metadata)
            .snapshot(snapshot)
            .with_deletes()
            .plan()
            .await?;
        self.require_own(table, &files).await?;
        let spec = table.metadata.default_partition_spec();
        if spec.is_unpartitioned() {
            return Ok(files.into_iter().map(|file| file.path).collect());
        }
        if files.iter().any(|file| file.spec_id != spec.spec_id()) {
            return Err(EngineError::Unsupported {
                what: format!(
                    "INSERT OVERWRITE of {} whose files are of several partition specs",
                    table.name
                ),
            });
        }
        // Files of before a column was widened are of the same partitions.
        let partitions = added.iter().map(|added| partition_key(added.file.partition()));
        let partitions: HashSet<Struct> = partitions.collect();
        let touched = files
            .into_iter()
            .filter(|file| partitions.contains(&partition_key(&file.partition)));
        Ok(touched.map(|file| file.path).collect())
    }

    /// `ON CONFLICT` as the `MERGE` that it is.
    async fn upsert(&self, target: &RowTarget, insert: &Insert, on_conflict: &OnConflict) -> Result<Merge> {
        if !matches!(insert.overwrite, Overwrite::Nothing) {
            return Err(EngineError::statement("INSERT OVERWRITE has no ON CONFLICT"));
        }
        let name = &target.table;
        let table = self.engine.load(name).await?;
        let schema = table.metadata.current_schema();
        let columns = match insert.columns.is_empty() {
            false => insert.columns.clone(),
            true => schema
                .as_struct()
                .fields()
                .iter()
                .map(|field| field.name.clone())
                .collect(),
        };
        let mut key = on_conflict.key.clone();
        if key.is_empty() {
            let named = schema
                .identifier_field_ids()
                .filter_map(|id| schema.name_by_field_id(id));
            key = named.map(str::to_owned).collect();
        }
        if key.is_empty() {
            return Err(EngineError::statement(format!(
                "{name} has no identifier columns: name the key, as in ON CONFLICT (id)"
            )));
        }
        if let Some(missing) = key.iter().find(|column| !columns.contains(column)) {
            return Err(EngineError::statement(format!(
                "the key's column {missing:?} is not among those inserted"
            )));
        }
        let own = insert.alias.as_deref().unwrap_or_else(|| name.name());
        let column = |table: &str, name: &str| {
            SqlExpr::CompoundIdentifier(vec![Ident::with_quote('"', table), Ident::with_quote('"', name)])
        };
        let equal = key.iter().map(|name| SqlExpr::BinaryOp {
            left: Box::new(column(own, name)),
            op: BinaryOperator::Eq,
            right: Box::new(column(EXCLUDED, name)),
        });
        let on = equal.reduce(|left, right| SqlExpr::BinaryOp {
            left: Box::new(left),
            op: BinaryOperator::And,
            right: Box::new(right),
        });
        let (action, condition) = match &on_conflict.update {
            None => (Action::Nothing, None),
            Some(update) => (Action::Update(update.values.clone()), update.condition.clone()),
        };
        let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let query = given_rows::query(insert, &tidewater_table::schema::to_arrow(schema)?)?;
        Ok(Merge {
            verb: "INSERT",
            table: insert.table.clone(),
            target: Some(target.clone()),
            alias: insert.alias.clone(),
            source: Some(Source {
                from: format!("({query}) AS \"given\" ({})", names.join(", ")),
                alias: Some(EXCLUDED.to_owned()),
            }),
            source_key: key,
            on,
            clauses: vec![
                Clause {
                    when: When::Matched,
                    condition,
                    action,
                },
                Clause {
                    when: When::NotMatched,
                    condition: None,
                    action: Action::Insert(
                        columns
                            .iter()
                            .map(|name| (name.clone(), column(EXCLUDED, name)))
                            .collect(),
                    ),
                },
            ],
        })
    }
}

/// The query's columns under the names of those they stand for, and those of the partition.
fn named_columns(
    input: LogicalPlan,
    insert: &Insert,
    fixed: &[PartitionValue],
    table: &LoadedTable,
) -> Result<LogicalPlan> {
    let fields = table.metadata.current_schema().as_struct().fields();
    let given = |name: &String| !fixed.iter().any(|value| value.column == *name);
    let names: Vec<String> = match insert.columns.is_empty() {
        false => insert.columns.clone(),
        true => fields.iter().map(|field| field.name.clone()).filter(given).collect(),
    };
    let renamed = renamed(input, &names, &table.name)?;
    if fixed.is_empty() {
        return Ok(renamed);
    }
    let mut columns: Vec<Expr> = renamed.schema().columns().into_iter().map(Expr::Column).collect();
    columns.extend(fixed.iter().map(PartitionValue::given));
    Ok(LogicalPlanBuilder::from(renamed).project(columns)?.build()?)
}

/// The query's columns under these names, in their order.
pub(super) fn renamed(input: LogicalPlan, names: &[String], table: &TableName) -> Result<LogicalPlan> {
    let columns = input.schema().columns();
    if columns.len() != names.len() {
        return Err(EngineError::Columns {
            table: table.clone(),
            reason: format!(
                "the query has {} columns for {}: {}",
                columns.len(),
                names.len(),
                names.join(", ")
            ),
        });
    }
    let columns = columns
        .into_iter()
        .zip(names)
        .map(|(column, name)| Expr::Column(column).alias(name));
    let columns: Vec<Expr> = columns.collect();
    Ok(LogicalPlanBuilder::from(input).project(columns)?.build()?)
}

/// The deletion of the rows that have these values.
fn without(insert: &Insert, values: &[PartitionValue]) -> Result<Merge> {
    let equal = values.iter().map(PartitionValue::taken);
    let equal = equal.collect::<Result<Vec<_>>>()?;
    Ok(Merge {
        verb: "INSERT",
        table: insert.table.clone(),
        target: None,
        alias: None,
        source: None,
        source_key: Vec::new(),
        on: equal.into_iter().reduce(|left, right| SqlExpr::BinaryOp {
            left: Box::new(left),
            op: BinaryOperator::And,
            right: Box::new(right),
        }),
        clauses: vec![Clause {
            when: When::Matched,
            condition: None,
            action: Action::Delete,
        }],
    })
}
