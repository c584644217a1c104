/*---
kind: cdc
description: Current rows of telehealth.telehealth_sessions.
source: bronze.telehealth_sessions
key: [session_id]
target_lag: 10 seconds
owner: virtual-care@hospital.example
tags: [phi, hospital]
columns:
  session_id: {type: "string"}
  appointment_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  platform: {type: "string"}
  status: {type: "string"}
  started_at: {type: "timestamptz", phi: date}
  ended_at: {type: "timestamp", phi: date}
  quality_score: {type: "int"}
---*/
SELECT
  after.session_id     AS session_id,
  after.appointment_id AS appointment_id,
  after.patient_id     AS patient_id,
  after.provider_id    AS provider_id,
  after.platform       AS platform,
  after.status         AS status,
  after.started_at     AS started_at,
  after.ended_at       AS ended_at,
  after.quality_score  AS quality_score
FROM bronze.telehealth_sessions
