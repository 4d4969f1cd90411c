package ais_test

import (
	"errors"
	"fmt"

	"github.com/moothall/moothall/ais"
)

// Errors of the AIS packages are found in those that they return.
func ExampleError() {
	err := fmt.Errorf("evt: open %q: %w", "alarms", ais.ErrTryAgain)
	fmt.Println(errors.Is(err, ais.ErrTryAgain), err)
	// Output: true evt: open "alarms": not possible now, nothing has happened: try again
}
