load lib/zdtm

@test "the NUMA policies of mappings are kept" {
	"$BUILD/test/zdtm/mempolicy" have || skip "a kernel without NUMA policies"
	zdtm mempolicy
}
