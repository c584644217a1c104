use super::*;
use crate::testing::{model, table_name};

fn project(models: &[(&str, &str)]) -> Result<Project> {
    let models = models
        .iter()
        .map(|(name, sql)| model(name, &format!("/*---\nkind: table\n---*/ {sql}")))
        .collect();
    Project::of_models("test", models)
}

// Goal: each model stands after those it reads. Method: models named against their order.
#[test]
fn order_follows_reads() {
    let project = project(&[
        ("gold.a", "SELECT * FROM gold.b JOIN silver.c ON true"),
        ("gold.b", "SELECT * FROM silver.c"),
        ("silver.c", "SELECT * FROM bronze.x"),
    ])
    .expect("no cycle");
    let order: Vec<String> = project.graph.order().iter().map(ToString::to_string).collect();
    assert_eq!(order, ["silver.c", "gold.b", "gold.a"]);
    assert_eq!(project.graph.downstream(&table_name("silver.c")).len(), 2);
}

// Goal: a circle is refused and shown. Method: three models in a circle, one that reads itself.
#[test]
fn cycles_are_refused() {
    let circle = project(&[
        ("gold.a", "SELECT * FROM gold.b"),
        ("gold.b", "SELECT * FROM gold.c"),
        ("gold.c", "SELECT * FROM gold.a"),
    ]);
    assert_eq!(
        circle.expect_err("a cycle").to_string(),
        "models form a cycle: gold.a -> gold.b -> gold.c -> gold.a"
    );
    assert!(project(&[("gold.a", "SELECT * FROM gold.a")]).is_err());
}

// Goal: a long chain does not exhaust the stack. Method: some thousand models in a row.
#[test]
fn long_chains_are_fine() {
    let models: Vec<(String, String)> = (0..3_000)
        .map(|at| (format!("gold.m{at}"), format!("SELECT * FROM gold.m{}", at + 1)))
        .collect();
    let models: Vec<(&str, &str)> = models.iter().map(|(name, sql)| (name.as_str(), sql.as_str())).collect();
    assert_eq!(project(&models).expect("no cycle").graph.order().len(), 3_000);
}

// Goal: a table that does not exist is an error that helps. Method: a misspelt input.
#[test]
fn unknown_tables_are_refused() {
    let project = project(&[("gold.a", "SELECT * FROM silver.users")]).expect("no cycle");
    let existing = BTreeSet::from([table_name("silver.user")]);
    let error = project.check_inputs(&existing).expect_err("unknown");
    let PipelineError::UnknownTable { nearest, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(nearest.as_deref(), Some("silver.user"));
    assert!(
        project
            .check_inputs(&BTreeSet::from([table_name("silver.users")]))
            .is_ok()
    );
}
