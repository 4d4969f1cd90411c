package groupstest

// voting is appendix A.4 and A.5.
var voting = []Scenario{
	{Number: 36, Name: "state in one phase", Script: `
		A,B joined g
		S init
		S subscribe g state
		S < SU S ""
		A state g x
		A,B < AP state 1 EA US cur=1/1,1/2 "x" prop="x" by=1/1
		S < SU S "x"`},
	{Number: 37, Name: "state by phases", Script: `
		A,B joined g
		A state g x n
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/1
		A,B < AP state 1 EA US cur=1/1,1/2 "x" prop="x" by=1/1`},
	{Number: 38, Name: "state rejected", Script: `
		A,B joined g
		S init
		S subscribe g state
		S < SU S ""
		B plan g reject
		A state g x n
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/1
		A,B < RJ state 1 ER RS cur=1/1,1/2 prop="x" by=1/1`},
	{Number: 39, Name: "sizes", Script: `
		A joined g
		A state g x*257 = BAD_PARAMETER
		A message g x*2049 = BAD_PARAMETER
		A message g "" = BAD_PARAMETER
		A state g ""
		A < AP state 1 EA US cur=1/1 prop="" by=1/1`},
	{Number: 40, Name: "message in one phase", Script: `
		A,B joined g
		S init
		S subscribe g state,membership
		S < SU S|M full=1/1,1/2 ""
		A message g m
		A,B < AP message 1 EA UPM cur=1/1,1/2 msg="m" by=1/1`},
	{Number: 41, Name: "message by phases", Script: `
		A,B joined g
		B plan g continue
		A message g m n
		A,B < NP message 1 0 UPM cur=1/1,1/2 msg="m" by=1/1
		A,B < NP message 2 0 0 cur=1/1,1/2 by=1/1
		A,B < AP message 2 EA 0 cur=1/1,1/2 by=1/1`},
	{Number: 42, Name: "state and message with a vote", Script: `
		with GN
		A,B joined g
		S1 init
		S1 subscribe g state,membership
		S1 < SU S|M full=1/1,1/2 ""
		A plan g continue,state=s,message=m
		C init
		C join g
		A,B,C < NP join 1 0 PM cur=1/1,1/2 chg=1/3
		A,B,C < NP join 2 0 OM|PS|UPM cur=1/1,1/2 chg=1/3 prop="s" msg="m"
		A,B,C < AP join 2 EA UM|US cur=1/1,1/2,1/3 chg=1/3 "s" prop="s"
		S1 < SU S|M full=1/1,1/2,1/3 "s"`},
	{Number: 43, Name: "state with the last vote", Script: `
		with GN
		A,B joined g
		A plan g approve,state=s
		C init
		C join g
		A,B,C < NP join 1 0 PM cur=1/1,1/2 chg=1/3
		A,B,C < AP join 1 EA UM|US cur=1/1,1/2,1/3 chg=1/3 "s" prop="s"`},
	{Number: 44, Name: "the most senior voter's state", Script: `
		A,B joined g
		A quiet on
		B plan g continue,state=b,message=mb
		A message g m n
		A,B < NP message 1 0 UPM cur=1/1,1/2 msg="m" by=1/1
		settle
		A vote g approve state=a
		A,B < NP message 2 0 PS|UPM cur=1/1,1/2 prop="a" msg="mb" by=1/1
		A vote g approve
		A,B < AP message 2 EA US cur=1/1,1/2 "a" prop="a" by=1/1`},
	{Number: 45, Name: "two proposals at once", Script: `
		A,B joined g
		A quiet on
		B blind on
		A state g a n
		A < NP state 1 0 PS cur=1/1,1/2 prop="a" by=1/1
		B state g b n
		B blind off
		B < NP state 1 0 PS cur=1/1,1/2 prop="a" by=1/1
		B < DE state 16
		A vote g approve
		A,B < AP state 1 EA US cur=1/1,1/2 "a" prop="a" by=1/1`},
	{Number: 46, Name: "proposal amidst another's", Script: `
		A,B joined g
		B quiet on
		A state g a n
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="a" by=1/1
		B state g b = COLLIDE
		B vote g approve
		A,B < AP state 1 EA US cur=1/1,1/2 "a" prop="a" by=1/1`},
	{Number: 47, Name: "joins come first", Script: `
		with GN
		A,B joined g
		B quiet on
		A message g m n
		A,B < NP message 1 0 UPM cur=1/1,1/2 msg="m" by=1/1
		C init
		C join g
		C nothing
		A on AP state g x
		B vote g approve
		A,B < AP message 1 EA 0 cur=1/1,1/2 by=1/1
		A,B,C < NP join 1 0 PM cur=1/1,1/2 chg=1/3
		A < DE state 16
		B vote g approve
		A,B,C < AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3`},
	{Number: 47, Name: "joins of one phase are done by then", Script: `
		A,B joined g
		B quiet on
		A message g m n
		A,B < NP message 1 0 UPM cur=1/1,1/2 msg="m" by=1/1
		C init
		C join g
		C nothing
		A on AP state g x
		B vote g approve
		A,B < AP message 1 EA 0 cur=1/1,1/2 by=1/1
		A,B,C < AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3
		A,B,C < AP state 1 EA US cur=1/1,1/2,1/3 "x" prop="x" by=1/1`},
	{Number: 48, Name: "attributes change", Script: `
		A,B joined g
		A attributes g limit=5 n
		A,B < NP attributes 1 0 PA cur=1/1,1/2 limit=5 by=1/1
		A,B < AP attributes 1 EA UA cur=1/1,1/2 limit=5 by=1/1
		C init
		C join g
		C < DE join 13 end
		C join g limit=5
		A,B,C < AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3`},
	{Number: 49, Name: "the source group does not change", Script: `
		A,B joined g
		A attributes g source=s n ~ BAD_GROUP_ATTRIBUTES / DE attributes 13`},

	{Number: 50, Name: "votes that nobody expects", Script: `
		A,B joined g
		A quiet on
		A vote g approve = VOTE_NOT_EXPECTED
		B state g x n
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/2
		A vote g approve
		A vote g approve = VOTE_NOT_EXPECTED
		A,B < AP state 1 EA US cur=1/1,1/2 "x" prop="x" by=1/2
		A vote g approve = VOTE_NOT_EXPECTED`},
	{Number: 51, Name: "votes that are none", Script: `
		A,B joined g
		A quiet on
		B state g x n
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/2
		A vote g null = BAD_PARAMETER
		A vote g approve default=continue = BAD_PARAMETER
		A vote g approve
		A,B < AP state 1 EA US cur=1/1,1/2 "x" prop="x" by=1/2`},
	{Number: 52, Name: "a vote after the callback, elsewhere", Script: `
		A,B joined g
		A,B quiet on
		B state g x n
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/2
		settle
		A,B vote g approve
		A,B < AP state 1 EA US cur=1/1,1/2 "x" prop="x" by=1/2`},
	{Number: 53, Name: "late, default approve", Script: `
		A,B joined g
		B quiet on
		A state g x n within=2
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/1 within=2
		A,B nothing
		later 2
		A,B < AP state 1 DA|TL US cur=1/1,1/2 "x" prop="x" by=1/1
		A,B < AN TL [1/2]
		B message g here
		A,B < AP message 1 EA UPM cur=1/1,1/2 "x" msg="here" by=1/2`},
	{Number: 54, Name: "late, default reject", Script: `
		with G1 reject
		A,B joined g
		B quiet on
		A state g x n within=2
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/1 within=2
		later 2
		A,B < RJ state 1 DR|TL RS cur=1/1,1/2 prop="x" by=1/1
		A,B < AN TL [1/2]`},
	{Number: 55, Name: "late, with a default vote that replaces reject", Script: `
		with G1 reject
		A,B joined g
		B quiet on
		A plan g approve,default=approve
		A state g x n within=2
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/1 within=2
		later 2
		A,B < AP state 1 DA|TL US cur=1/1,1/2 "x" prop="x" by=1/1
		A,B < AN TL [1/2]`},
	{Number: 56, Name: "late in one phase only", Script: `
		A,B joined g
		A plan g continue
		B plan g none
		A state g x n within=2
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/1 within=2
		later 2
		A,B < NP state 2 DA|TL OS cur=1/1,1/2 prop="x" by=1/1 within=2
		A,B < AP state 2 DA|TL US cur=1/1,1/2 "x" prop="x" by=1/1
		A,B < AN TL [1/2]`},
	{Number: 57, Name: "no limit", Script: `
		A,B joined g
		B quiet on
		A state g x n
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/1
		later 60
		A,B nothing
		B vote g approve
		A,B < AP state 1 EA US cur=1/1,1/2 "x" prop="x" by=1/1`},
	{Number: 58, Name: "reject ends at once", Script: `
		A,B joined g
		A,B quiet on
		A state g x n
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="x" by=1/1
		B blind on
		A vote g reject
		A < RJ state 1 ER RS cur=1/1,1/2 prop="x" by=1/1
		B vote g approve
		B blind off
		B < RJ state 1 ER RS cur=1/1,1/2 prop="x" by=1/1
		B vote g approve = VOTE_NOT_EXPECTED`},
}
