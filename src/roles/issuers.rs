//! Issuers of OpenID Connect: who is believed, and how their keys are fetched.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use reqwest::Client;
use reqwest::redirect::Policy;

use tidewater_core::SharedClock;
use tidewater_security::Oidc;
use tidewater_security::oidc::{Fetch, Fetched};

use crate::cli::failure::{Failure, Reason};
use crate::settings::{Settings, authorities};

/// How long connecting to an issuer may take; the whole has a deadline of its own.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// The issuers of the configuration; none where there are none.
pub(super) fn believed(settings: &Settings, clock: &SharedClock) -> Result<Option<Arc<Oidc>>, Failure> {
    let security = &settings.security;
    if security.oidc.is_empty() {
        return Ok(None);
    }
    // An address that was checked leads nowhere else.
    let mut client = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_DEADLINE);
    if let Some(file) = &security.oidc_ca {
        for certificate in authorities("security.oidc_ca", file)? {
            client = client.add_root_certificate(certificate);
        }
    }
    let client = client
        .build()
        .map_err(|error| Failure::of(Reason::Start, format!("cannot make a client for the issuers: {error}")))?;
    let oidc = Oidc::new(security.oidc.clone(), Arc::new(Http(client)), Arc::clone(clock))?;
    Ok(Some(Arc::new(oidc)))
}

/// Fetches over HTTP.
#[derive(Debug)]
struct Http(Client);

impl Fetch for Http {
    fn fetch<'a>(&'a self, url: &'a str, bytes_max: usize) -> Fetched<'a> {
        Box::pin(async move {
            let response = self.0.get(url).send().await.map_err(|error| told(&error))?;
            if !response.status().is_success() {
                return Err(format!("the answer is {}", response.status()));
            }
            let mut document = Vec::new();
            let mut chunks = response.bytes_stream();
            while let Some(chunk) = chunks.next().await {
                document.extend_from_slice(&chunk.map_err(|error| told(&error))?);
                if document.len() > bytes_max {
                    return Err(format!("the answer is longer than {bytes_max} bytes"));
                }
            }
            Ok(document)
        })
    }
}

/// An error with what is behind it, which the client leaves out.
fn told(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
