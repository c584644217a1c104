//! Grants of a node that is behind, and what a commit says beside its rows.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::command::{Command, Outcome};
use crate::memory::MemoryConsensus;
use crate::raft::{Applied, Consensus, ConsensusError, Leadership, MemberChange, Status};

/// The state of before, until somebody asks for one that is younger.
#[derive(Debug)]
struct Behind {
    log: Arc<MemoryConsensus>,
    shown: Mutex<Option<Applied>>,
    age: Duration,
}

impl Behind {
    /// Shows the state of now from now on.
    fn hold(&self, state: Applied) {
        *self.shown.lock().expect("not poisoned") = Some(state);
    }

    fn is_behind(&self) -> bool {
        self.shown.lock().expect("not poisoned").is_some()
    }
}

#[async_trait]
impl Consensus for Behind {
    async fn write(&self, command: Command) -> Result<Outcome, ConsensusError> {
        self.log.write(command).await
    }

    async fn barrier(&self) -> Result<(), ConsensusError> {
        self.shown.lock().expect("not poisoned").take();
        self.log.barrier().await
    }

    async fn barrier_within(&self, staleness: Duration) -> Result<(), ConsensusError> {
        match staleness < self.age {
            true => self.barrier().await,
            false => Ok(()),
        }
    }

    fn state(&self) -> Applied {
        let shown = self.shown.lock().expect("not poisoned").clone();
        shown.unwrap_or_else(|| self.log.state())
    }

    async fn wait_applied(&self, index: u64, deadline: Duration) -> u64 {
        self.log.wait_applied(index, deadline).await
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.log.leadership()
    }

    async fn change_members(&self, change: MemberChange) -> Result<(), ConsensusError> {
        self.log.change_members(change).await
    }

    fn status(&self) -> Status {
        self.log.status()
    }
}

/// A lake whose node can be made one that is so far behind.
async fn behind(age: Duration) -> (Lake, Arc<Behind>) {
    let log = Arc::new(Behind {
        log: MemoryConsensus::shared(),
        shown: Mutex::new(None),
        age,
    });
    let consensus: Arc<dyn Consensus> = log.clone();
    let lake = Lake::over(Grants::WhenMade, |options| options.consensus = consensus).await;
    (lake, log)
}

// Goal: what was taken back counts for all that an answer holds, at a node that has not heard of it. Method: an administrator and a reader whose
// grants are revoked while the node shows the state of before; a table and the list of namespaces.
#[tokio::test]
async fn a_revoke_counts_where_it_was_not_heard_of() {
    let (lake, log) = behind(Duration::from_secs(1)).await;
    for (user, on, privilege) in [("ana", json!("warehouse"), "admin"), ("eve", table("a", "t"), "select")] {
        for path in [TABLE, "/v1/namespaces"] {
            lake.grant(&[privilege], &[], on.clone(), user).await;
            let before = log.state();
            let revoke = json!({"do": "revoke", "privileges": [privilege], "columns": [], "on": on,
                "from": [{"user": user}]});
            lake.node("POST", POLICY, revoke).await;
            log.hold(before);
            let answer = lake.call(user, "GET", path, None).await;
            assert!(!log.is_behind(), "{user} at {path}: nobody asked");
            match path {
                TABLE => assert!([403, 404].contains(&answer.status), "{user}: {}", answer.body),
                _ => assert_eq!(answer.body["namespaces"], json!([]), "{user}"),
            }
        }
    }
}

// Goal: users choose how old an answer is, and not by how old a state they are let in and looked at. Method: a node that is an hour behind, a
// request that lets it be; of a user whose tokens were taken back, of one whose grant was, and of a node, for which the hour counts.
#[tokio::test]
async fn grants_are_not_old_by_choice() {
    let (lake, log) = behind(Duration::from_secs(3_600)).await;
    lake.grant(&["select"], &[], table("a", "t"), "ana").await;
    lake.grant(&["select"], &[], table("a", "t"), "eve").await;
    let before = log.state();
    let (ana, eve) = (lake.token("ana"), lake.token("eve"));
    lake.node("POST", POLICY, json!({"do": "revoke_tokens_of", "user": "ana"}))
        .await;
    let revoke = json!({"do": "revoke", "privileges": ["select"], "columns": [], "on": table("a", "t"),
        "from": [{"user": "eve"}]});
    lake.node("POST", POLICY, revoke).await;
    for (token, statuses, stays) in [
        (ana, [401, 401], None),
        (eve, [403, 404], Some(false)),
        (lake.node_token(), [200, 200], Some(true)),
    ] {
        log.hold(before.clone());
        let mut request = Lake::bearer(request("GET", TABLE, None, None), &token);
        let age = "1000000000000000".parse().expect("a header");
        request.headers_mut().insert("x-tidewater-max-staleness-ms", age);
        let answer = lake.kit.send(request).await;
        assert!(statuses.contains(&answer.status), "{} {}", answer.status, answer.body);
        // What a process has once heard of tokens it goes by at the door, however old the state is.
        assert!(stays.is_none_or(|stays| stays == log.is_behind()));
    }
}

// Goal: what everybody is told the same takes no leader, whoever asks. Method: a user asks a node that is an hour behind for its configuration.
#[tokio::test]
async fn what_everybody_is_told_takes_no_leader() {
    let (lake, log) = behind(Duration::from_secs(3_600)).await;
    lake.grant(&["select"], &[], table("a", "t"), "ana").await;
    log.hold(log.state());
    assert_eq!(lake.status("ana", "GET", "/v1/config", None).await, 200);
    assert!(log.is_behind(), "the leader was asked");
}

// Goal: nobody is given what another made by the other's key. Method: two users who may make tables ask for the same one under one key; who made it
// asks again.
#[tokio::test]
async fn a_key_is_its_users() {
    let lake = Lake::new().await;
    for user in ["ana", "eve"] {
        lake.grant(&["create"], &[], json!({"namespace": ["b"]}), user).await;
    }
    let ask = |user: &str| {
        let request = request(
            "POST",
            "/v1/namespaces/b/tables",
            Some(new_table("x")),
            Some(Uuid::from_u128(7)),
        );
        Lake::bearer(request, &lake.token(user))
    };
    assert_eq!(lake.kit.send(ask("ana")).await.status, 200);
    let other = lake.kit.send(ask("eve")).await;
    assert_eq!(other.status, 422, "{}", other.body);
    let read = "/v1/namespaces/b/tables/x";
    assert_eq!(lake.status("eve", "GET", read, None).await, 404);
    assert_eq!(
        lake.kit.send(ask("ana")).await.status,
        200,
        "their own answer comes again"
    );
    assert_eq!(lake.status("ana", "GET", read, None).await, 200);
}

// Goal: what main keeps is said by who may alter the table. Method: appends by a user with INSERT alone that tell other values, a tag, the values of
// now, and nothing; the values after each.
#[tokio::test]
async fn appends_do_not_say_what_main_keeps() {
    let lake = Lake::new().await;
    lake.grant(&["insert"], &[], table("a", "t"), "ana").await;
    let commit = |id: i64, parent: Option<i64>, sequence: i64, told: Value| {
        let mut updates = append(id, parent, sequence);
        for (name, value) in told.as_object().expect("an object") {
            updates[1][name] = value.clone();
        }
        json!({"requirements": [], "updates": updates})
    };
    let kept = json!({"min-snapshots-to-keep": 50, "max-snapshot-age-ms": 1_000_000});
    lake.node("POST", TABLE, commit(1, None, 1, kept.clone())).await;
    for told in [
        json!({"min-snapshots-to-keep": 1, "max-snapshot-age-ms": 1}),
        json!({"min-snapshots-to-keep": 50, "max-snapshot-age-ms": 1_000_001}),
        json!({"type": "tag"}),
    ] {
        let refused = lake
            .call("ana", "POST", TABLE, Some(commit(2, Some(1), 2, told.clone())))
            .await;
        assert_eq!(refused.status, 403, "{told}: {}", refused.body);
        assert!(refused.message().contains("ALTER"), "{}", refused.body);
    }
    for (id, told) in [(2, kept.clone()), (3, json!({}))] {
        let body = commit(id, Some(id - 1), id, told.clone());
        let done = lake.call("ana", "POST", TABLE, Some(body)).await;
        assert_eq!(done.status, 200, "{told}: {}", done.body);
        let main = &done.body["metadata"]["refs"]["main"];
        assert_eq!(main["snapshot-id"], json!(id));
        for (name, value) in kept.as_object().expect("an object") {
            assert_eq!(&main[name], value, "{told}");
        }
    }
    lake.node("POST", TABLE, commit(4, Some(3), 4, json!({}))).await;
    let table = lake.with(&lake.node_token(), "GET", TABLE, None).await;
    assert!(
        table.body["metadata"]["refs"]["main"]["min-snapshots-to-keep"].is_null(),
        "who may alter it says what it keeps: {}",
        table.body
    );
}
