use tidewater_core::Coded;

use super::*;

fn parse(text: &str) -> Result<Model> {
    Model::parse(Path::new("models/silver/m.sql"), "silver.m", text)
}

// Goal: every key means what it says. Method: a model with all of them.
#[test]
fn all_keys() {
    let text = "-- a licence\n\n/*---\nname: silver.records\nkind: cdc\nsource: bronze.records\nkey: [id, part]\n\
        sequence_by: [source.lsn, ts_ms]\ndelete_when: \"op = 'd'\"\npartition_by: [\"bucket(16, id)\", days(at)]\n\
        sort_by: [id, at desc]\ntarget_lag: 1 minute\ntags: phi\ngroup: g\non_schema_change: fail\n\
        columns:\n  id: {type: long, description: who, phi: mrn}\nowner: me\ndescription: it\n---*/\n\
        SELECT after.* FROM bronze.records";
    let model = parse(text).expect("a model");
    assert_eq!(model.name.to_string(), "silver.records");
    let Kind::Cdc(cdc) = &model.kind else { panic!("kind") };
    assert_eq!(
        (cdc.key.len(), cdc.sequence_by.len(), cdc.on_schema_change),
        (2, 2, OnSchemaChange::Fail)
    );
    let partitions: Vec<String> = model.partition_by.iter().map(ToString::to_string).collect();
    assert_eq!(partitions, ["bucket(16, id)", "day(at)"]);
    assert!(model.sort_by[1].descending);
    assert_eq!(model.target_lag, TargetLag::Within(Duration::from_secs(60)));
    assert_eq!(model.columns["id"].phi.as_deref(), Some("mrn"));
    assert_eq!(model.tags, ["phi"]);
}

// Goal: layout of the text does not make a model another one, its meaning does. Method: fingerprints side by side.
#[test]
fn fingerprints() {
    let one = parse("/*---\nkind: table\n---*/ SELECT a,b FROM silver.x").expect("a model");
    let same =
        parse("/*---\nkind: table\ndescription: more\n---*/\n-- why\nselect a, b\nFROM silver.x;").expect("a model");
    let other = parse("/*---\nkind: table\n---*/ SELECT a, c FROM silver.x").expect("a model");
    let sorted = parse("/*---\nkind: table\nsort_by: a\n---*/ SELECT a, b FROM silver.x").expect("a model");
    assert_eq!(one.fingerprint, same.fingerprint);
    assert_ne!(one.fingerprint, other.fingerprint);
    assert_ne!(one.fingerprint, sorted.fingerprint);
}

// Goal: each mistake has its code, its line and a sentence that helps. Method: one mistake each.
#[test]
fn mistakes() {
    let cases = [
        (
            "SELECT 1",
            "PIP-0002",
            "models/silver/m.sql:1: the file does not begin with a header",
        ),
        ("/*---\nkind: table\nSELECT 1", "PIP-0002", "the header does not end"),
        (
            "/*---\nkind: table\ntargetlag: 1s\n---*/ SELECT 1",
            "PIP-0003",
            "models/silver/m.sql:3: unknown key targetlag",
        ),
        (
            "/*---\nkind: table\nchecks: []\n---*/ SELECT 1",
            "PIP-0005",
            "models/silver/m.sql:3: key checks is not supported",
        ),
        (
            "/*---\nkind: merge\n---*/ SELECT 1",
            "PIP-0005",
            "kind merge is not supported",
        ),
        ("/*---\nkind: tabel\n---*/ SELECT 1", "PIP-0004", "did you mean table?"),
        ("/*---\ntags: x\n---*/ SELECT 1", "PIP-0004", "key kind is missing"),
        (
            "/*---\nkind: table\ntarget_lag: soon\n---*/ SELECT 1",
            "PIP-0004",
            "\"soon\" is no duration",
        ),
        (
            "/*---\nkind: table\npartition_by: bucket(x)\n---*/ SELECT 1",
            "PIP-0004",
            "write a column, or bucket(n, column)",
        ),
        (
            "/*---\nkind: view\nsort_by: a\n---*/ SELECT 1",
            "PIP-0004",
            "a view stores nothing",
        ),
        (
            "/*---\nkind: table\nsource: bronze.a\n---*/ SELECT 1",
            "PIP-0004",
            "source is only for kind cdc",
        ),
        (
            "/*---\nkind: table\n---*/\n\nSELECT (a FROM b",
            "PIP-0006",
            "models/silver/m.sql:5",
        ),
        (
            "/*---\nkind: table\n---*/ DROP TABLE x",
            "PIP-0006",
            "a model is a query",
        ),
        (
            "/*---\nkind: table\n---*/ SELECT 1; SELECT 2",
            "PIP-0006",
            "several statements",
        ),
        ("/*---\nkind: table\n---*/", "PIP-0006", "the file holds no query"),
        (
            "/*---\nkind: cdc\n---*/ SELECT after.* FROM bronze.a",
            "PIP-0004",
            "kind cdc needs key",
        ),
        (
            "/*---\nkind: cdc\nkey: id\n---*/",
            "PIP-0004",
            "kind cdc without SQL needs source",
        ),
        (
            "/*---\nkind: cdc\nkey: id\nsource: bronze.b\n---*/ SELECT after.* FROM bronze.a",
            "PIP-0004",
            "reads another table",
        ),
        (
            "/*---\nkind: cdc\nkey: id\n---*/ SELECT * FROM bronze.a",
            "PIP-0011",
            "write after.*",
        ),
        (
            "/*---\nkind: cdc\nkey: id\n---*/ SELECT after.id FROM bronze.a GROUP BY 1",
            "PIP-0011",
            "GROUP BY has no meaning",
        ),
        (
            "/*---\nkind: cdc\nkey: id\n---*/ SELECT after.id FROM bronze.a a JOIN bronze.a b ON true",
            "PIP-0011",
            "joins have no meaning",
        ),
        ("/*---\nkind: [\n---*/ SELECT 1", "PIP-0004", "models/silver/m.sql"),
    ];
    for (text, code, says) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
    let error = parse("/*---\nkind: table\ntargetlag: 1s\n---*/ SELECT 1").expect_err("unknown key");
    assert_eq!(error.hint().as_deref(), Some("did you mean target_lag?"));
}
