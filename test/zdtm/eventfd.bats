load lib/zdtm

@test "an eventfd keeps its count and semaphore mode" {
	zdtm eventfd
}
