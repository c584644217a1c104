//! `WITH RECURSIVE`. Of both its parts DataFusion 55.2 wants columns with the same metadata, which are the field ids of a table's columns:
//! what is reckoned with such a column has none.

use std::sync::Arc;

use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, RecursiveQuery};

/// The plan with the metadata of both parts at the columns of each. Their types have to be alike by then: a cast loses it.
pub(super) fn alike(plan: LogicalPlan) -> Result<LogicalPlan> {
    let alike = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::RecursiveQuery(query) = node else {
            return Ok(Transformed::no(node));
        };
        let (first, next) = (
            query.static_term.schema().fields(),
            query.recursive_term.schema().fields(),
        );
        let both = first.iter().zip(next.iter()).map(|(first, next)| {
            let mut both = next.metadata().clone();
            both.extend(first.metadata().clone());
            FieldMetadata::from(both)
        });
        let both: Vec<FieldMetadata> = both.collect();
        let RecursiveQuery {
            name,
            static_term,
            recursive_term,
            is_distinct,
            ..
        } = query;
        let (first, next) = (with(static_term, &both)?, with(recursive_term, &both)?);
        let query = RecursiveQuery::try_new(name, first, next, is_distinct)?;
        Ok(Transformed::yes(LogicalPlan::RecursiveQuery(query)))
    })?;
    Ok(alike.data)
}

/// The rows with this metadata at their columns.
fn with(rows: Arc<LogicalPlan>, metadata: &[FieldMetadata]) -> Result<Arc<LogicalPlan>> {
    let mut fields = rows.schema().fields().iter().zip(metadata);
    if fields.all(|(field, wanted)| FieldMetadata::from(field.metadata()) == *wanted) {
        return Ok(rows);
    }
    let columns = rows.schema().iter().zip(metadata).map(|((table, field), wanted)| {
        let column = Expr::Column(Column::from((table, field)));
        column.alias_qualified_with_metadata(table.cloned(), field.name(), Some(wanted.clone()))
    });
    let columns: Vec<Expr> = columns.collect();
    let rows = Projection::try_new(columns, rows)?;
    Ok(Arc::new(LogicalPlan::Projection(rows)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
    use tidewater_table::schema::to_arrow;

    use crate::testing::Lake;

    // Goal: columns of a table may be reckoned with in either part, and stand beside what no table has. Method: a tree, walked with its
    // columns in the first part, in the second and in both.
    #[tokio::test]
    async fn either_part_reads_a_table() {
        let lake = Lake::new();
        let fields = [
            NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::optional(2, "parent", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::optional(3, "name", Type::Primitive(PrimitiveType::String)).into(),
        ];
        let schema = Schema::builder().with_fields(fields).build().expect("a schema");
        lake.create("silver.tree", schema, None).await;
        let columns = to_arrow(lake.load("silver.tree").await.metadata.current_schema()).expect("columns");
        let rows: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1, 2, 3])),
            Arc::new(Int64Array::from(vec![None, Some(1), Some(2)])),
            Arc::new(StringArray::from(vec!["a", "b", "c"])),
        ];
        let rows = RecordBatch::try_new(Arc::new(columns), rows).expect("rows");
        lake.append("silver.tree", rows).await;
        let root = "FROM silver.tree WHERE parent IS NULL";
        let next = "FROM silver.tree AS t JOIN r ON t.parent = r.id";
        for (first, second, wanted) in [
            (
                format!("SELECT id, name {root}"),
                format!("SELECT t.id, r.name || t.name {next}"),
                ["1,a", "2,ab", "3,abc"],
            ),
            (
                format!("SELECT id, 'x' AS name {root}"),
                format!("SELECT t.id, t.name {next}"),
                ["1,x", "2,b", "3,c"],
            ),
            (
                format!("SELECT id, id * 10 AS name {root}"),
                format!("SELECT t.id, t.parent {next}"),
                ["1,10", "2,1", "3,2"],
            ),
            (
                format!("SELECT id, parent AS name {root}"),
                "SELECT id + 1, id FROM r WHERE id < 3".to_owned(),
                ["1,", "2,1", "3,2"],
            ),
        ] {
            let sql = format!("WITH RECURSIVE r AS ({first} UNION ALL {second}) SELECT id, name FROM r");
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }
}
