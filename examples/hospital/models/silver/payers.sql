/*---
kind: cdc
description: Current rows of insurance.payers.
source: bronze.payers
key: [payer_id]
target_lag: 10 seconds
owner: revenue@hospital.example
tags: [hospital]
columns:
  payer_id: {type: "string"}
  name: {type: "string"}
  payer_type: {type: "string"}
  active: {type: "boolean"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.payer_id   AS payer_id,
  after.name       AS name,
  after.payer_type AS payer_type,
  after.active     AS active,
  after.updated_at AS updated_at
FROM bronze.payers
