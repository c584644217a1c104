/*---
kind: cdc
description: Current rows of intelligence-hub.decisions.
source: bronze.decisions
key: [decision_id]
target_lag: 10 seconds
owner: ml-platform@hospital.example
tags: [phi, hospital]
columns:
  decision_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  model_name: {type: "string"}
  recommendation: {type: "string"}
  confidence: {type: "decimal(3,2)"}
  accepted: {type: "boolean"}
  features: {type: "string"}
  decided_at: {type: "timestamptz"}
---*/
SELECT
  after.decision_id    AS decision_id,
  after.patient_id     AS patient_id,
  after.model_name     AS model_name,
  after.recommendation AS recommendation,
  after.confidence     AS confidence,
  after.accepted       AS accepted,
  after.features       AS features,
  after.decided_at     AS decided_at
FROM bronze.decisions
