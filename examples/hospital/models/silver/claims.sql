/*---
kind: cdc
description: Current rows of claims-orchestrator.claims.
source: bronze.claims
key: [claim_id]
target_lag: 10 seconds
owner: claims@hospital.example
tags: [phi, hospital]
columns:
  claim_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  invoice_id: {type: "string"}
  policy_id: {type: "string", phi: plan_id}
  amount: {type: "decimal(10,2)"}
  status: {type: "string"}
  denial_reason: {type: "string"}
  submitted_at: {type: "timestamptz"}
  decided_at: {type: "timestamptz"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.claim_id      AS claim_id,
  after.patient_id    AS patient_id,
  after.provider_id   AS provider_id,
  after.invoice_id    AS invoice_id,
  after.policy_id     AS policy_id,
  after.amount        AS amount,
  after.status        AS status,
  after.denial_reason AS denial_reason,
  after.submitted_at  AS submitted_at,
  after.decided_at    AS decided_at,
  after.updated_at    AS updated_at
FROM bronze.claims
