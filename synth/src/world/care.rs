//! What happens between visits: log-ins, devices, triage, risk, pathways, consent, documents, messages, reviews.

use super::World;
use super::activities::Due;
use super::store::RowNumber;
use crate::value::Value;

/// What a patient may consent to.
const PURPOSES: [&str; 4] = ["TREATMENT", "RESEARCH", "MARKETING", "DATA_SHARING"];

/// The stages of a care pathway.
const STAGES: [&str; 4] = ["ENROLLED", "EDUCATION", "ACTIVE_CARE", "MAINTENANCE"];

impl World {
    pub(super) fn log_in(&mut self) {
        let Some(user) = self.any("users") else { return };
        let (now, user_id) = (self.now(), self.cell("users", user, "user_id"));
        self.insert("user_sessions", &[("user_id", user_id)]);
        self.update("users", user, &[("last_login_at", now)]);
    }

    pub(super) fn change_profile(&mut self) {
        let Some(user) = self.any("users") else { return };
        let given = match self.dice.below(3) {
            0 => ("address_line", Value::text(self.dice.street())),
            1 => ("phone", Value::text(self.dice.code("+1-555-01", 2))),
            _ => ("preferences", Value::text(self.dice.json())),
        };
        self.update("users", user, &[given]);
    }

    pub(super) fn read_device(&mut self) {
        let Some(device) = self.any("devices") else { return };
        let device_id = self.cell("devices", device, "device_id");
        let readings = self.dice.between(1, 4);
        for _ in 0..readings {
            self.insert("device_readings", &[("device_id", device_id.clone())]);
        }
        if self.dice.percent(30) {
            let (now, battery) = (self.now(), self.dice.between(5, 100));
            self.update(
                "devices",
                device,
                &[("last_seen_at", now), ("battery_percent", Value::Int(battery))],
            );
        }
        if self.dice.percent(8) {
            let patient_id = self.cell("devices", device, "patient_id");
            let alert = self.insert("device_alerts", &[("device_id", device_id), ("patient_id", patient_id)]);
            self.later(Due::AnswerAlert, alert, 1, 90);
        }
    }

    pub(super) fn answer_alert(&mut self, alert: RowNumber) {
        let raised_us = self
            .cell("device_alerts", alert, "raised_at")
            .number()
            .unwrap_or(self.now_us);
        let minutes = (self.now_us - raised_us) / 60_000_000;
        let given = [
            ("status", Value::text("ANSWERED")),
            ("response_minutes", Value::Int(minutes)),
        ];
        self.update("device_alerts", alert, &given);
    }

    pub(super) fn upgrade_device(&mut self) {
        let Some(device) = self.any("devices") else { return };
        let version = format!("1.{}.{}", self.dice.between(0, 9), self.dice.between(0, 30));
        self.update("devices", device, &[("firmware", Value::text(version))]);
    }

    pub(super) fn audit(&mut self) {
        let actor_id = self.patient();
        for _ in 0..self.dice.between(1, 3) {
            self.insert("audit_events", &[("actor_id", actor_id.clone())]);
        }
    }

    pub(super) fn check_service(&mut self) {
        self.insert("service_checks", &[]);
    }

    pub(super) fn triage(&mut self) {
        let patient_id = self.patient();
        let triage = self.insert("triage_sessions", &[("patient_id", patient_id.clone())]);
        self.later(Due::CloseTriage, triage, 2, 40);
        let decision = self.insert(
            "decisions",
            &[("patient_id", patient_id), ("model_name", Value::text("triage-v3"))],
        );
        if self.dice.percent(25) {
            let decision_id = self.cell("decisions", decision, "decision_id");
            self.ask_for_review("DECISION", decision_id);
        }
    }

    pub(super) fn close_triage(&mut self, triage: RowNumber) {
        let now = self.now();
        self.update(
            "triage_sessions",
            triage,
            &[("status", Value::text("CLOSED")), ("closed_at", now)],
        );
    }

    pub(super) fn score_risk(&mut self) {
        let patient_id = self.patient();
        for model in ["readmission_30day", "emergency_visit_90day", "medication_adherence"] {
            let score = self.dice.between(0, 100);
            let band = match score {
                70.. => "HIGH",
                40.. => "MEDIUM",
                _ => "LOW",
            };
            let given = [
                ("patient_id", patient_id.clone()),
                ("model", Value::text(model)),
                ("score", Value::Decimal(score)),
                ("band", Value::text(band)),
            ];
            self.insert("risk_scores", &given);
        }
    }

    pub(super) fn engage(&mut self) {
        let Some(score) = self.any("engagement_scores") else {
            return;
        };
        let patient_id = self.cell("engagement_scores", score, "patient_id");
        self.insert("engagement_events", &[("patient_id", patient_id)]);
        let (now, points) = (self.now(), self.dice.between(0, 100));
        let segment = self.dice.pick(&["CHAMPION", "STEADY", "FADING", "SILENT"]);
        let given = [
            ("score", Value::Decimal(points)),
            ("segment", Value::text(segment)),
            ("calculated_at", now),
        ];
        self.update("engagement_scores", score, &given);
    }

    pub(super) fn enrol(&mut self) {
        let patient_id = self.patient();
        let pathway = self.insert("care_pathways", &[("patient_id", patient_id)]);
        self.later(Due::AdvancePathway, pathway, 60, 5_000);
    }

    pub(super) fn advance_pathway(&mut self, pathway: RowNumber) {
        if !self.has("care_pathways", pathway) {
            return;
        }
        let progress = self
            .cell("care_pathways", pathway, "progress_score")
            .number()
            .unwrap_or(0);
        let progress = (progress + self.dice.between(10, 40)).min(100);
        let today = Value::Date(self.now().day().unwrap_or(0));
        let stage = usize::try_from(progress / 34)
            .ok()
            .and_then(|stage| STAGES.get(stage))
            .copied()
            .unwrap_or("MAINTENANCE");
        let mut given = vec![
            ("progress_score", Value::Decimal(progress)),
            ("current_stage", Value::text(stage)),
        ];
        if progress == 100 {
            given.extend([("status", Value::text("COMPLETED")), ("ended_date", today)]);
        } else if self.dice.percent(10) {
            given.extend([("status", Value::text("DISCONTINUED")), ("ended_date", today)]);
        } else {
            self.later(Due::AdvancePathway, pathway, 60, 9_000);
        }
        self.update("care_pathways", pathway, &given);
        let pathway_id = self.cell("care_pathways", pathway, "pathway_id");
        let now = self.now();
        self.insert("pathway_steps", &[("pathway_id", pathway_id), ("done_at", now)]);
    }

    /// Grants, renews or withdraws a consent. A withdrawn one may be granted again: the same key comes back to life.
    pub(super) fn change_consent(&mut self) {
        let patient_id = self.patient();
        let purpose = usize::try_from(self.dice.below(PURPOSES.len() as u64)).unwrap_or(0);
        let Some(id) = patient_id.as_uuid() else { return };
        match self.consents.get(&(id, purpose)).copied() {
            None => self.grant(&patient_id, purpose),
            Some(consent) if self.dice.percent(40) => {
                self.delete("consents", consent);
                self.consents.remove(&(id, purpose));
                self.withdrawn.insert((id, purpose));
            }
            Some(consent) => {
                let version = self.cell("consents", consent, "version").number().unwrap_or(0) + 1;
                let now = self.now();
                self.update(
                    "consents",
                    consent,
                    &[("version", Value::Int(version)), ("recorded_at", now)],
                );
            }
        }
    }

    pub(super) fn grant(&mut self, patient_id: &Value, purpose: usize) {
        let (Some(id), Some(name)) = (patient_id.as_uuid(), PURPOSES.get(purpose)) else {
            return;
        };
        let row = self.insert(
            "consents",
            &[("patient_id", patient_id.clone()), ("purpose", Value::text(*name))],
        );
        self.consents.insert((id, purpose), row);
        self.counts.revivals += u64::from(self.withdrawn.remove(&(id, purpose)));
    }

    pub(super) fn receive_document(&mut self) {
        let patient_id = self.patient();
        let document = self.insert("documents", &[("patient_id", patient_id)]);
        self.later(Due::ReadDocument, document, 1, 60);
    }

    pub(super) fn read_document(&mut self, document: RowNumber) {
        let (extracted, confidence) = (self.dice.json(), self.dice.between(5_000, 9_999));
        let given = [
            ("status", Value::text("READ")),
            ("extracted", Value::text(extracted)),
            ("confidence", Value::Decimal(confidence)),
        ];
        if self.update("documents", document, &given) && confidence < 6_000 {
            let document_id = self.cell("documents", document, "document_id");
            self.ask_for_review("DOCUMENT", document_id);
        }
    }

    pub(super) fn ask_for_review(&mut self, subject_type: &'static str, subject_id: Value) {
        let given = [("subject_type", Value::text(subject_type)), ("subject_id", subject_id)];
        let task = self.insert("review_tasks", &given);
        self.later(Due::Review, task, 5, 500);
    }

    pub(super) fn review(&mut self, task: RowNumber) {
        if self.cell("review_tasks", task, "status").as_text() == Some("OPEN") {
            self.update("review_tasks", task, &[("status", Value::text("IN_PROGRESS"))]);
            self.later(Due::Review, task, 5, 300);
        } else {
            self.update("review_tasks", task, &[("status", Value::text("DONE"))]);
        }
    }

    pub(super) fn send_message(&mut self, message: RowNumber) {
        let now = self.now();
        self.update(
            "notifications",
            message,
            &[("status", Value::text("SENT")), ("sent_at", now)],
        );
    }

    pub(super) fn erase_message(&mut self) {
        if let Some(message) = self.any_of_first("notifications", 50) {
            self.delete("notifications", message);
        }
    }
}
