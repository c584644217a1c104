/*---
kind: cdc
description: Current rows of prescription.allergies.
source: bronze.allergies
key: [allergy_id]
target_lag: 10 seconds
owner: medication@hospital.example
tags: [phi, hospital]
columns:
  allergy_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  substance: {type: "string"}
  reaction: {type: "string"}
  active: {type: "boolean"}
  recorded_at: {type: "timestamptz"}
---*/
SELECT
  after.allergy_id  AS allergy_id,
  after.patient_id  AS patient_id,
  after.substance   AS substance,
  after.reaction    AS reaction,
  after.active      AS active,
  after.recorded_at AS recorded_at
FROM bronze.allergies
