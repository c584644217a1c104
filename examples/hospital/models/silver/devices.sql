/*---
kind: cdc
description: Current rows of device-telemetry.devices.
source: bronze.devices
key: [device_id]
target_lag: 10 seconds
owner: devices@hospital.example
tags: [phi, hospital]
columns:
  device_id: {type: "string", phi: device}
  patient_id: {type: "string", phi: other_id}
  kind: {type: "string"}
  firmware: {type: "string"}
  battery_percent: {type: "int"}
  last_seen_at: {type: "timestamptz"}
---*/
SELECT
  after.device_id       AS device_id,
  after.patient_id      AS patient_id,
  after.kind            AS kind,
  after.firmware        AS firmware,
  after.battery_percent AS battery_percent,
  after.last_seen_at    AS last_seen_at
FROM bronze.devices
