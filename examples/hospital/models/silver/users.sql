/*---
kind: cdc
description: Current rows of user.users.
source: bronze.users
key: [user_id]
target_lag: 10 seconds
owner: identity@hospital.example
tags: [phi, hospital]
columns:
  user_id: {type: "string", phi: other_id}
  role: {type: "string"}
  first_name: {type: "string", phi: name}
  last_name: {type: "string", phi: name}
  email: {type: "string", phi: email}
  phone: {type: "string", phi: phone}
  ssn: {type: "string", phi: ssn}
  date_of_birth: {type: "date", phi: date}
  gender: {type: "string"}
  race: {type: "string"}
  ethnicity: {type: "string"}
  address_line: {type: "string", phi: geo}
  city: {type: "string", phi: geo}
  state: {type: "string"}
  zip: {type: "string", phi: geo}
  primary_provider_id: {type: "string"}
  status: {type: "string"}
  last_login_at: {type: "timestamptz"}
  preferences: {type: "string"}
  created_at: {type: "timestamptz"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.user_id             AS user_id,
  after.role                AS role,
  after.first_name          AS first_name,
  after.last_name           AS last_name,
  after.email               AS email,
  after.phone               AS phone,
  after.ssn                 AS ssn,
  after.date_of_birth       AS date_of_birth,
  after.gender              AS gender,
  after.race                AS race,
  after.ethnicity           AS ethnicity,
  after.address_line        AS address_line,
  after.city                AS city,
  after.state               AS state,
  after.zip                 AS zip,
  after.primary_provider_id AS primary_provider_id,
  after.status              AS status,
  after.last_login_at       AS last_login_at,
  after.preferences         AS preferences,
  after.created_at          AS created_at,
  after.updated_at          AS updated_at
FROM bronze.users
