//! The parts of a record that are the same for a whole table: names, schemas, headers.

use std::sync::Arc;

use uuid::Uuid;

use crate::options::{DeliveryOptions, Shape};
use crate::schema::{Column, PgType, Service, Table};

/// The schema of Debezium's `source` block and of what follows it in an envelope (PostgreSQL connector 3.6).
const SOURCE_AND_REST: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},"#,
    r#"{"type":"string","optional":false,"field":"connector"},{"type":"string","optional":false,"field":"name"},"#,
    r#"{"type":"int64","optional":false,"field":"ts_ms"},{"type":"string","optional":true,"name":"io.debezium.data.Enum","#,
    r#""version":1,"parameters":{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},"#,
    r#""default":"false","field":"snapshot"},{"type":"string","optional":false,"field":"db"},"#,
    r#"{"type":"string","optional":true,"field":"sequence"},{"type":"int64","optional":true,"field":"ts_us"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_ns"},{"type":"string","optional":false,"field":"schema"},"#,
    r#"{"type":"string","optional":false,"field":"table"},{"type":"int64","optional":true,"field":"txId"},"#,
    r#"{"type":"int64","optional":true,"field":"lsn"},{"type":"int64","optional":true,"field":"xmin"},"#,
    r#"{"type":"string","optional":true,"field":"origin"},{"type":"int64","optional":true,"field":"origin_lsn"}],"#,
    r#""optional":false,"name":"io.debezium.connector.postgresql.Source","version":1,"field":"source"},"#,
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},"#,
    r#"{"type":"int64","optional":false,"field":"total_order"},{"type":"int64","optional":false,"field":"data_collection_order"}],"#,
    r#""optional":true,"name":"event.block","version":1,"field":"transaction"},"#,
    r#"{"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"}]"#,
);

/// The schema of a heartbeat's key and value.
const HEARTBEAT_KEY: &str = concat!(
    r#"{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"serverName"}],"#,
    r#""optional":false,"name":"io.debezium.connector.common.ServerNameKey","version":1},"payload":"#,
);
const HEARTBEAT_VALUE: &str = concat!(
    r#"{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"ts_ms"}],"#,
    r#""optional":false,"name":"io.debezium.connector.common.Heartbeat","version":1},"payload":"#,
);

/// What the records of one service's connector share.
#[derive(Debug)]
pub(crate) struct ServiceFormat {
    /// `hospital.medical-records`, Debezium's topic prefix and logical name.
    pub(super) name: String,
    pub(super) database: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) heartbeat_topic: Arc<str>,
    pub(super) heartbeat_key: String,
    pub(super) heartbeat_value_prefix: &'static str,
}

impl ServiceFormat {
    pub(super) fn new(service: &Service, options: &DeliveryOptions, run: Uuid) -> Self {
        let name = format!("{}.{}", options.topic_prefix, service.name);
        let schemas = options.shape == Shape::EnvelopeSchemas;
        let context = |key: &str, value: &str| (format!("__debezium.context.{key}"), value.to_owned());
        let headers = vec![
            context("connectorLogicalName", &name),
            context("taskId", "0"),
            context("connectorName", "postgresql"),
            context("runId", &run.to_string()),
        ];
        let payload = format!(r#"{{"serverName":"{name}"}}"#);
        Self {
            database: service.database("hospital"),
            headers,
            heartbeat_topic: format!("__debezium-heartbeat.{name}").into(),
            heartbeat_key: if schemas {
                format!("{HEARTBEAT_KEY}{payload}}}")
            } else {
                payload
            },
            heartbeat_value_prefix: if schemas { HEARTBEAT_VALUE } else { "" },
            name,
        }
    }
}

/// What the records of one table share.
#[derive(Debug)]
pub(super) struct TableFormat {
    pub(super) table: &'static Table,
    pub(super) topic: Arc<str>,
    /// Positions of the key's columns.
    pub(super) key: Vec<usize>,
    /// All before the key's payload; empty without schemas.
    pub(super) key_prefix: String,
    /// All before the value's payload; empty without schemas.
    pub(super) value_prefix: String,
}

impl TableFormat {
    pub(super) fn new(table: &'static Table, service: &ServiceFormat, shape: Shape) -> Self {
        let topic = format!("{}.public.{}", service.name, table.name);
        let key = table.key_positions();
        let (mut key_prefix, mut value_prefix) = (String::new(), String::new());
        if shape == Shape::EnvelopeSchemas {
            let of_key: Vec<_> = key
                .iter()
                .filter_map(|position| table.columns.get(*position))
                .map(field)
                .collect();
            key_prefix = format!(
                r#"{{"schema":{{"type":"struct","fields":[{}],"optional":false,"name":"{topic}.Key"}},"payload":"#,
                of_key.join(",")
            );
            let of_row = table.columns.iter().map(field).collect::<Vec<_>>().join(",");
            let row = |name: &str| {
                format!(
                    r#"{{"type":"struct","fields":[{of_row}],"optional":true,"name":"{topic}.Value","field":"{name}"}}"#
                )
            };
            value_prefix = format!(
                r#"{{"schema":{{"type":"struct","fields":[{},{},{SOURCE_AND_REST},"optional":false,"name":"{topic}.Envelope","version":2}},"payload":"#,
                row("before"),
                row("after"),
            );
        }
        Self {
            table,
            topic: topic.into(),
            key,
            key_prefix,
            value_prefix,
        }
    }
}

/// The schema of one column.
fn field(column: &Column) -> String {
    let (kind, name, parameters) = match column.pg {
        PgType::Uuid => ("string", "io.debezium.data.Uuid", None),
        PgType::Text => ("string", "", None),
        PgType::Int => ("int32", "", None),
        PgType::BigInt => ("int64", "", None),
        PgType::Bool => ("boolean", "", None),
        PgType::Date => ("int32", "io.debezium.time.Date", None),
        PgType::Timestamp => ("int64", "io.debezium.time.MicroTimestamp", None),
        PgType::Timestamptz => ("string", "io.debezium.time.ZonedTimestamp", None),
        PgType::Jsonb => ("string", "io.debezium.data.Json", None),
        PgType::Numeric(precision, scale) => (
            "bytes",
            "org.apache.kafka.connect.data.Decimal",
            Some((precision, scale)),
        ),
    };
    let mut text = format!(r#"{{"type":"{kind}","optional":{}"#, column.nullable);
    if !name.is_empty() {
        text.push_str(&format!(r#","name":"{name}","version":1"#));
    }
    if let Some((precision, scale)) = parameters {
        text.push_str(&format!(
            r#","parameters":{{"scale":"{scale}","connect.decimal.precision":"{precision}"}}"#
        ));
    }
    text.push_str(&format!(r#","field":"{}"}}"#, column.name));
    text
}
