-- name: concat
SELECT "toy"."orders"."id" AS "id", CONCAT("toy"."orders"."status", '-', "toy"."orders"."customer_id") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: substring
SELECT "toy"."orders"."id" AS "id", SUBSTRING("toy"."orders"."status", 1, 2) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: upper
SELECT "toy"."orders"."id" AS "id", UPPER("toy"."orders"."status") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: trim
SELECT "toy"."orders"."id" AS "id", TRIM("toy"."orders"."status") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: replace
SELECT "toy"."orders"."id" AS "id", REPLACE("toy"."orders"."status", 'e', 'E') AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: length
SELECT "toy"."orders"."id" AS "id", LENGTH("toy"."orders"."status") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: regex-extract
SELECT "toy"."orders"."id" AS "id", SUBSTRING("toy"."orders"."status" FROM '[a-z]e') AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: split
SELECT "toy"."orders"."id" AS "id", SPLIT_PART("toy"."orders"."status", 'e', 1) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: coalesce
SELECT "toy"."orders"."id" AS "id", COALESCE("toy"."orders"."discount", 0.0) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: case
SELECT "toy"."orders"."id" AS "id", CASE WHEN "toy"."orders"."amount" > 1 THEN 'big' WHEN "toy"."orders"."amount" > 0.5 THEN 'mid' ELSE 'small' END AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: abs
SELECT "toy"."orders"."id" AS "id", ABS("toy"."orders"."amount" - 10) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: ceil
SELECT "toy"."orders"."id" AS "id", CEIL("toy"."orders"."amount") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: floor
SELECT "toy"."orders"."id" AS "id", FLOOR("toy"."orders"."amount") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: round
SELECT "toy"."orders"."id" AS "id", ROUND("toy"."orders"."amount") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: round-digits
SELECT "toy"."orders"."id" AS "id", ROUND("toy"."orders"."amount", 1) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: round-float
SELECT "toy"."orders"."id" AS "id", ROUND("toy"."orders"."discount") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: power
SELECT "toy"."orders"."id" AS "id", POWER("toy"."orders"."discount", 2) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: sqrt
SELECT "toy"."orders"."id" AS "id", SQRT("toy"."orders"."discount") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: log
SELECT "toy"."orders"."id" AS "id", LOG(10, CAST("toy"."orders"."id" + 1 AS numeric)) > 0 AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: exp
SELECT "toy"."orders"."id" AS "id", EXP("toy"."orders"."discount") >= 1 AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: divide
SELECT "toy"."orders"."id" AS "id", CAST("toy"."orders"."amount" AS DOUBLE PRECISION) / NULLIF("toy"."orders"."discount", 0) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: modulo
SELECT "toy"."orders"."id" AS "id", "toy"."orders"."id" % 7 AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: cast-text
SELECT "toy"."orders"."id" AS "id", CAST("toy"."orders"."amount" AS TEXT) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: cast-day
SELECT "toy"."orders"."id" AS "id", CAST("toy"."orders"."day" AS TEXT) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: cast-instant
SELECT "toy"."orders"."id" AS "id", CAST("toy"."orders"."ordered_at" AS TEXT) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: cast-bool
SELECT "toy"."orders"."id" AS "id", CAST("toy"."orders"."paid" AS TEXT) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: cast-float
SELECT "toy"."orders"."id" AS "id", CAST("toy"."orders"."discount" AS TEXT) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: cast-integer
SELECT "toy"."orders"."id" AS "id", CAST("toy"."orders"."amount" AS integer) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: cast-float-integer
SELECT "toy"."orders"."id" AS "id", CAST("toy"."orders"."discount" AS integer) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: to-number
SELECT "toy"."orders"."id" AS "id", CAST('12' AS integer) + "toy"."orders"."id" AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: add-days
SELECT "toy"."orders"."id" AS "id", (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '3 day') AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: subtract-months
SELECT "toy"."orders"."id" AS "id", (CAST("toy"."orders"."day" AS timestamp) - INTERVAL '1 month') AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: diff-days
SELECT "toy"."orders"."id" AS "id", CAST(EXTRACT(day FROM (CAST("toy"."orders"."ordered_at" AS timestamp) - CAST("toy"."orders"."day" AS timestamp))) AS integer) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: diff-months
SELECT "toy"."orders"."id" AS "id", CAST(EXTRACT(year FROM AGE(CAST("toy"."orders"."day" AS timestamp), timestamp '2020-01-15')) * 12 + EXTRACT(month FROM AGE(CAST("toy"."orders"."day" AS timestamp), timestamp '2020-01-15')) AS integer) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: diff-seconds
SELECT "toy"."orders"."id" AS "id", CAST(EXTRACT(epoch FROM (CAST("toy"."orders"."ordered_at" AS timestamp) - CAST("toy"."orders"."day" AS timestamp))) AS bigint) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: epoch
SELECT "toy"."orders"."id" AS "id", EXTRACT(epoch FROM CAST("toy"."orders"."ordered_at" AS timestamp)) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: day-name
SELECT "toy"."orders"."id" AS "id", TO_CHAR(CAST("toy"."orders"."day" AS timestamp), 'FMDay') AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: month-name
SELECT "toy"."orders"."id" AS "id", TO_CHAR(CAST("toy"."orders"."day" AS timestamp), 'Mon YYYY') AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: quarter-name
SELECT "toy"."orders"."id" AS "id", TO_CHAR(CAST("toy"."orders"."day" AS timestamp), '"Q"Q YYYY') AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: number-format
SELECT "toy"."orders"."id" AS "id", TO_CHAR("toy"."orders"."amount", 'FM999,990.00') AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: make-date
SELECT "toy"."orders"."id" AS "id", MAKE_DATE(CAST(EXTRACT(year FROM "toy"."orders"."day") AS integer), 1, 1) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: array-length
SELECT "toy"."orders"."id" AS "id", ARRAY_LENGTH("toy"."orders"."tags", 1) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: array-item
SELECT "toy"."orders"."id" AS "id", ("toy"."orders"."tags")[1] AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: json-text
SELECT "toy"."orders"."id" AS "id", '{"a": {"b": 5}}'::jsonb -> 'a' ->> 'b' AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: json-path
SELECT "toy"."orders"."id" AS "id", CAST(('{"a": {"b": 5}}'::jsonb #>> ARRAY['a', 'b']::text[]) AS bigint) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: convert-zone
SELECT "toy"."orders"."id" AS "id", timezone('Asia/Tokyo', "toy"."orders"."ordered_at") AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: greatest
-- differs: decimals in one column have the same digits behind the point
SELECT "toy"."orders"."id" AS "id", GREATEST("toy"."orders"."amount", 5) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;

-- name: is-null
SELECT "toy"."orders"."id" AS "id", ("toy"."orders"."discount" IS NULL) AS "e" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 15;
