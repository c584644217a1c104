/*---
kind: cdc
description: Current rows of medical-records.medical_records.
source: bronze.medical_records
key: [record_id]
target_lag: 10 seconds
owner: clinical-data@hospital.example
tags: [phi, hospital]
columns:
  record_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  record_type: {type: "string"}
  record_date: {type: "date", phi: date}
  summary: {type: "string", phi: free_text}
  note: {type: "string", phi: free_text}
  status: {type: "string"}
  version: {type: "int"}
  created_at: {type: "timestamptz"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.record_id   AS record_id,
  after.patient_id  AS patient_id,
  after.provider_id AS provider_id,
  after.record_type AS record_type,
  after.record_date AS record_date,
  after.summary     AS summary,
  after.note        AS note,
  after.status      AS status,
  after.version     AS version,
  after.created_at  AS created_at,
  after.updated_at  AS updated_at
FROM bronze.medical_records
