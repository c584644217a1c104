/*---
kind: cdc
description: Current rows of pharmacy.pharmacy_dispenses.
source: bronze.pharmacy_dispenses
key: [dispense_id]
target_lag: 10 seconds
owner: pharmacy@hospital.example
tags: [phi, hospital]
columns:
  dispense_id: {type: "string"}
  prescription_id: {type: "string"}
  item_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  quantity: {type: "int"}
  price: {type: "decimal(10,2)"}
  dispensed_at: {type: "timestamptz", phi: date}
---*/
SELECT
  after.dispense_id     AS dispense_id,
  after.prescription_id AS prescription_id,
  after.item_id         AS item_id,
  after.patient_id      AS patient_id,
  after.quantity        AS quantity,
  after.price           AS price,
  after.dispensed_at    AS dispensed_at
FROM bronze.pharmacy_dispenses
