load lib/zdtm

@test "the NUMA policies of mappings are kept" {
	"$BUILD/test/zdtm/mempolicy" have || skip "a kernel without NUMA policies"
	zdtm mempolicy
}

@test "the NUMA policies of some of many mappings are kept" {
	"$BUILD/test/zdtm/mempolicy" have || skip "a kernel without NUMA policies"
	once mempolicy many
}
