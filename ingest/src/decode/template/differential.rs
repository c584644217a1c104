//! Records with templates and without, and whatever may be done to a buffer between them.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use proptest::prelude::*;

use super::mutated::{Dice, Tree, damage};
use crate::decode::{DecodeOptions, KeepRaw, TopicBuffer};
use crate::record::Record;
use crate::testing::{fixtures, record};

const NOW_MS: i64 = 1_767_225_600_000;

/// Most records of a case.
const RECORDS_MAX: usize = 200;

/// Whatever the fixtures have little of: columns of lists and structs whose values may be out of range, messages, truncates, rows
/// alone with few fields or all fields about the change, and what Debezium writes about itself.
const MADE: &[&str] = &[
    concat!(
        r#"{"schema":{"type":"struct","name":"m.Envelope","fields":["#,
        r#"{"field":"before","type":"struct","fields":[{"field":"id","type":"int64"},{"field":"days","type":"array","items":{"type":"int32","name":"io.debezium.time.Date"}},"#,
        r#"{"field":"part","type":"struct","fields":[{"field":"d","type":"int32","name":"io.debezium.time.Date"},{"field":"n","type":"int32"},{"field":"s","type":"string"}]},"#,
        r#"{"field":"parts","type":"array","items":{"type":"struct","fields":[{"field":"d","type":"int32","name":"io.debezium.time.Date"},{"field":"n","type":"int32"}]}},"#,
        r#"{"field":"any","type":"map","keys":{"type":"string"},"values":{"type":"string"}},{"field":"f","type":"float"},{"field":"at","type":"int64","name":"io.debezium.time.NanoTimestamp"}]},"#,
        r#"{"field":"after","type":"struct","fields":[{"field":"id","type":"int64"},{"field":"days","type":"array","items":{"type":"int32","name":"io.debezium.time.Date"}},"#,
        r#"{"field":"part","type":"struct","fields":[{"field":"d","type":"int32","name":"io.debezium.time.Date"},{"field":"n","type":"int32"},{"field":"s","type":"string"}]},"#,
        r#"{"field":"parts","type":"array","items":{"type":"struct","fields":[{"field":"d","type":"int32","name":"io.debezium.time.Date"},{"field":"n","type":"int32"}]}},"#,
        r#"{"field":"any","type":"map","keys":{"type":"string"},"values":{"type":"string"}},{"field":"f","type":"float"},{"field":"at","type":"int64","name":"io.debezium.time.NanoTimestamp"}]},"#,
        r#"{"field":"source","type":"struct","fields":[{"field":"lsn","type":"int64"},{"field":"ts_ms","type":"int64"}]},{"field":"op","type":"string"},{"field":"ts_ms","type":"int64"}]},"#,
        r#""payload":{"before":{"id":12,"days":[1,2],"part":{"d":1,"n":2,"s":"x"},"parts":[{"d":3,"n":4}],"any":{"k":"v"},"f":1.5,"at":1767225600000000000},"#,
        r#""after":{"id":12,"days":[1,99999999999],"part":{"d":1,"n":2,"s":"x"},"parts":[{"d":3,"n":4},null],"any":{"k":"v"},"f":2.5,"at":1767225600000000001},"source":{"lsn":55,"ts_ms":1767225600123},"op":"u","ts_ms":1767225600124}}"#,
    ),
    r#"{"before":null,"after":{"id":12,"name":"a text","days":[1,2],"tags":["a","b"],"cost":"12.50","date":"2026-01-08","at":1767225600000000},"source":{"lsn":56,"ts_ms":1767225600123},"op":"c","ts_ms":1767225600124}"#,
    r#"{"before":{"id":12,"name":"a text","days":[1],"cost":"12.50"},"after":null,"source":{"lsn":57,"ts_ms":1767225600123},"transaction":{"id":"t","total_order":11,"data_collection_order":12},"op":"d","ts_ms":1767225600124}"#,
    r#"{"before":{"name":"a text","id":12},"after":{"id":12,"name":"other"},"source":{"lsn":57},"op":"u","ts_ms":1767225600124}"#,
    r#"{"before":null,"after":null,"source":{"lsn":58,"ts_ms":1767225600123},"op":"t","ts_ms":1767225600124}"#,
    r#"{"op":"m","ts_ms":1767225600124,"source":{"lsn":59},"message":{"prefix":"p","content":"B9A="}}"#,
    r#"{"id":12,"name":"a text","days":[1,2],"cost":1.25}"#,
    r#"{"id":12,"name":"a text","__deleted":"false","__op":"u","__lsn":61,"__source_ts_ms":1767225600123,"__ts_ms":1767225600124}"#,
    r#"{"id":12,"name":null,"__deleted":"true","__op":"d","__lsn":62,"__source_ts_ms":1767225600123,"__ts_ms":1767225600124}"#,
    r#"{"ts_ms":1767225600124}"#,
    r#"{"status":"BEGIN","id":"x","event_count":null,"data_collections":null,"ts_ms":1767225600124}"#,
    r#"{"source":{"lsn":60},"ts_ms":1767225600124,"ddl":"CREATE","tableChanges":[]}"#,
];

const KEYS: &[&str] = &[
    r#"{"id":12}"#,
    r#"{"id":12,"part":"a"}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"id","type":"int64"}],"name":"k"},"payload":{"id":12}}"#,
    r#"{"schema":{"type":"string"},"payload":"k"}"#,
    r#"{"serverName":"s"}"#,
    "{}",
    "12",
    "plain",
];

/// A key, if there is one, and a value; trees where they are JSON.
#[derive(Clone)]
struct Part {
    tree: Option<Tree>,
    bytes: Option<Bytes>,
}

impl Part {
    fn of(bytes: Option<&Bytes>) -> Self {
        Self {
            tree: bytes.and_then(|bytes| Tree::of(bytes)),
            bytes: bytes.cloned(),
        }
    }

    fn of_text(text: &'static str) -> Self {
        Self::of(Some(&Bytes::from_static(text.as_bytes())))
    }
}

/// Records of tables that are alike, from which those of a case are made.
fn families() -> &'static [Vec<(Part, Part)>] {
    static FAMILIES: OnceLock<Vec<Vec<(Part, Part)>>> = OnceLock::new();
    FAMILIES.get_or_init(|| {
        let mut families: BTreeMap<String, Vec<(Part, Part)>> = BTreeMap::new();
        for record in fixtures() {
            let name = record.partition.topic.rsplit('.').next().unwrap_or_default();
            let part = (Part::of(record.key.as_ref()), Part::of(record.value.as_ref()));
            families.entry(name.to_owned()).or_default().push(part);
        }
        let made = MADE.iter().zip(KEYS.iter().cycle());
        let made = made.map(|(value, key)| (Part::of_text(key), Part::of_text(value)));
        let mut families: Vec<_> = families.into_values().collect();
        // As often as some others together, and half of it the one with the most types.
        let made: Vec<_> = made.collect();
        families.extend(vec![made.clone(); 6]);
        families.extend(vec![made[..1].to_vec(); 3]);
        families
    })
}

/// What happens next.
#[derive(Debug, Clone)]
struct Next {
    /// Of the family.
    which: prop::sample::Index,
    /// What becomes of it; 0 is that it comes as it is.
    seed: u64,
}

fn next() -> impl Strategy<Value = Next> {
    (any::<prop::sample::Index>(), any::<u64>()).prop_map(|(which, seed)| Next { which, seed })
}

/// A key or a value as it comes.
fn bytes(part: &Part, others: &[(Part, Part)], dice: &mut Dice, manner: usize, odd_in: usize) -> Option<Bytes> {
    let Some(mut tree) = part.tree.clone() else {
        return part.bytes.clone();
    };
    tree.age(dice);
    if dice.one_in(odd_in) {
        for _ in 0..=dice.below(2) {
            let (_, other) = &others[dice.below(others.len())];
            let mut other = other.tree.clone().unwrap_or(Tree::List(Vec::new()));
            tree.change(&mut other, dice);
        }
    }
    let mut text = String::new();
    tree.write(manner, &mut text);
    let mut bytes = text.into_bytes();
    if dice.one_in(odd_in * 8) {
        damage(&mut bytes, dice);
    }
    Some(Bytes::from(bytes))
}

fn make((key, value): &(Part, Part), family: &[(Part, Part)], seed: u64, manner: usize, offset: i64) -> Record {
    let mut dice = Dice::new(seed);
    let mut made = record("t", offset, None, None);
    if dice.one_in(16) {
        made.partition.number = 1;
    }
    let manner = if dice.one_in(12) { manner + 1 } else { manner };
    made.value = bytes(value, family, &mut dice, manner, 3).filter(|_| !dice.one_in(40));
    made.key = match dice.below(24) {
        1 => None,
        2 => Some(Bytes::from_static(KEYS[dice.below(KEYS.len())].as_bytes())),
        _ => bytes(key, family, &mut dice, manner, 12),
    };
    made
}

fn options(hinted: bool, keep_raw: KeepRaw) -> DecodeOptions {
    let hints = [
        ("days", "list(date)"),
        ("cost", "decimal(10,2)"),
        ("date", "date_iso"),
        ("at", "timestamp_micros"),
        ("tags", "json"),
    ];
    let hints: HashMap<_, _> = hints
        .iter()
        .map(|(column, hint)| ((*column).to_owned(), (*hint).to_owned()))
        .collect();
    DecodeOptions {
        keep_raw,
        hints: hinted.then(|| ("t".to_owned(), hints)).into_iter().collect(),
        ..DecodeOptions::default()
    }
}

/// With templates and without.
struct Pair {
    usual: TopicBuffer,
    by_names: TopicBuffer,
}

impl Pair {
    fn new(options: &DecodeOptions) -> Self {
        let buffer = || TopicBuffer::new("t".into(), options.clone().into(), &Schema::empty());
        Self {
            usual: buffer(),
            by_names: buffer(),
        }
    }

    fn push(&mut self, record: &Record) -> Result<(), TestCaseError> {
        self.by_names.forget_templates();
        let (one, other) = (self.usual.push(record, NOW_MS), self.by_names.push(record, NOW_MS));
        prop_assert_eq!(one, other, "{:?}", record);
        prop_assert_eq!(self.usual.rows(), self.by_names.rows());
        prop_assert_eq!(self.usual.size_bytes(), self.by_names.size_bytes());
        prop_assert_eq!(self.usual.last_lsn(), self.by_names.last_lsn());
        Ok(())
    }

    fn take(&mut self) -> Result<Option<RecordBatch>, TestCaseError> {
        let one = self.usual.take().expect("sound columns");
        let other = self.by_names.take().expect("sound columns");
        if one != other {
            let (one, other) = (told(one.as_ref()), told(other.as_ref()));
            prop_assert_eq!(one, other);
            prop_assert!(false, "batches differ in what is not shown");
        }
        Ok(one)
    }
}

fn told(batch: Option<&RecordBatch>) -> Vec<String> {
    let columns = batch.into_iter().flat_map(|batch| {
        batch
            .schema()
            .fields()
            .iter()
            .cloned()
            .zip(batch.columns().to_vec())
            .collect::<Vec<_>>()
    });
    columns
        .map(|(field, column)| format!("{field:?}: {column:?}"))
        .collect()
}

fn values(texts: &[String]) -> Vec<Record> {
    texts
        .iter()
        .zip(0..)
        .map(|(text, at)| record("t", at, Some(r#"{"id":1}"#), Some(text)))
        .collect()
}

// Goal: a list or a struct of which a part is out of range keeps the other parts, of a template or not. Method: such values behind
// usual ones, then what was kept.
#[test]
fn parts_out_of_range() -> Result<(), TestCaseError> {
    let mut pair = Pair::new(&options(false, KeepRaw::OnLoss));
    let usual = MADE[0].to_owned();
    let odd = usual.replace(r#""part":{"d":1,"#, r#""part":{"d":88888888888,"#);
    for record in values(&[usual.clone(), usual.clone(), usual, odd]) {
        pair.push(&record)?;
    }
    assert_eq!(
        pair.usual.templates_used().0,
        2,
        "the first one tells its schema, the second one is learnt"
    );
    let told = told(pair.take()?.as_ref());
    let after = told
        .iter()
        .find(|told| told.contains("name: \"after\""))
        .expect("a column");
    // Of four lists, and of the struct's own column once.
    assert_eq!(after.matches("1970-01-02,\n  null,").count(), 4 + 1, "{after}");
    Ok(())
}

// Goal: changes leave enough as it is that templates are used and refused. Method: a long case of each family that was made.
#[test]
fn changed_records_are_often_of_templates() -> Result<(), TestCaseError> {
    for family in families()
        .iter()
        .filter(|family| family.len() == 1 || family.len() == MADE.len())
    {
        let mut pair = Pair::new(&options(true, KeepRaw::OnLoss));
        let mut dice = Dice::new(0x9e37_79b9_7f4a_7c15);
        for offset in 0..400 {
            let value = &family[dice.below(family.len())];
            let seed = u64::try_from(dice.below(usize::MAX)).expect("64 bits") | 1;
            pair.push(&make(value, family, seed, 0, offset))?;
        }
        pair.take()?;
        let (values, keys) = pair.usual.templates_used();
        assert!(
            (50..350).contains(&values) && keys > 50,
            "{values} values and {keys} keys of 400"
        );
    }
    Ok(())
}

// Goal: a field that stands twice in a schema is no way to another column. Method: such a schema, with values for both.
#[test]
fn doubtful_schemas_are_refused() {
    let row = r#"{"type":"struct","fields":[{"field":"a","type":"string"},{"field":"a","type":"bytes"}]}"#;
    let text = format!(r#"{{"schema":{row},"payload":{{"a":"B9A="}}}}"#);
    let mut pair = Pair::new(&options(false, KeepRaw::OnLoss));
    for record in values(&[text.clone(), text]) {
        let refused = pair.usual.push(&record, NOW_MS).expect_err("a doubtful schema");
        assert_eq!(tidewater_core::Coded::code(&refused), "ING-0111");
    }
}

// Goal: no record makes templates take more memory than they may. Method: records with megabytes of blanks, and with more fields
// around their rows than a tree has steps.
#[test]
fn templates_stay_small() -> Result<(), TestCaseError> {
    let envelope = |blank: &str, more: &str| {
        format!(r#"{{{blank}"before":null,"after":{{"id":1}},"source":{{"lsn":1}},"op":"c"{more}}}"#)
    };
    let fields =
        |from: usize, count: usize| -> String { (from..from + count).map(|at| format!(r#","f{at}":1"#)).collect() };
    let mut texts = vec![
        envelope("", ""),
        envelope(&" ".repeat(2 << 20), ""),
        envelope("", &fields(0, 100_000)),
    ];
    // Each fits, and all together do not.
    texts.extend((1..9).map(|at| envelope(&" ".repeat(at * 50_000), "")));
    texts.extend((1..9).map(|at| envelope("", &fields(at * 1_000, 900))));
    let mut pair = Pair::new(&options(false, KeepRaw::OnLoss));
    for record in values(&texts) {
        pair.push(&record)?;
        let sizes = pair.usual.template_sizes();
        assert!(
            sizes.iter().all(|(steps, bytes)| *steps <= 4096 && *bytes <= 1 << 20),
            "{sizes:?}"
        );
    }
    pair.take()?;
    Ok(())
}

proptest! {
    // More with `PROPTEST_CASES`.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    // Goal: whatever stands in a record, it becomes the same row, or is bad for the same reason, with templates and without. Method:
    // records of tables that are alike, each aged and some changed in structure or damaged, go into two buffers, one of which forgets
    // its templates before each; now and then batches are taken, or the table's columns are others.
    #[test]
    fn changed_records(
        family: prop::sample::Index,
        steps in prop::collection::vec(next(), 1..RECORDS_MAX),
        manner in 0..3_usize,
        hinted: bool,
        keep_raw in prop::sample::select(vec![KeepRaw::Always, KeepRaw::OnLoss]),
    ) {
        let family = family.get(families());
        let mut pair = Pair::new(&options(hinted, keep_raw));
        for (step, offset) in steps.iter().zip(0..) {
            pair.push(&make(step.which.get(family), family, step.seed, manner, offset))?;
            let mut dice = Dice::new(step.seed.rotate_left(17));
            if dice.one_in(40) {
                let batch = pair.take()?;
                if let Some(batch) = batch.filter(|_| dice.one_in(3)) {
                    pair.usual.rebase(&batch.schema());
                    pair.by_names.rebase(&batch.schema());
                }
            }
        }
        pair.take()?;
    }
}
