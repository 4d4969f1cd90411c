package sim

// evKind tells what an event does. Equal times run in the order of scheduling.
type evKind uint8

const (
	evArrive  evKind = iota + 1 // packet p comes to node a
	evWake                      // node a, process b: timer of the member
	evDisk                      // node a, process b: write number x is done
	evStart                     // node a starts
	evBegin                     // action a of the schedule begins
	evEnd                       // action a of the schedule ends
	evFlow                      // action a of the schedule submits its next message
	evPing                      // node a, process b: bare session tick
	evConsume                   // node a, process b: the clients take what was delivered
	evRelease                   // node a, process b: the services are synchronised
	evResume                    // node a goes on after work that took x
	evPhase                     // next step of the run's phases
	evDuty                      // node a, process b: clients of Group Services do what is due
	evTick                      // programs are told the time
	evVault                     // node a, process b: a write of durable topics is done
)

// event is one entry of the queue.
type event struct {
	at   Tick
	seq  uint64
	kind evKind
	a    int32
	b    int32
	x    uint64
	p    *packet
}

// queue is a heap of events, four children a node.
type queue struct {
	h   []event
	seq uint64
}

func (q *queue) less(a, b *event) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.h = append(q.h, e)
	i := len(q.h) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !q.less(&e, &q.h[up]) {
			break
		}
		q.h[i] = q.h[up]
		i = up
	}
	q.h[i] = e
}

func (q *queue) pop() event {
	top := q.h[0]
	n := len(q.h) - 1
	e := q.h[n]
	q.h[n] = event{}
	q.h = q.h[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= n {
			break
		}
		best := first
		for c := first + 1; c < min(first+4, n); c++ {
			if q.less(&q.h[c], &q.h[best]) {
				best = c
			}
		}
		if !q.less(&q.h[best], &e) {
			break
		}
		q.h[i] = q.h[best]
		i = best
	}
	q.h[i] = e
	return top
}

// keep puts an event back that was taken out, in its old place.
func (q *queue) keep(e event) {
	seq := q.seq
	q.seq = e.seq - 1
	q.push(e)
	q.seq = seq
}
