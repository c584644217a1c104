/*---
kind: view
description: One row for each measured value, those out of range left out.
owner: clinical-data@hospital.example
tags: [phi, hospital]
---*/
SELECT vital_id, patient_id, measured_at AS measurement_timestamp, 'BP_SYSTOLIC' AS vital_type,
  CAST(bp_systolic AS DECIMAL(10, 2)) AS value, 'mmHg' AS unit, source
FROM silver.vitals WHERE bp_systolic BETWEEN 70 AND 250
UNION ALL
SELECT vital_id, patient_id, measured_at, 'BP_DIASTOLIC', CAST(bp_diastolic AS DECIMAL(10, 2)), 'mmHg', source
FROM silver.vitals WHERE bp_diastolic BETWEEN 40 AND 150
UNION ALL
SELECT vital_id, patient_id, measured_at, 'HR', CAST(heart_rate AS DECIMAL(10, 2)), 'bpm', source
FROM silver.vitals WHERE heart_rate BETWEEN 30 AND 220
UNION ALL
SELECT vital_id, patient_id, measured_at, 'WEIGHT', CAST(weight_lbs AS DECIMAL(10, 2)), 'lb', source
FROM silver.vitals WHERE weight_lbs IS NOT NULL
UNION ALL
SELECT vital_id, patient_id, measured_at, 'SPO2', value, '%', source
FROM silver.vitals WHERE vital_type = 'SPO2' AND value BETWEEN 50 AND 100
