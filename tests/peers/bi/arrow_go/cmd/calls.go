package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Endpoint is where it is, and who asks.
type Endpoint struct {
	address, user, password, token, schema string
}

// The columns of orders in toy-tidewater.sql, as they are to come.
const orderColumns = "id:int64 customer_id:int32 ordered_at:timestamp[us, tz=UTC] day:date32 amount:decimal(12, 2) " +
	"discount:float64 status:utf8 paid:bool tags:list payload:binary"

// fetch gives what an answer holds, a row a text, and its columns.
func fetch(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo) (*arrow.Schema, []string, error) {
	var rows []string
	if len(info.Endpoint) != 1 {
		return nil, nil, fmt.Errorf("%d endpoints", len(info.Endpoint))
	}
	reader, err := client.DoGet(ctx, info.Endpoint[0].Ticket)
	if err != nil {
		return nil, nil, err
	}
	defer reader.Release()
	for reader.Next() {
		batch := reader.RecordBatch()
		for row := range int(batch.NumRows()) {
			var values []string
			for _, column := range batch.Columns() {
				values = append(values, column.ValueStr(row))
			}
			rows = append(rows, strings.Join(values, "|"))
		}
	}
	if err := reader.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	return reader.Schema(), rows, nil
}

// asked gives the rows of an answer, however it was asked for.
func asked(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	_, rows, err := fetch(ctx, client, info)
	return rows, err
}

// refused holds the code of an error against the one that is to come.
func refused(want codes.Code, err error) error {
	if err == nil {
		return errors.New("it was not refused")
	}
	return equal(want, status.Code(err))
}

// batch makes a row of values for each text of JSON.
func batch(schema *arrow.Schema, rows string) (arrow.RecordBatch, error) {
	made, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	return made, err
}

// calls asks as a program does that uses the Flight SQL client itself.
func calls(checks *Checks, client *flightsql.Client, end Endpoint) {
	orders, customers := end.schema+".orders", end.schema+".customers"
	checks.Run("client.query", func(ctx context.Context) error {
		info, err := client.Execute(ctx, "SELECT id, name, joined FROM "+customers+" WHERE id <= 3 ORDER BY id")
		rows, err := asked(ctx, client, info, err)
		if err != nil {
			return err
		}
		return equal("[1|customer 1|2023-01-02 2|customer 2|2023-01-03 3|customer 3|2023-01-04]", rows)
	})
	checks.Run("client.types", func(ctx context.Context) error {
		info, err := client.Execute(ctx, "SELECT * FROM "+orders+" WHERE id = 1")
		if err != nil {
			return err
		}
		told, err := flight.DeserializeSchema(info.Schema, memory.DefaultAllocator)
		if err != nil {
			return err
		}
		schema, rows, err := fetch(ctx, client, info)
		if err != nil {
			return err
		}
		if !schema.Equal(told) {
			return fmt.Errorf("told %s, got %s", told, schema)
		}
		var columns []string
		for _, field := range schema.Fields() {
			// What a list is of is in angle brackets.
			kind, _, _ := strings.Cut(field.Type.String(), "<")
			columns = append(columns, field.Name+":"+kind)
		}
		if err := equal(orderColumns, strings.Join(columns, " ")); err != nil {
			return err
		}
		return equal(`[1|2|2024-01-01T01:00:00Z|2024-01-01|0.1|0.5|sent|false|["a","b"]|AP8=]`, rows)
	})
	checks.Run("client.prepared-again", func(ctx context.Context) error {
		prepared, err := client.Prepare(ctx, "SELECT name FROM "+customers+" WHERE id = ?")
		if err != nil {
			return err
		}
		defer prepared.Close(ctx)
		for id := 1; id <= 3; id++ {
			values, err := batch(prepared.ParameterSchema(), fmt.Sprintf(`[{"$1": %d}]`, id))
			if err != nil {
				return err
			}
			prepared.SetParameters(values)
			info, err := prepared.Execute(ctx)
			rows, err := asked(ctx, client, info, err)
			if err != nil {
				return err
			}
			if err := equal(fmt.Sprintf("[customer %d]", id), rows); err != nil {
				return err
			}
		}
		return nil
	})
	checks.Run("client.tables", func(ctx context.Context) error {
		info, err := client.GetTables(ctx, &flightsql.GetTablesOpts{DbSchemaFilterPattern: &end.schema, TableTypes: []string{"TABLE", "VIEW"}})
		rows, err := asked(ctx, client, info, err)
		if err != nil {
			return err
		}
		all := strings.Join(rows, " ") + " "
		for _, table := range []string{"customers|TABLE", "orders|TABLE", "daily|VIEW"} {
			if !strings.Contains(all, "lake|"+end.schema+"|"+table+" ") {
				return fmt.Errorf("no %s in %s", table, all)
			}
		}
		return nil
	})
	checks.Run("client.table-columns", func(ctx context.Context) error {
		name := "orders"
		info, err := client.GetTables(ctx, &flightsql.GetTablesOpts{DbSchemaFilterPattern: &end.schema, TableNameFilterPattern: &name, IncludeSchema: true})
		if err != nil {
			return err
		}
		reader, err := client.DoGet(ctx, info.Endpoint[0].Ticket)
		if err != nil {
			return err
		}
		defer reader.Release()
		if !reader.Next() || reader.RecordBatch().NumRows() != 1 {
			return fmt.Errorf("not one table: %w", reader.Err())
		}
		bytes := reader.RecordBatch().Column(4).(*array.Binary).Value(0)
		schema, err := flight.DeserializeSchema(bytes, memory.DefaultAllocator)
		if err != nil {
			return err
		}
		amount := schema.Field(4)
		described := flightsql.ColumnMetadata{Data: &amount.Metadata}
		scale, ok := described.Scale()
		return equal("amount 2 true", fmt.Sprint(amount.Name, " ", scale, " ", ok))
	})
	checks.Run("client.primary-key", func(ctx context.Context) error {
		info, err := client.GetPrimaryKeys(ctx, flightsql.TableRef{DBSchema: &end.schema, Table: "orders"})
		rows, err := asked(ctx, client, info, err)
		if err != nil {
			return err
		}
		if len(rows) != 1 || !strings.HasPrefix(rows[0], "lake|"+end.schema+"|orders|id|1|") {
			return fmt.Errorf("keys %v", rows)
		}
		return nil
	})
	checks.Run("client.error", func(ctx context.Context) error {
		_, err := client.Execute(ctx, "SELECT nothing FROM "+orders)
		return refused(codes.InvalidArgument, err)
	})
	checks.Run("client.no-transactions", func(ctx context.Context) error {
		_, err := client.BeginTransaction(ctx)
		return refused(codes.Unimplemented, err)
	})
	checks.Run("client.no-substrait", func(ctx context.Context) error {
		plan := flightsql.SubstraitPlan{Plan: []byte("plan"), Version: "version"}
		_, told := client.ExecuteSubstrait(ctx, plan)
		_, prepared := client.PrepareSubstrait(ctx, plan)
		return errors.Join(refused(codes.Unimplemented, told), refused(codes.Unimplemented, prepared))
	})
	checks.Run("client.cancel-a-call", func(ctx context.Context) error {
		calling, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		info, err := client.Execute(calling, long)
		if err != nil {
			return err
		}
		begun := time.Now()
		_, _, err = fetch(calling, client, info)
		if waited := time.Since(begun); waited > 5*time.Second {
			return fmt.Errorf("it came back after %v", waited)
		}
		if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.Canceled {
			return fmt.Errorf("it came back with %v", err)
		}
		return within(ctx, client, "0")
	})
	checks.Run("client.cancel-what-runs", func(ctx context.Context) error {
		info, err := client.Execute(ctx, long)
		if err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() {
			_, _, err := fetch(ctx, client, info)
			ended <- err
		}()
		if err := within(ctx, client, "1"); err != nil {
			return err
		}
		result, err := client.CancelFlightInfo(ctx, &flight.CancelFlightInfoRequest{Info: info})
		if err != nil {
			return err
		}
		if err := equal(flight.CancelStatusCancelled, result.Status); err != nil {
			return err
		}
		return refused(codes.Canceled, <-ended)
	})
}

// A query of hours, which is known by the name of its column among those that run.
const long = "SELECT sum(sqrt(a.value * b.value)) AS of_hours FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 10000000) b"

// How many of them run.
const longOnes = "SELECT count(*) FROM ops.queries WHERE statement LIKE '%of_hours%' AND duration_ms IS NULL"

// within waits until so many of the long queries run.
func within(ctx context.Context, client *flightsql.Client, many string) error {
	for {
		info, err := client.Execute(ctx, longOnes)
		rows, err := asked(ctx, client, info, err)
		if err == nil {
			err = equal("["+many+"]", rows)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
