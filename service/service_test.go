package service_test

import (
	"fmt"
	"testing"

	"github.com/moothall/moothall/service"
)

// Logs and tests of services say kinds in words.
func TestConfigKind_String(t *testing.T) {
	if got := fmt.Sprint(service.Regular, service.Transitional, service.ConfigKind(7)); got != "regular transitional configuration-7" {
		t.Error(got)
	}
}
