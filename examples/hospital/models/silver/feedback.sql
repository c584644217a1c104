/*---
kind: cdc
description: Current rows of feedback.feedback.
source: bronze.feedback
key: [feedback_id]
target_lag: 10 seconds
owner: quality@hospital.example
tags: [phi, hospital]
columns:
  feedback_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  appointment_id: {type: "string"}
  rating: {type: "int"}
  comment: {type: "string", phi: free_text}
  submitted_at: {type: "timestamptz"}
---*/
SELECT
  after.feedback_id    AS feedback_id,
  after.patient_id     AS patient_id,
  after.provider_id    AS provider_id,
  after.appointment_id AS appointment_id,
  after.rating         AS rating,
  after.comment        AS comment,
  after.submitted_at   AS submitted_at
FROM bronze.feedback
