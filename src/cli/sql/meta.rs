//! The shell's own commands, which begin with a backslash.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use tokio::runtime::Runtime;

use tidewater_core::SystemRng;

use super::super::failure::{Failure, Reason};
use super::export;
use super::session::{Ended, Session};
use super::split::{is_blank, split};

const HELP: &str = r"Statements end with ; and may have several lines. Control-C ends the one that runs.
  \d [NAME]                tables, or the columns of one
  \dt [PATTERN]            tables and views (* stands for anything)
  \dn                      schemas
  \l                       databases
  \x                       a line for each value, or tables again
  \timing                  tell how long statements take, or no more
  \o [FILE]                rows go to the file, or to the terminal again
  \export csv|json|parquet FILE   the rows of the last statement, which runs again
  \e                       edit the last statement with $EDITOR and run it
  \i FILE                  run the statements of a file
  \refresh                 look again for names to complete
  \conninfo                where this shell is connected
  \q                       leave";

/// The schemas that tell of others.
const OWN: &str = "('information_schema', 'pg_catalog')";

/// Carries one out; `line` is without its backslash.
pub(super) fn run(runtime: &Runtime, session: &mut Session, line: &str) -> Result<Ended, Failure> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match (command, rest) {
        ("q" | "quit" | "exit", _) => return Ok(Ended::Quit),
        ("?" | "h" | "help", _) => Session::say(HELP),
        ("x", _) => {
            session.expanded = !session.expanded;
            Session::say(&format!("a line for each value: {}", on(session.expanded)));
        }
        ("timing", _) => {
            session.timing = !session.timing;
            Session::say(&format!("timing: {}", on(session.timing)));
        }
        ("conninfo", _) => {
            let user = session
                .user
                .as_deref()
                .unwrap_or("whoever the token or this machine says");
            Session::say(&format!("connected to {} as {user}", session.endpoint));
        }
        ("l", _) => {
            let sql = "SELECT DISTINCT catalog_name AS database FROM information_schema.schemata ORDER BY 1";
            return aside(runtime, session, sql);
        }
        ("dn", _) => {
            let sql = format!(
                "SELECT schema_name AS schema FROM information_schema.schemata WHERE schema_name NOT IN {OWN} ORDER BY 1"
            );
            return aside(runtime, session, &sql);
        }
        ("dt", pattern) | ("d", pattern @ "") => return aside(runtime, session, &tables(pattern)),
        ("d", name) => return aside(runtime, session, &format!("DESCRIBE {name}")),
        ("o", "") => session.finish()?,
        ("o", path) => {
            session.finish()?;
            let file = File::create(path).map_err(|source| Failure::io(&format!("write {path}"), source))?;
            session.file = Some((PathBuf::from(path), BufWriter::new(file)));
        }
        ("export", rest) => return export::run(runtime, session, rest),
        ("i", path) if !path.is_empty() => {
            let text = std::fs::read_to_string(path).map_err(|source| Failure::io(&format!("read {path}"), source))?;
            return statements(runtime, session, &text);
        }
        ("e", _) => {
            let text = edited(session.last.as_deref().unwrap_or_default())?;
            return statements(runtime, session, &text);
        }
        ("refresh", _) => session.names.refresh(runtime, &mut session.client),
        _ => return Err(Failure::of(Reason::Usage, format!("no command \\{command}")).hint("\\? tells what there is")),
    }
    Ok(Ended::Done)
}

fn on(setting: bool) -> &'static str {
    if setting { "on" } else { "off" }
}

/// Runs a statement of the shell's own, which does not count as the last one.
fn aside(runtime: &Runtime, session: &mut Session, sql: &str) -> Result<Ended, Failure> {
    let last = session.last.take();
    let ended = session.run(runtime, sql);
    session.last = last;
    ended
}

fn tables(pattern: &str) -> String {
    let mut sql = format!(
        "SELECT table_schema AS schema, table_name AS name, table_type AS type FROM information_schema.tables \
         WHERE table_schema NOT IN {OWN}"
    );
    if !pattern.is_empty() {
        // `_` and `%` mean something to LIKE, and nothing here.
        let escaped = pattern.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
        let text = escaped.replace('*', "%").replace('\'', "''");
        let name = match text.contains('.') {
            true => "concat(table_schema, '.', table_name)",
            false => "table_name",
        };
        sql.push_str(&format!(" AND {name} LIKE '{text}'"));
    }
    sql + " ORDER BY 1, 2"
}

/// Runs all statements of a text, the last one without a semicolon too; lines with a backslash in it are not carried out.
fn statements(runtime: &Runtime, session: &mut Session, text: &str) -> Result<Ended, Failure> {
    let (mut found, rest) = split(text);
    if !is_blank(rest) {
        found.push(rest);
    }
    for statement in found
        .into_iter()
        .filter(|statement| !statement.trim_start().starts_with('\\'))
    {
        match session.run(runtime, statement)? {
            Ended::Done => {}
            other => return Ok(other),
        }
    }
    Ok(Ended::Done)
}

/// A text as the user's editor leaves it.
fn edited(text: &str) -> Result<String, Failure> {
    let program = std::env::var("EDITOR").map_err(|_| Failure::of(Reason::Usage, "EDITOR names no editor"))?;
    let mut words = program.split_whitespace();
    let editor = words
        .next()
        .ok_or_else(|| Failure::of(Reason::Usage, "EDITOR names no editor"))?;
    let failed = |source| Failure::io("edit the statement", source);
    // Its name nobody can know before, and only its owner can read it.
    let name = format!("tidewater-{}.sql", SystemRng::shared().uuid().simple());
    let file = std::env::temp_dir().join(name);
    {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        let mut made = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .map_err(failed)?;
        made.write_all(text.as_bytes()).map_err(failed)?;
    }
    let ended = std::process::Command::new(editor).args(words).arg(&file).status();
    let text = std::fs::read_to_string(&file);
    // It is in a folder that is cleaned.
    let _ = std::fs::remove_file(&file);
    match ended.map_err(failed)?.success() {
        true => text.map_err(failed),
        false => Err(Failure::of(Reason::Usage, "the editor failed: nothing is run")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a pattern is a value and no SQL. Method: quotes and what means something to LIKE.
    #[test]
    fn patterns_are_values() {
        assert!(tables("a*").ends_with("LIKE 'a%' ORDER BY 1, 2"));
        assert!(tables("gold.x'; DROP").contains("concat(table_schema, '.', table_name) LIKE 'gold.x''; DROP'"));
        assert!(tables("a_b%").contains(r"LIKE 'a\_b\%'"));
        assert!(!tables("").contains("LIKE"));
    }
}
