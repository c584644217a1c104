//! What statements do to a table, worked out in plain Rust, and the replay that finds them again in what each snapshot holds.

use tidewater_core::{Rng, SeededRng};

/// Those that write at the same time. Each has its own ids to bring in by `MERGE`, and its own to delete: what it did is known by that.
pub const WRITERS: i64 = 8;

/// Partitions: few, so that writers meet.
const PARTS: i64 = 8;

/// Ids that a writer merges: all writers change the rows that have them.
const MERGED: i64 = 3;

/// Above the ids that are merged come those of `INSERT`, each of which is there once.
const INSERTED_FROM: i64 = 1_000;

/// Ids and tokens of a writer: far more than it has statements.
const STEPS_MAX: i64 = 1_000_000;

/// Rows that one statement brings at most.
const ROWS_MAX: i64 = 4;

/// Snapshots that an expiry keeps: more than are made before each of them was read.
const KEEP: i64 = 100;

/// A row: `id`, `part`, `n`, and the `token` of the statement that wrote it last.
pub type Row = [i64; 4];

/// The table that the statements are about.
pub const TABLE: &str = "CREATE TABLE meet.t (id bigint NOT NULL, part bigint NOT NULL, n bigint NOT NULL, token bigint NOT NULL) \
    PARTITIONED BY (part) TBLPROPERTIES ('write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read', \
    'write.merge.isolation-level' = 'snapshot')";

/// A statement. Those that change rows leave their token in them, or take rows that no other kind would.
#[derive(Debug, Clone)]
pub enum Change {
    Insert { rows: Vec<Row> },
    Add { id: i64, token: i64 },
    Move { part: i64, rest: i64, token: i64 },
    Merge { ids: [i64; 2], part: i64, token: i64 },
    Delete { part: i64, writer: i64 },
    Empty { part: i64 },
    Overwrite { part: i64, rows: Vec<Row> },
    Rewrite,
    Expire,
}

impl Change {
    /// What a writer does next.
    pub fn any(rng: &SeededRng, writer: i64, step: i64) -> Self {
        let below = |end: i64| i64::try_from(rng.below(end.unsigned_abs())).unwrap();
        let token = writer * STEPS_MAX + step;
        let part = below(PARTS);
        let rows = |count: i64| -> Vec<Row> {
            let first = INSERTED_FROM + token * WRITERS;
            (0..count)
                .map(|at| [first + (at + step) % WRITERS, part, 0, token])
                .collect()
        };
        let merged = |writer: i64, at: i64| writer + at * WRITERS;
        match below(20) {
            0..=5 => Self::Insert {
                rows: rows(1 + below(ROWS_MAX)),
            },
            6..=7 => Self::Add {
                id: merged(below(WRITERS), below(MERGED)),
                token,
            },
            8..=9 => Self::Move {
                part,
                rest: below(3),
                token,
            },
            10..=12 => {
                let first = below(MERGED);
                Self::Merge {
                    ids: [merged(writer, first), merged(writer, (first + 1) % MERGED)],
                    part,
                    token,
                }
            }
            13..=14 => Self::Delete { part, writer },
            15 => Self::Empty { part },
            16..=17 => Self::Overwrite {
                part,
                rows: rows(1 + below(ROWS_MAX)),
            },
            18 => Self::Rewrite,
            _ => Self::Expire,
        }
    }

    /// What it is called where they are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Insert { .. } => "insert",
            Self::Add { .. } => "update",
            Self::Move { .. } => "update of the partition",
            Self::Merge { .. } => "merge",
            Self::Delete { .. } => "delete",
            Self::Empty { .. } => "delete of a partition",
            Self::Overwrite { .. } => "overwrite",
            Self::Rewrite => "rewrite",
            Self::Expire => "expire",
        }
    }

    /// The statement.
    pub fn sql(&self) -> String {
        match self {
            Self::Insert { rows } => {
                let rows = listed(rows, |[id, part, n, token]| format!("({id}, {part}, {n}, {token})"));
                format!("INSERT INTO meet.t VALUES {rows}")
            }
            Self::Add { id, token } => format!("UPDATE meet.t SET n = n + 1, token = {token} WHERE id = {id}"),
            Self::Move { part, rest, token } => format!(
                "UPDATE meet.t SET part = (part + 1) % {PARTS}, token = {token} WHERE part = {part} AND id % 3 = {rest}"
            ),
            Self::Merge {
                ids: [one, other],
                part,
                token,
            } => format!(
                "MERGE INTO meet.t AS t USING (SELECT {one} AS id UNION ALL SELECT {other}) AS c ON t.id = c.id \
                 WHEN MATCHED THEN UPDATE SET n = t.n + 10, token = {token} \
                 WHEN NOT MATCHED THEN INSERT (id, part, n, token) VALUES (c.id, {part}, 0, {token})"
            ),
            Self::Delete { part, writer } => {
                format!("DELETE FROM meet.t WHERE part = {part} AND id % {WRITERS} = {writer}")
            }
            Self::Empty { part } => format!("DELETE FROM meet.t WHERE part = {part}"),
            Self::Overwrite { part, rows } => {
                let rows = listed(rows, |[id, _, n, token]| format!("({id}, {n}, {token})"));
                format!("INSERT OVERWRITE meet.t PARTITION (part = {part}) (id, n, token) VALUES {rows}")
            }
            Self::Rewrite => {
                "CALL system.rewrite_data_files(table => 'meet.t', options => map('min-input-files', '2'))".to_owned()
            }
            Self::Expire => format!(
                "CALL system.expire_snapshots(table => 'meet.t', older_than => TIMESTAMP '2999-01-01 00:00:00', retain_last => {KEEP})"
            ),
        }
    }

    /// The rows after it, in their order, and how many it is to say that it wrote or took.
    pub fn after(&self, before: &[Row]) -> (Vec<Row>, u64) {
        let mut rows = before.to_vec();
        let mut count = 0_usize;
        match self {
            Self::Insert { rows: new } => {
                count = new.len();
                rows.extend(new);
            }
            Self::Add { id, token } => {
                for row in rows.iter_mut().filter(|row| row[0] == *id) {
                    (row[2], row[3]) = (row[2] + 1, *token);
                    count += 1;
                }
            }
            Self::Move { part, rest, token } => {
                for row in rows.iter_mut().filter(|row| row[1] == *part && row[0] % 3 == *rest) {
                    (row[1], row[3]) = ((row[1] + 1) % PARTS, *token);
                    count += 1;
                }
            }
            Self::Merge { ids, part, token } => {
                for id in ids {
                    let mut matched = 0_usize;
                    for row in rows.iter_mut().filter(|row| row[0] == *id) {
                        (row[2], row[3]) = (row[2] + 10, *token);
                        matched += 1;
                    }
                    if matched == 0 {
                        rows.push([*id, *part, 0, *token]);
                    }
                    count += matched.max(1);
                }
            }
            Self::Delete { part, writer } => rows.retain(|row| row[1] != *part || row[0] % WRITERS != *writer),
            Self::Empty { part } => rows.retain(|row| row[1] != *part),
            Self::Overwrite { part, rows: new } => {
                rows.retain(|row| row[1] != *part);
                rows.extend(new);
                count = new.len();
            }
            Self::Rewrite | Self::Expire => {}
        }
        if matches!(self, Self::Delete { .. } | Self::Empty { .. }) {
            count = before.len() - rows.len();
        }
        rows.sort_unstable();
        (rows, u64::try_from(count).unwrap())
    }
}

fn listed(rows: &[Row], shown: impl Fn(&Row) -> String) -> String {
    rows.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// A statement that was answered, and the rows that it said it wrote or took.
#[derive(Debug, Clone)]
pub struct Told {
    pub change: Change,
    pub rows: u64,
}

impl Told {
    fn makes(&self, before: &State, after: &State) -> bool {
        let (rows, count) = self.change.after(&before.rows);
        rows == after.rows && count == self.rows
    }
}

/// What a snapshot holds, in the order of the rows.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// None of the table before its first one.
    pub snapshot_id: Option<String>,
    pub operation: String,
    pub rows: Vec<Row>,
}

/// Does the statements again, one after the other, in the order of the snapshots that they made; `told` are each writer's that changed
/// rows, in the order of their answers. Nothing else tells which snapshot is whose: it is the one that holds exactly what the statement
/// makes of the one before.
pub fn replay(states: &[State], told: &[&[Told]]) -> Result<(), String> {
    let mut told = told.to_vec();
    for (at, (before, after)) in states.iter().zip(states.iter().skip(1)).enumerate() {
        if after.operation == "replace" {
            if after.rows != before.rows {
                return Err(format!("{after:?} was made of {:?} by a rewrite", before.rows));
            }
            continue;
        }
        let makes = |of_writer: &&[Told]| of_writer.first().is_some_and(|next| next.makes(before, after));
        let makers: Vec<usize> = (0..told.len()).filter(|writer| makes(&told[*writer])).collect();
        match makers.as_slice() {
            [] => return Err(format!("no statement makes {after:?} of {:?}", before.rows)),
            [writer] => told[*writer] = &told[*writer][1..],
            // They do the same to these rows, and perhaps not to later ones.
            several => {
                let mut wrong = Ok(());
                for writer in several {
                    let mut left = told.clone();
                    left[*writer] = &left[*writer][1..];
                    wrong = replay(&states[at + 1..], &left);
                    if wrong.is_ok() {
                        break;
                    }
                }
                return wrong;
            }
        }
    }
    match told.iter().find_map(|of_writer| of_writer.first()) {
        None => Ok(()),
        Some(left) => Err(format!("no snapshot holds what was told to be done: {left:?}")),
    }
}

/// Whether each of these reads, in their order, found what one snapshot holds, and none an earlier one than the read before it.
pub fn seen(states: &[State], reads: &[Vec<Row>]) -> Result<(), String> {
    let mut at = 0;
    for rows in reads {
        match states[at..].iter().position(|state| state.rows == *rows) {
            Some(further) => at += further,
            None => {
                let ever = states.iter().any(|state| state.rows == *rows);
                return Err(format!(
                    "{rows:?} is what no snapshot from {at} on holds (an earlier one: {ever})"
                ));
            }
        }
    }
    Ok(())
}
