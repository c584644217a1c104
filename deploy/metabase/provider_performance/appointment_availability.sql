SELECT
  provider,
  CAST(SUM(same_day_appointment_availability * appointments_scheduled) AS DOUBLE PRECISION) / NULLIF(SUM(appointments_scheduled), 0) AS rate
FROM gold.provider_scorecard
WHERE TRUE [[AND {{provider_day}}]] [[AND {{specialty}}]]
GROUP BY provider
ORDER BY rate DESC NULLS LAST, provider
