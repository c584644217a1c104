use std::collections::BTreeSet;

use super::*;
use crate::options::WorldOptions;

fn world() -> World {
    let options = WorldOptions {
        patients: 60,
        history_days: 45,
        changes_per_day: 5_000,
        ..WorldOptions::default()
    };
    let mut world = World::new(options).unwrap();
    for _ in 0..3_000 {
        world.step();
    }
    world
}

// Goal: gold tables are whole: one row a key, sorted, no column always empty. Method: look at all rows of all tables.
#[test]
fn gold_is_whole() {
    let world = world();
    let oracle = Oracle::new(&world);
    for (name, keys) in [("patient_360", 1), ("provider_metrics", 2), ("operational_kpis", 1)] {
        let rows = oracle.gold(name, world.now_ms()).unwrap();
        let of_row = |row: &OracleRow| {
            row.iter()
                .take(keys)
                .map(|(_, cell)| cell.sort_text())
                .collect::<Vec<_>>()
        };
        let sorted: BTreeSet<_> = rows.iter().map(of_row).collect();
        assert_eq!(
            sorted.into_iter().collect::<Vec<_>>(),
            rows.iter().map(of_row).collect::<Vec<_>>(),
            "{name}"
        );
        for (position, (column, _)) in rows[0].iter().enumerate() {
            assert!(
                rows.iter().any(|row| row[position].1 != Cell::Null),
                "{name}.{column} is always null"
            );
        }
    }
}

// Goal: every column the hospital's plan asks for is there. Method: count, and the names of some.
#[test]
fn gold_has_the_planned_columns() {
    let world = world();
    let oracle = Oracle::new(&world);
    let columns = |name: &str| {
        oracle.gold(name, world.now_ms()).unwrap()[0]
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
    };
    assert_eq!(columns("patient_360").len(), 29);
    assert_eq!(columns("provider_metrics").len(), 18);
    assert_eq!(columns("operational_kpis").len(), 28);
}

// Goal: a line is JSON with members in column order. Method: a row with every kind of cell.
#[test]
fn lines_are_json() {
    let row: OracleRow = vec![
        ("b", Cell::Text("x\"y".into())),
        (
            "a",
            Cell::List(vec![Cell::Null, Cell::Struct(vec![("z", Cell::count(3))])]),
        ),
    ];
    assert_eq!(line(&row), r#"{"b":"x\"y","a":[null,{"z":"3"}]}"#);
}
