//! Services that look after a patient between visits: decisions, risk, pathways, triage, engagement, consent, telemetry, feedback, review.

use super::{
    Column, Make, PgType, Service, Table, column, created_at, date, flag, id, int, json, numeric, pick, text,
    timestamp, timestamptz, updated_at, uuid,
};

const fn serial(name: &'static str) -> Column {
    column(name, PgType::BigInt).required()
}

pub(super) static SERVICES: &[Service] = &[
    Service {
        name: "intelligence-hub",
        owner: "ml-platform@hospital.example",
        freshness: "5 minutes",
        tables: &[Table {
            name: "decisions",
            key: &["decision_id"],
            rows_per_patient: 12,
            columns: &[
                id("decision_id"),
                uuid("patient_id").phi("other_id"),
                pick(
                    "model_name",
                    &["triage-v3", "readmission-v2", "sepsis-v1", "no-show-v4"],
                ),
                pick(
                    "recommendation",
                    &["SELF_CARE", "BOOK_VISIT", "CALL_NURSE", "EMERGENCY"],
                ),
                numeric("confidence", 3, 2, 30, 99),
                flag("accepted", 70),
                json("features"),
                timestamptz("decided_at").make(Make::Now),
            ],
        }],
    },
    Service {
        name: "risk-scoring",
        owner: "ml-platform@hospital.example",
        freshness: "15 minutes",
        tables: &[Table {
            name: "risk_scores",
            key: &["score_id"],
            rows_per_patient: 9,
            columns: &[
                id("score_id"),
                uuid("patient_id").phi("other_id"),
                text("model").required().make(Make::Word("readmission_30day")),
                numeric("score", 3, 2, 0, 100),
                text("band").make(Make::Word("LOW")),
                timestamptz("scored_at").make(Make::Now),
                json("drivers"),
            ],
        }],
    },
    Service {
        name: "care-pathway",
        owner: "care-management@hospital.example",
        freshness: "15 minutes",
        tables: &[
            Table {
                name: "care_pathways",
                key: &["pathway_id"],
                rows_per_patient: 2,
                columns: &[
                    id("pathway_id"),
                    uuid("patient_id").phi("other_id"),
                    pick(
                        "pathway_name",
                        &["Diabetes", "Hypertension", "Asthma", "Depression", "Heart Failure"],
                    ),
                    text("current_stage").make(Make::Word("ENROLLED")),
                    numeric("progress_score", 3, 2, 0, 0),
                    text("status").required().make(Make::Word("ACTIVE")),
                    date("initiated_date").make(Make::Today).phi("date"),
                    date("expected_completion").make(Make::DaysAhead(60, 200)).phi("date"),
                    date("ended_date").phi("date"),
                    updated_at(),
                ],
            },
            Table {
                name: "pathway_steps",
                key: &["step_id"],
                rows_per_patient: 6,
                columns: &[
                    id("step_id"),
                    uuid("pathway_id"),
                    pick("step", &["EDUCATION", "SCREENING", "COACHING", "MEDICATION_REVIEW"]),
                    flag("done", 70),
                    timestamptz("due_at").make(Make::Now),
                    timestamp("done_at"),
                ],
            },
        ],
    },
    Service {
        name: "triage",
        owner: "virtual-care@hospital.example",
        freshness: "5 minutes",
        tables: &[Table {
            name: "triage_sessions",
            key: &["triage_id"],
            rows_per_patient: 6,
            columns: &[
                id("triage_id"),
                uuid("patient_id").phi("other_id"),
                pick(
                    "chief_complaint",
                    &["chest pain", "cough", "headache", "rash", "back pain"],
                ),
                pick("urgency", &["LOW", "MEDIUM", "HIGH", "CRITICAL"]),
                text("status").required().make(Make::Word("OPEN")),
                json("symptoms"),
                timestamptz("started_at").make(Make::Now).phi("date"),
                timestamp("closed_at"),
            ],
        }],
    },
    Service {
        name: "patient-engagement",
        owner: "growth@hospital.example",
        freshness: "1 hour",
        tables: &[
            Table {
                name: "engagement_scores",
                key: &["patient_id"],
                rows_per_patient: 0,
                columns: &[
                    uuid("patient_id").required().make(Make::Id).phi("other_id"),
                    numeric("score", 3, 2, 0, 100),
                    pick("segment", &["CHAMPION", "STEADY", "FADING", "SILENT"]),
                    int("messages_opened", 0, 30),
                    timestamptz("calculated_at").make(Make::Now),
                ],
            },
            Table {
                name: "engagement_events",
                key: &["event_id"],
                rows_per_patient: 15,
                columns: &[
                    id("event_id"),
                    uuid("patient_id").phi("other_id"),
                    pick(
                        "event_type",
                        &["MESSAGE_OPENED", "ARTICLE_READ", "GOAL_SET", "SURVEY_STARTED"],
                    ),
                    timestamptz("occurred_at").make(Make::Now),
                ],
            },
        ],
    },
    Service {
        name: "consent",
        owner: "privacy@hospital.example",
        freshness: "5 minutes",
        tables: &[Table {
            name: "consents",
            key: &["patient_id", "purpose"],
            rows_per_patient: 0,
            columns: &[
                uuid("patient_id").required().make(Make::Id).phi("other_id"),
                pick("purpose", &["TREATMENT", "RESEARCH", "MARKETING", "DATA_SHARING"]).required(),
                flag("granted", 85),
                int("version", 1, 1),
                date("valid_until").make(Make::DaysAhead(200, 900)),
                timestamptz("recorded_at").make(Make::Now),
            ],
        }],
    },
    Service {
        name: "device-telemetry",
        owner: "devices@hospital.example",
        freshness: "5 minutes",
        tables: &[
            Table {
                name: "devices",
                key: &["device_id"],
                rows_per_patient: 0,
                columns: &[
                    text("device_id").required().make(Make::Code("DEV-", 10)).phi("device"),
                    uuid("patient_id").phi("other_id"),
                    pick("kind", &["WATCH", "GLUCOMETER", "BP_CUFF", "SCALE"]),
                    text("firmware").make(Make::Word("1.0.0")),
                    int("battery_percent", 20, 100),
                    timestamptz("last_seen_at").make(Make::Now),
                ],
            },
            Table {
                name: "device_readings",
                key: &["reading_id"],
                rows_per_patient: 40,
                columns: &[
                    serial("reading_id"),
                    text("device_id").phi("device"),
                    pick("metric", &["heart_rate", "steps", "glucose", "spo2"]),
                    numeric("value", 12, 3, 20_000, 180_000),
                    timestamptz("read_at").make(Make::Now),
                ],
            },
            Table {
                name: "device_alerts",
                key: &["alert_id"],
                rows_per_patient: 4,
                columns: &[
                    id("alert_id"),
                    text("device_id").phi("device"),
                    uuid("patient_id").phi("other_id"),
                    pick("severity", &["INFO", "WARNING", "CRITICAL"]),
                    text("status").required().make(Make::Word("RAISED")),
                    timestamptz("raised_at").make(Make::Now),
                    int("response_minutes", 1, 90).make(Make::Null),
                ],
            },
        ],
    },
    Service {
        name: "feedback",
        owner: "quality@hospital.example",
        freshness: "1 hour",
        tables: &[Table {
            name: "feedback",
            key: &["feedback_id"],
            rows_per_patient: 6,
            columns: &[
                id("feedback_id"),
                uuid("patient_id").phi("other_id"),
                uuid("provider_id"),
                uuid("appointment_id"),
                int("rating", 1, 5),
                text("comment").make(Make::Sentence).phi("free_text"),
                timestamptz("submitted_at").make(Make::Now),
            ],
        }],
    },
    Service {
        name: "review-tasks",
        owner: "quality@hospital.example",
        freshness: "15 minutes",
        tables: &[Table {
            name: "review_tasks",
            key: &["task_id"],
            rows_per_patient: 5,
            columns: &[
                id("task_id"),
                text("subject_type").required().make(Make::Word("DECISION")),
                uuid("subject_id"),
                pick("priority", &["LOW", "NORMAL", "HIGH"]),
                text("status").required().make(Make::Word("OPEN")),
                text("assignee").make(Make::Code("reviewer-", 2)),
                json("context"),
                created_at(),
                updated_at(),
            ],
        }],
    },
    Service {
        name: "document-ai",
        owner: "ml-platform@hospital.example",
        freshness: "15 minutes",
        tables: &[Table {
            name: "documents",
            key: &["document_id"],
            rows_per_patient: 3,
            columns: &[
                id("document_id"),
                uuid("patient_id").phi("other_id"),
                pick(
                    "document_type",
                    &["REFERRAL_LETTER", "INSURANCE_CARD", "LAB_REPORT", "CONSENT_FORM"],
                ),
                text("status").required().make(Make::Word("RECEIVED")),
                text("content").make(Make::Note).phi("free_text"),
                json("extracted"),
                numeric("confidence", 5, 4, 5_000, 9_999),
                int("pages", 1, 30),
                timestamptz("received_at").make(Make::Now),
                updated_at(),
            ],
        }],
    },
];
