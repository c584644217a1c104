//! Whose a table is, as its mark tells where grants bind.

use arrow::datatypes::{DataType, Field, Schema};
use tidewater_core::TableName;
use tidewater_table::iceberg::TableUpdate;
use tidewater_table::marks::{DEAD_LETTERS_KEY, TOPIC_KEY};
use tidewater_table::schema::from_arrow;
use tidewater_table::{Catalog, CommitOutcome, NewTable, TableCommit};

use super::{World, wait_for};

// Goal: where grants bind, a topic's rows go into no table that somebody put there first, until that one is marked for the topic, while other
// topics go on. Method: such a table, before and after it is marked.
#[test]
fn a_table_of_somebody_else_gets_no_rows() {
    let mut world = World::new();
    let schema = Schema::new(vec![Field::new("_topic", DataType::Utf8, true)]);
    let name: TableName = "bronze.orders".parse().expect("a name");
    let mut table = NewTable::new(name, from_arrow(&schema, 1).expect("a schema"));
    world.log.bind();
    world.append("a.public.users", 5, 100);
    let process = world.start();
    process.runtime.block_on(world.log.make(&table));
    world.wait(&process);
    world.append("a.public.orders", 5, 100);
    let halted = || process.ingest.status().partitions.iter().any(|p| p.state == "halted");
    wait_for(&process, halted);
    let status = process.ingest.status();
    let halted: Vec<_> = status.partitions.iter().filter(|p| p.state == "halted").collect();
    assert_eq!((halted.len(), halted[0].topic.as_str()), (1, "a.public.orders"));
    let reason = halted[0].reason.as_deref();
    assert!(
        reason.is_some_and(|reason| reason.starts_with("ING-0013")),
        "{status:#?}"
    );
    assert_eq!(world.log.next_offset("a.public.orders", 0), None);
    let orders = &world.log.tables()[0];
    assert_eq!((orders.name.name(), orders.metadata.snapshots().len()), ("orders", 0));
    table.properties = [(TOPIC_KEY.to_owned(), "a.public.orders".to_owned())].into();
    process.runtime.block_on(world.log.make(&table));
    process.stop();
    let process = world.start();
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}

// Goal: tables that earlier versions made without a mark go on where grants bind. Method: all tables lose their marks between two runs, and
// grants bind from then on.
#[test]
fn unmarked_tables_of_earlier_versions_go_on() {
    let mut world = World::new();
    world.append("db.public.users", 20, 10);
    let process = world.start();
    world.wait(&process);
    for table in world.log.tables() {
        let removals = vec![TOPIC_KEY.to_owned(), DEAD_LETTERS_KEY.to_owned()];
        let marked = removals
            .iter()
            .any(|mark| table.metadata.properties().contains_key(mark));
        assert!(marked, "{}", table.name);
        let commit = TableCommit {
            name: table.name.clone(),
            requirements: Vec::new(),
            updates: vec![TableUpdate::RemoveProperties { removals }],
        };
        let outcome = process.runtime.block_on(world.log.commit(vec![commit]));
        assert!(matches!(outcome, Ok(CommitOutcome::Committed(_))), "{outcome:?}");
    }
    world.log.bind();
    process.stop();
    let process = world.start();
    world.append("db.public.users", 20, 10);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}
