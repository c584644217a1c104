//! Who reads whom: order, cycles, and the tables underneath.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_core::TableName;

use crate::error::{PipelineError, Result, nearest};
use crate::model::{Kind, Model};
use crate::project::Project;

/// The models' dependencies. Free of cycles.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Every model after the models it reads.
    order: Vec<TableName>,
    /// For each table, the models that read it directly.
    readers: BTreeMap<TableName, BTreeSet<TableName>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Open,
    Done,
}

impl Graph {
    /// Of these models.
    pub fn of(models: &BTreeMap<TableName, Model>) -> Result<Self> {
        let mut graph = Self::default();
        for model in models.values() {
            for input in &model.inputs {
                graph
                    .readers
                    .entry(input.clone())
                    .or_default()
                    .insert(model.name.clone());
            }
        }
        let mut marks = BTreeMap::new();
        for name in models.keys() {
            graph.visit(models, name, &mut marks)?;
        }
        Ok(graph)
    }

    /// Depth first with an own stack, so that a long chain of models cannot exhaust the thread's.
    fn visit<'a>(
        &mut self,
        models: &'a BTreeMap<TableName, Model>,
        root: &'a TableName,
        marks: &mut BTreeMap<&'a TableName, Mark>,
    ) -> Result<()> {
        let mut stack: Vec<(&TableName, Vec<&TableName>)> = Vec::new();
        let mut enter = Some(root);
        loop {
            if let Some(name) = enter.take() {
                match (marks.get(name), models.get(name)) {
                    (Some(Mark::Done), _) | (_, None) => {}
                    (Some(Mark::Open), _) => return Err(cycle(&stack, name)),
                    (None, Some(model)) => {
                        marks.insert(name, Mark::Open);
                        stack.push((name, model.inputs.iter().rev().collect()));
                    }
                }
            }
            let Some((name, open)) = stack.last_mut() else {
                return Ok(());
            };
            enter = open.pop();
            if enter.is_none() {
                marks.insert(name, Mark::Done);
                self.order.push((*name).clone());
                stack.pop();
            }
        }
    }

    /// Models in an order in which each stands after those it reads.
    pub fn order(&self) -> &[TableName] {
        &self.order
    }

    /// Models that read `table` directly.
    pub fn readers(&self, table: &TableName) -> impl Iterator<Item = &TableName> {
        self.readers.get(table).into_iter().flatten()
    }

    /// Models that read `table`, directly or through others.
    pub fn downstream(&self, table: &TableName) -> BTreeSet<TableName> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&TableName> = self.readers(table).collect();
        while let Some(name) = open.pop() {
            if found.insert(name.clone()) {
                open.extend(self.readers(name));
            }
        }
        found
    }
}

fn cycle(stack: &[(&TableName, Vec<&TableName>)], name: &TableName) -> PipelineError {
    let from = stack.iter().position(|(on_path, _)| *on_path == name).unwrap_or(0);
    let mut path: Vec<TableName> = stack.iter().skip(from).map(|(on_path, _)| (*on_path).clone()).collect();
    path.push(name.clone());
    PipelineError::Cycle { path }
}

impl Project {
    /// Stored tables a model depends on: views are seen through.
    pub fn stored_inputs(&self, model: &Model) -> BTreeSet<TableName> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<&TableName> = model.inputs.iter().collect();
        while let Some(name) = open.pop() {
            match self.models.get(name) {
                Some(view) if matches!(view.kind, Kind::View) => {
                    if seen.insert(name) {
                        open.extend(&view.inputs);
                    }
                }
                _ => {
                    found.insert(name.clone());
                }
            }
        }
        found
    }

    /// Refuses models that read what is no model, no declared source and not in `existing`.
    pub fn check_inputs(&self, existing: &BTreeSet<TableName>) -> Result<()> {
        for model in self.models.values() {
            for input in &model.inputs {
                let known =
                    self.models.contains_key(input) || self.sources.contains_key(input) || existing.contains(input);
                if !known {
                    let names: Vec<String> = self
                        .models
                        .keys()
                        .chain(self.sources.keys())
                        .chain(existing)
                        .map(ToString::to_string)
                        .collect();
                    return Err(PipelineError::UnknownTable {
                        place: Box::new(model.place()),
                        model: model.name.clone(),
                        table: input.to_string(),
                        nearest: nearest(&input.to_string(), names.iter().map(String::as_str)),
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
