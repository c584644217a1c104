//! Claims, payments, fraud, prices and policies.

use super::World;
use super::activities::Due;
use super::store::RowNumber;
use crate::value::Value;

impl World {
    pub(super) fn claim(&mut self, invoice: RowNumber, amount: Value) {
        let [invoice_id, patient_id, provider_id] =
            ["invoice_id", "patient_id", "provider_id"].map(|column| self.cell("billing_invoices", invoice, column));
        let policy_id = self
            .any("insurance_policies")
            .map_or(Value::Null, |row| self.cell("insurance_policies", row, "policy_id"));
        let claim = self.insert(
            "claims",
            &[
                ("invoice_id", invoice_id),
                ("patient_id", patient_id),
                ("provider_id", provider_id),
                ("policy_id", policy_id),
                ("amount", amount),
            ],
        );
        self.claim_event(claim, "SUBMITTED");
        // The decision pays the invoice, so the agenda must find it: claims and invoices are inserted in step.
        self.later(Due::DecideClaim, claim, 30, 4_000);
    }

    pub(super) fn decide_claim(&mut self, claim: RowNumber) {
        if !self.has("claims", claim) {
            return;
        }
        let approved = self.dice.percent(82);
        let now = self.now();
        let mut given = vec![
            ("status", Value::text(if approved { "APPROVED" } else { "DENIED" })),
            ("decided_at", now),
        ];
        if !approved {
            given.push((
                "denial_reason",
                Value::text(self.dice.pick(&["NOT_COVERED", "MISSING_INFO", "DUPLICATE"])),
            ));
        }
        self.update("claims", claim, &given);
        self.claim_event(claim, if approved { "APPROVED" } else { "DENIED" });
        if approved {
            self.pay(claim);
        }
        if self.dice.percent(6) {
            let claim_id = self.cell("claims", claim, "claim_id");
            let alert = self.insert("fraud_alerts", &[("claim_id", claim_id)]);
            let alert_id = self.cell("fraud_alerts", alert, "alert_id");
            self.ask_for_review("FRAUD_ALERT", alert_id);
            self.later(Due::CloseFraud, alert, 30, 5_000);
        }
    }

    fn pay(&mut self, claim: RowNumber) {
        let [invoice_id, amount] = ["invoice_id", "amount"].map(|column| self.cell("claims", claim, column));
        self.insert("payments", &[("invoice_id", invoice_id), ("amount", amount.clone())]);
        // Every claim is inserted right after its invoice, so both bear the same number.
        self.update(
            "billing_invoices",
            claim,
            &[("paid_amount", amount), ("status", Value::text("PAID"))],
        );
    }

    pub(super) fn close_fraud(&mut self, alert: RowNumber) {
        let status = self.dice.pick(&["CONFIRMED", "DISMISSED", "DISMISSED"]);
        self.update("fraud_alerts", alert, &[("status", Value::text(status))]);
    }

    pub(super) fn change_price(&mut self) {
        let Some(price) = self.any("price_list") else { return };
        let revision = self.cell("price_list", price, "revision").number().unwrap_or(0) + 1;
        let amount = self.dice.between(100_000, 50_000_000);
        let today = self.now().day().unwrap_or(0);
        let given = [
            ("price", Value::Decimal(amount)),
            ("revision", Value::Int(revision)),
            ("valid_from", Value::Date(today)),
        ];
        self.update("price_list", price, &given);
    }

    /// An insurer gives a policy a new id, which is its key: a delete and a create for whoever reads the log.
    pub(super) fn renumber_policy(&mut self) {
        let Some(policy) = self.any("insurance_policies") else {
            return;
        };
        let given = match self.dice.below(3) {
            0 => vec![(
                "coverage_status",
                Value::text(self.dice.pick(&["ACTIVE", "LAPSED", "PENDING"])),
            )],
            _ => vec![("policy_id", self.policy_id())],
        };
        self.update("insurance_policies", policy, &given);
    }

    /// An id no policy has had before: its first digits count all that were given out.
    pub(super) fn policy_id(&self) -> Value {
        let serial = self.inserted("insurance_policies") + self.counts.key_changes;
        Value::text(format!("POL-{serial:07}{}", self.dice.code("", 5)))
    }

    fn claim_event(&mut self, claim: RowNumber, event_type: &'static str) {
        let claim_id = self.cell("claims", claim, "claim_id");
        self.insert(
            "claim_events",
            &[("claim_id", claim_id), ("event_type", Value::text(event_type))],
        );
    }
}
