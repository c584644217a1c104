//! Expected rows of `gold.provider_metrics`. The model's comment defines every measure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::OracleRow;
use super::cell::Cell;
use super::measures::{mean, mean_scaled, rate};
use super::rows::{RowOf, Rows};
use crate::value::day_of;
use crate::world::World;

/// A provider and a day.
type Key = (String, i32);

pub(super) fn rows(world: &World, as_of_us: i64) -> Vec<OracleRow> {
    let today = day_of(as_of_us);
    let appointments = Rows::of(world, "appointments");
    let mut visits: BTreeMap<Key, Vec<RowOf<'_>>> = BTreeMap::new();
    for (key, row) in keyed(&appointments, "scheduled_at") {
        if key.1 <= today {
            visits.entry(key).or_default().push(row);
        }
    }
    let mut firsts: BTreeMap<(String, String), i32> = BTreeMap::new();
    for ((provider, day), rows) in &visits {
        for patient in rows
            .iter()
            .filter(|row| row.is("status", "COMPLETED"))
            .filter_map(|row| row.text("patient_id"))
        {
            let first = firsts.entry((provider.clone(), patient)).or_insert(*day);
            *first = (*first).min(*day);
        }
    }
    let (feedback, encounters) = (Rows::of(world, "feedback"), Rows::of(world, "encounters"));
    let (invoices, claims) = (Rows::of(world, "billing_invoices"), Rows::of(world, "claims"));
    let others = Others {
        diagnoses: Rows::of(world, "diagnoses").by("patient_id"),
        feedback: grouped(&feedback, "submitted_at"),
        encounters: grouped(&encounters, "admitted_at"),
        invoices: grouped(&invoices, "invoice_date"),
        claims: grouped(&claims, "decided_at"),
    };
    visits
        .iter()
        .map(|(key, rows)| others.day(key, rows, &firsts))
        .collect()
}

fn keyed<'w>(rows: &Rows<'w>, moment: &str) -> Vec<(Key, RowOf<'w>)> {
    let key = |row: &RowOf<'w>| Some((row.text("provider_id")?, row.day(moment)?));
    rows.iter().filter_map(|row| Some((key(&row)?, row))).collect()
}

fn grouped<'w>(rows: &Rows<'w>, moment: &str) -> HashMap<Key, Vec<RowOf<'w>>> {
    let mut groups: HashMap<Key, Vec<RowOf<'w>>> = HashMap::new();
    for (key, row) in keyed(rows, moment) {
        groups.entry(key).or_default().push(row);
    }
    groups
}

struct Others<'w> {
    diagnoses: HashMap<String, Vec<RowOf<'w>>>,
    feedback: HashMap<Key, Vec<RowOf<'w>>>,
    encounters: HashMap<Key, Vec<RowOf<'w>>>,
    invoices: HashMap<Key, Vec<RowOf<'w>>>,
    claims: HashMap<Key, Vec<RowOf<'w>>>,
}

impl<'w> Others<'w> {
    fn day(&self, key: &Key, visits: &[RowOf<'w>], firsts: &BTreeMap<(String, String), i32>) -> OracleRow {
        let (provider, day) = key;
        let completed: Vec<_> = visits.iter().filter(|row| row.is("status", "COMPLETED")).collect();
        let no_shows = visits.iter().filter(|row| row.is("status", "NO_SHOW")).count();
        let seen: BTreeSet<_> = completed.iter().filter_map(|row| row.text("patient_id")).collect();
        let new = seen
            .iter()
            .filter(|patient| firsts.get(&(provider.clone(), (*patient).clone())) == Some(day))
            .count();
        let wellness: Vec<_> = visits
            .iter()
            .filter(|row| row.is("appointment_type", "ANNUAL_WELLNESS"))
            .collect();
        let wellness_done = wellness.iter().filter(|row| row.is("status", "COMPLETED")).count();
        let same_day = visits.iter().filter(|row| row.day("booked_at") == Some(*day)).count();
        let waits: Vec<_> = completed
            .iter()
            .filter_map(|row| row.number_within("wait_minutes", 0, i64::MAX))
            .collect();
        let lasted: Vec<_> = completed
            .iter()
            .filter_map(|row| row.number("duration_minutes"))
            .collect();

        let rows = |groups: &HashMap<Key, Vec<RowOf<'w>>>| groups.get(key).cloned().unwrap_or_default();
        let ratings: Vec<_> = rows(&self.feedback)
            .iter()
            .filter_map(|row| row.number_within("rating", 1, 5))
            .collect();
        let chronic: Vec<_> = seen
            .iter()
            .flat_map(|patient| self.diagnoses.get(patient).into_iter().flatten())
            .filter(|row| row.is("status", "ACTIVE") && row.flag("chronic"))
            .collect();
        let controlled = chronic.iter().filter(|row| row.flag("controlled")).count();
        let encounters = rows(&self.encounters);
        let inpatient: Vec<_> = encounters
            .iter()
            .filter(|row| row.is("encounter_type", "INPATIENT"))
            .collect();
        let readmitted = inpatient.iter().filter(|row| row.flag("readmission")).count();
        let emergencies = encounters
            .iter()
            .filter(|row| row.is("encounter_type", "EMERGENCY"))
            .count();
        let charges: i64 = rows(&self.invoices)
            .iter()
            .filter_map(|row| row.number("total_amount"))
            .sum();
        let claims = rows(&self.claims);
        let approved = claims.iter().filter(|row| row.is("status", "APPROVED")).count();
        let denied = claims.iter().filter(|row| row.is("status", "DENIED")).count();
        vec![
            ("provider_id", Cell::Text(provider.clone())),
            ("metric_date", Cell::date(Some(*day))),
            ("patients_seen", Cell::count(seen.len())),
            ("new_patients", Cell::count(new)),
            ("appointments_scheduled", Cell::count(visits.len())),
            ("appointments_completed", Cell::count(completed.len())),
            ("no_show_rate", Cell::decimal(rate(no_shows, visits.len()), 2)),
            ("patient_satisfaction_avg", Cell::decimal(mean_scaled(&ratings, 10), 1)),
            ("review_count", Cell::count(ratings.len())),
            (
                "chronic_disease_control_rate",
                Cell::decimal(rate(controlled, chronic.len()), 2),
            ),
            (
                "preventive_care_completion_rate",
                Cell::decimal(rate(wellness_done, wellness.len()), 2),
            ),
            ("avg_wait_time_minutes", Cell::number(mean(&waits))),
            ("avg_visit_duration_minutes", Cell::number(mean(&lasted))),
            (
                "same_day_appointment_availability",
                Cell::decimal(rate(same_day, visits.len()), 2),
            ),
            ("readmission_rate", Cell::decimal(rate(readmitted, inpatient.len()), 2)),
            (
                "emergency_visit_rate",
                Cell::decimal(rate(emergencies, encounters.len()), 2),
            ),
            ("total_charges", Cell::decimal(Some(charges), 2)),
            (
                "insurance_approval_rate",
                Cell::decimal(rate(approved, approved + denied), 2),
            ),
        ]
    }
}
