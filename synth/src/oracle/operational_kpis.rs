//! Expected rows of `gold.operational_kpis`. The model's comment defines every measure.

use std::collections::{BTreeMap, BTreeSet};

use super::OracleRow;
use super::cell::Cell;
use super::measures::{mean, rate, scaled};
use super::rows::{RowOf, Rows};
use crate::value::day_of;
use crate::world::World;

type Days<'w> = BTreeMap<i32, Vec<RowOf<'w>>>;

pub(super) fn rows(world: &World, as_of_us: i64) -> Vec<OracleRow> {
    let today = day_of(as_of_us);
    let days = |table: &str, moment: &str| -> Days<'_> {
        let mut days = Days::new();
        for row in Rows::of(world, table).iter() {
            if let Some(day) = row.day(moment) {
                days.entry(day).or_default().push(row);
            }
        }
        days
    };
    let sources = Sources {
        sessions: days("user_sessions", "started_at"),
        triage: days("triage_sessions", "started_at"),
        vitals: days("vitals", "measured_at"),
        appointments: days("appointments", "scheduled_at"),
        telehealth: days("telehealth_sessions", "started_at"),
        prescriptions: days("prescriptions", "issued_at"),
        lab_orders: days("lab_orders", "ordered_at"),
        pathways_started: days("care_pathways", "initiated_date"),
        pathways_ended: days("care_pathways", "ended_date"),
        diagnoses: days("diagnoses", "reviewed_date"),
        risk_scores: days("risk_scores", "scored_at"),
        device_alerts: days("device_alerts", "raised_at"),
        review_tasks: days("review_tasks", "created_at"),
        claims_submitted: days("claims", "submitted_at"),
        claims_decided: days("claims", "decided_at"),
        fraud_alerts: days("fraud_alerts", "detected_at"),
        payments: days("payments", "paid_at"),
        service_checks: days("service_checks", "checked_at"),
        decisions: days("decisions", "decided_at"),
    };
    let spine: BTreeSet<i32> = sources
        .sessions
        .keys()
        .chain(sources.appointments.keys())
        .copied()
        .collect();
    spine.range(..=today).map(|day| sources.day(*day)).collect()
}

struct Sources<'w> {
    sessions: Days<'w>,
    triage: Days<'w>,
    vitals: Days<'w>,
    appointments: Days<'w>,
    telehealth: Days<'w>,
    prescriptions: Days<'w>,
    lab_orders: Days<'w>,
    pathways_started: Days<'w>,
    pathways_ended: Days<'w>,
    diagnoses: Days<'w>,
    risk_scores: Days<'w>,
    device_alerts: Days<'w>,
    review_tasks: Days<'w>,
    claims_submitted: Days<'w>,
    claims_decided: Days<'w>,
    fraud_alerts: Days<'w>,
    payments: Days<'w>,
    service_checks: Days<'w>,
    decisions: Days<'w>,
}

fn of<'w>(days: &Days<'w>, day: i32) -> Vec<RowOf<'w>> {
    days.get(&day).cloned().unwrap_or_default()
}

fn count(days: &Days<'_>, day: i32) -> Cell {
    Cell::count(of(days, day).len())
}

fn count_if(rows: &[RowOf<'_>], column: &str, text: &str) -> usize {
    rows.iter().filter(|row| row.is(column, text)).count()
}

impl Sources<'_> {
    /// Users with a session in the days that end with this one.
    fn active_users(&self, day: i32, days: i32) -> Cell {
        let sessions = self.sessions.range(day - days + 1..=day).flat_map(|(_, rows)| rows);
        let users: BTreeSet<_> = sessions.filter_map(|row| row.text("user_id")).collect();
        Cell::count(users.len())
    }

    fn patients_on_pathways(&self, day: i32) -> Cell {
        let started = self.pathways_started.range(..=day).flat_map(|(_, rows)| rows);
        let open = started.filter(|row| row.day("ended_date").is_none_or(|ended| ended > day));
        let patients: BTreeSet<_> = open.filter_map(|row| row.text("patient_id")).collect();
        Cell::count(patients.len())
    }

    fn day(&self, day: i32) -> OracleRow {
        let appointments = of(&self.appointments, day);
        let wellness: Vec<_> = appointments
            .iter()
            .filter(|row| row.is("appointment_type", "ANNUAL_WELLNESS"))
            .copied()
            .collect();
        let lasted: Vec<_> = of(&self.sessions, day)
            .iter()
            .filter_map(|row| row.number("duration_minutes"))
            .collect();
        let ended = of(&self.pathways_ended, day);
        let reviewed: Vec<_> = of(&self.diagnoses, day)
            .into_iter()
            .filter(|row| row.flag("chronic"))
            .collect();
        let controlled = reviewed.iter().filter(|row| row.flag("controlled")).count();
        let high_risk: BTreeSet<_> = of(&self.risk_scores, day)
            .iter()
            .filter(|row| row.is("band", "HIGH") && !row.is("model", "medication_adherence"))
            .filter_map(|row| row.text("patient_id"))
            .collect();
        let alerts = of(&self.device_alerts, day);
        let answered: Vec<_> = alerts
            .iter()
            .filter_map(|row| row.number_within("response_minutes", 0, i64::MAX))
            .collect();
        let decided = of(&self.claims_decided, day);
        let revenue: i64 = of(&self.payments, day)
            .iter()
            .filter_map(|row| row.number("amount"))
            .sum();
        let checks = of(&self.service_checks, day);
        let up = checks.iter().filter(|row| row.flag("is_up")).count();
        let latencies: Vec<_> = checks.iter().filter_map(|row| row.number("latency_ms")).collect();
        vec![
            ("kpi_date", Cell::date(Some(day))),
            ("daily_active_users", self.active_users(day, 1)),
            ("weekly_active_users", self.active_users(day, 7)),
            ("monthly_active_users", self.active_users(day, 30)),
            ("avg_session_duration_minutes", Cell::number(mean(&lasted))),
            ("symptom_check_ins", count(&self.triage, day)),
            ("vitals_logged", count(&self.vitals, day)),
            ("appointments_scheduled", Cell::count(appointments.len())),
            (
                "appointments_completed",
                Cell::count(count_if(&appointments, "status", "COMPLETED")),
            ),
            ("telemedicine_visits", count(&self.telehealth, day)),
            ("prescriptions_issued", count(&self.prescriptions, day)),
            ("lab_orders", count(&self.lab_orders, day)),
            ("patients_on_care_pathways", self.patients_on_pathways(day)),
            (
                "pathway_completion_rate",
                Cell::decimal(rate(count_if(&ended, "status", "COMPLETED"), ended.len()), 2),
            ),
            (
                "chronic_disease_control_rate",
                Cell::decimal(rate(controlled, reviewed.len()), 2),
            ),
            (
                "preventive_screening_rate",
                Cell::decimal(rate(count_if(&wellness, "status", "COMPLETED"), wellness.len()), 2),
            ),
            ("high_risk_patients", Cell::count(high_risk.len())),
            (
                "critical_alerts",
                Cell::count(count_if(&alerts, "severity", "CRITICAL")),
            ),
            ("human_review_tasks", count(&self.review_tasks, day)),
            ("average_alert_response_time_minutes", Cell::number(mean(&answered))),
            ("claims_submitted", count(&self.claims_submitted, day)),
            ("claims_approved", Cell::count(count_if(&decided, "status", "APPROVED"))),
            ("claims_denied", Cell::count(count_if(&decided, "status", "DENIED"))),
            ("fraud_alerts", count(&self.fraud_alerts, day)),
            ("total_revenue", Cell::decimal(Some(revenue), 2)),
            (
                "system_uptime_percent",
                Cell::decimal(scaled(up, checks.len(), 10_000), 2),
            ),
            ("avg_api_latency_ms", Cell::number(mean(&latencies))),
            (
                "ml_model_predictions",
                Cell::count(of(&self.decisions, day).len() + of(&self.risk_scores, day).len()),
            ),
        ]
    }
}
