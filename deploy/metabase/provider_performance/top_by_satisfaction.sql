SELECT provider, specialty, ROUND(SUM(rating_sum) / NULLIF(SUM(review_count), 0), 2) AS satisfaction, SUM(review_count) AS reviews
FROM gold.provider_scorecard
WHERE review_count > 0 [[AND {{provider_day}}]] [[AND {{specialty}}]]
GROUP BY provider, specialty
ORDER BY satisfaction DESC, reviews DESC, provider
LIMIT 10
