//! What there is to query, as it is listed.

use async_trait::async_trait;

use super::*;

/// One view, `gold.evens`, over `gold.numbers`.
#[derive(Debug)]
struct OneView;

#[async_trait]
impl SessionSource for OneView {
    async fn options(&self, _: &str, client: SessionOptions) -> SessionOptions {
        client
    }

    async fn view_names(&self) -> Vec<TableName> {
        vec!["views.evens".parse().expect("a name")]
    }

    async fn views(&self) -> Vec<(TableName, SchemaRef)> {
        let columns = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
        let names = self.view_names().await;
        names
            .into_iter()
            .map(|name| (name, Arc::new(columns.clone())))
            .collect()
    }
}

// Goal: views are listed as views, with their columns and schemas. Method: one beside a table.
#[tokio::test]
async fn views_are_listed() {
    let lake = Lake::over(QueryOptions::default(), SystemClock::shared(), Arc::new(OneView)).await;
    let user = Principal::local();
    assert_eq!(lake.service.schemas(&user).await.expect("schemas"), ["gold", "views"]);
    let tables = lake.service.tables(&user).await.expect("tables");
    let found: Vec<(&str, TableKind)> = tables.iter().map(|t| (t.name.as_str(), t.kind)).collect();
    assert_eq!(found, [("numbers", TableKind::Table), ("evens", TableKind::View)]);
    let named = lake.service.tables_named(&user, Some("views"), "evens").await;
    let named = named.expect("a view");
    assert_eq!(named[0].columns.field(0).name(), "id");
}

// Goal: what there is to query is listed by schema and name. Method: one table, asked for in each way.
#[tokio::test]
async fn tables_are_listed() {
    let lake = Lake::new().await;
    let user = Principal::local();
    assert_eq!(lake.service.schemas(&user).await.expect("schemas"), ["gold"]);
    let tables = lake.service.tables(&user).await.expect("tables");
    let found: Vec<(&str, &str, usize)> = tables
        .iter()
        .map(|t| (t.schema.as_str(), t.name.as_str(), t.columns.fields().len()))
        .collect();
    assert_eq!(found, [("gold", "numbers", 3)]);
    for (schema, name, count) in [
        (None, "numbers", 1),
        (Some("gold"), "numbers", 1),
        (Some("silver"), "numbers", 0),
        (None, "no", 0),
    ] {
        let named = lake.service.tables_named(&user, schema, name).await.expect("tables");
        assert_eq!(named.len(), count, "{schema:?}.{name}");
    }
}
