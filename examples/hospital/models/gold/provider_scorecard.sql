/*---
kind: view
description: provider_metrics with the names that dashboards show.
owner: quality@hospital.example
tags: [hospital]
columns:
  provider:                  {description: "given and family name"}
  rating_sum:                {description: "patient_satisfaction_avg times review_count: sums of it divided by sums of reviews are means"}
---*/
SELECT
  m.provider_id,
  COALESCE(p.first_name || ' ' || p.last_name, m.provider_id) AS provider,
  COALESCE(p.specialty, 'Unknown') AS specialty,
  COALESCE(p.department, 'Unknown') AS department,
  m.metric_date,
  m.patients_seen,
  m.new_patients,
  m.appointments_scheduled,
  m.appointments_completed,
  m.no_show_rate,
  m.patient_satisfaction_avg,
  m.review_count,
  CAST(m.patient_satisfaction_avg * m.review_count AS DECIMAL(12, 1)) AS rating_sum,
  m.chronic_disease_control_rate,
  m.preventive_care_completion_rate,
  m.same_day_appointment_availability,
  m.total_charges
FROM gold.provider_metrics m
LEFT JOIN silver.providers p ON p.provider_id = m.provider_id
