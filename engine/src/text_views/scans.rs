//! Scans that give texts as views.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, Statistics, internal_datafusion_err};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use tidewater_table::schema::initial_default;

use super::conditions::{column, over_views};
use crate::deletes::RowDeletesExec;

/// The columns of a plan that are texts of Parquet files, by their places: none of one that does more with rows than to read them.
pub(super) fn texts(plan: &Arc<dyn ExecutionPlan>) -> BTreeSet<usize> {
    if let Some((_, source)) = parquet(plan) {
        return texts_of(source);
    }
    if !passes_rows(plan) {
        return BTreeSet::new();
    }
    let inputs = plan.children().into_iter().map(texts);
    inputs.reduce(|all, these| &all & &these).unwrap_or_default()
}

/// The same plan, with these of its [`texts`] as views.
pub(super) fn as_views(plan: Arc<dyn ExecutionPlan>, texts: &BTreeSet<usize>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some((config, source)) = parquet(&plan) {
        return scan(config, source, texts);
    }
    let inputs = plan.children().into_iter();
    let inputs = inputs.map(|input| as_views(Arc::clone(input), texts));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let properties = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    plan.replace_children(inputs, properties)
}

fn parquet(plan: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, &ParquetSource)> {
    plan.downcast_ref::<DataSourceExec>()?
        .downcast_to_file_source::<ParquetSource>()
}

/// Whether an operator hands on what it gets, whatever its type.
fn passes_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let in_turn = |of: &RepartitionExec| matches!(of.partitioning(), Partitioning::RoundRobinBatch(_));
    plan.is::<RowDeletesExec>()
        || plan.is::<UnionExec>()
        || plan.is::<CooperativeExec>()
        || plan.downcast_ref::<RepartitionExec>().is_some_and(in_turn)
}

fn texts_of(source: &ParquetSource) -> BTreeSet<usize> {
    let files = source.table_schema().file_schema();
    let is_text = |at: usize| {
        let field = files.fields().get(at);
        // A default is parsed in the type of its column.
        field.is_some_and(|field| *field.data_type() == DataType::Utf8 && matches!(initial_default(field), Ok(None)))
    };
    let columns = source.projection().into_iter().flat_map(ProjectionExprs::iter);
    let texts = columns
        .enumerate()
        .filter(|(_, of)| column(&of.expr).is_some_and(is_text));
    texts.map(|(at, _)| at).collect()
}

fn scan(config: &FileScanConfig, source: &ParquetSource, texts: &BTreeSet<usize>) -> Result<Arc<dyn ExecutionPlan>> {
    let projection = source.projection();
    let projection = projection.ok_or_else(|| internal_datafusion_err!("a Parquet scan without a projection"))?;
    let chosen = projection.iter().enumerate().filter(|(at, _)| texts.contains(at));
    let views: BTreeSet<usize> = chosen.filter_map(|(_, of)| column(&of.expr)).collect();
    let columns = with_views(source.table_schema(), &views);
    let schema = Arc::clone(columns.table_schema());
    let projected = projection.iter().enumerate().map(|(at, of)| {
        let value = match texts.contains(&at) {
            true => Arc::clone(&of.expr),
            false => over_views(Arc::clone(&of.expr), &views, &schema)?,
        };
        Ok(ProjectionExpr::new(value, of.alias.as_str()))
    });
    let projected = projected.collect::<Result<Vec<_>>>()?;
    // The schema of a source cannot be changed. What else there is to one is for sorts, none of which is pushed below a filter.
    let mut viewed = ParquetSource::new(columns).with_table_parquet_options(source.table_parquet_options().clone());
    if let Some(reader) = source.parquet_file_reader_factory() {
        viewed = viewed.with_parquet_file_reader_factory(Arc::clone(reader));
    }
    if let Some(pruning) = source.filter() {
        viewed = viewed.with_predicate(over_views(pruning, &views, &schema)?);
    }
    let viewed = viewed
        .try_pushdown_projection(&ProjectionExprs::new(projected))?
        .ok_or_else(|| internal_datafusion_err!("a Parquet scan takes any projection of columns"))?;
    let config: FileScanConfig = FileScanConfigBuilder::from(config.clone())
        .with_source(viewed)
        .with_statistics(without_bounds(config.statistics(), &views))
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

fn with_views(columns: &TableSchema, views: &BTreeSet<usize>) -> TableSchema {
    let files = columns.file_schema();
    let all = files.fields().iter().enumerate();
    let fields = all.map(|(at, field)| match views.contains(&at) {
        true => FieldRef::new(Field::clone(field).with_data_type(DataType::Utf8View)),
        false => Arc::clone(field),
    });
    let fields: Vec<FieldRef> = fields.collect();
    let viewed = Schema::new_with_metadata(fields, files.metadata().clone());
    TableSchema::builder(viewed.into())
        .with_table_partition_cols(columns.table_partition_cols().clone())
        .with_virtual_columns(columns.virtual_columns().clone())
        .build()
}

/// Bounds of texts are not of the type of views, and everything is planned already.
fn without_bounds(mut statistics: Statistics, views: &BTreeSet<usize>) -> Statistics {
    for at in views {
        if let Some(column) = statistics.column_statistics.get_mut(*at) {
            column.min_value = Precision::Absent;
            column.max_value = Precision::Absent;
        }
    }
    statistics
}
