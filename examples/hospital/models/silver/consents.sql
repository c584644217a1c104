/*---
kind: cdc
description: Current rows of consent.consents.
source: bronze.consents
key: [patient_id, purpose]
target_lag: 10 seconds
owner: privacy@hospital.example
tags: [phi, hospital]
columns:
  patient_id: {type: "string", phi: other_id}
  purpose: {type: "string"}
  granted: {type: "boolean"}
  version: {type: "int"}
  valid_until: {type: "date"}
  recorded_at: {type: "timestamptz"}
---*/
SELECT
  after.patient_id  AS patient_id,
  after.purpose     AS purpose,
  after.granted     AS granted,
  after.version     AS version,
  after.valid_until AS valid_until,
  after.recorded_at AS recorded_at
FROM bronze.consents
