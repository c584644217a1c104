//! Amazon's signature, version 4, in headers.
//!
//! Written here because it is a page, on the cryptography that TLS brings along: the crates for it bring a hundred others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::{digest, hmac};

use super::AccessKeys;

/// What stands for itself in a canonical request.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const MS_PER_DAY: i64 = 86_400_000;

/// Says that the body is not part of the signature.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A request to be signed.
#[derive(Debug)]
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    /// As it goes over the wire.
    pub(super) path: &'a str,
    /// As it goes over the wire, without the question mark.
    pub(super) query: &'a str,
    /// Further headers that are signed, by lower-case name.
    pub(super) headers: BTreeMap<String, String>,
    /// SHA-256 of the body in hexadecimal, or what stands for it.
    pub(super) payload: &'a str,
}

/// For which service and region a signature is good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    pub(super) region: &'a str,
}

/// The headers to be added to the request.
pub(super) fn sign(
    request: &Unsigned<'_>,
    keys: &AccessKeys,
    service: Service<'_>,
    now_ms: i64,
) -> BTreeMap<String, String> {
    let time = amz_date(now_ms);
    let day = time.get(..8).unwrap_or_default();
    let mut added = BTreeMap::from([
        ("x-amz-date".to_owned(), time.clone()),
        ("x-amz-content-sha256".to_owned(), request.payload.to_owned()),
    ]);
    if let Some(token) = &keys.session_token {
        added.insert("x-amz-security-token".into(), token.clone());
    }
    let mut headers = request.headers.clone();
    headers.extend(added.clone());
    headers.insert("host".into(), request.host.to_owned());
    let names: Vec<&str> = headers.keys().map(String::as_str).collect();
    let names = names.join(";");
    let mut canonical = format!("{}\n{}\n{}\n", request.method, path(request.path), query(request.query));
    for (name, value) in &headers {
        let value: Vec<&str> = value.split_whitespace().collect();
        let _infallible = writeln!(canonical, "{name}:{}", value.join(" "));
    }
    let _infallible = write!(canonical, "\n{names}\n{}", request.payload);
    let scope = format!("{day}/{}/{}/aws4_request", service.region, service.name);
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
    let mut key = format!("AWS4{}", keys.secret_access_key).into_bytes();
    for part in [day, service.region, service.name, "aws4_request"] {
        key = hmac_sha256(&key, part.as_bytes());
    }
    let signature = hex(&hmac_sha256(&key, to_sign.as_bytes()));
    let id = &keys.access_key_id;
    added.insert(
        "authorization".into(),
        format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"),
    );
    added
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
        .as_ref()
        .to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

/// One spelling, whatever the client left bare.
fn path(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    match path {
        "" => "/".to_owned(),
        _ => percent_encoding::percent_encode(&decoded, PATH).to_string(),
    }
}

fn query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded_again(name), encoded_again(value))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn encoded_again(text: &str) -> String {
    let spaced = text.replace('+', " ");
    let decoded: Vec<u8> = percent_decode_str(&spaced).collect();
    percent_encoding::percent_encode(&decoded, QUERY).to_string()
}

/// A form's value.
pub(super) fn form_value(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// `20260102T030405Z`
fn amz_date(now_ms: i64) -> String {
    let days = now_ms.div_euclid(MS_PER_DAY);
    let seconds = now_ms.rem_euclid(MS_PER_DAY) / 1_000;
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a day since 1970-01-01, counted in eras of 400 years that begin on the first of March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> AccessKeys {
        AccessKeys {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        }
    }

    // 2013-05-24T00:00:00Z
    const AT_MS: i64 = 1_369_353_600_000;

    fn signature(request: &Unsigned<'_>) -> String {
        let service = Service {
            name: "s3",
            region: "us-east-1",
        };
        let added = sign(request, &keys(), service, AT_MS);
        assert_eq!(added["x-amz-date"], "20130524T000000Z");
        let (_, signature) = added["authorization"].rsplit_once('=').expect("a signature");
        signature.to_owned()
    }

    // Goal: signatures are Amazon's. Method: the examples of Amazon's own documentation (GET of a range, PUT, listing).
    #[test]
    fn signatures_match_the_published_examples() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let host = "examplebucket.s3.amazonaws.com";
        let get = Unsigned {
            method: "GET",
            host,
            path: "/test.txt",
            query: "",
            headers: [("range".to_owned(), "bytes=0-9".to_owned())].into(),
            payload: empty,
        };
        assert_eq!(
            signature(&get),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let put = Unsigned {
            method: "PUT",
            path: "/test$file.text",
            headers: [
                ("date".to_owned(), "Fri, 24 May 2013 00:00:00 GMT".to_owned()),
                ("x-amz-storage-class".to_owned(), "REDUCED_REDUNDANCY".to_owned()),
            ]
            .into(),
            payload: &sha256_hex(b"Welcome to Amazon S3."),
            ..get
        };
        assert_eq!(
            signature(&put),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        let list = Unsigned {
            method: "GET",
            path: "/",
            query: "max-keys=2&prefix=J",
            headers: BTreeMap::new(),
            payload: empty,
            ..put
        };
        assert_eq!(
            signature(&list),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    // Goal: dates are right over leap years. Method: by hand.
    #[test]
    fn dates_are_written_in_utc() {
        assert_eq!(amz_date(0), "19700101T000000Z");
        assert_eq!(amz_date(951_782_399_000), "20000228T235959Z");
        assert_eq!(amz_date(951_782_400_000), "20000229T000000Z");
        assert_eq!(amz_date(4_102_444_799_999), "20991231T235959Z");
    }
}
