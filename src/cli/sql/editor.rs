//! The line editor: statements of several lines, a history of them, and completion.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Helper};

use super::super::failure::{Failure, Reason};
use super::SharedNames;
use super::split::is_whole;

/// Statements that are remembered.
const HISTORY_MAX: usize = 2_000;

/// Names another file for the history.
const HISTORY: &str = "TIDEWATER_HISTORY";

/// A terminal that says it is narrower is not believed.
const COLUMNS_MIN: u16 = 20;

/// Only its owner reads what was asked: statements hold values.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// What came of reading.
pub(super) enum Line {
    Text(String),
    /// By Control-C: what was written is forgotten.
    Interrupted,
    End,
}

pub(super) struct Editor {
    inner: rustyline::Editor<Assistant, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    pub(super) fn open(names: SharedNames) -> Result<Self, Failure> {
        let failed = |error: ReadlineError| Failure::of(Reason::System, format!("cannot use this terminal: {error}"));
        let config = Config::builder()
            .max_history_size(HISTORY_MAX)
            .map_err(failed)?
            .history_ignore_space(true)
            .auto_add_history(true)
            .completion_type(CompletionType::List)
            .build();
        let mut inner = rustyline::Editor::with_config(config).map_err(failed)?;
        inner.set_helper(Some(Assistant(names)));
        let history = history_file();
        if let Some(file) = &history {
            // A shell without a history is a shell.
            let _ = inner.load_history(file);
        }
        Ok(Self { inner, history })
    }

    pub(super) fn read(&mut self, prompt: &str) -> Result<Line, Failure> {
        match self.inner.readline(prompt) {
            Ok(text) => Ok(Line::Text(text)),
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(Failure::of(
                Reason::System,
                format!("cannot read from this terminal: {error}"),
            )),
        }
    }

    /// Columns of the terminal.
    pub(super) fn columns(&mut self) -> Option<u16> {
        let (columns, _) = self.inner.dimensions()?;
        // Some terminals do not know how wide they are.
        (columns >= COLUMNS_MIN).then_some(columns)
    }

    /// Lines of the terminal.
    pub(super) fn lines(&mut self) -> Option<u16> {
        let (_, lines) = self.inner.dimensions()?;
        (lines > 1).then_some(lines)
    }

    pub(super) fn save(&mut self) {
        if let Some(file) = &self.history {
            // Nothing can be done about it at the end of a shell.
            let _ = self.inner.save_history(file);
        }
    }
}

/// The file of the history, made if it is not there; none where there is no place for it.
fn history_file() -> Option<PathBuf> {
    let file = match std::env::var_os(HISTORY) {
        Some(file) if file.is_empty() => return None,
        Some(file) => PathBuf::from(file),
        None => {
            let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
            let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
            state
                .filter(|path| path.is_absolute())
                .or_else(home)?
                .join("tidewater/sql_history")
        }
    };
    let dir = file.parent()?;
    if !dir.as_os_str().is_empty() {
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).ok()?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(FILE_MODE).open(&file).ok()?;
    Some(file)
}

/// Completes words, and says whether a statement is whole.
struct Assistant(SharedNames);

impl Helper for Assistant {}

impl Highlighter for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = self.0.complete(line, pos);
        let pairs = words.into_iter().map(|word| Pair {
            display: word.clone(),
            replacement: word,
        });
        Ok((start, pairs.collect()))
    }
}
