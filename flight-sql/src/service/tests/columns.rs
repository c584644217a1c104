//! Statements about a table of which not all columns may be read.

use tidewater_security::{Grant, Grantee, Object, Policy, Privilege, PrivilegeSet, Resource};

use super::makers::governed;
use super::*;

/// Commands of `ana` that read the column `id` of another table and no other, and what they leave of `mine.t`.
const GO: &[(&str, &[&str])] = &[
    (
        "UPDATE mine.t SET v = 'q' WHERE id IN (SELECT id FROM gold.numbers)",
        &["1  | q", "20 | b"],
    ),
    (
        "UPDATE mine.t SET v = (SELECT CAST(max(id) AS varchar) FROM gold.numbers) WHERE id = 1",
        &["1  | 9", "20 | b"],
    ),
    (
        "UPDATE mine.t AS t SET v = 'q' FROM gold.numbers AS s WHERE s.id = t.id",
        &["1  | q", "20 | b"],
    ),
    (
        "DELETE FROM mine.t WHERE id IN (SELECT n.id FROM gold.numbers AS n WHERE n.id > 0)",
        &["20 | b"],
    ),
    (
        "DELETE FROM mine.t AS t USING gold.numbers AS s WHERE s.id = t.id",
        &["20 | b"],
    ),
    (
        "MERGE INTO mine.t AS t USING (SELECT id FROM gold.numbers) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 'q'",
        &["1  | q", "20 | b"],
    ),
];

/// The same of commands that name another column of it, wherever it stands, and whether or not there is a row that it is for.
const DENIED: &[&str] = &[
    "UPDATE mine.t SET v = (SELECT max(name) FROM gold.numbers)",
    "UPDATE mine.t SET v = (SELECT max(name) FROM gold.numbers) WHERE id = 99",
    "UPDATE mine.t SET v = 'q' WHERE v IN (SELECT name FROM gold.numbers)",
    "UPDATE mine.t AS t SET v = s.name FROM gold.numbers AS s WHERE s.id = t.id",
    "UPDATE mine.t AS t SET v = s.name FROM gold.numbers AS s WHERE s.id = t.id AND t.id = 99",
    "DELETE FROM mine.t WHERE id IN (SELECT id FROM gold.numbers WHERE name = 'n1')",
    "DELETE FROM mine.t AS t USING gold.numbers AS s WHERE s.name = t.v",
    "MERGE INTO mine.t AS t USING (SELECT id, name FROM gold.numbers) AS s ON t.id = s.id WHEN MATCHED THEN DELETE",
    "MERGE INTO mine.t AS t USING gold.numbers AS s ON t.id = s.id WHEN MATCHED THEN DELETE",
    "MERGE INTO mine.t AS t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, (SELECT max(name) FROM gold.numbers))",
    "INSERT INTO mine.t VALUES (30, 'c') ON CONFLICT (id) DO UPDATE SET v = (SELECT max(name) FROM gold.numbers)",
    "UPDATE mine.t SET v = (WITH numbers AS (SELECT 'q' AS x) SELECT max(name) FROM gold.numbers)",
];

fn ana() -> Principal {
    Principal::named("ana")
}

/// The lake where everything in `mine` is `ana`'s to change and to read, and where she has this on `gold.numbers`, and SELECT on these columns.
async fn lake(privileges: &[Privilege], columns: &[i32]) -> (Lake, QueryService) {
    let all = [
        Privilege::Select,
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Create,
    ];
    let mine = Resource::Namespace(vec!["mine".into()]);
    let (lake, service, _) = governed(vec![(mine, all.into_iter().collect::<PrivilegeSet>())]).await;
    for sql in [
        "CREATE SCHEMA mine",
        "CREATE TABLE mine.t (id bigint, v string)",
        "INSERT INTO mine.t VALUES (1, 'a'), (20, 'b')",
    ] {
        let done = service.change(&Principal::named("root"), &Statement::new(sql)).await;
        done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    }
    let numbers = "gold.numbers".parse().expect("a name");
    let id = Uuid::from_u128(1);
    let object = Object {
        id,
        uuid: lake.engine().load(&numbers).await.expect("the table").metadata.uuid(),
        namespace: vec!["gold".into()],
        name: "numbers".into(),
    };
    let on_columns = columns.iter().map(|field| {
        let on = Resource::Column {
            object: id,
            field: *field,
        };
        (on, PrivilegeSet::from(Privilege::Select))
    });
    let on_table = (
        Resource::Object(id),
        privileges.iter().copied().collect::<PrivilegeSet>(),
    );
    let policy = service.0.policy.as_ref().expect("it has grants");
    let authorizer = policy.authorizer().expect("they are known");
    let mut granted = Policy::clone(&authorizer.policy());
    granted.version += 1;
    granted.objects.push(object);
    granted
        .grants
        .extend(on_columns.chain([on_table]).map(|(on, privileges)| Grant {
            to: Grantee::User("ana".into()),
            on,
            privileges,
        }));
    authorizer.update(granted);
    (lake, service)
}

/// The rows of a query, each as its cells.
async fn asked(service: &QueryService, user: &str, sql: &str) -> Result<Vec<String>, QueryError> {
    let results = service.run(&Principal::named(user), &Statement::new(sql)).await?;
    let batches: Vec<RecordBatch> = results.batches.try_collect().await?;
    Ok(cells(&pretty_format_batches(&batches).expect("rows").to_string()))
}

async fn left(service: &QueryService) -> Vec<String> {
    let rows = asked(service, "root", "SELECT id, v FROM mine.t ORDER BY id").await;
    rows.unwrap_or_else(|error| panic!("{}", error.chain()))
}

// Goal: a command takes the columns of another table that it names, and no more of it. Method: each way in which a command reads one, of a user
// with one column: that column and what becomes of the rows, and another column, of which nothing is done.
#[tokio::test]
async fn commands_take_the_columns_that_they_name() {
    for (sql, wanted) in GO {
        let (_lake, service) = lake(&[], &[1]).await;
        let done = service.change(&ana(), &Statement::new(*sql)).await;
        done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        assert_eq!(left(&service).await, *wanted, "{sql}");
    }
    let (_lake, service) = lake(&[], &[1]).await;
    for sql in DENIED {
        let refused = service.change(&ana(), &Statement::new(*sql)).await.expect_err(sql);
        assert_eq!(refused.code(), "SEC-0008", "{sql}: {}", refused.chain());
        assert_eq!(left(&service).await, ["1  | a", "20 | b"], "{sql}");
    }
}

// Goal: a command over a table that may not be known of is answered as one over a table that is not there. Method: the commands of the test above
// by a user without any grant on it, with its name and with one that nothing has.
#[tokio::test]
async fn commands_tell_of_no_table() {
    let (_lake, service) = lake(&[], &[]).await;
    for sql in GO.iter().map(|(sql, _)| *sql).chain(DENIED.iter().copied()) {
        let told = async |sql: &str| {
            let refused = service.change(&ana(), &Statement::new(sql)).await;
            refused.expect_err(sql).chain()
        };
        let hidden = told(sql).await;
        let missing = told(&sql.replace("gold.numbers", "gold.nothing")).await;
        assert_eq!(hidden.replace("numbers", "nothing"), missing, "{sql}");
        assert_eq!(left(&service).await, ["1  | a", "20 | b"], "{sql}");
    }
}

// Goal: a query that a command gives a name (WITH) is no table of that name, and lets nobody at the table. Method: names of their own that a table
// of the session's schema bears, of which nothing may be read; the last of them is of that table.
#[tokio::test]
async fn names_of_their_own_are_no_tables() {
    let (_lake, service) = lake(&[Privilege::Insert], &[]).await;
    for (value, row) in [
        ("WITH numbers AS (SELECT 'q' AS x) SELECT x FROM numbers", "1  | q"),
        (
            "WITH numbers AS (SELECT 'r' AS x) SELECT n.x FROM numbers AS n",
            "1  | r",
        ),
    ] {
        let sql = format!("UPDATE mine.t SET v = ({value}) WHERE id = 1");
        let done = service.change(&ana(), &Statement::new(&sql)).await;
        done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        assert_eq!(left(&service).await, [row, "20 | b"], "{sql}");
    }
    let sql = "UPDATE mine.t SET v = (WITH numbers AS (SELECT max(name) AS x FROM numbers) SELECT x FROM numbers)";
    let refused = service.change(&ana(), &Statement::new(sql)).await;
    refused.map(|_| ()).expect_err(sql);
    assert_eq!(left(&service).await, ["1  | r", "20 | b"]);
}

// Goal: whoever has any privilege on a table is told its columns as whoever may read it is, and no more; whoever has some of its columns is told
// these, and nothing of the metadata tables. Method: what an administrator is told, of users with either, and what takes SELECT.
#[tokio::test]
async fn columns_are_told_to_who_may_know_of_them() {
    let words = |row: &String| {
        let words = row.split('|').map(|word| word.trim().to_owned());
        words.collect::<Vec<_>>()
    };
    let (_lake, writer) = lake(&[Privilege::Insert], &[]).await;
    let (_other, reader) = lake(&[], &[1]).await;
    for (sql, at) in [("DESCRIBE gold.numbers", 0), ("SHOW COLUMNS FROM gold.numbers", 3)] {
        let told = async |service: &QueryService, user: &str| {
            let rows = asked(service, user, sql).await;
            let rows = rows.unwrap_or_else(|error| panic!("{user}: {sql}: {}", error.chain()));
            rows.iter().map(words).collect::<Vec<_>>()
        };
        let mut whole = told(&writer, "root").await;
        assert_eq!(whole.len(), 3, "{sql}: {whole:?}");
        assert_eq!(told(&writer, "ana").await, whole, "{sql}");
        whole.retain(|row| row.get(at).is_some_and(|column| column == "id"));
        assert_eq!(told(&reader, "ana").await, whole, "{sql}");
    }
    for part in ["files", "changes"] {
        let sql = format!("DESCRIBE gold.\"numbers${part}\"");
        let whole = asked(&reader, "root", &sql).await;
        assert!(whole.is_ok_and(|rows| !rows.is_empty()), "{sql}");
        let hidden = asked(&reader, "ana", &sql).await.expect_err(&sql).chain();
        assert!(hidden.contains("not found"), "{sql}: {hidden}");
    }
    for sql in ["DESCRIBE EXTENDED gold.numbers", "SHOW CREATE TABLE gold.numbers"] {
        let refused = asked(&writer, "ana", sql).await.expect_err(sql);
        assert_eq!(refused.code(), "SEC-0008", "{sql}: {}", refused.chain());
    }
}
