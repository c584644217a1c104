/*---
kind: cdc
description: Current rows of care-pathway.pathway_steps.
source: bronze.pathway_steps
key: [step_id]
target_lag: 10 seconds
owner: care-management@hospital.example
tags: [hospital]
columns:
  step_id: {type: "string"}
  pathway_id: {type: "string"}
  step: {type: "string"}
  done: {type: "boolean"}
  due_at: {type: "timestamptz"}
  done_at: {type: "timestamp"}
---*/
SELECT
  after.step_id    AS step_id,
  after.pathway_id AS pathway_id,
  after.step       AS step,
  after.done       AS done,
  after.due_at     AS due_at,
  after.done_at    AS done_at
FROM bronze.pathway_steps
