/*---
kind: cdc
description: Current rows of patient-engagement.engagement_events.
source: bronze.engagement_events
key: [event_id]
target_lag: 10 seconds
owner: growth@hospital.example
tags: [phi, hospital]
columns:
  event_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  event_type: {type: "string"}
  occurred_at: {type: "timestamptz"}
---*/
SELECT
  after.event_id    AS event_id,
  after.patient_id  AS patient_id,
  after.event_type  AS event_type,
  after.occurred_at AS occurred_at
FROM bronze.engagement_events
