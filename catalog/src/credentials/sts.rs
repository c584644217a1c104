//! Temporary keys of a role: one signed call.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sigv4::{self, Service, Unsigned, form_value, sha256_hex};
use super::{AccessKeys, policy, scope::TableScope};
use crate::error::{CatalogError, Result};

/// How long STS may take: a client waits for its table meanwhile.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// Longest answer that is read; real ones have about 2 KiB.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A role at an STS.
#[derive(Debug)]
pub(super) struct Role<'a> {
    pub(super) endpoint: &'a str,
    pub(super) region: &'a str,
    pub(super) arn: &'a str,
    pub(super) external_id: Option<&'a str>,
    pub(super) lifetime: Duration,
}

/// Keys for `scope` and nothing else.
pub(super) async fn assume(
    http: &reqwest::Client,
    role: &Role<'_>,
    keys: &AccessKeys,
    scope: &TableScope,
    session: &str,
    now_ms: i64,
) -> Result<AccessKeys> {
    let policy = policy::session_policy(scope)?;
    let seconds = role.lifetime.as_secs().to_string();
    let mut form = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", role.arn),
        ("RoleSessionName", session),
        ("DurationSeconds", &seconds),
        ("Policy", &policy),
    ];
    form.extend(role.external_id.map(|id| ("ExternalId", id)));
    let form: Vec<String> = form
        .into_iter()
        .map(|(name, value)| format!("{name}={}", form_value(value)))
        .collect();
    let body = form.join("&");
    let failed = |reason: String| CatalogError::NoSts { reason };
    let url: http::Uri = role
        .endpoint
        .parse()
        .map_err(|_| failed("its endpoint is not a URL".into()))?;
    let host = url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    let request = Unsigned {
        method: "POST",
        host,
        path: url.path(),
        query: "",
        headers: BTreeMap::from([("content-type".to_owned(), kind.to_owned())]),
        payload: &sha256_hex(body.as_bytes()),
    };
    let service = Service {
        name: "sts",
        region: role.region,
    };
    let mut call = http
        .post(role.endpoint)
        .header("content-type", kind)
        .timeout(CALL_DEADLINE);
    for (name, value) in sigv4::sign(&request, keys, service, now_ms) {
        call = call.header(name, value);
    }
    // The error of the client names the URL; what it says is for the log, and holds no secret.
    let answer = call
        .body(body)
        .send()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let status = answer.status();
    let text = text(answer).await.map_err(failed)?;
    if !status.is_success() {
        let code = element(&text, "Code").unwrap_or("no code");
        let message: String = element(&text, "Message")
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect();
        return Err(failed(format!("it answered {status}, {code}: {message}")));
    }
    let part = |name: &str| {
        let found = element(&text, name).filter(|found| !found.is_empty());
        found
            .map(str::to_owned)
            .ok_or_else(|| failed(format!("its answer has no {name}")))
    };
    Ok(AccessKeys {
        access_key_id: part("AccessKeyId")?,
        secret_access_key: part("SecretAccessKey")?,
        session_token: Some(part("SessionToken")?),
    })
}

async fn text(mut answer: reqwest::Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| "its answer is not text".into())
}

/// The text of the first element of that name. Keys and tokens hold nothing that XML would write in another way.
fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}
