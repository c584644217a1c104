-- name: two-breakouts
SELECT "toy"."orders"."status" AS "status", DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) AS "day", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY "toy"."orders"."status", DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) ORDER BY "toy"."orders"."status" ASC, DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) ASC;

-- name: pivot-rows
SELECT "toy"."orders"."status" AS "g", 1 AS "pivot-grouping", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" GROUP BY "toy"."orders"."status", 2 ORDER BY "toy"."orders"."status" ASC;

-- name: pivot-columns
SELECT "toy"."orders"."paid" AS "g", 1 AS "pivot-grouping", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" GROUP BY "toy"."orders"."paid", 2 ORDER BY "toy"."orders"."paid" ASC;

-- name: pivot-cells
SELECT "toy"."orders"."status" AS "status", "toy"."orders"."paid" AS "paid", ABS(0) AS "pivot-grouping", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" GROUP BY "toy"."orders"."status", "toy"."orders"."paid", ABS(0) ORDER BY "toy"."orders"."status" ASC, "toy"."orders"."paid" ASC;

-- name: pivot-total
SELECT ABS(3) AS "pivot-grouping", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" GROUP BY ABS(3);

-- name: grouping-sets
SELECT "toy"."orders"."status" AS "status", "toy"."orders"."paid" AS "paid", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY GROUPING SETS (("toy"."orders"."status", "toy"."orders"."paid"), ("toy"."orders"."status"), ()) ORDER BY 1, 2;

-- name: rollup
SELECT "toy"."orders"."status" AS "status", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY ROLLUP ("toy"."orders"."status") ORDER BY 1;

-- name: rank
SELECT * FROM (SELECT "toy"."orders"."customer_id" AS "customer_id", SUM("toy"."orders"."amount") AS "sum", RANK() OVER (ORDER BY SUM("toy"."orders"."amount") DESC) AS "rank" FROM "toy"."orders" GROUP BY "toy"."orders"."customer_id") AS "q" WHERE "rank" <= 5 ORDER BY "rank" ASC, "customer_id" ASC;

-- name: share-of-total
SELECT "toy"."orders"."status" AS "status", CAST(SUM("toy"."orders"."amount") AS DOUBLE PRECISION) / CAST(SUM(SUM("toy"."orders"."amount")) OVER () AS DOUBLE PRECISION) AS "share" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY 1;

-- name: moving-average
SELECT "day", AVG("n") OVER (ORDER BY "day" ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS "avg" FROM (SELECT "toy"."orders"."day" AS "day", CAST(COUNT(*) AS DOUBLE PRECISION) AS "n" FROM "toy"."orders" GROUP BY "toy"."orders"."day") AS "q" ORDER BY "day" ASC LIMIT 30;

-- name: having
SELECT "toy"."orders"."customer_id" AS "customer_id", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY "toy"."orders"."customer_id" HAVING COUNT(*) > 89 ORDER BY "count" DESC, "toy"."orders"."customer_id" ASC LIMIT 10;

-- name: order-by-aggregate
SELECT "toy"."orders"."status" AS "status", AVG("toy"."orders"."discount") AS "avg" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "avg" DESC, "toy"."orders"."status" ASC LIMIT 2000;

-- name: distinct-rows
SELECT DISTINCT "toy"."orders"."status", "toy"."orders"."paid" FROM "toy"."orders" ORDER BY 1, 2;

-- name: union
(SELECT 'new' AS "k", COUNT(*) AS "n" FROM "toy"."orders" WHERE "toy"."orders"."status" = 'new') UNION ALL (SELECT 'sent', COUNT(*) FROM "toy"."orders" WHERE "toy"."orders"."status" = 'sent') ORDER BY 1;
