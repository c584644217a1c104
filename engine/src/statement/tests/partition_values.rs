use std::sync::Arc;

use tidewater_core::Coded;

use super::{done, lake, refused, rows, tried_with};
use crate::SessionOptions;
use crate::pg_catalog::Postgres;
use crate::testing::Lake;

/// A session of the PostgreSQL wire, in this zone.
fn in_zone(zone: Option<&str>) -> SessionOptions {
    let postgres = Postgres {
        zone: zone.map(str::to_owned),
        ..Postgres::default()
    };
    SessionOptions {
        postgres: Some(Arc::new(postgres)),
        ..SessionOptions::default()
    }
}

async fn rows_in(lake: &Lake, options: &SessionOptions, sql: &str) {
    let told = tried_with(lake, options, sql).await;
    let told = told.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    assert_eq!(told.rows, Some(1), "{sql}");
}

// Goal: an instant of a partition is the same for the rows that go and for those that come, and the one that the words mean to a row that
// is inserted, in the zone of the session. Method: each way to write one, in sessions of several zones, over rows of all hours around it:
// one that is inserted with the same words makes way, with what else is of its instant, and nothing else does.
#[tokio::test]
async fn instants_are_those_of_the_session() {
    let (berlin, new_york) = (Some("Europe/Berlin"), Some("America/New_York"));
    let sessions = [
        (SessionOptions::default(), 0),
        (in_zone(None), 0),
        (in_zone(berlin), 1),
        (in_zone(new_york), 2),
    ];
    let told = ["2025-12-31 22:00:00"; 3];
    let noon = ["2026-07-01 12:00:00", "2026-07-01 10:00:00", "2026-07-01 16:00:00"];
    let day = ["2026-07-01 00:00:00", "2026-06-30 22:00:00", "2026-07-01 04:00:00"];
    let forms = [
        ("'2026-01-01 00:00:00+02'", Some(told)),
        ("'2026-01-01T00:00:00+02:00'", Some(told)),
        ("TIMESTAMPTZ '2026-01-01 00:00:00+02'", Some(told)),
        ("'2026-01-01 00:00:00+02'::timestamptz", Some(told)),
        ("'2026-07-01 12:00:00'", Some(noon)),
        ("TIMESTAMPTZ '2026-07-01 12:00:00'", Some(noon)),
        ("TIMESTAMP '2026-07-01 12:00:00'", Some(noon)),
        ("CAST('2026-07-01 12:00:00' AS timestamptz)", Some(noon)),
        ("DATE '2026-07-01'", Some(day)),
        // A moment without a zone, whatever its words say: it is what it is in any query.
        ("TIMESTAMP '2026-01-01 00:00:00+02'", None),
    ];
    for (options, of) in &sessions {
        let lake = lake().await;
        done(
            &lake,
            "CREATE TABLE s.t (n int, at timestamptz) PARTITIONED BY (day(at))",
        )
        .await;
        let days = ["2025-12-31", "2026-01-01", "2026-06-30", "2026-07-01"];
        let hours = days
            .iter()
            .flat_map(|day| (0..24).map(move |hour| format!("(0, TIMESTAMPTZ '{day} {hour:02}:00:00+00')")));
        let hours: Vec<String> = hours.collect();
        assert_eq!(
            rows(&lake, &format!("INSERT INTO s.t VALUES {}", hours.join(", "))).await,
            96
        );
        for (n, (form, wanted)) in (1..).zip(&forms) {
            let context = format!("{form} in {}", options.zone());
            rows_in(&lake, options, &format!("INSERT INTO s.t VALUES ({n}, {form})")).await;
            let meant = lake.lines(&format!("SELECT at FROM s.t WHERE n = {n}")).await;
            let [meant] = meant.as_slice() else {
                panic!("{context}: {meant:?}");
            };
            let same = format!("SELECT n FROM s.t WHERE at = TIMESTAMPTZ '{meant}'");
            let others = format!("SELECT n, at FROM s.t WHERE at <> TIMESTAMPTZ '{meant}'");
            assert_eq!(lake.lines(&same).await.len(), 2, "{context}");
            let before = lake.lines(&others).await;
            let overwrite = format!("INSERT OVERWRITE s.t PARTITION (at = {form}) VALUES ({})", 100 + n);
            rows_in(&lake, options, &overwrite).await;
            assert_eq!(lake.lines(&same).await, [(100 + n).to_string()], "{context}");
            assert_eq!(lake.lines(&others).await, before, "{context}");
            if let Some(wanted) = wanted {
                let wanted = format!("SELECT n FROM s.t WHERE at = TIMESTAMPTZ '{}+00'", wanted[*of]);
                assert_eq!(lake.lines(&wanted).await, [(100 + n).to_string()], "{context}");
            }
        }
    }
}

// Goal: so are instants of years that no text tells in every session. Method: numbers of microseconds, beside the next ones.
#[tokio::test]
async fn instants_are_of_any_year() {
    for options in &[SessionOptions::default(), in_zone(Some("Europe/Berlin"))] {
        let lake = lake().await;
        done(&lake, "CREATE TABLE s.t (n int, at timestamptz)").await;
        for micros in [-66_000_000_000_000_000_i64, -1, 316_516_204_800_000_000] {
            let at = |micros: i64| format!("arrow_cast({micros}, 'Timestamp(µs, \"UTC\")')");
            done(&lake, "DELETE FROM s.t").await;
            rows_in(&lake, options, &format!("INSERT INTO s.t VALUES (1, {})", at(micros))).await;
            rows_in(
                &lake,
                options,
                &format!("INSERT INTO s.t VALUES (2, {})", at(micros + 1)),
            )
            .await;
            let overwrite = format!("INSERT OVERWRITE s.t PARTITION (at = {}) VALUES (3)", at(micros));
            rows_in(&lake, options, &overwrite).await;
            assert_eq!(
                lake.lines("SELECT n FROM s.t").await,
                ["2", "3"],
                "{micros} in {}",
                options.zone()
            );
        }
    }
}

// Goal: a column that is named without a value takes no rows along but those of the partitions that get some. Method: one of two.
#[tokio::test]
async fn columns_without_values_are_those_of_the_rows() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (n int, day date) PARTITIONED BY (day)").await;
    let values = "(1, DATE '2026-01-01'), (2, DATE '2026-01-02')";
    assert_eq!(rows(&lake, &format!("INSERT INTO s.t VALUES {values}")).await, 2);
    let overwrite = "INSERT OVERWRITE s.t PARTITION (day) VALUES (3, DATE '2026-01-02')";
    assert_eq!(rows(&lake, overwrite).await, 1);
    assert_eq!(lake.lines("SELECT n FROM s.t").await, ["1", "3"]);
}

// Goal: a value of any type is the same for the rows that go and for those that come. Method: words for it that a comparison takes
// otherwise than a column, beside a row with a value next to it.
#[tokio::test]
async fn values_are_those_of_the_column() {
    let sessions = [SessionOptions::default(), in_zone(None), in_zone(Some("Europe/Berlin"))];
    for options in &sessions {
        let lake = lake().await;
        for (of, value, other, forms) in [
            ("int", "7", "8", vec!["7", "'07'"]),
            (
                "bigint",
                "9007199254740993",
                "9007199254740992",
                vec!["9007199254740993", "'9007199254740993'"],
            ),
            ("boolean", "true", "false", vec!["true", "'true'"]),
            ("decimal(10, 2)", "1.50", "1.51", vec!["1.5", "'1.500'"]),
            ("string", "'7'", "'07'", vec!["7", "'7'"]),
            (
                "date",
                "DATE '2026-01-31'",
                "DATE '2026-02-01'",
                vec!["'2026-01-31'", "TIMESTAMP '2026-01-31 23:30:00'"],
            ),
            (
                "timestamp",
                "TIMESTAMP '2026-01-31 00:00:00'",
                "TIMESTAMP '2026-01-30 23:00:00'",
                vec!["DATE '2026-01-31'", "'2026-01-31 00:00:00'"],
            ),
            ("double", "'NaN'", "1.5", vec!["'NaN'"]),
            ("double", "'-Infinity'", "1.5", vec!["'-Infinity'"]),
            // Zeros are equal, whatever their sign.
            ("double", "'-0.0'", "1.5", vec!["0", "'-0.0'"]),
            ("real", "0.1", "0.5", vec!["0.1"]),
        ] {
            done(&lake, &format!("CREATE TABLE s.v (n int, v {of}) PARTITIONED BY (v)")).await;
            for form in forms {
                let context = format!("{of}: {form}");
                done(&lake, "DELETE FROM s.v").await;
                rows_in(&lake, options, &format!("INSERT INTO s.v VALUES (1, {value})")).await;
                rows_in(&lake, options, &format!("INSERT INTO s.v VALUES (2, {other})")).await;
                let overwrite = format!("INSERT OVERWRITE s.v PARTITION (v = {form}) VALUES (3)");
                rows_in(&lake, options, &overwrite).await;
                assert_eq!(lake.lines("SELECT n FROM s.v").await, ["2", "3"], "{context}");
                // The same again finds what it wrote.
                rows_in(&lake, options, &overwrite).await;
                assert_eq!(lake.lines("SELECT n FROM s.v").await, ["2", "3"], "{context}");
            }
            done(&lake, "DROP TABLE s.v").await;
        }
    }
}

// Goal: texts that PostgreSQL reads as other values are those values. Method: a `uuid` and bytes, in a session of its wire.
#[tokio::test]
async fn texts_are_read_as_the_session_reads_them() {
    let (lake, options) = (lake().await, in_zone(None));
    let uuid = "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'";
    for (of, value, other, form) in [
        (
            "uuid",
            uuid,
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'",
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        ),
        (
            "uuid",
            uuid,
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'",
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
        ),
        ("binary", "X'00ff'", "X'00fe'", "X'00ff'"),
        ("binary", "'\\x00ff'", "'\\x00fe'", "'\\x00FF'"),
        ("binary", "'\\x'", "'\\x00'", "'\\x'"),
    ] {
        done(&lake, &format!("CREATE TABLE s.v (n int, v {of})")).await;
        rows_in(&lake, &options, &format!("INSERT INTO s.v VALUES (1, {value})")).await;
        rows_in(&lake, &options, &format!("INSERT INTO s.v VALUES (2, {other})")).await;
        let overwrite = format!("INSERT OVERWRITE s.v PARTITION (v = {form}) VALUES (3)");
        rows_in(&lake, &options, &overwrite).await;
        assert_eq!(lake.lines("SELECT n FROM s.v").await, ["2", "3"], "{of}: {form}");
        done(&lake, "DROP TABLE s.v").await;
    }
}

// Goal: what no row can have and be found by is refused, with what to do instead, and changes nothing. Method: null, a query, a list's column,
// columns that are not there, and values that their column cannot have.
#[tokio::test]
async fn what_is_no_value_is_refused() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (n int, v int, l array<int>)").await;
    assert_eq!(rows(&lake, "INSERT INTO s.t (n, v) VALUES (1, 7), (2, NULL)").await, 2);
    for (values, code) in [
        ("v = NULL", "ENG-0017"),
        ("v = (SELECT max(v) FROM s.t)", "ENG-0017"),
        ("l = '7'", "ENG-0017"),
        ("nope = 7", "ENG-0011"),
        ("v = 'seven'", "ENG-0003"),
        ("v = n", "ENG-0003"),
    ] {
        let sql = format!("INSERT OVERWRITE s.t PARTITION ({values}) (n) VALUES (3)");
        let error = refused(&lake, &sql).await;
        assert_eq!(error.code(), code, "{sql}: {error:?}");
        assert!(code == "ENG-0003" || error.hint().is_some(), "{sql}: {error:?}");
        assert_eq!(lake.lines("SELECT n, v FROM s.t").await, ["1,7", "2,"], "{sql}");
    }
}
