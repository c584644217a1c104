SELECT provider, SUM(total_charges) AS revenue
FROM gold.provider_scorecard
WHERE TRUE [[AND {{provider_day}}]] [[AND {{specialty}}]]
GROUP BY provider
ORDER BY revenue DESC NULLS LAST, provider
