//! Absolute locations as they stand in table metadata.

use std::borrow::Cow;

use object_store::path::Path;
use url::Url;

use crate::error::{Result, TableError};

/// A location, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A path on this machine, from the root.
    File {
        /// Starts with `/`.
        path: String,
    },
    /// An object of a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key, without a leading `/`.
        key: String,
    },
    /// A file in this process.
    Memory {
        /// Without a leading `/`.
        path: String,
    },
}

impl Location {
    /// Takes `file:///a/b`, `file:/a/b`, `/a/b`, `s3://bucket/key`, `s3a://bucket/key` and `memory://a/b`. Nothing in them is decoded.
    pub fn parse(location: &str) -> Result<Self> {
        let refuse = |reason: &str| {
            Err(TableError::Location {
                location: location.into(),
                reason: reason.into(),
            })
        };
        // Plans of very many files parse as many of them, most of which are plain.
        let has_control = match location.is_ascii() {
            true => location.bytes().any(|byte| byte.is_ascii_control()),
            false => location.chars().any(char::is_control),
        };
        if has_control {
            return refuse("it holds a control character");
        }
        if location.split('/').any(|part| part == ".." || part == ".") {
            return refuse("it holds a relative part");
        }
        if let Some((scheme, rest)) = location.split_once("://") {
            return match scheme {
                "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
                    path if path.starts_with('/') => Ok(Self::File { path: path.into() }),
                    _ => refuse("a file location has no host"),
                },
                "s3" | "s3a" => match rest.split_once('/').unwrap_or((rest, "")) {
                    ("", _) => refuse("the bucket is missing"),
                    (bucket, key) => Ok(Self::S3 {
                        bucket: bucket.into(),
                        key: key.trim_start_matches('/').into(),
                    }),
                },
                "memory" => Ok(Self::Memory {
                    path: rest.trim_start_matches('/').into(),
                }),
                _ => refuse("its scheme is none of file, s3, memory"),
            };
        }
        match location.strip_prefix("file:").unwrap_or(location) {
            path if path.starts_with('/') => Ok(Self::File { path: path.into() }),
            _ => refuse("it is not absolute"),
        }
    }

    /// Is this the root itself or something below it?
    pub(crate) fn is_below(&self, root: &Self) -> bool {
        let below = |path: &str, root: &str| {
            let root = root.trim_end_matches('/');
            path.strip_prefix(root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || root.is_empty())
        };
        match (self, root) {
            (Self::File { path }, Self::File { path: root }) => below(path, root),
            (Self::Memory { path }, Self::Memory { path: root }) => below(path, root),
            (
                Self::S3 { bucket, key },
                Self::S3 {
                    bucket: other,
                    key: root,
                },
            ) => bucket == other && below(key, root),
            _ => false,
        }
    }

    /// The path within the store.
    pub(crate) fn store_path(&self) -> Result<Path> {
        let (Self::File { path } | Self::S3 { key: path, .. } | Self::Memory { path }) = self;
        Path::parse(path.trim_start_matches('/')).map_err(|error| TableError::Location {
            location: path.clone(),
            reason: error.to_string(),
        })
    }

    /// What the store is registered under.
    pub(crate) fn base(&self) -> Result<Url> {
        let text = self.base_text();
        Url::parse(&text).map_err(|error| TableError::Location {
            location: text.into(),
            reason: error.to_string(),
        })
    }

    /// The same, not yet parsed.
    pub(crate) fn base_text(&self) -> Cow<'static, str> {
        match self {
            Self::File { .. } => "file:///".into(),
            Self::S3 { bucket, .. } => format!("s3://{bucket}").into(),
            Self::Memory { .. } => "memory:///".into(),
        }
    }

    /// Another path of the same store as an absolute location.
    pub(crate) fn sibling(&self, path: &Path) -> String {
        match self {
            Self::File { .. } => format!("file:///{path}"),
            Self::S3 { bucket, .. } => format!("s3://{bucket}/{path}"),
            Self::Memory { .. } => format!("memory://{path}"),
        }
    }
}
