//! Plans as pieces of a key: what is asked, and of which states of which tables.

use std::time::Duration;

use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::logical_plan::{
    Aggregate, Distinct, DistinctOn, EmptyRelation, Filter, Join, Limit, Projection, RecursiveQuery, Repartition, Sort,
    SubqueryAlias, TableScan, Union, Unnest, Values, Window,
};
use datafusion::logical_expr::{LogicalPlan, Partitioning};
use tidewater_core::TableName;
use tidewater_engine::{IcebergTable, TableState};

use super::Bypass;
use super::expression::{all, expression, sorts, subquery};
use super::value::{column, columns, reference, schema as fields};
use super::writer::Writer;

/// One plan.
pub(super) fn plan(writer: &mut Writer, of: &LogicalPlan) -> Result<(), Bypass> {
    writer.inside(|writer| write(writer, of))
}

fn write(writer: &mut Writer, of: &LogicalPlan) -> Result<(), Bypass> {
    match of {
        LogicalPlan::Projection(Projection {
            expr, input, schema, ..
        }) => {
            writer.tag("projection");
            all(writer, expr)?;
            columns(writer, schema)?;
            plan(writer, input)
        }
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            writer.tag("filter");
            expression(writer, predicate)?;
            plan(writer, input)
        }
        LogicalPlan::Window(Window {
            input,
            window_expr,
            schema,
        }) => {
            writer.tag("window");
            all(writer, window_expr)?;
            columns(writer, schema)?;
            plan(writer, input)
        }
        LogicalPlan::Aggregate(Aggregate {
            input,
            group_expr,
            aggr_expr,
            schema,
            ..
        }) => {
            writer.tag("aggregate");
            all(writer, group_expr)?;
            all(writer, aggr_expr)?;
            columns(writer, schema)?;
            plan(writer, input)
        }
        LogicalPlan::Sort(Sort { expr, input, fetch }) => {
            writer.tag("sort");
            sorts(writer, expr)?;
            writer.debug(fetch);
            plan(writer, input)
        }
        LogicalPlan::Join(of) => join(writer, of),
        LogicalPlan::Repartition(Repartition {
            input,
            partitioning_scheme,
        }) => {
            writer.tag("repartition");
            match partitioning_scheme {
                Partitioning::RoundRobinBatch(count) => writer.count(*count),
                Partitioning::Hash(by, count) => {
                    writer.count(*count);
                    all(writer, by)?;
                }
                Partitioning::DistributeBy(by) => all(writer, by)?,
                Partitioning::Range(_) => return Err(unknown(of)),
            }
            plan(writer, input)
        }
        LogicalPlan::Union(Union { inputs, schema }) => {
            writer.tag("union");
            columns(writer, schema)?;
            writer.list(inputs, |writer, input| plan(writer, input))
        }
        LogicalPlan::TableScan(of) => scan(writer, of),
        LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row,
            schema,
        }) => {
            writer.tag("empty");
            writer.flag(*produce_one_row);
            columns(writer, schema)
        }
        LogicalPlan::Subquery(of) => {
            writer.tag("subquery");
            subquery(writer, of)
        }
        LogicalPlan::SubqueryAlias(SubqueryAlias {
            input, alias, schema, ..
        }) => {
            writer.tag("subquery alias");
            reference(writer, alias);
            columns(writer, schema)?;
            match input.as_ref() {
                LogicalPlan::TableScan(of) if of.filters.is_empty() => writer.inside(|writer| renamed(writer, of)),
                input => plan(writer, input),
            }
        }
        LogicalPlan::Limit(Limit { skip, fetch, input }) => {
            writer.tag("limit");
            writer.maybe(skip.as_deref(), expression)?;
            writer.maybe(fetch.as_deref(), expression)?;
            plan(writer, input)
        }
        LogicalPlan::Values(Values { schema, values }) => {
            writer.tag("values");
            columns(writer, schema)?;
            writer.list(values, |writer, row| all(writer, row))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            writer.tag("distinct");
            plan(writer, input)
        }
        LogicalPlan::Distinct(Distinct::On(DistinctOn {
            on_expr,
            select_expr,
            sort_expr,
            input,
            schema,
        })) => {
            writer.tag("distinct on");
            all(writer, on_expr)?;
            all(writer, select_expr)?;
            writer.maybe(sort_expr.as_deref(), sorts)?;
            columns(writer, schema)?;
            plan(writer, input)
        }
        LogicalPlan::Unnest(of) => unnest(writer, of),
        LogicalPlan::RecursiveQuery(RecursiveQuery {
            name,
            static_term,
            recursive_term,
            is_distinct,
            schema,
        }) => {
            writer.tag("recursive");
            writer.text(name);
            writer.flag(*is_distinct);
            columns(writer, schema)?;
            plan(writer, static_term)?;
            plan(writer, recursive_term)
        }
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Err(Bypass::Explanation),
        LogicalPlan::Statement(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => Err(unknown(of)),
    }
}

fn unknown(of: &LogicalPlan) -> Bypass {
    Bypass::Unknown {
        what: of
            .display()
            .to_string()
            .split(':')
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

fn join(writer: &mut Writer, of: &Join) -> Result<(), Bypass> {
    let Join {
        left,
        right,
        on,
        filter,
        join_type,
        join_constraint,
        schema,
        null_equality,
        null_aware,
    } = of;
    writer.tag("join");
    writer.debug(join_type);
    writer.debug(join_constraint);
    writer.debug(null_equality);
    writer.flag(*null_aware);
    writer.list(on, |writer, (left, right)| {
        expression(writer, left)?;
        expression(writer, right)
    })?;
    writer.maybe(filter.as_ref(), expression)?;
    columns(writer, schema)?;
    plan(writer, left)?;
    plan(writer, right)
}

fn unnest(writer: &mut Writer, of: &Unnest) -> Result<(), Bypass> {
    let Unnest {
        input,
        exec_columns,
        list_type_columns,
        struct_type_columns,
        dependency_indices,
        schema,
        options,
    } = of;
    writer.tag("unnest");
    writer.list(exec_columns, column)?;
    writer.list(list_type_columns, |writer, (index, list)| {
        writer.count(*index);
        writer.count(list.depth);
        column(writer, &list.output_column)
    })?;
    writer.debug(struct_type_columns);
    writer.debug(dependency_indices);
    writer.debug(&options.null_handling);
    writer.list(&options.recursions, |writer, recursion| {
        writer.count(recursion.depth);
        column(writer, &recursion.input_column)?;
        column(writer, &recursion.output_column)
    })?;
    columns(writer, schema)?;
    plan(writer, input)
}

/// A table is told by its state, not by its name: one that was dropped and made again is another one, and one that was renamed is
/// the same.
fn scan(writer: &mut Writer, of: &TableScan) -> Result<(), Bypass> {
    writer.tag("scan");
    // Columns are called by it further up.
    reference(writer, &of.table_name);
    columns(writer, &of.projected_schema)?;
    read(writer, of)
}

/// A table under an alias. Only by that are its columns called further up: how the statement names the table makes no difference.
fn renamed(writer: &mut Writer, of: &TableScan) -> Result<(), Bypass> {
    writer.tag("renamed scan");
    fields(writer, of.projected_schema.as_arrow());
    read(writer, of)
}

fn read(writer: &mut Writer, of: &TableScan) -> Result<(), Bypass> {
    // Wishes for statistics change no rows. Names and columns were written before.
    let TableScan {
        table_name,
        source,
        projection,
        projected_schema: _,
        filters,
        fetch,
        statistics_requests: _,
    } = of;
    let unfixed = || Bypass::Table {
        name: table_name.to_string(),
    };
    writer.debug(projection);
    all(writer, filters)?;
    writer.debug(fetch);
    let provider = source_as_provider(source).map_err(|_| unfixed())?;
    if let Some(view) = provider.get_logical_plan() {
        writer.tag("view");
        return plan(writer, &view);
    }
    if let Some(work) = provider.downcast_ref::<CteWorkTable>() {
        writer.tag("recursion");
        writer.text(work.name());
        return Ok(());
    }
    let table = provider.downcast_ref::<IcebergTable>().ok_or_else(unfixed)?;
    let state = table.state().ok_or_else(unfixed)?;
    writer.tag("state");
    let bears = table.max_staleness().map(|allowed| (allowed, &table.table().name));
    table_state(writer, &state, bears);
    Ok(())
}

/// A table that bears older rows is told by its name too: without its snapshot it would not be told from another one of its uuid, as there is
/// where one table was registered under two names that went apart since.
fn table_state(writer: &mut Writer, state: &TableState, bears: Option<(Duration, &TableName)>) {
    let TableState {
        table,
        snapshot_id,
        manifest_list,
        schema_id,
        bound,
    } = state;
    writer.piece(table.as_bytes());
    writer.number(i64::from(*schema_id));
    writer.flag(*bound);
    writer.flag(bears.is_some());
    let names = |writer: &mut Writer| {
        writer.debug(snapshot_id);
        writer.debug(manifest_list);
    };
    match bears {
        Some((allowed, name)) => {
            writer.text(&name.to_string());
            writer.borne(state, allowed, names);
        }
        None => writer.snapshot(names),
    }
}
