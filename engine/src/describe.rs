//! SHOW and DESCRIBE: what there is and what it looks like.

mod create;
mod table;
mod types;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, ResolvedTableReference, TableReference, plan_datafusion_err};
use datafusion::datasource::{MemTable, provider_as_source, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, TableType};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    DescribeAlias, HiveDescribeFormat, Ident, ObjectName, ObjectNamePart, ShowCreateObject, ShowStatementFilter,
    ShowStatementFilterPosition, ShowStatementOptions, Statement as SqlStatement,
};
use tidewater_core::{Namespace, TableName};

use crate::error::Result;
use crate::lake::base_name;
use crate::provider::IcebergTable;
use crate::session::CATALOG;

/// What rows are called that tell of columns and of nothing else.
const COLUMNS: &str = "described";

/// What rows are called that tell more of a table or view.
const MORE: &str = "told";

/// What such a statement needs.
pub(crate) enum Answer {
    /// Its rows.
    Rows(LogicalPlan),
    /// Another statement that asks the same of `information_schema`.
    Query(String),
    /// It is no statement of this kind, or the query engine answers it as well.
    Other,
}

/// The answer to a statement that describes.
pub(crate) async fn answer(state: &SessionState, statement: &Statement) -> Result<Answer> {
    let Statement::Statement(statement) = statement else {
        return Ok(Answer::Other);
    };
    match statement.as_ref() {
        SqlStatement::ShowTables {
            show_options: options, ..
        } if options.show_in.is_some() || options.filter_position.is_some() => {
            let schema = parent(options).map(|parts| format!("table_schema = {}", literal(&parts.join("."))));
            let conditions = schema.into_iter().chain(filter(options, "table_name"));
            let columns = "table_catalog, table_schema, table_name, table_type";
            Ok(Answer::Query(query(columns, "tables", conditions)))
        }
        SqlStatement::ShowSchemas {
            show_options: options, ..
        }
        | SqlStatement::ShowDatabases {
            show_options: options, ..
        } => {
            let catalog = format!("catalog_name = {}", literal(CATALOG));
            let conditions = [catalog].into_iter().chain(filter(options, "schema_name"));
            Ok(Answer::Query(query("schema_name", "schemata", conditions)))
        }
        SqlStatement::ShowColumns {
            show_options: options, ..
        } => match parent(options) {
            Some(parts) => {
                let (name, provider) = provider(state, &parts).await?;
                rows(
                    COLUMNS,
                    table::show_columns(&name, provider.as_ref(), &pattern(options))?,
                )
            }
            None => Ok(Answer::Other),
        },
        SqlStatement::ShowCreate {
            obj_type: ShowCreateObject::Table,
            obj_name,
        } => {
            let (name, provider) = provider(state, &values(obj_name)).await?;
            let definition = match (provider.downcast_ref::<IcebergTable>(), provider.table_type()) {
                (Some(iceberg), _) => Some(create::statement(iceberg.table())?),
                (None, TableType::View) => provider
                    .get_table_definition()
                    .map(|query| create::of_view(&name, query)),
                (None, _) => None,
            };
            match definition {
                Some(definition) => rows(MORE, create::show(&name, definition)?),
                None => Ok(Answer::Other),
            }
        }
        SqlStatement::ExplainTable {
            describe_alias: DescribeAlias::Describe | DescribeAlias::Desc,
            hive_format,
            table_name,
            ..
        } => {
            let (_, provider) = provider(state, &values(table_name)).await?;
            let extended = matches!(
                hive_format,
                Some(HiveDescribeFormat::Extended | HiveDescribeFormat::Formatted)
            );
            let told = if extended { MORE } else { COLUMNS };
            rows(told, table::describe(provider.as_ref(), extended)?)
        }
        _ => Ok(Answer::Other),
    }
}

/// The table or view that a statement describes, if it describes one of the catalog's.
pub(crate) fn object(state: &SessionState, statement: &Statement) -> Option<TableName> {
    let Statement::Statement(statement) = statement else {
        return None;
    };
    let parts = match statement.as_ref() {
        SqlStatement::ShowColumns {
            show_options: options, ..
        } => parent(options)?,
        SqlStatement::ShowCreate {
            obj_type: ShowCreateObject::Table,
            obj_name,
        } => values(obj_name),
        SqlStatement::ExplainTable {
            describe_alias: DescribeAlias::Describe | DescribeAlias::Desc,
            table_name,
            ..
        } => values(table_name),
        _ => return None,
    };
    let defaults = &state.config().options().catalog;
    let full = reference(&parts)
        .ok()?
        .resolve(&defaults.default_catalog, &defaults.default_schema);
    let namespace = full.schema.parse::<Namespace>().ok()?;
    if *full.catalog != *CATALOG {
        return None;
    }
    TableName::new(namespace, base_name(&full.table)).ok()
}

/// Whether a plan tells of the columns of a table or view and of nothing else, as those of `DESCRIBE` and `SHOW COLUMNS` do.
pub fn shows_columns(plan: &LogicalPlan) -> bool {
    let LogicalPlan::TableScan(scan) = plan else {
        return false;
    };
    let is_made = || source_as_provider(&scan.source).is_ok_and(|rows| rows.downcast_ref::<MemTable>().is_some());
    scan.table_name == TableReference::bare(COLUMNS) && is_made()
}

fn rows(called: &str, batch: RecordBatch) -> Result<Answer> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    let plan = LogicalPlanBuilder::scan(called, provider_as_source(Arc::new(table)), None)?.build()?;
    Ok(Answer::Rows(plan))
}

/// A batch of text columns, of which the last ones may have nulls.
fn text_batch(columns: Vec<(&str, Vec<Option<String>>)>) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for (name, values) in columns {
        fields.push(Field::new(name, DataType::Utf8, true));
        arrays.push(Arc::new(StringArray::from(values)));
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
    Ok(batch.map_err(DataFusionError::from)?)
}

fn reference(parts: &[String]) -> Result<TableReference> {
    Ok(match parts {
        [table] => TableReference::bare(table.as_str()),
        [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
        [catalog, schema, table] => TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()),
        _ => return Err(plan_datafusion_err!("{} is not the name of a table", parts.join(".")).into()),
    })
}

async fn provider(state: &SessionState, parts: &[String]) -> Result<(ResolvedTableReference, Arc<dyn TableProvider>)> {
    let reference = reference(parts)?;
    let defaults = &state.config().options().catalog;
    let schema = state.schema_for_ref(reference.clone())?;
    let found = schema.table(reference.table()).await?;
    let full = reference.resolve(&defaults.default_catalog, &defaults.default_schema);
    match found {
        Some(provider) => Ok((full, provider)),
        None => Err(plan_datafusion_err!("table '{full}' not found").into()),
    }
}

fn value(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

fn values(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(ObjectNamePart::as_ident).map(value).collect()
}

/// The name after `IN` or `FROM`.
fn parent(options: &ShowStatementOptions) -> Option<Vec<String>> {
    let name = options.show_in.as_ref()?.parent_name.as_ref()?;
    let mut parts = values(name);
    // `lake.gold` is the schema `gold`; tables keep their catalog.
    if parts.len() == 2 && parts.first().is_some_and(|first| first == CATALOG) {
        parts.remove(0);
    }
    Some(parts)
}

/// The pattern of `LIKE`, `%` for any text; as Hive has it without the word, with `*`.
fn pattern(options: &ShowStatementOptions) -> Option<String> {
    let filter = match options.filter_position.as_ref()? {
        ShowStatementFilterPosition::Infix(filter) | ShowStatementFilterPosition::Suffix(filter) => filter,
    };
    match filter {
        ShowStatementFilter::Like(pattern) | ShowStatementFilter::ILike(pattern) => Some(pattern.clone()),
        ShowStatementFilter::NoKeyword(pattern) => Some(pattern.replace('*', "%")),
        ShowStatementFilter::Where(_) => None,
    }
}

fn filter(options: &ShowStatementOptions, column: &str) -> Option<String> {
    pattern(options).map(|pattern| format!("{column} LIKE {}", literal(&pattern)))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn query(columns: &str, table: &str, conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.collect();
    let condition = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    format!("SELECT {columns} FROM information_schema.{table}{condition} ORDER BY {columns}")
}

#[cfg(test)]
mod tests;
