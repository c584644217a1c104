-- name: count
SELECT COUNT(*) AS "count" FROM "toy"."orders";

-- name: count-by-status
SELECT "toy"."orders"."status" AS "status", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: count-field
SELECT COUNT("toy"."orders"."discount") AS "count" FROM "toy"."orders";

-- name: count-field-by-status
SELECT "toy"."orders"."status" AS "status", COUNT("toy"."orders"."discount") AS "count" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: distinct
SELECT COUNT(DISTINCT "toy"."orders"."customer_id") AS "count" FROM "toy"."orders";

-- name: distinct-by-status
SELECT "toy"."orders"."status" AS "status", COUNT(DISTINCT "toy"."orders"."customer_id") AS "count" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: sum
SELECT SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders";

-- name: sum-by-status
SELECT "toy"."orders"."status" AS "status", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: avg-float
SELECT AVG("toy"."orders"."discount") AS "avg" FROM "toy"."orders";

-- name: avg-float-by-status
SELECT "toy"."orders"."status" AS "status", AVG("toy"."orders"."discount") AS "avg" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: min
SELECT MIN("toy"."orders"."ordered_at") AS "min" FROM "toy"."orders";

-- name: min-by-status
SELECT "toy"."orders"."status" AS "status", MIN("toy"."orders"."ordered_at") AS "min" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: max
SELECT MAX("toy"."orders"."day") AS "max" FROM "toy"."orders";

-- name: max-by-status
SELECT "toy"."orders"."status" AS "status", MAX("toy"."orders"."day") AS "max" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: stddev
SELECT ROUND(CAST(STDDEV_POP("toy"."orders"."discount") AS numeric), 8) AS "stddev" FROM "toy"."orders";

-- name: stddev-by-status
SELECT "toy"."orders"."status" AS "status", ROUND(CAST(STDDEV_POP("toy"."orders"."discount") AS numeric), 8) AS "stddev" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: var
SELECT ROUND(CAST(VAR_POP("toy"."orders"."discount") AS numeric), 8) AS "var" FROM "toy"."orders";

-- name: var-by-status
SELECT "toy"."orders"."status" AS "status", ROUND(CAST(VAR_POP("toy"."orders"."discount") AS numeric), 8) AS "var" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: median
SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY "toy"."orders"."discount") AS "median" FROM "toy"."orders";

-- name: median-by-status
SELECT "toy"."orders"."status" AS "status", PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY "toy"."orders"."discount") AS "median" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: percentile
SELECT PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY "toy"."orders"."discount") AS "percentile" FROM "toy"."orders";

-- name: percentile-by-status
SELECT "toy"."orders"."status" AS "status", PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY "toy"."orders"."discount") AS "percentile" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: count-where
SELECT SUM(CASE WHEN "toy"."orders"."amount" > 50 THEN 1 ELSE 0.0 END) AS "count-where" FROM "toy"."orders";

-- name: count-where-by-status
SELECT "toy"."orders"."status" AS "status", SUM(CASE WHEN "toy"."orders"."amount" > 50 THEN 1 ELSE 0.0 END) AS "count-where" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: sum-where
SELECT SUM(CASE WHEN "toy"."orders"."status" = 'new' THEN "toy"."orders"."amount" ELSE 0.0 END) AS "sum-where" FROM "toy"."orders";

-- name: sum-where-by-status
-- differs: decimals in one column have the same digits behind the point
SELECT "toy"."orders"."status" AS "status", SUM(CASE WHEN "toy"."orders"."status" = 'new' THEN "toy"."orders"."amount" ELSE 0.0 END) AS "sum-where" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: share
SELECT CAST(SUM(CASE WHEN "toy"."orders"."paid" = TRUE THEN 1 ELSE 0.0 END) AS DOUBLE PRECISION) / COUNT(*) AS "share" FROM "toy"."orders";

-- name: share-by-status
SELECT "toy"."orders"."status" AS "status", CAST(SUM(CASE WHEN "toy"."orders"."paid" = TRUE THEN 1 ELSE 0.0 END) AS DOUBLE PRECISION) / COUNT(*) AS "share" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: distinct-where
SELECT COUNT(DISTINCT CASE WHEN "toy"."orders"."paid" THEN "toy"."orders"."customer_id" ELSE NULL END) AS "distinct-where" FROM "toy"."orders";

-- name: distinct-where-by-status
SELECT "toy"."orders"."status" AS "status", COUNT(DISTINCT CASE WHEN "toy"."orders"."paid" THEN "toy"."orders"."customer_id" ELSE NULL END) AS "distinct-where" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: expression
SELECT SUM("toy"."orders"."amount") - SUM("toy"."orders"."discount") AS "expression" FROM "toy"."orders";

-- name: expression-by-status
SELECT "toy"."orders"."status" AS "status", SUM("toy"."orders"."amount") - SUM("toy"."orders"."discount") AS "expression" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: ratio
SELECT CAST(SUM("toy"."orders"."amount") AS DOUBLE PRECISION) / NULLIF(COUNT(*), 0) AS "expression" FROM "toy"."orders";

-- name: ratio-by-status
SELECT "toy"."orders"."status" AS "status", CAST(SUM("toy"."orders"."amount") AS DOUBLE PRECISION) / NULLIF(COUNT(*), 0) AS "expression" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: cumulative-count
SELECT "toy"."orders"."day" AS "day", SUM(COUNT(*)) OVER (ORDER BY "toy"."orders"."day" ASC ROWS UNBOUNDED PRECEDING) AS "count" FROM "toy"."orders" GROUP BY "toy"."orders"."day" ORDER BY "toy"."orders"."day" ASC LIMIT 50;

-- name: cumulative-sum
SELECT "toy"."orders"."status" AS "status", SUM(SUM("toy"."orders"."amount")) OVER (ORDER BY "toy"."orders"."status" ASC ROWS UNBOUNDED PRECEDING) AS "sum" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC;

-- name: offset-lag
WITH "q" AS (SELECT DATE_TRUNC('month', "toy"."orders"."day"::timestamp) AS "m", COUNT(*) AS "n" FROM "toy"."orders" GROUP BY 1) SELECT "m", "n", LAG("n", 1) OVER (ORDER BY "m" ASC) AS "before" FROM "q" ORDER BY "m" ASC;
