package groupstest

// leaving is appendix A.3.
var leaving = []Scenario{
	{Number: 24, Name: "leave", Script: `
		A,B,C joined g
		B leave g code=42
		A,B,C < AP leave 1 EA UM cur=1/1,1/3 chg=1/2 voluntary:42
		B state g x = BAD_MEMBER_TOKEN`},
	{Number: 25, Name: "leave rejected", Script: `
		A,B,C joined g
		A plan g reject
		B leave g code=1 n
		A,B,C < NP leave 1 0 PM cur=1/1,1/2,1/3 chg=1/2 voluntary:1
		A,B,C < RJ leave 1 ER RM cur=1/1,1/2,1/3 chg=1/2 voluntary:1
		B state g x
		A,B,C < AP state 1 EA US cur=1/1,1/2,1/3 "x" prop="x" by=1/2`},
	{Number: 26, Name: "the last provider leaves", Script: `
		A joined g
		A state g x
		A < AP state 1 EA US cur=1/1 "x" prop="x" by=1/1
		S2 init
		S2 subscribe g all
		S2 < SU M full=1/1
		A leave g
		A < AP leave 1 EA UM cur= chg=1/1 voluntary "x"
		S2 < SU DL|M full= chg=1/1
		S2 < SU DISSOLVED end
		A join g
		A < AP join 1 EA UM cur=1/1 chg=1/1`},
	{Number: 27, Name: "a process dies", Script: `
		A,B,C joined g
		B kill
		A,C < AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2 failure`},
	{Number: 28, Name: "a node with two providers dies", Needs: Crashes, Script: `
		A,B,C joined g
		B2 joined g instance=2
		crash 2
		A,C < AP failure-leave 1 EA UM cur=1/1,1/3,2/2 chg=1/2 host
		A,C < AP failure-leave 1 EA UM cur=1/1,1/3 chg=2/2 host`},
	{Number: 29, Name: "a node with two providers dies, batched", Needs: Crashes, Script: `
		with G1 batch=leaves
		A,B,C joined g
		B2 joined g instance=2
		crash 2
		A,C < AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2,2/2 host host`},
	{Number: 30, Name: "goodbye", Script: `
		A,B,C joined g
		B goodbye g
		A,C < AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2 goodbye
		B nothing
		B state g x = BAD_MEMBER_TOKEN
		B join g
		A,B,C < AP join 1 EA UM cur=1/1,1/3,1/2 chg=1/2`},
	{Number: 31, Name: "goodbye in a vote", Script: `
		with GN reject
		A,B,C joined g
		B quiet on
		A state g x n
		A,B,C < NP state 1 0 PS cur=1/1,1/2,1/3 prop="x" by=1/1
		B goodbye g
		A,C < RJ state 1 DR|PF RS cur=1/1,1/2,1/3 prop="x" by=1/1
		A,C < NP failure-leave 1 0 PM cur=1/1,1/2,1/3 chg=1/2 goodbye
		A,C < AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2 goodbye`},
	{Number: 32, Name: "a failure leave is rejected", Script: `
		with GN
		A,B,C joined g
		A plan g reject
		B kill
		A,C < NP failure-leave 1 0 PM cur=1/1,1/2,1/3 chg=1/2 failure
		A,C < RJ failure-leave 1 ER UM cur=1/1,1/3 chg=1/2 failure`},
	{Number: 33, Name: "another failure meanwhile", Script: `
		with GN
		A,B,C joined g
		C blind on
		B kill
		A < NP failure-leave 1 0 PM cur=1/1,1/2,1/3 chg=1/2 failure
		C kill
		A < AP failure-leave 1 DA|PF UM cur=1/1,1/3 chg=1/2 failure
		A < NP failure-leave 1 0 PM cur=1/1,1/3 chg=1/3 failure
		A < AP failure-leave 1 EA UM cur=1/1 chg=1/3 failure`},
	{Number: 34, Name: "quit leaves all groups", Script: `
		A,B joined g
		A,B joined h
		B quit
		A < AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure
		A < AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure
		B state g x = NO_INIT`},
	{Number: 35, Name: "who comes again is the last", Script: `
		A,B,C joined g
		A kill
		B,C < AP failure-leave 1 EA UM cur=1/2,1/3 chg=1/1 failure
		A2 init
		A2 join g
		A2,B,C < AP join 1 EA UM cur=1/2,1/3,1/1 chg=1/1`},
}
