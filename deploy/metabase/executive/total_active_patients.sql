SELECT COUNT(*) AS patients FROM gold.patient_360
