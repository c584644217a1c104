//! `tidewater sql`: a shell for statements, over the Flight SQL endpoint, as any other client.
//!
//! Statements end with `;`, lines that begin with a backslash are the shell's own. Control-C ends the statement that runs and not the
//! shell. Given statements (`--command`, `--file`, standard input) it runs them one after the other and ends at the first that fails.

mod editor;
mod export;
mod meta;
mod names;
mod page;
mod render;
mod session;
mod split;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use tokio::runtime::Runtime;

use self::editor::{Editor, Line};
use self::names::Names;
use self::session::{Ended, Session};
use self::split::split;
use super::connect::ConnectArgs;
use super::failure::Failure;
use super::output::Output;
use crate::settings::Settings;

/// Longest script that is read: it is held as a whole.
const SCRIPT_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(super) struct SqlArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Run these statements and end; may be given several times
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    command: Vec<String>,
    /// Run the statements of this file and end
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Tell how long each statement took
    #[arg(long)]
    timing: bool,
}

pub(super) fn run(settings: &Settings, args: SqlArgs, output: &Output) -> Result<(), Failure> {
    // One thread beside this one, which waits for keys: a connection has to be kept alive meanwhile.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|source| Failure::io("start a runtime", source))?;
    let client = runtime.block_on(args.connect.connect(settings))?;
    let mut session = Session::new(client, args.connect.endpoint(settings), args.connect.user());
    session.json = output.is_json();
    session.timing = args.timing;
    if !args.command.is_empty() {
        return script(&runtime, &mut session, &args.command.join(";\n"));
    }
    if let Some(file) = &args.file {
        let what = format!("read {}", file.display());
        let text = std::fs::File::open(file).and_then(read);
        return script(
            &runtime,
            &mut session,
            &text.map_err(|source| Failure::io(&what, source))?,
        );
    }
    if !std::io::stdin().is_terminal() {
        let text = read(std::io::stdin()).map_err(|source| Failure::io("read the statements", source))?;
        return script(&runtime, &mut session, &text);
    }
    session.interactive = true;
    interactive(&runtime, session)
}

fn read(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    let read = from.take(SCRIPT_BYTES_MAX + 1).read_to_string(&mut text)?;
    match u64::try_from(read).unwrap_or(u64::MAX) > SCRIPT_BYTES_MAX {
        true => Err(std::io::ErrorKind::FileTooLarge.into()),
        false => Ok(text),
    }
}

/// Runs all statements, up to the first that fails. Here the last one needs no semicolon.
fn script(runtime: &Runtime, session: &mut Session, text: &str) -> Result<(), Failure> {
    let (mut statements, rest) = split(text);
    if !split::is_blank(rest) {
        statements.push(rest);
    }
    for statement in statements {
        let outcome = match statement.trim().strip_prefix('\\') {
            Some(command) => meta::run(runtime, session, command),
            None => session.run(runtime, statement),
        };
        match outcome? {
            Ended::Done => {}
            Ended::Cancelled => return Err(Failure::new("cancelled").exit(130)),
            Ended::Quit => break,
        }
    }
    session.finish()
}

fn interactive(runtime: &Runtime, mut session: Session) -> Result<(), Failure> {
    let mut editor = Editor::open(session.names.clone())?;
    session.names.refresh(runtime, &mut session.client);
    Session::say(&format!(
        "tidewater {} at {}; \\? for help, \\q to leave",
        env!("CARGO_PKG_VERSION"),
        session.endpoint
    ));
    loop {
        session.columns = editor.columns();
        session.lines = editor.lines();
        let line = match editor.read(&session.prompt())? {
            Line::Text(line) => line,
            Line::Interrupted => continue,
            Line::End => break,
        };
        let outcome = match line.trim().strip_prefix('\\') {
            Some(command) => meta::run(runtime, &mut session, command),
            None => statements(runtime, &mut session, &line),
        };
        match outcome {
            Ok(Ended::Quit) => break,
            Ok(Ended::Cancelled) => Session::say("cancelled"),
            Ok(Ended::Done) => {}
            Err(failure) => {
                failure.report();
            }
        }
    }
    editor.save();
    session.finish()
}

fn statements(runtime: &Runtime, session: &mut Session, text: &str) -> Result<Ended, Failure> {
    for statement in split(text).0 {
        match session.run(runtime, statement)? {
            Ended::Done => {}
            other => return Ok(other),
        }
        if names::changes(statement) {
            session.names.refresh(runtime, &mut session.client);
        }
    }
    Ok(Ended::Done)
}

/// Names are shared with the editor, which completes them.
type SharedNames = std::sync::Arc<Names>;
