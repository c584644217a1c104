//! Topics and folders that two sources name. What their patterns have in common is only known once topics are listed.

use std::collections::BTreeMap;
use std::path::{Component, PathBuf};

use super::SourceConfig;
use crate::error::{IngestError, Result};

/// Refuses what two sources name: offsets are kept by topic and partition alone.
pub(super) fn check(sources: &[SourceConfig]) -> Result<()> {
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for (second, source) in sources.iter().enumerate() {
        for what in names(source) {
            let first = *named.entry(what.clone()).or_insert(second);
            if first != second {
                return Err(IngestError::SourcesShare { what, first, second });
            }
        }
    }
    Ok(())
}

fn names(source: &SourceConfig) -> Vec<String> {
    match source {
        SourceConfig::File { directory } => {
            let parts = directory.components().filter(|part| *part != Component::CurDir);
            vec![format!("folder {:?}", parts.collect::<PathBuf>())]
        }
        SourceConfig::Kafka(kafka) => {
            let topics = kafka.topics.iter().filter_map(|pattern| name(pattern));
            topics.map(|topic| format!("topic {topic:?}")).collect()
        }
    }
}

/// The name that a pattern is; none if it is more than a name. A dot is taken for one: the pattern matches the name with dots in any case.
fn name(pattern: &str) -> Option<String> {
    let mut name = String::new();
    let mut letters = pattern.chars();
    while let Some(mut letter) = letters.next() {
        if letter == '\\' {
            letter = letters.next().filter(|escaped| matches!(escaped, '.' | '-'))?;
        }
        if !letter.is_ascii_alphanumeric() && !matches!(letter, '.' | '_' | '-') {
            return None;
        }
        name.push(letter);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{IngestOptions, KafkaOptions};
    use tidewater_core::Coded;

    fn kafka(brokers: &str, topics: &[&str]) -> SourceConfig {
        SourceConfig::Kafka(KafkaOptions {
            brokers: brokers.into(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            settings: BTreeMap::new(),
        })
    }

    fn folder(path: &str) -> SourceConfig {
        SourceConfig::File { directory: path.into() }
    }

    // Goal: a topic or a folder that two sources name is refused, and the message says which sources name it. Method: a topic of two clusters,
    // written in two ways, and a folder written in two ways; the message and the code of one.
    #[test]
    fn what_two_sources_name_is_refused() {
        for sources in [
            vec![
                kafka("a:1", &["x", "cdc.public.users"]),
                kafka("b:1", &[r"cdc\.public\.users"]),
            ],
            vec![
                kafka("a:1", &["users-db"]),
                folder("x"),
                kafka("a:1", &["y", r"users\-db"]),
            ],
            vec![folder("changes"), folder("./changes/")],
        ] {
            let options = IngestOptions {
                sources,
                ..IngestOptions::default()
            };
            assert!(
                matches!(options.check(), Err(IngestError::SourcesShare { .. })),
                "{options:?}"
            );
        }
        let shared = check(&[folder("a"), kafka("a:1", &["users"]), kafka("b:1", &["users"])]);
        let error = shared.expect_err("a topic of two sources");
        assert_eq!(
            error.to_string(),
            r#"topic "users" is named by both ingest.sources.1 and ingest.sources.2"#
        );
        assert_eq!(error.code(), "ING-0014");
        assert!(error.hint().is_some());
    }

    // Goal: what may be told apart once topics are listed is not refused before. Method: names and patterns, a name twice in one source, and two
    // folders.
    #[test]
    fn patterns_wait_for_topics() {
        for sources in [
            vec![kafka("a:1", &["users", "users"]), kafka("b:1", &["orders"])],
            vec![kafka("a:1", &["users"]), kafka("b:1", &[".*"])],
            vec![kafka("a:1", &[r"cdc\..*"]), kafka("b:1", &[r"cdc\..*"])],
            vec![kafka("a:1", &[r"\w"]), kafka("b:1", &["w"])],
            vec![folder("a/b"), folder("a"), folder("/a")],
        ] {
            assert!(check(&sources).is_ok(), "{sources:?}");
        }
    }
}
