package groupstest

// joining is appendix A.1, as far as it is no matter of the library alone, and A.2.
var joining = []Scenario{
	{Number: 5, Name: "tokens are free again", Script: `
		A init
		A join g = OK 0
		A < AP join 1 EA UM cur=1/1 chg=1/1
		A join h = OK 1
		A < AP join 1 EA UM cur=1/1 chg=1/1
		A leave g
		A < AP leave 1 EA UM cur= chg=1/1 voluntary
		A join k = OK 0
		A < AP join 1 EA UM cur=1/1 chg=1/1`},
	{Number: 6, Name: "bad tokens", Script: `
		A joined g
		A leave #77 = BAD_MEMBER_TOKEN
		A vote #77 approve = BAD_MEMBER_TOKEN
		A unsubscribe #77 = BAD_MEMBER_TOKEN
		A subscribe g state as=s
		A < SU S ""
		A leave s = BAD_MEMBER_TOKEN
		A vote s approve = BAD_MEMBER_TOKEN
		A unsubscribe g = BAD_MEMBER_TOKEN`},
	{Number: 7, Name: "names", Script: `
		A init
		A join =x*33 = NAME_TOO_LONG
		A join ="" = BAD_PARAMETER
		A join =HostMembership = INVALID_GROUP
		A join =x*32
		A < AP join 1 EA UM cur=1/1 chg=1/1`},
	{Number: 8, Name: "illegal attributes", Script: `
		A init
		A join g merge=larger = BAD_GROUP_ATTRIBUTES
		A join g default=continue = BAD_GROUP_ATTRIBUTES
		A join g limit=-1 = BAD_GROUP_ATTRIBUTES
		A join g phases=3 = BAD_GROUP_ATTRIBUTES
		A join g batch=4 = BAD_GROUP_ATTRIBUTES
		A join g instance=-1 = BAD_PARAMETER`},
	{Number: 9, Name: "node number and limits", Script: `
		B limits = OK 32 256 2048 256 32 4096 1024 256
		B node = NO_INIT
		B init
		B node = OK 2`},

	{Number: 10, Name: "join of a new group", Script: `
		A init
		A join g
		A < AP join 1 EA UM cur=1/1 chg=1/1`},
	{Number: 11, Name: "join of one that exists", Script: `
		A joined g
		B init
		B join g
		A,B < AP join 1 EA UM cur=1/1,1/2 chg=1/2`},
	{Number: 12, Name: "join of a new group by phases", Script: `
		with GN
		A init
		A join g
		A < NP join 1 0 PM cur= chg=1/1
		A < AP join 1 EA UM cur=1/1 chg=1/1`},
	{Number: 13, Name: "three phases are barriers", Script: `
		with GN
		A joined g
		A blind on
		A plan g continue continue approve
		B init
		B plan g continue continue approve
		B join g
		B < NP join 1 0 PM cur=1/1 chg=1/2
		# and no more, before A has voted
		B nothing
		A blind off
		A < NP join 1 0 PM cur=1/1 chg=1/2
		A,B < NP join 2 0 OM cur=1/1 chg=1/2
		A,B < NP join 3 0 OM cur=1/1 chg=1/2
		A,B < AP join 3 EA UM cur=1/1,1/2 chg=1/2`},
	{Number: 14, Name: "a member rejects a join", Script: `
		with GN
		A joined g
		A plan g reject
		B init
		B join g
		A,B < NP join 1 0 PM cur=1/1 chg=1/2
		A,B < RJ join 1 ER RM cur=1/1 chg=1/2
		B state g x = BAD_MEMBER_TOKEN
		A state g x
		A < AP state 1 EA US cur=1/1 "x" prop="x" by=1/1`},
	{Number: 15, Name: "the joiner rejects its join", Script: `
		with GN
		A joined g
		B init
		B plan g reject
		B join g
		A,B < NP join 1 0 PM cur=1/1 chg=1/2
		A,B < RJ join 1 ER RM cur=1/1 chg=1/2
		B state g x = BAD_MEMBER_TOKEN`},
	{Number: 16, Name: "attributes do not match", Script: `
		A joined g
		B init
		B join g reject
		B < DE join 13 end
		B join g
		A,B < AP join 1 EA UM cur=1/1,1/2 chg=1/2`},
	{Number: 17, Name: "instance numbers", Script: `
		A joined g
		A2 init
		A2 join g
		A2 < DE join 15 end
		A2 join g instance=2
		A,A2 < AP join 1 EA UM cur=1/1,2/1 chg=2/1`},
	{Number: 18, Name: "joins behind a protocol", Script: `
		A joined g
		A quiet on
		A message g m n
		A < NP message 1 0 UPM cur=1/1 msg="m" by=1/1
		B init
		B join g
		settle
		C init
		C join g
		B,C nothing
		A vote g approve
		A < AP message 1 EA 0 cur=1/1 by=1/1
		A,B < AP join 1 EA UM cur=1/1,1/2 chg=1/2
		A,B,C < AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/3`},
	{Number: 19, Name: "joins behind a protocol, batched", Script: `
		with G1 batch=joins
		A joined g
		A quiet on
		A message g m n
		A < NP message 1 0 UPM cur=1/1 msg="m" by=1/1
		B init
		B join g
		settle
		C init
		C join g
		B,C nothing
		A vote g approve
		A < AP message 1 EA 0 cur=1/1 by=1/1
		A,B,C < AP join 1 EA UM cur=1/1,1/2,1/3 chg=1/2,1/3`},
	{Number: 20, Name: "the joiner dies, default approve", Script: `
		with GN
		A joined g
		B init
		B blind on
		B join g
		A < NP join 1 0 PM cur=1/1 chg=1/2
		B kill
		A < AP join 1 DA|PF UM cur=1/1,1/2 chg=1/2
		A < NP failure-leave 1 0 PM cur=1/1,1/2 chg=1/2 failure
		A < AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure`},
	{Number: 21, Name: "the joiner dies, default reject", Script: `
		with GN reject
		A joined g
		B init
		B blind on
		B join g
		A < NP join 1 0 PM cur=1/1 chg=1/2
		B kill
		A < RJ join 1 DR|PF RM cur=1/1 chg=1/2`},
	{Number: 22, Name: "a joiner without callback is late", Script: `
		with GN limit=2
		A joined g
		B init
		B join g null=nphase
		A < NP join 1 0 PM cur=1/1 chg=1/2 within=2
		later 2
		A,B < AP join 1 DA|TL UM cur=1/1,1/2 chg=1/2
		A,B < AN TL [1/2]`},
	{Number: 22, Name: "a joiner without callback is late, default reject", Script: `
		with GN limit=1 reject
		A joined g
		B init
		B join g null=nphase
		A < NP join 1 0 PM cur=1/1 chg=1/2 within=1
		later 1
		A,B < RJ join 1 DR|TL RM cur=1/1 chg=1/2
		A < AN TL [1/2]`},
	{Number: 23, Name: "who waits is no member", Script: `
		with GN
		A joined g
		A quiet on
		B init
		B join g
		B leave g = NOT_A_MEMBER
		A,B < NP join 1 0 PM cur=1/1 chg=1/2
		B leave g = NOT_A_MEMBER
		A vote g approve
		A,B < AP join 1 EA UM cur=1/1,1/2 chg=1/2`},
}
