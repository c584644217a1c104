SELECT daily_active_users
FROM gold.operational_kpis
WHERE kpi_date = (SELECT MAX(kpi_date) FROM gold.operational_kpis)
