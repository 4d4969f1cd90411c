package groups

import (
	"strings"
	"testing"
)

// An objection that was cut is one all the same, and a message that looks like one is
// none.
func FuzzObjection(f *testing.F) {
	f.Add(int16(1), int16(2), "because")
	f.Add(int16(-1), int16(32767), strings.Repeat("ü", MaxMessage))
	f.Fuzz(func(t *testing.T, instance, node int16, reason string) {
		o := Objection{Provider{instance, node}, reason}
		b := o.Message()
		if len(b) > MaxMessage {
			t.Fatalf("%d bytes", len(b))
		}
		got, ok := ParseObjection(b)
		if !ok || got.By != o.By || !strings.HasPrefix(strings.ToValidUTF8(reason, ""), got.Reason) {
			t.Errorf("%+v became %+v", o, got)
		}
		if _, ok := ParseObjection([]byte(reason)); ok && !strings.HasPrefix(reason, objectionMark) {
			t.Errorf("%q is an objection", reason)
		}
	})
}
