/*---
kind: cdc
description: Current rows of provider.provider_schedules.
source: bronze.provider_schedules
key: [provider_id, weekday]
target_lag: 10 seconds
owner: medical-staff@hospital.example
tags: [hospital]
columns:
  provider_id: {type: "string"}
  weekday: {type: "int"}
  opens_minute: {type: "int"}
  closes_minute: {type: "int"}
  slots: {type: "int"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.provider_id   AS provider_id,
  after.weekday       AS weekday,
  after.opens_minute  AS opens_minute,
  after.closes_minute AS closes_minute,
  after.slots         AS slots,
  after.updated_at    AS updated_at
FROM bronze.provider_schedules
