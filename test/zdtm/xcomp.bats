load lib/zdtm

@test "the permission to use AMX is kept" {
	"$BUILD/test/zdtm/xcomp" have || skip "this CPU has no AMX"
	zdtm xcomp
}
