//! Where the other processes are that answer statements, and what is shown there.

use serde::{Deserialize, Serialize};

use tidewater_catalog_client::Bearer;
use tidewater_security::TokenKey;

use super::{Settings, made_by};

/// The control endpoint of other processes, as `host:port` or `https://host:port`. A name stands for all of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Sibling {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether it is called over TLS.
    pub(crate) secure: bool,
}

impl TryFrom<String> for Sibling {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = || format!("{text:?} is no sibling: it is written as host:port or https://host:port");
        let (rest, secure) = match text.strip_prefix("https://") {
            Some(rest) => (rest, true),
            None => (text.strip_prefix("http://").unwrap_or(&text), false),
        };
        let (host, port) = rest.rsplit_once(':').ok_or_else(refused)?;
        let port: u16 = port.parse().map_err(|_| refused())?;
        let within = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = within.unwrap_or(host);
        let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
        let named = !host.is_empty() && host.chars().all(known);
        let addressed = within.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        match port > 0 && (addressed || (named && within.is_none())) {
            true => Ok(Self {
                host: host.to_owned(),
                port,
                secure,
            }),
            false => Err(refused()),
        }
    }
}

impl From<Sibling> for String {
    fn from(sibling: Sibling) -> Self {
        let Sibling { host, port, secure } = sibling;
        let scheme = if secure { "https://" } else { "" };
        match host.contains(':') {
            true => format!("{scheme}[{host}]:{port}"),
            false => format!("{scheme}{host}:{port}"),
        }
    }
}

impl Settings {
    /// Signs and checks what processes show that ask each other to end statements; none without a secret.
    pub(crate) fn sibling_key(&self) -> Option<TokenKey> {
        let secret = self.security.node_secret.as_ref()?;
        Some(TokenKey::for_siblings(secret.expose().as_bytes()))
    }

    /// What this process shows to others that answer statements.
    pub(crate) fn sibling_bearer(&self) -> Option<Bearer> {
        self.sibling_key().map(|key| made_by(key, "sibling"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: where siblings are is read as it is meant, and what would lead elsewhere is refused at the start. Method: texts of all forms,
    // read and written again.
    #[test]
    fn siblings_are_places() {
        for (text, host, port, secure) in [
            ("sql:8080", "sql", 8080, false),
            (
                "http://tidewater-sql.lake.svc:8080",
                "tidewater-sql.lake.svc",
                8080,
                false,
            ),
            ("https://sql.example:8443", "sql.example", 8443, true),
            ("10.0.0.7:80", "10.0.0.7", 80, false),
            ("[::1]:8080", "::1", 8080, false),
        ] {
            let read = Sibling::try_from(text.to_owned()).expect("a place");
            assert_eq!(
                (read.host.as_str(), read.port, read.secure),
                (host, port, secure),
                "{text}"
            );
            assert_eq!(Sibling::try_from(String::from(read.clone())), Ok(read));
        }
        for wrong in [
            "",
            "sql",
            "sql:",
            ":8080",
            "sql:0",
            "sql:65536",
            "ftp://sql:80",
            "sql:80/path",
            "user@sql:80",
            "a/b:80",
            "::1:8080",
            "[sql]:80",
            "sql 2:80",
        ] {
            assert!(Sibling::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
