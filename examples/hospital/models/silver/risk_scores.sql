/*---
kind: cdc
description: Current rows of risk-scoring.risk_scores.
source: bronze.risk_scores
key: [score_id]
target_lag: 10 seconds
owner: ml-platform@hospital.example
tags: [phi, hospital]
columns:
  score_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  model: {type: "string"}
  score: {type: "decimal(3,2)"}
  band: {type: "string"}
  scored_at: {type: "timestamptz"}
  drivers: {type: "string"}
---*/
SELECT
  after.score_id   AS score_id,
  after.patient_id AS patient_id,
  after.model      AS model,
  after.score      AS score,
  after.band       AS band,
  after.scored_at  AS scored_at,
  after.drivers    AS drivers
FROM bronze.risk_scores
