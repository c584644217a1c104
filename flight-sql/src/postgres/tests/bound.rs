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
