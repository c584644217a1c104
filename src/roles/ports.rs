//! The ports of a process: which may leave this machine, and how they are opened.
//!
//! Every listener of every role is checked here before anything is opened, also those that other crates bind themselves.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use tidewater_security::ListenPolicy;

use super::Role;
use crate::cli::failure::{Failure, Reason};
use crate::settings::Settings;

/// Shortest secret of the nodes: from a token on the wire, a shorter one could be found by trying.
const NODE_SECRET_BYTES_MIN: usize = 32;

/// A listener, by the section of the configuration that names its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Http,
    Catalog,
    Raft,
    Scheduler,
    /// Shuffle files.
    Executor,
    /// Tasks.
    ExecutorGrpc,
    FlightSql,
    Postgres,
}

impl Port {
    const ALL: [Self; 8] = [
        Self::Http,
        Self::Catalog,
        Self::Raft,
        Self::Scheduler,
        Self::Executor,
        Self::ExecutorGrpc,
        Self::FlightSql,
        Self::Postgres,
    ];

    fn section(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Catalog => "catalog",
            Self::Raft => "raft",
            Self::Scheduler => "scheduler",
            Self::Executor | Self::ExecutorGrpc => "executor",
            Self::FlightSql => "flight_sql",
            Self::Postgres => "postgres",
        }
    }

    fn address(self, settings: &Settings) -> SocketAddr {
        match self {
            Self::Http => settings.http.listen,
            Self::Catalog => settings.catalog.listen,
            Self::Raft => settings.raft.listen,
            Self::Scheduler => settings.scheduler.listen,
            Self::Executor => settings.executor.listen,
            Self::ExecutorGrpc => SocketAddr::new(settings.executor.listen.ip(), settings.executor.grpc_port),
            Self::FlightSql => settings.flight_sql.listen,
            Self::Postgres => settings.postgres.listen,
        }
    }

    /// The setting that names its port.
    fn key(self) -> String {
        match self {
            Self::ExecutorGrpc => "executor.grpc_port".to_owned(),
            port => format!("{}.listen", port.section()),
        }
    }

    /// Whether a process of these roles opens it. A log without others has no listener.
    fn is_opened(self, settings: &Settings, opens: impl Fn(Role) -> bool) -> bool {
        match self {
            Self::Raft if settings.raft.peers.is_empty() => false,
            port => port.role().is_none_or(opens),
        }
    }

    /// The role that opens it; every process has the control endpoint.
    fn role(self) -> Option<Role> {
        match self {
            Self::Http => None,
            Self::Catalog | Self::Raft => Some(Role::Catalog),
            Self::Scheduler => Some(Role::Scheduler),
            Self::Executor | Self::ExecutorGrpc => Some(Role::Executor),
            Self::FlightSql | Self::Postgres => Some(Role::FlightSql),
        }
    }

    fn policy(self, settings: &Settings) -> ListenPolicy {
        let authenticated = match self {
            Self::Http | Self::Catalog | Self::Raft => settings.security.node_secret.is_some(),
            Self::FlightSql | Self::Postgres => settings.security.knows_users(),
            Self::Scheduler | Self::Executor | Self::ExecutorGrpc => {
                if settings.scheduler.trusted_network {
                    return ListenPolicy::TrustedNetwork;
                }
                settings.node_tls.is_some()
            }
        };
        match authenticated {
            true => ListenPolicy::Authenticated,
            false => ListenPolicy::LoopbackOnly,
        }
    }

    fn way_out(self) -> &'static str {
        match self {
            Self::Http | Self::Catalog | Self::Raft => {
                "listen on 127.0.0.1, or set security.node_secret to the same text on all nodes"
            }
            Self::FlightSql | Self::Postgres => {
                "listen on 127.0.0.1, or configure [[security.users]] or [[security.oidc]]"
            }
            Self::Scheduler | Self::Executor | Self::ExecutorGrpc => {
                "listen on 127.0.0.1, or give the nodes certificates ([node_tls]), or set scheduler.trusted_network = true \
                 where nobody else reaches the port: without certificates scheduler and executors ask nobody who they are"
            }
        }
    }

    /// Refuses an address that would let in whoever reaches it.
    fn check(self, settings: &Settings) -> Result<SocketAddr, Failure> {
        let checked = self.policy(settings).check(self.address(settings));
        checked.map_err(|error| Failure::from(error).hint(self.way_out()))
    }
}

/// The listeners that the roles of a process open, by the section that names them. That of the log is left out: a node without others
/// opens none.
pub(crate) fn listeners(settings: &Settings, roles: &BTreeSet<Role>) -> Vec<(&'static str, SocketAddr)> {
    let open = Port::ALL.into_iter().filter(|port| match port.role() {
        Some(role) => *port != Port::Raft && roles.contains(&role),
        None => true,
    });
    open.map(|port| (port.section(), port.address(settings))).collect()
}

/// Checks the addresses of all listeners that `opens` names, and what goes with them. Nothing is opened before.
pub(super) fn check(settings: &Settings, opens: impl Fn(Role) -> bool) -> Result<(), Failure> {
    if let Some(secret) = &settings.security.node_secret
        && secret.expose().len() < NODE_SECRET_BYTES_MIN
    {
        return Err(Failure::of(
            Reason::Settings,
            format!("security.node_secret is shorter than {NODE_SECRET_BYTES_MIN} bytes"),
        )
        .hint("make one with: openssl rand -hex 32")
        .exit(2));
    }
    if opens(Role::FlightSql) && !settings.flight_sql.siblings.is_empty() && settings.security.node_secret.is_none() {
        return Err(Failure::of(
            Reason::Settings,
            "flight_sql.siblings are named, and there is no secret that they would know this process by",
        )
        .hint("set security.node_secret to the same text on all nodes")
        .exit(2));
    }
    if settings.http.require_tls && settings.security.tls.is_none() {
        return Err(Failure::of(
            Reason::Settings,
            "http.require_tls is set, and there is no certificate that TLS could be spoken with",
        )
        .hint("set [security.tls]")
        .exit(2));
    }
    for port in Port::ALL {
        if port.role().is_none_or(&opens) {
            port.check(settings)?;
        }
    }
    no_two_on_one(settings, &opens)?;
    let named = [
        (
            Role::Catalog,
            Port::Catalog,
            settings.catalog.advertise.is_empty() && settings.raft.peers.is_empty(),
        ),
        (
            Role::Scheduler,
            Port::Scheduler,
            settings.scheduler.advertise.is_empty(),
        ),
        (Role::Executor, Port::Executor, settings.executor.advertise.is_empty()),
    ];
    for (role, port, nameless) in named {
        if opens(role) && nameless && port.address(settings).ip().is_unspecified() {
            let section = port.section();
            return Err(Failure::of(
                Reason::Settings,
                format!(
                    "{section}.listen is {}, an address that others cannot call",
                    port.address(settings)
                ),
            )
            .hint(format!("set {section}.advertise to what other machines call this one"))
            .exit(2));
        }
    }
    Ok(())
}

/// Refuses two listeners of a process on one address: the second could not be opened.
fn no_two_on_one(settings: &Settings, opens: impl Fn(Role) -> bool) -> Result<(), Failure> {
    let opened: Vec<Port> = Port::ALL
        .into_iter()
        .filter(|port| port.is_opened(settings, &opens))
        .collect();
    for (at, port) in opened.iter().enumerate() {
        let address = port.address(settings);
        let meets = |other: &&Port| {
            let other = other.address(settings);
            let (ip, other_ip) = (address.ip(), other.ip());
            let everywhere = ip.is_unspecified() || other_ip.is_unspecified();
            // The system finds a free one for each that asks for port 0.
            address.port() != 0 && address.port() == other.port() && (ip == other_ip || everywhere)
        };
        if let Some(other) = opened.iter().skip(at + 1).find(meets) {
            return Err(Failure::of(
                Reason::Settings,
                format!("{} and {} are both {address}", port.key(), other.key()),
            )
            .hint("give each listener a port of its own")
            .exit(2));
        }
    }
    Ok(())
}

/// Warns of ports for clients that leave this machine without TLS: what goes over them can be read on its way.
pub(super) fn tell_of_plain(settings: &Settings, opens: impl Fn(Role) -> bool) {
    for (listener, address) in leaving(&[Port::Catalog, Port::FlightSql, Port::Postgres], settings, opens) {
        tracing::warn!(listener, %address, "the port leaves this machine without TLS: set [security.tls]");
    }
}

/// The same for the ports between nodes.
pub(super) fn tell_of_plain_nodes(settings: &Settings, opens: impl Fn(Role) -> bool) {
    for (listener, address) in leaving(&[Port::Raft, Port::Scheduler, Port::Executor], settings, opens) {
        tracing::warn!(listener, %address, "the port leaves this machine without TLS: set [node_tls]");
    }
}

/// Those that are opened and leave this machine.
fn leaving(
    ports: &[Port],
    settings: &Settings,
    opens: impl Fn(Role) -> bool,
) -> impl Iterator<Item = (&'static str, SocketAddr)> {
    ports
        .iter()
        .filter(move |port| port.role().is_some_and(&opens) && !port.address(settings).ip().is_loopback())
        .map(move |port| (port.section(), port.address(settings)))
}

/// Opens a port, or tells who is in the way.
pub(super) async fn bind(settings: &Settings, port: Port) -> Result<TcpListener, Failure> {
    let address = port.check(settings)?;
    TcpListener::bind(address).await.map_err(|source| {
        Failure::of(Reason::System, format!("cannot listen on {address}: {source}")).hint(format!(
            "another process uses the port: stop it, or set {}.listen to another address",
            port.section()
        ))
    })
}

/// What others call a listener by.
pub(super) fn external_host(advertise: &str, listen: IpAddr) -> String {
    match advertise {
        "" => listen.to_string(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::Secret;
    use tidewater_security::{NodeTlsSettings, TlsSettings, UserSettings};

    use super::*;

    fn open(port: Port, settings: &mut Settings) {
        let address: SocketAddr = "0.0.0.0:1".parse().expect("an address");
        match port {
            Port::Http => settings.http.listen = address,
            Port::Catalog => settings.catalog.listen = address,
            Port::Raft => settings.raft.listen = address,
            Port::Scheduler => settings.scheduler.listen = address,
            Port::Executor | Port::ExecutorGrpc => settings.executor.listen = address,
            Port::FlightSql => settings.flight_sql.listen = address,
            Port::Postgres => settings.postgres.listen = address,
        }
        settings.catalog.advertise = "http://lake:8181".into();
        settings.scheduler.advertise = "scheduler".into();
        settings.executor.advertise = "executor".into();
    }

    // Goal: each port leaves loopback with the authentication that is its own, and with nothing else. Method: every port with
    // every one of the four settings.
    #[test]
    fn every_port_has_its_own_key() {
        for port in Port::ALL {
            let mut settings = Settings::default();
            open(port, &mut settings);
            let plain = settings.clone();
            let mut users = plain.clone();
            users.security.users = vec![UserSettings {
                name: "ana".into(),
                password_hash: "$argon2id$".into(),
                scram: None,
                role: tidewater_security::Role::Reader,
            }];
            let mut secret = plain.clone();
            secret.security.node_secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
            let mut trusted = plain.clone();
            trusted.scheduler.trusted_network = true;
            let mut nodes = plain.clone();
            nodes.node_tls = Some(NodeTlsSettings {
                ca: "ca.pem".into(),
                cert: "node.pem".into(),
                key: "node-key.pem".into(),
            });
            let admitted = [&plain, &users, &secret, &trusted, &nodes];
            let admitted = admitted.map(|settings| check(settings, |_| true).is_ok());
            let wanted = match port {
                Port::FlightSql | Port::Postgres => [false, true, false, false, false],
                Port::Http | Port::Catalog | Port::Raft => [false, false, true, false, false],
                Port::Scheduler | Port::Executor | Port::ExecutorGrpc => [false, false, false, true, true],
            };
            assert_eq!(admitted, wanted, "{port:?}");
            if let Some(role) = port.role() {
                assert!(
                    check(&plain, |asked| asked != role).is_ok(),
                    "{port:?} is not opened without its role"
                );
            }
        }
    }

    // Goal: who asks others to end statements has what they are known by. Method: siblings with and without a secret, with and without the
    // role that asks.
    #[test]
    fn siblings_need_a_secret() {
        let mut settings = Settings::default();
        settings.flight_sql.siblings = vec!["sql:8080".to_owned().try_into().expect("a place")];
        assert!(check(&settings, |_| true).is_err());
        assert!(check(&settings, |role| role != Role::FlightSql).is_ok());
        settings.security.node_secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
        assert!(check(&settings, |_| true).is_ok());
    }

    // Goal: TLS is not promised where it cannot be spoken. Method: it is required with and without a certificate.
    #[test]
    fn required_tls_needs_a_certificate() {
        let mut settings = Settings::default();
        settings.http.require_tls = true;
        assert!(check(&settings, |_| true).is_err());
        settings.security.tls = Some(TlsSettings {
            cert: "cert.pem".into(),
            key: "key.pem".into(),
            client_ca: None,
            client_names: None,
            allow_plain: false,
        });
        assert!(check(&settings, |_| true).is_ok());
    }

    // Goal: no secret that can be guessed, and no address that nobody can call. Method: one of each.
    #[test]
    fn short_secrets_and_nameless_addresses_are_refused() {
        let mut settings = Settings::default();
        settings.security.node_secret = Some(Secret::new("short"));
        assert!(check(&settings, |_| true).is_err());
        settings.security.node_secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
        assert!(check(&settings, |_| true).is_ok());
        open(Port::Catalog, &mut settings);
        assert!(check(&settings, |_| true).is_ok());
        settings.catalog.advertise.clear();
        assert!(check(&settings, |_| true).is_err());
    }
}
