# crtool is killed while it ends a tree whose checkpoint is whole, which takes a call for each process, and one for each connection:
# either all of the tree lives on as it was, or none of it does, and then the checkpoint brings it back.
load ../zdtm/lib/zdtm
load ../zdtm/lib/netns
load lib/points

LAST=70 # calls at the end of a dump, each of which is a point; every second one, unless all are wanted

# How many of those that it consisted of live?
living() {
	local one n=0

	for one in "${members[@]}"; do
		! alive "$one" || n=$((n + 1))
	done
	echo "$n"
}

all_or_none() {
	local n

	n=$(living)
	((n == 0 || n == ${#members[@]}))
}

# What a tree has to be that lives on, and how one that does not comes back; tests may have their own.
lives_on() {
	release
}

comes_back() {
	crtool restore -d -D "$to" "${restore_with[@]}"
	release
}

end_points() {
	local calls n members lived=0 ended=0

	park "${victim[@]}"
	calls=$(count_calls dump "${dump_with[@]}" -t "$pid" -D "$(images)")
	within 5 gone "$pid"
	for ((n = calls - LAST + FAULT_SEED % 2; n <= calls; n += 1 + (FAULT_STEP > 1))); do
		park "${victim[@]}"
		mapfile -t members < <(tree_of "$pid")
		to=$(images)
		interfere "$n" KILL dump "${dump_with[@]}" -t "$pid" -D "$to"
		within 20 unguarded
		within 5 all_or_none || explain "point $n ($(<"$BATS_TEST_TMPDIR/at")): $(living) of ${#members[@]} live"
		if (($(living))); then
			lives_on || explain "point $n ($(<"$BATS_TEST_TMPDIR/at")): it is not what it was"
			lived=$((lived + 1))
		else
			crtool show -D "$to" >/dev/null
			comes_back
			ended=$((ended + 1))
		fi
		zdtm_teardown
		rm -r "$to"
	done
	tell "$((lived + ended)) of $calls points of a dump that ends ${victim[*]}: $lived live on, $ended are ended (FAULT_SEED=$FAULT_SEED)"
	((lived > 4 && ended > 4))
}

teardown() {
	zdtm_teardown
	netns_gone
}

@test "killed while it ends a tree: all of it lives on, or none" {
	victim=(fault/family 1)
	end_points
}

# connected [OPTION]: one that holds both ends of a connection. The lock stays for the restore alone.
connected() {
	netns_inside
	victim=(zdtm/sk_tcp_conn 4 full)
	dump_with=("$1")
	end_points
}

@test "killed while it ends who holds a connection: that talks on, or comes back" {
	lives_on() {
		netns_unlocked
		release
	}
	connected --tcp-established
}

@test "killed while it ends who holds a connection that is reset: it talks on, or has ended" {
	lives_on() {
		[ "$(in_netns "$netns" ss -Htn state established | wc -l)" = 2 ]
		release
	}
	comes_back() {
		within 5 no_connection
	}
	connected --tcp-close
}

no_connection() {
	[ -z "$(in_netns "$netns" ss -Htn state established)" ]
}
