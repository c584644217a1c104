/*---
kind: table
description: The hospital's day in numbers, one row for each day (UTC) with a session or an appointment, until today.
key: [kpi_date]
target_lag: 1 minute
owner: operations@hospital.example
tags: [hospital, tier1]
columns:
  daily_active_users:                  {description: "distinct users with a session that day"}
  weekly_active_users:                 {description: "... in the 7 days that end with it"}
  monthly_active_users:                {description: "... in the 30 days that end with it"}
  avg_session_duration_minutes:        {description: "mean of the sessions begun that day; every mean is rounded half up, null without rows"}
  symptom_check_ins:                   {description: "triage sessions begun"}
  vitals_logged:                       {description: "vitals measured"}
  appointments_scheduled:              {description: "appointments that take place that day"}
  appointments_completed:              {description: "... and were completed"}
  telemedicine_visits:                 {description: "telehealth sessions begun"}
  prescriptions_issued:                {description: "by issued_at"}
  lab_orders:                          {description: "by ordered_at"}
  patients_on_care_pathways:           {description: "distinct patients with a pathway begun by that day and not ended by it"}
  pathway_completion_rate:             {description: "completed / all pathways that ended that day; every rate is rounded half up to hundredths, null without a denominator"}
  chronic_disease_control_rate:        {description: "controlled / all chronic diagnoses last reviewed that day"}
  preventive_screening_rate:           {description: "completed / all appointments of type ANNUAL_WELLNESS"}
  high_risk_patients:                  {description: "distinct patients scored HIGH for readmission or emergency"}
  critical_alerts:                     {description: "device alerts of severity CRITICAL raised"}
  human_review_tasks:                  {description: "review tasks created"}
  average_alert_response_time_minutes: {description: "mean response_minutes of the alerts raised that day and answered"}
  claims_submitted:                    {description: "by submitted_at"}
  claims_approved:                     {description: "by decided_at"}
  claims_denied:                       {description: "by decided_at"}
  fraud_alerts:                        {description: "by detected_at"}
  total_revenue:                       {description: "payments by paid_at"}
  system_uptime_percent:               {description: "service checks that were up, rounded half up to hundredths of a percent"}
  avg_api_latency_ms:                  {description: "mean latency of the service checks"}
  ml_model_predictions:                {description: "decisions and risk scores made"}
---*/
WITH sessions AS (
  SELECT user_id, CAST(started_at AS DATE) AS day, duration_minutes FROM silver.user_sessions
),
visits AS (
  SELECT CAST(scheduled_at AS DATE) AS day, status, appointment_type FROM silver.appointments
),
days AS (
  SELECT DISTINCT day AS kpi_date
  FROM (SELECT day FROM sessions UNION ALL SELECT day FROM visits) AS either
  WHERE day <= run_date()
),
user_days AS (
  SELECT DISTINCT user_id, day FROM sessions WHERE user_id IS NOT NULL AND day <= run_date()
),
active AS (
  SELECT
    d.kpi_date,
    COUNT(DISTINCT CASE WHEN u.day = d.kpi_date THEN u.user_id END) AS daily,
    COUNT(DISTINCT CASE WHEN u.day > d.kpi_date - INTERVAL '7 days' THEN u.user_id END) AS weekly,
    COUNT(DISTINCT u.user_id) AS monthly
  FROM days d
  JOIN user_days u ON u.day <= d.kpi_date AND u.day > d.kpi_date - INTERVAL '30 days'
  GROUP BY d.kpi_date
),
session_days AS (
  SELECT day, SUM(duration_minutes) AS minutes, COUNT(duration_minutes) AS sessions FROM sessions GROUP BY day
),
triage AS (
  SELECT CAST(started_at AS DATE) AS day, COUNT(*) AS symptom_check_ins FROM silver.triage_sessions GROUP BY CAST(started_at AS DATE)
),
vitals AS (
  SELECT CAST(measured_at AS DATE) AS day, COUNT(*) AS vitals_logged FROM silver.vitals GROUP BY CAST(measured_at AS DATE)
),
appointments AS (
  SELECT
    day,
    COUNT(*) AS scheduled,
    COUNT(*) FILTER (WHERE status = 'COMPLETED') AS completed,
    COUNT(*) FILTER (WHERE appointment_type = 'ANNUAL_WELLNESS') AS wellness,
    COUNT(*) FILTER (WHERE appointment_type = 'ANNUAL_WELLNESS' AND status = 'COMPLETED') AS wellness_done
  FROM visits
  GROUP BY day
),
telehealth AS (
  SELECT CAST(started_at AS DATE) AS day, COUNT(*) AS telemedicine_visits FROM silver.telehealth_sessions GROUP BY CAST(started_at AS DATE)
),
prescriptions AS (
  SELECT CAST(issued_at AS DATE) AS day, COUNT(*) AS prescriptions_issued FROM silver.prescriptions GROUP BY CAST(issued_at AS DATE)
),
orders AS (
  SELECT CAST(ordered_at AS DATE) AS day, COUNT(*) AS lab_orders FROM silver.lab_orders GROUP BY CAST(ordered_at AS DATE)
),
enrolled AS (
  SELECT d.kpi_date AS day, COUNT(DISTINCT p.patient_id) AS patients
  FROM days d
  JOIN silver.care_pathways p ON p.initiated_date <= d.kpi_date AND COALESCE(p.ended_date > d.kpi_date, true)
  GROUP BY d.kpi_date
),
ended AS (
  SELECT ended_date AS day, COUNT(*) AS pathways, COUNT(*) FILTER (WHERE status = 'COMPLETED') AS completed
  FROM silver.care_pathways
  GROUP BY ended_date
),
reviewed AS (
  SELECT reviewed_date AS day, COUNT(*) AS diagnoses, COUNT(*) FILTER (WHERE controlled) AS controlled
  FROM silver.diagnoses
  WHERE chronic
  GROUP BY reviewed_date
),
risks AS (
  SELECT
    CAST(scored_at AS DATE) AS day,
    COUNT(*) AS scores,
    COUNT(DISTINCT CASE WHEN band = 'HIGH' AND model <> 'medication_adherence' THEN patient_id END) AS high_risk_patients
  FROM silver.risk_scores
  GROUP BY CAST(scored_at AS DATE)
),
alerts AS (
  SELECT
    CAST(raised_at AS DATE) AS day,
    COUNT(*) FILTER (WHERE severity = 'CRITICAL') AS critical_alerts,
    SUM(response_minutes) FILTER (WHERE response_minutes >= 0) AS minutes,
    COUNT(response_minutes) FILTER (WHERE response_minutes >= 0) AS answered
  FROM silver.device_alerts
  GROUP BY CAST(raised_at AS DATE)
),
tasks AS (
  SELECT CAST(created_at AS DATE) AS day, COUNT(*) AS human_review_tasks FROM silver.review_tasks GROUP BY CAST(created_at AS DATE)
),
submitted AS (
  SELECT CAST(submitted_at AS DATE) AS day, COUNT(*) AS claims_submitted FROM silver.claims GROUP BY CAST(submitted_at AS DATE)
),
decided AS (
  SELECT
    CAST(decided_at AS DATE) AS day,
    COUNT(*) FILTER (WHERE status = 'APPROVED') AS claims_approved,
    COUNT(*) FILTER (WHERE status = 'DENIED') AS claims_denied
  FROM silver.claims
  GROUP BY CAST(decided_at AS DATE)
),
fraud AS (
  SELECT CAST(detected_at AS DATE) AS day, COUNT(*) AS fraud_alerts FROM silver.fraud_alerts GROUP BY CAST(detected_at AS DATE)
),
revenue AS (
  SELECT CAST(paid_at AS DATE) AS day, SUM(amount) AS total_revenue FROM silver.payments GROUP BY CAST(paid_at AS DATE)
),
checks AS (
  SELECT
    CAST(checked_at AS DATE) AS day,
    COUNT(*) AS checks,
    COUNT(*) FILTER (WHERE is_up) AS up,
    SUM(latency_ms) AS latency_sum,
    COUNT(latency_ms) AS latency_count
  FROM silver.service_checks
  GROUP BY CAST(checked_at AS DATE)
),
predictions AS (
  SELECT CAST(decided_at AS DATE) AS day, COUNT(*) AS decisions FROM silver.decisions GROUP BY CAST(decided_at AS DATE)
)
SELECT
  d.kpi_date,
  CAST(COALESCE(u.daily, 0) AS INT) AS daily_active_users,
  CAST(COALESCE(u.weekly, 0) AS INT) AS weekly_active_users,
  CAST(COALESCE(u.monthly, 0) AS INT) AS monthly_active_users,
  CAST((2 * s.minutes + s.sessions) / NULLIF(2 * s.sessions, 0) AS INT) AS avg_session_duration_minutes,
  CAST(COALESCE(t.symptom_check_ins, 0) AS INT) AS symptom_check_ins,
  CAST(COALESCE(v.vitals_logged, 0) AS INT) AS vitals_logged,
  CAST(COALESCE(a.scheduled, 0) AS INT) AS appointments_scheduled,
  CAST(COALESCE(a.completed, 0) AS INT) AS appointments_completed,
  CAST(COALESCE(h.telemedicine_visits, 0) AS INT) AS telemedicine_visits,
  CAST(COALESCE(p.prescriptions_issued, 0) AS INT) AS prescriptions_issued,
  CAST(COALESCE(o.lab_orders, 0) AS INT) AS lab_orders,
  CAST(COALESCE(e.patients, 0) AS INT) AS patients_on_care_pathways,
  CAST(
    CAST((200 * n.completed + n.pathways) / NULLIF(2 * n.pathways, 0) AS DECIMAL(12, 0))
    * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)
  ) AS pathway_completion_rate,
  CAST(
    CAST((200 * w.controlled + w.diagnoses) / NULLIF(2 * w.diagnoses, 0) AS DECIMAL(12, 0))
    * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)
  ) AS chronic_disease_control_rate,
  CAST(
    CAST((200 * a.wellness_done + a.wellness) / NULLIF(2 * a.wellness, 0) AS DECIMAL(12, 0))
    * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(3, 2)
  ) AS preventive_screening_rate,
  CAST(COALESCE(r.high_risk_patients, 0) AS INT) AS high_risk_patients,
  CAST(COALESCE(l.critical_alerts, 0) AS INT) AS critical_alerts,
  CAST(COALESCE(k.human_review_tasks, 0) AS INT) AS human_review_tasks,
  CAST((2 * l.minutes + l.answered) / NULLIF(2 * l.answered, 0) AS INT) AS average_alert_response_time_minutes,
  CAST(COALESCE(m.claims_submitted, 0) AS INT) AS claims_submitted,
  CAST(COALESCE(c.claims_approved, 0) AS INT) AS claims_approved,
  CAST(COALESCE(c.claims_denied, 0) AS INT) AS claims_denied,
  CAST(COALESCE(f.fraud_alerts, 0) AS INT) AS fraud_alerts,
  CAST(COALESCE(y.total_revenue, 0) AS DECIMAL(12, 2)) AS total_revenue,
  CAST(
    CAST((20000 * x.up + x.checks) / NULLIF(2 * x.checks, 0) AS DECIMAL(12, 0))
    * CAST('0.01' AS DECIMAL(3, 2)) AS DECIMAL(5, 2)
  ) AS system_uptime_percent,
  CAST((2 * x.latency_sum + x.latency_count) / NULLIF(2 * x.latency_count, 0) AS INT) AS avg_api_latency_ms,
  CAST(COALESCE(q.decisions, 0) + COALESCE(r.scores, 0) AS INT) AS ml_model_predictions
FROM days d
LEFT JOIN active u ON u.kpi_date = d.kpi_date
LEFT JOIN session_days s ON s.day = d.kpi_date
LEFT JOIN triage t ON t.day = d.kpi_date
LEFT JOIN vitals v ON v.day = d.kpi_date
LEFT JOIN appointments a ON a.day = d.kpi_date
LEFT JOIN telehealth h ON h.day = d.kpi_date
LEFT JOIN prescriptions p ON p.day = d.kpi_date
LEFT JOIN orders o ON o.day = d.kpi_date
LEFT JOIN enrolled e ON e.day = d.kpi_date
LEFT JOIN ended n ON n.day = d.kpi_date
LEFT JOIN reviewed w ON w.day = d.kpi_date
LEFT JOIN risks r ON r.day = d.kpi_date
LEFT JOIN alerts l ON l.day = d.kpi_date
LEFT JOIN tasks k ON k.day = d.kpi_date
LEFT JOIN submitted m ON m.day = d.kpi_date
LEFT JOIN decided c ON c.day = d.kpi_date
LEFT JOIN fraud f ON f.day = d.kpi_date
LEFT JOIN revenue y ON y.day = d.kpi_date
LEFT JOIN checks x ON x.day = d.kpi_date
LEFT JOIN predictions q ON q.day = d.kpi_date
