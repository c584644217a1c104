SELECT COALESCE(SUM(total_revenue), 0) AS revenue
FROM gold.operational_kpis
WHERE kpi_date >= CAST(DATE_TRUNC('month', CURRENT_DATE) AS date)
