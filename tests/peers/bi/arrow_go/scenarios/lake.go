// What the scenarios ask a lake for, where they ask their own mock for words that mean nothing.
package flight_integration

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	pb "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Schema is where the tables of the scenarios are.
var Schema = "toy"

// What the query that is polled reads of one of its sides: more where it ends too soon.
var work = 500

// The table has so many rows.
const workMax = 20_000

// Polls that a query of seconds may need, each of which waits a second.
const pollsMax = 120

// Run plays a scenario. A query that is to be polled takes more than a poll, whatever the machine.
func Run(name, address string, options ...grpc.DialOption) error {
	for {
		err := GetScenario(name).RunClient(address, options...)
		if err == nil || !strings.HasPrefix(err.Error(), "description is missing") || work >= workMax {
			return err
		}
		work *= 4
	}
}

// statement gives what the lake is asked for in the place of the mock's words. The table has 20,000 rows, as the mock says it
// changed.
func statement(words string) string {
	table := Schema + ".scenario"
	switch words {
	case "SELECT STATEMENT":
		return "SELECT id FROM " + table + " WHERE id <= 3"
	case "UPDATE STATEMENT":
		return "UPDATE " + table + " SET id = id WHERE id <= 10000"
	case "SELECT PREPARED STATEMENT":
		return "SELECT id FROM " + table + " WHERE id = $1"
	case "UPDATE PREPARED STATEMENT":
		return "UPDATE " + table + " SET id = id"
	case "ordered":
		return "SELECT arrow_cast(n, 'Int32') AS number FROM (VALUES (30), (1), (200), (10), (3), (100), (2), (300), (20)) AS t(n) ORDER BY n"
	case "expiration_time":
		return "SELECT arrow_cast(0, 'UInt32') AS number"
	case "heavy query":
		// Its table is read long before its rows are counted.
		return fmt.Sprintf("SELECT count(*) FROM %s a, %s b WHERE b.id <= %d AND (a.id * 31 + b.id) %% 1009 = 7", table, table, work)
	}
	panic("no statement for " + words)
}

// command gives the statement as the command of a descriptor.
func command(words string) []byte {
	return query(statement(words))
}

func query(sql string) []byte {
	message, err := anypb.New(&pb.CommandStatementQuery{Query: sql})
	if err != nil {
		panic(err)
	}
	bytes, err := proto.Marshal(message)
	if err != nil {
		panic(err)
	}
	return bytes
}

// pollToEnd polls until the query is done: how long it takes is not for the mock to say.
func pollToEnd(ctx context.Context, client flight.Client, descriptor *flight.FlightDescriptor) (*flight.PollInfo, error) {
	for range pollsMax {
		info, err := client.PollFlightInfo(ctx, descriptor)
		if err != nil || info.FlightDescriptor == nil {
			return info, err
		}
		if info.Progress != nil && (*info.Progress < 0 || *info.Progress >= 1) {
			return nil, fmt.Errorf("progress of a query that runs: %v", *info.Progress)
		}
		if info.ExpirationTime == nil || !info.ExpirationTime.AsTime().After(time.Now()) {
			return nil, fmt.Errorf("a descriptor to poll with that is good until %v", info.ExpirationTime)
		}
		descriptor = info.FlightDescriptor
	}
	return nil, fmt.Errorf("not done after %d polls", pollsMax)
}

// expiring gives three endpoints, as the mock does: the first of a plain query, which does not expire, the others of queries that were
// polled, whose rows are held for a while.
func expiring(ctx context.Context, client flight.Client) (*flight.FlightInfo, error) {
	info, err := client.GetFlightInfo(ctx, &flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: command("expiration_time")})
	if err != nil {
		return nil, err
	}
	for number := 1; number <= 2; number++ {
		cmd := query(fmt.Sprintf("SELECT arrow_cast(%d, 'UInt32') AS number", number))
		polled, err := pollToEnd(ctx, client, &flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: cmd})
		if err != nil {
			return nil, err
		}
		info.Endpoint = append(info.Endpoint, polled.Info.Endpoint...)
	}
	if len(info.Endpoint) != 3 {
		return nil, fmt.Errorf("three endpoints were expected, and there are %d", len(info.Endpoint))
	}
	return info, nil
}

// sameOptions holds the options of a session against those that were set: the others are as they are for everybody.
func sameOptions(got map[string]*flight.SessionOptionValue, set map[string]any) error {
	all := map[string]any{
		"catalog":             "lake",
		"schema":              "",
		"statement_timeout":   int64(0),
		"tidewater.cache":     "on",
		"tidewater.execution": "auto",
		"tidewater.wap_id":    "",
	}
	maps.Copy(all, set)
	// Which schema is the usual one is for the configuration to say.
	all["schema"] = got["schema"].GetStringValue()
	want, err := flight.NewSessionOptionValues(all)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("options expected: %d, got: %d", len(want), len(got))
	}
	for name, value := range want {
		if !proto.Equal(got[name], value) {
			return fmt.Errorf("option %s: expected %v, got %v", name, value, got[name])
		}
	}
	return nil
}
