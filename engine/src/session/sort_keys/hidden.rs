//! Keys that become columns of a query, and are hidden from what reads it.

use std::collections::BTreeSet;
use std::mem::replace;

use datafusion::common::{Result, plan_err};
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Distinct, ExceptSelectItem, Expr, GroupByExpr, Ident, Query, Select, SelectFlavor, SelectItem, SetExpr, TableAlias,
    TableFactor, TableWithJoins, WildcardAdditionalOptions,
};

use super::KEY;
use super::names::{clashes, names};
use super::queries::sorted;

/// Makes columns of the keys with names that are read, and tells what they are called.
pub(super) fn by_columns(query: &mut Query, read: &BTreeSet<String>) -> Result<Vec<Ident>> {
    let columns = sorted(query, |select, shown, keys| {
        let distinct = matches!(select.distinct, Some(Distinct::Distinct));
        // They would be grouped by the keys too.
        let of_all = matches!(select.group_by, GroupByExpr::All(_));
        let mut columns = Vec::new();
        for (at, key) in keys.into_iter().enumerate() {
            let mut names = names(key);
            names.retain(|name| shown.contains(name));
            match (names.intersection(read).next(), names.difference(read).next()) {
                (Some(_), Some(other)) => {
                    return plan_err!(
                        "No field named {other}. An expression in ORDER BY that names columns of tables names none of the result"
                    );
                }
                (Some(_), None) if distinct => {
                    return plan_err!("for SELECT DISTINCT, ORDER BY expressions must appear in select list");
                }
                (Some(name), None) if of_all => {
                    return plan_err!(
                        "{name} in ORDER BY is a column that GROUP BY ALL has not: name what groups are by"
                    );
                }
                (Some(_), None) => {}
                // The planner takes no column with its table beside one of the result that is called so.
                (None, None) if !(distinct || of_all) && clashes(key, select) => {}
                (None, _) => continue,
            }
            let column = Ident::with_quote('"', format!("{KEY}{at}"));
            select.projection.push(SelectItem::ExprWithAlias {
                expr: replace(key, Expr::Identifier(column.clone())),
                alias: column.clone(),
            });
            columns.push(column);
        }
        Ok(columns)
    });
    columns.unwrap_or_else(|| Ok(Vec::new()))
}

/// The query within another one that has none of these columns.
pub(super) fn without(query: &mut Query, columns: Vec<Ident>) {
    let mut columns = columns.into_iter();
    let Some(first_element) = columns.next() else { return };
    let all = WildcardAdditionalOptions {
        opt_except: Some(ExceptSelectItem {
            first_element,
            additional_elements: columns.collect(),
        }),
        ..WildcardAdditionalOptions::default()
    };
    let table = TableAlias {
        explicit: true,
        name: Ident::with_quote('"', KEY),
        columns: Vec::new(),
        at: None,
    };
    *query = selected(all, query.clone(), table);
}

/// The query for all columns of this one, which is called so in it.
pub(in crate::session) fn all_of(rows: Query, table: TableAlias) -> Query {
    selected(WildcardAdditionalOptions::default(), rows, table)
}

fn selected(columns: WildcardAdditionalOptions, rows: Query, table: TableAlias) -> Query {
    let rows = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(rows),
        alias: Some(table),
        sample: None,
    };
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![SelectItem::Wildcard(columns)],
        exclude: None,
        into: None,
        from: vec![TableWithJoins {
            relation: rows,
            joins: Vec::new(),
        }],
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    query_of(SetExpr::Select(Box::new(select)))
}

/// A query that is nothing but this.
pub(in crate::session) fn query_of(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}
