//! Parameters: what is told of them, and how values take their places.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::common::ParamValues;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Union};
use datafusion::scalar::ScalarValue;

use tidewater_engine::EngineError;

use crate::error::QueryError;
use crate::placeholder::placeholder_number;
use crate::wire::wire_schema;

/// Parameters of one statement: what the PostgreSQL wire can number, so that both fronts take the same statements.
const PARAMETERS_MAX: usize = 65_535;

/// The parameters in the order of their numbers. A type nobody can tell is text.
pub(super) fn told(plan: &LogicalPlan) -> Result<SchemaRef, QueryError> {
    let types = numbered(plan)?;
    let count = types.last_key_value().map_or(0, |(number, _)| *number);
    Ok(fields(&types, count))
}

/// As many parameters, with those of their types that are known.
pub(super) fn fields(types: &BTreeMap<usize, Option<DataType>>, count: usize) -> SchemaRef {
    let field = |number: usize| {
        let data_type = types.get(&number).cloned().flatten().unwrap_or(DataType::Utf8);
        Field::new(format!("${number}"), as_drivers_send(data_type), true)
    };
    wire_schema(&Schema::new((1..=count).map(field).collect::<Vec<_>>()))
}

/// The types by number, as far as the statement tells them.
pub(super) fn numbered(plan: &LogicalPlan) -> Result<BTreeMap<usize, Option<DataType>>, QueryError> {
    let types = plan.get_parameter_types().map_err(EngineError::from)?;
    // Most statements have none, and are asked about it each time that they run.
    if types.is_empty() {
        return Ok(BTreeMap::new());
    }
    let used = types_by_use(plan).map_err(EngineError::from)?;
    let mut numbered = BTreeMap::new();
    for (name, data_type) in types {
        let number = placeholder_number(&name).filter(|number| (1..=PARAMETERS_MAX).contains(number));
        let number = number.ok_or_else(|| misnumbered(&name))?;
        numbered.insert(number, data_type.or_else(|| used.get(&name).cloned()));
    }
    Ok(numbered)
}

/// Refuses more parameters than can be numbered, whatever a statement says of them.
pub(super) fn check_count(count: usize) -> Result<(), QueryError> {
    match count > PARAMETERS_MAX {
        true => Err(misnumbered(&format!("${count}"))),
        false => Ok(()),
    }
}

fn misnumbered(name: &str) -> QueryError {
    QueryError::Parameters {
        reason: format!("placeholder {name} is not numbered from 1 to {PARAMETERS_MAX}: write ? or $1"),
    }
}

/// The Flight SQL JDBC driver writes milliseconds into a time or timestamp of whatever unit it was told, so it must be
/// told that unit. Others bind in a unit of their own.
fn as_drivers_send(data_type: DataType) -> DataType {
    match data_type {
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone),
        other => other,
    }
}

/// Functions whose arguments are of one type, which is that of what they answer.
const ALIKE: [&str; 4] = ["coalesce", "nullif", "greatest", "least"];

/// The types that the use of untyped placeholders tells: those to which they are cast at once, which is how tools say what they will
/// send, lists of what is looked for in them (`x = ANY ($1)`), numbers of rows, and those of what they stand in for.
fn types_by_use(plan: &LogicalPlan) -> Result<HashMap<String, DataType>, DataFusionError> {
    let mut types = HashMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for bound in [&limit.skip, &limit.fetch].into_iter().flatten() {
                if let Expr::Placeholder(placeholder) = bound.as_ref() {
                    types.insert(placeholder.id.clone(), DataType::Int64);
                }
            }
        }
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                match part {
                    Expr::Cast(cast) => {
                        if let Expr::Placeholder(placeholder) = cast.expr.as_ref() {
                            types.insert(placeholder.id.clone(), cast.field.data_type().clone());
                        }
                    }
                    Expr::ScalarFunction(call) if call.name() == "array_has" => {
                        if let [Expr::Placeholder(list), item] = call.args.as_slice()
                            && let Some(of) = type_within(node, item)
                        {
                            types.insert(list.id.clone(), DataType::new_list(of, true));
                        }
                    }
                    Expr::ScalarFunction(call) if ALIKE.contains(&call.name()) => {
                        alike(node, &call.args.iter().collect::<Vec<_>>(), &mut types);
                    }
                    Expr::Case(case) => {
                        let branches = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
                        let branches = branches.chain(case.else_expr.as_deref());
                        alike(node, &branches.collect::<Vec<_>>(), &mut types);
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(types)
}

/// Of expressions that are of one type, those that are placeholders are of the type of the others.
fn alike(node: &LogicalPlan, expressions: &[&Expr], types: &mut HashMap<String, DataType>) {
    let placeholders = expressions.iter().filter_map(|expression| match expression {
        Expr::Placeholder(placeholder) => Some(placeholder),
        _ => None,
    });
    let of_others = || {
        let mut others = expressions
            .iter()
            .filter(|expression| !matches!(expression, Expr::Placeholder(_)));
        others.find_map(|other| type_within(node, other))
    };
    for placeholder in placeholders {
        if let Some(of) = of_others() {
            types.entry(placeholder.id.clone()).or_insert(of);
        }
    }
}

/// The type of an expression of a node, if it can be told.
fn type_within(node: &LogicalPlan, expression: &Expr) -> Option<DataType> {
    let of = |input: &&LogicalPlan| expression.get_type(input.schema().as_ref()).ok();
    let found = node.inputs().iter().find_map(of);
    found.filter(|of| *of != DataType::Null)
}

/// Rows of parameters that a query takes, each of which is a part of its plan.
const ROWS_MAX: usize = 256;

/// The plan with the values of `rows` (an Arrow IPC stream) in the places of its parameters. With several rows its rows are those of
/// all of them.
pub(super) fn bind(plan: LogicalPlan, rows: &[u8]) -> Result<LogicalPlan, QueryError> {
    let wanted = numbered(&plan)?.last_key_value().map_or(0, |(number, _)| *number);
    if wanted == 0 {
        return Ok(plan);
    }
    let mut rows = every(rows)?;
    if rows.len() > ROWS_MAX {
        return Err(QueryError::Parameters {
            reason: format!(
                "a query takes {ROWS_MAX} rows of parameters and {} are bound",
                rows.len()
            ),
        });
    }
    if rows.is_empty() {
        rows.push(Vec::new());
    }
    let mut parts = Vec::new();
    for values in rows {
        if values.len() < wanted {
            return Err(QueryError::Parameters {
                reason: format!("the statement has {wanted} parameters and {} are bound", values.len()),
            });
        }
        let named: HashMap<String, ScalarValue> = values
            .into_iter()
            .enumerate()
            .map(|(at, value)| ((at + 1).to_string(), value))
            .collect();
        let bound = plan.clone().with_param_values(ParamValues::from(named));
        parts.push(Arc::new(bound.map_err(EngineError::from)?));
    }
    match parts.as_slice() {
        [one] => Ok(one.as_ref().clone()),
        _ => Ok(LogicalPlan::Union(
            Union::try_new_with_loose_types(parts).map_err(EngineError::from)?,
        )),
    }
}

/// The wire schema of a plan once it is bound: a column that may be null for some values is told so for all, as it was before values were
/// known.
pub(super) fn bound_schema(unbound: &Schema, bound: &LogicalPlan) -> SchemaRef {
    let wire = wire_schema(bound.schema().as_arrow());
    if unbound.fields().len() != wire.fields().len() {
        return wire;
    }
    let fields = wire.fields().iter().zip(unbound.fields());
    let fields = fields.map(|(field, before)| {
        let nullable = field.is_nullable() || before.is_nullable();
        field.as_ref().clone().with_nullable(nullable)
    });
    Schema::new(fields.collect::<Vec<_>>()).into()
}

/// The values of each of `rows` as literals of SQL, for statements that are no plans; one row without values if there are none.
pub(super) fn literals(rows: &[u8]) -> Result<Vec<Vec<String>>, QueryError> {
    let mut written = Vec::new();
    for row in every(rows)? {
        written.push(row.iter().map(literal).collect::<Result<_, _>>()?);
    }
    Ok(if written.is_empty() { vec![Vec::new()] } else { written })
}

fn literal(value: &ScalarValue) -> Result<String, QueryError> {
    if value.is_null() {
        return Ok("NULL".to_owned());
    }
    let text = match value {
        ScalarValue::Binary(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes)) => {
            return Ok(hexadecimal(bytes));
        }
        ScalarValue::FixedSizeBinary(size, Some(bytes)) => {
            return Ok(format!("arrow_cast({}, 'FixedSizeBinary({size})')", hexadecimal(bytes)));
        }
        ScalarValue::List(list) => return array(&list.value(0)),
        ScalarValue::LargeList(list) => return array(&list.value(0)),
        other => other.cast_to(&DataType::Utf8).map_err(EngineError::from)?.to_string(),
    };
    let quoted = format!("'{}'", text.replace('\'', "''"));
    Ok(match value.data_type() {
        DataType::Boolean => text,
        // Behind a minus, two of them would begin a comment.
        of if of.is_integer() && text.starts_with('-') => format!("({text})"),
        of if of.is_integer() => text,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => quoted,
        // As exactly what was sent, whatever the parser makes of numbers and dates.
        of => format!("arrow_cast({quoted}, '{}')", of.to_string().replace('\'', "''")),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("X'{digits}'")
}

/// An array of these elements, each of them as it would be by itself.
fn array(elements: &ArrayRef) -> Result<String, QueryError> {
    let literals = (0..elements.len()).map(|at| {
        let element = ScalarValue::try_from_array(elements, at).map_err(EngineError::from)?;
        literal(&element)
    });
    let literals = literals.collect::<Result<Vec<_>, QueryError>>()?.join(", ");
    let of = DataType::new_list(elements.data_type().clone(), true).to_string();
    Ok(format!(
        "arrow_cast(make_array({literals}), '{}')",
        of.replace('\'', "''")
    ))
}

fn every(rows: &[u8]) -> Result<Vec<Vec<ScalarValue>>, QueryError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let unreadable = |error: ArrowError| QueryError::Parameters {
        reason: format!("their values cannot be read: {error}"),
    };
    let mut found = Vec::new();
    for batch in StreamReader::try_new(rows, None).map_err(unreadable)? {
        let batch = batch.map_err(unreadable)?;
        for at in 0..batch.num_rows() {
            let row = batch
                .columns()
                .iter()
                .map(|column| ScalarValue::try_from_array(column, at));
            found.push(row.collect::<Result<_, _>>().map_err(EngineError::from)?);
        }
    }
    Ok(found)
}
