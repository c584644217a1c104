// The Go client of Arrow against a Flight SQL endpoint: its integration scenarios, then what a Go program asks for.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/internal/flight_integration"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// Those that a lake can be asked for; README.md says which are left out, and why.
var scenarios = []string{
	"flight_sql", "flight_sql:ingestion", "session_options", "poll_flight_info", "ordered",
	"expiration_time:do_get", "expiration_time:list_actions", "expiration_time:cancel_flight_info",
	"expiration_time:renew_flight_endpoint",
}

// Bearer says in each call whose it is.
type Bearer string

// GetRequestMetadata is asked by gRPC for the headers of a call.
func (b Bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": string(b)}, nil
}

// RequireTransportSecurity is no: the endpoint is on this machine.
func (Bearer) RequireTransportSecurity() bool { return false }

// login gives what the endpoint answers a password with.
func login(address, user, password string) (Bearer, error) {
	client, err := flight.NewClientWithMiddleware(address, nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, err := client.AuthenticateBasicToken(context.Background(), user, password)
	if err != nil {
		return "", err
	}
	headers, _ := metadata.FromOutgoingContext(ctx)
	token := strings.Join(headers.Get("authorization"), ",")
	if !strings.HasPrefix(token, "Bearer ") {
		return "", fmt.Errorf("no token: %s", token)
	}
	return Bearer(token), nil
}

// least gives how many checks there are: fewer say so.
func least(end Endpoint) int {
	if end.user == "" {
		return 37
	}
	return 39
}

func main() {
	only := flag.String("only", "", "a regular expression of names of checks")
	schema := flag.String("schema", "toy", "the schema of toy-tidewater.sql, which is written to")
	flag.Parse()
	if flag.NArg() != 2 && flag.NArg() != 4 {
		fmt.Fprintln(os.Stderr, "arrow-go-probe [-schema SCHEMA] [-only REGEX] HOST PORT [USER PASSWORD]")
		os.Exit(2)
	}
	checks := &Checks{}
	if *only != "" {
		checks.only = regexp.MustCompile("^(?:" + *only + ")$")
	}
	end := Endpoint{address: net.JoinHostPort(flag.Arg(0), flag.Arg(1)), user: flag.Arg(2), password: flag.Arg(3), schema: *schema}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if end.user != "" {
		token, err := login(end.address, end.user, end.password)
		if err != nil {
			fmt.Fprintln(os.Stderr, "the login failed:", err)
			os.Exit(1)
		}
		end.token = strings.TrimPrefix(string(token), "Bearer ")
		options = append(options, grpc.WithPerRPCCredentials(token))
	}
	client, err := flightsql.NewClient(end.address, nil, nil, options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no client:", err)
		os.Exit(1)
	}
	flight_integration.Schema = end.schema
	checks.Run("scenario.tables", func(ctx context.Context) error {
		_, err := client.ExecuteUpdate(ctx, "DROP TABLE IF EXISTS "+end.schema+".scenario")
		if err == nil {
			_, err = client.ExecuteUpdate(ctx, "CREATE TABLE "+end.schema+".scenario AS SELECT CAST(i AS BIGINT) AS id FROM generate_series(1, 20000) AS t(i)")
		}
		return err
	})
	for _, name := range scenarios {
		checks.Run("scenario."+name, func(context.Context) error {
			return flight_integration.Run(name, end.address, options...)
		})
	}
	calls(checks, client, end)
	queries(checks, end)
	writes(checks, end)
	os.Exit(checks.Finish(least(end)))
}
