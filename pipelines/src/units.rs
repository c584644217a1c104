//! What is published together: a group of tables, or one model alone.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_core::TableName;

use crate::model::Kind;
use crate::project::Project;

/// Models that are committed in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Its models.
    pub(crate) models: Vec<TableName>,
    /// Indexes of the units that must be done before.
    pub(crate) after: BTreeSet<usize>,
}

/// Units of the selected models, each after those it depends on.
pub(crate) fn units(project: &Project, selected: &[TableName]) -> Vec<Unit> {
    let together = groups(project, selected);
    let mut units: Vec<Unit> = Vec::new();
    let mut unit_of: BTreeMap<&TableName, usize> = BTreeMap::new();
    let mut unit_of_group: BTreeMap<&str, usize> = BTreeMap::new();
    // A group stands where its last member stands in the order: all that its members read is before that.
    let last: BTreeMap<&str, &TableName> = selected
        .iter()
        .filter_map(|name| Some((*together.get(name)?, name)))
        .collect();
    for name in selected {
        match together.get(name) {
            Some(group) if last.get(group) != Some(&name) => {}
            Some(group) => {
                let members: Vec<TableName> = selected
                    .iter()
                    .filter(|name| together.get(*name) == Some(group))
                    .cloned()
                    .collect();
                unit_of_group.insert(group, units.len());
                units.push(Unit {
                    models: members,
                    after: BTreeSet::new(),
                });
            }
            None => {
                unit_of.insert(name, units.len());
                units.push(Unit {
                    models: vec![name.clone()],
                    after: BTreeSet::new(),
                });
            }
        }
    }
    let place = |name: &TableName| match together.get(name) {
        Some(group) => unit_of_group.get(group).copied(),
        None => unit_of.get(name).copied(),
    };
    for at in 0..units.len() {
        let Some(unit) = units.get(at) else { continue };
        let inputs = unit
            .models
            .iter()
            .filter_map(|name| project.models.get(name))
            .flat_map(|model| &model.inputs);
        let after: BTreeSet<usize> = inputs.filter_map(place).filter(|other| *other != at).collect();
        if let Some(unit) = units.get_mut(at) {
            unit.after = after;
        }
    }
    units
}

/// The group each model is published with. Only tables are, and only if nothing lies between two members: else one of them
/// would have to wait for a model that waits for the group.
fn groups<'a>(project: &'a Project, selected: &'a [TableName]) -> BTreeMap<&'a TableName, &'a str> {
    let mut members: BTreeMap<&str, Vec<&TableName>> = BTreeMap::new();
    for name in selected {
        if let Some(model) = project.models.get(name)
            && let (Some(group), Kind::Table) = (&model.group, &model.kind)
        {
            members.entry(group).or_default().push(name);
        }
    }
    let mut together = BTreeMap::new();
    let mut entangled: BTreeSet<TableName> = BTreeSet::new();
    for (group, names) in members {
        let reached: BTreeSet<TableName> = names.iter().flat_map(|name| project.graph.downstream(name)).collect();
        // Two groups that read each other's members could wait for one another as well.
        if names
            .iter()
            .any(|name| reached.contains(*name) || entangled.contains(*name))
        {
            tracing::warn!(
                group,
                "members of the group read one another, they are published one by one"
            );
            continue;
        }
        entangled.extend(reached);
        together.extend(names.into_iter().map(|name| (name, group)));
    }
    together
}
