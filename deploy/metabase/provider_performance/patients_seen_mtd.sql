SELECT provider, SUM(patients_seen) AS patients_seen
FROM gold.provider_scorecard
WHERE metric_date >= CAST(DATE_TRUNC('month', CURRENT_DATE) AS date) [[AND {{specialty}}]]
GROUP BY provider
ORDER BY patients_seen DESC, provider
