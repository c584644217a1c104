//! What a run remembers next to its log: the world it simulates, and for topics how far it came.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::RunOptions;
use crate::error::SynthError;
use crate::options::{DeliveryOptions, WorldOptions};
use crate::sink::file::sync_folder;

/// File sources read `*.jsonl` only, so this one may lie among the segments.
const FILE: &str = "synth-state.json";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    world: WorldOptions,
    delivery: DeliveryOptions,
    /// Records that certainly arrived.
    #[serde(default)]
    sequence: u64,
}

/// The state of a run; remembers nothing when it has no folder.
#[derive(Debug)]
pub(super) struct State {
    folder: Option<PathBuf>,
    saved: Option<Saved>,
}

impl State {
    pub(super) fn load(folder: Option<&Path>) -> Result<Self, SynthError> {
        let Some(folder) = folder else {
            return Ok(Self {
                folder: None,
                saved: None,
            });
        };
        let path = folder.join(FILE);
        let saved = match fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| SynthError::Foreign {
                path,
                reason: format!("the state is not readable: {error}"),
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(SynthError::io("read", path)(error)),
        };
        Ok(Self {
            folder: Some(folder.to_owned()),
            saved,
        })
    }

    /// The options to go on with: those of the beginning. Refuses another seed, shape or size.
    pub(super) fn options(&self, run: &RunOptions) -> Result<(WorldOptions, DeliveryOptions), SynthError> {
        let Some(saved) = &self.saved else {
            return Ok((run.world.clone(), run.delivery.clone()));
        };
        // A live world begins when it is first run, and pauses are what a run adds.
        let mut asked = WorldOptions {
            pauses: saved.world.pauses.clone(),
            rate_changes: saved.world.rate_changes.clone(),
            ..run.world.clone()
        };
        if run.live {
            asked.start_ms = saved.world.start_ms;
            // A live world goes on at another rate.
            asked.changes_per_day = saved.world.changes_per_day;
        }
        if asked != saved.world || run.delivery != saved.delivery {
            let folder = self.folder.clone().unwrap_or_default();
            let mut other = other_in(&saved.world, &asked);
            other.extend(other_in(&saved.delivery, &run.delivery));
            let reason = format!("it was begun with other options: {}", other.join(", "));
            return Err(SynthError::Foreign { path: folder, reason });
        }
        Ok((saved.world.clone(), saved.delivery.clone()))
    }

    pub(super) fn sequence(&self) -> u64 {
        match &self.saved {
            Some(saved) => saved.sequence,
            None => 0,
        }
    }

    /// Remembers the world, pauses included.
    pub(super) fn save(&mut self, world: &WorldOptions, delivery: &DeliveryOptions) -> Result<(), SynthError> {
        let sequence = self.sequence();
        self.write(Saved {
            world: world.clone(),
            delivery: delivery.clone(),
            sequence,
        })
    }

    /// Remembers that so many records arrived.
    pub(super) fn reached(&mut self, sequence: u64) -> Result<(), SynthError> {
        match self.saved.clone() {
            Some(saved) => self.write(Saved { sequence, ..saved }),
            None => Ok(()),
        }
    }

    fn write(&mut self, saved: Saved) -> Result<(), SynthError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        fs::create_dir_all(folder).map_err(SynthError::io("create the folder", folder))?;
        let (path, next) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        let text = serde_json::to_vec_pretty(&saved).expect("options have a JSON form");
        let written = fs::write(&next, text).and_then(|()| fs::File::open(&next)?.sync_all());
        written.map_err(SynthError::io("write", next.as_path()))?;
        fs::rename(&next, &path).map_err(SynthError::io("rename to", path))?;
        sync_folder(folder)?;
        self.saved = Some(saved);
        Ok(())
    }
}

/// The options that are not as they were, and what they were.
fn other_in(begun: &impl Serialize, asked: &impl Serialize) -> Vec<String> {
    let value = |options: serde_json::Result<serde_json::Value>| options.unwrap_or_default();
    let (begun, asked) = (value(serde_json::to_value(begun)), value(serde_json::to_value(asked)));
    let members = begun.as_object().into_iter().flatten();
    members
        .filter(|(key, value)| asked.get(key.as_str()) != Some(*value))
        .map(|(key, value)| format!("{key} {value}"))
        .collect()
}
