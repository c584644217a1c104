//! How many connections one user may have.

use tokio::net::TcpListener;

use tidewater_core::{SystemClock, Tasks};
use tidewater_security::{Principal, Role, UserSettings};

use super::{ANSWER_DEADLINE, Client, Server, line};
use crate::service::QueryOptions;
use crate::service::tests::Lake;

impl Client {
    /// Shows a token in the place of a password; the message that the login ends with.
    async fn enter_with(&mut self, token: &str) -> (u8, String) {
        self.start("lake").await;
        self.until(b'R').await;
        self.send(b'p', format!("{token}\0").as_bytes()).await;
        loop {
            let (kind, body) = self.next().await.expect("a message");
            if matches!(kind, b'Z' | b'E') {
                return (kind, line(kind, body));
            }
        }
    }
}

// Goal: a user who has as many connections as they may have is refused another with PostgreSQL's code, and goes on with those they have.
// Method: two logins where one connection is allowed, then a query by the first.
#[tokio::test]
async fn a_user_has_so_many_connections() {
    let options = QueryOptions {
        user_connections_max: Some(1),
        ..QueryOptions::default()
    };
    let lake = Lake::with(options, SystemClock::shared()).await;
    let ana = UserSettings {
        name: "ana".into(),
        password_hash: String::new(),
        scram: None,
        role: Role::Reader,
    };
    let (service, _) = lake.for_users(vec![ana]);
    let token = service.authenticator().issue(&Principal::named("ana"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let tasks = Tasks::new("test");
    crate::postgres::serve(listener, service, None, &tasks);
    let server = Server { lake, port, tasks };
    let mut first = server.dial().await;
    assert_eq!(first.enter_with(&token).await.0, b'Z');
    let mut second = server.dial().await;
    assert_eq!(second.enter_with(&token).await, (b'E', "E 53300".to_owned()));
    assert!(first.query("SELECT 2").await.contains(&"D 2".to_owned()));
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
