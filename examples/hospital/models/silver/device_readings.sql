/*---
kind: cdc
description: Current rows of device-telemetry.device_readings.
source: bronze.device_readings
key: [reading_id]
target_lag: 10 seconds
owner: devices@hospital.example
tags: [phi, hospital]
columns:
  reading_id: {type: "long"}
  device_id: {type: "string", phi: device}
  metric: {type: "string"}
  value: {type: "decimal(12,3)"}
  read_at: {type: "timestamptz"}
---*/
SELECT
  after.reading_id AS reading_id,
  after.device_id  AS device_id,
  after.metric     AS metric,
  after.value      AS value,
  after.read_at    AS read_at
FROM bronze.device_readings
