package seal

// arena hands out buffers that are all given back at once. It grows by blocks,
// so what was handed out never moves, and keeps the blocks for the next round.
type arena struct {
	blocks [][]byte
	at     int // block in use
	used   int // of it
}

const arenaBlock = 256 << 10

func (a *arena) take(n int) []byte {
	for ; a.at < len(a.blocks); a.at, a.used = a.at+1, 0 {
		if b := a.blocks[a.at]; a.used+n <= len(b) {
			a.used += n
			return b[a.used-n : a.used : a.used]
		}
	}
	a.blocks = append(a.blocks, make([]byte, max(n, arenaBlock)))
	return a.take(n)
}

func (a *arena) reset() { a.at, a.used = 0, 0 }
