//! Every chart of deploy/superset has its statement in the corpus, which asks for what the chart shows; and none is of a chart that is
//! gone. Statements are those that a Superset sent: who changes a chart has to look there again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Finding;

const CHARTS: &str = "deploy/superset";
const CORPUS: &str = "tests/corpus/superset/dashboards.sql";

/// The rows that Superset asks for where a chart does not say.
const ROWS: &str = "50000";

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let corpus = read(&root.join(CORPUS))?;
    let mut asked: BTreeMap<&str, &str> = statements(&corpus).collect();
    let (mut charts, mut datasets) = (Vec::new(), Vec::new());
    for path in yaml_files(&root.join(CHARTS))? {
        let text = read(&path)?;
        let is_in = |name: &str| path.parent().is_some_and(|folder| folder.ends_with(name));
        let (is_chart, is_dataset) = (is_in("charts"), is_in("datasets"));
        if is_chart {
            charts.push((path, text));
        } else if is_dataset {
            datasets.push(text);
        }
    }
    let mut findings = Vec::new();
    for (path, chart) in &charts {
        let place = path.strip_prefix(root).unwrap_or(path).display().to_string();
        let name = name_of(path).with_context(|| format!("{place} is of no dashboard"))?;
        let Some(statement) = asked.remove(name.as_str()) else {
            findings.push(Finding::new(place, format!("{CORPUS} has no statement {name}")));
            continue;
        };
        let uuid = value(chart, "dataset_uuid");
        let Some(dataset) = datasets.iter().find(|dataset| value(dataset, "uuid") == uuid) else {
            findings.push(Finding::new(place, "its dataset is not there"));
            continue;
        };
        for part in unasked(chart, dataset, statement) {
            let says = format!("the statement {name} of {CORPUS} is without {part}");
            findings.push(Finding::new(place.clone(), says));
        }
    }
    let gone = asked
        .keys()
        .map(|name| Finding::new(CORPUS, format!("the statement {name} is of no chart")));
    findings.extend(gone);
    Ok(findings)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(yaml_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Statements by their names.
fn statements(corpus: &str) -> impl Iterator<Item = (&str, &str)> {
    corpus
        .split("-- name: ")
        .skip(1)
        .filter_map(|block| block.split_once('\n'))
}

/// What the corpus calls the statement of the chart at `DASHBOARD/charts/CHART.yaml`.
fn name_of(chart: &Path) -> Option<String> {
    let dashboard = chart.parent()?.parent()?.file_name()?.to_str()?;
    let chart = chart.file_stem()?.to_str()?;
    Some(format!("{dashboard}.{chart}").replace('_', "-"))
}

/// What a statement has to have for a chart, and has not.
fn unasked(chart: &str, dataset: &str, statement: &str) -> Vec<String> {
    let of = |key: &str| value(dataset, key).unwrap_or_default();
    let mut wanted = vec![format!("FROM {}.{}", of("schema"), of("table_name"))];
    let metrics = items(chart, "metrics").into_iter().chain(value(chart, "  metric"));
    wanted.extend(metrics.map(|name| computed(dataset, "metric_name", name)));
    let columns = items(chart, "groupby").into_iter().chain(value(chart, "  x_axis"));
    wanted.extend(columns.map(|name| computed(dataset, "column_name", name)));
    let limit = value(chart, "  row_limit").unwrap_or(ROWS);
    wanted.push(format!("LIMIT {limit}"));
    let statement = spaced(statement);
    wanted.retain(|part| !statement.contains(&spaced(part)));
    let conditions = statement.split_once(" WHERE ").map_or("", |(_, behind)| behind);
    let filters = chart.split("\n  - clause: WHERE\n").skip(1);
    let filters = filters.filter(|filter| value(filter, "    comparator") != Some("No filter"));
    for column in filters.filter_map(|filter| value(filter, "    subject")) {
        if !conditions.split(' ').any(|word| word == column) {
            wanted.push(format!("a condition on {column}"));
        }
    }
    wanted
}

/// A measure or a column as Superset asks for it. How a time is cut is left to Superset.
fn computed(dataset: &str, kind: &str, name: &str) -> String {
    let entry = dataset.split_once(&format!("- {kind}: {name}\n"));
    match entry.and_then(|(_, behind)| value(behind, "  expression")) {
        None | Some("null") => format!("AS {name}"),
        Some(expression) => format!("{expression} AS {name}"),
    }
}

/// What stands behind the first such key.
fn value<'a>(yaml: &'a str, key: &str) -> Option<&'a str> {
    yaml.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

/// What a chart lists.
fn items<'a>(chart: &'a str, key: &str) -> Vec<&'a str> {
    let head = format!("  {key}:");
    let behind = chart.lines().skip_while(|line| *line != head).skip(1);
    behind.map_while(|line| line.strip_prefix("  - ")).collect()
}

/// With one space about each word and comma, so that a part of it is found as whole words.
fn spaced(sql: &str) -> String {
    let sql = sql.replace(',', " , ").replace(';', " ; ");
    let words: Vec<&str> = sql.split_whitespace().collect();
    format!(" {} ", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATASET: &str = "table_name: kpis\nschema: gold\nuuid: 7\nmetrics:\n- metric_name: revenue\n  expression: SUM(a, 1)\n\
                           columns:\n- column_name: day\n  expression: null\n- column_name: weekday\n  expression: f(day)\n";
    const CHART: &str = "params:\n  adhoc_filters:\n  - clause: WHERE\n    comparator: No filter\n    subject: day\n  - clause: WHERE\n    \
                         operator: IS NOT NULL\n    subject: rate\n  metrics:\n  - revenue\n  groupby:\n  - weekday\n  row_limit: 10\n\
                         dataset_uuid: 7\n";

    // Goal: a statement has what its chart shows. Method: one that has all, and one that lacks each part or has it otherwise.
    #[test]
    fn statements_have_what_charts_show() {
        let corpus = "-- name: a.b\nSELECT f(day) AS weekday, SUM(a, 1) AS revenue \nFROM gold.kpis \nWHERE rate IS NOT NULL \n LIMIT 10;\n\n\
                      -- name: a.c\n-- differs: x\nSELECT day AS weekday, SUM(a, 1) AS revenues FROM gold.kpis_2 LIMIT 100;\n";
        let asked: Vec<(&str, &str)> = statements(corpus).collect();
        assert_eq!(asked.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["a.b", "a.c"]);
        assert_eq!(unasked(CHART, DATASET, asked[0].1), Vec::<String>::new());
        let lacks = [
            "FROM gold.kpis",
            "SUM(a, 1) AS revenue",
            "f(day) AS weekday",
            "LIMIT 10",
            "a condition on rate",
        ];
        assert_eq!(unasked(CHART, DATASET, asked[1].1), lacks);
    }

    // Goal: a chart is known by its path. Method: one.
    #[test]
    fn charts_have_names() {
        let path = Path::new("deploy/superset/provider_performance/charts/no_show_rate.yaml");
        assert_eq!(name_of(path).as_deref(), Some("provider-performance.no-show-rate"));
    }
}
