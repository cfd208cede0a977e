# A restore that is killed or ended at any system call of crtool: all or nothing.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	fewer 2
}

@test "killed at any call, a restore of one thread is all or nothing" {
	victim=(fault/steady compute)
	restore_points KILL
}

@test "killed at any call, a restore of five threads is all or nothing" {
	victim=(fault/steady mix 5)
	restore_points KILL
}

@test "killed at any call, a restore of a tree is all or nothing" {
	victim=(fault/family)
	restore_points KILL
}

@test "killed at any call, a restore of much memory is all or nothing" {
	victim=(memory_dense one)
	restore_points KILL
}

@test "no memory, at any call of a restore of much memory: all or nothing" {
	victim=(memory_dense one)
	restore_points '=ENOMEM'
}

@test "SIGTERM at any call of a restore: all or nothing" {
	victim=(fault/steady mix 3)
	restore_points TERM
}

fails() {
	fewer 2
	victim=(fault/steady mix 2)
	restore_points "$1"
}

@test "no memory, at any call of a restore: all or nothing" { fails '=ENOMEM'; }
@test "an input or output error, at any call of a restore: all or nothing" { fails '=EIO'; }
@test "too many open files, at any call of a restore: all or nothing" { fails '=EMFILE'; }

@test "no memory, at any call by which a restore lets threads go: they go" {
	victim=(fault/steady mix 2)
	last=40
	restore_points '=ENOMEM'
}

# ---- where the tree has other pids out here ----

# Somebody of it is there.
some_of_it() {
	find /proc -maxdepth 2 -name cwd -lname "$dir" 2>/dev/null | grep -q .
}

nobody_of_it() {
	! some_of_it
}

# elsewhere OPTIONS...: who is killed has no number that is known here, but their directory has.
elsewhere() {
	release() {
		touch "$dir/release"
		within 20 nobody_of_it || explain "it does not end after its release"
		[ "$(cat "$dir/result")" = pass ] || explain "it did not pass"
	}
	all_or_nothing() {
		within 20 unguarded
		! ((status)) || ! within 5 nobody_of_it || return 0
		release || echo "leaves something that is not the program"
	}
	checkpoint() {
		park "${victim[@]}"
		to=$dir/images
		crtool dump -t "$pid" -D "$to"
		within 5 gone "$pid"
	}
	victim=(fault/family)
	restore_points "${what:-KILL}" "$@"
}

@test "killed at any call, a restore in a pid namespace of its own is all or nothing" {
	elsewhere --new-pidns
}

as_a_user() {
	inside=(setpriv --reuid=54321 --regid=54321 --clear-groups)
	"${inside[@]}" unshare -U true 2>/dev/null || skip "users have no user namespaces here"
	umask 0
	touch "$BATS_TEST_TMPDIR/at"
	elsewhere
}

@test "killed at any call, a restore of an ordinary user is all or nothing" {
	as_a_user
}

# Who restores is a process of its own there, whose calls are counted, too.

@test "killed at any call, who restores in a pid namespace of its own leaves all or nothing" {
	export AT_WITHIN=1
	elsewhere --new-pidns
}

@test "killed at any call, who restores for an ordinary user leaves all or nothing" {
	export AT_WITHIN=1
	as_a_user
}

@test "no memory, at any call of who restores in a pid namespace of its own: all or nothing" {
	export AT_WITHIN=1
	what='=ENOMEM'
	elsewhere --new-pidns
}
