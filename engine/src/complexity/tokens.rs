//! How large a statement is by its tokens, which tell it before there is a tree.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Word};

use super::limit;
use crate::error::Result;

/// Operators one after another without brackets: each makes the tree one deeper, and planning costs the third power of it.
pub(super) const OPERATORS_MAX: usize = 200;

/// `AND` and `OR` one after another.
const CONDITIONS_MAX: usize = 5_000;

/// Columns of one `SELECT`.
pub(super) const COLUMNS_MAX: usize = 1_664;

/// `SELECT`s, also those of subqueries, and the words that make one set of two.
const SELECTS_MAX: usize = 1_000;

/// Tables that one `SELECT` joins.
const JOINS_MAX: usize = 200;

/// Columns of a `CUBE`: it makes a grouping of every subset.
const CUBE_MAX: usize = 12;

/// Wildcards of a pattern of `LIKE`: each is one more way that a text may match.
const WILDCARDS_MAX: usize = 100;

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

/// What was counted so far.
#[derive(Default)]
pub(super) struct Counts {
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
    /// Counts one more token.
    pub(super) fn take(&mut self, token: &Token) -> Result<()> {
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
