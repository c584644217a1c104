use std::fs;

use tidewater_core::Coded;

use super::*;

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
}

// Goal: a folder becomes a project: names by path, variables, sources. Method: a small one on disk.
#[test]
fn a_project_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    write(
        folder.path(),
        &[
            (
                "lakehouse.yml",
                "name: clinic\nvars: {limit: 5, label: high}\ndefaults: {target_lag: 2 minutes}\n",
            ),
            (
                "sources/a.yml",
                "service: user\nsources:\n  - {name: users, key: user_id}\n  - {name: bronze.visits, key: [id], tags: [phi]}\n",
            ),
            (
                "models/silver/users.sql",
                "/*---\nkind: cdc\nsource: bronze.users\nkey: user_id\n---*/",
            ),
            (
                "models/gold/deep/top.sql",
                "/*---\nkind: view\nname: gold.top\n---*/ SELECT '${label}' AS l, '$${x}' AS d FROM silver.users LIMIT ${limit}",
            ),
            ("models/.hidden.sql", "not a model"),
        ],
    );
    let project = Project::load(folder.path()).expect("a project");
    assert_eq!(project.name, "clinic");
    assert_eq!(project.target_lag_default, Duration::from_secs(120));
    assert_eq!(project.sources.len(), 2);
    let names: Vec<String> = project.models.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["gold.top", "silver.users"]);
    let top = project.models.values().next().expect("a model").query.to_string();
    assert_eq!(top, "SELECT 'high' AS l, '${x}' AS d FROM silver.users LIMIT 5");
}

// Goal: what a project was loaded from is compared with what is there now. Method: nothing changed; then a file that changed, one that is
// new, one that cannot be read and one that is gone; then as they were.
#[test]
fn changed_files_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let view = "/*---\nkind: view\n---*/ SELECT 1 AS one";
    let files = [
        ("lakehouse.yml", "name: x\n"),
        ("sources/a.yml", "sources:\n  - {name: users, key: id}\n"),
        ("models/gold/a.sql", view),
        ("models/gold/b.sql", view),
    ];
    write(folder.path(), &files);
    let project = Project::load(folder.path()).expect("a project");
    assert!(project.changed_files().is_empty());
    let changed = || -> Vec<String> {
        let paths = project.changed_files();
        paths.iter().map(|path| path.display().to_string()).collect()
    };
    write(
        folder.path(),
        &[("models/gold/a.sql", "no model"), ("models/gold/c.sql", view)],
    );
    fs::write(folder.path().join("sources/a.yml"), [0xff]).expect("a file");
    fs::remove_file(folder.path().join("models/gold/b.sql")).expect("it was there");
    let all = [
        "models/gold/a.sql",
        "models/gold/b.sql",
        "models/gold/c.sql",
        "sources/a.yml",
    ];
    assert_eq!(changed(), all);
    fs::remove_file(folder.path().join("models/gold/c.sql")).expect("it was there");
    write(folder.path(), &files);
    assert!(changed().is_empty());
    let elsewhere = Project::of_models("x", Vec::new()).expect("a project");
    assert!(elsewhere.changed_files().is_empty());
}

// Goal: what is wrong with a project is said with its place. Method: one mistake each.
#[test]
fn mistakes() {
    let model = ("models/gold/a.sql", "/*---\nkind: view\n---*/ SELECT 1 AS one");
    let yml = ("lakehouse.yml", "name: x\n");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cdc = "/*---\nkind: cdc\nsource: bronze.a\nkey: id\n---*/";
    let cases: [Case; 8] = [
        (&[model], "PIP-0001", "lakehouse.yml"),
        (
            &[("lakehouse.yml", "nam: x\n")],
            "PIP-0003",
            "lakehouse.yml:1: unknown key nam",
        ),
        (
            &[("lakehouse.yml", "name: x\nvars: {a: [1]}\n")],
            "PIP-0004",
            "vars.a must be text",
        ),
        (
            &[yml, ("models/gold/a.sql", "/*---\nkind: view\n---*/\nSELECT ${lim}")],
            "PIP-0007",
            "a.sql:4: variable lim",
        ),
        (
            &[
                yml,
                model,
                ("models/gold/b.sql", "/*---\nkind: view\nname: gold.a\n---*/ SELECT 1"),
            ],
            "PIP-0010",
            "declared twice",
        ),
        (
            &[yml, ("models/a/b__c.sql", cdc), ("models/a__b/c.sql", cdc)],
            "PIP-0027",
            "c.sql: deleted keys of model a__b.c would go into ops.tombstones__a__b__c, which is of model a.b__c",
        ),
        (
            &[
                yml,
                ("models/a/b.sql", cdc),
                (
                    "models/ops/tombstones__a__b.sql",
                    "/*---\nkind: view\n---*/ SELECT 1 AS one",
                ),
            ],
            "PIP-0027",
            "which is of model ops.tombstones__a__b",
        ),
        (
            &[yml, ("sources/a.yml", "sources:\n  - {name: users, pkey: id}\n")],
            "PIP-0003",
            "a.yml:2: unknown key pkey",
        ),
    ];
    for (files, code, says) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), files);
        let error = Project::load(folder.path()).expect_err(says);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

// Goal: the example project stays loadable, its inputs all declared. Method: load it as it lies in the repository.
#[test]
fn the_hospital_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hospital");
    let project = Project::load(folder).expect("the hospital");
    project
        .check_inputs(&std::collections::BTreeSet::new())
        .expect("known inputs");
    assert!(project.models.len() >= 27, "{}", project.models.len());
}
