//! The values of `INSERT OVERWRITE … PARTITION (a = 1)`. Each is read once, as its column has it: rows make way for the value that the new
//! ones get, whatever the words for it mean beside a column. There `code = 7` holds for the text `07` as well, `0.1` is no number of four
//! bytes, no day is a moment after its midnight, and a moment with a zone of its own is another one than where it is written.

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr as SqlExpr, Ident};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use tidewater_table::LoadedTable;

use super::Workshop;
use super::row_sql::{as_sql, has_query};
use crate::error::{EngineError, Result};
use crate::runner::{PlanRequest, PlanRunner};
use crate::session::{Class, read_texts, zone_of};
use crate::sql::{Overwrite, literal, quoted};
use crate::write::stored;

/// A column and what it is in the rows that go and in those that come.
#[derive(Debug, Clone)]
pub(super) struct PartitionValue {
    pub(super) column: String,
    value: ScalarValue,
}

impl Workshop<'_> {
    /// The values that rows get and lose in this session; none where no partition is named.
    ///
    /// # Errors
    /// [`EngineError::Columns`] for columns that the table does not have, [`EngineError::NotTaken`] for what is no value that a row can
    /// have and be found by.
    pub(super) async fn partition_values(
        &self,
        session: &SessionContext,
        overwrite: &Overwrite,
        table: &LoadedTable,
    ) -> Result<Vec<PartitionValue>> {
        let Overwrite::Partition(written) = overwrite else {
            return Ok(Vec::new());
        };
        let schema = tidewater_table::schema::to_arrow(table.metadata.current_schema())?;
        let mut values = Vec::with_capacity(written.len());
        for (column, written) in written {
            let field = schema.field_with_name(column).map_err(|_| EngineError::Columns {
                table: table.name.clone(),
                reason: format!("the table has no column {column:?}"),
            })?;
            let value = self.partition_value(session, column, written, field.data_type());
            values.push(PartitionValue {
                column: column.clone(),
                value: value.await?,
            });
        }
        Ok(values)
    }

    async fn partition_value(
        &self,
        session: &SessionContext,
        column: &str,
        written: &SqlExpr,
        of: &DataType,
    ) -> Result<ScalarValue> {
        let refused = |what: &str, advice: &str| EngineError::NotTaken {
            procedure: "INSERT OVERWRITE … PARTITION".into(),
            what: format!("{what} for column {column:?}"),
            advice: advice.into(),
        };
        if of.is_nested() {
            return Err(refused(
                "a value",
                "name columns without parts, or DELETE rows and INSERT others",
            ));
        }
        if has_query(written) {
            return Err(refused("a query", "write the value itself"));
        }
        let mut plan = match text_of(written, of) {
            Some(text) => LogicalPlanBuilder::empty(true)
                .project(vec![lit(text).alias(column)])?
                .build()?,
            None => {
                let sql = format!("SELECT ({written}) AS {}", quoted(column));
                self.engine.plan(session, &sql).await?
            }
        };
        if self.options.postgres.is_some() {
            plan = read_texts::columns(plan, |_| Some(of.clone()))?;
        }
        let settings = session.copied_config();
        let plan = as_stored(plan, column, of, zone_of(settings.options()))?;
        let request = PlanRequest {
            job: self.job(),
            session: session.clone(),
            plan,
            class: Class::Batch,
            deadline: self.deadline,
        };
        let found = self.engine.local_runner().run(request).await?.collect().await?;
        let rows: usize = found.iter().map(RecordBatch::num_rows).sum();
        let row = found.iter().find(|batch| batch.num_rows() == 1);
        let (Some(row), 1) = (row, rows) else {
            return Err(refused("several values or none", "write one value"));
        };
        match ScalarValue::try_from_array(row.column(0), 0)?.cast_to(of)? {
            null if null.is_null() => Err(refused("null", "DELETE the rows WHERE it IS NULL, and INSERT others")),
            value => Ok(value),
        }
    }
}

impl PartitionValue {
    /// The column of the rows that come.
    pub(super) fn given(&self) -> Expr {
        lit(self.value.clone()).alias(&self.column)
    }

    /// What holds for the rows that go.
    pub(super) fn taken(&self) -> Result<SqlExpr> {
        let written = match &self.value {
            ScalarValue::Utf8(Some(text)) => format!("'{}'", text.replace('\'', "''")),
            // As a number: how a text is read hangs on the session, and no session reads those of all years.
            ScalarValue::TimestampMicrosecond(Some(at), _) | ScalarValue::TimestampNanosecond(Some(at), _) => {
                format!("arrow_cast({at}, '{}')", self.value.data_type())
            }
            value => as_sql(&value.to_array()?)?,
        };
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(&written);
        let value = parsed.and_then(|mut parser| parser.parse_expr()).map_err(|error| {
            EngineError::statement(format!("the value of partition column {:?}: {error}", self.column))
        })?;
        Ok(SqlExpr::BinaryOp {
            left: Box::new(SqlExpr::Identifier(Ident::with_quote('"', &self.column))),
            op: BinaryOperator::Eq,
            right: Box::new(value),
        })
    }
}

/// What is written, where the column reads it as a text; `None` where it has a type of its own.
fn text_of(written: &SqlExpr, of: &DataType) -> Option<String> {
    let of_calendar = matches!(of, DataType::Timestamp(..) | DataType::Date32 | DataType::Time64(_));
    match written {
        // Which zone a moment is told in hangs on its type.
        SqlExpr::TypedString(_) if of_calendar => None,
        written => literal(written),
    }
}

/// The one column of a plan as a column of this type has it.
fn as_stored(plan: LogicalPlan, column: &str, of: &DataType, zone: &str) -> Result<LogicalPlan> {
    let found = plan.schema().field(0).data_type().clone();
    let values = plan.schema().columns().into_iter().take(1);
    let values: Vec<Expr> = values
        .map(|value| Ok(stored(Expr::Column(value), &found, of, zone)?.alias(column)))
        .collect::<Result<_>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(values)?.build()?)
}
