//! Rewrites a scan's expressions from the table's columns to those of one file.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal, lit};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use tidewater_table::schema::{initial_default, maps_names};

use super::nan::NanGuard;
use super::{FieldIdCast, has_ids, position};
use crate::error::EngineError;

/// Makes an adapter for each file.
#[derive(Debug, Default)]
pub struct FieldIdAdapterFactory {
    /// Field ids of floating-point columns that are known to hold no NaN in any file of the scan.
    pub(crate) without_nan: Arc<BTreeSet<i32>>,
}

impl PhysicalExprAdapterFactory for FieldIdAdapterFactory {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let (columns, without) = (Arc::clone(&table), Arc::clone(&self.without_nan));
        // A file without any id was written by something that knows no ids: names are all there is, the table's own or those it maps.
        let lacks_default = table
            .fields()
            .iter()
            .any(|field| !matches!(initial_default(field), Ok(None)) && position(file.fields(), field).is_none());
        let own = has_ids(file.fields()) || lacks_default || table.fields().iter().any(|field| maps_names(field));
        let inner: Arc<dyn PhysicalExprAdapter> = match own {
            false => DefaultPhysicalExprAdapterFactory.create(table, file)?,
            true => Arc::new(FieldIdAdapter { table, file }),
        };
        Ok(Arc::new(NanGuard {
            inner,
            table: columns,
            without,
        }))
    }
}

#[derive(Debug)]
struct FieldIdAdapter {
    table: SchemaRef,
    file: SchemaRef,
}

impl PhysicalExprAdapter for FieldIdAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        // From the top: `get_field(column, name)` must be seen as a whole, so that only that leaf is read from the file.
        let rewritten = expr.transform_down(|node| {
            if let Some((column, function, path)) = nested_column(&node)
                && let Some(access) = self.nested(column, function, &path)?
            {
                return Ok(Transformed::new(access, true, TreeNodeRecursion::Jump));
            }
            match node.downcast_ref::<Column>() {
                Some(column) => Ok(Transformed::new(self.column(column)?, true, TreeNodeRecursion::Jump)),
                None => Ok(Transformed::no(node)),
            }
        })?;
        Ok(rewritten.data)
    }
}

impl FieldIdAdapter {
    fn column(&self, column: &Column) -> Result<Arc<dyn PhysicalExpr>> {
        let Some((_, field)) = self.table.fields().find(column.name()) else {
            // Not the table's: something the reader adds itself.
            return Ok(Arc::new(Column::new_with_schema(column.name(), &self.file)?));
        };
        match position(self.file.fields(), field) {
            Some(index) => {
                let source = self.file.field(index);
                // Under the file's own name: pruning looks statistics up by name.
                convert(Arc::new(Column::new(source.name(), index)), source, field)
            }
            None => absent(field),
        }
    }

    /// The same access by the file's names; `None` where the path leaves the structs of the table.
    fn nested(
        &self,
        column: &Column,
        function: &ScalarFunctionExpr,
        path: &[&str],
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some((_, root)) = self.table.fields().find(column.name()) else {
            return Ok(None);
        };
        let Some(wanted) = descend(root, path) else {
            return Ok(None);
        };
        let Some(leaf) = wanted.last() else {
            return Ok(None);
        };
        let Some(index) = position(self.file.fields(), root) else {
            return absent_leaf(leaf).map(Some);
        };
        let mut source: &Field = self.file.field(index);
        let mut args: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(Column::new(source.name(), index))];
        for field in &wanted {
            let DataType::Struct(children) = source.data_type() else {
                return Ok(None);
            };
            let Some(child) = position(children, field).and_then(|index| children.get(index)) else {
                return absent_leaf(leaf).map(Some);
            };
            args.push(lit(child.name().as_str()));
            source = child;
        }
        let access = ScalarFunctionExpr::try_new(
            Arc::new(function.fun().clone()),
            args,
            &self.file,
            Arc::new(function.config_options().clone()),
        )?;
        convert(Arc::new(access), source, leaf).map(Some)
    }
}

/// `get_field` over a column, one call with several names or calls in one another.
fn nested_column(expr: &Arc<dyn PhysicalExpr>) -> Option<(&Column, &ScalarFunctionExpr, Vec<&str>)> {
    let function = ScalarFunctionExpr::try_downcast_func::<GetFieldFunc>(expr.as_ref())?;
    let (source, keys) = function.args().split_first()?;
    let (column, mut path) = match source.downcast_ref::<Column>() {
        Some(column) => (column, Vec::new()),
        None => {
            let (column, _, path) = nested_column(source)?;
            (column, path)
        }
    };
    for key in keys {
        path.push(key.downcast_ref::<Literal>()?.value().try_as_str().flatten()?);
    }
    Some((column, function, path))
}

/// The fields along a path of names below `root`.
fn descend<'a>(root: &'a FieldRef, path: &[&str]) -> Option<Vec<&'a FieldRef>> {
    let mut fields = Vec::with_capacity(path.len());
    let mut current = root;
    for name in path {
        let DataType::Struct(children) = current.data_type() else {
            return None;
        };
        current = children.iter().find(|field| field.name() == name)?;
        fields.push(current);
    }
    Some(fields)
}

/// A column the file does not have: it is older than the column, whose initial value its rows have.
fn absent(field: &FieldRef) -> Result<Arc<dyn PhysicalExpr>> {
    if let Some(value) = initial_default(field).map_err(EngineError::from)? {
        let (value, field): (_, &Field) = (ScalarValue::try_from_array(&value, 0)?, field);
        return Ok(Arc::new(Literal::new_with_metadata(value, Some(field.into()))));
    }
    if !field.is_nullable() {
        return exec_err!("required column {:?} is missing from a data file", field.name());
    }
    absent_leaf(field)
}

fn absent_leaf(field: &Field) -> Result<Arc<dyn PhysicalExpr>> {
    let null = ScalarValue::try_new_null(field.data_type())?;
    Ok(Arc::new(Literal::new_with_metadata(null, Some(field.into()))))
}

/// `expr` of the file's type as the table's type.
fn convert(expr: Arc<dyn PhysicalExpr>, source: &Field, target: &FieldRef) -> Result<Arc<dyn PhysicalExpr>> {
    let (from, to) = (source.data_type(), target.data_type());
    if from == to {
        return Ok(expr);
    }
    if same_by_name(from, to) {
        return Ok(Arc::new(CastExpr::new_with_target_field(expr, target.clone(), None)));
    }
    Ok(Arc::new(FieldIdCast::new(expr, target.clone())))
}

/// Whether matching children by name, which DataFusion's own cast does, gives what matching by id gives. Its cast is
/// preferred because the reader then skips the leaves that the table no longer has.
fn same_by_name(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Struct(source), DataType::Struct(target)) => {
            let agree = |field: &FieldRef| {
                let by_name = source.find(field.name()).map(|(index, _)| index);
                by_name == position(source, field)
                    && by_name
                        .and_then(|index| source.get(index))
                        .is_none_or(|child| same_by_name(child.data_type(), field.data_type()))
            };
            // Without a common field DataFusion refuses the cast.
            target.iter().all(agree) && target.iter().any(|field| overlaps(source, field))
        }
        (DataType::List(source), DataType::List(target)) => same_by_name(source.data_type(), target.data_type()),
        (from, to) => !from.is_nested() && !to.is_nested(),
    }
}

fn overlaps(source: &Fields, field: &FieldRef) -> bool {
    source.find(field.name()).is_some()
}
