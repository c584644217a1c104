//! `CREATE TABLE`, `CREATE VIEW`, `CREATE SCHEMA`.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments};
use datafusion::sql::sqlparser::tokenizer::Token;
use tidewater_table::iceberg::spec::{Literal, NullOrder, PrimitiveType, SortDirection, Transform, Type};

use super::grammar::{Grammar, Parsed, literal};
use super::{Column, Command, CreateTable, CreateView, Existing, PartitionField, SortField, names};

/// Where a comment is kept, as Spark and Trino do.
const COMMENT: &str = "comment";

impl Grammar<'_> {
    pub(super) fn create(&mut self) -> Parsed<Command> {
        let replace = self.words(&["OR", "REPLACE"]);
        if self.word("TABLE") {
            let existing = self.existing(replace)?;
            return self.create_table(existing);
        }
        if self.word("VIEW") {
            let existing = self.existing(replace)?;
            return self.create_view(existing);
        }
        if !replace && (self.word("SCHEMA") || self.word("NAMESPACE") || self.word("DATABASE")) {
            return self.create_schema();
        }
        self.expected("TABLE, VIEW or SCHEMA")
    }

    pub(super) fn existing(&mut self, replace: bool) -> Parsed<Existing> {
        let keep = self.words(&["IF", "NOT", "EXISTS"]);
        match (replace, keep) {
            (true, true) => self.expected("either OR REPLACE or IF NOT EXISTS, as they contradict each other"),
            (true, false) => Ok(Existing::Replace),
            (false, true) => Ok(Existing::Keep),
            (false, false) => Ok(Existing::Refuse),
        }
    }

    fn create_table(&mut self, existing: Existing) -> Parsed<Command> {
        let mut table = CreateTable {
            name: self.name()?,
            existing,
            columns: Vec::new(),
            key: Vec::new(),
            partitioning: Vec::new(),
            order: Vec::new(),
            location: None,
            properties: BTreeMap::new(),
            query: None,
        };
        if self.parser.peek_token().token == Token::LParen {
            self.columns(&mut table)?;
        }
        loop {
            if self.word("USING") {
                if !self.word("ICEBERG") {
                    return self.expected("ICEBERG, which every table is");
                }
            } else if self.words(&["PARTITIONED", "BY"]) {
                table.partitioning = self.parenthesised(Self::partition_field)?;
            } else if self.words(&["WRITE", "ORDERED", "BY"]) || self.words(&["ORDERED", "BY"]) {
                table.order = self.order()?;
            } else if self.word("LOCATION") {
                table.location = Some(self.text()?);
            } else if self.word("COMMENT") {
                table.properties.insert(COMMENT.to_owned(), self.text()?);
            } else if self.word("TBLPROPERTIES") || self.word("WITH") {
                table.properties.extend(self.properties()?);
            } else {
                break;
            }
        }
        let queried = self.word("AS")
            || matches!(self.parser.peek_token().token, Token::Word(word) if word.value.eq_ignore_ascii_case("SELECT"));
        if queried {
            table.query = Some(self.parser.parse_query()?);
        } else if table.columns.is_empty() {
            return self.expected("columns, or AS and a query");
        }
        Ok(Command::CreateTable(Box::new(table)))
    }

    fn columns(&mut self, table: &mut CreateTable) -> Parsed<()> {
        self.parser.expect_token(&Token::LParen)?;
        loop {
            if self.words(&["PRIMARY", "KEY"]) {
                table.key = self.identifiers()?;
            } else {
                let (column, key) = self.column()?;
                if key {
                    table.key.push(column.name.clone());
                }
                table.columns.push(column);
            }
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.parser.expect_token(&Token::RParen)?;
        // What identifies a row cannot be null.
        for column in &mut table.columns {
            column.nullable &= !table.key.contains(&column.name);
        }
        Ok(())
    }

    /// A column, and whether it is the key.
    pub(super) fn column(&mut self) -> Parsed<(Column, bool)> {
        let name = self.identifier()?;
        let mut column = Column {
            name,
            of: self.iceberg_type()?,
            nullable: true,
            comment: None,
            default: None,
        };
        let mut key = false;
        loop {
            if self.words(&["NOT", "NULL"]) {
                column.nullable = false;
            } else if self.word("NULL") {
                column.nullable = true;
            } else if self.words(&["PRIMARY", "KEY"]) {
                key = true;
            } else if self.word("COMMENT") {
                column.comment = Some(self.text()?);
            } else if self.word("DEFAULT") {
                column.default = Some(self.default_of(&column.of)?);
            } else {
                return Ok((column, key));
            }
        }
    }

    fn default_of(&mut self, of: &Type) -> Parsed<Literal> {
        let value = self.expression()?;
        let parsed = literal(&value).and_then(|text| default_literal(&text, of.as_primitive_type()?));
        match parsed {
            Some(value) => Ok(value),
            None => self.expected(&format!("a literal of type {of} as default before")),
        }
    }

    pub(super) fn partition_field(&mut self) -> Parsed<PartitionField> {
        let made = self.expression()?;
        let Some((column, transform)) = transform(&made) else {
            return self.expected(&format!(
                "a column or a transform of one (year, month, day, hour, bucket, truncate), which {made} is not, before"
            ));
        };
        let name = match self.word("AS") {
            true => Some(self.identifier()?),
            false => None,
        };
        Ok(PartitionField {
            column,
            transform,
            name,
        })
    }

    /// Sort fields, in parentheses or not.
    pub(super) fn order(&mut self) -> Parsed<Vec<SortField>> {
        match self.parser.peek_token().token {
            Token::LParen => self.parenthesised(Self::sort_field),
            _ => self.list(Self::sort_field),
        }
    }

    fn sort_field(&mut self) -> Parsed<SortField> {
        let made = self.expression()?;
        let Some((column, transform)) = transform(&made) else {
            return self.expected(&format!("a column or a transform of one, which {made} is not, before"));
        };
        let down = self.word("DESC");
        if !down {
            self.word("ASC");
        }
        let nulls = if self.words(&["NULLS", "FIRST"]) {
            NullOrder::First
        } else if self.words(&["NULLS", "LAST"]) || down {
            NullOrder::Last
        } else {
            NullOrder::First
        };
        Ok(SortField {
            column,
            transform,
            direction: if down {
                SortDirection::Descending
            } else {
                SortDirection::Ascending
            },
            nulls,
        })
    }

    fn create_view(&mut self, existing: Existing) -> Parsed<Command> {
        let name = self.name()?;
        let mut columns = Vec::new();
        if self.parser.peek_token().token == Token::LParen {
            columns = self.parenthesised(|grammar| {
                let name = grammar.identifier()?;
                let comment = match grammar.word("COMMENT") {
                    true => Some(grammar.text()?),
                    false => None,
                };
                Ok((name, comment))
            })?;
        }
        let mut properties = BTreeMap::new();
        loop {
            if self.word("COMMENT") {
                properties.insert(COMMENT.to_owned(), self.text()?);
            } else if self.word("TBLPROPERTIES") {
                properties.extend(self.properties()?);
            } else {
                break;
            }
        }
        self.need("AS")?;
        Ok(Command::CreateView(Box::new(CreateView {
            name,
            existing,
            columns,
            properties,
            query: self.parser.parse_query()?,
        })))
    }

    fn create_schema(&mut self) -> Parsed<Command> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let mut properties = BTreeMap::new();
        loop {
            if self.word("COMMENT") {
                properties.insert(COMMENT.to_owned(), self.text()?);
            } else if self.word("LOCATION") {
                properties.insert("location".to_owned(), self.text()?);
            } else if self.word("WITH") {
                if !self.word("DBPROPERTIES") {
                    self.word("PROPERTIES");
                }
                properties.extend(self.properties()?);
            } else {
                return Ok(Command::CreateSchema {
                    name,
                    if_not_exists,
                    properties,
                });
            }
        }
    }
}

/// The column and the transform of a partition or sort field, in Spark's words and in Iceberg's.
pub(crate) fn transform(made: &Expr) -> Option<(String, Transform)> {
    match made {
        Expr::Identifier(ident) => Some((names::text(ident.clone()), Transform::Identity)),
        Expr::CompoundIdentifier(path) => {
            let path: Vec<String> = path.iter().cloned().map(names::text).collect();
            Some((path.join("."), Transform::Identity))
        }
        Expr::Nested(inner) => transform(inner),
        Expr::Function(function) => {
            let FunctionArguments::List(list) = &function.args else {
                return None;
            };
            let arguments = list.args.iter().map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            });
            let arguments: Vec<&Expr> = arguments.collect::<Option<_>>()?;
            let column = |expr: &Expr| match transform(expr)? {
                (column, Transform::Identity) => Some(column),
                _ => None,
            };
            let number = |expr: &Expr| literal(expr)?.parse::<u32>().ok().filter(|number| *number > 0);
            match (function.name.to_string().to_lowercase().as_str(), arguments.as_slice()) {
                ("year" | "years", [one]) => Some((column(one)?, Transform::Year)),
                ("month" | "months", [one]) => Some((column(one)?, Transform::Month)),
                ("day" | "days" | "date", [one]) => Some((column(one)?, Transform::Day)),
                ("hour" | "hours" | "date_hour", [one]) => Some((column(one)?, Transform::Hour)),
                ("identity", [one]) => Some((column(one)?, Transform::Identity)),
                // Both orders are in use: the number first (Spark), the column first (Trino).
                ("bucket", [a, b]) => match number(a) {
                    Some(buckets) => Some((column(b)?, Transform::Bucket(buckets))),
                    None => Some((column(a)?, Transform::Bucket(number(b)?))),
                },
                ("truncate", [a, b]) => match number(a) {
                    Some(width) => Some((column(b)?, Transform::Truncate(width))),
                    None => Some((column(a)?, Transform::Truncate(number(b)?))),
                },
                _ => None,
            }
        }
        _ => None,
    }
}

/// A moment as statements write it.
fn micros(text: &str, zone: Option<&str>) -> Option<i64> {
    let of = DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    match ScalarValue::try_from_string(text.to_owned(), &of).ok()? {
        ScalarValue::TimestampMicrosecond(value, _) => value,
        _ => None,
    }
}

/// A default from its text.
pub(crate) fn default_literal(text: &str, of: &PrimitiveType) -> Option<Literal> {
    Some(match of {
        PrimitiveType::Boolean => Literal::bool(text.parse::<bool>().ok()?),
        PrimitiveType::Int => Literal::int(text.parse::<i32>().ok()?),
        PrimitiveType::Long => Literal::long(text.parse::<i64>().ok()?),
        PrimitiveType::Float => Literal::float(text.parse::<f32>().ok()?),
        PrimitiveType::Double => Literal::double(text.parse::<f64>().ok()?),
        PrimitiveType::Decimal { precision, scale } => {
            let of = DataType::Decimal128(u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?);
            match ScalarValue::try_from_string(text.to_owned(), &of).ok()? {
                ScalarValue::Decimal128(value, _, _) => Literal::decimal(value?),
                _ => return None,
            }
        }
        PrimitiveType::String => Literal::string(text),
        PrimitiveType::Date => Literal::date_from_str(text).ok()?,
        PrimitiveType::Time => Literal::time_from_str(text).ok()?,
        PrimitiveType::Timestamp => Literal::timestamp(micros(text, None)?),
        PrimitiveType::Timestamptz => Literal::timestamptz(micros(text, Some("+00:00"))?),
        PrimitiveType::Uuid => Literal::uuid_from_str(text).ok()?,
        _ => return None,
    })
}
