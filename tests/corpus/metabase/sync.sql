-- name: probe
SELECT TRUE AS "_" FROM "toy"."orders" WHERE 1 <> 1 LIMIT 0;

-- name: fingerprint
SELECT "toy"."orders"."id" AS "id", "toy"."orders"."day" AS "day", "toy"."orders"."ordered_at" AS "ordered_at", SUBSTRING("toy"."orders"."status", 1, 1234) AS "substring1", "toy"."orders"."amount" AS "amount", "toy"."orders"."discount" AS "discount", "toy"."orders"."paid" AS "paid" FROM "toy"."orders" ORDER BY "toy"."orders"."id" LIMIT 1000;

-- name: raw-rows
SELECT "toy"."orders"."id" AS "id", "toy"."orders"."customer_id" AS "customer_id", "toy"."orders"."ordered_at" AS "ordered_at", "toy"."orders"."day" AS "day", "toy"."orders"."amount" AS "amount", "toy"."orders"."discount" AS "discount", "toy"."orders"."status" AS "status", "toy"."orders"."paid" AS "paid", "toy"."orders"."tags" AS "tags", "toy"."orders"."payload" AS "payload" FROM "toy"."orders" ORDER BY "toy"."orders"."id" ASC LIMIT 200;

-- name: table-count
SELECT COUNT(*) AS "count" FROM "toy"."customers";

-- name: field-values-status
SELECT "toy"."orders"."status" AS "status" FROM "toy"."orders" GROUP BY "toy"."orders"."status" ORDER BY "toy"."orders"."status" ASC LIMIT 1000;

-- name: field-values-as-text-status
SELECT DISTINCT CAST("toy"."orders"."status" AS TEXT) AS "v" FROM "toy"."orders" ORDER BY 1 LIMIT 1000;

-- name: field-values-paid
SELECT "toy"."orders"."paid" AS "paid" FROM "toy"."orders" GROUP BY "toy"."orders"."paid" ORDER BY "toy"."orders"."paid" ASC LIMIT 1000;

-- name: field-values-as-text-paid
SELECT DISTINCT CAST("toy"."orders"."paid" AS TEXT) AS "v" FROM "toy"."orders" ORDER BY 1 LIMIT 1000;

-- name: field-values-joined
SELECT "toy"."customers"."joined" AS "joined" FROM "toy"."customers" GROUP BY "toy"."customers"."joined" ORDER BY "toy"."customers"."joined" ASC LIMIT 1000;

-- name: field-values-as-text-joined
SELECT DISTINCT CAST("toy"."customers"."joined" AS TEXT) AS "v" FROM "toy"."customers" ORDER BY 1 LIMIT 1000;

-- name: field-values-customer_id
SELECT "toy"."orders"."customer_id" AS "customer_id" FROM "toy"."orders" GROUP BY "toy"."orders"."customer_id" ORDER BY "toy"."orders"."customer_id" ASC LIMIT 1000;

-- name: field-values-as-text-customer_id
SELECT DISTINCT CAST("toy"."orders"."customer_id" AS TEXT) AS "v" FROM "toy"."orders" ORDER BY 1 LIMIT 1000;

-- name: field-values-union
SELECT * FROM ((SELECT 1 AS field_id, v FROM (SELECT DISTINCT CAST(status AS TEXT) AS v FROM toy.orders ORDER BY 1 LIMIT 1000) a) UNION ALL (SELECT 2 AS field_id, v FROM (SELECT DISTINCT CAST(paid AS TEXT) AS v FROM toy.orders ORDER BY 1 LIMIT 1000) b)) u ORDER BY 1, 2;

-- name: search-values
SELECT "toy"."customers"."name" AS "name" FROM "toy"."customers" WHERE (LOWER("toy"."customers"."name") LIKE '%mer 1%') GROUP BY "toy"."customers"."name" ORDER BY "toy"."customers"."name" ASC LIMIT 100;

-- name: remapped-values
SELECT "toy"."customers"."id" AS "id", "toy"."customers"."name" AS "name" FROM "toy"."customers" ORDER BY "toy"."customers"."name" ASC LIMIT 100;

-- name: comment-first
-- Metabase:: userID: 7 queryType: MBQL queryHash: 1a2b
SELECT COUNT(*) AS "count" FROM "toy"."orders";

-- name: schemas
SELECT nspname AS "TABLE_SCHEM" FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' AND nspname !~ '^pg_' AND nspname IN ('toy', 'gold') ORDER BY 1;

-- name: tables
SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' END AS type, d.description AS description FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid LEFT JOIN pg_catalog.pg_description AS d ON c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass WHERE c.relnamespace = n.oid AND n.nspname !~ '^pg_' AND n.nspname = 'toy' AND c.relkind IN ('r', 'v') ORDER BY type, schema, name;

-- name: fields
SELECT c.column_name AS name, CASE WHEN c.udt_schema IN ('public', 'pg_catalog') THEN format('%s', c.udt_name) ELSE format('"%s"."%s"', c.udt_schema, c.udt_name) END AS database_type, c.ordinal_position - 1 AS database_position, c.table_schema AS table_schema, c.table_name AS table_name, pk.column_name IS NOT NULL AS pk, col_description(CAST(CAST(format('%I.%I', CAST(c.table_schema AS TEXT), CAST(c.table_name AS TEXT)) AS REGCLASS) AS OID), c.ordinal_position) AS field_comment FROM information_schema.columns AS c LEFT JOIN (SELECT tc.table_schema, tc.table_name, kc.column_name FROM information_schema.table_constraints AS tc INNER JOIN information_schema.key_column_usage AS kc ON tc.constraint_name = kc.constraint_name AND tc.table_schema = kc.table_schema AND tc.table_name = kc.table_name WHERE tc.constraint_type = 'PRIMARY KEY') AS pk ON c.table_schema = pk.table_schema AND c.table_name = pk.table_name AND c.column_name = pk.column_name WHERE c.table_schema !~ '^information_schema|catalog_history|pg_' AND c.table_schema = 'toy' AND c.table_name = 'orders' AND c.column_name <> 'status' ORDER BY table_schema, table_name, database_position;

-- name: privileges
SELECT t.tablename AS "table", has_table_privilege(current_user, '"' || t.schemaname || '"."' || t.tablename || '"', 'SELECT') AS "select" FROM pg_catalog.pg_tables t WHERE t.schemaname = 'toy' ORDER BY 1;

-- name: isolation
SELECT current_setting('transaction_isolation') IN ('read uncommitted', 'read committed', 'repeatable read') AS known;

-- name: zone
SELECT current_setting('TimeZone') LIKE '%UTC' AS utc;
