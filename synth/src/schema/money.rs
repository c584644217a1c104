//! Services about money: insurance, billing, pricing, claims, fraud.

use super::{
    Make, Service, Table, created_at, date, flag, id, int, json, numeric, pick, text, timestamptz, updated_at, uuid,
};

pub(super) static SERVICES: &[Service] = &[
    Service {
        name: "insurance",
        owner: "revenue@hospital.example",
        freshness: "15 minutes",
        tables: &[
            Table {
                name: "payers",
                key: &["payer_id"],
                rows_per_patient: 0,
                columns: &[
                    text("payer_id").required().make(Make::Code("PAY", 4)),
                    text("name").make(Make::Word("Payer")),
                    pick("payer_type", &["COMMERCIAL", "MEDICARE", "MEDICAID"]),
                    flag("active", 95),
                    updated_at(),
                ],
            },
            Table {
                name: "insurance_policies",
                key: &["policy_id"],
                rows_per_patient: 0,
                columns: &[
                    text("policy_id").required().make(Make::Code("POL-", 12)).phi("plan_id"),
                    uuid("patient_id").phi("other_id"),
                    text("payer_id"),
                    text("policy_number").make(Make::Code("N", 9)).phi("plan_id"),
                    pick("plan_type", &["HMO", "PPO", "EPO"]),
                    text("coverage_status").make(Make::Word("ACTIVE")),
                    flag("is_primary", 100),
                    numeric("deductible", 10, 2, 0, 800_000),
                    date("effective_date").make(Make::DaysAhead(-700, -30)),
                    date("termination_date"),
                    updated_at(),
                ],
            },
        ],
    },
    Service {
        name: "billing",
        owner: "revenue@hospital.example",
        freshness: "15 minutes",
        tables: &[
            Table {
                name: "billing_invoices",
                key: &["invoice_id"],
                rows_per_patient: 12,
                columns: &[
                    id("invoice_id"),
                    uuid("patient_id").phi("other_id"),
                    uuid("provider_id"),
                    uuid("appointment_id"),
                    numeric("total_amount", 10, 2, 5_000, 90_000),
                    numeric("paid_amount", 10, 2, 0, 0),
                    text("status").required().make(Make::Word("OPEN")),
                    date("invoice_date").make(Make::Today).phi("date"),
                    date("due_date").make(Make::DaysAhead(14, 60)),
                    json("line_items"),
                    updated_at(),
                ],
            },
            Table {
                name: "payments",
                key: &["payment_id"],
                rows_per_patient: 12,
                columns: &[
                    id("payment_id"),
                    uuid("invoice_id"),
                    numeric("amount", 10, 2, 500, 90_000),
                    pick("method", &["INSURANCE", "CARD", "TRANSFER"]),
                    timestamptz("paid_at").make(Make::Now),
                ],
            },
        ],
    },
    Service {
        name: "pricing",
        owner: "revenue@hospital.example",
        freshness: "1 hour",
        tables: &[Table {
            name: "price_list",
            key: &["procedure_code"],
            rows_per_patient: 0,
            columns: &[
                text("procedure_code").required().make(Make::Code("P", 5)),
                text("description").make(Make::Sentence),
                numeric("price", 12, 4, 100_000, 50_000_000),
                pick("currency", &["USD"]),
                date("valid_from").make(Make::Today),
                int("revision", 1, 1),
                updated_at(),
            ],
        }],
    },
    Service {
        name: "claims-orchestrator",
        owner: "claims@hospital.example",
        freshness: "15 minutes",
        tables: &[
            Table {
                name: "claims",
                key: &["claim_id"],
                rows_per_patient: 12,
                columns: &[
                    id("claim_id"),
                    uuid("patient_id").phi("other_id"),
                    uuid("provider_id"),
                    uuid("invoice_id"),
                    text("policy_id").phi("plan_id"),
                    numeric("amount", 10, 2, 5_000, 90_000),
                    text("status").required().make(Make::Word("SUBMITTED")),
                    text("denial_reason"),
                    timestamptz("submitted_at").make(Make::Now),
                    timestamptz("decided_at"),
                    updated_at(),
                ],
            },
            Table {
                name: "claim_events",
                key: &["event_id"],
                rows_per_patient: 15,
                columns: &[
                    id("event_id"),
                    uuid("claim_id"),
                    text("event_type").required().make(Make::Word("SUBMITTED")),
                    timestamptz("occurred_at").make(Make::Now),
                    json("detail"),
                ],
            },
        ],
    },
    Service {
        name: "fraud-detection",
        owner: "claims@hospital.example",
        freshness: "15 minutes",
        tables: &[Table {
            name: "fraud_alerts",
            key: &["alert_id"],
            rows_per_patient: 2,
            columns: &[
                id("alert_id"),
                uuid("claim_id"),
                pick("pattern", &["UPCODING", "DUPLICATE_BILLING", "PHANTOM_SERVICE"]),
                numeric("score", 3, 2, 50, 99),
                text("status").required().make(Make::Word("OPEN")),
                timestamptz("detected_at").make(Make::Now),
                created_at(),
                updated_at(),
            ],
        }],
    },
];
