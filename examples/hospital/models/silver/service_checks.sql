/*---
kind: cdc
description: Current rows of audit.service_checks.
source: bronze.service_checks
key: [check_id]
target_lag: 10 seconds
owner: security@hospital.example
tags: [hospital]
columns:
  check_id: {type: "long"}
  service_name: {type: "string"}
  is_up: {type: "boolean"}
  latency_ms: {type: "int"}
  checked_at: {type: "timestamptz"}
---*/
SELECT
  after.check_id     AS check_id,
  after.service_name AS service_name,
  after.is_up        AS is_up,
  after.latency_ms   AS latency_ms,
  after.checked_at   AS checked_at
FROM bronze.service_checks
