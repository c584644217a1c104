//! Appointments and what happens at them: encounters, notes, vitals, laboratory, prescriptions, images, referrals.

use super::World;
use super::activities::Due;
use super::store::RowNumber;
use crate::value::{DAY_US, Value};
use crate::words::MEDICATIONS;

/// LOINC code, name, unit, lowest and highest value (two decimals, unscaled), what values are multiples of.
const TESTS: &[(&str, &str, &str, i64, i64, i64)] = &[
    ("4548-4", "HbA1c", "%", 48, 120, 10),
    ("18262-6", "LDL cholesterol", "mg/dL", 60, 210, 100),
    ("98979-8", "eGFR", "mL/min", 25, 120, 100),
];

impl World {
    pub(super) fn book(&mut self) {
        let (patient_id, provider_id) = (self.patient(), self.provider());
        // Walk-ins come within minutes, so that a short run sees whole visits too.
        let minutes = if self.dice.percent(35) {
            self.dice.between(1, 20)
        } else {
            self.dice.between(60, 20 * 1_440)
        };
        let scheduled_at = self.in_minutes(minutes);
        let appointment = self.insert(
            "appointments",
            &[
                ("patient_id", patient_id.clone()),
                ("provider_id", provider_id),
                ("scheduled_at", Value::Micros(scheduled_at)),
            ],
        );
        let message = self.insert("notifications", &[("user_id", patient_id)]);
        self.later(Due::SendMessage, message, 0, 3);
        if minutes > 1_440 {
            self.later(Due::Reminder, appointment, minutes - 1_440, minutes - 1_400);
        }
        self.later(Due::Visit, appointment, minutes, minutes + 30);
    }

    pub(super) fn remind(&mut self, appointment: RowNumber) {
        if self.cell("appointments", appointment, "status").as_text() == Some("SCHEDULED") {
            self.update("appointments", appointment, &[("status", Value::text("CONFIRMED"))]);
            self.appointment_event(appointment, "REMINDED");
        }
    }

    pub(super) fn cancel(&mut self) {
        let Some(appointment) = self.any("appointments") else {
            return;
        };
        let status = self.cell("appointments", appointment, "status");
        match status.as_text() {
            Some("SCHEDULED" | "CONFIRMED") => {
                self.update("appointments", appointment, &[("status", Value::text("CANCELLED"))]);
                self.appointment_event(appointment, "CANCELLED");
            }
            Some("CANCELLED") => self.delete("appointments", appointment),
            _ => {}
        }
    }

    pub(super) fn visit(&mut self, appointment: RowNumber) {
        if !matches!(
            self.cell("appointments", appointment, "status").as_text(),
            Some("SCHEDULED" | "CONFIRMED")
        ) {
            return;
        }
        if self.dice.percent(9) {
            self.update("appointments", appointment, &[("status", Value::text("NO_SHOW"))]);
            self.appointment_event(appointment, "NO_SHOW");
            return;
        }
        let (wait, lasted) = (self.dice.between(0, 40), self.dice.between(10, 55));
        self.update(
            "appointments",
            appointment,
            &[
                ("status", Value::text("COMPLETED")),
                ("wait_minutes", Value::Int(wait)),
                ("duration_minutes", Value::Int(lasted)),
            ],
        );
        self.appointment_event(appointment, "COMPLETED");
        self.treat(appointment, lasted);
    }

    /// What a completed visit leaves behind.
    fn treat(&mut self, appointment: RowNumber, lasted: i64) {
        let [patient_id, provider_id, appointment_id, kind] =
            ["patient_id", "provider_id", "appointment_id", "appointment_type"]
                .map(|column| self.cell("appointments", appointment, column));
        let who = [("patient_id", patient_id.clone()), ("provider_id", provider_id)];
        let which = ("appointment_id", appointment_id);
        let telemedicine = kind.as_text() == Some("TELEMEDICINE");
        let encounter_type = Value::text(if telemedicine { "TELEHEALTH" } else { "OFFICE" });
        let discharged_at = Value::Micros(self.in_minutes(lasted));
        let of_visit = [who[0].clone(), who[1].clone(), which];
        let mut encounter = of_visit.to_vec();
        encounter.extend([
            ("encounter_type", encounter_type),
            ("discharged_at", discharged_at),
            ("readmission", Value::Bool(false)),
        ]);
        self.insert("encounters", &encounter);
        if telemedicine {
            let call = self.insert("telehealth_sessions", &of_visit);
            self.later(Due::HangUp, call, lasted, lasted + 5);
        } else {
            self.measure(&patient_id, "CLINIC");
        }
        let record = self.insert("medical_records", &who);
        self.later(Due::SignRecord, record, 5, 600);
        if self.dice.percent(25) {
            self.diagnose(&patient_id);
        }
        if self.dice.percent(40) {
            self.prescribe(&who);
        }
        if self.dice.percent(35) {
            let order = self.insert("lab_orders", &who);
            self.later(Due::LabResults, order, 30, 1_500);
        }
        if self.dice.percent(30) {
            self.insert("feedback", &of_visit);
        }
        self.bill(&of_visit);
    }

    pub(super) fn arrive_as_emergency(&mut self) {
        let inpatient = self.dice.percent(35);
        let given = [
            ("patient_id", self.patient()),
            ("provider_id", self.provider()),
            (
                "encounter_type",
                Value::text(if inpatient { "INPATIENT" } else { "EMERGENCY" }),
            ),
            ("primary_icd10", Value::text("I10")),
        ];
        let encounter = self.insert("encounters", &given);
        let longest = if inpatient { 5 * 1_440 } else { 300 };
        self.later(Due::Discharge, encounter, 30, longest);
        self.bill(&given[..2]);
    }

    pub(super) fn discharge(&mut self, encounter: RowNumber) {
        let now = self.now();
        self.update("encounters", encounter, &[("discharged_at", now)]);
    }

    pub(super) fn sign_record(&mut self, record: RowNumber) {
        // The note itself stays as it was: when it is long, Debezium does not send it again.
        self.update(
            "medical_records",
            record,
            &[("status", Value::text("FINAL")), ("version", Value::Int(2))],
        );
    }

    pub(super) fn measure_at_home(&mut self) {
        let patient_id = self.patient();
        self.measure(&patient_id, "HOME");
    }

    fn measure(&mut self, patient_id: &Value, source: &str) {
        let mut given = vec![("patient_id", patient_id.clone()), ("source", Value::text(source))];
        let dice = &self.dice;
        match dice.below(10) {
            0..=4 => given.extend([
                ("bp_systolic", Value::Int(dice.between(95, 165))),
                ("bp_diastolic", Value::Int(dice.between(55, 105))),
                ("unit", Value::text("mmHg")),
            ]),
            5 | 6 => given.extend([
                ("vital_type", Value::text("HR")),
                ("heart_rate", Value::Int(dice.between(50, 120))),
                ("unit", Value::text("bpm")),
            ]),
            7 | 8 => given.extend([
                ("vital_type", Value::text("WEIGHT")),
                ("weight_lbs", Value::Decimal(dice.between(9_000, 28_000))),
                ("bmi", Value::Decimal(dice.between(1_700, 4_200))),
                ("unit", Value::text("lb")),
            ]),
            _ => given.extend([
                ("vital_type", Value::text("SPO2")),
                ("value", Value::Decimal(dice.between(9_000, 10_000))),
                ("unit", Value::text("%")),
            ]),
        }
        self.insert("vitals", &given);
    }

    fn prescribe(&mut self, who: &[(&'static str, Value)]) {
        let mut given = who.to_vec();
        given.push(("medication", Value::text(self.dice.pick(MEDICATIONS))));
        let prescription = self.insert("prescriptions", &given);
        self.later(Due::Dispense, prescription, 10, 1_000);
    }

    pub(super) fn refill(&mut self) {
        let Some(prescription) = self.any("prescriptions") else {
            return;
        };
        if self.dice.percent(20) {
            self.update("prescriptions", prescription, &[("status", Value::text("ENDED"))]);
        } else {
            self.later(Due::Dispense, prescription, 0, 30);
            let refills = self.dice.between(0, 5);
            self.update("prescriptions", prescription, &[("refills", Value::Int(refills))]);
        }
    }

    pub(super) fn dispense(&mut self, prescription: RowNumber) {
        if !self.has("prescriptions", prescription) {
            return;
        }
        let [patient_id, prescription_id] =
            ["patient_id", "prescription_id"].map(|column| self.cell("prescriptions", prescription, column));
        let Some(item) = self.any("pharmacy_inventory") else {
            return;
        };
        let item_id = self.cell("pharmacy_inventory", item, "item_id");
        let fetched = self.dice.between(10, 90);
        let given = [
            ("patient_id", patient_id),
            ("prescription_id", prescription_id),
            ("item_id", item_id),
            ("quantity", Value::Int(fetched)),
        ];
        self.insert("pharmacy_dispenses", &given);
        let left = self.cell("pharmacy_inventory", item, "quantity").number().unwrap_or(0) - fetched;
        let stock = if left < 0 { left + 5_000 } else { left };
        self.update("pharmacy_inventory", item, &[("quantity", Value::Int(stock))]);
        let adherence = self.dice.between(40, 100);
        self.update(
            "prescriptions",
            prescription,
            &[("adherence_rate", Value::Decimal(adherence))],
        );
    }

    pub(super) fn restock(&mut self) {
        let Some(item) = self.any("pharmacy_inventory") else {
            return;
        };
        let quantity = self.dice.between(2_000, 5_000);
        self.update("pharmacy_inventory", item, &[("quantity", Value::Int(quantity))]);
    }

    pub(super) fn report_laboratory(&mut self, order: RowNumber) {
        if !self.update("lab_orders", order, &[("status", Value::text("RESULTED"))]) {
            return;
        }
        let [order_id, patient_id] = ["order_id", "patient_id"].map(|column| self.cell("lab_orders", order, column));
        for (code, name, unit, from, to, multiple) in TESTS {
            if self.dice.percent(60) {
                let value = self.dice.between(*from, *to) * multiple;
                let given = [
                    ("order_id", order_id.clone()),
                    ("patient_id", patient_id.clone()),
                    ("test_code", Value::text(*code)),
                    ("test_name", Value::text(*name)),
                    ("unit", Value::text(*unit)),
                    ("value", Value::Decimal(value)),
                ];
                self.insert("lab_results", &given);
            }
        }
    }

    pub(super) fn order_images(&mut self) {
        let given = [
            ("patient_id", self.patient()),
            ("ordering_provider_id", self.provider()),
        ];
        let study = self.insert("imaging_studies", &given);
        self.later(Due::ReportImages, study, 10, 2_000);
    }

    pub(super) fn report_images(&mut self, study: RowNumber) {
        let done = self.cell("imaging_studies", study, "status").as_text() == Some("REPORTED");
        if done {
            self.update("imaging_studies", study, &[("status", Value::text("ARCHIVED"))]);
        } else {
            let report = Value::text(self.dice.note());
            let given = [("status", Value::text("REPORTED")), ("report", report)];
            if self.update("imaging_studies", study, &given) {
                self.later(Due::ReportImages, study, 10, 3_000);
            }
        }
    }

    pub(super) fn refer(&mut self) {
        let given = [
            ("patient_id", self.patient()),
            ("from_provider_id", self.provider()),
            ("to_provider_id", self.provider()),
        ];
        let referral = self.insert("referrals", &given);
        self.later(Due::TakeReferral, referral, 60, 5_000);
    }

    pub(super) fn take_referral(&mut self, referral: RowNumber) {
        let status = self.dice.pick(&["ACCEPTED", "ACCEPTED", "DECLINED", "EXPIRED"]);
        self.update("referrals", referral, &[("status", Value::text(status))]);
    }

    pub(super) fn hang_up(&mut self, call: RowNumber) {
        let (now, quality) = (self.now(), self.dice.between(1, 5));
        let given = [
            ("status", Value::text("ENDED")),
            ("ended_at", now),
            ("quality_score", Value::Int(quality)),
        ];
        self.update("telehealth_sessions", call, &given);
    }

    pub(super) fn review_diagnosis(&mut self) {
        let Some(diagnosis) = self.any("diagnoses") else { return };
        let (controlled, resolved) = (self.dice.percent(60), self.dice.percent(10));
        let today = self.now().day().unwrap_or(0);
        let status = Value::text(if resolved { "RESOLVED" } else { "ACTIVE" });
        let given = [
            ("controlled", Value::Bool(controlled)),
            ("reviewed_date", Value::Date(today)),
            ("status", status),
        ];
        self.update("diagnoses", diagnosis, &given);
    }

    pub(super) fn admit_somebody(&mut self) {
        let users_max = self.options.patients as usize + self.options.patients as usize / 5;
        if self.len("users") >= users_max {
            // Somebody asked to be forgotten; what points at them stays behind, as it does in real hospitals.
            if let Some(user) = self.any("users") {
                self.delete("users", user);
            }
        } else {
            self.admit();
        }
    }

    fn appointment_event(&mut self, appointment: RowNumber, event_type: &'static str) {
        let appointment_id = self.cell("appointments", appointment, "appointment_id");
        let given = [
            ("appointment_id", appointment_id),
            ("event_type", Value::text(event_type)),
        ];
        self.insert("appointment_events", &given);
    }

    /// A bill and a claim for it.
    fn bill(&mut self, of: &[(&'static str, Value)]) {
        let amount = Value::Decimal(self.dice.between(5_000, 90_000));
        let mut invoice = of.to_vec();
        invoice.push(("total_amount", amount.clone()));
        if self.dice.percent(10) {
            // Some bills are written up late.
            let day = Value::Micros(self.now_us - DAY_US).day().unwrap_or(0);
            invoice.push(("invoice_date", Value::Date(day)));
        }
        let invoice = self.insert("billing_invoices", &invoice);
        self.claim(invoice, amount);
    }
}
