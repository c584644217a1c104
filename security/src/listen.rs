//! The rule for open ports.

use std::net::SocketAddr;

use crate::error::SecurityError;

/// Whether a listener may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenPolicy {
    /// Nobody has to say who they are: loopback only.
    LoopbackOnly,
    /// Everybody is authenticated: any address.
    Authenticated,
    /// Nobody has to say who they are, and the operator vouches for whoever reaches the port: any address.
    TrustedNetwork,
}

impl ListenPolicy {
    /// Refuses an address that would be open without authentication.
    pub fn check(self, address: SocketAddr) -> Result<SocketAddr, SecurityError> {
        if self != Self::LoopbackOnly || address.ip().is_loopback() {
            Ok(address)
        } else {
            Err(SecurityError::OpenWithoutAuthentication { address })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: no port is open to others by accident. Method: loopback and not, with and without authentication.
    #[test]
    fn only_loopback_without_authentication() {
        for (address, alone) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("0.0.0.0:1", false),
            ("10.0.0.1:1", false),
        ] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(ListenPolicy::LoopbackOnly.check(address).is_ok(), alone, "{address}");
            assert!(ListenPolicy::Authenticated.check(address).is_ok());
            assert!(ListenPolicy::TrustedNetwork.check(address).is_ok());
        }
    }
}
