/*---
kind: cdc
description: Current rows of appointment.appointment_events.
source: bronze.appointment_events
key: [event_id]
target_lag: 10 seconds
owner: scheduling@hospital.example
tags: [hospital]
columns:
  event_id: {type: "string"}
  appointment_id: {type: "string"}
  event_type: {type: "string"}
  occurred_at: {type: "timestamptz"}
  detail: {type: "string"}
---*/
SELECT
  after.event_id       AS event_id,
  after.appointment_id AS appointment_id,
  after.event_type     AS event_type,
  after.occurred_at    AS occurred_at,
  after.detail         AS detail
FROM bronze.appointment_events
