//! Values that are bound.

use super::*;

/// `int8` and `text`.
const INT: u32 = 20;
const TEXT: u32 = 25;

impl Client {
    /// What a statement with values of these types is answered with.
    async fn with_bound(&mut self, sql: &str, values: &[(u32, &str)]) -> Vec<String> {
        let mut body = BytesMut::from(format!("\0{sql}\0").as_bytes());
        body.put_u16(u16::try_from(values.len()).expect("few"));
        for (of, _) in values {
            body.put_u32(*of);
        }
        self.send(b'P', &body).await;
        let texts: Vec<&str> = values.iter().map(|(_, text)| *text).collect();
        self.bind("", &texts, false).await;
        self.execute("", 0).await;
        self.sync().await
    }
}

// Goal: what is bound is a value and nothing else, in statements that change rows too, which are put together as texts: it chooses no
// other rows and is stored to the letter. Method: values that would be comments, operators or the end of a literal if they were taken for
// syntax, behind whatever stands before a placeholder.
#[tokio::test]
async fn what_is_bound_is_no_syntax() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .query("CREATE SCHEMA bound; CREATE TABLE bound.t (id bigint, n bigint, s text)")
        .await;
    let texts = [
        "it's",
        "it''s",
        r"a\'b",
        r"x\",
        "'",
        "\"); DROP TABLE bound.t --",
        "\n or true --",
    ];
    for (id, text) in (1..).zip(texts) {
        let id = id.to_string();
        let told = client
            .with_bound(
                "INSERT INTO bound.t VALUES ($1, 0-$2, $3)",
                &[(INT, &id), (INT, "-15"), (TEXT, text)],
            )
            .await;
        assert!(told.contains(&"C INSERT 0 1".to_owned()), "{text:?}: {told:?}");
    }
    for (id, text) in (1..).zip(texts) {
        let id = id.to_string();
        for sql in [
            "SELECT id FROM bound.t WHERE s = $1",
            "SELECT id FROM bound.t WHERE (n, s) IN (SELECT 15, $1)",
        ] {
            let told = client.with_bound(sql, &[(TEXT, text)]).await;
            assert!(
                told.contains(&format!("D {id}")) && told.contains(&"C SELECT 1".to_owned()),
                "{text:?}: {told:?}"
            );
        }
        let told = client
            .with_bound(
                "UPDATE bound.t SET n = n -$1 WHERE s = $2 AND n-$1 > 0",
                &[(INT, "-1"), (TEXT, text)],
            )
            .await;
        assert!(told.contains(&"C UPDATE 1".to_owned()), "{text:?}: {told:?}");
    }
    for (sql, values) in [
        ("DELETE FROM bound.t WHERE n >= 0-$1 AND id = 99", vec![(INT, "-15")]),
        (
            "DELETE FROM bound.t WHERE id = 0-$1 AND s = $2",
            vec![(INT, "-1"), (TEXT, "\n or true --")],
        ),
        (
            r"DELETE FROM bound.t WHERE s = E'\\' AND s = $1",
            vec![(TEXT, " or true --")],
        ),
        ("DELETE FROM bound.t WHERE s = U&$1", vec![(TEXT, r"x\005c")]),
    ] {
        let told = client.with_bound(sql, &values).await;
        assert!(
            !told
                .iter()
                .any(|line| line.starts_with("C DELETE") && line != "C DELETE 0"),
            "{sql}: {told:?}"
        );
    }
    let sum = client
        .query("SELECT count(*), sum(n), count(DISTINCT s) FROM bound.t")
        .await;
    assert!(sum.contains(&"D 7|112|7".to_owned()), "{sum:?}");
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

impl Client {
    /// The types of a statement's parameters, of which none is declared.
    async fn parameters(&mut self, sql: &str) -> String {
        self.parse("", sql).await;
        self.send(b'D', b"S\0").await;
        let told = self.sync().await;
        let types = told.iter().find(|line| line.starts_with('t'));
        types.cloned().unwrap_or_else(|| panic!("{sql}: {told:?}"))
    }
}

// Goal: what a parameter is told to be is what it meets, so that drivers that send no texts can ask and write. Method: statements of each
// kind with parameters wherever they may stand, on a table that is found by its name alone.
#[tokio::test]
async fn parameters_are_what_they_meet() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .query(
            "CREATE SCHEMA met; \
             CREATE TABLE met.t (i int, b bigint, n numeric(10, 2), d date, u uuid, y bytea, s text, a bigint[])",
        )
        .await;
    client.query("SET search_path = met").await;
    for (sql, types) in [
        (
            "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            "t 23|20|1700|1082|2950|17|25|1016",
        ),
        ("INSERT INTO t (d, i) SELECT $1, $2", "t 1082|23"),
        ("UPDATE t SET n = $1, d = $2 WHERE i = $3", "t 1700|1082|23"),
        ("DELETE FROM t WHERE b = $1 AND i = ANY ($2)", "t 20|1007"),
        (
            "INSERT INTO t (i, s) VALUES ($1, $2) ON CONFLICT (i) DO UPDATE SET s = excluded.s, n = $3 WHERE t.d < $4",
            "t 23|25|1700|1082",
        ),
        (
            "MERGE INTO t USING (SELECT b AS k FROM t) AS x ON t.b = x.k AND x.k < $1 \
             WHEN MATCHED THEN UPDATE SET d = $2 WHEN NOT MATCHED THEN INSERT (b, n) VALUES (x.k, $3)",
            "t 20|1082|1700",
        ),
        ("SELECT s FROM t LIMIT $1 OFFSET $2", "t 20|20"),
        (
            "SELECT coalesce(i, $1), CASE WHEN i > 0 THEN $2 ELSE d END FROM t",
            "t 23|1082",
        ),
        ("INSERT INTO nowhere VALUES ($1)", "t 25"),
    ] {
        assert_eq!(client.parameters(sql).await, types, "{sql}");
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a value is of the type that it was declared to be, whatever it stands beside, and is stored as it is. Method: types that the plan
// of a statement does not tell, sent as PostgreSQL writes them, asked for as they are and written.
#[tokio::test]
async fn declared_types_are_kept() {
    const UUID: &str = "123e4567-e89b-12d3-a456-426614174000";
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (sql, of, sent, answer) in [
        ("SELECT $1", 1016, "{1,NULL}", "D {1,NULL}"),
        ("SELECT $1", 1009, r#"{a,"it's"}"#, "D {a,it's}"),
        ("SELECT $1", 1700, "1.50", "D 1.50"),
        ("SELECT $1", 2950, UUID, "D 123e4567-e89b-12d3-a456-426614174000"),
        (
            "SELECT $1",
            1186,
            "1 year 2 mons 3 days 04:05:06.789",
            "D 1 year 2 mons 3 days 04:05:06.789",
        ),
        (
            "SELECT TIMESTAMP '2024-01-01' + $1",
            1186,
            "1 mon",
            "D 2024-02-01 00:00:00",
        ),
        ("SELECT $1", 1114, "2024-07-01 10:00", "D 2024-07-01 10:00:00"),
        ("SELECT $1", 1184, "2024-07-01 10:00+02", "D 2024-07-01 08:00:00+00"),
    ] {
        let told = client.with_bound(sql, &[(of, sent)]).await;
        assert!(told.contains(&answer.to_owned()), "{sql} {sent}: {told:?}");
    }
    client
        .query("CREATE SCHEMA kept; CREATE TABLE kept.t (id int, u uuid, a bigint[], s text[])")
        .await;
    let row = [
        (INT, "1"),
        (2950, UUID),
        (1016, "{1,NULL,-3}"),
        (1009, r#"{"it's, so",b}"#),
    ];
    let told = client
        .with_bound("INSERT INTO kept.t VALUES ($1, $2, $3, $4)", &row)
        .await;
    assert!(told.contains(&"C INSERT 0 1".to_owned()), "{told:?}");
    let told = client
        .with_bound(
            "UPDATE kept.t SET a = $1 WHERE u = $2 AND id = ANY ($3)",
            &[(1016, "{}"), (2950, UUID), (1007, "{7,1}")],
        )
        .await;
    assert!(told.contains(&"C UPDATE 1".to_owned()), "{told:?}");
    let stored = client.query("SELECT u, a, s FROM kept.t").await;
    let expected = format!(r#"D {UUID}|{{}}|{{"it's, so",b}}"#);
    assert!(stored.contains(&expected), "{stored:?}");
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a number that is bound is cast as one that is written: rounded, and refused where it is too large. Method: decimals and
// floating-point numbers, with more digits than 38 too, and what is written beside them.
#[tokio::test]
async fn bound_numbers_are_cast_like_others() {
    const NUMERIC: u32 = 1700;
    const DOUBLE: u32 = 701;
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (of, sent, answer) in [
        (NUMERIC, "2.5", "D 3"),
        (DOUBLE, "2.5", "D 2"),
        (DOUBLE, "3.5", "D 4"),
        (
            NUMERIC,
            "9223372036854775807.0000000000000000000000000",
            "D 9223372036854775807",
        ),
        (NUMERIC, "18446744073709551616", "E 22003"),
        (NUMERIC, "18446744073709551616.0000000000000000000000000", "E 22003"),
        (NUMERIC, "100000000000000000000000000000000000000", "E 22003"),
    ] {
        let told = client.with_bound("SELECT $1::bigint", &[(of, sent)]).await;
        assert!(told.contains(&answer.to_owned()), "{sent}: {told:?}");
    }
    for written in [
        "CAST(18446744073709551616 AS bigint)",
        "100000000000000000000000000000000000000::bigint",
        "'18446744073709551616'::numeric(50, 0)::bigint",
        "4294967296.0::int",
    ] {
        let told = client.query(&format!("SELECT {written}")).await;
        assert!(told.contains(&"E 22003".to_owned()), "{written}: {told:?}");
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: the origin of `date_bin` is a moment of the session's zone, as other texts are. Method: days of a zone ahead of UTC.
#[tokio::test]
async fn origins_are_of_the_zone() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.query("SET timezone = 'Asia/Tokyo'").await;
    for origin in ["'2024-01-01'", "TIMESTAMP '2024-01-01'", "TIMESTAMPTZ '2024-01-01'"] {
        let told = client
            .query(&format!(
                "SELECT date_bin('1 day', TIMESTAMPTZ '2024-07-01 10:00+09', {origin})"
            ))
            .await;
        assert!(
            told.contains(&"D 2024-07-01 00:00:00+09".to_owned()),
            "{origin}: {told:?}"
        );
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a date of three numbers is read in the order of DateStyle, whether it is written or bound, of a text that was asked in another order
// too, and in no order in a view; a client is told of each change, and no other style is taken. Method: one date in each order, and what is
// set in a transaction that is undone.
#[tokio::test]
async fn dates_are_in_the_order_of_the_session() {
    const DATE: u32 = 1082;
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .query("CREATE VIEW gold.written AS SELECT DATE '01/02/2024' AS d")
        .await;
    for (style, expected) in [
        ("MDY", Some("D 2024-01-02")),
        ("DMY", Some("D 2024-02-01")),
        ("YMD", None),
    ] {
        client
            .send(b'Q', format!("SET DateStyle = '{style}'\0").as_bytes())
            .await;
        let told = client.until(b'Z').await;
        let status = format!("DateStyle\0ISO, {style}\0");
        let is_told = told
            .iter()
            .any(|(kind, body)| *kind == b'S' && body[..] == *status.as_bytes());
        assert!(is_told, "{style}: {told:?}");
        let written = client.query("SELECT DATE '01/02/2024' AS d").await;
        let bound = client.with_bound("SELECT $1 AS d", &[(DATE, "01/02/2024")]).await;
        for told in [written, bound] {
            let has = |begin: &str| told.iter().any(|line| line.starts_with(begin));
            assert!(has(expected.unwrap_or("E 22007")), "{style}: {told:?}");
        }
        let viewed = client.query("SELECT d FROM gold.written").await;
        assert!(viewed.iter().any(|line| line.starts_with("E 22007")), "{viewed:?}");
    }
    client.query("BEGIN; SET DateStyle = 'DMY'; ROLLBACK").await;
    let shown = client.query("SHOW DateStyle").await;
    assert!(shown.contains(&"D ISO, YMD".to_owned()), "{shown:?}");
    assert_eq!(client.query("SET DateStyle = 'German'").await, ["E 0A000", "Z I"]);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a session keeps no more than it may of what it is sent, and what is closed or replaced makes room. Method: values and a name, each
// of a third of that and more, in portals that are there together and in one that is bound anew.
#[tokio::test]
async fn what_a_session_keeps_is_bounded() {
    const LONG: usize = 43 << 20;
    let server = Server::start().await;
    let mut client = server.connect().await;
    let name = "n".repeat(LONG);
    let mut value = BytesMut::from(&b"\0\0\0\x01"[..]);
    value.put_u32(u32::try_from(LONG).expect("a length"));
    value.put_slice(name.as_bytes());
    value.put_u16(0);
    let portal = |name: &str| [name.as_bytes(), &b"\0s\0"[..], &value[..]].concat();
    client.parse("s", "SELECT $1").await;
    for name in ["", "", "a"] {
        client.send(b'B', &portal(name)).await;
    }
    client.parse(&name, "SELECT 1").await;
    assert_eq!(client.sync().await, ["1", "2", "2", "2", "E 54000", "Z I"]);
    client.parse(&name, "SELECT 1").await;
    for name in ["a", "b"] {
        client.send(b'B', &portal(name)).await;
    }
    assert_eq!(client.sync().await, ["1", "2", "E 54000", "Z I"]);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
