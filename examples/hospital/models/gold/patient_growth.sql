/*---
kind: view
description: How many patients there are, by the day on which they were registered.
owner: operations@hospital.example
tags: [hospital]
columns:
  day:            {description: "day (UTC) of users.created_at of users with role PATIENT"}
  new_patients:   {description: "registered that day"}
  total_patients: {description: "registered until the end of it"}
---*/
SELECT
  day,
  CAST(new_patients AS INT) AS new_patients,
  CAST(SUM(new_patients) OVER (ORDER BY day) AS INT) AS total_patients
FROM (
  SELECT CAST(created_at AS DATE) AS day, COUNT(*) AS new_patients
  FROM silver.users
  WHERE role = 'PATIENT' AND created_at IS NOT NULL
  GROUP BY CAST(created_at AS DATE)
) AS days
