//! How large a statement may be. What a statement costs before its first row (parsing, planning) cannot be interrupted, and
//! trees are walked by recursion, so the size of both is limited before anything is built from the text.

mod named_often;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};

use crate::error::{EngineError, Result};

/// Bytes of a text.
pub const STATEMENT_BYTES_MAX: usize = 4 << 20;

/// Operators one after another without brackets: each makes the tree one deeper, and planning costs the third power of it.
const OPERATORS_MAX: usize = 200;

/// `AND` and `OR` one after another.
const CONDITIONS_MAX: usize = 5_000;

/// Columns of one `SELECT`.
const COLUMNS_MAX: usize = 1_664;

/// `SELECT`s, also those of subqueries, and the words that make one set of two.
const SELECTS_MAX: usize = 1_000;

/// Tables that one `SELECT` joins.
const JOINS_MAX: usize = 200;

/// Columns of a `CUBE`: it makes a grouping of every subset.
const CUBE_MAX: usize = 12;

/// Wildcards of a pattern of `LIKE`: each is one more way that a text may match.
const WILDCARDS_MAX: usize = 100;

/// Queries and tables, with those of a common table expression as often as it is named.
const PARTS_MAX: usize = 2_000;

/// Operators of a plan, with all that was put into it.
const PLAN_NODES_MAX: usize = 10_000;

/// Refuses a text that would make too large a tree. What is no statement passes: the parser says what is wrong with it.
pub(crate) fn check(sql: &str) -> Result<()> {
    limit("bytes", sql.len(), STATEMENT_BYTES_MAX)?;
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return Ok(());
    };
    let mut counts = Counts::default();
    tokens.iter().try_for_each(|token| counts.take(token))
}

/// Refuses a statement that becomes too large when its names are replaced by what they stand for.
pub(crate) fn check_parts(statement: &Statement) -> Result<()> {
    let parts = named_often::parts(statement);
    limit(
        "queries and tables, with those of WITH as often as they are named",
        usize::try_from(parts).unwrap_or(usize::MAX),
        PARTS_MAX,
    )
}

/// Refuses a plan that is too large, whatever it was made from.
pub(crate) fn check_plan(plan: &LogicalPlan) -> Result<()> {
    let mut nodes = 0;
    plan.apply_with_subqueries(|_| {
        nodes += 1;
        Ok(match nodes > PLAN_NODES_MAX {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    limit("operators in its plan", nodes, PLAN_NODES_MAX)
}

fn limit(what: &'static str, found: usize, max: usize) -> Result<()> {
    match found > max {
        true => Err(EngineError::TooComplex { what, max }),
        false => Ok(()),
    }
}

/// What is counted from one bracket to the one that closes it, or from `CASE` to `END`.
#[derive(Default)]
struct Level {
    operators: usize,
    conditions: usize,
    columns: usize,
    joins: usize,
    list: List,
    /// Whether it is that of a `CASE`.
    case: bool,
    /// Elements, where it is the list of a `CUBE`.
    cube: Option<usize>,
}

/// What the commas of a level part.
#[derive(Default, Clone, Copy, PartialEq)]
enum List {
    Columns,
    Tables,
    #[default]
    Other,
}

#[derive(Default)]
struct Counts {
    outer: Vec<Level>,
    level: Level,
    selects: usize,
    before: Before,
    /// Whether the word before was `CUBE`.
    cube: bool,
    /// Whether it was `LIKE`.
    like: bool,
}

/// What stands before a token, as far as it tells what the token is: names may be spelled like the words that begin a clause.
#[derive(Default, Clone, Copy, PartialEq)]
enum Before {
    /// An operator or a point: a name or a value comes.
    Operator,
    /// The end of a name or a value: what comes is no name.
    Operand,
    /// `DISTINCT`.
    Distinct,
    #[default]
    Other,
}

impl Counts {
    fn take(&mut self, token: &Token) -> Result<()> {
        if matches!(token, Token::Whitespace(_)) {
            return Ok(());
        }
        let (cube, like) = (std::mem::take(&mut self.cube), std::mem::take(&mut self.like));
        let before = std::mem::replace(&mut self.before, Before::Other);
        match token {
            Token::Word(word) => return self.word(word, before),
            Token::LParen | Token::LBracket | Token::LBrace => {
                if *token != Token::LParen {
                    self.operator()?;
                    self.before = Before::Other;
                }
                self.open(Level {
                    cube: cube.then_some(1),
                    ..Level::default()
                });
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                self.close();
                self.before = Before::Operand;
            }
            Token::Comma => return self.comma(),
            Token::SemiColon => *self = Self::default(),
            Token::Period => self.before = Before::Operator,
            // All columns, unless something is multiplied.
            Token::Mul if before != Before::Operand => {}
            Token::SingleQuotedString(text) if like => {
                self.before = Before::Operand;
                return limit("wildcards in a pattern", text.matches('%').count(), WILDCARDS_MAX);
            }
            Token::Number(..) | Token::Placeholder(_) => self.before = Before::Operand,
            token if is_text(token) => self.before = Before::Operand,
            Token::EOF => {}
            _ => return self.operator(),
        }
        Ok(())
    }

    fn open(&mut self, inner: Level) {
        self.outer.push(std::mem::replace(&mut self.level, inner));
    }

    fn close(&mut self) {
        self.level = self.outer.pop().unwrap_or_default();
    }

    fn word(&mut self, word: &Word, before: Before) -> Result<()> {
        self.before = Before::Operand;
        let name = !matches!(word.keyword, Keyword::CASE | Keyword::NOT | Keyword::SELECT);
        if before == Before::Operator && name {
            return Ok(());
        }
        match word.keyword {
            Keyword::CASE => {
                self.open(Level {
                    case: true,
                    ..Level::default()
                });
                self.before = Before::Other;
            }
            Keyword::END if self.level.case => self.close(),
            Keyword::SELECT => {
                self.part()?;
                self.begins(List::Columns);
                (self.level.columns, self.level.joins) = (0, 0);
            }
            Keyword::DISTINCT => self.before = Before::Distinct,
            Keyword::FROM if before == Before::Distinct => return self.operator(),
            Keyword::FROM => self.begins(List::Tables),
            Keyword::JOIN => {
                self.begins(List::Tables);
                return self.joined();
            }
            Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => {
                self.part()?;
                self.begins(List::Other);
            }
            Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::VALUES
            | Keyword::WINDOW
            | Keyword::SET => self.begins(List::Other),
            Keyword::ON | Keyword::WHEN | Keyword::THEN | Keyword::ELSE => {
                self.before = Before::Other;
                self.clause();
            }
            Keyword::AND | Keyword::OR => {
                self.before = Before::Operator;
                self.level.operators = 0;
                self.level.conditions += 1;
                return limit("conditions in a row", self.level.conditions, CONDITIONS_MAX);
            }
            Keyword::CUBE => self.cube = true,
            Keyword::LIKE | Keyword::ILIKE => {
                self.like = true;
                return self.operator();
            }
            // More words of the operator may come.
            Keyword::NOT | Keyword::IS => {
                self.operator()?;
                self.before = Before::Other;
            }
            Keyword::NOTNULL
            | Keyword::IN
            | Keyword::SIMILAR
            | Keyword::REGEXP
            | Keyword::RLIKE
            | Keyword::MATCH
            | Keyword::MEMBER
            | Keyword::OPERATOR
            | Keyword::BETWEEN
            | Keyword::COLLATE
            | Keyword::DIV
            | Keyword::XOR
            | Keyword::OVERLAPS
            | Keyword::AT => return self.operator(),
            _ => {}
        }
        Ok(())
    }

    /// One more part of the statement that is a query.
    fn part(&mut self) -> Result<()> {
        self.selects += 1;
        limit("SELECTs and set operations", self.selects, SELECTS_MAX)
    }

    fn joined(&mut self) -> Result<()> {
        self.level.joins += 1;
        limit("joins", self.level.joins, JOINS_MAX)
    }

    fn operator(&mut self) -> Result<()> {
        self.before = Before::Operator;
        self.level.operators += 1;
        limit("operators in a row", self.level.operators, OPERATORS_MAX)
    }

    fn comma(&mut self) -> Result<()> {
        self.clause();
        if let Some(elements) = &mut self.level.cube {
            *elements += 1;
            return limit("columns in a CUBE", *elements, CUBE_MAX);
        }
        match self.level.list {
            List::Columns => {
                self.level.columns += 1;
                limit("columns", self.level.columns + 1, COLUMNS_MAX)
            }
            List::Tables => self.joined(),
            List::Other => Ok(()),
        }
    }

    fn begins(&mut self, list: List) {
        self.before = Before::Other;
        self.level.list = list;
        self.clause();
    }

    /// An expression begins.
    fn clause(&mut self) {
        self.level.operators = 0;
        self.level.conditions = 0;
    }
}

fn is_text(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
            | Token::DoubleQuotedRawStringLiteral(_)
    )
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use super::*;

    // Goal: what would make a deep or wide tree is refused, what people write is not. Method: each limit, met and passed by one.
    #[test]
    fn texts_have_limits() {
        let chain = |part: &str, between: &str, count: usize| format!("SELECT {}", vec![part; count].join(between));
        let joined = |count: usize| format!("SELECT 1 FROM t {}", "JOIN t USING (a) ".repeat(count));
        let like = |count: usize| format!("SELECT a LIKE '{}'", "%a".repeat(count));
        let cube = |count: usize| format!("SELECT 1 FROM t GROUP BY CUBE ({})", vec!["a"; count].join(", "));
        for (within, beyond) in [
            (chain("1", "+", OPERATORS_MAX + 1), chain("1", "+", OPERATORS_MAX + 2)),
            (chain("'a'", " || ", 201), chain("'a'", " || ", 202)),
            (chain("a", " OR ", 5_001), chain("a", " OR ", 5_002)),
            (chain("(a = 1)", " AND ", 5_001), chain("(a = 1)", " AND ", 5_002)),
            (chain("a", ", ", COLUMNS_MAX), chain("a", ", ", COLUMNS_MAX + 1)),
            (
                chain("1", " UNION ALL SELECT ", 500),
                chain("1", " UNION ALL SELECT ", 502),
            ),
            (joined(200), joined(201)),
            (cube(12), cube(13)),
            (like(100), like(101)),
            (
                format!("SELECT 1 FROM {}", vec!["t"; 201].join(", ")),
                format!("SELECT 1 FROM {}", vec!["t"; 202].join(", ")),
            ),
            (
                format!("SELECT '{}'", "x".repeat(STATEMENT_BYTES_MAX - 9)),
                format!("SELECT '{}'", "x".repeat(STATEMENT_BYTES_MAX - 8)),
            ),
        ] {
            let told = |sql: &str| sql.chars().take(60).collect::<String>();
            assert!(check(&within).is_ok(), "{}", told(&within));
            let refused = check(&beyond).expect_err(&told(&beyond));
            assert_eq!(refused.code(), "ENG-0020", "{}", told(&beyond));
        }
        for beyond in [
            chain("on", "+", 300),
            chain("t.on", "*", 300),
            chain("t.values", " || ", 300),
            chain("CASE WHEN a THEN 1 END", "+", 300),
            chain("a", " REGEXP ", 300),
            chain("a", " RLIKE ", 300),
            chain("a", " MEMBER OF ", 300),
            chain("1", " OPERATOR(pg_catalog.+) ", 300),
            chain("on", " AND ", 6_000),
            chain("a", " IS DISTINCT FROM ", 300),
            vec!["VALUES (1)"; 2_000].join(" UNION ALL "),
        ] {
            let told: String = beyond.chars().take(60).collect();
            assert!(check(&beyond).is_err(), "{told}");
        }
        let many = vec!["a"; 300].join(", ");
        let two_joins = "SELECT a FROM t JOIN u USING (a) JOIN v USING (a)";
        for within in [
            format!("SELECT a IS DISTINCT FROM b, {many} FROM t"),
            vec![two_joins; 150].join(" UNION ALL "),
            format!(
                "SELECT {} FROM t",
                vec!["CASE WHEN a = 1 THEN b ELSE c END"; 300].join(", ")
            ),
            format!("SELECT {}", vec!["a * 2"; 300].join(", ")),
            "SELECT t.*, 1 FROM t, u WHERE a NOT IN (1, 2) AND b IS NOT NULL AND c AT TIME ZONE 'UTC' > d".to_owned(),
        ] {
            let told: String = within.chars().take(60).collect();
            assert!(check(&within).is_ok(), "{told}");
        }
        let list = (0..100_000)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        assert!(check(&format!("SELECT 1 FROM t WHERE a IN ({list})")).is_ok());
        assert!(check(&format!("INSERT INTO t VALUES ({})", list.replace(", ", "), ("))).is_ok());
        assert!(check("not ' a statement").is_ok());
    }
}
