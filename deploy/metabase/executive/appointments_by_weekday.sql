SELECT TO_CHAR(kpi_date, 'ID Dy') AS weekday, SUM(appointments_scheduled) AS appointments
FROM gold.operational_kpis
WHERE TRUE [[AND {{day}}]]
GROUP BY TO_CHAR(kpi_date, 'ID Dy')
ORDER BY weekday
