/*---
kind: cdc
description: Current rows of referral.referrals.
source: bronze.referrals
key: [referral_id]
target_lag: 10 seconds
owner: scheduling@hospital.example
tags: [phi, hospital]
columns:
  referral_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  from_provider_id: {type: "string"}
  to_provider_id: {type: "string"}
  reason: {type: "string", phi: free_text}
  status: {type: "string"}
  expires_on: {type: "date"}
  created_at: {type: "timestamptz"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.referral_id      AS referral_id,
  after.patient_id       AS patient_id,
  after.from_provider_id AS from_provider_id,
  after.to_provider_id   AS to_provider_id,
  after.reason           AS reason,
  after.status           AS status,
  after.expires_on       AS expires_on,
  after.created_at       AS created_at,
  after.updated_at       AS updated_at
FROM bronze.referrals
