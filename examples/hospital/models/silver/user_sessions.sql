/*---
kind: cdc
description: Current rows of user.user_sessions.
source: bronze.user_sessions
key: [session_id]
target_lag: 10 seconds
owner: identity@hospital.example
tags: [phi, hospital]
columns:
  session_id: {type: "string"}
  user_id: {type: "string", phi: other_id}
  channel: {type: "string"}
  started_at: {type: "timestamptz"}
  duration_minutes: {type: "int"}
  ip_address: {type: "string", phi: ip}
---*/
SELECT
  after.session_id       AS session_id,
  after.user_id          AS user_id,
  after.channel          AS channel,
  after.started_at       AS started_at,
  after.duration_minutes AS duration_minutes,
  after.ip_address       AS ip_address
FROM bronze.user_sessions
