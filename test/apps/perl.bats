load lib/apps

@test "perl: a sieve, a hash, a sub-process and an alarm" {
	needs perl
	begin() {
		start perl "$PROGRAMS/sieve.pl"
		within 20 lines out 3
	}
	carry dump_and_restore_twice dump_running
}
