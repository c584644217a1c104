//! What is told of several processes together, and that it is told what is missing.

use tidewater_engine::Warnings;
use tidewater_engine::live::{LiveRows, LiveTable};

use super::siblings::Near;
use super::*;
use crate::history::{KNOWN_BYTES_MAX, Known};
use crate::metrics::Front;
use crate::siblings::Ask;

/// The ids and users of the statements of each process, by its name.
async fn told(service: &QueryService, at_work: bool) -> Vec<(String, Vec<(u128, String)>)> {
    let everywhere = service.fleet().statements(at_work).await;
    let of = |known: &Known| {
        let statements = known.statements.iter();
        let statements = statements.map(|statement| (statement.id.as_u128(), statement.user.clone()));
        (known.process.name.clone(), statements.collect::<Vec<_>>())
    };
    everywhere.processes.iter().map(of).collect()
}

// Goal: a process tells of its statements and of those of the others, of all users, each once though it is among its own siblings, and those
// asked for it alone ask nobody. Method: statements of two users at two services that ask each other; what has ended, and what is at work.
#[tokio::test]
async fn statements_of_all_are_told() {
    let lake = Lake::new().await;
    let (near, second) = Near::beside(&lake);
    let statement = |id: u128| Statement {
        id: Uuid::from_u128(id),
        ..Statement::new("SELECT 1")
    };
    for (service, user, id) in [
        (&lake.service, "ana", 1),
        (&second, "bob", 2),
        (&lake.service, "bob", 3),
    ] {
        let results = service.run(&Principal::named(user), &statement(id)).await;
        let rows: Vec<RecordBatch> = results.expect("it starts").batches.try_collect().await.expect("rows");
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    }
    let of = |id: u128, user: &str| (id, user.to_owned());
    let first = (String::new(), vec![of(3, "bob"), of(1, "ana")]);
    let own = ("second".to_owned(), vec![of(2, "bob")]);
    assert_eq!(told(&second, false).await, [own, first.clone()]);
    assert_eq!(near.asked(), [Ask::History { at_work: false }]);
    assert_eq!(told(&lake.service, false).await, [first], "it knows of no others");
    let mut works = lake
        .service
        .run(&Principal::named("ana"), &hours())
        .await
        .expect("it starts")
        .batches;
    assert!(futures::poll!(works.next()).is_pending(), "it yields while it works");
    let at_work = [("second".to_owned(), Vec::new()), (String::new(), vec![of(5, "ana")])];
    assert_eq!(told(&second, true).await, at_work);
}

// Goal: what is not told is never left out without a word: processes that say nothing, and statements that are too many. Method: one that
// says nothing, beside statements of more bytes than one process tells another.
#[tokio::test]
async fn what_is_missing_is_told() {
    let lake = Lake::new().await;
    let (near, second) = Near::beside(&lake);
    near.silence(&["10.0.0.9:8080 does not answer"]);
    let everywhere = second.fleet().statements(false).await;
    assert_eq!(
        everywhere.missing,
        ["statements are missing: 10.0.0.9:8080 does not answer"]
    );
    near.silence(&[]);
    let ana = Principal::named("ana");
    let sender = Sender {
        principal: &ana,
        front: Front::Http,
        client: "test",
        address: None,
    };
    // As long as texts are told.
    let sql = format!("SELECT a{}", ", a".repeat(1_000));
    let ran = KNOWN_BYTES_MAX / 2_000;
    for id in 0..ran {
        drop(lake.service.history().begin(Uuid::from_u128(id as u128), sender, &sql));
    }
    let everywhere = second.fleet().statements(false).await;
    let told = everywhere.processes[1].statements.len();
    let left_out = everywhere.processes[1].left_out;
    assert!(told > 0 && left_out > 0, "{told} of {ran}");
    assert_eq!(told + left_out, ran);
    assert_eq!(
        everywhere.missing,
        [format!("statements are missing: {left_out} more of ")]
    );
}

/// A table that one row is missing from.
#[derive(Debug)]
struct Gap;

#[async_trait]
impl LiveRows for Gap {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]))
    }

    async fn rows(&self, warnings: &Warnings) -> tidewater_engine::Result<RecordBatch> {
        warnings.warn("a row is missing".to_owned());
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        Ok(RecordBatch::try_new(self.schema(), vec![ids]).expect("a batch"))
    }
}

/// Sessions that see it.
#[derive(Debug)]
struct Gaps(Arc<LiveTable>);

#[async_trait]
impl SessionSource for Gaps {
    async fn options(&self, _: &str, client: SessionOptions) -> SessionOptions {
        client.overlay("ops.gaps".parse().expect("a name"), Arc::clone(&self.0) as _)
    }
}

// Goal: what rows of this process's own tables leave out is told with the answer, once, and with no other statement's. Method: a table that
// warns, read twice by one statement, explained, and then another table.
#[tokio::test]
async fn warnings_go_with_the_rows() {
    let sessions = Arc::new(Gaps(Arc::new(LiveTable::new("ops.gaps".parse().expect("a name"), Gap))));
    let lake = Lake::over(QueryOptions::default(), SystemClock::shared(), sessions).await;
    for (sql, warnings) in [
        (
            "SELECT a.id FROM ops.gaps a JOIN ops.gaps b ON a.id = b.id",
            &["a row is missing"][..],
        ),
        ("EXPLAIN SELECT id FROM ops.gaps", &["a row is missing"][..]),
        ("SELECT id FROM numbers", &[][..]),
    ] {
        let results = lake.start(sql, Bytes::new()).await;
        let results = results.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        assert_eq!(results.warnings, warnings, "{sql}");
    }
}
