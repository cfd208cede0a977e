load lib/zdtm

@test "guard regions and sealed memory are kept" {
	there_is memory_guard || skip "no guard regions here"
	zdtm memory_guard
}
