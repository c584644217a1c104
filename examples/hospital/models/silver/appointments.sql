/*---
kind: cdc
description: Current rows of appointment.appointments.
source: bronze.appointments
key: [appointment_id]
target_lag: 10 seconds
owner: scheduling@hospital.example
tags: [phi, hospital]
columns:
  appointment_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  provider_id: {type: "string"}
  appointment_type: {type: "string"}
  status: {type: "string"}
  booked_at: {type: "timestamptz", phi: date}
  scheduled_at: {type: "timestamptz", phi: date}
  duration_minutes: {type: "int"}
  wait_minutes: {type: "int"}
  reason: {type: "string", phi: free_text}
  created_at: {type: "timestamptz"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.appointment_id   AS appointment_id,
  after.patient_id       AS patient_id,
  after.provider_id      AS provider_id,
  after.appointment_type AS appointment_type,
  after.status           AS status,
  after.booked_at        AS booked_at,
  after.scheduled_at     AS scheduled_at,
  after.duration_minutes AS duration_minutes,
  after.wait_minutes     AS wait_minutes,
  after.reason           AS reason,
  after.created_at       AS created_at,
  after.updated_at       AS updated_at
FROM bronze.appointments
