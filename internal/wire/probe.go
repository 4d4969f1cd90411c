package wire

// AppendProbe writes a Probe. t is the sender's node table.
func AppendProbe(b []byte, h Header, p Probe, t Table) []byte {
	b = h.with(TypeProbe).Append(b)
	b = appendSet(b, p.Members, t)
	b = appendSet(b, p.Reach, t)
	return append(b, p.Flags)
}

// ParseProbe reads the body of a Probe. t is the receiver's node table.
func ParseProbe(body []byte, t Table) (Probe, error) {
	r := reader{b: body}
	p := Probe{Members: r.set(t, "probe: members"), Reach: r.set(t, "probe: reach"), Flags: r.u8("probe: flags")}
	if err := r.end("probe"); err != nil {
		return Probe{}, err
	}
	return p, nil
}
