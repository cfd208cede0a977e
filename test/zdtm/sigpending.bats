load lib/zdtm

@test "pending signals keep their order, sender and value" { zdtm sigpending; }

@test "a signal that waits for a thread is not taken for crtool's own, where all that crtool may use are handled" {
	zdtm sigpending_caught
}
