/*---
kind: cdc
description: Current rows of device-telemetry.device_alerts.
source: bronze.device_alerts
key: [alert_id]
target_lag: 10 seconds
owner: devices@hospital.example
tags: [phi, hospital]
columns:
  alert_id: {type: "string"}
  device_id: {type: "string", phi: device}
  patient_id: {type: "string", phi: other_id}
  severity: {type: "string"}
  status: {type: "string"}
  raised_at: {type: "timestamptz"}
  response_minutes: {type: "int"}
---*/
SELECT
  after.alert_id         AS alert_id,
  after.device_id        AS device_id,
  after.patient_id       AS patient_id,
  after.severity         AS severity,
  after.status           AS status,
  after.raised_at        AS raised_at,
  after.response_minutes AS response_minutes
FROM bronze.device_alerts
