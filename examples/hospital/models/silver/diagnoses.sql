/*---
kind: cdc
description: Current rows of medical-records.diagnoses.
source: bronze.diagnoses
key: [diagnosis_id]
target_lag: 10 seconds
owner: clinical-data@hospital.example
tags: [phi, hospital]
columns:
  diagnosis_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  icd10_code: {type: "string"}
  condition: {type: "string"}
  severity: {type: "string"}
  status: {type: "string"}
  chronic: {type: "boolean"}
  controlled: {type: "boolean"}
  diagnosed_date: {type: "date", phi: date}
  reviewed_date: {type: "date", phi: date}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.diagnosis_id   AS diagnosis_id,
  after.patient_id     AS patient_id,
  after.provider_id    AS provider_id,
  after.icd10_code     AS icd10_code,
  after.condition      AS condition,
  after.severity       AS severity,
  after.status         AS status,
  after.chronic        AS chronic,
  after.controlled     AS controlled,
  after.diagnosed_date AS diagnosed_date,
  after.reviewed_date  AS reviewed_date,
  after.updated_at     AS updated_at
FROM bronze.diagnoses
