//! An issuer of OpenID Connect on a port of its own: a discovery document, keys, and tokens that they sign.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use tidewater_core::SystemClock;

/// The audience that tokens are for.
pub const AUDIENCE: &str = "tidewater";

/// An issuer that runs until it is dropped.
pub struct Issuer {
    pub url: String,
    keys: Arc<Mutex<Vec<(String, KeyPair)>>>,
    _runtime: Runtime,
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn published(keys: &[(String, KeyPair)]) -> Value {
    let keys = keys.iter().map(|(id, key)| {
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": id, "x": encode(key.public_key_raw())})
    });
    json!({"keys": keys.collect::<Vec<_>>()})
}

/// Seconds since the Unix epoch.
pub fn now_s() -> i64 {
    SystemClock::shared().now_ms() / 1_000
}

impl Issuer {
    /// With one key, `first`.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(Vec::new()));
        let (told, issuer) = (Arc::clone(&keys), url.clone());
        let routes = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async move || json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")}).to_string()),
            )
            .route("/jwks", get(async move || published(&told.lock().unwrap()).to_string()));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        let issuer = Self {
            url,
            keys,
            _runtime: runtime,
        };
        issuer.add("first");
        issuer
    }

    /// From now on there is this key too.
    pub fn add(&self, id: &str) {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        self.keys.lock().unwrap().push((id.to_owned(), key));
    }

    /// The configuration of who believes it.
    pub fn config(&self) -> String {
        format!(
            "[[security.oidc]]\nissuer = \"{}\"\naudience = [\"{AUDIENCE}\"]\nuser_prefix = \"corp/\"\ngroups_claim = \"groups\"\n\
             admins = [\"stewards\"]\nroles = {{ analysts = [\"analyst\"] }}\n",
            self.url
        )
    }

    /// Good claims for a user.
    pub fn claims(&self, user: &str) -> Value {
        let now_s = now_s();
        json!({"iss": self.url, "aud": AUDIENCE, "sub": user, "iat": now_s, "exp": now_s + 600})
    }

    /// A token with these claims, signed by the key of this name.
    pub fn sign_by(&self, id: &str, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "kid": id, "typ": "JWT"});
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let keys = self.keys.lock().unwrap();
        let (_, key) = keys.iter().find(|(of, _)| of == id).unwrap();
        format!("{signed}.{}", encode(&key.sign(signed.as_bytes()).unwrap()))
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_by("first", claims)
    }

    /// A good token for a user.
    pub fn token(&self, user: &str) -> String {
        self.sign(&self.claims(user))
    }
}
