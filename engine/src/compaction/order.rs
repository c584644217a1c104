//! The order that rows are to have in the files they are written to.

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, SortExpr};
use datafusion::sql::sqlparser::ast::{Expr as Parsed, FunctionArg, FunctionArgExpr, FunctionArguments, OrderByExpr};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use tidewater_table::iceberg::spec::TableMetadata;

use super::zorder::zorder;
use crate::error::{EngineError, Result};
use crate::sql::transform;
use crate::write::{sort_value, table_order};

/// An order of rows within files.
#[derive(Debug, Clone, PartialEq)]
pub struct RowOrder(Vec<SortExpr>);

impl RowOrder {
    /// As text has it: columns, fields within them and transforms, each with `ASC` or `DESC` and `NULLS FIRST` or `LAST`, or
    /// `zorder(a, b)`. Nulls are the least values unless it says otherwise, as in Spark.
    ///
    /// # Errors
    /// [`EngineError::Statement`] for anything else, and for columns that the table does not have.
    pub fn parse(text: &str, table: &TableMetadata) -> Result<Self> {
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(text);
        let parsed = parsed.and_then(|mut parser| {
            let order = parser.parse_comma_separated(Parser::parse_order_by_expr)?;
            parser.expect_token(&datafusion::sql::sqlparser::tokenizer::Token::EOF)?;
            Ok(order)
        });
        let order = parsed.map_err(|error| refused(text, &error.to_string()))?;
        let sorts = order.iter().map(|one| sort(one, text, table));
        Ok(Self(sorts.collect::<Result<_>>()?))
    }

    /// The order that the table itself asks for; `None` if it asks for none.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] for an order by transforms that have no values or are not known.
    pub fn of_table(table: &TableMetadata) -> Result<Option<Self>> {
        let sorts = table_order(table);
        if let Some(field) = table.default_sort_order().fields.get(sorts.len()) {
            return Err(EngineError::Unsupported {
                what: format!("sorting rows by {} of a column", field.transform),
            });
        }
        Ok((!sorts.is_empty()).then_some(Self(sorts)))
    }

    /// Whether it is the table's own.
    pub(super) fn is_of(&self, table: &TableMetadata) -> bool {
        Self::of_table(table).is_ok_and(|own| own.as_ref() == Some(self))
    }

    pub(super) fn sorts(&self) -> Vec<SortExpr> {
        self.0.clone()
    }
}

fn sort(order: &OrderByExpr, text: &str, table: &TableMetadata) -> Result<SortExpr> {
    let ascending = order.options.asc.unwrap_or(true);
    let nulls_first = order.options.nulls_first.unwrap_or(ascending);
    let by = match &order.expr {
        Parsed::Function(call) if call.name.to_string().eq_ignore_ascii_case("zorder") => {
            let FunctionArguments::List(list) = &call.args else {
                return Err(refused(text, "zorder needs columns"));
            };
            let columns = list.args.iter().map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => column(expr, text, table),
                _ => Err(refused(text, "zorder takes columns only")),
            });
            zorder().call(columns.collect::<Result<_>>()?)
        }
        expr @ Parsed::Identifier(_) => column(expr, text, table)?,
        expr => within(expr, text, table)?,
    };
    Ok(by.sort(ascending, nulls_first))
}

/// A field within a column, or a transform, as `WRITE ORDERED BY` has them.
fn within(expr: &Parsed, text: &str, table: &TableMetadata) -> Result<Expr> {
    let Some((path, by)) = transform(expr) else {
        return Err(refused(text, &format!("{expr} is no column, nor a transform of one")));
    };
    let schema = table.current_schema();
    let Some(field) = schema.field_by_name(&path) else {
        return Err(refused(text, &format!("the table has no column {path}")));
    };
    let value = match by.result_type(&field.field_type) {
        Ok(_) => sort_value(schema, field.id, by),
        Err(_) => None,
    };
    value.ok_or_else(|| refused(text, &format!("{path} has no values of {by}")))
}

fn column(expr: &Parsed, text: &str, table: &TableMetadata) -> Result<Expr> {
    let Parsed::Identifier(name) = expr else {
        return Err(refused(text, &format!("{expr} is no column")));
    };
    let fields = table.current_schema().as_struct().fields().iter();
    let mut found = fields.filter(|field| match name.quote_style {
        Some(_) => field.name == name.value,
        None => field.name.eq_ignore_ascii_case(&name.value),
    });
    match found.next() {
        Some(field) if field.field_type.is_primitive() => Ok(column_of(&field.name)),
        Some(_) => Err(refused(text, &format!("{name} is nested"))),
        None => Err(refused(text, &format!("the table has no column {name}"))),
    }
}

fn column_of(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn refused(text: &str, reason: &str) -> EngineError {
    EngineError::statement(format!(
        "{text:?} is no order of rows: {reason}; give columns, as in 'id DESC NULLS LAST, name', or zorder(id, name)"
    ))
}
