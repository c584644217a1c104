//! A request to S3 that a client wants signed: taken apart, and refused unless all that it does is known and stays in the table's folder.

use std::collections::BTreeMap;

use http::Uri;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use uuid::Uuid;

use super::scope::TableScope;
use super::sigv4::{UNSIGNED, Unsigned, sha256_hex};
use crate::error::{CatalogError, Result};
use tidewater_table::S3Options;

/// Longest body of a request that deletes objects: a thousand keys of the longest kind.
const BODY_BYTES_MAX: usize = 2 << 20;

/// The body of `POST …/sign`.
#[derive(Debug, Deserialize)]
pub(crate) struct SignRequest {
    #[serde(default)]
    pub(crate) region: String,
    pub(crate) uri: String,
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    properties: Option<BTreeMap<String, String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    provider: Option<String>,
}

/// A request that may be signed.
#[derive(Debug)]
pub(super) struct Checked {
    method: String,
    host: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    payload: String,
}

impl Checked {
    pub(super) fn as_unsigned(&self) -> Unsigned<'_> {
        Unsigned {
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: &self.query,
            headers: self.headers.clone(),
            payload: &self.payload,
        }
    }
}

/// Parameters of requests for an object, by method. Those that are not named reach what no table needs: rights, tags, holds.
const OBJECT_PARAMETERS: [(&str, &[&str]); 5] = [
    (
        "GET",
        &[
            "x-id",
            "partNumber",
            "uploadId",
            "versionId",
            "max-parts",
            "part-number-marker",
        ],
    ),
    ("HEAD", &["x-id", "partNumber", "versionId"]),
    ("PUT", &["x-id", "partNumber", "uploadId"]),
    ("POST", &["x-id", "uploads", "uploadId"]),
    ("DELETE", &["x-id", "uploadId"]),
];

/// Parameters of a listing.
const LIST_PARAMETERS: [&str; 10] = [
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "continuation-token",
    "start-after",
    "marker",
    "encoding-type",
    "fetch-owner",
    "x-id",
];

/// Headers of Amazon's that a client may send. Amazon takes no other of its own that is not signed; a store that does is signed no writes for
/// ([`super::DelegationOptions::store_refuses_unsigned_headers`]).
const HEADERS: [&str; 20] = [
    "x-amz-api-version",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
    "x-amz-checksum-mode",
];

/// Families of headers that a client may send.
const HEADER_FAMILIES: [&str; 2] = ["x-amz-checksum-", "x-amz-meta-"];

/// Families among these by which MinIO unpacks an archive into objects of other names: they are no metadata.
const UNPACKING: [&str; 2] = ["x-amz-meta-snowball-", "x-amz-meta-minio-"];

/// Further headers that are signed when they are there.
const SIGNED: [&str; 2] = ["content-md5", "content-type"];

impl SignRequest {
    /// Whether it changes nothing in the store.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD")
    }

    /// Everything the request does, checked.
    pub(super) fn checked(&self, scope: &TableScope, s3: &S3Options, uuid: Uuid) -> Result<Checked> {
        if self.provider.as_deref().is_some_and(|provider| provider != "s3") {
            return Err(refused("requests to another provider than s3"));
        }
        let told = self.properties.iter().flatten().find(|(name, _)| *name == "table-uuid");
        if told.is_some_and(|(_, told)| *told != uuid.to_string()) {
            return Err(refused("the name means another table by now"));
        }
        let uri: Uri = self.uri.parse().map_err(|_| refused("its URI is not valid"))?;
        let address = Address::of(&uri, &self.region, s3)?;
        let headers = self.signed_headers()?;
        let mut payload = headers
            .get("x-amz-content-sha256")
            .cloned()
            .unwrap_or_else(|| UNSIGNED.to_owned());
        match &address.key {
            Some(key) => self.check_object(scope, &address, key, &headers)?,
            None if self.method == "GET" => check_list(scope, &address)?,
            None if self.method == "POST" => {
                let body = self.check_deletes(scope, &address)?;
                // The signature holds for this body and no other.
                payload = sha256_hex(body.as_bytes());
            }
            None => return Err(refused("what it does with a bucket")),
        }
        Ok(Checked {
            method: self.method.clone(),
            host: address.host,
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            headers,
            payload,
        })
    }

    /// The headers that are part of the signature, by lower-case name.
    fn signed_headers(&self) -> Result<BTreeMap<String, String>> {
        let mut signed = BTreeMap::new();
        for (name, values) in &self.headers {
            let name = name.to_ascii_lowercase();
            let amazon = name.starts_with("x-amz-");
            let is_in = |families: [&str; 2]| families.iter().any(|family| name.starts_with(family));
            let known = HEADERS.contains(&name.as_str()) || (is_in(HEADER_FAMILIES) && !is_in(UNPACKING));
            if amazon && !known {
                return Err(refused(&format!(
                    "header {}",
                    name.chars().take(60).collect::<String>()
                )));
            }
            if !amazon && !SIGNED.contains(&name.as_str()) {
                continue;
            }
            let value = values.join(",");
            if value.chars().any(char::is_control) || signed.insert(name, value).is_some() {
                return Err(refused("a header that comes twice or holds a control character"));
            }
        }
        Ok(signed)
    }

    fn check_object(
        &self,
        scope: &TableScope,
        address: &Address,
        key: &str,
        headers: &BTreeMap<String, String>,
    ) -> Result<()> {
        if !scope.holds(&address.bucket, key) {
            return Err(refused("an object outside of the table"));
        }
        let known = OBJECT_PARAMETERS.iter().find(|(method, _)| *method == self.method);
        let Some((_, parameters)) = known else {
            return Err(refused("its method"));
        };
        address.require_parameters(parameters)?;
        let starts_or_ends_upload = |name: &str| name == "uploads" || name == "uploadId";
        if self.method == "POST" && !address.parameters.keys().any(|name| starts_or_ends_upload(name)) {
            return Err(refused("what it posts"));
        }
        if let Some(source) = headers.get("x-amz-copy-source") {
            let (bucket, key) = copied(source)?;
            if self.method != "PUT" || !scope.holds(&bucket, &key) {
                return Err(refused("a copy from outside of the table"));
            }
        }
        Ok(())
    }

    fn check_deletes(&self, scope: &TableScope, address: &Address) -> Result<&str> {
        address.require_parameters(&["delete", "x-id"])?;
        let body = self.body.as_deref().filter(|body| body.len() <= BODY_BYTES_MAX);
        let (true, Some(body)) = (address.parameters.contains_key("delete"), body) else {
            return Err(refused("deletes whose body it does not show"));
        };
        let keys = deleted_keys(body).ok_or_else(|| refused("deletes whose body is not plain"))?;
        match !keys.is_empty() && keys.iter().all(|key| scope.holds(&address.bucket, key)) {
            true => Ok(body),
            false => Err(refused("deletes outside of the table")),
        }
    }
}

fn check_list(scope: &TableScope, address: &Address) -> Result<()> {
    address.require_parameters(&LIST_PARAMETERS)?;
    match address.parameters.get("prefix") {
        Some(prefix) if scope.holds_all(&address.bucket, prefix) => Ok(()),
        _ => Err(refused("a listing of more than the table")),
    }
}

/// What a URI names in S3.
#[derive(Debug)]
struct Address {
    host: String,
    bucket: String,
    /// None for the bucket itself.
    key: Option<String>,
    parameters: BTreeMap<String, String>,
}

impl Address {
    fn of(uri: &Uri, region: &str, s3: &S3Options) -> Result<Self> {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused("its URI names no host"));
        };
        let host = authority.as_str().to_ascii_lowercase();
        if host.contains('@') {
            return Err(refused("its URI names a user"));
        }
        let path = decoded(uri.path())?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = match bucket_of_host(scheme, &host, region, s3)? {
            Some(bucket) => (bucket, path),
            None => path
                .split_once('/')
                .map(|(bucket, key)| (bucket.to_owned(), key))
                .unwrap_or_else(|| (path.to_owned(), "")),
        };
        let mut parameters = BTreeMap::new();
        for pair in uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(&value.replace('+', " "))?;
            if parameters.insert(decoded(name)?, value).is_some() {
                return Err(refused("a parameter that comes twice"));
            }
        }
        Ok(Self {
            host,
            bucket,
            key: (!key.is_empty()).then(|| key.to_owned()),
            parameters,
        })
    }

    fn require_parameters(&self, known: &[&str]) -> Result<()> {
        match self.parameters.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(refused(&format!(
                "parameter {}",
                name.chars().take(60).collect::<String>()
            ))),
        }
    }
}

/// The bucket when the host names it; none when the path does. Refuses hosts that are not the store's.
fn bucket_of_host(scheme: &str, host: &str, region: &str, s3: &S3Options) -> Result<Option<String>> {
    let region = s3.region.as_deref().unwrap_or(region);
    // A store that reads paths alone would take the first part of the key for the bucket.
    let by_host = s3.endpoint.is_none() || s3.virtual_hosted;
    let stores: Vec<(String, String)> = match &s3.endpoint {
        Some(endpoint) => {
            let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
            vec![(scheme.to_owned(), rest.trim_end_matches('/').to_ascii_lowercase())]
        }
        None => vec![
            ("https".to_owned(), format!("s3.{region}.amazonaws.com")),
            ("https".to_owned(), "s3.amazonaws.com".to_owned()),
        ],
    };
    for (store_scheme, store) in stores {
        if scheme != store_scheme {
            continue;
        }
        if host == store {
            return Ok(None);
        }
        if by_host && let Some(bucket) = host.strip_suffix(&store).and_then(|rest| rest.strip_suffix('.')) {
            return Ok(Some(bucket.to_owned()));
        }
    }
    Err(refused("another host than the store's"))
}

/// Decoded exactly once: what is still encoded after that is part of the key.
fn decoded(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    match decoded {
        Ok(text) if !text.chars().any(char::is_control) => Ok(text.into_owned()),
        _ => Err(refused("a URI that is not text, or holds a control character")),
    }
}

fn copied(source: &str) -> Result<(String, String)> {
    // Stores differ on what a bare plus is.
    let plus = source.contains('+');
    let source = decoded(source)?;
    if plus || source.contains('?') {
        return Err(refused("a copy of an older version, or of a key with a bare plus"));
    }
    let path = source.strip_prefix('/').unwrap_or(&source);
    match path.split_once('/') {
        Some((bucket, key)) => Ok((bucket.to_owned(), key.to_owned())),
        None => Err(refused("a copy of a bucket")),
    }
}

/// The keys of a `DeleteObjects` body in the one form that clients write. None for anything else: what this reads in one way and a store
/// in another must not be signed.
fn deleted_keys(body: &str) -> Option<Vec<String>> {
    let mut rest = body.trim();
    if let Some(after) = rest.strip_prefix("<?xml") {
        rest = after.split_once("?>")?.1.trim_start();
    }
    let (opening, inner) = rest.strip_prefix("<Delete")?.split_once('>')?;
    if !matches!(
        opening,
        "" | " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"" | " xmlns='http://s3.amazonaws.com/doc/2006-03-01/'"
    ) {
        return None;
    }
    rest = inner.strip_suffix("</Delete>")?.trim();
    for quiet in ["<Quiet>true</Quiet>", "<Quiet>false</Quiet>"] {
        rest = rest.strip_prefix(quiet).unwrap_or(rest).trim();
        rest = rest.strip_suffix(quiet).unwrap_or(rest).trim();
    }
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let object = rest.strip_prefix("<Object>")?.trim_start();
        let (key, after) = object.strip_prefix("<Key>")?.split_once("</Key>")?;
        keys.push(unescaped(key)?);
        rest = after.trim_start().strip_prefix("</Object>")?.trim_start();
    }
    Some(keys)
}

fn unescaped(text: &str) -> Option<String> {
    if text.contains('<') {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, after) = after.split_once(';')?;
        plain.push_str(before);
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

fn refused(what: &str) -> CatalogError {
    CatalogError::OutOfScope {
        reason: format!("the request is not signed: {what}"),
    }
}
