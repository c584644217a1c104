mod vectors;

use std::sync::Arc;

use iceberg::spec::{
    Datum, NestedField, PrimitiveType, Schema, SortOrder, TableMetadata, TableMetadataBuilder, Type,
    UnboundPartitionSpec,
};
use serde_json::{Value, json};

use super::expression::{Filter, Names};
use super::literal::datum;
use super::{Pinned, PlanRequest};
use crate::error::CatalogError;
use tidewater_table::{Comparison, Part, Predicate, Verdict};

fn schema() -> Schema {
    let field = |id, name, kind| Arc::new(NestedField::optional(id, name, Type::Primitive(kind)));
    Schema::builder()
        .with_fields(vec![
            field(1, "id", PrimitiveType::Long),
            field(2, "Name", PrimitiveType::String),
            field(3, "score", PrimitiveType::Double),
            field(4, "day", PrimitiveType::Date),
        ])
        .build()
        .expect("a good schema")
}

fn table() -> TableMetadata {
    let spec = UnboundPartitionSpec::default();
    TableMetadataBuilder::new(
        schema(),
        spec,
        SortOrder::unsorted_order(),
        "memory:///lake/t".into(),
        iceberg::spec::FormatVersion::V2,
        [].into(),
    )
    .and_then(|builder| builder.build())
    .expect("good metadata")
    .metadata
}

fn bound(expression: Value) -> Result<Filter, CatalogError> {
    let schema = schema();
    let names = Names {
        schema: &schema,
        case_sensitive: true,
    };
    Filter::bind(&expression, names)
}

fn condition(expression: Value) -> Predicate {
    bound(expression).expect("a good filter").condition()
}

// Goal: each predicate of the protocol becomes the condition it means, and its negation the opposite that engines may read wider.
// Method: by hand, each with and without `not`.
#[test]
fn predicates_are_understood() {
    let is_null = |field_id| Predicate::IsNull { field_id };
    let compare = |comparison, value: i64| Predicate::compare(1, comparison, Datum::long(value));
    let value = |kind: &str| json!({"type": kind, "term": "id", "value": 5});
    let within = Predicate::In {
        field_id: 1,
        values: vec![Datum::long(1), Datum::long(2)],
    };
    let from = Predicate::compare(2, Comparison::GreaterOrEqual, Datum::string("ab"));
    let to = Predicate::compare(2, Comparison::Less, Datum::string("ac"));
    let nan = Predicate::IsNan { field_id: 3 };
    let not_prefixed = Predicate::compare(2, Comparison::Less, Datum::string("ab"))
        .or(Predicate::compare(2, Comparison::GreaterOrEqual, Datum::string("ac")))
        .or(is_null(2));
    let cases = [
        (json!({"type": "is-null", "term": "id"}), is_null(1), !is_null(1)),
        (
            json!({"type": "is-nan", "term": "score"}),
            nan.clone(),
            (!nan).or(is_null(3)),
        ),
        (
            value("lt"),
            compare(Comparison::Less, 5),
            compare(Comparison::GreaterOrEqual, 5),
        ),
        (
            value("gt"),
            compare(Comparison::Greater, 5),
            compare(Comparison::LessOrEqual, 5),
        ),
        (
            value("eq"),
            compare(Comparison::Equal, 5),
            compare(Comparison::NotEqual, 5).or(is_null(1)),
        ),
        (
            json!({"type": "in", "term": "id", "values": [1, 2]}),
            within.clone(),
            (!within).or(is_null(1)),
        ),
        (
            json!({"type": "starts-with", "term": {"type": "reference", "term": "Name"}, "value": "ab"}),
            from.and(to),
            not_prefixed,
        ),
    ];
    for (expression, expected, opposite) in cases {
        assert_eq!(condition(expression.clone()), expected, "{expression}");
        let negated = json!({"type": "not", "child": expression});
        assert_eq!(condition(negated.clone()), opposite, "{negated}");
        let twice = json!({"type": "not", "child": negated});
        assert_eq!(condition(twice), expected, "{expression} negated twice");
    }
    let kinds = [
        "not-null",
        "not-nan",
        "gt-eq",
        "lt-eq",
        "not-eq",
        "not-in",
        "not-starts-with",
    ];
    for (kind, base) in kinds
        .into_iter()
        .zip(["is-null", "is-nan", "lt", "gt", "eq", "in", "starts-with"])
    {
        let full = |kind: &str| {
            json!({"type": kind, "term": if kind.contains("starts") {"Name"} else {"score"},
            "value": if kind.contains("starts") {json!("x")} else {json!(1.5)}, "values": [1.5]})
        };
        let negated = json!({"type": "not", "child": full(base)});
        assert_eq!(condition(full(kind)), condition(negated), "{kind}");
    }
}

// Goal: what cannot be understood is refused when it is wrong, and prunes nothing when it is only odd. Method: a table of both.
#[test]
fn odd_filters_are_refused_or_prune_nothing() {
    for wrong in [
        json!(null),
        json!("x"),
        json!({}),
        json!({"type": "like", "term": "id", "value": 1}),
        json!({"type": "eq", "term": "id"}),
        json!({"type": "eq", "value": 1}),
        json!({"type": "eq", "term": "none", "value": 1}),
        json!({"type": "eq", "term": "name", "value": "x"}),
        json!({"type": "eq", "term": 7, "value": 1}),
        json!({"type": "in", "term": "id", "value": 1}),
        json!({"type": "not"}),
        json!({"type": "and", "left": true}),
        json!({"type": "eq", "term": {"type": "transform", "transform": "day", "term": "none"}, "value": 1}),
    ] {
        let error = bound(wrong.clone()).expect_err("refused");
        assert_eq!(error.status_and_type().0, 400, "{wrong}");
    }
    for odd in [
        json!({"type": "eq", "term": "id", "value": "5"}),
        json!({"type": "eq", "term": "id", "value": 1e300}),
        json!({"type": "lt", "term": "day", "value": "yesterday"}),
        json!({"type": "in", "term": "id", "values": [1, "x"]}),
        json!({"type": "starts-with", "term": "Name", "value": "\u{10ffff}"}),
        json!({"type": "starts-with", "term": "id", "value": "1"}),
        json!({"type": "eq", "term": {"type": "transform", "transform": "bucket[4]", "term": "id"}, "value": 1}),
    ] {
        assert_eq!(condition(odd.clone()), Predicate::Always, "{odd}");
    }
}

// Goal: values are read as their column has them, and one that would be rounded is not. Method: by hand.
#[test]
fn values_are_exact() {
    let decimal = PrimitiveType::Decimal { precision: 9, scale: 2 };
    let read = |value: Value, kind: &PrimitiveType| datum(&value, kind);
    assert_eq!(
        read(json!("2024-03-01"), &PrimitiveType::Date),
        Some(Datum::date(19_783))
    );
    assert_eq!(read(json!(0.5), &PrimitiveType::Float), Some(Datum::float(0.5)));
    assert_eq!(read(json!(0.1), &PrimitiveType::Float), None);
    assert!(read(json!("14.20"), &decimal).is_some());
    assert_eq!(read(json!("14.20"), &decimal), read(json!(14.2), &decimal));
    assert_eq!(read(json!("14.205"), &decimal), None);
    let second = Some(Datum::timestamptz_micros(1_000_000));
    for text in [
        "1970-01-01T00:00:01+00:00",
        "1970-01-01T00:00:01.000",
        "1970-01-01T00:00:01Z",
    ] {
        assert_eq!(read(json!(text), &PrimitiveType::Timestamptz), second, "{text}");
    }
    assert_eq!(
        read(json!("1970-01-01T01:00:01+01:00"), &PrimitiveType::Timestamptz),
        None
    );
}

// Goal: a residual is what is left to check. Method: an expression with each verdict for its leaves.
#[test]
fn residuals_leave_out_what_is_settled() {
    let leaf = |name: &str| json!({"type": "is-null", "term": name});
    let both = |kind: &str| json!({"type": kind, "left": leaf("id"), "right": leaf("score")});
    let residual = |expression: Value, id: Verdict| {
        let verdict = move |condition: &Predicate| match condition {
            Predicate::IsNull { field_id: 1 } => id,
            _ => Verdict::Unknown,
        };
        bound(expression).expect("a good filter").residual(&verdict).to_json()
    };
    assert_eq!(residual(both("and"), Verdict::EveryRow), leaf("score"));
    assert_eq!(residual(both("and"), Verdict::NoRow), json!(false));
    assert_eq!(residual(both("or"), Verdict::EveryRow), json!(true));
    assert_eq!(residual(both("or"), Verdict::NoRow), leaf("score"));
    assert_eq!(residual(both("or"), Verdict::Unknown), both("or"));
    assert_eq!(residual(leaf("id"), Verdict::EveryRow), json!(true));
}

fn pin(request: Value) -> Result<Pinned, CatalogError> {
    let request: PlanRequest = serde_json::from_value(request).expect("a request");
    request.pin(&table())
}

// Goal: names and snapshots are checked before anything is read. Method: a table of requests.
#[test]
fn requests_are_checked() {
    for wrong in [
        json!({"snapshot-id": 7}),
        json!({"start-snapshot-id": 1}),
        json!({"end-snapshot-id": 1}),
        json!({"snapshot-id": 1, "start-snapshot-id": 1, "end-snapshot-id": 2}),
        json!({"select": ["none"]}),
        json!({"stats-fields": ["none"]}),
        json!({"select": ["name"]}),
        json!({"filter": {"type": "eq", "term": "none", "value": 1}}),
    ] {
        assert_eq!(
            pin(wrong.clone()).expect_err("refused").status_and_type().0,
            400,
            "{wrong}"
        );
    }
    assert!(pin(json!({"select": ["name", "ID"], "case-sensitive": false, "stats-fields": ["NAME"]})).is_ok());
}

// Goal: a handle means the same everywhere and nothing on another table. Method: a round trip, then another table and damaged handles.
#[test]
fn handles_are_self_contained() {
    let table = table();
    let request: PlanRequest =
        serde_json::from_value(json!({"filter": {"type": "eq", "term": "id", "value": 1}, "stats-fields": ["id"]}))
            .expect("a request");
    let part = Part {
        first: 1,
        end: 2,
        skip: 3,
        take: usize::MAX,
    };
    let pinned = request.pin(&table).expect("a good request").of_part(part);
    let handle = pinned.handle().expect("written");
    assert_eq!(Pinned::read(&handle, "plan task", &table).expect("read"), pinned);
    let other = self::table();
    let long = "A".repeat(300 << 10);
    for (handle, table) in [
        (handle.as_str(), &other),
        ("", &table),
        ("e30", &table),
        ("%%%", &table),
        (&long, &table),
        (handle.get(1..).expect("longer"), &table),
    ] {
        let error = Pinned::read(handle, "plan task", table).expect_err("refused");
        assert_eq!(error.status_and_type(), (404, "NoSuchPlanTaskException"));
    }
}
