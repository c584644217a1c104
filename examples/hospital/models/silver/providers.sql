/*---
kind: cdc
description: Current rows of provider.providers.
source: bronze.providers
key: [provider_id]
target_lag: 10 seconds
owner: medical-staff@hospital.example
tags: [hospital]
columns:
  provider_id: {type: "string"}
  npi: {type: "string"}
  first_name: {type: "string"}
  last_name: {type: "string"}
  specialty: {type: "string"}
  department: {type: "string"}
  bio: {type: "string"}
  accepting_patients: {type: "boolean"}
  hired_on: {type: "date"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.provider_id        AS provider_id,
  after.npi                AS npi,
  after.first_name         AS first_name,
  after.last_name          AS last_name,
  after.specialty          AS specialty,
  after.department         AS department,
  after.bio                AS bio,
  after.accepting_patients AS accepting_patients,
  after.hired_on           AS hired_on,
  after.updated_at         AS updated_at
FROM bronze.providers
