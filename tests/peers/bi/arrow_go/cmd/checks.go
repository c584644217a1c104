package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// The longest that a check may take.
const limit = 60 * time.Second

var spaces = regexp.MustCompile(`\s+`)

// Checks is the harness of the kit: a line a check, and how many passed at the end.
type Checks struct {
	only           *regexp.Regexp
	passed, failed int
}

// Run tells whether the check's body comes to an end without an error or a panic, in time.
func (c *Checks) Run(name string, body func(context.Context) error) {
	if c.only != nil && !c.only.MatchString(name) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	begun, done := time.Now(), make(chan error, 1)
	go func() {
		defer func() {
			if fault := recover(); fault != nil {
				done <- fmt.Errorf("panic: %v", fault)
			}
		}()
		done <- body(ctx)
	}()
	var err error
	select {
	case err = <-done:
	case <-time.After(limit + time.Second):
		err = fmt.Errorf("no answer in %v", limit)
	}
	verdict, detail := "ok  ", ""
	if err == nil {
		c.passed++
	} else {
		verdict, detail = "FAIL", strings.TrimSpace(spaces.ReplaceAllString(err.Error(), " "))
		c.failed++
	}
	fmt.Printf("%s %-44s %6d ms  %.400s\n", verdict, name, time.Since(begun).Milliseconds(), detail)
}

// Finish tells how many passed; fewer than `least` are a failure, unless only some were asked for.
func (c *Checks) Finish(least int) int {
	if c.only == nil && c.passed < least {
		fmt.Printf("FAIL least: %d checks passed, not %d\n", c.passed, least)
		c.failed++
	}
	fmt.Printf("%d passed, %d failed\n", c.passed, c.failed)
	if c.failed > 0 {
		return 1
	}
	return 0
}

// equal fails where the two are not printed alike.
func equal(want, got any) error {
	if wanted, given := fmt.Sprintf("%v", want), fmt.Sprintf("%v", got); wanted != given {
		return fmt.Errorf("expected %s, got %s", wanted, given)
	}
	return nil
}
