//! What may be chosen about a world and about how its changes are delivered.

use serde::{Deserialize, Serialize};

use crate::error::SynthError;

/// 2026-01-08T08:00:00Z, when a world begins to stream unless told otherwise.
pub const START_MS: i64 = 1_767_859_200_000;

/// How many patients a world may have: every row is kept in memory, about 100 kB a patient when its tables are full.
const PATIENTS_MAX: u32 = 1_000_000;

/// Debezium routes by key, and Kafka brokers cope badly with more.
const PARTITIONS_MAX: u32 = 1_024;

/// With more, hardly ever would everything that has happened be delivered.
const LATE_PPM_MAX: u32 = 10_000;

/// What a world is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorldOptions {
    /// Same seed, same world.
    pub seed: u64,
    /// How many patients there are at the start.
    pub patients: u32,
    /// When streaming begins, in milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// How many days the hospital has run before that.
    pub history_days: u32,
    /// How many changes a patient has caused in these days.
    pub history_changes_per_patient: u32,
    /// Mean row changes a day while streaming; 0 stands for 40 a patient.
    pub changes_per_day: u64,
    /// Busy by day and on weekdays, quiet by night; off for an even stream.
    pub diurnal: bool,
    /// How often rows are wrong.
    pub defects: DefectRates,
    /// Jumps of the hospital's clock, made when a live world goes on after it was stopped.
    pub pauses: Vec<Pause>,
    /// Other means of changes a day, where a live world went on with another one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_changes: Vec<RateChange>,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            patients: 200,
            start_ms: START_MS,
            history_days: 60,
            history_changes_per_patient: 60,
            changes_per_day: 0,
            diurnal: true,
            defects: DefectRates::default(),
            pauses: Vec::new(),
            rate_changes: Vec::new(),
        }
    }
}

impl WorldOptions {
    /// A world whose clock is the machine's: it begins now and makes so many changes each second.
    pub fn live(now_ms: i64, changes_per_second: u32) -> Self {
        Self {
            start_ms: now_ms,
            changes_per_day: u64::from(changes_per_second.max(1)).saturating_mul(86_400),
            diurnal: false,
            ..Self::default()
        }
    }

    /// The mean that `changes_per_day` stands for.
    pub(crate) fn mean_of(&self, changes_per_day: u64) -> u64 {
        if changes_per_day == 0 {
            u64::from(self.patients).saturating_mul(40)
        } else {
            changes_per_day
        }
    }

    /// As it was chosen last.
    pub(crate) fn last_changes_per_day(&self) -> u64 {
        let last = self.rate_changes.last();
        last.map_or(self.changes_per_day, |last| last.changes_per_day)
    }

    /// Refuses what no world can be.
    pub(crate) fn check(&self) -> Result<(), SynthError> {
        if self.patients == 0 || self.patients > PATIENTS_MAX {
            return Err(SynthError::Option {
                option: "patients",
                value: self.patients.to_string(),
                reason: "give a number from 1 to 1000000",
            });
        }
        if self.history_days == 0 || self.history_days > 3_650 {
            return Err(SynthError::Option {
                option: "history_days",
                value: self.history_days.to_string(),
                reason: "give a number from 1 to 3650",
            });
        }
        Ok(())
    }
}

/// A jump of the hospital's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// After this many steps of the world.
    pub after_steps: u64,
    /// By this many milliseconds.
    pub by_ms: i64,
}

/// Another mean of changes a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateChange {
    /// After this many steps of the world.
    pub after_steps: u64,
    /// As in [`WorldOptions::changes_per_day`].
    pub changes_per_day: u64,
}

/// How many of a million new rows carry each defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DefectRates {
    /// A reference is NULL.
    pub nulls_ppm: u32,
    /// A reference names nobody.
    pub orphans_ppm: u32,
    /// A measurement is impossible.
    pub out_of_range_ppm: u32,
    /// A date lies in the future.
    pub future_dates_ppm: u32,
}

impl Default for DefectRates {
    fn default() -> Self {
        Self {
            nulls_ppm: 4_000,
            orphans_ppm: 3_000,
            out_of_range_ppm: 5_000,
            future_dates_ppm: 3_000,
        }
    }
}

impl DefectRates {
    /// A world without wrong rows.
    pub const NONE: Self = Self {
        nulls_ppm: 0,
        orphans_ppm: 0,
        out_of_range_ppm: 0,
        future_dates_ppm: 0,
    };
}

/// The form of a change event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Debezium's envelope, JSON without schemas.
    Envelope,
    /// Debezium's envelope, JSON with schemas.
    #[default]
    EnvelopeSchemas,
    /// The new row only, with metadata columns (`ExtractNewRecordState`, deletes rewritten), JSON without schemas.
    Unwrapped,
}

impl std::str::FromStr for Shape {
    type Err = SynthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "envelope" => Ok(Self::Envelope),
            "envelope-schemas" => Ok(Self::EnvelopeSchemas),
            "unwrapped" => Ok(Self::Unwrapped),
            _ => Err(SynthError::Option {
                option: "shape",
                value: text.to_owned(),
                reason: "it is one of envelope, envelope-schemas, unwrapped",
            }),
        }
    }
}

/// How changes become records of topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryOptions {
    /// The form of a record.
    pub shape: Shape,
    /// Topics are `<prefix>.<service>.public.<table>`.
    pub topic_prefix: String,
    /// Partitions of every topic.
    pub partitions: u32,
    /// How many of a million records are sent twice in a row.
    pub duplicates_ppm: u32,
    /// How many of a million records come once more after up to 200 newer ones.
    pub redeliveries_ppm: u32,
    /// How many of a million inserts and updates come for the first time only after up to 200 newer records, so that they are
    /// out of order; at most 10,000. A stream that was begun before there was this choice goes on without.
    #[serde(default = "none")]
    pub late_ppm: u32,
    /// After so many records one of the connectors sends a heartbeat; 0 sends none.
    pub heartbeat_every_records: u32,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            topic_prefix: "hospital".to_owned(),
            partitions: 3,
            duplicates_ppm: 2_000,
            redeliveries_ppm: 3_000,
            late_ppm: 2_000,
            heartbeat_every_records: 500,
        }
    }
}

const fn none() -> u32 {
    0
}

impl DeliveryOptions {
    /// Refuses what cannot be delivered.
    pub(crate) fn check(&self) -> Result<(), SynthError> {
        if self.partitions == 0 || self.partitions > PARTITIONS_MAX {
            return Err(SynthError::Option {
                option: "partitions",
                value: self.partitions.to_string(),
                reason: "give a number from 1 to 1024",
            });
        }
        if self.late_ppm > LATE_PPM_MAX {
            return Err(SynthError::Option {
                option: "late_ppm",
                value: self.late_ppm.to_string(),
                reason: "give a number up to 10000",
            });
        }
        let valid = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if self.topic_prefix.is_empty() || !self.topic_prefix.chars().all(valid) {
            return Err(SynthError::Option {
                option: "topic_prefix",
                value: self.topic_prefix.clone(),
                reason: "use letters, digits, dot, dash and underscore",
            });
        }
        Ok(())
    }
}
