/*---
kind: cdc
description: Current rows of insurance.insurance_policies.
source: bronze.insurance_policies
key: [policy_id]
target_lag: 10 seconds
owner: revenue@hospital.example
tags: [phi, hospital]
columns:
  policy_id: {type: "string", phi: plan_id}
  patient_id: {type: "string", phi: other_id}
  payer_id: {type: "string"}
  policy_number: {type: "string", phi: plan_id}
  plan_type: {type: "string"}
  coverage_status: {type: "string"}
  is_primary: {type: "boolean"}
  deductible: {type: "decimal(10,2)"}
  effective_date: {type: "date"}
  termination_date: {type: "date"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.policy_id        AS policy_id,
  after.patient_id       AS patient_id,
  after.payer_id         AS payer_id,
  after.policy_number    AS policy_number,
  after.plan_type        AS plan_type,
  after.coverage_status  AS coverage_status,
  after.is_primary       AS is_primary,
  after.deductible       AS deductible,
  after.effective_date   AS effective_date,
  after.termination_date AS termination_date,
  after.updated_at       AS updated_at
FROM bronze.insurance_policies
