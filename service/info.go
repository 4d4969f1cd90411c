package service

import "fmt"

// Ids of services. The built-in ones have those below FirstID, now and in later
// versions; everybody else takes one from FirstID to LastID that is free in his
// cluster. The order of ids is the order in which services hear of
// configurations and are synchronised.
const (
	FirstID = 32
	LastID  = 63
)

// MaxMessage is the largest body of a message, in bytes.
const MaxMessage = 1 << 20

// MaxName is the longest name of a service, in bytes.
const MaxName = 32

// CheckName says what is wrong with the name of a service: it has lower case
// letters, digits, dashes and underscores, starts with a letter, and has at most
// MaxName bytes. The built-in services' names are taken.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("service: no name")
	case len(name) > MaxName:
		return fmt.Errorf("service: a name of %d bytes, at most %d", len(name), MaxName)
	case builtIn[name]:
		return fmt.Errorf("service: the name %q is a built-in service's", name)
	}
	for i, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z':
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '_'):
		default:
			return fmt.Errorf("service: the name %q, want a letter and then letters, digits, - and _, all lower case", name)
		}
	}
	return nil
}

var builtIn = map[string]bool{"quorum": true, "votequorum": true, "cpg": true, "cmap": true, "cfg": true, "groups": true, "events": true}

// CheckID says what is wrong with the id of a service that is not built in.
func CheckID(id uint16) error {
	if id < FirstID || id > LastID {
		return fmt.Errorf("service: id %d, services that are not built in have %d to %d", id, FirstID, LastID)
	}
	return nil
}

// Check says what is wrong with the description of a service that is not built
// in.
func (i Info) Check() error {
	if err := CheckName(i.Name); err != nil {
		return err
	}
	if err := CheckID(i.ID); err != nil {
		return fmt.Errorf("%w (%s)", err, i.Name)
	}
	if i.Versions.Min > i.Versions.Max {
		return fmt.Errorf("service: %s speaks versions %d to %d", i.Name, i.Versions.Min, i.Versions.Max)
	}
	return nil
}
