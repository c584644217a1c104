/*---
kind: cdc
description: Current rows of fraud-detection.fraud_alerts.
source: bronze.fraud_alerts
key: [alert_id]
target_lag: 10 seconds
owner: claims@hospital.example
tags: [hospital]
columns:
  alert_id: {type: "string"}
  claim_id: {type: "string"}
  pattern: {type: "string"}
  score: {type: "decimal(3,2)"}
  status: {type: "string"}
  detected_at: {type: "timestamptz"}
  created_at: {type: "timestamptz"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.alert_id    AS alert_id,
  after.claim_id    AS claim_id,
  after.pattern     AS pattern,
  after.score       AS score,
  after.status      AS status,
  after.detected_at AS detected_at,
  after.created_at  AS created_at,
  after.updated_at  AS updated_at
FROM bronze.fraud_alerts
