//! The shell of the command line: on a terminal, and with statements that are given to it.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::kit::{Node, NodeBuilder, wait_for};

/// A busy machine is slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// A shell on a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(node: &Node, history: &Path) -> Self {
        Self::with_pager(node, history, None)
    }

    fn with_pager(node: &Node, history: &Path, pager: Option<&Path>) -> Self {
        // A shell between `script` and this one would end by the Control-C that is meant for this one.
        let shell = format!(
            "stty rows 24 cols 120; exec {} sql --endpoint 127.0.0.1:{}",
            env!("CARGO_BIN_EXE_tidewater"),
            node.ports().flight
        );
        let mut command = Command::new("script");
        match pager {
            Some(pager) => command.env("PAGER", pager),
            None => command.env_remove("PAGER"),
        };
        let mut child = command
            .args(["-qefc", &shell, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TIDEWATER_HISTORY", history)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown
                    .lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        let mut terminal = Self { child, keys, screen };
        terminal.expect("lake> ");
        terminal
    }

    /// Waits until the screen shows a text, and forgets what stood up to its end.
    fn expect(&mut self, text: &str) -> String {
        let screen = Arc::clone(&self.screen);
        wait_for(&format!("the shell shows {text:?}"), DEADLINE, || {
            let mut screen = screen.lock().unwrap();
            let end = screen.find(text)? + text.len();
            Some(screen.drain(..end).collect())
        })
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Runs something, and waits for the prompt behind what it shows.
    fn run(&mut self, text: &str, shown: &str) {
        self.press(&format!("{text}\r"));
        self.expect(shown);
        self.expect("lake> ");
    }
}

// Goal: somebody at a terminal can write statements of several lines, complete names, look around, end a statement and not the shell,
// and take rows away in a file. Method: a shell on a terminal, key by key, against a whole process.
#[test]
fn a_shell_on_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    node.query("CREATE SCHEMA harbour").unwrap();
    node.query("CREATE TABLE harbour.boats (name VARCHAR, tons BIGINT)")
        .unwrap();
    node.query("INSERT INTO harbour.boats VALUES ('Ada', 12), ('Bea', NULL)")
        .unwrap();
    let history = dir.path().join("state/history");
    let mut shell = Terminal::open(&node, &history);
    shell.run("SELECT 40 +\r2 AS answer;", "42");
    shell.run("SELECT ';' AS semicolon; SELECT 7 * 7;", "49");
    // Completion: of a keyword, a schema, a table.
    shell.press("SEL\t * FROM harb\t.bo\t ORDER BY 1;\r");
    shell.expect("Ada");
    shell.expect("NULL");
    shell.expect("(2 rows)");
    shell.expect("lake> ");
    shell.run("\\dt harbour.*", "boats");
    shell.run("\\d harbour.boats", "tons");
    shell.run("\\dn", "harbour");
    shell.run("\\x", "on");
    shell.run("SELECT 'wide' AS word;", "-[ row 1 ]-");
    shell.run("\\x", "off");
    shell.run("\\timing", "on");
    shell.run("SELECT 1;", "time: ");
    shell.run("SELECT nothing;", "error");
    shell.run("\\nothing", "error");

    let endless = "SELECT sum(sqrt(a.value * b.value)) FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 10000000) b;";
    shell.press(&format!("{endless}\r"));
    wait_for("it is at work", DEADLINE, || {
        let at_work = node.control("/v1/queries")?;
        (!at_work["queries"].as_array()?.is_empty()).then_some(())
    });
    shell.press("\u{3}");
    shell.expect("cancelled");
    shell.expect("lake> ");
    wait_for("it is at work no more", DEADLINE, || {
        let at_work = node.control("/v1/queries")?;
        at_work["queries"].as_array()?.is_empty().then_some(())
    });
    shell.run("SELECT 41 + 1 AS again;", "42");

    shell.run("SELECT name, tons FROM harbour.boats ORDER BY 1;", "Bea");
    for (format, holds) in [("csv", "Ada,12"), ("json", "\"tons\":12"), ("parquet", "PAR1")] {
        let file = dir.path().join(format!("boats.{format}"));
        shell.run(&format!("\\export {format} {}", file.display()), "2 rows in");
        let bytes = std::fs::read(&file).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains(holds), "{format}");
    }
    let file = dir.path().join("rows.txt");
    // It says nothing: the file tells that it was done.
    shell.press(&format!("\\o {}\r", file.display()));
    wait_for("the file is there", DEADLINE, || file.is_file().then_some(()));
    shell.run("SELECT 'in the file' AS place;", "time: ");
    shell.press("\\o\r");
    wait_for("the rows are in the file", DEADLINE, || {
        std::fs::read_to_string(&file)
            .ok()?
            .contains("in the file")
            .then_some(())
    });
    shell.press("\\q\r");
    let status = wait_for("the shell ends", DEADLINE, || shell.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let kept = std::fs::read_to_string(&history).unwrap();
    assert!(kept.contains("harbour.boats"), "{kept}");
    assert_eq!(std::fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
}

// Goal: an answer longer than the screen goes through the reader's pager, a short one does not, and the shell goes on after it, also
// where the pager ends before it read everything. Method: programs in its place that keep what they read, or read nothing.
#[test]
fn long_answers_are_paged() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    let (kept, history) = (dir.path().join("kept"), dir.path().join("history"));
    let program = |name: &str, does: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{does}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    };
    let keeps = program("keeps", &format!("cat > {}; echo it was paged", kept.display()));
    let long = "SELECT value AS number FROM generate_series(1, 5000) ORDER BY 1;";
    let mut shell = Terminal::with_pager(&node, &history, Some(&keeps));
    shell.run("SELECT 'short' AS word;", "(1 row)");
    assert!(!kept.try_exists().unwrap(), "a short answer");
    shell.run(long, "it was paged");
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(
        text.lines().count() >= 5_000 && text.contains("5000"),
        "{} bytes",
        text.len()
    );
    let stops = program("stops", "echo nothing was read");
    let mut shell = Terminal::with_pager(&node, &history, Some(&stops));
    shell.run(long, "nothing was read");
    shell.run("SELECT 40 + 2 AS answer;", "42");
}

fn given(node: &Node, args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidewater"))
        .args(["sql", "--endpoint", &format!("127.0.0.1:{}", node.ports().flight)])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

// Goal: scripts run to their end or to the first statement that fails, and say which it was by their exit status. Method: statements by
// argument, file and standard input, good and bad ones.
#[test]
fn a_shell_for_scripts() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    let (status, out, err) = given(
        &node,
        &["-c", "SELECT 1 AS one", "-c", "SELECT 2 AS two", "--output", "json"],
        "",
    );
    assert_eq!(
        (status, out.as_str()),
        (Some(0), "[{\"one\":1}]\n[{\"two\":2}]\n"),
        "{err}"
    );
    let (status, out, _) = given(&node, &[], "SELECT 'x' AS a; -- b\nSELECT nothing;\nSELECT 'y' AS c;");
    assert_eq!(status, Some(1));
    assert!(out.contains('x') && !out.contains('y'), "{out}");
    let file = dir.path().join("statements.sql");
    std::fs::write(&file, "\\x\nSELECT 6 * 7 AS answer").unwrap();
    let (status, out, _) = given(&node, &["-f", file.to_str().unwrap()], "");
    assert_eq!(status, Some(0));
    assert!(out.contains("answer | 42"), "{out}");
    let (status, _, err) = given(&node, &["-f", "nowhere.sql"], "");
    assert_eq!(status, Some(1));
    assert!(err.contains("nowhere.sql"), "{err}");
}
