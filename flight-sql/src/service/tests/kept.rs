//! Statements that may not be carried out unless it is kept who asked for them.

use tidewater_security::{AuditFilter, AuditLog, AuditOptions, audit};

use super::*;

// Goal: where it is required, nothing is read and nothing changed that the log cannot keep, and what is done stands there with its tables
// before it is done. Method: the folder of the log is taken away, a query and a change are refused, and come through when it is back; then the
// lines are read.
#[tokio::test]
async fn nothing_is_done_that_is_not_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let folder = dir.path().join("audit");
    let options = AuditOptions {
        directory: folder.clone(),
        keep: Duration::from_secs(3_600),
        bytes_max: 1 << 20,
        required: true,
        process: "lake-1".to_owned(),
    };
    let log = AuditLog::start(options, SystemClock::shared()).expect("a log");
    let Lake { service, _spill } = Lake::new().await;
    let history = QueryHistory::new(service.clock().clone()).kept_in(Some(log.clone()));
    let lake = Lake {
        service: service.remember(history),
        _spill,
    };
    let user = Principal::local();
    let query = Statement::new("SELECT name FROM gold.numbers WHERE name <> 'hidden-value'");
    let change = Statement::new("DELETE FROM gold.numbers WHERE id = 3");
    std::fs::remove_dir(&folder).expect("it is empty");
    let refused = [
        lake.service.run(&user, &query).await.map(drop),
        lake.service.change(&user, &change).await.map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.expect_err("not kept").code(), "SQL-0045");
    }
    log.flush().await.expect_err("the ends of both are not written either");
    std::fs::create_dir(&folder).expect("a folder");
    assert_eq!(lake.rows(&query.sql).await.len(), 10, "nothing was deleted");
    lake.service
        .change(&user, &change)
        .await
        .expect("it goes")
        .expect("a change");
    log.flush().await.expect("kept");
    let mut lines = Vec::new();
    audit::read(&folder, &AuditFilter::default(), |line| lines.push(line)).expect("a folder");
    let told: Vec<String> = lines
        .iter()
        .filter(|line| line["event"] != "lost")
        .map(|line| {
            assert!(!line.to_string().contains("hidden-value"), "{line}");
            format!("{} {} {}", line["event"], line["user"], line["tables"])
        })
        .collect();
    let line = |event: &str| format!(r#""{event}" "local" ["gold.numbers"]"#);
    let each = [line("began"), line("statement")];
    assert_eq!(told, [each.clone(), each].concat());
    let last = lines.last().expect("lines");
    assert_eq!((&last["rows"], &last["error"]), (&1.into(), &().into()));
}
