load lib/zdtm

setup() { threads_have_pidfds || skip "no pidfds of threads here"; }

random() {
	local seed

	for seed; do
		echo "--- seed $seed:"
		once tree_random "$seed"
	done
}

@test "sessions whose leaders are gone, members of which have parents one above the other" { random 4 39; }

@test "zombies that end with any signal, orphans among them" { random 9; }

@test "leaders of sessions that were born in others" { random 27; }
