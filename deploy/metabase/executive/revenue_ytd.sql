SELECT COALESCE(SUM(total_revenue), 0) AS revenue
FROM gold.operational_kpis
WHERE kpi_date >= CAST(DATE_TRUNC('year', CURRENT_DATE) AS date)
