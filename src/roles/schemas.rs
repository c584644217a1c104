//! Schemas that ingest and models write into, made at the start where some may do less than others: whoever makes a schema has all that
//! comes into it, and what nodes make is nobody's.

use std::collections::BTreeSet;
use std::time::Duration;

use tidewater_core::Namespace;
use tidewater_core::reserved::OPS;
use tidewater_pipelines::{Kind, Project};
use tidewater_table::{Catalog, CatalogFault};

use super::{Parts, catalog_of};

/// How long the catalog may take. What is not made by then is made with the first rows.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where the models of a project keep rows and, with one that follows changes, keys of deleted ones.
pub(super) fn of_models(project: &Project) -> BTreeSet<Namespace> {
    let kept = project
        .models
        .values()
        .filter(|model| !matches!(model.kind, Kind::View));
    let mut schemas: BTreeSet<Namespace> = kept.map(|model| model.name.namespace().clone()).collect();
    if project.models.values().any(|model| matches!(model.kind, Kind::Cdc(_))) {
        schemas.extend(Namespace::single(OPS));
    }
    schemas
}

/// Makes those that are not there. No start fails by it.
pub(super) async fn make(parts: &Parts, schemas: &BTreeSet<Namespace>) {
    let (catalog, stop) = (catalog_of(parts), parts.tasks.token());
    let making = make_missing(catalog.as_ref(), parts.users.required(), schemas);
    match stop.run_until_cancelled(tokio::time::timeout(DEADLINE, making)).await {
        None | Some(Ok(Ok(()))) => {}
        Some(Ok(Err(fault))) => {
            tracing::warn!(%fault, "schemas of topics and models are not made yet: who makes one has what comes into it");
        }
        Some(Err(_)) => {
            tracing::warn!("the catalog does not answer: schemas of topics and models are not made yet");
        }
    }
}

async fn make_missing(
    catalog: &dyn Catalog,
    has_users: bool,
    schemas: &BTreeSet<Namespace>,
) -> Result<(), CatalogFault> {
    if schemas.is_empty() || !(has_users || catalog.has_grants().await?) {
        return Ok(());
    }
    for schema in schemas {
        catalog.create_namespace(schema).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tidewater_core::{SystemClock, SystemRng};
    use tidewater_pipelines::Model;
    use tidewater_table::testing::MemoryCatalog;
    use tidewater_table::{FileStore, StoreOptions};

    use super::*;

    fn named(names: &[&str]) -> BTreeSet<Namespace> {
        names.iter().map(|name| name.parse().expect("a name")).collect()
    }

    // Goal: schemas are there before the first rows where somebody may have fewer rights than others, a second start finds them, and nobody else's
    // catalog has any. Method: without users and grants, with users, with grants; each made two times.
    #[tokio::test]
    async fn schemas_are_made_where_grants_bind() {
        let wanted = named(&["bronze", "ops"]);
        for (has_users, has_grants) in [(false, false), (true, false), (false, true)] {
            let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
            let store = FileStore::new(StoreOptions::default(), clock, rng);
            let catalog = MemoryCatalog::new(store, "memory://lake");
            if has_grants {
                catalog.bind();
            }
            for _ in 0..2 {
                let made = make_missing(&catalog, has_users, &wanted).await;
                made.expect("an answer");
            }
            let found = catalog.list_namespaces().await.expect("a list");
            let expected = match has_users || has_grants {
                true => wanted.clone(),
                false => BTreeSet::new(),
            };
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }

    // Goal: the schemas of models are those in which something is kept. Method: projects of a view, a table, and one that follows changes.
    #[test]
    fn schemas_of_models_are_known() {
        let model = |name: &str, header: &str, query: &str| {
            let text = format!("/*---\n{header}\n---*/\n{query}");
            Model::parse(Path::new("m.sql"), name, &text).expect("a model")
        };
        let of = |models: Vec<Model>| of_models(&Project::of_models("test", models).expect("a project"));
        let view = || model("seen.v", "kind: view", "SELECT id FROM gold.t");
        let table = || model("gold.t", "kind: table", "SELECT id FROM bronze.a");
        let follows = model("silver.a", "kind: cdc\nsource: bronze.a\nkey: id", "");
        assert_eq!(of(vec![view()]), named(&[]));
        assert_eq!(of(vec![view(), table()]), named(&["gold"]));
        assert_eq!(of(vec![table(), follows]), named(&["gold", "silver", "ops"]));
    }
}
