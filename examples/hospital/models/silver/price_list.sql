/*---
kind: cdc
description: Current rows of pricing.price_list.
source: bronze.price_list
key: [procedure_code]
target_lag: 10 seconds
owner: revenue@hospital.example
tags: [hospital]
columns:
  procedure_code: {type: "string"}
  description: {type: "string"}
  price: {type: "decimal(12,4)"}
  currency: {type: "string"}
  valid_from: {type: "date"}
  revision: {type: "int"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.procedure_code AS procedure_code,
  after.description    AS description,
  after.price          AS price,
  after.currency       AS currency,
  after.valid_from     AS valid_from,
  after.revision       AS revision,
  after.updated_at     AS updated_at
FROM bronze.price_list
