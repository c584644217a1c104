//! What the hospital begins with: providers, payers, prices, stock and patients.

use super::World;
use super::store::RowNumber;
use crate::value::{Value, day_of};
use crate::words::{CONDITIONS, MEDICATIONS, PAYERS};

/// Procedures on the price list.
const PROCEDURES: i64 = 60;

/// Patients one provider looks after.
const PATIENTS_PER_PROVIDER: u32 = 25;

impl World {
    pub(super) fn found(&mut self) {
        for (number, name) in (1..).zip(PAYERS) {
            self.insert(
                "payers",
                &[("payer_id", payer_id(number)), ("name", Value::text(*name))],
            );
        }
        for number in 0..PROCEDURES {
            self.insert(
                "price_list",
                &[("procedure_code", Value::text(format!("P{number:05}")))],
            );
        }
        for medication in MEDICATIONS {
            self.insert("pharmacy_inventory", &[("medication", Value::text(*medication))]);
        }
        for number in 0..self.options.patients / PATIENTS_PER_PROVIDER + 8 {
            self.hire(number);
        }
        for _ in 0..self.options.patients {
            self.admit();
        }
        self.changes.clear();
    }

    fn hire(&mut self, number: u32) {
        // Every specialty is there from the start: each third provider is a primary care physician.
        let specialty: &[(&str, Value)] = if number.is_multiple_of(3) {
            &[("specialty", Value::Text("Primary Care".into()))]
        } else {
            &[]
        };
        let provider = self.insert("providers", specialty);
        let provider_id = self.cell("providers", provider, "provider_id");
        for weekday in 1..=5 {
            self.insert(
                "provider_schedules",
                &[("provider_id", provider_id.clone()), ("weekday", Value::Int(weekday))],
            );
        }
    }

    /// A new patient with what belongs to one from the first day.
    pub(super) fn admit(&mut self) -> RowNumber {
        let provider_id = self.provider();
        let (first, last) = (self.dice.first_name(), self.dice.last_name());
        let mailbox = self.dice.code("", 4);
        let email: String = format!("{first}.{last}{mailbox}@mail.example")
            .to_lowercase()
            .replace('\'', "");
        let born = day_of(self.now_us).saturating_sub(i32::try_from(self.dice.between(300, 33_000)).unwrap_or(0));
        let staff = self.dice.percent(3);
        let patient = self.insert(
            "users",
            &[
                ("role", Value::text(if staff { "STAFF" } else { "PATIENT" })),
                ("first_name", Value::text(first)),
                ("last_name", Value::text(last)),
                ("email", Value::text(email)),
                ("date_of_birth", Value::Date(born)),
                ("primary_provider_id", provider_id),
            ],
        );
        let patient_id = self.cell("users", patient, "user_id");
        let mine = [("patient_id", patient_id.clone())];
        let payer = payer_id(self.dice.between(1, 5));
        let policy_id = self.policy_id();
        self.insert(
            "insurance_policies",
            &[mine[0].clone(), ("policy_id", policy_id), ("payer_id", payer)],
        );
        if self.dice.percent(15) {
            let payer = payer_id(self.dice.between(1, 5));
            let policy_id = self.policy_id();
            let second = ("is_primary", Value::Bool(false));
            self.insert(
                "insurance_policies",
                &[mine[0].clone(), ("policy_id", policy_id), ("payer_id", payer), second],
            );
        }
        self.insert("engagement_scores", &mine);
        self.grant(&patient_id, 0);
        if self.dice.percent(40) {
            self.insert("allergies", &mine);
        }
        if self.dice.percent(35) {
            let device_id = Value::text(format!("DEV-{:08}", self.inserted("devices")));
            self.insert("devices", &[mine[0].clone(), ("device_id", device_id)]);
        }
        for _ in 0..self.dice.below(4) {
            self.diagnose(&patient_id);
        }
        patient
    }

    /// A diagnosis made some time before now.
    pub(super) fn diagnose(&mut self, patient_id: &Value) {
        let index = usize::try_from(self.dice.below(CONDITIONS.len() as u64)).unwrap_or(0);
        let Some((code, condition, chronic)) = CONDITIONS.get(index).copied() else {
            return;
        };
        let days_ago = i32::try_from(self.dice.between(0, 900)).unwrap_or(0);
        let provider_id = self.provider();
        self.insert(
            "diagnoses",
            &[
                ("patient_id", patient_id.clone()),
                ("provider_id", provider_id),
                ("icd10_code", Value::text(code)),
                ("condition", Value::text(condition)),
                ("chronic", Value::Bool(chronic)),
                (
                    "diagnosed_date",
                    Value::Date(day_of(self.now_us).saturating_sub(days_ago)),
                ),
            ],
        );
    }

    /// The id of some provider.
    pub(super) fn provider(&self) -> Value {
        self.any("providers")
            .map_or(Value::Null, |row| self.cell("providers", row, "provider_id"))
    }

    /// The id of some patient; a few are far busier than the rest.
    pub(super) fn patient(&self) -> Value {
        let row = if self.dice.percent(25) {
            self.any_of_first("users", 5)
        } else {
            self.any("users")
        };
        row.map_or(Value::Null, |row| self.cell("users", row, "user_id"))
    }
}

fn payer_id(number: i64) -> Value {
    Value::text(format!("PAY{number:04}"))
}
