-- name: minute-of-timestamptz
SELECT DATE_TRUNC('minute', "toy"."orders"."ordered_at") AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('minute', "toy"."orders"."ordered_at") ORDER BY DATE_TRUNC('minute', "toy"."orders"."ordered_at") ASC LIMIT 40;

-- name: hour-of-timestamptz
SELECT DATE_TRUNC('hour', "toy"."orders"."ordered_at") AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('hour', "toy"."orders"."ordered_at") ORDER BY DATE_TRUNC('hour', "toy"."orders"."ordered_at") ASC LIMIT 40;

-- name: day-of-timestamptz
SELECT DATE_TRUNC('day', "toy"."orders"."ordered_at") AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('day', "toy"."orders"."ordered_at") ORDER BY DATE_TRUNC('day', "toy"."orders"."ordered_at") ASC LIMIT 40;

-- name: day-of-date
SELECT DATE_TRUNC('day', CAST("toy"."orders"."day" AS timestamp)) AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('day', CAST("toy"."orders"."day" AS timestamp)) ORDER BY DATE_TRUNC('day', CAST("toy"."orders"."day" AS timestamp)) ASC LIMIT 40;

-- name: month-of-timestamptz
SELECT DATE_TRUNC('month', "toy"."orders"."ordered_at") AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('month', "toy"."orders"."ordered_at") ORDER BY DATE_TRUNC('month', "toy"."orders"."ordered_at") ASC LIMIT 40;

-- name: month-of-date
SELECT DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) ORDER BY DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) ASC LIMIT 40;

-- name: quarter-of-timestamptz
SELECT DATE_TRUNC('quarter', "toy"."orders"."ordered_at") AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('quarter', "toy"."orders"."ordered_at") ORDER BY DATE_TRUNC('quarter', "toy"."orders"."ordered_at") ASC LIMIT 40;

-- name: quarter-of-date
SELECT DATE_TRUNC('quarter', CAST("toy"."orders"."day" AS timestamp)) AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('quarter', CAST("toy"."orders"."day" AS timestamp)) ORDER BY DATE_TRUNC('quarter', CAST("toy"."orders"."day" AS timestamp)) ASC LIMIT 40;

-- name: year-of-timestamptz
SELECT DATE_TRUNC('year', "toy"."orders"."ordered_at") AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('year', "toy"."orders"."ordered_at") ORDER BY DATE_TRUNC('year', "toy"."orders"."ordered_at") ASC LIMIT 40;

-- name: year-of-date
SELECT DATE_TRUNC('year', CAST("toy"."orders"."day" AS timestamp)) AS "at", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY DATE_TRUNC('year', CAST("toy"."orders"."day" AS timestamp)) ORDER BY DATE_TRUNC('year', CAST("toy"."orders"."day" AS timestamp)) ASC LIMIT 40;

-- name: day-as-date
SELECT CAST(DATE_TRUNC('day', CAST("toy"."orders"."day" AS timestamp)) AS date) AS "day", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" GROUP BY CAST(DATE_TRUNC('day', CAST("toy"."orders"."day" AS timestamp)) AS date) ORDER BY CAST(DATE_TRUNC('day', CAST("toy"."orders"."day" AS timestamp)) AS date) ASC LIMIT 40;

-- name: month-as-date
SELECT CAST(DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) AS date) AS "day", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" GROUP BY CAST(DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) AS date) ORDER BY CAST(DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) AS date) ASC LIMIT 40;

-- name: quarter-as-date
SELECT CAST(DATE_TRUNC('quarter', CAST("toy"."orders"."day" AS timestamp)) AS date) AS "day", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" GROUP BY CAST(DATE_TRUNC('quarter', CAST("toy"."orders"."day" AS timestamp)) AS date) ORDER BY CAST(DATE_TRUNC('quarter', CAST("toy"."orders"."day" AS timestamp)) AS date) ASC LIMIT 40;

-- name: year-as-date
SELECT CAST(DATE_TRUNC('year', CAST("toy"."orders"."day" AS timestamp)) AS date) AS "day", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" GROUP BY CAST(DATE_TRUNC('year', CAST("toy"."orders"."day" AS timestamp)) AS date) ORDER BY CAST(DATE_TRUNC('year', CAST("toy"."orders"."day" AS timestamp)) AS date) ASC LIMIT 40;

-- name: week-shifted-1
SELECT (CAST(DATE_TRUNC('week', (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '1 day')) AS timestamp) + INTERVAL '-1 day') AS "week", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY (CAST(DATE_TRUNC('week', (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '1 day')) AS timestamp) + INTERVAL '-1 day') ORDER BY (CAST(DATE_TRUNC('week', (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '1 day')) AS timestamp) + INTERVAL '-1 day') ASC;

-- name: week-shifted-6
SELECT (CAST(DATE_TRUNC('week', (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '6 day')) AS timestamp) + INTERVAL '-6 day') AS "week", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY (CAST(DATE_TRUNC('week', (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '6 day')) AS timestamp) + INTERVAL '-6 day') ORDER BY (CAST(DATE_TRUNC('week', (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '6 day')) AS timestamp) + INTERVAL '-6 day') ASC;

-- name: week-as-date
SELECT CAST((CAST(DATE_TRUNC('week', (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '1 day')) AS timestamp) + INTERVAL '-1 day') AS date) AS "day", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST((CAST(DATE_TRUNC('week', (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '1 day')) AS timestamp) + INTERVAL '-1 day') AS date) ORDER BY CAST((CAST(DATE_TRUNC('week', (CAST("toy"."orders"."day" AS timestamp) + INTERVAL '1 day')) AS timestamp) + INTERVAL '-1 day') AS date) ASC;

-- name: hour-of-day
SELECT CAST(EXTRACT(hour FROM CAST("toy"."orders"."ordered_at" AS timestamp)) AS integer) AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(EXTRACT(hour FROM CAST("toy"."orders"."ordered_at" AS timestamp)) AS integer) ORDER BY CAST(EXTRACT(hour FROM CAST("toy"."orders"."ordered_at" AS timestamp)) AS integer) ASC LIMIT 60;

-- name: minute-of-hour
SELECT CAST(EXTRACT(minute FROM CAST("toy"."orders"."ordered_at" AS timestamp)) AS integer) AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(EXTRACT(minute FROM CAST("toy"."orders"."ordered_at" AS timestamp)) AS integer) ORDER BY CAST(EXTRACT(minute FROM CAST("toy"."orders"."ordered_at" AS timestamp)) AS integer) ASC LIMIT 60;

-- name: day-of-week
SELECT CAST(EXTRACT(dow FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) + 1 AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(EXTRACT(dow FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) + 1 ORDER BY CAST(EXTRACT(dow FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) + 1 ASC LIMIT 60;

-- name: day-of-week-monday
SELECT MOD(CAST(EXTRACT(dow FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) + 6, 7) + 1 AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY MOD(CAST(EXTRACT(dow FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) + 6, 7) + 1 ORDER BY MOD(CAST(EXTRACT(dow FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) + 6, 7) + 1 ASC LIMIT 60;

-- name: day-of-month
SELECT CAST(EXTRACT(day FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(EXTRACT(day FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ORDER BY CAST(EXTRACT(day FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ASC LIMIT 60;

-- name: day-of-year
SELECT CAST(EXTRACT(doy FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(EXTRACT(doy FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ORDER BY CAST(EXTRACT(doy FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ASC LIMIT 60;

-- name: week-of-year
SELECT CAST(EXTRACT(week FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(EXTRACT(week FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ORDER BY CAST(EXTRACT(week FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ASC LIMIT 60;

-- name: week-of-year-us
SELECT CAST(CEIL((CAST(EXTRACT(doy FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) / 7.0)) AS integer) AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(CEIL((CAST(EXTRACT(doy FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) / 7.0)) AS integer) ORDER BY CAST(CEIL((CAST(EXTRACT(doy FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) / 7.0)) AS integer) ASC LIMIT 60;

-- name: month-of-year
SELECT CAST(EXTRACT(month FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(EXTRACT(month FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ORDER BY CAST(EXTRACT(month FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ASC LIMIT 60;

-- name: quarter-of-year
SELECT CAST(EXTRACT(quarter FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(EXTRACT(quarter FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ORDER BY CAST(EXTRACT(quarter FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ASC LIMIT 60;

-- name: year-of-era
SELECT CAST(EXTRACT(year FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) AS "part", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(EXTRACT(year FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ORDER BY CAST(EXTRACT(year FROM CAST("toy"."orders"."day" AS timestamp)) AS integer) ASC LIMIT 60;

-- name: bins-of-10
SELECT FLOOR((("toy"."orders"."amount" - 0.0) / 10.0)) * 10.0 + 0.0 AS "amount", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY FLOOR((("toy"."orders"."amount" - 0.0) / 10.0)) * 10.0 + 0.0 ORDER BY FLOOR((("toy"."orders"."amount" - 0.0) / 10.0)) * 10.0 + 0.0 ASC;

-- name: bins-of-50
SELECT FLOOR((("toy"."orders"."amount" - 0.0) / 50.0)) * 50.0 + 0.0 AS "amount", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY FLOOR((("toy"."orders"."amount" - 0.0) / 50.0)) * 50.0 + 0.0 ORDER BY FLOOR((("toy"."orders"."amount" - 0.0) / 50.0)) * 50.0 + 0.0 ASC;

-- name: bins-of-floats
SELECT FLOOR(("toy"."orders"."discount" - 0.0) / 0.5) * 0.5 + 0.0 AS "discount", COUNT(*) AS "count" FROM "toy"."orders" WHERE "toy"."orders"."discount" IS NOT NULL GROUP BY FLOOR(("toy"."orders"."discount" - 0.0) / 0.5) * 0.5 + 0.0 ORDER BY FLOOR(("toy"."orders"."discount" - 0.0) / 0.5) * 0.5 + 0.0 ASC;

-- name: zone-day
SELECT CAST(DATE_TRUNC('day', timezone('Europe/Berlin', "toy"."orders"."ordered_at")) AS date) AS "day", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY CAST(DATE_TRUNC('day', timezone('Europe/Berlin', "toy"."orders"."ordered_at")) AS date) ORDER BY 1 ASC LIMIT 30;

-- name: zone-round-trip
SELECT timezone('UTC', timezone('Europe/Berlin', DATE_TRUNC('day', timezone('Europe/Berlin', "toy"."orders"."ordered_at")))) AS "day", COUNT(*) AS "count" FROM "toy"."orders" GROUP BY timezone('UTC', timezone('Europe/Berlin', DATE_TRUNC('day', timezone('Europe/Berlin', "toy"."orders"."ordered_at")))) ORDER BY timezone('UTC', timezone('Europe/Berlin', DATE_TRUNC('day', timezone('Europe/Berlin', "toy"."orders"."ordered_at")))) ASC LIMIT 30;
