SELECT service_line, SUM(revenue) AS revenue
FROM gold.service_line_revenue
WHERE TRUE [[AND {{paid_day}}]]
GROUP BY service_line
ORDER BY revenue DESC, service_line
