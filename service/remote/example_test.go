package remote_test

import (
	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/remote"
)

// hello is a service that does nothing yet.
type hello struct{}

func (hello) Info() service.Info {
	return service.Info{Name: "hello", ID: 40, Versions: service.Range{Min: 1, Max: 1}}
}
func (hello) Start(service.Executive) error             { return nil }
func (hello) Stop()                                     {}
func (hello) Deliver(service.Message)                   {}
func (hello) ConfigChange(service.ConfigChange)         {}
func (hello) Open(service.Conn) (service.Client, error) { return nil, service.ErrNotSupported }

// The main function of a service in a process of its own.
func Example() {
	remote.Main(hello{})
}
