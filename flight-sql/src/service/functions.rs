//! The functions that statements can call, as drivers are told of them.

use tidewater_engine::{Class, SessionOptions};

use super::QueryService;
use crate::flight::sql_info::FunctionNames;

impl QueryService {
    /// The functions of a session, by what they work on, as far as the engine's documentation tells.
    pub fn functions(&self) -> FunctionNames {
        let mut names = FunctionNames {
            // Of the grammar, and so of no section.
            numeric: ["ceiling", "mod", "sign"].map(str::to_owned).into(),
            ..FunctionNames::default()
        };
        let session = self.0.engine.session(Class::Interactive, &SessionOptions::default());
        for (name, function) in session.state().scalar_functions() {
            let section = function
                .documentation()
                .map_or("", |documentation| documentation.doc_section.label);
            let group = match section {
                "Math Functions" => &mut names.numeric,
                "String Functions" | "Binary String Functions" | "Regular Expression Functions" => &mut names.string,
                "Time and Date Functions" => &mut names.datetime,
                _ => &mut names.system,
            };
            group.push(name.clone());
        }
        for group in [
            &mut names.numeric,
            &mut names.string,
            &mut names.datetime,
            &mut names.system,
        ] {
            group.sort();
            group.dedup();
        }
        names
    }
}
