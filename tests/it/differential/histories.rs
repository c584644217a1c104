//! Tables to which more was done than rows added: rows deleted and changed beside their files, columns added, renamed, widened, dropped
//! and added again, partitions of other kinds. DuckDB is told the same statements and keeps rows of its own.

use tidewater_core::{Rng, SeededRng};

use super::expressions::{Column, Expressions};
use super::tables::{COLUMNS, MADE, Type, insert, literal, values};

/// A statement, as each engine takes it: `None` where it has nothing to do.
#[derive(Debug, Clone)]
pub struct Statement {
    pub ours: Option<String>,
    pub theirs: Option<String>,
}

/// Small row groups, so that some are left out; deletes beside the files.
const BESIDE: &str = "'write.parquet.row-group-limit' = '16', 'write.delete.mode' = 'merge-on-read', \
                      'write.update.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'";

const NESTED_OURS: &str = "h struct<x: bigint, y: text>, l array<bigint>";
const NESTED_THEIRS: &str = "h struct(x bigint, y text), l bigint[]";

/// Statements that make the tables `d`, `e` and `f`.
pub fn histories(seed: u64) -> Vec<Statement> {
    let mut all = Vec::new();
    for (at, table) in ["d", "e", "f"].into_iter().enumerate() {
        let rng = SeededRng::new(seed.wrapping_add(1 + at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut history = History {
            table,
            rng: &rng,
            rows: 0,
            made: Vec::new(),
        };
        match table {
            "d" => history.partitioned_by_day(),
            "e" => history.evolved(),
            _ => history.partitioned_anew(),
        }
        all.extend(history.made);
    }
    all
}

struct History<'a> {
    table: &'a str,
    rng: &'a SeededRng,
    rows: u64,
    made: Vec<Statement>,
}

impl History<'_> {
    fn both(&mut self, sql: String) {
        self.each(sql.clone(), sql);
    }

    fn each(&mut self, ours: String, theirs: String) {
        self.made.push(Statement {
            ours: Some(ours),
            theirs: Some(theirs),
        });
    }

    /// What DuckDB does not know: where rows lie.
    fn layout(&mut self, change: &str) {
        self.made.push(Statement {
            ours: Some(format!("ALTER TABLE r.{} {change}", self.table)),
            theirs: None,
        });
    }

    fn alter(&mut self, change: &str) {
        self.both(format!("ALTER TABLE r.{} {change}", self.table));
    }

    fn create(&mut self, layout: &str, properties: &str) {
        let table = self.table;
        self.each(
            format!("CREATE TABLE r.{table} ({MADE}, {NESTED_OURS}) {layout} TBLPROPERTIES ({properties})"),
            format!("CREATE TABLE r.{table} ({MADE}, {NESTED_THEIRS})"),
        );
    }

    fn insert(&mut self, rows: u64) {
        let sql = insert(self.table, self.rows + 1, rows, self.rng);
        self.rows += rows;
        self.both(sql);
    }

    /// Some of the rows, by a random condition. Never most of them: a quarter of the ids at the most.
    fn condition(&self) -> String {
        let columns = COLUMNS.map(|(name, of)| Column {
            name: format!("v.{name}"),
            of,
        });
        let makes = Expressions {
            rng: self.rng,
            columns: &columns,
        };
        let (of, rest) = (self.rng.below(2) + 4, self.rng.below(4));
        format!("v.id % {of} = {rest} AND {}", makes.condition(1))
    }

    fn delete(&mut self) {
        let condition = match self.rng.below(4) {
            0 => format!(
                "v.id % 3 = {} AND v.k IN (SELECT u.n FROM r.c AS u WHERE u.n IS NOT NULL)",
                self.rng.below(3)
            ),
            _ => self.condition(),
        };
        self.both(format!("DELETE FROM r.{} AS v WHERE {condition}", self.table));
    }

    fn update(&mut self) {
        let setting = match self.rng.below(6) {
            0 => "k = v.k + 1".to_owned(),
            1 => format!("moment = {}", literal(Type::Time, self.rng)),
            2 => format!(
                "s = v.s || 'q', g = {}",
                ["'x'", "'w'", "NULL"][self.rng.below(3) as usize]
            ),
            3 => format!("l = {}, n = v.k", literal(Type::List, self.rng)),
            4 => format!("h = {}, flag = NOT v.flag", literal(Type::Struct, self.rng)),
            _ => format!("d = NULL, p = {}", literal(Type::Far, self.rng)),
        };
        let condition = self.condition();
        self.both(format!("UPDATE r.{} AS v SET {setting} WHERE {condition}", self.table));
    }

    /// Changes some rows, deletes others and adds some.
    fn merge(&mut self) {
        let first = self.rng.below(self.rows / 2) + 1;
        let [k, n, g, ..] = values(self.rng);
        let source: Vec<String> = (0..4)
            .map(|at| format!("SELECT CAST({} AS BIGINT) AS id", first + at * 3))
            .chain((1..=4).map(|at| format!("SELECT CAST({} AS BIGINT)", self.rows + at)))
            .collect();
        self.rows += 4;
        self.both(format!(
            "MERGE INTO r.{} AS v USING ({}) AS c ON v.id = c.id WHEN MATCHED AND c.id % 2 = 0 THEN DELETE \
             WHEN MATCHED THEN UPDATE SET n = {n} WHEN NOT MATCHED THEN INSERT (id, k, g) VALUES (c.id, {k}, {g})",
            self.table,
            source.join(" UNION ALL ")
        ));
    }

    /// Position deletes in format 2, of files that were merged and of others.
    fn partitioned_by_day(&mut self) {
        self.create("PARTITIONED BY (day(moment))", BESIDE);
        for round in 0..2 {
            self.insert(50);
            self.delete();
            self.update();
            if round == 0 {
                self.made.push(Statement {
                    ours: Some("CALL system.rewrite_data_files('r.d')".to_owned()),
                    theirs: None,
                });
            }
        }
        self.merge();
        self.delete();
    }

    /// Deletion vectors in format 3, and files of older schemas.
    fn evolved(&mut self) {
        let early = "id bigint, k int, n int, g text, d decimal(5, 2), f real, p double, gone text, day date, flag boolean, \
                     instant timestamp, zoned timestamptz";
        self.each(
            format!("CREATE TABLE r.e ({early}, h struct<x: int>) TBLPROPERTIES ('format-version' = '3', {BESIDE})"),
            format!("CREATE TABLE r.e ({early}, h struct(x int))"),
        );
        let narrow = |rng: &SeededRng, id: u64| {
            let [k, _, g, s, _, _, p, day, flag, moment, zoned, ..] = values(rng);
            let or_null = |value: String| if rng.below(8) == 0 { "NULL".to_owned() } else { value };
            let n = or_null(literal(Type::Int, rng));
            let d = or_null(literal(Type::Decimal, rng));
            let f = or_null(literal(Type::Float, rng));
            let h = or_null(format!("{{'x': {}}}", rng.below(4)));
            format!("({id}, {k}, {n}, {g}, {d}, {f}, {p}, {s}, {day}, {flag}, {moment}, {zoned}, {h})")
        };
        for _ in 0..2 {
            let rows: Vec<String> = (1..=24).map(|at| narrow(self.rng, self.rows + at)).collect();
            self.rows += 24;
            self.both(format!("INSERT INTO r.e VALUES {}", rows.join(", ")));
            self.both(format!("DELETE FROM r.e AS v WHERE v.id % 5 = {}", self.rng.below(5)));
        }
        self.alter("ADD COLUMN s text");
        self.alter("ADD COLUMN h.y text");
        self.each(
            "ALTER TABLE r.e ADD COLUMN l array<bigint>".to_owned(),
            "ALTER TABLE r.e ADD COLUMN l bigint[]".to_owned(),
        );
        self.alter("RENAME COLUMN instant TO moment");
        self.alter("DROP COLUMN gone");
        for change in ["n TYPE bigint", "d TYPE decimal(12, 2)", "f TYPE double"] {
            self.alter(&format!("ALTER COLUMN {change}"));
        }
        // DuckDB widens no field: it gets the struct anew.
        self.made.push(Statement {
            ours: Some("ALTER TABLE r.e ALTER COLUMN h.x TYPE bigint".to_owned()),
            theirs: Some("ALTER TABLE r.e ALTER COLUMN h TYPE struct(x bigint, y text)".to_owned()),
        });
        self.layout("ADD PARTITION FIELD bucket(3, k) AS shard");
        self.rows_by_name(30);
        self.update();
        self.delete();
        // Old rows have lost it, and are not to find it again.
        self.alter("DROP COLUMN s");
        self.alter("ADD COLUMN s text DEFAULT 'dé'");
        self.alter("ALTER COLUMN k TYPE bigint");
        self.layout("REPLACE PARTITION FIELD shard WITH day(moment)");
        self.rows_by_name(30);
        self.delete();
        self.update();
        self.merge();
    }

    /// Files written anew, and partitions of another kind later on; then a delete beside the files after all.
    fn partitioned_anew(&mut self) {
        self.create(
            "PARTITIONED BY (bucket(3, id))",
            "'write.parquet.row-group-limit' = '16'",
        );
        self.insert(50);
        self.update();
        self.delete();
        self.layout("ADD PARTITION FIELD year(day) AS years");
        self.layout("DROP PARTITION FIELD id_bucket");
        self.insert(50);
        self.merge();
        self.layout(&format!("SET TBLPROPERTIES ({BESIDE})"));
        self.delete();
        self.update();
    }

    /// Rows for a table whose columns stand in another order.
    fn rows_by_name(&mut self, rows: u64) {
        let sql = insert(self.table, self.rows + 1, rows, self.rng);
        self.rows += rows;
        let names = "(id, k, n, g, s, d, f, p, day, flag, moment, zoned, h, l)";
        self.both(sql.replacen(" VALUES ", &format!(" {names} VALUES "), 1));
    }
}
