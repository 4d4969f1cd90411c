// Package groupstest is the scenarios of group services, appendix A, by their
// numbers: written once, run with any library of Group Services on any cluster.
//
// # Scripts
//
// A scenario is a script. Each line begins with who is meant, names with commas:
// the first letter tells the node, A is a process on node 1 and so is A2; S stands
// for a subscriber on node 3, S1 for one on node 1. Then comes one of
//
//	A join g            a command; its answer has to be OK
//	A join g = OK 0     the same with another answer
//	A state g x ~ COLLIDE / DE state 16
//	                    the answer is that code, or OK, and the event comes later
//	A,B < AP ...        what each of them is told next
//	A,B nothing         each of them is told nothing now
//	A forget            does not care what they were told up to now
//	A joined g          begins, joins, and all forget what they saw of it
//	A kill              the process ends
//
// and of the cluster
//
//	with GN reject      attributes of the groups, from here on
//	settle              wait until nothing moves any more
//	later 2             two seconds pass
//	crash 2             power off, with all processes there
//	restart 2           and on again, with nobody
//	split 1,2 / 3       networks that do not reach each other
//	scripts fail        what scripts do: work, fail or hang
//	ran B expel "f" 3   the next script that ran: for whom, why, flag, limit
//
// At the end everybody has been told nothing more than what the script says.
//
// # Commands
//
// Commands are words, the role first: the group's name, or what as= said, or a
// token as in #77. "" is the empty text, and x*33 is 33 times x; a group's name
// is changed to one that no other scenario has, unless a = stands in front.
//
//	init [script] [check=ping interval=1 limit=1]
//	join g [as=r] [instance=1] [null=nphase] ATTRIBUTES
//	leave g [code=7] [n] [within=2]
//	expel g 1/2,1/3 [phase=1] [flag=f] [n] [within=2]
//	state g x [n] [within=2]; message g x [n]; attributes g ATTRIBUTES [n]
//	vote g approve [state=x] [message=m] [default=reject]
//	goodbye g; subscribe g state,membership [as=r]; unsubscribe r
//	plan g continue,state=x approve    votes of the next phases; none: no vote
//	quiet on           does not vote unless planned; otherwise everybody approves
//	blind on           does not dispatch
//	on AP state g x    does that in the next callback of this kind
//	answers stall      of checks: ok, bad or stall
//	quit; node; limits
//
// ATTRIBUTES are G1 or GN and reject, limit=2, batch=joins|leaves|both,
// deactivate, source=s, reflect=n, reflectlimit=2, version=2, merge=larger and
// default=continue.
//
// # Events
//
// Events are lines; lists are instance/node, and bits have the first letters of
// their names (Bits):
//
//	NP join 1 0 PM cur=1/1 chg=1/2 within=2
//	   kind, phase, summary, what changed, providers, what else there is
//	AN TL [1/2]
//	SU DJ|M full=1/1,1/2 chg=1/2
//	DE join 13 end
//
// by= is who proposed, where it is not clear: of a join the first joiner, of a
// leave the leaver, of what the service starts -1/-1. "end" says that the token is
// free after an AN, SU or DE.
package groupstest
