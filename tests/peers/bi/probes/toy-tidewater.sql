-- The toy schema of toy.sql as a lakehouse has it: no enums, foreign keys, indexes or materialized views.
DROP SCHEMA IF EXISTS toy CASCADE;
CREATE SCHEMA toy;
CREATE TABLE toy.customers (
  id int PRIMARY KEY,
  name text NOT NULL,
  mood text,
  joined date NOT NULL
);
COMMENT ON TABLE toy.customers IS 'people who order';
COMMENT ON COLUMN toy.customers.name IS 'full name';
CREATE TABLE toy.orders (
  id bigint PRIMARY KEY,
  customer_id int NOT NULL,
  ordered_at timestamptz NOT NULL,
  day date NOT NULL,
  amount numeric(12, 2) NOT NULL,
  discount double precision,
  status text NOT NULL,
  paid boolean NOT NULL,
  tags text[],
  payload bytea
);
INSERT INTO toy.customers SELECT i, 'customer ' || i, (ARRAY['low', 'mid', 'high'])[1 + i % 3], DATE '2023-01-01' + i FROM generate_series(1, 100) i;
INSERT INTO toy.orders
SELECT i, 1 + i % 100, TIMESTAMPTZ '2024-01-01 00:00:00+00' + i * INTERVAL '1 hour', DATE '2024-01-01' + i / 24, (i % 997)::numeric / 10,
       CASE WHEN i % 10 = 0 THEN NULL ELSE i % 7 * 0.5 END, (ARRAY['new', 'sent', 'done'])[1 + i % 3], i % 2 = 0, ARRAY['a', 'b'], '\x00ff'::bytea
FROM generate_series(0, 8999) i;
CREATE VIEW toy.daily AS SELECT day, count(*) AS orders, sum(amount) AS amount FROM toy.orders GROUP BY day;
