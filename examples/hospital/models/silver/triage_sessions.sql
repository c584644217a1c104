/*---
kind: cdc
description: Current rows of triage.triage_sessions.
source: bronze.triage_sessions
key: [triage_id]
target_lag: 10 seconds
owner: virtual-care@hospital.example
tags: [phi, hospital]
columns:
  triage_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  chief_complaint: {type: "string"}
  urgency: {type: "string"}
  status: {type: "string"}
  symptoms: {type: "string"}
  started_at: {type: "timestamptz", phi: date}
  closed_at: {type: "timestamp"}
---*/
SELECT
  after.triage_id       AS triage_id,
  after.patient_id      AS patient_id,
  after.chief_complaint AS chief_complaint,
  after.urgency         AS urgency,
  after.status          AS status,
  after.symptoms        AS symptoms,
  after.started_at      AS started_at,
  after.closed_at       AS closed_at
FROM bronze.triage_sessions
