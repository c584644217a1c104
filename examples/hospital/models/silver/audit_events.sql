/*---
kind: cdc
description: Current rows of audit.audit_events.
source: bronze.audit_events
key: [event_id]
target_lag: 10 seconds
owner: security@hospital.example
tags: [phi, hospital]
columns:
  event_id: {type: "long"}
  actor_id: {type: "string"}
  action: {type: "string"}
  resource: {type: "string"}
  ip_address: {type: "string", phi: ip}
  allowed: {type: "boolean"}
  detail: {type: "string"}
  occurred_at: {type: "timestamptz"}
---*/
SELECT
  after.event_id    AS event_id,
  after.actor_id    AS actor_id,
  after.action      AS action,
  after.resource    AS resource,
  after.ip_address  AS ip_address,
  after.allowed     AS allowed,
  after.detail      AS detail,
  after.occurred_at AS occurred_at
FROM bronze.audit_events
