use std::sync::Arc;

use iceberg::spec::{ListType, Literal, NestedField, PrimitiveType, Schema, StructType, Type};

use super::misfit;
use crate::alter::{Alteration, ColumnPath, NewColumn, alter_table};
use crate::catalog::{Catalog, CommitOutcome};
use crate::change::Change;
use crate::commit::{CommitOptions, plan_commit};
use crate::error::TableError;
use crate::sample::Lake;

fn long() -> Type {
    Type::Primitive(PrimitiveType::Long)
}

fn text() -> Type {
    Type::Primitive(PrimitiveType::String)
}

fn schema(fields: impl IntoIterator<Item = NestedField>) -> Schema {
    let fields = fields.into_iter().map(Arc::new);
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn within(required: bool) -> Type {
    Type::Struct(StructType::new(vec![Arc::new(NestedField::new(
        4,
        "city",
        text(),
        required,
    ))]))
}

fn elements(required: bool) -> Type {
    Type::List(ListType {
        element_field: Arc::new(NestedField::list_element(6, text(), required)),
    })
}

fn written() -> Vec<NestedField> {
    vec![
        NestedField::required(1, "id", long()),
        NestedField::optional(2, "name", text()),
        NestedField::optional(3, "address", within(false)),
        NestedField::optional(5, "tags", elements(false)),
    ]
}

/// The fields as they were written, with one of them changed.
fn with(at: usize, field: NestedField) -> Vec<NestedField> {
    let mut fields = written();
    fields[at] = field;
    fields
}

fn and(field: NestedField) -> Vec<NestedField> {
    let mut fields = written();
    fields.push(field);
    fields
}

// Goal: files join a table whose columns changed as long as readers find in them what was written, and nothing that is forbidden. Method:
// one change after the other, on top and within columns.
#[test]
fn what_fits_is_told() {
    let mut turned = written();
    turned.reverse();
    let fit = [
        written(),
        turned,
        with(1, NestedField::optional(2, "called", text())),
        with(0, NestedField::optional(1, "id", long())),
        and(NestedField::optional(7, "late", text())),
        and(NestedField::required(7, "late", long()).with_initial_default(Literal::long(1))),
    ];
    for now in fit {
        let now = schema(now);
        assert_eq!(misfit(&schema(written()), &now), None, "{now:?}");
    }
    let unfit = [
        (with(1, NestedField::optional(7, "name", text())), "name is gone"),
        (
            with(1, NestedField::required(2, "name", text())),
            "name must not be null",
        ),
        (with(1, NestedField::optional(2, "name", long())), "name is of type"),
        (and(NestedField::required(7, "late", text())), "late was added"),
        (
            with(2, NestedField::optional(3, "address", within(true))),
            "city must not be null",
        ),
        (
            with(3, NestedField::optional(5, "tags", elements(true))),
            "element must not be null",
        ),
        (written().into_iter().skip(1).collect(), "id is gone"),
    ];
    for (now, word) in unfit {
        let reason = misfit(&schema(written()), &schema(now)).expect(word);
        assert!(reason.contains(word), "{reason}");
    }
}

// Goal: files that no longer fit are refused, others go on. Method: a table is altered between the writing of files and their commit.
#[tokio::test]
async fn columns_change_before_the_commit() {
    let flag = || ColumnPath::from("flag");
    let late = NewColumn::new("late", text());
    let alterations = [
        (Alteration::DropColumn(flag()), false),
        (Alteration::SetRequired(flag(), true), false),
        (Alteration::RenameColumn(flag(), "mark".into()), true),
        (Alteration::AddColumn(late), true),
    ];
    for (alteration, fits) in alterations {
        let lake = Lake::new(&[], &[]).await;
        let schema = lake.table().await.metadata.current_schema().clone();
        let change = Change::append(lake.files(&[1, 2], 0).await).of_schema(&schema);
        alter_table(
            &lake.catalog,
            &lake.store,
            &lake.name,
            std::slice::from_ref(&alteration),
        )
        .await
        .expect("an alteration");
        match lake.commit(&change).await {
            Ok(_) => assert!(fits, "{alteration:?}"),
            Err(TableError::Conflict { reason, .. }) => {
                assert!(
                    !fits && reason.contains("columns were changed"),
                    "{alteration:?}: {reason}"
                );
            }
            Err(error) => panic!("{alteration:?}: {error:?}"),
        }
    }
}

// Goal: a change of columns after the plan is no way around: the plan is refused, and the change is judged again. Method: a planned
// append that meets a new column, sent as it is and then as a change.
#[tokio::test]
async fn columns_change_after_the_plan() {
    let lake = Lake::new(&[], &[]).await;
    let table = lake.table().await;
    let change = Change::append(lake.files(&[1, 2], 0).await).of_schema(table.metadata.current_schema());
    let plan = plan_commit(&lake.store, &table, &change, &CommitOptions::default())
        .await
        .expect("a plan");
    let late = Alteration::AddColumn(NewColumn::new("late", text()));
    alter_table(&lake.catalog, &lake.store, &lake.name, &[late])
        .await
        .expect("an alteration");
    let sent = lake.catalog.commit(vec![plan.commit]).await.expect("an answer");
    assert!(matches!(sent, CommitOutcome::Conflict { .. }), "{sent:?}");
    lake.commit(&change).await.expect("a commit");
    let rows = lake.summary().await;
    assert_eq!(rows["total-records"], "2");
}
