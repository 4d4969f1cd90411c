package executive

// Gaps says how long the process was kept from running, as its watchdog saw it.
type Gaps struct {
	Max    Tick   `json:"max"`
	Count  uint64 `json:"count"`
	Recent []Gap  `json:"recent,omitempty"` // oldest first
}

// Gap is one stretch of time in which the process did not run.
type Gap struct {
	At  Tick `json:"at"` // its end
	Dur Tick `json:"dur"`
}
