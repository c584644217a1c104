-- name: left
SELECT "toy"."orders"."id" AS "id", "Customers - Customer"."name" AS "Customers - Customer__name" FROM "toy"."orders" LEFT JOIN "toy"."customers" AS "Customers - Customer" ON "toy"."orders"."customer_id" = "Customers - Customer"."id" ORDER BY "toy"."orders"."id" ASC LIMIT 20;

-- name: left-grouped
SELECT "Customers - Customer"."mood" AS "Customers - Customer__mood", COUNT(*) AS "count", SUM("toy"."orders"."amount") AS "sum" FROM "toy"."orders" LEFT JOIN "toy"."customers" AS "Customers - Customer" ON "toy"."orders"."customer_id" = "Customers - Customer"."id" GROUP BY "Customers - Customer"."mood" ORDER BY CAST("Customers - Customer"."mood" AS TEXT) ASC;

-- name: inner
SELECT COUNT(*) AS "count" FROM "toy"."orders" INNER JOIN "toy"."customers" AS "Customers - Customer" ON "toy"."orders"."customer_id" = "Customers - Customer"."id" WHERE "Customers - Customer"."mood" = 'high';

-- name: right
SELECT COUNT(*) AS "count" FROM "toy"."orders" RIGHT JOIN "toy"."customers" AS "Customers - Customer" ON ("toy"."orders"."customer_id" = "Customers - Customer"."id") AND ("toy"."orders"."amount" > 99);

-- name: full
SELECT COUNT(*) AS "count", COUNT("toy"."orders"."id") AS "left", COUNT("Customers - Customer"."id") AS "right" FROM "toy"."orders" FULL JOIN "toy"."customers" AS "Customers - Customer" ON ("toy"."orders"."id" = "Customers - Customer"."id");

-- name: subselect
SELECT "source"."mood" AS "mood", "source"."count" AS "count" FROM (SELECT "Customers - Customer"."mood" AS "mood", COUNT(*) AS "count" FROM "toy"."orders" LEFT JOIN (SELECT "toy"."customers"."id" AS "id", "toy"."customers"."mood" AS "mood" FROM "toy"."customers") AS "Customers - Customer" ON "toy"."orders"."customer_id" = "Customers - Customer"."id" GROUP BY "Customers - Customer"."mood") AS "source" WHERE "source"."count" > 10 ORDER BY CAST("source"."mood" AS TEXT) ASC;

-- name: nested-twice
SELECT AVG("source"."sum") AS "avg" FROM (SELECT "q"."customer_id" AS "customer_id", CAST(SUM("q"."amount") AS DOUBLE PRECISION) AS "sum" FROM (SELECT "toy"."orders"."customer_id" AS "customer_id", "toy"."orders"."amount" AS "amount" FROM "toy"."orders" WHERE "toy"."orders"."paid" = TRUE) AS "q" GROUP BY "q"."customer_id") AS "source";

-- name: self
SELECT COUNT(*) AS "count" FROM "toy"."orders" LEFT JOIN "toy"."orders" AS "Orders" ON "toy"."orders"."id" = ("Orders"."id" + 1) WHERE "Orders"."id" IS NULL;

-- name: three
SELECT "Customers - Customer"."mood" AS "mood", COUNT(DISTINCT "Daily"."day") AS "days" FROM "toy"."orders" LEFT JOIN "toy"."customers" AS "Customers - Customer" ON "toy"."orders"."customer_id" = "Customers - Customer"."id" LEFT JOIN "toy"."daily" AS "Daily" ON "toy"."orders"."day" = "Daily"."day" GROUP BY "Customers - Customer"."mood" ORDER BY CAST("Customers - Customer"."mood" AS TEXT) ASC;

-- name: on-dates
SELECT COUNT(*) AS "count" FROM "toy"."orders" LEFT JOIN "toy"."customers" AS "Customers - Customer" ON DATE_TRUNC('month', CAST("toy"."orders"."day" AS timestamp)) = DATE_TRUNC('month', CAST("Customers - Customer"."joined" AS timestamp));
