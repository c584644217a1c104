use datafusion::arrow::datatypes::{Field, Schema};
use tidewater_security::{Grant, Grantee, Policy, Privilege, Resource};

use super::*;

/// A table with rows, and a view over it.
fn relations() -> Relations {
    let columns: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
    let view = of_view(&"gold.v".parse().expect("a name"), &columns);
    let table = Relation {
        name: "t".into(),
        view: false,
        rows: 7,
        bytes: 8192,
        ..view.clone()
    };
    let view = Relation {
        definition: Some("SELECT id FROM gold.t WHERE id <> 5".into()),
        ..view
    };
    Relations::new(BTreeSet::new(), vec![table, view])
}

/// What there is for whoever was granted this on the schema.
fn seen_with(privilege: Privilege) -> Relations {
    let policy = Policy {
        in_force: true,
        grants: vec![Grant {
            to: Grantee::User("ana".into()),
            on: Resource::Namespace(vec!["gold".into()]),
            privileges: privilege.into(),
        }],
        ..Policy::default()
    };
    relations().seen_by(&Access::compile(&policy, "ana"))
}

// Goal: how much a table holds and what a view says is told to who may read them, and to nobody who may do something else with them, who
// knows that they are there and what columns they have. Method: each privilege alone.
#[test]
fn counts_and_texts_are_for_readers() {
    use Privilege::{Alter, Delete, Drop, Insert, ManageGrants, Select, Update, Usage};
    for privilege in [Usage, Select, Insert, Update, Delete, Alter, Drop, ManageGrants] {
        let seen = seen_with(privilege);
        let told = |name| {
            let found = seen.named(name, &[]).expect("it is there");
            assert_eq!(found.columns.len(), 1, "{name} with {privilege}");
            (found.rows, found.bytes, found.definition.is_some())
        };
        let (table, view) = match privilege {
            Select => ((7, 8192, false), (0, 0, true)),
            _ => ((0, 0, false), (0, 0, false)),
        };
        assert_eq!((told("gold.t"), told("gold.v")), (table, view), "{privilege}");
    }
}
