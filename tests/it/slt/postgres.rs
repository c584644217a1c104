//! A PostgreSQL of its own, asked through one `psql`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::file::Answer;

/// Between the columns of a row.
const COLUMN: char = '\u{1f}';

/// What null is shown as.
const NULL: &str = "\u{1e}";

/// Ends each answer.
const END: &str = "\u{1d}end";

/// An open `psql`, and the server's folder if it is of our own. Taken down when dropped.
pub struct Postgres {
    dir: Option<tempfile::TempDir>,
    psql: Child,
    into: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Postgres {
    /// Starts one, as the CDC suite does.
    pub fn up() -> Self {
        // It runs as another user, who must be able to enter.
        let dir = tempfile::Builder::new()
            .prefix("tidewater-slt")
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let output = kit("up", dir.path(), &["pg"]).output().unwrap();
        assert!(
            output.status.success(),
            "cdc up: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let command = kit("psql", dir.path(), &[]);
        let mut postgres = Self::open(command, Some(dir));
        // Letters beyond ASCII have a case there; texts are compared byte by byte.
        for statement in [
            "CREATE DATABASE corpus TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'",
            "\\connect corpus\n",
        ] {
            postgres.run(statement).unwrap();
        }
        postgres
    }

    /// Asks whatever speaks PostgreSQL's protocol at this port.
    pub fn at(port: u16) -> Self {
        let mut command = Command::new("psql");
        command
            .arg("-X")
            .arg(format!("postgresql://corpus@127.0.0.1:{port}/lake"));
        Self::open(command, None)
    }

    fn open(mut command: Command, dir: Option<tempfile::TempDir>) -> Self {
        let mut psql = command
            .args(["-qAt", "-F", &COLUMN.to_string(), "-P", &format!("null={NULL}")])
            .args(["-v", "ON_ERROR_STOP=0", "-c", "SELECT 1", "-f", "-"])
            .env("PGTZ", "UTC")
            .env("PGOPTIONS", "-c client_min_messages=error -c lc_messages=C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (into, from) = (psql.stdin.take().unwrap(), psql.stdout.take().unwrap());
        let mut postgres = Self {
            dir,
            psql,
            into,
            from: BufReader::new(from),
        };
        postgres.lines_until_end();
        postgres
    }

    fn lines_until_end(&mut self) -> (Vec<String>, String) {
        // Not the message too: it may have several lines.
        writeln!(self.into, "\\echo {END} :ERROR :SQLSTATE :ROW_COUNT").unwrap();
        self.into.flush().unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "psql is gone");
            let line = line.trim_end_matches('\n').to_owned();
            match line.strip_prefix(END) {
                Some(state) => return (lines, state.trim().to_owned()),
                None => lines.push(line),
            }
        }
    }

    /// Runs one statement.
    pub fn run(&mut self, sql: &str) -> Result<Answer, String> {
        writeln!(self.into, "{};", sql.trim_end_matches(';')).unwrap();
        let (lines, state) = self.lines_until_end();
        let mut words = state.splitn(4, ' ');
        if words.next() == Some("true") {
            return Err(state);
        }
        let value = |text: &str| (text != NULL).then(|| text.to_owned());
        Ok(Answer {
            rows: lines
                .iter()
                .map(|line| line.split(COLUMN).map(value).collect())
                .collect(),
            count: words.nth(1).and_then(|count| count.parse().ok()),
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.psql.kill());
        drop(self.psql.wait());
        if let Some(dir) = &self.dir {
            drop(kit("down", dir.path(), &[]).output());
        }
    }
}

fn kit(verb: &str, dir: &Path, rest: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/cdc/cdc"));
    command.arg(verb).arg(dir).args(rest);
    command
}
