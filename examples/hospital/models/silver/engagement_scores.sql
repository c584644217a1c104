/*---
kind: cdc
description: Current rows of patient-engagement.engagement_scores.
source: bronze.engagement_scores
key: [patient_id]
target_lag: 10 seconds
owner: growth@hospital.example
tags: [phi, hospital]
columns:
  patient_id: {type: "string", phi: other_id}
  score: {type: "decimal(3,2)"}
  segment: {type: "string"}
  messages_opened: {type: "int"}
  calculated_at: {type: "timestamptz"}
---*/
SELECT
  after.patient_id      AS patient_id,
  after.score           AS score,
  after.segment         AS segment,
  after.messages_opened AS messages_opened,
  after.calculated_at   AS calculated_at
FROM bronze.engagement_scores
