//! Beginnings of locations that mean the same: what a table names by another one is the file that is listed here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::OrphanOptions;

/// Schemes that mean the same for every engine.
const SAME_SCHEMES: [(&str, &str); 2] = [("s3a", "s3"), ("s3n", "s3")];

/// How a table's location begins, and which beginnings are as good.
#[derive(Debug, Clone, Default)]
pub(super) struct Spelling {
    /// Scheme and authority; `None` for a location that has none.
    here: Option<(String, String)>,
    schemes: BTreeMap<String, String>,
    authorities: BTreeMap<String, String>,
}

impl Spelling {
    /// Of a table that lies there.
    pub(super) fn of(location: &str, options: &OrphanOptions) -> Self {
        let same = SAME_SCHEMES.map(|(one, other)| (one.to_owned(), other.to_owned()));
        let mut schemes = BTreeMap::from(same);
        schemes.extend(options.equal_schemes.clone());
        Self {
            here: parts(location).map(|(scheme, authority, _)| (scheme.to_owned(), authority.to_owned())),
            schemes,
            authorities: options.equal_authorities.clone(),
        }
    }

    /// A location as one of the table's, if its beginning means the same.
    pub(super) fn here<'a>(&self, location: &'a str) -> Cow<'a, str> {
        let (Some((scheme, authority)), Some((its_scheme, its_authority, path))) = (&self.here, parts(location)) else {
            return Cow::Borrowed(location);
        };
        if scheme == its_scheme && authority == its_authority {
            return Cow::Borrowed(location);
        }
        let is_same = meaning(&self.schemes, scheme) == meaning(&self.schemes, its_scheme)
            && meaning(&self.authorities, authority) == meaning(&self.authorities, its_authority);
        match is_same {
            true => Cow::Owned(format!("{scheme}://{authority}{path}")),
            false => Cow::Borrowed(location),
        }
    }
}

fn meaning<'a>(told: &'a BTreeMap<String, String>, name: &'a str) -> &'a str {
    told.get(name).map_or(name, String::as_str)
}

/// Scheme, authority and path.
fn parts(location: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = location.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((scheme, authority, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a location means a file of the table where its beginning is told to, and nowhere else. Method: by hand, with maps in either
    // direction and with none.
    #[test]
    fn beginnings_are_told_to_be_equal() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs
                .iter()
                .map(|(one, other)| ((*one).to_owned(), (*other).to_owned()));
            pairs.collect()
        };
        let options = |schemes: &[(&str, &str)], authorities: &[(&str, &str)]| OrphanOptions {
            equal_schemes: map(schemes),
            equal_authorities: map(authorities),
            ..OrphanOptions::default()
        };
        let none = options(&[], &[]);
        let there = options(&[("oss", "s3")], &[("lake-east", "lake")]);
        let back = options(
            &[("s3", "oss"), ("s3a", "oss")],
            &[("lake", "east"), ("lake-east", "east")],
        );
        for (options, named, told) in [
            (&none, "s3n://lake/t/f", "s3://lake/t/f"),
            (&none, "oss://lake/t/f", "oss://lake/t/f"),
            (&none, "s3://lake-east/t/f", "s3://lake-east/t/f"),
            (&there, "oss://lake/t/f", "s3://lake/t/f"),
            (&there, "s3a://lake-east/t/f", "s3://lake/t/f"),
            (&there, "oss://lake-west/t/f", "oss://lake-west/t/f"),
            (&there, "hdfs://lake/t/f", "hdfs://lake/t/f"),
            (&there, "/t/f", "/t/f"),
            (&back, "oss://lake-east/t/f", "s3://lake/t/f"),
            (&back, "s3a://lake", "s3://lake"),
        ] {
            assert_eq!(Spelling::of("s3://lake/t", options).here(named), told, "{named}");
        }
        assert_eq!(Spelling::of("/t", &there).here("oss://lake/t/f"), "oss://lake/t/f");
    }
}
