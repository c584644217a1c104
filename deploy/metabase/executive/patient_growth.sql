SELECT day, MAX(total_patients) AS patients
FROM gold.patient_growth
GROUP BY day
ORDER BY day
