use super::*;
use crate::options::DefectRates;
use crate::value::Value;

fn small(seed: u64) -> WorldOptions {
    WorldOptions {
        seed,
        patients: 25,
        history_days: 30,
        changes_per_day: 3_000,
        ..WorldOptions::default()
    }
}

// Goal: keys are unique and NOT NULL columns filled at all times. Method: look at every row of every table after many steps.
#[test]
fn rows_keep_the_databases_rules() {
    let mut world = World::new(small(3)).unwrap();
    for _ in 0..4_000 {
        world.step();
    }
    for (id, table) in schema::tables() {
        let keys = table.key_positions();
        let mut seen = BTreeSet::new();
        for row in world.rows(*id) {
            assert_eq!(row.len(), table.columns.len());
            assert!(
                seen.insert(keys.iter().map(|key| row[*key].clone()).collect::<Vec<_>>()),
                "{}",
                table.name
            );
            for (column, value) in table.columns.iter().zip(row.iter()) {
                assert!(column.nullable || !value.is_null(), "{}.{}", table.name, column.name);
            }
        }
        assert!(!seen.is_empty(), "{} is empty", table.name);
    }
}

// Goal: tables stop growing at their limit. Method: a tiny hospital that runs long.
#[test]
fn tables_are_bounded() {
    let options = WorldOptions {
        patients: 2,
        history_days: 400,
        history_changes_per_patient: 8_000,
        ..small(4)
    };
    let world = World::new(options).unwrap();
    for (id, table) in schema::tables() {
        let rows_max = match table.rows_per_patient {
            0 => 200,
            rows => rows as usize * 2,
        };
        assert!(world.rows(*id).count() <= rows_max, "{}", table.name);
    }
    assert!(world.counts().deletes > 0);
}

// Goal: a world without defects has none. Method: every patient of an appointment was known, as nobody is ever forgotten here.
#[test]
fn no_defects_when_not_asked_for() {
    let mut world = World::new(WorldOptions {
        defects: DefectRates::NONE,
        ..small(5)
    })
    .unwrap();
    for _ in 0..1_000 {
        world.step();
    }
    let counts = world.counts();
    assert_eq!(
        (counts.nulls, counts.orphans, counts.out_of_range, counts.future_dates),
        (0, 0, 0, 0)
    );
    let (appointments, table) = schema::table("appointments").unwrap();
    let patient = table.position("patient_id").unwrap();
    assert!(world.rows(appointments).all(|row| row[patient] != Value::Null));
}

// Goal: a pause moves the clock once, and a world made with it in its options does the same. Method: two worlds side by side.
#[test]
fn pauses_are_part_of_the_options() {
    let mut paused = World::new(small(6)).unwrap();
    for _ in 0..100 {
        paused.step();
    }
    let later_ms = paused.now_ms() + 3_600_000;
    paused.pause_until(later_ms);
    let mut replayed = World::new(paused.options().clone()).unwrap();
    for _ in 0..100 {
        replayed.step();
    }
    assert!(replayed.now_ms() < later_ms);
    let (first, second) = (paused.step(), replayed.step());
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert!(paused.now_ms() >= later_ms && paused.now_ms() == replayed.now_ms());
}

// Goal: days are busier than nights. Method: count changes by the hour over two days.
#[test]
fn days_are_busier_than_nights() {
    let mut world = World::new(small(7)).unwrap();
    let (begun, mut hours) = (world.now_ms(), [0_usize; 24]);
    while world.now_ms() < begun + 2 * 86_400_000 {
        let hour = usize::try_from(world.now_ms().rem_euclid(86_400_000) / 3_600_000).unwrap();
        hours[hour] += world
            .step()
            .iter()
            .map(|transaction| transaction.changes.len())
            .sum::<usize>();
    }
    assert!(
        hours[9..12].iter().sum::<usize>() > 4 * hours[1..4].iter().sum::<usize>(),
        "{hours:?}"
    );
}
