//! `ALTER TABLE`, `ALTER VIEW`, `ALTER SCHEMA`.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::tokenizer::Token;
use tidewater_table::iceberg::spec::Transform;

use super::grammar::{Grammar, Parsed, literal};
use super::{AlterTable, Command, Existing, Name, Object, PartitionRef, Position, RefKind};

impl Grammar<'_> {
    pub(super) fn alter(&mut self) -> Parsed<Command> {
        let what = self.object()?;
        let if_exists = self.words(&["IF", "EXISTS"]);
        let name = self.name()?;
        if what != Object::Schema && self.words(&["RENAME", "TO"]) {
            let to = self.name()?;
            return Ok(Command::Rename { what, from: name, to });
        }
        if what == Object::View && !if_exists && self.word("AS") {
            let query = self.parser.parse_query()?;
            return Ok(Command::AlterView { name, query });
        }
        match what {
            Object::Table => self.alter_table(name, if_exists),
            Object::View | Object::Schema => {
                let properties = self.set_properties()?;
                Ok(Command::SetProperties {
                    what,
                    name,
                    properties,
                    is_comment: false,
                })
            }
        }
    }

    fn alter_table(&mut self, name: Name, if_exists: bool) -> Parsed<Command> {
        let mut changes = Vec::new();
        loop {
            self.alteration(&mut changes)?;
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        Ok(Command::AlterTable {
            name,
            if_exists,
            changes,
        })
    }

    fn alteration(&mut self, changes: &mut Vec<AlterTable>) -> Parsed<()> {
        if self.word("ADD") {
            return self.add(changes);
        }
        if self.word("DROP") {
            return self.drop_part(changes);
        }
        if self.word("RENAME") {
            self.word("COLUMN");
            let column = self.path()?;
            self.need("TO")?;
            let to = self.identifier()?;
            changes.push(AlterTable::RenameColumn { column, to });
            return Ok(());
        }
        if self.word("ALTER") || self.word("CHANGE") {
            self.word("COLUMN");
            return self.alter_column(changes);
        }
        if self.words(&["REPLACE", "PARTITION", "FIELD"]) {
            let old = self.partition_ref()?;
            self.need("WITH")?;
            changes.push(AlterTable::ReplacePartition(old, self.partition_field()?));
            return Ok(());
        }
        if self.word("WRITE") {
            let order = match self.word("UNORDERED") {
                true => Vec::new(),
                false => {
                    self.need("ORDERED")?;
                    self.need("BY")?;
                    self.order()?
                }
            };
            changes.push(AlterTable::Order(order));
            return Ok(());
        }
        if self.words(&["SET", "IDENTIFIER", "FIELDS"]) {
            let columns = self.list(Self::identifier)?;
            changes.push(AlterTable::SetKey { columns });
            return Ok(());
        }
        if let Some(existing) = self.creating()? {
            return self.create_ref(existing, changes);
        }
        changes.push(AlterTable::Properties(self.set_properties()?));
        Ok(())
    }

    /// Whether a branch or tag is made, and what happens to one that is there.
    fn creating(&mut self) -> Parsed<Option<Existing>> {
        if self.words(&["CREATE", "OR", "REPLACE"]) || self.word("REPLACE") {
            return Ok(Some(Existing::Replace));
        }
        Ok(self.word("CREATE").then_some(Existing::Refuse))
    }

    fn add(&mut self, changes: &mut Vec<AlterTable>) -> Parsed<()> {
        if self.words(&["PARTITION", "FIELD"]) {
            changes.push(AlterTable::AddPartition(self.partition_field()?));
            return Ok(());
        }
        if self.word("COLUMNS") {
            let added = self.parenthesised(Self::added_column)?;
            changes.extend(added);
            return Ok(());
        }
        self.word("COLUMN");
        let added = self.added_column()?;
        changes.push(added);
        Ok(())
    }

    fn added_column(&mut self) -> Parsed<AlterTable> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        // The name may be the path of a field within a struct.
        let mut parent = Vec::new();
        while matches!(self.parser.peek_nth_token(1).token, Token::Period) {
            parent.push(self.identifier()?);
            self.parser.next_token();
        }
        let (column, key) = self.column()?;
        if key {
            return self.expected("no PRIMARY KEY: rows that are there have no value for it; before");
        }
        let position = self.position()?;
        Ok(AlterTable::AddColumn {
            parent,
            column,
            position,
            if_not_exists,
        })
    }

    fn position(&mut self) -> Parsed<Option<Position>> {
        if self.word("FIRST") {
            return Ok(Some(Position::First));
        }
        match self.word("AFTER") {
            true => Ok(Some(Position::After(self.identifier()?))),
            false => Ok(None),
        }
    }

    fn drop_part(&mut self, changes: &mut Vec<AlterTable>) -> Parsed<()> {
        if self.words(&["PARTITION", "FIELD"]) {
            changes.push(AlterTable::DropPartition(self.partition_ref()?));
            return Ok(());
        }
        if self.words(&["IDENTIFIER", "FIELDS"]) {
            let columns = self.list(Self::identifier)?;
            changes.push(AlterTable::DropKey { columns });
            return Ok(());
        }
        if let Some(kind) = self.ref_kind() {
            let if_exists = self.words(&["IF", "EXISTS"]);
            let name = self.identifier()?;
            changes.push(AlterTable::DropRef { kind, name, if_exists });
            return Ok(());
        }
        if self.word("COLUMNS") {
            let columns = self.parenthesised(Self::path)?;
            changes.extend(columns.into_iter().map(|column| AlterTable::DropColumn {
                column,
                if_exists: false,
            }));
            return Ok(());
        }
        self.word("COLUMN");
        let if_exists = self.words(&["IF", "EXISTS"]);
        let column = self.path()?;
        changes.push(AlterTable::DropColumn { column, if_exists });
        Ok(())
    }

    fn alter_column(&mut self, changes: &mut Vec<AlterTable>) -> Parsed<()> {
        let column = self.path()?;
        let change = if self.words(&["SET", "DATA", "TYPE"]) || self.word("TYPE") {
            let to = self.iceberg_type()?;
            AlterTable::Widen { column, to }
        } else if self.words(&["SET", "NOT", "NULL"]) {
            AlterTable::Nullable {
                column,
                nullable: false,
            }
        } else if self.words(&["DROP", "NOT", "NULL"]) {
            AlterTable::Nullable { column, nullable: true }
        } else if self.words(&["SET", "DEFAULT"]) {
            let value = self.expression()?;
            let Some(text) = literal(&value) else {
                return self.expected("a literal as default before");
            };
            AlterTable::SetDefault {
                column,
                value: Some(text),
            }
        } else if self.words(&["DROP", "DEFAULT"]) {
            AlterTable::SetDefault { column, value: None }
        } else if self.word("COMMENT") {
            AlterTable::CommentColumn {
                column,
                text: Some(self.text()?),
            }
        } else if let Some(position) = self.position()? {
            AlterTable::Move { column, position }
        } else {
            return self.expected("TYPE, SET or DROP NOT NULL, SET or DROP DEFAULT, COMMENT, FIRST or AFTER");
        };
        changes.push(change);
        Ok(())
    }

    fn partition_ref(&mut self) -> Parsed<PartitionRef> {
        let field = self.partition_field()?;
        Ok(match field.transform {
            Transform::Identity => PartitionRef::Name(field.column),
            _ => PartitionRef::Made(field),
        })
    }

    fn ref_kind(&mut self) -> Option<RefKind> {
        if self.word("BRANCH") {
            return Some(RefKind::Branch);
        }
        self.word("TAG").then_some(RefKind::Tag)
    }

    fn create_ref(&mut self, existing: Existing, changes: &mut Vec<AlterTable>) -> Parsed<()> {
        let Some(kind) = self.ref_kind() else {
            return self.expected("BRANCH or TAG");
        };
        let existing = match self.words(&["IF", "NOT", "EXISTS"]) {
            true => Existing::Keep,
            false => existing,
        };
        let name = self.identifier()?;
        let snapshot = match self.words(&["AS", "OF", "VERSION"]) {
            true => Some(self.integer()?),
            false => None,
        };
        let max_age_ms = match self.word("RETAIN") {
            true => Some(self.duration_ms()?),
            false => None,
        };
        let (mut snapshots_min, mut snapshot_age_ms) = (None, None);
        if kind == RefKind::Branch && self.words(&["WITH", "SNAPSHOT", "RETENTION"]) {
            let first = self.integer()?;
            if self.word("SNAPSHOTS") {
                snapshots_min = match i32::try_from(first) {
                    Ok(number) if number > 0 => Some(number),
                    Ok(_) => return self.expected("one snapshot at least"),
                    Err(_) => return self.expected("fewer snapshots"),
                };
                if !matches!(self.parser.peek_token().token, Token::EOF) {
                    snapshot_age_ms = Some(self.duration_ms()?);
                }
            } else {
                snapshot_age_ms = Some(self.unit_ms(first)?);
            }
        }
        changes.push(AlterTable::CreateRef {
            kind,
            name,
            existing,
            snapshot,
            max_age_ms,
            snapshots_min,
            snapshot_age_ms,
        });
        Ok(())
    }

    fn duration_ms(&mut self) -> Parsed<i64> {
        let count = self.integer()?;
        self.unit_ms(count)
    }

    fn unit_ms(&mut self, count: i64) -> Parsed<i64> {
        let unit = if self.word("DAYS") || self.word("DAY") {
            24 * 60 * 60 * 1000
        } else if self.word("HOURS") || self.word("HOUR") {
            60 * 60 * 1000
        } else if self.word("MINUTES") || self.word("MINUTE") {
            60 * 1000
        } else {
            return self.expected("DAYS, HOURS or MINUTES");
        };
        match count.checked_mul(unit).filter(|total| *total > 0) {
            Some(total) => Ok(total),
            None => self.expected("a shorter time before"),
        }
    }

    /// `SET TBLPROPERTIES (…)`, `SET PROPERTIES (…)`, `UNSET TBLPROPERTIES (…)` and so on.
    fn set_properties(&mut self) -> Parsed<BTreeMap<String, Option<String>>> {
        let set = self.word("SET");
        if !set && !self.word("UNSET") {
            return self.expected("what is to be altered");
        }
        if !(self.word("TBLPROPERTIES") || self.word("DBPROPERTIES")) {
            self.need("PROPERTIES")?;
        }
        if set {
            let properties = self.properties()?.into_iter();
            return Ok(properties.map(|(key, value)| (key, Some(value))).collect());
        }
        self.words(&["IF", "EXISTS"]);
        let keys = self.parenthesised(Self::property_key)?;
        Ok(keys.into_iter().map(|key| (key, None)).collect())
    }
}
