//! Services that watch and tell: notifications, audit.

use super::{Make, PgType, Service, Table, column, flag, id, int, json, pick, text, timestamptz, uuid};

pub(super) static SERVICES: &[Service] = &[
    Service {
        name: "notification",
        owner: "platform@hospital.example",
        freshness: "15 minutes",
        tables: &[Table {
            name: "notifications",
            key: &["notification_id"],
            rows_per_patient: 15,
            columns: &[
                id("notification_id"),
                uuid("user_id").phi("other_id"),
                pick("channel", &["EMAIL", "SMS", "PUSH"]),
                pick("priority", &["LOW", "NORMAL", "HIGH"]),
                text("subject").make(Make::Sentence).phi("free_text"),
                text("status").required().make(Make::Word("QUEUED")),
                timestamptz("created_at").make(Make::Now),
                timestamptz("sent_at"),
            ],
        }],
    },
    Service {
        name: "audit",
        owner: "security@hospital.example",
        freshness: "5 minutes",
        tables: &[
            Table {
                name: "audit_events",
                key: &["event_id"],
                rows_per_patient: 40,
                columns: &[
                    column("event_id", PgType::BigInt).required(),
                    uuid("actor_id"),
                    pick("action", &["READ", "READ", "READ", "UPDATE", "EXPORT", "LOGIN"]),
                    pick("resource", &["users", "medical_records", "lab_results", "claims"]),
                    text("ip_address").make(Make::Code("10.1.0.", 2)).phi("ip"),
                    flag("allowed", 98),
                    json("detail"),
                    timestamptz("occurred_at").make(Make::Now),
                ],
            },
            Table {
                name: "service_checks",
                key: &["check_id"],
                rows_per_patient: 20,
                columns: &[
                    column("check_id", PgType::BigInt).required(),
                    pick(
                        "service_name",
                        &["user", "appointment", "billing", "laboratory", "claims-orchestrator"],
                    ),
                    flag("is_up", 99),
                    int("latency_ms", 4, 240),
                    timestamptz("checked_at").make(Make::Now),
                ],
            },
        ],
    },
];
