//! Runs of a model while another process runs it.

use std::sync::{Arc, Mutex};

use datafusion::arrow::datatypes::{DataType, Field};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use tidewater_engine::{EngineError, PlanOutput, PlanRequest, PlanRunner};
use tidewater_table::schema;

use super::{FILTER, MODEL, SILVER, lake_of, run};
use crate::testing::{change, log_columns, patient, table_name};
use crate::{Mode, Pipelines};

/// Lets others run their models before the first plan.
#[derive(Debug)]
struct Late {
    inner: Arc<dyn PlanRunner>,
    others: Mutex<Option<Pipelines>>,
}

impl PlanRunner for Late {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        async move {
            let others = self.others.lock().expect("no panic").take();
            if let Some(others) = others {
                run(&others).await;
            }
            self.inner.run(request).await
        }
        .boxed()
    }
}

// Goal: an increment rests on the rows that it was planned for, though it meets others when it gives the table new columns. Method: another
// text is run in between, which hides a row that does not change.
#[tokio::test]
async fn others_commit_before_the_columns_are_there() {
    let (lake, first) = lake_of(MODEL).await;
    let created = [change("c", 1, 0, 1, 70, Some("a")), change("c", 2, 1, 2, 2, Some("b"))];
    lake.append("bronze.patients", &created).await;
    run(&first).await;

    let mut fields = patient();
    fields.push(Field::new("phone", DataType::Utf8, true));
    let wanted = schema::from_arrow(&log_columns(fields), 1).expect("a schema");
    let log = table_name("bronze.patients");
    schema::evolve_table(lake.catalog.as_ref(), &lake.store, &log, &wanted)
        .await
        .expect("an evolved table");
    let mut event = change("c", 3, 2, 3, 3, Some("c"));
    event["after"]["phone"] = json!("555");
    lake.append("bronze.patients", &[event]).await;

    let runner = Arc::new(Late {
        inner: Arc::new(lake.engine.local_runner()),
        others: Mutex::new(Some(lake.pipelines(&[("silver.patients", FILTER)]))),
    });
    let late = lake.pipelines_on(runner, lake.noted.clone(), &[("silver.patients", MODEL)]);
    let run = run(&late).await;
    assert_eq!((run.mode, run.attempts), (Mode::Full, 2), "{run:?}");
    assert_eq!(lake.lines(SILVER).await, ["1,70,a", "2,2,b", "3,3,c"]);
}
