SELECT provider, ROUND(SUM(rating_sum) / NULLIF(SUM(review_count), 0), 2) AS satisfaction
FROM gold.provider_scorecard
WHERE review_count > 0 [[AND {{provider_day}}]] [[AND {{specialty}}]]
GROUP BY provider
ORDER BY satisfaction DESC, provider
