/*---
kind: cdc
description: Current rows of billing.payments.
source: bronze.payments
key: [payment_id]
target_lag: 10 seconds
owner: revenue@hospital.example
tags: [hospital]
columns:
  payment_id: {type: "string"}
  invoice_id: {type: "string"}
  amount: {type: "decimal(10,2)"}
  method: {type: "string"}
  paid_at: {type: "timestamptz"}
---*/
SELECT
  after.payment_id AS payment_id,
  after.invoice_id AS invoice_id,
  after.amount     AS amount,
  after.method     AS method,
  after.paid_at    AS paid_at
FROM bronze.payments
