//! What commands take, and what listings, errors and parameters tell.

use super::super::makers::governed;
use super::*;

// Goal: a command takes the privileges for what it changes and SELECT for what it reads. Method: each kind of command with one privilege
// less than it takes, then with all.
#[tokio::test]
async fn commands_take_privileges() {
    use Privilege::{Delete, Insert, Select, Update};
    for (sql, needs) in [
        ("INSERT INTO numbers VALUES (11, 'x', now())", &[Insert][..]),
        ("INSERT INTO numbers SELECT * FROM numbers", &[Insert, Select]),
        ("DELETE FROM numbers", &[Delete]),
        ("TRUNCATE TABLE numbers", &[Delete]),
        ("DELETE FROM numbers WHERE id = 3", &[Delete, Select]),
        ("UPDATE numbers SET name = 'x' WHERE id = 3", &[Update, Select]),
        (
            "INSERT OVERWRITE numbers SELECT id, name, at FROM numbers",
            &[Insert, Delete, Select],
        ),
    ] {
        for missing in needs {
            let mut has: Vec<Privilege> = needs.iter().copied().filter(|one| one != missing).collect();
            has.push(Privilege::Usage);
            let (_lake, service) = with_grants(&has, &[]).await;
            let refused = service.change(&ana(), &Statement::new(sql)).await.expect_err(sql);
            assert_eq!(
                refused.code(),
                "SEC-0008",
                "{sql} without {missing}: {}",
                refused.chain()
            );
        }
        let (_lake, service) = with_grants(needs, &[]).await;
        let changed = service.change(&ana(), &Statement::new(sql)).await;
        assert!(
            changed
                .unwrap_or_else(|error| panic!("{sql}: {}", error.chain()))
                .is_some(),
            "{sql}"
        );
    }
}

// Goal: rows on a branch are the table's: whoever may not write the table writes none of its branches, and who may not know of it hears
// of neither. Method: each way to name a branch, with the privilege, without it and with nothing.
#[tokio::test]
async fn branches_take_the_privileges_of_their_table() {
    use Privilege::{Delete, Insert, Select, Update, Usage};
    let (_lake, reader) = with_grants(&[Usage, Select], &[]).await;
    let (_other, stranger) = with_grants(&[], &[]).await;
    let (_third, writer) = with_grants(&[Usage, Select, Insert, Update, Delete], &[]).await;
    for name in [
        "numbers.branch_audit",
        "gold.numbers.branch_audit",
        "lake.gold.numbers.branch_audit",
        "gold.\"numbers@audit\"",
        "numbers FOR VERSION AS OF 'audit'",
    ] {
        for sql in [
            format!("INSERT INTO {name} VALUES (11, 'x', now())"),
            format!("UPDATE {name} SET name = 'x' WHERE id = 3"),
            format!("DELETE FROM {name} WHERE id = 3"),
            format!("TRUNCATE TABLE {name}"),
            format!("MERGE INTO {name} AS t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED THEN DELETE"),
        ] {
            for (service, code) in [(&reader, "SEC-0008"), (&stranger, "ENG-0001"), (&writer, "ENG-0030")] {
                let refused = service.change(&ana(), &Statement::new(&sql)).await.expect_err(&sql);
                assert_eq!(refused.code(), code, "{sql}: {}", refused.chain());
            }
        }
    }
}

// Goal: listings show what one may know of. Method: tables, schemas and columns for a user with a column, and for one with nothing.
#[tokio::test]
async fn listings_show_what_is_granted() {
    let (_lake, service) = with_grants(&[], &[1]).await;
    let tables = service.tables(&ana()).await.expect("a listing");
    let columns: Vec<&str> = tables
        .iter()
        .flat_map(|table| table.columns.fields())
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(columns, ["id"]);
    let relations = service.relations(&ana()).await.expect("relations");
    assert_eq!(relations.relations.len(), 1);
    assert_eq!(relations.relations[0].columns.len(), 1);
    let sql = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'gold'";
    let within = service.within(Some("information_schema"));
    for (service, sql, rows) in [
        (&service, sql, vec!["id"]),
        (
            &service,
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'gold'",
            vec!["numbers"],
        ),
        (
            &within,
            "SELECT column_name FROM columns WHERE table_schema = 'gold'",
            vec!["id"],
        ),
    ] {
        let results = service
            .run(&ana(), &Statement::new(sql))
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        let batches: Vec<RecordBatch> = results.batches.try_collect().await.expect("rows");
        let text = pretty_format_batches(&batches).expect("printable rows").to_string();
        assert_eq!(cells(&text), rows, "{sql}");
    }
    let (_lake, service) = with_grants(&[], &[]).await;
    assert!(service.tables(&ana()).await.expect("a listing").is_empty());
    assert!(service.schemas(&ana()).await.expect("schemas").is_empty());
    assert!(service.relations(&ana()).await.expect("relations").schemas.is_empty());
}

// Goal: an error does not name columns to somebody who may not know of them. Method: queries and a change of a column that is not there, and a
// query whose `*` has one that is not grouped, by a user under grants, and the queries by one whom no grant binds, who is told.
#[tokio::test]
async fn errors_name_no_columns() {
    let (lake, service) = with_grants(&[Privilege::Usage, Privilege::Delete], &[1]).await;
    let hidden = |told: &str| !told.contains("Valid fields") && !told.contains("Did you mean");
    for sql in [
        "SELECT nam FROM numbers",
        "SELECT id FROM gold.numbers n WHERE n.nam = 'n1'",
    ] {
        let told = service.prepare(&ana(), sql).await.expect_err(sql).chain();
        assert!(told.contains("nam") && hidden(&told), "{sql}: {told}");
        let whole = lake.prepare(sql).await.expect_err(sql).chain();
        assert!(!hidden(&whole), "{sql}: {whole}");
    }
    let sql = "SELECT * FROM numbers GROUP BY id";
    let column = |told: &str| told.contains("numbers.name");
    let told = service.prepare(&ana(), sql).await.expect_err(sql).chain();
    let whole = lake.prepare(sql).await.expect_err(sql).chain();
    assert!(!column(&told) && column(&whole), "{told}\n{whole}");
    let sql = "DELETE FROM numbers WHERE nam = 'n1'";
    let refused = service.change(&ana(), &Statement::new(sql)).await.expect_err(sql);
    assert!(hidden(&refused.chain()), "{}", refused.chain());
}

// Goal: what parameters are described as tells of no column that may not be read. Method: a change that compares one with such a column,
// by who may read another column only and by who may read them all.
#[tokio::test]
async fn parameters_tell_of_no_column() {
    let sql = "INSERT INTO gold.numbers (id) SELECT 1 FROM gold.numbers WHERE at = $1";
    let told = async |privileges: &[Privilege], columns: &[i32]| {
        let (_lake, service) = with_grants(privileges, columns).await;
        let prepared = service.prepare(&ana(), sql).await.expect("parameters");
        prepared.parameters.field(0).data_type().clone()
    };
    assert_eq!(told(&[], &[1]).await, DataType::Utf8);
    assert_eq!(
        told(&[Privilege::Select, Privilege::Insert], &[]).await,
        DataType::Timestamp(TimeUnit::Millisecond, None)
    );
}

// Goal: what a view says is listed to who may read it, and to others that it is there. Method: the views that `information_schema` has for a
// user with each of two privileges on the schema.
#[tokio::test]
async fn texts_of_views_are_listed_to_readers() {
    for (privilege, listed) in [(Privilege::Usage, "1 | 0"), (Privilege::Select, "1 | 1")] {
        let on = Resource::Namespace(vec!["gold".into()]);
        let (lake, service, _) = governed(vec![(on, privilege.into())]).await;
        let made = Statement::new("CREATE VIEW gold.some AS SELECT id FROM gold.numbers WHERE id <> 5");
        lake.service.change(&Principal::local(), &made).await.expect("a view");
        let sql = "SELECT count(*), count(definition) FROM information_schema.views WHERE table_name = 'some'";
        let results = service.run(&ana(), &Statement::new(sql)).await;
        let results = results.unwrap_or_else(|error| panic!("{}", error.chain()));
        let batches: Vec<RecordBatch> = results.batches.try_collect().await.expect("rows");
        let text = pretty_format_batches(&batches).expect("printable rows").to_string();
        let told = cells(&text);
        let told: Vec<&str> = told[0].split('|').map(str::trim).collect();
        assert_eq!(told.join(" | "), listed, "{privilege}");
    }
}

// Goal: whoever has a procedure choose files by what is in them, or name their folders, has to be one who may read that. Method: a condition
// by name and by place, and orphans, with `ALTER` and a column, and with `SELECT` too; without a condition `ALTER` is enough.
#[tokio::test]
async fn procedures_that_tell_of_rows_take_select() {
    use Privilege::{Alter, Select};
    let plain = "CALL system.rewrite_data_files(table => 'gold.numbers')";
    let by_name = "CALL system.rewrite_data_files(table => 'gold.numbers', where => 'id = 3')";
    let by_place =
        "CALL system.rewrite_data_files('gold.numbers', 'binpack', NULL, map('rewrite-all', 'true'), 'id = 3')";
    let orphans = "CALL system.remove_orphan_files(table => 'gold.numbers', dry_run => true)";
    for (sql, needs) in [
        (plain, &[Alter][..]),
        (by_name, &[Alter, Select]),
        (by_place, &[Alter, Select]),
        (orphans, &[Alter, Select]),
    ] {
        let (_lake, service) = with_grants(needs, &[]).await;
        let code = async |service: &QueryService| {
            let changed = service.change(&ana(), &Statement::new(sql)).await;
            changed.err().map(|error| error.code())
        };
        assert_ne!(code(&service).await, Some("SEC-0008"), "{sql}");
        let (_lake, altering) = with_grants(&[Alter], &[1]).await;
        let refused = code(&altering).await == Some("SEC-0008");
        assert_eq!(refused, needs.contains(&Select), "{sql}");
    }
}
