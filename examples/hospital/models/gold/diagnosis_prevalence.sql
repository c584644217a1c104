/*---
kind: view
description: Which conditions patients have now.
owner: clinical-data@hospital.example
tags: [hospital]
columns:
  patients:   {description: "distinct patients with an active diagnosis of the code"}
  controlled: {description: "... of whom it is under control"}
---*/
SELECT
  icd10_code,
  MIN(condition) AS condition,
  CAST(COUNT(DISTINCT patient_id) AS INT) AS patients,
  CAST(COUNT(DISTINCT CASE WHEN controlled THEN patient_id END) AS INT) AS controlled
FROM silver.diagnoses
WHERE status = 'ACTIVE' AND icd10_code IS NOT NULL
GROUP BY icd10_code
