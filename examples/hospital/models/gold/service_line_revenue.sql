/*---
kind: view
description: What was paid, by day and by the specialty of the provider who is invoiced for.
owner: finance@hospital.example
tags: [hospital]
columns:
  day:          {description: "day (UTC) of payments.paid_at"}
  service_line: {description: "providers.specialty; Other where the invoice names nobody"}
  revenue:      {description: "sum of payments.amount"}
  payments:     {description: "how many"}
---*/
SELECT
  CAST(p.paid_at AS DATE) AS day,
  COALESCE(r.specialty, 'Other') AS service_line,
  CAST(SUM(p.amount) AS DECIMAL(14, 2)) AS revenue,
  CAST(COUNT(*) AS INT) AS payments
FROM silver.payments p
LEFT JOIN silver.billing_invoices i ON i.invoice_id = p.invoice_id
LEFT JOIN silver.providers r ON r.provider_id = i.provider_id
WHERE p.paid_at IS NOT NULL
GROUP BY CAST(p.paid_at AS DATE), COALESCE(r.specialty, 'Other')
