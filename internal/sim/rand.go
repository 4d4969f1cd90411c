package sim

import "math"

// stream is a named source of random numbers (splitmix64). Streams with
// different names are independent.
type stream struct{ s uint64 }

func newStream(seed uint64, name string, n ...uint64) stream {
	h := seed ^ 0x9e3779b97f4a7c15
	for i := range len(name) {
		h = mix(h ^ uint64(name[i]))
	}
	for _, x := range n {
		h = mix(h ^ x)
	}
	return stream{mix(h)}
}

func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Uint64 implements the random source of the cores.
func (r *stream) Uint64() uint64 {
	r.s += 0x9e3779b97f4a7c15
	z := r.s
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float returns a number in [0, 1).
func (r *stream) float() float64 { return float64(r.Uint64()>>11) / (1 << 53) }

// chance is true with probability p. It takes a number even where p is 0 or 1.
func (r *stream) chance(p float64) bool { return r.float() < p }

// intn returns a number in [0, n); n below 1 gives 0.
func (r *stream) intn(n int) int {
	if n < 1 {
		return 0
	}
	return int(r.Uint64() % uint64(n))
}

// between returns a Tick in [a, b).
func (r *stream) between(a, b Tick) Tick {
	if b <= a {
		return a
	}
	return a + Tick(r.Uint64()%uint64(b-a))
}

// log returns a Tick in [a, b) whose logarithm is uniform: all orders of
// magnitude are equally likely.
func (r *stream) log(a, b Tick) Tick {
	return Tick(math.Exp(math.Log(float64(a)) + r.float()*(math.Log(float64(b))-math.Log(float64(a)))))
}

// normals holds quantiles of the standard normal distribution.
var normals = func() (t [1024]float64) {
	for i := range t {
		t[i] = math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/float64(len(t))-1)
	}
	return t
}()

// lognormal returns median·exp(sigma·N).
func (r *stream) lognormal(median Tick, sigma float64) Tick {
	if sigma == 0 {
		return median
	}
	return Tick(float64(median) * math.Exp(sigma*normals[r.Uint64()>>54]))
}
