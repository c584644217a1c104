-- The gold tables as far as dashboards ask them, with made-up rows: the same statements for PostgreSQL and for tidewater.
DROP SCHEMA IF EXISTS gold CASCADE;
CREATE SCHEMA gold;
CREATE TABLE gold.patient_360 (
  patient_id text PRIMARY KEY, age int, gender text, insurance_payer text, coverage_status text, engagement_score numeric(3, 2), active_pathways text
);
INSERT INTO gold.patient_360
SELECT 'patient ' || i, 20 + i % 70, (ARRAY['F', 'M', 'X'])[1 + i % 3], 'payer ' || (i % 5), (ARRAY['ACTIVE', 'LAPSED'])[1 + i % 2],
       (i % 100)::numeric / 100, CASE WHEN i % 3 = 0 THEN '[]' END
FROM generate_series(1, 500) i;
CREATE TABLE gold.operational_kpis (
  kpi_date date PRIMARY KEY, daily_active_users int, weekly_active_users int, monthly_active_users int, appointments_scheduled int,
  appointments_completed int, telemedicine_visits int, patients_on_care_pathways int, high_risk_patients int, claims_submitted int,
  claims_approved int, claims_denied int, chronic_disease_control_rate numeric(3, 2), preventive_screening_rate numeric(3, 2),
  total_revenue numeric(12, 2)
);
INSERT INTO gold.operational_kpis
SELECT DATE '2026-01-01' + i, 20 + i % 13, 60 + i % 17, 100 + i % 19, 10 + i % 7, 8 + i % 6, i % 5, 30 + i % 11, i % 9, i % 8, i % 6, i % 3,
       CASE WHEN i % 11 > 0 THEN (40 + i % 50)::numeric / 100 END, CASE WHEN i % 4 > 0 THEN (i % 101)::numeric / 100 END, (i % 977)::numeric * 10
FROM generate_series(0, 399) i;
CREATE TABLE gold.patient_growth (day date PRIMARY KEY, new_patients int, total_patients int);
INSERT INTO gold.patient_growth SELECT DATE '2026-01-01' + i * 3, 1 + i % 4, i * 3 FROM generate_series(0, 120) i;
CREATE TABLE gold.service_line_revenue (day date NOT NULL, service_line text NOT NULL, revenue numeric(14, 2), payments int);
INSERT INTO gold.service_line_revenue
SELECT DATE '2026-01-01' + i / 2, (ARRAY['Cardiology', 'Primary Care', 'Radiology', 'Other'])[1 + i % 4], (i % 331)::numeric * 3, 1 + i % 5
FROM generate_series(0, 719) i;
CREATE TABLE gold.diagnosis_prevalence (icd10_code text PRIMARY KEY, condition text, patients int, controlled int);
INSERT INTO gold.diagnosis_prevalence SELECT 'C' || i, 'condition ' || i, 100 - i * 3, 50 - i FROM generate_series(1, 14) i;
CREATE TABLE gold.provider_scorecard (
  provider_id text NOT NULL, provider text, specialty text, department text, metric_date date NOT NULL, patients_seen int, new_patients int,
  appointments_scheduled int, appointments_completed int, no_show_rate numeric(3, 2), patient_satisfaction_avg numeric(2, 1), review_count int,
  rating_sum numeric(12, 1), chronic_disease_control_rate numeric(3, 2), preventive_care_completion_rate numeric(3, 2),
  same_day_appointment_availability numeric(3, 2), total_charges numeric(10, 2)
);
INSERT INTO gold.provider_scorecard
SELECT 'p' || (i % 15), 'Provider ' || (i % 15), (ARRAY['Cardiology', 'Primary Care', 'Radiology'])[1 + i % 3], (ARRAY['North', 'South'])[1 + i % 2],
       DATE '2026-01-01' + i / 15, 1 + i % 9, i % 3, 2 + i % 11, 1 + i % 10, (i % 31)::numeric / 100, CASE WHEN i % 4 > 0 THEN (10 + i % 41)::numeric / 10 END,
       CASE WHEN i % 4 > 0 THEN 1 + i % 6 ELSE 0 END, CASE WHEN i % 4 > 0 THEN ((10 + i % 41) * (1 + i % 6))::numeric / 10 END,
       CASE WHEN i % 5 > 0 THEN (50 + i % 50)::numeric / 100 END, CASE WHEN i % 6 > 0 THEN (i % 100)::numeric / 100 END, (i % 101)::numeric / 100,
       (i % 887)::numeric * 2
FROM generate_series(0, 4999) i;
