/*---
kind: view
description: Appointments with what is known of patient and provider.
owner: scheduling@hospital.example
tags: [phi, hospital]
---*/
SELECT
  a.appointment_id,
  a.patient_id,
  a.provider_id,
  a.scheduled_at AS appointment_datetime,
  a.status,
  a.appointment_type AS type,
  a.duration_minutes,
  a.wait_minutes,
  u.date_of_birth AS patient_date_of_birth,
  u.city AS patient_city,
  p.specialty AS provider_specialty,
  p.first_name || ' ' || p.last_name AS provider_name
FROM silver.appointments a
LEFT JOIN silver.users u ON u.user_id = a.patient_id
LEFT JOIN silver.providers p ON p.provider_id = a.provider_id
