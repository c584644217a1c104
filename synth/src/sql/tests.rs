use super::*;

fn small() -> WorldOptions {
    WorldOptions {
        patients: 10,
        history_days: 20,
        ..WorldOptions::default()
    }
}

// Goal: the workload is the same world as the events. Method: as many steps of a world that was read by connectors first.
#[test]
fn workload_is_the_same_world() {
    let mut workload = SqlWorkload::new(small(), Layout::SchemaPerService).unwrap();
    let steps = workload.by_ref().take(500).count();
    let mut world = World::new(small()).unwrap();
    world.snapshot();
    let mut transactions = 0;
    while transactions < steps {
        transactions += world.step().len();
    }
    for (id, _) in schema::tables() {
        assert!(world.rows(*id).eq(workload.world().rows(*id)));
    }
}

// Goal: statements name what they change and nothing else. Method: texts of the first update, insert and delete.
#[test]
fn statements_are_exact() {
    let workload = SqlWorkload::new(small(), Layout::SchemaPerService).unwrap();
    let statements: Vec<_> = workload.take(2_000).flat_map(|step| step.statements).collect();
    let login = statements
        .iter()
        .find(|text| text.starts_with("UPDATE \"user\".\"users\""))
        .unwrap();
    assert!(
        login.contains("SET \"") && login.contains(" WHERE \"user_id\" = '"),
        "{login}"
    );
    assert!(!login.contains("first_name"));
    assert!(
        statements
            .iter()
            .any(|text| text.starts_with("DELETE FROM \"consent\".\"consents\" WHERE \"patient_id\" = '"))
    );
    assert!(
        statements
            .iter()
            .any(|text| text.starts_with("INSERT INTO \"medical_records\".\"vitals\" (\"vital_id\", "))
    );
}

// Goal: files are complete for every layout. Method: write them and look for what each must hold.
#[test]
fn files_are_written() {
    for (layout, tables) in [
        (Layout::SchemaPerService, "CREATE SCHEMA \"medical_records\""),
        (Layout::Public, "CREATE TABLE \"public\".\"vitals\""),
        (Layout::DatabasePerService, "CREATE DATABASE hospital_medical_records"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        SqlWorkload::new(small(), layout)
            .unwrap()
            .write(folder.path(), 300)
            .unwrap();
        assert!(
            fs::read_to_string(folder.path().join("tables.sql"))
                .unwrap()
                .contains(tables)
        );
        if layout == Layout::DatabasePerService {
            assert!(folder.path().join("hospital_user/changes.sql").try_exists().unwrap());
        } else {
            assert!(
                fs::read_to_string(folder.path().join("changes.sql"))
                    .unwrap()
                    .matches("COMMIT;")
                    .count()
                    > 100
            );
        }
    }
}
