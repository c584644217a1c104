package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	// It names itself "flightsql".
	_ "github.com/apache/arrow-go/v18/arrow/flight/flightsql/driver"
	"google.golang.org/grpc/codes"
)

// open gives a pool of connections of database/sql; a token stands for a password.
func (e Endpoint) open(token bool) (*sql.DB, error) {
	source := url.URL{Scheme: "flightsql", Host: e.address, RawQuery: "timeout=30s"}
	switch {
	case token:
		source.RawQuery += "&token=" + url.QueryEscape(e.token)
	case e.user != "":
		source.User = url.UserPassword(e.user, e.password)
	}
	return sql.Open("flightsql", source.String())
}

// one gives the only value of the only row.
func one[T any](ctx context.Context, db *sql.DB, query string, values ...any) (T, error) {
	var value T
	err := db.QueryRowContext(ctx, query, values...).Scan(&value)
	return value, err
}

// is holds the only value of the only row against what it is to be.
func is[T any](ctx context.Context, db *sql.DB, want T, query string, values ...any) error {
	got, err := one[T](ctx, db, query, values...)
	if err != nil {
		return err
	}
	return equal(want, got)
}

// ways gives each way to log in that this endpoint has.
func ways(e Endpoint) []bool {
	if e.token == "" {
		return []bool{false}
	}
	return []bool{false, true}
}

// queries asks as a program does that uses database/sql.
func queries(checks *Checks, end Endpoint) {
	orders, customers := end.schema+".orders", end.schema+".customers"
	db, err := end.open(false)
	if err != nil {
		panic(err)
	}
	defer db.Close()
	for _, token := range ways(end) {
		name := map[bool]string{false: "sql.ping", true: "sql.ping-with-token"}[token]
		checks.Run(name, func(ctx context.Context) error {
			db, err := end.open(token)
			if err != nil {
				return err
			}
			defer db.Close()
			return errors.Join(db.PingContext(ctx), is(ctx, db, int64(9000), "SELECT count(*) FROM "+orders))
		})
	}
	if end.user != "" {
		checks.Run("sql.wrong-password", func(ctx context.Context) error {
			wrong := end
			wrong.password += "x"
			db, err := wrong.open(false)
			if err != nil {
				return err
			}
			defer db.Close()
			_, err = one[int64](ctx, db, "SELECT 1")
			return refused(codes.Unauthenticated, err)
		})
	}
	checks.Run("sql.types", func(ctx context.Context) error {
		var (
			id, customer    int64
			ordered, day    time.Time
			amount          float64
			discount, none  sql.NullFloat64
			status          string
			paid            bool
			payload         []byte
			count, text, at any
		)
		row := db.QueryRowContext(ctx, "SELECT id, customer_id, ordered_at, day, amount, discount, status, paid, payload, 7::smallint, 'größe', time '12:30' FROM "+orders+" WHERE id = 1")
		if err := row.Scan(&id, &customer, &ordered, &day, &amount, &discount, &status, &paid, &payload, &count, &text, &at); err != nil {
			return err
		}
		if err := db.QueryRowContext(ctx, "SELECT discount FROM "+orders+" WHERE id = 10").Scan(&none); err != nil {
			return err
		}
		return equal("1 2 2024-01-01T01:00:00Z 2024-01-01 0.1 {0.5 true} {0 false} sent false 00ff 7 größe 12:30",
			fmt.Sprintf("%d %d %s %s %v %v %v %s %v %x %v %v %s", id, customer, ordered.Format(time.RFC3339), day.Format(time.DateOnly), amount, discount, none, status, paid, payload, count, text, at.(time.Time).Format("15:04")))
	})
	checks.Run("sql.many-rows", func(ctx context.Context) error {
		rows, err := db.QueryContext(ctx, "SELECT id FROM "+orders+" ORDER BY id")
		if err != nil {
			return err
		}
		defer rows.Close()
		next := int64(0)
		for ; rows.Next(); next++ {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			if id != next {
				return fmt.Errorf("%d in the place of %d", id, next)
			}
		}
		return errors.Join(rows.Err(), equal(9000, next))
	})
	checks.Run("sql.no-rows", func(ctx context.Context) error {
		_, err := one[int64](ctx, db, "SELECT id FROM "+orders+" WHERE id < 0")
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("it came back with %v", err)
		}
		return nil
	})
	checks.Run("sql.parameters", func(ctx context.Context) error {
		return errors.Join(
			is(ctx, db, int64(1), "SELECT count(*) FROM "+orders+" WHERE id = ?", 4711),
			is(ctx, db, int64(1500), "SELECT count(*) FROM "+orders+" WHERE status = $1 AND paid = $2", "sent", true),
			is(ctx, db, int64(77), "SELECT count(*) FROM "+orders+" WHERE discount > ? AND customer_id = CAST(? AS BIGINT)", 0.25, 8),
			is(ctx, db, int64(24), "SELECT count(*) FROM "+orders+" WHERE day = CAST(CAST(? AS VARCHAR) AS DATE)", "2024-01-02"),
			is(ctx, db, "a'b\"\\ü", "SELECT CAST($1 AS VARCHAR)", "a'b\"\\ü"))
	})
	checks.Run("sql.prepared-again", func(ctx context.Context) error {
		statement, err := db.PrepareContext(ctx, "SELECT status FROM "+orders+" WHERE id = $1")
		if err != nil {
			return err
		}
		defer statement.Close()
		for id, want := range []string{"new", "sent", "done"} {
			var status string
			if err := statement.QueryRowContext(ctx, id).Scan(&status); err != nil {
				return err
			}
			if err := equal(want, status); err != nil {
				return err
			}
		}
		return nil
	})
	checks.Run("sql.parallel", func(ctx context.Context) error {
		answers := make(chan error, 8)
		for id := range cap(answers) {
			go func() {
				answers <- is(ctx, db, fmt.Sprintf("customer %d", id+1), "SELECT name FROM "+customers+" WHERE CAST(id AS BIGINT) = $1", id+1)
			}()
		}
		var all error
		for range cap(answers) {
			all = errors.Join(all, <-answers)
		}
		return all
	})
	checks.Run("sql.error-at-a-row", func(ctx context.Context) error {
		_, err := one[int64](ctx, db, "SELECT CAST(v AS INT) FROM (VALUES ('abc')) AS t(v)")
		if err == nil || errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("it came back with %v", err)
		}
		return nil
	})
	checks.Run("sql.no-transactions", func(ctx context.Context) error {
		_, err := db.BeginTx(ctx, nil)
		return refused(codes.Unimplemented, err)
	})
	checks.Run("sql.cancel", func(ctx context.Context) error {
		calling, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		begun := time.Now()
		_, err := one[float64](calling, db, long)
		if waited := time.Since(begun); err == nil || waited > 5*time.Second {
			return fmt.Errorf("it came back after %v with %v", waited, err)
		}
		return running(ctx, db, 0)
	})
}

// running waits until so many of the long queries run.
func running(ctx context.Context, db *sql.DB, many int64) error {
	for {
		err := is(ctx, db, many, longOnes)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// writes changes a table as a program does that uses database/sql.
func writes(checks *Checks, end Endpoint) {
	db, err := end.open(false)
	if err != nil {
		panic(err)
	}
	defer db.Close()
	table := end.schema + ".go_writes"
	changed := func(ctx context.Context, want int64, statement string, values ...any) error {
		result, err := db.ExecContext(ctx, statement, values...)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		return errors.Join(err, equal(want, rows))
	}
	checks.Run("write.create", func(ctx context.Context) error {
		return errors.Join(
			changed(ctx, 0, "DROP TABLE IF EXISTS "+table),
			changed(ctx, 0, "CREATE TABLE "+table+" (id BIGINT, name TEXT, price DOUBLE, good BOOLEAN)"))
	})
	checks.Run("write.insert", func(ctx context.Context) error {
		return errors.Join(
			changed(ctx, 2, "INSERT INTO "+table+" VALUES (1, 'one', 1.5, true), (2, 'two', 2.5, false)"),
			changed(ctx, 1, "INSERT INTO "+table+" VALUES (?, ?, ?, ?)", 3, "größe", 3.5, true),
			is(ctx, db, "3 größe 3.5 true", "SELECT concat_ws(' ', id, name, price, good) FROM "+table+" WHERE id = 3"))
	})
	checks.Run("write.update", func(ctx context.Context) error {
		return errors.Join(
			changed(ctx, 2, "UPDATE "+table+" SET name = $1 WHERE id < $2", "first", 3),
			is(ctx, db, int64(2), "SELECT count(*) FROM "+table+" WHERE name = 'first'"))
	})
	checks.Run("write.delete", func(ctx context.Context) error {
		return errors.Join(
			changed(ctx, 1, "DELETE FROM "+table+" WHERE id = 3"),
			is(ctx, db, int64(2), "SELECT count(*) FROM "+table))
	})
	checks.Run("write.error", func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, "INSERT INTO "+table+" VALUES ('x')")
		return errors.Join(refused(codes.InvalidArgument, err), is(ctx, db, int64(2), "SELECT count(*) FROM "+table))
	})
	checks.Run("write.drop", func(ctx context.Context) error {
		return changed(ctx, 0, "DROP TABLE "+table)
	})
}
