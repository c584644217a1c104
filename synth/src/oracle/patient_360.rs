//! Expected rows of `gold.patient_360`. The model's comment defines every measure.

use std::collections::{BTreeSet, HashMap};

use chrono::{Datelike, NaiveDate};

use super::OracleRow;
use super::cell::Cell;
use super::measures::{mean, mean_scaled};
use super::rows::{RowOf, Rows};
use crate::value::{DAY_US, day_of};
use crate::world::World;

type Groups<'w> = HashMap<String, Vec<RowOf<'w>>>;

/// Everything the view reads, by patient or by key.
struct Sources<'w> {
    as_of_us: i64,
    providers: HashMap<String, Vec<RowOf<'w>>>,
    payers: Groups<'w>,
    diagnoses: Groups<'w>,
    prescriptions: Groups<'w>,
    allergies: Groups<'w>,
    vitals: Groups<'w>,
    lab_results: Groups<'w>,
    care_pathways: Groups<'w>,
    risk_scores: Groups<'w>,
    engagement_scores: Groups<'w>,
    sessions: Groups<'w>,
    appointments: Groups<'w>,
    policies: Groups<'w>,
    encounters: Groups<'w>,
    invoices: Groups<'w>,
}

pub(super) fn rows(world: &World, as_of_us: i64) -> Vec<OracleRow> {
    let by = |table: &str, column: &'static str| Rows::of(world, table).by(column);
    let sources = Sources {
        as_of_us,
        providers: by("providers", "provider_id"),
        payers: by("payers", "payer_id"),
        diagnoses: by("diagnoses", "patient_id"),
        prescriptions: by("prescriptions", "patient_id"),
        allergies: by("allergies", "patient_id"),
        vitals: by("vitals", "patient_id"),
        lab_results: by("lab_results", "patient_id"),
        care_pathways: by("care_pathways", "patient_id"),
        risk_scores: by("risk_scores", "patient_id"),
        engagement_scores: by("engagement_scores", "patient_id"),
        sessions: by("user_sessions", "user_id"),
        appointments: by("appointments", "patient_id"),
        policies: by("insurance_policies", "patient_id"),
        encounters: by("encounters", "patient_id"),
        invoices: by("billing_invoices", "patient_id"),
    };
    let users = Rows::of(world, "users");
    let mut patients: Vec<_> = users.iter().filter(|user| user.is("role", "PATIENT")).collect();
    patients.sort_by_key(|user| user.text("user_id"));
    patients.iter().map(|user| sources.patient(user)).collect()
}

/// The newest row by a moment, then by id.
fn newest<'w>(rows: impl IntoIterator<Item = RowOf<'w>>, moment: &str, id: &str) -> Option<RowOf<'w>> {
    rows.into_iter().max_by_key(|row| (row.number(moment), row.text(id)))
}

impl<'w> Sources<'w> {
    fn patient(&self, user: &RowOf<'w>) -> OracleRow {
        let id = user.text("user_id").unwrap_or_default();
        let mut row: OracleRow = vec![("patient_id", Cell::Text(id.clone()))];
        row.extend(user.members(&["first_name", "last_name", "date_of_birth"]));
        row.push((
            "age",
            Cell::number(
                user.day("date_of_birth")
                    .and_then(|born| age(born, day_of(self.as_of_us))),
            ),
        ));
        row.extend(user.members(&["gender", "race", "ethnicity"]));
        let address = [
            ("line", "address_line"),
            ("city", "city"),
            ("state", "state"),
            ("zip", "zip"),
        ];
        row.push((
            "address",
            Cell::Struct(address.map(|(name, column)| (name, user.cell(column))).into()),
        ));
        row.extend(user.members(&["phone", "email"]));
        row.push(("active_conditions", self.conditions(&id)));
        row.push(("current_medications", self.medications(&id)));
        row.push(("allergies", self.allergies(&id)));
        row.push(("recent_vitals", self.recent_vitals(&id)));
        row.push(("recent_labs", self.recent_labs(&id)));
        row.push(("active_pathways", self.pathways(&id)));
        row.push(("risk_scores", self.risks(&id)));
        let engagement = self.engagement_scores.get(&id).and_then(|rows| rows.first());
        row.push((
            "engagement_score",
            engagement.map_or(Cell::Null, |score| score.cell("score")),
        ));
        self.moments(&id, &mut row);
        self.insurance(&id, &mut row);
        let primary = user.text("primary_provider_id").and_then(|id| self.provider_name(&id));
        row.push(("primary_care_provider", Cell::text(primary)));
        row.push(("specialists", self.specialists(&id)));
        row.push(("utilization_last_12m", self.utilization(&id)));
        row.push(("record_last_updated", user.cell("updated_at")));
        row
    }

    fn rows<'a>(groups: &'a Groups<'w>, id: &str) -> impl Iterator<Item = RowOf<'w>> + use<'a, 'w> {
        groups.get(id).into_iter().flatten().copied()
    }

    fn provider_name(&self, id: &str) -> Option<String> {
        let provider = self.providers.get(id)?.first()?;
        Some(format!(
            "{} {}",
            provider.text("first_name")?,
            provider.text("last_name")?
        ))
    }

    /// In the window of so many days that ends now.
    fn recent(&self, row: &RowOf<'_>, column: &str, days: i64) -> bool {
        let from = self.as_of_us - days * DAY_US;
        row.number(column).is_some_and(|at| at > from && at <= self.as_of_us)
    }

    fn conditions(&self, id: &str) -> Cell {
        let mut active: Vec<_> = Self::rows(&self.diagnoses, id)
            .filter(|row| row.is("status", "ACTIVE"))
            .collect();
        active.sort_by_key(|row| {
            (
                row.number("diagnosed_date"),
                row.text("icd10_code"),
                row.text("diagnosis_id"),
            )
        });
        let columns = ["condition", "icd10_code", "diagnosed_date", "severity"];
        Cell::list(active.iter().map(|row| Cell::Struct(row.members(&columns))).collect())
    }

    fn medications(&self, id: &str) -> Cell {
        let mut current: Vec<_> = Self::rows(&self.prescriptions, id)
            .filter(|row| row.is("status", "ACTIVE"))
            .collect();
        current.sort_by_key(|row| {
            (
                row.number("start_date"),
                row.text("medication"),
                row.text("prescription_id"),
            )
        });
        let medication = |row: &RowOf<'_>| {
            let mut members = row.members(&["medication", "dosage", "frequency", "start_date"]);
            let prescriber = row.text("provider_id").and_then(|id| self.provider_name(&id));
            members.push(("prescriber", Cell::text(prescriber)));
            members.extend(row.members(&["adherence_rate"]));
            Cell::Struct(members)
        };
        Cell::list(current.iter().map(medication).collect())
    }

    fn allergies(&self, id: &str) -> Cell {
        let active = Self::rows(&self.allergies, id).filter(|row| row.flag("active"));
        let substances: BTreeSet<_> = active.filter_map(|row| row.text("substance")).collect();
        Cell::list(substances.into_iter().map(Cell::Text).collect())
    }

    fn recent_vitals(&self, id: &str) -> Cell {
        let recent: Vec<_> = Self::rows(&self.vitals, id)
            .filter(|row| self.recent(row, "measured_at", 30))
            .collect();
        let Some(last) = recent.iter().filter_map(|row| row.day("measured_at")).max() else {
            return Cell::Null;
        };
        let valid = |column: &str, from, to| -> Vec<i64> {
            recent
                .iter()
                .filter_map(|row| row.number_within(column, from, to))
                .collect()
        };
        Cell::Struct(vec![
            ("bp_systolic_avg", Cell::number(mean(&valid("bp_systolic", 70, 250)))),
            ("bp_diastolic_avg", Cell::number(mean(&valid("bp_diastolic", 40, 150)))),
            ("heart_rate_avg", Cell::number(mean(&valid("heart_rate", 30, 220)))),
            (
                "weight_lbs",
                Cell::decimal(mean_scaled(&valid("weight_lbs", 0, 99_999), 1), 2),
            ),
            ("bmi", Cell::decimal(mean_scaled(&valid("bmi", 0, 9_999), 1), 2)),
            ("last_measurement_date", Cell::date(Some(last))),
        ])
    }

    fn recent_labs(&self, id: &str) -> Cell {
        let is_result = |row: &RowOf<'_>| row.is("status", "FINAL") && self.recent(row, "resulted_at", 90);
        let results: Vec<_> = Self::rows(&self.lab_results, id).filter(is_result).collect();
        let Some(last) = results.iter().filter_map(|row| row.day("resulted_at")).max() else {
            return Cell::Null;
        };
        let value = |code: &str| {
            let of_code = results.iter().filter(|row| row.is("test_code", code)).copied();
            newest(of_code, "resulted_at", "result_id").and_then(|row| row.number("value"))
        };
        Cell::Struct(vec![
            (
                "hba1c",
                Cell::decimal(value("4548-4").map(|hundredths| hundredths / 10), 1),
            ),
            (
                "ldl_cholesterol",
                Cell::number(value("18262-6").map(|hundredths| hundredths / 100)),
            ),
            (
                "egfr",
                Cell::number(value("98979-8").map(|hundredths| hundredths / 100)),
            ),
            ("last_lab_date", Cell::date(Some(last))),
        ])
    }

    fn pathways(&self, id: &str) -> Cell {
        let mut active: Vec<_> = Self::rows(&self.care_pathways, id)
            .filter(|row| row.is("status", "ACTIVE"))
            .collect();
        active.sort_by_key(|row| (row.number("initiated_date"), row.text("pathway_id")));
        let columns = [
            "pathway_name",
            "current_stage",
            "progress_score",
            "initiated_date",
            "expected_completion",
        ];
        Cell::list(active.iter().map(|row| Cell::Struct(row.members(&columns))).collect())
    }

    fn risks(&self, id: &str) -> Cell {
        let known: Vec<_> = Self::rows(&self.risk_scores, id)
            .filter(|row| row.number("scored_at").is_some_and(|at| at <= self.as_of_us))
            .collect();
        if known.is_empty() {
            return Cell::Null;
        }
        let score = |model: &str| {
            let of_model = known.iter().filter(|row| row.is("model", model)).copied();
            newest(of_model, "scored_at", "score_id").and_then(|row| row.number("score"))
        };
        let (readmission, emergency) = (score("readmission_30day"), score("emergency_visit_90day"));
        let overall = match readmission.max(emergency) {
            Some(70..) => "HIGH",
            Some(40..) => "MEDIUM",
            _ => "LOW",
        };
        Cell::Struct(vec![
            ("readmission_30day", Cell::decimal(readmission, 2)),
            ("emergency_visit_90day", Cell::decimal(emergency, 2)),
            ("medication_adherence", Cell::decimal(score("medication_adherence"), 2)),
            ("overall_health_risk", Cell::Text(overall.to_owned())),
        ])
    }

    fn moments(&self, id: &str, row: &mut OracleRow) {
        let until_now = |at: &i64| *at <= self.as_of_us;
        let logins = Self::rows(&self.sessions, id).filter(|row| row.is("channel", "PORTAL"));
        let login = logins
            .filter_map(|row| row.number("started_at"))
            .filter(until_now)
            .max();
        let past = Self::rows(&self.appointments, id).filter(|row| row.is("status", "COMPLETED"));
        let last = past
            .filter_map(|row| row.number("scheduled_at"))
            .filter(until_now)
            .max();
        let open = |row: &RowOf<'_>| row.is("status", "SCHEDULED") || row.is("status", "CONFIRMED");
        let coming = Self::rows(&self.appointments, id)
            .filter(open)
            .filter_map(|row| row.number("scheduled_at"));
        let next = coming.filter(|at| *at > self.as_of_us).min();
        row.push(("last_portal_login", Cell::timestamptz(login)));
        row.push(("last_appointment", Cell::timestamptz(last)));
        row.push(("next_appointment", Cell::timestamptz(next)));
    }

    fn insurance(&self, id: &str, row: &mut OracleRow) {
        let primary = Self::rows(&self.policies, id).filter(|row| row.flag("is_primary"));
        let policy = newest(primary, "effective_date", "policy_id");
        let payer = policy.and_then(|policy| self.payers.get(&policy.text("payer_id")?)?.first());
        row.push(("insurance_payer", payer.map_or(Cell::Null, |payer| payer.cell("name"))));
        row.push((
            "policy_number",
            policy.map_or(Cell::Null, |policy| policy.cell("policy_number")),
        ));
        row.push((
            "coverage_status",
            policy.map_or(Cell::Null, |policy| policy.cell("coverage_status")),
        ));
    }

    fn specialists(&self, id: &str) -> Cell {
        let visits = Self::rows(&self.appointments, id)
            .filter(|row| row.is("status", "COMPLETED") && self.recent(row, "scheduled_at", 365));
        let seen: BTreeSet<_> = visits.filter_map(|row| row.text("provider_id")).collect();
        let known = seen.iter().filter_map(|id| {
            let specialty = self.providers.get(id)?.first()?.text("specialty")?;
            (specialty != "Primary Care").then_some((specialty, self.provider_name(id)?, id))
        });
        let sorted: BTreeSet<_> = known.collect();
        let cell = |(specialty, name, _)| {
            Cell::Struct(vec![
                ("specialty", Cell::Text(specialty)),
                ("provider_name", Cell::Text(name)),
            ])
        };
        Cell::list(sorted.into_iter().map(cell).collect())
    }

    fn utilization(&self, id: &str) -> Cell {
        let recent: Vec<_> = Self::rows(&self.encounters, id)
            .filter(|row| self.recent(row, "admitted_at", 365))
            .collect();
        let count = |kind: &str| Cell::count(recent.iter().filter(|row| row.is("encounter_type", kind)).count());
        let today = day_of(self.as_of_us);
        let of_year = |row: &RowOf<'_>| {
            row.day("invoice_date")
                .is_some_and(|day| day > today - 365 && day <= today)
        };
        let invoices = Self::rows(&self.invoices, id).filter(of_year);
        let cost: i64 = invoices.filter_map(|row| row.number("total_amount")).sum();
        Cell::Struct(vec![
            ("office_visits", count("OFFICE")),
            ("emergency_visits", count("EMERGENCY")),
            ("hospitalizations", count("INPATIENT")),
            ("total_cost", Cell::decimal(Some(cost), 2)),
        ])
    }
}

/// Whole years between two days.
fn age(born: i32, today: i32) -> Option<i64> {
    let (born, today) = (NaiveDate::from_epoch_days(born)?, NaiveDate::from_epoch_days(today)?);
    let before_birthday = (today.month(), today.day()) < (born.month(), born.day());
    Some(i64::from(today.year() - born.year()) - i64::from(before_birthday))
}
