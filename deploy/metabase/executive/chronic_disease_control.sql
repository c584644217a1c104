SELECT ROUND(CAST(AVG(CAST(chronic_disease_control_rate AS DOUBLE PRECISION)) AS numeric), 4) AS controlled
FROM gold.operational_kpis
WHERE TRUE [[AND {{day}}]]
