/*---
kind: cdc
description: Current rows of laboratory.lab_orders.
source: bronze.lab_orders
key: [order_id]
target_lag: 10 seconds
owner: laboratory@hospital.example
tags: [phi, hospital]
columns:
  order_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  panel: {type: "string"}
  priority: {type: "string"}
  status: {type: "string"}
  ordered_at: {type: "timestamptz", phi: date}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.order_id    AS order_id,
  after.patient_id  AS patient_id,
  after.provider_id AS provider_id,
  after.panel       AS panel,
  after.priority    AS priority,
  after.status      AS status,
  after.ordered_at  AS ordered_at,
  after.updated_at  AS updated_at
FROM bronze.lab_orders
