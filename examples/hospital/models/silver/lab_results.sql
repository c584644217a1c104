/*---
kind: cdc
description: Current rows of laboratory.lab_results.
source: bronze.lab_results
key: [result_id]
target_lag: 10 seconds
owner: laboratory@hospital.example
tags: [phi, hospital]
columns:
  result_id: {type: "string"}
  order_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  test_code: {type: "string"}
  test_name: {type: "string"}
  value: {type: "decimal(10,2)"}
  unit: {type: "string"}
  abnormal: {type: "boolean"}
  status: {type: "string"}
  resulted_at: {type: "timestamptz", phi: date}
---*/
SELECT
  after.result_id   AS result_id,
  after.order_id    AS order_id,
  after.patient_id  AS patient_id,
  after.test_code   AS test_code,
  after.test_name   AS test_name,
  after.value       AS value,
  after.unit        AS unit,
  after.abnormal    AS abnormal,
  after.status      AS status,
  after.resulted_at AS resulted_at
FROM bronze.lab_results
