-- name: equal
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."status" = 'new';

-- name: not-equal-or-null
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (("toy"."orders"."status" <> 'new') OR ("toy"."orders"."status" IS NULL));

-- name: in
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (("toy"."orders"."status" = 'new') OR ("toy"."orders"."status" = 'sent'));

-- name: in-list
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."status" IN ('new', 'sent');

-- name: not-in-list
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."status" NOT IN ('new', 'sent');

-- name: is-null
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."discount" IS NULL;

-- name: not-null
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."discount" IS NOT NULL;

-- name: is-empty
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (("toy"."orders"."status" IS NULL) OR ("toy"."orders"."status" = ''));

-- name: not-empty
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (("toy"."orders"."status" IS NOT NULL) AND (("toy"."orders"."status" <> '') OR ("toy"."orders"."status" IS NULL)));

-- name: contains
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (LOWER("toy"."orders"."status") LIKE '%e%');

-- name: contains-case
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE ("toy"."orders"."status" LIKE '%e%');

-- name: not-contains
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (NOT (LOWER("toy"."orders"."status") LIKE '%e%') OR ("toy"."orders"."status" IS NULL));

-- name: starts-with
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE ("toy"."orders"."status" LIKE 'ne%');

-- name: ends-with
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (LOWER("toy"."orders"."status") LIKE '%t');

-- name: escaped
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE ("toy"."orders"."status" LIKE '%\_%');

-- name: less
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."amount" < 10;

-- name: between
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."amount" BETWEEN 10.5 AND 20;

-- name: float-between
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."discount" BETWEEN 0.5 AND 1.5;

-- name: true
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."paid" = TRUE;

-- name: false
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."paid" = FALSE;

-- name: not
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE NOT ("toy"."orders"."paid" = TRUE);

-- name: day-equal
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (CAST("toy"."orders"."day" AS timestamp) >= timestamp '2024-03-01 00:00:00.000') AND (CAST("toy"."orders"."day" AS timestamp) < timestamp '2024-03-02 00:00:00.000');

-- name: day-range
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."day" BETWEEN date '2024-03-01' AND date '2024-03-31';

-- name: instant-range
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE ("toy"."orders"."ordered_at" >= timestamp with time zone '2024-03-01 00:00:00.000Z') AND ("toy"."orders"."ordered_at" < timestamp with time zone '2024-04-01 00:00:00.000Z');

-- name: month-of
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) = DATE_TRUNC('month', CAST(timestamp '2024-05-17 00:00:00' AS timestamp));

-- name: past-days
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (CAST("toy"."orders"."day" AS timestamp) >= CAST((CAST(NOW() AS timestamp) + INTERVAL '-30 day') AS date)) AND (CAST("toy"."orders"."day" AS timestamp) < CAST(NOW() AS date));

-- name: past-year
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (CAST("toy"."orders"."day" AS timestamp) >= DATE_TRUNC('year', (NOW() + INTERVAL '-1 year')) ) AND (CAST("toy"."orders"."day" AS timestamp) < DATE_TRUNC('year', NOW()));

-- name: this-month
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) = DATE_TRUNC('month', CAST(NOW() AS timestamp));

-- name: exclude-weekdays
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE CAST(EXTRACT(dow FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) NOT IN (0, 6);

-- name: compound
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE (("toy"."orders"."amount" > 10) AND (("toy"."orders"."status" = 'new') OR ("toy"."orders"."paid" = TRUE)) AND ("toy"."orders"."discount" IS NOT NULL));

-- name: column-compare
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."amount" > "toy"."orders"."discount";

-- name: in-subquery
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."customer_id" IN (SELECT "toy"."customers"."id" FROM "toy"."customers" WHERE "toy"."customers"."mood" = 'low');

-- name: exists
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE EXISTS (SELECT 1 FROM "toy"."customers" WHERE "toy"."customers"."id" = "toy"."orders"."customer_id" AND "toy"."customers"."id" < 10);

-- name: regex
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."status" ~ '^(new|sent)$';

-- name: array-any
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE 'a' = ANY("toy"."orders"."tags");

-- name: bound-text
-- params: new
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."status" = $1;

-- name: bound-number
-- params: 50
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."amount" > $1;

-- name: bound-day
-- params: 2024-06-01
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."day" >= $1;

-- name: bound-instant
-- params: 2024-06-01 00:00:00+00
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."ordered_at" < $1;

-- name: bound-many
-- params: new | sent | 10 | 60
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."status" IN ($1, $2) AND "toy"."orders"."amount" BETWEEN $3 AND $4;

-- name: bound-ten
-- params: 7 | 14 | 21 | 28 | 35 | 42 | 49 | 56 | 63 | 70 | 77
SELECT COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" WHERE "toy"."orders"."id" = $1 OR "toy"."orders"."id" = $2 OR "toy"."orders"."id" = $3 OR "toy"."orders"."id" = $4 OR "toy"."orders"."id" = $5 OR "toy"."orders"."id" = $6 OR "toy"."orders"."id" = $7 OR "toy"."orders"."id" = $8 OR "toy"."orders"."id" = $9 OR "toy"."orders"."id" = $10 OR "toy"."orders"."id" = $11;
