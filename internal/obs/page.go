package obs

import (
	"math"
	"strconv"
	"strings"
)

// Prefix starts the names of all metrics but those that are the same for every
// process.
const Prefix = "moothall_"

// Kind is what kind of number a metric is.
type Kind string

// Kinds of metrics.
const (
	Counter Kind = "counter" // it only rises
	Gauge   Kind = "gauge"
)

// ContentType is that of a Page.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Page collects metrics in the text format of Prometheus. The zero value is
// ready.
type Page struct {
	b    []byte
	name string
}

// Family starts a metric with its name without Prefix, and a sentence about it.
// Its samples follow.
func (p *Page) Family(kind Kind, name, help string) { p.family(string(kind), Prefix+name, help) }

// Process starts a metric that every process has under that name.
func (p *Page) Process(kind Kind, name, help string) { p.family(string(kind), name, help) }

func (p *Page) family(kind, name, help string) {
	p.name = name
	p.b = append(p.b, "# HELP "...)
	p.b = append(p.b, name...)
	p.b = append(p.b, ' ')
	p.b = append(p.b, strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help)...)
	p.b = append(p.b, "\n# TYPE "...)
	p.b = append(p.b, name...)
	p.b = append(p.b, ' ')
	p.b = append(p.b, kind...)
	p.b = append(p.b, '\n')
}

// Sample adds a value to the metric that was started last. Labels are names and
// values in turn.
func (p *Page) Sample(value float64, labels ...string) { p.sample("", value, labels) }

// Count is Sample for a counter.
func (p *Page) Count(value uint64, labels ...string) { p.sample("", float64(value), labels) }

// One adds a metric with one value and no labels.
func (p *Page) One(kind Kind, name, help string, value float64) {
	p.Family(kind, name, help)
	p.Sample(value)
}

// Flag is 1 for yes.
func Flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Histogram adds a metric of durations; its name ends in _seconds.
func (p *Page) Histogram(name, help string, h *Histogram) {
	p.family("histogram", Prefix+name, help)
	var total uint64
	for i := range h.counts {
		total += h.counts[i].Load()
		le := math.Inf(1)
		if i < buckets {
			le = bound(i)
		}
		p.sample("_bucket", float64(total), []string{"le", number(le)})
	}
	p.sample("_sum", float64(h.sum.Load())/1e9, nil)
	p.sample("_count", float64(total), nil)
}

func (p *Page) sample(suffix string, value float64, labels []string) {
	p.b = append(p.b, p.name...)
	p.b = append(p.b, suffix...)
	for i := 0; i+1 < len(labels); i += 2 {
		if i == 0 {
			p.b = append(p.b, '{')
		} else {
			p.b = append(p.b, ',')
		}
		p.b = append(p.b, labels[i]...)
		p.b = append(p.b, `="`...)
		p.b = append(p.b, escape.Replace(strings.ToValidUTF8(labels[i+1], "?"))...)
		p.b = append(p.b, '"')
	}
	if len(labels) > 0 {
		p.b = append(p.b, '}')
	}
	p.b = append(p.b, ' ')
	p.b = append(p.b, number(value)...)
	p.b = append(p.b, '\n')
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// Bytes is the page as it stands.
func (p *Page) Bytes() []byte { return p.b }
