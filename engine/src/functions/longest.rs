//! `min` and `max` of intervals, which are the shortest and the longest one; the query engine compares them part by part. Of those that
//! are as long it is the first.

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::Accumulator;

use super::interval_length::nanos;

/// One of the two.
#[derive(Debug)]
pub(super) struct Longest {
    largest: bool,
    found: Option<IntervalMonthDayNano>,
}

impl Longest {
    pub(super) fn new(largest: bool) -> Self {
        Self { largest, found: None }
    }
}

impl Accumulator for Longest {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [spans] = values else {
            return exec_err!("min and max take one value");
        };
        for span in spans.as_primitive::<IntervalMonthDayNanoType>().iter().flatten() {
            let is_next = match (self.found.map(nanos), self.largest) {
                (None, _) => true,
                (Some(found), true) => nanos(span) > found,
                (Some(found), false) => nanos(span) < found,
            };
            if is_next {
                self.found = Some(span);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::IntervalMonthDayNano(self.found))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: the shortest and the longest are found, of all rows and by groups. Method: intervals of which other ones have more months or
    // days, nulls, no rows, and constants, of which there are statistics, against answers of PostgreSQL 15; by a plan that travelled too.
    #[tokio::test]
    async fn the_shortest_and_the_longest() {
        let lake = Lake::new();
        let rows = "(VALUES (1, INTERVAL '1 month'), (1, INTERVAL '31 days'), (1, NULL), (2, INTERVAL '25 hours'), \
                    (2, INTERVAL '1 day'), (3, NULL)) AS v (k, i)";
        let asked = "min(i) = INTERVAL '1 month', max(i) = INTERVAL '31 days', min(i) = INTERVAL '1 day', \
                     max(i) = INTERVAL '25 hours'";
        let grouped = format!("SELECT k, {asked} FROM {rows} GROUP BY k ORDER BY k");
        let wanted = ["1,true,true,false,false", "2,false,false,true,true", "3,,,,"];
        assert_eq!(lake.lines(&grouped).await, wanted);
        assert_eq!(lake.travelled(&grouped).await.expect("an answer"), wanted);
        let all = format!("SELECT {asked} FROM {rows}");
        assert_eq!(lake.lines(&all).await, ["false,true,true,false"]);
        let none = format!("SELECT min(i) IS NULL FROM {rows} WHERE k > 3");
        assert_eq!(lake.lines(&none).await, ["true"]);
        let constants = "SELECT min(i) = INTERVAL '1 month', max(i) = INTERVAL '31 days' \
                         FROM (SELECT INTERVAL '1 month' AS i UNION ALL SELECT INTERVAL '31 days') AS v";
        assert_eq!(lake.lines(constants).await, ["true,true"]);
    }
}
