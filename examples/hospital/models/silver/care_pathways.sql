/*---
kind: cdc
description: Current rows of care-pathway.care_pathways.
source: bronze.care_pathways
key: [pathway_id]
target_lag: 10 seconds
owner: care-management@hospital.example
tags: [phi, hospital]
columns:
  pathway_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  pathway_name: {type: "string"}
  current_stage: {type: "string"}
  progress_score: {type: "decimal(3,2)"}
  status: {type: "string"}
  initiated_date: {type: "date", phi: date}
  expected_completion: {type: "date", phi: date}
  ended_date: {type: "date", phi: date}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.pathway_id          AS pathway_id,
  after.patient_id          AS patient_id,
  after.pathway_name        AS pathway_name,
  after.current_stage       AS current_stage,
  after.progress_score      AS progress_score,
  after.status              AS status,
  after.initiated_date      AS initiated_date,
  after.expected_completion AS expected_completion,
  after.ended_date          AS ended_date,
  after.updated_at          AS updated_at
FROM bronze.care_pathways
