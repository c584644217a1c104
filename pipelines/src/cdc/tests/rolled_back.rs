//! Tables of kind `cdc` that go back to an older snapshot, while their tombstones stay.

use super::{FILTER, MODEL, SILVER, lake_of, roll_back, run, silver_head};
use crate::Mode;
use crate::testing::change;

// Goal: a row that was deleted is deleted again after the table went back to when it was there; so is one that was made anew after its
// delete, and changes before the delete stay without effect. Method: insert, delete, rollback, a change of another key.
#[tokio::test]
async fn deletes_are_applied_again() {
    for model in [MODEL, FILTER] {
        let (lake, pipelines) = lake_of(model).await;
        let first = [change("c", 1, 0, 1, 1, Some("a")), change("c", 2, 1, 2, 2, Some("b"))];
        lake.append("bronze.patients", &first).await;
        run(&pipelines).await;
        let head = silver_head(&lake).await;
        let second = [
            change("u", 10, 2, 1, 5, Some("never")),
            change("d", 20, 3, 1, 0, None),
            change("d", 21, 4, 2, 0, None),
            change("c", 30, 5, 2, 3, Some("again")),
        ];
        lake.append("bronze.patients", &second).await;
        run(&pipelines).await;
        assert_eq!(lake.lines(SILVER).await, ["2,3,again"], "{model}");
        roll_back(&lake, head).await;
        assert_eq!(lake.lines(SILVER).await, ["1,1,a", "2,2,b"], "{model}");
        lake.append("bronze.patients", &[change("c", 40, 6, 3, 4, Some("c"))])
            .await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        assert_eq!(lake.lines(SILVER).await, ["2,3,again", "3,4,c"], "{model}");
        // What is late is still known to be late.
        lake.append("bronze.patients", &[change("u", 15, 7, 1, 6, Some("late"))])
            .await;
        run(&pipelines).await;
        assert_eq!(lake.lines(SILVER).await, ["2,3,again", "3,4,c"], "{model}");
    }
}
