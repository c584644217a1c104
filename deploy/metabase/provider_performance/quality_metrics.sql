SELECT
  provider,
  ROUND(CAST(AVG(CAST(chronic_disease_control_rate AS DOUBLE PRECISION)) AS numeric), 4) AS disease_control,
  ROUND(CAST(AVG(CAST(preventive_care_completion_rate AS DOUBLE PRECISION)) AS numeric), 4) AS preventive_care
FROM gold.provider_scorecard
WHERE TRUE [[AND {{provider_day}}]] [[AND {{specialty}}]]
GROUP BY provider
ORDER BY disease_control DESC NULLS LAST, provider
