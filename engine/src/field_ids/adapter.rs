//! Rewrites a scan's expressions from the table's columns to those of one file.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal, lit};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use tidewater_table::schema::{Within, initial_default, maps_names};

use super::cast::has_unmasked;
use super::filled::Filled;
use super::nan::NanGuard;
use super::{FieldIdCast, has_ids, position, position_within};
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
        let plain = Arc::new(Within::default());
        let within = table.fields().iter().map(|field| match field.data_type().is_nested() {
            true => Within::of(field).map(Arc::new),
            false => Ok(Arc::clone(&plain)),
        });
        let within = within.collect::<Result<Vec<_>, _>>().map_err(EngineError::from)?;
        // A file without any id was written by something that knows no ids: names are all there is, the table's own or those it maps.
        let lacks_default = table
            .fields()
            .iter()
            .any(|field| !matches!(initial_default(field), Ok(None)) && position(file.fields(), field).is_none());
        let own = has_ids(file.fields())
            || lacks_default
            || table.fields().iter().any(|field| maps_names(field))
            || within.iter().any(|within| !within.is_plain())
            || table.fields().iter().any(|field| has_unmasked(field.data_type()));
        let inner: Arc<dyn PhysicalExprAdapter> = match own {
            false => DefaultPhysicalExprAdapterFactory.create(table, file)?,
            true => Arc::new(FieldIdAdapter { table, file, within }),
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
    /// What each of the table's columns tells of the fields within it.
    within: Vec<Arc<Within>>,
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
    /// A column of the table, and what it tells of the fields within it.
    fn known(&self, name: &str) -> Option<(&FieldRef, &Arc<Within>)> {
        let (index, field) = self.table.fields().find(name)?;
        Some((field, self.within.get(index)?))
    }

    fn column(&self, column: &Column) -> Result<Arc<dyn PhysicalExpr>> {
        let Some((field, within)) = self.known(column.name()) else {
            // Not the table's: something the reader adds itself.
            return Ok(Arc::new(Column::new_with_schema(column.name(), &self.file)?));
        };
        match position(self.file.fields(), field) {
            Some(index) => {
                let source = self.file.field(index);
                // Under the file's own name: pruning looks statistics up by name.
                convert(Arc::new(Column::new(source.name(), index)), source, field, within)
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
        let Some((root, within)) = self.known(column.name()) else {
            return Ok(None);
        };
        let Some(wanted) = descend(root, path) else {
            return Ok(None);
        };
        let Some(leaf) = wanted.last() else {
            return Ok(None);
        };
        let Some(index) = position(self.file.fields(), root) else {
            let value = initial_default(root).map_err(EngineError::from)?;
            return literal(of_leaf(value, &wanted)?, leaf).map(Some);
        };
        let of_file = |names: &[&str]| {
            let column = Arc::new(Column::new(self.file.field(index).name(), index));
            self.access(function, column, names)
        };
        let mut source: &Field = self.file.field(index);
        let mut names: Vec<&str> = Vec::with_capacity(wanted.len());
        for (depth, field) in wanted.iter().enumerate() {
            let DataType::Struct(children) = source.data_type() else {
                return Ok(None);
            };
            let found = position_within(children, field, within).and_then(|index| children.get(index));
            let Some(child) = found else {
                let value = within.absent(field).map_err(EngineError::from)?;
                let below = wanted.get(depth + 1..).unwrap_or_default();
                let value = of_leaf(value, below)?;
                if value.as_ref().is_none_or(ScalarValue::is_null) {
                    return literal(None, leaf).map(Some);
                }
                let (Some(value), Some(beside)) = (value, plain(children)) else {
                    // All of the column is read, and filled in.
                    return self.access(function, self.column(column)?, path).map(Some);
                };
                names.extend(beside);
                return Ok(Some(Arc::new(Filled::new(of_file(&names)?, depth, value, leaf))));
            };
            names.push(child.name());
            source = child;
        }
        // A struct on the way may be null.
        let target = Arc::new(Field::clone(leaf).with_nullable(true));
        let mut found = of_file(&names)?;
        if !source.is_nullable() {
            found = Arc::new(Filled::masked(found, names.len().saturating_sub(1), source));
        }
        convert(found, source, &target, within).map(Some)
    }

    /// The field of a column that these names lead to.
    fn access(
        &self,
        function: &ScalarFunctionExpr,
        column: Arc<dyn PhysicalExpr>,
        names: &[&str],
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let names = names.iter().map(|name| lit(*name));
        let access = ScalarFunctionExpr::try_new(
            Arc::new(function.fun().clone()),
            std::iter::once(column).chain(names).collect(),
            &self.file,
            Arc::new(function.config_options().clone()),
        )?;
        Ok(Arc::new(access))
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

/// The names that lead to a field which is neither a struct nor a list or map, by structs only.
fn plain(fields: &Fields) -> Option<Vec<&str>> {
    if let Some(field) = fields.iter().find(|field| !field.data_type().is_nested()) {
        return Some(vec![field.name().as_str()]);
    }
    fields.iter().find_map(|field| {
        let DataType::Struct(children) = field.data_type() else {
            return None;
        };
        let mut names = vec![field.name().as_str()];
        names.extend(plain(children)?);
        Some(names)
    })
}

/// A column the file does not have: it is older than the column, whose initial value its rows have.
fn absent(field: &FieldRef) -> Result<Arc<dyn PhysicalExpr>> {
    let value = initial_default(field).map_err(EngineError::from)?;
    if value.is_none() && !field.is_nullable() {
        return exec_err!("required column {:?} is missing from a data file", field.name());
    }
    literal(of_leaf(value, &[])?, field)
}

/// The field that `path` leads to in the one value of a struct.
fn of_leaf(value: Option<ArrayRef>, path: &[&FieldRef]) -> Result<Option<ScalarValue>> {
    let Some(mut value) = value else {
        return Ok(None);
    };
    for field in path {
        let inner = value
            .as_struct_opt()
            .and_then(|outer| outer.column_by_name(field.name()));
        let inner =
            inner.ok_or_else(|| exec_datafusion_err!("the value of a struct lacks its field {}", field.name()))?;
        value = inner.clone();
    }
    ScalarValue::try_from_array(&value, 0).map(Some)
}

fn literal(value: Option<ScalarValue>, field: &FieldRef) -> Result<Arc<dyn PhysicalExpr>> {
    let value = match value {
        Some(value) => value,
        None => ScalarValue::try_new_null(field.data_type())?,
    };
    let field: &Field = field;
    Ok(Arc::new(Literal::new_with_metadata(value, Some(field.into()))))
}

/// `expr` of the file's type as the table's type.
fn convert(
    expr: Arc<dyn PhysicalExpr>,
    source: &Field,
    target: &FieldRef,
    within: &Arc<Within>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let (from, to) = (source.data_type(), target.data_type());
    if from == to && !has_unmasked(to) {
        return Ok(expr);
    }
    if !has_unmasked(to) && same_by_name(from, to, within) {
        return Ok(Arc::new(CastExpr::new_with_target_field(expr, target.clone(), None)));
    }
    Ok(Arc::new(FieldIdCast::new(expr, target.clone(), within.clone())))
}

/// Whether matching children by name, which DataFusion's own cast does, gives what matching by id gives, and null for a child that is
/// not there is right. Its cast is preferred because the reader then skips the leaves that the table no longer has.
fn same_by_name(from: &DataType, to: &DataType, within: &Within) -> bool {
    match (from, to) {
        (DataType::Struct(source), DataType::Struct(target)) => {
            let agree = |field: &FieldRef| {
                let by_name = source.find(field.name()).map(|(index, _)| index);
                let child = by_name.and_then(|index| source.get(index));
                by_name == position_within(source, field, within)
                    && match child {
                        Some(child) => same_by_name(child.data_type(), field.data_type(), within),
                        None => !within.tells(field),
                    }
            };
            // Without a common field DataFusion refuses the cast.
            target.iter().all(agree) && target.iter().any(|field| overlaps(source, field))
        }
        (DataType::List(source), DataType::List(target)) => {
            same_by_name(source.data_type(), target.data_type(), within)
        }
        (from, to) => !from.is_nested() && !to.is_nested(),
    }
}

fn overlaps(source: &Fields, field: &FieldRef) -> bool {
    source.find(field.name()).is_some()
}
