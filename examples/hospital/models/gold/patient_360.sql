/*---
kind: table
description: Everything the hospital knows of a patient, one row each.
key: [patient_id]
target_lag: 1 minute
owner: clinical-data@hospital.example
tags: [phi, hospital, tier1]
columns:
  patient_id:            {phi: other_id, description: "users.user_id of users with role PATIENT"}
  first_name:            {phi: name}
  last_name:             {phi: name}
  date_of_birth:         {phi: date}
  age:                   {description: "whole years on the day of the run"}
  address:               {phi: geo, description: "line, city, state, zip"}
  phone:                 {phi: phone}
  email:                 {phi: email}
  active_conditions:     {description: "diagnoses with status ACTIVE, by diagnosed_date, icd10_code, diagnosis_id; null if none"}
  current_medications:   {description: "prescriptions with status ACTIVE, by start_date, medication, prescription_id; null if none"}
  allergies:             {description: "distinct substances of active allergies, by name; null if none"}
  recent_vitals:         {description: "means of the last 30 days, rounded half up, of values in the valid ranges (systolic 70-250, diastolic 40-150, heart rate 30-220); null if nothing was measured"}
  recent_labs:           {description: "newest final result of each test in the last 90 days; null if none"}
  active_pathways:       {description: "care pathways with status ACTIVE, by initiated_date, pathway_id; null if none"}
  risk_scores:           {description: "newest score of each model; overall is HIGH from 0.70, MEDIUM from 0.40 of the greater of readmission and emergency, else LOW; null if never scored"}
  last_portal_login:     {description: "start of the newest session on channel PORTAL"}
  last_appointment:      {description: "newest completed appointment until now"}
  next_appointment:      {description: "first scheduled or confirmed appointment after now"}
  insurance_payer:       {description: "payer of the primary policy with the newest effective_date, then greatest policy_id"}
  policy_number:         {phi: plan_id}
  specialists:           {description: "providers outside Primary Care with a completed appointment in the last 365 days, by specialty, name; null if none"}
  utilization_last_12m:  {description: "encounters of the last 365 days by type, and invoices of the last 365 days"}
  record_last_updated:   {description: "users.updated_at"}
---*/
WITH conditions AS (
  SELECT
    patient_id,
    array_agg(
      named_struct(
        'condition', condition, 'icd10_code', icd10_code, 'diagnosed_date', diagnosed_date, 'severity', severity
      )
      ORDER BY diagnosed_date, icd10_code, diagnosis_id
    ) AS active_conditions
  FROM silver.diagnoses
  WHERE status = 'ACTIVE'
  GROUP BY patient_id
),
medications AS (
  SELECT
    p.patient_id,
    array_agg(
      named_struct(
        'medication', p.medication, 'dosage', p.dosage, 'frequency', p.frequency, 'start_date', p.start_date,
        'prescriber', d.first_name || ' ' || d.last_name, 'adherence_rate', p.adherence_rate
      )
      ORDER BY p.start_date, p.medication, p.prescription_id
    ) AS current_medications
  FROM silver.prescriptions p
  LEFT JOIN silver.providers d ON d.provider_id = p.provider_id
  WHERE p.status = 'ACTIVE'
  GROUP BY p.patient_id
),
substances AS (
  SELECT patient_id, array_agg(substance ORDER BY substance) AS allergies
  FROM (SELECT DISTINCT patient_id, substance FROM silver.allergies WHERE active) AS known
  GROUP BY patient_id
),
recent_vitals AS (
  SELECT
    patient_id,
    CAST(measured_at AS DATE) AS measured_on,
    CASE WHEN bp_systolic BETWEEN 70 AND 250 THEN bp_systolic END AS systolic,
    CASE WHEN bp_diastolic BETWEEN 40 AND 150 THEN bp_diastolic END AS diastolic,
    CASE WHEN heart_rate BETWEEN 30 AND 220 THEN heart_rate END AS heart_rate,
    CAST(weight_lbs * 100 AS BIGINT) AS weight_hundredths,
    CAST(bmi * 100 AS BIGINT) AS bmi_hundredths
  FROM silver.vitals
  WHERE measured_at > run_ts() - INTERVAL '30 days' AND measured_at <= run_ts()
),
vitals AS (
  -- Means in whole numbers, rounded half up: (2 * sum + n) / (2 * n).
  SELECT
    patient_id,
    named_struct(
      'bp_systolic_avg', CAST((2 * SUM(systolic) + COUNT(systolic)) / NULLIF(2 * COUNT(systolic), 0) AS INT),
      'bp_diastolic_avg', CAST((2 * SUM(diastolic) + COUNT(diastolic)) / NULLIF(2 * COUNT(diastolic), 0) AS INT),
      'heart_rate_avg', CAST((2 * SUM(heart_rate) + COUNT(heart_rate)) / NULLIF(2 * COUNT(heart_rate), 0) AS INT),
      'weight_lbs', CAST(
        CAST((2 * SUM(weight_hundredths) + COUNT(weight_hundredths)) / NULLIF(2 * COUNT(weight_hundredths), 0) AS DECIMAL(12, 0))
        * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(5, 2)
      ),
      'bmi', CAST(
        CAST((2 * SUM(bmi_hundredths) + COUNT(bmi_hundredths)) / NULLIF(2 * COUNT(bmi_hundredths), 0) AS DECIMAL(12, 0))
        * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(4, 2)
      ),
      'last_measurement_date', MAX(measured_on)
    ) AS recent_vitals
  FROM recent_vitals
  GROUP BY patient_id
),
newest_results AS (
  SELECT
    patient_id, test_code, value, CAST(resulted_at AS DATE) AS resulted_on,
    ROW_NUMBER() OVER (PARTITION BY patient_id, test_code ORDER BY resulted_at DESC, result_id DESC) AS newest
  FROM silver.lab_results
  WHERE status = 'FINAL' AND resulted_at > run_ts() - INTERVAL '90 days' AND resulted_at <= run_ts()
),
labs AS (
  SELECT
    patient_id,
    named_struct(
      'hba1c', CAST(MAX(CASE WHEN test_code = '4548-4' THEN value END) AS DECIMAL(3, 1)),
      'ldl_cholesterol', CAST(MAX(CASE WHEN test_code = '18262-6' THEN value END) AS INT),
      'egfr', CAST(MAX(CASE WHEN test_code = '98979-8' THEN value END) AS INT),
      'last_lab_date', MAX(resulted_on)
    ) AS recent_labs
  FROM newest_results
  WHERE newest = 1
  GROUP BY patient_id
),
pathways AS (
  SELECT
    patient_id,
    array_agg(
      named_struct(
        'pathway_name', pathway_name, 'current_stage', current_stage, 'progress_score', progress_score,
        'initiated_date', initiated_date, 'expected_completion', expected_completion
      )
      ORDER BY initiated_date, pathway_id
    ) AS active_pathways
  FROM silver.care_pathways
  WHERE status = 'ACTIVE'
  GROUP BY patient_id
),
newest_scores AS (
  SELECT
    patient_id, model, score,
    ROW_NUMBER() OVER (PARTITION BY patient_id, model ORDER BY scored_at DESC, score_id DESC) AS newest
  FROM silver.risk_scores
  WHERE scored_at <= run_ts()
),
scores AS (
  SELECT
    patient_id,
    MAX(CASE WHEN model = 'readmission_30day' THEN score END) AS readmission,
    MAX(CASE WHEN model = 'emergency_visit_90day' THEN score END) AS emergency,
    MAX(CASE WHEN model = 'medication_adherence' THEN score END) AS adherence
  FROM newest_scores
  WHERE newest = 1
  GROUP BY patient_id
),
risks AS (
  SELECT
    patient_id,
    named_struct(
      'readmission_30day', readmission,
      'emergency_visit_90day', emergency,
      'medication_adherence', adherence,
      'overall_health_risk', CASE
        WHEN GREATEST(readmission, emergency) >= CAST('0.70' AS DECIMAL(3, 2)) THEN 'HIGH'
        WHEN GREATEST(readmission, emergency) >= CAST('0.40' AS DECIMAL(3, 2)) THEN 'MEDIUM'
        ELSE 'LOW'
      END
    ) AS risk_scores
  FROM scores
),
logins AS (
  SELECT user_id, MAX(started_at) AS last_portal_login
  FROM silver.user_sessions
  WHERE channel = 'PORTAL' AND started_at <= run_ts()
  GROUP BY user_id
),
visits AS (
  SELECT
    patient_id,
    MAX(CASE WHEN status = 'COMPLETED' AND scheduled_at <= run_ts() THEN scheduled_at END) AS last_appointment,
    MIN(CASE WHEN status IN ('SCHEDULED', 'CONFIRMED') AND scheduled_at > run_ts() THEN scheduled_at END) AS next_appointment
  FROM silver.appointments
  GROUP BY patient_id
),
newest_policies AS (
  SELECT
    patient_id, payer_id, policy_number, coverage_status,
    ROW_NUMBER() OVER (PARTITION BY patient_id ORDER BY effective_date DESC, policy_id DESC) AS newest
  FROM silver.insurance_policies
  WHERE is_primary
),
insurance AS (
  SELECT p.patient_id, y.name AS insurance_payer, p.policy_number, p.coverage_status
  FROM newest_policies p
  LEFT JOIN silver.payers y ON y.payer_id = p.payer_id
  WHERE p.newest = 1
),
seen AS (
  SELECT DISTINCT patient_id, provider_id
  FROM silver.appointments
  WHERE status = 'COMPLETED' AND scheduled_at > run_ts() - INTERVAL '365 days' AND scheduled_at <= run_ts()
),
specialists AS (
  SELECT
    s.patient_id,
    array_agg(
      named_struct('specialty', d.specialty, 'provider_name', d.first_name || ' ' || d.last_name)
      ORDER BY d.specialty, d.first_name || ' ' || d.last_name, d.provider_id
    ) AS specialists
  FROM seen s
  JOIN silver.providers d ON d.provider_id = s.provider_id
  WHERE d.specialty <> 'Primary Care'
  GROUP BY s.patient_id
),
stays AS (
  SELECT
    patient_id,
    COUNT(*) FILTER (WHERE encounter_type = 'OFFICE') AS office_visits,
    COUNT(*) FILTER (WHERE encounter_type = 'EMERGENCY') AS emergency_visits,
    COUNT(*) FILTER (WHERE encounter_type = 'INPATIENT') AS hospitalizations
  FROM silver.encounters
  WHERE admitted_at > run_ts() - INTERVAL '365 days' AND admitted_at <= run_ts()
  GROUP BY patient_id
),
costs AS (
  SELECT patient_id, SUM(total_amount) AS total_cost
  FROM silver.billing_invoices
  WHERE invoice_date > run_date() - INTERVAL '365 days' AND invoice_date <= run_date()
  GROUP BY patient_id
)
SELECT
  u.user_id AS patient_id,
  u.first_name,
  u.last_name,
  u.date_of_birth,
  CAST(
    date_part('year', run_date()) - date_part('year', u.date_of_birth)
    - CASE
        WHEN date_part('month', run_date()) * 100 + date_part('day', run_date())
          < date_part('month', u.date_of_birth) * 100 + date_part('day', u.date_of_birth) THEN 1
        ELSE 0
      END
  AS INT) AS age,
  u.gender,
  u.race,
  u.ethnicity,
  named_struct('line', u.address_line, 'city', u.city, 'state', u.state, 'zip', u.zip) AS address,
  u.phone,
  u.email,
  c.active_conditions,
  m.current_medications,
  a.allergies,
  v.recent_vitals,
  l.recent_labs,
  w.active_pathways,
  r.risk_scores,
  e.score AS engagement_score,
  g.last_portal_login,
  t.last_appointment,
  t.next_appointment,
  i.insurance_payer,
  i.policy_number,
  i.coverage_status,
  d.first_name || ' ' || d.last_name AS primary_care_provider,
  s.specialists,
  named_struct(
    'office_visits', CAST(COALESCE(y.office_visits, 0) AS INT),
    'emergency_visits', CAST(COALESCE(y.emergency_visits, 0) AS INT),
    'hospitalizations', CAST(COALESCE(y.hospitalizations, 0) AS INT),
    'total_cost', CAST(COALESCE(k.total_cost, 0) AS DECIMAL(10, 2))
  ) AS utilization_last_12m,
  u.updated_at AS record_last_updated
FROM silver.users u
LEFT JOIN conditions c ON c.patient_id = u.user_id
LEFT JOIN medications m ON m.patient_id = u.user_id
LEFT JOIN substances a ON a.patient_id = u.user_id
LEFT JOIN vitals v ON v.patient_id = u.user_id
LEFT JOIN labs l ON l.patient_id = u.user_id
LEFT JOIN pathways w ON w.patient_id = u.user_id
LEFT JOIN risks r ON r.patient_id = u.user_id
LEFT JOIN silver.engagement_scores e ON e.patient_id = u.user_id
LEFT JOIN logins g ON g.user_id = u.user_id
LEFT JOIN visits t ON t.patient_id = u.user_id
LEFT JOIN insurance i ON i.patient_id = u.user_id
LEFT JOIN silver.providers d ON d.provider_id = u.primary_provider_id
LEFT JOIN specialists s ON s.patient_id = u.user_id
LEFT JOIN stays y ON y.patient_id = u.user_id
LEFT JOIN costs k ON k.patient_id = u.user_id
WHERE u.role = 'PATIENT'
