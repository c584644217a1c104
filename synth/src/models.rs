//! The silver models and source files of `examples/hospital`, rendered from the table definitions.
//!
//! They are committed files like any other; a test keeps them equal to what is rendered here.

use std::collections::BTreeMap;

use crate::schema::{PgType, Service, Table, services};

/// Path below `examples/hospital` and text of every rendered file.
pub fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for service in services() {
        files.insert(format!("sources/{}.yml", service.name), source_file(service));
        for table in service.tables {
            files.insert(
                format!("models/silver/{}.sql", table.name),
                silver_model(service, table),
            );
        }
    }
    files
}

/// The type a column has in the lake.
pub fn lake_type(pg: PgType) -> String {
    match pg {
        PgType::Uuid | PgType::Text | PgType::Jsonb => "string".to_owned(),
        PgType::Int => "int".to_owned(),
        PgType::BigInt => "long".to_owned(),
        PgType::Numeric(precision, scale) => format!("decimal({precision},{scale})"),
        PgType::Bool => "boolean".to_owned(),
        PgType::Date => "date".to_owned(),
        PgType::Timestamp => "timestamp".to_owned(),
        PgType::Timestamptz => "timestamptz".to_owned(),
    }
}

fn source_file(service: &Service) -> String {
    let mut text = format!("service: {}\nowner: {}\nsources:\n", service.name, service.owner);
    for table in service.tables {
        text.push_str(&format!("  - name: bronze.{}\n", table.name));
        text.push_str(&format!("    topic: hospital.{}.public.{}\n", service.name, table.name));
        text.push_str(&format!("    key: [{}]\n", table.key.join(", ")));
        text.push_str(&format!("    freshness: {}\n", service.freshness));
        text.push_str(&format!("    tags: [{}]\n", tags(table)));
    }
    text
}

fn silver_model(service: &Service, table: &Table) -> String {
    let width = table.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "/*---\nkind: cdc\ndescription: Current rows of {}.{}.\nsource: bronze.{}\nkey: [{}]\ntarget_lag: 10 seconds\nowner: {}\ntags: [{}]\ncolumns:\n",
        service.name,
        table.name,
        table.name,
        table.key.join(", "),
        service.owner,
        tags(table),
    );
    for column in table.columns {
        let phi = column.phi.map(|class| format!(", phi: {class}")).unwrap_or_default();
        text.push_str(&format!(
            "  {}: {{type: \"{}\"{phi}}}\n",
            column.name,
            lake_type(column.pg)
        ));
    }
    text.push_str("---*/\nSELECT\n");
    let selected: Vec<_> = table
        .columns
        .iter()
        .map(|column| format!("  after.{:width$} AS {}", column.name, column.name))
        .collect();
    text.push_str(&selected.join(",\n"));
    text.push_str(&format!("\nFROM bronze.{}\n", table.name));
    text
}

fn tags(table: &Table) -> &'static str {
    if table.has_phi() { "phi, hospital" } else { "hospital" }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    // Goal: the example's models are those of the table definitions. Method: compare every file; with SYNTH_WRITE_MODELS
    // set, write them instead.
    #[test]
    fn models_are_those_of_the_tables() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hospital");
        let write = std::env::var_os("SYNTH_WRITE_MODELS").is_some();
        for (path, text) in files() {
            let path = example.join(path);
            if write {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(
                found,
                text,
                "{}: run the tests once with SYNTH_WRITE_MODELS=1",
                path.display()
            );
        }
    }
}
