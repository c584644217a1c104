-- name: executive.appointment-volume-by-day-of-week
SELECT to_char(kpi_date, 'ID Dy') AS weekday, SUM(appointments_scheduled) AS appointments 
FROM gold.operational_kpis GROUP BY to_char(kpi_date, 'ID Dy') ORDER BY appointments DESC 
 LIMIT 100;

-- name: executive.care-pathway-enrollment-rate
SELECT ROUND(CAST(AVG(CAST(CASE WHEN active_pathways IS NOT NULL THEN 1.0 ELSE 0.0 END AS DOUBLE PRECISION)) AS numeric), 4) AS enrollment_rate 
FROM gold.patient_360 
 LIMIT 50000;

-- name: executive.chronic-disease-control-rate
SELECT ROUND(CAST(AVG(CAST(chronic_disease_control_rate AS DOUBLE PRECISION)) AS numeric), 4) AS chronic_control 
FROM gold.operational_kpis 
 LIMIT 50000;

-- name: executive.daily-active-users
-- differs: a date that is cut stays without a zone
SELECT DATE_TRUNC('day', kpi_date) AS kpi_date, MAX(daily_active_users) AS active_users 
FROM gold.operational_kpis GROUP BY DATE_TRUNC('day', kpi_date) 
 LIMIT 50000;

-- name: executive.patient-growth-trend
-- differs: a date that is cut stays without a zone
SELECT DATE_TRUNC('day', day) AS day, MAX(total_patients) AS total 
FROM gold.patient_growth GROUP BY DATE_TRUNC('day', day) ORDER BY total DESC 
 LIMIT 10000;

-- name: executive.patient-satisfaction-score
SELECT SUM(rating_sum)::double precision / NULLIF(SUM(review_count), 0) AS satisfaction 
FROM gold.provider_scorecard 
 LIMIT 50000;

-- name: executive.revenue-mtd
SELECT SUM(total_revenue) AS revenue 
FROM gold.operational_kpis 
WHERE kpi_date >= TO_DATE('2026-11-01', 'YYYY-MM-DD') AND kpi_date < TO_DATE('2026-12-01', 'YYYY-MM-DD') 
 LIMIT 50000;

-- name: executive.revenue-ytd
SELECT SUM(total_revenue) AS revenue 
FROM gold.operational_kpis 
WHERE kpi_date >= TO_DATE('2026-01-01', 'YYYY-MM-DD') AND kpi_date < TO_DATE('2027-01-01', 'YYYY-MM-DD') 
 LIMIT 50000;

-- name: executive.revenue-by-service-line
SELECT service_line AS service_line, SUM(revenue) AS revenue 
FROM gold.service_line_revenue GROUP BY service_line ORDER BY revenue DESC 
 LIMIT 100;

-- name: executive.top-10-diagnoses
SELECT condition AS condition, SUM(patients) AS patients 
FROM gold.diagnosis_prevalence GROUP BY condition ORDER BY patients DESC 
 LIMIT 10;

-- name: executive.total-active-patients
SELECT COUNT(*) AS patients 
FROM gold.patient_360 
 LIMIT 50000;

-- name: provider-performance.appointment-availability
SELECT provider AS provider, SUM(same_day_appointment_availability * appointments_scheduled)::double precision / NULLIF(SUM(appointments_scheduled), 0) AS availability 
FROM gold.provider_scorecard GROUP BY provider ORDER BY availability DESC 
 LIMIT 50;

-- name: provider-performance.disease-control-and-preventive-care
SELECT provider AS provider, ROUND(CAST(AVG(CAST(chronic_disease_control_rate AS DOUBLE PRECISION)) AS numeric), 4) AS disease_control, ROUND(CAST(AVG(CAST(preventive_care_completion_rate AS DOUBLE PRECISION)) AS numeric), 4) AS preventive_care 
FROM gold.provider_scorecard GROUP BY provider ORDER BY disease_control DESC 
 LIMIT 50;

-- name: provider-performance.no-show-rate
SELECT provider AS provider, SUM(no_show_rate * appointments_scheduled)::double precision / NULLIF(SUM(appointments_scheduled), 0) AS no_show 
FROM gold.provider_scorecard GROUP BY provider ORDER BY no_show DESC 
 LIMIT 50;

-- name: provider-performance.patient-satisfaction
SELECT provider AS provider, SUM(rating_sum)::double precision / NULLIF(SUM(review_count), 0) AS satisfaction 
FROM gold.provider_scorecard GROUP BY provider ORDER BY satisfaction DESC 
 LIMIT 50;

-- name: provider-performance.patients-seen-mtd
SELECT provider AS provider, SUM(patients_seen) AS patients_seen 
FROM gold.provider_scorecard 
WHERE metric_date >= TO_DATE('2026-11-01', 'YYYY-MM-DD') AND metric_date < TO_DATE('2026-12-01', 'YYYY-MM-DD') GROUP BY provider ORDER BY patients_seen DESC 
 LIMIT 50;

-- name: provider-performance.revenue-generated
SELECT provider AS provider, SUM(total_charges) AS charges 
FROM gold.provider_scorecard GROUP BY provider ORDER BY charges DESC 
 LIMIT 50;

-- name: provider-performance.top-10-by-patient-satisfaction
SELECT provider AS provider, specialty AS specialty, SUM(rating_sum)::double precision / NULLIF(SUM(review_count), 0) AS satisfaction, SUM(review_count) AS reviews 
FROM gold.provider_scorecard 
WHERE patient_satisfaction_avg IS NOT NULL GROUP BY provider, specialty ORDER BY satisfaction DESC 
 LIMIT 10;

-- name: provider-performance.top-10-by-quality
SELECT provider AS provider, specialty AS specialty, ROUND(CAST(AVG(CAST(chronic_disease_control_rate AS DOUBLE PRECISION)) AS numeric), 4) AS disease_control, ROUND(CAST(AVG(CAST(preventive_care_completion_rate AS DOUBLE PRECISION)) AS numeric), 4) AS preventive_care 
FROM gold.provider_scorecard 
WHERE chronic_disease_control_rate IS NOT NULL GROUP BY provider, specialty ORDER BY disease_control DESC 
 LIMIT 10;
