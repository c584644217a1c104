/*---
kind: cdc
description: Current rows of claims-orchestrator.claim_events.
source: bronze.claim_events
key: [event_id]
target_lag: 10 seconds
owner: claims@hospital.example
tags: [hospital]
columns:
  event_id: {type: "string"}
  claim_id: {type: "string"}
  event_type: {type: "string"}
  occurred_at: {type: "timestamptz"}
  detail: {type: "string"}
---*/
SELECT
  after.event_id    AS event_id,
  after.claim_id    AS claim_id,
  after.event_type  AS event_type,
  after.occurred_at AS occurred_at,
  after.detail      AS detail
FROM bronze.claim_events
