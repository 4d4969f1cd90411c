package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/config"
)

func TestWithTimes(t *testing.T) {
	c := mustDecode(t, strings.Replace(prelude, "cluster_name: demo", "cluster_name: demo\n  token: 2000\n  window_size: 40", 1))
	if n := len(config.Times()); n != 11 {
		t.Errorf("%d keys are times: %v", n, config.Times())
	}
	for _, x := range []struct {
		set     map[string]uint32
		token   time.Duration
		inForce string // runtime.config.totem.consensus
		says    string
	}{
		{map[string]uint32{"totem.token": 5000}, 5 * time.Second, "6000", ""},
		{map[string]uint32{"totem.token": 5000, "totem.consensus": 7000}, 5 * time.Second, "7000", ""},
		{nil, time.Second, "1200", ""}, // as if it were not in the file
		{map[string]uint32{"totem.token": 29}, 0, "", "totem.token is 29 ms, at least 30 are needed"},
		{map[string]uint32{"totem.token": 1000, "totem.consensus": 40}, 0, "", "shorter than join"},
		{map[string]uint32{"totem.token_warning": 101}, 0, "", "percentage"},
	} {
		got, err := c.WithTimes(x.set)
		if x.says != "" {
			if err == nil || !strings.Contains(err.Error(), x.says) {
				t.Errorf("%v: %v", x.set, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", x.set, err)
			continue
		}
		values := map[string]string{}
		for _, k := range append(got.Keys(), got.RuntimeKeys(1)...) {
			values[k.Name] = k.Value
		}
		token, _ := got.TokenTimeout()
		if token != x.token || values["runtime.config.totem.consensus"] != x.inForce || values["totem.window_size"] != "40" {
			t.Errorf("%v: token %v, %v", x.set, token, values)
		}
	}
	if token, _ := c.TokenTimeout(); token != 2*time.Second {
		t.Errorf("the original has a token of %v now", token)
	}
}
