/*---
kind: cdc
description: Current rows of prescription.prescriptions.
source: bronze.prescriptions
key: [prescription_id]
target_lag: 10 seconds
owner: medication@hospital.example
tags: [phi, hospital]
columns:
  prescription_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  medication: {type: "string"}
  dosage: {type: "string"}
  frequency: {type: "string"}
  status: {type: "string"}
  start_date: {type: "date", phi: date}
  end_date: {type: "date", phi: date}
  refills: {type: "int"}
  adherence_rate: {type: "decimal(3,2)"}
  issued_at: {type: "timestamptz", phi: date}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.prescription_id AS prescription_id,
  after.patient_id      AS patient_id,
  after.provider_id     AS provider_id,
  after.medication      AS medication,
  after.dosage          AS dosage,
  after.frequency       AS frequency,
  after.status          AS status,
  after.start_date      AS start_date,
  after.end_date        AS end_date,
  after.refills         AS refills,
  after.adherence_rate  AS adherence_rate,
  after.issued_at       AS issued_at,
  after.updated_at      AS updated_at
FROM bronze.prescriptions
