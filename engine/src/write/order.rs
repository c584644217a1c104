//! The order that a table wants its rows in (Iceberg spec, "Sorting"), as plans have it.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::logical_expr::{Expr, SortExpr};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use tidewater_table::iceberg::spec::{NestedField, NullOrder, Schema, SortDirection, TableMetadata, Transform, Type};

use super::transform::transformed;

/// Whose order rows are written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The table's, if it has one: each task sorts its rows, and its files say so.
    #[default]
    OfTable,
    /// None but what the plan gives them.
    AsPlanned,
}

/// What each task sorts its rows by.
#[derive(Debug, Default)]
pub(super) struct TaskOrder {
    pub(super) sorts: Vec<SortExpr>,
    /// Whether rows that are sorted so are in the table's order, all of it.
    pub(super) whole: bool,
}

impl TaskOrder {
    pub(super) fn of(table: &TableMetadata) -> Self {
        let own = table_order(table);
        if own.is_empty() {
            return Self::default();
        }
        let whole = own.len() == table.default_sort_order().fields.len();
        // Partition by partition: else all files of a task are open at once, and memory closes them while they are small.
        let mut sorts = partitions(table);
        sorts.extend(own);
        Self { sorts, whole }
    }
}

/// The table's order, up to its first field that cannot be computed; nothing for a table without any.
pub(crate) fn table_order(table: &TableMetadata) -> Vec<SortExpr> {
    let fields = table.default_sort_order().fields.iter();
    let sorts = fields.map_while(|field| {
        let value = sort_value(table.current_schema(), field.source_id, field.transform)?;
        let ascending = field.direction == SortDirection::Ascending;
        Some(value.sort(ascending, field.null_order == NullOrder::First))
    });
    sorts.collect()
}

fn partitions(table: &TableMetadata) -> Vec<SortExpr> {
    let fields = table.default_partition_spec().fields().iter();
    let values = fields.filter_map(|field| sort_value(table.current_schema(), field.source_id, field.transform));
    values.map(|value| value.sort(true, true)).collect()
}

/// What a row is sorted by; nothing for transforms that have no values or that nobody knows.
pub(crate) fn sort_value(schema: &Schema, source_id: i32, transform: Transform) -> Option<Expr> {
    let path = path_of(schema.as_struct().fields(), source_id)?;
    let (first, inner) = path.split_first()?;
    let column = Expr::Column(Column::from_name(*first));
    match transform {
        Transform::Void | Transform::Unknown => None,
        Transform::Identity if inner.is_empty() => Some(column),
        transform => Some(transformed(transform, column, inner)),
    }
}

/// The names that lead to a field.
fn path_of(fields: &[Arc<NestedField>], id: i32) -> Option<Vec<&str>> {
    fields.iter().find_map(|field| {
        let mut path = vec![field.name.as_str()];
        if field.id != id {
            let Type::Struct(inner) = field.field_type.as_ref() else {
                return None;
            };
            path.extend(path_of(inner.fields(), id)?);
        }
        Some(path)
    })
}

/// The same as operators have it, over rows with these columns.
pub(super) fn physical(
    sorts: &[SortExpr],
    session: &dyn Session,
    columns: &SchemaRef,
) -> Result<Option<LexOrdering>, DataFusionError> {
    let columns = DFSchema::try_from(Arc::clone(columns))?;
    let sorts = sorts.iter().map(|sort| {
        let options = SortOptions {
            descending: !sort.asc,
            nulls_first: sort.nulls_first,
        };
        let value = session.create_physical_expr(sort.expr.clone(), &columns)?;
        Ok(PhysicalSortExpr::new(value, options))
    });
    Ok(LexOrdering::new(sorts.collect::<Result<Vec<_>, DataFusionError>>()?))
}
