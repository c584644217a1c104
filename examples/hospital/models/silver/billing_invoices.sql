/*---
kind: cdc
description: Current rows of billing.billing_invoices.
source: bronze.billing_invoices
key: [invoice_id]
target_lag: 10 seconds
owner: revenue@hospital.example
tags: [phi, hospital]
columns:
  invoice_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  appointment_id: {type: "string"}
  total_amount: {type: "decimal(10,2)"}
  paid_amount: {type: "decimal(10,2)"}
  status: {type: "string"}
  invoice_date: {type: "date", phi: date}
  due_date: {type: "date"}
  line_items: {type: "string"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.invoice_id     AS invoice_id,
  after.patient_id     AS patient_id,
  after.provider_id    AS provider_id,
  after.appointment_id AS appointment_id,
  after.total_amount   AS total_amount,
  after.paid_amount    AS paid_amount,
  after.status         AS status,
  after.invoice_date   AS invoice_date,
  after.due_date       AS due_date,
  after.line_items     AS line_items,
  after.updated_at     AS updated_at
FROM bronze.billing_invoices
