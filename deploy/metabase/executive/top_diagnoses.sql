SELECT condition, SUM(patients) AS patients
FROM gold.diagnosis_prevalence
GROUP BY condition
ORDER BY patients DESC, condition
LIMIT 10
