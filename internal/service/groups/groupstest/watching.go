package groupstest

// watching is appendix A.6 to A.8.
var watching = []Scenario{
	{Number: 59, Name: "expel in one phase", Needs: Scripts, Script: `
		A,B,C init script
		A,B,C joined g
		A expel g 1/2 flag=now
		A,B,C < AP expel 1 EA UM|EX cur=1/1,1/3 chg=1/2 expelled flag="now"@0 by=1/1
		ran B expel "now" 0
		B state g x = BAD_MEMBER_TOKEN
		A expel g 1/3
		A,C < AP expel 1 EA UM|EX cur=1/1 chg=1/3 expelled flag=""@0 by=1/1
		# phase 0 without a flag runs nothing
		ran`},
	{Number: 60, Name: "a script in phase two is not successful", Needs: Scripts, Script: `
		A,B,C init script
		A,B,C joined g
		scripts fail
		A,C plan g continue
		A expel g 1/2 phase=2 flag=f n
		A,C < NP expel 1 0 PM|EX cur=1/1,1/2,1/3 chg=1/2 expelled flag="f"@2 by=1/1
		A,C < NP expel 2 0 OM|EX cur=1/1,1/2,1/3 chg=1/2 expelled flag="f"@2 by=1/1
		A,B,C < AP expel 2 EA|DU UM|EX cur=1/1,1/3 chg=1/2 expelled flag="f"@2 by=1/1
		ran B expel "f" 0`},
	{Number: 61, Name: "a script is late", Needs: Scripts, Script: `
		A,B,C init script
		A,B,C joined g
		scripts hang
		A expel g 1/2 phase=1 flag=f n within=2
		A,C < NP expel 1 0 PM|EX cur=1/1,1/2,1/3 chg=1/2 expelled flag="f"@1 by=1/1 within=2
		ran B expel "f" 2
		later 2
		A,B,C < AP expel 1 EA|DU|DT UM|EX cur=1/1,1/3 chg=1/2 expelled flag="f"@1 by=1/1`},
	{Number: 62, Name: "an expel is rejected", Needs: Scripts, Script: `
		A,B,C init script
		A,B,C joined g
		C plan g reject
		A expel g 1/2 phase=2 flag=f n
		A,C < NP expel 1 0 PM|EX cur=1/1,1/2,1/3 chg=1/2 expelled flag="f"@2 by=1/1
		A,B,C < RJ expel 1 ER RM|EX cur=1/1,1/2,1/3 chg=1/2 expelled flag="f"@2 by=1/1
		ran
		B state g x
		A,B,C < AP state 1 EA US cur=1/1,1/2,1/3 "x" prop="x" by=1/2`},
	{Number: 63, Name: "bad expels", Script: `
		A,B joined g
		A expel g 1/2,1/3,1/2 = PROVIDER_APPEARS_TWICE
		A expel g 1/2 phase=3 = INVALID_DEACTIVATE_PHASE
		A expel g "" = BAD_PARAMETER
		A expel g 9/9
		A < DE expel 23`},
	{Number: 64, Name: "a script when a process dies", Needs: Scripts, Script: `
		with G1 deactivate
		A,B,C init script
		A,B,C joined g
		B kill
		A,C < AP failure-leave 1 EA UM cur=1/1,1/3 chg=1/2 failure
		ran B failure "" 0
		C goodbye g
		A < AP failure-leave 1 EA UM cur=1/1 chg=1/3 goodbye
		ran`},
	{Number: 64, Name: "a script when a process dies, by phases", Needs: Scripts, Script: `
		with GN deactivate
		A,B,C init script
		A,B,C joined g
		scripts fail
		B kill
		A,C < NP failure-leave 1 0 PM cur=1/1,1/2,1/3 chg=1/2 failure
		A,C < AP failure-leave 1 EA|DU UM cur=1/1,1/3 chg=1/2 failure
		ran B failure "" 0`},

	{Number: 65, Name: "no provider of the source", Script: `
		A joined s
		B init
		B join t source=s
		B < DE join 12 end`},
	{Number: 66, Name: "cast out", Script: `
		A,B joined s
		A2,B2 joined t source=s
		B leave s
		A,B < AP leave 1 EA UM cur=1/1 chg=1/2 voluntary
		A2,B2 < AP cast-out 1 EA UM cur=1/1 chg=1/2 source
		B2 state t x = BAD_MEMBER_TOKEN`},
	{Number: 66, Name: "cast out, in the programs of the source", Script: `
		A,B joined s
		A,B joined t source=s
		B leave s
		A,B < AP leave 1 EA UM cur=1/1 chg=1/2 voluntary
		A,B < AP cast-out 1 EA UM cur=1/1 chg=1/2 source
		B state t x = BAD_MEMBER_TOKEN`},
	{Number: 67, Name: "a node dies: the source goes first, in one program", Needs: Crashes, Script: `
		with G1 batch=leaves
		A,B joined s
		A,B joined t source=s
		crash 2
		A < AP failure-leave 1 EA UM cur=1/1 chg=1/2 host
		A < AP failure-leave 1 EA UM cur=1/1 chg=1/2 host`},
	{Number: 67, Name: "a node dies: the source goes first", Needs: Crashes, Script: `
		A,B joined s GN
		A2,B2 joined t source=s
		A quiet on
		crash 2
		A < NP failure-leave 1 0 PM cur=1/1,1/2 chg=1/2 host
		# it waits for the source's protocol, and counts as busy
		A2 state t x
		A2 < DE state 16
		A vote s approve
		A < AP failure-leave 1 EA UM cur=1/1 chg=1/2 host
		A2 < AP failure-leave 1 EA UM cur=1/1 chg=1/2 host`},
	{Number: 68, Name: "reflection", Script: `
		A,B joined s
		A2,B2 joined t source=s
		A state s v
		A,B < AP state 1 EA US cur=1/1,1/2 "v" prop="v" by=1/1
		A2,B2 < AP reflection 1 EA REFL cur=1/1,1/2 src="v"`},
	{Number: 68, Name: "reflection by phases", Script: `
		A,B joined s
		A,B joined t source=s reflect=n reflectlimit=2
		B plan t continue
		A state s v
		A,B < AP state 1 EA US cur=1/1,1/2 "v" prop="v" by=1/1
		A,B < NP reflection 1 0 REFL cur=1/1,1/2 src="v" within=2
		A,B < NP reflection 2 0 REFL cur=1/1,1/2 src="v" within=2
		A,B < AP reflection 2 EA REFL cur=1/1,1/2 src="v"
		B plan t reject,state=no
		A state s w
		A,B < AP state 1 EA US cur=1/1,1/2 "w" prop="w" by=1/1
		A,B < NP reflection 1 0 REFL cur=1/1,1/2 src="w" within=2
		A,B < RJ reflection 1 ER REFL cur=1/1,1/2 src="w"`},
	{Number: 69, Name: "what is rejected is not reflected", Script: `
		A,B joined s
		A2,B2 joined t source=s
		B plan s reject
		A state s v n
		A,B < NP state 1 0 PS cur=1/1,1/2 prop="v" by=1/1
		A,B < RJ state 1 ER RS cur=1/1,1/2 prop="v" by=1/1
		A2,B2 nothing`},
	{Number: 70, Name: "sources in a circle", Script: `
		A init
		A join t source=t = INVALID_SOURCE_GROUP
		A joined s
		A2 joined t source=s
		A2 quiet on
		# t is kept busy beyond the end of s
		A2 message t m n
		A2 < NP message 1 0 UPM cur=1/1 msg="m" by=1/1
		A leave s
		A < AP leave 1 EA UM cur= chg=1/1 voluntary
		A join s source=t
		A < DE join 22 end
		A2 vote t approve
		A2 < AP message 1 EA 0 cur=1/1 by=1/1
		A2 < AP cast-out 1 EA UM cur= chg=1/1 source`},

	{Number: 71, Name: "subscription to nothing", Script: `
		S init
		S subscribe g state
		S < DE subscription 10 end`},
	{Number: 72, Name: "all is wanted", Script: `
		A,B joined g
		A state g x
		A,B < AP state 1 EA US cur=1/1,1/2 "x" prop="x" by=1/1
		S init
		S subscribe g everything
		S < SU S|M full=1/1,1/2 "x"
		C init
		C join g
		A,B,C < AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3 "x"
		S < SU DJ|M full=1/1,1/2,1/3 chg=1/3`},
	{Number: 73, Name: "only who leaves", Script: `
		A,B joined g
		S init
		S subscribe g leaves
		S nothing
		C init
		C join g
		A,B,C < AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3
		S nothing
		B leave g
		A,B,C < AP leave 1 EA UM cur=1/1,1/3 chg=1/2 voluntary
		S < SU DL chg=1/2`},
	{Number: 74, Name: "hosts", Needs: Crashes | Fresh, Script: `
		S1 init
		S1 subscribe =HostMembership everything
		S1 < SU S|M full=0/1,0/2,0/3 ""
		crash 3
		S1 < SU DL|M full=0/1,0/2 chg=0/3
		restart 3
		S1 < SU DJ|M full=0/1,0/2,0/3 chg=0/3`},
	{Number: 75, Name: "unsubscribe", Script: `
		A,B joined g
		S init
		S subscribe g everything
		S < SU S|M full=1/1,1/2 ""
		S unsubscribe g
		B leave g
		A,B < AP leave 1 EA UM cur=1/1 chg=1/2 voluntary
		S nothing`},
	{Number: 76, Name: "no answer", Script: `
		A init check=ping interval=1 limit=1
		A join g
		A < AP join 1 EA UM cur=1/1 chg=1/1
		B,C joined g
		A answers stall
		later 5
		B,C < AN NR [1/1]
		B,C nothing
		A answers ok
		later 2
		B,C < AN RS [1/1]
		A < AN NR [1/1]
		A < AN RS [1/1]`},
	{Number: 77, Name: "not well", Script: `
		A init check=ping interval=1 limit=1
		A join g
		A < AP join 1 EA UM cur=1/1 chg=1/1
		B,C joined g
		A answers bad
		later 2
		A,B,C < AN NR [1/1]`},
	{Number: 79, Name: "the node of a provider is gone, and comes again", Needs: Crashes, Script: `
		A,B,C joined g
		crash 1
		B,C < AP failure-leave 1 EA UM cur=1/2,1/3 chg=1/1 host
		restart 1
		A2 init
		A2 join g
		A2,B,C < AP join 1 EA UM cur=1/2,1/3,1/1 chg=1/1`},
	{Number: 80, Name: "split", Nodes: 5, Needs: Splits, Script: `
		with G1 batch=leaves
		A,B,C,D,E joined g
		split 1,2,3 / 4,5
		A,B,C < AP failure-leave 1 EA UM cur=1/1,1/2,1/3 chg=1/4,1/5 host host
		D,E < AP failure-leave 1 EA UM cur=1/4,1/5 chg=1/1,1/2,1/3 host host host
		D state g few
		D,E < AP state 1 EA US cur=1/4,1/5 "few" prop="few" by=1/4
		A state g many
		A,B,C < AP state 1 EA US cur=1/1,1/2,1/3 "many" prop="many" by=1/1`},
	{Number: 81, Name: "split and heal", Nodes: 5, Needs: Splits, Script: `
		with G1 batch=leaves
		A,B,C,D,E joined g
		S5 init
		S5 subscribe g membership
		S5 < SU M full=1/1,1/2,1/3,1/4,1/5
		S5 subscribe =HostMembership deltas as=hosts
		split 1,2,3 / 4,5
		A,B,C < AP failure-leave 1 EA UM cur=1/1,1/2,1/3 chg=1/4,1/5 host host
		D,E < AP failure-leave 1 EA UM cur=1/4,1/5 chg=1/1,1/2,1/3 host host host
		S5 < SU DL chg=0/1,0/2,0/3
		S5 < SU M full=1/4,1/5
		A state g many
		A,B,C < AP state 1 EA US cur=1/1,1/2,1/3 "many" prop="many" by=1/1
		split 1,2,3,4,5
		D,E < AN GD [1/4,1/5] end
		S5 < SU DISSOLVED end
		E state g x = BAD_MEMBER_TOKEN
		S5 < SU DJ chg=0/1,0/2,0/3
		A,B,C nothing
		E join g
		A,B,C,E < AP join 1 EA UM cur=1/1,1/2,1/3,1/5 chg=1/5 "many"`},
	{Number: 83, Name: "the first node dies amidst a protocol", Nodes: 5, Needs: Crashes, Script: `
		with GN
		A,B,C,D,E joined g
		B quiet on
		A state g x n
		A,B,C,D,E < NP state 1 0 PS cur=1/1,1/2,1/3,1/4,1/5 prop="x" by=1/1
		settle
		crash 1
		B vote g approve
		B quiet off
		B,C,D,E < AP state 1 EA US cur=1/1,1/2,1/3,1/4,1/5 "x" prop="x" by=1/1
		B,C,D,E < NP failure-leave 1 0 PM cur=1/1,1/2,1/3,1/4,1/5 chg=1/1 host "x"
		B,C,D,E < AP failure-leave 1 EA UM cur=1/2,1/3,1/4,1/5 chg=1/1 host "x"`},
}
