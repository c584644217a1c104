//! The warehouse: where tables live, and which locations are accepted.

use uuid::Uuid;

use crate::command::Ident;
use crate::error::{CatalogError, Result};
use crate::names;

/// Longest location accepted: S3 keys end at 1024 bytes, and files come below it.
const LOCATION_BYTES_MAX: usize = 800;

/// Longest path of a file that is taken for one: S3 keys end at 1024 bytes, local paths at 4096.
const FILE_PATH_BYTES_MAX: usize = 4_096;

/// Longest part of a path: local file systems end there.
const PART_BYTES_MAX: usize = 255;

/// Longest folder that is named after a namespace or a table. Eight levels and a table fit into a location, and paths into a session policy.
const FOLDER_NAME_BYTES_MAX: usize = 64;

/// Table properties that name a place to write to.
const PATH_PROPERTIES: [&str; 5] = [
    "object-storage.path",
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
];

/// A warehouse, its root folder, and other places that tables may lie in.
#[derive(Debug, Clone)]
pub struct Warehouse {
    name: String,
    location: String,
    others: Vec<String>,
}

impl Warehouse {
    /// `location` is a URL (`file:///…`, `s3://bucket/…`, `memory://…`) or an absolute local path.
    ///
    /// # Errors
    /// If it is neither, or holds what no location may hold.
    pub fn new(name: impl Into<String>, location: &str) -> Result<Self> {
        let location = normal_form(location)?;
        Ok(Self {
            name: name.into(),
            location,
            others: Vec::new(),
        })
    }

    /// Takes locations below these as well. Tables get there only if their maker or who registers them says so.
    ///
    /// # Errors
    /// If one is not a location, or holds what none may hold.
    pub fn with_locations<'a>(mut self, locations: impl IntoIterator<Item = &'a String>) -> Result<Self> {
        for location in locations {
            self.others.push(normal_form(location)?);
        }
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its root folder, without a slash at the end.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The location in its normal form, if it lies below the warehouse.
    pub(crate) fn checked(&self, location: &str) -> Result<String> {
        let normal = normal_form(location)?;
        if self.roots().any(|root| is_below(&normal, root)) {
            return Ok(normal);
        }
        let reason = match self.others.is_empty() {
            true => format!("it is not below the warehouse {}", self.location),
            false => format!(
                "it is neither below the warehouse {} nor below one of its other locations",
                self.location
            ),
        };
        Err(refused(location, reason))
    }

    /// Whether a file or folder lies in it, or below one of the other places.
    pub fn holds(&self, location: &str) -> bool {
        spelled_once(location).is_ok_and(|location| self.roots().any(|root| is_below(&location, root)))
    }

    fn roots(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.location).chain(&self.others)
    }

    /// The normal form of a file's path, if the file lies below `folder`, a location in its normal form, which lies in the warehouse. Paths of
    /// files hold what no location may: writers put values of partitions into them.
    pub(crate) fn file_below(&self, folder: &str, path: &str) -> Option<String> {
        let is_ours = self.roots().any(|root| folder == root || is_below(folder, root));
        let normal = spelled_once(path).ok()?;
        (is_ours && is_below(&normal, folder)).then_some(normal)
    }

    /// The location as it was given, if it lies below the warehouse: clients get the spelling they asked for.
    pub(crate) fn accepted(&self, location: &str) -> Result<String> {
        self.checked(location)?;
        Ok(location.trim_end_matches('/').to_owned())
    }

    /// The folder in which the catalog places what is made in a namespace.
    pub(crate) fn folder_of(&self, namespace: &[String]) -> String {
        let levels = namespace.iter().map(|level| plain(level));
        levels.fold(self.location.clone(), |folder, level| folder + "/" + &level)
    }

    /// Whether a location in its normal form is a folder right in that of the namespace, called as the table or view is and by 32 hexadecimal
    /// digits, which is how clients call those that they choose and nobody else has.
    pub(crate) fn is_new_folder_of(&self, name: &Ident, location: &str) -> bool {
        let rest = location.strip_prefix(&self.folder_of(&name.namespace));
        let folder = rest.and_then(|rest| rest.strip_prefix('/'));
        let Some((called, digits)) = folder.and_then(|folder| folder.rsplit_once('-')) else {
            return false;
        };
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        let is_random = digits.len() == 32 && digits.bytes().all(is_digit);
        is_random && !called.contains('/') && (called == name.name || called == plain(&name.name))
    }

    /// Where a new table goes when its maker does not say: readable, and never used twice.
    pub(crate) fn place(&self, table: &Ident, uuid: Uuid) -> String {
        let folder = self.folder_of(&table.namespace);
        // The end of the uuid: in version 7 the beginning is the time.
        let simple = uuid.simple().to_string();
        let tail = simple.get(24..).unwrap_or(&simple);
        format!("{folder}/{}-{tail}", plain(&table.name))
    }

    /// Refuses properties that would send writers outside of the table's own folder.
    pub(crate) fn check_properties<'a>(
        &self,
        table_location: &str,
        properties: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<()> {
        let table_location = normal_form(table_location)?;
        for (name, value) in properties {
            if !PATH_PROPERTIES.contains(&name.as_str()) {
                continue;
            }
            let path = normal_form(value)?;
            let rest = path.strip_prefix(&table_location);
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                return Err(refused(
                    value,
                    format!("{name} must lie in the table's location {table_location}"),
                ));
            }
        }
        Ok(())
    }
}

/// Whether a location lies below another, both in their normal form.
fn is_below(location: &str, root: &str) -> bool {
    location.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
}

/// A name as a folder's name: what is not a letter, digit, `_`, `-` or `.` becomes `_`, and a long one is cut.
fn plain(name: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut folder = String::new();
    for c in name.chars() {
        if folder.len() + c.len_utf8() > FOLDER_NAME_BYTES_MAX {
            break;
        }
        folder.push(if keep(c) { c } else { '_' });
    }
    // What was cut at a dot must not end in one.
    folder.trim_end_matches('.').to_owned()
}

/// One spelling for one place: `scheme://…`, no slash at the end, no empty, `.` or `..` part.
fn normal_form(location: &str) -> Result<String> {
    if location.len() > LOCATION_BYTES_MAX {
        return Err(refused(
            location,
            format!("it is longer than {LOCATION_BYTES_MAX} bytes"),
        ));
    }
    if location.chars().any(|c| {
        names::is_invisible(c) || matches!(c, '\\' | '%' | '*' | '?' | '#' | '"' | '\'' | '`' | '<' | '>' | '|')
    }) {
        return Err(refused(
            location,
            "it holds a control or invisible character, %, \\, a wildcard, a bracket or a quote".into(),
        ));
    }
    spelled_once(location)
}

/// One spelling for one place, for locations and for the files in them.
fn spelled_once(location: &str) -> Result<String> {
    if location.len() > FILE_PATH_BYTES_MAX || location.chars().any(|c| c.is_control() || c == '\\') {
        return Err(refused(
            location,
            "it is too long, or holds a control character or \\".into(),
        ));
    }
    let trimmed = location.trim_end_matches('/');
    let (scheme, rest) = match trimmed.split_once(':') {
        Some((scheme, rest)) if rest.starts_with('/') => (scheme, rest),
        None if trimmed.starts_with('/') => ("file", trimmed),
        _ => return Err(refused(location, "it is neither a URL nor an absolute path".into())),
    };
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        return Err(refused(location, format!("{scheme:?} is not a scheme")));
    }
    // `file:/x`, `file:///x` and `/x` are one place; anything else keeps its authority.
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        None => ("", rest.trim_start_matches('/')),
    };
    if scheme == "file" && !authority.is_empty() {
        return Err(refused(location, "a file has no host".into()));
    }
    if !path.is_empty() && path.split('/').any(|part| part.is_empty() || is_relative(part)) {
        return Err(refused(location, "it has an empty, `.` or `..` part".into()));
    }
    if path
        .split('/')
        .any(|part| part.len() > PART_BYTES_MAX || part.trim() != part)
    {
        return Err(refused(
            location,
            format!("it has a part of more than {PART_BYTES_MAX} bytes, or one with blanks around it"),
        ));
    }
    if authority == "." || authority == ".." {
        return Err(refused(location, "its host is not a name".into()));
    }
    Ok(format!("{scheme}://{authority}/{path}")
        .trim_end_matches('/')
        .to_owned())
}

/// `.` and `..`, also in the spelling that some store or proxy might decode.
fn is_relative(part: &str) -> bool {
    let decoded = part.replace("%2e", ".").replace("%2E", ".");
    decoded == "." || decoded == ".."
}

pub(crate) fn refused(location: &str, reason: String) -> CatalogError {
    CatalogError::BadLocation {
        location: location.chars().take(120).collect(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: no location outside of the warehouse is accepted, in whatever spelling. Method: a table of spellings.
    #[test]
    fn locations_stay_below_the_warehouse() {
        let warehouse = Warehouse::new("lake", "/data/lake/").expect("a good location");
        assert_eq!(warehouse.location(), "file:///data/lake");
        for good in [
            "/data/lake/a",
            "file:/data/lake/a",
            "file:///data/lake/a/",
            "/data/lake/a.b/c",
        ] {
            let location = warehouse.checked(good).expect(good);
            assert!(location.starts_with("file:///data/lake/a"), "{location}");
            assert!(!location.ends_with('/'), "{location}");
        }
        let long = format!("/data/lake/{}", "x".repeat(900));
        let bad = [
            "",
            "a",
            "/data/lake",
            "/data/lake/",
            "/data/lake2/a",
            "/data/lakeside",
            "/data/lake/../b",
            "/data/lake/a/..",
            "/data/lake/./a",
            "/data/lake//a",
            "/data/lake/%2e%2e/a",
            "/data/lake/a\0",
            "/data/lake/a*",
            "file://host/data/lake/a",
            "s3://data/lake/a",
            "FILE:///data/lake/a",
            long.as_str(),
        ];
        for bad in bad {
            assert!(warehouse.checked(bad).is_err(), "{bad:?}");
        }
    }

    // Goal: other places of a warehouse are taken, and nothing beside them. Method: a table of locations in three places.
    #[test]
    fn other_locations_are_taken() {
        let others = ["s3://other/lake/".to_owned(), "file:/data/old".to_owned()];
        let warehouse = Warehouse::new("lake", "s3://bucket/lake").expect("a good location");
        let warehouse = warehouse.with_locations(&others).expect("good locations");
        for good in [
            "s3://bucket/lake/t",
            "s3://other/lake/t",
            "/data/old/t",
            "file:///data/old/t",
        ] {
            assert!(warehouse.checked(good).is_ok(), "{good}");
            assert_eq!(warehouse.accepted(good).expect(good), good);
        }
        for bad in [
            "s3://other/lake",
            "s3://other/lakes/t",
            "s3://third/lake/t",
            "/data/older/t",
            "/data/old/../t",
        ] {
            assert!(warehouse.checked(bad).is_err(), "{bad}");
        }
        assert!(warehouse.file_below("file:///data/old/t", "/data/old/t/x").is_some());
        assert!(
            warehouse
                .file_below("file:///data/older/t", "/data/older/t/x")
                .is_none()
        );
        // Where nobody says a place, it is the warehouse.
        let table = Ident {
            namespace: vec!["a".into()],
            name: "t".into(),
        };
        assert!(
            warehouse
                .place(&table, Uuid::nil())
                .starts_with("s3://bucket/lake/a/t-")
        );
        let bad = ["lake".to_owned()];
        let warehouse = Warehouse::new("lake", "/data/lake").expect("a good location");
        assert!(warehouse.with_locations(&bad).is_err());
    }

    // Goal: a file is found to lie in a folder only if it does, whatever its path holds. Method: a table of spellings.
    #[test]
    fn files_lie_in_their_folder_or_not() {
        let warehouse = Warehouse::new("lake", "/data/lake").expect("a good location");
        let below = |path: &str| warehouse.file_below("file:///data/lake/t", path);
        for good in [
            "/data/lake/t/data/day=2026-01-01/x.parquet",
            "file:/data/lake/t/name=a%2Fb*/x",
            "file:///data/lake/t/x",
        ] {
            assert!(
                below(good).is_some_and(|path| path.starts_with("file:///data/lake/t/")),
                "{good}"
            );
        }
        for bad in [
            "/data/lake/t",
            "/data/lake/t/",
            "/data/lake/t2/x",
            "/data/lake/t/../u/x",
            "/data/lake/t/%2e%2E/u/x",
            "/data/lake/t//x",
            "s3://data/lake/t/x",
            "data/lake/t/x",
        ] {
            assert_eq!(below(bad), None, "{bad}");
        }
        assert_eq!(warehouse.file_below("file:///data", "/data/x"), None);
        assert!(warehouse.holds("file:///data/lake/t/metadata/x.json") && warehouse.holds("/data/lake/a%b"));
        assert!(!warehouse.holds("/data/lake-2/t/x") && !warehouse.holds("/data/lake/../x"));
    }

    // Goal: writers cannot be sent elsewhere by a property. Method: inside, outside and look-alike paths.
    #[test]
    fn path_properties_stay_in_the_table() {
        let warehouse = Warehouse::new("lake", "s3://bucket/lake").expect("a good location");
        let table = "s3://bucket/lake/gold/t-1";
        let check = |value: &str| {
            let properties = [("write.data.path".to_owned(), value.to_owned())];
            warehouse.check_properties(table, properties.iter().map(|(name, value)| (name, value)))
        };
        assert!(check("s3://bucket/lake/gold/t-1/elsewhere").is_ok());
        for bad in [
            "s3://bucket/lake/gold/t-10/x",
            "s3://other/lake/gold/t-1/x",
            "s3://bucket/lake/gold/t-1/../t-2",
            "x",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
