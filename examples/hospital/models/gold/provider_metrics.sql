/*---
kind: table
description: What a provider did on a day, one row for each provider and day with at least one appointment, until today.
key: [provider_id, metric_date]
target_lag: 1 minute
owner: quality@hospital.example
tags: [hospital, tier1]
columns:
  metric_date:                       {description: "day (UTC) of appointments.scheduled_at; the other measures are of the same day by their own date"}
  patients_seen:                     {description: "distinct patients with a completed appointment"}
  new_patients:                      {description: "patients seen for whom it is the first day with this provider"}
  no_show_rate:                      {description: "appointments with status NO_SHOW / all; every rate is rounded half up to hundredths, null without a denominator"}
  patient_satisfaction_avg:          {description: "mean of valid ratings (1-5) submitted that day, rounded half up to tenths"}
  review_count:                      {description: "valid ratings"}
  chronic_disease_control_rate:      {description: "controlled / all active chronic diagnoses of the patients seen"}
  preventive_care_completion_rate:   {description: "completed / all appointments of type ANNUAL_WELLNESS"}
  avg_wait_time_minutes:             {description: "mean wait_minutes of completed appointments, rounded half up"}
  avg_visit_duration_minutes:        {description: "mean duration_minutes of completed appointments, rounded half up"}
  same_day_appointment_availability: {description: "appointments booked on their own day / all"}
  readmission_rate:                  {description: "readmissions / all inpatient encounters admitted that day"}
  emergency_visit_rate:              {description: "emergency encounters / all encounters admitted that day"}
  total_charges:                     {description: "invoices of that day"}
  insurance_approval_rate:           {description: "approved / approved and denied claims decided that day"}
---*/
WITH visits AS (
  SELECT
    provider_id, patient_id, status, appointment_type, duration_minutes, booked_at,
    CAST(scheduled_at AS DATE) AS metric_date,
    CASE WHEN wait_minutes >= 0 THEN wait_minutes END AS wait_minutes
  FROM silver.appointments
  WHERE provider_id IS NOT NULL AND CAST(scheduled_at AS DATE) <= run_date()
),
volume AS (
  SELECT
    provider_id,
    metric_date,
    COUNT(*) AS scheduled,
    COUNT(*) FILTER (WHERE status = 'COMPLETED') AS completed,
    COUNT(*) FILTER (WHERE status = 'NO_SHOW') AS no_shows,
    COUNT(*) FILTER (WHERE appointment_type = 'ANNUAL_WELLNESS') AS wellness,
    COUNT(*) FILTER (WHERE appointment_type = 'ANNUAL_WELLNESS' AND status = 'COMPLETED') AS wellness_done,
    COUNT(*) FILTER (WHERE CAST(booked_at AS DATE) = metric_date) AS same_day,
    SUM(wait_minutes) FILTER (WHERE status = 'COMPLETED') AS wait_sum,
    COUNT(wait_minutes) FILTER (WHERE status = 'COMPLETED') AS wait_count,
    SUM(duration_minutes) FILTER (WHERE status = 'COMPLETED') AS duration_sum,
    COUNT(duration_minutes) FILTER (WHERE status = 'COMPLETED') AS duration_count
  FROM visits
  GROUP BY provider_id, metric_date
),
seen AS (
  SELECT DISTINCT provider_id, metric_date, patient_id
  FROM visits
  WHERE status = 'COMPLETED' AND patient_id IS NOT NULL
),
firsts AS (
  SELECT provider_id, patient_id, MIN(metric_date) AS metric_date
  FROM seen
  GROUP BY provider_id, patient_id
),
patients AS (
  SELECT s.provider_id, s.metric_date, COUNT(*) AS patients_seen, COUNT(f.patient_id) AS new_patients
  FROM seen s
  LEFT JOIN firsts f
    ON f.provider_id = s.provider_id AND f.patient_id = s.patient_id AND f.metric_date = s.metric_date
  GROUP BY s.provider_id, s.metric_date
),
chronic AS (
  SELECT s.provider_id, s.metric_date, COUNT(*) AS diagnoses, COUNT(*) FILTER (WHERE d.controlled) AS controlled
  FROM seen s
  JOIN silver.diagnoses d ON d.patient_id = s.patient_id
  WHERE d.status = 'ACTIVE' AND d.chronic
  GROUP BY s.provider_id, s.metric_date
),
reviews AS (
  SELECT provider_id, CAST(submitted_at AS DATE) AS metric_date, COUNT(*) AS reviews, SUM(rating) AS rating_sum
  FROM silver.feedback
  WHERE rating BETWEEN 1 AND 5
  GROUP BY provider_id, CAST(submitted_at AS DATE)
),
stays AS (
  SELECT
    provider_id,
    CAST(admitted_at AS DATE) AS metric_date,
    COUNT(*) AS encounters,
    COUNT(*) FILTER (WHERE encounter_type = 'EMERGENCY') AS emergencies,
    COUNT(*) FILTER (WHERE encounter_type = 'INPATIENT') AS inpatient,
    COUNT(*) FILTER (WHERE encounter_type = 'INPATIENT' AND readmission) AS readmitted
  FROM silver.encounters
  GROUP BY provider_id, CAST(admitted_at AS DATE)
),
charges AS (
  SELECT provider_id, invoice_date AS metric_date, SUM(total_amount) AS total_charges
  FROM silver.billing_invoices
  GROUP BY provider_id, invoice_date
),
decisions AS (
  SELECT
    provider_id,
    CAST(decided_at AS DATE) AS metric_date,
    COUNT(*) FILTER (WHERE status = 'APPROVED') AS approved,
    COUNT(*) FILTER (WHERE status IN ('APPROVED', 'DENIED')) AS decided
  FROM silver.claims
  GROUP BY provider_id, CAST(decided_at AS DATE)
),
counted AS (
  -- Rates in hundredths, rounded half up: (200 * part + whole) / (2 * whole).
  SELECT
    v.provider_id,
    v.metric_date,
    CAST(COALESCE(p.patients_seen, 0) AS INT) AS patients_seen,
    CAST(COALESCE(p.new_patients, 0) AS INT) AS new_patients,
    CAST(v.scheduled AS INT) AS appointments_scheduled,
    CAST(v.completed AS INT) AS appointments_completed,
    (200 * v.no_shows + v.scheduled) / NULLIF(2 * v.scheduled, 0) AS no_show,
    (20 * r.rating_sum + r.reviews) / NULLIF(2 * r.reviews, 0) AS satisfaction,
    CAST(COALESCE(r.reviews, 0) AS INT) AS review_count,
    (200 * c.controlled + c.diagnoses) / NULLIF(2 * c.diagnoses, 0) AS control,
    (200 * v.wellness_done + v.wellness) / NULLIF(2 * v.wellness, 0) AS preventive,
    CAST((2 * v.wait_sum + v.wait_count) / NULLIF(2 * v.wait_count, 0) AS INT) AS avg_wait_time_minutes,
    CAST((2 * v.duration_sum + v.duration_count) / NULLIF(2 * v.duration_count, 0) AS INT) AS avg_visit_duration_minutes,
    (200 * v.same_day + v.scheduled) / NULLIF(2 * v.scheduled, 0) AS same_day,
    (200 * s.readmitted + s.inpatient) / NULLIF(2 * s.inpatient, 0) AS readmission,
    (200 * s.emergencies + s.encounters) / NULLIF(2 * s.encounters, 0) AS emergency,
    CAST(COALESCE(g.total_charges, 0) AS DECIMAL(10, 2)) AS total_charges,
    (200 * d.approved + d.decided) / NULLIF(2 * d.decided, 0) AS approval
  FROM volume v
  LEFT JOIN patients p ON p.provider_id = v.provider_id AND p.metric_date = v.metric_date
  LEFT JOIN chronic c ON c.provider_id = v.provider_id AND c.metric_date = v.metric_date
  LEFT JOIN reviews r ON r.provider_id = v.provider_id AND r.metric_date = v.metric_date
  LEFT JOIN stays s ON s.provider_id = v.provider_id AND s.metric_date = v.metric_date
  LEFT JOIN charges g ON g.provider_id = v.provider_id AND g.metric_date = v.metric_date
  LEFT JOIN decisions d ON d.provider_id = v.provider_id AND d.metric_date = v.metric_date
)
SELECT
  provider_id,
  metric_date,
  patients_seen,
  new_patients,
  appointments_scheduled,
  appointments_completed,
  CAST(CAST(no_show AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)) AS no_show_rate,
  CAST(CAST(satisfaction AS DECIMAL(12, 0)) * CAST('0.1' AS DECIMAL(2, 1)) AS DECIMAL(2, 1)) AS patient_satisfaction_avg,
  review_count,
  CAST(CAST(control AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)) AS chronic_disease_control_rate,
  CAST(CAST(preventive AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)) AS preventive_care_completion_rate,
  avg_wait_time_minutes,
  avg_visit_duration_minutes,
  CAST(CAST(same_day AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)) AS same_day_appointment_availability,
  CAST(CAST(readmission AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)) AS readmission_rate,
  CAST(CAST(emergency AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)) AS emergency_visit_rate,
  total_charges,
  CAST(CAST(approval AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)) AS insurance_approval_rate
FROM counted
