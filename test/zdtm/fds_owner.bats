load lib/zdtm

@test "owner, signal and uids of an asynchronous descriptor stay, and it signals" {
	zdtm fds_owner
}
