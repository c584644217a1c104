//! Columns that form a struct of the bronze row, and the plans by which objects are written to them.
//!
//! `before` and `after` are two sides of one group: they always have the same columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use arrow::error::ArrowError;

use super::cell::{self, Cell, Placeholder};
use super::column::Column;
use super::column_type::{ColumnType, Fit};
use super::fault::{COLUMNS_MAX, RecordFault};
use super::json::Value;
use super::validity::Validity;
use super::wire::{Wire, found};
use tidewater_core::limits::NAME_BYTES_MAX;

/// Between a column's name and the type of what did not fit it, in the name of the column beside it.
const SPLIT: &str = "__";

/// What was noticed about a row.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// A value lies outside of what tables hold.
    pub(crate) out_of_range: bool,
    /// A value went to another column than its own.
    pub(crate) split: bool,
    /// Columns whose value the source left out.
    pub(crate) unavailable: Vec<String>,
}

impl Notes {
    /// Tells that a value was lost.
    #[cold]
    pub(super) fn lost(&mut self, loss: Cell, column: &str) {
        match loss {
            Cell::OutOfRange => self.out_of_range = true,
            _ => self.unavailable.push(column.to_owned()),
        }
    }
}

/// Where and how an object is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The side.
    pub(crate) side: usize,
    /// The row of it.
    pub(crate) row: usize,
    /// What columns of records without schema hold.
    pub(crate) hints: &'a HashMap<String, Wire>,
    pub(crate) placeholder: &'a Placeholder,
}

/// A column of a group.
#[derive(Debug)]
struct Member {
    name: String,
    /// None for a type that ingest never writes: others made this column.
    kind: Option<ColumnType>,
    /// Stands in the table, or in a batch on its way there.
    committed: bool,
    /// Shown even if no row has a value.
    declared: bool,
}

/// One struct.
#[derive(Debug)]
struct Side {
    valid: Validity,
    columns: Vec<Column>,
}

/// Columns and one or more structs of them.
#[derive(Debug)]
pub(crate) struct Group {
    members: Vec<Member>,
    /// By lower-case name: names that differ only in case cannot be told apart by most engines.
    by_name: HashMap<String, usize>,
    /// Some column may stand beside one whose values it takes in, by its name.
    may_have_split: bool,
    sides: Vec<Side>,
}

/// How the fields of an object reach the columns.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    by_name: HashMap<String, usize>,
    /// Fields that the plan does not know yet are errors.
    closed: bool,
}

#[derive(Debug)]
struct Step {
    name: String,
    wire: Wire,
    /// The column, then those that took values in which did not fit it.
    targets: Vec<usize>,
}

impl Plan {
    /// The step for a field; `near` is where it stood in the record before.
    #[inline]
    fn position(&self, name: &str, near: usize) -> Option<usize> {
        match self.steps.get(near) {
            Some(step) if step.name == name => Some(near),
            _ => self.by_name.get(name).copied(),
        }
    }

    /// How a field travels, and the column that takes it in; no column yet if it was null so far.
    pub(super) fn known(&self, name: &str) -> Option<(&Wire, Option<usize>)> {
        let step = self.steps.get(*self.by_name.get(name)?)?;
        Some((&step.wire, step.targets.first().copied()))
    }

    fn add(&mut self, name: &str, wire: Wire, targets: Vec<usize>) -> usize {
        self.by_name.insert(name.to_owned(), self.steps.len());
        self.steps.push(Step {
            name: name.to_owned(),
            wire,
            targets,
        });
        self.steps.len() - 1
    }
}

impl Group {
    /// Without columns.
    pub(crate) fn new(sides: usize) -> Self {
        let sides = (0..sides)
            .map(|_| Side {
                valid: Validity::default(),
                columns: Vec::new(),
            })
            .collect();
        Self {
            members: Vec::new(),
            by_name: HashMap::new(),
            may_have_split: false,
            sides,
        }
    }

    /// Takes a table's columns over.
    pub(crate) fn adopt(&mut self, fields: &Fields) {
        for field in fields {
            let name = field.name().as_str();
            if !self.by_name.contains_key(&name.to_lowercase()) {
                self.add(name, ColumnType::from_arrow(field.data_type()), true, true);
            }
        }
    }

    /// Columns that are there from the beginning.
    pub(crate) fn declare(&mut self, columns: &[(&str, ColumnType)]) {
        for (name, kind) in columns {
            if !self.by_name.contains_key(&name.to_lowercase()) {
                self.add(name, Some(kind.clone()), false, true);
            }
        }
    }

    fn add(&mut self, name: &str, kind: Option<ColumnType>, committed: bool, declared: bool) -> usize {
        for side in &mut self.sides {
            side.columns
                .push(Column::new(kind.as_ref().unwrap_or(&ColumnType::Boolean)));
        }
        self.by_name.insert(name.to_lowercase(), self.members.len());
        self.may_have_split |= name.trim_start_matches('_').contains(SPLIT);
        self.members.push(Member {
            name: name.to_owned(),
            kind,
            committed,
            declared,
        });
        self.members.len() - 1
    }

    /// The column for values of type `wanted` under this name: the one of that name if they fit, else one beside it.
    fn resolve(&mut self, name: &str, wanted: &ColumnType) -> Result<usize, RecordFault> {
        check_name(name)?;
        let Some(at) = self.by_name.get(&name.to_lowercase()).copied() else {
            if self.members.len() >= COLUMNS_MAX {
                return Err(bad_name(name, "is one column too many"));
            }
            return Ok(self.add(name, Some(wanted.clone()), false, false));
        };
        let Some(member) = self.members.get(at) else {
            return Err(bad_name(name, "is lost"));
        };
        if member.name != name {
            return Err(bad_name(name, "differs from another only in case"));
        }
        let fit = member
            .kind
            .as_ref()
            .map_or(Fit::No, |kind| kind.fit(wanted, member.committed));
        match fit {
            Fit::Holds => Ok(at),
            Fit::Widened(kind) if self.may_widen(at, &kind) => {
                self.widen(at, kind);
                Ok(at)
            }
            Fit::Widened(_) | Fit::No => self.resolve(&format!("{name}{SPLIT}{}", wanted.suffix()), wanted),
        }
    }

    fn may_widen(&self, at: usize, kind: &ColumnType) -> bool {
        *kind != ColumnType::Double
            || self
                .sides
                .iter()
                .filter_map(|side| side.columns.get(at))
                .all(Column::exact_as_double)
    }

    fn widen(&mut self, at: usize, kind: ColumnType) {
        for column in self.sides.iter_mut().filter_map(|side| side.columns.get_mut(at)) {
            column.widen(&kind);
        }
        if let Some(member) = self.members.get_mut(at) {
            member.kind = Some(kind);
        }
    }

    /// The plan of a schema. All its columns exist from now on.
    pub(crate) fn plan(&mut self, fields: &[(String, Wire)]) -> Result<Plan, RecordFault> {
        let mut plan = Plan {
            closed: true,
            ..Plan::default()
        };
        for (name, wire) in fields {
            let targets = match wire.column_type() {
                Some(kind) => {
                    let at = self.resolve(name, &kind)?;
                    if let Some(member) = self.members.get_mut(at) {
                        member.declared = true;
                    }
                    vec![at]
                }
                None => Vec::new(),
            };
            plan.add(name, wire.clone(), targets);
        }
        Ok(plan)
    }

    /// Writes an object to a row of a side. After an error the row must be truncated.
    pub(crate) fn write<'v>(
        &mut self,
        place: Place<'_>,
        plan: &mut Plan,
        fields: impl Iterator<Item = (&'v str, Value<'v>)>,
        notes: &mut Notes,
    ) -> Result<(), RecordFault> {
        let (mut near, told) = (0, notes.unavailable.len());
        for (name, value) in fields {
            let at = match plan.position(name, near) {
                Some(at) => at,
                None if plan.closed => return Err(bad_name(name, "is not in the schema of its record")),
                None if plan.steps.len() >= COLUMNS_MAX => return Err(bad_name(name, "is one column too many")),
                None => plan.add(name, place.hints.get(name).cloned().unwrap_or(Wire::Any), Vec::new()),
            };
            near = at + 1;
            if value.is_null() {
                continue;
            }
            let Some(step) = plan.steps.get_mut(at) else { continue };
            if !self.push_first(place, step, value) {
                self.write_field(place, step, value, notes)?;
            }
        }
        if self.may_have_split {
            self.tell_split(plan, told, notes);
        }
        self.mark(place.side, place.row);
        Ok(())
    }

    /// What was left out may stand in any column that took values of its field in, now or before a restart: none of them was set.
    fn tell_split(&self, plan: &Plan, told: usize, notes: &mut Notes) {
        let mut beside = Vec::new();
        for field in notes.unavailable.iter().skip(told) {
            let of_other = |member: &str| {
                let mut others = plan.steps.iter().filter(|step| step.name.len() > field.len());
                others.any(|other| member == other.name || is_beside(member, &other.name))
            };
            let split = self
                .members
                .iter()
                .filter(|member| is_beside(&member.name, field) && !of_other(&member.name));
            beside.extend(split.map(|member| member.name.clone()));
        }
        notes.unavailable.extend(beside);
    }

    /// Whether a field may have more than one column.
    pub(super) fn may_have_split(&self) -> bool {
        self.may_have_split
    }

    /// Tells that a row of a side is there.
    pub(super) fn mark(&mut self, side: usize, row: usize) {
        if let Some(side) = self.sides.get_mut(side) {
            let missing = row.saturating_sub(side.valid.len());
            side.valid.push_nulls(missing);
            side.valid.push();
        }
    }

    /// A column of a side.
    #[inline]
    pub(super) fn column_mut(&mut self, side: usize, at: usize) -> Option<&mut Column> {
        self.sides.get_mut(side)?.columns.get_mut(at)
    }

    /// Nearly every value fits the column of its field: false, with nothing pushed, for all others.
    #[inline]
    fn push_first(&mut self, place: Place<'_>, step: &Step, value: Value<'_>) -> bool {
        let Some(target) = step.targets.first() else {
            return false;
        };
        let column = self.column_mut(place.side, *target);
        let Some(column) = column.filter(|column| column.len() <= place.row) else {
            return false;
        };
        column.pad_to(place.row);
        let stored = cell::push(column, &step.wire, value, place.placeholder) == Cell::Stored;
        if !stored {
            column.truncate(place.row);
        }
        stored
    }

    fn write_field(
        &mut self,
        place: Place<'_>,
        step: &mut Step,
        value: Value<'_>,
        notes: &mut Notes,
    ) -> Result<(), RecordFault> {
        if step.targets.is_empty() && step.wire == Wire::Any {
            // Not where the first value since the start would go: the same value is in the same column after a restart.
            step.targets.extend(self.own(&step.name));
        }
        for (rank, target) in step.targets.iter().enumerate() {
            match self.push(place, *target, &step.wire, value) {
                Some(Cell::OtherType) => {}
                outcome => {
                    notes.split |= rank > 0;
                    return settle(outcome, step, value, notes);
                }
            }
        }
        let Some(wanted) = cell::wanted(&step.wire, value, place.placeholder) else {
            notes.unavailable.push(step.name.clone());
            return Ok(());
        };
        let target = self.resolve(&step.name, &wanted)?;
        let outcome = self.push(place, target, &step.wire, value);
        if !step.targets.contains(&target) {
            step.targets.push(target);
        }
        notes.split |= step.targets.len() > 1;
        settle(outcome, step, value, notes)
    }

    /// The column of just this name, unless others made it of a type that ingest never writes. Not one of 32-bit floats: it has to become
    /// one of doubles first.
    fn own(&self, name: &str) -> Option<usize> {
        let at = *self.by_name.get(&name.to_lowercase())?;
        let member = self.members.get(at)?;
        let is_usable = member.kind.as_ref().is_some_and(|kind| *kind != ColumnType::Float);
        (member.name == name && is_usable).then_some(at)
    }

    /// None if the row has a value already.
    fn push(&mut self, place: Place<'_>, target: usize, wire: &Wire, value: Value<'_>) -> Option<Cell> {
        let column = self.column_mut(place.side, target)?;
        if column.len() > place.row {
            return None;
        }
        column.pad_to(place.row);
        let outcome = cell::push(column, wire, value, place.placeholder);
        if outcome == Cell::OtherType {
            column.truncate(place.row);
        }
        Some(outcome)
    }

    /// A number of a row that was just written, by the place of a declared column.
    pub(crate) fn long_in(&self, side: usize, at: usize, row: usize) -> Option<i64> {
        self.sides.get(side)?.columns.get(at)?.long_at(row)
    }

    /// Forgets rows from `row` on.
    pub(crate) fn truncate(&mut self, row: usize) {
        for side in &mut self.sides {
            side.valid.truncate(row);
            for column in &mut side.columns {
                column.truncate(row);
            }
        }
    }

    /// The structs as Arrow, one a side; none if there is no column. The group begins anew with the same columns.
    pub(crate) fn finish(&mut self, rows: usize) -> Result<Option<Vec<ArrayRef>>, ArrowError> {
        let sides = &self.sides;
        let shown: Vec<bool> = self
            .members
            .iter()
            .enumerate()
            .map(|(at, member)| {
                let used = || {
                    sides
                        .iter()
                        .filter_map(|side| side.columns.get(at))
                        .any(Column::has_values)
                };
                member.kind.is_some() && (member.committed || member.declared || used())
            })
            .collect();
        let mut fields = Vec::new();
        for (member, shown) in self.members.iter_mut().zip(&shown) {
            if let (true, Some(kind)) = (*shown, &member.kind) {
                member.committed = true;
                fields.push(Field::new(&member.name, kind.arrow(), true));
            }
        }
        let fields = Fields::from(fields);
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for side in &mut self.sides {
            let fresh = self
                .members
                .iter()
                .map(|member| Column::new(member.kind.as_ref().unwrap_or(&ColumnType::Boolean)))
                .collect();
            let columns = std::mem::replace(&mut side.columns, fresh);
            let mut valid = std::mem::take(&mut side.valid);
            valid.push_nulls(rows.saturating_sub(valid.len()));
            let children = columns
                .into_iter()
                .zip(&shown)
                .filter(|(_, shown)| **shown)
                .map(|(column, _)| column.finish(rows))
                .collect::<Result<Vec<_>, _>>()?;
            if !fields.is_empty() {
                arrays.push(Arc::new(StructArray::try_new(
                    fields.clone(),
                    children,
                    valid.finish(),
                )?));
            }
        }
        Ok((!arrays.is_empty()).then_some(arrays))
    }
}

fn settle(outcome: Option<Cell>, step: &Step, value: Value<'_>, notes: &mut Notes) -> Result<(), RecordFault> {
    let column = || step.name.clone();
    match outcome {
        Some(Cell::Stored) => {}
        Some(loss @ (Cell::OutOfRange | Cell::Unavailable)) => notes.lost(loss, &step.name),
        None => return Err(RecordFault::Repeated { column: column() }),
        Some(Cell::Wrong | Cell::OtherType) => {
            return Err(RecordFault::WrongType {
                column: column(),
                expected: step.wire.expects(),
                found: found(value),
            });
        }
        Some(Cell::Unreadable) => {
            return Err(RecordFault::Unreadable {
                column: column(),
                expected: step.wire.expects(),
            });
        }
    }
    Ok(())
}

/// Whether a column may be one that took in what did not fit the column of a field, by its name.
fn is_beside(member: &str, field: &str) -> bool {
    member
        .strip_prefix(field)
        .is_some_and(|suffix| suffix.starts_with(SPLIT))
}

fn check_name(name: &str) -> Result<(), RecordFault> {
    if name.is_empty() {
        return Err(bad_name(name, "is empty"));
    }
    if name.len() > NAME_BYTES_MAX {
        // The name itself stays out of the message: it may be megabytes.
        return Err(bad_name("", "is too long"));
    }
    if name.chars().any(char::is_control) {
        return Err(bad_name(name, "holds a control character"));
    }
    Ok(())
}

fn bad_name(name: &str, problem: &'static str) -> RecordFault {
    RecordFault::ColumnName {
        column: name.chars().take(NAME_BYTES_MAX).collect(),
        problem,
    }
}

/// The fields of a struct column of a table.
pub(crate) fn struct_members(data_type: &DataType) -> Fields {
    match data_type {
        DataType::Struct(fields) => fields.clone(),
        _ => Fields::empty(),
    }
}
