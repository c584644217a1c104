/*---
kind: cdc
description: Current rows of pharmacy.pharmacy_inventory.
source: bronze.pharmacy_inventory
key: [item_id]
target_lag: 10 seconds
owner: pharmacy@hospital.example
tags: [hospital]
columns:
  item_id: {type: "string"}
  ndc: {type: "string"}
  medication: {type: "string"}
  quantity: {type: "int"}
  reorder_level: {type: "int"}
  unit_price: {type: "decimal(10,4)"}
  expires_on: {type: "date"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.item_id       AS item_id,
  after.ndc           AS ndc,
  after.medication    AS medication,
  after.quantity      AS quantity,
  after.reorder_level AS reorder_level,
  after.unit_price    AS unit_price,
  after.expires_on    AS expires_on,
  after.updated_at    AS updated_at
FROM bronze.pharmacy_inventory
