//! Which server the client asks, and how long it waits for one.

use std::time::Duration;

use tidewater_catalog_client::{CatalogClient, ClientError, ClientOptions};
use tidewater_core::{Coded, Retry, SystemClock, Tasks};
use tidewater_table::Catalog;

use super::{Node, bronze, client};

// Goal: the client finds the leader, waits out a time without one, and says what is known when it gives up. Method: a follower that
// points to the leader; a leader that answers 503 and comes back; nobody at all; answers that are lost for good.
#[tokio::test]
async fn the_leader_is_found() {
    let (leader, follower) = (Node::start().await, Node::start().await);
    follower.consensus.follow(Some(&leader.uri()));
    bronze(&client(&[follower.uri()])).await;
    assert_eq!(
        client(&[leader.uri()]).list_namespaces().await.expect("a list").len(),
        1
    );

    leader.consensus.follow(None);
    let asking = client(&[leader.uri()]);
    let back = async {
        tokio::task::yield_now().await;
        leader.consensus.follow_self();
    };
    let (found, ()) = tokio::join!(asking.list_namespaces(), back);
    assert_eq!(found.expect("a list").len(), 1);

    leader.tasks.shutdown(Duration::from_secs(5)).await;
    let mut options = ClientOptions::new([leader.uri()]);
    options.deadline = Duration::from_millis(200);
    let alone = CatalogClient::new(options).expect("good options");
    let gone = alone.cluster_status().await;
    assert!(matches!(gone, Err(ClientError::Unavailable { .. })), "{gone:?}");
    assert_eq!(gone.map_err(|error| error.retry()), Err(Retry::Safe));
}

// Goal: a command does not wait for a catalog that nobody started, and what goes on for longer does. Method: a port that nobody listens on
// any more; the command's deadline is far away, the other's near, and only the latter is reached.
#[tokio::test]
async fn a_command_does_not_wait_for_a_start() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let ask = |await_start: bool, deadline: Duration| {
        let mut options = ClientOptions::new([place.clone(), place.clone()]);
        options.await_start = await_start;
        options.deadline = deadline;
        let client = CatalogClient::new(options).expect("good options");
        async move { tokio::time::timeout(Duration::from_secs(20), client.cluster_status()).await }
    };
    let gone = ask(false, Duration::from_secs(600)).await.expect("at once");
    assert!(matches!(gone, Err(ClientError::Unavailable { .. })), "{gone:?}");
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    let waited = ask(true, Duration::from_secs(1)).await.expect("at its deadline");
    assert!(waited.is_err() && clock.monotonic() - begun >= Duration::from_millis(300));
}

// Goal: a command gives up where every connection breaks, as on the port of something else; what goes on for longer waits as long as it may.
// Method: a listener that closes what it takes; the command's deadline is far away, the other's longer than the command tries.
#[tokio::test]
async fn a_command_gives_up_where_connections_break() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = format!("http://{}", listener.local_addr().expect("an address"));
    Tasks::new("test").spawn("close", async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    let ask = |await_start: bool, deadline: Duration| {
        let mut options = ClientOptions::new([place.clone()]);
        options.await_start = await_start;
        options.deadline = deadline;
        let client = CatalogClient::new(options).expect("good options");
        async move { tokio::time::timeout(Duration::from_secs(30), client.cluster_status()).await }
    };
    let gone = ask(false, Duration::from_secs(600))
        .await
        .expect("long before its deadline");
    assert!(matches!(gone, Err(ClientError::Unavailable { .. })), "{gone:?}");
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    let waited = ask(true, Duration::from_secs(6)).await.expect("at its deadline");
    assert!(waited.is_err() && clock.monotonic() - begun >= Duration::from_secs(4));
}
