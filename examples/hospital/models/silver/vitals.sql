/*---
kind: cdc
description: Current rows of medical-records.vitals.
source: bronze.vitals
key: [vital_id]
target_lag: 10 seconds
owner: clinical-data@hospital.example
tags: [phi, hospital]
columns:
  vital_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  vital_type: {type: "string"}
  bp_systolic: {type: "int"}
  bp_diastolic: {type: "int"}
  heart_rate: {type: "int"}
  weight_lbs: {type: "decimal(5,2)"}
  bmi: {type: "decimal(4,2)"}
  value: {type: "decimal(10,2)"}
  unit: {type: "string"}
  source: {type: "string"}
  measured_at: {type: "timestamptz", phi: date}
---*/
SELECT
  after.vital_id     AS vital_id,
  after.patient_id   AS patient_id,
  after.vital_type   AS vital_type,
  after.bp_systolic  AS bp_systolic,
  after.bp_diastolic AS bp_diastolic,
  after.heart_rate   AS heart_rate,
  after.weight_lbs   AS weight_lbs,
  after.bmi          AS bmi,
  after.value        AS value,
  after.unit         AS unit,
  after.source       AS source,
  after.measured_at  AS measured_at
FROM bronze.vitals
