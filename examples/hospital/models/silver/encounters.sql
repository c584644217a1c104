/*---
kind: cdc
description: Current rows of medical-records.encounters.
source: bronze.encounters
key: [encounter_id]
target_lag: 10 seconds
owner: clinical-data@hospital.example
tags: [phi, hospital]
columns:
  encounter_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  appointment_id: {type: "string"}
  encounter_type: {type: "string"}
  admitted_at: {type: "timestamptz", phi: date}
  discharged_at: {type: "timestamptz", phi: date}
  readmission: {type: "boolean"}
  primary_icd10: {type: "string"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.encounter_id   AS encounter_id,
  after.patient_id     AS patient_id,
  after.provider_id    AS provider_id,
  after.appointment_id AS appointment_id,
  after.encounter_type AS encounter_type,
  after.admitted_at    AS admitted_at,
  after.discharged_at  AS discharged_at,
  after.readmission    AS readmission,
  after.primary_icd10  AS primary_icd10,
  after.updated_at     AS updated_at
FROM bronze.encounters
