//! The session policy that narrows a role to one table.

use serde_json::json;

use super::scope::TableScope;
use crate::error::{CatalogError, Result};

/// Longest policy that STS takes.
const POLICY_BYTES_MAX: usize = 2_048;

/// What a scope for reading lets do with objects.
const READS: &[&str] = &["s3:GetObject"];

/// What any other lets do.
const READS_AND_WRITES: &[&str] = &[
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
];

/// Reading the objects below the table's folder, listing them, and writing them unless the scope is for reading. Nothing else of the bucket, and no other bucket.
pub(super) fn session_policy(scope: &TableScope) -> Result<String> {
    let (bucket, folder) = (scope.bucket(), literal(scope.folder()));
    let actions = match scope.reads_only() {
        true => READS,
        false => READS_AND_WRITES,
    };
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": actions,
                "Resource": format!("arn:aws:s3:::{bucket}/{folder}/*"),
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": format!("arn:aws:s3:::{bucket}"),
                "Condition": {"StringLike": {"s3:prefix": format!("{folder}/*")}},
            },
        ],
    });
    let policy = ascii(&policy.to_string());
    match policy.len() <= POLICY_BYTES_MAX {
        true => Ok(policy),
        false => Err(CatalogError::NoCredential {
            reason: format!("the table's location makes a session policy of more than {POLICY_BYTES_MAX} bytes"),
        }),
    }
}

/// The text as a pattern that matches nothing else: `*`, `?` and `$` mean something in policies. Locations with the first two are refused
/// before; this holds whatever becomes of that rule.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' => pattern.push_str("${*}"),
            '?' => pattern.push_str("${?}"),
            '$' => pattern.push_str("${$}"),
            c => pattern.push(c),
        }
    }
    pattern
}

/// JSON in ASCII: STS takes no characters beyond U+00FF.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}
