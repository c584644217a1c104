/*---
kind: view
description: How insurers decide, by payer.
owner: claims@hospital.example
tags: [hospital]
---*/
SELECT
  y.payer_id,
  y.name AS payer,
  COUNT(*) AS decided,
  COUNT(*) FILTER (WHERE c.status = 'DENIED') AS denied,
  SUM(c.amount) AS amount
FROM silver.claims c
JOIN silver.insurance_policies p ON p.policy_id = c.policy_id
JOIN silver.payers y ON y.payer_id = p.payer_id
WHERE c.status IN ('APPROVED', 'DENIED')
GROUP BY y.payer_id, y.name
